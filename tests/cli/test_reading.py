"""The commands that read what happened: what they show, their exit status, and that they end."""

import json
import signal
from pathlib import Path

import pytest
import trio

from statecore.machines import connection
from tests.journal.desk import Hand, Looked, Pressed, opened, rows
from tests.journal.test_fold import ALL
from tests.support.command import invoke, read_until, started

SPEC = "tests.journal.desk:LAMPS"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal of an account with messages, and of lamps, which are nobody's but the tests'."""
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=ALL)
            await hand.dial()
            await hand.receive("in")
            await hand.send("out", until="dead")
            await hand.send("next", until="queued")
            await hand.happen("lamp/wx/0", Pressed(note="a"), Looked())

    trio.run(main)
    return path


def test_replay_shows_where_everything_was(journal: Path) -> None:
    """
    A line an instance: where it is, since when, until when, and what it knows.
    """
    done = invoke("replay", journal, "--machines", SPEC)

    assert done.exit_code == 0
    assert "delivery   dead 1, queued 1" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("delivery/wx/out"))
    assert "dead for 3s" in line
    assert 'reason="connect: refused"' in line
    assert "inbound/wx/in" not in done.stdout
    assert "inbound/wx/in" in invoke("replay", journal, "--machines", SPEC, "--finished").stdout
    assert "connection connected 1" in invoke("replay", journal, "--until", "2").stdout


def test_replay_prints_an_object_a_line_for_programs(journal: Path) -> None:
    """
    The moment first, so that what follows need not be held to know what it is about.
    """
    done = invoke("replay", journal, "--until", "#2", "--json")
    head, *standing = map(json.loads, done.stdout.splitlines())

    assert (head["seq"], head["events"], head["counts"]) == (2, 2, {"connection": {"connected": 1}})
    assert [(one["address"], one["state"], one["version"]) for one in standing] == [("connection/wx", "connected", 2)]


def test_verify_is_a_gate(journal: Path, tmp_path: Path) -> None:
    """
    A line a journal, and an exit status.
    """
    assert invoke("verify", journal, "--machines", SPEC).exit_code == 0
    done = invoke("verify", journal, journal, "--machines", SPEC)
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 2)

    torn = tmp_path / "torn.db"
    torn.write_bytes(b"nothing of the kind" * 100)
    done = invoke("verify", journal, torn, tmp_path / "none.db", "--machines", SPEC)
    assert done.exit_code == 1
    assert [line.partition(": ")[2][:5] for line in done.stdout.splitlines()] == ["holds", f"{torn}"[:5], "there"]

    rows(journal, "update events set target = 'on' where machine = 'lamp/wx/0' and version = 2")
    rows(journal, "update events set source = 'off' where machine = 'lamp/wx/0' and version = 2")
    done = invoke("verify", journal, "--machines", SPEC, "--json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["holds"], said["diverging"]) == (1, False, 1)
    assert said["named"][0]["event"] == "Looked"


def test_verify_shows_both_sides_of_a_divergence_and_the_way_out(journal: Path) -> None:
    """
    What was recorded, what is computed, of which versions, and what to paste.
    """
    rows(journal, "update events set target = 'off' where machine = 'lamp/wx/0' and version = 2")
    said = invoke("verify", journal, "--machines", SPEC).stdout

    assert "first at row" in said
    assert "recorded  on -> off" in said
    assert "computed  on -> on" in said
    assert "definition" in said
    assert '@upcaster("Looked", since=1)' in said


def test_machines_that_this_code_lacks_are_named_with_the_option_that_helps(journal: Path) -> None:
    """
    Verified without them would read as "all is well".
    """
    for command in ("verify", "replay"):
        done = invoke(command, journal)
        assert done.exit_code == 1
        assert "2 rows" in done.output
        assert "machine 'lamp', which this code does not have" in done.output
        assert "--machines" in done.output


def test_why_is_a_chain_that_reads_from_its_beginning(journal: Path) -> None:
    """
    And goes on into what was set off, if that is asked for.
    """
    rows(journal, "update events set cause = seq - 1 where seq > 1")
    ((seq,),) = rows(journal, "select seq from events where event = 'NotSent'")
    lines = invoke("why", journal, seq, "--forward").stdout.splitlines()

    assert "Started" in lines[0]
    assert "A process took the account, and drives it from here." in lines[1]
    assert any(line.lstrip().startswith("+1s") and "NotSent" in line for line in lines)
    assert "it set off:" in lines
    said = json.loads(invoke("why", journal, seq, "--json").stdout)
    assert [step["row"]["seq"] for step in said["steps"]] == list(range(1, seq + 1))


def test_log_picks_rows_by_moment_cause_and_outcome(journal: Path) -> None:
    """
    An incident has a beginning and an end, and most rows are of something else.
    """

    def places(*arguments: object) -> list[int]:
        return [json.loads(line)["seq"] for line in invoke("log", journal, *arguments, "--json").stdout.splitlines()]

    every = places()
    assert places("--since", "3", "--until", "5") == [3, 4, 5]
    assert places("--since", "10m") == every
    assert places("--since", "2099-01-01") == []
    assert sorted(places("--outcome", "moved") + places("--outcome", "stayed")) == every
    assert places("--outcome", "refused") == []
    rows(journal, "update events set cause = 2 where seq in (4, 6)")
    assert places("--cause", 2) == [4, 6]
    assert "is no moment" in invoke("log", journal, "--since", "tomorrow").stderr


def test_diff_shows_where_two_journals_part(journal: Path, tmp_path: Path) -> None:
    """
    Exit status 0 where they are the same, so that a script can ask.
    """
    copy = tmp_path / "copy.db"
    copy.write_bytes(journal.read_bytes())
    assert invoke("diff", journal, copy).exit_code == 0

    rows(copy, "update events set target = 'nowhere' where event = 'Looked'")
    done = invoke("diff", journal, copy)
    assert done.exit_code == 1
    assert "first: lamp/wx/0, version 2: target" in done.stdout
    said = json.loads(invoke("diff", journal, copy, "--json").stdout)
    assert said["partings"][0]["right"]["target"] == "nowhere"
    assert invoke("diff", journal, "--machines", SPEC, "--machines", SPEC).exit_code == 0
    assert "name two journals" in invoke("diff", journal).stderr


def test_follow_shows_what_is_committed_from_here_on_and_ends_with_the_terminal(journal: Path, tmp_path: Path) -> None:
    """
    Through a restart of what writes it, and of the log beside the file.
    """

    async def write(boot: str) -> None:
        async with opened(journal) as opened_journal:
            hand = Hand(opened_journal, account=boot)
            await hand.happen(f"connection/{boot}", connection.Started(boot=boot, pid=1, host="h", epoch=1))

    with started(
        "-m", "statecore", "follow", str(journal), "--last", "1", "--event", "Started", "--json", cwd=tmp_path
    ) as follow:
        assert json.loads(read_until(follow, "Started"))["machine"] == "connection/wx"
        for boot in ("first", "second"):
            trio.run(write, boot)
            assert json.loads(read_until(follow, "Started"))["machine"] == f"connection/{boot}"
        follow.send_signal(signal.SIGINT)
        assert follow.wait() == 0


@pytest.mark.parametrize("command", ["replay", "verify", "why", "follow", "diff"])
def test_help_has_examples(command: str) -> None:
    """
    They are what is read first.
    """
    assert f"statecore {command} " in invoke(command, "--help").stdout.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "none.db"], "there is no journal at none.db"),
        (["why", "none.db", "1"], "there is no journal at none.db"),
        (["follow", "none.db"], "there is no journal at none.db"),
        (["diff", "none.db", "none.db"], "there is no journal at none.db"),
        (["verify", "none.db"], "there is no journal at none.db"),
        (["verify", "none.db", "--machines", "nowhere:X"], "nowhere cannot be imported"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """
    And exit status 1.
    """
    monkeypatch.chdir(tmp_path)

    done = invoke(*arguments)

    assert said in done.stderr + done.stdout
    assert done.exit_code == 1
    assert "Traceback" not in done.stderr
