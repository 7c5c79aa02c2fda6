"""What the platform's codes mean: why it closes a connection, and why it refuses a message. Two tables, and nothing else.

Source: QQ bot API v2, error codes, as of 2026. Where its words and what bots met differ, what they met counts.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import attrs

from statecore.platform import Ended
from statecore.units import SECONDS

PENALTY: Final = 60 * SECONDS
"""How long the platform wants to be left alone by a bot that sent frames, fetched tokens or asked for the gateway too
often; it says so nowhere, and what comes sooner is refused again. Source: clients in the field."""

CONSOLE: Final = "in the bot's console at q.qq.com"

# ---- why a connection was closed -------------------------------------------------------------------------------------


@attrs.frozen
class Close:
    """What a close code means.

    Args:
        then: as in `Ended`.
        says: the meaning, for people.
        action: what a person must do, where time does not cure it.
        hint: how long to stay away, in ns.
    """

    then: Literal["resume", "identify", "token", "stop"]
    says: str
    action: str = ""
    hint: int | None = None


_REPORT: Final = "report this: it is a mistake of ours"
_INTERNAL: Final = Close("identify", "an internal error of the platform")

# fmt: off
CLOSES: Final[Mapping[int, Close]] = {
    1000: Close("resume",   "it was closed in good order"),
    1001: Close("resume",   "the gateway goes away"),
    1005: Close("resume",   "it was closed without a reason"),
    1006: Close("resume",   "the connection broke off"),
    4000: Close("resume",   "an error the platform does not name"),
    4001: Close("stop",     "the platform does not know an op that was sent", _REPORT),
    4002: Close("stop",     "the platform cannot read a frame that was sent", _REPORT),
    4003: Close("identify", "it was used before it was identified"),
    4004: Close("token",    "the access token was refused"),
    4005: Close("resume",   "it was identified twice"),
    4006: Close("identify", "the session is not valid any more"),
    4007: Close("identify", "the place to resume from is not valid"),
    4008: Close("resume",   "frames were sent too fast", hint=PENALTY),
    4009: Close("resume",   "the connection has had its time"),
    4010: Close("stop",     "the shard is not valid", "the bot needs more than one connection, which this adapter does not make"),
    4011: Close("stop",     "the bot is in too many guilds for one connection",
                "let it leave guilds, or take the guild events out of intents"),
    4012: Close("stop",     "the platform speaks another version of the protocol", "look for a newer statecore"),
    4013: Close("stop",     "the intents are not valid", "correct intents"),
    4014: Close("stop",     "the intents hold one that the bot was not granted",
                f"take it out of intents (and leave private_guilds off), or apply for it {CONSOLE}"),
    **dict.fromkeys(range(4900, 4914), _INTERNAL),
    4903: Close("identify", "the platform could not begin a session"),
    4914: Close("stop",     "the bot is taken offline, or allowed in the sandbox only",
                f"publish it {CONSOLE}, or set sandbox"),
    4915: Close("stop",     "the bot is banned", f"look {CONSOLE} for the reason, and appeal there"),
}
# fmt: on


def closed(code: int, reason: str = "") -> Ended:
    """Say what follows from a close code. One that nobody has explained is resumed; the machine counts how often.

    Args:
        code: of the close frame; 1005 if it carried none, 1006 if there was no frame.
        reason: what it said, fit to be shown.

    >>> closed(4004).then, closed(4999).then
    ('token', 'resume')
    """
    known = CLOSES.get(code, Close("resume", "the platform did not say why"))
    return Ended(
        code=str(code) if code != 1006 else "eof",
        error=f"{known.says} ({reason})" if reason else known.says,
        then=known.then,
        hint=known.hint,
        action=known.action,
    )


# ---- why a message was refused ---------------------------------------------------------------------------------------

Kind = Literal["slot", "limit", "taken", "retry", "chat-rate", "account-rate", "account", "credentials", "quota",
               "unasked", "no-markup", "markup", "dead"]  # fmt: skip
"""What a code is about; `reading` says what follows.

slot          the message that was answered may not be answered any more
limit         too many answers to it, or too many messages
taken         the number of the answer was used before
retry         a passing fault
chat-rate     too fast for this chat
account-rate  too fast for the account
account       nothing of the account's is let through
credentials   the access token, or the app itself
quota         used up for now
unasked       a message that answers none is not permitted
no-markup     no Markdown is permitted
markup        this Markdown, or what hangs on it
dead          this message, to this chat, never
"""


@attrs.frozen
class Meaning:
    """What an error code means.

    Args:
        kind: what it is about.
        says: the meaning, for people.
        action: what a person can do.
    """

    kind: Kind
    says: str
    action: str = ""


_APP: Final = f"compare app_id and client_secret with those {CONSOLE}"
_REST: Final = "wait for the user's next message; it opens another window"
_GRANT: Final = f"apply {CONSOLE} for the permission"
_ALLOW: Final = f"add this machine's address to the IP allow-list {CONSOLE}"
_INVITE: Final = "invite the bot to the group again"
_SHORTER: Final = "lower text_chars, and send it again"
_REWORD: Final = "send it in other words"
_ADDRESS: Final = "check the chat's id: ids of one scene, or of another bot, are none here"
_PLAIN: Final = 'send it as text: format = "text"'
_MEDIA: Final = "send it without, or upload it again"

# fmt: off
_ROWS: Final[tuple[tuple[Iterable[int], Meaning], ...]] = (
    # -- the message that was answered
    ((304026, 40034024),         Meaning("slot", "the message that was answered is not known here")),
    ((304027, 304103, 40034005), Meaning("slot", "the message that was answered is too old")),
    ((304028, 40034027),         Meaning("slot", "the message that was answered may not be answered")),
    ((40034025, 40034026),       Meaning("slot", "the event that was answered is not valid any more")),
    ((40034128,),                Meaning("slot", "it is too old, or was answered too often")),
    ((22009,),                   Meaning("limit", "the limit of messages is exceeded")),
    ((40054005,),                Meaning("taken", "an answer with this number was taken before")),

    # -- passing faults
    ((11252, 11263, 11281),      Meaning("retry", "the platform could not look up a permission")),
    ((12003,),                   Meaning("retry", "the platform could not write its answer")),
    ((304007, 304008, 304009, 304010, 304017, 304021, 304029),
                                 Meaning("retry", "the platform failed to look something up, or to carry a file")),
    ((304016,),                  Meaning("retry", "the platform failed to send it")),
    ((304018,),                  Meaning("retry", "the platform takes the bot for offline; its session is not up yet")),
    ((304082, 304083, 40034004), Meaning("retry", "the platform failed to fetch or convert a file")),
    ((40054006, 50055001, 50055002, 50055006), Meaning("retry", "the platform asks to try again later")),
    ((40093001,),                Meaning("retry", "a part of an upload is not finished")),

    # -- too fast
    ((20028, 1100308),           Meaning("chat-rate", "too many messages for this channel")),
    ((40034100,),                Meaning("chat-rate", "too many messages that answer none")),
    ((100001, 100017, 50002, 1100100, *range(504000, 505000)),
                                 Meaning("account-rate", "the account asks too often")),

    # -- the account
    ((11241, 11243, 11244),      Meaning("credentials", "the access token is not valid")),
    ((11242, 40012002),          Meaning("credentials", "the platform could not check the access token")),
    ((11245,),                   Meaning("credentials", "tokens that never change are not accepted any more", _APP)),
    ((11251, 11261, 11275),      Meaning("credentials", "the app is not known, or not named", _APP)),
    ((11298, 40023002),          Meaning("account", "the platform does not accept this machine's address", _ALLOW)),
    ((11265,),                   Meaning("account", "the bot is banned", f"look {CONSOLE} for the reason, and appeal there")),
    ((40054016,),                Meaning("account", "the bot is offline", f"publish it {CONSOLE}")),

    # -- used up
    ((304022,),                  Meaning("quota", "nothing may be pushed at this hour")),
    ((304035, 304045, 304046, 304047, 304048, 304049, 304050),
                                 Meaning("quota", "today's messages that answer none are used up", _REST)),
    ((40034122, 40034123),       Meaning("quota", "the messages that may wake this user up are used up", _REST)),
    ((40054002,),                Meaning("quota", "the bot is muted in the group", "ask the group's owner to unmute it")),
    ((40093002,),                Meaning("quota", "today's uploads are used up")),
    ((40034102, 40034105),       Meaning("unasked", "a message that answers none is not permitted here", _REST)),

    # -- Markdown
    ((50056, 304036, 40034127),  Meaning("no-markup", "the bot may not send Markdown", _PLAIN)),
    ((50054, 50055, 50057),      Meaning("markup", "the bot may not send Markdown like this", _PLAIN)),
    ((40034008, 40034009, 40034010, 40034011, 40034124),
                                 Meaning("markup", "the Markdown is not valid", _PLAIN)),
    ((304037, 304038, 304039, 304040, 304057), Meaning("markup", "the keyboard is not permitted", _PLAIN)),

    # -- this message
    ((40054007, 40054018, 1000001), Meaning("dead", "the message is too long", _SHORTER)),
    ((304003, 40054010),         Meaning("dead", "it holds an address of the web that is not registered",
                                         f"take the address out, or register it {CONSOLE}")),
    ((304025, 40034006, 1100101, 1100103), Meaning("dead", "moderation does not let it through", _REWORD)),
    ((50006,),                   Meaning("dead", "the message is empty")),
    ((22006, 50059, 340069),     Meaning("dead", "the kind of message does not fit what is in it")),
    ((50035, 50037, *range(50041, 50054)), Meaning("dead", "the message has a form that is not accepted")),
    ((12001, 12002),             Meaning("dead", "the platform cannot read the request", _ADDRESS)),
    ((304061,),                  Meaning("dead", "what is in it is not valid")),
    ((304020,),                  Meaning("dead", "the file is too big", _MEDIA)),
    ((304080,),                  Meaning("dead", "the file is not there any more", _MEDIA)),
    ((40034001, *range(850000, 851000)), Meaning("dead", "the file could not be fetched", _MEDIA)),
    ((305007, 40034029),         Meaning("dead", "the keyboard is too big")),
    ((40007, 40113003),          Meaning("dead", "what was shown of it may not change any more")),

    # -- this chat
    ((10001, 10003, 10004),      Meaning("dead", "there is no such user, channel or guild", _ADDRESS)),
    ((11255, 1100104),           Meaning("dead", "there is no such chat, or not any more", _ADDRESS)),
    ((11253, 11254, 11264, 11274, 11282), Meaning("dead", "the bot was not granted this call", _GRANT)),
    (range(301000, 301100),      Meaning("dead", "the bot lacks a permission in the channel",
                                         "ask the guild's owner for it")),
    ((304031, 304032, 304033, 304034), Meaning("dead", "this private conversation is closed, or its member has left")),
    ((40034101, 40054003),       Meaning("dead", "the bot is not in the group", _INVITE)),
    ((40054004,),                Meaning("dead", "the user is no friend of the bot", "ask the user to add the bot")),
    ((40054013,),                Meaning("dead", "the user does not want messages", "ask the user to allow them")),
)
# fmt: on

ERRORS: Final[Mapping[int, Meaning]] = {code: meaning for codes, meaning in _ROWS for code in codes}
assert len(ERRORS) == sum(len(tuple(codes)) for codes, _ in _ROWS), "a code stands in one row"

PENDING: Final = frozenset({304023, 304024})
"""No refusals, though they look like some: it was taken, and somebody looks at it first."""
