"""statecore: an event-sourced state-machine framework and adapter runtime for chat platforms.

The gateway, for programs that talk to people:

    async with open_gateway("gateway.db", {"wx": Weixin(account_id="...", token="...")}) as gateway:
        async for message in gateway.inbox():
            async with message:
                text = f"you said {message.text}"
                await gateway.send(message.account, message.chat, text, reply_to=message, key=message.id)

A message is handed over again if the process ends before its block does; with the key, it is answered once all the same.

The framework, for people who write machines: `statecore.machine` and `statecore.events`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from statecore.errors import (
        CodecError,
        ConfigError,
        DefinitionError,
        Fenced,
        GatewayStopped,
        JournalBusy,
        JournalCorrupt,
        JournalError,
        JournalFull,
        JournalTooNew,
        NotAccepted,
        NotAJournal,
        StatecoreError,
    )
    from statecore.gateway import Gateway, Options
    from statecore.machine import STAY, Decision, Effect, Machine, Signal, Snapshot, Timer, ignore, on
    from statecore.messages import Dead, Delivered, Expired, Message, Receipt
    from statecore.wiring import open_gateway

__version__ = "0.1.0"

__all__ = [
    "STAY",
    "CodecError",
    "ConfigError",
    "Dead",
    "Decision",
    "DefinitionError",
    "Delivered",
    "Effect",
    "Expired",
    "Fenced",
    "Gateway",
    "GatewayStopped",
    "JournalBusy",
    "JournalCorrupt",
    "JournalError",
    "JournalFull",
    "JournalTooNew",
    "Machine",
    "Message",
    "NotAJournal",
    "NotAccepted",
    "Options",
    "Receipt",
    "Signal",
    "Snapshot",
    "StatecoreError",
    "Timer",
    "ignore",
    "on",
    "open_gateway",
]

_HOMES: Final = {
    "statecore.errors": (
        "CodecError",
        "ConfigError",
        "DefinitionError",
        "Fenced",
        "GatewayStopped",
        "JournalBusy",
        "JournalCorrupt",
        "JournalError",
        "JournalFull",
        "JournalTooNew",
        "NotAccepted",
        "NotAJournal",
        "StatecoreError",
    ),
    "statecore.gateway": ("Gateway", "Options"),
    "statecore.machine": ("STAY", "Decision", "Effect", "Machine", "Signal", "Snapshot", "Timer", "ignore", "on"),
    "statecore.messages": ("Dead", "Delivered", "Expired", "Message", "Receipt"),
    "statecore.wiring": ("open_gateway",),
}
"""Where each name is. It is imported when it is first asked for: pytest imports this package in every run of everybody who has
it, for the plugin, and most of those want neither trio nor SQLite."""

_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
