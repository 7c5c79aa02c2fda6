"""The pure core reads no clock, draws no number and speaks with nobody; this is read off its source."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import statecore

ROOT: Final = Path(statecore.__file__).parent

IMPURE: Final = frozenset(
    {
        "world.py", "driver.py", "gateway.py", "messages.py", "wiring.py", "lease.py", "config.py", "__main__.py", "cli",
        "handover.py", "hermes_lock.py", "loading.py", "processes.py", "systemd.py", "testing", "simulation", "waking.py",
    }
)  # fmt: skip
"""What does I/O, reads clocks or draws numbers; everything else is the pure core."""

BANNED: Final = frozenset(
    {
        "asyncio", "http", "httpx", "random", "requests", "secrets", "select", "selectors", "signal", "socket",
        "sqlite3", "sqlite_utils", "ssl", "subprocess", "tempfile", "threading", "time", "trio", "urllib", "uuid",
    }
)  # fmt: skip

CLOCKS: Final = frozenset({"now", "utcnow", "today"})

BUILT_IN_IO: Final = frozenset({"open", "input", "print"})


def pure_modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in IMPURE)


def offences(source: str) -> Iterator[str]:
    """Yield what a pure module may not do and does, as "line N: what"."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names if name.name.partition(".")[0] in BANNED]
            case ast.ImportFrom(module=str(module), level=0):
                found = [module] if module.partition(".")[0] in BANNED else []
            case ast.Attribute(
                attr=attr, value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date")
            ):
                found = [f"datetime.{attr}"] if attr in CLOCKS else []
            case ast.Call(func=ast.Name(id=name)):
                found = [f"{name}()"] if name in BUILT_IN_IO else []
            case ast.Call(func=ast.Attribute(attr="import_module")) | ast.Call(func=ast.Name(id="__import__")):
                found = ["an import by name"]
            case _:
                found = []
        yield from (f"line {node.lineno}: {what}" for what in found)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_of_the_core_asks_nobody_but_its_arguments(path: Path) -> None:
    """
    Replay, simulation and the runtime run the same code; a clock read here would make them three programs.
    """
    assert list(offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import time", "line 1: time"),
        ("import os, random", "line 1: random"),
        ("import trio.lowlevel as t", "line 1: trio.lowlevel"),
        ("from uuid import uuid4", "line 1: uuid"),
        ("def f():\n    from secrets import token_hex", "line 2: secrets"),
        ("import datetime\ndatetime.datetime.now()", "line 2: datetime.now"),
        ("from datetime import datetime\nx = datetime.utcnow", "line 2: datetime.utcnow"),
        ("from datetime import date\ndate.today()", "line 2: datetime.today"),
        ("import importlib\nimportlib.import_module('time')", "line 2: an import by name"),
        ("open('x')", "line 1: open()"),
    ],
)
def test_the_check_finds_what_it_is_for(source: str, offence: str) -> None:
    """
    A check that finds nothing anywhere passes too.
    """
    assert list(offences(source)) == [offence]


@pytest.mark.parametrize("source", ["from statecore.world import World", "now = snapshot.now", "from . import time"])
def test_the_check_raises_no_false_alarm(source: str) -> None:
    """
    The port's type may be named; a field may be called now.
    """
    assert list(offences(source)) == []


@pytest.mark.parametrize("name", ["world.py", "driver.py"])
def test_modules_that_do_what_is_banned_are_seen_to_do_it(name: str) -> None:
    """
    Were they clean, the line between pure and impure would be somewhere else.
    """
    assert list(offences((ROOT / name).read_text(encoding="utf-8")))


def test_the_core_is_where_this_looks_for_it() -> None:
    """
    A renamed folder must not turn the check into one of nothing.
    """
    found = {path.relative_to(ROOT).as_posix() for path in pure_modules()}

    assert found >= {"machine.py", "proof.py", "codec.py", "system.py", "machines/delivery.py", "policies/pacing.py"}
    assert not found & {"world.py", "driver.py", "gateway.py"}
