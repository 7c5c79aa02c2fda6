"""What a platform still allows in answer to the last inbound message."""

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


def left(policy: Window, spent: int) -> int:
    """Return how many messages may still leave."""
    return max(0, policy.messages - spent)
