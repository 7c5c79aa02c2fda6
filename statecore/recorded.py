"""An account's configuration as its journal keeps it: without secrets, and good to be read back.

Every process that takes an account writes down what it was configured with. So whoever reads the journal knows which numbers
decided, and can ask what others would have made of the same day.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from statecore.errors import ConfigError
from statecore.platform import AccountConfig, Platform, Policies
from statecore.policies import Window
from statecore.settings import build, written

PLACEHOLDER: Final = "left-out"
"""Stands where a setting is needed that is never recorded. Nothing is sent with it."""


@attrs.frozen
class Restored:
    """What decides for an account.

    Args:
        platform: the pure half of its adapter.
        policies: the numbers it goes by.
    """

    platform: Platform
    policies: Policies


def recorded(config: AccountConfig) -> str:
    """Write an account's configuration as JSON text."""
    own = written(config) if attrs.has(type(config)) else {}
    settings = {name: value for name, value in own.items() if name.isidentifier()}
    whole = {"platform": config.platform.name, "settings": settings, "policies": written(config.policies)}
    return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS).decode()


def restore(text: str, changes: Mapping[str, str], platforms: Mapping[str, type[Any]], key: str) -> Restored:
    """Read an account's configuration back, with some settings changed.

    Args:
        text: what `recorded` wrote; empty for one from before that was recorded, which is taken to have been the default.
        changes: values by the dotted key below the account: {"circuit.cooldown": "10s"}.
        platforms: classes of accounts by the platform's name.
        key: the dotted key of the account, for errors.

    Raises:
        ConfigError: the platform is not installed, a key is unknown, or a value is absurd.
    """
    whole = parsed(text, key)
    name = whole["platform"]
    if not name or name not in platforms:
        known = ", ".join(sorted(platforms)) or "none"
        said = f"the journal says {name!r}" if name else "the journal does not say which, because it is older"
        raise ConfigError(f"{key}.platform", f"{said}; installed are {known}")
    kind = platforms[name]
    own = {field.alias for field in attrs.fields(kind) if field.init}
    settings = {name: value for name, value in whole["settings"].items() if name in own}
    config = configured(kind, settings, key)
    if written(config.policies) == whole["policies"]:  # its user knows them by the keys of the configuration
        changed = configured(kind, _changed(settings, changes, kind, key), key)
        return Restored(changed.platform, changed.policies)
    return Restored(config.platform, _policies(_changed(whole["policies"], changes, Policies, key), key))


def parsed(text: str, key: str) -> dict[str, Any]:
    """Read what `recorded` wrote: "platform", "settings" and "policies".

    Args:
        text: see `restore`.
        key: the dotted key of the account, for errors.

    Raises:
        ConfigError: it was not written by `recorded`, or was damaged since.
    """
    if not text:
        return {"platform": "", "settings": {}, "policies": {}}
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError:
        whole = None
    match whole:
        case {"platform": str(), "settings": dict(), "policies": dict()}:
            return dict(whole)
        case _:
            raise ConfigError(
                key,
                "what the journal holds of its settings cannot be read, so nobody knows what decided; restore a copy of the file",
            )


def configured(kind: type[Any], settings: Mapping[str, Any], key: str) -> AccountConfig:
    """Build an account of which secrets, and whatever else it cannot do without, may have been left out.

    Args:
        kind: its class.
        settings: as in a configuration file.
        key: the dotted key of the account, for errors.

    Raises:
        ConfigError: a key is unknown, or a value is absurd.
    """
    needed = {field.alias for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING}
    config: AccountConfig = build(kind, dict.fromkeys(needed, PLACEHOLDER) | dict(settings), key)
    return config


def _policies(tables: Mapping[str, Any], key: str) -> Policies:
    held = tables.get("windows", {})
    if not isinstance(held, Mapping):
        raise ConfigError(f"{key}.windows", "is no table")
    windows = {name: build(Window, table, f"{key}.windows.{name}") for name, table in held.items()}
    return build(Policies, {**tables, "windows": windows}, key)


def _changed(tables: Mapping[str, Any], changes: Mapping[str, str], kind: type[Any], key: str) -> dict[str, Any]:
    """Return tables with some of their values changed."""
    whole = {name: dict(value) if isinstance(value, Mapping) else value for name, value in tables.items()}
    for dotted, text in changes.items():
        *path, last = dotted.split(".")
        known: Any = kind
        table = whole
        for step in path:
            known = _type_of(known, step)
            if not isinstance(table.setdefault(step, {}), dict):
                raise ConfigError(f"{key}.{dotted}", f"{step!r} is no table")
            table = table[step]
        table[last] = _read(text, table.get(last), _type_of(known, last))
    return whole


def _type_of(kind: Any, name: str) -> Any:
    """Return the type of a setting, as far as its class tells."""
    if not (isinstance(kind, type) and attrs.has(kind)):
        return None
    return next((field.type for field in attrs.fields(kind) if field.alias == name), None)


def _read(text: str, before: Any, kind: Any) -> Any:
    """Read a value from the command line as what the setting holds; what it cannot be is refused by the setting itself."""
    if isinstance(before, bool) or kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(before, str):
        return text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
