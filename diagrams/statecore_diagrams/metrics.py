"""How wide text is, without a font.

Pictures are drawn where no font can be asked, and shown where other fonts are installed. So text is measured by the
advance widths of Helvetica, which Arial and Liberation Sans share, and each piece of text is drawn with the length
measured: another font is squeezed a little instead of running over its box.
"""

import unicodedata
from functools import lru_cache
from typing import Final

FONT: Final = "Helvetica, Arial, 'Liberation Sans', sans-serif"

_WIDTHS: Final = {
    **dict.fromkeys("ijl", 222), **dict.fromkeys(" !,./:;I[]\\ft", 278), **dict.fromkeys("()-`r{}", 333),
    **dict.fromkeys("*", 389), **dict.fromkeys("^", 469), **dict.fromkeys("Jckvsxyz", 500), "'": 191, "|": 260, '"': 355,
    **dict.fromkeys("+<=>~", 584), **dict.fromkeys("FTZ", 611), **dict.fromkeys("&ABEKPSVXY", 667),
    **dict.fromkeys("CDHNRUw", 722), **dict.fromkeys("GOQ", 778), **dict.fromkeys("Mm", 833), "%": 889, "W": 944,
    "@": 1015, "\N{MULTIPLICATION SIGN}": 584, "…": 1000, "·": 278, "→": 1000, "•": 350,
}  # fmt: skip
"""Thousandths of the font's size; what is not here is 556, as digits and most letters are. Source: Adobe's AFM files."""

_BOLD: Final = 1.1
"""Helvetica Bold is wider by about this."""


@lru_cache(maxsize=4096)
def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a line of text is, in pixels.

    >>> width("connected", 10)
    47.78
    """
    units = sum(1000 if unicodedata.east_asian_width(c) in "WF" else _WIDTHS.get(c, 556) for c in text)
    return round(units * size / 1000 * (_BOLD if bold else 1), 2)


def wrap(words: list[str], limit: float, size: float, between: str = ", ") -> list[str]:
    """Break a list into lines of at most *limit* pixels; a word longer than that has a line to itself."""
    lines: list[str] = []
    for position, word in enumerate(words):
        piece = word + (between.rstrip() if position + 1 < len(words) else "")
        joined = f"{lines[-1]} {piece}" if lines else piece
        if lines and width(joined, size) <= limit:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines
