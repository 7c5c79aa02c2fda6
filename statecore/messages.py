"""What a program holds in its hands: messages that came in, and receipts of those that are to go out."""

import logging
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs
import trio

from statecore.codec import ERROR_CHARACTERS_MAX, mend
from statecore.driver import Driver, Handed
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
        """Wait until the message was delivered, given up, or expired."""
        return await self._gateway._settled(self._address)  # noqa: SLF001 - two halves of one thing


class Message:
    """A message that came in. It is yours until `async with message:` ends.

    If that ends well, the message is done. If it raises, the failure is recorded, and the message is handed over again
    after a backoff, and set aside for a person after a few times; the exception goes no further, so that one bad message
    does not end the loop that takes them.

    Attributes:
        account: the account it came by.
        chat: what `send` takes to answer.
        sender: who wrote it.
        id: the platform's id.
        text: what was written; empty where there is none.
        kinds: the kinds of its items.
        sent_at_ms: when it was written by the platform's clock, in ms since 1970; 0 if it did not say.
    """

    def __init__(self, driver: Driver, handed: Handed) -> None:
        received = handed.received
        self._driver = driver
        self.address = handed.address
        self.account = driver.name
        self.chat = received.chat
        self.sender = received.sender
        self.id = received.id
        self.text = received.text
        self.kinds = received.kinds
        self.sent_at_ms = received.sent_at
        self.received: Received = received
        self._ended = False
        self._token = trio.lowlevel.current_trio_token()

    def __del__(self) -> None:
        """Have it handed over again if whoever took it let it fall: a loop that was left by `return`, or cancelled."""
        if not getattr(self, "_ended", True):
            with suppress(trio.RunFinishedError):  # then the next start finds that nobody handled it
                self._token.run_sync_soon(self._driver.let_fall, self.address)

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.account}/{self.chat}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._ended = True
        if error is None:
            await self._driver.handled(self.address, None)
            return False
        if not isinstance(error, Exception):  # cancelled, or the program is ending: it has not been handled
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._driver.handled(self.address, f"{type(error).__name__}")
            return False
        log.error("%s: its handler raised; it is handed over again later", self.address, exc_info=error)
        await self._driver.handled(self.address, mend(f"{type(error).__name__}: {error}", ERROR_CHARACTERS_MAX))
        return True

    async def abandoned(self) -> None:
        """Record that nobody handled it, unless somebody did."""
        if not self._ended:
            self._ended = True
            await self._driver.handled(self.address, "it was taken and never entered: use `async with message:`")


class Inbox:
    """Messages as they come in; made by `Gateway.inbox`.

    It is an iterator and not a generator, so the loop over it may be left in any way: whatever was taken and not entered
    is handed over again.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._last: Message | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if self._last is not None:
            await self._last.abandoned()
        self._last = await self._gateway._next_message()  # noqa: SLF001 - two halves of one thing
        if self._last is None:
            raise StopAsyncIteration
        return self._last

    async def aclose(self) -> None:
        """Have what was taken and not entered handed over again at once; for `contextlib.aclosing`."""
        if self._last is not None:
            await self._last.abandoned()
            self._last = None
