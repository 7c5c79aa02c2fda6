"""Ids, tokens and cursors: unique, opaque, and the same for the same seed."""

import base64
import binascii
import hashlib
import struct
from collections import Counter
from typing import Final

import attrs

__all__ = ["Ids", "cursor", "read_cursor"]

FIRST_MESSAGE_ID: Final = 7_460_172_331_083_428_744
# Ids follow each other closely: read as a float, neighbours become one number, as real ones do.

CURSOR_HEAD: Final = b"\x0a\x09\x08"  # makes it look like the protobuf it seems to be: "CgkI..."


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
        """Return *chars* characters of base64 that begin with *prefix*."""
        return (prefix + base64.b64encode(self._bytes(kind, chars)).decode())[:chars]

    def message_id(self) -> int:
        """Return a number above 2**53, larger than all before."""
        self._counts["message"] += 1
        return FIRST_MESSAGE_ID + (self._seed % 1024) * 2**32 + 3 * self._counts["message"]


@attrs.frozen
class Position:
    """Where a cursor points: after message *seq* of the binding number *generation*."""

    generation: int
    seq: int


def cursor(account_id: str, generation: int, seq: int) -> str:
    """Write the opaque string for a position in one account's inbox."""
    body = CURSOR_HEAD + struct.pack(">IQ", generation, seq)
    return base64.b64encode(body + _tag(account_id, body)).decode()


def read_cursor(account_id: str, text: str) -> Position | None:
    """Read a cursor back; None for one that was not written for this account."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    body, tag = raw[:-6], raw[-6:]
    if len(raw) != 21 or tag != _tag(account_id, body):
        return None
    generation, seq = struct.unpack(">IQ", body[len(CURSOR_HEAD) :])
    return Position(generation, seq)


def _tag(account_id: str, body: bytes) -> bytes:
    return hashlib.sha256(account_id.encode() + body).digest()[:6]
