"""Copying a frozen value: the hottest line of the core, and no different from the general way."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore import evolve as evolving
from statecore.evolve import evolve, evolver
from statecore.machines import MACHINES
from tests.statecore.strategies import AWKWARD, seldom, values


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


@attrs.frozen(slots=False)
class Loose:
    x: int = 0
    y: int = 0


@attrs.frozen(cache_hash=True)
class Hashed:
    x: int = 0
    y: int = 0


@attrs.frozen
class Checked:
    x: int = attrs.field(default=0, converter=int)
    y: int = 0


@attrs.frozen
class Private:
    _x: int = 0
    y: int = 0


@attrs.frozen
class Derived(Two):
    z: int = 0


@attrs.frozen
class Awkward:
    copy: int = 0
    draft: int = 0


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
@seldom
@given(data=st.data())
def test_it_is_the_general_way_for_all_that_our_machines_remember(machine: Any, data: st.DataObject) -> None:
    """
    A fast copy that mixes two fields up would be a very quiet disaster.
    """
    value, other = (data.draw(values(machine.remembers, AWKWARD)) for _ in range(2))
    names = data.draw(st.sets(st.sampled_from([field.name for field in attrs.fields(machine.remembers)])))
    changes = {name: getattr(other, name) for name in names}

    wanted = attrs.evolve(value, **changes)

    assert evolve(value, **changes) == wanted
    assert evolver(machine.remembers)(value, **changes) == wanted


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_what_our_machines_remember_is_copied_the_fast_way(machine: Any) -> None:
    """
    Falling back to the general way is silent, and doubles the price of every step.
    """
    names = tuple(field.name for field in attrs.fields(machine.remembers))

    assert evolving._copier(machine.remembers, names[:1]).__name__ == "copier"


@pytest.mark.parametrize("kind", [Loose, Checked, Hashed])
def test_a_class_that_does_more_than_hold_its_fields_is_copied_the_general_way(kind: Any) -> None:
    """
    Setting slots by hand would pass over converters, and there are none to set in a class with a dictionary.
    """
    assert evolving._copier(kind, ("x",)).__name__ == "<lambda>"


def test_a_converter_is_heeded() -> None:
    """
    What a class promises of its fields holds for copies too.
    """
    given: Any = "5"

    assert evolve(Checked(), x=given) == Checked(x=5)


def test_a_private_field_is_copied_along() -> None:
    """
    Its slot and its argument have different names.
    """
    assert evolve(Private(3), y=1) == Private(3, 1)


@pytest.mark.parametrize("kind", [One, Two, Named, Loose, Checked, Hashed, Derived])
def test_every_shape_of_class_is_copied(kind: Any) -> None:
    """
    Those that the fast way does not fit go the general way.
    """
    value = kind(x=1)
    for copied in (evolve, evolver(kind)):
        copy = copied(value, x=5)

        assert (value, copy) == (kind(x=1), kind(x=5))
        assert hash(copy) == hash(kind(x=5))
        assert copied(value) == value


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
    for copied in (evolve, evolver(kind)):
        with pytest.raises(TypeError):
            copied(kind(), z=1)


def test_the_refusal_names_class_and_field() -> None:
    """
    It ends up in a StepError.
    """
    with pytest.raises(TypeError, match=r"^Two has no field 'z'$"):
        evolve(Two(), z=1)


def test_a_derived_class_stays_what_it_is() -> None:
    """
    Handlers of a polled connection are used by a session too, which remembers more.
    """
    assert evolver(Two)(Derived(1, 2, 3), y=5) == Derived(1, 5, 3)


def test_a_field_may_be_called_as_the_copying_function_calls_something() -> None:
    """
    The fields are its arguments, and a name for two things would be a quiet disaster.
    """
    assert evolver(Awkward)(Awkward(1, 2), draft=5) == Awkward(1, 5)
