"""QQ, as its adapter sees it: access tokens, a gateway over a socket, sessions that are resumed, numbered answers, reviews.

The limits and habits are those of the adapter's own simulator (`statecore_adapters.qqbot.simulator`), which answers in bytes.
"""

from collections import deque
from typing import Any, Final

import attrs

from statecore.machines.connection import HangUp
from statecore.machines.session import Authorise, Identify, LookUp, OpenSocket, ReadFrame, Resume
from statecore.platform import (
    Address,
    Batch,
    BeatAck,
    BeatWanted,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Message,
    Note,
    Outgoing,
    Pending,
    Refusal,
    Review,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
    Welcome,
)
from statecore.simulation.disk import Ledger
from statecore.simulation.driver import Attempt
from statecore.simulation.network import CONNECT_PATIENCE, Later, Network, Spell, Spells, Unanswered
from statecore.simulation.process import Process
from statecore.simulation.server import CANARY, FLOOD, SEND_PATIENCE, Departed, Server, departed
from statecore.simulation.truth import Made, Platform, Said
from statecore.units import HOURS, MILLISECONDS, MINUTES, SECONDS

ASK_PATIENCE: Final = 12 * SECONDS
GOODBYE_PATIENCE: Final = 3 * SECONDS

BEAT_EVERY: Final = 41_250 * MILLISECONDS
BEATS_MISSED: Final = 100 * SECONDS
"""After so long without a heartbeat the gateway takes a socket for dead."""

SESSION_LASTS: Final = 5 * MINUTES
"""How long a session without a socket can be resumed."""

TOKEN_LASTS: Final = (3 * MINUTES, 2 * HOURS)
SAME_UNTIL: Final = 1 * MINUTES
"""How long before its end a token is replaced by another."""

ANSWERS: Final = 5
"""Numbered answers to one message."""

ANSWERED_WITHIN: Final = {"c2c": 60 * MINUTES, "group": 5 * MINUTES}
GUILD_WITHIN: Final = 5 * MINUTES

TAKEN_BEFORE: Final = "code=40054005"
"""Refuses an answer whose number was taken before."""

UNSENT: Final = frozenset({"resolve", "connect", "tls"})
NO_SOCKET: Final = Ended(code="no socket", error="there is no connection", then="resume")
NO_TOKEN: Final = Ended(code="no token", error="there is no access token yet", then="token")
NO_SESSION: Final = Ended(code="no session", error="there is no session to resume", then="identify")
RECONNECT: Final = Ended(code="op 7", error="the gateway asks for another connection", then="resume")
FOREIGN: Final = Failure(stage="tls", error="the certificate is not valid", action="check api_base")
UNREADABLE: Final = Failure(stage="answer", error="the answer holds no object", reachable=True)
WRONG_SECRET: Final = Unauthorised(code="code=100016", message="invalid appid or secret", action="put in the AppSecret")
INTENTS: Final = "4014"


@attrs.define(eq=False)
class Standing:
    """A session, as the gateway keeps it.

    Args:
        id: its id.
        frames: what was dispatched in it: (number, frame, message if it brought one).
        socket: that it is spoken over now.
        left_at: since when there has been none, in ns.
        acknowledged: number up to which a resume has claimed to have everything.
    """

    id: str
    frames: list[tuple[int, Any, Made | None]] = attrs.field(factory=list)
    socket: "Socket | None" = None
    left_at: int = 0
    acknowledged: int = 0


class Socket:
    """One socket: frames on their way to a client, in order.

    Args:
        server: on the other side.
        client: on this side.
    """

    def __init__(self, server: "QQServer", client: "QQClient") -> None:
        self.server = server
        self.client = client
        self.open = True
        self.dead = False
        self.session: Standing | None = None
        self.waiting: Attempt | None = None
        self.came: deque[Any] = deque()
        self.returned = 0
        self.last: Any = NO_SOCKET
        self.ended: Ended | None = None
        self.beat_at = server.loop.now
        self._behind = 0

    # ---- from the gateway to the client ------------------------------------------------------------------------------

    def push(self, frame: Any) -> None:
        """Send a frame to the client."""
        if not self.open or self.server.lost(self):
            return
        self._behind = max(self._behind, self.server.loop.now + self.server.network.way())
        self.server.loop.at(self._behind, self._arrive, frame)

    def _arrive(self, frame: Any) -> None:
        process = self.client.process
        process.call(self.server.loop.now, self._take, frame)

    def _take(self, frame: Any) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None and waiting.is_live:
            self.give(waiting, frame)
        else:
            self.came.append(frame)

    def give(self, attempt: Attempt, frame: Any) -> None:
        """Give a frame to whoever reads."""
        if frame.__class__ is Ended:
            self.ended = frame
            self.close()
        self.last = frame
        self.returned += 1
        attempt.came(frame)

    def close(self) -> None:
        """Close the gateway's side."""
        if self.open:
            self.open = False
            session = self.session
            if session is not None and session.socket is self:
                session.socket = None
                session.left_at = self.server.loop.now

    def end(self, ended: Ended) -> None:
        """Close it from the gateway's side, with a reason."""
        self.push(ended)
        self.close()


class QQServer(Server):
    """The platform of one account."""

    def __init__(self, name: str, network: Network, spells: Spells, truth: Platform) -> None:
        super().__init__(name, network, spells, truth)
        self.sessions: dict[str, Standing] = {}
        self.proactive = False
        self.markdown = False
        self._tokens = 0
        self._token = ""
        self._token_until = 0
        self._voided: set[str] = set()
        self._messages: dict[str, tuple[str, int]] = {}  # message: chat, when
        self._numbers: dict[tuple[str, str, int], str] = {}
        self._answers: dict[str, int] = {}
        self._audits = 0
        self._lasts = TOKEN_LASTS[0] + int(self._knob**4 * (TOKEN_LASTS[1] - TOKEN_LASTS[0]))

    def client(self, process: Process, ledger: Ledger, /) -> "QQClient":
        """Make the half of the adapter that makes attempts."""
        return QQClient(self, process, ledger)

    def begin(self, spell: Spell) -> None:
        """Begin to misbehave."""
        super().begin(spell)
        if spell.fault == "revokes":
            self._voided.add(self._token)
            if spell.share < 1:
                self._token_until = 0  # the token is void, and the secret is good for another
        if spell.fault == "closes":
            self._close_some(spell)
        if spell.fault == "chatter":
            self._chatter(spell)
        if spell.fault == "flood":
            self._flood(spell)

    # ---- tokens and addresses ----------------------------------------------------------------------------------------

    def issue(self, version: int, number: int, known: str) -> Any:
        """Take a request for a token."""
        if (common := self._common()) is not None:
            return common
        spell = self.revoked(version)
        if spell is not None and spell.share == 1:
            return WRONG_SECRET
        now = self.loop.now
        if now > self._token_until - SAME_UNTIL or self._token in self._voided:
            self._tokens += 1
            self._token = f"{CANARY}-token-{self._tokens}"
            self._token_until = now + self._lasts
        changed = self._token != known
        return Token(
            changed=changed,
            lasts=self._token_until - now,
            secrets={"access": f"{self._token} {number}"} if changed else {},
        )

    def find(self, token: str, number: int) -> Any:
        """Take the question where the gateway is."""
        if (common := self._common()) is not None:
            return common
        if not self.is_good(token):
            return Unauthorised(code="code=11244", message="token expired", action="wait", credential=number)
        limits = next((spell for spell in self.spells.active if spell.fault == "limits"), None)
        starts_in = 0
        if limits is not None and self.spells.hit("limits"):
            starts_in = limits.until - self.loop.now
        return Address(url="wss://gateway.simulated/", starts_in=starts_in)

    def _common(self) -> Any:
        spells = self.spells
        if not spells.active:
            return None
        if spells.hit("silent"):
            return Later(None, 0)
        if spells.hit("foreign"):
            return FOREIGN
        if spells.hit("garbage"):
            return UNREADABLE
        return None

    def is_good(self, token: str) -> bool:
        """Tell whether a token is accepted."""
        return bool(token) and token not in self._voided and token == self._token and self.loop.now < self._token_until

    # ---- sessions ----------------------------------------------------------------------------------------------------

    def lost(self, socket: Socket) -> bool:
        """Tell whether what is sent over a socket gets lost; once it was, nothing comes through any more."""
        if socket.dead:
            return True
        network = self.network.spells
        if network.active and (network.hit("half-open") or network.hit("lose-request") or network.hit("lose-answer")):
            socket.dead = True
        if network.active and network.hit("cut"):
            socket.dead = True
            self.loop.at(self.loop.now + self.network.way(), self._cut, socket)
        if self.spells.active and (self.spells.hit("silent") or self.spells.hit("away")):
            socket.dead = True
        return socket.dead

    def _cut(self, socket: Socket) -> None:
        socket.close()
        socket.client.process.call(self.loop.now, socket._take, closed(1006))  # noqa: SLF001 - the network's end of it

    def greet(self, socket: Socket) -> None:
        """Greet a new socket."""
        every = BEAT_EVERY if self._knob < 0.7 else 20 * SECONDS
        if self.spells.hit("foreign"):
            socket.end(closed(4012))
            return
        if self.spells.hit("chatter"):
            socket.push(
                self.random.choice((Note(what="a frame without an op"), BeatAck(), BeatWanted(), Welcome(resumed=True)))
            )
        socket.push(Hello(beat_every=every))
        self.loop.at(self.loop.now + BEATS_MISSED, self._look_for_beats, socket)

    def _look_for_beats(self, socket: Socket) -> None:
        if socket.open:
            if self.loop.now - socket.beat_at >= BEATS_MISSED:
                socket.end(closed(4009))
            else:
                self.loop.at(socket.beat_at + BEATS_MISSED, self._look_for_beats, socket)

    def identify(self, socket: Socket, token: str) -> None:
        """Take the request for a new session."""
        if not socket.open or self.lost(socket):
            return
        if self._refuses_session(socket, token):
            return
        session = Standing(f"session-{len(self.sessions) + 1}")
        for old in list(self.sessions.values()):
            self._forget(old)
        self.sessions[session.id] = session
        self._stand(session, socket)
        socket.push(Welcome(resumed=False, secrets={"session": f"{session.id} 0"}))

    def resume(self, socket: Socket, token: str, id_: str, number: int, seq: int) -> None:
        """Take the request to go on with a session."""
        if not socket.open or self.lost(socket):
            return
        if self._refuses_session(socket, token):
            return
        session = self.sessions.get(id_)
        if session is not None and session.socket is None and self.loop.now - session.left_at > SESSION_LASTS:
            self._forget(session)
            session = None
        if session is None:
            if self.random.random() < 0.5:
                socket.push(Invalid(resumable=False))
            socket.end(closed(4006))
            return
        self.acknowledge(
            tuple(
                made.id for at, _, made in session.frames if session.acknowledged < at <= number and made is not None
            ),
            seq,
        )
        session.acknowledged = max(session.acknowledged, number)
        self._stand(session, socket)
        for at, frame, _ in session.frames:
            if at > number:
                socket.push(frame)
        socket.push(Welcome(resumed=True, secrets={}))

    def _refuses_session(self, socket: Socket, token: str) -> bool:
        if not self.is_good(token):
            if self.random.random() < 0.5:
                socket.push(Invalid(resumable=False))
            socket.end(closed(4004))
            return True
        if self.spells.hit("invalidates"):
            socket.push(Invalid(resumable=self.random.random() < 0.5))
            if self.random.random() < 0.6:
                self.loop.at(self.loop.now + int(self.random.random() * 8 * SECONDS), socket.end, closed(4009))
            elif self.random.random() < 0.7:
                socket.push(self.random.choice((Note(what="op 12"), BeatAck(), Welcome(resumed=True))))
            return True
        if self.spells.active:
            for spell in self.spells.active:
                if spell.fault == "refuses" and spell.code == "code=11265" and self.spells.hit("refuses"):
                    socket.end(closed(4915))
                    return True
            if self.spells.hit("chatter"):
                socket.push(self.random.choice((Note(what="op 12"), BeatAck(), BeatWanted())))
        return False

    def _stand(self, session: Standing, socket: Socket) -> None:
        if session.socket is not None and session.socket is not socket:
            session.socket.end(closed(4009))
        session.socket, socket.session = socket, session

    def _forget(self, session: Standing) -> None:
        """Drop a session; what it had not been told to have arrived is lost, and that is the platform's doing."""
        for at, _, made in session.frames:
            if made is not None and at > session.acknowledged:
                made.lost = True
        session.frames.clear()
        self.sessions.pop(session.id, None)
        if session.socket is not None:
            session.socket.session = None

    def beat(self, socket: Socket) -> None:
        """Take a heartbeat."""
        if not socket.open or self.lost(socket):
            return
        socket.beat_at = self.loop.now
        if not self.spells.hit("deaf"):
            socket.push(BeatAck())

    def dispatch(self, frame: Any, made: Made | None = None) -> None:
        """Send an event over the session there is."""
        session = next(reversed(self.sessions.values()), None) if self.sessions else None
        if session is not None and session.socket is None and self.loop.now - session.left_at > SESSION_LASTS:
            self._forget(session)
            session = None
        if session is None:
            if made is not None:
                made.lost = True
            return
        number = session.frames[-1][0] + 1 if session.frames else session.acknowledged + 1
        whole = attrs.evolve(frame, secrets={"session": f"{session.id} {number}"})
        session.frames.append((number, whole, made))
        if session.socket is not None:
            session.socket.push(whole)
            if self.spells.hit("copies"):
                session.socket.push(whole)

    # ---- what it does by itself --------------------------------------------------------------------------------------

    def _live_socket(self) -> Socket | None:
        sockets = [session.socket for session in self.sessions.values() if session.socket is not None]
        return sockets[-1] if sockets else None

    def _close_some(self, spell: Spell) -> None:
        """Close the socket there is, now and again."""
        if spell not in self.spells.active:
            return
        socket = self._live_socket()
        if socket is not None:
            self.spells.meet("closes")
            socket.end(RECONNECT if spell.code == "op7" else closed(int(spell.code)))
            if spell.code in ("4006", "4007") and socket.session is not None:
                self._forget(socket.session)
        self.loop.at(self.loop.now + int(self.random.expovariate(1) * 40 * SECONDS), self._close_some, spell)

    def _chatter(self, spell: Spell) -> None:
        """Send frames that are no messages."""
        if spell not in self.spells.active:
            return
        socket = self._live_socket()
        if socket is not None:
            self.spells.meet("chatter")
            kind = self.random.randrange(7)
            if kind == 0:
                self.dispatch(Note(what="GROUP_ADD_ROBOT"))
            else:
                frames = (BeatWanted(), BeatAck(), Hello(beat_every=BEAT_EVERY), Welcome(resumed=True), Invalid(resumable=True),
                          Note(what="a frame that is no JSON"))  # fmt: skip
                socket.push(frames[kind - 1])
        self.loop.at(self.loop.now + int(self.random.expovariate(1) * 15 * SECONDS), self._chatter, spell)

    def _flood(self, spell: Spell) -> None:
        if spell not in self.spells.active or self.flooded.get(spell.index, 0) >= FLOOD:
            return
        self.spells.meet("flood")
        number = self.flooded[spell.index] = self.flooded.get(spell.index, 0) + 1
        self.write(f"c2c:FLOOD{number % 3}", f"flood {spell.index} {number}")
        self.loop.at(self.loop.now + 10 * MILLISECONDS, self._flood, spell)

    # ---- messages ----------------------------------------------------------------------------------------------------

    def write(self, chat: str, text: str) -> None:
        """Have a user write."""
        made = self.make(chat, text)
        self._messages[made.id] = (chat, self.loop.now)
        message = Message(chat=chat, sender=chat, id=made.id, text=text, sent_at=made.at // MILLISECONDS)
        self.dispatch(Batch(messages=(message,)), made)

    def take(self, part: Outgoing, token: str, number: int, left: Departed, *, copy: bool) -> Any:
        """Take a request to send, and answer it."""
        said, shown, answer, code, index = self._judge(part, token, number)
        self.note(left, part, said, shown=shown, copy=copy, code=code, spell=index)
        return answer

    def _judge(self, part: Outgoing, token: str, number: int) -> tuple[Said, bool, Any, str, int]:
        spells = self.spells
        if spells.active and spells.hit("silent"):
            return "nothing", False, Later(None, 0), "", -1
        if spells.active and spells.hit("foreign"):
            return "refused", False, Refusal(code="http=404"), "http=404", -1
        if not self.is_good(token):
            answer = Unauthorised(code="code=11244 http=401", message="", action="if it stays, look", credential=number)
            return "unauthorised", False, answer, "code=11244", -1
        if spells.active:
            if (spell := self.refuses(part.chat)) is not None:
                if spell.code == "code=11244":
                    refused = Unauthorised(code=spell.code, message="", action="if it stays, look", credential=number)
                    return "unauthorised", False, refused, spell.code, spell.index
                hint = 60 * SECONDS if spell.code == "code=100001" else None
                return _refused(spell.code), False, Refusal(code=spell.code, hint=hint), spell.code, spell.index
            if self.markdown and not part.bare and spells.hit("markup"):
                return "refused", False, Refusal(code="code=50056"), "code=50056", -1
        if (code := self._not_answerable(part)) is not None:
            return _refused(code), False, Refusal(code=code), code, -1
        return self._show(part)

    def _not_answerable(self, part: Outgoing) -> str | None:
        """Return the code by which an answer is refused for what it answers, or None if it is not."""
        if not part.answers:
            return None if self.proactive else "code=40034102"
        chat, at = self._messages.get(part.answers, ("", 0))
        if chat != part.chat:
            return "code=304026"
        scene = part.chat.partition(":")[0]
        if self.loop.now - at > ANSWERED_WITHIN.get(scene, GUILD_WITHIN):
            return "code=304027"
        if scene in ANSWERED_WITHIN:
            if (part.chat, part.answers, part.number) in self._numbers:
                return TAKEN_BEFORE
            if self._answers.get(part.answers, 0) >= ANSWERS:
                return "code=22009"
        return None

    def _show(self, part: Outgoing) -> tuple[Said, bool, Any, str, int]:
        spells = self.spells
        if part.answers:
            self._numbers[part.chat, part.answers, part.number] = part.key
            self._answers[part.answers] = self._answers.get(part.answers, 0) + 1
        message = self.message_id()
        if spells.active:
            if spells.hit("reviews"):
                return self._review(message)
            if spells.hit("drops", part.chat):
                return "taken", False, Taken(), "", -1
            if spells.hit("garbage"):
                return "taken", True, Unclear(error="HTTP 502, so the platform may or may not have taken it"), "", -1
            if slow := self.slowness():
                return "taken", True, Later(Taken(message=message), slow), "", -1
        return "taken", True, Taken(message=message), "", -1

    def _review(self, message: str) -> tuple[Said, bool, Any, str, int]:
        self._audits += 1
        audit = f"{self.name}-audit-{self._audits}"
        passed = self.random.random() < 0.7
        if self.random.random() < 0.9:
            after = int(self.random.expovariate(1) * 40 * SECONDS) if self.random.random() < 0.8 else 0
            review = Review(audit=audit, passed=passed, message=message if passed else "")
            self.loop.at(self.loop.now + after, self.dispatch, review)
        return "review", passed, Pending(audit=audit), "", -1


class QQClient:
    """The half of the adapter that makes attempts; see `statecore_adapters.qqbot.client`."""

    def __init__(self, server: QQServer, process: Process, ledger: Ledger) -> None:
        self.process = process
        self._server = server
        self._ledger = ledger
        self._version = 0
        self._socket: Socket | None = None

    def close(self) -> None:
        """Drop the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def renewed(self) -> bool:
        """Tell whether there are other credentials."""
        return self._server.version != self._version

    def made_up(self, attempt: Attempt, result: Any) -> None:
        """Have an attempt come to what an ambush says. What was read is counted like any other frame."""
        if not attempt.is_live:
            return
        if isinstance(attempt.effect, ReadFrame) and self._socket is not None:
            self._socket.give(attempt, result)
        else:
            attempt.came(result)

    def _access(self) -> tuple[str, int]:
        token, _, number = (self._ledger.get("access") or " 0").partition(" ")
        return token, int(number)

    def perform(self, attempt: Attempt, effect: Any) -> None:
        """Make an attempt."""
        match effect:
            case ReadFrame():
                self._read(attempt, effect)
            case Authorise():
                self._version = self._server.version
                known, number = self._access()[0], effect.number
                self._ask(attempt, lambda _: self._server.issue(self._version, number, known))
            case LookUp():
                token, number = self._access()
                self._ask(attempt, lambda _: self._server.find(token, number))
            case OpenSocket():
                self._open(attempt)
            case Identify():
                self._say(attempt, resume=False)
            case Resume():
                self._say(attempt, resume=True)
            case HangUp():
                self._hang_up(attempt)
            case _:
                raise TypeError(f"no adapter knows how to {effect!r}")

    def _ask(self, attempt: Attempt, handle: Any) -> None:
        server = self._server
        if server.spells.active and server.spells.hit("away"):
            refused = Failure(stage="connect", error="connection refused")
            attempt.answer(server.loop.now + server.network.way(), refused)
            return
        server.network.request(attempt, handle, ASK_PATIENCE, _failed)

    # ---- the socket --------------------------------------------------------------------------------------------------

    def _open(self, attempt: Attempt) -> None:
        self.close()
        server = self._server
        spells, network = server.spells, server.network.spells
        way = 3 * server.network.way()
        if network.hit("unreachable") or spells.hit("away"):
            attempt.answer(server.loop.now + way, Failure(stage="connect", error="connection refused"))
            return
        if network.hit("half-open") or network.hit("lose-request"):
            silent = Failure(stage="connect", error="no connection within the time allowed")
            attempt.answer(server.loop.now + CONNECT_PATIENCE, silent)
            return
        if spells.hit("foreign"):
            attempt.answer(server.loop.now + way, FOREIGN)
            return
        socket = self._socket = Socket(server, self)
        server.loop.at(server.loop.now + way, server.greet, socket)
        attempt.answer(server.loop.now + way, SocketOpen())

    def _read(self, attempt: Attempt, effect: ReadFrame) -> None:
        socket = self._socket
        if socket is None:
            attempt.came(NO_SOCKET)
            return
        if effect.beat and socket.ended is None:
            self._server.loop.at(self._server.loop.now + self._server.network.way(), self._server.beat, socket)
        if effect.taken < socket.returned:
            attempt.came(socket.last)
        elif socket.ended is not None:
            attempt.came(socket.ended)
        elif socket.came:
            socket.give(attempt, socket.came.popleft())
        else:
            socket.waiting = attempt

    def _say(self, attempt: Attempt, *, resume: bool) -> None:
        socket, server = self._socket, self._server
        token, _ = self._access()
        stands = self._ledger.get("session")
        if not token or (resume and not stands):
            attempt.came(NO_SESSION if token else NO_TOKEN)
            return
        if socket is None or socket.ended is not None:
            attempt.came(NO_SOCKET if socket is None else socket.ended)
            return
        arrives = server.loop.now + server.network.way()
        if resume:
            id_, _, number = (stands or "").partition(" ")
            seq = departed(attempt).seq
            server.loop.at(arrives, server.resume, socket, token, id_, int(number), seq)
        else:
            server.loop.at(arrives, server.identify, socket, token)
        attempt.came(FrameSent())

    def _hang_up(self, attempt: Attempt) -> None:
        socket, server = self._socket, self._server
        self.close()
        if socket is None or socket.ended is not None:
            attempt.came("")
            return
        silent = server.lost(socket)
        after = GOODBYE_PATIENCE if silent else 2 * server.network.way()
        attempt.answer(server.loop.now + after, "the gateway did not answer the close" if silent else "")

    # ---- messages ----------------------------------------------------------------------------------------------------

    def send(self, attempt: Attempt, part: Outgoing) -> None:
        """Send one part, once."""
        server, left = self._server, departed(attempt)
        token, number = self._access()
        if not token:
            attempt.came(Unsent(stage="connect", error="there is no access token yet"))
            return
        if server.spells.active and server.spells.hit("away"):
            attempt.answer(server.loop.now + server.network.way(), Unsent(stage="connect", error="connection refused"))
            return
        server.network.request(
            attempt, lambda copy: server.take(part, token, number, left, copy=copy), SEND_PATIENCE, _unsent
        )


def closed(code: int) -> Ended:
    """Say what follows from a close code, as the adapter does."""
    from statecore_adapters.qqbot.codes import closed as read

    return read(code)


def _refused(code: str) -> Said:
    return "claimed" if code == TAKEN_BEFORE else "refused"


def _failed(lost: Unanswered) -> Failure:
    reachable = lost.stage in ("receive", "answer") and not lost.timed_out
    return Failure(stage=lost.stage, error=lost.error, reachable=reachable)


def _unsent(lost: Unanswered) -> Unsent | Unclear:
    if lost.stage in UNSENT:
        return Unsent(stage=lost.stage, error=lost.error)
    return Unclear(error=f"{lost.stage}: {lost.error}")
