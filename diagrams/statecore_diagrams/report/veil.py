"""What a page does not show: texts, ids and tokens, each as a placeholder that is the same wherever it stands."""

import hashlib
import json
from typing import Any, Final, Protocol

from statecore.system import Address

SHOWN: Final = frozenset(
    {"stage", "how", "by", "then", "reading", "timer", "machine", "state", "event", "kinds", "origin", "probe", "code", "field"}
)
"""Fields whose text says what happened, and nothing of whom."""


class Veil(Protocol):
    """Hides what is not to be shown."""

    hides: bool

    def account(self, name: str) -> str: ...
    def chat(self, chat: str) -> str: ...
    def address(self, address: str) -> str: ...
    def data(self, event: str, data: str) -> str: ...
    def text(self, text: str) -> str: ...


class Plain:
    """Hides nothing. Secrets are never in events, so there is nothing that must be hidden from its own operator."""

    hides = False

    def account(self, name: str) -> str:
        return name

    def chat(self, chat: str) -> str:
        return chat

    def address(self, address: str) -> str:
        return address

    def data(self, event: str, data: str) -> str:  # noqa: ARG002 - the port's
        return data

    def text(self, text: str) -> str:
        return text


class Redacted:
    """Hides texts, ids and tokens."""

    hides = True

    def account(self, name: str) -> str:
        return name

    def chat(self, chat: str) -> str:
        return _placeholder("chat", chat)

    def address(self, address: str) -> str:
        machine, account, key = Address.parse(address)
        return str(Address(machine, account, _placeholder("chat" if machine in ("window", "circuit") else "id", key)))

    def data(self, event: str, data: str) -> str:  # noqa: ARG002 - the port's
        return json.dumps(self._value("", json.loads(data)), ensure_ascii=False)

    def text(self, text: str) -> str:
        return text

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._value(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(name, item) for item in value]
        if not isinstance(value, str) or name in SHOWN:
            return value
        return self.address(value) if name in ("delivery", "reply_to") else _placeholder(name, value)


def _placeholder(kind: str, text: str) -> str:
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}" if text else ""
