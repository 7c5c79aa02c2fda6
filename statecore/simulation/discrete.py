"""The plain simulation: a discrete-event run of whole gateways against simulated platforms, without tasks and without I/O.

Everything that decides is production code: the machines, the policies, the composition of an account, the lanes, the governor.
Modelled is what surrounds it: the driver's waiting, processes, the disk, the network, the platforms, people. One queue holds all
that is to happen, one source of chance decides what a plan leaves open, so a plan makes the same rows every time.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from random import Random  # noqa: TID251 - the one source of chance of a run, from the plan's seed
from typing import Any, Final

import attrs

from statecore import codec
from statecore.account import Command
from statecore.collection import no_collection
from statecore.driver import OUTCOMES
from statecore.errors import JournalError
from statecore.machine import Verdict
from statecore.machines import MACHINES
from statecore.machines.delivery import SENDING
from statecore.platform import Batch, Ended, Failure, Invalid, Refusal, Unauthorised, Unsent
from statecore.recorded import Restored, configured, recorded
from statecore.simulation import disk as disks
from statecore.simulation.clockwork import Circle, Host, Loop
from statecore.simulation.disk import Disk
from statecore.simulation.driver import Attempt, Driver
from statecore.simulation.guarantees import Row, Standing, Violation, check
from statecore.simulation.network import Network, Spell, Spells
from statecore.simulation.plan import Occurrence, Plan, PlanError
from statecore.simulation.process import Locks, Process
from statecore.simulation.qqbot import QQServer, closed
from statecore.simulation.server import CANARY, Server
from statecore.simulation.truth import Platform, Taken, Truth
from statecore.simulation.weixin import WeixinServer
from statecore.system import Entry
from statecore.units import MILLISECONDS, SECONDS

CREDENTIALS: Final = {"token": f"{CANARY}-account", "client_secret": f"{CANARY}-account"}


@attrs.frozen
class Outcome:
    """What came of a run.

    Args:
        plan: what was to happen.
        rows: the journal.
        verdicts: what became of each row's event, with the guards that were asked.
        instances: the projection at the end.
        truth: what the platforms saw.
        violations: what did not hold.
        steps: what was taken off the agenda, and the rows: a packet, a timer, a commit, a transition.
        met: how often each fault was met.
    """

    plan: Plan
    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    instances: Mapping[str, Standing]
    truth: Truth
    violations: Sequence[Violation]
    steps: int
    met: Mapping[str, int]

    def digest(self) -> str:
        """Return what two runs of one plan have in common, and no two others: a hash of every byte of the journal."""
        whole = hashlib.blake2b(digest_size=16)
        for row in self.rows:
            head = (row.seq, row.at, row.address, row.version, row.source, row.target, row.outcome, row.cause)
            whole.update(f"{head} {type(row.event).__name__} {codec.dumps(row.event)}\n".encode())
        return whole.hexdigest()


class Judge:
    """Checks safety while a run goes on, where that is cheap."""

    def __init__(self, loop: Loop) -> None:
        self.violations: list[Violation] = []
        self._loop = loop

    def leaves(self, driver: Driver, attempt: Attempt) -> None:
        """See whether a request may leave: its row is durable (G1), and its sender has the account, or had it just now (G6)."""
        held = driver.ledger.standing(attempt.address)
        if held is None or held.state not in SENDING or held.entered != attempt.entered:
            said = f"a request of {attempt.address} leaves, and no durable row asked for it"
            self.violations.append(Violation("G1", said, driver.process.disk.seq, self._loop.now))


class Simulation:
    """One run.

    Args:
        plan: what happens.
        keep: whether to keep what is written, so that it can be written to a file (`statecore.simulation.file`).
    """

    def __init__(self, plan: Plan, *, keep: bool = False) -> None:
        self.plan = plan
        self._chats = {account.name: account.chats[0] if account.chats else "" for account in plan.accounts}
        self.loop = Loop()
        self.random = Random(plan.seed)  # noqa: S311 - repeatable on purpose
        self.host = Host(self.loop, self.random)
        self.disk = Disk(self.host, [account.name for account in plan.accounts])
        self.disk.history = [] if keep else None
        self.judge = Judge(self.loop)
        self.locks = Locks()
        self.met: Counter[str] = Counter()
        self.truth = Truth(secrets=(CANARY,))
        self.decides: dict[str, Restored] = {}
        self.settings: dict[str, str] = {}
        self.servers: dict[str, Server] = {}
        self.networks: dict[str, Spells] = {}
        self.programs: dict[str, Spells] = {}
        self.processes: dict[str, Process] = {}
        self.frozen_at: dict[str, int] = {}
        self._pids = 0
        self._pid: dict[Process, int] = {}
        self._disk_spells = Spells("disk", self.loop, Random(f"{plan.seed} disk"), self.met)  # noqa: S311
        self.ambushed: dict[str, Callable[[Attempt], None]] = {}
        self._ambushes: list[Occurrence] = []
        self._follow: dict[tuple[str, int], list[Occurrence]] = {}
        self.absent = 0
        """Spells under way in which nobody takes messages."""
        self._replaces: dict[str, tuple[bool, bool]] = {}
        for account in plan.accounts:
            self._add(account.name, account.platform, account.settings)
        self.disk.latency = self._latency
        self.disk.failure = self._failure
        self.disk.changed = self._changed
        self.disk.entered = self._entered
        self.loop.at(plan.calm_from, self._calm)
        for index, one in enumerate(plan.occurrences):
            self.loop.at(one.at, self._occur, index, one)

    def _add(self, name: str, platform: str, settings: Mapping[str, Any]) -> None:
        kinds = _account_classes()
        if platform not in kinds or platform not in SERVERS:
            raise PlanError(
                f"account {name}: there is no simulated platform {platform!r}; there are {', '.join(SERVERS)}"
            )
        known = {field.alias for field in attrs.fields(kinds[platform])}
        secret = {key: value for key, value in CREDENTIALS.items() if key in known}
        config = configured(kinds[platform], {**settings, **secret}, f"accounts.{name}")
        self.decides[name] = Restored(config.platform, config.policies)
        self.settings[name] = recorded(config)
        truth = self.truth.platforms[name] = Platform()

        def chance(purpose: str) -> Random:  # what befalls one does not depend on what is drawn for another
            return Random(f"{self.plan.seed} {name} {purpose}")  # noqa: S311

        self.networks[name] = Spells("network", self.loop, chance("faults of the network"), self.met)
        self.programs[name] = Spells("program", self.loop, chance("faults of the program"), self.met)
        network = Network(self.loop, chance("network"), self.networks[name])
        server = SERVERS[platform](name, network, Spells("platform", self.loop, chance("platform"), self.met), truth)
        if isinstance(server, QQServer):
            server.proactive = bool(settings.get("proactive"))
            server.markdown = settings.get("format") == "markdown"
        self.servers[name] = server

    # ---- what the parts ask for --------------------------------------------------------------------------------------

    def pid(self, process: Process) -> int:
        """Return a process's number."""
        if process not in self._pid:
            self._pids += 1
            self._pid[process] = 1000 + self._pids
        return self._pid[process]

    def torn(self) -> float:
        """Return how often a write that a crash interrupts is durable."""
        return 0.7 if self._disk_spells.hit("torn") else disks.TORN

    def took(self, account: str, process: Process, epoch: int) -> None:
        """Note that a process took an account."""
        self.truth.platforms[account].taken.append(
            Taken(at=self.loop.now, process=process.name, epoch=epoch, seq=self.disk.seq)
        )

    def drives(self, account: str) -> None:
        """Note how many processes drive an account."""
        drivers = [process.supervisors[account].driver for process in self.processes.values() if process.alive]
        driving = sum(driver is not None and not driver.ended for driver in drivers)
        platform = self.truth.platforms[account]
        platform.receiving = max(platform.receiving, driving)

    def _latency(self) -> int:
        return self._disk_spells.delay("slow") if self._disk_spells.active else 0

    def _failure(self) -> JournalError | None:
        spells = self._disk_spells
        if not spells.active:
            return None
        for fault, error in (("full", disks.full), ("busy", disks.busy), ("failed", disks.failed)):
            if spells.hit(fault):
                return error()
        return None

    def _changed(self, _: str) -> None:
        for process in self.processes.values():
            if process.alive:
                process.look_soon()

    # ---- occurrences -------------------------------------------------------------------------------------------------

    def _occur(self, index: int, one: Occurrence) -> None:
        if one.kind in ("network", "platform", "program", "disk"):
            self._begin(Spell(index, one), one)
            return
        if one.fault and one.kind != "ambush":
            self.met[one.fault] += 1
        getattr(self, "_" + one.kind.replace("-", "_"))(one)

    def _begin(self, spell: Spell, one: Occurrence) -> None:
        spells = self._spells(one)
        spells.begin(spell)
        if spell.fault == "absent":
            self.absent += 1
            self.met[one.fault] += 1
        self.loop.at(spell.until, self._end, spells, spell)

    def _spells(self, one: Occurrence) -> "Spells | Server":
        if one.kind == "disk":
            return self._disk_spells
        return {"network": self.networks, "platform": self.servers, "program": self.programs}[one.kind][one.target]  # type: ignore[no-any-return, index]

    def _end(self, spells: "Spells | Server", spell: Spell) -> None:
        spells.end(spell)
        if spell.fault == "absent":
            self.absent -= 1
            for process in self._running():
                for driver in process.drivers():
                    process.call(self.loop.now, driver.wake_to_hand)

    def _running(self) -> list[Process]:
        return [process for process in self.processes.values() if process.alive]

    def _user_writes(self, one: Occurrence) -> None:
        self.servers[one.target].write(one.fields["chat"], one.fields["text"])

    def _program_sends(self, one: Occurrence) -> None:
        running = self._running()
        lease = self.disk.ledgers[one.target].lease
        owners = [process for process in running if process.name == lease.process]
        if not running:
            return
        process = owners[0] if owners else running[0]
        fields = one.fields
        process.call(
            self.loop.now,
            lambda: process.send(one.target, fields["chat"], fields["text"], key=fields["key"], lasts=fields["lasts"]),
        )

    def _operator(self, one: Occurrence) -> None:
        command, account = one.fields["command"], one.target
        if command == "credentials":
            self.servers[account].renew()
            for process in self._running():
                process.look_for_credentials_soon()
        target = one.fields["chat"] if command == "resume" else self._concerned(account, command)
        if target is not None:
            self.loop.at(self.disk.reserve(), self._ask, account, Command(id=0, kind=command, target=target))

    def _concerned(self, account: str, command: str) -> str | None:
        """Return whom an operator means who retries or purges: what is dead or was set aside, or else anything."""
        if command == "credentials":
            return ""
        store = self.disk.ledgers[account].store
        dead = [
            *store.in_states(account, "delivery", ("dead",)),
            *store.in_states(account, "inbound", ("quarantined",)),
        ]
        if dead:
            return self.random.choice(dead)
        states = (
            "queued",
            "backing-off",
            "circuit-tripped",
            "window-closed",
            "token-stale",
            "unknown",
            "in-review",
            "delivered",
        )
        others = [
            *store.in_states(account, "delivery", states),
            *store.in_states(account, "inbound", ("waiting", "retrying")),
        ]
        return self.random.choice(others) if others else None

    def _ask(self, account: str, command: Command) -> None:
        if self._failure() is None:
            self.disk.ask(account, command)

    # ---- ambushes ----------------------------------------------------------------------------------------------------

    def _ambush(self, one: Occurrence) -> None:
        if one.fields["value"] == 1 and one.fields["does"] in CHAINED:
            self._follow.setdefault(_card_of(one), []).append(one)
        else:
            self._lay(one)

    def _lay(self, one: Occurrence) -> None:
        self._ambushes.append(one)
        self.disk.watched[one.fields["machine"], one.fields["state"]] = True

    def _calm(self) -> None:
        self._ambushes.clear()
        self._follow.clear()
        self.disk.watched.clear()
        self.ambushed.clear()

    def _entered(self, account: str, entry: Entry) -> None:
        """Spring the ambushes on the state that an instance has entered."""
        snapshot = entry.decision.snapshot
        where = (entry.machine.name, snapshot.state)
        for one in list(self._ambushes):
            fields = one.fields
            if one.target != account or (fields["machine"], fields["state"]) != where:
                continue
            overrides = fields["does"] in OVERRIDES
            address = (
                snapshot.data.probe if where == ("circuit", "probing") else entry.address
            )  # the probe's own attempt
            if overrides and (address in self.ambushed or not is_ready(fields["code"], snapshot.data)):
                continue
            self._ambushes.remove(one)
            self.met[one.fault] += 1
            if waiting := self._follow.get(_card_of(one)):
                self._lay(waiting.pop(0))
            if overrides:
                self.ambushed[address] = partial(answered, fields["does"], fields["code"])
            else:
                after = 0 if self.random.random() < 0.5 else int(self.random.random() * 40 * MILLISECONDS)
                self.loop.at(self.loop.now + after, self._spring, account, entry, one)
        if not any((one.fields["machine"], one.fields["state"]) == where for one in self._ambushes):
            self.disk.watched.pop(where, None)

    def _spring(self, account: str, entry: Entry, one: Occurrence) -> None:
        does, value = one.fields["does"], one.fields["value"]
        if does != "step":
            value = min(value, max(1, self.plan.calm_from - self.loop.now))  # it sprang later than it was laid
        match does:
            case "crash" | "stop":
                owner = self.disk.ledgers[account].lease.process
                kind = "process-crashes" if does == "crash" else "process-stops"
                self._occur(-1, Occurrence(self.loop.now, kind, owner, {"back_after": value}))
            case "suspend":
                self._occur(-1, Occurrence(self.loop.now, "host-suspends", "", {"length": value}))
            case "step":
                self._occur(-1, Occurrence(self.loop.now, "wall-steps", "", {"by": value}))
            case "login":
                self.servers[account].renew()
            case "write":
                self.servers[account].write(entry.chat or self._chats[account], f"ambush {self.loop.now}")
            case _:
                target = entry.address if does in ("purge", "retry") else ""
                self._ask(account, Command(id=0, kind=does, target=target))

    # ---- processes ---------------------------------------------------------------------------------------------------

    def _process_starts(self, one: Occurrence) -> None:
        self._start(one.target, bool(one.fields["replaces"]), bool(one.fields["apart"]))

    def _start(self, name: str, replaces: bool, apart: bool) -> None:
        known = self.processes.get(name)
        if known is not None and known.alive:
            return
        self._replaces[name] = (replaces, apart)
        process = self.processes[name] = Process(self, name, replaces=replaces, apart=apart)
        process.start()

    def _back(self, name: str, stopping: Process | None = None) -> None:
        """Start a process again; one that was told to stop when it is gone, however long it takes."""
        if stopping is not None and stopping.alive:
            self.loop.at(self.loop.now + 1 * SECONDS, self._back, name, stopping)
            return
        replaces, apart = self._replaces.get(name, (False, False))
        self._start(name, replaces, apart)

    def _process_crashes(self, one: Occurrence) -> None:
        process = self.processes.get(one.target)
        if process is not None and process.alive:
            process.crash()
            if one.fields["back_after"]:
                self.loop.at(self.loop.now + one.fields["back_after"], self._back, one.target)

    def _process_stops(self, one: Occurrence) -> None:
        process = self.processes.get(one.target)
        if process is not None and process.alive:
            process.call(self.loop.now, process.stop, "signal 15")
            if one.fields["back_after"]:
                self.loop.at(self.loop.now + one.fields["back_after"], self._back, one.target, process)

    def _process_freezes(self, one: Occurrence) -> None:
        process = self.processes.get(one.target)
        if process is not None and process.alive:
            if process.frozen_until <= self.loop.now:
                self.frozen_at[one.target] = self.loop.now
            process.freeze(self.loop.now + one.fields["length"])

    def _power_fails(self, one: Occurrence) -> None:
        running = self._running()
        for process in running:
            process.crash()
        if one.fields["back_after"]:
            for process in running:
                self.loop.at(self.loop.now + one.fields["back_after"], self._back, process.name)

    def _host_suspends(self, one: Occurrence) -> None:
        length = one.fields["length"]
        if not self.host.asleep_until:
            self.host.suspend(length)
            for process in self._running():
                process.rests = True
            self.loop.at(self.loop.now + length, self._wake, length)

    def _wake(self, length: int) -> None:
        self.host.wake(length)
        for process in self._running():
            process.look_soon()

    def _wall_steps(self, one: Occurrence) -> None:
        self.host.stepped += one.fields["by"]
        for process in self._running():
            process.look_soon()

    # ---- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Run the plan to its end, and hold the journal against the truth."""
        with no_collection():
            return self._run()

    def _run(self) -> Outcome:
        plan, disk = self.plan, self.disk
        try:
            self.loop.run(plan.length)
        except Circle as circle:
            self.judge.violations.append(Violation("G2", str(circle), disk.seq, self.loop.now))
        instances = {
            address: Standing(held.snapshot, held.chat, held.live, held.order)
            for ledger in disk.ledgers.values()
            for address, held in ledger.store._held.items()  # noqa: SLF001
        }
        settled = plan.calm_from < plan.length and not self.judge.violations
        violations = [
            *self.judge.violations,
            *check(disk.rows, instances, self.truth, plan, settled=settled, machines=MACHINES),
        ]
        steps = self.loop.steps + len(disk.rows)
        return Outcome(plan, disk.rows, disk.verdicts, instances, self.truth, violations, steps, dict(self.met))


@cache
def _account_classes() -> Mapping[str, type[Any]]:
    """Return the adapters there are. Looking for them takes longer than a minute of a run."""
    from statecore.config import account_classes

    return account_classes()


OVERRIDES: Final = ("answer", "raise", "hang")
"""What an ambush may do to an attempt."""

CHAINED: Final = (*OVERRIDES, "purge")
"""What may wait until another has sprung."""


def _card_of(one: Occurrence) -> tuple[str, int]:
    """Tell which ambushes belong together: those laid in the same millisecond."""
    return one.target, one.at // MILLISECONDS


def answered(does: str, code: str, attempt: Attempt) -> None:
    """Let an attempt that was ambushed come to something else than it would."""
    if does == "hang":
        return
    if does == "raise":
        raise RuntimeError("a slip of the adapter")
    result = adverse(attempt.effect, code)
    when = attempt.driver.process.host.loop.now + 10 * MILLISECONDS
    attempt.driver.process.call(when, attempt.driver.client.made_up, attempt, result)


def is_ready(code: str, data: Any) -> bool:
    """Tell whether an instance is one that an answer can be given to: "again" is for a token that was refused before."""
    return code != "again" or data.doubted == data.credential


def adverse(effect: Any, code: str) -> Any:
    """Return what an attempt comes to when its platform answers *code*, as far as that kind of attempt can."""
    kinds = OUTCOMES[type(effect)]
    if code == "message" and Batch in kinds:
        return Batch(messages=())
    if Ended in kinds:
        if code == "op9" and Invalid in kinds:
            return Invalid(resumable=False)
        return closed(int(code) if code.isdigit() else 4004 if code == "again" else 1006)
    if code in ("unauthorised", "outdated", "again") and Unauthorised in kinds:
        number = 0 if code == "outdated" else None
        return Unauthorised(
            code="code=11244", message="the token is refused", action="look at the token", credential=number
        )
    if Failure in kinds:
        action = "check the address" if code == "foreign" else ""
        return Failure(stage="answer", error="what answers is not the platform", reachable=True, action=action)
    if Refusal in kinds:
        if code == "unsent":
            return Unsent(stage="connect", error="nobody listens there")
        return Refusal(code={"foreign": "http 400", "passing": "http 408"}.get(code, "ret=-2"))
    return ""


SERVERS: Final[Mapping[str, type[WeixinServer] | type[QQServer]]] = {"weixin": WeixinServer, "qqbot": QQServer}


def run(plan: Plan) -> Outcome:
    """Run a plan.

    Raises:
        PlanError: it asks for a platform that cannot be simulated.
        StatecoreError: the gateway raised, which no fault may make it do.
    """
    return Simulation(plan).run()
