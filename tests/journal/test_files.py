"""A file that others have open, that is torn, or that must not be touched."""

import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trio

from statecore.account import Command
from statecore.errors import JournalBusy, JournalCorrupt, JournalError, NotAJournal
from statecore.units import SECONDS
from statecore_journal import Reader, diverges, fold, open_reader, submit
from statecore_journal.files import inspect, read_only, undisturbed
from statecore_journal.schema import SCHEMA_VERSION, connect, prepare
from tests.journal.desk import LAMPS, START, Hand, Pressed, files, opened, rows

ROOT = Path(__file__).parents[2]


def write(path: Path, times: int, note: str = "") -> None:
    """Write a journal, and close it."""

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            for number in range(times):
                await hand.happen(f"lamp/wx/{number % 7}", Pressed(note=note))

    trio.run(main)


@contextmanager
def running(path: Path, times: int, note: str = "") -> Iterator[None]:
    """Let another process write a journal, and keep it open."""
    script = f"""
        import sys, time
        from pathlib import Path
        import trio
        from tests.journal.desk import LAMPS, Hand, Pressed, opened

        async def main():
            async with opened(Path({str(path)!r})) as journal:
                hand = Hand(journal, machines=LAMPS)
                for number in range({times}):
                    await hand.happen(f"lamp/wx/{{number % 7}}", Pressed(note={note!r}))
                print("written", flush=True)
                await trio.sleep_forever()

        trio.run(main)
    """
    folders = [str(ROOT), *(str(ROOT / name) for name in ("adapters", "journal", "diagrams"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "written\n"
            yield
        finally:
            child.kill()


def read_everything(path: Path) -> int:
    """Ask a journal all that can be asked without writing; return how many events it has."""
    with open_reader(path) as reader:
        status = reader.status(START)
        assert len(list(reader.log())) == status.events
        reader.dead()
        reader.find("1")
        assert sum(folded.snapshot.version for folded in fold(reader, machines=LAMPS)) == status.events
    assert diverges(path, machines=LAMPS) is None
    return status.events


# ---- reading writes nothing ------------------------------------------------------------------------------------------


def test_reading_a_journal_that_nobody_has_open_changes_nothing(tmp_path: Path) -> None:
    """
    Evidence is looked at before it is understood.
    """
    path = tmp_path / "gateway.db"
    write(path, 30)
    before = files(tmp_path)

    assert read_everything(path) == 30
    assert before == files(tmp_path)


def test_reading_a_journal_that_a_gateway_writes_changes_nothing(tmp_path: Path) -> None:
    """
    Not even the index of the log, by which processes that write find each other.
    """
    path = tmp_path / "gateway.db"
    with running(path, 30):
        before = files(tmp_path)

        assert set(before) == {"gateway.db", "gateway.db-shm", "gateway.db-wal"}
        assert read_everything(path) == 30
        assert before == files(tmp_path)


def test_reading_a_journal_whose_gateway_was_killed_changes_nothing(tmp_path: Path) -> None:
    """
    SQLite would repair the index; the next gateway may do that.
    """
    path = tmp_path / "gateway.db"
    with running(path, 30):
        pass
    before = files(tmp_path)

    assert before["gateway.db-wal"]
    assert read_everything(path) == 30
    assert before == files(tmp_path)


def test_a_copy_without_the_index_of_its_log_is_read_whole_and_left_alone(tmp_path: Path) -> None:
    """
    Someone copied the two files that are described to be the journal, to look into them elsewhere.
    """
    path = tmp_path / "gateway.db"
    with running(path, 30):
        pass
    (tmp_path / "gateway.db-shm").unlink()
    before = files(tmp_path)

    assert read_everything(path) == 30
    assert before == files(tmp_path)


def test_a_log_that_is_gone_while_it_is_copied_was_closed_by_whoever_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A gateway that stops copies its log into the file and removes it, at any moment of somebody else's reading.
    """
    path = tmp_path / "gateway.db"
    with running(path, 30):
        pass
    (tmp_path / "gateway.db-shm").unlink()
    copyfile = shutil.copyfile

    def closing_meanwhile(source: Path, target: Path) -> None:
        with closing(sqlite3.connect(path)) as writer:
            writer.execute("select * from events").fetchall()
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", closing_meanwhile)

    assert read_everything(path) == 30
    assert not (tmp_path / "gateway.db-wal").exists()


def test_a_journal_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    """
    Backups are mounted like that. Root may write everywhere, so what counts is that nothing is tried.
    """
    path = tmp_path / "gateway.db"
    with running(path, 10):
        pass
    for file in tmp_path.iterdir():
        file.chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert read_everything(path) == 10
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_reader_cannot_write_if_it_wants_to(tmp_path: Path) -> None:
    """
    The promise is kept by SQLite, not by our being careful.
    """
    path = tmp_path / "gateway.db"
    write(path, 3)
    for suffix in ("", "-wal", "-shm"):
        if suffix:
            (tmp_path / f"gateway.db{suffix}").touch()
        with read_only(path) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("delete from events")


def test_a_reader_that_is_kept_sees_what_is_new_over_every_change_of_hands(tmp_path: Path) -> None:
    """
    A display is left on. Gateways start, stop, crash and start again beneath it.
    """
    path = tmp_path / "gateway.db"
    write(path, 5)
    with open_reader(path) as reader:
        assert reader.status(START).events == 5
        write(path, 5)
        assert reader.status(START).events == 10
        with running(path, 5):
            assert reader.status(START).events == 15
        assert reader.status(START).events == 15
        write(path, 5)
        assert reader.status(START).events == 20


def test_a_reader_and_a_writer_of_one_process_do_not_disturb_each_other(tmp_path: Path) -> None:
    """
    A gateway answers for its own status. Closing a file drops this process's locks on it, if it is not SQLite that does.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", Pressed())
            with open_reader(path) as reader, reader.reading() as reading:
                assert reading.execute("select count(*) from events").fetchone() == (1,)
                await hand.happen("lamp/wx/1", Pressed())
                journal.status()
                assert reading.execute("select count(*) from events").fetchone() == (1,), "one moment"
            await journal._writer.run(lambda connection: submit_meanwhile(path, connection))

    trio.run(main)


def test_what_was_read_while_somebody_began_to_use_the_file_is_read_again(tmp_path: Path) -> None:
    """
    A page is looked at while its gateway is restarted. SQLite looks for nobody in a file that nobody has open, and would
    call the journal damaged, or mix two moments.
    """
    path = tmp_path / "gateway.db"
    write(path, 5)
    found: list[int] = []

    @undisturbed
    def look(reader: Reader) -> int:
        with reader.reading() as reading:
            ((before,),) = reading.execute("select count(*) from events")
            if len(found) < 2:
                write(path, 40, note="x" * 500)
            found.append(before)
            if len(found) == 1:
                raise JournalCorrupt("what pages of two moments look like")
            ((rows_,),) = reading.execute("select count(*) from (select * from events order by data)")
            assert before == rows_
            return int(before)

    with open_reader(path) as reader:
        assert look(reader) == 85
        assert found == [5, 45, 85]
        with pytest.raises(JournalBusy, match="nothing is wrong with it"), reader.reading():
            write(path, 1)


def test_a_file_that_is_damaged_is_not_read_again_and_again(tmp_path: Path) -> None:
    """
    What is wrong with the file itself is said at once.
    """
    path = tmp_path / "gateway.db"
    write(path, 5)
    found = []

    @undisturbed
    def look(reader: Reader) -> None:
        with reader.reading():
            found.append(1)
            raise JournalCorrupt("a page is gone")

    with open_reader(path) as reader, pytest.raises(JournalCorrupt):
        look(reader)
    assert found == [1]


def test_a_file_that_is_gone_is_missed_in_a_sentence(tmp_path: Path) -> None:
    """
    Somebody tidied up beneath a display that was left on.
    """
    path = tmp_path / "gateway.db"
    write(path, 5)
    with open_reader(path) as reader:
        assert reader.status(START).events == 5
        path.unlink()

        with pytest.raises(JournalError, match="unable to open"):
            reader.status(START)
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_starts_while_its_own_process_reads_what_a_killed_one_left(tmp_path: Path) -> None:
    """
    A program that embeds it answers for its health in another thread. SQLite opens the index once for all of a process.
    """
    path = tmp_path / "gateway.db"
    with running(path, 5):
        pass
    writer = threading.Thread(target=write, args=(path, 5))
    with open_reader(path) as reader:
        with reader.reading() as reading:
            with pytest.raises(JournalBusy, match="by this same process"):
                connect(path, busy_ns=1)
            writer.start()
            assert reading.execute("select count(*) from events").fetchone() == (5,)
        writer.join()
        assert reader.status(START).events == 10
        with closing(connect(path, busy_ns=SECONDS)) as beside:
            beside.execute("begin immediate")
            assert reader.status(START).events == 10


def submit_meanwhile(path: Path, _: sqlite3.Connection) -> None:
    """See that the lock which this process holds still keeps out another one."""
    question = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0.1).execute('begin immediate')"
    with open_reader(path) as reader:
        reader.status(START)
    child = subprocess.run([sys.executable, "-c", question, str(path)], capture_output=True, check=False)
    assert b"locked" in child.stderr


def scattered(seed: int, number: int, below: int) -> int:
    """Return a number that is anywhere, and the same every time."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()) % below


# ---- torn files ------------------------------------------------------------------------------------------------------


def outcome(path: Path) -> int | str:
    """Open a journal in every way; return how many events it has, or by which error it is refused and left as it is."""
    before = files(path.parent)
    try:
        events = read_everything(path)
    except (NotAJournal, JournalCorrupt) as error:
        assert before == files(path.parent), "a refusal must leave the evidence"
        for attempt in (
            lambda: prepare(path, busy_ns=SECONDS),
            lambda: submit(path, "wx", Command(id=0, kind="x"), wall=START),
        ):
            with suppress(JournalError):
                attempt()
        if type(error) is NotAJournal or "torn" in str(error):
            assert before == files(path.parent), "so must a refusal to write"
        return type(error).__name__
    assert before == files(path.parent)
    write(path, 3)
    assert read_everything(path) == events + 3
    return events


@pytest.mark.parametrize("seed", range(2))
def test_a_file_cut_off_anywhere_is_refused_and_left_as_it_is(tmp_path: Path, seed: int) -> None:
    """
    A disk that was full, a copy that broke off: nobody may take what is left for the whole.
    """
    whole = tmp_path / "whole.db"
    write(whole, 60, note="x" * 300)
    size = whole.stat().st_size
    offsets = [1, 15, 99, 511, 512, 4095, size - 1, *(1 + scattered(seed, n, size - 1) for n in range(12))]
    for number, offset in enumerate(offsets):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "gateway.db"
        path.write_bytes(whole.read_bytes()[:offset])

        assert outcome(path) in ("NotAJournal", "JournalCorrupt"), offset


@pytest.mark.parametrize("seed", range(2))
def test_a_log_cut_off_anywhere_leaves_what_was_committed_before(tmp_path: Path, seed: int) -> None:
    """
    The machine lost power in the middle of a write. What comes before it is whole; the rest was never acknowledged.
    """
    origin = tmp_path / "origin"
    origin.mkdir()
    with running(origin / "gateway.db", 60):
        pass
    size = (origin / "gateway.db-wal").stat().st_size
    offsets = sorted([0, 1, 31, 32, 33, size - 1, *(scattered(seed, n, size) for n in range(10))])
    kept = 0
    for number, offset in enumerate(offsets):
        folder = tmp_path / str(number)
        shutil.copytree(origin, folder)
        os.truncate(folder / "gateway.db-wal", offset)
        if number % 2:
            (folder / "gateway.db-shm").unlink()

        found = outcome(folder / "gateway.db")
        assert isinstance(found, int), offset
        assert kept <= found < 60
        kept = found
    assert kept > 50


@pytest.mark.parametrize("seed", range(2))
def test_a_file_cut_off_beneath_its_log_is_refused_if_a_page_is_gone(tmp_path: Path, seed: int) -> None:
    """
    SQLite says so only when it comes to need the page, which may be after it has written to the others.
    """
    origin = tmp_path / "origin"
    origin.mkdir()
    write(origin / "gateway.db", 200, note="x" * 500)
    with running(origin / "gateway.db", 20):
        pass
    size = (origin / "gateway.db").stat().st_size
    found = []
    for number in range(10):
        folder = tmp_path / str(number)
        shutil.copytree(origin, folder)
        os.truncate(folder / "gateway.db", 512 + scattered(seed, number, size - 512))
        found.append(outcome(folder / "gateway.db"))

    assert set(found) <= {"JournalCorrupt", 220}, "it is whole if all that is gone is in the log too"
    assert "JournalCorrupt" in found


def test_pages_that_are_only_in_the_log_are_not_missing(tmp_path: Path) -> None:
    """
    That is how a journal looks while it grows.
    """
    path = tmp_path / "gateway.db"
    with running(path, 100, note="x" * 2000):
        with closing(sqlite3.connect(path)) as connection:
            pages, page = (connection.execute(f"pragma page_{name}").fetchone()[0] for name in ("count", "size"))
        assert path.stat().st_size < pages * page
        assert inspect(path, SCHEMA_VERSION) == SCHEMA_VERSION
        assert read_everything(path) == 100


@pytest.mark.parametrize("seed", range(4))
def test_damage_in_the_middle_is_said_in_our_words(tmp_path: Path, seed: int) -> None:
    """
    A page that was never written, or written with something else. Nobody can find that on opening, without reading it all;
    but whatever finds it must say what to do, and an append to it must not look like a bug.
    """
    path = tmp_path / "gateway.db"
    write(path, 300, note="x" * 200)
    content = bytearray(path.read_bytes())
    begin = 4096 + scattered(seed, 0, len(content) - 8192) // 512 * 512
    content[begin : begin + 4096] = bytes(4096) if seed % 2 else hashlib.shake_256(b"noise").digest(4096)
    path.write_bytes(content)

    with suppress(JournalError):
        read_everything(path)
    with suppress(JournalError):
        write(path, 20)


def test_an_empty_log_beside_it_is_no_log(tmp_path: Path) -> None:
    """
    SQLite leaves one behind where it cannot delete.
    """
    path = tmp_path / "gateway.db"
    write(path, 5)
    (tmp_path / "gateway.db-wal").touch()

    assert read_everything(path) == 5


def test_rows_are_as_they_were_after_all_this(tmp_path: Path) -> None:
    """
    The helpers of this file must not pass by doing nothing.
    """
    path = tmp_path / "gateway.db"
    write(path, 5)

    assert len(rows(path, "select * from events")) == 5
