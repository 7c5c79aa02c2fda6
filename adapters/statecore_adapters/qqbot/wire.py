"""One WebSocket, from its opening until it is dropped.

The library reads it in a task of its own, in a nursery that outlives it: whatever becomes of the socket, the task ends and
nothing else does. Whoever holds the `Socket` reads from it, says goodbye or lets go; none of that can hang.
"""

import logging
from typing import Any, Final

import attrs
import trio
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.trio.client import ClientConnection
from websockets.trio.client import connect as dial

from statecore.platform import Failure, Stage
from statecore_adapters import http

OPEN_S: Final = 20.0
"""Seconds for name, connection, TLS and upgrade together."""

GOODBYE_S: Final = 2.0
"""Seconds for the other side to answer a close."""

SEND_S: Final = 2.0
"""Seconds for a frame to leave. Ours are so small that one that does not leave at once meets a socket whose other end
has read nothing for long."""

MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
"""A frame beyond this ends the connection, before it is in memory."""

RESUMABLE: Final = 4000
"""What a session is left with that is to be resumed. After 1000 or 1001 the platform may think that it is over."""

REASON_MAX: Final = 120

_quiet = logging.getLogger("statecore_adapters.qqbot.wire")
_quiet.setLevel(logging.WARNING)  # below that the library writes down every frame, and a token is in the first one


@attrs.frozen
class Gone:
    """The socket is gone.

    Args:
        code: of the close frame that came; 1005 if it carried none, 1006 if none came.
        why: what it said, or what broke.
    """

    code: int
    why: str


class Socket:
    """A WebSocket that was opened.

    Args:
        connection: the library's.
        nursery: where its tasks live.
    """

    def __init__(self, connection: ClientConnection, nursery: trio.Nursery) -> None:
        self._connection = connection
        self._nursery = nursery
        self._dropped = False
        self._gone: trio.Event | None = None  # there once somebody leaves

    async def send(self, text: str) -> Gone | None:
        """Send a frame. It leaves whole, or the socket is dropped; to be cancelled in between would leave half a frame."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            with trio.move_on_after(SEND_S, shield=True) as limit:
                await self._connection.send(text)
        except ConnectionClosed as closed:
            return _gone(closed)
        if limit.cancelled_caught:
            self.drop()
            return Gone(1006, "nothing leaves any more")
        return None

    async def receive(self) -> bytes | Gone:
        """Take the next frame. Safe to cancel: it is then the next one still. One call at a time."""
        if not self._dropped:
            try:
                return await self._connection.recv(decode=False)
            except ConnectionClosed as closed:
                if not self._dropped:
                    return _gone(closed)
        return Gone(1006, "dropped from here")

    def leave(self) -> None:
        """Say goodbye, and drop it when that is answered, or is not. Does not wait."""
        if self._gone is None:
            self._gone = trio.Event()
            self._nursery.start_soon(self._leave, self._gone)

    def drop(self) -> None:
        """Let go of it at once. Nothing is said, and what it still holds comes again by resuming."""
        if not self._dropped:
            self._dropped = True
            self._nursery.start_soon(trio.aclose_forcefully, self._connection.stream)  # that ends the task that reads

    async def left(self) -> bool:
        """Wait until it is gone after `leave`; tell whether that was by an answered goodbye."""
        assert self._gone is not None, "somebody leaves"
        await self._gone.wait()
        return self._connection.protocol.close_rcvd is not None

    async def _leave(self, gone: trio.Event) -> None:
        try:
            with trio.move_on_after(GOODBYE_S):
                await self._connection.aclose(RESUMABLE)
        except Exception:  # noqa: BLE001 - it is left all the same, and the account that it belonged to goes on
            _quiet.debug("a socket did not end in good order", exc_info=True)
        finally:
            self.drop()
            gone.set()


class _Dial(dial):
    """One attempt to connect. The library would follow redirects, ten of them; no gateway sends any, and each would be an
    attempt that no machine has decided on."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Follow none."""
        return exc


class _Connection(ClientConnection):
    """A connection that is hung up on as soon as its first answer is known to be no upgrade. The library would read on,
    however much comes, until the other side ends or `OPEN_S` is over."""

    async def send_data(self) -> None:
        """Send what is to be sent; the library does so after each piece that came."""
        await super().send_data()
        if self.protocol.handshake_exc is not None:
            raise trio.BrokenResourceError("what answers is no gateway")


async def open_socket(nursery: trio.Nursery, url: str) -> Socket | Failure:
    """Open a WebSocket.

    Args:
        nursery: where its tasks live.
        url: where.
    """
    reached: list[Stage] = ["connect"]

    def connected(*arguments: Any, **options: Any) -> ClientConnection:
        reached.append("receive")
        return _Connection(*arguments, **options)

    try:
        connection = await _Dial(
            url,
            ssl=http.tls() if url.startswith("wss:") else None,
            create_connection=connected,  # type: ignore[arg-type]  # a factory is as good as a class
            compression=None,  # frames are small, and a gateway need not be able to make them expand here
            user_agent_header="statecore",
            open_timeout=OPEN_S,
            ping_interval=None,  # the protocol has heartbeats of its own, and the machine watches them
            close_timeout=GOODBYE_S,
            max_size=MESSAGE_BYTES_MAX,
            logger=_quiet,
        ).connect(nursery)
    except Exception as error:  # noqa: BLE001 - of three libraries and an operating system; each is a peer's doing
        return _not_open(error, reached[-1])
    for head in (connection.request, connection.response):
        if head is not None:
            head.headers.clear()  # nobody asks for them any more, and they are 3 kB
    return Socket(connection, nursery)


def _gone(closed: ConnectionClosed) -> Gone:
    if closed.rcvd is not None:
        return Gone(closed.rcvd.code, _shown(closed.rcvd.reason))
    if closed.sent is not None:  # the library broke it off: a frame too large, or no WebSocket any more
        return Gone(1006, _shown(closed.sent.reason) or f"closed from here with {closed.sent.code}")
    cause = closed.__cause__
    return Gone(1006, _shown(str(cause) or type(cause).__name__) if cause is not None else "")


def _not_open(error: Exception, stage: Stage) -> Failure:
    match error:
        case InvalidURI() | ValueError():
            return Failure(stage="resolve", error="the gateway's address cannot be used", action="correct gateway_url")
        case InvalidStatus():
            return _refused(error)
        case ImportError():
            return Failure(
                stage="connect", error=_shown(str(error)), action="install python-socks, or use another proxy"
            )
        case InvalidProxy():  # its words repeat the address, and a password may be part of that
            return Failure(stage="connect", error="the proxy's address is not valid", action="check the proxy settings")
        case ProxyError():
            return Failure(stage="connect", error=f"the proxy: {_shown(str(error))}", action="check the proxy settings")
        case TimeoutError() if stage == "receive":
            return Failure(stage=stage, error=f"the upgrade was not answered within {OPEN_S:g} s")
        case TimeoutError():
            return Failure(stage=stage, error=f"no connection within {OPEN_S:g} s")
        case InvalidHandshake():
            return Failure(stage="answer", error=f"no WebSocket answers: {_shown(str(error))}", reachable=True)
        case _ if stage == "receive":
            return Failure(stage=stage, error=f"the upgrade was cut off: {_shown(str(error))}", reachable=True)
    found = http.not_connected(error, "gateway_url")
    return Failure(stage=found.stage, error=found.error, action=found.action)


def _refused(error: InvalidStatus) -> Failure:
    response = error.response
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    answer = http.Answer(status=response.status_code, body=b"", headers=headers)
    blamed = response.status_code in (401, 403, 404, 405) or 300 <= response.status_code < 400
    return Failure(
        stage="answer",
        error=f"the gateway answered the upgrade with HTTP {response.status_code}",
        reachable=response.status_code < 500,
        hint=http.retry_after(answer),
        action="check gateway_url, and any proxy on the way: what answers there is no gateway" if blamed else "",
    )


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:REASON_MAX]
