"""The file that an export goes to: nobody else may read it, it is never half there, and nothing is overwritten unasked."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from statecore.errors import JournalError, JournalFull
from statecore_journal.files import beside

BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database. What is left of another one of that name would be taken for the new one's."""


@contextmanager
def target(path: Path, source: Path, *, force: bool) -> Iterator[Path]:
    """Give a file to write to; it takes its name once it is whole.

    Args:
        path: the name it is to have.
        source: what is exported, which must not be overwritten.
        force: whether a file of that name may be replaced.

    Raises:
        JournalError: the name is taken, or the folder cannot be written.
        JournalFull: the disk is full.
    """
    _check(path, source, force=force)
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise JournalError(f"{path} cannot be written: {error.strerror}. Name another folder, or make it") from error
    os.close(number)
    part = Path(name)
    try:
        yield part
        _settle(part, path, force=force)
    except OSError as error:
        raise JournalFull(f"{path} cannot be written: {error.strerror}; nothing is left of it") from error
    finally:
        for file in (part, *(beside(part, suffix) for suffix in BESIDE)):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _check(path: Path, source: Path, *, force: bool) -> None:
    try:
        there = path.lstat()
        leftover = next((beside(path, suffix) for suffix in BESIDE if beside(path, suffix).exists()), None)
    except FileNotFoundError:
        there = None
        leftover = next((file for suffix in BESIDE if (file := beside(path, suffix)).exists()), None)
    except OSError as error:
        raise JournalError(f"{path} cannot be written: {error.strerror}") from error
    if there is not None:
        if not stat.S_ISREG(there.st_mode):
            raise JournalError(f"{path} is there and is no plain file; name another one")
        if source.exists() and path.samefile(source):
            raise JournalError(f"{path} is the journal itself; name another file")
        if not force:
            raise JournalError(f"{path} is there already; name another file, or say --force to replace it")
    if leftover is not None:
        raise JournalError(
            f"{leftover} is there, so {path} is or was a database that somebody has open; name another file"
        )


def _settle(part: Path, path: Path, *, force: bool) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    if force:
        part.replace(path)
    else:
        try:
            os.link(part, path)  # unlike a renaming, it fails if somebody has taken the name meanwhile
        except FileExistsError:
            raise JournalError(f"{path} has come to be meanwhile; name another file") from None
        except OSError:  # a disk without links
            part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
