"""Bugs that other gateways had, put into this one: the simulation or the exploration refutes each, and names the guarantee.

Here each is shown by a small plan (`tests.bugs.plans`); `make figures ONLY=proof` looks for them from the first seed up.
"""

from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from statecore.cli import main
from statecore.exploration import explore
from statecore.exploration.chats import ChatsModel
from statecore.exploration.promises import safety
from statecore.exploration.scenes import SCENES
from statecore.machines import MACHINES
from statecore.simulation.discrete import run
from statecore.simulation.faithful import run_faithful
from statecore.simulation.plan import Plan
from tests.bugs import stories
from tests.bugs.bug import Bug
from tests.bugs.finding import examine, rehearse, simulate
from tests.bugs.plans import plan_of
from tests.bugs.table import BUGS, BY_NAME

STATES_MAX: Final = 10_000

SIMULATED: Final = [bug for bug in BUGS if bug.simulated]
REHEARSED: Final = [bug for bug in BUGS if bug.story is not None]
EXPLORED: Final = [bug for bug in BUGS if bug.scenes and not bug.eventually]


def named(bug: Bug) -> str:
    return bug.name


@pytest.mark.parametrize("bug", SIMULATED, ids=named)
def test_simulation_names_the_guarantee_that_a_bug_breaks_and_without_it_none(bug: Bug) -> None:
    plan = plan_of(bug)

    assert [str(violation) for violation in run(plan).violations] == []
    found = simulate(bug, [plan])

    assert found is not None
    assert bug.guarantee in found.guarantees


@pytest.mark.parametrize("bug", REHEARSED, ids=named)
def test_the_real_gateway_in_virtual_time_shows_the_bug_too(bug: Bug) -> None:
    found = rehearse(bug)

    assert found is not None
    assert bug.story is not None
    assert bug.story.guarantee in found.guarantees


@pytest.mark.parametrize("plan", [stories.ONE, stories.TWO, stories.RESTART], ids=["one", "two", "restart"])
def test_the_real_gateway_breaks_nothing_in_those_stories(plan: Plan, tmp_path: Path) -> None:
    assert [str(violation) for violation in run_faithful(plan, tmp_path / "run").violations] == []


@pytest.mark.parametrize("bug", EXPLORED, ids=named)
def test_exploration_names_the_guarantee_that_a_bug_breaks(bug: Bug) -> None:
    found = examine(bug, states_max=STATES_MAX)

    assert found is not None
    assert bug.guarantee in found.guarantees


@pytest.mark.parametrize("scene", sorted({scene for bug in EXPLORED for scene in bug.scenes}))
def test_without_a_bug_exploration_refutes_nothing_as_far_as_it_goes(scene: str) -> None:
    model = ChatsModel(SCENES[scene])

    found = explore(model, properties=safety(model), states_max=STATES_MAX)

    assert [verdict.name for verdict in found.verdicts if verdict.answer == "refuted"] == []


@pytest.mark.parametrize("bug", BUGS, ids=named)
def test_a_bug_that_is_taken_out_leaves_no_table_changed(bug: Bug) -> None:
    before = {name: dict(vars(machine)) for name, machine in MACHINES.items()}

    with bug.put_in():
        pass

    assert {name: dict(vars(machine)) for name, machine in MACHINES.items()} == before


@pytest.mark.parametrize("name", ["busy loop", "empty polls", "dialled at once"])
def test_what_spins_is_refused_when_it_is_defined(name: str) -> None:
    assert "nothing pays for the cycle" in BY_NAME[name].refusal


def test_the_five_incidents_are_among_them_and_ten_more() -> None:
    incidents = {bug.incident.partition(":")[0] for bug in BUGS}

    assert {f"seed {number}" for number in range(1, 6)} <= incidents
    assert len(BY_NAME) == len(BUGS) >= 15


def test_sim_says_which_guarantee_broke_and_how_to_see_it_again_and_leaves_a_small_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = BY_NAME["secret in an event"]
    monkeypatch.chdir(tmp_path)
    with bug.put_in():
        first = CliRunner().invoke(main, ["sim", "--seed", "1", "--hours", "0.2"])
        second = CliRunner().invoke(main, ["sim", "--plan", "sim-1.json", "--no-shrink"])

    assert first.exit_code == second.exit_code == 1
    assert "G10: Received of inbound/" in first.output
    assert "G10: Received of inbound/" in second.output
    assert "statecore sim --seed 1 --hours 0.2" in first.output
    assert len(Plan.load("sim-1.json").occurrences) <= 3
