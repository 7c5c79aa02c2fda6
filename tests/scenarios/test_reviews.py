"""A platform that has somebody look at a message before it is shown, and says later what became of it.

The answer to the request is "taken, under review". Taken for success, what is never shown is on record as delivered; taken
for failure, it is sent again and shown twice. The outcome comes over the socket, minutes later or before the answer.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Dead, Delivered, Receipt
from tests.support.platform import QUICK, Fake, Plain, pending
from tests.support.power import Power
from tests.support.stage import Stage


@asynccontextmanager
async def begun(stage: Stage) -> AsyncIterator[Gateway]:
    """Run a gateway with a session, once it stands."""
    stage.account = Fake(stage.server, Plain("once", tie="session"), QUICK)
    async with stage.gateway() as gateway:
        await stage.connected()
        yield gateway


async def reviewing(stage: Stage, receipt: Receipt) -> None:
    """Wait until a delivery waits for its review."""
    address = f"delivery/wx/{receipt.id}"
    await stage.until(lambda: stage.book().instances[address].state == "in-review", within=60)


@pytest.mark.parametrize("passed", [True, False])
def test_what_somebody_looks_at_is_settled_when_they_have(stage: Stage, *, passed: bool) -> None:
    """
    And not before; what was let down says so, and what to do. The messages behind it do not wait.
    """
    stage.server.once(pending("r1"), containing="one")

    async def main() -> None:
        async with begun(stage) as gateway:
            receipt = await stage.send(gateway, "ann", "one")
            following = await stage.send(gateway, "ann", "two")
            assert isinstance(await following.settled(), Delivered)
            await reviewing(stage, receipt)
            await trio.sleep(600)
            await reviewing(stage, receipt)
            stage.server.review("r1", passed=passed)
            outcome = await receipt.settled()
            if passed:
                assert outcome == Delivered("p-r1")
            else:
                assert isinstance(outcome, Dead)
                assert "did not let a part through (review r1)" in outcome.reason
                assert "other words" in outcome.action

    stage.run(main)

    assert len(stage.server.attempts) == 2
    assert stage.server.shown() == (["one", "two"] if passed else ["two"])


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("text", ["one", "one|two"])
def test_an_outcome_that_comes_before_the_answer_is_not_lost(stage: Stage, text: str, *, passed: bool) -> None:
    """
    The socket and the request race each other.
    """
    stage.server.once(pending("r1", after=5), containing="one")

    async def main() -> None:
        async with begun(stage) as gateway:
            receipt = await stage.send(gateway, "ann", text)
            await stage.until(lambda: len(stage.server.attempts) == 1, every=0.01)
            stage.server.review("r1", passed=passed)
            stage.server.review("of somebody else", passed=not passed)
            outcome = await receipt.settled()
            assert isinstance(outcome, Delivered if passed else Dead)
            assert trio.current_time() < 60

    stage.run(main)


@pytest.mark.parametrize("order", [("r1", "r2"), ("r2", "r1")])
@pytest.mark.parametrize("down", [(), ("r1",), ("r2",)])
def test_every_part_that_is_looked_at_has_its_say(stage: Stage, order: tuple[str, ...], down: tuple[str, ...]) -> None:
    """
    In whichever order they are told of; one that is let down ends the message.
    """
    stage.server.once(pending("r1"), containing="one")
    stage.server.once(pending("r2"), containing="three")

    async def main() -> None:
        async with begun(stage) as gateway:
            receipt = await stage.send(gateway, "ann", "one|two|three")
            await reviewing(stage, receipt)
            for audit in order:
                await reviewing(stage, receipt)
                stage.server.review(audit, passed=audit not in down)
                await trio.sleep(1)
            assert isinstance(await receipt.settled(), Dead if down else Delivered)

    stage.run(main)

    assert len(stage.server.attempts) == 3


def test_a_review_of_a_part_in_the_middle_may_be_over_while_the_rest_is_still_sent(stage: Stage) -> None:
    """
    Then nothing is waited for at the end.
    """
    stage.server.once(pending("r1"), containing="one")
    stage.server.once(pending("r2", after=10), containing="two")

    async def main() -> None:
        async with begun(stage) as gateway:
            receipt = await stage.send(gateway, "ann", "one|two|three")
            await stage.until(lambda: len(stage.server.attempts) == 2, every=0.05)
            stage.server.review("r1", passed=True)
            await reviewing(stage, receipt)
            stage.server.review("r2", passed=True)
            assert isinstance(await receipt.settled(), Delivered)

    stage.run(main)


@pytest.mark.parametrize("text", ["one", "one|two"])
@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("said", ["while nobody ran", "afterwards"])
def test_a_review_outlives_the_process_that_waits_for_it(stage: Stage, text: str, said: str, *, passed: bool) -> None:
    """
    A person takes longer to look than a restart takes.
    """
    stage.server.once(pending("r1"), containing="one")

    async def main() -> None:
        async with begun(stage) as gateway:
            receipt = await stage.send(gateway, "ann", text)
            await reviewing(stage, receipt)
        if said == "while nobody ran":
            stage.server.review("r1", passed=passed)
        async with begun(stage):
            if said == "afterwards":
                await trio.sleep(60)
                stage.server.review("r1", passed=passed)
            await stage.settled(within=60)

    book = stage.run(main)

    assert len(book.of("delivery", "delivered" if passed else "dead")) == 1
    assert len(stage.server.attempts) == text.count("|") + 1


def test_a_crash_between_two_parts_forgets_no_review_of_the_first(stage: Stage) -> None:
    """
    The first part was taken for review by one process, and the second is sent by the next.
    """
    stage.account = Fake(stage.server, Plain("once", tie="session"), QUICK)
    stage.server.once(pending("r1"), containing="one")
    power = Power()

    async def main() -> None:
        async def first(gateway: Gateway) -> None:
            await stage.connected()
            await stage.send(gateway, "ann", "one|two")
            await stage.until(lambda: len(stage.server.attempts) == 2, every=0.01)
            power.cut()
            await trio.sleep(1)

        async def second(gateway: Gateway) -> None:
            await stage.until(lambda: stage.counts("delivery") == {("delivery", "in-review"): 1}, within=60)
            stage.server.review("r1", passed=True)
            await stage.settled(within=60)
            gateway.stop()

        assert await stage.boot(first, power)
        assert not await stage.boot(second)

    book = stage.run(main)

    assert len(book.of("delivery", "delivered")) == 1


def test_a_review_that_nobody_tells_of_ends_some_day_and_a_person_may_send_it_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Then it goes out once more, and an outcome of the first that comes after all says nothing about the second.
    """
    monkeypatch.setattr("statecore.machines.delivery.REVIEW_MAX", 600_000_000_000)
    stage.server.once(pending("r1"))

    async def main() -> None:
        async with begun(stage) as gateway:
            receipt = await stage.send(gateway, "ann", "one")
            outcome = await receipt.settled()
            assert isinstance(outcome, Dead)
            assert "never said" in outcome.reason
            await stage.ask(gateway, "retry", f"delivery/wx/{receipt.id}")
            stage.server.review("r1", passed=False)
            await stage.until(lambda: stage.counts("delivery") == {("delivery", "delivered"): 1}, within=60)

    stage.run(main)

    assert stage.server.shown() == ["one"]


@pytest.mark.parametrize("at", range(1, 16))
def test_a_power_cut_at_any_row_forgets_no_review(stage: Stage, at: int) -> None:
    """
    Whatever the last process had written, the next one knows what it waits for; what may have arrived twice is marked.
    """
    stage.account = Fake(stage.server, Plain("always", tie="session"), QUICK)
    stage.server.known_keys = True
    stage.server.sends.append(
        lambda part: pending(f"r-{part.key}-{len(stage.server.attempts)}") if part.text == "one" else None
    )

    async def send(gateway: Gateway) -> None:
        await stage.connected()
        await stage.send(gateway, "ann", "one|two", key="the one")
        over = {("delivery", "in-review"), ("delivery", "delivered")}
        await stage.until(lambda: bool(there := set(stage.counts("delivery"))) and there <= over)
        for attempt in stage.server.attempts:
            if attempt.said.startswith("pending "):
                stage.server.review(attempt.said.removeprefix("pending "), passed=True)
        await stage.settled()
        gateway.stop()

    async def main() -> None:
        await stage.boot(send, Power(after=at))
        await stage.boot(send)

    book = stage.run(main)

    assert len(book.of("delivery", "delivered")) == 1
