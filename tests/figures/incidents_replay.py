"""Figure 1 of incidents: how fast a journal is replayed and verified, beside `eventsourcing`, and in how much memory.

Each measurement is made in a process of its own, so its peak of memory is about nothing else. Journals are days of made-up
accounts (see `incidents_days`); the long ones are one of a million rows, written again and again under other names.
"""

import json
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from timeit import default_timer
from typing import Any, Final
from uuid import UUID  # noqa: TID251 - a type of the library that is compared with

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from statecore_journal import open_reader, replay, verify
from tests.figures.incidents_days import multiply, write
from tests.figures.registry import ROOT, Measured, scratch

RATE_MIN: Final = 200_000
TIMES_MIN: Final = 8.0
GROWTH_MB_MAX: Final = 16
"""How much more a journal of millions may take than one of 10^4: what is held of lately active instances, and no more."""

SIZES: Final = (10_000, 100_000, 1_000_000)
LARGEST: Final = int(os.environ.get("STATECORE_FIGURE_EVENTS", "10000000"))
"""Rows of the largest journal. On a slow disk, set it to 3000000: that takes a third of the time."""

COMPARED: Final = 60_000
"""Events that both rebuild for the comparison."""

TURNS: Final = 5
"""Of so many turns the best counts: nothing makes a computation faster than it is."""


def replaying() -> Measured:
    """Measure speed in turns with `eventsourcing`, then memory over sizes."""
    with scratch() as folder:
        compared, journal = folder / "compared.db", folder / "days.db"
        write(compared, COMPARED)
        theirs = _as_aggregates(compared, folder / "eventsourcing.db")
        write(journal, SIZES[1])
        speeds: dict[str, float] = {}
        for _ in range(TURNS):
            for name, rate in (
                ("eventsourcing", _apart("rebuild", theirs)["rate"]),
                ("replay", _apart("replay", compared)["rate"]),
                ("verify", _apart("verify", compared)["rate"]),
            ):
                speeds[name] = max(rate, speeds.get(name, 0.0))
        memory = _memory(folder)
        return _judged(speeds, memory)


def _judged(speeds: dict[str, float], memory: dict[int, dict[str, Any]]) -> Measured:
    smallest, largest = min(memory), max(memory)
    rates = {work: memory[largest][work]["rate"] for work in ("replay", "verify")}
    growth = {work: memory[largest][work]["peak"] - memory[smallest][work]["peak"] for work in ("replay", "verify")}
    times = {work: speeds[work] / speeds["eventsourcing"] for work in ("replay", "verify")}
    return Measured(
        "; ".join(
            f"{work} {rates[work]:,.0f} events/s, {times[work]:.1f} times eventsourcing's {speeds['eventsourcing']:,.0f}, "
            f"{growth[work]:+.0f} MB from {smallest:,} to {largest:,} events"
            for work in ("replay", "verify")
        ),
        holds=min(rates.values()) >= RATE_MIN
        and min(times.values()) >= TIMES_MIN
        and max(growth.values()) <= GROWTH_MB_MAX,
        notes=(
            f"one process, {COMPARED:,} events: replay {speeds['replay']:,.0f}/s, verify {speeds['verify']:,.0f}/s",
            *(
                f"{size:,} events: "
                + ", ".join(
                    f"{work} {found['rate']:,.0f}/s in {found['took']:.1f} s by {found['jobs']} processes, "
                    f"peak of one {found['peak']:.0f} MB"
                    for work, found in memory[size].items()
                )
                for size in sorted(memory)
            ),
        ),
    )


def _memory(folder: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for size in SIZES:
        journal = folder / f"{size}.db"
        write(journal, size)
        found[size] = {work: _apart(work, journal, jobs=0) for work in ("replay", "verify")}
        if size != SIZES[-1]:
            journal.unlink()
    if SIZES[-1] < LARGEST:
        multiply(journal, LARGEST // SIZES[-1] - 1)
        found[LARGEST] = {work: _apart(work, journal, jobs=0) for work in ("replay", "verify")}
    return found


# ---- in a process of its own -----------------------------------------------------------------------------------------


def _apart(work: str, path: Path, jobs: int = 1) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.figures.incidents_replay", work, str(path), str(jobs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _replay(path: Path, jobs: int) -> int:
    with replay(path, jobs=jobs) as found:
        assert not found.parted, found.parted[0]
        return found.events


def _verify(path: Path, jobs: int) -> int:
    found = verify(path, jobs=jobs)
    assert found.holds, found
    return found.events


def _rebuild(path: Path, _jobs: int) -> int:
    application = _application(path)
    try:
        versions = 0
        for id_ in json.loads(path.with_suffix(".json").read_text()):
            instance: Any = application.repository.get(UUID(id_))
            versions += instance.version - 1  # the first is the creation, which no row of ours stands for
        return versions
    finally:
        application.close()


WORKS: Final[dict[str, Callable[[Path, int], int]]] = {"replay": _replay, "verify": _verify, "rebuild": _rebuild}


def main(work: str, path: str, jobs: str) -> None:
    """Do one piece of work, and print how fast it was and how much memory the process that took most had."""
    began = default_timer()
    events = WORKS[work](Path(path), int(jobs))
    took = default_timer() - began
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    processes = max(1, min(len(os.sched_getaffinity(0)), 8)) if jobs == "0" and events >= 200_000 else 1
    print(json.dumps({"rate": events / took, "took": took, "peak": used / 1024, "jobs": processes, "events": events}))


# ---- eventsourcing ---------------------------------------------------------------------------------------------------


class Instance(Aggregate):
    """An instance of a machine as an aggregate of that library: the same events, with the same fields."""

    @event("Begun")
    def __init__(self, address: str) -> None:
        self.address = address
        self.state = ""
        self.at = 0
        self.fields: dict[str, Any] = {}

    @event("Happened")
    def happen(self, name: str, at: int, target: str, fields: dict[str, Any]) -> None:
        """Take one event."""
        self.state = target
        self.at = at
        self.fields = fields


def _application(path: Path) -> Application[Any]:
    environment = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    return Application(environment)


def _as_aggregates(journal: Path, path: Path) -> Path:
    """Write the instances of a journal as aggregates; return where they are."""
    application = _application(path)
    ids = []
    lengths: Counter[str] = Counter()
    with open_reader(journal) as reader:
        held: dict[str, Instance] = {}
        for row in reader.log():
            one = held.get(row.machine) or held.setdefault(row.machine, Instance(address=row.machine))
            one.happen(name=row.event, at=row.at, target=row.target, fields=row.fields)
            lengths[row.machine] += 1
    for one in held.values():
        application.save(one)
        ids.append(str(one.id))
    application.close()
    path.with_suffix(".json").write_text(json.dumps(ids))
    return path


if __name__ == "__main__":
    main(*sys.argv[1:])
