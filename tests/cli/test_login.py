"""`statecore login weixin`, tried offline: the simulator is the platform, and its keyboard the phone."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from tests.support.command import read_until, started, type_into

SIMULATOR = ("-m", "statecore_adapters.weixin.simulator")


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Popen[str]]:
    """Return a running simulator that has said nothing yet."""
    with started(*SIMULATOR, cwd=tmp_path) as process:
        yield process


def login(base_url: str, *arguments: str) -> tuple[str, ...]:
    """Return how to log in there."""
    return ("-m", "statecore", "login", "weixin", "--base-url", base_url, *arguments)


def test_a_login_can_be_tried_without_wechat(simulator: "Popen[str]", tmp_path: Path) -> None:
    """Nobody risks the binding of a bot that works to find out what a command does."""
    base_url = read_until(simulator, "base_url").split()[1]
    with started(*login(base_url), cwd=tmp_path) as command:
        page = read_until(command, "http")
        read_until(simulator, "type /scan, then /confirm")
        type_into(simulator, "/scan")
        read_until(command, "Scanned. Confirm the login on the phone.")
        type_into(simulator, "/confirm")
        told, _ = command.communicate(timeout=60)

    credentials = json.loads((tmp_path / "weixin.json").read_text())
    assert page.startswith(f"{base_url}/q/"), "a QR code of the simulator leads nowhere else"
    assert credentials["token"] in read_until(simulator, "logged in")
    assert 'token = { file = "weixin.json" }' in told
    assert command.returncode == 0


def test_every_way_a_login_can_go_can_be_taken(simulator: "Popen[str]", tmp_path: Path) -> None:
    """Digits, a code that expires and a move to another host are rare on the real platform, and not to be had at will."""
    base_url = read_until(simulator, "base_url").split()[1]
    with started(*login(base_url), cwd=tmp_path) as command:
        read_until(simulator, "type /scan")
        type_into(simulator, "/expire")
        read_until(command, "the QR code expired; here comes another code.")
        read_until(simulator, "type /scan")
        type_into(simulator, "/digits")
        digits = read_until(simulator, "the phone shows").split()[-1]
        type_into(command, digits)
        read_until(command, "Scanned.")
        type_into(simulator, "/redirect")
        read_until(command, "Going on at ")
        type_into(simulator, "/confirm")
        command.communicate(timeout=60)

    assert command.returncode == 0


def test_ctrl_c_ends_a_login_that_waits_for_digits(simulator: "Popen[str]", tmp_path: Path) -> None:
    """A thread that reads the keyboard must not keep the interpreter from ending, or bring it down."""
    base_url = read_until(simulator, "base_url").split()[1]
    with started(*login(base_url), cwd=tmp_path) as command:
        read_until(simulator, "type /scan")
        type_into(simulator, "/digits")
        assert command.stdout is not None
        shown = ""
        while not shown.endswith("on the phone: "):  # the line does not end before somebody has typed
            piece = command.stdout.read(1)
            assert piece, shown
            shown += piece

        command.send_signal(signal.SIGINT)
        told = command.stdout.read()  # stdin stays open: its end is another answer

    assert told == "\nAborted!\n"
    assert command.returncode == 1
    assert not (tmp_path / "weixin.json").exists()


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_binding_that_stays_is_good_only_with_its_token(simulator: "Popen[str]", tmp_path: Path, known: bool) -> None:
    """ "Nothing to do" would be a lie where the token is lost."""
    base_url = read_until(simulator, "base_url").split()[1]
    if known:
        (tmp_path / "weixin.json").write_text(read_until(simulator, "token").split()[1])
    with started(*login(base_url), cwd=tmp_path) as command:
        read_until(simulator, "type /scan")
        type_into(simulator, "/bound")
        told, _ = command.communicate(timeout=60)

    assert "the account is bound to this installation already" in told
    assert command.returncode == (0 if known else 1)
