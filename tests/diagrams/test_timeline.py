"""What happened, over time."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import trio

from statecore.machines import delivery, window
from statecore.units import SECONDS
from statecore_diagrams import lanes
from statecore_diagrams.timeline import NothingHappened, Timeline, read
from statecore_journal import open_reader
from tests.journal import desk

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("1")</script>\x07'


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal with a connection, a chat of an evil name, and a message in it that was delivered."""
    path = tmp_path / "gateway.db"

    async def happen() -> None:
        async with desk.opened(path) as opened:
            hand = desk.Hand(opened)
            await hand.dial()
            await hand.receive("in", chat=EVIL)
            await hand.send("out", chat=EVIL)
            await hand.send("late", chat=EVIL, until="sending")
            await hand.happen("delivery/wx/late", delivery.NotSent(stage="connect", error="away", wait=5 * SECONDS))

    trio.run(happen)
    return path


def look(path: Path, **asked: Any) -> Timeline:
    with open_reader(path) as reader:
        return read(reader, **asked)


def states(timeline: Timeline, address: str) -> list[str]:
    (lane,) = [lane for lane in timeline.lanes if lane.address == address]
    return [bar.state for bar in lane.bars]


def test_each_instance_has_a_lane_and_each_state_a_bar(journal: Path) -> None:
    """The few that concern everything are above the others."""
    timeline = look(journal)

    assert [lane.address for lane in timeline.lanes] == [
        "connection/wx", f"window/wx/{EVIL}", "inbound/wx/in", "delivery/wx/out", "delivery/wx/late",
    ]  # fmt: skip
    assert states(timeline, "connection/wx") == ["dialling", "connected"]
    assert states(timeline, "delivery/wx/out") == ["queued", "sending", "delivered"]
    assert states(timeline, "delivery/wx/late") == ["queued", "sending", "backing-off"]
    assert timeline.cut is None
    assert timeline.others == 0


def test_bars_follow_each_other_without_a_gap(journal: Path) -> None:
    """Between two rows, an instance is where the first left it."""
    timeline = look(journal)
    for lane in timeline.lanes:
        for bar, following in zip(lane.bars, lane.bars[1:], strict=False):
            assert bar.ends == following.begins
        assert lane.bars[-1].ends == timeline.ends


def test_a_part_begins_in_the_state_that_was_before(journal: Path) -> None:
    """Whoever looks at the middle of a story is told where it stood."""
    with open_reader(journal) as reader:
        first = next(row.seq for row in reader.log() if row.target == "delivered")
    timeline = look(journal, after=first - 1)
    (lane,) = [lane for lane in timeline.lanes if lane.address == "delivery/wx/out"]

    assert [(bar.state, bar.event) for bar in lane.bars] == [("sending", ""), ("delivered", "PartAccepted")]


def test_what_does_not_fit_is_not_drawn_and_said(journal: Path) -> None:
    """A picture of everything shows nothing."""
    few, short = look(journal, lanes_max=2), look(journal, bars_max=3)

    assert len(few.lanes) == 2
    assert few.others > 0
    assert f"{few.others} rows of other instances are not drawn" in lanes.render(few)
    assert sum(len(lane.bars) for lane in short.lanes) <= 3 + len(short.lanes)
    assert short.cut is not None
    assert "is not drawn" in lanes.render(short)


def test_causes_lead_from_lane_to_lane(tmp_path: Path) -> None:
    """That is how one sees who began."""

    async def happen() -> None:
        async with desk.opened(tmp_path / "g.db") as opened:
            hand = desk.Hand(opened)
            await hand.send("1", until="queued")
            unit = hand.unit()
            hand.system.feed(unit, "delivery/wx/1", delivery.Turn(token=1, left=9))
            hand.system.feed(unit, "window/wx/chat", window.Spent(delivery="delivery/wx/1", left=9), cause=-1)
            await hand.commit(unit)

    trio.run(happen)
    timeline = look(tmp_path / "g.db")
    (cause,) = timeline.causes

    assert timeline.lanes[cause.tail].address == "delivery/wx/1"
    assert timeline.lanes[cause.head].address == "window/wx/chat"
    assert cause.event == "Spent"


def test_nothing_from_outside_is_markup(journal: Path) -> None:
    """A chat may be called anything."""
    drawn = lanes.render(look(journal), title=EVIL)
    picture = ET.fromstring(drawn)

    assert not list(picture.iter(f"{SVG}script"))
    assert EVIL.replace("\x07", "\N{REPLACEMENT CHARACTER}") in "".join(picture.itertext())


def test_a_bar_has_the_colour_of_its_state(journal: Path) -> None:
    """The same as in a terminal."""
    picture = ET.fromstring(lanes.render(look(journal)))
    classes = {
        bar.get("data-state"): (bar.get("class") or "").split() for bar in picture.iter() if bar.get("data-state")
    }

    assert classes["connected"] == ["bar", "green"]
    assert classes["backing-off"] == ["bar", "yellow"]
    assert classes["delivered"] == ["bar", "green", "final"]


def test_mermaid_gets_a_section_a_lane(journal: Path) -> None:
    """For pages that draw it themselves."""
    drawn = lanes.render_mermaid(look(journal), title=EVIL)

    assert drawn.startswith("gantt\n")
    assert "    section connection/wx\n    dialling :" in drawn
    assert "<script" not in drawn


def test_where_nothing_fits_it_is_said(journal: Path) -> None:
    """An empty picture would look like peace."""
    with pytest.raises(NothingHappened, match="nothing happened that fits"):
        look(journal, chat="nobody")
