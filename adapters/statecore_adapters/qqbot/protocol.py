"""The gateway's frames: bytes to values, values to bytes. No I/O, no clock, no chance.

Nothing a gateway can say raises. What cannot be read becomes a `Note` that says what was wrong with it, so that a frame
of tomorrow's protocol costs itself and no more.

Where a session stands is its id and the highest `s` that was received; a resume asks for what came after that. It goes
back to the caller with every frame that moves it, to be committed with what the frame brought, and comes in again with
the next one. It never moves back: a resumed gateway sends in order, and what it sends twice is recognised by the
messages' own ids. RESUMED does not move it either. Its `s` is of no message, and a gateway that said RESUMED before the
last of what was missed would otherwise take the rest with it. The price of one number is that a gateway that replays
out of order, and breaks off in the midst of it, loses what it had not sent yet; to wait for gaps to close instead would
wait for ever, since the gateway is not bound to leave none.

Source: QQ bot API v2, events over WebSocket, as of 2026; `d` of RESUMED is an empty text.
"""

import json
from typing import Any, Final

import attrs

from statecore.platform import (
    Batch,
    BeatAck,
    BeatWanted,
    Ended,
    Hello,
    Invalid,
    Message,
    Note,
    Review,
    Welcome,
)
from statecore.units import MILLISECONDS, MINUTES
from statecore_adapters.qqbot import events, lenient

Frame = Hello | Welcome | Batch | Note | Review | BeatAck | BeatWanted | Invalid | Ended

FRAME_BYTES_MAX: Final = 1024 * 1024
"""What is looked into. Messages have some kilobytes; a frame that is larger is none, and reading it would hold up
everything else."""

SHARD: Final = (0, 1)
"""One connection for everything. A bot in so many guilds that it needs more is told so with 4011."""

BEAT_EVERY: Final = 41_250 * MILLISECONDS
"""Where Hello does not say. Source: seen on the wire; the documents' sample says 45 s."""

BEAT_EVERY_MIN: Final = 50 * MILLISECONDS
BEAT_EVERY_MAX: Final = 10 * MINUTES
"""What Hello may ask for. Beyond it a dead connection would not be noticed in a day's work."""

NAME_MAX: Final = 64

RECONNECT: Final = Ended(
    code="op 7", error="the gateway asks for another connection, as it does every half hour", then="resume"
)


@attrs.frozen(kw_only=True)
class Session:
    """Where a session stands.

    Args:
        id: the platform's.
        seq: the highest `s` that was received.
        bot: the bot's own id, by which others mention it.
    """

    id: str
    seq: int
    bot: str = ""

    def secrets(self) -> dict[str, str]:
        """Return what is to be committed."""
        return {"session": json.dumps({"id": self.id, "seq": self.seq, "bot": self.bot}, separators=(",", ":"))}


def read_session(stored: str | None) -> Session | None:
    """Read what was committed; None if there is no session."""
    found = lenient.mapping(lenient.load((stored or "").encode(errors="replace")))
    known_as, seq = lenient.text(found.get("id")), lenient.whole(found.get("seq"))
    if not known_as or seq is None or seq < 0:
        return None
    return Session(id=known_as, seq=seq, bot=lenient.text(found.get("bot")))


# ---- what we say -----------------------------------------------------------------------------------------------------


def identify(token: str, intents: int) -> str:
    """Write the frame that asks for a new session."""
    properties = {"$os": "linux", "$browser": "statecore", "$device": "statecore"}
    d = {"token": f"QQBot {token}", "intents": intents, "shard": list(SHARD), "properties": properties}
    return _dump(2, d)


def resume(token: str, session: Session) -> str:
    """Write the frame that asks to go on with a session."""
    return _dump(6, {"token": f"QQBot {token}", "session_id": session.id, "seq": session.seq})


def heartbeat(session: Session | None) -> str:
    """Write a heartbeat. It carries what was committed, and not what was merely received: for all we know the platform
    keeps nothing that was acknowledged so."""
    return _dump(1, session.seq if session is not None else None)


def _dump(op: int, d: Any) -> str:
    return json.dumps({"op": op, "d": d}, separators=(",", ":"))


# ---- what the gateway says -------------------------------------------------------------------------------------------


def read(data: bytes, session: Session | None) -> Frame:
    """Read one frame. Never raises.

    Args:
        data: the payload; whether it came as text or as binary makes no difference.
        session: where the session stands; None if there is none.
    """
    if len(data) > FRAME_BYTES_MAX:
        return Note(what=f"a frame of {len(data)} bytes, which was not read")
    frame = lenient.load(data)
    if not isinstance(frame, dict):
        return Note(what="a frame that is no JSON object" if frame is not None else "a frame that is no JSON")
    d = frame.get("d")
    match lenient.whole(frame.get("op")):
        case 0:
            return _dispatch(frame, session)
        case 1:
            return BeatWanted()
        case 7:
            return RECONNECT
        case 9:
            return Invalid(resumable=d is True)
        case 10:
            return Hello(beat_every=_interval(lenient.mapping(d).get("heartbeat_interval")))
        case 11:
            return BeatAck()
        case None:
            return Note(what="a frame without an op")
        case op:
            return Note(what=f"op {op}")


def _interval(value: object) -> int:
    asked = lenient.whole(value)
    if asked is None or asked <= 0:
        return BEAT_EVERY
    return min(max(asked * MILLISECONDS, BEAT_EVERY_MIN), BEAT_EVERY_MAX)


def _dispatch(frame: dict[str, Any], session: Session | None) -> Frame:
    name, d, s = lenient.text(frame.get("t")), frame.get("d"), lenient.whole(frame.get("s"))
    if name == "READY":
        return _ready(lenient.mapping(d), s)
    if name == "RESUMED":
        return Welcome(resumed=True, secrets=session.secrets() if session is not None else {})
    secrets = {}
    if session is not None and s is not None and s > session.seq:
        secrets = attrs.evolve(session, seq=s).secrets()
    match events.read(name, d, session.bot if session is not None else ""):
        case Message() as message:
            return Batch(messages=(message,), secrets=secrets)
        case Review() as review:
            return attrs.evolve(review, secrets=secrets)
        case str(what):
            return Note(what=what[:NAME_MAX], secrets=secrets)


def _ready(d: Any, s: int | None) -> Frame:
    known_as = lenient.id_of(d.get("session_id"))
    if not known_as:
        return Note(what="a READY without a session")
    bot = lenient.id_of(lenient.mapping(d.get("user")).get("id"))
    session = Session(id=known_as, seq=s if s is not None and s > 0 else 1, bot=bot)
    return Welcome(resumed=False, secrets=session.secrets())
