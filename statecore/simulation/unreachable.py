"""Rows of the tables that no run can take, with the reason: they stand there because the proof wants every pair decided.

Whoever finds a run that takes one deletes it here; a test sees to that.
"""

from collections.abc import Mapping
from typing import Any, Final

UNREACHABLE: Final[Mapping[str, Mapping[str, str]]] = {
    "session": {
        "looking-up  Elapsed(url_until)": "the address is looked up only where there is none, so none can age",
        "tripped  Elapsed(url_until)": "whatever trips a session takes its address away",
        "closed  Elapsed(token_at)": "what closes a session takes its token's end away",
        "token-stale  Elapsed(token_at)": "whatever makes a token stale takes its end away",
        "lingering  Elapsed(token_at)": "what calls a session invalid takes its token's end away",
        "renewing  Elapsed(token_at)": "it is entered because that timer has fired",
        "dialling  TokenRefused": "opening a socket says nothing of the token; only what is said over it does",
    },
    "delivery": {
        "new  Elapsed(expires_at)": "what was not accepted has no deadline; one that passed already ends it once it is queued",
        "dead  Elapsed(expires_at)": "every way to die takes the deadline away",
        "in-review  Elapsed(expires_at)": "the way into a review takes the deadline away",
    },
    "window": {
        "unseen  TokenForgotten": "a chat whose user was never seen to write has no token to forget",
    },
}
"""By machine and transition, as `describe` writes it."""


def describe(transition: Any) -> str:
    """Write a transition of `statecore_diagrams.model` as this list does."""
    return f"{transition.source}  {transition.label}"
