"""What a program holds in its hands: messages that came in, and receipts of those that are to go out."""

import logging
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

import attrs
import trio

from statecore.codec import ERROR_CHARACTERS_MAX, mend
from statecore.driver import Handed
from statecore.errors import GatewayStopped, StatecoreError
from statecore.machines.inbound import Received

if TYPE_CHECKING:
    from statecore.gateway import Gateway

log = logging.getLogger("statecore")


@attrs.frozen
class Delivered:
    """The platform took every part.

    Args:
        message: its id of the last part; empty if it gave none.
        doubled: parts (from 0) that may have arrived twice, because the answer to the first attempt was lost.
        unconfirmed: parts the platform accepted without saying under which id; they may not be shown.
    """

    message: str
    doubled: tuple[int, ...] = ()
    unconfirmed: int = 0


@attrs.frozen
class Dead:
    """It was given up, and a person can have it tried again.

    Args:
        reason: why.
        action: what to do.
    """

    reason: str
    action: str


@attrs.frozen
class Expired:
    """Its time ran out, or it was purged, before every part was sent."""

    reason: str


class Receipt:
    """What `send` returns: the message is in the journal, and this is how to learn what becomes of it.

    Attributes:
        account: the account it leaves by.
        id: its delivery's id, as `statecore log` and `statecore dead` show it.
    """

    def __init__(self, gateway: "Gateway", account: str, address: str) -> None:
        self._gateway = gateway
        self._address = address
        self.account = account
        self.id = address.rpartition("/")[2]

    def __repr__(self) -> str:
        return f"<Receipt {self.id} of {self.account}>"

    async def settled(self) -> Delivered | Dead | Expired:
        """Wait until the message was delivered, given up, or expired.

        Raises:
            GatewayStopped: the gateway has let go. The message is safe in the journal; the next start goes on with it.
        """
        return await self._gateway._settled(self._address)  # noqa: SLF001 - two halves of one thing


class Message:
    """A message that came in. It is yours until `async with message:` ends, in whichever task you do that.

    If that ends well, the message is done. If it raises, the failure is recorded, and the message is handed over again
    after a backoff, and set aside for a person after a few times; the exception goes no further, so that one bad message
    does not end the loop that takes them.

    A message that is let fall (the loop was left, the task cancelled) is handed over again at once, and one that nobody
    has entered for a minute is too. Until then its chat waits for it.

    Attributes:
        account: the account it came by.
        chat: what `send` takes to answer.
        sender: who wrote it.
        id: the platform's id.
        text: what was written; empty where there is none.
        kinds: the kinds of its items.
        sent_at_ms: when it was written by the platform's clock, in ms since 1970; 0 if it did not say.
    """

    def __init__(self, gateway: "Gateway", account: str, handed: Handed) -> None:
        received = handed.received
        self._gateway = gateway
        self.address = handed.address
        self.account = account
        self.chat = received.chat
        self.sender = received.sender
        self.id = received.id
        self.text = received.text
        self.kinds = received.kinds
        self.sent_at_ms = received.sent_at
        self.received: Received = received
        self._stage: Literal["waiting", "taken", "entered", "ended"] = "waiting"
        self._taken_at = 0.0
        self._token = trio.lowlevel.current_trio_token()

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.account}/{self.chat}>"

    def __del__(self) -> None:
        """Have it handed over again if whoever took it let it fall."""
        if getattr(self, "_stage", "ended") != "ended":
            with suppress(trio.RunFinishedError):  # then the next start finds that nobody handled it
                self._token.run_sync_soon(self._gateway._let_fall, self.account, self.address)  # noqa: SLF001

    def take(self) -> Self:
        """Note that the program has it from now on."""
        self._stage, self._taken_at = "taken", trio.current_time()
        return self

    def give_up(self) -> bool:
        """Take it back if nobody has entered it for too long; return whether that was so."""
        if self._stage != "taken" or trio.current_time() - self._taken_at < ENTERED_WITHIN_S:
            return False
        self._stage = "ended"
        return True

    async def __aenter__(self) -> Self:
        if self._stage == "ended":
            raise StatecoreError(
                f"message {self.id} was taken and not entered for {ENTERED_WITHIN_S:g} s, so it is handed over again; "
                "enter it with `async with message:` before anything that takes long"
            )
        self._stage = "entered"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._stage = "ended"
        if error is None:
            await self._gateway._handled(self, None)  # noqa: SLF001 - two halves of one thing
            return False
        if not isinstance(error, Exception):  # cancelled, or the program is ending: it has not been handled
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._gateway._handled(self, type(error).__name__)  # noqa: SLF001
            return False
        if isinstance(
            error, GatewayStopped
        ):  # it waited for what this process will not see; that is no fault of its own
            await self._gateway._handled(self, str(error))  # noqa: SLF001
            return True
        log.error("%s: its handler raised; it is handed over again later", self.address, exc_info=error)
        await self._gateway._handled(self, mend(f"{type(error).__name__}: {error}", ERROR_CHARACTERS_MAX))  # noqa: SLF001
        return True


class Inbox:
    """Messages as they come in; made by `Gateway.inbox`.

    It is an iterator and not a generator, so the loop over it may be left in any way. Its messages may be handled in the
    loop, or each in a task of its own.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await self._gateway._next_message()  # noqa: SLF001 - two halves of one thing
        if message is None:
            raise StopAsyncIteration
        return message.take()


ENTERED_WITHIN_S: Final = 60.0
"""A message that nobody has entered for so long is handed over again: its chat waits for it, and nobody may be there."""
