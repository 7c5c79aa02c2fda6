"""One message that came in.

It is in the journal before the platform is told that it arrived, it is handed over in the order of its chat, and it is
done when its handler says so. Attempts are counted before the handler runs, so a message that takes the process down
with it is set aside after a few, and the others of its chat go on.
"""

import attrs

from statecore.events import Elapsed, External
from statecore.evolve import evolver
from statecore.machine import STAY, Machine, Signal, Timer, ignore, on
from statecore.units import DAYS, MILLISECONDS


@attrs.frozen
class Inbound:
    """What an instance remembers; the message itself stands in its first event.

    Args:
        attempts: how often it was handed over.
        copies: how often the platform delivered it again.
        retry_at: when it is handed over again, in ns.
        reason: what went wrong.
        action: what a person must do.
    """

    attempts: int = 0
    copies: int = 0
    retry_at: int | None = None
    reason: str = ""
    action: str = ""


@attrs.frozen(kw_only=True)
class Received(External):
    """A message came in.

    Args:
        chat: the chat it belongs to; what `send` takes to answer.
        sender: who wrote it.
        id: the platform's id, as text; ids above 2^53 survive that way.
        text: what was written; empty where there is no text.
        kinds: the kinds of its items: "text", "image", ...
        sent_at: when it was written by the platform's clock, in ms since 1970; 0 if it did not say.
        weak_id: whether the platform gave no id, so that it was made from what was received.
        quotes: the platform's id of the message it answers, if any.
    """

    chat: str
    sender: str
    id: str
    text: str
    kinds: tuple[str, ...] = ("text",)
    sent_at: int = 0
    weak_id: bool = False
    quotes: str = ""


@attrs.frozen(kw_only=True)
class Repeated(External):
    """The platform delivered it again.

    Args:
        id: the id of the copy, which may differ.
        by: how it was recognised: "id", or "fingerprint" for the same text of the same sender at the same moment.
    """

    id: str
    by: str


@attrs.frozen(kw_only=True)
class Handed(External):
    """A handler begins with it."""


@attrs.frozen(kw_only=True)
class Handled(External):
    """The handler ended well."""


@attrs.frozen(kw_only=True)
class HandlerFailed(External):
    """The handler raised, or the process ended while it ran.

    Args:
        error: what was seen.
        wait: ns until it is handed over again.
        final: whether it is set aside instead.
    """

    error: str
    wait: int = 0
    final: bool = False


@attrs.frozen(kw_only=True)
class Retried(External):
    """A person asked for it to be handed over again."""


@attrs.frozen(kw_only=True)
class Discarded(External):
    """A person decided that nothing more is to be done with it."""


evolve = evolver(Inbound)


def handed(was: Inbound, _event: Handed, _now: int) -> Inbound:
    return evolve(was, attempts=was.attempts + 1)


def copied(was: Inbound, _event: Repeated, _now: int) -> Inbound:
    return evolve(was, copies=was.copies + 1)


def failed(was: Inbound, event: HandlerFailed, now: int) -> Inbound:
    return evolve(was, retry_at=now + event.wait, reason=event.error)


def set_aside(was: Inbound, event: HandlerFailed, _now: int) -> Inbound:
    return evolve(was, reason=event.error, action="mend the handler, then retry or discard the message")


def again(was: Inbound, _event: Retried, _now: int) -> Inbound:
    return evolve(was, attempts=0, reason="", action="")


def final(_was: Inbound, event: HandlerFailed) -> bool:
    return event.final


HANDLING = (Handed, Handled, HandlerFailed)
PERSON = (Retried, Discarded)

# fmt: off
inbound = Machine(
    "inbound",
    remembers=Inbound,
    initial="new",
    table=[
        #  when in        and this happens       go to          remembering  only when
        on("new",         Received,              "waiting"),
        on("waiting",     Handed,                "handling",    handed),
        on("handling",    Handled,               "done"),
        on("handling",    HandlerFailed,         "quarantined", set_aside,   when=final),
        on("handling",    HandlerFailed,         "retrying",    failed),
        on("retrying",    Elapsed("retry_at"),   "waiting"),
        on("quarantined", Retried,               "waiting",     again),
        on(("waiting", "retrying", "quarantined"), Discarded, "done"),
        on(("waiting", "handling", "retrying", "quarantined"), Repeated, STAY, copied),
        ignore("done",    (Received, Repeated),  because="a copy of a message that is done"),
        ignore("done",    (*HANDLING, *PERSON),  because="it is done"),
        ignore("new",     (Repeated, *HANDLING, *PERSON), because="it has not come in yet"),
        ignore(("waiting", "handling", "retrying", "quarantined"), Received, because="a copy of a message that is here"),
        ignore("waiting", (Handled, HandlerFailed, Retried), because="no handler has it"),
        ignore("handling", (Handed, *PERSON),    because="a handler has it"),
        ignore("retrying", (*HANDLING, Retried), because="it is handed over when its wait is over"),
        ignore("quarantined", HANDLING,          because="it was set aside"),
    ],
    awaits={
        "new":         Signal(Received),
        "waiting":     Signal(Handed, Discarded, Repeated),
        "handling":    Signal(Handled, HandlerFailed, Repeated),
        "retrying":    (Signal(Discarded, Repeated), Timer("retry_at", floor=50 * MILLISECONDS, cap=1 * DAYS)),
        "quarantined": Signal(Retried, Discarded, Repeated),
    },
    final=("done",),
)
# fmt: on
