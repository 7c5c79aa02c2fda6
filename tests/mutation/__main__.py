"""Break the shipped machines and policies, one row or constant at a time, and show which test notices.

    python -m tests.mutation                        everything; a quarter of an hour of one processor, shared by all
    python -m tests.mutation --machine delivery     one machine's table
    python -m tests.mutation --module policies.circuit
    python -m tests.mutation --sample 40            a few of all of them, to see that this still works
    python -m tests.mutation --json

A line for each row of a table, and for each function of a module: how many mutants, and the first test that notices.
What no test notices is told on lines of its own, and the exit status is 1 then; so it is if what is listed as equivalent
is not.
"""

import argparse
import functools
import importlib
import json
import multiprocessing
import os
import random  # noqa: TID251 - which sample is tried is given by its seed
import sys
from collections.abc import Callable, Iterator, Sequence
from time import monotonic  # noqa: TID251 - for people; nothing is decided by it
from typing import Any, Final

import attrs

from statecore.machines import MACHINES as DEFINITIONS
from tests.mutation import source, subjects, tables, trial
from tests.mutation.equivalents import EQUIVALENTS

PACKAGES: Final = ("statecore", "statecore_adapters", "statecore_journal", "statecore_diagrams", "tests")
"""What is imported anew for a mutant of a module."""

Mutant = tables.TableMutant | source.SourceMutant


@attrs.frozen
class Result:
    """What became of one mutant.

    Args:
        mutant: the mutant.
        noticed: by what.
        equivalent: why nothing could notice; empty if something should.
    """

    mutant: Mutant
    noticed: trial.Noticed
    equivalent: str

    @property
    def survived(self) -> bool:
        """Whether a test is missing."""
        return not self.noticed.by and not self.equivalent

    @property
    def group(self) -> str:
        """The row, or the function."""
        return self.mutant.place if self.mutant.kind != "source" else self.mutant.place.partition(":")[0]


def main() -> int:
    """Run the command line."""
    options = _options()
    os.nice(max(0, 10 - os.nice(0)))
    jobs = list(_jobs(options))
    if options.sample:
        jobs = random.Random(options.seed).sample(jobs, min(options.sample, len(jobs)))
    if options.only:
        jobs = [job for job in jobs if options.only in job[1].name]
    if options.list:
        print("\n".join(mutant.name for _, mutant in jobs))
        return 0
    _preload()
    trial.prepare()
    began, results = monotonic(), []
    for result in _all(jobs, options.stages, options.jobs):
        results.append(result)
        _progress(len(results), len(jobs), results)
    stale = [] if options.sample or options.only else _stale(jobs, results)
    if options.json:
        print(json.dumps({"mutants": [_as_json(result) for result in results], "stale": stale}, indent=2))
    else:
        _tell(results, monotonic() - began)
        for pattern in stale:
            print(f"listed as equivalent, and not: {pattern}")
    return 1 if stale or any(result.survived for result in results) else 0


def _options() -> argparse.Namespace:
    names = [subject.name for subject in subjects.MACHINES]
    modules = [subject.name for subject in (*subjects.MACHINES, *subjects.MODULES)]
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--machine", action="append", choices=names, help="the table of this machine; may be repeated")
    parser.add_argument("--module", action="append", choices=modules, help="the source of this module; may be repeated")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--only", metavar="TEXT", help="only mutants whose name holds this")
    parser.add_argument(
        "--stages",
        type=int,
        default=3,
        choices=(1, 2, 3),
        help="1: its own examples; 2: its properties too; 3: scenarios too",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at once")
    parser.add_argument("--list", action="store_true", help="name the mutants, and try none")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _jobs(options: argparse.Namespace) -> Iterator[tuple[subjects.Subject, Mutant]]:
    everything = not options.machine and not options.module
    for subject in subjects.MACHINES:
        if everything or subject.name in (options.machine or ()):
            yield from ((subject, mutant) for mutant in tables.of(DEFINITIONS[subject.name]))
    for subject in (*subjects.MACHINES, *subjects.MODULES):
        if everything or subject.name in (options.module or ()):
            yield from ((subject, mutant) for mutant in source.of(subject.module))


def _preload() -> None:
    """Import what the tests will want, once for all trials."""
    for module in ("statecore.gateway", "statecore_journal", "statecore_adapters.weixin", "statecore_adapters.qqbot"):
        importlib.import_module(module)


# ---- trying ----------------------------------------------------------------------------------------------------------


_JOBS: Final[list[tuple[subjects.Subject, Mutant]]] = []
"""What is tried. A mutant is made of functions, which cannot be sent to another process, so forked ones find them here."""


def _all(jobs: Sequence[tuple[subjects.Subject, Mutant]], stages: int, at_once: int) -> Iterator[Result]:
    """Try mutants in so many processes."""
    _JOBS[:] = jobs
    with multiprocessing.get_context("fork").Pool(at_once) as pool:
        found = pool.imap(functools.partial(_noticed_of, stages), range(len(jobs)))
        for (_, mutant), noticed in zip(jobs, found, strict=True):
            yield Result(mutant, noticed, EQUIVALENTS.get(mutant.name, ""))


def _noticed_of(stages: int, number: int) -> trial.Noticed:
    return _noticed(*_JOBS[number], stages)


def _noticed(subject: subjects.Subject, mutant: Mutant, stages: int) -> trial.Noticed:
    change = _change(mutant)
    figure = isinstance(mutant, source.SourceMutant) and not mutant.function
    asked: Sequence[tuple[Sequence[str], bool]] = [
        (subject.near[::-1] if figure else subject.near, False),
        ((*subject.near, *subject.drawn), True),
        *(((one,), False) for one in subject.far),
    ]
    asked = asked[: len(asked) if stages > 2 else stages]
    total = trial.Noticed("", 0, 0.0)
    for tests, drawn in asked[:1] if mutant.name in EQUIVALENTS else asked:
        noticed = trial.run(subject.name, change, tests, drawn=drawn)
        total = trial.Noticed(noticed.by, total.tests + noticed.tests, total.seconds + noticed.seconds)
        if noticed.by:
            break
    return total


def _change(mutant: Mutant) -> Callable[[], Any]:
    if isinstance(mutant, source.SourceMutant):
        return lambda: mutant.put(PACKAGES)

    def change() -> None:
        machine = DEFINITIONS[mutant.subject]
        vars(machine).update(vars(mutant.build(machine)))  # in place: others hold the machine already

    return change


def _stale(jobs: Sequence[tuple[subjects.Subject, Mutant]], results: Sequence[Result]) -> list[str]:
    """Return what is listed as equivalent and was noticed, or is no mutant of the subjects that were tried."""
    tried = {mutant.subject for _, mutant in jobs}
    unnoticed = {result.mutant.name for result in results if not result.noticed.by}
    return [name for name in EQUIVALENTS if name.partition(":")[0] in tried and name not in unnoticed]


# ---- telling ---------------------------------------------------------------------------------------------------------


def _progress(number: int, of: int, results: Sequence[Result]) -> None:
    last = results[-1]
    if last.survived:
        print(f"survived: {last.mutant.name}", file=sys.stderr, flush=True)
    elif number % 50 == 0:
        print(f"{number} of {of} ...", file=sys.stderr, flush=True)


def _tell(results: Sequence[Result], seconds: float) -> None:
    for subject in dict.fromkeys(result.mutant.subject for result in results):
        own = [result for result in results if result.mutant.subject == subject]
        print(f"{subject}: {_counted(own)}")
        for group in dict.fromkeys(result.group for result in own):
            those = [result for result in own if result.group == group]
            by = next((result.noticed.by for result in those if result.noticed.by.startswith("tests/")), "")
            by = by or next((result.noticed.by for result in those if result.noticed.by), "nothing")
            print(f"  {group}\n      {_counted(those)}; first noticed by {by.rpartition('/')[2]}")
            for result in those:
                if result.survived:
                    print(f"      SURVIVED {result.mutant.place}: {result.mutant.change}")
    print(f"all: {_counted(results)}, in {seconds:.0f} s")


def _counted(results: Sequence[Result]) -> str:
    refused = sum(result.noticed.by.startswith("the definition") for result in results)
    noticed = sum(bool(result.noticed.by) for result in results) - refused
    equivalent = sum(bool(result.equivalent) for result in results)
    survived = sum(result.survived for result in results)
    counts = [(noticed, "noticed by tests"), (refused, "refused at definition"), (equivalent, "equivalent")]
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{len(results)} mutants: {said}{', ' if said else ''}{survived} survived"


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "subject": result.mutant.subject,
        "kind": result.mutant.kind,
        "place": result.mutant.place,
        "change": result.mutant.change,
        "noticed_by": result.noticed.by or None,
        "equivalent": result.equivalent or None,
        "survived": result.survived,
        "tests": result.noticed.tests,
        "seconds": round(result.noticed.seconds, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
