"""What the proof refuses, and in which words: a door that is sound, and one thing wrong with it at a time.

Each refusal is compared whole. So a test also fails when the proof finds something besides what is wrong.
"""

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.errors import DefinitionError
from statecore.events import Arrival, Broken, Elapsed, Event, External, Governed, Late, Offline, Outcome, Timed
from statecore.machine import STAY, Effect, Machine, Row, Signal, Timer, ignore, on
from statecore.units import DAYS, MINUTES, SECONDS
from tests.statecore.strategies import often


@attrs.frozen
class Door:
    retry_at: int | None = None
    shut_at: int | None = None
    pushes: int = 0


@attrs.frozen
class Turn:
    """Turn the handle."""


@attrs.frozen
class Look:
    """Look who is there."""


@attrs.frozen(kw_only=True)
class Pushed(External):
    pass


@attrs.frozen(kw_only=True)
class Pulled(External):
    pass


@attrs.frozen(kw_only=True)
class Turned(Outcome):
    pass


@attrs.frozen(kw_only=True)
class Stuck(Outcome):
    pass


@attrs.frozen(kw_only=True)
class Came(Arrival):
    pass


@attrs.frozen(kw_only=True)
class Creaked(Event):
    """Neither from outside nor what came of anything."""


def pushed(was: Door, _event: Event, _now: int) -> Door:
    return attrs.evolve(was, pushes=was.pushes + 1)


def gently(_was: Door, _event: Event) -> bool:
    return True


TURN: Final = Effect(Turn, (Turned, Stuck), within=5 * SECONDS)
TABLE: Final = (
    on("shut", Pushed, "turning"),
    on("turning", Turned, "open"),
    on("turning", Stuck, "jammed"),
    on("turning", Broken, "gone"),
    on("jammed", Elapsed("retry_at"), "turning"),
    on("open", Elapsed("shut_at"), "shut"),
    on("open", Pushed, STAY, pushed),
    ignore(("turning", "jammed", "gone"), Pushed, because="it is under way"),
    ignore(("shut", "jammed", "open", "gone"), (Turned, Stuck), because="nobody turns the handle"),
)
AWAITS: Final[Mapping[str, Any]] = {
    "shut": Signal(Pushed),
    "turning": TURN,
    "jammed": Timer("retry_at", floor=1 * SECONDS, cap=1 * MINUTES),
    "open": (Timer("shut_at", floor=1 * SECONDS, cap=1 * MINUTES), Signal(Pushed)),
}


def door(**changes: Any) -> Machine:
    sound: dict[str, Any] = {
        "remembers": Door, "initial": "shut", "table": TABLE, "awaits": AWAITS, "final": ("gone",)
    }  # fmt: skip
    return Machine("door", **{**sound, **changes})


def problems(**changes: Any) -> tuple[str, ...]:
    """Define a door with something wrong, and return what it is refused for."""
    with pytest.raises(DefinitionError) as caught:
        door(**changes)
    assert caught.value.machine == "door"
    return caught.value.problems


def without(*unwanted: Row) -> tuple[Row, ...]:
    rows = tuple(row for row in TABLE if row not in unwanted)
    assert len(rows) == len(TABLE) - len(unwanted)
    return rows


def test_a_sound_door_is_accepted() -> None:
    """
    Everything below changes one thing in it; were it refused, each of them would pass for the wrong reason.
    """
    assert door().states == ("shut", "turning", "jammed", "open", "gone")


def test_a_refusal_lists_every_problem_a_line_each() -> None:
    """
    Whoever mends a table mends it once, and not once a problem.
    """
    with pytest.raises(DefinitionError) as caught:
        door(awaits={**AWAITS, "attic": Signal(), "cellar": Signal()})

    lines = str(caught.value).splitlines()

    assert lines[0] == "machine 'door' is refused:"
    assert "  - state 'attic' cannot be reached from 'shut'" in lines
    assert "  - state 'cellar' cannot be reached from 'shut'" in lines
    assert "  - nobody decided on Pushed in 'attic': write a row, or ignore it with a reason" in lines


# ---- names -----------------------------------------------------------------------------------------------------------


def test_an_initial_state_that_does_not_exist_is_refused() -> None:
    """
    An instance in a state that the machine does not have can never be read back.
    """
    assert problems(initial="ajar") == ("the initial state 'ajar' awaits nothing and is not final",)


@pytest.mark.parametrize("initial", ["turning", "jammed", "gone"])
def test_an_initial_state_that_awaits_no_signal_is_refused(initial: str) -> None:
    """
    Nothing arms a timer and nobody asks for an attempt before the first event, and that can only come from outside.
    """
    (problem,) = problems(initial=initial)

    assert problem == (
        f"the initial state {initial!r} awaits no Signal(): before anything has happened, no timer is armed and no "
        "attempt is asked for"
    )


@pytest.mark.parametrize(
    "row", [on("ajar", Pushed, "shut"), on("shut", Pulled, "ajar"), ignore("ajar", Pulled, because="it squeaks")]
)
def test_a_row_that_names_an_unknown_state_is_refused(row: Row) -> None:
    """
    A misspelt state would be a place where instances go and never come back.
    """
    assert problems(table=(*TABLE, row, row)) == (
        "state 'ajar' awaits nothing and is not final: give it an entry in awaits",
    )


def test_a_state_that_awaits_nothing_and_is_not_final_is_refused() -> None:
    """
    It is where a message is lost without anyone noticing.
    """
    assert problems(awaits={**AWAITS, "jammed": ()}) == ("state 'jammed' awaits nothing and is not final",)


def test_a_final_state_that_awaits_something_is_refused() -> None:
    """
    Final is what retention may delete.
    """
    assert problems(awaits={**AWAITS, "gone": Signal()}) == ("state 'gone' is final and yet awaits something",)


def test_two_attempts_in_one_state_are_refused() -> None:
    """
    An outcome belongs to the entry into a state; two attempts of one entry could not be told apart.
    """
    two = (TURN, Effect(Look, (Came,), within=1))

    assert problems(awaits={**AWAITS, "turning": two}) == (
        "state 'turning' asks for two attempts at once; make them two states or two machines",
    )


def test_an_attempt_that_gives_something_else_than_outcomes_is_refused() -> None:
    """
    An external event pays for a cycle. What a peer answers at once must not pass for one.
    """
    turn = Effect(Turn, (Turned, Stuck, Pushed, Creaked), within=1)

    assert problems(awaits={**AWAITS, "turning": turn}) == (
        "the attempt Turn of state 'turning' gives Pushed, which is no Outcome",
        "the attempt Turn of state 'turning' gives Creaked, which is no Outcome",
    )


def test_a_timer_without_a_field_to_hold_its_deadline_is_refused() -> None:
    """
    A deadline that is not remembered does not survive a restart.
    """
    timer = Timer("rety_at", floor=1, cap=2)

    assert problems(awaits={**AWAITS, "jammed": timer}) == ("timer 'rety_at' of state 'jammed' is no field of Door",)


def test_two_timers_in_one_field_are_refused() -> None:
    """
    They would have one deadline and two floors; which of them pays for a cycle?
    """
    twice = (Timer("retry_at", floor=1, cap=2), Timer("retry_at", floor=1 * SECONDS, cap=2 * SECONDS))

    assert problems(awaits={**AWAITS, "jammed": twice}) == (
        "state 'jammed' has two timers 'retry_at', and one deadline for both",
    )
    assert problems(named=(Timer("retry_at", floor=1, cap=2),)) == (
        "state 'jammed' has two timers 'retry_at', and one deadline for both",
    )


@pytest.mark.parametrize("note", [Late, Governed, Offline])
def test_a_row_about_what_every_machine_takes_alike_is_refused(note: type[Event]) -> None:
    """
    Those rows would never apply, and whoever wrote them counts on them.
    """
    assert problems(table=(*TABLE, on("shut", note, "turning"))) == (
        f"{note.__name__} means the same in every machine, so no row may speak of it",
    )


# ---- reachability ----------------------------------------------------------------------------------------------------


def test_a_state_that_cannot_be_reached_is_refused() -> None:
    """
    Either a row is missing or the state is: both are mistakes that a diagram would show at a glance.
    """
    attic = (on("attic", Pushed, "shut"), ignore("attic", (Turned, Stuck), because="it is an attic"))

    assert problems(table=(*TABLE, *attic), awaits={**AWAITS, "attic": Signal()}) == (
        "state 'attic' cannot be reached from 'shut'",
    )


def test_states_that_reach_only_each_other_are_refused() -> None:
    """
    An island counts as unreachable, however well connected it is.
    """
    island = (
        on("attic", Pushed, "cellar"),
        on("cellar", Pushed, "attic"),
        ignore(("attic", "cellar"), (Turned, Stuck), because="it is an island"),
    )

    assert problems(table=(*TABLE, *island), awaits={**AWAITS, "attic": Signal(), "cellar": Signal()}) == (
        "state 'attic' cannot be reached from 'shut'",
        "state 'cellar' cannot be reached from 'shut'",
    )


def test_a_final_state_that_cannot_be_reached_is_refused() -> None:
    """
    An end that nothing comes to is a name that somebody forgot.
    """
    table = (*TABLE, ignore("bricked-up", (Pushed, Turned, Stuck), because="it is over"))

    assert problems(table=table, final=("gone", "bricked-up")) == ("state 'bricked-up' cannot be reached from 'shut'",)


# ---- every pair is decided -------------------------------------------------------------------------------------------


def test_a_pair_that_nobody_decided_on_is_refused() -> None:
    """
    An event that is silently ignored is the root of most of what goes wrong in other libraries.
    """
    assert problems(table=without(TABLE[7])) == (
        "nobody decided on Pushed in 'turning': write a row, or ignore it with a reason",
        "nobody decided on Pushed in 'jammed': write a row, or ignore it with a reason",
        "nobody decided on Pushed in 'gone': ignore it with a reason",
    )


def test_a_signal_that_is_awaited_and_in_no_row_must_be_decided_on_everywhere() -> None:
    """
    What a state says it awaits is part of what the machine hears.
    """
    found = problems(awaits={**AWAITS, "open": (AWAITS["open"][0], Signal(Pushed, Pulled))})

    assert found == (
        "nobody decided on Pulled in 'shut': write a row, or ignore it with a reason",
        "nobody decided on Pulled in 'turning': write a row, or ignore it with a reason",
        "nobody decided on Pulled in 'jammed': write a row, or ignore it with a reason",
        "nobody decided on Pulled in 'open': write a row, or ignore it with a reason",
        "nobody decided on Pulled in 'gone': ignore it with a reason",
    )


def test_a_timer_that_fires_into_nothing_is_refused() -> None:
    """
    It would fire for ever, or the state would wait for ever.
    """
    assert problems(table=without(TABLE[5])) == (
        "nobody decided on Elapsed(shut_at) in 'open': write a row, or ignore it with a reason",
    )


def test_an_attempt_that_can_break_and_leads_nowhere_then_is_refused() -> None:
    """
    Every attempt can be cut off, by its own time limit if by nothing else.
    """
    ignored = ignore(("shut", "turning", "jammed", "gone"), Pulled, because="it is not open")
    table = (*without(TABLE[3]), on("open", Pulled, "gone"), ignored)

    assert problems(table=table, awaits={**AWAITS, "open": (AWAITS["open"][0], Signal())}) == (
        "nobody decided on Broken in 'turning': write a row, or ignore it with a reason",
    )


def test_a_pair_with_guarded_rows_only_is_refused() -> None:
    """
    When none of the guards holds, nobody decided.
    """
    table = (*without(TABLE[0]), on("shut", Pushed, "turning", when=gently))

    assert problems(table=table) == ("Pushed in 'shut' has only guarded rows; when none holds, nobody decided",)


@pytest.mark.parametrize("when", [None, gently])
def test_a_row_that_stands_below_an_unguarded_one_is_refused(when: Any) -> None:
    """
    It can never apply, and whoever wrote it believes that it does.
    """
    assert problems(table=(*TABLE, on("shut", Pushed, "turning", when=when))) == (
        "Pushed in 'shut': a row after an unguarded one can never apply",
    )


def test_guarded_rows_above_an_unguarded_one_are_accepted() -> None:
    """
    That is how a table says "otherwise".
    """
    assert len(door(table=(on("shut", Pushed, "turning", pushed, when=gently), *TABLE)).table) == len(TABLE) + 1


def test_a_way_out_of_a_final_state_is_refused() -> None:
    """
    What is over may be deleted, so nothing may happen to it any more.
    """
    table = (
        *(row for row in TABLE if row is not TABLE[7]),
        ignore(("turning", "jammed"), Pushed, because="it is under way"),
        on("gone", Pushed, "shut"),
    )

    assert problems(table=table) == ("state 'gone' is final and yet Pushed leads out of it",)


def test_a_final_state_must_say_what_it_ignores() -> None:
    """
    What comes too late is expected; the reason is for whoever reads the journal.
    """
    table = (
        *(row for row in TABLE if row is not TABLE[7]),
        ignore(("turning", "jammed"), Pushed, because="it is under way"),
    )

    assert problems(table=table) == ("nobody decided on Pushed in 'gone': ignore it with a reason",)


def test_a_state_that_ignores_everything_is_refused() -> None:
    """
    It awaits a signal in name only: none of them can move it.
    """
    table = (
        *(row for row in TABLE if row is not TABLE[4]),
        ignore("jammed", Pulled, because="it is jammed"),
        on(("shut", "open"), Pulled, STAY, pushed),
        ignore(("turning", "gone"), Pulled, because="it is under way"),
    )
    awaits = {**AWAITS, "shut": Signal(), "open": (AWAITS["open"][0], Signal()), "jammed": Signal()}

    assert problems(table=table, awaits=awaits) == (
        "everything is ignored in 'jammed', so nothing it awaits can move it",
    )


# ---- nothing from nowhere --------------------------------------------------------------------------------------------


def test_an_outcome_where_no_attempt_is_made_is_refused() -> None:
    """
    A row for what cannot come is a row in the wrong state.
    """
    table = (
        *(row for row in TABLE if row is not TABLE[8]),
        on("shut", Turned, "open"),
        ignore(("jammed", "open", "gone"), (Turned, Stuck), because="nobody turns the handle"),
        ignore("shut", Stuck, because="nobody turns the handle"),
    )

    assert problems(table=table) == ("Turned is an outcome, and 'shut' makes no attempt",)


def test_an_outcome_of_another_attempt_is_refused() -> None:
    """
    The attempt says what can come of it; nothing else can.
    """
    table = (
        *TABLE,
        on("turning", Came, "open"),
        ignore(("shut", "jammed", "open", "gone"), Came, because="nobody looks"),
    )

    assert problems(table=table) == ("Came is none of the outcomes of Turn, which 'turning' awaits",)


def test_staying_after_the_attempt_has_ended_is_refused() -> None:
    """
    The state would go on awaiting an attempt that nobody makes any more.
    """
    table = (*without(TABLE[2]), on("turning", Stuck, STAY, pushed), on("open", Pulled, "jammed"))
    awaits = {**AWAITS, "open": (AWAITS["open"][0], Signal())}
    ignored = ignore(("shut", "turning", "jammed", "gone"), Pulled, because="it is not open")

    assert problems(table=(*table, ignored), awaits=awaits) == (
        "Stuck ends the attempt of 'turning', so staying there would await nothing: enter a state",
    )


@pytest.mark.parametrize("outcome", [Stuck, Broken])
def test_ignoring_the_end_of_the_attempt_is_refused(outcome: type[Event]) -> None:
    """
    It is the same mistake as staying, in other words.
    """
    rows = {Stuck: TABLE[2], Broken: TABLE[3]}
    table = (
        *without(rows[outcome]),
        ignore("turning", outcome, because="what of it"),
        on("open", Pulled, "jammed", when=gently),
        on("open", Pulled, "gone"),
        ignore(("shut", "turning", "jammed", "gone"), Pulled, because="it is not open"),
    )

    assert problems(table=table, awaits={**AWAITS, "open": (AWAITS["open"][0], Signal())}) == (
        f"{outcome.__name__} ends the attempt of 'turning', so ignoring it there would await nothing: enter a state",
    )


def test_a_signal_row_in_a_state_that_awaits_no_signal_is_refused() -> None:
    """
    What a state awaits is read off `awaits`; a row may not know better.
    """
    assert problems(awaits={**AWAITS, "open": AWAITS["open"][0]}) == (
        "'open' has a row for the signal Pushed and awaits no Signal()",
    )


def test_a_signal_row_that_the_states_signal_does_not_name_is_refused() -> None:
    """
    A list that does not say everything is worse than none.
    """
    table = (*TABLE, on("open", Pulled, "shut"), ignore(("shut", "turning", "jammed", "gone"), Pulled, because="-"))

    assert problems(table=table) == ("'open' has a row for Pulled, which its Signal(...) does not name",)


def test_an_event_that_comes_from_nowhere_is_refused() -> None:
    """
    Where an event comes from decides what it may pay for.
    """
    table = (*TABLE, on("open", Creaked, "shut"), ignore(("shut", "turning", "jammed", "gone"), Creaked, because="-"))

    assert problems(table=table) == (
        "Creaked is neither External, Outcome nor Elapsed, so nobody knows where it comes from",
    )


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (on("shut", Elapsed("shut_at"), "open"), "Elapsed(shut_at) in 'shut', and no such timer runs there"),
        (on("open", Elapsed("shut"), "shut"), "Elapsed(shut) in 'open', and no such timer runs there"),
        (ignore("shut", Elapsed("shut_at"), because="-"), "Elapsed(shut_at) in 'shut', and no such timer runs there"),
        (on("open", Broken, "shut"), "Broken in 'open', and no attempt is made there"),
        (on("shut", Elapsed, "open"), "Elapsed in 'shut', where no timer runs"),
    ],
    ids=["elsewhere", "misspelt", "ignored", "broken", "any"],
)
def test_a_row_for_what_cannot_happen_there_is_refused(row: Row, what: str) -> None:
    """
    A misspelt timer is a row that never applies; it must not count as a way to reach a state, or as one that pays.
    """
    assert problems(table=(*TABLE, row)) == (f"there is a row for {what}",)


def test_an_awaited_timer_may_not_be_ignored() -> None:
    """
    Its deadline has passed and stays passed: it would fire for ever.
    """
    table = (*without(TABLE[5]), ignore("open", Elapsed("shut_at"), because="it is warm"), on("open", Pulled, "shut"))
    ignored = ignore(("shut", "turning", "jammed", "gone"), Pulled, because="it is not open")

    assert problems(table=(*table, ignored), awaits={**AWAITS, "open": (AWAITS["open"][0], Signal())}) == (
        "Elapsed(shut_at) is awaited in 'open', so ignoring it would await nothing, or for ever",
    )


def test_a_timer_that_stays_without_a_handler_is_refused() -> None:
    """
    Nobody sets its next deadline.
    """
    table = (*without(TABLE[5]), on("open", Elapsed("shut_at"), STAY))

    assert problems(table=table) == (
        "Elapsed(shut_at) stays in 'open' and sets no new deadline, so it would fire for ever",
    )


def test_a_timer_that_stays_with_a_handler_is_accepted() -> None:
    """
    That is how a state does something every minute.
    """
    ticking = door(table=(*without(TABLE[5]), on("open", Elapsed("shut_at"), STAY, pushed)))

    assert [timer.field for timer in ticking.timers("open")] == ["shut_at"]


# ---- timers ----------------------------------------------------------------------------------------------------------

ILL_BOUNDS: Final = [
    (0, "0 is not above zero, so it would wait for nothing"),
    (-1, "-1 is not above zero, so it would wait for nothing"),
    (math.inf, "inf is not finite"),
    (math.nan, "nan is not finite"),
    (1.5, "1.5 is no whole number of ns"),
    (True, "True is no whole number of ns"),
    (None, "None is no whole number of ns"),
    (3661 * DAYS, f"{3661 * DAYS} is longer than ten years, so it is no bound"),
]


@pytest.mark.parametrize(("bound", "expected"), ILL_BOUNDS)
def test_a_timer_without_a_floor_is_refused(bound: Any, expected: str) -> None:
    """
    "After 0" is how every statechart library can be made to spin.
    """
    timer = Timer("retry_at", floor=bound, cap=3660 * DAYS)

    assert problems(awaits={**AWAITS, "jammed": timer})[0] == f"state 'jammed': timer 'retry_at': floor {expected}"


@pytest.mark.parametrize(("bound", "expected"), ILL_BOUNDS)
def test_a_timer_without_a_cap_is_refused(bound: Any, expected: str) -> None:
    """
    A wait that never ends is a state that awaits nothing.
    """
    timer = Timer("retry_at", floor=1, cap=bound)

    assert problems(awaits={**AWAITS, "jammed": timer})[0] == f"state 'jammed': timer 'retry_at': cap {expected}"


@pytest.mark.parametrize(("bound", "expected"), ILL_BOUNDS)
def test_an_attempt_without_a_time_limit_is_refused(bound: Any, expected: str) -> None:
    """
    A peer that never answers would hold the instance for ever.
    """
    turn = Effect(Turn, (Turned, Stuck), within=bound)

    assert problems(awaits={**AWAITS, "turning": turn}) == (f"state 'turning': attempt Turn: within {expected}",)


def test_every_timer_whose_cap_is_below_its_floor_is_named() -> None:
    """
    One mistake must not hide the next.
    """
    upside_down = {
        "jammed": Timer("retry_at", floor=2, cap=1),
        "open": (Timer("shut_at", floor=0, cap=1), Signal(Pushed)),
        "turning": TURN,
        "shut": (Signal(Pushed), Timer("shut_at", floor=3, cap=2)),
    }
    table = (*TABLE, on("shut", Elapsed, "turning"))

    assert problems(awaits=upside_down, table=table) == (
        "state 'jammed': timer 'retry_at' has its cap below its floor",
        "state 'open': timer 'shut_at': floor 0 is not above zero, so it would wait for nothing",
        "state 'shut': timer 'shut_at' has its cap below its floor",
    )


def test_a_named_timer_is_held_to_the_same() -> None:
    """
    It pays for cycles like any other.
    """
    named = Timer("shut_at", floor=0, cap=1)
    awaits = {**AWAITS, "open": Signal(Pushed)}
    everywhere = on(("shut", "turning", "jammed", "open"), Elapsed("shut_at"), "gone")

    found = problems(named=(named,), awaits=awaits, table=(*without(TABLE[5]), everywhere))

    assert "state 'open': timer 'shut_at': floor 0 is not above zero, so it would wait for nothing" in found


# ---- cycles ----------------------------------------------------------------------------------------------------------


def test_two_states_that_hand_an_outcome_back_and_forth_are_refused() -> None:
    """
    A peer that answers at once makes a core burn: two statechart libraries hang on this, and one counts to a thousand.
    """
    table = (
        *without(TABLE[2]),
        on("turning", Stuck, "looking"),
        on("looking", Came, "jammed"),
        on("looking", Stuck, "turning"),
        on("looking", Broken, "gone"),
        ignore(("looking", "gone"), (Pushed, Turned), because="somebody looks"),
        ignore(("shut", "turning", "jammed", "open", "gone"), Came, because="nobody looks"),
    )
    table = tuple(
        ignore(("turning", "jammed"), Pushed, because="it is under way") if row is TABLE[7]
        else ignore(("shut", "jammed", "open"), (Turned, Stuck), because="nobody turns the handle") if row is TABLE[8]
        else row
        for row in table
    )  # fmt: skip
    table = (*table, ignore("gone", Stuck, because="it is over"))

    (problem,) = problems(table=table, awaits={**AWAITS, "looking": Effect(Look, (Came, Stuck), within=1)})

    assert problem == (
        "nothing pays for the cycle turning --Stuck--> looking --Stuck--> turning: no timer with a floor, no signal and "
        "no arrival lies on it, so a peer that answers at once would make it spin; lead it through a state that waits"
    )


class Edge(NamedTuple):
    """An edge between the states of a ring, and what drives it."""

    source: int
    kind: str
    target: int


@attrs.frozen(kw_only=True)
class Minute(Timed):
    """An outcome that nobody has in less than a minute."""

    floor: ClassVar[int] = 1 * MINUTES


def ring(edges: list[Edge], size: int) -> Machine:
    """Build a machine of *size* states that is sound but for its cycles.

    Each edge has an event of its own, a signal leads from the start to every state, and every attempt can break.
    """
    outcomes = {edge: make(f"O{index}", Outcome) for index, edge in enumerate(edges) if edge.kind == "outcome"}
    arrivals = {edge: make(f"A{index}", Arrival) for index, edge in enumerate(edges) if edge.kind == "arrival"}
    timed = {edge: make(f"T{index}", Minute) for index, edge in enumerate(edges) if edge.kind == "timed"}
    signals = {edge: make(f"S{index}", External) for index, edge in enumerate(edges) if edge.kind == "signal"}
    begins = [make(f"To{index}", External) for index in range(size)]
    attempts = {**outcomes, **arrivals, **timed}
    heard: tuple[Any, ...] = (*begins, *attempts.values(), *signals.values(), Pulled)
    names = [f"s{index}" for index in range(size)]
    table = [on("start", event, name) for event, name in zip(begins, names, strict=True)]
    awaits: dict[str, Any] = {"start": Signal()}
    for index, name in enumerate(names):
        mine = [edge for edge in edges if edge.source == index]
        gives = tuple(attempts[edge] for edge in mine if edge in attempts)
        waits: list[Any] = [Signal()]
        table.append(on(name, Pulled, "over"))
        if gives:
            waits.append(Effect(Look, gives, within=1))
            table.append(on(name, Broken, "over"))
        if any(edge.kind == "timer" for edge in mine):
            waits.append(Timer("retry_at", floor=1, cap=1))
        for edge in mine:
            event = Elapsed("retry_at") if edge.kind == "timer" else {**attempts, **signals}[edge]
            table.append(on(name, event, names[edge.target]))
        awaits[name] = tuple(waits)
    for state in ("start", *names, "over"):
        decided = {event for row in table if state in row.sources for event in row.events}
        rest = tuple(event for event in heard if event not in decided)
        table.append(ignore(state, rest, because="it is not for this state"))
    return Machine("ring", remembers=Door, initial="start", table=table, awaits=awaits, final=("over",))


def make(name: str, base: type[Event]) -> type[Event]:
    return attrs.make_class(name, {}, bases=(base,), frozen=True, kw_only=True)


def cycles(edges: list[Edge], size: int) -> set[tuple[Edge, ...]]:
    """Find every cycle of at most *size* bare outcomes by walking every path; each once, from its least state."""
    bare = [edge for edge in edges if edge.kind == "outcome"]
    return {
        path
        for length in range(1, size + 1)
        for path in itertools.permutations(bare, length)
        if all(here.target == there.source for here, there in itertools.pairwise(path))
        if path[-1].target == path[0].source == min(edge.source for edge in path)
        if len({edge.source for edge in path}) == length
    }


def shown(problem: str, edges: list[Edge]) -> tuple[Edge, ...]:
    """Read the path off a refusal, as the edges it speaks of."""
    words = problem.removeprefix("nothing pays for the cycle ").partition(":")[0].split()
    found = []
    for here, event, there in zip(words[::2], words[1::2], words[2::2], strict=False):
        edge = edges[int(event.removeprefix("--O").removesuffix("-->"))]
        assert (here, there) == (f"s{edge.source}", f"s{edge.target}")
        found.append(edge)
    assert words[0] == words[-1]
    return tuple(found)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Edge], int]:
    size = draw(st.integers(1, 4))
    node = st.integers(0, size - 1)
    kinds = st.sampled_from(["outcome", "outcome", "outcome", "arrival", "timed", "timer", "signal"])
    edges = draw(st.lists(st.builds(Edge, node, kinds, node), max_size=7, unique=True))
    timed: set[int] = set()
    sound = []
    for edge in edges:
        if edge.kind == "timer" and edge.source in timed:
            continue  # a state has one timer here, and a timer leads to one place
        timed |= {edge.source} if edge.kind == "timer" else set()
        sound.append(edge)
    return sound, size


@often
@given(graphs())
def test_a_machine_is_refused_for_a_cycle_exactly_when_nothing_pays_for_one(graph: tuple[list[Edge], int]) -> None:
    """
    The refusals must be neither too few (it spins) nor too many (nobody can define a poll).
    """
    edges, size = graph
    expected = cycles(edges, size)
    found: tuple[str, ...] = ()
    try:
        ring(edges, size)
    except DefinitionError as error:
        found = error.problems

    paths = [shown(problem, edges) for problem in found]
    from_the_least = {min((path[i:] + path[:i] for i in range(len(path))), key=lambda p: p[0].source) for path in paths}

    assert bool(found) == bool(expected)
    assert from_the_least <= expected
    assert {state for path in paths for state in states(path)} == {s for path in expected for s in states(path)}


def states(path: tuple[Edge, ...]) -> Iterator[int]:
    return (edge.source for edge in path)


def test_a_bare_outcome_that_leads_back_at_once_is_refused() -> None:
    """
    The smallest loop of all: ask, hear "nothing", ask.
    """
    with pytest.raises(DefinitionError) as caught:
        ring([Edge(0, "outcome", 0)], 1)

    assert caught.value.problems[0].startswith("nothing pays for the cycle s0 --O0--> s0: no timer")


def test_a_cycle_of_three_is_refused_once_and_with_its_path() -> None:
    """
    Counting to one or two is not a proof.
    """
    edges = [Edge(0, "outcome", 1), Edge(1, "outcome", 2), Edge(2, "outcome", 0)]

    with pytest.raises(DefinitionError) as caught:
        ring(edges, 3)

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "nothing pays for the cycle s0 --O0--> s1 --O1--> s2 --O2--> s0"
    ]


def test_two_cycles_are_refused_each_with_its_own_path() -> None:
    """
    Whoever mends one should know of the other.
    """
    edges = [Edge(0, "outcome", 1), Edge(1, "outcome", 0), Edge(2, "outcome", 2)]

    with pytest.raises(DefinitionError) as caught:
        ring(edges, 3)

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "nothing pays for the cycle s0 --O0--> s1 --O1--> s0",
        "nothing pays for the cycle s2 --O2--> s2",
    ]


@pytest.mark.parametrize("kind", ["timer", "signal", "arrival", "timed"])
def test_a_cycle_that_a_wait_pays_for_is_accepted(kind: str) -> None:
    """
    A poll that waits, a person who asks again, and messages that keep coming are all cycles that should be.
    """
    edges = [Edge(0, "outcome", 1), Edge(1, "outcome", 2), Edge(2, kind, 0)]

    assert len(ring(edges, 3).states) == 5


def test_an_outcome_that_says_no_time_pays_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    "It takes a while" is no number.
    """
    monkeypatch.setattr(Minute, "floor", 0)

    with pytest.raises(DefinitionError, match="nothing pays for the cycle s0 --T0--> s0"):
        ring([Edge(0, "timed", 0)], 1)


# ---- codec -----------------------------------------------------------------------------------------------------------


def remembering(kind: Any) -> type:
    """Make a class that remembers what a door does and, besides, something of *kind*."""
    return attrs.make_class("Memory", {"odd": attrs.field(default=None, type=kind)}, bases=(Door,), frozen=True)


@attrs.define
class Soft:
    retry_at: int | None = None
    shut_at: int | None = None
    pushes: int = 0


@attrs.frozen
class Needy:
    chat: str
    sender: str
    retry_at: int | None = None
    shut_at: int | None = None


class Plain:
    """No attrs class, and nothing that JSON knows."""


CANNOT: Final = "does not survive JSON; use bool, int, float, str, tuples, str-keyed Mappings, enums or frozen attrs"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (set[int], f"set[int] {CANNOT}"),
        (list[int], f"list[int] {CANNOT}"),
        (bytes, f"<class 'bytes'> {CANNOT}"),
        (dt.datetime, f"<class 'datetime.datetime'> {CANNOT}"),
        (Plain, f"{Plain!r} {CANNOT}"),
        (tuple[int, Plain], f"{Plain!r} {CANNOT}"),
        (int | str, "int | str is ambiguous in JSON; one type, or one type and None"),
        (int | str | None, "int | str | None is ambiguous in JSON; one type, or one type and None"),
        (Mapping[int, int], "a mapping must have str keys"),
    ],
)
def test_what_is_remembered_must_survive_the_journal(kind: Any, why: str) -> None:
    """
    The time to find out is when the machine is defined, and not when its first row cannot be read.
    """
    assert problems(remembers=remembering(kind)) == (f"Memory.odd: {why}",)


def test_events_must_survive_the_journal_too() -> None:
    """
    They are the record; what is remembered is only its fold.
    """
    torn = attrs.make_class("Torn", {"when": attrs.field(type=set)}, bases=(External,), frozen=True, kw_only=True)
    table = (*TABLE, ignore(("shut", "turning", "jammed", "open", "gone"), torn, because="it is paper"))

    assert problems(table=table) == (f"Torn.when: <class 'set'> {CANNOT}",)


def test_what_can_be_changed_afterwards_is_refused() -> None:
    """
    A handler that changes it in place would change the past.
    """
    assert problems(remembers=Soft) == ("Soft is not frozen, so what is recorded could change afterwards",)


def test_what_is_remembered_must_be_an_attrs_class() -> None:
    """
    The codec, the deadlines and the step all work on fields.
    """
    assert problems(remembers=dict) == ("what it remembers, <class 'dict'>, is no attrs class",)


def test_every_field_must_have_a_default() -> None:
    """
    An instance begins before anything is known of it.
    """
    assert problems(remembers=Needy) == ("Needy: chat, sender has no default, so an instance cannot begin",)
