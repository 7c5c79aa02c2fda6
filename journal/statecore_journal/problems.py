"""What SQLite reports, in words a person can act on."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from statecore.errors import JournalBusy, JournalCorrupt, JournalError, JournalFull, NotAJournal

# https://sqlite.org/rescode.html; the low byte is the primary code
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN = 3, 5, 6, 8, 10, 11, 13, 14
_PROTOCOL, _AUTH, _NOTADB = 15, 23, 26
_READING: Final = frozenset({266, 522, 8458, 8714})
"""Errors of the disk that are not about writing: READ, SHORT_READ, CORRUPTFS, IN_PAGE."""

RECOVER: Final = "Keep the file; restore a copy of it, or save what can be read with: sqlite3 FILE .recover"
"""What to do with a damaged journal."""


def problem(error: sqlite3.Error, path: Path) -> JournalError:
    """Translate an error of SQLite."""
    text = str(error)
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if is_busy(error):
        return JournalBusy(f"{path} is locked by another process; nothing was written. Find it with: fuser {path}")
    if primary == _FULL:
        return JournalFull(
            f"the disk that holds {path} is full, or the file may not grow; nothing was written. Free some space and go on"
        )
    if primary == _CORRUPT or code in _READING or (code is None and "UTF-8" in text):
        return JournalCorrupt(f"{path} is damaged ({text}). {RECOVER}")
    if primary == _IOERR:
        return JournalFull(f"{path} cannot be written ({text}); nothing was recorded. See to the disk, or to its quota")
    if primary == _NOTADB:
        return NotAJournal(f"{path} is not an SQLite database; name another file, or move this one away")
    if primary in (_PERM, _READONLY, _CANTOPEN, _AUTH):
        return JournalError(f"{path} cannot be opened for that ({text}). Check the folder, its owner and its rights")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in text:
        return JournalError(f"{path} is closed")
    return JournalError(f"{path}: {text}")


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another process holds what is needed."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (_BUSY, _LOCKED, _PROTOCOL)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite reports in here as a JournalError."""
    try:
        yield
    except sqlite3.Error as error:
        raise problem(error, path) from error
