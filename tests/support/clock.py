"""The virtual clock of the testing kit, under the name that these tests have had for it."""

from statecore.testing.worlds import alone, virtual

__all__ = ["alone", "virtual"]
