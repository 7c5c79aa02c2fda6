"""One decision of an account, taken by the production code on an account that is put where a model says. Pure.

The model composes instances, and does not compose code: whose turn it is, what an answer means for everyone concerned, what
a new process does with what it finds, is decided by `statecore.account` and what stands under it. Here an account is set up
as the model has it, one thing happens to it, and the instances are read back.

Chats hardly concern each other. So one chat is set up in full, of the others only what a decision about this one may touch
(`View`). What a decision looked at is noted, so that it can be remembered for everything else being different.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from statecore.account import Account, Command
from statecore.events import Elapsed
from statecore.evidence import Recent
from statecore.exploration.abstraction import CURRENT, Place, abstract, told_apart
from statecore.exploration.moments import LONG_AGO, NOW
from statecore.exploration.scene import NAME, Act, Scene
from statecore.lanes import Head, Lanes
from statecore.machine import Snapshot
from statecore.machines import connection, delivery
from statecore.machines.delivery import SENDING, SendPart
from statecore.platform import Address as Gateway
from statecore.platform import (
    Batch,
    BeatAck,
    BeatWanted,
    Dialled,
    Empty,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Message,
    Note,
    Pending,
    Refusal,
    Review,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
    Welcome,
)
from statecore.system import LAST, NO_LANE, Address, Entry, Instance, Unit
from statecore.units import MILLISECONDS, MINUTES, SECONDS

T = TypeVar("T")

SOCKET: Final = {
    "token": Token(changed=True, lasts=30 * MINUTES),
    "same token": Token(changed=False, lasts=30 * MINUTES),
    "gateway address": Gateway(url="wss://model"),
    "socket": SocketOpen(),
    "hello": Hello(beat_every=40 * SECONDS),
    "sent": FrameSent(),
    "resumed": Welcome(resumed=True),
    "welcome": Welcome(resumed=False),
    "note": Note(what="a frame that asks for nothing"),
    "beat acknowledged": BeatAck(),
    "beat wanted": BeatWanted(),
    "invalid": Invalid(resumable=True),
    "invalid for good": Invalid(resumable=False),
    "ended": Ended(code="eof", error="closed", then="resume"),
    "ended for good": Ended(code="4009", error="closed", then="identify"),
    "ended by token": Ended(code="4004", error="closed", then="token"),
    "stopped": Ended(code="4914", error="banned", then="stop", action="see to it"),
}
"""What may come of an attempt of a session, beyond what may come of any."""

TIE: Final = {
    "accepted": Dialled(proved=True),
    "reached": Dialled(proved=False),
    "other credentials": Dialled(proved=True, fresh=True),
    "nothing came": Empty(),
    "silence": Empty(silent=True),
    "lost": Failure(stage="connect", error="no route"),
    "refused for now": Failure(stage="answer", error="try later", reachable=True),
    "not the platform": Failure(stage="tls", error="another certificate", action="see to it"),
    "unauthorised": Unauthorised(code="-14", message="no", action="log in again"),
    "hung up": "",
    **SOCKET,
}
"""What may come of an attempt of the tie."""


class Core(NamedTuple):
    """A chat, as an account has it.

    Args:
        window: of the chat.
        circuit: of the chat.
        ready: whether it stands among the chats whose turn may come.
        order: indices of the messages in the order of their places.
        deliveries: by index; None for those that were not accepted yet.
    """

    window: Place
    circuit: Place
    ready: bool
    order: tuple[int, ...]
    deliveries: tuple[Place | None, ...]

    def head(self) -> int:
        """Return the index of the first message that is in the lane, or -1."""
        return next((index for index in self.order if not _over(self.deliveries[index])), -1)


def _over(place: Place | None) -> bool:
    return place is None or place.state in NO_LANE


class View(NamedTuple):
    """What a decision about one chat may touch of another: its circuit, the first of its lane, and whether it is ready."""

    circuit: Place
    ready: bool
    head: int
    first: Place | None


class Decision(NamedTuple):
    """What a decision led to.

    Args:
        tie: the connection or session.
        account: the account's circuit.
        core: the chat that was set up in full.
        views: of the other chats, by index, where they changed.
        asked: (chat, message, attempt) of what is to leave.
        probes: (chat, message, whose probe it is) of those that had their turn.
        wrong: what must not be, as the name of a property; or empty.
        entries: the rows.
        wide: whether it looked at other chats.
        of_tie: whether it looked at the tie; if not, *tie* is anybody's.
        of_account: the same of the account's circuit.
        own: whether it looked at the chat that was set up in full.
    """

    tie: Place
    account: Place
    core: Core
    views: Mapping[int, View]
    asked: tuple[tuple[int, int, SendPart], ...]
    probes: tuple[tuple[int, int, str], ...]
    wrong: str
    entries: tuple[Entry, ...]
    wide: bool
    of_tie: bool
    of_account: bool
    own: bool


JOURNAL_FIRST: Final = "a request leaves only from a state that asks for it, once (G1)"
EXPLAINED: Final = "what is dead, or waits for a person, says why and what to do (G3, G8)"
ORDER: Final = "messages of a chat leave in the order in which they were accepted (G5)"
ONE_PROBE: Final = "nothing leaves past a circuit that is open, and one probe through one that is half-open (G7)"
NOT_FORGOTTEN: Final = "what may have its turn is known to wait for it, and what is under way is known to be (G3)"


def chat_name(chat: int) -> str:
    """Return the id of a chat."""
    return f"c{chat}"


def delivery_address(chat: int, index: int) -> str:
    """Return the address of a message."""
    return f"delivery/{NAME}/{chat}-{index}"


def delivery_at(address: str) -> tuple[int, int]:
    """Return chat and index of a message by its address."""
    chat, _, index = Address.parse(address).key.partition("-")
    return int(chat), int(index)


class Clock:
    """The time of an account that is set up: it stands still, unless somebody moves it."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        """Return the time, in ns."""
        return self.at


class _Store:
    """What the account reads from its journal: the messages that are set up, and nothing else."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.cores: dict[int, Core] = {}

    def load(self, address: str) -> None:
        machine, _, key = Address.parse(address)
        assert machine == "inbound" or (machine == "circuit" and not key), f"{address} is looked at and was not set up"

    def due(self, _account: str, _after: int, _most: int | None) -> tuple[list[tuple[int, str]], int | None]:
        return [], None

    def heads(self, _account: str, machine: str) -> list[tuple[str, Head]]:
        if machine != "delivery":
            return []
        return [
            (chat_name(chat), found) for chat in sorted(self.cores) if (found := self._following(chat, -1)) is not None
        ]

    def following(self, _account: str, _machine: str, chat: str, after: int) -> Head | None:
        return self._following(int(chat[1:]), after)

    def _following(self, chat: int, after: int) -> Head | None:
        core = self.cores[chat]
        for order, index in enumerate(core.order):
            place = core.deliveries[index]
            if order > after and place is not None and place.state not in NO_LANE:
                return Head(delivery_address(chat, index), order, place.state)
        return None

    def in_states(self, _account: str, machine: str, states: Sequence[str]) -> list[str]:
        found = []
        for chat, core in sorted(self.cores.items()):
            places = enumerate(core.deliveries)
            if machine == "delivery":
                found += [
                    delivery_address(chat, index) for index, at in places if at is not None and at.state in states
                ]
            elif machine == "window" and core.window.state in states:
                found.append(f"window/{NAME}/{chat_name(chat)}")
        return found

    def recently_received(self, _account: str, _since: int) -> list[Any]:
        return []

    def first_event(self, address: str, _kind: type[T]) -> T:
        event: Any = accepted(self._scene, *delivery_at(address))
        return event  # type: ignore[no-any-return]


def accepted(scene: Scene, chat: int, index: int, now: int = NOW) -> delivery.Accepted:
    """Return the event with which a message is taken on."""
    parts = tuple(f"part {part}" for part in range(scene.parts_of(chat, index)))
    expires = now + 60 * SECONDS if (chat, index) in scene.expiring else None
    return delivery.Accepted(chat=chat_name(chat), parts=parts, expires_at=expires)


class _Watched(Instance):
    """An instance that notes that it was looked at."""

    __slots__ = ("held", "seen")
    seen: set[str]
    held: Snapshot

    @property
    def snapshot(self) -> Snapshot:
        self.seen.add("looked")
        return self.held

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot) -> None:
        self.held = snapshot


def _instance(machine: Any, place: Place, seen: set[str], *, chat: str = "", order: int = 0) -> Instance:
    held = _Watched.__new__(_Watched)
    held.seen = seen
    held.__init__(machine, place.snapshot(), 1, chat, order)  # type: ignore[misc]
    return held


class _Lanes(Lanes):
    """Lanes that note which chats were looked at."""

    seen: dict[str, set[str]]

    def head(self, chat: str) -> Head | None:
        """Return the first of a lane."""
        self.seen[chat].add("looked")
        return super().head(chat)

    def chats(self) -> list[str]:
        """Return the chats that have something waiting."""
        for seen in self.seen.values():
            seen.add("looked")
        return super().chats()


class Oracle(Recent):
    """A memory of what the platform lately did that says what the model tries.

    Args:
        others: the other chats that are said to have been refused, or to have had no answer.
    """

    def __init__(self, others: tuple[str, ...]) -> None:
        super().__init__()
        self._others = others

    def others_refused(self, chat: str, since: int) -> tuple[str, ...]:  # noqa: ARG002
        """Return the other chats that are said to have been refused."""
        return tuple(other for other in self._others if other != chat)

    def lost(self, chat: str, now: int, within: int) -> int:  # noqa: ARG002
        """Count the chats that are said to have had no answer."""
        return len({chat, *self._others})


class Bench:
    """Takes decisions for a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.tie_machine = scene.machines[scene.platform.tie]
        self.tie_address = f"{scene.platform.tie}/{NAME}"
        self.account_address = f"circuit/{NAME}"
        self._first_cores: dict[int, Core] = {}

    # ---- where it begins ---------------------------------------------------------------------------------------------

    def first_tie(self) -> Place:
        """Return the tie before anything has happened."""
        return self.place(self.tie_machine.name, self.tie_machine.start())

    def first_circuit(self) -> Place:
        """Return a circuit before anything has happened."""
        return self.place("circuit", self.scene.machines["circuit"].start())

    def first_core(self, chat: int) -> Core:
        """Return a chat before anything has happened."""
        known = self._first_cores.get(chat)
        if known is None:
            window = self.place("window", self.scene.machines["window"].start())
            nothing = (None,) * self.scene.deliveries[chat]
            known = self._first_cores[chat] = Core(window, self.first_circuit(), False, (), nothing)
        return known

    def place(self, machine: str, snapshot: Snapshot) -> Place:
        """Take the times out of an instance."""
        return abstract(self.scene.machines[machine], snapshot, self.scene.policies)

    @staticmethod
    def view(core: Core) -> View:
        """Return what decisions about other chats may touch of a chat."""
        head = core.head()
        return View(core.circuit, core.ready, head, core.deliveries[head] if head >= 0 else None)

    @staticmethod
    def seen_in(core: Core, before: View) -> View:
        """Return what became of what is seen of a chat."""
        return View(core.circuit, core.ready, before.head, core.deliveries[before.head] if before.head >= 0 else None)

    # ---- taking a decision -------------------------------------------------------------------------------------------

    def decide(
        self, act: Act, tie: Place, account: Place, chat: int, core: Core, views: Mapping[int, View]
    ) -> Decision | None:
        """Let something happen to an account.

        Args:
            act: what happens.
            tie: the connection or session.
            account: the account's circuit.
            chat: index of the chat that is set up in full.
            core: that chat.
            views: of the others, by index.

        Returns:
            What that led to, or None if it cannot happen there.
        """
        stage = _Stage(self, tie, account, {chat: core, **{j: self.core_of(j, view) for j, view in views.items()}})
        unit = perform(stage.made, act, self.scene, core)
        if unit is None:
            return None
        if act.kind == "accept":
            adopt(stage.made, unit, 1000)
        else:
            stage.made.committed(unit, 1000)
        return stage.read(unit, chat, views, whole=act.chat)

    def core_of(self, chat: int, view: View) -> Core:
        """Set a chat up of which only the view is known."""
        core = self.first_core(chat)
        if view.head < 0:
            return core._replace(circuit=view.circuit, ready=view.ready)
        places = tuple(view.first if index == view.head else None for index in range(len(core.deliveries)))
        return core._replace(circuit=view.circuit, ready=view.ready, order=(view.head,), deliveries=places)


class _Stage:
    """An account that is set up."""

    def __init__(self, bench: Bench, tie: Place, account: Place, cores: dict[int, Core]) -> None:
        self._bench = bench
        scene = bench.scene
        machines = scene.machines
        store: Any = _Store(scene)
        store.cores = cores
        clock: Any = Clock()
        self.made: Account = scene.account(NAME, scene.platform, scene.policies, store, clock)
        outbox = self.made.outbox
        self.cores = cores
        self._tie, self._account = tie, account
        self._of_tie: set[str] = set()
        self._of_account: set[str] = set()
        self.seen: dict[str, set[str]] = {chat_name(chat): set() for chat in range(len(scene.deliveries))}
        outbox.lanes = _Lanes(NAME, "delivery", store, self.made.system.state_in_lane)
        outbox.lanes.seen = self.seen
        outbox.begin(LONG_AGO)
        hold = self.made.system.hold
        hold(bench.tie_address, _instance(bench.tie_machine, tie, self._of_tie))
        hold(bench.account_address, _instance(machines["circuit"], account, self._of_account))
        for chat, core in cores.items():
            name, seen = chat_name(chat), self.seen[chat_name(chat)]
            hold(outbox.circuit_of(name), _instance(machines["circuit"], core.circuit, seen, chat=name))
            hold(outbox.window_of(name), _instance(machines["window"], core.window, seen, chat=name))
            for index, place in enumerate(core.deliveries):
                if place is None:
                    continue
                order = core.order.index(index) if index in core.order else 0
                address = delivery_address(chat, index)
                hold(address, _instance(machines["delivery"], place, seen, chat=name, order=order))
                if place.state in SENDING:
                    outbox.in_flight[address] = None
                if place.data.audits:
                    outbox.await_reviews([address])
                if place.state not in NO_LANE:
                    outbox.lanes.add(name, address, order, place.state)
            if core.ready:
                outbox.lanes.offer(name)
        self._of_tie.clear()
        self._of_account.clear()
        for seen in self.seen.values():
            seen.clear()

    def read(self, unit: Unit, chat: int, views: Mapping[int, View], *, whole: int) -> Decision:
        """Read back where everything is."""
        bench, outbox = self._bench, self.made.outbox
        wide = any(seen for name, seen in self.seen.items() if name != chat_name(chat))
        last: dict[str, Snapshot] = {entry.address: entry.decision.snapshot for entry in unit.entries}
        tie = self._at(last, bench.tie_address, self._tie)
        account = self._at(last, bench.account_address, self._account)
        cores = {index: self._core(last, index, core, unit, whole) for index, core in self.cores.items()}
        changed = {j: now for j, view in views.items() if (now := bench.seen_in(cores[j], view)) != view}
        asked = tuple(
            (*delivery_at(request.address), request.attempt.effect)
            for request in unit.requests
            if isinstance(request.attempt.effect, SendPart)
        )
        probes = tuple(
            (*delivery_at(entry.address), entry.event.probe)
            for entry in unit.entries
            if isinstance(entry.event, delivery.Turn) and entry.decision.outcome.kind == "moved"
        )
        wrong = _wrong(unit, cores, outbox)
        return Decision(
            tie,
            account,
            cores[chat],
            changed,
            asked,
            probes,
            wrong,
            tuple(unit.entries),
            wide or bool(changed),
            bool(self._of_tie),
            bool(self._of_account),
            bool(self.seen[chat_name(chat)]),
        )

    def _at(self, last: Mapping[str, Snapshot], address: str, before: Place | None) -> Place:
        """Return where an instance is now, which is where it was unless the unit moved it."""
        snapshot = last.get(address)
        if snapshot is None:
            assert before is not None, "nobody looks for what is not there"
            return before
        return self._bench.place(Address.parse(address).machine, snapshot)

    def _core(self, last: Mapping[str, Snapshot], chat: int, before: Core, unit: Unit, whole: int) -> Core:
        outbox, name = self.made.outbox, chat_name(chat)
        window_address = outbox.window_of(name)
        token = (last.get(window_address) or self.made.system.snapshot(window_address)).data.token
        if chat != whole:
            token = CURRENT  # its window is not known, and what its messages know of it is told apart already
        window = self._at(last, window_address, before.window)
        order = list(before.order)
        places = list(before.deliveries)
        for entry in unit.entries:
            if entry.machine.name == "delivery" and entry.chat == name:
                _, index = delivery_at(entry.address)
                places[index] = self._at(last, entry.address, None)
                if entry.order == LAST:
                    order = [*(one for one in order if one != index), index]
        told = tuple(None if place is None else told_apart(window, place, token) for place in places)
        ready = name in outbox.lanes.ready
        return Core(window, self._at(last, outbox.circuit_of(name), before.circuit), ready, tuple(order), told)


# ---- what happens, to any account ------------------------------------------------------------------------------------


def perform(  # noqa: PLR0912 - a case for each kind of act
    account: Account, act: Act, scene: Scene, core: Core | None = None
) -> Unit | None:
    """Let something happen to an account, as its driver would.

    Args:
        account: whatever holds its instances.
        act: what happens.
        scene: what it is part of.
        core: the chat concerned, where the account is a model's.

    Returns:
        The unit, which is to be committed; or None if it cannot happen now.
    """
    name = chat_name(act.chat) if act.chat >= 0 else ""
    address = delivery_address(act.chat, act.delivery) if act.delivery >= 0 else ""
    match act.kind:
        case "accept":
            return _accept(account, act, scene, address)
        case "turn":
            return _turn(account, name)
        case "answer":
            return _answer(account, address, act, scene)
        case "elapse":
            return elapse(account, address, act.how)
        case "elapse-window":
            return elapse(account, account.outbox.window_of(name), "closes_at")
        case "elapse-circuit":
            return elapse(account, account.outbox.circuit_of(name), act.how)
        case "elapse-account":
            return elapse(account, account.outbox.circuit_address, act.how)
        case "elapse-tie":
            return elapse(account, account.address, act.how)
        case "tie":
            return _came_of(account, account.address, TIE[act.how])
        case "write":
            return _came_of(account, account.address, _written(account, name, core))
        case "review":
            audit, _, passed = act.how.partition(" ")
            result = Review(audit=audit, passed=passed == "passed", message="m")
            return _came_of(account, account.address, result)
        case "drained":
            unit = account.system.begin(_now(account))
            account.drained(unit)
            return unit if unit.entries else None
        case "start":
            return account.start(connection.Started(boot="b", pid=1, host="h", epoch=1))
        case "happen" if act.how == "stop":
            return account.stop("signal", 5 * SECONDS)
        case "happen":
            event = {"woke": connection.Woke(slept=SECONDS, wait=SECONDS), "resumed": connection.Resumed()}.get(
                act.how, connection.CredentialsChanged()
            )
            return account.happened(event)
        case "revive" | "purge":
            kind = "retry" if act.kind == "revive" else "purge"
            return account.command(Command(id=1, kind=kind, target=address))
        case "reset":
            return account.command(Command(id=1, kind="resume", target=name))
    raise AssertionError(f"{act.kind} does not happen to accounts")


def _now(account: Account) -> int:
    return account._chance.now()  # noqa: SLF001 - the account's own clock, and nothing else tells it


def _accept(account: Account, act: Act, scene: Scene, address: str) -> Unit:
    now = _now(account)
    key = Address.parse(address).key
    unit = account.outbox.take_on(key, accepted(scene, act.chat, act.delivery, now), now)
    return _redone(unit, scene)


def _redone(unit: Unit, scene: Scene) -> Unit:
    """Have the machine of the scene take a message on, where that is not the shipped one."""
    machine = scene.machines["delivery"]
    (entry,) = unit.entries
    if entry.machine is not machine:
        decision = machine.step(machine.start(), entry.event, unit.now)
        unit.entries[0] = entry._replace(machine=machine, decision=decision, due=machine.due(decision.snapshot))
    return unit


def adopt(account: Account, unit: Unit, first: int) -> None:
    """Let an account know of a message that was taken on, now that it is in the journal."""
    (entry,) = unit.entries
    held = Instance(entry.machine, entry.decision.snapshot, first, entry.chat, first)
    account.system.hold(entry.address, held)
    account.outbox.adopt(unit, first)


def _turn(account: Account, name: str) -> Unit | None:
    """Let one chat have its turn, if it is one that the outbox would choose."""
    outbox, now = account.outbox, _now(account)
    ready = list(outbox.lanes.ready)
    at = outbox.free_at(now)
    if name not in ready or at is None or at > now:
        return None
    others = [one for one in ready if one != name]
    known = outbox._recent  # noqa: SLF001 - what the platform lately did is the model's to say
    chosen = False
    for memory in (known, Oracle(tuple(others))):
        outbox._recent = memory  # noqa: SLF001
        outbox.lanes.ready = OrderedDict.fromkeys([name, *others])
        chosen = chosen or outbox.next_chat(now, outbox.lanes.in_turn()) == name
    outbox._recent = known  # noqa: SLF001
    outbox.lanes.ready = OrderedDict.fromkeys([name])
    unit = account.system.begin(now)
    if chosen:
        outbox.pump(unit)
    for other in others:
        outbox.lanes.offer(other)
    return unit if chosen else None


def _answer(account: Account, address: str, act: Act, scene: Scene) -> Unit:
    how, _, evidence = act.how.partition(" with ")
    kind, _, then = how.partition(" as ")
    result: Any = {
        "taken": Taken(message="m"),
        "pending": Pending(audit=f"r{act.chat}{act.delivery}"),
        "unsent": Unsent(stage="connect", error="no route"),
        "lost": Unclear(error="no answer"),
        "late": Unclear(error="no answer in time"),
        "refused": Refusal(code=then, message="no"),
    }[kind]
    others = tuple(chat_name(other) for other in range(len(scene.deliveries)) if other != act.chat)
    known = account.outbox._recent  # noqa: SLF001 - what the platform lately did is the model's to say
    account.outbox._recent = Oracle(others if evidence else ())  # noqa: SLF001
    unit = _came_of(account, address, result)
    account.outbox._recent = known  # noqa: SLF001
    return unit


def _came_of(account: Account, address: str, result: Any) -> Unit:
    instance = account.system.instance(address)
    return account.came_of(address, instance.snapshot.entered, result, cause=instance.seq, began=_now(account))


def elapse(account: Account, address: str, timer: str) -> Unit | None:
    """Let one timer elapse, whichever is due."""
    unit = account.system.begin(_now(account))
    instance = account.system.instance(address)
    account.system.feed(unit, address, Elapsed(timer), cause=instance.seq)
    account._moved(unit, address)  # noqa: SLF001 - as `elapse` does for those that are due
    return unit


def _written(account: Account, name: str, core: Core | None) -> Batch:
    """Make a message of a user. In a model its id is one that nothing refers to any more."""
    now = _now(account)
    id_ = f"m{name}{now}"
    if core is not None:
        used = {opening.message for opening in core.window.data.openings}
        used |= {place.data.answers for place in core.deliveries if place is not None}
        id_ = next(f"m{number}" for number in range(100) if f"m{number}" not in used)
    message = Message(chat=name, sender=name, id=id_, text=id_, sent_at=now // MILLISECONDS, token="t")  # noqa: S106
    return Batch(messages=(message,))


# ---- what must not be ------------------------------------------------------------------------------------------------


def _wrong(unit: Unit, cores: Mapping[int, Core], outbox: Any) -> str:
    """Return which promise a unit breaks, or nothing."""
    for entry in unit.entries:
        if entry.machine.name == "delivery":
            after = entry.decision.snapshot
            if after.state == "dead" and entry.source != "dead" and not (after.data.reason and after.data.action):
                return EXPLAINED
            if after.state == "window-closed" and entry.source != after.state and not after.data.reason:
                return EXPLAINED
        elif entry.machine.name in ("connection", "session"):
            after = entry.decision.snapshot
            if after.state == "token-stale" and entry.source != after.state and not after.data.action:
                return EXPLAINED
    for chat, core in cores.items():
        for index, place in enumerate(core.deliveries):
            under_way = delivery_address(chat, index) in outbox.in_flight
            if place is not None and under_way != (place.state in SENDING):
                return NOT_FORGOTTEN
        head = core.head()
        first = core.deliveries[head] if head >= 0 else None
        if first is not None and first.state == "queued" and not core.ready:
            return NOT_FORGOTTEN
    return ""
