"""The wire of iLink: what is sent is what the official client sends, and whatever comes back is survived."""

import base64
import contextlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore import codec
from statecore.machines.inbound import Received
from statecore.platform import Message, Refusal, Taken, Unauthorised
from statecore_adapters.weixin import protocol
from statecore_adapters.weixin.protocol import ProtocolViolation, Updates, parse_sent, parse_updates
from statecore_adapters.weixin.simulator import Knobs, open_simulator

ANN = "o9cq80ann@im.wechat"
TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff00112233"
CONTEXT = "AARzJWAFAAABAAAAAAAp+/" + "Zq" * 57

BIG = 7_460_172_331_083_428_744
TEXT: dict[str, Any] = {
    "seq": 12,
    "message_id": BIG,
    "from_user_id": ANN,
    "to_user_id": "0a1b2c3d4e5f@im.bot",
    "client_id": "c",
    "create_time_ms": 1_790_000_000_000,
    "update_time_ms": 1_790_000_000_000,
    "delete_time_ms": 0,
    "session_id": "",
    "group_id": "",
    "message_type": 1,
    "message_state": 2,
    "context_token": CONTEXT,
    "item_list": [{"type": 1, "msg_id": f"v1:{BIG}", "text_item": {"text": "hi"}}],
}


def answer(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def updates(*messages: Any) -> Updates:
    return parse_updates(answer(ret=0, get_updates_buf="CgoI", msgs=list(messages)))


def only(message: Any) -> Message:
    (found,) = updates(message).messages
    return found


# ---- requests --------------------------------------------------------------------------------------------------------


def test_versions_are_packed_into_one_number() -> None:
    """
    The server looks at the number and not at the version's text.
    """
    packed = {"1.0.11": 65547, "2.2.0": 131584, "2.4.6": 132102, "2.4.9": 132105}
    assert {text: protocol.client_version(text) for text in packed} == packed
    assert protocol.CLIENT_VERSION == 132105


@given(uin=st.integers(0, 2**32 - 1))
def test_a_post_carries_every_header_of_the_official_client(uin: int) -> None:
    """
    Without some of them the server answers that the token is invalid, which sends people to scan a new code in vain.
    """
    found = protocol.headers(TOKEN, uin)

    assert found["Content-Type"] == "application/json"
    assert found["AuthorizationType"] == "ilink_bot_token"
    assert found["Authorization"] == f"Bearer {TOKEN}"
    assert found["iLink-App-Id"] == "bot"
    assert found["iLink-App-ClientVersion"] == "132105"
    assert base64.b64decode(found["X-WECHAT-UIN"]) == str(uin).encode()


def test_a_login_sends_no_authorization_and_a_get_only_who_asks() -> None:
    """
    There is no token yet; an empty Bearer is a malformed header.
    """
    assert "Authorization" not in protocol.headers(None, 1)
    assert protocol.headers(None, 1)["AuthorizationType"] == "ilink_bot_token"
    assert set(protocol.app_headers()) == {"iLink-App-Id", "iLink-App-ClientVersion"}


@pytest.mark.parametrize(
    ("agent", "kept"),
    [
        ("statecore/0.1.0", "statecore/0.1.0"),
        ("MyBot/1.0+git.4 (Linux; arm64) lib", "MyBot/1.0+git.4 (Linux; arm64) lib"),
        ("My\u00dcber/1 ok/2", "ok/2"),
        ("a/b/c ok", "ok"),
        ("bad\r\nX-Header: 1", "bad 1"),
        ("x" * 33, "statecore"),
        ("ok (" + "c" * 65 + ")", "ok"),
        ("ok ()", "ok"),
        ("", "statecore"),
    ],
)
def test_the_agent_is_cut_down_to_its_grammar(agent: str, kept: str) -> None:
    """
    It is free text of a configuration file, and it goes into every request.
    """
    assert protocol.bot_agent(agent) == kept


@given(st.text(max_size=600) | st.text(alphabet="ab/ ()+.-_", max_size=600))
def test_the_agent_is_always_short_printable_and_there(agent: str) -> None:
    """
    The server's own bounds: 256 bytes, ASCII.
    """
    kept = protocol.bot_agent(agent)
    assert 0 < len(kept.encode()) <= 256
    assert kept.isascii()
    assert kept.isprintable()
    assert protocol.bot_agent(kept) == kept


def test_the_server_takes_every_request_as_it_is_written_here() -> None:
    """
    A server that checks them is the only reader that counts: any other shape is answered with "invalid arguments".
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(hold_ms=10)) as sim, httpx.AsyncClient(trust_env=False) as client:
            bot = sim.add_bot()
            sim.say(bot, ANN, "hello")

            async def post(endpoint: protocol.Endpoint, body: bytes, uin: int) -> bytes:
                where = protocol.url(sim.base_url, endpoint)
                answer = await client.post(where, headers=protocol.headers(bot.token, uin), content=body)
                assert answer.status_code == 200
                return answer.content

            assert protocol.parse_plain(await post(protocol.NOTIFYSTART, protocol.notify(), 1)) is None
            found = parse_updates(await post(protocol.GETUPDATES, protocol.getupdates(""), 2))
            (hello,) = found.messages
            assert (hello.chat, hello.text, hello.weak_id) == (ANN, "hello", False)
            assert found.cursor
            idle = parse_updates(await post(protocol.GETUPDATES, protocol.getupdates(found.cursor), 3))
            assert idle.messages == ()
            body = protocol.sendmessage(hello.chat, "h\u00e9\U0001f600", "key-1", hello.token, "MyBot/1.0 (a test)")
            taken = parse_sent(await post(protocol.SENDMESSAGE, body, 4))
            (sent,) = sim.delivered(bot)
            assert taken == Taken(message=str(sent.message_id))
            assert (sent.text, sent.client_id) == ("h\u00e9\U0001f600", "key-1")
            assert sent.context_token == hello.token
            assert protocol.parse_config(await post(protocol.GETCONFIG, protocol.getconfig(ANN, hello.token), 5))
            assert protocol.parse_plain(await post(protocol.NOTIFYSTOP, protocol.notify(), 6)) is None

    trio.run(main)


def test_a_send_without_a_token_leaves_the_field_out() -> None:
    """
    The experiment without a token is one without the field; an empty token is a wrong token.
    """
    assert "context_token" not in json.loads(protocol.sendmessage(ANN, "x", "k", ""))["msg"]
    assert "context_token" not in json.loads(protocol.getconfig(ANN))
    assert json.loads(protocol.getconfig(ANN, CONTEXT))["ilink_user_id"] == ANN


def test_every_authenticated_body_says_who_sends_it_and_the_login_does_not() -> None:
    """
    base_info belongs in each of them; the QR call of the official client has none.
    """
    for body in (
        protocol.getupdates(""),
        protocol.getconfig(ANN),
        protocol.notify(),
        protocol.sendmessage("a", "b", "c", ""),
    ):
        assert json.loads(body)["base_info"]["channel_version"] == "2.4.9"
    assert json.loads(protocol.getupdates("CgkI"))["get_updates_buf"] == "CgkI"
    assert json.loads(protocol.get_bot_qrcode(f"t{n}" for n in range(12))) == {
        "local_token_list": [f"t{n}" for n in range(10)]
    }


def test_a_base_and_a_path_meet_in_one_slash() -> None:
    """
    The login hands out bases with and without one; two slashes are another path, and a 404.
    """
    expected = "https://h/ilink/bot/getupdates"
    assert expected == protocol.url("https://h", protocol.GETUPDATES) == protocol.url("https://h/", protocol.GETUPDATES)


@given(
    code=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1),
    digits=st.text("0123456789", max_size=6),
)
def test_the_qr_code_survives_the_query(code: str, digits: str) -> None:
    """
    Codes are base64-like; a plus sent raw is read as a blank, and the poll waits for a code that does not exist.
    """
    query = parse_qs(urlsplit(protocol.qr_status_url("https://h", code, digits)).query, keep_blank_values=True)
    assert query == ({"qrcode": [code], "verify_code": [digits]} if digits else {"qrcode": [code]})


def test_a_poll_is_awaited_longer_than_the_server_holds_it() -> None:
    """
    Equal times made the official client lose every idle poll (Tencent/openclaw-weixin#267).
    """
    assert protocol.poll_timeout(None) == 45
    assert protocol.poll_timeout(20_000) == 30
    assert protocol.GETUPDATES.timeout == 45


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        (35_000, [35_000, "35000", 35_000.0]),
        (1_000, [1, 999]),
        (120_000, [10**9, 120_001]),
        (None, [0, -5, None, True, "x", 1e400, [], 2**80]),
    ],
)
def test_the_hint_for_the_next_hold_is_kept_within_bounds(held: int | None, asked: list[object]) -> None:
    """
    A wrong hint must make neither a poll that never ends nor one that never lasts.
    """
    assert {protocol.hold(one) for one in asked} == {held}


# ---- polls -----------------------------------------------------------------------------------------------------------


def test_a_text_message_is_read_whole() -> None:
    """
    The plain case, with an id that a float would spoil.
    """
    assert only(TEXT) == Message(
        chat=ANN, sender=ANN, id="7460172331083428744", text="hi", sent_at=1_790_000_000_000, token=CONTEXT
    )
    assert updates(TEXT).cursor == "CgoI"


@given(id=st.integers(2**53, 2**64 - 1))
def test_ids_above_2_to_the_53_keep_every_digit(id: int) -> None:
    """
    Read as floats neighbours become one, and the second message would be dropped as a copy of the first.
    """
    assert only({**TEXT, "message_id": id}).id == str(id)
    assert parse_sent(answer(ret=0, message_id=id)) == Taken(message=str(id))
    assert protocol.parse_sent(answer(ret=0, message_id=str(id))) == Taken(message=str(id))


@pytest.mark.parametrize(
    "body", [b"{}", b'{"ret":0}', b'{"msgs":null,"get_updates_buf":""}', b'{"ret":0,"msgs":[]}', b" {}\n"]
)
def test_an_idle_poll_may_say_as_little_as_it_likes(body: bytes) -> None:
    """
    Success without `ret` is success; taken for a failure it would be a reconnect every 35 seconds.
    """
    assert parse_updates(body) == Updates()


def test_an_empty_cursor_does_not_move_the_old_one() -> None:
    """
    Replacing a cursor by nothing replays everything the server still has.
    """
    assert parse_updates(answer(ret=0, get_updates_buf="")).cursor is None
    assert parse_updates(answer(ret=0, get_updates_buf="CgkI")).cursor == "CgkI"
    assert parse_updates(answer(ret=0, get_updates_buf=7)).cursor is None


@pytest.mark.parametrize(
    "body",
    [answer(errcode=-14, errmsg="session timeout"), answer(ret=-14), answer(ret=0, errcode=-14), answer(ret="-14")],
)
def test_a_dead_token_is_found_wherever_the_code_stands(body: bytes) -> None:
    """
    The official client looks at one of the two places only and takes a dead token for a delivered message.
    """
    for found in (
        parse_updates(body).refused,
        parse_sent(body),
        protocol.parse_plain(body),
        protocol.parse_config(body),
    ):
        assert isinstance(found, Unauthorised)
        assert "-14" in found.code
        assert "statecore login weixin" in found.action
        assert "configuration" in found.action


def test_a_refused_poll_moves_nothing() -> None:
    """
    Were its cursor kept, whatever lay between would be lost.
    """
    refused = parse_updates(answer(ret=-2, errmsg="busy", get_updates_buf="CgoI", msgs=[TEXT]))
    assert refused == Updates(refused=Refusal(code="ret=-2", message="busy"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"message_id": f"{BIG}"}, f"{BIG}"),
        ({"message_id": None}, f"{BIG}"),
        ({"message_id": 0}, f"{BIG}"),
        ({"message_id": True}, f"{BIG}"),
        ({"message_id": 7.460172331083429e18}, f"{BIG}"),
        ({"message_id": {}, "item_list": [{"type": 1, "msg_id": "v1:abc", "text_item": {"text": "hi"}}]}, "v1:abc"),
    ],
)
def test_an_id_is_taken_from_the_first_item_if_the_message_has_none(changes: dict[str, Any], expected: str) -> None:
    """
    message_id was seen missing (clowder-ai#958). Both ids are written so that a copy with the other one is recognised.
    """
    found = only({**TEXT, **changes})
    assert found.id == expected
    assert not found.weak_id


def test_without_any_id_the_content_is_the_id() -> None:
    """
    Redelivered it must be recognised, and another message must not be taken for it.
    """
    bare = {**TEXT, "message_id": None, "item_list": [{"type": 1, "text_item": {"text": "hi"}}]}
    found = only(bare)

    assert found.weak_id
    assert found.id == only({**bare, "item_list": [{"text_item": {"text": "hi"}, "type": 1}]}).id
    assert found.id == "weak-03c0620574d31aadddbeb41833d3e810"  # the same in every process
    assert found.text == "hi"
    others = [
        {**bare, "create_time_ms": 1},
        {**bare, "seq": 13},
        {**bare, "from_user_id": "b"},
        {**bare, "item_list": []},
    ]
    assert len({found.id, *(only(other).id for other in others)}) == 5


@pytest.mark.parametrize(
    ("items", "text", "kinds"),
    [
        ([{"type": 1, "text_item": {"text": "a"}}, {"type": 1, "text_item": {"text": "b"}}], "a", ("text", "text")),
        ([{"type": 2, "image_item": {"media": {}}}], "", ("image",)),
        ([{"type": 2, "image_item": {}}, {"type": 1, "text_item": {"text": "look"}}], "look", ("image", "text")),
        ([{"type": 3, "voice_item": {"text": "spoken", "playtime": 2300}}], "spoken", ("voice",)),
        ([{"type": 3, "voice_item": {}}], "", ("voice",)),
        (
            [{"type": 3, "voice_item": {"text": "spoken"}}, {"type": 1, "text_item": {"text": "t"}}],
            "t",
            ("voice", "text"),
        ),
        ([{"type": 4, "file_item": {"file_name": "a.pdf", "len": "10240"}}], "", ("file",)),
        ([{"type": 5, "video_item": {}}], "", ("video",)),
        ([{"type": 11, "tool_call_start_item": {}}, {"type": 99}], "", ("type-11", "type-99")),
        ([{"type": "1", "text_item": {"text": "a"}}], "a", ("text",)),
        ([{"type": 1, "text_item": {"text": ""}}, {"type": 1, "text_item": {"text": "b"}}], "b", ("text", "text")),
        ([{"type": 1, "text_item": "a"}], "", ("text",)),
        ([{"type": None, "text_item": {"text": "a"}}, 7, None], "", ("unreadable", "unreadable", "unreadable")),
        ({"type": 1, "text_item": {"text": "alone"}}, "alone", ("text",)),
        ([], "", ()),
        (None, "", ()),
        ("text", "", ("unreadable",)),
    ],
)
def test_the_body_is_the_first_text_or_what_was_understood_of_a_voice(
    items: Any, text: str, kinds: tuple[str, ...]
) -> None:
    """
    A message of another kind is still a message: somebody sent a photo and waits for an answer.
    """
    found = only({**TEXT, "item_list": items})
    assert (text, kinds, f"{BIG}") == (found.text, found.kinds, found.id)


@pytest.mark.parametrize(
    ("reference", "quotes"),
    [
        ({"message_item": {"type": 0, "msg_id": f"v1:{BIG}"}}, f"{BIG}"),
        ({"svr_id": BIG}, f"{BIG}"),
        ({"title": "x"}, ""),
        ("v1:1", ""),
        ({"message_item": 3}, ""),
    ],
)
def test_a_quoted_message_is_named_by_the_id_it_was_sent_under(reference: Any, quotes: str) -> None:
    """
    Quotes carry the id in another form than the answer to a send did; a bot compares the two.
    """
    items = [{"type": 1, "text_item": {"text": "hi"}, "ref_msg": reference}]
    assert only({**TEXT, "item_list": items}).quotes == quotes


def test_one_bad_message_costs_neither_its_neighbours_nor_itself() -> None:
    """
    The cursor moves past the whole batch, so what is dropped here is gone.
    """
    found = updates(TEXT, 7, None, "text", [TEXT], {}, {**TEXT, "message_id": 5}).messages

    assert [message.id for message in found if message.chat == ANN] == [f"{BIG}", "5"]
    unreadable = found[1:6]
    assert all(message.weak_id and message.chat == "unknown" and not message.text for message in unreadable)
    assert [message.kinds for message in unreadable] == [("unreadable",)] * 4 + [()]
    assert len({message.id for message in found}) == 7


@pytest.mark.parametrize("batch", [{"message_id": 5}, "text", 7])
def test_messages_that_are_no_list_are_one_message(batch: Any) -> None:
    """
    The alternative is to ask for the same batch for ever, or to lose it.
    """
    assert len(parse_updates(answer(ret=0, msgs=batch)).messages) == 1


def test_a_message_nested_beyond_reason_is_unreadable_and_alone_in_that() -> None:
    """
    A hundred thousand brackets once ended a reader by recursion.
    """
    alone = 0
    for depth in (*range(600, 1000), 20_000):
        deep = b"[" * depth + b"]" * depth
        body = b'{"ret":0,"msgs":[{"item_list":%s},%s,%s]}' % (deep, deep, json.dumps(TEXT).encode())
        with contextlib.suppress(ProtocolViolation):
            alone += parse_updates(body).messages[-1].text == "hi"
    assert alone > 100
    with pytest.raises(ProtocolViolation):
        parse_updates(b'{"msgs":' + b"[" * 100_000)


@pytest.mark.parametrize("echo", [{"message_type": 2}, {"message_type": "2"}, {"from_user_id": "0a1b2c3d4e5f@im.bot"}])
def test_the_bot_does_not_hear_itself(echo: dict[str, Any]) -> None:
    """
    It would answer itself, ten times a user's message.
    """
    found = updates({**TEXT, **echo}, TEXT)
    assert len(found.messages) == 1
    assert found.echoes == 1


@pytest.mark.parametrize("state", [0, 1, 2, 3, None, "x"])
def test_a_users_message_is_kept_in_whatever_state_it_comes(state: object) -> None:
    """
    Only finished ones were ever seen. One that is not finished must not make the finished one look like its copy.
    """
    found, finished = updates({**TEXT, "message_state": state}, TEXT).messages
    assert found.text == "hi"
    assert (found.id == finished.id) == (state != 1)


def test_bytes_that_are_no_text_spoil_one_character() -> None:
    """
    Neither a broken byte nor half a character may stop a batch; the journal can hold neither.
    """
    body = json.dumps({"ret": 0, "msgs": [TEXT, {**TEXT, "message_id": 6}]}).encode()
    (broken, other) = parse_updates(body.replace(b'"hi"', b'"h\xffi \\ud83d"', 1)).messages
    assert broken.text == "h\ufffdi \ufffd"
    assert other.text == "hi"
    assert parse_updates(b"\xef\xbb\xbf" + body).messages[0].text == "hi"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["v1:7", ANN, "1", "-14"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
FIELDS = [*TEXT, "room_id"]
ITEMS = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("type", "msg_id", "text_item", "voice_item", "ref_msg"), JSON))
    | JSON,
    max_size=3,
)
MESSAGES = st.fixed_dictionaries({}, optional={**dict.fromkeys(FIELDS, JSON), "item_list": ITEMS | JSON}) | JSON
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "ret": JSON,
        "errcode": JSON,
        "errmsg": JSON,
        "msgs": st.lists(MESSAGES, max_size=4) | JSON,
        "get_updates_buf": JSON,
        "longpolling_timeout_ms": JSON,
    },
)


@settings(max_examples=100)
@given(value=UPDATES)
def test_whatever_json_comes_a_poll_ends_in_a_value_the_journal_can_hold(value: dict[str, Any]) -> None:
    """
    A poll that raises is a poll that is repeated with the same cursor, and raises again.
    """
    try:
        found = parse_updates(json.dumps(value).encode())
    except ProtocolViolation:
        return
    for message in found.messages:
        assert message.id
        assert message.chat
        received = Received(**{field.name: getattr(message, field.name) for field in attrs.fields(Received)})
        assert codec.loads(codec.dumps(received), Received) == received
    if found.refused is None:
        listed = value.get("msgs")
        sent = len(listed) if isinstance(listed, list) else listed is not None
        assert len(found.messages) + found.echoes == sent


@given(value=UPDATES)
def test_a_batch_read_twice_has_the_same_ids(value: dict[str, Any]) -> None:
    """
    Delivery is at least once: after a lost answer the batch comes again, and is recognised by its ids.
    """
    body = json.dumps(value).encode()
    try:
        assert parse_updates(body) == parse_updates(body)
    except ProtocolViolation:
        return


# ---- sends, and everything -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", Taken()),
        (b"\n", Taken()),
        (b"{}", Taken()),
        (b'{"ret":0}', Taken()),
        (b'{"ret":null,"errcode":0,"errmsg":"ok"}', Taken()),
        (b'{"ret":0,"message_id":7460172331083428999}', Taken(message="7460172331083428999")),
        (b'{"ret":0,"message_id":0}', Taken()),
        (b'{"ret":-2}', Refusal(code="ret=-2")),
        (b'{"ret":"-2"}', Refusal(code="ret=-2")),
        (b'{"ret":-2.0,"errmsg":"prepare failed"}', Refusal(code="ret=-2", message="prepare failed")),
        (b'{"ret":-2,"errcode":-2}', Refusal(code="ret=-2 errcode=-2")),
        (b'{"ret":0,"errcode":-5}', Refusal(code="errcode=-5")),
        (b'{"ret":-3,"errmsg":["x"],"message_id":7}', Refusal(code="ret=-3")),
    ],
)
def test_a_send_is_taken_or_refused(body: bytes, expected: Taken | Refusal) -> None:
    """
    Both codes are looked at, and an empty answer is the platform's way of saying yes.
    """
    assert parse_sent(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"<html>captive portal</html>",
        b"[]",
        b"null",
        b'"ok"',
        b'{"ret":',
        b'{"ret":"fine"}',
        b'{"ret":[]}',
        b'{"ret":true}',
        b'{"ret":1e999}',
        b"\x00\xff",
        b'{"ret":' + b"9" * 5000 + b"}",
    ],
)
def test_an_answer_that_is_none_is_neither_a_success_nor_a_refusal(body: bytes) -> None:
    """
    A hotel's login page says nothing about the message; taken for success it loses it, for refusal it doubles it.
    """
    with pytest.raises(ProtocolViolation):
        parse_sent(body)


@settings(max_examples=80)
@given(body=st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_answer_whatever_raises_anything_else(body: bytes) -> None:
    """
    The driver knows what to do with a violation; anything else is a crash of ours.
    """
    for parse in (
        parse_updates,
        parse_sent,
        protocol.parse_plain,
        protocol.parse_config,
        protocol.parse_qrcode,
        protocol.parse_qr_status,
    ):
        said = ""
        try:
            parse(body)
        except ProtocolViolation as error:
            said = str(error)
        assert len(said) < 300
        assert said.isprintable()


def test_only_a_send_may_be_answered_with_nothing() -> None:
    """
    An empty answer to a poll comes from something between us and the platform, and does not mean "connected".
    """
    with pytest.raises(ProtocolViolation, match="empty"):
        parse_updates(b"")


@pytest.mark.parametrize(
    "secret",
    [TOKEN, CONTEXT, "CgkI" + "a/b+" * 20, "Bearer abc123", "0a1b2c3d4e5f@im.bot:ffee11", CONTEXT.replace("/", "\\/")],
)
@pytest.mark.parametrize(
    "frame", ["<html>{} denied", '["{}"]', "{}", '{{"ret":"{}"}}', "y" * 2000 + " " + "z" * 1985 + " {}", "\n\t{}\n"]
)
def test_no_credential_is_in_what_is_said_about_an_answer(secret: str, frame: str) -> None:
    """
    The text goes to logs, to the journal, and from there into bug reports.
    """
    with pytest.raises(ProtocolViolation) as caught:
        parse_sent(frame.format(secret).encode())
    refusal = parse_sent(answer(ret=-2, errmsg=f"bad token {secret} for you"))
    assert isinstance(refusal, Refusal)
    word = secret.removeprefix("Bearer ").removeprefix("0a1b2c3d4e5f@im.bot:")
    for said in (str(caught.value), refusal.message):
        assert not any(word[at : at + 12] in said for at in range(max(1, len(word) - 12)))
    assert refusal.message.startswith("bad token ")


def test_what_is_shown_of_a_value_holds_no_credential() -> None:
    """
    A repr ends up in a traceback sooner or later.
    """
    shown = repr(updates(TEXT)) + repr(protocol.QrStatus(status="confirmed", token=TOKEN))
    shown += repr(protocol.QrCode(id="secret-id", page="https://x/?qrcode=secret-id"))
    assert TOKEN not in shown
    assert CONTEXT not in shown
    assert "CgoI" not in shown
    assert "secret-id" not in shown


# ---- login -----------------------------------------------------------------------------------------------------------


def test_a_qr_code_is_an_id_and_a_page() -> None:
    """
    The page is what is drawn; the name of its field says that it is an image, and it is not.
    """
    body = answer(ret=0, qrcode="q1", qrcode_img_content="https://liteapp.weixin.qq.com/q/1")
    assert protocol.parse_qrcode(body) == protocol.QrCode(id="q1", page="https://liteapp.weixin.qq.com/q/1")
    for lacking in (
        answer(ret=0),
        answer(qrcode="q"),
        answer(qrcode_img_content="p"),
        answer(qrcode=1, qrcode_img_content="p"),
    ):
        with pytest.raises(ProtocolViolation, match="lacks"):
            protocol.parse_qrcode(lacking)


def test_a_confirmed_code_brings_the_credentials() -> None:
    """
    The one answer that holds them.
    """
    body = answer(status="confirmed", bot_token=TOKEN, ilink_bot_id="a@im.bot", baseurl="https://b", ilink_user_id=ANN)
    assert protocol.parse_qr_status(body) == protocol.QrStatus(
        status="confirmed", account_id="a@im.bot", token=TOKEN, base_url="https://b", user_id=ANN
    )
    with pytest.raises(ProtocolViolation, match="status"):
        protocol.parse_qr_status(b"{}")


def test_a_typing_ticket_is_read_or_its_refusal() -> None:
    """
    Without a live session there is none, and that is no fault of the account.
    """
    assert protocol.parse_config(answer(ret=0, typing_ticket="AART")) == "AART"
    assert protocol.parse_config(answer(ret=-4, errmsg="GetTypingTicket rpc failed")) == Refusal(
        code="ret=-4", message="GetTypingTicket rpc failed"
    )
