"""The simulator as a test or a person holds it: people speak here, and what reached them can be read."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final

import attrs
import trio
from websockets.trio.server import serve as serve_websockets

from statecore_adapters import httpd

from .api import TOKEN_PATH, Api
from .clock import EPOCH_MS, Clock
from .delivery import decide
from .faults import Abort, Close, Cue, Point, Step, Wait, check_steps
from .gateway import PATH, Gateway
from .ids import Ids
from .intents import PUBLIC_INTENTS
from .knobs import Knobs
from .ledger import Ledger
from .model import Bot
from .people import People
from .problems import Problem, problem
from .records import Dial, Heartbeat, Record, Resume, Scene
from .scripts import Act, Call, Script
from .state import Outage, State
from .wire import Socket

__all__ = ["Simulator", "open_simulator"]

DEFAULT_APP_ID: Final = "102000001"
DEFAULT_SECRET: Final = "DG5g3B4j9X2KOErG"  # noqa: S105 - of nobody
CLIENT_FRAME_BYTES_MAX: Final = 64 * 1024  # a client says nothing long


@attrs.define(eq=False, slots=False)
class Simulator(People, Ledger):
    """A running platform. Made by `open_simulator`.

    Where a method takes a bot, None means the first one that was added.
    """

    # ---- where it is, how it behaves ----

    @property
    def api_base(self) -> str:
        """The address of the REST API, without a trailing slash."""
        return self._state.api_base

    @property
    def token_url(self) -> str:
        """The address access tokens are fetched from."""
        return self.api_base + TOKEN_PATH

    @property
    def ws_url(self) -> str:
        """The address of the gateway, as /gateway tells it."""
        return self._state.ws_url

    @property
    def knobs(self) -> Knobs:
        """Turn them at any time."""
        return self._state.knobs

    def now(self) -> float:
        """Return the server's time: seconds since it was opened, on its own clock."""
        return self._state.now()

    def wall_ms(self) -> int:
        """Return the server's date, in ms since 1970."""
        return self._state.clock.wall_ms()

    def advance(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass for what the server remembers: windows, tokens, sessions, budgets.

        What it waits for goes by trio's clock and does not notice: heartbeats, delays, the age of a connection.
        """
        self._state.clock.advance(hours * 3600 + minutes * 60 + seconds)
        self._state.note(f"the clock is moved forward to {self.now():.0f} s")

    # ---- bots ----

    def add_bot(
        self,
        app_id: str = DEFAULT_APP_ID,
        secret: str = DEFAULT_SECRET,
        *,
        intents: int = PUBLIC_INTENTS,
        username: str = "robot",
    ) -> Bot:
        """Register a bot.

        Args:
            intents: the bits it may identify with; an Identify that asks for more ends with 4014.
        """
        if app_id in self._state.bots:
            raise ValueError(f"there is already a bot {app_id}")
        bot = Bot(app_id, secret, intents, id=self._state.ids.snowflake("bot"), username=username)
        self._state.bots[app_id] = bot
        return bot

    def void_token(self, bot: Bot | None = None) -> None:
        """End the bot's tokens now. REST answers 11244, Identify and Resume op 9; a fetch gives a new one."""
        self._state.void_token(self._state.the_bot(bot))

    def bar(self, code: int | None = 4914, bot: Bot | None = None) -> None:
        """Let every Identify end with this close code (4914 offline, 4915 banned); None ends that."""
        self._state.the_bot(bot).barred = code

    def end_sessions(self, bot: Bot | None = None) -> None:
        """Forget the bot's sessions: none can be resumed. Connections stay as they are."""
        for session in self._state.the_bot(bot).sessions.values():
            session.ended = True

    def is_up(self, bot: Bot | None = None) -> bool:
        """Tell whether a session of the bot is up, so that what it sends is seen."""
        return self._state.the_bot(bot).is_up

    # ---- chats ----

    def allow_proactive(self, scene: Scene, target: str, allowed: bool | None = True, bot: Bot | None = None) -> None:
        """Allow or forbid the bot to speak first in one chat; None leaves it to the knob."""
        self._state.the_bot(bot).chat(scene, target).proactive = allowed

    def forbid(self, scene: Scene, target: str, number: int | None = 40054013, bot: Bot | None = None) -> None:
        """Refuse every send to one chat: 40054013 the person refuses, 40054004 no friend, 40054002 muted, ..."""
        self._state.the_bot(bot).chat(scene, target).refusal = number

    def decide(self, audit_id: str, *, passed: bool) -> None:
        """Let the auditor decide about a message; see the knob `audit`."""
        decide(self._state, self._state.audits[audit_id], passed=passed)

    # ---- faults ----

    def script(
        self,
        endpoint: str,
        act: Act,
        *,
        after: bool = False,
        skip: int = 0,
        times: int | None = None,
        until: float | None = None,
        scene: Scene | None = None,
        target: str | None = None,
        when: Callable[[Call], bool] | None = None,
    ) -> Script:
        """Make matching requests go wrong; see `Script` for the arguments. Earlier scripts come first.

        >>> sim.script("token", {"code": 100016, "message": "invalid appid or secret"})  # doctest: +SKIP
        >>> sim.script("gateway", problem(11298), times=2)  # doctest: +SKIP
        >>> sim.script("messages", Stall(), after=True, times=1)  # doctest: +SKIP
        """
        script = Script(
            endpoint=endpoint,
            act=act,
            after=after,
            skip=skip,
            times=times,
            until=until,
            scene=scene,
            target=target,
            when=when,
        )
        self._state.scripts.append(script)
        return script

    def at(
        self,
        point: Point,
        *steps: Step,
        skip: int = 0,
        times: int | None = None,
        when: Callable[[Dial], bool] | None = None,
    ) -> Cue:
        """Let connections do something else at one point of their course; see `Cue`. No steps: silence.

        >>> sim.at("identify", Invalid(), Wait(50), Close(4914), times=1)  # doctest: +SKIP
        >>> sim.at("hello", Wait(500), Proceed())  # doctest: +SKIP
        >>> sim.at("resume", Abort(), times=2)  # doctest: +SKIP
        """
        cue = Cue(point=point, steps=steps, skip=skip, times=times, when=when)
        self._state.cues.append(cue)
        return cue

    def order(self, *steps: Step, bot: Bot | None = None) -> int:
        """Play steps on every open connection now, or on those of one bot.

        >>> sim.order(Reconnect(), Wait(2000), Close(4009))  # doctest: +SKIP

        Returns:
            On how many.
        """
        check_steps(steps, opening=False)
        chosen = [live for live in self._state.live if bot is None or live.dial.app_id == bot.app_id]
        for live in chosen:
            live.play(steps)
        return len(chosen)

    def flap(self, after_ms: float, code: int | None = 4009) -> Cue:
        """Close every connection this long after READY or RESUMED, until the cue is cancelled."""
        return self.at("up", Wait(after_ms), Close(code))

    def refuse(
        self, *, for_ms: float | None = None, status: int = 503, number: int | None = None, drop: bool = False
    ) -> None:
        """Refuse everything, REST and dials alike.

        Args:
            for_ms: on trio's clock; None until `accept`.
            number: refuse REST in the words of the platform (a code of `problem`); None: in those of its front end.
            drop: also end the connections there are, without a close frame.
        """
        until = trio.current_time() + (float("inf") if for_ms is None else for_ms / 1000)
        refusal: Problem | None = None if number is None else problem(number)
        self._state.outage = Outage(until, status if refusal is None else refusal.status, refusal)
        self._state.note(f"everything is refused for {for_ms} ms")
        if drop:
            self.drop()

    def accept(self) -> None:
        """End what `refuse` began."""
        self._state.outage = None
        self._state.note("everything is accepted again")

    def drop(self) -> int:
        """Reset every open connection."""
        return self.order(Abort())

    # ---- waiting ----

    def watch(self, watcher: Callable[[Record | Heartbeat | Resume], None]) -> None:
        """Have *watcher* called, by the task that serves it, with every request that is decided, every heartbeat, and
        every Resume that is granted."""
        self._state.watchers.append(watcher)

    async def next_change(self) -> None:
        """Wait until anything at all has happened at the server."""
        await self._state.changed.wait()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for *condition*, looking again whenever something has happened at the server.

        >>> await sim.wait_until(lambda: len(sim.delivered) == 3)  # doctest: +SKIP
        """
        while not condition():
            await self.next_change()


@contextlib.asynccontextmanager
async def open_simulator(
    port: int = 0,
    *,
    knobs: Knobs | None = None,
    seed: int = 0,
    host: str = "127.0.0.1",
    epoch_ms: int = EPOCH_MS,
    ws_port: int = 0,
) -> AsyncGenerator[Simulator, None]:
    """Run a simulated QQ bot platform until the block ends.

    Args:
        port: of the REST API; 0 takes any free one, see `Simulator.api_base`.
        seed: two servers of one seed make the same ids and tokens in the same order.
        epoch_ms: the server's date at this moment.
        ws_port: of the gateway; 0 takes any free one, see `Simulator.ws_url`.

    Raises:
        OSError: a port is taken.
    """
    failures: list[Exception] = []  # the first is raised below, as itself and not inside a group

    def later(seconds: float, act: Callable[[], None]) -> None:
        async def wait_and_act() -> None:
            await trio.sleep(seconds)
            act()

        nursery.start_soon(wait_and_act)

    def on_bug(bug: Exception) -> None:
        failures.append(bug)
        nursery.cancel_scope.cancel()

    state = State(knobs=knobs or Knobs(), ids=Ids(seed), clock=Clock(epoch_ms=epoch_ms), later=later)
    gateway = Gateway(state, on_bug)
    async with httpd.serve(Api(state).handle, host, port) as http:
        listeners = await trio.open_tcp_listeners(ws_port, host=host)
        state.api_base, state.ws_url = http.url, f"ws://{host}:{listeners[0].socket.getsockname()[1]}{PATH}"
        with contextlib.ExitStack() as graves:
            graves.callback(state.bury_frozen)
            async with trio.open_nursery() as nursery:
                serve = partial(
                    serve_websockets,
                    gateway.serve,
                    listeners=listeners,
                    process_request=gateway.greet,
                    create_connection=Socket,
                    server_header=None,
                    compression=None,
                    open_timeout=None,  # a handshake that is never answered is one of the faults
                    ping_interval=None,  # the platform pings by op 1 alone
                    close_timeout=1.0,
                    max_size=CLIENT_FRAME_BYTES_MAX,
                )
                await nursery.start(serve)
                try:
                    yield Simulator(state)
                except Exception as error:  # noqa: BLE001  raised below, as itself and not inside a group
                    failures.append(error)
                nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
