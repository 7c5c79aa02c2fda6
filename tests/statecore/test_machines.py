"""What holds for every shipped machine, whatever happens to it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from statecore import codec
from statecore.events import Elapsed, Offline
from statecore.machine import Attempt, Machine, Signal
from statecore.machines import MACHINES
from tests.statecore.strategies import Moment, histories, often

every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))


def test_a_machine_is_found_under_its_own_name() -> None:
    """
    The first part of an instance's address is looked up here; a wrong name would orphan every instance.
    """
    assert [(name, machine.name) for name, machine in MACHINES.items()] == [
        (name, name) for name in ("connection", "session", "delivery", "window", "circuit", "inbound")
    ]


def test_no_two_types_that_the_journal_holds_have_the_same_name() -> None:
    """
    Rows name the type they hold, and upcasters are registered by that name.
    """
    kinds = {
        kind
        for machine in MACHINES.values()
        for kind in (machine.remembers, *(event for event in machine.events if isinstance(event, type)))
    }
    names = [kind.__name__ for kind in kinds]

    assert sorted(set(names)) == sorted(names)


# ---- in every moment of every life -----------------------------------------------------------------------------------


def every_event_is_counted_and_one_that_is_ignored_changes_nothing_else(_machine: Machine, moment: Moment) -> None:
    """(instance, version) is the journal's key, so a step that forgot to count would collide with the next one."""
    before, _, _, (after, effects, verdict) = moment
    assert after.version == before.version + 1
    assert after.entered == (after.version if verdict.kind == "moved" else before.entered)
    if verdict.kind != "moved":
        assert after.state == before.state
        assert effects == ()
    if verdict.kind == "ignored":
        assert verdict.reason
        assert after.data == before.data


def no_event_of_its_own_is_refused(_machine: Machine, moment: Moment) -> None:
    """Refused means that nobody had foreseen it; the proof promises that somebody has."""
    assert moment.decision.outcome.kind != "refused"


def an_attempt_is_asked_for_exactly_when_its_state_is_entered(machine: Machine, moment: Moment) -> None:
    """Asked for twice, a message is sent twice; not asked for, it is never sent."""
    after, effects, verdict = moment.decision
    awaited = machine.effect(after.state)
    asked = [effect for effect in effects if isinstance(effect, Attempt)]

    assert len(asked) == (verdict.kind == "moved" and awaited is not None)
    assert [attempt.entered for attempt in asked] == [after.version] * len(asked)
    if asked:
        assert machine.attempt(after) == asked[0]


def whoever_is_not_done_awaits_something_that_can_come(machine: Machine, moment: Moment) -> None:
    """An instance that awaits nothing is a lost message, or an account that is dead and does not say so."""
    state = moment.after.state
    armed = {timer for _, timer in machine.deadlines(moment.after)}
    own = {timer.field for timer in machine.timers(state) if timer not in machine.named}

    assert own <= armed
    if state in machine.final:
        assert not machine.deadlines(moment.after)
    else:
        signalled = any(isinstance(wait, Signal) for wait in machine.awaits[state])
        assert armed or signalled or machine.effect(state)


def deadlines_are_absolute_and_lie_between_floor_and_cap(machine: Machine, moment: Moment) -> None:
    """A wait of nothing spins, and a wait of a thousand years is a message that is lost and calls itself alive."""
    if moment.decision.outcome.kind == "ignored" or isinstance(moment.event, Offline):  # which moves what was left
        return
    for timer in machine.timers(moment.after.state):
        deadline = getattr(moment.after.data, timer.field)
        set_now = deadline != getattr(moment.before.data, timer.field)
        if deadline is not None and (set_now or moment.decision.outcome.kind == "moved"):
            assert isinstance(deadline, int)
            assert deadline <= moment.now + timer.cap
        if set_now and deadline is not None:
            assert deadline >= moment.now + timer.floor


def a_timer_that_fired_does_not_fire_again_at_the_same_moment(machine: Machine, moment: Moment) -> None:
    """It is the whole of "nothing spins" at run time: every timer is paid for before it can fire again."""
    if isinstance(moment.event, Elapsed):
        again = [at for at, timer in machine.deadlines(moment.after) if timer == moment.event.timer]
        assert all(at > moment.now for at in again)


def the_same_event_at_the_same_moment_leads_to_the_same_decision(machine: Machine, moment: Moment) -> None:
    """Replay is worth something only if the step asks nobody but its arguments."""
    before, event, now, decision = moment
    assert machine.step(before, event, now) == decision


def what_went_through_the_journal_goes_on_as_if_it_had_not(machine: Machine, moment: Moment) -> None:
    """After a restart everything that is known has been JSON; nothing may depend on what JSON cannot hold."""
    before, event, now, decision = moment
    read = before._replace(data=codec.loads(codec.dumps(before.data), machine.remembers))
    happened = codec.loads(codec.dumps(event), type(event))

    assert machine.step(read, happened, now) == decision
    assert codec.loads(codec.dumps(decision.snapshot.data), machine.remembers) == decision.snapshot.data


PROMISES = (
    every_event_is_counted_and_one_that_is_ignored_changes_nothing_else,
    no_event_of_its_own_is_refused,
    an_attempt_is_asked_for_exactly_when_its_state_is_entered,
    whoever_is_not_done_awaits_something_that_can_come,
    deadlines_are_absolute_and_lie_between_floor_and_cap,
    a_timer_that_fired_does_not_fire_again_at_the_same_moment,
    the_same_event_at_the_same_moment_leads_to_the_same_decision,
    what_went_through_the_journal_goes_on_as_if_it_had_not,
)


@every_machine
@settings(often, max_examples=60)
@given(data=st.data())
def test_whatever_happens_to_it_a_machine_keeps_every_promise(machine: Machine, data: st.DataObject) -> None:
    """
    Each promise says why anyone cares. They look at the same lives, since a life is far dearer to draw than to judge.
    """
    for moment in data.draw(histories(machine)):
        for keep in PROMISES:
            keep(machine, moment)


@every_machine
def test_the_lives_drawn_here_reach_every_state(machine: Machine) -> None:
    """
    A property that holds in every life drawn says nothing about states that no life came to.
    """
    reached: set[str] = set()

    @settings(often, max_examples=20, database=None)  # few, so that it ends soon after the last state was reached
    @given(histories(machine))
    def live(moments: Sequence[Moment]) -> None:
        reached.update(moment.after.state for moment in moments)

    for number in range(90):
        seed(number)(live)()
        if reached == set(machine.states):
            break

    assert reached == set(machine.states)
