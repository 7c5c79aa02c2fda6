"""All the server knows, and everything that can happen to it apart from requests."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from statecore_adapters import httpd

from .cdn import Cdn
from .checks import Call
from .ids import Ids
from .knobs import Knobs
from .messages import inbound
from .model import Bot, Lease
from .qr import QrSession, QrStatus
from .scripts import Script

__all__ = ["QrPlan", "Record", "State"]

RECORDS_MAX: Final = 100_000
# Requests kept in the log. A poll loop without a floor makes some thousands a second; the oldest tenth is dropped
# when the log is full. What was delivered is never dropped.


@attrs.define(kw_only=True, eq=False)
class Record:
    """One request and what came of it.

    Attributes:
        at: trio time of its arrival.
        endpoint: last part of the path.
        body: the JSON body, or None when it was not JSON.
        status: HTTP status of the answer; None while it is held, and when no whole answer was sent on purpose.
        answer: the JSON answered (or, for a lost answer, what it would have been).
        fault: the fault that was carried out instead of a plain answer.
        refused: the server said no: ret or errcode is not 0.
        why: the check that refused, e.g. "quota"; "script" for a scripted fault.
    """

    at: float
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    endpoint: str
    bot: Bot | None
    user: str
    status: int | None = None
    answer: Mapping[str, Any] | None = None
    fault: httpd.Fault | None = None
    refused: bool = False
    why: str = ""


@attrs.frozen
class QrPlan:
    """How the next QR code will fare."""

    steps: tuple[QrStatus, ...] = ("wait", "scaned", "confirmed")
    verify_code: str = "1234"
    user: str = "o9cq80owner@im.wechat"


@attrs.define(eq=False)
class State:
    """The server's memory. Methods take the time from trio, and never wait."""

    knobs: Knobs
    ids: Ids
    cdn: Cdn
    epoch_ms: int
    started_at: float
    base_url: str = ""
    redirect_url: str = ""
    bots: list[Bot] = attrs.field(factory=list)
    qr_sessions: dict[str, QrSession] = attrs.field(factory=dict)
    qr_plans: list[QrPlan] = attrs.field(factory=list)  # for the codes not yet asked for
    qr_usual: QrPlan = QrPlan()  # for those without a plan of their own
    scripts: list[Script] = attrs.field(factory=list)
    records: list[Record] = attrs.field(factory=list)
    refused: int = 0
    polls: int = 0
    changed: trio.Event = attrs.field(factory=trio.Event)
    watchers: list[Callable[[Record], None]] = attrs.field(factory=list)

    def wall_ms(self) -> int:
        """Return the server's idea of the date, in ms since 1970."""
        return self.epoch_ms + int((trio.current_time() - self.started_at) * 1000)

    def touch(self) -> None:
        """Tell everyone who waits for a change to look again."""
        self.changed.set()
        self.changed = trio.Event()

    def record(self, record: Record) -> None:
        """Append to the log."""
        if len(self.records) >= RECORDS_MAX:
            del self.records[: RECORDS_MAX // 10]
        self.records.append(record)
        self.touch()

    # ---- bots ----

    def add_bot(self, account_id: str, token: str, user: str) -> Bot:
        """Bind a new bot account."""
        if any(bot.account_id == account_id for bot in self.bots):
            raise ValueError(f"there is already a bot {account_id}; rebind() gives it a new token")
        bot = Bot(account_id, token, user, leases={token: Lease(trio.current_time())})
        self.bots.append(bot)
        return bot

    def new_token(self, account_id: str) -> str:
        """Make a bot token that was never issued before."""
        return f"{account_id}:{self.ids.hex('bot token', 40)}"

    def rebind(self, bot: Bot) -> str:
        """Issue a new token. Cursors become foreign, and every user has to speak before the bot may."""
        generation = bot.leases[bot.token].generation + 1
        bot.token = self.new_token(bot.account_id)
        bot.leases[bot.token] = Lease(trio.current_time(), generation)
        for peer in bot.peers.values():
            peer.open_at = None
        return bot.token

    def end_leases(self, bot: Bot, ends_at: float, *, but: str | None) -> None:
        """Let every token of *bot* end at *ends_at* at the latest, except *but*."""
        for token, lease in bot.leases.items():
            if token != but:
                bot.leases[token] = attrs.evolve(lease, ends_at=min(lease.ends_at, ends_at))
        bot.wake()

    def bot_of(self, token: str) -> Bot | None:
        """Find the bot a live token belongs to."""
        bot = self.once_bot_of(token)
        now, lifetime_s = trio.current_time(), self.knobs.token_lifetime_s
        return bot if bot is not None and bot.honours(token, now, lifetime_s) else None

    def once_bot_of(self, token: str) -> Bot | None:
        """Find the bot a token belongs or belonged to."""
        return next((bot for bot in self.bots if token in bot.leases), None)

    # ---- messages ----

    def deliver(
        self, bot: Bot, user: str, items: list[dict[str, Any]], *, message_id: int | None, wake: bool = True
    ) -> dict[str, Any]:
        """Put one message of *user* into the inbox; it carries a new context token and reopens the window."""
        token = self.ids.opaque("context token", 136, "AARzJW")
        bot.peer(user).spoke(token, trio.current_time())
        message = inbound(
            message_id=message_id,
            user=user,
            bot=bot.account_id,
            client_id=self.ids.hex("client id", 32),
            wall_ms=self.wall_ms(),
            context_token=token,
            items=items,
        )
        bot.inbox.append(message, self.knobs.retained_max)
        if wake:
            bot.wake()
        self.touch()
        return message

    def redeliver(self, bot: Bot, message: Mapping[str, Any]) -> None:
        """Put the very same message into the inbox once more."""
        bot.inbox.append(message, self.knobs.retained_max)
        bot.wake()
        self.touch()

    # ---- QR login ----

    def new_qr_session(self) -> QrSession:
        """Begin a login, as the next plan has it."""
        plan = self.qr_plans.pop(0) if self.qr_plans else self.qr_usual
        session = QrSession(
            qrcode=self.ids.hex("qrcode", 32),
            steps=plan.steps,
            verify_code=plan.verify_code,
            user=plan.user,
            expires_at=trio.current_time() + self.knobs.qr_ttl_s,
        )
        self.qr_sessions[session.qrcode] = session
        return session

    def credentials(self, session: QrSession) -> dict[str, Any]:
        """Bind the user who scanned. A binding they had before ends at once: one user, one live bot."""
        bot = next((bot for bot in self.bots if bot.user == session.user), None)
        if bot is None:
            account_id = f"{self.ids.hex('account', 12)}@im.bot"
            bot = self.add_bot(account_id, self.new_token(account_id), session.user)
        else:
            self.rebind(bot)
            self.end_leases(bot, trio.current_time(), but=bot.token)
        return {
            "bot_token": bot.token,
            "ilink_bot_id": bot.account_id,
            "baseurl": self.base_url if self.knobs.qr_baseurl == "main" else self.redirect_url,
            "ilink_user_id": session.user,
        }

    @property
    def redirect_host(self) -> str:
        """The second listener, in the form the wire has it: without a scheme."""
        return self.redirect_url.removeprefix("http://")

    # ---- scripts ----

    def strike(self, call: Call) -> Script | None:
        """Find the script that decides this call, if one does, and count it."""
        now = trio.current_time()
        hit = next((script for script in self.scripts if script.strikes(call, now)), None)
        self.scripts = [script for script in self.scripts if not script.is_spent(now)]
        return hit
