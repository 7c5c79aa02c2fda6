"""Silent drop: the platform refuses for longer than a fixed ladder of retries lasts.

hermes-agent#31131: four tries three seconds apart, twelve seconds in all, and the answer is dropped without a word. Also
D17 (hermes-agent#60116: success reported for it) and D19 (hermes-agent#2910: the user waited for an hour).
"""

import pytest
import trio

from statecore.messages import Delivered
from statecore.platform import Policies
from tests.support.platform import Fake, refused, wechat
from tests.support.stage import Stage


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("length", [12, 60, 900, 4 * 3600])
def test_a_refusal_that_outlasts_every_ladder_drops_nothing(stage: Stage, length: int) -> None:
    """
    One chat, one message, and a refusal from twelve seconds to four hours.
    """
    stage.account = Fake(stage.server, wechat(), Policies())
    over = 0.0

    async def main() -> None:
        nonlocal over
        stage.server.say("ann", "hello")
        stage.server.during(0, length, refused())
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "the answer")
            assert isinstance(await receipt.settled(), Delivered)
            over = trio.current_time()

    stage.run(main, limit=10 * 3600)

    assert stage.server.shown("ann") == ["the answer"]
    assert length < over <= length + 1900
    assert len(stage.server.refusals) <= 20


def test_while_it_waits_it_says_why_until_when_and_what_the_user_can_do(stage: Stage) -> None:
    """
    G8: a wait that nobody can see is a drop to whoever waits.
    """
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        stage.server.say("ann", "hello")
        stage.server.during(0, 600, refused())
        async with stage.gateway() as gateway:
            await stage.send(gateway, "ann", "the answer")
            await trio.sleep(20)
            (account,) = gateway.status().accounts
            (chat,) = account.chats
            assert chat.state == "circuit-tripped"
            assert "ret=-2" in chat.reason
            assert chat.action
            assert chat.until is not None

    stage.run(main)


def test_the_user_who_writes_is_answered_at_once(stage: Stage) -> None:
    """
    Most refusals of one chat are cured by its user, and not by time.
    """
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        stage.server.say("ann", "hello")
        stage.server.during(0, 60, refused())
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "the answer")
            await trio.sleep(61)
            assert stage.counts("delivery") == {("delivery", "circuit-tripped"): 1}
            stage.server.say("ann", "are you there?")
            await receipt.settled()
            assert trio.current_time() < 63

    stage.run(main)
