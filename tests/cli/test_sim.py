"""`statecore sim`."""

import json
from pathlib import Path

import pytest

from statecore.intake import Intake
from tests.support.command import invoke


def test_a_seed_is_run_and_what_came_of_it_is_one_line() -> None:
    """With what it cost."""
    done = invoke("sim", "--seed", "4", "--hours", "0.2", "--twice")

    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    for said in ("seed 4", "ok", "rows", "steps", "twice the same"):
        assert said in line


def test_a_batch_says_what_its_runs_reached() -> None:
    """And what none of them did."""
    done = invoke("sim", "--seeds", "1-4", "--hours", "0.2", "--coverage")

    assert done.exit_code == 0, done.output
    assert "4 of 4 runs ok" in done.stdout
    assert "faults never met: " in done.stdout
    assert "session: " in done.stdout
    assert (
        "cannot happen: looking-up  Elapsed(url_until): the address is looked up only where there is none"
        in done.stdout
    )


def test_programs_get_numbers() -> None:
    """One object for all runs."""
    found = json.loads(invoke("sim", "--seeds", "1-2", "--hours", "0.2", "--json", "--coverage").stdout)

    assert [one["seed"] for one in found["runs"]] == [1, 2]
    assert found["failed"] == []
    assert found["coverage"][0]["machine"] == "connection"


def test_the_journal_of_a_run_is_one_like_any_other(tmp_path: Path) -> None:
    """It went through the real store, so every reading command opens it."""
    path = tmp_path / "sim.db"

    assert invoke("sim", "--seed", "3", "--hours", "0.2", "-o", str(path)).exit_code == 0
    assert "holds" in invoke("verify", str(path)).stdout
    assert invoke("sim", "--seed", "3", "--hours", "0.2", "-o", str(path)).exit_code == 1


def test_a_run_that_fails_is_shrunk_and_says_how_to_see_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command, and a plan that can be sent to somebody."""
    monkeypatch.chdir(tmp_path)
    whole = Intake._sort
    monkeypatch.setattr(Intake, "_sort", lambda self, messages, now: whole(self, messages, now)[:-1])

    done = invoke("sim", "--seed", "4", "--hours", "0.1")

    assert done.exit_code == 1
    assert "G1: message" in done.stdout
    assert "statecore sim --seed 4 --hours 0.1" in done.stderr
    assert "statecore sim --plan sim-4.json" in done.stdout
    again = invoke("sim", "--plan", "sim-4.json", "--no-shrink")
    assert again.exit_code == 1
    assert "G1: message" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--hours", "0"), "a run takes from a minute to a year"),
        (("--plan", "nowhere.json"), "nowhere.json cannot be read"),
        (("--seed", "1", "--seeds", "1-2"), "give one of --seed, --seeds and --plan"),
        (("--seeds", "2-1"), "is no range of seeds, such as 1-1000"),
        (("--seeds", "1-2", "-o", "x.db"), "-o writes the journal of one run"),
    ],
)
def test_what_makes_no_sense_is_said(arguments: tuple[str, ...], said: str) -> None:
    """In one sentence."""
    done = invoke("sim", *arguments)

    assert done.exit_code != 0
    assert said in done.stderr
