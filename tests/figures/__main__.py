"""Measure the figures that the issues ask for, and say which of them hold.

    python -m tests.figures                       all of them
    python -m tests.figures --only gateway        those of one issue
    python -m tests.figures --only gateway --number 3
    python -m tests.figures --json

One line each on stdout: issue, number, what it is about, what was measured, its bar, holds or falls short. What goes on
meanwhile is told on stderr. The exit status is 1 if one falls short.
"""

import argparse
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

if not __package__:  # run as `python tests/figures`: make that the same as `python -m tests.figures`
    sys.path[0] = str(Path(__file__).resolve().parents[2])

if TYPE_CHECKING:
    from tests.figures.registry import Figure, Measured

TOGETHER_MAX: Final = 4
"""Figures that only wait are measured this many at a time."""


def main() -> int:
    """Run the command line."""
    from tests.figures import registry

    parser = argparse.ArgumentParser(prog="python -m tests.figures", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME[,NAME]", default="", help=f"issues: {', '.join(registry.ISSUES)}")
    parser.add_argument("--number", help="only the figures with this number, or one part of it: 1, 1b")
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of lines")
    parser.add_argument("--here", action="store_true", help="measure in this process and print what was found as JSON")
    options = parser.parse_args()
    names = tuple(name for name in options.only.split(",") if name)
    if unknown := [name for name in names if name not in registry.ISSUES]:
        parser.error(f"no issue {unknown[0]!r} has figures; there are {', '.join(registry.ISSUES)}")
    figures = registry.load(names, options.number)
    if not figures:
        parser.error(f"there is no figure {options.number} there")
    if options.here:
        return measure_here(figures)
    found: list[tuple[Figure, Measured]] | None = None
    try:
        found = trio.run(measure_all, figures, options.json)
    except* KeyboardInterrupt:
        say("interrupted")
    if found is None:
        return 130
    if options.json:
        print(json.dumps([as_json(figure, measured) for figure, measured in found], indent=2))
    return 0 if all(measured.holds for _, measured in found) else 1


# ---- in the process of one figure ------------------------------------------------------------------------------------


def measure_here(figures: list["Figure"]) -> int:
    """Measure in this very process; what is found goes to stdout, one JSON object a line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever gives it up wants it to tidy up
    for figure in figures:
        measured = figure.measure()
        if inspect.isawaitable(measured):
            measured = trio.run(_wait, measured)
        print(json.dumps(attrs.asdict(measured)), flush=True)
    return 0


async def _wait(measuring: Any) -> Any:
    return await measuring


# ---- in the process that starts them ---------------------------------------------------------------------------------


async def measure_all(figures: Sequence["Figure"], quiet: bool) -> list[tuple["Figure", "Measured"]]:
    """Measure every figure in a process of its own: first those that wait, together, then the others one by one."""
    found: dict[str, Measured] = {}
    printed = 0

    async def measure(figure: "Figure", limit: trio.CapacityLimiter) -> None:
        nonlocal printed
        async with limit:
            found[figure.name] = await measure_apart(figure)
        while printed < len(figures) and figures[printed].name in found:  # in order, each as soon as it can be
            if not quiet:
                print(line(figures[printed], found[figures[printed].name]), flush=True)
            printed += 1

    together = trio.CapacityLimiter(TOGETHER_MAX)
    async with trio.open_nursery() as nursery:
        for figure in figures:
            if not figure.alone:
                nursery.start_soon(measure, figure, together)
    for figure in figures:
        if figure.alone:
            await measure(figure, trio.CapacityLimiter(1))
    return [(figure, found[figure.name]) for figure in figures]


async def measure_apart(figure: "Figure") -> "Measured":
    """Measure one figure in a process of its own, whatever becomes of that process."""
    from tests.figures.registry import ROOT, Measured

    say(f"{figure.name}: {figure.title} ...")
    command = [sys.executable, "-m", "tests.figures", "--only", figure.issue, "--number", figure.label, "--here"]
    run = functools.partial(trio.run_process, command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    began = trio.current_time()
    with trio.move_on_after(figure.within):
        process = await run(capture_stdout=True, check=False)
        lines = process.stdout.decode().splitlines()
        say(f"{figure.name}: took {trio.current_time() - began:.0f} s")
        if process.returncode != 0 or not lines:
            return Measured(f"the measurement failed with exit status {process.returncode}; see stderr", holds=False)
        fields = json.loads(lines[-1])
        return Measured(fields["text"], fields["holds"], tuple(fields["notes"]))
    return Measured(f"the measurement did not end within {figure.within:g} s", holds=False)


def say(text: str) -> None:
    """Tell whoever watches."""
    print(text, file=sys.stderr, flush=True)


def line(figure: "Figure", measured: "Measured") -> str:
    """Write one figure as a line."""
    verdict = "holds" if measured.holds else "falls short"
    for note in measured.notes:
        say(f"{figure.name}: {note}")
    return f"{figure.issue}  {figure.label}  {figure.title}: {measured.text}  [bar: {figure.bar}]  {verdict}"


def as_json(figure: "Figure", measured: "Measured") -> dict[str, Any]:
    """Write one figure as JSON."""
    about = {"issue": figure.issue, "number": figure.label, "title": figure.title, "bar": figure.bar}
    return {**about, **attrs.asdict(measured)}


if __name__ == "__main__":
    sys.exit(main())
