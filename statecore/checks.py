"""What `send` takes, decided in one place: by the gateway in its own process, and by the command in any other.

What is refused here was never recorded. What passes is durable, so it must be something the journal can hold, a chat can
be named by and a person can find again.
"""

import unicodedata
from typing import Final

from statecore.errors import NotAccepted

TEXT_BYTES_MAX: Final = 16 * 1024 * 1024
"""A longer text is refused: it would be thousands of messages, and is a slip of some program."""

NAME_BYTES_MAX: Final = 1024
"""The same for a chat and a key. Ids of the platforms have some tens of bytes."""

_UNSPEAKABLE: Final = frozenset({"Cc", "Zl", "Zp"})
"""Categories of characters that no id holds: controls and line breaks. They come from a list that was cut wrongly."""


def is_account_name(name: object) -> bool:
    """Tell whether an account can be called that: addresses are made of names and slashes, and people read them."""
    return isinstance(name, str) and bool(name.strip()) and "/" not in name and name.isprintable()


def check_message(chat: object, text: object, key: object = None) -> None:
    """See that a message can be taken on, as far as that can be told without its platform.

    Args:
        chat: where to.
        text: what.
        key: the sender's own idempotency key; None or empty for none.

    Raises:
        NotAccepted: it cannot be, and why.
    """
    if not isinstance(chat, str) or not chat.strip():
        raise NotAccepted(f"a chat is the platform's id of it, got {chat!r:.80}")
    if not isinstance(text, str):
        raise NotAccepted(f"a text is a str, got {type(text).__name__}")
    if not isinstance(key, str | None):
        raise NotAccepted(f"a key is a str, got {type(key).__name__}")
    _check_size("chat", chat, NAME_BYTES_MAX)
    _check_size("key", key or "", NAME_BYTES_MAX)
    _check_size("text", text, TEXT_BYTES_MAX, "; send it in pieces, or as a file")
    if any(unicodedata.category(character) in _UNSPEAKABLE for character in chat):
        raise NotAccepted(f"a chat is the platform's id of it, which holds no control characters; got {chat!r:.80}")


def _check_size(what: str, value: str, most: int, remedy: str = "") -> None:
    try:
        size = len(value) if len(value) > most else len(value.encode())  # no copy of what is too long in any case
    except UnicodeEncodeError as error:
        raise NotAccepted(f"the {what} cannot be written as UTF-8: {error.reason} at {error.start}") from None
    if size > most:
        raise NotAccepted(f"the {what} is longer than {most} bytes{remedy}")
