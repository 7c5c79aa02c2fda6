"""What a seeded bug is."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import attrs

from statecore.simulation.plan import Plan
from tests.bugs.altering import Table


@attrs.frozen
class Story:
    """A plan that shows a bug to the real gateway.

    Args:
        plan: what happens.
        guarantee: which guarantee is broken then.
    """

    plan: Plan
    guarantee: str


@attrs.frozen(kw_only=True)
class Bug:
    """A defect that somebody's gateway had, put into this one.

    Args:
        name: how it is called.
        incident: where it comes from: the public issue, and its number among the five incidents this project was born from.
        says: what the code does with it, as a sentence.
        put_in: puts it in, for as long as the context lasts.
        guarantee: which guarantee it breaks.
        scenes: scenes of the composed model that show it.
        eventually: whether the model must be asked what happens eventually, and not only what must never be.
        simulated: whether the plain simulation shows it.
        story: what shows it to the real gateway in virtual time, where the plain simulation has but a copy of what it is in.
        table: the table it changes, if it changes one alone.
    """

    name: str
    incident: str
    says: str
    put_in: Callable[[], AbstractContextManager[None]]
    guarantee: str
    scenes: tuple[str, ...] = ()
    eventually: bool = False
    simulated: bool = True
    story: Story | None = None
    table: Table | None = None

    @property
    def refusal(self) -> str:
        """Why the proof of the definition refuses it; empty if it does not."""
        return "" if self.table is None else self.table.refusal()
