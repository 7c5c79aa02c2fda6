"""A simulated QQ bot platform (API v2: access token, REST, WebSocket gateway), for testing bots without QQ.

    async with open_simulator(knobs=Knobs(heartbeat_interval_ms=500)) as sim:
        bot = sim.add_bot()
        ...                                # point a client at sim.token_url and sim.api_base; it finds the gateway
        sim.say_c2c("5A0C8D1E", "hello")
        await sim.wait_until(lambda: len(sim.delivered) == 1)

It runs offline on real sockets, makes the same ids for the same seed, and keeps the ground truth: every request, every
dial, and every message that was accepted, also those that nobody will see. Requests go wrong by `Simulator.script`,
connections by `Simulator.at` and `Simulator.order`. From a shell: python -m statecore_adapters.qqbot.simulator --help
"""

try:
    import websockets as _websockets  # noqa: F401 - asked for here, so that the answer is this one
except ImportError as missing:
    raise ImportError("this simulator needs websockets: pip install 'statecore[simulator]'") from missing

from statecore_adapters.httpd import (
    BadContentLength,
    CloseAtOnce,
    Flood,
    HalfResponse,
    Reset,
    Response,
    SlowBody,
    Stall,
)

from .answers import front_end
from .faults import Abort, Close, Cue, Eof, Freeze, Invalid, Proceed, Raw, Reconnect, Reject, Send, Wait
from .intents import ALL_INTENTS, CHAT_INTENTS, DEFAULT_INTENTS, PUBLIC_INTENTS
from .knobs import Knobs
from .model import Bot, Session
from .problems import Problem, problem
from .records import Audit, Delivered, Dial, Entry, Heartbeat, Identify, Record, Resume
from .scripts import Call, Script
from .server import Simulator, open_simulator

__all__ = [
    "ALL_INTENTS",
    "CHAT_INTENTS",
    "DEFAULT_INTENTS",
    "PUBLIC_INTENTS",
    "Abort",
    "Audit",
    "BadContentLength",
    "Bot",
    "Call",
    "Close",
    "CloseAtOnce",
    "Cue",
    "Delivered",
    "Dial",
    "Entry",
    "Eof",
    "Flood",
    "Freeze",
    "HalfResponse",
    "Heartbeat",
    "Identify",
    "Invalid",
    "Knobs",
    "Problem",
    "Proceed",
    "Raw",
    "Reconnect",
    "Record",
    "Reject",
    "Reset",
    "Response",
    "Resume",
    "Script",
    "Send",
    "Session",
    "Simulator",
    "SlowBody",
    "Stall",
    "Wait",
    "front_end",
    "open_simulator",
    "problem",
]
