"""Scenes on QQ: the gateway, the adapter and the simulated platform that ship, in virtual time over real sockets."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from statecore_adapters.qqbot.simulator import Close, Eof, Knobs, Reconnect, Wait
from tests.incidents.scene import Expect, add, recording
from tests.support.clock import virtual
from tests.support.qq_scene import QQScene, open_virtual_qq, stands

USER: Final = "5A0C8D1E"
CALM: Final = 240_000.0
"""Milliseconds between heartbeats: more than the real platform asks for, so that the journals of hours stay small."""


Play = Callable[[QQScene], Awaitable[None]]


def qq(name: str, *expects: Expect, knobs: Knobs | None = None, hours: float = 6) -> Callable[[Play], Play]:
    """Register a scene that is played on QQ."""

    def register(play: Play) -> Play:
        async def main(folder: Path) -> None:
            settings = knobs or Knobs(connection_s=None, heartbeat_interval_ms=CALM)
            async with open_virtual_qq(folder, knobs=settings) as stage, trio.open_nursery() as nursery:
                nursery.start_soon(stage.echo)
                await stands(stage)
                await play(stage)
                nursery.cancel_scope.cancel()

        def run(folder: Path) -> None:
            with recording(slow=False):
                virtual(lambda: main(folder), limit=hours * 3600)

        add(name, run, expects, play.__doc__ or "")
        return play

    return register


@qq("zombie-qq", Expect("zombie", "Elapsed(beat_at)", after=600, into="beating"), knobs=Knobs(connection_s=None))
async def zombie(stage: QQScene) -> None:
    """Heartbeats are sent, and nobody acknowledges them (tencent-connect/openclaw-qqbot#301)."""
    await trio.sleep_until(600)
    stage.sim.knobs.acks = False
    await stage.sim.wait_until(lambda: len(stage.sim.dials) == 2)
    stage.sim.knobs.acks = True
    await trio.sleep(1200)


@qq("flapping-qq", Expect("flapping", "Lost", after=600))
async def flapping(stage: QQScene) -> None:
    """Every connection is closed two seconds after it stands, for ten minutes (NousResearch/hermes-agent#22179)."""
    await trio.sleep_until(600)
    cue = stage.sim.at("up", Wait(2000), Close(4009))
    stage.sim.order(Close(4009))
    await trio.sleep(600)
    cue.cancel()
    await trio.sleep(1800)


@qq("resume-loop", Expect("resume-loop", "Greeted", after=600, into="resuming"))
async def resume_loop(stage: QQScene) -> None:
    """Every attempt to resume is answered with the end; a session that is begun anew stands for two minutes."""
    await trio.sleep_until(600)
    cue = stage.sim.at("resume", Eof())
    for _ in range(3):
        stage.sim.order(Eof())
        await trio.sleep(300)
    cue.cancel()
    await trio.sleep(4000)


@qq(
    "session-budget",
    Expect("flapping", "Lost", after=5000),
    Expect("session-budget", "Greeted", after=5000, into="identifying"),
    hours=12,
)
async def session_budget(stage: QQScene) -> None:
    """Each session ends after a minute and a half and cannot be resumed (mvanhorn/paperclip-plugin-discord#71)."""
    stage.sim.knobs.resume_window_s = 0
    await trio.sleep_until(5000)
    for _ in range(14):
        stage.sim.order(Close(4006))
        await trio.sleep(90)
    await trio.sleep(2 * 3600)


@qq("credentials-qq", Expect("credentials-refused", "TokenRefused", after=600))
async def credentials(stage: QQScene) -> None:
    """The access token is voided, and the platform gives the same one again for ten minutes."""
    await trio.sleep_until(600)
    stage.sim.knobs.token_unchanged = True
    stage.sim.void_token()
    stage.sim.order(Eof())
    await trio.sleep(600)
    stage.sim.knobs.token_unchanged = False
    await trio.sleep(2000)


@qq("banned-qq", Expect("rejected", "Rejected", after=600, over=False))
async def banned(stage: QQScene) -> None:
    """The bot is taken offline by the platform; the journal ends while it is."""
    await trio.sleep_until(600)
    stage.sim.bar(4914)
    stage.sim.order(Close(4914))
    await trio.sleep(1800)


# ---- healthy ---------------------------------------------------------------------------------------------------------


@qq("healthy-qq-resumes", knobs=Knobs(connection_s=1800, heartbeat_interval_ms=CALM), hours=12)
async def resumes(stage: QQScene) -> None:
    """The platform ends every connection after half an hour with op 7 and 4009, as it does, for eight hours."""
    for _ in range(8):
        stage.sim.say_c2c(USER, "hello")
        await trio.sleep(3600)


@qq("healthy-qq-day", hours=30)
async def day(stage: QQScene) -> None:
    """A day on which people write now and then; access tokens are renewed every two hours."""
    for number in range(24):
        stage.sim.say_c2c(USER, f"message {number}")
        await trio.sleep(3600)


@qq("healthy-qq-reconnects")
async def reconnects(stage: QQScene) -> None:
    """Now and then a connection ends: 4009, op 7, a reset, a session that is gone. Each is back at once."""
    for steps in ((Close(4009),), (Reconnect(),), (Eof(),), (Close(4000),)):
        await trio.sleep(1500)
        stage.sim.order(*steps)
        stage.sim.say_c2c(USER, "meanwhile")
    await trio.sleep(1500)
    stage.sim.end_sessions()
    stage.sim.order(Eof())
    await trio.sleep(1500)
