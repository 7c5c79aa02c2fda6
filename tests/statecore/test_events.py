"""Names of events, and where events come from."""

import attrs
import pytest

from statecore.events import (
    BUILT_IN,
    Arrival,
    Broken,
    Elapsed,
    Event,
    External,
    Governed,
    Late,
    Offline,
    Outcome,
    Tell,
    name_of,
)
from statecore.machines import MACHINES


@attrs.frozen(kw_only=True)
class Rang(External):
    pass


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (Rang, "Rang"),
        (Rang(), "Rang"),
        (Elapsed("retry_at"), "Elapsed(retry_at)"),
        (Elapsed(), "Elapsed"),
        (Elapsed, "Elapsed"),
        (Broken(how="died"), "Broken"),
    ],
    ids=str,
)
def test_an_event_has_the_same_name_in_tables_diagrams_and_logs(event: Event | type[Event], name: str) -> None:
    """
    It is what people search a journal for.
    """
    assert name_of(event) == name


def test_an_arrival_is_an_outcome_and_nothing_is_two_things_otherwise() -> None:
    """
    Where an event comes from decides what it pays for; one that came from two places would pay for anything.
    """
    kinds = [kind for machine in MACHINES.values() for kind in machine.events if isinstance(kind, type)]

    assert issubclass(Arrival, Outcome)
    for kind in (*kinds, Rang, Broken, Elapsed, *BUILT_IN):
        assert [issubclass(kind, External), issubclass(kind, Outcome), issubclass(kind, Elapsed)].count(True) == (
            kind not in BUILT_IN
        )


@pytest.mark.parametrize(
    "event",
    [Rang(), Elapsed("x"), Broken(how="died"), Late(event="x", of=1), Governed(held=1, rows=1), Offline(length=1)],
    ids=name_of,
)
def test_a_fact_cannot_be_changed_and_facts_with_the_same_fields_are_equal(event: Event) -> None:
    """
    A replay compares what it decides with what was recorded.
    """
    assert attrs.evolve(event) == event
    assert hash(attrs.evolve(event)) == hash(event)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.schema = 2  # type: ignore[misc]


def test_what_one_transition_tells_another_instance_is_a_value_too() -> None:
    """
    It is part of a decision, and decisions are compared.
    """
    assert Tell(to="stock/a", event=Rang()) == Tell(to="stock/a", event=Rang())
