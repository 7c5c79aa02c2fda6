"""Timing that can be compared: in turns, the best of many counts, no garbage collection in between."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from timeit import default_timer
from typing import Final

ROUNDS: Final = 60
"""Turns of each, of which the best counts: what disturbs a turn only ever makes it slower."""

TURN_S: Final = 0.005
"""One turn lasts about this long, whatever is timed, so that all have the same chance not to be disturbed in one."""

TRIAL: Final = 300
"""Operations that tell how many make a turn."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the garbage collector from running in here."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def best_us(cases: Sequence[Callable[[int], object]], rounds: int = ROUNDS) -> list[float]:
    """Return microseconds an operation of each case, taken in turns.

    Args:
        cases: functions that do their operation as often as they are told.
        rounds: turns of each.
    """
    with undisturbed():
        counts = [max(TRIAL, round(TURN_S / min(_seconds(run, TRIAL) for _ in range(5)))) for run in cases]
        turns = [[_seconds(run, count) for run, count in zip(cases, counts, strict=True)] for _ in range(rounds)]
    return [min(took) * 1e6 for took in zip(*turns, strict=True)]


def _seconds(run: Callable[[int], object], count: int) -> float:
    began = default_timer()
    run(count)
    return (default_timer() - began) / count


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of all values do not exceed.

    >>> percentile([3, 1, 2], 0.5)
    2
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
