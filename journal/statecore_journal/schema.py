"""The tables of a journal, and how a file gets from one version of them to the next.

Every table can be queried by hand: `sqlite3 gateway.db "select * from events where machine = 'connection/wx'"`.
Few columns and one unique index are half of the speed, so `events` has just what a reader of an incident needs.
"""

import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from statecore.errors import JournalCorrupt, JournalError, JournalTooNew, NotAJournal
from statecore_journal.problems import translated

APPLICATION_ID: Final = 0x53544A31
"""Marks the file as a journal of statecore ("STJ1"), in SQLite's own header field for that."""

SCHEMA_VERSION: Final = 1
"""Raised by every migration. A file with a higher one was written by a newer statecore, and is left alone."""

SQLITE_BYTES_MIN: Final = 512
"""The smallest page, and so the smallest database, that SQLite knows."""

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
    due        integer,                 -- its earliest deadline, on the same clock as events.at
    at         integer not null,        -- when it last changed
    schema     integer not null,        -- version of the data's fields
    data       text    not null         -- what it remembers
) strict, without rowid;
create index instances_lane on instances (account, machine, chat, ord) where live = 1;
create index instances_due on instances (account, due) where due is not null;
create index instances_state on instances (account, machine, state);

create table keys (                     -- the senders' own idempotency keys
    account    text not null,
    key        text not null,
    address    text not null,
    primary key (account, key)
) strict, without rowid;

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
    """Open a connection the way the writer needs it."""
    connection = sqlite3.connect(path, timeout=busy_ns / 1e9, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma journal_size_limit = 16777216")  # a checkpoint cuts the WAL back to this
    connection.execute("pragma cache_size = -4096")
    return connection


def prepare(path: Path, *, busy_ns: int) -> None:
    """Make the file a journal of the current version, if it is new or older.

    It is readable by its owner alone, because context tokens and cursors are in it.

    Raises:
        NotAJournal: the file is something else.
        JournalTooNew: a newer statecore wrote it.
        JournalCorrupt: it is torn.
        JournalError: it cannot be opened.
    """
    if path.is_dir():
        raise NotAJournal(f"{path} is a folder; name a file, such as {path / 'gateway.db'}")
    new = not path.exists() or path.stat().st_size == 0
    try:
        if new:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise JournalError(
            f"{path} cannot be opened for writing: {error.strerror}. Check the folder and its owner."
        ) from error
    if not new:
        inspect(path)
    with translated(path):
        connection = connect(path, busy_ns=busy_ns)
        try:
            database = Database(connection, execute_plugins=False)
            MIGRATIONS.apply(database)
            connection.execute(f"pragma application_id = {APPLICATION_ID}")
            connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
        finally:
            connection.close()


def read_only(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write.

    With no WAL beside it nobody has the file open, and SQLite is kept from making one just to read it.

    Only SQLite may open the file. Closing any other descriptor of it, in any thread, would drop the locks that this
    process's own connections hold: https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
    """
    in_use = path.with_name(path.name + "-wal").exists()
    uri = f"{path.resolve().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)


def inspect(path: Path) -> None:
    """Refuse what is no journal that this code can use, without changing a byte of it.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt: see there.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal at {path}")
    size = path.stat().st_size
    if size < SQLITE_BYTES_MIN:
        raise NotAJournal(f"{path} holds {size} bytes, so it is no journal; name another file, or move this one away")
    with translated(path):
        connection = read_only(path)
        try:
            mark = connection.execute("pragma application_id").fetchone()[0]
            version = connection.execute("pragma user_version").fetchone()[0]
            pages = connection.execute("pragma page_count").fetchone()[0]
            page = connection.execute("pragma page_size").fetchone()[0]
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        finally:
            connection.close()
    if mark != APPLICATION_ID and tables - {"_sqlite_migrations"} and not {"events", "instances", "leases"} <= tables:
        raise NotAJournal(f"{path} is an SQLite database of something else; name another file for the journal")
    if version > SCHEMA_VERSION:
        raise JournalTooNew(
            f"{path} was written by a newer statecore (schema {version}, this one knows up to {SCHEMA_VERSION}); "
            "update statecore, or use another journal"
        )
    if size < page * pages and not path.with_name(path.name + "-wal").exists():
        raise JournalCorrupt(
            f"{path} is torn: it should hold {page * pages} bytes and holds {size}. Keep the file; restore a copy of it, "
            "or save what can be read with: sqlite3 FILE .recover"
        )
