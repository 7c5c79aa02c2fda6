"""What the tasks of accounts wait with: a bell each, and one clock for all of a process.

An event of trio's and a timer of its own would be 1.4 kB for each of a thousand accounts that wait, and a cancellation for
each time that comes.
"""

import heapq
import math
from typing import Any, Final

import trio

NEVER: Final = math.inf

KEPT: Final = 64
"""Entries of a clock before it is looked through for those that mean nothing any more."""


class Bell:
    """Wakes one task. It may be rung before that waits.

    Args:
        clock: rings it when its time has come.

    Attributes:
        due: when the clock is to ring it, in seconds of trio's clock.
        armed: for when it stands in the clock; that may be earlier.
    """

    __slots__ = ("_clock", "_rung", "_task", "armed", "due")

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._rung = False
        self._task: trio.lowlevel.Task | None = None
        self.due = NEVER
        self.armed = NEVER

    def ring(self) -> None:
        """Wake whoever waits, or else whoever comes to wait next."""
        self._rung = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    async def wait(self, within: float = NEVER) -> None:
        """Wait until it is rung.

        Args:
            within: seconds after which the clock rings it.
        """
        if self._rung or within <= 0:
            await trio.lowlevel.checkpoint()
        else:
            self.due = trio.current_time() + within
            if self.due < self.armed:
                self._clock.arm(self)
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        self._rung = False

    def _give_up(self, _: Any) -> trio.lowlevel.Abort:
        self._task = None
        self.due = NEVER
        return trio.lowlevel.Abort.SUCCEEDED


class Clock:
    """Rings bells when their time has come, as long as `run` runs."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Bell]] = []
        self._sweep_at = KEPT
        self._count = 0  # among those of one time the first comes first
        self._sooner = trio.Event()
        self._next = NEVER

    def arm(self, bell: Bell) -> None:
        """Take note of when a bell is due. One that is put off later stands where it stood."""
        bell.armed = bell.due
        self._count += 1
        if len(self._heap) > self._sweep_at:
            self._sweep()
        heapq.heappush(self._heap, (bell.due, self._count, bell))
        if bell.due < self._next:
            self._sooner.set()

    def _sweep(self) -> None:
        """Forget what stands there for bells that were rung earlier, or stand there twice: else it would pile up."""
        standing = {bell: (at, number, bell) for at, number, bell in self._heap if at == bell.armed}
        self._heap = list(standing.values())
        heapq.heapify(self._heap)
        self._sweep_at = max(KEPT, 2 * len(self._heap))

    async def run(self) -> None:
        """Ring, for ever."""
        while True:
            self._next = self._heap[0][0] if self._heap else NEVER
            with trio.move_on_at(self._next):
                await self._sooner.wait()
                self._sooner = trio.Event()
            self._ring(trio.current_time())

    def _ring(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            at, _, bell = heapq.heappop(self._heap)
            if at != bell.armed:
                continue  # it was armed for earlier since, and has been rung then
            bell.armed = NEVER
            if bell.due <= now:
                bell.ring()
            elif bell.due < NEVER:
                self.arm(bell)
