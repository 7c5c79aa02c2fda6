"""Figure 8 of the gateway: the step and the journal, beside what others take for the same."""

from collections.abc import Callable
from typing import Final

from tests.bench import dispatch, durable
from tests.bench.durable import Turn
from tests.figures.registry import Measured, scratch

DISPATCH_TIMES_MIN: Final = 4.0
OF_RAW_MIN: Final = 0.5
OF_EVENTSOURCING_MIN: Final = 8.0


def speed() -> Measured:
    """Measure dispatch in memory, then durable transitions; each with its rivals in turn.

    In memory the best turn of each counts, on the disk the middle one: a disk that is slow for a while is slow for all
    three, and one whose mood changes within a turn favours anybody. Of the ways to spread the machines over accounts, the
    slowest must hold.
    """
    memory = dispatch.compare()
    with scratch() as folder:
        turns = durable.compare(folder)
    middle = {accounts: _middle(found, lambda one: one.of_raw) for accounts, found in turns.items()}
    worst = min(middle, key=lambda accounts: middle[accounts].of_raw)
    raw = middle[worst]
    other = _middle(turns[worst], lambda one: one.of_eventsourcing)
    return Measured(
        f"step {memory.step:.2f} us, {memory.ratio:.2f} times as fast as transitions' {memory.rival:.1f} us; "
        f"{raw.journal.per_second:.0f} durable transitions/s, {raw.of_raw:.3f} of sqlite3's {raw.raw.per_second:.0f} "
        f"and {other.of_eventsourcing:.2f} times eventsourcing's {other.eventsourcing.per_second:.0f}",
        holds=memory.ratio >= DISPATCH_TIMES_MIN
        and raw.of_raw >= OF_RAW_MIN
        and other.of_eventsourcing >= OF_EVENTSOURCING_MIN,
        notes=(
            f"transitions on a plain object {memory.transitions:.1f} us, on the same frozen data {memory.frozen:.1f} us",
            *(
                f"machines in {accounts} accounts: {one.of_raw:.3f} of sqlite3, half of the turns between "
                f"{_quartile(turns[accounts], 1):.2f} and {_quartile(turns[accounts], 3):.2f}"
                for accounts, one in middle.items()
            ),
            f"durable after: p50 {raw.journal.p50_ms:.2f} ms, p99 {raw.journal.p99_ms:.2f} ms",
            f"one commit of sqlite3 alone: p50 {raw.raw.p50_ms:.2f} ms, p99 {raw.raw.p99_ms:.2f} ms",
        ),
    )


def _middle(turns: list[Turn], by: Callable[[Turn], float]) -> Turn:
    return sorted(turns, key=by)[len(turns) // 2]


def _quartile(turns: list[Turn], number: int) -> float:
    return sorted(turn.of_raw for turn in turns)[number * len(turns) // 4]
