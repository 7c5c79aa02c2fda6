"""A long journal in seconds: accounts that talk with many people, with outages, made by the real machines."""

import random  # noqa: TID251 - the same traffic every time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from statecore.events import Elapsed, Event
from statecore.machines import MACHINES, circuit, connection, delivery, inbound, window
from statecore.system import System, Unit
from statecore.units import HOURS, MINUTES, SECONDS
from tests.journal.desk import START, record
from tests.journal.desk import rows as desk_rows

OUTAGE_EVERY: Final = 60
"""Exchanges between one outage and the next."""


class Nothing:
    """A journal in which nothing has happened yet."""

    def load(self, address: str) -> None:  # noqa: ARG002 - the port's name
        return None

    def due(self, account: str, after: int, most: int | None) -> tuple[list[tuple[int, str]], int | None]:  # noqa: ARG002
        return [], None


class Traffic:
    """Units of a busy gateway, one after the other.

    Args:
        rows: about how many rows there are to be.
        accounts: names.
        chats: people an account talks with.
        seed: decides who writes when.
    """

    def __init__(self, rows: int, accounts: tuple[str, ...] = ("wx", "shop"), chats: int = 40, seed: int = 1) -> None:
        self.rows = rows
        self.chats = chats
        self._systems = {name: System(name, MACHINES, Nothing()) for name in accounts}
        self._chance = random.Random(seed)
        self._now = START
        self._seq = 1
        self._exchanges = 0

    def units(self) -> Iterator[Unit]:
        """Yield them."""
        for name in self._systems:
            yield self._unit(name, (f"connection/{name}", connection.Started(boot="b", pid=1, host="h", epoch=1)))
            yield self._unit(name, (f"connection/{name}", connection.Ready()))
        while self._seq <= self.rows:
            for name in self._systems:
                if self._exchanges % OUTAGE_EVERY == OUTAGE_EVERY - 1:
                    yield from self._outage(name)
                yield from self._exchange(name)
                yield from self._poll(name)
            self._exchanges += 1

    def _unit(
        self, account: str, *happenings: tuple[str, Event], chat: str = "", cause: int = 0, wait: int = 0
    ) -> Unit:
        system = self._systems[account]
        self._now += wait or self._chance.randrange(1, 2 * SECONDS)
        unit = system.begin(self._now)
        for number, (address, event) in enumerate(happenings):
            whose = "" if address.startswith("connection/") else chat
            system.feed(unit, address, event, chat=whose, cause=cause if not number else -1)
        system.committed(unit, self._seq)
        self._seq += len(unit.entries)
        return unit

    def _last(self) -> int:
        return self._seq - 1

    def _poll(self, account: str) -> Iterator[Unit]:
        tie = f"connection/{account}"
        yield self._unit(account, (tie, connection.Idle(held=35 * SECONDS, wait=SECONDS)), wait=35 * SECONDS)
        yield self._unit(account, (tie, Elapsed("rest_until")), wait=SECONDS)

    def _exchange(self, account: str) -> Iterator[Unit]:
        """Somebody writes, and is answered."""
        chat = f"o9cq80{self._chance.randrange(self.chats):03d}@im.wechat"
        number = f"{self._seq:08x}"
        message, window_ = f"inbound/{account}/m{number}", f"window/{account}/{chat}"
        received = inbound.Received(chat=chat, sender=chat, id=f"m{number}", text=f"is order {number} on its way?")
        arrived = (f"connection/{account}", connection.Arrived(messages=1, held=3 * SECONDS))
        heard = (window_, window.Heard(lasts=24 * HOURS, token=True))
        yield self._unit(account, arrived, (message, received), heard, chat=chat)
        yield self._unit(account, (message, inbound.Handed()), chat=chat, cause=self._last() - 1)
        answer = f"delivery/{account}/d{number}"
        accepted = delivery.Accepted(chat=chat, parts=(f"order {number} left this morning",), reply_to=message)
        yield self._unit(account, (answer, accepted), (message, inbound.Handled()), chat=chat, cause=self._last())
        yield from self._send(account, answer, chat, delivery.PartAccepted(message=f"p{number}"))

    def _send(self, account: str, answer: str, chat: str, outcome: Event, cause: int | None = None) -> Iterator[Unit]:
        spent = (f"window/{account}/{chat}", window.Spent(delivery=answer, left=9))
        turn = self._last() if cause is None else cause
        yield self._unit(account, (answer, delivery.Turn(token=1, left=9)), spent, chat=chat, cause=turn)
        yield self._unit(account, (answer, outcome), chat=chat, cause=self._last() - 1)

    def _outage(self, account: str) -> Iterator[Unit]:
        """Nothing gets through for a while: deliveries fail, the circuit opens, the connection is lost and comes back."""
        own = f"circuit/{account}"
        failed: list[tuple[str, str]] = []
        for number in range(4):
            chat = f"o9cq80{number:03d}@im.wechat"
            address = f"delivery/{account}/x{self._seq:08x}"
            accepted = delivery.Accepted(chat=chat, parts=("good morning",))
            yield self._unit(account, (address, accepted), chat=chat)
            refused = delivery.NotSent(stage="connect", error="connection refused", wait=MINUTES)
            yield from self._send(account, address, chat, refused)
            failed.append((address, chat))
        trip = circuit.Tripped(reason="four chats in a row were refused", wait=30 * SECONDS, failures=1)
        yield self._unit(account, (own, trip), cause=self._last())
        lost = connection.Lost(stage="connect", error="connection refused", wait=5 * SECONDS, failures=1)
        yield self._unit(account, (f"connection/{account}", lost))
        yield self._unit(account, (f"connection/{account}", Elapsed("retry_at")), wait=5 * SECONDS)
        yield self._unit(account, (f"connection/{account}", connection.Ready()), cause=self._last())
        yield self._unit(account, (own, Elapsed("probe_at")), wait=30 * SECONDS)
        yield self._unit(account, (own, circuit.Reset(by="operator")))
        released = self._last()
        for address, chat in failed:
            yield self._unit(account, (address, delivery.Released(by="circuit")), chat=chat, cause=released)
            yield from self._send(account, address, chat, delivery.PartAccepted(message="late"))


def record_traffic(path: Path, rows: int, **how: Any) -> Path:
    """Write a journal of about so many rows."""
    record(path, Traffic(rows, **how).units())
    desk_rows(path, "update events set wall = at")  # it was all recorded at one moment
    return path
