"""Looking for incidents in a journal that goes on, beside whatever else is asked of it."""

import logging
import threading
from pathlib import Path
from typing import Any, Final, TypeAlias

from statecore.errors import StatecoreError
from statecore_journal import Reader
from statecore_journal.files import undisturbed
from statecore_journal.incidents import Incident, Row, Watch, installed
from statecore_journal.incidents.finding import Chats, Lags, made

log = logging.getLogger("statecore")

EVERY_S: Final = 1.0
"""How often it is looked whether there are new rows."""

ROWS_AT_ONCE: Final = 2_000
"""The file is closed between two readings, so that the gateway can start its log anew."""

PAUSE_S: Final = 0.01
"""Between two readings, so that questions of the page do not wait for all of a long journal to be read."""

FOUND_MAX: Final = 1_000
"""Incidents that are shown; of more, the newest. A page with more of them would help nobody."""

Columns: TypeAlias = tuple[Any, ...]
"""Of a row, in the order of `_COLUMNS`."""

_COLUMNS: Final = "seq, at, wall, machine, version, event, source, target, outcome, data, cause, epoch"


class Feed:
    """Shows rows to all monitors that are installed, one after the other, as `incidents.find` does.

    Args:
        source: the journal that they are from.
    """

    def __init__(self, source: Reader) -> None:
        self._watch = Watch(made(installed(log.warning).values(), log.warning))
        self._chats = Chats(source)
        self._lags = Lags()
        self._lag: int | None = None

    def wants(self, columns: Columns) -> bool:
        """Tell whether the next row is for any of them. To be asked of every row."""
        _, at, wall, address, _, event, _, target, *_ = columns
        self._lag = self._lags.shifted(address.partition("/")[2].partition("/")[0], wall - at)
        wanted = self._lag is not None or event in Chats.BEGIN or self._watch.wanted(event)
        if not wanted and target in Chats.ENDS:
            self._chats.forget(address)
        return wanted

    def see(self, columns: Columns) -> list[Incident]:
        """Show the row that was wanted, or what may be shown of it."""
        row = Row(*columns)
        row.chat = self._chats.of(row)
        row.lag_before = self._lag
        return self._watch.see(row)

    def going_on(self, at: int) -> list[Incident]:
        """Return what goes on at a moment."""
        return self._watch.going_on(at)


class Watching:
    """Runs the monitors over a journal in a thread of its own: first over what is there, then over what comes.

    Attributes:
        looking: whether it has not seen all of what was there yet.
    """

    def __init__(self, path: Path) -> None:
        self.looking = True
        self._reader = Reader(path)
        self._feed = Feed(self._reader)
        self._after = 0
        self._over: dict[tuple[str, str, int], Incident] = {}
        self._shown: list[Incident] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statecore-incidents", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait until it has."""
        self._stop.set()
        self._thread.join()

    def found(self) -> list[Incident]:
        """Return what was found so far."""
        return self._shown

    def _run(self) -> None:
        while not self._stop.is_set():
            self.run_once()
            self._stop.wait(EVERY_S)

    def run_once(self) -> None:
        """See all that is there."""
        try:
            while not self._stop.is_set() and self._read(self._reader):
                self._stop.wait(PAUSE_S)
        except StatecoreError as error:
            log.warning("looking for incidents: %s", error)
        self.looking = False

    @undisturbed
    def _next(self, reader: Reader) -> tuple[list[Columns], int | None]:
        """Return the next rows, and the last heartbeat there was by then."""
        with reader.reading() as connection:
            sql = f"select {_COLUMNS} from events where seq > ? order by seq limit ?"  # noqa: S608 - constants
            page = connection.execute(sql, (self._after, ROWS_AT_ONCE)).fetchall()
            (beat,) = connection.execute("select max(beat) from leases").fetchone()
        return page, beat

    def _read(self, reader: Reader) -> bool:
        """See the next rows; return whether there may be more."""
        page, beat = self._next(reader)
        for columns in page:
            if self._feed.wants(columns):
                self._keep(self._feed.see(columns))
        if page:
            self._after = page[-1][0]
            self._now, self._wall = page[-1][1], page[-1][2]
        if self._after:
            now = self._now + max(0, (beat or self._wall) - self._wall)
            self._show(self._feed.going_on(now))
        return len(page) == ROWS_AT_ONCE

    def _keep(self, found: list[Incident]) -> None:
        for one in found:
            self._over[one.identity] = one
        while len(self._over) > FOUND_MAX:
            del self._over[next(iter(self._over))]

    def _show(self, going_on: list[Incident]) -> None:
        shown = {**self._over, **{one.identity: one for one in going_on}}
        self._shown = sorted(shown.values(), key=lambda one: (one.first, one.kind))
