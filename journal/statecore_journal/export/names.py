"""Placeholders: the same value is always called the same, and different values are called differently.

They are numbered in the order in which the values appear, because small numbers read best. What has been seen is kept in a
private database of SQLite's, which is in memory while it is small and in an unnamed temporary file beyond that, so the
memory an export takes does not grow with the journal. It holds digests under a random key and not the values.
"""

import hashlib
import os
import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Final

from statecore_journal.export.fields import Kind

REMEMBERED_MAX: Final = 20_000
"""Values whose placeholder is looked up without the database."""

_TEXT_SPACE: Final = b"text"
_NAME_SPACE: Final = b"name"


class Names:
    """The placeholders of one export. Texts are apart from names: a message "wx" does not name the account."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._seen = sqlite3.connect("", isolation_level=None)  # an empty name is a private temporary database
        self._seen.execute("pragma journal_mode = off")
        self._seen.execute("pragma synchronous = off")
        self._seen.execute("create table names (digest blob primary key, kind text, number integer) without rowid")
        self._seen.execute("begin")
        self._recent: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many values of each kind were replaced."""
        return self._counts

    def close(self) -> None:
        """Forget everything."""
        self._seen.close()

    def of(self, kind: Kind, value: str) -> str:
        """Return the placeholder of a value; the first kind under which it appears names it for good."""
        found, number = self._place(kind, value)
        return f"{found}-{number}"

    def number(self, kind: Kind, value: int) -> int:
        """Return the number that stands for a number."""
        return self._place(kind, f"{kind.value}\0{value}")[1]

    def known(self, value: str) -> str | None:
        """Return the placeholder of a value that has appeared as a name, or None."""
        found = self._find(self._digest(_NAME_SPACE, value))
        return None if found is None else f"{found[0]}-{found[1]}"

    def _place(self, kind: Kind, value: str) -> tuple[str, int]:
        digest = self._digest(_TEXT_SPACE if kind is Kind.TEXT else _NAME_SPACE, value)
        found = self._find(digest)
        if found is None:
            self._counts[kind.value] += 1
            found = kind.value, self._counts[kind.value]
            self._seen.execute("insert into names values (?, ?, ?)", (digest, *found))
            self._remember(digest, found)
        return found

    def _find(self, digest: bytes) -> tuple[str, int] | None:
        found = self._recent.get(digest)
        if found is not None:
            self._recent.move_to_end(digest)
            return found
        row: tuple[str, int] | None = self._seen.execute(
            "select kind, number from names where digest = ?", (digest,)
        ).fetchone()
        if row is not None:
            self._remember(digest, row)
        return row

    def _remember(self, digest: bytes, found: tuple[str, int]) -> None:
        self._recent[digest] = found
        if len(self._recent) > REMEMBERED_MAX:
            self._recent.popitem(last=False)

    def _digest(self, space: bytes, value: str) -> bytes:
        text = value.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._key, person=space).digest()
