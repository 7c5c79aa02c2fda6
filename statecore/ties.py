"""What came of an account's attempts to be tied to its platform, as events of its connection or session. Pure.

The numbers are chosen here, by the policies, and put into the events. Which attempt led to which value is the adapter's
business (`statecore.platform`), and which event leads where is the machine's.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from statecore.chance import Chance
from statecore.events import Broken, Event
from statecore.machine import Snapshot
from statecore.machines import connection, session
from statecore.platform import (
    Address,
    BeatAck,
    BeatWanted,
    Dialled,
    Empty,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Policies,
    SocketOpen,
    Token,
    Unauthorised,
    Welcome,
)
from statecore.policies import backoff, starts
from statecore.units import MILLISECONDS, MINUTES, SECONDS, show_duration

SILENCES_MAX: Final = 2
"""Polls in a row that the platform did not answer at all before the connection counts as lost. One is normal: it is the
race between its hold and our patience (Tencent/openclaw-weixin#267)."""

NO_ANSWER: Final = "the platform does not answer its polls"

STALE_PROBES: Final = (5 * SECONDS, 15 * SECONDS, 60 * SECONDS, 5 * MINUTES, 15 * MINUTES)
"""Waits between probes of refused credentials. Each reads them afresh, so a new login is noticed within seconds at
first; what is refused for long is asked ever more slowly."""

LOOKUPS_QUICK: Final = 6
LOOKUPS_APART: Final = 30 * SECONDS
"""After so many failures in a row an attempt that begins by asking for the gateway's address waits at least this long. QQ
allows such a question ten times at once and twice a minute in the long run."""

BEAT_MIN: Final = 1 * SECONDS
BEAT_MAX: Final = 5 * MINUTES
"""What an interval between heartbeats that a platform asks for is held between."""

PATIENCE: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "greeting": (30 * SECONDS, "its greeting"),
        "proving": (10 * MINUTES, "that the account stands"),
        "lingering": (10 * SECONDS, "the end of a session that it called invalid"),
    }
)
"""How long a socket may be used without what the platform owes, whatever else comes over it. The longest is for what a session
missed: QQ repeats it, all of it, before it says that the account stands; what was taken in until then is not repeated again."""


@attrs.frozen
class Crash:
    """An attempt ended without an answer; see `statecore.events.Broken`."""

    how: str
    error: str


@attrs.frozen
class Tie:
    """One kind of tie.

    Args:
        machine: name of its machine.
        event: (policies, chance, result of an attempt, snapshot, ns it took, now) -> what it means.
        arrived: (new messages, copies, ns it took, what else there is to know) -> the event of messages that came.
        sendable: tells by a snapshot whether messages may leave.
        overdue: (snapshot, now) -> what has failed because the platform sends, and not what it owes; None if nothing has.
    """

    machine: str
    event: Callable[[Policies, Chance, Any, Snapshot, int, int], Event]
    arrived: Callable[[Policies, Any, int, int, int], Event]
    sendable: Callable[[Snapshot], bool]
    overdue: Callable[[Snapshot, int], Failure | None]


# ---- polls -----------------------------------------------------------------------------------------------------------


def idle_wait(policies: Policies, empties: int, held: int) -> int:
    """Choose the pause after a poll that brought nothing.

    One that came back at once is repeated once a period, and a peer that keeps doing that is asked ever less often.

    Args:
        policies: the account's numbers.
        empties: polls in a row that came back at once.
        held: ns the poll took.
    """
    policy = policies.polling
    period: int = min(policy.period_max, policy.period * 2 ** min(empties // 30, 32))
    return max(50 * MILLISECONDS, period - held)


def _nothing_came(policies: Policies, data: connection.Connection, held: int, *, silent: bool = False) -> Event:
    """Tell what a poll comes to that brought nothing: one that the platform held needs no pause."""
    if not silent and held >= max(policies.polling.period, connection.Waited.floor):
        return connection.Waited(held=held)
    return connection.Idle(held=held, wait=idle_wait(policies, data.empties, held), silent=silent)


def _polled(policies: Policies, chance: Chance, result: Any, at: Snapshot, held: int, now: int) -> Event:
    data: connection.Connection = at.data
    match result:
        case Dialled():
            return connection.Ready() if result.proved else connection.Opened()
        case Empty(silent=True) if data.silences + 1 >= SILENCES_MAX or data.ready_since is None:
            failure = Failure(stage="silence", error=NO_ANSWER)
            return _lost(policies, chance, failure, data, now)
        case Empty():
            return _nothing_came(policies, data, held, silent=result.silent)
        case _:
            return _any(policies, chance, result, data, now)


def _poll_arrived(policies: Policies, data: Any, new: int, copies: int, held: int) -> Event:
    if not new:  # the cursor did not help, so ask again as if nothing had come
        return _nothing_came(policies, data, held)
    return connection.Arrived(messages=new, copies=copies, held=held)


def _may_send_polled(at: Snapshot) -> bool:
    """A poll that fails while the platform answers is no reason to keep a message back."""
    return at.state in ("connected", "resting", "proving") or (at.state == "reconnecting" and at.data.reachable)


# ---- sessions --------------------------------------------------------------------------------------------------------


def _in_session(policies: Policies, chance: Chance, result: Any, at: Snapshot, _held: int, now: int) -> Event:
    data: session.Session = at.data
    policy = policies.sessions
    match result:
        case Token():
            return session.Authorised(
                changed=result.changed, renew=max(5 * SECONDS, result.lasts - policy.renew_before)
            )
        case Address():
            return session.Found(url=result.url, lasts=policy.address_lasts, wait=result.starts_in)
        case SocketOpen():
            return session.SocketOpened()
        case FrameSent():
            return session.Asked()
        case Ended():
            return _ended(policies, chance, result, data, now)
        case Unauthorised() if at.state != "authorising" and data.doubted != data.credential:
            failure = Failure(stage="answer", error=f"{result.code} {result.message}".strip(), reachable=True)
            return _lost(policies, chance, failure, data, now, forget=("token",))
        case Failure() | Unauthorised() | Crash() | str():
            return _any(policies, chance, result, data, now, asks=at.state == "looking-up")
        case Hello() if at.state != "greeting":
            return session.Noted(what="another hello")
        case _:
            return _frame(policies, chance, result, data, now)


def _frame(policies: Policies, chance: Chance, result: Any, data: session.Session, now: int) -> Event:
    policy = policies.sessions
    match result:
        case Hello():
            wait = starts.wait(policy, data.starts, data.starts_at, now)
            left = starts.left(policy, data.starts, data.starts_at, now) - 1
            every = min(max(result.beat_every, BEAT_MIN), BEAT_MAX)
            return session.Greeted(beat_every=every, wait=wait, starts=left)
        case Welcome():
            first = round(data.beat_every * session.BEAT_SHARE * (0.2 + 0.8 * chance.draw()))
            return session.Welcomed(resumed=result.resumed, beat=first)
        case BeatAck():
            return session.Acknowledged()
        case BeatWanted():
            return session.BeatAsked()
        case Invalid():
            return session.Invalidated(resumable=result.resumable)
        case _:
            return session.Noted(what=getattr(result, "what", "review"))


def _ended(policies: Policies, chance: Chance, result: Ended, data: session.Session, now: int) -> Event:
    if result.then == "stop":
        wait = max(_tripped_wait(data), backoff.asked(result.hint))
        return connection.Rejected(error=result.error, wait=wait, action=result.action)
    if result.then == "token" and data.doubted == data.credential:
        return connection.TokenRefused(
            code=result.code, message=result.error, wait=_stale_wait(data), action=session.GIVEN_AND_REFUSED
        )
    forget = {"identify": ("session",), "token": ("token",)}.get(result.then, ())
    failure = Failure(stage="receive", error=result.error, reachable=True, hint=result.hint)
    return _lost(policies, chance, failure, data, now, forget=forget)


def _session_arrived(_policies: Policies, _data: Any, new: int, copies: int, held: int) -> Event:
    return connection.Arrived(messages=new, copies=copies, held=held)


def _may_send_in_session(at: Snapshot) -> bool:
    """What is sent to a platform that is not connected is answered with success and never shown (openclaw-qqbot#254)."""
    return at.state in session.SENDABLE


def _overdue_in_session(at: Snapshot, now: int) -> Failure | None:
    """A state that reads ends when nothing comes. When something comes, and never what it waits for, it ends here."""
    patience, owed = PATIENCE.get(at.state, (None, ""))
    if patience is None or now - at.data.awaited_since <= patience:
        return None
    error = f"the platform has been sending for {show_duration(patience)}, and not {owed}"
    return Failure(stage="answer", error=error, reachable=True)


# ---- both ------------------------------------------------------------------------------------------------------------


def _any(
    policies: Policies, chance: Chance, result: Any, data: connection.Connection, now: int, *, asks: bool = False
) -> Event:
    match result:
        case Unauthorised():
            return connection.TokenRefused(
                code=result.code, message=result.message, wait=_stale_wait(data), action=result.action
            )
        case Failure(action=action) if action:
            return connection.Rejected(error=f"{result.stage}: {result.error}", wait=_tripped_wait(data), action=action)
        case Failure():
            return _lost(policies, chance, result, data, now, asks=asks)
        case Crash():
            failures = backoff.failures_now(policies.backoff, data.failures, data.ready_since, now)
            wait = backoff.delay(policies.backoff, failures, chance.draw())
            return Broken(how=result.how, error=result.error, wait=wait, failures=failures)  # type: ignore[arg-type]
        case _:  # what hanging up came to: there is nothing to be done about it
            return connection.HungUp(error=str(result))


def _tripped_wait(data: connection.Connection) -> int:
    return STALE_PROBES[min(data.failures, len(STALE_PROBES) - 1)] * 4


def _stale_wait(data: connection.Connection) -> int:
    return STALE_PROBES[min(data.stale_probes, len(STALE_PROBES) - 1)]


def _lost(
    policies: Policies,
    chance: Chance,
    failure: Failure,
    data: connection.Connection,
    now: int,
    *,
    forget: tuple[str, ...] = (),
    asks: bool = False,
) -> connection.Lost:
    policy = policies.backoff
    failures = backoff.failures_now(policy, data.failures, data.ready_since, now)
    wait = backoff.delay(policy, failures, chance.draw(), failure.hint)
    if asks and failures > LOOKUPS_QUICK:
        wait = max(wait, LOOKUPS_APART)
    return connection.Lost(
        stage=failure.stage,
        error=failure.error,
        wait=wait,
        failures=failures,
        reachable=failure.reachable,
        forget=forget,
        hint=backoff.asked(failure.hint) or None,
    )


TIES: Final[Mapping[str, Tie]] = MappingProxyType(
    {
        "connection": Tie("connection", _polled, _poll_arrived, _may_send_polled, lambda _at, _now: None),
        "session": Tie("session", _in_session, _session_arrived, _may_send_in_session, _overdue_in_session),
    }
)
"""By what a `Platform` says it is tied by."""
