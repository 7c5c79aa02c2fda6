"""Journals that are none, are damaged, or are of other code; and what every command that reads owes to whoever gives it one."""

import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
import trio
from click.testing import Result

from statecore.machines import MACHINES
from tests.journal.desk import LAMPS, Hand, Pressed, opened
from tests.support.command import invoke

HUNG_S = 60
"""A command that has not ended by then never would."""


@attrs.frozen
class Command:
    """A command that reads a journal.

    Args:
        name: how it is called here.
        arguments: {journal} stands for the journal, {out} for a file that is not there yet.
        shows: what it prints of a journal of which most can be read; empty if it prints nothing then.
    """

    name: str
    arguments: tuple[str, ...]
    shows: str = ""

    def run(self, journal: Path, out: Path) -> Result:
        """Run it, in this process."""
        with _ending():
            return invoke(*(part.format(journal=journal, out=out) for part in self.arguments))


# A new command that reads a journal adds its line here.
COMMANDS = (
    Command("status", ("status", "{journal}"), "wx: "),
    Command("status --json", ("status", "{journal}", "--json"), '"name": "wx"'),
    Command("log", ("log", "{journal}"), "connection/wx"),
    Command("log --json", ("log", "{journal}", "--json"), '"connection/wx"'),
    Command("log --chat", ("log", "{journal}", "--chat", "ann", "--last", "3"), "/wx/"),
    Command("dead list", ("dead", "list", "{journal}"), "out1"),
    Command("dead list --json", ("dead", "list", "{journal}", "--json"), "delivery/wx/out1"),
    Command("dead show", ("dead", "show", "{journal}", "out1"), "delivery/wx/out1"),
    Command("export", ("export", "{journal}", "-o", "{out}")),
    Command("export --since", ("export", "{journal}", "-o", "{out}", "--since", "20", "--until", "30", "--shift")),
    Command("export --json", ("export", "{journal}", "--json"), "connection/account-1"),
    Command("prune --dry-run", ("prune", "{journal}", "--dry-run")),
)  # fmt: skip


class HungError(Exception):
    """A command did not end."""


@contextmanager
def _ending() -> Iterator[None]:
    def late(_: int, __: FrameType | None) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HUNG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def write_good(path: Path) -> None:
    """Write a journal with something of everything in it."""

    async def main() -> None:
        async with opened(path) as journal:
            await journal.take("wx", "boot", 1, "host")
            hand = Hand(journal, machines={**MACHINES, **LAMPS})
            await hand.dial()
            for number in range(6):
                await hand.receive(f"in{number}", "ann" if number % 2 else "bob")
                until = ("delivered", "dead", "queued", "sending", "purged")[number % 5]
                await hand.send(f"out{number}", "ann" if number % 2 else "bob", until=until, key=f"key {number}")
            await hand.receive("bad", until="quarantined")
            await hand.happen("lamp/wx/hall", Pressed(), Pressed())
            await hand.poll(3)

    trio.run(main)


# ---- what is wrong ---------------------------------------------------------------------------------------------------


@attrs.frozen
class Bad:
    """Something that is wrong with a journal.

    Args:
        name: what it is.
        spoil: makes it so, of a good journal in its place; returns what is to be read.
        hinders: names of commands that cannot do what they are for, and must say so; None for all of them.
    """

    name: str
    spoil: Callable[[Path], Path]
    hinders: frozenset[str] | None = None


def _sql(*statements: str) -> Callable[[Path], Path]:
    def spoil(path: Path) -> Path:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.execute("pragma journal_mode = delete")
        return path

    return spoil


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def spoil(path: Path) -> Path:
        path.write_bytes(change(path.read_bytes()))
        return path

    return spoil


def _instead(make: Callable[[Path], Any]) -> Callable[[Path], Path]:
    def spoil(path: Path) -> Path:
        path.unlink()
        make(path)
        return path

    return spoil


def _other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table recipes (name text)")
        connection.commit()


def _logged(path: Path) -> Path:
    """Leave a journal behind as a killed gateway does: with a log, and with damage in it."""
    other = path.with_name("other.db")
    shutil.copyfile(path, other)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("update events set data = '{}' where seq > 5")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{other}{suffix}", f"{path}{suffix}")
    other.unlink()
    log = path.with_name(f"{path.name}-wal")
    content = log.read_bytes()
    log.write_bytes(content[: len(content) // 2] + bytes(len(content) // 4))
    return path


NOT_ONE = (
    Bad("missing", _instead(lambda _: None)),
    Bad("a text", _instead(lambda path: path.write_text("dear diary, " * 100))),
    Bad("a short text", _instead(lambda path: path.write_text("dear diary"))),
    Bad("empty", _instead(Path.touch)),
    Bad("a folder", _instead(Path.mkdir)),
    Bad("another database", _instead(_other_database)),
    Bad("a pipe", _instead(os.mkfifo)),
    Bad("a link to itself", _instead(lambda path: path.symlink_to(path))),
    Bad("a device", lambda _: Path("/dev/zero")),
    Bad("nowhere", lambda path: path / "gateway.db"),
    Bad("an export in lines", _instead(lambda path: path.write_text('{"seq":1}\n' * 100))),
    Bad("of a newer statecore", _sql("pragma user_version = 99")),
    Bad("cut to its header", _bytes(lambda content: content[:100])),
    Bad("cut in half", _bytes(lambda content: content[: len(content) // 2])),
    Bad("without its first page", _bytes(lambda content: bytes(4096) + content[4096:])),
    Bad("without a table", _sql("drop table instances")),
    Bad("without a column", _sql("alter table events drop column outcome")),
)
"""Of these nothing can be read."""


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


OF_OTHER_CODE = (
    Bad("an unknown event", _sql("update events set event = 'Sneezed' where event = 'Handed'"), _of()),
    Bad("data that is no JSON", _sql("update events set data = '{\"chat\":' where event = 'Accepted'"),
        _of("dead list", "dead show")),
    Bad("data that is a list", _sql("update events set data = '[1]' where event = 'Accepted'"), _of("dead list", "dead show")),
    Bad("data that does not fit", _sql("update events set data = '{\"chat\":5,\"colour\":1}' where event = 'Accepted'"),
        _of("dead list", "dead show")),
    Bad("data without an end", _sql(f"update events set data = '{'[' * 50_000}' where event = 'Ready'"), _of()),
    Bad("what is remembered is no JSON", _sql("update instances set data = 'x'"),
        _of("status", "status --json", "dead list", "dead list --json", "dead show")),
    Bad("what is remembered of one connection is no JSON", _sql("update instances set data = 'x' where machine = 'connection'"),
        _of("status", "status --json")),
    Bad("what is remembered is newer", _sql("update instances set schema = 99"), _of("status", "dead list")),
    Bad("events are newer", _sql("update events set schema = 99"), _of("dead list", "dead show")),
    Bad("a machine without code", _sql("update instances set machine = 'toaster' where machine = 'lamp'"), _of()),
    Bad("an unknown state", _sql("update instances set state = 'dreaming'",
                                 "update events set target = 'dreaming' where target = 'connected'"), _of()),
    Bad("a checkpoint of nothing", _sql("insert into checkpoints values ('toaster/wx', 1, 1, 1, 'hot', 1, 'x')"), _of()),
    Bad("addresses that are none", _sql("update instances set address = 'x' || rowid_ from (select address as a,"
                                        " row_number() over () as rowid_ from instances) where a = address"), _of()),
    Bad("causes that are not there", _sql("update events set cause = 9999",
                                           "update events set cause = seq where seq % 2"), _of()),
    Bad("missing rows", _sql("delete from events where seq % 3 = 0"), _of()),
    Bad("no rows", _sql("delete from events"), _of()),
    Bad("no instances", _sql("delete from instances"), _of()),
    Bad("times beyond the calendar", _sql("update events set wall = 9223372036854775807, at = -9223372036854775807"), _of()),
    Bad("leases beyond it", _sql("update leases set since = -9223372036854775807, beat = 9223372036854775807"), _of()),
    Bad("controls in names", _sql("update events set event = 'A' || char(27) || '[2J', machine = 'x/' || char(10, 8238)"
                                  " || seq"), _of()),
    Bad("versions that repeat", _sql("update events set version = -version"), _of()),
    Bad("text that is no UTF-8", _sql("update events set data = cast(x'7b7dff' as text) where seq = 20"),
        _of("log", "log --json", "export", "export --since", "export --json")),
    Bad("a log that is torn", _logged, _of()),
)  # fmt: skip
"""Of these most can be read. A command that needs what is wrong says so; the others need not notice."""


# ---- what is owed ----------------------------------------------------------------------------------------------------


def footprint(folder: Path) -> dict[str, Any]:
    """Return everything about a folder that looking must not change."""
    found: dict[str, Any] = {}
    for file in sorted(folder.iterdir()):
        about = file.lstat()
        content = file.read_bytes() if stat.S_ISREG(about.st_mode) else None
        found[file.name] = (about.st_mode, about.st_size, about.st_mtime_ns, content)
    return found


def judge(command: Command, bad: Bad, folder: Path, good: Path) -> str | None:
    """Give a bad journal to a command; return what it owes and does not give, or None.

    Args:
        command: the command.
        bad: what is wrong.
        folder: an empty folder.
        good: a good journal, made by `write_good`.
    """
    path = folder / "gateway.db"
    shutil.copyfile(good, path)
    journal = bad.spoil(path)
    before = footprint(folder)
    out = folder / "out.db"
    try:
        done = command.run(journal, out)
    except HungError:
        return f"it does not end within {HUNG_S} s"
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        return f"a traceback: {type(error).__name__}: {error}"
    made = out.exists()
    out.unlink(missing_ok=True)
    if footprint(folder) != before:
        return "the folder is not as it was"
    must = bad.hinders is None or command.name in bad.hinders
    if must and done.exit_code == 0:
        return f"it says that all is well: {done.output[-200:]!r}"
    if done.exit_code != 0:
        if made:
            return "it fails, and leaves a file"
        return _complaint(done, shows=command.shows if bad.hinders else "")
    return None


def _complaint(done: Result, shows: str) -> str | None:
    said = done.stderr.strip()
    if not said:
        return f"it fails without a word on stderr; it said {done.stdout[-200:]!r}"
    if "Traceback" in done.output:
        return "a traceback"
    if len(said.splitlines()[-1]) > 1000:
        return f"its sentence has {len(said.splitlines()[-1])} characters"
    if any(not character.isprintable() and character not in "\n\t" for character in said):
        return f"controls on the terminal: {said!r}"
    if shows not in done.stdout:
        return f"what can be read is not shown: {done.stdout[-300:]!r}; it said {said!r}"
    return None
