"""What a page says of a journal as a whole: the machines in it, the accounts, what went wrong."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from statecore.machine import Effect, Machine
from statecore_diagrams import palette, svg
from statecore_diagrams.layout import LayoutMissing
from statecore_journal import AccountStatus, Status
from statecore_journal.export.redact import Hiding
from statecore_journal.incidents import Incident

_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def machines(known: Mapping[str, Machine]) -> dict[str, Any]:
    """Return what a page needs of the definitions, by name: states with their tones, and the picture."""
    return {
        name: {
            "states": [
                {"name": state, "tone": tone(machine, state), "final": state in machine.final}
                for state in machine.states
            ],
            "initial": machine.initial,
            "svg": picture(machine),
        }
        for name, machine in known.items()
    }


_TONES: Final = {"green": "good", "red": "bad", "yellow": "warn", "magenta": "odd", "cyan": "busy", "white": "wait"}


def tone(machine: Machine, state: str) -> str:
    """Return what a state is like, as the page's style sheet calls it: in the colour that diagrams and terminals give it."""
    acts = any(isinstance(wait, Effect) for wait in machine.awaits.get(state, ()))
    return _TONES[palette.tone(machine.name, state, acts=acts)]


def picture(machine: Machine) -> str | None:
    """Return a machine's diagram, or None if nothing here can lay it out; the page then draws what the journal shows."""
    try:
        return svg.render(machine)
    except LayoutMissing:
        return None


def styles(about: Mapping[str, Any]) -> list[str]:
    """Return the style sheets in the pictures, for the policy that allows them."""
    found = {sheet: None for machine in about.values() if machine["svg"] for sheet in _STYLE.findall(machine["svg"])}
    return list(found)


def accounts(status: Status, hiding: Hiding) -> list[dict[str, Any]]:
    """Return where every account is."""
    return [_account(account, hiding) for account in status.accounts]


def _account(account: AccountStatus, hiding: Hiding) -> dict[str, Any]:
    return {
        "name": hiding.account(account.name),
        "state": account.state,
        "reason": hiding.prose(account.reason),
        "action": hiding.prose(account.action),
        "deliveries": dict(account.deliveries),
        "messages": dict(account.messages),
    }


def incidents(found: Iterable[Incident], origin: int) -> list[dict[str, Any]]:
    """Return incidents the way a page takes them, oldest first; times in microseconds since *origin*."""
    return [
        {
            **attrs.asdict(one),
            "began": (one.began - origin) / 1e3,
            "ended": None if one.ended is None else (one.ended - origin) / 1e3,
            "wall": one.wall / 1e6,
        }
        for one in sorted(found, key=lambda one: (one.first, one.kind))
    ]
