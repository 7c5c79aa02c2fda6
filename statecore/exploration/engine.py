"""Breadth-first exploration of a model: every state that can be reached, and what holds there. Pure.

Breadth first, so that the first path to a state is a shortest one. A model gives states that can be hashed and what may
happen in each; small integers and tuples of them are the fastest. What ends an exploration early (a limit, a model that
does not go on somewhere) is said, and then nothing is called proved that the rest could refute.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import attrs

from statecore.exploration.liveness import Lasso, find_lasso
from statecore.exploration.properties import (
    INCONCLUSIVE,
    PROVED,
    REFUTED,
    Always,
    Answer,
    Eventually,
    Happens,
    NeverStuck,
    Property,
    Sometimes,
)

S = TypeVar("S", bound=Hashable)
A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)

STATES_MAX: Final = 1_000_000
"""States that are explored unless more is asked for; a state takes some two hundred bytes."""

WATCHED_EVERY: Final = 4096
"""After so many states whoever watches is asked whether to go on."""


class Model(Protocol[S, A_co]):
    """What is explored.

    A model may also have `canonical(state)`, which gives one state for all that differ by symmetry only;
    `cut(state)`, which says why nothing is explored beyond a state, or an empty text; and, where states are integers,
    `differences(state)`, which gives the same as `actions` in groups of (actions, differences to the state), and is faster.
    """

    def initial(self) -> Iterable[S]:
        """Return where it begins."""

    def actions(self, state: S) -> Iterable[tuple[A_co, S]]:
        """Return what may happen next, and where each leads."""


class Step(NamedTuple, Generic[S, A]):
    """One step of a path: what happened (None at the beginning), and where that led."""

    action: A | None
    state: S


@attrs.frozen
class Verdict(Generic[S, A]):
    """What became of one property.

    Args:
        name: of the property.
        answer: proved, refuted or inconclusive.
        reason: what that rests on, as a sentence.
        path: a counterexample, or for what happens sometimes an example; from the initial state.
        loop: index of the step of *path* from where on it repeats for ever; None if it does not.
    """

    name: str
    answer: Answer
    reason: str
    path: tuple[Step[S, A], ...] = ()
    loop: int | None = None


@attrs.frozen
class Exploration(Generic[S, A]):
    """What was found.

    Args:
        verdicts: of each property, in the order in which they were given.
        states: how many states were explored.
        transitions: how many steps lead from one to another.
        depth: how many steps the farthest is away.
        complete: whether every reachable state was explored.
        cut: why not, if not.
    """

    verdicts: tuple[Verdict[S, A], ...]
    states: int
    transitions: int
    depth: int
    complete: bool
    cut: str

    @property
    def answer(self) -> Answer:
        """Refuted if any property is, else inconclusive if any is, else proved."""
        answers = {verdict.answer for verdict in self.verdicts}
        return REFUTED if REFUTED in answers else INCONCLUSIVE if INCONCLUSIVE in answers or not answers else PROVED

    def verdict(self, name: str) -> Verdict[S, A]:
        """Return the verdict on the property of that name."""
        return next(verdict for verdict in self.verdicts if verdict.name == name)


def explore(
    model: Model[S, A],
    *,
    properties: Sequence[Property] = (),
    states_max: int = STATES_MAX,
    watch: Callable[[int], bool] | None = None,
    stop_at_refuted: bool = False,
) -> Exploration[S, A]:
    """Explore every state that can be reached.

    Args:
        model: what is explored.
        properties: what is asked of it.
        states_max: how many states at most.
        watch: told from time to time how many states were explored; returns whether to go on.
        stop_at_refuted: whether to end as soon as one property is refuted.

    Returns:
        A verdict on each property. What did not end is not called proved.
    """
    return _Search(model, properties, states_max, watch, stop_at_refuted).run()


class _Search(Generic[S, A]):
    """One exploration under way."""

    def __init__(
        self,
        model: Model[S, A],
        properties: Sequence[Property],
        states_max: int,
        watch: Callable[[int], bool] | None,
        stop_at_refuted: bool,
    ) -> None:
        self._model = model
        self._properties = properties
        self._states_max = states_max
        self._watch = watch
        self._stop_at_refuted = stop_at_refuted
        self._canonical: Callable[[S], S] | None = getattr(model, "canonical", None)
        self._differences: Any = None if self._canonical is not None else getattr(model, "differences", None)
        self._cuts: Callable[[S], str] | None = getattr(model, "cut", None)
        self._parents: dict[S, S | None] = {}
        self._always: list[Always] = [one for one in properties if isinstance(one, Always)]
        self._sometimes: list[Sometimes] = [one for one in properties if isinstance(one, Sometimes)]
        self._happens: list[Happens] = [one for one in properties if isinstance(one, Happens)]
        self._stuck: list[NeverStuck] = [one for one in properties if isinstance(one, NeverStuck)]
        self._decided: dict[str, Verdict[S, A]] = {}
        self._actions_seen: set[Any] = set()
        self._groups_seen: set[Any] = set()
        self._cut: dict[S, None] = {}
        self._why_cut = ""
        self._stopped = False
        self._states = self._transitions = self._depth = 0

    def run(self) -> Exploration[S, A]:
        frontier: list[S] = []
        for given in self._model.initial():
            state = given if self._canonical is None else self._canonical(given)
            if state not in self._parents:
                self._parents[state] = None
                frontier.append(state)
        self._look_at(frontier)
        while frontier and not self._ended():
            frontier = self._next(frontier)
            self._depth += bool(frontier)
            self._look_at(frontier)
        self._cut.update(dict.fromkeys(frontier))
        verdicts = tuple(self._verdict(one) for one in self._properties)
        return Exploration(verdicts, self._states, self._transitions, self._depth, not self._why_cut, self._why_cut)

    # ---- the search --------------------------------------------------------------------------------------------------

    def _next(self, frontier: list[S]) -> list[S]:  # noqa: PLR0912 - the hottest loop, in one piece
        """Explore one level; return the next."""
        parents, actions, canonical, cuts = self._parents, self._model.actions, self._canonical, self._cuts
        differences = self._differences
        following: list[S] = []
        transitions = 0
        for done, state in enumerate(frontier):
            if cuts is not None and (why := cuts(state)):
                self._cut[state] = None
                self._why_cut = self._why_cut or why
                continue
            if done % WATCHED_EVERY == WATCHED_EVERY - 1 and self._must_stop():
                following = [*frontier[done:], *following]
                break
            self._states += 1
            before = transitions
            if differences is not None:
                for possible, steps in differences(state):
                    transitions += len(steps)
                    for by in steps:
                        after = state + by
                        if after not in parents:
                            parents[after] = state
                            following.append(after)
                    if self._happens and possible not in self._groups_seen:
                        self._look_into(possible, steps, state)
            else:
                for action, after in actions(state):
                    transitions += 1
                    if canonical is not None:
                        after = canonical(after)  # noqa: PLW2901 - a copy of it would cost a tenth of the loop
                    if after not in parents:
                        parents[after] = state
                        following.append(after)
                    if self._happens and action not in self._actions_seen:
                        self._first(action, state, after)
            if self._stuck and transitions == before:
                self._is_stuck(state)
        self._transitions += transitions
        return following

    def _must_stop(self) -> bool:
        if len(self._parents) >= self._states_max:
            self._stop(f"the limit of {self._states_max:,} states was reached")
        elif self._watch is not None and not self._watch(self._states):
            self._stop(f"it was stopped after {self._states:,} states")
        return self._stopped

    def _stop(self, why: str) -> None:
        self._stopped = True
        self._why_cut = self._why_cut or why

    def _ended(self) -> bool:
        if self._stop_at_refuted and any(verdict.answer == REFUTED for verdict in self._decided.values()):
            self._stop("it ended with the first property that was refuted")
        return self._stopped or self._must_stop()

    def _look_at(self, states: list[S]) -> None:
        """Look at states that are new: those that refute or show something are decided by the first."""
        for asked in list(self._always):
            holds = asked.holds
            if asked.first_wrong is not None:
                wrong = asked.first_wrong(states)
            else:
                wrong = next((state for state in states if not holds(state)), None)
            if wrong is not None:
                path = self.path(wrong)
                self._decided[asked.name] = Verdict(asked.name, REFUTED, _after(path), path)
                self._always.remove(asked)
        for shown in list(self._sometimes):
            reached = next((state for state in states if shown.holds(state)), None)
            if reached is not None:
                path = self.path(reached)
                self._decided[shown.name] = Verdict(shown.name, PROVED, f"reached {_after(path)}", path)
                self._sometimes.remove(shown)

    def _look_into(self, actions: tuple[A, ...], steps: tuple[Any, ...], state: Any) -> None:
        """Look at a group of actions that is new."""
        self._groups_seen.add(actions)
        for action, by in zip(actions, steps, strict=True):
            if action not in self._actions_seen:
                self._first(action, state, state + by)

    def _first(self, action: A, state: S, after: S) -> None:
        """Look at an action that is new."""
        self._actions_seen.add(action)
        for asked in list(self._happens):
            if asked.when(action):
                path = (*self.path(state), Step(action, after))
                self._decided[asked.name] = Verdict(asked.name, PROVED, f"happened {_after(path)}", path)
                self._happens.remove(asked)

    def _is_stuck(self, state: S) -> None:
        for asked in list(self._stuck):
            if not asked.ends(state):
                path = self.path(state)
                self._decided[asked.name] = Verdict(asked.name, REFUTED, f"nothing can happen {_after(path)}", path)
                self._stuck.remove(asked)

    # ---- paths and verdicts ------------------------------------------------------------------------------------------

    def path(self, state: S) -> tuple[Step[S, A], ...]:
        """Return a shortest path to a state that was found."""
        states = [state]
        while (parent := self._parents[states[-1]]) is not None:
            states.append(parent)
        states.reverse()
        steps: list[Step[S, A]] = [Step(None, states[0])]
        for before, after in itertools.pairwise(states):
            steps.append(Step(self._action_between(before, after), after))
        return tuple(steps)

    def _action_between(self, before: S, after: S) -> A:
        for action, reached in self._model.actions(before):
            if (reached if self._canonical is None else self._canonical(reached)) == after:
                return action
        raise AssertionError("the model gave another answer when it was asked again; `actions` must be pure")

    def _verdict(self, asked: Property) -> Verdict[S, A]:
        decided = self._decided.get(asked.name)
        if decided is not None:
            return decided
        if isinstance(asked, Eventually):
            lasso = self._lasso(asked)
            if lasso is not None:
                return self._refuted_by(asked, lasso)
        size = f"{self._states:,} states and {self._transitions:,} transitions"
        if self._why_cut:
            return Verdict(asked.name, INCONCLUSIVE, f"{self._why_cut}; so far {size}")
        if isinstance(asked, Sometimes | Happens):
            return Verdict(asked.name, REFUTED, f"it never happens in all {size}")
        if isinstance(asked, Eventually) and asked.after is not None and not any(map(asked.after, self._parents)):
            return Verdict(asked.name, INCONCLUSIVE, f"what it begins with never happens in all {size}")
        if not self._states:
            return Verdict(asked.name, INCONCLUSIVE, "the model has no state")
        return Verdict(asked.name, PROVED, f"holds in all {size}")

    def _lasso(self, asked: Eventually) -> Lasso[S, A] | None:
        begin = asked.after if asked.after is not None else self._is_initial
        return find_lasso(
            (state for state in self._parents if begin(state) and not asked.holds(state)),
            self._known_actions,
            asked.holds,
            asked.fair,
        )

    def _is_initial(self, state: S) -> bool:
        return self._parents[state] is None

    def _known_actions(self, state: S) -> list[tuple[A, S]] | None:
        """Return what may happen next, or None where that was not explored."""
        if state in self._cut:
            return None
        found = self._model.actions(state)
        if self._canonical is None:
            return list(found)
        return [(action, self._canonical(after)) for action, after in found]

    def _refuted_by(self, asked: Eventually, lasso: Lasso[S, A]) -> Verdict[S, A]:
        head = self.path(lasso.begins)
        path = (*head, *(Step(action, state) for action, state in (*lasso.stem, *lasso.cycle)))
        loop = len(head) + len(lasso.stem) - 1
        if lasso.cycle:
            reason = f"after {loop} steps, {len(lasso.cycle)} repeat for ever and never reach it"
        else:
            reason = f"{_after(path)} it ends short of it: nothing that may be relied on can happen"
        return Verdict(asked.name, REFUTED, reason, path, loop if lasso.cycle else None)


def _after(path: Sequence[Any]) -> str:
    steps = len(path) - 1
    return "at the beginning" if not steps else f"after {steps} step{'s' * (steps != 1)}"
