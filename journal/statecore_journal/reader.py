"""Reading a journal that may be in use, without ever writing to it."""

import json
import sqlite3
import typing
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from statecore import codec
from statecore.errors import CodecError, JournalCorrupt
from statecore.machines import circuit, connection, delivery, session, window
from statecore.machines.delivery import Accepted
from statecore.machines.inbound import Inbound, Received
from statecore.system import Address
from statecore.units import SECONDS
from statecore_journal import moments
from statecore_journal.causes import SetOff
from statecore_journal.fields import read_fields
from statecore_journal.files import read_only, undisturbed
from statecore_journal.problems import RECOVER, translated
from statecore_journal.schema import check

T = TypeVar("T")

SILENT_AFTER: Final = 15 * SECONDS
"""An owner that has not written its heartbeat for this long (three beats) is called silent, and nothing it said last is
repeated as if it were so."""

CHATS_SHOWN: Final = 50
"""Chats that a status explains one by one; the others are counted."""

SHOWN_MAX: Final = 200
"""Characters of a row that cannot be read that are shown."""

CAUSES_PAGE: Final = 10_000
"""Causes read at a time."""

LOG_PAGE: Final = 1000
"""Rows of a log read at a time. Whoever pages through it may take hours, and holds nothing open meanwhile."""


@attrs.frozen(kw_only=True)
class Owner:
    """Who drives an account, as far as the journal knows. Times in ns since 1970."""

    pid: int
    host: str
    boot: str
    epoch: int
    since: int
    beat_age: int
    silent: bool
    says: str


@attrs.frozen(kw_only=True)
class ChatStatus:
    """A chat with messages waiting, explained by the first of them."""

    chat: str
    waiting: int
    first: str
    state: str
    reason: str
    action: str
    until: int | None
    window: str
    spent: int


@attrs.frozen(kw_only=True)
class AccountStatus:
    """One account, as a fold of the journal.

    Args:
        name: of the account.
        connected: whether the platform accepts it; None if nobody can know, because its owner is silent or gone.
        state: of its connection.
        since: when that last changed, on the gateway's clock.
        reason: why.
        action: what a person must do, if anything.
        until: when the connection moves by itself, on the gateway's clock.
        owner: who drives it.
        circuit: state of the account's own circuit.
        circuit_reason: why it is not closed.
        circuit_until: when the next probe may leave.
        deliveries: how many are in each state.
        messages: how many of those that came in are in each state.
        chats: those with messages waiting, explained; at most `CHATS_SHOWN`.
        chats_waiting: how many there are in all.
        commands: how many commands nobody has carried out.
        trouble: what the process that was asked says of itself, if it drives it.
    """

    name: str
    connected: bool | None
    state: str
    since: int
    reason: str
    action: str
    until: int | None
    owner: Owner | None
    circuit: str
    circuit_reason: str
    circuit_until: int | None
    deliveries: Mapping[str, int]
    messages: Mapping[str, int]
    chats: tuple[ChatStatus, ...]
    chats_waiting: int
    commands: int
    trouble: str = ""


@attrs.frozen(kw_only=True)
class Status:
    """A journal, as it stands.

    Args:
        path: of the file.
        events: how many events there have been; the older ones may be pruned.
        now: the gateway's clock, in ns.
        accounts: in the order of their names.
        unreadable: what of it could not be read, a sentence each; the rest is as it stands.
    """

    path: str
    events: int
    now: int
    accounts: tuple[AccountStatus, ...]
    unreadable: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class LogRow:
    """One row of `events`."""

    seq: int
    at: int
    wall: int
    machine: str
    version: int
    event: str
    source: str
    target: str
    outcome: str | None
    data: str
    guards: str | None
    cause: int | None
    epoch: int

    @property
    def fields(self) -> dict[str, Any]:
        """Return the event's fields; those at their defaults are left out. What cannot be read stands as it is."""
        found = read_fields(self.data)
        return found if found is not None else {"unreadable": self.data[:SHOWN_MAX]}


@attrs.frozen(kw_only=True)
class Letter:
    """A dead delivery, or a message that was set aside; and what of it could not be read, in a sentence."""

    address: str
    account: str
    chat: str
    state: str
    at: int
    reason: str
    action: str
    attempts: int
    sent: int
    parts: int
    text: str
    unreadable: str = ""


_OWNER: Final = "pid, host, boot, epoch, since, beat, status"
_TIES: Final[Mapping[str, type[Any]]] = {"connection": connection.Connection, "session": session.Session}


@attrs.frozen
class _Facts:
    """What a status is made of, by account; see `Reader._facts`."""

    ties: Mapping[str, tuple[str, int, Any]]
    circuits: Mapping[str, tuple[str, Any]]
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    chats: Mapping[str, Sequence[tuple[str, int, str]]]
    owners: Mapping[str, Sequence[Any]]
    commands: Mapping[str, int]


def _owner(row: Sequence[Any] | None, wall: int) -> Owner | None:
    if row is None:
        return None
    pid, host, boot, epoch, since, beat, says = row
    age = wall - beat
    return Owner(
        pid=pid,
        host=host,
        boot=boot,
        epoch=epoch,
        since=since,
        beat_age=age,
        silent=says != "stopped" and age > SILENT_AFTER,
        says=says,
    )


class Reader:
    """Reads one journal; made by `open_reader`.

    It has the file open only while it answers, so it may be kept for as long as one likes: it sees what is new, and never
    keeps the writer from starting its log anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._unreadable: list[str] = []

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Look at the journal as it is at one moment, through a connection that cannot write.

        Raises:
            Disturbed: what was seen means nothing, because somebody began to use the file; see `undisturbed`.
        """
        if self._connection is not None:
            yield self._connection
            return
        with translated(self.path), read_only(self.path) as opened:
            opened.execute("begin")
            self._connection = opened
            try:
                yield opened
            finally:
                self._connection = None

    @undisturbed
    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that are the answer to one question.

        Args:
            sql: the question.
            values: for its question marks.
        """
        with self.reading() as opened:
            return opened.execute(sql, values).fetchall()

    def _accounts(self) -> list[str]:
        """Return the names of the accounts that have instances, at the cost of one look into the index for each."""
        return [name for (name,) in self.ask(ACCOUNTS)]

    # ---- status ------------------------------------------------------------------------------------------------------

    @undisturbed
    def status(self, wall: int, troubles: Mapping[str, str] | None = None) -> Status:
        """Fold the journal into where everything is.

        Args:
            wall: the wall clock now, in ns since 1970.
            troubles: what the asking process says of itself, by account.
        """
        self._unreadable = []
        with self.reading():
            newest = self.ask("select seq, at, wall from events order by seq desc limit 1")
            events, at, written = newest[0] if newest else (0, wall, wall)
            names = {
                *self._accounts(),
                *(name for (name,) in self.ask("select account from leases")),
                *(name for (name,) in self.ask("select distinct account from commands where done is null")),
                *(troubles or {}),
            }
            facts = self._facts()
            found = tuple(self._account(facts, name, wall, (troubles or {}).get(name, "")) for name in sorted(names))
        return Status(
            path=str(self.path),
            events=events,
            now=at + max(0, wall - written),
            accounts=found,
            unreadable=tuple(self._unreadable),
        )

    def _facts(self) -> "_Facts":
        """Read what is needed of all accounts at once: one question each, however many accounts there are."""
        ties: dict[str, tuple[str, int, Any]] = {}
        for machine, kind in _TIES.items():
            for account, _, *row in self._instances(machine):
                ties[account] = (row[0], row[1], self._read(f"{machine}/{account}", row[2], kind, row[3]))
        circuits: dict[str, tuple[str, Any]] = {}
        for account, chat, state, _, data, schema in self._instances("circuit"):
            if not chat:
                circuits[account] = (state, self._read(f"circuit/{account}", data, circuit.Circuit, schema))
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for account, machine, state, count in self.ask(
            "select account, machine, state, count(*) from instances where machine in ('delivery', 'inbound')"
            " group by account, machine, state"
        ):
            counts.setdefault(account, {}).setdefault(machine, {})[state] = count
        chats: dict[str, list[tuple[str, int, str]]] = {}
        for account, chat, waiting, _, address in self.ask(
            "select account, chat, count(*), min(ord), address from instances where machine = 'delivery' and live = 1"
            " group by account, chat order by count(*) desc"
        ):
            chats.setdefault(account, []).append((chat, waiting, address))
        owners = {name: rest for name, *rest in self.ask(f"select account, {_OWNER} from leases")}  # noqa: S608 - a constant
        commands = dict(self.ask("select account, count(*) from commands where done is null group by account"))
        return _Facts(ties, circuits, counts, chats, owners, commands)

    def _instances(self, machine: str) -> list[tuple[Any, ...]]:
        """Return (account, chat, state, at, data, schema) of the instances of a machine of which an account has few."""
        return self.ask(
            "select account, chat, state, at, data, schema from instances where address > ? and address < ?",
            f"{machine}/",
            f"{machine}0",  # the character that follows the slash
        )

    def _account(self, facts: "_Facts", name: str, wall: int, trouble: str) -> AccountStatus:
        owner = _owner(facts.owners.get(name), wall)
        state, at, tie = facts.ties.get(name, ("closed", 0, connection.Connection()))
        shut, own = facts.circuits.get(name, ("closed", circuit.Circuit()))
        counts, chats = facts.counts.get(name, {}), facts.chats.get(name, [])
        deadlines = [due for due in (tie.retry_at, tie.probe_at, tie.drain_until) if due is not None]
        return AccountStatus(
            name=name,
            connected=self._connected(state, owner),
            state=state,
            since=at,
            reason=tie.reason,
            action=tie.action,
            until=min(deadlines, default=None),
            owner=owner,
            circuit=shut,
            circuit_reason=own.reason,
            circuit_until=own.probe_at,
            deliveries=counts.get("delivery", {}),
            messages=counts.get("inbound", {}),
            chats=tuple(self._chat(name, *row) for row in chats[:CHATS_SHOWN]),
            chats_waiting=len(chats),
            commands=facts.commands.get(name, 0),
            trouble=trouble,
        )

    def _connected(self, state: str, owner: Owner | None) -> bool | None:
        if owner is None or state == "closed" or owner.says == "stopped":
            return False
        return None if owner.silent else state in (*session.UP, "resting")

    def owner(self, name: str, wall: int) -> Owner | None:
        """Return who drives an account, as far as the journal knows, or None if nobody ever has."""
        rows = self.ask(f"select {_OWNER} from leases where account = ?", name)  # noqa: S608 - a constant
        return _owner(rows[0] if rows else None, wall)

    def _instance(self, address: str, kind: type[Any]) -> tuple[str | None, int, Any]:
        rows = self.ask("select state, at, data, schema from instances where address = ?", address)
        if not rows:
            return None, 0, kind()
        state, at, data, schema = rows[0]
        return state, at, self._read(address, data, kind, schema)

    def _read(self, what: str, text: str, kind: type[T], schema: int) -> T:
        """Read a value. If that is impossible, note why and go on without: the rest of the journal is worth seeing."""
        try:
            return codec.loads(text, kind, schema=schema)
        except CodecError as error:
            self._unreadable.append(f"{what} cannot be read: {error}")
            return kind()

    def _chat(self, account: str, chat: str, waiting: int, address: str) -> ChatStatus:
        state, _, first = self._instance(address, delivery.Delivery)
        allowed, _, held = self._instance(f"window/{account}/{chat}", window.Window)
        deadlines = [due for due in (first.until, first.retry_at, first.resend_at, first.next_at) if due is not None]
        return ChatStatus(
            chat=chat,
            waiting=waiting,
            first=address,
            state=state or "?",
            reason=first.reason,
            action=first.action,
            until=min(deadlines, default=None),
            window=allowed or "unseen",
            spent=held.spent,
        )

    # ---- log ---------------------------------------------------------------------------------------------------------

    def log(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        last: int | None = None,
        machine: str | None = None,
        account: str | None = None,
        chat: str | None = None,
        event: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        cause: int | None = None,
    ) -> Iterator[LogRow]:
        """Yield rows in their order.

        Args:
            after: only rows behind this position.
            until: only rows up to this position.
            last: only the last so many of those that fit.
            machine: only instances whose address begins with this: "delivery", "connection/wx".
            account: only this account.
            chat: only instances of this chat.
            event: only this event.
            state: only rows that leave or enter this state.
            outcome: only rows with this: "moved", "stayed", "ignored", "refused".
            cause: only what the row at this position set off, directly or through others.
        """
        after = max(after, cause or 0)
        chosen = (machine, account, chat, event, state, outcome)
        rows = self._pages(*self._span(chosen, after, until, last if cause is None else None))
        if cause is not None:
            rows = SetOff(self, cause).among(rows)
            rows = rows if last is None else iter(deque(rows, maxlen=last))
        yield from rows

    @undisturbed
    def _span(
        self, chosen: tuple[str | None, ...], after: int, until: int | None, last: int | None
    ) -> tuple[str, list[Any], int, int]:
        """Return a condition and its values, and behind which position and up to which its rows are, at one moment."""
        with self.reading():
            scope, wanted, values = self._filter(*chosen)
            where = f"{scope} where {wanted} and seq > ? and seq <= ?"
            end = self.last() if until is None else min(self.last(), until)
            if last is not None:
                first = f"select min(seq) from (select seq from {where} order by seq desc limit ?)"  # noqa: S608
                ((begin,),) = self.ask(first, *values, after, end, last)
                after = end if begin is None else begin - 1
        return where, values, after, end

    def _pages(self, where: str, values: list[Any], after: int, end: int) -> Iterator[LogRow]:
        columns = ", ".join(_LOG_COLUMNS)
        sql = f"select {columns} from {where} order by seq limit ?"  # noqa: S608 - every value is bound
        while page := self._page(sql, *values, after, end):
            yield from map(_log_row, page)
            after = page[-1][0]

    def _page(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read some rows; one, if there is damage among those that follow, so that all before it are seen."""
        try:
            page = self.ask(sql, *values, LOG_PAGE)
        except JournalCorrupt:
            page = self.ask(sql, *values, 1)
        after = values[-2]
        if not page:
            return page
        sound = next((index for index, row in enumerate(page) if not _is_sound(row)), len(page))
        if not sound or page[sound - 1][0] <= after:
            raise JournalCorrupt(f"{self.path} is damaged: row {page[0][0]}, behind row {after}, is none. {RECOVER}")
        return page[:sound]

    def row(self, seq: int) -> LogRow | None:
        """Return the row at a position, or None if there is none."""
        columns = ", ".join(_LOG_COLUMNS)
        rows = self.ask(f"select {columns} from events where seq = ?", seq)  # noqa: S608 - a constant
        return _log_row(rows[0]) if rows else None

    def last(self) -> int:
        """Return the position of the last row; 0 if there is none."""
        ((found,),) = self.ask("select coalesce(max(seq), 0) from events")
        return int(found)

    def oldest(self) -> int:
        """Return the position of the first row; 0 if there is none."""
        ((found,),) = self.ask("select coalesce(min(seq), 0) from events")
        return int(found)

    def causes(self, after: int, end: int) -> list[tuple[int, int]]:
        """Return (position, position of the cause) of a page of rows that were caused by others, in their order."""
        caused = "select seq, cause from events where seq > ? and seq <= ? and cause is not null order by seq limit ?"
        return self.ask(caused, after, end, CAUSES_PAGE)

    @undisturbed
    def since(self, moment: moments.Moment) -> int:
        """Return the position of the first row from a moment on."""
        with self.reading() as opened:
            return moments.since(opened, moment)

    @undisturbed
    def until(self, moment: moments.Moment) -> int:
        """Return the position of the last row up to a moment."""
        with self.reading() as opened:
            return moments.until(opened, moment)

    def _filter(
        self,
        machine: str | None,
        account: str | None,
        chat: str | None,
        event: str | None,
        state: str | None,
        outcome: str | None,
    ) -> tuple[str, str, list[Any]]:
        """Return what to read from, conditions, and the values for them."""
        whose, bound, narrow = instances_of(machine, account)
        conditions: list[tuple[str, tuple[Any, ...]]] = [(whose, bound)]
        if chat is not None:
            addresses = [address for (address,) in self.ask("select address from instances where chat = ?", chat)]
            conditions.append(("machine in (select value from json_each(?))", (json.dumps(addresses),)))
        if event is not None:
            conditions.append(("event = ?", (event,)))
        if state is not None:
            conditions.append(("(source = ? or target = ?)", (state, state)))
        if outcome is not None:
            how = "outcome is null" if outcome == "moved" else "(outcome = ? or outcome glob ?)"
            conditions.append((how, () if outcome == "moved" else (outcome, f"{_glob(outcome)}:*")))
        values = [value for _, several in conditions for value in several]
        # of many instances, the rows would have to be put in order again for every page
        return "events" if narrow else "events not indexed", " and ".join(sql for sql, _ in conditions), values

    # ---- dead letters ------------------------------------------------------------------------------------------------

    @undisturbed
    def dead(self, account: str | None = None) -> list[Letter]:
        """Return the deliveries that died and the messages that were set aside, oldest first."""
        with self.reading():
            rows = [
                row
                for name in (self._accounts() if account is None else [account])
                for machine, state in (("delivery", "dead"), ("inbound", "quarantined"))
                for row in self.ask(
                    "select seq, address from instances where account = ? and machine = ? and state = ?",
                    name,
                    machine,
                    state,
                )
            ]
            return [letter for _, address in sorted(rows) if (letter := self.letter(address)) is not None]

    @undisturbed
    def letter(self, address: str) -> Letter | None:
        """Return one delivery or message with its text, or None if there is none. What was pruned has no text any more."""
        machine = Address.parse(address).machine
        if machine not in ("delivery", "inbound"):
            return None
        with self.reading():
            rows = self.ask("select account, chat, state, at, data, schema from instances where address = ?", address)
            begun = self.ask("select data, schema from events where machine = ? and version = 1", address)
        if not rows:
            return None
        account, chat, state, at, text, schema = rows[0]
        common = {"address": address, "account": account, "chat": chat, "state": state, "at": at}
        self._unreadable = []
        if machine == "inbound":
            message = self._read(address, text, Inbound, schema)
            received = self._begun(address, begun, Received)
            return Letter(
                **common, reason=message.reason, action=message.action, attempts=message.attempts, sent=0, parts=1,
                text="".join(event.text for event in received), unreadable="; ".join(self._unreadable),
            )  # fmt: skip
        data = self._read(address, text, delivery.Delivery, schema)
        accepted = self._begun(address, begun, Accepted)
        return Letter(
            **common, reason=data.reason, action=data.action, attempts=data.attempts + data.unknowns + data.interruptions,
            sent=data.part, parts=data.parts, text="".join(part for event in accepted for part in event.parts),
            unreadable="; ".join(self._unreadable),
        )  # fmt: skip

    def _begun(self, address: str, rows: Sequence[tuple[Any, ...]], kind: type[T]) -> list[T]:
        """Read the event that an instance began with."""
        try:
            return [codec.loads(data, kind, schema=schema) for data, schema in rows]
        except CodecError as error:
            self._unreadable.append(f"the first event of {address} cannot be read: {error}")
            return []

    def has_chat(self, account: str, chat: str) -> bool:
        """Tell whether anything of an account belongs to a chat."""
        return bool(self.ask("select 1 from instances where account = ? and chat = ? limit 1", account, chat))

    def command_result(self, number: int) -> str | None:
        """Return what came of a command, or None while nobody has carried it out."""
        rows = self.ask("select done from commands where id = ?", number)
        return rows[0][0] if rows else None

    @undisturbed
    def find(self, id_: str) -> list[str]:
        """Return the addresses of deliveries and messages whose id is, or begins with, *id_*."""
        if "/" in id_:
            return [id_] if self.letter(id_) is not None else []
        with self.reading():
            return [
                address
                for machine in ("delivery", "inbound")
                for account in self._accounts()
                for begin in (f"{machine}/{account}/{id_}",)
                for (address,) in self.ask(
                    "select address from instances where address >= ? and address < ?", begin, begin + _LAST_CHARACTER
                )
            ]


ACCOUNTS: Final = """
with recursive names (name) as (
    select min(account) from instances
    union all
    select (select min(account) from instances where account > name) from names where name is not null
)
select name from names where name is not null
"""
_LOG_COLUMNS: Final = tuple(field.name for field in attrs.fields(LogRow))
_LOG_KINDS: Final = tuple(typing.get_args(kind) or kind for kind in typing.get_type_hints(LogRow).values())
_LAST_CHARACTER: Final = "\U0010ffff"
_KEYED: Final = 2
"""Slashes in an address that has a key, as those of deliveries and messages have."""


def _is_sound(row: Sequence[Any]) -> bool:
    """Tell whether the columns of a row hold what they are for; in a damaged file they may hold anything."""
    return all(map(isinstance, row, _LOG_KINDS))


def instances_of(machine: str | None, account: str | None) -> tuple[str, tuple[Any, ...], bool]:
    """Return which instances are meant, as a condition of SQL on `machine`, its values, and whether they are few.

    Args:
        machine: those whose address is this, or begins with it: "delivery", "connection/wx".
        account: those of this account.
    """
    conditions, values = ["1"], []
    if machine is not None:
        conditions.append("(machine = ? or machine glob ?)")
        values += [machine, _glob(machine) + "/*"]
    if account is not None:
        conditions.append("(machine glob ? or machine glob ?)")
        values += [f"*/{_glob(account)}", f"*/{_glob(account)}/*"]
    return " and ".join(conditions), tuple(values), machine is not None and machine.count("/") >= _KEYED


def _log_row(row: Sequence[Any]) -> LogRow:
    return LogRow(**dict(zip(_LOG_COLUMNS, row, strict=True)))


def _glob(text: str) -> str:
    """Escape what `glob` would read as a pattern."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


@contextmanager
def open_reader(path: str | Path) -> Iterator[Reader]:
    """Open a journal for reading. The file is not changed, and a gateway may be writing it.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    file = Path(path)
    check(file)
    yield Reader(file)
