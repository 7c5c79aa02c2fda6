"""Machines of one's own, named on a command line."""

from collections.abc import Mapping, Sequence

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


def one(machines: Mapping[str, Machine], name: str) -> Machine:
    """Return a machine by its name, which ends the command if there is none."""
    if name not in machines:
        fail(f"there is no machine {name!r}; there are {', '.join(machines)}")
    return machines[name]
