"""One open WebSocket of the gateway, from Hello to its end."""

# How one connection works: a reader, a writer, and whatever steps are being played.
#
#   reader   socket -> frame -> what the platform does about it
#   writer   queue of steps -> socket. Everything the platform says goes through it, faults and close frames included,
#            so the order in which things were decided is the order on the wire.
#   steps    one task for each cue that struck or order that was given; waits here hold up neither of the others.
#
# A session is up from the moment READY or RESUMED is queued until the writer comes to the step that ends the
# connection, or the reader comes to its end. In between, what is sent over REST is delivered.

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson
import trio
from websockets.exceptions import ConnectionClosed

from . import events
from .entry import (
    CLOSE_ALREADY_IDENTIFIED,
    CLOSE_BAD_PAYLOAD,
    CLOSE_BAD_SEQ,
    CLOSE_SESSION_GONE,
    CLOSE_TIMED_OUT,
    CLOSE_TOO_FAST,
    CLOSE_UNKNOWN_OP,
    identify_flaw,
    in_order,
    read_shard,
)
from .faults import Abort, Close, Cue, Eof, Freeze, Invalid, Point, Proceed, Raw, Reconnect, Send, Step, Wait
from .model import Bot, Rate, Session
from .records import Heartbeat, Identify, Resume, keep
from .state import Live, State, dispatch
from .wire import Socket

__all__ = ["Connection"]

OUTBOX_STEPS_MAX: Final = 20_000
# A replay is queued whole, so this is twice what a session keeps. A client that does not read is torn off here.
LINGER_S: Final = 1.0  # after the end of stream was sent, for the client to see it and end too


def _nothing() -> None:
    pass


class Connection:
    """One open WebSocket. It is the `Link` of the session it carries."""

    def __init__(self, state: State, ws: Socket) -> None:
        assert ws.dial is not None
        self._state = state
        self._ws = ws
        self._dial = ws.dial
        self._session: Session | None = None
        self._outbox, self._inbox = trio.open_memory_channel[Step](OUTBOX_STEPS_MAX)
        self._beaten = trio.Event()
        self._interval_ms = state.knobs.heartbeat_interval_ms
        self._frames = Rate()
        self._left = False  # the platform has no more use for this connection
        self._nursery: trio.Nursery

    async def serve(self) -> None:
        """Say Hello, and go on until the connection is gone."""
        live = Live(self._dial, self._play_soon)
        self._state.live.append(live)
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._write)
                self._meet("hello", self._hello)
                await self._read()
                self._nursery.cancel_scope.cancel()
        finally:
            self._state.live.remove(live)
            self._over()

    def _over(self) -> None:
        received = self._ws.protocol.close_rcvd
        self._dial.close_received = received.code if received is not None else None
        self._leave()
        if self._session is not None and self._dial.close_received == 1000 and self._dial.close_sent is None:
            self._session.ended = self._session.ended or self._state.knobs.normal_close_ends
        self._dial.closed_at = self._state.now()
        codes = f"sent {self._dial.close_sent}, received {self._dial.close_received}"
        self._state.note(f"dial {self._dial.number} gone ({codes})")

    # ---- the session on it ----

    def push(self, frame: Mapping[str, Any]) -> None:
        """Send a dispatch, after everything sent before."""
        self._post(Send(frame))

    def displace(self) -> None:
        """End it: the session, or the shard, is served elsewhere now."""
        code = self._state.knobs.displaced_code
        self._post(Eof() if code is None else Close(code, "displaced"))
        self._leave()

    def _carry(self, bot: Bot, session: Session) -> None:
        """Let the session live here."""
        former, session.link = session.link, self
        if former is not None and former is not self:
            former.displace()
        session.up, session.left_at = True, None
        self._session = session
        dial, now = self._dial, self._state.now()
        dial.app_id, dial.session_id, dial.shard, dial.up_at = bot.app_id, session.id, session.shard, now

    def _leave(self) -> None:
        """Let the session go; it may be resumed elsewhere."""
        self._left = True
        if self._session is not None and self._dial.down_at is None:
            self._dial.down_at = self._state.now()
            self._session.detach(self, self._state.now())
            self._state.touch()

    # ---- out ----

    def _post(self, step: Step) -> None:
        try:
            self._outbox.send_nowait(step)
        except trio.WouldBlock:
            if not self._left:
                self._leave()
                self._state.note(f"dial {self._dial.number} does not read; torn off")
                self._nursery.start_soon(self._ws.wire.reset)
        except trio.BrokenResourceError:
            pass  # the writer is through: the connection is being ended

    def _play_soon(self, steps: Sequence[Step], proceed: Callable[[], None] = _nothing) -> None:
        """Play steps: up to the first wait at once, so that what is said next comes after them; the rest in a task."""
        waits = next((place for place, step in enumerate(steps) if isinstance(step, Wait)), len(steps))
        for step in steps[:waits]:
            self._do(step, proceed)
        if waits < len(steps):
            self._nursery.start_soon(self._play, steps[waits:], proceed)

    async def _play(self, steps: Sequence[Step], proceed: Callable[[], None]) -> None:
        for step in steps:
            if isinstance(step, Wait):
                await trio.sleep(step.ms / 1000)
            else:
                self._do(step, proceed)

    def _do(self, step: Step, proceed: Callable[[], None]) -> None:
        if isinstance(step, Proceed):
            proceed()
        else:
            self._post(step)

    def _meet(self, point: Point, proceed: Callable[[], None]) -> None:
        """Come to a point of the course where a cue may stand."""
        cue = self._cue(point)
        if cue is None:
            proceed()
        else:
            self._play_soon(cue.steps, proceed)

    def _cue(self, point: Point) -> Cue | None:
        cue = self._state.cue(point, self._dial)
        if cue is not None:
            steps = ", ".join(map(str, cue.steps)) or "silence"
            self._state.note(f"dial {self._dial.number} at {point}: {steps}"[:300])
        return cue

    async def _write(self) -> None:
        gone = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)
        with self._inbox, contextlib.suppress(*gone):
            async for step in self._inbox:
                await self._say(step)
                if isinstance(step, Close | Eof | Abort):
                    return

    async def _say(self, step: Step) -> None:
        match step:
            case Send(frame):
                await self._ws.send(orjson.dumps(frame), text=True)
            case Raw(data):
                await self._ws.send(data)
            case Invalid(resumable):
                frame = {"op": 9} if resumable is None else {"op": 9, "d": resumable}
                await self._ws.send(orjson.dumps(frame), text=True)
            case Reconnect():
                await self._ws.send('{"op":7}')
            case Close(code, reason):
                await self._close(code, reason)
            case Eof():
                self._leave()
                await self._ws.wire.send_eof()
                with trio.move_on_after(LINGER_S):
                    await self._ws.wait_closed()
                await trio.aclose_forcefully(self._ws.wire)
            case Abort():
                self._leave()
                await self._ws.wire.reset()
            case Freeze():
                self._ws.wire.freeze()
                self._state.bury_later(self._ws.wire)
            case _:
                raise ValueError(f"the connection is open, so there is no {step}")

    async def _close(self, code: int | None, reason: str) -> None:
        self._leave()
        self._dial.close_sent = 1005 if code is None else code
        self._state.note(f"dial {self._dial.number} closed with {code}")
        if code is not None:
            await self._ws.aclose(code, reason)
            return
        async with self._ws.send_context():
            self._ws.protocol.send_close()

    # ---- in ----

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._hear(await self._ws.recv())

    def _hear(self, data: str | bytes) -> None:
        now, knobs = self._state.now(), self._state.knobs
        if not self._frames.admits(now, knobs.frames_per_minute, 60):
            self._post(Close(CLOSE_TOO_FAST, "payload too fast"))
            return
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            self._post(Close(CLOSE_BAD_PAYLOAD, "not json"))
            return
        match frame.get("op"):
            case 1:
                self._heard_heartbeat(frame.get("d"))
            case 2:
                self._heard_identify(frame.get("d"))
            case 6:
                self._heard_resume(frame.get("d"))
            case op:
                self._state.note(f"dial {self._dial.number} says op {op}")
                self._post(Close(CLOSE_UNKNOWN_OP, "invalid opcode"))

    def _hello(self) -> None:
        self._interval_ms = self._state.knobs.heartbeat_interval_ms
        self._post(Send(events.hello(self._interval_ms)))

    # ---- heartbeat ----

    def _heard_heartbeat(self, seq: Any) -> None:
        known = seq if isinstance(seq, int) else None
        fact = Heartbeat(at=self._state.now(), dial=self._dial.number, seq=known)
        keep(self._state.heartbeats, fact)
        self._beaten.set()
        self._beaten = trio.Event()
        if self._session is not None and known is not None:
            self._session.acked = max(self._session.acked, known)
        self._state.tell(fact)
        self._state.touch()
        self._meet("heartbeat", self._acknowledge)

    def _acknowledge(self) -> None:
        if self._state.knobs.acks:
            self._post(Send({"op": 11}))

    async def _watch(self) -> None:
        """End the connection of a client that has stopped beating."""
        tolerance = self._state.knobs.heartbeat_tolerance
        if tolerance is None:
            return
        beaten = True
        while beaten:
            beaten = False
            with trio.move_on_after(tolerance * self._interval_ms / 1000):
                await self._beaten.wait()
                beaten = True
        self._state.note(f"dial {self._dial.number}: no heartbeat")
        self._post(Close(CLOSE_TIMED_OUT, "heartbeat timed out"))

    async def _age(self) -> None:
        """End the connection in its time, as the platform does about every half hour."""
        knobs = self._state.knobs
        if knobs.connection_s is not None:
            await trio.sleep(knobs.connection_s)
            await self._play(
                (Reconnect(), Wait(knobs.op7_lead_ms), Close(CLOSE_TIMED_OUT, "session timed out")), _nothing
            )

    def _after(self, point: Point) -> None:
        """Start what runs beside a session that is up."""
        self._state.touch()
        self._nursery.start_soon(self._watch)
        self._nursery.start_soon(self._age)
        cue = self._cue(point)
        if cue is not None:
            self._play_soon(cue.steps)

    # ---- Identify ----

    def _heard_identify(self, d: Any) -> None:
        known = d if isinstance(d, dict) else {}
        bot = self._state.bot_of_frame(known.get("token"), bare=False)
        fact = Identify(
            at=self._state.now(),
            dial=self._dial.number,
            app_id=bot.app_id if bot is not None else "",
            token=str(known.get("token", "")),
            intents=known.get("intents"),
            shard=known.get("shard"),
        )
        keep(self._state.identifies, fact)
        self._state.note(f"dial {self._dial.number} identifies: intents {fact.intents}, shard {fact.shard}")
        self._meet("identify", partial(self._identify, known, fact))

    def _identify(self, d: Mapping[str, Any], fact: Identify) -> None:
        if self._left:
            return
        if self._session is not None:
            fact.refused = CLOSE_ALREADY_IDENTIFIED
            self._post(Close(CLOSE_ALREADY_IDENTIFIED, "already authenticated"))
            return
        bot = self._state.bot_of_frame(d.get("token"), bare=False)
        code = identify_flaw(bot, d, self._state.knobs, self._state.now())
        if code or bot is None:
            fact.refused = code
            self._refuse(code)
            return
        now, knobs = self._state.now(), self._state.knobs
        bot.starts.spend(now)
        session = Session(self._state.ids.uuid("session"), read_shard(d.get("shard")) or (0, 1), d["intents"])
        former = bot.start(session)
        if former is not None and former.link is not None:
            former.link.displace()
        self._carry(bot, session)
        fact.session_id = session.id
        shard = session.shard if knobs.ready_shard == "given" else (0, 0)
        ready = events.ready(session.id, bot.id, bot.username, shard)
        self._post(Send(dispatch(session.next_s(), "READY", ready, f"READY:{session.id}")))
        self._state.note(f"dial {self._dial.number} ready: session {session.id}")
        self._after("ready")

    def _refuse(self, code: int) -> None:
        """Say op 9, and a moment later the reason, or nothing but the end."""
        knobs = self._state.knobs
        end: Step = Close(code) if knobs.invalid_ends == "close" else Eof()
        self._play_soon((Invalid(resumable=False), Wait(knobs.reason_after_ms), end))

    # ---- Resume ----

    def _heard_resume(self, d: Any) -> None:
        known = d if isinstance(d, dict) else {}
        bot = self._state.bot_of_frame(known.get("token"), bare=True)
        fact = Resume(
            at=self._state.now(),
            dial=self._dial.number,
            app_id=bot.app_id if bot is not None else "",
            token=str(known.get("token", "")),
            session_id=str(known.get("session_id", "")),
            seq=known.get("seq"),
        )
        keep(self._state.resumes, fact)
        self._state.note(f"dial {self._dial.number} resumes: session {fact.session_id}, seq {fact.seq}")
        self._meet("resume", partial(self._resume, known, fact))

    def _resume(self, d: Mapping[str, Any], fact: Resume) -> None:
        if self._left:
            return
        if self._session is not None:
            fact.refused = CLOSE_ALREADY_IDENTIFIED
            self._post(Close(CLOSE_ALREADY_IDENTIFIED, "already authenticated"))
            return
        state, knobs = self._state, self._state.knobs
        bot = state.bot_of_frame(d.get("token"), bare=True)
        if bot is None or bot.barred is not None:
            fact.refused = knobs.voided_token_code if bot is None else bot.barred or 0
            self._refuse(fact.refused)
            return
        session, seq = bot.sessions.get(fact.session_id), fact.seq
        if session is None or not session.resumable(state.now(), knobs.resume_window_s):
            fact.refused = CLOSE_SESSION_GONE
            self._refuse_dead()
            return
        if not isinstance(seq, int) or not 0 <= seq <= session.last_s:
            fact.refused = CLOSE_BAD_SEQ
            self._refuse(CLOSE_BAD_SEQ)
            return
        fact.replayed = len(session.missed(seq))
        self._state.tell(fact)
        self._carry(bot, session)
        resumed_s = session.next_s() if knobs.resumed_s == "next" else session.last_s
        resumed = dispatch(resumed_s, "RESUMED", "", f"RESUMED:{session.id}")
        for frame in in_order(knobs.replay, session, seq, resumed):
            self._post(Send(frame))
        state.note(f"dial {self._dial.number} resumed: {fact.replayed} replayed")
        self._after("resumed")

    def _refuse_dead(self) -> None:
        """Answer a Resume whose session is gone, in one of the three ways that were seen."""
        knobs = self._state.knobs
        match knobs.dead_session:
            case "op9":
                self._refuse(CLOSE_SESSION_GONE)
            case "close":
                self._post(Close(CLOSE_SESSION_GONE, "session no longer valid"))
            case "silent":
                self._play_soon((Wait(knobs.reason_after_ms), Close(1000)))
