"""The committed pictures of the shipped machines, and how they are made anew."""

import json
from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from statecore.errors import StatecoreError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore_diagrams import layout, mermaid, svg

REGENERATE: Final = "statecore diagram --all -o diagrams/"
"""What to run after a table has changed."""


class NotWritten(StatecoreError):
    """A picture could not be written."""


def pictures(machines: Iterable[Machine] = tuple(MACHINES.values())) -> dict[str, str]:
    """Draw machines; return the documents by the names of their files.

    Raises:
        LayoutMissing: a machine is not a shipped one, or has changed, and the layout library is not installed.
    """
    found = {}
    for machine in machines:
        found[f"{machine.name}.mmd"] = mermaid.render(machine)
        found[f"{machine.name}.svg"] = svg.render(machine)
    return found


def write(folder: Path, machines: Iterable[Machine] = tuple(MACHINES.values())) -> list[Path]:
    """Write the pictures of machines to a folder; return the files.

    Raises:
        LayoutMissing: see `pictures`.
        NotWritten: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, text in pictures(machines).items():
            (folder / name).write_text(text, "utf-8")
            written.append(folder / name)
    except OSError as error:
        raise NotWritten(f"{folder} cannot be written to: {error.strerror}") from error
    return written


def remember() -> None:
    """Keep where things are in the pictures of the shipped machines, so that nobody has to compute it again.

    What is known is kept as it is: another version of Graphviz moves nothing that nobody changed.

    Raises:
        LayoutMissing: a table has changed, and the layout library is not installed.
        NotWritten: the package's own folder cannot be written to, as where it was not installed from a checkout.
    """
    known = layout.stored()
    wanted = {layout.digest(asked): asked for machine in MACHINES.values() for asked in svg.requests(machine)}
    if set(known) == set(wanted):
        return
    found = {name: known.get(name) or layout.compute(asked) for name, asked in wanted.items()}
    with as_file(files("statecore_diagrams") / layout.STORED) as file:
        try:
            file.write_text(_shown(found), "utf-8")
        except OSError as error:
            raise NotWritten(f"{file} cannot be written: {error.strerror}; run it in a checkout") from error
    layout.stored.cache_clear()


def _shown(layouts: dict[str, dict[str, Any]]) -> str:
    """Write layouts with a line an arrow, so that a change is a small diff."""
    blocks = []
    for name, held in sorted(layouts.items()):
        edges = ",\n  ".join(json.dumps(edge, separators=(",", ":")) for edge in held["edges"])
        size, nodes = (json.dumps(held[key], separators=(",", ":")) for key in ("size", "nodes"))
        blocks.append(f'"{name}":{{"size":{size},"nodes":{nodes},"edges":[\n  {edges}]}}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"
