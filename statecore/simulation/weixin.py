"""WeChat, as its adapter sees it: long polls, context tokens, ten messages in answer to one, and refusals that say little.

The limits and habits are those of the adapter's own simulator (`statecore_adapters.weixin.simulator`), which answers in bytes.
"""

from typing import Any, Final

from statecore.machines.connection import Dial, HangUp, Receive
from statecore.platform import (
    Batch,
    Dialled,
    Empty,
    Failure,
    Message,
    Outgoing,
    Refusal,
    Taken,
    Unauthorised,
    Unclear,
    Unsent,
)
from statecore.simulation.disk import Ledger
from statecore.simulation.driver import Attempt
from statecore.simulation.network import Later, Network, Spells, Unanswered
from statecore.simulation.process import Process
from statecore.simulation.server import CANARY, FLOOD, SEND_PATIENCE, Departed, Server, departed
from statecore.simulation.truth import Platform, Said
from statecore.units import HOURS, MILLISECONDS, SECONDS

HOLD: Final = 35 * SECONDS
"""How long a poll is held when there is nothing."""

POLL_PATIENCE: Final = 45 * SECONDS
DIAL_PATIENCE: Final = 15 * SECONDS
GOODBYE_PATIENCE: Final = 3 * SECONDS

WINDOW: Final = 10
"""Messages that may follow one of the user's."""

LASTS: Final = 24 * HOURS

BATCH: Final = 20
"""Messages given out by one poll."""

UNSENT: Final = frozenset({"resolve", "connect", "tls"})
RENEW: Final = "scan a new QR code"

EXPIRED: Final = Unauthorised(code="errcode=-14", message="session timeout", action=RENEW)
FOREIGN: Final = Failure(stage="tls", error="the certificate is not valid", action="check base_url")
UNREADABLE: Final = Failure(stage="answer", error="the answer is no JSON", reachable=True)
HELD: Final = object()
"""The platform answers later, or never."""


class _Window:
    """What may still be said in a chat."""

    __slots__ = ("closes", "left")

    def __init__(self, left: int, closes: int) -> None:
        self.left = left
        self.closes = closes


class WeixinServer(Server):
    """The platform of one account."""

    def __init__(self, name: str, network: Network, spells: Spells, truth: Platform) -> None:
        super().__init__(name, network, spells, truth)
        self._inbox: list[Message] = []
        self._windows: dict[str, _Window] = {}
        self._held: dict[Attempt, Departed] = {}
        self._cursors: dict[Attempt, int] = {}
        self._seen: dict[str, str] = {}
        self._covered = 0
        self._deduplicates = self._knob < 0.5
        self._proves = self.random.random() < 0.7
        self._strangers = WINDOW if self.random.random() < 0.5 else 0

    def client(self, _process: Process, ledger: Ledger, /) -> "WeixinClient":
        """Make the half of the adapter that makes attempts."""
        return WeixinClient(self, ledger)

    # ---- messages that come in ---------------------------------------------------------------------------------------

    def write(self, chat: str, text: str) -> None:
        """Have a user write."""
        made = self.make(chat, text)
        self._windows[chat] = _Window(WINDOW, self.loop.now + LASTS)
        token = f"{CANARY}-context-{len(self._inbox)}" if self.random.random() < 0.9 else ""
        self._inbox.append(
            Message(chat=chat, sender=chat, id=made.id, text=text, sent_at=made.at // MILLISECONDS, token=token)
        )
        for attempt in list(self._held):
            self._give(attempt)

    def poll(self, attempt: Attempt, cursor: int, version: int, left: Departed) -> Any:
        """Take a poll: what comes of it, or `HELD`."""
        if cursor > self._covered:
            self.acknowledge(tuple(message.id for message in self._inbox[self._covered : cursor]), left.seq)
            self._covered = cursor
        spells = self.spells
        if spells.active:
            if spells.hit("silent"):
                return HELD
            if spells.hit("foreign"):
                return FOREIGN
            if self.revoked(version):
                return EXPIRED
            if spells.hit("garbage"):
                return UNREADABLE
            self._flood()
            if cursor and spells.hit("copies"):
                return self._copies(cursor)
            if spells.hit("empties") and cursor >= len(self._inbox):
                return Empty(secrets={"cursor": str(cursor)} if self.random.random() < 0.2 else {})
            if slow := self.slowness():
                return Later(self._batch(cursor) or Empty(), slow)
        batch = self._batch(cursor)
        if batch is not None:
            return batch
        self._held[attempt] = left
        self._cursors[attempt] = cursor
        self.loop.at(self.loop.now + HOLD, self._release, attempt)
        return HELD

    def _batch(self, cursor: int) -> Batch | None:
        messages = tuple(self._inbox[cursor : cursor + BATCH])
        return Batch(messages=messages, secrets={"cursor": str(cursor + len(messages))}) if messages else None

    def _copies(self, cursor: int) -> Batch:
        """Give again what was given: the same, or under other ids."""
        old = self._inbox[max(0, cursor - 2) : cursor]
        if self.random.random() < 0.5:
            old = [
                Message(
                    chat=one.chat, sender=one.sender, id=f"{one.id}-again-{self.loop.now}", text=one.text, kinds=one.kinds,
                    sent_at=one.sent_at, token=one.token,
                )
                for one in old
            ]  # fmt: skip
        return Batch(messages=tuple(old), secrets={"cursor": str(cursor)})

    def _flood(self) -> None:
        spell = self.spells.hit("flood")
        if spell is not None and self.flooded.get(spell.index, 0) < FLOOD:
            for _ in range(BATCH):
                number = self.flooded[spell.index] = self.flooded.get(spell.index, 0) + 1
                self.write(f"flood-{number % 3}@im.wechat", f"flood {spell.index} {number}")

    def _give(self, attempt: Attempt) -> None:
        self._held.pop(attempt, None)
        batch = self._batch(self._cursors.pop(attempt))
        attempt.answer(self.loop.now + self.network.way(), batch or Empty())

    def _release(self, attempt: Attempt) -> None:
        if attempt in self._held:
            self._give(attempt)

    # ---- messages that go out ----------------------------------------------------------------------------------------

    def take(self, part: Outgoing, version: int, left: Departed, *, copy: bool) -> Any:
        """Take a request to send, and answer it."""
        said, shown, answer, code, index = self._judge(part, version)
        self.note(left, part, said, shown=shown, copy=copy, code=code, spell=index)
        return answer

    def _judge(self, part: Outgoing, version: int) -> tuple[Said, bool, Any, str, int]:
        spells = self.spells
        if spells.active:
            if spells.hit("silent"):
                return "nothing", False, None, "", -1
            if spells.hit("foreign"):
                return "refused", False, Refusal(code="http 404"), "http 404", -1
            if self.revoked(version):
                return "unauthorised", False, EXPIRED, "errcode=-14", -1
            if (spell := self.refuses(part.chat)) is not None:
                answer = EXPIRED if spell.code == EXPIRED.code else Refusal(code=spell.code)
                return "refused", False, answer, spell.code, spell.index
            if part.token and (stale := spells.hit("stale-tokens", part.chat)) is not None:
                return "refused", False, Refusal(code="ret=-2"), "ret=-2", stale.index
        if part.key in self._seen and self._deduplicates:
            return "taken", False, Taken(message=self._seen[part.key]), "", -1
        window = self._windows.setdefault(part.chat, _Window(self._strangers, self.loop.now + LASTS))
        if not window.left or self.loop.now > window.closes:
            return "refused", False, Refusal(code="ret=-2"), "ret=-2", -1
        window.left -= 1
        self._seen[part.key] = message = self.message_id()
        if spells.active:
            if spells.hit("drops", part.chat):
                return "taken", False, Taken(), "", -1
            if spells.hit("garbage"):
                return "taken", True, Unclear(error="HTTP 502, so the platform may or may not have taken it"), "", -1
            if slow := self.slowness():
                return "taken", True, Later(Taken(message=message), slow), "", -1
        return "taken", True, Taken(message=message), "", -1

    # ---- the rest ----------------------------------------------------------------------------------------------------

    def hello(self, version: int, known: str | None) -> Any:
        """Take the announcement of a bot."""
        spells = self.spells
        if spells.active:
            if spells.hit("silent"):
                return None
            if spells.hit("foreign"):
                return FOREIGN
            if self._proves and self.revoked(version):
                return EXPIRED
            if spells.hit("garbage"):
                return UNREADABLE
        fingerprint = f"credential-{version}"
        fresh = known is not None and known != fingerprint
        return Dialled(proved=self._proves, fresh=fresh, secrets={"credential": fingerprint})


class WeixinClient:
    """The half of the adapter that makes attempts; see `statecore_adapters.weixin.client`."""

    def __init__(self, server: WeixinServer, ledger: Ledger) -> None:
        self._server = server
        self._ledger = ledger
        self._version = server.version

    def close(self) -> None:
        """Close its connections."""

    def renewed(self) -> bool:
        """Tell whether there are other credentials."""
        return self._server.version != self._version

    def made_up(self, attempt: Attempt, result: Any) -> None:
        """Have an attempt come to what an ambush says."""
        attempt.came(result)

    def perform(self, attempt: Attempt, effect: Any) -> None:
        """Make an attempt."""
        server, network = self._server, self._server.network
        if server.spells.active and server.spells.hit("away"):
            away = Unanswered("connect", "connection refused", timed_out=False)
            attempt.answer(server.loop.now + network.way(), _failed(effect, away))
            return
        match effect:
            case Dial():
                self._version = server.version
                known = self._ledger.get("credential")
                network.request(
                    attempt,
                    lambda _: server.hello(self._version, known),
                    DIAL_PATIENCE,
                    lambda lost: _failed(effect, lost),
                )
            case Receive():
                cursor, left = int(self._ledger.get("cursor") or 0), departed(attempt)
                network.request(
                    attempt, lambda _: server.poll(attempt, cursor, self._version, left), POLL_PATIENCE,
                    lambda lost: _failed(effect, lost), HELD,
                )  # fmt: skip
            case HangUp():
                network.request(attempt, lambda _: "", GOODBYE_PATIENCE, lambda lost: lost.error)
            case _:
                raise TypeError(f"no adapter knows how to {effect!r}")

    def send(self, attempt: Attempt, part: Outgoing) -> None:
        """Send one part, once."""
        server, network, left = self._server, self._server.network, departed(attempt)
        if server.spells.active and server.spells.hit("away"):
            attempt.answer(server.loop.now + network.way(), Unsent(stage="connect", error="connection refused"))
            return
        version = self._version
        network.request(
            attempt, lambda copy: server.take(part, version, left, copy=copy), SEND_PATIENCE, _unsent
        )  # fmt: skip


def _failed(effect: Any, lost: Unanswered) -> Any:
    if effect.__class__ is Receive and lost.timed_out and lost.stage not in UNSENT:
        return Empty(silent=True)
    if effect.__class__ is HangUp:
        return lost.error
    reachable = lost.stage in ("receive", "answer") and not lost.timed_out
    return Failure(stage=lost.stage, error=lost.error, reachable=reachable)


def _unsent(lost: Unanswered) -> Unsent | Unclear:
    if lost.stage in UNSENT:
        return Unsent(stage=lost.stage, error=lost.error)
    return Unclear(error=f"{lost.stage}: {lost.error}")
