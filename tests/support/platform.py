"""A platform that follows a script and keeps the truth: what reached it, when, under which key, and what it said."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final, Literal, Protocol, TypeAlias

import attrs
import trio

from statecore.errors import NotAccepted
from statecore.platform import (
    Address,
    Batch,
    BeatAck,
    Client,
    Dialled,
    Empty,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Message,
    Note,
    Outgoing,
    Pending,
    Platform,
    Policies,
    Refusal,
    Review,
    Secrets,
    SessionClient,
    SocketOpen,
    Stage,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
    Welcome,
)
from statecore.policies import Backoff, Pacing, Retry, Window
from statecore.reading import Evidence, Reading
from statecore.settings import choice
from statecore_adapters.weixin import Weixin, WeixinPlatform
from tests.support.power import Power

CANARY: Final = "CANARY"
"""Stands in every credential; found anywhere but in the table of secrets, it has got out."""

LATENCY: Final = 0.05
"""Seconds for a request to arrive, and as many for its answer."""

HANG: Final = "hang"
EXPIRED: Final = Unauthorised(code="errcode=-14", message="session timeout", action="scan the QR code again")

SendAnswer: TypeAlias = Pending | Refusal | Unsent | Unclear | Unauthorised | Exception | Literal["taken", "hang"]
PollAnswer: TypeAlias = Batch | Empty | Failure | Unauthorised | Exception | Literal["hang"]
DialAnswer: TypeAlias = Dialled | Failure | Unauthorised | Exception | Literal["hang"]


@attrs.frozen
class Fate:
    """What becomes of one send.

    Args:
        answer: what the sender gets to see.
        takes: whether the platform takes the part, whatever it says.
        after: seconds until the answer leaves.
    """

    answer: SendAnswer
    takes: bool = False
    after: float = 0


TAKEN: Final = Fate("taken", takes=True)
SendRule: TypeAlias = Callable[[Outgoing], Fate | None]
"""What becomes of a send; None leaves that to the next rule."""
PollRule: TypeAlias = Callable[[int], PollAnswer | None]
"""What a poll is answered at once; None leaves that to the next rule, and in the end to what there is. The argument is
the number of the poll, from 1."""
DialRule: TypeAlias = Callable[[int], DialAnswer | None]


def refused(code: str = "ret=-2", message: str = "") -> Fate:
    """Make a refusal."""
    return Fate(Refusal(code=code, message=message))


def unsent(stage: Stage = "connect") -> Fate:
    """Make a failure before the first byte."""
    return Fate(Unsent(stage=stage, error="no route to host"))


def unclear(*, takes: bool) -> Fate:
    """Make an answer that got lost."""
    return Fate(Unclear(error="receive: the answer was cut off"), takes=takes)


def hangs(*, takes: bool) -> Fate:
    """Make an answer that never comes."""
    return Fate(HANG, takes=takes)


def pending(audit: str, *, after: float = 0) -> Fate:
    """Make a part that somebody looks at first; `Server.review` says what becomes of it."""
    return Fate(Pending(audit=audit), takes=True, after=after)


def dies(error: Exception, *, takes: bool) -> Fate:
    """Make an adapter that raises where it should return."""
    return Fate(error, takes=takes)


@attrs.define
class Attempt:
    """One send, as the platform saw it.

    Args:
        at: virtual seconds.
        part: what was sent.
        announced: whether the journal said at that moment that it was being sent.
        taken: whether the platform took it.
        shown: whether its user got to see it; False where the platform knew the key, and while somebody looks at it.
        said: what it answered.
    """

    at: float
    part: Outgoing
    announced: bool
    taken: bool
    shown: bool
    said: str

    @property
    def key(self) -> str:
        """The part's key."""
        return self.part.key

    @property
    def chat(self) -> str:
        """Where it went."""
        return self.part.chat

    @property
    def text(self) -> str:
        """What it said."""
        return self.part.text


class Witness(Protocol):
    """Looks into the journal while something happens outside."""

    def sending(self, part: Outgoing) -> bool:
        """Tell whether a part is committed as being sent."""

    def owns(self, message: Message) -> bool:
        """Tell whether a message is committed, itself or as the copy of another."""


@attrs.define
class ILink:
    """The rules of iLink.

    Args:
        messages: how many a user allows by writing.
        lasts: seconds for which that holds.
        burst: a request is refused if so many, with it, came within some seconds; 0 for never.
        within: those seconds.
        stale: tokens that are not good any more.
    """

    messages: int = 10
    lasts: float = 24 * 3600
    burst: int = 0
    within: float = 1
    stale: set[str] = attrs.field(factory=set)
    heard: dict[str, float] = attrs.field(factory=dict)
    used: dict[str, int] = attrs.field(factory=dict)
    requests: list[float] = attrs.field(factory=list)

    def hear(self, chat: str) -> None:
        """Open a chat's window."""
        self.heard[chat], self.used[chat] = trio.current_time(), 0

    def judge(self, part: Outgoing) -> Fate:
        """Decide."""
        now = trio.current_time()
        self.requests = [at for at in self.requests if at > now - self.within] + [now]
        heard = self.heard.get(part.chat)
        spent = self.used.get(part.chat, 0) >= self.messages
        if heard is None or now - heard > self.lasts or spent or part.token in self.stale:
            return refused()
        if self.burst and len(self.requests) >= self.burst:
            return refused()
        self.used[part.chat] = self.used.get(part.chat, 0) + 1
        return TAKEN


@attrs.define
class Answers:
    """The rules of a platform that wants to be told which message is answered, and how often it was.

    Args:
        messages: how many answers to one message.
        lasts: seconds for which it may be answered.
        unasked: how many messages it takes that answer none.
        heard: (chat, when) of every message, by its id.
        used: the key of the part that was taken for each (message, number).
    """

    messages: int = 5
    lasts: float = 3600
    unasked: int = 0
    heard: dict[str, tuple[str, float]] = attrs.field(factory=dict)
    used: dict[tuple[str, int], str] = attrs.field(factory=dict)

    def hear(self, message: Message) -> None:
        """Let a message be answered."""
        self.heard.setdefault(message.id, (message.chat, trio.current_time()))

    def judge(self, part: Outgoing) -> Fate:
        """Decide."""
        if not part.answers:
            self.unasked -= 1
            return TAKEN if self.unasked >= 0 else refused("shut")
        chat, at = self.heard[part.answers]
        assert (chat, part.number > 0) == (part.chat, True), f"{part} answers what was said elsewhere"
        if self.knows(part):
            return refused("known")
        if trio.current_time() - at > self.lasts:
            return refused("old")
        if sum(message == part.answers for message, _ in self.used) >= self.messages:
            return refused("full")
        return TAKEN

    def knows(self, part: Outgoing) -> bool:
        """Tell whether something was taken under this number."""
        return (part.answers, part.number) in self.used

    def take(self, part: Outgoing) -> None:
        """Count a part that is taken."""
        if part.answers:
            self.used.setdefault((part.answers, part.number), part.key)


@attrs.define
class Server:
    """The platform.

    Args:
        hold: seconds a poll is held while there is nothing.
        known_keys: whether it shows a key only once.
        forgetful: whether it never gives a message out twice, whatever the cursor says.
        ilink: the rules it has beside those of the script.
        answers: the same of a platform that counts answers.
        valid: the credential it accepts.
        sends: the script for sends; the first rule that says anything decides.
        polls: the script for polls.
        dials: the script for dials.
        tokens: whether messages carry context tokens.
        reviews: what became of parts that somebody looked at, in the order in which it was said.
        chatters: the script for frames of a session: by whether it has greeted and welcomed, what it sends a second later in
            place of what is due; None for nothing.
        most_under_way: dials and polls of one client that were under way at once; there is never more than one.
    """

    hold: float = 35.0
    known_keys: bool = False
    forgetful: bool = False
    ilink: ILink | None = None
    answers: Answers | None = None
    valid: str = f"{CANARY}-bot-token"
    sends: list[SendRule] = attrs.field(factory=list)
    polls: list[PollRule] = attrs.field(factory=list)
    dials: list[DialRule] = attrs.field(factory=list)
    tokens: bool = True
    reviews: list[Review] = attrs.field(factory=list)
    chatters: Callable[[bool, bool], Note | Invalid | None] | None = None
    inbox: list[Message] = attrs.field(factory=list)
    attempts: list[Attempt] = attrs.field(factory=list)
    polled: list[float] = attrs.field(factory=list)
    dialled: list[float] = attrs.field(factory=list)
    hung_up: int = 0
    under_way: int = 0
    most_under_way: int = 0
    open_clients: int = 0
    unowned: list[Message] = attrs.field(factory=list)
    witness: Witness | None = None
    arrived: trio.Event = attrs.field(factory=trio.Event)
    _given: int = 0
    _said: int = 0

    # ---- what users do -----------------------------------------------------------------------------------------------

    def say(
        self,
        chat: str,
        text: str,
        *,
        sender: str | None = None,
        message_id: str | None = None,
        sent_at: int | None = None,
        kinds: tuple[str, ...] = ("text",),
    ) -> Message:
        """Have a user write."""
        self._said += 1
        message = Message(
            chat=chat,
            sender=sender or chat,
            id=message_id or f"m{self._said}",
            text=text,
            kinds=kinds,
            sent_at=sent_at if sent_at is not None else 1_790_000_000_000 + round(trio.current_time() * 1000),
            token=f"{CANARY}-context-{chat}-{self._said}" if self.tokens else "",
        )
        self.deliver(message)
        return message

    def deliver(self, message: Message) -> None:
        """Have a message delivered, again perhaps."""
        self.inbox.append(message)
        if self.ilink is not None:
            self.ilink.hear(message.chat)
        if self.answers is not None:
            self.answers.hear(message)
        self._arrived()

    def review(self, audit: str, *, passed: bool) -> None:
        """Say what becomes of a part that somebody looked at."""
        for attempt in self.attempts:
            if attempt.said == f"pending {audit}":
                attempt.shown = passed
        self.reviews.append(Review(audit=audit, passed=passed, message=f"p-{audit}" if passed else ""))
        self._arrived()

    def _arrived(self) -> None:
        self.arrived.set()
        self.arrived = trio.Event()

    def stale(self, *chats: str) -> None:
        """Let every token given out so far go bad, in these chats or in all."""
        assert self.ilink is not None, "only iLink has tokens that go bad"
        self.ilink.stale |= {message.token for message in self.inbox if not chats or message.chat in chats}

    def log_in(self, token: str) -> None:
        """Have the account's user log in anew: the old credential, its messages and their tokens are worthless."""
        self.valid = token
        self.inbox.clear()

    # ---- what scripts say --------------------------------------------------------------------------------------------

    def during(self, begin: float, end: float, fate: Fate, *chats: str) -> None:
        """Let every send between two moments have one fate, in these chats or in all."""
        self.sends.append(
            lambda part: fate if begin <= trio.current_time() < end and (not chats or part.chat in chats) else None
        )

    def once(self, fate: Fate, *, containing: str = "", times: int = 1) -> None:
        """Let the next sends whose text contains something have one fate."""
        left = times

        def rule(part: Outgoing) -> Fate | None:
            nonlocal left
            if left and containing in part.text:
                left -= 1
                return fate
            return None

        self.sends.append(rule)

    # ---- the truth ---------------------------------------------------------------------------------------------------

    @property
    def taken(self) -> list[Attempt]:
        """The attempts that were taken."""
        return [attempt for attempt in self.attempts if attempt.taken]

    @property
    def refusals(self) -> list[Attempt]:
        """The attempts that were refused."""
        return [attempt for attempt in self.attempts if attempt.said.startswith("refused")]

    def shown(self, chat: str | None = None) -> list[str]:
        """Return the texts that users got to see, in order."""
        return [attempt.text for attempt in self.attempts if attempt.shown and chat in (None, attempt.chat)]

    # ---- what clients ask --------------------------------------------------------------------------------------------

    def take(self, part: Outgoing) -> tuple[Fate, Attempt]:
        """Decide what becomes of a send, and record it."""
        decided = [fate for rule in self.sends if (fate := rule(part)) is not None][:1]
        rules = self.ilink or self.answers
        fate = decided[0] if decided else rules.judge(part) if rules is not None else TAKEN
        known = self.known_keys and any(before.taken and before.key == part.key for before in self.attempts)
        if self.answers is not None and fate.takes:
            known = known or self.answers.knows(part)
            self.answers.take(part)
        known = known or isinstance(fate.answer, Pending)
        announced = self.witness is None or self.witness.sending(part)
        attempt = Attempt(
            trio.current_time(), part, announced, fate.takes, fate.takes and not known, _said(fate.answer)
        )
        self.attempts.append(attempt)
        return fate, attempt

    async def poll(self, cursor: str) -> PollAnswer:
        """Answer a poll."""
        self.polled.append(trio.current_time())
        begin = int(cursor.rpartition("-")[2]) if cursor else 0
        if self.witness is not None:
            self.unowned += [message for message in self.inbox[:begin] if not self.witness.owns(message)]
        if self.forgetful:
            begin = max(begin, self._given)
        for rule in self.polls:
            if (answer := rule(len(self.polled))) is not None:
                return answer
        with trio.move_on_after(self.hold):
            while len(self.inbox) <= begin:
                arrived = self.arrived
                await arrived.wait()
        if len(self.inbox) <= begin:
            return Empty()
        self._given = len(self.inbox)
        return Batch(messages=tuple(self.inbox[begin:]), secrets={"cursor": f"{CANARY}-cursor-{len(self.inbox)}"})

    def answer_dial(self, token: str) -> DialAnswer:
        """Answer a dial."""
        self.dialled.append(trio.current_time())
        for rule in self.dials:
            if (answer := rule(len(self.dialled))) is not None:
                return answer
        return Dialled(proved=True) if token == self.valid else EXPIRED


def _said(answer: SendAnswer) -> str:
    match answer:
        case Refusal() | Unauthorised():
            return f"refused {answer.code}"
        case Unsent():
            return f"unsent {answer.stage}"
        case Pending():
            return f"pending {answer.audit}"
        case Unclear():
            return "unclear"
        case Exception():
            return "raised"
        case text:
            return text


# ---- our side --------------------------------------------------------------------------------------------------------


@attrs.define
class Credentials:
    """Where an account's user keeps the bot token; a new login changes it."""

    token: str = f"{CANARY}-bot-token"


class FakeClient:
    """The half that does I/O, against the script."""

    def __init__(self, server: Server, credentials: Credentials, secrets: Secrets, power: Power | None) -> None:
        self._server = server
        self._credentials = credentials
        self._secrets = secrets
        self._power = power
        self._used = ""

    async def _travel(self) -> None:
        await trio.sleep(LATENCY)
        if self._power is not None:
            self._power.check()

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        self._server.under_way += 1
        self._server.most_under_way = max(self._server.most_under_way, self._server.under_way)
        try:
            yield
        finally:
            self._server.under_way -= 1

    async def dial(self) -> Dialled | Failure | Unauthorised:
        """Dial."""
        with self._only_one():
            return await self._dial()

    async def receive(self) -> Batch | Empty | Failure | Unauthorised:
        """Poll."""
        with self._only_one():
            return await self._receive()

    async def _dial(self) -> Dialled | Failure | Unauthorised:
        await self._travel()
        self._used = self._credentials.token
        answer = self._server.answer_dial(self._used)
        if isinstance(answer, Exception):
            raise answer
        if answer == HANG:
            await trio.sleep_forever()
        assert not isinstance(answer, str)
        if not isinstance(answer, Dialled):
            return answer
        mark = f"{CANARY}-fingerprint-{self._used}"
        known = self._secrets.get("credential")
        return Dialled(proved=answer.proved, fresh=known not in (None, mark), secrets={"credential": mark})

    async def _receive(self) -> Batch | Empty | Failure | Unauthorised:
        if self._power is not None:
            self._power.check()
        answer = (
            EXPIRED if self._used != self._server.valid else await self._server.poll(self._secrets.get("cursor") or "")
        )
        if isinstance(answer, Exception):
            raise answer
        if answer == HANG:
            await trio.sleep_forever()
        assert not isinstance(answer, str)
        await trio.lowlevel.checkpoint()
        return answer

    async def send(self, part: Outgoing) -> Taken | Pending | Refusal | Unsent | Unclear | Unauthorised:
        """Send."""
        await self._travel()
        fate, attempt = self._server.take(part)
        await trio.sleep(LATENCY + fate.after)
        answer = fate.answer
        if isinstance(answer, Exception):
            raise answer
        if answer == HANG:
            await trio.sleep_forever()
        if isinstance(answer, str):
            return Taken(message=f"p{self._server.attempts.index(attempt)}")
        return answer

    async def hang_up(self) -> str:
        """Say goodbye."""
        await trio.lowlevel.checkpoint()
        self._server.hung_up += 1
        return ""

    def renewed(self) -> bool:
        """Tell whether there are other credentials."""
        return self._credentials.token != self._used


Frame: TypeAlias = Hello | Welcome | Batch | Review | BeatAck | Note | Invalid


class FakeSessionClient(FakeClient):
    """The same for a platform that is spoken with over a socket, which never fails; what came is committed as a cursor."""

    _greeted = _welcomed = _owes = _resumes = False
    _returned = 0
    _last: Frame

    async def authorise(self, number: int, *, refused: bool) -> Token:  # noqa: ARG002
        """Fetch a token that lasts for ever."""
        await self._travel()
        return Token(changed=False, lasts=10**18)

    async def look_up(self, _failures: int) -> Address:
        """Say where it is."""
        await self._travel()
        return Address(url="wss://gateway")

    async def open_socket(self, _url: str) -> SocketOpen:
        """Open a socket."""
        await self._travel()
        self._greeted = self._welcomed = self._owes = False
        self._returned = 0
        return SocketOpen()

    async def identify(self) -> FrameSent:
        """Ask for a session."""
        await self._travel()
        self._resumes = False
        return FrameSent()

    async def resume(self) -> FrameSent:
        """Ask for the session there was."""
        await self._travel()
        self._resumes = True
        return FrameSent()

    async def read(self, taken: int, *, beat: bool) -> Frame:
        """Give the next frame, or the last one again."""
        await self._travel()
        self._owes = self._owes or beat
        if taken >= self._returned:
            script = self._server.chatters
            said = script(self._greeted, self._welcomed) if script is not None else None
            if said is not None:
                await trio.sleep(1)
            self._last = said if said is not None else await self._frame()
            self._returned += 1
        return self._last

    def _position(self, name: str) -> int:
        return int((self._secrets.get(name) or "-0").rpartition("-")[2])

    async def _frame(self) -> Frame:
        if not self._greeted:
            self._greeted = True
            return Hello(beat_every=41_000_000_000)
        if not self._welcomed:
            self._welcomed = True
            return Welcome(resumed=self._resumes)
        server = self._server
        while True:
            if self._owes:
                self._owes = False
                return BeatAck()
            messages, reviews = self._position("cursor"), self._position("reviews")
            if messages < len(server.inbox):
                secrets = {"cursor": f"{CANARY}-cursor-{len(server.inbox)}"}
                return Batch(messages=tuple(server.inbox[messages:]), secrets=secrets)
            if reviews < len(server.reviews):
                return attrs.evolve(server.reviews[reviews], secrets={"reviews": f"{CANARY}-reviews-{reviews + 1}"})
            arrived = server.arrived
            await arrived.wait()


MEANINGS: Final[Mapping[str, Reading]] = {
    "gone": Reading("dead", "there is no such user", "check the chat's id"),
    "busy": Reading("retry", "a passing fault"),
    "fast": Reading("account", "the account speaks too fast", throttled=True),
    "mute": Reading("circuit", "this chat is left alone"),
    "shut": Reading("window", "the user must write first", "ask the user to write"),
    "who": Reading("credentials", "the account is refused", "log in again"),
    "old": Reading("slot", "the message is too old to be answered"),
    "full": Reading("slot", "the message was answered often enough"),
    "marks": Reading("bare", "this markup is not valid"),
    "unmarked": Reading("bare", "no markup is permitted", lasts=True),
    "known": Reading("taken", "something was taken under this number"),
}


@attrs.frozen
class Plain:
    """A platform whose refusals say what they mean, and whose parts are cut at every bar."""

    allows: Literal["always", "once", "never"] = choice("once", "always", "once", "never")
    name: str = "plain"
    tie: Literal["connection", "session"] = "connection"
    answers: bool = False
    unasked: bool = True
    markup: bool = False

    def resends(self, _chat: str, _answers: str) -> Literal["always", "once", "never"]:
        """Say the same of every part."""
        return self.allows

    def check(self, chat: str) -> None:
        """Take any."""

    def split(self, text: str) -> tuple[str, ...]:
        """Cut at bars."""
        if not text.strip("| "):
            raise NotAccepted("there is nothing in it")
        return tuple(part for part in text.split("|") if part)

    def read(self, refusal: Refusal, _evidence: Evidence) -> Reading:
        """Take it at its word."""
        return MEANINGS[refusal.code]


PLAIN: Final = Plain()
DEFAULTS: Final = Policies()


@attrs.frozen(eq=False)
class Fake:
    """One account of the script."""

    server: Server
    platform: Platform = PLAIN
    policies: Policies = DEFAULTS
    identity: str = "the account"
    credentials: Credentials = attrs.field(factory=Credentials)
    power: Power | None = None

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client | SessionClient]:
        """Make a client."""
        return self._connect(secrets)

    @asynccontextmanager
    async def _connect(self, secrets: Secrets) -> AsyncIterator[Client | SessionClient]:
        self.server.open_clients += 1
        kind = FakeSessionClient if self.platform.tie == "session" else FakeClient
        try:
            yield kind(self.server, self.credentials, secrets, self.power)
        finally:
            self.server.open_clients -= 1


@attrs.frozen
class Recalled:
    """An account on a plain platform, as its journal remembers it."""

    platform: Plain = attrs.field(factory=Plain)

    @property
    def policies(self) -> Policies:
        """Others than those that are recorded, which therefore count."""
        return Policies()


PLATFORMS: Final = {"plain": Recalled, "weixin": Weixin}
"""What it takes to run recorded scenarios again."""


def wechat(*, chars: int = 2000, utf8: int = 6000) -> Platform:
    """Make the pure half of WeChat: the one that ships."""
    return WeixinPlatform(chars, utf8)


QUICK: Final = Policies(
    pacing=Pacing(per_second=1000, burst=1000),
    window=Window(messages=1_000_000),
    retry=Retry(backoff=Backoff(floor=1, cap=10)),
)
"""For scenarios that are about neither pacing nor the window."""
