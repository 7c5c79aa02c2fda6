"""Each check of the kit is seen to catch a machine that is broken in the way it is for, and to say so in few events."""

import io
import re
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import find, settings

from statecore.events import Elapsed
from statecore.machine import Attempt, Decision, Machine, Snapshot, Verdict
from statecore.testing import Trial, assert_explored, covering, histories, machine_test, system_test, trial_of
from statecore.testing.lives import Moment
from statecore.testing.promises import PROMISES
from statecore.testing.stateful import usual
from statecore.units import SECONDS
from tests.testing import broken
from tests.testing.broken import Door, Looked, Pushed, door
from tests.testing.shop import Declined, Paid, Placed, order, stock

QUIET = settings(
    usual(), max_examples=50, database=None, stateful_step_count=20, derandomize=True, report_multiple_bugs=False
)


def failure(test: Any) -> str:
    """Run a test that must fail by itself, as unittest does, and return all that it says."""
    said = []
    for name in ("test_any_history", "test_whatever_happens"):
        if hasattr(test.TestCase, name):
            result = unittest.TextTestRunner(io.StringIO()).run(test.TestCase(name))
            said += [text for _, text in (*result.failures, *result.errors)]
    assert said, "nothing was noticed"
    return "\n".join(said)


def shrunk(said: str) -> list[str]:
    """Return the events of the histories that are printed, by their names: the shortest one."""
    stories = re.findall(r"\(event, ns since the beginning\):\s*\n\s*\[\n(.*?)\n\s*\]", said, re.DOTALL)
    return min((re.findall(r"^\s*\((?:'[^']*', )?(\w+)\(", story, re.MULTILINE) for story in stories), key=len)


def never_open(snapshot: Snapshot) -> bool:
    return snapshot.state != "open"


def pushes_grow(before: Snapshot, _event: Any, after: Snapshot) -> bool:
    return bool(after.data.pushes < 3 or after.data.pushes == before.data.pushes)


@pytest.mark.parametrize(
    ("machine", "says", "events"),
    [
        (lambda: door(do=broken.remembering_a_list), "comes back as something else", ["Pushed"]),
        (
            lambda: door(do=broken.remembering_too_much),
            "cannot be written to the journal",
            ["Pushed", "Elapsed", "Pushed"],
        ),
        (lambda: door(do=broken.counting_by_itself()), "asked twice, Pushed in 'shut' gives two decisions", ["Pushed"]),
        (lambda: door(do=broken.raising), "KeyError: 1", ["Pushed", "Elapsed", "Pushed"]),
    ],
    ids=["a list for a tuple", "more than 64 bits", "an impure handler", "a handler that raises"],
)
def test_a_broken_machine_is_caught_in_as_few_events_as_it_takes(
    machine: Callable[[], Machine], says: str, events: list[str]
) -> None:
    """
    Its definition is proved; only what its handlers do gives it away.
    """
    said = failure(machine_test(machine(), profile=QUIET))

    assert says in said
    assert shrunk(said) == events


def test_a_handler_that_minds_what_happened_elsewhere_is_caught_by_replaying() -> None:
    """
    Asked twice in a row it says the same. Only the journal, replayed from the beginning, tells.
    """
    remembers, looks = broken.minding_the_world({"looks": 0})
    trial = trial_of(door(do=remembers, looked=looks))
    trial.happen(Pushed())

    with pytest.raises(AssertionError, match="replayed from the journal, door/tried/1 is somewhere else") as raised:
        trial.happen(Looked())

    assert "(Looked(), 0)," in raised.value.__notes__[0]


@pytest.mark.parametrize("journal", ["memory", "sqlite"])
def test_an_invariant_that_breaks_is_shown_with_its_history(journal: Any) -> None:
    """
    Through either journal, and shrunk to what it takes.
    """
    said = failure(
        machine_test(door(), invariants=[never_open], journal=journal, profile=settings(QUIET, max_examples=20))
    )

    assert "never_open does not hold after Pushed in 'shut'" in said
    assert shrunk(said) == ["Pushed"]


def test_what_lies_deep_is_found_and_shrunk() -> None:
    """
    Three pushes, with the timer in between, are all that it takes; what was tried around them is gone.
    """
    said = failure(machine_test(door(), invariants=[pushes_grow], profile=QUIET))

    assert shrunk(said) == ["Pushed", "Elapsed", "Pushed", "Elapsed", "Pushed"]


def test_what_a_failure_prints_can_be_pinned_as_it_is() -> None:
    """
    Hypothesis' own `@example` does not work for stateful tests, so this is how an incident is kept.
    """
    said = failure(machine_test(door(), invariants=[never_open], profile=QUIET))
    code = re.search(r"beginning\):\s*\n(\s*\[\n.*?\n\s*\])", said, re.DOTALL)
    assert code is not None
    pinned = eval(code[1].strip(), {"Pushed": Pushed, "Elapsed": Elapsed, "SECONDS": SECONDS})

    test = machine_test(door(), invariants=[never_open], examples=[pinned], profile=settings(QUIET, max_examples=1))
    result = unittest.TextTestRunner(io.StringIO()).run(test.TestCase("test_pinned_1"))
    mended = machine_test(door(), examples=[pinned], profile=QUIET)

    assert "never_open does not hold" in result.failures[0][1]
    assert unittest.TextTestRunner(io.StringIO()).run(mended.TestCase("test_pinned_1")).wasSuccessful()


class Eager:
    """A monitor that minds being looked at twice in a row."""

    def __init__(self) -> None:
        self.looks = 0

    def see(self, _address: str, moment: Moment) -> str | None:
        self.looks = self.looks + 1 if isinstance(moment.event, Looked) else 0
        return "somebody stares" if self.looks == 2 else None


def test_a_monitor_sees_each_history_by_itself() -> None:
    """
    What an invariant of one step cannot say.
    """
    said = failure(machine_test(door(), monitors=[Eager], profile=QUIET))

    assert "Eager: somebody stares" in said
    assert shrunk(said) == ["Looked", "Looked"]


def is_torn_off(snapshot: Snapshot) -> bool:
    return bool(snapshot.data.pushes < 0)


def test_a_check_that_never_got_there_is_no_pass() -> None:
    """
    Nothing was wrong, because nothing was tried.
    """
    assert "never came to hold, so nothing was tried there: is_torn_off" in failure(
        machine_test(door(), sometimes=[is_torn_off], profile=QUIET)
    )


def test_two_machines_that_do_not_agree_are_caught_together() -> None:
    """
    Each alone is as it should be.
    """

    def paid_or_taken(snapshots: Any) -> bool:
        return not (snapshots["order/shop/1"].state == "paid" and snapshots["stock/shop/tea"].data.taken)

    said = failure(system_test({"order/shop/1": order, "stock/shop/tea": stock}, joint=[paid_or_taken], profile=QUIET))

    assert "paid_or_taken does not hold" in said
    assert "('order/shop/1', Paid(), 0)," in said
    assert len(shrunk(said)) == 2  # the stock is told by the order


def test_telling_somebody_who_is_not_there_is_said() -> None:
    """
    In a gateway it would end the account.
    """
    trial = Trial({"order/shop/1": order}, elsewhere=())
    trial.play([(Placed(price=1), 0), (Declined(), 0), (Elapsed("retry_at"), 5 * SECONDS)])

    with pytest.raises(AssertionError, match="Taken is told to stock/shop/tea, and no machine 'stock' is here"):
        trial.happen(Paid())


# ---- what only a broken core could break -----------------------------------------------------------------------------


def moment(event: Any = None, snapshot: Any = None, **changed: Any) -> Moment:
    """Return a push of a door as it is, but for what is changed of its decision."""
    before = Snapshot("shut", Door(), 4, 4)
    decision = door().step(before, event or Pushed(), 0)
    after = decision.snapshot._replace(**snapshot or {})
    return Moment(before, event or Pushed(), 0, decision._replace(snapshot=after, **changed))


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        ({"snapshot": {"version": 6}}, "version 4 is followed by 6"),
        ({"snapshot": {"entered": 4}}, "says that it entered 'open' at version 4"),
        ({"outcome": Verdict("refused", "why not", ())}, "Pushed was refused: why not"),
        ({"outcome": Verdict("ignored", "", ())}, "Pushed was ignored, and changed"),
        ({"effects": (Attempt(Pushed(), 1, 5),)}, "1 attempts were asked for on the way to 'open', not 0"),
        ({"snapshot": {"data": Door(pushes=1, shuts_at=1)}}, "timer 'shuts_at' is 1 ns off"),
        ({"snapshot": {"data": Door(pushes=1)}}, "timer shuts_at of 'open' is not armed"),
        ({"event": Elapsed("shuts_at"), "snapshot": {"state": "open", "data": Door(shuts_at=0)}}, "would fire again"),
    ],
)
def test_every_promise_is_seen_to_be_broken(spoilt: dict[str, Any], says: str) -> None:
    """
    The core keeps these, so a decision is spoilt by hand; a check that cannot fail is none.
    """
    found = []
    for promise in PROMISES:
        try:
            promise(door(), moment(**spoilt))
        except AssertionError as error:
            found.append(str(error))

    assert any(says in text for text in found), found


def test_what_was_not_spoilt_keeps_every_promise() -> None:
    """
    Else the test above would show nothing.
    """
    for promise in PROMISES:
        promise(door(), moment())

    assert isinstance(moment().decision, Decision)


# ---- coverage --------------------------------------------------------------------------------------------------------


def test_a_guard_that_never_holds_and_a_timer_that_never_fires_are_named() -> None:
    """
    Either is a row that nobody has tried, or that nobody needs.
    """
    guarded = door(when=broken.never)
    with covering(guarded) as coverage:
        guarded.step(guarded.start(), Pushed(), 0)
    found = coverage.of("door")

    assert "shut  Pushed: never said yes" in found.guards.missing
    assert "open  timer shuts_at fired" in found.timers.missing
    assert (found.transitions.taken, found.transitions.total) == (1, 6)
    assert found.percent == pytest.approx(100 * 2 / 9)

    with pytest.raises(AssertionError, match="less than 100 % was gone through") as raised:
        assert_explored(guarded, cover=100, bounded=True)
    assert "never answered  shut  Pushed: never yes" in str(raised.value)


def test_steps_outside_of_the_context_are_not_counted() -> None:
    """
    And the step is what it was before.
    """
    machine, step = door(), Machine.step
    with covering(machine) as coverage:
        pass
    machine.step(machine.start(), Pushed(), 0)

    assert Machine.step is step
    assert coverage.of("door").transitions.taken == 0


def test_another_machine_of_the_same_name_is_not_counted_for_it() -> None:
    """
    A test may define a variant; what the variant does says nothing about the machine.
    """
    machine, variant, alike = door(), door(when=broken.never), door()
    with covering(machine) as coverage:
        variant.step(variant.start(), Pushed(), 0)
        assert coverage.of("door").transitions.taken == 0
        alike.step(alike.start(), Looked(), 0)

    assert coverage.of("door").transitions.taken == 1


def test_exploring_finds_the_handler_that_raises() -> None:
    """
    With the shortest way there.
    """
    with pytest.raises(AssertionError, match="'no handler raises' is refuted") as raised:
        assert_explored(door(do=broken.raising), bounded=True)

    assert str(raised.value).count("Pushed()") >= 2


# ---- shrinking of plain histories ------------------------------------------------------------------------------------


def test_a_history_shrinks_to_the_events_that_matter() -> None:
    """
    Events in between that only led nowhere are taken out one by one.
    """
    found = find(
        histories(order), lambda history: any(one.after.data.tries == 2 for one in history), settings=settings(QUIET)
    )

    assert [type(one.event).__name__ for one in found] == ["Placed", "Declined", "Elapsed", "Declined"]
    assert repr(found).splitlines()[1] == "    (Placed(price=1), 0),"
