"""What is given to a reading command and is no good journal: a sentence, an exit status, and nothing changed."""

import random  # noqa: TID251 - with seeds
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bad_journals import (
    COMMANDS,
    DRAWN,
    ENDLESS,
    NOT_ONE,
    OF_OTHER_CODE,
    Bad,
    Command,
    Goods,
    judge,
    truncated,
    write_goods,
)

DAMAGES = 3
CUTS = 3
"""Damages drawn for each command; always the same ones. Figure 5 of the incidents draws more, for every command there is."""

FIRST = tuple({command.arguments[0]: command for command in reversed(COMMANDS)}.values())
"""Of the ways to call a command the first: behind the others is mostly the same code."""


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Goods:
    """Return good journals."""
    return write_goods(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("bad", NOT_ONE, ids=lambda bad: bad.name)
@pytest.mark.parametrize("command", [*FIRST, *ENDLESS], ids=lambda command: command.name)
def test_what_is_no_journal_is_refused_with_a_sentence(
    command: Command, bad: Bad, goods: Goods, tmp_path: Path
) -> None:
    """Also by those commands that would otherwise go on until they are told to stop."""
    assert judge(command, bad, tmp_path, goods) is None


@pytest.mark.parametrize("bad", OF_OTHER_CODE, ids=lambda bad: bad.name)
@pytest.mark.parametrize("command", FIRST, ids=lambda command: command.name)
def test_a_bad_journal_is_answered_with_a_sentence(command: Command, bad: Bad, goods: Goods, tmp_path: Path) -> None:
    """Whoever looks into a damaged journal has trouble enough."""
    assert judge(command, bad, tmp_path, goods) is None


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in FIRST], ids=lambda command: command.name)
def test_every_way_to_call_a_command_answers_what_hinders_it(command: Command, goods: Goods, tmp_path: Path) -> None:
    """An option must not lead past what the command notices without it."""
    for number, bad in enumerate(OF_OTHER_CODE):
        if bad.hinders is not None and command.name in bad.hinders:
            folder = tmp_path / str(number)
            folder.mkdir()
            assert judge(command, bad, folder, goods) is None, bad.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_good_journal_is_read(command: Command, goods: Goods, tmp_path: Path) -> None:
    """Else everything above would pass."""
    good = goods[command.of]

    done = command.run(good, tmp_path / "out.db", good)

    assert done.exit_code == 0, done.output
    assert command.shows in done.stdout


@pytest.mark.parametrize("command", FIRST, ids=lambda command: command.name)
def test_a_journal_cut_anywhere_is_refused(command: Command, goods: Goods, tmp_path: Path) -> None:
    """A disk that was full while it was copied cuts it at any byte."""
    chance = random.Random(command.name)
    size = goods[command.of].stat().st_size
    for at in [0, 1, 511, 512, 4095, 4096, size - 1, *(chance.randrange(size) for _ in range(CUTS))]:
        folder = tmp_path / str(at)
        folder.mkdir(exist_ok=True)
        assert judge(command, truncated(at), folder, goods) is None, f"cut at byte {at}"


@pytest.mark.parametrize("command", FIRST, ids=lambda command: command.name)
@pytest.mark.parametrize("damage", DRAWN, ids=lambda damage: damage.__name__)
def test_a_damaged_journal_is_read_or_refused(
    command: Command, damage: Callable[[int], Bad], goods: Goods, tmp_path: Path
) -> None:
    """Where the damage is in nothing that is asked for, nobody notices; anywhere else it is said."""
    for seed in range(DAMAGES):
        folder = tmp_path / str(seed)
        folder.mkdir()
        assert judge(command, damage(seed), folder, goods) is None, f"seed {seed}"
