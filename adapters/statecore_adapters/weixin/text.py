"""How large a part WeChat takes; cutting is the same everywhere."""

from typing import Final

from statecore_adapters import text as cutting
from statecore_adapters.text import Piece, Room, blocks, joined

__all__ = ["CHARS_MAX", "UTF8_MAX", "Piece", "Room", "blocks", "joined", "pieces", "split"]

CHARS_MAX: Final = 2000
"""Code points in a part. Source: what Hermes sends; a phone itself cuts at 2048. The official client uses 4000."""

UTF8_MAX: Final = 6000
"""UTF-8 bytes in a part. 6000 bytes of Chinese were taken and 6003 were refused (observed, 2026-10); plain ASCII is
taken up to 16 384."""


def split(text: str, *, chars: int = CHARS_MAX, utf8: int = UTF8_MAX) -> tuple[str, ...]:
    """Cut a text into parts; see `statecore_adapters.text`.

    Raises:
        NotAccepted: there is nothing in it that could be sent.
    """
    return cutting.split(text, chars=chars, utf8=utf8)


def pieces(text: str, *, chars: int = CHARS_MAX, utf8: int = UTF8_MAX) -> tuple[Piece, ...]:
    """Cut as `split` does, and say of each part what was added to it."""
    return cutting.pieces(text, chars=chars, utf8=utf8)
