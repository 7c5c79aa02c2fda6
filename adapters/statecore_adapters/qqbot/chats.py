"""Where a message goes: a chat's id is its scene, a colon, and the platform's id of it.

The platform's ids do not tell of which scene they are, and what is right in one is an error in another, so the scene is
part of ours. A member of a guild in private is "dm" and the id of the guild that stands for that conversation.

Source: QQ bot API v2, sending messages, as of 2026.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from statecore.errors import NotAccepted

PATHS: Final[Mapping[str, str]] = {
    "c2c": "/v2/users/{}/messages",
    "group": "/v2/groups/{}/messages",
    "channel": "/channels/{}/messages",
    "dm": "/dms/{}/messages",
}

ID_CHARS_MAX: Final = 256
"""Real ones have 32 or fewer."""

UNKNOWN: Final = "unknown"
"""The chat of a message that does not say where it was said. Nothing can be sent there."""


def check(chat: str) -> None:
    """See whether this can be the id of a chat.

    Raises:
        NotAccepted: it cannot.
    """
    scene, _, target = chat.partition(":")
    shaped = scene in PATHS and 0 < len(target) <= ID_CHARS_MAX
    if not shaped or not target.isprintable() or " " in target or target in (".", ".."):
        raise NotAccepted(
            f"{chat[:80]!r} is no chat of QQ's; one looks like c2c:OPENID, group:GROUP_OPENID, channel:CHANNEL_ID "
            "or dm:GUILD_ID, as it stands in the messages that come in"
        )


def path(chat: str) -> str:
    """Return where messages for a chat are posted.

    >>> path("group:5A/C8")
    '/v2/groups/5A%2FC8/messages'
    """
    scene, _, target = chat.partition(":")
    return PATHS[scene].format(quote(target, safe=""))


def counts_answers(chat: str) -> bool:
    """Tell whether answers carry a number there, by which the platform recognises one that it has taken before."""
    return chat.startswith(("c2c:", "group:"))


def in_guild(chat: str) -> bool:
    """Tell whether the older rules of guilds hold there."""
    return chat.startswith(("channel:", "dm:"))
