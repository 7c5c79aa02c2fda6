"""Exploring one machine."""

import attrs
import pytest

from statecore.errors import ExplorationError
from statecore.events import Broken, Elapsed, External, Outcome
from statecore.evolve import evolve
from statecore.exploration import explore, machine_model
from statecore.exploration.checking import check_machine, check_shipped
from statecore.exploration.machine import machine_properties
from statecore.exploration.samples import constants, made
from statecore.machine import STAY, Effect, Machine, Signal, Timer, ignore, on
from statecore.machines import MACHINES
from statecore.units import MINUTES, SECONDS


@attrs.frozen
class Door:
    close_at: int | None = None
    tries: int = 0
    pushes: int = 0


@attrs.frozen(kw_only=True)
class Coded(External):
    code: int


@attrs.frozen(kw_only=True)
class Pushed(External):
    pass


def opened(was: Door, _event: Coded, now: int) -> Door:
    return evolve(was, close_at=now + 30 * SECONDS, tries=0)


def tried(was: Door, _event: Coded, _now: int) -> Door:
    return evolve(was, tries=was.tries + 1)


def pushed(was: Door, _event: Pushed, _now: int) -> Door:
    return evolve(was, pushes=was.pushes + 1)


def right(_was: Door, event: Coded) -> bool:
    return event.code == 4711


def too_often(was: Door, _event: Coded) -> bool:
    return was.tries >= 2


# fmt: off
door = Machine(
    "door",
    remembers=Door,
    initial="closed",
    table=[
        on("closed", Coded,               "open",   opened, when=right),
        on("closed", Coded,               "locked", tried,  when=too_often),
        on("closed", Coded,               STAY,     tried),
        on("closed", Pushed,              STAY,     pushed),
        on("open",   (Pushed, Elapsed("close_at")), "closed"),
        ignore("open", Coded,             because="it is open"),
        ignore("locked", (Coded, Pushed), because="it is locked"),
    ],
    awaits={
        "closed": Signal(Coded, Pushed),
        "open":   (Signal(Pushed), Timer("close_at", floor=1 * SECONDS, cap=1 * MINUTES)),
    },
    final=("locked",),
)
# fmt: on


@attrs.frozen
class Order:
    paid: int = 0
    retry_at: int | None = None


@attrs.frozen
class Charge:
    pass


@attrs.frozen(kw_only=True)
class Placed(External):
    total: int


@attrs.frozen(kw_only=True)
class Charged(Outcome):
    amount: int


def charged(was: Order, event: Charged, _now: int) -> Order:
    if event.amount == 1:
        raise ValueError("nobody thought of a single cent")
    return evolve(was, paid=event.amount)


order = Machine(
    "order",
    remembers=Order,
    initial="new",
    table=[
        on("new", Placed, "charging"),
        on("charging", Charged, "paid", charged),
        on("charging", Broken, "waiting"),
        on("waiting", Elapsed("retry_at"), "charging"),
        ignore(("charging", "waiting", "paid"), Placed, because="it was placed"),
        ignore(("new", "waiting", "paid"), Charged, because="nothing is being charged"),
    ],
    awaits={
        "new": Signal(Placed),
        "charging": (Effect(Charge, (Charged,), within=10 * SECONDS), Signal()),
        "waiting": (Timer("retry_at", floor=1 * SECONDS, cap=1 * MINUTES), Signal()),
    },
    final=("paid",),
)


def test_a_door_is_gone_through_whole() -> None:
    found = check_machine(door, states_max=1000)

    assert found.answer == "proved"
    assert found.coverage is not None
    assert found.coverage.percent == 100
    assert found.coverage.timers == (("open", "close_at"),)


def test_what_counts_for_ever_bounds_the_exploration_and_that_is_said() -> None:
    found = explore(machine_model(door, variants_max=5), properties=machine_properties(door))

    assert not found.complete
    assert found.verdict("no handler raises").answer == "inconclusive"
    assert "more than 5 variants; forget fields" in found.cut


def test_a_field_can_be_forgotten_by_name() -> None:
    model = machine_model(door, forget=("pushes",))

    assert explore(model, properties=machine_properties(door)).answer == "proved"
    with pytest.raises(ExplorationError, match="door remembers no 'colour'"):
        machine_model(door, forget=("colour",))


def test_a_handler_that_raises_for_some_value_is_found_with_the_event() -> None:
    found = check_machine(order, states_max=1000)

    verdict = next(one for one in found.verdicts if one.name == "no handler raises")
    assert verdict.answer == "refuted"
    assert [str(step.action) for step in verdict.path[1:]] == ["Placed(total=0)", "Charged(amount=1)"]
    assert "nobody thought of a single cent" in verdict.path[-1].state.data


def test_samples_given_by_hand_take_the_place_of_those_that_are_made() -> None:
    model = machine_model(order, samples={Charged: [Charged(amount=5)]})

    found = explore(model, properties=machine_properties(order))

    assert found.answer == "proved"
    assert model.coverage().percent == 100


def test_what_no_sample_reaches_is_told() -> None:
    model = machine_model(door, samples={Coded: [Coded(code=1)]}, forget=("pushes",))

    found = explore(model, properties=machine_properties(door))

    assert found.verdict("an instance is open").answer == "refuted"
    coverage = model.coverage()
    assert ("closed", "Coded", "right", True) in coverage.guards_missing
    assert ("open", "close_at") in coverage.timers_missing


def test_samples_stand_at_what_guards_compare_with_and_beside_it() -> None:
    codes = [event.code for event in made(Coded, constants(door))]

    assert {4710, 4711, 4712} <= set(codes)


def test_an_event_of_which_no_sample_can_be_made_is_named() -> None:
    @attrs.frozen(kw_only=True)
    class Odd(External):
        what: complex

    with pytest.raises(ExplorationError, match=r"Odd\.what: no sample can be made of .*give samples"):
        made(Odd)


@pytest.mark.parametrize("name", MACHINES)
def test_every_shipped_machine_is_explored_whole(name: str) -> None:
    found = check_shipped(MACHINES[name], states_max=20_000)

    assert found.answer == "proved", [one for one in found.verdicts if one.answer != "proved"]
    assert found.coverage is not None
    assert not found.coverage.guards_missing
    for passage in found.coverage.rows_missing:  # rows the proof asks for, of timers that never run there
        timer = passage.event.removeprefix("Elapsed(").removesuffix(")")
        assert (passage.state, timer) in found.coverage.timers_missing
