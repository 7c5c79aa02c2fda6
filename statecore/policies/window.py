"""What a platform still allows in answer to what its user wrote."""

from collections.abc import Sequence

import attrs

from statecore.settings import count, duration


@attrs.frozen
class Window:
    """How much may be said after a user has written, and for how long.

    iLink allows about ten messages within 24 hours of the last inbound message; both start again only when the user
    writes. It is spent before a request leaves, never discovered by refusals.

    Source: field reports, Tencent/openclaw-weixin#81 (ten) and its maintainer in #156 (24 hours).

    Args:
        messages: how many messages.
        lasts: for how long.
    """

    messages: int = count(10, low=1, high=1_000_000)
    lasts: int = duration("24h", low="1s", high="365d")


@attrs.frozen(kw_only=True)
class Opening:
    """What one message of the user opened.

    Args:
        message: the platform's id of it; empty where a chat has but one opening.
        heard_at: when it came in, in ns.
        closes_at: until when it may be answered, in ns.
        spent: answers that left and were not certainly refused.
        numbered: the number given last to an answer. It only ever grows: a number stands for one part for good.
    """

    message: str = ""
    heard_at: int = 0
    closes_at: int = 0
    spent: int = 0
    numbered: int = 0


def left(policy: Window, opening: Opening, now: int) -> int:
    """Return how many messages an opening still allows."""
    return max(0, policy.messages - opening.spent) if now < opening.closes_at else 0


def choose(policy: Window, openings: Sequence[Opening], wanted: str, now: int) -> Opening | None:
    """Choose what to answer: the message that is meant, or else the newest that may be answered.

    Args:
        policy: the settings.
        openings: oldest first.
        wanted: the platform's id of the message that is meant; empty for none.
        now: ns.
    """
    usable = [opening for opening in openings if left(policy, opening, now) > 0]
    if wanted:
        for opening in usable:
            if opening.message == wanted:
                return opening
    return usable[-1] if usable else None


def left_in_all(policy: Window, openings: Sequence[Opening], now: int) -> int:
    """Return how many messages all openings of a chat still allow."""
    return sum([left(policy, opening, now) for opening in openings])
