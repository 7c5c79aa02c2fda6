"""The pytest plugin, run by pytest in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import statecore
from statecore.events import External
from statecore.testing import MemoryJournal, VirtualWorld, trial_of, virtual
from statecore.testing.stores import FileJournal, rebuilt, restored
from statecore.units import SECONDS
from tests.testing.broken import Looked, Pushed, door

pytest_plugins = ["pytester"]

ROOT = Path(statecore.__file__).parents[1]

SPARE = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio")
"""What these runs do not need, and starting takes most of their time."""

MACHINES = """
from statecore.machine import *
from statecore.events import External
import attrs

@attrs.frozen
class Door:
    pushes: int = 0

@attrs.frozen(kw_only=True)
class Pushed(External):
    hard: bool = False

def hard(was, event):
    return event.hard

door = Machine(
    "door", remembers=Door, initial="shut", awaits={"shut": Signal(Pushed), "open": Signal(Pushed)},
    table=[on("shut", Pushed, "open"), on("open", Pushed, "open", when=hard), on("open", Pushed, "shut")],
)
"""

TESTS = """
import pytest
from doors import Pushed, door

@pytest.mark.parametrize("hard", [False, {second}])
def test_pushes(hard):
    snapshot = door.step(door.start(), Pushed(), 0).snapshot
    assert door.step(snapshot, Pushed(hard=hard), 0)
"""


@pytest.fixture
def shop(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder with a machine and its tests, one of which can be left out."""
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(str(ROOT / folder) for folder in (".", "adapters", "journal", "diagrams"))
    )
    pytester.makepyfile(doors=MACHINES)
    pytester.syspathinsert()
    return pytester


def run(folder: pytest.Pytester, *arguments: str, second: str = "True") -> pytest.RunResult:
    """Run the tests in there in a process of its own, as whoever has the package does."""
    folder.makepyfile(test_doors=TESTS.replace("{second}", second))
    loaded = () if _installed() else ("-p", "statecore.testing.plugin")
    return folder.runpytest_subprocess(*SPARE, *loaded, *arguments)


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.value == "statecore.testing.plugin" for point in entry_points(group="pytest11"))


def test_what_a_run_went_through_is_reported(shop: pytest.Pytester) -> None:
    """
    All of it here, so a threshold of 100 holds.
    """
    result = run(shop, "--statecore-cover", "doors:door", "--statecore-cover-fail-under", "100")

    result.stdout.fnmatch_lines(
        ["*statecore coverage*", "door: 100 %, 3 of 3 transitions, 2 of 2 answers of guards, 0 of 0 timers"]
    )
    assert result.ret == 0


def test_a_run_that_went_through_too_little_fails(shop: pytest.Pytester) -> None:
    """
    And names what was never taken.
    """
    result = run(shop, "--statecore-cover", "doors:door", "--statecore-cover-fail-under", "100", second="False")

    result.stdout.fnmatch_lines(
        [
            "door: 60 %, 2 of 3 transitions, 1 of 2 answers of guards, 0 of 0 timers",
            "  never  open*Pushed [[]hard[]]*",
            "  never  open  Pushed: hard said yes",
            "FAILED: less than 100 % of door was gone through",
        ]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_what_workers_went_through_is_put_together(shop: pytest.Pytester) -> None:
    """
    Each of two workers runs one test, and only both together take all rows.
    """
    shop.makeini("[pytest]\nstatecore_cover = doors:door\nstatecore_cover_fail_under = 100\n")
    result = run(shop, "-n", "2", "--dist", "load")

    result.stdout.fnmatch_lines(["door: 100 %*"])
    assert result.ret == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--statecore-cover", "doors"), "--statecore-cover: 'doors' is no module:attribute"),
        (("--statecore-cover", "nowhere:door"), "--statecore-cover: nowhere cannot be imported"),
        (
            ("--statecore-cover", "doors:door", "--statecore-cover-fail-under", "many"),
            "it is a number from 0 to 100, not 'many'",
        ),
    ],
)
def test_a_slip_on_the_command_line_is_said(shop: pytest.Pytester, arguments: tuple[str, ...], says: str) -> None:
    """
    In one line, before anything runs.
    """
    result = run(shop, *arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()


def test_the_plugin_imports_nothing_heavy() -> None:
    """
    It is loaded by every pytest run of everybody who has the package.
    """
    code = (
        "import sys, pytest; before = set(sys.modules); import statecore.testing.plugin;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    ).stdout

    assert not {"hypothesis", "trio", "sqlite3", "httpx", "statecore_journal", "transitions"} & set(eval(loaded)), (
        loaded
    )


# ---- fixtures --------------------------------------------------------------------------------------------------------


def test_hours_pass_at_once(virtual_clock: Any) -> None:
    """
    And the order of tasks follows from the seed alone.
    """
    import trio

    async def main() -> list[int]:
        ran: list[int] = []

        async def one(number: int) -> None:
            await trio.sleep(3600)
            ran.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, number)
        return ran

    orders = {tuple(virtual_clock(main, seed=seed)) for seed in range(4)}

    assert len(orders) > 1
    assert virtual_clock(main, seed=3) == virtual_clock(main, seed=3)


def test_spinning_is_a_failure() -> None:
    """
    A loop that waits for nothing would run for ever on a virtual clock.
    """
    import trio

    async def spin() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(AssertionError, match="some loop waits for nothing"):
        virtual(spin)


def test_what_never_ends_has_hung() -> None:
    """
    After so much virtual time that nobody would wait for it.
    """
    import trio

    with pytest.raises(AssertionError, match="not over after 60 virtual seconds"):
        virtual(trio.sleep_forever, limit=60)


@pytest.mark.statecore(seed=7)
def test_a_world_follows_from_its_seed(world: VirtualWorld, virtual_clock: Any) -> None:
    """
    The marker says which; the time is that of the run it is used in, and stands still outside of one.
    """
    import trio

    began = world.now()
    assert world.draw() == VirtualWorld(7).draw()
    assert world.now() == began

    async def main() -> int:
        world.now()
        await trio.sleep(5)
        return world.now()

    assert virtual_clock(main) == began + 5 * SECONDS


def test_a_journal_in_memory_holds_what_happened(journal: MemoryJournal) -> None:
    """
    Its rows replay to where the instance is.
    """
    assert isinstance(journal, MemoryJournal)
    holds(journal)


@pytest.mark.statecore(journal="sqlite")
def test_a_journal_in_a_file_holds_the_same(journal: FileJournal, tmp_path: Path) -> None:
    """
    The real one, in the folder of the test.
    """
    assert journal.path.parent == tmp_path
    holds(journal)


def holds(journal: Any) -> None:
    trial = trial_of(door(), journal=journal)
    for event in (Pushed(), Looked(), Pushed()):
        assert isinstance(event, External)
        trial.happen(event)

    assert (
        rebuilt(journal, trial.address, door())
        == trial.snapshots[trial.address]
        == restored(journal, trial.address, door())
    )
    assert [row[4] for row in journal.rows(trial.address)] == ["Pushed", "Looked", "Pushed"]
