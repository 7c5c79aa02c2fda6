"""REST of QQ: what is posted, and what each kind of answer is taken for. Most of the harm is in between: an answer that
looks like a success and is none, or like an error and is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.platform import (
    Address,
    Failure,
    Outgoing,
    Pending,
    Refusal,
    Taken,
    Unauthorised,
    Unclear,
)
from statecore.units import DAYS, HOURS, MINUTES, SECONDS
from statecore_adapters import http
from statecore_adapters.qqbot import rest

TOKEN = "tN8x-_QQtokenTOKENtoken0123456789abcdefghijklmnop"
SECRET = "DG5g3B4j9X2KOErGDG5g3B4j9X2KOErG"
TRACE = {"x-tps-trace-id": "6650420c46290dee"}
HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head></html>\r\n"


def answer(status: int, body: object = None, **headers: str) -> http.Answer:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.Answer(status=status, body=raw, headers=TRACE | named)


def wrong(number: int, code: int | None = None, **more: Any) -> dict[str, Any]:
    return {"message": "no", "code": number if code is None else code, "err_code": number, "trace_id": "t"} | more


def sent(found: http.Answer) -> Any:
    return rest.sent(found, 7, (TOKEN, SECRET))


# ---- what is posted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_an_answer_carries_what_it_answers_and_its_number(scene: str) -> None:
    """
    By those two the platform recognises a repetition, so they are the same on every attempt.
    """
    part = Outgoing(chat=f"{scene}:A", text="a < b", key="k", answers="ROBOT1.0_x", number=3)
    expected = {"msg_type": 0, "content": "a < b", "msg_id": "ROBOT1.0_x", "msg_seq": 3}

    assert json.loads(rest.message(part, markdown=False)) == expected


@pytest.mark.parametrize("scene", ["channel", "dm"])
def test_in_a_guild_there_are_no_types_and_no_numbers_and_text_is_escaped(scene: str) -> None:
    """
    Unescaped, "<@everyone>" in what somebody else wrote would call everyone.
    """
    part = Outgoing(chat=f"{scene}:1", text="<@everyone> & co", key="k", answers="m", number=3)
    expected = {"content": "&lt;@everyone&gt; &amp; co", "msg_id": "m"}

    assert json.loads(rest.message(part, markdown=False)) == expected


def test_what_answers_none_names_none() -> None:
    """
    An empty msg_id is a wrong one.
    """
    part = Outgoing(chat="c2c:A", text="x", key="k")
    assert json.loads(rest.message(part, markdown=False)) == {"msg_type": 0, "content": "x"}


def test_markdown_is_left_away_from_a_bare_part() -> None:
    """
    That is the one experiment after Markdown was refused.
    """
    part = Outgoing(chat="group:A", text="**x**", key="k", answers="m", number=1)
    bare = Outgoing(chat="group:A", text="**x**", key="k", answers="m", number=1, bare=True)
    in_guild = Outgoing(chat="dm:1", text="a<b", key="k")

    marked = {"msg_type": 2, "markdown": {"content": "**x**"}, "msg_id": "m", "msg_seq": 1}
    assert json.loads(rest.message(part, markdown=True)) == marked
    assert json.loads(rest.message(bare, markdown=True))["content"] == "**x**"
    assert json.loads(rest.message(in_guild, markdown=True)) == {"markdown": {"content": "a<b"}}


def test_the_app_id_is_text_and_the_token_has_its_prefix() -> None:
    """
    A number is answered with "appid invalid", a bare token with "token format error".
    """
    assert json.loads(rest.fetch("102", SECRET)) == {"appId": "102", "clientSecret": SECRET}
    assert rest.headers(TOKEN)["Authorization"] == f"QQBot {TOKEN}"
    assert "Authorization" not in rest.headers()


# ---- sends -----------------------------------------------------------------------------------------------------------

AUDIT: dict[str, Any] = {"data": {"message_audit": {"audit_id": "a-1"}}}


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (answer(200, {"id": "m-1", "timestamp": "2026"}), Taken(message="m-1", trace="6650420c46290dee")),
        (answer(200, {"id": 17}), Taken(message="17", trace="6650420c46290dee")),
        (answer(200, {"id": "m-1", "code": 0, "err_code": 0}), Taken(message="m-1", trace="6650420c46290dee")),
        (answer(200, {}), Taken(trace="6650420c46290dee")),
        (answer(204), Taken(trace="6650420c46290dee")),
        (answer(202, wrong(304024, **AUDIT)), Pending(audit="a-1", trace="6650420c46290dee")),
        (answer(201, wrong(304023, **AUDIT)), Pending(audit="a-1", trace="6650420c46290dee")),
        (answer(200, wrong(304024, **AUDIT)), Pending(audit="a-1", trace="6650420c46290dee")),
        (answer(202, AUDIT), Pending(audit="a-1", trace="6650420c46290dee")),
        (answer(202, wrong(304024)), Pending(audit="", trace="6650420c46290dee")),
        (answer(202, {}), Pending(audit="", trace="6650420c46290dee")),
    ],
)
def test_what_was_taken(came: http.Answer, expected: object) -> None:
    """
    A message that waits for somebody to look at it looks like an error, and sent again it would come twice.
    """
    assert sent(came) == expected


@pytest.mark.parametrize(
    ("came", "code"),
    [
        (answer(400, wrong(40034005)), "err_code=40034005"),
        (answer(400, wrong(40034001, 850026)), "err_code=40034001 code=850026"),
        (answer(200, wrong(40054005)), "err_code=40054005"),
        (answer(200, {"code": 40054005, "message": "x"}), "code=40054005"),
        (answer(202, wrong(40034102)), "err_code=40034102 http=202"),
        (answer(400, {"code": "40034005", "err_code": "40034005"}), "err_code=40034005"),
        (answer(500, wrong(50059)), "err_code=50059 http=500"),
        (answer(401, wrong(40023002, 11298)), "err_code=40023002 code=11298 http=401"),
        (answer(404, wrong(40113003, 40007)), "err_code=40113003 code=40007 http=404"),
        (answer(413, HTML), "http=413"),
        (answer(429, HTML), "http=429"),
        (answer(400, b"x"), "http=400"),
        (answer(302), "http=302"),
    ],
)
def test_what_was_refused(came: http.Answer, code: str) -> None:
    """
    Also with 200, and also with a 500 that carries a number of the platform's: those are its words for bad requests.
    """
    found = sent(came)
    assert isinstance(found, Refusal)
    assert (found.code, found.trace) == (code, "6650420c46290dee")


@pytest.mark.parametrize(
    "came",
    [
        answer(500),
        answer(500, {"message": "internal"}),
        answer(502, HTML),
        answer(503, {"code": 503, "message": "busy"}),
        answer(504, {"code": 504, "err_code": 504}),
        answer(200, HTML),
        answer(200, b""),
        answer(200, b'{"id": "m'),
        answer(201, b"[]"),
    ],
)
def test_what_may_have_been_taken_stays_open(came: http.Answer) -> None:
    """
    To call it refused sends it twice, and to call it taken loses it.
    """
    assert isinstance(sent(came), Unclear)


@pytest.mark.parametrize("number", [11241, 11242, 40012002, 11243, 11244, 11245, 11251])
def test_a_refused_token_is_named_by_its_number(number: int) -> None:
    """
    Whoever fetched another one meanwhile must not drop that for it.
    """
    found = sent(answer(401, wrong(number)))
    assert isinstance(found, Unauthorised)
    assert found.credential == 7
    assert found.action


def test_a_401_without_a_number_is_about_the_token() -> None:
    """
    What else could it be about.
    """
    assert isinstance(sent(answer(401, HTML)), Unauthorised)


def test_a_refusal_says_how_long_to_wait_if_it_does() -> None:
    """
    And the platform's silent minute where it is known.
    """
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    later = "Wed, 21 Oct 2026 07:28:05 GMT"
    assert sent(answer(429, wrong(50002), retry_after="1.5")).hint == 1.5 * SECONDS
    assert sent(answer(429, wrong(50002), retry_after=later, date=date)).hint == 5 * SECONDS
    assert sent(answer(429, wrong(50002), retry_after=later)).hint is None
    assert sent(answer(429, wrong(50002), retry_after="soon")).hint is None
    assert sent(answer(429, wrong(50002), retry_after="-3")).hint is None
    assert sent(answer(429, wrong(50002), retry_after="nan")).hint is None
    assert sent(answer(429, wrong(50002), retry_after="1e99")).hint is None
    assert sent(answer(429, wrong(50002))).hint is None
    assert sent(answer(400, wrong(100017))).hint == 60 * SECONDS


def test_the_trace_is_found_in_either_place() -> None:
    """
    The platform's support asks for it first.
    """
    found = rest.sent(http.Answer(status=400, body=json.dumps(wrong(1)).encode()), 7)
    assert isinstance(found, Refusal)
    assert found.trace == "t"


# ---- the access token ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "lasts"),
    [
        ("7199", 7199 * SECONDS),
        (7200, 7200 * SECONDS),
        (756.0, 756 * SECONDS),
        ("0", rest.LIFE_UNKNOWN),
        (-1, rest.LIFE_UNKNOWN),
        (None, rest.LIFE_UNKNOWN),
        ("soon", rest.LIFE_UNKNOWN),
        (True, rest.LIFE_UNKNOWN),
        (10**12, DAYS),
    ],
)
def test_a_token_lasts_as_long_as_it_says_however_it_says_it(expires_in: object, lasts: int) -> None:
    """
    In documents it is a number, on the wire a text; and nothing at all must not be an end in the next moment, for ever.
    """
    found = rest.issued(answer(200, {"access_token": TOKEN, "expires_in": expires_in}))
    assert isinstance(found, rest.Issued)
    assert (found.token, found.lasts) == (TOKEN, lasts)


@pytest.mark.parametrize("number", [100007, 100016, 10004])
def test_the_endpoint_says_with_200_that_there_is_no_such_bot(number: int) -> None:
    """
    Asked again and again it would only get rate limited.
    """
    found = rest.issued(answer(200, {"code": number, "message": f"bad {SECRET}"}), (SECRET,))
    assert isinstance(found, Unauthorised)
    assert (found.code, bool(found.action), SECRET in str(found)) == (f"code={number}", True, False)


@pytest.mark.parametrize(
    ("came", "hint", "reachable"),
    [
        (answer(200, {"code": 100001, "message": "too many requests"}), 60 * SECONDS, True),
        (answer(200, {"code": 100017, "message": "too many requests"}), 60 * SECONDS, True),
        (answer(200, {"code": 100002, "message": "internal err"}), None, True),
        (answer(200, {"code": 987654, "message": "?"}), None, True),
        (answer(200, {"access_token": "", "expires_in": "7200"}), None, True),
        (answer(200, {"access_token": 5}), None, True),
        (answer(200, {"access_token": "two\r\nlines"}), None, True),
        (answer(200, {"access_token": "t\u00f6ken"}), None, True),
        (answer(200, {"access_token": "x" * 100_000}), None, True),
        (answer(200, HTML), None, True),
        (answer(200, b"[]"), None, True),
        (answer(429, HTML, retry_after="3"), 3 * SECONDS, True),
        (answer(502, HTML), None, False),
        (answer(502, {"access_token": TOKEN}), None, False),
    ],
)
def test_what_is_no_token_is_tried_again_later(came: http.Answer, hint: int | None, reachable: bool) -> None:
    """
    Only the answers above are final.
    """
    found = rest.issued(came, (SECRET,))
    assert isinstance(found, Failure)
    assert (found.stage, found.hint, found.reachable, found.action) == ("answer", hint, reachable, "")
    assert TOKEN not in repr(found)


def test_what_answers_404_is_not_the_platform() -> None:
    """
    Time does not cure a wrong address.
    """
    found = rest.issued(answer(404, HTML))
    assert isinstance(found, Failure)
    assert "token_url" in found.action


def test_what_was_committed_is_read_again_and_shown_nowhere() -> None:
    """
    After a restart as well.
    """
    access = rest.Access(token=TOKEN, number=3)
    assert rest.read_access(access.secrets()["access"]) == access
    assert TOKEN not in repr(access)
    assert TOKEN not in repr(rest.Issued(token=TOKEN, lasts=1))
    for damaged in (None, "", "x", "[]", "{}", '{"token": "", "number": 1}', '{"token": "x"}', "\ud800"):
        assert rest.read_access(damaged) is None


# ---- the gateway's address -------------------------------------------------------------------------------------------

WSS = "wss://api.sgroup.qq.com/websocket"


def address(came: http.Answer, *, encrypted: bool = True) -> Any:
    return rest.address(came, 7, (TOKEN,), encrypted=encrypted)


@pytest.mark.parametrize(
    ("limit", "starts_in"),
    [
        (None, 0),
        ({}, 0),
        ({"remaining": 999, "reset_after": 14_400_000}, 0),
        ({"remaining": 0, "reset_after": 14_400_000}, 4 * HOURS),
        ({"remaining": "0", "reset_after": "60000"}, 60 * SECONDS),
        ({"remaining": 0}, 10 * MINUTES),
        ({"remaining": 0, "reset_after": 0}, 10 * MINUTES),
        ({"remaining": 0, "reset_after": 10**15}, DAYS),
        ("none", 0),
    ],
)
def test_an_address_says_how_long_to_wait_when_no_session_may_be_begun(limit: object, starts_in: int) -> None:
    """
    In ms, unlike everything else there.
    """
    assert address(answer(200, {"url": WSS, "shards": 1, "session_start_limit": limit})) == Address(
        url=WSS, starts_in=starts_in
    )


@pytest.mark.parametrize("url", [None, "", 5, "https://api.sgroup.qq.com", "wss://", "wss:///x", "wss://h:x/", "//h"])
def test_what_is_no_address_of_a_gateway_is_a_failure(url: object) -> None:
    """
    Dialled all the same it would be an exception somewhere below.
    """
    assert isinstance(address(answer(200, {"url": url})), Failure)


def test_the_token_does_not_travel_in_the_open() -> None:
    """
    Unless the whole API does, as on a test bench.
    """
    plain = answer(200, {"url": "ws://api.sgroup.qq.com/websocket"})
    assert "gateway_url" in address(plain).action
    assert address(plain, encrypted=False) == Address(url="ws://api.sgroup.qq.com/websocket")


@pytest.mark.parametrize(
    ("came", "hint", "action"),
    [
        (answer(401, wrong(40023002, 11298)), None, "allow-list"),
        (answer(403, wrong(11265)), None, "banned"),
        (answer(400, wrong(100017)), 60 * SECONDS, ""),
        (answer(429, wrong(100017), retry_after="9"), 9 * SECONDS, ""),
        (answer(500, HTML), None, ""),
        (answer(500, wrong(11252)), None, ""),
        (answer(200, HTML), None, ""),
        (answer(404, HTML), None, "api_base"),
    ],
)
def test_why_there_is_no_address(came: http.Answer, hint: int | None, action: str) -> None:
    """
    An address list that lacks this machine answers 401, and no fresh token helps against it.
    """
    found = address(came)
    assert isinstance(found, Failure)
    assert found.hint == hint
    assert (action in f"{found.action} {found.error}") if action else not found.action


@pytest.mark.parametrize("number", [11241, 40012002, 11243, 11244, 11245])
def test_a_token_that_does_not_open_the_gateway_is_refused(number: int) -> None:
    """
    Every other client asks on and on with the same one.
    """
    found = address(answer(401, wrong(number)))
    assert isinstance(found, Unauthorised)
    assert found.credential == 7


# ---- whatever comes --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("id", "code", "err_code", "message", "trace_id", "data", "message_audit", "audit_id", "url"),
        *("access_token", "expires_in", "session_start_limit", "remaining", "reset_after"),
    ]
)
BODIES = st.binary() | (JSON | st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON))).map(
    lambda body: json.dumps(body).encode()
)


@given(
    status=st.sampled_from([200, 201, 202, 204, 301, 400, 401, 404, 413, 429, 500, 502, 504]),
    body=BODIES,
    headers=st.dictionaries(st.sampled_from(["x-tps-trace-id", "retry-after", "date"]), st.text()),
)
def test_any_answer_is_taken_for_something(status: int, body: bytes, headers: dict[str, str]) -> None:
    """
    There is no telling what stands between us and the platform.
    """
    came = http.Answer(status=status, body=body, headers=headers)
    assert isinstance(rest.sent(came, 1), Taken | Pending | Refusal | Unclear | Unauthorised)
    assert isinstance(rest.issued(came), rest.Issued | Failure | Unauthorised)
    assert isinstance(rest.address(came, 1), Address | Failure | Unauthorised)


@given(before=st.text(max_size=300), after=st.text(max_size=300), status=st.sampled_from([200, 400, 401, 500]))
def test_no_answer_can_make_us_show_a_credential(before: str, after: str, status: int) -> None:
    """
    Peers repeat what they were sent, and what comes of an attempt goes into the journal.
    """
    echo = f"{before}{SECRET}{after} {TOKEN} QQBot {TOKEN}"
    came = answer(status, {"message": echo, "code": 40034005, "err_code": 0})
    for found in (
        rest.sent(came, 1, (SECRET, TOKEN)),
        rest.issued(came, (SECRET, TOKEN)),
        rest.address(came, 1, (TOKEN,)),
    ):
        assert TOKEN not in repr(found)
    assert SECRET not in repr(rest.sent(came, 1, (SECRET, TOKEN)))
