"""QR login: every status of the platform leads somewhere, and nobody waits in front of a dead code.

Virtual time and a scripted platform where only the order matters; the simulator over real sockets, with a clock that
runs fast, where the wire does.
"""

import itertools
import json
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import attrs
import httpx
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore.errors import ConfigError
from statecore.events import Elapsed
from statecore.units import SECONDS
from statecore_adapters.weixin import login as weixin_login
from statecore_adapters.weixin import protocol
from statecore_adapters.weixin.login import (
    AlreadyBound,
    Credentials,
    LoginFailed,
    draw_code,
    load_token,
    login,
    save,
    scanning,
)
from statecore_adapters.weixin.simulator import Knobs, Simulator, open_simulator

BASE = "https://ilinkai.weixin.qq.com"
TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff00112233"
CONFIRMED = {
    "status": "confirmed",
    "bot_token": TOKEN,
    "ilink_bot_id": "0a1b2c3d4e5f@im.bot",
    "baseurl": "https://idc2.weixin.qq.com",
    "ilink_user_id": "o9cq80ann@im.wechat",
}
CREDENTIALS = Credentials(
    account_id="0a1b2c3d4e5f@im.bot",
    token=TOKEN,
    base_url="https://idc2.weixin.qq.com",
    user_id="o9cq80ann@im.wechat",
)

Answer = dict[str, Any] | int | Exception | bytes
"""A JSON object, an HTTP status, what the network does, or a body."""


@attrs.define
class Platform:
    """Answers polls from a list; the last one repeats."""

    polls: Sequence[Answer | str]
    fetches: Sequence[Answer] = ()
    held: float = 0.0
    requests: list[tuple[float, httpx.Request]] = attrs.field(factory=list)
    codes: int = 0
    polled: int = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((trio.current_time(), request))
        if "get_bot_qrcode" in request.url.path:
            self.codes += 1
            page = f"https://liteapp.weixin.qq.com/q/{self.codes}"
            good = {"ret": 0, "qrcode": f"a+b/{self.codes}=", "qrcode_img_content": page}
            return self._response(self.fetches[self.codes - 1] if self.codes <= len(self.fetches) else good)
        self.polled += 1
        await trio.sleep(self.held)
        told = self.polls[min(self.polled, len(self.polls)) - 1]
        return self._response({"status": told} if isinstance(told, str) else told)

    def _response(self, answer: Answer) -> httpx.Response:
        match answer:
            case Exception():
                raise answer
            case int():
                return httpx.Response(answer)
            case bytes():
                return httpx.Response(200, content=answer)
        return httpx.Response(200, json=answer, headers={"content-type": "application/octet-stream"})

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(request.url.query.decode()) for _, request in self.requests if request.method == "GET"]

    def times(self) -> list[float]:
        return [at for at, request in self.requests if request.method == "GET"]

    def hints(self) -> list[list[str]]:
        return [
            json.loads(request.content)["local_token_list"] for _, request in self.requests if request.method == "POST"
        ]


@attrs.define
class Person:
    """Sees what is shown, and types what they were told to."""

    digits: list[str] = attrs.field(factory=list)
    seen: list[str] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)

    def show(self, text: str) -> None:
        self.seen.append(text)

    async def ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        if not self.digits:
            await trio.sleep_forever()
        return self.digits.pop(0)


def run(platform: Platform, person: Person | None = None, local_tokens: Sequence[str] = ()) -> Credentials:
    """Log in against *platform*, in virtual time."""
    person = person or Person()

    async def main() -> Credentials:
        async with httpx.AsyncClient(transport=httpx.MockTransport(platform)) as client:
            return await login(show=person.show, ask=person.ask, client=client, local_tokens=local_tokens)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def simulated(scene: Callable[[Simulator, httpx.AsyncClient], Awaitable[None]], knobs: Knobs | None = None) -> None:
    """Play a scene against the simulator, over real sockets, with a clock that makes a second of a hundredth."""

    async def main() -> None:
        async with open_simulator(knobs=knobs) as sim, httpx.AsyncClient(trust_env=False) as client:
            with trio.fail_after(600):
                await scene(sim, client)

    trio.run(main, clock=trio.testing.MockClock(rate=100))


# ---- all eight statuses ----------------------------------------------------------------------------------------------


def test_a_code_that_is_scanned_and_confirmed_brings_the_credentials() -> None:
    """
    The way it goes on a good day.
    """
    person, platform = Person(), Platform(["wait", "wait", "scaned", "scaned", CONFIRMED])

    assert run(platform, person) == CREDENTIALS
    code, scanned, done = person.seen
    assert code.endswith("\nhttps://liteapp.weixin.qq.com/q/1\n")
    assert "Confirm" in scanned
    assert "must write to the bot" in done


def test_there_is_a_second_between_two_polls_however_fast_the_platform_answers() -> None:
    """
    A platform that says "wait" at once would be asked a thousand times a second.
    """
    platform = Platform(["wait"] * 20 + [CONFIRMED])
    run(platform)
    times = platform.times()
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {1.0}


def test_the_code_reaches_the_platform_as_it_was_given() -> None:
    """
    Its plus and slash mean something in a query; sent raw, another code is polled until the time is up.
    """
    platform = Platform([CONFIRMED])
    run(platform)
    assert platform.queries() == [{"qrcode": ["a+b/1="]}]
    assert b"a%2Bb%2F1%3D" in platform.requests[-1][1].url.query


def test_digits_are_asked_for_and_sent_at_once() -> None:
    """
    The phone shows them for a short time; another client did not know this status and waited in vain.
    """
    person, platform = Person(["12 34"]), Platform(["scaned", "need_verifycode", "wait", "scaned", "wait", CONFIRMED])

    assert run(platform, person) == CREDENTIALS
    assert [query.get("verify_code") for query in platform.queries()] == [None, None, ["1234"], ["1234"], None, None]
    assert platform.times()[2] == platform.times()[1]
    assert len(person.asked) == 1


def test_wrong_digits_are_asked_for_again_and_said_to_be_wrong() -> None:
    """
    The platform says the same word for the first time and for the second.
    """
    person = Person(["1111", "2222"])
    platform = Platform(["need_verifycode", "need_verifycode", "scaned", CONFIRMED])

    assert run(platform, person) == CREDENTIALS
    first, second = person.asked
    assert "right" not in first
    assert "not the right ones" in second


def test_digits_accepted_once_are_not_held_against_the_next() -> None:
    """
    After "scaned" the pending digits were right, so a new question is a first question.
    """
    person = Person(["1111", "2222"])
    run(Platform(["need_verifycode", "scaned", "need_verifycode", CONFIRMED]), person)
    assert not any("right" in prompt for prompt in person.asked)


def test_too_many_wrong_digits_bring_a_new_code() -> None:
    """
    The code is worth nothing then, and the person in front of it cannot know.
    """
    person = Person(["1111"])
    platform = Platform(["need_verifycode", "verify_code_blocked", "wait", CONFIRMED])

    assert run(platform, person) == CREDENTIALS
    assert platform.codes == 2
    assert any("digits were wrong too often" in text for text in person.seen)
    assert platform.queries()[-1] == {"qrcode": ["a+b/2="]}


def test_an_expired_code_is_drawn_anew_but_not_for_ever() -> None:
    """
    After three codes nobody is sitting there any more.
    """
    platform, person = Platform(["expired"]), Person()
    with pytest.raises(LoginFailed, match="expired, and it was the last of 3; run the login again"):
        run(platform, person)
    assert platform.codes == 3
    assert sum("Scan this" in text for text in person.seen) == 3


def test_a_redirected_code_is_polled_at_the_other_host_and_a_new_one_where_it_came_from() -> None:
    """
    The code lives in the data centre of whoever scanned it; the next code does not.
    """
    moved = {"status": "scaned_but_redirect", "redirect_host": "idc2.weixin.qq.com"}
    platform = Platform([moved, {"status": "scaned_but_redirect"}, "scaned", "expired", "wait", CONFIRMED])

    assert run(platform) == CREDENTIALS
    hosts = [request.url.host for _, request in platform.requests]
    first, other = "ilinkai.weixin.qq.com", "idc2.weixin.qq.com"
    assert hosts == [first, first, other, other, other, first, first, first]
    assert all(request.url.scheme == "https" for _, request in platform.requests)


@pytest.mark.parametrize("host", ["evil.example/x", "a@b", "a b", "http://a", "a\r\nb", "[", "-"])
def test_a_redirect_to_what_is_no_host_is_not_followed(host: str) -> None:
    """
    It comes from outside and becomes part of an address.
    """
    platform = Platform([{"status": "scaned_but_redirect", "redirect_host": host}, CONFIRMED])
    assert run(platform) == CREDENTIALS
    assert {request.url.host for _, request in platform.requests} == {"ilinkai.weixin.qq.com"}


def test_an_account_that_is_bound_here_already_is_no_failure_to_try_again() -> None:
    """
    No credentials come, and none are needed; another client waited for them until its time was up.
    """
    with pytest.raises(AlreadyBound, match="bound to this installation already; go on with the token"):
        run(Platform(["scaned", "binded_redirect"]), local_tokens=[TOKEN])


def test_a_status_nobody_knows_is_shown_and_waited_out() -> None:
    """
    The next version of the platform must not lock everyone out, nor be silent about it.
    """
    person = Person()
    assert run(Platform(["scanned_twice", "scanned_twice", CONFIRMED]), person) == CREDENTIALS
    assert sum("unknown status 'scanned_twice'" in text for text in person.seen) == 1


# ---- when things fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        524,
        502,
        404,
        httpx.ConnectError("no route"),
        httpx.ReadError("reset"),
        b"<html>",
        b"",
        b"x" * 100_000,
        {"ret": -1},
    ],
    ids=lambda trouble: repr(trouble)[:20],
)
def test_a_poll_that_fails_is_a_poll_that_waits(trouble: Answer) -> None:
    """
    The gateway in front answers 524 after seventeen seconds, as a matter of course (Tencent/openclaw-weixin#44).
    """
    person, platform = Person(), Platform([trouble, trouble, trouble, CONFIRMED])
    assert run(platform, person) == CREDENTIALS
    assert platform.codes == 1
    assert sum("trying again" in text for text in person.seen) == 1


def test_a_poll_that_is_never_answered_is_given_up_and_repeated() -> None:
    """
    A connection that a router forgot about says nothing, for ever.
    """
    platform = Platform(["wait", CONFIRMED], held=10_000)
    with pytest.raises(LoginFailed, match="nobody confirmed"):
        run(platform)
    assert 6 <= platform.polled <= 10


@pytest.mark.parametrize("told", ["wait", "scaned", 524])
def test_after_eight_minutes_it_is_over_and_says_so(told: Answer | str) -> None:
    """
    A terminal that somebody left alone must not poll till the end of days.
    """
    platform = Platform([told], held=2)
    with pytest.raises(LoginFailed, match=r"within 8 minutes.*run the login again") as caught:
        run(platform)
    assert platform.times()[-1] <= 480
    assert platform.times()[-1] > 470
    assert ("HTTP 524" in str(caught.value)) == (told == 524)


def test_the_time_runs_while_a_person_looks_for_their_phone() -> None:
    """
    An open question must not keep the login alive either.
    """
    person = Person()
    with pytest.raises(LoginFailed, match="within 8 minutes"):
        run(Platform(["need_verifycode"]), person)
    assert len(person.asked) == 1


def test_an_empty_answer_gives_up() -> None:
    """
    The input has ended, or somebody pressed enter; asking at once again would spin.
    """
    with pytest.raises(LoginFailed, match="no digits"):
        run(Platform(["need_verifycode"]), Person([" "]))


@pytest.mark.parametrize("lacking", ["bot_token", "ilink_bot_id"])
def test_credentials_without_a_token_or_a_name_are_none(lacking: str) -> None:
    """
    A file with half of them would fail later, and elsewhere.
    """
    with pytest.raises(LoginFailed, match="without saying"):
        run(Platform([{**CONFIRMED, lacking: ""}]))


def test_a_token_that_no_header_can_carry_is_none() -> None:
    """
    It would raise in every request from then on.
    """
    with pytest.raises(LoginFailed, match="token that can be sent"):
        run(Platform([{**CONFIRMED, "bot_token": "a\r\nb"}]))


def test_without_a_code_it_fails_soon_and_says_why() -> None:
    """
    Eight minutes in front of an empty screen help nobody.
    """
    platform = Platform([], fetches=[httpx.ConnectError("no route to host")] * 9)
    with pytest.raises(LoginFailed, match="no QR code to be had: no route to host; check the network"):
        run(platform)
    assert platform.codes == 3


def test_a_code_is_fetched_again_after_a_hiccup() -> None:
    """
    One lost packet is no reason to start over.
    """
    assert run(Platform([CONFIRMED], fetches=[502, b"<html>"])) == CREDENTIALS


def test_hints_that_are_refused_are_left_out() -> None:
    """
    Some servers refuse the old tokens a client sends along (nanobot#5263); the login works without them.
    """
    platform = Platform([CONFIRMED], fetches=[{"ret": -2, "errmsg": "invalid arguments"}])
    assert run(platform, local_tokens=[TOKEN]) == CREDENTIALS
    assert platform.hints() == [[TOKEN], []]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", BASE),
        ("https://idc2.weixin.qq.com/", "https://idc2.weixin.qq.com"),
        ("idc2.weixin.qq.com", "https://idc2.weixin.qq.com"),
        ("http://idc2.weixin.qq.com", "https://idc2.weixin.qq.com"),
        ("https://user@idc2", BASE),
        ("file:///etc/passwd", BASE),
        ("nonsense with blanks", BASE),
    ],
)
def test_the_token_goes_where_the_login_says_but_never_in_the_clear(told: str, expected: str) -> None:
    """
    From here on every request carries the token there.
    """
    assert run(Platform([{**CONFIRMED, "baseurl": told}])).base_url == expected


def test_no_secret_is_shown() -> None:
    """
    Terminals are scrolled back, recorded and pasted into issues. The page itself has to be shown; it dies in minutes.
    """
    person = Person()
    credentials = run(
        Platform([{"ret": -5, "errmsg": f"bad {TOKEN}"}, "need_verifycode", CONFIRMED]), Person(["7788"], person.seen)
    )
    assert TOKEN not in "".join(person.seen)
    assert "7788" not in "".join(person.seen)
    assert TOKEN not in repr(credentials)


# ---- the machine -----------------------------------------------------------------------------------------------------

STATUSES = [
    "wait",
    "scaned",
    "need_verifycode",
    "verify_code_blocked",
    "expired",
    "binded_redirect",
    "confirmed",
    "what",
]


@settings(max_examples=25, deadline=None)
@given(
    told=st.lists(st.sampled_from([*STATUSES, 524, 404, b"", "scaned_but_redirect"]), min_size=1, max_size=30),
    held=st.sampled_from([0.0, 0.5, 20.0, 60.0]),
    digits=st.lists(st.sampled_from(["1", "12", ""]), max_size=5),
)
def test_whatever_the_platform_says_a_login_ends_in_time_and_asks_no_faster_than_it_may(
    told: list[Answer | str], held: float, digits: list[str]
) -> None:
    """
    The limits hold together: three codes, eight minutes, and a second between requests that no person asked for.
    """
    platform = Platform([CONFIRMED if one == "confirmed" else one for one in told], held=held)
    person = Person(list(digits))
    failed: LoginFailed | None = None
    try:
        assert run(platform, person) == CREDENTIALS
    except LoginFailed as error:
        failed = error
    assert failed is None or (failed.why and failed.action)
    times = [at for at, _ in platform.requests]
    assert times[-1] - times[0] <= 480
    assert platform.codes <= 3
    assert len(times) <= 2 * (times[-1] - times[0] + 2) + len(person.asked)


def test_the_overall_limit_is_armed_in_every_state_that_is_not_the_last() -> None:
    """
    The one timer that no state ends is what makes "as wait" harmless.
    """
    for state in scanning.states:
        fields = [timer.field for timer in scanning.timers(state)]
        assert ("ends_at" in fields) == (state not in scanning.final)
    begun = scanning.step(scanning.start(), weixin_login.Begun(), 5).snapshot
    over = scanning.step(begun, Elapsed("ends_at"), 5 + 480 * SECONDS).snapshot
    assert begun.data.ends_at == 5 + 480 * SECONDS
    assert over.state == "failed"


# ---- over real sockets, against the simulator ------------------------------------------------------------------------


async def scan_when_drawn(sim: Simulator) -> None:
    await sim.wait_until(lambda: any(record.endpoint == "get_qrcode_status" for record in sim.requests))
    held = next(record for record in sim.requests if record.endpoint == "get_qrcode_status")
    sim.scan(held.query["qrcode"])


def test_a_login_at_the_simulator_gives_a_token_that_it_honours() -> None:
    """
    The whole way, with a held poll, digits and a redirect to another port.
    """
    person = Person(["0000", "1234"])

    async def scene(sim: Simulator, client: httpx.AsyncClient) -> None:
        sim.script_qr("wait", "scaned_but_redirect", "need_verifycode", "confirmed")
        found: list[Credentials] = []

        async def log_in() -> None:
            found.append(await login(base_url=sim.base_url, show=person.show, ask=person.ask, client=client))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(log_in)
            await scan_when_drawn(sim)
        (credentials,) = found
        assert credentials.base_url == sim.base_url
        headers = protocol.headers(credentials.token, 1)
        where = protocol.url(sim.base_url, protocol.NOTIFYSTART)
        answer = await client.post(where, headers=headers, content=protocol.notify())
        assert protocol.parse_plain(answer.content) is None
        assert not [record.why for record in sim.requests if record.refused]

    simulated(scene)
    assert len(person.asked) == 2


def test_the_simulator_lets_codes_expire_and_hints_be_refused_and_the_login_lives_through_both() -> None:
    """
    The same statuses as above, as another program sends them.
    """
    person = Person()

    async def scene(sim: Simulator, client: httpx.AsyncClient) -> None:
        sim.script_qr("expired")
        sim.script_qr("scaned", "confirmed")
        found = await login(
            base_url=f"{sim.base_url}/", local_tokens=[TOKEN], show=person.show, ask=person.ask, client=client
        )
        assert found.account_id.endswith("@im.bot")

    simulated(scene, Knobs(qr_refuses_hints=True, qr_hold_ms=50))
    assert sum("Scan this" in text for text in person.seen) == 2


def test_the_simulator_blocks_digits_and_the_login_ends_after_three_codes() -> None:
    """
    Somebody guesses.
    """
    person = Person(["1"] * 20)

    async def scene(sim: Simulator, client: httpx.AsyncClient) -> None:
        for _ in range(3):
            sim.script_qr("need_verifycode", "confirmed")
        with pytest.raises(LoginFailed, match="digits were wrong too often, and it was the last of 3"):
            await login(base_url=sim.base_url, show=person.show, ask=person.ask, client=client)

    simulated(scene)


# ---- drawing and files -----------------------------------------------------------------------------------------------


def test_a_code_is_drawn_narrow_enough_for_a_terminal_and_written_beneath() -> None:
    """
    A code that wraps cannot be scanned; over a serial line it cannot be seen at all.
    """
    page = "https://liteapp.weixin.qq.com/q/7GiQu1?qrcode=0123456789abcdef0123456789abcdef&bot_type=3"
    drawn = draw_code(page)
    lines = drawn.splitlines()
    assert max(map(len, lines)) < 100
    assert max(len(line) for line in lines[:-1]) <= 60
    assert lines[-1] == page


@pytest.mark.parametrize("page", ["https://x/\x1b[2J\x07", "\u4e2d\u6587", "x" * 5000])
def test_a_page_never_commands_the_terminal_nor_stops_the_login(page: str) -> None:
    """
    It comes from outside.
    """
    assert draw_code(page).replace("\n", "").isprintable()


def test_credentials_are_saved_for_their_owner_alone_and_load_again(tmp_path: Path) -> None:
    """
    Whoever reads the file speaks in the bot's name.
    """
    path = tmp_path / "deep" / "wx.json"
    save(CREDENTIALS, path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == attrs.asdict(CREDENTIALS)
    assert load_token(path) == TOKEN
    assert [found.name for found in path.parent.iterdir()] == ["wx.json"]


def test_saving_replaces_an_open_file_by_a_closed_one(tmp_path: Path) -> None:
    """
    The file was there before, readable by all, as an editor leaves it; and it may be a link into a dotfiles folder.
    """
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o644)
    link.symlink_to(real)
    save(CREDENTIALS, link)

    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert load_token(real) == TOKEN


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A disk that is full at the wrong moment must not log the bot out.
    """
    path = tmp_path / "wx.json"
    path.write_text("old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(CREDENTIALS, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"token": TOKEN, "base_url": "https://x", "user_id": "u", "saved_at": "2026-10-01"}),
        json.dumps({"token": TOKEN, "savedAt": 1, "baseUrl": "https://x"}),
        TOKEN,
        f"{TOKEN}\n",
        f"\ufeff{TOKEN}\r\n",
        json.dumps(TOKEN),
    ],
    ids=["hermes", "openclaw", "plain", "plain with a line end", "plain from Windows", "a JSON string"],
)
def test_a_token_is_read_from_the_files_people_have(tmp_path: Path, content: str) -> None:
    """
    Nobody should have to scan again because they come from another program.
    """
    path = tmp_path / "account.json"
    path.write_text(content, encoding="utf-8")
    assert load_token(path) == TOKEN


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no token"),
        (b"{}", "holds no token"),
        (b'{"token": 7}', "holds no token"),
        (b"[]", "holds no token"),
        (b'{"token": "%b' % TOKEN.encode(), "damaged"),
        (b"\xff\xfe" + TOKEN.encode(), "damaged"),
        (f"WEIXIN_TOKEN = {TOKEN}".encode(), "no token"),
        (f"{TOKEN}\n{TOKEN}".encode(), "no token"),
        (TOKEN.encode() * 5000, "too large"),
    ],
    ids=range(9),
)
def test_a_file_without_a_token_is_named_and_its_content_is_not(tmp_path: Path, content: bytes, why: str) -> None:
    """
    The error goes to a log, and what is in the file may be a token that was spelled badly.
    """
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as caught:
        load_token(path)
    assert str(path) in str(caught.value)
    assert TOKEN[20:] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """
    The commonest mistake of all.
    """
    with pytest.raises(ConfigError, match=r"nowhere: cannot be read: No such file"):
        load_token(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_token(tmp_path)
