"""The wire of WeChat's iLink bots: values to bytes, bytes to values. No I/O, no clock, no chance.

Three habits of the server shape this file. Errors arrive with HTTP status 200, sometimes in `ret`, sometimes in
`errcode`, so both are looked at everywhere. Success may be `{"ret": 0}`, `{}` or, for a send, no body at all. And ids
are numbers above 2^53, which only survive as text.

A poll is read with tolerance, because its cursor moves past everything in it: what is wrong in one message must cost
neither its neighbours nor, silently, itself. Whatever cannot be read becomes a `Message` of the kind "unreadable".

The server is closed, and undocumented where it matters. Each fact below names where it comes from: the source of
Tencent's client openclaw-weixin 2.4.9, its documentation, or what people saw on the wire.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs

from statecore.errors import StatecoreError
from statecore.platform import Message, Refusal, Taken, Unauthorised

API_BASE: Final = "https://ilinkai.weixin.qq.com"
"""Where a QR login always begins. What it returns as `baseurl` may differ. Source: openclaw-weixin 2.4.9."""

CDN_BASE: Final = "https://novac2c.cdn.weixin.qq.com/c2c"
"""Where media are kept. Source: openclaw-weixin 2.4.9."""

CHANNEL_VERSION: Final = "2.4.9"
"""The client generation this file speaks; the server takes any text here (observed, 2026-10)."""


def client_version(text: str) -> int:
    """Encode a version as the header wants it: major, minor and patch, eight bits each.

    Source: openclaw-weixin 2.4.9.

    >>> client_version("2.4.9"), client_version("2.2.0")
    (132105, 131584)
    """
    major, minor, patch = (int(part) & 0xFF for part in text.split("."))
    return major << 16 | minor << 8 | patch


CLIENT_VERSION: Final = client_version(CHANNEL_VERSION)

HOLD_MS: Final = 35_000
"""How long the server holds a poll when nothing comes, unless it says otherwise. Source: openclaw-weixin 2.4.9."""

POLL_MARGIN_S: Final = 10.0
"""How much longer a poll is awaited. A client that waits exactly as long as the server holds gives up every idle poll
just before its answer; ten seconds more cured it. Source: Tencent/openclaw-weixin#267."""

HOLD_MS_MIN: Final = 1_000
HOLD_MS_MAX: Final = 120_000
"""What the server may ask for. Beyond two minutes the connection's own limit on a poll would end it first."""

WINDOW_MESSAGES: Final = 10
"""Messages a bot may send for each one its user sends. Source: Tencent/openclaw-weixin#81, and many after it."""

WINDOW_HOURS: Final = 24
"""How long after it. Source: the maintainer in Tencent/openclaw-weixin#156; shorter was reported, never longer."""

LOCAL_TOKENS_MAX: Final = 10
"""Hints a QR login may send along. Source: openclaw-weixin 2.4.9."""

TOKEN_DEAD: Final = -14
"""errcode of a bot token that is not valid: bound again elsewhere, rotated, or never issued (observed, 2026-10)."""

RENEW: Final = (
    "scan a new QR code with `statecore login weixin`, or put the new token where the configuration points; "
    "then the user must write to the bot once before it can speak"
)
"""What a person must do about `TOKEN_DEAD`."""

UNKNOWN_CHAT: Final = "unknown"
"""The chat of a message that does not say who sent it. Nothing can be sent there."""

DEFAULT_AGENT: Final = "statecore"
AGENT_BYTES_MAX: Final = 256
ERRMSG_MAX: Final = 200
EXCERPT_MAX: Final = 120
EXCERPT_READ: Final = 4_000


@attrs.frozen
class Endpoint:
    """One path of the API.

    Args:
        path: from the root of the host, with its leading slash.
        timeout: seconds after which the official client gives up; a poll's depends on the hold, see `poll_timeout`.
        method: POST, but for the one GET.
    """

    path: str
    timeout: float
    method: Literal["POST", "GET"] = "POST"


# Source for paths and timeouts: openclaw-weixin 2.4.9. It sets no timeout on GET_BOT_QRCODE; this one is ours.
GETUPDATES: Final = Endpoint("/ilink/bot/getupdates", HOLD_MS / 1000 + POLL_MARGIN_S)
SENDMESSAGE: Final = Endpoint("/ilink/bot/sendmessage", 15.0)
GETCONFIG: Final = Endpoint("/ilink/bot/getconfig", 10.0)
NOTIFYSTART: Final = Endpoint("/ilink/bot/msg/notifystart", 10.0)
NOTIFYSTOP: Final = Endpoint("/ilink/bot/msg/notifystop", 10.0)
GET_BOT_QRCODE: Final = Endpoint("/ilink/bot/get_bot_qrcode?bot_type=3", 15.0)
GET_QRCODE_STATUS: Final = Endpoint("/ilink/bot/get_qrcode_status", HOLD_MS / 1000 + POLL_MARGIN_S, "GET")


@attrs.frozen
class ProtocolViolation(StatecoreError):
    """The answer is none that iLink gives.

    Args:
        what: what is wrong with it.
        excerpt: its beginning, with everything that could be a credential taken out.
    """

    what: str
    excerpt: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.excerpt}" if self.excerpt else self.what


# ---- requests --------------------------------------------------------------------------------------------------------


def url(base: str, endpoint: Endpoint) -> str:
    """Join a base, with or without a slash at its end, and a path.

    >>> url("https://example.com/", NOTIFYSTOP)
    'https://example.com/ilink/bot/msg/notifystop'
    """
    return base.rstrip("/") + endpoint.path


def qr_status_url(base: str, qrcode: str, verify_code: str = "") -> str:
    """Return where the status of a QR code is asked for.

    Both values are encoded: a code may hold characters that mean something in a query, and sent raw it is polled as
    another code, in vain, until the time is up.
    """
    query = f"?qrcode={quote(qrcode, safe='')}"
    if verify_code:
        query += f"&verify_code={quote(verify_code, safe='')}"
    return url(base, GET_QRCODE_STATUS) + query


def poll_timeout(hold_ms: int | None) -> float:
    """Return how long to await a poll, in seconds.

    Args:
        hold_ms: how long the server said it would hold it; None if it did not say.
    """
    return (HOLD_MS if hold_ms is None else hold_ms) / 1000 + POLL_MARGIN_S


def headers(token: str | None, uin: int) -> dict[str, str]:
    """Return the headers of a POST.

    Without the two iLink-App headers some servers answer -14 at once (QwenLM/qwen-code#2908). Content-Length is left to
    the HTTP library.

    Args:
        token: the bot token; None for a QR login, which has none yet.
        uin: a number drawn for this request, below 2^32. It must differ from the last one's.
    """
    assert 0 <= uin < 2**32, "the uin is a uint32"
    found = {
        "Content-Type": "application/json",
        "AuthorizationType": "ilink_bot_token",
        "X-WECHAT-UIN": base64.b64encode(str(uin).encode()).decode(),
        **app_headers(),
    }
    if token is not None:
        found["Authorization"] = f"Bearer {token}"
    return found


def app_headers() -> dict[str, str]:
    """Return the headers of every request; a GET carries no others."""
    return {"iLink-App-Id": "bot", "iLink-App-ClientVersion": str(CLIENT_VERSION)}


_PRODUCT: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}(?:/[A-Za-z0-9_.+-]{1,32})?")
_AGENT_TOKEN: Final = re.compile(r"\(([^()]*)\)|[^\s()]+")


def base_info(agent: str = DEFAULT_AGENT) -> dict[str, str]:
    """Return what every authenticated body says about its sender.

    Args:
        agent: like a User-Agent: `name/version (comment)`. What does not fit its grammar is left out.
    """
    return {"channel_version": CHANNEL_VERSION, "bot_agent": bot_agent(agent)}


def bot_agent(agent: str) -> str:
    """Keep what fits the field's grammar: products of 1 to 32 characters, comments of 1 to 64, 256 bytes in all.

    Source: openclaw-weixin 2.4.9.

    >>> bot_agent("MyBot/1.0 (on a Raspberry Pi) <script>")
    'MyBot/1.0 (on a Raspberry Pi)'
    """
    kept = ""
    for match in _AGENT_TOKEN.finditer(agent):
        token, comment = match[0], match[1]
        fits = _PRODUCT.fullmatch(token) if comment is None else re.fullmatch(r"[\x20-\x7e]{1,64}", comment)
        longer = f"{kept} {token}".lstrip()
        if fits and len(longer) <= AGENT_BYTES_MAX:
            kept = longer
    return kept or DEFAULT_AGENT


def getupdates(cursor: str, agent: str = DEFAULT_AGENT) -> bytes:
    """Write the body of a poll.

    Args:
        cursor: where the last one ended; empty for the first of a binding.
        agent: see `base_info`.
    """
    return _dump({"get_updates_buf": cursor, "base_info": base_info(agent)})


def sendmessage(to: str, text: str, client_id: str, context_token: str, agent: str = DEFAULT_AGENT) -> bytes:
    """Write the body of a send.

    Args:
        to: the user.
        text: what to say; not empty. A message holds one item.
        client_id: the part's idempotency key.
        context_token: the newest one its user sent; empty to send without, and then the field is left out.
        agent: see `base_info`.
    """
    message: dict[str, Any] = {
        "from_user_id": "",
        "to_user_id": to,
        "client_id": client_id,
        "message_type": 2,
        "message_state": 2,
        "item_list": [{"type": 1, "text_item": {"text": text}}],
    }
    if context_token:
        message["context_token"] = context_token
    return _dump({"msg": message, "base_info": base_info(agent)})


def getconfig(user: str, context_token: str = "", agent: str = DEFAULT_AGENT) -> bytes:
    """Write the body that asks for a user's typing ticket.

    It is answered while sends are refused, so it tells whether the bot token is good and nothing about sending.
    """
    body: dict[str, Any] = {"ilink_user_id": user, "base_info": base_info(agent)}
    if context_token:
        body["context_token"] = context_token
    return _dump(body)


def notify(agent: str = DEFAULT_AGENT) -> bytes:
    """Write the body of notifystart and of notifystop."""
    return _dump({"base_info": base_info(agent)})


def get_bot_qrcode(local_tokens: Iterable[str] = ()) -> bytes:
    """Write the body that asks for a QR code.

    Args:
        local_tokens: bot tokens this installation already has, newest first; the first ten are sent.
    """
    return _dump({"local_token_list": list(local_tokens)[:LOCAL_TOKENS_MAX]})


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ---- answers ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Updates:
    """What came of a poll.

    Args:
        messages: of users, in the server's order.
        cursor: where the next poll begins; None if it is to begin where this one did.
        hold_ms: how long the server means to hold the next one, within bounds; None if it did not say.
        refused: why there is nothing, if the server said so. Then nothing else is set.
        echoes: how many messages of the bot itself were left out.
    """

    messages: tuple[Message, ...] = ()
    cursor: str | None = attrs.field(default=None, repr=False)
    hold_ms: int | None = None
    refused: Refusal | Unauthorised | None = None
    echoes: int = 0


@attrs.frozen(kw_only=True)
class QrCode:
    """A code to scan.

    Args:
        id: what its status is asked with. Whoever has it can fetch the credentials.
        page: the address to draw as a QR code.
    """

    id: str = attrs.field(repr=False)
    page: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class QrStatus:
    """How far a QR code has got.

    Args:
        status: the server's word for it.
        account_id: the bot's id, when confirmed.
        token: its bot token, when confirmed.
        base_url: where its API is, when confirmed; empty for where it was asked.
        user_id: who scanned, when confirmed.
        redirect_host: where to ask from now on.
    """

    status: str
    account_id: str = ""
    token: str = attrs.field(default="", repr=False)
    base_url: str = ""
    user_id: str = ""
    redirect_host: str = ""


def parse_updates(body: bytes) -> Updates:
    """Read the answer to a poll.

    Messages of the bot itself (message_type 2, or a sender that is a bot) are left out and counted: a bot that heard
    itself would answer itself. Of users' messages none is left out, whatever their message_state; one that is still
    being written gets an id of its own, so that the finished one is not taken for its copy.

    Raises:
        ProtocolViolation: it is no answer to a poll. The cursor has not moved, so nothing is lost.
    """
    answer = _object(body)
    if refused := _refused(answer):
        return Updates(refused=refused)
    found = answer.get("msgs")
    listed = found if isinstance(found, list) else [] if found is None else [found]
    messages = [_message(one, index) for index, one in enumerate(listed) if not _is_echo(one)]
    cursor = answer.get("get_updates_buf")
    return Updates(
        messages=tuple(messages),
        cursor=_mended(cursor) if isinstance(cursor, str) and cursor else None,
        hold_ms=hold(answer.get("longpolling_timeout_ms")),
        echoes=len(listed) - len(messages),
    )


def parse_sent(body: bytes) -> Taken | Refusal | Unauthorised:
    """Read the answer to a send. An empty body is a success, like `{}`.

    A `Taken` without an id is one the server took and often never shows: it does not say that, so neither do we.

    Raises:
        ProtocolViolation: it is no answer to a send, so nobody knows what became of it.
    """
    answer = _object(body) if body.strip() else {}
    return _refused(answer) or Taken(message=_id(answer.get("message_id")))


def parse_plain(body: bytes) -> Refusal | Unauthorised | None:
    """Read the answer to notifystart or notifystop; None means that it was taken.

    Raises:
        ProtocolViolation: it is no answer of iLink.
    """
    return _refused(_object(body) if body.strip() else {})


def parse_config(body: bytes) -> str | Refusal | Unauthorised:
    """Read the answer to getconfig: the typing ticket, empty if there is none.

    Raises:
        ProtocolViolation: it is no answer of iLink.
    """
    answer = _object(body)
    return _refused(answer) or _text(answer.get("typing_ticket"))


def parse_qrcode(body: bytes) -> QrCode | Refusal | Unauthorised:
    """Read the answer to get_bot_qrcode.

    Raises:
        ProtocolViolation: there is no code in it.
    """
    answer = _object(body)
    if refused := _refused(answer):
        return refused
    code, page = _text(answer.get("qrcode")), _text(answer.get("qrcode_img_content"))
    if not code or not page:
        raise ProtocolViolation(f"the answer lacks {'qrcode' if not code else 'qrcode_img_content'}", excerpt(body))
    return QrCode(id=code, page=page)


def parse_qr_status(body: bytes) -> QrStatus | Refusal | Unauthorised:
    """Read the answer to get_qrcode_status.

    Raises:
        ProtocolViolation: there is no status in it.
    """
    answer = _object(body)
    if refused := _refused(answer):
        return refused
    status = _text(answer.get("status"))
    if not status:
        raise ProtocolViolation("the answer lacks a status", excerpt(body))
    return QrStatus(
        status=status,
        account_id=_text(answer.get("ilink_bot_id")),
        token=_text(answer.get("bot_token")),
        base_url=_text(answer.get("baseurl")),
        user_id=_text(answer.get("ilink_user_id")),
        redirect_host=_text(answer.get("redirect_host")),
    )


def hold(value: object) -> int | None:
    """Bring the server's hint for its next hold within bounds, in ms; None if it is none."""
    asked = _number(value)
    return None if asked is None or asked <= 0 else min(max(asked, HOLD_MS_MIN), HOLD_MS_MAX)


# ---- errors ----------------------------------------------------------------------------------------------------------


def _refused(answer: dict[str, Any]) -> Refusal | Unauthorised | None:
    """Look for a refusal in both places: auth errors come as errcode without ret, send errors the other way round."""
    codes = {name: _code(answer, name) for name in ("ret", "errcode")}
    if not any(codes.values()):
        return None
    code = " ".join(f"{name}={value}" for name, value in codes.items() if value)
    message = scrub(_text(answer.get("errmsg")))[:ERRMSG_MAX]
    if TOKEN_DEAD in codes.values():
        return Unauthorised(code=code, message=message, action=RENEW)
    return Refusal(code=code, message=message)


def _code(answer: dict[str, Any], name: str) -> int:
    """Return a result code, 0 if there is none.

    Raises:
        ProtocolViolation: it is no number. To guess that it means success would lose a message in silence.
    """
    value = answer.get(name)
    if value is None or value == "":
        return 0
    number = _number(value)
    if number is None:
        raise ProtocolViolation(f"{name} is no number", scrub(_shown(value))[:EXCERPT_MAX])
    return number


def _object(body: bytes) -> dict[str, Any]:
    """Read the JSON object that every answer is, whatever content type it came with."""
    try:
        # A byte that is no UTF-8 spoils one character of one message, and no more.
        value = json.loads(body.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        what = "the answer is no JSON" if body.strip() else "the answer is empty"
        raise ProtocolViolation(what, excerpt(body)) from None
    if not isinstance(value, dict):
        raise ProtocolViolation("the answer is no JSON object", excerpt(body))
    return value


_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/=_.%\\-]{24,}")
_OPAQUE_TAIL: Final = re.compile(r"[A-Za-z0-9+/=_.%\\-]+\Z")
_BOT_TOKEN: Final = re.compile(r"(@im\.bot:)[^\s\"',;}]+")
_BEARER: Final = re.compile(r"(Bearer\s+)[^\s\"',;}]+", re.IGNORECASE)


def scrub(text: str) -> str:
    """Take out whatever could be a credential: tokens, cursors and tickets are long runs without a space.

    >>> scrub("bad token 0a1b2c3d4e5f@im.bot:ffeeddccbbaa")
    'bad token 0a1b2c3d4e5f@im.bot:[...]'
    """
    text = _BEARER.sub(r"\1[...]", _BOT_TOKEN.sub(r"\1[...]", text))
    return _OPAQUE.sub("[...]", text)


def excerpt(body: bytes) -> str:
    """Return the beginning of a body for people, on one line, without anything that could be a credential."""
    text = body[:EXCERPT_READ].decode("utf-8", errors="replace")
    if len(body) > EXCERPT_READ:
        text = _OPAQUE_TAIL.sub("", text)  # the rest of a long run may lie beyond
    shown = _shown(" ".join(scrub(text).split()))
    return shown if len(shown) <= EXCERPT_MAX else f"{shown[: EXCERPT_MAX - 3]}..."


def _shown(value: object) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(value)[: 2 * EXCERPT_READ])


# ---- messages --------------------------------------------------------------------------------------------------------

KINDS: Final = {1: "text", 2: "image", 3: "voice", 4: "file", 5: "video"}
"""Kinds of items; others are called "type-N". Source: openclaw-weixin 2.4.9."""

UNREADABLE: Final = "unreadable"
GENERATING: Final = 1  # message_state
FROM_BOT: Final = 2  # message_type

_NUMBERED: Final = re.compile(r"v1:(\d+)")


def _is_echo(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return _number(value.get("message_type")) == FROM_BOT or _text(value.get("from_user_id")).endswith("@im.bot")


def _message(value: object, index: int) -> Message:
    """Read one message; what is wrong in it costs only itself."""
    try:
        if isinstance(value, dict):
            return _read(value)
        known_as = _digest(value)
    except RecursionError:
        known_as = _digest(f"message {index}, nested too deeply")
    return Message(chat=UNKNOWN_CHAT, sender=UNKNOWN_CHAT, id=known_as, text="", kinds=(UNREADABLE,), weak_id=True)


def _read(value: dict[str, Any]) -> Message:
    sender = _id(value.get("from_user_id")) or UNKNOWN_CHAT
    listed = value.get("item_list")
    items = listed if isinstance(listed, list) else [] if listed is None else [listed]
    created = _number(value.get("create_time_ms")) or 0
    first = items[0] if items and isinstance(items[0], dict) else {}
    given = _id(value.get("message_id")) or _id(first.get("msg_id"))
    known_as = given or _digest([sender, created, value.get("seq"), items])
    if _number(value.get("message_state")) == GENERATING:
        known_as += "~"
    return Message(
        chat=sender,
        sender=sender,
        id=known_as,
        text=_body(items),
        kinds=tuple(_kind(item) for item in items),
        sent_at=max(created, 0),
        weak_id=not given,
        quotes=next((found for item in items if (found := _quoted(item))), ""),
        token=_text(value.get("context_token")),
    )


def _kind(item: object) -> str:
    number = _number(item.get("type")) if isinstance(item, dict) else None
    return UNREADABLE if number is None else KINDS.get(number, f"type-{number}")


def _body(items: list[Any]) -> str:
    """Return the first text; without any, the first transcript the server made of a voice. As the official client."""
    for kind, part in (("text", "text_item"), ("voice", "voice_item")):
        for item in items:
            inner = item.get(part) if _kind(item) == kind else None
            if isinstance(inner, dict) and (text := _text(inner.get("text"))):
                return text
    return ""


def _quoted(item: object) -> str:
    """Return the id of the message an item answers, if any."""
    quoted = item.get("ref_msg") if isinstance(item, dict) else None
    if not isinstance(quoted, dict):
        return ""
    inner = quoted.get("message_item")
    return (_id(inner.get("msg_id")) if isinstance(inner, dict) else "") or _id(quoted.get("svr_id"))


def _id(value: object) -> str:
    """Return an id as text, empty if it is none.

    An id is a number above 2^53, or its text, or that text with "v1:" before it; all three are the same id. A number
    that came as a float has lost its last digits, so that neighbours look alike: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | str) or value == 0:
        return ""
    if isinstance(value, int):
        return str(value) if 0 < value < 2**64 else ""
    text = _mended(value).strip()
    numbered = _NUMBERED.fullmatch(text)
    text = numbered[1] if numbered else text
    return "" if text == "0" else text


def _digest(value: object) -> str:
    """Make an id out of what was received; the same bytes always make the same."""
    raw = json.dumps(value, sort_keys=True).encode()
    return f"weak-{hashlib.sha256(raw).hexdigest()[:32]}"


def _number(value: object) -> int | None:
    """Return a whole number of up to 64 bits, also from its text, else None."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _text(value: object) -> str:
    return _mended(value) if isinstance(value, str) else ""


def _mended(text: str) -> str:
    """Replace halves of characters, which JSON can carry and neither UTF-8 nor the journal can."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
