"""One account's session with its platform, as its user would notice it."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.events import Broken, Elapsed, Late
from statecore.evolve import evolve
from statecore.machine import Attempt, Snapshot
from statecore.machines.connection import (
    Arrived,
    ClockStepped,
    CredentialsChanged,
    Doubted,
    Drained,
    HangUp,
    HungUp,
    Lost,
    Rejected,
    Resumed,
    Started,
    StopRequested,
    TokenRefused,
    Woke,
)
from statecore.machines.session import (
    BEAT_SHARE,
    FRAMED,
    GIVEN_AND_REFUSED,
    MISSES_MAX,
    READ,
    RESUME_HOLDS,
    RESUMES_MAX,
    SENDABLE,
    UP,
    WAITING,
    ZOMBIE_WAIT,
    Acknowledged,
    Asked,
    Authorise,
    Authorised,
    BeatAsked,
    Found,
    Greeted,
    Identify,
    Invalidated,
    LookUp,
    Noted,
    OpenSocket,
    ReadFrame,
    Resume,
    SocketOpened,
    Welcomed,
    session,
)
from statecore.policies import Sessions, starts
from statecore.units import DAYS, HOURS, MILLISECONDS, MINUTES, SECONDS
from tests.statecore.strategies import Moment, histories, often

NOW = 1_790_000_000 * SECONDS
EVERY = 40 * SECONDS
BEAT = round(EVERY * BEAT_SHARE)
STARTED = Started(boot="b-1", pid=7, host="here", epoch=1)
AGAIN = Started(boot="b-2", pid=8, host="here", epoch=2, offline=1 * MINUTES, resumable=5 * MINUTES)
TOKEN = Authorised(changed=True, renew=2 * HOURS)
SAME_TOKEN = Authorised(changed=False, renew=2 * HOURS)
FOUND = Found(url="wss://gateway", lasts=30 * MINUTES)
OPENED = SocketOpened()
HELLO = Greeted(beat_every=EVERY, wait=0, starts=9.0)
READY = Welcomed(resumed=False, beat=BEAT)
RESUMED = Welcomed(resumed=True, beat=BEAT)
MESSAGES = Arrived(messages=2)
NOTE = Noted(what="GUILD_CREATE")
ACK = Acknowledged()
LOST = Lost(stage="receive", error="4009", wait=2 * SECONDS, failures=2, reachable=True)
FORGOTTEN = evolve(LOST, forget=("session",))
HELD = evolve(LOST, failures=1)
STALE = TokenRefused(code="11244", message="token expired", wait=5 * SECONDS, action="look at the console")
REJECTED = Rejected(error="4914: sandbox only", wait=20 * SECONDS, action="go online")
STOP = StopRequested(by="signal", wait=10 * SECONDS)
WOKE = Woke(slept=8 * HOURS, wait=1 * SECONDS)
DOUBTED = Doubted(reason="code=11244", wait=2 * SECONDS, credential=1)
OP9 = Invalidated(resumable=False)
OVERDUE = Broken(how="overdue", error="no outcome within 15s", wait=4 * SECONDS)


def live(*events: Any, snapshot: Snapshot | None = None, now: int = NOW) -> Snapshot:
    """Let events happen to a session, one after another; an int lets time pass, a name fires that timer when due."""
    at = snapshot or session.start()
    for event in events:
        if isinstance(event, int):
            now += event
        elif isinstance(event, str):
            now = max(now, getattr(at.data, event))
            at = session.step(at, Elapsed(event), now).snapshot
        else:
            at = session.step(at, event, now).snapshot
    return at


def asks(at: Snapshot) -> Any:
    """Return what the state an instance is in has the driver do."""
    attempt = session.attempt(at)
    return None if attempt is None else attempt.effect


UP_TO_HELLO = (STARTED, TOKEN, FOUND, OPENED)
CONNECTED = live(*UP_TO_HELLO, HELLO, Asked(), READY)
BACK = live("retry_at", OPENED, snapshot=live(LOST, snapshot=CONNECTED))
PLACES = {
    "closed": live(STOP, Drained(), HungUp(), snapshot=CONNECTED),
    "authorising": live(STARTED),
    "looking-up": live(STARTED, TOKEN),
    "dialling": live(STARTED, TOKEN, FOUND),
    "greeting": live(*UP_TO_HELLO),
    "identifying": live(*UP_TO_HELLO, HELLO),
    "resuming": live(HELLO, snapshot=BACK),
    "proving": live(*UP_TO_HELLO, HELLO, Asked()),
    "connected": CONNECTED,
    "beating": live("beat_at", snapshot=CONNECTED),
    "renewing": live("token_at", snapshot=CONNECTED._replace(data=evolve(CONNECTED.data, token_at=NOW + SECONDS))),
    "reauthorising": live(DOUBTED, snapshot=CONNECTED),
    "lingering": live(OP9, snapshot=CONNECTED),
    "reconnecting": live(LOST, snapshot=CONNECTED),
    "token-stale": live(STALE, snapshot=CONNECTED),
    "tripped": live(REJECTED, snapshot=CONNECTED),
    "suspect": live(WOKE, snapshot=CONNECTED),
    "draining": live(STOP, snapshot=CONNECTED),
    "hanging-up": live(STOP, Drained(), snapshot=CONNECTED),
}
CONNECTING = ("authorising", "looking-up", "dialling", "greeting", "identifying", "resuming", "proving", "lingering")


def test_every_state_can_be_told_of() -> None:
    """
    The stories below begin in these places.
    """
    assert {name: place.state for name, place in PLACES.items()} == {name: name for name in session.states}


# ---- the way up ------------------------------------------------------------------------------------------------------


def test_every_step_on_the_way_up_is_a_state_with_a_deadline() -> None:
    """
    The last row of a session that hangs names the step that hung.
    """
    steps = [session.attempt(PLACES[place]) for place in CONNECTING if place != "lingering"]

    assert [(step.effect, step.within) for step in steps if step is not None] == [
        (Authorise(1, refused=True), 40 * SECONDS),
        (LookUp(0), 40 * SECONDS),
        (OpenSocket("wss://gateway"), 30 * SECONDS),
        (ReadFrame(0), 15 * SECONDS),
        (Identify(), 15 * SECONDS),
        (Resume(), 15 * SECONDS),
        (ReadFrame(1), 15 * SECONDS),
    ]


@pytest.mark.parametrize("place", ["greeting", "identifying", "resuming", "proving"])
def test_an_open_socket_is_not_a_connection(place: str) -> None:
    """
    What is sent to a platform that is not connected is answered with success and never shown.
    """
    assert PLACES[place].state not in SENDABLE
    assert PLACES[place].data.ready_since is None


def test_it_is_connected_when_the_platform_says_so() -> None:
    """
    And from then on it reads, with the first heartbeat where the policy put it.
    """
    assert (CONNECTED.data.ready_since, CONNECTED.data.down_since, CONNECTED.data.reason) == (NOW, None, "")
    assert (CONNECTED.data.resumable, CONNECTED.data.beat_at) == (True, NOW + BEAT)
    assert asks(CONNECTED) == ReadFrame(2)


def test_an_address_that_is_still_believed_is_not_asked_for() -> None:
    """
    The platform counts the questions, and a crash loop of sockets would use them up.
    """
    waiting = live(LOST, snapshot=CONNECTED)
    aged = live(30 * MINUTES, "url_until", snapshot=CONNECTED)

    assert live("retry_at", snapshot=waiting).state == "dialling"
    assert aged.data.url_until is None
    assert live(LOST, "retry_at", snapshot=aged).state == "looking-up"


def test_a_token_that_ended_while_nobody_was_connected_is_fetched_first() -> None:
    """
    Then the address that is known is dialled.
    """
    waiting = live(FORGOTTEN, snapshot=CONNECTED)
    aged = waiting._replace(data=evolve(waiting.data, token_at=None))
    authorising = live("retry_at", snapshot=aged)

    assert (authorising.state, live(TOKEN, snapshot=authorising).state) == ("authorising", "dialling")


def test_an_address_where_no_socket_opens_is_asked_for_again() -> None:
    """
    Platforms move; but one socket that does not open is no reason to ask.
    """
    once = live(LOST, snapshot=live("retry_at", snapshot=PLACES["reconnecting"]))
    twice = live("retry_at", OVERDUE, snapshot=once)

    assert (once.state, once.data.misses, live("retry_at", snapshot=once).state) == ("reconnecting", 1, "dialling")
    assert (twice.data.misses, twice.data.url_until) == (MISSES_MAX, None)
    assert live("retry_at", snapshot=twice).state == "looking-up"
    assert live("retry_at", OPENED, snapshot=once).data.misses == 0

    anew = live("retry_at", FOUND, LOST, snapshot=twice)
    assert live("retry_at", snapshot=anew).state == "dialling"  # what was asked for has its own two chances


@pytest.mark.parametrize("place", [place for place in CONNECTING if place != "dialling"])
def test_a_step_that_fails_waits_as_long_as_was_chosen_and_goes_on_from_what_is_known(place: str) -> None:
    """
    The delay is in the event, so a replay of the incident waits the same.
    """
    lost = live(LOST, snapshot=PLACES[place])
    broken = live(OVERDUE, snapshot=PLACES[place])

    assert (lost.state, lost.data.retry_at, lost.data.failures) == ("reconnecting", NOW + 2 * SECONDS, 2)
    assert (lost.data.reason, lost.data.reachable) == ("receive: 4009", True)
    assert (broken.state, broken.data.retry_at) == ("reconnecting", NOW + 4 * SECONDS)
    assert broken.data.reason == "the attempt took too long: no outcome within 15s"


def test_where_the_platform_allows_no_session_it_is_waited_for_and_said() -> None:
    """
    Bots that begin more sessions than they may are taken off the air until the next day.
    """
    by_platform = live(STARTED, TOKEN, evolve(FOUND, wait=9 * MINUTES))
    by_budget = live(*UP_TO_HELLO, evolve(HELLO, wait=6 * MINUTES, starts=-0.5))

    for at, wait in ((by_platform, 9 * MINUTES), (by_budget, 6 * MINUTES)):
        assert (at.state, at.data.retry_at, at.data.starts) == ("reconnecting", NOW + wait, None)
        assert at.data.reason == "the sessions that may be begun are used up; the next is due later"
        assert live("retry_at", snapshot=at).state == "dialling"
    assert live(STARTED, TOKEN, evolve(FOUND, wait=1)).state == "reconnecting"  # the least wait is one


def test_what_a_person_had_to_do_before_is_not_asked_of_them_while_a_session_is_waited_for() -> None:
    """
    They have done it, and would do it again for nothing.
    """
    cured = live(CredentialsChanged(), TOKEN, evolve(FOUND, wait=9 * MINUTES), snapshot=live(STARTED, STALE))

    assert (cured.state, cured.data.action) == ("reconnecting", "")


# ---- going on with the session there was -----------------------------------------------------------------------------


def test_a_session_that_was_lost_is_resumed() -> None:
    """
    What was sent meanwhile is sent again then; beginning another would lose it, and cost one of a few a day.
    """
    resuming = live(evolve(HELLO, wait=9 * MINUTES), snapshot=BACK)
    resumed = live(Asked(), RESUMED, snapshot=resuming)

    assert (resuming.state, asks(resuming), resuming.data.resumes) == ("resuming", Resume(), 1)
    assert (resumed.state, resumed.data.starts) == ("connected", 9.0)


def test_a_session_that_may_be_resumed_needs_no_leave_to_begin_one() -> None:
    """
    The platform's budget is for new ones.
    """
    waiting = live(LOST, snapshot=CONNECTED)
    looking = live("retry_at", snapshot=waiting._replace(data=evolve(waiting.data, url_until=None)))

    assert live(evolve(FOUND, wait=9 * MINUTES), snapshot=looking).state == "dialling"

    hopeless = looking._replace(data=evolve(looking.data, resumes=RESUMES_MAX))
    assert live(evolve(FOUND, wait=9 * MINUTES), snapshot=hopeless).state == "reconnecting"


def test_resuming_is_given_up_after_a_few_attempts_that_came_to_nothing() -> None:
    """
    A session that the platform has forgotten without saying so would be resumed for ever.
    """
    at, asked = live(LOST, snapshot=CONNECTED), []
    for failures in range(3, 9):
        at = live("retry_at", OPENED, HELLO, snapshot=at)
        asked.append(at.state)
        at = live(evolve(LOST, failures=failures), snapshot=at)

    assert asked[: RESUMES_MAX + 1] == ["resuming"] * RESUMES_MAX + ["identifying"]
    assert "resuming" not in asked[RESUMES_MAX:]


def test_attempts_to_resume_are_counted_anew_once_a_session_has_held() -> None:
    """
    Two bad evenings a month apart are no reason to drop what was sent in between.
    """
    resumed = live(HELLO, Asked(), RESUMED, snapshot=BACK)
    dropped = live(LOST, snapshot=resumed)
    held = live(HELD, snapshot=resumed)

    assert (resumed.data.resumes, dropped.data.resumes, held.data.resumes) == (1, 1, 0)
    assert live(READY, snapshot=live(HELLO, Asked(), snapshot=BACK)).data.resumes == 0
    assert live("beat_at", ACK, snapshot=resumed).data.resumes == 0


def test_a_session_that_stands_for_some_seconds_each_time_is_resumed_each_time() -> None:
    """
    A platform that is rolled out ends sockets a few seconds apart. Giving the session up drops what was said in between.
    """
    at = BACK
    for failures in range(2, 9):
        up = live(HELLO, Asked(), RESUMED, snapshot=at)
        soon = live(RESUME_HOLDS - 1, evolve(LOST, failures=failures), snapshot=up)
        later = live(RESUME_HOLDS, evolve(LOST, failures=failures), snapshot=up)
        at = live("retry_at", OPENED, snapshot=_kept(later))

        assert (soon.data.resumes, later.data.resumes) == (1, 0)
        assert asks(live(HELLO, snapshot=at)) == Resume()


def test_a_first_failure_is_no_proof_that_a_session_has_held() -> None:
    """
    After a restart and after a sleep the failures are counted from one, and hopeless resuming goes on being hopeless.
    """
    at, asked = live(AGAIN, snapshot=PLACES["closed"]), []
    for failures in range(1, 5):
        way = (TOKEN, FOUND, OPENED) if at.state == "authorising" else ("retry_at", OPENED)
        at = live(*way, HELLO, snapshot=at)
        asked.append(at.state)
        at = live(evolve(LOST, failures=failures), snapshot=at)

    assert asked == [*["resuming"] * RESUMES_MAX, "identifying", "identifying"]


def test_a_session_that_was_resumed_and_held_may_be_resumed_again_whatever_ended_it() -> None:
    """
    A zombie or a closed lid after a good day is no attempt that came to nothing; identifying drops what was sent
    meanwhile.
    """
    for end in (WOKE, "zombie", OVERDUE):
        at = live(HELLO, Asked(), RESUMED, snapshot=BACK)
        for _ in range(3):
            good = live("beat_at", ACK, 2 * HOURS, snapshot=at)
            down = live("beat_at", NOTE, "beat_at", snapshot=good) if end == "zombie" else live(end, snapshot=good)
            at = live("retry_at", OPENED, HELLO, Asked(), RESUMED, snapshot=_kept(down))
            assert asks(live("retry_at", OPENED, HELLO, snapshot=_kept(down))) == Resume(), end


def _kept(at: Snapshot) -> Snapshot:
    """Return the same with a token and an address that are still good."""
    return at._replace(data=evolve(at.data, token_at=at.data.retry_at + DAYS, url_until=at.data.retry_at + DAYS))


@pytest.mark.parametrize(("offline", "state"), [(5 * MINUTES, "resuming"), (5 * MINUTES + 1, "identifying")])
def test_a_session_outlives_its_process_for_a_while(offline: int, state: str) -> None:
    """
    A restart loses nothing; a weekend does, and asking for it would only cost an attempt.
    """
    for place in ("closed", "connected", "hanging-up", "renewing"):
        again = live(evolve(AGAIN, offline=offline), TOKEN, FOUND, OPENED, HELLO, snapshot=PLACES[place])

        assert again.state == state


@pytest.mark.parametrize("code", ["op 7", "4009"])
def test_a_socket_that_the_platform_closes_leaves_the_session(code: str) -> None:
    """
    It asks to come back and go on.
    """
    lost = live(evolve(LOST, error=code), snapshot=CONNECTED)

    assert (lost.state, lost.data.resumable) == ("reconnecting", True)
    assert live("retry_at", OPENED, HELLO, snapshot=lost).state == "resuming"


def test_what_a_lost_connection_says_to_forget_is_forgotten_and_nothing_else() -> None:
    """
    A refused token says nothing about the session, and a refused session nothing about the token.
    """
    session_lost = live(FORGOTTEN, snapshot=CONNECTED)
    token_lost = live(evolve(LOST, forget=("token",)), snapshot=CONNECTED)

    assert (session_lost.data.resumable, session_lost.data.token_at) == (False, CONNECTED.data.token_at)
    assert live("retry_at", OPENED, HELLO, snapshot=session_lost).state == "identifying"
    assert (token_lost.data.resumable, token_lost.data.token_at, token_lost.data.doubted) == (True, None, 1)
    assert asks(live("retry_at", snapshot=token_lost)) == Authorise(2, refused=True)
    assert live("retry_at", TOKEN, OPENED, HELLO, snapshot=token_lost).state == "resuming"


# ---- heartbeats ------------------------------------------------------------------------------------------------------


def test_a_heartbeat_is_sent_when_it_is_due_and_frames_are_read_on() -> None:
    """
    A lock around both once let a lively chat starve the heartbeat.
    """
    beating = live("beat_at", snapshot=CONNECTED)

    assert (beating.state, asks(beating), beating.data.unacknowledged) == ("beating", ReadFrame(2, beat=True), True)
    assert live(MESSAGES, snapshot=beating).state == "connected"


def test_the_next_heartbeat_is_due_well_within_the_interval() -> None:
    """
    A platform that has not heard for a whole interval closes; ours and its clock need not agree to the millisecond.
    """
    acknowledged = live("beat_at", ACK, snapshot=CONNECTED)
    first = NOW + BEAT

    assert (acknowledged.state, acknowledged.data.unacknowledged) == ("connected", False)
    assert first + round(EVERY * 0.8) < acknowledged.data.beat_at < first + EVERY


def test_a_heartbeat_that_was_acknowledged_late_was_acknowledged() -> None:
    """
    Messages may come before it.
    """
    asked = live("beat_at", MESSAGES, NOTE, snapshot=CONNECTED)
    acknowledged = live(ACK, snapshot=asked)

    assert acknowledged.data.taken == asked.data.taken + 1
    assert (asked.data.unacknowledged, acknowledged.data.unacknowledged) == (True, False)
    assert live("beat_at", snapshot=acknowledged).state == "beating"


def test_nobody_who_leaves_a_heartbeat_unacknowledged_is_there() -> None:
    """
    A write to a dead socket succeeds. It was found within two intervals, and the session may be resumed.
    """
    beating = live("beat_at", snapshot=CONNECTED)
    dead = live(NOTE, "beat_at", snapshot=beating)
    sent = NOW + BEAT

    assert dead.state == "reconnecting"
    assert sent + EVERY // 2 < dead.data.retry_at - ZOMBIE_WAIT < sent + EVERY
    assert 500 * MILLISECONDS <= ZOMBIE_WAIT <= 1 * SECONDS  # no storm, and it has taken long enough already
    assert dead.data.failures == 1
    assert (dead.data.resumable, dead.data.ready_since, dead.data.reachable) == (True, None, False)
    assert "nobody acknowledges" in dead.data.reason
    assert live("retry_at", OPENED, HELLO, snapshot=dead).state == "resuming"


def test_a_socket_that_falls_silent_is_found_out_within_two_intervals() -> None:
    """
    Nothing comes at all when the cable is pulled, so no frame may be needed to notice that none does.
    """
    beating = live("beat_at", snapshot=CONNECTED)
    dead = live("beat_at", snapshot=beating)

    assert beating.data.beat_at <= NOW + 2 * EVERY
    assert (dead.state, dead.data.resumable) == ("reconnecting", True)
    assert "nobody acknowledges" in dead.data.reason


def test_a_flood_of_frames_does_not_put_the_heartbeat_off() -> None:
    """
    A lively guild would otherwise be a dead connection to its platform.
    """
    at, now = CONNECTED, NOW
    while at.data.beat_at > now + 40 * MILLISECONDS and now < NOW + EVERY:
        now += 40 * MILLISECONDS
        at = session.step(at, NOTE, now).snapshot

    assert live("beat_at", snapshot=at, now=now).state == "beating"
    assert at.data.beat_at <= NOW + BEAT + 40 * MILLISECONDS


@pytest.mark.parametrize("place", ["connected", "beating"])
def test_a_heartbeat_that_the_platform_asks_for_is_sent_at_once(place: str) -> None:
    """
    It may be about to close for want of one.
    """
    asked = session.step(PLACES[place], BeatAsked(), NOW)
    taken = PLACES[place].data.taken + 1

    assert asked.snapshot.state == "beating"
    assert asked.effects == (Attempt(ReadFrame(taken, beat=True), 15 * MINUTES, asked.snapshot.version),)
    assert asked.snapshot.data.beat_at == NOW + BEAT


def test_a_new_socket_owes_no_acknowledgement() -> None:
    """
    What the last one left open would end the next at its first heartbeat.
    """
    again = live(LOST, "retry_at", OPENED, HELLO, Asked(), RESUMED, snapshot=PLACES["beating"])

    assert again.data.unacknowledged is False
    assert live("beat_at", snapshot=again).state == "beating"


# ---- the platform calls the session invalid --------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["greeting", "proving", "connected", "beating"])
def test_an_invalid_session_is_read_on_for_a_moment(place: str) -> None:
    """
    The close code that follows says whether to begin another, to fetch a token, or to stop.
    """
    lingering = session.step(PLACES[place], OP9, NOW)
    attempt = Attempt(ReadFrame(PLACES[place].data.taken + 1), 5 * SECONDS, lingering.snapshot.version)

    assert (lingering.snapshot.state, lingering.effects) == ("lingering", (attempt,))
    assert lingering.snapshot.data.resumable is False
    assert live(NOTE, MESSAGES, snapshot=lingering.snapshot).state == "lingering"


@pytest.mark.parametrize(
    ("end", "state"), [(LOST, "reconnecting"), (REJECTED, "tripped"), (STALE, "token-stale"), (OVERDUE, "reconnecting")]
)
def test_the_end_that_follows_decides(end: Any, state: str) -> None:
    """
    And where none follows, the moment is over soon. The token is asked for either way: it may be what was meant.
    """
    ended = live(end, snapshot=PLACES["lingering"])

    assert (ended.state, ended.data.resumable, ended.data.token_at) == (state, False, None)


def test_an_invalid_session_that_the_platform_calls_resumable_is_resumed() -> None:
    """
    It is the platform's word, in the same frame.
    """
    lingering = live(Invalidated(resumable=True), snapshot=CONNECTED)

    assert live(LOST, "retry_at", SAME_TOKEN, OPENED, HELLO, snapshot=lingering).state == "resuming"
    assert live(Invalidated(resumable=True), snapshot=PLACES["proving"]).data.resumable is False


# ---- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_renewed_before_its_end_while_the_socket_stays() -> None:
    """
    Messages go on leaving meanwhile, because the old one is still good.
    """
    renewing = PLACES["renewing"]
    renewed = live(TOKEN, snapshot=renewing)

    assert asks(renewing) == Authorise(2, refused=False)
    assert renewing.state in SENDABLE
    assert (renewed.state, renewed.data.credential, renewed.data.token_at) == ("connected", 2, NOW + 2 * HOURS)
    assert (renewed.data.generation, renewed.data.ready_since) == (1, CONNECTED.data.ready_since)
    assert asks(renewed) == ReadFrame(2)


@pytest.mark.parametrize("failed", [LOST, OVERDUE])
def test_a_renewal_that_fails_is_tried_again_soon_and_ends_nothing(failed: Any) -> None:
    """
    The token is still good, and the session does not depend on it.
    """
    at = live(failed, snapshot=PLACES["renewing"])

    assert (at.state, at.data.token_at, at.data.ready_since) == ("connected", NOW + 5 * SECONDS, NOW)
    assert at.data.beat_at == NOW + EVERY // 2  # the time that it took was taken from the heartbeat's


@pytest.mark.parametrize("place", ["beating", *CONNECTING])
def test_a_token_that_ends_at_an_awkward_moment_is_renewed_a_little_later(place: str) -> None:
    """
    It interrupts neither a heartbeat nor a step on the way up.
    """
    at = PLACES[place]._replace(data=evolve(PLACES[place].data, token_at=NOW))
    still = live("token_at", snapshot=at)

    assert (still.state, still.data.token_at) == (place, NOW + 5 * SECONDS)


@pytest.mark.parametrize("place", ["connected", "beating", "renewing"])
def test_a_send_that_was_refused_for_its_token_has_another_fetched_while_the_socket_stays(place: str) -> None:
    """
    Nothing more leaves until it is there.
    """
    doubted = live(DOUBTED, snapshot=PLACES[place])
    cured = live(TOKEN, snapshot=doubted)

    assert (doubted.state, asks(doubted)) == ("reauthorising", Authorise(2, refused=True))
    assert doubted.state not in SENDABLE
    assert (cured.state, cured.data.credential, cured.data.generation) == ("connected", 2, 1)


def test_a_token_that_is_refused_again_although_it_was_fetched_again_needs_a_person() -> None:
    """
    The platform refuses what its own token endpoint gives; asking it faster changes nothing.
    """
    same = live(SAME_TOKEN, snapshot=PLACES["reauthorising"])
    stale = live(DOUBTED, snapshot=same)

    assert (stale.state, stale.data.probe_at, stale.data.token_at) == ("token-stale", NOW + 2 * SECONDS, None)
    assert "console" in stale.data.action
    assert asks(live("probe_at", snapshot=stale)) == Authorise(2, refused=True)


def test_a_refusal_of_the_token_before_says_nothing_about_this_one() -> None:
    """
    Answers to requests that left before the renewal still come in.
    """
    renewed = live(TOKEN, snapshot=PLACES["renewing"])

    assert session.step(renewed, DOUBTED, NOW).snapshot.data == renewed.data
    assert live(evolve(DOUBTED, credential=2), snapshot=renewed).state == "reauthorising"
    assert live(evolve(DOUBTED, credential=None), snapshot=renewed).state == "reauthorising"


def test_a_platform_that_welcomes_the_token_has_not_refused_it() -> None:
    """
    Else the next doubt, a month later, would go straight to a person.
    """
    assert PLACES["reauthorising"].data.doubted == 1
    welcomed = live(LOST, "retry_at", OPENED, HELLO, Asked(), RESUMED, snapshot=PLACES["reauthorising"])

    assert live(DOUBTED, snapshot=welcomed).state == "reauthorising"

    probed = live("probe_at", TOKEN, FOUND, OPENED, HELLO, Asked(), snapshot=PLACES["token-stale"])
    assert (probed.data.stale_probes, live(READY, snapshot=probed).data.stale_probes) == (1, 0)


def test_a_renewal_does_not_take_an_acknowledgement_that_is_on_its_way_for_missing() -> None:
    """
    Nothing is read meanwhile, so the acknowledgement is read only afterwards; it must have the time for that.
    """
    asked = live("beat_at", NOTE, snapshot=CONNECTED)
    soon = asked._replace(data=evolve(asked.data, token_at=NOW))
    for outcome in (TOKEN, LOST, OVERDUE):
        back = live("token_at", outcome, snapshot=soon, now=NOW + BEAT + 50 * MILLISECONDS)

        assert (back.state, back.data.unacknowledged) == ("connected", True)
        assert back.data.beat_at >= NOW + BEAT + 10 * SECONDS


@pytest.mark.parametrize("place", [*CONNECTING, *UP])
@pytest.mark.parametrize(("event", "state"), [(STALE, "token-stale"), (REJECTED, "tripped")])
def test_what_needs_a_person_says_what_to_do_and_is_probed_slowly_all_the_same(
    place: str, event: Any, state: str
) -> None:
    """
    New credentials end the wait at once, and so does a person.
    """
    at = live(event, snapshot=PLACES[place])

    assert (at.state, at.data.action, at.data.probe_at) == (state, event.action, NOW + event.wait)
    for cure in (CredentialsChanged(), Resumed(), "probe_at"):
        assert live(cure, snapshot=at).state == "authorising"


# ---- the machine slept -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [*UP, "reconnecting", "suspect"])
def test_after_a_sleep_nothing_is_trusted_until_the_platform_has_answered(place: str) -> None:
    """
    A socket that survived eight hours of a closed lid survived on our side only.
    """
    woken = live(WOKE, snapshot=PLACES[place])

    assert (woken.state, woken.data.ready_since, woken.data.retry_at) == ("suspect", None, NOW + 1 * SECONDS)
    assert woken.state not in SENDABLE
    assert live("retry_at", OPENED, HELLO, snapshot=woken).state in ("resuming", "authorising")


@pytest.mark.parametrize("place", ["closed", *CONNECTING, "token-stale", "tripped", "draining", "hanging-up"])
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
    decision = session.step(PLACES[place], ClockStepped(by=-3 * DAYS), NOW)

    assert decision.outcome.kind == "stayed"
    assert decision.snapshot.data == PLACES[place].data


# ---- generations, starting and stopping ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", list(PLACES))
def test_an_outcome_of_an_earlier_entry_is_recorded_and_changes_nothing(place: str) -> None:
    """
    A frame that came just too late is read again by the next attempt, because it was not counted.
    """
    decision = session.step(PLACES[place], Late(event="Batch", of=1), NOW)

    assert decision.outcome.kind == "ignored"
    assert decision.snapshot == PLACES[place]._replace(version=PLACES[place].version + 1)


@pytest.mark.parametrize("place", WAITING)
def test_a_person_can_have_it_try_now(place: str) -> None:
    """
    Whoever has just mended the network does not wait for a backoff.
    """
    now = live(Resumed(), snapshot=PLACES[place])

    assert now.state in ("authorising", "looking-up", "dialling")
    assert now.data.generation == PLACES[place].data.generation + 1


@pytest.mark.parametrize("place", list(PLACES))
def test_a_new_process_begins_afresh_wherever_the_last_one_was_cut_off(place: str) -> None:
    """
    kill -9 leaves a journal in any state at all; what the platform counts is not forgotten.
    """
    was = PLACES[place].data
    begun = live(AGAIN, snapshot=PLACES[place])

    assert (begun.state, begun.data.generation, begun.data.boot) == ("authorising", was.generation + 1, "b-2")
    assert (begun.data.starts, begun.data.starts_at) == (was.starts, was.starts_at)
    assert (begun.data.credential, begun.data.resumable) == (was.credential, was.resumable)
    assert (begun.data.failures, begun.data.resumes, begun.data.taken, begun.data.token_at) == (0, 0, 0, None)
    assert (begun.data.stale_probes, begun.data.misses) == (0, 0)


@pytest.mark.parametrize("place", [*CONNECTING, *UP, *WAITING])
def test_a_stop_sees_to_its_end_what_is_under_way_and_then_hangs_up(place: str) -> None:
    """
    A restart that cuts off a send leaves a message of which nobody knows whether it arrived.
    """
    draining = live(STOP, snapshot=PLACES[place])
    hanging_up = live(Drained(), snapshot=draining)
    closed = live(HungUp(), snapshot=hanging_up)

    assert (draining.state, draining.data.drain_until) == ("draining", NOW + 10 * SECONDS)
    assert session.attempt(hanging_up) == Attempt(HangUp(), 5 * SECONDS, hanging_up.version)
    was = PLACES[place].data
    assert (closed.state, closed.data.reason, closed.data.boot) == (
        "closed",
        was.reason if was.action else "stopped",
        "",
    )
    assert closed.data.action == was.action  # what a person must do is to be done although nobody drives it
    assert closed.data.resumable == PLACES[place].data.resumable
    assert closed.data.token_at is None  # nobody renews it, so nobody is woken for it


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
    assert session.step(PLACES[place], STOP, NOW + 1).outcome.reason == "it is stopping already"


# ---- what is none of its business ------------------------------------------------------------------------------------


TALKING = ("connected", "beating", "renewing")
ELSEWHERE = [
    (Drained(), {"draining"}),
    (CredentialsChanged(), {"token-stale", "tripped"}),
    (Resumed(), set(WAITING)),
    (DOUBTED, set(TALKING)),
]


@pytest.mark.parametrize(
    ("place", "event"),
    [(place, event) for event, where in ELSEWHERE for place in PLACES if place not in where],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_comes_where_nothing_waits_for_it_disturbs_nothing(place: str, event: Any) -> None:
    """
    A person who asks twice, or an answer that comes late, must not cost a session: there are a few a day.
    """
    before = PLACES[place]
    decision = session.step(before, event, NOW + 1 * SECONDS)

    assert (decision.outcome.kind, decision.effects) == ("ignored", ())
    assert (decision.snapshot.state, decision.snapshot.data) == (before.state, before.data)


@pytest.mark.parametrize("place", TALKING)
def test_an_outdated_doubt_interrupts_nothing_whatever_is_doubted_now(place: str) -> None:
    """
    Several sends were under way with the token before. Each of their refusals comes late, one after another.
    """
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, credential=3, doubted=3))
    decision = session.step(before, DOUBTED, NOW)

    assert (decision.outcome.kind, decision.effects) == ("stayed", ())
    assert (decision.snapshot.state, decision.snapshot.data) == (before.state, before.data)


@pytest.mark.parametrize("place", TALKING)
def test_a_second_refusal_of_the_same_token_needs_a_person_wherever_it_comes(place: str) -> None:
    """
    Fetching yet another would be refused as well, and so on, as fast as messages are sent.
    """
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, doubted=PLACES[place].data.credential))
    refused = live(DOUBTED, snapshot=before)

    assert (refused.state, refused.data.action) == ("token-stale", GIVEN_AND_REFUSED)
    assert refused.data.probe_at == NOW + 2 * SECONDS


STRAY = (MESSAGES, NOTE, ACK, BeatAsked())


@pytest.mark.parametrize(
    ("place", "frame"),
    [
        *((place, frame) for place in ("greeting", "proving", "lingering") for frame in STRAY),
        *((place, RESUMED) for place in ("greeting", "lingering", "connected", "beating")),
        *((place, frame) for place in ("connected", "beating") for frame in (MESSAGES, NOTE)),
        ("lingering", OP9),
    ],
)
def test_a_frame_that_decides_nothing_is_counted_and_read_past(place: str, frame: Any) -> None:
    """
    A frame that was taken in and not counted would be given again with the next attempt, and so on for ever.
    """
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, resumes=1, unacknowledged=True))
    after = live(frame, snapshot=before)

    assert after.data == evolve(before.data, taken=before.data.taken + 1)
    assert after.state == ("connected" if place == "beating" else place)
    assert asks(after) == ReadFrame(taken=before.data.taken + 1)


def test_a_heartbeat_that_was_asked_for_must_be_acknowledged_like_any_other() -> None:
    """
    Or a platform that asks and falls silent would be waited for.
    """
    asked = live(BeatAsked(), snapshot=CONNECTED)

    assert (asked.state, asked.data.unacknowledged, asked.data.beat_at) == ("beating", True, NOW + BEAT)
    assert asked.data.taken == CONNECTED.data.taken + 1


@pytest.mark.parametrize("token", [TOKEN, SAME_TOKEN])
@pytest.mark.parametrize("known", [True, False])
def test_a_token_on_the_way_up_begins_no_heartbeat(token: Any, known: bool) -> None:
    """
    There is no session yet whose life it could prove.
    """
    before = PLACES["authorising"]
    before = before._replace(data=evolve(before.data, url_until=NOW + 1 * HOURS if known else None))
    after = live(token, snapshot=before)

    assert (after.state, after.data.beat_at) == ("dialling" if known else "looking-up", None)
    assert after.data.token_at == NOW + 2 * HOURS


def test_an_address_that_is_good_at_once_says_nothing_of_waiting() -> None:
    """
    "used up" in the status of an account that has sessions left sends its operator looking.
    """
    after = live(FOUND, snapshot=PLACES["looking-up"])

    assert (after.state, after.data.reason, after.data.retry_at) == ("dialling", "", None)


@pytest.mark.parametrize("place", ["renewing", "reauthorising"])
def test_after_a_renewal_the_heartbeat_is_due_within_half_its_interval(place: str) -> None:
    """
    The time that the renewal took was taken from the heartbeat's.
    """
    renewed = live(TOKEN, snapshot=PLACES[place], now=NOW + 30 * SECONDS)

    assert (renewed.state, renewed.data.beat_at) == ("connected", NOW + 30 * SECONDS + EVERY // 2)


@pytest.mark.parametrize("place", [place for place in (*CONNECTING, "connected", "beating") if place != "dialling"])
def test_only_a_socket_that_could_not_be_opened_speaks_against_the_address(place: str) -> None:
    """
    Where to connect is asked for again after two of those, which is one more request that can fail.
    """
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, misses=1, url_until=NOW + 1 * HOURS))
    after = live(OVERDUE, snapshot=before)

    assert (after.state, after.data.misses, after.data.url_until) == ("reconnecting", 1, NOW + 1 * HOURS)


@pytest.mark.parametrize("place", ["reconnecting", "suspect"])
@pytest.mark.parametrize("cure", ["retry_at", Resumed()])
@pytest.mark.parametrize(
    ("known", "state"),
    [
        (("token_at", "url_until"), "dialling"),
        (("token_at",), "looking-up"),
        (("url_until",), "authorising"),
        ((), "authorising"),
    ],
)
def test_a_wait_that_is_over_goes_on_from_what_is_known(
    place: str, cure: Any, known: tuple[str, ...], state: str
) -> None:
    """
    Each step that is left out is a request less that can fail, and each that is left out wrongly one that will.
    """
    deadlines = {"token_at": None, "url_until": None} | dict.fromkeys(known, NOW + 1 * HOURS)
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, **deadlines))
    after = live(cure, snapshot=before)

    assert after.state == state
    assert after.data.generation == before.data.generation + 1


def test_a_second_sleep_is_waited_out_like_the_first() -> None:
    """
    The staggered wait begins with the waking, or accounts that slept twice would all dial at once.
    """
    again = live(5 * MINUTES, WOKE, snapshot=PLACES["suspect"])

    assert (again.state, again.data.retry_at) == ("suspect", NOW + 5 * MINUTES + 1 * SECONDS)


@pytest.mark.parametrize("place", list(PLACES))
def test_an_address_that_is_out_of_date_interrupts_nothing(place: str) -> None:
    """
    It is looked up when the next socket is wanted; an attempt that is under way is not made twice.
    """
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, url_until=NOW))
    decision = session.step(before, Elapsed("url_until"), NOW)

    assert (decision.outcome.kind, decision.effects) == ("stayed", ())
    assert decision.snapshot.data.url_until is None


@pytest.mark.parametrize("place", [place for place in PLACES if place != "connected"])
def test_a_token_that_ends_where_it_cannot_be_renewed_interrupts_nothing(place: str) -> None:
    """
    While something is under way it is looked at again in a moment; where nothing is, the next way up begins with it.
    """
    before = PLACES[place]._replace(data=evolve(PLACES[place].data, token_at=NOW))
    decision = session.step(before, Elapsed("token_at"), NOW)
    idle = place in ("closed", *WAITING, "draining", "hanging-up")

    assert (decision.outcome.kind, decision.effects) == ("stayed", ())
    assert decision.snapshot.data.token_at == (None if idle else NOW + 5 * SECONDS)


def test_a_token_is_not_renewed_twice_at_once() -> None:
    """
    The timer that began the renewal is over until there is another token.
    """
    assert PLACES["renewing"].data.token_at is None


@pytest.mark.parametrize(
    ("place", "event", "timer", "shortest", "longest"),
    [
        ("connected", LOST, "retry_at", 50 * MILLISECONDS, 1 * DAYS),
        ("connected", WOKE, "retry_at", 50 * MILLISECONDS, 1 * DAYS),
        ("connected", STALE, "probe_at", 50 * MILLISECONDS, 1 * DAYS),
        ("connected", REJECTED, "probe_at", 50 * MILLISECONDS, 1 * DAYS),
        ("connected", STOP, "drain_until", 50 * MILLISECONDS, 1 * HOURS),
    ],
)
def test_no_wait_is_nothing_and_none_is_for_ever(
    place: str, event: Any, timer: str, shortest: int, longest: int
) -> None:
    """
    Whatever a policy, a server or a person asks for.
    """
    at_once = live(evolve(event, wait=0), snapshot=PLACES[place])
    never = live(evolve(event, wait=365 * DAYS), snapshot=PLACES[place])

    assert getattr(at_once.data, timer) == NOW + shortest
    assert getattr(never.data, timer) == NOW + longest


@pytest.mark.parametrize(
    ("place", "event", "timer", "shortest", "longest"),
    [
        ("proving", READY, "beat_at", 1 * MILLISECONDS, 10 * MINUTES),
        ("authorising", TOKEN, "token_at", 1 * SECONDS, 30 * DAYS),
        ("looking-up", FOUND, "url_until", 1 * SECONDS, 7 * DAYS),
    ],
)
def test_what_the_platform_says_of_times_is_believed_within_bounds(
    place: str, event: Any, timer: str, shortest: int, longest: int
) -> None:
    """
    A heartbeat every nanosecond, or never, is a slip of the platform's, and must not become ours.
    """
    field = {"beat_at": "beat", "token_at": "renew", "url_until": "lasts"}[timer]
    at_once = live(evolve(event, **{field: 0}), snapshot=PLACES[place])
    never = live(evolve(event, **{field: 365 * DAYS}), snapshot=PLACES[place])

    assert getattr(at_once.data, timer) == NOW + shortest
    assert getattr(never.data, timer) == NOW + longest


@pytest.mark.parametrize(("every", "wait"), [(1, 1 * MILLISECONDS), (365 * DAYS, 10 * MINUTES)])
def test_a_heartbeat_interval_is_believed_within_bounds_while_one_is_sent(every: int, wait: int) -> None:
    """
    The next one is due by the platform's word, too.
    """
    odd = CONNECTED._replace(data=evolve(CONNECTED.data, beat_every=every))

    assert live("beat_at", snapshot=odd, now=NOW).data.beat_at == CONNECTED.data.beat_at + wait


@pytest.mark.parametrize(
    ("places", "shortest", "longest"),
    [
        (("authorising", "looking-up", "dialling", "renewing", "reauthorising"), 10 * SECONDS, 60 * SECONDS),
        (("greeting", "identifying", "resuming", "proving"), 10 * SECONDS, 30 * SECONDS),
        (("connected", "beating"), 10 * MINUTES, 30 * MINUTES),
        (("lingering", "hanging-up"), 1 * SECONDS, 10 * SECONDS),
    ],
)
def test_every_attempt_has_time_enough_and_not_for_ever(places: tuple[str, ...], shortest: int, longest: int) -> None:
    """
    A slow network gets its seconds; a socket that takes bytes and gives none is not waited for. Reading is given longer
    than the longest interval between heartbeats, because those are what tells a quiet chat from a dead socket.
    """
    for place in places:
        attempt = session.attempt(PLACES[place])
        assert attempt is not None
        assert shortest <= attempt.within <= longest, place


# ---- whatever happens ------------------------------------------------------------------------------------------------


@often
@given(histories(session))
def test_it_is_connected_only_if_the_platform_said_so_since_it_was_last_lost(moments: list[Moment]) -> None:
    """
    Messages leave in these states, and a platform that is not connected swallows them.
    """
    welcomed = False
    for _, event, _, (after, _, verdict) in moments:
        if isinstance(event, Welcomed) and verdict.kind == "moved" and after.state == "connected":
            welcomed = True
        if after.state not in (*UP, "lingering", "draining", "hanging-up"):
            welcomed = False
        assert welcomed or after.state not in UP
        assert welcomed == (after.data.ready_since is not None)


@often
@given(histories(session))
def test_a_session_that_was_given_up_is_not_resumed_until_there_is_another(moments: list[Moment]) -> None:
    """
    Asking for what the platform has thrown away ends in a circle of refusals.
    """
    for before, event, _, (after, effects, verdict) in moments:
        if verdict.kind == "ignored":
            continue
        if after.data.resumable and not before.data.resumable:
            assert isinstance(event, Welcomed)
        if isinstance(event, Lost) and "session" in event.forget and before.state not in ("dialling", "renewing"):
            assert not after.data.resumable
        if isinstance(event, Rejected):
            assert not after.data.resumable
        if any(isinstance(effect, Attempt) and effect.effect == Resume() for effect in effects):
            assert before.data.resumable
            assert before.data.resumes < RESUMES_MAX


@often
@given(histories(session))
def test_a_generation_begins_with_every_way_out_of_waiting_and_at_no_other_time(moments: list[Moment]) -> None:
    """
    It is how a log line is put down to one physical connection among thousands.
    """
    for before, event, _, (after, _, verdict) in moments:
        out = before.state in WAITING and after.state in ("authorising", "looking-up", "dialling")
        begun = isinstance(event, Started) and verdict.kind == "moved"

        assert after.data.generation - before.data.generation == (out or begun)
        assert after.data.down_total >= before.data.down_total


@often
@given(histories(session))
def test_it_is_never_both_up_and_down_and_never_neither(moments: list[Moment]) -> None:
    """
    The sum of both is the time since the first start; a gap would let a message age while the account was down.
    """
    for moment in moments:
        if moment.after.data.generation:
            assert (moment.after.data.ready_since is None) != (moment.after.data.down_since is None)


@often
@given(histories(session))
def test_frames_are_read_in_reading_states_only_and_every_one_taken_in_is_counted(moments: list[Moment]) -> None:
    """
    The count tells a frame that was taken in from one that came too late and must be given again.
    """
    for before, event, _, (after, effects, verdict) in moments:
        for effect in effects:
            assert isinstance(effect, Attempt)
            if isinstance(effect.effect, ReadFrame):
                assert after.state in FRAMED
                assert effect.effect == ReadFrame(after.data.taken, beat=after.state == "beating")
        if isinstance(event, READ):
            assert (verdict.kind != "ignored") == (before.state in FRAMED)
            assert after.data.taken == before.data.taken + (before.state in FRAMED)


@often
@given(histories(session))
def test_whoever_must_act_is_told_exactly_where_they_can(moments: list[Moment]) -> None:
    """
    A state that waits for a person names what that person must do; one that does not has nothing to ask of them.
    """
    for _, event, _, (after, _, verdict) in moments:
        if isinstance(event, TokenRefused | Rejected) and verdict.kind == "moved":
            assert after.state == ("token-stale" if isinstance(event, TokenRefused) else "tripped")
            assert after.data.action == event.action
        if after.state in (*UP, "reconnecting"):
            assert after.data.action == ""
        if after.state in ("reconnecting", "suspect") and verdict.kind == "moved":
            assert after.data.reason


def _gateway(
    policy: Sessions, at: Snapshot, now: int, draw: Callable[[st.SearchStrategy[Any]], Any]
) -> tuple[Snapshot, int, bool]:
    """Let one attempt to be connected come to something; return where it led, when, and whether a session was begun."""
    data = at.data
    wait = starts.wait(policy, data.starts, data.starts_at, now)
    left = starts.left(policy, data.starts, data.starts_at, now)
    at = live(evolve(HELLO, wait=wait, starts=left - 1), snapshot=at, now=now)
    begun = at.state == "identifying"
    ends = [(LOST,), (Asked(), READY, FORGOTTEN), (Asked(), OP9, LOST), (Asked(), RESUMED, HELD), (OVERDUE,)]
    at = live(*(() if at.state == "reconnecting" else draw(st.sampled_from(ends))), snapshot=at, now=now)
    now = max(now, at.data.retry_at) + draw(st.sampled_from([0, 1 * SECONDS, 10 * MINUTES, 9 * HOURS]))
    at = session.step(at, AGAIN if draw(st.booleans()) else Elapsed("retry_at"), now).snapshot
    for event in (SAME_TOKEN, FOUND, OPENED):
        at = session.step(at, event, now).snapshot
    return at, now, begun


@often
@given(st.data())
def test_sessions_are_never_begun_faster_than_the_policy_allows(data: st.DataObject) -> None:
    """
    Whatever fails, and however often the process is restarted: the platform counts, and takes bots off the air.
    """
    policy = Sessions(per_day=data.draw(st.sampled_from([1, 24, 240])), burst=data.draw(st.integers(1, 4)))
    at, now = live(STARTED, TOKEN, FOUND, OPENED), NOW
    began: list[int] = []
    for _ in range(40):
        when = now
        at, now, begun = _gateway(policy, at, now, data.draw)
        began += [when] * begun

    for index, first in enumerate(began):
        for count, last in enumerate(began[index:], 1):
            assert count <= policy.burst + policy.per_day * (last - first) / DAYS + 1e-6
    assert all(later - earlier >= policy.apart for earlier, later in itertools.pairwise(began))
