"""A trial: instances that things happen to, with everything checked after each of them. Without Hypothesis.

    trial = Trial({"order/shop/1": order}, invariants=[never_negative])
    trial.happen(Placed(amount=3))
    trial.happen(Elapsed("retry_at"))     # when it is due
    trial.crash(offline=5 * HOURS)

What happens goes through `statecore.system`, as in a gateway: instances tell each other, and what belongs together is one unit in
a journal. After every unit each instance is rebuilt, from its events and from where the journal says that it is, and compared.
The stateful test (`statecore.testing.stateful`) is a way to let Hypothesis play this.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import attrs

from statecore.errors import ConfigError, StatecoreError
from statecore.events import Broken, Elapsed, Event, External, name_of
from statecore.machine import Machine, Signal, Snapshot, on
from statecore.system import Address, System, Unit
from statecore.testing import lives
from statecore.testing.lives import BEGAN, Life, Moment
from statecore.testing.promises import PROMISES, Check
from statecore.testing.stores import HeldJournal, MemoryJournal, rebuilt, restored
from statecore_journal.fold import Divergence, Replay

Invariant: TypeAlias = Callable[..., object]
"""A function of (snapshot), or of (before, event, after). It holds unless it returns False or raises AssertionError."""

Snapshots: TypeAlias = Mapping[str, Snapshot]


class Monitor(Protocol):
    """Watches one history, and says so if it should not go on like that."""

    def see(self, address: str, moment: Moment) -> str | None:
        """Look at what happened to an instance; return what is wrong, if anything is."""


class Happened(NamedTuple):
    """One event that a trial was given: to whom, what, and when in ns."""

    address: str
    event: Event
    now: int


@attrs.frozen(kw_only=True)
class _Said(External):
    pass


class _Elsewhere(dict[str, Machine]):
    """The machines of a trial, and one that takes whatever is told to others."""

    def __missing__(self, name: str) -> Machine:
        @attrs.frozen
        class Nothing:
            pass

        return Machine(name, remembers=Nothing, initial="elsewhere", awaits={"elsewhere": Signal()},
                       table=[on("elsewhere", _Said, None)])  # fmt: skip


class Trial:
    """Instances under test.

    Args:
        instances: the machine of each, by address ("order/shop/1"). What they tell others reaches those whose machine is here.
        invariants: hold after every step; see `Invariant`. Those of (snapshot) are asked at the beginning too.
        monitors: make what watches this history.
        joint: functions of all instances' snapshots by address; they hold after every unit unless they return False.
        elsewhere: names of machines that may be told things and are not here; None for any.
        journal: where it is recorded; in memory, if none is given.
        promises: what is checked of every step, besides that it replays.
    """

    def __init__(
        self,
        instances: Mapping[str, Machine],
        *,
        invariants: Sequence[Invariant] = (),
        monitors: Sequence[Callable[[], Monitor]] = (),
        joint: Sequence[Callable[[Snapshots], object]] = (),
        elsewhere: Collection[str] | None = None,
        journal: HeldJournal | None = None,
        promises: Sequence[Check] = PROMISES,
    ) -> None:
        self.machines = _machines(instances)
        self.account = _account(instances)
        self.now = BEGAN
        self.given: list[Happened] = []
        self.moments: list[tuple[str, Moment]] = []
        self._alone = len(instances) == 1
        self._elsewhere = elsewhere
        self._journal = MemoryJournal() if journal is None else journal
        self._invariants = [(one, _is_of_snapshot(one)) for one in invariants]
        self._monitors = [make() for make in monitors]
        self._joint = joint
        self._watchers: list[Callable[[Snapshot], None]] = []
        self._promises = promises
        self._replays = {name: Replay(machine) for name, machine in self.machines.items()}
        self._entered_at = dict.fromkeys(instances, BEGAN)
        self._at: dict[str, Snapshot] = {address: machine.start() for address, machine in instances.items()}
        self._system = self._booted()
        for address in instances:
            self._ask_of_snapshot(address)

    def _booted(self) -> System:
        return System(self.account, _Elsewhere(self.machines), self._journal.store)

    # ---- where they are ----------------------------------------------------------------------------------------------

    @property
    def snapshots(self) -> Snapshots:
        """Where every instance is, by address."""
        return dict(self._at)

    @property
    def address(self) -> str:
        """The address of the only instance; of the first, if there are several."""
        return next(iter(self._at))

    def machine(self, address: str) -> Machine:
        """Return the definition of an instance."""
        return self.machines[Address.parse(address).machine]

    def life(self, address: str) -> Life:
        """Return a life that begins where an instance is, to see what would come of things."""
        return Life(self.machine(address), self.now, self._at[address], self._entered_at[address])

    def over(self, address: str) -> bool:
        """Tell whether an instance has come to a final state."""
        return self._at[address].state in self.machine(address).final

    def next_timer(self) -> tuple[str, Elapsed] | None:
        """Return (address, event) of the timer that fires next, if any is armed."""
        due = [
            (at, address, timer)
            for address in self._at
            for at, timer in self.machine(address).deadlines(self._at[address])
        ]
        return (min(due)[1], Elapsed(min(due)[2])) if due else None

    # ---- what happens to them ----------------------------------------------------------------------------------------

    def watch(self, see: Callable[[Snapshot], None]) -> None:
        """Show every snapshot from now on."""
        self._watchers.append(see)
        for snapshot in self._at.values():
            see(snapshot)

    def add(self, address: str) -> None:
        """Begin another instance, of a machine that is here."""
        self._at[address] = self.machine(address).start()
        self._entered_at[address] = self.now
        self._ask_of_snapshot(address)

    def happen(self, event: Event, address: str = "", *, after: int = 0) -> Snapshot:
        """Let an event happen to an instance, and check everything.

        Args:
            event: what.
            address: to whom; the only one, if it is left out.
            after: how many ns later than the last one; a timer, or an overdue attempt, not before its time.

        Returns:
            Where the instance is then.

        Raises:
            AssertionError: something does not hold. The history up to there is in its notes, as code.
        """
        address = address or self.address
        machine, snapshot = self.machine(address), self._at[address]
        self.now = max(self.now + after, lives.earliest(machine, snapshot, event, self._entered_at[address]))
        self.given.append(Happened(address, event, self.now))
        try:
            unit = self._system.begin(self.now)
            self._system.feed(unit, address, event)
            self._commit(unit)
        except StatecoreError as error:
            failed = AssertionError(f"{name_of(event)} in {snapshot.state!r}: {error}")
            failed.add_note(self.story())
            raise failed from error
        except AssertionError as error:
            error.add_note(self.story())
            raise
        return self._at[address]

    def elapse(self) -> Snapshot:
        """Let the next timer of all fire, when it is due."""
        timer = self.next_timer()
        assert timer is not None, "no timer is armed"
        return self.happen(timer[1], timer[0])

    def crash(self, offline: int = 0, broken: Broken | None = None) -> None:
        """End the process, and start another one *offline* ns later, which knows what is in the journal.

        Args:
            offline: for how long nobody was there, in ns.
            broken: what attempts under way come to, but for how; as the policy has it that chooses the next wait.
        """
        self.now += offline
        self._system = self._booted()
        for address in list(self._at):
            machine = self.machine(address)
            for event in lives.after_crash(machine, self._at[address], offline, broken or Broken(how="interrupted")):
                self.happen(event, address)

    def play(self, history: Iterable[tuple[Any, ...]]) -> "Trial":
        """Let a history happen: (event, ns since the beginning), or (address, event, ns) of each event.

        Whatever it says can happen: a history that was pinned stays as it was.
        """
        for happened in history:
            *to, event, at = happened
            address = str(to[0]) if to else self.address
            if address not in self._at:
                self.add(address)
            self.happen(event, address, after=max(0, BEGAN + at - self.now))
        return self

    def story(self) -> str:
        """Write what happened as code, to be pinned."""
        single = self._alone and len({one.address for one in self.given}) <= 1
        shown = [(one.event, one.now - BEGAN) if single else (*one[:2], one.now - BEGAN) for one in self.given]
        return f"{lives.PINNED}\n{lives.code_of(shown)}"

    # ---- what is checked ---------------------------------------------------------------------------------------------

    def _commit(self, unit: Unit) -> None:
        for entry in unit.entries:
            if entry.machine.name not in self.machines:
                self._told_elsewhere(entry.address, entry.event)
        happened: list[tuple[str, Moment]] = []
        for entry in unit.entries:
            if entry.machine.name not in self.machines:
                continue
            address, snapshot = entry.address, entry.decision.snapshot
            moment = Moment(self._at.get(address, entry.machine.start()), entry.event, unit.now, entry.decision)
            happened.append((address, moment))
            self._at[address] = snapshot
            if entry.decision.outcome.kind == "moved" or address not in self._entered_at:
                self._entered_at[address] = unit.now
            for promise in self._promises:
                promise(entry.machine, moment)
        self.moments += happened
        self._system.committed(unit, self._journal.append(unit))
        for address in dict(happened):
            self._replay(address)
        for address, moment in happened:
            self._ask(address, moment)
        for one in self._joint:
            assert one(self.snapshots) is not False, f"{_name(one)} does not hold of {self.snapshots}"

    def _told_elsewhere(self, address: str, event: Event) -> None:
        name = Address.parse(address).machine
        known = self._elsewhere is None or name in self._elsewhere
        assert known, (
            f"{name_of(event)} is told to {address}, and no machine {name!r} is here: add it, or name it in elsewhere="
        )

    def _replay(self, address: str) -> None:
        """Rebuild an instance from its events, and as a process that starts would find it."""
        machine, live = self.machine(address), self._at[address]
        folded = rebuilt(self._journal, address, machine, self._replays[machine.name])
        assert not isinstance(folded, Divergence), f"replayed from the journal, it parts from what happened: {folded}"
        assert folded == live, f"replayed from the journal, {address} is somewhere else:\n  {live}\n  {folded}"
        found = restored(self._journal, address, machine)
        assert found == live, f"after a restart, {address} would be somewhere else:\n  {live}\n  {found}"

    def _ask_of_snapshot(self, address: str) -> None:
        for one, of_snapshot in self._invariants:
            if of_snapshot:
                assert one(self._at[address]) is not False, f"{_name(one)} does not hold of {self._at[address]}"

    def _ask(self, address: str, moment: Moment) -> None:
        for one, of_snapshot in self._invariants:
            held = one(moment.after) if of_snapshot else one(moment.before, moment.event, moment.after)
            assert held is not False, (
                f"{_name(one)} does not hold after {name_of(moment.event)} in {moment.before.state!r}:"
                f"\n  before {moment.before}\n  after  {moment.after}"
            )
        for see in self._watchers:
            see(moment.after)
        for monitor in self._monitors:
            wrong = monitor.see(address, moment)
            assert not wrong, f"{type(monitor).__name__}: {wrong}"


def _name(function: Any) -> str:
    return getattr(function, "__name__", repr(function))


def _is_of_snapshot(invariant: Invariant) -> bool:
    try:
        signature = inspect.signature(invariant).parameters.values()
    except (TypeError, ValueError):
        signature = {}.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [one for one in signature if one.default is one.empty and one.kind in positional]
    if len(wanted) not in (1, 3):
        raise ConfigError(f"invariants: {_name(invariant)}", "it takes (snapshot), or (before, event, after)")
    return len(wanted) == 1


def _machines(instances: Mapping[str, Machine]) -> dict[str, Machine]:
    machines: dict[str, Machine] = {}
    for address, machine in instances.items():
        if Address.parse(address).machine != machine.name:
            raise ConfigError(f"instances: {address}", f"the address of a {machine.name} begins with {machine.name}/")
        machines[machine.name] = machine
    if not machines:
        raise ConfigError("instances", "there must be at least one")
    return machines


def _account(instances: Iterable[str]) -> str:
    accounts = {Address.parse(address).account for address in instances}
    if len(accounts) > 1:
        raise ConfigError("instances", f"they belong to one account, not to {', '.join(sorted(accounts))}")
    return accounts.pop()


TRIED: Final = "tried"
"""The account of the instance in a test of one machine."""


def trial_of(machine: Machine, **how: Any) -> Trial:
    """Begin a trial of one instance of a machine; see `Trial` for what it takes."""
    return Trial({f"{machine.name}/{TRIED}/1": machine}, **how)
