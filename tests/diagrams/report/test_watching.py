"""A report and the inspector name the incidents that `statecore incidents` names."""

from pathlib import Path
from typing import Any

import pytest

from statecore_diagrams.report import write_report
from statecore_diagrams.report.watching import Watching
from statecore_journal.incidents import find
from tests.cli.test_report import head

RECORDED = sorted((Path(__file__).parents[2] / "incidents" / "journals").glob("*.db"))


@pytest.mark.parametrize("path", RECORDED[::4], ids=lambda path: path.stem)
def test_a_report_tells_of_the_same_incidents(path: Path, tmp_path: Path) -> None:
    """
    Although it is redacted, and what is said of them is made from what may be shown.
    """
    report = tmp_path / "incident.html"
    write_report(path, report)
    told: Any = head(report)["incidents"]

    assert [(one["kind"], one["first"], one["last"]) for one in told] == [
        (one.kind, one.first, one.last) for one in find(path)
    ]


def test_the_inspector_tells_of_the_same_incidents(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Also when it reads the journal a few rows at a time.
    """
    monkeypatch.setattr("statecore_diagrams.report.watching.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("statecore_diagrams.report.watching.PAUSE_S", 0)
    for path in RECORDED:
        watching = Watching(path)
        watching.run_once()

        assert watching.found() == find(path)
        assert not watching.looking
