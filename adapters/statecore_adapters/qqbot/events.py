"""What a dispatch says: a message, the outcome of a review, or nothing that is asked for here.

A message that mentions the bot in a group may come under two names, and does so under one id, so that whoever keeps ids
takes it once. Its text comes out the same under both.

What another bot says is not a message: two bots that answer each other never stop. That holds for the bot itself, whose
own words a private bot in a guild is sent.

Source: QQ bot API v2, events, as of 2026.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from statecore.platform import Message, Review
from statecore_adapters.qqbot import lenient
from statecore_adapters.qqbot.chats import UNKNOWN
from statecore_adapters.qqbot.text import unaddressed, unescape

UNREADABLE: Final = "unreadable"
QUOTE: Final = 103  # message_type

SCENES: Final[Mapping[str, str]] = {
    "C2C_MESSAGE_CREATE": "c2c",
    "GROUP_AT_MESSAGE_CREATE": "group",
    "GROUP_MESSAGE_CREATE": "group",
    "AT_MESSAGE_CREATE": "channel",
    "MESSAGE_CREATE": "channel",
    "DIRECT_MESSAGE_CREATE": "dm",
}
"""The events that are messages, and where each was said."""

REVIEWS: Final[Mapping[str, bool]] = {"MESSAGE_AUDIT_PASS": True, "MESSAGE_AUDIT_REJECT": False}


def read(name: str, d: object, bot: str) -> Message | Review | str:
    """Read what a dispatch brought; a text says what it was that nothing comes of. Never raises.

    Args:
        name: of the event.
        d: what it holds, of any shape.
        bot: the bot's own id; empty if it is not known.
    """
    known = lenient.mapping(d)
    if name in SCENES:
        if _is_bots(known, bot):
            return f"{name} of a bot"
        return _message(SCENES[name], known, bot) if known else _unreadable(d)
    if name in REVIEWS:
        return _review(name, known)
    return lenient.words(name) or "a dispatch without a name"


def _is_bots(d: Mapping[str, Any], bot: str) -> bool:
    author = lenient.mapping(d.get("author"))
    return author.get("bot") is True or (bool(bot) and lenient.id_of(author.get("id")) == bot)


def _review(name: str, d: Mapping[str, Any]) -> Review | str:
    audit = lenient.id_of(d.get("audit_id"))
    if not audit:
        return f"{name} without an id"
    return Review(audit=audit, passed=REVIEWS[name], message=lenient.id_of(d.get("message_id")))


# ---- messages --------------------------------------------------------------------------------------------------------


def _unreadable(d: object) -> Message:
    """Keep what cannot be read at all: it covers the place of something that was said."""
    known_as = lenient.digest(d)
    return Message(chat=UNKNOWN, sender=UNKNOWN, id=known_as, text="", kinds=(UNREADABLE,), weak_id=True)


def _message(scene: str, d: Mapping[str, Any], bot: str) -> Message:
    author = lenient.mapping(d.get("author"))
    target = _target(scene, d, author)
    sender = _first(author, "user_openid", "member_openid", "id") or UNKNOWN
    attachments = [lenient.mapping(one) for one in lenient.listed(d.get("attachments"))]
    said = _text(scene, d, bot)
    given = lenient.id_of(d.get("id"))
    known_as = given or lenient.digest([scene, target, sender, d.get("timestamp"), said, d.get("attachments")])
    kinds = ("text",) if said.strip() or not attachments else ()
    return Message(
        chat=f"{scene}:{target}" if target else UNKNOWN,
        sender=sender,
        id=known_as,
        text=said if said.strip() else _transcript(attachments),
        kinds=(*kinds, *(_kind(one) for one in attachments)),
        sent_at=lenient.date_ms(d.get("timestamp")),
        weak_id=not given,
        quotes=_quoted(d),
    )


def _target(scene: str, d: Mapping[str, Any], author: Mapping[str, Any]) -> str:
    match scene:
        case "c2c":
            return _first(author, "user_openid", "id")
        case "group":
            return _first(d, "group_openid", "group_id")
        case "channel":
            return _first(d, "channel_id")
        case _:
            return _first(d, "guild_id")  # of the private conversation; src_guild_id is where its member is from


def _text(scene: str, d: Mapping[str, Any], bot: str) -> str:
    content = lenient.text(d.get("content"))
    if scene == "c2c":
        return content
    said = unaddressed(content, _own_names(d, bot))
    return said if scene == "group" else unescape(said)


def _own_names(d: Mapping[str, Any], bot: str) -> list[str]:
    """Return the ids by which this message may mention the bot.

    In groups a mention says that it is of the bot. In guilds it only says that it is of a bot, so where the bot's own id
    is not known it counts if there is but one.
    """
    mentions = [lenient.mapping(one) for one in lenient.listed(d.get("mentions"))]
    own = [one for one in mentions if one.get("is_you") is True]
    bots = [one for one in mentions if one.get("bot") is True]
    if not own and not bot and len(bots) == 1:
        own = bots
    keys = ("id", "member_openid", "user_openid")
    return [bot, *(name for one in own for key in keys if (name := lenient.id_of(one.get(key))))]


def _kind(attachment: Mapping[str, Any]) -> str:
    """Return the kind of an attachment, from what the platform calls its type: image/jpeg, video/mp4, voice, file."""
    found = re.match(r"(image|video|voice|audio)\b", lenient.text(attachment.get("content_type")).lower())
    return {"audio": "voice"}.get(found[1], found[1]) if found else "file"


def _transcript(attachments: list[Mapping[str, Any]]) -> str:
    """Return what the platform heard in a voice message, if it says so."""
    return next((heard for one in attachments if (heard := lenient.text(one.get("asr_refer_text")))), "")


def _quoted(d: Mapping[str, Any]) -> str:
    """Return the id of the message it answers, if any: of a kind of its own for people and groups."""
    if referred := lenient.id_of(lenient.mapping(d.get("message_reference")).get("message_id")):
        return referred
    if lenient.whole(d.get("message_type")) != QUOTE:
        return ""
    notes = lenient.listed(lenient.mapping(d.get("message_scene")).get("ext"))
    return next((note.partition("=")[2] for note in map(lenient.text, notes) if note.startswith("ref_msg_idx=")), "")


def _first(source: Mapping[str, Any], *keys: str) -> str:
    return next((found for key in keys if (found := lenient.id_of(source.get(key)))), "")
