"""The figures of "Proof: the testing kit, deterministic simulation and exhaustive exploration"."""

import importlib
from pathlib import Path
from typing import Final

from tests.figures.registry import Figure


def _collected() -> tuple[Figure, ...]:
    found: list[Figure] = []
    for path in sorted(Path(__file__).parent.glob("proof_*.py")):
        found += getattr(importlib.import_module(f"tests.figures.{path.stem}"), "FIGURES", ())
    return tuple(found)


FIGURES: Final = _collected()
