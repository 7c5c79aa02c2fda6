"""The simulated platforms of a run, each with its account, its people, its faults, and the truth that it keeps."""

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, Protocol

import attrs
import trio

from statecore.platform import AccountConfig, Outgoing
from statecore.settings import build
from statecore.simulation.faithful.network import SENDING, Link, sender
from statecore.simulation.plan import Occurrence, PlanError, PlannedAccount
from statecore.simulation.truth import Acknowledged, Made, Platform, Said, Send
from statecore_adapters import httpd
from statecore_adapters.qqbot import QQBot
from statecore_adapters.qqbot import simulator as qq
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin import simulator as wx

HTML: Final = httpd.Response(
    200, {"content-type": "text/html"}, b"<html><body>Welcome to the hotel's WiFi</body></html>"
)
SLOW_S: Final = 8.0
FLOOD_APART_S: Final = 0.2
"""Between two messages of a flood: the governor takes in eight a second, and what it has not taken in when the flood ends keeps
a session from proving itself until it has."""


@attrs.frozen(eq=False)
class Attempt:
    """What a process was about when it sent something.

    Args:
        left: when, in ns from the beginning.
        seq: position of the last row that was durable then.
        process: which.
        epoch: under which it drove the account.
        key: of the part, if it was one.
    """

    left: int
    seq: int
    process: str
    epoch: int
    key: str = ""


@attrs.define
class Notes:
    """What the truth of an account is told by.

    Args:
        truth: the account's.
        chance: decides what a spell hits.
        now: for how long there has been time, in ns.
    """

    truth: Platform
    chance: random.Random
    now: Callable[[], int]
    struck: int = -1
    _served: set[Attempt] = attrs.field(factory=set)

    def sent(
        self, chat: str, text: str, said: Said, *, shown: bool, answers: str = "", number: int = 0, code: str = ""
    ) -> None:
        """Note a request to send."""
        found = sender()
        attempt = found[0] if found is not None else None
        if not isinstance(attempt, Attempt):
            return
        copy = attempt in self._served
        self._served.add(attempt)
        self.truth.sends.append(
            Send(
                at=self.now(), left=attempt.left, key=attempt.key, chat=chat, text=text, said=said, shown=shown,
                seq=attempt.seq, process=attempt.process, epoch=attempt.epoch, answers=answers, number=number,
                code=code, spell=self.struck, copy=copy,
            )
        )  # fmt: skip

    def acknowledged(self, ids: tuple[str, ...]) -> None:
        """Note that messages need not come again."""
        found = sender()
        if ids and found is not None and isinstance(found[0], Attempt):
            self.truth.acknowledged.append(Acknowledged(at=self.now(), ids=ids, seq=found[0].seq))


class Side(Protocol):
    """One platform, as a run handles it."""

    def user_writes(self, chat: str, text: str) -> None:
        """Let somebody write."""

    def spell(self, one: Occurrence, number: int, ends: float) -> None:
        """Let the platform suffer until a second of trio's clock."""

    def close(self) -> None:
        """Settle what only the end of the run tells."""


def hits(notes: Notes, one: Occurrence, number: int, ends: float) -> Callable[[], bool]:
    """Return whether a spell hits now, which is drawn and noted."""

    def strikes() -> bool:
        hit = trio.current_time() < ends and notes.chance.random() < one.fields["share"]
        if hit:
            notes.struck = number
        return hit

    return strikes


# ---- WeChat ----------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class WeixinSide:
    """A simulated WeChat."""

    sim: wx.Simulator
    bot: wx.Bot
    notes: Notes
    link: Link
    _nursery: trio.Nursery
    _seen: int = 0
    _numbers: dict[int, str] = attrs.field(factory=dict)
    _acked: int = 0

    def __attrs_post_init__(self) -> None:
        self.sim.watch(self._watched)

    # ---- truth

    def _watched(self, record: wx.Record) -> None:
        if record.endpoint == "sendmessage":
            self._sent(record)
        self.notes.struck, self._seen = -1, len(self.bot.delivered)

    def _sent(self, record: wx.Record) -> None:
        call = wx.Call(None, "sendmessage", record.body or {}, record.bot)  # type: ignore[arg-type]
        shown = len(self.bot.delivered) > self._seen
        said, code = self._said(record)
        self.notes.sent(call.user, call.text, said, shown=shown, code=code)

    def _said(self, record: wx.Record) -> tuple[Said, str]:
        answer = record.answer or {}
        if record.answer is None and record.status in (None, 200):
            return "nothing", ""
        if answer.get("errcode") == -14:
            return "unauthorised", "errcode=-14"
        if record.refused:
            return "refused", f"ret={answer.get('ret', answer.get('errcode'))}"
        if record.status is not None and record.status >= 500:
            return "nothing", f"http {record.status}"
        if record.status is not None and record.status != 200:
            return "refused", f"http {record.status}"
        return ("nothing" if record.status is None else "taken"), ""

    def _polled(self, call: wx.Call) -> bool:
        """Note what a poll's cursor acknowledges. Asked as a script that never strikes, before the poll is held."""
        from statecore_adapters.weixin.simulator.ids import read_cursor

        position = read_cursor(self.bot.account_id, str(call.body.get("get_updates_buf", "")))
        if position is not None and position.seq > self._acked:
            ids = tuple(
                dict.fromkeys(
                    self._numbers[number]
                    for number in range(self._acked + 1, position.seq + 1)
                    if number in self._numbers
                )
            )
            self._acked = position.seq
            self.notes.acknowledged(ids)
        return False

    # ---- people

    def user_writes(self, chat: str, text: str) -> None:
        """Let somebody write."""
        number = self.sim.say(self.bot, chat, text)
        self._numbers[self.bot.inbox.last_seq] = str(number)
        self.notes.truth.made.append(Made(at=self.notes.now(), id=str(number), chat=chat, text=text))

    def close(self) -> None:
        """There is nothing to settle: WeChat keeps what was not fetched."""

    # ---- faults

    def spell(self, one: Occurrence, number: int, ends: float) -> None:
        """Let the platform suffer."""
        fields = one.fields
        strikes = hits(self.notes, one, number, ends)
        chat = fields["chat"] or None
        tokens = {token for peer in self.bot.peers.values() for token in peer.tokens}

        def scripted(endpoint: str, act: Any, *, after: bool = False, stale: bool = False) -> None:
            def when(call: wx.Call) -> bool:
                return (not stale or call.context_token in tokens) and strikes()

            self.sim.script(endpoint, act, after=after, until=ends, for_user=chat, when=when)

        match fields["fault"]:
            case "refuses":
                scripted("sendmessage", _weixin_refusal(fields["code"]))
            case "stale-tokens":
                scripted("sendmessage", {"ret": -2}, stale=True)
            case "revokes":
                for endpoint in ("getupdates", "sendmessage", "msg/notifystart"):
                    scripted(endpoint, {"errcode": -14, "errmsg": "session timeout"})
            case "silent":
                scripted("*", httpd.Stall(), after=True)
            case "drops":
                scripted("sendmessage", {"ret": 0})
            case "garbage":
                scripted("*", lambda response: httpd.Response(200, response.headers, b'{"ret": 0, "msgs": [{'))
            case "foreign":
                scripted("*", HTML)
            case "slow":
                scripted("*", lambda response: httpd.Stall(SLOW_S * self.notes.chance.random(), response))
            case fault:
                self._turn(fault, ends)

    def _turn(self, fault: str, ends: float) -> None:
        turned: dict[str, dict[str, Any]] = {
            "empties": {"instant_empty": True},
            "copies": {"duplicate_after_ms": 3000, "duplicate_same_id": True},
            "flood": {"message_flood": 2},
        }
        if fault not in turned:
            raise PlanError(f"the simulated WeChat cannot have the fault {fault!r}")
        self._nursery.start_soon(_turned, self.sim.knobs, turned[fault], ends)


def _weixin_refusal(code: str) -> Any:
    name, _, number = code.replace(" ", "=").partition("=")
    return httpd.Response(int(number)) if name == "http" else {name: int(number)}


# ---- QQ --------------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class QQSide:
    """A simulated QQ."""

    sim: qq.Simulator
    bot: qq.Bot
    notes: Notes
    link: Link
    _nursery: trio.Nursery
    _seen: int = 0
    _acked: dict[str, int] = attrs.field(factory=dict)
    _known: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.sim.watch(self._watched)

    # ---- truth

    def _watched(self, fact: qq.Record | qq.Heartbeat | qq.Resume) -> None:
        if isinstance(fact, qq.Record):
            if fact.endpoint == "messages":
                self._sent(fact)
            self.notes.struck, self._seen = -1, len(self.sim.delivered)
        elif isinstance(fact, qq.Resume):
            self._has(fact.session_id, fact.seq)
        elif fact.seq is not None:
            dial = next(dial for dial in reversed(self.sim.dials) if dial.number == fact.dial)
            self._has(dial.session_id, fact.seq)

    def _has(self, session_id: str, seq: int) -> None:
        session = self.bot.sessions.get(session_id)
        if session is None:
            return
        before = self._acked.get(session_id, 0)
        self._acked[session_id] = max(before, seq)
        ids = [
            frame["d"]["id"]
            for frame in session.events
            if before < frame["s"] <= seq and frame["t"].endswith("MESSAGE_CREATE")
        ]
        new = tuple(id_ for id_ in dict.fromkeys(ids) if id_ not in self._known)
        self._known.update(new)
        self.notes.acknowledged(new)

    def _sent(self, record: qq.Record) -> None:
        body = record.body if isinstance(record.body, Mapping) else {}
        shown = any(not message.swallowed for message in self.sim.delivered[self._seen :])
        text = body.get("content") or (body.get("markdown") or {}).get("content") or ""
        said, code = self._said(record)
        answers = str(body.get("msg_id") or "")
        number = body.get("msg_seq", 0) if record.scene in ("c2c", "group") and answers else 0
        chat = f"{record.scene}:{record.target}"
        self.notes.sent(chat, text, said, shown=shown, answers=answers, number=number, code=code)

    def _said(self, record: qq.Record) -> tuple[Said, str]:
        if record.answer is None and record.status in (None, 200):
            return "nothing", ""
        if record.err_code in (304023, 304024):
            return "review", str(record.err_code)
        status = record.status or 200
        if status >= 500:
            return "nothing", f"http={status}"
        if status == 401:
            return "unauthorised", str(record.err_code)
        if record.err_code or status >= 300:
            return "refused", str(record.err_code or f"http={record.status}")
        return "taken", ""

    def close(self) -> None:
        """Mark what the platform dropped: pushed into a session that nobody came back to, or into none."""
        current = set(self.bot.current.values())
        kept = {
            frame["d"]["id"]
            for session in current
            if not session.ended
            for frame in session.events
            if frame["t"].endswith("MESSAGE_CREATE")
        }
        for made in self.notes.truth.made:
            made.lost = made.id not in kept and made.id not in self._known

    # ---- people

    def user_writes(self, chat: str, text: str) -> None:
        """Let somebody write."""
        scene, _, target = chat.partition(":")
        match scene:
            case "c2c":
                id_ = self.sim.say_c2c(target, text, bot=self.bot)
            case "group":
                id_ = self.sim.say_group(target, f"{target}-MEMBER", text, bot=self.bot)
            case "channel":
                id_ = self.sim.say_channel(target, "MEMBER", text, bot=self.bot)
            case _:
                raise PlanError(f"{chat!r} is no chat that the simulated QQ has")
        self.notes.truth.made.append(Made(at=self.notes.now(), id=id_, chat=chat, text=text))

    # ---- faults

    def spell(self, one: Occurrence, number: int, ends: float) -> None:
        """Let the platform suffer."""
        fields = one.fields
        strikes = hits(self.notes, one, number, ends)
        scene, _, target = fields["chat"].partition(":")

        def scripted(endpoint: str, act: Any, *, after: bool = False) -> None:
            chosen: Any = scene or None
            self.sim.script(
                endpoint, act, after=after, until=self.sim.now() + ends - trio.current_time(), scene=chosen,
                target=target or None, when=lambda _: strikes(),
            )  # fmt: skip

        match fields["fault"]:
            case "refuses":
                scripted("messages", _qq_refusal(fields["code"]))
            case "revokes":
                self.sim.void_token(self.bot)
                scripted("token", {"code": 100016, "message": "invalid appid or secret"})
            case "silent":
                scripted("*", httpd.Stall(), after=True)
            case "drops":
                scripted("messages", {"id": "dropped", "timestamp": "2026-11-21T00:00:00+08:00"})
            case "garbage":
                scripted("*", lambda response: httpd.Response(200, response.headers, b'{"id": "'))
            case "foreign":
                scripted("*", HTML)
            case "slow":
                scripted("*", lambda response: httpd.Stall(SLOW_S * self.notes.chance.random(), response))
            case "closes":
                self._closes(fields["code"], strikes)
            case "invalidates":
                self.sim.end_sessions(self.bot)
                self.sim.order(qq.Invalid(resumable=self.notes.chance.random() < 0.5), qq.Wait(50), qq.Close(4009))
            case "flood" | "chatter":
                self._nursery.start_soon(self._chatter, fields["fault"], strikes, ends)
            case fault:
                self._turn(fault, ends)

    def _turn(self, fault: str, ends: float) -> None:
        turned: dict[str, dict[str, Any]] = {
            "copies": {"copies": 2},
            "deaf": {"acks": False},
            "reviews": {"audit": self.notes.chance.choice(("pass", "reject")), "audit_after_ms": 5000},
            "limits": {"session_starts": 0},
            "markup": {"markdown_code": 40034127},
        }
        if fault not in turned:
            raise PlanError(f"the simulated QQ cannot have the fault {fault!r}")
        self._nursery.start_soon(_turned, self.sim.knobs, turned[fault], ends)

    def _closes(self, code: str, strikes: Callable[[], bool]) -> None:
        steps: tuple[Any, ...] = {
            "op7": (qq.Reconnect(), qq.Wait(2000), qq.Close(4009)),
            "1006": (qq.Abort(),),
        }.get(code) or (qq.Close(int(code)),)
        self.sim.order(*steps, bot=self.bot)
        self.sim.at("up", qq.Wait(3000), *steps, times=20, when=lambda _: strikes())

    async def _chatter(self, fault: str, strikes: Callable[[], bool], ends: float) -> None:
        number = 0
        while trio.current_time() < ends:
            await trio.sleep(FLOOD_APART_S if fault == "flood" else 0.5)
            if strikes() and self.sim.is_up(self.bot):
                number += 1
                if fault == "flood":
                    self.sim.say_c2c("FLOOD", f"flood {number}", bot=self.bot)
                else:
                    self.sim.dispatch("TYPING_START", {"openid": "FLOOD"}, bot=self.bot)
            self.notes.struck = -1


def _qq_refusal(code: str) -> Any:
    name, _, number = code.partition("=")
    return qq.front_end(int(number)) if name == "http" else qq.problem(int(number))


async def _turned(knobs: Any, turned: Mapping[str, Any], ends: float) -> None:
    """Turn knobs, and turn them back."""
    for name, value in turned.items():
        setattr(knobs, name, value)
    await trio.sleep_until(ends)
    kind = attrs.fields_dict(type(knobs))
    for name in turned:
        setattr(knobs, name, kind[name].default)


# ---- accounts --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_platform(
    planned: PlannedAccount, notes: Notes, link: Link, seed: int
) -> AsyncIterator[tuple[Side, AccountConfig, tuple[str, ...]]]:
    """Run the platform of an account.

    Args:
        planned: the account.
        notes: what its truth is told by.
        link: to its host.
        seed: of the platform's ids.

    Yields:
        The platform; the account's configuration; its secrets.
    """
    async with trio.open_nursery() as nursery:
        if planned.platform == "weixin":
            async with wx.open_simulator(knobs=wx.Knobs(), seed=seed, host=link.address) as sim:
                bot = sim.add_bot()
                side: Side = WeixinSide(sim, bot, notes, link, nursery)
                sim.script("getupdates", {}, when=side._polled)  # type: ignore[attr-defined]  # noqa: SLF001
                settings = {
                    "account_id": bot.account_id, "token": bot.token, "base_url": _named(sim.base_url, link),
                    **planned.settings,
                }  # fmt: skip
                yield side, build(Weixin, settings, planned.name), (bot.token, "AARzJW")
                nursery.cancel_scope.cancel()
        elif planned.platform == "qqbot":
            proactive = bool(planned.settings.get("proactive", False))
            async with qq.open_simulator(knobs=qq.Knobs(proactive=proactive), seed=seed, host=link.address) as gate:
                robot = gate.add_bot()
                side = QQSide(gate, robot, notes, link, nursery)
                settings = {
                    "app_id": robot.app_id, "client_secret": robot.secret, "api_base": _named(gate.api_base, link),
                    "token_url": _named(gate.token_url, link), **planned.settings,
                }  # fmt: skip
                yield side, build(QQBot, settings, planned.name), (robot.secret,)
                nursery.cancel_scope.cancel()
        else:
            raise PlanError(f"there is no simulated platform {planned.platform!r}; there are weixin and qqbot")


def _named(url: str, link: Link) -> str:
    return url.replace(link.address, link.name)


# ---- what leaves a process -------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Receiving:
    """Who receives for an account now.

    Args:
        truth: the account's.
    """

    truth: Platform
    processes: dict[str, int] = attrs.field(factory=dict)

    @contextmanager
    def by(self, process: str, running: Callable[[str], bool]) -> Iterator[None]:
        """Count a process in, and note how many there are of those that run."""
        self.processes[process] = self.processes.get(process, 0) + 1
        count = sum(1 for name, number in self.processes.items() if number and running(name))
        self.truth.receiving = max(self.truth.receiving, count)
        try:
            yield
        finally:
            self.processes[process] -= 1


def witnessed(
    config: AccountConfig, attempt: Callable[[str], Attempt], receiving: Callable[[], AbstractContextManager[None]]
) -> AccountConfig:
    """Return a configuration whose clients say what they are about when they send something.

    Args:
        config: the real one.
        attempt: makes the note of what is sent, given the key of a part.
        receiving: entered for as long as an attempt to receive lasts.
    """
    kind: Any = type(config)

    class Witnessed(kind):  # type: ignore[misc]  # of the same class, because its settings are recorded
        @asynccontextmanager
        async def connect(self, secrets: Any) -> AsyncIterator[Any]:
            async with kind.connect(self, secrets) as client:
                yield _Client(client, attempt, receiving)

    fields = {field.alias: getattr(config, field.name) for field in attrs.fields(kind) if field.init}
    made: AccountConfig = Witnessed(**fields)
    return made


class _Client:
    """A client whose attempts are tagged; everything else is the real one's."""

    def __init__(self, client: Any, attempt: Callable[[str], Attempt], receiving: Callable[[], Any]) -> None:
        self._client, self._attempt, self._receiving = client, attempt, receiving

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, part: Outgoing) -> Any:
        SENDING.set(self._attempt(part.key))
        return await self._client.send(part)

    async def receive(self) -> Any:
        SENDING.set(self._attempt(""))
        with self._receiving():
            return await self._client.receive()

    async def read(self, taken: int, *, beat: bool) -> Any:
        SENDING.set(self._attempt(""))
        with self._receiving():
            return await self._client.read(taken, beat=beat)

    async def resume(self) -> Any:
        SENDING.set(self._attempt(""))
        return await self._client.resume()
