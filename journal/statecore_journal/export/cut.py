"""Which part of a journal is exported."""

import sqlite3
from typing import Any, Final

import attrs

from statecore.errors import JournalError

LAST: Final = 2**63 - 1


@attrs.frozen(kw_only=True)
class Cut:
    """What is asked for.

    Args:
        account: only this account.
        chat: only this chat, and what its account's chats share: connection, session and circuit of the account.
        since: position of the first row.
        until: position of the last one.
    """

    account: str | None = None
    chat: str | None = None
    since: int = 1
    until: int = LAST


WHOLE: Final = Cut()


class Scope:
    """A cut, as conditions in SQL.

    Args:
        connection: the journal, inside a transaction.
        cut: what is asked for.

    Raises:
        JournalError: nothing fits.
    """

    def __init__(self, connection: sqlite3.Connection, cut: Cut) -> None:
        self.cut = cut
        self._connection = connection
        self.accounts = self._accounts()
        (self.last,) = connection.execute("select coalesce(max(seq), 0) from events").fetchone()
        self.until = min(cut.until, self.last)
        self.all_instances = cut.account is None and cut.chat is None

    def instances(self) -> tuple[str, list[Any]]:
        """Return the condition for rows of `instances`."""
        conditions, values = ["1"], []
        if not self.all_instances:
            conditions.append(f"account in ({', '.join('?' * len(self.accounts))})")
            values += self.accounts
        if self.cut.chat is not None:
            conditions.append("(chat = ? or chat = '')")
            values.append(self.cut.chat)
        return " and ".join(conditions), values

    def addresses(self, column: str) -> tuple[str, list[Any]]:
        """Return the condition for rows of other tables, which have an address in *column*."""
        if self.all_instances:
            return "1", []
        condition, values = self.instances()
        return f"{column} in (select address from instances where {condition})", values  # noqa: S608 - bound

    def names(self, column: str) -> tuple[str, list[Any]]:
        """Return the condition for rows of tables that have but an account in *column*."""
        if self.all_instances:
            return "1", []
        return f"{column} in ({', '.join('?' * len(self.accounts))})", list(self.accounts)

    def _accounts(self) -> list[str]:
        conditions: list[str] = []
        values: list[str] = []
        for column, wanted in (("account", self.cut.account), ("chat", self.cut.chat)):
            if wanted is not None:
                conditions.append(f"{column} = ?")
                values.append(wanted)
        if not conditions:
            return []
        sql = f"select distinct account from instances where {' and '.join(conditions)}"  # noqa: S608 - bound
        found = [account for (account,) in self._connection.execute(sql, values)]
        if not found:
            what = " of ".join(
                f"{name} {wanted!r}"
                for name, wanted in (("chat", self.cut.chat), ("account", self.cut.account))
                if wanted is not None
            )
            raise JournalError(f"the journal has no {what}; `statecore status` shows what there is")
        return found
