"""What is given to a reading command and is no good journal: a sentence, an exit status, and nothing changed."""

import random  # noqa: TID251 - with seeds
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bad_journals import (
    COMMANDS,
    NOT_ONE,
    OF_OTHER_CODE,
    Bad,
    Command,
    judge,
    truncated,
    write_good,
)

DAMAGES = 12
CUTS = 12
"""Damages drawn for each command; always the same ones."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a good journal."""
    path = tmp_path_factory.mktemp("good") / "gateway.db"
    write_good(path)
    return path


@pytest.mark.parametrize("bad", [*NOT_ONE, *OF_OTHER_CODE], ids=lambda bad: bad.name)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_bad_journal_is_answered_with_a_sentence(command: Command, bad: Bad, good: Path, tmp_path: Path) -> None:
    """Whoever looks into a damaged journal has trouble enough."""
    assert judge(command, bad, tmp_path, good) is None


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_good_journal_is_read(command: Command, good: Path, tmp_path: Path) -> None:
    """Else everything above would pass."""
    done = command.run(good, tmp_path / "out.db")

    assert done.exit_code == 0, done.output
    assert command.shows in done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_journal_cut_anywhere_is_refused(command: Command, good: Path, tmp_path: Path) -> None:
    """A disk that was full while it was copied cuts it at any byte."""
    chance = random.Random(command.name)
    size = good.stat().st_size
    for at in [0, 1, 511, 512, 4095, 4096, size - 1, *(chance.randrange(size) for _ in range(CUTS))]:
        folder = tmp_path / str(at)
        folder.mkdir(exist_ok=True)
        assert judge(command, truncated(at), folder, good) is None, f"cut at byte {at}"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("damage", [flipped, overwritten], ids=["flipped bits", "a page overwritten"])
def test_a_damaged_journal_is_read_or_refused(
    command: Command, damage: Callable[[int], Bad], good: Path, tmp_path: Path
) -> None:
    """Where the damage is in nothing that is asked for, nobody notices; anywhere else it is said."""
    for seed in range(DAMAGES):
        folder = tmp_path / str(seed)
        folder.mkdir()
        assert judge(command, damage(seed), folder, good) is None, f"seed {seed}"
