"""D16, E1: what other processes ask for, when it makes no sense.

Commands are durable, so one that trips its reader would be met again with every look and after every start.
"""

import pytest
import trio

from statecore.account import Command
from statecore.messages import Delivered
from statecore_journal import submit
from tests.support.platform import QUICK, Fake, Plain, refused
from tests.support.stage import Stage

ODD = [
    ("retry", "delivery/wx/nobody"),
    ("retry", "inbound/wx/nobody"),
    ("retry", ""),
    ("retry", "no such thing"),
    ("retry", "connection/wx"),
    ("retry", "delivery/other/nobody"),
    ("purge", "delivery/wx/nobody"),
    ("purge", "inbound/wx/"),
    ("resume", ""),
    ("resume", "a chat nobody knows"),
    ("credentials", ""),
    ("dance", "delivery/wx/nobody"),
    ("", ""),
    ("send", ""),
]


@pytest.mark.parametrize(("kind", "target"), ODD)
def test_a_command_that_makes_no_sense_is_carried_out_as_far_as_it_goes_and_never_again(
    stage: Stage, kind: str, target: str
) -> None:
    """
    It is marked as done, the account goes on, and nothing comes into being that was not there.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            number = submit(stage.path, "wx", Command(id=0, kind=kind, target=target), wall=stage.world.wall())
            await trio.sleep(5)
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)
            assert not gateway.troubles()
            assert number

    book = stage.run(main)

    assert [done for *_, done in book.commands] != [None]
    assert len(book.events("Started")) == 1
    assert len(book.of("delivery")) == 1
    assert not book.of("inbound")


def test_a_person_may_end_every_wait(stage: Stage) -> None:
    """
    Demand 12: a chat's circuit, a person's turn, a stop from outside.
    """
    stage.server.during(0, 10, refused("mute"), "ann")
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            receipt = await stage.send(gateway, "ann", "hello")
            await trio.sleep(12)
            await stage.ask(gateway, "resume", "ann")
            await receipt.settled()
            assert trio.current_time() < 16
            submit(stage.path, "wx", Command(id=0, kind="stop"), wall=stage.world.wall())
            await stage.until(lambda: stage.counts("connection") == {("connection", "closed"): 1})
            await trio.sleep(60)
            assert len(stage.server.dialled) == 1

    stage.run(main)


def test_a_person_who_knows_that_the_platform_is_well_need_not_wait_for_the_next_probe(stage: Stage) -> None:
    """
    After a quarter of an hour of refusals the circuit of an account waits for a quarter of an hour more.
    """
    stage.server.during(0, 900, refused("fast"))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            receipts = [await stage.send(gateway, chat, "hello") for chat in ("ann", "bob")]
            await trio.sleep(901)
            await stage.ask(gateway, "resume", "")
            for receipt in receipts:
                assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < 910

    book = stage.run(main)

    assert len(book.events("Reset")) == 1
