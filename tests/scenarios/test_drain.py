"""E2, E3, A6, A17, C9: stopping, with work under way.

E2 (hermes-agent#107638, #82161: drained in 0.00 s) is blind to sends in flight. E3 (hermes-agent#77184) waits for itself.
A6 (hermes-agent#68406): cancelled between "removed" and "queued again", an account belongs to nobody. C9: what was
collected and not yet handled is thrown away.
"""

from collections.abc import Callable

import pytest
import trio

from statecore.errors import GatewayStopped
from statecore.gateway import Gateway
from statecore.messages import Delivered, Message
from statecore.platform import Policies
from tests.support.platform import HANG, QUICK, Fake, Fate, Plain, hangs
from tests.support.power import Power
from tests.support.stage import Stage, answer


@pytest.mark.parametrize("seed", range(4))
def test_a_stop_sees_a_send_in_flight_to_its_end(stage: Stage, seed: int) -> None:
    """
    E2: five seconds until the answer are waited for, and no second more; what has not begun stays for the next start.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 10, Fate("taken", takes=True, after=5))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(3):
                await stage.send(gateway, "ann", f"message {number}")
            await trio.sleep(0.5)
        assert 5 < trio.current_time() < 6
        assert stage.counts("delivery") == {("delivery", "delivered"): 1, ("delivery", "queued"): 2}
        async with stage.gateway():
            await stage.settled()

    book = stage.run(main, seed=seed)

    assert stage.server.shown() == [f"message {number}" for number in range(3)]
    assert not book.events("Broken")
    assert stage.server.hung_up == 2


def test_a_send_that_hangs_is_not_waited_for_for_ever_and_not_forgotten(stage: Stage) -> None:
    """
    E2: after ten seconds its outcome is unknown, and says so; the next start sends it once more with the same key.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(hangs(takes=True))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(0.5)
        assert 10 < trio.current_time() < 12
        assert stage.counts("delivery") == {("delivery", "unknown"): 1}
        async with stage.gateway():
            await stage.settled()

    book = stage.run(main)

    (held,) = book.of("delivery", "delivered")
    assert held.fields["doubled"] == [0]
    assert len({attempt.key for attempt in stage.server.attempts}) == 1


@pytest.mark.parametrize("seed", range(4))
def test_stop_may_be_called_by_a_handler(stage: Stage, seed: int) -> None:
    """
    E3: the handler is not waited for by what it waits for; its message is done, and its answer leaves later.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        stage.server.say("ann", "/restart")

        async with stage.gateway() as gateway:

            async def handle(message: Message) -> None:
                await stage.send(gateway, message.chat, "restarting")
                gateway.stop("the user")

            await answer(gateway, handle)
        assert trio.current_time() < 2
        async with stage.gateway():
            await stage.settled()

    book = stage.run(main, seed=seed)

    assert book.messages("done") == ["m1"]
    assert stage.server.shown() == ["restarting"]
    assert book.events("StopRequested")[0].fields["by"] == "the user"


def test_a_handler_that_does_not_end_is_not_waited_for_for_ever(stage: Stage) -> None:
    """
    A17: its message is handed over again by the next start, and counted.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        async def stuck(_message: Message) -> None:
            await trio.sleep_forever()

        async def handle(message: Message) -> None:
            handled.append(message.text)

        async with trio.open_nursery() as nursery:
            async with stage.gateway() as gateway:
                nursery.start_soon(answer, gateway, stuck)
                await stage.connected()
                stage.server.say("ann", "hello")
                await trio.sleep(1)
            assert 10 < trio.current_time() < 13
            nursery.cancel_scope.cancel()
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.settled()
            gateway.stop()

    book = stage.run(main)

    assert handled == ["hello"]
    assert book.of("inbound")[0].fields["attempts"] == 2


def test_what_came_in_right_before_the_stop_is_kept(stage: Stage) -> None:
    """
    C9: nothing is collected in memory; a message is in the journal before the platform hears that it arrived.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(5):
                stage.server.say("ann", f"message {number}")
                await trio.sleep(0.1)
            gateway.stop()
        assert stage.counts("inbound") == {("inbound", "waiting"): 5}

    stage.run(main)


def test_a_message_that_came_while_it_stopped_is_fetched_by_the_next_start(stage: Stage) -> None:
    """
    The poll that a stop cuts off has acknowledged nothing.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 10, hangs(takes=True))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(0.5)
            gateway.stop()
            await trio.sleep(1)
            stage.server.say("ann", "are you there?")
        async with stage.gateway():
            await stage.heard(1)

    stage.run(main)


@pytest.mark.parametrize("hanging", ["dial", "receive", "send", "nothing"])
def test_leaving_the_gateway_by_cancellation_drains_and_no_more(stage: Stage, hanging: str) -> None:
    """
    A6: whoever cancels gets what whoever leaves in order gets: what is under way is seen to its end, for as long as a
    drain may take.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    if hanging == "dial":
        stage.server.dials.append(lambda number: HANG if number == 1 else None)
    elif hanging == "receive":
        stage.server.polls.append(lambda number: HANG if number == 1 else None)
    elif hanging == "send":
        stage.server.once(hangs(takes=False))

    async def main() -> None:
        with trio.move_on_after(5):
            async with stage.gateway() as gateway:
                await trio.sleep(1)
                await stage.send(gateway, "ann", "hello")
                await trio.sleep_forever()
        assert trio.current_time() < (16 if hanging == "send" else 6)
        async with stage.gateway():
            await stage.settled()

    stage.run(main)

    assert set(stage.server.shown()) == {"hello"}


class Late(trio.abc.Instrument):
    """Does something right before the so-many-th task step from now."""

    def __init__(self, step: int, do: Callable[[], None]) -> None:
        self._left = step
        self._do = do

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        """Count down."""
        self._left -= 1
        if self._left == 0:
            self._do()


def teardown(stage: Stage, step: int, *, kill: bool, seed: int) -> bool:
    """Stop with everything under way, and cut the stop short at a step; return whether there was such a step."""
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 1.2, Fate("taken", takes=True, after=0.6))
    power = Power()
    cut = False

    async def main() -> None:
        stage.server.say("ann", "one")
        stage.server.say("bob", "two")
        await stage.boot(first, power)
        await stage.boot(second)

    async def first(gateway: Gateway) -> None:
        async def handle(message: Message) -> None:
            await trio.sleep(0.7)
            await stage.send(gateway, message.chat, f"you said {message.text}", key=message.id)

        def strike() -> None:
            nonlocal cut
            cut = True
            power.cut() if kill else power.scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            nursery.start_soon(answer, gateway, handle)
            await stage.send(gateway, "ann", "news|and more", key="news")
            await trio.sleep(0.5)
            trio.lowlevel.add_instrument(Late(step, strike))
            gateway.stop()

    async def second(gateway: Gateway) -> None:
        async def handle(message: Message) -> None:
            await stage.send(gateway, message.chat, f"you said {message.text}", key=message.id)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.until(
                lambda: stage.counts("inbound", "delivery") == {("inbound", "done"): 2, ("delivery", "delivered"): 3}
            )
            gateway.stop()

    stage.run(main, seed=seed)
    assert set(stage.server.shown()) == {"news", "and more", "you said one", "you said two"}
    return cut


@pytest.mark.parametrize("kill", [False, True], ids=["cancelled", "killed"])
def test_a_stop_may_be_cut_short_at_every_step(tmp_path_factory: pytest.TempPathFactory, *, kill: bool) -> None:
    """
    A6: whichever await of the teardown is the last, nothing belongs to nobody afterwards.
    """
    step, cut = 1, True
    while cut:
        cut = teardown(Stage(tmp_path_factory.mktemp("stage")), step, kill=kill, seed=step)
        step += 1 if step < 60 else 3
    assert step > 30


def test_a_program_that_raises_ends_the_gateway_in_order(stage: Stage) -> None:
    """
    The error reaches the caller as it is, and what was under way is seen to its end first.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 10, Fate("taken", takes=True, after=2))

    async def main() -> None:
        with pytest.raises(LookupError, match="a slip"):
            await program()
        assert stage.counts("delivery") == {("delivery", "delivered"): 1}

    async def program() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(0.5)
            raise LookupError("a slip")

    stage.run(main)


def test_receipts_settle_while_the_gateway_stops(stage: Stage) -> None:
    """
    Whoever waits for an answer under way gets it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 10, Fate("taken", takes=True, after=2))

    async def main() -> None:
        outcomes: list[object] = []
        async with trio.open_nursery() as nursery, stage.gateway() as gateway:
            await stage.connected()
            receipt = await stage.send(gateway, "ann", "hello")

            async def wait() -> None:
                outcomes.append(await receipt.settled())

            nursery.start_soon(wait)
            await trio.sleep(0.5)
            gateway.stop()
        assert isinstance(outcomes[0], Delivered)

    stage.run(main)


def test_a_drain_waits_and_does_not_spin(stage: Stage) -> None:
    """
    G2, at the very end: messages wait for their pace, one is under way, and the account is asked to stop.
    """
    stage.account = Fake(stage.server, Plain(), Policies())
    stage.server.during(0, 100, Fate("taken", takes=True, after=5))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(6):
                await stage.send(gateway, f"chat {number}", "hello")
            await trio.sleep(2.5)
        assert trio.current_time() < 9

    stage.run(main)


def test_who_waits_for_a_receipt_is_told_that_the_gateway_stopped(stage: Stage) -> None:
    """
    It waited for ever, so the program could not end.
    """
    told: list[str] = []

    async def main() -> None:
        stage.server.during(0, 1e9, hangs(takes=False))
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "first")
            await trio.sleep(2)
            gateway.stop("signal")
            with trio.fail_after(60), pytest.raises(GatewayStopped) as caught:
                await receipt.settled()
            told.append(str(caught.value))

    stage.run(main)
    assert told
    assert "the next start goes on with it" in told[0]


def test_a_gateway_whose_last_account_was_told_to_stop_stops(stage: Stage) -> None:
    """
    It stayed, accepted messages, and delivered none.
    """

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.ask(gateway, "stop")
            with trio.fail_after(60):
                await gateway.wait_for_stop()

    stage.run(main)
