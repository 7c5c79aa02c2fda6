"""`statecore export` and `statecore prune`, as they are typed."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from statecore.units import DAYS, MINUTES
from statecore.world import wall_now
from statecore_journal import diverges
from tests.journal.desk import Hand, opened
from tests.journal.test_files import running
from tests.support.command import invoke


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal of forty days ago, with one message that waits and one that died."""
    path = tmp_path / "gateway.db"
    began = wall_now() - 40 * DAYS

    async def main() -> None:
        async with opened(path, wall=lambda: began) as opened_:
            hand = Hand(opened_, account="shop", now=began)
            await hand.dial()
            for number in range(8):
                chat = f"zuckerfee{number % 2}@im.wechat"
                await hand.receive(f"in{number}", chat, "see you at nine")
                await hand.send(
                    f"out{number}", chat, until="dead" if number == 1 else "queued" if number == 2 else "delivered"
                )
            hand.now += 30 * MINUTES
            await hand.poll(3)

    trio.run(main)
    return path


def events(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select seq, machine, event from events order by seq").fetchall()


# ---- export ----------------------------------------------------------------------------------------------------------


def test_an_export_says_what_was_replaced_and_how_to_look_at_it(journal: Path) -> None:
    """Nobody should attach a file to a public issue without having looked into it."""
    found = journal.with_name("incident.db")
    done = invoke("export", journal, "-o", found)

    assert done.exit_code == 0
    last = done.output.splitlines()[-1]
    assert f"{found}: {len(events(journal))} events of" in last
    for said in ("1 account, ", "2 chats, ", "texts, ", "8 ids of deliveries", "secrets are never exported"):
        assert said in last
    assert last.endswith(f"look before you share: statecore log {found}")
    assert b"zuckerfee" not in found.read_bytes()
    assert diverges(found) is None
    for command in (["status"], ["log"], ["dead", "list"]):
        assert invoke(*command, found).exit_code == 0


def test_an_export_can_be_lines(journal: Path) -> None:
    """To be filtered by jq, or looked at by an editor."""
    to_file = invoke("export", journal, "-o", journal.with_name("x.jsonl"))
    printed = invoke("export", journal, "--json")

    assert to_file.exit_code == printed.exit_code == 0
    rows = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [row["seq"] for row in rows] == [seq for seq, _, _ in events(journal)]
    assert journal.with_name("x.jsonl").read_text().splitlines() == printed.stdout.splitlines()
    assert "zuckerfee" not in printed.stdout


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        (["--since", "10"], 10, 999),
        (["--until", "10"], 1, 10),
        (["--since", "5", "--until", "10"], 5, 10),
        (["--since", "3650d"], 1, 999),
        (["--since", "2000-01-01"], 1, 999),
        (["--until", "2099-01-01T12:00"], 1, 999),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_part_is_named_by_positions_or_times(journal: Path, given: list[str], first: int, last: int) -> None:
    """A person remembers when it was, and a log line says its position."""
    found = journal.with_name("part.db")
    done = invoke("export", journal, "-o", found, *given)

    assert done.exit_code == 0, done.output
    assert [seq for seq, _, _ in events(found)] == [seq for seq, _, _ in events(journal) if first <= seq <= last]
    assert diverges(found) is None


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ([], 2, "say where to"),
        (["-o", "x.db", "--plain", "--shift"], 2, "--plain hides nothing"),
        (["-o", "x.db", "--since", "yesterday"], 2, "is no moment; write a row"),
        (
            ["-o", "x.db", "--since", "9", "--until", "3"],
            1,
            "nothing is between --since 9 (row 9) and --until 3 (row 3)",
        ),
        (["-o", "x.db", "--until", "1999-01-01"], 1, "has no row up to 1999-01-01"),
        (["-o", "x.db", "--since", "2099-01-01"], 1, "has no row from 2099-01-01 on"),
        (["-o", "x.db", "--account", "zz"], 1, "has no account 'zz'; it has shop"),
        (["-o", "x.db", "--chat", "zz"], 1, "has no chat 'zz'"),
        (["-o", "gateway.db"], 1, "is the journal itself"),
        (["-o", "gateway.db", "--force"], 1, "is the journal itself"),
        (["-o", "none/x.db"], 1, "cannot be written"),
        (["-o", "."], 1, "no plain file"),
        (["-o", "/dev/full", "--force"], 1, "no plain file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_answered_with_a_sentence(
    journal: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], status: int, said: str
) -> None:
    """And leaves nothing behind."""
    monkeypatch.chdir(journal.parent)
    before = sorted(journal.parent.iterdir())
    done = invoke("export", "gateway.db", *given)

    assert said in done.output
    assert status == done.exit_code
    assert before == sorted(journal.parent.iterdir())


def test_a_journal_in_use_is_exported(tmp_path: Path) -> None:
    """An incident is looked at while it lasts."""
    path = tmp_path / "gateway.db"
    with running(path, 50, "zuckerfee"):
        done = invoke("export", path, "-o", tmp_path / "x.db")

        assert done.exit_code == 0, done.output
        assert len(events(tmp_path / "x.db")) == 50
        assert b"zuckerfee" not in (tmp_path / "x.db").read_bytes()


# ---- prune -----------------------------------------------------------------------------------------------------------


def test_pruning_says_what_went_and_what_the_file_is_now(journal: Path) -> None:
    """A disk is filling up, and somebody wants to know whether this has helped."""
    size = journal.stat().st_size
    done = invoke("prune", journal, "--json")

    assert done.exit_code == 0
    found = json.loads(done.output)
    assert found["pruned"]["instances"] > 0
    assert found["file_before"] == size
    assert found["file_after"] == journal.stat().st_size
    assert diverges(journal) is None
    states = {letter for _, letter, _ in events(journal)}
    assert {"delivery/shop/out1", "delivery/shop/out2"} <= states
    assert "delivery/shop/out3" not in states


def test_a_dry_run_says_the_same_and_changes_nothing(journal: Path) -> None:
    """Pruning cannot be undone."""
    before = journal.read_bytes()
    tried = json.loads(invoke("prune", journal, "--dry-run", "--json").output)

    assert journal.read_bytes() == before
    assert [file.name for file in journal.parent.iterdir()] == [journal.name]
    assert tried.pop("dry_run") is True
    done = json.loads(invoke("prune", journal, "--json").output)
    assert done.pop("dry_run") is False
    assert tried["pruned"] == done["pruned"]


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        (["--older-than", "60d"], set()),
        (["--older-than", "1d"], {"out3"}),
        (["--older-than", "1d", "--dead"], {"out1", "out3"}),
        (["--max-size", "1kB"], {"out3"}),
        (["--max-size", "1GB"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_pruned_is_what_was_asked_for(journal: Path, given: list[str], gone: set[str]) -> None:
    """What waits for a person goes only if that is said."""
    before = {address for _, address, _ in events(journal)}
    done = invoke("prune", journal, *given)

    assert done.exit_code == 0, done.output
    left = {address for _, address, _ in events(journal)}
    wanted = {f"delivery/shop/{name}" for name in gone}
    assert wanted == (before - left) & {"delivery/shop/out1", "delivery/shop/out2", "delivery/shop/out3"}
    assert str(journal) in done.output.splitlines()[-1] or "nothing more can go" in done.output


def test_what_is_pruned_can_be_saved_first(journal: Path) -> None:
    """With nothing hidden, because it is the last copy."""
    whole = events(journal)
    saved = journal.with_name("before.db")
    done = invoke("prune", journal, "--export", saved)

    assert done.exit_code == 0, done.output
    assert events(saved) == whole
    assert len(events(journal)) < len(whole)
    again = invoke("prune", journal, "--export", saved)
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_a_journal_in_use_is_pruned(tmp_path: Path) -> None:
    """A gateway is not stopped because its disk fills up."""
    path = tmp_path / "gateway.db"
    with running(path, 50):
        done = invoke("prune", path, "--max-size", "1kB")

        assert done.exit_code == 0, done.output
        assert "nothing more can go" in done.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--older-than", "old"], "is no duration"),
        (["--max-size", "big"], "is no size"),
        (["--max-size", "-5MB"], "is no size"),
        (["--max-size", "5XB"], "is no size"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(journal: Path, given: list[str], said: str) -> None:
    """Before anything goes."""
    before = journal.read_bytes()
    done = invoke("prune", journal, *given)

    assert done.exit_code == 2
    assert said in done.output
    assert before == journal.read_bytes()
