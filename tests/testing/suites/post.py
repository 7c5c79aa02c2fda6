"""Somebody else's platform, and the adapter they wrote for it from the documentation.

Pneumatic post: a line a request, a line an answer, a connection each.

    HI token                        OK
    GET token cursor                MAIL cursor tube|id|text|...    or    NONE
    PUT token key tube text         OK id    or    NO code words
"""

import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Literal

import attrs
import trio

from statecore.errors import ConfigError, NotAccepted
from statecore.platform import (
    Batch,
    Client,
    Dialled,
    Empty,
    Failure,
    Message,
    Outgoing,
    Platform,
    Policies,
    Polling,
    Refusal,
    Secrets,
    Stage,
    Taken,
    Unauthorised,
    Unclear,
    Unsent,
)
from statecore.policies import Window
from statecore.reading import Evidence, Reading
from statecore.settings import checked, count, table

LINE_MAX = 64 * 1024
PART_MAX = 500


# ---- their platform --------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Office:
    """The post office, with what it saw."""

    token: str
    window: int = 10
    port: int = 0
    mail: list[tuple[str, str]] = attrs.field(factory=list)
    shown: list[str] = attrs.field(factory=list)
    keys: dict[str, str] = attrs.field(factory=dict)
    left: int = 0

    def say(self, tube: str, text: str) -> None:
        """Let the user of a tube write."""
        self.mail.append((tube, text))
        self.left = self.window

    def answer(self, line: str) -> str:
        """Answer a request."""
        verb, token, *rest = (urllib.parse.unquote(word) for word in line.split(" "))
        if token != self.token:
            return "NO 401 nobody by that name"
        if verb == "HI":
            return "OK"
        if verb == "GET":
            new = list(enumerate(self.mail))[int(rest[0] or 0) :]
            told = ["|".join(map(urllib.parse.quote, (tube, str(number), text))) for number, (tube, text) in new]
            return " ".join(["MAIL", str(len(self.mail)), *told]) if told else "NONE"
        key, _, text = rest
        if key not in self.keys:
            if not self.left:
                return "NO 429 not%20without%20a%20question"
            self.left -= 1
            self.shown.append(text)
            self.keys[key] = str(len(self.shown))
        return f"OK {self.keys[key]}"


@asynccontextmanager
async def open_office(office: Office) -> AsyncIterator[Office]:
    """Run a post office."""

    async def serve(stream: trio.SocketStream) -> None:
        heard = b""
        try:
            while data := await stream.receive_some(4096):
                heard += data
                while b"\n" in heard:
                    line, _, heard = heard.partition(b"\n")
                    await stream.send_all(office.answer(line.decode()).encode() + b"\n")
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        office.port = listeners[0].socket.getsockname()[1]
        yield office
        nursery.cancel_scope.cancel()


# ---- their adapter ---------------------------------------------------------------------------------------------------


@attrs.frozen
class PostPlatform:
    """The pure half."""

    name: str = "post"
    tie: Literal["connection"] = "connection"
    answers: bool = False
    unasked: bool = True
    markup: bool = False

    def resends(self, _chat: str, _answers: str) -> Literal["always", "once", "never"]:
        """The office takes a key once."""
        return "always"

    def check(self, chat: str) -> None:
        """Take the name of a tube."""
        if not chat.isalnum():
            raise NotAccepted(f"{chat!r} is no tube; one is called like A7")

    def split(self, text: str) -> tuple[str, ...]:
        """Cut a text into parts."""
        from statecore_adapters import text as cutting

        return cutting.split(text, chars=PART_MAX)

    def read(self, refusal: Refusal, _evidence: Evidence) -> Reading:
        """Say what a refusal is taken to mean."""
        if refusal.code == "429":
            return Reading("window", "the tube takes nothing more until its user writes")
        return Reading("retry", f"the office says {refusal.code or 'no'}")


@attrs.frozen
class Line:
    """What came back: an answer, or how far the request got."""

    text: str = ""
    stage: Stage | None = None
    error: str = ""


class PostClient:
    """The half that does I/O."""

    def __init__(self, account: "Post", secrets: Secrets) -> None:
        self.account = account
        self.secrets = secrets

    async def ask(self, *words: str) -> Line:
        """Make one request."""
        host, _, port = self.account.address.removeprefix("tcp://").partition(":")
        try:
            with trio.fail_after(10):
                stream = await trio.open_tcp_stream(host, int(port))
        except trio.TooSlowError:
            return Line(stage="connect", error="no connection within ten seconds")
        except OSError as error:
            missing = isinstance(error, trio.socket.gaierror)
            return Line(stage="resolve" if missing else "connect", error="nobody is there")
        heard = b""
        async with stream:
            try:
                with trio.fail_after(30):
                    await stream.send_all(" ".join(map(urllib.parse.quote, words)).encode() + b"\n")
                    while b"\n" not in heard and len(heard) < LINE_MAX:
                        data = await stream.receive_some(4096)
                        if not data:
                            return Line(stage="receive", error="the answer ends in the middle")
                        heard += data
            except trio.TooSlowError:
                return Line(stage="receive", error="no answer within half a minute")
            except trio.BrokenResourceError:
                return Line(stage="receive", error="the connection broke")
        line, ended, _ = heard.partition(b"\n")
        if not ended:
            return Line(stage="answer", error="the answer is too long")
        return Line(text=line.decode(errors="replace"))

    async def dial(self) -> Dialled | Failure | Unauthorised:
        """Say hello."""
        line = await self.ask("HI", self.account.token)
        return Dialled(proved=True) if line.text == "OK" else self.failed(line)

    async def receive(self) -> Batch | Empty | Failure | Unauthorised:
        """Ask for mail."""
        line = await self.ask("GET", self.account.token, self.secrets.get("cursor") or "0")
        if line.text == "NONE":
            return Empty()
        verb, _, rest = line.text.partition(" ")
        if verb != "MAIL" or not rest:
            return self.failed(line)
        cursor, *told = rest.split(" ")
        letters = [one.split("|") for one in told]
        if not cursor.isdecimal() or any(len(letter) != 3 for letter in letters):
            return Failure(stage="answer", error="the mail cannot be read", reachable=True)
        messages = tuple(
            Message(chat=tube, sender=tube, id=id_, text=text)
            for tube, id_, text in (map(urllib.parse.unquote, letter) for letter in letters)
        )
        return Batch(messages=messages, secrets={"cursor": cursor})

    async def send(self, part: Outgoing) -> Taken | Refusal | Unsent | Unclear | Unauthorised:
        """Put a part into the tube."""
        return self.sent(await self.ask("PUT", self.account.token, part.key, part.chat, part.text))

    def sent(self, line: Line) -> Taken | Refusal | Unsent | Unclear | Unauthorised:
        """Say what came of it."""
        if line.stage in ("resolve", "connect"):
            return Unsent(stage=line.stage, error=line.error)
        verb, _, rest = line.text.partition(" ")
        if verb == "OK" and rest.isdecimal():
            return Taken(message=rest)
        if verb == "NO":
            refused = self.failed(line)
            return refused if isinstance(refused, Unauthorised) else Refusal(code=rest.partition(" ")[0][:20])
        return Unclear(error=line.error or "the answer cannot be read")

    def failed(self, line: Line) -> Failure | Unauthorised:
        """Say why there is no answer, or what is wrong with it."""
        if line.stage is not None:
            return Failure(stage=line.stage, error=line.error)
        if line.text.startswith("NO 401"):
            return Unauthorised(code="401", message="the office does not know the token", action="correct token")
        return Failure(stage="answer", error="the answer cannot be read", reachable=True)

    async def hang_up(self) -> str:
        """There is nothing to hang up."""
        await trio.lowlevel.checkpoint()
        return ""

    def renewed(self) -> bool:
        """The token is configured once and for all."""
        return False


def _word(value: object, field: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value or " " in value:
        raise ConfigError(field.name, "must be one word of ASCII")
    return value


def _address(value: object, field: Any) -> str:
    word = _word(value, field)
    host, _, port = word.removeprefix("tcp://").partition(":")
    if not word.startswith("tcp://") or not host or not port.isdecimal():
        raise ConfigError(field.name, "must be like tcp://host:port")
    return word


@attrs.frozen(kw_only=True)
class Post:
    """One account with the post office."""

    address: str = checked(_address)
    token: str = checked(_word, repr=False)
    tubes: int = count(3, low=1, high=9)
    window: Window = table(Window)
    polling: Polling = table(Polling)

    @property
    def platform(self) -> Platform:
        """The pure half."""
        return PostPlatform()

    @property
    def policies(self) -> Policies:
        """The numbers it goes by."""
        return Policies(window=self.window, polling=self.polling)

    @property
    def identity(self) -> str:
        """What one process at a time may drive."""
        return f"post:{self.address}"

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client]:
        """Make the half that does I/O."""
        return _connect(PostClient(self, secrets))


@asynccontextmanager
async def _connect(client: Any) -> AsyncIterator[Any]:
    yield client


SETTINGS: Mapping[str, Any] = {"address": "tcp://127.0.0.1:7000", "token": "canary-5c1e7-of-the-post-office"}
