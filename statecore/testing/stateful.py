"""A ready stateful test of a machine, or of several that tell each other.

    TestOrder = machine_test(order, invariants=[never_negative]).TestCase

One rule for each event class and each timer of the table, so that Hypothesis leaves whole rules out for a while (swarm testing)
and shrinks to the few that matter. After every step everything is checked that `statecore.testing.trial` checks. A failure
prints the history as code; `examples=[...]` takes it, and runs it first from then on, as a test of its own. (Hypothesis has no
`@example` for stateful tests: its issue 1384.)

Chance alone hardly ever comes to a state nine steps deep. So a run begins somewhere: it is led to some state first, and goes on
from there; and one rule, `onward`, leads to another one. Both may lead nowhere, and do where a failure does not need them.

The simplest rule is that nothing happens. An event takes more choices than Hypothesis deletes at once when it shrinks, but any
step can be made the simplest one.
"""

import re
import unittest
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Literal, TypeAlias

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from statecore.errors import StepError
from statecore.events import Broken, Elapsed, Event, name_of
from statecore.machine import Machine, Snapshot
from statecore.system import Address
from statecore.testing import lives, stores
from statecore.testing.lives import History
from statecore.testing.strategies import AWAY, DELAYS, Given, happenings, histories, values
from statecore.testing.trial import TRIED, Invariant, Monitor, Snapshots, Trial

Example: TypeAlias = Sequence[tuple[Any, ...]]
"""(event, ns since the beginning), or (address, event, ns), of each event of a history."""

STEPS: Final = 30
"""Steps of a run. Hypothesis' own default of 50 costs twice as much, since the journal is replayed after each of them."""


FAR: Final = 16
ONWARD: Final = 4
"""Events on the way to some state, at the beginning and later. No state of a shipped machine is more than nine away; a guard may
send one back."""

PHASES: Final = (Phase.reuse, Phase.generate, Phase.target, Phase.shrink)
"""All but the one that explains a failure by tracing every line: it takes longer than all others together, and would explain
the kit instead of the machine."""


def usual() -> settings:
    """Return the settings of a test that is given none: those of Hypothesis' profile in force, with what this kit needs.

    For others: `machine_test(..., profile=settings(usual(), max_examples=1000))`.
    """
    return settings(deadline=None, stateful_step_count=STEPS, phases=PHASES, suppress_health_check=list(HealthCheck))


class MachineTest(RuleBasedStateMachine):
    """What `machine_test` and `system_test` build on: a trial, and the rules that are about no event in particular."""

    begin: Callable[..., Trial]
    """Begins a trial; set by `system_test`."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self.trial = type(self).begin(self._open)

    def teardown(self) -> None:
        """Close the journal."""
        self._open.close()

    def live(self, *machines: str) -> list[str]:
        """Return the addresses of the instances that are not over."""
        found = self.trial.snapshots
        return [
            one
            for one in found
            if not self.trial.over(one) and (not machines or Address.parse(one).machine in machines)
        ]


# ---- rules -----------------------------------------------------------------------------------------------------------


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)).strip("_").lower()


def _can(self: MachineTest, machine: Machine, kind: type[Event], *, row: bool) -> list[str]:
    """Return the instances to which an event can come, where they have a row for it that does something, or none."""
    found = []
    for address in self.live(machine.name):
        state = self.trial.snapshots[address].state
        if kind in lives.can_come(machine, state) and (kind in lives.does(machine, state)) == row:
            found.append(address)
    return found


def _event_rule(
    machine: Machine, kind: type[Event], drawn: st.SearchStrategy[Event], called: str, *, several: bool
) -> Any:
    def happen(self: Any, event: Event, after: int, where: int = 0) -> None:
        found = _can(self, machine, kind, row=True)
        self.trial.happen(_alive(event), found[where % len(found)], after=after)

    happen.__name__ = called  # Hypothesis prints it
    which: dict[str, Any] = {"where": st.integers(0, 3)} if several else {}
    made: Any = rule(event=drawn, after=st.sampled_from(DELAYS), **which)
    return precondition(lambda self: bool(_can(self, machine, kind, row=True)))(made(happen))


def _alive(event: Event) -> Event:
    """An attempt is interrupted by a crash, which has a rule of its own."""
    if isinstance(event, Broken) and event.how == "interrupted":
        return Broken(how="died", error=event.error, wait=event.wait, final=event.final, failures=event.failures)
    return event


def _timer_rule(machine: Machine, timer: Elapsed, called: str) -> Any:
    def due(self: Any) -> bool:
        found = self.trial.next_timer()
        return found is not None and found[1] == timer and Address.parse(found[0]).machine == machine.name

    def elapse(self: Any) -> None:
        self.trial.elapse()

    elapse.__name__ = called
    return precondition(due)(rule()(elapse))


def _ignored_rule(machines: Sequence[Machine], drawn: Mapping[tuple[str, Any], st.SearchStrategy[Event]]) -> Any:
    """One rule for all that instances ignore in the states they are in; with one for each most steps would be these."""

    def possible(self: Any) -> list[tuple[str, type[Event]]]:
        return [
            (address, kind)
            for machine in machines
            for kind in machine.events
            if isinstance(kind, type)
            for address in _can(self, machine, kind, row=False)
        ]

    @st.composite
    def ignored(draw: st.DrawFn) -> tuple[str, Event]:
        address, kind = draw(st.sampled_from(possible(draw(st.runner()))))
        return address, draw(drawn[Address.parse(address).machine, kind])

    def ignored_here(self: Any, happened: tuple[str, Event]) -> None:
        self.trial.happen(happened[1], happened[0])

    return precondition(lambda self: bool(possible(self)))(rule(happened=ignored())(ignored_here))


def _nothing_rule() -> Any:
    def a_nothing(_self: Any) -> None:
        """Hypothesis tries rules first that take nothing, in the order of their names."""

    return rule()(a_nothing)


def _onward_rules(drawn: Mapping[tuple[str, Any], st.SearchStrategy[Event]]) -> dict[str, Any]:
    """Lead an instance some steps towards some state: at the beginning, and by a rule."""

    @st.composite
    def ways(draw: st.DrawFn, most: int) -> tuple[str, list[tuple[Event, int]]]:
        self: MachineTest = draw(st.runner())
        steps = draw(st.integers(0, most))
        if not steps or not self.live():
            return "", []
        address = draw(st.sampled_from(self.live()))
        life = self.trial.life(address)  # what is drawn for the second step depends on where the first one leads
        machine = life.machine
        goal = draw(st.sampled_from(machine.states))
        found: list[tuple[Event, int]] = []
        while len(found) < steps and life.snapshot.state != goal:
            possible = {*lives.can_come(machine, life.snapshot.state), lives.next_timer(machine, life.snapshot)}
            ahead = lives.ways(machine, goal)[life.snapshot.state] & possible
            if not ahead:
                break
            event = _alive(
                draw(drawn[machine.name, draw(st.sampled_from([one for one in machine.events if one in ahead]))])
            )
            found.append((event, 0 if isinstance(event, Elapsed) else draw(st.sampled_from(DELAYS))))
            try:
                life.happen(event, after=found[-1][1])
            except StepError:  # it is the trial's to say so
                break
        return address, found

    def go(self: Any, way: tuple[str, list[tuple[Event, int]]]) -> None:
        for event, after in way[1]:
            self.trial.happen(event, way[0], after=after)

    def somewhere(self: Any, way: tuple[str, list[tuple[Event, int]]]) -> None:
        go(self, way)

    def onward(self: Any, way: tuple[str, list[tuple[Event, int]]]) -> None:
        go(self, way)

    return {"somewhere": initialize(way=ways(FAR))(somewhere), "onward": rule(way=ways(ONWARD))(onward)}


def _crash_rule(given: Given | None) -> Any:
    def crash(self: Any, offline: int, broken: Broken) -> None:
        self.trial.crash(offline, broken)

    made = rule(offline=st.sampled_from(AWAY), broken=values(Broken, given))(crash)
    return precondition(lambda self: bool(self.live()))(made)


def _another_rule(machine: Machine, account: str) -> Any:
    """When all instances of a machine are over, another one begins, so that a run does not end with them."""

    def another(self: Any) -> None:
        self.trial.add(f"{machine.name}/{account}/{len(self.trial.snapshots) + 1}")

    another.__name__ = f"another_{_word(machine.name)}"  # rules are told apart by it
    return precondition(lambda self: not self.live(machine.name))(rule()(another))


# ---- the test --------------------------------------------------------------------------------------------------------


def machine_test(
    machine: Machine,
    *,
    invariants: Sequence[Invariant] = (),
    monitors: Sequence[Callable[[], Monitor]] = (),
    sometimes: Sequence[Callable[[Snapshot], bool]] = (),
    examples: Sequence[Example] = (),
    given: Given | None = None,
    journal: Literal["memory", "sqlite"] = "memory",
    profile: settings | None = None,
) -> type[MachineTest]:
    """Make a stateful test of a machine. `.TestCase` of what it returns is what pytest and unittest run.

    Args:
        machine: the definition.
        invariants: functions of (snapshot), or of (before, event, after), that hold after every step: they return False or
            raise AssertionError where they do not.
        monitors: make an object for each history, with `see(address, moment)`, which returns what is wrong, if anything is.
        sometimes: functions of (snapshot) that must hold once in a whole run of the test. A check that never got there says
            nothing.
        examples: histories that are run first, each as a test of its own; as a failure prints them.
        given: how some values are drawn; see `statecore.testing.strategies.values`.
        journal: "memory", or "sqlite" to go through the real store, which takes some milliseconds an event.
        profile: Hypothesis' settings; see `usual`.

    Raises:
        ConfigError: a check takes other parameters than it is given.
    """
    return system_test(
        {f"{machine.name}/{TRIED}/1": machine},
        invariants=invariants,
        monitors=monitors,
        sometimes=sometimes,
        examples=examples,
        given=given,
        journal=journal,
        profile=profile,
        elsewhere=None,
        name=machine.name,
    )


def system_test(
    instances: Mapping[str, Machine],
    *,
    invariants: Sequence[Invariant] = (),
    monitors: Sequence[Callable[[], Monitor]] = (),
    joint: Sequence[Callable[[Snapshots], object]] = (),
    sometimes: Sequence[Callable[[Snapshot], bool]] = (),
    examples: Sequence[Example] = (),
    given: Given | None = None,
    journal: Literal["memory", "sqlite"] = "memory",
    profile: settings | None = None,
    elsewhere: Collection[str] | None = (),
    name: str = "system",
) -> type[MachineTest]:
    """Make a stateful test of several instances that tell each other.

    What an event sets off in other instances happens with it, in one unit, as in a gateway.

    Args:
        instances: the machine of each, by address, such as {"order/shop/1": order, "stock/shop/tea": stock}. One that is told
            something comes into being by that.
        invariants: see `machine_test`; of every instance.
        monitors: see `machine_test`.
        joint: functions of all snapshots by address, that hold after everything that happens.
        sometimes: see `machine_test`.
        examples: see `machine_test`, with the address first: (address, event, ns).
        given: see `machine_test`.
        journal: see `machine_test`.
        profile: see `machine_test`.
        elsewhere: names of machines that may be told things and are not here; None for any.
        name: what the test is called.
    """

    def begin(opened: ExitStack) -> Trial:
        held = opened.enter_context(stores.opened(journal))
        return Trial(
            instances, invariants=invariants, monitors=monitors, joint=joint, elsewhere=elsewhere, journal=held
        )

    first = begin(ExitStack()) if journal == "memory" else None  # what is wrong with the arguments is said here
    account = Address.parse(next(iter(instances))).account
    machines = list({machine.name: machine for machine in instances.values()}.values())
    drawn = {(machine.name, kind): how for machine in machines for kind, how in happenings(machine, given).items()}
    rules: dict[str, Any] = {
        "a_nothing": _nothing_rule(),
        "crash": _crash_rule(given),
        "ignored": _ignored_rule(machines, drawn),
        **_onward_rules(drawn),
    }
    for machine in machines:
        of = "" if len(machines) == 1 else f"{_word(machine.name)}_"
        for kind in machine.events:
            called = f"{of}{_word(name_of(kind))}"
            if isinstance(kind, Elapsed):
                rules[called] = _timer_rule(machine, kind, called)
            else:
                rules[called] = _event_rule(
                    machine, kind, drawn[machine.name, kind], called, several=len(instances) > 1
                )
        rules[f"another_{_word(machine.name)}"] = _another_rule(machine, account)
    del first
    reached: set[int] = set()
    made: Any = type(
        f"{_word(name).title().replace('_', '')}Test",
        (MachineTest,),
        {
            **rules,
            "begin": staticmethod(_watched(begin, sometimes, reached)),
            "__doc__": f"Whatever can happen to {name}.",
        },
    )
    lives_of = histories(machines[0], given=given) if len(instances) == 1 else None
    made.TestCase = _test_case(made, made.begin, examples, sometimes, reached, profile, lives_of)
    test: type[MachineTest] = made
    return test


def _watched(
    begin: Callable[[ExitStack], Trial], sometimes: Sequence[Callable[[Snapshot], bool]], reached: set[int]
) -> Callable[[ExitStack], Trial]:
    """Note which of *sometimes* were reached, in any history."""

    def note(snapshot: Snapshot) -> None:
        reached.update(at for at, holds in enumerate(sometimes) if at not in reached and holds(snapshot))

    def watched(opened: ExitStack) -> Trial:
        trial = begin(opened)
        if sometimes:
            trial.watch(note)
        return trial

    return watched


def _test_case(
    made: type[MachineTest],
    begin: Callable[[ExitStack], Trial],
    examples: Sequence[Example],
    sometimes: Sequence[Callable[[Snapshot], bool]],
    reached: set[int],
    profile: settings | None,
    lives_of: st.SearchStrategy[History] | None,
) -> type[unittest.TestCase]:
    """Make what pytest runs: each pinned history, whole histories, and what Hypothesis thinks of step by step."""

    def test_whatever_happens(self: Any) -> None:
        run_state_machine_as_test(made, settings=self.settings)
        never = [getattr(holds, "__name__", repr(holds)) for at, holds in enumerate(sometimes) if at not in reached]
        assert not never, f"never came to hold, so nothing was tried there: {', '.join(never)}"

    test_whatever_happens.is_hypothesis_test = True  # type: ignore[attr-defined]
    body: dict[str, Any] = {"settings": usual() if profile is None else profile}
    if lives_of is not None:
        body["test_any_history"] = _any_history(begin, lives_of, body["settings"])
    for number, example in enumerate(examples, start=1):
        body[f"test_pinned_{number}"] = _pinned(begin, example)
    body["test_whatever_happens"] = test_whatever_happens
    return type(f"{made.__name__}Case", (unittest.TestCase,), body)


def _any_history(
    begin: Callable[[ExitStack], Trial], lives_of: st.SearchStrategy[History], how: settings
) -> Callable[[Any], None]:
    """Histories that are led through the table reach more of it than rules do; rules try more in one place."""

    @how
    @hypothesis.given(lives_of)
    def live(history: History) -> None:
        with ExitStack() as opened:
            begin(opened).play([(moment.event, moment.now - lives.BEGAN) for moment in history])

    def test(_self: Any) -> None:
        live()

    test.is_hypothesis_test = True  # type: ignore[attr-defined]
    return test


def _pinned(begin: Callable[[ExitStack], Trial], example: Example) -> Callable[[Any], None]:
    def test(_self: Any) -> None:
        with ExitStack() as opened:
            begin(opened).play(example)

    return test
