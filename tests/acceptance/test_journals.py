"""What goes wrong elsewhere with histories: replay, versions, and how much there is of them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import trio

from statecore.events import External
from statecore.evolve import evolve
from statecore.gateway import Gateway
from statecore.machine import Machine, Signal, ignore, on
from statecore.platform import Policies
from statecore.units import DAYS
from statecore_journal import diverges, prune, schema, verify
from statecore_journal.whatif import what_if
from tests.journal.desk import LAMPS, Hand, Pressed, lamp, opened, rows
from tests.support.command import invoke
from tests.support.platform import PLATFORMS, QUICK, Fake, Plain, dies, refused, wechat
from tests.support.stage import Stage


@attrs.frozen
class Order:
    """What an order remembers."""

    tries: int = 0


@attrs.frozen(kw_only=True)
class Failed(External):
    """A try to fulfil it came to nothing."""


def counted(was: Order, _event: Failed, _now: int) -> Order:
    return evolve(was, tries=was.tries + 1)


def often_enough(was: Order, _event: Failed) -> bool:
    return was.tries >= 2


# fmt: off
order = Machine(
    "order", remembers=Order, initial="waiting",
    table=[
        on("waiting", Failed, "dead",    when=often_enough),
        on("waiting", Failed, "waiting", counted),
        ignore("dead", Failed, because="it is over"),
    ],
    awaits={"waiting": Signal()}, final=("dead",),
)
# fmt: on


async def make(path: Path, machine: Machine, *events: External) -> None:
    """Let events happen to one instance, and record them."""
    async with opened(path) as journal:
        await Hand(journal, machines={machine.name: machine}).happen(f"{machine.name}/wx/1", *events)


# ---- replay ----------------------------------------------------------------------------------------------------------


def test_a_replay_of_its_own_log_ends_where_the_log_ends(tmp_path: Path) -> None:
    """
    xstate-statemachine 0.11 (provoked): replay stubs the actions, so a guard that reads what an action had set decides
    otherwise, and a correct log is said to diverge.
    """
    path = tmp_path / "gateway.db"
    trio.run(make, path, order, Failed(), Failed(), Failed(), Failed())

    found = verify(path, machines={"order": order})

    assert found.holds, found.named
    assert [target for (target,) in rows(path, "select target from events order by seq")] == [
        "waiting",
        "waiting",
        "dead",
        "dead",
    ]


def test_a_replay_does_nothing_outside(stage: Stage) -> None:
    """
    xstate-statemachine 0.11 (provoked): with the real actions given to it, replay is right and sends everything again.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(5):
                await stage.send(gateway, "ann", f"message {number}")
            await stage.settled()

    stage.run(main)
    before = stage.path.read_bytes(), len(stage.server.attempts)

    assert diverges(stage.path) is None
    assert (stage.path.read_bytes(), len(stage.server.attempts)) == before


def test_a_recorded_incident_can_be_asked_about_with_other_waits(stage: Stage) -> None:
    """
    xstate-statemachine 0.11: its replay carries no times, so "the same incident, waiting 60 seconds" ends in an error or in
    a success that is none. Temporal: a history is replayed by code that does the same, or not at all.
    """
    stage.account = Fake(stage.server, wechat(), Policies())
    stage.server.during(0, 50, refused())

    async def main() -> None:
        stage.server.say("ann", "hi")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            receipt = await stage.send(gateway, "ann", "hello")
            await receipt.settled()

    stage.run(main)
    (same,) = what_if(stage.path, {}, PLATFORMS)
    (slower,) = what_if(stage.path, {"account.wx.circuit.chat_cooldown": "60s"}, PLATFORMS)

    assert same.recorded == same.changed
    assert same.recorded.refused == len(stage.server.refusals)
    assert slower.changed.refused < slower.recorded.refused
    assert slower.changed.delivered == 1


def test_what_an_error_said_is_data_and_holds_nothing_of_the_code(stage: Stage) -> None:
    """
    Restate sdk-typescript#656 (not to be mended): a stack trace gets into the journal, and a replay by code whose lines
    have moved diverges.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.once(dies(ValueError("on purpose"), takes=False))

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.send(gateway, "ann", "hello")
            await stage.settled()

    book = stage.run(main)

    (died,) = [row for row in book.rows if row.event == "Broken"]
    assert "ValueError" in died.data
    assert not any(sign in died.data for sign in ("Traceback", "\\n", "0x"))
    assert diverges(stage.path) is None


# ---- a gate for new code ---------------------------------------------------------------------------------------------


def other_lamp(*, breaks: bool = False) -> Machine:
    """Return the lamp that new code has; perhaps one that breaks when it is switched off."""
    table = [attrs.evolve(row, target="broken") if breaks and row.target == "off" else row for row in lamp.table]
    return Machine(
        "lamp", remembers=lamp.remembers, initial="off", table=table, awaits=lamp.awaits, final=("broken",), version=2
    )


def test_code_that_does_otherwise_is_stopped_before_it_runs_and_both_sides_are_shown(tmp_path: Path) -> None:
    """
    Restate unkeyed/unkey#4979: a mismatch with the journal in production is hard to see. DBOS: it shows when a workflow is
    recovered, as an error without what was recorded. Temporal: replay in CI is there, and airbyte#10742 still lacks the
    histories.
    """
    path = tmp_path / "gateway.db"
    trio.run(make, path, lamp, Pressed(note="a"), Pressed(note="b"))
    changed = other_lamp(breaks=True)

    found = verify(path, machines={"lamp": changed})

    assert not found.holds
    assert (found.named[0].seq, found.named[0].address) == (2, "lamp/wx/1")
    assert (found.named[0].recorded, found.named[0].folded) == ("on -> off", "on -> broken")


def test_a_gate_in_ci_is_one_command(tmp_path: Path) -> None:
    """
    Temporal (a Replayer has to be programmed), DBOS (there is none; llama-agents#157 wrote one).
    """
    path = tmp_path / "gateway.db"
    trio.run(make, path, lamp, Pressed(note="a"), Pressed(note="b"))
    asked = ("verify", path, "--machines", "tests.journal.desk:LAMPS")
    assert invoke(*asked).exit_code == 0

    rows(path, "update events set target = 'off' where seq = 1")
    refused_ = invoke(*asked)

    assert refused_.exit_code == 1
    assert all(said in refused_.output for said in ("diverges", "lamp/wx/1", "row 1"))


def test_the_histories_for_the_gate_come_along() -> None:
    """
    airbyte#10742 (open): nobody has histories that are worth replaying. Here each incident that was ever seen is one, and
    the machines of today are held to all of them.
    """
    journals = sorted((Path(__file__).parents[1] / "incidents" / "journals").glob("*.db"))
    assert len(journals) > 40
    for path in journals[::12]:
        assert verify(path).holds, path.name


def test_rows_of_newer_code_are_said_and_the_rest_is_read(tmp_path: Path) -> None:
    """
    Akka #29281 (open): during a rolling redeploy, old replicas get events that only new code knows, and fail as a whole.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines={**LAMPS, "order": order})
            await hand.happen("lamp/wx/1", Pressed(note="a"))
            await hand.happen("order/wx/1", Failed())
            await hand.happen("lamp/wx/1", Pressed(note="b"))

    trio.run(main)

    old = verify(path, machines=LAMPS)

    assert dict(old.unknown) == {"order": 1}
    assert (old.diverging, old.instances) == (0, 1)


def test_every_row_says_which_version_of_what_it_was_made_by(tmp_path: Path) -> None:
    """
    python-statemachine #618 (open): what is saved has no version, so new code reads old states as its own. Restate: code
    of months ago is kept running, because what it began knows no other.
    """
    path = tmp_path / "gateway.db"
    trio.run(make, path, lamp, Pressed(note="a"))
    trio.run(make, path, other_lamp(), Pressed(note="b"))

    assert rows(path, "select definition, schema from events order by seq") == [(1, 1), (2, 1)]


# ---- what is committed, and how much of it ---------------------------------------------------------------------------


def test_what_is_acknowledged_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    xstate-statemachine 0.11: SQLite at `synchronous=NORMAL`, so what was acknowledged may be gone after a power cut.
    """
    monkeypatch.undo()  # scenarios spare the disk
    path = tmp_path / "gateway.db"
    schema.prepare(path, busy_ns=10**9)
    with closing(schema.connect(path, busy_ns=10**9)) as connection:
        assert connection.execute("pragma synchronous").fetchone() == (2,)
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


def test_the_log_is_written_before_anything_acts_on_it(stage: Stage) -> None:
    """
    xstate-statemachine 0.11: a snapshot is the truth, and the log a plugin that writes afterwards.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(5):
                await stage.send(gateway, f"chat {number}", "one|two")
            await stage.settled()

    stage.run(main)

    assert len(stage.server.attempts) == 10
    assert all(attempt.announced for attempt in stage.server.attempts)


def test_what_is_recorded_is_bounded_and_what_is_left_still_replays(stage: Stage) -> None:
    """
    KStateMachine #125: users fear that recording events never ends.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(30):
                await stage.send(gateway, f"chat {number}", "hello")
            await stage.settled()

    stage.run(main)
    before = rows(stage.path, "select count(*) from events")[0][0]
    ended = rows(stage.path, "select max(at) from events")[0][0]

    prune(stage.path, now=ended + 30 * DAYS, older_than=20 * DAYS)

    assert rows(stage.path, "select count(*) from events where machine like 'delivery/%'") == [(0,)]
    assert rows(stage.path, "select count(*) from events")[0][0] < before / 4
    assert diverges(stage.path) is None


def test_two_decisions_that_belong_together_are_in_one_commit(stage: Stage) -> None:
    """
    h11#1: its two machines move by their joint state, for which no library has a word. Here a part leaves only as one
    commit of two machines: the delivery takes its turn, and the window counts it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main(gateway: Gateway) -> None:
        stage.server.say("ann", "hi")
        await stage.heard(1)
        await stage.send(gateway, "ann", "one|two|three")
        await stage.settled("delivery")

    async def boot() -> None:
        await stage.boot(main)

    stage.run(boot)

    with closing(sqlite3.connect(stage.path)) as connection:
        pairs = connection.execute(
            "select turn.at = spent.at, spent.seq - turn.seq from events turn join events spent"
            " on spent.cause = turn.seq where turn.event = 'Turn' and spent.event = 'Spent'"
        ).fetchall()
    assert len(pairs) == 3
    assert all(together and near == 1 for together, near in pairs)
