"""HTTP requests of accounts that stand, one connection each. For every adapter.

It is `statecore_adapters.http` without what a thousand accounts pay for and do not use. A client of httpx has cookies,
redirects and proxies of its own, and a pool, and beneath a poll that waits in it, or in httpcore, stands a stack of calls,
locks and timers. Here h11 writes and reads what goes over a stream of trio's. An answer is asked for as it is, so none has
to be unpacked.
"""

import functools
import ipaddress
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

import h11
import trio

from statecore_adapters import proxies
from statecore_adapters.http import CONNECT_S, Answer, NoAnswer, answered, failed, not_connected, tls
from statecore_adapters.proxies import USUAL, Asked, Origin

IDLE_S: Final = 5.0
"""Seconds for which a connection is kept that nobody uses. Servers keep them for longer, and names may move."""

HEAD_BYTES_MAX: Final = 100 * 1024
"""The head of an answer."""

PIECE_BYTES: Final = 64 * 1024
"""Bytes that are asked for at a time."""

_ALWAYS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "statecore"}
"""Headers of every request, unless it says otherwise."""

_IN_TARGETS: Final = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in the path and the query of a request as it is; the rest is encoded."""


class Line:
    """A connection to one host that is kept from one request to the next, as long as nothing speaks against it."""

    __slots__ = ("_idle_since", "_kept", "_origin")

    def __init__(self) -> None:
        self._kept: trio.abc.Stream | None = None
        self._origin: Origin | None = None
        self._idle_since = 0.0

    async def close(self) -> None:
        """Close the connection, if there is one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await _close(kept)

    async def take(self, origin: Origin) -> trio.abc.Stream | None:
        """Return the connection there is, if it leads there and can be relied on. It is no longer kept."""
        kept, self._kept = self._kept, None
        # What comes while nothing was asked for is the end of it.
        if kept is None or (
            origin == self._origin
            and trio.current_time() - self._idle_since <= IDLE_S
            and not socket_of(kept).is_readable()
        ):
            return kept
        await _close(kept)
        return None

    def keep(self, stream: trio.abc.Stream, origin: Origin) -> None:
        """Keep a connection over which an exchange ended in order."""
        self._kept, self._origin, self._idle_since = stream, origin, trio.current_time()


async def fetch(stream: trio.abc.Stream) -> bytes:
    """Return what comes next; nothing at the end.

    Where no TLS is in between, it is first waited for. What asks for it stands upon more calls, and asks once in vain.

    Raises:
        trio.BrokenResourceError, trio.ClosedResourceError: nothing can come.
    """
    if isinstance(stream, trio.SocketStream):
        with suppress(OSError):  # the sockets of a simulated network cannot be waited for
            await trio.lowlevel.wait_readable(stream.socket)
    return bytes(await stream.receive_some(PIECE_BYTES))


def socket_of(stream: Any) -> trio.socket.SocketType:
    """Return what a stream of trio's goes over, with TLS or without."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    found: trio.socket.SocketType = stream.socket
    return found


async def _close(stream: trio.abc.Stream) -> None:
    with trio.CancelScope(shield=True):  # it says goodbye to nobody, so it cannot hang
        await trio.aclose_forcefully(stream)


def request(
    line: Line | None,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None,
    timeout_s: float,
    limit: int,
    setting: str = "base_url",
) -> Coroutine[Any, Any, Answer | NoAnswer]:
    """Make one request, once. Awaiting what this returns holds nothing but the request as it leaves.

    Where the environment names a proxy, every request has a connection of its own.

    Args:
        line: whose connection to use; None for one of its own, over which "the peer closed it" cannot mean "it was idle
            too long and the request never arrived".
        method: of HTTP.
        url: where to.
        headers: of the request.
        content: its body.
        timeout_s: seconds for the answer, all of it, from when the request has left.
        limit: bytes of body that are read; a longer answer is a violation, and the rest is not read.
        setting: the key that holds the address, for what a person must do.
    """
    try:
        origin, host, target = _address(url)
        sent = {"Host": host, **_ALWAYS, **headers}
        if content is not None:
            sent["Content-Length"] = str(len(content))
        asked = Asked(method, target, [(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()])
    except (ValueError, TypeError) as error:  # of which one that cannot be encoded is a kind
        why = f"the address cannot be used: {type(error).__name__}"
        return _unsent(NoAnswer(stage="resolve", error=why, action=f"correct {setting}"))
    if proxy := proxies.proxy_for(origin):
        return proxies.exchange(proxy, origin, asked, content, timeout_s, limit, setting)
    return _exchange(line, origin, asked, content, timeout_s, limit, setting)


async def _unsent(why: NoAnswer) -> NoAnswer:
    await trio.lowlevel.checkpoint()
    return why


@functools.lru_cache(256)
def _address(url: str) -> tuple[Origin, str, str]:
    """Return where an address leads, what stands in the header Host, and what is asked for there. All accounts ask the
    same few."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    if parts.scheme not in USUAL or not host or not host.isprintable():
        raise ValueError("neither http:// nor https://")
    target = quote(parts.path or "/", _IN_TARGETS) + (f"?{quote(parts.query, _IN_TARGETS)}" if parts.query else "")
    port = USUAL[parts.scheme] if parts.port is None else parts.port
    named = f"[{host}]" if ":" in host else host
    return Origin(parts.scheme, host, port), named if port == USUAL[parts.scheme] else f"{named}:{port}", target


# ---- one exchange ----------------------------------------------------------------------------------------------------


async def _exchange(
    line: Line | None,
    origin: Origin,
    asked: Asked | None,
    content: bytes | None,
    timeout_s: float,
    limit: int,
    setting: str,
) -> Answer | NoAnswer:
    stream: trio.abc.Stream | None = None
    try:
        with trio.move_on_after(CONNECT_S) as scope:
            try:
                stream = (await line.take(origin) if line is not None else None) or await _opened(origin)
            except (OSError, trio.BrokenResourceError) as error:
                return not_connected(error, setting)
            scope.deadline = trio.current_time() + timeout_s
            coming = _Coming(limit)
            assert asked is not None, "it has not left"
            with suppress(trio.BrokenResourceError):  # it may have answered before it hung up
                await stream.send_all(coming.asked(asked, content))
            asked = content = None  # held no longer than it takes to leave
            while (found := coming.take(await fetch(stream))) is None:
                pass
            if line is not None and coming.in_order:
                line.keep(stream, origin)
                stream = None
            return found
    except h11.LocalProtocolError:
        return NoAnswer(stage="resolve", error="the request cannot be written as HTTP")
    except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
        return failed(error, setting)
    finally:
        if stream is not None:
            await _close(stream)
    if stream is None:
        return NoAnswer(stage="connect", error="no connection within the time allowed")
    if asked is not None:
        return NoAnswer(stage="send", error="the request was cut off: it did not leave within the time allowed")
    return NoAnswer(stage="receive", error=f"no whole answer within {timeout_s:g} s", timed_out=True)


async def _opened(origin: Origin) -> trio.abc.Stream:
    """Open a connection.

    Raises:
        OSError, trio.BrokenResourceError: it does not stand.
    """
    stream = await _connected(origin.host, origin.port)
    if origin.scheme == "http":
        return stream
    secure = trio.SSLStream(stream, tls(), server_hostname=origin.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await _close(stream)
        raise
    return secure


async def _connected(host: str, port: int) -> trio.SocketStream:
    """Open a TCP connection.

    Raises:
        OSError: it does not stand.
    """
    family = _family(host)
    if family is None:
        return await trio.open_tcp_stream(host, port)
    socket = trio.socket.socket(family, trio.socket.SOCK_STREAM)  # a number is one place: there is nothing to race
    try:
        await socket.connect((host, port))
    except BaseException:
        socket.close()
        raise
    return trio.SocketStream(socket)


@functools.lru_cache(256)
def _family(host: str) -> int | None:
    """Return the family of an address that is a number; None for a name."""
    try:
        return trio.socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else trio.socket.AF_INET
    except ValueError:
        return None


class _Coming:
    """An answer that comes.

    Args:
        limit: bytes of its body that are read.
    """

    __slots__ = ("_body", "_head", "_http", "_limit")

    def __init__(self, limit: int) -> None:
        self._http = h11.Connection(h11.CLIENT, HEAD_BYTES_MAX)
        self._limit = limit
        self._head: h11.Response | None = None
        self._body = b""

    def asked(self, asked: Asked, content: bytes | None) -> bytes:
        """Write what asks for it.

        Raises:
            h11.LocalProtocolError: it cannot be written.
        """
        http = self._http
        pieces = [http.send(h11.Request(method=asked.method, target=asked.target, headers=asked.headers))]
        if content is not None:
            pieces.append(http.send(h11.Data(data=content)))
        pieces.append(http.send(h11.EndOfMessage()))
        return b"".join(piece for piece in pieces if piece)

    def take(self, data: bytes) -> Answer | NoAnswer | None:
        """Take in what came, nothing for the end of the connection; return the answer if that is all of it.

        Raises:
            h11.RemoteProtocolError: it is no answer.
        """
        http = self._http
        if not data and self._head is None:
            raise h11.RemoteProtocolError("the connection ended before anything came")
        http.receive_data(data)
        while (event := http.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._limit:
                    return NoAnswer(stage="answer", error=f"the answer is longer than {self._limit} bytes")
            elif not isinstance(event, h11.InformationalResponse):
                assert self._head is not None, "the end comes behind a beginning"
                return answered(self._head.status_code, self._head.headers, self._body)
        return None

    @property
    def in_order(self) -> bool:
        """Whether another request may follow."""
        http = self._http
        return http.our_state is http.their_state is h11.DONE and not http.trailing_data[0]
