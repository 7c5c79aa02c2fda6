"""The endpoints over HTTP."""

# What happens to a request, in order:
#
#   outage     everything is refused for a while
#   front end  knob http_status: the request never arrives
#   auth       a token that is not good, on every endpoint that wants one
#   route      a path or a method that does not exist
#   rule       the endpoint's own rules; see `sending` for messages
#   script     a scripted fault that replaces the endpoint
#   act        the effect, and the answer
#   script     a scripted fault after the effect
#
# Nothing in between is a checkpoint, so a client that disappears leaves no request half done.

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from statecore_adapters import httpd

from .answers import Outcome, front_end, plain
from .bodies import read_body
from .delivery import accept
from .media import Uploads
from .model import MINUTE_S, Bot
from .problems import Problem, problem
from .records import Record, Scene, keep
from .scripts import ENDPOINTS, Call, Script
from .sending import Message, refuse_message
from .state import State
from .streams import Streams

__all__ = ["TOKEN_PATH", "Api"]

TOKEN_PATH: Final = "/app/getAppAccessToken"  # noqa: S105 - a path
RECALL_S: Final = 120.0
INTERACTION_CODES: Final = frozenset(range(6))


@attrs.frozen
class Route:
    """One path. *refuse* may refuse; *act* has the effect. A group named after a scene is the target there."""

    endpoint: str = attrs.field(validator=attrs.validators.in_(ENDPOINTS))
    method: str
    path: re.Pattern[str]
    act: Callable[[Call], Outcome]
    refuse: Callable[[Call], Problem | None] = lambda _call: None
    authed: bool = True


class Api:
    """Answers requests out of a `State`."""

    def __init__(self, state: State) -> None:
        self._state = state
        uploads, streams = Uploads(state), Streams(state)
        user, group = r"/v2/users/(?P<c2c>[^/]+)", r"/v2/groups/(?P<group>[^/]+)"
        channel, dm = r"/channels/(?P<channel>[^/]+)", r"/dms/(?P<dm>[^/]+)"
        self._routes: Final = tuple(
            Route(endpoint, method, re.compile(path), act, refuse, authed)
            for endpoint, method, path, act, refuse, authed in (
                ("token", "POST", TOKEN_PATH, self._token, _none, False),
                ("gateway", "GET", "/gateway", self._gateway, self._refuse_lookup, True),
                ("gateway/bot", "GET", "/gateway/bot", self._gateway_bot, self._refuse_lookup, True),
                ("me", "GET", "/users/@me", self._me, _none, True),
                ("dms", "POST", "/users/@me/dms", self._dms, _none, True),
                *(
                    ("messages", "POST", f"{chat}/messages", self._messages, self._refuse_message, True)
                    for chat in (user, group, channel, dm)
                ),
                *(
                    ("recall", "DELETE", f"{chat}/messages/(?P<name>[^/]+)", self._recall, self._refuse_recall, True)
                    for chat in (user, group, channel, dm)
                ),
                ("stream_messages", "POST", f"{user}/stream_messages", streams.write, streams.refuse, True),
                *(
                    (endpoint, "POST", f"{chat}/{endpoint}", act, _none, True)
                    for chat in (user, group)
                    for endpoint, act in (
                        ("files", uploads.files),
                        ("upload_prepare", uploads.prepare),
                        ("upload_part_finish", uploads.finish_part),
                    )
                ),
                ("bot_state", "GET", f"{group}/bot_state", self._bot_state, _none, True),
                ("interactions", "PUT", "/interactions/(?P<name>[^/]+)", self._interaction, _none, True),
                ("upload", "PUT", "/upload/(?P<name>.+)", uploads.put_part, _none, False),
            )
        )

    async def handle(self, request: httpd.Request) -> httpd.Answer:
        """Answer one request."""
        route, call = self._read(request)
        record = Record(
            at=self._state.now(),
            method=request.method,
            path=request.path,
            endpoint=call.endpoint,
            headers=request.headers,
            body=read_body(request),
            app_id=call.bot.app_id if call.bot is not None else "",
            scene=call.scene,
            target=call.target,
            trace_id=self._state.ids.hex("trace", 32),
        )
        keep(self._state.records, record)
        answer = self._answer(route, call, record)
        if isinstance(answer, httpd.Response):
            record.status = answer.status
        else:
            record.fault = answer
        came_of_it = str(record.status or type(answer).__name__)
        said = f" {record.err_code}" if record.err_code else ""
        self._state.note(
            f"{request.method} {request.path} {came_of_it}{said}" + (f" ({record.why})" if record.why else "")
        )
        self._state.tell(record)
        return answer

    def _read(self, request: httpd.Request) -> tuple[Route | None, Call]:
        """Find the route of a request, and what it is about."""
        for route in self._routes:
            match = route.path.fullmatch(request.path)
            if match is None or route.method != request.method:
                continue
            places = match.groupdict()
            scenes: tuple[Scene, ...] = ("c2c", "group", "channel", "dm")
            scene = next((scene for scene in scenes if places.get(scene)), None)
            call = Call(
                request=request,
                endpoint=route.endpoint,
                scene=scene,
                target=places[scene] if scene is not None else "",
                name=places.get("name", ""),
                body=read_body(request) or {},
                bot=self._state.bot_of(_bearer(request)),
            )
            return route, call
        return None, Call(request=request, endpoint="", bot=self._state.bot_of(_bearer(request)))

    def _answer(self, route: Route | None, call: Call, record: Record) -> httpd.Answer:
        outage = self._state.outage_now()
        if outage is not None:
            record.why = "outage"
            return front_end(outage.status) if outage.problem is None else self._plain(outage.problem, record)
        if self._state.knobs.http_status is not None:
            record.why = "front end"
            return front_end(self._state.knobs.http_status)
        refusal = self._refuse_entry(route, call, record)
        if refusal is None and route is not None:
            refusal = route.refuse(call)
        if refusal is not None or route is None:
            record.why = "rule"
            return self._plain(refusal or problem(404), record)
        script = self._state.strike(call)
        if script is not None and not (script.after or callable(script.act)):
            return self._scripted(script, httpd.Response(), record)
        response = self._plain(route.act(call), record)
        if record.err_code:
            record.why = "rule"
        return response if script is None else self._scripted(script, response, record)

    def _scripted(self, script: Script, response: httpd.Response, record: Record) -> httpd.Answer:
        record.why = "script"
        if isinstance(script.act, Mapping | Problem):
            return self._plain(script.act, record)
        return script.act(response) if callable(script.act) else script.act

    def _plain(self, outcome: Outcome, record: Record) -> httpd.Response:
        if not isinstance(outcome, httpd.Response):
            record.answer = outcome.body(record.trace_id) if isinstance(outcome, Problem) else outcome
            number = record.answer.get("err_code") or record.answer.get("code")
            record.err_code = number if isinstance(number, int) else 0
        return plain(outcome, record.trace_id)

    def _refuse_entry(self, route: Route | None, call: Call, record: Record) -> Problem | None:
        """Check who asks, and whether there is such a thing."""
        if (route is None or route.authed) and call.bot is None:
            return _refuse_token(call.request)
        if route is None:
            known = any(other.path.fullmatch(call.request.path) for other in self._routes)
            return problem(405 if known else 404)
        if route.authed and record.body is None:
            return problem(12002)
        return None

    # ---- token ----

    def _token(self, call: Call) -> Outcome:
        """Answer the token endpoint. Its errors come with HTTP 200."""
        app_id, secret = call.body.get("appId"), call.body.get("clientSecret")
        if call.request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _token_error(100002)
        if not isinstance(app_id, str):
            return _token_error(100007)
        bot = self._state.bots.get(app_id)
        if bot is None or bot.secret != secret:
            return _token_error(100007 if bot is None else 100016)
        now, knobs = self._state.now(), self._state.knobs
        if not bot.fetches.admits(now, knobs.token_fetches_per_minute, MINUTE_S):
            return _token_error(100001)
        token = self._state.fetch_token(bot)
        ends_at = token.issued_at + knobs.token_lifetime_s if knobs.token_unchanged else token.ends_at
        left_s = max(0, int(ends_at - now))
        match knobs.expires_in:
            case "string":
                return {"access_token": token.value, "expires_in": str(left_s)}
            case "int":
                return {"access_token": token.value, "expires_in": left_s}
            case "zero":
                return {"access_token": token.value, "expires_in": "0"}
            case "missing":
                return {"access_token": token.value}

    # ---- gateway ----

    def _refuse_lookup(self, call: Call) -> Problem | None:
        knobs = self._state.knobs
        if _bot(call).lookups.admits(self._state.now(), knobs.lookups_burst, knobs.lookups_per_minute):
            return None
        return problem(100017, status=knobs.lookups_limited_status)

    def _gateway(self, _call: Call) -> Outcome:
        return {"url": self._state.ws_url}

    def _gateway_bot(self, call: Call) -> Outcome:
        now, knobs, starts = self._state.now(), self._state.knobs, _bot(call).starts
        limit = {
            "total": knobs.session_starts,
            "remaining": starts.left(now, knobs.session_starts),
            "reset_after": starts.reset_after_ms(now),
            "max_concurrency": knobs.max_concurrency,
        }
        return {"url": self._state.ws_url, "shards": knobs.shards, "session_start_limit": limit}

    # ---- account, chats ----

    def _me(self, call: Call) -> Outcome:
        bot = _bot(call)
        return {"id": bot.id, "username": bot.username, "avatar": "", "union_openid": "", "union_user_account": ""}

    def _dms(self, call: Call) -> Outcome:
        recipient, source = call.body.get("recipient_id"), call.body.get("source_guild_id")
        if not recipient or not source:
            return problem(12002)
        guild_id = self._state.dm_guild(_bot(call), str(recipient))
        created = str(self._state.clock.wall_ms() // 1000)
        return {"guild_id": guild_id, "channel_id": guild_id, "create_time": created}

    def _bot_state(self, call: Call) -> Outcome:
        chat = _bot(call).chat("group", call.target)
        allowed = self._state.knobs.proactive if chat.proactive is None else chat.proactive
        return {"group_openid": call.target, "allow_proactive_msg": allowed}

    # ---- messages ----

    def _message(self, call: Call) -> Message:
        assert call.scene is not None
        return Message(call.scene, call.target, call.body)

    def _refuse_message(self, call: Call) -> Problem | None:
        return refuse_message(self._message(call), _bot(call), self._state.knobs, self._state.now())

    def _messages(self, call: Call) -> Outcome:
        return accept(self._state, _bot(call), self._message(call))

    def _refuse_recall(self, call: Call) -> Problem | None:
        sent_at = _bot(call).sent.get(call.name)
        if sent_at is None:
            return problem(306003)
        return problem(306011) if self._state.now() - sent_at > RECALL_S else None

    def _recall(self, call: Call) -> Outcome:
        keep(self._state.recalled, call.name)
        return {}

    def _interaction(self, call: Call) -> Outcome:
        code = call.body.get("code")
        if call.name not in self._state.interactions or code not in INTERACTION_CODES:
            return problem(12002)
        self._state.interactions[call.name] = code
        return httpd.Response(204) if self._state.knobs.interaction_status == 204 else {}


def _none(_call: Call) -> Problem | None:
    return None


def _bot(call: Call) -> Bot:
    assert call.bot is not None
    return call.bot


def _bearer(request: httpd.Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "QQBot" else ""


def _refuse_token(request: httpd.Request) -> Problem:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return problem(11241)
    if scheme == "Bot":
        return problem(11245)
    return problem(11244 if scheme == "QQBot" and token else 11243)


def _token_error(number: int) -> dict[str, Any]:
    words = problem(number)
    return {"code": number, "message": words.message}
