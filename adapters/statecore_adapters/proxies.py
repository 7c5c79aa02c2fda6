"""HTTP requests by way of the proxy that the environment names. For every adapter; see `statecore_adapters.lines`."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
import httpcore
import trio

from statecore_adapters.http import CONNECT_S, Answer, NoAnswer, answered, failed, tls

USUAL: Final = {"http": 80, "https": 443}
"""Ports that are not named where they are meant."""


class Origin(NamedTuple):
    """Where a connection leads.

    Args:
        scheme: http or https.
        host: name or number.
        port: of TCP.
    """

    scheme: str
    host: str
    port: int


class Asked(NamedTuple):
    """A request without its body.

    Args:
        method: of HTTP.
        target: path and query.
        headers: all of them.
    """

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]


@attrs.define
class _Ways:
    """The proxies that the environment names, by the scheme of what is asked, and what makes connections, by the proxy."""

    named: Mapping[str, str] = attrs.field(factory=getproxies)
    pools: dict[str, httpcore.AsyncConnectionPool] = attrs.field(factory=dict)


_ways: Final = trio.lowlevel.RunVar[_Ways]("ways")


def _found() -> _Ways:
    try:
        return _ways.get()
    except LookupError:
        ways = _Ways()
        _ways.set(ways)
        return ways


def proxy_for(origin: Origin) -> str:
    """Return the proxy by way of which an origin is asked; empty for none."""
    named = _found().named
    proxy = named.get(origin.scheme) or named.get("all") or ""
    return "" if proxy and proxy_bypass(origin.host) else proxy


async def exchange(
    proxy: str, origin: Origin, asked: Asked, content: bytes | None, timeout_s: float, limit: int, setting: str
) -> Answer | NoAnswer:
    """Make one request, over a connection of its own.

    Args:
        proxy: its address.
        origin: what is asked.
        asked: the request.
        content: its body.
        timeout_s: seconds for the answer, all of it, from when the request has left.
        limit: bytes of body that are read.
        setting: the key that holds the address, for what a person must do.
    """
    patience = {"connect": CONNECT_S, "pool": CONNECT_S, "read": timeout_s, "write": timeout_s}
    port = None if origin.port == USUAL[origin.scheme] else origin.port
    where = httpcore.URL(scheme=origin.scheme, host=origin.host, port=port, target=asked.target)
    request = httpcore.Request(
        asked.method, where, headers=asked.headers, content=content, extensions={"timeout": patience}
    )
    body = bytearray()
    try:
        with trio.move_on_after(timeout_s + CONNECT_S) as scope:
            connection = _pool(proxy).create_connection(where.origin)
            try:
                response = await connection.handle_async_request(request)
                try:
                    async for piece in response.aiter_stream():
                        body += piece
                        if len(body) > limit:
                            scope.cancel()  # and not `return`: the generators inside httpcore must unwind by themselves
                finally:
                    with trio.CancelScope(shield=True):
                        await response.aclose()
                if len(body) <= limit:
                    return answered(response.status, response.headers, bytes(body))
            finally:
                with trio.CancelScope(shield=True):
                    await connection.aclose()
    except ERRORS as error:
        return failed(error, setting)
    except ImportError:
        return NoAnswer(stage="connect", error="SOCKS takes a package", action="install socksio, or use another proxy")
    if len(body) > limit:
        return NoAnswer(stage="answer", error=f"the answer is longer than {limit} bytes")
    return NoAnswer(stage="receive", error=f"no whole answer within {timeout_s:g} s", timed_out=True)


ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
"""What an exchange may end with."""


def _pool(proxy: str) -> httpcore.AsyncConnectionPool:
    """Return what makes connections by way of a proxy. It keeps none of them.

    Raises:
        httpcore.ProxyError: what is named cannot be a proxy.
    """
    pools = _found().pools
    if proxy not in pools:
        pools[proxy] = httpcore.AsyncConnectionPool(ssl_context=tls(), proxy=_proxy(proxy))
    return pools[proxy]


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
