"""Where boxes, arrows and labels go.

The layout is Graphviz's `dot`, through `pygraphviz`: layered, with room kept for every label. Graphviz is told the size of
everything and draws nothing, so no font is asked and the same request gives the same answer on every machine.

What was computed for the shipped machines is in `layouts.json` beside this file, under a digest of the request. So their
pictures need no layout library, and neither does a report about them.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

import attrs

from statecore.errors import StatecoreError

Direction: TypeAlias = Literal["LR", "TB"]
Point: TypeAlias = tuple[float, float]

INSTALL: Final = "pip install 'statecore[diagrams]'"

RANK_GAP: Final = 26
NODE_GAP: Final = 14
"""Pixels between layers, and between what stands in one."""

STORED: Final = "layouts.json"


class LayoutMissing(StatecoreError):
    """A picture needs the layout library, which is not installed."""


@attrs.frozen
class Box:
    """Something with a size, in pixels: a node, or the label of an arrow."""

    width: float
    height: float


@attrs.frozen
class Arrow:
    """An arrow between two nodes, given by their places in the list of nodes."""

    tail: int
    head: int
    label: Box


@attrs.frozen
class Place:
    """Where things are, in pixels from the upper left.

    Args:
        width: of the whole.
        height: of the whole.
        nodes: the middle of each node.
        arrows: of each arrow its tip, its Bézier points (the start, then three a piece), and the middle of its label.
    """

    width: float
    height: float
    nodes: tuple[Point, ...]
    arrows: tuple[tuple[Point, tuple[Point, ...], Point], ...]


def request(nodes: Sequence[Box], arrows: Sequence[Arrow], direction: Direction) -> str:
    """Write what Graphviz is asked."""
    lines = [
        "digraph {",
        f"rankdir={direction}; ranksep={RANK_GAP / 72:.3f}; nodesep={NODE_GAP / 72:.3f};",
        'node [shape=box fixedsize=true label=""]; edge [arrowsize=0.7];',
    ]
    lines += [f"n{at} [width={box.width / 72:.4f} height={box.height / 72:.4f}];" for at, box in enumerate(nodes)]
    for at, arrow in enumerate(arrows):
        size = f'fixedsize="true" width="{arrow.label.width:.0f}" height="{arrow.label.height:.0f}"'
        label = f'<<table border="0" {size}><tr><td></td></tr></table>>' if arrow.label.width else '""'
        lines.append(f"n{arrow.tail} -> n{arrow.head} [id={at} label={label}];")
    return "\n".join((*lines, "}"))


def place(nodes: Sequence[Box], arrows: Sequence[Arrow], direction: Direction) -> Place:
    """Find a place for everything.

    Raises:
        LayoutMissing: it is not one of the shipped pictures, and the layout library is not installed.
    """
    asked = request(nodes, arrows, direction)
    known = stored().get(digest(asked))
    return _read(compute(asked) if known is None else known)


def digest(asked: str) -> str:
    """Return the name under which the answer to a request is stored."""
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def compute(asked: str) -> dict[str, Any]:
    """Ask Graphviz; return the answer as it is stored: plain lists of rounded numbers.

    Raises:
        LayoutMissing: the library is not installed.
    """
    try:
        import pygraphviz
    except ImportError as error:
        raise LayoutMissing(
            f"this picture has to be laid out, and Graphviz is not here ({error}); install it with: {INSTALL}; "
            "Mermaid needs nothing: --format mermaid"
        ) from error
    answer = json.loads(pygraphviz.AGraph(string=asked).draw(format="json0", prog="dot"))
    width, height = (float(number) for number in answer["bb"].split(",")[2:])

    def point(text: str) -> list[float]:
        x, y = text.removeprefix("e,").split(",")
        return [round(float(x), 1), round(height - float(y), 1)]

    nodes = sorted((int(thing["name"][1:]), point(thing["pos"])) for thing in answer["objects"])
    edges = sorted((int(edge["id"]), edge["pos"].split(), edge.get("lp", "0,0")) for edge in answer["edges"])
    return {
        "size": [round(width, 1), round(height, 1)],
        "nodes": [where for _, where in nodes],
        "edges": [[point(tip), [point(at) for at in curve], point(label)] for _, (tip, *curve), label in edges],
    }


def _read(known: dict[str, Any]) -> Place:
    width, height = known["size"]

    def point(pair: list[float]) -> Point:
        return pair[0], pair[1]

    return Place(
        width,
        height,
        tuple(point(middle) for middle in known["nodes"]),
        tuple((point(tip), tuple(point(at) for at in curve), point(label)) for tip, curve, label in known["edges"]),
    )


@cache
def stored() -> dict[str, Any]:
    """Return what was computed for the shipped machines, by the digest of the request."""
    held = files("statecore_diagrams").joinpath(STORED)
    found: dict[str, Any] = json.loads(held.read_text()) if held.is_file() else {}
    return found
