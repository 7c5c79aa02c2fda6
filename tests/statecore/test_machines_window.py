"""What a platform still allows in one chat, as its user would notice it."""

from typing import Any

import attrs
import pytest
from hypothesis import given

from statecore.events import Elapsed
from statecore.machine import Snapshot
from statecore.machines.window import CLOSED, OPENINGS_MAX, Heard, Refunded, Shut, Spent, TokenForgotten, Window, window
from statecore.policies.window import Opening
from statecore.units import DAYS, HOURS, MINUTES, SECONDS
from tests.statecore.strategies import Moment, histories, often

NOW = 1_790_000_000 * SECONDS
HEARD = Heard(lasts=24 * HOURS, token=True)
BACK = Refunded(delivery="delivery/wx/1")
SHUT = Shut(reason="ret=-2: the window is closed")


def spend(left: int) -> Spent:
    return Spent(delivery="delivery/wx/1", left=left)


def live(*events: Any, snapshot: Snapshot | None = None, now: int = NOW) -> Snapshot:
    """Let events happen to a window, one after another; a name fires that timer when it is due."""
    at = snapshot or window.start()
    for event in events:
        if isinstance(event, str):
            now = max(now, getattr(at.data, event))
            at = window.step(at, Elapsed(event), now).snapshot
        else:
            at = window.step(at, event, now).snapshot
    return at


OPEN = live(HEARD)
PLACES = {
    "unseen": window.start(),
    "open": OPEN,
    "used-up": live(spend(0), snapshot=OPEN),
    "lapsed": live("closes_at", snapshot=OPEN),
    "refused": live(SHUT, snapshot=OPEN),
}


def test_every_state_can_be_told_of() -> None:
    """
    The stories below begin in these places.
    """
    assert {name: place.state for name, place in PLACES.items()} == {name: name for name in window.states}


@pytest.mark.parametrize("place", list(PLACES))
def test_whatever_closed_it_the_user_opens_it_by_writing(place: str) -> None:
    """
    In all of them the cure is the same, and only the user has it.
    """
    was = PLACES[place]
    heard = live(HEARD, snapshot=was, now=NOW + 2 * DAYS)

    assert heard.state == "open"
    assert heard.data == Window(
        openings=(Opening(heard_at=NOW + 2 * DAYS, closes_at=NOW + 3 * DAYS),),
        closes_at=NOW + 3 * DAYS,
        token=was.data.tokens + 1,
        tokens=was.data.tokens + 1,
        reason="",
    )


def test_requests_on_their_way_when_the_user_writes_are_spent_in_the_window_they_meet() -> None:
    """
    They arrive after the message, so the platform counts them in the window that it opened.
    """
    assert live(attrs.evolve(HEARD, under_way=2), snapshot=OPEN).data.spent == 2


def test_the_last_request_allowed_uses_it_up_before_it_leaves() -> None:
    """
    Discovered by refusals instead, each of them costs the account a little of its standing.
    """
    spent = live(spend(1), spend(0), snapshot=OPEN)

    assert (spent.state, spent.data.spent) == ("used-up", 2)
    assert spent.data.reason == "all 2 messages allowed since the user last wrote are used up"


def test_a_request_the_platform_certainly_did_not_take_is_given_back() -> None:
    """
    Otherwise a bad network uses up what was never said.
    """
    spent = live(spend(1), spend(0), BACK, snapshot=OPEN)

    assert (spent.state, spent.data.spent, spent.data.reason) == ("open", 1, "")
    assert live(BACK, BACK, snapshot=spent).data.spent == 0
    assert live(BACK, snapshot=spent).data.openings[0].numbered == 0  # to give back is to give no number


def test_it_lapses_when_the_user_has_not_written_for_too_long() -> None:
    """
    Open or used up: after a day it is the day that closes it.
    """
    assert OPEN.data.closes_at == NOW + 24 * HOURS
    assert PLACES["lapsed"].data.reason == "the user has not written for too long"
    assert live("closes_at", snapshot=PLACES["used-up"]).state == "lapsed"


def test_a_refusal_that_says_so_shuts_it_whatever_we_counted() -> None:
    """
    Another program may have spent it; the platform's word counts for more than ours.
    """
    assert (PLACES["refused"].state, PLACES["refused"].data.reason) == ("refused", SHUT.reason)
    assert live(SHUT, snapshot=PLACES["unseen"]).state == "refused"
    assert live(SHUT, snapshot=PLACES["used-up"]).data.reason == SHUT.reason


def test_a_chat_whose_user_was_never_seen_may_be_written_to_once_to_find_out() -> None:
    """
    Another program may have seen them; refusing outright would refuse what works.
    """
    tried = live(spend(9), snapshot=PLACES["unseen"])

    assert (tried.state, tried.data.spent) == ("unseen", 1)
    assert live(BACK, snapshot=tried).data.spent == 0


# ---- openings --------------------------------------------------------------------------------------------------------


def wrote(message: str, lasts: int = HOURS) -> Heard:
    return Heard(lasts=lasts, message=message)


def answer(message: str, number: int, left: int = 9) -> Spent:
    return Spent(delivery="delivery/qq/1", left=left, message=message, number=number)


def counts(at: Snapshot) -> dict[str, tuple[int, int]]:
    """Return (answers, last number) by message."""
    return {opening.message: (opening.spent, opening.numbered) for opening in at.data.openings}


TWO = live(wrote("their-1"), wrote("their-2", 2 * HOURS))


def test_every_message_that_is_answered_by_its_id_opens_a_window_of_its_own() -> None:
    """
    The platform counts for each of them, so what one has left is no loss when the next comes.
    """
    assert counts(live(answer("their-1", 1), answer("their-1", 2), answer("their-2", 1), snapshot=TWO)) == {
        "their-1": (2, 2), "their-2": (1, 1)
    }  # fmt: skip
    assert TWO.data.closes_at == NOW + 2 * HOURS


def test_where_only_the_last_message_counts_it_takes_the_place_of_the_others() -> None:
    """
    What was left of the one before does not add up.
    """
    assert [opening.spent for opening in live(spend(5), HEARD, snapshot=OPEN).data.openings] == [0]


def test_what_may_not_be_answered_any_more_is_forgotten_with_the_next_message() -> None:
    """
    A chat that is talked in for years would remember every line.
    """
    later = live(wrote("their-3"), snapshot=TWO, now=NOW + 1 * HOURS)

    assert list(counts(later)) == ["their-2", "their-3"]


def test_only_so_many_messages_are_remembered() -> None:
    """
    Whoever writes a hundred lines in a minute is not answered a hundred times four; sixteen times is a conversation. Every
    journal was written with this number, and another would read it otherwise.
    """
    many = live(*(wrote(f"their-{number}") for number in range(21)))

    assert list(counts(many)) == [f"their-{number}" for number in range(5, 21)]


def test_the_user_last_wrote_when_the_newest_message_came() -> None:
    """
    How long ago that was is the evidence by which a refusal is read.
    """
    at = live(wrote("their-3"), snapshot=live(wrote("their-2"), snapshot=TWO, now=NOW + MINUTES), now=NOW + 2 * MINUTES)

    assert (PLACES["unseen"].data.heard_at, at.data.heard_at) == (None, NOW + 2 * MINUTES)


def test_a_message_that_lapses_before_an_older_one_does_not_shorten_that() -> None:
    """
    One that came late, because there was no connection, has aged on its way.
    """
    assert live(wrote("their-3", SECONDS), snapshot=TWO).data.closes_at == NOW + 2 * HOURS


def test_one_message_that_is_refused_leaves_the_others() -> None:
    """
    The platform said that this one is too old, and nothing of the chat.
    """
    one = live(Shut(reason="too old", message="their-2"), snapshot=TWO)
    both = live(Shut(reason="too old", message="their-1"), snapshot=one)

    assert (one.state, list(counts(one)), one.data.reason) == ("open", ["their-1"], "")
    assert (both.state in CLOSED, both.data.reason) == (True, "too old")
    assert live(Shut(reason="not here"), snapshot=TWO).state == "refused"


def test_the_last_answer_to_any_of_them_uses_it_up() -> None:
    """
    The reason counts what was said in answer to all of them.
    """
    spent = live(answer("their-1", 1), answer("their-2", 1, left=0), snapshot=TWO)

    assert (spent.state, spent.data.spent) == ("used-up", 2)
    assert live(wrote("their-3"), snapshot=spent).state == "open"


# ---- tokens ----------------------------------------------------------------------------------------------------------


def test_each_token_has_a_number_and_the_newest_is_sent() -> None:
    """
    The number stands in the journal; the token itself never does.
    """
    twice = live(HEARD, snapshot=OPEN)

    assert (OPEN.data.token, twice.data.token) == (1, 2)


def test_a_message_without_a_token_keeps_the_one_there_was() -> None:
    """
    Some kinds of message carry none, and the last one is still good.
    """
    assert live(Heard(lasts=HOURS), snapshot=OPEN).data.token == 1


def test_a_token_that_was_refused_is_forgotten_unless_a_newer_one_came() -> None:
    """
    The answer to yesterday's experiment must not take today's token away.
    """
    newer = live(HEARD, snapshot=OPEN)

    assert live(TokenForgotten(token=1), snapshot=OPEN).data.token == 0
    assert live(TokenForgotten(token=1), snapshot=newer).data.token == 2


def test_a_forgotten_tokens_number_is_never_given_again() -> None:
    """
    Else forgetting the old one would forget the new one too.
    """
    assert live(TokenForgotten(token=1), HEARD, snapshot=OPEN).data.token == 2


@pytest.mark.parametrize("place", list(PLACES))
def test_a_token_is_forgotten_wherever_that_is_found_out_and_nothing_else_changes(place: str) -> None:
    """
    The answer to the experiment may come when the window has closed since; sent again, the token would be refused again.
    """
    before = PLACES[place]._replace(data=attrs.evolve(PLACES[place].data, token=1, tokens=1))
    decision = window.step(before, TokenForgotten(token=1), NOW + 1)

    assert (decision.snapshot.state, decision.outcome.kind) == (place, "stayed")
    assert decision.snapshot.data == attrs.evolve(before.data, token=0)


# ---- what it counts, and when it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "event", "spent"),
    [("open", spend(4), 3), ("open", BACK, 1), ("unseen", spend(4), 3), ("unseen", BACK, 1)],
)
def test_to_count_is_not_to_open_or_to_close(place: str, event: Any, spent: int) -> None:
    """
    "Since when is it open?" is answered by when it was last entered, and a request given back closes nothing.
    """
    before = live(spend(6), spend(5), snapshot=PLACES[place])
    decision = window.step(before, event, NOW + 1)

    assert (decision.snapshot.state, decision.outcome.kind) == (place, "stayed")
    assert (decision.snapshot.data.spent, decision.snapshot.data.reason) == (spent, "")


def test_a_refusal_that_names_one_message_closes_nothing_while_another_may_be_answered() -> None:
    """
    It is as open as before, only narrower.
    """
    both = live(wrote("their-1"), wrote("their-2"), snapshot=PLACES["unseen"])
    decision = window.step(both, attrs.evolve(SHUT, message="their-1"), NOW + 1)

    assert (decision.snapshot.state, decision.outcome.kind) == ("open", "stayed")
    assert [one.message for one in decision.snapshot.data.openings] == ["their-2"]


def test_when_the_only_message_is_too_old_to_be_answered_the_window_has_lapsed() -> None:
    """
    That is no refusal of the chat: there is nothing left to answer, and the reason says so.
    """
    shut = live(attrs.evolve(SHUT, message="their-1"), snapshot=live(wrote("their-1")))

    assert (shut.state, shut.data.openings, shut.data.reason) == ("lapsed", (), SHUT.reason)


def test_what_is_used_up_is_used_up_whatever_the_platform_says_then() -> None:
    """
    A request that was on its way is refused; what it said is on record.
    """
    decision = window.step(PLACES["used-up"], SHUT, NOW + 1)

    assert (decision.snapshot.state, decision.outcome.kind) == ("used-up", "stayed")
    assert decision.snapshot.data.reason == SHUT.reason


@pytest.mark.parametrize("place", ["open", "used-up"])
def test_a_day_that_closes_it_is_named_as_the_reason(place: str) -> None:
    """
    "Used up" would have its sender wait for a refund.
    """
    assert live("closes_at", snapshot=PLACES[place]).data.reason == "the user has not written for too long"


def test_a_chat_that_was_never_open_and_is_refused_says_what_the_platform_said() -> None:
    """
    Nothing else is known about it.
    """
    assert live(SHUT, snapshot=PLACES["unseen"]).data.reason == SHUT.reason


@pytest.mark.parametrize(
    ("place", "event"),
    [
        *((place, spend(3)) for place in CLOSED),
        *((place, event) for place in ("lapsed", "refused") for event in (BACK, SHUT)),
    ],
)
def test_what_is_closed_stays_as_it_was_until_the_user_writes(place: str, event: Any) -> None:
    """
    What comes then was decided before it closed, and the reason that is shown is the one that closed it.
    """
    decision = window.step(PLACES[place], event, NOW + 1)

    assert decision.outcome.kind == "ignored"
    assert (decision.snapshot.state, decision.snapshot.data) == (place, PLACES[place].data)


@pytest.mark.parametrize(("lasts", "wait"), [(0, 1 * SECONDS), (5 * SECONDS, 5 * SECONDS), (9999 * DAYS, 365 * DAYS)])
def test_a_window_is_open_for_a_moment_at_least_and_for_a_year_at_most(lasts: int, wait: int) -> None:
    """
    Whatever the settings say.
    """
    assert live(attrs.evolve(HEARD, lasts=lasts)).data.closes_at == NOW + wait


@pytest.mark.parametrize(
    ("lasts", "wait"), [(1 * SECONDS, 1 * SECONDS), (5 * SECONDS, 5 * SECONDS), (300 * DAYS, 300 * DAYS)]
)
def test_to_use_it_up_does_not_change_when_it_lapses(lasts: int, wait: int) -> None:
    """
    That was decided by the user's message.
    """
    assert live(attrs.evolve(HEARD, lasts=lasts), spend(0)).data.closes_at == NOW + wait


def test_what_is_used_up_at_the_last_moment_lapses_a_moment_later() -> None:
    """
    A timer that is due already would be met before the request has left.
    """
    late = live(spend(0), snapshot=OPEN, now=NOW + 24 * HOURS - 1)

    assert late.data.closes_at == NOW + 24 * HOURS - 1 + 1 * SECONDS


# ---- whatever happens ------------------------------------------------------------------------------------------------


@often
@given(histories(window))
def test_once_closed_nothing_is_spent_until_the_user_writes(moments: list[Moment]) -> None:
    """
    Ten messages were allowed, and the eleventh is the one that gets an account restricted.
    """
    for before, event, _, (after, _, verdict) in moments:
        if before.state in CLOSED and isinstance(event, Spent):
            assert verdict.kind == "ignored"
            assert after.data == before.data
        if before.state in CLOSED and after.state not in CLOSED:
            assert isinstance(event, Heard) or (before.state == "used-up" and isinstance(event, Refunded))


@often
@given(histories(window))
def test_our_count_is_never_below_what_left(moments: list[Moment]) -> None:
    """
    A platform that counts more than we do refuses what we thought was allowed.
    """
    counted: list[tuple[str, int, int]] = []  # (message, until when, what left in answer to it), oldest first
    unheard = 0
    for before, event, now, (after, _, verdict) in moments:
        if isinstance(event, Heard):
            kept = [one for one in counted if one[1] > now] if event.message else []
            counted = [*kept, (event.message, now + event.lasts, event.under_way)][-OPENINGS_MAX:]
            unheard = 0
        elif isinstance(event, Spent | Refunded) and verdict.kind != "ignored":
            change = 1 if isinstance(event, Spent) else -1
            counted = [
                (message, until, max(0, count + change) if message == event.message else count)
                for message, until, count in counted
            ]
            unheard = max(0, unheard + change) if before.state == "unseen" else 0
        elif isinstance(event, Shut) and len(after.data.openings) < len(before.data.openings):
            counted = [one for one in counted if one[0] != event.message]
        assert after.data.spent == sum(count for _, _, count in counted) + unheard


@often
@given(histories(window))
def test_it_says_why_nothing_may_leave_exactly_when_nothing_may(moments: list[Moment]) -> None:
    """
    The reason is what the sender reads while their message waits.
    """
    for _, event, _, (after, _, _) in moments:
        if after.state in ("used-up", "lapsed"):
            assert after.data.reason or isinstance(event, Shut) or after.entered < after.version
        elif after.state in ("open", "unseen"):
            assert after.data.reason == ""


@often
@given(histories(window))
def test_the_token_is_one_that_there_was_and_numbers_only_grow(moments: list[Moment]) -> None:
    """
    A number names a secret in another table.
    """
    for moment in moments:
        assert 0 <= moment.after.data.token <= moment.after.data.tokens
        assert moment.after.data.tokens >= moment.before.data.tokens


@often
@given(histories(window))
def test_a_number_is_given_once_for_as_long_as_its_message_is_remembered(moments: list[Moment]) -> None:
    """
    Given twice, the second part is taken for the first, and nobody is shown it.
    """
    for before, event, _, (after, _, verdict) in moments:
        if isinstance(event, Heard):
            continue
        was, now = counts(before), counts(after)
        for message, (_, number) in now.items():
            assert number >= was[message][1]
            if isinstance(event, Spent) and event.message == message and verdict.kind != "ignored":
                assert number >= event.number


@often
@given(histories(window))
def test_it_closes_when_the_last_of_its_messages_does(moments: list[Moment]) -> None:
    """
    Earlier, and an answer that is allowed waits; later, and one that is not is sent.
    """
    for _, event, now, (after, _, _) in moments:
        assert len(after.data.openings) <= OPENINGS_MAX
        if isinstance(event, Heard):
            latest = max(opening.closes_at for opening in after.data.openings)
            assert after.data.closes_at == max(latest, now + 1 * SECONDS) or latest > now + 365 * DAYS
