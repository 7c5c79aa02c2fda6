"""What the command line says to someone who got it wrong: a sentence, an exit status, and never a traceback."""

import shutil
from pathlib import Path

import pytest

from tests.support.command import CONFIG, invoke, started, statecore


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a configuration, and a journal in which one message waits."""
    path = tmp_path_factory.mktemp("prepared")
    (path / "gateway.toml").write_text(CONFIG)
    accepted = statecore("send", "gateway.toml", "wx", "o9cq80anna@im.wechat", "hello", cwd=path)
    assert accepted.returncode == 0, accepted.stderr
    return path


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it, in which this process is, with everything that commands make."""
    monkeypatch.setenv("STATECORE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.chdir(shutil.copytree(prepared, tmp_path, dirs_exist_ok=True))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["frobnicate"], 2, "No such command"),
        (["status", "none.db"], 1, "there is no journal at none.db"),
        (["log", "gateway.db", "--event", "Lst"], 0, "nothing happened that fits"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_a_process_ends_with_the_status_and_the_sentence(
    folder: Path, arguments: list[str], status: int, said: str
) -> None:
    """All the others here are asked in the process of the test; this is what comes of it in one of its own."""
    done = statecore(*arguments, cwd=folder)

    assert said in done.stderr + done.stdout
    assert status == done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["send", "gateway.toml", "zz", "chat", "hi"], 1, "no account 'zz'; it has wx"),
        (["send", "none.toml", "wx", "chat", "hi"], 1, "none.toml: there is no such file"),
        (["send", "gateway.toml", "wx", "chat", "   "], 1, "empty"),
        (["send", "gateway.toml", "wx", "chat", "hi", "--expires", "never"], 2, "'never' is no duration"),
        (["send", "gateway.toml", "wx", "chat", "hi", "--expires", "-5s"], 2, "is no duration"),
        (["status", "gateway.toml"], 1, "no journal"),
        (["status", "."], 2, "is a directory"),
        (["log", "gateway.db", "--last", "0"], 2, "0 is not between 1 and"),
        (["log", "gateway.db", "--after", "x"], 2, "'x' is no whole number"),
        (["log", "gateway.db", "--after", "99999999999999999999"], 2, "is no whole number"),
        (["log", "gateway.db", "--chat", "\udcff"], 2, "is not UTF-8"),
        (["dead", "show", "gateway.db", "zzz"], 1, "nothing with the id 'zzz'"),
        (["dead", "retry", "gateway.db"], 2, "give an ID, or --all"),
        (["dead", "purge", "gateway.db", "--all", "--older-than", "old", "--yes"], 2, "is no duration"),
        (["run", "gateway.db"], 1, "cannot be read"),
        (["demo", "--journal", "gateway.db"], 2, "exists"),
        (["send", "gateway.toml", "wx", "", "hi"], 1, "a chat is the platform's id of it, got ''"),
        (["send", "gateway.toml", "wx", "chat", "hi", "--timeout", "5s"], 2, "--timeout says how long --wait waits"),
        (["dead", "list", "gateway.db", "--account", "zz"], 1, "gateway.db has no account 'zz'; it has wx"),
        (["log", "gateway.db", "--account", "zz"], 1, "gateway.db has no account 'zz'; it has wx"),
        (["login"], 2, "weixin"),
        (["login", "weixin", "--base-url", "ilinkai"], 2, "--base-url must be an address"),
        (["login", "weixin", "--save", "gateway.toml/weixin.json"], 1, "gateway.toml/weixin.json cannot be written"),
        (["login", "weixin", "--journal", "gateway.toml"], 1, "no journal"),
        (["login", "weixin", "--journal", "gateway.db", "--account", "zz"], 1, "gateway.db has no account 'zz'"),
        (["login", "weixin", "--account", "a/b"], 2, "--account is the name of an account"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_a_mistake_is_answered_with_a_sentence(arguments: list[str], status: int, said: str) -> None:
    """A traceback tells the author what happened; a sentence tells the person who must act."""
    done = invoke(*arguments)

    assert said in done.stderr + done.stdout
    assert status == done.exit_code
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("accounts.wx.pacing.per_second = 0", "accounts.wx.pacing.per_second: 0 is out of range"),
        ("accounts.wx.pacing.per_second = nan", "accounts.wx.pacing.per_second: must be a finite number"),
        ('accounts.wx.circuit.cooldown = "-3s"', "accounts.wx.circuit.cooldown:"),
        ('accounts.wx.window.lasts = "900000d"', "accounts.wx.window.lasts:"),
        ("accounts.wx.window.messages = 1.5", "accounts.wx.window.messages: must be a whole number"),
        ("accounts.wx.retry.backoff.factor = 0.5", "accounts.wx.retry.backoff.factor:"),
        ("accounts.wx.pacing.speed = 3", "accounts.wx.pacing.speed: no such setting; there are burst"),
        ('accounts.wx.base_url = "ilinkai"', "accounts.wx.base_url: must be an address"),
        ('accounts.qq.platform = "icq"', "accounts.qq.platform: must be one of"),
        ('accounts.b.platform = "weixin"', "accounts.b.account_id: is missing"),
        ('handler = "mybot"', 'handler: must be "module:function"'),
        ('handler = "nobot:handle"', "handler: 'nobot:handle' cannot be imported"),
        ('handler = "brokenbot:handle"', "brokenbot.py line 1"),
        ("gateway.lock_folder = 3", "gateway.lock_folder: must be the name of a file or folder"),
        ("speed = 3", "speed: no such setting"),
        ("gateway.drain = 0", "gateway.drain: a duration must be above zero"),
        ('accounts.c = { platform = "weixin", account_id = "c@im.bot", token = { env = "NO_SUCH" } }',
         "accounts.c.token: the environment has no NO_SUCH"),
    ],
)  # fmt: skip
def test_an_absurd_setting_is_refused_at_start_with_its_key(folder: Path, line: str, said: str) -> None:
    """A zero or a NaN that gets as far as a timer is how loops lose their delay (qq-official-bot#98)."""
    own = line.removeprefix("accounts.wx.")
    text = CONFIG.replace('base_url = "http://127.0.0.1:9"\n', "") + own + "\n" if own != line else line + "\n" + CONFIG
    (folder / "odd.toml").write_text(text)
    (folder / "brokenbot.py").write_text("def handle(message, gateway)")

    done = invoke("run", "odd.toml")

    assert said in done.stderr
    assert done.exit_code == 1
    assert "Traceback" not in done.stderr


def test_reading_commands_leave_the_folder_as_it_was(folder: Path) -> None:
    """A journal is evidence. Looking at it must not change a byte, nor leave files beside it."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    for arguments in (["status", "gateway.db"], ["log", "gateway.db"], ["dead", "list", "gateway.db"]):
        assert invoke(*arguments).exit_code == 0

    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.usefixtures("folder")
def test_a_key_sent_twice_is_one_message() -> None:
    """An alert that is raised by two cron jobs must reach the phone once, gateway running or not."""
    first = invoke("send", "gateway.toml", "wx", "chat", "disk full", "--key", "disk", "--json")
    second = invoke("send", "gateway.toml", "wx", "chat", "disk full", "--key", "disk", "--json")
    third = invoke("send", "gateway.toml", "wx", "chat", "disk still full", "--key", "disk")

    assert first.stdout == second.stdout
    assert third.stdout.startswith("was accepted before, as ")


@pytest.mark.usefixtures("folder")
def test_waiting_without_a_gateway_ends_with_what_is_known() -> None:
    """A script must be able to tell "still waiting" from "delivered" and from "given up"."""
    done = invoke("send", "gateway.toml", "wx", "chat", "-", "--wait", "--timeout", "500ms", stdin="from a pipe")

    assert "no gateway has taken it up yet" in done.stdout
    assert done.exit_code == 3


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["run"], ["restart"], ["send"], ["status"], ["log"], ["dead"], ["dead", "list"], ["dead", "show"],
     ["dead", "retry"], ["dead", "purge"], ["export"], ["prune"], ["login"], ["login", "weixin"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_explains_itself(command: list[str]) -> None:
    """Help is the first thing a person reads and the last that is tested."""
    done = invoke(*command, "--help")

    assert done.exit_code == 0
    assert "Usage:" in done.stdout
    assert not command or "Example" in done.stdout or command == ["login"], done.stdout


ALONE = """
import os, sys
import cattrs, rich.table, sqlite_utils, trio
import statecore.machines
from statecore.cli import COMMANDS, main
for name in COMMANDS:
    child = os.fork()
    if child == 0:
        main([name, "--help"])
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} cannot be imported before the others")
"""


def test_every_command_can_be_the_first_that_a_process_imports(tmp_path: Path) -> None:
    """Modules that import each other work in one order, and in the tests that order is another one."""
    with started("-c", ALONE, cwd=tmp_path) as process:
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 0, said
