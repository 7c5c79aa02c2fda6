"""The half of an adapter that is asked and answers: texts, chats, refusals, settings. It needs no server."""

import copy
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, get_args
from unittest import mock

import attrs
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from statecore.errors import ConfigError, NotAccepted
from statecore.platform import Policies, Refusal
from statecore.policies import Window
from statecore.reading import Evidence, Reading, Then
from statecore.settings import build
from statecore.testing.adapters.base import Base

RUNS: Final = how(
    max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

CHARACTERS: Final = st.characters(exclude_characters="`~", exclude_categories=("Cs", "Cc"))
"""What texts are made of: fences of code may be closed and opened again where they are cut, so there are none."""

WORDS: Final = st.one_of(
    st.text(CHARACTERS, max_size=80),
    st.lists(
        st.sampled_from(["one ", "two, ", "three. ", "\n", "\n\n", "字", "。", "👍🏽", "e\u0301", "x" * 50]),
        max_size=60,
    ).map("".join),
)
LONG: Final = st.builds(lambda text, times: (text or "a") * times, WORDS, st.integers(1, 600)).filter(
    lambda text: len(text) < 60_000
)

WHOLES: Final = ("👍🏽", "e\u0301\u0327", "👨‍👩‍👧‍👦", "🇨🇭", "각", "नि", "1\ufe0f\u20e3")
"""Characters that a person sees as one, of several code points each."""

REFUSALS: Final = st.builds(
    Refusal,
    code=st.one_of(
        st.text(max_size=40),
        st.builds("{}={}".format, st.sampled_from(["ret", "errcode", "code", "err_code", "http"]), st.integers()),
        st.builds("http {}".format, st.integers(100, 999)),
    ),
    message=st.text(max_size=80),
    hint=st.none() | st.integers(0, 10**15),
)
_COUNTS: Final = st.integers(0, 1000)
EVIDENCE: Final = st.builds(
    Evidence,
    spent=_COUNTS, allowed=_COUNTS, heard_ago=st.none() | st.integers(0, 10**17), size=st.integers(0, 20_000),
    bare=st.booleans(), bare_refused=st.booleans(), last_second=_COUNTS, last_minutes=_COUNTS, others_refused=_COUNTS,
    others_accepted=_COUNTS, probing=st.booleans(), answers=st.booleans(), unclear=st.booleans(),
)  # fmt: skip

ABSURD: Final[tuple[Any, ...]] = (
    None, "", " ", "\0", "\ud800", "nonsense \u2028", -1, 0, 10**40, 1.5, float("nan"), float("inf"), [], [1], {},
    {"x": 1}, {"env": 5}, {"file": ""}, True, b"bytes", (), "http://", "file:///etc/passwd", "ws://[", "99999999d",
)  # fmt: skip
"""What people and generators of configuration files write by mistake. Each setting may take some of them."""


class Pure(Base):
    """Checks of the pure half.

    Attributes:
        runs: Hypothesis' settings.
    """

    runs: ClassVar[how] = RUNS

    # ---- texts -------------------------------------------------------------------------------------------------------

    def test_the_parts_of_a_text_are_the_text(self) -> None:
        """
        All of it, in order, and nothing else; only blanks may go where it is cut.
        """
        split = self.offline().platform.split

        @self.runs
        @given(LONG)
        @example("a" * 50_000)
        @example("字字。one 👍🏽 two,\n\nthree. e\u0301 " * 900)
        def holds(text: str) -> None:
            parts = cut(split, text)
            if parts is None:
                assert not seen(text), f"a text with something in it was not accepted: {text[:60]!r}"
                return
            assert parts, "a text was cut into no parts"
            assert all(parts), f"a part is empty: {parts[:5]!r}"
            assert seen("".join(parts)) == seen(text), f"the parts of {text[:60]!r} are not the text: {parts[:3]!r}"

        holds()

    def test_every_part_is_one_that_the_platform_takes(self) -> None:
        """
        A part that is too long is refused for ever.
        """
        split = self.offline().platform.split

        @self.runs
        @given(LONG)
        @example("字" * 20_000)
        @example("👍🏽" * 5_000)
        def holds(text: str) -> None:
            for part in cut(split, text) or ():
                assert self.fits(part), f"a part of {len(part)} characters does not fit: {part[:60]!r}"
                assert split(part) == (part,), f"what is a part already is cut again, or changed: {part[:60]!r}"

        holds()

    def test_no_character_is_torn(self) -> None:
        """
        Half of one is shown as a box, or as another one.
        """
        split = self.offline().platform.split
        for whole in WHOLES:
            for before in range(len(whole) + 3):
                parts = split("x" * before + whole * (15_000 // len(whole)))
                for part in parts:
                    assert not part or part.strip("x").replace(whole, "") == "", (
                        f"{whole!r} is torn at {part[:8]!r}, {part[-8:]!r}"
                    )
                    assert not unicodedata.combining(part[0]), f"{part[:4]!r} begins a part"

    def test_what_cannot_be_sent_is_not_accepted(self) -> None:
        """
        And says so at once, to whoever wrote it.
        """
        split = self.offline().platform.split
        for text in ("", " ", "\n\n\t ", "\u3000"):
            assert cut(split, text) is None, f"{text!r} holds nothing to send, and was accepted"
        for text in ("\ud800", "half of \udfff a character"):
            parts = cut(split, text)
            for part in parts or ():
                part.encode()  # what cannot be written as UTF-8 cannot be sent, nor be put into the journal

    # ---- chats -------------------------------------------------------------------------------------------------------

    def test_a_chat_is_accepted_or_refused_by_name(self) -> None:
        """
        A mistyped id ends in a sentence, and not in a traceback, nor in a message that waits for ever.
        """
        check = self.offline().platform.check
        for chat in self.bad_chats:
            assert not accepts(check, chat), f"{chat!r} is no chat, and was accepted"

        @self.runs
        @given(st.text(max_size=60) | st.sampled_from(("../..", "a/b?c#d", "\0", "x" * 5000)))
        def holds(chat: str) -> None:
            accepts(check, chat)

        holds()

    # ---- refusals ----------------------------------------------------------------------------------------------------

    def test_every_refusal_can_be_read(self) -> None:
        """
        Also one that nobody has seen before. The reading is recorded, and a person follows it.
        """
        read = self.offline().platform.read

        @self.runs
        @given(REFUSALS, EVIDENCE)
        def holds(refusal: Refusal, evidence: Evidence) -> None:
            reading = read(refusal, evidence)
            assert isinstance(reading, Reading), f"{refusal!r} is read as {reading!r}"
            assert reading.then in get_args(Then), (
                f"{refusal!r} is read as {reading.then!r}, which is none of {get_args(Then)}"
            )
            assert reading.says, f"the reading of {refusal!r} says nothing"

        holds()

    def test_an_experiment_is_made_once(self) -> None:
        """
        Refused without the token, or without markup, the part is not tried without it again: that would go round for ever.
        """
        read = self.offline().platform.read

        @self.runs
        @given(REFUSALS, EVIDENCE)
        def holds(refusal: Refusal, evidence: Evidence) -> None:
            again = read(refusal, attrs.evolve(evidence, bare=True))
            assert again.then != "bare", f"{refusal!r} of a part that was bare already is read as {again!r}"

        holds()

    # ---- purity ------------------------------------------------------------------------------------------------------

    def test_the_pure_half_knows_no_clock_and_no_chance(self) -> None:
        """
        Replay asks it again, on another day.
        """
        one, other = self.offline().platform, self.offline().platform

        @self.runs
        @given(LONG, REFUSALS, EVIDENCE, st.text(max_size=20))
        def holds(text: str, refusal: Refusal, evidence: Evidence, chat: str) -> None:
            with sealed():
                assert cut(one.split, text) == cut(other.split, text), "the same text is cut in other places"
                assert one.read(refusal, evidence) == other.read(refusal, evidence), (
                    "the same refusal is read otherwise"
                )
                assert one.resends(chat, "m") == other.resends(chat, "m")

        holds()

    def test_what_it_declares_stays_as_it_is(self) -> None:
        """
        Machines are wired by it when an account starts, and its policies are recorded then.
        """
        account = self.offline()
        platform = account.platform
        assert platform.name, "a platform has a name, which configuration files use"
        assert platform.tie in ("connection", "session"), f"there is no tie {platform.tie!r}"
        for declared in ("answers", "unasked", "markup"):
            assert isinstance(getattr(platform, declared), bool), f"`{declared}` is yes or no"
        for chat in ("", "c", "c2c:x", *self.bad_chats):
            for answers in ("", "m"):
                assert platform.resends(chat, answers) in ("always", "once", "never")
            assert isinstance(account.policies.window_of(chat), Window)
        assert isinstance(account.policies, Policies)
        assert account.policies == account.policies
        assert account.identity, "an account has an identity, by which one process at a time drives it"
        assert account.identity == self.offline().identity, "the identity of an account changes"

    # ---- settings ----------------------------------------------------------------------------------------------------

    def test_an_absurd_setting_is_refused_by_the_key_that_holds_it(self) -> None:
        """
        The person who wrote it finds the line.
        """
        if self.kind is None:
            pytest.skip("`kind` is not set, so there are no settings to look at")
        kind = self.kind
        names = [field.alias for field in attrs.fields(kind) if field.init and field.alias]
        for name in names:
            refused = [self._objection(kind, name, value) for value in (*ABSURD, object())]
            assert refused[-1], f"{name} takes anything at all"

    def test_a_setting_that_does_not_exist_is_refused_and_one_that_is_missing_is_named(self) -> None:
        """
        A slip in a name would otherwise leave a default where somebody wanted something else.
        """
        if self.kind is None:
            pytest.skip("`kind` is not set, so there are no settings to look at")
        assert self._objection(self.kind, "no_such_setting", 1), "a setting that does not exist is taken"
        for name in (field.alias for field in attrs.fields(self.kind) if field.init and field.default is attrs.NOTHING):
            left = {key: value for key, value in self.settings.items() if key != name}
            with pytest.raises(ConfigError) as caught:
                build(self.kind, left, "accounts.mine")
            assert caught.value.key == f"accounts.mine.{name}"

    def _objection(self, kind: type[Any], name: str, value: Any) -> bool:
        """Build an account with one setting changed; tell whether it was refused."""
        try:
            build(kind, {**copy.deepcopy(dict(self.settings)), name: value}, "accounts.mine")
        except ConfigError as refused:
            key = f"accounts.mine.{name}"
            assert refused.key == key or refused.key.startswith(f"{key}."), (
                f"{name} = {value!r} is blamed on {refused.key}"
            )
            assert refused.why, f"{name} = {value!r} is refused without a reason"
            return True
        except Exception as error:
            raise AssertionError(f"{name} = {value!r} ends in {type(error).__name__}: {error}") from error
        return False


def cut(split: Callable[[str], tuple[str, ...]], text: str) -> tuple[str, ...] | None:
    """Cut a text; None if it is not accepted."""
    try:
        return split(text)
    except NotAccepted as refused:
        assert str(refused), "a text was refused without a word"
        return None


def accepts(check: Callable[[str], None], chat: str) -> bool:
    """Tell whether something is taken for the id of a chat."""
    try:
        check(chat)
    except NotAccepted as refused:
        assert str(refused), "a chat was refused without a word"
        return False
    return True


def seen(text: str) -> str:
    """Return what of a text can be seen."""
    return "".join(
        one
        for one in text
        if not one.isspace() and unicodedata.category(one) not in ("Cf", "Cn", "Co", "Zs", "Zl", "Zp")
    )


@contextmanager
def sealed() -> Iterator[None]:
    """Have every look at a clock, and every draw, fail."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the pure half of an adapter looked at a clock, or drew a number")

    clocks = ("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns")
    chances = (
        "random.random",
        "random.randint",
        "random.choice",
        "random.getrandbits",
        "random.uniform",
        "random.shuffle",
    )
    patches = [mock.patch(name, refuse) for name in (*clocks, *chances)]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
