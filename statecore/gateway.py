"""The gateway: one journal, many accounts, and the program that uses them."""

import logging
import math
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio

from statecore import chance, codec, lease
from statecore.account import Command
from statecore.checks import check_message, is_account_name
from statecore.driver import Driver, Handed, Hooks
from statecore.errors import ConfigError, Fenced, GatewayStopped, JournalBusy, JournalFull, NotAccepted, StatecoreError
from statecore.governor import Governor
from statecore.handover import Claim, Replacing
from statecore.hermes_lock import HermesLocks
from statecore.hermes_lock import is_here as hermes_is_here
from statecore.lease import Lock
from statecore.machines.connection import ClockStepped, Started
from statecore.machines.delivery import SETTLED, Delivery
from statecore.messages import Dead, Delivered, Expired, Inbox, Message, Receipt
from statecore.platform import AccountConfig
from statecore.policies import Backoff, backoff
from statecore.recorded import recorded
from statecore.settings import choice, count, duration, location, table
from statecore.system import Unit
from statecore.units import MILLISECONDS, SECONDS, parse_duration
from statecore.waking import Clock
from statecore.world import World, here

log = logging.getLogger("statecore")

LOOK_EVERY: Final = 250 * MILLISECONDS
"""How often the gateway looks whether another process has asked for something, and whether the machine was suspended."""

CREDENTIALS_EVERY_LOOKS: Final = 8
"""While credentials are refused, every so many looks it is checked whether there are others."""

BEAT_EVERY: Final = 5 * SECONDS
"""How often the heartbeat is written. A reader calls an owner silent after three missed beats."""

BEAT_LETTING_GO_EVERY: Final = 1 * SECONDS
"""How often it is written while an account is let go: then somebody may be waiting for a sign of life."""

STEP_NOTED: Final = 2 * SECONDS
"""A wall clock that moves by more than this against the monotonic one was set."""

STARTED_AT_ONCE: Final = 16
START_APART: Final = 5 * MILLISECONDS
"""Accounts beyond so many are taken up this far apart. A thousand that all dial in the same moment are a burst that the
platform remembers, and memory that the process never gets rid of again: 25 kB for each of them."""


@attrs.frozen
class Retention:
    """How long a journal remembers what is over. What is live, and what waits for a person, is never touched.

    Args:
        keep: for how long.
        max_mb: when the file uses more than this many megabytes, younger ones go too.
        every: how often it is seen to.
    """

    keep: int = duration("30d", low="1h", high="3650d")
    max_mb: int = count(1024, low=1, high=1_000_000)
    every: int = duration("1h", low="1m", high="30d")


@attrs.frozen
class Options:
    """How a gateway runs.

    Args:
        drain: how long a stop waits for what is under way.
        busy: how long a write waits for a lock that another process holds on the journal.
        governor: the bound on transitions of one instance.
        retention: how long the journal remembers what is over.
        lock_folder: where account locks are; all programs of a machine that could share an account must agree on it.
        incidents: "on" to watch what is committed for incidents, and to say so in the log.
    """

    drain: int = duration("10s", low="50ms", high="1h")
    busy: int = duration("5s", low="50ms", high="10m")
    governor: Governor = table(Governor)
    retention: Retention = table(Retention)
    lock_folder: Path = location(lease.lock_folder)
    incidents: str = choice("on", "on", "off")


class Monitors(Protocol):
    """What a gateway asks of whoever watches for incidents."""

    def take(self, unit: Unit, first: int) -> None:
        """Take note of a committed unit and the seq of its first row. Called before its attempts are made, so it is quick."""

    def look(self, now: int) -> None:
        """Look through what was taken note of, and say what was found. *now* is the gateway's clock, in ns."""

    def going_on(self) -> Sequence[Any]:
        """Return the incidents that go on now; see `statecore_journal.incidents.Incident`."""


class Gateway:
    """A running gateway; made by `open_gateway`."""

    def __init__(
        self,
        journal: Any,
        accounts: Mapping[str, AccountConfig],
        world: World,
        options: Options,
        replacing: Replacing | None = None,
        monitors: Monitors | None = None,
    ) -> None:
        self._journal = journal
        self._configs = dict(accounts)
        self._world = world
        self._options = options
        self._replacing = replacing
        self._boot = world.new_id()
        self._drivers: dict[str, Driver] = {}
        self._epochs: dict[str, int] = {}
        self._caught_up = 0  # by how much our clock was moved forward, to that of those who drove an account before us
        self._claims: dict[str, Claim] = {}
        self._stops: dict[str, dict[int, Command]] = {}  # what each driver was asked to hand over by
        self._displaced: set[str] = set()
        self._beside_hermes: set[str] = set()
        self._troubles: dict[str, str] = {}
        self._inbox: deque[Message] = deque()
        self._given: dict[str, weakref.ref[Message]] = {}  # not handled to their end yet
        self._unrecorded: dict[str, dict[str, str | None]] = {}  # how handlers ended while nobody drove their account
        self._promised = 0  # messages that were decided for a consumer and are not committed yet
        self._waiting = 0  # consumers that wait for a message
        self._fed = trio.Event()
        self._settlers: dict[str, trio.Event] = {}
        self._hurry = trio.Event()
        self._clock = Clock()
        self._pulse = trio.current_time()
        self._watchers: list[Callable[[Unit, int], None]] = [] if monitors is None else [monitors.take]
        self._monitors = monitors
        self.stopping = False
        self.stopped_by = ""
        self._stop = trio.Event()
        self._let_go = trio.Event()
        self._patience = trio.CancelScope(shield=True)
        self._hooks = Hooks(
            hungry=self._hungry, promise=self._promise, hand=self._hand, settled=self._settle, moved=self._moved
        )

    # ---- public ------------------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The journal's file."""
        path: Path = self._journal.path
        return path

    async def send(
        self,
        account: str,
        chat: str,
        text: str,
        *,
        reply_to: Message | None = None,
        key: str | None = None,
        expires: float | str | None = None,
    ) -> Receipt:
        """Take a message on for delivery. When this returns it is durable: it will be delivered, or die with a reason.

        It does not wait for the platform, and it works while the account is down, or driven by another process.

        Args:
            account: the name of the account, as the gateway was opened with.
            chat: where to; `Message.chat`, or a platform id.
            text: what. It is cut into as many parts as the platform needs.
            reply_to: the message it answers.
            key: your own idempotency key: a second `send` with the same key returns the first one's receipt.
            expires: give it up after this long: seconds, or text like "10m".

        Raises:
            NotAccepted: there is no such account, or it cannot send such a text. Nothing was recorded.
            JournalError: it could not be recorded, so it was not accepted; JournalFull and JournalBusy say why.
        """
        if account not in self._configs:
            raise NotAccepted(f"there is no account {account!r}; there are {', '.join(sorted(self._configs))}")
        check_message(chat, text, key)
        if not isinstance(reply_to, Message | None):
            raise NotAccepted(
                f"reply_to is a message that came in, got {type(reply_to).__name__}; a chat is no message"
            )
        lasts = None if expires is None else _expiry(expires)
        answers = reply_to.address if reply_to is not None else ""
        id_ = self._world.new_id()
        driver = self._drivers.get(account)
        if driver is not None and not driver.ended and not self._journal.store.sends_wait(account):
            address = await driver.accept(
                id_,
                chat,
                text,
                reply_to=answers,
                key=key or "",
                expires_at=None if lasts is None else self._world.now() + lasts,
                origin="api",
            )
            return Receipt(self, account, address)
        self._configs[account].platform.check(chat)
        self._configs[account].platform.split(text)  # what can never be sent is refused here and not later
        command = Command(
            id=0,
            kind="send",
            target=chat,
            delivery=id_,
            text=text,
            key=key or "",
            lasts=lasts,
            asked_wall=self._world.wall(),
            reply_to=answers,
        )
        _, id_ = await self._journal.ask(account, command)
        return Receipt(self, account, f"delivery/{account}/{id_}")

    def inbox(self) -> Inbox:
        """Return the messages as they come in, for `async for`: the oldest of each chat first, at least once each.

        A chat's next message comes only after its last one was handled, so several tasks may take messages at once, each
        with an `inbox` of its own. The iteration ends when the gateway is asked to stop.
        """
        return Inbox(self)

    async def _next_message(self) -> Message | None:
        """Wait for a message. What is on its way when the gateway is asked to stop is still given out."""
        self._waiting += 1
        try:
            while not self._inbox:
                if self.stopping and not self._promised:
                    return None
                for driver in self._drivers.values():
                    driver.wake_to_hand()
                await self._fed.wait()
            return self._inbox.popleft()
        finally:
            self._waiting -= 1

    def status(self) -> Any:
        """Return where every account is; see `statecore_journal.Status`."""
        return self._journal.status(troubles=dict.fromkeys(self._configs, "") | self.troubles())

    def troubles(self) -> dict[str, str]:
        """Return what keeps this process from driving an account, by account."""
        found = dict(self._troubles)
        for name, driver in self._drivers.items():
            if driver.paused:
                found[name] = f"paused: {driver.paused}"
        return found

    def incidents(self) -> Sequence[Any]:
        """Return the incidents that go on now, oldest first; see `statecore_journal.incidents.Incident`."""
        return [] if self._monitors is None else self._monitors.going_on()

    def stop(self, by: str = "program") -> None:
        """Begin to stop: take no new work, see to its end what is under way. `open_gateway` waits for that on leaving."""
        if not self.stopping:
            self.stopping = True
            self.stopped_by = by
            self._stop.set()
            self._hasten()
            for driver in self._drivers.values():
                driver.stop(by, self._options.drain)
            self._feed()

    async def wait_for_stop(self) -> None:
        """Wait until the gateway is asked to stop."""
        await self._stop.wait()

    async def wait_until_let_go(self) -> None:
        """Wait until it has stopped and let go of every account, or would not wait any longer."""
        await self._let_go.wait()

    def hurry(self) -> None:
        """Stop without waiting for what is under way; the next start finds it, and treats its outcome as unknown."""
        self.stop("hurry")
        self._patience.cancel()

    def watch(self, watcher: Callable[[Unit, int], None]) -> None:
        """Have *watcher* called with every committed unit and the seq of its first row. It must be quick."""
        self._watchers.append(watcher)

    # ---- hooks of the drivers ----------------------------------------------------------------------------------------

    def _hungry(self) -> int:
        return self._waiting - len(self._inbox) - self._promised

    def _promise(self, more: int) -> None:
        """Note messages that were decided for a consumer, and (less than 0) those that are committed or never will be."""
        self._promised += more

    def _hand(self, handed: Handed) -> None:
        account = handed.address.split("/")[1]
        message = Message(self, account, handed)
        self._given[handed.address] = weakref.ref(message)
        self._inbox.append(message)
        self._feed()

    async def _handled(self, message: Message, error: str | None) -> None:
        """Record how a handler ended; return when that is durable, or when the account was let go."""
        driver = self._drivers.get(message.account)
        recorded = driver is not None and await driver.handled(message.address, error)
        if not recorded:  # the account may be taken up again by this process, and must not hand it over once more
            self._unrecorded.setdefault(message.account, {})[message.address] = error
        self._given.pop(message.address, None)

    def _let_fall(self, account: str, address: str) -> None:
        self._given.pop(address, None)
        driver = self._drivers.get(account)
        if driver is not None:
            driver.note_handled(address, "it was taken and let fall: use `async with message:`")

    def _is_given(self, address: str) -> bool:
        held = self._given.get(address)
        return (held is not None and held() is not None) or address in self._unrecorded.get(address.split("/")[1], {})

    def _give_up(self) -> None:
        """Take back what was taken and never entered."""
        for held in list(self._given.values()):
            message = held()
            if message is not None and message.give_up():
                self._let_fall(message.account, message.address)

    def _feed(self) -> None:
        self._fed.set()
        self._fed = trio.Event()

    def _moved(self, unit: Unit, first: int) -> None:
        for watcher in self._watchers:
            watcher(unit, first)

    def _settle(self, address: str) -> None:
        if (event := self._settlers.pop(address, None)) is not None:
            event.set()

    async def _settled(self, address: str) -> Delivered | Dead | Expired:
        while (outcome := self._outcome(address)) is None:
            if self._let_go.is_set():
                raise GatewayStopped(f"{address} is still under way; the next start goes on with it")
            ended = self._settlers.setdefault(address, trio.Event())
            try:
                await ended.wait()
            finally:
                if not ended.is_set() and ended.statistics().tasks_waiting == 0:
                    self._settlers.pop(address, None)
        return outcome

    def _outcome(self, address: str) -> Delivered | Dead | Expired | None:
        store = self._journal.store
        found = store.state_of(address)
        if found is None:
            if store.sends_wait(address.split("/")[1]):
                return None  # it was asked for, and is not accepted yet
            found = store.state_of(address)  # looked at again: it may have been accepted between the two looks
            if found is None:
                return Expired("it is over, and the journal holds no more of it")
        if found[0] not in SETTLED:
            return None
        state, text = found
        data = codec.loads(text, Delivery)
        if state == "delivered":
            return Delivered(data.message, data.doubled, data.unconfirmed)
        return Dead(data.reason, data.action) if state == "dead" else Expired(data.reason or state)

    # ---- accounts ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Drive every account until `stop`, each independently of the others.

        Whoever cancels the gateway gets it drained first: the accounts are shielded, and `run_gateway` says when it has
        waited long enough.
        """
        try:
            with self._patience:
                async with trio.open_nursery() as background:
                    background.start_soon(self._clock.run)
                    background.start_soon(self._look)
                    background.start_soon(self._beat)
                    background.start_soon(self._tidy)
                    async with trio.open_nursery() as accounts:
                        for number, (name, config) in enumerate(self._configs.items()):
                            if number >= STARTED_AT_ONCE:
                                with trio.move_on_after(START_APART / SECONDS):
                                    await self._stop.wait()
                            accounts.start_soon(self._supervise, name, config, accounts, name=name)
                    self.stop("a command")  # every account was let go, so there is nothing left to be done here
                    background.cancel_scope.cancel()
                    if self._monitors is not None:
                        self._monitors.look(self._world.now())
        finally:
            self._let_go.set()
            for event in self._settlers.values():
                event.set()

    async def _supervise(self, name: str, config: AccountConfig, accounts: trio.Nursery) -> None:
        """Drive one account, whatever happens to it: a fault in one never touches another."""
        claim = self._claims[name] = self._claim(name, config)
        failures = 0
        while not self.stopping:
            first: BaseException | None = None
            began = None
            try:
                if not await self._wait_for(name, claim):
                    return
                began = self._world.now()
                await self._drive(name, config, accounts)
            except Exception as error:
                first = _first(error)
                if isinstance(first, StatecoreError):
                    log.error("account %s: %s; it is taken up again from the journal", name, first)  # noqa: TRY400
                else:
                    log.exception("account %s failed; it is taken up again from the journal", name)
                self._troubles[name] = f"{type(first).__name__}: {first}"
            finally:
                claim.release()
                self._note_hermes(name)
                self._drivers.pop(name, None)
                self._epochs.pop(name, None)
            if first is None:  # it was let go in order
                if self.stopping or not await self._is_left_alone(name, claim):
                    return
                continue
            if isinstance(first, Fenced):
                await self._outwait(name)
            failures = backoff.failures_now(Backoff(), failures, began, self._world.now())
            with trio.move_on_after(backoff.delay(Backoff(), failures, self._world.draw()) / SECONDS):
                await self._stop.wait()

    def _claim(self, name: str, config: AccountConfig) -> Claim:
        return Claim(
            name=name,
            lock=Lock(config.identity, self._options.lock_folder),
            hermes=HermesLocks(lambda: getattr(config, "hermes_scopes", ())),
            journal=self._journal,
            world=self._world,
            boot=self._boot,
            replacing=self._replacing,
        )

    async def _is_left_alone(self, name: str, claim: Claim) -> bool:
        """Tell whether an account that was let go is still ours to drive."""
        if name in self._displaced:
            self._displaced.discard(name)
            return True
        asked = [command.text for command in self._stops.get(name, {}).values() if command.target == self._boot]
        if not asked:
            return False  # nobody was to follow
        successor = await claim.followed(self._stop)
        if successor is not None:  # it need not be who asked: another process may have waited longer
            log.warning("account %s: handed over to %s", name, successor)
            return False
        if self.stopping:
            return False  # this process ends, and has nothing more to say in it
        log.warning("account %s: let go for %s, and nobody came; taking it up again", name, asked[-1])
        return True

    async def _outwait(self, name: str) -> None:
        """Leave the account to the process that took it although our lock was ours: wait until that one is done or silent.

        That happens where two processes do not agree on where the locks are. Without this they would take the account
        from one another for ever.
        """
        while not self.stopping:
            owner = self._journal.owner(name)
            if owner is None or owner.silent or owner.says == "stopped":
                return
            self._troubles[name] = (
                f"another process took it ({owner.pid} on {owner.host}); do both use the same STATECORE_LOCK_DIR?"
            )
            with trio.move_on_after(1):
                await self._stop.wait()

    async def _wait_for(self, name: str, claim: Claim) -> bool:
        """Wait for the account's lock, however long; return False if the gateway stops first."""

        def trouble(text: str) -> None:
            self._troubles[name] = text

        ours = await claim.acquire(self._stop, trouble)
        if ours:
            self._troubles.pop(name, None)
            self._note_hermes(name)
        return ours

    async def _drive(self, name: str, config: AccountConfig, accounts: trio.Nursery) -> None:
        epoch, offline = await self._journal.take(name, self._boot, *here())
        # Whoever drove it last may have been ahead of us, if the wall clock was set back between its start and ours. The
        # deadlines in the journal are on its clock.
        behind = max(0, self._journal.store.latest_at() - self._world.now())
        self._world.forward(behind)
        self._caught_up += behind
        driver = Driver(
            name, config, self._journal, self._world, self._options.governor, self._hooks, self._clock, accounts
        )
        self._epochs[name] = epoch
        self._drivers[name] = driver
        self._stops.pop(name, None)
        if self.stopping:
            return
        self._take_commands()
        late = {
            address: driver.note_handled(address, error) for address, error in self._unrecorded.get(name, {}).items()
        }
        try:
            await driver.run(self._started(config, epoch, offline), self._is_given)
        finally:
            for address, noted in late.items():
                if noted.durable:
                    del self._unrecorded[name][address]
        await self._journal.beat({name: (epoch, "stopped")})

    def _started(self, config: AccountConfig, epoch: int, offline: int) -> Started:
        pid, host = here()
        return Started(
            boot=self._boot,
            pid=pid,
            host=host,
            epoch=epoch,
            offline=offline,
            resumable=config.policies.sessions.resume_within,
            settings=recorded(config),
            chance=chance.seed(self._world.draw()),
        )

    # ---- background --------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Notice what other processes ask for, and what the machine went through."""
        slept = self._world.asleep()
        drift = self._drift()
        looks = 0
        while True:
            await trio.sleep(LOOK_EVERY / SECONDS)
            looks += 1
            self._give_up()
            if looks % CREDENTIALS_EVERY_LOOKS == 0:
                for driver in self._drivers.values():
                    driver.look_for_credentials()
                self._look_for_hermes()
            try:
                self._look_for_work()
            except StatecoreError as error:
                log.warning("the journal could not be read: %s", error)
            if self._monitors is not None:
                self._monitors.look(self._world.now())
            now_slept = self._world.asleep()
            if now_slept - slept > STEP_NOTED:
                self._woke(now_slept - slept)
            slept = now_slept
            stepped = self._drift() - drift
            if abs(stepped) > STEP_NOTED:
                log.warning("the wall clock was set by %+.1f s; no decision depends on it", stepped / SECONDS)
                self._post_all(ClockStepped(by=stepped))
                drift += stepped

    def _drift(self) -> int:
        """Return by how much the wall clock is ahead of ours, which changes when somebody sets it."""
        return self._world.wall() - self._world.now() + self._caught_up

    def _look_for_work(self) -> None:
        if self._journal.store.changed():
            self._take_commands()
            for address in list(self._settlers):
                if self._outcome(address) is not None:
                    self._settle(address)

    def _woke(self, slept: int) -> None:
        log.warning("the machine was suspended for %.0f s; every connection is asked again", slept / SECONDS)
        self._world.forward(slept)
        for driver in self._drivers.values():
            driver.post(lambda driver=driver: driver.account.woke(slept))  # type: ignore[misc]

    def _post_all(self, event: ClockStepped) -> None:
        for driver in self._drivers.values():
            driver.post(lambda driver=driver: driver.account.happened(event))  # type: ignore[misc]

    def _look_for_hermes(self) -> None:
        """Stand back from an account that a Hermes gateway has taken although its lock was ours."""
        names = self._drivers if hermes_is_here() else self._beside_hermes
        for name in list(names):
            driver, locks = self._drivers.get(name), self._claims[name].hermes
            if driver is None or driver.ended or name in self._displaced:
                continue
            try:
                other = locks.keep()
            except StatecoreError as error:
                log.warning("account %s: %s", name, error)
                continue
            self._note_hermes(name)
            if other is not None:
                log.error("account %s: %s has taken its lock; standing back", name, other)
                self._displaced.add(name)
                driver.stop(str(other), self._options.drain)
                self._hasten()

    def _note_hermes(self, name: str) -> None:
        """Keep a list of who has locks of Hermes, so that where there is no Hermes nobody is looked at."""
        if self._claims[name].hermes.holds:
            self._beside_hermes.add(name)
        else:
            self._beside_hermes.discard(name)

    def _take_commands(self) -> None:
        for name in self._journal.store.asked():
            driver = self._drivers.get(name)
            if driver is None or driver.ended:
                continue
            commands = self._journal.store.commands(name)
            self._take_stops(name, driver, [command for command in commands if command.kind == "stop"])
            sends = driver.carry_out([command for command in commands if command.kind != "stop"])
            if sends:
                assert self._nursery is not None, "commands are taken only while the gateway runs"
                self._nursery.start_soon(driver.accept_commands, sends)

    def _take_stops(self, name: str, driver: Driver, commands: Sequence[Command]) -> None:
        """Let an account go for whoever asked for that.

        A command that names an owner is for that one only: it may be found by the very process that gave it, which has the
        account now because the owner did not live to read it.
        """
        for command in commands:
            stops = self._stops.setdefault(name, {})
            if command.id in stops:
                continue
            stops[command.id] = command
            driver.post(lambda command=command: self._stop_asked(driver, command))  # type: ignore[misc]
            self._hasten()

    def _stop_asked(self, driver: Driver, command: Command) -> Unit:
        if command.target in ("", self._boot):
            unit = driver.account.stop(command.text or "command", self._options.drain)
        else:
            unit = driver.account.system.begin(self._world.now())
        unit.done.append(command.id)
        return unit

    _nursery: trio.Nursery | None = None

    async def _tidy(self) -> None:
        """Prune the journal now and then."""
        policy = self._options.retention
        while True:
            await trio.sleep(policy.every / SECONDS)
            if not self._drivers:
                continue  # whoever drives the accounts sees to their journal
            try:
                await self._journal.prune(
                    now=self._world.now(),
                    older_than=policy.keep,
                    max_bytes=policy.max_mb * 1_000_000,
                    dropped=self._dropped,
                )
            except StatecoreError as error:
                log.warning("the journal could not be pruned: %s", error)

    def _dropped(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            driver = self._drivers.get(address.split("/")[1])
            if driver is not None:
                driver.account.system.forget(address)

    def _hasten(self) -> None:
        """Have the heartbeat written now."""
        self._hurry.set()
        self._hurry = trio.Event()

    async def _beat(self) -> None:
        while True:
            letting_go = self.stopping or any(driver.account.draining for driver in self._drivers.values())
            with trio.move_on_after((BEAT_LETTING_GO_EVERY if letting_go else BEAT_EVERY) / SECONDS):
                await self._hurry.wait()
            statuses = {
                name: (self._epochs[name], f"paused: {driver.paused}" if driver.paused else "running")
                for name, driver in self._drivers.items()
                if name in self._epochs
            }
            try:
                if statuses:
                    await self._journal.beat(statuses)
                self._pulse = trio.current_time()
            except (JournalBusy, JournalFull) as error:
                self._pulse = trio.current_time()  # the journal answers; what it says is no fault of this process
                log.warning("the heartbeat could not be written: %s", error)
            except StatecoreError as error:
                log.warning("the heartbeat could not be written: %s", error)

    # ---- for whoever watches over the process ------------------------------------------------------------------------

    @property
    def pulse_age(self) -> int:
        """For how long, in ns, the journal has not answered the heartbeat.

        A journal that is full or busy answers, and says so: starting anew would mend neither. One that does not answer,
        or is damaged, is a reason to end this process.
        """
        return round((trio.current_time() - self._pulse) * SECONDS)

    def doing(self) -> dict[str, str]:
        """Return what this process does about each account, for people. It costs nothing, and reads no journal."""
        found = {}
        troubles = self.troubles()
        for name in self._configs:
            driver = self._drivers.get(name)
            state = "starting" if driver is None else driver.account.system.snapshot(driver.account.address).state
            if driver is None and self.stopping:
                state = "let go"
            found[name] = troubles.get(name, state)
        return found


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _expiry(expires: float | str) -> int:
    if isinstance(expires, float) and not math.isfinite(expires):
        raise NotAccepted(f"expires must be finite, got {expires!r}")
    try:
        return parse_duration(expires)
    except ValueError as error:
        raise NotAccepted(f"expires: {error}") from None


@asynccontextmanager
async def run_gateway(
    journal: Any,
    accounts: Mapping[str, AccountConfig],
    world: World,
    options: Options,
    *,
    signals: tuple[int, ...],
    replacing: Replacing | None = None,
    monitors: Monitors | None = None,
) -> AsyncIterator[Gateway]:
    """Run a gateway over an open journal; leaving the context drains it.

    Args:
        journal: see `statecore_journal.Journal`.
        accounts: by name.
        world: time, chance, ids.
        options: how it runs.
        signals: signals on which it stops by itself.
        replacing: how to replace the processes that drive the accounts now; None to wait for them.
        monitors: what watches for incidents, if anything does.
    """
    for name in accounts:
        if not is_account_name(name):
            raise ConfigError(f"accounts.{name}", "a name of an account must not be empty or hold a slash")
    gateway = Gateway(journal, accounts, world, options, replacing, monitors)
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            gateway._nursery = nursery  # noqa: SLF001 - the gateway's own tasks live in it
            if signals:
                await nursery.start(_stop_on, gateway, signals)
            # It is shielded. So it is not waited for here: a cancellation would leave `start` waiting for its end, and nobody
            # would tell it to stop.
            nursery.start_soon(gateway.run)
            try:
                yield gateway
            except BaseException as error:
                failed = error
                raise
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + options.drain / SECONDS + 15):
                    gateway.stop()
                    await gateway._let_go.wait()  # noqa: SLF001
                gateway._patience.cancel()  # noqa: SLF001
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if failed is not None and group.exceptions == (failed,):
            raise failed from failed.__cause__  # the nursery is ours, so its wrapping is no business of the caller's
        raise


async def _stop_on(
    gateway: Gateway, signals: tuple[int, ...], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(*signals) as received:
        task_status.started()
        again = False
        async for number in received:
            if again:
                log.warning("signal %d again: not waiting for what is under way", number)
                gateway.hurry()
            else:
                log.warning("signal %d: letting go; once more, and nothing is waited for", number)
                gateway.stop(f"signal {number}")
            again = True
