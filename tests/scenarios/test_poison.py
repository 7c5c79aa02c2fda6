"""C6: a message that kills whoever handles it, and kills them again after the restart.

PraisonAI#2723, openclaw#99365; hermes-agent#82574: a breaker that looks only at quick successions is blind to one every
150 seconds; hermes-agent#18528 and #56107: "/restart" is delivered again after the restart it caused, for ever. So an
attempt is counted before the handler begins.
"""

import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Message
from tests.support.platform import QUICK, Fake, Plain
from tests.support.power import Power
from tests.support.stage import Stage, answer


@pytest.mark.parametrize("apart", [0, 150])
def test_a_message_that_takes_the_process_down_is_set_aside_and_the_others_go_on(stage: Stage, apart: int) -> None:
    """
    After five deaths, however far apart; other chats are served between them, and its own chat goes on afterwards.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []
    deaths = 0

    def program(power: Power) -> object:
        async def run(gateway: Gateway) -> None:
            async def handle(message: Message) -> None:
                if message.text == "poison":
                    power.cut()
                    await trio.sleep_forever()
                handled.append(message.text)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, gateway, handle)
                await trio.sleep(100)
                gateway.stop()

        return run

    async def main() -> None:
        nonlocal deaths
        stage.server.say("ann", "poison")
        stage.server.say("ann", "and then?")
        for boot in range(7):
            stage.server.say("bob", f"hello {boot}")
            power = Power()
            deaths += await stage.boot(program(power), power)  # type: ignore[arg-type]
            await trio.sleep(apart)

    book = stage.run(main)

    assert deaths == 5
    assert sorted(handled) == sorted(["and then?", *(f"hello {boot}" for boot in range(7))])
    (poison,) = book.of("inbound", "quarantined")
    assert poison.fields["attempts"] == 5
    assert "process ended" in poison.fields["reason"]
    assert poison.fields["action"]


def test_a_handler_that_raises_is_called_again_later_and_then_no_more(stage: Stage) -> None:
    """
    Each time after a longer wait; the loop that takes messages survives, other chats are not held up, and a person who
    mended the handler may have the message handed over again.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[tuple[float, str]] = []
    mended = False

    async def main() -> None:
        nonlocal mended

        async def handle(message: Message) -> None:
            handled.append((trio.current_time(), message.text))
            if message.text == "bad" and not mended:
                raise ValueError("the handler is not made for this")

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            stage.server.say("ann", "bad")
            stage.server.say("ann", "good")
            await trio.sleep(1)
            stage.server.say("bob", "hello")
            await stage.until(lambda: ("inbound", "quarantined") in stage.counts("inbound"))
            await trio.sleep(5)
            assert [text for _, text in handled if text != "hello"] == ["bad"] * 5 + ["good"]
            mended = True
            await stage.ask(gateway, "retry", "inbound/wx/m1")
            await stage.until(lambda: stage.counts("inbound") == {("inbound", "done"): 3})
            gateway.stop()

    stage.run(main)

    assert handled[-1][1] == "bad"
    told = next(at for at, text in handled if text == "hello")
    assert told < 1.5


def test_a_message_nobody_has_taken_is_not_counted_as_tried(stage: Stage) -> None:
    """
    One consumer takes one message at a time. The others wait in the journal: a process that ends meanwhile is not held
    against messages that no handler has seen, or five restarts during long jobs set everybody's messages aside.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async def handle(_message: Message) -> None:
            await trio.sleep(3600)

        for chat in ("ann", "bob", "cyd"):
            stage.server.say(chat, "hello")
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await trio.sleep(30)
            assert stage.counts("inbound") == {("inbound", "handling"): 1, ("inbound", "waiting"): 2}
            nursery.cancel_scope.cancel()

    stage.run(main)


def test_a_stop_does_not_wait_for_messages_nobody_has_taken(stage: Stage) -> None:
    """
    Nothing is under way with them, so there is nothing to see to its end.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async def handle(message: Message) -> None:
            if message.chat == "ann":
                await trio.sleep(5)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.connected()
            stage.server.say("ann", "this takes a while")
            await stage.until(lambda: stage.counts("inbound") == {("inbound", "handling"): 1})
            stage.server.say("bob", "hello")
            stage.server.say("cyd", "hello")
            await stage.heard(3)
            gateway.stop()
            await stage.until(lambda: stage.counts("connection") == {("connection", "closed"): 1})
            assert trio.current_time() < 6
        assert stage.counts("inbound") == {("inbound", "done"): 1, ("inbound", "waiting"): 2}

    stage.run(main)
