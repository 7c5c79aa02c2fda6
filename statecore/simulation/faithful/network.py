"""A network in memory, under real trio: what `trio.socket` opens while it is installed never leaves the process.

Everything above the socket is the real thing: `trio.open_tcp_stream`, httpx, websockets, the servers of the simulated
platforms. What is below is here: connections with a delay, a width and bounded buffers, that are refused, lose segments,
are cut, or go dead without a word. TLS is left out; that is openssl's, and it is the same bytes to us.

One task moves everything, in the order of arrival. What chance decides comes from one generator, so a seed gives the same
network every time.
"""

import errno
import heapq
import os
import random
import socket as stdlib
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol

import attrs
import trio

WINDOW_BYTES: Final = 64 * 1024
"""What may be under way or unread in one direction; who sends more waits. The usual size of a socket's buffer."""

RETRANSMIT_S: Final = 0.2
"""What a lost segment costs at first; doubled every time it is lost again. The floor of Linux."""

RETRANSMIT_MAX_S: Final = 60.0
SYN_AGAIN_S: Final = 1.0
"""When a lost request for a connection is repeated, and doubled like the above."""

GIVES_UP_S: Final = 900.0
"""For how long a kernel sends again what nobody acknowledges; Linux, tcp_retries2 = 15."""

PORT_FIRST: Final = 20_000

CLIENT: ContextVar["Owner | None"] = ContextVar("owner of sockets", default=None)
"""The process on whose behalf the current task opens sockets; None for a platform."""

SENDING: ContextVar[Any] = ContextVar("what is being sent", default=None)
"""What the current task wants known of what it sends; whoever serves it finds it with `sender`."""

SERVING: ContextVar["Endpoint | None"] = ContextVar("the connection that is served", default=None)


def sender() -> "tuple[Any, Endpoint] | None":
    """Return what is known of the last thing sent to the connection that the current task serves, and its other end."""
    served = SERVING.get()
    return None if served is None else (served.out.target.tag, served.out.target)


class Owner(Protocol):
    """A process that has sockets."""

    def check(self) -> None:
        """Raise if the process is no more: not a byte of its own leaves after that."""


@attrs.define(kw_only=True)
class Spell:
    """What a link suffers from for a while.

    Args:
        begins, ends: in seconds of trio's clock.
        kind: "delay" (up to *amount* seconds more for every segment), "reorder" (up to *amount* seconds more for every
            segment of a connection, drawn once for each), "cut" (connections break with a probability of *amount* while
            something comes down), "half-open" (new connections are dead with a probability of *amount*), "loss" (every segment is lost with a probability of *amount*),
            "refuse" (no new connection, and it is said), "resolve" (the name is not found), "duplicate" (a request is
            delivered twice with a probability of *amount*), "narrow" (*amount* bytes a second at most).
        up, down: in which direction: to the platform, or from it.
    """

    begins: float
    ends: float
    kind: str
    amount: float = 1.0
    up: bool = True
    down: bool = True


@attrs.define
class Link:
    """What lies between the machine and one platform.

    Args:
        name: of the platform's host.
        address: its IP address.
        delay: shortest and longest way of a segment, in seconds.
        bytes_per_s: how much it carries.
    """

    name: str
    address: str
    delay: tuple[float, float] = (0.005, 0.03)
    bytes_per_s: float = 1e6
    spells: list[Spell] = attrs.field(factory=list)
    seen: dict[str, int] = attrs.field(factory=dict)

    def now_under(self, kind: str, now: float, *, up: bool = True, down: bool = True) -> Spell | None:
        """Return the spell of this kind that lasts now, if there is one."""
        for spell in self.spells:
            if spell.kind == kind and spell.begins <= now < spell.ends and ((spell.up and up) or (spell.down and down)):
                return spell
        return None

    def note(self, kind: str) -> None:
        """Count that something was really met."""
        self.seen[kind] = self.seen.get(kind, 0) + 1


@attrs.define(eq=False)
class Pipe:
    """One direction of a connection."""

    link: Link
    up: bool
    target: "Endpoint"
    arrives: float = 0.0  # the last segment under way; nothing overtakes within a connection
    inside: int = 0  # bytes under way or unread
    lag: float = 0.0


class Network:
    """The network.

    Args:
        chance: decides delays and losses.
        repeated: told whether the beginning of a request may be delivered twice.
    """

    def __init__(self, chance: random.Random, repeated: Callable[[bytes], bool] = lambda _: False) -> None:
        self.chance = chance
        self.repeated = repeated
        self._links: dict[str, Link] = {}
        self._listeners: dict[tuple[str, int], VirtualSocket] = {}
        self._open: dict[int, Endpoint] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._ports = PORT_FIRST
        self._scope: trio.CancelScope | None = None
        self.bytes_carried = 0
        self.connections = 0

    def link(self, name: str, address: str) -> Link:
        """Add a host; `name` is what it is looked up by."""
        self._links[address] = link = Link(name, address)
        return link

    def links(self) -> list[Link]:
        """Return the links to all hosts."""
        return list(self._links.values())

    def link_to(self, address: str) -> Link:
        """Return the link to a host.

        Raises:
            OSError: there is no such host.
        """
        if address not in self._links:
            raise _error(errno.ENETUNREACH)
        return self._links[address]

    # ---- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Have something happen at a second of trio's clock."""
        self._numbers += 1
        heapq.heappush(self._due, (when, self._numbers, act))
        if self._scope is not None and when < self._scope.deadline:
            self._scope.deadline = when

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry segments until cancelled, and be what `trio.socket` opens meanwhile."""
        resolver, factory = _Resolver(self), _Factory(self)
        trio.socket.set_custom_hostname_resolver(resolver)
        trio.socket.set_custom_socket_factory(factory)
        task_status.started()
        try:
            while True:
                with trio.CancelScope() as self._scope:
                    self._scope.deadline = self._due[0][0] if self._due else float("inf")
                    await trio.sleep_forever()
                self._scope = None
                now = trio.current_time()
                while self._due and self._due[0][0] <= now:
                    heapq.heappop(self._due)[2]()
        finally:
            trio.socket.set_custom_hostname_resolver(None)
            trio.socket.set_custom_socket_factory(None)

    def carry(self, pipe: Pipe, size: int, act: Callable[[], None]) -> None:
        """Bring a segment over, some time from now."""
        now, link = trio.current_time(), pipe.link
        least, most = link.delay
        way = least + (most - least) * self.chance.random() + size / link.bytes_per_s + pipe.lag
        direction: dict[str, bool] = {"up": pipe.up, "down": not pipe.up}
        if (spell := link.now_under("delay", now, **direction)) is not None:
            link.note("delay")
            way += spell.amount * self.chance.random()
        if (spell := link.now_under("narrow", now, **direction)) is not None:
            link.note("narrow")
            way += size / spell.amount
        way += self._lost_for(link, now, RETRANSMIT_S, **direction)
        pipe.arrives = max(pipe.arrives, now + way)
        self.bytes_carried += size
        self.at(pipe.arrives, act)

    def _lost_for(self, link: Link, now: float, again: float, **direction: bool) -> float:
        """Return how many seconds go by until a segment is not lost any more."""
        late = 0.0
        while (spell := link.now_under("loss", now + late, **direction)) is not None:
            if self.chance.random() >= spell.amount or late > GIVES_UP_S:
                break
            link.note("loss")
            late += again
            again = min(2 * again, RETRANSMIT_MAX_S)
        return late

    # ---- connections -------------------------------------------------------------------------------------------------

    def new_port(self) -> int:
        """Return a port that was never used."""
        self._ports += 1
        return self._ports

    def listen(self, socket: "VirtualSocket") -> None:
        """Let a socket be found."""
        address = socket.getsockname()
        if address in self._listeners:
            raise _error(errno.EADDRINUSE)
        self._listeners[address] = socket

    def deaf(self, socket: "VirtualSocket") -> None:
        """Let it be found no more."""
        self._listeners.pop(socket.getsockname(), None)

    async def connect(self, address: tuple[str, int]) -> "Endpoint":
        """Open a connection.

        Raises:
            OSError: nobody listens there, or it is said that nobody does.
        """
        link = self.link_to(address[0])
        now = trio.current_time()
        least, most = link.delay
        lost = self._lost_for(link, now, SYN_AGAIN_S, up=True, down=True)
        await trio.sleep(lost + 2 * (least + (most - least) * self.chance.random()))
        if link.now_under("refuse", trio.current_time()) is not None:
            link.note("refuse")
            raise _error(errno.ECONNREFUSED)
        listener = self._listeners.get(address)
        if listener is None:
            raise _error(errno.ECONNREFUSED)
        client, server = self._pair(link, address)
        listener.offer(server)
        return client

    def _pair(self, link: Link, address: tuple[str, int]) -> "tuple[Endpoint, Endpoint]":
        here = ("10.0.0.99", self.new_port())
        client = Endpoint(self, here, address, CLIENT.get())
        server = Endpoint(self, address, here, None)
        client.out, server.out = Pipe(link, True, server), Pipe(link, False, client)
        now = trio.current_time()
        if (spell := link.now_under("reorder", now)) is not None:
            link.note("reorder")
            client.out.lag, server.out.lag = (spell.amount * self.chance.random() for _ in range(2))
        self.connections += 1
        if (spell := link.now_under("half-open", now)) is not None and self.chance.random() < spell.amount:
            link.note("half-open")
            client.dead = server.dead = True
        for end in (client, server):
            self._numbers += 1
            end.number = self._numbers
            self._open[end.number] = end
        return client, server

    def repeat(self, endpoint: "Endpoint", data: bytes) -> None:
        """Deliver a request once more, as a proxy does that is not sure whether the first one arrived.

        The copy has a connection of its own, and nobody reads what is answered on it.
        """
        listener = self._listeners.get(endpoint.there)
        if listener is None:
            return
        client, server = self._pair(endpoint.out.link, endpoint.there)
        client.owner, client.unheard, client.tag = None, True, endpoint.tag
        listener.offer(server)
        self.carry(client.out, len(data), lambda: server.take(data))
        client.out.inside += len(data)
        endpoint.copy = client

    def closed(self, endpoint: "Endpoint") -> None:
        """Forget a connection's end."""
        self._open.pop(endpoint.number, None)

    # ---- faults ------------------------------------------------------------------------------------------------------

    def ends(self, link: Link | None = None, owner: Owner | None = None) -> "list[Endpoint]":
        """Return the ends of connections on this side: over one link, or of one process."""
        return [
            end
            for end in list(self._open.values())
            if end.out.up and link in (None, end.out.link) and (owner is None or end.owner is owner)
        ]

    def cut(self, link: Link, *, up: bool = True, down: bool = True) -> int:
        """Reset every connection over a link.

        Args:
            link: which.
            up: whether the platform is told.
            down: whether this side is told.

        Returns:
            How many there were.
        """
        found = self.ends(link)
        for end in found:
            other = end.out.target
            end.silence()
            other.silence()
            if down:
                end.reset()
            if up:
                other.reset()
            link.note("cut")
        return len(found)

    def deaden(self, link: Link) -> int:
        """Let every connection over a link go dead, and tell nobody; return how many there were."""
        found = self.ends(link)
        for end in found:
            end.silence()
            end.out.target.silence()
            link.note("half-open")
        return len(found)

    def orphan(self, owner: Owner, *, told: bool = True) -> None:
        """Take the connections of a process away.

        Args:
            owner: which has ended.
            told: whether its kernel lives to reset them; else they vanish.
        """
        for end in self.ends(owner=owner):
            if told:
                end.abort()
            else:
                end.silence()
                end.out.target.silence()


@attrs.define(eq=False)
class Endpoint:
    """One end of a connection: what a kernel has of it."""

    network: Network
    here: tuple[str, int]
    there: tuple[str, int]
    owner: Owner | None
    out: Pipe = attrs.field(init=False)
    number: int = 0
    unread: deque[bytes] = attrs.field(factory=deque)
    ended: bool = False  # the other side has said that no more comes
    broken: int = 0  # an errno
    shut: bool = False
    gone: bool = False  # closed on this side
    dead: bool = False  # nothing gets through any more
    unheard: bool = False  # nobody reads here
    begun: bool = False
    tag: Any = None
    copy: "Endpoint | None" = None
    _readers: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _writers: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    # ---- from above --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Go on only if this end can be used."""
        if self.owner is not None:
            self.owner.check()
        if self.gone:
            raise _error(errno.EBADF)

    async def send(self, data: bytes) -> int:
        """Send some of it; return how much."""
        await trio.lowlevel.checkpoint()
        self.check()
        while not self.broken and self.out.inside >= WINDOW_BYTES:
            await self._writers.park()
            self.check()
        if self.broken:
            raise _error(errno.EPIPE if self.broken == errno.ECONNRESET else self.broken)
        if self.shut:
            raise _error(errno.EPIPE)
        piece = data[: WINDOW_BYTES - self.out.inside]
        self._leave(piece)
        return len(piece)

    def _leave(self, piece: bytes) -> None:
        self.out.inside += len(piece)
        self.tag = SENDING.get()
        if not self.out.up and self._is_cut():
            return
        if self.dead:
            self._give_up_later()
            return
        self.network.carry(self.out, len(piece), lambda: self.out.target.take(piece))
        if self.copy is not None:
            copy = self.copy
            copy.out.inside += len(piece)
            self.network.carry(copy.out, len(piece), lambda: copy.out.target.take(piece))
        elif not self.begun and self.out.up:
            self._perhaps_repeat(piece)
        self.begun = True

    def _is_cut(self) -> bool:
        """Tell whether the connection breaks now, while the platform answers."""
        link = self.out.link
        spell = link.now_under("cut", trio.current_time())
        if spell is None or self.dead or self.network.chance.random() >= spell.amount:
            return False
        link.note("cut")
        for end in (self, self.out.target):
            end.reset()
        return True

    def _perhaps_repeat(self, piece: bytes) -> None:
        link = self.out.link
        spell = link.now_under("duplicate", trio.current_time())
        if spell is not None and self.network.repeated(piece) and self.network.chance.random() < spell.amount:
            link.note("duplicate")
            self.network.repeat(self, piece)

    async def receive(self, most: int) -> bytes:
        """Return what has come, at least a byte; nothing at the end."""
        await trio.lowlevel.checkpoint()
        self.check()
        while not self.unread and not self.ended and not self.broken:
            await self._readers.park()
            self.check()
        if self.unread:
            piece = self.unread.popleft()
            if len(piece) > most:
                self.unread.appendleft(piece[most:])
                piece = piece[:most]
            self._read(len(piece))
            return piece
        if self.broken:
            raise _error(self.broken)
        return b""

    def _read(self, size: int) -> None:
        other = self.out.target
        other.out.inside -= size
        other._writers.unpark_all()  # noqa: SLF001 - the two ends of one connection

    def readable(self) -> bool:
        """Tell whether a read would not wait."""
        return bool(self.unread or self.ended or self.broken or self.gone)

    async def writable(self) -> None:
        """Wait until a write would not wait."""
        await trio.lowlevel.checkpoint()
        self.check()
        while not self.broken and self.out.inside >= WINDOW_BYTES:
            await self._writers.park()
            self.check()

    def shut_down(self) -> None:
        """Say that nothing more will be sent."""
        if not self.shut and not self.broken:
            self.shut = True
            if not self.dead:
                self.network.carry(self.out, 0, self.out.target.end)
                if self.copy is not None:
                    self.network.carry(self.copy.out, 0, self.copy.out.target.end)

    def close(self, *, hard: bool = False) -> None:
        """Close this end, in good order or (also if something is unread) by a reset."""
        if self.gone:
            return
        if not self.broken and not self.dead and (hard or self.unread):
            self.network.carry(self.out, 0, self.out.target.reset)
        else:
            self.shut_down()
        self.gone = True
        self._wake()
        self.network.closed(self)

    def abort(self) -> None:
        """End it as a kernel does whose process was killed."""
        self.close(hard=True)

    # ---- from below --------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take a segment in."""
        if self.dead:
            return
        if self.gone:  # nobody is here any more, and that is what the other side is told
            if not self.broken:
                self.broken = errno.ECONNRESET
                self.network.carry(self.out, 0, self.out.target.reset)
            return
        if self.unheard:
            self._read(len(data))
            return
        self.unread.append(data)
        self._readers.unpark_all()

    def end(self) -> None:
        """Take in that no more comes."""
        if not self.dead:
            self.ended = True
            self._readers.unpark_all()
            if self.unheard:
                self.close()

    def reset(self, number: int = errno.ECONNRESET) -> None:
        """Take in that the connection is no more."""
        if not self.gone and not self.broken:
            self.broken = number
            self._wake()
            if self.unheard:
                self.close()

    def silence(self) -> None:
        """Let nothing through any more, in either direction of this end."""
        self.dead = True

    def _give_up_later(self) -> None:
        self.network.at(trio.current_time() + GIVES_UP_S, lambda: self.reset(errno.ETIMEDOUT))

    def _wake(self) -> None:
        self._readers.unpark_all()
        self._writers.unpark_all()


class VirtualSocket(trio.socket.SocketType):
    """A TCP socket of this network; what `trio.socket.socket` returns."""

    def __init__(self, network: Network, family: int, type_: int, proto: int) -> None:
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
            raise _error(errno.EBADF)
        accepted = VirtualSocket(self._network, self._family, self._type, self._proto)
        accepted._end = self._offered.popleft()
        SERVING.set(accepted._end)  # inherited by the task that will serve it
        return accepted, accepted._end.there

    async def connect(self, address: Any) -> None:
        """Open a connection."""
        await trio.lowlevel.checkpoint()
        self._end = await self._network.connect((address[0], address[1]))

    async def send(self, data: Any, flags: int = 0, /) -> int:  # type: ignore[override]  # noqa: ARG002
        """Send some of it; return how much."""
        return await self._connected().send(bytes(data))

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:  # type: ignore[override]  # noqa: ARG002
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
            raise _error(errno.ENOTCONN if not self._closed else errno.EBADF)
        return self._end


@attrs.frozen
class _Factory(trio.abc.SocketFactory):
    network: Network

    def socket(self, family: int = stdlib.AF_INET, type: int = stdlib.SOCK_STREAM, proto: int = 0) -> VirtualSocket:  # type: ignore[override]
        return VirtualSocket(self.network, int(family or stdlib.AF_INET), int(type), proto)


@attrs.frozen
class _Resolver(trio.abc.HostnameResolver):
    network: Network

    async def getaddrinfo(  # type: ignore[override]
        self,
        host: bytes | None,
        port: Any,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,  # noqa: ARG002
    ) -> Any:
        name = (host or b"").decode()
        await trio.sleep(0.002)
        now = trio.current_time()
        for address, link in self.network._links.items():  # noqa: SLF001 - the network's own half
            if link.name == name and link.now_under("resolve", now) is None:
                return [(stdlib.AF_INET, stdlib.SOCK_STREAM, 6, "", (address, port))]
            if link.name == name:
                link.note("resolve")
                raise stdlib.gaierror(stdlib.EAI_AGAIN, "Temporary failure in name resolution")
        raise stdlib.gaierror(stdlib.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:  # noqa: ARG002
        raise stdlib.gaierror(stdlib.EAI_NONAME, "Name or service not known")


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
