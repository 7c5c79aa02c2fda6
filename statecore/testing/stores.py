"""Journals for tests, that are written to and read from without `await`.

Both take units as the gateway's journal does, and hold what it would: events as rows, and where each instance is. `MemoryJournal`
writes the same rows into a list. `FileJournal` is the real thing, in a file.
"""

import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import trio

from statecore.errors import JournalCorrupt
from statecore.machine import Machine, Snapshot
from statecore.system import Store, Unit, revive
from statecore.testing.lives import BEGAN
from statecore_journal.fold import EVENTS, Divergence, Replay
from statecore_journal.memory import MemoryStore
from statecore_journal.reader import open_reader
from statecore_journal.rows import encode
from statecore_journal.sqlite import Journal, open_journal

T = TypeVar("T")
Row = tuple[Any, ...]


class HeldJournal(Protocol):
    """What a trial keeps its events in."""

    @property
    def store(self) -> Store:
        """Where instances are, for a `System`."""

    def append(self, unit: Unit) -> int:
        """Append a unit; return the position of its first row."""

    def rows(self, address: str) -> Iterable[Row]:
        """Return the events of an instance as the fold reads them: see `statecore_journal.fold.EVENTS`."""


class MemoryJournal:
    """A journal in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._rows: dict[str, list[Row]] = {}
        self._following = 1

    def append(self, unit: Unit) -> int:
        """Append a unit; return the position of its first row."""
        first = self._following
        for seq, (row, *_) in enumerate(encode(unit).entries, start=first):
            at, address, version, event, source, target, outcome, data, guards, schema, _ = row
            known = self._rows.setdefault(address, [])
            known.append((address, version, seq, at, event, source, target, outcome, data, guards, schema))
        self.store.append(unit, first)
        self._following += len(unit.entries)
        return first

    def rows(self, address: str) -> list[Row]:
        """Return the events of an instance as the fold reads them."""
        return self._rows.get(address, [])


class FileJournal:
    """A journal in SQLite, as a gateway has it: the same writer on a thread of its own, the same schema, durable commits.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="statecore-testing-journal", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        self.store = self._journal.store

    def _run(self) -> None:
        try:
            trio.run(self._hold)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            self._error = error
            self._ready.set()

    async def _hold(self) -> None:
        async with open_journal(self.path, wall=lambda: BEGAN) as self._journal:
            self._token = trio.lowlevel.current_trio_token()
            self._end = trio.Event()
            self._ready.set()
            await self._end.wait()

    def do(self, act: Callable[[Journal], Awaitable[T]]) -> T:
        """Do something with the journal, and wait for what comes of it."""

        async def inside() -> T:
            return await act(self._journal)

        return trio.from_thread.run(inside, trio_token=self._token)

    def append(self, unit: Unit) -> int:
        """Append a unit; return the position of its first row."""
        (first,) = self.do(lambda journal: journal.append([unit]))
        if not isinstance(first, int):
            raise JournalCorrupt(f"{self.path}: a unit without a key was taken for {first.address}")
        return first

    def rows(self, address: str) -> list[Row]:
        """Return the events of an instance as the fold reads them."""
        with open_reader(self.path) as reader, reader.reading() as connection:
            return connection.execute(f"{EVENTS} where machine = ? order by version", (address,)).fetchall()

    def close(self) -> None:
        """Close it; the file stays."""
        if self._thread.is_alive():
            trio.from_thread.run_sync(self._end.set, trio_token=self._token)
            self._thread.join()


@contextmanager
def opened(kind: str) -> Iterator[HeldJournal]:
    """Open a journal that is gone afterwards: "memory", or "sqlite" for one in a file."""
    if kind == "memory":
        yield MemoryJournal()
        return
    with TemporaryDirectory(prefix="statecore-") as folder, closing(FileJournal(Path(folder, "trial.db"))) as journal:
        yield journal


def rebuilt(
    journal: HeldJournal, address: str, machine: Machine, replay: Replay | None = None
) -> Snapshot | Divergence:
    """Fold the events of an instance from its beginning; return where that leads, or where it parts from the record."""
    folded = (replay or Replay(machine)).through(address, None, journal.rows(address))
    return folded if isinstance(folded, Divergence) else folded.snapshot


def restored(journal: HeldJournal, address: str, machine: Machine) -> Snapshot:
    """Return an instance as a process that starts would find it.

    Raises:
        CodecError: what is there does not fit the machine.
    """
    stored = journal.store.load(address)
    return machine.start() if stored is None else revive(machine, stored).snapshot
