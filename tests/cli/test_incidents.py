"""`statecore incidents`, as a person or a script reads it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from statecore_journal.incidents import KINDS
from tests.incidents.record import JOURNALS
from tests.support.command import invoke

STORM = JOURNALS / "retry-storm.db"
HEALTHY = JOURNALS / "healthy-one-crash.db"
TWO = JOURNALS / "dead-letters.db"


def test_an_incident_is_a_short_block_with_what_cause_cost_change_and_where_to_look() -> None:
    """
    Somebody who was not there reads five lines, and knows where to go on.
    """
    said = invoke("incidents", STORM)

    assert said.exit_code == 0
    head, *lines = said.output.rstrip().splitlines()
    assert re.fullmatch(r"retry-storm  \d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  for 3\d\.?\ds  circuit/wx  #17 to #\d+", head)
    assert [line.split()[0] for line in lines] == ["what", "cause", "cost", "change", "look"]
    assert "20 messages delayed by up to 3" in lines[2]
    assert "accounts.wx.circuit.cooldown" in lines[3]
    assert f"statecore log {STORM} --account wx --after 16" in lines[4]


def test_the_command_to_look_with_next_shows_the_row_it_started_at() -> None:
    """
    It is there to be pasted.
    """
    (look,) = [line for line in invoke("incidents", STORM).output.splitlines() if line.strip().startswith("look")]
    command = look.split("look", 1)[1].partition(";")[0].split()

    shown = invoke(*command[1:])

    assert " #17 " in shown.output.splitlines()[0]


def test_a_healthy_journal_says_how_much_was_read() -> None:
    """
    "Nothing" could mean that nothing was looked at.
    """
    said = invoke("incidents", HEALTHY)

    assert said.exit_code == 0
    assert said.output == "no incidents in 35 rows\n"


def test_a_script_can_ask_whether_there_are_any() -> None:
    """
    The exit status says it, as that of `status --check` does.
    """
    assert invoke("incidents", STORM, "--check").exit_code == 1
    assert invoke("incidents", HEALTHY, "--check").exit_code == 0


def test_json_holds_everything() -> None:
    """
    For programs: positions, times and costs as numbers.
    """
    (found,) = json.loads(invoke("incidents", STORM, "--json").output)

    assert (found["kind"], found["first"], found["account"]) == ("retry-storm", 17, "wx")
    assert found["cost"]["delayed"] == 20
    assert json.loads(invoke("incidents", HEALTHY, "--json").output) == []


def test_it_can_be_narrowed_to_an_account_a_kind_and_a_time() -> None:
    """
    Two outages of the same afternoon: the first, the second, or neither.
    """

    def firsts(*options: str) -> list[int]:
        return [one["first"] for one in json.loads(invoke("incidents", TWO, "--json", *options).output)]

    both = firsts()
    assert len(both) == 2
    assert firsts("--since", str(both[1])) == both[1:]
    assert firsts("--until", str(both[1] - 1)) == both[:1]
    assert firsts("--kind", "dead-letters", "--account", "wx") == both
    assert firsts("--kind", "flapping") == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_is_explained_with_what_it_looks_for_and_where_it_comes_from(kind: str) -> None:
    """
    Who is told that something is wrong wants to know how it is known.
    """
    said = invoke("incidents", "--explain", kind).output

    assert said.startswith(f"{kind}\n")
    assert "Looks for: " in said or "looks for: " in said.lower()
    assert re.search(r"From: .*#\d+", said, re.DOTALL)


def test_the_list_has_a_line_for_each_kind() -> None:
    """
    And the line says what it is.
    """
    lines = invoke("incidents", "--list").output.splitlines()

    assert {line.split()[0] for line in lines} >= set(KINDS)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "Missing argument"),
        ([STORM, "--kind", "nonsense"], 1, "there is no kind 'nonsense' of incident"),
        (["--explain", "nonsense"], 1, "there is no kind 'nonsense'"),
        ([STORM, "--account", "zz"], 1, "has no account 'zz'; it has wx"),
        ([STORM, "--since", "whenever"], 2, "'whenever' is no moment"),
        (["none.db"], 1, "there is no journal at none.db"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(arguments: list[object], status: int, said: str) -> None:
    """
    Never a traceback.
    """
    result = invoke("incidents", *arguments)

    assert result.exit_code == status
    assert said in result.output


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """
    A journal may be the only evidence there is.
    """
    copy = tmp_path / "copy.db"
    shutil.copy(STORM, copy)
    before = copy.read_bytes()

    invoke("incidents", copy)

    assert copy.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db"]
