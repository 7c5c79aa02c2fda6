"""What becomes of a message that was let through: on a screen, into the void, or onto the desk of an auditor."""

from functools import partial
from typing import Any, Final

from . import events
from .answers import Outcome
from .model import Bot
from .problems import problem
from .records import Audit, Delivered
from .sending import INPUT_NOTIFY, Message
from .state import State

__all__ = ["accept", "claim", "decide", "finish"]

AUDITS_MAX: Final = 10_000


def claim(state: State, bot: Bot, message: Message) -> str:
    """Count the message against what it hangs on, and give it its id."""
    message_id = state.ids.hex("guild message", 40) if message.in_guild else state.ids.message()
    occasion = bot.occasions.get(message.msg_id or message.event_id or "")
    if occasion is not None:
        number = -len(occasion.replies) - 1 if message.in_guild else message.msg_seq
        occasion.replies[number] = message_id
    if message.is_wakeup:
        bot.chat(message.scene, message.target).woken = True
    bot.keep_sent(message_id, state.now())
    return message_id


def accept(state: State, bot: Bot, message: Message) -> Outcome:
    """Take a message, and say what is answered."""
    record = _record(state, bot, message, claim(state, bot, message))
    if state.knobs.audit != "off" and record.msg_type != INPUT_NOTIFY:
        return _to_auditor(state, record)
    _show(state, record)
    return _answer(state, bot, message, record)


def finish(state: State, bot: Bot, message: Message, message_id: str) -> None:
    """Take a message that was claimed when its first piece came, and is whole now."""
    _show(state, _record(state, bot, message, message_id))


def _record(state: State, bot: Bot, message: Message, message_id: str) -> Delivered:
    state.accepted += 1
    return Delivered(
        number=state.accepted,
        at=state.now(),
        app_id=bot.app_id,
        scene=message.scene,
        target=message.target,
        text=message.text,
        msg_id=message.msg_id,
        event_id=message.event_id,
        msg_seq=None if message.in_guild else message.msg_seq,
        msg_type=message.msg_type,
        id=message_id,
        swallowed=state.knobs.swallow_when_down and not bot.is_up,
        body=message.body,
    )


def _show(state: State, record: Delivered) -> None:
    (state.typing if record.msg_type == INPUT_NOTIFY else state.delivered).append(record)
    verb = "swallowed" if record.swallowed else "delivered"
    state.note(f"{verb} {record.number} to {record.scene} {record.target}: {record.text[:60]!r}")


def _answer(state: State, bot: Bot, message: Message, record: Delivered) -> dict[str, Any]:
    stamp = state.clock.rfc3339()
    if not message.in_guild:
        reference = state.ids.opaque("reference", 24, "REFIDX_")
        return {"id": record.id, "timestamp": stamp, "ext_info": {"ref_idx": reference}}
    place = "channel_id" if message.scene == "channel" else "guild_id"
    author = {"id": bot.id, "username": bot.username, "bot": True}
    return {"id": record.id, place: message.target, "content": message.text, "timestamp": stamp, "author": author}


def _to_auditor(state: State, record: Delivered) -> Outcome:
    """Answer with what looks like an error, and is none: somebody has to look at it first."""
    audit = Audit(id=state.ids.uuid("audit"), message=record)
    state.audits[audit.id] = audit
    while len(state.audits) > AUDITS_MAX:
        del state.audits[next(iter(state.audits))]
    state.note(f"audit {audit.id} of message {record.number}")
    if state.knobs.audit != "held":
        state.later(
            state.knobs.audit_after_ms / 1000, partial(_decide_if_open, state, audit, state.knobs.audit == "pass")
        )
    number = 304024 if record.msg_id or record.event_id else 304023
    return problem(number, status=state.knobs.audit_status, data={"message_audit": {"audit_id": audit.id}})


def _decide_if_open(state: State, audit: Audit, passed: bool) -> None:
    if audit.passed is None:
        decide(state, audit, passed=passed)


def decide(state: State, audit: Audit, *, passed: bool) -> None:
    """Let the auditor decide: the message is shown or not, and the bot is told if it asked to be."""
    if audit.passed is not None:
        raise ValueError(f"audit {audit.id} has been decided")
    audit.passed = passed
    message = audit.message
    if passed:
        _show(state, message)
    created = decided = state.clock.rfc3339()
    d = events.audit_result(audit.id, message.id if passed else None, message.scene, message.target, created, decided)
    state.push(state.bots[message.app_id], "MESSAGE_AUDIT_PASS" if passed else "MESSAGE_AUDIT_REJECT", d)
