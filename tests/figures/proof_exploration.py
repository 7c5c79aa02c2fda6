"""How fast the composed model is explored, and how far."""

from typing import Final

from statecore.exploration import explore
from statecore.exploration.chats import ChatsModel
from statecore.exploration.promises import safety
from statecore.exploration.scenes import lossy
from statecore.units import SECONDS
from statecore.world import cpu_seconds, wall_now
from tests.figures.registry import Figure, Measured


def speed() -> Measured:
    """Explore the composed model on one core; CPU time, so that what else runs here does not count."""
    model = ChatsModel(lossy(chats=2, deliveries=3, crashes=1))
    began = cpu_seconds()
    found = explore(model, properties=safety(model), states_max=5_000_000)
    took = cpu_seconds() - began
    rate = found.states / took
    text = f"{rate:,.0f} states and {found.transitions / took:,.0f} transitions a second of CPU time on one core"
    return Measured(text, holds=rate >= 100_000 and found.complete)


def whole() -> Measured:
    """Explore two chats, three deliveries, one crash and a channel that loses anything."""
    model = ChatsModel(lossy(chats=2, deliveries=3, crashes=1))
    began = wall_now()
    found = explore(model, properties=safety(model), states_max=5_000_000)
    took = (wall_now() - began) / SECONDS
    text = f"{found.answer} in {took:.1f} s: {found.states:,} states, {found.transitions:,} transitions, depth {found.depth}"
    holds = found.complete and found.answer == "proved" and took < 60
    return Measured(text, holds=holds, notes=(f"within {model.scene.bounds}",))


FIGURES: Final = (
    Figure(
        issue="proof",
        number=1,
        part="a",
        title="states explored a second",
        bar="at least 100,000",
        measure=speed,
        alone=True,
    ),
    Figure(
        issue="proof",
        number=2,
        title="2 chats, 3 deliveries, 1 crash and a lossy channel, explored whole",
        bar="in under 60 s",
        measure=whole,
        alone=True,
    ),
)
