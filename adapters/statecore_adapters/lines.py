"""HTTP requests of accounts that stand, one connection each. For every adapter.

It is `statecore_adapters.http` without what a thousand accounts pay for and do not use. A client of httpx has cookies,
redirects and proxies of its own, and a pool: 6 kB for each account, and as much again in the frames of a poll that waits.
Here a request goes over a connection of httpcore, which is what httpx stands on. An answer is asked for as it is, so
none has to be unpacked.
"""

import functools
from collections.abc import Coroutine, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
import httpcore
import trio

from statecore_adapters.http import CONNECT_S, Answer, NoAnswer, failed, tls

IDLE_S: Final = 5.0
"""Seconds for which a connection is kept that nobody uses. Servers keep them for longer, and names may move."""

_ALWAYS: Final[dict[bytes | str, bytes | str]] = {
    b"Accept": b"*/*",
    b"Accept-Encoding": b"identity",
    b"User-Agent": b"statecore",
}
"""Headers of every request, unless it says otherwise."""

_IN_TARGETS: Final = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in the path and the query of a request as it is; the rest is encoded."""


class Line:
    """A connection to one host that is kept from one request to the next, as long as nothing speaks against it."""

    def __init__(self) -> None:
        self._kept: httpcore.AsyncConnectionInterface | None = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await _close(kept)

    async def take(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """Return the connection there is if it can be relied on, or a new one. It is no longer kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            if kept.is_available() and not kept.has_expired() and kept.can_handle_request(origin):
                return kept
            await _close(kept)
        return _pool(origin).create_connection(origin)

    async def give_back(self, connection: httpcore.AsyncConnectionInterface) -> None:
        """Keep a connection if the exchange over it ended in order, or else close it."""
        if connection.is_available():
            self._kept = connection
        else:
            await _close(connection)


async def _close(connection: httpcore.AsyncConnectionInterface) -> None:
    with trio.CancelScope(shield=True):  # it says goodbye to nobody, so it cannot hang
        await connection.aclose()


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
        written = _written(method, url, headers, content, timeout_s)
    except (ValueError, TypeError) as error:  # of which one that cannot be encoded is a kind
        return _no_address(type(error).__name__, setting)
    return _exchange(line, written, timeout_s, limit, setting)


async def _no_address(why: str, setting: str) -> NoAnswer:
    await trio.lowlevel.checkpoint()
    return NoAnswer(stage="resolve", error=f"the address cannot be used: {why}", action=f"correct {setting}")


async def _exchange(
    line: Line | None, written: httpcore.Request, timeout_s: float, limit: int, setting: str
) -> Answer | NoAnswer:
    body = bytearray()
    try:
        with trio.move_on_after(timeout_s + CONNECT_S) as scope:
            origin = written.url.origin
            connection = _pool(origin).create_connection(origin) if line is None else await line.take(origin)
            try:
                response = await connection.handle_async_request(written)
                try:
                    async for piece in response.aiter_stream():
                        body += piece
                        if len(body) > limit:
                            scope.cancel()  # and not `return`: the generators inside httpcore must unwind by themselves
                finally:
                    with trio.CancelScope(shield=True):
                        await response.aclose()
                if len(body) <= limit:
                    return _read(response, bytes(body))
            finally:
                await (_close(connection) if line is None else line.give_back(connection))
    except ERRORS as error:
        return failed(error, setting)
    except ImportError:
        return NoAnswer(stage="connect", error="SOCKS takes a package", action="install socksio, or use another proxy")
    if len(body) > limit:
        return NoAnswer(stage="answer", error=f"the answer is longer than {limit} bytes")
    return NoAnswer(stage="receive", error=f"the answer did not end within {timeout_s:g} s", timed_out=True)


ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
"""What an exchange may end with."""


# ---- writing and reading ---------------------------------------------------------------------------------------------


def _written(
    method: str, url: str, headers: Mapping[str, str], content: bytes | None, timeout_s: float
) -> httpcore.Request:
    host, where = _address(url)
    sent: dict[bytes | str, bytes | str] = {b"Host": host, **_ALWAYS}
    sent.update((_name(name), value.encode("ascii")) for name, value in headers.items())
    if content is not None:
        sent[b"Content-Length"] = b"%d" % len(content)
    return httpcore.Request(method, where, headers=sent, content=content, extensions=_patience(timeout_s))


@functools.lru_cache(256)
def _address(url: str) -> tuple[bytes, httpcore.URL]:
    """Return what stands in the header Host, and the address in pieces. All accounts ask the same few."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna")
    if parts.scheme not in ("http", "https") or not host or not host.decode().isprintable():
        raise ValueError("neither http:// nor https://")
    target = quote(parts.path or "/", _IN_TARGETS) + (f"?{quote(parts.query, _IN_TARGETS)}" if parts.query else "")
    where = httpcore.URL(scheme=parts.scheme, host=host, port=parts.port, target=target)
    named = b"[%b]" % host if b":" in host else host
    if parts.port is not None and parts.port != (443 if parts.scheme == "https" else 80):
        named += b":%d" % parts.port
    return named, where


@functools.lru_cache(64)
def _name(header: str) -> bytes:
    return header.encode("ascii")


@functools.lru_cache(64)
def _patience(timeout_s: float) -> dict[str, dict[str, float]]:
    return {"timeout": {"connect": CONNECT_S, "pool": CONNECT_S, "read": timeout_s, "write": timeout_s}}


def _read(response: httpcore.Response, body: bytes) -> Answer | NoAnswer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity").lower() != "identity":
        return NoAnswer(stage="answer", error="the answer is packed, which was not asked for")
    return Answer(status=response.status, body=body, headers=headers)


# ---- proxies ---------------------------------------------------------------------------------------------------------


@attrs.define
class _Ways:
    """The proxies that the environment names, by the scheme of what is asked, and what makes connections, by the proxy."""

    proxies: Mapping[str, str] = attrs.field(factory=getproxies)
    pools: dict[str, httpcore.AsyncConnectionPool] = attrs.field(factory=dict)


_ways: Final = trio.lowlevel.RunVar[_Ways]("ways")


def _pool(origin: httpcore.Origin) -> httpcore.AsyncConnectionPool:
    """Return what makes connections to a host, by way of a proxy if one is named.

    It keeps none of them: to look through all connections of a process at each request would cost more than the request.

    Raises:
        httpcore.ProxyError: what is named cannot be a proxy.
    """
    try:
        ways = _ways.get()
    except LookupError:
        ways = _Ways()
        _ways.set(ways)
    proxy = ways.proxies.get(origin.scheme.decode()) or ways.proxies.get("all") or ""
    if proxy and proxy_bypass(origin.host.decode()):
        proxy = ""
    if proxy not in ways.pools:
        by = _proxy(proxy) if proxy else None
        ways.pools[proxy] = httpcore.AsyncConnectionPool(ssl_context=tls(), keepalive_expiry=IDLE_S, proxy=by)
    return ways.pools[proxy]


def _proxy(address: str) -> httpcore.Proxy:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        known = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
        where = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target="/")
        proxy = httpcore.Proxy(where, auth=known)
    except (ValueError, TypeError):
        proxy = None
    if proxy is None or not where.host or where.scheme not in (b"http", b"https", b"socks5", b"socks5h"):
        raise httpcore.ProxyError("the proxy's address is not valid")  # not which: a password may be part of it
    return proxy
