"""A chat goes on with what comes next, whatever became of its first messages while nobody looked."""

from collections.abc import Callable

import pytest
import trio

from statecore.account import Command
from statecore.platform import Failure
from statecore.units import HOURS, SECONDS
from statecore_journal import submit
from tests.support.platform import QUICK, DialAnswer, Fake, Plain, refused, unclear
from tests.support.stage import Stage


def down_until(at: float) -> Callable[[int], DialAnswer | None]:
    return lambda _: Failure(stage="connect", error="refused") if trio.current_time() < at else None


@pytest.fixture
def quick(stage: Stage) -> Stage:
    stage.account = Fake(stage.server, Plain(), QUICK)
    return stage


@pytest.mark.parametrize("suspended", [False, True], ids=["while nobody drove it", "while the machine slept"])
def test_two_of_a_lane_expire_at_once_the_second_first(quick: Stage, suspended: bool) -> None:
    """
    The third was still waiting for its turn after twenty minutes, and went out only after a restart.
    """

    async def main() -> None:
        quick.server.say("ann", "hello")
        quick.server.dials.append(down_until(30))
        async with quick.gateway() as gateway:
            await trio.sleep(1)
            await quick.send(gateway, "ann", "first", expires="20s")
            await quick.send(gateway, "ann", "second", expires="10s")
            await quick.send(gateway, "ann", "third")
            if suspended:
                quick.world.suspend(1 * HOURS)
                await quick.settled("delivery", within=120)
        await trio.sleep(40)
        async with quick.gateway():
            await quick.settled("delivery", within=120)

    quick.run(main)
    assert quick.server.shown("ann") == ["third"]


def test_a_dead_message_is_revived_and_purged_at_once(quick: Stage) -> None:
    """
    It stood first in its lane as if it were to be sent, and nothing of that chat left any more.
    """

    async def main() -> None:
        quick.server.say("ann", "hello")
        quick.server.during(0, 5, refused("gone"))
        async with quick.gateway() as gateway:
            await quick.heard(1)
            receipt = await quick.send(gateway, "ann", "first")
            await receipt.settled()
        for kind in ("retry", "purge"):
            target = f"delivery/wx/{receipt.id}"
            submit(quick.path, "wx", Command(id=0, kind=kind, target=target), wall=quick.world.wall())
        await trio.sleep(10)
        async with quick.gateway() as gateway:
            await trio.sleep(5)
            await quick.send(gateway, "ann", "second")
            await quick.settled("delivery", within=120)

    quick.run(main)
    assert quick.server.shown("ann") == ["second"]


def test_a_message_that_was_asked_for_too_long_ago_is_not_sent(quick: Stage) -> None:
    """
    "The code is 1234" arrived forty minutes after it had expired.
    """

    async def main() -> None:
        quick.server.say("ann", "hello")
        async with quick.gateway():
            await quick.heard(1)
        wall = quick.world.wall()
        command = Command(
            id=0, kind="send", target="ann", delivery="d1", text="the code is 1234", lasts=10 * SECONDS, asked_wall=wall
        )
        submit(quick.path, "wx", command, wall=wall)
        await trio.sleep(2400)
        async with quick.gateway():
            await quick.settled("delivery", within=60)

    quick.run(main)
    assert quick.server.attempts == []
    assert quick.counts("delivery") == {("delivery", "expired"): 1}


def test_a_spell_without_answers_costs_some_messages_their_certainty_and_not_all(quick: Stage) -> None:
    """
    Every message in the queue was tried twice and then given up, "look in the chat", because polls still worked.
    """

    async def main() -> None:
        for number in range(40):
            quick.server.say(f"c{number}", "hello")
        quick.server.during(0, 120, unclear(takes=False))
        async with quick.gateway() as gateway:
            await quick.heard(40)
            for number in range(40):
                await quick.send(gateway, f"c{number}", f"m{number}")
            await trio.sleep(600)

    quick.run(main)
    dead = quick.counts("delivery").get(("delivery", "dead"), 0)
    assert dead <= 8, quick.counts("delivery", "circuit")
    assert len(quick.server.taken) == 40 - dead
