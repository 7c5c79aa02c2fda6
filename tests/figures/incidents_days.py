"""Journals for the figures of incidents: days of made-up accounts, written by the machines themselves.

Every instance walks through its own machine's table. Mostly the usual happens; now and then something else that the
state foresees, or that it ignores, so every kind of event is in it, with ids, texts and numbers that differ. No row is
written by hand: each is what the step made of an event, encoded by the writer's own code.
"""

import functools
import random  # noqa: TID251 - what the days are like; nothing of the project is decided by it
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, Union

import attrs

from statecore.events import BUILT_IN, Elapsed, Event, name_of
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES, circuit, connection, delivery, inbound, session, window
from statecore.policies.window import Opening
from statecore.reading import Evidence
from statecore.system import IN_LANES, NO_LANE, Address, Entry, Unit
from statecore.units import DAYS, MILLISECONDS, SECONDS
from statecore_journal.rows import INSERT_EVENT, INSERT_INSTANCE, UPDATE_INSTANCE, Batch, encode
from statecore_journal.schema import connect, prepare

BEGAN: Final = 1_790_000_000 * SECONDS
CHATS: Final = 400
"""Chats of an account."""

TALKS: Final = 200
"""Chats that somebody writes in at the same time."""

TALK_ROWS: Final = 40
"""Rows until somebody else writes instead."""

AT_ONCE: Final = 5_000
"""Rows of a commit; nobody waits for these."""

MIX: Final = {"delivery": 32, "inbound": 22, "window": 20, "session": 12, "connection": 10, "circuit": 4}
"""Of a hundred rows, about how many are of each machine: an answered message is four rows of a delivery, three of a message
that came in, two of a window; and what ties an account to its platform polls or beats meanwhile."""

USUAL: Final[Mapping[tuple[str, str], tuple[type[Event], ...]]] = {
    ("delivery", "new"): (delivery.Accepted,),
    ("delivery", "queued"): (delivery.Turn, delivery.Turn, delivery.Turn, delivery.Held),
    ("delivery", "sending"): (delivery.PartAccepted,) * 9 + (delivery.PartRefused, delivery.NotSent),
    ("delivery", "sending-bare"): (delivery.PartAccepted, delivery.PartRefused),
    ("delivery", "token-stale"): (delivery.Released,),
    ("delivery", "window-closed"): (delivery.Released,),
    ("delivery", "in-review"): (delivery.Reviewed,),
    ("delivery", "dead"): (delivery.Revived,),
    ("inbound", "new"): (inbound.Received,),
    ("inbound", "waiting"): (inbound.Handed,),
    ("inbound", "handling"): (inbound.Handled,) * 9 + (inbound.HandlerFailed,),
    ("inbound", "quarantined"): (inbound.Retried,),
    ("window", "unseen"): (window.Heard,),
    ("window", "open"): (window.Heard, window.Spent, window.Spent),
    ("window", "used-up"): (window.Heard,),
    ("window", "lapsed"): (window.Heard,),
    ("window", "refused"): (window.Heard,),
    ("circuit", "closed"): (circuit.Tripped,),
    ("circuit", "half-open"): (circuit.ProbeSent,),
    ("circuit", "probing"): (circuit.ProbePassed, circuit.ProbeFailed),
    ("connection", "closed"): (connection.Started,),
    ("connection", "dialling"): (connection.Ready, connection.Ready, connection.Lost),
    ("connection", "proving"): (connection.Arrived,),
    ("connection", "connected"): (connection.Waited, connection.Idle, connection.Arrived),
    ("connection", "hanging-up"): (connection.HungUp,),
    ("connection", "draining"): (connection.Drained,),
    ("session", "closed"): (connection.Started,),
    ("session", "authorising"): (session.Authorised,),
    ("session", "looking-up"): (session.Found,),
    ("session", "dialling"): (session.SocketOpened,),
    ("session", "greeting"): (session.Greeted,),
    ("session", "identifying"): (session.Asked,),
    ("session", "resuming"): (session.Asked,),
    ("session", "proving"): (session.Welcomed,),
    ("session", "connected"): (connection.Arrived, session.Noted),
    ("session", "beating"): (session.Acknowledged,),
    ("session", "renewing"): (session.Authorised,),
    ("session", "reauthorising"): (session.Authorised,),
    ("session", "draining"): (connection.Drained,),
    ("session", "hanging-up"): (connection.HungUp,),
}
"""What usually happens to an instance in a state. Where nothing is named, its timer elapses."""

SELDOM: Final = 0.04
"""How often something else happens instead."""

TALK: Final = "the cat sat on a mat and said that rain in spring keeps nobody from hello 好 moon 早上好 train late"
WORDS: Final = TALK.split()


class Walk:
    """Lets things happen to instances, drawn by chance from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = BEGAN
        self.made = 0

    # ---- values ------------------------------------------------------------------------------------------------------

    def event(self, kind: type[Event], chat: str) -> Event:
        """Draw an event of a class."""
        return kind(
            **{name: self.value(kind, name, hint, chat) for name, hint in _hints(kind) if self._is_said(kind, name)}
        )

    def _is_said(self, kind: type[Event], name: str) -> bool:
        required = attrs.fields_dict(kind)[name].default is attrs.NOTHING
        return required or (name not in SETTLED and self.random.random() < 0.3)

    def value(self, kind: type[Event], name: str, hint: Any, chat: str) -> Any:
        """Draw the value of a field, by its type and its name."""
        draw, origin, arguments = self.random, typing.get_origin(hint), typing.get_args(hint)
        if origin is Literal:
            return draw.choice(arguments)
        if origin in (Union, types.UnionType):
            return self.value(kind, name, arguments[0], chat)
        if origin is tuple:
            few = 1 if draw.random() < 0.9 else draw.randint(2, 4)
            return tuple(self.value(kind, name, arguments[0], chat) for _ in range(few))
        if hint is Evidence:
            spent, minutes = draw.randint(1, 10), draw.randint(1, 90)
            return Evidence(spent=spent, allowed=10, size=draw.randint(1, 2000), last_minutes=minutes)
        if hint is Opening:
            return Opening(heard_at=self.now)
        if hint is bool:
            return draw.random() < 0.5
        if hint is float:
            return round(1 + draw.random() * 3, 2)
        if hint is int:
            return self._number(kind, name)
        return self._text(name, chat)

    def _number(self, kind: type[Event], name: str) -> int:
        draw = self.random
        if name == "wait" and kind in (session.Found, session.Greeted) and draw.random() < 0.98:
            return 0
        if name == "expires_at":
            return self.now + draw.randint(1, 40) * SECONDS * 3600
        if name in ("lasts", "resumable", "renew"):
            return 1 * DAYS
        if name in ("wait", "held", "within", "beat", "beat_every", "down", "offline", "slept", "by", "length"):
            return draw.randint(1, 90_000) * MILLISECONDS
        return draw.randint(0, 99)

    def _text(self, name: str, chat: str) -> str:
        draw = self.random
        if name in ("chat", "sender"):
            return chat
        if name in ("parts", "text"):
            return " ".join(draw.choices(WORDS, k=draw.randint(1, 40)))
        if name in ("reason", "error", "action", "reading"):
            return " ".join(draw.choices(WORDS, k=draw.randint(3, 12)))
        if name in ("id", "message", "audit", "trace", "delivery", "key", "reply_to", "boot", "answers", "quotes"):
            return f"{draw.getrandbits(80):020x}"
        return draw.choice(("api", "connect", "inbound", "circuit", "ret=-2", "wss://gateway.example/ws"))

    # ---- steps -------------------------------------------------------------------------------------------------------

    def next(self, machine: Machine, snapshot: Snapshot, chat: str) -> Event:
        """Draw what happens next to an instance."""
        draw, state = self.random, snapshot.state
        if draw.random() < SELDOM:
            kind = draw.choice(_foreseen(machine, state) if draw.random() < 0.8 else _every(machine))
            return self.event(kind, chat)
        due = sorted(machine.deadlines(snapshot))
        usual = USUAL.get((machine.name, state), ())
        if due and (not usual or due[0][0] <= self.now):
            self.now = max(self.now, min(due[0][0], self.now + 60 * SECONDS))
            return Elapsed(due[0][1])
        return self.event(draw.choice(usual or _foreseen(machine, state)), chat)

    def step(self, held: dict[str, Snapshot], address: str, chat: str) -> Entry:
        """Let something happen to an instance."""
        machine = MACHINES[Address.parse(address).machine]
        before = held.get(address) or machine.start()
        self.now += self.random.randint(1, 40) * MILLISECONDS
        event = self.next(machine, before, chat)
        decision = machine.step(before, event, self.now)
        held[address] = after = decision.snapshot
        live = machine.name in IN_LANES and after.state not in NO_LANE
        return Entry(address, machine, before.state, event, decision, 0, chat, 1, live=live, due=machine.due(after))

    def days(self, count: int, accounts: int) -> Iterator[Unit]:
        """Yield units of one row each, of so many accounts together."""
        held: dict[str, Snapshot] = {}
        names, weights = list(MIX), list(MIX.values())
        talks = [self._talk(accounts) for _ in range(TALKS)]
        for _ in range(count):
            number = self.random.randrange(TALKS)
            if self.random.random() < 1 / TALK_ROWS:
                talks[number] = self._talk(accounts)
            talk = talks[number]
            name = self.random.choices(names, weights)[0]
            address = talk.address(name, self.random)
            entry = self.step(held, address, talk.who)
            if name in IN_LANES and held[address].state in (*MACHINES[name].final, "dead", "quarantined"):
                del talk.under_way[name]
                if self.random.random() < 0.9:
                    del held[address]
            yield Unit(talk.account, self.now, [entry])

    def _talk(self, accounts: int) -> "Talk":
        account, chat = self.random.randrange(accounts), self.random.randrange(CHATS)
        return Talk(f"wx{account:02}", f"o9cq80chat{account:02}{chat:03}@im.wechat")


@attrs.define
class Talk:
    """A conversation that is under way.

    Args:
        account: with which account.
        who: the chat.
        under_way: the message of each kind that is not finished yet, by its machine.
    """

    account: str
    who: str
    under_way: dict[str, str] = attrs.field(factory=dict)

    def address(self, name: str, draw: random.Random) -> str:
        """Return the instance of a machine that something happens to next."""
        if name in IN_LANES:
            return self.under_way.setdefault(name, f"{name}/{self.account}/{draw.getrandbits(80):020x}")
        tie = name in ("session", "connection") or (name == "circuit" and draw.random() < 0.2)
        return f"{name}/{self.account}" if tie else f"{name}/{self.account}/{self.who}"


SETTLED: Final = frozenset({"final", "forget", "probe"})
"""Fields that stay at their defaults, because the usual is meant."""


def _hints(kind: type[Event]) -> tuple[tuple[str, Any], ...]:
    if kind not in _HINTS:
        hints = typing.get_type_hints(kind)
        _HINTS[kind] = tuple((field.name, hints[field.name]) for field in attrs.fields(kind))
    return _HINTS[kind]


_HINTS: Final[dict[type[Event], tuple[tuple[str, Any], ...]]] = {}


@functools.cache
def _every(machine: Machine) -> Sequence[type[Event]]:
    return [event for event in (*machine.events, *BUILT_IN) if isinstance(event, type)]


@functools.cache
def _foreseen(machine: Machine, state: str) -> Sequence[type[Event]]:
    names = {
        name_of(event) for row in machine.table if state in row.sources and not row.ignores for event in row.events
    }
    found = [kind for kind in _every(machine) if kind.__name__ in names and kind.__name__ != "StopRequested"]
    return found or _every(machine)


def write(path: Path, count: int, *, accounts: int = 20, seed: int = 1) -> None:
    """Write a journal of so many rows."""
    prepare(path, busy_ns=SECONDS)
    walk = Walk(seed)
    with closing(connect(path, busy_ns=SECONDS)) as db:
        db.execute("pragma synchronous = off")
        batch, first = Batch(1, BEGAN), 1
        for number, unit in enumerate(walk.days(count, accounts), start=1):
            batch.add(encode(unit), 1)
            if number % AT_ONCE == 0 or number == count:
                db.execute("begin")
                db.executemany(INSERT_EVENT, batch.events)
                db.executemany(INSERT_INSTANCE, batch.inserts())
                db.executemany(UPDATE_INSTANCE, batch.updates())
                db.execute("commit")
                first = batch.following
                batch = Batch(first, unit.now)


def multiply(path: Path, copies: int) -> None:
    """Write the history of a journal behind itself again, so often, under accounts of other names.

    Every row and every instance is copied by SQL: positions, times, addresses, and the addresses in the data.
    """
    with closing(connect(path, busy_ns=SECONDS)) as db:
        db.execute("pragma synchronous = off")
        db.execute("pragma cache_size = -200000")
        ((rows, span),) = db.execute("select max(seq), max(at) - min(at) + 1 from events").fetchall()
        for number in range(1, copies + 1):
            values = {"rows": rows * number, "span": span * number, "was": "/wx", "is": f"/wx{number}x", "upto": rows}
            db.execute("begin")
            db.execute(_COPY_EVENTS, values)
            db.execute(_COPY_INSTANCES, values)
            db.execute("commit")


_COPY_EVENTS: Final = """
insert into events
select seq + :rows, at, wall + :span, replace(machine, :was, :is), version, event, source, target, outcome,
       data, guards, cause + :rows, epoch, schema, definition
from events where seq <= :upto order by machine, version
"""
_COPY_INSTANCES: Final = """
insert into instances
select replace(address, :was, :is), machine, substr(replace('/' || account, :was, :is), 2), chat, state, version, entered,
       seq + :rows, ord, live, final, due, at, schema, data
from instances where seq <= :upto order by address
"""
