"""What goes wrong between processes: stops that take long, processes that die, and two that drive one account."""

from collections.abc import Iterable
from typing import ClassVar, Final

from statecore.units import SECONDS, show_duration
from statecore_journal.incidents.cases import TIES, UP, Case, Mark, Repeating, Told, Waiting, delays, setting, times
from statecore_journal.incidents.model import Cost, Incident, Row

SLOW_STOP: Final = 5 * SECONDS
"""A stop with nothing under way takes milliseconds. Users notice a bot that is away for longer than this."""

FOLLOWS: Final = 5 * SECONDS
"""Whoever waits for an account asks for its lock every second at least; who comes later than this was not waiting."""

CRASHES: Final = 3
"""Processes that ended without letting go. One is an accident, and the next start has seen to it."""

CUT_OFF: Final = frozenset({"the process stopped while it was handled"})
"""What a receipt is told when a stop would not wait for its handler."""


class RestartRace:
    """A process holds on to an account while its successor waits.

    Looks for: a stop that took 5 s or more, or was never finished, and another process that took the account right after it.
    Starts at the request to stop, ends when the platform accepts the account again.

    From: NousResearch/hermes-agent#17198 (the old process held the token for 18 s, and the new one exited for good), #98625 (gave
    up after five tries, 38 hours without anybody).
    """

    kind: ClassVar[str] = "restart-race"
    events: ClassVar[frozenset[str]] = frozenset({"StopRequested", "HungUp", "Broken", "Started", "Ready", "Welcomed",
                                                  "Arrived", "Waited", "Idle"})  # fmt: skip

    def __init__(self, *, slow: int = SLOW_STOP, follows: int = FOLLOWS) -> None:
        self.slow = slow
        self.follows = follows
        self.waiting = Waiting()
        self._stops: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES or row.ignored:
            return
        case = self._stops.get(row.address)
        if row.event == "StopRequested":
            if case is not None and case.certain:
                yield self._told(case, row.at, Mark.of(row))
            case = self._stops[row.address] = Case.at(Mark.of(row))
            case.note(row, str(row.get("by", "")))
        elif case is None:
            return
        elif row.target == "closed" and not case.certain:
            case.newest = Mark.of(row)
            case.show(row.seq)
        elif row.event == "Started" and not case.certain:
            held = case.newest.at - case.start.at if row.source == "closed" else row.at - case.start.at
            waited = row.source != "closed" or row.at - case.newest.at <= self.follows
            if held < self.slow or not waited:
                del self._stops[row.address]
                return
            case.certain, case.amount = True, held
            case.show(row.seq)
            case.extra = row.source == "closed"
            yield self._told(case, row.at, None)
        elif case.certain and row.target in UP:
            del self._stops[row.address]
            yield self._told(case, row.at, Mark.of(row))

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._stops.values():
            if case.certain:
                yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(case.account, None, case.start.at, at, down=at - case.start.at)
        ended = "let go after" if case.extra else "had not let go after"
        return case.told(
            self.kind,
            end,
            summary=f"the old process {ended} {show_duration(case.amount)}, while its successor waited{delays(cost)}",
            cause=f"it was asked to stop ({case.reason}), and waited for what was under way: a request or a handler",
            advice=(
                "lower gateway.drain so that it waits for less, or use `statecore restart`, which ends a process that shows no"
                " sign of life; `statecore log` from here on shows what it waited for"
            ),
            cost=cost,
        )


class DrainCutOff:
    """A stop does not wait long enough, and cuts off what is under way.

    Looks for: requests or handlers that were cut off because the time for a stop was over. Starts at the request to stop,
    ends when the account is closed.

    From: NousResearch/hermes-agent#107638 and #82161 (a drain of 0.00 s that is blind to sends in flight), #99746.
    """

    kind: ClassVar[str] = "drain-cut-off"
    events: ClassVar[frozenset[str]] = frozenset({"StopRequested", "Broken", "HandlerFailed", "HungUp", "Started"})

    def __init__(self) -> None:
        self._stops: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        account = row.account
        case = self._stops.get(account)
        if row.machine in TIES:
            if row.event == "StopRequested" and not row.ignored:
                self._stops[account] = Case.at(Mark.of(row))
            elif case is not None and row.target == "closed":
                del self._stops[account]
                if case.count:
                    yield self._told(case, Mark.of(row))
            elif row.event == "Started":
                self._stops.pop(account, None)
        elif case is not None and not row.ignored:
            sent = row.event == "Broken" and row.get("how") == "drained"
            if sent or (row.event == "HandlerFailed" and row.get("error") in CUT_OFF):
                case.amount += sent
                case.note(row)
                if not case.certain:
                    case.certain = True
                    yield self._told(case, None)

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Yield what goes on."""
        for case in self._stops.values():
            if case.count:
                yield self._told(case, None)

    def _told(self, case: Case, end: Mark | None) -> Incident:
        what = [
            times(number, name)
            for number, name in ((case.amount, "request"), (case.count - case.amount, "handler"))
            if number
        ]
        return case.told(
            self.kind,
            end,
            summary=f"a stop cut off {' and '.join(what)} after {case.lasted(case.newest.at)}",
            cause="they took longer than a stop waits; a message that was cut off while it was sent may have arrived",
            advice="raise gateway.drain above the time that requests and handlers take, and the supervisor's own patience with it"
            " (TimeoutStopSec)",
            cost=Cost(doubled=case.amount),
        )


class RestartLoop(Repeating):
    """The process dies again and again.

    Looks for: 3 starts or more within 10 minutes, each after a process that had not let the account go. Starts at the first
    of them.

    From: NousResearch/hermes-agent#30719 and #64839, openclaw/openclaw#21944 (restart loops), #34052 (255 restarts in a day).
    """

    kind: ClassVar[str] = "restart-loop"
    events: ClassVar[frozenset[str]] = frozenset({"Started"})
    least = CRASHES

    def counts(self, row: Row) -> bool:
        """Tell whether a process took over from one that had not let go."""
        return row.source not in ("closed", "") and row.machine in TIES

    def reason(self, row: Row) -> str:
        """Return where it was left."""
        return f"left {row.source}"

    def amount(self, row: Row) -> int:
        """Return for how long nobody drove the account."""
        return int(row.get("offline", 0))

    def charge(self, case: Case, row: Row) -> None:
        """Name the connection."""
        case.address = row.address

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"the process ended without letting go {times(case.count, 'time')} in {case.lasted(at)}, and was started again",
            f"it was killed or crashed; the account was {case.reason.removeprefix('left ')} at the time",
            "look into the supervisor's log for what ended it (memory, a watchdog, an error at import); a message that is under"
            f" way each time is set aside after {setting(case.account, 'handling.attempts')} attempts",
            self.waiting.cost(case.account, None, case.start.at, at, down=case.amount),
        )


class LeaseConflict(Repeating):
    """Two processes take one account from one another.

    Looks for: a process that takes an account again which another one has taken meanwhile, without being let go. Starts where
    the other one took it.

    From: NousResearch/hermes-agent#54167 and #16376 (locks that outlive who took them), #17198; two programs that do not agree
    on where the locks are.
    """

    kind: ClassVar[str] = "lease-conflict"
    events: ClassVar[frozenset[str]] = frozenset({"Started"})

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._takes: dict[str, list[tuple[str, bool, Mark]]] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES:
            return ()
        takes = self._takes.setdefault(row.address, [])
        boot = str(row.get("boot", ""))
        takes.append((boot, row.source != "closed", Mark.of(row)))
        del takes[:-3]
        if len(takes) < 3 or takes[0][0] != boot or takes[1][0] == boot:
            return ()
        return self.add(row) if takes[1][1] or takes[2][1] else ()

    def mark(self, row: Row) -> Mark:
        """Return where the other one took it."""
        return self._takes[row.address][1][2]

    def reason(self, row: Row) -> str:
        """Return who they are."""
        return f"process {row.get('pid')} on {row.get('host')} took it back"

    def charge(self, case: Case, row: Row) -> None:
        """Name the connection."""
        case.address = row.address

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"two processes took the account from one another; one came back {times(case.count, 'time')} in {case.lasted(at)}",
            f"both run at the same time and do not see each other's lock ({case.reason})",
            "stop one of them, or let both use the same gateway.lock_folder (STATECORE_LOCK_DIR), on a disk that both see",
            self.waiting.cost(case.account, None, case.start.at, at),
        )
