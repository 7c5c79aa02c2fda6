"""Defects of a running program are looked for on the stage of the scenarios."""

from tests.scenarios.conftest import _no_waiting_for_the_disk, slow_looks, stage

__all__ = ["_no_waiting_for_the_disk", "slow_looks", "stage"]
