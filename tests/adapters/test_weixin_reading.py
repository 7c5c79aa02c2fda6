"""Reading refusals: one code, five meanings, and what each of them costs when it is taken for another."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore.platform import Refusal
from statecore.policies import Pacing
from statecore.reading import Evidence, Reading, Then
from statecore.units import HOURS, MINUTES
from statecore_adapters.weixin.protocol import parse_sent
from statecore_adapters.weixin.reading import BURST, STORM, read
from statecore_adapters.weixin.text import UTF8_MAX

OPEN = Evidence(spent=3, allowed=10, heard_ago=5 * MINUTES, size=40, last_second=1, last_minutes=20)
"""Nothing that is known says that the window is closed."""

BARE = attrs.evolve(OPEN, bare=True)
AFTER_BARE = attrs.evolve(OPEN, bare_refused=True)

MINUS_2 = Refusal(code="ret=-2")
SAME_AS_MINUS_2 = [
    MINUS_2,
    Refusal(code="ret=-2 errcode=-2"),
    Refusal(code="errcode=-2"),
    Refusal(code="ret=-2", message="prepare failed"),
    Refusal(code="ret=-2", message="unknown error"),
    Refusal(code="ret=-2", message="rate limited"),
    Refusal(code="ret=-2", message="freq limit"),
]


def then(refusal: Refusal, evidence: Evidence) -> tuple[Then, bool]:
    reading = read(refusal, evidence)
    return reading.then, reading.throttled


# ---- the matrix ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", SAME_AS_MINUS_2, ids=lambda refusal: f"{refusal.code} {refusal.message}")
@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        # what is known                                             what follows, and whether to slow down
        (OPEN, ("bare", False)),
        (attrs.evolve(OPEN, size=UTF8_MAX), ("bare", False)),
        (attrs.evolve(OPEN, size=UTF8_MAX + 1), ("dead", False)),
        (attrs.evolve(OPEN, spent=9), ("bare", False)),
        (attrs.evolve(OPEN, spent=10), ("window", False)),
        (attrs.evolve(OPEN, heard_ago=None), ("window", False)),
        (attrs.evolve(OPEN, heard_ago=24 * HOURS), ("bare", False)),
        (attrs.evolve(OPEN, heard_ago=24 * HOURS + 1), ("window", False)),
        (attrs.evolve(BARE, spent=11), ("window", False)),
        (attrs.evolve(AFTER_BARE, heard_ago=None), ("window", False)),
        (attrs.evolve(OPEN, spent=11, size=UTF8_MAX + 1), ("dead", False)),
        (BARE, ("circuit", False)),
        (AFTER_BARE, ("circuit", False)),
        (attrs.evolve(OPEN, others_refused=2), ("bare", False)),
        (attrs.evolve(BARE, others_refused=1), ("account", True)),
        (attrs.evolve(AFTER_BARE, others_refused=3), ("account", True)),
        (attrs.evolve(BARE, others_refused=1, others_accepted=5), ("circuit", False)),
        (attrs.evolve(BARE, last_second=2), ("circuit", False)),
        (attrs.evolve(BARE, last_second=3), ("account", True)),
        (attrs.evolve(BARE, last_second=3, others_accepted=1), ("circuit", False)),
        (attrs.evolve(BARE, last_minutes=899), ("circuit", False)),
        (attrs.evolve(BARE, last_minutes=900), ("account", True)),
        (attrs.evolve(BARE, last_minutes=900, others_accepted=1), ("circuit", False)),
        (attrs.evolve(OPEN, last_second=50), ("bare", False)),
        (attrs.evolve(OPEN, probing=True), ("account", True)),
        (attrs.evolve(BARE, probing=True), ("account", True)),
        (attrs.evolve(AFTER_BARE, probing=True, others_accepted=9), ("account", True)),
        (attrs.evolve(OPEN, probing=True, spent=11), ("window", False)),
        (attrs.evolve(OPEN, probing=True, heard_ago=None), ("window", False)),
    ],
)
def test_minus_two_is_read_by_what_is_known_and_not_by_its_words(
    refusal: Refusal, evidence: Evidence, expected: tuple[Then, bool]
) -> None:
    """
    Others read "prepare failed" as a rate limit and waited for what only the user could cure, for days.
    """
    assert expected == then(refusal, evidence)


@pytest.mark.parametrize(
    ("refusal", "evidence", "expected"),
    [
        (Refusal(code="ret=-2", message="invalid arguments"), OPEN, ("dead", False)),
        (Refusal(code="ret=-2", message="Invalid argument: to_user_id"), attrs.evolve(OPEN, spent=11), ("dead", False)),
        (Refusal(code="ret=-3"), OPEN, ("dead", False)),
        (Refusal(code="ret=-3", message="invalid argument"), AFTER_BARE, ("dead", False)),
        (Refusal(code="ret=-3"), BARE, ("circuit", False)),
        (Refusal(code="ret=-3", message="invalid argument"), BARE, ("circuit", False)),
        (Refusal(code="ret=-12"), OPEN, ("account", True)),
        (Refusal(code="ret=-13", message="slow down"), attrs.evolve(OPEN, spent=11), ("account", True)),
        (Refusal(code="ret=-12"), attrs.evolve(OPEN, size=UTF8_MAX + 1), ("dead", False)),
        (Refusal(code="ret=-14"), OPEN, ("credentials", False)),
        (Refusal(code="errcode=-14", message="session timeout"), BARE, ("credentials", False)),
        (Refusal(code="ret=-2 errcode=-14"), OPEN, ("credentials", False)),
        (Refusal(code="ret=-1"), OPEN, ("circuit", False)),
        (Refusal(code="ret=-4711", message="what is this"), attrs.evolve(OPEN, spent=11), ("circuit", False)),
        (Refusal(code=""), OPEN, ("circuit", False)),
        (Refusal(code="http 429"), OPEN, ("account", True)),
        (Refusal(code="http 400"), OPEN, ("dead", False)),
        (Refusal(code="http 413"), OPEN, ("dead", False)),
        (Refusal(code="http 422"), OPEN, ("dead", False)),
        (Refusal(code="http 408"), OPEN, ("retry", False)),
        (Refusal(code="http 502"), OPEN, ("retry", False)),
        (Refusal(code="http 524"), OPEN, ("retry", False)),
        (Refusal(code="http 401"), OPEN, ("account", False)),
        (Refusal(code="http 403"), OPEN, ("account", False)),
        (Refusal(code="http 404"), OPEN, ("account", False)),
        (Refusal(code="http 302"), OPEN, ("account", False)),
    ],
)
def test_every_other_refusal_has_its_own_reading(
    refusal: Refusal, evidence: Evidence, expected: tuple[Then, bool]
) -> None:
    """
    What kills a message, what holds its chat back and what holds everything back must not be mixed up.
    """
    assert expected == then(refusal, evidence)


@pytest.mark.parametrize(("code", "expected"), [("ret=-3", "circuit"), ("ret=-2", "window")])
def test_a_chat_that_nobody_ever_wrote_from_may_be_mistyped(code: str, expected: Then) -> None:
    """
    "Ask the user to write; nothing else helps" sends the person who mistyped an id away for ever. Of the two causes one
    passes, so neither ends anything.
    """
    never_wrote = read(Refusal(code=code), attrs.evolve(BARE, heard_ago=None))
    wrote = read(Refusal(code=code), BARE)

    assert never_wrote.then == expected
    assert never_wrote.action.startswith(
        "check the chat's id; a user's ends in @im.wechat; if it is right, ask the user"
    )
    assert "chat's id" not in wrote.action


# ---- what holds for all of them --------------------------------------------------------------------------------------

COUNTS = st.integers(0, 2000)
EVIDENCE = st.builds(
    Evidence,
    spent=st.integers(0, 20),
    allowed=st.integers(0, 12),
    heard_ago=st.none() | st.integers(0, 30 * HOURS) | st.integers(0, 2**62),
    size=st.integers(0, 2 * UTF8_MAX),
    bare=st.booleans(),
    bare_refused=st.booleans(),
    last_second=st.integers(0, 6),
    last_minutes=COUNTS,
    others_refused=st.integers(0, 3),
    others_accepted=st.integers(0, 3),
    probing=st.booleans(),
)
CODES = st.one_of(
    st.sampled_from(
        ["ret=-2", "ret=-3", "ret=-2 errcode=-2", "errcode=-2", "ret=-12", "ret=-14", "http 500", "http 404"]
    ),
    st.integers(-20, 20).map(lambda code: f"ret={code}"),
    st.integers(100, 599).map(lambda status: f"http {status}"),
    st.text(max_size=20),
)
WORDS = st.sampled_from(["", "prepare failed", "invalid arguments", "rate limited"]) | st.text(max_size=30)
REFUSALS = st.builds(Refusal, code=CODES, message=WORDS)


@settings(max_examples=300)
@given(refusal=REFUSALS, evidence=EVIDENCE)
def test_any_refusal_gets_a_reading_that_a_person_can_follow(refusal: Refusal, evidence: Evidence) -> None:
    """
    The reading is computed between two commits; an exception there would be a delivery that nobody decides on.
    """
    reading = read(refusal, evidence)

    assert isinstance(reading, Reading)
    assert reading.says
    assert reading.action or reading.then not in {"dead", "window", "credentials"}


@settings(max_examples=300)
@given(refusal=REFUSALS, evidence=EVIDENCE)
def test_the_experiment_is_made_once_and_never_instead_of_thinking(refusal: Refusal, evidence: Evidence) -> None:
    """
    Each request against a refusal was seen to prolong it, so the one without a token is worth exactly one.
    """
    if read(refusal, evidence).then == "bare":
        assert not evidence.bare
        assert not evidence.bare_refused
        assert evidence.spent < evidence.allowed
        assert evidence.heard_ago is not None
        assert evidence.heard_ago <= 24 * HOURS


@given(
    evidence=EVIDENCE, code=st.integers(-(2**63), 2**63 - 1).filter(lambda code: code not in {0, -2, -3, -12, -13, -14})
)
def test_a_code_nobody_knows_ends_nothing_and_is_quoted(evidence: Evidence, code: int) -> None:
    """
    The platform invents codes without telling; the message is still wanted, and a person has to look the code up.
    """
    sized = attrs.evolve(evidence, size=UTF8_MAX)
    reading = read(Refusal(code=f"ret={code}"), sized)

    assert reading.then == "circuit"
    assert f"ret={code}" in reading.says
    assert "unknown" in reading.says


@given(evidence=EVIDENCE)
def test_a_spent_window_is_never_blamed_on_the_account(evidence: Evidence) -> None:
    """
    One chat that used up its ten messages once silenced all the others.
    """
    spent = attrs.evolve(evidence, spent=evidence.allowed + 1, size=10)
    assert all(read(refusal, spent).then == "window" for refusal in SAME_AS_MINUS_2)


def test_the_pace_statecore_keeps_by_itself_is_no_sign_of_speaking_too_fast() -> None:
    """
    Otherwise five busy minutes would turn every refusal of one chat into a silence of the whole account.
    """
    pacing = Pacing()
    assert pacing.burst < BURST
    assert pacing.per_second * 300 + pacing.burst < STORM / 2


def test_what_the_codec_makes_of_a_refusal_is_what_is_read_here() -> None:
    """
    The code is text between the two; if one changed its form, every refusal would become an unknown one.
    """
    for body, expected in [
        (b'{"ret":-2}', "bare"),
        (b'{"ret":-2,"errcode":-2,"errmsg":"prepare failed"}', "bare"),
        (b'{"errcode":-2}', "bare"),
        (b'{"ret":-2,"errmsg":"invalid arguments"}', "dead"),
        (b'{"ret":-3}', "dead"),
        (b'{"ret":-13}', "account"),
    ]:
        refusal = parse_sent(body)
        assert isinstance(refusal, Refusal)
        assert expected == read(refusal, OPEN).then
