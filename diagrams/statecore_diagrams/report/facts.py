"""What a page says of a journal as a whole: the machines in it, the accounts, what went wrong."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from statecore.machine import Machine
from statecore_diagrams.report.tones import tone
from statecore_diagrams.report.veil import Veil
from statecore_journal import AccountStatus, Reader, Status

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


def picture(machine: Machine) -> str | None:
    """Return a machine's diagram, or None if there is nothing that draws it; the page then draws what the journal shows."""
    try:
        from statecore_diagrams import svg
    except ImportError:
        return None
    rendered: str = svg.render(machine)
    return rendered


def styles(about: Mapping[str, Any]) -> list[str]:
    """Return the style sheets in the pictures, for the policy that allows them."""
    return [sheet for machine in about.values() if machine["svg"] for sheet in _STYLE.findall(machine["svg"])]


def accounts(status: Status, veil: Veil) -> list[dict[str, Any]]:
    """Return where every account is."""
    return [_account(account, veil) for account in status.accounts]


def _account(account: AccountStatus, veil: Veil) -> dict[str, Any]:
    return {
        "name": veil.account(account.name),
        "state": account.state,
        "reason": veil.text(account.reason),
        "action": veil.text(account.action),
        "circuit": account.circuit,
        "deliveries": dict(account.deliveries),
        "messages": dict(account.messages),
    }


def incidents(
    source: Reader | Path, veil: Veil, origin: int, *, first: int = 0, last: int | None = None
) -> list[dict[str, Any]]:
    """Return what went wrong between two positions."""
    try:
        from statecore_journal.incidents import find
    except ImportError:
        return []
    return shown(find(source, until=last), veil, origin, first=first)


def shown(found: Iterable[Any], veil: Veil, origin: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Return incidents the way a page takes them, oldest first; times in microseconds since *origin*, the first row's."""
    return [
        {
            "kind": one.kind,
            "account": veil.account(one.account),
            "address": veil.address(one.address),
            "first": one.first,
            "last": one.last,
            "began": (one.began - origin) / 1e3,
            "ended": None if one.ended is None else (one.ended - origin) / 1e3,
            "wall": one.wall / 1e6,
            "rows": list(one.rows),
            "summary": veil.text(one.summary),
            "cause": veil.text(one.cause),
            "advice": veil.text(one.advice),
            "cost": {
                name: getattr(one.cost, name) for name in ("delayed", "delay_max", "refused", "dead", "doubled", "down")
            },
        }
        for one in sorted(found, key=lambda one: one.first)
        if one.last is None or one.last >= first
    ]
