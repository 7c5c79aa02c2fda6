"""D20, F6, E1: the journal cannot be written.

D20 (openclaw#50850: `.catch(() => {})`): the outcome is lost, and nobody minds. F6 (openrun#100): another process holds
the database. Fail closed: while nothing can be recorded nothing is done, and what waits for the record waits with it.
"""

import sqlite3
from contextlib import closing

import pytest
import trio

from statecore.errors import JournalBusy, JournalError, JournalFull
from statecore.gateway import Options
from statecore.messages import Delivered, Message
from tests.support.platform import QUICK, Fake, Plain
from tests.support.power import Power
from tests.support.stage import Stage, answer


def full(begin: float, end: float, *kinds: str) -> Power:
    """Make a disk that is full for a while, for some kinds of writes or for all."""

    def fault(kind: str) -> Exception | None:
        if begin <= trio.current_time() < end and (not kinds or kind in kinds):
            return JournalFull("the disk is full; nothing was written")
        return None

    return Power(fault=fault)


@pytest.mark.parametrize("seed", range(4))
def test_a_full_disk_pauses_everything_and_loses_nothing(stage: Stage, seed: int) -> None:
    """
    D20: outcomes of what was under way are kept until they can be recorded; nothing more is sent, nothing is handed over,
    nothing is accepted, and the account says why.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[float] = []

    async def main() -> None:
        async def handle(message: Message) -> None:
            handled.append(trio.current_time())
            await stage.send(gateway, message.chat, f"you said {message.text}")

        async with stage.gateway(power=full(10, 100)) as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await trio.sleep(9.9)
            for number in range(5):
                await stage.send(gateway, f"chat {number}", "right before|and after")
            await trio.sleep(0.2)
            stage.server.say("ann", "hello")
            await trio.sleep(50)
            with pytest.raises(JournalFull):
                await gateway.send("wx", "ann", "not accepted")
            assert "the disk is full" in gateway.troubles()["wx"]
            assert gateway.status().accounts[0].trouble
            assert len(stage.server.attempts) == 5
            assert not handled
            await trio.sleep_until(102)
            await stage.settled()
            assert not gateway.troubles()
            gateway.stop()

    book = stage.run(main, seed=seed)

    assert len(book.of("delivery", "delivered")) == 6
    assert not [held for held in book.of("delivery") if held.fields.get("doubled")]
    assert handled
    assert handled[0] >= 100


def test_what_is_decided_later_is_not_written_before_what_waits(stage: Stage) -> None:
    """
    The disk has room again, and a send comes before the account has tried to write what it decided meanwhile. Were it
    taken at once, time would go back in the journal, and nobody could run it again.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    refused: list[float] = []

    async def main() -> None:
        async with stage.gateway(power=full(10, 12.35)) as gateway:
            await trio.sleep(9.9)
            await stage.send(gateway, "ann", "right before")
            await trio.sleep_until(12)
            for number in range(20):
                await trio.sleep(0.1)
                try:
                    await stage.send(gateway, "bob", f"message {number}")
                except JournalFull:
                    refused.append(trio.current_time())
            await stage.settled()

    book = stage.run(main)

    times = [row.at for row in book.rows]
    assert times == sorted(times)
    assert len(book.of("delivery", "delivered")) == 1 + 20 - len(refused)
    assert refused
    assert refused[-1] < 14


def test_a_disk_that_is_full_from_the_start_is_waited_for(stage: Stage) -> None:
    """
    The account is not taken without a record of who has it, and taken as soon as there can be one.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway(power=full(0, 300)) as gateway:
            await trio.sleep(200)
            assert not stage.server.dialled
            assert "the disk is full" in gateway.troubles()["wx"]
            await trio.sleep_until(370)
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)

    stage.run(main)


def test_a_stop_on_a_full_disk_ends(stage: Stage) -> None:
    """
    What could not be recorded is found by the next start; a program that cannot end is worse.
    """
    stage.account = Fake(stage.server, Plain("always"), QUICK)
    stage.server.known_keys = True

    async def main() -> None:
        async with stage.gateway(power=full(10, 1e9)) as gateway:
            await trio.sleep(9.9)
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(5)
        assert trio.current_time() < 45
        async with stage.gateway():
            await stage.settled()

    stage.run(main)

    assert stage.server.shown() == ["hello"]


@pytest.mark.parametrize("kind", ["beat", "take", "finish", "ask"])
def test_no_single_write_that_fails_is_the_end(stage: Stage, kind: str) -> None:
    """
    E1: not the heartbeat's, not the lease's, not a command's.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway(power=full(0, 60, kind)) as gateway:
            with pytest.raises(JournalFull) if kind == "ask" else trio.CancelScope():
                await gateway.send("wx", "ann", "one")
            await trio.sleep(150)
            assert isinstance(await (await stage.send(gateway, "ann", "two")).settled(), Delivered)

    stage.run(main)


@pytest.mark.parametrize("error", [JournalError("a slip"), RuntimeError("a slip of ours")])
def test_an_error_nobody_expects_costs_a_restart_of_the_account_and_nothing_else(
    stage: Stage, error: Exception
) -> None:
    """
    E1: it is taken up again from the journal, which holds everything.
    """
    left = 3

    def fault(kind: str) -> Exception | None:
        nonlocal left
        if kind == "append" and trio.current_time() > 5 and left:
            left -= 1
            return error
        return None

    stage.account = Fake(stage.server, Plain("always"), QUICK)
    stage.server.known_keys = True

    async def main() -> None:
        async with stage.gateway(power=Power(fault=fault)) as gateway:
            await stage.connected()
            for number in range(3):
                await stage.send(gateway, f"chat {number}", "one|two|three")
            await trio.sleep_until(5.1)
            stage.server.say("ann", "hello")
            await trio.sleep(60)
            await stage.settled("delivery")
            assert not gateway.troubles()

    book = stage.run(main)

    assert left == 0
    assert book.events("Started")[-1].epoch == 1 + 3
    assert book.messages() == ["m1"]


def test_a_lock_that_another_process_holds_is_waited_for(stage: Stage) -> None:
    """
    F6: nothing is sent without its row, however long that takes.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        options = Options(lock_folder=stage.folder / "locks")
        async with stage.gateway(options=options, busy_ns=1_000_000) as gateway:
            await stage.connected()
            await trio.sleep(1)
            with closing(sqlite3.connect(stage.path, isolation_level=None)) as other:
                other.execute("begin immediate")
                with pytest.raises(JournalBusy):
                    await gateway.send("wx", "ann", "not accepted")
                stage.server.say("ann", "hello")
                await trio.sleep(30)
                assert "locked by another process" in gateway.troubles()["wx"]
                assert not stage.server.attempts
                other.execute("rollback")
            await stage.heard(1)
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)

    stage.run(main)
