"""What can happen to a machine, by where it comes from.

Where an event comes from decides what it may pay for. A machine moves only on an event, and an event comes only out
of something awaited:

- an `External` event comes from outside the machine: a person, a peer, another machine that was itself moved by one;
- an `Outcome` is what came of the one attempt the state asked for. It costs nothing, so a circle of outcomes would spin;
- an `Arrival` is an outcome that carries something the outside sent. What a hostile peer can drive by sending is the
  governor's to bound;
- a `Timed` outcome is of an attempt that took a while, by our own clock: that time has paid for it;
- `Elapsed` is a timer of the state.

Events are facts: frozen, in the past tense, with every number that was chosen when they happened (a delay, a reading,
the evidence), so that replaying them needs no clock, no policy and no chance.
"""

from typing import ClassVar, Literal

import attrs


@attrs.frozen(kw_only=True)
class Event:
    """A fact. It has already happened, so handling it may not fail."""

    schema: ClassVar[int] = 1
    """Version of the fields; raise it with a change of meaning and register an upcaster (`statecore.codec`)."""


@attrs.frozen(kw_only=True)
class External(Event):
    """Something from outside the machine."""


@attrs.frozen(kw_only=True)
class Outcome(Event):
    """What came of the attempt that the state asked for."""


@attrs.frozen(kw_only=True)
class Arrival(Outcome):
    """An outcome that carries something the outside sent."""


@attrs.frozen(kw_only=True)
class Timed(Outcome):
    """An outcome of an attempt that took at least `floor`, measured by whoever made the attempt and not by the peer."""

    floor: ClassVar[int] = 0
    """ns; each class says how many. One that says none pays for nothing."""


@attrs.frozen
class Elapsed(Event):
    """A timer came due.

    Args:
        timer: its name, which is the field of what is remembered that holds the deadline.
    """

    timer: str = ""


@attrs.frozen(kw_only=True)
class Broken(Outcome):
    """The attempt ended without an outcome of its own. Every state with an attempt decides what that means.

    Args:
        how: "overdue": the time allowed for it ran out; "died": the code that made it raised; "interrupted": the
            process ended while it was under way, as found at the next start; "drained": a stop would not wait longer.
        error: what was seen, for people.
        wait: nanoseconds until the next attempt, where there is one; chosen by the policy in force.
        final: whether that policy allows none.
        failures: which failure in a row this is, where they are counted; else 0.
    """

    how: Literal["overdue", "died", "interrupted", "drained"]
    error: str = ""
    wait: int = 0
    final: bool = False
    failures: int = 0


@attrs.frozen(kw_only=True)
class Late(Event):
    """An outcome of an attempt that the machine has since left. Recorded, and ignored in every state.

    Args:
        event: name of the event it would have been.
        of: version of the instance at which that attempt was asked for.
    """

    event: str
    of: int


@attrs.frozen(kw_only=True)
class Governed(Event):
    """The governor held this instance back. Recorded, and ignored in every state.

    Args:
        held: nanoseconds its events waited.
        rows: transitions it had made in the second before.
    """

    held: int
    rows: int


@attrs.frozen(kw_only=True)
class Offline(Event):
    """Nobody drove the machine for a while. Timers that keep what was left to wait are moved by that; see `Timer`.

    Args:
        length: for how long, in ns.
    """

    length: int


@attrs.frozen(kw_only=True)
class Tell:
    """One transition's event to another instance, committed in the same transaction, with the teller as its cause.

    Args:
        to: the instance, as `statecore.system.Address` writes it.
        event: what it is told.
    """

    to: str
    event: Event


BUILT_IN: tuple[type[Event], ...] = (Late, Governed, Offline)
"""Known to every machine in every state, with nothing to declare."""

IGNORED_ALWAYS = {
    Late: "belongs to an attempt that this machine has left",
    Governed: "a note of the governor",
}


def name_of(event: Event | type[Event]) -> str:
    """Return the name under which an event stands in tables, diagrams and logs: `Lost`, or `Elapsed(retry_at)`."""
    if isinstance(event, type):
        return event.__name__
    if isinstance(event, Elapsed) and event.timer:
        return f"Elapsed({event.timer})"
    return type(event).__name__
