"""How a command ends when its user, or its reader, has had enough."""

import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from statecore.cli.common import failing_clearly
from statecore.errors import ConfigError
from tests.support.command import CHAT, CONFIG, environment, invoke, read_until, started


def test_ctrl_c_in_the_demo_prints_one_word(tmp_path: Path) -> None:
    """The demo is what people see first, and it is long enough to be interrupted."""
    with started("-m", "statecore", "demo", "--brief", cwd=tmp_path) as demo:
        read_until(demo, "1. retry storm")

        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=60)

    assert said.splitlines()[-1] == "Aborted!"
    assert "Traceback" not in said
    assert demo.returncode == 1


def test_ctrl_c_in_a_gateway_lets_the_accounts_go(tmp_path: Path) -> None:
    """It is the documented way to stop it."""
    (tmp_path / "gateway.toml").write_text(CONFIG)
    with started("-m", "statecore", "run", "gateway.toml", cwd=tmp_path) as gateway:
        read_until(gateway, "stop with Ctrl-C")

        gateway.send_signal(signal.SIGINT)
        said, _ = gateway.communicate(timeout=60)

    assert said.splitlines()[-1] == "stopped; everything is in the journal"
    assert gateway.returncode == 0


@pytest.mark.parametrize(
    "interrupted",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("", [KeyboardInterrupt()]),
        BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt(), ValueError("broken on the way out")])]),
        BaseExceptionGroup("", [KeyboardInterrupt(), ConfigError("key", "broken on the way out")]),
    ],
    ids=repr,
)
def test_ctrl_c_is_ctrl_c_however_deep_it_was_caught(interrupted: BaseException) -> None:
    """Every nursery between the keyboard and the command wraps it in a group."""

    @click.command()
    def command() -> None:
        with failing_clearly():
            raise interrupted

    result = click.testing.CliRunner().invoke(command)

    assert "Aborted!" in result.output
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path, as_json: list[str]) -> None:
    """`statecore log ... | head` under `set -o pipefail` must not end a script."""
    (tmp_path / "gateway.toml").write_text(CONFIG)
    with started("-m", "statecore", "run", "gateway.toml", cwd=tmp_path) as gateway:
        read_until(gateway, "connection/wx")
    log = subprocess.Popen(
        [sys.executable, "-m", "statecore", "log", "gateway.db", *as_json],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert log.stdout is not None
    log.stdout.close()  # before it has written anything

    _, said = log.communicate(timeout=60)

    assert said == b""
    assert log.returncode == 0


def test_a_gateway_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """A log pipe dies with its reader (`statecore run ... 2>&1 | tee`); the accounts must not."""
    (tmp_path / "gateway.toml").write_text(CONFIG)
    with started("-m", "statecore", "run", "gateway.toml", cwd=tmp_path) as gateway:
        assert gateway.stdout is not None
        gateway.stdout.close()  # before it has said anything
        sent = invoke(
            "send", tmp_path / "gateway.toml", "wx", CHAT, "hello", "--expires", "1s", "--wait", "--timeout", "50s"
        )

        assert "expired" in sent.output
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(timeout=60) == 0
