"""The inspector: who may see what it serves, and that it answers from the file what the page answers from its rows."""

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect

from statecore_diagrams.report import Inspector, ReportError, open_inspector
from statecore_journal import open_reader
from tests.diagrams.report.conftest import Told
from tests.journal.desk import files, record
from tests.support.chromium import Window
from tests.support.traffic import record_traffic


def get(inspector: Inspector, path: str, host: str = "", method: str = "GET") -> tuple[int, Any, dict[str, str]]:
    """Ask for a path, under some name; return status, body and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", inspector.port, timeout=30)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{inspector.port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    shown = json.loads(body) if answer.headers.get_content_type() == "application/json" else body
    return answer.status, shown, dict(answer.headers)


def ask(inspector: Inspector, name: str, about: Any = None) -> tuple[int, Any]:
    """Ask a question."""
    query = "" if about is None else f"?about={quote(json.dumps(about))}"
    status, body, _ = get(inspector, f"{urlsplit(inspector.url).path}api/{name}{query}")
    return status, body


# ---- who may see it --------------------------------------------------------------------------------------------------


def test_whoever_has_the_address_sees_the_page(inspector: Inspector) -> None:
    """
    The address, token included, is all there is to it.
    """
    status, body, headers = get(inspector, urlsplit(inspector.url).path)

    assert status == 200
    assert b"<title>gateway.db" in body
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/", "/wrong/", "/wrong/api/tree", "/api/tree", "//", "/%00/", "/é/", "/../etc/passwd", "*"]
)
def test_without_the_token_nothing_is_told(inspector: Inspector, path: str) -> None:
    """
    Other users of the machine can reach the loopback too.
    """
    status, body, _ = get(inspector, quote(path, safe="/%*."))

    assert status == 403
    assert body == {"error": "open the address that `statecore inspect` printed"}


def test_a_token_that_begins_like_the_right_one_is_wrong(inspector: Inspector) -> None:
    """
    Nor one that is longer, nor an empty one.
    """
    token = urlsplit(inspector.url).path.strip("/")

    for wrong in (token[:-1], token + "a", token.swapcase(), ""):
        assert get(inspector, f"/{wrong}/")[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"])
def test_under_another_name_it_answers_nobody(inspector: Inspector, host: str) -> None:
    """
    DNS rebinding: a page of evil.example has its name point here, and asks as if it were its own server.
    """
    path = urlsplit(inspector.url).path

    assert get(inspector, path, host.format(port=inspector.port))[0] == 403
    assert get(inspector, path, f"localhost:{inspector.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_can_only_be_read(inspector: Inspector, method: str) -> None:
    """
    There is nothing to do but look.
    """
    assert get(inspector, urlsplit(inspector.url).path, method=method)[0] == 501


def test_the_policy_lets_only_the_pages_own_scripts_run(inspector: Inspector) -> None:
    """
    By their hashes: not those of another address, none written into the page, and no text made into one.
    """
    _, _, headers = get(inspector, urlsplit(inspector.url).path)
    parts = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))

    assert parts["default-src"] == "'none'"
    assert parts["connect-src"] == "'self'"
    assert parts["frame-ancestors"] == "'none'"
    for name in ("script-src", "style-src"):
        assert all(source.startswith("'sha256-") for source in parts[name].split())


def test_a_journal_is_not_changed_by_being_looked_at(storm: Told, tmp_path: Path) -> None:
    """
    Nor is anything left beside it.
    """
    path = tmp_path / "gateway.db"
    shutil.copyfile(storm.path, path)
    before = files(tmp_path)
    with open_inspector(path) as inspector:
        get(inspector, urlsplit(inspector.url).path)
        for name in ("tree", "news"):
            assert ask(inspector, name, {"after": 0})[0] == 200

    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("drop", {}),
        ("_chats", {"addresses": []}),
        ("rows", {}),
        ("rows", {"seq": "1", "before": 1, "after": 1}),
        ("rows", {"seq": 1, "before": 1, "after": 1_000_000}),
        ("rows", {"seq": -1, "before": 1, "after": 1}),
        ("rows", {"seq": 2**70, "before": 1, "after": 1}),
        ("rows", {"seq": True, "before": 1, "after": 1}),
        ("overview", {"n": 10**9}),
        ("states", {"seq": 1, "addresses": ["a"] * 5000}),
        ("near", {"t": "now"}),
        ("tree", []),
    ],
)
def test_a_question_that_the_page_would_not_ask_is_refused(inspector: Inspector, name: str, about: Any) -> None:
    """
    With a reason, and without an effort.
    """
    status, body = ask(inspector, name, about)

    assert status == 400
    assert body["error"]


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("near", {"t": 1e300}),
        ("near", {"t": float("inf")}),
        ("near", {"t": -5}),
        ("bins", {"groups": [{}], "t0": 5, "t1": 1, "n": 3}),
        ("bins", {"groups": ["wx"], "t0": 0, "t1": 1, "n": 3}),
        ("lanes", {"addresses": [1, None], "t0": 0, "t1": 1e9, "n": 0}),
        ("states", {"seq": 1, "addresses": [{}]}),
        ("rows", {"seq": 1, "before": 1, "after": 1, "filter": 'cause:x "'}),
        ("find", {"text": "%' or 1=1 --", "after": 0, "most": 5}),
    ],
)
def test_nonsense_that_is_of_the_right_kind_is_answered_without_a_traceback(
    inspector: Inspector, name: str, about: Any
) -> None:
    """
    An empty answer, or a refusal.
    """
    status, body = ask(inspector, name, about)

    assert status in (200, 400)
    assert body is not None


def test_a_port_that_is_taken_is_said_to_be(inspector: Inspector, storm: Told) -> None:
    """
    With what to do.
    """
    with pytest.raises(ReportError, match="choose another one"), open_inspector(storm.path, port=inspector.port):
        pass


# ---- what it answers -------------------------------------------------------------------------------------------------

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tree", {}),
    ("overview", {"n": 40}),
    ("edges", {"machine": "circuit"}),
    *(("near", {"t": t}) for t in (-1.0, 0.0, 1e6, 5.5e7, 1e15)),
    *(("rows", {"seq": seq, "before": 7, "after": 5}) for seq in (0, 1, 60, 175, 10_000)),
    ("rows", {"seq": 90, "before": 5, "after": 5, "filter": "machine:delivery state:queued"}),
    ("rows", {"seq": 90, "before": 50, "after": 50, "filter": "ANN"}),
    *(("why", {"seq": seq, "most": 300}) for seq in (1, 17, 42, 99, 9_999)),
    ("why", {"seq": 6, "most": 3}),
    *(
        ("find", {"text": text, "after": 0, "most": 500})
        for text in (
            "event:Tripped", "account:wx chat:bob", "state:dead", "queued turn", '"im.wechat"', "machine:circuit/wx", "cause:#17",
            "nothing-like-it", "100%", "_", "account:w", "EVENT:lost",
        )
    ),
    ("find", {"text": "event:Turn", "after": 20, "most": 2}),
    *(
        ("states", {"seq": seq, "addresses": ["connection/wx", "circuit/wx", "window/wx/bob", "delivery/wx/none"]})
        for seq in (1, 20, 80, 175)
    ),
    *(
        ("lanes", {"addresses": ["connection/wx", "circuit/wx", "window/wx/bob", "none/wx"], "t0": t0, "t1": t1, "n": n})
        for t0, t1, n in ((0.0, 4e8, 100), (1e6, 6e7, 100), (-5e6, 1e3, 10), (0.0, 4e8, 5), (2e8, 3e8, 100))
    ),
    *(
        ("bins", {"groups": [{"account": "wx"}, {"account": "wx", "chat": "bob"}], "t0": t0, "t1": t1, "n": 30})
        for t0, t1 in ((0.0, 4e8), (1e6, 2e7))
    ),
)  # fmt: skip


@pytest.mark.parametrize("which", ["storm", "traffic"])
def test_the_file_and_the_page_answer_the_same(window: Window, request: pytest.FixtureRequest, which: str) -> None:
    """
    A report and the inspector show the same incident, so they must not tell different stories.
    """
    told: Told = request.getfixturevalue(which)
    page = window.open(request.getfixturevalue(f"{which}_report").as_uri())
    members = [
        ("members", {"account": "wx", "chat": row.machine.split("/")[2]}) for row in told.rows if row.event == "Heard"
    ][:3]
    with open_inspector(told.path) as inspector:
        for name, about in (*QUESTIONS, *members):
            status, answered = ask(inspector, name, about)
            ours = page.evaluate("([name, about]) => statecore.ask(name, about)", [name, about])
            if name == "edges":
                answered, ours = sorted(answered), sorted(ours)

            assert status == 200
            assert list(differences(ours, answered)) == [], (name, about)


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two answers differ by more than the rounding of a time."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif isinstance(one, float | int) and isinstance(other, float | int):
        if abs(one - other) > 0.1:
            yield path, one, other
    elif one != other:
        yield path, one, other


def test_a_long_stretch_is_counted_in_a_sample_that_comes_out_right(tmp_path: Path) -> None:
    """
    A million rows are not read to draw four hundred bars.
    """
    path = record_traffic(tmp_path / "gateway.db", 45_000)
    with open_inspector(path) as inspector, open_reader(path) as reader:
        _, tree = ask(inspector, "tree")
        _, found = ask(inspector, "bins", {"groups": [{"account": "wx"}], "t0": 0.0, "t1": 1e15, "n": 1})
        _, whole = ask(inspector, "overview", {"n": 50})
        rows = list(reader.log())

    assert [account["name"] for account in tree] == ["shop", "wx"]
    actual = sum(row.machine.split("/")[1] == "wx" for row in rows)
    assert abs(found["groups"][0]["counts"][0] - actual) < actual * 0.05
    assert sum(whole["counts"]) == len(rows)


# ---- a journal that is being written ---------------------------------------------------------------------------------


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[tuple[Path, Inspector]]:
    """Return a journal that somebody may add to, and its inspector."""
    path = record_traffic(tmp_path / "gateway.db", 200, accounts=("wx",))
    with open_inspector(path) as opened:
        yield path, opened


def test_rows_appear_as_they_are_written(live: Window, growing: tuple[Path, Inspector]) -> None:
    """
    In the list, in the counts, and as a new account's lane; and with `f` the page goes with them.
    """
    path, inspector = growing
    page = live.open(inspector.url)
    expect(page.locator(".badge.live")).to_have_text("live")
    page.keyboard.press("End")
    page.keyboard.press("f")
    with open_reader(path) as reader:
        before = [row.seq for row in reader.log()][-1]
    expect(page.locator(f"#row-{before}")).to_be_visible()
    record_traffic(path, 120, accounts=("late",))
    with open_reader(path) as reader:
        after = [row.seq for row in reader.log()][-1]

    assert after > before
    expect(page.locator(f"#row-{after}")).to_be_visible()
    expect(page.locator(".details header .seq")).to_have_text(f"#{after}")
    expect(page.locator(".lane.account .name")).to_have_text(["late", "wx"])
    expect(page.locator(".head > .dim")).to_contain_text(f"{after} events")
    assert all(asked.startswith((inspector.url, "blob:", "data:")) for asked in live.asked)


def test_a_journal_in_which_nothing_has_happened_yet_can_be_looked_at(live: Window, tmp_path: Path) -> None:
    """
    One opens the inspector, and then starts the gateway.
    """
    path = tmp_path / "gateway.db"
    record(path, [])
    with open_inspector(path) as inspector:
        page = live.page
        page.goto(inspector.url)
        expect(page.locator(".rows .none")).to_have_text("no events")
        record_traffic(path, 60)
        expect(page.locator(".row")).not_to_have_count(0)
        expect(page.locator(".lane.account")).to_have_count(2)


def test_the_page_says_so_when_the_inspector_is_gone(live: Window, storm: Told) -> None:
    """
    A page that stands still looks like a gateway that does.
    """
    with open_inspector(storm.path) as inspector:
        page = live.open(inspector.url)
    expect(page.locator(".trouble")).to_contain_text("is it still running?")
    live.complaints.clear()  # of the questions nobody answered


def test_incidents_are_found_while_it_goes_on(live: Window, storm: Told) -> None:
    """
    By the same monitors.
    """
    with open_inspector(storm.path) as inspector:
        page = live.open(inspector.url)
        expect(page.locator(".incident")).to_contain_text("retry-storm")
