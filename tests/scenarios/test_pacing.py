"""How fast an account speaks: G7, and the bursts that iLink punishes (cc-connect#1640)."""

import itertools
import math

import pytest
import trio

from statecore.platform import Policies
from statecore.policies import Pacing, Window
from tests.support.platform import Fake, ILink, Plain, Server, refused, wechat
from tests.support.stage import Stage


def hold(server: Server, rate: float, burst: int) -> None:
    """Check that in no stretch of time more requests leave than a bucket of that size and rate lets through."""
    times = [attempt.at for attempt in server.attempts]
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - begin) + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [(1.0, 2), (0.2, 1), (5.0, 10), (50.0, 1)])
@pytest.mark.parametrize("trouble", [False, True])
def test_never_more_than_a_burst_and_the_rate(stage: Stage, rate: float, burst: int, *, trouble: bool) -> None:
    """
    In no stretch of time, however short or long, and whatever is answered. A restart begins with one request.
    """
    policies = Policies(pacing=Pacing(per_second=rate, burst=burst), window=Window(messages=1000))
    stage.account = Fake(stage.server, Plain(), policies)
    if trouble:
        stage.server.once(refused("busy"), times=5)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(30)
            for number in range(20):
                await gateway.send("wx", f"chat {number % 7}", f"message {number}")
            await trio.sleep(2)
        async with stage.gateway():
            await stage.settled(within=1200)

    stage.run(main)

    hold(stage.server, rate, max(burst, 2))
    assert len(stage.server.taken) == 20


def test_it_is_as_fast_as_it_may_be(stage: Stage) -> None:
    """
    And not slower: twenty messages at one a second take about twenty seconds.
    """
    stage.account = Fake(stage.server, Plain(), Policies(pacing=Pacing(per_second=1, burst=2)))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(30)
            for number in range(20):
                await gateway.send("wx", f"chat {number}", f"message {number}")
            await stage.settled()
            assert trio.current_time() < 30 + 20

    stage.run(main)


def test_a_throttled_account_slows_down_and_recovers(stage: Stage) -> None:
    """
    Each sign of throttling stretches the interval, and half of that is gone after twenty seconds without one.
    """
    stage.account = Fake(stage.server, Plain(), Policies(window=Window(messages=1000)))
    stage.server.during(0, 5, refused("fast"))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(150):
                await gateway.send("wx", f"chat {number % 5}", f"message {number}")
            await stage.settled()

    stage.run(main)

    times = [attempt.at for attempt in stage.server.taken]
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert max(gaps[:6]) > 1.5
    assert max(gaps[-20:]) < 1.2


@pytest.mark.parametrize("seed", range(3))
def test_the_default_pace_never_meets_the_burst_limit(stage: Stage, seed: int) -> None:
    """
    The third request within a second is refused, so there is never a third.
    """
    stage.server.ilink = ILink(burst=3)
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        for number in range(8):
            stage.server.say(f"chat {number}", "hello")
        async with stage.gateway() as gateway:
            await stage.heard(8)
            for number in range(40):
                await gateway.send("wx", f"chat {number % 8}", f"message {number}")
                if number % 10 == 9:
                    await trio.sleep(8 * math.sqrt(number))
            await stage.settled("delivery")

    stage.run(main, seed=seed)

    assert not stage.server.refusals
