"""Paths that go on for ever without reaching a goal: strongly connected components, and fairness. Pure.

A path that never reaches its goal either ends, where nothing that may be relied on can happen, or stays for ever in one
strongly connected component. A component can be stayed in fairly if each action that may be relied on either happens
within it, or is not always (weak fairness) or not ever (strong fairness) possible there. Where strong fairness forbids a
component as a whole, what is left without the states that forbid it is looked at again.

Tarjan's algorithm, without recursion because components are deep.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

import attrs

from statecore.exploration.properties import Fairness

S = TypeVar("S", bound=Hashable)
A = TypeVar("A")
Edges = dict[S, list[tuple[A, S]]]


@attrs.frozen
class Lasso(Generic[S, A]):
    """A path that never reaches its goal.

    Args:
        begins: the state it begins in.
        stem: (action, state) of the steps from there to where it repeats or ends.
        cycle: (action, state) of the steps that repeat; empty where the path ends.
    """

    begins: S
    stem: tuple[tuple[A, S], ...]
    cycle: tuple[tuple[A, S], ...]


def find_lasso(
    begins: Iterable[S],
    actions: Callable[[S], list[tuple[A, S]] | None],
    holds: Callable[[S], bool],
    fair: Callable[[A], Fairness],
) -> Lasso[S, A] | None:
    """Find a fair path that never reaches a state that satisfies *holds*.

    Args:
        begins: the states it may begin in, none of which satisfies *holds*.
        actions: what may happen in a state, or None where that is not known.
        holds: the goal.
        fair: what may be relied on of each action.
    """
    graph = _Graph(begins, actions, holds, fair)
    found = graph.ends()
    if found is not None:
        return Lasso(*graph.stem(found), cycle=())
    for component in graph.components(graph.inner):
        kept = graph.fair_part(component)
        if kept:
            first = min(kept, key=graph.order.__getitem__)
            return Lasso(*graph.stem(first), cycle=graph.cycle(first, kept))
    return None


class _Graph(Generic[S, A]):
    """The states from which the goal was not reached yet.

    Attributes:
        inner: the steps from each state to others without the goal.
        order: how early each state was found.
    """

    def __init__(
        self,
        begins: Iterable[S],
        actions: Callable[[S], list[tuple[A, S]] | None],
        holds: Callable[[S], bool],
        fair: Callable[[A], Fairness],
    ) -> None:
        self._fairness: dict[A, Fairness] = {}
        self._fair = fair
        self._parents: dict[S, tuple[S, A] | None] = dict.fromkeys(begins)
        self.inner: Edges[S, A] = {}
        self._enabled: dict[S, frozenset[A]] = {}
        self._sets: dict[frozenset[A], frozenset[A]] = {}
        self._unknown: set[S] = set()
        waiting = deque(self._parents)
        reached: dict[S, bool] = {}
        while waiting:
            state = waiting.popleft()
            possible = actions(state)
            if possible is None:
                self._unknown.add(state)
                possible = []
            inner = self.inner[state] = []
            relied: set[A] = set()
            for action, after in possible:
                if self._relied(action) != "none":
                    relied.add(action)
                if after not in reached:
                    reached[after] = holds(after)
                if reached[after]:
                    continue
                inner.append((action, after))
                if after not in self._parents:
                    self._parents[after] = (state, action)
                    waiting.append(after)
            enabled = frozenset(relied)
            self._enabled[state] = self._sets.setdefault(enabled, enabled)
        self.order = {state: index for index, state in enumerate(self._parents)}

    def _relied(self, action: A) -> Fairness:
        known = self._fairness.get(action)
        if known is None:
            known = self._fairness[action] = self._fair(action)
        return known

    def ends(self) -> S | None:
        """Return the first state in which a fair path may stay for ever without another step."""
        return next((state for state in self.order if not self._enabled[state] and state not in self._unknown), None)

    def stem(self, state: S) -> tuple[S, tuple[tuple[A, S], ...]]:
        """Return where a shortest path to a state begins, and its steps."""
        steps: list[tuple[A, S]] = []
        while (parent := self._parents[state]) is not None:
            steps.append((parent[1], state))
            state = parent[0]
        return state, tuple(reversed(steps))

    # ---- components --------------------------------------------------------------------------------------------------

    def components(self, edges: Edges[S, A]) -> Iterator[set[S]]:
        """Return the strongly connected components that have a cycle."""
        index: dict[S, int] = {}
        low: dict[S, int] = {}
        on_stack: set[S] = set()
        stack: list[S] = []
        for root in edges:
            if root in index:
                continue
            work: list[tuple[S, Iterator[tuple[A, S]]]] = []
            self._enter(root, edges, index, low, stack, on_stack, work)
            while work:
                state, following = work[-1]
                for _, after in following:
                    if after not in index:
                        self._enter(after, edges, index, low, stack, on_stack, work)
                        break
                    if after in on_stack:
                        low[state] = min(low[state], index[after])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[state])
                    if low[state] == index[state]:
                        component = _popped(stack, on_stack, state)
                        if len(component) > 1 or any(after == state for _, after in edges[state]):
                            yield component

    def _enter(
        self,
        state: S,
        edges: Edges[S, A],
        index: dict[S, int],
        low: dict[S, int],
        stack: list[S],
        on_stack: set[S],
        work: list[tuple[S, Iterator[tuple[A, S]]]],
    ) -> None:
        index[state] = low[state] = len(index)
        stack.append(state)
        on_stack.add(state)
        work.append((state, iter(edges[state])))

    def fair_part(self, component: set[S]) -> set[S]:
        """Return a part of a component in which a fair path may stay for ever, or nothing."""
        if component & self._unknown:
            return self._fair_part_of(component - self._unknown)
        taken = {action for state in component for action, after in self.inner[state] if after in component}
        enabled = [self._enabled[state] for state in component]
        everywhere = frozenset.intersection(*enabled)
        if any(self._relied(action) == "weak" for action in everywhere - taken):
            return set()
        anywhere = frozenset.union(*enabled)
        owed = frozenset(action for action in anywhere - taken if self._relied(action) == "strong")
        if not owed:
            return component
        return self._fair_part_of({state for state in component if not self._enabled[state] & owed})

    def _fair_part_of(self, rest: set[S]) -> set[S]:
        edges = {state: [step for step in self.inner[state] if step[1] in rest] for state in rest}
        for part in self.components(edges):
            kept = self.fair_part(part)
            if kept:
                return kept
        return set()

    def cycle(self, state: S, component: set[S]) -> tuple[tuple[A, S], ...]:
        """Return steps within a component from a state back to it that do justice to every action relied on."""
        taken = {action for one in component for action, after in self.inner[one] if after in component}
        enabled = [self._enabled[one] for one in component]
        steps: list[tuple[A, S]] = []
        here = state
        for action in sorted(frozenset.union(*enabled), key=repr):
            visited = {state, *(after for _, after in steps)}
            if action in {done for done, _ in steps} or any(action not in self._enabled[one] for one in visited):
                continue
            if action in taken:
                steps += self._walk(here, component, lambda step, _, action=action: step == action)  # type: ignore[misc]
            else:
                steps += self._walk(here, component, lambda _, at, action=action: action not in self._enabled[at])  # type: ignore[misc]
            here = steps[-1][1]
        if here != state or not steps:
            steps += self._walk(here, component, lambda _, at: at == state)
        return tuple(steps)

    def _walk(self, start: S, component: set[S], ends: Callable[[A, S], bool]) -> list[tuple[A, S]]:
        """Return the shortest steps within a component, one at least, whose last satisfies *ends*."""
        parents: dict[S, tuple[S, A]] = {}
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            for action, after in self.inner[state]:
                if after not in component:
                    continue
                if ends(action, after):
                    steps = [(action, after)]
                    while state != start:
                        before, did = parents[state]
                        steps.append((did, state))
                        state = before
                    return steps[::-1]
                if after not in parents and after != start:
                    parents[after] = (state, action)
                    waiting.append(after)
        raise AssertionError("a strongly connected component leads from each state to each")


def _popped(stack: list[S], on_stack: set[S], until: S) -> set[S]:
    found: set[S] = set()
    while True:
        state = stack.pop()
        on_stack.discard(state)
        found.add(state)
        if state == until:
            return found
