"""Mutants that no test could notice, because nothing would be different. Each reason was checked.

One that is no mutant any more, or that a test notices, fails the run.
"""

from collections.abc import Mapping
from typing import Final

EXCLUSIVE: Final = "the guards ask the same field of the event for different values, so their order decides nothing"
"""`test_mutation.py` asks all of them for every value."""

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
}
"""Which mutants, and why."""
