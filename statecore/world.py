"""The one port for everything that is not determined: time, chance, ids.

Nothing else in statecore reads a clock or draws a number (a lint holds that line), so the runtime, a simulation and a
replay run the same code and differ only in their world.

There are two clocks. `now` is for decisions: nanoseconds that only ever go forward, at the pace of the event loop's
monotonic clock, from an origin that continues where the journal left off. Deadlines are on it, so they survive a
restart, and setting the wall clock moves none of them. `wall` is for records, and believed by nobody.
"""

import os
import random
import socket
import time
from typing import Protocol

import trio

from statecore.units import SECONDS


class World(Protocol):
    """What the runtime asks of the outside when it must not be asked twice."""

    def forward(self, by: int) -> None:
        """Move `now` forward by the time, in ns, that the machine was suspended."""

    def now(self) -> int:
        """Return the time for decisions, in ns."""

    def wall(self) -> int:
        """Return the time for records, in ns since 1970."""

    def asleep(self) -> int:
        """Return for how long the machine has been suspended in all, in ns."""

    def draw(self) -> float:
        """Return a uniform random number in [0, 1)."""

    def new_id(self) -> str:
        """Return an id that was never returned before, and sorts after those of earlier milliseconds."""


class RealWorld:
    """The world outside, on trio's clock. With a virtual trio clock, time is virtual and everything else is as given.

    Args:
        origin: what `now` is when the world begins; the gateway passes the journal's latest time or the wall clock,
            whichever is later.
        seed: for tests: makes chance and ids repeatable.
    """

    def __init__(self, origin: int = 0, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - jitter and ids, not keys
        self._trio_origin = trio.current_time()
        self._origin = max(origin, 0 if seed is not None else time.time_ns())
        self._slept = 0

    def now(self) -> int:
        """Return the time for decisions, in ns."""
        return self._origin + round((trio.current_time() - self._trio_origin) * SECONDS)

    def wall(self) -> int:
        """Return the time for records, in ns since 1970."""
        return time.time_ns()

    def asleep(self) -> int:
        """Return for how long the machine has been suspended in all, in ns.

        On Linux the clock that counts suspended time and the one that does not part by exactly that. Setting the wall
        clock moves neither.
        """
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def forward(self, by: int) -> None:
        """Move `now` forward, by the time the machine was suspended: deadlines that passed meanwhile have passed."""
        self._origin += max(0, by)

    def draw(self) -> float:
        """Return a uniform random number in [0, 1)."""
        return self._random.random()

    def new_id(self) -> str:
        """Return an id: milliseconds of `now` in base 16, and 48 random bits."""
        return f"{self.now() // 1_000_000:011x}{self._random.getrandbits(48):012x}"


class VirtualWorld:
    """A world for tests and simulations: trio's clock (a virtual one, as a rule), a seed, and clocks that can be bent.

    One that was made before trio runs begins when it is first asked in there. Outside of trio only `forward` moves its time.

    Args:
        seed: decides chance and ids.
        origin: what `now` and `wall` are when the world begins, in ns.
    """

    def __init__(self, seed: int = 0, origin: int = 1_790_000_000 * SECONDS) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._trio_origin = _trio_now()
        self._origin = origin
        self._wall = origin
        self._asleep = 0

    def _elapsed(self) -> int:
        now = _trio_now()
        if now is None:
            return 0
        if self._trio_origin is None:
            self._trio_origin = now
        return round((now - self._trio_origin) * SECONDS)

    def now(self) -> int:
        """Return the time for decisions, in ns."""
        return self._origin + self._elapsed()

    def wall(self) -> int:
        """Return the time for records, in ns since 1970."""
        return self._wall + self._elapsed()

    def asleep(self) -> int:
        """Return for how long the machine has been suspended in all, in ns."""
        return self._asleep

    def forward(self, by: int) -> None:
        """Move `now` forward by the time, in ns, that the machine was suspended."""
        self._origin += max(0, by)

    def step_wall(self, by: int) -> None:
        """Set the wall clock by *by* ns, as a person or a time server would."""
        self._wall += by

    def suspend(self, length: int) -> None:
        """Suspend the machine for *length* ns: no task notices, the wall clock moves on, the monotonic one stands."""
        self._asleep += length
        self._wall += length

    def draw(self) -> float:
        """Return a uniform random number in [0, 1)."""
        return self._random.random()

    def new_id(self) -> str:
        """Return an id that sorts after those of earlier milliseconds."""
        return f"{self.now() // 1_000_000:011x}{self._random.getrandbits(48):012x}"


def _trio_now() -> float | None:
    return trio.current_time() if trio.lowlevel.in_trio_run() else None


def here() -> tuple[int, str]:
    """Return this process's id and the name of its host."""
    return os.getpid(), socket.gethostname()


def cpu_seconds() -> float:
    """Return the CPU time this process has used, in seconds; for displays."""
    return time.process_time()


def wall_now() -> int:
    """Return the wall clock in ns since 1970, for tools that read a journal and tell its age."""
    return time.time_ns()


def draw_uint32() -> int:
    """Return a random number of 32 bits, for wire fields that want a fresh one a request."""
    return random.getrandbits(32)


def random_id() -> str:
    """Return an id for something a process without a gateway asks for; like those of `World.new_id`."""
    return f"{time.time_ns() // 1_000_000:011x}{random.getrandbits(48):012x}"
