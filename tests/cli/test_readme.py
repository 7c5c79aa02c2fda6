"""The README is run: what it promises on its first screen is what people try first."""

import re
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from statecore.config import load
from statecore.errors import DefinitionError
from tests.support.command import CHAT, invoke, read_until, started, type_into

README: Final = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS: Final[list[tuple[str, str]]] = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

ROW: Final = re.compile(
    r"\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} #\d+ +\w+/\S+  [a-z-]+( → [a-z-]+)?  \w+(\(\w+\))?( \[[^]]+\])?( \w+=.+?)*(  ←#\d+)?"
)


def block(language: str, holding: str) -> str:
    """Return the one block of a language that holds a text."""
    (found,) = [text for kind, text in BLOCKS if kind == language and holding in text]
    return found


def test_every_block_of_code_is_run_here() -> None:
    """
    A new one needs a test of its own.
    """
    languages = [language for language, _ in BLOCKS if language in ("python", "toml")]

    assert languages == ["python", "toml", "python", "toml", "python"]


def test_the_program_answers(tmp_path: Path) -> None:
    """
    As it stands there, but for the address of the platform.
    """
    with started("-m", "statecore_adapters.weixin.simulator", "--token", "secret", cwd=tmp_path) as simulator:
        base_url = read_until(simulator, "base_url").split()[1]
        (tmp_path / "weixin.json").write_text('{"token": "secret"}')
        elsewhere = f'"weixin.json"}}, base_url="{base_url}"'
        (tmp_path / "echo.py").write_text(block("python", "open_gateway").replace('"weixin.json"}', elsewhere))
        with started("echo.py", cwd=tmp_path) as program:
            type_into(simulator, "hello")

            assert "you said hello" in read_until(simulator, "<")

            program.send_signal(signal.SIGTERM)
            said, _ = program.communicate(timeout=60)

    assert said.startswith("signal 15: letting go")
    assert program.returncode == 0


def test_the_handler_answers_and_any_process_can_send(tmp_path: Path) -> None:
    """
    The same, as a configuration and a module.
    """
    with started(
        "-m", "statecore_adapters.weixin.simulator", "--token", "secret", "--user", CHAT, cwd=tmp_path
    ) as simulator:
        base_url = read_until(simulator, "base_url").split()[1]
        (tmp_path / "weixin.json").write_text('{"token": "secret"}')
        config = tmp_path / "gateway.toml"
        config.write_text(block("toml", "handler") + f'base_url = "{base_url}"\n')
        (tmp_path / "mybot.py").write_text(block("python", "# mybot.py"))
        with started("-m", "statecore", "run", "gateway.toml", cwd=tmp_path) as gateway:
            type_into(simulator, "hello")
            assert "you said hello" in read_until(simulator, "<")

            assert invoke("send", config, "wx", CHAT, "the build is green").output.startswith("accepted as ")
            assert "the build is green" in read_until(simulator, "<")

            gateway.send_signal(signal.SIGTERM)
            said, _ = gateway.communicate(timeout=60)

    assert said.endswith("stopped; everything is in the journal\n")


def test_a_bot_of_qq_is_one_more_account(tmp_path: Path) -> None:
    """
    Its table goes into the same file.
    """
    (tmp_path / "gateway.toml").write_text(block("toml", "handler") + block("toml", "accounts.qq"))

    config = load(tmp_path / "gateway.toml")

    assert [account.platform.name for account in config.accounts.values()] == ["weixin", "qqbot"]
    assert config.environment == {"accounts.qq.client_secret": "QQ_CLIENT_SECRET"}


def test_the_door_opens_and_is_refused_without_its_last_row() -> None:
    """
    It is the shortest machine there is, and the refusal is quoted beneath it.
    """
    source = block("python", "class Door")
    found: dict[str, Any] = {}
    exec(source, found)

    assert found["decision"].snapshot.state == "open"

    row = next(line for line in source.splitlines() if "ignore(" in line and "import" not in line)
    with pytest.raises(DefinitionError, match="nobody decided on Pushed in 'open'"):
        exec(source.replace(row, ""), {})


def test_the_log_looks_like_that(tmp_path: Path) -> None:
    """
    A sample that was written by hand shows what its author remembered.
    """
    sample = block("", "$ statecore log").splitlines()[1:]
    (tmp_path / "gateway.toml").write_text('journal = "gateway.db"\n[accounts.wx]\nplatform = "weixin"\naccount_id = "b@im.bot"\n'
                                           'token = "t"\nbase_url = "http://127.0.0.1:9"\n')  # fmt: skip
    with started("-m", "statecore", "run", "gateway.toml", cwd=tmp_path) as gateway:
        read_until(gateway, "reconnecting")
    printed = invoke("log", tmp_path / "gateway.db").output.splitlines()

    assert printed
    for line in (*sample, *printed):
        assert ROW.fullmatch(line), line
