"""`statecore minimise`: an incident becomes a test that one can keep."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.command import invoke

STORM: Final = Path(__file__).parents[1] / "incidents" / "journals" / "retry-storm.db"
COOLER: Final = ("--set", "accounts.wx.circuit.cooldown=30s")


def written(source: str) -> Callable[[], None]:
    """Return the one test in a file."""
    names: dict[str, Any] = {}
    exec(compile(source, "test_storm.py", "exec"), names)
    (found,) = [value for name, value in names.items() if name.startswith("test_")]
    assert callable(found)
    return found  # type: ignore[no-any-return]


def test_the_test_fails_as_it_was_and_passes_under_the_settings_it_names(tmp_path: Path) -> None:
    """
    It is pasted from the sentence at its head: a key spelled in another way would end in an error instead.
    """
    file = tmp_path / "test_storm.py"
    done = invoke("minimise", STORM, "--keep", "retry-storm", *COOLER, "-o", file)
    assert done.exit_code == 0, done.output
    source = file.read_text("utf-8")

    with pytest.raises(AssertionError):
        written(source)()

    (settings,) = [line for line in source.splitlines() if line.startswith("It passes with SETTINGS = ")]
    passing = settings.removeprefix("It passes with ").removesuffix(".")
    written(source.replace("\nSETTINGS = {}\n", f"\n{passing}\n"))()


def test_a_program_reads_the_test_out_of_json() -> None:
    """
    Like what every other command finds.
    """
    found = json.loads(invoke("minimise", STORM, "--keep", "retry-storm", "--json").stdout)

    assert found["path"] is None
    assert "still show the retry-storm" in found["told"]
    assert "def test_there_is_no_retry_storm" in found["test"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep", "nonsense"), "there is no kind 'nonsense' of incident; `statecore incidents --list` lists them"),
        (("--keep", "zombie"), "there is no zombie in the journal; there is retry-storm"),
        (("--keep", "retry-storm", "--set", "accounts.qq.circuit.cooldown=1s"), "--set names account qq"),
        (("--keep", "retry-storm", "--account", "qq"), "no retry-storm in the journal in account qq"),
    ],
)
def test_what_cannot_be_shrunk_is_said_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    """
    A kind that does not exist, and one that is not in this journal, are different mistakes.
    """
    done = invoke("minimise", STORM, *arguments)

    assert done.exit_code == 1
    assert said in done.output
