"""Pieces of SVG that pictures share."""

import math
import re
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from statecore_diagrams import metrics, palette

SIZE: Final = 10.5
"""Of type, in pixels, where nothing else is said."""


_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, however they are written."""


def text(shown: str) -> str:
    """Escape text. It may come from outside: a chat may be called `<script>`."""
    return escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", shown))


def attribute(value: str) -> str:
    """Escape and quote the value of an attribute."""
    return quoteattr(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", value))


def words(
    shown: str,
    x: float,
    base: float,
    classes: str,
    *,
    size: float = SIZE,
    bold: bool = False,
    data: str = "",
    most: float | None = None,
) -> str:
    """Draw text with the length it was measured to have, so that another font runs over nothing.

    Args:
        shown: the text.
        x: where it begins, in pixels.
        base: its base line.
        classes: of the element.
        size: of the type, in pixels.
        bold: whether it is.
        data: attributes of the element.
        most: the length it may have; it is squeezed into that.
    """
    kept = shown.rstrip()
    wide = metrics.width(kept, size, bold=bold)
    wide = wide if most is None else min(wide, most)
    return (
        f'<text class="{classes}" x="{x:.1f}" y="{base:.1f}" textLength="{wide:.1f}" '
        f'lengthAdjust="spacingAndGlyphs"{data}>{text(kept)}</text>'
    )


def sign(kind: str, x: float, base: float) -> str:
    """Draw the sign before a line: a clock, something that is started, something heard, a loop.

    Args:
        kind: timer, attempt, signal or loop; anything else has no sign.
        x: where it begins, in pixels.
        base: base line of the text beside it.
    """
    return "".join(
        f'<path class="sign{full}" transform="translate({x:.1f} {base - 4:.1f})" d="{path}"/>'
        for full, path in _SIGNS.get(kind, ())
    )


_SIGNS: Final = {
    "timer": [("", "M0 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0M4.2-2.6v2.6h2.2")],
    "attempt": [(" full", "M.8-4l7 4l-7 4z")],
    "signal": [("", "M1-3.6a7 7 0 0 1 7 7M1-.4a3.8 3.8 0 0 1 3.8 3.8"), (" full", "M.8 1.8h1.8v1.8h-1.8z")],
    "loop": [("", "M6.9-2.4a3.7 3.7 0 1 0 .9 3M7.4-4.4v2.6h-2.6")],
}


def document(
    name: str, size: tuple[int, int], told: tuple[str, str], styles: str, body: Sequence[str], data: str = ""
) -> str:
    """Put a standalone picture together.

    Args:
        name: class of the picture, which its styles are kept to.
        size: width and height in pixels.
        told: title and description, for those who do not see it.
        styles: what `style` returned.
        body: what is drawn.
        data: attributes of the picture.
    """
    (wide, high), (title, about) = size, told
    box = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    label = attribute(f"{title}: {about}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" {box} aria-label={label}{data}>',
            f"<title>{text(title)}</title>",
            f"<desc>{text(about)}</desc>",
            f"<style>\n{styles}\n</style>",
            f'<rect class="back" width="{wide}" height="{high}" rx="10"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def head(neck: tuple[float, float], tip: tuple[float, float]) -> str:
    """Draw the head of an arrow, from where its line ends to its tip."""
    across, down = tip[0] - neck[0], tip[1] - neck[1]
    side = 3.2 / (math.hypot(across, down) or 1)
    x, y = neck
    return (
        f'<path class="head" d="M{tip[0]:.1f} {tip[1]:.1f}L{x - down * side:.1f} {y + across * side:.1f}'
        f'L{x + down * side:.1f} {y - across * side:.1f}z"/>'
    )


def style(scope: str, rules: str, theme: palette.Theme) -> str:
    """Write a stylesheet that touches nothing outside its picture, wherever that is put into.

    Args:
        scope: selector of the picture.
        rules: a rule a line.
        theme: see `palette.variables`.
    """
    lines = [f"text{{font:{SIZE}px {metrics.FONT};fill:var(--text)}}", *rules.strip().splitlines()]
    scoped = [
        ",".join(f"{scope} {selector}" for selector in selectors.split(",")) + "{" + rule
        for selectors, _, rule in (line.partition("{") for line in lines)
    ]
    return "\n".join((palette.variables(theme, scope), palette.tones(scope), *scoped))
