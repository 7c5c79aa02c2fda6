"""Further checks of the guarantees: what may happen only for a reason, and how often things may happen.

They know the settings of the plan's accounts, rows and the truth, as the checks of `statecore.simulation.guarantees` do, and hold
at any moment.
"""

from collections import Counter
from typing import Any, Final

from statecore.events import Broken
from statecore.machines.circuit import Tripped
from statecore.machines.connection import CredentialsChanged, Idle, Lost, Rejected, Resumed, Started, Waited, Woke
from statecore.machines.delivery import Held, NotSent, PartAccepted, PartPending, PartRefused, Purged, Revived
from statecore.machines.inbound import Handed, Received, Retried
from statecore.machines.session import Greeted
from statecore.platform import Polling
from statecore.policies import Backoff, Handling, Retry, Sessions
from statecore.simulation.guarantees import UP, Check, Found, Record, Row, Violation, account_of
from statecore.units import DAYS, MINUTES, SECONDS

DIALS_PER_MINUTE: Final = 20
"""Dials of one account in a minute that nobody asked for: a backoff leads to some eight at first, and to two later on."""

POLLS_PER_MINUTE: Final = 2 * MINUTES // Polling().period
"""Polls of one account in a minute that bring nothing: twice what the shortest period allows."""

ASKED: Final = frozenset({Started, Resumed, CredentialsChanged})
"""What makes an account dial because somebody wants it to."""


def g3_ends_for_a_reason(record: Record) -> Found:
    """A message is purged by a person and expires when its sender said."""
    purged = {row.address for row in record.happened(Purged) if row.outcome == "moved"}
    for address, held in record.of("delivery"):
        state, known = held.snapshot.state, record.accepted.get(address)
        if state == "purged" and address not in purged:
            yield Violation("G3", f"{address} is purged, and no person asked for that")
        if state == "expired" and known is not None and known[1].expires_at is None:
            yield Violation("G3", f"{address} is expired, and its sender set no time for that")


def g4_taken_in_once(record: Record) -> Found:
    """A message that the platform delivers again is not taken for another one."""
    seen: dict[tuple[str, str], str] = {}
    for row in record.happened(Received):
        event: Any = row.event
        if row.outcome == "moved":
            first = seen.setdefault((account_of(row), event.id), row.address)
            if first != row.address:
                yield Violation("G4", f"message {event.id} of {account_of(row)} was taken in twice", row.seq)


def g5_isolation(record: Record) -> Found:
    """A chat is held by refusals of its own."""
    tripped: set[str] = set()
    for row in record.happened(Tripped, Held):
        if type(row.event) is Tripped and row.outcome == "moved":
            tripped.add(row.address)
        elif type(row.event) is Held and row.event.by == "circuit":
            known = record.accepted.get(row.address)
            if known is not None and f"circuit/{account_of(row)}/{known[1].chat}" not in tripped:
                said = f"{row.address} was held by a circuit, and nothing in chat {known[1].chat} was refused"
                yield Violation("G5", said, row.seq)


def g2_polls_paced(record: Record) -> Found:
    """Polls that bring nothing are paced, however fast the platform answers them."""
    polls = Counter((row.address, row.at // MINUTES) for row in record.happened(Waited, Idle))
    for (address, minute), count in polls.items():
        if count > POLLS_PER_MINUTE:
            yield Violation("G2", f"{address} made {count} polls that brought nothing in minute {minute}")


def g6_never_left_alone(record: Record) -> Found:
    """A process waits for an account however long, and is done with it only when it is told so."""
    for account, platform in record.truth.platforms.items():
        for left in platform.left:
            if not left.asked:
                yield Violation(
                    "G6", f"{left.process} gave {account} up for good, and nobody had asked it to", at=left.at
                )


def g7_handed_over(record: Record) -> Found:
    """A message is handed over so many times and no more, whatever becomes of its handler."""
    most = {one.name: Handling(**one.settings.get("handling", {})).attempts for one in record.plan.accounts}
    times: Counter[str] = Counter()
    for row in record.happened(Retried, Handed):
        if type(row.event) is Retried and row.outcome == "moved":
            del times[row.address]
        elif type(row.event) is Handed and row.outcome == "moved":
            times[row.address] += 1
            if times[row.address] > most[account_of(row)]:
                yield Violation("G7", f"{row.address} was handed over {times[row.address]} times", row.seq)


def g7_dials_bounded(record: Record) -> Found:
    """An account that fails is dialled ever more slowly."""
    dials: Counter[tuple[str, int]] = Counter()
    for row in record.ties:
        if row.target == "dialling" and row.outcome == "moved" and type(row.event) not in ASKED:
            dials[row.address, row.at // MINUTES] += 1
    for (address, minute), count in dials.items():
        if count > DIALS_PER_MINUTE:
            yield Violation("G7", f"{address} was dialled {count} times in minute {minute}")


def g7_backoff_kept(record: Record) -> Found:
    """The count of failures begins again only after the account was connected for a while."""
    steady = Backoff().steady
    counted: dict[str, int] = {}
    since: dict[str, int] = {}
    for row in record.ties:
        if row.outcome != "moved":
            continue
        event, address = row.event, row.address
        up = UP[address.partition("/")[0]]
        if row.target in up and type(event) in (Lost, Broken):
            continue  # a token could not be renewed; the account is still connected
        if type(event) is Lost:
            held = row.at - since.get(address, row.at)
            if event.failures == 1 and counted.get(address) and held < steady:
                said = f"{address} counted its failures from one again after {held / SECONDS:.1f} s connected"
                yield Violation("G7", said, row.seq)
            counted[address] = event.failures
        elif type(event) is Broken:
            counted[address] = event.failures or counted.get(address, 0) + 1
        elif type(event) in (Started, Woke, Rejected):
            counted.pop(address, None)  # it begins anew, or is counted otherwise
        if row.target in up:
            since.setdefault(address, row.at)
        elif row.target != "lingering":  # a session that was called invalid has been up for as long as it was
            since.pop(address, None)


def g7_sessions_bounded(record: Record) -> Found:
    """No more sessions are begun than the platform's budget allows."""
    budgets = {account.name: Sessions(**account.settings.get("sessions", {})) for account in record.plan.accounts}
    begun: dict[str, list[Row]] = {}
    for row in record.happened(Greeted):
        if row.target == "identifying":
            begun.setdefault(row.address, []).append(row)
    for address, rows in begun.items():
        budget = budgets[address.partition("/")[2]]
        tokens, since = float(budget.burst), rows[0].at
        for before, row in zip((None, *rows), rows, strict=False):
            tokens = min(float(budget.burst), tokens + (row.at - since) * budget.per_day / DAYS) - 1
            since = row.at
            if tokens < -0.01:
                yield Violation("G7", f"{address} began more sessions than its budget allows", row.seq)
            elif before is not None and row.at - before.at < budget.apart:
                apart = (row.at - before.at) / SECONDS
                yield Violation("G7", f"{address} began two sessions {apart:.1f} s apart", row.seq)


def g8_passing_causes_kill_nothing(record: Record) -> Found:
    """What time can cure makes a message dead only when it was given the time."""
    ages = {account.name: Retry(**account.settings.get("retry", {})).age for account in record.plan.accounts}
    since: dict[str, int] = {}
    for row in record.happened(NotSent, PartRefused, PartAccepted, PartPending, Revived):
        kind = type(row.event)
        if kind is NotSent:
            began = since.setdefault(row.address, row.at)
            age = ages[account_of(row)]
            if row.target == "dead" and row.at - began < age:
                said = f"{row.address} was given up after {(row.at - began) / SECONDS:.0f} s for what passes: {row.event.error}"  # type: ignore[attr-defined]
                yield Violation("G8", said, row.seq)
        elif kind is PartRefused and row.event.then == "retry":  # type: ignore[attr-defined]
            since.setdefault(row.address, row.at)
        elif kind is not PartRefused and row.outcome == "moved":
            since.pop(row.address, None)


CHECKS: Final[tuple[Check, ...]] = (
    g2_polls_paced,
    g3_ends_for_a_reason,
    g4_taken_in_once,
    g5_isolation,
    g6_never_left_alone,
    g7_handed_over,
    g7_dials_bounded,
    g7_backoff_kept,
    g7_sessions_bounded,
    g8_passing_causes_kill_nothing,
)
