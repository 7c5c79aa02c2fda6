"""Mutants that no test could notice, because nothing would be different. Each reason was checked.

Names are patterns as of `fnmatch`. A pattern that matches no mutant, or one that a test notices, fails the run.
"""

from collections.abc import Mapping
from typing import Final

EQUIVALENTS: Final[Mapping[str, str]] = {}
"""Which mutants, and why."""
