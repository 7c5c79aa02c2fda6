"""The guarantees G1 to G10, as checks of a journal against the truth.

Each check knows rows, instances and what the platforms saw, and none of the code that wrote the one or sent the other. Only
the fold steps the machines, because that they are deterministic is what it checks. So whatever ran, the plain simulation, the
faithful one or something else that keeps a journal, is judged by the same words.

Safety holds at any moment, also of a run that was cut off. Liveness is asked only of a run that was given time to settle.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log2
from operator import attrgetter
from typing import Any, Final, NamedTuple

import attrs

from statecore.events import Event, name_of
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES, delivery, session
from statecore.machines.connection import Arrived, Started
from statecore.machines.delivery import SENDING, Accepted, PartRefused, Revived
from statecore.machines.inbound import Received, Repeated
from statecore.machines.window import Heard
from statecore.simulation.plan import Plan
from statecore.simulation.truth import Platform, Send, Truth
from statecore.units import MINUTES, SECONDS

ENDED: Final = frozenset(delivery.ENDED)
REASONED: Final = frozenset({"backing-off", "circuit-tripped", "token-stale", "window-closed", "unknown", "dead"})
ACTED: Final = frozenset({"token-stale", "window-closed", "dead", "quarantined", "tripped"})
"""States that wait for a person, who must be told what to do."""

UP: Final[Mapping[str, frozenset[str]]] = {
    "connection": frozenset({"connected", "resting"}),
    "session": frozenset(session.UP),
}
"""States in which an account is connected."""

TIED: Final = tuple(f"{machine}/" for machine in UP)
"""How the addresses begin of what ties accounts to their platforms."""

ROWS_PER_SECOND: Final = 60
"""Rows that an instance may make in one second, without those that carry what the outside sent."""

BROUGHT: Final = frozenset({Arrived, Heard, Repeated, session.Noted})
"""What the outside sent, so that it pays for the rows: messages, and frames of a session that are none."""

ROWS_PER_MINUTE: Final = 1000 + 50 * 60 * 2
"""Rows of a connection in one minute, whatever is sent to it: twice what the governor allows, because it charges afterwards."""

FENCED_AFTER: Final = 1 * SECONDS
"""A process that was frozen between a commit and its request asks for its epoch again after this long."""

RECENT: Final = 2 * MINUTES
"""What began later than this before the end of a run need not have settled."""

LAPSES: Final = 4 * MINUTES
"""A chat whose user has been silent for so long may wait for them."""

SAMPLES_MAX: Final = 5
"""Violations of one check that are told; more of them say nothing new."""


class Row(NamedTuple):
    """One row of a journal.

    Args:
        seq: its position.
        at: the gateway's clock, in ns.
        address: of the instance.
        version: how many events the instance had taken, with this one.
        source: the state before.
        target: the state after.
        event: what happened.
        outcome: "moved", "stayed", "ignored" or "refused".
        cause: position of the row that caused it; None if that is outside.
    """

    seq: int
    at: int
    address: str
    version: int
    source: str
    target: str
    event: Event
    outcome: str
    cause: int | None


def account_of(row: Row) -> str:
    """Return the account whose instance a row is of."""
    return row.address.split("/", 2)[1]


class Standing(NamedTuple):
    """One instance as the projection has it.

    Args:
        snapshot: where it is.
        chat: the chat it belongs to; empty for none.
        live: whether it is in its lane.
        order: its place there; 0 if it was never in one.
    """

    snapshot: Snapshot
    chat: str
    live: bool
    order: int


@attrs.frozen
class Violation:
    """A guarantee that did not hold.

    Args:
        guarantee: "G1" to "G10".
        said: what was seen, in one sentence.
        seq: the row concerned, if there is one.
        at: when, in ns from the beginning, if that is known.
        settles: whether it is about what must settle once the faults are over.
    """

    guarantee: str
    said: str
    seq: int | None = None
    at: int | None = None
    settles: bool = False

    def __str__(self) -> str:
        where = f" (#{self.seq})" if self.seq is not None else ""
        return f"{self.guarantee}: {self.said}{where}"


Found = Iterator[Violation]


class Record:
    """Rows, instances and truth of one run, sorted once for all checks.

    Attributes:
        ties: the rows of what ties accounts to their platforms.
        by_event: the rows of each kind of event.
        begun: rows that asked for a delivery's requests, by its address.
        known: the row that took a message in first, by account and id.

    Args:
        rows: all rows, in their order.
        instances: the projection at the end.
        truth: what the platforms and programs saw.
        plan: what was to happen.
        machines: the definitions, by name.
    """

    def __init__(
        self, rows: Sequence[Row], instances: Mapping[str, Standing], truth: Truth, plan: Plan,
        machines: Mapping[str, Machine],
    ) -> None:  # fmt: skip
        self.rows = rows
        self.instances = instances
        self.truth = truth
        self.plan = plan
        self.machines = machines
        self.accepted: dict[str, tuple[int, Accepted]] = {}
        self.begun: dict[str, list[int]] = defaultdict(list)
        self.known: dict[tuple[str, str], int] = {}
        self.refused: dict[str, Counter[str]] = defaultdict(Counter)
        self.revived: set[str] = set()
        self.started: dict[str, list[tuple[int, Started]]] = defaultdict(list)
        self.ties = [row for row in rows if row.address.startswith(TIED)]
        self.by_event: dict[type[Event], list[Row]] = defaultdict(list)
        for row in rows:
            self.by_event[row.event.__class__].append(row)
            if row.target in SENDING and row.outcome == "moved":
                self.begun[row.address].append(row.seq)
        self._sort()

    def _sort(self) -> None:
        row: Row
        event: Any
        for row in self.happened(Accepted):
            if row.version == 1:
                self.accepted[row.address] = (row.seq, row.event)  # type: ignore[assignment]
        for row in self.happened(Received, Repeated):
            event = row.event
            self.known.setdefault((account_of(row), event.id), row.seq)
        for row in self.happened(PartRefused):
            event = row.event
            self.refused[row.address][event.then] += 1
        self.revived.update(row.address for row in self.happened(Revived) if row.outcome == "moved")
        for row in self.happened(Started):
            self.started[account_of(row)].append((row.seq, row.event))  # type: ignore[arg-type]

    def happened(self, *kinds: type[Event]) -> Sequence[Row]:
        """Return the rows of some kinds of events, in their order."""
        if len(kinds) == 1:
            return self.by_event.get(kinds[0], ())
        return sorted((row for kind in kinds for row in self.by_event.get(kind, ())), key=attrgetter("seq"))

    def first_of_lane(self, account: str, chat: str) -> str:
        """Return the state of the first delivery of a chat's lane; empty if the lane is."""
        prefix = f"delivery/{account}/"
        lane = [
            (held.order, held.snapshot.state)
            for address, held in self.instances.items()
            if held.live and held.chat == chat and address.startswith(prefix)
        ]
        return min(lane)[1] if lane else ""

    def of(self, machine: str) -> Iterator[tuple[str, Standing]]:
        """Yield (address, instance) of every instance of a machine."""
        prefix = f"{machine}/"
        return ((address, held) for address, held in self.instances.items() if address.startswith(prefix))


def check(
    rows: Sequence[Row],
    instances: Mapping[str, Standing],
    truth: Truth,
    plan: Plan,
    *,
    settled: bool,
    machines: Mapping[str, Machine] = MACHINES,
) -> list[Violation]:
    """Hold a journal against the truth.

    Args:
        rows: all rows, in their order.
        instances: the projection at the end.
        truth: what the platforms and programs saw.
        plan: what was to happen.
        settled: whether the run was given time to settle, so that liveness can be asked for.
        machines: the definitions that made the rows.

    Returns:
        What did not hold, safety first; nothing if all did.
    """
    from statecore.simulation.limits import CHECKS  # they are written in the words of this module

    record = Record(rows, instances, truth, plan, machines)
    found: list[Violation] = []
    for one in (*SAFETY, *CHECKS, *(LIVENESS if settled else ())):
        for number, violation in enumerate(one(record)):
            if number == SAMPLES_MAX:
                break
            found.append(violation)
    return found


def split_key(key: str) -> tuple[str, int] | None:
    """Return (id of the delivery, part) of an idempotency key; None if it is none of ours."""
    name, _, part = key.rpartition("-")
    return (name.removeprefix("sc-"), int(part)) if name.startswith("sc-") and part.isdigit() else None


# ---- safety ----------------------------------------------------------------------------------------------------------


def g1_no_request_before_its_row(record: Record) -> Found:
    """Every request to send has a durable row that asked for it."""
    for account, platform in record.truth.platforms.items():
        made: Counter[str] = Counter()
        for send in sorted((one for one in platform.sends if not one.copy), key=_left):
            split = split_key(send.key)
            address = f"delivery/{account}/{split[0] if split else send.key}"
            made[address] += 1
            asked = bisect_right(record.begun.get(address, ()), send.seq)
            if made[address] > asked:
                said = f"{address} was sent {made[address]} times, and {asked} durable rows asked for that"
                yield Violation("G1", said, send.seq, send.at)


def g1_told_is_durable(record: Record) -> Found:
    """Who was told "accepted" was told after the row, or after the command was durable."""
    for account, platform in record.truth.platforms.items():
        for told in platform.told:
            held = record.accepted.get(f"delivery/{account}/{told.id}")
            if not told.asked and (held is None or held[0] > told.seq):
                said = f"a caller was told that delivery/{account}/{told.id} was accepted before it was durable"
                yield Violation("G1", said, told.seq, told.at)


def g1_cursor_with_messages(record: Record) -> Found:
    """The platform is told that a message arrived only when it is in the journal."""
    for account, platform in record.truth.platforms.items():
        for one in platform.acknowledged:
            for id_ in one.ids:
                seq = record.known.get((account, id_))
                if seq is None or seq > one.seq:
                    said = f"message {id_} of {account} was acknowledged to the platform, and is not in the journal"
                    yield Violation("G1", said, one.seq, one.at)


def g2_no_spin(record: Record) -> Found:
    """No instance moves faster than a peer, a timer or a person can pay for."""
    own = [row for kind, rows in record.by_event.items() if kind not in BROUGHT for row in rows]
    for address, second, count in _crowded(own, SECONDS, ROWS_PER_SECOND):
        yield Violation("G2", f"{address} made {count} rows in second {second}")
    for address, minute, count in _crowded(record.ties, MINUTES, ROWS_PER_MINUTE):
        yield Violation("G2", f"{address} made {count} rows in minute {minute}")


def _crowded(rows: Sequence[Row], unit: int, most: int) -> Iterator[tuple[str, int, int]]:
    """Yield (address, which unit of time, rows made in it) wherever an instance made more than *most* rows in one."""
    busy = {address for address, count in Counter(row.address for row in rows).items() if count > most}
    counts = Counter((row.address, row.at // unit) for row in rows if row.address in busy) if busy else {}
    for (address, which), count in counts.items():
        if count > most:
            yield address, which, count


def g3_nothing_lost(record: Record) -> Found:
    """Everything accepted ended, or died with a reason and an action, or is live; what was delivered was taken."""
    taken = {
        (account, send.key)
        for account, platform in record.truth.platforms.items()
        for send in platform.sends
        if send.said in ("taken", "review", "claimed") or send.shown
    }
    for address, held in record.of("delivery"):
        known = record.accepted.get(address)
        state, data = held.snapshot.state, held.snapshot.data
        if known is None:
            yield Violation("G3", f"{address} is {state}, and was never accepted")
            continue
        _, account, id_ = address.split("/", 2)
        if state == "delivered":
            missing = [part for part in range(len(known[1].parts)) if (account, f"sc-{id_}-{part}") not in taken]
            if missing:
                yield Violation("G3", f"{address} is delivered, and the platform never took part {missing[0]}")
        elif state == "dead":
            if not (data.reason and data.action):
                yield Violation("G3", f"{address} is dead without a reason and an action")
        elif state not in ENDED and state != "in-review" and not held.live:
            yield Violation("G3", f"{address} is {state}, and in no lane")
    for account, platform in record.truth.platforms.items():
        for told in platform.told:
            if not told.asked and f"delivery/{account}/{told.id}" not in record.instances:
                yield Violation("G3", f"delivery/{account}/{told.id} was accepted, and is nowhere", at=told.at)


def g4_no_silent_duplicates(record: Record) -> Found:
    """One key a part, one text a key; what may have arrived twice is marked."""
    for account, platform in record.truth.platforms.items():
        shown: Counter[str] = Counter()
        for send in platform.sends:
            split = split_key(send.key)
            known = record.accepted.get(f"delivery/{account}/{split[0]}") if split else None
            if split is None or known is None or split[1] >= len(known[1].parts):
                yield Violation("G4", f"a request carried the key {send.key!r}, which names no part", at=send.at)
                continue
            if (send.chat, send.text) != (known[1].chat, known[1].parts[split[1]]):
                yield Violation("G4", f"the key {send.key} stood for another text or chat", at=send.at)
            shown[send.key] += send.shown and not send.copy
        yield from _doubled(record, account, shown)
        yield from _numbers(account, platform)


def _doubled(record: Record, account: str, shown: Counter[str]) -> Found:
    for key, times in shown.items():
        split = split_key(key)
        address = f"delivery/{account}/{split[0] if split else key}"
        held = record.instances.get(address)
        if times < 2 or held is None or split is None or address in record.revived:
            continue
        if split[1] not in held.snapshot.data.doubled:
            said = f"part {split[1]} of {address} was shown {times} times, and the journal does not say so"
            yield Violation("G4", said)


def _numbers(account: str, platform: Platform) -> Found:
    """A numbered answer stands for one part."""
    parts: dict[tuple[str, str, int], str] = {}
    for send in platform.sends:
        if send.answers and send.number:
            key = (send.chat, send.answers, send.number)
            if parts.setdefault(key, send.key) != send.key:
                said = f"answer {send.number} to {send.answers} of {account} stood for two parts"
                yield Violation("G4", said, at=send.at)


def g5_order(record: Record) -> Found:
    """Within a chat, requests follow the order in which their deliveries were accepted, and their parts."""
    for account, platform in record.truth.platforms.items():
        latest: dict[str, tuple[tuple[int, int], Send]] = {}
        for send in sorted((one for one in platform.sends if not one.copy), key=_left):
            split = split_key(send.key)
            address = f"delivery/{account}/{split[0] if split else ''}"
            if split is None or address not in record.accepted or address in record.revived:
                continue
            place = (record.accepted[address][0], split[1])
            before = latest.get(send.chat)
            if before is not None and before[0] > place:
                said = (
                    f"in chat {send.chat} of {account}, {send.key} left after {before[1].key}, which was accepted later"
                )
                yield Violation("G5", said, send.seq, send.at)
            latest[send.chat] = (place, send)


def _left(send: Send) -> int:
    return send.left


def g6_one_owner(record: Record) -> Found:
    """Epochs only grow, rows are those of the newest, and a former owner sends nothing any more."""
    for account, starts in record.started.items():
        epochs = [event.epoch for _, event in starts]
        if epochs != sorted(set(epochs)):
            yield Violation("G6", f"{account} was driven under the epochs {epochs}, in this order")
    for account, platform in record.truth.platforms.items():
        takes = sorted(platform.taken, key=lambda one: one.at)
        if [one.epoch for one in takes] != sorted({one.epoch for one in takes}):
            yield Violation("G6", f"the lease of {account} was taken under an epoch that is not newer")
        times = [one.at + FENCED_AFTER for one in takes]
        for send in platform.sends:
            place = bisect_right(times, send.left) - 1
            if place >= 0 and send.epoch < takes[place].epoch:
                said = f"{send.process} sent {send.key} of {account} long after {takes[place].process} had taken it"
                yield Violation("G6", said, send.seq, send.at)
        if platform.receiving > 1 and not _apart(record.plan):
            yield Violation("G6", f"{platform.receiving} processes received for {account} at once")


def _apart(plan: Plan) -> bool:
    """Tell whether processes had locks of their own, so that only the journal's fence kept them apart."""
    return any(one.fields.get("apart") for one in plan.occurrences)


def g7_refusals_bounded(record: Record) -> Found:
    """While a chat is refused, requests to it grow with the logarithm of the time, and not with what waits."""
    for account, platform in record.truth.platforms.items():
        refused: dict[tuple[int, str], list[Send]] = defaultdict(list)
        passing: dict[tuple[int, str], set[str]] = defaultdict(set)
        for send in platform.sends:
            split = split_key(send.key)
            then = record.refused.get(f"delivery/{account}/{split[0]}", Counter()) if split else Counter[str]()
            if send.spell >= 0 and not send.copy and not (then.keys() & {"dead", "slot"}):
                refused[send.spell, send.chat].append(send)
                if "retry" in then:
                    passing[send.spell, send.chat].add(send.key)
        for (spell, chat), sends in refused.items():
            first, last = sends[0].at, sends[-1].at
            wrote = sum(one.chat == chat and first <= one.at <= last for one in platform.made)
            starts = sum(first <= one.at <= last for one in platform.taken)
            resumed = sum(one.kind == "operator" and first <= one.at <= last for one in record.plan.occurrences)
            allowed = 6 + 3 * (wrote + starts + resumed) + 2 * log2(1 + (last - first) / SECONDS)
            if several := passing.get((spell, chat)):  # each has its own waits, which grow up to a minute
                allowed += 4 * len(several) + (last - first) / (20 * SECONDS)
            if len(sends) > allowed:
                said = (
                    f"chat {chat} of {account} was refused {len(sends)} requests within {(last - first) / SECONDS:.0f} s "
                    f"(occurrence {spell}); {allowed:.0f} would be many"
                )
                yield Violation("G7", said, sends[-1].seq, last)


def g8_truth(record: Record) -> Found:
    """What waits says why; what waits for a person says what they must do; nothing was unforeseen."""
    for address, held in record.instances.items():
        machine, state, data = address.partition("/")[0], held.snapshot.state, held.snapshot.data
        if machine == "delivery" and state in REASONED and not data.reason:
            yield Violation("G8", f"{address} is {state}, and does not say why")
        if machine in ("delivery", "inbound", "connection", "session") and state in ACTED and not data.action:
            yield Violation("G8", f"{address} is {state}, and does not say what a person must do")
        if machine in UP and state == "reconnecting" and not data.reason:
            yield Violation("G8", f"{address} is {state}, and does not say why")
    for row in record.rows:
        if row.outcome == "refused":
            yield Violation("G8", f"nobody foresaw {name_of(row.event)} in {row.source} of {row.address}", row.seq)


def g9_replay(record: Record) -> Found:
    """Folding the rows gives the recorded states, row by row, and the projection at the end."""
    folded: dict[str, tuple[Any, Snapshot, int]] = {}  # the machine's step, where it is, and when it last moved
    begin = {name: (machine.move, machine.start(), 0) for name, machine in record.machines.items()}
    for place, row in enumerate(record.rows, record.rows[0].seq if record.rows else 1):
        seq, at, address, version, source, target, event, outcome, cause = row
        if seq != place or (cause is not None and cause >= seq):
            yield Violation("G9", f"row {seq} is row {place} of the journal, caused by row {cause}", seq)
        move, before, moved_at = folded.get(address) or begin[address.partition("/")[0]]
        if at < moved_at:
            yield Violation("G9", f"{address} went back in time by {(moved_at - at) / SECONDS:g} s", seq)
        after, verdict, _, _ = move(before, event, at)
        folded[address] = (move, after, at)
        if before[0] != source or after[0] != target or after[2] != version or verdict[0] != outcome:
            said = f"{address} was recorded as {source} -> {target} (version {version}), and folds to {before[0]} -> {after[0]}"
            yield Violation("G9", said, seq)
    for address, held in record.instances.items():
        if address not in folded or folded[address][1] != held.snapshot:
            yield Violation("G9", f"{address} is not where its rows lead to")


def g10_secrets_stay_out(record: Record) -> Found:
    """No credential is in an event, or in what an instance remembers."""
    if not record.truth.secrets:
        return
    for kind, rows in record.by_event.items():
        for place, field in _leaks(kind, [row.event for row in rows], record.truth.secrets):
            said = f"{name_of(rows[place].event)} of {rows[place].address} holds a credential in {field!r}"
            yield Violation("G10", said, rows[place].seq)
    remembered: dict[type, dict[str, Any]] = defaultdict(dict)
    for address, held in record.instances.items():
        remembered[type(held.snapshot.data)][address] = held.snapshot.data
    for kind, known in remembered.items():
        for place, field in _leaks(kind, list(known.values()), record.truth.secrets):
            yield Violation("G10", f"{list(known)[place]} remembers a credential in {field!r}")


def _leaks(kind: type, values: Sequence[Any], secrets: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (which value, which field) wherever a secret is in one. A field of all values is searched at once."""
    plain = (int, bool, float, int | None)
    for name in (field.name for field in attrs.fields(kind) if field.type not in plain):
        held = [getattr(value, name) for value in values]
        texts = [one if one.__class__ is str else repr(one) if one else "" for one in held]
        whole = "\n".join(texts)
        for secret in secrets:
            if secret in whole:
                yield from ((place, name) for place, text in enumerate(texts) if secret in text)


# ---- liveness --------------------------------------------------------------------------------------------------------


def g8_connected(record: Record) -> Found:
    """After the faults every account is connected: what time could cure, time has cured."""
    names = {account.name for account in record.plan.accounts}
    for machine, states in UP.items():
        for address, held in record.of(machine):
            names.discard(address.partition("/")[2])
            if held.snapshot.state not in states:
                said = f"{address} is still {held.snapshot.state} ({held.snapshot.data.reason}), with all faults over"
                yield Violation("G8", said, settles=True)
    for name in names:
        yield Violation("G8", f"nobody has driven {name}, with all faults over", settles=True)


def g3_everything_ends(record: Record) -> Found:
    """After the faults everything that was accepted has ended, died, or waits for a person."""
    until = record.plan.length - RECENT
    for account, platform in record.truth.platforms.items():
        for told in platform.told:
            if told.at > until:
                continue
            held = record.instances.get(f"delivery/{account}/{told.id}")
            if held is None:
                yield Violation("G3", f"delivery/{account}/{told.id} was accepted, and is nowhere", at=told.at)
                continue
            state = held.snapshot.state
            if state in ENDED or state in ("dead", "in-review"):
                continue
            first = record.first_of_lane(account, held.chat) if state == "queued" else state
            if first in ("window-closed", "circuit-tripped") and _is_shut(record, platform, held.chat):
                continue
            said = f"delivery/{account}/{told.id} is still {state} ({held.snapshot.data.reason}), with all faults over"
            yield Violation("G3", said, settles=True)


def _is_shut(record: Record, platform: Platform, chat: str) -> bool:
    """Tell whether a chat's user is the one who is waited for."""
    wrote = max((one.at for one in platform.made if one.chat == chat and not one.lost), default=-LAPSES)
    since = sum(send.chat == chat and send.at >= wrote and not send.copy for send in platform.sends)
    return since >= 4 or record.plan.length - wrote > LAPSES


def g3_everything_handled(record: Record) -> Found:
    """After the faults every message that came in was handled, or set aside with what to do."""
    until = record.plan.length - RECENT
    for account, platform in record.truth.platforms.items():
        for made in platform.made:
            if made.lost or made.at > until:
                continue
            if (account, made.id) not in record.known:
                yield Violation("G3", f"message {made.id} of {account} was never taken in", at=made.at)
                continue
            held = record.instances.get(f"inbound/{account}/{made.id}")
            if held is not None and held.snapshot.state not in ("done", "quarantined"):
                said = f"inbound/{account}/{made.id} is still {held.snapshot.state}, with all faults over"
                yield Violation("G3", said, settles=True)


Check = Callable[[Record], Found]
SAFETY: Final[tuple[Check, ...]] = (
    g1_no_request_before_its_row,
    g1_told_is_durable,
    g1_cursor_with_messages,
    g2_no_spin,
    g3_nothing_lost,
    g4_no_silent_duplicates,
    g5_order,
    g6_one_owner,
    g7_refusals_bounded,
    g8_truth,
    g9_replay,
    g10_secrets_stay_out,
)
LIVENESS: Final[tuple[Check, ...]] = (g8_connected, g3_everything_ends, g3_everything_handled)
