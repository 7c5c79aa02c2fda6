"""`statecore what-if` and `statecore minimise`."""

import json
from pathlib import Path

import pytest

from tests.support.command import invoke

JOURNALS = Path(__file__).parents[1] / "incidents" / "journals"
STORM = str(JOURNALS / "retry-storm.db")


def test_with_nothing_changed_all_is_as_it_was() -> None:
    """The first thing that somebody tries who does not believe it."""
    done = invoke("what-if", STORM)

    assert done.exit_code == 0
    assert "transitions are as they were recorded" in done.stdout


def test_both_outcomes_stand_side_by_side_with_the_first_transition_in_which_they_part() -> None:
    """Which is what was asked for."""
    done = invoke("what-if", STORM, "--set", "account.wx.circuit.cooldown=60s")

    assert done.exit_code == 0
    for said in ("as recorded", "as it would have been", "refused", "They part at", "would be", "Counterfactual from"):
        assert said in done.stdout


def test_programs_get_numbers() -> None:
    """In ns, as everywhere."""
    (found,) = json.loads(invoke("what-if", STORM, "--set", "account.wx.circuit.cooldown=60s", "--json").stdout)

    assert found["reproduced"] is True
    assert found["changes"] == {"circuit.cooldown": "60s"}
    assert found["recorded"]["refused"] > found["changed"]["refused"]
    assert found["parting"]["recorded"]["version"] == found["parting"]["computed"]["version"]
    assert found["modelled"] > found["parting"]["at"]


def test_a_sweep_shows_the_trade_off_as_a_table_and_a_plot() -> None:
    """Every combination, and what was recorded above them."""
    done = invoke(
        "what-if", STORM,
        "--sweep", "account.wx.circuit.cooldown=1s,10s,60s", "--sweep", "account.wx.pacing.per_second=1,2",
    )  # fmt: skip

    assert done.exit_code == 0
    assert "as it was" in done.stdout
    for cooldown in ("1s", "10s", "60s"):
        for pace in ("1", "2"):
            assert done.stdout.count(f"{cooldown}, {pace} ") == 2
    assert "█" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "nonsense"), "KEY=VALUE"),
        (("--set", "circuit.cooldown=1s"), "accounts.NAME.SETTING"),
        (("--set", "account.wx.circuit.cooldwn=1s"), "accounts.wx.circuit.cooldwn: no such setting"),
        (("--set", "account.wx.circuit.cooldown=soon"), "is no duration"),
        (("--set", "account.wx.circuit.cooldown=-1s"), "accounts.wx.circuit.cooldown"),
        (("--set", "account.zz.circuit.cooldown=1s"), "it has wx"),
        (("--set", "account.wx.circuit.cooldown=1s", "--set", "account.wx.circuit.cooldown=2s"), "given twice"),
        (("--sweep", "account.wx.circuit.cooldown=,"), "has no values"),
        (("--account", "qq"), "it has wx"),
        (("--account", "qq", "--set", "account.wx.circuit.cooldown=1s"), "is not the account"),
    ],
)
def test_a_slip_is_answered_with_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    """And nothing is run."""
    done = invoke("what-if", STORM, *arguments)

    assert done.exit_code in (1, 2)
    assert said in done.output


def test_a_test_is_written_that_hides_who_and_what(tmp_path: Path) -> None:
    """So that it can be put where others see it."""
    path = tmp_path / "test_storm.py"
    done = invoke("minimise", STORM, "--keep", "retry-storm", "-o", str(path))

    assert done.exit_code == 0, done.output
    assert "placeholders" in done.stdout
    text = path.read_text()
    assert "def test_there_is_no_retry_storm" in text
    assert "chat-" in text
    for hidden in ("ann", "bob", "cyd", "dan", "message 1"):
        assert f'"{hidden}' not in text


def test_it_is_printed_where_no_file_is_named_and_plain_if_that_is_asked_for() -> None:
    """For whoever wants to look first."""
    done = invoke("minimise", STORM, "--keep", "retry-storm", "--plain")

    assert done.exit_code == 0
    assert any(f'"{name}"' in done.stdout for name in ("ann", "bob", "cyd", "dan"))


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    """It may have been worked on."""
    path = tmp_path / "test_storm.py"
    path.write_text("mine")

    done = invoke("minimise", STORM, "--keep", "retry-storm", "-o", str(path))

    assert done.exit_code == 1
    assert "--force" in done.output
    assert path.read_text() == "mine"


def test_a_kind_that_is_misspelt_is_answered_with_where_they_are_listed() -> None:
    """Names of incidents are easily misspelt."""
    done = invoke("minimise", STORM, "--keep", "retry-strom")

    assert done.exit_code == 1
    assert "statecore incidents --list" in done.output
