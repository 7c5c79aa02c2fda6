"""The conformance suites: both adapters, a stranger's, and the journal pass them; every broken one is found."""

import subprocess
import sys
from typing import Final

from tests.figures.registry import ROOT, Figure, Measured

SUITES: Final = "tests/testing/suites"


def _conformance() -> Measured:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", SUITES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-200:]
    listed = subprocess.run([*command, "--collect-only"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    broken = sum("test_broken_" in line and "::" in line for line in listed.splitlines())
    return Measured(
        f"{last}; {broken} of these are broken adapters and stores that had to be found", done.returncode == 0
    )


FIGURES: Final = (
    Figure(
        issue="proof",
        number=9,
        title="Conformance suites for adapters and stores",
        bar="WeChat, QQ, a stranger's adapter, SQLite and the store in memory pass; each broken one is found by its check",
        measure=_conformance,
        within=600,
    ),
)
