"""What systemd is told, heard on real sockets.

E10 (hermes-agent#40199): green while nothing works. E11 (hermes-agent#66377): the supervisor cannot tell a live process
from one that works.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio

import statecore
from statecore.systemd import EXTENSION, SILENCE_MAX, STATUS_CHARACTERS_MAX, Systemd, status
from statecore.units import MICROSECONDS, SECONDS
from tests.support.clock import virtual

UNIT = Path(statecore.__file__).parent / "contrib" / "statecore@.service"


@attrs.define
class Manager:
    """A systemd that listens."""

    address: str
    socket: socket.socket
    _found: list[list[str]] = attrs.field(factory=list)

    def heard(self) -> list[list[str]]:
        """Return the messages since the last time, each as its lines."""
        self._read()
        found, self._found = self._found, []
        return found

    def _read(self) -> None:
        try:
            while True:
                self._found.append(self.socket.recv(65536).decode().split("\n"))
        except BlockingIOError:
            pass

    async def listen(self) -> None:
        """Go on reading: the kernel keeps ten messages, and no more."""
        while True:
            self._read()
            await trio.sleep(0.5)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Listen as systemd does: at a path, or at a name without a file."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@statecore-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0", 1))
        listening.setblocking(False)
        yield Manager(address, listening)


@attrs.define
class Gateway:
    """As much of a gateway as is asked."""

    stopping: bool = False
    pulse_age: int = 0
    what: dict[str, str] = attrs.field(factory=lambda: {"wx": "connected"})
    stopped: trio.Event = attrs.field(factory=trio.Event)

    def doing(self) -> dict[str, str]:
        """Return what it does."""
        return self.what

    async def wait_for_stop(self) -> None:
        """Wait until it is asked to stop."""
        await self.stopped.wait()

    def stop(self) -> None:
        """Begin to stop."""
        self.stopping = True
        self.stopped.set()


def attended(manager: Manager, gateway: Gateway, *, watchdog: int | None = None) -> None:
    """Attend a gateway for a minute."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.listen)
            nursery.start_soon(Systemd(manager.address, watchdog).attend, gateway)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()

    virtual(main)


def test_it_is_told_that_the_gateway_is_up_and_what_it_does(manager: Manager) -> None:
    """
    Up, although an account waits: that is what it is there for, and no reason for systemd to start it again.
    """
    gateway = Gateway(what={"wx": "waiting for process 12 on here, which drives it"})

    attended(manager, gateway)

    first, *_ = manager.heard()
    assert first == ["READY=1", "STATUS=wx: waiting for process 12 on here, which drives it"]


def test_the_watchdog_is_fed_twice_in_its_time(manager: Manager) -> None:
    """
    As sd_watchdog_enabled(3) asks; once in its time could be late.
    """
    attended(manager, Gateway(), watchdog=4 * SECONDS)

    fed = [lines for lines in manager.heard() if "WATCHDOG=1" in lines]
    assert 29 <= len(fed) <= 32


def test_nobody_feeds_a_watchdog_that_is_not_there(manager: Manager) -> None:
    """
    systemd would log each as something it did not ask for.
    """
    attended(manager, Gateway())

    assert not [lines for lines in manager.heard() if "WATCHDOG=1" in lines]


def test_the_watchdog_starves_while_the_journal_does_not_answer(manager: Manager) -> None:
    """
    E11: the loop turns, and not a row gets to the disk. Such a process is better ended.
    """
    gateway = Gateway(pulse_age=SILENCE_MAX)

    attended(manager, gateway, watchdog=4 * SECONDS)

    assert not [lines for lines in manager.heard() if "WATCHDOG=1" in lines]


def test_a_stop_is_told_once_at_once_and_more_time_is_asked_for_while_it_lasts(manager: Manager) -> None:
    """
    E2: with a drain longer than TimeoutStopSec systemd would kill it in the middle of a send.
    """
    gateway = Gateway()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.listen)
            nursery.start_soon(Systemd(manager.address, watchdog=60 * SECONDS).attend, gateway)
            await trio.sleep(2)
            manager.heard()
            gateway.stop()
            await trio.sleep(0.1)
            (first,) = manager.heard()
            assert "STOPPING=1" in first
            assert f"EXTEND_TIMEOUT_USEC={EXTENSION // MICROSECONDS}" in first
            await trio.sleep(60)
            nursery.cancel_scope.cancel()

    virtual(main)

    later = manager.heard()
    assert not [lines for lines in later if "STOPPING=1" in lines]
    assert len([lines for lines in later if any("EXTEND" in line for line in lines)]) > 60 * SECONDS // EXTENSION
    assert all("WATCHDOG=1" in lines for lines in later)


def test_a_manager_that_does_not_listen_harms_nobody(tmp_path: Path) -> None:
    """
    It may be gone, or deaf, or its queue full.
    """
    Systemd(str(tmp_path / "nobody")).tell("READY=1")
    Systemd("/" + "x" * 200).tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        for _ in range(2000):
            Systemd(str(tmp_path / "deaf")).tell("STATUS=" + "x" * 1000)


@pytest.mark.parametrize(
    ("environment", "address", "watchdog"),
    [
        ({}, None, None),
        ({"NOTIFY_SOCKET": "/run/systemd/notify"}, "/run/systemd/notify", None),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, None, None),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "30000000"}, "@a", 30 * SECONDS),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, "@a", 30 * SECONDS),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, "@a", None),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "0"}, "@a", None),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "soon"}, "@a", None),
        ({"WATCHDOG_USEC": "30000000"}, None, None),
    ],
)
def test_it_is_found_in_the_environment_and_taken_out_of_it(
    environment: dict[str, str], address: str | None, watchdog: int | None
) -> None:
    """
    A child that inherited the variables could tell systemd that we are ready.
    """
    environment = {**environment, "HOME": "/"}

    found = Systemd.from_environment(environment)

    assert found == (None if address is None else Systemd(address, watchdog))
    assert environment == {"HOME": "/"}


def test_a_status_is_one_line_however_many_accounts_there_are_and_whatever_a_peer_said() -> None:
    """
    It is shown by `systemctl status`, and a line break in it would be read as a variable.
    """
    assert status({"wx": "a\nREADY=1\x1b"}) == "wx: a READY=1 "
    assert status({str(n): "waiting for process 1" if n else "connected" for n in range(9)}) == "8 waiting; 1 connected"
    assert len(status({"wx": "x" * 10_000})) == STATUS_CHARACTERS_MAX


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """
    Every name in it is one that systemd knows; it says so of those that it does not.
    """
    script = tmp_path / "statecore"
    script.write_text(f"#!{sys.executable}\n")
    script.chmod(0o755)
    unit = tmp_path / "statecore@bot.service"
    unit.write_text(UNIT.read_text().replace("/opt/statecore/bin/statecore", str(script)))

    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_unit_says_what_the_gateway_does() -> None:
    """
    It would be killed as not ready, or replaced for ever.
    """
    lines = UNIT.read_text().splitlines()

    assert "Type=notify" in lines
    assert "Restart=always" in lines
    assert not [line for line in lines if line.startswith("ExecStart") and ("--replace" in line or "restart" in line)]
