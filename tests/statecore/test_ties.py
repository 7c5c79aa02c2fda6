"""What came of an attempt becomes an event, with the numbers of the policies: every value of the port, in every state."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore import platform
from statecore.driver import OUTCOMES
from statecore.events import Broken, Event
from statecore.evolve import evolve
from statecore.machine import Snapshot
from statecore.machines import MACHINES
from statecore.machines import connection as polled
from statecore.machines import session as tied
from statecore.machines.delivery import SendPart
from statecore.platform import (
    Address,
    Batch,
    BeatAck,
    BeatWanted,
    Dialled,
    Empty,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Note,
    Policies,
    Review,
    SocketOpen,
    Token,
    Unauthorised,
    Welcome,
)
from statecore.policies import Backoff, Sessions
from statecore.ties import (
    BEAT_MAX,
    BEAT_MIN,
    LOOKUPS_APART,
    LOOKUPS_QUICK,
    SILENCES_MAX,
    STALE_PROBES,
    TIES,
    Crash,
    idle_wait,
)
from statecore.units import DAYS, HOURS, MILLISECONDS, MINUTES, SECONDS
from tests.statecore.strategies import often
from tests.statecore.test_machines_connection import PLACES as POLLED_PLACES
from tests.statecore.test_machines_session import PLACES as SESSION_PLACES

NOW: Final = 1_790_000_000 * SECONDS
SLOW: Final = Policies(
    backoff=Backoff(floor="2s", cap="40s", factor=2),  # type: ignore[arg-type]
    sessions=Sessions(per_day=24, burst=2, apart="5s", address_lasts="30m", renew_before="50s"),  # type: ignore[arg-type]
)
PLACES: Final[Mapping[str, Mapping[str, Snapshot]]] = {"connection": POLLED_PLACES, "session": SESSION_PLACES}
EXPIRED: Final = Unauthorised(code="11244", message="token expired", action="look at the console")
FAILED: Final = Failure(stage="connect", error="no route")
CRASHES: Final = (Crash("overdue", "too long"), Crash("died", "KeyError"))
EXAMPLES: Final[Mapping[type, tuple[Any, ...]]] = {
    Dialled: (Dialled(proved=True), Dialled(proved=False)),
    Failure: (FAILED, attrs.evolve(FAILED, action="check the address"), attrs.evolve(FAILED, hint=1 * HOURS)),
    Unauthorised: (EXPIRED,),
    Empty: (Empty(), Empty(silent=True)),
    Token: (Token(changed=True, lasts=2 * HOURS), Token(changed=False, lasts=0)),
    Address: (Address(url="wss://gateway"), Address(url="wss://gateway", starts_in=9 * MINUTES)),
    SocketOpen: (SocketOpen(),),
    FrameSent: (FrameSent(),),
    Hello: (Hello(beat_every=41 * SECONDS), Hello(beat_every=0)),
    Welcome: (Welcome(resumed=True), Welcome(resumed=False)),
    Note: (Note(what="GUILD_CREATE"),),
    Review: (Review(audit="r-1", passed=True), Review(audit="r-1", passed=False)),
    BeatAck: (BeatAck(),),
    BeatWanted: (BeatWanted(),),
    Invalid: (Invalid(resumable=True), Invalid(resumable=False)),
    Ended: tuple(Ended(code="4009", error="4009: over", then=then) for then in ("resume", "identify", "token", "stop")),
    Batch: (Batch(messages=()),),
    str: ("", "reset by peer"),
}
"""Of every value that an attempt of a tie can come to, at least one."""


@attrs.define
class World:
    """Chance that is always the same.

    Args:
        chance: what is drawn.
    """

    chance: float = 0.5

    def draw(self) -> float:
        return self.chance


def means(tie: str, result: Any, at: Snapshot, *, held: int = 35 * SECONDS, now: int = NOW, chance: float = 0.5) -> Any:
    """Return the event that a result becomes."""
    world: Any = World(chance)
    if isinstance(result, Batch):
        return TIES[tie].arrived(SLOW, at.data, len(result.messages), 0, held)
    return TIES[tie].event(SLOW, world, result, at, held, now)


def during(place: str, **remembered: Any) -> Snapshot:
    """Return a session in a state, with other things remembered than in the stories."""
    at = SESSION_PLACES[place]
    return at._replace(data=evolve(at.data, **remembered))


def asking(tie: str) -> list[tuple[str, tuple[type, ...]]]:
    """Return (state, what its attempt can come to) of every state that makes one."""
    found = []
    for state, at in PLACES[tie].items():
        attempt = MACHINES[tie].attempt(at)
        if attempt is not None:
            found.append((state, OUTCOMES[type(attempt.effect)]))
    return found


# ---- nothing that can come of an attempt is forgotten ----------------------------------------------------------------


def test_every_value_that_an_attempt_can_come_to_has_an_example_here() -> None:
    """
    A value that is added to the port without a meaning would be taken for the end of a hang-up.
    """
    ties = {kind for effect, kinds in OUTCOMES.items() if effect is not SendPart for kind in kinds}

    assert ties == set(EXAMPLES)
    assert all(type(example) is kind for kind, examples in EXAMPLES.items() for example in examples)


def test_every_value_of_the_port_is_the_outcome_of_some_attempt() -> None:
    """
    One that no attempt may return would be refused by the driver when an adapter first did.
    """
    ours = {
        kind
        for kind in vars(platform).values()
        if isinstance(kind, type) and attrs.has(kind) and kind.__module__ == platform.__name__
    }
    no_outcomes = {platform.Message, platform.Outgoing, platform.Polling, platform.Policies}

    assert ours - no_outcomes == {kind for kinds in OUTCOMES.values() for kind in kinds} - {str}


def test_every_attempt_of_every_machine_has_outcomes() -> None:
    """
    The driver looks them up when the attempt has ended.
    """
    asked = {
        type(attempt.effect)
        for tie in PLACES
        for at in PLACES[tie].values()
        if (attempt := MACHINES[tie].attempt(at)) is not None
    }

    assert asked | {SendPart} == set(OUTCOMES)


@pytest.mark.parametrize(
    ("tie", "state", "result"),
    [
        (tie, state, result)
        for tie in PLACES
        for state, kinds in asking(tie)
        for kind in kinds
        for result in EXAMPLES[kind]
    ]
    + [(tie, state, crash) for tie in PLACES for state, _ in asking(tie) for crash in CRASHES],
    ids=repr,
)
def test_whatever_comes_of_an_attempt_the_machine_goes_on(tie: str, state: str, result: Any) -> None:
    """
    An outcome that is ignored ends the attempt and begins no other: the account would be deaf, and say that all is well.
    """
    at = PLACES[tie][state]
    event = means(tie, result, at)
    decision = MACHINES[tie].step(at, event, NOW)

    assert decision.outcome.kind == "moved", f"{event} is {decision.outcome}"


# ---- both ------------------------------------------------------------------------------------------------------------

BOTH: Final = [
    ("connection", "dialling"),
    ("connection", "connected"),
    ("session", "dialling"),
    ("session", "greeting"),
]


@pytest.mark.parametrize(("tie", "state"), BOTH)
@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_failure_waits_as_the_backoff_says(tie: str, state: str, chance: float) -> None:
    """
    The number is in the event, so replaying it needs neither policy nor chance.
    """
    at = PLACES[tie][state]
    failing = at._replace(data=evolve(at.data, failures=2, ready_since=None))
    result = FAILED if state != "greeting" else Ended(code="eof", error="connect: no route", then="resume")
    lost = means(tie, result, failing, chance=chance)

    assert lost.failures == 3
    assert lost.wait == round((2 + chance * 14) * SECONDS)
    assert "no route" in lost.error


@pytest.mark.parametrize(("tie", "state"), BOTH)
@pytest.mark.parametrize(("hint", "wait"), [(9 * MINUTES, 9 * MINUTES), (1, 3 * SECONDS), (3 * DAYS, 6 * HOURS)])
def test_how_long_the_platform_asks_to_be_left_alone_is_respected(tie: str, state: str, hint: int, wait: int) -> None:
    """
    Within reason: a slip there must not park an account for days.
    """
    at = PLACES[tie][state]
    fresh = at._replace(data=evolve(at.data, failures=0, ready_since=None))
    result = (
        Ended(code="4008", error="slower", then="resume", hint=hint)
        if state == "greeting"
        else attrs.evolve(FAILED, hint=hint)
    )

    assert means(tie, result, fresh).wait == wait


@pytest.mark.parametrize(("tie", "state"), BOTH)
def test_failures_are_counted_anew_once_it_has_held(tie: str, state: str) -> None:
    """
    A peer that accepts and hangs up at once is dialled ever more slowly; one that served for a minute is not.
    """
    result = FAILED if state != "greeting" else Ended(code="eof", error="-", then="resume")
    for ready_since, failures in ((NOW - 60 * SECONDS, 1), (NOW - 59 * SECONDS, 6), (None, 6)):
        at = PLACES[tie][state]
        at = at._replace(data=evolve(at.data, failures=5, ready_since=ready_since))

        assert means(tie, result, at).failures == failures
        assert means(tie, CRASHES[0], at).failures == failures


@pytest.mark.parametrize(("tie", "state"), [("connection", "dialling"), ("session", "dialling")])
def test_what_time_cannot_cure_is_probed_slowly_and_says_what_to_do(tie: str, state: str) -> None:
    """
    A certificate that is not theirs is cured by somebody, not by asking it faster.
    """
    at = PLACES[tie][state]
    waits = []
    for failures in range(8):
        failing = at._replace(data=evolve(at.data, failures=failures))
        rejected = means(tie, attrs.evolve(FAILED, action="check the address"), failing)
        assert (rejected.error, rejected.action) == ("connect: no route", "check the address")
        waits.append(rejected.wait)

    assert waits == [4 * STALE_PROBES[min(failures, len(STALE_PROBES) - 1)] for failures in range(8)]


@pytest.mark.parametrize(("tie", "state"), [("connection", "connected"), ("session", "authorising")])
def test_refused_credentials_are_probed_ever_more_slowly(tie: str, state: str) -> None:
    """
    A new login is noticed within seconds at first; what is refused for long is asked every quarter of an hour.
    """
    at = PLACES[tie][state]
    probes = [at._replace(data=evolve(at.data, stale_probes=count)) for count in range(8)]
    refused = [means(tie, EXPIRED, probe) for probe in probes]

    assert [event.wait for event in refused] == [*STALE_PROBES, *[STALE_PROBES[-1]] * 3]
    assert {(event.code, event.message, event.action) for event in refused} == {
        ("11244", "token expired", "look at the console")
    }


@pytest.mark.parametrize(("tie", "state"), [("connection", "connected"), ("session", "proving")])
@pytest.mark.parametrize("crash", CRASHES)
def test_an_attempt_without_an_answer_waits_like_any_failure(tie: str, state: str, crash: Crash) -> None:
    """
    A bug in an adapter must not look like silence, nor be met at full speed.
    """
    at = PLACES[tie][state]
    broken = means(tie, crash, at._replace(data=evolve(at.data, failures=3, ready_since=None)), chance=0.0)

    assert broken == Broken(how=crash.how, error=crash.error, wait=2 * SECONDS, failures=4)  # type: ignore[arg-type]


@pytest.mark.parametrize("tie", ["connection", "session"])
def test_how_a_hang_up_ended_is_noted(tie: str) -> None:
    """
    There is nothing to be done about it.
    """
    assert means(tie, "reset by peer", PLACES[tie]["hanging-up"]) == polled.HungUp(error="reset by peer")


# ---- polls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("proved", "kind"), [(True, polled.Ready), (False, polled.Opened)])
def test_a_dial_says_whether_the_account_was_accepted(proved: bool, kind: type[Event]) -> None:
    """
    An open door is no welcome.
    """
    assert means("connection", Dialled(proved=proved), POLLED_PLACES["dialling"]) == kind()


def test_polls_that_are_never_answered_are_a_lost_connection() -> None:
    """
    The first is normal, unless the platform was never heard at all.
    """
    connected, proving = POLLED_PLACES["connected"], POLLED_PLACES["proving"]
    silent = Empty(silent=True)
    again = connected._replace(data=evolve(connected.data, silences=SILENCES_MAX - 1))

    assert means("connection", silent, connected).silent is True
    assert means("connection", silent, again).stage == "silence"
    assert means("connection", silent, proving).stage == "silence"
    assert means("connection", Empty(), again) == polled.Waited(held=35 * SECONDS)
    assert means("connection", silent, connected) == polled.Idle(held=35 * SECONDS, wait=50 * MILLISECONDS, silent=True)


@pytest.mark.parametrize(("period", "held", "kind"), [
    ("1s", 1 * SECONDS, polled.Waited), ("1s", 1 * SECONDS - 1, polled.Idle),
    ("100ms", 999 * MILLISECONDS, polled.Idle), ("10s", 9 * SECONDS, polled.Idle),
])  # fmt: skip
def test_only_a_poll_that_was_held_for_a_period_and_a_second_is_followed_by_the_next_at_once(
    period: str, held: int, kind: type[Event]
) -> None:
    """
    By our own clock: what a peer says of it counts for nothing.
    """
    slow = evolve(SLOW, polling=platform.Polling(period=period, period_max="10s"))  # type: ignore[arg-type]
    data = POLLED_PLACES["connected"].data

    assert type(TIES["connection"].arrived(slow, data, 0, 3, held)) is kind


@often
@given(st.integers(0, 10**6), st.integers(0, 100 * SECONDS))
def test_a_pause_after_an_empty_poll_is_never_longer_than_the_period(empties: int, held: int) -> None:
    """
    A peer that answers at once is asked ever less often, and a busy one is not forgotten.
    """
    policy = SLOW.polling
    wait = idle_wait(SLOW, empties, held)

    assert 50 * MILLISECONDS <= wait <= policy.period_max
    assert wait + held >= policy.period


def test_copies_alone_are_no_arrival() -> None:
    """
    The cursor did not help, so asking again at once would bring the same again at once.
    """
    data = POLLED_PLACES["connected"].data
    arrived = TIES["connection"].arrived

    assert arrived(SLOW, data, 2, 1, 3) == polled.Arrived(messages=2, copies=1, held=3)
    assert arrived(SLOW, data, 0, 3, 0) == polled.Idle(held=0, wait=1 * SECONDS)


def test_messages_leave_while_a_polled_platform_answers() -> None:
    """
    A poll that fails while the platform answers is no reason to keep a message back.
    """
    sendable = {state for state, at in POLLED_PLACES.items() if TIES["connection"].sendable(at)}
    answered = POLLED_PLACES["reconnecting"]
    answered = answered._replace(data=evolve(answered.data, reachable=True))

    assert sendable == {"connected", "resting", "proving"}
    assert TIES["connection"].sendable(answered)


# ---- sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lasts", "renew"), [(2 * HOURS, 2 * HOURS - 50 * SECONDS), (20 * SECONDS, 5 * SECONDS)])
def test_a_token_is_renewed_before_its_end_and_not_at_full_speed(lasts: int, renew: int) -> None:
    """
    Whatever the platform says of how long it lasts.
    """
    for place in ("authorising", "renewing", "reauthorising"):
        event = means("session", Token(changed=True, lasts=lasts), SESSION_PLACES[place])

        assert event == tied.Authorised(changed=True, renew=renew)


def test_an_address_is_believed_for_as_long_as_the_policy_says() -> None:
    """
    And when the platform allows a session again is the platform's to say.
    """
    event = means("session", Address(url="wss://there", starts_in=7), SESSION_PLACES["looking-up"])

    assert event == tied.Found(url="wss://there", lasts=30 * MINUTES, wait=7)


def test_a_platform_that_is_asked_for_its_address_again_and_again_is_asked_less_often() -> None:
    """
    It allows so many such questions at once, and few in the long run; other attempts cost it nothing.
    """
    quick = means("session", FAILED, during("looking-up", failures=LOOKUPS_QUICK - 1), chance=0.0)
    apart = means("session", FAILED, during("looking-up", failures=LOOKUPS_QUICK), chance=0.0)
    other = means("session", FAILED, during("dialling", failures=LOOKUPS_QUICK + 5), chance=0.0)
    longer = means("session", attrs.evolve(FAILED, hint=HOURS), during("looking-up", failures=LOOKUPS_QUICK))

    assert (quick.wait, apart.wait, other.wait) == (2 * SECONDS, LOOKUPS_APART, 2 * SECONDS)
    assert longer.wait == HOURS


@pytest.mark.parametrize("place", ["looking-up", "renewing"])
def test_a_token_that_is_refused_is_fetched_again_before_a_person_is_asked(place: str) -> None:
    """
    It may merely have ended early. Refused again although it was fetched again, it is the account.
    """
    first = means("session", EXPIRED, during(place, credential=4, doubted=0))
    second = means("session", EXPIRED, during(place, credential=4, doubted=4))

    assert (first.forget, first.reachable, first.error) == (("token",), True, "11244 token expired")
    assert isinstance(second, polled.TokenRefused)
    assert (second.code, second.wait) == ("11244", STALE_PROBES[0])


def test_an_account_whose_token_cannot_be_fetched_needs_a_person_at_once() -> None:
    """
    There is no older token that could be at fault.
    """
    for credential, doubted in ((4, 0), (4, 4)):
        at = during("authorising", credential=credential, doubted=doubted)

        assert isinstance(means("session", EXPIRED, at), polled.TokenRefused)


@pytest.mark.parametrize(("then", "forget"), [("resume", ()), ("identify", ("session",)), ("token", ("token",))])
def test_the_end_of_a_socket_says_what_is_not_to_be_used_again(then: Any, forget: tuple[str, ...]) -> None:
    """
    Op 7 and 4009 keep the session, most other codes end it, and some say that it was the token.
    """
    for place in ("greeting", "identifying", "resuming", "proving", "connected", "beating", "lingering"):
        at = during(place, credential=4, doubted=0)
        lost = means("session", Ended(code="4009", error="4009: over", then=then), at)

        assert isinstance(lost, polled.Lost)
        assert (lost.stage, lost.error, lost.reachable, lost.forget) == ("receive", "4009: over", True, forget)


def test_a_socket_that_ends_because_of_the_token_twice_in_a_row_needs_a_person() -> None:
    """
    The token endpoint gives it, and the gateway refuses it.
    """
    refused = means("session", Ended(code="4004", error="bad token", then="token"), during("proving", doubted=1))

    assert isinstance(refused, polled.TokenRefused)
    assert (refused.code, refused.message, refused.wait) == ("4004", "bad token", STALE_PROBES[0])
    assert "console" in refused.action


def test_a_socket_that_ends_for_good_waits_for_a_person() -> None:
    """
    For at least as long as the platform is known to want.
    """
    ended = Ended(code="4914", error="sandbox only", then="stop", action="go online")
    rejected = means("session", ended, during("proving", failures=1))
    hinted = means("session", attrs.evolve(ended, hint=2 * HOURS), during("proving", failures=1))

    assert rejected == polled.Rejected(error="sandbox only", wait=4 * STALE_PROBES[1], action="go online")
    assert hinted.wait == 2 * HOURS


@pytest.mark.parametrize(
    ("asked", "taken"),
    [(0, BEAT_MIN), (-5, BEAT_MIN), (41 * SECONDS, 41 * SECONDS), (10**30, BEAT_MAX)],
)
def test_the_interval_between_heartbeats_is_within_reason(asked: int, taken: int) -> None:
    """
    A platform that says nothing, or nonsense, must neither be hammered nor be left unwatched.
    """
    assert means("session", Hello(beat_every=asked), SESSION_PLACES["greeting"]).beat_every == taken


def test_a_greeting_says_what_the_budget_allows() -> None:
    """
    The budget is the policy's, and what is left of it afterwards stands in the event.
    """
    first = means("session", Hello(beat_every=1), during("greeting", starts=None))
    spaced = means("session", Hello(beat_every=1), during("greeting", starts=1.0, starts_at=NOW - 2 * SECONDS))
    empty = means("session", Hello(beat_every=1), during("greeting", starts=0.0, starts_at=NOW - 30 * MINUTES))

    assert (first.wait, first.starts) == (0, 1.0)
    assert spaced.wait == 3 * SECONDS
    assert empty.wait == pytest.approx(30 * MINUTES, abs=10)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999999])
def test_the_first_heartbeat_is_somewhere_within_the_interval(chance: float) -> None:
    """
    A thousand bots that were dropped together do not beat together.
    """
    welcomed = means("session", Welcome(resumed=True), during("proving", beat_every=40 * SECONDS), chance=chance)

    assert welcomed.resumed is True
    assert welcomed.beat == round(36 * SECONDS * (0.2 + 0.8 * chance))


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (Note(what="GUILD_CREATE"), tied.Noted(what="GUILD_CREATE")),
        (Hello(beat_every=41 * SECONDS), tied.Noted(what="another hello")),
        (Review(audit="r-1", passed=False), tied.Noted(what="review")),
        (BeatAck(), tied.Acknowledged()),
        (BeatWanted(), tied.BeatAsked()),
        (Invalid(resumable=True), tied.Invalidated(resumable=True)),
        (Batch(messages=()), polled.Arrived(messages=0, held=35 * SECONDS)),
    ],
)
def test_a_frame_is_what_it_says(frame: Any, event: Event) -> None:
    """
    Nothing is decided on the way.
    """
    assert means("session", frame, SESSION_PLACES["connected"]) == event


def test_messages_leave_only_while_a_session_stands() -> None:
    """
    What is sent to a platform that is not connected is answered with success and never shown.
    """
    assert {state for state, at in SESSION_PLACES.items() if TIES["session"].sendable(at)} == {
        "connected", "beating", "renewing"
    }  # fmt: skip


def test_a_platform_is_tied_by_a_machine_that_there_is() -> None:
    """
    Its name is the first part of the account's address.
    """
    assert {name: tie.machine for name, tie in TIES.items()} == {"connection": "connection", "session": "session"}
    assert set(TIES) < set(MACHINES)
