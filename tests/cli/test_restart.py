"""Restarts of real processes: the owner hands over, is slow, is frozen, is killed, or is not who it seems.

hermes-agent#17198: the new process gave up while the old one had the token. B4 (hermes-agent#16376, #18778): a file names
the number of a process that has ended, and the number is another's by now.
"""

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest
import trio

from statecore_adapters.httpd import Stall
from statecore_adapters.weixin.simulator import Knobs
from tests.support.command import CONFIG, invoke
from tests.support.running import Running, Street, open_street

SHORT = ("--patience", "2s", "--grace", "2s")
STARTS = "select epoch from events where event = 'Started' order by seq"


def lock_file(street: Street) -> Path:
    (file,) = (street.folder / "locks").iterdir()
    return file


@pytest.mark.parametrize("command", [["restart"], ["run", "--replace"]], ids=" ".join)
def test_the_owner_hands_over_at_once_and_ends_well(tmp_path: Path, command: list[str]) -> None:
    """
    The owner has nothing under way, so nothing is waited for. It ends with status 0, so that a supervisor sees no failure.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            old = await street.run()
            street.say("one")
            await street.until(lambda: street.shown() == ["you said one"])
            new = await street.start(*command, "gateway.toml")
            assert "since" in await new.says(f"is driven by process {old.pid}")
            assert await old.ends() == 0
            await old.says(f"handed over to process {new.pid}")
            await new.says("connected")
            street.say("two")
            await street.until(lambda: len(street.shown()) == 2)
            assert street.shown() == ["you said one", "you said two"]
            assert street.rows(STARTS) == [(1,), (2,)]
            new.signal(signal.SIGTERM)
            assert await new.ends() == 0

    trio.run(main)


def test_a_restart_where_nothing_runs_is_a_start(tmp_path: Path) -> None:
    """
    Whoever restarts wants it to run.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            new = await street.start("restart", "gateway.toml")
            await new.says("connected")
            assert not [line for line in new.lines if "driven" in line]

    trio.run(main)


def test_an_owner_that_takes_longer_than_our_patience_is_left_to_finish(tmp_path: Path) -> None:
    """
    The platform takes six seconds to answer, and an owner that shows no sign of life is ended after two. This one shows it:
    it beats while it lets go. Its answer is recorded, so the message is not sent again.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            street.configure(drain="30s")
            old = await street.run()
            street.say("hello")
            await street.until(lambda: len(street.shown()) == 1)
            street.sim.script("sendmessage", lambda answer: Stall(6, then=answer), times=1)
            address = street.send("slowly")
            await street.until(lambda: "slowly" in street.shown())
            new = await street.start("restart", "gateway.toml", *SHORT)
            assert await old.ends() == 0
            await new.says("connected")
            assert street.shown().count("slowly") == 1
            found = street.rows(f"select state, data ->> 'doubled' from instances where address = '{address}'")
            assert found == [("delivered", None)]
            assert not [line for line in new.lines if "SIG" in line]

    trio.run(main)


def test_a_frozen_owner_is_ended_and_succeeded(tmp_path: Path) -> None:
    """
    Stopped (SIGSTOP) with messages queued: it answers nothing, and SIGTERM does not reach it. The messages are delivered by
    its successor, each once.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            old = await street.run()
            street.say("one")
            await street.until(lambda: len(street.shown()) == 1)
            await street.quiet()
            old.signal(signal.SIGSTOP)
            for number in range(5):
                street.send(f"news {number}")
            new = await street.start("restart", "gateway.toml", *SHORT)
            await new.says("sent it SIGTERM")
            await new.says("sent it SIGKILL")
            assert await old.ends() == -signal.SIGKILL
            await new.says("connected")
            await street.until(lambda: len(street.shown()) == 6)
            assert street.shown() == ["you said one", *(f"news {number}" for number in range(5))]

    trio.run(main)


@pytest.mark.parametrize("command", [["run"], ["restart"]], ids=" ".join)
def test_an_owner_that_is_killed_in_the_middle_of_a_send_is_succeeded_at_once(
    tmp_path: Path, command: list[str]
) -> None:
    """
    Nobody knows whether the message arrived: it is sent once more with the same key, which the platform knows. Nothing else
    is sent twice, and nothing is lost.
    """

    async def main() -> None:
        async with open_street(tmp_path, Knobs(quota=1_000_000, dedupe_client_id=True)) as street:
            old = await street.run()
            street.say("one")
            await street.until(lambda: len(street.shown()) == 1)
            script = street.sim.script("sendmessage", lambda answer: Stall(3600, then=answer))
            address = street.send("in the middle")
            street.send("behind it")
            await street.until(lambda: "in the middle" in street.shown())
            new = await street.start(*command, "gateway.toml")
            await new.says(f"is driven by process {old.pid}")
            script.cancel()
            old.signal(signal.SIGKILL)
            await new.says("connected")
            await street.until(lambda: len(street.shown()) == 3)
            assert Counter(street.shown()) == {"you said one": 1, "in the middle": 1, "behind it": 1}
            await street.comes_true(
                f"select state, data ->> 'doubled' from instances where address = '{address}'", [("delivered", "[0]")]
            )

    trio.run(main)


def test_a_second_run_waits_says_for_whom_and_takes_over(tmp_path: Path) -> None:
    """
    hermes-agent#17198: it does not exit, and it does not take the account from who has it.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            old = await street.run()
            second = await street.start("run", "gateway.toml")
            line = await second.says("is driven by process")
            assert f"process {old.pid} on {os.uname().nodename} (since " in line
            street.say("one")
            await street.until(lambda: len(street.shown()) == 1)
            assert len(street.rows(STARTS)) == 1
            old.signal(signal.SIGTERM)
            assert await old.ends() == 0
            await second.says("connected")
            street.say("two")
            await street.until(lambda: len(street.shown()) == 2)
            assert [line for line in second.lines if "taken over from process" in line]

    trio.run(main)


def test_each_of_three_restarts_ends_the_one_before(tmp_path: Path) -> None:
    """
    And no two of them take the account from one another again and again.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            old: Running = await street.run()
            for number in range(3):
                new = await street.start("restart", "gateway.toml")
                assert await old.ends() == 0
                await new.says("connected")
                street.say(f"{number}")
                await street.until(lambda number=number: f"you said {number}" in street.shown())  # type: ignore[misc]
                old = new
            assert street.rows(STARTS) == [(1,), (2,), (3,), (4,)]

    trio.run(main)


# ---- only ever the owner ---------------------------------------------------------------------------------------------


def rewritten(street: Street, **fields: Any) -> None:
    """Have the lock file say something else of its holder."""
    file = lock_file(street)
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def begun(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.parametrize("how", ["another process", "its number used again", "another host"])
def test_no_process_is_signalled_but_the_one_that_holds_the_lock(tmp_path: Path, how: str) -> None:
    """
    B4: the file names a process that has nothing to do with it: its number was used again, the file was copied. It may even
    have the file open, as a backup does. The owner is frozen, so everything else speaks for ending it. That process is not
    touched; what keeps us is said; and when the owner goes on it hands over all the same.
    """
    said = {
        "another process": "the kernel does not say that process",
        "its number used again": "is another one than that which took the lock",
        "another host": "it is on elsewhere",
    }[how]

    async def main() -> None:
        async with open_street(tmp_path) as street:
            old = await street.run()
            reader = f"import sys, time; file = open({str(lock_file(street))!r}); print(1, flush=True); time.sleep(600)"
            bystander = await trio.lowlevel.open_process([sys.executable, "-c", reader], stdout=PIPE, stderr=DEVNULL)
            assert bystander.stdout is not None
            try:
                await bystander.stdout.receive_some()
                old.signal(signal.SIGSTOP)
                if how == "its number used again":
                    rewritten(street, begun=begun(old.pid) + 1)
                elif how == "another host":
                    rewritten(street, host="elsewhere")
                else:
                    rewritten(street, pid=bystander.pid, begun=begun(bystander.pid))
                new = await street.start("restart", "gateway.toml", *SHORT)
                assert "is not ended" in await new.says(said)
                assert bystander.returncode is None
                old.signal(signal.SIGCONT)
                assert await old.ends() == 0
                await new.says("connected")
                assert not [line for line in new.lines if "sent it" in line]
            finally:
                bystander.kill()
                assert await bystander.wait() == -signal.SIGKILL

    trio.run(main)


def slow_down(street: Street, per_second: float) -> None:
    config = street.folder / "gateway.toml"
    config.write_text(
        config.read_text().replace("per_second = 1000, burst = 1000", f"per_second = {per_second}, burst = 1")
    )


def test_a_former_owner_that_wakes_up_sends_nothing_and_stands_back(tmp_path: Path) -> None:
    """
    G6: two processes that do not agree on where the locks are. The first one is frozen with messages queued and a poll
    under way, and wakes up when the second one has the account: the journal refuses its next row, so it sends nothing.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            street.configure(agent="Old/1.0", handler=False)
            slow = (
                (street.folder / "gateway.toml")
                .read_text()
                .replace("per_second = 1000, burst = 1000", "per_second = 0.1, burst = 1")
            )
            (street.folder / "gateway.toml").write_text(slow)
            old = await street.run()
            street.say("hello")
            for number in range(4):
                street.send(f"news {number}")
            await street.until(lambda: street.shown() == ["news 0"])
            await street.comes_true("select count(*) from commands where done is null", [(0,)])
            await street.comes_true("select count(*) from instances where state = 'delivered'", [(1,)])
            old.signal(signal.SIGSTOP)
            before = len(street.sent_by("Old"))
            street.configure(agent="New/1.0", handler=False)
            slow_down(street, 0.6)  # so when it has sent the others, the old one would long have sent its next
            new = await street.start(
                "run", "gateway.toml", environment={"STATECORE_LOCK_DIR": str(street.folder / "elsewhere")}
            )
            await new.says("connected")
            await street.until(lambda: len(street.shown()) == 4)
            street.send("news 4")
            old.signal(signal.SIGCONT)
            street.say("to whoever listens")
            await old.says("now belongs to another process")
            await street.until(lambda: len(street.shown()) == 5)
            assert sorted(street.shown()) == [f"news {number}" for number in range(5)]
            assert len(street.sent_by("Old")) == before
            await street.comes_true("select count(*) from instances where machine = 'inbound'", [(2,)])
            assert street.rows(STARTS) == [(1,), (2,)]
            old.signal(signal.SIGTERM)
            assert await old.ends() == 0

    trio.run(main)


# ---- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["restart", "gateway.toml", "--patience", "soon"], 2, "'soon' is no duration"),
        (["restart", "gateway.toml", "--patience", "1s"], 2, "--patience: 1s is out of range: from 2s to 1h"),
        (["restart", "gateway.toml", "--grace", "0"], 2, "--grace"),
        (["run", "gateway.toml", "--grace", "5s"], 2, "go with --replace"),
        (["restart", "none.toml"], 1, "there is no such file"),
    ],
)
def test_an_absurd_time_is_refused_with_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, said: str
) -> None:
    """
    A patience of no time would end a healthy owner between two of its heartbeats.
    """
    (tmp_path / "gateway.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    done = invoke(*arguments)

    assert done.exit_code == status
    assert said in done.stderr
