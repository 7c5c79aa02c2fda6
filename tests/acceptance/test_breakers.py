"""What goes wrong elsewhere with circuit breakers and retries."""

import itertools

import attrs
import pytest
import trio

from statecore.events import Elapsed
from statecore.gateway import Gateway
from statecore.machine import Snapshot
from statecore.machines.circuit import ProbeFailed, ProbePassed, ProbeSent, Reset, Tripped, circuit
from statecore.platform import Refusal
from statecore.policies import Circuit
from statecore.units import SECONDS
from tests.support.platform import QUICK, Fake, Fate, Plain, refused
from tests.support.stage import Stage

NOW = 1_790_000_000 * SECONDS


def _elapsed(snapshot: Snapshot) -> Elapsed:
    ((_, timer),) = circuit.deadlines(snapshot)
    return Elapsed(timer)


def test_of_ten_requests_at_the_same_moment_a_half_open_breaker_admits_one() -> None:
    """
    aiobreaker 1.2, purgatory 3.0: ten of ten concurrent probes are admitted, which is the storm all over again.
    """
    open_ = circuit.step(circuit.start(), Tripped(reason="no", wait=2 * SECONDS, failures=1), NOW).snapshot
    at = circuit.step(open_, _elapsed(open_), NOW + 2 * SECONDS).snapshot
    kinds = []
    for number in range(10):
        decision = circuit.step(at, ProbeSent(delivery=f"delivery/wx/{number}", within=SECONDS), NOW + 2 * SECONDS)
        kinds.append(decision.outcome.kind)
        at = decision.snapshot

    assert kinds == ["moved"] + ["ignored"] * 9
    assert at.data.probe == "delivery/wx/0"


def test_with_fifty_messages_waiting_a_breaker_lets_one_request_through_for_each_of_its_waits(stage: Stage) -> None:
    """
    aiobreaker 1.2, purgatory 3.0: the same, as the platform sees it. No two requests to a chat that refuses are nearer to
    each other than the breaker's wait.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 300, refused("mute"))

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(50):
                await stage.send(gateway, "ann", f"message {number}")
            await stage.settled(within=3600)

    stage.run(main)

    refusals = [attempt.at for attempt in stage.server.refusals]
    assert 2 <= len(refusals) < 8
    assert all(later - sooner >= 30 for sooner, later in itertools.pairwise(refusals))
    assert len(stage.server.shown("ann")) == 50


def test_a_breaker_that_is_closed_lets_requests_overlap(stage: Stage) -> None:
    """
    pybreaker 1.4: it holds its lock across the call, so five calls of a tenth of a second take half a second.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    slow = Fate("taken", takes=True, after=5.0)
    stage.server.during(0, 300, slow)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for chat in ("ann", "bob", "cyd", "dan", "eve"):
                await stage.send(gateway, chat, "hello")
            await stage.settled()

    stage.run(main)

    times = [attempt.at for attempt in stage.server.attempts]
    assert len(times) == 5
    assert max(times) - min(times) < 5


@pytest.mark.parametrize("place", ["open", "half-open"])
def test_a_success_of_before_the_trip_does_not_close_it(place: str) -> None:
    """
    pybreaker, aiobreaker, purgatory (provoked), ray#65068: the answer to a call that had begun before the breaker opened
    closes it.
    """
    at = circuit.step(circuit.start(), Tripped(reason="no", wait=2 * SECONDS, failures=1), NOW).snapshot
    if place == "half-open":
        at = circuit.step(at, _elapsed(at), NOW + 2 * SECONDS).snapshot
    decision = circuit.step(at, ProbePassed(), NOW + 3 * SECONDS)

    assert decision.outcome.kind == "ignored"
    assert decision.snapshot.state == place


def test_a_late_success_closes_nothing_as_the_platform_sees_it(stage: Stage) -> None:
    """
    ray#65068: the same in a whole gateway. One part of the chat's neighbour is on its way when the account is tripped,
    and is taken after that; the account stays tripped for as long as it was told to.
    """
    policies = attrs.evolve(QUICK, circuit=Circuit(cooldown="30s"))  # type: ignore[arg-type]
    stage.account = Fake(stage.server, Plain(), policies)
    stage.server.once(Fate("taken", takes=True, after=5.0), containing="slow")
    stage.server.once(refused("fast"), containing="quick")

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "slow")
            await stage.until(lambda: bool(stage.server.attempts))
            await stage.send(gateway, "bob", "quick")
            await stage.settled()

    stage.run(main)

    slow, quick, again = stage.server.attempts
    assert (slow.text, quick.text, again.text) == ("slow", "quick", "quick")
    assert again.at - quick.at >= 30


def test_a_breaker_that_is_open_is_open_after_a_restart(stage: Stage) -> None:
    """
    Of the breakers on the index none keeps its state over a restart by itself, so a crash loop knocks at once each time.
    """
    stage.account = Fake(stage.server, Plain(), attrs.evolve(QUICK, circuit=Circuit(cooldown="300s")))  # type: ignore[arg-type]
    stage.server.once(refused("fast"))

    async def send(gateway: Gateway) -> None:
        await stage.connected()
        await stage.send(gateway, "ann", "hello")
        await stage.until(lambda: bool(stage.server.refusals))
        await trio.sleep(1)

    async def send_to_another(gateway: Gateway) -> None:
        await stage.connected()
        await stage.send(gateway, "bob", "hello")
        await trio.sleep(3)

    async def main() -> None:
        await stage.boot(send)
        for _ in range(5):
            await stage.boot(send_to_another)
        assert [attempt.chat for attempt in stage.server.attempts] == ["ann"]

    stage.run(main)


@pytest.mark.parametrize("asked", [45, 200])
def test_what_the_platform_asks_for_is_waited_when_it_is_longer(stage: Stage, asked: int) -> None:
    """
    airflow#56762: the Retry-After of a busy server is read and not heeded by the retry's own backoff.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(Fate(Refusal(code="busy", message="", hint=asked * SECONDS)))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.send(gateway, "ann", "hello")
            await stage.settled()

    stage.run(main)

    first, second = stage.server.attempts
    assert asked <= second.at - first.at < asked + 60


def test_all_callers_together_have_one_budget_for_retries(stage: Stage) -> None:
    """
    resilience4j #172, Polly #2348, redress #43: each caller retries for itself, so a thousand callers retry a thousand
    times as often. Here an outage costs requests by its length, not by who waits: twice as many chats, no more requests.
    """

    def requests(folder: str, chats: int) -> int:
        here = Stage(stage.folder / folder)
        here.folder.mkdir()
        here.account = Fake(here.server, Plain(), attrs.evolve(QUICK, circuit=Circuit(cooldown="5s")))  # type: ignore[arg-type]
        here.server.during(0, 600, refused("fast"))

        async def main() -> None:
            async with here.gateway() as gateway:
                for number in range(chats):
                    await here.send(gateway, f"chat {number}", "hello")
                await here.settled(within=3600)

        here.run(main)
        assert len(here.server.taken) == chats
        return len(here.server.refusals)

    few, many = requests("few", 10), requests("many", 40)
    assert 3 <= few <= 12
    assert abs(many - few) <= 2


def test_closing_a_breaker_by_hand_takes_its_ticket_back() -> None:
    """
    pybreaker, aiobreaker, purgatory keep no epoch: a breaker that is reset while a call is out is moved again by what the
    call comes to.
    """
    at = circuit.step(circuit.start(), Tripped(reason="no", wait=2 * SECONDS, failures=1), NOW).snapshot
    at = circuit.step(at, _elapsed(at), NOW + 2 * SECONDS).snapshot
    at = circuit.step(at, ProbeSent(delivery="delivery/wx/1", within=60 * SECONDS), NOW + 2 * SECONDS).snapshot
    at = circuit.step(at, Reset(by="operator"), NOW + 3 * SECONDS).snapshot
    late = circuit.step(at, ProbeFailed(reason="no", wait=60 * SECONDS), NOW + 4 * SECONDS)

    assert (late.snapshot.state, late.outcome.kind) == ("closed", "ignored")
