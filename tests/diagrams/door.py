"""A machine with everything a picture must survive: names that break markup, guards, loops, every kind of wait."""

from typing import Final

import attrs

from statecore.events import Broken, Elapsed, External, Outcome
from statecore.evolve import evolve
from statecore.machine import STAY, Effect, Machine, Signal, Timer, ignore, on
from statecore.units import HOURS, SECONDS


@attrs.frozen
class Door:
    """What a door remembers."""

    shuts_at: int | None = None
    pushes: int = 0


@attrs.frozen(kw_only=True)
class Pushed(External):
    """Somebody pushed it."""


@attrs.frozen(kw_only=True)
class Looked(External):
    """Somebody looked at it."""


@attrs.frozen(kw_only=True)
class Opened(Outcome):
    """The motor opened it."""


@attrs.frozen
class Turn:
    """The motor is asked to turn."""


def pushed(was: Door, _event: Pushed, _now: int) -> Door:
    return evolve(was, pushes=was.pushes + 1)


def often(was: Door, _event: Pushed) -> bool:
    return was.pushes >= 2


ODD: Final = 'jammed "<script>": end'

# fmt: off
door = Machine(
    "door",
    remembers=Door,
    initial="shut",
    table=[
        on("shut",            Pushed,                ODD,        pushed, when=often),
        on("shut",            Pushed,                "opening",  pushed),
        on("opening",         Opened,                "open"),
        on("opening",         Broken,                ODD),
        on("open",            Elapsed("shuts_at"),   "shut"),
        on("open",            Pushed,                "open",     pushed),
        on(("shut", "open", "opening", ODD), Looked, STAY),
        on(ODD,               Pushed,                "gone"),
        ignore("opening",     Pushed,                because="it is opening"),
        ignore("gone",        (Pushed, Looked),      because="it is gone"),
        ignore(("shut", "open", ODD, "gone"), Opened, because="the motor rests"),
    ],
    awaits={
        "shut":    Signal(Pushed, Looked),
        "opening": (Effect(Turn, (Opened,), within=10 * SECONDS), Signal()),
        "open":    (Timer("shuts_at", floor=1 * SECONDS, cap=1 * HOURS), Signal()),
        ODD:       Signal(),
    },
    final=("gone",),
)
# fmt: on

MACHINES: Final = {"door": door}
