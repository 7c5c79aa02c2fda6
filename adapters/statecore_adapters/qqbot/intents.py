"""What the gateway is asked to send, one bit for each kind of event.

Source: QQ bot API v2, event subscription, as of 2026. Bits 0, 1 and 30 are granted to every bot; for the others the bot's
owner asks in the console. One bit too many and the platform refuses the whole session with 4014.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from statecore.errors import ConfigError

BITS: Final[Mapping[str, int]] = {
    "GUILDS": 1 << 0,
    "GUILD_MEMBERS": 1 << 1,
    "GUILD_MESSAGES": 1 << 9,  # private bots
    "GUILD_MESSAGE_REACTIONS": 1 << 10,
    "DIRECT_MESSAGE": 1 << 12,
    "OPEN_FORUM_EVENT": 1 << 18,
    "AUDIO_OR_LIVE_CHANNEL_MEMBER": 1 << 19,
    "ENTER_AIO": 1 << 23,
    "GROUP_MEMBER": 1 << 24,
    "GROUP_AND_C2C_EVENT": 1 << 25,
    "INTERACTION": 1 << 26,
    "MESSAGE_AUDIT": 1 << 27,
    "FORUMS_EVENT": 1 << 28,  # private bots
    "AUDIO_ACTION": 1 << 29,
    "PUBLIC_GUILD_MESSAGES": 1 << 30,
}

CHAT: Final = (
    BITS["GROUP_AND_C2C_EVENT"] | BITS["DIRECT_MESSAGE"] | BITS["PUBLIC_GUILD_MESSAGES"] | BITS["MESSAGE_AUDIT"]
)
"""What a bot that chats needs: messages, and what became of its own where somebody looks at them first. Not the presses
of buttons: each wants an answer, and nothing here gives one."""

EVERY: Final = sum(BITS.values())


def read(value: object) -> int:
    """Read intents as people write them: the number, or names.

    Raises:
        ConfigError: there is no such intent, or none at all.

    >>> read(["GROUP_AND_C2C_EVENT", "INTERACTION"])
    100663296
    """
    names = ", ".join(BITS)
    if isinstance(value, int) and not isinstance(value, bool):
        if value <= 0 or value & ~EVERY:
            raise ConfigError("intents", f"{value} has bits that stand for nothing; the intents are {names}")
        return value
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError("intents", f"must be a list of names, or a number; the names are {names}")
    found = 0
    for name in value:
        if not isinstance(name, str) or name not in BITS:
            raise ConfigError("intents", f"there is no intent {name!r}; there are {names}")
        found |= BITS[name]
    if not found:
        raise ConfigError("intents", f"names none, so nothing would ever come in; there are {names}")
    return found
