"""What pruning takes, what it leaves, and whom it keeps waiting."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from statecore.account import Command
from statecore.errors import Conflict
from statecore.events import Elapsed
from statecore.machines import connection, delivery, inbound
from statecore.units import DAYS, HOURS, MINUTES, SECONDS
from statecore_journal import Pruned, diverges, fold, open_reader, prune, submit
from statecore_journal.retention import DEDUP, ROWS_AT_ONCE, YOUNGEST
from statecore_journal.writer import Existing
from tests.journal.desk import START, Hand, opened, rows


def play(path: Path, main: Callable[[Hand], Any], now: int = START) -> int:
    """Let things happen; return when they ended."""

    async def run() -> int:
        async with opened(path) as journal:
            hand = Hand(journal, now=now)
            await main(hand)
            return hand.now

    return trio.run(run)


def addresses(path: Path, table: str = "instances") -> set[str]:
    column = "machine" if table == "events" else "address"
    return {address for (address,) in rows(path, f"select {column} from {table}")}


def states(path: Path) -> dict[str, Any]:
    """Return where the fold finds every instance."""
    with open_reader(path) as reader:
        return {found.address: found.snapshot for found in fold(reader)}


async def one_of_each(hand: Hand) -> None:
    """Leave one message in every state that matters."""
    await hand.dial()
    for state in ("delivered", "purged", "dead", "queued", "sending"):
        await hand.send(state, f"chat of {state}", until=state)
    await hand.send("keyed", key="k")
    for state in ("done", "quarantined", "waiting", "handling"):
        await hand.receive(state, f"chat of {state}", until=state)
    await hand.poll(1)


FINISHED = {"delivery/wx/delivered", "delivery/wx/purged", "delivery/wx/keyed", "inbound/wx/done"}
WAITING = {"delivery/wx/dead", "inbound/wx/quarantined"}


# ---- by age ----------------------------------------------------------------------------------------------------------


def test_what_is_finished_and_old_goes_and_nothing_else(tmp_path: Path) -> None:
    """
    What is live is owed to someone; what waits for a person is that person's.
    """
    path = tmp_path / "gateway.db"
    ended = play(path, one_of_each)
    before = states(path)
    summary = prune(path, now=ended + 30 * DAYS, older_than=20 * DAYS)

    assert addresses(path) == set(before) - FINISHED
    assert states(path) == {address: snapshot for address, snapshot in before.items() if address not in FINISHED}
    assert rows(path, "select * from keys") == []
    assert (summary.instances, summary.keys, summary.emptied, summary.diverging) == (4, 1, 0, ())
    assert summary.age == 20 * DAYS
    assert diverges(path) is None


def test_what_is_younger_stays_whole(tmp_path: Path) -> None:
    """
    Age counts from when it ended, on the gateway's own clock.
    """
    path = tmp_path / "gateway.db"
    middle = play(path, one_of_each)
    ended = play(path, lambda hand: hand.send("late"), now=middle + 10 * DAYS)
    kept = rows(path, "select * from events where machine = 'delivery/wx/late'")
    prune(path, now=ended + 20 * DAYS, older_than=25 * DAYS)

    assert "delivery/wx/late" in addresses(path)
    assert not FINISHED & addresses(path)
    assert kept == rows(path, "select * from events where machine = 'delivery/wx/late'")


def test_what_waits_for_a_person_goes_only_if_that_is_asked_for(tmp_path: Path) -> None:
    """
    Whoever asks has read the letters, or will never read them.
    """
    path = tmp_path / "gateway.db"
    ended = play(path, one_of_each)
    before = addresses(path)
    summary = prune(path, now=ended + 30 * DAYS, older_than=20 * DAYS, dead=True)

    assert addresses(path) == before - FINISHED - WAITING
    assert summary.instances == 6
    assert diverges(path) is None


def test_ids_and_keys_are_known_for_longer_than_words_are_kept(tmp_path: Path) -> None:
    """
    A platform may deliver a message again after days, and a program may ask again with its key. Neither may go through
    twice because the journal was small. That is all that is left of them: the words are gone.
    """
    path = tmp_path / "gateway.db"

    async def first(hand: Hand) -> None:
        await hand.dial()
        await hand.receive("in", text="private words")
        await hand.send("out", text="more private words", key="k")
        await hand.receive("set aside", until="quarantined")
        await hand.poll(1)

    ended = play(path, first)
    before = states(path)
    summary = prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS, dead=True)

    assert (summary.instances, summary.emptied) == (0, 2)
    assert states(path) == before, "what was set aside has an id as well, so it waits too"
    assert b"private words" not in path.read_bytes()
    assert diverges(path) is None

    async def again(hand: Hand) -> None:
        assert hand.system.exists("inbound/wx/in")
        await hand.happen("inbound/wx/in", inbound.Repeated(id="in", by="id"))
        unit = hand.unit(("delivery/wx/other", delivery.Accepted(chat="c", parts=("t",), key="k")))
        unit.key = "k"
        assert await hand.commit(unit) == Existing("delivery/wx/out")
        await hand.poll(1)

    play(path, again, now=ended + 2 * DAYS)
    assert diverges(path) is None
    prune(path, now=ended + 2 * DAYS + DEDUP + HOURS, older_than=1 * DAYS, dead=True)
    assert addresses(path) & {"inbound/wx/in", "delivery/wx/out", "inbound/wx/set aside"} == set()
    assert (
        rows(path, "select * from keys") == rows(path, "select * from checkpoints where address like 'inbound%'") == []
    )
    assert diverges(path) is None


def test_nothing_of_the_last_minutes_goes_whatever_is_asked(tmp_path: Path) -> None:
    """
    Somebody is about to ask what became of it.
    """
    path = tmp_path / "gateway.db"
    ended = play(path, one_of_each)
    before = rows(path, "select * from events")
    assert prune(path, now=ended, older_than=0, max_bytes=0, dedup=0, dead=True).events == 0

    assert before == rows(path, "select * from events")
    prune(path, now=ended + YOUNGEST + MINUTES, older_than=0, dedup=0)
    assert not FINISHED & addresses(path)


def test_the_newest_event_stays_or_its_place_would_be_given_twice(tmp_path: Path) -> None:
    """
    Places are counted from the newest. They order lanes, and readers go on behind them.
    """
    path = tmp_path / "gateway.db"
    ended = play(path, lambda hand: hand.send("out"))
    ((newest,),) = rows(path, "select max(seq) from events")
    prune(path, now=ended + 100 * DAYS, older_than=1 * DAYS, max_bytes=0, dedup=0, dead=True)
    assert rows(path, "select max(seq) from events") == [(newest,)]

    play(path, lambda hand: hand.send("next"), now=ended + 100 * DAYS)
    prune(path, now=ended + 200 * DAYS, older_than=1 * DAYS)
    assert rows(path, "select min(seq) > ? from events", newest) == [(1,)]
    assert diverges(path) is None


def test_commands_that_were_carried_out_go_and_those_that_wait_stay(tmp_path: Path) -> None:
    """
    One that waits is a message somebody was promised.
    """
    path = tmp_path / "gateway.db"
    for number in range(21):
        submit(path, "wx", Command(id=0, kind="resume", target=str(number)), wall=START)
    rows(path, "update commands set done = 'done' where id % 2")
    with closing(sqlite3.connect(path)) as connection_:
        connection_.executemany(
            "insert into commands (account, kind, target, body, wall, done) values ('wx', 'x', '', '', ?, 'done')",
            [(START,)] * (2 * ROWS_AT_ONCE),
        )
        connection_.commit()
    submit(path, "wx", Command(id=0, kind="resume"), wall=START + 9 * DAYS)
    rows(path, "update commands set done = 'done' where wall > ?", START)
    summary = prune(path, now=START + 10 * DAYS, older_than=5 * DAYS)

    assert summary.commands == 2 * ROWS_AT_ONCE + 11
    assert rows(path, "select count(*), count(done) from commands") == [(11, 1)]


def test_secrets_and_leases_are_nobody_s_business_here(tmp_path: Path) -> None:
    """
    A token that is not used for a month is still the token.
    """
    path = tmp_path / "gateway.db"

    async def main(hand: Hand) -> None:
        await hand.journal.take("wx", "b", 1, "h")
        unit = hand.unit()
        unit.secrets["token/chat"] = "x"
        await hand.commit(unit)

    ended = play(path, main)
    before = rows(path, "select * from secrets"), rows(path, "select * from leases")
    prune(path, now=ended + 1000 * DAYS, older_than=1 * DAYS, max_bytes=0, dedup=0, dead=True)

    assert before == (rows(path, "select * from secrets"), rows(path, "select * from leases"))


# ---- what goes on for ever -------------------------------------------------------------------------------------------


def test_old_rows_of_a_connection_give_way_to_a_checkpoint(tmp_path: Path) -> None:
    """
    An idle account makes five thousand rows a day, and is never finished.
    """
    path = tmp_path / "gateway.db"

    async def main(hand: Hand) -> None:
        await hand.dial()
        await hand.poll(40)

    ended = play(path, main)
    before = states(path)
    cut_at = ended - 700 * SECONDS
    old = rows(path, "select count(*), max(version), max(seq) from events where at < ?", cut_at)
    young = rows(path, "select * from events where at >= ?", cut_at)
    summary = prune(path, now=ended, older_than=700 * SECONDS)

    assert (summary.cut, summary.events) == (1, old[0][0])
    assert rows(path, "select version, seq from checkpoints") == [old[0][1:]]
    assert young == rows(path, "select * from events")
    assert states(path) == before
    assert diverges(path) is None
    prune(path, now=ended + 1 * DAYS, older_than=1 * HOURS)
    assert len(rows(path, "select * from events")) == 1
    assert states(path) == before
    play(path, lambda hand: hand.poll(2), now=ended + 1 * DAYS)
    assert diverges(path) is None


def test_windows_and_circuits_are_cut_as_well(tmp_path: Path) -> None:
    """
    There is one of each for every chat there ever was.
    """
    path = tmp_path / "gateway.db"

    async def main(hand: Hand) -> None:
        for number in range(3):
            for chat in ("a", "b"):
                await hand.receive(f"{number}{chat}", chat)
        await hand.dial()

    ended = play(path, main)
    summary = prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS)

    assert addresses(path, "events") == {"connection/wx"}
    assert summary.cut == 3
    assert addresses(path) >= {"window/wx/a", "window/wx/b"}
    assert diverges(path) is None


def test_what_this_code_replays_differently_is_left_and_said(tmp_path: Path) -> None:
    """
    A checkpoint would make the difference invisible for ever.
    """
    path = tmp_path / "gateway.db"

    async def main(hand: Hand) -> None:
        await hand.dial()
        await hand.poll(5)

    ended = play(path, main)
    rows(path, "update events set target = 'resting', source = 'resting' where version = 3")
    before = rows(path, "select * from events")
    summary = prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS)

    assert summary.diverging == ("connection/wx",)
    assert before == rows(path, "select * from events")
    rows(path, "update events set source = 'connected' where version = 3")
    rows(path, """update instances set data = '{"generation":5}'""")
    assert prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS).diverging == (), (
        "the newest row stays, so all is well"
    )
    play(path, lambda hand: hand.send("out"), now=ended)
    assert prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS).diverging == ("connection/wx",)


# ---- by size ---------------------------------------------------------------------------------------------------------


def fill(path: Path, count: int) -> int:
    async def main(hand: Hand) -> None:
        await hand.dial()
        for number in range(count):
            await hand.send(f"out{number:04}", f"chat {number % 3}", text="x" * 800)
            hand.now += 1 * HOURS
        await hand.send("live", until="queued")

    return play(path, main)


def test_a_journal_is_brought_below_a_size_at_the_cost_of_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The disk is bounded, and what is youngest is what people ask for.
    """
    monkeypatch.setattr("statecore_journal.retention.ROWS_AT_ONCE", 20)
    path = tmp_path / "gateway.db"
    ended = fill(path, 200)
    size = path.stat().st_size
    summary = prune(path, now=ended, max_bytes=size // 2)

    assert summary.bytes_before == size
    assert summary.bytes_after <= size // 2
    assert path.stat().st_size == summary.bytes_after
    kept = sorted(address for address in addresses(path) if "out" in address)
    assert kept == [f"delivery/wx/out{number:04}" for number in range(200 - len(kept), 200)]
    assert len(kept) > 70
    assert addresses(path) >= {"delivery/wx/live", "connection/wx"}
    assert diverges(path) is None


def test_by_size_no_more_goes_than_has_to(tmp_path: Path) -> None:
    """
    A journal that is small enough is left alone.
    """
    path = tmp_path / "gateway.db"
    ended = fill(path, 30)
    summary = prune(path, now=ended + 30 * DAYS, max_bytes=path.stat().st_size)

    assert (summary.instances, summary.events) == (0, 0)


def test_a_size_that_cannot_be_reached_takes_what_is_finished_and_ends(tmp_path: Path) -> None:
    """
    What is live is not sold for space.
    """
    path = tmp_path / "gateway.db"
    ended = fill(path, 30)
    summary = prune(path, now=ended + 30 * DAYS, max_bytes=1)

    assert summary.bytes_after > 1
    assert {address for address in addresses(path) if address.startswith("delivery")} == {"delivery/wx/live"}
    assert summary.age == YOUNGEST
    assert diverges(path) is None


def test_age_comes_first_and_size_after_it(tmp_path: Path) -> None:
    """
    What is too old goes although there is space; the size is for the rest.
    """
    path = tmp_path / "gateway.db"
    ended = fill(path, 100)
    young = {address for (address,) in rows(path, "select address from instances where at >= ?", ended - 50 * HOURS)}
    summary = prune(path, now=ended, older_than=50 * HOURS, max_bytes=2**40)

    assert summary.age == 50 * HOURS
    assert {address for address in addresses(path) if "out" in address} == {name for name in young if "out" in name}
    assert 45 < len(young) < 60


# ---- in small pieces -------------------------------------------------------------------------------------------------


def test_no_transaction_is_long_however_much_there_is_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Appends wait for it. A message of a thousand parts and a connection of a year are cut up as well.
    """
    path = tmp_path / "gateway.db"
    parts = ROWS_AT_ONCE

    async def main(hand: Hand) -> None:
        await hand.dial()
        await hand.poll(ROWS_AT_ONCE)
        units = [hand.unit(("delivery/wx/long", delivery.Accepted(chat="c", parts=("t",) * parts)), chat="c")]
        for _ in range(parts):
            units.append(hand.unit(("delivery/wx/long", delivery.Turn(token=1, left=9))))
            units.append(hand.unit(("delivery/wx/long", delivery.PartAccepted(message="m"))))
            snapshot = hand.system.snapshot("delivery/wx/long")
            if snapshot.state == "pacing":
                hand.now = max(hand.now, snapshot.data.next_at)
                units.append(hand.unit(("delivery/wx/long", Elapsed("next_at"))))
        await hand.journal.append(units)
        await hand.poll(1)

    ended = play(path, main)
    counts: list[int] = []

    async def watch() -> Pruned:
        async with opened(path) as journal:
            run = journal._writer.run

            async def counted(work: Any) -> Any:
                before = rows(path, "select count(*) from events")[0][0]
                result = await run(work)
                counts.append(before - rows(path, "select count(*) from events")[0][0])
                if counts[-1]:
                    assert diverges(path) is None, "it is whole after every transaction"
                return result

            monkeypatch.setattr(journal._writer, "run", counted)
            return await journal.prune(now=ended + 30 * DAYS, older_than=1 * DAYS)

    summary = trio.run(watch)

    assert summary.events == sum(counts) > 4 * ROWS_AT_ONCE
    assert max(counts) <= ROWS_AT_ONCE
    assert "delivery/wx/long" not in addresses(path)
    assert addresses(path, "checkpoints") == {"connection/wx", "window/wx/c"} & addresses(path, "checkpoints")


def test_a_gateway_goes_on_writing_while_it_prunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It prunes itself, once an hour.
    """
    monkeypatch.setattr("statecore_journal.retention.ROWS_AT_ONCE", 50)
    path = tmp_path / "gateway.db"
    ended = fill(path, 300)
    dropped: list[str] = []
    during: list[int] = []

    async def main() -> None:
        async with opened(path) as journal, trio.open_nursery() as nursery:
            done = trio.Event()

            async def write() -> None:
                hand = Hand(journal, "qq", now=ended + 30 * DAYS)
                number = 0
                while not done.is_set():
                    await hand.send(f"new{number}")
                    during.append(number)
                    number += 1

            nursery.start_soon(write)
            summary = await journal.prune(now=ended + 30 * DAYS, older_than=1 * DAYS, dropped=dropped.extend)
            done.set()
            assert summary.instances == 300

    trio.run(main)

    assert len(during) > 5
    assert sorted(dropped) == [f"delivery/wx/out{n:04}" for n in range(300)]
    assert diverges(path) is None


def test_what_is_freed_is_given_back_to_the_disk(tmp_path: Path) -> None:
    """
    By a gateway too, although its log is between it and the file.
    """
    path = tmp_path / "gateway.db"
    ended = fill(path, 300)
    size = path.stat().st_size
    log_sizes: list[int] = []

    async def main() -> Pruned:
        async with opened(path) as journal:
            summary = await journal.prune(now=ended + 30 * DAYS, older_than=1 * DAYS)
            log_sizes.extend(((tmp_path / "gateway.db-wal").stat().st_size, path.stat().st_size))
            return summary

    summary = trio.run(main)

    assert log_sizes == [0, summary.bytes_after]
    assert summary.bytes_after < size // 4
    assert rows(path, "pragma freelist_count") == [(0,)]


def test_an_instance_that_was_pruned_beneath_a_decision_is_a_conflict(tmp_path: Path) -> None:
    """
    A copy of a message arrives in the very moment in which the message is forgotten. Rows that go on from nothing could
    never be replayed, so the account starts again from the journal, and takes the copy for what it now is: new.
    """
    path = tmp_path / "gateway.db"

    async def main(hand: Hand) -> None:
        address = await hand.receive("in")
        await hand.dial()
        unit = hand.unit((address, inbound.Repeated(id="in", by="id")))
        await hand.journal.prune(now=hand.now + 30 * DAYS, older_than=1 * DAYS)
        with pytest.raises(Conflict, match=address):
            await hand.commit(unit)

    play(path, main)
    assert diverges(path) is None


def test_pruning_twice_is_pruning_once(tmp_path: Path) -> None:
    """
    Nothing is cut that was cut already.
    """
    path = tmp_path / "gateway.db"
    ended = play(path, one_of_each)
    prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS)
    before = path.read_bytes()
    summary = prune(path, now=ended + 2 * DAYS, older_than=1 * DAYS)

    assert (summary.instances, summary.emptied, summary.cut, summary.events) == (0, 0, 0, 0)
    assert len(before) == path.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({}, "how old, how large, or both"), ({"older_than": -1}, "not negative"), ({"max_bytes": -1}, "not negative")],
    ids=["nothing", "a negative age", "a negative size"],
)
def test_a_pruning_that_makes_no_sense_is_refused(tmp_path: Path, arguments: dict[str, Any], says: str) -> None:
    """
    A forgotten option must not mean "everything".
    """
    with pytest.raises(ValueError, match=says):
        prune(tmp_path / "gateway.db", now=START, **arguments)


def test_a_clock_behind_the_journal_s_own_prunes_less_and_not_more(tmp_path: Path) -> None:
    """
    The wall clock of the machine may be wrong. Ages are taken from the journal's clock then, which never went back.
    """
    path = tmp_path / "gateway.db"

    async def main(hand: Hand) -> None:
        await hand.send("out")
        hand.now += 10 * DAYS
        await hand.happen("connection/wx", connection.ClockStepped(by=1))

    play(path, main)
    prune(path, now=START - 1000 * DAYS, older_than=20 * DAYS)
    assert "delivery/wx/out" in addresses(path)

    prune(path, now=START - 1000 * DAYS, older_than=5 * DAYS)
    assert "delivery/wx/out" not in addresses(path)
