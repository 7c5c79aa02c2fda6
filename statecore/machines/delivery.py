"""One message on its way out.

It is a row before its sender hears "accepted", and `sending` is a row before the first byte leaves. So a crash at any
instruction leaves one of two things: a request that certainly did not leave, or one whose outcome is `unknown`, and
never a guess.

Its parts leave in order, each under a key that is a function of (delivery, part) and therefore the same on every
attempt. The next part is reached through `pacing`. The one attempt without a context token is the state `sending-bare`,
not a flag on a retry, so it cannot be made twice in a row.

Where the platform wants to be told which message is answered, a part is given that message and a number before its
first attempt, and keeps both: they are what a repetition is known by. It gets others only after a refusal that says that
they are worthless, so that the part was certainly not taken.

`in-review` is after the end: the platform took every part and shows some only once a person has looked at them.

Every way to wait is a state, because each is cured by something else: `backing-off` by time, `circuit-tripped` by time
or the user, `window-closed` by the user alone, `token-stale` by whoever holds the credentials, `unknown` by one more
attempt with the same key. `dead` is not the end of it either: a person may have it tried again.

What did not work: one `waiting` state with a reason field. The reason decided what could wake it, so it was the state.
"""

import attrs

from statecore.events import Broken, Elapsed, External, Outcome
from statecore.evolve import evolver
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
        answers: the platform's id of the message the part answers; empty for none.
        number: which answer to it the part is; 0 if that was not decided yet, or is not said on this platform.
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
        review_until: until when the outcome of a review is waited for, in ns.
        audits: reviews whose outcome is not known yet.
        rejected: what a review did not let through, if anything.
        message: the platform's id of the last part that was accepted.
        reason: why it is where it is.
        action: what a person must do, if anything.
    """

    parts: int = 1
    part: int = 0
    token: int = 0
    answers: str = ""
    number: int = 0
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
    review_until: int | None = None
    audits: tuple[str, ...] = ()
    rejected: str = ""
    message: str = ""
    reason: str = ""
    action: str = ""


@attrs.frozen
class SendPart:
    """Send one part, once.

    Args:
        part: its index, from 0.
        token: number of the context token it carries; 0 for none.
        bare: whether it goes without what may be refused: the context token, or markup.
        answers: the platform's id of the message it answers; empty for none.
        number: which answer to it this is.
    """

    part: int
    token: int
    bare: bool = False
    answers: str = ""
    number: int = 0


def send_part(data: Delivery) -> SendPart:
    return SendPart(data.part, data.token, bare=False, answers=data.answers, number=data.number)


def send_part_bare(data: Delivery) -> SendPart:
    return SendPart(data.part, 0, bare=True, answers=data.answers, number=data.number)


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
        bare: whether it goes without the context token, or without markup.
        answers: the platform's id of the message it answers; empty for none.
        number: which answer to it the part is.
    """

    token: int
    left: int
    probe: str = ""
    doubles: bool = False
    bare: bool = False
    answers: str = ""
    number: int = 0


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
        repeated: whether it says that it took the part before.
        trace: the platform's own id of the request.
        code: what it said, where it said that by a refusal.
    """

    message: str = ""
    confirmed: bool = True
    wait: int = 0
    repeated: bool = False
    trace: str = ""
    code: str = ""


@attrs.frozen(kw_only=True)
class PartPending(Outcome):
    """The platform took the part, and shows it once somebody has looked at it.

    Args:
        audit: the id under which it will say what became of it.
        trace: the platform's own id of the request.
    """

    audit: str
    trace: str = ""


@attrs.frozen(kw_only=True)
class Reviewed(External):
    """The platform said what became of a part that somebody looked at.

    Args:
        audit: its id.
        passed: whether it is shown.
        message: the platform's id of it, if it is.
    """

    audit: str
    passed: bool
    message: str = ""


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
        trace: the platform's own id of the request.
        hint: how long the platform asked to be left alone, in ns, if it did.
        unclear: whether the part may have arrived all the same, as when something on the way has sent the request twice.
    """

    code: str
    message: str
    reading: str
    then: Then
    evidence: Evidence
    action: str = ""
    wait: int = 0
    down: int = 0
    trace: str = ""
    hint: int | None = None
    unclear: bool = False


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

evolve = evolver(Delivery)


def accepted(was: Delivery, event: Accepted, _now: int) -> Delivery:
    return evolve(was, parts=len(event.parts), expires_at=event.expires_at)


def turn(was: Delivery, event: Turn, _now: int) -> Delivery:
    doubled = (*was.doubled, was.part) if event.doubles and was.part not in was.doubled else was.doubled
    return evolve(
        was, token=event.token, answers=event.answers, number=event.number, doubled=doubled, reason="", action=""
    )


def again(was: Delivery, _event: External | Elapsed, _now: int) -> Delivery:
    return evolve(was, reason="", action="")


def held(was: Delivery, event: Held, now: int) -> Delivery:
    return evolve(was, until=now + event.wait if event.wait else None, reason=event.reason, action=event.action)


def went(was: Delivery, event: PartAccepted, now: int) -> Delivery:
    return evolve(
        was,
        part=was.part + 1,
        answers="",
        number=0,
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


def taken_for_review(was: Delivery, event: PartPending, now: int) -> Delivery:
    after = went(was, PartAccepted(), now)
    return evolve(after, audits=(*was.audits, event.audit), reason="the platform has somebody look at it first")


def waits_for_review(was: Delivery, event: PartPending | PartAccepted, now: int) -> Delivery:
    after = taken_for_review(was, event, now) if isinstance(event, PartPending) else went(was, event, now)
    return evolve(
        after, review_until=now + REVIEW_MAX, expires_at=None, reason="the platform has somebody look at it first"
    )


def reviewed(was: Delivery, event: Reviewed, _now: int) -> Delivery:
    if event.audit not in was.audits:
        return was  # of a copy that was given up; this one is looked at by itself
    audits = tuple(audit for audit in was.audits if audit != event.audit)
    rejected = was.rejected if event.passed else f"the platform did not let a part through (review {event.audit})"
    return evolve(was, audits=audits, rejected=rejected, message=event.message or was.message)


def shown(was: Delivery, event: Reviewed, now: int) -> Delivery:
    return evolve(reviewed(was, event, now), reason="")


def rejected(was: Delivery, event: Reviewed | PartAccepted, now: int) -> Delivery:
    after = reviewed(was, event, now) if isinstance(event, Reviewed) else went(was, event, now)
    return evolve(after, reason=after.rejected, action="send it in other words; this one is not shown", expires_at=None)


def never_reviewed(was: Delivery, _event: Elapsed, _now: int) -> Delivery:
    return evolve(
        was,
        reason="the platform never said what became of its review",
        action="look in the chat; then retry the delivery (it may arrive twice) or purge it",
    )


def reslotted(was: Delivery, event: PartRefused, now: int) -> Delivery:
    # Not `unclear`: that its next number is taken as well would then prove that it has arrived, and it may be another's.
    doubled = (*was.doubled, was.part) if event.unclear and was.part not in was.doubled else was.doubled
    return evolve(refused(was, event, now), answers="", number=0, doubled=doubled)


def refused(was: Delivery, event: PartRefused, now: int) -> Delivery:
    return evolve(was, until=now + event.wait if event.wait else None, reason=_said(event), action=event.action)


def _said(event: PartRefused) -> str:
    return ": ".join(part for part in (event.code, event.message, event.reading) if part) or "refused without a word"


def failed(was: Delivery, event: NotSent | PartRefused, now: int) -> Delivery:
    said = f"{event.stage}: {event.error}" if isinstance(event, NotSent) else _said(event)
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


def never_expires(was: Delivery, _event: Elapsed, _now: int) -> Delivery:
    return evolve(was, expires_at=None)


def expired(was: Delivery, _event: Elapsed, _now: int) -> Delivery:
    sent = f"after {was.part} of {was.parts} parts" if was.part else "before any part was sent"
    return evolve(was, reason=f"expired {sent}; {was.reason}".rstrip("; "), expires_at=None)


def revived(was: Delivery, _event: Revived, _now: int) -> Delivery:
    return evolve(
        was,
        part=min(was.part, was.parts - 1),  # all were sent where a review let one down; the last is sent again
        attempts=0,
        failing_since=None,
        unknowns=0,
        interruptions=0,
        audits=(),
        rejected="",
        reason="",
        action="",
        expires_at=None,
    )


def last(was: Delivery, _event: PartAccepted | PartPending) -> bool:
    return was.part + 1 >= was.parts


def last_of_all(was: Delivery, event: PartAccepted) -> bool:
    return last(was, event) and not was.audits and not was.rejected


def last_and_rejected(was: Delivery, event: PartAccepted) -> bool:
    return last(was, event) and not was.audits


def last_review_rejected(was: Delivery, event: Reviewed) -> bool:
    return last_review(was, event) and (bool(was.rejected) or not event.passed)


def last_review(was: Delivery, event: Reviewed) -> bool:
    return all(audit == event.audit for audit in was.audits)


def bare(_was: Delivery, event: Turn) -> bool:
    return event.bare


def slot_dead(_was: Delivery, event: PartRefused) -> bool:
    return event.then == "slot"


def by_window(_was: Delivery, event: Held) -> bool:
    return event.by == "window"


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
OUTCOMES = (PartAccepted, PartPending, PartRefused, NotSent, PartUnknown)
REVIEW_MAX = 7 * DAYS
"""A review whose outcome is not told within this is not waited for any longer."""

# fmt: off
delivery = Machine(
    "delivery",
    remembers=Delivery,
    initial="new",
    table=[
        #  when in          and this happens        go to              remembering     only when
        on("new",           Accepted,               "queued",          accepted),

        on("queued",        Turn,                   "sending-bare",    turn,           when=bare),
        on("queued",        Turn,                   "sending",         turn),
        on("queued",        Held,                   "window-closed",   held,           when=by_window),
        on("queued",        Held,                   "circuit-tripped", held),

        on(SENDING,         PartAccepted,           "delivered",       went,           when=last_of_all),
        on(SENDING,         PartAccepted,           "dead",            rejected,       when=last_and_rejected),
        on(SENDING,         PartAccepted,           "in-review",       waits_for_review, when=last),
        on(SENDING,         PartAccepted,           "pacing",          went),
        on(SENDING,         PartPending,            "in-review",       waits_for_review, when=last),
        on(SENDING,         PartPending,            "pacing",          taken_for_review),
        on("sending",       PartRefused,            "sending-bare",    refused,        when=experiment),
        on(SENDING,         PartRefused,            "dead",            given_up,       when=hopeless),
        on(SENDING,         PartRefused,            "queued",          reslotted,      when=slot_dead),
        on(SENDING,         PartRefused,            "window-closed",   reslotted,      when=window_shut),
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

        on("in-review",     Reviewed,               "dead",            rejected,       when=last_review_rejected),
        on("in-review",     Reviewed,               "delivered",       shown,          when=last_review),
        on("in-review",     Reviewed,               STAY,              reviewed),
        on("in-review",     Elapsed("review_until"), "dead",           never_reviewed),
        on("in-review",     Elapsed("expires_at"),  STAY,              never_expires),
        on((*OPEN, "dead"), Reviewed,               STAY,              reviewed),

        on(("queued", *WAITS), Elapsed("expires_at"), "expired",       expired),
        on(("new", *SENDING, "dead"), Elapsed("expires_at"), STAY,     later),
        on(("queued", *WAITS, "in-review", "dead"), Purged, "purged"),

        ignore(("new", *ENDED), Reviewed,           because="it is waiting for no review"),
        ignore(("new", *WAITS, "in-review", "dead", *ENDED), (Turn, Held), because="it is not waiting for its turn"),
        ignore(SENDING,     (Turn, Held, Released), because="an attempt is under way"),
        ignore(("new", "queued", "pacing", "unknown", "in-review", "dead", *ENDED), Released, because="it is not held"),
        ignore(("new", *OPEN, "in-review", *ENDED), Revived, because="it is not dead"),
        ignore(("new", *SENDING, *ENDED), Purged,   because="it has begun, or it is over"),
        ignore((*OPEN, "in-review", "dead", *ENDED), Accepted, because="it was accepted before"),
        ignore(("new", "queued", *WAITS, "in-review", "dead", *ENDED), OUTCOMES, because="no attempt is under way"),
    ],
    awaits={
        "new":             Signal(Accepted),
        "queued":          Signal(Turn, Held, Purged, Reviewed),
        "sending":         (Effect(send_part, OUTCOMES, within=60 * SECONDS), Signal()),
        "sending-bare":    (Effect(send_part_bare, OUTCOMES, within=60 * SECONDS), Signal()),
        "pacing":          (Timer("next_at", floor=10 * MILLISECONDS, cap=1 * HOURS), Signal(Purged, Reviewed)),
        "backing-off":     (Timer("retry_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal(Released, Purged, Reviewed)),
        "circuit-tripped": (Timer("until", floor=50 * MILLISECONDS, cap=8 * DAYS), Signal(Released, Purged, Reviewed)),
        "token-stale":     Signal(Released, Purged, Reviewed),
        "window-closed":   Signal(Released, Purged, Reviewed),
        "unknown":         (Timer("resend_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal(Purged, Reviewed)),
        "in-review":       (Signal(Reviewed, Purged), Timer("review_until", floor=1 * SECONDS, cap=30 * DAYS)),
        "dead":            Signal(Revived, Purged, Reviewed),
    },
    final=ENDED,
    named=(Timer("expires_at", floor=1 * SECONDS, cap=3650 * DAYS),),
)
# fmt: on
