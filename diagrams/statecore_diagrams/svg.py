"""Machines as SVG: one file that stands for itself, in dark and in light.

Each state is a `<g class="state" data-state=NAME>`, each arrow a `<g class="edge" data-source=STATES data-event=EVENTS
data-target=NAME>`, where several states or events are separated by a space: a stylesheet finds them by
`[data-source~=..]`. The lines of a label and of a box that stand for transitions carry the same attributes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from statecore.machine import Machine
from statecore_diagrams import cards, layout, metrics, palette
from statecore_diagrams.cards import BODY, COUNT, HEAD, LINE, PAD, SIGN, Card, Line
from statecore_diagrams.drawing import attribute, document, head, sign, style, text, words
from statecore_diagrams.figure import Edge, Figure, arrange
from statecore_diagrams.layout import Arrow, Box, Place, Point
from statecore_diagrams.model import Transition, read

MARGIN: Final = 18
PAGE: Final = Box(1000, 900)
"""What a picture should fit into, so that it can be read in a page's column on a screen."""

START: Final = Box(14, 14)
CLEAR: Final = 6
"""Pixels between an arrow and its label."""

Taken = Mapping[Transition, int]


def render(machine: Machine, *, theme: palette.Theme = "both", taken: Taken | None = None) -> str:
    """Draw a machine.

    Args:
        machine: the definition.
        theme: light, dark, or whichever the reader's system prefers.
        taken: how often each transition was taken; those never taken are drawn faint. See `statecore_diagrams.coverage`.

    Raises:
        LayoutMissing: it is not one of the shipped machines, and the layout library is not installed.
    """
    picture = _Picture(arrange(read(machine)), taken)
    return picture.draw(theme)


def requests(machine: Machine) -> tuple[str, ...]:
    """Return what Graphviz is asked for the picture of a machine."""
    picture = _Picture(arrange(read(machine)), None)
    return tuple(layout.request(picture.nodes, picture.arrows, direction) for direction in _DIRECTIONS)


_DIRECTIONS: Final[tuple[layout.Direction, ...]] = ("TB", "LR")


class _Picture:
    def __init__(self, figure: Figure, taken: Taken | None) -> None:
        self.figure = figure
        self.taken = taken
        self.cards = [cards.card(figure, state) for state in figure.model.states]
        at = {card.state.name: index for index, card in enumerate(self.cards)}
        self.labels = [cards.label(edge) for edge in figure.edges]
        self.noted = {edge.group: edge for edge in figure.edges if edge.note}
        self.notes = [cards.note(edge) for edge in self.noted.values()]
        self.nodes = [*(card.box for card in self.cards), *(cards.note_box(note) for note in self.notes), START]
        tails = {group: len(self.cards) + index for index, group in enumerate(self.noted)}
        self.arrows = [
            Arrow(tails[edge.group] if edge.note else at[edge.sources[0]], at[edge.target], cards.label_box(label))
            for edge, label in zip(figure.edges, self.labels, strict=True)
        ]
        self.arrows.append(Arrow(len(self.nodes) - 1, at[figure.model.initial], Box(0, 0)))
        self.arrows += [
            Arrow(at[source], tails[group], Box(0, 0))
            for group, edge in self.noted.items()
            if edge.near
            for source in edge.sources
        ]

    def draw(self, theme: palette.Theme) -> str:
        """Return the document."""
        place = self._place()
        legend = _Legend(self.figure, self.taken, max(place.width, 420))
        width, height = place.width + 2 * MARGIN, place.height + 2 * MARGIN + legend.height
        width = max(width, legend.width + 2 * MARGIN)
        model = self.figure.model
        body = [*self._edges(place), *self._notes(place), *self._states(place)]
        about = (
            f"{len(model.states)} states and {len(model.drawn)} transitions of the machine {model.name}, "
            f"version {model.version} of its definition"
        )
        return document(
            "statecore-machine",
            (round(width), round(height)),
            (model.name, about),
            style("svg.statecore-machine", _RULES, theme),
            [
                f'<g transform="translate({(width - place.width) / 2:.1f} {MARGIN})">',
                *body,
                "</g>",
                f'<g transform="translate({MARGIN} {place.height + 2 * MARGIN:.1f})">',
                *legend.lines(),
                "</g>",
            ],
            data=f" data-machine={attribute(model.name)}",
        )

    def _place(self) -> Place:
        """Lay it out both ways, and take the one that fits a page better."""
        found = [layout.place(self.nodes, self.arrows, direction) for direction in _DIRECTIONS]
        return min(found, key=lambda place: max(place.width / PAGE.width, place.height / PAGE.height))

    # ---- states and notes --------------------------------------------------------------------------------------------

    def _states(self, place: Place) -> Iterator[str]:
        for card, middle in zip(self.cards, place.nodes, strict=False):
            yield from _state(self.figure.model.name, card, middle, self.taken)
        x, y = place.nodes[-1]
        yield f'<circle class="start" cx="{x}" cy="{y}" r="{START.width / 2:.0f}"/>'

    def _notes(self, place: Place) -> Iterator[str]:
        noted = zip(self.noted.values(), self.notes, strict=True)
        for at, (edge, lines) in enumerate(noted, start=len(self.cards)):
            (x, y), box = place.nodes[at], self.nodes[at]
            left, top = x - box.width / 2, y - box.height / 2
            yield f'<g class="note" data-source={attribute(" ".join(edge.sources))}>'
            yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width}" height="{box.height}" rx="{LINE / 2}"/>'
            for row, line in enumerate(lines):
                yield words(line, left + PAD, top + PAD / 2 + LINE * row + LINE * 0.75, "body")
            yield "</g>"

    # ---- arrows ------------------------------------------------------------------------------------------------------

    def _edges(self, place: Place) -> Iterator[str]:
        count = len(self.figure.edges)
        drawn, (tip, curve, _), joins = place.arrows[:count], place.arrows[count], place.arrows[count + 1 :]
        yield f'<g class="edge first"><path d="{_path(curve)}"/>{head(curve[-1], tip)}</g>'
        for tip, curve, _ in joins:
            yield f'<path class="join" d="{_path(curve)}L{tip[0]:g} {tip[1]:g}"/>'
        labels: list[str] = []
        for edge, label, (tip, curve, middle) in zip(self.figure.edges, self.labels, drawn, strict=True):
            kind = _kind(edge, self.taken)
            yield f'<g class="edge {kind}"{_data(edge)}>'
            yield f"<title>{text(self._told(edge))}</title>"
            yield f'<path d="{_path(curve)}"/>{head(curve[-1], tip)}'
            yield "</g>"
            labels += self._label(edge, label, middle)
        yield from labels  # over all arrows

    def _label(self, edge: Edge, lines: Sequence[Line], middle: Point) -> Iterator[str]:
        x, y = middle
        top = y - LINE * len(lines) / 2
        yield f'<g class="label"{_data(edge)}>'
        for row, line in enumerate(lines):
            (piece,) = line.pieces
            count = "" if line.kind == "more" else _count(piece.transitions, self.taken)
            shown = f"{line.text} {count}" if count else line.text
            left = x - (line.width + COUNT) / 2 + CLEAR  # where it stands without a count too
            classes = f"pays-{piece.transitions[0].pays or 'nothing'}{_faint(piece.transitions, self.taken)}"
            yield words(shown, left, top + LINE * row + LINE * 0.75, classes)
        yield "</g>"

    def _told(self, edge: Edge) -> str:
        cycle = any((source, edge.target) in self.figure.model.on_cycle for source in edge.sources)
        where = "" if cycle else " (on no cycle)"
        lines = [f"{', '.join(edge.sources)} → {edge.target}{where}"]
        for label, held in edge.lines.items():
            count = "" if self.taken is None else f", taken {sum(self.taken.get(one, 0) for one in held)} times"
            lines.append(f"{label}: {_PAYS[held[0].pays]}{count}")
        return "\n".join(lines)


def _state(machine: str, card: Card, middle: Point, taken: Taken | None) -> Iterator[str]:
    state, box = card.state, card.box
    left, top = middle[0] - box.width / 2, middle[1] - box.height / 2
    what = " initial" if state.initial else " final" if state.final else ""
    tone = palette.tone(machine, state.name, acts=any(awaited.kind == "attempt" for awaited in state.awaits))
    yield f'<g class="state {tone}{what}" data-state={attribute(state.name)}>'
    told = "; ".join(awaited.full for awaited in state.awaits) or "nothing, because all is done"
    yield f"<title>{text(f'{state.name} awaits {told}')}</title>"
    yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width}" height="{box.height}" rx="8"/>'
    if state.final:
        inner = f'x="{left + 3:.1f}" y="{top + 3:.1f}" width="{box.width - 6}" height="{box.height - 6}" rx="6"'
        yield f'<rect class="inner" {inner}/>'
    wide = metrics.width(state.name, HEAD, bold=True)
    name_left = middle[0] - wide / 2 if not card.lines else left + PAD
    yield words(state.name, name_left, top + PAD + HEAD * 0.8, "name", size=HEAD, bold=True)
    for row, line in enumerate(card.lines):
        base = top + PAD + HEAD + LINE * (row + 1) - 2
        yield sign(line.kind, left + PAD, base)
        x = left + PAD + (SIGN if line.kind else 0)
        for piece in line.pieces:
            classes = "body"
            if piece.transitions:
                classes += f" self{_faint(piece.transitions, taken)}"
            yield words(piece.text, x, base, classes, data=_piece_data(piece.transitions))
            x += metrics.width(piece.text, BODY)
    yield "</g>"


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _path(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    return f"M{x:g} {y:g}C" + " ".join(f"{x:g} {y:g}" for x, y in rest)


def _kind(edge: Edge, taken: Taken | None) -> str:
    paid = {transition.pays for transition in edge.transitions}
    pays = "pays-nothing" if "" in paid else "pays-timer" if paid == {"timer"} else "pays-outside"
    if taken is None:
        return pays
    return f"{pays} taken" if any(taken.get(transition) for transition in edge.transitions) else f"{pays} never"


def _faint(transitions: Sequence[Transition], taken: Taken | None) -> str:
    if taken is None:
        return ""
    return " taken" if any(taken.get(transition) for transition in transitions) else " never"


def _count(transitions: Sequence[Transition], taken: Taken | None) -> str:
    if taken is None:
        return ""
    number = sum(taken.get(transition, 0) for transition in transitions)
    return f"{short(number)}\N{MULTIPLICATION SIGN}" if number else ""


def short(number: int) -> str:
    """Write a count in at most four characters.

    >>> short(7), short(1234), short(56789), short(2_000_000)
    ('7', '1.2k', '57k', '2M')
    """
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return (
                f"{number / size:.1f}".removesuffix(".0") + letter
                if number < 10 * size
                else f"{number // size}{letter}"
            )
    return str(number)


_PAYS: Final = {
    "timer": "paid for by time",
    "outside": "paid for from outside",
    "": "an outcome, which costs nothing",
}


def _data(edge: Edge) -> str:
    sources, events = " ".join(edge.sources), " ".join(edge.events)
    return f" data-source={attribute(sources)} data-event={attribute(events)} data-target={attribute(edge.target)}"


def _piece_data(transitions: Sequence[Transition]) -> str:
    if not transitions:
        return ""
    one = transitions[0]
    return f" data-source={attribute(one.source)} data-event={attribute(one.event)} data-target={attribute(one.target)}"


# ---- legend and style ------------------------------------------------------------------------------------------------


_LEGEND: Final = {
    "pays-timer": "time pays",
    "pays-outside": "paid for from outside",
    "pays-nothing": "an outcome: costs nothing, so no cycle is made of these alone",
}


class _Legend:
    """What the lines and signs mean, and what holds in every state."""

    def __init__(self, figure: Figure, taken: Taken | None, width: float) -> None:
        self._limit = width
        self._figure = figure
        self._taken = taken
        self._rows = self._arranged()
        self.height = LINE * 1.4 * len(self._rows) + MARGIN / 2
        self.width = width

    def _items(self) -> list[tuple[str, str]]:
        drawn = {_kind(edge, None) for edge in self._figure.edges}
        found = [(kind, text) for kind, text in _LEGEND.items() if kind in drawn]
        kinds = {awaited.kind for state in self._figure.model.states for awaited in state.awaits}
        signs = {"timer": "timer, floor to cap", "attempt": "attempt, and its limit", "signal": "signal awaited"}
        found += [(kind, text) for kind, text in signs.items() if kind in kinds]
        return found

    def _texts(self) -> list[str]:
        model = self._figure.model
        texts = [f"version {model.version} of the definition"]
        texts += [f"runs across states: {timer.short}" for timer in model.running]
        if self._figure.everywhere:
            texts.append(f"changes only what is remembered, in most states: {', '.join(self._figure.everywhere)}")
        if self._taken is not None:
            count = sum(1 for transition in model.drawn if self._taken.get(transition))
            texts.append(f"taken {count} of {len(model.drawn)} transitions; those never taken are faint")
        return texts

    def _arranged(self) -> list[list[tuple[float, str, str]]]:
        rows: list[list[tuple[float, str, str]]] = [[]]
        x = 0.0
        for kind, said in (*self._items(), *(("", said) for said in self._texts())):
            wide = metrics.width(said, BODY) + (34 if kind.startswith("pays") else SIGN + 4 if kind else 0) + 18
            if x and x + wide > self._limit:
                rows.append([])
                x = 0.0
            rows[-1].append((x, kind, said))
            x += wide
        return rows

    def lines(self) -> Iterator[str]:
        """Draw it."""
        yield '<g class="legend">'
        for at, row in enumerate(self._rows):
            base = LINE * 1.4 * at + LINE * 0.75
            for x, kind, said in row:
                shift = 0.0
                if kind.startswith("pays"):
                    y = base - 4
                    yield f'<g class="edge {kind}"><path d="M{x:.1f} {y:.1f}h22"/>{head((x + 21, y), (x + 28, y))}</g>'
                    shift = 34
                elif kind:
                    yield sign(kind, x, base)
                    shift = SIGN + 4
                yield words(said, x + shift, base, "body")
        yield "</g>"


_RULES: Final = """
.back{fill:var(--back)}
.state rect{fill:var(--tone-fill);stroke:var(--tone);stroke-width:1.4}
.state.initial rect{stroke-width:2}
.state .inner{fill:none;stroke-width:1}
.name{font-size:13px;font-weight:bold}
.state .body,.note text,.legend text{fill:var(--soft)}
.sign{fill:none;stroke:var(--soft);stroke-width:1.1}
.sign.full{fill:var(--soft);stroke:none}
.start{fill:var(--line)}
.note rect{fill:var(--back);stroke:var(--soft);stroke-dasharray:3 3}
.join{fill:none;stroke:var(--soft);stroke-width:1;stroke-dasharray:1.5 3}
.edge path{fill:none;stroke:var(--line);stroke-width:1.2}
.edge .head{fill:var(--line);stroke:none}
.edge.pays-timer path{stroke:var(--timer);stroke-width:1.6}
.edge.pays-timer .head{fill:var(--timer);stroke:none}
.edge.pays-nothing path{stroke:var(--soft);stroke-dasharray:5 3}
.edge.pays-nothing .head{fill:var(--soft);stroke:none}
.label text{paint-order:stroke;stroke:var(--back);stroke-width:4px;stroke-linejoin:round}
.label .pays-timer{fill:var(--timer)}
.label .pays-nothing{fill:var(--soft)}
.edge.taken path{stroke-width:2.6}
.edge.never path,.edge.never .head{opacity:.3}
.label .never,.self.never{opacity:.65}
"""
