"""Machines as SVG."""

import itertools
import sys
from xml.etree import ElementTree as ET

import pytest

from statecore.errors import StatecoreError
from statecore.machines import MACHINES
from statecore_diagrams import layout, metrics, palette, svg
from statecore_diagrams.model import read
from tests.diagrams.door import ODD, door

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=MACHINES)
def name(request: pytest.FixtureRequest) -> str:
    """Each shipped machine."""
    return str(request.param)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def of_class(picture: ET.Element, wanted: str) -> list[ET.Element]:
    return [element for element in picture.iter() if wanted in element.get("class", "").split()]


def box(text: ET.Element) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a line of text."""
    x, base = float(text.get("x", 0)), float(text.get("y", 0))
    return x, base - 8, x + float(text.get("textLength", 0)), base + 2.5


def test_every_state_and_edge_can_be_found_by_a_stylesheet(name: str) -> None:
    """A page marks where a machine is, and what it just did."""
    picture = parsed(svg.render(MACHINES[name]))
    model = read(MACHINES[name])

    assert [state.get("data-state") for state in of_class(picture, "state")] == [s.name for s in model.states]
    found = {
        (source, event, element.get("data-target"))
        for element in picture.iter()
        if element.get("data-event")
        for source in element.get("data-source", "").split()
        for event in element.get("data-event", "").split()
    }
    shown = {(t.source, t.event, t.target) for t in model.drawn if t.kind == "moved"}

    assert shown <= found


def overlapping(part: ET.Element) -> list[tuple[str | None, str | None]]:
    """Return the pairs of texts of which one lies on the other."""
    boxes = [(text.text, box(text)) for text in part.iter(f"{SVG}text")]
    return [
        (one, other)
        for (one, (left, top, right, bottom)), (other, (left2, top2, right2, bottom2)) in itertools.combinations(
            boxes, 2
        )
        if left < right2 and left2 < right and top < bottom2 and top2 < bottom
    ]


@pytest.mark.parametrize("counted", [False, True], ids=["plain", "counted"])
def test_no_text_lies_on_another(name: str, counted: bool) -> None:
    """What overlaps cannot be read."""
    machine = MACHINES[name]
    taken = dict.fromkeys(read(machine).drawn, 88_888) if counted else None
    groups = parsed(svg.render(machine, taken=taken)).findall(f"{SVG}g")  # the picture, and what stands below it

    assert len(groups) == 2
    assert [overlapping(group) for group in groups] == [[], []]


def test_no_state_lies_on_another(name: str) -> None:
    """Nor on a note."""
    rects = [element for element in parsed(svg.render(MACHINES[name])).iter(f"{SVG}rect") if element.get("x")]
    places = [
        (float(rect.get("x", 0)), float(rect.get("y", 0)), float(rect.get("width", 0)), float(rect.get("height", 0)))
        for rect in rects
        if rect.get("class") != "inner"
    ]

    assert not [
        (one, other)
        for one, other in itertools.combinations(places, 2)
        if one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    ]


def test_the_picture_tells_those_who_do_not_see_it(name: str) -> None:
    """Title and description, and what each state awaits."""
    picture = parsed(svg.render(MACHINES[name]))

    assert picture.findtext(f"{SVG}title") == name
    assert "states and" in (picture.findtext(f"{SVG}desc") or "")
    assert all("awaits" in (state.findtext(f"{SVG}title") or "") for state in of_class(picture, "state"))


@pytest.mark.parametrize(("theme", "media"), [("both", True), ("light", False), ("dark", False)])
def test_it_follows_the_reader_or_keeps_to_one_theme(theme: palette.Theme, media: bool) -> None:
    """A page that has its own switch wants to decide."""
    drawn = svg.render(MACHINES["circuit"], theme=theme)

    assert ("prefers-color-scheme" in drawn) == media
    assert ("#0d1117" in drawn) == (theme != "light")


def test_its_styles_touch_nothing_outside_of_it() -> None:
    """Several of them stand in one page."""
    style = parsed(svg.render(MACHINES["circuit"])).findtext(f"{SVG}style") or ""
    selectors = [
        selector
        for line in style.replace("@media (prefers-color-scheme:dark){", "").splitlines()
        if "{" in line
        for selector in line.split("{")[0].split(",")
    ]

    assert all(selector.startswith("svg.statecore-machine") for selector in selectors), selectors


def test_transitions_that_were_never_taken_are_faint_and_the_others_counted() -> None:
    """The layout is that of the picture without counts, so the two can be laid side by side."""
    machine = MACHINES["circuit"]
    first = read(machine).drawn[0]
    picture = parsed(svg.render(machine, taken={first: 1234}))

    assert {edge.get("data-event") for edge in of_class(picture, "edge") if "taken" in edge.get("class", "")} == {
        "Tripped"
    }
    assert "Tripped 1.2k\N{MULTIPLICATION SIGN}" in {text.text for text in picture.iter(f"{SVG}text")}
    assert "never" in of_class(picture, "label")[-1][0].get("class", "")
    assert [state.get("x") for state in picture.iter(f"{SVG}rect")] == [
        state.get("x") for state in parsed(svg.render(machine)).iter(f"{SVG}rect")
    ]


def test_a_machine_of_ones_own_is_drawn_whatever_its_states_are_called() -> None:
    """Names are the author's business."""
    pytest.importorskip("pygraphviz", reason=f"a picture of one's own machine needs it: {layout.INSTALL}")
    picture = parsed(svg.render(door))

    assert [state.get("data-state") for state in of_class(picture, "state")] == ["shut", "opening", "open", ODD, "gone"]


def test_without_the_layout_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, so many have it not."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)

    with pytest.raises(StatecoreError, match=r"pip install 'statecore\[diagrams\]'"):
        svg.render(door)


def test_text_is_as_wide_as_in_the_fonts_it_is_measured_for() -> None:
    """Liberation Sans at 13 px, measured with fontTools: 78.03, 59.99, 99.71."""
    found = [metrics.width(text, 13) for text in ("circuit-tripped", "connected", "Elapsed(retry_at)")]

    assert found == pytest.approx([78.03, 59.99, 99.71], abs=0.1)
