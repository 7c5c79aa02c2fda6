"""The gateway's frames: each is read for what it says, and whatever else comes is survived and named."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore import codec
from statecore.machines.inbound import Received
from statecore.platform import (
    Batch,
    BeatAck,
    BeatWanted,
    Ended,
    Hello,
    Invalid,
    Message,
    Note,
    Review,
    Welcome,
)
from statecore.units import MILLISECONDS, MINUTES
from statecore_adapters.qqbot import chats, protocol
from statecore_adapters.qqbot.protocol import Frame, Session, read, read_session

ID = "ROBOT1.0_56lIja3eBvl_ugvTkj7rjncH3uZSAT2NfdM42RBlDp-z"
BOT = "11520911410041234567"
SESSION = Session(id="0e952daf-4ec1-a18b-bba3-12abcb7d07df", seq=41, bot=BOT)
TOKEN = "tN8x-_QQtokenTOKENtoken0123456789abcdefghijklmnop"

C2C: dict[str, Any] = {
    "id": ID,
    "author": {"id": "5A0C8D1E", "user_openid": "5A0C8D1E", "union_openid": ""},
    "content": "hello",
    "timestamp": "2026-09-21T22:13:20+08:00",
    "attachments": [],
    "message_scene": {"source": "default", "ext": ["msg_idx=REFIDX_A"]},
    "message_type": 0,
}
GROUP: dict[str, Any] = {
    "id": ID,
    "author": {"id": "M1", "member_openid": "M1", "bot": False, "member_role": "member"},
    "content": " hello",
    "group_id": "G1",
    "group_openid": "G1",
    "timestamp": "2026-09-21T14:13:20Z",
    "mentions": [],
}
CHANNEL: dict[str, Any] = {
    "id": "08aabbccdd",
    "guild_id": "7460172331083428700",
    "channel_id": "1234567",
    "content": f"<@!{BOT}> hello",
    "timestamp": "2026-09-21T22:13:20.5+08:00",
    "author": {"id": "777", "username": "ann", "bot": False},
    "mentions": [{"id": BOT, "bot": True}],
    "seq": 101,
    "seq_in_channel": "101",
}
DM: dict[str, Any] = CHANNEL | {"guild_id": "9001", "src_guild_id": "7460", "direct_message": True, "content": "hello"}


def frame(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def dispatch(t: str, d: Any, s: int | None = 42, session: Session | None = SESSION) -> Frame:
    fields = {"op": 0, "t": t, "d": d, "id": f"{t}:x"}
    return read(frame(**fields) if s is None else frame(**fields, s=s), session)


def message(t: str, d: Any, session: Session | None = SESSION) -> Message:
    found = dispatch(t, d, session=session)
    assert isinstance(found, Batch), found
    (only,) = found.messages
    return only


def seq_of(found: Frame) -> int | None:
    """Return where the frame moved the session to; None if it did not move it."""
    secrets: dict[str, str] = getattr(found, "secrets", {})
    session = read_session(secrets.get("session"))
    return session.seq if session is not None else None


# ---- what we say -----------------------------------------------------------------------------------------------------


def test_identify_and_resume_carry_the_token_with_its_prefix() -> None:
    """
    Without it the platform answers op 9, which looks like a dead session.
    """
    asked = json.loads(protocol.identify(TOKEN, 1 << 25))
    assert (asked["op"], asked["d"]["token"], asked["d"]["intents"]) == (2, f"QQBot {TOKEN}", 1 << 25)
    assert asked["d"]["shard"] == [0, 1]
    resumed = json.loads(protocol.resume(TOKEN, SESSION))
    assert resumed == {"op": 6, "d": {"token": f"QQBot {TOKEN}", "session_id": SESSION.id, "seq": 41}}


def test_a_heartbeat_carries_what_was_committed() -> None:
    """
    What was received and not committed may be asked for again; the platform must not think that we have it.
    """
    assert json.loads(protocol.heartbeat(SESSION)) == {"op": 1, "d": 41}
    assert json.loads(protocol.heartbeat(None)) == {"op": 1, "d": None}


# ---- ops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (frame(op=11), BeatAck()),
        (frame(op=11, d=None), BeatAck()),
        (frame(op=1, d=5), BeatWanted()),
        (frame(op=9, d=False), Invalid(resumable=False)),
        (frame(op=9, d=True), Invalid(resumable=True)),
        (frame(op=9), Invalid(resumable=False)),
        (frame(op=9, d="true"), Invalid(resumable=False)),
        (frame(op="11"), BeatAck()),
    ],
)
def test_an_op_says_what_it_says(came: bytes, expected: Frame) -> None:
    """
    An op 9 without `d` is not resumable: the documents know no other.
    """
    assert read(came, SESSION) == expected


def test_op_7_ends_the_connection_and_keeps_the_session() -> None:
    """
    It comes every half hour and is no error; to identify for it would lose what is missed.
    """
    found = read(frame(op=7), SESSION)
    assert isinstance(found, Ended)
    assert (found.code, found.then, found.hint, found.action) == ("op 7", "resume", None, "")


@pytest.mark.parametrize(
    ("asked", "every"),
    [
        (41_250, 41_250 * MILLISECONDS),
        ("45000", 45_000 * MILLISECONDS),
        (1, 50 * MILLISECONDS),
        (10**12, 10 * MINUTES),
        (0, protocol.BEAT_EVERY),
        (-5, protocol.BEAT_EVERY),
        (None, protocol.BEAT_EVERY),
        ([], protocol.BEAT_EVERY),
    ],
)
def test_hello_says_how_often_to_beat_within_bounds(asked: object, every: int) -> None:
    """
    Neither a beat that never comes nor one that never ends.
    """
    assert read(frame(op=10, d={"heartbeat_interval": asked}), None) == Hello(beat_every=every)


@pytest.mark.parametrize(
    "came",
    [
        b"",
        b"hello",
        b"\x00\x01\x02",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'"op"',
        b"{}",
        b"[" * 100_000,
        b'{"op":' + b"9" * 10_000 + b"}",
        frame(op=99),
        frame(op=-1),
        frame(op=None),
        frame(op=[0]),
        frame(op=True),
        frame(op=0),
        frame(op=0, t=5, s=42),
        frame(op=0, t="NEW_THING", d={}, s=42),
        frame(op=12, d=0),
        frame(op=0, t="NEW THING " * 500, s=42),
        frame(op=11).ljust(protocol.FRAME_BYTES_MAX + 1),
    ],
)
def test_what_asks_for_nothing_is_a_note_that_says_what_came(came: bytes) -> None:
    """
    A frame of tomorrow's protocol costs itself and no more.
    """
    found = read(came, SESSION)
    assert isinstance(found, Note)
    assert 0 < len(found.what) <= 80
    assert found.what.isprintable()


def test_a_binary_frame_is_read_like_any_other() -> None:
    """
    What was meant as text is JSON either way, with or without its mark.
    """
    assert read(b"\xef\xbb\xbf" + frame(op=11), None) == BeatAck()


# ---- where the session stands ----------------------------------------------------------------------------------------


def test_ready_begins_a_session() -> None:
    """
    Its id and its number are what a resume needs; the bot's own id is what others mention it by.
    """
    d = {"version": 1, "session_id": "new", "user": {"id": BOT, "username": "r", "bot": True}, "shard": [0, 0]}
    found = dispatch("READY", d, 1, SESSION)

    assert isinstance(found, Welcome)
    assert not found.resumed
    assert read_session(found.secrets["session"]) == Session(id="new", seq=1, bot=BOT)
    assert seq_of(dispatch("READY", d, None)) == 1


@pytest.mark.parametrize("d", ["", {}, None, {"session_id": ""}, {"session_id": []}])
def test_a_ready_without_a_session_is_none(d: object) -> None:
    """
    A session that cannot be resumed is not one to call up.
    """
    assert isinstance(dispatch("READY", d, 1), Note)


@pytest.mark.parametrize("d", ["", None, {}, []])
def test_resumed_is_known_whatever_it_carries(d: object) -> None:
    """
    It carries an empty text, on which other clients fall.
    """
    found = dispatch("RESUMED", d, 50)
    assert isinstance(found, Welcome)
    assert found.resumed


def test_resumed_takes_nothing_that_was_missed_with_it() -> None:
    """
    Said before the last of it was sent, its number would cover messages that never came.
    """
    assert seq_of(dispatch("RESUMED", "", 50)) == 41
    assert seq_of(dispatch("RESUMED", "", 50, None)) is None


@pytest.mark.parametrize(
    ("s", "moved"), [(42, 42), (99, 99), (41, None), (7, None), (None, None), ("43", 43), (-1, None), ("x", None)]
)
def test_the_place_moves_forward_with_any_dispatch_and_never_back(s: Any, moved: int | None) -> None:
    """
    Replays come with numbers that were there before; a place that followed them would be replayed from for ever.
    """
    for t, d in (("C2C_MESSAGE_CREATE", C2C), ("NEW_THING", {}), ("MESSAGE_AUDIT_PASS", {"audit_id": "a"})):
        assert seq_of(dispatch(t, d, s)) == moved


def test_without_a_session_nothing_is_remembered() -> None:
    """
    A number without the session it counts is worth nothing.
    """
    found = dispatch("C2C_MESSAGE_CREATE", C2C, 42, None)
    assert isinstance(found, Batch)
    assert not found.secrets


@given(st.builds(Session, id=st.text(min_size=1).filter(str.isprintable), seq=st.integers(0, 2**53), bot=st.text()))
def test_what_was_committed_is_read_again(session: Session) -> None:
    """
    After a restart it is all there is.
    """
    stored = json.loads(json.dumps(session.secrets()))["session"]
    found = read_session(stored)
    assert found is not None
    assert (found.id, found.seq) == (session.id, session.seq)


@pytest.mark.parametrize(
    "stored", [None, "", "x", "[]", "{}", '{"id": "", "seq": 1}', '{"id": "a"}', '{"id": "a", "seq": -1}']
)
def test_what_is_damaged_is_no_session(stored: str | None) -> None:
    """
    Then another is begun.
    """
    assert read_session(stored) is None


# ---- messages --------------------------------------------------------------------------------------------------------

WHEN = 1_790_000_000_000


def test_a_message_of_a_person_is_read_whole() -> None:
    """
    The plain case.
    """
    assert message("C2C_MESSAGE_CREATE", C2C) == Message(
        chat="c2c:5A0C8D1E", sender="5A0C8D1E", id=ID, text="hello", sent_at=WHEN
    )


@pytest.mark.parametrize("t", ["GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"])
def test_a_message_in_a_group_is_of_the_group_and_by_its_member(t: str) -> None:
    """
    An answer goes to the group.
    """
    assert message(t, GROUP) == Message(chat="group:G1", sender="M1", id=ID, text="hello", sent_at=WHEN)


def test_one_message_under_two_names_is_the_same_to_the_letter() -> None:
    """
    Whoever keeps ids takes it once, and it must not matter which comes first.
    """
    mention = {"scope": "single", "is_you": True, "bot": True, "id": "X9", "member_openid": "X9"}
    everything = GROUP | {"content": "<@!X9> hello", "mentions": [mention]}

    assert message("GROUP_MESSAGE_CREATE", everything) == message("GROUP_AT_MESSAGE_CREATE", GROUP)


def test_a_message_in_a_channel_is_of_the_channel() -> None:
    """
    The mention that called the bot is taken out.
    """
    expected = Message(chat="channel:1234567", sender="777", id="08aabbccdd", text="hello", sent_at=WHEN + 500)
    assert message("AT_MESSAGE_CREATE", CHANNEL) == expected
    assert message("MESSAGE_CREATE", CHANNEL) == expected


def test_a_private_message_in_a_guild_is_of_the_guild_that_stands_for_it() -> None:
    """
    An answer to the guild its member is from would be said in public, or refused.
    """
    assert message("DIRECT_MESSAGE_CREATE", DM).chat == "dm:9001"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"<@!{BOT}> hi", "hi"),
        (f"<@{BOT}>hi", "hi"),
        (f"hi <@!{BOT}>", "hi"),
        (f"what is <@!{BOT}> for", "what is for"),
        (f"<@!{BOT}> <@!42> said", "<@!42> said"),
        (f"<@!{BOT}>", ""),
        ("a &lt; b &amp;amp; c", "a < b &amp; c"),
        (f"<@!{BOT}>\nline\n  two ", "line\n  two"),
    ],
)
def test_only_the_mention_of_the_bot_is_taken_out_and_guilds_are_unescaped(content: str, text: str) -> None:
    """
    The other mentions are part of what was said.
    """
    assert message("AT_MESSAGE_CREATE", CHANNEL | {"content": content}).text == text


def test_where_the_bots_id_is_not_known_its_mention_is_told_by_being_the_only_one_of_a_bot() -> None:
    """
    Of two bots that are mentioned, nothing tells which one this is.
    """
    nobody = Session(id="s", seq=1)
    two = CHANNEL | {"mentions": [{"id": BOT, "bot": True}, {"id": "42", "bot": True}]}

    assert message("AT_MESSAGE_CREATE", CHANNEL, nobody).text == "hello"
    assert message("AT_MESSAGE_CREATE", two, nobody).text == f"<@!{BOT}> hello"


def test_a_text_to_the_bot_alone_is_left_as_it_is() -> None:
    """
    There is nothing to take out, and blanks may be meant.
    """
    assert message("C2C_MESSAGE_CREATE", C2C | {"content": "  a &lt; b\n"}).text == "  a &lt; b\n"


@pytest.mark.parametrize(
    ("t", "d"),
    [
        ("GROUP_MESSAGE_CREATE", GROUP | {"author": {"member_openid": "B2", "bot": True}}),
        ("MESSAGE_CREATE", CHANNEL | {"author": {"id": "42", "bot": True}}),
        ("MESSAGE_CREATE", CHANNEL | {"author": {"id": BOT}}),
    ],
)
def test_what_a_bot_says_is_not_for_answering(t: str, d: Any) -> None:
    """
    Two bots that answer each other never stop; and a bot in a guild of its own hears itself.
    """
    found = dispatch(t, d)
    assert isinstance(found, Note)
    assert seq_of(found) == 42


@pytest.mark.parametrize(
    ("types", "content", "kinds"),
    [
        (["image/jpeg"], "", ("image",)),
        (["image/png", "video/mp4"], "look", ("text", "image", "video")),
        (["voice"], "", ("voice",)),
        (["audio/silk"], "", ("voice",)),
        (["file"], "", ("file",)),
        (["application/pdf"], " ", ("file",)),
        ([None], "", ("file",)),
        ([], "", ("text",)),
    ],
)
def test_attachments_are_told_by_their_kinds(types: list[str | None], content: str, kinds: tuple[str, ...]) -> None:
    """
    So that a handler knows that there was something besides the text.
    """
    attachments = [{"content_type": one, "url": "//multimedia.nt.qq.com.cn/x"} for one in types]
    assert message("C2C_MESSAGE_CREATE", C2C | {"attachments": attachments, "content": content}).kinds == kinds


def test_a_voice_is_what_the_platform_heard() -> None:
    """
    A handler that knows only text can answer it.
    """
    voice = {"content_type": "voice", "asr_refer_text": "good morning"}
    found = message("C2C_MESSAGE_CREATE", C2C | {"attachments": [voice], "content": ""})
    assert (found.text, found.kinds) == ("good morning", ("voice",))


@pytest.mark.parametrize(
    ("timestamp", "ms"),
    [
        ("2026-09-21T22:13:20+08:00", WHEN),
        ("2026-09-21T14:13:20Z", WHEN),
        ("2026-09-21T14:13:20", WHEN),
        (WHEN, WHEN),
        (WHEN // 1000, WHEN),
        (f" {WHEN // 1000}", WHEN),
        (f"{WHEN} ", WHEN),
        (None, 0),
        ("yesterday", 0),
        (-5, 0),
        (10**30, 0),
        (float("inf"), 0),
        ("0001-01-01T00:00:00+14:00", 0),
        ([], 0),
    ],
)
def test_a_date_is_read_however_it_is_written(timestamp: Any, ms: int) -> None:
    """
    The platform has written it in three ways over the years.
    """
    assert message("C2C_MESSAGE_CREATE", C2C | {"timestamp": timestamp}).sent_at == ms


def test_what_is_quoted_is_named() -> None:
    """
    By a message's id in a guild, and by an index of its own elsewhere.
    """
    ext = ["msg_idx=REFIDX_B", "ref_msg_idx=REFIDX_A"]
    quote = C2C | {"message_type": 103, "message_scene": {"ext": ext}}
    reference = CHANNEL | {"message_reference": {"message_id": "08ff"}}

    assert message("C2C_MESSAGE_CREATE", quote).quotes == "REFIDX_A"
    assert message("C2C_MESSAGE_CREATE", C2C | {"message_scene": {"ext": ext}}).quotes == ""
    assert message("AT_MESSAGE_CREATE", reference).quotes == "08ff"


def test_a_message_without_an_id_gets_one_that_its_copy_gets_too() -> None:
    """
    Otherwise its replay would be taken for another message.
    """
    without = {key: value for key, value in C2C.items() if key != "id"}
    found = message("C2C_MESSAGE_CREATE", without)

    assert found.weak_id
    assert found == message("C2C_MESSAGE_CREATE", without)
    assert found.id != message("C2C_MESSAGE_CREATE", without | {"content": "other"}).id


@pytest.mark.parametrize(
    "t", ["C2C_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE", "DIRECT_MESSAGE_CREATE"]
)
@pytest.mark.parametrize("d", [None, "", [], 5, {}, {"id": ID}, {"content": "x", "author": []}])
def test_a_message_that_says_nothing_of_where_is_kept(t: str, d: object) -> None:
    """
    The place moves past it, so if it were dropped nobody would ever know of it.
    """
    found = message(t, d)
    assert (found.chat, found.sender) == (chats.UNKNOWN, chats.UNKNOWN)
    assert found.id


def test_half_a_character_spoils_itself_only() -> None:
    """
    JSON can carry one, and neither UTF-8 nor the journal can.
    """
    found = read(frame(op=0, t="C2C_MESSAGE_CREATE", s=42, d=C2C | {"content": "a\ud83d b"}), SESSION)
    assert isinstance(found, Batch)
    assert found.messages[0].text == "a\ufffd b"
    broken = frame(op=0, t="C2C_MESSAGE_CREATE", s=42, d=C2C).replace(b"hello", b"hell\xff")
    assert isinstance(read(broken, SESSION), Batch)


# ---- reviews ---------------------------------------------------------------------------------------------------------


def test_a_review_says_what_became_of_a_message() -> None:
    """
    Until then it is neither delivered nor refused.
    """
    passed = dispatch("MESSAGE_AUDIT_PASS", {"audit_id": "a-1", "message_id": "m-1", "channel_id": "1"})
    rejected = dispatch("MESSAGE_AUDIT_REJECT", {"audit_id": "a-1"})

    assert isinstance(passed, Review)
    assert (passed.audit, passed.passed, passed.message) == ("a-1", True, "m-1")
    assert isinstance(rejected, Review)
    assert (rejected.passed, rejected.message) == (False, "")
    assert isinstance(dispatch("MESSAGE_AUDIT_PASS", {}), Note)


# ---- whatever comes --------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([BOT, ID, "\ud800"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner), max_leaves=10
)
FIELDS = st.sampled_from(
    [
        *("id", "author", "content", "timestamp", "attachments", "mentions", "message_scene", "ext", "bot", "is_you"),
        *(
            "user_openid",
            "member_openid",
            "group_openid",
            "channel_id",
            "guild_id",
            "message_type",
            "session_id",
            "user",
        ),
        *("content_type", "asr_refer_text", "message_reference", "message_id", "audit_id", "heartbeat_interval"),
    ]
)
OBJECTS = st.dictionaries(FIELDS, JSON | st.lists(st.dictionaries(FIELDS, JSON), max_size=3), max_size=8)
NAMES = st.sampled_from(
    [
        *("READY", "RESUMED", "C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"),
        *("AT_MESSAGE_CREATE", "MESSAGE_CREATE", "DIRECT_MESSAGE_CREATE", "MESSAGE_AUDIT_PASS", "MESSAGE_AUDIT_REJECT"),
        *("FRIEND_ADD", "GROUP_ADD_ROBOT", "INTERACTION_CREATE"),
    ]
)
FRAMES = st.fixed_dictionaries(
    {},
    optional={
        "op": st.integers(-2, 15) | JSON,
        "t": NAMES | JSON,
        "s": st.integers(-3, 99) | JSON,
        "d": OBJECTS | JSON,
        "id": JSON,
    },
)
RECORDED = ("chat", "sender", "id", "text", "kinds", "sent_at", "weak_id", "quotes")
RESULTS = Hello | Welcome | Batch | Note | Review | BeatAck | BeatWanted | Invalid | Ended


@settings(max_examples=80)
@given(st.binary() | FRAMES.map(lambda value: json.dumps(value).encode()), st.none() | st.just(SESSION))
def test_any_frame_is_read_as_something(data: bytes, session: Session | None) -> None:
    """
    An exception here would end the connection, and the frame that caused it comes again with every resume.
    """
    found = read(data, session)
    assert isinstance(found, RESULTS)
    if isinstance(found, Welcome) and not found.resumed:
        return
    moved = seq_of(found)
    assert moved is None or (session is not None and moved >= session.seq)


@settings(max_examples=100)
@given(NAMES, OBJECTS)
def test_whatever_is_read_can_be_recorded(t: str, d: Any) -> None:
    """
    What comes in is in the journal before anything else happens with it.
    """
    found = dispatch(t, d)
    for one in found.messages if isinstance(found, Batch) else ():
        received = Received(**{name: getattr(one, name) for name in RECORDED})
        assert codec.loads(codec.dumps(received), Received) == received
        assert one.chat == chats.UNKNOWN or one.chat.partition(":")[0] in chats.PATHS
