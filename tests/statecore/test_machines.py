"""What holds for every shipped machine, whatever happens to it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from statecore import codec
from statecore.events import Elapsed, Offline
from statecore.machine import Attempt, Machine, Signal
from statecore.machines import MACHINES
from tests.statecore.strategies import Moment, histories, often, seldom

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


@every_machine
@often
@given(data=st.data())
def test_every_event_is_counted_and_one_that_is_ignored_changes_nothing_else(
    machine: Machine, data: st.DataObject
) -> None:
    """
    (instance, version) is the journal's key, so a step that forgot to count would collide with the next one.
    """
    for before, _, _, (after, effects, verdict) in data.draw(histories(machine)):
        assert after.version == before.version + 1
        assert after.entered == (after.version if verdict.kind == "moved" else before.entered)
        if verdict.kind != "moved":
            assert after.state == before.state
            assert effects == ()
        if verdict.kind == "ignored":
            assert verdict.reason
            assert after.data == before.data


@every_machine
@often
@given(data=st.data())
def test_no_event_of_its_own_is_ever_refused(machine: Machine, data: st.DataObject) -> None:
    """
    Refused means that nobody had foreseen it; the proof promises that somebody has.
    """
    for moment in data.draw(histories(machine)):
        assert moment.decision.outcome.kind != "refused"


@every_machine
@often
@given(data=st.data())
def test_an_attempt_is_asked_for_exactly_when_its_state_is_entered(machine: Machine, data: st.DataObject) -> None:
    """
    Asked for twice, a message is sent twice; not asked for, it is never sent.
    """
    for _, _, _, (after, effects, verdict) in data.draw(histories(machine)):
        awaited = machine.effect(after.state)
        asked = [effect for effect in effects if isinstance(effect, Attempt)]

        assert len(asked) == (verdict.kind == "moved" and awaited is not None)
        assert [attempt.entered for attempt in asked] == [after.version] * len(asked)
        if asked:
            assert machine.attempt(after) == asked[0]


@every_machine
@often
@given(data=st.data())
def test_whoever_is_not_done_awaits_something_that_can_come(machine: Machine, data: st.DataObject) -> None:
    """
    An instance that awaits nothing is a lost message, or an account that is dead and does not say so.
    """
    for moment in data.draw(histories(machine)):
        state = moment.after.state
        armed = {timer for _, timer in machine.deadlines(moment.after)}
        own = {timer.field for timer in machine.timers(state) if timer not in machine.named}

        assert own <= armed
        if state in machine.final:
            assert not machine.deadlines(moment.after)
        else:
            signalled = any(isinstance(wait, Signal) for wait in machine.awaits[state])
            assert armed or signalled or machine.effect(state)


@every_machine
@often
@given(data=st.data())
def test_deadlines_are_absolute_and_lie_between_floor_and_cap(machine: Machine, data: st.DataObject) -> None:
    """
    A wait of nothing spins, and a wait of a thousand years is a message that is lost and calls itself alive.
    """
    for moment in data.draw(histories(machine)):
        if moment.decision.outcome.kind == "ignored" or isinstance(moment.event, Offline):  # which moves what was left
            continue
        for timer in machine.timers(moment.after.state):
            deadline = getattr(moment.after.data, timer.field)
            set_now = deadline != getattr(moment.before.data, timer.field)
            if deadline is not None and (set_now or moment.decision.outcome.kind == "moved"):
                assert isinstance(deadline, int)
                assert deadline <= moment.now + timer.cap
            if set_now and deadline is not None:
                assert deadline >= moment.now + timer.floor


@every_machine
@often
@given(data=st.data())
def test_a_timer_that_fired_does_not_fire_again_at_the_same_moment(machine: Machine, data: st.DataObject) -> None:
    """
    It is the whole of "nothing spins" at run time: every timer is paid for before it can fire again.
    """
    for moment in data.draw(histories(machine)):
        if isinstance(moment.event, Elapsed):
            again = [at for at, timer in machine.deadlines(moment.after) if timer == moment.event.timer]
            assert all(at > moment.now for at in again)


@every_machine
@seldom
@given(data=st.data())
def test_the_same_event_at_the_same_moment_leads_to_the_same_decision(machine: Machine, data: st.DataObject) -> None:
    """
    Replay is worth something only if the step asks nobody but its arguments.
    """
    for before, event, now, decision in data.draw(histories(machine)):
        assert machine.step(before, event, now) == decision


@every_machine
@seldom
@given(data=st.data())
def test_a_life_that_went_through_the_journal_at_every_step_is_the_same_life(
    machine: Machine, data: st.DataObject
) -> None:
    """
    After a restart everything that is known has been JSON; nothing may depend on what JSON cannot hold.
    """
    for before, event, now, decision in data.draw(histories(machine)):
        read = before._replace(data=codec.loads(codec.dumps(before.data), machine.remembers))
        happened = codec.loads(codec.dumps(event), type(event))

        assert machine.step(read, happened, now) == decision
        assert codec.loads(codec.dumps(decision.snapshot.data), machine.remembers) == decision.snapshot.data


@every_machine
def test_the_lives_drawn_here_reach_every_state(machine: Machine) -> None:
    """
    A property that holds in every life drawn says nothing about states that no life came to.
    """
    reached: set[str] = set()

    @settings(often, database=None)
    @given(histories(machine))
    def live(moments: Sequence[Moment]) -> None:
        reached.update(moment.after.state for moment in moments)

    for number in range(30):
        seed(number)(live)()
        if reached == set(machine.states):
            break

    assert reached == set(machine.states)
