"""What the runtime asks of a platform adapter. Everything a third party implements stands in this file.

An adapter has two halves. The pure half (`Platform`) cuts texts, reads refusals and says what the platform promises
about resending. The other half (`Client`) makes attempts: each method makes exactly one, never sleeps, never loops,
never raises for what a peer did, and returns what came of it as one of the values below, without deciding anything.
Waits, retries, windows, circuits and order belong to the machines.

There are two kinds of tie to a platform, and a `Platform` says which is its own: one that is polled over HTTP (`Client`,
driven by the machine `connection`), and a session over a socket (`SessionClient`, driven by the machine `session`).

The value to get right is the stage of a failed send. `Unsent` is a promise that the platform did not take the request;
it is tried again freely. Where the request may have left, the answer is `Unclear`.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import attrs

from statecore.errors import ConfigError
from statecore.policies import Backoff, Circuit, Handling, Pacing, Retry, Sessions, Window
from statecore.reading import Evidence, Reading
from statecore.settings import duration, shared
from statecore.units import show_duration

Stage = Literal["resolve", "connect", "tls", "send", "receive", "answer", "silence"]
"""How far a request got. Up to "tls" not a byte of it left."""


# ---- what can come of an attempt -------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Dialled:
    """The platform answered.

    Args:
        proved: whether it accepted the account; otherwise the first poll will tell.
        fresh: whether the credentials are others than those of the last dial, so that cursor and tokens of the old ones
            are worthless and are forgotten.
        secrets: what must be remembered and never shown.
    """

    proved: bool
    fresh: bool = False
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Failure:
    """The attempt failed.

    Args:
        stage: how far it got.
        error: what was seen, for people, without any secret.
        reachable: whether the platform itself answered.
        hint: how long it asked to be left alone, in ns.
        action: what a person must do, where time cannot cure it (a certificate, a wrong address); then it is probed slowly.
    """

    stage: Stage
    error: str
    reachable: bool = False
    hint: int | None = None
    action: str = ""


@attrs.frozen(kw_only=True)
class Unauthorised:
    """The platform refuses the account's credentials.

    Args:
        code: what it said, as it stands in logs: "errcode=-14".
        message: what it said for people.
        action: what a person must do.
        credential: number of the token that was refused, where tokens have numbers.
        trace: the platform's own id of the request, for its support.
    """

    code: str
    message: str
    action: str
    credential: int | None = None
    trace: str = ""


@attrs.frozen(kw_only=True)
class Token:
    """There is an access token.

    Args:
        changed: whether it is another than the one before.
        lasts: for how long it is good, in ns.
        secrets: the token.
    """

    changed: bool
    lasts: int
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Address:
    """The platform said where its gateway is.

    Args:
        url: where.
        starts_in: ns until it allows another session to be begun, by its own count; 0 for now.
    """

    url: str
    starts_in: int = 0


@attrs.frozen
class SocketOpen:
    """There is a socket."""


@attrs.frozen(kw_only=True)
class Hello:
    """The gateway's greeting.

    Args:
        beat_every: ns between heartbeats.
    """

    beat_every: int


@attrs.frozen
class FrameSent:
    """What was to be sent has left."""


@attrs.frozen(kw_only=True)
class Welcome:
    """The session stands.

    Args:
        resumed: whether it is the one there was.
        secrets: what it takes to resume it.
    """

    resumed: bool
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Note:
    """A frame that asks for nothing.

    Args:
        what: its name, or what was wrong with it, for people.
        secrets: what must be committed with it: where the session stands.
    """

    what: str
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Review:
    """A message that was taken for review was let through, or not.

    Args:
        audit: the review's id, as `Pending` gave it.
        passed: whether it was let through.
        message: the platform's id of the message, if it was.
        secrets: what must be committed with it.
    """

    audit: str
    passed: bool
    message: str = ""
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class BeatAck:
    """A heartbeat was acknowledged."""


@attrs.frozen
class BeatWanted:
    """The platform wants a heartbeat now."""


@attrs.frozen(kw_only=True)
class Invalid:
    """The session is not valid.

    Args:
        resumable: whether the platform said that it may be resumed all the same.
    """

    resumable: bool


@attrs.frozen(kw_only=True)
class Ended:
    """The socket is gone; the client has dropped its side too.

    Args:
        code: why, as it stands in logs: "4009", "op 7", "eof".
        error: the same for people.
        then: "resume": go on with the session. "identify": begin another. "token": the token was refused, the session
            stands. "stop": time will not cure it.
        hint: ns to stay away, if the platform is known to want that.
        action: what a person must do, for "stop".
    """

    code: str
    error: str
    then: Literal["resume", "identify", "token", "stop"]
    hint: int | None = None
    action: str = ""


@attrs.frozen(kw_only=True)
class Message:
    """One message that came in; see `statecore.machines.inbound.Received` for the fields.

    Args:
        token: the context token it carried; empty if none.
    """

    chat: str
    sender: str
    id: str
    text: str
    kinds: tuple[str, ...] = ("text",)
    sent_at: int = 0
    weak_id: bool = False
    quotes: str = ""
    token: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Batch:
    """Messages came.

    Args:
        messages: in the platform's order.
        secrets: what must be committed together with them: the cursor that covers them.
    """

    messages: tuple[Message, ...]
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Empty:
    """Nothing came.

    Args:
        silent: whether the platform did not answer at all within the time it was given.
        secrets: a cursor that moved all the same.
    """

    silent: bool = False
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Taken:
    """The platform took the part.

    Args:
        message: its id there; empty if it gave none.
        trace: the platform's own id of the request, for its support.
    """

    message: str = ""
    trace: str = ""


@attrs.frozen(kw_only=True)
class Pending:
    """The platform took the part, and shows it once somebody has looked at it.

    Args:
        audit: the id under which it will say what became of it.
        trace: the platform's own id of the request, for its support.
    """

    audit: str
    trace: str = ""


@attrs.frozen(kw_only=True)
class Refusal:
    """The platform answered, and did not take the part.

    Args:
        code: what it said, as it stands in logs: "ret=-2".
        message: what it said for people; empty if nothing.
        hint: how long it asked to be left alone, in ns.
        trace: the platform's own id of the request, for its support.
    """

    code: str
    message: str = ""
    hint: int | None = None
    trace: str = ""


@attrs.frozen(kw_only=True)
class Unsent:
    """The part certainly did not reach the platform.

    Args:
        stage: how far it got.
        error: what was seen, for people, without any secret.
    """

    stage: Stage
    error: str


@attrs.frozen(kw_only=True)
class Unclear:
    """The request left, and no answer that can be understood came back.

    Args:
        error: what was seen, for people, without any secret.
    """

    error: str


@attrs.frozen(kw_only=True)
class Outgoing:
    """One part to send.

    Args:
        chat: where to.
        text: what.
        key: its idempotency key: the same on every attempt, another for every part.
        token: the chat's context token; empty to send without one.
        bare: whether it is to be sent without what may have been refused: the context token, or markup.
        answers: the platform's id of the message it answers; empty for none.
        number: which answer to that message it is, from 1; the same on every attempt. With *answers* it is what a
            platform that counts answers recognises a repetition by.
    """

    chat: str
    text: str
    key: str
    token: str = attrs.field(default="", repr=False)
    bare: bool = False
    answers: str = ""
    number: int = 0


# ---- the two halves --------------------------------------------------------------------------------------------------


@attrs.frozen
class Polling:
    """How often an account is polled when nothing comes.

    Args:
        period: the shortest time from one empty poll to the next. A platform that holds its polls never notices it: they
            follow one another at once.
        period_max: what that grows to for a peer that goes on answering at once.

    None can be above a minute: between two polls of a connection that stands, its machine waits no longer.
    """

    period: int = duration("1s", low="100ms", high="1m")
    period_max: int = duration("5s", low="100ms", high="1m")

    def __attrs_post_init__(self) -> None:
        if self.period_max < self.period:
            raise ConfigError(
                "period_max", f"{show_duration(self.period_max)} is below the period, {show_duration(self.period)}"
            )


@attrs.frozen
class Policies:
    """The numbers an account goes by; each is a table of the account's configuration.

    Args:
        pacing: how fast it speaks.
        window: how much may be said after a user has written.
        circuit: how long what refuses is left alone.
        backoff: how long between dials.
        retry: how long a delivery is tried.
        polling: how often it asks when nothing comes.
        handling: how often a message that came in is handed over.
        sessions: how sessions are begun, on a platform that has them.
        windows: how much may be said in chats of one kind, by what their ids begin with; else *window*.
    """

    pacing: Pacing = attrs.field(factory=shared(Pacing))
    window: Window = attrs.field(factory=shared(Window))
    circuit: Circuit = attrs.field(factory=shared(Circuit))
    backoff: Backoff = attrs.field(factory=shared(Backoff))
    retry: Retry = attrs.field(factory=shared(Retry))
    polling: Polling = attrs.field(factory=shared(Polling))
    handling: Handling = attrs.field(factory=shared(Handling))
    sessions: Sessions = attrs.field(factory=shared(Sessions))
    windows: Mapping[str, Window] = attrs.field(factory=dict)

    def window_of(self, chat: str) -> Window:
        """Return what may be said in a chat: by what stands before its first colon, or else what holds for all."""
        return self.windows.get(chat.partition(":")[0], self.window)


class Platform(Protocol):
    """The pure half."""

    @property
    def name(self) -> str:
        """The platform's name in configuration files: "weixin"."""

    @property
    def tie(self) -> Literal["connection", "session"]:
        """What it is tied by: polls, or a session over a socket."""

    @property
    def answers(self) -> bool:
        """Whether a message is sent in answer to one that came in, by its id, so that every one that came in has a window
        of its own. Otherwise a chat has one window, and the last message that came in opens it."""

    @property
    def unasked(self) -> bool:
        """Whether a message may be sent that answers none."""

    @property
    def markup(self) -> bool:
        """Whether parts carry markup that can be refused; then it is sent once more without."""

    def resends(self, chat: str, answers: str) -> Literal["always", "once", "never"]:
        """Say what may be done with a part whose answer was lost.

        "always": the platform takes a key once, so sending it again is safe. "once": it may not, so the part is sent
        once more and recorded as possibly doubled. "never": it is left, and said.

        Args:
            chat: where it went.
            answers: the platform's id of the message it answered; empty for none.
        """

    def check(self, chat: str) -> None:
        """See whether this can be the id of a chat.

        Raises:
            NotAccepted: it cannot; the message says what one looks like.
        """

    def split(self, text: str) -> tuple[str, ...]:
        """Cut a text into parts the platform takes at once.

        Raises:
            NotAccepted: there is nothing in it that could be sent.
        """

    def read(self, refusal: Refusal, evidence: Evidence) -> Reading:
        """Say what a refusal is taken to mean."""


class Secrets(Protocol):
    """What an adapter may read of what it asked to have remembered."""

    def get(self, name: str) -> str | None:
        """Return the newest value, or None."""


class Client(Protocol):
    """The half that does I/O: one attempt a call."""

    async def dial(self) -> Dialled | Failure | Unauthorised:
        """Read the credentials afresh and establish that the platform accepts them."""

    async def receive(self) -> Batch | Empty | Failure | Unauthorised:
        """Take what there is; one poll."""

    async def send(self, part: Outgoing) -> Taken | Pending | Refusal | Unsent | Unclear | Unauthorised:
        """Send one part, once."""

    async def hang_up(self) -> str:
        """Say goodbye; return what went wrong, or nothing."""

    def renewed(self) -> bool:
        """Tell whether the credentials are others than those last used. Cheap: asked every few seconds while they are
        refused."""


class SessionClient(Protocol):
    """The half that does I/O for a platform with sessions: one attempt a call."""

    async def authorise(self, number: int, *, refused: bool) -> Token | Failure | Unauthorised:
        """Fetch an access token.

        Args:
            number: what it is to be called if it is another than the one in use; `Unauthorised` names it.
            refused: whether the one in use was refused.
        """

    async def look_up(self, failures: int) -> Address | Failure | Unauthorised:
        """Ask where the gateway is.

        Args:
            failures: attempts in a row that failed so far.
        """

    async def open_socket(self, url: str) -> SocketOpen | Failure:
        """Drop the socket there is, if any, and open another."""

    async def identify(self) -> FrameSent | Ended:
        """Ask for a new session."""

    async def resume(self) -> FrameSent | Ended:
        """Ask to go on with the session there was."""

    async def read(
        self, taken: int, *, beat: bool
    ) -> Hello | Welcome | Batch | Note | Review | BeatAck | BeatWanted | Invalid | Ended:
        """Take the next frame. Must be safe to cancel: what was not returned is returned by the next call.

        Args:
            taken: how many frames of this socket were taken in so far. If one more was returned than that, it came too late;
                it is returned again.
            beat: whether to send a heartbeat first.
        """

    async def send(self, part: Outgoing) -> Taken | Pending | Refusal | Unsent | Unclear | Unauthorised:
        """Send one part, once."""

    async def hang_up(self) -> str:
        """Close the socket so that the session can be resumed; return what went wrong, or nothing."""

    def renewed(self) -> bool:
        """Tell whether the credentials are others than those last used."""


class AccountConfig(Protocol):
    """One account, as its user writes it: `Weixin(account_id=..., token=...)`."""

    @property
    def platform(self) -> Platform:
        """The pure half."""

    @property
    def policies(self) -> Policies:
        """The numbers it goes by."""

    @property
    def identity(self) -> str:
        """What must be driven by one process at a time, as text; it is hashed before it is written anywhere.

        An account may also have `hermes_scopes`: (scope, identity) pairs under which a Hermes agent would lock the same bot.
        """

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client | SessionClient]:
        """Make the half that does I/O; leaving the context closes what it holds."""
