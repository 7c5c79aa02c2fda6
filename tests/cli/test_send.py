"""`statecore send`, from a process that runs no gateway."""

import sqlite3
from pathlib import Path

import pytest

from statecore.account import Command
from statecore.checks import TEXT_BYTES_MAX
from statecore.codec import loads
from statecore.units import MILLISECONDS, MINUTES, SECONDS
from tests.support.command import CHAT, CONFIG, invoke


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration whose journal is not made yet."""
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG)
    return path


def asked(config: Path) -> list[Command]:
    """Return what the journal holds for whoever drives the account."""
    with sqlite3.connect(config.parent / "gateway.db") as journal:
        return [loads(body, Command) for (body,) in journal.execute("select body from commands order by id")]


@pytest.mark.parametrize(
    ("chat", "text", "stdin", "why"),
    [
        ("", "hi", b"", "a chat is the platform's id of it, got ''"),
        ("a\nb", "hi", b"", "holds no control characters"),
        (CHAT, "hi \udcff", b"", "the text cannot be written as UTF-8"),
        (CHAT, "-", b"\xff\xfe", "standard input is not UTF-8: invalid start byte at byte 0"),
        (CHAT, "-", b"", "the text is empty"),
        (CHAT, "-", b"a" * (TEXT_BYTES_MAX + 1), "standard input is longer than 16777216 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_a_gateway_would_refuse_is_refused_at_once(
    config: Path, chat: str, text: str, stdin: bytes, why: str
) -> None:
    """
    "accepted" is a promise. A cron job that hears it will not look again.
    """
    done = invoke("send", config, "wx", chat, text, stdin=stdin)

    assert why in done.stderr
    assert done.exit_code == 1
    assert not (config.parent / "gateway.db").exists()


def test_a_job_that_has_no_token_can_send(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It only writes a row; the process that drives the account has the token.
    """
    monkeypatch.delenv("NO_SUCH", raising=False)
    config.write_text(CONFIG.replace('"token"', '{ env = "NO_SUCH" }'))

    done = invoke("send", config, "wx", CHAT, "the build is green")

    assert done.output.startswith("accepted as ")
    assert [command.text for command in asked(config)] == ["the build is green"]


@pytest.mark.parametrize(("written", "ns"), [("20m", 20 * MINUTES), ("90", 90 * SECONDS), ("1.5", 1500 * MILLISECONDS)])
def test_how_long_it_may_take_is_recorded_as_it_was_asked(config: Path, written: str, ns: int) -> None:
    """
    The deadline is on the clock of whoever accepts it. That clock is not this one's, and does not follow it.
    """
    invoke("send", config, "wx", CHAT, "lunch?", "--expires", written)

    (command,) = asked(config)
    assert command.lasts == ns
    assert command.asked_wall > 0


def test_waiting_long_without_waiting_is_a_slip(config: Path) -> None:
    """
    The exit status would have been taken for the answer.
    """
    done = invoke("send", config, "wx", CHAT, "hi", "--timeout", "5s")

    assert "--timeout says how long --wait waits" in done.stderr
    assert done.exit_code == 2
    assert not (config.parent / "gateway.db").exists()
