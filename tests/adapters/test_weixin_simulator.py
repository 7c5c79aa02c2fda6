"""The simulated WeChat server, spoken to through real sockets.

Time is trio's mock clock running at normal speed: `scene.clock.jump()` makes a day pass, and nothing sleeps.
"""

import base64
import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import httpx
import orjson
import pytest
import trio
import trio.testing

from statecore_adapters import httpd
from statecore_adapters.weixin.simulator import (
    Bot,
    Burst,
    Call,
    CloseAtOnce,
    Flood,
    HalfResponse,
    Knobs,
    Response,
    Simulator,
    SlowBody,
    Stall,
    open_simulator,
)

ANN = "o9cq80ann@im.wechat"
BOB = "o9cq80bob@im.wechat"
AUTH_DEAD = {"errcode": -14, "errmsg": "session timeout"}
INVALID = {"ret": -2, "errmsg": "invalid arguments"}
HOLD_MS = 60  # long enough to be held, short enough to wait for


@attrs.define
class Scene:
    """One simulator, one bot, and a client that behaves like the official one."""

    sim: Simulator
    bot: Bot
    http: httpx.AsyncClient
    clock: trio.testing.MockClock
    calls: int = 0

    def headers(self, token: str | None = None) -> dict[str, str]:
        self.calls += 1
        return {
            "Content-Type": "application/json",
            "AuthorizationType": "ilink_bot_token",
            "Authorization": f"Bearer {token or self.bot.token}",
            "X-WECHAT-UIN": base64.b64encode(str(self.calls).encode()).decode(),
            "iLink-App-Id": "bot",
            "iLink-App-ClientVersion": "132105",
        }

    async def raw(self, endpoint: str, body: Mapping[str, Any], token: str | None = None) -> httpx.Response:
        content = orjson.dumps({**body, "base_info": {"channel_version": "2.4.9"}})
        return await self.http.post(f"/ilink/bot/{endpoint}", content=content, headers=self.headers(token))

    async def post(self, endpoint: str, body: Mapping[str, Any], token: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = orjson.loads((await self.raw(endpoint, body, token)).content)
        return answer

    async def poll(self, cursor: str = "", token: str | None = None) -> dict[str, Any]:
        return await self.post("getupdates", {"get_updates_buf": cursor}, token)

    async def texts(self, cursor: str = "") -> list[str]:
        return [message["item_list"][0]["text_item"]["text"] for message in (await self.poll(cursor))["msgs"]]

    async def send(self, user: str = ANN, text: str = "hi", **changes: Any) -> dict[str, Any]:
        return await self.post("sendmessage", {"msg": self.message(user, text, **changes)})

    def message(self, user: str, text: str, **changes: Any) -> dict[str, Any]:
        self.calls += 1
        return {
            "from_user_id": "",
            "to_user_id": user,
            "client_id": f"test-{self.calls}",
            "message_type": 2,
            "message_state": 2,
            "item_list": [{"type": 1, "text_item": {"text": text}}],
            **changes,
        }

    def tokens(self, user: str = ANN) -> list[str]:
        """Return the context tokens of a user, the oldest first."""
        return list(self.bot.peer(user).tokens)

    def why(self) -> str:
        """Return which check refused the last request."""
        return self.sim.requests[-1].why


Scenario = Callable[[Scene], Awaitable[None]]


def simulated(**knobs: Any) -> Callable[[Scenario], Callable[[], None]]:
    """Run the test against a simulator with these knobs."""

    def wrap(scenario: Scenario) -> Callable[[], None]:
        clock = trio.testing.MockClock(rate=1.0)

        async def main() -> None:
            async with (
                open_simulator(knobs=Knobs(**{"hold_ms": HOLD_MS, **knobs})) as sim,
                httpx.AsyncClient(base_url=sim.base_url, timeout=None, verify=False) as http,
            ):
                await scenario(Scene(sim, sim.add_bot(), http, clock))

        def test() -> None:
            trio.run(main, clock=clock)

        test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
        return test

    return wrap


# ---- getupdates ----


@simulated(hold_ms=3_600_000)
async def test_a_held_poll_ends_the_moment_a_user_speaks(scene: Scene) -> None:
    """
    The whole point of a long poll. A server that only looked at the end of the hold would hide slow clients.
    """
    answers: list[dict[str, Any]] = []

    async def poll() -> None:
        answers.append(await scene.poll())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 1)
        message_id = scene.sim.say(scene.bot, ANN, "wake up")

    assert message_id == answers[0]["msgs"][0]["message_id"]
    assert answers[0]["ret"] == 0


@simulated()
async def test_an_idle_poll_ends_with_nothing_after_the_hold(scene: Scene) -> None:
    """
    An idle answer is a success, and clients that treat it as a failure back off for no reason.
    """
    answer = await scene.poll()

    assert answer["ret"] == 0
    assert answer["msgs"] == []
    assert answer["get_updates_buf"].startswith("CgkI")


@simulated(idle_omits_ret=True, idle_omits_msgs=True, idle_omits_cursor=True)
async def test_an_idle_answer_may_be_an_empty_object(scene: Scene) -> None:
    """
    Seen live. A client that reads ret with a default of -1 would call every idle poll a failure.
    """
    assert await scene.poll() == {}


@simulated(idle_omits_ret=True, idle_omits_msgs=True, idle_omits_cursor=True)
async def test_what_idle_answers_omit_is_there_when_there_are_messages(scene: Scene) -> None:
    """
    The knobs are about idle answers only; without a cursor a batch could never be acknowledged.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    assert {"ret", "msgs", "get_updates_buf"} == set(await scene.poll())


@simulated(longpolling_timeout_ms=1)
async def test_the_hint_for_the_next_hold_is_sent_as_asked(scene: Scene) -> None:
    """
    A hint of 1 ms that is obeyed to the letter makes a client spin.
    """
    assert (await scene.poll())["longpolling_timeout_ms"] == 1


@simulated(hold_ms=0)
async def test_no_hold_at_all_still_answers(scene: Scene) -> None:
    """
    The shortest hold: a poll loop without a floor of its own shows itself.
    """
    assert (await scene.poll())["msgs"] == []


@simulated()
async def test_a_cursor_that_is_not_echoed_brings_the_same_messages_again(scene: Scene) -> None:
    """
    The cursor is the acknowledgement. A client that lost the answer gets it again, and must recognise it.
    """
    scene.sim.say(scene.bot, ANN, "one")
    first = await scene.poll()
    scene.sim.say(scene.bot, ANN, "two")

    assert await scene.texts() == ["one", "two"]
    assert await scene.texts(first["get_updates_buf"]) == ["two"]


@simulated(batch_max=2)
async def test_a_long_backlog_comes_in_batches(scene: Scene) -> None:
    """
    The cursor of a batch stands after its own last message, not after the newest one there is.
    """
    for text in ("one", "two", "three"):
        scene.sim.say(scene.bot, ANN, text)
    first = await scene.poll()

    assert len(first["msgs"]) == 2
    assert await scene.texts(first["get_updates_buf"]) == ["three"]


@simulated(retained_max=2)
async def test_messages_beyond_the_retained_ones_are_lost(scene: Scene) -> None:
    """
    A bot that was away for too long does not get everything, and cannot tell.
    """
    for text in ("one", "two", "three"):
        scene.sim.say(scene.bot, ANN, text)

    assert await scene.texts() == ["two", "three"]


@simulated(foreign_cursor="replay")
async def test_a_foreign_cursor_replays_what_is_retained(scene: Scene) -> None:
    """
    Happens after a container was restored from an old volume: every old message is answered once more.
    """
    scene.sim.say(scene.bot, ANN, "one")
    other = scene.sim.add_bot("ffffffffffff@im.bot")
    foreign = (await scene.poll(token=other.token))["get_updates_buf"]

    assert await scene.texts(foreign) == ["one"]
    assert await scene.texts("not base64 at all") == ["one"]


@simulated(foreign_cursor="reject")
async def test_a_foreign_cursor_can_be_refused(scene: Scene) -> None:
    """
    Nobody knows what the real server does, so a client has to survive both.
    """
    assert await scene.poll("CgkI") == INVALID
    assert scene.why() == "cursor"


@simulated(empty_cursor="latest")
async def test_an_empty_cursor_may_skip_the_backlog(scene: Scene) -> None:
    """
    The other answer to an open question: then what was said before the first poll is never seen.
    """
    scene.sim.say(scene.bot, ANN, "too early")

    assert (await scene.poll())["msgs"] == []


@simulated(instant_empty=True, hold_ms=3_600_000)
async def test_instant_empty_polls_hide_even_waiting_messages(scene: Scene) -> None:
    """
    A captive portal or a broken proxy: success at once, nothing in it, for ever. The classic busy loop.
    """
    scene.sim.say(scene.bot, ANN, "hidden")

    assert (await scene.poll())["msgs"] == []
    scene.sim.knobs.instant_empty = False
    assert await scene.texts() == ["hidden"]


@simulated(message_flood=3)
async def test_a_message_flood_fills_every_poll(scene: Scene) -> None:
    """
    A client that reads faster than it works has to bound what it queues.
    """
    first = await scene.poll()
    second = await scene.poll(first["get_updates_buf"])

    assert len(first["msgs"]) == len(second["msgs"]) == 3
    assert {m["message_id"] for m in first["msgs"]}.isdisjoint(m["message_id"] for m in second["msgs"])


@simulated()
async def test_every_id_is_a_number_that_a_float_cannot_hold(scene: Scene) -> None:
    """
    Ids are uint64 on the wire. Read as doubles, neighbours become equal and one message hides the other.
    """
    ids = [scene.sim.say(scene.bot, ANN, text) for text in ("one", "two")]
    raw = await scene.raw("getupdates", {"get_updates_buf": ""})
    accepted = await scene.send()

    assert f'"message_id":{ids[0]}'.encode() in raw.content
    assert ids[0] > 2**53
    assert ids[0] != ids[1]
    assert float(ids[0]) == float(ids[1])
    assert accepted["message_id"] > 2**53


@simulated()
async def test_json_is_served_as_an_octet_stream(scene: Scene) -> None:
    """
    The real server does. A client that decides by content type sees no JSON at all.
    """
    assert (await scene.raw("getupdates", {"get_updates_buf": ""})).headers[
        "content-type"
    ] == "application/octet-stream"


async def _two_polls(scene: Scene, *, then: Callable[[], object]) -> list[dict[str, Any]]:
    """Hold an older and a newer poll of one token, let *then* happen, and return both answers in that order."""
    answers: list[dict[str, Any]] = [{}, {}]

    async def poll(index: int) -> None:
        answers[index] = await scene.poll()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll, 0)
        await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 1)
        nursery.start_soon(poll, 1)
        await scene.sim.wait_until(lambda: scene.sim.polls == 2)
        await trio.testing.wait_all_tasks_blocked()
        then()
    return answers


@simulated(concurrent_polls="steal", hold_ms=3_600_000)
async def test_of_two_polls_the_newer_hears_and_the_older_is_deaf(scene: Scene) -> None:
    """
    Two processes on one token: each sees a part of the conversation, and neither knows.
    """

    def speak_and_let_the_hold_pass() -> None:
        scene.sim.say(scene.bot, ANN, "who hears me")
        scene.clock.jump(3600)

    older, newer = await _two_polls(scene, then=speak_and_let_the_hold_pass)

    assert older["msgs"] == []
    assert len(newer["msgs"]) == 1


@simulated(concurrent_polls="steal", hold_ms=3_600_000)
async def test_the_older_poll_hears_again_when_the_newer_one_is_gone(scene: Scene) -> None:
    """
    A poll whose client disappeared must not swallow what comes next.
    """
    answers: list[dict[str, Any]] = []

    async def older() -> None:
        answers.append(await scene.poll())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(older)
        await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 1)
        async with trio.open_nursery() as inner:
            inner.start_soon(scene.poll)
            await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 2)
            inner.cancel_scope.cancel()
        await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 1)
        scene.sim.say(scene.bot, ANN, "still there?")

    assert len(answers[0]["msgs"]) == 1


@simulated(concurrent_polls="both_expire", hold_ms=3_600_000)
async def test_two_polls_can_end_each_other_with_a_dead_session(scene: Scene) -> None:
    """
    Five gateways on one token saw -14 every cycle; the token itself stays good.
    """
    assert await _two_polls(scene, then=lambda: None) == [AUTH_DEAD, AUTH_DEAD]
    scene.sim.say(scene.bot, ANN, "hello")
    assert await scene.texts() == ["hello"]


@simulated(concurrent_polls="both_served", hold_ms=3_600_000)
async def test_two_polls_can_both_be_served(scene: Scene) -> None:
    """
    The third report: both answer the user, who gets everything twice.
    """
    answers = await _two_polls(scene, then=lambda: scene.sim.say(scene.bot, ANN, "hello"))

    assert [len(answer["msgs"]) for answer in answers] == [1, 1]


@simulated(hold_ms=3_600_000)
async def test_a_client_that_goes_away_ends_its_poll(scene: Scene) -> None:
    """
    Otherwise a message would be answered into a dead connection, and polls would pile up.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.poll)
        await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 1)
        nursery.cancel_scope.cancel()

    await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 0)


@simulated(poll_fault="half_response")
async def test_a_poll_can_break_off_in_the_middle(scene: Scene) -> None:
    """
    The batch was sent and did not arrive; the cursor must not have moved.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    with pytest.raises(httpx.RemoteProtocolError):
        await scene.poll()
    scene.sim.knobs.poll_fault = None
    assert await scene.texts() == ["hello"]


@simulated(poll_fault="close_at_once")
async def test_a_poll_can_be_closed_without_an_answer(scene: Scene) -> None:
    """
    A load balancer at work.
    """
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.poll()


@simulated(poll_fault="reset")
async def test_a_poll_can_be_reset(scene: Scene) -> None:
    """
    A different exception in most HTTP libraries than an orderly close.
    """
    with pytest.raises(httpx.ReadError):
        await scene.poll()


@simulated(poll_fault="stall")
async def test_a_poll_can_stall_beyond_its_hold(scene: Scene) -> None:
    """
    Half-open: only the client's own timeout helps.
    """
    with trio.move_on_after(HOLD_MS * 2 / 1000) as scope:
        await scene.poll()

    assert scope.cancelled_caught


@simulated(poll_fault="flood")
async def test_a_poll_can_be_a_body_without_end(scene: Scene) -> None:
    """
    A client that reads a body whole dies of it.
    """
    body = orjson.dumps({"get_updates_buf": "", "base_info": {"channel_version": "1"}})
    head = {"Host": "a", **scene.headers(), "Content-Length": str(len(body))}
    lines = ["POST /ilink/bot/getupdates HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    stream = await trio.open_tcp_stream("127.0.0.1", int(scene.sim.base_url.rpartition(":")[2]))
    read = 0
    async with stream:
        await stream.send_all("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        while read <= 1_000_000 and (data := await stream.receive_some()):
            read += len(data)

    assert read > 1_000_000


# ---- what users say ----


@simulated(duplicate_after_ms=1)
async def test_a_duplicate_can_come_later_under_a_new_id_and_token(scene: Scene) -> None:
    """
    The commoner form: deduplication by message id alone answers the user twice.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    await scene.sim.wait_until(lambda: len(scene.tokens()) == 2)
    first, second = (await scene.poll())["msgs"]

    assert first["item_list"][0]["text_item"] == second["item_list"][0]["text_item"]
    assert first["message_id"] != second["message_id"]
    assert first["context_token"] != second["context_token"]


@simulated(duplicate_same_id=True)
async def test_a_duplicate_can_be_the_very_same_message(scene: Scene) -> None:
    """
    Same id, same token, another place in the queue: the cursor does not protect from it.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    first, second = (await scene.poll())["msgs"]

    assert first["message_id"] == second["message_id"]
    assert first["context_token"] == second["context_token"]
    assert first["seq"] != second["seq"]


@simulated(missing_message_id=True)
async def test_a_message_can_lack_its_id(scene: Scene) -> None:
    """
    Seen live; the item's msg_id is then all there is to tell two messages apart.
    """
    scene.sim.say(scene.bot, ANN, "one")
    scene.sim.say(scene.bot, ANN, "two")
    first, second = (await scene.poll())["msgs"]

    assert "message_id" not in first
    assert first["item_list"][0]["msg_id"] != second["item_list"][0]["msg_id"]


@simulated()
async def test_the_arguments_of_say_override_the_knobs_for_one_message(scene: Scene) -> None:
    """
    A scenario needs one strange message among normal ones.
    """
    scene.sim.say(scene.bot, ANN, "odd", missing_message_id=True, duplicate_same_id=True, ref_msg="id_only")
    scene.sim.say(scene.bot, ANN, "normal")
    odd, copy, normal = (await scene.poll())["msgs"]

    assert "message_id" not in odd
    assert odd["item_list"] == copy["item_list"]
    assert "ref_msg" in odd["item_list"][0]
    assert "message_id" in normal
    assert "ref_msg" not in normal["item_list"][0]


def test_a_quote_comes_in_four_forms() -> None:
    """
    Most live quotes carry an id and no text; a client that expects the text breaks on three of the four.
    """
    seen: dict[str, Any] = {}
    for variant in ("id_only", "full", "svr_id", "partial"):

        @simulated(ref_msg=variant)
        async def quoted(scene: Scene, variant: str = variant) -> None:
            scene.sim.say(scene.bot, ANN, "about that")
            seen[variant] = (await scene.poll())["msgs"][0]["item_list"][0]["ref_msg"]

        quoted()

    assert seen["id_only"]["message_item"].keys() == {"type", "msg_id"}
    assert "text_item" in seen["full"]["message_item"]
    assert seen["svr_id"]["svr_id"] > 2**53
    assert "quotemd5" in seen["partial"]["partial_text"]


@simulated(split_at_chars=4)
async def test_a_long_text_arrives_in_pieces(scene: Scene) -> None:
    """
    The phone splits around 2048 characters; each piece is a message of its own, with its own token.
    """
    scene.sim.say(scene.bot, ANN, "abcdefghij")

    assert await scene.texts() == ["abcd", "efgh", "ij"]
    assert len(scene.tokens()) == 3


def test_only_a_wechat_user_can_speak() -> None:
    """
    A test that mistypes a user id should hear of it at once, not wonder why no answer arrives.
    """

    @simulated()
    async def speak(scene: Scene) -> None:
        scene.sim.say(scene.bot, "ann", "hello")

    with pytest.raises(ValueError, match=r"im\.wechat"):
        speak()


# ---- sendmessage: what is accepted ----


@simulated()
async def test_an_accepted_send_is_on_the_phone_with_all_its_facts(scene: Scene) -> None:
    """
    The ground truth every scenario test compares with.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    token = scene.tokens()[0]
    answer = await scene.send(text="good day", client_id="c-1", context_token=token)
    sent = scene.sim.delivered(scene.bot, ANN)[0]

    assert answer == {"ret": 0, "message_id": sent.message_id}
    assert (sent.to, sent.text, sent.client_id, sent.context_token) == (ANN, "good day", "c-1", token)
    assert sent.duplicate_of is None
    assert scene.sim.delivered(scene.bot, BOB) == []


@pytest.mark.parametrize(("knob", "keys"), [("id", {"ret", "message_id"}), ("ret", {"ret"}), ("empty", set())])
def test_a_send_is_confirmed_in_one_of_three_forms(knob: str, keys: set[str]) -> None:
    """
    All three mean accepted; only the first names the message.
    """

    @simulated(send_answer=knob)
    async def send(scene: Scene) -> None:
        scene.sim.say(scene.bot, ANN, "hello")
        answer = await scene.send()

        assert keys == set(answer)
        assert len(scene.sim.delivered(scene.bot)) == 1

    send()


@simulated()
async def test_a_repeated_client_id_is_delivered_again_and_named_as_a_duplicate(scene: Scene) -> None:
    """
    Nobody has seen the server deduplicate, so a blind retry is a duplicate; the log must show it as one.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    first = await scene.send(client_id="same")
    await scene.send(client_id="same")

    assert [None, first["message_id"]] == [sent.duplicate_of for sent in scene.sim.delivered(scene.bot)]


@simulated(dedupe_client_id=True, quota=1)
async def test_a_server_that_dedupes_answers_the_copy_as_it_answered_the_first(scene: Scene) -> None:
    """
    The other answer to an open question; a retry after a lost reply must not count against the quota then.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    assert await scene.send(client_id="same") == await scene.send(client_id="same")
    assert len(scene.sim.delivered(scene.bot)) == 1


@simulated(blackhole=True)
async def test_risk_control_says_yes_and_delivers_nothing(scene: Scene) -> None:
    """
    ret 0 without an id is no delivery: the reason to treat it as unconfirmed.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    assert await scene.send() == {"ret": 0}
    assert scene.sim.delivered(scene.bot) == []
    assert len(scene.sim.swallowed(scene.bot, ANN)) == 1


@simulated()
async def test_tool_progress_is_accepted_counted_and_never_shown(scene: Scene) -> None:
    """
    It burns the quota of ten without the user seeing anything.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    item = {"type": 11, "tool_call_start_item": {"tool_name": "search", "tool_call_id": "1"}}
    answer = await scene.send(item_list=[item])

    assert answer["ret"] == 0
    assert scene.sim.delivered(scene.bot) == []
    assert scene.bot.peer(ANN).sent == 1


@simulated(delayed_delivery_s=100.0)
async def test_a_delivery_can_be_late(scene: Scene) -> None:
    """
    Accepted is not delivered; a clump of late messages was reported.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    await scene.send()
    before = scene.sim.delivered(scene.bot)
    scene.clock.jump(100)

    assert before == []
    assert len(scene.sim.delivered(scene.bot)) == 1


@simulated(reply_lost="drop")
async def test_a_send_can_take_effect_and_lose_its_reply(scene: Scene) -> None:
    """
    The ambiguity at the heart of every retry: the client sees an error, the user sees the message.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    with pytest.raises(httpx.RemoteProtocolError):
        await scene.send()
    assert len(scene.sim.delivered(scene.bot)) == 1
    assert scene.sim.requests[-1].fault == CloseAtOnce()


@simulated(reply_lost="stall")
async def test_a_send_can_take_effect_and_never_be_answered(scene: Scene) -> None:
    """
    The same as a timeout, and as ambiguous.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    with trio.move_on_after(HOLD_MS / 1000) as scope:
        await scene.send()

    assert scope.cancelled_caught
    assert len(scene.sim.delivered(scene.bot)) == 1


# ---- sendmessage: what is refused ----


@simulated()
async def test_ten_sends_to_one_message_and_the_eleventh_is_refused_until_the_user_writes(scene: Scene) -> None:
    """
    The dominant rule of the platform: time does not help, only the user does.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    accepted = [await scene.send() for _ in range(10)]
    eleventh = await scene.send()
    scene.clock.jump(3600)
    twelfth = await scene.send()
    scene.sim.say(scene.bot, ANN, "go on")
    after = await scene.send()

    assert {0} == {answer["ret"] for answer in accepted}
    assert eleventh == twelfth == {"ret": -2}
    assert after["ret"] == 0
    assert [record.why for record in scene.sim.refusals("sendmessage")] == ["quota", "quota"]
    assert scene.sim.refused == 2


@simulated(quota=1)
async def test_the_quota_belongs_to_one_user(scene: Scene) -> None:
    """
    One exhausted user must not stop a client from answering the others.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.say(scene.bot, BOB, "hello")
    answers = [await scene.send(ANN), await scene.send(ANN), await scene.send(BOB)]

    assert [answer["ret"] for answer in answers] == [0, -2, 0]


@simulated()
async def test_a_user_who_never_spoke_cannot_be_written_to(scene: Scene) -> None:
    """
    A bot cannot begin a conversation.
    """
    assert await scene.send() == {"ret": -2}
    assert scene.why() == "window"


@simulated(window_s=86_400)
async def test_the_window_closes_a_day_after_the_last_message_of_the_user(scene: Scene) -> None:
    """
    The nightly push: quota to spare, and refused all the same.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.clock.jump(86_000)
    in_time = await scene.send()
    scene.clock.jump(500)
    late = await scene.send()
    late_why = scene.why()
    scene.sim.say(scene.bot, ANN, "hello again")
    reopened = await scene.send()

    assert [answer["ret"] for answer in (in_time, late, reopened)] == [0, -2, 0]
    assert late_why == "window"


@simulated(burst=Burst(sends=2, penalty_s=60, extend_on_attempt=False))
async def test_a_burst_is_refused_and_so_is_everything_until_the_penalty_is_over(scene: Scene) -> None:
    """
    Here waiting does help, which is what makes it so hard to tell from the quota.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    answers = [await scene.send() for _ in range(3)]
    for seconds in (40, 21):
        scene.clock.jump(seconds)
        answers.append(await scene.send())

    assert [answer["ret"] for answer in answers] == [0, 0, -2, -2, 0]
    assert [record.why for record in scene.sim.refusals()] == ["burst", "burst"]


@simulated(burst=Burst(sends=1, penalty_s=60, extend_on_attempt=True))
async def test_an_attempt_during_the_penalty_can_extend_it(scene: Scene) -> None:
    """
    Why a retry loop never recovers: 15 hours of refusals were observed.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    answers = [await scene.send(), await scene.send()]
    for _ in range(3):
        scene.clock.jump(40)
        answers.append(await scene.send())
    scene.clock.jump(61)
    answers.append(await scene.send())

    assert [answer["ret"] for answer in answers] == [0, -2, -2, -2, -2, 0]


@simulated(burst=Burst(sends=1, span_s=10))
async def test_sends_that_are_spread_out_are_no_burst(scene: Scene) -> None:
    """
    A paced client never meets the penalty.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    for _ in range(3):
        assert (await scene.send())["ret"] == 0
        scene.clock.jump(10)


@pytest.mark.parametrize(("per", "expected"), [("bot", [0, -2]), ("user", [0, 0])])
def test_a_burst_can_be_counted_for_the_bot_or_for_each_user(per: str, expected: list[int]) -> None:
    """
    Unknown, so a client must not depend on either.
    """

    @simulated(burst=Burst(sends=1, per=per))  # type: ignore[arg-type]
    async def burst(scene: Scene) -> None:
        scene.sim.say(scene.bot, ANN, "hello")
        scene.sim.say(scene.bot, BOB, "hello")

        assert expected == [(await scene.send(user))["ret"] for user in (ANN, BOB)]

    burst()


@simulated(token_policy="off")
async def test_without_a_token_policy_any_token_will_do(scene: Scene) -> None:
    """
    The default, as a live probe with a made-up token found it.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    assert (await scene.send(context_token="made up"))["ret"] == 0
    assert (await scene.send())["ret"] == 0


@simulated(token_policy="required")
async def test_a_token_can_be_required_and_has_to_be_the_users_own(scene: Scene) -> None:
    """
    Reported just as firmly as the opposite.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.say(scene.bot, BOB, "hello")
    tokens = [scene.tokens(ANN)[0], None, "made up", scene.tokens(BOB)[0]]
    answers = [await scene.send(ANN, context_token=token) for token in tokens]

    assert [answer["ret"] for answer in answers] == [0, -2, -2, -2]
    assert scene.why() == "token"


@simulated(token_policy="freshness", token_freshness_s=60.0)
async def test_a_token_can_be_too_old(scene: Scene) -> None:
    """
    After a long turn the token of the question is refused while the one of a later message is fine.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    fresh = await scene.send(context_token=scene.tokens()[0])
    scene.clock.jump(61)
    scene.sim.say(scene.bot, ANN, "are you there?")
    old, new = [await scene.send(context_token=token) for token in scene.tokens()]

    assert [answer["ret"] for answer in (fresh, old, new)] == [0, -2, 0]


@simulated(token_policy="must_match_latest")
async def test_only_the_newest_token_can_be_good(scene: Scene) -> None:
    """
    A token fixed at the start of a turn is stale as soon as the user writes again.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.say(scene.bot, ANN, "wait")

    assert [(await scene.send(context_token=token))["ret"] for token in scene.tokens()] == [-2, 0]


@simulated(token_policy="must_match_latest", tokenless_ok=True)
async def test_dropping_the_token_can_help(scene: Scene) -> None:
    """
    The one repair that worked for some: refused with a stale token, accepted without any.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    answers = [await scene.send(context_token="stale"), await scene.send()]

    assert [answer["ret"] for answer in answers] == [-2, 0]


@simulated()
async def test_a_token_can_go_stale_for_one_user(scene: Scene) -> None:
    """
    Incident 3: refused like a rate limit as long as the token is sent, and for nobody else.
    """
    for user in (ANN, BOB):
        scene.sim.say(scene.bot, user, "hello")
    stale = scene.tokens(ANN)[0]
    scene.sim.stale(scene.bot, ANN)
    answers = [
        await scene.send(ANN, context_token=stale),
        await scene.send(ANN),
        await scene.send(BOB, context_token=scene.tokens(BOB)[0]),
    ]
    scene.sim.say(scene.bot, ANN, "hello again")
    answers.append(await scene.send(ANN, context_token=scene.tokens(ANN)[1]))

    assert [answer["ret"] for answer in answers] == [-2, 0, 0, 0]


@simulated(text_max_bytes=100)
async def test_a_text_that_is_too_long_is_refused_by_its_bytes(scene: Scene) -> None:
    """
    The same bare -2 as everything else; only the size tells.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    answers = [await scene.send(text="x" * 100), await scene.send(text="x" * 101), await scene.send(text="é" * 51)]

    assert [answer["ret"] for answer in answers] == [0, -2, -2]
    assert scene.why() == "size: 2 bytes too long"


@simulated()
async def test_chinese_text_has_the_lower_limit_of_6000_bytes(scene: Scene) -> None:
    """
    Measured live: 6000 bytes pass and 6003 do not, while 16 KB of ASCII do.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    texts = ["中" * 2000, "中" * 2001, "x" * 16_384]

    assert [(await scene.send(text=text))["ret"] for text in texts] == [0, -2, 0]


@simulated(cjk_max_bytes=30)
async def test_the_limit_for_chinese_text_can_be_set(scene: Scene) -> None:
    """
    The figure is one probe on one day.
    """
    scene.sim.say(scene.bot, ANN, "hello")

    assert [(await scene.send(text=text))["ret"] for text in ("中" * 10, "中" * 11)] == [0, -2]


@pytest.mark.parametrize(
    ("style", "body"),
    [
        ("bare", {"ret": -2}),
        ("prepare failed", {"ret": -2, "errmsg": "prepare failed"}),
        ({"ret": -12, "errmsg": "freq limit"}, {"ret": -12, "errmsg": "freq limit"}),
    ],
)
def test_a_refusal_comes_in_the_style_that_was_asked_for(style: Any, body: dict[str, Any]) -> None:
    """
    Both forms are live today, and nobody knows what the next one will be.
    """

    @simulated(refusal_style=style)
    async def refuse(scene: Scene) -> None:
        assert await scene.send() == body
        scene.sim.say(scene.bot, ANN, "hello")
        scene.sim.stale(scene.bot, ANN)
        assert await scene.send(context_token=scene.tokens()[0]) == body

    refuse()


@simulated(text_max_bytes=10, quota=1, burst=Burst(sends=1), token_policy="required")
async def test_the_first_check_that_fails_is_the_one_that_is_named(scene: Scene) -> None:
    """
    Order matters: a send over the quota must not extend a burst penalty, nor use up a scripted fault.
    """
    sim, bot = scene.sim, scene.bot
    script = sim.script("sendmessage", {"ret": -9}, times=1)
    seen = []

    async def attempt(**changes: Any) -> None:
        await scene.send(**changes)
        seen.append(scene.why().partition(":")[0])

    await attempt(client_id="", text="x" * 11)  # everything is wrong with it
    await attempt(text="x" * 11)
    await attempt()
    sim.say(bot, ANN, "hello")
    await attempt()
    good = {"context_token": scene.tokens()[0]}
    await attempt(**good)  # the attempt before was a burst of one
    scene.clock.jump(3601)
    assert script.hits == 0
    await attempt(**good)
    scene.clock.jump(10)
    await attempt(**good)
    scene.clock.jump(10)
    await attempt(**good)

    assert seen == ["body", "size", "window", "token", "burst", "script", "", "quota"]


@simulated()
async def test_a_send_in_the_wrong_form_is_refused_as_invalid(scene: Scene) -> None:
    """
    Malformed bodies are answered with the code of a rate limit, and retrying them is pointless.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    text = {"type": 1, "text_item": {"text": "hi"}}
    wrong: list[dict[str, Any]] = [
        {"to_user_id": ""},
        {"client_id": ""},
        {"message_type": 1},
        {"message_state": 1},
        {"from_user_id": "me"},
        {"item_list": []},
        {"item_list": [text, text]},
        {"item_list": [{"type": 1}]},
        {"item_list": [{"type": 9, "text_item": {"text": "hi"}}]},
        {"item_list": [{"type": 1, "text_item": {"text": ""}}]},
        {"item_list": [{"type": 2, "image_item": {"media": {"encrypt_query_param": "never uploaded"}}}]},
    ]

    for changes in wrong:
        assert await scene.send(**changes) == INVALID, changes
        assert scene.why().startswith("body"), changes
    assert scene.sim.delivered(scene.bot) == []


@simulated()
async def test_an_id_that_is_not_a_users_is_refused_with_another_code(scene: Scene) -> None:
    """
    -3 is permanent for this recipient.
    """
    assert (await scene.send("0a1b2c3d4e5f@im.bot"))["ret"] == -3


# ---- envelope and authorisation ----


@simulated()
async def test_every_part_of_the_official_envelope_is_checked(scene: Scene) -> None:
    """
    A client that leaves one header out works until the day it does not.
    """
    changes: list[dict[str, str]] = [
        {"Content-Type": "text/plain"},
        {"AuthorizationType": ""},
        {"X-WECHAT-UIN": ""},
        {"X-WECHAT-UIN": base64.b64encode(str(2**32).encode()).decode()},
        {"iLink-App-Id": ""},
        {"iLink-App-ClientVersion": ""},
    ]
    body = {"get_updates_buf": "", "base_info": {"channel_version": "1"}}
    for change in changes:
        answer = await scene.http.post("/ilink/bot/getupdates", json=body, headers={**scene.headers(), **change})

        assert answer.json() == INVALID, change
        assert next(iter(change)).lower() in scene.why()


@simulated()
async def test_the_uin_has_to_change_and_base_info_has_to_be_there(scene: Scene) -> None:
    """
    Both are what the official client does on every call.
    """
    body = {"get_updates_buf": "", "base_info": {"channel_version": "1"}}
    headers = scene.headers()
    first = await scene.http.post("/ilink/bot/getupdates", json=body, headers=headers)
    second = await scene.http.post("/ilink/bot/getupdates", json=body, headers=headers)
    third = await scene.http.post("/ilink/bot/getupdates", json={"get_updates_buf": ""}, headers=scene.headers())

    assert [answer.json()["ret"] for answer in (first, second, third)] == [0, -2, -2]


@simulated(strict=False)
async def test_a_lenient_server_asks_for_a_token_a_user_and_an_item(scene: Scene) -> None:
    """
    For a quick try with curl.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    body = {"msg": {"to_user_id": ANN, "item_list": [{"type": 1, "text_item": {"text": "hi"}}]}}
    headers = {"Authorization": f"Bearer {scene.bot.token}"}
    answer = await scene.http.post("/ilink/bot/sendmessage", json=body, headers=headers)

    assert answer.json()["ret"] == 0


@simulated()
async def test_an_unknown_token_is_answered_alike_on_every_endpoint(scene: Scene) -> None:
    """
    HTTP 200, an errcode and no ret: a client that only looks at ret takes it for success.
    """
    endpoints = ["getupdates", "sendmessage", "getconfig", "sendtyping", "getuploadurl", "msg/notifystart"]

    for endpoint in endpoints:
        assert await scene.post(endpoint, {}, token="wrong") == AUTH_DEAD, endpoint


@simulated(hold_ms=3_600_000)
async def test_binding_the_account_elsewhere_kills_the_old_token_and_the_poll_it_holds(scene: Scene) -> None:
    """
    One user, one live binding. The old instance learns it from a poll that ends with -14.
    """
    old, answers = scene.bot.token, []

    async def poll() -> None:
        answers.append(await scene.poll(token=old))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await scene.sim.wait_until(lambda: scene.sim.held_polls(scene.bot) == 1)
        new = scene.sim.rebind(scene.bot)

    assert answers == [AUTH_DEAD]
    scene.sim.say(scene.bot, ANN, "hello")
    assert len((await scene.poll(token=new))["msgs"]) == 1


@simulated(hold_ms=0)
async def test_the_old_token_can_outlive_the_new_binding_for_a_while(scene: Scene) -> None:
    """
    29 seconds were seen; in that time both instances believe they are the bot.
    """
    old = scene.bot.token
    new = scene.sim.rebind(scene.bot, after_s=29)
    both = [await scene.poll(token=old), await scene.poll(token=new)]
    scene.clock.jump(30)

    assert [answer["ret"] for answer in both] == [0, 0]
    assert await scene.poll(token=old) == AUTH_DEAD
    assert (await scene.poll(token=new))["ret"] == 0


@simulated(foreign_cursor="reject")
async def test_after_a_new_binding_the_user_has_to_speak_and_the_cursor_is_foreign(scene: Scene) -> None:
    """
    Both have to be thrown away with the old token.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    cursor = (await scene.poll())["get_updates_buf"]
    scene.sim.rebind(scene.bot)
    send, poll = await scene.send(), await scene.poll(cursor)

    assert send == {"ret": -2}
    assert poll == INVALID


@simulated()
async def test_an_account_can_be_unbound(scene: Scene) -> None:
    """
    The user removed the bot on the phone: nothing helps but a new QR code.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.unbind(scene.bot)

    assert await scene.poll() == AUTH_DEAD
    assert await scene.send() == AUTH_DEAD
    assert await scene.post("getconfig", {"ilink_user_id": ANN}) == AUTH_DEAD


@simulated(token_lifetime_s=3600.0)
async def test_a_token_can_have_an_end(scene: Scene) -> None:
    """
    The server rotates tokens by rules nobody knows.
    """
    before = await scene.poll()
    scene.clock.jump(3601)

    assert before["ret"] == 0
    assert await scene.poll() == AUTH_DEAD


@simulated(notifystart_revives=True)
async def test_notifystart_can_revive_a_dead_token(scene: Scene) -> None:
    """
    Claimed once. A client that tries it loses nothing.
    """
    scene.sim.unbind(scene.bot)
    dead = await scene.poll()
    started = await scene.post("msg/notifystart", {})

    assert dead == AUTH_DEAD
    assert started == {"ret": 0}
    assert (await scene.poll())["ret"] == 0


@simulated()
async def test_starts_and_stops_are_logged_in_order(scene: Scene) -> None:
    """
    notifystart belongs before the first poll and notifystop after the last.
    """
    await scene.post("msg/notifystart", {})
    await scene.poll()
    await scene.post("msg/notifystop", {})

    assert [r.endpoint for r in scene.sim.requests] == ["msg/notifystart", "getupdates", "msg/notifystop"]


# ---- the transport ----


@simulated(http_status=524)
async def test_the_gateway_can_answer_instead_of_the_server(scene: Scene) -> None:
    """
    An HTML page and a status from no registry, and the send has not happened.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    answer = await scene.raw("sendmessage", {"msg": scene.message(ANN, "hi")})

    assert answer.status_code == 524
    assert scene.sim.delivered(scene.bot) == []


@simulated(malformed_json=True)
async def test_an_answer_can_be_half_a_json_text(scene: Scene) -> None:
    """
    HTTP is satisfied and the body is not.
    """
    answer = await scene.raw("getupdates", {"get_updates_buf": ""})

    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.content)


@simulated(bad_content_length=5)
async def test_an_answer_can_be_shorter_than_it_claims(scene: Scene) -> None:
    """
    Strict parsers raise, lenient ones wait for ever.
    """
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.poll()


@simulated(slow_body_bytes_per_s=2000.0)
async def test_an_answer_can_trickle(scene: Scene) -> None:
    """
    It is whole in the end; a timeout for each read never fires, only one for the whole does.
    """
    assert (await scene.poll())["ret"] == 0


@simulated()
async def test_an_unknown_path_or_method_is_not_found(scene: Scene) -> None:
    """
    The endpoints some clients hope for (a token refresh) do not exist.
    """
    assert (await scene.raw("refresh", {})).status_code == 404
    assert (await scene.http.get("/ilink/bot/getupdates")).status_code == 404
    assert (await scene.http.get("/")).status_code == 404


@simulated()
async def test_a_body_that_is_not_the_right_json_is_invalid(scene: Scene) -> None:
    """
    Whatever a client sends, the server answers and lives on.
    """
    for content in (b"{", b"[]", b"\xff", b"", b'{"base_info":{"channel_version":"1"}}'):
        answer = await scene.http.post("/ilink/bot/getupdates", content=content, headers=scene.headers())

        assert answer.json() == INVALID


# ---- scripts ----


@simulated()
async def test_a_script_refuses_until_its_time_is_over(scene: Scene) -> None:
    """
    Incident 2: rate limited for longer than any retry ladder lasts, and then fine.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    body = {"ret": -2, "errcode": -2, "errmsg": "rate limited"}
    scene.sim.script("sendmessage", body, until=trio.current_time() + 20)
    during = await scene.send()
    scene.clock.jump(20)
    after = await scene.send()

    assert during == body
    assert after["ret"] == 0
    assert scene.sim.refused == 1


@simulated()
async def test_a_script_can_be_for_one_user_for_ever(scene: Scene) -> None:
    """
    One dead chat among healthy ones.
    """
    for user in (ANN, BOB):
        scene.sim.say(scene.bot, user, "hello")
    script = scene.sim.script("sendmessage", {"ret": -2, "errmsg": "prepare failed"}, for_user=ANN)
    answers = [(await scene.send(user))["ret"] for user in (ANN, BOB, ANN)]
    script.cancel()
    answers.append((await scene.send(ANN))["ret"])

    assert answers == [-2, 0, -2, 0]
    assert script.hits == 2


@simulated()
async def test_a_script_can_lose_the_reply_to_the_third_send(scene: Scene) -> None:
    """
    With `after` the request takes effect first.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.script("sendmessage", CloseAtOnce(), after=True, skip=2, times=1)
    await scene.send()
    await scene.send()
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.send()
    await scene.send()

    assert len(scene.sim.delivered(scene.bot)) == 4


@simulated()
async def test_a_script_without_after_keeps_the_request_from_happening(scene: Scene) -> None:
    """
    The other half of the ambiguity: the same error, and nothing was delivered.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.script("sendmessage", CloseAtOnce(), times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.send()

    assert scene.sim.delivered(scene.bot) == []
    assert scene.sim.requests[-1].fault == CloseAtOnce()


@simulated()
async def test_a_script_can_ask_about_the_call(scene: Scene) -> None:
    """
    Whatever a scenario needs, it is a predicate and not a new knob.
    """

    def is_long(call: Call) -> bool:
        return len(call.text) > 3

    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.script("*", {"ret": -9}, when=is_long)

    assert [(await scene.send(text=text))["ret"] for text in ("abc", "abcd")] == [0, -9]


@simulated()
async def test_a_script_can_spoil_the_true_answer(scene: Scene) -> None:
    """
    A function gets the answer the server would have given.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.script("getupdates", lambda response: HalfResponse(response, 10), times=1)
    scene.sim.script("getupdates", Stall(0, then=Response(524)), times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await scene.poll()
    gateway = await scene.raw("getupdates", {"get_updates_buf": ""})

    assert gateway.status_code == 524
    assert await scene.texts() == ["hello"]


@simulated()
async def test_the_earlier_script_comes_first_and_a_spent_one_makes_room(scene: Scene) -> None:
    """
    A sequence of faults is written down in the order in which it happens.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    scene.sim.script("sendmessage", {"ret": -7}, times=1)
    scene.sim.script("sendmessage", {"ret": -8}, times=2)

    assert [(await scene.send())["ret"] for _ in range(4)] == [-7, -8, -8, 0]


# ---- getconfig and typing ----


@simulated()
async def test_a_typing_ticket_is_given_for_an_open_conversation_only(scene: Scene) -> None:
    """
    A client without a memory for the refusal asks again every two seconds.
    """
    closed = await scene.post("getconfig", {"ilink_user_id": ANN})
    scene.sim.say(scene.bot, ANN, "hello")
    opened = await scene.post("getconfig", {"ilink_user_id": ANN})
    nameless = await scene.post("getconfig", {"user_id": ANN})

    assert closed == {"ret": -4, "errmsg": "GetTypingTicket rpc failed"}
    assert len(opened["typing_ticket"]) == 448
    assert nameless == {"ret": -2, "errmsg": "ilink_user_id required"}


@simulated(config_always_ok=True)
async def test_a_typing_ticket_can_be_given_always(scene: Scene) -> None:
    """
    Then getconfig tells nothing about the window.
    """
    assert (await scene.post("getconfig", {"ilink_user_id": ANN}))["ret"] == 0


@simulated(typing_ticket_checked=True)
async def test_a_wrong_typing_ticket_can_be_refused(scene: Scene) -> None:
    """
    Tickets belong to one user.
    """
    for user in (ANN, BOB):
        scene.sim.say(scene.bot, user, "hello")
    ticket = (await scene.post("getconfig", {"ilink_user_id": ANN}))["typing_ticket"]
    answers = [
        await scene.post("sendtyping", {"ilink_user_id": user, "typing_ticket": ticket, "status": status})
        for user, status in ((ANN, 1), (ANN, 2), (BOB, 1), (ANN, 3))
    ]

    assert [answer["ret"] for answer in answers] == [0, 0, -2, -2]


@simulated(quota=1)
async def test_typing_is_free(scene: Scene) -> None:
    """
    It works, and is not counted, while every send is refused.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    typing = {"ilink_user_id": ANN, "typing_ticket": "any", "status": 1}
    answers = [
        (await scene.post("sendtyping", typing))["ret"],
        (await scene.send())["ret"],
        (await scene.send())["ret"],
        (await scene.post("sendtyping", typing))["ret"],
    ]

    assert answers == [0, 0, -2, 0]


# ---- media ----

KEY = "00112233445566778899aabbccddeeff"
PICTURE = b"\x89PNG" + bytes(range(200))


def _grant_request(plain: bytes, size: int, **changes: Any) -> dict[str, Any]:
    return {
        "filekey": KEY,
        "media_type": 1,
        "to_user_id": ANN,
        "rawsize": len(plain),
        "rawfilemd5": hashlib.md5(plain).hexdigest(),
        "filesize": size,
        "no_need_thumb": True,
        "aeskey": KEY,
        **changes,
    }


def _padded(plain: bytes) -> bytes:
    """Stand in for the encrypted file: the right length is all the server can see."""
    return plain + bytes(16 - len(plain) % 16)


async def _upload(scene: Scene, ciphertext: bytes, **changes: Any) -> httpx.Response:
    grant = await scene.post("getuploadurl", _grant_request(PICTURE, len(ciphertext), **changes))
    return await scene.http.post(grant["upload_full_url"], content=ciphertext)


@simulated()
async def test_a_picture_makes_the_whole_way_to_the_phone_and_back(scene: Scene) -> None:
    """
    Grant, upload, send, download: what a media reply and a media message need.
    """
    scene.sim.say(scene.bot, ANN, "draw me a sheep")
    ciphertext = _padded(PICTURE)
    uploaded = await _upload(scene, ciphertext)
    param = uploaded.headers["x-encrypted-param"]
    media = {"encrypt_query_param": param, "aes_key": base64.b64encode(KEY.encode()).decode(), "encrypt_type": 1}
    answer = await scene.send(item_list=[{"type": 2, "image_item": {"media": media, "mid_size": len(ciphertext)}}])
    shown = scene.sim.delivered(scene.bot, ANN)[0].item["image_item"]["media"]["encrypt_query_param"]
    back = await scene.http.get(f"{scene.sim.cdn_url}/download", params={"encrypted_query_param": shown})

    assert uploaded.status_code == 200
    assert answer["ret"] == 0
    assert back.content == scene.sim.file(shown).ciphertext == ciphertext
    assert scene.sim.file(shown).asked["rawfilemd5"] == hashlib.md5(PICTURE).hexdigest()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program encrypts for this test")
@simulated()
async def test_a_real_encrypted_file_survives_the_round_trip(scene: Scene) -> None:
    """
    AES-128-ECB by a program nobody here wrote: the sizes, the md5 and the bytes fit together.
    """

    def openssl(direction: str, data: bytes) -> bytes:
        command = ["openssl", "enc", direction, "-aes-128-ecb", "-K", KEY]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    uploaded = await _upload(scene, openssl("-e", PICTURE))
    blob = scene.sim.file(uploaded.headers["x-encrypted-param"])
    plain = openssl("-d", blob.ciphertext)

    assert plain == PICTURE
    assert blob.asked["rawfilemd5"] == hashlib.md5(plain).hexdigest()


@simulated()
async def test_a_user_can_send_a_file(scene: Scene) -> None:
    """
    The bot fetches it from full_url, without any authorisation.
    """
    blob = scene.sim.put_file(_padded(PICTURE))
    media = scene.sim.media(blob, base64.b64encode(KEY.encode()).decode())
    scene.sim.say(
        scene.bot, ANN, items=[{"type": 4, "file_item": {"media": media, "file_name": "a.png", "len": "204"}}]
    )
    item = (await scene.poll())["msgs"][0]["item_list"][0]
    fetched = await scene.http.get(item["file_item"]["media"]["full_url"])

    assert fetched.content == _padded(PICTURE)


@simulated()
async def test_an_upload_has_to_be_what_was_announced(scene: Scene) -> None:
    """
    The right length, by POST, with a grant: the three ways an upload goes wrong.
    """
    grant = await scene.post("getuploadurl", _grant_request(PICTURE, len(_padded(PICTURE))))
    url = grant["upload_full_url"]
    short = await scene.http.post(url, content=b"short")
    put = await scene.http.put(url, content=_padded(PICTURE))
    strange = await scene.http.post(f"{scene.sim.cdn_url}/upload", content=_padded(PICTURE))
    other_key = await scene.http.post(url.replace(KEY, "0" * 32), content=_padded(PICTURE))
    missing = await scene.http.get(f"{scene.sim.cdn_url}/download")

    assert (short.status_code, short.headers["x-error-code"]) == (400, "-5102031")
    assert put.status_code == 404
    assert strange.status_code == other_key.status_code == 400
    assert missing.status_code == 404


@simulated()
async def test_a_grant_is_refused_for_claims_that_cannot_be_true(scene: Scene) -> None:
    """
    -1 is permanent: the request itself is wrong.
    """
    for changes in (
        {"to_user_id": "nobody"},
        {"filekey": "short"},
        {"aeskey": "x" * 32},
        {"rawfilemd5": None},
        {"media_type": 9},
        {"filesize": len(PICTURE)},
        {"rawsize": "204"},
    ):
        body = _grant_request(PICTURE, len(_padded(PICTURE)), **changes)

        assert await scene.post("getuploadurl", body) == {"ret": -1}, changes


@pytest.mark.parametrize(
    ("knob", "keys"),
    [
        ("full_url", {"ret", "upload_full_url"}),
        ("param", {"ret", "upload_param"}),
        ("both", {"ret", "upload_full_url", "upload_param"}),
    ],
)
def test_a_grant_names_the_place_in_one_of_three_forms(knob: str, keys: set[str]) -> None:
    """
    With only upload_param the client builds the address itself.
    """

    @simulated(upload_answer=knob)
    async def upload(scene: Scene) -> None:
        grant = await scene.post("getuploadurl", _grant_request(PICTURE, len(_padded(PICTURE))))
        if "upload_param" in grant:
            query = {"encrypted_query_param": grant["upload_param"], "filekey": KEY}
            answer = await scene.http.post(f"{scene.sim.cdn_url}/upload", params=query, content=_padded(PICTURE))
            assert "x-encrypted-param" in answer.headers

        assert keys == set(grant)

    upload()


@pytest.mark.parametrize(("knob", "body"), [("-14", AUTH_DEAD), ("-2", {"ret": -2})])
def test_a_grant_can_want_a_context_token(knob: str, body: dict[str, Any]) -> None:
    """
    -14 here does not mean that the bot token is dead, and a client that believes it logs out for nothing.
    """

    @simulated(upload_without_token=knob)
    async def ask(scene: Scene) -> None:
        request = _grant_request(PICTURE, len(_padded(PICTURE)))

        assert await scene.post("getuploadurl", request) == body
        assert (await scene.post("getuploadurl", {**request, "context_token": "t"}))["ret"] == 0

    ask()


@simulated(upload_restricted=True)
async def test_an_account_can_be_barred_from_media(scene: Scene) -> None:
    """
    Text goes on working; a client should say so and not retry.
    """
    assert await scene.post("getuploadurl", _grant_request(PICTURE, len(_padded(PICTURE)))) == {"ret": -2}


@simulated(cdn_fail_first=2)
async def test_uploads_can_fail_a_few_times_first(scene: Scene) -> None:
    """
    Random 500s are normal there; a client with one try loses files.
    """
    statuses = [(await _upload(scene, _padded(PICTURE))).status_code for _ in range(3)]

    assert statuses == [500, 500, 200]


@simulated(cdn_refuses=True)
async def test_uploads_can_be_refused_with_a_reason_in_a_header(scene: Scene) -> None:
    """
    The body is empty, the reason is in x-error-message.
    """
    answer = await _upload(scene, _padded(PICTURE))

    assert answer.status_code == 400
    assert answer.headers["x-error-message"] == "refused"


@simulated(cdn_omits_param=True)
async def test_a_successful_upload_can_lack_its_param(scene: Scene) -> None:
    """
    200 is not enough: without the header there is nothing to send.
    """
    answer = await _upload(scene, _padded(PICTURE))

    assert answer.status_code == 200
    assert "x-encrypted-param" not in answer.headers


# ---- QR login ----


async def _qrcode(scene: Scene, hints: list[str] | None = None) -> str:
    headers = scene.headers()
    del headers["Authorization"]
    body = {"local_token_list": hints or []}
    answer = await scene.http.post("/ilink/bot/get_bot_qrcode?bot_type=3", json=body, headers=headers)
    return str(answer.json()["qrcode"])


async def _status(scene: Scene, qrcode: str, code: str | None = None, base: str = "") -> dict[str, Any]:
    query = {"qrcode": qrcode} | ({"verify_code": code} if code else {})
    headers = {"iLink-App-Id": "bot", "iLink-App-ClientVersion": "132105"}
    answer = await scene.http.get(f"{base}/ilink/bot/get_qrcode_status", params=query, headers=headers)
    status: dict[str, Any] = answer.json()
    return status


@simulated(qr_hold_ms=3_600_000)
async def test_a_login_goes_from_wait_over_scaned_to_confirmed(scene: Scene) -> None:
    """
    The normal way: the poll is held until somebody scans, and the token that comes out works.
    """
    scene.sim.script_qr("wait", "scaned", "confirmed", user=ANN)
    qrcode = await _qrcode(scene)
    seen: list[dict[str, Any]] = []

    async def poll() -> None:
        seen.append(await _status(scene, qrcode))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await scene.sim.wait_until(lambda: scene.sim.requests[-1].endpoint == "get_qrcode_status")
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        scene.sim.scan(qrcode)
    confirmed = await _status(scene, qrcode)
    again = await _status(scene, qrcode)

    assert seen == [{"status": "scaned"}]
    assert confirmed == again
    assert confirmed.keys() == {"status", "bot_token", "ilink_bot_id", "baseurl", "ilink_user_id"}
    assert confirmed["bot_token"].startswith(confirmed["ilink_bot_id"] + ":")
    assert (confirmed["baseurl"], confirmed["ilink_user_id"]) == (scene.sim.base_url, ANN)
    assert (await scene.poll(token=confirmed["bot_token"]))["ret"] == 0


@simulated(qr_hold_ms=20)
async def test_a_code_nobody_scans_says_wait_after_each_hold(scene: Scene) -> None:
    """
    The list goes on by itself, so that a script needs no user.
    """
    qrcode = await _qrcode(scene)

    assert [(await _status(scene, qrcode))["status"] for _ in range(3)] == ["wait", "scaned", "confirmed"]


@simulated()
async def test_scanning_for_another_installation_kills_the_first(scene: Scene) -> None:
    """
    The same user, the same account, a new token; the old one is dead at once.
    """
    scene.sim.script_qr("confirmed", user=scene.bot.user)
    old = scene.bot.token
    confirmed = await _status(scene, await _qrcode(scene))

    assert confirmed["ilink_bot_id"] == scene.bot.account_id
    assert await scene.poll(token=old) == AUTH_DEAD
    assert (await scene.poll(token=confirmed["bot_token"]))["ret"] == 0


@simulated()
async def test_the_right_digits_are_asked_for_until_they_come(scene: Scene) -> None:
    """
    A second need_verifycode means that the first digits were wrong.
    """
    scene.sim.script_qr("need_verifycode", "scaned", "confirmed", verify_code="42")
    qrcode = await _qrcode(scene)
    codes = [None, "41", "42", None]

    assert [(await _status(scene, qrcode, code))["status"] for code in codes] == [
        "need_verifycode",
        "need_verifycode",
        "scaned",
        "confirmed",
    ]


@simulated()
async def test_three_wrong_codes_block_the_login(scene: Scene) -> None:
    """
    Then only a new QR code helps, even with the right digits.
    """
    scene.sim.script_qr("need_verifycode", "confirmed", verify_code="42")
    qrcode = await _qrcode(scene)
    statuses = [(await _status(scene, qrcode, code))["status"] for code in ("1", "2", "3", "42")]

    assert statuses == ["need_verifycode", "need_verifycode", "verify_code_blocked", "verify_code_blocked"]


@simulated(qr_hold_ms=20)
async def test_a_redirected_login_goes_on_at_the_other_host_only(scene: Scene) -> None:
    """
    A client that stays where it was is told to wait until it gives up.
    """
    scene.sim.script_qr("scaned_but_redirect", "confirmed")
    qrcode = await _qrcode(scene)
    redirect = await _status(scene, qrcode)
    here = await _status(scene, qrcode)
    there = await _status(scene, qrcode, base=f"http://{redirect['redirect_host']}")

    assert redirect["status"] == "scaned_but_redirect"
    assert f"http://{redirect['redirect_host']}" == scene.sim.redirect_url != scene.sim.base_url
    assert here == {"status": "wait"}
    assert there["status"] == "confirmed"


@pytest.mark.parametrize("status", ["expired", "binded_redirect", "verify_code_blocked"])
def test_a_login_can_end_without_credentials(status: str) -> None:
    """
    Final: asking again gives the same answer, at once.
    """

    @simulated(qr_hold_ms=3_600_000)
    async def login(scene: Scene) -> None:
        scene.sim.script_qr(status)  # type: ignore[arg-type]
        qrcode = await _qrcode(scene)

        assert [{"status": status}] * 2 == [await _status(scene, qrcode) for _ in range(2)]

    login()


@simulated(qr_ttl_s=120.0)
async def test_a_code_expires_by_itself(scene: Scene) -> None:
    """
    A code lives about two minutes, a login attempt eight.
    """
    qrcode = await _qrcode(scene)
    scene.clock.jump(121)

    assert await _status(scene, qrcode) == {"status": "expired"}
    assert await _status(scene, "never issued") == {"status": "expired"}


@simulated(qr_refuses_hints=True)
async def test_the_hints_about_local_tokens_can_be_refused(scene: Scene) -> None:
    """
    One retry without hints is what helps.
    """
    headers = scene.headers()
    path = "/ilink/bot/get_bot_qrcode?bot_type=3"
    hinted = await scene.http.post(path, json={"local_token_list": ["t"]}, headers=headers)
    plain = await scene.http.post(path, json={"local_token_list": []}, headers=scene.headers())
    scene.sim.knobs.qr_refuses_hints = False
    many = await scene.http.post(path, json={"local_token_list": ["t"] * 11}, headers=scene.headers())

    assert hinted.json() == many.json() == INVALID
    assert plain.json()["ret"] == 0


@simulated(qr_baseurl="second")
async def test_a_login_can_name_another_address_for_the_api(scene: Scene) -> None:
    """
    After the login every call goes to baseurl; the same server answers there.
    """
    scene.sim.script_qr("confirmed", user=ANN)
    confirmed = await _status(scene, await _qrcode(scene))
    url = f"{confirmed['baseurl']}/ilink/bot/getupdates"
    body = {"get_updates_buf": "", "base_info": {"channel_version": "1"}}
    answer = await scene.http.post(url, json=body, headers=scene.headers(confirmed["bot_token"]))

    assert confirmed["baseurl"] == scene.sim.redirect_url
    assert answer.json()["ret"] == 0


@simulated()
async def test_a_code_can_still_be_asked_for_by_get(scene: Scene) -> None:
    """
    Older clients do; and without bot_type=3 nobody gets one.
    """
    headers = {"iLink-App-Id": "bot", "iLink-App-ClientVersion": "131584"}
    got = await scene.http.get("/ilink/bot/get_bot_qrcode?bot_type=3", headers=headers)
    typeless = await scene.http.get("/ilink/bot/get_bot_qrcode", headers=headers)

    assert got.json()["qrcode"] in got.json()["qrcode_img_content"]
    assert typeless.json() == INVALID


def test_a_login_cannot_be_scripted_with_a_status_that_does_not_exist() -> None:
    """
    "scanned" is the natural spelling and not the platform's.
    """

    @simulated()
    async def login(scene: Scene) -> None:
        scene.sim.script_qr("scanned")  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="scaned_but_redirect"):
        login()


@simulated()
async def test_a_login_needs_at_least_one_status(scene: Scene) -> None:
    """
    An empty script would leave its polls without an answer.
    """
    with pytest.raises(ValueError, match="at least one"):
        scene.sim.script_qr()


@simulated()
async def test_the_right_digits_mean_scaned_when_the_script_ends_there(scene: Scene) -> None:
    """
    Asking for them again would say that they were wrong.
    """
    scene.sim.script_qr("need_verifycode", verify_code="42")

    assert await _status(scene, await _qrcode(scene), "42") == {"status": "scaned"}


# ---- the simulator itself ----


def test_two_simulators_of_one_seed_make_the_same_ids() -> None:
    """
    A failing scenario replays with the very same bytes.
    """

    def ids(seed: int) -> list[Any]:
        async def main() -> list[Any]:
            async with open_simulator(seed=seed) as sim:
                bot = sim.add_bot()
                return [bot.token, sim.say(bot, ANN, "hello"), *bot.peer(ANN).tokens]

        return trio.run(main)

    assert ids(7) == ids(7)
    assert set(map(str, ids(7))).isdisjoint(map(str, ids(8)))


@simulated()
async def test_the_date_is_the_epoch_plus_trio_time(scene: Scene) -> None:
    """
    The stamps on messages follow the virtual clock, not the wall.
    """
    before = scene.sim.wall_ms()
    scene.clock.jump(3600)
    scene.sim.say(scene.bot, ANN, "hello")
    stamp = (await scene.poll())["msgs"][0]["create_time_ms"]

    assert before >= 1_790_000_000_000
    assert stamp - before >= 3_600_000


def test_a_knob_refuses_an_impossible_value_when_it_is_turned() -> None:
    """
    A typo in a scenario must not pass as "no fault".
    """
    knobs = Knobs()
    wrong: dict[str, Any] = {
        "hold_ms": -1,
        "concurrent_polls": "stael",
        "poll_fault": "explode",
        "refusal_style": "rude",
        "token_policy": "maybe",
        "burst": 3,
        "quota": -1,
        "http_status": 20,
    }

    for name, value in wrong.items():
        before = getattr(knobs, name)
        with pytest.raises((ValueError, TypeError)):
            setattr(knobs, name, value)
        assert getattr(knobs, name) == before


def test_every_knob_is_turned_somewhere_in_this_file() -> None:
    """
    A knob without a test is a promise nobody has checked.
    """
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123
        source = file.read()

    assert [field.name for field in attrs.fields(Knobs) if f"{field.name}=" not in source] == []


def test_the_log_forgets_the_oldest_requests_and_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A busy loop makes thousands of requests a second; what reached the phone is the oracle and stays.
    """
    monkeypatch.setattr("statecore_adapters.weixin.simulator.state.RECORDS_MAX", 20)

    @simulated(quota=100)
    async def send_much(scene: Scene) -> None:
        scene.sim.say(scene.bot, ANN, "hello")
        for number in range(30):
            await scene.send(text=str(number))

        assert len(scene.sim.requests) <= 20
        assert scene.sim.requests[-1].body["msg"]["item_list"][0]["text_item"]["text"] == "29"
        assert len(scene.sim.delivered(scene.bot)) == 30

    send_much()


@simulated(token_policy="required")
async def test_the_oldest_context_tokens_are_forgotten(scene: Scene) -> None:
    """
    A user who writes for years must not fill the memory; a token that old is as good as made up.
    """
    scene.sim.say(scene.bot, ANN, "hello")
    forgotten = scene.tokens()[0]
    for _ in range(256):
        scene.sim.say(scene.bot, ANN, "hello")
    tokens = [forgotten, scene.tokens()[0]]

    assert [(await scene.send(context_token=token))["ret"] for token in tokens] == [-2, 0]


@simulated()
async def test_one_account_is_added_once(scene: Scene) -> None:
    """
    Two bots under one id would share every token table.
    """
    with pytest.raises(ValueError, match="rebind"):
        scene.sim.add_bot(scene.bot.account_id)


def test_a_failing_test_body_fails_as_itself() -> None:
    """
    An assertion wrapped in two exception groups is no use in a test report.
    """

    async def main() -> None:
        async with open_simulator():
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        trio.run(main)


def test_without_h11_the_simulator_says_what_to_install() -> None:
    """
    h11 is an extra: whoever only runs bots does not need it.
    """
    program = "import sys; sys.modules['h11'] = None; import statecore_adapters.httpd"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=_env())

    assert result.returncode != 0
    assert "pip install 'statecore[simulator]'" in result.stderr


def _env() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": "1"}


def test_a_bot_author_can_talk_to_a_bot_from_the_shell() -> None:
    """
    The simulator is a program too: type as the user, read what the bot sends and why it was refused.
    """
    command = [sys.executable, "-m", "statecore_adapters.weixin.simulator", "--token", "secret", "--lenient"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_env()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        facts = dict(process.stdout.readline().split() for _ in range(4))
        process.stdin.write(f"hello\n\n{BOB}: and me\n")
        process.stdin.close()
        with httpx.Client(base_url=facts["base_url"], headers={"Authorization": "Bearer secret"}) as http:
            messages: list[dict[str, Any]] = []
            while len(messages) < 2:
                messages = http.post("/ilink/bot/getupdates", json={"get_updates_buf": ""}).json()["msgs"]
            for user in (BOB, ANN):
                item = {"type": 1, "text_item": {"text": "good day"}}
                http.post("/ilink/bot/sendmessage", json={"msg": {"to_user_id": user, "item_list": [item]}})
        printed = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
        process.stdin = None

    assert [message["item_list"][0]["text_item"]["text"] for message in messages] == ["hello", "and me"]
    assert messages[1]["from_user_id"] == BOB
    assert printed[0] == f"< {BOB}: good day\n"
    assert printed[1] == "! sendmessage refused (window): {'ret': -2}\n"
    assert process.returncode == 0


# ---- the HTTP server underneath ----


def served(answer: httpd.Answer, scenario: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    """Answer one GET with *answer*, and hand its raw connection to *scenario*."""

    async def handler(_request: httpd.Request) -> httpd.Answer:
        return answer

    async def main() -> None:
        with trio.fail_after(10):
            async with httpd.serve(handler) as server:
                stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                async with stream:
                    await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    await scenario(stream)

    trio.run(main)


async def _read_all(stream: trio.SocketStream) -> bytes:
    received = b""
    async for data in stream:
        received += data
    return received


async def _read_until(stream: trio.SocketStream, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        data = await stream.receive_some()
        assert data, received
        received += data
    return received


TEN = Response(200, {"x-test": "yes"}, b"0123456789")


def test_close_at_once_closes_without_a_byte() -> None:
    """
    An orderly end of stream, not a reset: clients see two different errors.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        assert await _read_all(stream) == b""

    served(CloseAtOnce(), scenario)


def test_reset_tears_the_connection_down() -> None:
    """
    A reset is what a crashed peer or a firewall looks like.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()

    served(httpd.Reset(), scenario)


def test_half_a_response_ends_after_exactly_so_many_bytes() -> None:
    """
    The head is whole and promises more than comes.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        received = await _read_all(stream)

        assert received.endswith(b"\r\n\r\n012")
        assert b"content-length: 10\r\n" in received

    served(HalfResponse(TEN, 3), scenario)


def test_half_a_response_can_fall_silent_instead() -> None:
    """
    Only a timeout of the client's own gets it out of there.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        await _read_until(stream, b"\r\n\r\n012")
        with trio.move_on_after(HOLD_MS / 1000) as scope:
            await stream.receive_some()

        assert scope.cancelled_caught

    served(HalfResponse(TEN, 3, "stall"), scenario)


def test_a_stall_can_end_in_an_answer() -> None:
    """
    Late is not lost.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        await _read_until(stream, b"0123456789")

    served(Stall(0.01, then=TEN), scenario)


def test_a_slow_body_arrives_whole() -> None:
    """
    Slow must not mean damaged.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        assert (await _read_all(stream)).endswith(b"\r\n\r\n0123456789")

    served(SlowBody(TEN, 500), scenario)


def test_a_slow_body_keeps_to_its_rate() -> None:
    """
    On a frozen clock the head arrives and the body does not; two seconds later so do ten bytes at five a second.
    """
    clock = trio.testing.MockClock()

    async def handler(_request: httpd.Request) -> httpd.Answer:
        return SlowBody(TEN, 5)

    async def main() -> None:
        async with httpd.serve(handler) as server:
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                received = await _read_until(stream, b"\r\n\r\n")
                for digit in b"0123456789":
                    await trio.testing.wait_all_tasks_blocked()
                    clock.jump(0.2)
                    received = await stream.receive_some()
                    assert received == bytes([digit])

    trio.run(main, clock=clock)


def test_a_flood_never_ends() -> None:
    """
    And costs the server no memory: it writes as fast as the client reads.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        received = 0
        while received < 3_000_000:
            data = await stream.receive_some()
            assert data
            received += len(data)

    served(Flood(), scenario)


@pytest.mark.parametrize(
    ("fault", "announced"),
    [
        (httpd.BadContentLength(TEN, 5), b"15"),
        (httpd.BadContentLength(TEN, -5), b"5"),
        (httpd.BadContentLength(TEN, value="ten"), b"ten"),
    ],
)
def test_a_content_length_can_be_wrong(fault: httpd.Fault, announced: bytes) -> None:
    """
    Too long, too short, or not a number: strict and lenient parsers differ on each.
    """

    async def scenario(stream: trio.SocketStream) -> None:
        received = await _read_all(stream)

        assert b"content-length: " + announced + b"\r\n" in received
        assert received.endswith(b"0123456789")

    served(fault, scenario)


async def _echo(request: httpd.Request) -> httpd.Answer:
    facts = [request.method, request.path, dict(request.query), len(request.body)]
    return Response(200, {}, orjson.dumps(facts))


def _talk(*pieces: bytes) -> list[bytes]:
    """Send each piece to an echo server over one connection, and return what came back after each."""

    async def main() -> list[bytes]:
        answers = []
        with trio.fail_after(10):
            async with httpd.serve(_echo) as server:
                stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                async with stream:
                    for piece in pieces:
                        await stream.send_all(piece)
                        answers.append(await stream.receive_some())
        return answers

    return trio.run(main)


def test_one_connection_carries_many_requests() -> None:
    """
    Pooling clients keep it open; a server that closed would hide bugs of theirs.
    """
    get, post = (
        b"GET /a%20b?x=1&x=2&y= HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    )
    first, second = _talk(get, post)

    assert first.endswith(b'["GET","/a b",{"x":"1","y":""},0]')
    assert second.endswith(b'["POST","/",{},2]')


def test_a_chunked_body_and_a_head_request_are_understood() -> None:
    """
    aiohttp sends chunks when it does not know the length.
    """
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second = _talk(chunked, head)

    assert first.endswith(b'["POST","/",{},2]')
    assert second.endswith(b"\r\n\r\n")


def test_a_client_that_asks_first_is_told_to_continue() -> None:
    """
    curl does for a larger body, and waits a second for the answer.
    """
    ask = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    first, second = _talk(ask, b"hi")

    assert first.startswith(b"HTTP/1.1 100")
    assert second.endswith(b'["POST","/",{},2]')


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * httpd.HEADER_BYTES_MAX, b"431"),
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(wire: bytes, status: bytes) -> None:
    """
    A refusal the client can read, and no way to go on after it.
    """

    async def main() -> bytes:
        async with httpd.serve(_echo) as server:
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with stream:
                await stream.send_all(wire)
                return await _read_all(stream)

    received = trio.run(main)

    assert received.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in received


def test_a_body_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The server lives in the process of the test; it must not eat its memory.
    """
    monkeypatch.setattr(httpd, "BODY_BYTES_MAX", 1000)

    async def main() -> int:
        async with httpd.serve(_echo) as server, httpx.AsyncClient(verify=False) as http:
            return (await http.post(server.url, content=b"x" * 1001)).status_code

    assert trio.run(main) == 413


def test_a_handler_is_cancelled_when_its_client_goes_away() -> None:
    """
    What a held long poll needs: the message is not taken by a poll nobody listens to.
    """
    ended = trio.Event()

    async def hold(_request: httpd.Request) -> httpd.Answer:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async def main() -> None:
        with trio.fail_after(10):
            async with httpd.serve(hold) as server:
                stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await trio.testing.wait_all_tasks_blocked()
                await stream.aclose()
                await ended.wait()
                while server.connections:
                    await trio.testing.wait_all_tasks_blocked()

    trio.run(main)


def test_a_request_whose_client_left_at_once_still_takes_effect() -> None:
    """
    The server had it whole. A client that crashed after sending has sent.
    """
    seen: list[str] = []
    arrived = trio.Event()

    async def note(request: httpd.Request) -> httpd.Answer:
        seen.append(request.path)
        arrived.set()
        return TEN

    async def main() -> None:
        with trio.fail_after(10):
            async with httpd.serve(note) as server:
                stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                await stream.send_all(b"GET /fire-and-forget HTTP/1.1\r\nHost: a\r\n\r\n")
                await stream.aclose()
                await arrived.wait()

    trio.run(main)

    assert seen == ["/fire-and-forget"]


def test_a_poll_whose_client_left_at_once_is_not_held() -> None:
    """
    The same client, a request that waits behind one that does not: there is nobody to wait for.
    """

    async def hold_the_second(request: httpd.Request) -> httpd.Answer:
        if request.path == "/second":
            await trio.sleep_forever()
        return TEN

    async def main() -> None:
        with trio.fail_after(10):
            async with httpd.serve(hold_the_second) as server:
                for _ in range(20):  # the scheduler decides which is seen first, the request or the end
                    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                    paths = (b"/first", b"/second")
                    await stream.send_all(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths))
                    await stream.aclose()
                await trio.testing.wait_all_tasks_blocked()
                while server.connections:
                    await trio.testing.wait_all_tasks_blocked(0.01)

    trio.run(main)


def test_a_bug_in_a_handler_ends_the_server_loudly() -> None:
    """
    Answering 500 would make the simulator's own bug look like a fault of the platform.
    """

    async def broken(_request: httpd.Request) -> httpd.Answer:
        raise LookupError("a bug")

    async def main() -> None:
        async with httpd.serve(broken) as server, httpx.AsyncClient(verify=False) as http:
            await http.get(server.url)

    with pytest.raises(LookupError, match="a bug"):
        trio.run(main)


def test_the_server_stops_with_connections_still_open() -> None:
    """
    A test that ends in the middle of a poll must end.
    """

    async def hold(_request: httpd.Request) -> httpd.Answer:
        await trio.sleep_forever()

    async def main() -> bytes:
        async with httpd.serve(hold) as server:
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await trio.testing.wait_all_tasks_blocked()
        async with stream:
            return await _read_all(stream)

    assert trio.run(main) == b""


def test_more_connections_than_the_limit_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A leak of connections in a client shows itself as errors here, not as a full machine.
    """
    monkeypatch.setattr(httpd, "CONNECTIONS_MAX", 1)

    async def main() -> bytes:
        async with httpd.serve(_echo) as server:
            first = await trio.open_tcp_stream("127.0.0.1", server.port)
            second = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with first, second:
                with trio.fail_after(10):
                    return await _read_all(second)

    assert trio.run(main) == b""
