"""Who may have a session, and what a returning client is told. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from .intents import ALL_INTENTS
from .knobs import Knobs, Replay
from .model import Bot, Session

__all__ = [
    "CLOSE_ALREADY_IDENTIFIED",
    "CLOSE_BAD_INTENTS",
    "CLOSE_BAD_PAYLOAD",
    "CLOSE_BAD_SEQ",
    "CLOSE_BAD_SHARD",
    "CLOSE_INTENTS_NOT_ALLOWED",
    "CLOSE_NO_SESSION",
    "CLOSE_SESSION_GONE",
    "CLOSE_TIMED_OUT",
    "CLOSE_TOO_FAST",
    "CLOSE_UNKNOWN_OP",
    "identify_flaw",
    "in_order",
    "read_shard",
]

CLOSE_UNKNOWN_OP: Final = 4001
CLOSE_BAD_PAYLOAD: Final = 4002
CLOSE_ALREADY_IDENTIFIED: Final = 4005
CLOSE_SESSION_GONE: Final = 4006
CLOSE_BAD_SEQ: Final = 4007
CLOSE_TOO_FAST: Final = 4008
CLOSE_TIMED_OUT: Final = 4009
CLOSE_BAD_SHARD: Final = 4010
CLOSE_BAD_INTENTS: Final = 4013
CLOSE_INTENTS_NOT_ALLOWED: Final = 4014
CLOSE_NO_SESSION: Final = 4903


def identify_flaw(bot: Bot | None, d: Mapping[str, Any], knobs: Knobs, now: float) -> int:
    """Return the close code that says why this Identify fails, or 0."""
    intents, shard = d.get("intents"), d.get("shard")
    if bot is None:
        return knobs.voided_token_code
    if bot.barred is not None:
        return bot.barred
    if not isinstance(intents, int) or intents <= 0 or intents & ~ALL_INTENTS:
        return CLOSE_BAD_INTENTS
    if intents & ~bot.intents:
        return CLOSE_INTENTS_NOT_ALLOWED
    if shard is not None and read_shard(shard) is None:
        return CLOSE_BAD_SHARD
    if bot.starts.left(now, knobs.session_starts) == 0:
        return CLOSE_NO_SESSION
    return 0


def read_shard(value: Any) -> tuple[int, int] | None:
    """Read [index, count]; None when it is neither that nor possible."""
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, int) for part in value):
        return None
    index, count = value
    return (index, count) if 0 <= index < count else None


def in_order(replay: Replay, session: Session, seq: int, resumed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Put the events a client missed, and RESUMED, in the order the knob asks for."""
    missed = session.missed(seq)
    match replay:
        case "in_order":
            return [*missed, resumed]
        case "duplicates":
            seen = [event for event in session.events if event["s"] <= seq][-1:]
            return [*seen, *(event for event in missed for _ in range(2)), resumed]
        case "gaps":
            return [*missed[::2], resumed]
        case "shuffled":
            return [*reversed(missed), resumed]
        case "resumed_first":
            return [resumed, *missed]
