"""The journal in SQLite keeps what every store has to keep."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from statecore.testing.journals import Claim, Faults, JournalSuite, Row
from statecore_journal import open_journal
from tests.testing.suites.sqlite_faults import SqliteFaults


class SqliteSuite(JournalSuite):
    """What is said about it."""

    faults: ClassVar[Faults | None] = SqliteFaults()

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A file in memory where there is such a folder: what is checked here is what is written, and not how long it takes."""
        memory = Path("/dev/shm")
        with TemporaryDirectory(prefix="statecore-", dir=memory if memory.is_dir() else None) as folder:
            yield Path(folder) / "gateway.db"

    def open(self, place: Path, wall: Callable[[], int]) -> AbstractAsyncContextManager[Any]:
        """Open it."""
        return open_journal(place, wall=wall, busy_ns=self.busy_ns)

    def rows(self, place: Path) -> list[Row]:
        """Read the table."""
        names = "seq, at, machine, version, event, source, target, data, cause, epoch, schema"
        with closing(sqlite3.connect(place)) as connection:
            return [Row(*row) for row in connection.execute(f"select {names} from events order by seq")]

    def shown(self, place: Path) -> str:
        """Everything but the one table."""
        with closing(sqlite3.connect(place)) as connection:
            tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
            held = {
                name: connection.execute(f"select * from {name}").fetchall() for name in tables if name != "secrets"
            }
        return json.dumps(held, ensure_ascii=False)


class TestSqlite(SqliteSuite):
    """The journal in SQLite."""


class TestSqliteWithoutAThread(SqliteSuite):
    """The same as it is used under a virtual clock: each append is committed on the spot."""

    absent: ClassVar[Mapping[Claim, str]] = {
        "crash": "it is the same file, written by the same statements",
        "damage": "it is the same file, opened by the same code",
        "busy": "it waits on the very thread that would let it go",
    }

    def open(self, place: Path, wall: Callable[[], int]) -> AbstractAsyncContextManager[Any]:
        """Open it."""
        return open_journal(place, wall=wall, busy_ns=self.busy_ns, threaded=False)
