"""The real gateway on a virtual clock, network and machine: what a run shows, and that a seed decides all of it."""

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from statecore.events import Elapsed
from statecore.machines.connection import ClockStepped, CredentialsChanged, HungUp, Started
from statecore.machines.delivery import Accepted
from statecore.machines.session import Noted
from statecore.simulation.discrete import Outcome, run
from statecore.simulation.drawing import ACCOUNTS, draw
from statecore.simulation.faithful import Faithful, run_faithful, street
from statecore.simulation.plan import Occurrence, Plan
from statecore.units import MILLISECONDS, MINUTES, SECONDS
from statecore_adapters.qqbot import QQBot
from statecore_adapters.weixin import Weixin
from statecore_journal import diverges
from statecore_journal.whatif import what_if

SEEDS = (1, 2, 13)
MINUTE = 1 / 60
SAID = ("delivered", "purged")
"""Ends that need no reason: it arrived, or an operator wanted it so."""

PLATFORMS = {"weixin": Weixin, "qqbot": QQBot}
ANN, BO = "ann@im.wechat", "bo@im.wechat"


def happens(at_s: float, kind: str, target: str = "", **fields: object) -> Occurrence:
    """Make an occurrence."""
    return Occurrence(round(at_s * SECONDS), kind, target, fields)


def planned(*occurrences: Occurrence, seed: int = 1, minutes: int = 4, calm_s: int = 90) -> Plan:
    """Make a plan for one WeChat account that "p1" drives from the beginning."""
    first = happens(0, "process-starts", "p1", replaces=False, apart=False)
    found = tuple(sorted((first, *occurrences), key=lambda one: one.at))
    return Plan(seed, minutes * MINUTES, calm_s * SECONDS, ACCOUNTS[:1], found)


def writes(*at_s: float) -> list[Occurrence]:
    """Let Ann write at these seconds."""
    return [happens(at, "user-writes", "wx", chat=ANN, text=f"at {at:g}") for at in at_s]


def sends(*at_s: float) -> list[Occurrence]:
    """Let the program write to Ann at these seconds."""
    return [happens(at, "program-sends", "wx", chat=ANN, text=f"s {at:g}", key="", lasts=0) for at in at_s]


@cache
def drawn(seed: int) -> Faithful:
    """Run ten minutes of a drawn plan; once for all tests that look at it."""
    return run_faithful(draw(seed, 10 * MINUTE), Path(FOLDER.name) / f"seed-{seed}")


FOLDER = TemporaryDirectory(prefix="faithful-")


def shown(outcome: Outcome, account: str = "wx") -> Counter[str]:
    """Return what users saw, and how often."""
    return Counter(send.text for send in outcome.truth.platforms[account].sends if send.shown and not send.copy)


# ---- the guarantees --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_minutes_of_faults_break_no_guarantee(seed: int) -> None:
    """
    The product as it is shipped, over its own adapters and the platforms' simulators, holds what it promises.
    """
    outcome = drawn(seed)

    assert outcome.violations == []
    assert sum(shown(outcome).values()) > 0


def test_the_runs_of_this_file_meet_faults_of_every_sort() -> None:
    """
    A simulation in which nothing goes wrong would be green for ever.
    """
    met = {kind.partition(" ")[0] for seed in SEEDS for kind in drawn(seed).met}

    assert met >= {"network", "platform", "disk", "program", "process-crashes", "process-stops", "power-fails"}


# ---- a seed decides everything ---------------------------------------------------------------------------------------


def test_a_plan_makes_the_same_journal_twice(tmp_path: Path) -> None:
    """
    A failure that cannot be repeated cannot be understood.
    """
    first, again = drawn(2), run_faithful(draw(2, 10 * MINUTE), tmp_path)

    assert first.digest() == again.digest()
    assert first.truth == again.truth


def test_another_process_with_another_hash_seed_makes_it_too(tmp_path: Path) -> None:
    """
    What somebody else's machine found must be found on mine.
    """
    program = (
        "import sys; from pathlib import Path\n"
        "from statecore.simulation.drawing import draw; from statecore.simulation.faithful import run_faithful\n"
        "print(run_faithful(draw(2, 1 / 6), Path(sys.argv[1])).digest())"
    )
    surroundings = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=surroundings, check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == drawn(2).digest()


def test_another_seed_makes_another_journal(tmp_path: Path) -> None:
    """
    Else the two tests above would prove nothing.
    """
    plan = planned(*writes(1, 5), seed=1, minutes=1, calm_s=1)
    other = planned(*writes(1, 5), seed=2, minutes=1, calm_s=1)

    assert run_faithful(plan, tmp_path / "a").digest() != run_faithful(other, tmp_path / "b").digest()


# ---- two drivers and what-if hold each other honest ------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_what_if_reproduces_every_row(seed: int) -> None:
    """
    The rows hold all that decided: given the recorded outside, the same account makes them again.
    """
    found = what_if(drawn(seed).journal, {}, PLATFORMS)

    assert [(one.strayed, one.parting) for one in found] == [(None, None)] * len(ACCOUNTS)
    assert diverges(drawn(seed).journal) is None


def reproduced(outcome: Faithful) -> bool:
    """Tell whether what-if makes every row again."""
    return all((one.strayed, one.parting) == (None, None) for one in what_if(outcome.journal, {}, PLATFORMS))


def test_what_if_lets_messages_expire_when_the_driver_knew_of_them(tmp_path: Path) -> None:
    """
    While a disk is slow, messages are taken on that their driver hears of later. Some then expire behind others that are due
    after them, or at the very same moment.
    """
    slow = happens(15.2, "disk", until=40 * SECONDS, fault="slow", share=1.0, delay=3 * SECONDS)
    brief = [
        happens(at, "program-sends", "wx", chat=ANN, text=f"b{at} {number}", key="", lasts=round(lasts * SECONDS))
        for number, (at, lasts) in enumerate([(18, 3), *[(20, 1.5)] * 4])
    ]

    outcome = run_faithful(planned(*writes(1, 2, 13), *brief, slow, minutes=1, calm_s=50), tmp_path)

    assert outcome.violations == []
    assert reproduced(outcome)


def test_what_if_gives_no_turn_that_was_never_durable(tmp_path: Path) -> None:
    """
    What a process decided, could not write and took along when it died is nothing that happened.
    """
    full = happens(21, "disk", until=40 * SECONDS, fault="full", share=1.0, delay=0)
    crash = happens(39, "process-crashes", "p1", back_after=5 * SECONDS)
    asks = [happens(1, "user-writes", "wx", chat=chat, text="hi") for chat in (ANN, BO)]
    tells = [
        happens(at, "program-sends", "wx", chat=chat, text=f"{chat} {at}", key="", lasts=0)
        for chat, times in ((ANN, (20, 20.2, 20.3, 20.4)), (BO, (20.1, 20.15, 20.5, 20.6)))
        for at in times
    ]

    outcome = run_faithful(planned(*asks, *tells, full, crash, minutes=2, calm_s=70), tmp_path)

    assert outcome.violations == []
    assert reproduced(outcome)


def test_what_if_takes_in_what_the_turn_that_closed_an_account_took_in(tmp_path: Path) -> None:
    """
    While the rows that end a stop were being written, deadlines passed and an operator asked for something.
    """
    slow = happens(19.3, "disk", until=40 * SECONDS, fault="slow", share=1.0, delay=3 * SECONDS)
    stop = happens(20.5, "process-stops", "p1", back_after=30 * SECONDS)
    logins = [happens(at, "operator", "wx", command="credentials", chat="") for at in (22, 25)]
    brief = [
        happens(19.2, "program-sends", "wx", chat=ANN, text=f"b{half_s}", key="", lasts=half_s * SECONDS // 2)
        for half_s in range(2, 25)
    ]
    common = (*writes(1, 2, 13), *sends(19, 19.1), slow, stop)

    outcomes = [
        run_faithful(planned(*common, *more, minutes=1, calm_s=55), tmp_path / name)
        for name, more in (("logins", logins), ("brief", brief))
    ]

    for outcome, kind in zip(outcomes, (CredentialsChanged, Elapsed), strict=True):
        (hung_up,) = [row for row in outcome.rows if isinstance(row.event, HungUp)]
        assert [row for row in outcome.rows if isinstance(row.event, kind) and row.at == hung_up.at] != []
        assert reproduced(outcome)


def ends(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Return how each message of the plan's programs ended, by its text, and why it, or what it waits behind, did so."""
    found = {}
    for row in outcome.rows:
        if isinstance(row.event, Accepted) and not row.event.reply_to:
            held = outcome.instances[row.address]
            lane = [
                other
                for address, other in outcome.instances.items()
                if address.startswith("delivery/") and other.live and (other.chat, held.live) == (held.chat, True)
            ]
            first = min(lane, key=lambda other: other.order, default=held)
            found["".join(row.event.parts)] = (
                held.snapshot.state,
                held.snapshot.data.reason or first.snapshot.data.reason,
            )
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_both_speeds_agree_on_what_became_of_every_message(seed: int) -> None:
    """
    The quick simulation models what is real here. Where they part, each must have a reason that a person can read.
    """
    real, quick = ends(drawn(seed)), ends(run(draw(seed, 10 * MINUTE)))
    common = real.keys() & quick.keys()
    parted = {text: (real[text], quick[text]) for text in common if real[text][0] != quick[text][0]}

    assert common
    unexplained = {
        text: both for text, both in parted.items() if any(not why for state, why in both if state not in SAID)
    }
    assert unexplained == {}


# ---- processes -------------------------------------------------------------------------------------------------------


def test_a_process_that_is_killed_at_a_write_loses_nothing_it_was_told(tmp_path: Path) -> None:
    """
    kill -9 may come between any two instructions.
    """
    crashes = [happens(at, "process-crashes", "p1", back_after=100 * MILLISECONDS) for at in (3, 11, 17, 31, 47)]
    plan = planned(*crashes, *writes(2, 10, 30, 100), *sends(3, 11, 17, 17.1, 31, 46.9))

    outcome = run_faithful(plan, tmp_path)

    assert outcome.violations == []
    assert len([row for row in outcome.rows if isinstance(row.event, Started)]) == 6
    told = outcome.truth.platforms["wx"].told
    assert len(told) > 3
    assert {outcome.instances[f"delivery/wx/{one.id}"].snapshot.state for one in told} == {"delivered"}


def test_a_restart_hands_an_account_over_in_a_fraction_of_a_second(tmp_path: Path) -> None:
    """
    Whoever updates a bot does not want its users to notice.
    """
    second = happens(20, "process-starts", "p2", replaces=True, apart=False)
    outcome = run_faithful(planned(second, *writes(1, 19.9, 20.1, 95)), tmp_path)

    assert outcome.violations == []
    assert [one.process for one in outcome.truth.platforms["wx"].taken] == ["p1", "p2"]
    assert outcome.truth.platforms["wx"].taken[1].at < 21 * SECONDS


def test_a_frozen_process_that_wakes_up_without_its_lease_sends_nothing(tmp_path: Path) -> None:
    """
    It does not know that it was stopped. The journal's fence has to tell it.
    """
    frozen = happens(20, "process-freezes", "p1", length=40 * SECONDS)
    second = happens(25, "process-starts", "p2", replaces=False, apart=True)
    outcome = run_faithful(
        planned(frozen, second, *writes(1, 19.99, 30, 95), *sends(19.995, 59, *range(61, 73))), tmp_path
    )

    assert outcome.violations == []
    assert [one.process for one in outcome.truth.platforms["wx"].taken][:2] == ["p1", "p2"]
    late = [send for send in outcome.truth.platforms["wx"].sends if send.process == "p1" and send.left > 26 * SECONDS]
    assert late == []


def test_an_account_that_is_taken_over_brings_its_clock_along_and_no_step_of_the_wall_clock(tmp_path: Path) -> None:
    """
    A process that has waited since before the wall clock was set is behind; catching up is no reason for an alarm.
    """
    plan = planned(
        *writes(1, 40, 100),
        happens(5, "process-starts", "p2", replaces=False, apart=False),
        happens(10, "wall-steps", by=7200 * SECONDS),
        happens(20, "process-crashes", "p1", back_after=30 * MILLISECONDS),
        happens(60.5, "process-crashes", "p1", back_after=0),
        seed=2,
    )

    outcome = run_faithful(plan, tmp_path)

    assert outcome.violations == []
    assert [one.process for one in outcome.truth.platforms["wx"].taken] == ["p1", "p1", "p2"]
    assert [row.event.by for row in outcome.rows if isinstance(row.event, ClockStepped)] == [7200 * SECONDS]


def test_a_log_that_is_torn_by_a_power_cut_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """
    SQLite drops the transaction that nobody was told of, and no other.
    """
    cuts = [happens(at, "power-fails", back_after=SECONDS) for at in (3, 20, 40, 60)]
    outcomes = [
        run_faithful(
            planned(*cuts, *writes(2.9, 19.9, 39.9, 59.9, 100), *sends(3.01, 20.01, 40.01, 60.01), seed=seed),
            tmp_path / str(seed),
        )
        for seed in range(4)
    ]

    assert [outcome.violations for outcome in outcomes] == [[]] * 4
    assert sum(outcome.met["disk cut torn"] for outcome in outcomes) > 0


# ---- the network -----------------------------------------------------------------------------------------------------


def test_an_answer_whose_copy_of_a_proxy_came_first_is_said_to_have_been_doubled(tmp_path: Path) -> None:
    """
    The platform took the copy and refused the request, as taken before. Under another number it is shown once more.
    """
    start = happens(0, "process-starts", "p1", replaces=False, apart=False)
    twice = happens(1, "network", "qq", until=60 * SECONDS, fault="duplicate", share=1.0, delay=0)
    asks = [happens(5 * number, "user-writes", "qq", chat="c2c:DEE", text=f"q{number}") for number in range(1, 9)]

    outcome = run_faithful(Plan(1, 4 * MINUTES, 90 * SECONDS, ACCOUNTS[1:2], (start, twice, *asks)), tmp_path)

    assert outcome.violations == []
    assert [text for text, times in shown(outcome, "qq").items() if times > 1] != []


def test_what_somebody_looked_at_first_is_not_taken_for_the_next_request(tmp_path: Path) -> None:
    """
    It was shown while a request was refused, which then seemed to have been shown twice.
    """
    start = happens(0, "process-starts", "p1", replaces=False, apart=False)
    asks = [happens(5 + number / 4, "user-writes", "qq", chat="c2c:DEE", text=f"q{number}") for number in range(8)]
    reviews = happens(10, "platform", "qq", until=40 * SECONDS, fault="reviews", share=1.0, chat="", code="")
    tells = [
        happens(at, "program-sends", "qq", chat="c2c:DEE", text=f"s{at}", key="", lasts=0)
        for at in (20, 20.3, 20.8, 25, 27, 30, 33)
    ]
    refuses = happens(21, "platform", "qq", until=26 * SECONDS, fault="refuses", share=1.0, chat="", code="code=304016")
    plan = Plan(1, MINUTES, 45 * SECONDS, ACCOUNTS[1:2], (start, *asks, reviews, *tells[:3], refuses, *tells[3:]))

    outcome = run_faithful(plan, tmp_path)

    assert outcome.violations == []
    sends = outcome.truth.platforms["qq"].sends
    assert {(send.said, send.shown) for send in sends if send.text.startswith("s")} == {
        ("refused", False),
        ("review", True),
    }


@pytest.mark.parametrize("busy", [[], ["slow"]])
def test_what_a_session_missed_may_come_at_once(tmp_path: Path, busy: list[str]) -> None:
    """
    Every frame is a row, so that a crash makes the platform send it again. None of them is one that nobody paid for.
    """
    start = happens(0, "process-starts", "p1", replaces=False, apart=False)
    chatter = {"until": 85 * SECONDS, "fault": "chatter", "share": 1.0, "chat": "", "code": ""}
    talk = [happens(10, "platform", "qq", **chatter)] * 3
    away = happens(20, "host-suspends", length=60 * SECONDS)
    disk = [happens(15, "disk", until=100 * SECONDS, fault=fault, share=1.0, delay=SECONDS) for fault in busy]

    plan = Plan(1, 2 * MINUTES, 100 * SECONDS, ACCOUNTS[1:2], (start, *talk, *disk, away))
    outcome = run_faithful(plan, tmp_path)

    assert outcome.violations == []
    assert len([row for row in outcome.rows if isinstance(row.event, Noted)]) > 300


# ---- spinning --------------------------------------------------------------------------------------------------------


def test_a_loop_that_spins_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    On a virtual clock a loop that waits for nothing would stop time; in a real one it would burn a core.
    """

    async def busy(_street: object, _gateway: object) -> None:
        while True:
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(street.Street, "_handle", busy)

    outcome = run_faithful(planned(*writes(1), minutes=1, calm_s=1), tmp_path)

    (found,) = [one for one in outcome.violations if one.guarantee == "G2"]
    assert "p1:" in found.said
    assert "busy" in found.said
