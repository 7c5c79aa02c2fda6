"""Machines that pass their definition and are broken all the same, each in one way."""

import itertools
from collections.abc import Mapping
from typing import Any

import attrs

from statecore.events import Elapsed, External
from statecore.evolve import evolve
from statecore.machine import STAY, Machine, Signal, Timer, on
from statecore.units import HOURS, SECONDS


@attrs.frozen
class Door:
    """What a door remembers."""

    pushes: int = 0
    names: tuple[str, ...] = ()
    shuts_at: int | None = None


@attrs.frozen(kw_only=True)
class Pushed(External):
    """Somebody pushed it."""

    by: str = "a"


@attrs.frozen(kw_only=True)
class Looked(External):
    """Somebody looked at it."""


def pushed(was: Door, _event: Pushed, now: int) -> Door:
    return evolve(was, pushes=was.pushes + 1, shuts_at=now + 5 * SECONDS)


def door(name: str = "door", *, do: Any = pushed, when: Any = None, looked: Any = None) -> Machine:
    """Define a door that does something else when it is pushed, has a guard, or minds being looked at."""
    guarded = [] if when is None else [on("shut", Pushed, "shut", when=when)]
    return Machine(
        name,
        remembers=Door,
        initial="shut",
        table=[
            *guarded,
            on("shut", Pushed, "open", do),
            on("open", Pushed, STAY),
            on("open", Elapsed("shuts_at"), "shut"),
            on(("shut", "open"), Looked, STAY, looked),
        ],
        awaits={
            "shut": Signal(Pushed, Looked),
            "open": (Timer("shuts_at", floor=1 * SECONDS, cap=1 * HOURS), Signal(Pushed, Looked)),
        },
    )


def remembering_a_list(was: Door, event: Pushed, _now: int) -> Door:
    return evolve(was, names=[*was.names, event.by])  # a tuple, says the class; JSON gives none of it away


def remembering_too_much(was: Door, _event: Pushed, _now: int) -> Door:
    return evolve(was, pushes=(was.pushes + 1) * 2**40)  # more than 64 bits, the second time


def counting_by_itself() -> Any:
    """Return a handler that is no function of what it is given."""
    calls = itertools.count(1)

    def impure(was: Door, _event: Pushed, _now: int) -> Door:
        return evolve(was, pushes=next(calls))

    return impure


def minding_the_world(world: dict[str, int]) -> tuple[Any, Any]:
    """Return two handlers of which one changes what the other does: asked twice in a row, each says the same."""

    def remembers(was: Door, _event: Pushed, _now: int) -> Door:
        return evolve(was, pushes=world["looks"])

    def looks(was: Door, _event: Looked, _now: int) -> Door:
        world["looks"] = 7
        return was

    return remembers, looks


def never(_was: Door, _event: Pushed) -> bool:
    return False


def raising(was: Door, _event: Pushed, _now: int) -> Door:
    texts: Mapping[int, str] = {0: "once"}
    return evolve(was, pushes=was.pushes + 1, names=(texts[was.pushes],))
