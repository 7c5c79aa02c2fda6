"""What a refusal of `sendmessage` is taken to mean.

iLink says -2 for a closed window, a spent quota, a burst, a text that is too long and a body it cannot read, with the
same words or none, and never how long to wait. So -2 is read with the evidence at hand, in the order in which the
evidence is certain: what is known about the text, then about the window, and only then about the token and the rate.

Three things are never done. A refusal that a message from the user would cure is not read as one that time cures: to
probe a closed window is useless, and said to prolong it. A code that nobody has explained ends nothing. And "rate
limited" in a refusal is not believed: no such words were ever seen on the wire, only in other programs' logs.

Source: Tencent/openclaw-weixin#81 and #204 (quota), #156 (24 hours), #216 and #286 (tokens); cc-connect#1640 (bursts);
NousResearch/hermes-agent#35062 (-3), #80125, #96416 and #101039 ("prepare failed").
"""

import re
from typing import Final

from statecore.platform import Refusal
from statecore.reading import Evidence, Reading
from statecore.units import HOURS, show_duration
from statecore_adapters.weixin.protocol import RENEW, TOKEN_DEAD, WINDOW_HOURS
from statecore_adapters.weixin.text import UTF8_MAX

AMBIGUOUS: Final = -2
"""Refused, for one of five reasons."""

ENVELOPE: Final = -3
"""No such user, or a send without the context token where one is wanted. Source: hermes-agent#35062."""

THROTTLES: Final = frozenset({-12, -13})
"""Named as rate limits by third parties, never seen raw."""

BURST: Final = 3
"""Requests within a second of which the last is refused. Source: cc-connect#1640."""

STORM: Final = BURST * 300
"""The same rate kept up for five minutes. Pacing lets through a third of it, and tries at that rate were seen to extend
the penalty. Source: cc-connect#1640. The figure of seven in five minutes (nanobot#3684) is left out: by it an account
that paces itself as everyone does would always be too fast."""

ASK_USER: Final = "ask the user to write to the bot; any message will do, and nothing else helps"

CHECK_ID: Final = "check the chat's id; a user's ends in @im.wechat"
ASK_STRANGER: Final = f"{CHECK_ID}; if it is right, {ASK_USER}"

_RET: Final = re.compile(r"\b(ret|errcode)=(-?\d{1,19})\b", re.ASCII)
_HTTP: Final = re.compile(r"http (\d{3})", re.ASCII)

_OF_THE_PART: Final = frozenset({400, 411, 413, 414, 415, 422})
"""HTTP statuses that blame the request. The others below 500 blame its address, or who asks."""

_PASSING: Final = frozenset({408, 425})


def read(refusal: Refusal, evidence: Evidence, *, utf8: int = UTF8_MAX) -> Reading:
    """Say what a refusal is taken to mean. Never raises.

    Args:
        refusal: what came: its code is "ret=...", "errcode=...", both, or "http ...".
        evidence: what was known at that moment.
        utf8: bytes in a part, as texts are cut for this account; what is larger went around the cutting.
    """
    if found := _HTTP.fullmatch(refusal.code):
        return _http(int(found[1]))
    codes = {int(value) for _, value in _RET.findall(refusal.code)} - {0}
    if TOKEN_DEAD in codes:
        return Reading("credentials", "the bot token is not valid any more", RENEW)
    if evidence.size > utf8:
        return Reading(
            "dead",
            f"the part has {evidence.size} bytes, and {utf8} are the most that is sent",
            "send it in smaller parts; it should have been cut before it was sent, so please report this",
        )
    if AMBIGUOUS in codes:
        return _unreadable(refusal) or _window(evidence) or _token_or_account(evidence)
    if ENVELOPE in codes:
        return _envelope(evidence)
    if codes & THROTTLES:
        return Reading("account", "others have met this code as a rate limit", throttled=True)
    return Reading(
        "circuit",
        f"the code {refusal.code!r} is unknown, so the chat is left alone for a while",
        "if it stays, look the code up in the issues of Tencent/openclaw-weixin, and report it",
    )


def _envelope(evidence: Evidence) -> Reading:
    """Read -3. Of a request with a token only the user can be wrong; of one without, the token may be what is missing.

    Which of the two it is cannot be told for a user who never wrote, and one of them passes: so that ends nothing.
    """
    if not evidence.bare:
        return Reading("dead", "there is no such user for this bot", CHECK_ID)
    if evidence.heard_ago is None:
        return Reading(
            "circuit",
            "there is no such user for this bot, or one who has never written to it",
            ASK_STRANGER,
        )
    return Reading("circuit", "the platform wants a context token here, which only the user brings", ASK_USER)


def _unreadable(refusal: Refusal) -> Reading | None:
    if "invalid argument" not in refusal.message.casefold():
        return None
    return Reading(
        "dead",
        "the platform could not read the request",
        "check that the chat's id is right; if it is, the protocol has changed: look for a newer statecore",
    )


def _window(evidence: Evidence) -> Reading | None:
    """Read it as a closed window, if what is known says that it is closed."""
    # the last one by our count being refused is far likelier a count that differs by one than a token gone bad
    if evidence.spent >= evidence.allowed:
        says = f"the {evidence.allowed} messages allowed since the user last wrote are used up"
    elif evidence.heard_ago is None:
        return Reading("window", "the user has never written, as far as this journal knows", ASK_STRANGER)
    elif evidence.heard_ago > WINDOW_HOURS * HOURS:
        says = f"the user last wrote {show_duration(evidence.heard_ago)} ago, and only {WINDOW_HOURS}h are allowed"
    else:
        return None
    return Reading("window", says, ASK_USER)


def _token_or_account(evidence: Evidence) -> Reading:
    """Read a refusal that came although the window should be open."""
    if evidence.probing:
        return Reading("account", "the account is still refused", throttled=True)
    if not (evidence.bare or evidence.bare_refused):
        return Reading("bare", "the window should be open, so the token may be at fault; one attempt without it tells")
    if evidence.others_refused and not evidence.others_accepted:  # else it is this chat, whoever else is refused too
        others = "another chat is" if evidence.others_refused == 1 else f"{evidence.others_refused} other chats are"
        return Reading("account", f"{others} refused as well, and nothing was accepted since", throttled=True)
    if not evidence.others_accepted:
        if evidence.last_second >= BURST:
            return Reading("account", f"{evidence.last_second} requests left within a second", throttled=True)
        if evidence.last_minutes >= STORM:
            return Reading("account", f"{evidence.last_minutes} requests left within five minutes", throttled=True)
    return Reading(
        "circuit",
        "refused with and without its token, although the window should be open; the user's next message opens it",
        "if that does not pass, ask the user to write to the bot",
    )


def _http(status: int) -> Reading:
    """Read a refusal of whatever answers in front of the platform."""
    if status == 429:
        return Reading("account", "the server asks for fewer requests", throttled=True)
    if status in _PASSING or status >= 500:
        return Reading("retry", "a passing fault of the server")
    if status in _OF_THE_PART:
        return Reading("dead", "the server does not take this request", "check base_url, and what is in the text")
    return Reading(
        "account",
        "what answers is not the API, or does not let this account in; any message would fare the same",
        "check base_url, and any proxy on the way",
    )
