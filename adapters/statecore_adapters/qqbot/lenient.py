"""Reading what a peer wrote: whatever it is, something comes of it, and nothing raises."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

WORDS_MAX: Final = 200
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/=_.%~-]{33,}")
_BEARER: Final = re.compile(r"\b((?:QQBot|Bot|Bearer)\s+)[^\s\"',;}]+", re.IGNORECASE)


def load(data: bytes) -> Any:
    """Read JSON; None if it is none. A byte that is no UTF-8 spoils one character, and no more."""
    try:
        return json.loads(data.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object, an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """Return a list, an empty one if it is none."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text, empty if it is none. Halves of characters, which JSON can carry and UTF-8 cannot, are replaced."""
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value
    return value.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")


def id_of(value: object) -> str:
    """Return an id as text, also one that came as a whole number; empty if it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 < value < 2**64 else ""
    return text(value).strip()


def whole(value: object) -> int | None:
    """Return a whole number of up to 63 bits, also from its text, else None."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 2**63 else None


def date_ms(value: object) -> int:
    """Return a date in ms since 1970, from RFC 3339, seconds or ms, and those as text too; 0 if it is none."""
    number = whole(value)
    if number is None:
        try:
            found = datetime.fromisoformat(text(value).strip())
            number = round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            return 0
    elif number < SECONDS_BELOW:
        number *= 1000
    return number if 0 < number < MS_MAX else 0


SECONDS_BELOW: Final = 100_000_000_000
"""A count of seconds stays below this until the year 5138, and one of ms was above it from 1973 on."""

MS_MAX: Final = 253_402_300_800_000
"""The year 10000."""


def digest(value: object) -> str:
    """Make an id out of what was received; the same always makes the same."""
    try:
        raw = json.dumps(value, sort_keys=True, default=str).encode()
    except RecursionError:  # nested as deeply as can just be read
        raw = b"nested too deeply"
    return f"weak-{hashlib.sha256(raw).hexdigest()[:32]}"


def words(value: object, hidden: Iterable[str] = (), most: int = WORDS_MAX) -> str:
    """Return what a peer said, for people: one line, not long, and nothing in it that could be a credential.

    Args:
        value: what it said.
        hidden: what must not be shown, wherever it stands.
        most: characters.
    """
    said = text(value) if isinstance(value, str) else str(value)
    for secret in hidden:
        if secret:
            said = said.replace(secret, "[...]")
    said = " ".join(_OPAQUE.sub("[...]", _BEARER.sub(r"\1[...]", said[: 8 * most])).split())
    shown = "".join(character if character.isprintable() else "?" for character in said)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
