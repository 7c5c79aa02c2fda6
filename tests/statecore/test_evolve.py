"""Copying a frozen value: the hottest line of the core, and no different from the general way."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.evolve import evolve
from statecore.machines import MACHINES
from tests.statecore.strategies import AWKWARD, instances, seldom


@attrs.frozen
class Nothing:
    pass


@attrs.frozen
class One:
    x: int = 0


@attrs.frozen
class Two:
    x: int = 0
    y: int = 0


@attrs.frozen(kw_only=True)
class Named:
    x: int = 0
    y: int = 0


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
@seldom
@given(data=st.data())
def test_it_is_the_general_way_for_all_that_our_machines_remember(machine: Any, data: st.DataObject) -> None:
    """
    A fast copy that mixes two fields up would be a very quiet disaster.
    """
    value, other = (data.draw(instances(machine.remembers, AWKWARD)) for _ in range(2))
    names = data.draw(st.sets(st.sampled_from([field.name for field in attrs.fields(machine.remembers)])))
    changes = {name: getattr(other, name) for name in names}

    assert evolve(value, **changes) == attrs.evolve(value, **changes)


@pytest.mark.parametrize("kind", [One, Two, Named])
def test_every_shape_of_class_is_copied(kind: Any) -> None:
    """
    Those that the fast way does not fit go the general way.
    """
    value = kind(x=1)
    copy = evolve(value, x=5)

    assert (value, copy) == (kind(x=1), kind(x=5))
    assert evolve(value) == value


def test_a_class_without_fields_is_copied() -> None:
    """
    Some machines remember nothing.
    """
    assert evolve(Nothing()) == Nothing()


@pytest.mark.parametrize("kind", [Nothing, One, Two, Named])
def test_a_field_that_does_not_exist_is_refused(kind: Any) -> None:
    """
    A handler that misspells a field must not remember into the void.
    """
    with pytest.raises(TypeError):
        evolve(kind(), z=1)


def test_the_refusal_names_class_and_field() -> None:
    """
    It ends up in a StepError.
    """
    with pytest.raises(TypeError, match=r"^Two has no field 'z'$"):
        evolve(Two(), z=1)
