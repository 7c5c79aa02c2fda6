"""The questions a page asks of a journal, answered from the file: each at a cost that does not grow with the journal.

The page holds nothing but what it shows. A time is found by halving the positions, a moment of an instance by halving its
versions; both are keys of the table. What cannot be had that way (how busy a stretch of a million rows was) is counted in
a sample of pages, and said to be. `static/engine.js` answers the same questions from rows in the page; a test compares.

Times are microseconds since the first row.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from statecore_diagrams.report.terms import condition
from statecore_journal.fields import read_fields

EXACT_ROWS: Final = 30_000
"""A stretch of up to so many rows is counted row by row, which takes some hundredths of a second."""

SAMPLE_PAGES: Final = 1_000
SAMPLE_ROWS: Final = 25
"""Of a longer one, so many pages of so many rows are."""

POINTS_MAX: Final = 200
"""States of an instance in one lane. Each is a dozen looks into an index."""

EFFECTS_WITHIN: Final = 100_000
"""Rows behind an event in which what it set off is looked for."""

CHATS_MAX: Final = 2_000
MEMBERS_MAX: Final = 2_000
"""What a tree lists; the newest, for there may be a hundred times as many. The find box finds the others."""

EDGES_WITHIN: Final = 50_000
"""Rows at the end in which the transitions of a machine are collected whose definition is not at hand."""

_BRIEF: Final = "seq, at, wall, machine, event, source, target, outcome, cause"
_WHOLE: Final = f"{_BRIEF}, version, epoch, guards, data"

Row = tuple[Any, ...]


class Queries:
    """Answers questions about one journal.

    Args:
        connection: the journal, inside a transaction.
        origin: the clock of the first row, in ns.
        tone: what a state of a machine is like; see `facts.tone`.
    """

    def __init__(self, connection: sqlite3.Connection, origin: int, tone: Callable[[str, str], str]) -> None:
        self._db = connection
        self._origin = origin
        self._tone = tone

    # ---- finding places ----------------------------------------------------------------------------------------------

    def _one(self, sql: str, *values: Any) -> Row | None:
        row: Row | None = self._db.execute(sql, values).fetchone()
        return row

    def ends(self) -> tuple[int, int]:
        """Return the first and the last position; (0, -1) of a journal without rows."""
        first = self._one("select min(seq) from events")
        last = self._one("select max(seq) from events")
        return (0, -1) if first is None or last is None or first[0] is None else (first[0], last[0])

    def _t(self, at: int) -> float:
        return (at - self._origin) / 1e3

    def _at(self, t: float) -> int:
        """Return the clock at a time, rounded up so that a row at this very time is not behind it."""
        return self._origin + int(t * 1e3) + 1

    def near(self, t: float) -> int:
        """Return the position of the last row up to a time; of the first if there is none."""
        first, last = self.ends()
        return max(first, self._near(self._at(t), first, last))

    def _near(self, at: int, first: int, last: int) -> int:
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            row = self._one("select seq, at from events where seq >= ? order by seq limit 1", middle)
            if row is None or row[0] >= high:
                high = middle
            elif row[1] <= at:
                low = row[0] + 1
            else:
                high = middle
        return low - 1

    def _versions(self, address: str) -> tuple[int, int]:
        first = self._one("select version from events where machine = ? order by version limit 1", address)
        last = self._one("select version from events where machine = ? order by version desc limit 1", address)
        return (1, 0) if first is None or last is None else (first[0], last[0])

    def _up_to(self, address: str, column: str, value: int, low: int, high: int) -> int:
        """Return the last version of an instance, from *low* - 1 to *high*, whose at or seq is up to a value."""
        sql = f"select {column} from events where machine = ? and version = ?"  # noqa: S608 - one of two names
        high += 1
        while low < high:
            middle = (low + high) // 2
            row = self._one(sql, address, middle)
            if row is not None and row[0] <= value:
                low = middle + 1
            else:
                high = middle
        return low - 1

    # ---- rows --------------------------------------------------------------------------------------------------------

    def _chats(self, addresses: Iterable[str]) -> dict[str, str]:
        sql = "select address, chat from instances where address in (select value from json_each(?))"
        return dict(self._db.execute(sql, (json.dumps(list(set(addresses))),)))

    def _shown(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        chats = self._chats(row[3] for row in rows)
        return [self._row(row, chats) for row in rows]

    def _row(self, row: Row, chats: Mapping[str, str]) -> dict[str, Any]:
        seq, at, wall, address, event, source, target, outcome, cause, *rest = row
        machine, _, where = address.partition("/")
        shown = {
            "seq": seq, "t": self._t(at), "wall": wall / 1e6, "address": address, "machine": machine,
            "account": where.partition("/")[0], "chat": chats.get(address, ""), "event": event, "source": source,
            "target": target, "outcome": outcome or "", "cause": cause,
        }  # fmt: skip
        if rest:
            version, epoch, guards, data = rest
            shown |= {"version": version, "epoch": epoch, "guards": guards or "", "data": _fields(data)}
        return shown

    def rows(self, seq: int, before: int, after: int, filter: str = "") -> dict[str, Any]:
        """Return rows around a position: so many up to it, and so many behind it."""
        where, values = condition(filter)
        up = f"select {_WHOLE} from events where seq <= ? and {where} order by seq desc limit ?"  # noqa: S608 - bound
        down = f"select {_WHOLE} from events where seq > ? and {where} order by seq limit ?"  # noqa: S608 - bound
        above = self._db.execute(up, (seq, *values, before)).fetchall()
        below = self._db.execute(down, (seq, *values, after)).fetchall()
        first, last = self.ends()
        rows = self._shown([*reversed(above), *below])
        return {
            "rows": rows,
            "begins": len(above) < before or bool(above and above[-1][0] == first),
            "ends": len(below) < after or bool(below and below[-1][0] == last),
        }

    def why(self, seq: int, most: int) -> dict[str, Any]:
        """Return what led to a row, from the outside event on, and what it set off."""
        sql = f"select {_BRIEF} from events where seq = ?"  # noqa: S608 - constants
        row = self._one(sql, seq)
        if row is None:
            return {"chain": [], "effects": [], "cut": False}
        chain: list[Row] = []
        while row[-1] is not None:
            row = self._one(sql, row[-1])
            if row is None:
                break
            chain.insert(0, row)
        caused, cut = {seq}, False
        effects: list[Row] = []
        behind = f"select {_BRIEF} from events where seq > ? and seq <= ? and cause >= ? order by seq"  # noqa: S608
        for row in self._db.execute(behind, (seq, seq + EFFECTS_WITHIN, seq)):
            if row[-1] not in caused:
                continue
            if len(effects) == most:
                cut = True
                break
            caused.add(row[0])
            effects.append(row)
        return {"chain": self._shown(chain), "effects": self._shown(effects), "cut": cut}

    def find(self, text: str, after: int, most: int) -> dict[str, Any]:
        """Return rows behind a position that fit what was written into the find box, and where to go on."""
        where, values = condition(text)
        sql = f"select seq, at, machine from events where seq > ? and {where} order by seq limit ?"  # noqa: S608 - bound
        found = self._db.execute(sql, (after, *values, most)).fetchall()
        chats = self._chats(address for _, _, address in found)
        hits = [
            {
                "seq": seq, "t": self._t(at), "address": address, "account": _account(address),
                "chat": chats.get(address, ""),
            }
            for seq, at, address in found
        ]  # fmt: skip
        return {"hits": hits, "next": found[-1][0] if len(found) == most and found[-1][0] < self.ends()[1] else None}

    def states(self, seq: int, addresses: list[str]) -> list[dict[str, Any] | None]:
        """Return where instances were at a position."""
        return [self._state(seq, address) for address in addresses]

    def _state(self, seq: int, address: str) -> dict[str, Any] | None:
        first, last = self._versions(address)
        version = self._up_to(address, "seq", seq, first, last)
        if version < first:
            return None
        row = self._one("select target, seq from events where machine = ? and version = ?", address, version)
        entered = self._one(
            "select at from events where machine = ? and version <= ? and outcome is null order by version desc limit 1",
            address,
            version,
        ) or self._one("select at from events where machine = ? and version = ?", address, first)
        if row is None or entered is None:
            return None
        return {
            "address": address, "state": row[0], "seq": row[1], "since": self._t(entered[0]), "version": version,
        }  # fmt: skip

    # ---- the timeline ------------------------------------------------------------------------------------------------

    def overview(self, n: int) -> dict[str, Any]:
        """Return how many rows there are in each of *n* equal parts of the time, and how many of them are trouble."""
        first, last = self.ends()
        newest = self._one("select at from events where seq = ?", last)
        end = max(self._t(newest[0]) if newest else 0.0, 1.0)
        trouble = [0.0] * n
        counts = [0.0] * n
        for _, at, address, target, outcome, weight in self._sample(first, last):
            part = min(n - 1, int(self._t(at) / end * n))
            counts[part] += weight
            trouble[part] += weight * self._troubled(address, target, outcome)
        if last - first >= EXACT_ROWS:  # a sample comes in lumps; between two positions there are so many rows
            edges = [first - 1, *(self._near(self._at(end * part / n), first, last) for part in range(1, n)), last]
            counts = [high - low for low, high in itertools.pairwise(edges)]
        trouble = [min(pair) for pair in zip(counts, trouble, strict=True)]
        return {"end": end, "counts": _whole(counts), "trouble": _whole(trouble)}

    def bins(self, groups: list[dict[str, str]], t0: float, t1: float, n: int) -> dict[str, Any]:
        """Return the same of accounts and chats between two times."""
        first, last = self.ends()
        start, stop = self._near(self._at(t0) - 2, first, last) + 1, self._near(self._at(t1), first, last)
        found = [{"counts": [0.0] * n, "trouble": [0.0] * n} for _ in groups]
        keys = {(group["account"], group.get("chat")): place for place, group in enumerate(groups)}
        rows = list(self._sample(start, stop))
        chats = self._chats(row[2] for row in rows) if any("chat" in group for group in groups) else {}
        scale = n / max(t1 - t0, 1e-9)
        for _, at, address, target, outcome, weight in rows:
            account = _account(address)
            part = min(n - 1, max(0, int((self._t(at) - t0) * scale)))
            place = keys.get((account, chats.get(address) or None))
            place = keys.get((account, None)) if place is None else place
            if place is not None:
                found[place]["counts"][part] += weight
                found[place]["trouble"][part] += weight * self._troubled(address, target, outcome)
        counted = [{name: _whole(values) for name, values in group.items()} for group in found]
        return {"groups": counted, "one": rows[0][-1] if rows else 1}

    def _troubled(self, address: str, target: str, outcome: str | None) -> int:
        return int(outcome is None and self._tone(address.partition("/")[0], target) in ("warn", "bad", "odd"))

    def _sample(self, first: int, last: int) -> Iterator[Row]:
        """Yield rows between two positions, each with how many it stands for."""
        columns = "seq, at, machine, target, outcome"
        count = last - first + 1
        if count <= EXACT_ROWS:
            sql = f"select {columns}, 1 from events where seq >= ? and seq <= ? order by seq"  # noqa: S608 - constants
            yield from self._db.execute(sql, (first, last))
            return
        weight = count / (SAMPLE_PAGES * SAMPLE_ROWS)
        sql = f"select {columns}, {weight!r} from events where seq >= ? order by seq limit {SAMPLE_ROWS}"  # noqa: S608
        for page in range(SAMPLE_PAGES):
            yield from self._db.execute(sql, (first + page * count // SAMPLE_PAGES,))

    def lanes(self, addresses: list[str], t0: float, t1: float, n: int) -> list[dict[str, Any]]:
        """Return where instances were between two times; of one that moved often, at the ends of *n* equal parts."""
        return [self._lane(address, t0, t1, min(n, POINTS_MAX)) for address in addresses]

    def _lane(self, address: str, t0: float, t1: float, n: int) -> dict[str, Any]:
        first, last = self._versions(address)
        start = self._up_to(address, "at", self._at(t0), first, last)
        stop = self._up_to(address, "at", self._at(t1), max(start, first), last)
        points: list[tuple[float, str, int]] = []
        if start < first <= stop and first > 1:  # it was there before the rows begin
            before = self._one("select source from events where machine = ? and version = ?", address, first)
            points.append((t0, before[0] if before else "", 0))
        dense = stop - start > n
        if dense:
            wanted = [start] if start >= first else []
            for part in range(1, n + 1):
                low = max(wanted[-1] if wanted else first, first)
                version = self._up_to(address, "at", self._at(t0 + (t1 - t0) * part / n), low, stop)
                if version >= first and (not wanted or version > wanted[-1]):
                    wanted.append(version)
        else:
            wanted = list(range(max(start, first), stop + 1))
        sql = "select at, target, seq from events where machine = ? and version = ?"
        rows = [row for version in wanted if (row := self._one(sql, address, version)) is not None]
        points += [(self._t(at), target, seq) for at, target, seq in rows]
        return {
            "t": [t for t, _, _ in points],
            "state": [state for _, state, _ in points],
            "seq": [seq for _, _, seq in points],
            "dense": dense,
            "end": self._end(address, last),
        }

    def _end(self, address: str, last: int) -> float | None:
        """Return when an instance was over, or None if it is not."""
        final = self._one("select final from instances where address = ?", address)
        if final is None or not final[0]:
            return None
        row = self._one("select at from events where machine = ? and version = ?", address, last)
        return None if row is None else self._t(row[0])

    # ---- what there is -----------------------------------------------------------------------------------------------

    def tree(self) -> list[dict[str, Any]]:
        """Return accounts with their own instances and their chats, the newest first."""
        accounts: dict[str, dict[str, Any]] = {}

        def account(name: str) -> dict[str, Any]:
            return accounts.setdefault(name, {"name": name, "singles": [], "chats": []})

        for name, address in self._db.execute(
            "select account, address from instances where chat = '' order by address limit ?", (MEMBERS_MAX,)
        ):
            account(name)["singles"].append(address)
        for name, chat, count, last in self._db.execute(
            "select account, chat, count(*), max(seq) from instances where chat != '' group by account, chat"
            " order by max(seq) desc limit ?",
            (CHATS_MAX,),
        ):
            account(name)["chats"].append({"chat": chat, "count": count, "last": last})
        return sorted(accounts.values(), key=lambda found: str(found["name"]))

    def members(self, account: str, chat: str) -> list[str]:
        """Return the instances of a chat: those that stay first, the others in the order in which they began."""
        found = self._db.execute(
            "select address, machine in ('window', 'circuit'),"
            " (select seq from events where events.machine = address order by version limit 1)"
            " from instances where account = ? and chat = ? order by seq desc limit ?",
            (account, chat, MEMBERS_MAX),
        ).fetchall()
        found.sort(key=lambda row: (not row[1], row[2] or 0))
        return [address for address, _, _ in found]

    def edges(self, machine: str) -> list[list[str]]:
        """Return the transitions of a machine that were taken lately: state, event, state."""
        _, last = self.ends()
        sql = (
            "select distinct source, event, target from events"
            " where seq > ? and outcome is null and substr(machine, 1, ?) = ?"
        )
        start = f"{machine}/"
        return [list(row) for row in self._db.execute(sql, (last - EDGES_WITHIN, len(start), start))]


def _whole(counts: list[float]) -> list[int]:
    """Round what a sample says: what was seen at all is at least one."""
    return [round(count) or int(count > 0) for count in counts]


def _account(address: str) -> str:
    return address.partition("/")[2].partition("/")[0]


def _fields(data: str) -> dict[str, Any]:
    found = read_fields(data)
    return found if found is not None else {"not readable": data}
