"""Whether a request is let through, and if not, what it is told.

Every function is pure but for one: counting an attempt against a burst (`Throttle.admits`) is itself the rule.
"""

# The order of the checks on sendmessage is fixed: envelope, size, window, quota, burst, token. A refusal names the
# first that failed in `Outcome.why`, which only the log shows: on the wire most of them look alike, and that is the
# trouble with this platform.

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import attrs

from statecore_adapters import httpd

from .knobs import Knobs
from .model import Bot, Peer

__all__ = ["AUTH_DEAD", "INVALID", "Call", "Outcome", "admit_send", "envelope_flaws", "is_user_id", "refusal"]

AUTH_DEAD: Final = {"errcode": -14, "errmsg": "session timeout"}
INVALID: Final = {"ret": -2, "errmsg": "invalid arguments"}
BAD_USER: Final = {"ret": -3, "errmsg": "invalid argument"}

CJK_FIRST: Final = "\u2e80"  # CJK radicals; kana, hangul, full-width forms and emoji follow
ITEM_OBJECTS: Final = {
    1: "text_item",
    2: "image_item",
    3: "voice_item",
    4: "file_item",
    5: "video_item",
    11: "tool_call_start_item",
    12: "tool_call_result_item",
}


@attrs.frozen
class Outcome:
    """An answer in JSON. *why* names the check that refused; "" when the request was let through."""

    body: Mapping[str, Any]
    why: str = ""


@attrs.frozen
class Call:
    """One request to the API, with what scripts and checks ask about it."""

    request: httpd.Request
    endpoint: str
    body: Mapping[str, Any]
    bot: Bot | None = None
    host: str = ""

    @property
    def msg(self) -> Mapping[str, Any]:
        msg = self.body.get("msg")
        return msg if isinstance(msg, Mapping) else {}

    @property
    def user(self) -> str:
        """Whom the request is about, or ""."""
        user = self.msg.get("to_user_id") or self.body.get("ilink_user_id") or self.body.get("to_user_id")
        return user if isinstance(user, str) else ""

    @property
    def context_token(self) -> str | None:
        token = self.msg.get("context_token") or self.body.get("context_token")
        return token if isinstance(token, str) and token else None

    @property
    def client_id(self) -> str:
        return str(self.msg.get("client_id") or "")

    @property
    def item(self) -> Mapping[str, Any]:
        """The first item of a send, or {}."""
        items = self.msg.get("item_list")
        return items[0] if isinstance(items, list) and items and isinstance(items[0], Mapping) else {}

    @property
    def text(self) -> str:
        part = self.item.get("text_item")
        return str(part.get("text") or "") if isinstance(part, Mapping) else ""

    @property
    def bearer(self) -> str:
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else ""


def refusal(knobs: Knobs, why: str) -> Outcome:
    """Refuse in the style the knobs ask for."""
    match knobs.refusal_style:
        case "bare":
            return Outcome({"ret": -2}, why)
        case str(errmsg):
            return Outcome({"ret": -2, "errmsg": errmsg}, why)
        case body:
            return Outcome(body, why)


def is_user_id(user: str) -> bool:
    """Tell whether this has the form of a WeChat user id."""
    name, at, domain = user.partition("@")
    return bool(name and at) and domain == "im.wechat"


# ---- envelope ----


def envelope_flaws(call: Call, *, authed: bool) -> list[str]:
    """List how the headers and base_info differ from the official client's; the order is stable.

    Source: openclaw-weixin 2.4.9, read 2026-10.
    """
    headers = call.request.headers
    flaws = [f"{name} missing" for name in ("ilink-app-id", "ilink-app-clientversion") if not headers.get(name)]
    if call.request.method == "GET":
        return flaws
    if not headers.get("content-type", "").startswith("application/json"):
        flaws.append("content-type is not application/json")
    if headers.get("authorizationtype") != "ilink_bot_token":
        flaws.append("authorizationtype is not ilink_bot_token")
    uin = headers.get("x-wechat-uin", "")
    if not _is_uin(uin):
        flaws.append("x-wechat-uin is not the base64 of a decimal uint32")
    if call.bot is not None and uin == call.bot.last_uin:
        flaws.append("x-wechat-uin is the same as in the request before")
    if authed:
        info = call.body.get("base_info")
        if not (isinstance(info, Mapping) and isinstance(info.get("channel_version"), str)):
            flaws.append("base_info.channel_version missing")
    return flaws


def _is_uin(text: str) -> bool:
    try:
        digits = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return digits.isdigit() and int(digits) < 2**32


# ---- sendmessage ----


def admit_send(call: Call, bot: Bot, knobs: Knobs, now: float) -> Outcome | None:
    """Run every check on a send in order; None lets it through."""
    peer = bot.peers.get(call.user) or Peer(call.user)
    if flaw := _body_flaw(call, knobs):
        return flaw
    if size := text_bytes_over(call.text, knobs):
        return refusal(knobs, f"size: {size} bytes too long")
    if knobs.dedupe_client_id and call.client_id in bot.accepted:
        # Recognised before it is counted: a retry after a lost reply is no second send.
        return Outcome({"ret": 0, "message_id": bot.accepted[call.client_id]})
    why = _policy(call, bot, peer, knobs, now)
    return refusal(knobs, why) if why else None


def _policy(call: Call, bot: Bot, peer: Peer, knobs: Knobs, now: float) -> str:
    """Name the first rule about the user and the bot that forbids this send; "" when none does."""
    if not peer.is_open(now, knobs.window_s):
        return "window"
    if peer.sent >= knobs.quota:
        return "quota"
    if knobs.burst is not None:
        throttle = bot.throttle if knobs.burst.per == "bot" else peer.throttle
        if not throttle.admits(now, knobs.burst):
            return "burst"
    return "" if token_accepted(call.context_token, peer, knobs, now) else "token"


def _body_flaw(call: Call, knobs: Knobs) -> Outcome | None:
    msg = call.msg
    items = msg.get("item_list")
    if not call.user:
        return Outcome(INVALID, "body: to_user_id missing")
    if not isinstance(items, list) or not items:
        return Outcome(INVALID, "body: item_list empty")
    if knobs.strict and (flaws := _official_flaws(msg, items)):
        return Outcome(INVALID, "body: " + ", ".join(flaws))
    if not is_user_id(call.user):
        return Outcome(BAD_USER, "body: to_user_id is not a user's")
    return None


def _official_flaws(msg: Mapping[str, Any], items: list[Any]) -> list[str]:
    kind = items[0].get("type") if isinstance(items[0], Mapping) else None
    has_object = kind in ITEM_OBJECTS and isinstance(items[0].get(ITEM_OBJECTS[kind]), Mapping)
    rules = [
        (len(items) == 1, "more than one item"),
        (has_object, "the item lacks a known type or its object"),
        (kind != 1 or not has_object or bool(items[0]["text_item"].get("text")), "the text is empty"),
        (msg.get("from_user_id") == "", "from_user_id is not empty"),
        (msg.get("message_type") == 2, "message_type is not 2"),
        (msg.get("message_state") == 2, "message_state is not 2"),
        (isinstance(msg.get("client_id"), str) and msg["client_id"] != "", "client_id missing"),
    ]
    return [flaw for holds, flaw in rules if not holds]


def text_bytes_over(text: str, knobs: Knobs) -> int:
    """Return by how many UTF-8 bytes *text* is too long, or 0."""
    limit = min(knobs.cjk_max_bytes, knobs.text_max_bytes) if text and max(text) >= CJK_FIRST else knobs.text_max_bytes
    return max(0, len(text.encode()) - limit)


def token_accepted(token: str | None, peer: Peer, knobs: Knobs, now: float) -> bool:
    """Apply the token policy to the context token of one send."""
    age_s = now - peer.tokens[token] if token in peer.tokens else None
    match knobs.token_policy:
        case "off":
            return True
        case _ if token is None:
            return knobs.tokenless_ok
        case "required":
            return age_s is not None
        case "freshness":
            return age_s is not None and age_s <= knobs.token_freshness_s
        case "must_match_latest":
            return token == peer.latest_token
