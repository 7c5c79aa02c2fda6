"""Machines of others, found by name, so that a command or another process can use them."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statecore.errors import ConfigError
from statecore.machine import Machine
from statecore.machines import MACHINES


def load_machines(specs: Sequence[str], *, option: str = "--machines") -> dict[str, Machine]:
    """Return the shipped machines and those that are named; of two with one name, the one that is named last.

    Args:
        specs: see `machines_at`.
        option: where they were named, for errors.

    Raises:
        ConfigError: there is no such thing.
    """
    found = dict(MACHINES)
    for spec in specs:
        found.update({machine.name: machine for machine in machines_at(spec, option=option)})
    return found


def machines_at(spec: str, *, option: str = "--machines") -> tuple[Machine, ...]:
    """Return the machines at a name.

    Args:
        spec: "package.module:ATTRIBUTE" of a machine, of several, or of a mapping with machines as its values. Modules in
            the working folder are found.
        option: where it was named, for errors.

    Raises:
        ConfigError: there is no such thing, or it holds no machine.
    """
    module_name, _, name = spec.partition(":")
    if not module_name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(option, f"{spec!r} is no MODULE:ATTRIBUTE, such as mypackage.machines:MACHINES")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # it is code of the user's, and may raise anything
        raise ConfigError(option, f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(
                option, f"module {module_name} has no {name!r}; name a Machine, or a list or dict of them"
            )
        found = getattr(found, part)
    machines = _machines(found)
    if not machines:
        raise ConfigError(option, f"{spec} holds no machine; name a Machine, or a list or dict of them")
    return machines


def _machines(found: Any) -> tuple[Machine, ...]:
    if isinstance(found, Machine):
        return (found,)
    several = tuple(found.values()) if isinstance(found, Mapping) else found
    if isinstance(several, list | tuple | set | frozenset) and all(isinstance(one, Machine) for one in several):
        return tuple(several)
    return ()
