"""The mutants themselves: that a few of them are noticed, and that what is listed as equivalent is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import attrs
import pytest

from statecore.machine import Signal
from statecore.machines import MACHINES
from statecore.machines.delivery import Delivery, PartRefused
from statecore.reading import Evidence, Then
from tests.mutation import source, subjects, tables
from tests.mutation.equivalents import EQUIVALENTS, EXCLUSIVE
from tests.support.command import environment

ROOT = Path(__file__).parents[2]


def test_a_sample_of_all_mutants_is_noticed(tmp_path: Path) -> None:
    """
    The whole run takes too long for every commit; this one sees that it still works, and that rows are still missed.
    """
    options = "--sample 6 --seed 4 --stages 1 --jobs 1 --json"
    command = [sys.executable, "-m", "tests.mutation", *options.split()]
    ran = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=300
    )

    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["mutants"]
    assert len(found) == 6
    by = [mutant["noticed_by"] or "" for mutant in found]
    assert sum(name.startswith("tests/") for name in by) >= 3
    assert any(name.startswith("the definition") for name in by)


@pytest.mark.parametrize("name", MACHINES)
def test_every_row_that_does_something_and_every_wait_is_broken_in_several_ways(name: str) -> None:
    """
    A row without mutants would be said to be noticed.
    """
    machine = MACHINES[name]
    mutants = tables.of(machine)
    changes: dict[str, set[str]] = {}
    for mutant in mutants:
        changes.setdefault(mutant.place, set()).add(mutant.change)
    awaited = sum(not isinstance(wait, Signal) for waits in machine.awaits.values() for wait in waits)

    rows = {mutant.place for mutant in mutants if mutant.kind == "row" and not mutant.place.endswith("-> ignored")}
    assert len(rows) == sum(not row.ignores for row in machine.table)
    assert len({mutant.place for mutant in mutants if mutant.kind == "wait"}) == awaited + len(machine.named)
    assert all(len(changes[row]) >= 2 for row in rows)
    names = [mutant.name for mutant in mutants]
    assert sorted(set(names)) == sorted(names), "equivalents are listed by name"


@pytest.mark.parametrize("subject", [*subjects.MACHINES, *subjects.MODULES], ids=lambda subject: subject.name)
def test_every_subject_has_mutants_and_tests(subject: subjects.Subject) -> None:
    """
    A file that was renamed must not silently become a subject without mutants, or without tests.
    """
    assert source.of(subject.module)
    for file in (*subject.near, *subject.drawn, *subject.far):
        assert (ROOT / file).is_file(), file


def test_guards_that_are_said_to_exclude_each_other_do() -> None:
    """
    Otherwise the order of their rows would matter, and nothing would notice a change of it.
    """
    machine = MACHINES["delivery"]
    guards = [row.when for row in machine.table if PartRefused in row.events and row.when is not None]
    said = {name for name, why in EQUIVALENTS.items() if why is EXCLUSIVE}
    refusal = PartRefused(code="-2", message="no", reading="-", then="retry", evidence=Evidence())

    assert len(guards) == len(said) + 1
    for then in get_args(Then):
        assert sum(guard(Delivery(), attrs.evolve(refusal, then=then)) for guard in guards) <= 1
