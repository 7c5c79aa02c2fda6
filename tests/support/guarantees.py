"""The guarantees, as checks of a journal against the truth.

Each check stands for itself: it knows the journal's tables and what reached the platform, and none of the code that
wrote the one or sent the other. Only the fold steps the shipped machines, because that they are deterministic is what
it checks.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from statecore import codec
from statecore.events import Elapsed, Governed, Late, name_of
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES
from statecore.machines.delivery import Accepted
from statecore_journal import LogRow, diverges
from tests.support.book import Book, Held, read_book
from tests.support.platform import CANARY, Attempt, Server

ENDED: Final = frozenset({"delivered", "expired", "purged"})
SENDING: Final = frozenset({"sending", "sending-bare"})
REASONED: Final = frozenset({"backing-off", "circuit-tripped", "token-stale", "window-closed", "unknown", "dead"})
ACTED: Final = frozenset({"token-stale", "window-closed", "dead", "quarantined", "tripped"})
"""States that wait for a person, who must be told what to do."""

ROWS_PER_SECOND: Final = 60
"""Rows a connection may make in one second, where nobody floods it."""


def assert_guarantees(
    path: Path,
    truth: Mapping[str, Server],
    *,
    accepted: Mapping[str, str] | None = None,
    logs: list[str] | None = None,
    rows_per_second: int | None = ROWS_PER_SECOND,
) -> Book:
    """Hold a journal against the truth.

    Of a journal that was pruned less can be asked: what is gone can neither be compared nor folded.

    Args:
        path: the journal.
        truth: what every account's platform saw.
        accepted: what callers were told was accepted: account by delivery id.
        logs: lines of the log.
        rows_per_second: bound on the rows of a connection; None where the platform floods.
    """
    book = read_book(path)
    assert diverges(path) is None
    for server in truth.values():
        g6_one_at_a_time(server)
    g8_truth(book)
    g10_secrets_stay_out(book, logs or [])
    assert path.stat().st_mode & 0o077 == 0, "others can read the journal"
    if book.pruned:
        return book
    for account, server in truth.items():
        g1_journal_first(book, account, server)
        g3_nothing_lost(book, account, server)
        g4_no_silent_duplicates(book, account, server)
        g5_order(book, account, server)
    g3_accepted_is_there(book, accepted or {})
    if rows_per_second is not None:
        g2_no_spin(book, rows_per_second)
    g9_replay(book)
    return book


# ---- what the journal says of deliveries -----------------------------------------------------------------------------


def _deliveries(book: Book, account: str) -> dict[str, Held]:
    return {held.key: held for held in book.of("delivery") if held.account == account}


def _parts(book: Book, account: str) -> dict[str, Accepted]:
    """Return what was accepted, by delivery."""
    rows = [row for row in book.events("Accepted", f"delivery/{account}/") if row.version == 1]
    return {row.machine.split("/", 2)[2]: codec.loads(row.data, Accepted) for row in rows}


def _split_key(key: str) -> tuple[str, int]:
    name, _, part = key.rpartition("-")
    assert name.startswith("sc-"), key
    return name.removeprefix("sc-"), int(part)


def _by_key(attempts: list[Attempt]) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        found[attempt.key].append(attempt)
    return found


# ---- the checks ------------------------------------------------------------------------------------------------------


def g1_journal_first(book: Book, account: str, server: Server) -> None:
    """No request before its row, and no cursor before its messages."""
    for attempt in server.attempts:
        assert attempt.announced, f"{attempt} left before the journal said so"
    begun = Counter[str]()
    for row in book.rows:
        if row.machine.startswith(f"delivery/{account}/") and row.target in SENDING and row.outcome is None:
            begun[row.machine.split("/", 2)[2]] += 1
    made = Counter(_split_key(attempt.key)[0] for attempt in server.attempts)
    for delivery, count in made.items():
        assert count <= begun[delivery], f"{delivery}: {count} requests, and rows for {begun[delivery]}"
    assert not server.unowned, f"the cursor is ahead of the journal: {server.unowned}"
    cursor = book.secrets.get((account, "cursor"), "")
    covered = server.inbox[: int(cursor.rpartition("-")[2])] if cursor else []
    known = set(book.messages()) | {row.fields["id"] for row in book.events("Repeated", f"inbound/{account}/")}
    assert [message.id for message in covered if message.id not in known] == []


def g2_no_spin(book: Book, rows_per_second: int) -> None:
    """No connection moves faster than that, however its platform behaves."""
    made = Counter[tuple[str, int]]()
    for row in book.rows:
        if row.machine.startswith("connection/"):
            made[row.machine, row.at // 1_000_000_000] += 1
    for (machine, second), count in made.items():
        assert count <= rows_per_second, f"{machine}: {count} rows in second {second}"


def g6_one_at_a_time(server: Server) -> None:
    """One process at a time drives an account, and makes one attempt to receive at a time (A12)."""
    assert server.most_under_way <= 1, f"{server.most_under_way} dials and polls were under way at once"
    assert server.open_clients == 0, f"{server.open_clients} clients were never closed"


def g3_nothing_lost(book: Book, account: str, server: Server) -> None:
    """Everything accepted ended, or died with a reason and an action, or is live; what was delivered was taken."""
    taken = {attempt.key for attempt in server.taken}
    parts = _parts(book, account)
    for id_, held in _deliveries(book, account).items():
        assert id_ in parts, f"{held.address} was never accepted"
        if held.state == "delivered":
            missing = [part for part in range(len(parts[id_].parts)) if f"sc-{id_}-{part}" not in taken]
            assert not missing, f"{held.address} is delivered, and parts {missing} were never taken"
        elif held.state == "dead":
            assert held.fields.get("reason"), f"{held.address} is dead without a reason"
            assert held.fields.get("action"), f"{held.address} is dead without an action"
        elif held.state not in ENDED:
            assert held.live, f"{held.address} is {held.state} and in no lane"


def g3_accepted_is_there(book: Book, accepted: Mapping[str, str]) -> None:
    """What callers were told was accepted is in the journal, or asked for in it."""
    asked = sum(1 for _, _, kind, done in book.commands if kind == "send" and done is None)
    missing = [id_ for id_, account in accepted.items() if f"delivery/{account}/{id_}" not in book.instances]
    assert len(missing) <= asked, f"accepted, and nowhere: {missing}"


def g4_no_silent_duplicates(book: Book, account: str, server: Server) -> None:
    """One key a part, one text a key; what arrived twice is marked."""
    parts = _parts(book, account)
    held = _deliveries(book, account)
    for key, attempts in _by_key(server.attempts).items():
        id_, part = _split_key(key)
        meant = (parts[id_].chat, parts[id_].parts[part])
        assert {(attempt.chat, attempt.text) for attempt in attempts} == {meant}, f"{key} stands for several texts"
        shown = sum(attempt.shown for attempt in attempts)
        doubled = held[id_].fields.get("doubled", ())
        assert shown <= 1 or part in doubled, f"{key} was shown {shown} times, and the journal does not know"


def g5_order(book: Book, account: str, server: Server) -> None:
    """Within a chat, requests follow the order in which their deliveries were accepted, and their parts."""
    revived = {row.machine.split("/", 2)[2] for row in book.events("Revived", "delivery/")}
    placed = {row.machine.split("/", 2)[2]: row.seq for row in book.events("Accepted", f"delivery/{account}/")}
    latest: dict[str, tuple[int, int]] = {}
    for attempt in server.attempts:
        id_, part = _split_key(attempt.key)
        if id_ in revived:
            continue
        place = placed[id_], part
        assert latest.get(attempt.chat, (0, 0)) <= place, f"{attempt} was overtaken"
        latest[attempt.chat] = place


def g8_truth(book: Book) -> None:
    """What waits says why; what waits for a person says what they must do; nothing was refused as unforeseen."""
    for held in book.instances.values():
        if held.machine == "delivery" and held.state in REASONED:
            assert held.fields.get("reason"), f"{held.address} is {held.state} and does not say why"
        if held.machine in ("delivery", "inbound", "connection") and held.state in ACTED:
            assert held.fields.get("action"), f"{held.address} is {held.state} and does not say what to do"
        if held.machine == "connection" and held.state == "reconnecting":
            assert held.fields.get("reason"), f"{held.address} is down and does not say why"
    unforeseen = [row for row in book.rows if (row.outcome or "").startswith("refused")]
    assert not unforeseen, f"nobody foresaw {unforeseen[0]}"
    for account in book.status.accounts:
        if account.connected:
            assert account.state in ("connected", "resting"), (
                f"{account.name} is {account.state} and said to be connected"
            )


def g9_replay(book: Book) -> None:
    """Folding the journal gives the recorded states, row by row, and the projection at the end."""
    snapshots: dict[str, Snapshot] = {}
    at = 0
    for place, row in enumerate(book.rows, 1):
        assert row.seq == place, f"row {row.seq} is the journal's row {place}"
        assert row.at >= at, f"row {row.seq} went back in time"
        assert row.cause is None or row.cause < row.seq, f"row {row.seq} is caused by the later row {row.cause}"
        at = row.at
        snapshots[row.machine] = _refold(row, snapshots)
    for address, snapshot in snapshots.items():
        held = book.instances[address]
        folded = (snapshot.state, snapshot.version, snapshot.entered, codec.dumps(snapshot.data))
        assert folded == (held.state, held.version, held.entered, held.data), f"{address} diverges"
    assert set(book.instances) == set(snapshots)


def _refold(row: LogRow, snapshots: Mapping[str, Snapshot]) -> Snapshot:
    machine = MACHINES[row.machine.split("/")[0]]
    before = snapshots.get(row.machine) or machine.start()
    decision = machine.step(before, _event(machine, row), row.at)
    kind, reason, _ = decision.outcome
    outcome = None if kind == "moved" else kind if kind == "stayed" else f"{kind}: {reason}"
    folded = (before.state, decision.snapshot.state, decision.snapshot.version, outcome)
    assert folded == (row.source, row.target, row.version, row.outcome), f"row {row.seq} diverges: {row}"
    return decision.snapshot


def _event(machine: Machine, row: LogRow) -> Any:
    if row.event.startswith("Elapsed"):
        return codec.loads(row.data, Elapsed)
    kinds: list[Any] = [*machine.events, Late, Governed]
    return codec.loads(row.data, next(kind for kind in kinds if name_of(kind) == row.event))


def g10_secrets_stay_out(book: Book, logs: list[str]) -> None:
    """No credential is anywhere but in its own table."""
    leaks = [cell for cell in book.cells if CANARY in cell] + [line for line in logs if CANARY in line]
    assert not leaks, f"a credential got out: {leaks[0]}"
