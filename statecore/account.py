"""One account: its machines, wired together. Pure: what came in and what time it is go in, units to commit come out.

What happens here, in `statecore.outbox` and in `statecore.intake` is composition. Each machine knows only its own
table; here an answer of the platform becomes the events of every instance it concerns, in one unit, each row with its
cause. The numbers are chosen here too, by the policies, and put into the events, so that replaying them needs neither
policy nor chance.

The order of business is the driver's: it hands in what came of attempts, lets timers elapse, asks for turns, commits
the units, and makes the attempts they ask for.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs

from statecore.chance import Chance
from statecore.events import Elapsed, Event, Governed, Late
from statecore.intake import Intake
from statecore.machines import MACHINES, circuit, connection, delivery, inbound, window
from statecore.outbox import Outbox, OutboxStore
from statecore.platform import Batch, Message, Platform, Policies, Review
from statecore.system import IN_LANES, Address, Store, System, Unit
from statecore.ties import TIES, Crash
from statecore.units import SECONDS
from statecore.world import World

TIMERS_AT_ONCE: Final = 256
"""Timers that one unit lets elapse; the next unit takes the next ones."""

STAGGER: Final = 2 * SECONDS
"""After a suspend, accounts dial within this time of one another and not at once."""


class AccountStore(Store, OutboxStore, Protocol):
    """Everything an account reads from the journal while deciding."""

    def in_states(self, account: str, machine: str, states: Sequence[str]) -> list[str]:
        """Return the addresses of the instances in these states."""

    def recently_received(self, account: str, since: int) -> list[tuple[int, inbound.Received]]:
        """Return (when in ns, what) of the messages that came in since *since*."""


@attrs.frozen(kw_only=True)
class Command:
    """What another process asked for; see `Account.command` for the kinds.

    Args:
        id: its place in the journal's list of commands.
        kind: what is asked for.
        target: the delivery, receipt or chat concerned.
        delivery: for "send": the id of the delivery it becomes.
        text: for "send": what to send.
        key: for "send": the sender's own idempotency key.
        lasts: for "send": how long after it was asked for it is given up, in ns.
        asked_wall: for "send": the wall clock when it was asked for, in ns since 1970.
        reply_to: for "send": address of the message it answers.
    """

    id: int
    kind: str
    target: str = ""
    delivery: str = ""
    text: str = ""
    key: str = ""
    lasts: int | None = None
    asked_wall: int = 0
    reply_to: str = ""

    def expires_at(self, now: int, wall: int) -> int | None:
        """Return when a "send" is given up, on the clock of who accepts it, or None for never.

        Args:
            now: that clock, in ns.
            wall: the wall clock, the only one that both sides have: for how long it has waited is measured on it. One that
                was set back makes nothing last longer than it was asked to.
        """
        if self.lasts is None:
            return None
        return now + max(0, self.lasts - max(0, wall - self.asked_wall))


class Account:
    """The machines of one account.

    Args:
        name: what its user calls it.
        platform: the pure half of its adapter.
        policies: the numbers it goes by.
        store: the journal, for reading.
        world: time, chance, ids.

    Attributes:
        address: of the connection or session.
    """

    def __init__(self, name: str, platform: Platform, policies: Policies, store: AccountStore, world: World) -> None:
        self.name = name
        self.system = System(name, MACHINES, store)
        self._tie = TIES[platform.tie]
        self._chance = Chance(world)
        self.outbox = Outbox(self.system, self._tie, platform, policies, store, self._chance)
        self.intake = Intake(self.system, policies, store, self._chance, self.outbox)
        self._policies = policies
        self._store = store
        self.address = self.outbox.connection_address

    @property
    def draining(self) -> bool:
        """Whether the account is being let go: no new turns, nothing handed over."""
        return self.system.snapshot(self.address)[0] in ("draining", "hanging-up", "closed")

    # ---- beginning and ending ----------------------------------------------------------------------------------------

    def start(self, event: connection.Started, held: Callable[[str], bool] = lambda _: False) -> Unit:
        """Take the account: find what the last process left under way, and begin.

        Args:
            event: who takes it.
            held: tells whether a receipt is still with a handler of this process, which outlived its driver.
        """
        unit = self.system.begin(self._chance.now())
        self._chance.begin(event.chance, unit.now)
        self.outbox.begin(unit.now)
        self.system.feed(unit, self.address, event)
        started = -len(unit.entries)
        for address in self._store.in_states(self.name, "delivery", delivery.SENDING):
            crash = Crash("interrupted", "the process ended while it was being sent")
            self.outbox.in_flight[address] = None
            self.outbox.answered(unit, address, crash, started, 0)
        for address in self._store.in_states(self.name, "inbound", ("handling",)):
            if held(address):
                self.intake.handling[address] = None
                continue
            self.intake.handled(unit, address, "the process ended while it was handled")
        self.outbox.lanes.load("queued")
        begun = [
            head.address for chat in self.outbox.lanes.chats() if (head := self.outbox.lanes.head(chat)) is not None
        ]
        self.outbox.await_reviews([*begun, *self._store.in_states(self.name, "delivery", ("in-review",))])
        self.intake.lanes.load("waiting")
        for entry in unit.entries:  # the lanes were read from the journal, which does not have this unit yet
            if entry.machine.name == "delivery":
                self.outbox.moved(entry.address)
            elif entry.machine.name == "inbound":
                self.intake.moved(entry.address)
        self.system.arm(unit, event.offline)
        since = unit.now - 60 * SECONDS
        for at, received in self._store.recently_received(self.name, since):
            known = Message(
                chat=received.chat, sender=received.sender, id=received.id, text=received.text,
                kinds=received.kinds, sent_at=received.sent_at,
            )  # fmt: skip
            self.intake.remember(known, at)
        return unit

    def stop(self, by: str, wait: int) -> Unit:
        """Begin to let go: take no new work, see to its end what is under way."""
        unit = self.system.begin(self._chance.now())
        self.system.feed(unit, self.address, connection.StopRequested(by=by, wait=wait))
        return unit

    def turn(self, now: int, hungry: Callable[[], int]) -> tuple[Unit, list[str], bool]:
        """Let happen what comes up by itself: timers, messages handed over, requests whose turn it is, the end of a stop.

        Args:
            now: ns.
            hungry: tells how many messages can be handed over.

        Returns:
            What is to be committed, the receipts of the messages that it hands over, and whether more timers are due.
        """
        unit, handed = self.system.begin(now), list[str]()
        more = self.elapse(unit)
        if self.draining:
            self.outbox.next_turn = None
            self.drained(unit)
            return unit, handed, more
        if self.intake.lanes.ready:
            most = hungry()
            while len(handed) < most and (address := self.intake.take(unit)) is not None:
                handed.append(address)
        self.outbox.pump(unit)
        return unit, handed, more

    def drained(self, unit: Unit) -> None:
        """Go on with the stop if nothing is under way any more."""
        state = self.system.snapshot(self.address).state
        if state == "draining" and not self.outbox.in_flight and not self.intake.handling:
            cause = self.system.instance(self.address).seq
            self.system.feed(unit, self.address, connection.Drained(), cause=cause)

    # ---- what the driver brings --------------------------------------------------------------------------------------

    def elapse(self, unit: Unit) -> bool:
        """Let the timers that are due elapse; return whether there are more."""
        elapsed = self.system.elapsed(unit.now, TIMERS_AT_ONCE)
        for address, event, cause in elapsed:
            self.meet(unit, address, event, cause)
        return len(elapsed) == TIMERS_AT_ONCE

    def meet(self, unit: Unit, address: str, event: Elapsed, cause: int) -> None:
        """Let a timer elapse."""
        self.system.feed(unit, address, event, cause=cause)
        self._moved(unit, address)

    def _moved(self, unit: Unit, address: str) -> None:
        machine = Address.parse(address).machine
        if machine == "delivery":
            self.outbox.moved(address)
        elif machine == "inbound":
            self.intake.moved(address)
        elif address == self.address and self.system.snapshot(address).state == "hanging-up":
            cause = -len(unit.entries)
            for late in sorted(self.outbox.in_flight):
                self.outbox.answered(unit, late, Crash("drained", "the stop would not wait longer"), cause, 0)
            for late in sorted(self.intake.handling):
                self.intake.handled(unit, late, "the process stopped while it was handled")

    def came_of(self, address: str, entered: int, result: Any, *, cause: int, began: int, size: int = 0) -> Unit:
        """Take in what came of an attempt.

        Args:
            address: of the instance that asked for it.
            entered: the entry that asked for it; if the instance has left it since, the outcome is late.
            result: one of the values of `statecore.platform`, or a `Crash`.
            cause: position of the row that asked for it.
            began: when it began, in ns.
            size: of what was sent, in bytes.
        """
        unit = self.system.begin(self._chance.now())
        if self.system.snapshot(address).entered != entered:
            self.system.feed(unit, address, Late(event=type(result).__name__, of=entered), cause=cause)
        elif address == self.address:
            self._tied(unit, result, cause, unit.now - began)
        else:
            self.outbox.answered(unit, address, result, cause, size)
        return unit

    def governed(self, address: str, held: int, rows: int) -> Unit:
        """Note that the governor held an instance back."""
        unit = self.system.begin(self._chance.now())
        self.system.feed(unit, address, Governed(held=held, rows=rows))
        return unit

    def happened(self, event: Event) -> Unit:
        """Let something from outside happen to the connection: a wake from suspend, new credentials."""
        unit = self.system.begin(self._chance.now())
        self.system.feed(unit, self.address, event)
        return unit

    def woke(self, slept: int) -> Unit:
        """The machine was suspended for *slept* ns."""
        unit = self.system.begin(self._chance.now())
        self._chance.at(unit.now)
        woke = connection.Woke(slept=slept, wait=round(self._chance.draw() * STAGGER))
        self.system.feed(unit, self.address, woke)
        return unit

    # ---- the connection ----------------------------------------------------------------------------------------------

    def _tied(self, unit: Unit, result: Any, cause: int, held: int) -> None:
        """Take in what came of an attempt of the connection's."""
        was_up = self.outbox.sendable()
        at = self.system.snapshot(self.address)
        unit.secrets.update(getattr(result, "secrets", None) or {})
        unit.forget = getattr(result, "fresh", False)
        if isinstance(result, Batch):
            policies, tie = self._policies, self._tie
            self.intake.batch(
                unit, result, cause, lambda new, copies: tie.arrived(policies, at.data, new, copies, held)
            )
        else:
            self._chance.at(unit.now)
            event = self._tie.event(self._policies, self._chance, result, at, held, unit.now)
            self.system.feed(unit, self.address, event, cause=cause)
            if isinstance(result, Review):
                self.outbox.reviewed(unit, result, -len(unit.entries))
            if unit.forget:
                self._forget_tokens(unit)
        self._give_up_waiting(unit, held)
        if self.outbox.sendable() and not was_up:
            self.outbox.ready(unit, -1)

    def _give_up_waiting(self, unit: Unit, held: int) -> None:
        """Take for failed what has been owed for too long by a platform that sends: it could hold the account there for good."""
        at = self.system.snapshot(self.address)
        failure = self._tie.overdue(at, unit.now)
        if failure is not None:
            self._chance.at(unit.now)
            event = self._tie.event(self._policies, self._chance, failure, at, held, unit.now)
            self.system.feed(unit, self.address, event, cause=-len(unit.entries))

    def _forget_tokens(self, unit: Unit) -> None:
        """Take note in every chat that its context token went with the credentials it belonged to."""
        cause = -len(unit.entries)
        for address in self._store.in_states(self.name, "window", window.EVERY):
            token = self.system.snapshot(address).data.token
            if token:
                self.system.feed(unit, address, window.TokenForgotten(token=token), cause=cause)

    # ---- commands ----------------------------------------------------------------------------------------------------

    def command(self, command: Command) -> Unit:
        """Carry out what another process asked for. "send" is not among them: it is accepted like any other message.

        "retry" and "purge" take the address of a dead delivery or a quarantined receipt; "credentials" says that there
        are new ones; "resume" ends what the account waits for, its circuit too, or closes the circuit of the chat it names.
        """
        unit = self.system.begin(self._chance.now())
        unit.done.append(command.id)
        machine, account, _ = Address.parse(command.target)
        if command.kind in ("retry", "purge"):
            if machine not in IN_LANES or account != self.name or not self.system.exists(command.target):
                return unit  # it names nothing that is here; making an instance of it would be worse than doing nothing
            events: dict[tuple[str, str], Event] = {
                ("delivery", "retry"): delivery.Revived(),
                ("delivery", "purge"): delivery.Purged(),
                ("inbound", "retry"): inbound.Retried(),
                ("inbound", "purge"): inbound.Discarded(),
            }
            self.system.feed(unit, command.target, events[machine, command.kind])
            self._moved(unit, command.target)
        elif command.kind == "credentials":
            self.system.feed(unit, self.address, connection.CredentialsChanged())
        elif command.kind == "resume" and not command.target:
            self.system.feed(unit, self.address, connection.Resumed())
            self.outbox.resume(unit, -len(unit.entries))
        elif command.kind == "resume":
            self.system.feed(unit, self.outbox.circuit_of(command.target), circuit.Reset(by="operator"))
            self.outbox.release(unit, command.target, "operator", -1)
        return unit

    # ---- after the commit --------------------------------------------------------------------------------------------

    def committed(self, unit: Unit, first: int) -> bool:
        """Note that a unit is in the journal, its first entry at position *first*; return whether a message joined a lane."""
        joined = False
        for entry, order in self.system.committed(unit, first):
            state = self.system.state_in_lane(entry.address)
            if state is None:
                continue  # it was decided meanwhile that it leaves again
            joined = True
            lanes = self.outbox.lanes if entry.machine.name == "delivery" else self.intake.lanes
            if lanes.add(entry.chat, entry.address, order, state) and state in ("queued", "waiting"):
                lanes.offer(entry.chat)
        return joined
