"""C8, C10, E1: what programs do with messages, and what that must not do to the gateway.

C8 (Tencent/openclaw-weixin#92): a handler that takes its time keeps the next poll from being made. C10
(openclaw-weixin#83): a task per message, and a picture that loads lets the later text overtake.
"""

import pytest
import trio

from statecore.errors import Conflict, StatecoreError
from statecore.messages import Message
from tests.support.platform import QUICK, Fake, Plain
from tests.support.stage import Stage, answer


def test_a_handler_of_ten_minutes_keeps_no_poll_waiting(stage: Stage) -> None:
    """
    C8: what comes in meanwhile is in the journal within a moment, and nothing of it piles up in memory.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async def handle(message: Message) -> None:
            if message.text == "message 0":
                await trio.sleep(600)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.connected()
            for number in range(200):
                stage.server.say(f"chat {number % 7}", f"message {number}")
                await trio.sleep(1)
                assert sum(stage.counts("inbound").values()) == number + 1
            assert stage.counts("inbound") == {("inbound", "handling"): 1, ("inbound", "waiting"): 199}
            assert not gateway._inbox
            await stage.settled(within=1200)
            gateway.stop()

    stage.run(main)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("consumers", [1, 4, 16])
def test_a_chat_is_handled_in_its_order_whoever_handles_it(stage: Stage, consumers: int, seed: int) -> None:
    """
    C10: however slow its first message is; other chats go on meanwhile.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[tuple[str, int]] = []
    running: set[str] = set()

    async def main() -> None:
        draw = stage.world.draw

        async def handle(message: Message) -> None:
            assert message.chat not in running, "two handlers have one chat at once"
            running.add(message.chat)
            await trio.sleep(5 * draw())
            running.discard(message.chat)
            handled.append((message.chat, int(message.text)))

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            for _ in range(consumers):
                nursery.start_soon(answer, gateway, handle)
            for number in range(60):
                stage.server.say(f"chat {number % 5}", str(number))
                await trio.sleep(0.1)
            await stage.settled()
            gateway.stop()

    stage.run(main, seed=seed)

    for chat in range(5):
        assert [text for name, text in handled if name == f"chat {chat}"] == list(range(chat, 60, 5))


@pytest.mark.parametrize("way", ["break", "raise", "cancel", "never entered"])
def test_the_loop_may_be_left_in_any_way(stage: Stage, way: str) -> None:
    """
    What was taken and not handled is handed over again, and what was handled is not.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        for text in ("one", "two", "three"):
            stage.server.say("ann", text)

        async def leave() -> None:
            async for message in gateway.inbox():
                if way == "never entered":
                    return
                async with message:
                    if message.text == "two" and way == "raise":
                        raise ValueError("not today")
                    if message.text == "two" and way == "cancel":
                        await trio.sleep_forever()
                    handled.append(message.text)
                if message.text == "two":
                    break

        async def handle(message: Message) -> None:
            handled.append(message.text)

        async with stage.gateway() as gateway:
            with trio.move_on_after(20):
                await leave()
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.settled(within=100)
            gateway.stop()

    stage.run(main)

    assert handled == ["one", "two", "three"]


def test_a_consumer_that_is_not_there_loses_nothing(stage: Stage) -> None:
    """
    Without a handler messages wait in the journal, over restarts, for whoever comes.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        for boot in range(3):
            stage.server.say("ann", f"message {boot}")
            async with stage.gateway():
                await stage.heard(boot + 1)
        assert stage.counts("inbound") == {("inbound", "waiting"): 3}

        async def handle(message: Message) -> None:
            handled.append(message.text)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.settled()
            gateway.stop()

    book = stage.run(main)

    assert handled == ["message 0", "message 1", "message 2"]
    assert [held.fields["attempts"] for held in book.of("inbound")] == [1, 1, 1]


@pytest.mark.parametrize("way", ["return", "cancelled right after"])
def test_a_message_that_was_taken_and_let_fall_is_handed_over_again(stage: Stage, way: str) -> None:
    """
    Without a restart: its chat would stand still until there is one, and nobody would know why.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        stage.server.say("ann", "hello")

        async def let_fall() -> None:
            async for _ in gateway.inbox():
                if way == "return":
                    return
                await trio.sleep_forever()

        async def handle(message: Message) -> None:
            handled.append(message.text)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            await stage.heard(1)
            with trio.move_on_after(1):
                await let_fall()
            nursery.start_soon(answer, gateway, handle)
            await stage.settled(within=120)
            gateway.stop()

    stage.run(main)

    assert handled == ["hello"]


@pytest.mark.parametrize("seed", range(4))
def test_two_programs_of_one_gateway_share_its_messages(stage: Stage, seed: int) -> None:
    """
    Each message goes to one of them, consumers come and go, and nobody starves.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        async def handle(message: Message) -> None:
            await trio.sleep(stage.world.draw())
            handled.append(message.text)

        async def comes_and_goes() -> None:
            while True:
                with trio.move_on_after(3 * stage.world.draw()):
                    await answer(gateway, handle)
                await trio.sleep(stage.world.draw())

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(comes_and_goes)
            for number in range(60):
                stage.server.say(f"chat {number % 9}", f"message {number}")
                await trio.sleep(0.2)
            await stage.settled(within=300)
            nursery.cancel_scope.cancel()

    book = stage.run(main, seed=seed)

    done = [held.key for held in book.of("inbound", "done")]
    assert len(done) + len(book.of("inbound", "quarantined")) == 60
    assert len(done) >= 58


def test_messages_may_be_handled_in_tasks_of_their_own(stage: Stage) -> None:
    """
    The loop that most people write. Every message was handled five times at once, and set aside.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        for number in range(3):
            stage.server.say(f"c{number}", f"m{number}")

        async def handle(message: Message) -> None:
            await trio.sleep(1)
            async with message:
                await trio.sleep(5)
                handled.append(message.text)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:

            async def loop() -> None:
                async for message in gateway.inbox():
                    nursery.start_soon(handle, message)

            nursery.start_soon(loop)
            await stage.heard(3)
            await stage.settled(within=60)
            gateway.stop()

    stage.run(main)
    assert sorted(handled) == ["m0", "m1", "m2"]
    assert stage.counts("inbound") == {("inbound", "done"): 3}


def test_a_message_that_is_kept_and_never_entered_is_handed_over_again(stage: Stage) -> None:
    """
    Its chat waits for it, and whoever has it may have forgotten it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    kept: list[Message] = []

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:

            async def loop() -> None:
                async for message in gateway.inbox():
                    kept.append(message)
                    if len(kept) == 2:
                        async with message:
                            return

            nursery.start_soon(loop)
            await stage.heard(1)
            await stage.settled(within=120)
            with pytest.raises(StatecoreError, match="handed over again"):
                await kept[0].__aenter__()
            gateway.stop()

    stage.run(main)
    assert [message.text for message in kept] == ["hello", "hello"]


def test_a_handler_outlives_the_driver_of_its_account(stage: Stage) -> None:
    """
    When a fault made the account start over, its message was handed to another handler while the first still ran.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    def fault() -> None:
        raise Conflict("another writer appended first")

    async def main() -> None:
        stage.server.say("ann", "hello")

        async def handle(message: Message) -> None:
            handled.append(message.text)
            await trio.sleep(20)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(answer, gateway, handle)
            await trio.sleep(2)
            gateway._drivers["wx"].post(fault)
            await trio.sleep(60)
            gateway.stop()

    stage.run(main)
    assert handled == ["hello"]
    assert stage.counts("inbound") == {("inbound", "done"): 1}
