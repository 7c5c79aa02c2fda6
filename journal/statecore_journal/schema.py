"""The tables of a journal, and how a file gets from one version of them to the next.

Every table can be queried by hand: `sqlite3 gateway.db "select * from events where machine = 'connection/wx'"`.
Few columns and one unique index are half of the speed, so `events` has just what a reader of an incident needs.
"""

import functools
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from statecore.errors import JournalError, NotAJournal
from statecore.units import MILLISECONDS, SECONDS
from statecore_journal.files import APPLICATION_ID, inspect, own
from statecore_journal.neighbours import WritingConnection
from statecore_journal.problems import is_busy, translated
from statecore_journal.queueing import waiting

SCHEMA_VERSION: Final = 1
"""Raised by every migration. A file with a higher one was written by a newer statecore, and is left alone."""

WAL_BYTES_KEPT: Final = 16 * 1024 * 1024
"""What the log is cut back to when it starts anew. SQLite has it do so about every 4 MB, when nobody reads it."""

ASK_EVERY: Final = 2 * MILLISECONDS
"""How often a lock that another process holds is asked for."""

MIGRATIONS: Final = Migrations("statecore")

TABLES: Final = """
create table events (
    seq        integer primary key,     -- position in the journal, from 1
    at         integer not null,        -- when it was decided: ns of the gateway's own clock, which only goes forward
    wall       integer not null,        -- ns since 1970, for people
    machine    text    not null,        -- address of the instance: machine/account/key
    version    integer not null,        -- how many events it had taken, with this one
    event      text    not null,        -- what happened
    source     text    not null,        -- the state before
    target     text    not null,        -- the state after
    outcome    text,                    -- null if it moved; else "stayed", "ignored: why", "refused: why"
    data       text    not null,        -- the event's fields, those at their defaults left out
    guards     text,                    -- the guards asked, with their answers
    cause      integer,                 -- seq of the row that caused it; null if the cause is outside
    epoch      integer not null,        -- of the lease under which it was written
    schema     integer not null,        -- version of the event's fields
    definition integer not null         -- version of the machine's table
) strict;
create unique index events_machine on events (machine, version);

create table instances (                -- the projection: where every instance is, written with its event
    address    text    primary key,
    machine    text    not null,
    account    text    not null,
    chat       text    not null,
    state      text    not null,
    version    integer not null,
    entered    integer not null,        -- version at which it entered the state
    seq        integer not null,        -- of its last event
    ord        integer not null,        -- its place in its chat's lane
    live       integer not null,        -- 1 while it is in its lane
    final      integer not null,        -- 1 once nothing more can happen to it; 2 if its events are pruned, to know its id
    due        integer,                 -- its earliest deadline, on the same clock as events.at
    at         integer not null,        -- when it last changed
    schema     integer not null,        -- version of the data's fields
    data       text    not null         -- what it remembers
) strict, without rowid;
create index instances_lane on instances (account, machine, chat, ord) where live = 1;
create index instances_due on instances (account, due) where due is not null;
create index instances_state on instances (account, machine, state);
create index instances_final on instances (final, at) where final > 0;

create table keys (                     -- the senders' own idempotency keys
    account    text not null,
    key        text not null,
    address    text not null,
    primary key (account, key)
) strict, without rowid;
create index keys_address on keys (address);

create table leases (                   -- who drives an account
    account    text primary key,
    epoch      integer not null,        -- raised by every new owner; an append with an older one is refused
    boot       text    not null,
    pid        integer not null,
    host       text    not null,
    since      integer not null,        -- wall clock, ns since 1970
    beat       integer not null,        -- the owner's heartbeat, wall clock
    status     text    not null         -- what the owner says of itself: "running", "paused: ...", "stopped"
) strict, without rowid;

create table commands (                 -- what other processes ask for; durable whether or not a gateway is running
    id         integer primary key,
    account    text    not null,
    kind       text    not null,
    target     text    not null,
    body       text    not null,
    wall       integer not null,
    done       text                     -- what came of it
) strict;
create index commands_open on commands (account, id) where done is null;

create table secrets (                  -- what must survive a restart and is never shown or exported
    account    text not null,
    name       text not null,
    value      text not null,
    primary key (account, name)
) strict, without rowid;

create table checkpoints (              -- where an instance was when its older events were pruned
    address    text primary key,
    version    integer not null,
    entered    integer not null,
    seq        integer not null,
    state      text    not null,
    schema     integer not null,
    data       text    not null
) strict, without rowid;
"""


@MIGRATIONS()
def first(db: Database) -> None:
    """Make the tables."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)


def connect(path: Path, *, busy_ns: int) -> sqlite3.Connection:
    """Open a connection the way the writer needs it.

    Raises:
        sqlite3.Error: see `translated`.
        JournalBusy: another thread of this process reads it, and has not ended in time.
        JournalError: the disk does not allow a write-ahead log.
    """
    connection = sqlite3.connect(
        path, timeout=busy_ns / 1e9, isolation_level=None, check_same_thread=False, factory=WritingConnection
    )
    try:
        _set_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("pragma auto_vacuum = incremental")  # of a new file: pruning gives pages back to the disk
    (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
    if mode != "wal":
        raise JournalError(f"{path} cannot have a write-ahead log where it is ({mode} mode); use a local disk")
    connection.execute("pragma synchronous = full")
    connection.execute(
        "pragma secure_delete = on"
    )  # what is forgotten or pruned is overwritten; not every build does that
    connection.execute(f"pragma journal_size_limit = {WAL_BYTES_KEPT}")
    connection.execute("pragma cache_size = -1024")  # there are two, and the system has its own cache of the file


def begin(connection: sqlite3.Connection, path: Path, *, busy_ns: int) -> None:
    """Begin a transaction that writes, and wait for whoever holds the lock.

    SQLite asks for it ever more seldom, down to ten times a second, and a gateway with much to write lets go of it for a
    fraction of a millisecond at a time. So it is asked for here, often, and the holder is told that somebody waits.

    Args:
        connection: made by `connect`; it waits for no other lock afterwards.
        path: the journal.
        busy_ns: for how long to wait.

    Raises:
        sqlite3.OperationalError: it is still held.
    """
    connection.execute("pragma busy_timeout = 0")
    if _begun(connection, last=busy_ns < ASK_EVERY):
        return
    with waiting(path.parent) as say:
        for attempts_left in range(busy_ns // ASK_EVERY - 1, -1, -1):
            say()
            _NEVER.wait(ASK_EVERY / SECONDS)
            if _begun(connection, last=not attempts_left):
                return


def _begun(connection: sqlite3.Connection, *, last: bool) -> bool:
    """Begin a transaction that writes, if nobody else holds the lock; if this is the *last* time, raise what SQLite does."""
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError as error:
        if last or not is_busy(error):
            raise
        return False
    return True


_NEVER: Final = threading.Event()


def prepare(path: Path, *, busy_ns: int) -> None:
    """Make the file a journal of the current version, if it is new or older.

    It is readable by its owner alone, because context tokens and cursors are in it. A journal of the current version is
    not written to.

    Raises:
        NotAJournal: the file is something else.
        JournalTooNew: a newer statecore wrote it.
        JournalCorrupt: it is torn.
        JournalBusy: another process holds it.
        JournalError: it cannot be opened.
    """
    if path.is_dir():
        raise NotAJournal(f"{path} is a folder; name a file, such as {path / 'gateway.db'}")
    own(path)
    version = inspect(path, SCHEMA_VERSION) if path.stat().st_size else 0
    if version < SCHEMA_VERSION:
        with translated(path), closing(connect(path, busy_ns=busy_ns)) as connection:
            _migrate(connection, path, busy_ns)


def _migrate(connection: sqlite3.Connection, path: Path, busy_ns: int) -> None:
    """Bring the tables up to date, all at once or not at all, however many processes try."""
    begin(connection, path, busy_ns=busy_ns)
    try:
        MIGRATIONS.apply(Database(connection, execute_plugins=False))
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def check(path: Path) -> None:
    """Refuse what cannot be read as a journal of the current version, without changing a byte of it.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    version = inspect(path, SCHEMA_VERSION, _columns())
    if not version:
        raise NotAJournal(f"{path} is a database with nothing in it; name another file")
    if version < SCHEMA_VERSION:
        raise JournalError(
            f"{path} was written by an older statecore (schema {version}); start a gateway on it once to bring it up to date"
        )


@functools.cache
def _columns() -> frozenset[tuple[str, str]]:
    """Return (table, column) of everything that a journal of the current version has."""
    found = re.findall(r"create table (\w+) \((.*?)\n\) strict", TABLES, re.DOTALL)
    return frozenset(
        (table, column)
        for table, body in found
        for column in re.findall(r"^    (\w+) +(?:text|integer)\b", body, re.MULTILINE)
    )
