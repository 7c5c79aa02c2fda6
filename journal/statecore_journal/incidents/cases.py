"""What the monitors have in common: cases that may become incidents, and what counts messages that wait."""

from array import array
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Final, NamedTuple

import attrs

from statecore.machines import session
from statecore.machines.delivery import OPEN
from statecore.units import MINUTES, show_duration
from statecore_journal.incidents.model import ROWS_MAX, Cost, Incident, Row

KEPT: Final = 1024
"""Cases kept before those that can become nothing any more are forgotten."""

REASONS_MAX: Final = 8
"""Different reasons that are told apart; the rest is counted with the first."""

TIES: Final = frozenset({"connection", "session"})
UP: Final = frozenset({*session.UP, "resting"})
"""States of a tie in which the platform has said that it accepts the account."""

LIVE: Final = frozenset(OPEN)
"""States of a delivery that is on its way."""


def setting(account: str, name: str) -> str:
    """Return where a setting of an account stands in a configuration file: "accounts.wx.circuit.cooldown"."""
    return f"accounts.{account}.{name}"


def times(count: int, one: str, many: str = "") -> str:
    """Write a number of things.

    >>> times(1, "request"), times(3, "delivery", "deliveries")
    ('1 request', '3 deliveries')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"


class Mark(NamedTuple):
    """A row that an incident may start or end at."""

    seq: int
    at: int
    wall: int
    address: str

    @classmethod
    def of(cls, row: Row) -> "Mark":
        """Mark a row."""
        return cls(row.seq, row.at, row.wall, row.address)

    @classmethod
    def cause_of(cls, row: Row) -> "Mark":
        """Mark the row of the same unit that caused this one."""
        return cls(row.cause or row.seq, row.at, row.wall, row.address)

    @property
    def account(self) -> str:
        """Whose it is."""
        return self.address.partition("/")[2].partition("/")[0]


@attrs.define(eq=False)
class Case:
    """What may become an incident, or has.

    Args:
        start: the row it started at.
        address: the instance it is about.
        rows: those that show it.
        certain: whether it is an incident.
        count: how often what it is about happened.
        amount: what its occurrences add up to: requests, messages, or ns without a connection.
        refused, dead, doubled: see `Cost`.
        reasons: what was said, and how often.
        newest: the last row that belongs to it.
        extra: whatever else its monitor must remember.
    """

    start: Mark
    address: str
    newest: Mark
    rows: "array[int]" = attrs.field(factory=lambda: array("q"))
    certain: bool = False
    count: int = 0
    amount: int = 0
    refused: int = 0
    dead: int = 0
    doubled: int = 0
    reasons: dict[str, int] = attrs.field(factory=dict)
    extra: Any = None

    @classmethod
    def at(cls, start: Mark, address: str = "") -> "Case":
        """Open a case."""
        return cls(start, address or start.address, start, array("q", [start.seq]))

    def note(self, row: Row, reason: str = "") -> None:
        """Add a row to it."""
        self.count += 1
        self.newest = Mark.of(row)
        self.show(row.seq)
        if reason:
            self.hear(reason)

    def hear(self, reason: str) -> None:
        """Count what was said."""
        if reason not in self.reasons and len(self.reasons) >= REASONS_MAX:
            reason = next(iter(self.reasons))
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def show(self, seq: int) -> None:
        """Name a row that shows it; of too many, the first and the newest."""
        if seq in self.rows:
            return
        if len(self.rows) < ROWS_MAX:
            self.rows.append(seq)
        else:
            self.rows[-1] = seq

    @property
    def account(self) -> str:
        """Whose it is."""
        return self.start.account

    @property
    def reason(self) -> str:
        """What was said most often."""
        return max(self.reasons, key=self.reasons.__getitem__) if self.reasons else "no reason was given"

    def lasted(self, at: int) -> str:
        """Say for how long it had gone on."""
        return show_duration(max(0, at - self.start.at))

    def told(self, kind: str, end: Mark | None, *, summary: str, cause: str, advice: str, cost: Cost) -> Incident:
        """Make an incident of it."""
        rows = list(self.rows)
        if end is not None and end.seq not in rows:
            rows = [*rows[: ROWS_MAX - 1], end.seq]
        return Incident(
            kind=kind,
            account=self.account,
            address=self.address,
            first=self.start.seq,
            last=None if end is None else end.seq,
            began=self.start.at,
            ended=None if end is None else end.at,
            wall=self.start.wall,
            rows=tuple(sorted(rows)),
            summary=summary,
            cause=cause,
            advice=advice,
            cost=cost,
        )


class Lane:
    """The messages of one chat that are on their way: how many, and since when there are any."""

    __slots__ = ("count", "since")

    def __init__(self, since: int) -> None:
        self.count = 0
        self.since = since


class Waiting:
    """Counts the messages that are on their way, so that an incident can say how many it delayed.

    It sees a row after the monitors, so a message that leaves by a row is still among those that wait when they see it. What
    is kept is a number for each chat with such messages, however many there are.
    """

    kind: ClassVar[str] = ""
    events: ClassVar[frozenset[str]] = frozenset(
        {"Accepted", "PartAccepted", "PartPending", "PartRefused", "NotSent", "PartUnknown", "Broken", "Purged",
         "Revived", "Elapsed(expires_at)", "Reviewed"}
    )  # fmt: skip

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, Lane]] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        source, target = row.source in LIVE, row.target in LIVE
        if source == target or row.machine != "delivery":
            return ()
        lanes = self._accounts.setdefault(row.account, {})
        lane = lanes.get(row.chat)
        if target:
            if lane is None:
                lane = lanes[row.chat] = Lane(row.at)
            lane.count += 1
        elif lane is not None:
            lane.count -= 1
            if not lane.count:
                del lanes[row.chat]
        return ()

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Find nothing: it only counts."""
        return ()

    def count(self, account: str, chat: str | None = None) -> int:
        """Count the messages of an account, or of one of its chats, that are on their way."""
        return sum(lane.count for lane in self._lanes(account, chat))

    def cost(self, account: str, chat: str | None, began: int, ended: int, **more: int) -> Cost:
        """Return what an incident cost that kept everything waiting that is now on its way.

        Args:
            account: whose.
            chat: one chat; None for all.
            began: when it began, in ns.
            ended: when it ended, in ns.
            more: what else it cost.
        """
        lanes = self._lanes(account, chat)
        delayed = sum(lane.count for lane in lanes)
        longest = max((ended - max(began, lane.since) for lane in lanes), default=0)
        return Cost(delayed=delayed, delay_max=max(0, longest), **more)

    def _lanes(self, account: str, chat: str | None) -> Collection[Lane]:
        lanes = self._accounts.get(account, {})
        if chat is None:
            return lanes.values()
        return [lanes[chat]] if chat in lanes else []


def delays(cost: Cost) -> str:
    """Say what waited, for the end of a sentence; nothing if nothing did."""
    if not cost.delayed:
        return ""
    return f"; {times(cost.delayed, 'message')} left up to {show_duration(cost.delay_max)} later"


class Lasting:
    """Watches for what lasts, in one case an instance: certain once there is enough of it, over by a row that says so."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        self.waiting = Waiting()
        self._cases: dict[str, Case] = {}

    def _enough(self, case: Case, at: int) -> bool:
        """Tell whether a case is an incident, at a moment in ns."""
        raise NotImplementedError

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        """Say what it is, at a moment in ns, with the row that ended it if one did."""
        raise NotImplementedError

    def _noticed(self, case: Case, at: int) -> list[Incident]:
        """Return the incident that a case has just become, if it has."""
        if case.certain or not self._enough(case, at):
            return []
        case.certain = True
        return [self._told(case, at, None)]

    def _ended(self, row: Row) -> list[Incident]:
        """Close the case of a row's instance; return the incident that it was, if it was one."""
        case = self._cases.pop(row.address)
        if case.certain or self._enough(case, row.at):
            return [self._told(case, row.at, Mark.of(row))]
        return []

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            if case.certain or self._enough(case, at):
                yield self._told(case, at, None)

    def news(self, at: int) -> Iterable[Incident]:
        """Yield what time alone has made certain since this was last asked. A row ends it, and says so."""
        for case in self._cases.values():
            yield from self._noticed(case, at)


class Told(NamedTuple):
    """A case in words; see `Incident`."""

    summary: str
    cause: str
    advice: str
    cost: Cost


class Repeating:
    """Something that happens again and again: certain once it did so often enough within a while, over when it stops.

    A monitor says with `counts` which rows it is about, and tells what came of them with `tell`.

    Attributes:
        least: how often it must happen to be an incident.
        within: within how long, in ns.
        quiet: it is over when it has not happened for so long, in ns.
    """

    kind: ClassVar[str]
    least: int = 1
    within: int = 10 * MINUTES
    quiet: int = 10 * MINUTES

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        self.least = self.least if least is None else least
        self.within = self.within if within is None else within
        self.quiet = self.quiet if quiet is None else quiet
        self.waiting = Waiting()
        self._cases: dict[str, Case] = {}
        self._recent: dict[str, list[tuple[Mark, str, int]]] = {}
        self._sweep_at = KEPT

    # ---- what each monitor says --------------------------------------------------------------------------------------

    def counts(self, row: Row) -> bool:
        """Tell whether a row is what it is about."""
        raise NotImplementedError

    def key(self, row: Row) -> str:
        """Return what is counted together: all of an account."""
        return row.account

    def mark(self, row: Row) -> Mark:
        """Return the row that this one began with: itself."""
        return Mark.of(row)

    def reason(self, row: Row) -> str:
        """Return what a row says about why."""
        return str(row.get("error", ""))

    def amount(self, row: Row) -> int:  # noqa: ARG002
        """Return what a row adds to `Case.amount`."""
        return 0

    def charge(self, case: Case, row: Row) -> None:
        """Note what else a row says."""

    def enough(self, case: Case) -> bool:  # noqa: ARG002
        """Tell whether a case that happened often enough is an incident."""
        return True

    def tell(self, case: Case, at: int) -> Told:
        """Return summary, cause, advice and cost of a case, as of *at*."""
        raise NotImplementedError

    # ---- running -----------------------------------------------------------------------------------------------------

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        return self.add(row) if self.counts(row) else ()

    def add(self, row: Row) -> list[Incident]:
        """Count a row."""
        key = self.key(row)
        found = self._ended(key, row.at)
        case = self._cases.get(key)
        if case is None:
            case = self._begin(key, row)
            if case is None:
                return found
        else:
            case.note(row, self.reason(row))
            case.amount += self.amount(row)
            self.charge(case, row)
        if not case.certain and self.enough(case):
            case.certain = True
            found.append(self._told(case, row.at, over=False))
        return found

    def _begin(self, key: str, row: Row) -> Case | None:
        """Open a case once what it is about has happened often enough."""
        self._sweep(row.at)
        recent = self._recent.setdefault(key, [])
        recent.append((self.mark(row), self.reason(row), self.amount(row)))
        while row.at - recent[0][0].at > self.within and len(recent) > 1:
            recent.pop(0)
        if len(recent) < self.least:
            return None
        del self._recent[key]
        case = self._cases[key] = Case.at(recent[0][0])
        for mark, reason, amount in recent[:-1]:
            case.count += 1
            case.amount += amount
            case.show(mark.seq)
            if reason:
                case.hear(reason)
        case.note(row, recent[-1][1])
        case.amount += recent[-1][2]
        self.charge(case, row)
        return case

    def _ended(self, key: str, at: int) -> list[Incident]:
        case = self._cases.get(key)
        if case is None or at - case.newest.at <= self.quiet:
            return []
        del self._cases[key]
        return [self._told(case, case.newest.at, over=True)] if case.certain else []

    def _told(self, case: Case, at: int, *, over: bool) -> Incident:
        end = case.newest if over else None
        return case.told(self.kind, end, **self.tell(case, at)._asdict())

    def _sweep(self, at: int) -> None:
        """Forget what can become nothing any more."""
        if len(self._recent) + len(self._cases) <= self._sweep_at:
            return
        self._recent = {key: seen for key, seen in self._recent.items() if at - seen[-1][0].at <= self.within}
        self._cases = {key: case for key, case in self._cases.items() if at - case.newest.at <= self.quiet}
        self._sweep_at = max(KEPT, 2 * (len(self._recent) + len(self._cases)))

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on, and what has been over since nothing came for long enough."""
        for case in self._cases.values():
            if case.certain:
                over = at - case.newest.at > self.quiet
                yield self._told(case, case.newest.at if over else at, over=over)
