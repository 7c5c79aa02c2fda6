"""What goes wrong elsewhere when a machine is defined, drawn, or given something that nobody foresaw."""

import gc
import itertools
import tracemalloc
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore.errors import DefinitionError, StepError
from statecore.events import Broken, Elapsed, External, Outcome, Tell
from statecore.evolve import evolve
from statecore.machine import STAY, Effect, Machine, Row, Signal, Timer, Wait, ignore, on
from statecore.machines import MACHINES
from statecore.system import System
from statecore.units import MILLISECONDS, SECONDS, show_duration
from statecore_diagrams import mermaid, svg
from statecore_journal.memory import MemoryStore
from tests.statecore.strategies import histories, often
from tests.statecore.test_engine import kind_of, original

few = settings(often, max_examples=15)
"""The tests of the machines try the same properties often."""

NOW = 1_790_000_000 * SECONDS


@attrs.frozen
class Remembered:
    """What the machines here remember."""

    count: int = 0
    wake_at: int | None = None


@attrs.frozen(kw_only=True)
class Begun(External):
    """Somebody begins."""


@attrs.frozen(kw_only=True)
class Answered(Outcome):
    """The attempt was answered."""


@attrs.frozen
class Ask:
    """The attempt."""


ASK = Effect(Ask, (Answered,), within=1 * SECONDS)


def spinning(*states: str) -> Callable[[], Machine]:
    """Return what defines a machine that runs through these states and begins again, with nothing to wait for."""
    following = dict(zip(states, (*states[1:], states[0]), strict=True))
    rows: list[Row] = [on("idle", Begun, states[0]), ignore("idle", Answered, because="no attempt is under way")]
    for state in states:
        rows += [
            on(state, Answered, following[state]),
            on(state, Broken, "idle"),
            ignore(state, Begun, because="it has"),
        ]
    waits: dict[str, Wait | tuple[Wait, ...]] = {"idle": Signal(), **dict.fromkeys(states, ASK)}
    return lambda: Machine("spinner", remembers=Remembered, initial="idle", table=rows, awaits=waits)


# ---- what may be defined ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("states", [("one",), ("one", "two"), ("one", "two", "three", "four")])
def test_a_cycle_that_takes_no_time_is_refused_with_its_path_however_long_it_is(states: tuple[str, ...]) -> None:
    """
    python-statemachine 3.2 (provoked), sismic (provoked), xstate-statemachine 0.11: a two-state cycle of transitions
    that wait for nothing is accepted; it hangs on construction, spins, or is cut at run time.
    """
    with pytest.raises(DefinitionError) as refused:
        spinning(*states)()

    (problem,) = refused.value.problems
    assert "nothing pays for the cycle" in problem
    assert all(f"{state} --Answered-->" in problem for state in states)


@pytest.mark.parametrize("wait", [0, -1])
def test_a_timer_of_no_length_is_refused(wait: int) -> None:
    """
    xstate-statemachine 0.11: a cycle of `after: 0` hangs under its simulated clock, which never gets to move.
    """
    timer = Timer("wake_at", floor=wait, cap=1 * SECONDS)
    with pytest.raises(DefinitionError, match="not above zero"):
        Machine(
            "clock", remembers=Remembered, initial="on", table=[on("on", Elapsed("wake_at"), "on")],
            awaits={"on": (timer, Signal())},
        )  # fmt: skip


def test_a_timer_set_to_the_past_lets_time_pass_between_two_of_its_firings() -> None:
    """
    xstate-statemachine 0.11: the delay is computed, it comes out as zero, and the clock never gets to move.
    """

    def at_once(was: Remembered, _event: Elapsed, now: int) -> Remembered:
        return evolve(was, count=was.count + 1, wake_at=now - 1)

    clock = Machine(
        "clock", remembers=Remembered, initial="on", table=[on("on", Elapsed("wake_at"), "on", at_once), on("on", Begun, "on")],
        awaits={"on": (Timer("wake_at", floor=50 * MILLISECONDS, cap=1 * SECONDS), Signal())},
    )  # fmt: skip
    snapshot = clock.step(clock.start(), Begun(), NOW).snapshot
    fired = []
    for _ in range(5):
        now = snapshot.data.wake_at
        fired.append(now)
        snapshot = clock.step(snapshot, Elapsed("wake_at"), now).snapshot

    assert snapshot.data.count == 5
    assert all(later - sooner >= 50 * MILLISECONDS for sooner, later in itertools.pairwise(fired))


def test_a_state_that_cannot_be_reached_or_left_and_a_pair_nobody_decided_on_are_named() -> None:
    """
    Automat PR #134 (invalid transitions are analysed nowhere, open since 2021); XState #2007 (an end that cannot be
    reached is "the studio's side").
    """
    with pytest.raises(DefinitionError) as refused:
        Machine(
            "trap", remembers=Remembered, initial="idle",
            table=[on("idle", Begun, "trap"), ignore("trap", Begun, because="it is one"), on("lost", Begun, "over")],
            awaits={"idle": Signal(), "trap": Signal(), "lost": Signal()}, final=("over",),
        )  # fmt: skip

    said = "\n".join(refused.value.problems)
    assert "state 'over' cannot be reached from 'idle'" in said
    assert "state 'lost' cannot be reached from 'idle'" in said
    assert "everything is ignored in 'trap'" in said
    assert "nobody decided on Begun in 'over'" in said


# ---- what an instance costs, and what its pictures show --------------------------------------------------------------


def test_an_instance_costs_no_machine_of_its_own() -> None:
    """
    transitions #434, #648: with many models, each is given its own triggers and callbacks; attaching ten thousand takes a
    second and a gigabyte.
    """
    machine = MACHINES["delivery"]
    gc.collect()
    tracemalloc.start()
    try:
        begun = [machine.start() for _ in range(10_000)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used / len(begun) < 100, "bytes for each"


def test_nothing_is_attached_to_what_a_machine_remembers() -> None:
    """
    transitions #654, #426, #383: events become methods of the model at run time, so that no type checker knows them.
    """
    machine = MACHINES["delivery"]
    names = {event.__name__.lower() for event in machine.events if isinstance(event, type)}

    assert not names & {name.lower().removeprefix("may_") for name in dir(machine.start().data)}
    with pytest.raises(AttributeError):
        machine.start().data.anything = 1


@pytest.mark.parametrize("name", MACHINES)
def test_every_timer_is_in_the_picture_with_its_bounds(name: str) -> None:
    """
    transitions #305: what times out, and when, cannot be seen in its diagrams.
    """
    machine = MACHINES[name]
    for drawn in (mermaid.render(machine), svg.render(machine)):
        for timer in {timer for state in machine.states for timer in machine.timers(state)}:
            assert f"{timer.field} {show_duration(timer.floor)} to {show_duration(timer.cap)}" in drawn


# ---- what nobody foresaw ---------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Surprise(External):
    """No machine has heard of it."""


@pytest.mark.parametrize("name", MACHINES)
def test_an_event_that_nobody_foresaw_is_refused_and_said_and_changes_nothing(name: str) -> None:
    """
    xstate-statemachine #26 (34 defects of one theme): by default, what a machine does not know is dropped without a word.
    """
    machine = MACHINES[name]
    after, effects, verdict = machine.step(machine.start(), Surprise(), NOW)

    assert (verdict.kind, effects) == ("refused", ())
    assert verdict.reason.startswith(f"Surprise is no event of {name}, which takes ")
    assert after == machine.start()._replace(version=1)


@pytest.mark.parametrize("name", MACHINES)
@few
@given(data=st.data())
def test_what_is_ignored_is_ignored_with_a_reason_for_people(name: str, data: st.DataObject) -> None:
    """
    xstate-statemachine #26: an event that is illegal in a state vanishes, and the caller takes it for done.
    """
    for moment in data.draw(histories(MACHINES[name])):
        if moment.decision.outcome.kind == "ignored":
            assert " " in moment.decision.outcome.reason


def test_a_handler_that_raises_leaves_the_instance_as_it_was_and_says_where() -> None:
    """
    transitions #730: an error in a callback leaves the model half moved, and what follows from it is nobody's transition.
    """

    def fails(_was: Remembered, _event: Begun, _now: int) -> Remembered:
        raise ValueError("on purpose")

    machine = Machine(
        "fails", remembers=Remembered, initial="on", table=[on("on", Begun, "on", fails)], awaits={"on": Signal()}
    )
    system = System("wx", {"fails": machine}, MemoryStore())
    unit = system.begin(NOW)

    with pytest.raises(StepError, match=r"'fails': the handler for Begun in 'on' raised ValueError: on purpose"):
        system.feed(unit, "fails/wx", Begun())

    assert unit.entries == []
    assert system.snapshot("fails/wx") == machine.start()


def test_what_a_step_tells_is_heard_when_the_step_is_over() -> None:
    """
    Automat #41 (open since 2017): an output that feeds an input is run in the middle of the transition that it belongs to,
    so the inner one starts from the old state and the outer one overwrites it.
    """

    def counted(was: Remembered, _event: Begun, _now: int) -> Remembered:
        return evolve(was, count=was.count + 1)

    def itself_and_other(was: Remembered, _event: Begun, _now: int) -> tuple[Tell, ...]:
        return (Tell(to="pair/wx/b", event=Begun()), Tell(to="pair/wx/a", event=Begun())) if was.count == 1 else ()

    pair = Machine(
        "pair", remembers=Remembered, initial="on",
        table=[on("on", Begun, "off", counted, tell=itself_and_other), on("off", Begun, STAY, counted)],
        awaits={"on": Signal(), "off": Signal()},
    )  # fmt: skip
    system = System("wx", {"pair": pair}, MemoryStore())
    unit = system.begin(NOW)
    system.feed(unit, "pair/wx/a", Begun())

    assert [(entry.address, entry.source, entry.decision.snapshot.state) for entry in unit.entries[:2]] == [
        ("pair/wx/a", "on", "off"),
        ("pair/wx/b", "on", "off"),
    ]
    assert system.snapshot("pair/wx/a") == ("off", Remembered(count=3), 3, 1)
    assert [entry.cause for entry in unit.entries[1:]] == [-1, -1, -2, -2]


@pytest.mark.parametrize("name", MACHINES)
@few
@given(data=st.data())
def test_the_compiled_step_goes_where_the_library_it_was_compiled_from_goes(name: str, data: st.DataObject) -> None:
    """
    xstate-statemachine #116: its two engines disagree about the same machine.
    """
    machine = MACHINES[name]
    with original(machine) as library:
        for before, event, _, (after, _, verdict) in data.draw(histories(machine)):
            there, row = library.trigger(before, event)

            assert (after.state, verdict.kind) == (there, kind_of(row))
