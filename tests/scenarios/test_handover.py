"""Handing over: a newcomer asks the owner to let go, and takes the account.

hermes-agent#17198: the new process gave up while the old one still had the token. A17 (openclaw#71412): a stop that does
not stop. B5 (hermes-agent#98625): an account that nobody has, for 38 hours. D2: what was under way is lost, or sent twice.
Here both gateways live in one process; tests/cli/test_restart.py does the same with real ones, and kills them.
"""

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs
import pytest
import trio

from statecore import handover
from statecore.account import Command
from statecore.errors import JournalError
from statecore.gateway import Gateway, Options
from statecore.handover import COMES_WITHIN, Replacing, Step, Vigil
from statecore.machines.delivery import SendPart
from statecore.messages import Delivered, Message
from statecore.system import Unit
from statecore.units import SECONDS
from statecore.world import VirtualWorld
from statecore_journal import submit
from tests.support.platform import QUICK, Fake, Fate, Plain, Server, hangs
from tests.support.power import Power
from tests.support.stage import Stage, answer


def patiently(stage: Stage, drain: str) -> Options:
    """Return options with another drain."""
    return Options(lock_folder=stage.folder / "locks", drain=drain)  # type: ignore[arg-type]


def echo(stage: Stage, gateway: Gateway) -> Callable[[Message], Any]:
    """Return a handler that answers each message once, however often it is handed over."""

    async def handle(message: Message) -> None:
        await stage.send(gateway, message.chat, f"you said {message.text}", key=message.id)

    return handle


async def driven(stage: Stage) -> None:
    """Wait until an owner that is being started is connected."""
    await stage.until(lambda: bool(stage.server.dialled))
    await stage.connected()


def test_a_gateway_that_is_cancelled_while_it_starts_ends(stage: Stage) -> None:
    """
    A17: its accounts are shielded from cancellation, so that they are let go in order; somebody has to tell them to.
    """

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with stage.gateway():
                await trio.sleep_forever()
        assert trio.current_time() < 20

    stage.run(main, limit=60)


async def idle(_gateway: Gateway) -> None:
    """Be a program that does nothing."""
    await trio.sleep_forever()


@pytest.mark.parametrize("seed", range(4))
def test_an_account_changes_hands_under_load_without_a_loss_or_a_copy(stage: Stage, seed: int) -> None:
    """
    A message a second each way, and ten owners after one another; each ends by itself once it was asked.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    ended: list[int] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            for number in range(10):
                nursery.start_soon(own, number)
                await stage.until(lambda number=number: len(stage.server.dialled) == number + 1)  # type: ignore[misc]
                await trio.sleep(3.3)
            await stage.until(lambda: len(stage.server.shown()) == 60)
            nursery.cancel_scope.cancel()

    async def talk() -> None:
        for number in range(30):
            stage.server.say("ann", f"question {number}")
            await trio.sleep(1)

    async def own(number: int) -> None:
        async with stage.gateway(replacing=Replacing()) as gateway, trio.open_nursery() as nursery:

            async def news() -> None:
                for turn in range(3):
                    await stage.send(gateway, "bob", f"news {number * 3 + turn}")
                    await trio.sleep(1)

            nursery.start_soon(answer, gateway, echo(stage, gateway))
            nursery.start_soon(news)
            await gateway.wait_for_stop()
            assert "process" in gateway.stopped_by or gateway.stopped_by == "a command"
        ended.append(number)

    book = stage.run(main, seed=seed)

    assert stage.server.shown("ann") == [f"you said question {number}" for number in range(30)]
    assert stage.server.shown("bob") == [f"news {number}" for number in range(30)]
    assert ended[:9] == list(range(9))
    assert [row.epoch for row in book.events("Started")] == list(range(1, 11))
    gaps = [
        started.at - closed.at
        for closed, started in zip(
            [row for row in book.rows if row.target == "closed"], book.events("Started")[1:], strict=False
        )
    ]
    assert max(gaps) < 1 * SECONDS


@pytest.mark.parametrize("seed", range(3))
def test_an_owner_that_takes_long_to_let_go_is_waited_for(stage: Stage, seed: int) -> None:
    """
    Thirty seconds for a send are no silence: it beats all the while, and its answer is worth more than haste.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 10, Fate("taken", takes=True, after=30))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(old)
            await driven(stage)
            submit(stage.path, "wx", send("hello"), wall=stage.world.wall())
            submit(stage.path, "wx", send("after that"), wall=stage.world.wall())
            await stage.until(lambda: bool(stage.server.attempts))
            async with stage.gateway(replacing=Replacing(patience="3s", grace="2s")):  # type: ignore[arg-type]
                await stage.until(lambda: len(stage.server.dialled) == 2)
                assert trio.current_time() > 30
                await stage.settled()

    async def old() -> None:
        async with stage.gateway(options=patiently(stage, "1m")) as gateway:
            await gateway.wait_for_stop()

    def send(text: str) -> Command:
        return Command(id=0, kind="send", target="ann", delivery=stage.world.new_id(), text=text)

    book = stage.run(main, seed=seed)

    assert stage.server.shown() == ["hello", "after that"]
    assert not book.events("Broken")
    assert not [line for line in stage.log if "SIG" in line]


@pytest.mark.parametrize(("drain", "state"), [("500ms", "unknown"), ("30s", "delivered")])
@pytest.mark.parametrize("asked", ["by a signal", "by a command"])
def test_the_drain_is_as_long_as_it_is_configured(stage: Stage, drain: str, state: str, asked: str) -> None:
    """
    E2: either way of stopping waits for a send of five seconds if it may, and records it as unknown if not; what has not
    begun stays queued.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 20, Fate("taken", takes=True, after=5))

    async def main() -> None:
        async with stage.gateway(options=patiently(stage, drain)) as gateway:
            await stage.connected()
            for text in ("one", "two"):
                await stage.send(gateway, "ann", text)
            await stage.until(lambda: bool(stage.server.attempts))
            if asked == "by a signal":
                gateway.stop("signal 15")
            else:
                submit(stage.path, "wx", Command(id=0, kind="stop"), wall=stage.world.wall())
            await gateway.wait_for_stop()
        assert stage.counts("delivery") == {("delivery", state): 1, ("delivery", "queued"): 1}
        async with stage.gateway():
            await stage.settled()

    book = stage.run(main)

    assert stage.server.shown("ann")[-1] == "two"
    assert [bool(held.fields.get("doubled")) for held in book.of("delivery")] == [state == "unknown", False]


def test_no_new_work_is_taken_once_the_account_was_asked_for(stage: Stage) -> None:
    """
    One handler is at work and one send under way: these end. Whatever waits behind them, or comes meanwhile, is the next
    owner's, although the program that runs here would have time for it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 4, Fate("taken", takes=True, after=6))
    handled: list[tuple[str, str]] = []

    async def main() -> None:
        stage.server.say("ann", "one")
        stage.server.say("dan", "two")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(own, "old", None)
            await stage.until(lambda: bool(stage.server.attempts))
            await stage.heard(2)
            nursery.start_soon(own, "new", Replacing())
            await stage.until(lambda: stage.counts("connection") == {("connection", "draining"): 1})
            command = Command(id=0, kind="send", target="cat", delivery=stage.world.new_id(), text="and this")
            submit(stage.path, "wx", command, wall=stage.world.wall())
            stage.server.say("eve", "three")
            await stage.until(lambda: len(stage.server.shown()) == 5)
            nursery.cancel_scope.cancel()

    async def own(name: str, replacing: Replacing | None) -> None:
        async with stage.gateway(replacing=replacing) as gateway:
            if name == "old":
                await stage.send(gateway, "bob", "hello")

            async def handle(message: Message) -> None:
                handled.append((name, message.text))
                await trio.sleep(4 if name == "old" else 0)
                await echo(stage, gateway)(message)

            await answer(gateway, handle)

    book = stage.run(main)

    assert handled == [("old", "one"), ("new", "two"), ("new", "three")]
    assert set(stage.server.shown()) == {"hello", "and this", *(f"you said {n}" for n in ("one", "two", "three"))}
    assert {row.epoch for row in book.events("Turn")[1:]} == {2}


def test_an_owner_whose_successor_dies_halfway_goes_on(stage: Stage) -> None:
    """
    B5: whoever asked for the account is gone. An account without an owner is the one thing that must not come of it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 10, Fate("taken", takes=True, after=5))
    power = Power()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(old)
            await stage.until(lambda: bool(stage.server.attempts))
            nursery.start_soon(stage.boot, idle, power, None, None, Replacing())
            await stage.until(lambda: stage.counts("connection") == {("connection", "draining"): 1})
            power.cut()
            await stage.until(lambda: len(stage.server.dialled) == 2)
            assert trio.current_time() < 5 + COMES_WITHIN / SECONDS + 3
            stage.server.say("ann", "anybody there?")
            await stage.until(lambda: "you said anybody there?" in stage.server.shown())
            nursery.cancel_scope.cancel()

    async def old() -> None:
        async with stage.gateway() as gateway:
            await stage.send(gateway, "bob", "hello")
            await answer(gateway, echo(stage, gateway))

    stage.run(main)

    assert any("nobody came" in line for line in stage.log)


def test_of_two_that_ask_the_last_has_it_and_neither_gives_it_up_twice(stage: Stage) -> None:
    """
    Two people restart at once. Each process that was replaced ends; they do not take the account from each other for ever.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    left: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(own, "first", None)
            await driven(stage)
            nursery.start_soon(own, "second", Replacing())
            nursery.start_soon(own, "third", Replacing())
            await stage.until(lambda: len(left) == 2)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()

    async def own(name: str, replacing: Replacing | None) -> None:
        async with stage.gateway(replacing=replacing) as gateway:
            await gateway.wait_for_stop()
        left.append(name)

    book = stage.run(main)

    assert left[0] == "first"
    assert len(book.events("Started")) == 3


def test_an_owner_says_who_has_its_account_and_not_who_asked_for_it(stage: Stage) -> None:
    """
    One process asks for the account, and another that waited as well is quicker. Who looks for the owner later reads this.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway(), trio.open_nursery() as nursery:
            await driven(stage)
            nursery.start_soon(waits)
            await stage.until(lambda: any("is driven by process" in line for line in stage.log))
            (lock,) = (stage.folder / "locks").iterdir()
            owner = json.loads(lock.read_text())["boot"]
            asked = Command(id=0, kind="stop", target=owner, text="process 1 on elsewhere")
            submit(stage.path, "wx", asked, wall=stage.world.wall())
            await stage.until(lambda: any("handed over to" in line for line in stage.log))
            nursery.cancel_scope.cancel()

    async def waits() -> None:
        async with stage.gateway() as gateway:
            await gateway.wait_for_stop()

    stage.run(main)

    assert [line.partition("handed over to ")[2] for line in stage.log if "handed over to" in line] == [
        f"process {os.getpid()} on {socket.gethostname()}"
    ]


def test_whoever_replaced_an_owner_does_not_replace_the_next(stage: Stage) -> None:
    """
    It had the account, and lost it by a fault of its own to one that waited. To take it back by force would be the beginning
    of taking it from each other for ever.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.boot, idle, power, None, None, Replacing())
            await driven(stage)
            nursery.start_soon(stage.boot, idle)
            await stage.until(lambda: bool([line for line in stage.log if "waiting for it" in line]))
            power.fault = lambda kind: JournalError("a disk with a fault") if kind == "append" else None
            stage.server.say("ann", "hello")
            await stage.until(lambda: len(stage.server.dialled) == 2)
            power.fault = None
            await trio.sleep(120)
            nursery.cancel_scope.cancel()

    book = stage.run(main)

    assert [row.epoch for row in book.events("Started")] == [1, 2]
    assert not book.commands


def test_what_was_asked_of_a_dead_owner_does_not_stop_its_successor(stage: Stage) -> None:
    """
    The owner did not live to read the command, and the process that gave it finds it in the journal as its own.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.boot, idle, power)
            await driven(stage)
            with stage_stands_still(stage):
                nursery.start_soon(own)
                await stage.until(lambda: stage.counts("command") == {("command", "asked"): 1}, every=0.01)
                power.cut()
            await stage.until(lambda: len(stage.server.dialled) == 2)
            await trio.sleep(30)
            assert stage.counts("connection", "command") in (
                {("connection", "connected"): 1},
                {("connection", "resting"): 1},
            )
            nursery.cancel_scope.cancel()

    async def own() -> None:
        async with stage.gateway(replacing=Replacing()) as gateway:
            await gateway.wait_for_stop()

    stage.run(main)


class stage_stands_still:  # noqa: N801 - it reads as a function
    """Keep gateways from looking for commands."""

    def __init__(self, _stage: Stage) -> None:
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self._patch.setattr(Gateway, "_take_commands", lambda _: None)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_only_the_accounts_that_were_asked_for_change_hands(stage: Stage) -> None:
    """
    A gateway with two accounts goes on with the other one, and with its program.
    """
    other = Fake(Server(), Plain(), QUICK, identity="another account")
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway({"wx": stage.account, "other": other}) as old:
            await stage.connected()
            async with stage.gateway({"wx": stage.account}, replacing=Replacing()) as new:
                await stage.until(lambda: len(stage.server.dialled) == 2)
                await trio.sleep(COMES_WITHIN / SECONDS * 2)
                assert not old.stopping
                assert isinstance(await (await stage.send(old, "ann", "hello", "other")).settled(), Delivered)
                assert isinstance(await (await stage.send(old, "ann", "by the new one")).settled(), Delivered)
                assert not new.troubles()

    stage.servers = {}
    stage.run(main)

    assert len(other.server.dialled) == 1


def test_an_owner_with_another_journal_is_not_touched(stage: Stage) -> None:
    """
    It could not read the question, so its silence means nothing. It is waited for, and what to do is said.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    elsewhere = Stage(stage.folder / "elsewhere")
    elsewhere.folder.mkdir()

    async def main() -> None:
        options = Options(lock_folder=stage.folder / "locks")
        elsewhere._world = stage.world
        theirs = attrs.evolve(stage.account, server=Server())
        async with elsewhere.gateway({"wx": theirs}, options=options):
            await elsewhere.connected()
            async with stage.gateway(replacing=Replacing()) as new:
                await trio.sleep(120)
                assert "waiting for process" in new.troubles()["wx"]
        for witness in elsewhere._witnesses:
            witness.close()

    stage.run(main)

    assert any("so it cannot be asked" in line for line in stage.log)
    assert not [line for line in stage.log if "SIG" in line]


def test_who_waits_says_for_whom_at_once_and_then_rarely(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    hermes-agent#17198 was found in a log. A line at once says who has the account and since when; a line a second would
    hide everything else.
    """
    monkeypatch.setattr(handover, "TELL_EVERY", 60 * SECONDS)

    async def main() -> None:
        async with stage.gateway():
            await stage.connected()
            await trio.sleep(600)
            async with stage.gateway() as waiting:
                await trio.sleep(0.1)
                assert said() == 1
                assert "for 10m" in waiting.troubles()["wx"]
                await trio.sleep(59)
                assert said() == 1
                await trio.sleep(120)
                assert said() == 3

    def said() -> int:
        return len([line for line in stage.log if "is driven by process" in line])

    stage.run(main)


# ---- crashes ---------------------------------------------------------------------------------------------------------


def handing_over(stage: Stage, which: str, write: int, seed: int) -> bool:
    """Hand over with everything under way, and cut one side's power at a write; return whether there was such a write."""
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 3, Fate("taken", takes=True, after=0.6))
    old_power, new_power = Power(), Power()
    (old_power if which == "old" else new_power).after = write

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            stage.server.say("ann", "one")
            nursery.start_soon(own, old_power, None)
            await trio.sleep(0.4)
            stage.server.say("bob", "two")
            nursery.start_soon(own, new_power, Replacing())
            await trio.sleep(0.4)
            stage.server.say("ann", "three")
            await trio.sleep(30)
            assert stage.counts("connection") in ({("connection", "connected"): 1}, {("connection", "resting"): 1})
            await stage.until(lambda: stage.counts("inbound") == {("inbound", "done"): 3})
            await stage.settled()
            nursery.cancel_scope.cancel()

    async def own(power: Power, replacing: Replacing | None) -> None:
        async def program(gateway: Gateway) -> None:
            await answer(gateway, echo(stage, gateway))

        if await stage.boot(program, power, replacing=replacing):  # whoever starts it starts it again
            await trio.sleep(0.5)
            await stage.boot(program)

    stage.run(main, seed=seed)
    assert set(stage.server.shown()) == {"you said one", "you said two", "you said three"}
    return not (old_power.on and new_power.on)


@pytest.mark.parametrize("which", ["old", "new"])
def test_the_power_may_fail_at_every_write_of_a_handover(tmp_path_factory: pytest.TempPathFactory, which: str) -> None:
    """
    D2, B5: whichever row is the last of the owner, or of the newcomer, nothing is lost, nothing is doubled silently, and
    somebody has the account in the end.
    """
    write, cut = 1, True
    while cut:
        cut = handing_over(Stage(tmp_path_factory.mktemp("stage")), which, write, seed=write)
        write += 1
    assert write > 5


def test_a_send_that_hangs_when_the_account_changes_hands_is_unknown_and_said(stage: Stage) -> None:
    """
    D1: nobody knows whether it arrived. The next owner sends it once more, with the same key, and records that.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(hangs(takes=True))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(old)
            await stage.until(lambda: bool(stage.server.attempts))
            async with stage.gateway(replacing=Replacing()):
                await stage.settled()
            nursery.cancel_scope.cancel()

    async def old() -> None:
        async with stage.gateway(options=patiently(stage, "2s")) as gateway:
            await stage.send(gateway, "ann", "hello")
            await gateway.wait_for_stop()

    book = stage.run(main)

    (held,) = book.of("delivery", "delivered")
    assert held.fields["doubled"] == [0]
    assert len({attempt.key for attempt in stage.server.attempts}) == 1


def test_an_owner_that_was_frozen_before_a_request_left_looks_again_whose_the_account_is(stage: Stage) -> None:
    """
    A machine that stands still for seconds stands still between any two instructions, also between the commit of a turn and
    its request. Meanwhile the account was taken, and the new owner sends that part itself.
    """

    def freeze(unit: Unit, _first: int) -> None:
        if any(isinstance(request.attempt.effect, SendPart) for request in unit.requests):
            with closing(sqlite3.connect(stage.path, isolation_level=None)) as successor:
                successor.execute("update leases set epoch = epoch + 1, boot = 'another'")
            trio.lowlevel.current_clock().jump(5)  # type: ignore[attr-defined]

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            gateway.watch(freeze)
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(10)

    book = stage.run(main)

    assert stage.server.attempts == []
    assert not book.of("delivery", "delivered")


# ---- what to do about a silent owner, purely -------------------------------------------------------------------------


def steps(vigil: Vigil, signs: list[Any], every: int = 1 * SECONDS) -> list[tuple[int, str]]:
    """Look every second; return what was done when."""
    done = []
    for second, sign in enumerate(signs):
        step = vigil.look(sign, second * every)
        if step is not Step.WAIT:
            done.append((second, step.value))
            vigil.did(step)
    return done


def test_a_silent_owner_is_asked_then_terminated_then_killed() -> None:
    """
    In this order, and each only when its time is up.
    """
    vigil = Vigil(Replacing(patience="20s", grace="10s"))  # type: ignore[arg-type]

    assert steps(vigil, ["same"] * 60) == [(0, "ask"), (20, "terminate"), (30, "kill")]


def test_an_owner_that_shows_signs_of_life_is_never_ended() -> None:
    """
    However long it takes: a heartbeat, or a row, and its time begins anew.
    """
    vigil = Vigil(Replacing(patience="6s", grace="2s"))  # type: ignore[arg-type]

    assert steps(vigil, [second // 5 for second in range(3600)]) == [(0, "ask")]


def test_an_owner_that_goes_on_after_the_first_signal_is_not_killed() -> None:
    """
    SIGTERM woke it up, and it drains.
    """
    vigil = Vigil(Replacing(patience="6s", grace="3s"))  # type: ignore[arg-type]

    assert steps(vigil, ["same"] * 8 + [second // 2 for second in range(100)]) == [(0, "ask"), (6, "terminate")]


def test_time_in_which_nobody_looked_is_no_silence() -> None:
    """
    A20: the machine slept for an hour between two looks, and so did the owner.
    """
    vigil = Vigil(Replacing(patience="20s", grace="10s"))  # type: ignore[arg-type]

    assert steps(vigil, ["same"] * 15, every=3600 * SECONDS) == [(0, "ask")]


def test_an_owner_that_cannot_be_asked_is_still_ended_in_time() -> None:
    """
    The disk is full: the question cannot be written down, and a signal asks as well.
    """
    vigil = Vigil(Replacing(patience="3s", grace="2s"))  # type: ignore[arg-type]

    looks = [vigil.look("same", second * SECONDS) for second in range(4)]

    assert looks == [Step.ASK, Step.ASK, Step.ASK, Step.TERMINATE]


def test_a_newcomer_whose_clock_is_behind_goes_on_from_the_owners(stage: Stage) -> None:
    """
    Somebody set the wall clock back, and the newcomer was started after that. The deadlines in the journal are on the clock of
    whoever wrote them. Found by simulation: rows went back in time, and everything that waited did so for longer.
    """

    async def main() -> None:
        async with stage.gateway():
            await stage.connected()
            await trio.sleep(100)
            stage._world = VirtualWorld(1, origin=stage.world.now() - 3600 * SECONDS)
            async with stage.gateway(replacing=Replacing()) as second:
                await stage.until(lambda: len(stage.book().events("Started")) > 1)
                receipt = await stage.send(second, "ann", "hello")
                assert isinstance(await receipt.settled(), Delivered)

    book = stage.run(main)

    assert len(book.events("Started")) == 2
    times = [row.at for row in book.rows]
    assert times == sorted(times)
