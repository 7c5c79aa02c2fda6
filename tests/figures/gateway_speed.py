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
    slow for all three, and one that has its moods within a round favours anybody. Of the ways to spread the machines over
    accounts, the slowest must hold.
    """
    memory = dispatch.compare()
    with scratch() as folder:
        rounds = durable.compare(folder)
    of_raw = {accounts: _middle([one.of_raw(accounts) for one in rounds]) for accounts in durable.ACCOUNTS}
    worst = min(of_raw, key=of_raw.__getitem__)
    raw = next(one for one in rounds if one.of_raw(worst) == of_raw[worst])
    other = _middle([one.of_eventsourcing(worst) for one in rounds])
    ours = raw.journal[worst]
    return Measured(
        f"step {memory.step:.2f} us, {memory.ratio:.2f} times as fast as transitions' {memory.rival:.1f} us; "
        f"{ours.per_second:.0f} durable transitions/s, {of_raw[worst]:.3f} of sqlite3's {raw.raw.per_second:.0f} "
        f"and {other:.2f} times eventsourcing's {raw.eventsourcing.per_second:.0f}",
        holds=memory.ratio >= DISPATCH_TIMES_MIN and of_raw[worst] >= OF_RAW_MIN and other >= OF_EVENTSOURCING_MIN,
        notes=(
            f"transitions on a plain object {memory.transitions:.1f} us, on the same frozen data {memory.frozen:.1f} us",
            *(
                f"of sqlite3, with the machines in {accounts} accounts: {share:.3f}; a round: "
                + ", ".join(f"{one.of_raw(accounts):.2f}" for one in rounds)
                for accounts, share in of_raw.items()
            ),
            "times eventsourcing, a round: " + ", ".join(f"{one.of_eventsourcing(worst):.1f}" for one in rounds),
            f"durable after: p50 {ours.p50_ms:.2f} ms, p99 {ours.p99_ms:.2f} ms",
            f"one commit of sqlite3 alone: p50 {raw.raw.p50_ms:.2f} ms, p99 {raw.raw.p99_ms:.2f} ms",
        ),
    )


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
