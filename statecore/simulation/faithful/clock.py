"""The run: real trio on a virtual clock, in which a seed decides who goes first and a loop that spins is a failure."""

import random  # noqa: TID251 - the run's own, from its seed
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from unittest import mock

import attrs
import trio
from trio._core import _run
from trio.testing import MockClock

from statecore.errors import StatecoreError
from statecore.simulation.faithful.kernel import PROCESS

T = TypeVar("T")

STEPS_AT_ONCE: Final = 50_000
"""Task steps at one instant of virtual time. More is a loop that waits for nothing, which would run for ever here."""

STEPS_FREE: Final = 400
STEPS_PER_ROW: Final = 20
"""Steps that one task may take within one virtual second: a task that waits for something real takes a few dozen, and what is
written in that second pays for more. A loop that polls at the driver's own floor of 5 ms takes two hundred."""

STEPS_PER_ANSWER: Final = 10
"""What a platform sends pays for steps of its own tasks: a session that is resumed is sent at once all that it has missed."""


class Spun(StatecoreError):
    """A loop went round without waiting for anything.

    Args:
        said: which, and how often.
        steps: what was counted until then.
    """

    def __init__(self, said: str, steps: "Steps") -> None:
        super().__init__(said)
        self.steps = steps


class Hung(StatecoreError):
    """The run was not over when it had to be."""


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts task steps, and ends a run that spins.

    Args:
        clock: the virtual one.
        scope: what is cancelled then.
        paid: returns how many rows were written so far.
        answered: returns how often platforms have sent something so far.
    """

    clock: MockClock
    scope: trio.CancelScope
    paid: Callable[[], int]
    answered: Callable[[], int]
    total: int = 0
    instants: int = 0
    spun: str = ""
    busiest: tuple[int, str] = (0, "")
    _at: float = -1.0
    _here: int = 0
    _second: int = -1
    _rows: int = 0
    _answers: int = 0
    _tasks: Counter[trio.lowlevel.Task] = attrs.field(factory=Counter)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count one."""
        self.total += 1
        now = self.clock.current_time()
        if now != self._at and not self.spun:
            self._at, self._here = now, 0
            self.instants += 1
            if int(now) != self._second:
                self._look_back()
                self._second = int(now)
        self._here += 1
        self._tasks[task] += 1
        if self._here > STEPS_AT_ONCE:
            self._stop(f"more than {STEPS_AT_ONCE} task steps at second {now:g}")
            if self._here % 1000 == 0:
                self.clock.jump(60)  # what is shielded has deadlines, as a rule

    def _look_back(self) -> None:
        rows, self._rows = self.paid() - self._rows, self.paid()
        answers, self._answers = self.answered() - self._answers, self.answered()
        for task, steps in sorted(self._tasks.items(), key=lambda item: (-item[1], item[0].name)):
            if steps > self.busiest[0]:
                self.busiest = (steps, _name(task))
            if steps <= STEPS_FREE + STEPS_PER_ROW * rows:
                break
            if task.context.get(PROCESS) is not None or steps > STEPS_FREE + STEPS_PER_ANSWER * answers:
                self._stop(
                    f"{_name(task)} took {steps} steps in second {self._second}, in which {rows} rows were written"
                )
        self._tasks.clear()

    def _stop(self, why: str) -> None:
        if not self.spun:
            top = ", ".join(f"{_name(task)} {steps}" for task, steps in self._tasks.most_common(3))
            self.spun = f"{why}: {top}"
            self.scope.cancel()


def _name(task: trio.lowlevel.Task) -> str:
    process = task.context.get(PROCESS)
    return f"{process.name}:{task.name}" if process is not None else task.name


def virtual(
    main: Callable[[], Awaitable[T]],
    *,
    seed: int,
    limit_s: float,
    paid: Callable[[], int] = lambda: 0,
    answered: Callable[[], int] = lambda: 0,
) -> tuple[T, Steps]:
    """Run something on a virtual clock that starts at 0.

    Args:
        main: what.
        seed: decides which task runs first wherever several could.
        limit_s: virtual seconds after which it has hung.
        paid: returns how many rows were written so far.
        answered: returns how often platforms have sent something so far.

    Raises:
        Spun: a task waited for nothing.
        Hung: it was not over in time.
    """
    counted: list[Steps] = []

    async def bounded() -> T:
        with trio.CancelScope() as scope:
            steps = Steps(clock, scope, paid, answered)
            counted.append(steps)
            trio.lowlevel.add_instrument(steps)
            try:
                with trio.fail_after(limit_s):
                    return await main()
            except trio.TooSlowError:
                raise Hung(f"the run was not over after {limit_s:g} virtual seconds") from None
            finally:
                trio.lowlevel.remove_instrument(steps)
        raise Spun(steps.spun or "the run cancelled itself", steps)

    clock = MockClock(autojump_threshold=0)
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    # Trio's scheduler is made repeatable in the way in which Hypothesis does it.
    with mock.patch.object(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True), mock.patch.object(_run, "_r", chance):
        try:
            return trio.run(bounded, clock=clock), counted[0]
        except BaseExceptionGroup as group:
            raise _alone(group) from None


def _alone(error: BaseException) -> BaseException:
    """Take the only error out of the groups that nurseries put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
