"""The half of the WeChat adapter that does I/O: one request a call, and what came of it.

There is no loop here, no wait and no second try. Polls and sends have connections of their own: a poll that hangs holds
up no message, and a message never goes over a connection that may have died of idleness.
"""

import hashlib
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, Self

from statecore.platform import (
    Batch,
    Dialled,
    Empty,
    Failure,
    Outgoing,
    Refusal,
    Secrets,
    Taken,
    Unauthorised,
    Unclear,
    Unsent,
)
from statecore.world import draw_uint32
from statecore_adapters import http, lines
from statecore_adapters.lines import Line
from statecore_adapters.weixin import protocol
from statecore_adapters.weixin.protocol import Endpoint, ProtocolViolation

UPDATES_BYTES_MAX: Final = 2 * 1024 * 1024
"""An answer to a poll; real ones are some kilobytes. More is a flood, and reading it would be the harm it does."""

ANSWER_BYTES_MAX: Final = 64 * 1024
"""Any other answer; real ones are some hundred bytes."""

NO_TOKEN: Final = Unauthorised(
    code="no token",
    message="the configuration names a place for the bot token, and there is none in it",
    action="scan a QR code with `statecore login weixin`, or put the token where the configuration points",
)


class WeixinClient:
    """One account's connections to iLink. Leaving it as a context closes them.

    Args:
        base_url: of the API.
        read_token: reads the bot token afresh; empty if there is none now.
        agent: who we are, for the platform's statistics.
        secrets: the cursor, and the fingerprint of the token they belong to.
    """

    def __init__(self, base_url: str, read_token: Callable[[], str], agent: str, secrets: Secrets) -> None:
        self._base_url = base_url
        self._read_token = read_token
        self._agent = agent
        self._secrets = secrets
        self._token = ""
        self._hold_ms: int | None = None
        self._polls = Line()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection of the polls."""
        await self._polls.close()

    def renewed(self) -> bool:
        """Tell whether the token is another than the one last used."""
        token = self._read_token()
        return bool(token) and token != self._token

    # ---- attempts ----------------------------------------------------------------------------------------------------

    async def dial(self) -> Dialled | Failure | Unauthorised:
        """Announce the bot. What that answers tells whether the token is valid; a server that does not know the call at
        all leaves that to the first poll."""
        await self.close()  # what the polls before it came over is nothing to rely on
        self._token = self._read_token()
        if not self._token:
            return NO_TOKEN
        fingerprint = hashlib.sha256(self._token.encode()).hexdigest()[:16]
        known = self._secrets.get("credential")
        fresh = known is not None and known != fingerprint
        secrets = {"credential": fingerprint}
        answer = await self._post(None, protocol.NOTIFYSTART, protocol.notify(self._agent))
        if isinstance(answer, http.NoAnswer):
            return _failure(answer)
        if answer.status != HTTPStatus.OK:
            return Dialled(proved=False, fresh=fresh, secrets=secrets)
        try:
            refused = protocol.parse_plain(answer.body)
        except ProtocolViolation as error:
            return Failure(stage="answer", error=str(error), reachable=True)
        if isinstance(refused, Unauthorised):
            return refused
        return Dialled(proved=refused is None, fresh=fresh, secrets=secrets)

    async def receive(self) -> Batch | Empty | Failure | Unauthorised:
        """Poll once. The platform holds the poll for some 35 seconds when there is nothing."""
        cursor = self._secrets.get("cursor") or ""
        answer = await self._post(
            self._polls,
            protocol.GETUPDATES,
            protocol.getupdates(cursor, self._agent),
            timeout_s=protocol.poll_timeout(self._hold_ms),
            limit=UPDATES_BYTES_MAX,
        )
        if isinstance(answer, http.NoAnswer):
            return Empty(silent=True) if answer.timed_out else _failure(answer)
        if answer.status != HTTPStatus.OK:
            return _status(answer)
        try:
            updates = protocol.parse_updates(answer.body)
        except ProtocolViolation as error:
            return Failure(stage="answer", error=str(error), reachable=True)
        if isinstance(updates.refused, Unauthorised):
            return updates.refused
        if updates.refused is not None:
            return Failure(
                stage="answer",
                error=": ".join(filter(None, (updates.refused.code, updates.refused.message))),
                reachable=True,
            )
        self._hold_ms = updates.hold_ms
        secrets = {"cursor": updates.cursor} if updates.cursor and updates.cursor != cursor else {}
        return Batch(messages=updates.messages, secrets=secrets) if updates.messages else Empty(secrets=secrets)

    async def send(self, part: Outgoing) -> Taken | Refusal | Unsent | Unclear | Unauthorised:
        """Send one part."""
        body = protocol.sendmessage(part.chat, part.text, part.key, part.token, self._agent)
        answer = await self._post(None, protocol.SENDMESSAGE, body)
        if isinstance(answer, http.NoAnswer):
            if answer.stage in http.UNSENT:
                return Unsent(stage=answer.stage, error=answer.error)
            return Unclear(error=f"{answer.stage}: {answer.error}")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unclear(error=f"HTTP {answer.status}, so the platform may or may not have taken it")
        if answer.status != HTTPStatus.OK:
            return Refusal(code=f"http {answer.status}")
        try:
            return protocol.parse_sent(answer.body)
        except ProtocolViolation as error:
            return Unclear(error=str(error))

    async def hang_up(self) -> str:
        """Say that nobody polls any more."""
        if not self._token:
            return ""
        answer = await self._post(None, protocol.NOTIFYSTOP, protocol.notify(self._agent), timeout_s=3)
        if isinstance(answer, http.NoAnswer):
            return answer.error
        return "" if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"

    def _post(
        self,
        line: Line | None,
        endpoint: Endpoint,
        body: bytes,
        *,
        timeout_s: float | None = None,
        limit: int = ANSWER_BYTES_MAX,
    ) -> Coroutine[Any, Any, http.Answer | http.NoAnswer]:
        return lines.request(
            line,
            endpoint.method,
            protocol.url(self._base_url, endpoint),
            headers=protocol.headers(self._token, draw_uint32()),
            content=body,
            timeout_s=timeout_s if timeout_s is not None else endpoint.timeout,
            limit=limit,
        )


def _failure(answer: http.NoAnswer) -> Failure:
    reachable = answer.stage in ("receive", "answer") and not answer.timed_out
    return Failure(stage=answer.stage, error=answer.error, reachable=reachable, action=answer.action)


def _status(answer: http.Answer) -> Failure:
    """Read an HTTP status that iLink itself does not give: business errors arrive with 200."""
    error = f"HTTP {answer.status}"
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return Failure(
            stage="answer", error=error, reachable=True, action="correct base_url: what answers there is not iLink"
        )
    return Failure(stage="answer", error=error, reachable=answer.status < HTTPStatus.INTERNAL_SERVER_ERROR)
