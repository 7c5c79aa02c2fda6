"""What a platform still allows in one chat, in answer to the last message its user sent.

The count is raised before a request leaves and lowered again only if the platform certainly did not take it, so the
platform's own count is never above ours. The state says why nothing may be sent: used up, lapsed, refused. In all of
them the cure is the same, and only the user has it: to write.

`unseen` is its own state because it is neither open nor shut: this journal has never seen the user write, and another
program may have. One request may find out.
"""

import attrs

from statecore.events import Elapsed, External
from statecore.evolve import evolve
from statecore.machine import STAY, Machine, Signal, Timer, ignore, on
from statecore.units import DAYS, SECONDS


@attrs.frozen
class Window:
    """What an instance remembers.

    Args:
        spent: requests made since the user last wrote, without those the platform refused.
        heard_at: when the user last wrote, in ns, as far as this journal knows.
        closes_at: when the window lapses, in ns.
        token: number of the newest context token, counted up with each; 0 if there is none to send.
        tokens: how many tokens there have been.
        reason: why nothing may be sent.
    """

    spent: int = 0
    heard_at: int | None = None
    closes_at: int | None = None
    token: int = 0
    tokens: int = 0
    reason: str = ""


@attrs.frozen(kw_only=True)
class Heard(External):
    """The user wrote.

    Args:
        lasts: for how long the platform now allows answers, in ns.
        token: whether the message carried a context token.
        under_way: requests that had left and not been answered when the message was read. They arrive after it, so the
            platform counts them in the window that it opened.
    """

    lasts: int
    token: bool = False
    under_way: int = 0


@attrs.frozen(kw_only=True)
class Spent(External):
    """A request is about to leave.

    Args:
        delivery: address of the delivery it belongs to.
        left: how many may still leave after it.
    """

    delivery: str
    left: int


@attrs.frozen(kw_only=True)
class Refunded(External):
    """A request that was counted did certainly not use anything up."""

    delivery: str


@attrs.frozen(kw_only=True)
class Shut(External):
    """The platform refused, and the evidence says that it allows nothing more here."""

    reason: str


@attrs.frozen(kw_only=True)
class TokenForgotten(External):
    """The context token was refused, and the same request went through without it.

    Args:
        token: its number. A newer one that came meanwhile is kept.
    """

    token: int


def heard(was: Window, event: Heard, now: int) -> Window:
    tokens = was.tokens + event.token
    return Window(
        spent=event.under_way,
        heard_at=now,
        closes_at=now + event.lasts,
        token=tokens if event.token else was.token,
        tokens=tokens,
        reason="",
    )


def spent(was: Window, _event: Spent, _now: int) -> Window:
    return evolve(was, spent=was.spent + 1)


def used_up(was: Window, _event: Spent, _now: int) -> Window:
    count = was.spent + 1
    return evolve(was, spent=count, reason=f"all {count} messages allowed since the user last wrote are used up")


def refunded(was: Window, _event: Refunded, _now: int) -> Window:
    return evolve(was, spent=max(0, was.spent - 1), reason="")


def lapsed(was: Window, _event: Elapsed, _now: int) -> Window:
    return evolve(was, reason="the user has not written for too long")


def shut(was: Window, event: Shut, _now: int) -> Window:
    return evolve(was, reason=event.reason)


def forgotten(was: Window, event: TokenForgotten, _now: int) -> Window:
    return evolve(was, token=0) if was.token == event.token else was


def last(_was: Window, event: Spent) -> bool:
    return event.left <= 0


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
        on("open",     Shut,                   "refused",  shut),
        on("used-up",  Refunded,               "open",     refunded),
        on("used-up",  Elapsed("closes_at"),   "lapsed",   lapsed),
        on("used-up",  Shut,                   STAY,       shut),
        on("unseen",   Spent,                  STAY,       spent),
        on("unseen",   Refunded,               STAY,       refunded),
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
