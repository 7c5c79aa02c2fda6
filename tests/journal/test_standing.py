"""Where everything was at some moment."""

from pathlib import Path

import pytest
import trio

from statecore import codec
from statecore.units import SECONDS
from statecore_journal import fold, open_reader, replay, sweep
from tests.journal.desk import Hand, opened, rows
from tests.journal.test_fold import ALL, put_checkpoint
from tests.journal.test_verification import day

__all__ = ["day"]


@pytest.mark.parametrize("held", [1, 100])
def test_a_replay_ends_where_it_is_told_to(day: Path, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    At any row: every instance that there was, in its state, since when, and how many are in each.
    """
    monkeypatch.setattr(sweep, "HELD_MAX", held)
    began: dict[str, int] = {}
    stood: dict[str, tuple[str, int, int, int | None]] = {}
    for seq, address, source, target, version, wall, outcome in rows(
        day, "select seq, machine, source, target, version, wall, outcome from events order by seq"
    ):
        if outcome is None or source != target:
            began[address] = wall
        stood[address] = target, version, seq, began.get(address)
        with replay(day, seq, machines=ALL, finished=True) as found:
            assert {one.address: (one.state, one.version, one.seq, one.since) for one in found.standing} == stood
            assert found.events == found.seq == seq
            states = [(address.partition("/")[0], state) for address, (state, *_) in stood.items()]
            counts = {(name, state): count for name, many in found.counts.items() for state, count in many.items()}
            assert counts == {one: states.count(one) for one in states}


def test_it_is_the_fold(day: Path) -> None:
    """
    Two ways through a journal, one answer.
    """
    with open_reader(day) as reader:
        folded = {one.address: one.snapshot for one in fold(reader, machines=ALL)}
    with replay(day, machines=ALL, finished=True) as found:
        remembered = {one.address: one.remembered for one in found.standing}

    assert list(remembered) == sorted(folded)
    for address, fields in remembered.items():
        assert codec.loads(codec.dumps(folded[address].data), type(folded[address].data)) == folded[address].data
        assert set(fields) <= {field for field in dir(folded[address].data) if not field.startswith("__")}


def test_what_is_finished_is_counted_and_not_listed(day: Path) -> None:
    """
    A year's delivered messages are not what one looks for.
    """
    with replay(day, machines=ALL) as found:
        listed = [one.address for one in found.standing]
        assert found.counts["delivery"]["delivered"] == 3
        assert found.counts["inbound"]["done"] == 12
    assert not [address for address in listed if address.startswith("inbound/")]
    assert "delivery/wx/out1" in listed


def test_some_instances_are_picked_by_machine_and_account(day: Path) -> None:
    """
    One of them is found without reading everything.
    """

    def picked(**how: str) -> list[str]:
        with replay(day, machines=ALL, finished=True, **how) as found:  # type: ignore[arg-type]
            return [one.address for one in found.standing]

    assert picked(machine="connection") == ["connection/wx"]
    assert picked(machine="delivery/wx/out1") == ["delivery/wx/out1"]
    assert picked(machine="lamp", account="wx") == ["lamp/wx/0", "lamp/wx/1", "lamp/wx/2"]
    assert picked(account="other") == []


def test_deadlines_are_said_with_what_was_left_of_them(tmp_path: Path) -> None:
    """
    "What was it waiting for, and for how much longer?"
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal)
            await hand.dial()
            await hand.receive("in")

    trio.run(main)
    with replay(path, machine="window/wx/chat") as found:
        (one,) = found.standing

    (deadline,) = one.deadlines
    assert deadline == (
        "closes_at",
        86_400 * SECONDS - (found.at - rows(path, "select at from events where event = 'Heard'")[0][0]),
    )
    assert one.held == found.at - rows(path, "select at from events where event = 'Heard'")[0][0]


def test_an_instance_whose_rows_are_pruned_stands_all_the_same(day: Path) -> None:
    """
    Since when is not known any more, and is not made up.
    """
    ((seq,),) = rows(day, "select seq from events where machine = 'delivery/wx/out2' order by version desc limit 1")
    put_checkpoint(day, "delivery/wx/out2", 1)
    rows(day, "delete from events where machine = 'delivery/wx/out2'")
    with replay(day, machines=ALL, machine="delivery/wx/out2") as found:
        (one,) = found.standing
    assert (one.state, one.seq, one.since, one.held) == ("queued", None, None, None)
    with replay(day, seq - 1, machines=ALL, machine="delivery/wx/out2") as found:
        assert list(found.standing) == []


def test_code_that_parts_from_the_record_says_so(day: Path) -> None:
    """
    What is shown then is where the instance was before, and not a guess.
    """
    rows(day, "update events set target = 'nowhere' where machine = 'delivery/wx/out2' and version = 1")
    with replay(day, machines=ALL, machine="delivery/wx/out2") as found:
        (one,) = found.standing
        assert [parted.address for parted in found.parted] == ["delivery/wx/out2"]
    assert (one.parted, one.version) == (True, 0)
