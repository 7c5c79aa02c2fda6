"""Configuration files: whatever is wrong in one is said in a sentence that begins with its key."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from statecore.config import load
from statecore.errors import ConfigError
from statecore.gateway import Options
from statecore_adapters.weixin import Weixin

FILE = {
    "journal": '"gateway.db"',
    "accounts.wx.platform": '"weixin"',
    "accounts.wx.account_id": '"0a1b2c3d4e5f@im.bot"',
    "accounts.wx.token": '"token"',
}


def written(folder: Path, **settings: str) -> Path:
    """Write a configuration file: what must be in one, with some keys replaced or added, all of them in TOML."""
    kept = {
        key: value for key, value in FILE.items() if not any(f"{key}.".startswith(f"{given}.") for given in settings)
    }
    path = folder / "gateway.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in (kept | settings).items()))
    return path


def refusal(path: Path) -> tuple[str, str]:
    """Return the key and the reason with which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.key, caught.value.why


# ---- the handler -----------------------------------------------------------------------------------------------------


@pytest.fixture
def _modules() -> Iterator[None]:
    """Forget what a test imported, and where from."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


GOOD = "async def handle(message, gateway): ..."


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("\ndef handle(message, gateway)\n", "SyntaxError: expected ':', in {file} line 2"),
        ("import os\n\n1 / 0\n", "ZeroDivisionError: division by zero, in {file} line 3"),
        ("import os\nos.nothing()\n", "AttributeError: module 'os' has no attribute 'nothing', in {file} line 2"),
        ("import json\njson.loads('{')\n", "in {file} line 2"),
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name', in {file} line 1"),
        ("raise SystemExit('not today')\n", "SystemExit: not today, in {file} line 1"),
        ("raise RuntimeError\n", "RuntimeError, in {file} line 1"),
        ("\0", "null bytes"),
    ],
    ids=repr,
)
def test_a_module_that_cannot_be_imported_is_named_with_the_line(tmp_path: Path, source: str, why: str) -> None:
    """
    The handler is the one file its user wrote, so that is where most mistakes are.
    """
    (tmp_path / "broken_bot.py").write_text(source)

    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, handler='"broken_bot:handle"')).load_handler()

    assert caught.value.key == "handler"
    assert caught.value.why.startswith("'broken_bot:handle' cannot be imported: ")
    assert why.format(file=tmp_path / "broken_bot.py") in caught.value.why


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "module 'odd_bot' has no 'handle'"),
        ("handle = 3", "'odd_bot:handle' is no function"),
        ("def handle(message, gateway): ...", "'odd_bot:handle' is not async"),
        ("async def handle(message, gateway): yield", "'odd_bot:handle' is not async"),
        ("class handle:\n async def __call__(self, message, gateway): ...", "'odd_bot:handle' is a class"),
        ("async def handle(message): ...", "'odd_bot:handle' does not take a message and a gateway"),
        ("async def handle(*, message, gateway): ...", "'odd_bot:handle' does not take a message and a gateway"),
    ],
    ids=repr,
)
def test_what_cannot_handle_messages_is_refused_before_there_are_any(tmp_path: Path, source: str, why: str) -> None:
    """
    Found out with the first message, it would set that message aside, and every one after it.
    """
    (tmp_path / "odd_bot.py").write_text(source)

    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, handler='"odd_bot:handle"')).load_handler()

    assert caught.value.key == "handler"
    assert caught.value.why.startswith(why)


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize(
    "source",
    [
        GOOD,
        "async def handle(*both): ...",
        "async def handle(message, gateway, mood='good'): ...",
        "class Bot:\n async def __call__(self, message, gateway): ...\nhandle = Bot()",
        "class Bot:\n async def answer(self, message, gateway): ...\nhandle = Bot().answer",
        "import functools\nasync def of(mood, message, gateway): ...\nhandle = functools.partial(of, 'good')",
    ],
    ids=repr,
)
def test_whatever_takes_a_message_and_a_gateway_is_a_handler(tmp_path: Path, source: str) -> None:
    """
    A function is the least of it: a bot with a state is an object.
    """
    (tmp_path / "fine_bot.py").write_text(source)

    assert load(written(tmp_path, handler='"fine_bot:handle"')).load_handler() is not None


@pytest.mark.parametrize(
    "handler", ["bot", ":handle", "bot:", "bot:handle()", "my bot:handle", ".bot:handle ", "a:b:c"]
)
def test_a_handler_is_named_by_its_module_and_itself(tmp_path: Path, handler: str) -> None:
    """
    What is neither is said before anything is imported.
    """
    key, why = refusal(written(tmp_path, handler=f'"{handler}"'))

    assert (key, why) == ("handler", f'must be "module:function", got {handler!r}')


# ---- values of the wrong kind ----------------------------------------------------------------------------------------

VALUES = (
    "3", "-1", "0.5", "nan", "true", '""', '"no such thing"', '"a\\u0000b"', "[]", "[1]", "{}", "{ a = 1 }", "1979-05-27",
)  # fmt: skip
"""One of every kind that TOML has."""

NUMBERS = {"3", "0.5"}
RIGHT = {
    "accounts.wx.platform": set[str](),
    "accounts.wx.account_id": set[str](),
    "accounts.wx.token": set[str](),
    "accounts.wx.base_url": set[str](),
    "accounts.wx.cdn_base_url": set[str](),
    "accounts.wx.agent": {'"no such thing"'},
    "accounts": set[str](),
    "handler": {'""'},
    "journal": {'"no such thing"'},
    "gateway.lock_folder": {'"no such thing"'},
}
"""Which of `VALUES` may be taken where it is no number that is wanted."""


def keys(kind: type[Any], within: str) -> Iterator[str]:
    """Yield the dotted key of everything in a settings class; of a table, it ends with a dot."""
    for field in attrs.fields(kind):
        if isinstance(field.type, type) and attrs.has(field.type):
            yield f"{within}.{field.alias}."
            yield from keys(field.type, f"{within}.{field.alias}")
        else:
            yield f"{within}.{field.alias}"


@pytest.mark.parametrize(
    "key",
    ["journal", "accounts", "handler", "handlers", "accounts.wx.", "accounts.wx.platform", "gateway.",
     *keys(Options, "gateway"), *keys(Weixin, "accounts.wx")],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_with_its_key(tmp_path: Path, key: str) -> None:
    """
    What slips through here is met by the code that needs it, at its next attempt and at every one after that.
    """
    name = key.removesuffix(".")
    taken = set()
    for value in VALUES:
        try:
            load(written(tmp_path, **{name: value}))
        except ConfigError as refused:
            said = str(refused)
        else:
            taken.add(value)
            continue
        assert said.startswith((f"{name}:", f"{name}.")), f"{name} = {value}"
        assert said.isprintable()

    assert taken <= ({"{}"} if key.endswith(".") else RIGHT.get(key, NUMBERS))


@pytest.mark.parametrize(
    "url", ["https://", "http://host:99999", "http://a b", "http://h/?q", "ftp://h", "//h", "http://[::1", "http://u@h"]
)
@pytest.mark.parametrize("key", ["base_url", "cdn_base_url"])
def test_an_address_is_one_that_paths_can_be_joined_to(tmp_path: Path, key: str, url: str) -> None:
    """
    One that only looks right fails at every request.
    """
    assert refusal(written(tmp_path, **{f"accounts.wx.{key}": f'"{url}"'}))[0] == f"accounts.wx.{key}"


@pytest.mark.parametrize(
    "token",
    ['"zwei Worte"', '"\\u00fc"', "{ env = 3 }", '{ env = "" }', '{ env = "A=B" }', '{ file = "" }',
     '{ file = "a\\u0000" }', "{ file = [] }", '{ env = "A", file = "b" }', '{ path = "b" }'],
)  # fmt: skip
def test_a_token_is_one_word_or_the_place_of_one(tmp_path: Path, token: str) -> None:
    """
    A header cannot carry anything else. What was given is not repeated: it may be the token, with a slip in it.
    """
    key, why = refusal(written(tmp_path, **{"accounts.wx.token": token}))

    assert key == "accounts.wx.token"
    assert "Worte" not in why
    assert "\u00fc" not in why


@pytest.mark.parametrize("agent", ["3 4 <script>", "MyBot/1.0 (", "\u00fc/1", "a" * 33])
def test_an_agent_that_the_platform_would_not_take_is_refused(tmp_path: Path, agent: str) -> None:
    """
    It used to be left out in silence.
    """
    assert refusal(written(tmp_path, **{"accounts.wx.agent": f'"{agent}"'}))[0] == "accounts.wx.agent"


@pytest.mark.parametrize("name", ["a/b", "", " ", "a\\nb"])
def test_a_name_of_an_account_can_stand_in_an_address(tmp_path: Path, name: str) -> None:
    """
    `send` reads the file as `run` does, and must not record what no gateway would ever take up.
    """
    path = written(tmp_path, **{f'accounts."{name}"': '{ platform = "weixin", account_id = "b@im.bot", token = "t" }'})

    assert "must not be empty or hold a slash" in refusal(path)[1]


@pytest.mark.parametrize("setting", [{"pacing": 3}, {"retry": {"attempts": 3}}, {"window": None}])
def test_settings_written_in_python_are_checked_too(setting: dict[str, Any]) -> None:
    """
    A type checker would have said so; not everyone runs one.
    """
    with pytest.raises(ConfigError) as caught:
        Weixin(account_id="0a1b2c3d4e5f@im.bot", token="token", **setting)

    assert caught.value.key == next(iter(setting))


# ---- places ----------------------------------------------------------------------------------------------------------


def test_names_of_files_are_relative_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is the same gateway whatever folder it is started from, and with the same locks.
    """
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    settings = {"gateway.lock_folder": '"locks"', "accounts.wx.token": '{ file = "~/weixin.json" }'}
    config = load(written(tmp_path, **settings))
    account = config.accounts["wx"]

    assert config.journal == tmp_path / "gateway.db"
    assert config.options.lock_folder == tmp_path / "locks"
    assert isinstance(account, Weixin)
    assert account.token == {"file": str(tmp_path / "home" / "weixin.json")}


def test_a_home_that_does_not_exist_is_an_error_of_the_key(tmp_path: Path) -> None:
    """
    Only the part behind a tilde can be wrong in a name of a file.
    """
    assert refusal(written(tmp_path, journal='"~nobody-of-that-name/gateway.db"'))[0] == "journal"


def test_who_does_not_drive_an_account_needs_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `send` writes a row. A cron job that sends has no business with the bot's token.
    """
    monkeypatch.delenv("NO_SUCH", raising=False)

    config = load(written(tmp_path, **{"accounts.wx.token": '{ env = "NO_SUCH" }'}))

    account = config.accounts["wx"]
    assert isinstance(account, Weixin)
    assert account.read_token() == ""
    with pytest.raises(ConfigError, match=r"^accounts\.wx\.token: the environment has no NO_SUCH$"):
        config.check_environment()
    monkeypatch.setenv("NO_SUCH", " ")
    with pytest.raises(ConfigError, match=r"^accounts\.wx\.token: NO_SUCH is empty in the environment$"):
        config.check_environment()
    monkeypatch.setenv("NO_SUCH", "token\n")
    config.check_environment()
    assert account.read_token() == "token"
