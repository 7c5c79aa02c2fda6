"""One message that came in, as whoever handles it would notice."""

from typing import Any

import pytest
from hypothesis import given

from statecore.events import Elapsed
from statecore.machine import Snapshot
from statecore.machines.inbound import (
    Discarded,
    Handed,
    Handled,
    HandlerFailed,
    Inbound,
    Received,
    Repeated,
    Retried,
    inbound,
)
from statecore.units import DAYS, MILLISECONDS, SECONDS
from tests.statecore.strategies import Moment, histories, often

NOW = 1_790_000_000 * SECONDS
RECEIVED = Received(chat="ann", sender="ann", id="9007199254740993", text="hello")
AGAIN = Repeated(id="9007199254740993", by="id")
FAILED = HandlerFailed(error="ValueError: no", wait=3 * SECONDS)
FATAL = HandlerFailed(error="ValueError: no", final=True)


def live(*events: Any, snapshot: Snapshot | None = None, now: int = NOW) -> Snapshot:
    """Let events happen to a receipt, one after another; a name fires that timer when it is due."""
    at = snapshot or inbound.start()
    for event in events:
        if isinstance(event, str):
            now = max(now, getattr(at.data, event))
            at = inbound.step(at, Elapsed(event), now).snapshot
        else:
            at = inbound.step(at, event, now).snapshot
    return at


WAITING = live(RECEIVED)
PLACES = {
    "new": inbound.start(),
    "waiting": WAITING,
    "handling": live(Handed(), snapshot=WAITING),
    "retrying": live(Handed(), FAILED, snapshot=WAITING),
    "quarantined": live(Handed(), FATAL, snapshot=WAITING),
    "done": live(Handed(), Handled(), snapshot=WAITING),
}


def test_every_state_can_be_told_of() -> None:
    """
    The stories below begin in these places.
    """
    assert {name: place.state for name, place in PLACES.items()} == {name: name for name in inbound.states}


def test_it_is_done_when_its_handler_says_so_and_not_before() -> None:
    """
    At least once: a handler that was cut off is handed the message again.
    """
    assert PLACES["handling"].state == "handling"
    assert live(Handled(), snapshot=PLACES["handling"]).state == "done"


def test_an_attempt_is_counted_before_its_handler_runs() -> None:
    """
    A message that takes the process down with it must be counted by a process that is gone.
    """
    assert PLACES["handling"].data.attempts == 1
    assert live("retry_at", Handed(), snapshot=PLACES["retrying"]).data.attempts == 2


def test_a_handler_that_failed_is_handed_it_again_after_a_wait() -> None:
    """
    The database it needs is restarting, as a rule.
    """
    retrying = PLACES["retrying"]

    assert (retrying.data.retry_at, retrying.data.reason) == (NOW + 3 * SECONDS, "ValueError: no")
    assert live("retry_at", snapshot=retrying).state == "waiting"


@pytest.mark.parametrize(("wait", "least"), [(0, 50 * MILLISECONDS), (99 * DAYS, 1 * DAYS)])
def test_the_wait_of_a_failing_handler_is_bounded(wait: int, least: int) -> None:
    """
    A handler that fails at once must not burn a core, and one that fails for long must not be forgotten.
    """
    failed = live(HandlerFailed(error="-", wait=wait), snapshot=PLACES["handling"])

    assert failed.data.retry_at == NOW + least


def test_one_that_fails_too_often_is_set_aside_for_a_person() -> None:
    """
    The others of its chat go on; it waits, with what happened and what to do.
    """
    aside = PLACES["quarantined"]

    assert (aside.state, aside.data.reason) == ("quarantined", "ValueError: no")
    assert aside.data.action == "mend the handler, then retry or discard the message"
    assert inbound.deadlines(aside) == []


def test_a_person_may_have_it_handed_over_again() -> None:
    """
    With all its attempts before it: the handler is another one now.
    """
    again = live(Retried(), snapshot=PLACES["quarantined"])

    assert (again.state, again.data) == ("waiting", Inbound())


@pytest.mark.parametrize("place", ["waiting", "retrying", "quarantined"])
def test_a_person_may_discard_what_no_handler_has(place: str) -> None:
    """
    Some messages are not worth mending a handler for.
    """
    assert live(Discarded(), snapshot=PLACES[place]).state == "done"


@pytest.mark.parametrize("person", [Retried(), Discarded()])
def test_what_a_handler_has_is_not_taken_from_it(person: Any) -> None:
    """
    It would be handled twice at the same time.
    """
    assert live(person, snapshot=PLACES["handling"]).state == "handling"


@pytest.mark.parametrize("place", ["waiting", "handling", "retrying", "quarantined"])
def test_a_copy_is_counted_and_changes_nothing_else(place: str) -> None:
    """
    Platforms deliver again what they think was not heard; people should not see it answered twice.
    """
    was = PLACES[place]
    decision = inbound.step(was, AGAIN, NOW + 1)

    assert decision.outcome.kind == "stayed"
    assert decision.snapshot == Snapshot(
        was.state,
        Inbound(was.data.attempts, was.data.copies + 1, was.data.retry_at, was.data.reason, was.data.action),
        was.version + 1,
        was.entered,
    )


@pytest.mark.parametrize("place", ["waiting", "handling", "retrying", "quarantined", "done"])
def test_a_message_comes_in_once(place: str) -> None:
    """
    The same id again is a copy, whatever it says.
    """
    decision = inbound.step(PLACES[place], RECEIVED, NOW)

    assert decision.outcome.kind == "ignored"
    assert "a copy of a message" in decision.outcome.reason


@pytest.mark.parametrize("event", [RECEIVED, AGAIN, Handed(), Handled(), FAILED, Retried(), Discarded()])
def test_what_is_done_stays_done(event: Any) -> None:
    """
    A copy that comes a day late must not be answered a day late.
    """
    decision = inbound.step(PLACES["done"], event, NOW)

    assert decision.outcome.kind == "ignored"
    assert decision.snapshot.data == PLACES["done"].data


# ---- whatever happens ------------------------------------------------------------------------------------------------


@often
@given(histories(inbound))
def test_it_is_never_done_unless_a_handler_or_a_person_said_so(moments: list[Moment]) -> None:
    """
    A message that is dropped silently is the worst thing a bot can do to the person who wrote it.
    """
    for before, event, _, (after, _, _) in moments:
        if after.state == "done" != before.state:
            assert isinstance(event, Handled | Discarded)
            assert (before.state == "handling") == isinstance(event, Handled)


@often
@given(histories(inbound))
def test_attempts_count_how_often_it_was_handed_over_since_a_person_looked(moments: list[Moment]) -> None:
    """
    Handing over is the only thing that counts, and it counts each time.
    """
    handed = 0
    for before, event, _, (after, _, verdict) in moments:
        if verdict.kind == "moved":
            handed = 0 if isinstance(event, Retried) else handed + isinstance(event, Handed)
        assert after.data.attempts == handed
        assert (after.state == "handling") <= (handed > 0), before


@often
@given(histories(inbound))
def test_whatever_waits_for_a_person_says_so(moments: list[Moment]) -> None:
    """
    And nothing else asks anything of anybody.
    """
    for moment in moments:
        assert bool(moment.after.data.action) == (moment.after.state == "quarantined") or moment.after.state == "done"
