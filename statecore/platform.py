"""What the runtime asks of a platform adapter. Everything a third party implements stands in this file.

An adapter has two halves. The pure half (`Platform`) cuts texts, reads refusals and says what the platform promises
about resending. The other half (`Client`) makes attempts: each method makes exactly one, never sleeps, never loops,
never raises for what a peer did, and returns what came of it as one of the values below, without deciding anything.
Waits, retries, windows, circuits and order belong to the machines.

The value to get right is the stage of a failed send. `Unsent` is a promise that the platform did not take the request;
it is tried again freely. Where the request may have left, the answer is `Unclear`.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import attrs

from statecore.policies import Backoff, Circuit, Handling, Pacing, Retry, Window
from statecore.reading import Evidence, Reading
from statecore.settings import duration

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
    """

    code: str
    message: str
    action: str


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
    """

    message: str = ""


@attrs.frozen(kw_only=True)
class Refusal:
    """The platform answered, and did not take the part.

    Args:
        code: what it said, as it stands in logs: "ret=-2".
        message: what it said for people; empty if nothing.
    """

    code: str
    message: str = ""


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
    """

    chat: str
    text: str
    key: str
    token: str = attrs.field(default="", repr=False)


# ---- the two halves --------------------------------------------------------------------------------------------------


@attrs.frozen
class Polling:
    """How often an account is polled when nothing comes.

    Args:
        period: the shortest time from one empty poll to the next. A platform that holds its polls never notices it.
        period_max: what that grows to for a peer that goes on answering at once.
        gap: the pause after a poll that the platform held.
    """

    period: int = duration("1s", low="100ms", high="1h")
    period_max: int = duration("5s", low="100ms", high="1h")
    gap: int = duration("100ms", low="50ms", high="1h")


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
    """

    pacing: Pacing = attrs.field(factory=Pacing)
    window: Window = attrs.field(factory=Window)
    circuit: Circuit = attrs.field(factory=Circuit)
    backoff: Backoff = attrs.field(factory=Backoff)
    retry: Retry = attrs.field(factory=Retry)
    polling: Polling = attrs.field(factory=Polling)
    handling: Handling = attrs.field(factory=Handling)


class Platform(Protocol):
    """The pure half."""

    @property
    def name(self) -> str:
        """The platform's name in configuration files: "weixin"."""

    @property
    def resends(self) -> Literal["always", "once", "never"]:
        """What may be done with a part whose answer was lost.

        "always": the platform takes a key once, so sending it again is safe. "once": it may not, so the part is sent
        once more and recorded as possibly doubled. "never": it is left, and said.
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

    async def send(self, part: Outgoing) -> Taken | Refusal | Unsent | Unclear | Unauthorised:
        """Send one part, once."""

    async def hang_up(self) -> str:
        """Say goodbye; return what went wrong, or nothing."""

    def renewed(self) -> bool:
        """Tell whether the credentials are others than those last used. Cheap: asked every few seconds while they are
        refused."""


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
        """What must be driven by one process at a time, as text; it is hashed before it is written anywhere."""

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client]:
        """Make the half that does I/O; leaving the context closes what it holds."""
