"""E10, E11, G8: what status says, and what is so.

E10 (hermes-agent#40199, #88305, LifeOS#2044): green while nothing works, red while all does. Unknown is a value.
"""

import pytest
import trio

from statecore.gateway import Gateway
from statecore.platform import Failure
from statecore_journal import AccountStatus, open_reader
from tests.support.platform import QUICK, Fake, Plain
from tests.support.power import Power
from tests.support.stage import Stage


def status(stage: Stage) -> AccountStatus:
    """Ask as another process does."""
    with open_reader(stage.path) as reader:
        (account,) = reader.status(stage.world.wall()).accounts
        return account


def test_nobody_knows_what_a_dead_owner_would_say(stage: Stage) -> None:
    """
    E10: killed while connected, it is neither connected nor not; who it was and since when it is silent is known.
    """
    power = Power()

    async def main() -> None:
        await stage.boot(program, power)
        assert status(stage).connected is True
        await trio.sleep(16)
        account = status(stage)
        assert account.connected is None
        assert account.owner is not None
        assert account.owner.silent
        assert account.owner.beat_age > 15 * 10**9

    async def program(_gateway: Gateway) -> None:
        await stage.connected()
        await trio.sleep(4.9)
        power.cut()
        await trio.sleep_forever()

    stage.run(main)


def test_an_owner_that_let_go_is_not_connected(stage: Stage) -> None:
    """
    And that is known.
    """

    async def main() -> None:
        async with stage.gateway():
            await stage.connected()
        for _ in range(2):
            account = status(stage)
            assert (account.connected, account.state) == (False, "closed")
            await trio.sleep(3600)

    stage.run(main)


@pytest.mark.parametrize("seed", range(3))
def test_at_every_moment_it_is_what_the_platform_would_say(stage: Stage, seed: int) -> None:
    """
    G8: a platform that comes and goes, and a status asked four times a second: "connected" is never said of one that has
    been away for longer than its own answer takes.
    """
    stage.server.hold = 1
    stage.account = Fake(stage.server, Plain(), QUICK)
    down = False

    async def main() -> None:
        nonlocal down
        gone = Failure(stage="connect", error="down")
        stage.server.dials.append(lambda _: gone if down else None)
        stage.server.polls.append(lambda _: gone if down else None)
        async with stage.gateway():
            await stage.connected()
            for _ in range(20):
                down = stage.world.draw() < 0.5
                await trio.sleep(1.5)
                for _ in range(20):
                    account = status(stage)
                    assert account.connected is not True or not down
                    assert account.connected or account.reason
                    await trio.sleep(0.25)

    stage.run(main, seed=seed)


def test_everything_that_waits_is_counted_and_explained(stage: Stage) -> None:
    """
    Demand 5: per chat what it waits for and why, and what nobody has carried out yet.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.dials.append(lambda _: Failure(stage="connect", error="down"))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(1)
            for number in range(12):
                await stage.send(gateway, f"chat {number % 4}", f"message {number}")
            account = status(stage)
            assert account.deliveries == {"queued": 12}
            assert account.chats_waiting == 4
            assert {chat.waiting for chat in account.chats} == {3}
            assert account.reason == "connect: down"

    stage.run(main)
