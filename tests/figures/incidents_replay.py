"""Figure 1 of incidents: how fast a journal is replayed and verified, beside `eventsourcing`, and in how much memory.

Each measurement is made in a process of its own, so its peak of memory is about nothing else. Journals are days of made-up
accounts (see `incidents_days`); the long ones are one of a million rows, written again and again under other names.
"""

import json
import os
import subprocess
import sys
from typing import Any, Final

from tests.figures.incidents_days import multiply, write
from tests.figures.registry import ROOT, Measured, scratch

RATE_MIN: Final = 200_000
TIMES_MIN: Final = 8.0
GROWTH_MB_MAX: Final = 16
"""How much more a journal of millions may take than one of 10^4: what is held of lately active instances, and no more."""

BASE: Final = 250_000
"""Rows that are made up; longer journals are these again and again, under accounts of other names."""

SIZES: Final = (10_000, 100_000, 1_000_000)
LARGEST: Final = int(os.environ.get("STATECORE_FIGURE_EVENTS", "10000000"))
"""Rows of the largest journal. Where a disk or a processor is slow, 3000000 says nearly as much in a third of the time."""

TURNS: Final = 3
"""Of so many turns the best counts: nothing makes a computation faster than it is."""

WORKS: Final = ("replay", "verify")


def replaying() -> Measured:
    """Measure speed in turns with `eventsourcing`, then memory over sizes."""
    with scratch() as folder:
        journals = {size: folder / f"{size}.db" for size in (*SIZES, LARGEST)}
        for size, path in journals.items():
            write(path, min(size, BASE))
            multiply(path, size // BASE - 1)
        compared = journals[SIZES[-1]]
        _work("record", compared, folder / "eventsourcing.db")
        speeds: dict[str, float] = {}
        for _ in range(TURNS):
            for name, rate in (
                ("eventsourcing", _work("rebuild", folder / "eventsourcing.db")["rate"]),
                *((work, _work(work, compared, 0)["rate"]) for work in WORKS),
                *((f"{work} alone", _work(work, compared, 1)["rate"]) for work in WORKS),
            ):
                speeds[name] = max(rate, speeds.get(name, 0.0))
        memory = {size: {work: _work(work, path, 1) for work in WORKS} for size, path in journals.items()}
        return _judged(speeds, memory)


def _work(name: str, *arguments: object) -> dict[str, Any]:
    """Do a piece of work in a process of its own."""
    command = [sys.executable, "-m", "tests.figures.incidents_work", name, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _judged(speeds: dict[str, float], memory: dict[int, dict[str, Any]]) -> Measured:
    smallest, largest = min(memory), max(memory)
    growth = {work: memory[largest][work]["peak"] - memory[smallest][work]["peak"] for work in WORKS}
    times = {work: speeds[work] / speeds["eventsourcing"] for work in WORKS}
    return Measured(
        "; ".join(
            f"{work} {speeds[work]:,.0f} events/s, {times[work]:.1f} times eventsourcing's {speeds['eventsourcing']:,.0f}, "
            f"{growth[work]:+.0f} MB from {smallest:,} to {largest:,} events"
            for work in WORKS
        ),
        holds=min(speeds[work] for work in WORKS) >= RATE_MIN
        and min(times.values()) >= TIMES_MIN
        and max(growth.values()) <= GROWTH_MB_MAX,
        notes=(
            f"as the commands do it, by a process a processor ({len(os.sched_getaffinity(0))} here); by one alone: "
            + ", ".join(f"{work} {speeds[f'{work} alone']:,.0f} events/s" for work in WORKS),
            *(
                f"{size:,} events by one process: "
                + ", ".join(
                    f"{work} peaks at {one['peak']:.0f} MB after {one['took']:.1f} s" for work, one in found.items()
                )
                for size, found in sorted(memory.items())
            ),
        ),
    )
