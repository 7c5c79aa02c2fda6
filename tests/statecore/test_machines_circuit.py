"""One chat, or one account, that refuses, as whoever waits behind it would notice."""

from typing import Any

import attrs
import pytest
from hypothesis import given

from statecore.events import Elapsed
from statecore.machine import Snapshot
from statecore.machines.circuit import (
    PROBES,
    Circuit,
    ProbeFailed,
    ProbePassed,
    ProbeSent,
    ProbeVoid,
    Reset,
    Tripped,
    circuit,
)
from statecore.units import DAYS, MILLISECONDS, MINUTES, SECONDS
from tests.statecore.strategies import Moment, histories, often

NOW = 1_790_000_000 * SECONDS
TRIPPED = Tripped(reason="ret=-2: refused", wait=30 * SECONDS, failures=1, suspects=("ann",))
SENT = ProbeSent(delivery="delivery/wx/1", within=90 * SECONDS)
FAILED = ProbeFailed(reason="ret=-2: again", wait=60 * SECONDS)


def live(*events: Any, snapshot: Snapshot | None = None, now: int = NOW) -> Snapshot:
    """Let events happen to a circuit, one after another; a name fires that timer when it is due."""
    at = snapshot or circuit.start()
    for event in events:
        if isinstance(event, str):
            now = max(now, getattr(at.data, event))
            at = circuit.step(at, Elapsed(event), now).snapshot
        else:
            at = circuit.step(at, event, now).snapshot
    return at


OPEN = live(TRIPPED)
PLACES = {
    "closed": circuit.start(),
    "open": OPEN,
    "half-open": live("probe_at", snapshot=OPEN),
    "probing": live("probe_at", SENT, snapshot=OPEN),
}


def test_every_state_can_be_told_of() -> None:
    """
    The stories below begin in these places.
    """
    assert {name: place.state for name, place in PLACES.items()} == {name: name for name in circuit.states}


def test_it_opens_on_evidence_and_says_until_when_and_why() -> None:
    """
    What is held back behind it quotes the reason to its sender.
    """
    assert OPEN.state == "open"
    assert OPEN.data == Circuit(
        failures=1, probe_at=NOW + 30 * SECONDS, opened_at=NOW, suspects=("ann",), reason="ret=-2: refused"
    )


def test_it_lets_one_request_through_when_its_wait_is_over() -> None:
    """
    Of the popular breakers two let every waiting request through at that moment, which is the storm all over again.
    """
    half = PLACES["half-open"]
    probing = live(SENT, snapshot=half)

    assert (half.state, probing.state, probing.data.probe) == ("half-open", "probing", "delivery/wx/1")
    assert circuit.step(probing, attrs.evolve(SENT, delivery="delivery/wx/2"), NOW).outcome.reason == (
        "one probe is out already"
    )


def test_a_probe_that_passes_closes_it() -> None:
    """
    And it forgets whom it suspected; the failures stay, for a trip that follows soon.
    """
    closed = live(ProbePassed(), snapshot=PLACES["probing"])

    assert closed.state == "closed"
    assert closed.data == Circuit(failures=1, closed_at=NOW, opened_at=NOW)


def test_a_probe_that_fails_lengthens_the_next_wait() -> None:
    """
    A refusal of length T then costs about log T requests.
    """
    again = live(FAILED, snapshot=PLACES["probing"])

    assert (again.state, again.data.failures, again.data.probe) == ("open", 2, "")
    assert (again.data.probe_at, again.data.reason) == (NOW + 60 * SECONDS, "ret=-2: again")
    assert again.data.throttled_at is None


def test_a_probe_that_is_throttled_is_remembered_as_that() -> None:
    """
    Pacing recovers from the last sign of throttling, not from the first.
    """
    again = live(attrs.evolve(FAILED, throttled=True), snapshot=PLACES["probing"], now=NOW + 5)

    assert again.data.throttled_at == NOW + 5


def test_a_probe_that_never_left_says_nothing() -> None:
    """
    Its failure is the network's, and must not be held against the chat.
    """
    again = live(ProbeVoid(wait=2 * SECONDS), snapshot=PLACES["probing"])

    assert (again.state, again.data.failures, again.data.probe_at) == ("open", 1, NOW + 2 * SECONDS)


def test_a_ticket_that_nobody_used_is_taken_back() -> None:
    """
    Its holder may have died with its process; the circuit must not wait for it for ever.
    """
    back = live("probe_until", snapshot=PLACES["probing"])

    assert (back.state, back.data.probe) == ("half-open", "")
    assert PLACES["probing"].data.probe_until == NOW + (30 + 90) * SECONDS


@pytest.mark.parametrize("place", ["open", "half-open", "probing"])
def test_a_late_refusal_of_a_request_from_before_the_trip_lengthens_nothing(place: str) -> None:
    """
    Ten requests under way when it trips would otherwise make its first wait its tenth.
    """
    decision = circuit.step(PLACES[place], attrs.evolve(TRIPPED, wait=1 * DAYS, failures=9), NOW + 1)

    assert decision.outcome.kind == "ignored"
    assert decision.snapshot.data == PLACES[place].data


@pytest.mark.parametrize("place", ["closed", "open", "half-open"])
@pytest.mark.parametrize("outcome", [ProbePassed(), FAILED, ProbeVoid(wait=1)])
def test_an_outcome_without_a_ticket_moves_nothing(place: str, outcome: Any) -> None:
    """
    A late success must not close a circuit: in each of three popular breakers it once did.
    """
    assert circuit.step(PLACES[place], outcome, NOW).outcome.kind == "ignored"


@pytest.mark.parametrize("by", ["inbound", "operator"])
@pytest.mark.parametrize("place", list(PLACES))
def test_whoever_knows_that_it_is_cured_closes_it_and_clears_the_count(place: str, by: str) -> None:
    """
    The platform has just shown that the chat lives; or a person has mended it, and would wait half an hour if it is refused
    once more for another reason.
    """
    closed = live(Reset(by=by), snapshot=PLACES[place])

    assert (closed.state, closed.data.failures, closed.data.probe, closed.data.reason) == ("closed", 0, "", "")
    assert (closed.data.closed_at, closed.data.suspects) == (NOW, ())


def test_a_chat_whose_account_is_blamed_remembers_how_often_it_tripped() -> None:
    """
    Nobody has shown that it is cured; the next trip waits as the row of trips has earned.
    """
    assert live(Reset(by="account"), snapshot=PLACES["open"]).data.failures == 1


def test_no_wait_is_shorter_than_its_floor_or_longer_than_its_cap() -> None:
    """
    Whatever a policy chooses.
    """
    assert live(attrs.evolve(TRIPPED, wait=0)).data.probe_at == NOW + 50 * MILLISECONDS
    assert live(attrs.evolve(TRIPPED, wait=99 * DAYS)).data.probe_at == NOW + 8 * DAYS
    assert live(attrs.evolve(SENT, within=0), snapshot=PLACES["half-open"]).data.probe_until == NOW + 1 * SECONDS
    assert live(attrs.evolve(SENT, within=1 * DAYS), snapshot=PLACES["half-open"]).data.probe_until == (
        NOW + 10 * MINUTES
    )


def test_a_trip_that_is_no_throttling_forgets_no_throttling() -> None:
    """
    The account that spoke too fast a minute ago must not be let loose because its password was refused since.
    """
    slow = live(attrs.evolve(TRIPPED, level=1.5))
    again = live(Reset(by="operator"), attrs.evolve(TRIPPED, level=1.0), snapshot=slow, now=NOW + 1 * SECONDS)

    assert (slow.data.level, slow.data.throttled_at) == (1.5, NOW)
    assert (again.data.level, again.data.throttled_at) == (1.5, NOW)


def test_a_message_of_a_chat_that_is_not_refused_is_no_transition_of_its_circuit() -> None:
    """
    Each message that comes in says so; "since when is it closed?" must not be answered by the last of them.
    """
    decision = circuit.step(PLACES["closed"], Reset(by="inbound"), NOW)

    assert (decision.snapshot.state, decision.outcome.kind) == ("closed", "stayed")


# ---- whatever happens ------------------------------------------------------------------------------------------------


@often
@given(histories(circuit))
def test_what_is_ignored_never_moves_the_next_probe(moments: list[Moment]) -> None:
    """
    What the circuit refuses itself must not extend it.
    """
    for moment in moments:
        if isinstance(moment.event, Tripped) and moment.before.state != "closed":
            assert moment.after.data.probe_at == moment.before.data.probe_at
            assert moment.after.data.failures == moment.before.data.failures


@often
@given(histories(circuit))
def test_at_most_one_ticket_is_out_and_only_its_outcome_counts(moments: list[Moment]) -> None:
    """
    The holder is named while it is out, and nobody is while it is not.
    """
    for before, event, _, (after, _, verdict) in moments:
        if after.state != "probing":
            assert after.data.probe == ""
        if isinstance(event, ProbeSent):
            assert (verdict.kind == "moved") == (before.state == "half-open")
            assert after.data.probe == (event.delivery if before.state == "half-open" else before.data.probe)
        if isinstance(event, PROBES[1:]):
            assert (verdict.kind == "moved") == (before.state == "probing")


@often
@given(histories(circuit))
def test_between_two_probes_a_wait_is_paid(moments: list[Moment]) -> None:
    """
    However fast the answers come, and whatever waits the policies chose.
    """
    failed_at = None
    for before, event, now, (after, _, _) in moments:
        if before.state == "probing" and after.state == "open":
            failed_at = now
        if isinstance(event, Reset):
            failed_at = None
        if failed_at is not None and before.state == "half-open" and after.state == "probing":
            assert now >= failed_at + 50 * MILLISECONDS


@often
@given(histories(circuit))
def test_the_failures_in_a_row_grow_by_one_a_failed_probe(moments: list[Moment]) -> None:
    """
    The wait is computed from them.
    """
    for before, event, _, (after, _, verdict) in moments:
        if isinstance(event, ProbeFailed) and verdict.kind == "moved":
            assert after.data.failures == before.data.failures + 1
        elif not isinstance(event, Tripped | Reset):
            assert after.data.failures == before.data.failures
