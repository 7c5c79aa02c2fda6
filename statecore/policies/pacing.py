"""When the next request may leave: a token bucket that slows down on evidence of throttling and recovers after it."""

import math

import attrs

from statecore.settings import count, duration, number
from statecore.units import SECONDS


@attrs.frozen
class Pacing:
    """How fast an account speaks.

    The default, a little under one message a second with a burst of two, stays clear of the burst limit reported for
    iLink: the third message within about a second was refused. Source: field report cc-connect#1640.

    Args:
        per_second: requests a second in the long run.
        burst: how many may leave at once after a quiet while.
        slowdown: by how much each sign of throttling stretches the interval.
        slowdown_max: the most it is ever stretched.
        recovery: after this long without such a sign, half of the stretch is gone.
    """

    per_second: float = number(0.9, low=0.001, high=1000)
    burst: int = count(2, low=1, high=1000)
    slowdown: float = number(2.0, low=1, high=10)
    slowdown_max: float = number(8.0, low=1, high=100)
    recovery: int = duration("20s", low="1s", high="24h")


@attrs.frozen
class Bucket:
    """Where the pacing of an account stands.

    Args:
        tokens: requests that may leave at once; below zero where one left out of turn.
        at: when that was true, in ns.
    """

    tokens: float
    at: int


def stretch(policy: Pacing, level: float, throttled_at: int | None, now: int) -> float:
    """Return by how much the interval is stretched now.

    Args:
        policy: the settings.
        level: the stretch at the last sign of throttling, 1 for none.
        throttled_at: when that was, in ns.
        now: ns.
    """
    if throttled_at is None or level <= 1:
        return 1.0
    return 1.0 + (min(level, policy.slowdown_max) - 1.0) * math.exp2(-max(0, now - throttled_at) / policy.recovery)


def slower(policy: Pacing, stretched: float) -> float:
    """Return the stretch after one more sign of throttling."""
    return min(policy.slowdown_max, stretched * policy.slowdown)


def refill(policy: Pacing, bucket: Bucket, stretched: float, now: int) -> Bucket:
    """Bring the bucket to *now*."""
    return Bucket(_tokens(policy, bucket, stretched, now), max(now, bucket.at))


def _tokens(policy: Pacing, bucket: Bucket, stretched: float, now: int) -> float:
    if now <= bucket.at:
        return min(float(policy.burst), bucket.tokens)
    return min(float(policy.burst), bucket.tokens + (now - bucket.at) / SECONDS * policy.per_second / stretched)


def ready_at(policy: Pacing, bucket: Bucket, stretched: float, now: int) -> int:
    """Return when the next request may leave, in ns; *now* if at once."""
    missing = 1.0 - _tokens(policy, bucket, stretched, now)
    if missing <= 1e-9:
        return now
    return now + math.ceil(missing * stretched / policy.per_second * SECONDS)


def spend(policy: Pacing, bucket: Bucket, stretched: float, now: int) -> Bucket:
    """Return the bucket after a request left."""
    bucket = refill(policy, bucket, stretched, now)
    return Bucket(bucket.tokens - 1.0, bucket.at)
