"""The plain simulation: whole gateways under faults drawn from a seed, held against what the platforms saw."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from statecore import driver as drivers
from statecore.intake import Intake
from statecore.machines.delivery import Delivery, PartAccepted
from statecore.outbox import Outbox
from statecore.platform import Message
from statecore.simulation.batch import reached, summarise
from statecore.simulation.discrete import Outcome, run
from statecore.simulation.drawing import ACCOUNTS, draw
from statecore.simulation.guarantees import Violation, check
from statecore.simulation.plan import Occurrence, Plan
from statecore.simulation.shrinking import shrink
from statecore.units import MINUTES, SECONDS
from statecore_diagrams.coverage import Coverage

WX, QQ = ACCOUNTS


CLAIMS, MADE_UP, FREEZE_AND_SLEEP = 68, 599, 1537
"""Seeds in which the simulation was wrong, and not what it simulates: a platform that claims to have taken what it never saw,
a frame that an ambush made up, and a process that is frozen while its machine falls asleep."""


@pytest.mark.parametrize("seed", [*range(21), CLAIMS, MADE_UP, FREEZE_AND_SLEEP])
def test_every_guarantee_holds_over_half_an_hour_of_faults(seed: int) -> None:
    """Safety at every moment, and everything settles once the faults are over."""
    outcome = run(draw(seed, 0.5))

    assert [str(one) for one in outcome.violations] == []
    assert any(one.sends for one in outcome.truth.platforms.values())


@pytest.mark.parametrize("seed", [3, 11])
def test_a_plan_makes_the_same_journal_every_time(seed: int) -> None:
    """Byte for byte, or no seed could be given to anybody else."""
    first, second = run(draw(seed, 0.5)), run(draw(seed, 0.5))

    assert first.rows
    assert first.digest() == second.digest()
    assert first.digest() != run(draw(seed + 1, 0.5)).digest()


def test_runs_say_which_faults_they_met_and_where_they_have_been() -> None:
    """A run that reached nothing proves nothing."""
    found = reached(summarise(draw(seed, 0.5)) for seed in range(30, 42))

    assert found.met["process-starts"] >= 12
    assert len(found.faults_never_met()) < 15
    assert len(found.states_never_entered()) < 8
    assert len(found.fill(Coverage()).of("delivery").taken) > 30


def test_a_process_that_takes_longer_to_stop_than_it_was_to_be_away_comes_back() -> None:
    """Whoever starts processes waits for the end of the old one; else nobody would drive the account any more."""
    away = Occurrence(5 * MINUTES, "process-stops", "p1", {"back_after": 1})

    outcome = run(attrs.evolve(scene(away), calm_from=10 * MINUTES))

    assert [str(one) for one in outcome.violations] == []
    assert len(outcome.truth.platforms["wx"].taken) == 2


# ---- what it finds ---------------------------------------------------------------------------------------------------


def scene(*found: Occurrence, minutes: int = 30) -> Plan:
    """Return a plan in which one process drives a WeChat account whose users write first."""
    begins = [Occurrence(0, "process-starts", "p1", {"replaces": False, "apart": False})]
    begins += [
        Occurrence(5 * SECONDS, "user-writes", "wx", {"chat": chat, "text": f"hello from {chat}"}) for chat in WX.chats
    ]
    length = minutes * MINUTES
    occurrences = tuple(sorted((*begins, *found), key=lambda one: one.at))
    return Plan(1, length, length, (WX,), occurrences)


def sends(count: int, *, every: int = 30 * SECONDS) -> list[Occurrence]:
    """Return messages that a program sends."""
    fields = {"chat": WX.chats[0], "key": "", "lasts": 0}
    return [
        Occurrence((20 + number) * SECONDS + number * every, "program-sends", "wx", {**fields, "text": f"s{number}"})
        for number in range(count)
    ]


def spell(kind: str, fault: str, *, minutes: int, **more: Any) -> Occurrence:
    """Return a fault that begins after ten seconds."""
    fields: dict[str, Any] = {"until": minutes * MINUTES, "fault": fault, "share": 1.0}
    fields |= {"chat": "", "code": ""} if kind == "platform" else {"delay": 1 * SECONDS}
    return Occurrence(10 * SECONDS, kind, "wx", {**fields, **more})


def new_keys(patch: pytest.MonkeyPatch) -> None:
    """Give each attempt a key of its own."""
    used = Counter[str]()

    def key_of(address: str, part: int) -> str:
        used[address] += 1
        return f"sc-{address.rpartition('/')[2]}-{part + used[address] - 1}"

    patch.setattr(drivers, "key_of", key_of)


def no_circuit(patch: pytest.MonkeyPatch) -> None:
    """Let no circuit ever open: what is refused is tried again."""
    patch.setattr(Outbox, "_trip", lambda *_args, **_more: None)


def early_cursor(patch: pytest.MonkeyPatch) -> None:
    """Commit the cursor without the last of the messages that it covers."""
    whole: Callable[..., list[tuple[str, Message, str]]] = Intake._sort
    patch.setattr(Intake, "_sort", lambda self, messages, now: whole(self, messages, now)[:-1])


def forgotten_doubt(patch: pytest.MonkeyPatch) -> None:
    """Send once more what may have arrived, and do not say so."""
    plain = Outbox._turn

    def turn(self: Outbox, unit: Any, chat: str, account: Any) -> None:
        head = self.lanes.head(chat)
        assert head is not None
        held = self._system.instance(head.address)
        held.snapshot = held.snapshot._replace(data=attrs.evolve(held.snapshot.data, unclear=False))
        plain(self, unit, chat, account)

    patch.setattr(Outbox, "_turn", turn)


MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, Plan]] = {
    "a delivery is resent with a new key": (
        new_keys, "G4", scene(*sends(6), spell("network", "lose-answer", minutes=5, share=0.5)),
    ),
    "a circuit never opens": (
        no_circuit, "G7", scene(*sends(20, every=1 * SECONDS), spell("platform", "refuses", minutes=29, code="ret=-12")),
    ),
    "the cursor is committed before the messages": (early_cursor, "G1", scene(*sends(1))),
    "a part that was sent twice is not said to be": (
        forgotten_doubt, "G4", scene(*sends(6), spell("network", "lose-answer", minutes=5)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_and_the_plan_that_shows_it_is_small(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named by the guarantee that it breaks, and nothing is wrong without it."""
    make, guarantee, plan = MISTAKES[mistake]
    assert not run(plan).violations
    make(monkeypatch)
    found = [one for one in run(plan).violations if one.guarantee == guarantee]
    assert found, [str(one) for one in run(plan).violations]

    small = shrink(plan, found[0], runs_max=60)

    assert small.violation.guarantee == guarantee
    assert len(small.plan.occurrences) < len(plan.occurrences)
    assert guarantee in {one.guarantee for one in run(small.plan).violations}


# ---- the checks themselves -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy() -> Outcome:
    """Return a run in which everything holds, and much happened."""
    outcome = run(draw(5, 0.5))
    assert not outcome.violations
    return outcome


def sends_of(outcome: Outcome) -> list[Any]:
    """Return copies of what a platform saw."""
    return list(outcome.truth.platforms["wx"].sends)


def retold(outcome: Outcome, **changes: Any) -> Outcome:
    """Return the same run, of which the WeChat platform tells something else."""
    truth = attrs.evolve(outcome.truth, platforms=dict(outcome.truth.platforms))
    truth.platforms["wx"] = attrs.evolve(truth.platforms["wx"], **changes)
    return attrs.evolve(outcome, truth=truth)


def early(outcome: Outcome) -> Outcome:
    """Let a request have left before its row."""
    return retold(outcome, sends=[attrs.evolve(sends_of(outcome)[0], seq=0), *sends_of(outcome)[1:]])


def told_early(outcome: Outcome) -> Outcome:
    """Let a program have been told too soon."""
    told = [one for one in outcome.truth.platforms["wx"].told if not one.asked]
    return retold(outcome, told=[attrs.evolve(told[0], seq=0)])


def untaken(outcome: Outcome) -> Outcome:
    """Let the platform have taken nothing."""
    return retold(outcome, sends=[])


def other_text(outcome: Outcome) -> Outcome:
    """Let a key have stood for another text."""
    return retold(outcome, sends=[attrs.evolve(sends_of(outcome)[0], text="other"), *sends_of(outcome)[1:]])


def backwards(outcome: Outcome) -> Outcome:
    """Let requests have left in the opposite order."""
    mine = [one for one in sends_of(outcome) if one.chat == sends_of(outcome)[0].chat]
    times = sorted((one.left for one in mine), reverse=True)
    return retold(outcome, sends=[attrs.evolve(one, left=left) for one, left in zip(mine, times, strict=True)])


def zombie(outcome: Outcome) -> Outcome:
    """Let a former owner have sent something at the end."""
    late = attrs.evolve(sends_of(outcome)[-1], epoch=0, left=outcome.plan.length)
    return retold(outcome, sends=[*sends_of(outcome), late])


def lost_row(outcome: Outcome) -> Outcome:
    """Leave a row out."""
    return attrs.evolve(outcome, rows=[*outcome.rows[:50], *outcome.rows[51:]])


def leaked(outcome: Outcome) -> Outcome:
    """Put a credential into an event."""
    rows = list(outcome.rows)
    index, event = next((number, row.event) for number, row in enumerate(rows) if isinstance(row.event, PartAccepted))
    rows[index] = rows[index]._replace(event=attrs.evolve(event, trace=outcome.truth.secrets[0]))
    return attrs.evolve(outcome, rows=rows)


def reasonless(outcome: Outcome) -> Outcome:
    """Let a delivery be dead, and say nothing."""
    instances = dict(outcome.instances)
    address = next(name for name in instances if name.startswith("delivery/wx/"))
    snapshot = instances[address].snapshot._replace(state="dead", data=Delivery())
    instances[address] = instances[address]._replace(snapshot=snapshot)
    return attrs.evolve(outcome, instances=instances)


def stuck(outcome: Outcome) -> Outcome:
    """Let the account be down at the end."""
    instances = dict(outcome.instances)
    snapshot = instances["connection/wx"].snapshot._replace(state="reconnecting")
    instances["connection/wx"] = instances["connection/wx"]._replace(snapshot=snapshot)
    return attrs.evolve(outcome, instances=instances)


LIES: dict[str, tuple[Callable[[Outcome], Outcome], str]] = {
    "a request before its row": (early, "G1"),
    "a word given before it was durable": (told_early, "G1"),
    "delivered, and never taken": (untaken, "G3"),
    "dead without a reason": (reasonless, "G3"),
    "one key for two texts": (other_text, "G4"),
    "out of order": (backwards, "G5"),
    "a former owner that sends": (zombie, "G6"),
    "down with all faults over": (stuck, "G8"),
    "a row that is missing": (lost_row, "G9"),
    "a credential in an event": (leaked, "G10"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_check_notices_what_it_is_for(lie: str, healthy: Outcome) -> None:
    """A check that nothing can fail is none."""
    tell, guarantee = LIES[lie]
    told = tell(healthy)

    found = check(told.rows, told.instances, told.truth, told.plan, settled=True)

    assert guarantee in {one.guarantee for one in found}


def test_a_violation_says_where() -> None:
    """It is read by somebody who has never seen the run."""
    assert str(Violation("G5", "two messages changed places", 7)) == "G5: two messages changed places (#7)"
