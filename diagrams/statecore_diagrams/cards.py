"""The texts of a picture, measured: states, notes and the labels of arrows. Pure."""

from collections.abc import Sequence
from typing import Final

import attrs

from statecore_diagrams import metrics
from statecore_diagrams.drawing import SIZE
from statecore_diagrams.figure import Edge, Figure
from statecore_diagrams.layout import Box
from statecore_diagrams.model import State, Transition

HEAD: Final = 13
BODY: Final = SIZE
"""Sizes of type, in pixels."""

LINE: Final = 14
PAD: Final = 9
SIGN: Final = 14
"""Height of a line; what is kept free around text; room for the sign before what is awaited. Pixels."""

BODY_MAX: Final = 165
NOTE_MAX: Final = 190
LABEL_MAX: Final = 112
"""Where lists are broken, in boxes and in notes; and how long an event with its guard may be on one line. Pixels."""

COUNT: Final = 22
"""Room kept beside each label for how often it was taken, so that a picture with counts has the layout of the one without."""


@attrs.frozen
class Piece:
    """Text, and the transitions it stands for."""

    text: str
    transitions: tuple[Transition, ...] = ()


@attrs.frozen
class Line:
    """A line of pieces; the kind says which sign stands before it."""

    pieces: tuple[Piece, ...]
    kind: str = ""

    @property
    def text(self) -> str:
        """Return the whole line."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def width(self) -> float:
        """Return how wide the text is, in pixels."""
        return metrics.width(self.text, BODY)


@attrs.frozen
class Card:
    """A state and what stands in its box."""

    state: State
    lines: tuple[Line, ...]

    @property
    def box(self) -> Box:
        """Return how large the box is."""
        wide = [line.width + (SIGN if line.kind else 0) for line in self.lines]
        widest = max((metrics.width(self.state.name, HEAD, bold=True), 50, *wide))
        return Box(round(widest + 2 * PAD), round(HEAD + LINE * len(self.lines) + 2 * PAD))


def card(figure: Figure, state: State) -> Card:
    """Write what stands in the box of a state."""
    lines = [Line((Piece(awaited.short),), awaited.kind) for awaited in state.awaits]
    again, stays = figure.again.get(state.name, ()), figure.stays.get(state.name, ())
    shown = [t for t in stays if t.label not in figure.everywhere]
    return Card(state, (*lines, *_listed("again on", again), *_listed("stays on", shown)))


def _listed(what: str, transitions: Sequence[Transition]) -> list[Line]:
    """Break a list of events into lines."""
    lines: list[list[Piece]] = []
    for at, transition in enumerate(transitions):
        comma = ", " if at + 1 < len(transitions) else ""
        piece = Piece(transition.label + comma, (transition,))
        before = lines[-1] if lines else [Piece(f"{what} ")]
        if not lines:
            lines.append(before)
        if metrics.width("".join(held.text for held in [*before, piece]), BODY) > BODY_MAX and len(before) > 1:
            lines.append([piece])
        else:
            before.append(piece)
    return [Line(tuple(pieces), "loop" if at == 0 else "more") for at, pieces in enumerate(lines)]


def label(edge: Edge) -> tuple[Line, ...]:
    """Write the label of an arrow: a line for each event under its guard, or two where they are long."""
    lines: list[Line] = []
    for text, held in edge.lines.items():
        event, space, guard = text.partition(" [")
        if space and metrics.width(text, BODY) > LABEL_MAX:
            lines += [Line((Piece(event, held),), "more"), Line((Piece(f"[{guard}", held),))]
        else:
            lines.append(Line((Piece(text, held),)))
    return tuple(lines)


def label_box(lines: Sequence[Line]) -> Box:
    """Return how much room a label needs."""
    return Box(round(max(line.width for line in lines) + COUNT), LINE * len(lines) + 2)


def note(edge: Edge) -> tuple[str, ...]:
    """Write the note that an arrow from many states begins at."""
    return tuple(metrics.wrap(edge.note.split(", "), NOTE_MAX, BODY))


def note_box(lines: Sequence[str]) -> Box:
    """Return how much room a note needs."""
    return Box(round(max(metrics.width(line, BODY) for line in lines) + 2 * PAD), LINE * len(lines) + PAD)
