"""Figure 8 of the gateway: the step and the journal, beside what others take for the same."""

from typing import Final

from tests.bench import dispatch, durable
from tests.figures.registry import Measured, scratch

DISPATCH_TIMES_MIN: Final = 4.0
OF_RAW_MIN: Final = 0.5
OF_EVENTSOURCING_MIN: Final = 8.0


def speed() -> Measured:
    """Measure dispatch in memory, then durable transitions; each with its rivals in turn.

    In memory the best turn of each counts, on the disk the middle one of the rounds: a disk that is slow for a while is
    slow for all three, and one that has its moods within a round favours anybody.
    """
    memory = dispatch.compare()
    with scratch() as folder:
        rounds = durable.compare(folder)
    half = len(rounds) // 2
    raw = sorted(rounds, key=lambda one: one.of_raw)[half]
    other = sorted(rounds, key=lambda one: one.of_eventsourcing)[half]
    return Measured(
        f"step {memory.step:.2f} us, {memory.ratio:.2f} times as fast as transitions' {memory.rival:.1f} us; "
        f"{raw.journal.per_second:.0f} durable transitions/s, {raw.of_raw:.3f} of sqlite3's {raw.raw.per_second:.0f} "
        f"and {other.of_eventsourcing:.2f} times eventsourcing's {other.eventsourcing.per_second:.0f}",
        holds=memory.ratio >= DISPATCH_TIMES_MIN
        and raw.of_raw >= OF_RAW_MIN
        and other.of_eventsourcing >= OF_EVENTSOURCING_MIN,
        notes=(
            f"transitions on a plain object {memory.transitions:.1f} us, on the same frozen data {memory.frozen:.1f} us",
            "of sqlite3, a round: " + ", ".join(f"{one.of_raw:.2f}" for one in rounds),
            "times eventsourcing, a round: " + ", ".join(f"{one.of_eventsourcing:.1f}" for one in rounds),
            f"durable after: p50 {raw.journal.p50_ms:.2f} ms, p99 {raw.journal.p99_ms:.2f} ms",
            f"one commit of sqlite3 alone: p50 {raw.raw.p50_ms:.2f} ms, p99 {raw.raw.p99_ms:.2f} ms",
        ),
    )
