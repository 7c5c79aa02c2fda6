"""What an account was configured with is read back from the journal, without its secrets."""

import orjson
import pytest

from statecore.errors import ConfigError
from statecore.policies import Circuit
from statecore.recorded import recorded, restore
from statecore.settings import build
from statecore.units import SECONDS
from statecore_adapters.qqbot import QQBot
from statecore_adapters.weixin import Weixin

PLATFORMS = {"weixin": Weixin, "qqbot": QQBot}
SECRET = "f00dfeedbeef" * 3


def _weixin(**settings: object) -> Weixin:
    return Weixin(account_id="0a1b2c3d4e5f@im.bot", token=SECRET, **settings)  # type: ignore[arg-type]


def _qqbot(**settings: object) -> QQBot:
    return QQBot(app_id="102000001", client_secret=SECRET, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        _weixin(circuit=build(Circuit, {"cooldown": "1250.5ms"}, ""), text_chars=500),
        _qqbot(proactive=True, format="markdown"),
    ],
)
def test_what_was_recorded_decides_as_the_account_did(config: Weixin | QQBot) -> None:
    """Otherwise replaying an incident with nothing changed would not be the incident."""
    restored = restore(recorded(config), {}, PLATFORMS, "account.x")

    assert (config.platform, config.policies) == (restored.platform, restored.policies)


@pytest.mark.parametrize("config", [_weixin(), _qqbot()])
def test_no_secret_is_recorded(config: Weixin | QQBot) -> None:
    """The journal may be shown to anyone."""
    assert SECRET not in recorded(config)


def test_a_changed_setting_is_read_as_in_a_configuration_file() -> None:
    """People write what they would write there."""
    restored = restore(recorded(_weixin()), {"circuit.cooldown": "10s", "circuit.chats": "3"}, PLATFORMS, "account.wx")

    assert (restored.policies.circuit.cooldown, restored.policies.circuit.chats) == (10 * SECONDS, 3)


def test_a_window_of_one_kind_of_chat_can_be_changed() -> None:
    """QQ has one for each kind, under names of its own."""
    restored = restore(recorded(_qqbot()), {"window_c2c.messages": "2"}, PLATFORMS, "account.qq")

    assert restored.policies.window_of("c2c:x").messages == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"circuit.cooldwn": "10s"}, "account.wx.circuit.cooldwn"),
        ({"circuit.cooldown": "soon"}, "account.wx.circuit.cooldown"),
        ({"circuit.cooldown": "0"}, "account.wx.circuit.cooldown"),
        ({"nonsense": "1"}, "account.wx.nonsense"),
        ({"text_chars.x": "1"}, "account.wx.text_chars.x"),
    ],
)
def test_what_cannot_be_set_is_refused_by_its_key(changes: dict[str, str], named: str) -> None:
    """A slip must not quietly leave everything as it was."""
    with pytest.raises(ConfigError) as caught:
        restore(recorded(_weixin()), changes, PLATFORMS, "account.wx")

    assert named == caught.value.key


def test_a_platform_that_is_not_installed_is_named() -> None:
    """The journal may come from someone with other adapters."""
    text = orjson.dumps({"platform": "telegraph", "settings": {}, "policies": {}}).decode()

    with pytest.raises(ConfigError, match="telegraph"):
        restore(text, {}, PLATFORMS, "account.x")
