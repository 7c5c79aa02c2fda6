"""What the strategies draw, and what they do not."""

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import attrs
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from statecore import codec
from statecore.errors import ConfigError
from statecore.events import Broken, Elapsed, Event, External, Late, Offline, Outcome
from statecore.machine import Machine, Signal, on
from statecore.machines import MACHINES
from statecore.testing import BEGAN, History, events, histories, register, snapshots, strategies, values
from statecore.testing.lives import code_of, value_code
from tests.testing.shop import Declined, Order, Placed, order

FEW = settings(max_examples=60, derandomize=True, deadline=None, database=None)


class Colour(enum.Enum):
    """One of two."""

    RED = 1
    BLUE = 2


@attrs.frozen
class Inner:
    """A value in a value."""

    x: int = 0


@attrs.frozen(kw_only=True)
class Everything(External):
    """Every type that the journal carries, and every validator that is read."""

    flag: bool
    number: int
    share: float
    text: str
    maybe: int | None
    colour: Colour
    how: Literal["a", "b"]
    several: tuple[int, ...]
    pair: tuple[int, str]
    named: Mapping[str, int]
    inner: Inner
    above: int = attrs.field(validator=attrs.validators.gt(5))
    between: int = attrs.field(validator=[attrs.validators.ge(-3), attrs.validators.lt(3)])
    one_of: str = attrs.field(validator=attrs.validators.in_(["x", "y"]))
    shaped: str = attrs.field(validator=attrs.validators.matches_re(r"[0-9]{3}"))
    short: str = attrs.field(validator=attrs.validators.max_len(3))
    perhaps: int | None = attrs.field(validator=attrs.validators.optional(attrs.validators.instance_of(int)))
    even: int = attrs.field()

    @even.validator
    def _is_even(self, _attribute: Any, value: int) -> None:
        if value % 2:
            raise ValueError("it is odd")


@pytest.fixture
def forgetting() -> Iterator[None]:
    """Forget what a test registers."""
    before = dict(strategies._registered)
    yield
    strategies._registered.clear()
    strategies._registered.update(before)


@FEW
@given(values(Everything))
def test_what_is_drawn_fits_its_class_and_the_journal(event: Everything) -> None:
    """
    Validators ran when it was made; what they do not say, the codec does.
    """
    assert codec.loads(codec.dumps(event), Everything) == event
    assert event.above > 5
    assert len(event.short) <= 3


@attrs.frozen(kw_only=True)
class Bounded:
    """Numbers within bounds."""

    between: int = attrs.field(validator=[attrs.validators.ge(-3), attrs.validators.lt(3)])
    above: int = attrs.field(validator=attrs.validators.gt(5))


@pytest.mark.parametrize(
    ("hint", "edges"),
    [
        (int, {0, -1, 2**53 + 1}),
        (str, {"", "\u2028", "😀"}),
        (int | None, {None, 0, -1}),
        (tuple[bool, ...], {(), (True,)}),
        (Colour, set(Colour)),
    ],
    ids=["number", "text", "optional", "tuple", "enum"],
)
def test_the_edges_are_among_them(hint: Any, edges: set[Any]) -> None:
    """
    Where a careless program breaks.
    """
    assert edges <= drawn(values(hint))


def test_the_edges_of_what_a_validator_allows_are_among_them() -> None:
    """
    Off by one is off at the bound.
    """
    found = drawn(values(Bounded))

    assert {-3, 2} <= {one.between for one in found} <= set(range(-3, 3))
    assert min(one.above for one in found) == 6


def drawn(strategy: st.SearchStrategy[Any]) -> set[Any]:
    """Draw some hundred values."""
    found: set[Any] = set()

    @settings(FEW, max_examples=200)
    @given(strategy)
    def draw(value: Any) -> None:
        found.add(value)

    draw()
    return found


@pytest.mark.usefixtures("forgetting")
def test_a_field_a_class_and_a_type_can_be_said_more_of() -> None:
    """
    For all tests, or for one; the nearest word counts.
    """
    register(Declined, wait=st.just(7))
    assert find(events(order, Declined), lambda _: True) == Declined(wait=7)
    assert find(events(order, Declined, given={(Declined, "wait"): st.just(8)}), lambda _: True) == Declined(wait=8)
    assert find(events(order, Declined, given={Declined: st.just(Declined(wait=9))}), lambda _: True) == Declined(
        wait=9
    )
    register(Placed, st.just(Placed(price=5)))
    assert find(events(order, Placed), lambda _: True) == Placed(price=5)
    with pytest.raises(ConfigError, match=r"register\(Placed, prize=\.\.\.\): its fields are price"):
        register(Placed, prize=st.just(1))


def test_only_events_of_the_machine_can_be_asked_for() -> None:
    """
    A slip would draw nothing, and the test would pass.
    """
    with pytest.raises(ConfigError, match="is no event of order"):
        events(order, Everything)


@FEW
@given(
    st.sampled_from([order, *MACHINES.values()]).flatmap(
        lambda machine: st.tuples(st.just(machine), histories(machine))
    )
)
def test_every_history_is_possible(drawn: tuple[Machine, History]) -> None:
    """
    A failure that could not happen is a waste of somebody's evening.
    """
    machine, history = drawn
    now, snapshot, entered = BEGAN, machine.start(), BEGAN
    for before, event, at, decision in history:
        assert before == snapshot
        assert at >= now
        effect = machine.effect(before.state)
        if isinstance(event, Elapsed):
            due = sorted(machine.deadlines(before))
            assert event.timer == due[0][1]
            assert at >= due[0][0]
        elif isinstance(event, Outcome):
            assert effect is not None
            assert type(event) in (*effect.gives, Broken)
            if isinstance(event, Broken) and event.how == "overdue":
                assert at >= entered + effect.within
        else:
            assert isinstance(event, External | Offline)
        now, snapshot = at, decision.snapshot
        entered = at if decision.outcome.kind == "moved" else entered


ASTRAY: dict[str, Callable[[History], bool]] = {
    "late": lambda history: any(isinstance(one.event, Late) for one in history),
    "misplaced": lambda history: any(
        isinstance(one.event, Declined) and one.before.state == "basket" for one in history
    ),
}


@pytest.mark.parametrize("wanted", ASTRAY.values(), ids=list(ASTRAY))
def test_what_comes_astray_comes_only_when_asked_for(wanted: Callable[[History], bool]) -> None:
    """
    Late and misplaced outcomes are for those who ask.
    """
    find(histories(order, stray=True), wanted, settings=settings(FEW, max_examples=2000))

    @settings(FEW, max_examples=40)
    @given(histories(order))
    def never(history: History) -> None:
        assert not wanted(history)

    never()


def test_processes_end_in_between() -> None:
    """
    What was under way is interrupted then, and not before.
    """
    found = find(
        histories(order),
        lambda history: any(getattr(one.event, "how", "") == "interrupted" for one in history),
        settings=FEW,
    )

    assert [type(one.event).__name__ for one in found] == ["Placed", "Broken"]

    @FEW
    @given(histories(order, crashes=False))
    def never(history: History) -> None:
        assert not any(getattr(one.event, "how", "") == "interrupted" for one in history)

    never()


@FEW
@given(snapshots(order))
def test_a_snapshot_is_where_some_life_leads(snapshot: Any) -> None:
    """
    So a property of one state need not tell how it came to be there.
    """
    assert snapshot.state in order.states
    assert (snapshot.state == "basket") == (snapshot.data == Order())


@attrs.frozen(kw_only=True)
class Answered(External):
    """The peer said a number."""

    code: int


def is_missing(_was: Inner, event: Event) -> bool:
    return isinstance(event, Answered) and event.code == 404


def test_what_a_guard_compares_with_is_tried() -> None:
    """
    No table of edges has a 404 in it.
    """
    page = Machine(
        "page",
        remembers=Inner,
        initial="there",
        table=[
            on("there", Answered, "gone", when=is_missing),
            on("there", Answered, None),
            on("gone", Answered, "there"),
        ],
        awaits={"there": Signal(), "gone": Signal()},
    )
    assert {403, 404, 405} <= {event.code for event in drawn(events(page))}


def test_a_value_is_written_as_the_code_that_makes_it() -> None:
    """
    What a failure prints is pasted into a test.
    """
    known = {kind.__name__: kind for kind in (Inner, Colour, Declined, Elapsed)}
    for value in (
        Inner(3),
        Inner(),
        Colour.BLUE,
        Declined(wait=5),
        Elapsed("x"),
        ("a",),
        (),
        {"k": (1, Inner(2))},
        None,
        2.5,
    ):
        assert eval(value_code(value), known) == value
    assert code_of([]) == "[]"
    assert value_code(Declined()) == "Declined()"
