"""The half of the QQ adapter that does I/O, against the simulated platform on real sockets: every call comes back with a
value, at any stage and at any moment, and no frame is lost by a call that was ended."""

import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from statecore.platform import (
    Address,
    Batch,
    BeatAck,
    BeatWanted,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Note,
    Outgoing,
    Pending,
    Refusal,
    Review,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
    Welcome,
)
from statecore.units import HOURS, SECONDS
from statecore_adapters import http
from statecore_adapters.qqbot import QQBot, client, wire
from statecore_adapters.qqbot.simulator import (
    Abort,
    Bot,
    Close,
    CloseAtOnce,
    Eof,
    Freeze,
    HalfResponse,
    Knobs,
    Raw,
    Reconnect,
    Reject,
    Reset,
    Response,
    Send,
    Simulator,
    Stall,
    Wait,
    front_end,
    open_simulator,
    problem,
)
from statecore_adapters.qqbot.simulator import (
    Invalid as Op9,
)
from statecore_adapters.qqbot.simulator.faults import Step

ANN = "5A0C8D1E5A0C8D1E5A0C8D1E5A0C8D1E"
SECRET = "DG5g3B4j9X2KOErGDG5g3B4j9X2KOErG"
HALF = HalfResponse(Response(200, {"content-type": "application/json"}, b'{"id": "m"}'), 5)
QUIET = Knobs(heartbeat_tolerance=None, connection_s=None)


class Hand:
    """Calls a client as the machine does: what it returns is committed, counted, and looked through for credentials."""

    def __init__(self, sim: Simulator, bot: Bot, client: Any, secrets: dict[str, str]) -> None:
        self.sim = sim
        self.bot = bot
        self.client = client
        self.secrets = secrets
        self.taken = 0

    def take(self, outcome: Any) -> Any:
        shown = repr(outcome)
        assert SECRET not in shown
        assert not any(token.value in shown for token in self.bot.tokens)
        self.secrets.update(getattr(outcome, "secrets", {}))
        return outcome

    @property
    def seq(self) -> int:
        found: int = json.loads(self.secrets["session"])["seq"]
        return found

    async def frame(self, *, beat: bool = False) -> Any:
        outcome = self.take(await self.client.read(self.taken, beat=beat))
        self.taken += 1
        return outcome

    async def frames(self, count: int) -> list[Any]:
        return [await self.frame() for _ in range(count)]

    async def authorise(self) -> Any:
        return self.take(await self.client.authorise(1, refused=False))

    async def open(self) -> Hello:
        opened = self.take(await self.client.open_socket(self.sim.ws_url))
        assert opened == SocketOpen()
        self.taken = 0
        hello = await self.frame()
        assert isinstance(hello, Hello)
        return hello

    async def up(self) -> None:
        """Go all the way to READY."""
        assert isinstance(await self.authorise(), Token)
        await self.open()
        assert self.take(await self.client.identify()) == FrameSent()
        welcome = await self.frame()
        assert isinstance(welcome, Welcome)
        assert not welcome.resumed

    async def again(self) -> None:
        """Open another socket, and ask for the session there was."""
        await self.open()
        assert self.take(await self.client.resume()) == FrameSent()

    async def send(self, chat: str = f"c2c:{ANN}", text: str = "hi", **more: Any) -> Any:
        return self.take(await self.client.send(Outgoing(chat=chat, text=text, key="k", **more)))


@asynccontextmanager
async def stage(knobs: Knobs = QUIET, *, intents: int | None = None, **settings: Any) -> AsyncIterator[Hand]:
    async with open_simulator(knobs=knobs) as sim:
        bot = sim.add_bot(secret=SECRET) if intents is None else sim.add_bot(secret=SECRET, intents=intents)
        account = QQBot(
            **{
                "app_id": bot.app_id,
                "client_secret": SECRET,
                "api_base": sim.api_base,
                "token_url": sim.token_url,
                **settings,
            }
        )
        secrets: dict[str, str] = {}
        async with account.connect(secrets) as client:
            yield Hand(sim, bot, client, secrets)


def run(scene: Callable[[Hand], Awaitable[None]], knobs: Knobs = QUIET, **settings: Any) -> None:
    async def main() -> None:
        with trio.fail_after(30):
            async with stage(knobs, **settings) as hand:
                await scene(hand)

    trio.run(main)


# ---- the whole way ---------------------------------------------------------------------------------------------------


def test_it_goes_from_a_secret_to_an_answer() -> None:
    """
    The plain case, with everything that is remembered on the way.
    """

    async def scene(hand: Hand) -> None:
        token = await hand.authorise()
        assert (token.changed, token.lasts) == (True, 2 * HOURS)
        address = hand.take(await hand.client.look_up(0))
        assert address == Address(url=hand.sim.ws_url)
        hello = await hand.open()
        assert hello.beat_every == 41_250_000_000
        hand.take(await hand.client.identify())
        await hand.frame()
        assert hand.seq == 1
        hand.sim.say_c2c(ANN, "hello")
        batch = await hand.frame()
        (message,) = batch.messages
        assert (message.chat, message.text, hand.seq) == (f"c2c:{ANN}", "hello", 2)
        taken = await hand.send(text="hi", answers=message.id, number=1)
        (delivered,) = hand.sim.seen
        assert taken == Taken(message=delivered.id, trace=hand.sim.requests[-1].trace_id)
        assert (delivered.text, delivered.msg_id, delivered.msg_seq) == ("hi", message.id, 1)

    run(scene)


def test_an_answer_goes_where_its_message_came_from() -> None:
    """
    Each scene has an endpoint, a body and an id of its own.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.say_c2c(ANN, "one")
        hand.sim.say_group("G1", "M1", "two")
        hand.sim.say_channel("1234", "777", "three")
        hand.sim.say_dm("777", "four")
        for batch in await hand.frames(4):
            (message,) = batch.messages
            taken = await hand.send(message.chat, f"re {message.text}", answers=message.id, number=1)
            assert isinstance(taken, Taken)
            assert taken.message
        assert [(one.scene, one.text) for one in hand.sim.seen] == [
            ("c2c", "re one"),
            ("group", "re two"),
            ("channel", "re three"),
            ("dm", "re four"),
        ]

    run(scene)


def test_markdown_is_sent_as_markdown_and_a_bare_part_as_text() -> None:
    """
    The second is what is tried when the first is refused.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        asked = hand.sim.say_c2c(ANN, "x")
        await hand.frame()
        refused = await hand.send(text="**hi**", answers=asked, number=1)
        assert isinstance(refused, Refusal)
        assert "304036" in refused.code
        assert isinstance(await hand.send(text="**hi**", answers=asked, number=1, bare=True), Taken)
        hand.sim.knobs.markdown_code = None
        assert isinstance(await hand.send(text="**hi**", answers=asked, number=2), Taken)
        assert [one.msg_type for one in hand.sim.seen] == [0, 2]

    run(scene, Knobs(markdown_code=304036), format="markdown")


def test_one_message_under_two_names_keeps_its_id() -> None:
    """
    By it the copy is recognised.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        said = hand.sim.say_group("G1", "M1", "hello")
        (first,), (second,) = [batch.messages for batch in await hand.frames(2)]
        assert first == second
        assert (first.id, first.text) == (said, "hello")

    run(scene, Knobs(group_events="both"))


# ---- the access token ------------------------------------------------------------------------------------------------


def test_the_same_token_again_is_not_another() -> None:
    """
    The platform gives the same one until its last minute, also to somebody whose one was just refused.
    """

    async def scene(hand: Hand) -> None:
        first = hand.take(await hand.client.authorise(5, refused=False))
        again = hand.take(await hand.client.authorise(6, refused=True))
        assert (first.changed, again.changed) == (True, False)
        assert json.loads(hand.secrets["access"])["number"] == 5
        hand.sim.void_token()
        other = hand.take(await hand.client.authorise(6, refused=True))
        assert other.changed
        assert json.loads(hand.secrets["access"])["number"] == 6

    run(scene)


@pytest.mark.parametrize("expires_in", ["string", "int", "zero", "missing"])
def test_a_token_is_a_token_however_its_end_is_written(expires_in: Any) -> None:
    """
    Seen on the wire, all of them.
    """

    async def scene(hand: Hand) -> None:
        assert isinstance(await hand.authorise(), Token)

    run(scene, Knobs(expires_in=expires_in))


def test_what_the_token_endpoint_says_instead() -> None:
    """
    With status 200, in HTML, or not at all.
    """

    async def scene(hand: Hand) -> None:
        hand.sim.script("token", {"code": 100016, "message": f"invalid secret {SECRET}"}, times=1)
        hand.sim.script("token", {"code": 100001, "message": "too many requests"}, times=1)
        hand.sim.script("token", front_end(502), times=1)
        hand.sim.script("token", CloseAtOnce(), times=1)
        refused, slower, gone, cut = [await hand.authorise() for _ in range(4)]
        assert (type(refused), refused.code) == (Unauthorised, "code=100016")
        assert (type(slower), slower.hint) == (Failure, 60 * SECONDS)
        assert (type(gone), gone.stage, gone.reachable) == (Failure, "answer", False)
        assert (type(cut), cut.stage) == (Failure, "receive")
        assert "access" not in hand.secrets

    run(scene)


def test_without_a_secret_a_person_is_told_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And once it is there, it is noticed without a restart.
    """
    monkeypatch.delenv("QQBOT_TEST_SECRET", raising=False)

    async def scene(hand: Hand) -> None:
        refused = await hand.authorise()
        assert isinstance(refused, Unauthorised)
        assert "client_secret" in refused.action
        assert not hand.client.renewed()
        assert not hand.sim.requests
        monkeypatch.setenv("QQBOT_TEST_SECRET", SECRET)
        assert hand.client.renewed()
        assert isinstance(await hand.authorise(), Token)
        assert not hand.client.renewed()

    run(scene, client_secret={"env": "QQBOT_TEST_SECRET"})


# ---- the gateway's address -------------------------------------------------------------------------------------------


def asked(hand: Hand) -> list[str]:
    return [record.path for record in hand.sim.requests if record.path.startswith("/gateway")]


def test_the_address_is_asked_for_in_two_ways_by_turns() -> None:
    """
    There were times when a host answered only one of them.
    """

    async def scene(hand: Hand) -> None:
        assert isinstance(hand.take(await hand.client.look_up(0)), Failure)  # there is no token to ask with
        await hand.authorise()
        for failures in range(3):
            assert hand.take(await hand.client.look_up(failures)) == Address(url=hand.sim.ws_url)
        assert asked(hand) == ["/gateway/bot", "/gateway", "/gateway/bot"]
        hand.sim.script("gateway/bot", problem(404), times=1)
        assert hand.take(await hand.client.look_up(0)) == Address(url=hand.sim.ws_url)
        assert asked(hand)[3:] == ["/gateway/bot", "/gateway"]
        hand.sim.script("*", problem(405), times=2)
        failed = hand.take(await hand.client.look_up(0))
        assert "api_base" in failed.action
        assert len(asked(hand)) == 7

    run(scene)


def test_an_address_that_is_configured_is_not_asked_for() -> None:
    """
    Also where nothing would answer.
    """

    async def scene(hand: Hand) -> None:
        assert await hand.client.look_up(3) == Address(url="ws://127.0.0.1:1/x")
        assert not hand.sim.requests

    run(scene, gateway_url="ws://127.0.0.1:1/x")


def test_why_there_is_no_address() -> None:
    """
    A token that was voided, an address list that lacks this machine, a bucket that is empty, a day that is used up.
    """

    async def scene(hand: Hand) -> None:
        hand.take(await hand.client.authorise(3, refused=False))
        hand.sim.script("gateway/bot", problem(11298), times=1)
        barred = hand.take(await hand.client.look_up(0))
        assert isinstance(barred, Failure)
        assert "allow-list" in barred.action
        hand.sim.script("gateway/bot", problem(100017), times=1)
        often = hand.take(await hand.client.look_up(0))
        assert (type(often), often.hint, often.action) == (Failure, 60 * SECONDS, "")
        hand.sim.script("gateway/bot", {"shards": 1}, times=1)
        assert isinstance(hand.take(await hand.client.look_up(0)), Failure)
        hand.sim.script("gateway/bot", front_end(500), times=1)
        assert not hand.take(await hand.client.look_up(0)).reachable
        used_up = hand.take(await hand.client.look_up(0))
        assert used_up.starts_in == 24 * HOURS
        hand.sim.void_token()
        refused = hand.take(await hand.client.look_up(0))
        assert (type(refused), refused.credential) == (Unauthorised, 3)

    run(scene, Knobs(session_starts=0))


def test_every_way_in_which_there_is_no_request() -> None:
    """
    The stage says what to look at.
    """

    async def scene(hand: Hand) -> None:
        await hand.authorise()
        for act, stage in ((Reset(), "receive"), (CloseAtOnce(), "receive"), (HALF, "receive")):
            hand.sim.script("gateway/bot", act, times=1)
            failed = hand.take(await hand.client.look_up(0))
            assert (type(failed), failed.stage) == (Failure, stage)

    run(scene)


def test_an_api_that_is_not_there_is_told_by_its_stage() -> None:
    """
    Up to "tls", not a byte of a request has left.
    """

    async def scene(hand: Hand) -> None:
        await hand.authorise()
        hand.secrets["access"] = json.dumps({"token": "t", "number": 1})
        failed = hand.take(await hand.client.look_up(0))
        assert (type(failed), failed.stage) == (Failure, "connect")
        unsent = await hand.send()
        assert (type(unsent), unsent.stage) == (Unsent, "connect")

    run(scene, api_base="http://127.0.0.1:1")


# ---- opening a socket ------------------------------------------------------------------------------------------------


@contextmanager
def certificate(folder: Path) -> Iterator[ssl.SSLContext]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    yield context


async def answering(nursery: trio.Nursery, say: bytes | None, context: ssl.SSLContext | None = None) -> int:
    """Serve something that is no gateway; None never answers at all."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            if context is not None:
                await trio.SSLStream(stream, context, server_side=True).do_handshake()
            if say is None:
                await trio.sleep_forever()
            await stream.receive_some(4096)
            if say:
                await stream.send_all(say)
        except (trio.BrokenResourceError, ssl.SSLError):
            pass

    listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
    port: int = listeners[0].socket.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("say", "scheme", "stage", "action"),
    [
        (b"", "ws", "answer", ""),
        (b"", "wss", "tls", ""),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "wss", "tls", ""),
        (b"220 smtp.example.com ESMTP\r\n", "ws", "answer", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "ws", "answer", ""),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "ws", "answer", "gateway_url"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "ws", "answer", ""),
        (
            b"HTTP/1.1 302 Found\r\nlocation: ws://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "ws",
            "answer",
            "gateway_url",
        ),
        (None, "ws", "receive", ""),
        (None, "wss", "connect", ""),
    ],
)
def test_what_is_no_gateway_is_told_by_the_stage_it_fails_at(
    say: bytes | None, scheme: str, stage: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A socket that does not open is never an exception, and never takes longer than it may.
    """
    monkeypatch.setattr(wire, "OPEN_S", 0.3 if say is None else 20.0)

    async def scene(hand: Hand) -> None:
        async with trio.open_nursery() as nursery:
            port = await answering(nursery, say)
            failed = hand.take(await hand.client.open_socket(f"{scheme}://127.0.0.1:{port}/"))
            assert (type(failed), failed.stage) == (Failure, stage), failed
            assert (action in failed.action) if action else not failed.action
            nursery.cancel_scope.cancel()

    run(scene)


@pytest.mark.parametrize(
    ("url", "stage"),
    [
        ("ws://127.0.0.1:1/", "connect"),
        ("ws://nowhere.invalid/", "resolve"),
        ("http://127.0.0.1/", "resolve"),
        ("ws://", "resolve"),
        ("", "resolve"),
        ("ws://" + "a" * 300 + "/", "resolve"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_by_its_stage(url: str, stage: str) -> None:
    """
    It may have been written by a person.
    """

    async def scene(hand: Hand) -> None:
        failed = hand.take(await hand.client.open_socket(url))
        assert (type(failed), failed.stage, failed.reachable) == (Failure, stage, False), failed

    run(scene)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://user:pa55word@127.0.0.1:1", ""),
        ("gopher://user:pa55word@127.0.0.1:1", "the proxy's address is not valid"),
        ("socks5://user:pa55word@127.0.0.1:1", "SOCKS"),
    ],
)
def test_a_proxy_that_does_not_work_is_named_without_its_password(
    proxy: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Proxies are configured in the environment, with whatever it takes to get through.
    """

    async def scene(hand: Hand) -> None:
        for name in ("all_proxy", "http_proxy", "https_proxy", "ws_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("https_proxy", proxy)
        failed = await hand.client.open_socket("wss://api.sgroup.qq.com/websocket")
        assert (type(failed), failed.stage) == (Failure, "connect"), failed
        assert said in failed.error
        assert "pa55word" not in repr(failed)

    run(scene)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program makes a certificate for this test")
def test_a_certificate_nobody_vouches_for_is_a_matter_for_a_person(tmp_path: Path) -> None:
    """
    Time does not cure it, and to go on all the same would hand the token to whoever stands in between.
    """

    async def scene(hand: Hand) -> None:
        with certificate(tmp_path) as context:
            async with trio.open_nursery() as nursery:
                port = await answering(nursery, b"", context)
                failed = hand.take(await hand.client.open_socket(f"wss://localhost:{port}/"))
                assert (type(failed), failed.stage) == (Failure, "tls")
                assert "certificate" in failed.error
                assert failed.action
                nursery.cancel_scope.cancel()

    run(scene)


@pytest.mark.parametrize(
    ("steps", "stage", "hint"),
    [
        ((Reject(503),), "answer", None),
        ((Reject(401),), "answer", None),
        ((Reject(429),), "answer", None),
        ((Eof(),), "answer", None),
        ((Abort(),), "answer", None),
    ],
)
def test_a_gateway_that_refuses_the_upgrade(steps: tuple[Step, ...], stage: str, hint: int | None) -> None:
    """
    And the next dial starts from nothing.
    """

    async def scene(hand: Hand) -> None:
        hand.sim.at("connect", *steps, times=1)
        failed = hand.take(await hand.client.open_socket(hand.sim.ws_url))
        assert (type(failed), failed.stage, failed.hint) == (Failure, stage, hint), failed
        await hand.up()

    run(scene)


def test_a_flood_in_place_of_an_upgrade_is_hung_up_on() -> None:
    """
    To read on for as long as it comes would cost a core for twenty seconds an attempt.
    """

    async def scene(hand: Hand) -> None:
        told = 0

        async def flood(stream: trio.SocketStream) -> None:
            nonlocal told
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(trio.BrokenResourceError):
                while told < 64 * 1024 * 1024:
                    await stream.send_all(b" " * 65_536)
                    told += 65_536

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, flood, 0, host="127.0.0.1"))
            url = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
            failed = hand.take(await hand.client.open_socket(url))
            assert (type(failed), failed.stage) == (Failure, "answer")
            nursery.cancel_scope.cancel()
        assert told < 16 * 1024 * 1024

    run(scene)


def test_a_new_socket_drops_the_old_one() -> None:
    """
    Two of them would displace each other, and what the old one still holds comes again by resuming.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.say_c2c(ANN, "missed")
        await hand.again()
        await hand.sim.wait_until(lambda: hand.sim.dials[0].closed_at is not None)
        replayed, resumed = await hand.frames(2)
        assert [message.text for message in replayed.messages] == ["missed"]
        assert resumed.resumed

    run(scene)


def test_ending_a_dial_leaves_nothing_behind() -> None:
    """
    The machine gives up on a step after its time; what was half open must be gone then.
    """

    async def scene(hand: Hand) -> None:
        async with trio.open_nursery() as nursery:
            port = await answering(nursery, None)
            with trio.move_on_after(0.05):
                await hand.client.open_socket(f"ws://127.0.0.1:{port}/")
            assert (await hand.client.read(0, beat=False)).code == "no socket"
            nursery.cancel_scope.cancel()
        await hand.up()

    run(scene)


# ---- asking for a session --------------------------------------------------------------------------------------------


def test_there_is_nothing_to_ask_with_or_on() -> None:
    """
    Each says what would help.
    """

    async def scene(hand: Hand) -> None:
        assert (await hand.client.identify()).then == "token"
        assert (await hand.client.resume()).then == "token"
        await hand.authorise()
        assert (await hand.client.resume()).then == "identify"
        assert (await hand.client.identify()).then == "resume"
        assert (await hand.client.read(0, beat=True)).then == "resume"
        assert await hand.client.hang_up() == ""
        unsent = await hand.send()
        assert isinstance(unsent, Taken | Refusal)
        hand.secrets.clear()
        assert isinstance(await hand.send(), Unsent)

    run(scene)


@pytest.mark.parametrize(
    ("steps", "code", "then"),
    [
        ((Op9(), Wait(20), Close(4914)), "4914", "stop"),
        ((Op9(), Wait(20), Close(4014)), "4014", "stop"),
        ((Op9(), Close(4004)), "4004", "token"),
        ((Op9(), Close(4903)), "4903", "identify"),
        ((Op9(), Eof()), "eof", "resume"),
        ((Op9(), Abort()), "eof", "resume"),
        ((Op9(None), Close(None)), "1005", "resume"),
    ],
)
def test_the_reason_comes_after_op_9(steps: tuple[Step, ...], code: str, then: str) -> None:
    """
    Who hangs up on op 9 never learns that the bot is banned, and tries for ever.
    """

    async def scene(hand: Hand) -> None:
        await hand.authorise()
        await hand.open()
        hand.sim.at("identify", *steps, times=1)
        hand.take(await hand.client.identify())
        assert await hand.frame() == Invalid(resumable=False)
        ended = await hand.frame()
        assert (ended.code, ended.then, bool(ended.action)) == (code, then, then == "stop")

    run(scene)


def test_an_intent_that_was_not_granted_stops_with_what_to_do() -> None:
    """
    No time cures it.
    """

    async def scene(hand: Hand) -> None:
        await hand.authorise()
        await hand.open()
        hand.take(await hand.client.identify())
        assert isinstance(await hand.frame(), Invalid)
        ended = await hand.frame()
        assert (ended.code, ended.then) == ("4014", "stop")
        assert "intents" in ended.action

    run(scene, intents=1 << 30)


def test_a_request_that_meets_a_closed_socket_is_followed_by_why_it_is_closed() -> None:
    """
    The gateway may close right after its greeting, before anybody could have read that.
    """

    async def scene(hand: Hand) -> None:
        await hand.authorise()
        await hand.open()
        hand.sim.order(Close(4914))
        await hand.sim.wait_until(lambda: hand.sim.dials[-1].closed_at is not None)
        hand.take(await hand.client.identify())
        ended = await hand.frame()
        assert (ended.code, ended.then) == ("4914", "stop")
        assert await hand.client.identify() == ended
        assert await hand.frame() == ended

    run(scene)


# ---- frames ----------------------------------------------------------------------------------------------------------


def test_a_frame_that_was_not_taken_in_is_given_again() -> None:
    """
    The machine had left the state when it arrived. Dropped here it would be lost: the number of the next one covers it.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.say_c2c(ANN, "one")
        hand.sim.say_c2c(ANN, "two")
        first = await hand.client.read(hand.taken, beat=False)
        assert await hand.client.read(hand.taken, beat=False) is first
        assert await hand.client.read(hand.taken, beat=True) is first
        assert await hand.frame() is first
        assert [message.text for message in (await hand.frame()).messages] == ["two"]
        await hand.sim.wait_until(lambda: len(hand.sim.heartbeats) == 1)
        assert hand.sim.heartbeats[0].seq == 1

    run(scene)


def test_no_frame_is_lost_wherever_a_call_is_ended() -> None:
    """
    A call may be ended at any moment, also just when its frame has come, and what it returned then may be thrown away.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        texts = [str(number) for number in range(40)]
        seen: list[str] = []
        tries = 0

        async def end_after(steps: int, scope: trio.CancelScope) -> None:
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        for text in texts:
            hand.sim.say_c2c(ANN, text)
        while len(seen) < len(texts):
            outcome: Any = None
            tries += 1
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    nursery.start_soon(end_after, tries % 23, scope)
                    outcome = await hand.client.read(hand.taken, beat=tries % 3 == 0)
                nursery.cancel_scope.cancel()
            assert not isinstance(outcome, Ended)
            if outcome is None or tries % 4 == 0:  # it came too late, and nobody took it in
                continue
            hand.take(outcome)
            hand.taken += 1
            if isinstance(outcome, Batch):
                seen += [message.text for message in outcome.messages]
        assert seen == texts
        assert tries > len(texts)

    run(scene)


def test_a_heartbeat_carries_what_was_committed_and_is_acknowledged() -> None:
    """
    Two frames that were not read yet are not covered by it.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.say_c2c(ANN, "one")
        await hand.frame()
        hand.sim.say_c2c(ANN, "two")
        hand.sim.say_c2c(ANN, "three")
        assert isinstance(await hand.frame(beat=True), Batch)
        assert isinstance(await hand.frame(), Batch)
        assert await hand.frame() == BeatAck()
        assert [beat.seq for beat in hand.sim.heartbeats] == [2]

    run(scene)


def test_the_platform_may_want_a_heartbeat() -> None:
    """
    At once; the machine sends it.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.order(Send({"op": 1, "d": 1}))
        assert await hand.frame() == BeatWanted()

    run(scene)


def test_what_cannot_be_read_is_a_note_and_the_connection_goes_on() -> None:
    """
    Among it a frame of five megabytes, and a second greeting, which no state awaits.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        odd: list[Step] = [
            Raw("no json"),
            Raw(b"\x00\x01"),
            Raw("x" * 5_000_000),
            Send({"op": 99}),
            Send({"op": 0, "t": "NEW_THING", "s": 2, "d": 5}),
            Send({"op": 0, "d": {}}),
            Send({"op": 10, "d": {"heartbeat_interval": 1}}),
        ]
        hand.sim.order(*odd)
        notes = await hand.frames(len(odd))
        assert all(isinstance(note, Note) and note.what for note in notes)
        assert "5000000 bytes" in notes[2].what
        assert (notes[4].what, notes[6].what) == ("NEW_THING", "another hello")
        assert hand.seq == 2
        assert await hand.frame(beat=True) == BeatAck()

    run(scene)


def test_a_frame_beyond_all_measure_ends_the_connection_and_keeps_the_session() -> None:
    """
    It is not taken into memory first.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.order(Raw("x" * (wire.MESSAGE_BYTES_MAX + 1)))
        ended = await hand.frame()
        assert (type(ended), ended.code, ended.then) == (Ended, "eof", "resume")
        await hand.again()
        assert (await hand.frame()).resumed

    run(scene)


def test_a_review_comes_with_its_outcome() -> None:
    """
    Until then a message that was taken is neither delivered nor refused.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        said = hand.sim.say_c2c(ANN, "x")
        await hand.frame()
        pending = await hand.send(answers=said, number=1)
        assert isinstance(pending, Pending)
        assert pending.audit in hand.sim.audits
        hand.sim.decide(pending.audit, passed=True)
        review = await hand.frame()
        assert isinstance(review, Review)
        assert (review.audit, review.passed, review.message) == (pending.audit, True, hand.sim.seen[0].id)
        assert hand.seq == 3

    run(scene, Knobs(audit="held"))


# ---- how a connection ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "code", "then"),
    [
        (Close(4009, "session timed out"), "4009", "resume"),
        (Close(4006), "4006", "identify"),
        (Close(4004), "4004", "token"),
        (Close(4008), "4008", "resume"),
        (Close(4915), "4915", "stop"),
        (Close(4777), "4777", "resume"),
        (Close(1000), "1000", "resume"),
        (Close(4000, f"secret {SECRET}"), "4000", "resume"),
        (Close(None), "1005", "resume"),
        (Eof(), "eof", "resume"),
        (Abort(), "eof", "resume"),
    ],
)
def test_a_connection_that_ends_says_why_and_says_it_again(step: Step, code: str, then: str) -> None:
    """
    Whatever is asked of it afterwards.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.order(step)
        ended = await hand.frame()
        assert (type(ended), ended.code, ended.then) == (Ended, code, then)
        assert bool(ended.hint) == (code == "4008")
        assert await hand.client.read(0, beat=True) == ended
        assert await hand.client.read(99, beat=False) == ended
        assert await hand.client.resume() == ended
        assert await hand.client.hang_up() == ""

    run(scene)


def test_what_came_before_the_end_is_read_first_also_with_a_heartbeat_that_cannot_leave() -> None:
    """
    The write fails before the last frames were read; they would come again, but a message is better today.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.say_c2c(ANN, "one")
        hand.sim.say_c2c(ANN, "two")
        hand.sim.order(Close(4009))
        await hand.sim.wait_until(lambda: hand.sim.dials[-1].closed_at is not None)
        one = await hand.frame(beat=True)
        two = await hand.frame(beat=True)
        assert [message.text for batch in (one, two) for message in batch.messages] == ["one", "two"]
        assert (await hand.frame(beat=True)).code == "4009"

    run(scene)


def test_op_7_is_answered_with_a_close_that_keeps_the_session() -> None:
    """
    It is said every half hour. Nothing is awaited for it here, and what was missed comes with the resume.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.order(Reconnect())
        ended = await hand.frame()
        assert (ended.code, ended.then) == ("op 7", "resume")
        assert await hand.client.read(hand.taken, beat=True) == ended
        await hand.sim.wait_until(lambda: hand.sim.dials[0].closed_at is not None)
        assert hand.sim.dials[0].close_received == 4000
        hand.sim.say_c2c(ANN, "missed")
        await hand.again()
        replayed, resumed = await hand.frames(2)
        assert [message.text for message in replayed.messages] == ["missed"]
        assert resumed.resumed
        assert len(hand.sim.dials) == 2

    run(scene)


@pytest.mark.parametrize("replay", ["in_order", "duplicates", "gaps", "shuffled", "resumed_first"])
@pytest.mark.parametrize("numbered", ["next", "last"])
def test_a_replay_in_any_order_moves_the_place_forward_only(replay: Any, numbered: Any) -> None:
    """
    And RESUMED never moves it past a message that is still to come.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.drop()
        assert isinstance(await hand.frame(), Ended)
        for number in range(4):
            hand.sim.say_c2c(ANN, str(number))
        await hand.again()
        seen: set[str] = set()
        resumed, place = False, hand.seq
        expected = {"0", "2"} if replay == "gaps" else {"0", "1", "2", "3"}
        while not (resumed and seen == expected):
            frame = await hand.frame()
            resumed = resumed or isinstance(frame, Welcome)
            seen |= {message.text for message in getattr(frame, "messages", ())}
            assert hand.seq >= place
            place = hand.seq
            if isinstance(frame, Welcome) and replay == "resumed_first":
                assert hand.seq == 1
        assert hand.seq == (4 if replay == "gaps" else 5)

    run(scene, Knobs(replay=replay, resumed_s=numbered))


def test_a_session_outlives_the_client() -> None:
    """
    A restart resumes: the place was committed with what it covers.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        assert await hand.client.hang_up() == ""
        await hand.sim.wait_until(lambda: hand.sim.dials[0].closed_at is not None)
        assert hand.sim.dials[0].close_received == 4000
        hand.sim.say_c2c(ANN, "missed")
        account = QQBot(app_id=hand.bot.app_id, client_secret=SECRET, api_base=hand.sim.api_base)
        async with account.connect(hand.secrets) as other:
            successor = Hand(hand.sim, hand.bot, other, hand.secrets)
            await successor.again()
            replayed, resumed = await successor.frames(2)
            assert [message.text for message in replayed.messages] == ["missed"]
            assert resumed.resumed

    run(scene)


def test_a_session_that_is_gone_says_so() -> None:
    """
    Then another is begun.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.end_sessions()
        await hand.again()
        assert await hand.frame() == Invalid(resumable=False)
        assert (await hand.frame()).code == "4006"

    run(scene)


def test_a_voided_token_is_refused_with_its_number() -> None:
    """
    The platform voids tokens without a word; over the gateway it answers op 9 and then 4004.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        said = hand.sim.say_c2c(ANN, "x")
        await hand.frame()
        hand.sim.void_token()
        refused = await hand.send(answers=said, number=1)
        assert (type(refused), refused.credential) == (Unauthorised, 1)
        assert "11244" in refused.code
        await hand.again()
        assert isinstance(await hand.frame(), Invalid)
        assert (await hand.frame()).then == "token"
        token = hand.take(await hand.client.authorise(2, refused=True))
        assert token.changed
        await hand.again()
        assert (await hand.frame()).resumed
        assert isinstance(await hand.send(answers=said, number=1), Taken)

    run(scene)


def test_a_half_open_socket_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Writes to it succeed and nothing comes back. Whoever notices must get rid of it at once.
    """
    monkeypatch.setattr(wire, "GOODBYE_S", 0.1)

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.order(Freeze())
        hand.sim.say_c2c(ANN, "missed")
        with trio.move_on_after(0.05) as scope:
            await hand.client.read(hand.taken, beat=True)
        assert scope.cancelled_caught
        await hand.again()
        replayed, resumed = await hand.frames(2)
        assert [message.text for message in replayed.messages] == ["missed"]
        assert resumed.resumed
        hand.sim.order(Freeze())
        await hand.sim.wait_until(lambda: len(hand.sim._state.frozen) == 2)
        assert "did not answer" in await hand.client.hang_up()
        assert (await hand.client.read(hand.taken, beat=False)).code == "no socket"

    run(scene)


def test_a_socket_that_takes_nothing_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A frame leaves whole or not at all: half of one would spoil all that follow.
    """
    monkeypatch.setattr(wire, "SEND_S", 0.05)

    async def stuck(_stream: object, _data: bytes) -> None:
        await trio.sleep_forever()

    async def scene(hand: Hand) -> None:
        await hand.up()
        monkeypatch.setattr(trio.SocketStream, "send_all", stuck)
        ended = hand.take(await hand.client.read(hand.taken, beat=True))
        assert (type(ended), ended.code, ended.then) == (Ended, "eof", "resume")
        assert "leaves" in ended.error or ended.error

    run(scene)


def test_a_zombie_acknowledges_nothing_and_says_what_it_has_to_say() -> None:
    """
    The machine counts the acknowledgements; here there is nothing to notice.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.knobs.acks = False
        hand.sim.say_c2c(ANN, "x")
        assert isinstance(await hand.frame(beat=True), Batch)
        with trio.move_on_after(0.05) as scope:
            await hand.client.read(hand.taken, beat=True)
        assert scope.cancelled_caught
        await hand.sim.wait_until(lambda: len(hand.sim.heartbeats) == 2)

    run(scene)


def test_a_call_that_still_reads_does_not_disturb_the_next() -> None:
    """
    One that was ended may be on its way out yet when the next one comes; and one that waits learns that its socket went.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        found: list[Any] = []

        async def read() -> None:
            found.append(await hand.client.read(hand.taken, beat=False))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            hand.sim.say_c2c(ANN, "x")
        assert found[0] is found[1]
        hand.taken += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert await hand.client.hang_up() == ""
        assert (type(found[2]), found[2].then) == (Ended, "resume")
        await hand.again()
        await hand.frames(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await hand.open()
        assert (found[3].code, found[3].then) == ("no socket", "resume")

    run(scene)


# ---- sends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [Stall(), Reset(), CloseAtOnce(), HALF, front_end(502), front_end(504)])
def test_a_message_whose_answer_was_lost_is_recognised_when_it_comes_again(
    act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It was delivered; the same number says so, and another would deliver it twice.
    """
    monkeypatch.setattr(client, "SEND_S", 0.3)

    async def scene(hand: Hand) -> None:
        await hand.up()
        said = hand.sim.say_c2c(ANN, "x")
        await hand.frame()
        hand.sim.script("messages", act, after=True, times=1)
        assert isinstance(await hand.send(answers=said, number=1), Unclear)
        again = await hand.send(answers=said, number=1)
        assert (type(again), again.code) == (Refusal, "err_code=40054005")
        assert len(hand.sim.seen) == 1

    run(scene)


@pytest.mark.parametrize(
    ("act", "kind", "code"),
    [
        (problem(40034005), Refusal, "err_code=40034005"),
        (problem(50059), Refusal, "err_code=50059 http=500"),
        (problem(40034001), Refusal, "err_code=40034001 code=850026"),
        (problem(11298), Refusal, "err_code=40023002 code=11298 http=401"),
        (problem(11242), Unauthorised, "err_code=40012002 code=11242 http=401"),
        (front_end(413), Refusal, "http=413"),
        (front_end(502), Unclear, ""),
    ],
)
def test_what_the_platform_says_to_a_message(act: Any, kind: type, code: str) -> None:
    """
    With its number and the id of the request.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.script("messages", act, times=1)
        said = hand.sim.say_c2c(ANN, "x")
        found = await hand.send(answers=said, number=1)
        assert type(found) is kind
        assert getattr(found, "code", "") == code
        assert getattr(found, "trace", "") == ("" if code in ("", "http=413") else hand.sim.requests[-1].trace_id)
        assert not hand.sim.seen

    run(scene)


def test_a_rate_limit_says_how_long_to_wait() -> None:
    """
    And if it does not, nothing is made up.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        said = hand.sim.say_c2c(ANN, "x")
        assert isinstance(await hand.send(answers=said, number=1), Taken)
        limited = await hand.send(answers=said, number=2)
        assert (type(limited), limited.hint) == (Refusal, 2.5 * SECONDS)
        hand.sim.knobs.retry_after_s = None
        limited = await hand.send(answers=said, number=2)
        assert (type(limited), limited.hint) == (Refusal, None)

    run(scene, Knobs(sends_per_second=1, retry_after_s=2.5))


# ---- the client itself -----------------------------------------------------------------------------------------------


class Slip(Exception):
    """Something of the caller's."""


def test_what_the_caller_raises_comes_out_as_itself_and_the_socket_goes() -> None:
    """
    Not in a group, and with nothing left behind.
    """

    async def main() -> None:
        async with open_simulator(knobs=QUIET) as sim:
            bot = sim.add_bot(secret=SECRET)
            account = QQBot(app_id=bot.app_id, client_secret=SECRET, api_base=sim.api_base, token_url=sim.token_url)
            secrets: dict[str, str] = {}

            async def slip() -> None:
                async with account.connect(secrets) as client:
                    await Hand(sim, bot, client, secrets).up()
                    raise Slip

            with pytest.raises(Slip):
                await slip()
            await sim.wait_until(lambda: sim.dials[0].closed_at is not None)

    trio.run(main)


def test_leaving_is_not_held_up_by_a_dead_socket() -> None:
    """
    A process that was told to stop, stops.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.order(Freeze())

    run(scene)


def test_a_socket_that_dies_takes_nothing_with_it() -> None:
    """
    Nobody reads just then.
    """

    async def scene(hand: Hand) -> None:
        await hand.up()
        hand.sim.drop()
        await hand.sim.wait_until(lambda: hand.sim.dials[0].closed_at is not None)
        await trio.testing.wait_all_tasks_blocked(0.01)
        said = hand.sim.say_c2c(ANN, "missed")
        await hand.again()
        replayed = await hand.frame()
        assert isinstance(replayed, Batch)
        assert replayed.messages[0].id == said

    run(scene)


def test_all_clients_share_one_certificate_store() -> None:
    """
    A thousand of them would hold a gigabyte.
    """
    assert http.tls() is http.tls()
