"""The examples of the documentation run as they stand there."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import statecore.testing
from statecore.testing.adapters import AdapterSuite
from statecore.testing.journals.owning import Owning
from statecore.testing.journals.writing import Writing
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin.simulator import open_simulator
from statecore_journal import open_journal
from tests.testing.suites.failing import checks, failing
from tests.testing.suites.sqlite_faults import SqliteFaults
from tests.testing.suites.test_sqlite_conformance import SqliteSuite

pytestmark = AdapterSuite.pytestmark

FOLDER = Path(statecore.testing.__file__).parent
ANN = "o9cq80ann@im.wechat"


def example(name: str, **known: Any) -> Any:
    """Run the first example of a file, with what it takes for granted; return the suite that it makes."""
    text = (FOLDER / name).read_text()
    (code, *_) = re.findall(r"\n\n((?:    .*\n|\n)*    class TestMine.*\n(?:    .*\n|\n)*)", text)
    exec(re.sub(r"^    ", "", code, flags=re.MULTILINE), known)
    return known["TestMine"]()


def test_the_example_of_an_adapter_is_a_suite_that_passes() -> None:
    """
    Whoever begins by copying it has something that works.
    """

    @asynccontextmanager
    async def open_my_simulator() -> AsyncIterator[Any]:
        async with open_simulator() as sim:
            bot = sim.add_bot(token="canary-token-of-nobody")
            yield SimpleNamespace(
                url=sim.base_url, say=lambda _chat, text: sim.say(bot, ANN, text), shown=Shown(sim, bot)
            )

    class Shown:
        def __init__(self, sim: Any, bot: Any) -> None:
            self.of = sim, bot

        def __iter__(self) -> Any:
            sim, bot = self.of
            return iter([one.text for one in sim.delivered(bot)])

    def mine(base_url: str, token: str) -> Weixin:
        return Weixin(account_id="0a1b2c3d4e5f@im.bot", base_url=base_url, token=token)

    suite = example("ADAPTERS.md", Mine=mine, open_my_simulator=open_my_simulator)

    names = [name for name in checks(AdapterSuite) if name.startswith("test_what_")]
    wired = [name for name in names if "what_is" in name or "what_may" in name or "what_never" in name]
    assert len(wired) > 3
    assert failing(suite, wired) == {}


def test_the_example_of_a_store_is_a_suite_that_passes() -> None:
    """
    The same.
    """
    sqlite = SqliteSuite()

    suite = example(
        "JOURNALS.md",
        MyFaults=SqliteFaults,
        open_my_store=open_journal,
        my_rows=sqlite.rows,
        my_export=sqlite.shown,
    )

    assert failing(suite, [*checks(Writing, Owning), "test_a_full_disk_loses_nothing_and_is_got_over"]) == {}
