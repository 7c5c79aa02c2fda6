"""The simulated QQ platform, spoken to through real sockets by a plain HTTP client and a plain WebSocket client.

Two clocks: `scene.sim.advance()` moves what the platform remembers, `scene.clock.jump()` what anyone waits for. Nothing
sleeps.
"""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import httpx
import orjson
import pytest
import trio
import trio.testing
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.trio.client import ClientConnection, connect

from statecore_adapters.qqbot.simulator import (
    ALL_INTENTS,
    CHAT_INTENTS,
    DEFAULT_INTENTS,
    PUBLIC_INTENTS,
    Abort,
    Bot,
    Close,
    CloseAtOnce,
    Eof,
    Freeze,
    Invalid,
    Knobs,
    Proceed,
    Raw,
    Reconnect,
    Reject,
    Reset,
    Response,
    Send,
    Simulator,
    SlowBody,
    Stall,
    Wait,
    front_end,
    open_simulator,
    problem,
)

ANN = "5A0C8D1E2B"
BOB = "77B1D30FA9"
GROUP = "9F3B77C2D0"
CHANNEL = "600100200"
GUILD = "7460172331083428700"
MEMBER = "C0FFEE0001"


class Peer:
    """One WebSocket connection of a client without any ideas of its own."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def hear(self) -> dict[str, Any]:
        frame: dict[str, Any] = orjson.loads(await self.ws.recv())
        return frame

    async def say(self, op: int, d: Any = None) -> None:
        await self.ws.send(orjson.dumps({"op": op, "d": d}), text=True)

    async def closed(self) -> int | None:
        """Read to the end. Return the code of the close frame, None when there was none."""
        try:
            while True:
                await self.ws.recv()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd is not None else None


@attrs.define
class Scene:
    """One simulator, one bot, and clients that do as they are told."""

    sim: Simulator
    bot: Bot
    http: httpx.AsyncClient
    clock: trio.testing.MockClock
    token: str = ""

    # ---- REST ----

    async def fetch(self, **changes: Any) -> httpx.Response:
        body = {"appId": self.bot.app_id, "clientSecret": self.bot.secret, **changes}
        return await self.http.post(self.sim.token_url, json=body)

    async def login(self) -> str:
        self.token = (await self.fetch()).json()["access_token"]
        return self.token

    def headers(self) -> dict[str, str]:
        return {"authorization": f"QQBot {self.token}"}

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers=self.headers())

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(path, json=body, headers=self.headers())

    async def c2c(self, text: str = "hi", openid: str = ANN, **fields: Any) -> httpx.Response:
        return await self.post(f"/v2/users/{openid}/messages", {"msg_type": 0, "content": text, **fields})

    async def group(self, text: str = "hi", **fields: Any) -> httpx.Response:
        return await self.post(f"/v2/groups/{GROUP}/messages", {"msg_type": 0, "content": text, **fields})

    async def channel(self, text: str = "hi", **fields: Any) -> httpx.Response:
        return await self.post(f"/channels/{CHANNEL}/messages", {"content": text, **fields})

    # ---- gateway ----

    @asynccontextmanager
    async def dial(self) -> AsyncGenerator[Peer, None]:
        """Open a connection; Hello is not read yet."""
        async with connect(self.sim.ws_url, ping_interval=None, close_timeout=None, max_size=None) as ws:
            yield Peer(ws)

    async def knock(self, url: str = "") -> None:
        """Open a connection and leave it."""
        async with connect(url or self.sim.ws_url):
            pass

    def credentials(self, **changes: Any) -> dict[str, Any]:
        return {"token": f"QQBot {self.token}", "intents": CHAT_INTENTS, "shard": [0, 1], **changes}

    async def identify(self, peer: Peer, **changes: Any) -> dict[str, Any]:
        """Read Hello, identify, and return what comes."""
        assert (await peer.hear())["op"] == 10
        await peer.say(2, self.credentials(**changes))
        return await peer.hear()

    async def resume(self, peer: Peer, seq: Any, **changes: Any) -> None:
        """Read Hello, and ask for the last session back."""
        assert (await peer.hear())["op"] == 10
        session_id = next(fact.session_id for fact in reversed(self.sim.identifies) if fact.session_id)
        await peer.say(6, {"token": f"QQBot {self.token}", "session_id": session_id, "seq": seq, **changes})

    @asynccontextmanager
    async def up(self, **changes: Any) -> AsyncGenerator[Peer, None]:
        """Open a connection and come as far as READY."""
        async with self.dial() as peer:
            assert (await self.identify(peer, **changes))["t"] == "READY"
            yield peer

    async def until_down(self) -> None:
        await self.sim.wait_until(lambda: not self.sim.is_up(self.bot))


Scenario = Callable[[Scene], Awaitable[None]]


def simulated(*, logged_in: bool = True, **knobs: Any) -> Callable[[Scenario], Callable[[], None]]:
    """Run the test against a simulator with these knobs."""

    def wrap(scenario: Scenario) -> Callable[[], None]:
        clock = trio.testing.MockClock(rate=1.0)

        async def main() -> None:
            async with (
                open_simulator(knobs=Knobs(**knobs)) as sim,
                httpx.AsyncClient(base_url=sim.api_base, timeout=None, verify=False) as http,
            ):
                scene = Scene(sim, sim.add_bot(), http, clock)
                if logged_in:
                    await scene.login()
                await scenario(scene)

        def test() -> None:
            trio.run(main, clock=clock)

        test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
        return test

    return wrap


def number(answer: httpx.Response) -> int:
    """Return the number an answer was refused with, or 0."""
    code: int = answer.json().get("err_code", 0)
    return code


# ---- access token ----


@simulated(logged_in=False)
async def test_a_token_comes_with_its_lifetime_as_a_string(scene: Scene) -> None:
    """
    The documents say number, the wire says string; a client that adds it to a clock finds out here.
    """
    answer = await scene.fetch()

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["expires_in"] == "7200"


@simulated()
async def test_a_token_fetched_again_is_the_same_with_less_time_left(scene: Scene) -> None:
    """
    It belongs to the app, not to the process: a restarted client gets the rest of the old lifetime.
    """
    scene.sim.advance(hours=1)
    again = (await scene.fetch()).json()

    assert again["access_token"] == scene.token
    assert 3590 <= int(again["expires_in"]) <= 3600


@simulated()
async def test_in_its_last_minute_a_new_token_is_given_and_the_old_one_still_works(scene: Scene) -> None:
    """
    The overlap is what makes a refresh possible without a gap. A margin above a minute refreshes for nothing.
    """
    old = scene.token
    scene.sim.advance(minutes=119, seconds=1)
    new = await scene.login()
    scene.token = old
    by_old = await scene.get("/users/@me")
    scene.token = new
    by_new = await scene.get("/users/@me")

    assert old != new
    assert by_old.status_code == by_new.status_code == 200


@simulated()
async def test_a_token_ends_with_its_lifetime(scene: Scene) -> None:
    """
    401 with 11244 is the one answer after which fetching a token helps.
    """
    scene.sim.advance(hours=2)
    answer = await scene.get("/users/@me")

    assert answer.status_code == 401
    assert number(answer) == 11244


@simulated()
async def test_a_voided_token_is_refused_and_a_fetch_gives_another(scene: Scene) -> None:
    """
    Seen in public: the platform drops a token long before its end. Time alone does not tell a client.
    """
    old = scene.token
    scene.sim.void_token()
    refused = await scene.get("/users/@me")

    assert number(refused) == 11244
    assert await scene.login() != old
    assert (await scene.get("/users/@me")).status_code == 200


@simulated(token_unchanged=True)
async def test_a_voided_token_may_be_handed_out_again(scene: Scene) -> None:
    """
    A client that refreshes and retries until it works would do so for ever.
    """
    old = scene.token
    scene.sim.void_token()

    assert await scene.login() == old
    assert (await scene.fetch()).json()["expires_in"] > "7"
    assert number(await scene.get("/users/@me")) == 11244


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"appId": 102000001}, 100007),  # a number: the app id is a string
        ({"appId": "999"}, 100007),
        ({"clientSecret": "wrong"}, 100016),
    ],
)
def test_the_token_endpoint_reports_errors_with_status_200(body: dict[str, Any], code: int) -> None:
    """
    A client that goes by the status takes the error for a token.
    """

    @simulated(logged_in=False)
    async def scenario(scene: Scene) -> None:
        answer = await scene.fetch(**body)

        assert answer.status_code == 200
        assert answer.json()["code"] == code
        assert "access_token" not in answer.json()

    scenario()


@simulated(logged_in=False)
async def test_a_form_is_not_accepted_for_a_token(scene: Scene) -> None:
    """
    The content type is mandatory.
    """
    answer = await scene.http.post(scene.sim.token_url, data={"appId": scene.bot.app_id})

    assert answer.json()["code"] == 100002


@simulated(token_fetches_per_minute=2)
async def test_fetching_too_often_is_refused(scene: Scene) -> None:
    """
    100001 asks for a minute of patience.
    """
    await scene.fetch()
    refused = (await scene.fetch()).json()
    scene.sim.advance(minutes=1)

    assert refused["code"] == 100001
    assert (await scene.fetch()).json()["access_token"] == scene.token


@pytest.mark.parametrize(("style", "kind"), [("string", str), ("int", int), ("zero", str), ("missing", type(None))])
def test_the_lifetime_comes_in_every_shape(style: str, kind: type) -> None:
    """
    Each was, or may be, a client's crash or its busy loop.
    """

    @simulated(logged_in=False, expires_in=style)
    async def scenario(scene: Scene) -> None:
        left = (await scene.fetch()).json().get("expires_in")

        assert type(left) is kind
        assert (left == "0") == (style == "zero")

    scenario()


@simulated(logged_in=False)
async def test_a_script_can_put_an_error_or_a_page_in_the_place_of_a_token(scene: Scene) -> None:
    """
    The shapes in which a fetch fails: 200 with an error, and HTML of the front end without a trace id.
    """
    scene.sim.script("token", {"code": 100001, "message": "too many requests"}, times=1)
    scene.sim.script("token", front_end(502), times=1)
    first, second, third = await scene.fetch(), await scene.fetch(), await scene.fetch()

    assert first.json()["code"] == 100001
    assert second.status_code == 502
    assert "html" in second.headers["content-type"]
    assert "x-tps-trace-id" not in second.headers
    assert "access_token" in third.json()
    assert [record.why for record in scene.sim.requests_to("token")] == ["script", "script", ""]


# ---- who asks, and for what ----


@pytest.mark.parametrize(
    ("header", "code"),
    [(None, 11241), ("QQBot nonsense", 11244), ("Bot 102000001.token", 11245), ("Bearer x", 11243), ("QQBot", 11243)],
)
def test_a_request_without_a_good_token_is_refused(header: str | None, code: int) -> None:
    """
    Each reason has its number; all of them are 401.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        headers = {} if header is None else {"authorization": header}
        answer = await scene.http.get("/gateway", headers=headers)

        assert answer.status_code == 401
        assert number(answer) == code

    scenario()


@simulated()
async def test_every_answer_carries_a_trace_id_that_its_error_repeats(scene: Scene) -> None:
    """
    It is the one thing support asks for.
    """
    good, bad = await scene.get("/users/@me"), await scene.get("/no/such/thing")

    assert len(good.headers["x-tps-trace-id"]) == 32
    assert bad.headers["X-Tps-trace-ID"] == bad.json()["trace_id"]
    assert good.headers["x-tps-trace-id"] != bad.headers["x-tps-trace-id"]
    assert set(bad.json()) == {"message", "code", "err_code", "trace_id"}


@simulated()
async def test_unknown_paths_and_methods_are_told_apart(scene: Scene) -> None:
    """
    A typo in a path must not look like a refusal worth retrying.
    """
    assert (await scene.get("/v3/users")).status_code == 404
    assert (await scene.post("/gateway", {})).status_code == 405


@simulated()
async def test_a_body_that_is_not_json_is_refused(scene: Scene) -> None:
    """
    Nothing of it takes effect.
    """
    path = f"/v2/users/{ANN}/messages"
    answer = await scene.http.post(path, content=b"{", headers=scene.headers())

    assert number(answer) == 12002
    assert scene.sim.delivered == []


@simulated()
async def test_code_and_err_code_can_differ(scene: Scene) -> None:
    """
    A client that matches only one of the two misses this: the address is not on the allow-list.
    """
    scene.sim.script("me", problem(11298))
    answer = (await scene.get("/users/@me")).json()

    assert (answer["code"], answer["err_code"]) == (11298, 40023002)


@simulated()
async def test_the_bot_can_ask_who_it_is(scene: Scene) -> None:
    """
    The id is a number in a string: there are clients that convert it.
    """
    me = (await scene.get("/users/@me")).json()

    assert int(me["id"]) > 0
    assert me["id"] == scene.bot.id


@simulated(logged_in=False, http_status=504)
async def test_the_front_end_answers_in_html(scene: Scene) -> None:
    """
    Not everything that comes from the platform's address comes from the platform.
    """
    answer = await scene.fetch()

    assert answer.status_code == 504
    assert answer.text.startswith("<html>")


# ---- looking up the gateway ----


@simulated()
async def test_the_gateway_is_told_with_what_is_left_of_the_day(scene: Scene) -> None:
    """
    Every Identify is counted, and the count starts anew a day after its first.
    """
    fresh = (await scene.get("/gateway/bot")).json()
    async with scene.up():
        pass
    scene.sim.advance(hours=1)
    used = (await scene.get("/gateway/bot")).json()["session_start_limit"]
    scene.sim.advance(hours=23)
    renewed = (await scene.get("/gateway/bot")).json()

    assert fresh["url"] == scene.sim.ws_url
    assert fresh["shards"] == 1
    assert fresh["session_start_limit"]["remaining"] == 1000
    assert used["remaining"] == 999
    assert 22 * 3_600_000 < used["reset_after"] <= 23 * 3_600_000
    assert renewed["code"] == 11244  # by then the token has ended, too
    await scene.login()
    assert (await scene.get("/gateway/bot")).json()["session_start_limit"]["remaining"] == 1000


@simulated()
async def test_a_resume_costs_no_session_start(scene: Scene) -> None:
    """
    Otherwise a network that drops every minute would use up the day.
    """
    async with scene.up():
        pass
    async with scene.dial() as peer:
        await scene.resume(peer, 1)
        assert (await peer.hear())["t"] == "RESUMED"

    assert (await scene.get("/gateway/bot")).json()["session_start_limit"]["remaining"] == 999


@simulated()
async def test_lookups_are_limited_to_a_burst_and_two_a_minute(scene: Scene) -> None:
    """
    What a reconnect loop without a cache of the address runs into.
    """
    answers = [await scene.get("/gateway") for _ in range(11)]
    scene.sim.advance(seconds=31)
    after = [await scene.get("/gateway/bot") for _ in range(2)]

    assert [number(answer) for answer in answers] == [0] * 10 + [100017]
    assert [number(answer) for answer in after] == [0, 100017]


@simulated()
async def test_a_lookup_can_fail_in_every_way(scene: Scene) -> None:
    """
    500, the allow-list, a page, an answer without the address, one that trickles, and none.
    """
    scene.sim.script("gateway", front_end(500), times=1)
    scene.sim.script("gateway", problem(11298), times=1)
    scene.sim.script("gateway", {}, times=1)
    scene.sim.script("gateway", lambda true: SlowBody(true, 1_000_000.0), times=1)
    scene.sim.script("gateway", CloseAtOnce(), times=1)
    first, second, third, fourth = [await scene.get("/gateway") for _ in range(4)]
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.get("/gateway")

    assert first.status_code == 500
    assert second.status_code == 401
    assert third.json() == {}
    assert fourth.json()["url"] == scene.sim.ws_url
    assert (await scene.get("/gateway")).status_code == 200


# ---- gateway: the usual course ----


@simulated(heartbeat_interval_ms=41_250)
async def test_hello_comes_first_and_ready_has_the_first_number(scene: Scene) -> None:
    """
    The whole greeting, as a client waits for it.
    """
    async with scene.dial() as peer:
        hello = await peer.hear()
        await peer.say(2, scene.credentials())
        ready = await peer.hear()

        assert hello == {"op": 10, "d": {"heartbeat_interval": 41_250}}
        assert (ready["op"], ready["s"], ready["t"]) == (0, 1, "READY")
        assert ready["d"]["user"] == {"id": scene.bot.id, "username": "robot", "bot": True}
        assert ready["d"]["shard"] == [0, 1]
        assert scene.sim.identifies[0].session_id == ready["d"]["session_id"]
        assert scene.sim.is_up()


@simulated()
async def test_a_client_may_identify_before_hello(scene: Scene) -> None:
    """
    There are clients that do not wait for it.
    """
    scene.sim.at("hello", Wait(3_600_000), Proceed())
    async with scene.dial() as peer:
        await peer.say(2, scene.credentials())

        assert (await peer.hear())["t"] == "READY"


@simulated()
async def test_each_heartbeat_is_acknowledged_and_recorded(scene: Scene) -> None:
    """
    With the number the client has come to.
    """
    async with scene.up() as peer:
        await peer.say(1, 1)
        answer = await peer.hear()
        await peer.say(1, None)
        await peer.hear()

    assert answer == {"op": 11}
    assert [beat.seq for beat in scene.sim.heartbeats] == [1, None]
    assert next(iter(scene.bot.sessions.values())).acked == 1


@simulated(heartbeat_interval_ms=100_000)
async def test_a_client_that_stops_beating_is_closed_with_4009(scene: Scene) -> None:
    """
    And one that beats in time is not.
    """
    async with scene.up() as peer:
        scene.clock.jump(150)
        await peer.say(1, 1)
        assert await peer.hear() == {"op": 11}
        await trio.testing.wait_all_tasks_blocked()
        scene.clock.jump(150)
        await peer.say(1, 1)
        assert await peer.hear() == {"op": 11}
        await trio.testing.wait_all_tasks_blocked()
        scene.clock.jump(201)

        assert await peer.closed() == 4009


@simulated(heartbeat_interval_ms=10_000_000)
async def test_after_half_an_hour_the_platform_asks_to_reconnect(scene: Scene) -> None:
    """
    Op 7, and 4009 for a client that stays: the most ordinary end of a connection.
    """
    async with scene.up() as peer:
        await trio.testing.wait_all_tasks_blocked()
        scene.clock.jump(1801)
        asked = await peer.hear()
        await trio.testing.wait_all_tasks_blocked()
        scene.clock.jump(3)

        assert asked == {"op": 7}
        assert await peer.closed() == 4009


@simulated()
async def test_a_resume_replays_what_was_missed_in_order_and_then_says_so(scene: Scene) -> None:
    """
    Events before RESUMED, which carries an empty string and not an object.
    """
    async with scene.up() as peer:
        first = scene.sim.say_c2c(ANN, "seen")
        assert (await peer.hear())["s"] == 2
    await scene.until_down()
    missed = [scene.sim.say_c2c(ANN, text) for text in ("one", "two")]
    async with scene.dial() as peer:
        await scene.resume(peer, 2)
        one, two, resumed = [await peer.hear() for _ in range(3)]
        scene.sim.say_c2c(ANN, "live")
        live = await peer.hear()

    assert [one["d"]["id"], two["d"]["id"]] == missed
    assert first not in missed
    assert [one["s"], two["s"]] == [3, 4]
    assert (resumed["op"], resumed["t"], resumed["d"]) == (0, "RESUMED", "")
    assert live["d"]["content"] == "live"
    assert live["s"] > resumed["s"] == 5
    assert scene.sim.resumes[0].replayed == 2


@simulated(resumed_s="last")
async def test_resumed_may_repeat_the_last_number(scene: Scene) -> None:
    """
    Nobody outside knows. A client that drops numbers it has seen would wait for ever.
    """
    async with scene.up():
        pass
    async with scene.dial() as peer:
        await scene.resume(peer, 1)

        assert (await peer.hear())["s"] == 1


@simulated()
async def test_a_resume_may_carry_the_bare_token(scene: Scene) -> None:
    """
    One official library sends it that way.
    """
    async with scene.up():
        pass
    async with scene.dial() as peer:
        await scene.resume(peer, 1, token=scene.token)

        assert (await peer.hear())["t"] == "RESUMED"


@pytest.mark.parametrize(
    ("style", "numbers"),
    [
        ("duplicates", [2, 3, 3, 4, 4, 5, 5, 6]),
        ("gaps", [3, 5, 6]),
        ("shuffled", [5, 4, 3, 6]),
        ("resumed_first", [6, 3, 4, 5]),
    ],
)
def test_a_replay_can_be_disorderly(style: str, numbers: list[int]) -> None:
    """
    A client that takes the last number it saw for the highest one forgets events.
    """

    @simulated(replay=style)
    async def scenario(scene: Scene) -> None:
        async with scene.up() as peer:
            scene.sim.say_c2c(ANN, "seen")
            await peer.hear()
        await scene.until_down()
        for text in ("one", "two", "three"):
            scene.sim.say_c2c(ANN, text)
        async with scene.dial() as peer:
            await scene.resume(peer, 2)

            assert [(await peer.hear())["s"] for _ in numbers] == numbers

    scenario()


@simulated(resume_window_s=600)
async def test_a_session_can_be_resumed_for_a_while(scene: Scene) -> None:
    """
    Its events wait for that long, and then are gone with it.
    """
    async with scene.up():
        pass
    await scene.until_down()
    scene.sim.advance(seconds=500)
    async with scene.dial() as peer:
        await scene.resume(peer, 1)
        assert (await peer.hear())["t"] == "RESUMED"
    await scene.until_down()
    scene.sim.advance(seconds=601)
    scene.sim.say_c2c(ANN, "to nobody")
    async with scene.dial() as peer:
        await scene.resume(peer, 2)

        assert await peer.hear() == {"op": 9, "d": False}
        assert await peer.closed() == 4006
    assert len(scene.sim.lost) == 1
    assert [fact.refused for fact in scene.sim.resumes] == [0, 4006]


@pytest.mark.parametrize(("style", "frames", "code"), [("close", [], 4006), ("silent", [], 1000)])
def test_a_dead_session_is_refused_in_more_than_one_way(style: str, frames: list[Any], code: int) -> None:
    """
    The last one tells a client nothing at all: it has to count.
    """

    @simulated(dead_session=style)
    async def scenario(scene: Scene) -> None:
        async with scene.up():
            pass
        scene.sim.end_sessions()
        async with scene.dial() as peer:
            await scene.resume(peer, 1)

            assert await peer.closed() == code
        assert frames == []

    scenario()


@pytest.mark.parametrize("seq", [99, -1, "1", None])
def test_an_impossible_seq_is_refused(seq: Any) -> None:
    """
    4007: the session is there, the number is not.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        async with scene.up():
            pass
        async with scene.dial() as peer:
            await scene.resume(peer, seq)

            assert (await peer.hear())["op"] == 9
            assert await peer.closed() == 4007

    scenario()


@simulated(normal_close_ends=True)
async def test_a_client_that_says_goodbye_may_lose_its_session(scene: Scene) -> None:
    """
    Unknown, and a reason to close with another code than 1000.
    """
    async with scene.up() as peer:
        await peer.ws.aclose(1000)
    await scene.until_down()
    async with scene.dial() as peer:
        await scene.resume(peer, 1)

        assert await peer.hear() == {"op": 9, "d": False}


@simulated()
async def test_a_second_identify_takes_the_shard_away(scene: Scene) -> None:
    """
    Two processes with one app id: the older is thrown out, and cannot come back to its session.
    """
    async with scene.up() as first, scene.up() as second:
        assert await first.closed() == 4009
        scene.sim.say_c2c(ANN, "for the second")
        assert (await second.hear())["d"]["content"] == "for the second"
        async with scene.dial() as peer:
            former = scene.sim.identifies[0].session_id
            await scene.resume(peer, 1, session_id=former)
            assert await peer.hear() == {"op": 9, "d": False}


@simulated()
async def test_a_resume_takes_the_session_from_a_connection_that_still_has_it(scene: Scene) -> None:
    """
    The client noticed the dead connection before the platform did.
    """
    async with scene.up() as first, scene.dial() as second:
        await scene.resume(second, 1)

        assert (await second.hear())["t"] == "RESUMED"
        assert await first.closed() == 4009
        assert scene.sim.is_up()


@simulated(shards=2)
async def test_each_shard_hears_its_guilds_and_the_first_hears_the_rest(scene: Scene) -> None:
    """
    (guild_id >> 22) % shards.
    """
    guilds = {(int(guild) >> 22) % 2: guild for guild in (GUILD, str(int(GUILD) + 2**22))}
    async with (
        scene.up(shard=[0, 2], intents=PUBLIC_INTENTS) as zero,
        scene.up(shard=[1, 2], intents=PUBLIC_INTENTS) as one,
    ):
        scene.sim.say_channel(CHANNEL, MEMBER, "odd", guild=guilds[1])
        scene.sim.say_c2c(ANN, "person")
        scene.sim.say_channel(CHANNEL, MEMBER, "even", guild=guilds[0])

        assert "odd" in (await one.hear())["d"]["content"]
        assert (await zero.hear())["d"]["content"] == "person"
        assert "even" in (await zero.hear())["d"]["content"]


# ---- gateway: refusals ----


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "QQBot nonsense"}, 4004),
        ({"token": None}, 4004),
        ({"intents": 1 << 9}, 4014),  # for private bots
        ({"intents": 1 << 5}, 4013),
        ({"intents": 0}, 4013),
        ({"intents": "all"}, 4013),
        ({"shard": [1, 1]}, 4010),
        ({"shard": "0"}, 4010),
    ],
)
def test_a_bad_identify_gets_op_9_and_then_the_reason(changes: dict[str, Any], code: int) -> None:
    """
    A client that closes at op 9 never learns why, and tries again for ever.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        async with scene.dial() as peer:
            assert await scene.identify(peer, **changes) == {"op": 9, "d": False}
            assert await peer.closed() == code
        assert scene.sim.identifies[0].refused == code
        assert not scene.sim.is_up()

    scenario()


@simulated(invalid_ends="eof")
async def test_the_reason_may_never_come(scene: Scene) -> None:
    """
    Op 9 and the end of the stream, as several clients reported.
    """
    async with scene.dial() as peer:
        assert await scene.identify(peer, intents=0) == {"op": 9, "d": False}
        assert await peer.closed() is None


@simulated()
async def test_a_voided_token_fails_identify_and_resume(scene: Scene) -> None:
    """
    Reconnecting with it gives op 9 until it is fetched anew.
    """
    async with scene.up():
        pass
    scene.sim.void_token()
    async with scene.dial() as peer:
        assert await scene.identify(peer) == {"op": 9, "d": False}
        assert await peer.closed() == 4004
    async with scene.dial() as peer:
        await scene.resume(peer, 1)
        assert await peer.hear() == {"op": 9, "d": False}
        assert await peer.closed() == 4004
    await scene.login()
    async with scene.dial() as peer:
        await scene.resume(peer, 1)
        assert (await peer.hear())["t"] == "RESUMED"


@pytest.mark.parametrize("code", [4914, 4915])
def test_a_bot_that_was_taken_offline_cannot_identify(code: int) -> None:
    """
    Only people can help, on the console.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        scene.sim.bar(code)
        async with scene.dial() as peer:
            assert await scene.identify(peer) == {"op": 9, "d": False}
            assert await peer.closed() == code
        scene.sim.bar(None)
        async with scene.up():
            assert scene.sim.is_up()

    scenario()


@simulated(session_starts=1)
async def test_the_budget_of_the_day_ends_identifies(scene: Scene) -> None:
    """
    A loop of Identify is a loop that ends, for a day.
    """
    async with scene.up():
        pass
    async with scene.dial() as peer:
        assert await scene.identify(peer) == {"op": 9, "d": False}
        assert await peer.closed() == 4903
    scene.sim.advance(hours=24)
    await scene.login()
    async with scene.up():
        pass


@pytest.mark.parametrize(
    ("frame", "code"),
    [("{", 4002), ("[]", 4002), ('{"op":99}', 4001), ('{"op":2,"d":null}', 4005), ('{"op":6}', 4005)],
)
def test_frames_out_of_place_close_the_connection(frame: str, code: int) -> None:
    """
    Each names the fault of the client.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        async with scene.up() as peer:
            await peer.ws.send(frame)

            assert await peer.closed() == code

    scenario()


@simulated(frames_per_minute=3)
async def test_a_client_that_talks_too_fast_is_closed_with_4008(scene: Scene) -> None:
    """
    The limit is not published; that there is one, is.
    """
    async with scene.up() as peer:
        for _ in range(3):
            await peer.say(1, 1)

        assert await peer.closed() == 4008


@simulated()
async def test_only_what_was_asked_for_is_pushed(scene: Scene) -> None:
    """
    By intents; an event nobody knows goes to everyone.
    """
    async with scene.up(intents=1 << 30) as peer:
        scene.sim.say_c2c(ANN, "not for this session")
        scene.sim.dispatch("A_NEW_THING", {"x": 1})
        scene.sim.say_channel(CHANNEL, MEMBER, "hello")

        assert (await peer.hear())["t"] == "A_NEW_THING"
        assert (await peer.hear())["t"] == "AT_MESSAGE_CREATE"
    assert len(scene.sim.lost) == 1


def test_the_sets_of_intents_contain_each_other() -> None:
    """
    What a chat bot asks for is public, and what everyone has is too.
    """
    assert CHAT_INTENTS & PUBLIC_INTENTS == CHAT_INTENTS
    assert DEFAULT_INTENTS & PUBLIC_INTENTS == DEFAULT_INTENTS
    assert PUBLIC_INTENTS | 1 << 9 | 1 << 28 == ALL_INTENTS


# ---- gateway: faults ----


@pytest.mark.parametrize(
    ("steps", "frames", "code"),
    [
        ((Invalid(), Wait(1), Close(4914)), [{"op": 9, "d": False}], 4914),
        ((Invalid(), Wait(1), Eof()), [{"op": 9, "d": False}], None),
        ((Invalid(resumable=True), Close(4000)), [{"op": 9, "d": True}], 4000),
        ((Invalid(resumable=None), Close(4903)), [{"op": 9}], 4903),
        ((Close(4013, "invalid intents"),), [], 4013),
        ((Close(None),), [], 1005),
        ((Close(1000),), [], 1000),
        ((Abort(),), [], None),
        ((Eof(),), [], None),
        ((Reconnect(), Close(4009)), [{"op": 7}], 4009),
    ],
)
def test_an_identify_can_be_met_with_anything(steps: tuple[Any, ...], frames: list[Any], code: int | None) -> None:
    """
    Op 9 in all its forms, any close code, the end of the stream and a reset.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        cue = scene.sim.at("identify", *steps, times=1)
        async with scene.dial() as peer:
            await peer.hear()
            await peer.say(2, scene.credentials())
            heard = [await peer.hear() for _ in frames]

            assert heard == frames
            assert await peer.closed() == code
        async with scene.up():
            pass
        assert cue.hits == 1

    scenario()


@simulated()
async def test_hello_can_fail_to_come_and_ready_too(scene: Scene) -> None:
    """
    The silence a client needs its own deadline for. Everything else on the connection is answered.
    """
    scene.sim.at("hello", times=1)
    scene.sim.at("identify", times=1)
    async with scene.dial() as peer:
        await peer.say(2, scene.credentials())
        await peer.say(1, None)

        assert await peer.hear() == {"op": 11}
    assert scene.sim.identifies[0].session_id == ""
    async with scene.up():
        pass


@simulated()
async def test_hello_can_be_late(scene: Scene) -> None:
    """
    By trio's clock.
    """
    scene.sim.at("hello", Wait(3_600_000), Proceed())
    async with scene.dial() as peer:
        await peer.say(1, None)
        assert await peer.hear() == {"op": 11}
        scene.clock.jump(3600)

        assert (await peer.hear())["op"] == 10


@simulated()
async def test_a_resume_can_be_reset_or_closed_without_a_word(scene: Scene) -> None:
    """
    Any number of times; the session is still there after it.
    """
    scene.sim.at("resume", Abort(), times=1)
    scene.sim.at("resume", Close(1000), times=1)
    scene.sim.at("resumed", Close(None), times=1)
    async with scene.up():
        pass
    ends = []
    for _ in range(3):
        async with scene.dial() as peer:
            await scene.resume(peer, 1)
            ends.append(await peer.closed())
    async with scene.dial() as peer:
        await scene.resume(peer, 1)
        assert (await peer.hear())["t"] == "RESUMED"

    assert ends == [None, 1000, 1005]


@simulated()
async def test_every_connection_can_be_closed_a_while_after_it_came_up(scene: Scene) -> None:
    """
    Flapping: each attempt succeeds, and none lasts.
    """
    flapping = scene.sim.flap(1, 4009)
    for _ in range(3):
        async with scene.up() as peer:
            assert await peer.closed() == 4009
    flapping.cancel()
    async with scene.dial() as peer:
        await scene.resume(peer, 1)
        assert (await peer.hear())["t"] == "RESUMED"
        await peer.say(1, 1)
        assert await peer.hear() == {"op": 11}

    assert [dial.close_sent for dial in scene.sim.dials[:3]] == [4009, 4009, 4009]


@simulated()
async def test_orders_are_carried_out_on_connections_that_are_up(scene: Scene) -> None:
    """
    Op 7 with nothing after it, a heartbeat asked for, and 4009 out of the blue.
    """
    async with scene.up() as peer:
        assert scene.sim.order(Reconnect(), Send({"op": 1})) == 1
        assert [await peer.hear(), await peer.hear()] == [{"op": 7}, {"op": 1}]
        scene.sim.order(Close(4009))
        assert await peer.closed() == 4009
    await scene.sim.wait_until(lambda: scene.sim.dials[0].closed_at is not None)

    assert scene.sim.order(Close(4009)) == 0


@simulated()
async def test_what_was_said_before_a_fault_is_on_the_wire_before_it(scene: Scene) -> None:
    """
    A message and the close frame behind it: a client must take the one before it acts on the other.
    """
    async with scene.up() as peer:
        scene.sim.say_c2c(ANN, "last words")
        scene.sim.order(Close(4009))

        assert (await peer.hear())["d"]["content"] == "last words"
        assert await peer.closed() == 4009


@simulated()
async def test_frames_can_be_odd(scene: Scene) -> None:
    """
    An unknown op, a dispatch without s or without t, text that is not JSON, bytes, and five megabytes.
    """
    async with scene.up() as peer:
        scene.sim.order(
            Send({"op": 42, "d": {}}),
            Send({"op": 0, "t": "C2C_MESSAGE_CREATE", "d": {}}),
            Raw("<html>"),
            Raw(b"\x00\xff"),
        )
        scene.sim.say_c2c(ANN, "x" * 5_000_000)

        assert (await peer.hear())["op"] == 42
        assert "s" not in await peer.hear()
        assert await peer.ws.recv() == "<html>"
        assert await peer.ws.recv() == b"\x00\xff"
        assert len((await peer.hear())["d"]["content"]) == 5_000_000


@simulated(acks=False)
async def test_acknowledgements_can_be_withheld(scene: Scene) -> None:
    """
    Everything else works: only a client that counts them notices.
    """
    async with scene.up() as peer:
        await peer.say(1, 1)
        await scene.sim.wait_until(lambda: len(scene.sim.heartbeats) == 1)
        scene.sim.say_c2c(ANN, "still here")

        assert (await peer.hear())["d"]["content"] == "still here"


@simulated()
async def test_a_cue_can_withhold_some_acknowledgements(scene: Scene) -> None:
    """
    The second one, here.
    """
    scene.sim.at("heartbeat", skip=1, times=1)
    async with scene.up() as peer:
        for seq in (1, 2, 3):
            await peer.say(1, seq)
        answers = [await peer.hear() for _ in range(2)]

    assert answers == [{"op": 11}, {"op": 11}]
    assert [beat.seq for beat in scene.sim.heartbeats] == [1, 2, 3]


@simulated(heartbeat_interval_ms=1000)
async def test_a_frozen_connection_stays_open_and_says_nothing(scene: Scene) -> None:
    """
    Half open: writes succeed, nothing comes back, not even when the platform has given it up.
    """
    async with scene.up() as peer:
        scene.sim.order(Freeze())
        await trio.testing.wait_all_tasks_blocked(0.01)
        await peer.say(1, 1)
        scene.sim.say_c2c(ANN, "unheard")
        await trio.testing.wait_all_tasks_blocked(0.01)
        scene.clock.jump(2.1)  # the platform's own deadline
        await scene.until_down()
        with trio.move_on_after(0) as waiting:
            await peer.hear()

        assert waiting.cancelled_caught
        assert scene.sim.heartbeats == []
        async with scene.dial() as second:
            await scene.resume(second, 1)
            assert (await second.hear())["d"]["content"] == "unheard"
        await trio.aclose_forcefully(peer.ws.stream)


@simulated()
async def test_dials_can_be_rejected_reset_or_left_waiting(scene: Scene) -> None:
    """
    Before any frame: an HTTP status, a reset, the end of the stream, and no answer.
    """
    scene.sim.at("connect", Reject(502), times=1)
    scene.sim.at("connect", Abort(), times=1)
    scene.sim.at("connect", Eof(), times=1)
    scene.sim.at("connect", times=1)
    with pytest.raises(InvalidStatus) as rejected:
        await scene.knock()
    for _ in range(2):
        with pytest.raises((InvalidMessage, EOFError, OSError)):
            await scene.knock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.knock)
        await scene.sim.wait_until(lambda: len(scene.sim.dials) == 4)
        nursery.cancel_scope.cancel()
    await scene.sim.wait_until(lambda: scene.sim.dials[3].closed_at is not None)

    assert rejected.value.response.status_code == 502
    assert [dial.status for dial in scene.sim.dials] == [502, None, None, None]
    async with scene.up():
        pass


@simulated()
async def test_a_dial_elsewhere_finds_nothing(scene: Scene) -> None:
    """
    The address comes from /gateway, path included.
    """
    with pytest.raises(InvalidStatus):
        await scene.knock(scene.sim.ws_url.replace("/websocket", "/other"))
    await scene.knock(scene.sim.ws_url + "/")


@simulated()
async def test_cues_can_be_for_some_connections_only(scene: Scene) -> None:
    """
    And be taken back.
    """
    cue = scene.sim.at("identify", Close(4000), when=lambda dial: dial.number > 1)
    async with scene.up():
        pass
    async with scene.dial() as peer:
        await peer.hear()
        await peer.say(2, scene.credentials())
        assert await peer.closed() == 4000
    cue.cancel()
    async with scene.up():
        pass


@simulated()
async def test_impossible_steps_are_refused_when_they_are_written(scene: Scene) -> None:
    """
    Not when they strike.
    """
    with pytest.raises(ValueError, match="nothing to reject"):
        scene.sim.at("identify", Reject(503))
    with pytest.raises(ValueError, match="nothing has been opened"):
        scene.sim.at("connect", Close(4009))
    with pytest.raises(ValueError, match="nothing to reject"):
        scene.sim.order(Reject())
    with pytest.raises(ValueError, match="no close frame"):
        Close(1006)
    with pytest.raises(ValueError, match="'message'"):
        scene.sim.script("message", {})


@simulated()
async def test_everything_can_be_refused_for_a_while(scene: Scene) -> None:
    """
    An outage: REST, dials, and the connections there were.
    """
    async with scene.up() as peer:
        scene.sim.refuse(for_ms=3_600_000, drop=True)
        assert await peer.closed() is None
    page = await scene.c2c()
    with pytest.raises(InvalidStatus) as rejected:
        await scene.knock()
    scene.clock.jump(3600)

    assert page.status_code == rejected.value.response.status_code == 503
    assert (await scene.get("/users/@me")).status_code == 200
    assert scene.sim.requests_to("messages")[0].why == "outage"


@simulated()
async def test_an_outage_may_be_put_in_the_words_of_the_platform(scene: Scene) -> None:
    """
    Until it is taken back.
    """
    scene.sim.refuse(number=50002)
    refused = await scene.c2c()
    scene.sim.accept()

    assert (refused.status_code, number(refused)) == (429, 50002)
    assert (await scene.get("/users/@me")).status_code == 200


# ---- what people say ----


@simulated()
async def test_a_person_a_group_a_channel_and_a_private_chat_are_heard(scene: Scene) -> None:
    """
    Four scenes, four shapes.
    """
    async with scene.up(intents=PUBLIC_INTENTS) as peer:
        ids = [
            scene.sim.say_c2c(ANN, "one"),
            scene.sim.say_group(GROUP, MEMBER, "two"),
            scene.sim.say_channel(CHANNEL, MEMBER, "three"),
            scene.sim.say_dm(MEMBER, "four"),
        ]
        c2c, group, channel, dm = [await peer.hear() for _ in range(4)]

    assert [frame["d"]["id"] for frame in (c2c, group, channel, dm)] == ids
    assert [frame["t"] for frame in (c2c, group, channel, dm)] == [
        "C2C_MESSAGE_CREATE",
        "GROUP_AT_MESSAGE_CREATE",
        "AT_MESSAGE_CREATE",
        "DIRECT_MESSAGE_CREATE",
    ]
    assert c2c["d"]["author"]["user_openid"] == ANN
    assert c2c["id"].startswith("C2C_MESSAGE_CREATE:")
    assert c2c["d"]["timestamp"].endswith("+08:00")
    assert (group["d"]["group_openid"], group["d"]["content"]) == (GROUP, " two")
    assert group["d"]["author"]["member_openid"] == MEMBER
    assert channel["d"]["content"] == f"<@!{scene.bot.id}> three"
    assert (channel["d"]["channel_id"], channel["d"]["guild_id"]) == (CHANNEL, GUILD)
    assert dm["d"]["direct_message"] is True
    assert dm["d"]["guild_id"] == scene.sim.dm_guild(MEMBER)
    assert dm["d"]["src_guild_id"] == GUILD


@pytest.mark.parametrize(
    ("style", "mentioned", "overheard"),
    [
        ("at", ["GROUP_AT_MESSAGE_CREATE"], []),
        ("all", ["GROUP_MESSAGE_CREATE"], ["GROUP_MESSAGE_CREATE"]),
        ("both", ["GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"], ["GROUP_MESSAGE_CREATE"]),
    ],
)
def test_a_group_is_heard_under_one_name_or_the_other_or_both(
    style: str, mentioned: list[str], overheard: list[str]
) -> None:
    """
    The same id under two names is one message.
    """

    @simulated(group_events=style)
    async def scenario(scene: Scene) -> None:
        async with scene.up() as peer:
            said = scene.sim.say_group(GROUP, MEMBER, "to you")
            frames = [await peer.hear() for _ in mentioned]
            scene.sim.say_group(GROUP, MEMBER, "to all", at=False)
            more = [await peer.hear() for _ in overheard]
            scene.sim.say_c2c(ANN, "the end")

            assert [frame["t"] for frame in frames] == mentioned
            assert {frame["d"]["id"] for frame in frames} == {said}
            assert [frame["t"] for frame in more] == overheard
            assert (await peer.hear())["d"]["content"] == "the end"
            if style != "at":
                assert frames[-1]["d"]["mentions"][0]["is_you"] is True

    scenario()


@simulated()
async def test_one_message_can_be_pushed_twice(scene: Scene) -> None:
    """
    At once or later: the id is the same, the number is not.
    """
    async with scene.up() as peer:
        message_id = scene.sim.say_c2c(ANN, "again", copies=2)
        scene.sim.say_again(message_id)
        frames = [await peer.hear() for _ in range(3)]

    assert {frame["d"]["id"] for frame in frames} == {message_id}
    assert [frame["s"] for frame in frames] == [2, 3, 4]


@simulated()
async def test_a_private_bot_hears_what_is_not_for_it_too(scene: Scene) -> None:
    """
    MESSAGE_CREATE needs a bit that public bots cannot have.
    """
    bot = scene.sim.add_bot("102000002", "secret", intents=ALL_INTENTS)
    scene.bot = bot
    await scene.login()
    async with scene.up(intents=1 << 9) as peer:
        scene.sim.say_channel(CHANNEL, MEMBER, "chatter", at=False, bot=bot)
        frame = await peer.hear()

    assert (frame["t"], frame["d"]["content"], frame["d"]["mentions"]) == ("MESSAGE_CREATE", "chatter", [])


@simulated()
async def test_attachments_are_passed_on(scene: Scene) -> None:
    """
    As they are given.
    """
    picture = {"content_type": "image/png", "filename": "a.png", "size": 3, "url": "//host/a.png"}
    async with scene.up() as peer:
        scene.sim.say_c2c(ANN, "", attachments=[picture])

        assert (await peer.hear())["d"]["attachments"] == [picture]


@simulated()
async def test_a_button_is_pressed_and_the_press_is_answered(scene: Scene) -> None:
    """
    Without the answer the person's client spins.
    """
    async with scene.up() as peer:
        pressed = scene.sim.click("yes", c2c=ANN)
        frame = await peer.hear()
        answer = await scene.http.put(f"/interactions/{pressed}", json={"code": 0}, headers=scene.headers())
        unknown = await scene.http.put("/interactions/none", json={"code": 0}, headers=scene.headers())
        by_event = await scene.c2c("you said yes", event_id=frame["id"])

    assert frame["t"] == "INTERACTION_CREATE"
    assert (frame["d"]["scene"], frame["d"]["user_openid"]) == ("c2c", ANN)
    assert frame["d"]["data"]["resolved"]["button_data"] == "yes"
    assert answer.status_code == 204
    assert scene.sim.interactions == {pressed: 0}
    assert unknown.status_code == 400
    assert by_event.status_code == 200


@simulated(interaction_status=200)
async def test_a_button_in_a_group_names_its_member(scene: Scene) -> None:
    """
    Who pressed it, where.
    """
    async with scene.up() as peer:
        pressed = scene.sim.click("no", group=GROUP, member=MEMBER)
        d = (await peer.hear())["d"]
        answer = await scene.http.put(f"/interactions/{pressed}", json={"code": 5}, headers=scene.headers())

    assert (d["scene"], d["group_openid"], d["group_member_openid"]) == ("group", GROUP, MEMBER)
    assert answer.json() == {}
    with pytest.raises(ValueError, match="one chat"):
        scene.sim.click("neither")


# ---- sending: the usual course ----


@simulated()
async def test_a_reply_is_delivered_in_each_scene(scene: Scene) -> None:
    """
    The oracle keeps scene, target, text, msg_id and msg_seq, in the order of arrival.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        ids = [
            scene.sim.say_c2c(ANN, "one"),
            scene.sim.say_group(GROUP, MEMBER, "two"),
            scene.sim.say_channel(CHANNEL, MEMBER, "three"),
            scene.sim.say_dm(MEMBER, "four"),
        ]
        dm = scene.sim.dm_guild(MEMBER)
        answers = [
            await scene.c2c("1", msg_id=ids[0], msg_seq=7),
            await scene.group("2", msg_id=ids[1]),
            await scene.channel("3", msg_id=ids[2]),
            await scene.post(f"/dms/{dm}/messages", {"content": "4", "msg_id": ids[3]}),
        ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [(sent.number, sent.scene, sent.target, sent.text, sent.msg_seq) for sent in scene.sim.delivered] == [
        (1, "c2c", ANN, "1", 7),
        (2, "group", GROUP, "2", 1),
        (3, "channel", CHANNEL, "3", None),
        (4, "dm", dm, "4", None),
    ]
    assert [sent.msg_id for sent in scene.sim.delivered] == ids
    assert [sent.id for sent in scene.sim.delivered] == [answer.json()["id"] for answer in answers]
    assert answers[0].json()["ext_info"]["ref_idx"].startswith("REFIDX_")
    assert answers[2].json()["channel_id"] == CHANNEL
    assert scene.sim.seen == scene.sim.delivered
    assert scene.sim.refused == []


@simulated()
async def test_a_private_chat_is_opened_by_its_member(scene: Scene) -> None:
    """
    POST /users/@me/dms gives the guild id that replies go to.
    """
    opened = (await scene.post("/users/@me/dms", {"recipient_id": MEMBER, "source_guild_id": GUILD})).json()
    flawed = await scene.post("/users/@me/dms", {})

    assert opened["guild_id"] == scene.sim.dm_guild(MEMBER)
    assert opened["create_time"]
    assert number(flawed) == 12002


@simulated()
async def test_fields_that_are_null_are_as_good_as_absent(scene: Scene) -> None:
    """
    There is a client that sends every field it knows of.
    """
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        answer = await scene.c2c("hi", msg_id=message_id, msg_seq=None, media=None, markdown=None, event_id=None)

    assert answer.status_code == 200
    assert scene.sim.delivered[0].msg_seq == 1


@simulated()
async def test_a_picture_reaches_a_channel_as_a_form(scene: Scene) -> None:
    """
    multipart/form-data, objects in it as JSON.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        message_id = scene.sim.say_channel(CHANNEL, MEMBER, "hello")
        form = {"content": "look", "msg_id": message_id, "markdown": '{"content":"# hi"}'}
        answer = await scene.http.post(
            f"/channels/{CHANNEL}/messages",
            data=form,
            files={"file_image": ("a.png", b"\x89PNG\r\n\x1a\n")},
            headers=scene.headers(),
        )
    body = scene.sim.delivered[0].body

    assert answer.status_code == 200
    assert body["file_image"] == b"\x89PNG\r\n\x1a\n"
    assert body["markdown"] == {"content": "# hi"}


@simulated()
async def test_typing_is_kept_apart_and_uses_up_a_reply(scene: Scene) -> None:
    """
    msg_type 6 is for persons only, and costs one of five.
    """
    notify: dict[str, Any] = {"msg_type": 6, "input_notify": {"input_type": 1, "input_second": 60}, "content": None}
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        typing = await scene.c2c(msg_id=message_id, msg_seq=1, **notify)
        same_seq = await scene.c2c("hi", msg_id=message_id, msg_seq=1)
        in_group = await scene.group(msg_id=scene.sim.say_group(GROUP, MEMBER, "x"), **notify)

    assert typing.status_code == 200
    assert number(same_seq) == 40054005
    assert (in_group.status_code, number(in_group)) == (500, 50059)
    assert len(scene.sim.typing) == 1
    assert scene.sim.delivered == []


@simulated()
async def test_messages_can_be_recalled_for_two_minutes(scene: Scene) -> None:
    """
    And by nobody after that.
    """
    async with scene.up():
        sent = [(await scene.c2c(msg_id=scene.sim.say_c2c(ANN, "x"))).json()["id"] for _ in range(2)]
    path = f"/v2/users/{ANN}/messages"
    recalled = await scene.http.delete(f"{path}/{sent[0]}", headers=scene.headers())
    scene.sim.advance(minutes=3)
    late = await scene.http.delete(f"{path}/{sent[1]}", headers=scene.headers())
    unknown = await scene.http.delete(f"{path}/nothing", headers=scene.headers())

    assert recalled.status_code == 200
    assert scene.sim.recalled == [sent[0]]
    assert [number(late), number(unknown)] == [306011, 306003]


# ---- sending: dedup, windows, budgets ----


@simulated()
async def test_the_same_msg_seq_twice_is_refused(scene: Scene) -> None:
    """
    The answer to a retry whose first attempt arrived: it means delivered.
    """
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        answers = [
            await scene.c2c("one", msg_id=message_id, msg_seq=1),
            await scene.c2c("one", msg_id=message_id, msg_seq=1),
            await scene.c2c("no number is number one", msg_id=message_id),
            await scene.c2c("two", msg_id=message_id, msg_seq=2),
        ]

    assert [number(answer) for answer in answers] == [0, 40054005, 40054005, 0]
    assert answers[1].status_code == 400
    assert [sent.text for sent in scene.sim.delivered] == ["one", "two"]
    assert len(scene.sim.refused) == 2


@simulated(dedupe=False)
async def test_without_dedup_a_retry_is_a_second_message(scene: Scene) -> None:
    """
    What the number saves people from.
    """
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        for _ in range(2):
            await scene.c2c("twice", msg_id=message_id, msg_seq=1)

    assert len(scene.sim.delivered) == 2


@simulated()
async def test_the_sixth_reply_to_a_message_is_refused(scene: Scene) -> None:
    """
    Five for each; the next message of the person brings five more. A replayed number is recognised even then.
    """
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        answers = [await scene.c2c(msg_id=message_id, msg_seq=seq) for seq in range(1, 7)]
        replayed = await scene.c2c(msg_id=message_id, msg_seq=5)
        fresh = await scene.c2c(msg_id=scene.sim.say_c2c(ANN, "more"), msg_seq=6)

    assert [number(answer) for answer in answers] == [0] * 5 + [40034128]
    assert number(replayed) == 40054005
    assert number(fresh) == 0


@simulated(expired_code=40034005)
async def test_each_scene_has_its_window(scene: Scene) -> None:
    """
    An hour for a person, five minutes for a group and a guild.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        person, group = scene.sim.say_c2c(ANN, "a"), scene.sim.say_group(GROUP, MEMBER, "b")
        channel = scene.sim.say_channel(CHANNEL, MEMBER, "c")
        scene.sim.advance(minutes=4, seconds=30)
        early = [await scene.group(msg_id=group), await scene.channel(msg_id=channel)]
        scene.sim.advance(seconds=31)
        late = [await scene.group(msg_id=group, msg_seq=2), await scene.channel(msg_id=channel)]
        scene.sim.advance(minutes=54)
        person_early = await scene.c2c(msg_id=person)
        scene.sim.advance(minutes=2)
        person_late = await scene.c2c(msg_id=person, msg_seq=2)

    assert [number(answer) for answer in early] == [0, 0]
    assert [number(answer) for answer in late] == [40034005, 304027]
    assert [number(person_early), number(person_late)] == [0, 40034005]


@simulated(expired_code=40034128)
async def test_an_expired_msg_id_may_have_the_other_number(scene: Scene) -> None:
    """
    "Passive time or count exceeded": both were seen for the same thing.
    """
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        scene.sim.advance(minutes=61)

        assert number(await scene.c2c(msg_id=message_id)) == 40034128


@simulated()
async def test_a_msg_id_of_another_chat_or_of_nobody_is_refused(scene: Scene) -> None:
    """
    It belongs to the chat it was said in.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        anns = scene.sim.say_c2c(ANN, "hello")
        answers = [
            await scene.c2c(openid=BOB, msg_id=anns),
            await scene.group(msg_id=anns),
            await scene.c2c(msg_id="made up"),
            await scene.channel(msg_id="made up"),
        ]

    assert [number(answer) for answer in answers] == [40034024, 40034024, 40034024, 304026]


@simulated()
async def test_some_events_may_be_replied_to_and_some_may_not(scene: Scene) -> None:
    """
    A new friend may be greeted; a lost one may not.
    """
    async with scene.up():
        added = scene.sim.dispatch("FRIEND_ADD", {"openid": ANN, "timestamp": 1_790_000_000})
        gone = scene.sim.dispatch("FRIEND_DEL", {"openid": ANN, "timestamp": 1_790_000_000})
        answers = [await scene.c2c(event_id=event) for event in (added, gone, "made up")]
        again = await scene.c2c(event_id=added)
        scene.sim.advance(minutes=61)
        late = await scene.c2c(event_id=added, msg_seq=2)

    assert [number(answer) for answer in answers] == [0, 40034027, 40034025]
    assert [number(again), number(late)] == [40054005, 40034026]


@simulated()
async def test_speaking_first_is_forbidden_unless_it_is_allowed_in_that_chat(scene: Scene) -> None:
    """
    And bot_state tells for a group.
    """
    async with scene.up():
        before = await scene.group()
        state_before = (await scene.get(f"/v2/groups/{GROUP}/bot_state")).json()
        scene.sim.allow_proactive("group", GROUP)
        after = await scene.group()
        state_after = (await scene.get(f"/v2/groups/{GROUP}/bot_state")).json()
        elsewhere = await scene.c2c()

    assert [number(before), number(after), number(elsewhere)] == [40034105, 0, 40034105]
    assert [state_before["allow_proactive_msg"], state_after["allow_proactive_msg"]] == [False, True]


@simulated(proactive=True, proactive_per_minute=2)
async def test_speaking_first_is_limited_even_where_it_is_allowed(scene: Scene) -> None:
    """
    For each chat on its own.
    """
    async with scene.up():
        answers = [await scene.c2c() for _ in range(3)]
        other = await scene.c2c(openid=BOB)
        scene.sim.allow_proactive("c2c", BOB, allowed=False)
        forbidden = await scene.c2c(openid=BOB)

    assert [number(answer) for answer in answers] == [0, 0, 40034100]
    assert [number(other), number(forbidden)] == [0, 40034105]


@simulated(guild_proactive_per_day=1, dm_proactive_per_day=1)
async def test_a_guild_counts_by_the_day(scene: Scene) -> None:
    """
    There the bot may always speak first, a little.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        channel = [await scene.channel() for _ in range(2)]
        dm = [await scene.post("/dms/1/messages", {"content": "x"}) for _ in range(2)]
        scene.sim.advance(hours=24)
        await scene.login()
        renewed = await scene.channel()

    assert [number(answer) for answer in channel] == [0, 304045]
    assert [number(answer) for answer in dm] == [0, 304049]
    assert number(renewed) == 0


@simulated()
async def test_a_wakeup_goes_to_a_person_once(scene: Scene) -> None:
    """
    Until they speak again.
    """
    async with scene.up():
        answers = [await scene.c2c(is_wakeup=True) for _ in range(2)]
        in_group = await scene.group(is_wakeup=True)
        scene.sim.say_c2c(ANN, "I am back")
        again = await scene.c2c(is_wakeup=True)

    assert [number(answer) for answer in answers] == [0, 40034122]
    assert [number(in_group), number(again)] == [40034123, 0]


@pytest.mark.parametrize("code", [40054013, 40054004, 40054002, 40034101])
def test_a_chat_can_be_closed_to_the_bot(code: int) -> None:
    """
    For whichever reason; replies too.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        async with scene.up():
            scene.sim.forbid("c2c", ANN, code)
            refused = await scene.c2c(msg_id=scene.sim.say_c2c(ANN, "x"))
            scene.sim.forbid("c2c", ANN, None)
            accepted = await scene.c2c(msg_id=scene.sim.say_c2c(ANN, "y"))

            assert [number(refused), number(accepted)] == [code, 0]

    scenario()


# ---- sending: content ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": ""}, 50006),
        ({"msg_type": 2, "markdown": {}}, 50006),
        ({"msg_type": 3}, 50059),
        ({"msg_type": 4, "embed": "x"}, 50059),
        ({"msg_type": 6}, 50059),
        ({"msg_type": 7, "media": {"file_info": "made up"}}, 304080),
        ({"msg_type": 7}, 304080),
        ({"msg_type": 99}, 50035),
        ({"msg_type": None}, 50035),
        ({"msg_seq": "1"}, 12002),
        ({"keyboard": {"content": {"rows": [{"buttons": [{}] * 6}]}}}, 40034029),
    ],
)
def test_a_message_without_form_is_refused(body: dict[str, Any], code: int) -> None:
    """
    By what it lacks.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        async with scene.up():
            message_id = scene.sim.say_c2c(ANN, "hello")
            fields = {"msg_type": 0, "content": "hi", "msg_id": message_id, **body}
            answer = await scene.post(f"/v2/users/{ANN}/messages", fields)

            assert number(answer) == code
            assert scene.sim.delivered == []

    scenario()


@simulated(text_max_chars=10)
async def test_long_text_is_refused(scene: Scene) -> None:
    """
    And not cut.
    """
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        answers = [await scene.c2c("x" * size, msg_id=message_id, msg_seq=size) for size in (10, 11)]

    assert [number(answer) for answer in answers] == [0, 40054007]


@simulated(urls_allowed=False)
async def test_addresses_can_be_forbidden(scene: Scene) -> None:
    """
    Those that nobody registered.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        answers = [
            await scene.c2c("see https://example.org", msg_id=scene.sim.say_c2c(ANN, "x")),
            await scene.channel("see example.com", msg_id=scene.sim.say_channel(CHANNEL, MEMBER, "x")),
            await scene.c2c("3.14 or so", msg_id=scene.sim.say_c2c(ANN, "x")),
        ]

    assert [number(answer) for answer in answers] == [40054010, 304003, 0]


@pytest.mark.parametrize("code", [None, 50056, 304036, 40034127])
def test_markdown_is_taken_or_refused(code: int | None) -> None:
    """
    Plain text is taken in any case.
    """

    @simulated(markdown_code=code)
    async def scenario(scene: Scene) -> None:
        async with scene.up():
            message_id = scene.sim.say_c2c(ANN, "hello")
            styled = {"msg_type": 2, "markdown": {"content": "**hi**"}, "msg_id": message_id}
            answer = await scene.post(f"/v2/users/{ANN}/messages", styled)
            plain = await scene.c2c("hi", msg_id=message_id, msg_seq=2)

            assert [number(answer), number(plain)] == [code or 0, 0]
            assert scene.sim.delivered[-1].text == "hi"
            assert code is not None or scene.sim.delivered[0].text == "**hi**"

    scenario()


@simulated(banned_words=("gold",))
async def test_words_can_be_banned(scene: Scene) -> None:
    """
    Moderation, before anyone sees it.
    """
    async with scene.up(intents=PUBLIC_INTENTS):
        c2c = await scene.c2c("buy gold", msg_id=scene.sim.say_c2c(ANN, "x"))
        channel = await scene.channel("buy gold", msg_id=scene.sim.say_channel(CHANNEL, MEMBER, "x"))

    assert [number(c2c), number(channel)] == [40034006, 304025]


@simulated()
async def test_an_openid_of_the_wrong_kind_is_refused_with_500(scene: Scene) -> None:
    """
    A 500 that no retry helps against.
    """
    async with scene.up():
        scene.sim.say_group(GROUP, MEMBER, "hello")
        answer = await scene.c2c(openid=GROUP)

    assert (answer.status_code, number(answer)) == (500, 11255)


@simulated(sends_per_second=1, retry_after_s=3.0)
async def test_sending_too_fast_is_429_with_a_time_to_wait(scene: Scene) -> None:
    """
    In a header that may also be missing.
    """
    scene.clock.rate = 0.0
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        first = await scene.c2c(msg_id=message_id, msg_seq=1)
        second = await scene.c2c(msg_id=message_id, msg_seq=2)
        scene.sim.knobs.retry_after_s = None
        third = await scene.c2c(msg_id=message_id, msg_seq=2)
        scene.sim.advance(seconds=2)
        fourth = await scene.c2c(msg_id=message_id, msg_seq=2)

    assert [answer.status_code for answer in (first, second, third, fourth)] == [200, 429, 429, 200]
    assert second.headers["retry-after"] == "3"
    assert "retry-after" not in third.headers


# ---- sending: what becomes of it ----


@simulated()
async def test_what_is_sent_while_no_session_is_up_is_swallowed(scene: Scene) -> None:
    """
    The platform's own trap: 200, an id, and nobody sees it. In a guild it says so.
    """
    async with scene.up(intents=PUBLIC_INTENTS) as peer:
        message_id = scene.sim.say_c2c(ANN, "hello")
        channel = scene.sim.say_channel(CHANNEL, MEMBER, "hello")
        await scene.c2c("seen", msg_id=message_id, msg_seq=1)
        scene.sim.order(Close(4009))
        await peer.closed()
    down = await scene.c2c("unseen", msg_id=message_id, msg_seq=2)
    guild = await scene.channel(msg_id=channel)
    retried = await scene.c2c("unseen", msg_id=message_id, msg_seq=2)

    assert down.status_code == 200
    assert down.json()["id"]
    assert [(sent.text, sent.swallowed) for sent in scene.sim.delivered] == [("seen", False), ("unseen", True)]
    assert [sent.text for sent in scene.sim.seen] == ["seen"]
    assert number(guild) == 304018
    assert number(retried) == 40054005


@simulated(swallow_when_down=False, guild_when_down="swallow")
async def test_a_kinder_platform_delivers_without_a_session(scene: Scene) -> None:
    """
    For tests that are not about this.
    """
    await scene.c2c(msg_id=scene.sim.say_c2c(ANN, "hello"))
    await scene.channel(msg_id=scene.sim.say_channel(CHANNEL, MEMBER, "hello"))

    assert [sent.swallowed for sent in scene.sim.delivered] == [False, False]


@pytest.mark.parametrize("fault", [Stall(), Reset(), CloseAtOnce()])
def test_a_send_can_take_effect_and_its_answer_be_lost(fault: Any) -> None:
    """
    The ambiguous failure: the message is on the screen, and the bot does not know.
    """

    @simulated()
    async def scenario(scene: Scene) -> None:
        scene.sim.script("messages", fault, after=True, times=1)
        async with scene.up():
            message_id = scene.sim.say_c2c(ANN, "hello")
            async with trio.open_nursery() as nursery:

                async def attempt() -> None:
                    with pytest.raises(httpx.TransportError):
                        await scene.c2c("once", msg_id=message_id, msg_seq=1)

                nursery.start_soon(attempt)
                await scene.sim.wait_until(lambda: len(scene.sim.delivered) == 1)
                await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()
            retried = await scene.c2c("once", msg_id=message_id, msg_seq=1)

            assert number(retried) == 40054005
            assert len(scene.sim.delivered) == 1
            assert scene.sim.requests_to("messages")[0].fault == fault

    scenario()


@simulated()
async def test_a_500_may_hide_a_success_or_name_a_reason(scene: Scene) -> None:
    """
    Without err_code nobody knows; with one it is final. And one may come before anything happened.
    """
    scene.sim.script("messages", front_end(500), after=True, times=1)
    scene.sim.script("messages", problem(50059), times=1)
    scene.sim.script("messages", Response(500, {"content-type": "application/json"}, b"{}"), times=1)
    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "hello")
        answers = [await scene.c2c(str(seq), msg_id=message_id, msg_seq=seq) for seq in (1, 2, 3)]

    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert number(answers[1]) == 50059
    assert [sent.text for sent in scene.sim.delivered] == ["1"]


@simulated()
async def test_scripts_choose_their_calls(scene: Scene) -> None:
    """
    By chat, by count, by time and by a question.
    """
    scene.sim.script("messages", problem(40034100), scene="group", times=1)
    scene.sim.script("messages", problem(304082), target=BOB, until=60)
    scene.sim.script("messages", problem(100017), when=lambda call: call.body["content"] == "odd")
    cancelled = scene.sim.script("*", problem(11298))
    cancelled.cancel()
    async with scene.up():
        ann, bob = scene.sim.say_c2c(ANN, "x"), scene.sim.say_c2c(BOB, "x")
        group = scene.sim.say_group(GROUP, MEMBER, "x")
        answers = [
            await scene.c2c(msg_id=ann, msg_seq=1),
            await scene.c2c(openid=BOB, msg_id=bob),
            await scene.group(msg_id=group),
            await scene.group(msg_id=group),
            await scene.c2c("odd", msg_id=ann, msg_seq=2),
        ]
        scene.sim.advance(minutes=1)
        later = await scene.c2c(openid=BOB, msg_id=bob)

    assert [number(answer) for answer in answers] == [0, 304082, 40034100, 0, 100017]
    assert number(later) == 0


@pytest.mark.parametrize(("style", "event"), [("pass", "MESSAGE_AUDIT_PASS"), ("reject", "MESSAGE_AUDIT_REJECT")])
def test_an_audited_message_is_decided_later(style: str, event: str) -> None:
    """
    202 with the shape of an error: neither a failure nor a success.
    """

    @simulated(audit=style, audit_after_ms=1)
    async def scenario(scene: Scene) -> None:
        async with scene.up(intents=PUBLIC_INTENTS) as peer:
            message_id = scene.sim.say_c2c(ANN, "hello")
            await peer.hear()
            answer = await scene.c2c("look at this", msg_id=message_id)
            decided = await peer.hear()
            audit_id = answer.json()["data"]["message_audit"]["audit_id"]

            assert (answer.status_code, number(answer)) == (202, 304024)
            assert (decided["t"], decided["d"]["audit_id"]) == (event, audit_id)
            assert decided["d"]["user_openid"] == ANN
            assert [sent.text for sent in scene.sim.delivered] == (["look at this"] if style == "pass" else [])
            assert ("message_id" in decided["d"]) == (style == "pass")
            assert scene.sim.refused == []

    scenario()


@simulated(audit="held", proactive=True, audit_status=201)
async def test_the_test_can_be_the_auditor(scene: Scene) -> None:
    """
    The same message again is a duplicate meanwhile: it was taken.
    """
    async with scene.up(intents=PUBLIC_INTENTS) as peer:
        answer = await scene.c2c("first words")
        audit_id = answer.json()["data"]["message_audit"]["audit_id"]
        scene.sim.decide(audit_id, passed=True)

        assert (answer.status_code, number(answer)) == (201, 304023)
        assert (await peer.hear())["d"]["message_id"] == scene.sim.delivered[0].id
        assert scene.sim.audits[audit_id].passed is True
        with pytest.raises(ValueError, match="has been decided"):
            scene.sim.decide(audit_id, passed=False)


@simulated(displaced_code=None, ready_shard="sample")
async def test_a_displaced_connection_may_end_without_a_word(scene: Scene) -> None:
    """
    Unknown which; and READY may repeat the documents' [0, 0] whatever the shard.
    """
    async with scene.dial() as first:
        ready = await scene.identify(first)
        async with scene.up():
            assert await first.closed() is None

    assert ready["d"]["shard"] == [0, 0]


@simulated()
async def test_a_session_that_was_forgotten_goes_on_while_its_connection_lasts(scene: Scene) -> None:
    """
    The loss shows at the next Resume, not before.
    """
    async with scene.up() as peer:
        scene.sim.end_sessions()
        scene.sim.say_c2c(ANN, "still heard")

        assert (await peer.hear())["d"]["content"] == "still heard"
        assert scene.sim.lost == []


@simulated()
async def test_a_client_that_never_reads_is_torn_off(scene: Scene) -> None:
    """
    What waits for it would otherwise fill the memory of the test.
    """
    from statecore_adapters.qqbot.simulator import connection

    async with scene.up() as peer:
        scene.sim.order(*[Send({"op": 1})] * (connection.OUTBOX_STEPS_MAX + 10))

        assert await peer.closed() is None


@simulated()
async def test_a_form_that_is_none_is_refused(scene: Scene) -> None:
    """
    So is an empty message in a guild.
    """
    headers = scene.headers() | {"content-type": "multipart/form-data; boundary=x"}
    path = f"/channels/{CHANNEL}/messages"
    broken = await scene.http.post(path, content=b"nothing of the kind", headers=headers)
    nameless = await scene.http.post(path, content=b"--x\r\n\r\n1\r\n--x--\r\n", headers=headers)
    odd = b'--x\r\ncontent-disposition: form-data; name="content"\r\n\r\n{odd\r\n--x--\r\n'
    async with scene.up():
        kept = await scene.http.post(path, content=odd, headers=headers)
        empty = await scene.post(path, {})

    assert [number(broken), number(nameless), number(empty)] == [12002, 12002, 50006]
    assert kept.status_code == 200
    assert scene.sim.delivered[0].text == "{odd"


# ---- files and streams ----


@simulated()
async def test_a_file_in_one_piece_can_be_sent_to_its_kind_of_chat(scene: Scene) -> None:
    """
    What was uploaded for persons is no good in a group, and nothing is good for ever.
    """
    async with scene.up():
        person, group = scene.sim.say_c2c(ANN, "x"), scene.sim.say_group(GROUP, MEMBER, "x")
        uploaded = (await scene.post(f"/v2/users/{ANN}/files", {"file_type": 1, "file_data": "aGk="})).json()
        media: dict[str, Any] = {"msg_type": 7, "media": {"file_info": uploaded["file_info"]}, "content": " "}
        sent = await scene.c2c(msg_id=person, msg_seq=1, **media)
        elsewhere = await scene.group(msg_id=group, **media)
        scene.sim.advance(seconds=uploaded["ttl"] + 1)
        late = await scene.c2c(msg_id=person, msg_seq=2, **media)

    assert set(uploaded) == {"file_uuid", "file_info", "ttl"}
    assert [number(sent), number(elsewhere), number(late)] == [0, 304080, 304080]
    assert scene.sim.delivered[0].msg_type == 7


@simulated(inline_max_bytes=1000)
async def test_a_file_too_large_for_one_piece_meets_the_front_end(scene: Scene) -> None:
    """
    413 in HTML: the platform never saw it. And a file that is none is refused.
    """
    large = await scene.post(f"/v2/groups/{GROUP}/files", {"file_type": 4, "file_data": "a" * 1000})
    nothing = await scene.post(f"/v2/groups/{GROUP}/files", {"file_type": 9, "url": "http://x"})

    assert (large.status_code, large.headers["content-type"]) == (413, "text/html")
    assert number(nothing) == 12002


@simulated(proactive=True)
async def test_a_file_can_be_sent_by_its_upload(scene: Scene) -> None:
    """
    srv_send_msg: it counts as speaking first.
    """
    body = {"file_type": 1, "url": "http://host/a.png", "srv_send_msg": True}
    async with scene.up():
        sent = (await scene.post(f"/v2/users/{ANN}/files", body)).json()
        scene.sim.knobs.proactive = False
        refused = await scene.post(f"/v2/users/{ANN}/files", body)

    assert sent["id"] == scene.sim.delivered[0].id
    assert number(refused) == 40034105


@pytest.mark.parametrize(("size_is", "first"), [("int", 1), ("string", 0)])
def test_a_file_in_parts_is_put_together(size_is: str, first: int) -> None:
    """
    Prepare, put each part at its address, report each, and claim the file. block_size may be a string, and the first
    part number 0; reports count from 1 in any case.
    """

    @simulated(block_size_bytes=4, block_size_is=size_is, first_part=first, part_finish_fails=1)
    async def scenario(scene: Scene) -> None:
        data = b"ten bytes!"
        prepared = (
            await scene.post(
                f"/v2/users/{ANN}/upload_prepare",
                {
                    "file_type": 4,
                    "file_name": "a.txt",
                    "file_size": len(data),
                    "md5": hashlib.md5(data).hexdigest(),
                    "sha1": hashlib.sha1(data).hexdigest(),
                    "md5_10m": hashlib.md5(data).hexdigest(),
                },
            )
        ).json()
        answers = []
        early = await scene.post(f"/v2/users/{ANN}/files", {"upload_id": prepared["upload_id"]})
        for place, part in enumerate(prepared["parts"]):
            piece = data[4 * place : 4 * place + 4]
            assert (await scene.http.put(part["presigned_url"], content=piece)).status_code == 200
            report = {
                "upload_id": prepared["upload_id"],
                "part_index": place + 1,
                "block_size": len(piece),
                "md5": hashlib.md5(piece).hexdigest(),
            }
            answers.append(await scene.post(f"/v2/users/{ANN}/upload_part_finish", report))
            if number(answers[-1]) == 40093001:
                answers.append(await scene.post(f"/v2/users/{ANN}/upload_part_finish", report))
        file = (await scene.post(f"/v2/users/{ANN}/files", {"upload_id": prepared["upload_id"]})).json()

        assert prepared["block_size"] == (4 if size_is == "int" else "4")
        assert [part["index"] for part in prepared["parts"]] == [first, first + 1, first + 2]
        assert number(early) == 40034001
        assert [number(answer) for answer in answers] == [40093001, 0, 0, 0]
        assert file["file_info"]

    scenario()


@simulated(upload_quota_used=True)
async def test_uploads_in_parts_have_their_own_refusals(scene: Scene) -> None:
    """
    The quota of the day, a part nobody asked for, one that differs, and storage that wants no token.
    """
    sums = {"md5": "0", "sha1": "0", "md5_10m": "0"}
    body = {"file_type": 4, "file_name": "a", "file_size": "3", **sums}
    full = await scene.post(f"/v2/users/{ANN}/upload_prepare", body)
    scene.sim.knobs.upload_quota_used = False
    empty = await scene.post(f"/v2/users/{ANN}/upload_prepare", {**body, "file_size": 0})
    prepared = (await scene.post(f"/v2/users/{ANN}/upload_prepare", body)).json()
    url = prepared["parts"][0]["presigned_url"]
    with_token = await scene.http.put(url, content=b"abc", headers=scene.headers())
    elsewhere = await scene.http.put(url.replace("/1?", "/9?"), content=b"abc")
    report = {"upload_id": prepared["upload_id"], "part_index": 1, "block_size": 3, "md5": "0"}
    missing = await scene.post(f"/v2/users/{ANN}/upload_part_finish", report)
    await scene.http.put(url, content=b"abc")
    different = await scene.post(f"/v2/users/{ANN}/upload_part_finish", report)

    assert [number(full), number(empty)] == [40093002, 12002]
    assert [with_token.status_code, elsewhere.status_code] == [400, 403]
    assert [number(missing), number(different)] == [40093001, 12002]


@simulated()
async def test_a_stream_is_one_message_and_uses_one_reply(scene: Scene) -> None:
    """
    However many pieces: what was shown may not change, and the last piece makes it whole.
    """

    async def piece(index: int, text: str, state: int = 1, **fields: Any) -> httpx.Response:
        body = {
            "input_mode": "replace",
            "input_state": state,
            "content_type": "markdown",
            "content_raw": text,
            "msg_id": message_id,
            "msg_seq": 1,
            "index": index,
            **fields,
        }
        return await scene.post(f"/v2/users/{ANN}/stream_messages", body)

    async with scene.up():
        message_id = scene.sim.say_c2c(ANN, "tell me")
        first = (await piece(0, "Once")).json()
        more = await piece(1, "Once upon", stream_msg_id=first["id"])
        changed = await piece(2, "Twice", stream_msg_id=first["id"])
        stale = await piece(1, "Once upon a", stream_msg_id=first["id"])
        unfinished = list(scene.sim.delivered)
        last = await piece(3, "Once upon a time", 10, stream_msg_id=first["id"])
        after = await piece(4, "Once upon a time.", 10, stream_msg_id=first["id"])
        wrong = await piece(0, "x", input_mode="append")
        wrong_type = await piece(0, "x", content_type="text")
        reply = await scene.c2c("and more", msg_id=message_id, msg_seq=2)

    assert [more.status_code, last.status_code] == [200, 200]
    assert (changed.status_code, changed.json()["code"], number(changed)) == (404, 40007, 40113003)
    assert [number(answer) for answer in (stale, after, wrong, wrong_type)] == [12002] * 4
    assert unfinished == []
    assert [sent.text for sent in scene.sim.delivered] == ["Once upon a time", "and more"]
    assert scene.sim.delivered[0].id == first["id"]
    assert number(reply) == 0


# ---- the record ----


@simulated()
async def test_the_record_is_complete_and_can_be_printed(scene: Scene) -> None:
    """
    Requests with status and reason, dials with both close codes, and a line for everything.
    """
    async with scene.up() as peer:
        await scene.c2c()
        scene.sim.order(Close(4009))
        await peer.closed()
    await scene.sim.wait_until(lambda: scene.sim.dials[0].closed_at is not None)
    dial, request = scene.sim.dials[0], scene.sim.refused[0]
    text = "\n".join(str(entry) for entry in scene.sim.log)

    assert (dial.status, dial.close_sent, dial.close_received) == (101, 4009, 4009)
    assert dial.up_at is not None
    assert not dial.is_up
    assert (request.method, request.path, request.status) == ("POST", f"/v2/users/{ANN}/messages", 400)
    assert (request.err_code, request.why, request.scene, request.target) == (40034105, "rule", "c2c", ANN)
    assert request.trace_id == (request.answer or {})["trace_id"]
    assert "dial 1 closed with 4009" in text
    assert "400 40034105 (rule)" in text


def test_a_log_keeps_its_limit() -> None:
    """
    A busy loop in a client must not fill the memory of the test.
    """
    from statecore_adapters.qqbot.simulator import records

    log = list(range(records.RECORDS_MAX))
    records.keep(log, -1)

    assert len(log) == records.RECORDS_MAX - records.RECORDS_MAX // 10 + 1
    assert log[-1] == -1


@simulated()
async def test_sessions_are_forgotten_the_oldest_first(scene: Scene) -> None:
    """
    A flapping client makes one with each Identify.
    """
    from statecore_adapters.qqbot.simulator.model import SESSIONS_MAX, Session

    for count in range(SESSIONS_MAX + 5):
        scene.bot.start(Session(str(count), (0, 1), CHAT_INTENTS))

    assert len(scene.bot.sessions) == SESSIONS_MAX
    assert "0" not in scene.bot.sessions


def test_two_simulators_of_one_seed_make_the_same_ids() -> None:
    """
    A failure can be run again, and its log compared.
    """

    async def ids(seed: int) -> list[str]:
        async with open_simulator(seed=seed) as sim:
            sim.add_bot()
            return [sim.say_c2c(ANN, "one"), sim.say_channel(CHANNEL, MEMBER, "two"), sim.dm_guild(MEMBER)]

    assert trio.run(ids, 1) == trio.run(ids, 1)
    assert trio.run(ids, 1) != trio.run(ids, 2)


@simulated()
async def test_the_clock_is_moved_forward_only(scene: Scene) -> None:
    """
    And the date goes with it.
    """
    before = scene.sim.wall_ms()
    scene.sim.advance(hours=1)
    with pytest.raises(ValueError, match="does not go back"):
        scene.sim.advance(seconds=-1)

    assert scene.sim.wall_ms() - before >= 3_600_000
    assert scene.sim.now() >= 3600


@simulated()
async def test_a_name_is_taken_once(scene: Scene) -> None:
    """
    And without a bot nobody can be spoken to.
    """
    with pytest.raises(ValueError, match="already a bot"):
        scene.sim.add_bot()
    async with open_simulator() as other:
        with pytest.raises(LookupError, match="add_bot"):
            other.say_c2c(ANN, "hello")


@pytest.mark.parametrize(
    "knobs",
    [
        {"acks": 1, "replay": "x"},
        {"expires_in": None},
        {"token_lifetime_s": 0},
        {"markdown_code": 1},
        {"first_part": 2},
    ],
)
def test_an_impossible_knob_is_refused_at_once(knobs: Mapping[str, Any]) -> None:
    """
    A typo in a test must not test nothing.
    """
    with pytest.raises(ValueError, match="must be"):
        Knobs(**knobs)


def test_a_bug_in_the_simulator_ends_it_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It must not look like a fault of the platform.
    """
    from statecore_adapters.qqbot.simulator import events

    def broken(_interval_ms: float) -> dict[str, Any]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(events, "hello", broken)

    async def main() -> None:
        async with open_simulator() as sim, connect(sim.ws_url) as ws:
            await ws.recv()

    with pytest.raises(ZeroDivisionError, match="a bug"):
        trio.run(main)


def test_a_port_that_is_taken_is_an_ordinary_error() -> None:
    """
    Not a group of them.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            port = int(sim.ws_url.rpartition(":")[2].partition("/")[0])
            async with open_simulator(ws_port=port):
                pass

    with pytest.raises(OSError, match="in use"):
        trio.run(main)


# ---- at a terminal ----


def test_at_a_terminal_lines_are_said_and_answers_are_printed() -> None:
    """
    The same server, for a person with a bot in any language.
    """

    async def main() -> list[str]:
        command = [sys.executable, "-m", "statecore_adapters.qqbot.simulator", "--user", ANN, "--group", GROUP]
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
            )
            lines = _lines(process.stdout)
            facts = dict([(await anext(lines)).split() for _ in range(5)])
            async with httpx.AsyncClient(base_url=facts["api_base"], verify=False) as http:
                body = {"appId": facts["app_id"], "clientSecret": facts["secret"]}
                token = (await http.post(facts["token_url"], json=body)).json()["access_token"]
                headers = {"authorization": f"QQBot {token}"}
                async with connect(facts["ws_url"], ping_interval=None) as ws:
                    peer = Peer(ws)
                    await peer.hear()
                    await peer.say(2, {"token": f"QQBot {token}", "intents": CHAT_INTENTS, "shard": [0, 1]})
                    await peer.hear()
                    await process.stdin.send_all(b"hello\ngroup: all\n")
                    heard = [(await peer.hear())["d"] for _ in range(2)]
                    path = f"/v2/users/{ANN}/messages"
                    await http.post(path, headers=headers, json={"msg_type": 0, "content": "x"})
                    reply = {"msg_type": 0, "content": "hi there", "msg_id": heard[0]["id"]}
                    await http.post(path, headers=headers, json=reply)
                    printed = [await anext(lines), await anext(lines)]
                    await process.stdin.send_all(b"/what\n/void\n/log\n/close 4009\n")
                    assert (await anext(lines)).startswith("? /what: there are /close CODE")
                    assert await peer.closed() == 4009
            process.send_signal(signal.SIGINT)
            async for _line in lines:
                pass
            return [heard[0]["content"], heard[1]["content"].strip(), *printed]

    heard, group, refused, sent = trio.run(main)

    assert (heard, group) == ("hello", "all")
    assert json.dumps(40034105) in refused
    assert sent == f"< c2c {ANN}: hi there"


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[str, None]:
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()
