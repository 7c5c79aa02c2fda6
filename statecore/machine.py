"""Machine definitions, and the step.

A definition is a table that reads like the diagram. It is built on `transitions`: that library holds the states,
triggers and conditions. Statecore proves the table (`statecore.proof`), compiles it once into a frozen dispatch table,
and from then on the hot path is

    step(snapshot, event, now) -> Decision(snapshot, effects, outcome)

which is pure: the same three values give the same decision, on any machine, in any year. Whatever is remembered
changes inside the step, never in an action, or replay would part from the record.

Two rules keep this file honest. It knows nothing of chats, connections or journals. And nothing here waits, reads a
clock or draws a number: what was chosen is in the event.

What did not work: holding timers in a list beside the data. Deadlines are what a handler decides, so they are fields of
what is remembered, and a `Timer` names its field; arming, clamping and ending are then the table's business alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import attrs
from transitions.core import Machine as Engine
from transitions.core import Transition

from statecore.errors import StepError
from statecore.events import BUILT_IN, IGNORED_ALWAYS, Broken, Elapsed, Event, Offline, Tell, name_of
from statecore.evolve import evolve

Do: TypeAlias = Callable[[Any, Any, int], Any]
"""(remembered, event, now in ns) -> what is remembered from now on."""
When: TypeAlias = Callable[[Any, Any], bool]
"""(remembered, event) -> whether the row applies."""
Telling: TypeAlias = Callable[[Any, Any, int], Sequence[Tell]]
"""(remembered after the step, event, now in ns) -> events for other instances."""
Kind: TypeAlias = Literal["moved", "stayed", "ignored", "refused"]


_new: Final = tuple.__new__
"""Builds a NamedTuple at less than half the cost of calling its class, which goes through Python."""


class Snapshot(NamedTuple):
    """One instance at rest.

    A NamedTuple and not an attrs class: building it is a third of the cost, and it is built by every step.

    Args:
        state: the state it is in.
        data: what it remembers, a frozen attrs value.
        version: how many events it has taken, including the ignored and the refused.
        entered: the version at which it entered the state; an attempt belongs to the entry that asked for it.
    """

    state: str
    data: Any
    version: int
    entered: int


class Verdict(NamedTuple):
    """What became of an event.

    Args:
        kind: moved (entered a state, perhaps the same one again), stayed, ignored or refused.
        reason: why, where it was ignored or refused.
        guards: the guards that were asked, in order, with their answers.
    """

    kind: Kind
    reason: str
    guards: tuple[tuple[str, bool], ...]


class Attempt(NamedTuple):
    """A request to the driver: make this one attempt and bring back its outcome.

    Args:
        effect: what to do, as data.
        within: nanoseconds after which the driver gives the attempt up as `Broken(how="overdue")`.
        entered: the entry it belongs to (`Snapshot.entered`).
    """

    effect: Any
    within: int
    entered: int


class Decision(NamedTuple):
    """What one event led to.

    Args:
        snapshot: the instance afterwards.
        effects: attempts to make and events to tell, in order; nothing has been done yet.
        outcome: what became of the event.
    """

    snapshot: Snapshot
    effects: tuple[Attempt | Tell, ...]
    outcome: Verdict


# ---- what a definition is made of ------------------------------------------------------------------------------------


@attrs.frozen
class Timer:
    """A deadline that is awaited in a state, and ends with it.

    Args:
        field: the field of what is remembered that holds the deadline (ns, absolute); also the timer's name.
        floor: the shortest wait in ns, above zero. A deadline sooner than that is moved to it when the state is entered.
        cap: the longest wait in ns. A deadline later than that, or none at all, is moved to it.
        resume: what a restart does to it: "absolute" keeps the deadline, "remaining" keeps what was left to wait.
    """

    field: str
    floor: int
    cap: int
    resume: Literal["absolute", "remaining"] = "absolute"


@attrs.frozen
class Effect:
    """One I/O attempt, asked for each time the state is entered.

    Args:
        build: a frozen attrs class without fields, or a pure function of what is remembered that returns a frozen value.
        gives: every outcome the attempt can have. `Broken` is always among them.
        within: nanoseconds the driver allows for it.
    """

    build: Callable[..., Any]
    gives: tuple[type[Event], ...]
    within: int

    @property
    def name(self) -> str:
        """Return how the effect is called in tables and diagrams."""
        return self.build.__name__


@attrs.frozen(init=False)
class Signal:
    """Something from outside is awaited: a person, a peer, another machine.

    Args:
        kinds: the events; for readers and diagrams. Without any, whatever signals the table has for the state.
    """

    kinds: tuple[type[Event], ...]

    def __init__(self, *kinds: type[Event]) -> None:
        self.__attrs_init__(kinds)


Wait: TypeAlias = Timer | Effect | Signal


@attrs.frozen
class Row:
    """One row of a table; made by `on` and `ignore`."""

    sources: tuple[str, ...]
    events: tuple[type[Event] | Elapsed, ...]
    target: str | None
    do: Do | None = None
    when: When | None = None
    tell: Telling | None = None
    because: str | None = None

    @property
    def ignores(self) -> bool:
        """Whether the row declares its pairs ignored."""
        return self.because is not None


STAY: Final = None
"""As the target of a row: the event changes what is remembered, and the state goes on awaiting what it awaited."""

States: TypeAlias = str | tuple[str, ...]
Events: TypeAlias = type[Event] | Elapsed | tuple[type[Event] | Elapsed, ...]


def on(
    source: States,
    event: Events,
    target: str | None,
    do: Do | None = None,
    *,
    when: When | None = None,
    tell: Telling | None = None,
) -> Row:
    """Write one row: when in *source* and *event* happens, go to *target*.

    Args:
        source: a state, or several.
        event: an event class, `Elapsed("timer")` for one timer, or several of them.
        target: the state to enter (the same one is entered again), or `STAY`.
        do: changes what is remembered. Pure.
        when: the row applies only if this holds. Rows are tried in the order of the table.
        tell: events for other instances. Pure.
    """
    sources = (source,) if isinstance(source, str) else source
    return Row(sources, event if isinstance(event, tuple) else (event,), target, do, when, tell)


def ignore(source: States, event: Events, *, because: str) -> Row:
    """Declare that *event* changes nothing in *source*, and say why."""
    sources = (source,) if isinstance(source, str) else source
    return Row(sources, event if isinstance(event, tuple) else (event,), None, because=because)


class _Rule(NamedTuple):
    """A row, compiled for one (state, event) pair."""

    when: When | None
    do: Do | None
    tell: Telling | None
    target: str
    verdict: Verdict
    enters: bool
    timers: tuple[tuple[str, int, int, bool, bool], ...]  # those awaited where it ends up; see `_settle`
    ended: tuple[str, ...]  # fields of timers that end with the state left
    fired: str  # field of the named timer the rule is for, which is over unless it is set anew
    effect: Effect | None


class _RowTransition(Transition):
    """A transition of the engine that remembers which row it was made from."""

    def __init__(self, *args: Any, row: Row, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row


class _Engine(Engine):
    transition_cls = _RowTransition  # type: ignore[mutable-override]


class Machine:
    """A machine definition: proved when it is made, frozen afterwards, shared by all its instances.

    Args:
        name: how it is called in journals, logs and diagrams.
        remembers: the frozen attrs class of what an instance remembers. Every field has a default, so that an instance
            begins as `remembers()`.
        initial: the state an instance begins in.
        table: rows made by `on` and `ignore`; the first that applies wins.
        awaits: what each state awaits: a wait, or several.
        final: states that await nothing, because all is done.
        named: timers that outlive states. They run in every state that is not final, from when their field is set until
            it is set to None, or until they fire and nobody sets them anew.
        version: the definition's version, written to every row it makes.

    Raises:
        DefinitionError: the table cannot be trusted. Every problem is listed, with the path where there is one.
    """

    def __init__(
        self,
        name: str,
        *,
        remembers: type,
        initial: str,
        table: Sequence[Row],
        awaits: Mapping[str, Wait | tuple[Wait, ...]],
        final: tuple[str, ...] = (),
        named: tuple[Timer, ...] = (),
        version: int = 1,
    ) -> None:
        from statecore.proof import prove  # the proof reads the definition, and the definition asks to be proved

        self.name: Final = name
        self.remembers: Final = remembers
        self.initial: Final = initial
        self.table: Final = tuple(table)
        self.final: Final = frozenset(final)
        self.named: Final = named
        self.version: Final = version
        self.awaits: Final[Mapping[str, tuple[Wait, ...]]] = {
            state: waits if isinstance(waits, tuple) else (waits,) for state, waits in awaits.items()
        }
        self.states: Final = (*self.awaits, *(state for state in final if state not in self.awaits))
        self.events: Final = _alphabet(self.table, self.awaits, named)
        prove(self)
        self.engine: Final = self._build_engine()
        self._rules: Final = self._compile()
        self._timers: Final = {state: self._timers_of(state) for state in self.states}
        self._deadlines: Final = {
            state: tuple(timer.field for timer in timers) for state, timers in self._timers.items()
        }
        self._start: Final = Snapshot(initial, remembers(), 0, 0)

    def __repr__(self) -> str:
        return f"<Machine {self.name}: {len(self.states)} states, {len(self.table)} rows>"

    # ---- what a state awaits -----------------------------------------------------------------------------------------

    def timers(self, state: str) -> tuple[Timer, ...]:
        """Return the timers that can fire in *state*: its own, then the named ones."""
        return self._timers[state]

    def effect(self, state: str) -> Effect | None:
        """Return the attempt that entering *state* asks for, if any."""
        for wait in self.awaits.get(state, ()):
            if isinstance(wait, Effect):
                return wait
        return None

    def deadlines(self, snapshot: Snapshot) -> list[tuple[int, str]]:
        """Return (deadline, timer) of every armed timer of an instance, in no order."""
        found = []
        for field in self._deadlines[snapshot.state]:
            deadline = getattr(snapshot.data, field)
            if deadline is not None:
                found.append((deadline, field))
        return found

    def due(self, snapshot: Snapshot) -> int | None:
        """Return the earliest deadline of an instance, or None if it awaits no timer."""
        due: int | None = None
        for field in self._deadlines[snapshot[0]]:
            deadline = getattr(snapshot[1], field)
            if deadline is not None and (due is None or deadline < due):
                due = deadline
        return due

    # ---- the step ----------------------------------------------------------------------------------------------------

    def start(self) -> Snapshot:
        """Return an instance to which nothing has happened yet."""
        return self._start

    def attempt(self, snapshot: Snapshot) -> Attempt | None:
        """Return what entering the state asked for, as after a restart that found the instance there."""
        effect = self.effect(snapshot.state)
        return None if effect is None else _attempt(effect, snapshot.data, snapshot.entered)

    def step(self, snapshot: Snapshot, event: Event, now: int) -> Decision:
        """Apply one event. Pure.

        Args:
            snapshot: the instance.
            event: what happened.
            now: when, in ns of the gateway's clock.

        Returns:
            The instance afterwards, what is to be done, and what became of the event. An event that nobody foresaw is
            refused with the reason, and changes nothing but the version.

        Raises:
            StepError: a handler of the table raised.
        """
        state, data, version, entered = snapshot
        chosen = self.choose(state, data, event, now)  # as `move` does, without one call more in the hottest line
        if chosen is None:
            after, verdict = self._unforeseen(snapshot, event)
            return _new(Decision, (after, (), verdict))
        target, verdict, enters, new, tell, effect = chosen
        version += 1
        entered = version if enters else entered
        after = _new(Snapshot, (target, new, version, entered))
        if effect is None and tell is None:
            return _new(Decision, (after, (), verdict))
        try:
            effects: tuple[Attempt | Tell, ...] = () if tell is None else tuple(tell(new, event, now))
            if effect is not None:
                effects = (*effects, _attempt(effect, new, entered))
        except Exception as error:
            raise self._raised(snapshot.state, event, error) from error
        return _new(Decision, (after, effects, verdict))

    def move(
        self, snapshot: Snapshot, event: Event, now: int
    ) -> tuple[Snapshot, Verdict, Telling | None, Effect | None]:
        """Take the part of a step that is about the instance alone; replay needs no more of it. Pure.

        Args:
            snapshot: the instance.
            event: what happened.
            now: when, in ns of the gateway's clock.

        Returns:
            The instance afterwards, what became of the event, and what says which effects the step has.

        Raises:
            StepError: a handler of the table raised.
        """
        state, data, version, entered = snapshot
        chosen = self.choose(state, data, event, now)
        if chosen is None:
            after, verdict = self._unforeseen(snapshot, event)
            return after, verdict, None, None
        target, verdict, enters, new, tell, effect = chosen
        version += 1
        return _new(Snapshot, (target, new, version, version if enters else entered)), verdict, tell, effect

    def choose(
        self, state: str, data: Any, event: Event, now: int
    ) -> tuple[str, Verdict, bool, Any, Telling | None, Effect | None] | None:
        """Find the row of the table that applies, and what is remembered from then on. Pure.

        It is all of `move` but the snapshot, which who replays many rows does without.

        Args:
            state: where the instance is.
            data: what it remembers.
            event: what happened.
            now: when, in ns of the gateway's clock.

        Returns:
            Where it is then, what became of the event, whether it enters that state, what it remembers, and what says
            which effects there are; None if the table has no row.

        Raises:
            StepError: a handler of the table raised.
        """
        kind = type(event)
        rules = self._rules[state].get(event.timer if kind is Elapsed else kind)  # type: ignore[attr-defined]
        if rules is None:
            return None
        try:
            for when, do, tell, target, verdict, enters, timers, ended, fired, effect in rules:
                if when is not None and not when(data, event):
                    continue
                new = data if do is None else do(data, event, now)
                if timers or ended or fired:
                    new = _settle(new, data, timers, ended, fired, now)
                return target, verdict, enters, new, tell, effect
        except Exception as error:
            raise self._raised(state, event, error) from error
        raise AssertionError(
            f"{self.name}: no row for {name_of(event)} in {state} (the proof demands an unguarded one)"
        )

    def _raised(self, state: str, event: Event, error: Exception) -> StepError:
        return StepError(self.name, state, name_of(event), f"{type(error).__name__}: {error}")

    def _unforeseen(self, snapshot: Snapshot, event: Event) -> tuple[Snapshot, Verdict]:
        state, data, version, entered = snapshot
        if isinstance(event, Offline):
            after = Snapshot(state, self._moved_timers(state, data, event.length), version + 1, entered)
            return after, Verdict("stayed", "", ())
        after = Snapshot(state, data, version + 1, entered)
        if type(event) in IGNORED_ALWAYS:
            return after, Verdict("ignored", IGNORED_ALWAYS[type(event)], ())
        if type(event) is Elapsed:
            return after, Verdict("ignored", f"no timer {event.timer!r} runs in {state!r}", ())
        if type(event) is Broken:
            return after, Verdict("ignored", f"no attempt is under way in {state!r}", ())
        accepts = ", ".join(sorted(name_of(kind) for kind in self.events)) or "nothing"
        return after, Verdict("refused", f"{name_of(event)} is no event of {self.name}, which takes {accepts}", ())

    def keeps_rest(self, state: str) -> bool:
        """Tell whether a timer of *state* keeps what was left to wait over a restart."""
        return any(timer.resume == "remaining" for timer in self._timers[state])

    @property
    def keeps_rest_anywhere(self) -> bool:
        """Whether any timer keeps what was left to wait over a restart."""
        return any(self.keeps_rest(state) for state in self.states)

    def _moved_timers(self, state: str, data: Any, length: int) -> Any:
        moved = {
            timer.field: getattr(data, timer.field) + length
            for timer in self._timers[state]
            if timer.resume == "remaining" and getattr(data, timer.field) is not None
        }
        return evolve(data, **moved) if moved else data

    # ---- compiling ---------------------------------------------------------------------------------------------------

    def _timers_of(self, state: str) -> tuple[Timer, ...]:
        own = tuple(wait for wait in self.awaits.get(state, ()) if isinstance(wait, Timer))
        return own if state in self.final else (*own, *self.named)

    def _held(
        self, state: str, *, enters: bool, elapsed: str, does: bool
    ) -> tuple[tuple[str, int, int, bool, bool], ...]:
        """Return the timers to look at; a named one is as it was where nothing that is remembered changes."""
        return tuple(
            (timer.field, timer.floor, timer.cap, own, own and (enters or timer.field == elapsed))
            for timer in self._timers_of(state)
            for own in (timer not in self.named,)
            if own or does
        )

    def _build_engine(self) -> Any:
        """Build the machine on `transitions`: it holds and validates the states, the triggers and the conditions."""
        engine = _Engine(
            model=None,
            states=[{"name": state, "final": state in self.final} for state in self.states],
            initial=self.initial,
            auto_transitions=False,
            send_event=True,
        )
        for row in self.table:
            for source in row.sources:
                for event in self.expand(row, source):
                    condition = None if row.when is None else _condition(row.when)
                    engine.add_transition(name_of(event), source, row.target, conditions=condition, row=row)
        return engine

    def expand(self, row: Row, source: str) -> list[type[Event] | Elapsed]:
        """Return the events of a row as they apply in *source*: a bare `Elapsed` means each timer of the state."""
        events: list[type[Event] | Elapsed] = []
        for event in row.events:
            if event is Elapsed:
                events += [Elapsed(timer.field) for timer in self._timers_of(source)]
            else:
                events.append(event)
        return events

    def _compile(self) -> dict[str, dict[type | str, tuple[_Rule, ...]]]:
        """Read the engine back into one dictionary a state."""
        keys: dict[str, type | str] = {}
        for event in self.events:
            keys[name_of(event)] = event.timer if isinstance(event, Elapsed) else event
        rules: dict[str, dict[type | str, tuple[_Rule, ...]]] = {state: {} for state in self.states}
        for trigger, event in self.engine.events.items():
            for source, held in event.transitions.items():
                key = keys[trigger]
                rules[source][key] = self._compile_pair(source, key, [transition.row for transition in held])
        return rules

    def _compile_pair(self, source: str, key: type | str, rows: list[Row]) -> tuple[_Rule, ...]:
        compiled: list[_Rule] = []
        asked: list[str] = []
        elapsed = key if isinstance(key, str) else ""
        named = any(timer.field == elapsed for timer in self.named)
        for row in rows:
            answers: tuple[tuple[str, bool], ...] = tuple((name, False) for name in asked)
            if row.when is not None:
                asked.append(row.when.__name__)
                answers = (*answers, (row.when.__name__, True))
            target = source if row.target is None else row.target
            enters = row.target is not None
            kind: Kind = "ignored" if row.ignores else "moved" if enters else "stayed"
            own = {wait.field for wait in self.awaits.get(source, ()) if isinstance(wait, Timer)}
            kept = {timer.field for timer in self._timers_of(target)}
            compiled.append(
                _Rule(
                    when=row.when,
                    do=row.do,
                    tell=row.tell,
                    target=target,
                    verdict=Verdict(kind, row.because or "", answers),
                    enters=enters,
                    timers=()
                    if row.ignores
                    else self._held(target, enters=enters, elapsed=elapsed, does=row.do is not None),
                    ended=tuple(sorted(own - kept)) if enters else (),
                    fired=elapsed if named else "",
                    effect=self.effect(target) if enters else None,
                )
            )
        return tuple(compiled)


def _alphabet(
    table: tuple[Row, ...], awaits: Mapping[str, tuple[Wait, ...]], named: tuple[Timer, ...]
) -> tuple[type[Event] | Elapsed, ...]:
    """Return every event the definition mentions, in the order of its first mention."""
    found: dict[type[Event] | Elapsed, None] = {}
    for row in table:
        found.update(dict.fromkeys(event for event in row.events if event is not Elapsed))
    for waits in awaits.values():
        for wait in waits:
            if isinstance(wait, Effect):
                found.update(dict.fromkeys((*wait.gives, Broken)))
            elif isinstance(wait, Timer):
                found[Elapsed(wait.field)] = None
            else:
                found.update(dict.fromkeys(wait.kinds))
    found.update((Elapsed(timer.field), None) for timer in named)
    return tuple(event for event in found if event not in BUILT_IN)


def _condition(when: When) -> Callable[[Any], bool]:
    """Adapt a guard to what `transitions` calls a condition; the model carries what is remembered."""

    def condition(data: Any) -> bool:
        return when(data.model.data, data.kwargs["event"])

    condition.__name__ = when.__name__
    return condition


def _attempt(effect: Effect, data: Any, entered: int) -> Attempt:
    build = effect.build
    return _new(Attempt, (build() if isinstance(build, type) else build(data), effect.within, entered))


def _settle(
    after: Any,
    before: Any,
    timers: tuple[tuple[str, int, int, bool, bool], ...],
    ended: tuple[str, ...],
    fired: str,
    now: int,
) -> Any:
    """Clear the timers that are over, and hold every deadline that was set by this step between its floor and its cap.

    Args:
        after: what is remembered from now on.
        before: what was remembered.
        timers: (field, floor, cap, whether nobody setting it sets it, whether it begins with this step) of each.
        ended: fields of the timers that end with the state left.
        fired: field of the named timer that the step is for, which is over unless it was set anew; or empty.
        now: ns.
    """
    moved: dict[str, int | None] = {}
    for field in ended:
        if getattr(after, field) is not None:
            moved[field] = None
    if fired and getattr(after, fired) == getattr(before, fired):
        moved[fired] = None
    for field, floor, cap, own, begins in timers:
        deadline = getattr(after, field)
        if deadline is None:
            if own:
                moved[field] = now + cap  # a timer nobody set fires at its cap: no state is left without its wait
        elif begins or deadline != getattr(before, field):
            if deadline < now + floor:
                moved[field] = now + floor
            elif deadline > now + cap:
                moved[field] = now + cap
    return evolve(after, **moved) if moved else after
