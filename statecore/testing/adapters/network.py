"""What lies between an adapter and its server while it is checked: relays that record every byte, and that can be told
to misbehave.

An adapter sees ordinary TCP on the loopback. A relay forwards to the server as long as there is no fault; with one, it
refuses, cuts, stalls, floods or says something else in the server's place. Names are resolved here too, so that a name that
does not resolve is a fault like the others, and the attempts to connect can be counted even where nobody listens.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from ssl import PROTOCOL_TLS_SERVER, SSLContext, SSLError
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import attrs
import trio
import trustme

from statecore.testing.adapters.faults import (
    Blackhole,
    Cut,
    Drip,
    Fault,
    Flood,
    Plain,
    Refuse,
    Say,
    SelfSigned,
    Shut,
    Unresolved,
)

HOST: Final = "localhost"
"""What the relays are called. Adapters that want encryption everywhere else allow this name without."""

CHUNK: Final = 65_536
DRIP_S: Final = 4.0
"""Virtual seconds from one byte to the next: more often than any timeout for a single read expects."""

FLOOD_PER_S: Final = 4 * 1024 * 1024
FLOOD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Where a flood stops. An adapter that is still reading then has no limit of its own."""


# ---- the network -----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Connection:
    """One connection of an adapter's.

    Args:
        stream: to the adapter.
        sent: what the adapter wrote, all of it.
        told: bytes that went to the adapter.
        open: whether it stands.
        turn: whose turn it is to say something to the adapter.
    """

    stream: trio.SocketStream
    sent: bytearray = attrs.field(factory=bytearray)
    told: int = 0
    open: bool = True
    turn: trio.Lock = attrs.field(factory=trio.Lock)


class Network(trio.abc.HostnameResolver):
    """The relays of one run.

    Args:
        nursery: where they live.
        requests: cuts what was written to a connection into the requests that are complete; see `AdapterSuite.requests`.
        encrypted: whether the addresses that are given out want TLS.

    Attributes:
        fault: what goes wrong with every request from now on.
        asked: how often the name was looked up, which every new connection needs.
        connections: all that were accepted.
    """

    def __init__(
        self, nursery: trio.Nursery, requests: Callable[[bytes], list[bytes]], *, encrypted: bool = False
    ) -> None:
        self._nursery = nursery
        self._requests = requests
        self._encrypted = encrypted
        self._relays: dict[tuple[str, int], _Relay] = {}
        self.fault: Fault | None = None
        self.asked = 0
        self.connections: list[Connection] = []

    def through(self, url: str) -> str:
        """Return an address that leads to the server at *url* by way of a relay.

        Args:
            url: with a scheme, as "http://127.0.0.1:8090/path" or "tcp://127.0.0.1:7000".
        """
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
        if parts.hostname == HOST and any(relay.port == port for relay in self._relays.values()):
            return url
        upstream = parts.hostname or "", port
        if upstream not in self._relays:
            self._relays[upstream] = _Relay(self, upstream)
            self._nursery.start_soon(self._relays[upstream].serve)
        scheme = {"http": "https", "ws": "wss"}.get(parts.scheme, parts.scheme) if self._encrypted else parts.scheme
        return urlunsplit(parts._replace(scheme=scheme, netloc=f"{HOST}:{self._relays[upstream].port}"))

    @property
    def requests(self) -> list[bytes]:
        """All requests that were written whole."""
        return [request for one in self.connections for request in self._requests(bytes(one.sent))]

    @property
    def attempts(self) -> int:
        """How often something was tried: requests that were written, or else connections that were wanted."""
        return max(len(self.requests), self.asked)

    @property
    def standing(self) -> int:
        """How many connections of the adapter's stand."""
        return sum(one.open for one in self.connections)

    @property
    def told(self) -> int:
        """How many bytes went to the adapter in all."""
        return sum(one.told for one in self.connections)

    def forget(self) -> None:
        """Begin to count anew."""
        self.asked = 0
        for one in self.connections:
            one.sent.clear()
            one.told = 0
        self.connections = [one for one in self.connections if one.open]

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Let something go wrong with every request within."""
        self.fault = fault
        for relay in self._relays.values():
            relay.adapt()
        try:
            yield
        finally:
            self.fault = None
            for relay in self._relays.values():
                relay.adapt()

    async def inject(self, data: bytes) -> None:
        """Say something on the newest connection that stands, unasked."""
        one = next(one for one in reversed(self.connections) if one.open)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with one.turn:
                await one.stream.send_all(data)

    # ---- names -------------------------------------------------------------------------------------------------------

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Resolve a name: our own, and no other."""
        name = host.decode() if isinstance(host, bytes) else host
        self.asked += name == HOST
        await trio.lowlevel.checkpoint()
        if name != HOST or isinstance(self.fault, Unresolved):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return socket.getaddrinfo("127.0.0.1", port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Return the name of an address. Nothing asks for it."""
        await trio.lowlevel.checkpoint()
        return socket.getnameinfo(sockaddr, flags)


class _Relay:
    def __init__(self, network: Network, upstream: tuple[str, int]) -> None:
        self._network = network
        self._upstream = upstream
        self._fillers: list[socket.socket] = []
        self._changed = trio.Event()
        self._deaf: type[Fault] | None = None
        self._socket = _bound(0)
        self._socket.listen(128)
        self.port: int = self._socket.getsockname()[1]

    def adapt(self) -> None:
        """Listen, or do not, as the fault wants it; at once, so that nobody meets what was before."""
        fault = self._network.fault
        deaf = type(fault) if isinstance(fault, Refuse | Blackhole) else None
        if deaf is self._deaf:
            return
        self._deaf = deaf
        self._close()
        self._socket = _bound(self.port)
        if deaf is None:
            self._socket.listen(128)
        elif deaf is Blackhole:
            self._socket.listen(0)
            for _ in range(4):  # a queue that is full: what asks next is not answered
                filler = socket.socket()
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(("127.0.0.1", self.port))
                self._fillers.append(filler)
        self._changed.set()

    def _close(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._socket.close()

    async def serve(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._changed = trio.Event()
                    if self._deaf is None:
                        with suppress(trio.ClosedResourceError):
                            await self._accept(nursery)
                    else:
                        await self._changed.wait()
        finally:
            self._close()

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            peer, _ = await self._socket.accept()
            nursery.start_soon(self._handle, trio.SocketStream(peer))

    # ---- one connection ----------------------------------------------------------------------------------------------

    async def _handle(self, stream: trio.SocketStream) -> None:
        connection = Connection(stream)
        self._network.connections.append(connection)
        try:
            async with trio.open_nursery() as nursery:
                await self._speak(connection, nursery)
                nursery.cancel_scope.cancel()
        finally:
            connection.open = False
            await trio.aclose_forcefully(stream)

    async def _speak(self, connection: Connection, nursery: trio.Nursery) -> None:
        match self._network.fault:
            case Shut(reset):
                _end(connection.stream, reset=reset)
                return
            case SelfSigned():
                await _show_certificate(connection.stream)
                return
        upstream: trio.SocketStream | None = None
        handled = 0
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await connection.stream.receive_some(CHUNK):
                before = len(connection.sent)
                connection.sent += data
                if before == 0:
                    handled = 0
                fault = self._network.fault
                if fault is None or isinstance(fault, Cut):
                    if upstream is None:
                        upstream = await trio.open_tcp_stream(*_numeric(self._upstream))
                        nursery.start_soon(self._bring_back, connection, upstream, nursery.cancel_scope)
                    await upstream.send_all(data)
                    continue
                complete = self._network._requests(bytes(connection.sent))  # noqa: SLF001 - they are one thing
                if (len(complete) > handled or isinstance(fault, Plain)) and not await self._answer(
                    connection, fault, complete
                ):
                    return
                handled = len(complete)

    async def _bring_back(self, connection: Connection, upstream: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while data := await upstream.receive_some(CHUNK):
                    fault = self._network.fault
                    if isinstance(fault, Cut):
                        await self._tell(connection, fault.keep(bytes(data)))
                        _end(connection.stream, reset=fault.reset)
                        break
                    await self._tell(connection, bytes(data))
        finally:
            await trio.aclose_forcefully(upstream)
            scope.cancel()

    async def _answer(self, connection: Connection, fault: Fault, complete: list[bytes]) -> bool:
        """Answer in the server's place; tell whether the connection goes on."""
        match fault:
            case Say(answer, stay):
                await self._tell(connection, answer(complete[-1]))
                return stay
            case Plain():
                await self._tell(connection, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                return False
            case Drip(head):
                await self._tell(connection, head)
                while True:
                    await trio.sleep(DRIP_S)
                    await self._tell(connection, b" ")
            case Flood(head):
                await self._tell(connection, head)
                while connection.told < FLOOD_BYTES_MAX:
                    for _ in range(FLOOD_PER_S // CHUNK):
                        await self._tell(connection, b" " * CHUNK)
                    await trio.sleep(1)  # so that a limit of time is a limit too
                await trio.sleep_forever()
        return True

    async def _tell(self, connection: Connection, data: bytes) -> None:
        async with connection.turn:
            connection.told += len(data)
            await connection.stream.send_all(data)


def _numeric(upstream: tuple[str, int]) -> tuple[str, int]:
    """Name a server without asking for its name: that is the adapter's to do, and it is counted."""
    host, port = upstream
    return ("127.0.0.1" if host == HOST else host), port


def _bound(port: int) -> trio.socket.SocketType:
    """Take a port, without listening: nobody else gets it, and who asks is refused."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    return trio.socket.from_stdlib_socket(found)


def _end(stream: trio.SocketStream, *, reset: bool) -> None:
    if reset:
        with suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# ---- TLS -------------------------------------------------------------------------------------------------------------


@cache
def certificate() -> SSLContext:
    """Return the side of a server whose certificate nobody vouches for."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    return context


async def _show_certificate(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, SSLError):
        tls = trio.SSLStream(stream, certificate(), server_side=True)
        await tls.do_handshake()
        await tls.receive_some(CHUNK)
