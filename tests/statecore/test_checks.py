"""What can be sent at all, whoever asks: one answer for the gateway and the command."""

from typing import Any

import pytest

from statecore.checks import NAME_BYTES_MAX, TEXT_BYTES_MAX, check_message, is_account_name
from statecore.errors import NotAccepted

CHAT = "o9cq80anna@im.wechat"


@pytest.mark.parametrize(
    ("chat", "text", "key", "why"),
    [
        ("", "hi", None, "a chat is the platform's id of it, got ''"),
        (" \t", "hi", None, "a chat is the platform's id of it"),
        (None, "hi", None, "a chat is the platform's id of it, got None"),
        (f"{CHAT}\n", "hi", None, "which holds no control characters"),
        (f"{CHAT}\u2028", "hi", None, "which holds no control characters"),
        ("\x1b[2J", "hi", None, "which holds no control characters; got '\\\\x1b[2J'"),
        ("a" * (NAME_BYTES_MAX + 1), "hi", None, "the chat is longer than 1024 bytes"),
        ("\ud800", "hi", None, "the chat cannot be written as UTF-8: surrogates not allowed at 0"),
        (CHAT, b"hi", None, "a text is a str, got bytes"),
        (CHAT, None, None, "a text is a str, got NoneType"),
        (CHAT, "hi \udcff", None, "the text cannot be written as UTF-8: surrogates not allowed at 3"),
        (
            CHAT,
            "a" * (TEXT_BYTES_MAX + 1),
            None,
            "the text is longer than 16777216 bytes; send it in pieces, or as a file",
        ),
        (CHAT, "\u4e2d" * (TEXT_BYTES_MAX // 2), None, "the text is longer than 16777216 bytes"),
        (CHAT, "hi", 7, "a key is a str, got int"),
        (CHAT, "hi", "\ud800", "the key cannot be written as UTF-8"),
        (CHAT, "hi", "\u00e9" * NAME_BYTES_MAX, "the key is longer than 1024 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_nobody_could_deliver_or_find_again_is_refused(chat: Any, text: Any, key: Any, why: str) -> None:
    """
    What is accepted is kept until a person looks at it; so the person who sends hears at once what is wrong.
    """
    with pytest.raises(NotAccepted) as caught:
        check_message(chat, text, key)

    assert why.replace("\\\\", "\\") in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("chat", [CHAT, "a b", "\u7fa4", "a/b", "-", "\N{ZERO WIDTH JOINER}"])
@pytest.mark.parametrize("key", [None, "", "disk full\n"])
def test_whatever_a_platform_may_call_a_chat_is_one(chat: str, key: str | None) -> None:
    """
    What an id looks like is the platform's to say; only what can be no id anywhere is refused here.
    """
    check_message(chat, "hi", key)


@pytest.mark.parametrize(
    ("name", "is_one"), [("wx", True), ("my bot", True), ("", False), (" ", False), ("a/b", False), (3, False)]
)
def test_a_name_of_an_account_can_stand_in_an_address(name: object, is_one: bool) -> None:
    """
    Addresses are split at their slashes.
    """
    assert is_one is is_account_name(name)
