"""D10, D11: one chat in trouble, and everybody else waits.

openclaw#127491: one lock and one breaker for all chats. Measured on the real package with one dead chat: Hermes 0.19 lost
the three healthy chats' messages too. E9 (koishijs/koishi#123): one platform that hangs keeps the others from starting.
D9: a flag on a dead chat that nothing ever clears. PraisonAI#2909: a later message overtakes one that is tried again.
"""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from statecore.driver import Driver
from statecore.messages import Delivered
from statecore.platform import Client, Failure, Policies, Secrets
from statecore.policies import Pacing
from tests.support.platform import HANG, QUICK, Fake, Fate, Plain, Server, dies, hangs, refused, unclear, unsent, wechat
from tests.support.stage import Stage

TROUBLES = {
    "refused": refused("mute"),
    "refused for good": refused("gone"),
    "refused for a moment, again and again": refused("busy"),
    "never reached": unsent(),
    "never answered": hangs(takes=False),
    "answered, and the answer lost": unclear(takes=True),
    "slow": Fate("taken", takes=True, after=50),
    "an adapter that raises": dies(OSError("no such thing"), takes=False),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_chat_in_trouble_delays_no_other(stage: Stage, trouble: str) -> None:
    """
    Sixty messages to three healthy chats take as long as pacing says, whatever the fourth does.
    """
    policies = attrs.evolve(QUICK, pacing=Pacing(per_second=4, burst=4))
    stage.account = Fake(stage.server, Plain(), policies)

    async def main() -> None:
        for chat in ("ann", "bob", "cyd", "dan"):
            stage.server.say(chat, "hello")
        stage.server.during(0, 1e9, TROUBLES[trouble], "ann")
        async with stage.gateway() as gateway:
            await stage.heard(4)
            others = []
            for number in range(10):
                await stage.send(gateway, "ann", f"to ann {number}")
                others += [await stage.send(gateway, chat, f"message {number}") for chat in ("bob", "cyd", "dan")]
            for receipt in others:
                assert isinstance(await receipt.settled(), Delivered)
            to_ann = sum(attempt.chat == "ann" for attempt in stage.server.attempts)
            assert trio.current_time() < 1 + (30 + to_ann) / 4

    stage.run(main)


@pytest.mark.parametrize("dead", [1, 2, 3])
def test_on_wechat_too_dead_chats_cost_the_others_no_message(stage: Stage, dead: int) -> None:
    """
    There a dead chat says what a throttled account says, so it takes evidence to tell them apart: that others were
    accepted meanwhile. Until there is any, a probe or two is what it costs.
    """
    stage.account = Fake(stage.server, wechat(), Policies())
    chats = ("ann", "bob", "cyd", "dan")

    async def main() -> None:
        for chat in chats:
            stage.server.say(chat, "hello")
        stage.server.during(0, 1e9, refused(), *chats[:dead])
        async with stage.gateway() as gateway:
            await stage.heard(4)
            receipts = {}
            for number in range(40):
                receipts[number] = await stage.send(gateway, chats[number % 4], f"message {number}")
            for number, receipt in receipts.items():
                if number % 4 >= dead:
                    assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < 75

    book = stage.run(main)

    assert len(book.of("delivery", "delivered")) == 40 - 10 * dead
    assert not book.of("delivery", "dead")


def test_a_dead_chat_comes_back_with_its_users_next_message(stage: Stage) -> None:
    """
    D9: no flag outlives what raised it.
    """
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        stage.server.say("ann", "hello")
        stage.server.during(0, 3000, refused(), "ann")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            receipts = [await stage.send(gateway, "ann", f"message {number}") for number in range(5)]
            await trio.sleep(3000)
            stage.server.say("ann", "I am back")
            for receipt in receipts:
                assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < 3010

    stage.run(main)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_overtakes_a_message_that_is_tried_again(stage: Stage, seed: int) -> None:
    """
    D11: whatever befalls the first, the second waits for it. The guarantees check the order of every request; here they
    have plenty to check.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    fates = [None, None, unsent(), refused("busy"), unclear(takes=True), unclear(takes=False), refused("mute")]

    async def main() -> None:
        drawn = stage.world.draw

        def chance(_part: object) -> Fate | None:
            return fates[math.floor(drawn() * len(fates))]

        stage.server.sends.append(chance)
        for chat in ("ann", "bob", "cyd"):
            stage.server.say(chat, "hello")
        async with stage.gateway() as gateway:
            await stage.heard(3)
            for number in range(8):
                for chat in ("ann", "bob", "cyd"):
                    await stage.send(gateway, chat, f"message {number}|and the rest of {number}")
            await trio.sleep(120)
            stage.server.sends.clear()
            for chat in ("ann", "bob", "cyd"):
                stage.server.say(chat, "hello again")
                stage.server.say(chat, "and again")
            await stage.settled("delivery", within=3600)

    book = stage.run(main, seed=seed)

    ended = book.of("delivery", "delivered", "dead")
    assert len(ended) == 24


@attrs.frozen(eq=False)
class Stuck:
    """An account whose adapter hangs before there is even a client."""

    account: Fake
    error: Exception | None = None

    @property
    def platform(self) -> object:
        return self.account.platform

    @property
    def policies(self) -> Policies:
        return self.account.policies

    identity = "the stuck account"

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client]:
        return self._connect(secrets)

    @asynccontextmanager
    async def _connect(self, secrets: Secrets) -> AsyncIterator[Client]:
        if self.error is not None:
            raise self.error
        await trio.sleep_forever()
        async with self.account.connect(secrets) as client:
            yield client


@pytest.mark.parametrize("trouble", ["connect", "connect raises", "dial", "dial fails", "receive", "send"])
def test_an_account_that_hangs_keeps_no_other_from_working(stage: Stage, trouble: str) -> None:
    """
    E9: start, work and stop of an account are its own.
    """
    other = Server()
    stuck: object = Fake(other, Plain(), QUICK, identity="another account")
    if trouble.startswith("connect"):
        stuck = Stuck(Fake(other), OSError("no such proxy") if "raises" in trouble else None)
    elif trouble == "dial":
        other.dials.append(lambda _: HANG)
    elif trouble == "dial fails":
        other.dials.append(lambda _: Failure(stage="resolve", error="no such name"))
    elif trouble == "receive":
        other.polls.append(lambda _: HANG)
    else:
        other.during(0, 1e9, hangs(takes=True))

    async def main() -> None:
        async with stage.gateway({"stuck": stuck, "wx": stage.account}) as gateway:  # type: ignore[dict-item]
            await trio.sleep(1)
            await stage.send(gateway, "bob", "hello", account="stuck")
            for number in range(10):
                receipt = await stage.send(gateway, "ann", f"message {number}")
                assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < 14
            if trouble == "connect raises":
                assert "no such proxy" in gateway.troubles()["stuck"]
            began = trio.current_time()
        assert trio.current_time() - began < 26

    stage.run(main)


def test_a_slip_of_our_own_in_an_attempt_ends_that_account_alone_and_it_comes_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Attempts of all accounts live in one place.
    """
    other = Server()
    slips = ["one", "two"]
    right = Driver._take_in

    def take_in(self: Driver, *what: Any) -> None:
        if self.name == "slips" and slips:
            raise RuntimeError(f"slip {slips.pop()}")
        right(self, *what)

    monkeypatch.setattr(Driver, "_take_in", take_in)

    async def main() -> None:
        accounts = {"slips": Fake(other, Plain(), QUICK, identity="another account"), "wx": stage.account}
        async with stage.gateway(accounts) as gateway:
            await trio.sleep(0.5)
            assert "slip" in gateway.troubles()["slips"]
            began = trio.current_time()
            receipt = await stage.send(gateway, "ann", "hello")
            assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < began + 1
            receipt = await stage.send(gateway, "bob", "hello", account="slips")
            assert isinstance(await receipt.settled(), Delivered)

    stage.run(main)
