"""The journal against a model of it: a few dictionaries that do by hand what it promises.

Hypothesis plays processes that append, conflict, take each other's lease, crash and prune, in every order it can think of,
and looks after every step whether file and model agree. A failure is printed as a program that shows it.
"""

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from statecore import codec
from statecore.errors import Conflict, Fenced
from statecore.events import Event
from statecore.machine import Machine, Signal, Snapshot, on
from statecore.system import Unit
from statecore.units import HOURS
from statecore_journal import Journal, diverges, open_journal, open_reader, prune, schema, writer
from statecore_journal.retention import YOUNGEST
from statecore_journal.writer import Existing
from tests.journal.desk import LAMPS, START, Clock, Hand, Lamp, Looked, Pressed, Smashed, pressed, rows

T = TypeVar("T")

bell = Machine(  # it goes on for ever
    "bell",
    remembers=Lamp,
    initial="still",
    table=[on("still", Pressed, "ringing", pressed), on("ringing", Pressed, "still", pressed)],
    awaits={"still": Signal(Pressed), "ringing": Signal(Pressed)},
)
MACHINES = {**LAMPS, "bell": bell}
ACCOUNT = "wx"
DEDUP = 10 * HOURS

lamps = st.sampled_from([f"lamp/wx/{n}" for n in range(4)])
anything = st.tuples(lamps, st.sampled_from([Pressed(), Pressed(note="n"), Looked(), Smashed()])) | st.tuples(
    st.sampled_from(["bell/wx", "bell/wx/0"]), st.builds(Pressed, note=st.sampled_from(["", "dong"]))
)


class Process:
    """A process that has the journal open: its own trio, its own connections, its own memory of every instance."""

    def __init__(self, path: Path) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main, path), daemon=True)
        self._thread.start()
        self._ready.wait()
        self.epoch = 0

    async def _main(self, path: Path) -> None:
        async with open_journal(path, wall=Clock()) as self.journal:
            self._token = trio.lowlevel.current_trio_token()
            self._end = trio.Event()
            self.hand = Hand(self.journal, machines=MACHINES)
            self._ready.set()
            await self._end.wait()

    def do(self, act: Callable[[Journal], Awaitable[T]]) -> T:
        """Let it do something, and wait for what comes of it."""

        async def inside() -> T:
            return await act(self.journal)

        return trio.from_thread.run(inside, trio_token=self._token)

    def end(self) -> None:
        """Let it end in order."""
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join()


@attrs.define
class Kept:
    """What the model knows of an instance: where it is, when it last changed, and the place of its last event."""

    snapshot: Snapshot
    at: int
    seq: int


class JournalModel(RuleBasedStateMachine):
    """See above."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module in (schema, writer):
            self.patch.setattr(module, "connect", quick(schema.connect))
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "gateway.db"
        self.instances: dict[str, Kept] = {}
        self.keys: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.seq = 0
        self.epoch = 0
        self.now = START
        self.processes: list[Process] = []

    @initialize()
    def begin(self) -> None:
        """Start the first process."""
        self.processes = [Process(self.path)]

    def teardown(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.end()
        self.patch.undo()
        shutil.rmtree(self.folder)

    # ---- what happens ------------------------------------------------------------------------------------------------

    def decide(self, process: Process, happenings: list[tuple[str, Event]]) -> Unit:
        """Let a process decide on what it holds in memory."""
        self.now += 1_000_000_000
        process.hand.now = self.now

        async def inside(_: Journal) -> Unit:
            return process.hand.unit(*happenings)

        return process.do(inside)

    def expected(self, process: Process, unit: Unit) -> type[Exception] | None:
        """Return the error that an append must end with."""
        if process.epoch != self.epoch:
            return Fenced
        at: dict[str, int] = {address: kept.snapshot.version for address, kept in self.instances.items()}
        for entry in unit.entries:
            if entry.decision.snapshot.version != at.get(entry.address, 0) + 1:
                return Conflict
            at[entry.address] = entry.decision.snapshot.version
        return None

    def append(self, process: Process, unit: Unit) -> None:
        """Append, and do the same to the model if that is how it must end."""
        expected = self.expected(process, unit)
        known = self.keys.get(unit.key) if unit.key else None
        if known is not None and expected is not Fenced:
            assert process.do(lambda journal: journal.append([unit])) == [Existing(known)]
            self.forget_what_was_decided(process, unit)
            return
        if expected is not None:
            with pytest.raises(expected):
                process.do(lambda journal: journal.append([unit]))
            self.forget_what_was_decided(process, unit)
            return
        assert process.do(lambda journal: journal.append([unit])) == [self.seq + 1]
        process.hand.system.committed(unit, self.seq + 1)
        for entry in unit.entries:
            self.seq += 1
            self.instances[entry.address] = Kept(entry.decision.snapshot, unit.now, self.seq)
        if unit.key:
            self.keys[unit.key] = unit.entries[0].address
        if unit.forget:
            self.secrets.clear()
        for name, value in unit.secrets.items():
            if value is None:
                self.secrets.pop(name, None)
            else:
                self.secrets[name] = value

    def forget_what_was_decided(self, process: Process, unit: Unit) -> None:
        """Start again from the journal, as an account does whose append was refused."""
        for entry in unit.entries:
            process.hand.system.forget(entry.address)

    @rule(
        which=st.integers(0, 2),
        happenings=st.lists(anything, min_size=1, max_size=4),
        secrets=st.dictionaries(st.sampled_from("ab"), st.sampled_from([None, "s1", "s2"]), max_size=2),
        forget=st.booleans(),
    )
    def happen(
        self, which: int, happenings: list[tuple[str, Event]], secrets: dict[str, str | None], forget: bool
    ) -> None:
        """A process appends a unit, on what it remembers of instances that another may have moved since."""
        process = self.processes[which % len(self.processes)]
        unit = self.decide(process, happenings)
        unit.secrets, unit.forget = secrets, forget
        self.append(process, unit)

    @rule(which=st.integers(0, 2), key=st.sampled_from(["k1", "k2"]), address=lamps)
    def happen_once(self, which: int, key: str, address: str) -> None:
        """A process appends under a key."""
        process = self.processes[which % len(self.processes)]
        unit = self.decide(process, [(address, Pressed())])
        unit.key = key
        self.append(process, unit)

    @rule(which=st.integers(0, 2), address=lamps)
    def happen_at_once(self, which: int, address: str) -> None:
        """Ten tasks of a process append at the same moment; one of them a second time what another has."""
        process = self.processes[which % len(self.processes)]
        units = [self.decide(process, [(f"lamp/wx/many {n}", Looked())]) for n in range(5)]
        stale = self.decide(process, [(address, Pressed())])
        expected = [self.expected(process, unit) for unit in (*units, stale)]
        results: dict[int, Any] = {}

        async def append(journal: Journal, index: int, unit: Unit) -> None:
            try:
                (results[index],) = await journal.append([unit])
            except (Conflict, Fenced) as error:
                results[index] = error

        async def inside(journal: Journal) -> None:
            async with trio.open_nursery() as nursery:
                for index, unit in enumerate((*units, stale, stale)):
                    nursery.start_soon(append, journal, index, unit)

        process.do(inside)
        for index, unit in enumerate((*units, stale)):
            found = results[index]
            if index == len(units) and isinstance(found, Conflict) and expected[index] is None:
                found = results[index + 1]  # of the two that are the same, the other one was first
            assert type(found) is (expected[index] or int)
            if isinstance(found, int):
                process.hand.system.committed(unit, found)
                (entry,) = unit.entries
                self.instances[entry.address] = Kept(entry.decision.snapshot, unit.now, found)
                self.seq = max(self.seq, found)
            else:
                self.forget_what_was_decided(process, unit)
        assert sum(isinstance(results[index], int) for index in (5, 6)) == (expected[5] is None)

    # ---- processes ---------------------------------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: len(self.processes) < 3)
    def start(self) -> None:
        """Another process opens the journal."""
        self.processes.append(Process(self.path))

    @rule(which=st.integers(0, 2))
    def take(self, which: int) -> None:
        """A process takes the account from whoever has it."""
        process = self.processes[which % len(self.processes)]
        self.epoch += 1
        assert process.do(lambda journal: journal.take(ACCOUNT, "boot", 1, "host"))[0] == self.epoch
        process.epoch = self.epoch

    @rule()
    @precondition(lambda self: len(self.processes) > 1)
    def stop(self) -> None:
        """A process ends in order."""
        self.processes.pop(0).end()

    @rule(index=st.booleans())
    def crash(self, index: bool) -> None:
        """All processes are killed at this moment; what is in the files then is opened again."""
        image = Path(tempfile.mkdtemp())
        for file in self.folder.iterdir():
            if index or not file.name.endswith("-shm"):
                shutil.copyfile(file, image / file.name)
        for process in self.processes:
            process.end()
        shutil.rmtree(self.folder)
        self.folder, self.path = image, image / "gateway.db"
        self.processes = [Process(self.path)]
        self.epoch += 1
        self.processes[0].epoch = self.epoch
        assert self.processes[0].do(lambda journal: journal.take(ACCOUNT, "boot", 1, "host"))[0] == self.epoch

    # ---- time --------------------------------------------------------------------------------------------------------

    @rule(hours=st.integers(1, 12))
    def wait(self, hours: int) -> None:
        """Hours pass."""
        self.now += hours * HOURS

    @rule(hours=st.integers(0, 14), by_size=st.booleans())
    def prune(self, hours: int, by_size: bool) -> None:
        """The journal is pruned beneath whoever has it open."""
        older_than = hours * HOURS
        summary = prune(
            self.path,
            now=self.now,
            older_than=older_than,
            max_bytes=0 if by_size else None,
            dedup=DEDUP,
            machines=MACHINES,
        )
        age = YOUNGEST if by_size and summary.age == YOUNGEST else max(older_than, YOUNGEST)
        latest = max((kept.at for kept in self.instances.values()), default=0)
        cutoff = max(self.now, latest) - age
        known = max(self.now, latest) - max(age, DEDUP)
        for address, kept in list(self.instances.items()):
            keyed = address in self.keys.values()
            if (
                kept.snapshot.state != "broken"
                or kept.at >= cutoff
                or kept.seq == self.seq
                or (keyed and kept.at >= known)
            ):
                continue
            del self.instances[address]
            self.keys = {key: holder for key, holder in self.keys.items() if holder != address}
        assert summary.diverging == ()

    # ---- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    @precondition(lambda self: bool(self.processes))
    def the_file_says_what_the_model_says(self) -> None:
        """Instances, keys, secrets, the newest place."""
        held = {
            address: (state, version, entered, data)
            for address, state, version, entered, data in rows(
                self.path, "select address, state, version, entered, data from instances"
            )
        }
        assert held == {
            address: (
                kept.snapshot.state,
                kept.snapshot.version,
                kept.snapshot.entered,
                codec.dumps(kept.snapshot.data),
            )
            for address, kept in self.instances.items()
        }
        assert dict(rows(self.path, "select key, address from keys")) == self.keys
        assert dict(rows(self.path, "select name, value from secrets")) == self.secrets
        assert rows(self.path, "select coalesce(max(seq), 0) from events") == [(self.seq,)]

    @invariant()
    @precondition(lambda self: bool(self.processes))
    def the_fold_says_so_too(self) -> None:
        """Whatever was pruned, the rest is explained by its events and checkpoints."""
        assert diverges(self.path, machines=MACHINES) is None
        with open_reader(self.path) as reader:
            assert reader.status(self.now).events == self.seq


def quick(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """Spare the disk: these crashes are not the disk's."""

    def connected(path: Path, *, busy_ns: int) -> sqlite3.Connection:
        connection = connect(path, busy_ns=busy_ns)
        connection.execute("pragma synchronous = off")
        return connection

    return connected


TestJournalModel = pytest.mark.filterwarnings("default")(JournalModel.TestCase)
JournalModel.TestCase.settings = settings(
    max_examples=18, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_model_is_not_of_an_empty_journal(tmp_path: Path) -> None:
    """
    The helpers of the model do what they are named for.
    """
    process = Process(tmp_path / "gateway.db")
    process.do(lambda journal: journal.take(ACCOUNT, "boot", 1, "host"))
    process.end()
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        assert connection.execute("select epoch from leases").fetchall() == [(1,)]
