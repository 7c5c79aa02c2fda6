"""What a machine promises of every step, whatever happens to it. Each check says what it found, by an AssertionError.

The proof of the table (`statecore.proof`) excludes what a table can show. What is checked here is what only handlers can break:
that they are pure, that what they remember survives the journal, that replaying leads to the same place.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from statecore import codec
from statecore.errors import CodecError
from statecore.events import Elapsed, Offline, name_of
from statecore.machine import Attempt, Machine, Signal
from statecore.testing.lives import Moment

Check: TypeAlias = Callable[[Machine, Moment], None]


def every_event_is_counted(_machine: Machine, moment: Moment) -> None:
    """(instance, version) is the journal's key."""
    before, after, kind = moment.before, moment.after, moment.decision.outcome.kind
    assert after.version == before.version + 1, f"version {before.version} is followed by {after.version}"
    entered = after.version if kind == "moved" else before.entered
    assert after.entered == entered, f"it {kind}, and says that it entered {after.state!r} at version {after.entered}"


def nothing_foreseen_is_refused(machine: Machine, moment: Moment) -> None:
    """Refused means that nobody had foreseen it, and the proof promises that somebody has."""
    kind, reason, _ = moment.decision.outcome
    event: Any = moment.event if isinstance(moment.event, Elapsed) else type(moment.event)
    assert kind != "refused" or event not in machine.events, f"{name_of(moment.event)} was refused: {reason}"


def what_is_ignored_changes_nothing(_machine: Machine, moment: Moment) -> None:
    """An event that is declared ignored, and changes something all the same, is no row that anybody reads."""
    before, _, _, (after, effects, verdict) = moment
    if verdict.kind in ("ignored", "refused"):
        same = (after.state, after.data) == (before.state, before.data) and not effects
        assert same, f"{name_of(moment.event)} was {verdict.kind}, and changed {before} to {after}"
        assert verdict.reason, f"{name_of(moment.event)} was {verdict.kind} without a reason"


def an_attempt_is_asked_for_when_its_state_is_entered(machine: Machine, moment: Moment) -> None:
    """Asked for twice, something is done twice; not asked for, it is never done."""
    after, effects, verdict = moment.decision
    asked = [effect for effect in effects if isinstance(effect, Attempt)]
    wanted = int(verdict.kind == "moved" and machine.effect(after.state) is not None)
    assert len(asked) == wanted, f"{len(asked)} attempts were asked for on the way to {after.state!r}, not {wanted}"
    assert not asked or machine.attempt(after) == asked[0], (
        f"a restart in {after.state!r} would ask for another attempt"
    )


def deadlines_lie_between_floor_and_cap(machine: Machine, moment: Moment) -> None:
    """A wait of nothing spins, and one of a thousand years is no wait."""
    before, _, now, (after, _, verdict) = moment
    for timer in machine.timers(after.state):
        deadline = getattr(after.data, timer.field)
        anew = deadline is not None and deadline != getattr(before.data, timer.field)
        if anew and verdict.kind in ("moved", "stayed") and not isinstance(moment.event, Offline):
            low, high = now + timer.floor, now + timer.cap
            assert low <= deadline <= high, (
                f"timer {timer.field!r} is {deadline - now} ns off, not {timer.floor} to {timer.cap}"
            )


def whoever_is_not_done_awaits_something(machine: Machine, moment: Moment) -> None:
    """What awaits nothing is lost. What is final awaits nothing."""
    after = moment.after
    armed = {timer for _, timer in machine.deadlines(after)}
    if after.state in machine.final:
        assert not armed, f"{after.state!r} is final, and awaits timer {', '.join(sorted(armed))}"
        return
    own = {timer.field for timer in machine.timers(after.state) if timer not in machine.named}
    assert own <= armed, f"timer {', '.join(sorted(own - armed))} of {after.state!r} is not armed"
    signalled = any(isinstance(wait, Signal) for wait in machine.awaits[after.state])
    assert armed or signalled or machine.effect(after.state) is not None, (
        f"{after.state!r} awaits nothing that can come"
    )


def a_timer_that_fired_does_not_fire_again_at_once(machine: Machine, moment: Moment) -> None:
    """Each firing is paid for by a wait."""
    if isinstance(moment.event, Elapsed):
        again = [
            at for at, timer in machine.deadlines(moment.after) if timer == moment.event.timer and at <= moment.now
        ]
        assert not again, f"timer {moment.event.timer!r} would fire again at the same moment"


def the_step_is_pure(machine: Machine, moment: Moment) -> None:
    """Replay asks the same once more, years later."""
    before, event, now, decision = moment
    again = machine.step(before, event, now)
    assert again == decision, (
        f"asked twice, {name_of(event)} in {before.state!r} gives two decisions:\n  {decision}\n  {again}"
    )


def what_is_recorded_survives_the_journal(machine: Machine, moment: Moment) -> None:
    """After a restart all that is known has been JSON."""
    for value in (moment.after.data, moment.event):
        try:
            text = codec.dumps(value)
            back = codec.loads(text, type(value))
        except CodecError as error:
            raise AssertionError(f"after {name_of(moment.event)} in {moment.before.state!r}: {error}") from None
        same = back == value and repr(back) == repr(value)
        assert same, (
            f"{type(value).__name__} goes into the journal and comes back as something else:\n  {value!r}\n  {back!r}"
        )
    assert isinstance(moment.after.data, machine.remembers), f"{machine.name} remembers {moment.after.data!r}"


PROMISES: Final[tuple[Check, ...]] = (
    every_event_is_counted,
    nothing_foreseen_is_refused,
    what_is_ignored_changes_nothing,
    an_attempt_is_asked_for_when_its_state_is_entered,
    deadlines_lie_between_floor_and_cap,
    whoever_is_not_done_awaits_something,
    a_timer_that_fired_does_not_fire_again_at_once,
    the_step_is_pure,
    what_is_recorded_survives_the_journal,
)
