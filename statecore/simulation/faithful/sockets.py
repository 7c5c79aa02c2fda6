"""What `trio.socket` opens while a virtual network is installed."""

import errno
import socket as stdlib
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs
import trio

from statecore.simulation.faithful.connection import SERVING, Endpoint, failure

if TYPE_CHECKING:
    from statecore.simulation.faithful.network import Network


class VirtualSocket(trio.socket.SocketType):
    """A TCP socket of this network; what `trio.socket.socket` returns."""

    def __init__(self, network: "Network", family: int, type_: int, proto: int) -> None:
        super().__init__()
        self._network = network
        self._family = family
        self._type = type_
        self._proto = proto
        self._end: Endpoint | None = None
        self._address = ("0.0.0.0", 0)  # noqa: S104 - not bound yet
        self._offered: deque[Endpoint] = deque()
        self._accepting = trio.lowlevel.ParkingLot()
        self._listening = False
        self._closed = False
        self._hard = False

    # ---- what it is --------------------------------------------------------------------------------------------------

    @property
    def family(self) -> stdlib.AddressFamily:
        """The family."""
        return stdlib.AddressFamily(self._family)

    @property
    def type(self) -> stdlib.SocketKind:
        """The kind."""
        return stdlib.SocketKind(self._type)

    @property
    def proto(self) -> int:
        """The protocol."""
        return self._proto

    @property
    def did_shutdown_SHUT_WR(self) -> bool:  # noqa: N802 - trio's name
        """Whether it has said that it sends no more."""
        return self._end is not None and self._end.shut

    def fileno(self) -> int:
        """Return a number for as long as it is open; nothing can be done with it."""
        return -1 if self._closed else 1_000_000

    def getsockname(self) -> Any:
        """Return where it is."""
        return self._address if self._end is None else self._end.here

    def getpeername(self) -> Any:
        """Return where the other end is."""
        return self._connected().there

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:  # noqa: ARG002
        """Return an option; whether it listens is the only one that anybody asks for."""
        return int(self._listening) if optname == stdlib.SO_ACCEPTCONN else 0

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:  # noqa: ARG002
        """Set an option; SO_LINGER is the only one that changes anything."""
        if optname == stdlib.SO_LINGER:
            self._hard = value == b"\x01\0\0\0\0\0\0\0"

    # ---- what it does ------------------------------------------------------------------------------------------------

    async def bind(self, address: Any) -> None:
        """Take an address."""
        await trio.lowlevel.checkpoint()
        host, port = address
        self._address = (host, port or self._network.new_port())

    def listen(self, backlog: int = 0) -> None:  # noqa: ARG002
        """Be found."""
        self._network.listen(self)
        self._listening = True

    def offer(self, end: Endpoint) -> None:
        """Be given a connection that somebody opened."""
        self._offered.append(end)
        self._accepting.unpark()

    async def accept(self) -> tuple[trio.socket.SocketType, Any]:
        """Wait for a connection."""
        await trio.lowlevel.checkpoint()
        while not self._offered and not self._closed:
            await self._accepting.park()
        if self._closed:
            raise failure(errno.EBADF)
        accepted = VirtualSocket(self._network, self._family, self._type, self._proto)
        accepted._end = self._offered.popleft()
        SERVING.set(accepted._end)  # inherited by the task that will serve it
        return accepted, accepted._end.there

    async def connect(self, address: Any) -> None:
        """Open a connection."""
        await trio.lowlevel.checkpoint()
        self._end = await self._network.connect((address[0], address[1]))

    async def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ARG002
        """Send some of it; return how much."""
        return await self._connected().send(bytes(data))

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:  # noqa: ARG002
        """Return what has come."""
        return await self._connected().receive(buflen)

    def is_readable(self) -> bool:
        """Tell whether a read would not wait."""
        return self._connected().readable()

    async def wait_writable(self) -> None:
        """Wait until a write would not wait."""
        await self._connected().writable()

    def shutdown(self, flag: int) -> None:
        """Say that nothing more will be sent."""
        if flag != stdlib.SHUT_RD:
            self._connected().shut_down()

    def close(self) -> None:
        """Close it."""
        if self._closed:
            return
        self._closed = True
        if self._listening:
            self._network.deaf(self)
            self._accepting.unpark_all()
            while self._offered:
                self._offered.popleft().close(hard=True)
        if self._end is not None:
            self._end.close(hard=self._hard)

    def _connected(self) -> Endpoint:
        if self._end is None:
            raise failure(errno.ENOTCONN if not self._closed else errno.EBADF)
        return self._end


@attrs.frozen
class Factory(trio.abc.SocketFactory):
    network: "Network"

    def socket(self, family: int = stdlib.AF_INET, type: int = stdlib.SOCK_STREAM, proto: int = 0) -> VirtualSocket:
        return VirtualSocket(self.network, int(family or stdlib.AF_INET), int(type), proto)


@attrs.frozen
class Resolver(trio.abc.HostnameResolver):
    network: "Network"

    async def getaddrinfo(self, host: bytes | None, port: Any, *_: Any, **__: Any) -> Any:
        name = (host or b"").decode()
        await trio.sleep(0.002)
        now = trio.current_time()
        for address, link in self.network.by_address.items():
            if link.name == name and link.now_under("resolve", now) is None:
                return [(stdlib.AF_INET, stdlib.SOCK_STREAM, 6, "", (address, port))]
            if link.name == name:
                link.note("resolve")
                raise stdlib.gaierror(stdlib.EAI_AGAIN, "Temporary failure in name resolution")
        raise stdlib.gaierror(stdlib.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:  # noqa: ARG002
        raise stdlib.gaierror(stdlib.EAI_NONAME, "Name or service not known")
