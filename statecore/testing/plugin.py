"""The pytest plugin: fixtures, and how much of the tables a test run went through.

    pytest --statecore-cover shop.machines:order --statecore-cover-fail-under 100

Every pytest run of everybody who has the package imports this, so it imports nothing heavy by itself: no trio, no SQLite, no
Hypothesis. What a fixture or an option needs is imported when it is used.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from statecore.testing.coverage import Coverage
    from statecore.testing.stores import FileJournal, MemoryJournal
    from statecore.world import VirtualWorld

MARKER: Final = (
    'statecore(seed=0, journal="memory"): the seed of the fixtures `virtual_clock` and `world`, and where the fixture '
    '`journal` is: in "memory", or in a file as "sqlite"'
)
_COUNTED: Final = "statecore_coverage"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("statecore", "tests of state machines")
    group.addoption(
        "--statecore-cover",
        action="append",
        default=[],
        metavar="MODULE:ATTRIBUTE",
        help="report which transitions, answers of guards and timers of a machine (or of several) the run went through",
    )
    group.addoption(
        "--statecore-cover-fail-under",
        default=None,
        metavar="PERCENT",
        help="fail if less than this was gone through, of any of these machines",
    )
    group.addoption(
        "--statecore-seed", type=int, default=0, metavar="N", help="seed of the fixtures virtual_clock and world (0)"
    )
    parser.addini(
        "statecore_cover", "machines whose coverage is reported, as --statecore-cover takes them", type="linelist"
    )
    parser.addini("statecore_cover_fail_under", "as --statecore-cover-fail-under", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count, if there is something to count."""
    config.addinivalue_line("markers", MARKER)
    specs = [*config.getini("statecore_cover"), *config.getoption("--statecore-cover")]
    if not specs:
        return
    from statecore.errors import ConfigError
    from statecore.testing import coverage

    try:
        counting = _Counting(config, coverage.Coverage(coverage.found(specs)), coverage.threshold(_fail_under(config)))
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(counting, "statecore-coverage")


def _fail_under(config: pytest.Config) -> str | None:
    given: str | None = config.getoption("--statecore-cover-fail-under")
    return given if given is not None else config.getini("statecore_cover_fail_under")


class _Counting:
    """Counts steps in this process, and what xdist's workers have counted in theirs."""

    def __init__(self, config: pytest.Config, coverage: "Coverage", fail_under: float | None) -> None:
        from statecore.testing.coverage import begin

        self._config = config
        self._coverage = coverage
        self._fail_under = fail_under
        self._short: list[str] = []
        begin(coverage)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a worker has counted; called where pytest-xdist distributes."""
        counted = getattr(node, "workeroutput", {}).get(_COUNTED)
        if counted is not None:
            self._coverage.add(counted)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send what was counted to whoever distributes, or see whether it is enough."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_COUNTED] = self._coverage.plain()
            return
        if self._fail_under is None or self._config.option.collectonly:
            return
        self._short = [one.machine for one in self._coverage.report() if one.percent < self._fail_under]
        if self._short and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how much of each table was gone through."""
        if self._config.option.collectonly:
            return
        terminalreporter.section("statecore coverage")
        for covered in self._coverage.report():
            terminalreporter.write_line(str(covered))
        if self._short:
            terminalreporter.write_line(
                f"FAILED: less than {self._fail_under:g} % of {', '.join(self._short)} was gone through", red=True
            )

    def pytest_unconfigure(self) -> None:
        """Count no longer."""
        from statecore.testing.coverage import end

        end(self._coverage)


# ---- fixtures --------------------------------------------------------------------------------------------------------


def _marked(request: pytest.FixtureRequest, name: str, default: Any) -> Any:
    marker = request.node.get_closest_marker("statecore")
    return default if marker is None else marker.kwargs.get(name, default)


@pytest.fixture
def statecore_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test: of its marker `statecore(seed=...)`, or of the option `--statecore-seed`."""
    seed: int = _marked(request, "seed", request.config.getoption("--statecore-seed"))
    return seed


@pytest.fixture
def virtual_clock(statecore_seed: int) -> Callable[..., Any]:
    """Run an async function on a virtual clock: `virtual_clock(main)`; see `statecore.testing.virtual`."""
    from statecore.testing.worlds import virtual

    def run(main: Callable[[], Awaitable[Any]], **how: Any) -> Any:
        return virtual(main, **{"seed": statecore_seed, **how})

    return run


@pytest.fixture
def world(statecore_seed: int) -> "VirtualWorld":
    """A world whose chance and ids come from the seed, and whose time is that of the run it is used in."""
    from statecore.world import VirtualWorld

    return VirtualWorld(statecore_seed)


@pytest.fixture
def journal(request: pytest.FixtureRequest) -> "Iterator[MemoryJournal | FileJournal]":
    """A journal without `await`: in memory, or in a file with the marker `statecore(journal="sqlite")`."""
    from statecore.testing.stores import FileJournal, MemoryJournal

    kind = _marked(request, "journal", "memory")
    if kind == "memory":
        yield MemoryJournal()
    elif kind == "sqlite":
        opened = FileJournal(request.getfixturevalue("tmp_path") / "journal.db")
        try:
            yield opened
        finally:
            opened.close()
    else:
        raise pytest.UsageError(f'statecore(journal={kind!r}): it is "memory" or "sqlite"')
