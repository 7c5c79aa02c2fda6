"""D5, D6, D7, D21, A5, A25: the platform is away for a while.

D5 (PraisonAI#3519): an outage of a minute sends everything to the dead letters. D6 (openclaw#91212): every start spends
an attempt before the connection stands. D7 (hermes-agent#95206): what failed is only tried again by the next process.
D21: a send waits for the wrong thing. A5 (hermes-agent#12607, openclaw#7255): the ladder ends, and with it everything.
"""

import math

import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Delivered
from statecore.platform import Failure, Policies
from statecore.policies import Backoff
from statecore.units import HOURS
from tests.support.platform import QUICK, Fake, Fate, Plain, refused, unsent
from tests.support.power import Power
from tests.support.stage import Stage

DOWN = Failure(stage="connect", error="no route to host")


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("length", [300, 4 * 3600])
def test_an_outage_kills_nothing_and_costs_no_attempt(stage: Stage, length: int) -> None:
    """
    D5, D6: five minutes or four hours; while the account is down nothing is tried, and the time does not count.
    """
    stage.server.dials.append(lambda _: DOWN if trio.current_time() < length else None)
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipts = [await stage.send(gateway, f"chat {number % 3}", f"message {number}") for number in range(9)]
            await trio.sleep(length - 1)
            assert not stage.server.attempts
            for receipt in receipts:
                assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() < length + 75

    stage.run(main, limit=6 * 3600)

    assert len(stage.server.attempts) == 9


def test_an_outage_in_the_middle_of_things_kills_nothing_either(stage: Stage) -> None:
    """
    D5: polls and sends fail at once, come back at once, and nobody has to restart anything.
    """
    begin, end = 5.0, 305.0
    stage.server.hold = 2
    stage.server.polls.append(lambda _: DOWN if begin <= trio.current_time() < end else None)
    stage.server.dials.append(lambda _: DOWN if begin <= trio.current_time() < end else None)
    stage.server.during(begin, end, unsent())
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(40):
                await stage.send(gateway, f"chat {number % 3}", f"message {number}")
                await trio.sleep(0.5)
            await stage.settled()
            assert trio.current_time() < end + 75

    book = stage.run(main)

    assert len(book.of("delivery", "delivered")) == 40
    assert len(stage.server.attempts) < 40 + 30


@pytest.mark.parametrize("seed", range(12))
def test_no_wake_up_is_lost_whatever_the_order(stage: Stage, seed: int) -> None:
    """
    D7: connections that come and go, and sends that fail in between, interleaved by chance: everything gets there.
    """
    stage.server.hold = 1
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        draw = stage.world.draw

        def flaky(_: int) -> Failure | None:
            return DOWN if trio.current_time() < 120 and draw() < 0.4 else None

        def poor(_: object) -> Fate | None:
            if trio.current_time() > 120 or draw() < 0.5:
                return None
            return unsent() if draw() < 0.5 else Fate("taken", takes=True, after=3 * draw())

        stage.server.dials.append(flaky)
        stage.server.polls.append(flaky)
        stage.server.sends.append(poor)
        async with stage.gateway() as gateway:
            for number in range(60):
                await stage.send(gateway, f"chat {math.floor(draw() * 5)}", f"message {number}")
                await trio.sleep(2 * draw())
            await stage.settled(within=240)

    book = stage.run(main, seed=seed)

    assert len(book.of("delivery", "delivered")) == 60


@pytest.mark.parametrize("takes", [25, 60])
def test_a_start_that_takes_a_minute_spends_nothing(stage: Stage, takes: int) -> None:
    """
    D6: whether one dial takes long or several fail, the first request leaves when the platform is there.
    """
    stage.server.dials.append(lambda _: DOWN if trio.current_time() < takes else None)
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            outcome = await (await stage.send(gateway, "ann", "hello")).settled()
            assert outcome == Delivered("p0")

    book = stage.run(main)

    assert not book.of("delivery")[0].fields.get("attempts")
    assert stage.server.attempts[0].at > takes


@pytest.mark.usefixtures("slow_looks")
def test_two_thousand_refused_dials_later_it_connects(stage: Stage) -> None:
    """
    A5: there is no last rung. A day later nobody has restarted anything, and the message is delivered.
    """
    dials = 2000
    stage.server.dials.append(lambda number: DOWN if number <= dials else None)
    stage.account = Fake(stage.server, Plain(), Policies(backoff=Backoff(floor=1, cap=60)))

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "hello")
            assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() > 12 * 3600

    book = stage.run(main, limit=60 * 3600)

    waits = [row.fields["wait"] / 1e9 for row in book.events("Lost")]
    assert len(waits) == dials
    assert all(1 <= wait <= 60 for wait in waits)
    assert 20 < sum(waits[10:]) / len(waits[10:]) < 40


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("error", ["the server closed the connection (1000)", "EOF", ""])
def test_only_a_stop_of_ours_leads_to_closed(stage: Stage, error: str) -> None:
    """
    A25 (openclaw#7255): however politely the other side ends it, that is not our intent.
    """
    stage.server.polls.append(
        lambda number: Failure(stage="receive", error=error, reachable=True) if number % 2 else None
    )
    stage.server.hold = 5

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(1200)
            gateway.stop()

    book = stage.run(main)

    assert len(stage.server.dialled) > 10
    (closing,) = [row for row in book.rows if row.target == "closed" and row.source != "closed"]
    assert closing.event == "HungUp"


def test_a_poll_that_fails_while_the_platform_answers_holds_no_message_back(stage: Stage) -> None:
    """
    D21: each operation waits for what it needs, and a send does not need the poll.
    """
    stage.server.polls.append(lambda _: Failure(stage="answer", error="HTTP 500", reachable=True))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(30)
            for number in range(10):
                began = trio.current_time()
                assert isinstance(await (await stage.send(gateway, "ann", f"message {number}")).settled(), Delivered)
                assert trio.current_time() - began < 2
                await trio.sleep(17)

    stage.run(main)


@pytest.mark.parametrize("gap", ["asleep", "stopped", "killed"])
def test_time_in_which_nobody_tried_does_not_count(stage: Stage, gap: str) -> None:
    """
    D5: five minutes of failures, then eight hours in which the machine was asleep or the program was not running, then one
    failure more. That is a short outage and not a hopeless case.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power()

    async def main() -> None:
        if gap == "asleep":
            async with stage.gateway() as gateway:
                await first(gateway)
                stage.world.suspend(8 * HOURS)
                await second()
            return
        await stage.boot(first, power)
        await trio.sleep(8 * 3600)
        async with stage.gateway():
            await second()

    async def first(gateway: Gateway) -> None:
        await stage.connected()
        stage.server.sends.append(lambda _: refused("busy"))
        await stage.send(gateway, "ann", "hello")
        await trio.sleep(300)
        assert len(stage.server.attempts) > 8
        if gap == "killed":
            power.cut()

    async def second() -> None:
        count = len(stage.server.attempts)
        await stage.until(lambda: len(stage.server.attempts) > count + 1)
        stage.server.sends.clear()
        await stage.settled()

    book = stage.run(main, limit=10 * 3600)

    assert len(book.of("delivery", "delivered")) == 1
