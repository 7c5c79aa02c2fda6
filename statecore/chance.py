"""Chance that follows from what it is drawn for. Pure.

A wait is drawn, so that those who failed together do not come back together. What is drawn here depends only on who draws
and why, and not on how many numbers others have drawn before: so whoever knows the journal knows every number that a run
would have drawn, and can tell what another setting had made of the same ones.
"""

from hashlib import blake2b
from typing import Final

from statecore.world import World

_BITS: Final = 53
"""A float holds as many, so that every number below 1 stays below it."""


class Chance:
    """The time and the chance of one account.

    Args:
        world: where the time comes from.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._seed = ""
        self._about = ""
        self._drawn = 0

    def now(self) -> int:
        """Return the time for decisions, in ns."""
        return self._world.now()

    def begin(self, seed: str) -> None:
        """Draw from *seed* from now on; every process that takes the account has its own."""
        self._seed = seed

    def about(self, address: str, version: int) -> None:
        """Draw for what happens next to an instance.

        Args:
            address: of the instance.
            version: how many events it has taken.
        """
        self._about = f"{address} {version}"
        self._drawn = 0

    def draw(self) -> float:
        """Return a uniform number in [0, 1)."""
        self._drawn += 1
        digest = blake2b(f"{self._seed} {self._about} {self._drawn}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> (64 - _BITS)) / (1 << _BITS)
