"""One QQ bot as its user writes it: what is absurd is refused by its key, and what is left out is QQ's own."""

from pathlib import Path
from typing import Any

import pytest

from statecore.errors import ConfigError, NotAccepted
from statecore.policies import Pacing, Window
from statecore.settings import build
from statecore.units import MINUTES, SECONDS
from statecore_adapters.qqbot import QQBot, chats, intents

SECRET = "DG5g3B4j9X2KOErGDG5g3B4j9X2KOErG"


def written(**settings: Any) -> QQBot:
    """Build an account as a configuration file does."""
    return build(QQBot, {"app_id": "102000001", "client_secret": SECRET, **settings}, "accounts.qq")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("app_id", 102000001),
        ("app_id", ""),
        ("app_id", "10 2"),
        ("client_secret", ""),
        ("client_secret", {"env": ""}),
        ("client_secret", {"env": "A", "file": "B"}),
        ("client_secret", {"vault": "A"}),
        ("client_secret", {"env": "A=B"}),
        ("client_secret", {"file": "a\0b"}),
        ("client_secret", "gehé1m"),
        ("client_secret", "two words"),
        ("client_secret", None),
        ("api_base", "api.sgroup.qq.com"),
        ("api_base", "https://"),
        ("api_base", "https://a b"),
        ("api_base", "http://[::1"),
        ("api_base", "http://127.0.0.1:70000"),
        ("api_base", "https://api.sgroup.qq.com/?x=1"),
        ("token_url", "wss://bots.qq.com"),
        ("gateway_url", "https://api.sgroup.qq.com/websocket"),
        ("gateway_url", "wss://"),
        ("gateway_url", "ws://127.0.0.1:x"),
        ("gateway_url", 1),
        ("sandbox", "yes"),
        ("private_guilds", 1),
        ("proactive", "false"),
        ("format", "html"),
        ("text_chars", 0),
        ("text_chars", 4000.0),
        ("text_chars", 10**9),
        ("intents", []),
        ("intents", 0),
        ("intents", True),
        ("intents", 1 << 31),
        ("intents", 1 << 2),
        ("intents", "GUILDS"),
        ("intents", ["GUILDS", "GILDS"]),
        ("intents", [1]),
    ],
)
def test_what_is_absurd_is_refused_by_the_key_that_holds_it(key: str, value: object) -> None:
    """
    Found when the file is read, not when the platform closes the connection at night.
    """
    with pytest.raises(ConfigError) as refused:
        written(**{key: value})

    assert refused.value.key == f"accounts.qq.{key}"


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"window_group": {"messages": 0}}, "window_group.messages"),
        ({"window_c2c": {"lasts": "a while"}}, "window_c2c.lasts"),
        ({"window_dm": {"count": 3}}, "window_dm.count"),
        ({"window_channel": 3}, "window_channel"),
        ({"pacing": {"per_second": -1}}, "pacing.per_second"),
        ({"pacing": "fast"}, "pacing"),
        ({"sessions": {"per_day": 0}}, "sessions.per_day"),
        ({"circuit": {"cooldown": "0s"}}, "circuit.cooldown"),
    ],
)
def test_a_number_in_a_table_is_refused_by_its_dotted_key(table: dict[str, Any], key: str) -> None:
    """
    A window of no messages would hold every answer back for ever.
    """
    with pytest.raises(ConfigError) as refused:
        written(**table)

    assert refused.value.key == f"accounts.qq.{key}"


def test_what_a_table_leaves_out_is_qqs_own() -> None:
    """
    WeChat's 24 hours, taken over by whoever sets only a count, would be refused from the fifth minute on.
    """
    found = written(window_group={"messages": 2}, pacing={"burst": 9}).policies

    assert (found.windows["group"].messages, found.windows["group"].lasts) == (2, 280 * SECONDS)
    assert (found.pacing.burst, found.pacing.per_second) == (9, 5.0)


def test_each_scene_has_its_window() -> None:
    """
    A minute is kept in reserve in each, and one answer of five.
    """
    found = written().policies

    assert (found.window_of("c2c:A").messages, found.window_of("c2c:A").lasts) == (4, 59 * MINUTES)
    assert (found.window_of("group:A").messages, found.window_of("group:A").lasts) == (4, 280 * SECONDS)
    assert (found.window_of("channel:1").messages, found.window_of("channel:1").lasts) == (1000, 280 * SECONDS)
    assert found.window_of("dm:1") == found.window_of("channel:1")
    assert found.window_of("unknown") == found.window_of("group:A")


def test_from_python_any_window_and_pacing_will_do() -> None:
    """
    Nobody should have to know a class of ours to change a number.
    """
    found = QQBot(app_id="1", client_secret=SECRET, window_group=Window(messages=3), pacing=Pacing(burst=7)).policies

    assert found.windows["group"] == Window(messages=3)
    assert found.pacing.burst == 7


def test_the_secret_is_read_where_the_configuration_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And afresh every time, so a new one is picked up without a restart. That there is none is found when it is needed.
    """
    place = tmp_path / "secret"
    from_file = written(client_secret={"file": str(place)})
    from_env = written(client_secret={"env": "QQBOT_TEST_SECRET"})
    monkeypatch.delenv("QQBOT_TEST_SECRET", raising=False)
    assert (from_file.read_secret(), from_env.read_secret()) == ("", "")

    place.write_text(f"{SECRET}\n")
    monkeypatch.setenv("QQBOT_TEST_SECRET", f" {SECRET} ")
    assert (from_file.read_secret(), from_env.read_secret()) == (SECRET, SECRET)

    place.write_bytes(b"\xff\xfe")
    assert from_file.read_secret() == ""
    assert written().read_secret() == SECRET


def test_the_secret_is_not_shown() -> None:
    """
    Configurations end up in logs.
    """
    assert SECRET not in repr(written())


def test_the_sandbox_is_a_host_of_the_platforms() -> None:
    """
    Together with another host it would silently not be used.
    """
    assert written(sandbox=True).sandbox
    with pytest.raises(ConfigError) as refused:
        written(sandbox=True, api_base="http://127.0.0.1:1")

    assert refused.value.key == "accounts.qq.sandbox"


def test_intents_are_read_from_names_and_numbers() -> None:
    """
    The number is what other clients' configurations hold.
    """
    assert written(intents=["GROUP_AND_C2C_EVENT", "INTERACTION"]).intents == 100_663_296
    assert written(intents=100_663_296).intents == 100_663_296
    assert written().intents == 1 << 25 | 1 << 12 | 1 << 30 | 1 << 27
    assert not written().intents & (intents.BITS["INTERACTION"] | intents.BITS["GUILD_MESSAGES"])  # type: ignore[operator]


def test_an_account_is_one_bot() -> None:
    """
    Two processes that drive it would displace each other's session for ever.
    """
    assert written().identity == "qqbot:102000001"


# ---- the platform ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chat", ["c2c:5A0C8D1E", "group:5A0C8D1E", "channel:1234", "dm:7460172331083428744"])
def test_a_chat_is_a_scene_and_an_id(chat: str) -> None:
    """
    An id alone does not say where a message for it is posted.
    """
    written().platform.check(chat)
    assert chat.partition(":")[2] in chats.path(chat)


@pytest.mark.parametrize(
    "chat", ["", "5A0C8D1E", "c2c:", "user:1", "C2C:1", "c2c:a b", "c2c:a\n", "dm:..", "c2c:" + "a" * 257, "unknown"]
)
def test_anything_else_is_refused_with_what_one_looks_like(chat: str) -> None:
    """
    Found before a message for it is recorded.
    """
    with pytest.raises(NotAccepted, match="c2c:OPENID"):
        written().platform.check(chat)


def test_an_id_cannot_change_the_path() -> None:
    """
    Ids are opaque, and come from outside.
    """
    assert chats.path("c2c:../../x?y#z") == "/v2/users/..%2F..%2Fx%3Fy%23z/messages"


def test_only_a_numbered_answer_may_be_sent_again() -> None:
    """
    The platform recognises a repetition by the message answered and the number; without them it shows it twice.
    """
    platform = written().platform

    assert platform.resends("c2c:A", "m") == platform.resends("group:A", "m") == "always"
    assert {platform.resends("c2c:A", ""), platform.resends("channel:1", "m"), platform.resends("dm:1", "m")} == {
        "never"
    }


def test_the_settings_say_what_the_platform_is_taken_for() -> None:
    """
    The runtime asks the platform, not the account.
    """
    plain, marked = written().platform, written(format="markdown", proactive=True).platform

    assert (plain.name, plain.tie, plain.answers) == ("qqbot", "session", True)
    assert (plain.markup, plain.unasked) == (False, False)
    assert (marked.markup, marked.unasked) == (True, True)


def test_a_long_text_is_cut_by_characters() -> None:
    """
    The platform counts those, and not bytes: Chinese takes three each.
    """
    parts = written(text_chars=100).platform.split("\u4f60\u597d\u3002" * 100)

    assert [len(part) for part in parts] == [99, 99, 99, 3]
    with pytest.raises(NotAccepted):
        written().platform.split(" \n")
