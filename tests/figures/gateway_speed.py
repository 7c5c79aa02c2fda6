"""Figure 8 of the gateway: the step and the journal, beside what others take for the same."""

from typing import Final

from tests.bench import dispatch, durable
from tests.figures.registry import Measured, scratch

DISPATCH_TIMES_MIN: Final = 4.0
OF_RAW_MIN: Final = 0.5
OF_EVENTSOURCING_MIN: Final = 8.0


def speed() -> Measured:
    """Measure dispatch in memory, then durable transitions; each with its rivals in turn, the best run of each."""
    memory = dispatch.compare()
    with scratch() as folder:
        disk = durable.compare(folder)
    return Measured(
        f"step {memory.step:.2f} us, {memory.ratio:.2f} times as fast as transitions' {memory.rival:.1f} us; "
        f"{disk.journal.per_second:.0f} durable transitions/s, {disk.of_raw:.3f} of sqlite3's {disk.raw.per_second:.0f} "
        f"and {disk.of_eventsourcing:.2f} times eventsourcing's {disk.eventsourcing.per_second:.0f}",
        holds=memory.ratio >= DISPATCH_TIMES_MIN
        and disk.of_raw >= OF_RAW_MIN
        and disk.of_eventsourcing >= OF_EVENTSOURCING_MIN,
        notes=(
            f"transitions on a plain object {memory.transitions:.1f} us, on the same frozen data {memory.frozen:.1f} us",
            f"durable after: p50 {disk.journal.p50_ms:.2f} ms, p99 {disk.journal.p99_ms:.2f} ms",
            f"one commit of sqlite3 alone: p50 {disk.raw.p50_ms:.2f} ms, p99 {disk.raw.p99_ms:.2f} ms",
        ),
    )
