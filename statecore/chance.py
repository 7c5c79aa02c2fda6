"""Chance that follows from when it is drawn. Pure.

A wait is drawn, so that those who failed together do not come back together. What is drawn here depends only on a number that
every process writes down when it takes an account, and on how long after that it is drawn. So whoever knows the journal knows
every number that a run has drawn, and can tell what another setting had made of the same ones; also where names and ids are
hidden, or all times are moved.
"""

from hashlib import blake2b
from typing import Final

from statecore.world import World

_BITS: Final = 53
"""A float holds as many, so that every number below 1 stays below it."""


def seed(draw: float) -> int:
    """Make what a process draws from out of a uniform number in [0, 1)."""
    return int(draw * (1 << _BITS))


class Chance:
    """The time and the chance of one account.

    Args:
        world: where the time comes from.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._seed = 0
        self._began = 0
        self._at = 0
        self._drawn = 0

    def now(self) -> int:
        """Return the time for decisions, in ns."""
        return self._world.now()

    def begin(self, seed: int, at: int) -> None:
        """Draw from a seed from now on.

        Args:
            seed: every process that takes the account has its own.
            at: when it took it, in ns.
        """
        self._seed = seed
        self._began = self._at = at
        self._drawn = 0

    def at(self, now: int) -> None:
        """Draw for what is decided at a moment, in ns."""
        if now != self._at:
            self._at = now
            self._drawn = 0

    def draw(self) -> float:
        """Return a uniform number in [0, 1)."""
        self._drawn += 1
        digest = blake2b(f"{self._seed} {self._at - self._began} {self._drawn}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> (64 - _BITS)) / (1 << _BITS)
