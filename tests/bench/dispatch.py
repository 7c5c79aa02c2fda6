"""Dispatch in memory: one event, one state change, nothing written."""

from collections.abc import Callable
from itertools import repeat
from typing import Final

import attrs

from statecore import codec
from statecore.events import Elapsed, External
from statecore.evolve import evolve
from statecore.machines import delivery
from statecore.machines.delivery import Delivery, PartAccepted
from statecore.system import System
from statecore_journal.rows import encode
from tests.bench.timing import best_us
from tests.bench.turnstile import EVENTS, Empty, FlatModel, FrozenModel, Model, Turnstile, turnstile

STEP: Final = "step: guard and data update"
NOW: Final = 1_790_000_000_000_000_000


def lookup(count: int) -> None:
    """Look a (state, event) pair up in two dictionaries: the floor."""
    coin, push = EVENTS
    table: dict[str, dict[type[External], str]] = {
        "locked": {type(coin): "unlocked"},
        "unlocked": {type(push): "locked"},
    }
    state = "locked"
    for _ in repeat(None, count // 2):
        state = table[state][type(coin)]
        state = table[state][type(push)]


def step(count: int) -> None:
    """Step the turnstile: a guard, a data update."""
    coin, push = EVENTS
    advance, snapshot = turnstile.step, turnstile.start()
    for _ in repeat(None, count // 2):
        snapshot = advance(snapshot, coin, NOW).snapshot
        snapshot = advance(snapshot, push, NOW).snapshot
    assert snapshot.version == count // 2 * 2


def step_delivery(count: int) -> None:
    """Step a delivery through turn, answer and pacing: timers, an attempt, a hundred bytes to remember."""
    machine = delivery.delivery
    accepted = delivery.Accepted(chat="c", parts=("x",) * 1000)
    turn, went, elapsed = delivery.Turn(token=1, left=9), PartAccepted(message="1"), Elapsed("next_at")
    snapshot = machine.step(machine.start(), accepted, NOW).snapshot
    advance = machine.step
    for number in range(count // 3):
        if number % 900 == 899:
            snapshot = machine.step(machine.start(), accepted, NOW).snapshot
        snapshot = advance(snapshot, turn, NOW).snapshot
        snapshot = advance(snapshot, went, NOW).snapshot
        snapshot = advance(snapshot, elapsed, NOW).snapshot


def _drive(model: Model | FlatModel, arguments: tuple[tuple[object, ...], tuple[object, ...]]) -> Callable[[int], None]:
    def run(count: int) -> None:
        coin, push = model.coin, model.push
        paid, went = arguments
        for _ in repeat(None, count // 2):
            coin(*paid)
            push(*went)

    return run


def transitions_flat() -> Callable[[int], None]:
    """Drive `transitions` with nothing but states."""
    return _drive(FlatModel(), ((), ()))


def transitions_guarded() -> Callable[[int], None]:
    """Drive the same turnstile by `transitions`, on a plain object."""
    return _drive(Model(), ((1, NOW), (1, NOW)))


def transitions_frozen() -> Callable[[int], None]:
    """Drive the same turnstile by `transitions`, with the frozen value and the very functions of ours."""
    coin, push = EVENTS
    return _drive(FrozenModel(), ((coin, NOW), (push, NOW)))


def evolve_small(count: int) -> None:
    """Copy three fields, two of them changed."""
    value = Turnstile()
    for _ in repeat(None, count):
        value = evolve(value, passed=1, at=NOW)


def evolve_attrs(count: int) -> None:
    """Do the same by attrs.evolve."""
    value = Turnstile()
    for _ in repeat(None, count):
        value = attrs.evolve(value, passed=1, at=NOW)


def evolve_delivery(count: int) -> None:
    """Copy the eighteen fields of a delivery, two of them changed."""
    value = Delivery()
    for _ in repeat(None, count):
        value = evolve(value, part=1, next_at=NOW)


def write_event(count: int) -> None:
    """Write an event as journal text."""
    event = PartAccepted(message="7465000000000000001")
    for _ in repeat(None, count):
        codec.dumps(event)


def write_delivery(count: int) -> None:
    """Write what a delivery remembers as journal text."""
    value = Delivery(parts=3, part=1, token=4, message="7465000000000000001", next_at=NOW)
    for _ in repeat(None, count):
        codec.dumps(value)


def read_delivery(count: int) -> None:
    """Read it back."""
    text = codec.dumps(Delivery(parts=3, part=1, token=4, message="7465000000000000001", next_at=NOW))
    for _ in repeat(None, count):
        codec.loads(text, Delivery)


def write_unit(count: int) -> None:
    """Turn a transition of the turnstile into its two rows."""
    system = System("bench", {turnstile.name: turnstile}, Empty())
    unit = system.begin(NOW)
    system.feed(unit, "turnstile/bench/1", EVENTS[0])
    for _ in repeat(None, count):
        encode(unit)


@attrs.frozen
class Dispatch:
    """What dispatch costs, in microseconds an event.

    Args:
        step: ours.
        transitions: the same machine driven by `transitions`, on a plain object.
        frozen: the same, with the frozen value and the very functions of ours.
    """

    step: float
    transitions: float
    frozen: float

    @property
    def rival(self) -> float:
        """`transitions`, whichever way it is faster."""
        return min(self.transitions, self.frozen)

    @property
    def ratio(self) -> float:
        """How many times faster the step is."""
        return self.rival / self.step


def compare() -> Dispatch:
    """Time the step and `transitions` in turns, in the same run."""
    return Dispatch(*best_us([step, transitions_guarded(), transitions_frozen()], rounds=400))


def table() -> list[tuple[str, float]]:
    """Time everything: (what, microseconds)."""
    cases: list[tuple[str, Callable[[int], None]]] = [
        ("dictionary lookup (the floor)", lookup),
        (STEP, step),
        ("step: a delivery, with timers and attempts", step_delivery),
        ("transitions: states only", transitions_flat()),
        ("transitions: guard and data update", transitions_guarded()),
        ("transitions: the same on frozen data", transitions_frozen()),
        ("evolve: 3 fields", evolve_small),
        ("attrs.evolve: 3 fields", evolve_attrs),
        ("evolve: 18 fields", evolve_delivery),
        ("codec: write an event", write_event),
        ("codec: write a delivery", write_delivery),
        ("codec: read a delivery", read_delivery),
        ("rows of a transition", write_unit),
    ]
    return list(zip([name for name, _ in cases], best_us([run for _, run in cases]), strict=True))
