"""`statecore diagram`, `statecore coverage` and `statecore timeline`, as a person uses them."""

import json
from pathlib import Path

import pytest
import trio

from tests.journal import desk
from tests.support.command import invoke, statecore

OWN = Path(__file__).parents[1] / "diagrams" / "door.py"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal in which the connection came up and a message was delivered."""
    path = tmp_path / "gateway.db"

    async def happen() -> None:
        async with desk.opened(path) as opened:
            hand = desk.Hand(opened)
            await hand.dial()
            await hand.send("1")

    trio.run(happen)
    return path


def test_a_machine_is_printed_as_mermaid() -> None:
    """That goes into any README as it is."""
    assert invoke("diagram", "circuit").output.startswith("stateDiagram-v2\n")


def test_the_ending_of_the_file_says_which_format(tmp_path: Path) -> None:
    """Or --format does."""
    svg, mmd, other = tmp_path / "x.svg", tmp_path / "x.mmd", tmp_path / "x.txt"

    assert [invoke("diagram", "circuit", "-o", file).exit_code for file in (svg, mmd)] == [0, 0]
    assert svg.read_text().startswith("<svg ")
    assert mmd.read_text().startswith("stateDiagram-v2\n")
    assert invoke("diagram", "circuit", "-o", other).exit_code == 2
    assert invoke("diagram", "circuit", "-o", other, "--format", "svg", "--theme", "dark").exit_code == 0
    assert "prefers-color-scheme" not in other.read_text()


def test_the_machines_are_listed() -> None:
    """For people, and for programs."""
    lines = invoke("diagram", "--list").output.splitlines()
    listed = json.loads(invoke("diagram", "--list", "--json").output)

    assert lines[4] == "circuit      4 states, 11 transitions, definition 1"
    assert [found["machine"] for found in listed] == [
        "connection",
        "session",
        "delivery",
        "window",
        "circuit",
        "inbound",
    ]


def test_all_of_them_are_what_is_committed(tmp_path: Path) -> None:
    """The command that a failing test names does what it says."""
    done = invoke("diagram", "--all", "-o", tmp_path / "new")
    committed = Path(__file__).parents[2] / "diagrams"

    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 12
    for file in (tmp_path / "new").iterdir():
        assert file.read_text("utf-8") == (committed / file.name).read_text("utf-8")


def test_a_machine_of_ones_own_is_found_from_where_one_stands(tmp_path: Path) -> None:
    """A module beside the command, as for a handler."""
    (tmp_path / "mydoors.py").write_text(OWN.read_text())
    listed = statecore("diagram", "--list", "--machines", "mydoors:MACHINES", cwd=tmp_path)
    drawn = statecore("diagram", "door", "--machines", "mydoors:door", cwd=tmp_path)

    assert listed.stdout == "door         5 states, 11 transitions, definition 1\n"
    assert drawn.stdout.startswith("stateDiagram-v2\n    %% door")


def test_a_journal_s_ways_are_drawn_strong(journal: Path) -> None:
    """And what it never did is faint."""
    drawn = invoke("diagram", "connection", "--coverage", journal).output

    assert "closed --> dialling : Started 1\N{MULTIPLICATION SIGN}\n" in drawn
    assert "TokenRefused (never)" in drawn


def test_what_was_never_taken_is_listed(journal: Path) -> None:
    """A line says from where to where, and by what."""
    told = invoke("coverage", journal).output

    assert "connection: 2 of 73 transitions taken, 3%" in told
    assert "  never  dialling, proving, connected → reconnecting: Lost, Broken\n" in told
    assert "nothing was recorded of session, circuit, inbound" in told


def test_programs_get_each_transition(journal: Path) -> None:
    """With how often it was taken."""
    found = json.loads(invoke("coverage", journal, "--machine", "delivery", "--json").output)
    (machine,) = found["machines"]

    assert (found["taken"], found["total"], machine["machine"]) == (3, 86, "delivery")
    assert machine["transitions"][0] == {
        "source": "new", "event": "Accepted", "guard": None, "target": "queued", "stays": False, "count": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "least", "status"), [("connection", "2.7", 0), ("connection", "2.8", 1), ("circuit", "0", 0)]
)
def test_a_gate_in_ci_fails_below_what_it_wants(journal: Path, machine: str, least: str, status: int) -> None:
    """2 of 73 are 2.74 per cent, and what is as much as was wanted is enough."""
    done = invoke("coverage", journal, "--machine", machine, "--fail-under", least)

    assert done.exit_code == status
    assert ("2 of 73 transitions were taken, 2.7%" in done.output) == bool(status)


def test_several_journals_and_saved_coverage_are_put_together(journal: Path, tmp_path: Path) -> None:
    """A test run has saved its own."""
    from statecore_diagrams.coverage import Coverage

    coverage = Coverage()
    coverage.journal(journal)
    coverage.save(tmp_path / "tests.json")
    found = json.loads(invoke("coverage", journal, tmp_path / "tests.json", "--machine", "connection", "--json").output)

    assert [t["count"] for t in found["machines"][0]["transitions"] if t["count"]] == [2, 2]


def test_a_timeline_is_drawn_from_moment_to_moment(journal: Path, tmp_path: Path) -> None:
    """By position, by how long ago, or by the clock."""
    whole, part = tmp_path / "whole.svg", tmp_path / "part.svg"

    assert invoke("timeline", journal, "-o", whole).exit_code == 0
    assert invoke("timeline", journal, "--since", "3", "--until", "3", "-o", part).exit_code == 0
    assert [text.read_text().count('class="lane"') for text in (whole, part)] == [3, 1]
    assert invoke("timeline", journal, "--since", "1h").output.startswith("gantt\n")
    assert invoke("timeline", journal, "--since", "2026-01-01", "--account", "wx").output.startswith("gantt\n")
    assert json.loads(invoke("timeline", journal, "--json").output)["cut"] is None


def test_a_part_that_does_not_fit_is_said_on_the_side(journal: Path) -> None:
    """The picture says it too, but not everybody opens it."""
    done = invoke("timeline", journal, "--lanes", "1")

    assert "rows of other instances are not drawn; narrow it" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["diagram"], 2, "give a MACHINE, --list or --all"),
        (["diagram", "nothing"], 1, "there is no machine 'nothing'; there are connection, session"),
        (["diagram", "--all"], 2, "--all needs a folder: -o diagrams/"),
        (["diagram", "circuit", "--json"], 2, "--json goes with --list"),
        (["diagram", "circuit", "-o", "no/such/x.svg"], 1, "no/such/x.svg cannot be written: No such file"),
        (["diagram", "circuit", "--coverage", "none.db"], 1, "there is no journal at none.db"),
        (["diagram", "--list", "--machines", "nothing"], 1, "--machines: 'nothing' is no MODULE:ATTRIBUTE"),
        (["diagram", "--list", "--machines", "nothing:X"], 1, "nothing cannot be imported: ModuleNotFoundError"),
        (["diagram", "--list", "--machines", "broken:X"], 1, "broken cannot be imported: ZeroDivisionError"),
        (["diagram", "--list", "--machines", "os:path"], 1, "os:path holds no machine"),
        (["diagram", "--list", "--machines", "os:X"], 1, "has no 'X'"),
        (["diagram", "--all", "-o", "broken.py/x"], 1, "cannot be written to: Not a directory"),
        (["coverage"], 2, "Missing argument"),
        (["coverage", "broken.py"], 1, "no journal"),
        (["coverage", "tests.json"], 1, "tests.json holds no saved coverage: FileNotFoundError"),
        (["timeline", "none.db"], 1, "there is no journal at none.db"),
        (["timeline", "gateway.db", "--since", "soon"], 2, "'soon' is no moment"),
        (["timeline", "gateway.db", "--account", "zz"], 1, "gateway.db has no account 'zz'"),
        (["timeline", "gateway.db", "--chat", "nobody"], 1, "nothing happened that fits"),
        (["timeline", "gateway.db", "--until", "2020-01-01"], 1, "nothing happened that fits"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
def test_a_mistake_is_answered_with_a_sentence(
    journal: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, said: str
) -> None:
    """And nothing is written."""
    monkeypatch.chdir(journal.parent)
    (journal.parent / "broken.py").write_text("1 / 0\n")
    before = desk.files(journal.parent)
    done = invoke(*arguments)

    assert said in done.output
    assert done.exit_code == status
    assert "Traceback" not in done.output
    assert {
        name: held for name, held in desk.files(journal.parent).items() if not name.startswith("gateway.db-")
    } == before
