"""Exports as journals: nothing that was hidden is in them, and they are read, folded and verified like any other."""

import json
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from statecore.account import Command
from statecore.errors import JournalCorrupt, JournalError
from statecore.events import Event
from statecore.machine import Machine
from statecore.machines import MACHINES, connection
from statecore.system import System, Unit
from statecore.units import DAYS, SECONDS
from statecore_journal import diverges, fold, open_reader, prune
from statecore_journal.export import Cut, How, export, lines, write_lines
from tests.journal.desk import LAMPS, START, Hand, Pressed, files, opened, record, rows
from tests.journal.test_fold import Nothing, units
from tests.statecore.strategies import histories, seldom, values

ALL = {**MACHINES, **LAMPS}
PACKAGES = ("statecore", "statecore_adapters")
CANARY = "qxyzzq"
SECRET = "qxyzzq-secret-token"

unshrunk = settings(seldom, max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
"""An example writes and reads three journals; what failed is short enough as it is."""


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Return a journal of a day like any other, with all that a gateway leaves in one."""
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            await journal.take("wx", "qxyzzq-boot", 4711, "qxyzzq-host")
            hand = Hand(journal, machines=ALL)
            tie = "connection/wx"
            await hand.happen(tie, connection.Started(boot="qxyzzq-boot", pid=4711, host="qxyzzq-host", epoch=1))
            await hand.happen(tie, connection.Ready())
            for number in range(6):
                chat = f"qxyzzq{number % 3}@im.wechat"
                await hand.receive(f"qxyzzq-in{number}", chat, text=f"qxyzzq says hello {number}")
                until = ("delivered", "dead", "queued", "sending")[number % 4]
                await hand.send(f"qxyzzq-out{number}", chat, text="qxyzzq!", until=until, key=f"qxyzzq-{number}")
                await hand.happen(f"lamp/wx/qxyzzq{number}", Pressed(note="qxyzzq"))
            await hand.receive("qxyzzq-bad", until="quarantined")
            await hand.poll(2)
            unit = hand.unit((tie, connection.ClockStepped(by=1)))
            unit.secrets = {"qxyzzq-name": SECRET}
            await hand.commit(unit)
            await journal.ask("wx", Command(id=0, kind="send", target="qxyzzq0@im.wechat", text="qxyzzq", delivery="q"))
            await journal.ask("wx", Command(id=0, kind="retry", target="delivery/wx/qxyzzq-out1"))

    trio.run(main)
    return path


def states(path: Path) -> list[tuple[Any, ...]]:
    """Return all that an export must not change."""
    kept = "seq, version, event, source, target, guards, cause, epoch, schema, definition, outcome"
    return rows(path, f"select {kept} from events order by seq")


def ends(path: Path) -> list[tuple[Any, ...]]:
    return rows(path, "select seq, machine, state, version, entered, ord, live, final from instances order by seq")


def exported(path: Path, name: str = "export.db", **how: Any) -> Path:
    to = path.parent / name
    cut = how.pop("cut", Cut())
    machines = how.pop("machines", ALL)
    export(path, to, how=How(packages=PACKAGES, machines=machines, **how), cut=cut)
    return to


# ---- what is gone ----------------------------------------------------------------------------------------------------


def test_nothing_that_tells_of_anybody_is_in_an_export(day: Path) -> None:
    """It is attached to a public bug report, where it stays for ever."""
    found = exported(day)

    assert CANARY.encode() not in found.read_bytes()
    assert b"4711" not in found.read_bytes()
    assert rows(found, "select * from secrets") == []
    assert {body for (body,) in rows(found, "select body from commands")} == {""}
    assert CANARY not in "\n".join(lines(day, how=How(packages=PACKAGES)))


def canaries(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Draw events in which every text is, or holds, something that must not get out."""
    words = st.sampled_from(
        ["{}", "{} ", "a {} b", "http://{}/x", "ret=-2 {}", '"the {} is"', "/{}/{}", "{}: {}", "ValueError: {}"]
    )
    text = st.tuples(words, st.sampled_from([CANARY, "Qxyzzq77", "123456789012", "早早早"])).map(
        lambda drawn: drawn[0].replace("{}", drawn[1])
    )
    return values(kind, {str: text, int: st.integers(0, 3), bool: st.booleans(), float: st.just(1.0)})


@pytest.mark.parametrize("name", MACHINES)
def test_no_text_of_any_field_of_any_event_gets_out(name: str) -> None:
    """Whatever a platform answers, and whatever somebody adds."""
    machine = MACHINES[name]
    kinds = [event for event in machine.events if isinstance(event, type)]

    @unshrunk
    @given(st.lists(st.one_of([canaries(kind) for kind in kinds]), min_size=1, max_size=30))
    def check(events: list[Event]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gateway.db"
            record(path, happened(machine, events))
            content = exported(path).read_bytes()
            told = "\n".join(lines(path, how=How(packages=PACKAGES))).encode()

            for canary in (b"qxyzzq", b"Qxyzzq", b"123456789012", "早".encode()):
                assert canary not in content
                assert canary not in told

    check()


def happened(machine: Machine, events: list[Event]) -> Iterator[Unit]:
    """Let events happen to one instance, sensible or not."""
    system = System(CANARY, MACHINES, Nothing())
    for number, event in enumerate(events):
        unit = system.begin(START + number * SECONDS)
        system.feed(unit, f"{machine.name}/{CANARY}/{CANARY}", event, chat=CANARY)
        yield unit


def test_without_redaction_secrets_stay_out_all_the_same(day: Path) -> None:
    """A copy for oneself is mailed to somebody sooner or later."""
    found = exported(day, plain=True)

    assert CANARY.encode() in found.read_bytes()
    assert SECRET.encode() not in found.read_bytes()
    assert {body for (body,) in rows(found, "select body from commands")} == {""}
    assert diverges(found, machines=ALL) is None


# ---- what is left ----------------------------------------------------------------------------------------------------


def test_an_export_tells_the_same_story(day: Path) -> None:
    """The states, versions, positions and causes are what the report is about."""
    found = exported(day)

    assert states(found) == states(day)
    assert ends(found) == ends(day)
    assert diverges(found, machines=ALL) is None
    with open_reader(found) as reader, open_reader(day) as original:
        told, known = reader.status(START), original.status(START)
        assert [account.state for account in told.accounts] == [account.state for account in known.accounts]
        assert told.accounts[0].name == "account-1"
        assert told.accounts[0].deliveries == known.accounts[0].deliveries
        assert [letter.state for letter in reader.dead()] == [letter.state for letter in original.dead()]
        assert len(list(reader.log(chat="chat-1@im.wechat"))) == len(list(original.log(chat="qxyzzq0@im.wechat")))


@pytest.mark.parametrize("name", MACHINES)
def test_whatever_happened_folds_after_it_was_hidden(name: str) -> None:
    """Guards look at fields, and reasons are made of them; where hiding one changed a state, the export would lie."""
    machine = MACHINES[name]

    @unshrunk
    @given(st.data())
    def check(data: st.DataObject) -> None:
        lives = [data.draw(histories(machine, most=14)) for _ in range(2)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gateway.db"
            record(path, units(machine, lives))
            last = len(states(path))
            since = data.draw(st.integers(1, last))
            until = data.draw(st.integers(since, last))
            shift = data.draw(st.booleans())
            found = exported(path, shift=shift)
            part = exported(path, "part.db", shift=shift, cut=Cut(since=since, until=until))

            assert states(found) == states(path)
            assert ends(found) == ends(path)
            assert diverges(found) is None
            assert states(part) == [row for row in states(path) if since <= row[0] <= until]
            assert diverges(part) is None

    check()


def test_a_pruned_journal_is_exported_with_its_checkpoints(day: Path) -> None:
    """Old journals are pruned ones."""
    with open_reader(day) as reader:
        now = reader.status(START).now
    prune(day, now=now + 10 * DAYS, older_than=1 * DAYS)
    found = exported(day)

    assert rows(found, "select count(*) from checkpoints") == rows(day, "select count(*) from checkpoints")
    assert rows(found, "select count(*) from checkpoints") != [(0,)]
    assert CANARY.encode() not in found.read_bytes()
    assert states(found) == states(day)
    assert diverges(found, machines=ALL) is None


def test_times_may_be_moved_to_a_fixed_date(day: Path) -> None:
    """When somebody was awake tells who they are."""
    found = exported(day, shift=True)

    assert rows(found, "select at, wall from events where seq = 1") == [(10_957 * DAYS, 10_957 * DAYS)]
    assert diverges(found, machines=ALL) is None
    assert [at for (at,) in rows(found, "select at - 946684800000000000 from events order by seq")] == [
        at - rows(day, "select at from events where seq = 1")[0][0]
        for (at,) in rows(day, "select at from events order by seq")
    ]


def test_machines_without_code_are_copied_as_they_stand(day: Path) -> None:
    """The export is made where the gateway ran, and often not where its machines were written."""
    found = exported(day, machines=MACHINES)

    assert states(found) == states(day)
    assert diverges(found, machines=ALL) is None


def test_exporting_an_export_changes_no_story(day: Path) -> None:
    """Somebody cuts a part out of what they were sent."""
    once = exported(day)
    twice = exported(once, "twice.db")

    assert states(twice) == states(day)
    assert diverges(twice, machines=ALL) is None


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_a_part_begins_with_checkpoints_and_folds(day: Path) -> None:
    """A journal of a year has an hour that matters."""
    every = states(day)
    middle = len(every) // 2
    for cut in (Cut(since=middle), Cut(until=middle), Cut(since=middle, until=middle + 5)):
        found = exported(day, f"{cut.since}-{cut.until}.db", cut=cut)

        assert states(found) == [row for row in every if cut.since <= row[0] <= cut.until]
        assert diverges(found, machines=ALL) is None
        with open_reader(found) as reader, open_reader(day) as original:
            wanted = {
                end.snapshot[:1] + end.snapshot[2:]: end.seq for end in fold(original, until=cut.until, machines=ALL)
            }
            assert {end.snapshot[:1] + end.snapshot[2:] for end in fold(reader, machines=ALL)} <= set(wanted)
            assert reader.status(START).accounts[0].state == "connected"


def test_what_was_over_before_a_part_begins_is_left_out_of_it(day: Path) -> None:
    """Else the chats of a year are counted in the export of an hour."""
    last = len(states(day))
    found = exported(day, cut=Cut(since=last))

    assert not {state for (state,) in rows(found, "select state from instances")} & {"delivered", "done"}
    assert ("connected",) in rows(found, "select state from instances")


def test_a_part_up_to_a_row_says_what_stood_then(day: Path) -> None:
    """Its lanes are those of that moment."""
    for until in range(1, len(states(day)) + 1, 3):
        found = exported(day, f"{until}.db", cut=Cut(until=until), plain=True)
        live = rows(found, "select address, ord from instances where live = 1")
        sql = (
            "select machine, max(seq) from events where seq <= ? and target not in ('dead', 'delivered', 'done', 'quarantined')"
            " and source = 'new' and machine glob '[di][en][lb]*/*' group by machine"
        )
        entered = dict(rows(day, sql, until))
        assert dict(live) == {address: entered[address] for address, _ in live}


def test_one_chat_is_exported_with_what_its_account_shares(day: Path) -> None:
    """Why a chat was refused often stands in its account's connection or circuit; the other chats are nobody's business."""
    found = exported(day, cut=Cut(chat="qxyzzq1@im.wechat"), plain=True)

    assert {chat for (chat,) in rows(found, "select chat from instances")} == {"", "qxyzzq1@im.wechat"}
    assert ("connection/wx",) in rows(found, "select distinct machine from events")
    assert b"qxyzzq2@im" not in found.read_bytes()
    assert diverges(found, machines=ALL) is None


def test_an_account_or_chat_that_is_not_there_is_named(day: Path) -> None:
    """An empty export would read as "nothing happened"."""
    with pytest.raises(JournalError, match="no chat 'nobody'"):
        exported(day, cut=Cut(chat="nobody"))
    with pytest.raises(JournalError, match=r"no chat 'qxyzzq1@im\.wechat' of account 'zz'"):
        exported(day, cut=Cut(chat="qxyzzq1@im.wechat", account="zz"))


# ---- the file --------------------------------------------------------------------------------------------------------


def test_an_export_is_one_file_that_only_its_owner_reads(day: Path) -> None:
    """It may be a plain one; and a -wal beside it would be forgotten when it is sent."""
    before = files(day.parent)
    found = exported(day)

    assert stat.S_IMODE(found.stat().st_mode) == 0o600
    assert set(files(day.parent)) - set(before) == {"export.db"}
    assert all(files(day.parent)[name] == content for name, content in before.items())


def test_a_file_that_is_there_is_not_overwritten_unasked(day: Path) -> None:
    """It may be the only copy of last week's incident."""
    (day.parent / "export.db").write_text("precious")

    with pytest.raises(JournalError, match="is there already"):
        exported(day)
    assert (day.parent / "export.db").read_text() == "precious"
    export(day, day.parent / "export.db", force=True)
    assert diverges(day.parent / "export.db", machines=ALL) is None


@pytest.mark.parametrize("force", [False, True])
def test_the_journal_itself_is_not_overwritten_at_all(day: Path, *, force: bool) -> None:
    """By a slip of the keyboard."""
    content = day.read_bytes()
    (day.parent / "link.db").symlink_to(day)
    (day.parent / "link2.db").hardlink_to(day)

    for name in ("gateway.db", "link.db", "link2.db"):
        with pytest.raises(JournalError):
            export(day, day.parent / name, force=force)
    assert content == day.read_bytes()


def test_a_database_that_somebody_has_open_is_not_replaced(day: Path) -> None:
    """Its writer would go on in a file without a name, and its log would be taken for the new file's."""
    (day.parent / "export.db-wal").write_bytes(b"log")

    with pytest.raises(JournalError, match=r"export\.db-wal is there"):
        export(day, day.parent / "export.db", force=True)


def test_a_folder_that_is_not_there_is_named(day: Path) -> None:
    """The file's name says nothing of why it failed."""
    with pytest.raises(JournalError, match="cannot be written: No such file or directory"):
        export(day, day.parent / "nowhere" / "export.db")


def test_an_export_that_fails_leaves_nothing(day: Path) -> None:
    """Half an export is one that somebody trusts."""
    rows(day, "pragma ignore_check_constraints = on")
    with sqlite3.connect(day) as damaged:
        damaged.execute("update events set event = cast(x'ff' as text) where seq = 9")
    damaged.close()
    before = set(files(day.parent))

    with pytest.raises(JournalCorrupt):
        exported(day)
    with pytest.raises(JournalCorrupt):
        write_lines(day, day.parent / "export.jsonl", how=How(), cut=Cut())
    assert set(files(day.parent)) == before


def test_lines_are_the_rows_of_the_events(day: Path) -> None:
    """For tools that know nothing of SQLite."""
    count = write_lines(day, day.parent / "export.jsonl", how=How(packages=PACKAGES), cut=Cut())
    found = [json.loads(line) for line in (day.parent / "export.jsonl").read_text().splitlines()]

    assert count == len(found) == len(states(day))
    assert [row["seq"] for row in found] == [row[0] for row in states(day)]
    assert found[0]["data"]["boot"] == "boot-1"
    assert found[0]["data"]["epoch"] == 1
    assert stat.S_IMODE((day.parent / "export.jsonl").stat().st_mode) == 0o600
