"""The table of what each field may give away."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from statecore.events import BUILT_IN, Broken, Elapsed
from statecore.machines import MACHINES
from statecore_journal.export.fields import EVENTS, KEYS, PARTS, REMEMBERED

REPORTED = "journal/statecore_journal/export/fields.py: say what it may give away there"


def kinds() -> set[type]:
    named = {event for machine in MACHINES.values() for event in machine.events if isinstance(event, type)}
    return {*named, *BUILT_IN, Broken, Elapsed}


def every() -> Iterator[tuple[type, dict[str, Any]]]:
    for kind in kinds():
        yield kind, dict(EVENTS.get(kind, {}))
    for machine in MACHINES.values():
        yield machine.remembers, dict(REMEMBERED.get(machine.remembers, {}))
    for part, known in PARTS.items():
        yield part, dict(known)


def _name(one: tuple[type, Any]) -> str:
    return one[0].__name__


@pytest.mark.parametrize(
    ("kind", "known"), [pytest.param(*one, id=one[0].__name__) for one in sorted(every(), key=_name)]
)
def test_every_field_of_every_event_is_classified(kind: type, known: dict[str, Any]) -> None:
    """A field that somebody adds is in the next public bug report, unless somebody has thought about it."""
    fields = {field.name for field in attrs.fields(kind)}

    assert fields - set(known) == set(), f"{kind.__name__} has fields that are not in {REPORTED}"
    assert set(known) - fields == set(), f"{kind.__name__} has no such fields any more; see {REPORTED}"


def test_nothing_is_classified_that_is_no_event() -> None:
    """A table of things that are gone is a table nobody reads."""
    assert set(EVENTS) == kinds()


def test_every_machine_says_what_its_keys_are() -> None:
    """The last part of an address is a chat or the platform's id of a message, and stands in every row."""
    assert set(MACHINES) - set(KEYS) == {"connection", "session"}
