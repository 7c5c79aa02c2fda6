"""What is given to a reading command and is no good journal: a sentence, an exit status, and nothing changed."""

import random  # noqa: TID251 - with seeds
from collections.abc import Iterable
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


def wrong(command: Command, bads: Iterable[Bad], folder: Path, goods: Goods) -> dict[str, str]:
    """Give bad journals to a command, each in a folder of its own; return what it owes and does not give, by their names."""
    found: dict[str, str] = {}
    for number, bad in enumerate(bads):
        own = folder / str(number)
        own.mkdir()
        if (said := judge(command, bad, own, goods)) is not None:
            found[bad.name] = said
    return found


@pytest.mark.parametrize("command", [*FIRST, *ENDLESS], ids=lambda command: command.name)
def test_what_is_no_journal_is_refused_with_a_sentence(command: Command, goods: Goods, tmp_path: Path) -> None:
    """Also by those commands that would otherwise go on until they are told to stop."""
    assert wrong(command, NOT_ONE, tmp_path, goods) == {}


@pytest.mark.parametrize("command", FIRST, ids=lambda command: command.name)
def test_a_bad_journal_is_answered_with_a_sentence(command: Command, goods: Goods, tmp_path: Path) -> None:
    """Whoever looks into a damaged journal has trouble enough."""
    assert wrong(command, OF_OTHER_CODE, tmp_path, goods) == {}


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in FIRST], ids=lambda command: command.name)
def test_every_way_to_call_a_command_answers_what_hinders_it(command: Command, goods: Goods, tmp_path: Path) -> None:
    """An option must not lead past what the command notices without it."""
    hindering = (bad for bad in OF_OTHER_CODE if bad.hinders is not None and command.name in bad.hinders)

    assert wrong(command, hindering, tmp_path, goods) == {}


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
    cuts = {0, 1, 511, 512, 4095, 4096, size - 1, *(chance.randrange(size) for _ in range(CUTS))}

    assert wrong(command, map(truncated, sorted(cuts)), tmp_path, goods) == {}


@pytest.mark.parametrize("command", FIRST, ids=lambda command: command.name)
def test_a_damaged_journal_is_read_or_refused(command: Command, goods: Goods, tmp_path: Path) -> None:
    """Where the damage is in nothing that is asked for, nobody notices; anywhere else it is said."""
    assert wrong(command, [damage(seed) for damage in DRAWN for seed in range(DAMAGES)], tmp_path, goods) == {}
