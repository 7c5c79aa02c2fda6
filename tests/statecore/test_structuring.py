"""The quick way to read a value: it reads what is plain, declines the rest, and never differs from the general way."""

import enum
import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore import codec
from statecore.structuring import structure_of
from tests.statecore.strategies import AWKWARD, often, seldom, values
from tests.statecore.test_codec import SHIPPED


@attrs.frozen
class Inner:
    x: int = 0


@attrs.frozen(kw_only=True)
class Plain:
    flag: bool = False
    whole: int
    real: float = 0.5
    text: str = ""
    maybe: int | None = 7
    word: Literal["a", "b"] = "a"
    many: tuple[str, ...] = ()
    inner: Inner = attrs.field(factory=Inner)
    inners: tuple[Inner, ...] = ()


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Coloured:
    colour: Colour = Colour.RED


@attrs.frozen
class Tabled:
    table: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Checked:
    x: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@attrs.frozen
class Hidden:
    _x: int = 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["", "a", "7"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("kind", SHIPPED, ids=lambda kind: kind.__name__)
@seldom
@given(data=st.data())
def test_every_type_of_the_shipped_machines_is_read_the_quick_way(kind: type, data: st.DataObject) -> None:
    """
    Declining is silent, and takes three times as long.
    """
    value = data.draw(values(kind, AWKWARD))

    assert structure_of(kind)(orjson.loads(codec.dumps(value))) == value


@often
@given(st.dictionaries(st.sampled_from([*(field.name for field in attrs.fields(Plain)), "more"]), JSON))
def test_whatever_a_row_holds_both_ways_agree(fields: dict[str, Any]) -> None:
    """
    Wrong types, unknown fields, missing ones: what is not declined is what the general way makes of it.
    """
    quick = structure_of(Plain)(fields)
    try:
        general = codec._converter.structure(fields, Plain)
    except Exception:  # noqa: BLE001 - whatever it is, it is no value
        general = None

    if quick is not None:
        assert quick == general
        assert repr(quick) == repr(general)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"whole": "7"},
        {"whole": True},
        {"whole": 7.0},
        {"whole": 7, "more": 1},
        {"whole": 7, "real": 1},
        {"whole": 7, "text": None},
        {"whole": 7, "word": "c"},
        {"whole": 7, "many": "ab"},
        {"whole": 7, "many": [1]},
        {"whole": 7, "inner": {"y": 1}},
        {"whole": 7, "inners": [None]},
        [],
        None,
    ],
)
def test_what_is_not_exactly_as_declared_is_declined(fields: Any) -> None:
    """
    The general way says what is wrong with it, or converts it.
    """
    assert structure_of(Plain)(fields) is None


@pytest.mark.parametrize("kind", [Coloured, Tabled, Checked, Hidden, int])
def test_a_class_with_more_to_it_is_left_to_the_general_way(kind: type) -> None:
    """
    Validators are not passed over, and enums are not guessed.
    """
    assert structure_of(kind)({}) is None


def test_what_was_read_is_frozen_and_of_its_class() -> None:
    """
    A draft that escaped could be written to, and would equal nothing.
    """
    value = structure_of(Plain)(json.loads('{"whole":3,"inner":{"x":4}}'))

    assert type(value) is Plain
    assert type(value.inner) is Inner
    assert value == Plain(whole=3, inner=Inner(4))
    assert hash(value) == hash(Plain(whole=3, inner=Inner(4)))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.whole = 4  # type: ignore[misc]


def test_a_default_that_is_made_is_made_for_each() -> None:
    """
    As the class itself would.
    """
    read = structure_of(Plain)

    assert read({"whole": 1}).inner is not read({"whole": 1}).inner
