"""Timelines as SVG and as Mermaid."""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from statecore.cli.common import printable
from statecore.system import Address
from statecore.units import HOURS, MILLISECONDS, MINUTES, SECONDS, show_duration
from statecore_diagrams import metrics, palette
from statecore_diagrams.drawing import attribute, document, head, style, text, words
from statecore_diagrams.timeline import Bar, Cause, Lane, Timeline

LANE: Final = 26
BAR: Final = 16
SIZE: Final = 10.5
LEFT: Final = 250
WIDTH: Final = 1000
TOP: Final = 58
MARGIN: Final = 18
"""Pixels: a lane and the bar in it, the type, the lanes' names, the time axis, above the lanes, around."""

ADDRESS_MAX: Final = 40
TICKS_MAX: Final = 8
STUB: Final = 9
"""How long a final state is drawn: it lasts for ever."""

_STEPS: Final = tuple(
    unit * times
    for unit, several in (
        (MILLISECONDS, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (SECONDS, (1, 2, 5, 10, 20, 30)),
        (MINUTES, (1, 2, 5, 10, 20, 30)),
        (HOURS, (1, 2, 6, 12, 24, 48, 168, 720, 8760, 87600)),
    )
    for times in several
)


def render(timeline: Timeline, *, title: str = "Timeline", theme: palette.Theme = "both") -> str:
    """Draw a timeline as a standalone SVG.

    Args:
        timeline: what to draw.
        title: what it is of.
        theme: light, dark, or whichever the reader's system prefers.
    """
    return _Picture(timeline).draw(title, theme)


class _Picture:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._span = max(1, timeline.ends - timeline.begins)

    def draw(self, title: str, theme: palette.Theme) -> str:
        """Return the document."""
        timeline = self.timeline
        width, height = LEFT + WIDTH + 2 * MARGIN, TOP + LANE * len(timeline.lanes) + 2 * MARGIN
        lasted = show_duration(timeline.ends - timeline.begins) if timeline.ends > timeline.begins else "one moment"
        about = f"{timeline.drawn} rows of {len(timeline.lanes)} instances over {lasted}, from {_moment(timeline.wall)}"
        omitted = omission(timeline)
        said = f"{about}; {omitted}" if omitted else about
        shown = printable(title, 80)
        return document(
            "statecore-timeline",
            (width, height),
            (shown, said),
            style("svg.statecore-timeline", _RULES, theme),
            [
                words(shown, MARGIN, MARGIN + 10, "name", size=13, bold=True),
                words(said, MARGIN, MARGIN + 26, "soft"),
                *self._axis(),
                *(self._cause(cause) for cause in timeline.causes),  # under the bars, whose text they would cross
                *(line for place, lane in enumerate(timeline.lanes) for line in self._lane(place, lane)),
            ],
        )

    def _x(self, at: int) -> float:
        return MARGIN + LEFT + WIDTH * (at - self.timeline.begins) / self._span

    def _y(self, place: int) -> float:
        return MARGIN + TOP + LANE * place + LANE / 2

    def _axis(self) -> Iterator[str]:
        step = next((step for step in _STEPS if self._span / step <= TICKS_MAX), _STEPS[-1])
        bottom = MARGIN + TOP + LANE * len(self.timeline.lanes)
        first = -self.timeline.wall % step
        for ahead in range(first, self._span + 1, step):
            x = self._x(self.timeline.begins + ahead)
            label = _tick(self.timeline.wall + ahead, step)
            yield f'<path class="grid" d="M{x:.1f} {MARGIN + TOP - 4}V{bottom}"/>'
            yield words(label, x - metrics.width(label, SIZE) / 2, MARGIN + TOP - 9, "soft")

    def _lane(self, place: int, lane: Lane) -> Iterator[str]:
        y = self._y(place)
        shown = printable(lane.address, ADDRESS_MAX)
        yield f'<g class="lane" data-instance={attribute(printable(lane.address))}>'
        yield f"<title>{text(printable(lane.address))}</title>"
        yield f'<path class="grid" d="M{MARGIN + LEFT} {y + LANE / 2:.1f}h{WIDTH}"/>'
        yield words(shown, MARGIN, y + 3.5, "address", most=LEFT - 8)
        machine = Address.parse(lane.address).machine
        for bar in lane.bars:
            yield from self._bar(machine, bar, y)
        yield "</g>"

    def _bar(self, machine: str, bar: Bar, y: float) -> Iterator[str]:
        x = self._x(bar.begins)
        long = STUB if bar.final else max(1.0, self._x(bar.ends) - x)
        x = min(x, MARGIN + LEFT + WIDTH - STUB) if bar.final else x
        tone = palette.tone(machine, bar.state)
        how = f" by {bar.event} (row {bar.seq})" if bar.event else ""
        lasts = "for ever" if bar.final else f"for {show_duration(bar.ends - bar.begins)}"
        yield f'<g class="bar {tone}{" final" if bar.final else ""}" data-state={attribute(bar.state)}>'
        yield f"<title>{text(f'{bar.state}{how}, {lasts}')}</title>"
        yield f'<rect x="{x:.1f}" y="{y - BAR / 2:.1f}" width="{long:.1f}" height="{BAR}" rx="{min(3.0, long / 2):.1f}"/>'
        if metrics.width(bar.state, SIZE) + 8 <= long:
            yield words(printable(bar.state), x + 4, y + 3.5, "state")
        yield "</g>"

    def _cause(self, cause: Cause) -> str:
        tail, tip = self._x(cause.tail_at), self._x(cause.head_at)
        down = cause.head > cause.tail
        begin = self._y(cause.tail) + (BAR / 2 if down else -BAR / 2)
        end = self._y(cause.head) + (-BAR / 2 if down else BAR / 2)
        neck = end + (-5 if down else 5)
        bend = (begin + neck) / 2
        what = f"{self.timeline.lanes[cause.tail].address} caused {cause.event} (row {cause.seq})"
        return (
            f'<g class="cause"><title>{text(printable(what))}</title>'
            f'<path d="M{tail:.1f} {begin:.1f}C{tail:.1f} {bend:.1f} {tip:.1f} {bend:.1f} {tip:.1f} {neck:.1f}"/>'
            f"{head((tip, neck), (tip, end))}</g>"
        )


_RULES: Final = """
.back{fill:var(--back)}
.soft{fill:var(--soft)}
.name{font-size:13px;font-weight:bold}
.grid{stroke:var(--soft);stroke-opacity:.25;fill:none}
.bar rect{fill:var(--tone-fill);stroke:var(--tone);stroke-width:1}
.bar.final rect{fill:var(--tone)}
.cause path{fill:none;stroke:var(--soft);stroke-width:1;stroke-opacity:.7}
.cause .head{fill:var(--soft);stroke:none}
.cause:hover path{stroke:var(--text);stroke-width:2;stroke-opacity:1}
"""


def omission(timeline: Timeline) -> str:
    """Say what is not drawn; empty if everything is."""
    parts = []
    if timeline.others:
        parts.append(f"{timeline.others} rows of other instances are not drawn")
    if timeline.cut is not None:
        parts.append(f"what came after {_moment(timeline.wall + timeline.cut - timeline.begins)} is not drawn")
    return "; ".join(parts)


def _moment(wall: int) -> str:
    return dt.datetime.fromtimestamp(wall / SECONDS).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def _tick(wall: int, step: int) -> str:
    moment = dt.datetime.fromtimestamp(wall // SECONDS).astimezone()
    if step >= 24 * HOURS:
        return moment.strftime("%m-%d")
    if step >= MINUTES:
        return moment.strftime("%H:%M")
    shown = moment.strftime("%H:%M:%S")
    return shown if step >= SECONDS else f"{shown}.{wall % SECONDS // MILLISECONDS:03d}"


# ---- Mermaid ---------------------------------------------------------------------------------------------------------


def render_mermaid(timeline: Timeline, *, title: str = "Timeline") -> str:
    """Draw a timeline as a Mermaid `gantt`, which knows no arrows: causes are left out."""
    lines = ["gantt", f"    title {_plain(title)}", "    dateFormat x", "    axisFormat %H:%M:%S"]
    if omitted := omission(timeline):
        lines.append(f"    %% {omitted}")
    for lane in timeline.lanes:
        lines.append(f"    section {_plain(printable(lane.address, ADDRESS_MAX))}")
        machine = Address.parse(lane.address).machine
        for bar in lane.bars:
            begins, ends = ((timeline.wall + at - timeline.begins) // MILLISECONDS for at in (bar.begins, bar.ends))
            tag = _TAGS.get(palette.tone(machine, bar.state), "")
            milestone = "milestone, " if bar.final else ""
            lines.append(
                f"    {_plain(bar.state)} :{tag}{milestone}{begins}, {begins if bar.final else max(ends, begins + 1)}"
            )
    return "\n".join((*lines, ""))


_TAGS: Final = {"green": "done, ", "red": "crit, ", "yellow": "active, ", "magenta": "active, "}


def _plain(shown: str) -> str:
    """Write text so that Mermaid reads nothing into it; a gantt chart knows no escapes."""
    return "".join("_" if character in ':;#,%<>"{}' else character for character in printable(shown)) or "_"
