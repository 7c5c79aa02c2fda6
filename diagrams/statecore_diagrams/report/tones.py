"""What a state is like, so that a page can give it a colour: one of five tones, whatever the machine."""

from typing import Final, Literal

from statecore.machine import Effect, Machine

Tone = Literal["good", "busy", "wait", "warn", "bad"]

KNOWN: Final[dict[str, Tone]] = {
    "connected": "good", "resting": "good", "delivered": "good", "done": "good", "open:window": "good",
    "dead": "bad", "token-stale": "bad", "tripped": "bad", "quarantined": "bad", "expired": "bad", "open:circuit": "bad",
    "reconnecting": "warn", "suspect": "warn", "backing-off": "warn", "unknown": "warn", "circuit-tripped": "warn",
    "window-closed": "warn", "half-open": "warn", "used-up": "warn", "lapsed": "warn", "refused": "bad",
    "retrying": "warn", "probing": "busy", "handling": "busy",
    "closed:circuit": "good", "closed:connection": "wait", "closed:session": "wait",
}  # fmt: skip
"""By state, or by state and machine where the same word means different things."""


def tone(machine: Machine, state: str) -> Tone:
    """Return the tone of a state. One that is not known by name is busy if it makes an attempt, and else it waits."""
    known = KNOWN.get(f"{state}:{machine.name}", KNOWN.get(state))
    if known is not None:
        return known
    return "busy" if any(isinstance(wait, Effect) for wait in machine.awaits.get(state, ())) else "wait"
