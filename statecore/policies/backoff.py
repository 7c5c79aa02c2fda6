"""Exponential backoff with full jitter, a floor and a cap."""

import attrs

from statecore.errors import ConfigError
from statecore.settings import duration, number
from statecore.units import HOURS, show_duration

HINT_NS_MAX = 6 * HOURS
"""A server's own hint is obeyed when it is longer than ours, up to this: a slip there must not park an account for days."""

EXPONENT_MAX = 256
"""Failures in a row that lengthen a wait. The smallest factor leads from the shortest floor to the longest cap in less, and
the largest one to the power of this is still a float."""


@attrs.frozen
class Backoff:
    """How long to wait before trying again.

    Args:
        floor: the shortest wait.
        cap: the longest.
        factor: how much longer the longest possible wait gets with each failure.
        steady: how long a connection must have been ready before the count of failures starts again from one. A peer
            that accepts and hangs up at once is therefore dialled ever more slowly.
    """

    floor: int = duration("1s", low="50ms", high="1h")
    cap: int = duration("60s", low="50ms", high="24h")
    factor: float = number(2.0, low=1.1, high=10)
    steady: int = duration("60s", low="1s", high="24h")

    def __attrs_post_init__(self) -> None:
        if self.cap < self.floor:
            raise ConfigError("cap", f"{show_duration(self.cap)} is below the floor, {show_duration(self.floor)}")


def delay(policy: Backoff, failures: int, draw: float, hint: int | None = None) -> int:
    """Choose a wait.

    Full jitter between the floor and the exponential ceiling: callers that failed together come back apart.

    Args:
        policy: the settings.
        failures: how many attempts in a row have failed, from 1.
        draw: a uniform random number in [0, 1).
        hint: what the server asked for in ns, if anything; it wins when longer.

    Returns:
        Nanoseconds, between the floor and the cap (or the hint).

    >>> delay(Backoff(), 1, 0.5) / 1e9, delay(Backoff(), 20, 0.999999) / 1e9 < 60
    (1.5, True)
    """
    exponent = min(max(failures, 1), EXPONENT_MAX)
    ceiling = min(policy.cap, policy.floor * policy.factor**exponent)
    wait = round(policy.floor + draw * (ceiling - policy.floor))
    return max(wait, asked(hint))


def asked(hint: int | None) -> int:
    """Return for how long a server is left alone because it asked for that, in ns; 0 if it did not, or for what is no time."""
    return int(min(hint, HINT_NS_MAX)) if hint is not None and hint > 0 else 0


def failures_now(policy: Backoff, failures: int, ready_since: int | None, now: int) -> int:
    """Count a new failure: from one again if the connection had been ready for long enough.

    Args:
        policy: the settings.
        failures: in a row so far.
        ready_since: since when the connection was ready, if it was.
        now: ns.
    """
    held = ready_since is not None and now - ready_since >= policy.steady
    return 1 if held else failures + 1
