"""The JSON of what users say. Shapes only; nothing here decides anything."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["inbound", "quote", "split", "text_item"]


def text_item(text: str) -> dict[str, Any]:
    """Build the item of a plain text."""
    return {"type": 1, "text_item": {"text": text}}


def split(text: str, at_chars: int) -> list[str]:
    """Cut a long text as the phone does: in pieces of *at_chars* code points. 0 leaves it whole."""
    if not at_chars or len(text) <= at_chars:
        return [text]
    return [text[start : start + at_chars] for start in range(0, len(text), at_chars)]


def quote(variant: str, message_id: int, text: str) -> dict[str, Any]:
    """Build the ref_msg of an item, in one of the forms seen on the wire.

    Args:
        variant: id_only (the usual one), full, svr_id or partial.
    """
    msg_id = f"v1:{message_id}"
    match variant:
        case "id_only":
            return {"message_item": {"type": 0, "msg_id": msg_id}}
        case "full":
            return {"title": text[:20], "message_item": {"msg_id": msg_id, **text_item(text)}}
        case "svr_id":
            return {"svr_id": message_id}
        case "partial":
            digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            part = {"start": text[:4], "end": text[-4:], "startindex": 0, "endindex": len(text), "quotemd5": digest}
            return {"message_item": {"type": 0, "msg_id": msg_id}, "partial_text": part}
    raise ValueError(f"a quote is id_only, full, svr_id or partial, not {variant!r}")


def inbound(
    *,
    message_id: int | None,
    user: str,
    bot: str,
    client_id: str,
    wall_ms: int,
    context_token: str,
    items: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Build one message from *user*. Without a message id the items keep a msg_id of their own, as seen live."""
    msg_id = f"v1:{message_id}" if message_id is not None else f"v1:{client_id}"
    stamps = {"create_time_ms": wall_ms, "update_time_ms": wall_ms}
    message: dict[str, Any] = {} if message_id is None else {"message_id": message_id}
    return message | {
        "from_user_id": user,
        "to_user_id": bot,
        "client_id": client_id,
        **stamps,
        "delete_time_ms": 0,
        "session_id": "",
        "group_id": "",
        "message_type": 1,
        "message_state": 2,
        "context_token": context_token,
        "root_id": 0,
        "parent_id": 0,
        "item_list": [{**stamps, "is_completed": True, "msg_id": msg_id, **item} for item in items],
    }
