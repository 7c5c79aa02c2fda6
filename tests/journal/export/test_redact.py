"""What becomes of each value."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from statecore.recorded import recorded, restore
from statecore_adapters.qqbot import QQBot
from statecore_adapters.weixin import Weixin
from statecore_journal.export.fields import Kind
from statecore_journal.export.names import REMEMBERED_MAX, Names
from statecore_journal.export.prose import Prose
from statecore_journal.export.redact import Redactor, Shift
from statecore_journal.export.vocabulary import Vocabulary, vocabulary
from tests.journal.desk import LAMPS


def words() -> Vocabulary:
    return vocabulary(("statecore", "statecore_adapters"))


@pytest.fixture
def names() -> Iterator[Names]:
    """Return no placeholders yet."""
    names = Names()
    yield names
    names.close()


@pytest.fixture
def prose(names: Names) -> Prose:
    """Return what takes unknown words out of sentences."""
    return Prose(words(), names)


@pytest.fixture
def redactor(names: Names) -> Redactor:
    """Return what redacts as exports do."""
    return Redactor(words(), names)


def fields(redactor: Redactor, machine: str, event: str, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(redactor.event(machine, event, json.dumps(given)))
    return found


# ---- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sentence",
    [
        "ret=-2 errcode=-2: the window should be open, so the token may be at fault; one attempt without it tells",
        "err_code=40034105 code=11255 http=400",
        "http 429: the server asks for fewer requests",
        "connect: [Errno 111] Connection refused",
        "part 2 may have arrived: receive: no answer within the time allowed",
        "the part has 30000 bytes, and 2048 are the most that is sent",
        "the user last wrote 1d2h ago, and only 24h are allowed",
        "tls: the certificate is not valid: self-signed certificate in certificate chain",
        "the request was cut off: ConnectionResetError",
        "see to the cause, then retry the delivery or purge it",
        "connect: no route to api.sgroup.qq.com",
    ],
)
def test_what_the_source_can_say_is_kept(prose: Prose, sentence: str) -> None:
    """An export in which every reason reads "word-1 word-2" explains nothing."""
    assert sentence == prose(sentence)


@pytest.mark.parametrize(
    ("sentence", "hidden"),
    [
        ("the name zuckerfee.example does not resolve", "the name host-1 does not resolve"),
        ("connect: 10.1.2.3:8443 refused", "connect: host-1 refused"),
        ("127.0.0.1:8080 refused", "127.0.0.1 refused"),
        ("proxy http://bob:pw@inner.corp/x?y=z", "proxy http://host-1/"),
        ("cannot read /home/anna/bot.py", "cannot read path-1"),
        ("refused for QQ 123456789", "refused for qq word-1"),
        ("the platform said Geburtstag", "the platform said word-1"),
        ("the platform said 系统繁忙", "the platform said word-1"),
        ('the message "see you at nine" was refused', 'the message "text-1" was refused'),
        ("the message 'see you at nine' was refused", "the message 'text-1' was refused"),
        ("no chat zuckerfee@im.wechat", "no chat word-1@im.wechat"),
    ],
)
def test_what_it_cannot_say_becomes_a_placeholder(prose: Prose, sentence: str, hidden: str) -> None:
    """What a platform or a library quotes cannot be told from a name by its shape; so only known words stay."""
    assert hidden.lower() == prose(sentence).lower()


def test_an_id_is_called_the_same_in_a_sentence(prose: Prose) -> None:
    """Else a reason that names a chat could not be followed to the chat."""
    assert prose.identity(Kind.CHAT, "group:5A-C8xyz") == "group:chat-1"
    assert prose("nothing can be sent to group:5A-C8xyz.") == "nothing can be sent to group:chat-1."
    assert prose("nothing can be sent to 5A-C8xyz") == "nothing can be sent to chat-1"


def test_of_what_a_handler_raised_only_the_exception_is_kept(prose: Prose) -> None:
    """A handler's error may quote the message it was given, in the plainest words."""
    assert prose.raised("ValueError: the user is not at home") == "ValueError: text-1"
    assert prose.raised("KeyError: the user is not at home") == "KeyError: text-1"
    assert prose.raised("Anna: is not at home") == "text-2"
    assert prose.raised("TimeoutError") == "TimeoutError"


# ---- names -----------------------------------------------------------------------------------------------------------


def test_a_value_keeps_its_name_and_shares_it_with_none(names: Names) -> None:
    """Who reads an export follows a chat by its placeholder alone, also when there are very many."""
    many = [names.of(Kind.MESSAGE, f"id {number}") for number in range(REMEMBERED_MAX + 100)]

    assert len(many) == len(set(many))
    assert many[:2] == ["message-1", "message-2"]
    assert names.of(Kind.MESSAGE, "id 0") == "message-1"
    assert names.of(Kind.CHAT, "id 1") == "message-2"
    assert names.counts == {"message": len(many)}


def test_a_person_who_is_their_own_chat_has_one_name(redactor: Redactor) -> None:
    """That the two are the same is what tells a person from a group."""
    found = fields(redactor, "inbound", "Received", chat="o9cq80anna@im.wechat", sender="o9cq80anna@im.wechat")

    assert found == {"chat": "chat-1@im.wechat", "sender": "chat-1@im.wechat"}
    assert redactor.address("window/shop/o9cq80anna@im.wechat") == "window/account-1/chat-1@im.wechat"


def test_a_message_is_called_the_same_in_its_address_and_where_it_is_answered(redactor: Redactor) -> None:
    """The answer to a message is found by its id."""
    assert redactor.address("inbound/wx/7432a") == "inbound/account-1/message-1"
    assert fields(redactor, "delivery", "Turn", answers="7432a", number=3) == {"answers": "message-1", "number": 3}
    assert fields(redactor, "delivery", "Accepted", reply_to="inbound/wx/7432a") == {
        "reply_to": "inbound/account-1/message-1"
    }


# ---- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a longer line of text\nand another\n\nthe end", "早上好" * 10, "é" * 20 + "x" * 20, "🎉" * 9]
)
def test_a_text_keeps_its_length_and_its_lines(redactor: Redactor, text: str) -> None:
    """So that it can be seen why it was cut where it was cut, and refused for its size."""
    hidden = redactor.text(text)

    assert hidden.startswith("text-1")
    assert [len(line) for line in text.split("\n")] == [len(line) for line in hidden.split("\n")]
    assert not set(hidden) & set("aeo早é🎉") - set("text-1")


def test_the_bytes_of_a_text_are_about_the_same(redactor: Redactor) -> None:
    """Platforms count them in bytes."""
    text = "x" * 40 + "早" * 40

    assert len(redactor.text(text).encode()) == len(text.encode())


def test_short_texts_are_told_apart_and_not_read(redactor: Redactor) -> None:
    """A "yes" that keeps its length is read."""
    assert [redactor.text(text) for text in ("yes", "no", "yes", "")] == ["text-1", "text-2", "text-1", ""]


# ---- fields ----------------------------------------------------------------------------------------------------------


def test_fields_of_unknown_machines_are_hidden_unless_they_are_numbers(redactor: Redactor) -> None:
    """Nobody has said what they hold."""
    found = fields(
        redactor, "lamp", "Pressed", note="by Anna", times=3, lit=True, inner={"who": "Anna", "how": ["hard"]}
    )

    assert found["note"] == "value-1"
    assert (found["times"], found["lit"]) == (3, True)
    assert "Anna" not in json.dumps(found)
    assert "hard" not in json.dumps(found)


def test_a_field_is_kept_if_that_is_asked_for(names: Names) -> None:
    """The author of a machine knows what its fields hold."""
    redactor = Redactor(words(), names, keep=["Pressed.note"], machines=LAMPS)

    assert fields(redactor, "lamp", "Pressed", note="by the timer") == {"note": "by the timer"}
    assert fields(redactor, "lamp", "Looked", note="by Anna") == {"note": "value-1"}


def test_accounts_keep_their_names_if_that_is_asked_for(names: Names) -> None:
    """In one's own house they say more than numbers."""
    assert Redactor(words(), names, keep_accounts=True).address("circuit/shop/c1") == "circuit/shop/chat-1"


def test_only_moments_are_shifted(names: Names) -> None:
    """A wait that is shifted is another wait."""
    redactor = Redactor(words(), names, shift=Shift(at=1_000, wall=5_000_000))

    assert fields(redactor, "delivery", "Accepted", expires_at=5_000, parts=[]) == {"expires_at": 4_000, "parts": []}
    assert fields(redactor, "inbound", "Received", sent_at=12) == {"sent_at": 7}
    assert fields(redactor, "connection", "Idle", held=35, wait=5_000) == {"held": 35, "wait": 5_000}
    assert json.loads(redactor.remembered("session", '{"starts_at":0,"url_until":3000}')) == {
        "starts_at": 0,
        "url_until": 2_000,
    }


def test_settings_can_still_be_read_as_settings(redactor: Redactor) -> None:
    """What-if runs the recorded day with other numbers, and on an export too."""
    weixin = Weixin(account_id="0a1b2c3d4e5f@im.bot", token="t", base_url="http://anna.example:80/x")
    qq = QQBot(app_id="102004711", client_secret="s")
    for config, name, told in ((weixin, "weixin", ("0a1b", "anna")), (qq, "qqbot", ("102004711",))):
        hidden = fields(redactor, "connection", "Started", settings=recorded(config))["settings"]
        restored = restore(hidden, {}, {name: type(config)}, "accounts.x")

        assert restored.policies == config.policies
        assert restored.platform.name == name
        assert not any(one in hidden for one in told)


def test_what_is_no_json_does_not_pass(redactor: Redactor) -> None:
    """A damaged row may hold a piece of another."""
    assert redactor.event("delivery", "Accepted", '{"chat":"anna') == "not readable (13 characters)"
    assert redactor.event("delivery", "Accepted", '["anna"]') == "not readable (8 characters)"
