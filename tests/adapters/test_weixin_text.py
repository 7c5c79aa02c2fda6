"""Cutting texts: nothing may get lost, and nobody should see that there was a cut."""

import itertools
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore.errors import NotAccepted
from statecore_adapters.weixin import text as weixin_text
from statecore_adapters.weixin.text import CHARS_MAX, UTF8_MAX, blocks, joined, pieces, split

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"

SCRAPS = st.sampled_from(
    [
        "a",
        "word ",
        "Sentence. ",
        "\u597d\u3002",
        "\u4e2d\u6587\uff0c",
        "\n",
        "\r\n",
        "\n\n",
        " ",
        "\t",
        "    ",
        "\xa0",
        "\u2028",
        "\x1c",
        "```",
        "\n```\n",
        "\n```py\n",
        "\n~~~ sh\n",
        "\n````\n",
        "\n  ```\n",
        "`",
        "~",
        "e\u0301",
        "\u0301",
        "\u200d",
        FAMILY,
        "\U0001f1e9\U0001f1ea",
        SCOTLAND,
        "\u0915\u094d\u0937",
        "\u1112\u1161\u11ab",
        "!?",
        "\u2026",
        "x" * 30,
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(SCRAPS, max_size=60).map("".join))
LIMITS = st.tuples(st.integers(1, 90), st.integers(4, 200))


def visible(text: str) -> str:
    return "".join(text.split())


def sendable(text: str) -> bool:
    return bool(text.strip())


# ---- the law ---------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(text=TEXTS.filter(sendable), limits=LIMITS)
def test_only_whitespace_and_added_fence_lines_tell_the_parts_from_the_text(text: str, limits: tuple[int, int]) -> None:
    """
    A character that is lost in a cut is lost for good: the part was delivered, and nobody looks again.
    """
    found = pieces(text, chars=limits[0], utf8=limits[1])

    assert visible(text) == visible("".join(piece.text for piece in found))


@settings(max_examples=200)
@given(text=TEXTS.filter(sendable), limits=LIMITS)
def test_every_part_fits_and_shows_something(text: str, limits: tuple[int, int]) -> None:
    """
    A part over the limit is refused with the same code as a closed window; a blank one is no message at all.
    """
    for part in split(text, chars=limits[0], utf8=limits[1]):
        assert part.strip()
        assert len(part) <= limits[0]
        assert len(part.encode()) <= limits[1]


@given(text=TEXTS.filter(sendable), limits=LIMITS)
def test_what_was_added_is_nothing_but_fence_lines_that_match(text: str, limits: tuple[int, int]) -> None:
    """
    The law lets added fence lines be taken off again, so it is worth nothing if other things are added.
    """
    found = pieces(text, chars=limits[0], utf8=limits[1])

    assert not found[0].opened
    assert not found[-1].closed
    for before, after in itertools.pairwise(found):
        assert bool(before.closed) == bool(after.opened)
        if before.closed:
            marker = before.closed.strip()
            assert set(marker) in ({"`"}, {"~"})
            assert after.opened.strip().startswith(marker)
            assert after.opened.strip() in text


@given(text=st.text(min_size=1, max_size=CHARS_MAX).filter(sendable))
def test_a_text_that_fits_is_left_as_it_is(text: str) -> None:
    """
    Most messages need no cut, and then their blanks and line ends are their author's business.
    """
    if len(text.encode()) <= UTF8_MAX:
        assert split(text) == (text,)


@given(text=st.text(min_size=1, max_size=120).filter(sendable), limits=LIMITS)
def test_the_same_text_is_always_cut_in_the_same_places(text: str, limits: tuple[int, int]) -> None:
    """
    After a restart part seven is sent again under the key of part seven, so it had better be the same part.
    """
    assert split(text, chars=limits[0], utf8=limits[1]) == split(text, chars=limits[0], utf8=limits[1])


# ---- where it is cut -------------------------------------------------------------------------------------------------


def test_the_default_limits_are_those_the_platform_was_seen_to_take() -> None:
    """
    6003 bytes of Chinese were refused with the words that also mean a closed window.
    """
    han = split("\u6c49" * 5000)
    assert max(len(part) for part in han) == 2000
    assert max(len(part.encode()) for part in han) == 6000
    assert max(len(part.encode()) for part in split("\U0001f600" * 5000)) <= 6000


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("alpha beta\n\ngamma delta eps", ("alpha beta", "gamma delta eps")),
        ("alpha beta.\ngamma delta eps", ("alpha beta.", "gamma delta eps")),
        ("one two. Three four five six", ("one two. Three four", "five six")),
        ("one two three. Four five six", ("one two three.", "Four five six")),
        ('he said "yes." Then he left it', ('he said "yes."', "Then he left it")),
        ("version 1.5.2.7.8 is out now", ("version 1.5.2.7.8 is", "out now")),
        ("alpha beta gamma delta eps", ("alpha beta gamma", "delta eps")),
        ("x" * 45, ("x" * 20, "x" * 20, "x" * 5)),
        ("alpha\r\nbeta gamma\r\ndelta eps", ("alpha\r\nbeta gamma", "delta eps")),
        ("alpha beta gam\u00a0ma\u00a0delta", ("alpha beta", "gam\u00a0ma\u00a0delta")),
    ],
)
def test_a_cut_falls_between_paragraphs_lines_sentences_and_words_in_that_order(
    text: str, parts: tuple[str, ...]
) -> None:
    """
    A reader who gets a sentence in two messages reads the first half as an answer.
    """
    assert parts == split(text, chars=20)


def test_chinese_is_cut_after_its_own_full_stops() -> None:
    """
    Chinese has no spaces, so a cut that looks for them goes through the middle of every sentence.
    """
    text = "\u4eca\u5929\u5f88\u597d\u3002\u6211\u4eec\u53bb\u516c\u56ed\u201c\u8d70\u8d70\u3002\u201d\u597d\u5417"
    assert split(text, chars=15)[0].endswith("\u3002\u201d")
    assert split(text, chars=9)[0].endswith("\u597d\u3002")


def test_a_full_part_is_preferred_to_a_pretty_one() -> None:
    """
    Each part costs one of ten messages; a heading sent alone is one that the answer lacks in the end.
    """
    assert split("Hi\n\n" + "word " * 30, chars=50)[0].startswith("Hi\n\nword")
    assert len(split("Hi\n\n" + "word " * 30, chars=50)) == 4


def test_an_early_break_is_better_than_none() -> None:
    """
    A long address stays whole if it can: it is of no use in two messages.
    """
    address = "https://example.com/" + "a" * 1900
    assert split(f"see here:\n{address}") == (f"see here:\n{address}",)
    assert split(f"{'see here: ' * 20}\n{address}") == (("see here: " * 20).strip(), address)


def test_indentation_after_a_cut_is_kept() -> None:
    """
    Python that lost its indentation in the mail does not run.
    """
    assert split("def f():\n    return 1\n    # end", chars=22) == ("def f():\n    return 1", "    # end")


@pytest.mark.parametrize(
    "whole", ["e\u0301\u0302", FAMILY, "\U0001f44d\U0001f3fd", SCOTLAND, "\u0915\u094d\u0937\u093f"]
)
def test_a_character_of_several_code_points_is_never_taken_apart(whole: str) -> None:
    """
    Half of a family is other people, and half of a flag is a black one.
    """
    for room in range(len(whole), len(whole) * 3):
        for part in split(whole * 9, chars=room):
            assert not part.replace(whole, "")


def test_a_blank_with_an_accent_on_it_is_no_blank_to_cut_at() -> None:
    """
    The accent would end up on whatever comes last in the part before, or first in the next.
    """
    assert split("alpha beta \u0301gamma", chars=14) == ("alpha", "beta \u0301gamma")


def test_flags_are_cut_in_pairs() -> None:
    """
    Two flags cut in the middle make the flag of a third country.
    """
    flags = "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7" * 5
    assert all(len(part) % 2 == 0 for part in split(flags, chars=7))


def test_a_character_larger_than_a_part_is_cut_all_the_same() -> None:
    """
    A letter with three thousand accents must not stop everything behind it.
    """
    zalgo = "a" + "\u0301" * 50
    assert split(zalgo, chars=20) == (zalgo[:20], zalgo[20:40], zalgo[40:])


@given(st.text(min_size=2, max_size=8))
def test_a_letter_is_never_separated_from_a_mark(text: str) -> None:
    """
    The approximation of grapheme clusters may be coarse, but not on this.
    """
    for cut in range(1, len(text)):
        if unicodedata.category(text[cut]) in {"Mn", "Mc", "Me"} and text[cut - 1] != "\r":
            assert joined(text, cut)


# ---- fenced blocks ---------------------------------------------------------------------------------------------------

CODE = "```py\nprint(1)\nprint(2)\n```"


def test_a_fenced_block_that_fits_is_not_cut() -> None:
    """
    A block in two messages is drawn as two, and cannot be copied.
    """
    assert split(f"some words first\n{CODE}\nand after", chars=40) == ("some words first", f"{CODE}\nand after")


def test_a_blank_line_in_a_block_is_no_place_to_cut() -> None:
    """
    Code has paragraphs too; they are tempting, and they are inside.
    """
    block = "```\nalpha beta\n\nb\n```"
    assert split(f"{block}\nwords after it", chars=25) == (block, "words after it")


def test_a_block_that_must_be_cut_is_closed_and_opened_again_with_its_language() -> None:
    """
    Otherwise the rest of the answer is drawn as code, and the code as text.
    """
    lines = [f"line_{number} = {number}" for number in range(12)]
    *parts, last = split("```py\n" + "\n".join(lines) + "\n```\nthat was it", chars=60)

    assert len(parts) > 2
    assert all(part.startswith("```py\n") for part in parts)
    assert all(part.endswith("\n```") for part in parts)
    assert last == "that was it"
    assert lines == [line for part in parts for line in part.splitlines() if line.startswith("line_")]


def test_an_indented_block_is_opened_again_with_its_indentation() -> None:
    """
    In a list a fence without its indentation ends the list.
    """
    parts = split("1. do\n   ```sh\n   " + "\n   ".join(["make all"] * 8) + "\n   ```", chars=60)
    assert parts[1].startswith("   ```sh\n   make all")
    assert parts[0].endswith("\n   ```")


def test_a_block_that_is_never_closed_ends_with_the_text() -> None:
    """
    Models forget the last fence; it is not ours to add, but the parts before the last are.
    """
    parts = split("~~~\n" + "abcd efgh\n" * 9, chars=40)
    assert all(part.startswith("~~~\n") for part in parts)
    assert [part.endswith("\n~~~") for part in parts] == [True] * (len(parts) - 1) + [False]


def test_a_longer_fence_holds_a_shorter_one() -> None:
    """
    Markdown about Markdown: the inner fence neither opens nor closes anything.
    """
    text = "````md\n```\ninner\n```\n````"
    assert [(0, len(text))] == [(block.start, block.end) for block in blocks(text, len(text))]


def test_a_fence_too_long_to_repeat_is_cut_like_text() -> None:
    """
    Where closing and opening takes more room than there is, the words still have to go out.
    """
    text = "```" + "language" * 20 + "\nprint(1)\n```"
    assert visible(text) == visible("".join(split(text, chars=50)))


# ---- what is not taken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\t\u3000 \r\n"])
def test_a_text_without_anything_to_see_is_not_accepted(text: str) -> None:
    """
    The platform's answer to it looks like a closed window, so it must not get that far.
    """
    with pytest.raises(NotAccepted, match="empty"):
        split(text)


def test_half_a_character_is_not_accepted_and_its_place_is_named() -> None:
    """
    It can be written neither to the journal nor to the wire, and would be found out only when it is too late to say no.
    """
    with pytest.raises(NotAccepted, match=r"U\+D83D\) at position 3"):
        split("abc\ud83d")


@pytest.mark.parametrize("limits", [{"chars": 0}, {"utf8": 3}])
def test_a_limit_that_holds_no_character_is_an_error(limits: dict[str, int]) -> None:
    """
    Cutting for ever is the alternative.
    """
    with pytest.raises(ValueError, match="a part must hold a character"):
        split("abc", **limits)


# ---- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scrap",
    [
        "x",
        ".",
        "\u3002",
        "`",
        "\n```\n",
        "\n```\nx\n",
        "\u0301",
        "\U0001f1e9",
        "a ",
        "\r",
        "\u200d",
        "~~~\n",
        "a\n" + " " * 2100,
    ],
)
def test_half_a_million_characters_of_anything_are_cut_in_about_linear_time(scrap: str) -> None:
    """
    A text of one megabyte without a space froze others for minutes; whoever can make the bot talk could do that.
    """

    def cost(size: int) -> float:
        text = "a" + scrap * (size // len(scrap))
        began = time.process_time()
        split(text)
        return time.process_time() - began

    cost(20_000)
    small, large = max(cost(50_000), 0.01), cost(500_000)
    assert large < small * 40, f"ten times the text took {large / small:.0f} times as long"
    assert large < 10


def test_what_is_cut_off_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The same in numbers that no busy machine disturbs: characters searched per character of text.
    """
    searched = 0
    holds = weixin_text.Room.holds

    def counting(self: weixin_text.Room, text: str, start: int = 0, end: int | None = None) -> bool:
        nonlocal searched
        searched += min(self.chars, (len(text) if end is None else end) - start)
        return holds(self, text, start, end)

    monkeypatch.setattr(weixin_text.Room, "holds", counting)
    split("x" * 200_000)
    assert searched < 3 * 200_000
