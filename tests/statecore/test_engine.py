"""The compiled step against the library it was compiled from.

`transitions` holds the table; the hot path is a dictionary made from it. Here both run side by side: for every shipped
machine, with whatever it may remember after a random life, for every state and every event.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transitions import MachineError

from statecore.events import BUILT_IN, Broken, Elapsed, Event, name_of
from statecore.machine import Machine, Row, Snapshot
from statecore.machines import MACHINES
from tests.statecore.strategies import BEGAN, happenings, histories, seldom, snapshots

every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))


class Model:
    """What `transitions` moves about: a state, and what its conditions look at."""

    state: str
    data: Any = None


class Original:
    """The library's own machine, with a model attached."""

    def __init__(self, machine: Machine) -> None:
        self._engine = machine.engine
        self._taken: Row | None = None
        self.model = Model()

    def note(self, happened: Any) -> None:
        self._taken = happened.transition.row

    def trigger(self, snapshot: Snapshot, event: Event) -> tuple[str, Row | None]:
        """Trigger an event by its name; return the state afterwards, and the row that applied."""
        self._taken = None
        self.model.data = snapshot.data
        self._engine.set_state(snapshot.state, self.model)
        with suppress(MachineError):  # it has no such transition from this state
            self.model.trigger(name_of(event), event=event)  # type: ignore[attr-defined]
        return self.model.state, self._taken


@contextmanager
def original(machine: Machine) -> Iterator[Original]:
    """Attach a model to a shipped machine, and leave the machine as it was."""
    it = Original(machine)
    machine.engine.add_model(it.model, initial=machine.initial)
    machine.engine.after_state_change.append(it.note)
    try:
        yield it
    finally:
        machine.engine.after_state_change.remove(it.note)
        machine.engine.remove_model(it.model)


def kind_of(row: Row | None) -> str:
    if row is None or row.ignores:
        return "ignored"
    return "stayed" if row.target is None else "moved"


@every_machine
@seldom  # each of them goes through all states and events
@given(data=st.data())
def test_every_event_in_every_state_goes_where_the_library_goes(machine: Machine, data: st.DataObject) -> None:
    """
    Diagrams are drawn from the library's machine; they are worth something only if it is the one that runs.
    """
    remembered = data.draw(snapshots(machine)).data
    events = [data.draw(drawn) for drawn in happenings(machine).values()]
    with original(machine) as library:
        for state in machine.states:
            for event in events:
                snapshot = Snapshot(state, remembered, 7, 5)

                after, _, verdict = machine.step(snapshot, event, BEGAN)
                there, row = library.trigger(snapshot, event)

                assert (after.state, verdict.kind) == (there, kind_of(row)), f"{name_of(event)} in {state}"
                if row is None:
                    assert isinstance(event, Elapsed | Broken), "everything else is decided"


@every_machine
@seldom
@given(data=st.data())
def test_a_whole_life_goes_where_the_library_goes(machine: Machine, data: st.DataObject) -> None:
    """
    The same as above with what is natural in each state, and not with what may come together by chance.
    """
    moments = data.draw(histories(machine))
    with original(machine) as library:
        for before, event, _, (after, _, verdict) in moments:
            if isinstance(event, BUILT_IN):  # the library has never heard of them
                continue
            there, row = library.trigger(before, event)

            assert (after.state, verdict.kind) == (there, kind_of(row))


@every_machine
def test_the_library_holds_the_states_that_are_proved(machine: Machine) -> None:
    """
    What it draws must be what was proved, ends included.
    """
    states = machine.engine.states.values()

    assert tuple(state.name for state in states) == machine.states
    assert {state.name for state in states if state.final} == machine.final
    assert machine.engine.initial == machine.initial
