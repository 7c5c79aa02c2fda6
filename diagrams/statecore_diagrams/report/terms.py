"""What is written into the find box, as a condition in SQL. `static/query.js` reads the same for rows in the page."""

import re
from typing import Any, Final

_TERM: Final = re.compile(r'(?:(\w+):)?(?:"([^"]*)"?|(\S+))')
_OF_CHAT: Final = "machine in (select address from instances where instr(lower(chat), ?))"
_ANYWHERE: Final = (
    f"(instr(lower(machine), ?) or {_OF_CHAT} or instr(lower(event), ?) or instr(lower(source), ?)"
    " or instr(lower(target), ?))"
)
_PLACES: Final = {
    "machine": "instr(lower(machine), ?)",
    "account": "instr(lower(machine) || '/', '/' || ? || '/') = instr(machine, '/')",
    "chat": _OF_CHAT,
    "event": "instr(lower(event), ?)",
    "state": "(lower(source) = ? or lower(target) = ?)",
    "cause": "cause = ?",
}


def terms(text: str) -> list[tuple[str | None, str]]:
    """Return (place, word) of each; the place is None for anywhere."""
    found: list[tuple[str | None, str]] = []
    for place, quoted, bare in _TERM.findall(text):
        word = (quoted or bare).lower()
        if not word:
            continue
        known = place.lower() in _PLACES
        found.append((place.lower(), word) if known else (None, f"{place.lower()}:{word}" if place else word))
    return found


def condition(text: str) -> tuple[str, list[Any]]:
    """Return a condition on rows of `events`, and the values for it."""
    conditions, values = ["1"], list[Any]()
    for place, word in terms(text):
        sql = _ANYWHERE if place is None else _PLACES[place]
        conditions.append(sql)
        value = word.lstrip("#") if place == "cause" else word
        values += [int(value) if place == "cause" and value.isdecimal() else value] * sql.count("?")
    return " and ".join(conditions), values
