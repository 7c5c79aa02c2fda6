"""What came to an account from outside, read from its journal. Pure but for the reading.

Every row is either something from outside (a message asked for, an answer of the platform, a start, an operator), or follows
from what came before. Here the first are told from the second, and answers are turned back into what the adapter returned,
so that the same machines can be run on them again.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import attrs

from statecore.errors import CodecError, JournalCorrupt, StatecoreError
from statecore.events import Broken, Elapsed, Event, Governed, Late, Outcome
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES, circuit, connection, delivery, inbound
from statecore.system import NO_LANE, Address
from statecore_journal.fold import CHECKPOINTS, Replay
from statecore_journal.reader import instances_of
from statecore_journal.whatif.answers import Answers

ENDED_WITH_PROCESS: Final = ("the process ended while it was handled", "the process stopped while it was handled")
"""What `statecore.account` says of handlers that did not end themselves."""


class Row(NamedTuple):
    """One row of the journal, decoded.

    Args:
        seq: its position.
        at: when it was decided, in ns.
        address: of the instance.
        event: what happened.
        name: of the event.
        before: where the instance was.
        after: where it is then.
        outcome: see the column.
        data: the event as it is written.
        cause: position of the row that caused it, or None.
    """

    seq: int
    at: int
    address: str
    event: Event
    name: str
    before: Snapshot
    after: Snapshot
    outcome: str | None
    data: str
    cause: int | None


Key = tuple[str, int]
"""An instance and a version of it: at which it was, or at which it asked for an attempt."""

Deadline = tuple[str, int]
"""An instance and when it is due, in ns."""


class Answer(NamedTuple):
    """What came of an attempt.

    Args:
        at: when it was taken in, in ns.
        seq: position of its row.
        asked: when it was asked for, in ns.
        effect: what was asked for.
        state: in which state.
        result: what came of it: a value of `statecore.platform`, or how a handler ended.
        held: how long it took, if the row says so, in ns.
    """

    at: int
    seq: int
    asked: int
    effect: Any
    state: str
    result: Any
    held: int | None


class Outside(NamedTuple):
    """Something from outside that answers nothing.

    Args:
        at: when, in ns.
        seq: position of its row.
        address: of the instance it happened to.
        event: what happened.
    """

    at: int
    seq: int
    address: str
    event: Event


@attrs.define
class Recording:
    """An account's journal, sorted.

    Args:
        account: its name.
        machine: of its tie to the platform.
        initial: instances as they were before the first start that is recorded: (snapshot, seq, chat, order).
        firsts: first events of those, with when.
        rows: everything from that start on.
        outside: what came from outside, in order.
        answers: what came of attempts.
        handled: how handlers ended, by the attempt.
        asked: when attempts were asked for, in ns.
        left: when the states that awaited them were left, in ns.
        elapsed: when timers were met, and position of the row.
        following: what happened next to an instance, by its version.
        lives: when each process that drove the account did its last thing, in ns; by number, from 1.
        turns: the turns of those that wait in lanes, by their machine, in order.
        waiting: how many deliveries are in their lanes when the journal ends.
        last_start: position of the last start.
        ends: when the journal ends, in ns.
        parted: when this code first moves an instance elsewhere than is recorded, in ns; None if it never does.
    """

    account: str
    machine: str = "connection"
    initial: dict[str, tuple[Snapshot, int, str, int]] = attrs.field(factory=dict)
    firsts: dict[str, tuple[int, Event]] = attrs.field(factory=dict)
    rows: list[Row] = attrs.field(factory=list)
    outside: list[Outside] = attrs.field(factory=list)
    answers: dict[Key, Answer] = attrs.field(factory=dict)
    handled: dict[Key, Answer] = attrs.field(factory=dict)
    asked: dict[Key, int] = attrs.field(factory=dict)
    left: dict[Key, int] = attrs.field(factory=dict)
    elapsed: dict[Deadline, tuple[int, int]] = attrs.field(factory=dict)
    following: dict[Key, Row] = attrs.field(factory=dict)
    lives: list[int] = attrs.field(factory=lambda: [0])
    turns: dict[str, list[Row]] = attrs.field(factory=lambda: {"delivery": [], "inbound": []})
    waiting: int = 0
    last_start: int = 0
    ends: int = 0
    parted: int | None = None

    @property
    def tie(self) -> str:
        """Address of the account's tie to its platform."""
        return f"{self.machine}/{self.account}"


_COLUMNS: Final = "seq, at, machine, version, event, source, target, outcome, data, schema, cause"
_CHATS: Final = "select address, chat, ord from instances where account = ?"


def accounts(connection_: sqlite3.Connection) -> list[str]:
    """Return the accounts of a journal that were ever started."""
    rows = connection_.execute("select distinct machine from events where event = 'Started'")
    return sorted(Address.parse(address).account for (address,) in rows)


def read(source: sqlite3.Connection, account: str, machines: Mapping[str, Machine] = MACHINES) -> Recording:
    """Read what is recorded of an account.

    Raises:
        CodecError: a row does not fit this code.
        JournalCorrupt: rows are missing, or their times cannot be.
    """
    recording = Recording(account)
    replays = {name: Replay(machine) for name, machine in machines.items()}
    snapshots: dict[str, Snapshot] = {}
    seqs: dict[str, int] = {}
    for address, snapshot, seq in _checkpoints(source, account, replays):
        snapshots[address], seqs[address] = snapshot, seq
    started = False
    answers = Answers()
    asked, left = recording.asked, recording.left
    places = {address: (chat, order) for address, chat, order in source.execute(_CHATS, (account,))}
    for row in _rows(source, recording, replays, snapshots):
        seq, at, address, event, _, before, after, _, _, _ = row
        kind = type(event)
        if kind is connection.Started:
            recording.last_start = seq
            recording.lives.append(at)
        if kind is connection.Started and not started:
            started = True
            recording.machine = Address.parse(address).machine
            recording.initial = {
                held: (snapshot, seqs[held], *places.get(held, ("", 0)))
                for held, snapshot in snapshots.items()
                if held != address or before.version
            }
            recording.initial |= {address: (before, seqs.get(address, 0), "", 0)} if before.version else {}
        if before.version == 0 and not started:
            recording.firsts[address] = (at, event)
        seqs[address] = seq
        if after.entered == after.version:
            asked[(address, after.version)] = at
            left[(address, before.entered)] = at
        if started:
            recording.rows.append(row)
            recording.lives[-1] = at
            recording.following[(address, before.version)] = row
            if kind in TURNS:
                recording.turns[TURNS[kind]].append(row)
            answers.note(row)
    if started:
        _sort(recording, answers, replays)
        recording.ends = recording.rows[-1].at
        lanes = (held for address, held in snapshots.items() if address.startswith("delivery/"))
        recording.waiting = sum(held.state not in NO_LANE for held in lanes)
    return recording


def _checkpoints(
    source: sqlite3.Connection, account: str, replays: Mapping[str, Replay]
) -> Iterator[tuple[str, Snapshot, int]]:
    condition, values, _ = instances_of(None, account)
    whose = condition.replace("machine", "address")
    for row in source.execute(f"{CHECKPOINTS} where {whose}", values):
        replay = replays.get(Address.parse(row[0]).machine)
        if replay is not None:
            yield row[0], *replay.start(row)


def _rows(
    source: sqlite3.Connection, recording: Recording, replays: Mapping[str, Replay], snapshots: dict[str, Snapshot]
) -> Iterator[Row]:
    condition, values, _ = instances_of(None, recording.account)
    sql = f"select {_COLUMNS} from events not indexed where {condition} order by seq"  # noqa: S608 - values are bound
    pruned = {address: snapshot.version for address, snapshot in snapshots.items()}
    found: dict[str, Replay | None] = {}
    clock = 0
    for seq, at, address, version, name, was, then, outcome, data, schema, cause in source.execute(sql, values):
        try:
            replay = found[address]
        except KeyError:
            replay = found[address] = replays.get(address.partition("/")[0])
        if replay is None or (pruned and version <= pruned.get(address, 0) > 0):
            continue  # the checkpoint holds it
        before = snapshots.get(address) or replay.machine.start()
        if version != before.version + 1 or at < clock:
            raise _unfit(seq, at, address, version, before.version, clock)
        clock = at
        if outcome is not None and outcome.startswith("refused") and replay.kind(name) is None:
            snapshots[address] = before._replace(version=version)  # it was no event of the machine then either
            continue
        try:
            reading = replay.reading(name, schema)
            event = reading.known.get(data) or reading.read(data)
            after = snapshots[address] = replay.machine.move(before, event, at)[0]
        except StatecoreError as error:
            raise CodecError(f"row {seq}: {error}. `statecore verify` says what to do") from error
        if (was, then) != (before.state, after.state):
            _part(recording, replay.machine, seq, at, was, then)
        yield _new(Row, (seq, at, address, event, name, before, after, outcome, data, cause))


_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""


def _unfit(seq: int, at: int, address: str, version: int, before: int, clock: int) -> JournalCorrupt:
    """Say why a row does not follow those before it."""
    if version != before + 1:
        return JournalCorrupt(
            f"row {seq}: version {version} of {address} follows version {before}; rows are missing, so the account cannot be "
            "run again. Restore a copy of the file, or run what is whole: see statecore export --since"
        )
    return JournalCorrupt(
        f"row {seq}: it is from before the row before it ({at} ns after {clock} ns), so the account cannot be run again. "
        "Restore a copy of the file"
    )


def _part(recording: Recording, machine: Machine, seq: int, at: int, *states: str) -> None:
    """Note that a row leads elsewhere in this code."""
    for state in states:
        if state not in machine.states:
            raise CodecError(
                f"row {seq}: it is recorded in state {state!r}, which {machine.name} does not have in this code; use the "
                "code that wrote the journal"
            )
    if recording.parted is None:
        recording.parted = at


def _sort(recording: Recording, answers: "Answers", replays: Mapping[str, Replay]) -> None:
    """Tell what came from outside."""
    asked = recording.asked
    for row in recording.rows:
        event = row.event
        if not isinstance(event, SORTED):
            continue
        machine = row.address.partition("/")[0]
        key = (row.address, row.before.entered)
        match event:
            case Elapsed():
                due = getattr(row.before.data, event.timer, None)
                if due is not None:
                    recording.elapsed.setdefault((row.address, due), (row.at, row.seq))
            case Late():
                key = (row.address, event.of)
                recording.answers.setdefault(key, _answer(row, key, asked, None, "", answers.late(event)))
            case Broken(how="interrupted" | "drained"):
                pass
            case Outcome():
                effect = replays[machine].machine.attempt(row.before)
                result = answers.result(row)
                recording.answers[key] = _answer(row, key, asked, effect and effect.effect, row.before.state, result)
            case inbound.Handled() | inbound.HandlerFailed():
                error = getattr(event, "error", None)
                if error not in ENDED_WITH_PROCESS:
                    recording.handled[key] = _answer(row, key, asked, None, row.before.state, error)
            case circuit.Reset() if row.cause is not None:
                pass  # the account's, which follows from `Resumed`
            case circuit.Reset(by="operator") | Governed():
                recording.outside.append(Outside(row.at, row.seq, row.address, event))
            case _ if isinstance(event, OUTSIDE):
                recording.outside.append(Outside(row.at, row.seq, row.address, event))


OUTSIDE: Final = (
    connection.Started, connection.StopRequested, connection.CredentialsChanged, connection.Resumed, connection.ClockStepped,
    connection.Woke, delivery.Accepted, delivery.Revived, delivery.Purged, inbound.Retried, inbound.Discarded,
)  # fmt: skip

SORTED: Final = (
    Outcome, delivery.Accepted, Elapsed, inbound.Handled, inbound.HandlerFailed, Late, circuit.Reset, Governed, *OUTSIDE,
)  # fmt: skip
"""All that `_sort` looks at, the most frequent first; half of the rows is something else."""


TURNS: Final = {delivery.Turn: "delivery", delivery.Held: "delivery", inbound.Handed: "inbound"}
"""Events of those whose turn has come, with their machine."""


def _answer(row: Row, key: Key, asked: Mapping[Key, int], effect: Any, state: str, result: Any) -> Answer:
    held = getattr(row.event, "held", None)
    return _new(Answer, (row.at, row.seq, asked.get(key, row.at), effect, state, result, held))
