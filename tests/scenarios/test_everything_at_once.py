"""All of it together: whatever can go wrong goes wrong by chance, and in the end everything is where it belongs.

The scenarios beside this one know what they look for. This one does not: it holds the guarantees against the truth after
some minutes with a platform that refuses, hangs, forgets and repeats itself, on a machine that dies, sleeps and loses its
clock, under programs that come and go.
"""

import math
from typing import Final

import attrs
import pytest
import trio

from statecore.account import Command
from statecore.gateway import Gateway
from statecore.messages import Message
from statecore.platform import Empty, Failure
from statecore.policies import Circuit, Pacing, Retry, Window
from statecore.units import HOURS
from statecore_journal import submit
from statecore_journal.whatif import what_if
from tests.support.platform import (
    CANARY,
    EXPIRED,
    HANG,
    PLATFORMS,
    QUICK,
    DialAnswer,
    Fake,
    Fate,
    Plain,
    PollAnswer,
    dies,
    hangs,
    refused,
    unclear,
    unsent,
)
from tests.support.power import Power
from tests.support.stage import Stage, answer

CHATS: Final = ("ann", "bob", "cyd", "dan", "eve")
STORM: Final = 300.0
"""Seconds in which things go wrong."""

POLICIES: Final = attrs.evolve(
    QUICK,
    pacing=Pacing(per_second=10, burst=5),
    window=Window(messages=12),
    circuit=Circuit(cooldown=2, chat_cooldown=5, cap=60),
    retry=Retry(attempts=4, age=300),
)


class Chaos:
    """What goes wrong, by chance."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.said = self.sent = 0
        stage.server.sends.append(self.send)
        stage.server.polls.append(self.poll)
        stage.server.dials.append(self.dial)

    def luck(self, share: float) -> bool:
        """Decide."""
        return trio.current_time() < STORM and self.stage.world.draw() < share

    def one_of(self, *choices: str) -> str:
        """Choose."""
        return choices[math.floor(self.stage.world.draw() * len(choices))]

    def send(self, _: object) -> Fate | None:
        """Choose the fate of a send."""
        if not self.luck(0.4):
            return None
        takes = self.stage.world.draw() < 0.5
        match self.one_of("busy", "fast", "mute", "gone", "who", "unsent", "unclear", "hang", "raise", "slow", "slow"):
            case "unsent":
                return unsent()
            case "unclear":
                return unclear(takes=takes)
            case "hang":
                return hangs(takes=takes)
            case "raise":
                return dies(ValueError(f"{CANARY}: no"), takes=takes)
            case "slow":
                return Fate("taken", takes=True, after=30 * self.stage.world.draw())
            case code:
                return refused(code)

    def poll(self, _: int) -> PollAnswer | None:
        """Choose the answer to a poll."""
        if not self.luck(0.25):
            return None
        match self.one_of("empty", "silent", "lost", "expired", "raise", "hang"):
            case "empty":
                return Empty()
            case "silent":
                return Empty(silent=True)
            case "lost":
                return Failure(stage="receive", error="cut off", reachable=self.stage.world.draw() < 0.5)
            case "expired":
                return EXPIRED
            case "raise":
                return OSError("no")
            case _:
                return HANG

    def dial(self, _: int) -> DialAnswer | None:
        """Choose the answer to a dial."""
        return Failure(stage="connect", error="down") if self.luck(0.4) else None

    async def users(self) -> None:
        """Have users write, and the platform repeat itself."""
        server = self.stage.server
        while trio.current_time() < STORM:
            await trio.sleep(10 * self.stage.world.draw())
            self.said += 1
            message = server.say(self.one_of(*CHATS), f"question {self.said}")
            if self.luck(0.2):
                server.deliver(message)
            if self.luck(0.1):
                server.deliver(attrs.evolve(message, id=f"{message.id} again"))
        while True:
            await trio.sleep(40)
            for chat in CHATS:
                server.say(chat, "go on")

    async def machine(self) -> None:
        """Have the machine sleep, and its clock be set."""
        while trio.current_time() < STORM:
            await trio.sleep(200 * self.stage.world.draw())
            if self.luck(0.5):
                self.stage.world.suspend(round(HOURS * self.stage.world.draw()))
            else:
                self.stage.world.step_wall(round(1000 * HOURS * (self.stage.world.draw() - 0.5)))

    async def programs(self) -> None:
        """Have programs come and go, in order and otherwise, two at once at times."""
        while trio.current_time() < STORM:
            power = Power()
            lasts = 60 * self.stage.world.draw()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.stage.boot, self.program(lasts, power), power)
                if self.luck(0.3):
                    await trio.sleep(lasts / 2)
                    second = Power()
                    nursery.start_soon(self.stage.boot, self.program(lasts, second), second)
        await self.stage.boot(self.program(1e9, Power()))

    async def meddle(self, kind: str, target: str) -> None:
        """Have a person decide about what died."""
        await trio.lowlevel.checkpoint()
        submit(self.stage.path, "wx", Command(id=0, kind=kind, target=target), wall=self.stage.world.wall())

    def program(self, lasts: float, power: Power) -> "Program":
        """Make a program that answers, and says something of its own at times."""
        return Program(self, lasts, power)


@attrs.frozen
class Program:
    """See `Chaos.program`."""

    chaos: Chaos
    lasts: float
    power: Power

    async def __call__(self, gateway: Gateway) -> None:
        """Run."""
        ends = trio.current_time() + self.lasts
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(answer, gateway, self.handle(gateway))
            while trio.current_time() < ends and not self.over():
                await trio.sleep(4 * self.chaos.stage.world.draw())
                if trio.current_time() < STORM:
                    self.chaos.sent += 1
                    text = "|".join(f"news {self.chaos.sent}.{part}" for part in range(1 + self.chaos.sent % 4))
                    expires = "20s" if self.chaos.luck(0.2) else None
                    await self.chaos.stage.send(gateway, self.chaos.one_of(*CHATS), text, expires=expires)
                    for address in self.chaos.stage.dead():
                        if self.chaos.luck(0.1):
                            await self.chaos.meddle(self.chaos.one_of("retry", "retry", "purge"), address)
            if self.chaos.luck(0.5):
                self.power.cut()
            gateway.stop()
            nursery.cancel_scope.cancel()

    def handle(self, gateway: Gateway) -> "Handler":
        """Make a handler."""
        return Handler(self, gateway)

    def over(self) -> bool:
        """Tell whether all is said and done."""
        if trio.current_time() < STORM + 100:
            return False
        ended = {"delivered", "dead", "expired", "purged", "done", "quarantined"}
        return {state for _, state in self.chaos.stage.counts("delivery", "inbound", "command")} <= ended


@attrs.frozen
class Handler:
    """Answers, mostly."""

    program: Program
    gateway: Gateway

    async def __call__(self, message: Message) -> None:
        """Answer."""
        chaos = self.program.chaos
        await trio.sleep(2 * chaos.stage.world.draw())
        if chaos.luck(0.05):
            raise ValueError("no")
        if chaos.luck(0.05):
            await trio.sleep(120)
        await chaos.stage.send(self.gateway, message.chat, f"you said {message.text}", key=message.id, reply_to=message)


@pytest.mark.parametrize("seed", range(2))
def test_in_the_end_everything_is_where_it_belongs(stage: Stage, seed: int) -> None:
    """
    Every message handled or set aside, everything sent delivered, dead with a reason, or waiting for a user with one;
    and every guarantee held at every request, every poll and every row in between.
    """
    stage.account = Fake(stage.server, Plain("once" if seed % 2 else "always"), POLICIES)
    stage.server.known_keys = seed % 2 == 0
    stage.server.hold = 5

    async def main() -> None:
        chaos = Chaos(stage)
        with trio.move_on_after(STORM + 3000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(chaos.users)
                nursery.start_soon(chaos.machine)
                await chaos.programs()
                nursery.cancel_scope.cancel()

    book = stage.run(main, seed=seed, limit=20_000, rows_per_second=None)

    assert {held.state for held in book.of("delivery")} <= {"delivered", "dead", "expired", "purged"}
    assert {held.state for held in book.of("inbound")} <= {"done", "quarantined"}
    assert len(book.of("delivery", "delivered")) > 100
    assert len(book.events("Started")) > 5
    for account in what_if(stage.path, {}, PLATFORMS):  # and run again on its record, it is the same row by row
        assert (account.strayed, account.parting) == (None, None)
