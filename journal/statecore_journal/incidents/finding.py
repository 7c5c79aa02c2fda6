"""Running monitors over a journal."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from statecore.errors import JournalCorrupt
from statecore.system import IN_LANES
from statecore.units import SECONDS
from statecore_journal.incidents.cases import Waiting
from statecore_journal.incidents.model import Incident, Monitor, Row
from statecore_journal.problems import RECOVER
from statecore_journal.reader import Reader, open_reader

log = logging.getLogger("statecore")

PAGE: Final = 5_000
"""Rows read at a time. Between two pages the file is closed, so a gateway that writes it can start its log anew."""

Make = Callable[[], Monitor]
"""Makes a monitor."""


class Watch:
    """Shows rows to monitors, each to those that want it, and keeps what they found.

    Args:
        monitors: them, in the order in which they see a row.
        report: told in a sentence of a monitor that raised; it is left out from then on.
    """

    def __init__(self, monitors: Iterable[Monitor], report: Callable[[str], None] = log.warning) -> None:
        self._monitors = list(monitors)
        self._report = report
        self._wanting: dict[str, tuple[Monitor, ...]] = {}
        self._lagging = tuple(monitor for monitor in self._monitors if getattr(monitor, "lags", False))

    def wanted(self, event: str) -> bool:
        """Tell whether any monitor wants to see rows of this event."""
        return bool(self._of(event))

    def _of(self, event: str) -> tuple[Monitor, ...]:
        found = self._wanting.get(event)
        if found is None:
            found = tuple(monitor for monitor in self._monitors if _wants(monitor, event))
            self._wanting[event] = found
        return found

    def see(self, row: Row) -> list[Incident]:
        """Show a row; return what first became certain, and what is over, by it."""
        found: list[Incident] = []
        monitors = self._of(row.event)
        if row.lag_before is not None:
            monitors = *monitors, *(monitor for monitor in self._lagging if monitor not in monitors)
        for monitor in monitors:
            try:
                found += monitor.see(row)
            except Exception as error:  # noqa: BLE001 - whoever wrote it; the others go on
                self._drop(monitor, error, f"at row {row.seq}")
        return found

    def going_on(self, at: int) -> list[Incident]:
        """Return what goes on and is certain at *at*."""
        found: list[Incident] = []
        for monitor in tuple(self._monitors):
            try:
                found += monitor.finish(at)
            except Exception as error:  # noqa: BLE001
                self._drop(monitor, error, "asked for what goes on")
        return found

    def news(self, at: int) -> tuple[list[Incident], frozenset[str]]:
        """Return what a gateway must hear at *at*, in ns, and the kinds of which that is only what is new; see `Monitor`."""
        found: list[Incident] = []
        terse: list[str] = []
        for monitor in tuple(self._monitors):
            ask = getattr(monitor, "news", None)
            try:
                found += monitor.finish(at) if ask is None else ask(at)
            except Exception as error:  # noqa: BLE001
                self._drop(monitor, error, "asked for what goes on")
            else:
                if ask is not None:
                    terse.append(monitor.kind)
        return found, frozenset(terse)

    def _drop(self, monitor: Monitor, error: Exception, when: str) -> None:
        self._monitors.remove(monitor)
        self._wanting.clear()
        self._lagging = tuple(one for one in self._lagging if one is not monitor)
        name = getattr(monitor, "kind", type(monitor).__name__)
        self._report(
            f"the monitor {name!r} raised {type(error).__name__}: {error} ({when}); it is left out from here on"
        )


def _wants(monitor: Monitor, event: str) -> bool:
    events = getattr(monitor, "events", None)
    return events is None or event in events


def find(
    source: Reader | str | Path,
    *,
    until: int | None = None,
    monitors: Iterable[Make] | None = None,
    report: Callable[[str], None] = log.warning,
) -> list[Incident]:
    """Read a journal and name what went wrong, oldest first. Memory grows with what is under way, not with the journal.

    Args:
        source: the journal; a gateway may be writing it.
        until: only rows up to this position, as if the journal ended there.
        monitors: what makes the monitors to run; None for all that are installed.
        report: told in a sentence of a monitor that could not be made, or raised.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    if not isinstance(source, Reader):
        with open_reader(source) as reader:
            return find(reader, until=until, monitors=monitors, report=report)
    if monitors is None:
        from statecore_journal.incidents.kinds import installed

        monitors = installed(report).values()
    watch = Watch(made(monitors, report), report)
    found: dict[tuple[str, str, int], Incident] = {}
    for row in rows(source, until=until, wanted=watch.wanted):
        for incident in watch.see(row):
            found[incident.identity] = incident
    for incident in watch.going_on(clock_at_end(source, until)):
        found[incident.identity] = incident
    return sorted(found.values(), key=lambda incident: (incident.first, incident.kind))


def made(monitors: Iterable[Make], report: Callable[[str], None]) -> list[Monitor]:
    """Make monitors; one that cannot be made is reported and left out. Those that ask what waits share one count of it."""
    waiting = Waiting()
    found: list[Monitor] = []
    for make in monitors:
        try:
            monitor = make()
            if hasattr(monitor, "waiting"):
                monitor.waiting = waiting
            found.append(monitor)
        except Exception as error:  # noqa: BLE001 - whoever wrote it; the others go on
            name = getattr(make, "kind", getattr(make, "__name__", repr(make)))
            report(f"the monitor {name!r} cannot be made: {type(error).__name__}: {error}")
    return [*found, waiting]


_COLUMNS: Final = "seq, at, wall, machine, version, event, source, target, outcome, data, cause, epoch"
_MAYBE: Final = type(None)
_KINDS: Final[tuple[set[type], ...]] = (
    {int}, {int}, {int}, {str}, {int}, {str}, {str}, {str}, {str, _MAYBE}, {str}, {int, _MAYBE}, {int},
)  # fmt: skip
"""What the columns hold; in a damaged file they may hold anything."""


def rows(
    source: Reader, *, after: int = 0, until: int | None = None, wanted: Callable[[str], bool] = lambda _: True
) -> Iterator[Row]:
    """Yield the rows of a journal in order, those of events that are wanted.

    Args:
        source: the journal.
        after: behind this position.
        until: up to this position.
        wanted: tells by its name whether an event is wanted.
    """
    chats, lags = Chats(source), Lags()
    end = 2**63 - 1 if until is None else until
    known: dict[str, bool] = {}
    while page := _page(source, after, end):
        for columns in page:
            event = columns[5]
            if event not in known:
                known[event] = wanted(event) or event in Chats.BEGIN
            shifted = lags.shifted(_account(columns[3]), columns[2] - columns[1])
            if known[event] or shifted is not None:
                row = Row(*columns)
                row.chat = chats.of(row)
                row.lag_before = shifted
                yield row
            elif columns[7] in Chats.ENDS:
                chats.forget(columns[3])
        after = page[-1][0]


def _account(address: str) -> str:
    return address.partition("/")[2].partition("/")[0]


def _page(source: Reader, after: int, end: int) -> Sequence[tuple[Any, ...]]:
    sql = f"select {_COLUMNS} from events where seq > ? and seq <= ? order by seq limit {PAGE}"  # noqa: S608
    page = source.ask(sql, after, end)
    kinds = (set(map(type, column)) for column in zip(*page, strict=True))
    if page and (any(found - known for found, known in zip(kinds, _KINDS, strict=True)) or page[-1][0] <= after):
        raise JournalCorrupt(f"{source.path} is damaged: what is behind row {after} are no rows. {RECOVER}")
    return page


def clock_at_end(source: Reader, until: int | None) -> int:
    """Return until when the journal speaks: after its last row, whoever drives an account went on to write a heartbeat."""
    end = 2**63 - 1 if until is None else until
    newest = source.ask(
        "select at, wall, (select max(beat) from leases) from events where seq <= ? order by seq desc limit 1", end
    )
    if not newest:
        return 0
    ((at, wall, beat),) = newest
    if not (isinstance(at, int) and isinstance(wall, int) and isinstance(beat, int | None)):
        raise JournalCorrupt(f"{source.path} is damaged: a time in it is no number. {RECOVER}")
    return at if until is not None else at + max(0, (beat or wall) - wall)


class Lags:
    """By how much the wall clock is ahead of the gateway's where rows are written, and where that changes."""

    CHANGE: Final = 1 * SECONDS
    """Clocks drift, and commits take a moment; neither does this from one row to the next."""

    def __init__(self) -> None:
        self._lags: dict[str, int] = {}

    def shifted(self, account: str, lag: int) -> int | None:
        """Return what it was before, in ns, if it has changed; else None."""
        before = self._lags.get(account)
        self._lags[account] = lag
        return before if before is not None and abs(lag - before) >= self.CHANGE else None


class Chats:
    """Which chat a delivery or a receipt belongs to: its first row says, and it is forgotten with its last.

    Args:
        source: the journal, which is asked where the first row is not among those that are read.
    """

    BEGIN: Final = frozenset({"Accepted", "Received"})
    ENDS: Final = frozenset({"delivered", "expired", "purged", "done"})

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._chats: dict[str, str] = {}

    def of(self, row: Row) -> str:
        """Return a row's chat; empty where nothing said."""
        if row.machine in ("circuit", "window"):
            return row.key
        if row.event in self.BEGIN:
            chat = str(row.get("chat", ""))
            if row.target not in self.ENDS:
                self._chats[row.address] = chat
            return chat
        if row.address not in self._chats and row.machine in IN_LANES and row.source not in self.ENDS:
            self._chats[row.address] = self._asked(row.address)
        if row.target in self.ENDS:
            return self._chats.pop(row.address, "")
        return self._chats.get(row.address, "")

    def _asked(self, address: str) -> str:
        found = self._source.ask("select chat from instances where address = ?", address)
        return str(found[0][0]) if found else ""

    def forget(self, address: str) -> None:
        """Forget one that is over."""
        self._chats.pop(address, None)
