"""What is drawn of a model: which transitions share an arrow. Pure.

A table with a row for "from wherever it is" has an arrow from every state, and a picture of all of them is a ball of
wool. So what leaves many states for the same one by the same events is drawn once, from a note that names them. Nothing
is left out: each arrow knows its transitions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from statecore_diagrams.model import Model, Transition

FAR_MIN: Final = 4
"""From so many states on, a note that names them stands for them, wherever they are. Fewer are led to it by lines."""

SAVES_MIN: Final = 3
"""A note is worth its place if it saves at least so many lines."""

EXCEPT_MAX: Final = 3
"""A note says "every state but ..." if at most so many are left out, else it names those it is about."""


@attrs.frozen
class Edge:
    """An arrow.

    Args:
        sources: the states it leaves; several are drawn from a note.
        target: the state it leads to.
        transitions: what it stands for.
        note: what the note says; empty where the arrow leaves its one state.
    """

    sources: tuple[str, ...]
    target: str
    transitions: tuple[Transition, ...]
    note: str = ""

    @property
    def near(self) -> bool:
        """Whether lines lead from its states to its note."""
        return bool(self.note) and len(self.sources) < FAR_MIN

    @property
    def group(self) -> tuple[str, ...]:
        """Return what the arrows of one note have in common. A note that no line leads to stands beside its target."""
        return self.sources if self.near else (*self.sources, self.target)

    @property
    def events(self) -> tuple[str, ...]:
        """Return the names of its events."""
        return _unique(transition.event for transition in self.transitions)

    @property
    def lines(self) -> Mapping[str, tuple[Transition, ...]]:
        """Return the lines of its label, an event and a guard each, with the transitions each stands for."""
        found: dict[str, tuple[Transition, ...]] = {}
        for transition in self.transitions:
            found[transition.label] = (*found.get(transition.label, ()), transition)
        return found


@attrs.frozen
class Figure:
    """The arrows of a picture.

    Args:
        model: what is drawn.
        edges: the arrows between different states.
        again: by state: the transitions that enter the same state once more.
        stays: by state: the transitions that change only what is remembered.
    """

    model: Model
    edges: tuple[Edge, ...]
    again: Mapping[str, tuple[Transition, ...]]
    stays: Mapping[str, tuple[Transition, ...]]

    @property
    def everywhere(self) -> tuple[str, ...]:
        """Return what stays in more than half of the states. It is said once, below the picture, and not in each box."""
        labels = [transition.label for held in self.stays.values() for transition in held]
        return _unique(label for label in labels if labels.count(label) * 2 > len(self.model.states))


def arrange(model: Model) -> Figure:
    """Decide which transitions share an arrow."""
    moving = [transition for transition in model.drawn if transition.source != transition.target]
    gathered = _gathered(model, moving)
    taken = {transition for edge in gathered for transition in edge.transitions}
    pairs: dict[tuple[str, str], list[Transition]] = {}
    for transition in moving:
        if transition not in taken:
            pairs.setdefault((transition.source, transition.target), []).append(transition)
    single = [Edge((source,), target, tuple(held)) for (source, target), held in pairs.items()]
    loops = [t for t in model.drawn if t.source == t.target and t not in taken]
    return Figure(
        model,
        (*single, *gathered),
        _by_state(t for t in loops if t.kind == "moved"),
        _by_state(t for t in loops if t.kind == "stayed"),
    )


def _by_state(transitions: Iterable[Transition]) -> dict[str, tuple[Transition, ...]]:
    found: dict[str, tuple[Transition, ...]] = {}
    for transition in transitions:
        found[transition.source] = (*found.get(transition.source, ()), transition)
    return found


def _gathered(model: Model, moving: Sequence[Transition]) -> list[Edge]:
    """Find what leaves several states for the same ones by the same events."""
    alike: dict[tuple[str, str], list[Transition]] = {}
    between: dict[tuple[str, str], set[str]] = {}
    for transition in moving:
        between.setdefault((transition.source, transition.target), set()).add(transition.label)
        if transition.source != model.initial:  # where it begins is the way to read the picture, so it keeps its arrow
            alike.setdefault((transition.target, transition.label), []).append(transition)
    shared: dict[tuple[str, ...], dict[str, list[Transition]]] = {}
    for (target, _), held in alike.items():
        sources = _unique(transition.source for transition in held)
        shared.setdefault(sources, {}).setdefault(target, []).extend(held)
    edges = []
    for sources, targets in shared.items():
        saved = -len(sources) if len(sources) < FAR_MIN else 0
        for target, held in targets.items():
            labels = {transition.label for transition in held}
            saved += sum(between[source, target] <= labels for source in sources) - 1  # others stay, for other events
        if saved >= SAVES_MIN:
            edges += [_fromnamed(model, sources, target, held) for target, held in targets.items()]
    return edges


def _fromnamed(model: Model, sources: tuple[str, ...], target: str, held: list[Transition]) -> Edge:
    """Make an arrow from a note. The target is named among the sources if the same events enter it once more."""
    labels = {transition.label for transition in held}
    loops = [t for t in model.drawn if t.kind == "moved" and t.source == t.target == target and t.label in labels]
    if {transition.label for transition in loops} == labels:
        return Edge((*sources, target), target, (*held, *loops), named(model, (*sources, target)))
    return Edge(sources, target, tuple(held), named(model, sources))


def named(model: Model, sources: Sequence[str]) -> str:
    """Say which states are meant, in as few words as are exact."""
    candidates = [state.name for state in model.states if not state.final]
    others = [name for name in candidates if name not in sources]
    if not others and len(sources) > 1:
        return "every state"
    if len(others) <= min(EXCEPT_MAX, len(sources) / 2):
        return f"every state but {', '.join(others)}"
    return ", ".join(name for name in candidates if name in sources)


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
