"""Readers and writers of one file in one process."""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from statecore.errors import JournalBusy

BUSY_READING_S: Final = 5.0
"""How long a read waits for a lock. Readers of a WAL wait for nobody, but for a process that repairs it after a crash."""

ALONE: Final = "readonly_shm=1"
"""Has SQLite read beside other processes that write, and leave their index of the log alone."""


class _Here:
    """Keeps readers and writers of one file in this process out of each other's way.

    Within a process SQLite opens the index of a log once, the way that the first connection needs it. Beside a reader
    that leaves it alone nobody could write. So the first writer waits for those, while no reader begins; and what begins
    beside a writer reads in the ordinary way, since the index is open for writing then.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._writers: Counter[str] = Counter()

    def read(self, path: str) -> bool:
        """Begin to read; return whether with `ALONE`: beside a writer of this process there is no need to."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting[path], BUSY_READING_S)
            self._readers[path] += 1
            return not self._writers[path]

    def end_reading(self, path: str) -> None:
        """Undo that."""
        self._count(self._readers, path, -1)

    def write(self, path: str, timeout_s: float) -> None:
        """Begin to write.

        Raises:
            JournalBusy: something in this process still reads.
        """
        self._count(self._waiting, path, 1)
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._writers[path] or not self._readers[path], timeout_s):
                    raise JournalBusy(f"{path} is being read by this same process; nothing was written. End that first")
                self._writers[path] += 1
        finally:
            self._count(self._waiting, path, -1)

    def end_writing(self, path: str) -> None:
        """Undo that."""
        self._count(self._writers, path, -1)

    def _count(self, which: Counter[str], path: str, by: int) -> None:
        with self._changed:
            which[path] += by
            if not which[path]:
                del which[path]
            self._changed.notify_all()


_HERE: Final = _Here()


class WritingConnection(sqlite3.Connection):
    """A connection that may write; to be given to `sqlite3.connect` as `factory`.

    Raises:
        JournalBusy: something in this process reads the file, for longer than the timeout.
    """

    def __init__(self, path: str | Path, timeout: float = BUSY_READING_S, **options: Any) -> None:
        self._path = os.path.realpath(path)
        _HERE.write(self._path, timeout)
        self._counted = True
        try:
            super().__init__(path, timeout, **options)
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """Close it."""
        super().close()
        self._end()

    def _end(self) -> None:
        if self._counted:
            self._counted = False
            _HERE.end_writing(self._path)


@contextmanager
def among_neighbours(path: Path) -> Iterator[bool]:
    """Read for as long as the context lasts; tells whether with `ALONE`."""
    file = os.path.realpath(path)
    try:
        yield _HERE.read(file)
    finally:
        _HERE.end_reading(file)
