"""The machine that is timed: two states, and on every event a guard and a change of what is remembered.

It is written twice: for statecore, and for `transitions` the way that library's own examples are written. Both refuse
what the guard does not allow by staying where they are.
"""

from typing import Any, Final

import attrs
from transitions import Machine as Engine

from statecore.events import External
from statecore.evolve import evolver
from statecore.machine import STAY, Machine, Signal, on


@attrs.frozen
class Turnstile:
    """What an instance remembers."""

    credit: int = 1_000_000_000
    passed: int = 0
    at: int = 0


evolve = evolver(Turnstile)


@attrs.frozen(kw_only=True)
class Coin(External):
    """Somebody paid."""

    value: int = 1


@attrs.frozen(kw_only=True)
class Push(External):
    """Somebody went through."""

    people: int = 1


def accepts(was: Turnstile, event: Coin) -> bool:
    return was.credit >= event.value


def may_pass(was: Turnstile, event: Push) -> bool:
    return was.passed >= 0 < event.people


def take(was: Turnstile, event: Coin, now: int) -> Turnstile:
    return evolve(was, credit=was.credit - event.value, at=now)


def count(was: Turnstile, event: Push, now: int) -> Turnstile:
    return evolve(was, passed=was.passed + event.people, at=now)


# fmt: off
turnstile: Final = Machine(
    "turnstile",
    remembers=Turnstile,
    initial="locked",
    table=[
        #  when in    and this happens  go to        remembering  only when
        on("locked",  Coin,             "unlocked",  take,        when=accepts),
        on("locked",  (Coin, Push),     STAY),
        on("unlocked", Push,            "locked",    count,       when=may_pass),
        on("unlocked", (Coin, Push),    STAY),
    ],
    awaits={"locked": Signal(), "unlocked": Signal()},
)
# fmt: on


class Empty:
    """A journal in which nothing has happened yet."""

    def load(self, address: str) -> None:  # noqa: ARG002 - it is the same for all
        return None

    def due(self, account: str, after: int, most: int | None) -> tuple[list[tuple[int, str]], int | None]:  # noqa: ARG002
        return [], None


EVENTS: Final = (Coin(), Push())
"""One round: through the gate and back to where it began."""

STATES: Final = ["locked", "unlocked"]


class Model:
    """The same for `transitions`, as a plain object that its callbacks change."""

    coin: Any
    push: Any

    def __init__(self) -> None:
        self.credit, self.passed, self.at = 1_000_000_000, 0, 0
        self.engine = Engine(self, states=STATES, initial="locked", auto_transitions=False)
        self.engine.add_transition("coin", "locked", "unlocked", conditions="accepts", before="take")
        self.engine.add_transition("coin", "locked", None)
        self.engine.add_transition("coin", "unlocked", None)
        self.engine.add_transition("push", "unlocked", "locked", conditions="may_pass", before="count")
        self.engine.add_transition("push", "unlocked", None)
        self.engine.add_transition("push", "locked", None)

    def accepts(self, value: int, _now: int) -> bool:
        return self.credit >= value

    def may_pass(self, people: int, _now: int) -> bool:
        return self.passed >= 0 < people

    def take(self, value: int, now: int) -> None:
        self.credit -= value
        self.at = now

    def count(self, people: int, now: int) -> None:
        self.passed += people
        self.at = now


class FrozenModel(Model):
    """The same again, with what is remembered frozen and the guards and handlers those of the statecore machine."""

    def __init__(self) -> None:
        super().__init__()
        self.data = Turnstile()

    def accepts(self, event: Coin, _now: int) -> bool:  # type: ignore[override]
        return accepts(self.data, event)

    def may_pass(self, event: Push, _now: int) -> bool:  # type: ignore[override]
        return may_pass(self.data, event)

    def take(self, event: Coin, now: int) -> None:  # type: ignore[override]
        self.data = take(self.data, event, now)

    def count(self, event: Push, now: int) -> None:  # type: ignore[override]
        self.data = count(self.data, event, now)


class FlatModel:
    """Two states and nothing else: what `transitions` itself costs at least."""

    coin: Any
    push: Any

    def __init__(self) -> None:
        self.engine = Engine(self, states=STATES, initial="locked", auto_transitions=False)
        self.engine.add_transition("coin", "locked", "unlocked")
        self.engine.add_transition("push", "unlocked", "locked")
