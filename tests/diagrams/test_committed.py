"""The pictures in the repository are those of the machines."""

from pathlib import Path

import pytest

from statecore.machines import MACHINES
from statecore_diagrams import layout, mermaid, svg
from statecore_diagrams.shipped import REGENERATE

FOLDER = Path(__file__).parents[2] / "diagrams"

STALE = f"a table or the way of drawing has changed; run: {REGENERATE}   (it may need: {layout.INSTALL})"


@pytest.mark.parametrize("name", MACHINES)
def test_the_committed_pictures_are_those_of_the_machines(name: str) -> None:
    """A picture that is drawn by hand, or left behind, lies to whoever reads it first."""
    try:
        drawn = {"mmd": mermaid.render(MACHINES[name]), "svg": svg.render(MACHINES[name])}
    except layout.LayoutMissing:
        pytest.fail(f"{name}: {STALE}")
    for ending, text in drawn.items():
        if (FOLDER / f"{name}.{ending}").read_text("utf-8") != text:
            pytest.fail(f"diagrams/{name}.{ending}: {STALE}")


def test_the_shipped_machines_need_no_layout_library() -> None:
    """Their layouts come along, and none that nobody uses."""
    asked = {layout.digest(text) for machine in MACHINES.values() for text in svg.requests(machine)}
    if set(layout.stored()) != asked:
        pytest.fail(f"layouts.json: {STALE}")


def test_every_machine_has_its_picture_and_no_other_is_left() -> None:
    """A machine that is gone takes its pictures with it."""
    found = sorted(file.name for file in FOLDER.iterdir() if file.suffix in (".svg", ".mmd"))

    assert found == sorted(f"{name}.{ending}" for name in MACHINES for ending in ("svg", "mmd"))


def test_the_readme_shows_them() -> None:
    """They are drawn to be looked at."""
    readme = (FOLDER.parent / "README.md").read_text("utf-8")

    assert [name for name in MACHINES if f"diagrams/{name}.svg" not in readme] == []
