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
import inspect
import os
import re
import sys
import tomllib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.checks import is_account_name
from statecore.errors import ConfigError
from statecore.gateway import Gateway, Options
from statecore.messages import Message
from statecore.platform import AccountConfig
from statecore.settings import build, count, location

Handler = Callable[[Message, Gateway], Awaitable[None]]

_HANDLER: Final = re.compile(r"[\w.]+:\w+")

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
        environment: the variables that accounts read, by the key that names them.
    """

    path: Path
    journal: Path
    handler: str
    handlers: int
    accounts: Mapping[str, AccountConfig]
    options: Options
    environment: Mapping[str, str] = attrs.field(factory=dict)

    def check_environment(self) -> None:
        """See that the environment has what the accounts read from it. Only who drives them needs that.

        Raises:
            ConfigError: a variable is missing or empty.
        """
        for key, variable in self.environment.items():
            if variable not in os.environ:
                raise ConfigError(key, f"the environment has no {variable}")
            if not os.environ[variable].strip():
                raise ConfigError(key, f"{variable} is empty in the environment")

    def load_handler(self) -> Handler | None:
        """Import the handler; modules beside the configuration file are found.

        Raises:
            ConfigError: there is no such thing, or it is no async function of a message and a gateway.
        """
        if not self.handler:
            return None
        module_name, _, name = self.handler.partition(":")
        folder = str(self.path.parent.resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            raise ConfigError("handler", f"{self.handler!r} cannot be imported: {_told(error, folder)}") from error
        handler = getattr(module, name, None)
        if handler is None:
            raise ConfigError("handler", f"module {module_name!r} has no {name!r}")
        if (wrong := _objection(handler)) is not None:
            raise ConfigError("handler", f"{self.handler!r} {wrong}; write: async def {name}(message, gateway)")
        return handler  # type: ignore[no-any-return]


def _told(error: BaseException, folder: str) -> str:
    """Say what an import raised, and where: the last line of the user's own code, which is where to look."""
    if isinstance(error, SyntaxError) and error.lineno is not None:  # it never ran, so no frame is of it
        return f"{type(error).__name__}: {error.msg}, in {error.filename} line {error.lineno}"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    frames = [frame for frame in frames if frame.filename not in (__file__, importlib.__file__)]
    own = [frame for frame in frames if frame.filename.startswith(folder)] or frames
    return f"{what}, in {own[-1].filename} line {own[-1].lineno}" if own else what


def _objection(handler: Any) -> str | None:
    """Return why something cannot handle messages, or None."""
    if not callable(handler):
        return "is no function"
    if inspect.isclass(handler):
        return "is a class"
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)):
        return "is not async"
    try:
        inspect.signature(handler).bind("message", "gateway")
    except TypeError:
        return "does not take a message and a gateway"
    return None


@attrs.frozen
class _Top:
    """What may stand at the top of a file."""

    accounts: Mapping[str, Any]
    journal: Path = location()
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
    options = dict(top.gateway)
    match options:
        case {"lock_folder": str(where)} if where:
            options["lock_folder"] = _beside(file, where, "gateway.lock_folder")
    environment: dict[str, str] = {}
    return Config(
        path=file,
        journal=_beside(file, str(top.journal), "journal"),
        handler=top.handler,
        handlers=top.handlers,
        accounts={name: _account(name, table, file, environment) for name, table in top.accounts.items()},
        options=build(Options, options, "gateway"),
        environment=environment,
    )


def _beside(file: Path, name: str, key: str) -> Path:
    """Return what a name in a configuration file means: ~ is the user's folder, and the rest is relative to the file."""
    try:
        return file.parent / Path(name).expanduser()
    except RuntimeError as error:
        raise ConfigError(key, f"{name!r} means nothing here: {error}") from None


def _top(values: dict[str, Any]) -> _Top:
    known = {field.name for field in attrs.fields(_Top)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(unknown[0], f"no such setting; there are {', '.join(sorted(known))}")
    for name, kind, example in (("journal", str, 'journal = "gateway.db"'), ("accounts", dict, "[accounts.wx]")):
        if name not in values:
            raise ConfigError(name, f"is missing; write, for example, {example}")
        if not isinstance(values[name], kind):
            raise ConfigError(name, f"got {values[name]!r}; write, for example, {example}")
        if not values[name]:
            raise ConfigError(name, f"must not be empty; write, for example, {example}")
    if values["journal"].startswith(("postgres://", "postgresql://")):
        raise ConfigError("journal", "PostgreSQL is not supported yet; name a file")
    handler = values.get("handler", "")
    if not isinstance(handler, str) or (handler and not _HANDLER.fullmatch(handler)):
        raise ConfigError("handler", f'must be "module:function", got {handler!r}')
    if not isinstance(values.get("gateway", {}), dict):
        raise ConfigError("gateway", "must be a table: [gateway]")
    return _Top(**values)


def platforms() -> dict[str, Any]:
    """Return the installed platforms by name; what they load is the class of their accounts."""
    return {point.name: point for point in entry_points(group=PLATFORMS_GROUP)}


def account_classes() -> dict[str, type[Any]]:
    """Return the classes of accounts of the installed platforms, by the platform's name."""
    return {name: point.load() for name, point in platforms().items()}


def _account(name: str, table: object, file: Path, environment: dict[str, str]) -> AccountConfig:
    key = f"accounts.{name}"
    if not is_account_name(name):
        raise ConfigError(key, "a name of an account must not be empty or hold a slash")
    if not isinstance(table, dict):
        raise ConfigError(key, f"must be a table: [{key}]")
    settings = dict(table)
    platform = settings.pop("platform", None)
    known = platforms()
    if not isinstance(platform, str) or platform not in known:
        raise ConfigError(f"{key}.platform", f"must be one of {', '.join(sorted(known))}; got {platform!r}")
    for field, value in settings.items():
        match value:
            case {"file": str(where), **rest} if not rest:
                settings[field] = {"file": str(_beside(file, where, f"{key}.{field}"))} if where else value
            case {"env": str(variable), **rest} if not rest:
                environment[f"{key}.{field}"] = variable
    account: AccountConfig = build(known[platform].load(), settings, key)
    return account
