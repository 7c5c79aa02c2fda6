"""WeChat, by its iLink bot API.

    from statecore_adapters.weixin import Weixin

    Weixin(account_id="0a1b2c3d4e5f@im.bot", token="...")

protocol    bytes to values and back, and what they mean; pure
text        cutting texts into parts; pure
reading     what a refusal is taken to mean; pure
client      the requests
login       QR login
simulator   an iLink server to run against, with its faults as knobs
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

import attrs

from statecore.errors import ConfigError
from statecore.platform import Client, Platform, Policies, Polling, Refusal, Secrets
from statecore.policies import Backoff, Circuit, Handling, Pacing, Retry, Window
from statecore.reading import Evidence, Reading
from statecore.settings import checked, count, table
from statecore_adapters import places
from statecore_adapters.weixin import protocol, reading, text


@attrs.frozen
class WeixinPlatform:
    """The pure half of the adapter.

    Args:
        chars: the longest part, in characters.
        utf8: the longest part, in bytes of UTF-8.
    """

    chars: int
    utf8: int
    name: str = "weixin"
    tie: Literal["connection"] = "connection"
    answers: bool = False
    unasked: bool = True
    markup: bool = False

    def resends(self, _chat: str, _answers: str) -> Literal["once"]:
        """Whether the server deduplicates client_id was never shown, so once is the most."""
        return "once"

    def check(self, chat: str) -> None:
        """Take any id: iLink's look alike, and only the server knows which there are."""

    def split(self, whole: str) -> tuple[str, ...]:
        """Cut a text into parts."""
        return text.split(whole, chars=self.chars, utf8=self.utf8)

    def read(self, refusal: Refusal, evidence: Evidence) -> Reading:
        """Say what a refusal is taken to mean."""
        return reading.read(refusal, evidence, utf8=self.utf8)


def _account_id(value: object, _field: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value or " " in value:
        raise ConfigError("account_id", f"must be the bot's id, such as 0a1b2c3d4e5f@im.bot; got {value!r}")
    return value


def _agent(value: object, _field: object) -> str:
    if not isinstance(value, str) or protocol.bot_agent(value) != value:
        raise ConfigError("agent", f'must be like "MyBot/1.0 (a comment)", in plain ASCII; got {value!r}')
    return value


@attrs.frozen(kw_only=True)
class Weixin:
    """One WeChat bot.

    Args:
        account_id: the bot's id, "...@im.bot", as the QR login gave it.
        token: the bot token, or where to read it: {"env": NAME} or {"file": PATH}. A file is read afresh whenever the
            platform refuses the token, so a new login is picked up without a restart.
        base_url: of the API; the QR login may have named another.
        cdn_base_url: of the media store.
        agent: who you are, for the platform's statistics: "MyBot/1.0".
        text_chars: the longest part of a message, in characters.
        text_bytes: the longest part, in bytes of UTF-8; above 6000 the platform was seen to refuse Chinese texts.
        pacing, window, circuit, backoff, retry, polling, handling: the numbers it goes by.

    Raises:
        ConfigError: a setting is missing or absurd; it names the key.
    """

    account_id: str = checked(_account_id)
    token: places.Source = places.secret("the bot token")  # noqa: RUF009 - an attrs field, like the others
    base_url: str = places.url(protocol.API_BASE)
    cdn_base_url: str = places.url(protocol.CDN_BASE)
    agent: str = checked(_agent, default=protocol.DEFAULT_AGENT)
    text_chars: int = count(2000, low=20, high=4000)
    text_bytes: int = count(6000, low=80, high=16_384)
    pacing: Pacing = table(Pacing)
    window: Window = table(Window)
    circuit: Circuit = table(Circuit)
    backoff: Backoff = table(Backoff)
    retry: Retry = table(Retry)
    polling: Polling = table(Polling)
    handling: Handling = table(Handling)

    @property
    def platform(self) -> Platform:
        """The pure half."""
        return WeixinPlatform(self.text_chars, self.text_bytes)

    @property
    def policies(self) -> Policies:
        """The numbers it goes by."""
        return Policies(
            pacing=self.pacing,
            window=self.window,
            circuit=self.circuit,
            backoff=self.backoff,
            retry=self.retry,
            polling=self.polling,
            handling=self.handling,
        )

    @property
    def identity(self) -> str:
        """What one process at a time may drive."""
        return f"weixin:{self.account_id}"

    @property
    def hermes_scopes(self) -> tuple[tuple[str, str], ...]:
        """What a Hermes gateway would lock for this account; see `statecore.hermes_lock`."""
        return (("weixin-bot-token", self.read_token()),)

    def read_token(self) -> str:
        """Read the bot token where the configuration points; empty if there is none now."""
        if isinstance(self.token, str) or "env" in self.token:
            return places.read(self.token)
        from statecore_adapters.weixin.login import load_token  # it brings what a login needs, which a gateway does not

        try:
            return load_token(Path(self.token["file"]))
        except (ConfigError, OSError):  # missing or damaged: the same as none, and `dial` says what to do
            return ""

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client]:
        """Make the half that does I/O."""
        # httpx takes a while to import, and help does not need it
        from statecore_adapters.weixin.client import WeixinClient

        return WeixinClient(self.base_url, self.read_token, self.agent, secrets)


__all__ = ["Weixin", "WeixinPlatform"]
