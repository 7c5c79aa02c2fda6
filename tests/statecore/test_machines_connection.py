"""One account's tie to its platform, as its user would notice it."""

from typing import Any

import pytest
from hypothesis import given

from statecore.events import Broken, Elapsed, Late
from statecore.evolve import evolve
from statecore.machine import Attempt, Snapshot
from statecore.machines.connection import (
    Arrived,
    ClockStepped,
    Connection,
    CredentialsChanged,
    Dial,
    Doubted,
    Drained,
    HangUp,
    HungUp,
    Idle,
    Lost,
    Opened,
    Ready,
    Receive,
    Rejected,
    Resumed,
    Started,
    StopRequested,
    TokenRefused,
    Waited,
    Woke,
    connection,
)
from statecore.units import DAYS, HOURS, MILLISECONDS, MINUTES, SECONDS
from tests.statecore.strategies import Moment, histories, often

NOW = 1_790_000_000 * SECONDS
STARTED = Started(boot="b-1", pid=7, host="here", epoch=1)
LOST = Lost(stage="connect", error="no route", wait=8 * SECONDS, failures=3)
STALE = TokenRefused(code="errcode=-14", message="session timeout", wait=5 * SECONDS, action="log in again")
REJECTED = Rejected(error="tls: not its certificate", wait=60 * SECONDS, action="check base_url")
STOP = StopRequested(by="signal", wait=10 * SECONDS)
WOKE = Woke(slept=8 * HOURS, wait=1 * SECONDS)
DOUBTED = Doubted(reason="ret=-14", wait=2 * SECONDS)
MESSAGES = Arrived(messages=2)
QUIET = Waited(held=35 * SECONDS)
SILENT = Idle(held=40 * SECONDS, wait=100 * MILLISECONDS, silent=True)


def live(*events: Any, snapshot: Snapshot | None = None, now: int = NOW) -> Snapshot:
    """Let events happen to a connection, one after another; an int lets time pass, a name fires that timer when due."""
    at = snapshot or connection.start()
    for event in events:
        if isinstance(event, int):
            now += event
        elif isinstance(event, str):
            now = max(now, getattr(at.data, event))
            at = connection.step(at, Elapsed(event), now).snapshot
        else:
            at = connection.step(at, event, now).snapshot
    return at


CONNECTED = live(STARTED, Ready())
PLACES = {
    "closed": live(STARTED, STOP, Drained(), HungUp()),
    "dialling": live(STARTED),
    "proving": live(STARTED, Opened()),
    "connected": CONNECTED,
    "resting": live(SILENT, snapshot=CONNECTED),
    "reconnecting": live(LOST, snapshot=CONNECTED),
    "suspect": live(WOKE, snapshot=CONNECTED),
    "token-stale": live(STALE, snapshot=CONNECTED),
    "tripped": live(REJECTED, snapshot=CONNECTED),
    "draining": live(STOP, snapshot=CONNECTED),
    "hanging-up": live(STOP, Drained(), snapshot=CONNECTED),
}


def test_every_state_can_be_told_of() -> None:
    """
    The stories below begin in these places.
    """
    assert {name: place.state for name, place in PLACES.items()} == {name: name for name in connection.states}


# ---- connected means that the platform said so -----------------------------------------------------------------------


def test_a_platform_that_says_ready_is_connected_and_asked_for_messages() -> None:
    """
    The short way: one request that proves the account.
    """
    dialling = connection.step(connection.start(), STARTED, NOW)
    ready = connection.step(dialling.snapshot, Ready(), NOW + 1)

    assert dialling.effects == (Attempt(Dial(), 30 * SECONDS, 1),)
    assert ready.effects == (Attempt(Receive(), 3 * MINUTES, 2),)
    assert ready.snapshot.data.ready_since == NOW + 1


def test_a_platform_that_merely_answers_is_being_proved_and_not_connected() -> None:
    """
    An open socket to a platform that refuses the account was reported as "connected" for a weekend elsewhere.
    """
    proving = live(STARTED, Opened())

    assert (proving.state, proving.data.ready_since) == ("proving", None)
    assert connection.attempt(proving) == Attempt(Receive(), 3 * MINUTES, 2)


@pytest.mark.parametrize(("proof", "state"), [(MESSAGES, "connected"), (QUIET, "connected"), (SILENT, "resting")])
def test_the_first_poll_that_is_answered_proves_the_account(proof: Any, state: str) -> None:
    """
    Nothing coming is an answer too, and the answer of a platform that accepts us.
    """
    proved = live(STARTED, 3 * SECONDS, Opened(), proof)

    assert (proved.state, proved.data.ready_since) == (state, NOW + 3 * SECONDS)
    assert (proved.data.down_since, proved.data.down_total) == (None, 3 * SECONDS)


# ---- polls -----------------------------------------------------------------------------------------------------------


def test_after_messages_the_next_poll_follows_at_once() -> None:
    """
    Where there were some there may be more, and whoever wrote them paid for the asking.
    """
    decision = connection.step(CONNECTED, MESSAGES, NOW)

    assert (decision.snapshot.state, decision.outcome.kind) == ("connected", "moved")
    assert decision.effects == (Attempt(Receive(), 3 * MINUTES, CONNECTED.version + 1),)


def test_an_empty_poll_rests_before_the_next_one() -> None:
    """
    A peer that answers "nothing" at once would otherwise be asked as fast as it can answer.
    """
    decision = connection.step(CONNECTED, Idle(held=0, wait=0), NOW)

    assert (decision.snapshot.state, decision.effects) == ("resting", ())
    assert decision.snapshot.data.rest_until == NOW + 50 * MILLISECONDS
    assert live("rest_until", snapshot=decision.snapshot).state == "connected"


def test_polls_that_come_back_at_once_are_counted_until_one_was_held() -> None:
    """
    The count is what makes the pause grow before a peer that lies about being busy.
    """
    hasty = Idle(held=1 * SECONDS - 1, wait=1 * SECONDS)
    again = live(hasty, "rest_until", hasty, "rest_until", snapshot=CONNECTED)

    assert again.data.empties == 2
    assert live(Idle(held=1 * SECONDS, wait=1), snapshot=again).data.empties == 0
    assert live(QUIET, snapshot=again).data.empties == 0


def test_a_poll_that_was_held_is_followed_by_the_next_at_once() -> None:
    """
    A connection on which nothing happens is asked once in half a minute, and writes one row for it.
    """
    decision = connection.step(CONNECTED, QUIET, NOW)

    assert (decision.snapshot.state, decision.snapshot.data) == ("connected", CONNECTED.data)
    assert decision.effects == (Attempt(Receive(), 3 * MINUTES, CONNECTED.version + 1),)


def test_polls_that_are_never_answered_are_counted_until_one_is() -> None:
    """
    One silence is the race between their patience and ours; several are a dead peer.
    """
    twice = live(SILENT, "rest_until", SILENT, "rest_until", snapshot=CONNECTED)

    assert twice.data.silences == 2
    assert live(QUIET, snapshot=twice).data.silences == 0
    assert live(MESSAGES, snapshot=twice).data.silences == 0


# ---- the ways down ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["dialling", "proving", "connected"])
def test_a_lost_connection_waits_as_long_as_was_chosen_and_dials_again(place: str) -> None:
    """
    The delay is in the event, so a replay of the incident waits the same.
    """
    lost = live(LOST, snapshot=PLACES[place])
    dialling = live("retry_at", snapshot=lost)

    assert (lost.state, lost.data.retry_at, lost.data.failures) == ("reconnecting", NOW + 8 * SECONDS, 3)
    assert (lost.data.ready_since, lost.data.reason) == (None, "connect: no route")
    assert connection.attempt(dialling) == Attempt(Dial(), 30 * SECONDS, dialling.version)


@pytest.mark.parametrize("place", ["dialling", "proving", "connected"])
def test_an_attempt_that_died_is_a_lost_connection(place: str) -> None:
    """
    A bug in an adapter must not look like silence.
    """
    broken = live(Broken(how="died", error="KeyError", wait=4 * SECONDS), snapshot=PLACES[place])

    assert (broken.state, broken.data.retry_at) == ("reconnecting", NOW + 4 * SECONDS)
    assert broken.data.failures == PLACES[place].data.failures + 1
    assert broken.data.reason == "the attempt raised an error of its own: KeyError"


def test_the_failures_in_a_row_survive_being_ready_for_a_moment() -> None:
    """
    A peer that accepts and hangs up at once must be dialled ever more slowly; who counts anew decides the next event.
    """
    again = live("retry_at", Ready(), snapshot=PLACES["reconnecting"])

    assert (again.state, again.data.failures) == ("connected", 3)


@pytest.mark.parametrize("place", ["dialling", "proving", "connected"])
def test_refused_credentials_wait_for_new_ones_and_say_what_to_do(place: str) -> None:
    """
    Asking again with what was refused is what platforms ban accounts for.
    """
    stale = live(STALE, snapshot=PLACES[place])

    assert (stale.state, stale.data.reason, stale.data.action) == (
        "token-stale", "errcode=-14: session timeout", "log in again"
    )  # fmt: skip
    assert live(CredentialsChanged(), snapshot=stale).state == "dialling"


def test_refused_credentials_are_probed_slowly_all_the_same() -> None:
    """
    A token that is good again must not need a restart; hours of waiting for one did happen.
    """
    stale = live(STALE, snapshot=CONNECTED)
    again = live("probe_at", STALE, snapshot=stale, now=NOW)

    assert stale.data.probe_at == NOW + 5 * SECONDS
    assert live("probe_at", snapshot=stale).state == "dialling"
    assert (again.state, again.data.stale_probes) == ("token-stale", 2)


@pytest.mark.parametrize("poll", [MESSAGES, QUIET])
def test_only_a_poll_that_was_answered_shows_that_the_credentials_are_good(poll: Any) -> None:
    """
    Where the dial asks for less than the poll, it succeeds with credentials that the poll finds refused, every time.
    """
    dialled = live("probe_at", Ready(), snapshot=PLACES["token-stale"])

    assert dialled.data.stale_probes == 1
    assert live(poll, snapshot=dialled).data.stale_probes == 0


@pytest.mark.parametrize("place", ["dialling", "proving", "connected"])
def test_what_is_not_the_platform_waits_for_a_person(place: str) -> None:
    """
    A captive portal or a wrong address is cured by somebody, not by asking it faster.
    """
    tripped = live(REJECTED, snapshot=PLACES[place])

    assert (tripped.state, tripped.data.action) == ("tripped", "check base_url")
    assert tripped.data.probe_at == NOW + 60 * SECONDS


def test_what_waits_for_a_person_counts_its_probes_until_it_was_ready() -> None:
    """
    Each probe waits longer than the one before; and an hour that went well is no part of the next row.
    """
    first = live(REJECTED, snapshot=live(LOST, "retry_at", Ready(), snapshot=CONNECTED))
    third = live("probe_at", REJECTED, "probe_at", REJECTED, snapshot=first)

    assert (first.data.failures, third.data.failures) == (1, 3)


def test_what_waits_for_a_person_never_probes_faster_than_its_floor() -> None:
    """
    Whatever an adapter chooses.
    """
    hasty = evolve(REJECTED, wait=0)

    assert live(hasty, snapshot=CONNECTED).data.probe_at == NOW + 5 * SECONDS
    assert live(evolve(STALE, wait=0), snapshot=CONNECTED).data.probe_at == NOW + 1 * SECONDS


@pytest.mark.parametrize("place", ["reconnecting", "suspect", "token-stale", "tripped"])
def test_a_person_can_have_it_dial_now(place: str) -> None:
    """
    Whoever has just mended the network does not wait for a backoff.
    """
    dialling = live(Resumed(), snapshot=PLACES[place])

    assert dialling.state == "dialling"
    assert connection.due(dialling) is None


@pytest.mark.parametrize("place", ["proving", "connected", "resting"])
def test_a_send_that_finds_the_account_refused_has_the_platform_asked_again(place: str) -> None:
    """
    The poll may still be held by a server that will refuse the next one.
    """
    doubted = live(DOUBTED, snapshot=PLACES[place])

    assert (doubted.state, doubted.data.retry_at, doubted.data.ready_since) == ("suspect", NOW + 2 * SECONDS, None)
    assert live("retry_at", snapshot=doubted).state == "dialling"


# ---- the machine slept -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["proving", "connected", "resting", "reconnecting", "suspect"])
def test_after_a_sleep_nothing_is_trusted_until_the_platform_has_answered(place: str) -> None:
    """
    A socket that survived eight hours of a closed lid survived on our side only.
    """
    woken = live(WOKE, snapshot=PLACES[place])

    assert (woken.state, woken.data.ready_since, woken.data.retry_at) == ("suspect", None, NOW + 1 * SECONDS)
    assert (woken.data.failures, woken.data.reason) == (0, "the machine was suspended")


@pytest.mark.parametrize("place", ["closed", "dialling", "token-stale", "tripped", "draining", "hanging-up"])
def test_a_sleep_changes_nothing_where_nothing_was_trusted(place: str) -> None:
    """
    A new lid opening cures no refused token.
    """
    assert live(WOKE, snapshot=PLACES[place]).state == place


@pytest.mark.parametrize("place", list(PLACES))
def test_a_wall_clock_that_was_set_is_noted_and_moves_nothing(place: str) -> None:
    """
    Decisions are taken on another clock.
    """
    decision = connection.step(PLACES[place], ClockStepped(by=-3 * DAYS), NOW)

    assert decision.outcome.kind == "stayed"
    assert decision.snapshot.data == PLACES[place].data


# ---- generations -----------------------------------------------------------------------------------------------------


def test_each_dial_begins_a_generation() -> None:
    """
    It is how a log line is put down to one physical connection among thousands.
    """
    assert [live(STARTED).data.generation, live("retry_at", snapshot=PLACES["reconnecting"]).data.generation] == [1, 2]
    assert live(QUIET, SILENT, "rest_until", MESSAGES, snapshot=CONNECTED).data.generation == 1


@pytest.mark.parametrize("place", list(PLACES))
def test_an_outcome_of_an_earlier_entry_is_recorded_and_changes_nothing(place: str) -> None:
    """
    The answer to yesterday's poll says nothing about today's connection.
    """
    decision = connection.step(PLACES[place], Late(event="Idle", of=1), NOW)

    assert decision.outcome.kind == "ignored"
    assert decision.snapshot == PLACES[place]._replace(version=PLACES[place].version + 1)


# ---- starting and stopping -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", list(PLACES))
def test_a_new_process_begins_afresh_wherever_the_last_one_was_cut_off(place: str) -> None:
    """
    kill -9 leaves a journal in any state at all.
    """
    was = PLACES[place]
    begun = live(Started(boot="b-2", pid=8, host="here", epoch=2), snapshot=was)

    assert begun.state == "dialling"
    assert begun.data == Connection(
        generation=was.data.generation + 1,
        down_since=NOW if was.data.down_since is None else was.data.down_since,
        down_total=was.data.down_total,
        boot="b-2",
        reason="",
    )


def test_a_stop_sees_to_its_end_what_is_under_way_and_then_hangs_up() -> None:
    """
    A restart that cuts off a send leaves a message of which nobody knows whether it arrived.
    """
    draining = live(STOP, snapshot=CONNECTED)
    hanging_up = live(Drained(), snapshot=draining)
    closed = live(HungUp(), snapshot=hanging_up)

    assert (draining.state, draining.data.drain_until) == ("draining", NOW + 10 * SECONDS)
    assert draining.data.reason == "stopping, asked by signal"
    assert connection.attempt(hanging_up) == Attempt(HangUp(), 5 * SECONDS, hanging_up.version)
    assert (closed.state, closed.data.reason, closed.data.boot) == ("closed", "stopped", "")


def test_a_stop_does_not_wait_for_ever() -> None:
    """
    An init system kills what does not stop, and a stop without an end is a kill with a delay.
    """
    assert live("drain_until", snapshot=PLACES["draining"]).state == "hanging-up"
    assert live(Broken(how="overdue"), snapshot=PLACES["hanging-up"]).state == "closed"


@pytest.mark.parametrize("place", ["draining", "hanging-up", "closed"])
def test_a_second_stop_is_ignored(place: str) -> None:
    """
    People press ctrl-C twice.
    """
    decision = connection.step(PLACES[place], STOP, NOW + 1)

    assert decision.outcome.kind == "ignored"
    assert decision.outcome.reason == "it is stopping already"


# ---- the account's downtime ------------------------------------------------------------------------------------------


def test_time_that_the_account_was_down_is_added_up() -> None:
    """
    Deliveries do not age while there was nothing they could have done.
    """
    up = live(STARTED, 4 * SECONDS, Ready())
    again = live(LOST, "retry_at", 2 * SECONDS, Ready(), snapshot=up, now=NOW + 1 * HOURS)

    assert up.data.down_total == 4 * SECONDS
    assert live(MESSAGES, MESSAGES, snapshot=up).data.down_total == 4 * SECONDS
    assert again.data.down_total == 4 * SECONDS + 8 * SECONDS + 2 * SECONDS


# ---- what is none of its business ------------------------------------------------------------------------------------


ELSEWHERE = [
    (Drained(), {"draining"}),
    (CredentialsChanged(), {"token-stale", "tripped"}),
    (Resumed(), {"reconnecting", "suspect", "token-stale", "tripped"}),
    (DOUBTED, {"proving", "connected", "resting"}),
]


@pytest.mark.parametrize(
    ("place", "event"),
    [(place, event) for event, where in ELSEWHERE for place in PLACES if place not in where],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_comes_where_nothing_waits_for_it_disturbs_nothing(place: str, event: Any) -> None:
    """
    A person who asks twice, or an answer that comes late, must not tear a connection that works.
    """
    before = PLACES[place]
    decision = connection.step(before, event, NOW + 1 * SECONDS)

    assert (decision.outcome.kind, decision.effects) == ("ignored", ())
    assert (decision.snapshot.state, decision.snapshot.data) == (before.state, before.data)


@pytest.mark.parametrize(
    ("place", "cure"),
    [
        ("reconnecting", "retry_at"),
        ("suspect", "retry_at"),
        ("token-stale", "probe_at"),
        ("tripped", "probe_at"),
        ("token-stale", CredentialsChanged()),
        ("tripped", CredentialsChanged()),
        *((place, Resumed()) for place in ("reconnecting", "suspect", "token-stale", "tripped")),
    ],
)
def test_however_a_wait_ends_there_is_another_dial_and_it_is_counted(place: str, cure: Any) -> None:
    """
    The log tells physical connections apart by that, and quick polls of the last one say nothing about the next.
    """
    busy = PLACES[place]._replace(data=evolve(PLACES[place].data, empties=4, silences=2))
    dialling = live(cure, snapshot=busy)

    assert connection.attempt(dialling) == Attempt(Dial(), 30 * SECONDS, dialling.version)
    assert (dialling.data.generation, dialling.data.empties, dialling.data.silences) == (2, 0, 0)


@pytest.mark.parametrize("place", ["dialling", "proving", "connected", "resting", "reconnecting", "suspect"])
def test_a_stop_is_heard_wherever_it_comes(place: str) -> None:
    """
    A process that is asked to end ends, whatever its accounts are busy with.
    """
    draining = live(STOP, snapshot=PLACES[place])

    assert (draining.state, draining.data.drain_until) == ("draining", NOW + 10 * SECONDS)
    assert draining.data.reason == "stopping, asked by signal"


@pytest.mark.parametrize("place", ["token-stale", "tripped"])
def test_a_stop_does_not_hide_what_a_person_must_do(place: str) -> None:
    """
    It is the last that anybody hears of the account until the next start.
    """
    draining = live(STOP, snapshot=PLACES[place])

    assert (draining.state, draining.data.action) == ("draining", PLACES[place].data.action)
    assert draining.data.reason == PLACES[place].data.reason


@pytest.mark.parametrize("end", [Drained(), "drain_until"])
def test_hanging_up_is_no_dial(end: Any) -> None:
    """
    Generations count physical connections, and a stop makes none.
    """
    assert live(end, snapshot=PLACES["draining"]).data.generation == PLACES["draining"].data.generation


def test_a_second_sleep_is_waited_out_like_the_first() -> None:
    """
    The staggered wait begins with the waking, or accounts that slept twice would all dial at once.
    """
    again = live(5 * MINUTES, WOKE, snapshot=PLACES["suspect"])

    assert (again.state, again.data.retry_at) == ("suspect", NOW + 5 * MINUTES + 1 * SECONDS)


@pytest.mark.parametrize(
    ("event", "timer", "shortest", "longest"),
    [
        (SILENT, "rest_until", 50 * MILLISECONDS, 1 * MINUTES),
        (LOST, "retry_at", 50 * MILLISECONDS, 1 * DAYS),
        (WOKE, "retry_at", 50 * MILLISECONDS, 5 * MINUTES),
        (STALE, "probe_at", 1 * SECONDS, 6 * HOURS),
        (REJECTED, "probe_at", 5 * SECONDS, 6 * HOURS),
        (STOP, "drain_until", 50 * MILLISECONDS, 1 * HOURS),
    ],
)
def test_no_wait_is_nothing_and_none_is_for_ever(event: Any, timer: str, shortest: int, longest: int) -> None:
    """
    Whatever a policy, a server or a person asks for.
    """
    at_once = live(evolve(event, wait=0), snapshot=CONNECTED)
    never = live(evolve(event, wait=365 * DAYS), snapshot=CONNECTED)

    assert getattr(at_once.data, timer) == NOW + shortest
    assert getattr(never.data, timer) == NOW + longest


# ---- whatever happens ------------------------------------------------------------------------------------------------


@often
@given(histories(connection))
def test_it_is_up_exactly_where_the_platform_was_heard_and_not_lost_since(moments: list[Moment]) -> None:
    """
    `ready_since` is what status calls connected, and what the backoff takes for having held.
    """
    for moment in moments:
        state, data = moment.after.state, moment.after.data
        if state in ("connected", "resting"):
            assert data.ready_since is not None
        elif state not in ("draining", "hanging-up"):
            assert data.ready_since is None
        elif moment.before.state == state:
            assert data.ready_since == moment.before.data.ready_since


@often
@given(histories(connection))
def test_it_is_never_both_up_and_down_and_never_neither(moments: list[Moment]) -> None:
    """
    The sum of both is the time since the first start; a gap would let a message age while the account was down.
    """
    for moment in moments:
        if moment.after.version and moment.after.data.generation:
            assert (moment.after.data.ready_since is None) != (moment.after.data.down_since is None)


@often
@given(histories(connection))
def test_generations_and_downtime_only_ever_grow(moments: list[Moment]) -> None:
    """
    Both are compared across restarts.
    """
    for before, _, _, (after, _, _) in moments:
        assert after.data.generation - before.data.generation == (
            after.state == "dialling" and after.entered == after.version
        )
        assert after.data.down_total >= before.data.down_total


@often
@given(histories(connection))
def test_whoever_must_act_is_told_exactly_where_they_can(moments: list[Moment]) -> None:
    """
    A state that waits for a person names what that person must do; one that does not has nothing to ask of them.
    """
    for _, event, _, (after, _, _) in moments:
        if isinstance(event, TokenRefused | Rejected) and after.entered == after.version:
            assert after.state == ("token-stale" if isinstance(event, TokenRefused) else "tripped")
            assert after.data.action == event.action
        if after.state in (
            "connected",
            "resting",
            "reconnecting",
        ):  # what was asked for is still to be done after a stop
            assert after.data.action == ""
