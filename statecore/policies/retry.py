"""When to give a delivery up, and what to do with an outcome nobody knows."""

import attrs

from statecore.policies.backoff import Backoff
from statecore.settings import count, duration, table


@attrs.frozen
class Retry:
    """How long a delivery is tried.

    A delivery is given up only when both are used up, attempts and age; a short outage uses up neither, because time
    while the account was down does not count and a closed connection makes no attempts.

    Args:
        attempts: failed attempts.
        age: since the first of them.
        backoff: the waits between them.
        resend_after: how long a part whose outcome is unknown waits before it is sent once more with the same key.
        interruptions: how often a part may be found interrupted by the end of the process before it is given up as
            unknown. An interruption is no evidence that the request left, so it is counted apart from lost answers.
    """

    attempts: int = count(8, low=1, high=10_000)
    age: int = duration("1h", low="1s", high="365d")
    backoff: Backoff = table(Backoff)
    resend_after: int = duration("2s", low="50ms", high="24h")
    interruptions: int = count(5, low=1, high=1000)


@attrs.frozen
class Handling:
    """How often a message that came in is handed to its handler.

    Args:
        attempts: after this many that failed, or that took the process down, it is set aside for a person.
        backoff: the waits between them.
    """

    attempts: int = count(5, low=1, high=1000)
    backoff: Backoff = table(Backoff)


def exhausted(policy: Retry, attempts: int, age: int) -> bool:
    """Tell whether a delivery that failed again is given up.

    Args:
        policy: the settings.
        attempts: failed attempts so far, with this one.
        age: ns since the first of them, without the time the account was down.
    """
    return attempts >= policy.attempts and age >= policy.age
