"""A client in the hands of the suite: brought to where a call makes sense, called as the driver calls it, and watched."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import trio

from statecore.machines.connection import Dial, HangUp, Receive
from statecore.machines.delivery import SendPart
from statecore.machines.session import Authorise, Identify, LookUp, OpenSocket, ReadFrame
from statecore.platform import (
    AccountConfig,
    Address,
    Batch,
    Dialled,
    Ended,
    FrameSent,
    Hello,
    Message,
    Outgoing,
    Pending,
    Refusal,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unsent,
    Welcome,
)
from statecore.testing.adapters.network import Network

Route = Callable[[str], str]
"""Given the address of a server, returns the one that an account is to be configured with."""

LEAF_MIN: Final = 8
"""Shorter secrets are not looked for: they would be found by chance."""

READS_MAX: Final = 30
"""Frames, or polls, within which something that was said must have come."""


@attrs.frozen(kw_only=True)
class Peer:
    """Somebody's server, and what the suite must know of it.

    Args:
        account: makes the configuration of an account on it. Each address of the server goes through the function it is
            given: ``lambda through: Mine(base_url=through(server.url), token=TOKEN)``.
        chat: the id, as the adapter writes it, of a chat in which `say` speaks.
        say: lets the user of that chat write a text; may be a coroutine function.
        shown: returns the texts that the user was shown, in order.
        canaries: the credentials that the server takes, which must turn up nowhere. Let them be long.
    """

    account: Callable[[Route], AccountConfig]
    chat: str
    say: Callable[[str], Any]
    shown: Callable[[], Sequence[str]]
    canaries: tuple[str, ...]


# ---- what came of a call ---------------------------------------------------------------------------------------------


@attrs.frozen
class Raised:
    """A call raised.

    Args:
        error: what.
    """

    error: Exception

    def __repr__(self) -> str:
        return f"an exception, {type(self.error).__name__}: {self.error}"


@attrs.frozen
class Hung:
    """A call did not come back."""

    def __repr__(self) -> str:
        return "nothing: it did not come back"


def fate(outcome: object) -> Literal["taken", "refused", "not sent", "unknown"]:
    """Return what the runtime takes an outcome of a send to mean. What raises or hangs may have sent something."""
    match outcome:
        case Taken() | Pending():
            return "taken"
        case Refusal() | Unauthorised():
            return "refused"
        case Unsent():
            return "not sent"
        case _:
            return "unknown"


# ---- calls -----------------------------------------------------------------------------------------------------------

EFFECTS: Final[Mapping[str, type]] = {
    "dial": Dial, "receive": Receive, "authorise": Authorise, "look_up": LookUp, "open_socket": OpenSocket,
    "identify": Identify, "read": ReadFrame, "send": SendPart, "hang_up": HangUp,
}  # fmt: skip
"""The effect of the machines that each call carries out."""

CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "connection": ("dial", "receive", "send", "hang_up"),
    "session": ("authorise", "look_up", "open_socket", "identify", "read", "send", "hang_up"),
}
"""The calls of each tie, in the order in which they come to make sense."""

ASKING: Final[Mapping[str, tuple[str, ...]]] = {
    "connection": ("dial", "receive", "send"),
    "session": ("authorise", "look_up", "open_socket", "send"),
}
"""Those of them that ask the platform something and wait for its answer, from nothing."""

GOOD: Final[Mapping[str, tuple[type, ...]]] = {
    "dial": (Dialled,), "receive": (Batch,), "authorise": (Token,), "look_up": (Address,), "open_socket": (SocketOpen,),
    "identify": (FrameSent,), "send": (Taken, Pending), "hang_up": (str,),
}  # fmt: skip
"""What each comes to with a platform that is well; what `read` comes to is the platform's choice."""


SOCKET: Final = frozenset({"open_socket", "hello", "identify", "read"})
"""What is lost with the socket of a session."""


class Hand:
    """Calls a client as the driver does: what it wants to have remembered is, and frames are counted.

    Args:
        config: the account.
        peer: its server.
        network: what lies between.
        secrets: what was remembered so far.
        patience: virtual seconds after which a call has hung.
    """

    def __init__(
        self, config: AccountConfig, peer: Peer, network: Network, secrets: dict[str, str], patience: float
    ) -> None:
        self.config = config
        self.platform = config.platform
        self.peer = peer
        self.network = network
        self.secrets = secrets
        self.told: set[str] = set(secrets.values())
        self.outcomes: list[Any] = []
        self._patience = patience
        self._client: Any = None
        self._ready: set[str] = set()
        self._url = ""
        self.taken = 0
        self._texts = 0
        self._parts = 0
        self._answers: dict[str, int] = {}
        self.message: Message | None = None
        self.before = 0
        self.said: list[str] = []
        self.heard: set[str] = set()

    def hold(self, client: Any) -> None:
        """Take a client in hand."""
        self._client = client

    @property
    def client(self) -> Any:
        """The client itself."""
        return self._client

    # ---- one call ----------------------------------------------------------------------------------------------------

    async def call(self, name: str, part: Outgoing | None = None) -> Any:
        """Make one call, whatever comes of it; `Raised` and `Hung` are answers too."""
        outcome: Any = Hung()
        with trio.move_on_after(self._patience):
            try:
                outcome = await self.bare(name, part)
            except Exception as error:  # noqa: BLE001 - whatever it is, a check wants to know of it
                outcome = Raised(error)
        self.take(name, outcome)
        return outcome

    async def bare(self, name: str, part: Outgoing | None = None) -> Any:
        """Make one call, and let its exceptions through."""
        client = self._client
        match name:
            case "send":
                return await client.send(part or self.part())
            case "authorise":
                return await client.authorise(1, refused=False)
            case "look_up":
                return await client.look_up(0)
            case "open_socket":
                self._ready -= SOCKET
                self.taken = 0
                return await client.open_socket(self._url)
            case "read":
                return await client.read(self.taken, beat=False)
            case "identify":
                self._ready -= SOCKET  # whatever becomes of it, nothing else can be asked of this socket
                return await client.identify()
            case "hang_up":
                self._ready -= SOCKET | {"dial"}
                return await client.hang_up()
        return await getattr(client, name)()

    def take(self, name: str, outcome: Any) -> None:
        """Take an outcome in, as the runtime would."""
        self.outcomes.append(outcome)
        secrets = getattr(outcome, "secrets", None) or {}
        self.secrets.update(secrets)
        if isinstance(outcome, Batch):
            self.secrets.update({f"token/{one.chat}": one.token for one in outcome.messages if one.token})
            self.heard |= {one.text for one in outcome.messages}
        self.told |= set(self.secrets.values())
        if isinstance(outcome, GOOD.get(name, ())):
            self._ready |= {"open_socket", "hello", name} if name == "identify" else {name}
        if isinstance(outcome, Address):
            self._url = self.network.through(outcome.url)
        if name == "read" and not isinstance(outcome, Raised | Hung):
            self.taken += 1
            if isinstance(outcome, Hello):
                self._ready.add("hello")
            if isinstance(outcome, Welcome):
                self._ready.add("read")
            if isinstance(outcome, Ended):
                self._ready -= SOCKET

    # ---- getting there -----------------------------------------------------------------------------------------------

    async def prepare(self, name: str) -> None:
        """Bring the client to where the machine would make this call. The platform must be well.

        Raises:
            AssertionError: it does not get there.
        """
        tie = self.platform.tie
        if tie == "connection":
            if name != "dial":
                await self._once("dial")
            if name == "receive":
                await self.say()
            if name == "send":
                await self.hear()
            return
        if name == "identify" and "identify" in self._ready:
            self._ready -= SOCKET  # a socket is identified on once
        for step in ("authorise", "look_up", "open_socket"):
            if step == name:
                return
            await self._once(step)
        await self._on_the_socket(name)

    async def _on_the_socket(self, name: str) -> None:
        if "hello" not in self._ready:
            await self._read_until("hello")
        if name == "identify":
            return
        if "identify" not in self._ready:
            await self.well("identify")
        if "read" not in self._ready:
            await self._read_until("read")
        if name == "read":
            await self.say()
        if name == "send":
            await self.hear()

    async def _once(self, name: str) -> None:
        if name not in self._ready:
            await self.well(name)

    async def _read_until(self, mark: str) -> None:
        for _ in range(READS_MAX):
            outcome = await self.call("read")
            if mark in self._ready:
                return
            assert not isinstance(outcome, Ended | Raised | Hung), f"the way up ends at {outcome!r}"
        raise AssertionError(f"{READS_MAX} frames came, and none of them was the platform's {mark!r}")

    async def well(self, name: str) -> Any:
        """Make one call that must succeed.

        Raises:
            AssertionError: it did not.
        """
        outcome = await self.call(name)
        good = GOOD.get(name, (object,))
        assert isinstance(outcome, good), f"with a platform that is well, {name} came to {outcome!r}"
        return outcome

    async def say(self) -> str:
        """Let the user write; return the text."""
        self._texts += 1
        text = f"text {self._texts} of the user's"
        self.said.append(text)
        said = self.peer.say(text)
        if inspect.isawaitable(said):
            await said
        return text

    async def hear(self) -> Message:
        """Let the user write, and receive it."""
        return await self.until_heard(await self.say())

    async def until_heard(self, text: str) -> Message:
        """Receive until a text has come in.

        Raises:
            AssertionError: it does not come.
        """
        how = "receive" if self.platform.tie == "connection" else "read"
        for _ in range(READS_MAX):
            outcome = await self.call(how)
            for message in outcome.messages if isinstance(outcome, Batch) else ():
                if message.text == text:
                    self.message = message
                    return message
            assert not isinstance(outcome, Ended | Raised | Hung), f"waiting for {text!r}: {how} came to {outcome!r}"
        raise AssertionError(f"the user wrote {text!r}, and {READS_MAX} calls of {how} did not bring it")

    # ---- parts -------------------------------------------------------------------------------------------------------

    def part(self, text: str = "an answer of ours", **changes: Any) -> Outgoing:
        """Make the next part to send in the chat: a key of its own, the newest token, the next number."""
        self._parts += 1
        message = self.message
        chat = message.chat if message is not None else self.peer.chat
        answers = message.id if message is not None and self.platform.answers else ""
        number = self._answers.get(answers, 0) + 1 if answers else 0
        self._answers[answers] = number
        made = Outgoing(
            chat=chat,
            text=text,
            key=f"sc-0190000000{self._parts:04x}c0ffee-0",
            token=self.secrets.get(f"token/{chat}", ""),
            answers=answers,
            number=number,
        )
        return attrs.evolve(made, **changes)

    # ---- what must not be shown --------------------------------------------------------------------------------------

    def canaries(self) -> set[str]:
        """Return every piece of a secret that is worth looking for: the credentials, and all that was to be remembered."""
        found = set(self.peer.canaries)
        for value in self.told:
            found |= set(_leaves(value))
        return {one for one in found if len(one) >= LEAF_MIN}

    def leaks(self, *texts: str) -> list[str]:
        """Return the texts, cut to what is around it, in which a canary stands."""
        return [around(text, canary) for text in texts for canary in self.canaries() if canary in text]


def _leaves(value: str) -> list[str]:
    """Return the texts within a secret: itself, or if it is JSON the texts in it."""
    try:
        found = json.loads(value)
    except ValueError:
        return [value]
    if isinstance(found, dict | list):
        items = found.values() if isinstance(found, dict) else found
        return [leaf for item in items for leaf in _leaves(item if isinstance(item, str) else json.dumps(item))]
    return [found] if isinstance(found, str) else []


def around(text: str, canary: str) -> str:
    """Show where a canary stands, and not itself."""
    at = text.index(canary)
    return f"{text[max(0, at - 60) : at]}<a secret of {len(canary)} characters>{text[at + len(canary) :][:60]}"
