"""Machines of others, found by name, so that a command can replay them."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statecore.errors import ConfigError
from statecore.machine import Machine
from statecore.machines import MACHINES


def load_machines(specs: Sequence[str]) -> dict[str, Machine]:
    """Return the shipped machines and those that are named; of two with one name, the one that is named last.

    Args:
        specs: "package.module:ATTRIBUTE" of a machine, of several, or of a mapping with machines as its values. Modules in
            the working folder are found.

    Raises:
        ConfigError: there is no such thing.
    """
    found = dict(MACHINES)
    for spec in specs:
        found.update({machine.name: machine for machine in machines_at(spec)})
    return found


def machines_at(spec: str, *, option: str = "--machines") -> Sequence[Machine]:
    """Return the machines that are named, as `load_machines` takes it.

    Args:
        spec: "package.module:ATTRIBUTE".
        option: what the user wrote it behind, for errors.

    Raises:
        ConfigError: there is no such thing.
    """
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise ConfigError(option, f"{spec!r} is no module:attribute, such as mypackage.machines:MACHINES")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        value: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise ConfigError(option, f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(value, part):
            raise ConfigError(option, f"module {module_name} has no {name}")
        value = getattr(value, part)
    several = list(value.values()) if isinstance(value, Mapping) else [value] if isinstance(value, Machine) else value
    if not isinstance(several, list | tuple) or not all(isinstance(one, Machine) for one in several):
        raise ConfigError(option, f"{spec} is neither a Machine nor a mapping of machines")
    return several
