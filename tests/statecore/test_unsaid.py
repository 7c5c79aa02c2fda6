"""What a journal leaves out: a number that is as it began. Another default would change what journals of before say."""

from collections.abc import Iterator
from typing import Any, Final

import attrs
import pytest

from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.policies.window import Opening
from statecore.reading import Evidence
from statecore.units import SECONDS

BEGINS_OTHERWISE: Final = {
    ("Delivery", "parts"): 1,  # no text is none
    ("Circuit", "level"): 1.0,  # a stretch: one is none
    ("Tripped", "level"): 1.0,
    ("Session", "beat_every"): 41 * SECONDS,  # what QQ was seen to ask for
}
"""Every other number counts what has happened, or is a length or a place, and there was none."""


def numbers(kind: Any) -> Iterator[tuple[tuple[str, str], float]]:
    for field in attrs.fields(kind):
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            yield (kind.__name__, field.name), field.default


def begins_otherwise(*kinds: Any) -> dict[tuple[str, str], float]:
    return {name: number for kind in kinds for name, number in numbers(kind) if number != 0}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_what_begins_has_counted_nothing(machine: Machine) -> None:
    """
    A delivery with an attempt that it never made would be given up too early, in every journal there is.
    """
    events = [event for event in machine.events if isinstance(event, type)]
    known = {kind.__name__ for kind in (machine.remembers, *events)}

    assert begins_otherwise(machine.remembers, *events) == {
        name: number for name, number in BEGINS_OTHERWISE.items() if name[0] in known
    }


@pytest.mark.parametrize("kind", [Opening, Evidence], ids=lambda kind: kind.__name__)
def test_what_stands_in_rows_says_nothing_that_was_not_seen(kind: type) -> None:
    """
    The readings of refusals in a journal are explained by it.
    """
    assert begins_otherwise(kind) == {}
