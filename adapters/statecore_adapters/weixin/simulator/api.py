"""The endpoints over HTTP."""

# What happens to a request, in order:
#
#   gateway    knob http_status: the request never arrives
#   auth       a token that is not live: -14 on every endpoint that wants one
#   envelope   headers and base_info, when strict
#   check      the endpoint's own rules; see `checks` for sendmessage
#   script     a scripted fault that replaces the endpoint
#   act        the effect, and the answer
#   dress      a scripted fault after the effect, then the knobs that spoil answers on their way out
#
# Everything from auth to act of one request runs without a checkpoint, but for the two long polls; so a client that
# disappears leaves no request half done.

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import orjson
import trio

from statecore_adapters import httpd

from .answers import dress, json_response, scripted
from .checks import AUTH_DEAD, INVALID, Call, Outcome, admit_send, envelope_flaws, is_user_id
from .ids import cursor, read_cursor
from .messages import text_item
from .model import NEVER_SHOWN, Bot, Delivered, Lease, Poll
from .qr import QrSession
from .scripts import Script
from .state import Record, State

__all__ = ["Api"]

API_ROOT: Final = "/ilink/bot/"
CDN_ROOT: Final = "/c2c/"
LOCAL_TOKENS_MAX: Final = 10  # hints a client may send along with get_bot_qrcode
TYPING_STATUSES: Final = frozenset({1, 2})
FLOOD_USER: Final = "o9cq80flood@im.wechat"

OK: Final = Outcome({"ret": 0})


@attrs.frozen
class Endpoint:
    """One path. *check* may refuse; *act* has the effect."""

    check: Callable[[Call], Outcome | None]
    act: Callable[[Call], Awaitable[Outcome]]
    methods: frozenset[str] = frozenset({"POST"})
    authed: bool = True


def _no_check(_call: Call) -> Outcome | None:
    return None


class Api:
    """Answers requests out of a `State`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._endpoints: Final[Mapping[str, Endpoint]] = {
            "getupdates": Endpoint(self._check_getupdates, self._getupdates),
            "sendmessage": Endpoint(self._check_sendmessage, self._sendmessage),
            "getconfig": Endpoint(self._check_getconfig, self._getconfig),
            "sendtyping": Endpoint(self._check_sendtyping, self._ok),
            "getuploadurl": Endpoint(self._check_getuploadurl, self._getuploadurl),
            "msg/notifystart": Endpoint(_no_check, self._ok),
            "msg/notifystop": Endpoint(_no_check, self._ok),
            "get_bot_qrcode": Endpoint(
                self._check_get_bot_qrcode, self._get_bot_qrcode, frozenset({"GET", "POST"}), authed=False
            ),
            "get_qrcode_status": Endpoint(
                self._check_get_qrcode_status, self._get_qrcode_status, frozenset({"GET"}), authed=False
            ),
        }

    async def handle(self, request: httpd.Request, host: str) -> httpd.Answer:
        """Answer one request that arrived at the listener *host*."""
        endpoint = request.path.removeprefix(API_ROOT)
        body = _json_object(request.body)
        bot = self._state.once_bot_of(request.headers.get("authorization", "").removeprefix("Bearer "))
        call = Call(request, endpoint, body or {}, bot, host)
        record = Record(
            at=request.at,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=body,
            endpoint=endpoint,
            bot=bot,
            user=call.user,
        )
        self._state.record(record)
        self._state.polls += endpoint == "getupdates"
        try:
            answer = await self._answer(call, record)
        finally:
            self._state.touch()
        if isinstance(answer, httpd.Response):
            record.status = answer.status
        else:
            record.fault = answer
        for watcher in self._state.watchers:
            watcher(record)
        return answer

    async def _answer(self, call: Call, record: Record) -> httpd.Answer:
        if call.request.path.startswith(CDN_ROOT):
            return self._cdn(call)
        endpoint = self._endpoints.get(call.endpoint)
        if endpoint is None or call.request.method not in endpoint.methods:
            return httpd.Response(404)
        if self._state.knobs.http_status is not None:
            return httpd.Response(self._state.knobs.http_status)
        script = None
        outcome = self._refuse_entry(call, endpoint) or endpoint.check(call)
        if outcome is None:
            script = self._state.strike(call)
            if script is not None and not (script.after or callable(script.act)):
                return self._replace(call, record, script)
            outcome = await endpoint.act(call)
        self._note(call, record, outcome)
        return dress(call, script, json_response(outcome.body), self._state.knobs)

    # ---- the stages around an endpoint ----

    def _refuse_entry(self, call: Call, endpoint: Endpoint) -> Outcome | None:
        """Check who asks and in what form."""
        if endpoint.authed:
            if self._may_revive(call):
                self._revive(call)
            if call.bot is None or self._state.bot_of(call.bearer) is None:
                return Outcome(AUTH_DEAD, "auth")
        if not self._state.knobs.strict:
            return None
        flaws = envelope_flaws(call, authed=endpoint.authed)
        if call.bot is not None:
            call.bot.last_uin = call.request.headers.get("x-wechat-uin", "")
        return Outcome(INVALID, "envelope: " + ", ".join(flaws)) if flaws else None

    def _may_revive(self, call: Call) -> bool:
        return call.endpoint == "msg/notifystart" and self._state.knobs.notifystart_revives and call.bot is not None

    def _revive(self, call: Call) -> None:
        assert call.bot is not None
        generation = call.bot.leases[call.bearer].generation
        call.bot.leases[call.bearer] = Lease(trio.current_time(), generation)

    def _replace(self, call: Call, record: Record, script: Script) -> httpd.Answer:
        """Let a script answer instead of the endpoint."""
        if isinstance(script.act, Mapping):
            self._note(call, record, Outcome(script.act, "script"))
        else:
            record.why = "script"
        return scripted(script, httpd.Response())

    def _note(self, call: Call, record: Record, outcome: Outcome) -> None:
        record.answer = outcome.body
        record.refused = bool(outcome.body.get("ret") or outcome.body.get("errcode"))
        record.why = outcome.why
        self._state.refused += record.refused and call.endpoint == "sendmessage"

    # ---- getupdates ----

    def _check_getupdates(self, call: Call) -> Outcome | None:
        text = call.body.get("get_updates_buf")
        if not isinstance(text, str):
            return Outcome(INVALID, "body: get_updates_buf missing")
        if self._start(call) is None and self._state.knobs.foreign_cursor == "reject":
            return Outcome(INVALID, "cursor")
        return None

    def _start(self, call: Call) -> int | None:
        """Return the number of the last message this poll has seen; None when its cursor is not ours."""
        assert call.bot is not None
        text = call.body["get_updates_buf"]
        if text == "":
            return 0 if self._state.knobs.empty_cursor == "replay" else call.bot.inbox.last_seq
        position = read_cursor(call.bot.account_id, text)
        if position is None or position.generation != call.bot.leases[call.bearer].generation:
            return None
        return position.seq

    async def _getupdates(self, call: Call) -> Outcome:
        """Answer at once when there is something to say, or hold the poll until there is."""
        bot, knobs = call.bot, self._state.knobs
        assert bot is not None
        start = self._start(call) or 0
        if knobs.instant_empty:
            return self._updates(call, start, [])
        for number in range(knobs.message_flood):
            text = f"flood {bot.inbox.last_seq + 1} ({number + 1} of {knobs.message_flood})"
            message_id = self._state.ids.message_id()
            self._state.deliver(bot, FLOOD_USER, [text_item(text)], message_id=message_id, wake=False)
        poll = Poll(call.bearer, start)
        self._enter(bot, poll)
        try:
            with trio.move_on_after(knobs.hold_ms / 1000):
                while (outcome := self._heard(call, poll)) is None:
                    await poll.woken.wait()
                return outcome
            return self._updates(call, poll.seen, [])
        finally:
            bot.polls.remove(poll)
            bot.wake()  # the poll before this one may hear again

    def _enter(self, bot: Bot, poll: Poll) -> None:
        bot.polls.append(poll)
        rivals = [other for other in bot.polls if other.token == poll.token]
        if len(rivals) > 1 and self._state.knobs.concurrent_polls == "both_expire":
            for rival in rivals:
                rival.expired = True
            bot.wake()

    def _heard(self, call: Call, poll: Poll) -> Outcome | None:
        """Return what a held poll is told now, or None to hold it on."""
        bot, knobs = call.bot, self._state.knobs
        assert bot is not None
        if poll.expired or self._state.bot_of(poll.token) is None:
            return Outcome(AUTH_DEAD, "auth")
        steals = knobs.concurrent_polls == "steal"
        if steals and poll is not bot.polls[-1]:
            return None
        batch = bot.inbox.after(poll.seen, knobs.batch_max)
        if not batch:
            return None
        last_seq = batch[-1][0]
        for rival in bot.polls if steals else ():
            rival.seen = max(rival.seen, last_seq)
        return self._updates(call, last_seq, [message for _, message in batch])

    def _updates(self, call: Call, seq: int, messages: list[dict[str, Any]]) -> Outcome:
        bot, knobs = call.bot, self._state.knobs
        assert bot is not None
        answer: dict[str, Any] = {}
        if messages or not knobs.idle_omits_ret:
            answer["ret"] = 0
        if messages or not knobs.idle_omits_msgs:
            answer["msgs"] = messages
        if messages or not knobs.idle_omits_cursor:
            generation = bot.leases[call.bearer].generation
            answer["get_updates_buf"] = cursor(bot.account_id, generation, seq)
        if knobs.longpolling_timeout_ms is not None:
            answer["longpolling_timeout_ms"] = knobs.longpolling_timeout_ms
        return Outcome(answer)

    # ---- sendmessage ----

    def _check_sendmessage(self, call: Call) -> Outcome | None:
        assert call.bot is not None
        outcome = admit_send(call, call.bot, self._state.knobs, trio.current_time())
        if outcome is None and self._state.knobs.strict and (param := self._unknown_media(call)):
            return Outcome(INVALID, f"body: no uploaded file {param[:16]}...")
        return outcome

    def _unknown_media(self, call: Call) -> str:
        for part in call.item.values():
            media = part.get("media") if isinstance(part, Mapping) else None
            if isinstance(media, Mapping) and media.get("encrypt_query_param") not in self._state.cdn.blobs:
                return str(media.get("encrypt_query_param"))
        return ""

    async def _sendmessage(self, call: Call) -> Outcome:
        bot, knobs, now = call.bot, self._state.knobs, trio.current_time()
        assert bot is not None
        message_id = self._state.ids.message_id()
        bot.peer(call.user).sent += 1
        sent = Delivered(
            at=now + knobs.delayed_delivery_s,
            to=call.user,
            text=call.text,
            client_id=call.client_id,
            message_id=message_id,
            context_token=call.context_token,
            duplicate_of=bot.accepted.get(call.client_id),
            item=call.item,
        )
        bot.accepted.setdefault(call.client_id, message_id)
        if knobs.blackhole:
            bot.swallowed.append(sent)
            return OK
        (bot.swallowed if call.item.get("type") in NEVER_SHOWN else bot.delivered).append(sent)
        answers = {"id": {"ret": 0, "message_id": message_id}, "ret": {"ret": 0}, "empty": {}}
        return Outcome(answers[knobs.send_answer])

    # ---- getconfig, sendtyping, getuploadurl, notify ----

    def _check_getconfig(self, call: Call) -> Outcome | None:
        assert call.bot is not None
        if not call.body.get("ilink_user_id"):
            return Outcome({"ret": -2, "errmsg": "ilink_user_id required"}, "body: ilink_user_id missing")
        peer, knobs = call.bot.peers.get(call.user), self._state.knobs
        is_open = peer is not None and peer.is_open(trio.current_time(), knobs.window_s)
        if not is_open and not knobs.config_always_ok:
            return Outcome({"ret": -4, "errmsg": "GetTypingTicket rpc failed"}, "window")
        return None

    async def _getconfig(self, call: Call) -> Outcome:
        assert call.bot is not None
        ticket = self._state.ids.opaque("typing ticket", 448, "AART")
        call.bot.tickets[ticket] = call.user
        return Outcome({"ret": 0, "typing_ticket": ticket})

    def _check_sendtyping(self, call: Call) -> Outcome | None:
        assert call.bot is not None
        if not is_user_id(call.user) or call.body.get("status") not in TYPING_STATUSES:
            return Outcome(INVALID, "body: ilink_user_id or status")
        ticket = call.body.get("typing_ticket")
        if self._state.knobs.typing_ticket_checked and call.bot.tickets.get(str(ticket)) != call.user:
            return Outcome(INVALID, "ticket")
        return None

    async def _ok(self, _call: Call) -> Outcome:
        return OK

    def _check_getuploadurl(self, call: Call) -> Outcome | None:
        return self._state.cdn.refuse(call, self._state.knobs)

    async def _getuploadurl(self, call: Call) -> Outcome:
        return self._state.cdn.grant(call, self._state.knobs)

    # ---- QR login ----

    def _check_get_bot_qrcode(self, call: Call) -> Outcome | None:
        if call.request.query.get("bot_type") != "3":
            return Outcome(INVALID, "query: bot_type is not 3")
        hints = call.body.get("local_token_list", [])
        if not isinstance(hints, list) or len(hints) > LOCAL_TOKENS_MAX:
            return Outcome(INVALID, "body: local_token_list")
        if hints and self._state.knobs.qr_refuses_hints:
            return Outcome(INVALID, "hints")
        return None

    async def _get_bot_qrcode(self, _call: Call) -> Outcome:
        session = self._state.new_qr_session()
        page = f"{self._state.base_url}/q/{session.qrcode[:8]}?qrcode={session.qrcode}&bot_type=3"  # not the real host
        return Outcome({"ret": 0, "qrcode": session.qrcode, "qrcode_img_content": page})

    def _check_get_qrcode_status(self, call: Call) -> Outcome | None:
        if call.request.query.get("qrcode") not in self._state.qr_sessions:
            return Outcome({"status": "expired"}, "qrcode unknown")
        return None

    async def _get_qrcode_status(self, call: Call) -> Outcome:
        session = self._state.qr_sessions[call.request.query["qrcode"]]
        there = call.host == self._state.redirect_host
        with trio.move_on_after(self._state.knobs.qr_hold_ms / 1000):
            while session.holds(trio.current_time(), on_redirect_host=there):
                await session.changed.wait()
        code = call.request.query.get("verify_code", "")
        status = session.status(code, trio.current_time(), on_redirect_host=there)
        return Outcome({"status": status, **self._status_details(session, status)})

    def _status_details(self, session: QrSession, status: str) -> Mapping[str, Any]:
        if status == "scaned_but_redirect":
            return {"redirect_host": self._state.redirect_host}
        if status != "confirmed":
            return {}
        if session.credentials is None:
            session.credentials = self._state.credentials(session)
        return session.credentials

    # ---- media ----

    def _cdn(self, call: Call) -> httpd.Answer:
        match (call.request.method, call.request.path.removeprefix(CDN_ROOT)):
            case ("POST", "upload"):
                return self._state.cdn.upload(call.request, self._state.knobs)
            case ("GET", "download"):
                return self._state.cdn.download(call.request)
        return httpd.Response(404)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
