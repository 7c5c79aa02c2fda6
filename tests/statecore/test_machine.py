"""What a step does, told by an order in a shop: no chat, no connection, no journal."""

from typing import Any

import attrs
import pytest

from statecore.errors import StepError
from statecore.events import Arrival, Broken, Elapsed, External, Governed, Late, Offline, Outcome, Tell
from statecore.evolve import evolve
from statecore.machine import STAY, Attempt, Decision, Effect, Machine, Signal, Snapshot, Timer, Verdict, ignore, on
from statecore.units import DAYS, HOURS, MINUTES, SECONDS

# ---- the example -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Order:
    amount: int = 0
    declined: int = 0
    retry_at: int | None = None
    pick_by: int | None = None
    give_up_at: int | None = None
    note: str = ""


@attrs.frozen
class Charge:
    amount: int


@attrs.frozen
class Post:
    """Take it to the post office."""


@attrs.frozen(kw_only=True)
class Placed(External):
    amount: int
    patience: int | None = None


@attrs.frozen(kw_only=True)
class Hurried(External):
    wait: int | None


@attrs.frozen(kw_only=True)
class Waited(External):
    """The customer has all the time in the world."""


@attrs.frozen(kw_only=True)
class Picked(External):
    pass


@attrs.frozen(kw_only=True)
class Charged(Outcome):
    pass


@attrs.frozen(kw_only=True)
class Declined(Outcome):
    wait: int | None = None


@attrs.frozen(kw_only=True)
class Posted(Outcome):
    pass


@attrs.frozen(kw_only=True)
class Queueing(Arrival):
    """The post office gave us a number and told us to ask again."""


@attrs.frozen(kw_only=True)
class Unheard(External):
    """No order has ever heard of it."""


def charge(order: Order) -> Charge:
    return Charge(order.amount)


def placed(was: Order, event: Placed, now: int) -> Order:
    return evolve(was, amount=event.amount, give_up_at=None if event.patience is None else now + event.patience)


def declined(was: Order, event: Declined, now: int) -> Order:
    retry_at = None if event.wait is None else now + event.wait
    return evolve(was, declined=was.declined + 1, retry_at=retry_at)


def hurried(was: Order, event: Hurried, now: int) -> Order:
    return evolve(was, retry_at=None if event.wait is None else now + event.wait)


def reminded(was: Order, _event: Elapsed, _now: int) -> Order:
    return evolve(was, note="reminded")


def waited(was: Order, _event: Waited | Elapsed, _now: int) -> Order:
    return evolve(was, give_up_at=None)


def paid(was: Order, _event: Charged, _now: int) -> Order:
    return evolve(was, note="paid")


def reserve(order: Order, event: Charged, now: int) -> list[Tell]:
    assert isinstance(event, Charged)
    return [
        Tell(to=f"stock/{order.note}", event=Placed(amount=order.amount)),
        Tell(to="ledger/b", event=Placed(amount=now)),
    ]


def cheap(_was: Order, event: Placed) -> bool:
    return event.amount < 10


def dear(_was: Order, event: Placed) -> bool:
    return event.amount > 1000


def too_often(was: Order, _event: Outcome) -> bool:
    return was.declined >= 2


LIVE = ("paying", "declined", "picking", "posting")
ENDED = ("posted", "cancelled")
EVERY = ("basket", *LIVE, *ENDED)

# fmt: off
order = Machine(
    "order",
    remembers=Order,
    initial="basket",
    table=[
        on("basket",    Placed,                "cancelled",             when=dear),
        on("basket",    Placed,                "picking",   placed,     when=cheap),
        on("basket",    Placed,                "paying",    placed),
        on("paying",    Charged,               "picking",   paid,       tell=reserve),
        on("paying",    (Declined, Broken),    "cancelled",             when=too_often),
        on("paying",    Declined,              "declined",  declined),
        on("paying",    Broken,                "declined"),
        on("declined",  Elapsed("retry_at"),   "paying"),
        on("declined",  Hurried,               STAY,        hurried),
        on("picking",   Elapsed("pick_by"),    "picking",   reminded),
        on("picking",   Picked,                "posting"),
        on("posting",   Queueing,              "posting"),
        on("posting",   (Posted, Broken),      "posted"),
        on(LIVE,        Elapsed("give_up_at"), "cancelled"),
        on("basket",    Elapsed("give_up_at"), STAY,        waited),
        on(LIVE,        Waited,                STAY,        waited),
        ignore((*LIVE, *ENDED), Placed,        because="it was placed before"),
        ignore(("basket", "paying", "picking", "posting", *ENDED), Hurried, because="nothing is being waited for"),
        ignore(("basket", *ENDED), Waited,     because="it has not begun, or it is over"),
        ignore(("basket", "paying", "declined", "posting", *ENDED), Picked, because="it is not on the list"),
        ignore(("basket", "declined", "picking", "posting", *ENDED), (Charged, Declined), because="nothing is charged"),
        ignore(("basket", "paying", "declined", "picking", *ENDED), (Posted, Queueing), because="it is not posted"),
    ],
    awaits={
        "basket":   Signal(),
        "paying":   (Effect(charge, (Charged, Declined), within=30 * SECONDS), Signal()),
        "declined": (Timer("retry_at", floor=1 * SECONDS, cap=1 * HOURS), Signal()),
        "picking":  (Timer("pick_by", floor=1 * MINUTES, cap=1 * DAYS), Signal()),
        "posting":  (Effect(Post, (Posted, Queueing), within=5 * MINUTES), Signal()),
    },
    final=ENDED,
    named=(Timer("give_up_at", floor=10 * SECONDS, cap=30 * DAYS),),
)
# fmt: on

NOW = 1_790_000_000 * SECONDS
PAYING = Snapshot("paying", Order(amount=50), 3, 3)
DECLINED = Snapshot("declined", Order(amount=50, retry_at=NOW + 5 * SECONDS), 4, 4)
PICKING = Snapshot("picking", Order(amount=50, pick_by=NOW + 5 * MINUTES), 5, 5)


def tried(snapshot: Snapshot, *events: Any, now: int = NOW) -> Decision:
    """Apply events one after another, and return the last decision."""
    for event in events:
        decision = order.step(snapshot, event, now)
        snapshot = decision.snapshot
    return decision


# ---- beginning -------------------------------------------------------------------------------------------------------


def test_an_instance_begins_with_nothing_having_happened_to_it() -> None:
    """
    Version 0 is how the runtime knows that an address was never used.
    """
    assert order.start() == Snapshot("basket", Order(), 0, 0)


def test_a_machine_says_how_large_it_is() -> None:
    """
    The repr stands in assertion errors, where a whole table would hide the point.
    """
    assert repr(order) == "<Machine order: 7 states, 22 rows>"


def test_what_a_machine_may_hear_is_read_from_its_table_and_its_waits() -> None:
    """
    Nothing has to be declared twice; diagrams, the proof and `accepts` all read this one list.
    """
    assert set(order.events) == {
        Placed, Charged, Declined, Broken, Hurried, Picked, Queueing, Posted, Waited,
        Elapsed("retry_at"), Elapsed("pick_by"), Elapsed("give_up_at"),
    }  # fmt: skip


# ---- moved, stayed, ignored, refused ---------------------------------------------------------------------------------


def test_a_move_enters_a_state_remembers_and_asks_for_the_attempt() -> None:
    """
    The whole consequence of an event is one value that the journal can hold before anything acts on it.
    """
    decision = order.step(order.start(), Placed(amount=50, patience=1 * DAYS), NOW)

    assert decision == Decision(
        Snapshot("paying", Order(amount=50, give_up_at=NOW + 1 * DAYS), 1, 1),
        (Attempt(Charge(50), 30 * SECONDS, 1),),
        Verdict("moved", "", (("dear", False), ("cheap", False))),
    )


def test_a_step_changes_nothing_that_it_was_given() -> None:
    """
    The driver steps before the commit; if that fails, the instance must still be where it was.
    """
    before = Snapshot("paying", Order(amount=50), 3, 3)

    tried(before, Declined(wait=5 * SECONDS))

    assert before == Snapshot("paying", Order(amount=50), 3, 3)


def test_staying_remembers_and_counts_and_enters_nothing() -> None:
    """
    What STAY stays with is the attempt or the timer under way; entering would begin it again.
    """
    decision = tried(DECLINED, Hurried(wait=2 * SECONDS))

    assert decision == Decision(
        Snapshot("declined", Order(amount=50, retry_at=NOW + 2 * SECONDS), 5, 4), (), Verdict("stayed", "", ())
    )


def test_an_ignored_event_is_counted_and_the_reason_is_given() -> None:
    """
    Whoever reads the journal sees that it was ignored on purpose, and why.
    """
    decision = tried(PAYING, Picked())

    assert decision == Decision(PAYING._replace(version=4), (), Verdict("ignored", "it is not on the list", ()))


def test_an_event_nobody_has_heard_of_is_refused_and_changes_nothing() -> None:
    """
    Silence would hide a wiring mistake; the reason says what would have been legal.
    """
    decision = tried(PAYING, Unheard())

    assert decision == Decision(
        PAYING._replace(version=4),
        (),
        Verdict(
            "refused",
            "Unheard is no event of order, which takes Broken, Charged, Declined, Elapsed(give_up_at), "
            "Elapsed(pick_by), Elapsed(retry_at), Hurried, Picked, Placed, Posted, Queueing, Waited",
            (),
        ),
    )


@pytest.mark.parametrize("state", EVERY)
def test_notes_of_the_runtime_are_recorded_and_ignored_in_every_state(state: str) -> None:
    """
    Late outcomes and governor notes come whenever they come; no table should have to speak of them.
    """
    snapshot = Snapshot(state, Order(amount=50, retry_at=5, pick_by=6, give_up_at=7), 9, 8)

    for note, reason in (
        (Late(event="Charged", of=3), "belongs to an attempt that this machine has left"),
        (Governed(held=1, rows=100), "a note of the governor"),
    ):
        assert tried(snapshot, note) == Decision(snapshot._replace(version=10), (), Verdict("ignored", reason, ()))


def test_a_timer_that_does_not_run_in_the_state_is_ignored() -> None:
    """
    A timer that came due in the same moment as the event that ended it is no mistake of anyone's.
    """
    decision = tried(PAYING, Elapsed("retry_at"))

    assert decision.snapshot == PAYING._replace(version=4)
    assert decision.outcome == Verdict("ignored", "no timer 'retry_at' runs in 'paying'", ())


def test_the_end_of_an_attempt_where_none_is_made_is_ignored() -> None:
    """
    It is an event that the machine knows, so the reason must not say that it does not.
    """
    decision = tried(DECLINED, Broken(how="died"))

    assert decision.snapshot == DECLINED._replace(version=5)
    assert decision.outcome == Verdict("ignored", "no attempt is under way in 'declined'", ())


# ---- guards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "target", "asked"),
    [
        (5000, "cancelled", (("dear", True),)),
        (5, "picking", (("dear", False), ("cheap", True))),
        (50, "paying", (("dear", False), ("cheap", False))),
    ],
)
def test_the_first_row_that_applies_wins_and_the_guards_asked_are_on_record(
    amount: int, target: str, asked: tuple[tuple[str, bool], ...]
) -> None:
    """
    "Why did it go there?" is answered by the journal and not by running the code again in one's head.
    """
    decision = order.step(order.start(), Placed(amount=amount), NOW)

    assert decision.snapshot.state == target
    assert decision.outcome == Verdict("moved", "", asked)


def test_a_guard_sees_what_was_remembered_before_the_event() -> None:
    """
    It decides which handler runs, so it cannot see what the handler will do.
    """
    twice = PAYING._replace(data=Order(amount=50, declined=1))

    assert tried(twice, Declined()).snapshot.state == "declined"
    assert tried(twice, Declined(), Elapsed("retry_at"), Declined()).snapshot.state == "cancelled"


# ---- attempts and tells ----------------------------------------------------------------------------------------------


def test_entering_the_same_state_again_asks_for_the_attempt_again() -> None:
    """
    A poll that brought something is followed by the next poll, without a detour through another state.
    """
    posting = tried(PICKING, Picked())
    again = tried(posting.snapshot, Queueing())

    assert posting.effects == (Attempt(Post(), 5 * MINUTES, 6),)
    assert again.effects == (Attempt(Post(), 5 * MINUTES, 7),)
    assert (again.snapshot.state, again.snapshot.entered) == ("posting", 7)


def test_staying_asks_for_no_attempt_because_one_is_under_way() -> None:
    """
    Otherwise a customer who changes their mind is charged twice.
    """
    decision = tried(PAYING, Waited())

    assert (decision.outcome.kind, decision.effects, decision.snapshot.entered) == ("stayed", (), 3)


def test_an_attempt_is_known_again_after_a_restart() -> None:
    """
    It belongs to the entry that asked for it, so an answer from before the restart can still be told from a late one.
    """
    moved = tried(Snapshot("basket", Order(), 0, 0), Placed(amount=50))

    assert order.attempt(moved.snapshot) == moved.effects[0]
    assert order.attempt(DECLINED) is None


def test_other_instances_are_told_before_the_attempt_is_made() -> None:
    """
    What one transition sets off is returned as data, in order, and sees what is remembered after the step.
    """
    decision = tried(PAYING, Charged())

    assert decision.effects == (
        Tell(to="stock/paid", event=Placed(amount=50)),
        Tell(to="ledger/b", event=Placed(amount=NOW)),
    )


def test_a_row_may_tell_and_ask_for_an_attempt() -> None:
    """
    The two are independent columns of the table.
    """
    machine = Machine(
        "shop",
        remembers=Order,
        initial="shut",
        table=[
            on("shut", Picked, "posting", tell=lambda _was, _event, _now: [Tell(to="a/b", event=Picked())]),
            on("posting", (Posted, Broken), "shut"),
            ignore("shut", Posted, because="nothing is posted"),
            ignore("posting", Picked, because="it is being posted"),
        ],
        awaits={"shut": Signal(), "posting": Effect(Post, (Posted,), within=1)},
    )

    decision = machine.step(machine.start(), Picked(), NOW)

    assert decision.effects == (Tell(to="a/b", event=Picked()), Attempt(Post(), 1, 1))


# ---- timers of a state -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "deadline"),
    [
        (5 * SECONDS, NOW + 5 * SECONDS),
        (0, NOW + 1 * SECONDS),
        (-3 * HOURS, NOW + 1 * SECONDS),
        (2 * HOURS, NOW + 1 * HOURS),
        (None, NOW + 1 * HOURS),
    ],
    ids=["as set", "floor", "floor of the past", "cap", "nobody set it: cap"],
)
def test_a_deadline_is_absolute_and_held_between_floor_and_cap(wait: int | None, deadline: int) -> None:
    """
    Without the floor it spins, without the cap it is forgotten, and nobody setting it must not mean never.
    """
    decision = tried(PAYING, Declined(wait=wait))

    assert decision.snapshot.data.retry_at == deadline


@pytest.mark.parametrize(
    ("wait", "deadline"),
    [(0, NOW + 1 * SECONDS), (2 * DAYS, NOW + 1 * HOURS), (None, NOW + 1 * HOURS), (9 * SECONDS, NOW + 9 * SECONDS)],
)
def test_a_deadline_that_is_moved_while_staying_is_held_too(wait: int | None, deadline: int) -> None:
    """
    A handler cannot talk a state out of its wait.
    """
    decision = tried(DECLINED, Hurried(wait=wait))

    assert decision.snapshot.data.retry_at == deadline


def test_a_deadline_that_is_left_alone_while_staying_stays_where_it_is() -> None:
    """
    Clamping it anew at each event would postpone it for as long as events come.
    """
    decision = tried(DECLINED, Waited(), now=NOW + 5 * SECONDS)

    assert decision.snapshot.data.retry_at == DECLINED.data.retry_at


def test_an_ignored_event_moves_no_deadline() -> None:
    """
    An event that changes nothing changes nothing.
    """
    decision = tried(DECLINED, Picked(), now=NOW + 1 * DAYS)

    assert decision.snapshot.data == DECLINED.data


def test_a_timer_of_a_state_ends_with_the_state() -> None:
    """
    Otherwise a wait from last week fires into a state that knows nothing of it.
    """
    decision = tried(DECLINED, Elapsed("retry_at"), now=NOW + 5 * SECONDS)

    assert decision.snapshot == Snapshot("paying", Order(amount=50), 5, 5)


def test_a_timer_survives_into_a_state_that_awaits_it_too_and_is_held_anew() -> None:
    """
    Two states may share a deadline; each has a floor and a cap of its own.
    """
    machine = Machine(
        "stove",
        remembers=Order,
        initial="cold",
        table=[
            on("cold", Picked, "low", lambda was, _event, now: evolve(was, retry_at=now + 30 * SECONDS)),
            on("low", Picked, "high"),
            on("low", Elapsed, "cold"),
            on("high", (Picked, Elapsed("retry_at")), "cold"),
        ],
        awaits={
            "cold": Signal(),
            "low": (Signal(), Timer("retry_at", floor=1, cap=1 * MINUTES)),
            "high": (Signal(), Timer("retry_at", floor=1 * SECONDS, cap=10 * SECONDS)),
        },
    )

    low = machine.step(machine.start(), Picked(), NOW).snapshot
    high = machine.step(low, Picked(), NOW + 25 * SECONDS).snapshot
    late = machine.step(low, Picked(), NOW + 30 * SECONDS).snapshot
    capped = machine.step(low, Picked(), NOW).snapshot
    cold = machine.step(high, Picked(), NOW + 26 * SECONDS).snapshot

    assert low.data.retry_at == NOW + 30 * SECONDS
    assert high.data.retry_at == NOW + 30 * SECONDS
    assert late.data.retry_at == NOW + 31 * SECONDS
    assert capped.data.retry_at == NOW + 10 * SECONDS
    assert cold.data.retry_at is None


def test_a_state_that_is_entered_again_by_its_timer_waits_at_least_its_floor_again() -> None:
    """
    The handler did not set it anew, and it must not fire again at once.
    """
    at = NOW + 5 * MINUTES
    decision = tried(PICKING, Elapsed("pick_by"), now=at)

    assert decision.snapshot == Snapshot("picking", Order(amount=50, pick_by=at + 1 * MINUTES, note="reminded"), 6, 6)


def forgetful(**rows: Any) -> Machine:
    """Build a machine whose timers fire into handlers that do not set them anew."""
    return Machine(
        "egg timer",
        remembers=Order,
        initial="set",
        table=[
            on("set", Picked, STAY, lambda was, _event, now: evolve(was, give_up_at=now + 20 * SECONDS)),
            on("set", Elapsed("retry_at"), rows["own"], reminded),
            on("set", Elapsed("pick_by"), STAY, reminded),
            on("set", Elapsed("give_up_at"), rows["named"], reminded),
        ],
        awaits={
            "set": (Signal(), Timer("retry_at", floor=5, cap=50), Timer("pick_by", floor=6, cap=60)),
        },
        named=(Timer("give_up_at", floor=10 * SECONDS, cap=30 * DAYS),),
    )


def test_a_timer_that_fires_into_a_handler_that_forgets_it_waits_its_floor_again() -> None:
    """
    The proof sees that there is a handler, and not what it does; at run time the floor is paid all the same.
    """
    machine = forgetful(own=STAY, named=STAY)
    snapshot = Snapshot("set", Order(retry_at=NOW, pick_by=NOW + 1), 1, 1)

    decision = machine.step(snapshot, Elapsed("retry_at"), NOW)

    assert decision.outcome.kind == "stayed"
    assert decision.snapshot.data == Order(retry_at=NOW + 5, pick_by=NOW + 1, note="reminded")


# ---- named timers ----------------------------------------------------------------------------------------------------


def test_a_named_timer_outlives_the_states_it_was_not_set_in() -> None:
    """
    "Give up after a week" means a week, however often it was charged and declined meanwhile.
    """
    begun = order.step(order.start(), Placed(amount=50, patience=7 * DAYS), NOW).snapshot
    later = tried(begun, Declined(), Elapsed("retry_at"), Charged(), now=NOW + 1 * DAYS).snapshot

    assert later.state == "picking"
    assert later.data.give_up_at == NOW + 7 * DAYS
    assert tried(later, Elapsed("give_up_at")).snapshot.state == "cancelled"


def test_a_named_timer_nobody_set_does_not_run() -> None:
    """
    Unlike a timer of a state, it is not what the state awaits.
    """
    snapshot = order.step(order.start(), Placed(amount=50), NOW).snapshot

    assert snapshot.data.give_up_at is None
    assert order.deadlines(snapshot) == []


def test_a_named_timer_is_cancelled_by_setting_its_field_to_none() -> None:
    """
    There is no other list of timers that could disagree with the field.
    """
    begun = order.step(order.start(), Placed(amount=50, patience=7 * DAYS), NOW).snapshot

    assert order.due(begun) == NOW + 7 * DAYS
    assert order.due(tried(begun, Waited()).snapshot) is None


@pytest.mark.parametrize(
    ("patience", "deadline"), [(0, NOW + 10 * SECONDS), (400 * DAYS, NOW + 30 * DAYS), (1 * DAYS, NOW + 1 * DAYS)]
)
def test_a_named_timer_is_held_between_floor_and_cap_when_it_is_set(patience: int, deadline: int) -> None:
    """
    A deadline in the past would otherwise fire before its setter has heard that it was taken.
    """
    snapshot = order.step(order.start(), Placed(amount=50, patience=patience), NOW).snapshot

    assert snapshot.data.give_up_at == deadline


def test_a_named_timer_that_is_nearly_due_is_not_postponed_by_moving() -> None:
    """
    Its floor is paid once, when it is set; paid at each entry, a busy instance would never give up.
    """
    begun = order.step(order.start(), Placed(amount=50, patience=1 * DAYS), NOW).snapshot
    moved = tried(begun, Declined(), now=NOW + 1 * DAYS - 1).snapshot

    assert moved.data.give_up_at == NOW + 1 * DAYS


@pytest.mark.parametrize("target", [STAY, "set"], ids=["stay", "move"])
def test_a_named_timer_that_fired_is_over_unless_it_is_set_anew(target: str | None) -> None:
    """
    A handler that forgets it would otherwise have it fire again at once, in a circle that no floor pays for.
    """
    machine = forgetful(own=STAY, named=target)
    snapshot = Snapshot("set", Order(retry_at=NOW + 5, pick_by=NOW + 6, give_up_at=NOW), 1, 1)

    decision = machine.step(snapshot, Elapsed("give_up_at"), NOW)

    assert decision.snapshot.data == Order(retry_at=NOW + 5, pick_by=NOW + 6, note="reminded")
    assert machine.step(decision.snapshot, Picked(), NOW).snapshot.data.give_up_at == NOW + 20 * SECONDS


def test_nothing_fires_in_a_state_that_is_final() -> None:
    """
    What is over stays over, whatever its fields still say.
    """
    over = Snapshot("posted", Order(give_up_at=NOW + 1 * DAYS, pick_by=NOW), 9, 9)

    assert order.timers("posted") == ()
    assert order.due(over) is None
    assert tried(over, Elapsed("give_up_at")).outcome == Verdict(
        "ignored", "no timer 'give_up_at' runs in 'posted'", ()
    )


# ---- what is awaited -------------------------------------------------------------------------------------------------


def test_the_earliest_of_all_timers_is_due_first() -> None:
    """
    The driver holds one deadline an instance.
    """
    both = DECLINED._replace(data=evolve(DECLINED.data, give_up_at=NOW + 3 * SECONDS))

    assert sorted(order.deadlines(both)) == [(NOW + 3 * SECONDS, "give_up_at"), (NOW + 5 * SECONDS, "retry_at")]
    assert order.due(both) == NOW + 3 * SECONDS
    assert order.due(DECLINED) == NOW + 5 * SECONDS


def test_an_instance_that_awaits_only_a_signal_is_never_due() -> None:
    """
    It costs nothing until somebody speaks to it.
    """
    machine = Machine(
        "lamp", remembers=Order, initial="off", table=[on("off", Picked, "off")], awaits={"off": Signal(Picked)}
    )

    assert machine.due(machine.start()) is None


def test_an_attempt_is_called_in_diagrams_by_what_builds_it() -> None:
    """
    A class and a function of what is remembered are the two ways to build one.
    """
    paying, posting = order.effect("paying"), order.effect("posting")

    assert paying is not None
    assert posting is not None
    assert (paying.name, posting.name) == ("charge", "Post")


# ---- restarts --------------------------------------------------------------------------------------------------------


def restarted() -> Machine:
    return Machine(
        "kettle",
        remembers=Order,
        initial="cold",
        table=[
            on("cold", Picked, "warm"),
            on("warm", Elapsed("pick_by"), "cold"),
            on("warm", Elapsed("retry_at"), "cold"),
            on(("cold", "warm"), Elapsed("give_up_at"), STAY, waited),
            ignore("warm", Picked, because="it is warm"),
        ],
        awaits={
            "cold": Signal(),
            "warm": (
                Timer("retry_at", floor=1, cap=1 * HOURS, resume="remaining"),
                Timer("pick_by", floor=1, cap=1 * HOURS),
            ),
        },
        named=(Timer("give_up_at", floor=1, cap=1 * HOURS, resume="remaining"),),
    )


def test_only_timers_that_say_so_are_moved_by_the_time_nobody_drove_the_machine() -> None:
    """
    "Ask again in a minute" may mean a minute of ours or a minute of the world's; the definition says which.
    """
    machine = restarted()
    warm = Snapshot("warm", Order(retry_at=NOW + 10, pick_by=NOW + 20, give_up_at=NOW + 30), 4, 2)

    decision = machine.step(warm, Offline(length=1000), NOW + 1000)

    assert decision == Decision(
        Snapshot("warm", Order(retry_at=NOW + 1010, pick_by=NOW + 20, give_up_at=NOW + 1030), 5, 2),
        (),
        Verdict("stayed", "", ()),
    )


def test_a_timer_that_does_not_run_is_not_moved_by_a_restart() -> None:
    """
    It has no deadline, so there is nothing left of it to keep.
    """
    machine = restarted()

    assert machine.step(machine.start(), Offline(length=1000), NOW).snapshot == Snapshot("cold", Order(), 1, 0)


def test_a_machine_knows_which_states_keep_what_was_left_to_wait() -> None:
    """
    At a start the runtime loads only instances that a restart can have moved.
    """
    machine = restarted()

    assert [machine.keeps_rest("warm"), order.keeps_rest("declined")] == [True, False]
    assert [machine.keeps_rest_anywhere, order.keeps_rest_anywhere] == [True, False]


# ---- handlers that raise ---------------------------------------------------------------------------------------------


def boom(*_args: Any) -> Any:
    raise ZeroDivisionError("of all things")


@pytest.mark.parametrize(
    "row",
    [
        on("set", Picked, "set", boom),
        on("set", Picked, "set", tell=boom),
        on("set", Picked, "polling"),
    ],
    ids=["do", "tell", "build"],
)
def test_a_handler_that_raises_is_reported_with_machine_state_and_event(row: Any) -> None:
    """
    Whoever wrote the table must mend it, and needs to know which row.
    """
    machine = Machine(
        "bomb",
        remembers=Order,
        initial="set",
        table=[
            row,
            on("set", Hurried, "polling"),
            on("polling", (Posted, Broken), "set"),
            ignore("set", Posted, because="it is not posted"),
            ignore("polling", (Picked, Hurried), because="it is being posted"),
        ],
        awaits={"set": Signal(), "polling": Effect(boom, (Posted,), within=1)},
    )

    with pytest.raises(StepError) as caught:
        machine.step(machine.start(), Picked(), NOW)

    assert str(caught.value) == (
        "machine 'bomb': the handler for Picked in 'set' raised ZeroDivisionError: of all things"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_guard_that_raises_is_reported_too() -> None:
    """
    A guard that cannot answer must not count as "no": the next row would be taken on no evidence.
    """
    machine = Machine(
        "bomb",
        remembers=Order,
        initial="set",
        table=[on("set", Elapsed("retry_at"), "set", when=boom), on("set", Elapsed("retry_at"), "set")],
        awaits={"set": (Signal(), Timer("retry_at", floor=1, cap=2))},
    )

    with pytest.raises(StepError, match=r"the handler for Elapsed\(retry_at\) in 'set' raised ZeroDivisionError"):
        machine.step(machine.start(), Elapsed("retry_at"), NOW)
