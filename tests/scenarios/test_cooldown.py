"""D8: a cooldown that its own tries prolong.

hermes-agent#77834, #112841: one refusal trips it for the whole adapter, each try while it is open sets it again, and it
never leaves.
"""

import itertools
import math

import attrs
import pytest
import trio

from statecore.gateway import Gateway
from statecore.platform import Policies, Refusal
from statecore.units import SECONDS
from tests.support.platform import QUICK, Fake, Fate, Plain, refused, wechat
from tests.support.power import Power
from tests.support.stage import Stage


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("scope", ["fast", "mute"])
def test_half_open_admits_one_and_each_failed_probe_doubles_the_wait(stage: Stage, scope: str) -> None:
    """
    Fifty messages arrive while it is open. They cost nothing: the requests follow the circuit and not the queue.
    """
    stage.server.during(0, 1000, refused(scope))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(50):
                await gateway.send("wx", "ann", f"message {number}")
                await trio.sleep(1)
            await stage.settled("delivery", within=3600)

    book = stage.run(main)

    times = [attempt.at for attempt in stage.server.refusals]
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    first = 2 if scope == "fast" else 30
    assert len(times) <= 2 + math.log2(1000 / first)
    for place, gap in enumerate(gaps):
        assert first * 2**place <= gap < first * 2**place * 1.1 + 1.5
    assert len(book.of("delivery", "delivered")) == 50
    probes = [row for row in book.events("ProbeSent") if row.outcome is None]
    assert len(probes) == len(times)


@pytest.mark.parametrize("code", ["fast", "mute", "busy"])
def test_who_says_how_long_it_wants_to_be_left_alone_is_left_alone_for_so_long(stage: Stage, code: str) -> None:
    """
    Whatever the refusal is taken to mean, `Retry-After` is obeyed where it is longer than our own wait.
    """
    stage.server.during(0, 60, Fate(Refusal(code=code, hint=90 * SECONDS)))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await (await stage.send(gateway, "ann", "hello")).settled()

    stage.run(main)

    refusal, taken = stage.server.attempts
    assert taken.at - refusal.at >= 90


def test_it_opens_again_soon_after_the_server_is_well(stage: Stage) -> None:
    """
    The wait is never more than what had been waited before, so recovery takes as long again, at most.
    """
    stage.server.during(0, 100, refused("fast"))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await (await stage.send(gateway, "ann", "hello")).settled()
            assert trio.current_time() < 230

    stage.run(main)


def test_a_late_refusal_from_before_the_trip_does_not_lengthen_the_wait(stage: Stage) -> None:
    """
    Eight requests are under way when the first is refused; the other seven refusals are old news.
    """
    stage.server.during(0, 1, attrs.evolve(refused("fast"), after=0.5))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(8):
                await gateway.send("wx", f"chat {number}", "hello")
            await stage.settled("delivery")
            assert trio.current_time() < 5

    book = stage.run(main)

    assert len(stage.server.refusals) == 8
    assert len([row for row in book.events("Tripped") if row.outcome is None]) == 1
    assert not [row for row in book.events("ProbeFailed") if row.outcome is None]


@pytest.mark.parametrize("seed", range(4))
def test_one_refusal_of_one_chat_trips_one_chat(stage: Stage, seed: int) -> None:
    """
    hermes-agent#112841: threshold one, for the whole adapter.
    """
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        for chat in ("ann", "bob", "cyd"):
            stage.server.say(chat, "hello")
        async with stage.gateway() as gateway:
            await stage.heard(3)
            stage.server.during(0, 20, refused(), "bob")
            for number in range(9):
                await stage.send(gateway, ("ann", "bob", "cyd")[number % 3], f"message {number}")
            await stage.settled("delivery")

    book = stage.run(main, seed=seed)

    assert [row.machine for row in book.events("Tripped")] == ["circuit/wx/bob"]
    assert max(attempt.at for attempt in stage.server.taken if attempt.chat != "bob") < 12


def test_a_circuit_survives_a_restart(stage: Stage) -> None:
    """
    G7: a program that is restarted every few seconds does not ask every few seconds.
    """
    stage.server.during(0, 600, refused("fast"))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
        for _ in range(60):
            async with stage.gateway():
                await trio.sleep(10)
        async with stage.gateway():
            await stage.settled(within=1300)

    stage.run(main)

    assert len(stage.server.refusals) <= 10


@pytest.mark.parametrize("scope", ["fast", "mute"])
def test_a_probe_that_the_end_of_the_process_cut_off_blocks_nothing(stage: Stage, scope: str) -> None:
    """
    A ticket nobody can use any more is taken back.
    """
    stage.server.during(0, 1, refused(scope))
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power()

    async def main() -> None:
        await stage.boot(first, power)
        async with stage.gateway():
            await stage.settled("delivery", within=120)

    async def first(gateway: Gateway) -> None:
        await stage.connected()
        await stage.send(gateway, "ann", "hello")
        await stage.until(lambda: stage.counts("circuit").get(("circuit", "probing"), 0) == 1, every=0.01)
        power.cut()
        await trio.sleep_forever()

    stage.run(main)
