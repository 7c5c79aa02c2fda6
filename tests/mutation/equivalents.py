"""Mutants that no test could notice, because nothing would be different. Each reason was checked.

One that is no mutant any more, or that a test notices, fails the run.
"""

from collections.abc import Mapping
from typing import Final

EXCLUSIVE: Final = "the guards ask the same field of the event for different values, so their order decides nothing"
"""`test_mutation.py` asks all of them for every value."""

EXACTLY: Final = "one less a float near one is never exactly a billionth, which is no multiple of the spacing there"

EQUIVALENTS: Final[Mapping[str, str]] = {
    "delivery: sending x PartRefused [experiment] -> sending-bare: after [hopeless]": EXCLUSIVE,
    "delivery: sending, sending-bare x PartRefused [hopeless] -> dead: after [slot_dead]": EXCLUSIVE,
    "delivery: sending, sending-bare x PartRefused [slot_dead] -> queued: after [window_shut]": EXCLUSIVE,
    "delivery: sending, sending-bare x PartRefused [window_shut] -> window-closed: after [account_refused]": EXCLUSIVE,
    "delivery: sending, sending-bare x PartRefused [account_refused] -> token-stale: after [passing]": EXCLUSIVE,
    "delivery: in-review awaits review_until: floor x 10": "what is set is always seven days",
    "delivery: in-review awaits review_until: floor / 10": "what is set is always seven days",
    "delivery: in-review awaits review_until: cap x 10": "what is set is always seven days",
    "window: used-up awaits closes_at: cap x 10": "it was set in `open`, which has the same cap, and only gets nearer",
    "session: connected x Elapsed(token_at) -> renewing: remembers as token_aged": (
        "a timer that outlives states is over when it fires unless it is set anew, so there is nothing left to clear"
    ),
    "statecore/policies/backoff.py: module: EXPONENT_MAX = 256: 256 -> 257": (
        "any from 171 to 307 leads from the shortest wait to the longest, and to a number that is still a float"
    ),
    "statecore/policies/backoff.py: asked: return int(min(hint, HINT_NS_MAX)) if hint is not None and hint > 0 else 0: "
    "hint > 0 -> hint >= 0": "a hint of nothing is nothing either way",
    "statecore/policies/pacing.py: stretch: if throttled_at is None or level <= 1:: level <= 1 -> level < 1": (
        "a level of one stretches by one either way"
    ),
    "statecore/policies/pacing.py: _tokens: if now <= bucket.at:: now <= bucket.at -> now < bucket.at": (
        "in no time nothing is earned"
    ),
    "statecore/policies/pacing.py: ready_at: if missing <= 1e-09:: missing <= 1e-09 -> missing < 1e-09": EXACTLY,
    "statecore/policies/starts.py: wait: earned = math.ceil(missing * DAYS / policy.per_day) if missing > 1e-09 else 0: "
    "missing > 1e-09 -> missing >= 1e-09": EXACTLY,
}
"""Which mutants, and why."""
