"""Figure 5 of the incidents: what every reading command makes of what is no good journal."""

import random  # noqa: TID251 - with seeds
from pathlib import Path
from typing import Final

from tests.cli.test_bad_input import flipped, overwritten, truncated
from tests.figures.registry import Measured, scratch
from tests.support.bad_journals import COMMANDS, NOT_ONE, OF_OTHER_CODE, judge, write_good

DRAWN: Final = 15
"""Damages of each sort that are drawn, always the same ones."""


def bad_input() -> Measured:
    """Give every bad journal to every command."""
    with scratch() as folder:
        good = folder / "good.db"
        write_good(good)
        chance = random.Random(5)
        drawn = [truncated(chance.randrange(good.stat().st_size)) for _ in range(DRAWN)]
        drawn += [damage(seed) for seed in range(1000, 1000 + DRAWN) for damage in (flipped, overwritten)]
        every = (*NOT_ONE, *OF_OTHER_CODE, *drawn)
        wrong: list[str] = []
        for number, (command, bad) in enumerate((command, bad) for command in COMMANDS for bad in every):
            place = folder / str(number)
            place.mkdir()
            if (found := judge(command, bad, place, good)) is not None:
                wrong.append(f"{command.name}, {bad.name}: {found}")
            _clear(place)
    tried = len(COMMANDS) * len(every)
    return Measured(
        f"{tried - len(wrong)} of {tried} answers ({len(COMMANDS)} commands, {len(NOT_ONE)} files that are no journal, "
        f"{len(OF_OTHER_CODE)} of other code or by hand, {len(drawn)} damaged by chance) are a sentence and a status, or "
        f"right; {len(wrong)} tracebacks, hangs, changed files or silence",
        holds=not wrong,
        notes=tuple(wrong[:20]),
    )


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()
    folder.rmdir()
