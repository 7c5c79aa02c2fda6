"""What people do: they write to the bot, and press its buttons."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from . import events
from .intents import PRIVATE_INTENTS
from .model import Bot, Occasion
from .records import Scene
from .state import State

__all__ = ["People"]

DEFAULT_GUILD: Final = "7460172331083428700"
INBOUND_MAX: Final = 10_000  # what was said and can be pushed again


@attrs.define(eq=False, slots=False)  # a base among others
class People:
    """The part of the `Simulator` that speaks for people.

    Where a method takes a bot, None means the first one that was added.
    """

    _state: State

    def say_c2c(
        self,
        openid: str,
        text: str,
        *,
        attachments: Sequence[Mapping[str, Any]] = (),
        copies: int | None = None,
        bot: Bot | None = None,
    ) -> str:
        """Let a person write to the bot.

        Args:
            copies: how often it is pushed under its one id; None leaves it to the knob.

        Returns:
            The message id.
        """
        known = self._state.the_bot(bot)
        known.chat("c2c", openid).woken = False
        message_id = self._state.ids.message()
        stamp, index = self._state.clock.rfc3339(), self._state.ids.opaque("reference", 24, "REFIDX_")
        d = events.c2c_message(message_id, openid, text, stamp, index, attachments)
        return self._say(known, message_id, ("c2c", openid), [("C2C_MESSAGE_CREATE", d, None)], copies)

    def say_group(
        self,
        group: str,
        member: str,
        text: str,
        *,
        at: bool = True,
        attachments: Sequence[Mapping[str, Any]] = (),
        copies: int | None = None,
        bot: Bot | None = None,
    ) -> str:
        """Let a member of a group write; *at* mentions the bot.

        What is pushed depends on the knob `group_events`: without a mention it may be nothing at all.
        """
        known = self._state.the_bot(bot)
        message_id = self._state.ids.message()
        stamp, index = self._state.clock.rfc3339(), self._state.ids.opaque("reference", 24, "REFIDX_")
        mention = {"scope": "single", "is_you": True, "bot": True, "id": known.id, "username": known.username}
        pushed: list[tuple[str, Any, str | None]] = []
        if at and self._state.knobs.group_events != "all":
            d = events.group_message(message_id, group, member, f" {text}", stamp, index, attachments, [])
            pushed.append(("GROUP_AT_MESSAGE_CREATE", d, None))
        if self._state.knobs.group_events != "at":
            content, mentions = (f"<@!{known.id}> {text}", [mention]) if at else (text, [])
            d = events.group_message(message_id, group, member, content, stamp, index, attachments, mentions)
            pushed.append(("GROUP_MESSAGE_CREATE", d, None))
        return self._say(known, message_id, ("group", group), pushed, copies)

    def say_channel(
        self,
        channel: str,
        user: str,
        text: str,
        *,
        guild: str = DEFAULT_GUILD,
        at: bool = True,
        copies: int | None = None,
        bot: Bot | None = None,
    ) -> str:
        """Let a member of a guild write in a channel: AT_MESSAGE_CREATE for a mention.

        A bot that may be private also gets MESSAGE_CREATE, in any case.
        """
        known = self._state.the_bot(bot)
        message_id, stamp = self._state.ids.hex("guild message", 40), self._state.clock.rfc3339()
        content, mentions = (f"<@!{known.id}> {text}", [known.id]) if at else (text, [])
        d = events.channel_message(message_id, guild, channel, user, content, stamp, self._seq(), mentions)
        names = (["AT_MESSAGE_CREATE"] if at else []) + (["MESSAGE_CREATE"] if known.intents & PRIVATE_INTENTS else [])
        return self._say(known, message_id, ("channel", channel), [(name, d, guild) for name in names], copies)

    def say_dm(
        self,
        user: str,
        text: str,
        *,
        source_guild: str = DEFAULT_GUILD,
        copies: int | None = None,
        bot: Bot | None = None,
    ) -> str:
        """Let a member of a guild write to the bot in private. See `dm_guild` for where a reply goes."""
        known = self._state.the_bot(bot)
        message_id, stamp = self._state.ids.hex("guild message", 40), self._state.clock.rfc3339()
        guild = self._state.dm_guild(known, user)
        d = events.dm_message(message_id, guild, source_guild, user, text, stamp, self._seq())
        return self._say(known, message_id, ("dm", guild), [("DIRECT_MESSAGE_CREATE", d, None)], copies)

    def dm_guild(self, user: str, bot: Bot | None = None) -> str:
        """Return the guild id that stands for the private chat with *user*."""
        return self._state.dm_guild(self._state.the_bot(bot), user)

    def say_again(self, message_id: str, bot: Bot | None = None) -> None:
        """Push a message once more: the same object, a new s."""
        for event, d, guild in self._state.inbound[message_id]:
            self._state.push(self._state.the_bot(bot), event, d, guild_id=guild)

    def click(
        self,
        button_data: str,
        *,
        c2c: str | None = None,
        group: str | None = None,
        member: str = "",
        message_id: str = "",
        bot: Bot | None = None,
    ) -> str:
        """Let a person press a button under a message of the bot; see `interactions` for what it answers.

        Returns:
            The id of the interaction.
        """
        if (c2c is None) == (group is None):
            raise ValueError("a button is pressed in one chat: c2c, or group with member")
        known, interaction_id = self._state.the_bot(bot), self._state.ids.uuid("interaction")
        whom = {"user_openid": c2c} if c2c is not None else {"group_openid": group or "", "group_member_openid": member}
        button = {"button_data": button_data, "button_id": "1", "message_id": message_id}
        scene = "c2c" if c2c is not None else "group"
        stamp = self._state.clock.rfc3339()
        self._state.interactions[interaction_id] = None
        d = events.interaction(interaction_id, known.app_id, scene, whom, button, stamp)
        self._state.push(known, "INTERACTION_CREATE", d)
        return interaction_id

    def dispatch(
        self, t: str, d: Any, *, guild: str | None = None, event_id: str | None = None, bot: Bot | None = None
    ) -> str:
        """Push any event, to the sessions whose intents take it. Names nobody knows go to every session.

        Returns:
            The event id, which a reply may name if the platform allows replies to such events.
        """
        return self._state.push(self._state.the_bot(bot), t, d, guild_id=guild, event_id=event_id)

    def _seq(self) -> int:
        return 100 + len(self._state.inbound)

    def _say(
        self,
        bot: Bot,
        message_id: str,
        chat: tuple[Scene, str],
        pushed: list[tuple[str, Any, str | None]],
        copies: int | None,
    ) -> str:
        bot.chat(*chat).met = True
        bot.remember(Occasion(message_id, "message", chat, self._state.now()))
        self._state.inbound[message_id] = pushed
        while len(self._state.inbound) > INBOUND_MAX:
            del self._state.inbound[next(iter(self._state.inbound))]
        for _ in range(self._state.knobs.copies if copies is None else copies):
            for event, d, guild in pushed:
                self._state.push(bot, event, d, guild_id=guild)
        return message_id
