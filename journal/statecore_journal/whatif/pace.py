"""When things happen in a run that nobody outside decides: turns, handings, deadlines that are met, the end of a drain.

What the surroundings of a gateway add is how long each thing took: the operating system's timers, the disk, the program that
handles messages. `Following` takes these from the record and notes them. `Free` goes by the record too, until something is
different; from then on it lets everything take as long as it took there, for as long as it asks the same, and no time at all
where it asks something else.
"""

from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

import attrs

from statecore.account import Account
from statecore.events import name_of
from statecore.lanes import Lanes
from statecore.machine import Snapshot
from statecore.machines import connection
from statecore.system import Unit
from statecore_journal.whatif.happened import Happened
from statecore_journal.whatif.recording import Key, Recording, Row

NEVER: Final = 2**63 - 1

_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""

Moment = tuple[int, int]
"""(when in ns, its position on record or `NEVER`)."""

Situation = tuple[Key | None, int]
"""Which delivery leaves next, with its version, and from when on it may, in ns."""


@attrs.define
class Latencies:
    """How long things took, as noted by a run that followed the record; in ns.

    Args:
        turns: when a situation ended, with a turn or without one.
        handings: when a handler had a message, by the instance, its version, and when it might have; None for never.
        drained: from when nothing was under way any more until that was noted, by version of the tie.
        deaths: by which life: from when on nothing happened any more, although it was due.
        hands: whether there was anybody who handled messages.
    """

    turns: dict[Situation, int] = attrs.field(factory=dict)
    handings: dict[tuple[Key, int], int | None] = attrs.field(factory=dict)
    drained: dict[int, int] = attrs.field(factory=dict)
    deaths: dict[int, int] = attrs.field(factory=dict)
    hands: bool = False


class Stage(Protocol):
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


class PacedLanes(Lanes):
    """Lanes that are looked at when they were looked at."""

    pace: "Pace"

    def offer(self, chat: str) -> None:
        """Put a chat at the end of those whose turn comes."""
        self.pace.offered(self, chat)
        super().offer(chat)

    def in_turn(self) -> Iterable[str]:
        """Return the chats whose first may have its turn now; by the record, those that had it."""
        return self.pace.in_turn(self)


class Pace:
    """What both paces have in common: how to go by the record.

    Args:
        recording: what came from outside, and when everything happened.
        latencies: how long things took.

    Attributes:
        run: the run it is for.
        by_record: whether all has been as it was on record until now.
    """

    follows: ClassVar[bool]
    run: Stage
    by_record = True

    def __init__(self, recording: Recording, latencies: Latencies) -> None:
        self.recording = recording
        self.latencies = latencies
        self._since: dict[tuple[str, str], int] = {}
        self._situation: Situation | None = None
        self._looks = True  # whether the situation may be another by now
        self._drained_since: int | None = None
        self._moved: set[int] = set()  # positions of the rows that happened again
        self._reached = {"delivery": 0, "inbound": 0}

    @property
    def dies(self) -> int:
        """From when on the process that drives does nothing more, in ns."""
        return NEVER

    def begin_life(self) -> None:
        """Take note that another process drives the account."""
        self._drained_since = None
        self._situate(None)

    # ---- what each pace says -----------------------------------------------------------------------------------------

    def over(self, moment: Moment) -> bool:
        """Tell whether the process had gone when something was due."""
        raise NotImplementedError

    def goes_beyond(self) -> bool:
        """Tell whether the run may go on after the end of the record, from now on."""
        raise NotImplementedError

    def hands(self, lanes: Lanes, chat: str) -> None:
        """Take note that the first of a lane is handed over."""

    def wrote(self, unit: Unit, first: int, *, modelled: bool) -> None:  # noqa: ARG002
        """Take note of transitions.

        Args:
            unit: what is committed.
            first: position of its first entry.
            modelled: whether it rests on an answer that was never recorded.
        """
        self._looks = True

    # ---- turns -------------------------------------------------------------------------------------------------------

    def turn(self) -> Moment | None:
        """Return when the next delivery has its turn."""
        if self._looks:
            self._looks = False
            self._situate(self._look())
        return None if self._situation is None else self._turn_at(self._situation)

    def _look(self) -> Situation | None:
        """Find who may leave next, and from when on. Looked at in between, its bucket would be full a nanosecond sooner."""
        account, now = self.run.account, self.run.at
        free = None if account is None or self.run.lets_go else account.outbox.free_at(now)
        if account is None or free is None:
            return None
        outbox = account.outbox
        chat = outbox.next_chat(now, outbox.lanes.ready)
        key = self.head_key(outbox.lanes, chat) if chat is not None else None
        was = self._situation
        return was if was is not None and was[0] == key and was[1] <= now and free <= now else (key, free)

    def _situate(self, situation: Situation | None) -> None:
        self._situation = situation

    def _turn_at(self, situation: Situation) -> Moment | None:  # noqa: ARG002
        row = self._first_recorded(self._account().outbox.lanes)
        return None if row is None else (max(row.at, self.run.at), row.seq)

    def pumped(self) -> None:
        """Take note that turns were given."""
        self._situate(None)
        self._looks = True

    # ---- messages handed over, and the end of a drain ----------------------------------------------------------------

    def handing(self) -> Moment | None:
        """Return when the next message is handed to the program."""
        account = self.run.account
        if account is None or self.run.lets_go or not account.intake.lanes.ready:
            return None
        return self._handing_at(account.intake.lanes)

    def _handing_at(self, lanes: Lanes) -> Moment | None:
        row = self._first_recorded(lanes)
        return None if row is None else (max(row.at, self.run.at), row.seq)

    def drain(self) -> Moment | None:
        """Return when it is noted that nothing is under way any more, in an account that drains."""
        account = self.run.account
        if account is None:
            return None
        if account.outbox.in_flight or account.intake.handling:
            self._drained_since = None
            return None
        if self._drained_since is None:
            self._drained_since = self.run.at
        tie = account.system.snapshot(account.address)
        row = self.recording.following.get((account.address, tie.version))
        return self._drained_at(tie, row, self._drained_since)

    def _drained_at(self, tie: Snapshot, row: Row | None, since: int) -> Moment:  # noqa: ARG002
        if row is not None and isinstance(row.event, connection.Drained):
            return row.at, row.seq
        return self.run.at, NEVER

    # ---- the record --------------------------------------------------------------------------------------------------

    def in_turn(self, lanes: Lanes) -> Iterable[str]:
        """Return the chats of lanes whose turn it could be now; by the record, the one whose turn it was."""
        row = self._first_recorded(lanes)
        if row is None or row.at > self.run.at:
            return ()
        return (self._account().system.instance(row.address).chat,)

    def offered(self, lanes: Lanes, chat: str) -> None:
        """Take note that a lane's first may have its turn."""
        if chat not in lanes.ready:
            self._since[lanes.machine, chat] = self.run.at

    def head_key(self, lanes: Lanes, chat: str) -> Key | None:
        """Return the first of a lane and its version."""
        head, account = lanes.head(chat), self.run.account
        return (
            None if head is None or account is None else (head.address, account.system.snapshot(head.address).version)
        )

    def since(self, lanes: Lanes, chat: str) -> int:
        """Return from when on the first of a lane might have had its turn."""
        return self._since.get((lanes.machine, chat), self.run.at)

    def _account(self) -> Account:
        assert self.run.account is not None, "lanes belong to an account"
        return self.run.account

    def _first_recorded(self, lanes: Lanes) -> Row | None:
        """Return what comes first on record of those whose turn it could be."""
        rows, reached, moved = self.recording.turns[lanes.machine], self._reached[lanes.machine], self._moved
        while reached < len(rows) and rows[reached].seq in moved:
            reached += 1
        self._reached[lanes.machine] = reached
        if reached == len(rows):
            return None
        row = rows[reached]
        address = row.address
        held = self._account().system.instance(address)
        if held.chat not in lanes.ready or held.snapshot.version != row.before.version:
            return None
        head = lanes.head(held.chat)
        return row if head is not None and head.address == address else None

    def _left_record_at(self, unit: Unit) -> int:
        """Note which rows on record these are; return when the first is another, in ns, or `NEVER`."""
        found = NEVER
        for address, _, source, event, (snapshot, _, _), _, _, _, _, _ in unit.entries:
            row = self.recording.following.get((address, snapshot.version - 1))
            if row is None:
                found = min(found, unit.now)
                continue
            seq, at, _, recorded, _, before, after, _, _, _ = row
            self._moved.add(seq)
            if not (  # asking whether events differ asks whether they are equal, and takes twice as long
                at == unit.now and recorded == event and after.state == snapshot.state and before.state == source
            ):
                found = min(found, at, unit.now)
        return found

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
        self._lives = recording.lives
        self._goes_on: set[Situation] = set()

    @property
    def strayed_at(self) -> int | None:
        """When the run first left the record, in ns; None if it never did."""
        return None if self._strayed == NEVER else self._strayed

    def conclude(self) -> None:
        """Note the first row on record that did not happen; at the end of the run."""
        self.latencies.turns.update(dict.fromkeys(self._goes_on, self.recording.ends))
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

    def hands(self, lanes: Lanes, chat: str) -> None:
        """Note when a message had its handler."""
        key = self.head_key(lanes, chat)
        if key is not None:
            self.latencies.hands = True
            self.latencies.handings[key, self.since(lanes, chat)] = self.run.at

    def offered(self, lanes: Lanes, chat: str) -> None:
        """Note that a message waits for a handler; that nobody came, as long as none does."""
        super().offered(lanes, chat)
        if lanes.machine == "inbound":
            key = self.head_key(lanes, chat)
            if key is not None:
                self.latencies.handings.setdefault((key, self.since(lanes, chat)), None)

    def wrote(self, unit: Unit, first: int, *, modelled: bool) -> None:
        """Note the first row that differs."""
        super().wrote(unit, first, modelled=modelled)
        self._strayed = min(self._strayed, self._left_record_at(unit))

    def _situate(self, situation: Situation | None) -> None:
        """Note when situations end. While the same delivery is next, the time at which it may leave may change."""
        was = self._situation
        if was is not None and (situation is None or situation[0] != was[0]):
            self.latencies.turns.update(dict.fromkeys(self._goes_on, self.run.at))
            self._goes_on.clear()
        if situation is not None:
            self._goes_on.add(situation)
        self._situation = situation

    def _turn_at(self, situation: Situation) -> Moment | None:
        moment, gone = super()._turn_at(situation), self._lives[self.run.life]
        if self.run.at >= gone and (moment is None or moment[0] > gone):
            return situation[1], NEVER  # it was due, and the process had gone
        return moment

    def _drained_at(self, tie: Snapshot, row: Row | None, since: int) -> Moment:
        moment = super()._drained_at(tie, row, since)
        if moment[1] != NEVER:
            self.latencies.drained[tie.version] = moment[0] - since
        return moment


class Free(Pace):
    """Goes by the record for as long as nothing is different; from then on lets everything take as long as it took there.

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
        self._dies = NEVER
        self._beyond = False

    @property
    def dies(self) -> int:
        """From when on the process that drives does nothing more, in ns."""
        return NEVER if self.by_record else self._dies

    def begin_life(self) -> None:
        """Take note that another process drives the account."""
        super().begin_life()
        self._dies = self.latencies.deaths.get(self.run.life, NEVER)

    def over(self, moment: Moment) -> bool:
        """Tell whether the process had gone when something was due."""
        at, position = moment
        if position == NEVER:
            return at >= self._dies
        return at > self.dies

    def goes_beyond(self) -> bool:
        """Go on after the end of the record, if this is the first time it is asked for."""
        if self._beyond:
            return False
        self._beyond, self._dies = True, NEVER
        return True

    def in_turn(self, lanes: Lanes) -> Iterable[str]:
        """Return the chats of lanes whose turn it could be now."""
        if self.by_record:
            return super().in_turn(lanes)
        if lanes.machine == "delivery":
            return lanes.ready
        found = ((chat, self._handed_at(lanes, chat, self.head_key(lanes, chat))) for chat in lanes.ready)
        return [chat for chat, at in found if at is not None and at <= self.run.at]

    def wrote(self, unit: Unit, first: int, *, modelled: bool) -> None:
        """Keep the transitions, and note whether they are those on record."""
        super().wrote(unit, first, modelled=modelled)
        if self.by_record and self._left_record_at(unit) != NEVER:
            self.by_record = False
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

    def _turn_at(self, situation: Situation) -> Moment | None:
        if self.by_record:
            if situation in self.latencies.turns:
                return super()._turn_at(situation)
            self.by_record = False  # other settings let it leave at another time, or another one
        key, free = situation
        return max(self.latencies.turns.get(situation, free), free, self.run.at), self._position(key)

    def _handing_at(self, lanes: Lanes) -> Moment | None:
        if self.by_record:
            return super()._handing_at(lanes)
        found: Moment | None = None
        for chat in lanes.ready:
            key = self.head_key(lanes, chat)
            at = self._handed_at(lanes, chat, key)
            if at is not None:
                moment = max(self.run.at, at), self._position(key)
                found = moment if found is None else min(found, moment)
        return found

    def _drained_at(self, tie: Snapshot, row: Row | None, since: int) -> Moment:
        if self.by_record:
            return super()._drained_at(tie, row, since)
        return since + self.latencies.drained.get(tie.version, 0), row.seq if row is not None else NEVER

    def _handed_at(self, lanes: Lanes, chat: str, key: Key | None) -> int | None:
        """Return when the first of a lane finds a handler; None if nobody comes."""
        if key is None or not self.latencies.hands:
            return None
        since = self.since(lanes, chat)
        return self.latencies.handings.get((key, since), since)
