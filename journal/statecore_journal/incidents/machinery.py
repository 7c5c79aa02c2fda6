"""What goes wrong below the machines: clocks, the disk, floods, adapters that raise."""

from collections.abc import Iterable
from typing import ClassVar, Final

from statecore.units import MINUTES, SECONDS, show_duration
from statecore_journal.incidents.cases import TIES, Case, Mark, Repeating, Told, Waiting, delays, times
from statecore_journal.incidents.model import Cost, Incident, Row

STEP_MIN: Final = 10 * SECONDS
"""A time server corrects less than this in passing, and no decision depends on it."""

SLEEP_MIN: Final = 60 * SECONDS
"""Shorter than that, a suspend costs less than a lost connection does."""

TOGETHER: Final = 5 * SECONDS
"""All accounts of a process are told of its clock at the same time; that is one incident."""

STALL_MIN: Final = 5 * SECONDS
"""A commit takes milliseconds; a slow disk that is flushed, a second or two."""

RUN_RATE: Final = 5
"""Rows a second of one connection. What is above it for long enough uses up a governor's budget; below, it is refilled."""


class ClockJump:
    """Somebody set the clock.

    Looks for: a wall clock that was set by 10 s or more. No decision depends on it; times in logs do. It is one row, and one
    incident for all accounts of a process.

    From: gambit/gambit#627 (spins after a clock was set back), moby/vpnkit#527, omnigent-ai/omnigent#5054.
    """

    kind: ClassVar[str] = "clock-jump"
    events: ClassVar[frozenset[str]] = frozenset({"ClockStepped"})

    def __init__(self, *, least: int = STEP_MIN) -> None:
        self.least = least
        self._seen = (0, 0)

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        by = int(row.get("by", 0))
        at, known = self._seen
        if abs(by) < self.least or (abs(by - known) <= SECONDS and row.at - at <= TOGETHER):
            return
        self._seen = row.at, by
        case = Case.at(Mark.of(row))
        yield case.told(
            self.kind,
            case.start,
            summary=f"the wall clock was set {'forward' if by > 0 else 'back'} by {show_duration(abs(by))}",
            cause="a person or a time server set it; deadlines are on another clock and did not move",
            advice="see that a time server keeps this machine's clock; times in the log before and after do not compare",
            cost=Cost(),
        )

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Find nothing: it is over at once."""
        return ()


class Suspended:
    """The machine slept.

    Looks for: a suspend of a minute or more. It is one row, and one incident for all accounts of a process.

    From: NousResearch/hermes-agent#89083 and #95922 (timers frozen, sockets dead, flags green), openclaw/openclaw#71412,
    freenet/freenet-core#2976.
    """

    kind: ClassVar[str] = "suspended"
    events: ClassVar[frozenset[str]] = frozenset({"Woke"})

    def __init__(self, *, least: int = SLEEP_MIN) -> None:
        self.least = least
        self.waiting = Waiting()
        self._seen = (0, 0)

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        slept = int(row.get("slept", 0))
        at, known = self._seen
        if slept < self.least or (slept == known and row.at - at <= TOGETHER):
            return
        self._seen = row.at, slept
        case = Case.at(Mark.of(row))
        cost = self.waiting.cost(row.account, None, row.at - slept, row.at, down=slept)
        yield case.told(
            self.kind,
            case.start,
            summary=f"the machine was suspended for {show_duration(slept)}{delays(cost)}",
            cause="a laptop was closed, or a host paused the virtual machine",
            advice="keep the machine awake (systemd-inhibit, or the host's settings) if the account is to answer at all times",
            cost=cost,
        )

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Find nothing: it is over at once."""
        return ()


class SpinHeld(Repeating):
    """The governor held an instance back.

    Looks for: an instance that made more transitions than its budget allows. Starts where the rush began, over when it has not
    been held for a minute.

    From: NousResearch/hermes-agent#31771, #41872 (75,658 calls in 3 s on a closing socket), #55487 (90 CPU-hours);
    AstrBotDevs/AstrBot#7708.
    """

    kind: ClassVar[str] = "spin-held"
    events: ClassVar[frozenset[str]] = frozenset({"Governed", "Arrived", "Noted", "Waited", "Idle", "Lost"})
    quiet = 1 * MINUTES

    def __init__(
        self, *, rate: float = RUN_RATE, least: int | None = None, within: int | None = None, quiet: int | None = None
    ) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self.rate = rate
        self._runs: dict[str, tuple[Mark, int, float]] = {}  # (where the rush began, newest row, rows above the rate)

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.event == "Governed":
            return self.add(row)
        if row.machine in TIES:
            start, at, above = self._runs.get(row.address, (None, 0, 0.0))
            above -= (row.at - at) / SECONDS * self.rate
            if start is None or above <= 0:
                start, above = Mark.of(row), 0.0
            self._runs[row.address] = start, row.at, above + 1
        return ()

    def key(self, row: Row) -> str:
        """Return the instance that was held."""
        return row.address

    def mark(self, row: Row) -> Mark:
        """Return where the rush began."""
        run = self._runs.get(row.address)
        return Mark.of(row) if run is None else run[0]

    def reason(self, row: Row) -> str:  # noqa: ARG002
        """Return nothing: the rows say what it was."""
        return ""

    def amount(self, row: Row) -> int:
        """Return for how long it was held."""
        return int(row.get("held", 0))

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"the governor held {case.start.address} back {times(case.count, 'time')} in {case.lasted(at)}, for"
            f" {show_duration(case.amount)} in all",
            "the platform sent, or answered, faster than an account may take in: a flood, or a peer that answers at once",
            "look with `statecore log` at what came from here on; if it is real traffic, raise gateway.governor.burst and"
            " gateway.governor.rows_per_second",
            Cost(),
        )


class JournalStall:
    """The journal could not be written, and everything stood.

    Looks for: rows that were written 5 s or more after they were decided, compared with those before and after. Starts at the
    first of them, ends at the first that was written at once again.

    From: openrundev/openrun#100 (a busy database that takes everything with it, a full disk), openclaw/openclaw#112951 (a log
    that grows), BYK/loreai#1221.
    """

    kind: ClassVar[str] = "journal-stall"
    events: ClassVar[frozenset[str]] = frozenset({"Started", "ClockStepped", "Woke"})
    lags: ClassVar[bool] = True

    def __init__(self, *, least: int = STALL_MIN) -> None:
        self.least = least
        self.waiting = Waiting()
        self._cases: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        case = self._cases.get(row.account)
        if row.event in self.events:  # another process, or another clock
            self._cases.pop(row.account, None)
            return
        lag, before = row.wall - row.at, row.lag_before
        if case is None:
            if before is not None and lag - before >= self.least:
                case = self._cases[row.account] = Case.at(Mark.of(row))
                case.extra, case.amount = before, lag - before
        elif lag - case.extra >= self.least:
            case.amount = max(case.amount, lag - case.extra)
            case.note(row)
        else:
            del self._cases[row.account]
            yield self._told(case, row)

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Find nothing: while it goes on, nothing can be written that would show it."""
        return ()

    def _told(self, case: Case, row: Row) -> Incident:
        cost = self.waiting.cost(case.account, None, case.start.at, case.start.at + case.amount)
        return case.told(
            self.kind,
            Mark.of(row),
            summary=f"nothing could be written for {show_duration(case.amount)}, and everything waited{delays(cost)}",
            cause="the journal's disk was full or slow, or another process held a lock on it",
            advice="see to the disk; lower gateway.retention.max_mb and retention.keep if the journal filled it; nothing else may"
            " write to the file",
            cost=cost,
        )


class AdapterFault(Repeating):
    """An adapter raised where it must return.

    Looks for: an attempt that ended in an error of the code that made it. It is treated as a failed attempt; it is a bug all the
    same. Starts at the first.

    From: NousResearch/hermes-agent#87382 and #59734 (an interface that drifted: a TypeError at each
    reconnect), puffo-ai/puffo-agent#298.
    """

    kind: ClassVar[str] = "adapter-fault"
    events: ClassVar[frozenset[str]] = frozenset({"Broken"})

    def counts(self, row: Row) -> bool:
        """Tell whether the code raised."""
        return row.get("how") == "died" and not row.ignored

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"{times(case.count, 'attempt')} of the adapter ended in an error of its own, in {case.lasted(at)}",
            f"a mistake in the adapter: {case.reason}",
            "report it to whoever made the adapter, with these rows; the process's log has where it was raised",
            Cost(),
        )
