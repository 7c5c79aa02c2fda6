"""What goes wrong elsewhere with waits: over restarts, under load, and with clocks."""

import json

import attrs
import pytest
import trio

from statecore.events import Elapsed, External, Offline
from statecore.evolve import evolve
from statecore.gateway import Gateway
from statecore.machine import Machine, Signal, Timer, on
from statecore.policies import Circuit
from statecore.system import System
from statecore.units import HOURS, SECONDS
from statecore_journal.memory import MemoryStore
from tests.support.book import Book
from tests.support.platform import QUICK, Fake, Plain, refused, unsent
from tests.support.power import Power
from tests.support.stage import Stage

NOW = 1_790_000_000 * SECONDS


@attrs.frozen
class Alarm:
    """What an alarm remembers."""

    rings_at: int | None = None
    rang: int = 0


@attrs.frozen(kw_only=True)
class Wound(External):
    """It was set."""

    wait: int


@attrs.frozen(kw_only=True)
class Touched(External):
    """Somebody put it off, or on again."""


def wound(was: Alarm, event: Wound, now: int) -> Alarm:
    return evolve(was, rings_at=now + event.wait)


def rang(was: Alarm, _event: Elapsed, _now: int) -> Alarm:
    return evolve(was, rang=was.rang + 1)


def alarm(resume: str) -> Machine:
    """Define an alarm whose wait is resumed in one of the ways there are."""
    timer = Timer("rings_at", floor=1, cap=24 * HOURS, resume=resume)  # type: ignore[arg-type]
    return Machine(
        "alarm", remembers=Alarm, initial="quiet",
        table=[on("quiet", Wound, "set", wound), on("set", Wound, "set", wound), on("set", Elapsed("rings_at"), "quiet", rang)],
        awaits={"quiet": Signal(), "set": (timer, Signal())},
    )  # fmt: skip


def after_a_night(machine: Machine) -> System:
    """Set an alarm to go off in an hour, leave it alone for eight, and load it from what was stored."""
    store = MemoryStore()
    system = System("wx", {"alarm": machine}, store)
    unit = system.begin(NOW)
    system.feed(unit, "alarm/wx", Wound(wait=1 * HOURS + 1))
    store.append(unit, 1)
    fresh = System("wx", {"alarm": machine}, store)
    unit = fresh.begin(NOW + 8 * HOURS)
    if machine.keeps_rest_anywhere:
        fresh.feed(unit, "alarm/wx", Offline(length=8 * HOURS))
    else:
        fresh.arm(unit, NOW + 8 * HOURS)
    return fresh


def test_a_delay_is_resumed_after_a_restart_as_its_definition_says() -> None:
    """
    XState #5331 (open; three meanings are listed and none is implemented): a delay that was running is gone after a restore.
    """
    absolute, remaining = after_a_night(alarm("absolute")), after_a_night(alarm("remaining"))

    assert absolute.snapshot("alarm/wx").data.rings_at == NOW + 1 * HOURS + 1
    assert [address for address, _, _ in absolute.elapsed(NOW + 8 * HOURS, 10)] == ["alarm/wx"]
    assert remaining.snapshot("alarm/wx").data.rings_at == NOW + 9 * HOURS + 1


def test_a_timer_of_a_state_that_was_left_never_fires() -> None:
    """
    xstate-statemachine #213, #221: a delayed event of a state that is no more is delivered after a restore. Nor is its
    deadline there when the state is entered again.
    """
    timer = Timer("rings_at", floor=1, cap=24 * HOURS)
    machine = Machine(
        "alarm", remembers=Alarm, initial="quiet",
        table=[
            on("quiet", Wound, "set", wound), on("quiet", Touched, "set"), on("set", Touched, "quiet"),
            on("set", Wound, "set", wound), on("set", Elapsed("rings_at"), "quiet", rang),
        ],
        awaits={"quiet": Signal(), "set": (timer, Signal())},
    )  # fmt: skip
    system = System("wx", {"alarm": machine}, MemoryStore())
    unit = system.begin(NOW)
    for event in (Wound(wait=1 * SECONDS), Touched()):
        system.feed(unit, "alarm/wx", event)
    assert system.elapsed(NOW + 2 * SECONDS, 10) == []

    system.feed(unit, "alarm/wx", Touched())

    assert system.elapsed(NOW + 2 * SECONDS, 10) == []
    assert system.snapshot("alarm/wx").data.rings_at == NOW + 24 * HOURS


def test_a_deadline_keeps_every_nanosecond_over_a_restart() -> None:
    """
    DBOS #768: deadlines of queued work are stored in whole seconds, so short ones are met at once or a second late.
    """
    assert after_a_night(alarm("absolute")).snapshot("alarm/wx").data.rings_at % SECONDS == 1


# ---- in a whole gateway ----------------------------------------------------------------------------------------------


def patient(stage: Stage, seconds: int = 120) -> None:
    """Have the first attempt refused, so that the chat is left alone for a while; what waits for that waits for time alone."""
    policies = attrs.evolve(QUICK, circuit=Circuit(chat_cooldown=seconds, jitter=0))
    stage.account = Fake(stage.server, Plain(), policies)
    stage.server.once(refused("mute"))


async def send_and_leave(stage: Stage, gateway: Gateway) -> None:
    """Send one message, and stop while it waits for its next attempt."""
    await stage.connected()
    await stage.send(gateway, "ann", "hello")
    await stage.until(lambda: ("delivery", "circuit-tripped") in stage.counts("delivery"))


@pytest.mark.parametrize("away", [5, 600])
def test_a_delivery_that_waited_when_its_process_ended_is_tried_when_it_is_due(stage: Stage, away: float) -> None:
    """
    xstate-statemachine #107, python-statemachine #434, transitions #313: a delay that was running when the process ended is
    lost, and the machine waits for ever; or it starts again from nothing.
    """
    patient(stage)

    async def settle(_: Gateway) -> None:
        await stage.settled()

    async def main() -> None:
        await stage.boot(lambda gateway: send_and_leave(stage, gateway))
        await trio.sleep(away)
        await stage.boot(settle)

    stage.run(main)

    first, second = stage.server.attempts
    late = second.at - first.at - max(120, away)
    assert 0 <= late < 5


def test_a_restore_makes_no_request_of_its_own(stage: Stage) -> None:
    """
    python-statemachine #618, #358: entry actions run again when a saved machine is loaded.
    """
    patient(stage)

    async def look(_: Gateway) -> None:
        await stage.connected()
        await trio.sleep(10)

    async def main() -> None:
        await stage.boot(lambda gateway: send_and_leave(stage, gateway))
        before = [row for row in stage.book().rows if row.machine.startswith("delivery/")]
        for _ in range(3):
            await stage.boot(look)
        after = [row for row in stage.book().rows if row.machine.startswith("delivery/")]

        assert len(stage.server.attempts) == 1
        assert after == before

    stage.run(main)


@pytest.mark.parametrize("write", range(3, 14))
def test_whatever_was_under_way_goes_on_wherever_the_power_failed(stage: Stage, write: int) -> None:
    """
    xstate-statemachine #102: a snapshot that is taken in the middle of a step restores to a machine that does nothing any
    more; #107: a timer that had fired and was not handled yet is lost.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(unsent())

    async def send(gateway: Gateway) -> None:
        await stage.send(gateway, "ann", "one|two")
        await stage.settled()

    async def settle(_: Gateway) -> None:
        await stage.connected()
        await stage.settled()

    async def main() -> None:
        await stage.boot(send, Power.failing("after", write))
        await stage.boot(settle)
        assert [state for _, state in stage.counts("delivery")] in (["delivered"], [])  # none, if it was not accepted

    stage.run(main)


def test_a_flood_of_events_delays_no_timer(stage: Stage) -> None:
    """
    xstate-statemachine #48: while events keep coming, timers that are due wait behind them.
    """
    patient(stage, 5)

    async def flood() -> None:
        number = 0
        while True:
            number += 1
            stage.server.say(f"chat {number % 7}", "again")
            await trio.sleep(0.02)

    async def main() -> None:
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
            nursery.start_soon(flood)
            await stage.settled("delivery")
            nursery.cancel_scope.cancel()

    stage.run(main, rows_per_second=None)

    first, second = stage.server.attempts
    assert 5 <= second.at - first.at < 7
    assert len(stage.server.inbox) > 250


def test_what_waits_holds_nothing_else_up(stage: Stage) -> None:
    """
    python-statemachine 3.2: a delay sleeps in the loop that processes events, so that one machine's wait is everybody's.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 600, refused("mute"), "ann")

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "to ann")
            await stage.until(lambda: bool(stage.server.refusals))
            before = trio.current_time()
            receipt = await stage.send(gateway, "bob", "to bob")
            await receipt.settled()
            assert trio.current_time() - before < 1

    stage.run(main)


def test_each_machine_of_a_chat_is_where_it_was_after_a_restart(stage: Stage) -> None:
    """
    python-statemachine #597 ("the collapse is the trap"): of a configuration of several states that are active together,
    one is saved. Here each is an instance with a row of its own: the tie, the chat's breaker, its window, its message.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 3600, refused("mute"), "ann")

    def places(book: Book) -> dict[str, str]:
        held = [one for one in book.instances.values() if one.machine in {"circuit", "window", "delivery"}]
        return {one.address: f"{one.state} {one.data}" for one in held}

    async def send(gateway: Gateway) -> None:
        stage.server.say("ann", "hi")
        await stage.heard(1)
        await stage.send(gateway, "ann", "hello")
        await stage.until(lambda: bool(stage.server.refusals))
        await trio.sleep(1)

    async def look(_: Gateway) -> None:
        await stage.connected()

    async def main() -> None:
        await stage.boot(send)
        before = places(stage.book())
        await stage.boot(look)

        assert sorted(text.split()[0] for text in before.values()) == ["circuit-tripped", "open", "open"]
        assert places(stage.book()) == before

    stage.run(main)


def test_what_is_stored_is_data_and_nothing_that_is_run(stage: Stage) -> None:
    """
    sismic #66, transitions (pickles are what there is to persist with); CVE-2026-47103 of python-statemachine: what is
    loaded is evaluated.
    """
    patient(stage)

    async def main() -> None:
        await stage.boot(lambda gateway: send_and_leave(stage, gateway))

    book = stage.run(main)

    assert all(isinstance(json.loads(held.data), dict) for held in book.instances.values())
    assert all(isinstance(json.loads(row.data), dict) for row in book.rows)
