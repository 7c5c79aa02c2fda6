"""Bugs in how messages are taken in."""

from typing import Any, Final
from unittest.mock import patch

import attrs

from statecore.intake import Intake
from statecore.machine import Row
from statecore.machines import inbound
from statecore.platform import Message
from statecore.system import Unit
from tests.bugs.altering import Table
from tests.bugs.bug import Bug


def random_ids() -> Any:
    """Have every receipt be one of its own, as with an id that is made up on arrival."""
    right = Intake.address
    made: list[str] = []

    def address(self: Intake, message_id: str) -> str:
        made.append(message_id)
        return f"{right(self, message_id)}~{len(made)}"

    return patch.object(Intake, "address", address)


def leaked() -> Any:
    right = Intake._receive

    def receive(self: Intake, unit: Unit, message: Message, cause: int) -> None:
        right(self, unit, attrs.evolve(message, quotes=message.quotes or message.token), cause)

    return patch.object(Intake, "_receive", receive)


def only_the_first() -> Any:
    right = Intake.batch

    def batch(self: Intake, unit: Unit, batch: Any, *rest: Any) -> None:
        right(self, unit, attrs.evolve(batch, messages=batch.messages[:1]), *rest)

    return patch.object(Intake, "batch", batch)


def _uncounted(was: inbound.Inbound, _event: inbound.Handed, _now: int) -> inbound.Inbound:
    return was


def _never_set_aside(row: Row) -> Row:
    return attrs.evolve(row, do=_uncounted) if row.do is inbound.handed else row


POISON: Final = Table("inbound", _never_set_aside)

BUGS: Final = (
    Bug(
        name="no stable id",
        incident="C3: openclaw-weixin#239",
        says="a message is given an id when it arrives, so one that comes again is another one",
        put_in=random_ids,
        guarantee="G4",
    ),
    Bug(
        name="cursor ahead of the messages",
        incident="C1: openclaw-weixin#164",
        says="of several messages that come at once the first is recorded, and the cursor that covers all",
        put_in=only_the_first,
        guarantee="G1",
    ),
    Bug(
        name="poison message",
        incident="C6: PraisonAI#2723",
        says="the attempts at a message are not counted, so one whose handler fails is handed over for ever",
        put_in=POISON.put_in,
        guarantee="G7",
        table=POISON,
    ),
    Bug(
        name="secret in an event",
        incident="F4: hermes-agent#64351",
        says="the context token of a message is recorded with it",
        put_in=leaked,
        guarantee="G10",
    ),
)
