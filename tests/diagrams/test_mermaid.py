"""Machines as Mermaid."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore_diagrams import mermaid
from statecore_diagrams.model import read
from tests.diagrams.door import door

PARSER = Path(__file__).with_name("mermaid_parse.mjs")
MERMAID = os.environ.get("STATECORE_TEST_MERMAID", "")
"""A folder in which `npm install mermaid jsdom` was done."""


def real() -> str:
    """Return the folder with the real parser, or skip with the reason."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed, so Mermaid's own parser cannot be asked")
    if not MERMAID:
        pytest.skip("STATECORE_TEST_MERMAID names no folder in which `npm install mermaid jsdom` was done")
    return str(Path(MERMAID).resolve())


def test_mermaid_itself_can_read_every_machine(tmp_path: Path) -> None:
    """Pages show an error message in its place otherwise."""
    folder = real()
    drawn = {name: mermaid.render(machine) for name, machine in (*MACHINES.items(), ("door", door))}
    files = []
    for name, text in drawn.items():
        files.append(tmp_path / f"{name}.mmd")
        files[-1].write_text(text, "utf-8")
    done = subprocess.run(
        ["node", str(PARSER), folder, *map(str, files)], capture_output=True, text=True, check=False, timeout=120
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["stateDiagram"] * len(files)


@pytest.mark.parametrize("machine", [*MACHINES.values(), door], ids=lambda machine: machine.name)
def test_every_event_stands_in_it(machine: Machine) -> None:
    """And every state under its own name."""
    drawn = mermaid.render(machine)
    for transition in read(machine).drawn:
        if transition.kind == "moved":
            assert transition.event in drawn
    for state in machine.states:
        assert state.split('"')[0] in drawn


def test_names_of_the_author_s_choosing_are_no_syntax() -> None:
    """Quotes, colons, `end` and markup are text."""
    drawn = mermaid.render(door)

    assert "<script>" not in drawn
    assert 'state "jammed #quot;#lt;script#gt;#quot;#58; end" as ' in drawn
    ids = re.findall(r'^ +state ".*" as (\w+)$', drawn, re.MULTILINE)
    assert len(ids) == len(set(ids)) == len(door.states)
