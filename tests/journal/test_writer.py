"""The one writer: what is durable when, what fails with whom, and who is kept out."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from statecore.errors import CodecError, Conflict, Fenced, JournalBusy, JournalError, JournalFull
from statecore.system import Unit
from statecore.units import MILLISECONDS, SECONDS
from statecore_journal import Journal, diverges, open_reader
from statecore_journal.writer import BATCH_ROWS_MIN, Existing
from tests.journal.desk import LAMPS, START, Clock, Hand, Pressed, opened, rows

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def stalled(journal: Journal) -> AsyncIterator[None]:
    """Keep the writer busy, so that all that is appended in here goes into its next batches together."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal._writer.run, wait)
        await trio.to_thread.run_sync(begun.wait)
        try:
            yield
            await trio.testing.wait_all_tasks_blocked(0.01)
        finally:
            go_on.set()


async def attempt(journal: Journal, unit: Unit, results: dict[str, Any]) -> None:
    """Append a unit, and note what came of it."""
    try:
        (results[unit.entries[0].address],) = await journal.append([unit])
    except JournalError as error:
        results[unit.entries[0].address] = error


def count(path: Path) -> int:
    return int(rows(path, "select count(*) from events")[0][0])


# ---- order and durability --------------------------------------------------------------------------------------------


def test_what_was_appended_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    """
    "Accepted" may be said then, and not before.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            for expected in range(1, 20):
                assert expected == await hand.happen("lamp/wx/1", Pressed())
                assert expected == count(path)

    trio.run(main)


def test_positions_have_no_gaps_whoever_appends_when(tmp_path: Path) -> None:
    """
    A reader that goes on behind the last position it saw must miss nothing.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery:
            for number in range(100):
                hand = Hand(journal, machines=LAMPS)
                nursery.start_soon(hand.happen, f"lamp/wx/{number}", Pressed(), Pressed(), Pressed())

    trio.run(main)

    assert rows(path, "select seq from events order by seq") == [(seq,) for seq in range(1, 301)]
    assert diverges(path, machines=LAMPS) is None


def test_units_of_one_call_stand_together_and_in_order(tmp_path: Path) -> None:
    """
    A driver hands over what one turn of its loop decided; a crash leaves all of it or nothing.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            good = [hand.unit((f"lamp/wx/{n}", Pressed())) for n in range(5)]
            assert await journal.append(good) == [1, 2, 3, 4, 5]
            other = Hand(journal, machines=LAMPS)
            bad = [other.unit((f"lamp/wx/{n}", Pressed())) for n in range(5, 10)]
            bad.append(good[0])
            with pytest.raises(Conflict):
                await journal.append(bad)

    trio.run(main)

    assert count(path) == 5


def test_placed_is_told_in_the_order_of_the_journal_before_anyone_goes_on(tmp_path: Path) -> None:
    """
    Deliveries join their lanes in it. A sender that went on first could be overtaken by its own next message.
    """
    path = tmp_path / "gateway.db"
    told: list[int] = []
    gone_on: list[tuple[int, int]] = []

    async def send(journal: Journal, number: int) -> None:
        unit = Hand(journal, machines=LAMPS).unit((f"lamp/wx/{number}", Pressed()))
        (first,) = await journal.append([unit], lambda placed: told.extend(at for _, at in placed))
        assert isinstance(first, int)
        gone_on.append((first, len(told)))

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery, stalled(journal):
            for number in range(3 * BATCH_ROWS_MIN):
                nursery.start_soon(send, journal, number)

    trio.run(main)

    assert told == sorted(told)
    assert all(known >= first for first, known in gone_on)


def test_a_virtual_clock_gets_its_answer_at_once(tmp_path: Path) -> None:
    """
    Without a thread there is nothing that such a clock could run ahead of; the promises are the same.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path, threaded=False) as journal:
            hand = Hand(journal, machines=LAMPS)
            unit = hand.unit(("lamp/wx/1", Pressed()))
            before = trio.current_time()
            assert await hand.commit(unit) == 1
            assert trio.current_time() == before
            with pytest.raises(Conflict):
                await journal.append([unit])
            await hand.happen("lamp/wx/1", Pressed())
        with pytest.raises(JournalError, match="is closed"):
            await journal.append([unit])

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    assert count(path) == 2


def test_a_cancelled_append_is_either_not_begun_or_durable(tmp_path: Path) -> None:
    """
    A caller that is told "cancelled" while its row is in the file would do the same again.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            with trio.CancelScope() as scope:
                scope.cancel()
                await hand.happen("lamp/wx/early", Pressed())
            assert scope.cancelled_caught
            ended: list[int] = []

            async def append() -> None:
                ended.append(await Hand(journal, machines=LAMPS).happen("lamp/wx/late", Pressed()))

            async with trio.open_nursery() as nursery, stalled(journal):
                nursery.start_soon(append)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            assert ended == [1]

    trio.run(main)

    assert rows(path, "select machine from events") == [("lamp/wx/late",)]


def test_closing_writes_what_waits_and_then_refuses(tmp_path: Path) -> None:
    """
    A stop that dropped what was handed over would lose it silently.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery:
            async with stalled(journal):
                for number in range(10):
                    nursery.start_soon(Hand(journal, machines=LAMPS).happen, f"lamp/wx/{number}", Pressed())
            await journal._writer.close()
        with pytest.raises(JournalError, match="is closed"):
            await Hand(journal, machines=LAMPS).commit(Unit("wx", START))

    trio.run(main)

    assert count(path) == 10
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db"]


# ---- what fails with whom --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threaded", [True, False])
def test_a_bad_unit_in_a_batch_fails_alone(tmp_path: Path, *, threaded: bool) -> None:
    """
    Accounts share commits. One that is fenced off or at odds with the journal must not stop the others.
    """
    path = tmp_path / "gateway.db"
    results: dict[str, Any] = {}

    async def main() -> None:
        async with opened(path, threaded=threaded) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/stale", Pressed())
            stale = Hand(journal, machines=LAMPS)
            stale.system.instance("lamp/wx/stale")
            await hand.happen("lamp/wx/stale", Pressed())
            units = [Hand(journal, machines=LAMPS).unit((f"lamp/wx/{n}", Pressed())) for n in range(10)]
            units.insert(5, stale.unit(("lamp/wx/stale", Pressed())))
            async with contextlib.AsyncExitStack() as stack:
                nursery = await stack.enter_async_context(trio.open_nursery())
                if threaded:
                    await stack.enter_async_context(stalled(journal))
                for unit in units:
                    nursery.start_soon(attempt, journal, unit, results)

    trio.run(main)

    conflict = results.pop("lamp/wx/stale")
    assert isinstance(conflict, Conflict)
    assert "lamp/wx/stale" in str(conflict)
    assert sorted(results.values()) == list(range(3, 13))
    assert diverges(path, machines=LAMPS) is None


def test_a_value_that_cannot_be_written_never_reaches_the_thread(tmp_path: Path) -> None:
    """
    It is the fault of the one task that brought it.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            with pytest.raises(CodecError):
                await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed(note="\ud800"))
            assert await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed()) == 1

    trio.run(main)


def test_two_writers_cannot_both_take_the_same_step(tmp_path: Path) -> None:
    """
    Whoever comes second decided on what is no longer so. Its append must change nothing at all.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as one, opened(path) as other:
            ours, theirs = Hand(one, machines=LAMPS), Hand(other, machines=LAMPS)
            await ours.happen("lamp/wx/1", Pressed())
            theirs.system.instance("lamp/wx/1")
            await ours.happen("lamp/wx/1", Pressed())
            before = rows(path, "select * from events"), rows(path, "select * from instances")
            unit = theirs.unit(("lamp/wx/1", Pressed()), ("lamp/wx/2", Pressed()))
            unit.secrets["token"] = "x"
            unit.key = "k"
            with pytest.raises(Conflict):
                await other.append([unit])
            assert before == (rows(path, "select * from events"), rows(path, "select * from instances"))
            assert rows(path, "select * from secrets") == rows(path, "select * from keys") == []

    trio.run(main)


def test_a_step_from_a_place_the_journal_does_not_have_is_a_conflict(tmp_path: Path) -> None:
    """
    Rows that continue what is not there (because it was pruned, or never written) could not be replayed.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            hand.unit(("lamp/wx/1", Pressed()))
            with pytest.raises(Conflict, match="lamp/wx/1"):
                await hand.happen("lamp/wx/1", Pressed())
            assert count(path) == 0

    trio.run(main)


def test_a_function_that_fails_takes_nobody_with_it(tmp_path: Path) -> None:
    """
    The heartbeat and the commands share the commits of the machines.
    """
    path = tmp_path / "gateway.db"
    failed: list[BaseException] = []

    def clumsy(connection: sqlite3.Connection) -> None:
        connection.execute("insert into keys values ('wx', 'half', 'done')")
        connection.execute("select * from no_such_table")

    async def try_it(journal: Journal) -> None:
        try:
            await journal._writer.run(clumsy)
        except JournalError as error:
            failed.append(error)

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery, stalled(journal):
            for number in range(4):
                nursery.start_soon(Hand(journal, machines=LAMPS).happen, f"lamp/wx/{number}", Pressed())
            nursery.start_soon(try_it, journal)

    trio.run(main)

    assert count(path) == 4
    assert len(failed) == 1
    assert rows(path, "select * from keys") == []


# ---- fencing ---------------------------------------------------------------------------------------------------------


def test_a_former_owner_can_write_no_more_and_is_told_who_can(tmp_path: Path) -> None:
    """
    A process that was stopped for minutes goes on where it was, and must not send what its successor has sent.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as old, opened(path) as new:
            assert (await old.take("wx", "b1", 1, "h"))[0] == 1
            hand = Hand(old, machines=LAMPS)
            await hand.happen("lamp/wx/1", Pressed())
            assert (await new.take("wx", "b2", 2, "h"))[0] == 2
            unit = hand.unit(("lamp/wx/1", Pressed()))
            unit.secrets["token"] = "stale"
            with pytest.raises(Fenced) as caught:
                await old.append([unit])
            assert (caught.value.account, caught.value.ours, caught.value.current) == ("wx", 1, 2)
            assert count(path) == 1
            assert rows(path, "select * from secrets") == []
            await Hand(new, machines=LAMPS).happen("lamp/wx/1", Pressed())
            assert rows(path, "select epoch from events order by seq") == [(1,), (2,)]

    trio.run(main)


def test_the_fence_falls_between_two_jobs_of_one_batch(tmp_path: Path) -> None:
    """
    The lease may change hands inside one transaction. What was appended behind that is the former owner's.
    """
    path = tmp_path / "gateway.db"
    results: dict[str, Any] = {}

    async def main() -> None:
        async with opened(path) as journal:
            await journal.take("wx", "b1", 1, "h")
            async with trio.open_nursery() as nursery, stalled(journal):
                nursery.start_soon(
                    attempt, journal, Hand(journal, machines=LAMPS).unit(("lamp/wx/before", Pressed())), results
                )
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(journal.take, "wx", "b2", 2, "h")
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(
                    attempt, journal, Hand(journal, machines=LAMPS).unit(("lamp/wx/behind", Pressed())), results
                )

    trio.run(main)

    assert results["lamp/wx/before"] == 1
    assert isinstance(results["lamp/wx/behind"], Fenced)


def test_one_account_fenced_off_leaves_the_others_alone(tmp_path: Path) -> None:
    """
    A gateway drives many.
    """
    path = tmp_path / "gateway.db"
    results: dict[str, Any] = {}

    async def main() -> None:
        async with opened(path) as journal, opened(path) as other:
            await journal.take("wx", "b", 1, "h")
            await journal.take("qq", "b", 1, "h")
            await other.take("wx", "c", 2, "h")
            units = [
                Hand(journal, account, LAMPS).unit((f"lamp/{account}/{n}", Pressed()))
                for n in range(5)
                for account in ("wx", "qq")
            ]
            async with trio.open_nursery() as nursery, stalled(journal):
                for unit in units:
                    nursery.start_soon(attempt, journal, unit, results)

    trio.run(main)

    assert {address.split("/")[1] for address, result in results.items() if isinstance(result, Fenced)} == {"wx"}
    assert sorted(result for result in results.values() if isinstance(result, int)) == [1, 2, 3, 4, 5]


# ---- keys, secrets, commands -----------------------------------------------------------------------------------------


def test_a_key_is_taken_once_even_if_both_come_at_once(tmp_path: Path) -> None:
    """
    A program that is not sure whether its `send` went through does it again with the same key, and means one message.
    """
    path = tmp_path / "gateway.db"
    results: dict[str, Any] = {}

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery, stalled(journal):
            for number in range(6):
                unit = Hand(journal, machines=LAMPS).unit((f"lamp/wx/{number}", Pressed()))
                unit.key = f"key {number % 2}"
                nursery.start_soon(attempt, journal, unit, results)
        async with opened(path) as journal:
            unit = Hand(journal, machines=LAMPS).unit(("lamp/wx/later", Pressed()))
            unit.key = "key 0"
            await attempt(journal, unit, results)
            unit = Hand(journal, "qq", LAMPS).unit(("lamp/qq/later", Pressed()))
            unit.key = "key 0"
            await attempt(journal, unit, results)

    trio.run(main)

    took = {address for address, result in results.items() if isinstance(result, int)}
    assert len(took) == 3
    assert "lamp/qq/later" in took  # another account's keys are its own
    named = {result.address for result in results.values() if isinstance(result, Existing)}
    assert named == took - {"lamp/qq/later"}
    assert (
        results["lamp/wx/later"].address
        == dict(rows(path, "select key, address from keys where account = 'wx'"))["key 0"]
    )


def test_a_unit_that_is_dropped_for_its_key_still_carries_out_its_command(tmp_path: Path) -> None:
    """
    Or the command would be tried again at every look.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            first = Hand(journal, machines=LAMPS).unit(("lamp/wx/1", Pressed()))
            first.key = "k"
            await journal.append([first])
            await journal._writer.run(
                lambda connection: connection.execute(
                    "insert into commands values (7, 'wx', 'send', '', '{}', 1, null)"
                )
            )
            second = Hand(journal, machines=LAMPS).unit(("lamp/wx/2", Pressed()))
            second.key, second.done, second.secrets = "k", [7], {"token": "not ours to write"}
            assert await journal.append([second]) == [Existing("lamp/wx/1")]

    trio.run(main)

    assert rows(path, "select done from commands") == [("done",)]
    assert rows(path, "select * from secrets") == []


CANARY = "canary-5c1e7-token"


def test_a_secret_is_in_its_table_and_nowhere_else(tmp_path: Path) -> None:
    """
    Events are shown, exported and sent to others for help.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal)
            unit = hand.unit()
            unit.secrets["token/chat"] = CANARY
            await hand.commit(unit)
            await hand.receive("1")
            assert CANARY not in repr(unit)
            assert journal.secrets("wx").get("token/chat") == CANARY
            assert journal.secrets("qq").get("token/chat") is None

    trio.run(main)

    tables = [name for (name,) in rows(path, "select name from sqlite_master where type = 'table'")]
    holding = {name for name in tables if CANARY in repr(rows(path, f"select * from {name}"))}
    assert holding == {"secrets"}
    with closing(sqlite3.connect(path)) as connection:
        assert not any(CANARY in line for line in connection.iterdump() if '"secrets"' not in line)


def test_a_secret_that_is_forgotten_is_gone_from_the_file(tmp_path: Path) -> None:
    """
    None forgets one, `forget` all of the account's: a login that is new must not be answered with an old token.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            for account in ("wx", "qq"):
                unit = Unit(account, START)
                unit.secrets.update({"token/a": f"{CANARY}-a", "token/b": f"{CANARY}-b", "cursor": f"{CANARY}-c"})
                await journal.append([unit])
            unit = hand.unit()
            unit.secrets["token/a"] = None
            await journal.append([unit])
            assert journal.secrets("wx").get("token/a") is None
            assert journal.secrets("wx").get("token/b") == f"{CANARY}-b"
            unit = hand.unit()
            unit.forget = True
            unit.secrets["cursor"] = "new"
            await journal.append([unit])
            assert rows(path, "select name, value from secrets where account = 'wx'") == [("cursor", "new")]
            assert journal.secrets("qq").get("token/a") == f"{CANARY}-a"
            unit = Unit("qq", START)
            unit.forget = True
            await journal.append([unit])

    trio.run(main)

    assert CANARY.encode() not in path.read_bytes()


# ---- a journal that others hold, and disks that are full -------------------------------------------------------------


def test_a_lock_of_another_process_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    """
    Busy means that the machine pauses; it must neither hang for ever nor go on without its journal.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path, busy_ns=200 * MILLISECONDS) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", Pressed())
            unit = hand.unit(("lamp/wx/1", Pressed()))
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("begin immediate")
                began = trio.current_time()
                with pytest.raises(JournalBusy, match="fuser"):
                    await journal.append([unit])
                assert 0.1 < trio.current_time() - began < 3
                assert count(path) == 1
                other.execute("rollback")
            assert await journal.append([unit]) == [2]

    trio.run(main)


def test_a_lock_that_is_let_go_in_time_is_nothing_to_speak_of(tmp_path: Path) -> None:
    """
    Other processes write too: commands, pruning, a person with a shell.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", Pressed())
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("begin immediate")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(hand.happen, "lamp/wx/1", Pressed())
                    await trio.sleep(0.05)
                    other.execute("rollback")
            assert count(path) == 2

    trio.run(main)


def test_nobody_waits_for_a_lock_whose_rows_are_durable_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The results of a batch are handed out while the next is under way. If that one has to wait, they must not.
    """
    path = tmp_path / "gateway.db"
    ended: list[tuple[str, float]] = []

    async def append(journal: Journal, name: str) -> None:
        with contextlib.suppress(JournalBusy):
            await Hand(journal, machines=LAMPS).happen(f"lamp/wx/{name}", Pressed())
        ended.append((name, trio.current_time()))

    async def main() -> None:
        async with opened(path, busy_ns=1 * SECONDS) as journal:
            with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
                statements = iter(("select 1", "begin immediate", "select 1"))
                monkeypatch.setattr(journal._writer._wal, "bound", lambda _: other.execute(next(statements)))
                async with trio.open_nursery() as nursery, stalled(journal):
                    for number in range(BATCH_ROWS_MIN):
                        nursery.start_soon(append, journal, f"durable {number}")
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(append, journal, "waiting")
                other.execute("rollback")

    trio.run(main)

    *durable, (name, at) = ended
    assert (len(durable), name) == (BATCH_ROWS_MIN, "waiting")
    assert at - max(at for _, at in durable) > 0.5


def test_a_full_disk_loses_nothing_and_is_got_over(tmp_path: Path) -> None:
    """
    The driver stands at its commit until there is space again, and then goes on as if nothing had been.
    """
    path = tmp_path / "gateway.db"
    fat = "x" * 5000

    async def main() -> int:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", Pressed())
            pages = await journal._writer.run(lambda connection: connection.execute("pragma page_count").fetchone()[0])
            limit = f"pragma max_page_count = {pages + 40}"
            await journal._writer.run(lambda connection: connection.execute(limit).fetchone())
            written = 1
            unit = hand.unit(("lamp/wx/1", Pressed(note=fat)))
            with contextlib.suppress(JournalFull):
                while True:
                    await hand.commit(unit)
                    written += 1
                    unit = hand.unit(("lamp/wx/1", Pressed(note=fat)))
            assert count(path) == written
            with pytest.raises(JournalFull, match="Free some space"):
                await journal.append([unit])
            await journal._writer.run(
                lambda connection: connection.execute("pragma max_page_count = 1000000").fetchone()
            )
            assert await hand.commit(unit) == written + 1
            await hand.happen("lamp/wx/1", Pressed())
            return written + 2

    written = trio.run(main)

    assert 1 < written < 100
    assert count(path) == written
    assert diverges(path, machines=LAMPS) is None


QUOTA = """
import json, resource, signal, sys
from pathlib import Path
import trio
from statecore.errors import JournalFull
from tests.journal.desk import LAMPS, Hand, Pressed, opened

async def main():
    async with opened(Path(sys.argv[1])) as journal:
        hand = Hand(journal, machines=LAMPS)
        await hand.happen("lamp/wx/1", Pressed())
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        acknowledged, errors = 1, []
        unit = hand.unit(("lamp/wx/1", Pressed(note="x" * 5000)))
        while len(errors) < 3:
            try:
                await hand.commit(unit)
            except JournalFull as error:
                errors.append(str(error))
            else:
                acknowledged += 1
                unit = hand.unit(("lamp/wx/1", Pressed(note="x" * 5000)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        last = await hand.commit(unit)
    print(json.dumps([acknowledged, errors, last]))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
trio.run(main)
"""


def run_child(script: str, *arguments: str) -> "subprocess.Popen[str]":
    folders = [str(ROOT), *(str(ROOT / name) for name in ("adapters", "journal", "diagrams"))]
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )


def test_a_quota_that_is_used_up_loses_nothing_and_is_got_over(tmp_path: Path) -> None:
    """
    A real refusal of the operating system, in the middle of a write.
    """
    path = tmp_path / "gateway.db"
    with run_child(QUOTA, str(path)) as child:
        output, _ = child.communicate(timeout=60)

    acknowledged, errors, last = json.loads(output)
    assert acknowledged > 5
    assert all("nothing was recorded" in error or "nothing was written" in error for error in errors)
    assert last == acknowledged + 1 == count(path)
    assert diverges(path, machines=LAMPS) is None


# ---- kill -9 ---------------------------------------------------------------------------------------------------------

HEAVY = """
import os, sys
from pathlib import Path
import trio
from tests.journal.desk import LAMPS, START, Hand, Pressed, opened

async def main():
    async with opened(Path(sys.argv[1])) as journal, trio.open_nursery() as nursery:
        async def press(address):
            hand = Hand(journal, machines=LAMPS)
            while True:
                unit = hand.unit((address, Pressed(note="n")), (address + "b", Pressed()))
                unit.secrets[address] = str(unit.entries[0].decision.snapshot.version)
                first = await hand.commit(unit)
                os.write(1, f"{address} {unit.entries[0].decision.snapshot.version} {first}\\n".encode())
        for number in range(40):
            nursery.start_soon(press, f"lamp/wx/{number}")

trio.run(main)
"""


def test_everything_that_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """
    The promise the whole project stands on: what a caller was told, and what an effect relied on, is in the file, whole,
    whenever the process ends.
    """
    path = tmp_path / "gateway.db"
    acknowledged: dict[str, tuple[int, int]] = {}
    for number in range(4):
        with run_child(HEAVY, str(path)) as child:
            assert child.stdout is not None
            for _ in range(200 + 97 * number):
                address, version, seq = child.stdout.readline().split()
                acknowledged[address] = int(version), int(seq)
            child.send_signal(signal.SIGKILL)
            for line in child.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    address, version, seq = line.split()
                    acknowledged[address] = int(version), int(seq)
            child.wait()

        assert diverges(path, machines=LAMPS) is None
        with open_reader(path) as reader, reader.reading() as connection:
            for address, (wanted, at) in acknowledged.items():
                row = connection.execute("select seq from events where machine = ? and version = ?", (address, wanted))
                assert row.fetchone() == (at,)
                (held, twin, secret) = connection.execute(
                    "select version, (select version from instances where address = ? || 'b'),"
                    " (select value from secrets where name = ?) from instances where address = ?",
                    (address, address, address),
                ).fetchone()
                assert held >= wanted
                assert held == twin == int(secret), "a unit is there in part"


# ---- the log that SQLite keeps ---------------------------------------------------------------------------------------


def test_a_reader_that_stays_open_does_not_let_the_log_grow(tmp_path: Path) -> None:
    """
    Somebody looks at the status every second, and somebody else has left a log open in a pager overnight.
    """
    path = tmp_path / "gateway.db"
    sizes: list[int] = []

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", *[Pressed()] * 3)
            with open_reader(path) as reader:
                pager = reader.log()
                next(pager)
                for _ in range(250):
                    await hand.happen("lamp/wx/1", Pressed(note="x" * 100_000))
                    reader.status(Clock()())
                    sizes.append((tmp_path / "gateway.db-wal").stat().st_size)
                assert len(list(pager)) == 2

    trio.run(main)

    assert path.stat().st_size > 25_000_000
    assert max(sizes) < 8_000_000


def test_reads_without_a_pause_between_them_do_not_let_the_log_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    SQLite starts its log anew only at a moment when nobody reads. Busy readers could keep that moment from coming.
    """
    monkeypatch.setattr("statecore_journal.files.WAL_BYTES_MAX", 6_000_000)
    path = tmp_path / "gateway.db"
    sizes: list[int] = []
    done = threading.Event()

    def read() -> None:
        pair = [sqlite3.connect(path, isolation_level=None) for _ in range(2)]
        while not done.wait(0.002):
            pair[0].execute("begin")
            pair[0].execute("select count(*) from instances").fetchone()
            if pair[1].in_transaction:
                pair[1].execute("commit")
            pair.reverse()
        for connection in pair:
            connection.close()

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", Pressed())
            nursery.start_soon(trio.to_thread.run_sync, read)
            try:
                for _ in range(250):
                    await hand.happen("lamp/wx/1", Pressed(note="x" * 100_000))
                    sizes.append((tmp_path / "gateway.db-wal").stat().st_size)
            finally:
                done.set()

    trio.run(main)

    assert max(sizes) < 12_000_000
