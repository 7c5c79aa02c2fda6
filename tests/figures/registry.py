"""What a figure is, and where the figures of each issue are.

A figure is one number or fact that an issue demands, with its bar. Each is measured in a process of its own, so what it
says about memory and CPU is about nothing else, and one that crashes takes no other with it.
"""

import importlib
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).resolve().parents[2]
"""The root of the repository."""

SCRATCH: Final = ROOT / ".cache"
"""Where journals are while they are measured: on the disk of the checkout, since a temporary folder may be memory, and
there a commit costs nothing."""

ISSUES: Final = {
    "gateway": "tests.figures.gateway",
    "qq": "tests.figures.qq",
    "incidents": "tests.figures.incidents",
    "proof": "tests.figures.proof",
}
"""The module that holds the figures of each issue, in `FIGURES`. A new issue adds its line here."""


@attrs.frozen
class Measured:
    """What was found.

    Args:
        text: the figure, in words and numbers.
        holds: whether it reaches its bar.
        notes: what else a reader of a figure that falls short would ask for.
    """

    text: str
    holds: bool
    notes: tuple[str, ...] = ()


Measure = Callable[[], Measured | Awaitable[Measured]]


@attrs.frozen(kw_only=True)
class Figure:
    """One figure.

    Args:
        issue: name of the issue that demands it.
        number: its number there.
        part: a letter, where what the issue demands under one number is measured apart.
        title: what it is about.
        bar: what it must reach.
        measure: measures it; may be a coroutine function, which is run by trio.
        within: seconds after which it is given up.
        alone: whether nothing else may be measured meanwhile, because it is about CPU, memory or speed. The others
            spend their time waiting, and wait together.
    """

    issue: str
    number: int
    title: str
    bar: str
    measure: Measure
    within: float = 300
    alone: bool = False
    part: str = ""

    @property
    def label(self) -> str:
        """Return its number and part: "3", "1b"."""
        return f"{self.number}{self.part}"

    @property
    def name(self) -> str:
        """Return how it is called in output: "gateway 3"."""
        return f"{self.issue} {self.label}"


def load(names: tuple[str, ...] = (), number: str | None = None) -> list[Figure]:
    """Return the figures of some issues, in order.

    Args:
        names: of the issues; none means all.
        number: only the figures with this number, or the one with this number and part.

    Raises:
        KeyError: there is no such issue.
    """
    found: list[Figure] = []
    for name in names or tuple(ISSUES):
        module = importlib.import_module(ISSUES[name])
        found += sorted(module.FIGURES, key=lambda figure: (figure.number, figure.part))
    return [figure for figure in found if number in (None, figure.label, str(figure.number))]


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for one measurement; locks of accounts are kept in it too, away from those of real gateways."""
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="figures-", dir=SCRATCH, ignore_cleanup_errors=True) as name:
        os.environ["STATECORE_LOCK_DIR"] = str(Path(name) / "locks")
        yield Path(name)
