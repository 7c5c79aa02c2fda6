"""D1, D18: the request left, and nobody knows what became of it.

hermes-agent#14061, #105471, #3904 (up to nine copies): a timeout is taken for a failure, and what was delivered is sent
again as something new. Run against the real package: an empty error text makes two copies, a "retryable" timeout three
and a notice of failure. D18 (hermes-agent#47229) is the other ditch: what never left is not tried again.
"""

from typing import Literal

import pytest
import trio

from statecore.messages import Dead, Delivered
from tests.support.platform import QUICK, Fake, Fate, Plain, dies, hangs, unclear, unsent
from tests.support.stage import Stage

LOST = {
    "cut off": lambda takes: unclear(takes=takes),
    "never answered": lambda takes: hangs(takes=takes),
    "an adapter that raises": lambda takes: dies(TimeoutError(), takes=takes),
}


@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("resends", ["always", "once", "never"])
def test_a_lost_answer_is_dealt_with_as_the_platform_allows(
    stage: Stage, resends: Literal["always", "once", "never"], how: str, *, takes: bool
) -> None:
    """
    Where the platform knows a key, the part is sent again and shown once. Where it may not, it is sent once more and
    recorded as possibly doubled. Where that is not wanted it is left, and a person is told what to look for.
    """
    stage.server.known_keys = resends == "always"
    stage.server.once(LOST[how](takes))
    stage.account = Fake(stage.server, Plain(resends), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            receipt = await stage.send(gateway, "ann", "one|two")
            following = await stage.send(gateway, "ann", "and more")
            outcome = await receipt.settled()
            if resends == "never":
                assert isinstance(outcome, Dead)
                assert "nobody knows whether part 1 arrived" in outcome.reason
                assert "look in the chat" in outcome.action
            else:
                assert outcome == Delivered("p2", doubled=(0,) if resends == "once" else ())
            assert isinstance(await following.settled(), Delivered)
            assert trio.current_time() < 70

    stage.run(main)

    shown = stage.server.shown("ann")
    if resends == "always":
        assert shown == ["one", "two", "and more"]
    elif resends == "once":
        assert shown == ["one"] * (1 + takes) + ["two", "and more"]
    else:
        assert shown == ["one"] * takes + ["and more"]


@pytest.mark.usefixtures("slow_looks")
def test_answers_that_are_lost_again_and_again_end_it_where_keys_are_not_known(stage: Stage) -> None:
    """
    Once more is once more: the third copy is a person's decision.
    """
    stage.server.during(0, 1e9, unclear(takes=True))
    stage.account = Fake(stage.server, Plain("once"), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            outcome = await (await stage.send(gateway, "ann", "hello")).settled()
            assert isinstance(outcome, Dead)
            assert trio.current_time() < 10
            await trio.sleep(3600)

    stage.run(main)

    assert len(stage.server.attempts) == 2


@pytest.mark.parametrize("stage_of", ["resolve", "connect", "tls"])
def test_what_certainly_did_not_leave_is_tried_again_freely(
    stage: Stage, stage_of: Literal["resolve", "connect", "tls"]
) -> None:
    """
    D18: twenty failures to connect are no doubt about anything, so nothing is marked and nothing dies.
    """
    stage.server.once(unsent(stage_of), times=20)
    stage.account = Fake(stage.server, Plain("never"), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            outcome = await (await stage.send(gateway, "ann", "hello")).settled()
            assert outcome == Delivered("p20")

    stage.run(main)

    assert stage.server.shown() == ["hello"]


def test_an_answer_that_comes_after_it_was_given_up_changes_nothing(stage: Stage) -> None:
    """
    A10: the first attempt's answer is no answer to the second.
    """
    stage.server.once(Fate("taken", takes=True, after=65))
    stage.account = Fake(stage.server, Plain("once"), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            outcome = await (await stage.send(gateway, "ann", "hello")).settled()
            assert outcome == Delivered("p1", doubled=(0,))
            await trio.sleep(60)

    stage.run(main)
