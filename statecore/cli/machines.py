"""Machines of one's own, named on a command line."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from statecore.cli.common import fail
from statecore.loading import machines_at
from statecore.machine import Machine
from statecore.machines import MACHINES

OWN = click.option(
    "--machines",
    "specs",
    multiple=True,
    metavar="MODULE:ATTRIBUTE",
    help="Machines of your own: a Machine, or a list or mapping of them, in a module that can be imported from here. May be"
    " given several times.",
)


def only(specs: Sequence[str]) -> Mapping[str, Machine]:
    """Return the machines that are named, by their own names; the shipped ones if none is."""
    return {machine.name: machine for spec in specs for machine in machines_at(spec)} or MACHINES


def load(named: str | None, option: str = "--machines ") -> Mapping[str, Machine]:
    """Return the machines by name: the shipped ones, or those at "module:name", which end the command if they are none.

    Args:
        named: what was given.
        option: how errors call where it was given; empty for an argument.
    """
    if named is None:
        return MACHINES
    module_name, colon, name = named.partition(":")
    if not colon or not name.isidentifier():
        what = option.strip() or "a machine"
        fail(f"{what} is MODULE:ATTRIBUTE, such as mypackage.machines:MACHINES, not {named!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is code of the user's, and may raise anything
        fail(f"{option}{named}: {module_name} cannot be imported: {type(error).__name__}: {error}")
    found = getattr(module, name, None)
    machines = _machines(found)
    if not machines:
        what = "has no" if found is None else "holds no machine in"
        fail(f"{option}{named}: module {module_name!r} {what} {name!r}; name a Machine, or a list or dict of them")
    return {machine.name: machine for machine in machines}


def _machines(found: Any) -> list[Machine]:
    if isinstance(found, Machine):
        return [found]
    several = list(found.values()) if isinstance(found, Mapping) else found
    if isinstance(several, list | tuple | set | frozenset) and all(isinstance(held, Machine) for held in several):
        return list(several)
    return []


def one(machines: Mapping[str, Machine], name: str) -> Machine:
    """Return a machine by its name, which ends the command if there is none."""
    if name not in machines:
        fail(f"there is no machine {name!r}; there are {', '.join(machines)}")
    return machines[name]
