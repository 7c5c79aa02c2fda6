"""The clockwork of a simulation: one agenda, one machine's clocks, and the world of each process on it.

Everything that happens is taken off one queue, in the order of its time and then of its entry, and nothing else is drawn on:
so a run is a function of its plan. Three clocks are told apart, because a gateway must: the simulation's own (which is the
platforms'), the monotonic clock of the machine, which stands while the machine is suspended, and its wall clock, which
anybody may set.
"""

import gc
import heapq
from collections.abc import Callable
from random import Random  # noqa: TID251 - the one source of chance of a run, from the plan's seed
from typing import Any, Final

from statecore.units import SECONDS

EPOCH: Final = 1_790_000_000 * SECONDS
"""What the wall clock says when a simulation begins, in ns since 1970."""

STILL_MAX: Final = 100_000
"""Happenings at one moment. More means that something goes in a circle without time passing."""


class Circle(Exception):
    """Things kept happening, and no time passed."""


class Loop:
    """The agenda.

    Attributes:
        now: the simulation's time, in ns from the beginning.
        steps: how many things were taken off the agenda.
    """

    __slots__ = ("_agenda", "_entered", "now", "steps")

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._entered = 0
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: int, do: Callable[..., None], *args: Any) -> None:
        """Have something happen, at a time from now on, in ns from the beginning."""
        self._entered += 1
        heapq.heappush(self._agenda, (max(self.now, when), self._entered, do, args))

    def run(self, until: int) -> None:
        """Let happen what happens until a time, in ns from the beginning.

        Raises:
            Circle: no time passes any more.
        """
        agenda, pop, steps, still = self._agenda, heapq.heappop, 0, 0
        frozen = gc.isenabled()
        gc.disable()  # what a run makes lives until its end, so looking through it in between frees nothing
        try:
            while agenda and agenda[0][0] <= until:
                when, _, do, args = pop(agenda)
                if when != self.now:
                    self.now = when
                    still = 0
                still += 1
                if still > STILL_MAX:
                    raise Circle(
                        f"{STILL_MAX} things happened at {when / SECONDS:.3f} s, the last of them {do.__qualname__}"
                    )
                steps += 1
                do(*args)
            self.now = until
        finally:
            self.steps += steps
            if frozen:
                gc.enable()


class Host:
    """The machine that the processes run on.

    Args:
        loop: the agenda.
        random: chance.
    """

    def __init__(self, loop: Loop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.asleep_until = 0
        self.slept = 0
        self.stepped = 0

    def monotonic(self) -> int:
        """Return the clock that stands while the machine is suspended, in ns."""
        return self.loop.now - self.slept

    def wall(self) -> int:
        """Return the wall clock, in ns since 1970."""
        return EPOCH + self.loop.now + self.stepped

    def suspend(self, length: int) -> None:
        """Suspend the machine for *length* ns."""
        self.asleep_until = self.loop.now + length

    def wake(self, length: int) -> None:
        """Go on after having been suspended for *length* ns."""
        self.slept += length
        self.asleep_until = 0


class ProcessWorld:
    """The world of one process; serves `statecore.world.World`.

    Args:
        host: the machine.
        origin: what `now` is when the process starts, in ns.
    """

    def __init__(self, host: Host, origin: int) -> None:
        self._host = host
        self._random = host.random
        self._loop = host.loop
        self._offset = origin - host.monotonic()

    def forward(self, by: int) -> None:
        """Move `now` forward by the time, in ns, that the machine was suspended."""
        self._offset += max(0, by)

    def now(self) -> int:
        """Return the time for decisions, in ns."""
        return self._loop.now - self._host.slept + self._offset

    def wall(self) -> int:
        """Return the wall clock, in ns since 1970."""
        return self._host.wall()

    def asleep(self) -> int:
        """Return for how long the machine has been suspended in all, in ns."""
        return self._host.slept

    def draw(self) -> float:
        """Return a uniform random number in [0, 1)."""
        return self._random.random()

    def new_id(self) -> str:
        """Return an id that sorts after those of earlier milliseconds."""
        return f"{self.now() // 1_000_000:011x}{self._random.getrandbits(48):012x}"
