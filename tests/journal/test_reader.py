"""What can be learnt from a journal that may be in use."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from statecore.account import Command
from statecore.machines import circuit, connection, delivery
from statecore.system import Unit
from statecore.units import SECONDS
from statecore_journal import Reader, open_reader, prune, submit
from statecore_journal.reader import CHATS_SHOWN, LOG_PAGE, SILENT_AFTER
from tests.journal.desk import LAMPS, START, Clock, Hand, Looked, Pressed, opened

DAY = 86_400 * SECONDS


def make(path: Path, build: Callable[[Hand], Any]) -> Hand:
    """Make a journal of the account "wx"; return the hand that did it."""

    async def main() -> Hand:
        async with opened(path) as journal:
            await journal.take("wx", "boot", 7, "host")
            hand = Hand(journal)
            await hand.dial()
            await build(hand)
        return hand

    return trio.run(main)


# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_is_where_everything_is(tmp_path: Path) -> None:
    """
    One answer to "does it run, what waits, why, and what am I to do".
    """

    async def build(hand: Hand) -> None:
        await hand.receive("in1", "anna")
        await hand.receive("in2", "anna", until="quarantined")
        await hand.send("out1", "anna")
        await hand.send("out2", "anna", until="dead")
        for id_ in ("out3", "out4"):
            await hand.send(id_, "bert", until="queued")
        held = delivery.Held(by="window", reason="used up", action="wait for bert")
        await hand.happen("delivery/wx/out3", held)

    hand = make(tmp_path / "gateway.db", build)
    submit(tmp_path / "gateway.db", "wx", Command(id=0, kind="resume"), wall=START)
    submit(tmp_path / "gateway.db", "qq", Command(id=0, kind="resume"), wall=START)
    with open_reader(tmp_path / "gateway.db") as reader:
        status = reader.status(START + 2 * SECONDS, {"tg": "no credentials"})
        assert status.events == reader.status(START).events == len(list(reader.log()))

    qq, tg, wx = status.accounts
    assert (wx.connected, wx.state, wx.commands, wx.trouble) == (True, "connected", 1, "")
    assert wx.deliveries == {"delivered": 1, "dead": 1, "queued": 1, "window-closed": 1}
    assert wx.messages == {"done": 1, "quarantined": 1}
    (chat,) = wx.chats
    assert (chat.chat, chat.waiting, chat.first, chat.state) == ("bert", 2, "delivery/wx/out3", "window-closed")
    assert (chat.reason, chat.action, chat.window) == ("used up", "wait for bert", "unseen")
    assert wx.owner is not None
    assert (wx.owner.pid, wx.owner.host, wx.owner.epoch, wx.owner.says, wx.owner.silent) == (
        7,
        "host",
        1,
        "running",
        False,
    )
    assert (qq.connected, qq.owner, qq.commands) == (False, None, 1)
    assert tg.trouble == "no credentials"
    assert status.now == hand.now + 2 * SECONDS


def test_what_a_silent_owner_said_last_is_not_repeated(tmp_path: Path) -> None:
    """
    "connected" of a process that was killed an hour ago is how people lose a day.
    """
    make(tmp_path / "gateway.db", lambda hand: hand.poll(1))
    with open_reader(tmp_path / "gateway.db") as reader:
        fresh = reader.status(START + SILENT_AFTER).accounts[0]
        silent = reader.status(START + SILENT_AFTER + 1).accounts[0]

    assert (fresh.connected, silent.connected) == (True, None)
    assert silent.owner is not None
    assert silent.owner.silent
    assert silent.owner.beat_age == SILENT_AFTER + 1


def test_an_account_whose_owner_stopped_is_not_connected(tmp_path: Path) -> None:
    """
    It said so itself, so this is known and not unknown.
    """

    async def build(hand: Hand) -> None:
        await hand.journal.beat({"wx": (1, "stopped")})

    make(tmp_path / "gateway.db", build)
    with open_reader(tmp_path / "gateway.db") as reader:
        assert reader.status(START + DAY).accounts[0].connected is False


def test_why_the_connection_and_the_circuit_wait_is_said(tmp_path: Path) -> None:
    """
    A state that waits for a person names what that person must do.
    """

    async def build(hand: Hand) -> None:
        tie = connection.TokenRefused(code="401", message="expired", wait=60 * SECONDS, action="log in again")
        await hand.happen("connection/wx", tie)
        await hand.happen("circuit/wx", circuit.Tripped(reason="too fast", wait=30 * SECONDS, failures=1))

    hand = make(tmp_path / "gateway.db", build)
    with open_reader(tmp_path / "gateway.db") as reader:
        account = reader.status(START).accounts[0]

    assert (account.state, account.connected) == ("token-stale", False)
    assert (account.reason, account.action) == ("401: expired", "log in again")
    assert account.until == hand.now - SECONDS + 60 * SECONDS
    assert (account.circuit, account.circuit_reason) == ("open", "too fast")
    assert account.circuit_until == hand.now + 30 * SECONDS


def test_of_many_chats_the_fullest_are_explained_and_all_are_counted(tmp_path: Path) -> None:
    """
    A status of ten thousand lines is none.
    """

    async def build(hand: Hand) -> None:
        for number in range(CHATS_SHOWN + 5):
            await hand.send(f"o{number}", f"chat {number}", until="queued")
        await hand.send("more", "chat 33", until="queued")

    make(tmp_path / "gateway.db", build)
    with open_reader(tmp_path / "gateway.db") as reader:
        account = reader.status(START).accounts[0]

    assert len(account.chats) == CHATS_SHOWN
    assert account.chats_waiting == CHATS_SHOWN + 5
    assert account.chats[0].chat == "chat 33"


def test_an_empty_journal_has_a_status(tmp_path: Path) -> None:
    """
    It is what a new user sees first.
    """

    async def main() -> None:
        async with opened(tmp_path / "gateway.db") as journal:
            status = journal.status()
            assert (status.events, status.accounts, status.now) == (0, (), START)

    trio.run(main)


def work(path: Path, ask: Callable[[Reader], Any]) -> int:
    """Return how many thousands of SQLite's own steps an answer takes."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with open_reader(path) as reader, reader.reading() as opened_:
        opened_.set_progress_handler(count, 1000)
        ask(reader)
    return steps


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal with two thousand deliveries, all of which are over."""
    path = tmp_path_factory.mktemp("old") / "gateway.db"

    def units(hand: Hand, first: int) -> Iterator[Unit]:
        for number in range(first, first + 100):
            address = f"delivery/wx/{number}"
            yield hand.unit((address, delivery.Accepted(chat="c", parts=("t",))), chat="c")
            yield hand.unit((address, delivery.Turn(token=1, left=1)))
            yield hand.unit((address, delivery.PartAccepted(message="m")))

    async def build(hand: Hand) -> None:
        for first in range(0, 2000, 100):
            await hand.journal.append(list(units(hand, first)))

    make(path, build)
    return path


ANSWERS: dict[str, tuple[Callable[[Reader], Any], int]] = {
    "status": (lambda reader: reader.status(START), 24),
    "dead": (lambda reader: reader.dead(), 1),
    "find": (lambda reader: reader.find("nothing has this id"), 1),
    "letter": (lambda reader: reader.letter("delivery/wx/5"), 1),
    "the end of the log": (lambda reader: list(reader.log(last=5)), 1),
    "what is new in the log": (lambda reader: list(reader.log(after=5990, machine="delivery")), 1),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_costs_what_is_live_and_not_what_is_old(old: Path, name: str) -> None:
    """
    Counted in thousands of SQLite's own steps, so that no machine is too slow for it. Only the finished messages are
    counted one by one, at a few steps each, in an index that holds nothing else.
    """
    ask, most = ANSWERS[name]

    assert work(old, ask) <= most


# ---- log -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal with a little of everything."""
    path = tmp_path_factory.mktemp("log") / "gateway.db"

    async def build(hand: Hand) -> None:
        await hand.receive("1", "anna")
        await hand.send("out1", "anna")
        await hand.send("out2", "ann*", until="dead")
        await hand.send("out3", "anna", until="queued")

    make(path, build)
    return path


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"machine": "connection"}, ["Started", "Ready"]),
        ({"machine": "connection/wx"}, ["Started", "Ready"]),
        ({"machine": "deliver"}, []),
        ({"machine": "delivery/wx/out1"}, ["Accepted", "Turn", "PartAccepted"]),
        ({"machine": "delivery/wx/out"}, []),
        ({"machine": "window"}, ["Heard", "Spent", "Spent"]),
        ({"chat": "ann*"}, ["Accepted", "Turn", "Spent", "NotSent"]),
        ({"chat": "nobody"}, []),
        ({"account": "wx", "event": "Ready"}, ["Ready"]),
        ({"account": "w"}, []),
        ({"account": "w*"}, []),
        ({"event": "Accepted"}, ["Accepted"] * 3),
        ({"state": "dead"}, ["NotSent"]),
        ({"state": "dialling"}, ["Started", "Ready"]),
        ({"last": 2}, ["NotSent", "Accepted"]),
        ({"event": "Accepted", "last": 1}, ["Accepted"]),
        ({"after": 2, "machine": "connection"}, []),
        ({"machine": "delivery", "chat": "anna", "event": "Turn"}, ["Turn"]),
    ],
)
def test_a_log_holds_what_was_asked_for(logged: Path, filters: dict[str, Any], expected: list[str]) -> None:
    """
    Names and ids are text, whatever characters they have.
    """
    with open_reader(logged) as reader:
        assert [row.event for row in reader.log(**filters)] == expected


def test_the_last_rows_are_the_last_and_in_their_order(logged: Path) -> None:
    """
    `--last 3` after an incident.
    """
    with open_reader(logged) as reader:
        everything = list(reader.log())
        for count in (1, 3, len(everything), len(everything) + 10):
            assert list(reader.log(last=count)) == everything[-count:]


def test_a_log_of_many_pages_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is read a page at a time, and ends where the journal ended when it was asked for.
    """
    monkeypatch.setattr("statecore_journal.reader.LOG_PAGE", 7)
    assert LOG_PAGE > 100
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=LAMPS)
            await hand.happen("lamp/wx/1", *[Pressed()] * 20)
            await hand.happen("lamp/wx/2", *[Looked()] * 20)
            with open_reader(path) as reader:
                rows = reader.log()
                seen = [next(rows).seq]
                await hand.happen("lamp/wx/1", Pressed())
                seen += [row.seq for row in rows]
                assert seen == list(range(1, 41))
                assert len(list(reader.log(event="Looked"))) == 20
                assert len(list(reader.log(machine="lamp/wx/1", last=15))) == 15

    trio.run(main)


def test_a_row_tells_its_fields(logged: Path) -> None:
    """
    As values, for whoever filters them further.
    """
    with open_reader(logged) as reader:
        (row,) = reader.log(machine="delivery/wx/out1", event="Accepted")

    assert row.fields == {"chat": "anna", "parts": ["you said hello"]}
    assert (row.source, row.target, row.outcome, row.epoch) == ("new", "queued", None, 1)


# ---- dead letters ----------------------------------------------------------------------------------------------------


def test_what_waits_for_a_person_is_listed_with_its_text(tmp_path: Path) -> None:
    """
    The reason, what to do, and enough to recognise it by.
    """

    async def build(hand: Hand) -> None:
        await hand.send("out1", "anna", "lost words", until="dead")
        await hand.receive("in1", "anna", "strange words", until="quarantined")
        await hand.send("out2", "anna")

    make(tmp_path / "gateway.db", build)
    with open_reader(tmp_path / "gateway.db") as reader:
        sent, received = reader.dead()
        assert reader.dead("wx") == [sent, received]
        assert reader.dead("qq") == []
        assert reader.letter("delivery/wx/out1") == sent
        assert reader.letter("delivery/wx/none") is None
        assert reader.letter("connection/wx") is None

    assert (sent.address, sent.state, sent.text, sent.reason) == (
        "delivery/wx/out1",
        "dead",
        "lost words",
        "connect: refused",
    )
    assert (received.address, received.state, received.text) == ("inbound/wx/in1", "quarantined", "strange words")
    assert received.action


def test_an_id_is_found_by_its_beginning(logged: Path) -> None:
    """
    Nobody types 23 characters. What looks like a pattern is none.
    """
    with open_reader(logged) as reader:
        assert reader.find("out") == ["delivery/wx/out1", "delivery/wx/out2", "delivery/wx/out3"]
        assert reader.find("out2") == ["delivery/wx/out2"]
        assert reader.find("1") == ["inbound/wx/1"]
        assert reader.find("o*") == []
        assert reader.find("delivery/wx/out1") == ["delivery/wx/out1"]
        assert reader.find("delivery/wx/none") == []


def test_a_letter_that_was_pruned_has_no_text_any_more_and_is_still_known(tmp_path: Path) -> None:
    """
    Its id is kept longer than its words.
    """
    path = tmp_path / "gateway.db"

    async def build(hand: Hand) -> None:
        await hand.receive("in1", "anna", "words")
        await hand.send("out1", "anna", "more words", key="k")
        await hand.poll(1)

    hand = make(path, build)
    prune(path, now=hand.now + DAY, older_than=DAY // 2)
    with open_reader(path) as reader:
        for address in ("inbound/wx/in1", "delivery/wx/out1"):
            letter = reader.letter(address)
            assert letter is not None
            assert letter.text == ""
        assert reader.find("in1") == ["inbound/wx/in1"]


def test_what_became_of_a_command_can_be_asked_for(tmp_path: Path) -> None:
    """
    `send --wait` goes by them.
    """
    path = tmp_path / "gateway.db"

    async def build(hand: Hand) -> None:
        number, _ = await hand.journal.ask("wx", Command(id=0, kind="resume"))
        await hand.journal.finish(number, "refused: no")

    make(path, build)
    waiting, _ = submit(path, "wx", Command(id=0, kind="resume"), wall=Clock()())
    with open_reader(path) as reader:
        assert reader.command_result(1) == "refused: no"
        assert reader.command_result(waiting) is None
        assert reader.command_result(99) is None
