"""A simulated WeChat in a run: its people, its faults, its truth."""

from typing import Any

import attrs
import trio

from statecore.simulation.faithful.link import Link
from statecore.simulation.faithful.notes import HTML, SLOW_S, Notes, hits, turned
from statecore.simulation.plan import Occurrence, PlanError
from statecore.simulation.truth import Made, Said
from statecore_adapters import httpd
from statecore_adapters.weixin import simulator as wx
from statecore_adapters.weixin.simulator.ids import read_cursor


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

    def polled(self, call: wx.Call) -> bool:
        """Note what a poll's cursor acknowledges. Asked as a script that never strikes, before the poll is held."""
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
        knobs: dict[str, dict[str, Any]] = {
            "empties": {"instant_empty": True},
            "copies": {"duplicate_after_ms": 3000, "duplicate_same_id": True},
            "flood": {"message_flood": 2},
        }
        if fault not in knobs:
            raise PlanError(f"the simulated WeChat cannot have the fault {fault!r}")
        self._nursery.start_soon(turned, self.sim.knobs, knobs[fault], ends)


def _weixin_refusal(code: str) -> Any:
    name, _, number = code.replace(" ", "=").partition("=")
    return httpd.Response(int(number)) if name == "http" else {name: int(number)}
