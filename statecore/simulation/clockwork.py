"""The clockwork of a simulation: one agenda, one machine's clocks, and the world of each process on it.

Everything that happens is taken off one queue, in the order of its time and then of its entry, and nothing else is drawn on:
so a run is a function of its plan. Three clocks are told apart, because a gateway must: the simulation's own (which is the
platforms'), the monotonic clock of the machine, which stands while the machine is suspended, and its wall clock, which
anybody may set.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random  # noqa: TID251 - the one source of chance of a run, from the plan's seed
from typing import Any, Final, Protocol

from statecore.units import SECONDS

EPOCH: Final = 1_790_000_000 * SECONDS
"""What the wall clock says when a simulation begins, in ns since 1970."""

STILL_MAX: Final = 100_000
"""Happenings at one moment. More means that something goes in a circle without time passing."""


class Circle(Exception):
    """Things kept happening, and no time passed."""


class Runner(Protocol):
    """What things happen in: a process.

    Attributes:
        rests: whether it may not run now, so that `resume` is called with what was to happen.
    """

    rests: bool

    def resume(self, do: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Have something happen when it runs again."""


class Loop:
    """The agenda.

    Attributes:
        now: the simulation's time, in ns from the beginning.
        steps: how many things were taken off the agenda.
    """

    __slots__ = ("_agenda", "_entered", "_soon", "now", "steps")

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._entered = 0
        self._agenda: list[_Entry] = []
        self._soon: deque[_Entry] = deque()  # what happens at this very moment: most things that are entered do

    def at(self, when: int, do: Callable[..., None], *args: Any) -> None:
        """Have something happen, at a time from now on, in ns from the beginning."""
        self.within(None, when, do, *args)

    def within(self, runner: Runner | None, when: int, do: Callable[..., None], *args: Any) -> None:
        """Have something happen in a runner, which decides what becomes of it if it rests then."""
        if when <= self.now:
            self._soon.append((when, 0, runner, do, args))
        else:
            self._entered += 1
            heappush(self._agenda, (when, self._entered, runner, do, args))

    def run(self, until: int) -> None:
        """Let happen what happens until a time, in ns from the beginning.

        Raises:
            Circle: no time passes any more.
        """
        agenda, soon = self._agenda, self._soon
        while soon or (agenda and agenda[0][0] <= until):
            if not soon:
                self.now = agenda[0][0]
            now, still = self.now, 0
            while agenda and agenda[0][0] <= now:
                soon.append(heappop(agenda))
            while soon:
                _, _, runner, do, args = soon.popleft()
                still += 1
                if still > STILL_MAX:
                    raise Circle(
                        f"{STILL_MAX} things happened at {now / SECONDS:.3f} s, the last of them {do.__qualname__}"
                    )
                if runner is None or not runner.rests:
                    do(*args)
                else:
                    runner.resume(do, args)
            self.steps += still
        self.now = until


_Entry = tuple[int, int, Runner | None, Callable[..., None], tuple[Any, ...]]


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
