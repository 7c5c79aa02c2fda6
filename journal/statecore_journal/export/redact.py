"""Taking out of a row what must not leave the house, and leaving in what tells the story."""

import functools
import re
import typing
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, Protocol

import attrs
import orjson

from statecore.events import BUILT_IN, Broken, Elapsed, Event
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.system import Address
from statecore_journal.export.fields import EVENTS, KEYS, PARTS, REMEMBERED, Kind
from statecore_journal.export.names import Names
from statecore_journal.export.prose import Prose
from statecore_journal.export.vocabulary import Vocabulary

_CODE_NAME: Final = re.compile(r"[A-Za-z_][\w-]{0,60}(?:\(\w{1,60}\))?", re.ASCII)
_GUARDS: Final = re.compile(r"[\w<>.]+=[01](?:,[\w<>.]+=[01])*", re.ASCII)
_FILL: Final = {1: ".", 2: "\N{MIDDLE DOT}", 3: "\N{HORIZONTAL ELLIPSIS}", 4: "\N{RADIO BUTTON}"}
"""What a text is filled up with, by the bytes a character takes: so its parts are as large as before."""

SHORT_MAX: Final = 64
"""Rows up to this long are remembered: most of them say the same, as that a timer elapsed."""

CACHED_MAX: Final = 4096


class Shift(NamedTuple):
    """By how much times are moved back: those of the gateway's clock, and those of the wall clock. In ns."""

    at: int = 0
    wall: int = 0


UNSHIFTED: Final = Shift()


class _Field(NamedTuple):
    kind: Kind
    inner: "Mapping[str, _Field] | None"


_UNKNOWN: Final = _Field(Kind.VALUE, None)


class Redactor:
    """Replaces what a journal must not give away, the same everywhere.

    Args:
        vocabulary: words that free text may keep.
        names: the placeholders.
        keep: fields to leave as they are, as `field` or `Event.field`.
        keep_accounts: whether accounts keep their names.
        shift: by how much times are moved.
        machines: by name; of others only the names of events are known.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        names: Names,
        *,
        keep: Collection[str] = (),
        keep_accounts: bool = False,
        shift: Shift = UNSHIFTED,
        machines: Mapping[str, Machine] = MACHINES,
    ) -> None:
        self.shift = shift
        self._names = names
        self._prose = Prose(vocabulary, names)
        self._keep = frozenset(keep)
        self._keep_accounts = keep_accounts
        self._machines = machines
        self._shapes: dict[tuple[str, str], tuple[str, Mapping[str, _Field]]] = {}
        self._short: dict[tuple[str, str, str], str] = {}

    # ---- columns -----------------------------------------------------------------------------------------------------

    def account(self, name: str) -> str:
        """Replace the name of an account."""
        return name if self._keep_accounts or not name else self._names.of(Kind.ACCOUNT, name)

    def address(self, text: str) -> str:
        """Replace the address of an instance, part by part."""
        machine, account, key = Address.parse(text)
        hidden = self._prose.identity(KEYS.get(machine, Kind.INSTANCE), key)
        return "/".join(part for part in (self.name(machine), self.account(account), hidden) if part)

    def chat(self, chat: str) -> str:
        """Replace the id of a chat."""
        return self._prose.identity(Kind.CHAT, chat)

    def key(self, key: str) -> str:
        """Replace a sender's idempotency key."""
        return self._prose.identity(Kind.KEY, key)

    def prose(self, text: str) -> str:
        """Replace what is not known in a sentence."""
        return self._prose(text)

    def host(self, name: str) -> str:
        """Replace the name of a machine."""
        return self._names.of(Kind.HOST, name) if name else name

    def boot(self, name: str) -> str:
        """Replace the id of a process."""
        return self._names.of(Kind.BOOT, name) if name else name

    def process(self, number: int) -> int:
        """Replace the number of a process."""
        return self._names.number(Kind.PROCESS, number)

    def name(self, name: str) -> str:
        """Let a name out of code pass (of a machine, an event, a state), if it looks like one."""
        return name if _CODE_NAME.fullmatch(name) or not name else self._names.of(Kind.VALUE, name)

    def guards(self, text: str | None) -> str | None:
        """Let the names of guards and their answers pass, if they look like that."""
        return text if text is None or _GUARDS.fullmatch(text) else self._prose(text)

    def text(self, text: str) -> str:
        """Replace what somebody wrote: as many lines, each about as long, in characters and in bytes."""
        if not text:
            return text
        name = self._names.of(Kind.TEXT, text)
        first, *others = (_filled(line) for line in text.split("\n"))
        named = f"{name} {first[len(name) + 1 :]}" if len(first) > len(name) + 1 else name
        return "\n".join((named, *others))

    # ---- data --------------------------------------------------------------------------------------------------------

    def event(self, machine: str, event: str, data: str) -> str:
        """Replace the fields of an event, as the journal holds them."""
        if event.startswith("Elapsed("):
            timer = event[len("Elapsed(") : -1]
            if data == f'{{"timer":"{timer}"}}' and _CODE_NAME.fullmatch(event):
                return data
        short = (machine, event, data)
        if len(data) > SHORT_MAX:
            return self._data(machine, event, data)
        done = self._short.get(short)
        if done is None:
            done = self._data(machine, event, data)
            if len(self._short) < CACHED_MAX:
                self._short[short] = done
        return done

    def remembered(self, machine: str, data: str) -> str:
        """Replace what an instance remembers, as the journal holds it."""
        return self._data(machine, "", data)

    def fields(self, machine: str, event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the fields of an event; of what an instance remembers if *event* is empty."""
        shape = self._shapes.get((machine, event))
        if shape is None:
            shape = self._shapes[machine, event] = _shape(self._machines.get(machine), event)
        owner, known = shape
        return {
            name if name in known or _CODE_NAME.fullmatch(name) else self._names.of(Kind.VALUE, name): value
            if name in self._keep or f"{owner}.{name}" in self._keep
            else self._value(known.get(name, _UNKNOWN), value, machine)
            for name, value in fields.items()
        }

    def _data(self, machine: str, event: str, data: str) -> str:
        if data == "{}":
            return data
        try:
            fields = orjson.loads(data)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return f"not readable ({len(data)} characters)"
        return orjson.dumps(self.fields(machine, event, fields)).decode()

    def _value(self, field: _Field, value: Any, machine: str) -> Any:
        if isinstance(value, str):
            return self._string(field.kind, value, machine)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return self._number(field.kind, value)
        if isinstance(value, list):
            return [self._value(field, item, machine) for item in value]
        if isinstance(value, dict):
            if field.inner is not None:
                return {
                    self.name(key): self._value(field.inner.get(key, _UNKNOWN), item, machine)
                    for key, item in value.items()
                }
            return {self._names.of(Kind.VALUE, key): self._value(field, item, machine) for key, item in value.items()}
        return value

    def _number(self, kind: Kind, value: int) -> int:
        match kind:
            case Kind.TIME if value:
                return fitting(value - self.shift.at)
            case Kind.WALL_MS if value:
                return fitting(value - self.shift.wall // 1_000_000)
            case Kind.PROCESS:
                return self.process(value)
        return value

    def _string(self, kind: Kind, value: str, machine: str) -> str:
        if not value:
            return value
        match kind:
            case Kind.PLAIN | Kind.PROSE:
                return self._prose(value)
            case Kind.TEXT:
                return self.text(value)
            case Kind.RAISED:
                return self._prose.raised(value)
            case Kind.URL:
                return self._prose.url(value)
            case Kind.ADDRESS if Address.parse(value).machine in self._machines and "/" in value:
                return self.address(value)
            case Kind.ACCOUNT:
                return self.account(value)
            case Kind.SETTINGS:
                return self._settings(value)
            case Kind.EVENT:
                return value if value in _events(self._machines.get(machine)) else self._prose(value)
        return self._prose.identity(kind, value)

    def _settings(self, text: str) -> str:
        """Replace names and addresses in an account's configuration; it can still be read as one."""
        try:
            whole = orjson.loads(text)
        except ValueError:
            whole = None
        return orjson.dumps(self._setting(whole)).decode() if isinstance(whole, dict) else ""

    def _setting(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.name(key): self._setting(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._setting(item) for item in value]
        if not isinstance(value, str) or not value:
            return value
        if value.isdecimal() and value.isascii():  # the number of an app, which must stay one
            return f"{self._names.number(Kind.SETTINGS, int(value)):0{min(len(value), 40)}}"
        return self._prose.setting(value)


class Hiding(Protocol):
    """What is done to each value; `Redactor` or `Open`."""

    @property
    def shift(self) -> Shift: ...
    def account(self, name: str, /) -> str: ...
    def address(self, text: str, /) -> str: ...
    def chat(self, chat: str, /) -> str: ...
    def key(self, key: str, /) -> str: ...
    def prose(self, text: str, /) -> str: ...
    def host(self, name: str, /) -> str: ...
    def boot(self, name: str, /) -> str: ...
    def process(self, number: int, /) -> int: ...
    def name(self, name: str, /) -> str: ...
    def guards(self, text: str | None, /) -> str | None: ...
    def event(self, machine: str, event: str, data: str, /) -> str: ...
    def remembered(self, machine: str, data: str, /) -> str: ...


class Open:
    """Lets everything pass, for an export that stays in the house."""

    shift: Final = UNSHIFTED

    def same(self, text: Any) -> Any:
        """Return what was given."""
        return text

    account = address = chat = key = prose = host = boot = process = name = guards = same

    def event(self, machine: str, event: str, data: str) -> str:  # noqa: ARG002 - as `Redactor` has it
        """Return the fields of an event as they are."""
        return data

    def remembered(self, machine: str, data: str) -> str:  # noqa: ARG002 - as `Redactor` has it
        """Return what an instance remembers as it is."""
        return data


def fitting(value: int) -> int:
    """Hold a number within 64 bits, which a damaged journal may leave once its times are shifted."""
    return max(-(2**63), min(value, 2**63 - 1))


def _filled(line: str) -> str:
    widths = sorted(len(character.encode("utf-8", "replace")) for character in line)
    return "".join(_FILL[width] for width in widths)


@functools.cache
def _events(machine: Machine | None) -> Mapping[str, type[Event]]:
    if machine is None:
        return {}
    kinds = (Elapsed if isinstance(event, Elapsed) else event for event in (*machine.events, *BUILT_IN))
    return {kind.__name__: kind for kind in (*kinds, Broken)}


def _shape(machine: Machine | None, event: str) -> tuple[str, Mapping[str, _Field]]:
    """Return the name under which fields are told, and what each holds."""
    if machine is None:
        return event, {}
    if not event:
        owner: type | None = machine.remembers
        kinds = REMEMBERED.get(machine.remembers, {})
    else:
        name = "Elapsed" if event.startswith("Elapsed(") else event
        owner = _events(machine).get(name)
        kinds = EVENTS.get(owner, {}) if owner is not None else {}
    if owner is None:
        return event, {}
    hints = typing.get_type_hints(owner)
    return owner.__name__, {name: _Field(kind, _within(hints.get(name))) for name, kind in kinds.items()}


def _within(hint: Any) -> Mapping[str, _Field] | None:
    """Return the fields of the attrs class that a type holds, if it holds one."""
    if isinstance(hint, type) and attrs.has(hint):
        return {name: _Field(kind, None) for name, kind in PARTS.get(hint, {}).items()}
    found = (_within(part) for part in typing.get_args(hint))
    return next((inner for inner in found if inner is not None), None)
