"""The file of a journal and the two that SQLite keeps beside it: reading them, judging them, bounding them.

Only SQLite opens the file and its `-shm`. Closing any other descriptor of them, in any thread, would drop the locks that
this process's own connections hold (https://sqlite.org/howtocorrupt.html, section 2.2). The `-wal` carries no locks.
"""

import functools
import os
import shutil
import sqlite3
import stat
import struct
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, ParamSpec, TypeAlias, TypeVar

from statecore.errors import JournalBusy, JournalCorrupt, JournalError, JournalTooNew, NotAJournal
from statecore_journal.neighbours import ALONE, BUSY_READING_S, among_neighbours
from statecore_journal.problems import RECOVER, translated

P = ParamSpec("P")
T = TypeVar("T")

APPLICATION_ID: Final = 0x53544A31
"""Marks the file as a journal of statecore ("STJ1"), in SQLite's own header field for that."""

SQLITE_BYTES_MIN: Final = 512
"""The smallest page, and so the smallest database, that SQLite knows."""

WAL_BYTES_MAX: Final = 32 * 1024 * 1024
"""A log longer than this is one that never found a moment without a reader. From here on the writer waits for one."""

WAL_WAIT_MS: Final = 100
"""For how long it waits. Reads of ours are over in less; who reads for longer delays the writer once every 4 MB."""

WAL_STEP_BYTES: Final = 4 * 1024 * 1024
"""After how much more it tries again."""

READINGS_MAX: Final = 5
"""How often a file is read that somebody begins to use each time."""


def beside(path: Path, suffix: str) -> Path:
    """Return the file that SQLite keeps beside a database. SQLite follows links before it looks for that."""
    return Path(os.path.realpath(path) + suffix)


def own(path: Path) -> None:
    """Make the file if there is none, and see that only its owner can read it and what is beside it.

    SQLite gives the other two the rights of the first, whatever the umask; but a copy of a journal may come with others.

    Raises:
        JournalError: that is not possible.
    """
    try:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        for file in (path, beside(path, "-wal"), beside(path, "-shm")):
            with suppress(FileNotFoundError):
                if stat.S_IMODE(file.stat().st_mode) & 0o077:
                    file.chmod(0o600)
    except OSError as error:
        raise JournalError(
            f"{path} cannot be opened for writing: {error.strerror}. Check the folder and its owner"
        ) from error


class Disturbed(JournalBusy):
    """Somebody began to use the file while it was read as one that nobody uses, so what was read means nothing."""


def undisturbed(reading: Callable[P, T]) -> Callable[P, T]:
    """Have a function that reads a journal, and may be called twice, read it again if it was `Disturbed`.

    Five times at most: a gateway that starts and stops all the time is one that nobody can look into.
    """

    @functools.wraps(reading)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(READINGS_MAX - 1):
            with suppress(Disturbed):
                return reading(*args, **kwargs)
        return reading(*args, **kwargs)

    return again


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection that cannot write, and has SQLite write nothing for its sake either.

    What it takes for that depends on who else has the file open, so a connection is not kept for longer than an answer.

    - No log beside it: nobody has it open. `immutable` keeps SQLite from making one just to read, and from looking
      whether anybody changes the file. So that is done here.
    - A log with its index: somebody has it open, or was killed. `readonly_shm` has SQLite make an index of its own in
      memory if the one that is there cannot be trusted, where it would otherwise repair it.
    - A log without: a copy that someone made to look into. SQLite would make the index beside it; so a copy is read.

    Raises:
        sqlite3.Error: see `translated`.
        Disturbed: somebody began to use the file meanwhile. It is raised in place of whatever came of reading it.
    """
    with ExitStack() as stack:
        connection, stamp = _open(path, stack)
        try:
            yield connection
        except Exception as error:
            if _changed(path, stamp):
                raise _disturbed(path) from error
            raise
        if _changed(path, stamp):
            raise _disturbed(path)


def _disturbed(path: Path) -> Disturbed:
    return Disturbed(f"somebody began to use {path} while it was read; nothing is wrong with it. Read it again")


Stamp: TypeAlias = tuple[int, ...]


def _stamp(path: Path) -> Stamp:
    """Return what is another when a file was written to, or replaced. What is only in the log beside it counts for nothing."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _changed(path: Path, stamp: Stamp | None) -> bool:
    return stamp is not None and stamp != _stamp(path)


def _open(path: Path, stack: ExitStack) -> tuple[sqlite3.Connection, Stamp | None]:
    """Return a connection, and the stamp that the file has to keep while it is read, unless SQLite sees to that."""
    for last in (
        False,
        False,
        True,
    ):  # whoever has the file open may close it, or begin to use it, between two lines here
        stamp = _stamp(path)
        uri = _uri(path) or _uri_of_copy(path, stack)
        shared = ALONE in uri
        if shared and not stack.enter_context(among_neighbours(path)):
            uri = uri.replace(ALONE, "")
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_READING_S)
        try:
            connection.execute("pragma schema_version").fetchone()
        except sqlite3.DatabaseError as error:
            connection.close()
            if last and _changed(path, stamp):
                raise _disturbed(path) from error
            if last:
                raise
        else:
            return stack.enter_context(closing(connection)), None if shared else stamp
    raise AssertionError("the last attempt returns or raises")


def _uri_of_copy(path: Path, stack: ExitStack) -> str:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="statecore-"))
    copy = Path(folder) / "journal"
    shutil.copyfile(path, copy)
    with suppress(FileNotFoundError):  # whoever had it open has just closed it
        shutil.copyfile(beside(path, "-wal"), beside(copy, "-wal"))
    # a gateway that is just starting makes the index a moment after the log, and then its files are the ones to read
    return _uri(path) or f"{copy.as_uri()}?mode=ro"


def _uri(path: Path) -> str | None:
    base = path.resolve().as_uri()
    if not _size(beside(path, "-wal")):
        return f"{base}?mode=ro&immutable=1"
    return f"{base}?mode=ro&{ALONE}" if beside(path, "-shm").exists() else None


def _size(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is none, or none any more."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@undisturbed
def inspect(path: Path, known: int, columns: Collection[tuple[str, str]] = ()) -> int:
    """Refuse what is no journal that this code can use, without changing a byte of it.

    Args:
        path: a file that is not empty.
        known: the newest schema that this code knows.
        columns: (table, column) that a file of that schema has.

    Returns:
        The schema of the file; 0 if nothing is in it yet.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise JournalError(f"there is no journal at {path}: {error.strerror}") from error
    if not stat.S_ISREG(about.st_mode):
        raise NotAJournal(f"{path} is no plain file; name the file of a journal")
    size = about.st_size
    if size < SQLITE_BYTES_MIN:
        raise NotAJournal(f"{path} holds {size} bytes, so it is no journal; name another file, or move this one away")
    with translated(path), read_only(path) as connection:
        connection.execute("begin")  # so that the log stays as it is while it is looked into
        mark, version, tables = (
            connection.execute(question).fetchone()[0]
            for question in (
                "pragma application_id",
                "pragma user_version",
                "select count(*) from sqlite_master where type = 'table'",
            )
        )
        missing = _missing_page(connection, path)
        lacking = sorted(set(columns) - set(connection.execute(_COLUMNS))) if version == known and not missing else []
    if mark != APPLICATION_ID and (mark or tables):
        raise NotAJournal(f"{path} is an SQLite database of something else; name another file for the journal")
    if version > known:
        raise JournalTooNew(
            f"{path} was written by a newer statecore (schema {version}, this one knows up to {known}); "
            "update statecore, or use another journal"
        )
    if missing is not None:
        raise JournalCorrupt(
            f"{path} is torn: its page {missing} is neither in its {path.stat().st_size} bytes nor in the log beside it. "
            f"{RECOVER}"
        )
    if lacking:
        table, column = lacking[0]
        raise JournalCorrupt(f"{path} has no column {column} in a table {table}, which a journal has. {RECOVER}")
    return int(version)


_COLUMNS: Final = (
    "select tables.name, columns.name from sqlite_master as tables, pragma_table_info(tables.name) as columns"
)


def _missing_page(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the number of a page that should be there and is not. SQLite would only say so once it needs the page."""
    (page_bytes,) = connection.execute("pragma page_size").fetchone()
    (pages,) = connection.execute("pragma page_count").fetchone()
    whole = path.stat().st_size // page_bytes
    if whole >= pages:
        return None
    logged = _logged_pages(beside(path, "-wal"))
    return next((page for page in range(whole + 1, pages + 1) if page not in logged), None)


_WAL_HEADER: Final = struct.Struct(">4x4xI4x8s8x")
_FRAME_HEADER: Final = struct.Struct(">I4x8s8x")
"""https://sqlite.org/fileformat2.html#the_write_ahead_log: page size and salts; page number and salts."""


def _logged_pages(log: Path) -> set[int]:
    """Return the numbers of the pages that are in a log since it last started anew."""
    found: set[int] = set()
    # Unbuffered: what is between the headers is not needed.
    with suppress(FileNotFoundError, struct.error), log.open("rb", buffering=0) as file:
        page_bytes, salts = _WAL_HEADER.unpack(file.read(_WAL_HEADER.size))
        while len(header := file.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size:
            page, own_salts = _FRAME_HEADER.unpack(header)
            if own_salts != salts:
                break
            found.add(page)
            file.seek(page_bytes, os.SEEK_CUR)
    return found


class Wal:
    """Keeps the log of a journal from growing without bound.

    SQLite starts it anew when all of it is in the file and no read of it is under way at that moment. Reads that follow
    one another closely can keep that moment from coming, so beyond `WAL_BYTES_MAX` it is waited for.

    Args:
        path: the journal.
    """

    def __init__(self, path: Path) -> None:
        self._log = beside(path, "-wal")
        self._enough = WAL_BYTES_MAX

    def restart(self) -> None:
        """Have the log started anew at the next opportunity."""
        self._enough = 0

    def bound(self, connection: sqlite3.Connection) -> None:
        """Start the log anew if it is too long; if somebody reads it for longer than we wait, try again later.

        Args:
            connection: the writer's, which waits for no lock otherwise.
        """
        try:
            size = self._log.stat().st_size
        except OSError:
            return
        if size < self._enough:
            return
        connection.execute(f"pragma busy_timeout = {WAL_WAIT_MS}")
        with suppress(sqlite3.Error):  # what was committed is safe where it is
            connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        connection.execute("pragma busy_timeout = 0")
        with suppress(OSError):
            self._enough = max(WAL_BYTES_MAX, self._log.stat().st_size + WAL_STEP_BYTES)
