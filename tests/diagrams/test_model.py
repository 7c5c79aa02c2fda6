"""What is drawn of a definition, and in which order."""

import pytest

from statecore.events import name_of
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.proof import _edges, pays
from statecore_diagrams.figure import arrange
from statecore_diagrams.model import read
from tests.diagrams.door import ODD, door


def test_a_state_says_what_it_awaits_and_for_how_long() -> None:
    """That is the whole idea of a state."""
    states = {state.name: state for state in read(door).states}

    assert [awaited.short for awaited in states["open"].awaits] == ["shuts_at 1s to 1h", "any signal"]
    assert [awaited.short for awaited in states["opening"].awaits] == ["Turn within 10s", "any signal"]
    assert states["shut"].awaits[0].full == "signal Pushed, Looked"
    assert states["shut"].initial
    assert states["gone"].final


def test_it_is_said_what_pays_for_each_edge() -> None:
    """A reader sees at a glance that no circle is made of outcomes alone."""
    found = {(t.source, t.event): t.pays for t in read(door).drawn}

    assert found["open", "Elapsed(shuts_at)"] == "timer"
    assert found["shut", "Pushed"] == "outside"
    assert found["opening", "Opened"] == ""


@pytest.mark.parametrize("machine", [*MACHINES.values(), door], ids=lambda machine: machine.name)
def test_what_pays_is_what_the_proof_lets_pay(machine: Machine) -> None:
    """Else the picture would promise what nobody checked."""
    paying = {name_of(event): pays(event) for event in machine.events}

    assert {t.event: t.pays for t in read(machine).transitions} == paying


def test_guards_are_told_as_the_journal_writes_them() -> None:
    """So a row finds its transition again."""
    asked = [t.asked for t in read(door).by_pair["shut", "Pushed"]]

    assert asked == ["often=1", "often=0"]


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_a_picture_leaves_nothing_out_and_shows_nothing_twice(machine: Machine) -> None:
    """What shares an arrow is still there."""
    model = read(machine)
    figure = arrange(model)
    shown = [t for edge in figure.edges for t in edge.transitions]
    shown += [t for held in (*figure.again.values(), *figure.stays.values()) for t in held]

    assert len(shown) == len(set(shown))
    assert set(shown) == set(model.drawn)
    assert sum(t.kind == "moved" for t in model.drawn) == len(_edges(machine))


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_a_note_names_the_states_it_is_about(machine: Machine) -> None:
    """A note that is nearly right is worse than a ball of wool."""
    figure = arrange(read(machine))
    names = {state.name for state in figure.model.states if not state.final}
    for edge in figure.edges:
        if edge.note:
            listed = set(edge.note.removeprefix("every state but ").split(", "))
            said = (
                names - listed
                if edge.note.startswith("every state but ")
                else names
                if edge.note == "every state"
                else listed
            )

            assert said == set(edge.sources)


def test_what_changes_nothing_but_memory_in_most_states_is_said_once() -> None:
    """The box of each state would only repeat it."""
    assert arrange(read(door)).everywhere == ("Looked",)
    assert {ODD, "gone"} == {t.target for t in read(door).drawn if t.kind == "moved"} - {"opening", "open", "shut"}
