"""Ids, tokens and sessions: unique, opaque, and the same for the same seed."""

import base64
import hashlib
from collections import Counter
from typing import Final

__all__ = ["Ids"]

FIRST_SNOWFLAKE: Final = 7_460_172_331_083_428_744  # of guilds, channels and users there: decimal, beyond 2**53


class Ids:
    """A source of ids. Two sources of one seed give the same ids in the same order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()

    def _bytes(self, kind: str, size: int) -> bytes:
        self._counts[kind] += 1
        return hashlib.shake_256(f"{self._seed}/{kind}/{self._counts[kind]}".encode()).digest(size)

    def hex(self, kind: str, chars: int) -> str:
        """Return *chars* hex digits, never the same twice for one *kind*."""
        return self._bytes(kind, (chars + 1) // 2).hex()[:chars]

    def opaque(self, kind: str, chars: int, prefix: str = "") -> str:
        """Return *prefix* and *chars* characters of URL-safe base64."""
        return prefix + base64.urlsafe_b64encode(self._bytes(kind, chars)).decode()[:chars]

    def uuid(self, kind: str) -> str:
        """Return an id in the form of a UUID."""
        digits = self.hex(kind, 32)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def message(self) -> str:
        """Return the id of a message in a chat with a person or a group."""
        return self.opaque("message", 44, "ROBOT1.0_")

    def snowflake(self, kind: str) -> str:
        """Return the decimal id of something in a guild."""
        self._counts[kind] += 1
        return str(FIRST_SNOWFLAKE + self._seed * 2**32 + 4096 * self._counts[kind] + sum(kind.encode()))
