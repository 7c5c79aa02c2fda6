"""The JSON of what the gateway says. Shapes only; nothing here decides anything."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .records import Scene

__all__ = [
    "audit_result",
    "c2c_message",
    "channel_message",
    "dm_message",
    "group_message",
    "hello",
    "interaction",
    "ready",
    "scene_of",
]

CHAT_TYPES: Final = {"c2c": 2, "group": 1, "channel": 0}
INTERACTION_SCENES: Final = {"c2c": "c2c", "group": "group", "channel": "guild"}
CALLBACK_BUTTON: Final = 11

# Events that may be replied to with their event_id, and the field that names whom.
REPLIABLE: Final[Mapping[str, tuple[Scene, str]]] = {
    "FRIEND_ADD": ("c2c", "openid"),
    "C2C_MSG_RECEIVE": ("c2c", "openid"),
    "GROUP_ADD_ROBOT": ("group", "group_openid"),
    "GROUP_MSG_RECEIVE": ("group", "group_openid"),
    "GROUP_MEMBER_ADD": ("group", "group_openid"),
    "GUILD_MEMBER_ADD": ("channel", "channel_id"),
    "MESSAGE_REACTION_ADD": ("channel", "channel_id"),
}
INTERACTION_TARGETS: Final[Mapping[str, tuple[Scene, str]]] = {
    "c2c": ("c2c", "user_openid"),
    "group": ("group", "group_openid"),
    "guild": ("channel", "channel_id"),
}


def hello(interval_ms: float) -> dict[str, Any]:
    """Build op 10."""
    return {"op": 10, "d": {"heartbeat_interval": round(interval_ms)}}


def ready(session_id: str, bot_id: str, username: str, shard: Sequence[int]) -> dict[str, Any]:
    """Build the object of READY."""
    user = {"id": bot_id, "username": username, "bot": True}
    return {"version": 1, "session_id": session_id, "user": user, "shard": list(shard)}


def scene_of(event: str, d: Any) -> tuple[Scene, str] | None:
    """Return the scene and the target a reply to this event goes to; None when nothing may reply to it."""
    if not isinstance(d, Mapping):
        return None
    where = INTERACTION_TARGETS.get(str(d.get("scene"))) if event == "INTERACTION_CREATE" else REPLIABLE.get(event)
    if where is None:
        return None
    scene, field = where
    return scene, str(d.get(field, ""))


def c2c_message(
    id: str, openid: str, text: str, timestamp: str, msg_idx: str, attachments: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Build the object of C2C_MESSAGE_CREATE."""
    return {
        "id": id,
        "author": {"id": openid, "user_openid": openid, "union_openid": ""},
        "content": text,
        "timestamp": timestamp,
        "attachments": [dict(attachment) for attachment in attachments],
        "message_scene": {"source": "default", "ext": [f"msg_idx={msg_idx}"]},
        "message_type": 0,
    }


def group_message(
    id: str,
    group: str,
    member: str,
    text: str,
    timestamp: str,
    msg_idx: str,
    attachments: Sequence[Mapping[str, Any]],
    mentions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Build the object of GROUP_AT_MESSAGE_CREATE, which is that of GROUP_MESSAGE_CREATE too."""
    return {
        "id": id,
        "author": {"id": member, "member_openid": member, "union_openid": "", "bot": False, "member_role": "member"},
        "content": text,
        "group_id": group,
        "group_openid": group,
        "timestamp": timestamp,
        "attachments": [dict(attachment) for attachment in attachments],
        "mentions": [dict(mention) for mention in mentions],
        "message_scene": {"source": "default", "ext": [f"msg_idx={msg_idx}"]},
        "message_type": 0,
    }


def channel_message(
    id: str, guild: str, channel: str, user: str, text: str, timestamp: str, seq: int, mentions: Sequence[str]
) -> dict[str, Any]:
    """Build the object of AT_MESSAGE_CREATE and MESSAGE_CREATE."""
    return {
        "id": id,
        "guild_id": guild,
        "channel_id": channel,
        "content": text,
        "timestamp": timestamp,
        "author": {"id": user, "username": f"user {user[-4:]}", "avatar": "", "bot": False},
        "member": {"nick": f"user {user[-4:]}", "roles": ["1"], "joined_at": timestamp},
        "mentions": [{"id": mention, "bot": True} for mention in mentions],
        "seq": seq,
        "seq_in_channel": str(seq),
    }


def dm_message(
    id: str, guild: str, source_guild: str, user: str, text: str, timestamp: str, seq: int
) -> dict[str, Any]:
    """Build the object of DIRECT_MESSAGE_CREATE."""
    message = channel_message(id, guild, guild, user, text, timestamp, seq, [])
    return message | {"direct_message": True, "src_guild_id": source_guild}


def interaction(
    id: str, app_id: str, scene: str, whom: Mapping[str, str], button: Mapping[str, str], timestamp: str
) -> dict[str, Any]:
    """Build the object of INTERACTION_CREATE: a button was pressed."""
    return {
        "id": id,
        "type": CALLBACK_BUTTON,
        "scene": INTERACTION_SCENES[scene],
        "chat_type": CHAT_TYPES[scene],
        "timestamp": timestamp,
        "version": 1,
        "application_id": app_id,
        **whom,
        "data": {"type": CALLBACK_BUTTON, "resolved": dict(button)},
    }


def audit_result(
    audit_id: str, message_id: str | None, scene: str, target: str, created: str, decided: str
) -> dict[str, Any]:
    """Build the object of MESSAGE_AUDIT_PASS, or with no message id that of MESSAGE_AUDIT_REJECT."""
    fields = {"c2c": "user_openid", "group": "group_openid", "channel": "channel_id", "dm": "guild_id"}
    d: dict[str, Any] = {"audit_id": audit_id, "create_time": created, "audit_time": decided, fields[scene]: target}
    return d if message_id is None else d | {"message_id": message_id}
