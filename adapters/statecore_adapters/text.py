"""Cutting a text into parts that a platform takes, where a reader would cut it. For every adapter.

The law, which the tests hold this file to: take what the parts are made of (`pieces`), leave out the fence lines that
were added, join the rest and drop every whitespace character; that is the text without its whitespace. So only
whitespace can get lost, and only where a cut was made or at the two ends. No part is empty, or whitespace alone.

On many platforms a part costs one of the few messages a user's own message pays for, so a cut prefers fullness to beauty: it is
looked for in the second half of what fits, first between paragraphs, then between lines, sentences and words, and only
if there is nothing to hold on to it is looked for in the first half. A character made of several code points (a letter
with its accents, a family of emoji, a flag) is never taken apart, unless it alone is larger than a part.

A fenced block is left whole if it fits in a part. One that does not is closed where it is cut and opened again, with
its info string, in the next part.

Nothing looks further than one part ahead, and what is cut off is never looked at again, so time is linear in the text.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

import attrs

from statecore.errors import NotAccepted


@attrs.frozen
class Piece:
    """One part, and which of it was added.

    Args:
        opened: a fence line that opens a block again, with its line end; or nothing.
        text: what of the text it holds.
        closed: a fence line that closes a block too soon, with the line end before it; or nothing.
    """

    opened: str
    text: str
    closed: str

    def __str__(self) -> str:
        return f"{self.opened}{self.text}{self.closed}"


def split(text: str, *, chars: int, utf8: int | None = None) -> tuple[str, ...]:
    """Cut a text into parts. One that fits is returned as it is.

    Args:
        text: what to send.
        chars: code points in a part, at least 1.
        utf8: bytes in a part, at least 4, so that any character fits; None where only characters are counted.

    Raises:
        NotAccepted: there is nothing in it that could be sent.

    >>> split("One sentence. Another one.", chars=15)
    ('One sentence.', 'Another one.')
    """
    return tuple(str(piece) for piece in pieces(text, chars=chars, utf8=utf8))


def pieces(text: str, *, chars: int, utf8: int | None = None) -> tuple[Piece, ...]:
    """Cut as `split` does, and say of each part what was added to it."""
    utf8 = 4 * chars if utf8 is None else utf8
    if chars < 1 or utf8 < 4:
        raise ValueError(f"a part must hold a character, which takes up to 4 bytes; got {chars=}, {utf8=}")
    if not text or text.isspace():
        raise NotAccepted("the text is empty; a message needs a visible character")
    if (half := _HALF.search(text)) is not None:
        raise NotAccepted(
            f"the text holds half a character (a lone surrogate, U+{ord(half[0]):04X}) at position {half.start()}; "
            "it cannot be written in UTF-8, so it was probably cut or decoded wrongly before it came here"
        )
    room = Room(chars, utf8)
    return (Piece("", text, ""),) if room.holds(text) else tuple(_Cutter(text, room).cut())


# ---- fenced blocks ---------------------------------------------------------------------------------------------------


@attrs.frozen
class Room:
    """How much fits.

    Args:
        chars: code points.
        utf8: bytes.
    """

    chars: int
    utf8: int

    def holds(self, text: str, start: int = 0, end: int | None = None) -> bool:
        """Tell whether *text* from *start* to *end* fits. Nothing that is too long is copied to find out."""
        end = len(text) if end is None else end
        return end - start <= self.chars and len(text[start:end].encode()) <= self.utf8

    def reach(self, text: str, start: int, end: int) -> int:
        """Return how far from *start* a part reaches, at most to *end*."""
        window = text[start : min(start + self.chars, end)]
        encoded = window.encode()
        if len(encoded) > self.utf8:
            window = encoded[: self.utf8].decode(errors="ignore")
        return start + len(window)

    def without(self, text: str) -> "Room":
        """Return what is left beside *text*."""
        return Room(self.chars - len(text), self.utf8 - len(text.encode()))


@attrs.frozen
class Block:
    """A fenced block.

    Args:
        start: of the line that opens it, with its indentation.
        first: its first visible character after that line.
        last: its last visible one before the line that closes it.
        end: of the line that closes it, or of the text.
        opens: the line that opens it again.
        closes: the line that closes it.
    """

    start: int
    first: int
    last: int
    end: int
    opens: str
    closes: str


_FENCE: Final = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^\r\n]*)", re.MULTILINE)
_VISIBLE: Final = re.compile(r"\S")


def blocks(text: str, end: int) -> list[Block]:
    """Find the fenced blocks of a Markdown text up to *end*. One that is never closed ends with the text.

    Source: CommonMark 0.31, section 4.5, but for the indentation, which may be any: blocks in lists have one. A block
    without anything visible in it is none here, so that a cut inside a block always has something on both sides.
    """
    found: list[Block] = []
    opening: re.Match[str] | None = None
    for match in _FENCE.finditer(text, 0, end):
        marker, info = match[2], match[3].strip()
        if opening is None:
            if not (marker[0] == "`" and "`" in info):
                opening = match
        elif marker[0] == opening[2][0] and len(marker) >= len(opening[2]) and not info:
            found += _block(text, opening, match.start(), match.end())
            opening = None
    if opening is not None:
        found += _block(text, opening, end, end)
    return found


def _block(text: str, opening: re.Match[str], body_end: int, end: int) -> list[Block]:
    visible = _VISIBLE.search(text, opening.end(), body_end)
    if visible is None:
        return []
    last = body_end - 1
    while text[last].isspace():
        last -= 1
    fence = opening[1] + opening[2]
    return [Block(opening.start(), visible.start(), last, end, f"{opening[0].rstrip()}\n", f"\n{fence}")]


# ---- where to cut ----------------------------------------------------------------------------------------------------

_HALF: Final = re.compile(r"[\ud800-\udfff]")
_NEWLINE: Final = r"(?:\r\n?+|[\n\u2028\u2029])"
_PARAGRAPH: Final = re.compile(rf"{_NEWLINE}[^\S\r\n\u2028\u2029]*+{_NEWLINE}")
_LINE: Final = re.compile(_NEWLINE)
_SENTENCE: Final = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"')\]\u2019\u201d\u00bb]*+(?=\s)"  # Latin: before whitespace, for "1.5" is none
    r"|(?<![\u3002\uff01\uff1f\uff1b\uff61\u2026])[\u3002\uff01\uff1f\uff1b\uff61\u2026]++"  # Chinese and Japanese
    r"[\u2019\u201d\u300d\u300f\u3011\u300b\uff09\"')\]]*+"
)
_WORD: Final = re.compile(r"[^\S\xa0\u2007\u202f]|(?<=[\uff0c\u3001\uff1a])(?=\S)")  # not at a no-break space

_PROSE: Final = ((_PARAGRAPH, 0), (_LINE, 0), (_SENTENCE, 1), (_WORD, 0))
_CODE: Final = ((_PARAGRAPH, 0), (_LINE, 0), (_WORD, 0))
"""What to cut at, best first; and whether before the match (0) or after it (1)."""

_MARGIN: Final = 80
"""How far a match may reach beyond where the cut may be: blank lines with blanks in them, rows of full stops."""


class _Cutter:
    """Cuts one text. What it has cut off lies before `at`."""

    def __init__(self, text: str, room: Room) -> None:
        self.text: Final = text
        self.room: Final = room
        self.end: Final = len(text.rstrip())
        self.blocks: Final = blocks(text, self.end)
        self.starts: Final = [block.start for block in self.blocks]
        self.plain: Final[set[int]] = set()  # starts of blocks that are cut like any other text
        self.at = 0

    def cut(self) -> Iterator[Piece]:
        """Yield the parts in order."""
        self._go_on_at(0)
        opened = ""
        while True:
            room = self.room.without(opened)
            if room.holds(self.text, self.at, self.end):
                yield Piece(opened, self.text[self.at : self.end], "")
                return
            if self.text[self.at : room.reach(self.text, self.at, self.end)].isspace():
                self.at = self._visible(self.at)  # an indentation wider than a part
                continue
            to, block = self._choose(room)
            yield Piece(opened, self.text[self.at : to].rstrip(), block.closes if block else "")
            opened = block.opens if block else ""
            self._go_on_at(to)

    def _choose(self, room: Room) -> tuple[int, Block | None]:
        """Return where the part ends, and the block it cuts, if any."""
        first, reach = self._visible(self.at), room.reach(self.text, self.at, self.end)
        block = self._around(reach)
        if block is None:
            return self._best(first, reach), None
        fits = self.room.holds(self.text, block.start, block.end)
        after_text = block.start > first
        if after_text and (fits or (self._may_cut(block) and block.start - self.at >= (reach - self.at) // 2)):
            return self._best(first, block.start), None
        if self._may_cut(block):
            inside = max(first, block.first)
            reach = min(room.without(block.closes).reach(self.text, self.at, self.end), block.last)
            if reach > inside:
                return self._best(inside, reach, block), block
            if after_text:
                return self._best(first, block.start), None
        self.plain.add(block.start)
        return self._choose(room)

    def _may_cut(self, block: Block) -> bool:
        """Tell whether there is room for the lines that close it and open it again, and for as much beside them."""
        return Room(self.room.chars // 2, self.room.utf8 // 2).holds(block.opens + block.closes)

    def _around(self, position: int) -> Block | None:
        """Return the block that a cut at *position* would cut."""
        index = bisect_right(self.starts, position) - 1
        if index < 0:
            return None
        block = self.blocks[index]
        return block if block.start < position < block.end and block.start not in self.plain else None

    def _best(self, first: int, reach: int, block: Block | None = None) -> int:
        """Return where to cut behind the character at *first*, and not behind *reach*.

        Args:
            first: a visible character, so that the part holds one.
            reach: how far the part may go; a cut there cuts no other block than *block*.
            block: the block that is being cut, if any.
        """
        middle = max(first + 1, self.at + (reach - self.at) // 2)
        for lowest in (middle, first + 1):
            for pattern, side in _PROSE if block is None else _CODE:
                start, end = max(self.at, lowest - _MARGIN), min(reach + _MARGIN, self.end)
                cuts = [match.end() if side else match.start() for match in pattern.finditer(self.text, start, end)]
                for cut in reversed(cuts):
                    if lowest <= cut <= reach and self._clean(cut, block):
                        return cut
        return next((cut for cut in range(reach, first, -1) if self._clean(cut, block)), reach)

    def _clean(self, cut: int, block: Block | None) -> bool:
        """Tell whether a cut here leaves characters whole, and every block but *block*."""
        if self._around(cut) is not block or joined(self.text, cut, self.at):
            return False
        blank, following = self.text[cut : cut + 1], self.text[cut + 1 : cut + 2]
        return not (blank.isspace() and following and _extends(following))  # an accent may stand on a blank

    def _visible(self, position: int) -> int:
        """Return where the first visible character from *position* on is."""
        match = _VISIBLE.search(self.text, position)
        assert match is not None, "the text ends with a visible character, and that is not cut off yet"
        return match.start()

    def _go_on_at(self, cut: int) -> None:
        """Drop the whitespace around a cut, but for the indentation of the line that follows it."""
        before = cut
        while before > self.at and self.text[before - 1].isspace():
            before -= 1
        after = self._visible(cut)
        lines = [self.text.rfind(newline, before, after) for newline in "\r\n\u2028\u2029"]
        self.at = max(lines) + 1 if max(lines) >= 0 else after


# ---- characters of several code points -------------------------------------------------------------------------------

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_VIRAMA: Final = 9  # canonical combining class


def joined(text: str, cut: int, start: int = 0) -> bool:
    """Tell whether a cut would take a character apart.

    An approximation of the grapheme clusters of Unicode (UAX #29) out of what Python knows of characters: it never cuts
    a letter from its accents or vowel signs, an emoji from its colour or from what it is joined with, nor a flag, a
    syllable of Hangul or a line end in two.

    Args:
        text: the text.
        cut: before this character.
        start: where the part begins; flags are counted from there.

    >>> joined("e\\u0301", 1), joined("ab", 1)
    (True, False)
    """
    if not 0 < cut < len(text):
        return False
    left, right = text[cut - 1], text[cut]
    if left == "\r":
        return right == "\n"
    if right.isascii():
        return left == _ZWJ and not right.isspace()
    return _extends(right) or _binds(left, right) or (_is_flag(right) and _odd_flags_before(text, cut, start))


def _extends(char: str) -> bool:
    """Tell whether a character belongs to the one before it."""
    return (
        unicodedata.category(char) in ("Mn", "Mc", "Me")
        or char in (_ZWJ, _ZWNJ)
        or char in "\u0e33\u0eb3\uff9e\uff9f"  # vowel signs of Thai and Lao, sound marks of halfwidth kana
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # colours of skin
        or "\U000e0020" <= char <= "\U000e007f"  # tags, as in the flag of Scotland
        or "\u1160" <= char <= "\u11ff"  # vowels and finals of Hangul
        or "\ud7b0" <= char <= "\ud7fb"
    )


def _binds(left: str, right: str) -> bool:
    """Tell whether a character takes the next one to itself."""
    conjunct = unicodedata.combining(left) == _VIRAMA and unicodedata.category(right).startswith("L")
    return conjunct or (left == _ZWJ and not right.isspace())


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _odd_flags_before(text: str, cut: int, start: int) -> bool:
    first = cut
    while first > start and _is_flag(text[first - 1]):
        first -= 1
    return (cut - first) % 2 == 1
