"""The model of one machine definition: every state, every event, every timer. Pure.

Time is abstracted: a timer that runs may elapse, and nothing says when. Every event class is tried with sample values made
from the types of its fields, and with those its author adds. A process may end in any state and be started again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import attrs

from statecore.events import Event
from statecore.machine import Machine


class Place(NamedTuple):
    """Where an instance is, for exploration: its state, and what it remembers with every time taken out."""

    state: str
    data: Any


class Act(NamedTuple):
    """One event that happens to an instance."""

    event: Event


@attrs.frozen
class Coverage:
    """What an exploration of one machine went through.

    Args:
        rows: (state, event, index of the row in the table) that were taken, how often.
        missing: those that were not.
        guards: (state, event, guard, answer) that were seen.
        guards_missing: those that were not.
        timers: (state, timer) that elapsed.
        timers_missing: those that did not.
    """

    rows: Mapping[tuple[str, str, int], int]
    missing: Sequence[tuple[str, str, int]]
    guards: Sequence[tuple[str, str, str, bool]]
    guards_missing: Sequence[tuple[str, str, str, bool]]
    timers: Sequence[tuple[str, str]]
    timers_missing: Sequence[tuple[str, str]]

    @property
    def percent(self) -> float:
        """How much of rows, guard outcomes and timers was gone through, from 0 to 100."""
        raise NotImplementedError


class MachineModel:
    """One machine as a `Model`: states are `Place`, actions are `Act`."""

    def initial(self) -> Iterable[Place]:
        raise NotImplementedError

    def actions(self, state: Place) -> Iterable[tuple[Act, Place]]:
        raise NotImplementedError

    def coverage(self) -> Coverage:
        """Return what was gone through so far."""
        raise NotImplementedError


def machine_model(
    machine: Machine, *, samples: Mapping[type[Event], Sequence[Event]] | None = None, variants_max: int = 100
) -> MachineModel:
    """Make the model of a machine.

    Args:
        machine: any definition.
        samples: events to try beside those made from field types, by their class.
        variants_max: of what is remembered in one state with the same timers and the same answers of its guards, so many
            are explored; beyond that the exploration is bounded, and says so.
    """
    raise NotImplementedError
