"""Retry storm: WeChat answers "refused", and everything that waits asks again at once.

hermes-agent#26828: every queued message ran a retry loop of its own, 30 requests in 30 s, 3.4 GB, killed. Measured on the
real package: 20 messages to 4 chats, every send refused for the first 20 s, made 160 refused requests and 20 garbled
extra copies with Hermes 0.14; Hermes 0.19 gave all of them up after one.
"""

import math

import pytest
import trio

from statecore.platform import Policies
from tests.support.platform import Fake, refused, wechat
from tests.support.stage import Stage

CHATS = ("ann", "bob", "cyd", "dan")


def storm(stage: Stage, length: float, seed: int) -> tuple[int, float]:
    """Send 20 messages into a refusal of some length; return how many requests were refused, and when all was over."""
    stage.account = Fake(stage.server, wechat(), Policies())
    over = 0.0

    async def main() -> None:
        nonlocal over
        for chat in CHATS:
            stage.server.say(chat, "hello")
        stage.server.during(0, length, refused())
        async with stage.gateway() as gateway:
            receipts = [await stage.send(gateway, CHATS[number % 4], f"message {number}") for number in range(20)]
            for receipt in receipts:
                await receipt.settled()
            over = trio.current_time()

    book = stage.run(main, seed=seed, limit=4 * length + 3600)
    assert len(book.of("delivery", "delivered")) == 20
    for place, chat in enumerate(CHATS):
        assert stage.server.shown(chat) == [f"message {number}" for number in range(place, 20, 4)]
    return len(stage.server.refusals), over


@pytest.mark.parametrize("seed", range(6))
def test_twenty_messages_into_a_refusal_of_twenty_seconds_make_fewer_than_twelve_refused_requests(
    stage: Stage, seed: int
) -> None:
    """
    The account's circuit is one for all of them, so what waits costs nothing.
    """
    requests, over = storm(stage, 20, seed)

    assert requests < 12
    assert over < 90


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("length", [20, 200, 2000])
def test_refused_requests_grow_with_the_logarithm_of_the_refusal(stage: Stage, length: int) -> None:
    """
    Each failed probe doubles the wait, so a refusal a hundred times as long costs seven requests more, not a hundred
    times as many.
    """
    requests, over = storm(stage, length, seed=1)

    assert requests <= 6 + math.log2(length)
    assert over <= 2.5 * length + 90


def test_the_number_of_messages_waiting_makes_no_difference(stage: Stage) -> None:
    """
    G7: refused requests grow with the refusal, and not with what waits behind it.
    """
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        for number in range(40):
            stage.server.say(f"chat {number}", "hello")
        stage.server.during(0, 60, refused())
        async with stage.gateway() as gateway:
            for number in range(120):
                await gateway.send("wx", f"chat {number % 40}", f"message {number}")
            await stage.settled("delivery", within=1200)

    book = stage.run(main)

    assert len(book.of("delivery", "delivered")) == 120
    assert len(stage.server.refusals) <= 14
