"""How many files `statecore run` may open: a limit that is met at night looks like an outage of every platform at once."""

import logging
import resource
from collections.abc import Iterator

import pytest

from statecore.cli.run import allow_files

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
