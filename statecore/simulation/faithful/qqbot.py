"""A simulated QQ in a run: its people, its faults, its truth."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from statecore.simulation.faithful.link import Link
from statecore.simulation.faithful.notes import HTML, SLOW_S, Notes, hits, turned
from statecore.simulation.plan import Occurrence, PlanError
from statecore.simulation.truth import Made, Said
from statecore_adapters import httpd
from statecore_adapters.qqbot import simulator as qq

FLOOD_APART_S: Final = 0.2
"""Between two messages of a flood: the governor takes in eight a second, and what it has not taken in when the flood ends keeps
a session from proving itself until it has."""


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
            self.notes.struck = -1
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
        shown = self._shows(record)
        text = body.get("content") or (body.get("markdown") or {}).get("content") or ""
        said, code = self._said(record)
        answers = str(body.get("msg_id") or "")
        number = body.get("msg_seq", 0) if record.scene in ("c2c", "group") and answers else 0
        chat = f"{record.scene}:{record.target}"
        self.notes.sent(chat, text, said, shown=shown, answers=answers, number=number, code=code)

    def _shows(self, record: qq.Record | None = None) -> bool:
        """Tell whether a request is seen by its chat's user, and note which earlier ones are: somebody looked at them first."""
        shown = False
        for message in self.sim.delivered[self._seen :]:
            chat = (message.scene, message.target)
            if message.swallowed:
                continue
            if record is not None and (record.scene, record.target, record.body) == (*chat, message.body):
                shown = True
            else:
                number = message.msg_seq or 0 if message.msg_id else 0
                self.notes.shown_late(":".join(chat), message.text, message.msg_id or "", number)
        self._seen = len(self.sim.delivered)
        return shown

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
        if record.err_code == 40054005:
            return "claimed", str(record.err_code)
        if record.err_code or status >= 300:
            return "refused", str(record.err_code or f"http={record.status}")
        return "taken", ""

    def close(self) -> None:
        """Mark what the platform dropped: pushed into a session that nobody came back to, or into none."""
        self._shows()
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
        knobs: dict[str, dict[str, Any]] = {
            "copies": {"copies": 2},
            "deaf": {"acks": False},
            "reviews": {"audit": self.notes.chance.choice(("pass", "reject")), "audit_after_ms": 5000},
            "limits": {"session_starts": 0},
            "markup": {"markdown_code": 40034127},
        }
        if fault not in knobs:
            raise PlanError(f"the simulated QQ cannot have the fault {fault!r}")
        self._nursery.start_soon(turned, self.sim.knobs, knobs[fault], ends)

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
