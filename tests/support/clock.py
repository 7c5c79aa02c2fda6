"""A virtual clock: hours pass in milliseconds, the order of tasks is decided by a seed, and spinning is a failure."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import trio
from trio._core import _run
from trio.testing import MockClock

T = TypeVar("T")

STEPS_AT_ONCE: Final = 100_000
"""Task steps at one instant of virtual time. More is a loop that waits for nothing, which would run for ever here."""


class Steps(trio.abc.Instrument):
    """Counts task steps, and ends a run that spins.

    Attributes:
        total: steps so far.
        spun: whether time stood still for too many of them.
        at: the virtual second at which it did.
    """

    def __init__(self, clock: MockClock, scope: trio.CancelScope) -> None:
        self._clock = clock
        self._scope = scope
        self.at = -1.0
        self._here = 0
        self.total = 0
        self.spun = False

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        """Count one."""
        self.total += 1
        now = self._clock.current_time()
        if now != self.at and not self.spun:
            self.at, self._here = now, 0
        self._here += 1
        if self._here > STEPS_AT_ONCE:
            self.spun = True
            self._scope.cancel()
            if self._here % 1000 == 0:
                self._clock.jump(60)  # what is shielded has deadlines, as a rule


def alone(error: BaseException) -> BaseException:
    """Take the only error out of the groups that nurseries put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def virtual(
    main: Callable[[], Awaitable[T]],
    *,
    seed: int = 0,
    limit: float = 6 * 3600.0,
    stepped: Callable[[int], None] = lambda _: None,
) -> T:
    """Run a scenario on a virtual clock that starts at 0.

    Args:
        main: the scenario.
        seed: decides which task runs first wherever several could.
        limit: virtual seconds after which the scenario has hung.
        stepped: told at the end how many steps tasks made.

    Raises:
        AssertionError: it hung, or span.
    """

    async def bounded() -> T:
        with trio.CancelScope() as scope:
            steps = Steps(clock, scope)
            trio.lowlevel.add_instrument(steps)
            try:
                with trio.fail_after(limit):
                    return await main()
            except trio.TooSlowError:
                raise AssertionError(f"the scenario was not over after {limit:g} virtual seconds") from None
            finally:
                trio.lowlevel.remove_instrument(steps)
                stepped(steps.total)
        assert not steps.spun, f"more than {STEPS_AT_ONCE} task steps at second {steps.at:g}"
        raise AssertionError("the scenario cancelled its own harness")

    clock = MockClock(autojump_threshold=0)
    run: Any = _run  # trio's own tests and Hypothesis make its scheduler repeatable in the same way
    before = run._ALLOW_DETERMINISTIC_SCHEDULING
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    run._r.seed(seed)
    try:
        return trio.run(bounded, clock=clock)
    except BaseExceptionGroup as group:
        raise alone(group) from None
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before
