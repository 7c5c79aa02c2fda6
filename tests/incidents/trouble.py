"""Scenes in which something goes wrong, on a platform that is polled."""

import attrs
import trio

from statecore.errors import JournalFull
from statecore.gateway import Gateway, Options
from statecore.governor import Governor
from statecore.messages import Message
from statecore.platform import Batch, Empty, Failure, Policies, Unauthorised
from statecore.platform import Message as Incoming
from statecore.policies import Backoff, Handling, Pacing, Retry, Window
from statecore.units import HOURS
from tests.incidents.scene import Expect, scene
from tests.support.platform import (
    EXPIRED,
    QUICK,
    Fake,
    Fate,
    ILink,
    Plain,
    Server,
    hangs,
    refused,
    unclear,
    unsent,
    wechat,
)
from tests.support.power import Power
from tests.support.stage import Stage, answer

CHATS = ("ann", "bob", "cyd", "dan")
HOLD = 120.0
"""Seconds a poll is held: longer than the real platform does, so that the journals of hours stay small."""


def ordinary(stage: Stage, policies: Policies | None = None) -> None:
    """Set up a platform that says what it means, with the policies that ship."""
    stage.server.hold = HOLD
    stage.account = Fake(stage.server, Plain(), policies or Policies())


def failing(server: Server, begin: float, end: float, failure: Failure, *, dials: bool = True) -> None:
    """Let polls, and dials, fail between two moments. A poll that is held then fails when it comes back."""

    def fails(_: int) -> Failure | None:
        return failure if begin <= trio.current_time() < end else None

    server.polls.append(fails)
    if dials:
        server.dials.append(fails)


async def echo(gateway: Gateway) -> None:
    """Be the program: answer everything."""

    async def handle(message: Message) -> None:
        await gateway.send(message.account, message.chat, f"you said {message.text}", key=message.id)

    await answer(gateway, handle)


# ---- the five that this began with -----------------------------------------------------------------------------------


@scene("retry-storm", Expect("retry-storm", "PartRefused"))
async def retry_storm(stage: Stage) -> None:
    """Twenty messages to four chats, into a refusal of twenty seconds (NousResearch/hermes-agent#26828)."""
    stage.account = Fake(stage.server, wechat(), Policies())
    for chat in CHATS:
        stage.server.say(chat, "hello")
    stage.server.during(0, 20, refused())
    async with stage.gateway() as gateway:
        receipts = [await stage.send(gateway, CHATS[number % 4], f"message {number}") for number in range(20)]
        for receipt in receipts:
            await receipt.settled()
        await trio.sleep(60)


@scene("silent-drop", Expect("chat-refused", "PartRefused"))
async def silent_drop(stage: Stage) -> None:
    """One answer to one chat, which is refused for a quarter of an hour (NousResearch/hermes-agent#31131)."""
    stage.account = Fake(stage.server, wechat(), Policies())
    stage.server.hold = HOLD
    stage.server.say("ann", "hello")
    stage.server.during(0, 900, refused())
    async with stage.gateway() as gateway:
        await (await stage.send(gateway, "ann", "the answer")).settled()
        await trio.sleep(600)


@scene("stale-token", Expect("stale-token", "PartRefused"))
async def stale_token(stage: Stage) -> None:
    """Three context tokens of four have gone stale (NousResearch/hermes-agent#35949)."""
    stage.server.ilink = ILink()
    stage.account = Fake(stage.server, wechat(), Policies())
    for chat in CHATS:
        stage.server.say(chat, "hello")
    stage.server.stale("ann", "bob", "cyd")
    async with stage.gateway() as gateway:
        for number in range(20):
            await stage.send(gateway, CHATS[number % 4], f"message {number}")
        await stage.settled("delivery")
        await trio.sleep(900)


@scene("restart-race", Expect("restart-race", "StopRequested"), slow=False)
async def restart_race(stage: Stage) -> None:
    """The old process waits eighteen seconds for a request, and the new one for the old (NousResearch/hermes-agent#17198)."""
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(Fate("taken", takes=True, after=18))
    options = Options(lock_folder=stage.folder / "locks", drain=30)
    stage.server.say("ann", "hello")
    async with trio.open_nursery() as nursery:
        stopped = trio.Event()

        async def old() -> None:
            async with stage.gateway(options=options) as gateway:
                await stage.connected()
                await stage.send(gateway, "ann", "a long one")
                await trio.sleep(1)
                gateway.stop("signal 15")
                await gateway.wait_until_let_go()
            stopped.set()

        nursery.start_soon(old)
        await trio.sleep(1)
        async with stage.gateway(options=options) as gateway:
            await stage.send(gateway, "ann", "while nobody drives it")
            await stopped.wait()
            await stage.settled("delivery")
            await trio.sleep(60)


@scene("busy-loop", Expect("flapping", "Lost", after=600))
async def busy_loop(stage: Stage) -> None:
    """A platform that accepts the account and closes every connection at once (NousResearch/hermes-agent#31771)."""
    ordinary(stage)
    failing(stage.server, 600, 1800, Failure(stage="receive", error="closed", reachable=True), dials=False)
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(echo, gateway)
        await trio.sleep_until(580)
        stage.server.say("ann", "are you there?")
        await trio.sleep_until(3600)
        stage.server.say("ann", "and now?")
        await trio.sleep(60)
        nursery.cancel_scope.cancel()


# ---- connections -----------------------------------------------------------------------------------------------------


@scene("outage", Expect("outage", "Lost", after=600))
async def outage(stage: Stage) -> None:
    """The platform cannot be reached for ten minutes; two messages wait."""
    ordinary(stage)
    failing(stage.server, 600, 1200, Failure(stage="connect", error="connection refused"))
    async with stage.gateway() as gateway:
        stage.server.say("ann", "hello")
        await trio.sleep_until(900)
        await stage.send(gateway, "ann", "one")
        await stage.send(gateway, "bob", "two")
        await stage.settled("delivery", within=1200)
        await trio.sleep(1800)


@scene("dns", Expect("dns-failure", "Lost"))
async def dns(stage: Stage) -> None:
    """There is no resolver for the first five minutes after boot (NousResearch/hermes-agent#59290)."""
    ordinary(stage)
    failing(stage.server, 0, 300, Failure(stage="resolve", error="temporary failure in name resolution"))
    async with stage.gateway():
        await trio.sleep(1800)


@scene("zombie", Expect("zombie", "Idle", after=500, that=lambda fields: fields.get("silent", False)))
async def zombie(stage: Stage) -> None:
    """Two polls in a row are never answered; the connection looks open (NousResearch/hermes-agent#19821)."""
    ordinary(stage)
    left = 2

    def silent(_: int) -> Empty | None:
        nonlocal left
        if trio.current_time() >= 600 and left:
            left -= 1
            return Empty(silent=True)
        return None

    stage.server.polls.append(silent)
    async with stage.gateway():
        await trio.sleep(1800)


@scene(
    "still-zombie",
    Expect("zombie", "Idle", after=500, that=lambda fields: fields.get("silent", False), over=False),
    Expect("outage", "Lost", after=500, over=False),
)
async def still_zombie(stage: Stage) -> None:
    """The same, and after that nobody answers any dial; the journal ends while that goes on."""
    ordinary(stage)
    stage.server.polls.append(lambda _: Empty(silent=True) if trio.current_time() >= 600 else None)
    stage.server.dials.append(
        lambda _: Failure(stage="connect", error="timed out") if trio.current_time() >= 600 else None
    )
    power = Power()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.boot, sleep, power)
        await trio.sleep(1200)
        power.cut()


async def sleep(_gateway: Gateway) -> None:
    """Do nothing."""
    await trio.sleep_forever()


@scene("credentials", Expect("credentials-refused", "TokenRefused", after=600))
async def credentials(stage: Stage) -> None:
    """The login lapses; twenty minutes later a person scans the code again (NousResearch/hermes-agent#12223)."""
    ordinary(stage)
    login = stage.account.credentials
    async with stage.gateway() as gateway:
        await trio.sleep_until(600)
        stage.server.log_in("another")
        await trio.sleep_until(900)
        await stage.send(gateway, "ann", "one")
        await trio.sleep_until(1800)
        login.token = "another"
        await stage.settled("delivery")
        await trio.sleep(600)


@scene("competing-consumer", Expect("competing-consumer", "TokenRefused", after=600))
async def competing_consumer(stage: Stage) -> None:
    """Another program polls the same bot, and takes the account away three times (Tencent/openclaw-weixin#69)."""
    ordinary(stage)
    kicks = [600.0, 1200.0, 2400.0]

    def kicked(_: int) -> Unauthorised | None:
        if kicks and trio.current_time() >= kicks[0]:
            kicks.pop(0)
            return EXPIRED
        return None

    stage.server.polls.append(kicked)
    async with stage.gateway():
        await trio.sleep(3 * 3600)


@scene("rejected", Expect("rejected", "Rejected", after=600))
async def rejected(stage: Stage) -> None:
    """A certificate that is not valid, until somebody sees to it."""
    ordinary(stage)
    failing(
        stage.server,
        *(600, 1500),
        Failure(stage="tls", error="certificate has expired", action="see to the proxy's certificate"),
    )
    async with stage.gateway():
        await trio.sleep(3600)


@scene("instant-empty", Expect("instant-empty", "Idle", after=200, that=lambda fields: fields.get("held", 0) < 10**9))
async def instant_empty(stage: Stage) -> None:
    """Something in between answers every poll at once with nothing, for three minutes (HKUDS/nanobot#5171)."""
    ordinary(stage)
    stage.server.polls.append(lambda _: Empty() if 200 <= trio.current_time() < 420 else None)
    async with stage.gateway():
        await trio.sleep(1200)


# ---- processes -------------------------------------------------------------------------------------------------------


@scene("drain-cut-off", Expect("drain-cut-off", "StopRequested"), slow=False)
async def drain_cut_off(stage: Stage) -> None:
    """A request takes half a minute, and the stop waits ten seconds (NousResearch/hermes-agent#107638)."""
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.hold = HOLD
    stage.server.once(Fate("taken", takes=True, after=30))
    async with stage.gateway() as gateway:
        await stage.connected()
        await stage.send(gateway, "ann", "a long one")
        await trio.sleep(1)
    await trio.sleep(600)
    async with stage.gateway():
        await stage.settled("delivery")
        await trio.sleep(300)


@scene("restart-loop", Expect("restart-loop", "Started", after=10))
async def restart_loop(stage: Stage) -> None:
    """The process is killed five times within three minutes (NousResearch/hermes-agent#30719)."""
    ordinary(stage)
    for number in range(5):
        power = Power()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.boot, sleep, power)
            await trio.sleep_until(35 * (number + 1))
            power.cut()
    async with stage.gateway():
        await trio.sleep(1800)


@scene("lease-conflict", Expect("lease-conflict", "Started", after=60), slow=False)
async def lease_conflict(stage: Stage) -> None:
    """Two gateways that disagree on where the locks are, so one takes what the other has (NousResearch/hermes-agent#54167)."""
    ordinary(stage)
    mine = Options(lock_folder=stage.folder / "mine")
    yours = Options(lock_folder=stage.folder / "yours")
    async with stage.gateway(options=mine) as gateway:
        await trio.sleep(60)
        async with stage.gateway(options=yours):
            await trio.sleep(5)
            stage.server.say("ann", "who is there?")
            await trio.sleep(60)
        await trio.sleep(900)
        assert not gateway.stopping
    stage.server.most_under_way = 1  # that two polled at once is the point


# ---- messages on their way out ---------------------------------------------------------------------------------------


@scene("window-exhausted", Expect("window-exhausted", "Held", into="window-closed"))
async def window_exhausted(stage: Stage) -> None:
    """Fourteen messages where ten are allowed; the user writes ten minutes later (Tencent/openclaw-weixin#81)."""
    stage.server.ilink = ILink()
    stage.server.hold = HOLD
    stage.account = Fake(stage.server, wechat(), Policies())
    stage.server.say("ann", "tell me everything")
    async with stage.gateway() as gateway:
        await stage.heard(1)
        for number in range(14):
            await stage.send(gateway, "ann", f"message {number}")
        await trio.sleep_until(600)
        stage.server.say("ann", "go on")
        await stage.settled("delivery")
        await trio.sleep(600)


@scene("head-of-line", Expect("head-of-line-wait", "PartRefused", where="delivery/wx"))
async def head_of_line(stage: Stage) -> None:
    """One message cannot be sent for five minutes; three wait behind it, and another chat goes on."""
    ordinary(stage, Policies(window=Window(messages=1000)))
    stage.server.sends.append(
        lambda part: refused("busy", "try again") if part.text == "the first" and trio.current_time() < 300 else None
    )
    async with stage.gateway() as gateway:
        for text in ("the first", "the second", "the third", "the fourth"):
            await stage.send(gateway, "ann", text)
        for number in range(20):
            await stage.send(gateway, "bob", f"message {number}")
            await trio.sleep(20)
        await stage.settled("delivery")
        await trio.sleep(600)


@scene("send-failures", Expect("send-failures", "NotSent", after=60))
async def send_failures(stage: Stage) -> None:
    """The interface for sending cannot be reached for four minutes, while polls are well."""
    ordinary(stage)
    stage.server.during(60, 300, unsent())
    async with stage.gateway() as gateway:
        await stage.send(gateway, "ann", "before")
        await trio.sleep_until(61)
        for chat in CHATS:
            await stage.send(gateway, chat, "now")
        await stage.settled("delivery")
        await trio.sleep(600)


@scene("unknown-outcomes", Expect("unknown-outcomes", "PartUnknown"))
async def unknown_outcomes(stage: Stage) -> None:
    """Answers get lost on their way back, of messages that were taken (NousResearch/hermes-agent#14061)."""
    ordinary(stage)
    stage.server.once(unclear(takes=True), times=2)
    async with stage.gateway() as gateway:
        await stage.send(gateway, "ann", "one")
        await stage.send(gateway, "bob", "two")
        await stage.settled("delivery")
        await trio.sleep(1200)


@scene("killed-while-sending", Expect("unknown-outcomes", "Broken", after=10, where="delivery/"))
async def killed_while_sending(stage: Stage) -> None:
    """The process is killed between the request and its answer (openclaw/openclaw#29106)."""
    ordinary(stage)
    stage.server.once(hangs(takes=True))
    power = Power()

    async def program(gateway: Gateway) -> None:
        await stage.connected()
        await stage.send(gateway, "ann", "the answer")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.boot, program, power)
        await trio.sleep_until(10)
        power.cut()
    async with stage.gateway():
        await stage.settled("delivery")
        await trio.sleep(1200)


@scene("dead-letters", Expect("dead-letters", "PartRefused", after=60), Expect("dead-letters", "NotSent", after=2000))
async def dead_letters(stage: Stage) -> None:
    """A ladder of four tries in twelve seconds is used up by an outage of a minute, twice (MervinPraison/PraisonAI#3519)."""
    ordinary(stage, Policies(retry=Retry(attempts=4, age=12, backoff=Backoff(floor=3, cap=4))))
    stage.server.during(60, 100, refused("busy", "internal error"))
    stage.server.during(2000, 2040, unsent())
    async with stage.gateway() as gateway:
        for at in (61.0, 2001.0):
            await trio.sleep_until(at)
            await stage.send(gateway, "ann", "the answer")
            await stage.send(gateway, "bob", "another")
            await stage.settled("delivery")
        await trio.sleep(900)


@scene("no-such-user", Expect("dead-letters", "PartRefused", after=60))
async def no_such_user(stage: Stage) -> None:
    """A message to somebody who does not exist."""
    ordinary(stage)
    stage.server.during(0, 1e9, refused("gone", "no such user"), "nobody")
    async with stage.gateway() as gateway:
        await trio.sleep(60)
        await stage.send(gateway, "nobody", "hello?")
        await stage.send(gateway, "ann", "hello")
        await trio.sleep(1200)


@scene("expired", Expect("expired-messages", "Held", into="window-closed"))
async def expired(stage: Stage) -> None:
    """An alarm that is of no use after half a minute, in a chat that may be sent nothing more."""
    ordinary(stage, Policies(window=Window(messages=1)))
    stage.server.say("ann", "tell me")
    async with stage.gateway() as gateway:
        await stage.heard(1)
        await stage.send(gateway, "ann", "one")
        await stage.settled("delivery")
        await stage.send(gateway, "ann", "the house is on fire", expires="30s")
        await trio.sleep(1200)


@scene("throttled", Expect("throttled", "PartRefused", after=60))
async def throttled(stage: Stage) -> None:
    """An account that is set to speak faster than the platform lets it, and is refused with each longer answer."""
    ordinary(stage, Policies(pacing=Pacing(per_second=5, burst=5)))
    seen: list[float] = []

    def burst(_: object) -> Fate | None:
        now = trio.current_time()
        seen[:] = [at for at in seen if at > now - 1] + [now]
        return refused("fast", "too fast") if len(seen) > 3 else None

    stage.server.sends.append(burst)
    async with stage.gateway() as gateway:
        for round_ in range(4):
            await trio.sleep_until(60 + 240 * round_)
            for chat in CHATS:
                await stage.send(gateway, chat, "one")
                await stage.send(gateway, chat, "two")
            await stage.settled("delivery")
        await trio.sleep(2400)


# ---- messages that come in -------------------------------------------------------------------------------------------


@scene("stuck-handler", Expect("stuck-state", "Handed", after=60))
async def stuck_handler(stage: Stage) -> None:
    """A handler waits three quarters of an hour for something, and the chat with it."""
    ordinary(stage)
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:

        async def handle(message: Message) -> None:
            await trio.sleep(45 * 60 if message.text == "hang" else 1)

        for _ in range(2):
            nursery.start_soon(answer, gateway, handle)
        await trio.sleep(60)
        for chat, text in (("ann", "hang"), ("ann", "hello?"), ("bob", "hello")):
            stage.server.say(chat, text)
        await trio.sleep(3600)
        nursery.cancel_scope.cancel()


@scene("nobody-reads", Expect("stuck-state", "Received", after=60, over=False))
async def nobody_reads(stage: Stage) -> None:
    """The program's task that reads the inbox has died; the journal ends while that goes on (NousResearch/hermes-agent#87382)."""
    ordinary(stage)
    power = Power()

    async def program(gateway: Gateway) -> None:
        with trio.move_on_after(50):
            await echo(gateway)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.boot, program, power)
        await trio.sleep(20)
        stage.server.say("bob", "hello")
        await trio.sleep_until(60)
        stage.server.say("ann", "hello")
        await trio.sleep(300)
        stage.server.say("ann", "hello?")
        await trio.sleep(1800)
        power.cut()


@scene("poison-message", Expect("poison-message", "HandlerFailed", after=60, over=False))
async def poison_message(stage: Stage) -> None:
    """One message that its handler cannot cope with; the others are well (MervinPraison/PraisonAI#2723)."""
    ordinary(stage, Policies(handling=Handling(attempts=3)))
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:

        async def handle(message: Message) -> None:
            if message.text == "poison":
                raise ValueError("what is this?")
            await trio.sleep(1)

        for _ in range(2):
            nursery.start_soon(swallow, gateway, handle)
        await trio.sleep(60)
        for chat, text in (("ann", "poison"), ("ann", "hello"), ("bob", "hello")):
            stage.server.say(chat, text)
        await trio.sleep(1200)
        nursery.cancel_scope.cancel()


async def swallow(gateway: Gateway, handle: object) -> None:
    """Handle what comes in, as `statecore run` does: an error is recorded, and the next message taken."""
    async for message in gateway.inbox():
        try:
            async with message:
                await handle(message)  # type: ignore[operator]
        except ValueError:
            pass


@scene("handler-failures", Expect("handler-failures", "HandlerFailed", after=60))
async def handler_failures(stage: Stage) -> None:
    """What the handlers need is down for two minutes, so all of them fail (NousResearch/hermes-agent#87382)."""
    ordinary(stage)
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:

        async def handle(_message: Message) -> None:
            if 60 <= trio.current_time() < 180:
                raise ValueError("the model does not answer")

        nursery.start_soon(swallow, gateway, handle)
        await trio.sleep(60)
        for chat in CHATS:
            stage.server.say(chat, "hello")
        await trio.sleep(600)
        stage.server.say("ann", "hello?")
        await trio.sleep(600)
        nursery.cancel_scope.cancel()


@scene("duplicates", Expect("duplicates-in", "Repeated"))
async def duplicates(stage: Stage) -> None:
    """The platform delivers every message twice (Tencent/openclaw-weixin#239)."""
    ordinary(stage)
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(echo, gateway)
        for number in range(12):
            message = stage.server.say("ann", f"message {number}")
            await trio.sleep(3)
            stage.server.deliver(message)
            await trio.sleep(20)
        await stage.settled()
        await trio.sleep(900)
        nursery.cancel_scope.cancel()


# ---- below the machines ----------------------------------------------------------------------------------------------


@scene("clock-jump", Expect("clock-jump", "ClockStepped", after=600))
async def clock_jump(stage: Stage) -> None:
    """Somebody sets the clock back by an hour while messages go in and out."""
    ordinary(stage)
    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(echo, gateway)
        await trio.sleep(600)
        stage.world.step_wall(-1 * HOURS)
        stage.server.say("ann", "what time is it?")
        await trio.sleep(1200)
        nursery.cancel_scope.cancel()


@scene("suspended", Expect("suspended", "Woke", after=600))
async def suspended(stage: Stage) -> None:
    """A laptop sleeps for an hour (NousResearch/hermes-agent#89083)."""
    ordinary(stage)
    async with stage.gateway():
        await trio.sleep(600)
        stage.world.suspend(1 * HOURS)
        await trio.sleep(1200)


@scene("spin-held", Expect("spin-held", "Arrived", after=60))
async def spin_held(stage: Stage) -> None:
    """A peer floods the account with messages for a few seconds (NousResearch/hermes-agent#41872)."""
    ordinary(stage, QUICK)
    copy = Incoming(chat="eve", sender="eve", id="f0", text="0", sent_at=1)

    def flood(number: int) -> Batch | None:
        if not 60 <= trio.current_time() < 63:
            return None
        message = attrs.evolve(copy, id=f"f{number}", text=f"{number}")
        stage.server.inbox.append(message)
        return Batch(messages=(message,), secrets={"cursor": f"CANARY-cursor-{len(stage.server.inbox)}"})

    stage.server.polls.append(flood)
    stage.server.hold = 30
    options = Options(lock_folder=stage.folder / "locks", governor=Governor(rows_per_second=20, burst=100))
    async with stage.gateway(options=options):
        await trio.sleep(60)
        stage.server.say("ann", "hello")
        await trio.sleep(300)


@scene("journal-stall", Expect("journal-stall", "Arrived", after=60))
async def journal_stall(stage: Stage) -> None:
    """The journal's disk is full for half a minute, and everything waits for it (openrundev/openrun#100)."""
    ordinary(stage, QUICK)

    def fault(kind: str) -> Exception | None:
        full = 60 <= trio.current_time() < 90 and kind == "append"
        return JournalFull("the disk is full") if full else None

    power = Power(fault=fault)

    async def program(gateway: Gateway) -> None:
        await trio.sleep(50)
        await stage.send(gateway, "ann", "before")
        await trio.sleep(12)
        stage.server.say("ann", "hello")
        await trio.sleep(300)

    await stage.boot(program, power)


@scene("adapter-fault", Expect("adapter-fault", "Broken", after=60))
async def adapter_fault(stage: Stage) -> None:
    """An adapter raises in three polls (NousResearch/hermes-agent#59734)."""
    ordinary(stage)
    left = 3

    def raising(_: int) -> Exception | None:
        nonlocal left
        if trio.current_time() >= 60 and left:
            left -= 1
            return TypeError("unexpected keyword argument 'is_reconnect'")
        return None

    stage.server.polls.append(raising)
    async with stage.gateway():
        await trio.sleep(1800)
