"""Runs a suite as pytest would, to see what it finds."""

from collections.abc import Iterable
from typing import Any

import pytest


def checks(*suites: type[Any]) -> list[str]:
    """Name the checks of suites."""
    return sorted({name for suite in suites for name in dir(suite) if name.startswith("test_")})


def failing(suite: Any, names: Iterable[str]) -> dict[str, str]:
    """Run checks; return those that fail, with what they say."""
    found: dict[str, str] = {}
    for name in names:
        try:
            getattr(suite, name)()
        except pytest.skip.Exception:
            pass
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - pytest would say so too
            found[name] = str(error).splitlines()[0]
    return found
