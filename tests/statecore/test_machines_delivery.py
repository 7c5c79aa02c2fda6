"""One message on its way out, as its sender would notice it."""

from typing import Any

import attrs
import pytest
from hypothesis import given

from statecore.events import Broken, Elapsed, Late
from statecore.machine import Attempt, Snapshot
from statecore.machines.delivery import (
    Accepted,
    Delivery,
    Held,
    NotSent,
    PartAccepted,
    PartPending,
    PartRefused,
    PartUnknown,
    Purged,
    Released,
    Reviewed,
    Revived,
    SendPart,
    Turn,
    delivery,
)
from statecore.reading import Evidence, Then
from statecore.units import DAYS, HOURS, MILLISECONDS, SECONDS
from tests.statecore.strategies import Moment, histories, often

NOW = 1_790_000_000 * SECONDS
WITHIN = 60 * SECONDS
ACCEPTED = Accepted(chat="ann", parts=("one", "two"))
TURN = Turn(token=4, left=8)
AGAIN = Turn(token=4, left=7, doubles=True)
BARE_TURN = Turn(token=0, left=8, bare=True)
WENT = PartAccepted(message="m-1", wait=300 * MILLISECONDS)
LOST = PartUnknown(error="no answer within 15s", wait=2 * SECONDS)
UNSENT = NotSent(stage="connect", error="no route", wait=4 * SECONDS)
CUT_OFF = Broken(how="interrupted", error="the process ended", wait=2 * SECONDS)
PENDING = PartPending(audit="r-1")
PASSED = Reviewed(audit="r-1", passed=True, message="m-9")
REJECTED = Reviewed(audit="r-1", passed=False)
NUMBERED = Turn(token=0, left=3, answers="their-1", number=2)


def refusal(then: Then, **fields: Any) -> PartRefused:
    said: dict[str, Any] = {"code": "ret=-2", "message": "no", "reading": f"read as {then}", "evidence": Evidence()}
    return PartRefused(then=then, **{**said, **fields})


def live(*events: Any, snapshot: Snapshot | None = None, now: int = NOW) -> Snapshot:
    """Let events happen to a delivery, one after another; a name fires that timer when it is due."""
    at = snapshot or delivery.start()
    for event in events:
        if isinstance(event, str):
            now = max(now, getattr(at.data, event))
            at = delivery.step(at, Elapsed(event), now).snapshot
        else:
            at = delivery.step(at, event, now).snapshot
    return at


QUEUED = live(ACCEPTED)
SENDING = live(TURN, snapshot=QUEUED)
BARE = live(BARE_TURN, snapshot=QUEUED)
PLACES = {
    "new": delivery.start(),
    "queued": QUEUED,
    "sending": SENDING,
    "sending-bare": BARE,
    "pacing": live(WENT, snapshot=SENDING),
    "backing-off": live(UNSENT, snapshot=SENDING),
    "circuit-tripped": live(refusal("circuit", wait=30 * SECONDS), snapshot=SENDING),
    "token-stale": live(refusal("credentials"), snapshot=SENDING),
    "window-closed": live(refusal("window"), snapshot=SENDING),
    "unknown": live(LOST, snapshot=SENDING),
    "in-review": live(WENT, "next_at", TURN, PENDING, snapshot=SENDING),
    "dead": live(refusal("dead", action="shorten it"), snapshot=SENDING),
    "delivered": live(WENT, "next_at", TURN, WENT, snapshot=SENDING),
    "expired": live(attrs.evolve(ACCEPTED, expires_at=NOW + 1 * HOURS), "expires_at"),
    "purged": live(Purged(), snapshot=QUEUED),
}


def test_every_state_can_be_told_of() -> None:
    """
    The stories below begin in these places.
    """
    assert {name: place.state for name, place in PLACES.items()} == {name: name for name in delivery.states}


# ---- a part leaves ---------------------------------------------------------------------------------------------------


def test_sending_is_decided_before_the_first_byte_leaves() -> None:
    """
    The row says which part and which token, so a crash right after it leaves a question and not a guess.
    """
    decision = delivery.step(QUEUED, TURN, NOW)

    assert decision.snapshot.state == "sending"
    assert decision.effects == (Attempt(SendPart(part=0, token=4), WITHIN, 2),)


def test_a_turn_may_be_bare_from_the_start() -> None:
    """
    A chat whose token is not known is not a chat that nobody may write to, and markup that was refused is refused again.
    """
    decision = delivery.step(QUEUED, BARE_TURN, NOW)

    assert decision.snapshot.state == "sending-bare"
    assert decision.effects == (Attempt(SendPart(part=0, token=0, bare=True), WITHIN, 2),)


@pytest.mark.parametrize("place", ["sending", "sending-bare"])
def test_the_next_part_is_reached_through_pacing(place: str) -> None:
    """
    The third message within a second is refused, and a refused second half is worse than a slow one.
    """
    went = live(WENT, snapshot=PLACES[place])
    after = delivery.step(live("next_at", snapshot=went), TURN, NOW)

    assert (went.state, went.data.part, went.data.next_at) == ("pacing", 1, NOW + 300 * MILLISECONDS)
    assert after.effects == (Attempt(SendPart(part=1, token=4), WITHIN, after.snapshot.version),)


def test_it_is_delivered_when_its_last_part_was_accepted() -> None:
    """
    And not when its first was.
    """
    whole = live(WENT, "next_at", TURN, PartAccepted(message="m-2"), snapshot=SENDING)

    assert (whole.state, whole.data.part, whole.data.message) == ("delivered", 2, "m-2")


def test_a_part_accepted_without_an_id_is_counted() -> None:
    """
    The platform said yes and gave no proof; some of those were never shown to anyone.
    """
    whole = live(WENT, "next_at", TURN, PartAccepted(confirmed=False), snapshot=SENDING)

    assert (whole.data.unconfirmed, whole.data.message) == (1, "m-1")


def test_a_part_that_went_takes_its_failures_with_it() -> None:
    """
    The next part has attempts of its own; otherwise long messages die of other parts' bad luck.
    """
    went = live(UNSENT, "retry_at", TURN, LOST, "resend_at", AGAIN, CUT_OFF, "resend_at", AGAIN, WENT, snapshot=SENDING)

    assert went.data == Delivery(parts=2, part=1, token=4, doubled=(0,), next_at=went.data.next_at, message="m-1")


# ---- the one experiment ----------------------------------------------------------------------------------------------


def test_an_ambiguous_refusal_is_tried_once_without_the_token() -> None:
    """
    It tells a dead token from a closed window, which the platform's code does not.
    """
    decision = delivery.step(SENDING, refusal("bare"), NOW)

    assert decision.snapshot.state == "sending-bare"
    assert decision.effects == (Attempt(SendPart(part=0, token=0, bare=True), WITHIN, 3),)
    assert decision.snapshot.data.reason == "ret=-2: no: read as bare"


def test_the_experiment_is_not_made_twice_whatever_the_reading_says() -> None:
    """
    As a flag on a retry it once was, and stormed a platform through a weekend.
    """
    again = live(refusal("bare"), refusal("bare", wait=30 * SECONDS), snapshot=SENDING)

    assert (again.state, again.data.until) == ("circuit-tripped", NOW + 30 * SECONDS)


# ---- every way to wait is cured by something else --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "state"),
    [
        ("window", "window-closed"),
        ("circuit", "circuit-tripped"),
        ("account", "circuit-tripped"),
        ("credentials", "token-stale"),
        ("retry", "backing-off"),
        ("dead", "dead"),
    ],
)
@pytest.mark.parametrize("place", ["sending", "sending-bare"])
def test_a_refusal_waits_for_what_cures_it(place: str, then: Then, state: str) -> None:
    """
    One state for all of them had a reason field that decided what could wake it: so it was the state.
    """
    at = live(refusal(then, wait=5 * SECONDS, action="do something"), snapshot=PLACES[place])

    assert (at.state, at.data.reason, at.data.action) == (state, f"ret=-2: no: read as {then}", "do something")


def test_what_was_not_sent_is_tried_again_when_its_time_has_come() -> None:
    """
    And the time it has been failing begins with its first failure.
    """
    once = live(UNSENT, snapshot=SENDING)
    later = NOW + 1 * HOURS
    twice = live(TURN, attrs.evolve(UNSENT, down=7), snapshot=live("retry_at", snapshot=once), now=later)

    assert (once.state, once.data.retry_at, once.data.reason) == (
        "backing-off", NOW + 4 * SECONDS, "connect: no route"
    )  # fmt: skip
    assert live("retry_at", snapshot=once).state == "queued"
    assert (twice.data.attempts, twice.data.failing_since, twice.data.down_before) == (2, NOW, 0)


def test_how_long_the_account_had_been_down_is_noted_with_the_first_failure() -> None:
    """
    Time while the account was down does not count, so it must be known from when.
    """
    once = live(attrs.evolve(UNSENT, down=9 * SECONDS), snapshot=SENDING)

    assert once.data.down_before == 9 * SECONDS


@pytest.mark.parametrize("place", ["backing-off", "circuit-tripped", "token-stale", "window-closed"])
def test_what_it_waits_for_releases_it(place: str) -> None:
    """
    The user wrote, the circuit closed, the account is back: then it is first in its lane again.
    """
    assert live(Released(by="inbound"), snapshot=PLACES[place]).state == "queued"


@pytest.mark.parametrize("place", ["token-stale", "window-closed"])
def test_time_alone_cures_no_window_and_no_token(place: str) -> None:
    """
    A timer there would discover by refusals, for days, what only a person can change.
    """
    assert delivery.deadlines(PLACES[place]) == []


def test_a_tripped_circuit_lets_the_next_probe_through_when_its_wait_is_over() -> None:
    """
    Nobody has to write for it.
    """
    assert live("until", snapshot=PLACES["circuit-tripped"]).state == "queued"


def test_the_first_of_a_lane_that_may_not_leave_says_why() -> None:
    """
    "Why is it not gone?" has an answer in the row, and an action where there is one.
    """
    shut = live(Held(by="window", reason="used up", action="wait for them"), snapshot=QUEUED)
    tripped = live(Held(by="circuit", reason="refused lately", wait=9 * SECONDS), snapshot=QUEUED)

    assert (shut.state, shut.data.reason, shut.data.action) == ("window-closed", "used up", "wait for them")
    assert (tripped.state, tripped.data.until) == ("circuit-tripped", NOW + 9 * SECONDS)
    assert live(Released(by="inbound"), TURN, snapshot=shut).data.reason == ""


def test_a_wait_for_a_circuit_that_names_no_end_ends_at_the_cap() -> None:
    """
    It may not wait for ever for a signal that was lost.
    """
    held = live(Held(by="circuit", reason="a probe is out"), snapshot=QUEUED)

    assert held.data.until == NOW + 8 * DAYS


# ---- nobody knows whether it arrived ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["sending", "sending-bare"])
def test_an_answer_that_was_lost_is_unknown_and_the_same_part_goes_again(place: str) -> None:
    """
    Under the same key, which is a function of the part; and once it does, it is on record that it may arrive twice.
    """
    unknown = live(LOST, snapshot=PLACES[place])
    again = delivery.step(live("resend_at", snapshot=unknown), AGAIN, NOW)

    assert (unknown.state, unknown.data.doubled, unknown.data.unclear) == ("unknown", (), True)
    assert again.snapshot.data.doubled == (0,)
    assert unknown.data.reason == "part 1 may have arrived: no answer within 15s"
    assert again.effects == (Attempt(SendPart(part=0, token=4), WITHIN, again.snapshot.version),)


@pytest.mark.parametrize("how", ["interrupted", "drained"])
def test_a_process_that_ended_is_counted_apart_from_an_answer_that_was_lost(how: Any) -> None:
    """
    Being cut off is no evidence that the request left, so restarts must not use up what lost answers may.
    """
    cut_off = live(attrs.evolve(CUT_OFF, how=how), snapshot=SENDING)

    assert (cut_off.state, cut_off.data.unknowns, cut_off.data.interruptions) == ("unknown", 0, 1)


@pytest.mark.parametrize("how", ["overdue", "died"])
def test_an_attempt_that_broke_may_have_left(how: Any) -> None:
    """
    The adapter had it in hand when it died.
    """
    broken = live(attrs.evolve(CUT_OFF, how=how), snapshot=SENDING)

    assert (broken.state, broken.data.unknowns, broken.data.interruptions) == ("unknown", 1, 0)


def test_a_part_is_named_once_however_often_it_may_have_arrived() -> None:
    """
    The list is what a person looks for in the chat.
    """
    twice = live(LOST, "resend_at", AGAIN, LOST, "resend_at", AGAIN, WENT, snapshot=SENDING)

    assert live("next_at", TURN, LOST, "resend_at", AGAIN, snapshot=twice).data.doubled == (0, 1)


@pytest.mark.parametrize("final", [attrs.evolve(LOST, final=True), attrs.evolve(CUT_OFF, final=True)])
def test_where_it_may_not_be_resent_it_is_left_and_said(final: Any) -> None:
    """
    It never holds its lane up for longer than the platform's policy says.
    """
    dead = live(final, snapshot=SENDING)

    assert dead.state == "dead"
    assert dead.data.reason == f"nobody knows whether part 1 arrived: {final.error}"
    assert dead.data.action == "look in the chat; then retry the delivery (it may arrive twice) or purge it"


# ---- numbered answers ------------------------------------------------------------------------------------------------


def numbered(at: Snapshot) -> tuple[str, int]:
    """Return what the next attempt would answer, as the platform would see it."""
    attempt = delivery.attempt(at)
    assert attempt is not None
    return attempt.effect.answers, attempt.effect.number


ANSWERING = live(NUMBERED, snapshot=QUEUED)


def test_an_answer_says_what_it_answers_and_which_answer_it_is() -> None:
    """
    Message and number are what the platform knows a repetition by; without the experiment's token, too.
    """
    assert numbered(ANSWERING) == ("their-1", 2)
    assert numbered(live(refusal("bare"), snapshot=ANSWERING)) == ("their-1", 2)


@pytest.mark.parametrize(
    ("fault", "until"),
    [
        (UNSENT, "retry_at"),
        (LOST, "resend_at"),
        (CUT_OFF, "resend_at"),
        (attrs.evolve(CUT_OFF, how="died"), "resend_at"),
        (refusal("retry", wait=SECONDS), "retry_at"),
        (refusal("circuit", wait=SECONDS), "until"),
        (refusal("account", wait=SECONDS), "until"),
        (refusal("credentials"), ""),
    ],
)
def test_a_part_keeps_its_number_over_whatever_may_have_taken_it(fault: Any, until: str) -> None:
    """
    Under another number, what had arrived after all would be shown twice.
    """
    failed = live(fault, snapshot=ANSWERING)
    again = live(until, snapshot=failed) if until else live(Released(by="ready"), snapshot=failed)

    assert (again.state, again.data.answers, again.data.number) == ("queued", "their-1", 2)


@pytest.mark.parametrize(("then", "state"), [("slot", "queued"), ("window", "window-closed")])
@pytest.mark.parametrize("bare", [True, False])
def test_only_a_refusal_that_says_the_number_is_worthless_takes_it_away(then: Then, state: str, *, bare: bool) -> None:
    """
    The message is too old, or the number was used for something else: then it needs another.
    """
    sending = live(attrs.evolve(NUMBERED, bare=bare), snapshot=QUEUED)
    refused = live(refusal(then), snapshot=sending)

    assert (refused.state, refused.data.answers, refused.data.number) == (state, "", 0)
    assert refused.data.reason == f"ret=-2: no: read as {then}"
    assert refused.data.doubled == ()


@pytest.mark.parametrize(("lost_before", "named_before"), [(False, ()), (True, ()), (True, (0,))])
def test_a_part_that_gets_another_number_is_named_if_it_may_have_arrived_under_the_old_one(
    lost_before: bool, named_before: tuple[int, ...]
) -> None:
    """
    It would be shown twice; and whoever is told of parts that arrived once stops looking.
    """
    sending = live(NUMBERED, snapshot=QUEUED)
    sending = sending._replace(data=attrs.evolve(sending.data, doubled=named_before))
    refused = live(attrs.evolve(refusal("slot"), unclear=lost_before), snapshot=sending)

    assert refused.data.doubled == ((0,) if lost_before else ())


@pytest.mark.parametrize("answer", [WENT, PENDING])
def test_the_next_part_has_a_number_of_its_own(answer: Any) -> None:
    """
    Two parts under one number are one message to the platform, and the second is never shown.
    """
    went = live(answer, snapshot=ANSWERING)

    assert (went.state, went.data.part, went.data.answers, went.data.number) == ("pacing", 1, "", 0)


def test_a_person_who_has_it_tried_again_does_not_give_it_another_number() -> None:
    """
    It may have arrived under the one it has.
    """
    dead = live(attrs.evolve(LOST, final=True), snapshot=ANSWERING)

    assert (dead.data.answers, dead.data.number) == ("their-1", 2)
    assert live(Revived(), snapshot=dead).data.number == 2


# ---- reviews ---------------------------------------------------------------------------------------------------------

REVIEWING = PLACES["in-review"]


def test_what_somebody_looks_at_first_is_not_delivered_yet() -> None:
    """
    "Taken" would be believed, and it may never be shown.
    """
    assert (REVIEWING.data.part, REVIEWING.data.audits) == (2, ("r-1",))
    assert REVIEWING.data.reason == "the platform has somebody look at it first"
    assert REVIEWING.data.review_until == NOW + 300 * MILLISECONDS + 7 * DAYS


def test_a_review_that_is_passed_delivers_it() -> None:
    """
    Under the id that the platform gives it then.
    """
    passed = live(PASSED, snapshot=REVIEWING)

    assert (passed.state, passed.data.audits, passed.data.message) == ("delivered", (), "m-9")
    assert (passed.data.reason, passed.data.action) == ("", "")


def test_a_review_that_is_not_passed_ends_it_with_what_to_do() -> None:
    """
    The same words are let down again, so waiting helps nobody.
    """
    rejected = live(REJECTED, snapshot=REVIEWING)

    assert (rejected.state, rejected.data.audits) == ("dead", ())
    assert rejected.data.reason == "the platform did not let a part through (review r-1)"
    assert rejected.data.action == "send it in other words; this one is not shown"


def test_a_review_that_is_never_told_of_ends_it_too() -> None:
    """
    Waiting for ever is losing it without a word.
    """
    untold = live("review_until", snapshot=REVIEWING)

    assert (untold.state, untold.data.reason) == ("dead", "the platform never said what became of its review")
    assert "look in the chat" in untold.data.action


@pytest.mark.parametrize("last", [WENT, PartPending(audit="r-2")])
def test_a_part_in_the_middle_may_be_looked_at_while_the_rest_goes_on(last: Any) -> None:
    """
    Reviews take minutes; and it is delivered when the last of them is passed, in whichever order.
    """
    middle = live(PENDING, snapshot=SENDING)
    whole = live("next_at", TURN, last, snapshot=middle)
    reviews = [PASSED] if last is WENT else [attrs.evolve(PASSED, audit="r-2"), PASSED]

    assert (middle.state, middle.data.part, middle.data.audits) == ("pacing", 1, ("r-1",))
    assert whole.state == "in-review"
    assert [live(*reviews[:told], snapshot=whole).state for told in range(len(reviews) + 1)] == [
        *["in-review"] * len(reviews),
        "delivered",
    ]


@pytest.mark.parametrize("place", ["pacing", "queued", "sending", "unknown", "backing-off", "window-closed"])
@pytest.mark.parametrize("passed", [True, False])
def test_a_review_may_be_over_before_the_last_part_has_left(place: str, *, passed: bool) -> None:
    """
    What was let down stays let down, and is said once all the others are there.
    """
    begun = live(PENDING, snapshot=SENDING)
    ways: dict[str, tuple[Any, ...]] = {
        "pacing": (),
        "queued": ("next_at",),
        "sending": ("next_at", TURN),
        "unknown": ("next_at", TURN, LOST),
        "backing-off": ("next_at", TURN, UNSENT),
        "window-closed": ("next_at", Held(by="window", reason="used up")),
    }
    there = live(*ways[place], snapshot=begun)
    back: dict[str, tuple[Any, ...]] = {
        "pacing": ("next_at", TURN),
        "queued": (TURN,),
        "sending": (),
        "unknown": ("resend_at", AGAIN),
        "backing-off": ("retry_at", TURN),
        "window-closed": (Released(by="inbound"), TURN),
    }
    told = live(attrs.evolve(REJECTED, passed=passed), snapshot=there)
    ended = live(*back[place], PartAccepted(message="m-2"), snapshot=told)

    assert (told.state, told.data.audits) == (place, ())
    assert ended.state == ("delivered" if passed else "dead")
    assert ("did not let a part through" in ended.data.reason) is not passed


def test_one_part_that_was_let_down_ends_it_whatever_becomes_of_the_others() -> None:
    """
    A message without its first half is not delivered.
    """
    both = live("next_at", TURN, PartPending(audit="r-2"), snapshot=live(PENDING, snapshot=SENDING))

    for reviews in ([REJECTED, attrs.evolve(PASSED, audit="r-2")], [attrs.evolve(PASSED, audit="r-2"), REJECTED]):
        assert live(*reviews, snapshot=both).state == "dead"


def test_the_outcome_of_somebody_elses_review_changes_nothing() -> None:
    """
    A review that was given up long ago is told of all the same, when another copy is under way.
    """
    other = attrs.evolve(REJECTED, audit="r-0")
    reviewing = live(other, snapshot=REVIEWING)
    again = live("review_until", Revived(), TURN, REJECTED, PartAccepted(message="m-2"), snapshot=REVIEWING)

    assert (reviewing.state, live(PASSED, snapshot=reviewing).state) == ("in-review", "delivered")
    assert again.state == "delivered"


@pytest.mark.parametrize("ended", [(REJECTED,), ("review_until",)])
def test_what_a_review_let_down_is_sent_again_if_a_person_wants_that(ended: tuple[Any, ...]) -> None:
    """
    Its last part, because every one was taken; under another number, because that one was used.
    """
    revived = live(*ended, Revived(), snapshot=REVIEWING)

    assert (revived.state, revived.data.part, revived.data.number) == ("queued", 1, 0)
    assert (revived.data.audits, revived.data.rejected, revived.data.reason) == ((), "", "")
    assert live(TURN, WENT, snapshot=revived).state == "delivered"


def test_what_is_being_looked_at_does_not_expire() -> None:
    """
    Its sender's date was met: it is with the platform, and may be shown any moment.
    """
    dated = live(
        attrs.evolve(ACCEPTED, parts=("one",), expires_at=NOW + 1 * HOURS), TURN, PENDING
    )  # fmt: skip

    assert (dated.state, dated.data.expires_at) == ("in-review", None)


# ---- ends ------------------------------------------------------------------------------------------------------------


def test_what_can_never_be_cured_is_dead_with_what_to_do() -> None:
    """
    Dead without a reason that a person can act on is lost with extra steps.
    """
    otherwise = "see to the cause, then retry the delivery or purge it"

    assert PLACES["dead"].data.action == "shorten it"
    assert live(refusal("dead"), snapshot=SENDING).data.action == otherwise
    assert live(attrs.evolve(UNSENT, final=True), snapshot=SENDING).data.action == otherwise


def test_a_person_may_have_the_dead_tried_again_from_the_first_part_that_is_missing() -> None:
    """
    Starting over would send the first half twice.
    """
    half = live(WENT, "next_at", TURN, attrs.evolve(LOST, final=True), snapshot=SENDING)
    revived = live(Revived(), snapshot=half)

    assert (revived.state, revived.data.part, revived.data.unclear) == ("queued", 1, True)
    assert (revived.data.attempts, revived.data.unknowns, revived.data.reason) == (0, 0, "")

    cut_off = live(CUT_OFF, "resend_at", TURN, refusal("dead"), snapshot=SENDING)
    assert (cut_off.data.interruptions, live(Revived(), snapshot=cut_off).data.interruptions) == (1, 0)


@pytest.mark.parametrize(
    "place",
    [
        "queued", "pacing", "backing-off", "circuit-tripped", "token-stale", "window-closed", "unknown", "in-review",
        "dead",
    ],
)  # fmt: skip
def test_a_person_may_decide_that_it_is_not_to_be_sent(place: str) -> None:
    """
    Yesterday's "the server is down" helps nobody today.
    """
    assert live(Purged(), snapshot=PLACES[place]).state == "purged"


@pytest.mark.parametrize("place", ["sending", "sending-bare", "delivered", "expired", "purged"])
def test_what_has_begun_cannot_be_taken_back(place: str) -> None:
    """
    The request may be there already.
    """
    decision = delivery.step(PLACES[place], Purged(), NOW)

    assert decision.outcome.reason == "it has begun, or it is over"


@pytest.mark.parametrize(
    "place", ["queued", "pacing", "backing-off", "circuit-tripped", "token-stale", "window-closed", "unknown"]
)
def test_it_expires_wherever_it_waits(place: str) -> None:
    """
    Its sender said until when it is worth having.
    """
    dated = PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, expires_at=NOW + 1 * HOURS))
    expired = live("expires_at", snapshot=dated)

    assert expired.state == "expired"
    assert expired.data.reason.startswith("expired " + ("after 1 of 2 parts" if dated.data.part else "before any part"))


@pytest.mark.parametrize("place", ["sending", "sending-bare"])
def test_an_attempt_under_way_is_seen_to_its_end_before_it_expires(place: str) -> None:
    """
    Expired must mean that it will not arrive.
    """
    dated = PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, expires_at=NOW))
    still = live("expires_at", snapshot=dated)

    assert (still.state, still.data.expires_at) == (place, NOW + 5 * SECONDS)
    assert live(WENT, "expires_at", snapshot=still).data.reason == "expired after 1 of 2 parts"


def test_the_reason_it_was_waiting_stays_with_what_expired() -> None:
    """
    "It expired" alone sends a person to the logs.
    """
    held = live(attrs.evolve(ACCEPTED, expires_at=NOW + 1 * HOURS), Held(by="window", reason="used up"), "expires_at")

    assert held.data.reason == "expired before any part was sent; used up"


def test_what_is_accepted_too_late_expires_as_soon_as_it_may() -> None:
    """
    A date in the past is no reason to lose it without a word.
    """
    assert live(attrs.evolve(ACCEPTED, expires_at=1)).data.expires_at == NOW + 1 * SECONDS


@pytest.mark.parametrize("place", ["queued", "pacing", "dead", "delivered", "sending"])
def test_it_is_accepted_once(place: str) -> None:
    """
    A second acceptance would change its parts under the first.
    """
    decision = delivery.step(PLACES[place], attrs.evolve(ACCEPTED, parts=("other",)), NOW)

    assert decision.outcome.reason == "it was accepted before"
    assert decision.snapshot.data == PLACES[place].data


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("sending", "sending-bare")])
def test_an_answer_that_comes_when_no_attempt_is_under_way_changes_nothing(place: str) -> None:
    """
    It belongs to an attempt that was given up, and what became of it is on record already.
    """
    for answer in (WENT, refusal("dead"), UNSENT, LOST, CUT_OFF, Late(event="PartAccepted", of=1)):
        decision = delivery.step(PLACES[place], answer, NOW)

        assert decision.outcome.kind == "ignored"
        assert decision.snapshot.data == PLACES[place].data


@pytest.mark.parametrize("event", [TURN, Held(by="window", reason="-"), Released(by="ready")])
@pytest.mark.parametrize("place", ["sending", "sending-bare"])
def test_nothing_but_its_outcome_ends_an_attempt(place: str, event: Any) -> None:
    """
    Leaving earlier, a part would be under way of which the machine no longer knows.
    """
    assert delivery.step(PLACES[place], event, NOW).snapshot == PLACES[place]._replace(
        version=PLACES[place].version + 1
    )


# ---- the same wherever it is -----------------------------------------------------------------------------------------


EXPIRY = NOW + 1 * HOURS
BOTH = pytest.mark.parametrize("place", ["sending", "sending-bare"])


def at_its_last(place: str, **remembered: Any) -> Snapshot:
    """Return a delivery whose second and last part is under way, and which expires some day."""
    fields = {"part": 1, "expires_at": EXPIRY, "message": "m-1", **remembered}
    return PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, **fields))


@BOTH
def test_the_last_part_delivers_it_and_leaves_nothing_to_say(place: str) -> None:
    """
    A reason or a thing to do that stays behind would be shown beside "delivered".
    """
    ended = live(PartAccepted(message="m-2"), snapshot=at_its_last(place, reason="refused before"))

    assert ended.state == "delivered"
    assert (ended.data.part, ended.data.message, ended.data.reason, ended.data.action) == (2, "m-2", "", "")
    assert ended.data.review_until is None


@BOTH
@pytest.mark.parametrize("last", [WENT, PartPending(audit="r-2")])
def test_the_last_part_is_not_the_end_while_one_is_being_looked_at(place: str, last: Any) -> None:
    """
    Until when is waited for that is on record, and its sender's date no longer counts.
    """
    whole = live(last, snapshot=at_its_last(place, audits=("r-1",)))

    assert (whole.state, whole.data.part) == ("in-review", 2)
    assert whole.data.audits == ("r-1",) + (("r-2",) if last is not WENT else ())
    assert (whole.data.review_until, whole.data.expires_at) == (NOW + 7 * DAYS, None)
    assert whole.data.reason == "the platform has somebody look at it first"


@BOTH
def test_the_last_part_ends_badly_what_was_let_down_before(place: str) -> None:
    """
    And says what to do about it.
    """
    ended = live(WENT, snapshot=at_its_last(place, rejected="the first half was let down"))

    assert (ended.state, ended.data.reason) == ("dead", "the first half was let down")
    assert ended.data.action == "send it in other words; this one is not shown"


@BOTH
def test_a_part_in_the_middle_that_is_looked_at_ends_nothing_yet(place: str) -> None:
    """
    Its sender's date still counts for the parts that have not left.
    """
    middle = live(PENDING, snapshot=at_its_last(place, part=0))

    assert (middle.state, middle.data.part, middle.data.audits) == ("pacing", 1, ("r-1",))
    assert (middle.data.review_until, middle.data.expires_at) == (None, EXPIRY)


def test_the_experiment_is_no_failed_attempt() -> None:
    """
    Or it would use up a retry, and a message would die of being examined.
    """
    bare = live(refusal("bare"), snapshot=at_its_last("sending"))

    assert (bare.data.attempts, bare.data.failing_since, bare.data.action) == (0, None, "")
    assert bare.data.expires_at == EXPIRY


@BOTH
@pytest.mark.parametrize(
    ("fault", "failures"),
    [
        (refusal("credentials"), 0),
        (refusal("window"), 0),
        (refusal("circuit", wait=SECONDS), 0),
        (refusal("retry", wait=4 * SECONDS), 1),
        (UNSENT, 1),
    ],
)
def test_a_wait_keeps_its_senders_date_and_counts_what_failed(place: str, fault: Any, failures: int) -> None:
    """
    Only what another attempt could have cured counts against it, and nothing that waits forgets when to give up.
    """
    waits = live(fault, snapshot=at_its_last(place))

    assert (waits.data.attempts, waits.data.failing_since) == (failures, NOW if failures else None)
    assert (waits.data.expires_at, waits.data.action) == (EXPIRY, "")
    if failures:
        assert (waits.state, waits.data.retry_at) == ("backing-off", NOW + 4 * SECONDS)


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        attrs.evolve(UNSENT, final=True),
        attrs.evolve(LOST, final=True),
        attrs.evolve(CUT_OFF, final=True),
        refusal("dead"),
    ],
)
def test_what_is_given_up_is_dead_says_why_and_expires_no_more(place: str, fault: Any) -> None:
    """
    A person is to find it, with what to do, however late they look.
    """
    ended = live(fault, snapshot=at_its_last(place))

    assert (ended.state, ended.data.expires_at) == ("dead", None)
    assert ended.data.reason
    assert ended.data.action


@BOTH
def test_a_turn_is_on_record_with_everything_that_leaves(place: str) -> None:
    """
    Which message is answered under which number decides what a repetition is known by, bare or not.
    """
    waiting = live(refusal("bare"), refusal("circuit", wait=SECONDS, action="wait"), "until", snapshot=SENDING)
    turn = attrs.evolve(NUMBERED, token=7, bare=place == "sending-bare", doubles=True)
    leaving = live(turn, snapshot=waiting)

    assert leaving.state == place
    assert (leaving.data.answers, leaving.data.number, leaving.data.token, leaving.data.doubled) == (
        "their-1",
        2,
        7,
        (0,),
    )
    assert (leaving.data.reason, leaving.data.action) == ("", "")


@pytest.mark.parametrize(
    ("place", "cure"),
    [
        ("backing-off", "retry_at"),
        ("circuit-tripped", "until"),
        *((place, Released(by="-")) for place in ("backing-off", "circuit-tripped", "token-stale", "window-closed")),
    ],
)
def test_what_waits_no_more_gives_no_reason_for_waiting(place: str, cure: Any) -> None:
    """
    "The window is closed" beside a message that is next would send a person after nothing.
    """
    told = PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, reason="because", action="do something"))
    queued = live(cure, snapshot=told)

    assert (queued.state, queued.data.reason, queued.data.action) == ("queued", "", "")


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("new", "delivered", "expired", "purged")])
@pytest.mark.parametrize("audits", [("r-1", "r-2")])
def test_a_review_that_is_told_of_on_the_way_interrupts_nothing(place: str, audits: tuple[str, ...]) -> None:
    """
    Neither is a part that is under way sent once more, nor does a wait begin again.
    """
    before = PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, audits=audits))
    decision = delivery.step(before, PASSED, NOW + 1)

    assert (decision.outcome.kind, decision.effects) == ("stayed", ())
    assert decision.snapshot.data == attrs.evolve(before.data, audits=("r-2",), message="m-9")


ELSEWHERE = [
    (TURN, {"queued"}),
    (Held(by="window", reason="used up"), {"queued"}),
    (Released(by="inbound"), {"backing-off", "circuit-tripped", "token-stale", "window-closed"}),
    (Revived(), {"dead"}),
    (ACCEPTED, {"new"}),
    (Purged(), set(PLACES) - {"new", "sending", "sending-bare", "delivered", "expired", "purged"}),
    (PASSED, set(PLACES) - {"new", "delivered", "expired", "purged"}),
]


@pytest.mark.parametrize(
    ("place", "event"),
    [(place, event) for event, where in ELSEWHERE for place in PLACES if place not in where],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_comes_where_nothing_waits_for_it_changes_nothing(place: str, event: Any) -> None:
    """
    A turn that comes twice would send twice, and a person who asks twice is not answered by losing the first answer.
    """
    before = PLACES[place]
    decision = delivery.step(before, event, NOW + 1)

    assert (decision.outcome.kind, decision.effects) == ("ignored", ())
    assert (decision.snapshot.state, decision.snapshot.data) == (before.state, before.data)


@pytest.mark.parametrize("place", ["new", "sending", "sending-bare", "dead"])
def test_a_date_that_comes_where_it_cannot_count_is_looked_at_again(place: str) -> None:
    """
    An attempt is seen to its end, and what is dead stays for a person to find.
    """
    dated = PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, expires_at=NOW))
    decision = delivery.step(dated, Elapsed("expires_at"), NOW)

    assert (decision.snapshot.state, decision.outcome.kind, decision.effects) == (place, "stayed", ())
    assert decision.snapshot.data.expires_at == NOW + 5 * SECONDS


def test_a_date_that_comes_while_somebody_looks_at_it_counts_no_more() -> None:
    """
    And what is waited for is still waited for as long as before.
    """
    dated = REVIEWING._replace(data=attrs.evolve(REVIEWING.data, expires_at=NOW))
    decision = delivery.step(dated, Elapsed("expires_at"), NOW)

    assert (decision.snapshot.state, decision.outcome.kind) == ("in-review", "stayed")
    assert decision.snapshot.data == REVIEWING.data


@pytest.mark.parametrize(
    ("event", "timer", "shortest", "longest"),
    [
        (WENT, "next_at", 10 * MILLISECONDS, 1 * HOURS),
        (UNSENT, "retry_at", 50 * MILLISECONDS, 1 * DAYS),
        (LOST, "resend_at", 50 * MILLISECONDS, 1 * DAYS),
        (CUT_OFF, "resend_at", 50 * MILLISECONDS, 1 * DAYS),
    ],
)
def test_no_wait_is_nothing_and_none_is_for_ever(event: Any, timer: str, shortest: int, longest: int) -> None:
    """
    Whatever a policy, or the platform, asks for.
    """
    at_once = live(attrs.evolve(event, wait=0), snapshot=SENDING)
    never = live(attrs.evolve(event, wait=365 * DAYS), snapshot=SENDING)

    assert getattr(at_once.data, timer) == NOW + shortest
    assert getattr(never.data, timer) == NOW + longest


@pytest.mark.parametrize(("asked", "wait"), [(1, 50 * MILLISECONDS), (365 * DAYS, 8 * DAYS)])
def test_a_circuit_is_not_knocked_at_at_once_and_not_left_alone_for_ever(asked: int, wait: int) -> None:
    """
    The wait is a day longer than the longest that a circuit can be told, so that its own end comes first.
    """
    assert live(refusal("circuit", wait=asked), snapshot=SENDING).data.until == NOW + wait


def test_a_date_in_some_years_is_kept() -> None:
    """
    It is the sender's, and no bound of ours.
    """
    assert live(attrs.evolve(ACCEPTED, expires_at=NOW + 1000 * DAYS)).data.expires_at == NOW + 1000 * DAYS


# ---- whatever happens ------------------------------------------------------------------------------------------------


@often
@given(histories(delivery))
def test_parts_leave_in_order_and_none_is_left_out(moments: list[Moment]) -> None:
    """
    A message whose second half arrives first, or alone, is worse than none.
    """
    taken = 0
    for before, event, _, (after, effects, verdict) in moments:
        taken += isinstance(event, PartAccepted | PartPending) and verdict.kind == "moved"
        if isinstance(event, Revived) and verdict.kind == "moved":
            taken = min(taken, after.data.parts - 1)  # what a review let down is sent again
        assert after.data.part == taken
        assert after.data.part <= after.data.parts or before.state == "new"
        for effect in effects:
            assert isinstance(effect, Attempt)
            assert effect.effect.part == taken < after.data.parts


@often
@given(histories(delivery))
def test_it_is_delivered_only_if_every_part_was_accepted(moments: list[Moment]) -> None:
    """
    The receipt is believed. Only a review, or what it came to, is waited for with every part at the platform.
    """
    for moment in moments:
        state, data = moment.after.state, moment.after.data
        if state == "delivered":
            assert (data.part, data.audits, data.rejected) == (data.parts, (), "")
        elif state == "in-review":
            assert data.part == data.parts
            assert data.audits
        elif state not in ("new", "dead", "purged"):
            assert data.part < data.parts
        elif state == "dead" and data.part == data.parts:
            assert data.rejected or data.audits
        elif state == "purged" and data.part == data.parts:
            assert moment.before.state in ("in-review", "dead", "purged")


@often
@given(histories(delivery))
def test_no_two_attempts_follow_each_other_but_for_the_one_experiment(moments: list[Moment]) -> None:
    """
    Between attempts something is waited for, so refusals cost the platform no storm and us no core.
    """
    for before, event, _, (after, effects, _) in moments:
        if effects and before.state in ("sending", "sending-bare"):
            assert (before.state, after.state) == ("sending", "sending-bare")
            assert isinstance(event, PartRefused)
            assert event.then == "bare"


@often
@given(histories(delivery))
def test_a_bare_attempt_carries_no_token_and_any_other_the_chats_own(moments: list[Moment]) -> None:
    """
    Mixed up, the experiment would prove the opposite of what happened.
    """
    for moment in moments:
        for effect in moment.decision.effects:
            assert isinstance(effect, Attempt)
            assert effect.effect.token == (0 if moment.after.state == "sending-bare" else moment.after.data.token)
            assert effect.effect.bare == (moment.after.state == "sending-bare")


@often
@given(histories(delivery))
def test_whoever_is_dead_says_why_and_what_to_do(moments: list[Moment]) -> None:
    """
    And never expires under the hands of whoever is looking into it.
    """
    for moment in moments:
        if moment.after.state == "dead":
            assert moment.after.data.reason
            assert moment.after.data.action
            assert moment.after.data.expires_at is None


@often
@given(histories(delivery))
def test_what_may_have_arrived_twice_is_never_forgotten(moments: list[Moment]) -> None:
    """
    G4 allows a duplicate where the platform leaves no other way, and never a silent one.
    """
    for before, _, _, (after, _, _) in moments:
        doubled = after.data.doubled
        assert doubled[: len(before.data.doubled)] == before.data.doubled
        assert len(set(doubled)) == len(doubled)
        assert all(part <= after.data.part for part in doubled)


@often
@given(histories(delivery))
def test_a_part_has_one_number_until_it_was_taken_or_the_platform_refused_the_number(moments: list[Moment]) -> None:
    """
    It is what the platform recognises a repetition by, so it outlives every doubt.
    """
    for before, event, _, (after, _, verdict) in moments:
        was, now = (before.data.answers, before.data.number), (after.data.answers, after.data.number)
        if isinstance(event, Turn) and verdict.kind == "moved":
            assert now == (event.answers, event.number)
        elif now != was:
            taken = isinstance(event, PartAccepted | PartPending)
            assert taken or (isinstance(event, PartRefused) and event.then in ("slot", "window"))
            assert now == ("", 0)


@often
@given(histories(delivery))
def test_a_review_is_waited_for_from_when_it_was_announced_until_it_is_told_of(moments: list[Moment]) -> None:
    """
    One forgotten delivers what nobody was shown; one too many waits a week for nothing.
    """
    for before, event, _, (after, _, verdict) in moments:
        added = (event.audit,) if isinstance(event, PartPending) and verdict.kind == "moved" else ()
        told = {event.audit} if isinstance(event, Reviewed) and verdict.kind != "ignored" else set()
        kept = tuple(audit for audit in before.data.audits if audit not in told)
        revived = isinstance(event, Revived) and verdict.kind == "moved"

        assert after.data.audits == (() if revived else (*kept, *added))
