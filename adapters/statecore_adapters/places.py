"""What a configuration says of places: addresses of servers, and where a secret is. Pure but for `read`; for every adapter."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from statecore.errors import ConfigError
from statecore.settings import checked

Source = str | Mapping[str, str]
"""A secret, or where it is: {"env": NAME} or {"file": PATH}."""

SECRET_BYTES_MAX: Final = 4096
"""Whatever is longer is no secret, but a wrong file."""

_SECRET: Final = re.compile(rf"[!-~]{{1,{SECRET_BYTES_MAX}}}")


def is_secret(text: str) -> bool:
    """Tell whether a text can be sent as a token or a password: one word of printable ASCII."""
    return _SECRET.fullmatch(text) is not None


def source(value: object) -> Source | None:
    """Return a secret, or where it is, as a configuration names it; None if it names neither.

    >>> source(" abc "), source({"env": "TOKEN"}), source({"env": "A=B"}), source({"env": "A", "file": "b"})
    ('abc', {'env': 'TOKEN'}, None, None)
    """
    match value:
        case str() if is_secret(value.strip()):
            return value.strip()
        case {"env": str(name), **rest} if name.strip() and not rest and not set(name) & {"=", "\0"}:
            return {"env": name}
        case {"file": str(name), **rest} if name.strip() and not rest and "\0" not in name:
            return {"file": name}
    return None


def secret(what: str) -> Any:
    """Make a field that holds *what*, or where to read it."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> Source:
        found = source(value)
        if found is None:  # without what was got: it may be one, with a slip in it
            raise ConfigError(field.name, f'must be {what}, or where it is: {{ env = "NAME" }} or {{ file = "PATH" }}')
        return found

    return checked(convert, repr=False)


def url(default: str) -> Any:
    """Make a field that holds the address of an HTTP server."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> str:
        if not isinstance(value, str) or not is_base(value):
            raise ConfigError(
                field.name, f"must be an address like https://host or http://host:port/path; got {value!r}"
            )
        return value

    return checked(convert, default=default)


def read(place: Source) -> str:
    """Read a secret where it is; empty if there is none now.

    Missing, damaged and not to be read are the same: whoever needs it says what to do.
    """
    if isinstance(place, str):
        return place
    if "env" in place:
        found = os.environ.get(place["env"], "")
    else:
        try:
            with Path(place["file"]).open("rb") as file:
                found = file.read(SECRET_BYTES_MAX).decode()
        except (OSError, ValueError):
            return ""
    return found.strip() if is_secret(found.strip()) else ""


def is_base(text: str, *schemes: str, query: bool = False) -> bool:
    """Tell whether a text is the address of a host, perhaps with a port and a path, to which more can be joined.

    Args:
        text: the address.
        schemes: what it may begin with; http and https if none are given.
        query: whether it may have a query, because nothing is joined to it.

    >>> is_base("http://127.0.0.1:8090"), is_base("https://"), is_base("http://host:99999"), is_base("ilinkai.weixin.qq.com")
    (True, False, False, False)
    >>> is_base("wss://api.sgroup.qq.com/websocket", "ws", "wss"), is_base("http://[::1", "http")
    (True, False)
    """
    if not text.isprintable() or " " in text:
        return False
    try:
        found = urlsplit(text)
        return (
            found.scheme in (schemes or ("http", "https"))
            and bool(found.hostname)
            and found.port != 0
            and not ((found.query and not query) or found.fragment or "@" in found.netloc)
        )
    except ValueError:
        return False
