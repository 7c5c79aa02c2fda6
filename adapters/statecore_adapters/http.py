"""One HTTP request, and the stage at which it failed. For every adapter.

The stage is what makes a failed send safe or unsafe to repeat: until the connection stands not a byte of the request
has left. So requests that must not be doubled go over a connection of their own, where "the peer closed it" cannot mean
"it was idle too long and the request never arrived".
"""

import logging
import socket
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

import attrs
import httpcore
import httpx
import trio

from statecore.platform import Stage
from statecore.units import SECONDS

CONNECT_S: Final = 10.0
"""Seconds for name, connection and TLS together; a mobile network's worst handshakes take about half of that."""

RETRY_AFTER_S_MAX: Final = 7 * 86_400.0
"""Seconds. Whoever asks for more has slipped, or sent nonsense."""

for _name in ("httpx", "httpcore"):  # below that they write down what stands in the head of an answer, and some answers
    logging.getLogger(_name).setLevel(logging.WARNING)  # repeat what they were sent

UNSENT: Final = frozenset[Stage]({"resolve", "connect", "tls"})
"""Stages at which nothing has left."""


@attrs.frozen(kw_only=True)
class Answer:
    """What came back.

    Args:
        status: of HTTP.
        body: all of it.
        headers: by their names in small letters; they may hold anything, so no log shows them.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class NoAnswer:
    """Nothing that can be understood came back.

    Args:
        stage: how far the request got.
        error: what was seen, for people; without URLs, which may hold credentials.
        action: what a person must do, where time cannot cure it.
        timed_out: whether the peer accepted the request and did not answer in time.
    """

    stage: Stage
    error: str
    action: str = ""
    timed_out: bool = False


@cache
def tls() -> ssl.SSLContext:
    """Return the one TLS context of the process: to read the certificate store again for every client costs some 20 ms
    and a megabyte."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])  # nothing here speaks another
    return context


def answered(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Answer | NoAnswer:
    """Return an answer that was asked for as it is, and not packed."""
    named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    if named.get("content-encoding", "identity").lower() != "identity":
        return NoAnswer(stage="answer", error="the answer is packed, which was not asked for")
    return Answer(status=status, body=body, headers=named)


def retry_after(answer: Answer) -> int | None:
    """Return for how many ns the answer asks to be left alone; None if it does not say.

    A date is told apart from the answer's own, so no clock of ours is asked.

    >>> retry_after(Answer(status=429, body=b"", headers={"retry-after": "1.5"}))
    1500000000
    """
    said = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(said)
    except ValueError:
        wanted, now = _date(said), _date(answer.headers.get("date", ""))
        if wanted is None or now is None:
            return None
        seconds = (wanted - now).total_seconds()
    return round(seconds * SECONDS) if 0 < seconds < RETRY_AFTER_S_MAX else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


async def request(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: dict[str, str],
    content: bytes | None,
    timeout_s: float,
    limit: int,
    setting: str = "base_url",
) -> Answer | NoAnswer:
    """Make one request.

    Args:
        client: whose connections to use.
        method: of HTTP.
        url: where to.
        headers: of the request.
        content: its body.
        timeout_s: seconds for the answer, all of it, from when the request has left.
        limit: bytes of body that are read; a longer answer is a violation, and the rest is not read.
        setting: the key that holds the address, for what a person must do.
    """
    timeout = httpx.Timeout(timeout_s, connect=CONNECT_S, pool=CONNECT_S)
    body = bytearray()
    try:
        with trio.move_on_after(timeout_s + CONNECT_S) as scope:
            async with client.stream(method, url, headers=headers, content=content, timeout=timeout) as response:
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > limit:
                        scope.cancel()  # and not `return`: the generators inside httpx must unwind by themselves
                if len(body) <= limit:
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    return Answer(status=response.status_code, body=bytes(body), headers=headers)
    except httpx.HTTPError as error:
        return failed(error, setting)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        return NoAnswer(
            stage="resolve", error=f"the address cannot be used: {type(error).__name__}", action=f"correct {setting}"
        )
    if len(body) > limit:
        return NoAnswer(stage="answer", error=f"the answer is longer than {limit} bytes")
    return NoAnswer(stage="receive", error=f"the answer did not end within {timeout_s:g} s", timed_out=True)


def failed(error: Exception, setting: str = "base_url") -> NoAnswer:
    """Tell how far a request got that raised *error*, of httpx or of httpcore."""
    match error:
        case httpx.ConnectTimeout() | httpcore.ConnectTimeout():
            return NoAnswer(stage="connect", error="no connection within the time allowed")
        case httpx.PoolTimeout() | httpcore.PoolTimeout():
            return NoAnswer(stage="connect", error="no free connection of ours within the time allowed")
        case httpx.ConnectError() | httpx.ProxyError() | httpcore.ConnectError() | httpcore.ProxyError():
            return not_connected(error, setting)
        case httpx.UnsupportedProtocol():
            return NoAnswer(
                stage="resolve", error=str(error), action=f"correct {setting}: it begins with http:// or https://"
            )
        case httpx.ReadTimeout() | httpcore.ReadTimeout():
            return NoAnswer(stage="receive", error="no answer within the time allowed", timed_out=True)
        case httpx.WriteTimeout() | httpx.WriteError() | httpcore.WriteTimeout() | httpcore.WriteError():
            return NoAnswer(stage="send", error=f"the request was cut off: {_what(error)}")
        case _:
            return NoAnswer(stage="receive", error=f"the answer was cut off: {_what(error)}")


def not_connected(error: BaseException, setting: str = "base_url") -> NoAnswer:
    """Tell why a connection, of HTTP or of anything else over TCP, does not stand."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer(
                stage="tls",
                error=f"the certificate is not valid: {cause.verify_message}",
                action=f"check the clock, the certificate store and {setting}; "
                "something may stand between us and the platform",
            )
        if isinstance(cause, ssl.SSLError):
            return NoAnswer(stage="tls", error=f"TLS failed: {cause.reason or type(cause).__name__}")
        if isinstance(cause, socket.gaierror):
            return NoAnswer(stage="resolve", error=f"the name does not resolve: {cause.strerror}")
    return NoAnswer(stage="connect", error=_what(error))


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _what(error: BaseException) -> str:
    for cause in reversed(_causes(error)):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(error) or type(error).__name__
