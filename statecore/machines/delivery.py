"""One message on its way out.

It is a row before its sender hears "accepted", and `sending` is a row before the first byte leaves. So a crash at any
instruction leaves one of two things: a request that certainly did not leave, or one whose outcome is `unknown`, and
never a guess.

Its parts leave in order, each under a key that is a function of (delivery, part) and therefore the same on every
attempt. The next part is reached through `pacing`. The one attempt without a context token is the state `sending-bare`,
not a flag on a retry, so it cannot be made twice in a row.

Every way to wait is a state, because each is cured by something else: `backing-off` by time, `circuit-tripped` by time
or the user, `window-closed` by the user alone, `token-stale` by whoever holds the credentials, `unknown` by one more
attempt with the same key. `dead` is not the end of it either: a person may have it tried again.

What did not work: one `waiting` state with a reason field. The reason decided what could wake it, so it was the state.
"""

import attrs

from statecore.events import Broken, Elapsed, External, Outcome
from statecore.evolve import evolve
from statecore.machine import STAY, Effect, Machine, Signal, Timer, ignore, on
from statecore.reading import Evidence, Then
from statecore.units import DAYS, HOURS, MILLISECONDS, SECONDS


@attrs.frozen
class Delivery:
    """What an instance remembers; the text itself stands in its first event.

    Args:
        parts: how many parts it has.
        part: index of the part that is next, from 0.
        token: number of the context token the part was sent with; 0 for none.
        attempts: failed attempts at this part.
        unclear: whether the answer to one of them was lost, so that the part may have arrived.
        failing_since: when the first of them failed, in ns.
        down_before: how long the account had been down in all by then, in ns.
        unknowns: attempts at this part whose answer was lost.
        interruptions: attempts at this part that the end of a process cut off.
        doubled: parts that may have arrived twice.
        unconfirmed: parts the platform accepted without saying under which id.
        next_at: when the next part may follow, in ns.
        retry_at: when it is tried again, in ns.
        until: when the circuit lets the next probe through, in ns.
        resend_at: when the part whose outcome is unknown is sent once more, in ns.
        expires_at: when it is given up because its sender said so, in ns.
        message: the platform's id of the last part that was accepted.
        reason: why it is where it is.
        action: what a person must do, if anything.
    """

    parts: int = 1
    part: int = 0
    token: int = 0
    attempts: int = 0
    unclear: bool = False
    failing_since: int | None = None
    down_before: int = 0
    unknowns: int = 0
    interruptions: int = 0
    doubled: tuple[int, ...] = ()
    unconfirmed: int = 0
    next_at: int | None = None
    retry_at: int | None = None
    until: int | None = None
    resend_at: int | None = None
    expires_at: int | None = None
    message: str = ""
    reason: str = ""
    action: str = ""


@attrs.frozen
class SendPart:
    """Send one part, once.

    Args:
        part: its index, from 0.
        token: number of the context token it carries; 0 for none.
    """

    part: int
    token: int


def send_part(data: Delivery) -> SendPart:
    return SendPart(data.part, data.token)


def send_part_bare(data: Delivery) -> SendPart:
    return SendPart(data.part, 0)


# ---- events ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Accepted(External):
    """The runtime took it on.

    Args:
        chat: where it goes.
        parts: its text, cut into what the platform takes at once. They never change afterwards.
        expires_at: when it is given up, in ns; None for never.
        reply_to: address of the inbound message it answers, if any.
        key: the sender's own idempotency key, if any.
        origin: what asked for it: "api", "command".
    """

    chat: str
    parts: tuple[str, ...]
    expires_at: int | None = None
    reply_to: str = ""
    key: str = ""
    origin: str = "api"


@attrs.frozen(kw_only=True)
class Turn(External):
    """It is its turn: the lane, the circuits, the window and the pacing allow one request.

    Args:
        token: number of the newest context token of the chat; 0 to send without one.
        left: how many more the window allows after it.
        probe: whose probe it is: "", "chat", "account".
        doubles: whether the part may arrive twice by it, because the answer to an earlier attempt was lost.
    """

    token: int
    left: int
    probe: str = ""
    doubles: bool = False


@attrs.frozen(kw_only=True)
class Held(External):
    """It is first in its lane, and may not leave.

    Args:
        by: "window" or "circuit".
        reason: why.
        wait: ns until that can have changed by itself; 0 if only a signal can change it.
        action: what a person must do, if anything.
    """

    by: str
    reason: str
    wait: int = 0
    action: str = ""


@attrs.frozen(kw_only=True)
class Released(External):
    """What it waited for has happened.

    Args:
        by: "inbound", "circuit", "account", "ready", "operator".
    """

    by: str


@attrs.frozen(kw_only=True)
class Revived(External):
    """A person asked for it to be tried again; it goes on with the first part that was not accepted."""


@attrs.frozen(kw_only=True)
class Purged(External):
    """A person decided that it is not to be sent."""


@attrs.frozen(kw_only=True)
class PartAccepted(Outcome):
    """The platform took the part.

    Args:
        message: its id there; empty if it gave none.
        confirmed: whether it gave one. Without, it may have been taken and never shown.
        wait: ns before the next part may follow.
    """

    message: str = ""
    confirmed: bool = True
    wait: int = 0


@attrs.frozen(kw_only=True)
class PartRefused(Outcome):
    """The platform refused the part.

    Args:
        code: what it said, as "ret=-2 errcode=-2".
        message: what it said for people; empty if nothing.
        reading: what that is taken to mean.
        then: what follows from it.
        evidence: what the reading rests on.
        action: what a person must do, if anything.
        wait: ns until it is tried again, where time can cure it.
        down: for how long the account has been down in all, in ns.
    """

    code: str
    message: str
    reading: str
    then: Then
    evidence: Evidence
    action: str = ""
    wait: int = 0
    down: int = 0


@attrs.frozen(kw_only=True)
class NotSent(Outcome):
    """The request certainly did not leave, or was certainly not taken.

    Args:
        stage: how far it got.
        error: what was seen.
        wait: ns until it is tried again.
        down: for how long the account has been down in all, in ns; that time does not count towards its age.
        final: whether attempts and age are used up.
    """

    stage: str
    error: str
    wait: int
    down: int = 0
    final: bool = False


@attrs.frozen(kw_only=True)
class PartUnknown(Outcome):
    """The request left and no answer came back: the platform may have taken the part, or not.

    Args:
        error: what was seen.
        wait: ns until it is sent once more with the same key.
        final: whether the platform's policy allows that no more.
    """

    error: str
    wait: int
    final: bool = False


# ---- what is remembered ----------------------------------------------------------------------------------------------


def accepted(was: Delivery, event: Accepted, _now: int) -> Delivery:
    return evolve(was, parts=len(event.parts), expires_at=event.expires_at)


def turn(was: Delivery, event: Turn, _now: int) -> Delivery:
    doubled = (*was.doubled, was.part) if event.doubles and was.part not in was.doubled else was.doubled
    return evolve(was, token=event.token, doubled=doubled, reason="", action="")


def again(was: Delivery, _event: External | Elapsed, _now: int) -> Delivery:
    return evolve(was, reason="", action="")


def held(was: Delivery, event: Held, now: int) -> Delivery:
    return evolve(was, until=now + event.wait if event.wait else None, reason=event.reason, action=event.action)


def went(was: Delivery, event: PartAccepted, now: int) -> Delivery:
    return evolve(
        was,
        part=was.part + 1,
        attempts=0,
        unclear=False,
        failing_since=None,
        unknowns=0,
        interruptions=0,
        unconfirmed=was.unconfirmed + (not event.confirmed),
        next_at=now + event.wait,
        message=event.message or was.message,
        reason="",
    )


def refused(was: Delivery, event: PartRefused, now: int) -> Delivery:
    said = f"{event.code} {event.message}".strip()
    return evolve(
        was, until=now + event.wait if event.wait else None, reason=f"{said}: {event.reading}", action=event.action
    )


def failed(was: Delivery, event: NotSent | PartRefused, now: int) -> Delivery:
    said = (
        f"{event.stage}: {event.error}"
        if isinstance(event, NotSent)
        else f"{event.code} {event.message}: {event.reading}"
    )
    return evolve(
        was,
        attempts=was.attempts + 1,
        failing_since=now if was.failing_since is None else was.failing_since,
        down_before=event.down if was.failing_since is None else was.down_before,
        retry_at=now + event.wait,
        reason=said,
        action="" if isinstance(event, NotSent) else event.action,
    )


def given_up(was: Delivery, event: NotSent | PartRefused, now: int) -> Delivery:
    action = event.action if isinstance(event, PartRefused) else ""
    return evolve(failed(was, event, now), action=action or RETRY, expires_at=None)


def unclear(was: Delivery, event: PartUnknown | Broken, now: int) -> Delivery:
    interrupted = isinstance(event, Broken) and event.how in ("interrupted", "drained")
    return evolve(
        was,
        unknowns=was.unknowns + (not interrupted),
        interruptions=was.interruptions + interrupted,
        unclear=True,
        resend_at=now + event.wait,
        reason=f"part {was.part + 1} may have arrived: {event.error}",
    )


def left_unknown(was: Delivery, event: PartUnknown | Broken, now: int) -> Delivery:
    return evolve(
        unclear(was, event, now),
        reason=f"nobody knows whether part {was.part + 1} arrived: {event.error}",
        action="look in the chat; then retry the delivery (it may arrive twice) or purge it",
        expires_at=None,
    )


def later(was: Delivery, _event: Elapsed, now: int) -> Delivery:
    return evolve(was, expires_at=now + 5 * SECONDS)  # an attempt under way is seen to its end first


def expired(was: Delivery, _event: Elapsed, _now: int) -> Delivery:
    sent = f"after {was.part} of {was.parts} parts" if was.part else "before any part was sent"
    return evolve(was, reason=f"expired {sent}; {was.reason}".rstrip("; "), expires_at=None)


def revived(was: Delivery, _event: Revived, _now: int) -> Delivery:
    return evolve(
        was, attempts=0, failing_since=None, unknowns=0, interruptions=0, reason="", action="", expires_at=None
    )


def last(was: Delivery, _event: PartAccepted) -> bool:
    return was.part + 1 >= was.parts


def by_window(_was: Delivery, event: Held) -> bool:
    return event.by == "window"


def has_token(_was: Delivery, event: Turn) -> bool:
    return event.token > 0


def experiment(_was: Delivery, event: PartRefused) -> bool:
    return event.then == "bare"


def hopeless(_was: Delivery, event: PartRefused) -> bool:
    return event.then == "dead"


def window_shut(_was: Delivery, event: PartRefused) -> bool:
    return event.then == "window"


def account_refused(_was: Delivery, event: PartRefused) -> bool:
    return event.then == "credentials"


def passing(_was: Delivery, event: PartRefused) -> bool:
    return event.then == "retry"


def final(_was: Delivery, event: NotSent | PartUnknown | Broken) -> bool:
    return event.final


RETRY = "see to the cause, then retry the delivery or purge it"
SENDING = ("sending", "sending-bare")
WAITS = ("pacing", "backing-off", "circuit-tripped", "token-stale", "window-closed", "unknown")
OPEN = ("queued", *SENDING, *WAITS)
ENDED = ("delivered", "expired", "purged")
SETTLED = frozenset({*ENDED, "dead"})
OUTCOMES = (PartAccepted, PartRefused, NotSent, PartUnknown)

# fmt: off
delivery = Machine(
    "delivery",
    remembers=Delivery,
    initial="new",
    table=[
        #  when in          and this happens        go to              remembering     only when
        on("new",           Accepted,               "queued",          accepted),

        on("queued",        Turn,                   "sending",         turn,           when=has_token),
        on("queued",        Turn,                   "sending-bare",    turn),
        on("queued",        Held,                   "window-closed",   held,           when=by_window),
        on("queued",        Held,                   "circuit-tripped", held),

        on(SENDING,         PartAccepted,           "delivered",       went,           when=last),
        on(SENDING,         PartAccepted,           "pacing",          went),
        on("sending",       PartRefused,            "sending-bare",    refused,        when=experiment),
        on(SENDING,         PartRefused,            "dead",            given_up,       when=hopeless),
        on(SENDING,         PartRefused,            "window-closed",   refused,        when=window_shut),
        on(SENDING,         PartRefused,            "token-stale",     refused,        when=account_refused),
        on(SENDING,         PartRefused,            "backing-off",     failed,         when=passing),
        on(SENDING,         PartRefused,            "circuit-tripped", refused),
        on(SENDING,         NotSent,                "dead",            given_up,       when=final),
        on(SENDING,         NotSent,                "backing-off",     failed),
        on(SENDING,         (PartUnknown, Broken),  "dead",            left_unknown,   when=final),
        on(SENDING,         (PartUnknown, Broken),  "unknown",         unclear),

        on("pacing",        Elapsed("next_at"),     "queued"),
        on("backing-off",   Elapsed("retry_at"),    "queued",         again),
        on("backing-off",   Released,               "queued",         again),
        on("circuit-tripped", Elapsed("until"),     "queued",         again),
        on("circuit-tripped", Released,             "queued",         again),
        on("token-stale",   Released,               "queued",         again),
        on("window-closed", Released,               "queued",         again),
        on("unknown",       Elapsed("resend_at"),   "queued"),
        on("dead",          Revived,                "queued",          revived),

        on(("queued", *WAITS), Elapsed("expires_at"), "expired",       expired),
        on(("new", *SENDING, "dead"), Elapsed("expires_at"), STAY,     later),
        on(("queued", *WAITS, "dead"), Purged,      "purged"),

        ignore(("new", *WAITS, "dead", *ENDED), (Turn, Held), because="it is not waiting for its turn"),
        ignore(SENDING,     (Turn, Held, Released), because="an attempt is under way"),
        ignore(("new", "queued", "pacing", "unknown", "dead", *ENDED), Released, because="it is not held"),
        ignore(("new", *OPEN, *ENDED), Revived,     because="it is not dead"),
        ignore(("new", *SENDING, *ENDED), Purged,   because="it has begun, or it is over"),
        ignore((*OPEN, "dead", *ENDED), Accepted,   because="it was accepted before"),
        ignore(("new", "queued", *WAITS, "dead", *ENDED), OUTCOMES, because="no attempt is under way"),
    ],
    awaits={
        "new":             Signal(Accepted),
        "queued":          Signal(Turn, Held, Purged),
        "sending":         (Effect(send_part, OUTCOMES, within=60 * SECONDS), Signal()),
        "sending-bare":    (Effect(send_part_bare, OUTCOMES, within=60 * SECONDS), Signal()),
        "pacing":          (Timer("next_at", floor=10 * MILLISECONDS, cap=1 * HOURS), Signal(Purged)),
        "backing-off":     (Timer("retry_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal(Released, Purged)),
        "circuit-tripped": (Timer("until", floor=50 * MILLISECONDS, cap=8 * DAYS), Signal(Released, Purged)),
        "token-stale":     Signal(Released, Purged),
        "window-closed":   Signal(Released, Purged),
        "unknown":         (Timer("resend_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal(Purged)),
        "dead":            Signal(Revived, Purged),
    },
    final=ENDED,
    named=(Timer("expires_at", floor=1 * SECONDS, cap=3650 * DAYS),),
)
# fmt: on
