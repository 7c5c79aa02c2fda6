"""The testing kit: for tests of machines, adapters and journals, your own and the shipped ones.

lives       what can happen to an instance next; pure, and without Hypothesis
strategies  Hypothesis strategies for events, histories and snapshots, from any definition
promises    what holds of every step
trial       instances that things happen to, with everything checked after each of them
stateful    a ready stateful test on that
exploring   every state of a machine, under every sample event, as a test
coverage    which transitions, answers of guards and timers a test run went through
worlds      a virtual clock
stores      journals without `await`, in memory and in a file
plugin      fixtures and coverage for pytest

What is named here is imported when it is first asked for: without Hypothesis there are no strategies, and all the rest works.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from statecore.testing.coverage import covering as covering
    from statecore.testing.exploring import assert_explored as assert_explored
    from statecore.testing.lives import BEGAN as BEGAN
    from statecore.testing.lives import History as History
    from statecore.testing.lives import Moment as Moment
    from statecore.testing.stateful import machine_test as machine_test
    from statecore.testing.stateful import system_test as system_test
    from statecore.testing.stores import FileJournal as FileJournal
    from statecore.testing.stores import MemoryJournal as MemoryJournal
    from statecore.testing.strategies import events as events
    from statecore.testing.strategies import histories as histories
    from statecore.testing.strategies import register as register
    from statecore.testing.strategies import snapshots as snapshots
    from statecore.testing.strategies import values as values
    from statecore.testing.trial import Trial as Trial
    from statecore.testing.trial import trial_of as trial_of
    from statecore.testing.worlds import virtual as virtual
    from statecore.world import VirtualWorld as VirtualWorld

_HOMES: Final = {
    "BEGAN": "statecore.testing.lives",
    "FileJournal": "statecore.testing.stores",
    "History": "statecore.testing.lives",
    "MemoryJournal": "statecore.testing.stores",
    "Moment": "statecore.testing.lives",
    "Trial": "statecore.testing.trial",
    "VirtualWorld": "statecore.world",
    "assert_explored": "statecore.testing.exploring",
    "covering": "statecore.testing.coverage",
    "events": "statecore.testing.strategies",
    "histories": "statecore.testing.strategies",
    "machine_test": "statecore.testing.stateful",
    "register": "statecore.testing.strategies",
    "snapshots": "statecore.testing.strategies",
    "system_test": "statecore.testing.stateful",
    "trial_of": "statecore.testing.trial",
    "values": "statecore.testing.strategies",
    "virtual": "statecore.testing.worlds",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names, which is what it takes


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name not in ("hypothesis", "pytest"):
            raise
        raise ModuleNotFoundError(
            f"statecore.testing.{name} needs {error.name}: pip install 'statecore[testing]'", name=error.name
        ) from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
