"""The report in a real browser: opened from disk, without a network, used the way a person would."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from statecore_diagrams.report import write_report
from statecore_journal import open_reader
from tests.diagrams.report.conftest import CHATS, Told
from tests.support.chromium import Window


def row(page: Page, seq: int) -> Locator:
    """Return a row of the list."""
    return page.locator(f"#row-{seq}")


def selected(page: Page) -> int:
    """Return the position of the row that is selected."""
    text = page.locator(".details .seq").first.inner_text()
    return int(text.removeprefix("#"))


def at(page: Page, seq: int) -> None:
    """Wait until a row is selected."""
    expect(page.locator(".details header .seq")).to_have_text(f"#{seq}")


def test_a_report_opens_from_disk_without_asking_for_anything(window: Window, storm_report: Path, storm: Told) -> None:
    """
    An incident is read on a train, in a year, on a machine that never saw the gateway.
    """
    page = window.open(storm_report.as_uri())

    expect(page.locator("h1")).to_have_text("gateway.db")
    expect(page.locator(".head > .dim")).to_contain_text(f"{len(storm.rows)} events")
    assert [asked for asked in window.asked if not asked.startswith(("file:", "blob:", "data:"))] == []


def test_what_is_in_the_journal_is_shown_as_text_and_never_run(window: Window, storm_report: Path, storm: Told) -> None:
    """
    A stranger names a chat and writes a message; the page is opened by whoever runs the gateway.
    """
    window.page.on("dialog", lambda dialog: window.complaints.append(f"it ran: {dialog.message}"))
    accepted = next(found for found in storm.rows if found.event == "Accepted" and CHATS[3] in found.data)
    page = window.open(f"{storm_report.as_uri()}#seq={accepted.seq}")

    at(page, accepted.seq)
    expect(page.locator(".details dl")).to_contain_text(CHATS[3])
    expect(page.locator(".details dl")).to_contain_text("</script><script>alert(2)</script>")
    expect(page.locator(".lane.chat", has_text=CHATS[3])).to_be_visible()
    assert page.locator("img").count() == 0


def test_the_incident_is_told_with_its_cause_and_what_to_change(window: Window, storm_report: Path) -> None:
    """
    That is the first thing to know, so the page begins where the incident does.
    """
    page = window.open(storm_report.as_uri())

    card = page.locator(".incident")
    expect(card).to_contain_text("retry-storm")
    expect(card).to_contain_text("20 delayed")
    expect(card).to_contain_text("What to change")
    assert selected(page) == int(re.findall(r"#(\d+)", card.inner_text())[0])


@pytest.mark.parametrize("event", ["Tripped", "PartRefused", "Ready", "Heard", "PartAccepted"])
def test_the_diagram_shows_the_state_of_the_machine_at_that_moment(
    window: Window, storm_report: Path, storm: Told, event: str
) -> None:
    """
    The highlighted state is the recorded one, for every machine.
    """
    found = storm.find(event)
    page = window.open(f"{storm_report.as_uri()}#seq={found.seq}")

    expect(page.locator(".diagram .state.is-now")).to_have_attribute("data-state", found.target)
    assert page.locator(".diagram svg").get_attribute("data-machine") == found.machine.partition("/")[0]


def test_scrubbing_over_the_whole_moves_through_the_journal(window: Window, storm_report: Path, storm: Told) -> None:
    """
    The diagram of a pinned machine follows: that is how one watches an incident happen.
    """
    page = window.open(storm_report.as_uri())
    page.locator(".lane.instance", has_text="circuit").click()
    box: Any = page.locator(".overview .u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    seen = []
    page.mouse.move(box["x"] + 1, middle)
    first = selected(page)
    page.mouse.down()
    expect(page.locator(".details header .seq")).not_to_have_text(f"#{first}")
    for share in (0.02, 0.3, 0.6, 0.999):
        before = selected(page)
        page.mouse.move(box["x"] + box["width"] * share, middle)
        moment = storm.rows[0].at + (storm.rows[-1].at - storm.rows[0].at) * share
        expect(page.locator(".details header .seq")).not_to_have_text(f"#{before}")
        expect(page.locator(".diagram svg")).to_have_attribute("data-machine", "circuit")
        now = selected(page)
        expect(page.locator(".diagram .state.is-now")).to_have_attribute("data-state", storm.state("circuit/wx", now))
        seen.append(now)
        near = [found.seq for found in storm.rows if found.at <= moment]
        assert abs(now - (near[-1] if near else 1)) <= 8
    page.mouse.up()

    assert seen == sorted(seen)
    assert len(set(seen)) == 4


def test_an_event_shows_what_led_to_it_and_what_it_set_off(window: Window, storm_report: Path, storm: Told) -> None:
    """
    In the list, in the details, and as arrows. The chain goes back to the event from outside.
    """
    found = storm.find("PartRefused")
    window.page.set_viewport_size({"width": 1280, "height": 1600})  # so that all of them are in sight
    page = window.open(f"{storm_report.as_uri()}#seq={found.seq}")
    at(page, found.seq)

    assert storm.causes(found.seq)
    assert storm.effects(found.seq)
    expect(page.locator(".chain.up .seq")).to_have_text([f"#{seq}" for seq in storm.causes(found.seq)])
    expect(page.locator(".chain.down .seq")).to_have_text([f"#{seq}" for seq in storm.effects(found.seq)])
    for seq in storm.causes(found.seq):
        expect(row(page, seq)).to_have_class(re.compile(r"\bup\b"))
    for seq in storm.effects(found.seq):
        expect(row(page, seq)).to_have_class(re.compile(r"\bdown\b"))


def test_only_the_chain_leaves_the_lanes_it_went_through(window: Window, storm_report: Path, storm: Told) -> None:
    """
    Among thousands of lanes, those of one story fit on a screen.
    """
    found = storm.find("PartRefused")
    page = window.open(f"{storm_report.as_uri()}#seq={found.seq}")
    at(page, found.seq)
    page.keyboard.press("o")

    concerned = {storm.row(seq).machine for seq in (*storm.causes(found.seq), found.seq, *storm.effects(found.seq))}
    own = {"circuit/wx", "connection/wx"}
    expect(page.locator(".lane")).to_have_count(len(concerned | own))


def test_everything_can_be_done_by_keyboard(window: Window, storm_report: Path, storm: Told) -> None:
    """
    Stepping, zooming, finding, help: without ever touching a pointer.
    """
    page = window.open(f"{storm_report.as_uri()}#seq=50")
    at(page, 50)
    page.keyboard.press("ArrowRight")
    at(page, 51)
    expect(page).to_have_url(re.compile("#seq=51$"))
    page.keyboard.press("Shift+ArrowLeft")
    at(page, 41)
    shown = page.locator(".timeline header .dim").inner_text()
    page.keyboard.press("+")
    expect(page.locator(".timeline header .dim")).not_to_have_text(shown)
    page.keyboard.press("0")
    expect(page.locator(".timeline header .dim")).to_have_text(shown)
    page.keyboard.press("End")
    at(page, storm.rows[-1].seq)
    page.keyboard.press("/")
    page.keyboard.type("event:Tripped")
    page.keyboard.press("Enter")
    tripped = [found.seq for found in storm.rows if found.event == "Tripped"]
    expect(page.locator(".find .dim")).to_have_text(f"1 of {len(tripped)}")
    at(page, tripped[0])
    page.keyboard.press("Enter")
    at(page, tripped[1])
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    expect(page.locator("dialog")).to_contain_text("Licences")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_tab_goes_through_the_page_and_shows_where_it_is(window: Window, storm_report: Path) -> None:
    """
    What cannot be seen to have the focus cannot be used by keyboard.
    """
    page = window.open(storm_report.as_uri())
    places = []
    for _ in range(14):
        page.keyboard.press("Tab")
        places.append(
            page.evaluate("[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]")
        )

    assert [place for place in places if place[1] == "none"] == []
    assert {place[0] for place in places} >= {"BUTTON", "INPUT", "DIV"}


def test_find_counts_what_the_log_shows(window: Window, traffic_report: Path, traffic: Told) -> None:
    """
    The words of the find box mean what the options of `statecore log` mean.
    """
    page = window.open(traffic_report.as_uri())
    with open_reader(traffic.path) as reader:
        wanted = len(list(reader.log(event="Tripped", account="wx")))
    page.fill("#find", "event:Tripped account:wx")
    page.press("#find", "Enter")

    assert wanted > 1
    expect(page.locator(".find .dim")).to_contain_text(f" of {wanted}")


def test_the_list_holds_what_is_in_sight_and_goes_on_when_scrolled(window: Window, traffic_report: Path) -> None:
    """
    Three thousand rows as elements would be slow, and a hundred thousand would not come up.
    """
    page = window.open(f"{traffic_report.as_uri()}#seq=1500")
    at(page, 1500)
    page.locator(".rows").hover()
    for _ in range(30):
        page.mouse.wheel(0, 600)
        page.evaluate("new Promise(requestAnimationFrame)")
        assert page.locator(".row").count() < 80

    expect(page.locator("#row-1600")).to_have_count(0)
    assert int(page.locator(".row .seq").last.inner_text().removeprefix("#")) > 1700


def test_a_filter_leaves_the_rows_that_fit(window: Window, traffic_report: Path) -> None:
    """
    The account's circuit, and nothing else.
    """
    page = window.open(traffic_report.as_uri())
    page.fill(".filter", "machine:circuit/wx")
    page.press(".filter", "Enter")
    expect(page.locator(".row .who").first).to_have_text("circuit/wx")

    assert set(page.locator(".row .who").all_inner_texts()) == {"circuit/wx"}


def luminance(page: Page, selector: str) -> float:
    """Return how bright the ground of an element is, from 0 to 255."""
    colour: str = page.eval_on_selector(selector, "element => getComputedStyle(element).backgroundColor")
    return sum(float(number) for number in re.findall(r"[\d.]+", colour)[:3]) / 3


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_is_dark_or_light_as_the_system_is_and_can_be_turned(
    chrome: Browser, storm_report: Path, scheme: Any
) -> None:
    """
    The pictures of machines turn with the page.
    """
    window = Window(chrome.new_context(color_scheme=scheme, offline=True))
    page = window.open(storm_report.as_uri())
    before = luminance(page, "body")
    page.keyboard.press("t")
    after = luminance(page, "body")
    text = page.locator(".diagram .state.is-now text").first.evaluate("element => getComputedStyle(element).fill")
    page.context.close()

    assert (before < 60) == (scheme == "dark")
    assert (after < 60) == (scheme == "light")
    assert (sum(map(int, re.findall(r"\d+", text)[:3])) > 380) == (scheme == "light")
    assert window.complaints == []


def test_on_a_telephone_nothing_is_wider_than_the_screen(chrome: Browser, storm_report: Path) -> None:
    """
    Incidents are looked at from bed.
    """
    window = Window(chrome.new_context(viewport={"width": 390, "height": 844}, offline=True))
    page = window.open(storm_report.as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()

    assert wide <= 390
    assert window.complaints == []


def test_a_machine_whose_picture_is_not_at_hand_is_laid_out_from_what_it_did(
    window: Window, traffic: Told, tmp_path: Path
) -> None:
    """
    A report works for anybody's machines, also where their code is not.
    """
    path = tmp_path / "bare.html"
    write_report(traffic.path, path, plain=True, machines={})
    page = window.open(f"{path.as_uri()}#seq={traffic.find('Tripped').seq}")

    expect(page.locator(".diagram svg.drawn .state.is-now")).to_have_attribute("data-state", "open")
    expect(page.locator(".diagram .edge.is-taken")).to_have_attribute("data-source", "closed")


def test_a_place_in_the_journal_has_an_address(window: Window, storm_report: Path) -> None:
    """
    "Look at #42" is how people talk about an incident.
    """
    page = window.open(f"{storm_report.as_uri()}#seq=42")
    at(page, 42)
    page.evaluate("location.hash = '#seq=7'")

    at(page, 7)


def test_a_report_is_redacted_unless_it_is_asked_for_plain(window: Window, storm: Told, tmp_path: Path) -> None:
    """
    It is attached to public bug reports. The same value has the same placeholder wherever it stands.
    """
    path = tmp_path / "redacted.html"
    write_report(storm.path, path)
    page = window.open(f"{path.as_uri()}#seq={storm.find('Tripped').seq}")
    expect(page.locator(".badge")).to_have_text("redacted")
    rows: list[dict[str, Any]] = page.evaluate(
        "statecore.ask('rows', {seq: 0, before: 0, after: 2000}).then((found) => found.rows)"
    )

    assert len(rows) == len(storm.rows)
    shown = f"{rows} {path.read_text()}"
    secret = {found.machine.split("/")[2] for found in storm.rows if found.machine.startswith("delivery/")}
    assert [word for word in ("message 1", "alert(", "there</b>", "hello", *secret) if word in shown] == []
    placeholders = {found["chat"] for found in rows if found["chat"]}
    assert placeholders == {"chat-1", "chat-2", "chat-3", "chat-4"}
