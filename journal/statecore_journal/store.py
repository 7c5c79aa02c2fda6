"""What is read from a journal while deciding: on the trio thread, by primary key or a partial index, committed rows only."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from statecore import codec
from statecore.account import Command
from statecore.lanes import Head
from statecore.machines.inbound import Received
from statecore.system import Stored
from statecore_journal.problems import translated

NEWEST: Final = 1000
"""Rows among which the latest moment is looked for: more than are decided while a commit is tried again."""


class SqliteStore:
    """Reads of a gateway; serves `statecore.account.AccountStore`.

    Args:
        path: the journal, made by `schema.prepare`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with translated(path):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            self._connection.execute("pragma query_only = on")
            self._connection.execute("pragma cache_size = -2048")
        self._version = self._data_version()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with translated(self._path):
            return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        with translated(self._path):
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return row

    # ---- for an account ----------------------------------------------------------------------------------------------

    def load(self, address: str) -> Stored | None:
        """Return an instance, or None if nothing ever happened to it."""
        row = self._one(
            "select address, state, data, version, entered, seq, chat, ord, schema from instances where address = ?",
            address,
        )
        return None if row is None else Stored(*row)

    def heads(self, account: str, machine: str) -> list[tuple[str, Head]]:
        """Return (chat, head) of every lane that is not empty."""
        rows = self._all(
            "select chat, address, min(ord), state from instances where account = ? and machine = ? and live = 1 group by chat",
            account,
            machine,
        )
        return [(chat, Head(address, order, state)) for chat, address, order, state in rows]

    def following(self, account: str, machine: str, chat: str, after: int) -> Head | None:
        """Return the first of a lane whose place is after *after*."""
        row = self._one(
            "select address, ord, state from instances where account = ? and machine = ? and chat = ? and live = 1 and ord > ?"
            " order by ord limit 1",
            account,
            machine,
            chat,
            after,
        )
        return None if row is None else Head(*row)

    def due(self, account: str, after: int, most: int | None) -> tuple[list[tuple[int, str]], int | None]:
        """Return the next (deadline in ns, address) behind *after* in order, and up to when these are all there are.

        Args:
            account: whose.
            after: only later ones.
            most: about how many; deadlines are never torn apart. None for all.

        Returns:
            The deadlines, and the last of them if there are more behind it.
        """
        sql = "select due, address from instances where account = ? and due > ?"
        if most is None:
            return self._all(f"{sql} order by due", account, after), None
        rows = self._all(f"{sql} order by due limit ?", account, after, most + 1)
        if len(rows) <= most:
            return rows, None
        last: int = rows[-1][0]
        whole = [row for row in rows if row[0] < last]
        if whole:
            return whole, whole[-1][0]
        return self._all(f"{sql} and due = ?", account, after, last), last

    def in_states(self, account: str, machine: str, states: Sequence[str]) -> list[str]:
        """Return the addresses of the instances in these states, oldest first."""
        marks = ", ".join("?" * len(states))
        rows = self._all(
            f"select address from instances where account = ? and machine = ? and state in ({marks}) order by seq",  # noqa: S608
            account,
            machine,
            *states,
        )
        return [address for (address,) in rows]

    def recently_received(self, account: str, since: int) -> list[tuple[int, Received]]:
        """Return (when in ns, what) of the messages that came in since *since*."""
        (last,) = self._one("select coalesce(max(seq), 0) from events") or (0,)
        rows = self._all(
            "select at, data, schema from events"
            " where seq > ? and event = 'Received' and at >= ? and machine glob ? order by seq",
            last - 5000,
            since,
            f"inbound/{account}/*",
        )
        return [(at, codec.loads(data, Received, schema=schema)) for at, data, schema in rows]

    def first_event(self, address: str, kind: type[Any]) -> Any:
        """Return the first event of *kind* that happened to an instance: what it began with."""
        row = self._one(
            "select data, schema from events where machine = ? and event = ? order by version limit 1",
            address,
            kind.__name__,
        )
        if row is None:
            raise KeyError(address)
        return codec.loads(row[0], kind, schema=row[1])

    # ---- for a gateway -----------------------------------------------------------------------------------------------

    def secret(self, account: str, name: str) -> str | None:
        """Return a secret's newest committed value."""
        row = self._one("select value from secrets where account = ? and name = ?", account, name)
        return None if row is None else row[0]

    def _data_version(self) -> int:
        row = self._one("pragma data_version")
        assert row is not None, "the pragma always answers"
        return int(row[0])

    def changed(self) -> bool:
        """Tell whether another connection has committed since the last time this was asked."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    def asked(self) -> list[str]:
        """Return the accounts of which something is asked that is not carried out yet."""
        return [account for (account,) in self._all("select distinct account from commands where done is null")]

    def commands(self, account: str, most: int = 256) -> list[Command]:
        """Return the oldest commands that are not carried out yet."""
        rows = self._all(
            "select id, kind, target, body from commands where account = ? and done is null order by id limit ?",
            account,
            most,
        )
        return [codec.loads(body, Command) for id_, kind, target, body in rows]

    def sends_wait(self, account: str) -> bool:
        """Tell whether messages that were asked for are not accepted yet; those that come later must not overtake them."""
        row = self._one("select 1 from commands where account = ? and done is null and kind = 'send' limit 1", account)
        return row is not None

    def signs(self, account: str) -> tuple[Any, ...]:
        """Return what changes while the owner of an account is alive: its lease with the heartbeat, and the last row of
        its connection."""
        return (
            self._one("select epoch, boot, beat, status from leases where account = ?", account),
            self._one(
                "select max(seq) from instances where address in (?, ?)", f"connection/{account}", f"session/{account}"
            ),
        )

    def latest_at(self) -> int:
        """Return the latest moment of the newest rows, on the gateway's clock in ns; 0 if there are none.

        The very newest may be older than the one before: it was decided earlier, and could not be committed at first.
        """
        sql = "select coalesce(max(at), 0) from (select at from events order by seq desc limit ?)"
        row = self._one(sql, NEWEST)
        return 0 if row is None else int(row[0])

    def state_of(self, address: str) -> tuple[str, str] | None:
        """Return (state, data) of an instance."""
        row = self._one("select state, data from instances where address = ?", address)
        return None if row is None else (row[0], row[1])
