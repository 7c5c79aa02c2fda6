"""What goes wrong elsewhere while a program runs: at its end, in its tasks, and in what it waits for."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from hypothesis import example, given, settings

from statecore.gateway import Gateway
from statecore.machines.circuit import Tripped, circuit
from statecore.messages import Delivered
from statecore.units import SECONDS
from statecore_journal import LogRow
from tests.statecore.strategies import Moment, histories, often
from tests.support.platform import QUICK, Fake, Fate, Plain, dies, refused
from tests.support.power import Power
from tests.support.stage import Stage


def test_what_was_queued_when_it_stopped_is_sent_after_the_next_start(stage: Stage) -> None:
    """
    xstate-statemachine #47: events that are queued when the interpreter stops vanish.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 30, refused("fast"))

    async def send(gateway: Gateway) -> None:
        await stage.connected()
        for number in range(20):
            await stage.send(gateway, f"chat {number % 3}", f"message {number}")

    async def settle(_: Gateway) -> None:
        await stage.settled()

    async def main() -> None:
        await stage.boot(send)
        assert len(stage.server.taken) < 20
        await stage.boot(settle)

    stage.run(main)

    assert sorted(stage.server.shown()) == sorted(f"message {number}" for number in range(20))


def test_what_came_in_when_it_stopped_is_handled_after_the_next_start(stage: Stage) -> None:
    """
    xstate-statemachine #47, the other direction: what the platform was told that we have is ours to handle.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.forgetful = True
    handled: list[str] = []

    async def only_listen(_: Gateway) -> None:
        await stage.connected()
        for number in range(10):
            stage.server.say("ann", str(number))
        await stage.heard(10)

    async def handle(gateway: Gateway) -> None:
        async for message in gateway.inbox():
            async with message:
                handled.append(message.text)
                if len(handled) == 10:
                    gateway.stop()

    async def main() -> None:
        await stage.boot(only_listen, Power())
        await stage.boot(handle)

    stage.run(main)

    assert handled == [str(number) for number in range(10)]


def test_an_attempt_that_raises_is_a_transition_like_any_other(stage: Stage) -> None:
    """
    transitions #730 (open): an error is not a transition, so a machine stays where it was when its callback raised, and
    nothing says so.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(dies(RuntimeError("on purpose"), takes=False))

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "hello")
            assert isinstance(await receipt.settled(), Delivered)

    book = stage.run(main)

    (died,) = [row for row in book.rows if row.event == "Broken"]
    assert (died.source, died.target) == ("sending-bare", "unknown")


def test_what_is_opened_in_the_callers_task_may_stay_open_over_whatever_it_awaits(stage: Stage) -> None:
    """
    transitions #717 (open), #420: callbacks run in tasks of `asyncio.gather`, so a cancel scope that one of them opens
    cannot be closed by the next.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    tasks = set()
    scopes = []

    async def main() -> None:
        async with stage.gateway() as gateway:
            stage.server.say("ann", "one")
            stage.server.say("bob", "two")
            tasks.add(trio.lowlevel.current_task())
            with trio.CancelScope() as around:
                async for message in gateway.inbox():
                    scope = trio.CancelScope(deadline=trio.current_time() + 60)
                    with scope:
                        async with message:
                            tasks.add(trio.lowlevel.current_task())
                            await gateway.send("wx", message.chat, "answer", reply_to=message)
                        tasks.add(trio.lowlevel.current_task())
                    scopes.append(scope)
                    if len(scopes) == 2:
                        around.cancel()
            assert around.cancelled_caught
            await stage.settled()

    stage.run(main)

    assert len(tasks) == 1
    assert [scope.cancelled_caught for scope in scopes] == [False, False]


def test_a_gateway_ends_with_the_scope_it_was_opened_in(stage: Stage) -> None:
    """
    transitions #420 (the branch for trio never landed): what was begun outlives the block that began it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.move_on_after(5):
            async with stage.gateway() as gateway:
                await stage.send(gateway, "ann", "hello")
                await trio.sleep_forever()
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert stage.server.open_clients == 0

    stage.run(main)


def test_any_number_may_wait_without_holding_anything(stage: Stage) -> None:
    """
    DBOS #844: each waiter takes a thread of the executor, so enough of them starve the work that they wait for. xsm: a
    thread a timer.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 20, refused("fast"))
    settled = []

    async def wait(gateway: Gateway, number: int) -> None:
        receipt = await gateway.send("wx", f"chat {number % 5}", f"message {number}")
        settled.append(await receipt.settled())

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            before = threading.active_count()
            async with trio.open_nursery() as nursery:
                for number in range(300):
                    nursery.start_soon(wait, gateway, number)
                await trio.sleep(10)
                assert threading.active_count() == before
                assert settled == []

    stage.run(main)

    assert len(settled) == 300
    assert all(isinstance(one, Delivered) for one in settled)


def test_who_waits_is_told_when_it_happens_and_not_when_it_is_next_asked(stage: Stage) -> None:
    """
    DBOS #575, #576: notifications are polled for once a second, which every test then waits for.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 600, Fate("taken", takes=True, after=0.2))
    late = []

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for number in range(10):
                receipt = await stage.send(gateway, "ann", f"message {number}")
                await receipt.settled()
                late.append(trio.current_time() - stage.server.attempts[-1].at - 0.25)

    stage.run(main)

    assert max(late) < 0.05


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_run(tmp_path: Path, seed: int) -> None:
    """
    trio#239, trio#1587 (open): which task runs first is drawn, and a clock of one's own cannot jump, so a run that failed is
    not seen again.
    """

    def run(name: str) -> list[LogRow]:
        stage = Stage(tmp_path / name)
        stage.folder.mkdir()
        stage.account = Fake(stage.server, Plain(), QUICK)
        stage.server.during(0, 5, refused("fast"))

        async def main() -> None:
            async with stage.gateway() as gateway, trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(gateway.send, "wx", f"chat {number % 4}", f"message {number}")
                await stage.settled("delivery")

        return stage.run(main, seed=seed).rows

    assert run("once") == run("again")


def test_a_known_history_can_be_tried_first_every_time() -> None:
    """
    Hypothesis #1384 (by decision): a stateful test takes no `@example`, so the incident that was seen cannot be pinned.
    Histories here are values, and can.
    """
    tripped = Tripped(reason="no", wait=SECONDS, failures=1)
    known = [Moment(circuit.start(), tripped, 0, circuit.step(circuit.start(), tripped, 0))]
    tried = []

    @settings(often, max_examples=5, database=None)
    @example(known)
    @given(histories(circuit))
    def check(moments: Sequence[Moment]) -> None:
        tried.append(moments)

    check()

    assert tried[0] == known
    assert len(tried) > 1
