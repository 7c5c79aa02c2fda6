"""Which intent bit lets which event through.

Source: QQ bot API v2, event subscription, as of 2026.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["ALL_INTENTS", "CHAT_INTENTS", "DEFAULT_INTENTS", "PRIVATE_INTENTS", "PUBLIC_INTENTS", "wanted"]

EVENTS: Final[Mapping[int, tuple[str, ...]]] = {
    0: ("GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE", "CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE"),
    1: ("GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE"),
    9: ("MESSAGE_CREATE", "MESSAGE_DELETE"),  # private bots
    10: ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"),
    12: ("DIRECT_MESSAGE_CREATE", "DIRECT_MESSAGE_DELETE"),
    18: ("OPEN_FORUM_*",),
    19: ("AUDIO_OR_LIVE_CHANNEL_MEMBER_ENTER", "AUDIO_OR_LIVE_CHANNEL_MEMBER_EXIT"),
    23: ("ENTER_AIO",),
    24: ("GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE"),
    25: (
        "C2C_MESSAGE_CREATE",
        "FRIEND_ADD",
        "FRIEND_DEL",
        "C2C_MSG_REJECT",
        "C2C_MSG_RECEIVE",
        "GROUP_AT_MESSAGE_CREATE",
        "GROUP_MESSAGE_CREATE",
        "GROUP_ADD_ROBOT",
        "GROUP_DEL_ROBOT",
        "GROUP_MSG_REJECT",
        "GROUP_MSG_RECEIVE",
        "GROUP_JOIN_REQUEST",
    ),
    26: ("INTERACTION_CREATE",),
    27: ("MESSAGE_AUDIT_PASS", "MESSAGE_AUDIT_REJECT"),
    28: ("FORUM_*",),  # private bots
    29: ("AUDIO_START", "AUDIO_FINISH", "AUDIO_ON_MIC", "AUDIO_OFF_MIC"),
    30: ("AT_MESSAGE_CREATE", "PUBLIC_MESSAGE_DELETE"),
}

ALL_INTENTS: Final = sum(1 << bit for bit in EVENTS)
PRIVATE_INTENTS: Final = 1 << 9 | 1 << 28
PUBLIC_INTENTS: Final = ALL_INTENTS & ~PRIVATE_INTENTS  # everything a bot can be granted without being private
DEFAULT_INTENTS: Final = 1 << 0 | 1 << 1 | 1 << 30  # what every bot has
CHAT_INTENTS: Final = 1 << 25 | 1 << 26  # what a bot for persons and groups asks for


def wanted(event: str, intents: int) -> bool:
    """Tell whether a session with these intents is sent this event. Events nobody knows go to everyone."""
    bits = [bit for bit, names in EVENTS.items() if any(_matches(event, name) for name in names)]
    return not bits or any(intents >> bit & 1 for bit in bits)


def _matches(event: str, name: str) -> bool:
    return event.startswith(name[:-1]) if name.endswith("*") else event == name
