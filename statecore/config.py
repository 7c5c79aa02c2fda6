"""Configuration files: TOML in, a checked configuration out, and the key that holds it for whatever is wrong.

journal = "gateway.db"              # relative to the file
handler = "mybot:handle"            # async def handle(message, gateway); without one, messages wait in the journal

[accounts.wx]
platform = "weixin"
account_id = "...@im.bot"
token = { env = "WEIXIN_TOKEN" }    # or { file = "..." }, relative to the file

[accounts.wx.pacing]                # every number has a default, a unit and bounds
per_second = 0.9

[gateway]
drain = "10s"
"""

import importlib
import os
import sys
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.errors import ConfigError
from statecore.gateway import Gateway, Options
from statecore.messages import Message
from statecore.platform import AccountConfig
from statecore.settings import build, count

Handler = Callable[[Message, Gateway], Awaitable[None]]

PLATFORMS_GROUP: Final = "statecore.platforms"
"""The entry point group by which adapters are found: the platform's name, and the class of its accounts."""


@attrs.frozen
class Config:
    """A configuration file, read and checked.

    Args:
        path: where it was read from.
        journal: the journal's file.
        handler: "module:function" that handles messages; empty for none.
        handlers: how many messages are handled at once; those of one chat one after another.
        accounts: by name.
        options: how the gateway runs.
    """

    path: Path
    journal: Path
    handler: str
    handlers: int
    accounts: Mapping[str, AccountConfig]
    options: Options

    def load_handler(self) -> Handler | None:
        """Import the handler; modules beside the configuration file are found.

        Raises:
            ConfigError: there is no such thing, or it is no async function.
        """
        if not self.handler:
            return None
        module_name, _, name = self.handler.partition(":")
        folder = str(self.path.parent.resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            handler: Any = getattr(importlib.import_module(module_name), name)
        except ImportError as error:
            raise ConfigError("handler", f"{self.handler!r} cannot be imported: {error}") from error
        except AttributeError:
            raise ConfigError("handler", f"module {module_name!r} has no {name!r}") from None
        if not callable(handler):
            raise ConfigError("handler", f"{self.handler!r} is no function")
        return handler  # type: ignore[no-any-return]


@attrs.frozen
class _Top:
    """What may stand at the top of a file."""

    journal: str
    accounts: Mapping[str, Any]
    handler: str = ""
    handlers: int = count(16, low=1, high=10_000)
    gateway: Mapping[str, Any] = attrs.field(factory=dict)


def load(path: str | Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or a key in it is missing, unknown or absurd.
    """
    file = Path(path)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            str(file), "there is no such file; `statecore run --help` shows what one looks like"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(file), f"is no TOML: {error}") from None
    top = _top(values)
    accounts = {name: _account(name, table, file.parent) for name, table in top.accounts.items()}
    options: Options = build(Options, dict(top.gateway), "gateway")
    return Config(
        path=file,
        journal=file.parent / top.journal,
        handler=top.handler,
        handlers=top.handlers,
        accounts=accounts,
        options=options,
    )


def _top(values: dict[str, Any]) -> _Top:
    known = {field.name for field in attrs.fields(_Top)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(unknown[0], f"no such setting; there are {', '.join(sorted(known))}")
    for name, kind, example in (("journal", str, 'journal = "gateway.db"'), ("accounts", dict, "[accounts.wx]")):
        if name not in values:
            raise ConfigError(name, f"is missing; write, for example, {example}")
        if not isinstance(values[name], kind) or not values[name]:
            raise ConfigError(name, f"must not be empty; write, for example, {example}")
    if values["journal"].startswith(("postgres://", "postgresql://")):
        raise ConfigError("journal", "PostgreSQL is not supported yet; name a file")
    handler = values.get("handler", "")
    if not isinstance(handler, str) or (handler and ":" not in handler):
        raise ConfigError("handler", f'must be "module:function", got {handler!r}')
    if not isinstance(values.get("gateway", {}), dict):
        raise ConfigError("gateway", "must be a table: [gateway]")
    return _Top(**values)


def platforms() -> dict[str, Any]:
    """Return the installed platforms by name; what they load is the class of their accounts."""
    return {point.name: point for point in entry_points(group=PLATFORMS_GROUP)}


def _account(name: str, table: object, folder: Path) -> AccountConfig:
    key = f"accounts.{name}"
    if not isinstance(table, dict):
        raise ConfigError(key, f"must be a table: [{key}]")
    settings = dict(table)
    platform = settings.pop("platform", None)
    known = platforms()
    if platform not in known:
        raise ConfigError(f"{key}.platform", f"must be one of {', '.join(sorted(known))}; got {platform!r}")
    for field, value in settings.items():
        if isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str):
            settings[field] = {"file": str(folder / Path(value["file"]).expanduser())}
        if isinstance(value, dict) and set(value) == {"env"} and value["env"] not in os.environ:
            raise ConfigError(f"{key}.{field}", f"the environment has no {value['env']}")
    account: AccountConfig = build(known[platform].load(), settings, key)
    return account
