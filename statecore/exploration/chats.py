"""The shipped machines composed: a tie, circuits, windows, messages of several chats, and a network and a platform. Pure.

What the account decides is decided by its own code (`statecore.exploration.bench`). Here is what surrounds it: requests that
are asked for and have not left, that are under way, that arrived; answers that get lost or come too late; copies of requests
that arrive long after anybody waits for them; a platform that knows repetitions or does not; and processes that end between
any two steps, of which only what was committed is left.

A state is one integer: the number of what all share, and for each chat the number of what is its own. What may happen to a
chat depends on its number and on what all share, seldom on other chats. So it is worked out once for each such pair, as
differences of integers, and exploring is adding them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from statecore.exploration.abstraction import Place
from statecore.exploration.bench import (
    JOURNAL_FIRST,
    ONE_PROBE,
    ORDER,
    Bench,
    Core,
    Decision,
    View,
)
from statecore.exploration.scene import NAME, UNBOUNDED, Act, Budgets, Scene
from statecore.machine import Machine
from statecore.machines.delivery import ENDED, SENDING, Delivery, SendPart
from statecore.system import NO_LANE

BITS: Final = 20
MASK: Final = (1 << BITS) - 1

CRASH: Final = (Act("crash"),)
START: Final = (Act("start"),)

STRAYS_MAX: Final = 2
"""Old requests of one message that the network may hold at once."""

DELIVERED: Final = "what counts as delivered was taken by the platform (G3)"
DOUBLED: Final = "what is shown twice is marked as possibly doubled (G4)"

Key = Any
"""What the platform knows a request by: the part, or the message that it answers and the number of the answer."""


class Net(NamedTuple):
    """Where the requests of one message are.

    Args:
        phase: of the attempt under way: "", "out" (asked for by what is committed; in the network, or about to be),
            "taken", "pending", "refused" (the answer is in the network). One that was asked for and never left cannot be
            told from one that never arrives.
        key: what that attempt is known by.
        probe: whose probe it is: "", "chat", "account".
        strays: keys of old requests that may still arrive.
        taken: how often each part was shown, up to two.
    """

    phase: str = ""
    key: Key = None
    probe: str = ""
    strays: tuple[Key, ...] = ()
    taken: tuple[int, ...] = ()


NOTHING: Final = Net()


class Chat(NamedTuple):
    """What is one chat's own."""

    core: Core
    nets: tuple[Net, ...]
    wrong: str = ""


class Shared(NamedTuple):
    """What all chats share.

    Args:
        up: whether a process drives the account.
        tie: the connection or session.
        account: the account's circuit.
        probes: probes of the account that are under way.
        budgets: what may still happen.
    """

    up: bool
    tie: Place
    account: Place
    probes: int
    budgets: Budgets


class Option(NamedTuple):
    """Something that may happen to one chat.

    Args:
        act: what.
        spends: name of the budget that it takes from, or empty.
        nets: where the requests are afterwards, before anything is decided.
        decided: whether the account decides something about it.
        wrong: what must not be, or empty.
    """

    act: Act
    spends: str
    nets: tuple[Net, ...]
    decided: bool = True
    wrong: str = ""


class Step(NamedTuple):
    """One step as differences: what happens, by how much the state changes, and what other chats become, as views."""

    act: Act
    by: int
    views: tuple[tuple[int, View], ...] = ()


Moves: TypeAlias = tuple[tuple[Act, ...], tuple[int, ...]]
"""What may happen, and by how much the state changes with each."""


class Narrow(NamedTuple):
    """What may happen to a chat.

    Args:
        moves: whatever the others are.
        wide: what depends on them.
        begun: number of what all share after a process has begun, as far as this chat is concerned; 0 where one is up.
        by: by how much the beginning of a process changes the chat, or its end by a crash where one is up.
    """

    moves: Moves
    wide: list[Option]
    begun: int
    by: int


def _grouped(moves: Sequence[tuple[Act, int]]) -> Moves:
    return tuple(act for act, _ in moves), tuple(by for _, by in moves)


class _Numbers:
    """Numbers for values, in the order in which they are first met."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self.values: list[Any] = []

    def of(self, value: Any) -> int:
        """Return the number of a value."""
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
            assert number <= MASK, "there are more values than a state has room for"
        return number


class ChatsModel:
    """A scene as a `Model`: states are integers, actions are `Act`.

    Attributes:
        prelude: what had happened already where it begins, if the scene begins tied.
        wrongs: what was met that must not be.
        decided: how many decisions were taken by the code of the account; the others were remembered.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.bench = Bench(scene)
        self.count = len(scene.deliveries)
        self._indexes = range(self.count)
        self._shared = _Numbers()
        self._chats = [_Numbers() for _ in range(self.count)]
        self._views = _Numbers()
        self._view_of: list[list[int]] = [[] for _ in range(self.count)]
        self._decisions: dict[int, Decision | None] = {}
        self._asked_for, self._cores, self._places = _Numbers(), _Numbers(), _Numbers()
        self._narrow_moves: dict[int, Narrow] = {}
        self._wide_moves: dict[Any, list[Step]] = {}
        self._tie_moves: dict[Any, tuple[list[Step], list[Step]]] = {}
        self._alone: dict[int, tuple[Moves, list[Step]]] = {}
        self._edges: dict[int, tuple[tuple[Act, ...], int]] = {}
        self._looked = False
        self._changed: dict[Any, int] = {}
        self._begun_as = _Numbers()
        self._ended_as: dict[int, int] = {}
        self.wrongs: set[str] = set()
        self._wrong: list[dict[int, str]] = [{} for _ in range(self.count)]
        self._settled: list[list[bool]] = [[] for _ in range(self.count)]
        self._quiet = tuple(self.bench.view(self.bench.first_core(chat)) for chat in range(self.count))
        self.decided = 0
        self.prelude: tuple[Act, ...] = ()

    # ---- the model ---------------------------------------------------------------------------------------------------

    def initial(self) -> Iterable[int]:
        """Return where it begins: nothing was sent yet, and nobody has written."""
        bench = self.bench
        shared = Shared(False, bench.first_tie(), bench.first_circuit(), 0, self.scene.budgets)
        chats = [Chat(bench.first_core(chat), (NOTHING,) * count) for chat, count in enumerate(self.scene.deliveries)]
        if self.scene.tied:
            shared = self._tied(shared)
        return [self.pack(shared, chats)]

    def _tied(self, shared: Shared) -> Shared:
        """Go to where the account is tied for the first time, without a fault; note how."""
        ways: dict[Shared, tuple[Act, ...]] = {shared: ()}
        for one in (waiting := [shared]):
            if one.tie.state == "connected":
                self.prelude = ways[one]
                return one
            for act, after, _ in self._of_tie(one, self._quiet):
                if after not in ways and after.budgets == shared.budgets:
                    ways[after] = (*ways[one], act)
                    waiting.append(after)
        raise AssertionError("a tie that is never ready")

    def actions(self, state: int) -> list[tuple[Act, int]]:
        """Return what may happen in a state, and where each leads."""
        return [
            (act, state + by)
            for acts, differences in self.differences(state)
            for act, by in zip(acts, differences, strict=True)
        ]

    def differences(self, state: int) -> list[Moves]:
        """Return the same as differences of states, in groups that were worked out before."""
        shared = state & MASK
        found: list[Moves] = []
        rest, edge, changed = state >> BITS, 0, 0
        for index in self._indexes:
            key = shared | (rest & MASK) << BITS | index << 2 * BITS
            known = self._narrow_moves.get(key)
            if known is None:
                known = self._narrow_moves[key] = self._narrow(shared, index, rest & MASK)
            moves, wide, begun, by = known
            rest >>= BITS
            edge = edge << BITS | begun
            changed += by
            found.append(moves)
            if wide:
                found.append(self._with_others(state, key, index, wide))
        alone = self._alone.get(shared)
        moves, closing = self._together(state, shared) if alone is None else alone
        found.append(moves)
        act, by = self._edges.get(edge << BITS | shared) or self._edge(shared, edge)
        if act:
            found.append((act, (by + changed,)))
        if closing:
            found.append(_grouped([(step.act, self._ended(self._with_views(state, step)) - state) for step in closing]))
        return found

    # ---- packing -----------------------------------------------------------------------------------------------------

    def pack(self, shared: Shared, chats: Iterable[Chat]) -> int:
        """Return the state for what is shared and each chat's own."""
        state = self._shared.of(shared)
        for index, chat in enumerate(chats):
            state |= self._number(index, chat) << BITS * (index + 1)
        return state

    def _number(self, index: int, chat: Chat) -> int:
        number = self._chats[index].of(chat)
        if number == len(self._view_of[index]):
            self._view_of[index].append(self._views.of(self.bench.view(chat.core)))
            if chat.wrong:
                self._wrong[index][number] = chat.wrong
                self.wrongs.add(chat.wrong)
        return number

    def shared(self, state: int) -> Shared:
        """Return what all chats share in a state."""
        value: Shared = self._shared.values[state & MASK]
        return value

    def chat(self, state: int, index: int) -> Chat:
        """Return what is one chat's own in a state."""
        value: Chat = self._chats[index].values[(state >> BITS * (index + 1)) & MASK]
        return value

    def chats(self, state: int) -> list[Chat]:
        """Return what is each chat's own in a state."""
        return [self.chat(state, index) for index in range(self.count)]

    def wrong(self, state: int) -> str:
        """Return what must not be and is, or nothing."""
        for index, known in enumerate(self._wrong):
            if known:
                found = known.get((state >> BITS * (index + 1)) & MASK)
                if found is not None:
                    return found
        return ""

    def is_at(self, state: int, tie: Place, account: Place, cores: Iterable[Core]) -> bool:
        """Tell whether a state is one in which an account is there, as far as it knows itself."""
        shared = self.shared(state)
        mine = [chat.core for chat in self.chats(state)]
        theirs = [self._tidy(Chat(core, self.chat(state, index).nets)).core for index, core in enumerate(cores)]
        return shared.tie == tie and shared.account == account and mine == theirs

    def is_settled(self, index: int, state: int) -> bool:
        """Tell whether every message of a chat has ended, or waits for its user alone."""
        number = (state >> BITS * (index + 1)) & MASK
        settled = self._settled[index]
        if len(settled) <= number:
            settled += [_has_settled(chat.core) for chat in self._chats[index].values[len(settled) :]]
        return settled[number]

    def reached(self) -> dict[str, set[str]]:
        """Return the states of each machine that were met so far."""
        found: dict[str, set[str]] = {"circuit": set(), "window": set(), "delivery": set()}
        found[self.bench.tie_machine.name] = {shared.tie.state for shared in self._shared.values}
        found["circuit"] |= {shared.account.state for shared in self._shared.values}
        for numbers in self._chats:
            for chat in numbers.values:
                found["circuit"].add(chat.core.circuit.state)
                found["window"].add(chat.core.window.state)
                found["delivery"] |= {"new" if place is None else place.state for place in chat.core.deliveries}
        return found

    # ---- one chat ----------------------------------------------------------------------------------------------------

    def _narrow(self, shared_number: int, index: int, number: int) -> Narrow:
        """Work out what may happen to a chat, whatever the others are."""
        shared: Shared = self._shared.values[shared_number]
        chat: Chat = self._chats[index].values[number]
        moves: list[tuple[Act, int]] = []
        wide: list[Option] = []
        for option in self._options(shared, index, chat):
            decision: Decision | None = None
            if option.decided:
                decision = self._decide(option.act, shared, index, chat.core, None)
                if decision is None:
                    continue
                if decision.wide:
                    wide.append(option)
                    continue
            moves.append((option.act, self._by(shared_number, number, index, option, decision)))
        if not shared.up:
            begun, by = self._begun(shared, index, number)
            return Narrow(_grouped(moves), wide, begun, by)
        return Narrow(_grouped(moves), wide, 0, self._forgets(index, number) if shared.budgets.crashes else 0)

    def _with_others(self, state: int, key: int, index: int, options: list[Option]) -> Moves:
        """Return what may happen to a chat that depends on the others."""
        views = self._views_in(state)
        wide = (key, *views)
        known = self._wide_moves.get(wide)
        if known is None:
            known = self._wide_moves[wide] = []
            shared: Shared = self._shared.values[state & MASK]
            number = (state >> BITS * (index + 1)) & MASK
            chat: Chat = self._chats[index].values[number]
            others = {j: self._views.values[views[j]] for j in range(self.count) if j != index}
            for option in options:
                decision = self._decide(option.act, shared, index, chat.core, others)
                if decision is not None:
                    by = self._by(state & MASK, number, index, option, decision)
                    known.append(Step(option.act, by, tuple(decision.views.items())))
        return _grouped([(step.act, self._with_views(state, step) - state) for step in known])

    def _views_in(self, state: int) -> list[int]:
        return [self._view_of[chat][(state >> BITS * (chat + 1)) & MASK] for chat in range(self.count)]

    def _with_views(self, state: int, step: Step) -> int:
        after = state + step.by
        for index, view in step.views:
            number = (state >> BITS * (index + 1)) & MASK
            after += (self._seen_as(index, number, view) - number) << BITS * (index + 1)
        return after

    def _by(self, shared_number: int, number: int, index: int, option: Option, decision: Decision | None) -> int:
        """Return by how much the state changes."""
        shared: Shared = self._shared.values[shared_number]
        chat: Chat = self._chats[index].values[number]
        after, changed = self._after(shared, index, chat, option, decision)
        by = self._shared.of(after) - shared_number
        return by + ((self._number(index, changed) - number) << BITS * (index + 1))

    def _after(
        self, shared: Shared, index: int, chat: Chat, option: Option, decision: Decision | None
    ) -> tuple[Shared, Chat]:
        """Return what all share, and the chat, after something happened to it."""
        budgets = _spent(shared.budgets, option.spends)
        nets, wrong = option.nets, option.wrong
        ended = sum(one.probe == "account" and not nets[i].phase for i, one in enumerate(chat.nets))
        shared = shared._replace(budgets=budgets, probes=shared.probes - ended)
        if decision is None:
            return shared, self._tidy(Chat(chat.core, nets, wrong))
        probes = shared.probes
        if not wrong:
            nets, wrong = self._asked(shared, index, chat.core, nets, decision)
            probes += sum(probe == "account" for _, _, probe in decision.probes)
        after = _shared_after(shared, decision)._replace(probes=probes)
        return after, self._tidy(Chat(decision.core, nets, wrong))

    def _asked(
        self, shared: Shared, index: int, before: Core, nets: tuple[Net, ...], decision: Decision
    ) -> tuple[tuple[Net, ...], str]:
        """Note what is to leave, and see that it may."""
        core, wrong, changed = decision.core, decision.wrong, list(nets)
        for _, delivery, probe in decision.probes:
            earlier = core.order[: core.order.index(delivery)]
            if any(_is_live(core.deliveries[one]) for one in earlier):
                wrong = wrong or ORDER
            if shared.account.state in ("open", "probing") or before.circuit.state in ("open", "probing"):
                wrong = wrong or ONE_PROBE
            if probe == "account" and shared.probes:
                wrong = wrong or ONE_PROBE
            changed[delivery] = changed[delivery]._replace(probe=probe)
        for _, delivery, effect in decision.asked:
            place = core.deliveries[delivery]
            if changed[delivery].phase or place is None or place.state not in SENDING:
                wrong = wrong or JOURNAL_FIRST
            changed[delivery] = changed[delivery]._replace(phase="out", key=self._key(effect))
        for delivery, place in enumerate(core.deliveries):
            was = before.deliveries[delivery]
            new = place is not None and place.state == "delivered" and (was is None or was.state != "delivered")
            if new and not all(self._shown(index, delivery, changed[delivery])):
                wrong = wrong or DELIVERED
        return tuple(changed), wrong

    def _shown(self, index: int, delivery: int, net: Net) -> tuple[int, ...]:
        return net.taken or (0,) * self.scene.parts_of(index, delivery)

    def _key(self, effect: SendPart) -> Key:
        return (effect.part, effect.answers, effect.number) if self.scene.platform.answers else (effect.part,)

    def _tidy(self, chat: Chat) -> Chat:
        """Drop what nothing depends on any more."""
        core, nets, wrong = chat
        places, kept = list(core.deliveries), list(nets)
        for delivery, place in enumerate(places):
            net = kept[delivery]
            if place is None:
                continue
            if net.phase and place.state not in SENDING:
                net = _given_up(net)
            net = _settled(net, place)
            if place.state in ENDED or (place.state == "dead" and not self.scene.budgets.people):
                if net.strays:
                    places[delivery] = Place(place.state, Delivery(doubled=place.data.doubled))
                else:
                    places[delivery], net = Place(place.state, Delivery()), NOTHING
            kept[delivery] = net
        order = tuple(one for one in core.order if _is_live(places[one]))
        return Chat(core._replace(deliveries=tuple(places), order=order), tuple(kept), wrong)

    def _seen_as(self, index: int, number: int, view: View) -> int:
        """Return the number of a chat after another one's decision changed what is seen of it."""
        key = (index, number, self._views.of(view))
        known = self._changed.get(key)
        if known is None:
            chat: Chat = self._chats[index].values[number]
            core = chat.core._replace(circuit=view.circuit, ready=view.ready)
            if view.head >= 0:
                places = tuple(view.first if i == view.head else place for i, place in enumerate(core.deliveries))
                core = core._replace(deliveries=places)
            known = self._changed[key] = self._number(index, self._tidy(chat._replace(core=core)))
        return known

    # ---- decisions ---------------------------------------------------------------------------------------------------

    def _decide(
        self, act: Act, shared: Shared, index: int, core: Core, views: Mapping[int, View] | None
    ) -> Decision | None:
        """Have the account decide, once for everything that the decision depends on."""
        asked = self._asked_for.of((act, index, self._cores.of(core), None if views is None else tuple(views.items())))
        tie, account = self._places.of(shared.tie) + 1, self._places.of(shared.account) + 1
        asked, tie = asked << 2 * BITS, tie << BITS
        for key in (asked, asked | tie, asked | account, asked | tie | account):  # by what it may have looked at
            if key in self._decisions:
                return self._decisions[key]
        others = views if views is not None else {j: self._quiet[j] for j in range(self.count) if j != index}
        decision = self.bench.decide(act, shared.tie, shared.account, index, core, others)
        self.decided += 1
        if decision is None:
            self._decisions[asked | tie | account] = None
            return None
        decision = decision._replace(entries=())
        key = asked | (tie if decision.of_tie else 0) | (account if decision.of_account else 0)
        self._decisions[key] = decision
        return decision

    # ---- what may happen to a chat -----------------------------------------------------------------------------------

    def _options(self, shared: Shared, index: int, chat: Chat) -> Iterable[Option]:
        if chat.wrong:
            return
        yield from self._of_network(shared, index, chat)
        if not shared.up:
            return
        yield from self._of_attempts(shared, index, chat)
        yield from self._of_timers(shared, index, chat)
        core, nets = chat.core, chat.nets
        if None in core.deliveries:
            yield Option(Act("accept", index, core.deliveries.index(None)), "", nets)
        if core.ready:
            yield Option(Act("turn", index), "", nets)
        if shared.budgets.writes and self._reads(shared):
            yield Option(Act("write", index), "writes", nets)
        yield from self._of_people(shared, index, chat)

    def _reads(self, shared: Shared) -> bool:
        effect = self.bench.tie_machine.effect(shared.tie.state)
        return (
            effect is not None and effect.name in ("Receive", "read_frame", "beat") and shared.tie.state != "greeting"
        )

    def _of_network(self, shared: Shared, index: int, chat: Chat) -> Iterable[Option]:
        for delivery, net in enumerate(chat.nets):
            if net.phase == "out":
                yield self._arrival(index, delivery, chat, "taken")
                if self.scene.platform.reviews:
                    yield self._arrival(index, delivery, chat, "pending")
                if shared.budgets.refusals:
                    yield self._arrival(index, delivery, chat, "refused")
                if shared.budgets.copies and len(net.strays) < STRAYS_MAX:
                    copied = net._replace(strays=tuple(sorted((*net.strays, net.key))))
                    yield Option(
                        Act("copy", index, delivery), "copies", _put(chat.nets, delivery, copied), decided=False
                    )
            for key in sorted(set(net.strays)):
                strays = list(net.strays)
                strays.remove(key)
                nets, wrong = self._shows(index, delivery, chat, net._replace(strays=tuple(strays)), key)
                yield Option(Act("stray", index, delivery), "", nets, decided=False, wrong=wrong)

    def _arrival(self, index: int, delivery: int, chat: Chat, how: str) -> Option:
        net = chat.nets[delivery]._replace(phase=how)
        act = Act("arrive", index, delivery, how)
        if how == "refused":
            return Option(act, "refusals", _put(chat.nets, delivery, net), decided=False)
        nets, wrong = self._shows(index, delivery, chat, net, net.key)
        return Option(act, "", nets, decided=False, wrong=wrong)

    def _shows(self, index: int, delivery: int, chat: Chat, net: Net, key: Key) -> tuple[tuple[Net, ...], str]:
        """Have the platform take a request, and show it unless it knows it."""
        part = key[0]
        taken = list(self._shown(index, delivery, net))
        if taken[part] and self.scene.platform.deduplicates:
            return _put(chat.nets, delivery, net), ""
        taken[part] = min(2, taken[part] + 1)
        place = chat.core.deliveries[delivery]
        assert place is not None, "what was never accepted has no request"
        wrong = DOUBLED if taken[part] > 1 and part not in place.data.doubled else ""
        return _put(chat.nets, delivery, net._replace(taken=tuple(taken))), wrong

    def _of_attempts(self, shared: Shared, index: int, chat: Chat) -> Iterable[Option]:
        budgets = shared.budgets
        for delivery, net in enumerate(chat.nets):
            over = _put(chat.nets, delivery, net._replace(phase="", key=None, probe=""))
            match net.phase:
                case "out":
                    if budgets.unsent:
                        yield Option(Act("answer", index, delivery, "unsent"), "unsent", over)
                    if budgets.losses:
                        yield from self._unclear(index, delivery, over, "lost")
                        if len(net.strays) < STRAYS_MAX:
                            late = _put(chat.nets, delivery, _given_up(net))
                            yield from self._unclear(index, delivery, late, "late")
                case "taken" | "pending":
                    yield Option(Act("answer", index, delivery, net.phase), "", over)
                case "refused":
                    for reading in self.scene.readings:
                        if reading == "taken" and net.key[0] not in _parts_shown(net):
                            continue  # a platform that never took it does not say so
                        yield Option(Act("answer", index, delivery, f"refused as {reading}"), "", over)
                        if reading == "account" and self.count > 1:
                            how = f"refused as {reading} with others refused"
                            yield Option(Act("answer", index, delivery, how), "", over)
            if net.phase in ("taken", "pending", "refused") and budgets.losses:
                yield from self._unclear(index, delivery, over, "lost")

    def _unclear(self, index: int, delivery: int, nets: tuple[Net, ...], how: str) -> Iterable[Option]:
        yield Option(Act("answer", index, delivery, how), "losses", nets)
        if self.count > 1:
            yield Option(Act("answer", index, delivery, f"{how} with others unanswered"), "losses", nets)

    def _of_timers(self, shared: Shared, index: int, chat: Chat) -> Iterable[Option]:
        core, nets, machines = chat.core, chat.nets, self.scene.machines
        for delivery, place in enumerate(core.deliveries):
            if place is not None:
                for timer in _armed(machines["delivery"], place):
                    yield Option(Act("elapse", index, delivery, timer), "", nets)
        for timer in _armed(machines["window"], core.window):
            yield Option(Act("elapse-window", index, -1, timer), "", nets)
        for timer in _armed(machines["circuit"], core.circuit):
            if timer != "probe_until" or not self._holds(index, nets, core.circuit):
                yield Option(Act("elapse-circuit", index, -1, timer), "", nets)
        account = shared.account
        mine = account.state == "probing" and account.data.probe.startswith(f"delivery/{NAME}/{index}-")
        if mine and not self._holds(index, nets, account):  # a ticket outlasts every attempt: see outbox.PROBE_WITHIN
            yield Option(Act("elapse-account", index, -1, "probe_until"), "", nets)

    def _holds(self, index: int, nets: tuple[Net, ...], circuit: Place) -> bool:
        """Tell whether the attempt of who holds a circuit's ticket is under way."""
        chat, _, delivery = circuit.data.probe.rpartition("/")[2].partition("-")
        return int(chat) == index and bool(nets[int(delivery)].phase)

    def _of_people(self, shared: Shared, index: int, chat: Chat) -> Iterable[Option]:
        core, nets = chat.core, chat.nets
        for delivery, place in enumerate(core.deliveries):
            if place is not None and place.data.audits and self._reads(shared):
                for audit in place.data.audits:
                    for how in ("passed", "rejected"):
                        yield Option(Act("review", index, delivery, f"{audit} {how}"), "", nets)
            if place is not None and shared.budgets.people:
                if place.state == "dead":
                    yield Option(Act("revive", index, delivery), "people", nets)
                if place.state not in (*ENDED, *SENDING):
                    yield Option(Act("purge", index, delivery), "people", nets)
        if shared.budgets.people and core.circuit.state != "closed":
            yield Option(Act("reset", index), "people", nets)

    # ---- what happens to all -----------------------------------------------------------------------------------------

    def _together(self, state: int, shared_number: int) -> tuple[Moves, list[Step]]:
        """Return what may happen to the tie and the account; and apart from that, with what the process ends in order."""
        views = self._views_in(state)
        key = (shared_number, *views)
        known = self._tie_moves.get(key)
        if known is None:
            known = self._tie_moves[key] = self._work_together(shared_number, views)
        steps, closing = known
        return _grouped([(step.act, self._with_views(state, step) - state) for step in steps]), closing

    def _work_together(self, shared_number: int, views: Sequence[int]) -> tuple[list[Step], list[Step]]:
        shared: Shared = self._shared.values[shared_number]
        self._looked = False
        steps, closing = [], []
        for act, after, changed in self._of_tie(shared, [self._views.values[view] for view in views]):
            step = Step(act, self._shared.of(after) - shared_number, tuple(changed.items()))
            if after.up == shared.up:
                steps.append(step)
            elif (act,) not in (CRASH, START):
                closing.append(step)
        if not self._looked:
            self._alone[shared_number] = _grouped([(step.act, step.by) for step in steps]), closing
        return steps, closing

    def _edge(self, shared_number: int, begun: int) -> tuple[tuple[Act, ...], int]:
        """Return how a process begins, or ends by a crash, and by how much that changes what all share."""
        shared: Shared = self._shared.values[shared_number]
        found: tuple[tuple[Act, ...], int] = (), 0
        if not shared.up:
            found = START, self._shared.of(self._up(shared, begun)) - shared_number
        elif shared.budgets.crashes:
            down = shared._replace(up=False, probes=0, budgets=_spent(shared.budgets, "crashes"))
            found = CRASH, self._shared.of(down) - shared_number
        self._edges[begun << BITS | shared_number] = found
        return found

    def _up(self, shared: Shared, begun: int) -> Shared:
        """Return what all share after a process took the account. What it finds in one chat does not concern another."""
        account, tie = shared.account, shared.tie
        for index in reversed(self._indexes):
            tie, circuit = self._begun_as.values[begun >> BITS * index & MASK]
            account = circuit if circuit != shared.account else account
        return shared._replace(up=True, tie=tie, account=account)

    def _begun(self, shared: Shared, index: int, number: int) -> tuple[int, int]:
        """Return what all share after a process began, as a number, as far as a chat knows; and by how much that changes."""
        chat: Chat = self._chats[index].values[number]
        decision = self._decide(Act("start"), shared, index, chat.core, None)
        assert decision is not None
        after, started = self._after(shared, index, chat, Option(Act("start"), "", chat.nets), decision)
        by = self._number(index, started) - number
        return self._begun_as.of((after.tie, after.account)), by << BITS * (index + 1)

    def _of_tie(self, shared: Shared, views: Iterable[View]) -> Iterable[tuple[Act, Shared, dict[int, View]]]:
        budgets = shared.budgets
        if not shared.up:
            decision = self._decide(Act("start"), shared, 0, self.bench.first_core(0), None)
            assert decision is not None
            yield Act("start"), _shared_after(shared, decision)._replace(up=True, account=shared.account), {}
            return
        if budgets.crashes:
            down = shared._replace(up=False, probes=0, budgets=_spent(budgets, "crashes"))
            yield Act("crash"), down, {}
        seen = list(views)
        for act, spends in self._tie_acts(shared):
            core = self.bench.core_of(0, seen[0])
            decision = self._decide(act, shared, 0, core, dict(enumerate(seen[1:], 1)))
            if decision is None:
                continue
            self._looked |= decision.wide or decision.own or shared.tie.state in ("draining", "hanging-up")
            after = _shared_after(shared, decision)._replace(budgets=_spent(budgets, spends))
            changed = dict(decision.views)
            own = self.bench.seen_in(decision.core, seen[0])
            if own != seen[0]:
                changed[0] = own
            if after.tie.state == "closed":
                after = after._replace(up=False, probes=0)
            yield act, after, changed

    def _tie_acts(self, shared: Shared) -> Iterable[tuple[Act, str]]:
        tie, budgets = shared.tie, shared.budgets
        effect = self.bench.tie_machine.effect(tie.state)
        name = effect.name if effect is not None else ""
        quiet, faults = (
            FRAMES.get(tie.state, ((), ())) if name in ("read_frame", "beat") else RESULTS.get(name, ((), ()))
        )
        for how in quiet:
            if self.scene.idles or how not in IDLE:
                yield Act("tie", how=how), ""
        if budgets.outages:
            for how in faults:
                yield Act("tie", how=how), "outages"
            yield Act("happen", how="woke"), "outages"
        for timer in _armed(self.bench.tie_machine, tie):
            yield Act("elapse-tie", how=timer), ""
        for timer in _armed(self.scene.machines["circuit"], shared.account):
            if timer != "probe_until":
                yield Act("elapse-account", how=timer), ""
        if budgets.stops and tie.state not in ("draining", "hanging-up", "closed"):
            yield Act("happen", how="stop"), "stops"
        if tie.state == "draining":
            yield Act("drained"), ""
        if budgets.people and tie.state in ("token-stale", "tripped", "reconnecting", "suspect"):
            yield Act("happen", how="resumed"), "people"
        if tie.state in ("token-stale", "tripped"):
            yield Act("happen", how="credentials"), ""

    def _ended(self, state: int) -> int:
        """Return the state after the process has ended: what was in its memory is gone."""
        return state + sum(self._forgets(index, (state >> BITS * (index + 1)) & MASK) for index in self._indexes)

    def _forgets(self, index: int, number: int) -> int:
        """Return by how much the end of the process changes a chat."""
        key = number | index << BITS
        known = self._ended_as.get(key)
        if known is None:
            chat: Chat = self._chats[index].values[number]
            nets = tuple(_given_up(net) if net.phase else net for net in chat.nets)
            ended = Chat(chat.core._replace(ready=False), nets, chat.wrong)
            by = self._number(index, self._tidy(ended)) - number
            known = self._ended_as[key] = by << BITS * (index + 1)
        return known


def _has_settled(core: Core) -> bool:
    head = core.head()
    waits = head >= 0 and (place := core.deliveries[head]) is not None and place.state == "window-closed"
    over = all(place is not None and place.state in (*ENDED, "dead") for place in core.deliveries)
    return None not in core.deliveries and (waits or over)


def _shared_after(shared: Shared, decision: Decision) -> Shared:
    """Return what all share after a decision, which may have been taken where what it did not look at was another."""
    tie = decision.tie if decision.of_tie else shared.tie
    account = decision.account if decision.of_account else shared.account
    return shared._replace(tie=tie, account=account)


def _spent(budgets: Budgets, name: str) -> Budgets:
    if not name or getattr(budgets, name) == UNBOUNDED:
        return budgets
    return budgets._replace(**{name: getattr(budgets, name) - 1})


def _put(nets: tuple[Net, ...], index: int, net: Net) -> tuple[Net, ...]:
    return (*nets[:index], net, *nets[index + 1 :])


def _given_up(net: Net) -> Net:
    """Return where the requests of a message are when nobody waits for the attempt any more."""
    strays = net.strays
    if net.phase == "out" and len(strays) < STRAYS_MAX:
        strays = tuple(sorted((*strays, net.key)))
    return Net("", None, "", strays, net.taken)


def _parts_shown(net: Net) -> list[int]:
    return [part for part, count in enumerate(net.taken) if count]


def _settled(net: Net, place: Place) -> Net:
    """Drop what changes nothing: how often a part is shown that is marked as doubled, and old requests for it."""
    marked = place.data.doubled
    if not marked or not (net.strays or net.taken):
        return net
    taken = tuple(min(1, count) if part in marked else count for part, count in enumerate(net.taken))
    strays: list[Key] = []
    for key in net.strays:
        if key[0] not in marked or (key not in strays and not (taken and taken[key[0]])):
            strays.append(key)
    return net._replace(taken=taken, strays=tuple(strays))


def _is_live(place: Place | None) -> bool:
    return place is not None and place.state not in NO_LANE


def _armed(machine: Machine, place: Place) -> list[str]:
    return [timer.field for timer in machine.timers(place.state) if getattr(place.data, timer.field) is not None]


IDLE: Final = ("nothing came", "reached", "beat acknowledged")
"""What comes of attempts and tells nothing new; may be left out."""

RESULTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "Dial": (("accepted", "reached"), ("lost", "refused for now", "not the platform", "unauthorised")),
    "Receive": (("nothing came",), ("lost", "refused for now", "unauthorised")),
    "HangUp": (("hung up",), ()),
    "authorise": (("token", "same token"), ("lost", "unauthorised", "not the platform")),
    "look_up": (("gateway address",), ("lost", "unauthorised")),
    "open_socket": (("socket",), ("lost",)),
    "Identify": (("sent",), ("ended",)),
    "Resume": (("sent",), ("ended",)),
}
"""What may come of the attempts of a tie, by the name of the effect: without a fault, and with one."""

ENDS: Final = ("ended", "ended for good", "ended by token", "stopped")

FRAMES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "greeting": (("hello",), ENDS),
    "proving": (("welcome", "resumed"), ("invalid", "invalid for good", *ENDS)),
    "connected": (("beat acknowledged",), ("beat wanted", "invalid", *ENDS)),
    "beating": (("beat acknowledged",), ("beat wanted", *ENDS)),
    "lingering": (("ended", "ended for good"), ("stopped", "ended by token")),
}
"""The same of an attempt to read a frame, by the state of the session: a platform says what belongs there."""
