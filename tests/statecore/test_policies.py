"""The policies: for every setting that is allowed and whatever happens, their numbers stay within bounds."""

import itertools
import math
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from statecore.errors import ConfigError
from statecore.policies import (
    Backoff,
    Circuit,
    Pacing,
    Retry,
    Sessions,
    Window,
    backoff,
    circuit,
    pacing,
    retry,
    starts,
    window,
)
from statecore.policies.pacing import Bucket
from statecore.settings import build
from statecore.units import DAYS, HOURS, LONGEST_NS, MILLISECONDS, MINUTES, SECONDS
from tests.statecore.strategies import often

T = TypeVar("T")
DRAWS = st.floats(0, 1, exclude_max=True)
COUNTS = st.integers(-3, 10**6)
TIMES = st.integers(0, 100 * SECONDS) | st.integers(1 * DAYS, 2 * LONGEST_NS)


def seconds(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high)


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    floor, cap = sorted((draw(seconds(0.05, 3600)), draw(seconds(0.05, 24 * 3600))))
    return made(
        Backoff, floor=min(floor, 3600), cap=cap, factor=draw(st.floats(1.1, 10)), steady=draw(seconds(1, 86400))
    )


@st.composite
def circuits(draw: st.DrawFn) -> Circuit:
    return made(
        Circuit,
        cooldown=draw(seconds(0.05, 86400)),
        chat_cooldown=draw(seconds(0.05, 86400)),
        cap=draw(seconds(1, 7 * 86400)),
        factor=draw(st.floats(1.1, 10)),
        jitter=draw(st.floats(0, 0.5)),
        forget=draw(seconds(1, 7 * 86400)),
    )


@st.composite
def pacings(draw: st.DrawFn) -> Pacing:
    return made(
        Pacing,
        per_second=draw(st.floats(0.001, 1000)),
        burst=draw(st.integers(1, 1000)),
        slowdown=draw(st.floats(1, 10)),
        slowdown_max=draw(st.floats(1, 100)),
        recovery=draw(seconds(1, 86400)),
    )


def made(kind: type[T], **given: Any) -> T:
    """Make settings from what people write."""
    return kind(**given)


# ---- backoff ---------------------------------------------------------------------------------------------------------


@often
@given(backoffs(), COUNTS, DRAWS)
def test_a_backoff_lies_between_its_floor_and_its_cap(policy: Backoff, failures: int, draw: float) -> None:
    """
    Below the floor it storms, above the cap it is forgotten; whatever the count and the chance.
    """
    wait = backoff.delay(policy, failures, draw)

    assert isinstance(wait, int)
    assert policy.floor <= wait <= policy.cap


@often
@given(backoffs(), st.integers(1, 100), DRAWS)
def test_the_longest_possible_backoff_grows_with_each_failure(policy: Backoff, failures: int, draw: float) -> None:
    """
    A peer that is down for long is asked ever less often.
    """
    assert backoff.delay(policy, failures, draw) <= backoff.delay(policy, failures + 1, draw)


@often
@given(backoffs())
def test_a_backoff_comes_as_near_to_its_cap_as_chance_allows(policy: Backoff) -> None:
    """
    Whoever sets a small factor and a long cap means both.
    """
    assert backoff.delay(policy, 10**6, math.nextafter(1, 0)) == pytest.approx(policy.cap, rel=1e-9)


@pytest.mark.parametrize("factor", [1.1, 10])
def test_the_shortest_floor_grows_to_the_longest_cap_by_any_factor(factor: float) -> None:
    """
    The growth of a wait is bounded so that it stays a number; no setting may be what that bound cuts off.
    """
    policy = made(Backoff, floor="50ms", cap="24h", factor=factor)
    patient = made(Circuit, cooldown="50ms", cap="7d", factor=factor)

    assert backoff.delay(policy, 10**6, math.nextafter(1, 0)) == 24 * HOURS
    assert circuit.wait(patient, patient.cooldown, 10**6, 0.0) == 7 * DAYS


def test_callers_that_failed_together_come_back_apart() -> None:
    """
    Full jitter: the whole range between floor and ceiling is used.
    """
    policy = made(Backoff, floor="1s", cap="60s", factor=2)

    assert [backoff.delay(policy, failures, 0.5) for failures in (0, 1, 2)] == [
        1.5 * SECONDS,
        1.5 * SECONDS,
        2.5 * SECONDS,
    ]
    assert backoff.delay(policy, 3, 0.0) == 1 * SECONDS
    assert backoff.delay(policy, 3, 0.5) == 4.5 * SECONDS
    assert backoff.delay(policy, 3, math.nextafter(1, 0)) == 8 * SECONDS


@often
@given(backoffs(), COUNTS, DRAWS, TIMES)
def test_a_servers_hint_wins_when_it_is_longer_up_to_six_hours(
    policy: Backoff, failures: int, draw: float, hint: int
) -> None:
    """
    It knows when it will be back; but a slip there must not park an account for days.
    """
    own = backoff.delay(policy, failures, draw)

    assert backoff.delay(policy, failures, draw, hint) == max(own, min(hint, 6 * HOURS))
    assert backoff.delay(policy, failures, draw, None) == own


def test_a_backoff_whose_cap_is_below_its_floor_is_refused() -> None:
    """
    Each bound is sensible alone; together they are a promise that cannot be kept.
    """
    with pytest.raises(ConfigError) as caught:
        build(Retry, {"backoff": {"floor": "5m"}}, "accounts.wx.retry")

    assert str(caught.value) == "accounts.wx.retry.backoff.cap: 1m is below the floor, 5m"


@pytest.mark.parametrize(
    ("ready_since", "expected"),
    [(None, 6), (1 * HOURS - 60 * SECONDS, 1), (1 * HOURS - 60 * SECONDS + 1, 6), (1 * HOURS, 6)],
    ids=["never ready", "held", "not quite", "just now"],
)
def test_the_count_begins_again_only_after_the_connection_has_held(ready_since: int | None, expected: int) -> None:
    """
    A peer that accepts and hangs up at once must be dialled ever more slowly.
    """
    assert backoff.failures_now(made(Backoff, steady="60s"), 5, ready_since, 1 * HOURS) == expected


# ---- circuit ---------------------------------------------------------------------------------------------------------


@often
@given(circuits(), st.integers(50 * MILLISECONDS, 7 * DAYS), COUNTS, DRAWS)
def test_a_circuits_wait_is_never_above_its_cap_or_below_its_first(
    policy: Circuit, first: int, failures: int, draw: float
) -> None:
    """
    A chat that is cured must be noticed some time, and one that is not must not be hammered.
    """
    wait = circuit.wait(policy, first, failures, draw)

    assert isinstance(wait, int)
    assert min(first, policy.cap) <= wait <= policy.cap


@often
@given(circuits(), st.integers(50 * MILLISECONDS, 7 * DAYS), st.integers(1, 250), DRAWS)
def test_each_failed_probe_lengthens_the_next_wait(policy: Circuit, first: int, failures: int, draw: float) -> None:
    """
    So a refusal of length T costs about log T requests, whatever is queued behind it.
    """
    wait, next_wait = (circuit.wait(policy, first, count, draw) for count in (failures, failures + 1))

    assert next_wait == policy.cap or next_wait >= wait * policy.factor * (1 - 1e-6)


@often
@given(circuits(), st.integers(1, 30), DRAWS, DRAWS)
def test_chance_only_ever_lengthens_a_wait_and_not_by_much(
    policy: Circuit, failures: int, draw: float, other: float
) -> None:
    """
    Jitter that shortened it would make probes less rare than was said.
    """
    least = circuit.wait(policy, policy.cooldown, failures, 0.0)
    wait = circuit.wait(policy, policy.cooldown, failures, max(draw, other))

    assert least <= wait <= least * (1 + policy.jitter) + 1


def test_a_circuit_waits_its_first_wait_first_and_then_ever_longer() -> None:
    """
    The numbers as a person reads them; half of the chance is half of the jitter.
    """
    policy = made(Circuit, factor=2, jitter=0.1, cap="30m")
    waits = [circuit.wait(policy, 2 * SECONDS, failures, 0.0) for failures in (0, 1, 2, 3, 99)]

    assert waits == [2 * SECONDS, 2 * SECONDS, 4 * SECONDS, 8 * SECONDS, 30 * MINUTES]
    assert circuit.wait(policy, 2 * SECONDS, 1, 0.5) == 2.1 * SECONDS


def test_an_outage_of_a_day_costs_a_few_probes_an_hour_at_most() -> None:
    """
    The sum that the guarantee speaks of, with the settings as they are.
    """
    policy = Circuit()
    waits = itertools.accumulate(
        circuit.wait(policy, policy.cooldown, failures, 0.0) for failures in itertools.count(1)
    )

    assert sum(1 for _ in itertools.takewhile(lambda at: at <= 1 * DAYS, waits)) < 60


@pytest.mark.parametrize(
    ("closed_at", "expected"), [(None, 4), (0, 1), (1, 4)], ids=["never closed", "closed for long", "not quite"]
)
def test_a_circuit_that_was_closed_for_long_starts_from_its_first_wait(closed_at: int | None, expected: int) -> None:
    """
    Last week's refusals say nothing about today's.
    """
    assert circuit.failures_now(made(Circuit, forget="5m"), 3, closed_at, 5 * MINUTES) == expected


# ---- pacing ----------------------------------------------------------------------------------------------------------


@often
@given(pacings(), st.lists(st.integers(0, 20 * SECONDS), max_size=60))
def test_pacing_never_lets_more_through_than_its_burst_and_its_rate(policy: Pacing, gaps: list[int]) -> None:
    """
    Between any two moments, and not only since the start: the platform looks at its own interval.
    """
    bucket, now = Bucket(float(policy.burst), 0), 0
    left: list[int] = []
    for gap in gaps:
        now += gap
        while pacing.ready_at(policy, bucket, 1.0, now) == now and len(left) < 2000:
            bucket = pacing.spend(policy, bucket, 1.0, now)
            left.append(now)

    for i, begin in enumerate(left):
        for count, end in enumerate(left[i:], 1):
            if end > begin or count > policy.burst:
                assert count <= policy.burst + policy.per_second * (end - begin) / SECONDS + 1e-6
                if count > 40:
                    break


@often
@given(pacings(), st.floats(-50, 1000), st.floats(1, 100), st.integers(0, 100 * SECONDS))
def test_who_comes_back_when_told_to_may_leave(policy: Pacing, tokens: float, stretched: float, later: int) -> None:
    """
    Told to come back a nanosecond later, and again, the driver would spin.
    """
    bucket = Bucket(min(tokens, policy.burst), 1_790_000_000 * SECONDS)
    now = bucket.at + later
    at = pacing.ready_at(policy, bucket, stretched, now)

    assert at >= now
    assert pacing.ready_at(policy, bucket, stretched, at) == at


def test_a_rounding_error_is_no_reason_to_wait() -> None:
    """
    A request that is a billionth of a token short would otherwise wait for a timer, and then leave alone.
    """
    slow = made(Pacing, per_second=0.001)

    assert pacing.ready_at(slow, Bucket(1 - 0.9e-9, 7), 1.0, 7) == 7
    assert pacing.ready_at(slow, Bucket(1 - 1.1e-9, 7), 1.0, 7) > 7


def test_a_rounding_error_is_no_reason_to_begin_a_session_later() -> None:
    """
    Whoever waited as long as they were told would be told to wait again, for less than a millisecond.
    """
    slow = made(Sessions, per_day=1, apart="1s")
    earned = SECONDS / DAYS

    assert starts.wait(slow, 1 - earned - 0.9e-9, 0, 1 * SECONDS) == 0
    assert starts.wait(slow, 1 - earned - 1.1e-9, 0, 1 * SECONDS) > 0


@often
@given(pacings(), st.floats(1, 100), st.integers(0, 1000))
def test_a_request_out_of_turn_is_paid_for_by_the_next(policy: Pacing, stretched: float, more: int) -> None:
    """
    The one experiment leaves at once, and the rate holds all the same.
    """
    bucket = Bucket(0.0, 0)
    for _ in range(more):
        bucket = pacing.spend(policy, bucket, stretched, 0)

    assert bucket.tokens == -more
    expected = (more + 1) * stretched / policy.per_second * SECONDS
    assert pacing.ready_at(policy, bucket, stretched, 0) == pytest.approx(expected, rel=1e-6, abs=2)


@often
@given(pacings(), st.floats(-50, 1000), TIMES, TIMES)
def test_a_bucket_is_never_fuller_than_a_burst_and_never_runs_backwards(
    policy: Pacing, tokens: float, at: int, now: int
) -> None:
    """
    After a quiet week only a burst may leave, and a clock that steps back takes nothing away.
    """
    assume(tokens <= policy.burst)
    bucket = pacing.refill(policy, Bucket(tokens, at), 1.0, now)

    assert tokens <= bucket.tokens <= policy.burst
    assert bucket.at == max(at, now)


@often
@given(pacings(), st.floats(1, 1000), st.none() | TIMES, TIMES)
def test_the_stretch_is_never_below_one_nor_above_its_most(
    policy: Pacing, level: float, throttled_at: int | None, now: int
) -> None:
    """
    Evidence of throttling slows down; nothing ever speeds up, and nothing slows to a halt.
    """
    stretched = pacing.stretch(policy, level, throttled_at, now)

    assert 1.0 <= stretched <= max(1.0, min(level, policy.slowdown_max)) + 1e-9
    assert stretched <= pacing.slower(policy, stretched) <= max(policy.slowdown_max, stretched)


@often
@given(pacings(), st.floats(1, 100), TIMES, TIMES)
def test_pacing_recovers_by_half_each_recovery(policy: Pacing, level: float, throttled_at: int, later: int) -> None:
    """
    Without it, one bad evening would leave an account slow for good.
    """
    now = throttled_at + later
    here = pacing.stretch(policy, level, throttled_at, now)
    half = pacing.stretch(policy, level, throttled_at, now + policy.recovery)

    assert half - 1.0 == pytest.approx((here - 1.0) / 2, abs=1e-9)


def test_who_was_never_throttled_is_not_stretched() -> None:
    """
    The usual case, and it must be exact.
    """
    policy = made(Pacing, slowdown=2, slowdown_max=8)

    assert pacing.stretch(policy, 4.0, None, 5) == 1.0
    assert pacing.stretch(policy, 1.0, 3, 5) == 1.0
    assert [pacing.stretch(policy, level, 5, 5) for level in (0.5, 1.5, 4.0, 9.0)] == [1.0, 1.5, 4.0, 8.0]
    assert pacing.slower(policy, 1.0) == 2.0
    assert pacing.slower(policy, 7.0) == 8.0


def test_a_burst_leaves_at_once_and_what_follows_at_the_pace() -> None:
    """
    The third within a second is what iLink was seen to refuse.
    """
    policy, bucket = made(Pacing, per_second=1, burst=2), Bucket(2.0, 0)
    left: list[int] = []
    while len(left) < 4:
        now = pacing.ready_at(policy, bucket, 1.0, left[-1] if left else 0)
        bucket = pacing.spend(policy, bucket, 1.0, now)
        left.append(now)

    assert left == [0, 0, 1 * SECONDS, 2 * SECONDS]


# ---- retry, window ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "age", "given_up"),
    [(8, 1 * HOURS, True), (7, 9 * HOURS, False), (99, 1 * HOURS - 1, False), (1, 0, False)],
    ids=["both", "too few attempts", "too young", "neither"],
)
def test_a_delivery_is_given_up_only_when_attempts_and_age_are_used_up(attempts: int, age: int, given_up: bool) -> None:
    """
    Eight failures within a minute are an outage, and one failure an hour ago is nothing.
    """
    assert retry.exhausted(made(Retry, attempts=8, age="1h"), attempts, age) is given_up


@often
@given(st.integers(1, 1_000_000), st.integers(0, 2_000_000))
def test_what_is_left_of_a_window_is_never_below_zero(messages: int, spent: int) -> None:
    """
    It is compared with zero, and shown to people.
    """
    policy = Window(messages=messages)
    opening = window.Opening(closes_at=10, spent=spent)
    left = window.left(policy, opening, 9)

    assert left == max(0, messages - spent)
    assert (left == 0) == (spent >= messages)
    assert window.left(policy, opening, 10) == 0


def test_the_message_that_is_meant_is_answered_or_else_the_newest_that_may_be() -> None:
    """
    An answer under a message that is too old is refused; one under another message still arrives.
    """
    policy = Window(messages=4)
    old = window.Opening(message="old", closes_at=100, numbered=4, spent=4)
    meant = window.Opening(message="meant", closes_at=200, spent=1)
    newest = window.Opening(message="newest", closes_at=300, spent=3)
    openings = (old, meant, newest)

    assert window.choose(policy, openings, "meant", 150) == meant
    assert window.choose(policy, openings, "meant", 200) == newest
    assert window.choose(policy, openings, "old", 50) == newest
    assert window.choose(policy, openings, "", 50) == newest
    assert window.choose(policy, openings, "meant", 300) is None
    assert [window.left_in_all(policy, openings, at) for at in (50, 250, 350)] == [4, 1, 0]


@st.composite
def openings(draw: st.DrawFn) -> list[window.Opening]:
    """Draw what a chat's messages opened, oldest first."""
    ids = draw(st.lists(st.sampled_from("abcdef"), unique=True))
    spent, until = st.integers(0, 6), st.integers(0, 100)
    return [
        window.Opening(message=id_, heard_at=at, closes_at=draw(until), spent=draw(spent), numbered=draw(spent))
        for at, id_ in enumerate(ids)
    ]


@often
@given(st.integers(1, 5), openings(), st.sampled_from(["", *"abcdef", "gone"]), st.integers(0, 100))
def test_what_is_chosen_may_be_answered_and_nothing_better_was_there(
    messages: int, there: list[window.Opening], wanted: str, now: int
) -> None:
    """
    What may not be answered is refused, and what is passed over lapses unused.
    """
    policy = Window(messages=messages)
    chosen = window.choose(policy, there, wanted, now)
    usable = [opening for opening in there if now < opening.closes_at and opening.spent < messages]

    if chosen is None:
        assert not usable
        assert window.left_in_all(policy, there, now) == 0
    elif wanted in [opening.message for opening in usable]:
        assert chosen.message == wanted
    else:
        assert chosen == usable[-1]
    assert window.left_in_all(policy, there, now) == sum(messages - opening.spent for opening in usable)


# ---- starts ----------------------------------------------------------------------------------------------------------


@st.composite
def sessions(draw: st.DrawFn) -> Sessions:
    return made(
        Sessions,
        per_day=draw(st.floats(1, 10_000)),
        burst=draw(st.integers(1, 1000)),
        apart=draw(seconds(1, 3600)),
    )


@often
@given(sessions(), st.lists(st.integers(0, 2 * DAYS) | st.integers(0, 10 * SECONDS), max_size=60))
def test_over_any_day_no_more_sessions_are_begun_than_the_burst_and_a_days_worth(
    policy: Sessions, gaps: list[int]
) -> None:
    """
    The platform counts a thousand a day and takes bots off the air that begin more; ours is a fraction of it.
    """
    left, at, now = None, 0, 1_790_000_000 * SECONDS
    began: list[int] = []
    for gap in gaps:
        now += gap
        if starts.wait(policy, left, at, now) == 0:
            left, at = starts.left(policy, left, at, now) - 1, now
            began.append(now)

    for index, first in enumerate(began):
        for count, latest in enumerate(began[index:], 1):
            assert count <= policy.burst + policy.per_day * (latest - first) / DAYS + 1e-3
    assert all(later - earlier >= policy.apart for earlier, later in itertools.pairwise(began))


@often
@given(sessions(), st.none() | st.floats(-1, 1000), st.integers(0, 9 * DAYS))
def test_a_wait_for_a_session_is_never_negative_and_over_when_it_is_over(
    policy: Sessions, left: float | None, later: int
) -> None:
    """
    Told to come back a nanosecond later, and again, the account would dial for nothing; and a bucket is never fuller than
    a burst.
    """
    at = 1_790_000_000 * SECONDS
    now = at + later
    wait = starts.wait(policy, left, at, now)

    assert wait >= 0
    assert starts.wait(policy, left, at, now + wait) == 0
    assert starts.left(policy, left, at, now) <= policy.burst
    assert wait == 0 or left is not None


def test_sessions_are_begun_apart_and_then_as_they_are_earned() -> None:
    """
    The numbers as a person reads them: a burst of two, one an hour, five seconds apart.
    """
    policy = made(Sessions, per_day=24, burst=2, apart="5s")

    assert starts.wait(policy, None, 0, 7) == 0
    assert starts.wait(policy, 1.0, 0, 2 * SECONDS) == 3 * SECONDS
    assert starts.wait(policy, 0.0, 0, 30 * MINUTES) == 30 * MINUTES
    assert starts.wait(policy, 0.0, 0, 1 * HOURS) == 0
    assert starts.left(policy, 0.0, 0, 9 * DAYS) == 2.0
    assert starts.left(policy, 1.5, 10, 5) == 1.5


def test_policies_are_values() -> None:
    """
    They are compared, hashed and put into reports.
    """
    for policy in (Backoff(), Circuit(), Pacing(), Retry(), Sessions(), Window()):
        assert hash(policy) == hash(type(policy)())
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            policy.cap = 3  # type: ignore[union-attr, misc]


@pytest.mark.parametrize(
    ("hint", "wait"),
    [
        (None, 1 * SECONDS),
        (0, 1 * SECONDS),
        (-5, 1 * SECONDS),
        (1, 1 * SECONDS),
        (90 * SECONDS, 90 * SECONDS),
        (6 * HOURS, 6 * HOURS),
        (9 * DAYS, 6 * HOURS),
    ],
)
def test_a_servers_hint_is_heeded_when_it_is_longer_and_never_for_days(hint: int | None, wait: int) -> None:
    """
    "Retry-After: 86400000" is a slip of theirs, and must not take an account off the air for years.
    """
    assert backoff.delay(Backoff(), 1, 0.0, hint) == wait


@pytest.mark.parametrize(("hint", "asked"), [(None, 0), (-5, 0), (0, 0), (1, 1)])
def test_no_hint_is_no_time_at_all(hint: int | None, asked: int) -> None:
    """
    Whoever compares it with a wait of their own gets their own.
    """
    assert backoff.asked(hint) == asked
