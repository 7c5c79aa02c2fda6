"""What leaves an account: whose turn it is, and what an answer of the platform means for everyone concerned. Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol, TypeVar

from statecore.chance import Chance
from statecore.events import Broken, Elapsed
from statecore.evidence import Recent
from statecore.lanes import Lanes, LaneStore
from statecore.machine import Snapshot
from statecore.machines import circuit, connection, delivery, window
from statecore.machines.delivery import SENDING
from statecore.platform import (
    Message,
    Pending,
    Platform,
    Policies,
    Refusal,
    Review,
    Taken,
    Unauthorised,
    Unclear,
    Unsent,
)
from statecore.policies import backoff, pacing
from statecore.policies import circuit as circuits
from statecore.policies import retry as retries
from statecore.policies import window as allowance
from statecore.reading import Evidence, Reading
from statecore.system import LAST, NO_LANE, PLACED, Entry, System, Unit
from statecore.ties import Crash, Tie
from statecore.units import MILLISECONDS, SECONDS

IN_FLIGHT_MAX: Final = 8
"""Requests of one account under way at once. Pacing is the real bound; this one holds when answers take long."""

PROBE_WITHIN: Final = 90 * SECONDS
"""After this long a probe's ticket is taken back. Longer than any attempt may take, so it only meets tickets orphaned
by the end of a process."""


T = TypeVar("T")


class Slot(NamedTuple):
    """What the next request to a chat would be.

    Args:
        answers: the platform's id of the message it answers; empty for none, or where that is not said.
        number: which answer to it; 0 where that is not said.
        left: how many more may follow it.
        fresh: whether it is still to be counted.
    """

    answers: str
    number: int
    left: int
    fresh: bool = True


DOUBTS_MAX: Final = 2
"""Refusals of one chat in a row that are taken for a refusal of the account. Two, because the first may only tell that the
credentials in use are out of date."""

CHAT_ALONE: Final = (
    "this chat is refused with the code for credentials, and the account itself was accepted each time since"
)

EARLY_MAX: Final = 100
"""Outcomes of reviews that are remembered although nobody is known to wait for them."""

SendResult = Taken | Pending | Refusal | Unsent | Unclear | Unauthorised | Crash


class OutboxStore(LaneStore, Protocol):
    """What the outgoing half reads from the journal while deciding."""

    def first_event(self, address: str, kind: type[T]) -> T:
        """Return the first event of an instance."""


class Outbox:
    """The outgoing half of an account.

    Attributes:
        connection_address: of the account's connection or session.
        circuit_address: of the account's own circuit.
    """

    def __init__(
        self, system: System, tie: Tie, platform: Platform, policies: Policies, store: OutboxStore, chance: Chance
    ) -> None:
        self._system = system
        self._tie = tie
        self._platform = platform
        self._policies = policies
        self._chance = chance
        self._recent = Recent()
        self._bucket = pacing.Bucket(1.0, 0)
        self._doubts = 0
        self._doubted: dict[str, int] = {}  # by chat: refusals of the account since the platform took something there
        self._plain = False  # markup is refused, and goes through without; found out anew after a restart
        self._unmarked = ""  # the delivery that was refused for that, and is tried without
        self._reviews: dict[str, str] = {}
        self._early: dict[str, Review] = {}
        self._store = store
        self._account = system.account
        self.connection_address = f"{tie.machine}/{system.account}"
        self.circuit_address = f"circuit/{system.account}"
        self.lanes = Lanes(system.account, "delivery", store, system.state_in_lane)
        self.in_flight: dict[str, None] = {}  # in this order; an empty set takes three times as much
        self.next_turn: int | None = None

    def begin(self, now: int) -> None:
        """Begin to count requests. A burst after every restart would be a burst every restart."""
        self._bucket = pacing.Bucket(1.0, now)

    # ---- addresses ---------------------------------------------------------------------------------------------------

    def circuit_of(self, chat: str) -> str:
        """Address of a chat's circuit."""
        return f"circuit/{self._account}/{chat}"

    def window_of(self, chat: str) -> str:
        """Address of a chat's window."""
        return f"window/{self._account}/{chat}"

    # ---- accepting ---------------------------------------------------------------------------------------------------

    def accept(
        self, id_: str, chat: str, text: str, *, reply_to: str, key: str, expires_at: int | None, origin: str, now: int
    ) -> Unit:
        """Build the unit that takes a message on. It touches nothing in memory: `adopt` does, once it is committed.

        Raises:
            NotAccepted: the platform cannot take such a text.
        """
        self._platform.check(chat)
        event = delivery.Accepted(
            chat=chat,
            parts=self._platform.split(text),
            expires_at=expires_at,
            reply_to=reply_to,
            key=key,
            origin=origin,
        )
        return self.take_on(id_, event, now)

    def take_on(self, id_: str, event: delivery.Accepted, now: int) -> Unit:
        """Build the unit that takes on a message that is cut into its parts already; see `accept`."""
        machine, chat, expires_at = delivery.delivery, event.chat, event.expires_at
        decision = machine.step(machine.start(), event, now)
        address = f"delivery/{self._account}/{id_}"
        due = machine.due(decision.snapshot)
        unit = Unit(self._account, now, key=event.key)
        unit.entries.append(Entry(address, machine, "new", event, decision, 0, chat, LAST, live=True, due=due))
        if expires_at is not None and expires_at <= now:  # it was asked for long ago
            over = Elapsed("expires_at")
            decision = machine.step(decision.snapshot, over, now)
            unit.entries.append(
                Entry(address, machine, "queued", over, decision, -1, chat, PLACED, live=False, due=None)
            )
        return unit

    def adopt(self, unit: Unit, order: int) -> None:
        """Put the delivery of an `accept` that is now in the journal into its lane."""
        entry = unit.entries[-1]
        if not entry.live:
            return
        if entry.due is not None:
            self._system.arm_stored(entry.due, entry.address)
        if self.lanes.add(entry.chat, entry.address, order, "queued"):
            self.lanes.offer(entry.chat)

    # ---- turns -------------------------------------------------------------------------------------------------------

    def sendable(self) -> bool:
        """Tell whether requests may leave."""
        return self._tie.sendable(self._system.snapshot(self.connection_address))

    def free_at(self, now: int) -> int | None:
        """Return from when on somebody may leave, in ns; None if time alone does not bring that about."""
        if not (self.lanes.ready and len(self.in_flight) < IN_FLIGHT_MAX and self.sendable()):
            return None
        state, data, _, _ = self._system.snapshot(self.circuit_address)
        if state in ("open", "probing"):
            return None
        pace = self._policies.pacing
        return pacing.ready_at(pace, self._bucket, pacing.stretch(pace, data.level, data.throttled_at, now), now)

    def pump(self, unit: Unit) -> None:
        """Give turns to whoever may leave now; `next_turn` says when to ask again, if time alone can change the answer."""
        self.next_turn = None
        while (at := self.free_at(unit.now)) is not None:
            if at > unit.now:
                self.next_turn = at
                return
            chat = self.next_chat(unit.now, self.lanes.in_turn())
            if chat is None:
                return
            self.lanes.withdraw(chat)
            self._turn(unit, chat, self._system.snapshot(self.circuit_address))

    def next_chat(self, now: int, waiting: Iterable[str]) -> str | None:
        """Return whose turn it is. Who probes for the account was not refused lately, so one dead chat cannot hold it.

        Args:
            now: ns.
            waiting: the chats whose first may have its turn, in order.
        """
        if self._system.snapshot(self.circuit_address).state != "half-open":
            return next(iter(waiting), None)
        suspects = set(self._system.snapshot(self.circuit_address).data.suspects) | set(
            self._recent.others_refused("", now - self._policies.circuit.evidence)
        )
        return min(waiting, key=lambda chat: chat in suspects, default=None)

    def _turn(self, unit: Unit, chat: str, account: Snapshot) -> None:
        head = self.lanes.head(chat)
        if head is None:
            return
        address = head.address
        instance = self._system.instance(address)
        state, data, _, _ = instance.snapshot
        if state != "queued":
            return
        circuit_address, window_address = self.circuit_of(chat), self.window_of(chat)
        own = self._system.snapshot(circuit_address)
        allowed = self._system.snapshot(window_address)
        slot = self._slot(address, data, chat, allowed, unit.now)
        held = self._obstacle(own, allowed, slot, unit.now)
        if held is not None:
            self._system.feed(unit, address, held, cause=instance.seq)
            self.lanes.update(chat, address, self._system.snapshot(address).state)
            return
        assert slot is not None, "without one it is held"
        probe = "account" if account.state == "half-open" else "chat" if own.state == "half-open" else ""
        turned = delivery.Turn(
            token=allowed.data.token,
            left=slot.left,
            probe=probe,
            doubles=data.unclear and not self._recognises(chat, slot),
            bare=self._plain if self._platform.markup else allowed.data.token == 0 and not self._platform.answers,
            answers=slot.answers,
            number=slot.number,
        )
        self._system.feed(unit, address, turned, cause=instance.seq)
        turn = -len(unit.entries)
        if slot.fresh:
            spent = window.Spent(delivery=address, left=slot.left, message=slot.answers, number=slot.number)
            self._system.feed(unit, window_address, spent, cause=turn, chat=chat)
        if probe:
            ticket = circuit.ProbeSent(delivery=address, within=PROBE_WITHIN)
            if account.state == "half-open":
                self._system.feed(unit, self.circuit_address, ticket, cause=turn)
            if own.state == "half-open":
                self._system.feed(unit, circuit_address, ticket, cause=turn)
        self._spend(unit.now)
        self.in_flight[address] = None
        self.lanes.update(chat, address, "sending")

    def _slot(self, address: str, data: delivery.Delivery, chat: str, allowed: Snapshot, now: int) -> "Slot | None":
        """Find what the next request would be an answer to; None if the platform allows none."""
        policy, answers = self._policies.window_of(chat), self._platform.answers
        state, openings = allowed.state, allowed.data.openings
        left = allowance.left_in_all(policy, openings, now)
        if data.number:
            return Slot(data.answers, data.number, left, fresh=False)  # what was given once is kept
        if state == "unseen" and not answers:
            return Slot("", 0, policy.messages - allowed.data.unheard - 1)
        wanted = self._answered_by(address) if answers else ""
        opening = None if state in window.CLOSED else allowance.choose(policy, openings, wanted, now)
        if opening is not None:
            return Slot(opening.message, opening.numbered + 1 if answers else 0, left - 1)
        if answers and self._platform.unasked and state != "refused":
            return Slot("", 0, left, fresh=False)
        return None

    def _recognises(self, chat: str, slot: "Slot") -> bool:
        """Tell whether the platform shows a part once that it may have taken; where answers are numbered, under its number."""
        return self._platform.resends(chat, slot.answers) == "always" and not (self._platform.answers and slot.fresh)

    def _answered_by(self, address: str) -> str:
        """Return the platform's id of the message that a delivery answers."""
        accepted: delivery.Accepted = self._store.first_event(address, delivery.Accepted)
        return accepted.reply_to.split("/", 2)[2] if accepted.reply_to.count("/") > 1 else ""

    def _obstacle(self, own: Snapshot, allowed: Snapshot, slot: "Slot | None", now: int) -> delivery.Held | None:
        if own.state == "open":
            return delivery.Held(
                by="circuit", reason=own.data.reason, wait=max(1, own.data.probe_at - now), action=WRITE
            )
        if own.state == "probing":
            return delivery.Held(by="circuit", reason="a probe is out", wait=max(1, own.data.probe_until - now))
        if slot is not None and (slot.left >= 0 or not slot.fresh):
            return None
        if allowed.state in window.CLOSED:
            return delivery.Held(by="window", reason=allowed.data.reason, action=WRITE)
        if allowed.state == "unseen" and self._platform.answers:
            return delivery.Held(by="window", reason="the user has not written; only answers are allowed", action=WRITE)
        return delivery.Held(by="window", reason="what may be answered is used up or too old", action=WRITE)

    def _spend(self, now: int) -> None:
        self._bucket = pacing.spend(self._policies.pacing, self._bucket, self._stretch(now), now)
        self._recent.asked(now)

    def _stretch(self, now: int) -> float:
        data = self._system.snapshot(self.circuit_address).data
        return pacing.stretch(self._policies.pacing, data.level, data.throttled_at, now)

    # ---- answers -----------------------------------------------------------------------------------------------------

    def answered(self, unit: Unit, address: str, result: SendResult, cause: int, size: int) -> None:
        """Take in what came of sending a part.

        Args:
            unit: what it is committed with.
            address: of the delivery.
            result: what came of it.
            cause: position of the row that asked for the attempt.
            size: of the part, in bytes.
        """
        chat = self._system.instance(address).chat
        self._chance.at(unit.now)
        match result:
            case Taken():
                taken = delivery.PartAccepted(
                    message=result.message, confirmed=bool(result.message), trace=result.trace
                )
                self._taken(unit, address, chat, taken, cause)
            case Pending():
                self._pending(unit, address, chat, result, cause)
            case Refusal() | Unauthorised():
                self._refused(unit, address, chat, result, cause, size)
            case Unsent():
                self._unsent(unit, address, chat, result, cause)
            case Unclear() | Crash():
                self._unclear(unit, address, chat, result, cause)
        self.moved(address)
        if self.sendable():  # it was sent with credentials that are not those in use any more
            self._release_head(unit, chat, ("token-stale",), "ready", -1)

    def moved(self, address: str) -> None:
        """Bring the lane up to date with where a delivery is now."""
        held = self._system.instance(address)
        state, chat = held.snapshot.state, held.chat
        if state not in SENDING:
            self.in_flight.pop(address, None)
        head = self.lanes.head(chat)
        if head is None or head.address != address:
            return
        if state in NO_LANE:
            following = self.lanes.leave(chat, address)
            if following is not None and following.state == "queued":
                self.lanes.offer(chat)
            return
        self.lanes.update(chat, address, state)
        if state == "queued":
            self.lanes.offer(chat)

    def _taken(
        self, unit: Unit, address: str, chat: str, event: delivery.PartAccepted | delivery.PartPending, cause: int
    ) -> None:
        state, data, _, _ = self._system.snapshot(address)
        self._system.feed(unit, address, event, cause=cause)
        index = -len(unit.entries)
        self._doubts = 0
        self._doubted.pop(chat, None)
        self._recent.taken(chat, unit.now)
        if state == "sending-bare" and address == self._unmarked:
            self._plain = True
        if state == "sending-bare" and data.token:
            self._system.feed(unit, self.window_of(chat), window.TokenForgotten(token=data.token), cause=index)
            if self._system.snapshot(self.window_of(chat)).data.token == 0:
                unit.secrets[f"token/{chat}"] = None
        if self._holds_ticket(self.circuit_of(chat), address):
            self._system.feed(unit, self.circuit_of(chat), circuit.ProbePassed(), cause=index)
        if self._holds_ticket(self.circuit_address, address):
            self._system.feed(unit, self.circuit_address, circuit.ProbePassed(), cause=index)
            self._release(unit, ("circuit-tripped",), "account", index)

    # ---- reviews -----------------------------------------------------------------------------------------------------

    def await_reviews(self, addresses: list[str]) -> None:
        """Note which deliveries wait for a review."""
        for address in addresses:
            for audit in self._system.snapshot(address).data.audits:
                self._reviews[audit] = address

    def _pending(self, unit: Unit, address: str, chat: str, result: Pending, cause: int) -> None:
        self._taken(unit, address, chat, delivery.PartPending(audit=result.audit, trace=result.trace), cause)
        self._reviews[result.audit] = address
        early = self._early.pop(result.audit, None)
        if early is not None:
            self.reviewed(unit, early, -len(unit.entries))

    def reviewed(self, unit: Unit, review: Review, cause: int) -> None:
        """Take in what became of a part that somebody looked at."""
        address = self._reviews.pop(review.audit, None)
        if address is None:  # it may be said before the answer to the request has come back
            self._early[review.audit] = review
            while len(self._early) > EARLY_MAX:
                del self._early[next(iter(self._early))]
            return
        event = delivery.Reviewed(audit=review.audit, passed=review.passed, message=review.message)
        self._system.feed(unit, address, event, cause=cause)
        self.moved(address)

    def _holds_ticket(self, address: str, holder: str) -> bool:
        state, data, _, _ = self._system.snapshot(address)
        return state == "probing" and data.probe == holder

    def _refused(
        self, unit: Unit, address: str, chat: str, result: Refusal | Unauthorised, cause: int, size: int
    ) -> None:
        state, data, _, _ = self._system.snapshot(address)
        bare = state == "sending-bare"
        probing = self._holds_ticket(self.circuit_address, address)
        self._recent.refused(chat, unit.now, bare=bare)
        evidence = self._evidence(chat, data, unit.now, size=size, bare=bare, probing=probing)
        reading = self._blame_chat(chat, self._read(result, evidence, token=data.token > 0))
        if reading.then == "taken" and data.unclear:
            repeated = delivery.PartAccepted(confirmed=False, repeated=True, trace=result.trace, code=result.code)
            self._taken(unit, address, chat, repeated, cause)
            return
        then = "circuit" if reading.then == "bare" and bare else "slot" if reading.then == "taken" else reading.then
        if then == "slot" and not data.answers:
            then = "window"  # there is nothing it could answer instead
        if then == "retry" and self._exhausted(data, unit.now):
            then = "dead"
        hint = getattr(result, "hint", None)
        wait, failures = self._wait_after(chat, then, data, unit.now, hint)
        event = delivery.PartRefused(
            code=result.code,
            message=result.message,
            reading=reading.says,
            then=then,
            evidence=evidence,
            action=reading.action,
            wait=wait,
            down=self._down(unit.now),
            trace=result.trace,
            hint=backoff.asked(hint) or None,
            unclear=reading.then == "taken",
        )
        self._system.feed(unit, address, event, cause=cause)
        index = -len(unit.entries)
        if then == "bare":
            self._unmarked = address if reading.lasts else self._unmarked
            self._spend(unit.now)  # the experiment leaves out of turn, so the next turn waits the longer
            return
        self._refund(unit, address, chat, index)
        said = ": ".join(part for part in (result.code, result.message, reading.says) if part)
        if then == "account":
            self._blame_account(unit, address, chat, reading, said, wait, failures, index)
        elif then == "circuit":
            self._trip(unit, self.circuit_of(chat), address, said, wait, failures, index)
            self._void(unit, self.circuit_address, address, index)
        else:
            if then == "window" or (reading.then == "slot" and data.answers):
                shut = window.Shut(reason=said, message=data.answers if then == "slot" else "")
                self._system.feed(unit, self.window_of(chat), shut, cause=index)
            if then == "credentials":
                self._doubts += 1
                again = backoff.delay(self._policies.backoff, self._doubts, self._chance.draw())
                self._system.feed(
                    unit,
                    self.connection_address,
                    connection.Doubted(reason=said, wait=again, credential=getattr(result, "credential", None)),
                    cause=index,
                )
            self._void(unit, self.circuit_address, address, index)
            self._void(unit, self.circuit_of(chat), address, index)

    def _refund(self, unit: Unit, address: str, chat: str, cause: int) -> None:
        """Give back what was certainly not used up; but where answers are numbered, a part keeps the number it was given."""
        if not self._platform.answers:
            self._system.feed(unit, self.window_of(chat), window.Refunded(delivery=address), cause=cause)

    def _read(self, result: Refusal | Unauthorised, evidence: Evidence, *, token: bool) -> Reading:
        if isinstance(result, Refusal):
            try:
                return self._platform.read(result, evidence)
            except Exception as error:  # noqa: BLE001 - whatever it is, the part was refused, and must not be sent again at once
                says = f"the adapter raised {type(error).__name__} while reading the refusal"
                return Reading("circuit", says, "report this to whoever made the adapter")
        if token and not evidence.bare and not evidence.bare_refused:
            return Reading("bare", REFUSED_BARE)
        return Reading("credentials", REFUSED_CREDENTIALS, result.action)

    def _evidence(
        self, chat: str, sent: delivery.Delivery, now: int, *, size: int, bare: bool, probing: bool
    ) -> Evidence:
        data = self._system.snapshot(self.window_of(chat)).data
        others = self._recent.others_refused(chat, now - self._policies.circuit.evidence)
        return Evidence(
            spent=data.spent,
            allowed=self._policies.window_of(chat).messages,
            heard_ago=None if data.heard_at is None else now - data.heard_at,
            size=size,
            bare=bare,
            bare_refused=self._recent.bare_refused(chat),
            last_second=self._recent.last_second(now),
            last_minutes=self._recent.last_minutes(now),
            others_refused=len(others) if len(others) + 1 >= self._policies.circuit.chats else 0,
            others_accepted=self._recent.others_accepted(chat),
            probing=probing,
            answers=bool(sent.answers),
            unclear=sent.unclear,
        )

    def _wait_after(self, chat: str, then: str, data: delivery.Delivery, now: int, hint: int | None) -> tuple[int, int]:
        """Choose how long a refused delivery waits, and which failure in a row of its circuit this is."""
        policy = self._policies.circuit
        if then == "retry":
            return backoff.delay(self._policies.retry.backoff, data.attempts + 1, self._chance.draw(), hint), 0
        if then == "account":
            return self._cooldown(self.circuit_address, policy.cooldown, now, hint)
        if then == "circuit":
            return self._cooldown(self.circuit_of(chat), policy.chat_cooldown, now, hint)
        return 0, 0

    def _cooldown(self, address: str, first: int, now: int, hint: int | None = None) -> tuple[int, int]:
        policy = self._policies.circuit
        state, held, _, _ = self._system.snapshot(address)
        if state == "open":
            return max(1, held.probe_at - now), held.failures
        failures = (
            held.failures + 1
            if state == "probing"
            else circuits.failures_now(policy, held.failures, held.closed_at, now)
        )
        return max(circuits.wait(policy, first, failures, self._chance.draw()), backoff.asked(hint)), failures

    def _blame_account(
        self, unit: Unit, address: str, chat: str, reading: Reading, said: str, wait: int, failures: int, cause: int
    ) -> None:
        """Trip the account's circuit, and clear the chats whose refusals are now put down to the account."""
        others = self._recent.others_refused(chat, unit.now - self._policies.circuit.evidence)
        level = pacing.slower(self._policies.pacing, self._stretch(unit.now)) if reading.throttled else 1.0
        self._trip(
            unit,
            self.circuit_address,
            address,
            said,
            wait,
            failures,
            cause,
            level=level,
            suspects=(*others, chat)[-16:],
        )
        self._void(unit, self.circuit_of(chat), address, cause)
        for other in others:
            if self._system.snapshot(self.circuit_of(other)).state in ("open", "half-open"):
                self._system.feed(unit, self.circuit_of(other), circuit.Reset(by="account"), cause=cause)
                self._release_head(unit, other, ("circuit-tripped",), "account", cause)

    def _trip(
        self,
        unit: Unit,
        circuit_address: str,
        address: str,
        said: str,
        wait: int,
        failures: int,
        cause: int,
        *,
        level: float = 1.0,
        suspects: tuple[str, ...] = (),
    ) -> None:
        state = self._system.snapshot(circuit_address).state
        chat = self._system.instance(address).chat if circuit_address != self.circuit_address else ""
        if self._holds_ticket(circuit_address, address):
            event = circuit.ProbeFailed(reason=said, wait=wait, throttled=level > 1)
            self._system.feed(unit, circuit_address, event, cause=cause, chat=chat)
        elif state == "closed":
            tripped = circuit.Tripped(reason=said, wait=wait, failures=failures, level=level, suspects=suspects)
            self._system.feed(unit, circuit_address, tripped, cause=cause, chat=chat)

    def _void(self, unit: Unit, circuit_address: str, address: str, cause: int) -> None:
        if self._holds_ticket(circuit_address, address):
            event = circuit.ProbeVoid(wait=self._policies.circuit.cooldown)
            self._system.feed(unit, circuit_address, event, cause=cause)

    def _unsent(self, unit: Unit, address: str, chat: str, result: Unsent, cause: int) -> None:
        data = self._system.snapshot(address).data
        event = delivery.NotSent(
            stage=result.stage,
            error=result.error,
            wait=backoff.delay(self._policies.retry.backoff, data.attempts + 1, self._chance.draw()),
            down=self._down(unit.now),
            final=self._exhausted(data, unit.now),
        )
        self._system.feed(unit, address, event, cause=cause)
        index = -len(unit.entries)
        self._refund(unit, address, chat, index)
        self._void(unit, self.circuit_address, address, index)
        self._void(unit, self.circuit_of(chat), address, index)

    def _unclear(self, unit: Unit, address: str, chat: str, result: Unclear | Crash, cause: int) -> None:
        data = self._system.snapshot(address).data
        wait = self._policies.retry.resend_after
        resends = self._platform.resends(chat, data.answers)
        event: delivery.PartUnknown | Broken
        if isinstance(result, Unclear):
            event = delivery.PartUnknown(error=result.error, wait=wait, final=self._no_resend(resends, data.unknowns))
        else:
            cut_off = result.how in ("interrupted", "drained")
            final = (
                resends == "never" or data.interruptions + 1 > self._policies.retry.interruptions
                if cut_off
                else self._no_resend(resends, data.unknowns)
            )
            event = Broken(how=result.how, error=result.error, wait=wait, final=final)  # type: ignore[arg-type]
        self._system.feed(unit, address, event, cause=cause)
        index = -len(unit.entries)
        self._unanswered(unit, address, chat, result, index)
        self._void(unit, self.circuit_of(chat), address, index)

    def _unanswered(self, unit: Unit, address: str, chat: str, result: Unclear | Crash, cause: int) -> None:
        """Leave the account alone for a while if several chats in a row get no answer: each try is a message in doubt."""
        policy = self._policies.circuit
        told = isinstance(result, Unclear) or result.how == "overdue"
        several = told and self._recent.lost(chat, unit.now, policy.evidence) >= policy.chats
        if several or (told and self._holds_ticket(self.circuit_address, address)):
            wait, failures = self._cooldown(self.circuit_address, policy.cooldown, unit.now)
            said = f"messages get no answer: {result.error}"
            self._trip(unit, self.circuit_address, address, said, wait, failures, cause)
        else:
            self._void(unit, self.circuit_address, address, cause)

    def _no_resend(self, resends: str, unknowns: int) -> bool:
        """Tell whether the platform's policy forbids to send a part of unknown outcome once more."""
        allowed = {"never": 0, "once": 1, "always": self._policies.retry.attempts}[resends]
        return unknowns + 1 > allowed

    def _blame_chat(self, chat: str, reading: Reading) -> Reading:
        """Read a refusal of the account once more: one that is accepted again each time is not what is refused."""
        if reading.then != "credentials":
            return reading
        doubts = self._doubted[chat] = self._doubted.get(chat, 0) + 1
        return reading if doubts <= DOUBTS_MAX else Reading("circuit", CHAT_ALONE, WRITE)

    def _exhausted(self, data: delivery.Delivery, now: int) -> bool:
        if data.failing_since is None:
            return False
        age = now - data.failing_since - (self._down(now) - data.down_before)
        return retries.exhausted(self._policies.retry, data.attempts + 1, age)

    def _down(self, now: int) -> int:
        data = self._system.snapshot(self.connection_address).data
        return int(data.down_total + (now - data.down_since if data.down_since is not None else 0))

    def under_way(self, chat: str) -> int:
        """Count the requests to a chat that were not answered yet: one or none, because its messages leave in order."""
        return sum(self._system.instance(address).chat == chat for address in self.in_flight)

    # ---- releasing ---------------------------------------------------------------------------------------------------

    @property
    def answers_by_id(self) -> bool:
        """Whether the platform wants to be told which message is answered."""
        return self._platform.answers

    def heard_as(self, message: Message, now: int) -> window.Heard:
        """Say what a message that came in opens.

        One that the platform kept while there was no connection is as old as it says, but not older than the outage: clocks
        differ, and one that comes while all is well is new, whatever it says.
        """
        lasts = self._policies.window_of(message.chat).lasts
        tie: connection.Connection = self._system.snapshot(self.connection_address).data
        down = None if tie.down_since is None else now - tie.down_since + tie.unnoticed
        age = 0 if down is None else min(down, max(0, now - message.sent_at * MILLISECONDS))
        return window.Heard(
            lasts=max(1 * SECONDS, lasts - age),
            token=bool(message.token),
            under_way=0 if self._platform.answers else self.under_way(message.chat),
            message=message.id if self._platform.answers else "",
        )

    def heard(self, unit: Unit, chat: str, cause: int) -> None:
        """Let a chat go on whose user wrote: its circuit closes and its lane flushes, paced."""
        self._recent.heard(chat)
        if self._system.snapshot(self.circuit_of(chat)).state != "closed":
            self._system.feed(unit, self.circuit_of(chat), circuit.Reset(by="inbound"), cause=cause, chat=chat)
        self._release_head(unit, chat, ("window-closed", "circuit-tripped"), "inbound", cause)

    def release(self, unit: Unit, chat: str, by: str, cause: int) -> None:
        """Let a chat go on that was left alone."""
        self._release_head(unit, chat, ("circuit-tripped",), by, cause)

    def resume(self, unit: Unit, cause: int) -> None:
        """Close the account's circuit: a person says that the platform takes messages again."""
        if self._system.snapshot(self.circuit_address).state != "closed":
            self._system.feed(unit, self.circuit_address, circuit.Reset(by="operator"), cause=cause)
            self._release(unit, ("circuit-tripped",), "account", -len(unit.entries))

    def ready(self, unit: Unit, cause: int) -> None:
        """Wake what waited for the account to be ready."""
        self._release(unit, ("token-stale", "backing-off"), "ready", cause)

    def _release(self, unit: Unit, states: tuple[str, ...], by: str, cause: int) -> None:
        for chat in self.lanes.chats():
            self._release_head(unit, chat, states, by, cause)

    def _release_head(self, unit: Unit, chat: str, states: tuple[str, ...], by: str, cause: int) -> None:
        head = self.lanes.head(chat)
        if head is None or head.state not in states:
            return
        if by == "account" and self._system.snapshot(self.circuit_of(chat)).state == "open":
            return  # it waits for its own circuit, not for the account's
        self._system.feed(unit, head.address, delivery.Released(by=by), cause=cause)
        self.moved(head.address)


REFUSED_BARE: Final = "the account or the chat's token is refused; one attempt without the token tells which"
REFUSED_CREDENTIALS: Final = "the account's credentials are refused"
WRITE: Final = "the chat's user must write; their next message releases it"
