"""What is written to the journal comes back as what it was, or is refused in words before it is written."""

import enum
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore import codec
from statecore.errors import CodecError
from statecore.events import BUILT_IN, Broken, Elapsed, Event, External
from statecore.machines import MACHINES
from tests.statecore.strategies import AWKWARD, often, seldom, values

SHIPPED = sorted(
    {
        *BUILT_IN,
        Broken,
        Elapsed,
        *(machine.remembers for machine in MACHINES.values()),
        *(event for machine in MACHINES.values() for event in machine.events if isinstance(event, type)),
    },
    key=lambda kind: kind.__name__,
)
"""Every type of which a journal holds values."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Inner:
    x: int = 0
    name: str = "inner"


@attrs.frozen(kw_only=True)
class Everything:
    """A field of each type that the codec carries."""

    flag: bool = False
    whole: int = 0
    real: float = 0.5
    text: str = ""
    nothing: None = None
    maybe: int | None = 7
    word: Literal["a", "b", 3] = "a"
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    many: tuple[int, ...] = ()
    pair: tuple[int, str] = (0, "")
    maybes: tuple[float | None, ...] = ()
    table: Mapping[str, Inner] = attrs.field(factory=dict)
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()


# ---- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHIPPED, ids=lambda kind: kind.__name__)
@seldom
@given(data=st.data())
def test_every_type_of_the_shipped_machines_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    """
    A row that cannot be read back is a message lost, or an account that cannot start.
    """
    value = data.draw(values(kind, AWKWARD))
    back: Any = codec.loads(codec.dumps(value), kind)

    assert value == back
    assert repr(value) == repr(back)


@often
@given(values(Everything, AWKWARD))
def test_every_type_that_the_codec_promises_to_carry_comes_back_as_it_was(value: Everything) -> None:
    """
    Third parties define machines too, with fields that ours do not have.
    """
    back = codec.loads(codec.dumps(value), Everything)

    assert value == back
    assert repr(value) == repr(back)


@often
@given(values(Everything, AWKWARD))
def test_what_is_read_and_written_again_is_the_same_text(value: Everything) -> None:
    """
    An export is compared with its journal byte by byte.
    """
    text = codec.dumps(value)

    assert text == codec.dumps(codec.loads(text, Everything))


def test_fields_at_their_default_are_left_out() -> None:
    """
    Most rows are mostly defaults, and a third of the journal's size is at stake.
    """
    assert codec.dumps(Inner()) == "{}"
    assert codec.dumps(Inner(x=3)) == '{"x":3}'
    assert codec.loads("{}", Inner) == Inner()


def test_bytes_are_read_like_text() -> None:
    """
    SQLite gives back either.
    """
    assert codec.loads(b'{"x":3}', Inner) == Inner(x=3)


# ---- what cannot be written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["real", "maybes"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused_when_it_is_written(number: float, field: str) -> None:
    """
    It would be written as null, and found out by whoever reads the row, after a restart.
    """
    held: dict[str, Any] = {"real": number, "maybes": (number,)}
    value = Everything(**{field: held[field]})

    with pytest.raises(CodecError) as caught:
        codec.dumps(value)

    assert str(caught.value) == f"Everything cannot be written to the journal: {number!r} is not finite"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Inner(x=2**64), "Integer exceeds 64-bit range"),
        (Inner(x=-(2**63) - 1), "Integer exceeds 64-bit range"),
        (Inner(name="\ud83d"), "surrogates not allowed"),
    ],
)
def test_what_cannot_be_carried_is_refused_when_it_is_written(value: Inner, why: str) -> None:
    """
    The last moment at which whoever made the value can still be told.
    """
    with pytest.raises(CodecError, match=f"^Inner cannot be written to the journal: .*{why}"):
        codec.dumps(value)


# ---- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "JSONDecodeError: invalid literal"),
        ("", "JSONDecodeError: Input is a zero-length, empty document"),
        ('{"x":', "JSONDecodeError: unexpected end of data"),
        ('{"x":"seven"}', "ValueError: invalid literal for int"),
        ('{"x":null}', "TypeError: int"),
        ('{"y":1}', "ForbiddenExtraKeysError: Extra fields in constructor for Inner: y"),
        ("[]", "AttributeError: 'list' object has no attribute 'keys'"),
    ],
)
def test_a_row_that_does_not_fit_says_what_is_wrong_and_shows_itself(text: str, why: str) -> None:
    """
    Whoever reads it has a damaged journal before them, and nothing else to go by.
    """
    with pytest.raises(CodecError) as caught:
        codec.loads(text, Inner)

    assert str(caught.value).startswith(f"this is no Inner: {why}")
    assert str(caught.value).endswith(f"; the text was {text}")


def test_what_is_wrong_deep_inside_is_said_and_not_that_something_is() -> None:
    """
    The structuring library wraps one error in another, a layer a field.
    """
    with pytest.raises(CodecError, match=r"^this is no Everything: ValueError: invalid literal for int"):
        codec.loads('{"table":{"k":{"x":"seven"}}}', Everything)


@pytest.mark.parametrize("text", [f'{{"y":"{"z" * 500}"}}', b'{"y":"' + b"z" * 500 + b'"}'])
def test_a_long_row_is_shown_by_its_beginning(text: str | bytes) -> None:
    """
    An error that fills the screen is not read.
    """
    with pytest.raises(CodecError, match=r'the text was \{"y":"z{111}\.\.\.$'):
        codec.loads(text, Inner)


def test_bytes_that_are_no_text_are_shown_all_the_same() -> None:
    """
    A torn file holds anything.
    """
    with pytest.raises(CodecError, match=r"the text was \ufffd$"):
        codec.loads(b"\xff", Inner)


# ---- what comes from outside ------------------------------------------------------------------------------------------


@attrs.frozen
class Sealed:
    text: str = ""
    length: int = attrs.field(init=False, default=0)
    _hidden: str = ""


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("plain", "plain"),
        ("\u597d\U0001f600", "\u597d\U0001f600"),
        ("half \ud83d", "half \ufffd"),
        ("\ude00 half", "\ufffd half"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("both \ud83d\ude00", "both \U0001f600"),
    ],
)
def test_half_a_character_from_outside_is_mended(text: str, mended: str) -> None:
    """
    A row that cannot be written stops the account it is about, and stops it again at every start.
    """
    assert codec.mend(text) == mended
    assert codec.mend(Inner(name=text)) == Inner(name=mended)
    assert codec.mend((1, (text, None))) == (1, (mended, None))
    assert codec.mend({text: Inner(name=text)}) == {mended: Inner(name=mended)}
    assert codec.mend(Sealed(text, text)) == Sealed(mended, mended)


def test_a_text_that_is_too_long_is_cut_and_shows_it() -> None:
    """
    Some libraries put the whole body of an answer into their error, and a row is not the place for it.
    """
    assert codec.mend(("x" * 9, Inner(name="y" * 4)), longest=3) == ("xxx ...", Inner(name="yyy ..."))
    assert codec.mend({"k": "xyz"}, longest=3) == {"k": "xyz"}


@often
@given(st.text(st.characters(codec="utf-8")) | st.integers() | st.none() | values(Everything, AWKWARD))
def test_what_can_be_written_is_left_alone(value: Any) -> None:
    """
    Mending is for what is broken, and every message goes through it.
    """
    assert codec.mend(value) == value


@often
@given(st.text(st.characters(), max_size=20))
def test_whatever_comes_from_outside_can_be_written_once_it_is_mended(text: str) -> None:
    """
    JSON may hold anything that has sixteen bits.
    """
    value = codec.mend(Everything(text=text, table={text: Inner(name=text)}))

    assert codec.loads(codec.dumps(value), Everything) == value


# ---- versions --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Paid(External):
    """Once it held euros, then cents, and now cents and a currency."""

    schema: ClassVar[int] = 3
    cents: int
    currency: str


@pytest.fixture
def upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without upcasters, and leave none behind."""
    monkeypatch.setattr(codec, "_upcasters", {})


@pytest.fixture
def both_upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_upcasters", {})

    @codec.upcaster("Paid", since=1)
    def in_cents(fields: dict[str, Any]) -> dict[str, Any]:
        return {"cents": fields["euros"] * 100}

    @codec.upcaster("Paid", since=2)
    def with_currency(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "currency": "EUR"}


@pytest.mark.usefixtures("both_upcasters")
@pytest.mark.parametrize(
    ("text", "schema"),
    [('{"euros":5}', 1), ('{"cents":500}', 2), ('{"cents":500,"currency":"EUR"}', 3)],
)
def test_an_old_row_is_lifted_a_version_at_a_time(text: str, schema: int) -> None:
    """
    History is never rewritten; whoever changes a type writes one step and not one a version.
    """
    assert codec.loads(text, Paid, schema=schema) == Paid(cents=500, currency="EUR")


@pytest.mark.usefixtures("both_upcasters")
def test_a_row_without_a_version_is_taken_for_todays() -> None:
    """
    Rows say their version; what was never a row has none.
    """
    assert codec.loads('{"cents":500,"currency":"EUR"}', Paid) == Paid(cents=500, currency="EUR")


@pytest.mark.usefixtures("upcasters")
@pytest.mark.parametrize(("schema", "missing"), [(1, 1), (2, 2)])
def test_a_missing_step_is_named(schema: int, missing: int) -> None:
    """
    The remedy is to write it, so the error says which.
    """
    with pytest.raises(CodecError) as caught:
        codec.loads('{"cents":500}', Paid, schema=schema)

    assert str(caught.value) == (
        f"Paid has a row of version {missing} and no upcaster from it (register one for {missing})"
    )


@pytest.mark.usefixtures("upcasters")
def test_a_gap_in_the_middle_is_named_too() -> None:
    """
    The first step alone does not lead anywhere.
    """

    @codec.upcaster("Paid", since=1)
    def in_cents(fields: dict[str, Any]) -> dict[str, Any]:
        return {"cents": fields["euros"] * 100}

    with pytest.raises(CodecError, match=r"^Paid has a row of version 2 and no upcaster"):
        codec.loads('{"euros":5}', Paid, schema=1)


@pytest.mark.usefixtures("both_upcasters")
def test_a_row_of_newer_code_is_refused_and_not_guessed_at() -> None:
    """
    After a downgrade, the fields may mean something else.
    """
    with pytest.raises(CodecError) as caught:
        codec.loads('{"cents":500,"currency":"EUR"}', Paid, schema=4)

    assert str(caught.value) == "Paid was written at version 4 and this code knows 3; run a newer statecore"


@pytest.mark.usefixtures("both_upcasters")
def test_an_upcaster_that_fails_is_reported_with_the_row() -> None:
    """
    It met something that its author did not expect, and the row shows what.
    """
    with pytest.raises(CodecError) as caught:
        codec.loads('{"dollars":5}', Paid, schema=1)

    assert str(caught.value) == "this is no Paid: KeyError: 'euros'; the text was {\"dollars\":5}"


@pytest.mark.usefixtures("both_upcasters")
def test_a_second_upcaster_for_the_same_step_is_refused() -> None:
    """
    Which of them wins would depend on what was imported first.
    """
    with pytest.raises(CodecError) as caught:
        codec.upcaster("Paid", since=1)(dict)

    assert str(caught.value) == "there are two upcasters for Paid from version 1"


def test_what_is_registered_stays_callable() -> None:
    """
    A decorator that swallowed the function could not be tested by its author.
    """

    def lift(fields: dict[str, Any]) -> dict[str, Any]:
        return fields

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_upcasters", {})

        assert codec.upcaster("Paid", since=9)(lift) is lift


# ---- does a type survive? --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*SHIPPED, Everything, Inner, Event], ids=lambda kind: kind.__name__)
def test_a_type_that_survives_meets_no_objection(kind: type) -> None:
    """
    The proof asks this of every machine, so a false alarm would refuse a sound one.
    """
    assert codec.objection(kind) is None


def of(hint: Any, **how: Any) -> type:
    """Make a frozen class with one field of a type."""
    return attrs.make_class("Odd", {"x": attrs.field(type=hint)}, frozen=True, **how)


class Bare(enum.Enum):
    """Its values are no JSON."""

    THING = object()


class Numbered(enum.Enum):
    """JSON gives a list back where there was a tuple."""

    PAIR = (1, 2)


@pytest.mark.parametrize(
    ("hint", "why"),
    [
        (set[int], "does not survive JSON"),
        (frozenset[str], "does not survive JSON"),
        (list[int], "does not survive JSON"),
        (dict[str, int], "does not survive JSON"),
        (bytes, "does not survive JSON"),
        (object, "does not survive JSON"),
        (Any, "does not survive JSON"),
        (tuple, "does not survive JSON"),
        (tuple[int, bytes], "does not survive JSON"),
        (tuple[set[int], ...], "does not survive JSON"),
        (bytes | None, "does not survive JSON"),
        (Mapping[str, bytes], "does not survive JSON"),
        (int | str, "is ambiguous in JSON; one type, or one type and None"),
        (Mapping[int, int], "a mapping must have str keys"),
        (Mapping, "a mapping must have str keys"),
        (Literal["a", b"b"], "cannot be written to the journal"),
        (Bare, "cannot be written to the journal"),
        (Numbered, "this is no Odd"),
        (of(bytes), "Odd.x: <class 'bytes'> does not survive JSON"),
        (tuple[of(bytes), ...], "Odd.x: <class 'bytes'> does not survive JSON"),  # type: ignore[misc]
    ],
    ids=str,
)
def test_a_type_that_json_would_spoil_is_objected_to_by_its_field(hint: Any, why: str) -> None:
    """
    What JSON gives back is often nearly what went in, and the difference shows at the worst moment.
    """
    found = codec.objection(of(hint))

    assert found is not None
    assert found.startswith("Odd")
    assert why in found


def test_a_name_that_means_nothing_is_objected_to() -> None:
    """
    A misspelt annotation is found when the machine is defined.
    """
    assert codec.objection(of("Nonesuch")) == "Odd: name 'Nonesuch' is not defined"


def test_a_class_that_is_no_attrs_class_is_objected_to() -> None:
    """
    Everything here works on fields.
    """
    assert codec.objection(int) == "int is no attrs class"


@attrs.frozen
class Chain:
    next: "Chain | None" = None


@attrs.frozen
class Ping:
    pongs: "tuple[Pong, ...]" = ()


@attrs.frozen
class Pong:
    ping: Ping | None = None


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Chain, "Chain.next: Chain holds itself, so there is no bound on what is recorded"),
        (Ping, "Ping.pongs: Pong.ping: Ping holds itself, so there is no bound on what is recorded"),
    ],
)
def test_a_class_that_holds_itself_is_objected_to(kind: type, why: str) -> None:
    """
    Rows are bounded; what can nest is not.
    """
    assert codec.objection(kind) == why


def whole(_instance: Any, _attribute: Any, value: Any) -> None:
    assert isinstance(value, int)


@pytest.mark.parametrize(
    "kind",
    [
        attrs.make_class("Odd", {"x": attrs.field(type=int)}, slots=True),
        attrs.make_class("Odd", {"x": attrs.field(type=int)}, slots=False),
        attrs.make_class("Odd", {}, slots=True),
        attrs.define(type("Odd", (), {"__annotations__": {"x": int}, "x": attrs.field(validator=whole)})),
    ],
    ids=["slots", "dict", "empty", "validated"],
)
def test_a_class_that_can_be_changed_is_objected_to(kind: type) -> None:
    """
    A class with validators checks assignments, and that is not the same as refusing them.
    """
    assert codec.objection(kind) == "Odd is not frozen, so what is recorded could change afterwards"


def test_a_class_that_comes_back_as_something_else_is_objected_to() -> None:
    """
    A field that is worked out and not given is lost on the way.
    """
    lossy = of(int, eq=False)

    found = codec.objection(lossy)

    assert found is not None
    assert "came back as" in found


def test_a_class_may_say_what_its_fields_may_hold() -> None:
    """
    Whether a type survives is tried with awkward values, which no validator of the author's would let through.
    """

    @attrs.frozen
    class Priced:
        price: int = attrs.field(default=1, validator=[attrs.validators.ge(1), attrs.validators.le(1000)])

    assert codec.objection(Priced) is None
    with pytest.raises(ValueError, match="must be >= 1"):
        Priced(0)
