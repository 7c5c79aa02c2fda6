"""Restart race: the new process starts while the old one still has the account.

hermes-agent#17198: the old process held the token for eighteen seconds, and the new one exited for good. B5
(hermes-agent#98625): gave up after five tries, 38 hours without anybody. B4: locks that outlive who took them
(hermes-agent#16376, #18778). B6: a lock that never excluded anybody.
"""

import attrs
import pytest
import trio

from statecore.account import Command
from statecore.messages import Delivered, Message
from statecore_journal import submit
from tests.support.platform import QUICK, Fake, Plain, Server
from tests.support.power import Power
from tests.support.stage import Stage, answer


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("held", [18, 900])
def test_a_newcomer_waits_for_the_old_owner_and_takes_over_within_a_second(stage: Stage, held: int, seed: int) -> None:
    """
    However long that takes; messages come in and go out all the while, each of them once.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[tuple[str, str]] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process, "old", 0, held)
            nursery.start_soon(process, "new", 1, held + 30)
            for number in range(10):
                await trio.sleep((held + 10) / 10)
                stage.server.say("ann", f"message {number}")

    async def process(name: str, begin: float, end: float) -> None:
        await trio.sleep(begin)
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:

            async def handle(message: Message) -> None:
                handled.append((name, message.text))
                await stage.send(gateway, message.chat, f"{name} got {message.text}")

            nursery.start_soon(answer, gateway, handle)
            if name == "new":
                await trio.sleep(2)
                assert "waiting for process" in gateway.troubles()["wx"]
            await trio.sleep_until(end)
            gateway.stop()

    book = stage.run(main, seed=seed)

    assert [text for _, text in handled] == [f"message {number}" for number in range(10)]
    assert {name for name, _ in handled} == {"old", "new"}
    assert len(stage.server.shown()) == 10
    closed = next(row for row in book.rows if row.target == "closed")
    started = book.events("Started")[1]
    assert 0 <= started.at - closed.at < 1_000_000_000
    assert [row.epoch for row in book.events("Started")] == [1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_owner_is_succeeded_at_once(stage: Stage, seed: int) -> None:
    """
    The lock is the kernel's and ends with its holder, so there is nothing stale to wait out.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(old)
            await trio.sleep(1)
            async with stage.gateway() as gateway:
                await trio.sleep(4)
                power.cut()
                await stage.until(lambda: len(stage.server.dialled) == 2)
                assert trio.current_time() < 6
                assert isinstance(await (await stage.send(gateway, "ann", "after")).settled(), Delivered)

    async def old() -> None:
        async def program(_gateway: object) -> None:
            await trio.sleep_forever()

        await stage.boot(program, power)

    stage.run(main, seed=seed)


def test_what_is_sent_by_a_process_that_waits_leaves_by_the_one_that_drives(stage: Stage) -> None:
    """
    `send` works while another process has the account, it is as durable, and its receipt settles.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as driving, stage.gateway() as waiting:
            await stage.connected()
            receipts = []
            for number in range(10):
                gateway = driving if number % 2 else waiting
                receipts.append(await stage.send(gateway, "ann", f"message {number}"))
            for receipt in receipts:
                assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < 5

    stage.run(main)

    assert stage.server.shown("ann") == [f"message {number}" for number in range(10)]


def test_two_accounts_of_one_identity_never_poll_at_once(stage: Stage) -> None:
    """
    B6: even within one program, and under two names; the second waits and says so.
    """
    other = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway({"wx": stage.account, "again": other}) as gateway:
            await trio.sleep(60)
            assert len(gateway.troubles()) == 1

    stage.servers = {}
    stage.run(main)

    assert len(stage.server.dialled) == 1
    assert stage.server.most_under_way == 1


@pytest.mark.parametrize("left", [b"", b"\0\0\0\0", b"{", b'{"pid": 1, "host": "here"}', b"[]"])
def test_what_a_dead_process_left_in_the_lock_file_keeps_nobody_out(stage: Stage, left: bytes) -> None:
    """
    B4: an empty file, half a JSON, the number of some other process: only the lock counts.
    """

    async def main() -> None:
        async with stage.gateway():
            await stage.connected()
        for file in (stage.folder / "locks").iterdir():
            file.write_bytes(left)
        began = trio.current_time()
        async with stage.gateway():
            assert await stage.connected() - began < 1

    stage.run(main)


def test_a_former_owner_that_goes_on_is_fenced_off_and_stays_away(stage: Stage) -> None:
    """
    G6: a process that finds itself succeeded writes nothing and sends nothing more, and does not take the account back
    from an owner who is alive, or the two would take it from each other for ever.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    usurper = Server()

    async def main() -> None:
        async with stage.gateway() as old:
            await stage.connected()
            elsewhere = attrs.evolve(stage.account, identity="as it is called on another machine", server=usurper)
            async with stage.gateway({"wx": elsewhere}) as new:
                await stage.until(lambda: len(usurper.dialled) == 1)
                stage.server.say("ann", "to the former owner")
                await trio.sleep(120)
                assert not new.troubles()
                assert "another process" in old.troubles()["wx"]
            stage.server.say("ann", "to the former owner, who drives again")
            await stage.heard(2)

    stage.servers = {}
    stage.run(main)

    assert len(stage.server.dialled) == 2
    assert len(usurper.dialled) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_former_owner_with_messages_to_accept_does_not_fall_over_them(stage: Stage, seed: int) -> None:
    """
    E1, G6: it finds out that it was succeeded while it carries out what another process asked for. That concerns the one
    account, and whoever drives it now accepts the messages.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    usurper = Server()
    other = Fake(Server(), Plain(), QUICK, identity="another account")

    async def main() -> None:
        async with stage.gateway({"wx": stage.account, "other": other}) as old:
            await stage.connected()
            elsewhere = attrs.evolve(stage.account, identity="as it is called on another machine", server=usurper)
            async with stage.gateway({"wx": elsewhere}):
                for number in range(20):
                    command = Command(
                        id=0, kind="send", target="ann", delivery=stage.world.new_id(), text=f"text {number}"
                    )
                    submit(stage.path, "wx", command, wall=stage.world.wall())
                    await trio.sleep(0.04)
                await trio.sleep(5)
                await (await stage.send(old, "bob", "hello", "other")).settled()

    stage.servers = {}
    stage.run(main, seed=seed)

    assert stage.server.shown() + usurper.shown() == [f"text {number}" for number in range(20)]
