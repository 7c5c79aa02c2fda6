"""How a file becomes a journal, and who may look into it."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from sqlite_utils import Database

from statecore import codec
from statecore.errors import CodecError, JournalBusy, JournalCorrupt, JournalError, JournalTooNew, NotAJournal
from statecore.events import External
from statecore.evolve import evolve
from statecore.machine import Machine, Signal, on
from statecore.units import MILLISECONDS, SECONDS
from statecore_journal import diverges, fold, open_reader
from statecore_journal.files import APPLICATION_ID, own
from statecore_journal.schema import MIGRATIONS, SCHEMA_VERSION, TABLES, connect, prepare
from tests.journal.desk import LAMPS, Hand, Pressed, files, opened, rows

BUSY = 5 * SECONDS


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def open_up(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o644)


@pytest.fixture
def permissive() -> Iterator[None]:
    """Let new files be readable by everyone, as far as the shell is concerned."""
    before = os.umask(0)
    yield
    os.umask(before)


# ---- making ----------------------------------------------------------------------------------------------------------


def test_a_journal_is_made_from_nothing(tmp_path: Path) -> None:
    """
    Every table and index that is described is there, and nothing else.
    """
    path = tmp_path / "gateway.db"
    prepare(path, busy_ns=BUSY)

    described = TABLES.count("create table"), TABLES.count("create index") + TABLES.count("create unique index")
    made = rows(
        path,
        "select name, type from sqlite_master where name not like '%sqlite%' and tbl_name not like '\\_%' escape '\\'",
    )
    assert described == (
        sum(kind == "table" for _, kind in made),
        sum(kind == "index" for name, kind in made if not name.startswith("_")),
    )
    assert rows(path, "pragma user_version") == [(SCHEMA_VERSION,)]
    assert rows(path, "pragma application_id") == [(APPLICATION_ID,)]
    assert rows(path, "pragma auto_vacuum") == [(2,)]
    assert rows(path, "pragma journal_mode") == [("wal",)]


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    """
    A service manager may have made it, with the right owner.
    """
    path = tmp_path / "gateway.db"
    path.touch(mode=0o666)
    prepare(path, busy_ns=BUSY)

    assert modes(tmp_path) == {"gateway.db": 0o600}
    assert rows(path, "pragma user_version") == [(SCHEMA_VERSION,)]


def test_opening_a_journal_again_writes_nothing(tmp_path: Path) -> None:
    """
    Every `statecore send` does it, while a gateway writes.
    """
    path = tmp_path / "gateway.db"
    prepare(path, busy_ns=BUSY)
    before = files(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        prepare(path, busy_ns=50 * MILLISECONDS)
        holder.execute("rollback")

    assert before == files(tmp_path)


def test_a_journal_that_was_only_begun_is_made_complete(tmp_path: Path) -> None:
    """
    The process was killed between making the file and making the tables.
    """
    path = tmp_path / "gateway.db"
    own(path)
    connect(path, busy_ns=BUSY).close()
    assert path.stat().st_size > 0
    with pytest.raises(NotAJournal, match="nothing in it"), open_reader(path):
        pass
    prepare(path, busy_ns=BUSY)

    assert rows(path, "select count(*) from events") == [(0,)]


def test_the_tables_are_made_all_at_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Half a journal would be refused as something else.
    """
    path = tmp_path / "gateway.db"
    with monkeypatch.context() as patched:
        patched.setattr(
            "statecore_journal.schema.TABLES", TABLES.replace("create table secrets", "create tablet secrets")
        )
        with pytest.raises(JournalError):
            prepare(path, busy_ns=BUSY)
    assert rows(path, "select name from sqlite_master") == []
    prepare(path, busy_ns=BUSY)

    assert rows(path, "select count(*) from secrets") == [(0,)]


MAKE = """
import sys
from pathlib import Path
from statecore_journal.schema import prepare
prepare(Path(sys.argv[1]), busy_ns=10**10)
"""


def test_many_processes_may_make_it_at_the_same_moment(tmp_path: Path) -> None:
    """
    A gateway and a `statecore send` are started by one script.
    """
    path = tmp_path / "gateway.db"
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / name) for name in (".", "journal"))}
    children = [subprocess.Popen([sys.executable, "-c", MAKE, str(path)], env=environment) for _ in range(6)]

    assert [child.wait(60) for child in children] == [0] * 6
    assert rows(path, "select name from _sqlite_migrations") == [("first",)]


# ---- who may look ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("permissive")
def test_only_the_owner_can_read_any_of_it(tmp_path: Path) -> None:
    """
    Context tokens and cursors are in it, and people's messages; and the log holds copies of them.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())
            assert modes(tmp_path) == dict.fromkeys(("gateway.db", "gateway.db-shm", "gateway.db-wal"), 0o600)

    trio.run(main)


def test_a_copy_that_everyone_can_read_is_put_right(tmp_path: Path) -> None:
    """
    Backups are restored by hand.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())
            open_up(tmp_path)
            own(path)
            assert modes(tmp_path) == dict.fromkeys(("gateway.db", "gateway.db-shm", "gateway.db-wal"), 0o600)

    trio.run(main)


def test_what_is_beside_a_link_is_beside_what_it_leads_to(tmp_path: Path) -> None:
    """
    SQLite follows links before it names its other files, and so must we.
    """
    (tmp_path / "disk").mkdir()
    path = tmp_path / "gateway.db"
    path.symlink_to(tmp_path / "disk" / "real.db")

    async def main() -> None:
        async with opened(path) as journal:
            await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())
            assert journal.status().events == 1

    trio.run(main)

    assert [file.name for file in (tmp_path / "disk").iterdir()] == ["real.db"]


# ---- what is refused -------------------------------------------------------------------------------------------------


def make_other(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table people (name)")


def make_text(path: Path) -> None:
    path.write_text("dear diary, " * 1000)


def make_short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def make_newer(path: Path) -> None:
    prepare(path, busy_ns=BUSY)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")


def make_foreign_mark(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma application_id = 77")


def make_torn(path: Path) -> None:
    prepare(path, busy_ns=BUSY)
    os.truncate(path, path.stat().st_size - 5000)


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (make_other, NotAJournal, "is an SQLite database of something else; name another file"),
        (make_foreign_mark, NotAJournal, "is an SQLite database of something else"),
        (make_text, NotAJournal, "is not an SQLite database; name another file"),
        (make_short, NotAJournal, "holds 16 bytes, so it is no journal"),
        (make_newer, JournalTooNew, f"schema {SCHEMA_VERSION + 1}, this one knows up to {SCHEMA_VERSION}"),
        (make_torn, JournalCorrupt, "sqlite3 FILE .recover"),
    ],
)
def test_what_is_no_journal_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, make: Any, kind: type[JournalError], says: str
) -> None:
    """
    A wrong path in a configuration must not cost anybody a database.
    """
    path = tmp_path / "gateway.db"
    make(path)
    before = files(tmp_path)

    with pytest.raises(JournalError) as writing:
        prepare(path, busy_ns=BUSY)
    with pytest.raises(JournalError) as reading, open_reader(path):
        pass

    assert (type(writing.value), type(reading.value)) == (kind, kind)
    assert says in str(writing.value)
    assert str(path) in str(writing.value)
    assert before == files(tmp_path)


def test_a_folder_is_refused_with_a_name_that_would_do(tmp_path: Path) -> None:
    """
    It is a common slip in a configuration.
    """
    with pytest.raises(NotAJournal, match="name a file, such as"):
        prepare(tmp_path, busy_ns=BUSY)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """
    It is not made: a disk that is not mounted would be hidden by it.
    """
    with pytest.raises(JournalError, match="Check the folder"):
        prepare(tmp_path / "not mounted" / "gateway.db", busy_ns=BUSY)
    with pytest.raises(JournalError, match="there is no journal at"), open_reader(tmp_path / "gateway.db"):
        pass


def test_a_journal_that_is_locked_while_it_is_made_is_busy(tmp_path: Path) -> None:
    """
    A bounded wait, and then an error that says so.
    """
    path = tmp_path / "gateway.db"
    own(path)
    with closing(connect(path, busy_ns=BUSY)) as other:
        other.execute("begin immediate")
        with pytest.raises(JournalBusy):
            prepare(path, busy_ns=100 * MILLISECONDS)
        other.execute("rollback")
    prepare(path, busy_ns=BUSY)


# ---- migrations and upcasters ----------------------------------------------------------------------------------------


def test_a_later_version_is_reached_from_an_earlier_one_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever updates statecore keeps the journal.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())

    trio.run(main)
    before = rows(path, "select * from events")

    def second(db: Database) -> None:
        db.execute("alter table leases add column colour text")

    monkeypatch.setattr(MIGRATIONS, "_migrations", [*MIGRATIONS._migrations])
    MIGRATIONS()(second)
    monkeypatch.setattr("statecore_journal.schema.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(JournalError, match="start a gateway on it once"), open_reader(path):
        pass
    for _ in range(2):
        prepare(path, busy_ns=BUSY)

    assert before == rows(path, "select * from events")
    assert rows(path, "select colour from leases") == []
    assert rows(path, "pragma user_version") == [(SCHEMA_VERSION + 1,)]
    monkeypatch.undo()
    with pytest.raises(JournalTooNew):
        prepare(path, busy_ns=BUSY)


@attrs.frozen
class Box:
    """What it remembers; version 1 had a `size` in centimetres."""

    schema = 2
    millimetres: int = 0


@attrs.frozen(kw_only=True)
class Measured(External):
    """Version 1 had `size`, in centimetres."""

    schema = 2
    millimetres: int


box = Machine(
    "box",
    remembers=Box,
    initial="unknown",
    table=[
        on(("unknown", "known"), Measured, "known", lambda was, event, _now: evolve(was, millimetres=event.millimetres))
    ],
    awaits={"unknown": Signal(Measured), "known": Signal(Measured)},
)

OLD_EVENT = """
insert into events (at, wall, machine, version, event, source, target, data, epoch, schema, definition)
values (1, 1, 'box/wx/1', ?, 'Measured', ?, 'known', ?, 0, ?, 1)
"""
OLD_INSTANCE = """
insert into instances (address, machine, account, chat, state, version, entered, seq, ord, live, final, at, schema, data)
values ('box/wx/1', 'box', 'wx', '', 'known', 2, 2, 2, 0, 0, 0, 1, ?, ?)
"""


def test_rows_of_an_older_version_are_lifted_and_never_rewritten(tmp_path: Path) -> None:
    """
    History is what was written then. What it means now is the upcaster's to say, and without one it is named.
    """
    path = tmp_path / "gateway.db"
    prepare(path, busy_ns=BUSY)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(OLD_EVENT, (1, "unknown", '{"size":3}', 1))
        connection.execute(OLD_EVENT, (2, "known", '{"millimetres":45}', 2))
        connection.execute(OLD_INSTANCE, (2, '{"millimetres":45}'))
    boxes = {"box": box}

    found = diverges(path, machines=boxes)
    assert found is not None
    assert found.seq == 1
    assert "no upcaster" in str(found)

    def lift(fields: dict[str, Any]) -> dict[str, Any]:
        return {"millimetres": fields["size"] * 10}

    codec.upcaster("Measured", since=1)(lift)
    codec.upcaster("Box", since=1)(lift)
    try:
        assert diverges(path, machines=boxes) is None
        with open_reader(path) as reader:
            (folded,) = fold(reader, until=1, machines=boxes)
        assert folded.snapshot.data == Box(30)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("delete from events where version = 2")
            connection.execute("delete from instances")
            connection.execute(OLD_INSTANCE.replace("2, 2, 2, 0", "1, 1, 1, 0"), (1, '{"size":3}'))
        assert diverges(path, machines=boxes) is None, "what is remembered is lifted too"
        assert rows(path, "select data, schema from events") == [('{"size":3}', 1)]
    finally:
        codec._upcasters.pop(("Measured", 1))
        codec._upcasters.pop(("Box", 1))
    with pytest.raises(CodecError), open_reader(path) as reader:
        list(fold(reader, machines=boxes))
