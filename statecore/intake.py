"""What comes in to an account: batches become receipts, receipts are handed over in the order of their chats. Pure."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from statecore.chance import Chance
from statecore.events import Event
from statecore.lanes import Lanes, LaneStore
from statecore.machines import inbound
from statecore.outbox import Outbox
from statecore.platform import Batch, Message, Policies
from statecore.policies import backoff
from statecore.system import System, Unit
from statecore.units import SECONDS

FINGERPRINT_WITHIN: Final = 30 * SECONDS
"""The same text that comes again under another id after longer than this is another message. Copies were seen 1 to 11
seconds apart (Tencent/openclaw-weixin#239); longer windows swallowed people's repeated "ok" (hermes-agent#36750)."""

FINGERPRINT_APART_MS: Final = 2_000
"""Copies carry the moment at which the message was written. Texts written further apart than this, by the platform's
own clock, are two messages however soon they arrive after one another."""

FINGERPRINTS_MAX: Final = 10_000
"""Fingerprints remembered at most; within thirty seconds no account that a person reads receives more."""

Fingerprint = tuple[str, str, str, tuple[str, ...]]


class Seen(NamedTuple):
    """A message that came in: when (ns), when it was written by the platform's clock (ms, 0 if unsaid), and its receipt."""

    at: int
    sent_at: int
    address: str


class Intake:
    """The incoming half of an account."""

    def __init__(self, system: System, policies: Policies, store: LaneStore, chance: Chance, outbox: Outbox) -> None:
        self._system = system
        self._policies = policies
        self._chance = chance
        self._outbox = outbox
        self._seen: OrderedDict[Fingerprint, tuple[Seen, ...]] = OrderedDict()
        self.lanes = Lanes(system.account, "inbound", store, system.state_in_lane)
        self.handling: dict[str, None] = {}  # in this order; an empty set takes three times as much

    def address(self, message_id: str) -> str:
        """Address of the receipt of a message."""
        return f"inbound/{self._system.account}/{message_id}"

    # ---- batches -----------------------------------------------------------------------------------------------------

    def batch(self, unit: Unit, batch: Batch, cause: int, arrived_as: Callable[[int, int], Event]) -> None:
        """Take in messages that came. They and the cursor that covers them are in one unit; neither is ever without the other.

        Args:
            unit: what it is committed with.
            batch: what came.
            cause: position of the row that asked for it.
            arrived_as: (new messages, copies) -> what that is to the connection.
        """
        sorted_ = self._sort(batch.messages, unit.now)
        new = sum(not by for _, _, by in sorted_)
        tie = self._outbox.connection_address
        self._system.feed(unit, tie, arrived_as(new, len(sorted_) - new), cause=cause)
        arrived = -len(unit.entries)
        for address, message, by in sorted_:  # in the platform's order, so that the newest token is the one kept
            if by:
                self._system.feed(unit, address, inbound.Repeated(id=message.id, by=by), cause=arrived)
                self._keep_token(unit, message)
            else:
                self._receive(unit, message, arrived)

    def _sort(self, messages: tuple[Message, ...], now: int) -> list[tuple[str, Message, str]]:
        """Tell new messages from copies: (address of the receipt, message, how a copy was recognised or nothing)."""
        found: list[tuple[str, Message, str]] = []
        ids: set[str] = set()
        for message in messages:
            address = self.address(message.id)
            if message.id in ids or self._system.exists(address):
                found.append((address, message, "id"))
            elif (original := self._same_text(message, now)) is not None:
                found.append((original, message, "fingerprint"))
            else:
                found.append((address, message, ""))
                ids.add(message.id)
                self.remember(message, now)
        return found

    def _same_text(self, message: Message, now: int) -> str | None:
        """Return the receipt of the message that this is a copy of, if it is one. Two pictures are not one.

        A platform whose messages are answered by their ids says by those which are one; there the same text is said twice.
        """
        if not message.text or self._outbox.answers_by_id:
            return None
        found: list[tuple[int, str]] = []
        for seen in self._seen.get(_fingerprint(message), ()):
            apart = abs(message.sent_at - seen.sent_at) if message.sent_at and seen.sent_at else 0
            if now - seen.at <= FINGERPRINT_WITHIN and apart <= FINGERPRINT_APART_MS:
                found.append((apart, seen.address))
        return min(found)[1] if found else None

    def remember(self, message: Message, at: int) -> None:
        """Remember a message's fingerprint."""
        key = _fingerprint(message)
        fresh = (seen for seen in self._seen.get(key, ()) if at - seen.at <= FINGERPRINT_WITHIN)
        self._seen[key] = (*fresh, Seen(at, message.sent_at, self.address(message.id)))
        self._seen.move_to_end(key)
        while len(self._seen) > FINGERPRINTS_MAX or at - next(iter(self._seen.values()))[-1].at > FINGERPRINT_WITHIN:
            self._seen.popitem(last=False)

    def _receive(self, unit: Unit, message: Message, cause: int) -> None:
        event = inbound.Received(
            chat=message.chat,
            sender=message.sender,
            id=message.id,
            text=message.text,
            kinds=message.kinds,
            sent_at=message.sent_at,
            weak_id=message.weak_id,
            quotes=message.quotes,
        )
        self._system.feed(unit, self.address(message.id), event, cause=cause, chat=message.chat)
        received = -len(unit.entries)
        heard = self._outbox.heard_as(message, unit.now)
        self._system.feed(unit, self._outbox.window_of(message.chat), heard, cause=received, chat=message.chat)
        self._keep_token(unit, message)
        self._outbox.heard(unit, message.chat, received)

    def _keep_token(self, unit: Unit, message: Message) -> None:
        if message.token:
            unit.secrets[f"token/{message.chat}"] = message.token

    # ---- handing over ------------------------------------------------------------------------------------------------

    def take(self, unit: Unit) -> str | None:
        """Hand the next message over; return the address of its receipt, or None if none is waiting."""
        while (chat := self.lanes.take()) is not None:
            head = self.lanes.head(chat)
            if head is None or self._system.snapshot(head.address).state != "waiting":
                continue
            self._system.feed(unit, head.address, inbound.Handed(), cause=self._system.instance(head.address).seq)
            self.handling[head.address] = None
            self.moved(head.address)
            return head.address
        return None

    def handled(self, unit: Unit, address: str, error: str | None) -> None:
        """Take in how a handler ended.

        Args:
            unit: what it is committed with.
            address: of the receipt.
            error: what went wrong, or None.
        """
        held = self._system.instance(address)
        cause = held.seq
        self.handling.pop(address, None)
        if error is None:
            self._system.feed(unit, address, inbound.Handled(), cause=cause)
        else:
            attempts = held.snapshot.data.attempts
            policy = self._policies.handling
            self._chance.at(unit.now)
            wait = backoff.delay(policy.backoff, attempts, self._chance.draw())
            event = inbound.HandlerFailed(error=error, wait=wait, final=attempts >= policy.attempts)
            self._system.feed(unit, address, event, cause=cause)
        self.moved(address)

    def moved(self, address: str) -> None:
        """Bring the lane up to date with where a receipt is now."""
        held = self._system.instance(address)
        state, chat = held.snapshot.state, held.chat
        if state in ("done", "quarantined"):
            following = self.lanes.leave(chat, address)
            if following is not None and following.state == "waiting":
                self.lanes.offer(chat)
            return
        self.lanes.update(chat, address, state)
        head = self.lanes.head(chat)
        if state == "waiting" and head is not None and head.address == address:
            self.lanes.offer(chat)


def _fingerprint(message: Message) -> Fingerprint:
    return message.chat, message.sender, message.text, message.kinds
