"""Which fields of what a machine remembers matter to where it goes. Pure.

Found by trying: at places the machine can be in, one field is set to another value that it was seen to have, and each event
happens to both. A field matters if that leads elsewhere, makes a guard answer otherwise or another timer run, or changes a
field that matters; and so does every field that the code of a guard names. What is left may be forgotten by an exploration
that asks only where the machine goes.

Reading it off the handlers' code was tried. A handler that sets one field that matters and five that do not made all six
matter, and nothing was left to forget.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import attrs

from statecore.errors import StepError
from statecore.events import Elapsed, Event
from statecore.evolve import evolve
from statecore.exploration.engine import explore
from statecore.exploration.machine import MachineModel, Place
from statecore.exploration.moments import NOW
from statecore.exploration.samples import names_in
from statecore.machine import Machine, Snapshot

PLACES_MAX: Final = 60
SEEN_MAX: Final = 1000
SAMPLES_MAX: Final = 4
"""Of each class of events."""


def unread(machine: Machine, model: MachineModel) -> tuple[str, ...]:
    """Return the fields that were never seen to matter.

    Args:
        machine: the definition.
        model: of the machine, with nothing forgotten.
    """
    fields = [field.name for field in attrs.fields(machine.remembers)]
    places = _places(model)
    values = {name: _apart([getattr(place.data, name) for place in places]) for name in fields}
    leads: dict[str, set[str]] = {name: set() for name in fields}
    for place in _spread(places):
        for event in _few(model.tried(place)):
            before = _outcome(machine, place, event)
            for name in fields:
                other = next((value for value in values[name] if value != getattr(place.data, name)), None)
                if other is None and getattr(place.data, name) is None:
                    continue
                changed = Place(place.state, evolve(place.data, **{name: other}))
                leads[name] |= _differences(before, _outcome(machine, changed, event), fields) - {name}
    timers = {timer.field for state in machine.states for timer in machine.timers(state)}
    named = {name for row in machine.table if row.when is not None for name in names_in(row.when)}
    matter = {WHERE, *timers, *named}
    while more := {name for name in fields if name not in matter and leads[name] & matter}:
        matter |= more
    return tuple(name for name in fields if name not in matter)


WHERE: Final = "(where it goes)"


def _places(model: MachineModel) -> list[Place]:
    found: list[Place] = []

    class Noted:
        def initial(self) -> Iterable[Place]:
            return model.initial()

        def actions(self, state: Place) -> Iterable[tuple[Any, Place]]:
            if model.is_place(state):
                found.append(state)
            return model.actions(state)

        def cut(self, state: Place) -> str:
            return model.cut(state)

    explore(Noted(), states_max=SEEN_MAX)
    return found


def _spread(places: Sequence[Place]) -> list[Place]:
    """Return some places, and of each state about as many."""
    states: dict[str, list[Place]] = {}
    for place in places:
        states.setdefault(place.state, []).append(place)
    each = max(2, PLACES_MAX // len(states))
    return [place for several in states.values() for place in several[:: max(1, len(several) // each)][:each]]


def _outcome(machine: Machine, place: Place, event: Event) -> tuple[Any, ...] | None:
    try:
        decision = machine.step(Snapshot(place.state, place.data, 1, 1), event, NOW)
    except StepError:
        return None
    after = decision.snapshot
    armed = tuple(getattr(after.data, timer.field) is not None for timer in machine.timers(after.state))
    return (after.state, decision.outcome, armed), after.data


def _differences(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None, fields: Sequence[str]) -> set[str]:
    if one is None or other is None:
        return set() if one is other else {WHERE}
    found = {name for name in fields if getattr(one[1], name) != getattr(other[1], name)}
    return found if one[0] == other[0] else {WHERE, *found}


def _few(events: Sequence[Event]) -> Iterable[Event]:
    """Return some samples of each class, the first and the last among them."""
    kinds: dict[Any, list[Event]] = {}
    for event in events:
        kinds.setdefault(event if isinstance(event, Elapsed) else type(event), []).append(event)
    for several in kinds.values():
        yield from several[:: max(1, (len(several) - 1) // (SAMPLES_MAX - 1) or 1)]


def _apart(values: Sequence[Any]) -> list[Any]:
    return list(islice(dict.fromkeys(values), 3))
