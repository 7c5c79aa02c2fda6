"""QQ, by its official bot API v2: an access token, REST, and a gateway over a WebSocket.

    from statecore_adapters.qqbot import QQBot

    QQBot(app_id="102000001", client_secret={"env": "QQBOT_SECRET"})

intents     what the gateway is asked to send; pure
chats       where a message goes; pure
text        texts as QQ carries them; pure
protocol    frames of the gateway to values, and what is sent there; pure
events      what a dispatch says: messages, and the outcomes of reviews; pure
rest        bodies and answers of REST, of the token endpoint too; pure
codes       what close codes and error codes mean, as tables; pure
reading     what a refusal is taken to mean; pure
wire        one WebSocket
client      the attempts
simulator   a QQ bot platform to run against, with its faults as knobs
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal

import attrs

from statecore.errors import ConfigError
from statecore.platform import Platform, Policies, Refusal, Secrets, SessionClient
from statecore.policies import Backoff, Circuit, Handling, Pacing, Retry, Sessions, Window
from statecore.reading import Evidence, Reading
from statecore.settings import build, checked, choice, count, duration, number, shared
from statecore_adapters import places
from statecore_adapters import text as cutting
from statecore_adapters.qqbot import chats, intents, reading

API_BASE: Final = "https://api.sgroup.qq.com"
SANDBOX_BASE: Final = "https://sandbox.api.sgroup.qq.com"
TOKEN_URL: Final = "https://bots.qq.com/app/getAppAccessToken"  # noqa: S105 - where tokens are fetched


@attrs.frozen
class QQPacing(Pacing):
    """How fast a QQ bot speaks. The least of the platform's own limits is five a second, for one channel; a channel is
    seldom the only chat, so this is a bound for all of them. Source: QQ bot API v2, as of 2026."""

    per_second: float = number(5.0, low=0.001, high=1000)
    burst: int = count(5, low=1, high=1000)


@attrs.frozen
class C2CWindow(Window):
    """Answers to a message of a person: 5 within 60 minutes. One is kept in reserve, as is a minute for clocks and ways.
    Source: QQ bot API v2, as of 2026."""

    messages: int = count(4, low=1, high=1_000_000)
    lasts: int = duration("59m", low="1s", high="365d")


@attrs.frozen
class GroupWindow(Window):
    """Answers to a message in a group: 5 within 5 minutes, less the same reserves. Source: QQ bot API v2, as of 2026."""

    messages: int = count(4, low=1, high=1_000_000)
    lasts: int = duration("280s", low="1s", high="365d")


@attrs.frozen
class GuildWindow(Window):
    """Answers to a message in a guild: any number within 5 minutes. Source: QQ bot API v2, as of 2026."""

    messages: int = count(1000, low=1, high=1_000_000)
    lasts: int = duration("280s", low="1s", high="365d")


@attrs.frozen
class QQPlatform:
    """The pure half of the adapter.

    Args:
        chars: the longest part, in characters.
        markup: whether parts are sent as Markdown.
        unasked: whether a message may be sent that answers none.
    """

    chars: int
    markup: bool
    unasked: bool
    name: str = "qqbot"
    tie: Literal["session"] = "session"
    answers: bool = True

    def resends(self, chat: str, answers: str) -> Literal["always", "never"]:
        """Say what may be done with a part whose answer was lost.

        The platform deduplicates by the message answered and the number of the answer, and only where there are numbers:
        for people and in groups. Everything else it would show twice.
        """
        return "always" if answers and chats.counts_answers(chat) else "never"

    def check(self, chat: str) -> None:
        """See whether this can be the id of a chat."""
        chats.check(chat)

    def split(self, whole: str) -> tuple[str, ...]:
        """Cut a text into parts."""
        return cutting.split(whole, chars=self.chars)

    def read(self, refusal: Refusal, evidence: Evidence) -> Reading:
        """Say what a refusal is taken to mean."""
        return reading.read(refusal, evidence, markup=self.markup)


def _app_id(value: object, _field: object) -> str:
    if not isinstance(value, str) or not value.strip() or any(character.isspace() for character in value):
        raise ConfigError("app_id", f'must be the bot\'s AppID as text, such as "102000001"; got {value!r}')
    return value


def _gateway_url(value: object, field: Any) -> str:
    if not isinstance(value, str) or (value and not places.is_base(value, "ws", "wss", query=True)):
        raise ConfigError(field.name, f"must be an address like wss://host or ws://host:port/path; got {value!r}")
    return value


def _flag(value: object, field: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(field.name, f"must be true or false; got {value!r}")
    return value


def _intents(value: object, _field: object) -> int:
    return intents.read(value)


def _table(general: type[Any], own: type[Any]) -> Any:
    """Make a field of settings whose defaults are QQ's own, also for what a table in a configuration file leaves out."""

    def convert(value: object, field: Any) -> Any:
        return value if isinstance(value, general) else build(own, value, field.name)

    return checked(convert, factory=shared(own))


Table = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class QQBot:
    """One QQ bot.

    Args:
        app_id: the bot's AppID, as text.
        client_secret: its AppSecret, or where to read it: {"env": NAME} or {"file": PATH}; read afresh for every token.
        api_base: of the REST API.
        token_url: where access tokens are fetched.
        gateway_url: of the WebSocket; empty to ask the platform, as it wants.
        sandbox: whether to use the platform's sandbox, where only test chats are seen.
        intents: what the gateway is asked to send: names, or the number. One the bot was not granted makes the platform
            refuse the session.
        private_guilds: whether to ask for all messages of guilds, and not only those that mention the bot. It takes a
            private bot.
        format: of what is sent: "text" or "markdown".
        proactive: whether a message that answers none may be sent. The platform must have allowed it.
        text_chars: the longest part of a message, in characters.
        window_c2c, window_group, window_channel, window_dm: how much may be said in answer to one message.
        pacing, circuit, backoff, retry, handling, sessions: the numbers it goes by.

    Raises:
        ConfigError: a setting is missing or absurd; it names the key.
    """

    app_id: str = checked(_app_id)
    client_secret: places.Source = places.secret("the bot's AppSecret")  # noqa: RUF009 - an attrs field, like the others
    api_base: str = places.url(API_BASE)
    token_url: str = places.url(TOKEN_URL)
    gateway_url: str = checked(_gateway_url, default="")
    sandbox: bool = checked(_flag, default=False)
    intents: int | Iterable[str] = checked(_intents, default=intents.CHAT)
    private_guilds: bool = checked(_flag, default=False)
    format: str = choice("text", "text", "markdown")
    proactive: bool = checked(_flag, default=False)
    text_chars: int = count(4000, low=20, high=20_000)
    window_c2c: Window | Table = _table(Window, C2CWindow)  # noqa: RUF009 - as above
    window_group: Window | Table = _table(Window, GroupWindow)  # noqa: RUF009 - as above
    window_channel: Window | Table = _table(Window, GuildWindow)  # noqa: RUF009 - as above
    window_dm: Window | Table = _table(Window, GuildWindow)  # noqa: RUF009 - as above
    pacing: Pacing | Table = _table(Pacing, QQPacing)  # noqa: RUF009 - as above
    circuit: Circuit = attrs.field(factory=shared(Circuit))
    backoff: Backoff = attrs.field(factory=shared(Backoff))
    retry: Retry = attrs.field(factory=shared(Retry))
    handling: Handling = attrs.field(factory=shared(Handling))
    sessions: Sessions = attrs.field(factory=shared(Sessions))

    def __attrs_post_init__(self) -> None:
        if self.sandbox and self.api_base != API_BASE:
            raise ConfigError(
                "sandbox", "is a host of the platform's; api_base names another, so leave one of them out"
            )

    @property
    def platform(self) -> Platform:
        """The pure half."""
        return QQPlatform(self.text_chars, self.format == "markdown", self.proactive)

    @property
    def policies(self) -> Policies:
        """The numbers it goes by."""
        windows: Any = {
            "c2c": self.window_c2c,
            "group": self.window_group,
            "channel": self.window_channel,
            "dm": self.window_dm,
        }
        pacing: Any = self.pacing  # neither it nor a window is a table any more
        return Policies(
            pacing=pacing,
            window=windows["group"],  # a chat of no kind that is known gets the narrowest
            circuit=self.circuit,
            backoff=self.backoff,
            retry=self.retry,
            handling=self.handling,
            sessions=self.sessions,
            windows=windows,
        )

    @property
    def identity(self) -> str:
        """What one process at a time may drive."""
        return f"qqbot:{self.app_id}"

    @property
    def hermes_scopes(self) -> tuple[tuple[str, str], ...]:
        """What a Hermes gateway would lock for this account; see `statecore.hermes_lock`."""
        return (("qqbot-appid", self.app_id),)

    def read_secret(self) -> str:
        """Read the AppSecret where the configuration points; empty if there is none now."""
        return places.read(self.client_secret)

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[SessionClient]:
        """Make the half that does I/O."""
        from statecore_adapters.qqbot.client import QQBotClient, Setup  # httpx and websockets take a while to import

        setup = Setup(
            app_id=self.app_id,
            read_secret=self.read_secret,
            api_base=SANDBOX_BASE if self.sandbox else self.api_base,
            token_url=self.token_url,
            gateway_url=self.gateway_url,
            intents=intents.read(self.intents) | (intents.BITS["GUILD_MESSAGES"] if self.private_guilds else 0),
            markdown=self.format == "markdown",
        )
        return QQBotClient(setup, secrets)


__all__ = ["C2CWindow", "GroupWindow", "GuildWindow", "QQBot", "QQPacing", "QQPlatform"]
