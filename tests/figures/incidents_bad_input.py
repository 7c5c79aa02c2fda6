"""Figure 5 of the incidents: what every reading command makes of what is no good journal."""

import random  # noqa: TID251 - with seeds
from pathlib import Path
from typing import Final

from tests.figures.registry import Measured, scratch
from tests.support.bad_journals import COMMANDS, DRAWN, ENDLESS, NOT_ONE, OF_OTHER_CODE, judge, truncated, write_goods

TIMES: Final = 15
"""Damages of each sort that are drawn, always the same ones."""


def bad_input() -> Measured:
    """Give every bad journal to every command."""
    with scratch() as folder:
        goods = write_goods(folder)
        chance = random.Random(5)
        size = min(good.stat().st_size for good in goods.values())
        drawn = [truncated(chance.randrange(size)) for _ in range(TIMES)]
        drawn += [damage(seed) for seed in range(1000, 1000 + TIMES) for damage in DRAWN]
        every = (*NOT_ONE, *OF_OTHER_CODE, *drawn)
        tries = [(command, bad) for command in COMMANDS for bad in every]
        tries += [(command, bad) for command in ENDLESS for bad in NOT_ONE]
        wrong: list[str] = []
        for number, (command, bad) in enumerate(tries):
            place = folder / str(number)
            place.mkdir()
            if (found := judge(command, bad, place, goods)) is not None:
                wrong.append(f"{command.name}, {bad.name}: {found}")
            _clear(place)
    tried = len(tries)
    return Measured(
        f"{tried - len(wrong)} of {tried} answers ({len(COMMANDS) + len(ENDLESS)} commands, {len(NOT_ONE)} files "
        f"that are no journal, {len(OF_OTHER_CODE)} of other code or by hand, "
        f"{len(drawn)} damaged by chance) are a sentence and a status, or "
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
