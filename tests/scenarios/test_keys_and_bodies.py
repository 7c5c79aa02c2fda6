"""D13, D14, D16: what a key stands for.

D13 (nanobot#1394, LangBot#2290, AstrBot#4382): no key, or one for all parts, and the platform drops the second; another
one for every attempt, and it protects nobody. D14 (hermes-agent#110864): another text under the same key. D16
(PraisonAI#2578): a second way out that knows nothing of all this.
"""

import pytest
import trio

from statecore.account import Command
from statecore.messages import Delivered
from statecore_journal import submit
from tests.support.platform import QUICK, Fake, Plain, unclear, unsent, wechat
from tests.support.stage import Stage


def test_a_key_is_the_same_on_every_attempt_and_another_for_every_part(stage: Stage) -> None:
    """
    D13: over refusals, lost answers and restarts.
    """
    stage.server.once(unsent(), containing="one", times=3)
    stage.server.once(unclear(takes=False), containing="two")
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        for _ in range(4):
            async with stage.gateway() as gateway:
                if not stage.accepted:
                    await stage.connected()
                    await stage.send(gateway, "ann", "one|two|three")
                await trio.sleep(1.2)
        async with stage.gateway():
            await stage.settled()

    book = stage.run(main)

    (held,) = book.of("delivery")
    keys = {attempt.text: attempt.key for attempt in stage.server.attempts}
    assert keys == {text: f"sc-{held.key}-{place}" for place, text in enumerate(["one", "two", "three"])}
    assert len(stage.server.attempts) == 7


def test_the_cut_is_made_once_and_for_all(stage: Stage) -> None:
    """
    D14: a text accepted under one limit is not cut again under another, or a key would stand for another text.
    """
    text = "first sentence here. second sentence here. third sentence here. fourth sentence here."
    stage.server.once(unsent(), containing="second", times=2)
    stage.account = Fake(stage.server, wechat(chars=25), QUICK)

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            await stage.send(gateway, "ann", text)
            await stage.until(lambda: len(stage.server.attempts) == 2)
        stage.account = Fake(stage.server, wechat(chars=60), QUICK)
        async with stage.gateway():
            await stage.settled("delivery")

    stage.run(main)

    assert len(stage.server.shown()) == 4
    assert " ".join(part.strip() for part in stage.server.shown()) == text


def test_a_senders_own_key_is_used_once(stage: Stage) -> None:
    """
    hermes-agent#88054: the same request after every restart. A second `send` with the key is the first one.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        ids = set()
        for _ in range(3):
            async with stage.gateway() as gateway:
                await stage.connected()
                receipt = await stage.send(gateway, "ann", "please look", key="ticket 7")
                assert isinstance(await receipt.settled(), Delivered)
                ids.add(receipt.id)
                ids.add((await stage.send(gateway, "bob", "something else", key="ticket 7")).id)
        assert len(ids) == 1

    stage.run(main)

    assert stage.server.shown() == ["please look"]


def test_a_key_used_twice_while_nobody_drives_gives_receipts_that_settle(stage: Stage) -> None:
    """
    A receipt is a promise whichever process keeps it, also the receipt of a second `send` with the same key.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipts = [await stage.send(gateway, "ann", "please look", key="ticket 7") for _ in range(3)]
            with trio.fail_after(60):
                for receipt in receipts:
                    assert isinstance(await receipt.settled(), Delivered)
            assert len({receipt.id for receipt in receipts}) == 1

    stage.run(main)

    assert stage.server.shown() == ["please look"]


@pytest.mark.parametrize("seed", range(3))
def test_every_way_in_is_the_same_way_out(stage: Stage, seed: int) -> None:
    """
    D16: what another process hands over by the journal is a delivery like any other, in the order of its chat.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        def hand_over(number: int) -> None:
            command = Command(id=0, kind="send", target="ann", delivery=stage.world.new_id(), text=f"message {number}")
            submit(stage.path, "wx", command, wall=stage.world.wall())

        for number in range(5):
            hand_over(number)
        async with stage.gateway() as gateway:
            for number in range(5, 10):
                await stage.send(gateway, "ann", f"message {number}")
            for number in range(10, 15):
                hand_over(number)
                await trio.sleep(0.02)
            await trio.sleep(1)
            await stage.settled()
            assert trio.current_time() < 5

    book = stage.run(main, seed=seed)

    assert stage.server.shown() == [f"message {number}" for number in range(15)]
    assert all(done is not None for *_, done in book.commands)
