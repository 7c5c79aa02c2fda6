"""A journal as a gateway has it open, and as others reach it meanwhile."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trio

from statecore.account import Command
from statecore.errors import JournalBusy, JournalError
from statecore.units import MILLISECONDS, SECONDS
from statecore_journal import diverges, open_reader, submit
from tests.journal.desk import LAMPS, START, Clock, Hand, Pressed, opened, rows
from tests.journal.test_writer import run_child


def send(text: str, key: str = "", delivery: str = "d1") -> Command:
    return Command(id=0, kind="send", target="chat", delivery=delivery, text=text, key=key)


# ---- leases ----------------------------------------------------------------------------------------------------------


def test_every_owner_has_a_higher_epoch_than_the_last(tmp_path: Path) -> None:
    """
    The epoch is what fences; it must never repeat, over any number of processes.
    """
    path, wall = tmp_path / "gateway.db", Clock()

    async def main() -> None:
        for epoch in (1, 2, 3):
            async with opened(path, wall=wall) as journal:
                assert (await journal.take("wx", f"boot {epoch}", epoch, "host"))[0] == epoch
                assert (await journal.take("qq", f"boot {epoch}", epoch, "host"))[0] == epoch
                owner = journal.owner("wx")
                assert owner is not None
                assert (owner.pid, owner.boot, owner.epoch, owner.says) == (epoch, f"boot {epoch}", epoch, "running")

    trio.run(main)


def test_a_new_owner_learns_for_how_long_there_was_none(tmp_path: Path) -> None:
    """
    Timers that keep what was left to wait are moved by it.
    """
    path, wall = tmp_path / "gateway.db", Clock()

    async def main() -> None:
        async with opened(path, wall=wall) as journal:
            assert await journal.take("wx", "b", 1, "h") == (1, 0)
            wall.now += 10 * SECONDS
            await journal.beat({"wx": (1, "running")})
            wall.now += 60 * SECONDS
            assert await journal.take("wx", "b", 1, "h") == (2, 60 * SECONDS)
            wall.now -= 3600 * SECONDS
            assert await journal.take("wx", "b", 1, "h") == (3, 0), "a clock that was set back tells nothing"

    trio.run(main)


def test_a_heartbeat_of_a_former_owner_does_not_count(tmp_path: Path) -> None:
    """
    It would make its successor look alive.
    """
    path, wall = tmp_path / "gateway.db", Clock()

    async def main() -> None:
        async with opened(path, wall=wall) as journal:
            await journal.take("wx", "b", 1, "h")
            await journal.take("wx", "b", 2, "h")
            wall.now += 100 * SECONDS
            await journal.beat({"wx": (1, "running"), "nobody": (1, "running")})
            owner = journal.owner("wx")
            assert owner is not None
            assert owner.beat_age == 100 * SECONDS
            assert journal.owner("nobody") is None
            await journal.beat({"wx": (2, "paused: no space")})
            owner = journal.owner("wx")
            assert owner is not None
            assert (owner.beat_age, owner.says) == (0, "paused: no space")

    trio.run(main)


# ---- commands --------------------------------------------------------------------------------------------------------


def test_a_command_is_durable_whether_or_not_a_gateway_runs(tmp_path: Path) -> None:
    """
    `statecore send` may say "accepted" on a machine whose gateway is down.
    """
    path = tmp_path / "gateway.db"
    number, delivery = submit(path, "wx", send("hello"), wall=START)

    assert (number, delivery) == (1, "d1")

    async def main() -> None:
        async with opened(path) as journal:
            assert await journal.ask("wx", send("again", delivery="d2")) == (2, "d2")
            assert [(command.id, command.text) for command in journal.store.commands("wx")] == [
                (1, "hello"),
                (2, "again"),
            ]
            assert journal.store.commands("qq") == []
            await journal.finish(1, "refused: too long")
            assert [command.id for command in journal.store.commands("wx", most=1)] == [2]

    trio.run(main)

    with open_reader(path) as reader:
        assert reader.command_result(1) == "refused: too long"


def test_a_key_that_was_used_before_is_no_new_command(tmp_path: Path) -> None:
    """
    Whoever is not sure and asks again gets the receipt of the first, whether that waits, or was accepted long ago.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            assert submit(path, "wx", send("a", "k1", "d1"), wall=START) == (1, "d1")
            assert submit(path, "wx", send("a", "k1", "d2"), wall=START) == (1, "d1")
            assert submit(path, "qq", send("a", "k1", "d3"), wall=START) == (2, "d3")
            await Hand(journal).send("d9", key="k9")
            assert await journal.ask("wx", send("a", "k9", "d4")) == (0, "d9")
            assert len(rows(path, "select * from commands")) == 2

    trio.run(main)


MANY = """
import sys
from statecore.account import Command
from statecore_journal import submit
for number in range(40):
    submit(sys.argv[1], "wx", Command(id=0, kind="send", target="c", delivery=f"{sys.argv[2]}-{number}", text="t"), wall=1)
"""


def test_other_processes_submit_while_a_gateway_writes(tmp_path: Path) -> None:
    """
    Neither is refused, and neither loses anything.
    """
    path = tmp_path / "gateway.db"
    written: list[int] = []

    async def main() -> None:
        async with opened(path) as journal:
            children = [run_child(MANY, str(path), str(number)) for number in range(2)]

            async def write(hand: Hand, address: str) -> None:
                while any(child.poll() is None for child in children):
                    written.append(await hand.happen(address, Pressed()))

            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(write, Hand(journal, machines=LAMPS), f"lamp/wx/{number}")
            assert [child.wait() for child in children] == [0, 0]
            for child in children:
                assert child.stdout is not None
                child.stdout.close()
            assert journal.store.changed()
            assert len(journal.store.commands("wx")) == 80

    trio.run(main)

    assert sorted(written) == list(range(1, len(written) + 1))
    assert diverges(path, machines=LAMPS) is None


def test_submitting_to_a_locked_journal_is_busy_and_submits_nothing(tmp_path: Path) -> None:
    """
    Told to try again, a program must not send twice by doing so.
    """
    path = tmp_path / "gateway.db"
    submit(path, "wx", send("first"), wall=START)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(JournalBusy, match="nothing was written"):
            submit(path, "wx", send("second"), wall=START, busy_ns=100 * MILLISECONDS)
        other.execute("rollback")

    assert len(rows(path, "select * from commands")) == 1


def test_submitting_where_there_is_no_folder_says_so(tmp_path: Path) -> None:
    """
    A slip in a path is the usual reason.
    """
    with pytest.raises(JournalError, match="Check the folder"):
        submit(tmp_path / "no such folder" / "gateway.db", "wx", send("x"), wall=START)


# ---- opening ---------------------------------------------------------------------------------------------------------


def test_a_journal_that_is_closed_leaves_one_file(tmp_path: Path) -> None:
    """
    Whoever copies it after a stop copies all of it.
    """

    async def main() -> None:
        async with opened(tmp_path / "gateway.db") as journal:
            await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())
            assert journal.path == tmp_path / "gateway.db"

    trio.run(main)

    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db"]


def test_a_journal_is_closed_in_order_if_the_program_fails(tmp_path: Path) -> None:
    """
    What was handed over before is written; the error is the program's own.
    """

    async def main() -> None:
        async with opened(tmp_path / "gateway.db") as journal:
            await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        trio.run(main)

    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db"]
    assert len(rows(tmp_path / "gateway.db", "select * from events")) == 1


def test_importing_it_costs_no_adapter() -> None:
    """
    Tools that read a journal start without what speaks to platforms.
    """
    question = (
        "import statecore_journal, sys; print([name for name in sys.modules if name in ('httpx', 'h11', 'segno')])"
    )
    found = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"
