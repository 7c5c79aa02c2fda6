"""A network in memory, under real trio: what `trio.socket` opens while it is installed never leaves the process.

Everything above the socket is the real thing: `trio.open_tcp_stream`, httpx, websockets, the servers of the simulated
platforms. What is below is here: connections with a delay, a width and bounded buffers, that are refused, lose segments,
are cut, or go dead without a word. TLS is left out; that is openssl's, and it is the same bytes to us.

One task moves everything, in the order of arrival. What chance decides comes from one generator, so a seed gives the same
network every time.
"""

import errno
import heapq
import random  # noqa: TID251 - the run's own, from its seed
from collections.abc import Callable
from typing import Final

import trio

from statecore.simulation.faithful.connection import CLIENT, GIVES_UP_S, Endpoint, Owner, Pipe, failure
from statecore.simulation.faithful.link import Link
from statecore.simulation.faithful.sockets import Factory, Resolver, VirtualSocket

RETRANSMIT_S: Final = 0.2
"""What a lost segment costs at first; doubled every time it is lost again. The floor of Linux."""

RETRANSMIT_MAX_S: Final = 60.0
SYN_AGAIN_S: Final = 1.0
"""When a lost request for a connection is repeated, and doubled like the above."""

PORT_FIRST: Final = 20_000


class Network:
    """The network.

    Args:
        chance: decides delays and losses.
        repeated: told whether the beginning of a request may be delivered twice.
    """

    def __init__(self, chance: random.Random, repeated: Callable[[bytes], bool] = lambda _: False) -> None:
        self.chance = chance
        self.repeated = repeated
        self.by_address: dict[str, Link] = {}
        self._listeners: dict[tuple[str, int], VirtualSocket] = {}
        self._open: dict[int, Endpoint] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._ports = PORT_FIRST
        self._scope: trio.CancelScope | None = None
        self.answered = 0  # how often platforms have sent something
        self.connections = 0

    def link(self, name: str, address: str) -> Link:
        """Add a host; `name` is what it is looked up by."""
        self.by_address[address] = link = Link(name, address)
        return link

    def links(self) -> list[Link]:
        """Return the links to all hosts."""
        return list(self.by_address.values())

    def link_to(self, address: str) -> Link:
        """Return the link to a host.

        Raises:
            OSError: there is no such host.
        """
        if address not in self.by_address:
            raise failure(errno.ENETUNREACH)
        return self.by_address[address]

    # ---- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Have something happen at a second of trio's clock."""
        self._numbers += 1
        heapq.heappush(self._due, (when, self._numbers, act))
        if self._scope is not None and when < self._scope.deadline:
            self._scope.deadline = when

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry segments until cancelled, and be what `trio.socket` opens meanwhile."""
        resolver, factory = Resolver(self), Factory(self)
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
        self.answered += not pipe.up
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

    def listen(self, socket: VirtualSocket) -> None:
        """Let a socket be found."""
        address = socket.getsockname()
        if address in self._listeners:
            raise failure(errno.EADDRINUSE)
        self._listeners[address] = socket

    def deaf(self, socket: VirtualSocket) -> None:
        """Let it be found no more."""
        self._listeners.pop(socket.getsockname(), None)

    async def connect(self, address: tuple[str, int]) -> Endpoint:
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
            raise failure(errno.ECONNREFUSED)
        listener = self._listeners.get(address)
        if listener is None:
            raise failure(errno.ECONNREFUSED)
        client, server = self._pair(link, address)
        listener.offer(server)
        return client

    def _pair(self, link: Link, address: tuple[str, int]) -> tuple[Endpoint, Endpoint]:
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

    def repeat(self, endpoint: Endpoint, data: bytes) -> None:
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

    def closed(self, endpoint: Endpoint) -> None:
        """Forget a connection's end."""
        self._open.pop(endpoint.number, None)

    # ---- faults ------------------------------------------------------------------------------------------------------

    def ends(self, link: Link | None = None, owner: Owner | None = None) -> list[Endpoint]:
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
