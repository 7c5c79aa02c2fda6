"""What a platform still allows in one chat, in answer to the last message its user sent.

The count is raised before a request leaves and lowered again only if the platform certainly did not take it, so the
platform's own count is never above ours. The state says why nothing may be sent: used up, lapsed, refused. In all of
them the cure is the same, and only the user has it: to write.

`unseen` is its own state because it is neither open nor shut: this journal has never seen the user write, and another
program may have. One request may find out.

Some platforms want to be told which message is answered, and count for each. Then every message that came in is an
opening of its own, and its answers are numbered, because message and number are what the platform knows a repetition by.
"""

import attrs

from statecore.events import Elapsed, External
from statecore.evolve import evolver
from statecore.machine import STAY, Machine, Signal, Timer, ignore, on
from statecore.policies.window import Opening
from statecore.units import DAYS, SECONDS

OPENINGS_MAX = 16
"""Messages of the user that are remembered as answerable; beyond that the oldest is forgotten, answerable or not."""


@attrs.frozen
class Window:
    """What an instance remembers.

    Args:
        openings: what the messages of its user allow, oldest first. On a platform where only the last one counts there is
            one; where each is answered by its id, as many as may still be answered.
        closes_at: when the last of them lapses, in ns.
        token: number of the newest context token, counted up with each; 0 if there is none to send.
        tokens: how many tokens there have been.
        unheard: requests made before the user was ever seen to write.
        reason: why nothing may be sent.
    """

    openings: tuple[Opening, ...] = ()
    closes_at: int | None = None
    token: int = 0
    tokens: int = 0
    unheard: int = 0
    reason: str = ""

    @property
    def heard_at(self) -> int | None:
        """When the user last wrote, in ns, as far as this journal knows."""
        return self.openings[-1].heard_at if self.openings else None

    @property
    def spent(self) -> int:
        """Requests made in answer to what the user wrote and may still be answered, without those that were refused."""
        return sum(opening.spent for opening in self.openings) + self.unheard


@attrs.frozen(kw_only=True)
class Heard(External):
    """The user wrote.

    Args:
        lasts: for how long the platform now allows answers, in ns.
        token: whether the message carried a context token.
        under_way: requests that had left and not been answered when the message was read. They arrive after it, so the
            platform counts them in the window that it opened.
        message: the platform's id of it, where it is answered by that.
    """

    lasts: int
    token: bool = False
    under_way: int = 0
    message: str = ""


@attrs.frozen(kw_only=True)
class Spent(External):
    """A request is about to leave.

    Args:
        delivery: address of the delivery it belongs to.
        left: how many may still leave after it.
        message: the message it answers, where that is said.
        number: which answer to it this is.
    """

    delivery: str
    left: int
    message: str = ""
    number: int = 0


@attrs.frozen(kw_only=True)
class Refunded(External):
    """A request that was counted did certainly not use anything up.

    Args:
        delivery: address of the delivery it belongs to.
        message: the message it answered, where that was said.
    """

    delivery: str
    message: str = ""


@attrs.frozen(kw_only=True)
class Shut(External):
    """The platform refused, and the evidence says that it allows nothing more here.

    Args:
        reason: what it said.
        message: the one message that may not be answered any more; empty for all.
    """

    reason: str
    message: str = ""


@attrs.frozen(kw_only=True)
class TokenForgotten(External):
    """The context token was refused, and the same request went through without it.

    Args:
        token: its number. A newer one that came meanwhile is kept.
    """

    token: int


evolve = evolver(Window)
reopened = evolver(Opening)


def heard(was: Window, event: Heard, now: int) -> Window:
    tokens = was.tokens + event.token
    new = Opening(message=event.message, heard_at=now, closes_at=now + event.lasts, spent=event.under_way)
    kept = [one for one in was.openings if one.closes_at > now] if event.message else []
    openings = (*kept, new)[-OPENINGS_MAX:]
    return Window(
        openings=openings,
        closes_at=max(one.closes_at for one in openings),
        token=tokens if event.token else was.token,
        tokens=tokens,
        reason="",
    )


def _changed(was: Window, message: str, *, spent: int, number: int = 0) -> tuple[Opening, ...]:
    return tuple(
        reopened(one, spent=max(0, one.spent + spent), numbered=max(one.numbered, number))
        if one.message == message
        else one
        for one in was.openings
    )


def spent(was: Window, event: Spent, _now: int) -> Window:
    return evolve(was, openings=_changed(was, event.message, spent=1, number=event.number))


def spent_unheard(was: Window, _event: Spent, _now: int) -> Window:
    return evolve(was, unheard=was.unheard + 1)


def used_up(was: Window, event: Spent, now: int) -> Window:
    after = spent(was, event, now)
    return evolve(after, reason=f"all {after.spent} messages allowed since the user last wrote are used up")


def refunded(was: Window, event: Refunded, _now: int) -> Window:
    return evolve(was, openings=_changed(was, event.message, spent=-1), reason="")


def refunded_unheard(was: Window, _event: Refunded, _now: int) -> Window:
    return evolve(was, unheard=max(0, was.unheard - 1))


def lapsed(was: Window, _event: Elapsed, _now: int) -> Window:
    return evolve(was, reason="the user has not written for too long")


def shut(was: Window, event: Shut, now: int) -> Window:
    return evolve(shut_one(was, event, now) if event.message else was, reason=event.reason)


def shut_one(was: Window, event: Shut, _now: int) -> Window:
    return evolve(was, openings=tuple(one for one in was.openings if one.message != event.message))


def forgotten(was: Window, event: TokenForgotten, _now: int) -> Window:
    return evolve(was, token=0) if was.token == event.token else was


def last(_was: Window, event: Spent) -> bool:
    return event.left <= 0


def names_one(_was: Window, event: Shut) -> bool:
    return bool(event.message)


def others_left(was: Window, event: Shut) -> bool:
    return bool(event.message) and any(one.message != event.message for one in was.openings)


CLOSED = ("used-up", "lapsed", "refused")
EVERY = ("unseen", "open", *CLOSED)

# fmt: off
window = Machine(
    "window",
    remembers=Window,
    initial="unseen",
    table=[
        #  when in     and this happens        go to       remembering  only when
        on(EVERY,      Heard,                  "open",     heard),
        on("open",     Spent,                  "used-up",  used_up,     when=last),
        on("open",     Spent,                  STAY,       spent),
        on("open",     Elapsed("closes_at"),   "lapsed",   lapsed),
        on("open",     Refunded,               STAY,       refunded),
        on("open",     Shut,                   STAY,       shut_one,    when=others_left),
        on("open",     Shut,                   "lapsed",   shut,        when=names_one),
        on("open",     Shut,                   "refused",  shut),
        on("used-up",  Refunded,               "open",     refunded),
        on("used-up",  Elapsed("closes_at"),   "lapsed",   lapsed),
        on("used-up",  Shut,                   STAY,       shut),
        on("unseen",   Spent,                  STAY,       spent_unheard),
        on("unseen",   Refunded,               STAY,       refunded_unheard),
        on("unseen",   Shut,                   "refused",  shut),
        on(EVERY,      TokenForgotten,         STAY,       forgotten),
        ignore(CLOSED, Spent,                  because="nothing may leave; the request was decided before it closed"),
        ignore(("lapsed", "refused"), (Refunded, Shut), because="it is closed already"),
    ],
    awaits={
        "unseen":  Signal(),
        "open":    (Signal(), Timer("closes_at", floor=1 * SECONDS, cap=365 * DAYS)),
        "used-up": (Signal(), Timer("closes_at", floor=1 * SECONDS, cap=365 * DAYS)),
        "lapsed":  Signal(),
        "refused": Signal(),
    },
)
# fmt: on
