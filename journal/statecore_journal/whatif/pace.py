"""When things happen in a run that nobody outside decides: turns, handings, deadlines that are met, the end of a drain.

What the surroundings of a gateway add is how long each thing took: the operating system's timers, the disk, the program that
handles messages. `Following` takes these from the record and notes them. `Free` lets everything take as long as it took then,
for as long as it asks the same, and no time at all where it asks something else.
"""

import itertools
from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

import attrs

from statecore.account import Account
from statecore.events import name_of
from statecore.lanes import Lanes
from statecore.machine import Snapshot
from statecore.machines import connection, delivery, inbound
from statecore.system import Unit
from statecore_journal.whatif.happened import Happened
from statecore_journal.whatif.recording import Deadline, Key, Recording, Row

NEVER: Final = 2**63 - 1

_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""

Moment = tuple[int, int]
"""(when in ns, its position on record or `NEVER`)."""


@attrs.define
class Latencies:
    """How long things took, as noted by a run that followed the record; in ns.

    Args:
        turns: when a delivery left, by the instance, its version, and from when on it might have.
        offers: from when a delivery was accepted until the driver knew, where that was late.
        handings: when a handler had a message, by the instance, its version, and when it might have; None for never.
        drained: from when nothing was under way any more until that was noted, by version of the tie.
        unmet: deadlines that were never met.
        deaths: by which life: from when on nothing happened any more, although it was due.
        hands: whether there was anybody who handled messages.
    """

    turns: dict[tuple[Key | None, int], int] = attrs.field(factory=dict)
    offers: dict[Key, int] = attrs.field(factory=dict)
    handings: dict[tuple[Key, int], int | None] = attrs.field(factory=dict)
    drained: dict[int, int] = attrs.field(factory=dict)
    unmet: set[Deadline] = attrs.field(factory=set)
    deaths: dict[int, int] = attrs.field(factory=dict)
    hands: bool = False


class Situation(Protocol):
    """What a pace sees of the run it is for."""

    @property
    def at(self) -> int:
        """Return the time, in ns."""

    @property
    def account(self) -> Account | None:
        """Return the account, once a process has taken it."""

    @property
    def life(self) -> int:
        """Return which process drives it, from 1."""

    @property
    def tie_state(self) -> str:
        """Return the state of the account's tie to its platform."""

    @property
    def lets_go(self) -> bool:
        """Tell whether the account is being let go."""

    def offer_later(self, lanes: "PacedLanes", chat: str, moment: Moment) -> None:
        """Put a chat at the end of those whose turn comes, at a moment."""


class PacedLanes(Lanes):
    """Lanes that are looked at when they were looked at."""

    pace: "Pace"

    def offer(self, chat: str) -> None:
        """Put a chat at the end of those whose turn comes, or do so later."""
        if not self.pace.offered(self, chat):
            super().offer(chat)

    def admit(self, chat: str) -> None:
        """Put a chat at the end now."""
        super().offer(chat)

    def in_turn(self) -> Iterable[str]:
        """Return the chats whose first may have its turn; when following the record, those that had it now."""
        return self.pace.in_turn(self)


class Pace:
    """What both paces have in common.

    Args:
        recording: what came from outside, and when everything happened.
        latencies: how long things took.

    Attributes:
        run: the run it is for.
        dies: from when on the process that drives does nothing more, in ns.
    """

    follows: ClassVar[bool]
    run: Situation

    def __init__(self, recording: Recording, latencies: Latencies) -> None:
        self.recording = recording
        self.latencies = latencies
        self.dies = NEVER
        self._since: dict[tuple[str, str], int] = {}
        self._free: tuple[Key | None, int] | None = None
        self._drained_since: int | None = None

    def begin_life(self) -> None:
        """Take note that another process drives the account."""
        self._drained_since = None

    # ---- what each pace says -----------------------------------------------------------------------------------------

    def over(self, moment: Moment) -> bool:
        """Tell whether the process had gone when something was due."""
        raise NotImplementedError

    def goes_beyond(self) -> bool:
        """Tell whether the run may go on after the end of the record, from now on."""
        raise NotImplementedError

    def unmet(self, deadline: Deadline) -> bool:
        """Tell whether a deadline passed, on record, and was not met: something else came before anybody looked."""
        raise NotImplementedError

    def handing(self) -> Moment | None:
        """Return when the next message is handed to the program."""
        raise NotImplementedError

    def in_turn(self, lanes: Lanes) -> Iterable[str]:
        """Return the chats of lanes whose turn it could be now."""
        raise NotImplementedError

    def pumped(self, unit: Unit) -> None:  # noqa: ARG002
        """Take note of what turns led to."""
        self._free = None

    def hands(self, lanes: Lanes, chat: str) -> None:
        """Take note that the first of a lane is handed over."""

    def wrote(self, unit: Unit, first: int, *, modelled: bool) -> None:
        """Take note of transitions.

        Args:
            unit: what is committed.
            first: position of its first entry.
            modelled: whether it rests on an answer that was never recorded.
        """
        raise NotImplementedError

    def _turn_at(self, account: Account, free: int) -> Moment | None:
        raise NotImplementedError

    def _drained_at(self, tie: Snapshot, row: Row | None, since: int) -> Moment:
        raise NotImplementedError

    def _offers_later(self, lanes: Lanes, chat: str, key: Key | None) -> Moment | None:
        raise NotImplementedError

    # ---- what both do ------------------------------------------------------------------------------------------------

    def turn(self) -> Moment | None:
        """Return when the next delivery has its turn."""
        account = self.run.account
        free = None if account is None or self.run.lets_go else account.outbox.free_at(self.run.at)
        if account is None or free is None:
            self._free = None
            return None
        return self._turn_at(account, free)

    def drain(self) -> Moment | None:
        """Return when it is noted that nothing is under way any more."""
        account = self.run.account
        if account is None or self.run.tie_state != "draining":
            self._drained_since = None
            return None
        if account.outbox.in_flight or account.intake.handling:
            self._drained_since = None
            return None
        if self._drained_since is None:
            self._drained_since = self.run.at
        tie = account.system.snapshot(account.address)
        row = self.recording.following.get((account.address, tie.version))
        return self._drained_at(tie, row, self._drained_since)

    def offered(self, lanes: PacedLanes, chat: str) -> bool:
        """Take note that a lane's first may have its turn; tell whether it is known only later."""
        if chat not in lanes.ready:
            self._since[lanes.machine, chat] = self.run.at
        moment = self._offers_later(lanes, chat, self.head_key(lanes, chat))
        if moment is not None:
            self.run.offer_later(lanes, chat, moment)
        return moment is not None

    def head_key(self, lanes: Lanes, chat: str) -> Key | None:
        """Return the first of a lane and its version."""
        head, account = lanes.head(chat), self.run.account
        return (
            None if head is None or account is None else (head.address, account.system.snapshot(head.address).version)
        )

    def since(self, lanes: Lanes, chat: str) -> int:
        """Return from when on the first of a lane might have had its turn."""
        return self._since.get((lanes.machine, chat), self.run.at)

    def _position(self, key: Key | None) -> int:
        row = self.recording.following.get(key) if key is not None else None
        return row.seq if row is not None else NEVER


class Following(Pace):
    """Goes by the record, and notes how long everything took.

    Args:
        recording: see `Pace`.
    """

    follows = True

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording, Latencies())
        self._strayed = NEVER
        self._moved: set[int] = set()  # positions of the rows that happened again
        self._turns = _turns(recording.rows)
        self._lives = _lives(recording.rows)
        self._frees: set[tuple[Key | None, int]] = set()

    @property
    def strayed_at(self) -> int | None:
        """When the run first left the record, in ns; None if it never did."""
        return None if self._strayed == NEVER else self._strayed

    def look_for_missing(self) -> None:
        """Note the first row on record that did not happen; at the end of the run."""
        rows = self.recording.rows
        if len(self._moved) < len(rows):
            missing = next(row for row in rows if row.seq not in self._moved)
            self._strayed = min(self._strayed, missing.at)

    def over(self, moment: Moment) -> bool:
        """Tell whether the process had gone when something was due, and note it."""
        at, position = moment
        life = self.run.life
        if position != NEVER or self.run.at < self._lives[life]:
            return False
        self.latencies.deaths[life] = min(self.latencies.deaths.get(life, NEVER), at)
        return True

    def goes_beyond(self) -> bool:
        """Tell that the run ends with the record."""
        return False

    def unmet(self, deadline: Deadline) -> bool:
        """Tell whether a deadline passed, on record, and was not met, and note it."""
        if deadline in self.recording.elapsed:
            return False
        self.latencies.unmet.add(deadline)
        return True

    def handing(self) -> Moment | None:
        """Return when the next message was handed to the program."""
        account = self.run.account
        if account is None or self.run.lets_go or not account.intake.lanes.ready:
            return None
        row = self._first_recorded(account.intake.lanes)
        return None if row is None else (max(row.at, self.run.at), row.seq)

    def in_turn(self, lanes: Lanes) -> Iterable[str]:
        """Return the chat of lanes whose turn it was now, if it was one's."""
        row = self._first_recorded(lanes)
        first = None
        if row is not None and row.at <= self.run.at:
            first = self._account().system.instance(row.address).chat
        if lanes.machine == "delivery" and first != next(iter(lanes.ready), None) and not self._probes():
            self._note_skipped(lanes, itertools.takewhile(lambda chat: chat != first, lanes.ready))
        return () if first is None else (first,)

    def pumped(self, unit: Unit) -> None:
        """Note since when whoever left now might have left."""
        if unit.entries:
            first = unit.entries[0]
            key = (first.address, first.decision.snapshot.version - 1)
            self.latencies.turns.update({free: unit.now for free in self._frees if free[0] == key})
            self._frees.clear()
        self._free = None

    def hands(self, lanes: Lanes, chat: str) -> None:
        """Note when a message had its handler."""
        key = self.head_key(lanes, chat)
        if key is not None:
            self.latencies.hands = True
            self.latencies.handings[key, self.since(lanes, chat)] = self.run.at

    def wrote(self, unit: Unit, first: int, *, modelled: bool) -> None:  # noqa: ARG002
        """Note which rows on record these are, and the first that differs."""
        for address, _, source, event, (snapshot, _, _), _, _, _, _, _ in unit.entries:
            row = self.recording.following.get((address, snapshot.version - 1))
            if row is None:
                self._strayed = min(self._strayed, unit.now)
                continue
            seq, at, _, recorded, _, before, after, _, _, _ = row
            self._moved.add(seq)
            if not (  # asking whether events differ asks whether they are equal, and takes twice as long
                at == unit.now and recorded == event and after.state == snapshot.state and before.state == source
            ):
                self._strayed = min(self._strayed, at, unit.now)

    def _turn_at(self, account: Account, free: int) -> Moment | None:
        row = self._first_recorded(account.outbox.lanes)
        if row is None:  # something else comes first on record, or nothing does any more
            return (free, NEVER) if self.run.at >= self._lives[self.run.life] else None
        key = (row.address, row.before.version)
        if self._free is None or self._free[0] != key or free > self.run.at:
            self._free = key, free
        self._frees.add(self._free)
        return max(row.at, self.run.at), row.seq

    def _drained_at(self, tie: Snapshot, row: Row | None, since: int) -> Moment:
        if row is not None and isinstance(row.event, connection.Drained):
            self.latencies.drained[tie.version] = row.at - since
            return row.at, row.seq
        return self.run.at, NEVER

    def _offers_later(self, lanes: Lanes, chat: str, key: Key | None) -> Moment | None:
        if key is not None and lanes.machine == "inbound":
            self.latencies.handings.setdefault((key, self.since(lanes, chat)), None)
        return None

    def _account(self) -> Account:
        assert self.run.account is not None, "lanes belong to an account"
        return self.run.account

    def _first_recorded(self, lanes: Lanes) -> Row | None:
        """Return what comes first on record of those whose turn it could be."""
        rows = self._turns[lanes.machine]
        moved = self._moved
        while rows and rows[-1].seq in moved:
            rows.pop()
        if not rows:
            return None
        row = rows[-1]
        address = row.address
        held = self._account().system.instance(address)
        if held.chat not in lanes.ready or held.snapshot.version != row.before.version:
            return None
        head = lanes.head(held.chat)
        return row if head is not None and head.address == address else None

    def _probes(self) -> bool:
        """Tell whether the next one out probes for the account, so that it may be any."""
        account = self._account()
        return account.system.snapshot(account.outbox.circuit_address).state == "half-open"

    def _note_skipped(self, lanes: Lanes, chats: Iterable[str]) -> None:
        """Note that the driver did not know of these yet."""
        for chat in chats:
            key = self.head_key(lanes, chat)
            row = self.recording.following.get(key) if key is not None else None
            if key is not None and row is not None and isinstance(row.event, delivery.Turn | delivery.Held):
                self.latencies.offers[key] = self.run.at - self.since(lanes, chat)


class Free(Pace):
    """Lets everything take as long as it took on record, for as long as it is the same.

    Args:
        recording: see `Pace`.
        latencies: of a run that followed the record.

    Attributes:
        happened: every transition, in order.
    """

    follows = False

    def __init__(self, recording: Recording, latencies: Latencies) -> None:
        super().__init__(recording, latencies)
        self.happened: list[Happened] = []
        self._delayed: set[Key] = set()
        self._beyond = False

    def begin_life(self) -> None:
        """Take note that another process drives the account."""
        super().begin_life()
        self.dies = self.latencies.deaths.get(self.run.life, NEVER)

    def over(self, moment: Moment) -> bool:
        """Tell whether the process had gone when something was due."""
        at, position = moment
        return at > self.dies or (at == self.dies and position == NEVER)

    def goes_beyond(self) -> bool:
        """Go on after the end of the record, if this is the first time it is asked for."""
        if self._beyond:
            return False
        self._beyond, self.dies = True, NEVER
        return True

    def unmet(self, deadline: Deadline) -> bool:
        """Tell whether a deadline passed, on record, and was not met."""
        return deadline in self.latencies.unmet and not self._beyond

    def handing(self) -> Moment | None:
        """Return when the next message is handed to the program."""
        account = self.run.account
        if account is None or self.run.lets_go or not account.intake.lanes.ready:
            return None
        lanes = account.intake.lanes
        found: Moment | None = None
        for chat in lanes.ready:
            key = self.head_key(lanes, chat)
            at = self._handed_at(lanes, chat, key)
            if at is not None:
                moment = max(self.run.at, at), self._position(key)
                found = moment if found is None else min(found, moment)
        return found

    def in_turn(self, lanes: Lanes) -> Iterable[str]:
        """Return the chats of lanes whose turn it could be now."""
        if lanes.machine == "delivery":
            return lanes.ready
        found = ((chat, self._handed_at(lanes, chat, self.head_key(lanes, chat))) for chat in lanes.ready)
        return [chat for chat, at in found if at is not None and at <= self.run.at]

    def wrote(self, unit: Unit, first: int, *, modelled: bool) -> None:
        """Keep the transitions."""
        now = unit.now
        for seq, (address, _, source, event, decision, cause, _, _, _, _) in enumerate(unit.entries, start=first):
            (state, _, version, _), _, (kind, _, _) = decision
            by = cause if cause > 0 else first - cause - 1 if cause else None
            self.happened.append(
                _new(
                    Happened,
                    (now, address, version, name_of(event), event, source, state, kind, modelled, seq, by),
                )
            )

    def _turn_at(self, account: Account, free: int) -> Moment:
        chat = account.outbox.next_chat(self.run.at)
        key = self.head_key(account.outbox.lanes, chat) if chat is not None else None
        if self._free is None or self._free[0] != key or free > self.run.at:
            self._free = key, free
        return max(self.latencies.turns.get(self._free, free), self.run.at), self._position(key)

    def _drained_at(self, tie: Snapshot, row: Row | None, since: int) -> Moment:
        return since + self.latencies.drained.get(tie.version, 0), row.seq if row is not None else NEVER

    def _offers_later(self, lanes: Lanes, chat: str, key: Key | None) -> Moment | None:  # noqa: ARG002
        if key is None or key not in self.latencies.offers or key in self._delayed:
            return None
        self._delayed.add(key)
        return self.run.at + self.latencies.offers[key], self._position(key)

    def _handed_at(self, lanes: Lanes, chat: str, key: Key | None) -> int | None:
        """Return when the first of a lane finds a handler; None if nobody comes."""
        if key is None or not self.latencies.hands:
            return None
        since = self.since(lanes, chat)
        return self.latencies.handings.get((key, since), since)


def _turns(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the turns on record of the lanes of each machine, the first of them last."""
    kinds = {"delivery": (delivery.Turn, delivery.Held), "inbound": (inbound.Handed,)}
    return {name: [row for row in reversed(rows) if isinstance(row.event, kind)] for name, kind in kinds.items()}


def _lives(rows: list[Row]) -> list[int]:
    """Return when each process that drove the account did its last thing, by number from 1."""
    found = [0]
    for row in rows:
        if isinstance(row.event, connection.Started):
            found.append(row.at)
        else:
            found[-1] = max(found[-1], row.at)
    return found
