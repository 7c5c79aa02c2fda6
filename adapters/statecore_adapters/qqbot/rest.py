"""REST: bodies and answers, of the token endpoint and of the gateway's address too. No I/O, no clock, no chance.

Three habits of the platform shape this file. The token endpoint says no with HTTP status 200. Everything else says no
with two numbers, `code` and `err_code`, which may differ; the second decides, and both are kept. And a message that
somebody has to look at first is answered with what looks like an error and is none.

What is left open by an answer stays open: a 5xx without a number of the platform's own is none of its answers, so a
message may have been taken.

Source: QQ bot API v2, as of 2026; that `expires_in` is a number written as text, seen on the wire.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from statecore.platform import (
    Address,
    Failure,
    Outgoing,
    Pending,
    Refusal,
    Taken,
    Unauthorised,
    Unclear,
)
from statecore.units import DAYS, MILLISECONDS, MINUTES, SECONDS
from statecore_adapters import http
from statecore_adapters.qqbot import chats, lenient
from statecore_adapters.qqbot.codes import CONSOLE, ERRORS, PENALTY, PENDING
from statecore_adapters.qqbot.text import escape

TRACE: Final = "x-tps-trace-id"
TRACE_MAX: Final = 128
STATUSES_BELOW: Final = 1000
"""A `code` below this is an HTTP status that something on the way repeats, and none of the platform's."""

TOKEN: Final = re.compile(r"[!-~]{1,4096}")
"""What can be a token: it stands in a header of every request. With another one no request could be made, for two hours."""

LIFE_UNKNOWN: Final = 5 * MINUTES
"""For how long a token counts as good that comes without its end, or with one that has passed. It is some two hours at
most, and may be any part of that. Asking again early costs a request and gives the same token."""

LIFE_MAX: Final = 1 * DAYS

STARTS_IN: Final = 10 * MINUTES
"""Until sessions may be begun again, where the platform says that none may and not when."""

STARTS_IN_MAX: Final = 1 * DAYS  # it counts by the day

APP: Final = f"compare app_id and client_secret with those {CONSOLE}"
_NO_APP: Final[Mapping[int, str]] = {
    100007: f"check app_id, and {CONSOLE} whether the bot is still there",
    100016: f"put the AppSecret that stands {CONSOLE} where client_secret points",
    10004: f"check app_id, and {CONSOLE} whether the bot is still there",
}
"""What the token endpoint says where no time will cure it, and what a person must do."""

_TOO_OFTEN: Final = frozenset({100001, 100017})
_OK: Final = frozenset({200, 201, 202, 204})


@attrs.frozen(kw_only=True)
class Access:
    """An access token, and its number."""

    token: str = attrs.field(repr=False)
    number: int

    def secrets(self) -> dict[str, str]:
        """Return what is to be committed."""
        return {"access": json.dumps({"token": self.token, "number": self.number}, separators=(",", ":"))}


def read_access(stored: str | None) -> Access | None:
    """Read what was committed; None if there is no token."""
    found = lenient.mapping(lenient.load((stored or "").encode(errors="replace")))
    token, number = lenient.text(found.get("token")), lenient.whole(found.get("number"))
    return Access(token=token, number=number) if token and number is not None else None


# ---- requests --------------------------------------------------------------------------------------------------------


def headers(token: str = "") -> dict[str, str]:
    """Return the headers of a request; without a token those of a request for one."""
    found = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "statecore"}
    if token:
        found["Authorization"] = f"QQBot {token}"
    return found


def fetch(app_id: str, secret: str) -> bytes:
    """Write the body that asks for an access token. The id is text: a number is refused."""
    return _dump({"appId": app_id, "clientSecret": secret})


def message(part: Outgoing, *, markdown: bool) -> bytes:
    """Write the body of a send.

    Args:
        part: what to send; a *bare* one goes as text whatever is configured.
        markdown: whether to send it as Markdown.
    """
    marked = markdown and not part.bare
    guild = chats.in_guild(part.chat)
    body: dict[str, Any] = {} if guild else {"msg_type": 2 if marked else 0}
    if marked:
        body["markdown"] = {"content": part.text}
    else:
        body["content"] = escape(part.text) if guild else part.text
    if part.answers:
        body["msg_id"] = part.answers
        if not guild:
            body["msg_seq"] = part.number
    return _dump(body)


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ---- answers ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Said:
    """What an answer says, as far as it is one of the platform's.

    Args:
        status: of HTTP.
        body: its object; None if it holds none.
        number: what decides; 0 for success, and for an answer without a number.
        code: all numbers, as they stand in logs.
        message: its words, fit to be shown.
        trace: the platform's id of the request.
    """

    status: int
    body: Mapping[str, Any] | None
    number: int
    code: str
    message: str
    trace: str

    @property
    def shown(self) -> str:
        """All of it, for people."""
        return f"HTTP {self.status} {self.code} {self.message}".rstrip() if self.number else f"HTTP {self.status}"


def listen(answer: http.Answer, hidden: Iterable[str] = ()) -> Said:
    """Read any answer.

    Args:
        answer: what came.
        hidden: what must not be shown, whoever repeats it.
    """
    found = lenient.load(answer.body)
    body = found if isinstance(found, dict) else None
    known = body or {}
    numbers = {name: abs(lenient.whole(known.get(name)) or 0) for name in ("err_code", "code")}
    number = numbers["err_code"] or numbers["code"]
    if number < STATUSES_BELOW and answer.status not in _OK:
        number = 0
    parts = [f"{name}={value}" for name, value in numbers.items() if value and (name == "err_code" or value != number)]
    parts = parts or ([f"code={number}"] if number else [])
    if answer.status not in (200, 400) or not parts:
        parts.append(f"http={answer.status}")
    trace = answer.headers.get(TRACE, "") or lenient.text(known.get("trace_id"))
    return Said(
        status=answer.status,
        body=body,
        number=number,
        code=" ".join(parts),
        message=lenient.words(known.get("message") or "", hidden),
        trace="".join(character for character in trace if character.isprintable())[:TRACE_MAX],
    )


def sent(
    answer: http.Answer, credential: int, hidden: Iterable[str] = ()
) -> Taken | Pending | Refusal | Unclear | Unauthorised:
    """Read the answer to a send.

    Args:
        answer: what came.
        credential: number of the token it was asked with.
        hidden: what must not be shown.
    """
    said = listen(answer, hidden)
    if said.status == 204:
        return Taken(trace=said.trace)
    if said.number in PENDING:
        return Pending(audit=_audit(said.body), trace=said.trace)
    if said.number:
        return _unauthorised(said, credential) or _refusal(said, answer)
    if said.status in _OK:
        return _taken(said)
    if said.status >= 500:
        return Unclear(error=f"{said.shown}, so the platform may or may not have taken it{_by(said)}")
    return _unauthorised(said, credential) or _refusal(said, answer)


def _taken(said: Said) -> Taken | Pending | Unclear:
    if said.body is None:
        return Unclear(error=f"{said.shown}, with an answer that is none of the platform's{_by(said)}")
    known_as, audit = lenient.id_of(said.body.get("id")), _audit(said.body)
    if audit or (said.status in (201, 202) and not known_as):
        return Pending(audit=audit, trace=said.trace)
    return Taken(message=known_as, trace=said.trace)


def _audit(body: Mapping[str, Any] | None) -> str:
    data = lenient.mapping((body or {}).get("data"))
    return lenient.id_of(lenient.mapping(data.get("message_audit")).get("audit_id"))


def _refusal(said: Said, answer: http.Answer) -> Refusal:
    hint = http.retry_after(answer)
    if hint is None and said.number in _TOO_OFTEN:
        hint = PENALTY
    return Refusal(code=said.code, message=said.message, hint=hint, trace=said.trace)


def _unauthorised(said: Said, credential: int) -> Unauthorised | None:
    meaning = ERRORS.get(said.number)
    if not (said.status == 401 and meaning is None) and (meaning is None or meaning.kind != "credentials"):
        return None
    words = said.message or (meaning.says if meaning is not None else "")
    action = (meaning.action if meaning is not None else "") or f"if it stays, {APP}"
    return Unauthorised(code=said.code, message=words, action=action, credential=credential, trace=said.trace)


def _by(said: Said) -> str:
    return f" (request {said.trace})" if said.trace else ""


# ---- the access token ------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Issued:
    """A token was handed out.

    Args:
        token: the token.
        lasts: for how long it is good, in ns.
    """

    token: str = attrs.field(repr=False)
    lasts: int


def issued(answer: http.Answer, hidden: Iterable[str] = ()) -> Issued | Failure | Unauthorised:
    """Read the answer of the token endpoint. There is a token in it, or there is none; its status says nothing."""
    said = listen(answer, hidden)
    token = lenient.text((said.body or {}).get("access_token")).strip()
    if TOKEN.fullmatch(token) and said.status in _OK:
        return Issued(token=token, lasts=_life((said.body or {}).get("expires_in")))
    if said.number in _NO_APP:
        return Unauthorised(code=said.code, message=said.message, action=_NO_APP[said.number], trace=said.trace)
    return _failure(said, answer, "the answer holds no access token")


def _life(value: object) -> int:
    seconds = lenient.whole(value)
    if seconds is None or seconds <= 0:
        return LIFE_UNKNOWN
    return min(seconds * SECONDS, LIFE_MAX)


# ---- the gateway's address -------------------------------------------------------------------------------------------


def address(
    answer: http.Answer, credential: int, hidden: Iterable[str] = (), *, encrypted: bool = False
) -> Address | Failure | Unauthorised:
    """Read the answer to the question where the gateway is.

    Args:
        answer: what came.
        credential: number of the token it was asked with.
        hidden: what must not be shown.
        encrypted: whether an address without TLS is refused: the token would travel over it in the open.
    """
    said = listen(answer, hidden)
    if said.number or said.status != 200 or said.body is None:
        return _unauthorised(said, credential) or _failure(said, answer, "the answer holds no object")
    found = lenient.text(said.body.get("url")).strip()
    if not _is_gateway(found):
        return _failure(said, answer, "the answer holds no address of a gateway")
    if encrypted and not found.startswith("wss://"):
        return attrs.evolve(
            _failure(said, answer, "the platform names a gateway without encryption"),
            action="check api_base; if such a gateway is meant, name it in gateway_url",
        )
    return Address(url=found, starts_in=_starts_in(lenient.mapping(said.body.get("session_start_limit"))))


def _is_gateway(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _starts_in(limit: Mapping[str, Any]) -> int:
    remaining, reset = lenient.whole(limit.get("remaining")), lenient.whole(limit.get("reset_after"))
    if remaining is None or remaining > 0:
        return 0
    return min(reset * MILLISECONDS, STARTS_IN_MAX) if reset is not None and reset > 0 else STARTS_IN


def _failure(said: Said, answer: http.Answer, otherwise: str) -> Failure:
    """Say why there is no token, or no address.

    Args:
        said: what the answer says.
        answer: the same as it came.
        otherwise: what is wrong with it, if it does not say.
    """
    meaning = ERRORS.get(said.number)
    hint = http.retry_after(answer) or (PENALTY if said.number in _TOO_OFTEN else None)
    wrong = said.shown if said.number or said.status != 200 else f"{said.shown}: {otherwise}"
    wrong += f" ({meaning.says})" if meaning is not None else ""
    action = meaning.action if meaning is not None and meaning.kind in ("account", "dead") else ""
    if not said.number and said.status in (404, 405):
        action = "correct api_base or token_url: what answers there is not the API"
    return Failure(stage="answer", error=f"{wrong}{_by(said)}", reachable=said.status < 500, hint=hint, action=action)
