"""One TCP connection in memory: what two kernels have of it."""

import errno
import os
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from statecore.simulation.faithful.link import Link

if TYPE_CHECKING:
    from statecore.simulation.faithful.network import Network

WINDOW_BYTES: Final = 64 * 1024
"""What may be under way or unread in one direction; who sends more waits. The usual size of a socket's buffer."""

GIVES_UP_S: Final = 900.0
"""For how long a kernel sends again what nobody acknowledges; Linux, tcp_retries2 = 15."""

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


@attrs.define(eq=False)
class Pipe:
    """One direction of a connection."""

    link: Link
    up: bool
    target: "Endpoint"
    arrives: float = 0.0  # the last segment under way; nothing overtakes within a connection
    inside: int = 0  # bytes under way or unread
    lag: float = 0.0


@attrs.define(eq=False)
class Endpoint:
    """One end of a connection: what a kernel has of it."""

    network: "Network"
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
            raise failure(errno.EBADF)

    async def send(self, data: bytes) -> int:
        """Send some of it; return how much."""
        await trio.lowlevel.checkpoint()
        self.check()
        while not self.broken and self.out.inside >= WINDOW_BYTES:
            await self._writers.park()
            self.check()
        if self.broken:
            raise failure(errno.EPIPE if self.broken == errno.ECONNRESET else self.broken)
        if self.shut:
            raise failure(errno.EPIPE)
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
            raise failure(self.broken)
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


def failure(number: int) -> OSError:
    """Return what a socket raises."""
    return OSError(number, os.strerror(number))
