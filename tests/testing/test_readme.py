"""The kit's README is run: its machine, its tests, and the failure that it shows."""

import os
import re
from pathlib import Path
from typing import Final

import pytest

import statecore

pytest_plugins = ["pytester"]

ROOT: Final = Path(statecore.__file__).parents[1]
README: Final = (ROOT / "statecore/testing/README.md").read_text(encoding="utf-8")
BLOCKS: Final[list[tuple[str, str]]] = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(language: str, holding: str) -> str:
    """Return the one block of a language that holds a text."""
    (found,) = [text for kind, text in BLOCKS if kind == language and holding in text]
    return found


@pytest.fixture
def shop(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder with what the README says should be in it."""
    folders = (".", "adapters", "journal", "diagrams")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), *(str(ROOT / folder) for folder in folders)]))
    pytester.makeconftest(
        "import hypothesis\n"
        "hypothesis.settings.register_profile('few', max_examples=40, database=None, report_multiple_bugs=False)\n"
        "hypothesis.settings.load_profile('few')\n"
    )
    pytester.makepyfile(orders=block("python", "# orders.py"), test_orders=block("python", "# test_orders.py"))
    return pytester


def test_every_block_of_code_is_run_here() -> None:
    """
    A new one needs a test of its own.
    """
    assert [language for language, _ in BLOCKS] == ["python", "python", "", ""]


def test_its_tests_pass_and_go_through_all_of_the_table(shop: pytest.Pytester) -> None:
    """
    As they stand there, with the coverage that stands there.
    """
    arguments = block("", "$ pytest").splitlines()[0].split()[2:]
    result = shop.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    result.stdout.fnmatch_lines([block("", "$ pytest").splitlines()[1], "* 6 passed*"])
    assert result.ret == 0


def test_the_failure_looks_like_that(shop: pytest.Pytester) -> None:
    """
    The history that is printed there is the one that is found, event by event.
    """
    orders = shop.path / "orders.py"
    orders.write_text(orders.read_text().replace("was.refusals >= 2", "was.refusals >= 5"))
    result = shop.runpytest_subprocess("-p", "no:cacheprovider", "-k", "TestOrder", "--hypothesis-seed=1")
    said = "\n".join(line.removeprefix("E").strip() for line in result.stdout.lines)

    sample = block("", "three_refusals_at_most does not hold").split("...\n")
    for part in (sample[0], sample[-1]):
        assert "\n".join(line.strip() for line in part.strip().splitlines()) in said
