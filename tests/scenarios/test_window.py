"""iLink's window: about ten messages, and twenty-four hours, for every message of the user.

Hermes-agent#35714 (stalls after ten messages), Tencent/openclaw-weixin#81 and #156. It is spent before a request leaves,
and never found out by being refused.
"""

import pytest
import trio

from statecore.platform import Policies
from statecore.policies import Pacing
from tests.support.platform import Fake, ILink, wechat
from tests.support.stage import Stage

FAST = Policies(pacing=Pacing(per_second=1000, burst=1000))


@pytest.mark.parametrize("seed", range(3))
def test_of_twenty_five_messages_ten_leave_for_each_one_the_user_writes(stage: Stage, seed: int) -> None:
    """
    The rest waits and says why, and not one request is refused.
    """
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(), FAST)

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            for number in range(25):
                await stage.send(gateway, "ann", f"message {number}")
            for allowed in (10, 20):
                await stage.until(lambda allowed=allowed: len(stage.server.taken) == allowed)  # type: ignore[misc]
                await trio.sleep(60)
                assert len(stage.server.taken) == allowed
                (account,) = gateway.status().accounts
                (chat,) = account.chats
                assert (chat.state, chat.window, chat.waiting) == ("window-closed", "used-up", 25 - allowed)
                assert "used up" in chat.reason
                assert "write" in chat.action
                stage.server.say("ann", "go on")
            await stage.settled("delivery")

    book = stage.run(main, seed=seed)

    assert stage.server.shown("ann") == [f"message {number}" for number in range(25)]
    assert not stage.server.refusals
    assert len(book.of("delivery", "delivered")) == 25


def test_a_message_of_many_parts_is_cut_off_by_the_window_between_two_of_them(stage: Stage) -> None:
    """
    Twenty-five parts after one message of the user: the eleventh goes out with the user's next message, and no part
    twice.
    """
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(chars=20), FAST)
    text = " ".join(f"word number {number:02d}." for number in range(25))

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            receipt = await stage.send(gateway, "ann", text)
            for _ in range(2):
                await trio.sleep(30)
                stage.server.say("ann", "go on")
            await receipt.settled()

    stage.run(main)

    assert len(stage.server.taken) == 25
    assert not stage.server.refusals
    assert "".join("".join(stage.server.shown("ann")).split()) == "".join(text.split())


@pytest.mark.usefixtures("slow_looks")
def test_a_window_that_has_lapsed_is_not_knocked_at(stage: Stage) -> None:
    """
    After a day nothing may be sent, and a restart in between does not forget since when.
    """
    stage.server.ilink = ILink()
    stage.server.hold = 3600
    stage.account = Fake(stage.server, wechat(), FAST)

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway():
            await trio.sleep(120)
        await trio.sleep(24 * 3600)
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "good morning")
            await trio.sleep(300)
            (chat,) = gateway.status().accounts[0].chats
            assert (chat.state, chat.window) == ("window-closed", "lapsed")
            stage.server.say("ann", "good morning")
            await receipt.settled()

    stage.run(main, limit=48 * 3600)

    assert [attempt.taken for attempt in stage.server.attempts] == [True]


def test_a_chat_that_never_wrote_is_asked_once_and_then_left_to_its_user(stage: Stage) -> None:
    """
    This journal has never seen the user write; another program may have. One request may find out.
    """
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(), FAST)

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipts = [await stage.send(gateway, "ann", f"message {number}") for number in range(5)]
            await trio.sleep(600)
            assert len(stage.server.attempts) == 1
            stage.server.say("ann", "hello")
            for receipt in receipts:
                await receipt.settled()

    stage.run(main)

    assert len(stage.server.taken) == 5


def test_refusals_do_not_use_the_window_up(stage: Stage) -> None:
    """
    What the platform did not take does not count, or a bad minute would cost the day.
    """
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(), FAST)

    async def main() -> None:
        stage.server.say("ann", "hello")
        stage.server.stale("ann")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            for number in range(10):
                await stage.send(gateway, "ann", f"message {number}")
            await stage.settled("delivery")

    stage.run(main)

    assert len(stage.server.taken) == 10


def test_a_request_on_its_way_when_the_user_writes_counts_for_the_new_window(stage: Stage) -> None:
    """
    The platform's count is never above ours, or the last message of every lively talk is refused, read as a bad token,
    sent again without it, and taken for a reason to leave the chat alone.
    """
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(), FAST)

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            receipts = [await stage.send(gateway, "ann", f"message {number}") for number in range(13)]
            await stage.until(lambda: len(stage.server.taken) == 1, every=0.01)
            await trio.sleep(0.07)  # the second is on its way
            stage.server.say("ann", "and another thing")
            await stage.until(lambda: len(stage.server.attempts) > 10)
            await trio.sleep(20)
            stage.server.say("ann", "go on")
            for receipt in receipts:
                await receipt.settled()

    stage.run(main)

    assert not stage.server.refusals
