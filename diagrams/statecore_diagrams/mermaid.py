"""Machines as Mermaid, for pages that draw it themselves, such as a README. Needs nothing but the definition."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from statecore.machine import Machine
from statecore_diagrams import palette
from statecore_diagrams.figure import Edge, Figure, arrange
from statecore_diagrams.model import State, Transition, read

_RESERVED: Final = frozenset(
    {"as", "class", "classdef", "default", "direction", "end", "hide", "note", "scale", "state", "style", "click"}
)

_STROKES: Final = {
    "green": "#2da44e", "red": "#e5534b", "yellow": "#c69026", "magenta": "#b65fcf", "cyan": "#1b9aaa",
}  # fmt: skip
"""Lines only: the page decides on light or dark, and its fill goes with its text."""


def render(machine: Machine, *, taken: Mapping[Transition, int] | None = None) -> str:
    """Draw a machine as a `stateDiagram-v2`.

    Args:
        machine: the definition.
        taken: how often each transition was taken, which is written behind its event.
    """
    return "\n".join((*_lines(arrange(read(machine)), taken), ""))


def _lines(figure: Figure, taken: Mapping[Transition, int] | None) -> Iterator[str]:
    model = figure.model
    ids = _ids([state.name for state in model.states])
    yield "stateDiagram-v2"
    yield f"    %% {_plain(model.name)}, version {model.version} of its definition"
    for state in model.states:
        yield f'    state "{_plain(state.name)}" as {ids[state.name]}'
        yield from (f"    {ids[state.name]} : {line}" for line in _inside(figure, state))
        if state.initial:
            yield from (f"    {ids[state.name]} : runs across states, {_plain(timer.short)}" for timer in model.running)
    yield f"    [*] --> {ids[model.initial]}"
    notes: dict[tuple[str, ...], str] = {}
    for edge in figure.edges:
        yield from _edge(edge, ids, notes, taken)
    for held in figure.again.values():
        yield from _edge(Edge((held[0].source,), held[0].source, held), ids, notes, taken)
    yield from (f"    {ids[state.name]} --> [*]" for state in model.states if state.final)
    yield from _colours(figure, ids, notes)


def _inside(figure: Figure, state: State) -> Iterator[str]:
    for awaited in state.awaits:
        yield _plain(
            awaited.short if awaited.short.endswith(("signal", "signals")) else f"{awaited.kind} {awaited.short}"
        )
    shown = [t.label for t in figure.stays.get(state.name, ()) if t.label not in figure.everywhere]
    if shown:
        yield f"stays on {_plain(', '.join(shown))}"


def _edge(
    edge: Edge, ids: Mapping[str, str], notes: dict[tuple[str, ...], str], taken: Mapping[Transition, int] | None
) -> Iterator[str]:
    source = ids[edge.sources[0]]
    if edge.note:
        if edge.group not in notes:
            notes[edge.group] = f"from_{len(notes) + 1}"
            yield f'    state "{_plain(edge.note)}" as {notes[edge.group]}'
            if edge.near:
                yield from (f"    {ids[state]} --> {notes[edge.group]}" for state in edge.sources)
        source = notes[edge.group]
    label = "<br/>".join(_plain(line) + _count(held, taken) for line, held in edge.lines.items())
    yield f"    {source} --> {ids[edge.target]} : {label}"


def _count(held: Sequence[Transition], taken: Mapping[Transition, int] | None) -> str:
    if taken is None:
        return ""
    number = sum(taken.get(transition, 0) for transition in held)
    return f" {number}\N{MULTIPLICATION SIGN}" if number else " (never)"


def _colours(figure: Figure, ids: Mapping[str, str], notes: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    coloured: dict[str, list[str]] = {}
    for state in figure.model.states:
        acts = any(awaited.kind == "attempt" for awaited in state.awaits)
        coloured.setdefault(palette.tone(figure.model.name, state.name, acts=acts), []).append(ids[state.name])
    for tone, stroke in _STROKES.items():
        if tone in coloured:
            yield f"    classDef {tone} stroke:{stroke},stroke-width:2px"
            yield f"    class {','.join(coloured[tone])} {tone}"
    if notes:
        yield "    classDef from stroke-dasharray:3 3"
        yield f"    class {','.join(notes.values())} from"


def _ids(names: Sequence[str]) -> dict[str, str]:
    """Give each state a name that Mermaid can read, no two the same."""
    found: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9]", "_", name) or "_"
        wanted = base if base.lower() not in _RESERVED and not base.startswith("from_") else f"{base}_"
        while wanted in found.values():
            wanted += "_"
        found[name] = wanted
    return found


def _plain(text: str) -> str:
    """Write text so that Mermaid shows it and reads nothing into it."""
    return "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))


_ENTITIES: Final = {'"': "#quot;", "<": "#lt;", ">": "#gt;", ";": "#59;", "#": "#35;", ":": "#58;", "%": "#37;",
                    "{": "#123;", "}": "#125;", "\\": "#92;"}  # fmt: skip
