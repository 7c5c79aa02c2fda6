"""How often a session may be begun: a budget that outlives the process.

A platform that is spoken with over a socket counts the sessions a bot begins, some thousand a day, and takes a bot that
goes through them off the air until the next day. A crash loop or a server that closes every session would do that in
minutes. So they are counted here, durably, and the budget is a fraction of the platform's.
"""

import math

import attrs

from statecore.settings import count, duration, number
from statecore.units import DAYS


@attrs.frozen
class Sessions:
    """How sessions are begun and resumed.

    Source of the platform's limits: QQ bot API v2, `session_start_limit` (1000 a day, one in five seconds in its sample).

    Args:
        per_day: how many may be begun in a day, in the long run.
        burst: how many at once after a quiet while.
        apart: the least time between two.
        resume_within: a session whose process ended longer ago than this is not resumed.
        address_lasts: how long the gateway's address is believed.
        renew_before: how long before its end an access token is replaced. The platform gives the same one until a minute
            before its end, so more than that asks in vain.
    """

    per_day: float = number(240, low=1, high=10_000)
    burst: int = count(10, low=1, high=1000)
    apart: int = duration("5s", low="1s", high="1h")
    resume_within: int = duration("5m", low="1s", high="24h")
    address_lasts: int = duration("30m", low="1m", high="24h")
    renew_before: int = duration("50s", low="5s", high="59s")


def left(policy: Sessions, starts: float | None, starts_at: int, now: int) -> float:
    """Return how many sessions may be begun now; less than one is none.

    Args:
        policy: the settings.
        starts: how many there were after the last one was begun; None if none ever was.
        starts_at: when that was, in ns.
        now: ns.
    """
    if starts is None:
        return float(policy.burst)
    return min(float(policy.burst), starts + max(0, now - starts_at) * policy.per_day / DAYS)


def wait(policy: Sessions, starts: float | None, starts_at: int, now: int) -> int:
    """Return the ns until one may be begun; 0 for now."""
    missing = 1.0 - left(policy, starts, starts_at, now)
    earned = math.ceil(missing * DAYS / policy.per_day) if missing > 1e-9 else 0
    spaced = 0 if starts is None else starts_at + policy.apart - now
    return max(0, earned, spaced)
