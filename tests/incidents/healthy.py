"""Scenes in which nothing goes wrong that anybody need know of."""

import trio

from statecore.gateway import Gateway
from statecore.handover import Replacing
from statecore.messages import Message
from statecore.platform import Empty, Failure, Policies
from tests.incidents.scene import scene
from tests.incidents.trouble import HOLD, echo, ordinary, sleep
from tests.support.platform import Fake, ILink, Plain, Server, refused, unsent, wechat
from tests.support.power import Power
from tests.support.stage import Stage, answer

DAY = 24 * 3600.0


@scene("healthy-idle-day", hours=30)
async def idle_day(stage: Stage) -> None:
    """Nobody says anything for a day."""
    ordinary(stage)
    stage.server.hold = 170
    async with stage.gateway():
        await trio.sleep(DAY)


@scene("healthy-busy-day", hours=30)
async def busy_day(stage: Stage) -> None:
    """Six people chat with a program that answers, in the morning, at noon and in the evening; at night nobody does."""
    stage.server.hold = 170
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(), Policies())
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(echo, gateway)
        for hour in (7, 12, 18):
            await trio.sleep_until(hour * 3600)
            for turn in range(5):
                for chat in ("ann", "bob", "cyd", "dan", "eve", "fay"):
                    stage.server.say(chat, f"at {hour}, {turn}")
                    await trio.sleep(7)
        await trio.sleep_until(DAY)
        nursery.cancel_scope.cancel()


@scene("healthy-clean-restarts", hours=30, slow=False)
async def clean_restarts(stage: Stage) -> None:
    """Eight restarts, two of them in a row, while people write; each process lets go before the next begins."""
    ordinary(stage)
    for number in range(8):
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(echo, gateway)
            await stage.connected()
            stage.server.say("ann", f"message {number}")
            await trio.sleep(600 if number % 4 else 20)
            nursery.cancel_scope.cancel()
        stage.server.say("bob", f"while nobody is there, {number}")
        await trio.sleep(3)


@scene("healthy-handovers", slow=False)
async def handovers(stage: Stage) -> None:
    """Five times another process takes over, as `statecore restart` does, while people write."""
    ordinary(stage)

    async def program(gateway: Gateway) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, gateway)
            await gateway.wait_until_let_go()
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number in range(5):

            async def process(number: int = number) -> None:
                replacing = Replacing() if number else None
                async with stage.gateway(replacing=replacing) as gateway:
                    if number < 4:
                        await program(gateway)
                    else:
                        await trio.sleep(600)

            nursery.start_soon(process)
            await trio.sleep(120)
            stage.server.say("ann", f"message {number}")
            await trio.sleep(30)


@scene("healthy-night-off", hours=30)
async def night_off(stage: Stage) -> None:
    """The machine is switched off for the night, in order; people write meanwhile, and are answered in the morning."""
    ordinary(stage)
    for hour in range(2):
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(echo, gateway)
            await trio.sleep(3600)
            nursery.cancel_scope.cancel()
        stage.server.say("ann", f"good night {hour}")
        await trio.sleep(9 * 3600)
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(echo, gateway)
        await trio.sleep(3600)
        nursery.cancel_scope.cancel()


@scene("healthy-small-failures", hours=12)
async def small_failures(stage: Stage) -> None:
    """Now and then a poll fails, is not answered, or a request is refused or does not get out; each is over with one retry."""
    ordinary(stage)
    hours = [1.0, 2.0, 3.0, 4.0, 5.0]

    def once_an_hour(_: int) -> Failure | Empty | None:
        if hours and trio.current_time() >= hours[0] * 3600:
            hour = hours.pop(0)
            return Empty(silent=True) if hour == 3 else Failure(stage="receive", error="reset", reachable=hour % 2 == 0)
        return None

    stage.server.polls.append(once_an_hour)
    for text, fate in (("two", refused("busy", "try again")), ("three", unsent()), ("four", refused("fast"))):
        stage.server.once(fate, containing=text)
    async with stage.gateway() as gateway:
        for text in ("one", "two", "three", "four", "five"):
            await trio.sleep(3600)
            stage.server.say("ann", "hello")
            await stage.send(gateway, "ann", text)
            await stage.settled("delivery")
        await trio.sleep(3600)


@scene("healthy-silent-users", hours=80)
async def silent_users(stage: Stage) -> None:
    """People write once and never again; their windows lapse, with nothing to be sent. Two days."""
    stage.server.ilink = ILink()
    stage.server.hold = 175
    stage.account = Fake(stage.server, wechat(), Policies())
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(echo, gateway)
        for chat in ("ann", "bob", "cyd"):
            stage.server.say(chat, "hello")
            await trio.sleep(60)
        await trio.sleep_until(30 * 3600)
        nursery.cancel_scope.cancel()


@scene("healthy-long-answers")
async def long_answers(stage: Stage) -> None:
    """Long answers in many parts, and more messages at once than may leave at once; pacing takes its time."""
    ordinary(stage)
    for chat in ("ann", "bob", "cyd"):
        stage.server.say(chat, "tell me everything")
    async with stage.gateway() as gateway:
        for chat in ("ann", "bob", "cyd"):
            await stage.send(gateway, chat, "|".join(f"part {number}" for number in range(6)))
            await stage.send(gateway, chat, "and that was it")
        await stage.settled("delivery")
        await trio.sleep(600)


@scene("healthy-slow-handlers", hours=12)
async def slow_handlers(stage: Stage) -> None:
    """An agent takes ten minutes for each answer, and people write again meanwhile."""
    ordinary(stage)

    async def think(_message: Message) -> None:
        await trio.sleep(600)

    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(answer, gateway, think)
        for number in range(3):
            for chat in ("ann", "bob"):
                stage.server.say(chat, f"question {number}")
            await trio.sleep(700)
        await trio.sleep(1800)
        nursery.cancel_scope.cancel()


@scene("healthy-one-crash")
async def one_crash(stage: Stage) -> None:
    """The machine loses power once while nothing is under way, and is started again."""
    ordinary(stage)
    power = Power()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.boot, sleep, power)
        await trio.sleep(1200)
        power.cut()
    await trio.sleep(30)
    async with stage.gateway() as gateway:
        await stage.send(gateway, "ann", "here again")
        await stage.settled("delivery")
        await trio.sleep(1800)


@scene("healthy-many-accounts", hours=12)
async def many_accounts(stage: Stage) -> None:
    """Five accounts in one process, each with people who write and are answered."""
    servers = {f"wx{number}": Server(hold=HOLD) for number in range(5)}
    accounts = {name: Fake(server, Plain(), identity=name) for name, server in servers.items()}
    async with stage.gateway(accounts) as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(echo, gateway)
        for turn in range(5):
            for server in servers.values():
                server.say("ann", f"message {turn}")
            await trio.sleep(300)
        await trio.sleep(600)
        nursery.cancel_scope.cancel()
