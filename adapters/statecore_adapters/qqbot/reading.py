"""What a refusal is taken to mean.

The platform says what is wrong by a number, so there is little to guess: `codes` says what each is about, and here stands
what follows. Two things are never done. A code that nobody has explained is not tried again with the same message; it is
surfaced, with the platform's id of the request, for its support. And no English or Chinese word in it decides anything.

What is wrong with the account (an address that is not allowed, a ban) ends no message: it says nothing about any.
"""

import re
from typing import Final

from statecore.platform import Refusal
from statecore.reading import Evidence, Reading
from statecore_adapters.qqbot.codes import ERRORS, Meaning

_NUMBER: Final = re.compile(r"\b(err_code|code|http)=(\d{1,12})\b", re.ASCII)
_ORDER: Final = ("err_code", "code")  # the documents of 2026 decide by the first; either may be the one that is known

CHECK_BASE: Final = "check api_base, and any proxy on the way: what answers there is not the API"


def read(refusal: Refusal, evidence: Evidence, *, markup: bool = False) -> Reading:
    """Say what a refusal is taken to mean. Never raises.

    Args:
        refusal: what came: its code is "err_code=...", "code=...", "http=...", or several of them.
        evidence: what was known at that moment.
        markup: whether messages are sent as Markdown.
    """
    numbers = {name: int(value) for name, value in _NUMBER.findall(refusal.code)}
    for name in _ORDER:
        if (meaning := ERRORS.get(numbers.get(name, 0))) is not None:
            return _known(meaning, evidence, markup=markup)
    if not any(numbers.get(name) for name in _ORDER) and "http" in numbers:
        return _http(numbers["http"], refusal)
    if numbers.get("http") in (404, 405):
        return _http(404, refusal)
    return _unknown(refusal)


def _known(meaning: Meaning, evidence: Evidence, *, markup: bool) -> Reading:
    says, action = meaning.says, meaning.action
    match meaning.kind:
        case "slot" if evidence.answers:
            return Reading("slot", says, action)
        case "slot" | "unasked":
            return Reading("window", says, action or "wait for the user's next message")
        case "limit" if evidence.answers:
            return Reading("slot", says, action, throttled=True)
        case "limit" | "chat-rate":
            return Reading("circuit", says, action, throttled=True)
        case "taken":
            return Reading("taken", says, action)
        case "retry":
            return Reading("retry", says, action)
        case "account-rate":
            return Reading("account", says, action, throttled=True)
        case "account":
            return Reading("account", says, action)
        case "credentials":
            return Reading("credentials", says, action)
        case "quota":
            return Reading("circuit", says, action)
        case "markup" | "no-markup" if markup and not evidence.bare:
            lasts = meaning.kind == "no-markup"
            return Reading("bare", f"{says}; one attempt without it tells", action, lasts=lasts)
        case "markup" | "no-markup" | "dead":
            return Reading("dead", says, action)


def _http(status: int, refusal: Refusal) -> Reading:
    """Read a refusal of whatever answers in front of the platform, without a code."""
    if status == 429:
        return Reading("account", "the platform asks for fewer requests", throttled=True)
    if status == 413:
        return Reading("dead", "the request is too large", "lower text_chars, and send it again")
    if status in (408, 425) or status >= 500:
        return Reading("retry", "a passing fault of the server")
    if status == 401:
        return Reading("credentials", "the access token was refused, without a reason")
    if status < 400 or status in (403, 404, 405, 407):
        return Reading("account", "what answers is not the API, or lets nothing of this account in", CHECK_BASE)
    return _unknown(refusal)


def _unknown(refusal: Refusal) -> Reading:
    said = f"{refusal.code} {refusal.message}".strip()
    trace = f" of the request {refusal.trace}" if refusal.trace else ""
    return Reading(
        "dead",
        f"the platform refused it for a reason that nobody has explained: {said}{trace}",
        "look the code up in the platform's documents, or ask its support; then report it",
    )
