"""What SQLite reports, in words a person can act on."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statecore.errors import Conflict, JournalBusy, JournalCorrupt, JournalError, JournalFull, NotAJournal

# https://sqlite.org/rescode.html; the low byte is the primary code
_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 26


def problem(error: sqlite3.Error, path: Path) -> JournalError:
    """Translate an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if isinstance(error, sqlite3.IntegrityError) and "events.machine" in str(error):
        return Conflict(f"another process appended to the same instance of {path} first")
    if primary in (_BUSY, _LOCKED):
        return JournalBusy(f"{path} is locked by another process; nothing was written. Find it with: fuser {path}")
    if primary == _FULL:
        return JournalFull(f"the disk that holds {path} is full; nothing was written. Free some space and go on")
    if primary == _IOERR:
        return JournalFull(
            f"{path} cannot be written ({error}); nothing was recorded. See to the disk, or to its quota"
        )
    if primary == _CORRUPT:
        return JournalCorrupt(
            f"{path} is damaged ({error}). Stop, keep the file, restore a copy, or save what can be read with: "
            "sqlite3 FILE .recover"
        )
    if primary == _NOTADB:
        return NotAJournal(f"{path} is not an SQLite database; name another file, or move this one away")
    if primary in (_READONLY, _CANTOPEN):
        return JournalError(f"{path} cannot be opened for that ({error}). Check the folder, its owner and its rights")
    return JournalError(f"{path}: {error}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite reports in here as a JournalError."""
    try:
        yield
    except sqlite3.Error as error:
        raise problem(error, path) from error
