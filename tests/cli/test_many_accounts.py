"""What `statecore run` sees to for many accounts: that it may open their files, and that nothing stops for long.

A limit of open files that is met at night looks like an outage of every platform at once.
"""

import gc
import logging
import resource
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from statecore.cli.run import allow_files, keep_what_stands

LOW = 256
"""Far above what a test process has open."""


@pytest.fixture
def low() -> Iterator[int]:
    """Lower what this process may open, and raise it again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("low")
def test_a_limit_that_many_accounts_would_meet_is_raised_first() -> None:
    allow_files(400)

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500


@pytest.mark.usefixtures("low")
def test_a_limit_that_is_high_enough_stays() -> None:
    allow_files(4)

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == LOW


def test_a_limit_that_cannot_be_raised_enough_is_said_with_what_to_do(
    low: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        allow_files(low + 1)

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == low
    assert "ulimit -n" in caplog.text


def test_the_garbage_collector_does_not_look_through_what_stands_again() -> None:
    before, thresholds = gc.get_freeze_count(), gc.get_threshold()
    try:
        trio.run(keep_what_stands, clock=trio.testing.MockClock(autojump_threshold=0))
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
