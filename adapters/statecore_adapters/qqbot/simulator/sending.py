"""Whether a message of the bot is let through, and if not, what it is told.

Nothing here has an effect but the counting of attempts against a rate, which is itself the rule.
"""

# The order of the rules is fixed: rate, form, content, chat, and then what the message hangs on: the message it
# replies to, the event it replies to, or nothing. The platform's own order is not known; where it matters to a client
# the comment at the rule says why it is this one.

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from .events import REPLIABLE
from .knobs import Knobs
from .model import DAY_S, MINUTE_S, Bot, Chat, Occasion
from .problems import Problem, problem
from .records import Scene

__all__ = ["INPUT_NOTIFY", "MEDIA", "Message", "refuse_message"]

TEXT: Final = 0
MARKDOWN: Final = 2
ARK: Final = 3
EMBED: Final = 4
INPUT_NOTIFY: Final = 6
MEDIA: Final = 7
GUILD_CONTENTS: Final = ("content", "embed", "ark", "markdown", "image", "file_image")
URL: Final = re.compile(r"https?://|\bwww\.|\b[a-z0-9-]+\.(?:com|cn|net|org)\b", re.IGNORECASE)
BUTTON_ROWS_MAX: Final = 5
BUTTONS_PER_ROW_MAX: Final = 5


@attrs.frozen
class Message:
    """One message a bot wants to send."""

    scene: Scene
    target: str
    body: Mapping[str, Any]

    @property
    def in_guild(self) -> bool:
        """Whether the rules of guilds hold: no msg_type, no msg_seq."""
        return self.scene in {"channel", "dm"}

    @property
    def msg_type(self) -> Any:
        return TEXT if self.in_guild else self.body.get("msg_type")

    @property
    def markdown(self) -> Mapping[str, Any] | None:
        markdown = self.body.get("markdown")
        return markdown if isinstance(markdown, Mapping) else None

    @property
    def text(self) -> str:
        """What people would read."""
        content = self.body.get("content")
        if self.msg_type == MARKDOWN or not content:
            content = (self.markdown or {}).get("content") or content
        return str(content or "")

    @property
    def msg_id(self) -> str | None:
        return str(self.body["msg_id"]) if self.body.get("msg_id") else None

    @property
    def event_id(self) -> str | None:
        return str(self.body["event_id"]) if self.body.get("event_id") else None

    @property
    def msg_seq(self) -> int:
        """The number of this reply; 1 when none is given."""
        seq = self.body.get("msg_seq", 1)
        return seq if isinstance(seq, int) else 1

    @property
    def is_wakeup(self) -> bool:
        return bool(self.body.get("is_wakeup"))


def refuse_message(message: Message, bot: Bot, knobs: Knobs, now: float) -> Problem | None:
    """Run every rule in order; None lets the message through."""
    if not bot.sends.admits(now, knobs.sends_per_second, 1.0):
        return problem(50002, retry_after=knobs.retry_after_s)
    flaw = _guild_flaw(message) if message.in_guild else _form_flaw(message, bot, now)
    if flaw is not None:
        return flaw
    flaw = _content_flaw(message, knobs)
    if flaw is not None:
        return flaw
    chat = bot.chat(message.scene, message.target)
    if chat.refusal is not None:
        return problem(chat.refusal)
    if message.in_guild and knobs.guild_when_down == "304018" and not bot.is_up:
        return problem(304018)
    occasion_id = message.msg_id or message.event_id
    if occasion_id is None:
        return _refuse_proactive(message, chat, knobs, now)
    return _refuse_reply(message, bot.occasions.get(occasion_id), knobs, now)


# ---- form and content ----


def _guild_flaw(message: Message) -> Problem | None:
    if not any(message.body.get(kind) for kind in GUILD_CONTENTS):
        return problem(50006)
    return None


def _form_flaw(message: Message, bot: Bot, now: float) -> Problem | None:
    """Check that the body has what its msg_type needs, and nothing is of the wrong type."""
    body = message.body
    if not isinstance(body.get("msg_seq", 1), int):
        return problem(12002)
    other = bot.chats.get(("group" if message.scene == "c2c" else "c2c", message.target))
    if other is not None and other.met:
        return problem(11255)  # a group's openid used for a person, or the other way round: HTTP 500
    match message.msg_type:
        case 0:
            flaw = None if message.body.get("content") else problem(50006)
        case 2:
            markdown = message.markdown or {}
            flaw = None if markdown.get("content") or markdown.get("custom_template_id") else problem(50006)
        case 3 | 4:
            kind = "ark" if message.msg_type == ARK else "embed"
            flaw = None if isinstance(body.get(kind), Mapping) else problem(50059)
        case 6:
            fits = message.scene == "c2c" and isinstance(body.get("input_notify"), Mapping) and message.msg_id
            flaw = None if fits else problem(50059)
        case 7:
            flaw = _media_flaw(message, bot, now)
        case _:
            flaw = problem(50035)
    return flaw or _keyboard_flaw(body.get("keyboard"))


def _media_flaw(message: Message, bot: Bot, now: float) -> Problem | None:
    media = message.body.get("media")
    file_info = media.get("file_info") if isinstance(media, Mapping) else None
    file = bot.files.get(str(file_info))
    if file is None or file.scope != message.scene or now >= file.ends_at:
        return problem(304080)
    return None


def _keyboard_flaw(keyboard: Any) -> Problem | None:
    content = keyboard.get("content") if isinstance(keyboard, Mapping) else None
    rows = content.get("rows", []) if isinstance(content, Mapping) else []
    crowded = any(len(row.get("buttons", [])) > BUTTONS_PER_ROW_MAX for row in rows if isinstance(row, Mapping))
    return problem(40034029) if len(rows) > BUTTON_ROWS_MAX or crowded else None


def _content_flaw(message: Message, knobs: Knobs) -> Problem | None:
    text = message.text
    if len(text) > knobs.text_max_chars:
        return problem(40054007)
    if not knobs.urls_allowed and URL.search(text):
        return problem(304003 if message.in_guild else 40054010)
    if knobs.markdown_code is not None and (message.msg_type == MARKDOWN or message.markdown is not None):
        return problem(knobs.markdown_code)
    if any(word in text for word in knobs.banned_words):
        return problem(304025 if message.in_guild else 40034006)
    return None


# ---- what it hangs on ----


def _refuse_reply(message: Message, occasion: Occasion | None, knobs: Knobs, now: float) -> Problem | None:
    """Apply the window and the budget of the message, or the event, that is replied to."""
    by_event = message.msg_id is None
    if occasion is None or (occasion.chat is not None and occasion.chat != (message.scene, message.target)):
        return problem(304026 if message.in_guild else 40034025 if by_event else 40034024)
    if by_event and occasion.kind not in REPLIABLE and occasion.kind != "INTERACTION_CREATE":
        return problem(40034027)
    if not message.in_guild and knobs.dedupe and message.msg_seq in occasion.replies:
        # Before age and count: a client that lost the answer to its last reply must learn that it arrived, however
        # late it asks.
        return problem(40054005)
    windows = {"c2c": knobs.c2c_window_s, "group": knobs.group_window_s}
    if now - occasion.at > windows.get(message.scene, knobs.guild_window_s):
        return problem(304027 if message.in_guild else 40034026 if by_event else knobs.expired_code)
    if not message.in_guild and len(occasion.replies) >= knobs.replies_max:
        return problem(40034128)
    return None


def _refuse_proactive(message: Message, chat: Chat, knobs: Knobs, now: float) -> Problem | None:
    """Apply the rules for speaking first."""
    if message.is_wakeup:
        if message.scene != "c2c":
            return problem(40034123)
        return problem(40034122) if chat.woken else None
    if message.in_guild:
        per_day = knobs.guild_proactive_per_day if message.scene == "channel" else knobs.dm_proactive_per_day
        return (
            None if chat.rate.admits(now, per_day, DAY_S) else problem(304045 if message.scene == "channel" else 304049)
        )
    allowed = knobs.proactive if chat.proactive is None else chat.proactive
    if not allowed:
        return problem(knobs.proactive_code)
    return None if chat.rate.admits(now, knobs.proactive_per_minute, MINUTE_S) else problem(40034100)
