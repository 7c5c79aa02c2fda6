"""One mutant, one forked process: make the change, run the tests, stop at the first that notices.

Everything is imported before the fork, test modules excepted: they compute what they compare with when they are imported,
so they have to be imported with the mutant in place.
"""

import contextlib
import gc
import os
import pickle
import resource
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic  # noqa: TID251 - how long a trial took is told, and decides nothing
from typing import Any, Final

import attrs
import hypothesis
import pytest

CPU_SECONDS_MAX: Final = 60.0
"""Of one trial. The longest run of one stage without a mutant takes under a third of it; a mutant that spins is noticed."""

WALL_FACTOR: Final = 10
"""A mutant that waits for ever uses no processor; it is given this many times as long by the clock on the wall."""


@attrs.frozen
class Noticed:
    """What became of a mutant.

    Args:
        by: the first test that failed, or what else noticed; empty if it survived.
        tests: how many tests were run.
        seconds: how long that took.
    """

    by: str
    tests: int
    seconds: float


class _First:
    """A pytest plugin: run the tests of one kind, and remember the first that fails.

    Of tests that are repeated for every machine, only the subject's are run.
    """

    def __init__(self, subject: str, *, drawn: bool) -> None:
        self.subject = subject
        self.drawn = drawn
        self.failed = ""
        self.ran = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item
            for item in items
            if self._machine(item) in {"", self.subject}
            and hypothesis.is_hypothesis_test(getattr(item, "obj", None)) == self.drawn
        ]

    def _machine(self, item: pytest.Item) -> str:
        spec = getattr(item, "callspec", None)
        machine = None if spec is None else spec.params.get("machine")
        return str(getattr(machine, "name", ""))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = f"{report.nodeid} (at import)"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid


def prepare() -> None:
    """Settle what all trials share: the same draws each time, no shrinking, no examples kept for others."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, phases=phases)
    hypothesis.settings.load_profile("mutants")
    gc.collect()
    gc.freeze()  # or the first collection in a child copies every page


def run(subject: str, change: Callable[[], Any], tests: Sequence[str], *, drawn: bool = False) -> Noticed:
    """Try one mutant.

    Args:
        subject: the machine or module that it is about.
        change: makes the change in the process it is called in; what it raises is a notice, too.
        tests: files and node ids, the likely ones first.
        drawn: whether to run the tests that draw examples, which take long, or the others.
    """
    began = monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _try(subject, change, tests, drawn, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:  # it ends with the child, however that ends
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    seconds = monotonic() - began
    if said:
        by, ran = pickle.loads(said)
        return Noticed(by, ran, seconds)
    number = os.waitstatus_to_exitcode(status)
    ended = signal.Signals(-number).name if number < 0 else f"exit status {number}"
    return Noticed(f"the time limit ({ended})" if -number in LIMITS else f"the process died ({ended})", 0, seconds)


LIMITS: Final = (signal.SIGXCPU, signal.SIGALRM)


def _try(subject: str, change: Callable[[], Any], tests: Sequence[str], drawn: bool, writing: int) -> None:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limit = int(used + CPU_SECONDS_MAX) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(int(CPU_SECONDS_MAX * WALL_FACTOR))
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(_noticed(subject, change, tests, drawn), pipe)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may leave a forked process but through its end
        traceback.print_exc()
    finally:
        os._exit(code)


def _noticed(subject: str, change: Callable[[], Any], tests: Sequence[str], drawn: bool) -> tuple[str, int]:
    try:
        change()
    except Exception as error:  # noqa: BLE001 - the proof, a validator, an assertion at import
        return f"the definition: {type(error).__name__}", 0
    first = _First(subject, drawn=drawn)
    quiet = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:terminalreporter", "-p", "no:randomly"]
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        status = pytest.main([*quiet, "-p", "_hypothesis_pytestplugin", *tests], plugins=[first])
    expected = (
        pytest.ExitCode.OK,
        pytest.ExitCode.TESTS_FAILED,
        pytest.ExitCode.INTERRUPTED,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    )
    if status not in expected:
        return first.failed or f"pytest: {pytest.ExitCode(status).name}", first.ran
    return first.failed, first.ran
