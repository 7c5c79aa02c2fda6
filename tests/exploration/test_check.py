"""`statecore check`."""

import json
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from statecore.cli import main
from statecore.cli.check import write_counterexample
from statecore.exploration import explore
from statecore.exploration.chats import DOUBLED, ChatsModel
from statecore.exploration.promises import safety
from statecore.exploration.scenes import lossy
from tests.exploration import mistakes

LAMP = """
import attrs
from statecore.events import Elapsed, External
from statecore.machine import Machine, Signal, Timer, ignore, on
from statecore.units import MINUTES, SECONDS

@attrs.frozen
class Lamp:
    off_at: int | None = None

@attrs.frozen(kw_only=True)
class Pressed(External):
    hand: {hand} = {first}

def left(_was, event):
    return event.hand == "left"

lamp = Machine(
    "lamp", remembers=Lamp, initial="dark",
    table=[
        on("dark", Pressed, "bright", when=left), ignore("dark", Pressed, because="the other hand"),
        on("bright", Elapsed("off_at"), "dark"), ignore("bright", Pressed, because="it is bright"),
    ],
    awaits={{"dark": Signal(Pressed), "bright": (Timer("off_at", floor=1 * SECONDS, cap=1 * MINUTES), Signal())}},
)
"""


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_one_scene_is_proved_within_bounds_that_are_shown() -> None:
    result = check("--chats", "1", "--deliveries", "1", "--crashes", "1", "--loss", "any")

    assert result.exit_code == 0, result.output
    assert "lossy: proved" in result.output
    assert "within 1 chat, 1 delivery, 1 crashes, any losses" in result.output


def test_what_was_cut_short_is_inconclusive_with_the_reason() -> None:
    result = check("--only", "tie", "--states-max", "100")

    assert result.exit_code == 3
    assert "inconclusive: the limit of 100 states was reached" in result.output


def test_programs_get_json() -> None:
    result = check("--only", "circuit", "--json")

    (found,) = json.loads(result.output)
    assert (found["name"], found["answer"]) == ("circuit", "proved")
    assert found["coverage"]["percent"] == 100


def test_a_machine_of_ones_own_is_explored_and_its_coverage_demanded(module: Path) -> None:
    (module / "bright_lamp.py").write_text(LAMP.format(hand="str", first='""'))

    result = check("bright_lamp:lamp", "--cover", "100")

    assert result.exit_code == 0, result.output
    assert "100.0% of rows" in result.output


def test_too_little_covered_fails_and_names_what_was_not(module: Path) -> None:
    (module / "dull_lamp.py").write_text(LAMP.format(hand="bool", first="False"))

    result = check("dull_lamp:lamp", "--cover", "90")

    assert result.exit_code == 1
    assert "never  Pressed in dark" in result.output
    assert "--cover wants 90%" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere:at_all"], "nowhere cannot be imported"),
        (["json:dumps"], "json:dumps holds no machine"),
        (["odd"], "is no MODULE:ATTRIBUTE"),
        (["--only", "nobody"], "there is no 'nobody'; there are the machines connection"),
        (["--chats", "3", "--deliveries", "1"], "--deliveries are fewer than --chats"),
        (["--loss", "some"], "'some' is no whole number"),
        (["json:dumps", "--chats", "2"], "explored by itself"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(arguments: list[str], said: str) -> None:
    result = check(*arguments)

    assert result.exit_code in (1, 2)
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("mine")

    result = check("--only", "tie", "-o", str(there))

    assert result.exit_code == 1
    assert "exists already" in result.output
    assert there.read_text() == "mine"


def test_a_counterexample_is_a_journal_like_any_other(tmp_path: Path) -> None:
    scene = attrs.evolve(lossy(chats=1, deliveries=1, crashes=0), account=mistakes.ForgetsToMark)
    model = ChatsModel(scene)
    path = explore(model, properties=safety(model)).verdict(DOUBLED).path
    file = tmp_path / "counterexample.db"

    told = write_counterexample(scene, [*model.prelude, *(step.action for step in path[1:])], file)

    assert told.endswith("rows")
    log = CliRunner().invoke(main, ["log", str(file)])
    assert log.exit_code == 0
    assert log.output.count("Turn") == 2
    assert "PartUnknown" in log.output
    why = CliRunner().invoke(main, ["why", str(file), "5"])
    assert why.exit_code == 0, why.output
    assert CliRunner().invoke(main, ["verify", str(file)]).exit_code == 0
