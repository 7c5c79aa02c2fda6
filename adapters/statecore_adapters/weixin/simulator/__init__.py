"""A simulated WeChat iLink server, for testing bots without WeChat.

    async with open_simulator(knobs=Knobs(hold_ms=100)) as sim:
        bot = sim.add_bot()
        ...                                # point a client at sim.base_url, with bot.token
        sim.say(bot, "o9cq80abc@im.wechat", "hello")
        await sim.wait_until(lambda: len(sim.delivered(bot)) == 1)

It runs offline on real sockets, makes the same ids for the same seed, and keeps the ground truth: every request, and
every message that reached a phone. From a shell: python -m statecore_adapters.weixin.simulator --help
"""

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

from .cdn import Blob
from .checks import Call
from .knobs import Burst, Knobs
from .model import Bot, Delivered
from .scripts import Script
from .server import Simulator, open_simulator
from .state import Record

__all__ = [
    "BadContentLength",
    "Blob",
    "Bot",
    "Burst",
    "Call",
    "CloseAtOnce",
    "Delivered",
    "Flood",
    "HalfResponse",
    "Knobs",
    "Record",
    "Reset",
    "Response",
    "Script",
    "Simulator",
    "SlowBody",
    "Stall",
    "open_simulator",
]
