"""What SQLite reports, in words a person can act on."""

import sqlite3
from pathlib import Path

import pytest

from statecore.errors import JournalBusy, JournalCorrupt, JournalError, JournalFull, NotAJournal
from statecore_journal.problems import problem, translated

FILE = Path("/data/gateway.db")


def error(code: int | None, text: str = "as SQLite says it") -> sqlite3.Error:
    raised = sqlite3.OperationalError(text)
    if code is not None:
        raised.sqlite_errorcode = code
    return raised


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (5, JournalBusy, "fuser /data/gateway.db"),
        (6, JournalBusy, "nothing was written"),
        (261, JournalBusy, "locked by another process"),  # BUSY_RECOVERY
        (517, JournalBusy, "locked by another process"),  # BUSY_SNAPSHOT
        (15, JournalBusy, "locked by another process"),
        (13, JournalFull, "Free some space"),
        (778, JournalFull, "its quota"),  # IOERR_WRITE
        (1034, JournalFull, "nothing was recorded"),  # IOERR_FSYNC
        (266, JournalCorrupt, ".recover"),  # IOERR_READ
        (522, JournalCorrupt, "Keep the file"),  # IOERR_SHORT_READ
        (11, JournalCorrupt, "restore a copy"),
        (267, JournalCorrupt, "is damaged"),  # CORRUPT_VTAB
        (26, NotAJournal, "name another file"),
        (8, JournalError, "its rights"),
        (14, JournalError, "Check the folder"),
        (1, JournalError, "/data/gateway.db: as SQLite says it"),
        (None, JournalError, "/data/gateway.db: as SQLite says it"),
    ],
)
def test_every_trouble_says_whose_fault_it_is_and_what_to_do(
    code: int | None, kind: type[JournalError], says: str
) -> None:
    """
    The class decides what a program does; the message, what a person does.
    """
    found = problem(error(code), FILE)

    assert type(found) is kind
    assert says in str(found)
    assert "/data/gateway.db" in str(found)


def test_text_that_is_no_text_is_damage() -> None:
    """
    Python's own complaint has no code.
    """
    found = problem(error(None, "Could not decode to UTF-8 column 'data' with text '\ufffd'"), FILE)

    assert isinstance(found, JournalCorrupt)


def test_a_closed_journal_says_that_it_is_closed(tmp_path: Path) -> None:
    """
    Somebody kept it beyond its context: a fault of the program, and not of the file.
    """
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.close()

    with pytest.raises(JournalError, match="is closed"), translated(tmp_path / "x.db"):
        connection.execute("select 1")


def test_the_error_of_sqlite_is_chained() -> None:
    """
    Whoever reports a bug needs both.
    """
    with pytest.raises(JournalFull) as caught, translated(FILE):
        raise error(13)

    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_what_is_no_trouble_of_sqlite_passes_through() -> None:
    """
    A bug must not look like a bad disk.
    """
    with pytest.raises(KeyError), translated(FILE):
        raise KeyError("x")
