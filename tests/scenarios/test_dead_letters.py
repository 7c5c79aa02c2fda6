"""D4, D17, D19: what can never be delivered.

D4 (openclaw#23777, #50850; hermes-agent#100660): retried for ever, and every restart begins anew. D17
(hermes-agent#60116): success is reported. D19 (hermes-agent#2910): nobody is told.
"""

import attrs
import pytest
import trio

from statecore.messages import Dead, Expired
from statecore.policies import Backoff, Retry
from tests.support.platform import QUICK, Fake, Plain, refused, unsent
from tests.support.stage import Stage


def test_what_is_refused_for_good_dies_once_and_stays_dead_over_twenty_restarts(stage: Stage) -> None:
    """
    D4: one request in all; it is listed with its reason and what a person can do, and its sender hears the same.
    """
    stage.server.during(0, 1e9, refused("gone"))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            outcome = await (await stage.send(gateway, "ann", "hello")).settled()
            assert outcome == Dead("gone: there is no such user", "check the chat's id")
        for _ in range(20):
            async with stage.gateway():
                await stage.connected()
        (letter,) = stage.letters()
        assert (letter.chat, letter.text, letter.state, letter.attempts) == ("ann", "hello", "dead", 1)
        assert letter.reason == outcome.reason
        assert letter.action == outcome.action

    stage.run(main)

    assert len(stage.server.attempts) == 1


def test_the_next_message_of_the_chat_is_not_held_up_by_a_dead_one(stage: Stage) -> None:
    """
    G5: dead is out of the lane.
    """
    stage.server.once(refused("gone"), containing="bad")
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for text in ("one", "bad", "two"):
                await stage.send(gateway, "ann", text)
            await stage.settled()

    stage.run(main)

    assert stage.server.shown() == ["one", "two"]


async def another_attempt(stage: Stage) -> None:
    """Wait for one."""
    count = len(stage.server.attempts)
    await stage.until(lambda: len(stage.server.attempts) > count)


@pytest.mark.parametrize("restarts", [0, 30])
def test_attempts_are_counted_over_restarts_and_end_with_age(stage: Stage, restarts: int) -> None:
    """
    D4 and D5 in one: neither does a restart give new life, nor does a minute of failures end it.
    """
    policies = attrs.evolve(QUICK, retry=Retry(attempts=5, age=600, backoff=Backoff(floor=1, cap=10)))
    stage.server.during(0, 1e9, unsent())
    stage.account = Fake(stage.server, Plain(), policies)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
        for _ in range(restarts):
            async with stage.gateway():
                await another_attempt(stage)
        async with stage.gateway():
            await stage.until(lambda: stage.counts("delivery") == {("delivery", "dead"): 1}, within=1200, every=5)
        for _ in range(5):
            async with stage.gateway():
                await stage.connected()

    book = stage.run(main)

    ends = [row.at for row in book.events("NotSent")]
    assert 600 <= (ends[-1] - ends[0]) / 1e9 < 640
    assert book.of("delivery")[0].fields["attempts"] == len(ends)


def test_a_person_may_have_it_tried_again_or_not_at_all(stage: Stage) -> None:
    """
    Demand 4: dead letters are listed, retried and purged.
    """
    stage.server.during(0, 30, refused("gone"))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            receipts = [await stage.send(gateway, "ann", text) for text in ("one", "two", "three")]
            for receipt in receipts:
                await receipt.settled()
            await trio.sleep_until(31)
            await stage.ask(gateway, "retry", f"delivery/wx/{receipts[0].id}")
            await stage.ask(gateway, "purge", f"delivery/wx/{receipts[1].id}")
            await stage.until(lambda: ("delivery", "delivered") in stage.counts("delivery"))
            assert isinstance(await receipts[1].settled(), Expired)

    book = stage.run(main)

    assert stage.server.shown() == ["one"]
    assert {held.state for held in book.of("delivery")} == {"delivered", "purged", "dead"}


def test_what_has_expired_says_so_and_is_not_sent(stage: Stage) -> None:
    """
    An answer nobody wants any more is worse than none.
    """
    stage.server.during(0, 60, unsent())
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            soon = await stage.send(gateway, "ann", "the taxi is here", expires="30s")
            later = await stage.send(gateway, "ann", "the taxi was here", expires="10m")
            outcome = await soon.settled()
            assert isinstance(outcome, Expired)
            assert "before any part was sent" in outcome.reason
            await later.settled()

    stage.run(main)

    assert stage.server.shown() == ["the taxi was here"]
