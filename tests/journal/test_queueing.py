"""Who waits for a journal's lock, and who lets them."""

import threading
from pathlib import Path

import pytest

from statecore_journal import queueing
from statecore_journal.queueing import RESTS_MAX, let_others, waiting


class Rests:
    """Counts rests, and has something happen at one of them."""

    def __init__(self) -> None:
        self.taken = 0
        self.at: dict[int, object] = {}

    def wait(self, _seconds: float) -> None:
        self.taken += 1
        if callable(then := self.at.get(self.taken)):
            then()


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> Rests:
    found = Rests()
    monkeypatch.setattr(queueing, "_NEVER", found)
    return found


def test_a_writer_that_nobody_waits_for_goes_on_at_once(tmp_path: Path, rests: Rests) -> None:
    """
    A rest costs what it could have written.
    """
    let_others(tmp_path)

    assert rests.taken == 0


def test_a_writer_goes_on_when_the_last_has_had_its_turn(tmp_path: Path, rests: Rests) -> None:
    """
    One rest may be over before a busy machine gives the other process its turn.
    """
    one = waiting(tmp_path)
    one.__enter__()()
    rests.at[2] = lambda: one.__exit__(None, None, None)

    let_others(tmp_path)

    assert rests.taken == 2


def test_a_process_that_waits_and_never_goes_does_not_stop_the_writer(tmp_path: Path, rests: Rests) -> None:
    """
    It may have been stopped while it waited.
    """
    with waiting(tmp_path) as say:
        say()
        let_others(tmp_path)

    assert rests.taken == RESTS_MAX


def test_where_a_folder_cannot_be_opened_a_writer_rests_once(tmp_path: Path, rests: Rests) -> None:
    """
    Nobody can be seen to wait there, and somebody may.
    """
    with waiting(tmp_path / "gone") as say:
        say()
        let_others(tmp_path / "gone")

    assert rests.taken == 1


def test_nothing_is_left_open(tmp_path: Path) -> None:
    """
    A gateway looks every quarter of a second for as long as it lives.
    """
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(20):
        with waiting(tmp_path) as say:
            say()
        let_others(tmp_path)

    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before
