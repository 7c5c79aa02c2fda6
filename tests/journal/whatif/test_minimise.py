"""An incident is shrunk to the fewest things from outside that still show it, and written as a test."""

import subprocess
import sys
from pathlib import Path

import pytest

from statecore.errors import StatecoreError
from statecore.platform import Refusal
from statecore_journal.whatif.minimise import minimise, written
from statecore_journal.whatif.story import Story, recorded_story
from tests.support.platform import PLATFORMS

JOURNALS = Path(__file__).parents[2] / "incidents" / "journals"


@pytest.fixture
def storm() -> Story:
    """Return a storm among much that does not matter."""
    story = Story("wx", "weixin")
    story.starts(0)
    for number in range(12):
        story.hears(1, f"chat {number}", "hello", id=f"m{number}")
        story.sends(2 + number * 100, f"chat {number}", "an answer")
    story.refuses(2000, 2060, Refusal(code="ret=-2", message="rate limited"))
    for number in range(12):
        story.sends(2001, f"chat {number}", "another answer")
    return story


def test_none_of_what_is_left_can_go(storm: Story) -> None:
    """
    The reader of the test sees nothing that does not matter.
    """
    found = minimise(storm, "retry-storm")

    assert found.complete
    assert found.story.run().incidents("retry-storm")
    for telling in found.story.tellings:
        rest = [other for other in found.story.tellings if other is not telling]
        assert not storm.but(rest).run().incidents("retry-storm")
    assert len(found.story.tellings) < len(storm.tellings) / 4


def test_what_must_not_show_under_other_settings_does_not(storm: Story) -> None:
    """
    Else the test would fail whatever is changed.
    """
    found = minimise(storm, "retry-storm", {"circuit.cooldown": "60s"})

    assert found.story.run().incidents("retry-storm")
    assert not found.story.run({"circuit.cooldown": "60s"}).incidents("retry-storm")


def test_what_shows_under_the_other_settings_too_is_refused(storm: Story) -> None:
    """
    There is no such test.
    """
    with pytest.raises(StatecoreError, match="tell the two apart"):
        minimise(storm, "retry-storm", {"handling.attempts": "4"})


def test_an_incident_that_does_not_come_from_outside_is_refused(storm: Story) -> None:
    """
    With what does show.
    """
    with pytest.raises(StatecoreError, match="retry-storm"):
        minimise(storm, "journal-stall")


def test_it_ends_when_it_has_run_often_enough(storm: Story) -> None:
    """
    What is left then still shows the incident.
    """
    found = minimise(storm, "retry-storm", runs_max=4)

    assert not found.complete
    assert found.story.run().incidents("retry-storm")


def _pytest(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def test_the_test_fails_on_the_policy_that_had_it_and_passes_on_one_that_has_not(tmp_path: Path) -> None:
    """
    That is what it is for.
    """
    story = recorded_story(JOURNALS / "retry-storm.db", "wx")
    found = minimise(story, "retry-storm", {"circuit.cooldown": "30s"})
    path = tmp_path / "test_it.py"
    text = written(found, "retry-storm", "it happened", {"circuit.cooldown": "30s"})

    path.write_text(text)
    failed = _pytest(path)
    path.write_text(text.replace("SETTINGS = {}", 'SETTINGS = {"circuit": {"cooldown": "30s"}}'))
    passed = _pytest(path)

    assert "1 failed" in failed
    assert "AssertionError" in failed
    assert "1 passed" in passed


@pytest.mark.parametrize(
    "kind", ["retry-storm", "stale-token", "window-exhausted", "outage", "poison-message", "duplicates-in", "spin-held"]
)
def test_recorded_incidents_can_be_shrunk(kind: str) -> None:
    """
    Whatever came from outside is in the rows.
    """
    name = {"duplicates-in": "duplicates"}.get(kind, kind)
    story = recorded_story(JOURNALS / f"{name}.db", "wx", PLATFORMS)

    found = minimise(story, kind, runs_max=300)

    assert len(found.story.tellings) < len(story.tellings)
    compile(written(found, kind, "it happened"), "test.py", "exec")
