"""Leaving alone what refuses, per chat and per account."""

import attrs

from statecore.policies.backoff import EXPONENT_MAX
from statecore.settings import count, duration, number


@attrs.frozen
class Circuit:
    """When to stop asking, and when to ask again.

    A refusal on iLink carries no hint of how long it lasts, so the first wait is short and each failed probe lengthens
    the next: a refusal of length T costs about log T requests, whatever is queued behind it.

    Args:
        cooldown: the first wait of the account's circuit.
        chat_cooldown: the first wait of one chat's circuit. Longer: most refusals of one chat are cured by its user
            writing, which closes the circuit at once, and not by waiting.
        cap: the longest wait of either.
        factor: how much longer each wait is than the one before.
        jitter: how far a wait may stray, as a share of it, so that accounts do not probe in step.
        forget: a circuit that has been closed for this long starts from its first wait again.
        chats: this many different chats refused in a row, with none accepted in between, speak for the account.
        evidence: refusals older than this speak for nothing.
    """

    cooldown: int = duration("2s", low="50ms", high="24h")
    chat_cooldown: int = duration("30s", low="50ms", high="24h")
    cap: int = duration("30m", low="1s", high="7d")
    factor: float = number(2.0, low=1.1, high=10)
    jitter: float = number(0.1, low=0, high=0.5)
    forget: int = duration("30s", low="1s", high="7d")
    chats: int = count(2, low=2, high=1000)
    evidence: int = duration("60s", low="1s", high="24h")


def wait(policy: Circuit, first: int, failures: int, draw: float) -> int:
    """Choose how long to leave the refuser alone.

    Args:
        policy: the settings.
        first: the first wait in ns (the account's or the chat's).
        failures: trips and failed probes in a row, from 1.
        draw: a uniform random number in [0, 1).

    Returns:
        Nanoseconds. Grows with *failures* up to the cap; jitter only ever lengthens it, so that probes stay rare.
    """
    grown = min(policy.cap, first * policy.factor ** min(max(failures, 1) - 1, EXPONENT_MAX))
    return round(min(policy.cap, grown * (1 + policy.jitter * draw)))


def failures_now(policy: Circuit, failures: int, closed_at: int | None, now: int) -> int:
    """Count a new trip: from one again if the circuit had been closed for long enough."""
    return 1 if closed_at is not None and now - closed_at >= policy.forget else failures + 1
