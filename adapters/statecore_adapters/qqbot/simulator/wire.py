"""The stream between a WebSocket and its TCP socket, which can play dead and can break."""

import contextlib
import socket
import struct
from typing import Any

import trio
from websockets.server import ServerProtocol
from websockets.trio.server import Server, ServerConnection

from .records import Dial

__all__ = ["Socket", "Wire"]


class Wire(trio.abc.HalfCloseableStream):
    """A TCP stream that can play dead.

    Once frozen it reads nothing, and loses what it is given to send. Closing it then is not seen on the wire either;
    the TCP socket stays open until it is buried.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._closed = trio.Event()
        self._reading = trio.CancelScope()
        self._frozen = False

    def freeze(self) -> None:
        """Fall silent and deaf, and stay so."""
        self._frozen = True
        self._reading.cancel()

    def bury(self) -> None:
        """Close the TCP socket of a frozen stream."""
        self._stream.socket.close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or when frozen or closed pretend to.

        To be told that its own side was closed while it sends is a bug to the WebSocket library, and it logs one.
        """
        if self._frozen or self._closed.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent, or when frozen pretend to."""
        if self._frozen:
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; when frozen wait until it is closed on this side."""
        if not self._frozen:
            with trio.CancelScope() as self._reading:
                return await self._stream.receive_some(max_bytes)
        await self._closed.wait()
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        """Close the TCP socket, or when frozen leave it as it is."""
        self._closed.set()
        if self._frozen:
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.aclose()

    async def reset(self) -> None:
        """Close it so that the other side gets a reset, not an end of stream. Once it is closed, this does nothing."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(self._stream)


class Socket(ServerConnection):
    """A WebSocket that knows its wire, and the dial it is recorded as."""

    def __init__(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, protocol: ServerProtocol, server: Server, **options: Any
    ) -> None:
        assert isinstance(stream, trio.SocketStream)
        self.wire = Wire(stream)
        self.dial: Dial | None = None
        super().__init__(nursery, self.wire, protocol, server, **options)
