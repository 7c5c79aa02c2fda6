"""The simulator as a test or a person holds it: users speak here, and what reached them can be read."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs
import trio

from statecore_adapters import httpd

from .api import Api
from .cdn import Blob, Cdn
from .checks import Call, is_user_id, refusal
from .ids import Ids
from .knobs import Knobs
from .messages import quote, split, text_item
from .model import Bot, Delivered
from .qr import QrSession, QrStatus, check_steps
from .scripts import Act, Script
from .state import QrPlan, Record, State

__all__ = ["EPOCH_MS", "Simulator", "open_simulator"]

EPOCH_MS: Final = 1_790_000_000_000  # 2026-09-21, when most of what is known about the server was observed
DEFAULT_ACCOUNT: Final = "0a1b2c3d4e5f@im.bot"
DEFAULT_OWNER: Final = "o9cq80owner@im.wechat"


@attrs.define(eq=False)
class Simulator:
    """A running server. Made by `open_simulator`."""

    _state: State
    _nursery: trio.Nursery

    # ---- where it is, how it behaves ----

    @property
    def base_url(self) -> str:
        """The address of the API, without a trailing slash."""
        return self._state.base_url

    @property
    def redirect_url(self) -> str:
        """The second listener: the same server, at the host that scaned_but_redirect names."""
        return self._state.redirect_url

    @property
    def cdn_url(self) -> str:
        """The address of the media endpoints."""
        return self._state.cdn.base

    @property
    def knobs(self) -> Knobs:
        """Turn them at any time."""
        return self._state.knobs

    def wall_ms(self) -> int:
        """Return the server's date in ms since 1970: the epoch it was opened with, plus trio time since."""
        return self._state.wall_ms()

    # ---- bots ----

    def add_bot(self, account_id: str = DEFAULT_ACCOUNT, token: str | None = None, user: str = DEFAULT_OWNER) -> Bot:
        """Bind a bot, as if *user* had scanned its QR code.

        Args:
            token: its bot token; by default a new one, to be read from the result.
        """
        return self._state.add_bot(account_id, token or self._state.new_token(account_id), user)

    def rebind(self, bot: Bot, *, after_s: float = 0.0) -> str:
        """Bind the account anew, as if it had been scanned for another installation.

        The older tokens answer -14 from *after_s* seconds on, and polls held for them end with it. Every user has
        to speak before the bot may write to them.

        Returns:
            The new bot token, good at once.
        """
        token = self._state.rebind(bot)
        self._end_leases(bot, after_s, but=token)
        return token

    def unbind(self, bot: Bot, *, after_s: float = 0.0) -> None:
        """Remove the binding, as the user can on the phone: every token answers -14."""
        self._end_leases(bot, after_s, but=None)

    def _end_leases(self, bot: Bot, after_s: float, *, but: str | None) -> None:
        self._state.end_leases(bot, trio.current_time() + after_s, but=but)
        if after_s:
            self._later(after_s, bot.wake)

    # ---- users ----

    def say(
        self,
        bot: Bot,
        user: str,
        text: str = "",
        *,
        items: Sequence[Mapping[str, Any]] | None = None,
        ref_msg: str | None = None,
        duplicate_after_ms: int | None = None,
        duplicate_same_id: bool | None = None,
        missing_message_id: bool | None = None,
    ) -> int:
        """Let *user* write to *bot*: a new context token, the window reopened, the quota back to zero.

        Args:
            items: the item_list, when the message is more than *text*; not split.
            ref_msg, duplicate_after_ms, duplicate_same_id, missing_message_id: like the knobs of the same name,
                for this message only; None leaves it to the knob.

        Returns:
            The message id. It is the id of the first piece when a long text is split, and a number the bot never
            sees when message ids are missing.
        """
        if not is_user_id(user):
            raise ValueError(f"a WeChat user id looks like o9cq80abc@im.wechat, not {user!r}")
        knobs, ids = self.knobs, self._state.ids
        variant = knobs.ref_msg if ref_msg is None else ref_msg
        after_ms = knobs.duplicate_after_ms if duplicate_after_ms is None else duplicate_after_ms
        same_id = knobs.duplicate_same_id if duplicate_same_id is None else duplicate_same_id
        missing = knobs.missing_message_id if missing_message_id is None else missing_message_id
        if items is None:
            bodies = [[text_item(piece)] for piece in split(text, knobs.split_at_chars)]
        else:
            bodies = [[dict(item) for item in items]]
        if variant != "none":
            bodies[0][0]["ref_msg"] = quote(variant, ids.message_id(), "what was said before")
        numbers = [ids.message_id() for _ in bodies]
        for number, body in zip(numbers, bodies, strict=True):
            message_id = None if missing else number
            message = self._state.deliver(bot, user, body, message_id=message_id)
            if same_id:
                self._later((after_ms or 0) / 1000, partial(self._state.redeliver, bot, message))
            elif after_ms is not None:
                copy_id = None if missing else ids.message_id()
                again = partial(self._state.deliver, bot, user, body, message_id=copy_id)
                self._later(after_ms / 1000, again)
        return numbers[0]

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        if not seconds:
            act()
            return

        async def wait_and_act() -> None:
            await trio.sleep(seconds)
            act()

        self._nursery.start_soon(wait_and_act)

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
        for_user: str | None = None,
        when: Callable[[Call], bool] | None = None,
    ) -> Script:
        """Make matching requests go wrong; see `Script` for the arguments. Earlier scripts come first.

        >>> sim.script("sendmessage", {"ret": -2, "errmsg": "rate limited"}, until=20.0)  # doctest: +SKIP
        >>> sim.script("sendmessage", CloseAtOnce(), after=True, skip=2, times=1)  # doctest: +SKIP
        >>> sim.script("getupdates", Stall(17, then=Response(524)), times=3)  # doctest: +SKIP
        """
        script = Script(
            endpoint=endpoint,
            act=act,
            after=after,
            skip=skip,
            times=times,
            until=until,
            for_user=for_user,
            when=when,
        )
        self._state.scripts.append(script)
        return script

    def stale(self, bot: Bot, user: str, *, body: Mapping[str, Any] | None = None) -> Script:
        """Refuse sends that carry a context token *user* was given so far; without one they are accepted.

        Args:
            body: the refusal; by default in the knobs' style.
        """
        tokens = frozenset(bot.peer(user).tokens)

        def carries_one(call: Call) -> bool:
            return call.bot is bot and call.context_token in tokens

        return self.script("sendmessage", body or refusal(self.knobs, "").body, for_user=user, when=carries_one)

    # ---- QR login ----

    def script_qr(self, *steps: QrStatus, verify_code: str = "1234", user: str = DEFAULT_OWNER) -> None:
        """Decide how the next QR code fares: the statuses its polls are told, in order; the last one repeats."""
        check_steps(steps)
        self._state.qr_plans.append(QrPlan(steps, verify_code, user))

    def attend_qr(self, user: str = DEFAULT_OWNER) -> None:
        """From now on let every QR code without a script wait for `tell_qr`; *user* is who scans."""
        self._state.qr_usual = QrPlan(("wait",), user=user)

    @property
    def qr_codes(self) -> list[QrSession]:
        """Every QR code that was asked for, in order."""
        return list(self._state.qr_sessions.values())

    def scan(self, qrcode: str) -> None:
        """Let the user scan: the status "wait" is over, and a poll held for it ends."""
        self._state.qr_sessions[qrcode].scan()

    def tell_qr(self, status: QrStatus) -> bool:
        """Tell who polls the newest QR code that *status* was reached, after what they were told to be told.

        Returns:
            Whether there is a code that anything can still come of.
        """
        check_steps((status,))
        newest = next(reversed(self._state.qr_sessions.values()), None)
        if newest is None or newest.is_over(trio.current_time()):
            return False
        newest.then(status)
        return True

    # ---- media ----

    def put_file(self, ciphertext: bytes) -> Blob:
        """Store an encrypted file, for a user to send."""
        return self._state.cdn.put(ciphertext)

    def media(self, blob: Blob, aes_key: str) -> dict[str, Any]:
        """Build the `media` object that refers to a stored file.

        Args:
            aes_key: base64, in either of the two forms of the wire.
        """
        return {
            "encrypt_query_param": blob.param,
            "aes_key": aes_key,
            "encrypt_type": 1,
            "full_url": self._state.cdn.url(blob),
        }

    def file(self, param: str) -> Blob:
        """Return the encrypted file a bot's item refers to by its encrypt_query_param."""
        return self._state.cdn.blobs[param]

    # ---- what happened ----

    @property
    def requests(self) -> list[Record]:
        """Every request in order of arrival."""
        return self._state.records

    def refusals(self, endpoint: str | None = None) -> list[Record]:
        """Return the requests that were refused, whatever the endpoint; `Record.why` says by which check."""
        return [record for record in self.requests if record.refused and endpoint in {None, record.endpoint}]

    @property
    def refused(self) -> int:
        """How many sends were refused."""
        return self._state.refused

    @property
    def polls(self) -> int:
        """How many times getupdates was called."""
        return self._state.polls

    def held_polls(self, bot: Bot) -> int:
        """Return how many polls of *bot* are waiting right now."""
        return len(bot.polls)

    def delivered(self, bot: Bot, user: str | None = None) -> list[Delivered]:
        """Return what is on the phone now, in the order of acceptance."""
        now = trio.current_time()
        return [sent for sent in bot.delivered if sent.at <= now and user in {None, sent.to}]

    def swallowed(self, bot: Bot, user: str | None = None) -> list[Delivered]:
        """Return what was accepted and will never be shown: risk control, voice, tool progress."""
        return [sent for sent in bot.swallowed if user in {None, sent.to}]

    def watch(self, watcher: Callable[[Record], None]) -> None:
        """Have *watcher* called with every request once it is decided, by the task that serves it."""
        self._state.watchers.append(watcher)

    async def next_change(self) -> None:
        """Wait until anything at all has happened at the server."""
        await self._state.changed.wait()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for *condition*, looking again whenever something has happened at the server.

        >>> await sim.wait_until(lambda: len(sim.delivered(bot)) == 3)  # doctest: +SKIP
        """
        while not condition():
            with trio.move_on_after(self.knobs.delayed_delivery_s or float("inf")):
                await self.next_change()


@contextlib.asynccontextmanager
async def open_simulator(
    port: int = 0,
    *,
    knobs: Knobs | None = None,
    seed: int = 0,
    host: str = "127.0.0.1",
    epoch_ms: int = EPOCH_MS,
) -> AsyncGenerator[Simulator, None]:
    """Run a simulated WeChat iLink server on *host*:*port* until the block ends.

    Args:
        port: 0 takes any free one; see `Simulator.base_url`.
        seed: two servers of one seed make the same ids and tokens in the same order.
        epoch_ms: the server's date at this moment.

    Raises:
        OSError: the port is taken.
    """
    ids = Ids(seed)
    state = State(knobs=knobs or Knobs(), ids=ids, cdn=Cdn(ids), epoch_ms=epoch_ms, started_at=trio.current_time())
    api = Api(state)
    failure: Exception | None = None
    async with (
        httpd.serve(lambda request: api.handle(request, state.redirect_host), host) as second,
        httpd.serve(lambda request: api.handle(request, ""), host, port) as main,
        trio.open_nursery() as nursery,
    ):
        state.base_url, state.redirect_url, state.cdn.base = main.url, second.url, f"{main.url}/c2c"
        try:
            yield Simulator(state, nursery)
        except Exception as error:  # noqa: BLE001  raised below, as itself and not inside a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
