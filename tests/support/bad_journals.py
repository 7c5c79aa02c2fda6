"""Journals that are none, are damaged, or are of other code; and what every command that reads owes to whoever gives it one."""

import os
import random  # noqa: TID251 - with seeds
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Literal

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
        arguments: {journal} stands for the journal, {good} for it before it was spoilt, {out} for a file that is not there
            yet.
        shows: what it prints of a journal of which most can be read; empty if it prints nothing then.
        of: which good journal it is given: one with "everything" in it, or a "recorded" gateway's.
        finds: whether its exit status says what it found, so that what it says may stand among its findings.
    """

    name: str
    arguments: tuple[str, ...]
    shows: str = ""
    of: Literal["everything", "recorded"] = attrs.field(default="everything", kw_only=True)
    finds: bool = attrs.field(default=False, kw_only=True)

    def run(self, journal: Path, out: Path, good: Path) -> Result:
        """Run it, in this process."""
        with _ending():
            return invoke(*(part.format(journal=journal, out=out, good=good) for part in self.arguments))


LAMP = "tests.journal.desk:LAMPS"
"""A machine that only the journal with everything has."""

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
    Command("log --cause", ("log", "{journal}", "--cause", "3")),
    Command("log --since", ("log", "{journal}", "--since", "5", "--until", "30"), "delivery/wx"),
    Command("why", ("why", "{journal}", "20", "--forward"), "#20"),
    Command("why --json", ("why", "{journal}", "20", "--whole", "--json"), '"steps"'),
    Command("replay", ("replay", "{journal}", "--machines", LAMP, "--finished"), "rows replayed", finds=True),
    Command("replay --until", ("replay", "{journal}", "--machines", LAMP, "--until", "20", "--json"), '"counts"', finds=True),
    Command("verify", ("verify", "{journal}", "--machines", LAMP), "rows", finds=True),
    Command("verify --json", ("verify", "{journal}", "--machines", LAMP, "--json"), '"holds"', finds=True),
    Command("diff", ("diff", "{journal}", "{good}"), ".db", finds=True),
    Command("diff --strict", ("diff", "{good}", "{journal}", "--strict", "--json"), '"same"', finds=True),
    Command("diff of versions", ("diff", "{journal}", "--machines", LAMP, "--machines", LAMP), finds=True),
    Command("incidents", ("incidents", "{journal}"), "poison-message"),
    Command("incidents --since", ("incidents", "{journal}", "--since", "5", "--json"), '"kind"'),
    Command("incidents of a gateway", ("incidents", "{journal}"), "retry-storm", of="recorded"),
    Command("what-if", ("what-if", "{journal}"), of="recorded"),
    Command("what-if --set", ("what-if", "{journal}", "--set", "account.wx.circuit.cooldown=5s"), of="recorded"),
    Command("what-if --sweep", ("what-if", "{journal}", "--sweep", "account.wx.circuit.cooldown=1s,5s", "--json"), of="recorded"),
    Command("minimise", ("minimise", "{journal}", "--keep", "retry-storm", "-o", "{out}"), of="recorded"),
    Command("minimise --plain", ("minimise", "{journal}", "--keep", "retry-storm", "--plain"), of="recorded"),
    Command("report", ("report", "{journal}", "-o", "{out}")),
    Command("report --plain", ("report", "{journal}", "-o", "{out}", "--plain", "--since", "20"), of="recorded"),
    Command("coverage", ("coverage", "{journal}"), "connection"),
    Command("coverage --json", ("coverage", "{journal}", "--json"), '"machines"'),
    Command("diagram --coverage", ("diagram", "delivery", "--coverage", "{journal}"), "stateDiagram"),
    Command("timeline", ("timeline", "{journal}"), "gantt"),
    Command("timeline --since", ("timeline", "{journal}", "-o", "{out}", "--format", "svg", "--since", "5")),
)  # fmt: skip

ENDLESS = (
    Command("follow", ("follow", "{journal}")),
    Command("inspect", ("inspect", "{journal}", "--no-browser")),
)
"""Commands that end only if there is nothing to read."""


class HungError(BaseException):
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


Goods = Mapping[str, Path]
"""Good journals, by `Command.of`."""

RECORDED = Path(__file__).parents[1] / "incidents" / "journals" / "retry-storm.db"


def write_goods(folder: Path) -> Goods:
    """Put good journals into a folder."""
    goods = {"everything": folder / "everything.db", "recorded": folder / "recorded.db"}
    write_good(goods["everything"])
    shutil.copyfile(RECORDED, goods["recorded"])
    return goods


# ---- what is wrong ---------------------------------------------------------------------------------------------------


@attrs.frozen
class Bad:
    """Something that is wrong with a journal.

    Args:
        name: what it is.
        spoil: makes it so, of a good journal in its place; returns what is to be read.
        hinders: names of commands that cannot do what they are for, and must say so; None for all of them.
        shown_by: names of commands that show what can be read of it all the same; None for all of them.
    """

    name: str
    spoil: Callable[[Path], Path]
    hinders: frozenset[str] | None = None
    shown_by: frozenset[str] | None = None


def _sql(*statements: str) -> Callable[[Path], Path]:
    def spoil(path: Path) -> Path:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.execute("pragma journal_mode = delete")
        return path

    return spoil


def _settings(value: str) -> Callable[[Path], Path]:
    """Put something else where starts hold what the account was configured with; *value* is an expression of SQL."""
    return _sql(f"update events set data = json_set(data, '$.settings', {value}) where event = 'Started'")


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


FOLDING = _of("replay", "verify", "verify --json", "diff of versions")
"""Commands that take every row through the machines."""

RUNNING = _of("what-if", "what-if --set", "what-if --sweep", "minimise", "minimise --plain")
"""Commands that run a recorded gateway again."""

LETTERS = _of("dead list", "dead show")

OF_OTHER_CODE = (
    Bad("an unknown event", _sql("update events set event = 'Sneezed' where event in ('Handed', 'PartRefused')"),
        FOLDING | RUNNING),
    Bad("data that is no JSON", _sql("update events set data = '{\"chat\":' where event = 'Accepted'"),
        FOLDING | RUNNING | LETTERS),
    Bad("data that is a list", _sql("update events set data = '[1]' where event = 'Accepted'"), FOLDING | RUNNING | LETTERS),
    Bad("data that does not fit", _sql("update events set data = '{\"chat\":5,\"colour\":1}' where event = 'Accepted'"),
        FOLDING | RUNNING | LETTERS),
    Bad("data without an end", _sql(f"update events set data = '{'[' * 50_000}' where event = 'Ready'"), FOLDING | RUNNING),
    Bad("settings that are no JSON", _settings("'{'"), RUNNING - {"minimise"}),
    Bad("settings that are a list", _settings("'[1]'"), RUNNING - {"minimise"}),
    Bad("settings of another shape", _settings("json_set(json_extract(data, '$.settings'), '$.policies', 'x') || ''"), RUNNING),
    Bad("settings that do not fit",
        _settings("json_set(json_extract(data, '$.settings'), '$.policies.circuit', 'x') || ''"), RUNNING),
    Bad("settings of a platform that is not there",
        _settings("json_set(json_extract(data, '$.settings'), '$.platform', 'x') || ''"), RUNNING),
    Bad("what is remembered is no JSON", _sql("update instances set data = 'x'"),
        _of("status", "status --json", "dead list", "dead list --json", "dead show", "verify", "verify --json")),
    Bad("what is remembered of one connection is no JSON", _sql("update instances set data = 'x' where machine = 'connection'"),
        _of("status", "status --json", "verify", "verify --json")),
    Bad("what is remembered is newer", _sql("update instances set schema = 99"),
        _of("status", "dead list", "verify", "verify --json")),
    Bad("events are newer", _sql("update events set schema = 99"), FOLDING | RUNNING | LETTERS),
    Bad("a machine without code", _sql("update instances set machine = 'toaster', address = 'toaster' || substr(address, 5)"
                                       " where machine = 'lamp'",
                                       "update events set machine = 'toaster' || substr(machine, 5) where machine glob 'lamp/*'"),
        FOLDING),
    Bad("an unknown state", _sql("update instances set state = 'dreaming'",
                                 "update events set target = 'dreaming' where target = 'connected'"),
        FOLDING - {"diff of versions"} | RUNNING),
    Bad("a checkpoint of nothing", _sql("insert into checkpoints values ('toaster/wx', 1, 1, 1, 'hot', 1, 'x')"),
        _of("replay", "verify", "verify --json")),
    Bad("addresses that are none", _sql("update instances set address = 'x' || rowid_ from (select address as a,"
                                        " row_number() over () as rowid_ from instances) where a = address"),
        _of("verify", "verify --json"), shown_by=_of()),
    Bad("causes that are not there", _sql("update events set cause = 9999",
                                           "update events set cause = seq where seq % 2"), _of()),
    Bad("missing rows", _sql("delete from events where seq % 3 = 0"), FOLDING | RUNNING),
    Bad("no rows", _sql("delete from events"), _of("verify", "verify --json") | RUNNING, shown_by=_of()),
    Bad("no instances", _sql("delete from instances"), _of("verify", "verify --json"), shown_by=_of()),
    Bad("times beyond the calendar", _sql("update events set wall = 9223372036854775807, at = -9223372036854775807"),
        _of("verify", "verify --json") | RUNNING, shown_by=_of()),
    Bad("leases beyond it", _sql("update leases set since = -9223372036854775807, beat = 9223372036854775807"), _of()),
    Bad("controls in names", _sql("update events set event = 'A' || char(27) || '[2J', machine = 'x/' || char(10, 8238)"
                                  " || seq"), FOLDING | RUNNING, shown_by=_of()),
    Bad("versions that repeat", _sql("update events set version = -version"), FOLDING | RUNNING),
    Bad("text that is no UTF-8", _sql("update events set data = cast(x'7b7dff' as text) where seq = 20"),
        _of("log", "log --json", "export", "export --since", "export --json", "why", "diff", "incidents") | FOLDING | RUNNING,
        shown_by=_of("log", "log --json", "log --since")),
    Bad("a log that is torn", _logged, _of()),
)  # fmt: skip
"""Of these most can be read. A command that needs what is wrong says so; the others need not notice."""


# ---- by chance -------------------------------------------------------------------------------------------------------


def truncated(at: int) -> Bad:
    """Cut a journal at a byte, as a disk that was full while it was copied does."""
    return Bad(f"cut at byte {at}", _bytes(lambda content: content[:at]))


def flipped(seed: int) -> Bad:
    """Flip some bits."""

    def flip(content: bytes) -> bytes:
        changed, chance = bytearray(content), random.Random(seed)
        for _ in range(chance.choice([1, 8, 64, 1024])):
            changed[chance.randrange(chance.choice([100, 4096, len(changed)]))] ^= 1 << chance.randrange(8)
        return bytes(changed)

    return Bad(f"bits flipped, seed {seed}", _bytes(flip), _of())


def overwritten(seed: int) -> Bad:
    """Put something else where a page is."""

    def write(content: bytes) -> bytes:
        chance = random.Random(seed)
        begin, other = (chance.randrange(len(content) // 4096) * 4096 for _ in range(2))
        page = chance.choice([bytes(4096), chance.randbytes(4096), content[other : other + 4096]])
        return content[:begin] + page + content[begin + 4096 :]

    return Bad(f"a page overwritten, seed {seed}", _bytes(write), _of())


def altered(seed: int) -> Bad:
    """Change, swap or delete rows, as somebody does who mends a journal by hand."""

    def alter(path: Path) -> Path:
        chance = random.Random(seed)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for _ in range(chance.choice([1, 1, 3, 12])):
                _alter(connection, chance)
            connection.execute("pragma journal_mode = delete")
        return path

    return Bad(f"rows altered, seed {seed}", alter, _of())


def _alter(connection: sqlite3.Connection, chance: random.Random) -> None:
    table = chance.choice(["events", "events", "events", "instances", "checkpoints", "leases"])
    (count,) = connection.execute(f"select count(*) from {table}").fetchone()
    if not count:
        return
    at = chance.randrange(count)
    row = f"(select {{}} from {table} limit 1 offset {at})"
    key = {"events": "seq", "leases": "account"}.get(table, "address")
    if chance.random() < 0.2:
        connection.execute(f"delete from {table} where {key} = {row.format(key)}")
        return
    columns = [name for _, name, *_ in connection.execute(f"pragma table_info({table})")]
    column = chance.choice(columns)
    other = f"(select {column} from {table} limit 1 offset {chance.randrange(count)})"
    value = chance.choice(
        [other, other, "''", "'{}'", "'x'", "'[1]'", "'null'", "0", "-1", "99", str(2**63 - 1), "null"]
    )
    with suppress(sqlite3.IntegrityError):  # the table refuses it
        connection.execute(f"update {table} set {column} = {value} where {key} = {row.format(key)}")


DRAWN = (flipped, overwritten, altered)
"""Damages that are drawn, by a seed: what may be done to a journal without anybody noticing, where it is not asked for."""


# ---- what is owed ----------------------------------------------------------------------------------------------------


def footprint(folder: Path) -> dict[str, Any]:
    """Return everything about a folder that looking must not change."""
    found: dict[str, Any] = {}
    for file in sorted(folder.iterdir()):
        about = file.lstat()
        content = file.read_bytes() if stat.S_ISREG(about.st_mode) else None
        found[file.name] = (about.st_mode, about.st_size, about.st_mtime_ns, content)
    return found


def judge(command: Command, bad: Bad, folder: Path, goods: Goods) -> str | None:
    """Give a bad journal to a command; return what it owes and does not give, or None.

    Args:
        command: the command.
        bad: what is wrong.
        folder: an empty folder.
        goods: good journals, made by `write_goods`.
    """
    good = goods[command.of]
    path = folder / "gateway.db"
    shutil.copyfile(good, path)
    journal = bad.spoil(path)
    before = footprint(folder)
    out = folder / "out.db"
    try:
        done = command.run(journal, out, good)
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
        shown = bad.hinders and (bad.shown_by is None or command.name in bad.shown_by)
        return _complaint(command, done, shows=command.shows if shown else "")
    return None


def _complaint(command: Command, done: Result, shows: str) -> str | None:
    if shows not in done.stdout:
        return f"what can be read is not shown: {done.stdout[-300:]!r}; it said {done.stderr!r}"
    said = done.stderr.strip()
    if not said and command.finds and done.stdout.strip():
        return None  # what it found is why it fails
    if not said:
        return f"it fails without a word on stderr; it said {done.stdout[-200:]!r}"
    if "Traceback" in done.output:
        return "a traceback"
    if len(said.splitlines()[-1]) > 1000:
        return f"its sentence has {len(said.splitlines()[-1])} characters"
    if any(not character.isprintable() and character not in "\n\t" for character in said):
        return f"controls on the terminal: {said!r}"
    return None
