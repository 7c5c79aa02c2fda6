"""Machines and policies with one mistake each, to be put in the place of the shipped ones."""

from collections.abc import Mapping
from typing import Any

from statecore.account import Account
from statecore.events import Broken
from statecore.machine import Machine, Row, on
from statecore.machines import MACHINES, delivery
from statecore.outbox import Outbox


def altered(machine: Machine, table: list[Row]) -> Machine:
    """Return a machine with another table."""
    return Machine(
        machine.name,
        remembers=machine.remembers,
        initial=machine.initial,
        table=table,
        awaits=dict(machine.awaits),
        final=tuple(machine.final),
        named=machine.named,
    )


def with_machine(machine: Machine) -> Mapping[str, Machine]:
    """Return the machines with one replaced."""
    return {**MACHINES, machine.name: machine}


def takes_an_interruption_for_not_sent() -> Machine:
    """What a process was sending when it ended goes back to the queue as if it had not left."""
    lost = (delivery.PartUnknown, Broken)
    table: list[Row] = []
    for row in delivery.delivery.table:
        if row.events == lost and row.when is None:
            table += [on(row.sources, delivery.PartUnknown, row.target, row.do), on(row.sources, Broken, "queued")]
        else:
            table.append(row)
    return altered(delivery.delivery, table)


class ForgetsToMark(Account):
    """An account that does not say that what is sent again may arrive twice."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.outbox.__class__ = _Unmarked


class _Unmarked(Outbox):
    def _turn(self, unit: Any, chat: str, account: Any) -> None:
        feed = self._system.feed

        def quietly(unit: Any, address: str, event: Any, **rest: Any) -> Any:
            if isinstance(event, delivery.Turn):
                event = delivery.Turn(token=event.token, left=event.left, probe=event.probe, bare=event.bare)
            return feed(unit, address, event, **rest)

        self._system.feed = quietly  # type: ignore[method-assign]
        super()._turn(unit, chat, account)
        self._system.feed = feed  # type: ignore[method-assign]


class AdmitsEveryProbe(Account):
    """An account whose circuit, half-open or probing, lets everybody through."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.outbox.__class__ = _Eager


class _Eager(Outbox):
    def free_at(self, now: int) -> int | None:
        return now if self.lanes.ready and self.sendable() else None


class ForgetsWhoWaits(Account):
    """An account that does not put a chat in turn again when its user writes."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.outbox.__class__ = _Forgetful


class _Forgetful(Outbox):
    def moved(self, address: str) -> None:
        held = self._system.instance(address)
        if held.snapshot.state == "queued":
            self.lanes.update(held.chat, address, "queued")
        else:
            super().moved(address)
