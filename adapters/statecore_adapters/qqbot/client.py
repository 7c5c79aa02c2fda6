"""The half of the QQ adapter that does I/O: one attempt a call, and what came of it.

There is no loop here, no wait and no second try, but for one: where `/gateway/bot` is not known, `/gateway` is asked in
the same attempt. Every request has a connection of its own, so that a message never goes over one that may have died of
idleness.

Frames are given out one at a time. The last one is kept until the next call says that it was taken in, because a call
that is ended just when its frame arrives would otherwise lose it; whatever the call was ended for, the next one gives
that frame again.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

import attrs

from statecore.platform import (
    Address,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Note,
    Outgoing,
    Pending,
    Refusal,
    Secrets,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
)
from statecore_adapters import http, lines
from statecore_adapters.qqbot import chats, codes, lenient, protocol, rest, wire
from statecore_adapters.qqbot.protocol import Frame

ANSWER_BYTES_MAX: Final = 256 * 1024
"""An answer; real ones have some hundred bytes, and a message in a guild comes back whole."""

ASK_S: Final = 12.0
"""Seconds for a token or an address."""

SEND_S: Final = 15.0
"""Seconds for a message. The platform may deliver one whose sender has given up, and wants 5 at least."""

NO_SECRET: Final = Unauthorised(
    code="no secret",
    message="the configuration names a place for the AppSecret, and there is none in it",
    action=f"put the AppSecret that stands {codes.CONSOLE} where client_secret points",
)
NO_SOCKET: Final = Ended(code="no socket", error="there is no connection", then="resume")
NO_TOKEN: Final = Ended(code="no token", error="there is no access token yet", then="token")
NO_SESSION: Final = Ended(code="no session", error="there is no session to resume", then="identify")

ADDRESSES: Final = ("/gateway/bot", "/gateway")
"""The first also tells how many sessions may be begun. There were times when a host answered only the other."""


@attrs.frozen(kw_only=True)
class Setup:
    """What a client is told once.

    Args:
        app_id: the bot's AppID.
        read_secret: reads its AppSecret afresh; empty if there is none now.
        api_base: of the REST API.
        token_url: where access tokens are fetched.
        gateway_url: of the WebSocket; empty to ask for it.
        intents: what the gateway is asked to send.
        markdown: whether messages go as Markdown.
    """

    app_id: str
    read_secret: Callable[[], str] = attrs.field(repr=False)
    api_base: str
    token_url: str
    gateway_url: str
    intents: int
    markdown: bool


class QQBotClient:
    """One account's requests, and its socket. Leaving it as a context drops that.

    Args:
        setup: what it is told once.
        secrets: the access token, and where the session stands.
    """

    def __init__(self, setup: Setup, secrets: Secrets) -> None:
        self._setup = setup
        self._secrets = secrets
        self._base = setup.api_base.rstrip("/")
        self._secret = ""
        self._socket: wire.Socket | None = None
        self._turn = wire.Turn()  # a call that was ended may still be on its way out when the next one comes
        self._returned = 0
        self._last: Frame = NO_SOCKET
        self._ended: Ended | None = None
        self._greeted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what there is."""
        self._drop()

    def renewed(self) -> bool:
        """Tell whether the AppSecret is another than the one last used."""
        secret = self._setup.read_secret()
        return bool(secret) and secret != self._secret

    # ---- token and address -------------------------------------------------------------------------------------------

    async def authorise(self, number: int, *, refused: bool) -> Token | Failure | Unauthorised:  # noqa: ARG002
        """Fetch an access token. The platform gives the same one until a minute before its end, refused or not."""
        self._secret = self._setup.read_secret()
        if not self._secret:
            return NO_SECRET
        answer = await self._request(
            "POST", self._setup.token_url, content=rest.fetch(self._setup.app_id, self._secret), setting="token_url"
        )
        if isinstance(answer, http.NoAnswer):
            return _failure(answer)
        known = self._access()
        found = rest.issued(answer, self._hidden(known))
        if not isinstance(found, rest.Issued):
            return found
        changed = known is None or found.token != known.token
        access = known if known is not None and not changed else rest.Access(token=found.token, number=number)
        return Token(changed=changed, lasts=found.lasts, secrets=access.secrets())

    async def look_up(self, failures: int) -> Address | Failure | Unauthorised:
        """Ask where the gateway is, unless that is configured."""
        if self._setup.gateway_url:
            return Address(url=self._setup.gateway_url)
        access = self._access()
        if access is None:
            return Failure(stage="connect", error=NO_TOKEN.error)
        first = failures % len(ADDRESSES)
        answer = await self._request("GET", self._base + ADDRESSES[first], token=access.token)
        if isinstance(answer, http.Answer) and answer.status in (404, 405):
            answer = await self._request("GET", self._base + ADDRESSES[1 - first], token=access.token)
        if isinstance(answer, http.NoAnswer):
            return _failure(answer)
        encrypted = self._base.startswith("https:")
        return rest.address(answer, access.number, self._hidden(access), encrypted=encrypted)

    # ---- the socket --------------------------------------------------------------------------------------------------

    async def open_socket(self, url: str) -> SocketOpen | Failure:
        """Drop the socket there is, if any, and open another."""
        self._drop()
        opened = await wire.open_socket(url)
        if isinstance(opened, Failure):
            return opened
        self._socket = opened
        return SocketOpen()

    async def identify(self) -> FrameSent | Ended:
        """Ask for a new session."""
        access = self._access()
        if access is None:
            return NO_TOKEN
        return await self._ask(protocol.identify(access.token, self._setup.intents))

    async def resume(self) -> FrameSent | Ended:
        """Ask to go on with the session there was."""
        access, session = self._access(), self._session()
        if access is None:
            return NO_TOKEN
        if session is None:
            return NO_SESSION
        return await self._ask(protocol.resume(access.token, session))

    async def _ask(self, frame: str) -> FrameSent | Ended:
        socket = self._socket
        if socket is None or self._ended is not None:
            return self._ended or NO_SOCKET
        gone = await socket.send(frame)
        return FrameSent() if gone is None else self._end(socket, self._closed(gone))

    async def read(self, taken: int, *, beat: bool) -> Frame:
        """Take the next frame.

        Args:
            taken: how many were taken in. If one more was given than that, it is given again.
            beat: whether to send a heartbeat first. One that cannot leave says nothing yet: what came before the end of
                the connection is still to be read.
        """
        await self._turn.take()
        try:
            socket = self._socket
            if socket is None:
                return NO_SOCKET
            if beat and self._ended is None:
                await socket.send(protocol.heartbeat(self._session()))
                if socket is not self._socket:
                    return NO_SOCKET
            if taken < self._returned:
                return self._last
            if self._ended is not None:
                return self._ended
            came = await socket.receive()
            if socket is not self._socket:  # another was opened meanwhile; this one's frames come again by resuming
                return NO_SOCKET
            self._last = self._read(socket, came)
            self._returned += 1
            if self._ended is self._last:
                await socket.part()
            return self._last
        finally:
            self._turn.give_back()

    def _read(self, socket: wire.Socket, came: bytes | wire.Gone) -> Frame:
        if isinstance(came, wire.Gone):
            return self._end(socket, self._closed(came))
        frame = protocol.read(came, self._session())
        if isinstance(frame, Ended):
            self._ended = frame
        if isinstance(frame, Hello):
            if self._greeted:
                return Note(what="another hello")
            self._greeted = True
        return frame

    def _end(self, socket: wire.Socket, ended: Ended) -> Ended:
        socket.drop()
        if socket is self._socket:
            self._ended = ended
        return ended

    def _closed(self, gone: wire.Gone) -> Ended:
        return codes.closed(gone.code, lenient.words(gone.why, self._hidden(self._access()), wire.REASON_MAX))

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.drop()
        self._socket, self._ended, self._returned, self._greeted = None, None, 0, False
        self._last = NO_SOCKET

    async def hang_up(self) -> str:
        """Close the socket so that the session can be resumed."""
        socket, ended = self._socket, self._ended
        if socket is None:
            return ""
        if ended is not None:
            self._drop()
            return ""
        self._ended = Ended(code="hung up", error="closed from here", then="resume")
        answered = await socket.leave()
        if self._socket is socket:
            self._drop()
        return "" if answered else f"the gateway did not answer the close within {wire.GOODBYE_S:g} s"

    # ---- messages ----------------------------------------------------------------------------------------------------

    async def send(self, part: Outgoing) -> Taken | Pending | Refusal | Unsent | Unclear | Unauthorised:
        """Send one part."""
        access = self._access()
        if access is None:
            return Unsent(stage="connect", error=NO_TOKEN.error)
        answer = await self._request(
            "POST",
            self._base + chats.path(part.chat),
            token=access.token,
            content=rest.message(part, markdown=self._setup.markdown),
            timeout_s=SEND_S,
        )
        if isinstance(answer, http.NoAnswer):
            if answer.stage in http.UNSENT:
                return Unsent(stage=answer.stage, error=answer.error)
            return Unclear(error=f"{answer.stage}: {answer.error}")
        return rest.sent(answer, access.number, self._hidden(access))

    # ---- what is shared ----------------------------------------------------------------------------------------------

    def _access(self) -> rest.Access | None:
        return rest.read_access(self._secrets.get("access"))

    def _session(self) -> protocol.Session | None:
        return protocol.read_session(self._secrets.get("session"))

    def _hidden(self, access: rest.Access | None) -> tuple[str, ...]:
        """Return what no error may show, whoever repeats it to us."""
        return (self._secret, access.token if access is not None else "")

    def _request(
        self,
        method: str,
        url: str,
        *,
        token: str = "",
        content: bytes | None = None,
        timeout_s: float = ASK_S,
        setting: str = "api_base",
    ) -> Coroutine[Any, Any, http.Answer | http.NoAnswer]:
        return lines.request(
            None,
            method,
            url,
            headers=rest.headers(token),
            content=content,
            timeout_s=timeout_s,
            limit=ANSWER_BYTES_MAX,
            setting=setting,
        )


def _failure(answer: http.NoAnswer) -> Failure:
    reachable = answer.stage in ("receive", "answer") and not answer.timed_out
    return Failure(stage=answer.stage, error=answer.error, reachable=reachable, action=answer.action)
