"""What refusals and close codes lead to. Each code the documents name has a meaning; none that they do not name ends well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.platform import Refusal
from statecore.reading import Evidence, Reading, Then
from statecore.units import SECONDS
from statecore_adapters.qqbot.codes import CLOSES, ERRORS, PENDING, closed
from statecore_adapters.qqbot.reading import read

ANSWER = Evidence(answers=True, spent=1, allowed=4)
FIRST = Evidence(answers=False)


def of(code: int, evidence: Evidence = ANSWER, *, markup: bool = True) -> Reading:
    return read(Refusal(code=f"err_code={code}", trace="t-1"), evidence, markup=markup)


# ---- the codes the documents name ------------------------------------------------------------------------------------

DOCUMENTED: dict[Then, list[int]] = {
    "slot": [304026, 304027, 304028, 304103, 40034005, 40034024, 40034025, 40034026, 40034027, 40034128, 22009],
    "taken": [40054005],
    "retry": [
        *(11252, 11263, 11281, 12003),
        *(304007, 304008, 304009, 304010, 304017, 304021, 304029, 304016, 304018),
        *(304082, 304083, 40034004, 40054006, 50055001, 50055002, 50055006, 40093001),
    ],
    "account": [50002, 100017, 504000, 504321, 504999, 1100100, 11265, 11298, 40023002, 40054016],
    "circuit": [
        *(20028, 1100308, 40034100),
        *(304022, 304035, 304045, 304046, 304047, 304048, 304049, 304050, 40034122, 40034123, 40054002, 40093002),
    ],
    "credentials": [11241, 11242, 40012002, 11243, 11244, 11245, 11251, 11261, 11275],
    "window": [40034102, 40034105],
    "bare": [
        *(50054, 50055, 50056, 50057, 304036, 40034127, 304037, 304038, 304039, 304040, 304057),
        *(40034008, 40034009, 40034010, 40034011, 40034124),
    ],
    "dead": [
        *(11253, 11254, 11264, 11274, 11282, 10001, 10003, 10004, 12001, 12002),
        *(22006, 50059, 340069, 50006, 50035, 50037, *range(50041, 50054), 301000, 301057, 301099),
        *(304003, 40054010, 304020, 304025, 40034006, 1100101, 1100103, 304031, 304032, 304033, 304034),
        *(304061, 304080, 305007, 40034029, 40034001, 850026, 40034101, 40054003, 40054004, 40054013),
        *(40054007, 40054018, 1000001, 40007, 40113003, 1100104),
    ],
}
THROTTLES = [20028, 1100308, 40034100, 50002, 100017, 504000, 1100100, 22009]
WITH_ACTION = [304003, 40054007, 40054010, 40034101, 40054004, 40054013, 11265, 11298, 40054002, 301001, 11253, 11245]


@pytest.mark.parametrize(("then", "code"), [(then, code) for then, codes in DOCUMENTED.items() for code in codes])
def test_a_documented_code_has_its_consequence(then: Then, code: int) -> None:
    """
    The class of each stands in the platform's own tables; here is what follows from it for an answer in Markdown.
    """
    assert of(code).then == then


def test_no_code_is_in_the_table_and_not_in_the_documents() -> None:
    """
    So that a row that is added here is thought about there.
    """
    listed = {code for codes in DOCUMENTED.values() for code in codes}
    spans = {*range(504000, 505000), *range(850000, 851000), *range(301000, 301100)}

    assert set(ERRORS) - listed - spans == {100001, 11255}
    assert not PENDING & set(ERRORS)


@pytest.mark.parametrize("code", sorted({code for codes in DOCUMENTED.values() for code in codes}))
def test_only_the_rate_families_slow_the_account_down(code: int) -> None:
    """
    Slowing down over a muted group would hold up everybody else.
    """
    assert of(code).throttled == (code in THROTTLES or 504000 <= code < 505000)


@pytest.mark.parametrize("code", WITH_ACTION)
def test_what_a_person_must_mend_says_how(code: int) -> None:
    """
    A delivery that is given up is read by somebody.
    """
    assert of(code).action


# ---- what depends on what is known -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [40034005, 40034024, 40034128, 304027])
def test_without_a_message_that_was_answered_there_is_no_slot_to_give_up(code: int) -> None:
    """
    The next message of the user opens one.
    """
    assert of(code, FIRST).then == "window"


def test_the_limit_of_messages_is_of_the_answer_or_of_the_chat() -> None:
    """
    The platform has one number for both.
    """
    assert (of(22009).then, of(22009, FIRST).then) == ("slot", "circuit")


def test_markdown_is_tried_without_once() -> None:
    """
    Text that was refused as Markdown is refused for what it is.
    """
    assert of(304036).then == "bare"
    assert of(304036, Evidence(answers=True, bare=True)).then == "dead"
    assert of(304036, markup=False).then == "dead"


def test_only_a_permission_that_is_missing_speaks_against_the_next_markdown() -> None:
    """
    One message that is no good Markdown must not make text of all that follow.
    """
    lasting = {code for code in DOCUMENTED["bare"] if of(code).lasts}
    assert lasting == {50056, 304036, 40034127}


def test_what_is_wrong_with_the_account_ends_no_message() -> None:
    """
    An address that is missing in a list is mended in a minute; a thousand messages given up for it are not.
    """
    for code in (11265, 11298, 40023002, 40054016, 11251):
        assert of(code).then in ("account", "credentials")


def test_the_older_code_will_do_where_the_newer_is_not_known() -> None:
    """
    The two differ, and tables are never complete.
    """
    assert read(Refusal(code="err_code=999 code=40034005"), ANSWER).then == "slot"
    assert read(Refusal(code="err_code=40012002 code=11242 http=401"), ANSWER).then == "credentials"


# ---- what nobody has explained ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "then", "throttled"),
    [
        ("http=429", "account", True),
        ("http=413", "dead", False),
        ("http=401", "credentials", False),
        ("http=403", "account", False),
        ("http=404", "account", False),
        ("err_code=404 http=404", "account", False),
        ("http=302", "account", False),
        ("http=408", "retry", False),
        ("http=503", "retry", False),
        ("http=400", "dead", False),
        ("http=418", "dead", False),
    ],
)
def test_an_answer_without_a_number_is_read_by_its_status(code: str, then: Then, throttled: bool) -> None:
    """
    The front end answers so, in HTML.
    """
    found = read(Refusal(code=code), ANSWER)
    assert (found.then, found.throttled) == (then, throttled)


def test_an_unknown_code_is_not_tried_again_and_is_surfaced() -> None:
    """
    Another attempt with the same message would be refused again, or be one too many.
    """
    found = read(Refusal(code="err_code=40099999", message="new rule", trace="6650420c46"), ANSWER)

    assert found.then == "dead"
    assert all(part in found.says for part in ("40099999", "new rule", "6650420c46"))
    assert found.action


@given(
    code=st.text() | st.integers(0, 10**12).map(lambda n: f"err_code={n}"),
    message=st.text(),
    evidence=st.builds(Evidence, answers=st.booleans(), bare=st.booleans(), unclear=st.booleans()),
    markup=st.booleans(),
)
def test_any_refusal_has_a_reading(code: str, message: str, evidence: Evidence, markup: bool) -> None:
    """
    Whatever stands in it: the account goes on.
    """
    found = read(Refusal(code=code, message=message), evidence, markup=markup)
    assert found.says
    assert found.then != "bare" or (markup and not evidence.bare)
    assert found.then != "slot" or evidence.answers


# ---- why connections are closed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "codes"),
    [
        ("resume", [1000, 1001, 1005, 1006, 4000, 4005, 4008, 4009]),
        ("identify", [4003, 4006, 4007, *range(4900, 4914)]),
        ("token", [4004]),
        ("stop", [4001, 4002, 4010, 4011, 4012, 4013, 4014, 4914, 4915]),
        ("resume", [1002, 1011, 1012, 4016, 4099, 4899, 4916, 4999]),
    ],
)
def test_a_close_code_leads_where_the_documents_say(then: str, codes: list[int]) -> None:
    """
    To identify where a resume would do loses messages; to resume where nothing helps goes round in circles.
    """
    assert {code: closed(code).then for code in codes} == dict.fromkeys(codes, then)


def test_what_ends_for_good_says_what_to_do_and_nothing_else_does() -> None:
    """
    Somebody has to be told; and nobody has to be told about the rest.
    """
    assert {code for code in CLOSES if closed(code).action} == {code for code in CLOSES if closed(code).then == "stop"}


def test_frames_that_were_too_fast_cost_a_minute() -> None:
    """
    What comes sooner is closed again.
    """
    assert {code for code in CLOSES if closed(code).hint} == {4008}
    assert closed(4008).hint == 60 * SECONDS


def test_a_close_is_told_in_words_and_in_logs() -> None:
    """
    The code as it stands in other people's logs, the reason as the platform gave it.
    """
    assert (closed(4009).code, closed(1006).code) == ("4009", "eof")
    assert "session timed out" in closed(4009, "session timed out").error
    assert closed(4777, "why").error
