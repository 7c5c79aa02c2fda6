"""What a QQ platform can do to a session, and what must come of it: the close codes and the faults, as tables.

What follows from a close code is written down here once more, out of the platform's documents, and not taken from the
adapter that is measured.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

from statecore_adapters.qqbot.simulator import (
    Abort,
    Close,
    Eof,
    Invalid,
    Proceed,
    Raw,
    Reconnect,
    Reject,
    Response,
    Send,
    Simulator,
    SlowBody,
    Stall,
    Wait,
    front_end,
    problem,
)
from statecore_adapters.qqbot.simulator.faults import Point, Step
from statecore_adapters.qqbot.simulator.scripts import Act

USER: Final = "5A0C8D1E"
GROUP: Final = "9F3B77C2"

# ---- close codes -----------------------------------------------------------------------------------------------------

Then = Literal["resume", "identify", "token", "stop"]
Ending = int | None | Literal["eof", "reset"]
"""A close code; None for a close frame without one; or no close frame at all."""

CLOSES: Final[Mapping[Ending, Then]] = {
    **dict.fromkeys((1000, None, "eof", "reset", 4000, 4005, 4008, 4009), "resume"),
    **dict.fromkeys((4003, 4006, 4007, *range(4900, 4914)), "identify"),
    4004: "token",
    **dict.fromkeys((4001, 4002, 4010, 4011, 4012, 4013, 4014, 4914, 4915), "stop"),
}
"""Source: QQ bot API v2, close codes, as of 2026."""

STAYS_AWAY_S: Final = {4008: 60.0}


def step_of(ending: Ending) -> Step:
    """Return how the platform does that."""
    match ending:
        case "eof":
            return Eof()
        case "reset":
            return Abort()
        case code:
            return Close(code)


# ---- faults ----------------------------------------------------------------------------------------------------------

End = Callable[[], object]
Begin = Callable[[Simulator], End]


@attrs.frozen
class Fault:
    """One fault that goes on until it is ended.

    Args:
        begin: lets it begin, on a platform with a session that stands; returns what ends it.
        comes: what it must come to while it goes on. "up": the session stands. "down": it does not, and is tried again.
            "stop": it is probed slowly, and status says what to do. "any": it comes and goes.
        dials: how many it costs, if that is said.
        handled: messages that are said while it goes on, and handled in the end.
        shown: of their answers, how many are seen in the end.
    """

    begin: Begin
    comes: Literal["up", "down", "stop", "any"]
    dials: int | None = None
    handled: int = 0
    shown: int | None = None


def _nothing() -> None:
    """Leave it: it was over at once."""


def _order(*steps: Step) -> Begin:
    def begin(sim: Simulator) -> End:
        sim.order(*steps)
        return _nothing

    return begin


def _at(point: Point, *steps: Step, anew: bool = False) -> Begin:
    """Drop the connection, and let the next ones go wrong at one point; *anew*: there is nothing to be resumed."""

    def begin(sim: Simulator) -> End:
        cue = sim.at(point, *steps)
        if anew:
            sim.end_sessions()
        sim.order(Eof())
        return cue.cancel

    return begin


def _gone(sim: Simulator) -> End:
    """Drop the connection, and leave nothing to be resumed."""
    sim.end_sessions()
    sim.order(Eof())
    return _nothing


def _new_event(sim: Simulator) -> End:
    """Send an event of tomorrow's protocol."""
    sim.dispatch("NEW_EVENT", {})
    return _nothing


def _write(sim: Simulator) -> End:
    """Let a user write."""
    _say(sim, 1)
    return _nothing


def _knob(begin: Begin, **values: Any) -> Begin:
    def turned(sim: Simulator) -> End:
        before = {name: getattr(sim.knobs, name) for name in values}
        _turn(sim, values)
        end = begin(sim)

        def turn_back() -> None:
            _turn(sim, before)
            end()

        return turn_back

    return turned


def _turn(sim: Simulator, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(sim.knobs, name, value)


def _token(act: Act | None = None) -> Begin:
    """Void the token, and answer who asks for another with *act*."""

    def begin(sim: Simulator) -> End:
        script = sim.script("token", act) if act is not None else None
        sim.void_token()
        sim.order(Eof())
        return script.cancel if script is not None else _nothing

    return begin


def _lookup(act: Act) -> Begin:
    """Refuse dials until the address is asked for, and answer who asks with *act*."""

    def begin(sim: Simulator) -> End:
        cue = sim.at("connect", Reject(503), times=2)
        scripts = [sim.script(name, act) for name in ("gateway", "gateway/bot")]
        sim.order(Eof())

        def end() -> None:
            cue.cancel()
            for script in scripts:
                script.cancel()

        return end

    return begin


def _say(sim: Simulator, count: int) -> None:
    for number in range(count):
        sim.say_c2c(USER, f"meanwhile {number}")


def _missed(count: int) -> Begin:
    """Reset the connection, and let users write before it is back."""

    def begin(sim: Simulator) -> End:
        sim.order(Abort())
        _say(sim, count)
        return _nothing

    return begin


def _sends(act: Act, *, after: bool = False, times: int | None = None) -> Begin:
    """Answer sends with *act*, and let a user write."""

    def begin(sim: Simulator) -> End:
        script = sim.script("messages", act, after=after, times=times)
        _say(sim, 1)
        return script.cancel

    return begin


def _refused(code: int) -> dict[str, Any]:
    return {"code": code, "message": "refused"}


def _invalid(code: int) -> Begin:
    return _at("identify", Invalid(), Wait(500), Close(code), anew=True)


_HTML: Final = front_end(502)
_BIG: Final = '{"op":0,"t":"' + "x" * 5 * 1024 * 1024 + '"}'

SESSION_FAULTS: Final[Mapping[str, Fault]] = {
    "op 9, then 4903": Fault(_invalid(4903), "any"),
    "op 9, then 4013": Fault(_invalid(4013), "stop"),
    "op 9, then 4014": Fault(_invalid(4014), "stop"),
    "op 9, then 4914": Fault(_invalid(4914), "stop"),
    "op 9, then 4915": Fault(_invalid(4915), "stop"),
    "op 9, then the end": Fault(_at("identify", Invalid(), Wait(50), Eof(), anew=True), "any"),
    "op 9 without d": Fault(_at("identify", Invalid(None), Wait(50), Eof(), anew=True), "any"),
    "op 9 and silence": Fault(_at("identify", Invalid(), anew=True), "any"),
    "op 9 true for a resume": Fault(_at("resume", Invalid(resumable=True), Wait(50), Eof()), "up"),
    "hello after 10 s": Fault(_at("hello", Wait(10_000), Proceed()), "up", dials=1),
    "no hello": Fault(_at("hello"), "down"),
    "no READY": Fault(_at("identify", anew=True), "any"),
    "no RESUMED": Fault(_at("resume"), "up", dials=3),
    "dials refused": Fault(_at("connect", Reject(503)), "down"),
    "dials cut off": Fault(_at("connect", Abort()), "down"),
    "dials unanswered": Fault(_at("connect"), "down"),
    "op 7, then 4009": Fault(_order(Reconnect(), Wait(2000), Close(4009)), "up", dials=1),
    "op 7 and no close": Fault(_order(Reconnect()), "up", dials=1),
    "4009 alone": Fault(_order(Close(4009)), "up", dials=1),
    "reset": Fault(_order(Abort()), "up", dials=1),
    "reset during resume": Fault(_at("resume", Abort()), "up", dials=3),
    "resumed, then 1000": Fault(_at("resumed", Close(1000)), "up", dials=3),
    "resumed, then closed without a code": Fault(_at("resumed", Close(None)), "up", dials=3),
    "the session is gone, op 9": Fault(_knob(_gone, dead_session="op9"), "up", dials=2),
    "the session is gone, 4006": Fault(_knob(_gone, dead_session="close"), "up", dials=2),
    "the session is gone, silently": Fault(_knob(_gone, dead_session="silent"), "up", dials=3),
    "replay with duplicates": Fault(_knob(_missed(6), replay="duplicates"), "up", dials=1, handled=6),
    "replay with gaps": Fault(_knob(_missed(6), replay="gaps"), "up", dials=1, handled=3),
    "replay out of order": Fault(_knob(_missed(6), replay="shuffled"), "up", dials=1, handled=6),
    "replay after RESUMED": Fault(_knob(_missed(6), replay="resumed_first"), "up", dials=1, handled=6),
    "no op 11": Fault(_knob(_order(), acks=False), "any"),
    "op 1 of the platform": Fault(_order(Send({"op": 1, "d": None})), "up", dials=0),
    "an op nobody knows": Fault(_order(Send({"op": 99, "d": {}})), "up", dials=0),
    "an event nobody knows": Fault(_new_event, "up", dials=0),
    "an event without s": Fault(_order(Send({"op": 0, "t": "FRIEND_ADD", "d": {}})), "up", dials=0),
    "a frame that is no JSON": Fault(_order(Raw("{")), "up", dials=0),
    "a binary frame": Fault(_order(Raw(b"\x00\xff")), "up", dials=0),
    "a frame of 5 MB": Fault(_order(Raw(_BIG)), "up", dials=0),
}

REST_FAULTS: Final[Mapping[str, Fault]] = {
    "token: 200 with 100001": Fault(_token(_refused(100001)), "down"),
    "token: 200 with 100002": Fault(_token(_refused(100002)), "down"),
    "token: 200 with 100007": Fault(_token(_refused(100007)), "stop"),
    "token: 200 with 100016": Fault(_token(_refused(100016)), "stop"),
    "token: 200 with 10004": Fault(_token(_refused(10004)), "stop"),
    "token: HTML": Fault(_token(_HTML), "down"),
    "token: voided early": Fault(_token(), "up"),
    "token: the same after it was voided": Fault(_knob(_token(), token_unchanged=True), "stop"),
    "token: expires_in is a number": Fault(_knob(_token(), expires_in="int"), "up"),
    "token: expires_in is zero": Fault(_knob(_token(), expires_in="zero"), "up"),
    "token: expires_in is missing": Fault(_knob(_token(), expires_in="missing"), "up"),
    "gateway: 500": Fault(_lookup(front_end(500)), "down"),
    "gateway: HTML": Fault(_lookup(_HTML), "down"),
    "gateway: 11298": Fault(_lookup(problem(11298)), "stop"),
    "gateway: 100017": Fault(_lookup(problem(100017)), "down"),
    "gateway: no url": Fault(_lookup({"shards": 1}), "down"),
    "gateway: a byte now and then": Fault(_lookup(lambda answer: SlowBody(answer, 1)), "down"),
}

SEND_FAULTS: Final[Mapping[str, Fault]] = {
    "send: taken, and no answer": Fault(_sends(Stall(), after=True, times=1), "up", 0, 1, 1),
    "send: taken, and 502": Fault(_sends(_HTML, after=True, times=1), "up", 0, 1, 1),
    "send: not taken, and 502": Fault(_sends(_HTML, times=1), "up", 0, 1, 1),
    "send: 500 with a number": Fault(
        _sends(Response(500, {"content-type": "application/json"}, b'{"err_code":50059,"code":50059,"message":"no"}')),
        *("up", 0, 1, 0),
    ),
    "send: for review, let through": Fault(_knob(_write, audit="pass", audit_after_ms=5000), "up", 0, 1, 1),
    "send: for review, not let through": Fault(_knob(_write, audit="reject", audit_after_ms=5000), "up", 0, 1, 0),
    "send: the message is too old": Fault(_sends(problem(40034005)), "up", 0, 1, 1),
    "send: answered too often": Fault(_sends(problem(40034128)), "up", 0, 1, 1),
    "send: 429, and when to come back": Fault(_sends(problem(50002, retry_after=30), times=3), "up", 0, 1, 1),
    "send: 429": Fault(_sends(problem(50002), times=3), "up", 0, 1, 1),
    "send: the session is down": Fault(_missed(1), "up", 1, 1, 1),
    "each message thrice": Fault(_knob(_write, copies=3), "up", 0, 1, 1),
}

FAULTS: Final[Mapping[str, Fault]] = {**SESSION_FAULTS, **REST_FAULTS, **SEND_FAULTS}
