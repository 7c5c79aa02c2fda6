"""`statecore report` and `statecore inspect`, as a person at a terminal runs them."""

import http.client
import json
import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.journal.desk import files
from tests.support.command import invoke, read_until, started
from tests.support.traffic import record_traffic


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal."""
    return record_traffic(tmp_path / "gateway.db", 1_500)


def head(report: Path) -> dict[str, Any]:
    """Return what a report says of itself."""
    found = re.search(r"<script type='application/json' id='head'>(.*?)</script>", report.read_text())
    assert found is not None
    about: dict[str, Any] = json.loads(found[1])
    return about


def test_a_report_says_what_is_in_it(journal: Path, tmp_path: Path) -> None:
    """
    How many events, how large, and that it is redacted.
    """
    result = invoke("report", journal, "-o", tmp_path / "incident.html")

    assert result.exit_code == 0
    assert re.fullmatch(r".*incident\.html: 1,5\d\d events, no incident, 0\.\d MB, redacted\n", result.output)
    assert stat.S_IMODE((tmp_path / "incident.html").stat().st_mode) == 0o600


def test_a_report_is_of_the_part_that_was_asked_for(journal: Path, tmp_path: Path) -> None:
    """
    One account, between two rows; the same words as `statecore export` has.
    """
    path = tmp_path / "part.html"
    result = invoke(
        "report", journal, "-o", path, "--account", "wx", "--since", 100, "--until", 300, "--json", "--plain"
    )
    about = head(path)

    assert json.loads(result.output)["rows"] == about["count"]
    assert (about["first"], about["last"]) >= (100, 290)
    assert about["last"] <= 300
    assert set(about["tables"]["accounts"]) == {"wx"}


def test_nothing_is_overwritten_unasked(journal: Path, tmp_path: Path) -> None:
    """
    Least of all the journal.
    """
    path = tmp_path / "incident.html"
    path.write_text("mine")
    before = files(tmp_path)

    assert "is there already" in invoke("report", journal, "-o", path).output
    assert "is the journal itself" in invoke("report", journal, "-o", journal, "--force").output
    assert files(tmp_path) == before
    assert invoke("report", journal, "-o", path, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "99999"), "no row from 99999 on"),
        (("--account", "nobody"), "no account 'nobody'"),
        (("--chat", "nobody"), "nobody"),
    ],
)
def test_a_report_of_nothing_is_refused(journal: Path, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """
    An empty page would read as "nothing happened". Nothing is left behind.
    """
    result = invoke("report", journal, "-o", tmp_path / "incident.html", *arguments)

    assert result.exit_code == 1
    assert says in result.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gateway.db"]


@pytest.mark.parametrize("command", [("report", "-o", "incident.html"), ("inspect", "--no-browser")])
def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    """
    One sentence, exit status 1, nothing written.
    """
    path = tmp_path / "notes.txt"
    path.write_text("not a journal")
    name, *options = command
    result = invoke(name, path, *(tmp_path / option if option.endswith("html") else option for option in options))

    assert result.exit_code == 1
    assert "it is no journal" in result.output
    assert list(tmp_path.iterdir()) == [path]


def test_inspect_prints_an_address_that_works_until_it_is_stopped(journal: Path, tmp_path: Path) -> None:
    """
    For a browser on another machine there is `ssh -L`.
    """
    with started("-m", "statecore", "inspect", str(journal), "--no-browser", cwd=tmp_path) as process:
        where = urlsplit(read_until(process, "http://127.0.0.1:").strip())
        assert where.port is not None
        connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=30)
        connection.request("GET", where.path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()

        assert answer.status == 200
        assert b"gateway.db" in body


def test_the_browser_is_not_told_the_token_where_others_can_see_it(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The arguments of a command are in `ps`; so they name a file that leads on, and that only its owner can read.
    """
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\necho "told $1 $(stat -c %a "$(dirname "${1#file://}")") $(cat "${1#file://}")" >&2\n'
    )
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with started("-m", "statecore", "inspect", str(journal), cwd=tmp_path) as process:
        url = read_until(process, "http://127.0.0.1:").strip()
        told = read_until(process, "told ").split(" ", 3)

    assert told[1].startswith("file://")
    assert url not in told[1]
    assert told[2] == "700"
    assert f"url={url}" in told[3]
