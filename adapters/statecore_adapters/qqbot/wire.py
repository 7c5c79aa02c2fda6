"""One WebSocket, from its opening until it is dropped.

The library opens the connection and knows the protocol; who holds the `Socket` reads and writes. So it has no task and no
nursery of its own, and takes in nothing that nobody waits for. None of what can be done with it can hang.
"""

import functools
import logging
from contextlib import suppress
from typing import Final

import attrs
import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI, ProxyError
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import State
from websockets.trio.client import connect

from statecore.platform import Failure, Stage
from statecore_adapters import http
from statecore_adapters.lines import fetch, socket_of

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


class Turn:
    """What one task has at a time: a lock that takes no memory while nobody waits for it. Not fair."""

    __slots__ = ("_free", "_taken")

    def __init__(self) -> None:
        self._taken = False
        self._free: trio.Event | None = None  # there while somebody waits

    async def take(self) -> None:
        """Wait until nobody has it, and take it."""
        while self._taken:
            self._free = self._free or trio.Event()
            await self._free.wait()
        self._taken = True

    def give_back(self) -> None:
        """Let others take it."""
        self._taken = False
        if self._free is not None:
            self._free.set()
            self._free = None


class Socket:
    """A WebSocket that was opened.

    Args:
        stream: what it goes over.
        protocol: what the library knows of it.
    """

    __slots__ = ("_came", "_dropped", "_part", "_protocol", "_sending", "_stream", "_turn")

    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._dropped = False
        self._sending = False
        self._turn = Turn()  # to read
        self._came: list[bytes] = []  # and nobody has taken it yet
        self._part: bytearray | None = None  # of a message that comes in pieces
        self._collect()

    async def send(self, text: str) -> Gone | None:
        """Send a frame. It leaves whole, or the socket is dropped; to be cancelled in between would leave half a frame."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._dropped or self._protocol.state is not State.OPEN:
            return self._end()
        self._protocol.send_text(text.encode())
        return await self._flush()

    async def receive(self) -> bytes | Gone:
        """Take the next frame. Safe to cancel: it is then the next one still."""
        await self._turn.take()
        try:
            while not self._came:
                if self._dropped or self._protocol.state is not State.OPEN:
                    return self._end()
                if (gone := await self._read()) is not None:
                    return gone
            return self._came.pop(0)
        finally:
            self._turn.give_back()

    async def part(self) -> None:
        """Say goodbye, and let go of it without waiting for the answer."""
        await self._say_goodbye()
        self.drop()

    async def leave(self) -> bool:
        """Say goodbye, and let go of it when that is answered, or is not; tell which."""
        with trio.move_on_after(GOODBYE_S):
            await self._say_goodbye()
            await self._turn.take()  # whoever reads takes the answer in as well
            try:
                while self._protocol.close_rcvd is None and not self._dropped and await self._read() is None:
                    pass
            finally:
                self._turn.give_back()
        self.drop()
        return self._protocol.close_rcvd is not None

    async def _say_goodbye(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(RESUMABLE)
            await self._flush()

    def drop(self) -> None:
        """Let go of it at once. Nothing is said, and what it still holds comes again by resuming."""
        if not self._dropped:
            self._dropped = True
            socket_of(self._stream).close()  # that ends a call that reads

    # ---- reading and writing -----------------------------------------------------------------------------------------

    async def _read(self) -> Gone | None:
        """Take in what comes next, and send what the protocol answers to it; return how it ended, if nothing comes."""
        try:
            data = await fetch(self._stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            return self._end(error)
        _take_in(self._protocol, data)
        self._collect()
        await self._flush()
        return None

    def _collect(self) -> None:
        """Put the frames that came together to messages."""
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                event.headers.clear()  # of the upgrade; the library holds it for good, and it is 1.5 kB
            elif event.opcode in DATA_OPCODES:
                if not event.fin or self._part is not None:
                    self._part = self._part or bytearray()
                    self._part += event.data
                if event.fin:
                    self._came.append(bytes(event.data if self._part is None else self._part))
                    self._part = None

    async def _flush(self) -> Gone | None:
        """Send what is to be sent. Whoever comes while somebody is at it leaves it to that one."""
        data = b"" if self._sending else b"".join(self._protocol.data_to_send())
        if not data:
            return None
        self._sending = True
        try:
            with trio.move_on_after(SEND_S, shield=True) as limit:
                while data:
                    await self._stream.send_all(data)
                    data = b"".join(self._protocol.data_to_send())
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            return self._end(error)  # what came before that is still to be read
        finally:
            self._sending = False
        if limit.cancelled_caught:
            self.drop()
            return Gone(1006, "nothing leaves any more")
        return None

    def _end(self, error: Exception | None = None) -> Gone:
        """Tell how it ended."""
        closed, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if self._dropped:
            return Gone(1006, "dropped from here")
        if closed is not None:
            return Gone(closed.code, _shown(closed.reason))
        if sent is not None:  # the library broke it off: a frame too large, or no WebSocket any more
            return Gone(1006, _shown(sent.reason) or f"closed from here with {sent.code}")
        cause = error or self._protocol.parser_exc
        return Gone(1006, _shown(str(cause) or type(cause).__name__) if cause is not None else "")


def _take_in(protocol: ClientProtocol, data: bytes) -> None:
    if data:
        protocol.receive_data(data)
    else:
        protocol.receive_eof()


@functools.lru_cache(64)
def _way(url: str) -> connect:
    """Return what opens connections to an address, by way of a proxy if one is named. All accounts ask the same few."""
    return connect(url, ssl=http.tls() if url.startswith("wss:") else None, user_agent_header="statecore")


async def open_socket(url: str) -> Socket | Failure:
    """Open a WebSocket.

    Args:
        url: where.
    """
    stage: Stage = "connect"
    stream: trio.abc.Stream | None = None
    try:
        with trio.fail_after(OPEN_S):
            way = _way(url)
            stream = await way.open_tcp_stream()
            if way.ws_uri.secure:
                stream = await way.enable_tls(stream)
            stage = "receive"
            return Socket(stream, await _upgraded(stream, way))
    except BaseException as error:
        if stream is not None:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
        if not isinstance(error, Exception):
            raise
        return _not_open(error, stage)  # of three libraries and an operating system; each is a peer's doing


async def _upgraded(stream: trio.abc.Stream, way: connect) -> ClientProtocol:
    """Ask for the upgrade. There is one attempt and no redirect, and what is no upgrade is read no further than that."""
    # Frames are small, and a gateway need not be able to make them expand here: no compression. The heartbeats are the
    # protocol's own, and the machine watches them.
    protocol = ClientProtocol(way.ws_uri, max_size=MESSAGE_BYTES_MAX, logger=_quiet)
    asked = protocol.connect()
    asked.headers["User-Agent"] = "statecore"
    protocol.send_request(asked)
    with suppress(trio.BrokenResourceError):  # what it said before it hung up tells more
        await stream.send_all(b"".join(protocol.data_to_send()))
    while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
        try:
            _take_in(protocol, await fetch(stream))
        except trio.BrokenResourceError:
            protocol.receive_eof()
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    return protocol


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
        case TimeoutError() | trio.TooSlowError() if stage == "receive":
            return Failure(stage=stage, error=f"the upgrade was not answered within {OPEN_S:g} s")
        case TimeoutError() | trio.TooSlowError():
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
