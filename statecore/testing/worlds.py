"""A virtual clock for tests: hours pass in milliseconds, a seed decides the order of tasks, and spinning is a failure."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")

STEPS_AT_ONCE: Final = 100_000
"""Task steps at one instant of virtual time. More is a loop that waits for nothing, which would run for ever here. A thousand
accounts that wake together take some ten steps each."""

LIMIT_S: Final = 6 * 3600.0
"""Virtual seconds after which a test has hung, unless it asks for more."""


class _Steps(trio.abc.Instrument):
    """Counts task steps, and ends a run that spins."""

    def __init__(self, clock: MockClock, scope: trio.CancelScope) -> None:
        self._clock = clock
        self._scope = scope
        self._here = 0
        self.at = -1.0
        self.total = 0
        self.spun = False

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
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
    limit: float = LIMIT_S,
    stepped: Callable[[int], None] = lambda _: None,
) -> T:
    """Run an async function on a virtual clock that starts at 0: hours pass in milliseconds, and every run is the same.

    Args:
        main: what to run.
        seed: decides which task runs first wherever several could.
        limit: virtual seconds after which it has hung.
        stepped: told at the end how many steps tasks made.

    Raises:
        AssertionError: it hung, or span: so many steps at one moment that some loop waits for nothing.
    """
    from trio._core import _run  # the same switch by which Hypothesis and pytest-trio make the scheduler repeatable

    async def bounded() -> T:
        with trio.CancelScope() as scope:
            steps = _Steps(clock, scope)
            trio.lowlevel.add_instrument(steps)
            try:
                with trio.fail_after(limit):
                    return await main()
            except trio.TooSlowError:
                raise AssertionError(f"this was not over after {limit:g} virtual seconds") from None
            finally:
                trio.lowlevel.remove_instrument(steps)
                stepped(steps.total)
        if steps.spun:
            raise AssertionError(
                f"more than {STEPS_AT_ONCE} task steps at second {steps.at:g}: some loop waits for nothing"
            )
        raise AssertionError("what ran cancelled its own surroundings")

    clock = MockClock(autojump_threshold=0)
    run: Any = _run
    before = run._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    run._r.seed(seed)  # noqa: SLF001
    try:
        return trio.run(bounded, clock=clock)
    except BaseExceptionGroup as group:
        raise alone(group) from None
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001
