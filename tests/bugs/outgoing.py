"""Bugs in how messages are sent: refusals, lost answers, order, keys."""

from typing import Any, Final
from unittest.mock import patch

import attrs

from statecore.events import Broken
from statecore.evolve import evolve
from statecore.machine import Row, on
from statecore.machines import delivery, window
from statecore.outbox import Outbox
from statecore.policies import circuit as circuits
from statecore.policies import pacing, retry
from statecore.reading import Reading, Then
from statecore.units import SECONDS
from tests.bugs.altering import Table, together
from tests.bugs.bug import Bug

FIXED: Final = 3 * SECONDS


def _read_as(**other: Then) -> Any:
    """Have refusals that are read as one thing be taken for another."""
    right = Outbox._read

    def read(self: Outbox, result: Any, evidence: Any, *, token: bool) -> Reading:
        reading = right(self, result, evidence, token=token)
        return attrs.evolve(reading, then=other.get(reading.then, reading.then))

    return patch.object(Outbox, "_read", read)


def _fixed_waits() -> Any:
    """Have every refused message wait for three seconds, by itself."""
    return patch.object(Outbox, "_wait_after", lambda *_: (FIXED, 0))


# ---- refusals --------------------------------------------------------------------------------------------------------


def storm() -> Any:
    return together(
        patch.object(Outbox, "_trip", lambda *_, **__: None),
        patch.object(circuits, "wait", lambda *_: 1 * SECONDS),
    )


def _given_up_quietly(row: Row) -> Row:
    return attrs.evolve(row, target="purged") if row.do is delivery.given_up and row.when is delivery.hopeless else row


def drop() -> Any:
    return together(
        _read_as(circuit="retry", account="retry"),
        _fixed_waits(),
        patch.object(retry, "exhausted", lambda _policy, attempts, _age: attempts >= 4),
        Table("delivery", _given_up_quietly).put_in(),
    )


def stale_token() -> Any:
    return together(_read_as(bare="retry"), _fixed_waits())


def one_circuit() -> Any:
    return patch.object(Outbox, "circuit_of", lambda self, _chat: f"{self.circuit_address}/everybody")


def every_probe() -> Any:
    right = Outbox._obstacle

    def free_at(self: Outbox, now: int) -> int | None:
        if not (self.lanes.ready and self.sendable()):
            return None
        return pacing.ready_at(self._policies.pacing, self._bucket, self._stretch(now), now)

    def obstacle(self: Outbox, own: Any, *rest: Any) -> Any:
        return right(self, own._replace(state="half-open") if own.state == "probing" else own, *rest)

    return patch.multiple(Outbox, free_at=free_at, _obstacle=obstacle)


def short_outage() -> Any:
    return patch.object(retry, "exhausted", lambda _policy, attempts, _age: attempts >= 4)


def lost_wake_up() -> Any:
    return patch.object(Outbox, "_release_head", lambda *_, **__: None)


# ---- lost answers ----------------------------------------------------------------------------------------------------


def _interrupted_is_pending(row: Row) -> Row | list[Row]:
    if row.do is delivery.unclear:
        return [on(row.sources, delivery.PartUnknown, row.target, row.do), on(row.sources, Broken, "queued")]
    return row


def _as_if_not_sent(was: delivery.Delivery, event: Any, now: int) -> delivery.Delivery:
    after = delivery.unclear(was, event, now)
    return evolve(after, unclear=False, answers="", number=0, retry_at=now + event.wait)


def _timeout_is_failure(row: Row) -> Row | list[Row]:
    if row.do is delivery.unclear:
        again = on(row.sources, delivery.PartUnknown, "backing-off", _as_if_not_sent)
        return [again, on(row.sources, Broken, row.target, row.do)]
    return row


# ---- parts, keys, order ----------------------------------------------------------------------------------------------


def _one_part_will_do(row: Row) -> Row | list[Row]:
    if row.do is delivery.went and row.target == "delivered":
        return [row, on(row.sources, delivery.PartAccepted, "delivered", row.do, when=_second_went)]
    return row


def _second_went(was: delivery.Delivery, _event: delivery.PartAccepted) -> bool:
    return was.parts > 1 and not was.audits and not was.rejected


def _first_part(do: Any) -> Any:
    def from_the_first(was: delivery.Delivery, event: Any, now: int) -> delivery.Delivery:
        after: delivery.Delivery = do(was, event, now)
        return evolve(after, part=0, answers="", number=0)

    return from_the_first


FIRST_AGAIN: Final = {do: _first_part(do) for do in (delivery.unclear, delivery.failed, delivery.refused)}


def _all_again(row: Row) -> Row:
    return (
        attrs.evolve(row, do=FIRST_AGAIN[row.do]) if row.do in FIRST_AGAIN and row.sources == delivery.SENDING else row
    )


def _hopeless_is_delivered(row: Row) -> Row:
    return (
        attrs.evolve(row, target="delivered") if row.do is delivery.given_up and row.when is delivery.hopeless else row
    )


def _unnumbered(was: window.Window, event: window.Spent, now: int) -> window.Window:
    return window.spent(was, evolve(event, number=0), now)


def _same_number(row: Row) -> Row:
    return attrs.evolve(row, do=_unnumbered) if row.do is window.spent else row


def overtaking() -> Any:
    right = Outbox.moved

    def moved(self: Outbox, address: str) -> None:
        right(self, address)
        held = self._system.instance(address)
        head = self.lanes.head(held.chat)
        if held.snapshot.state in ("backing-off", "unknown") and head is not None and head.address == address:
            following = self.lanes.leave(held.chat, address)
            if following is not None and following.state == "queued":
                self.lanes.offer(held.chat)
        elif held.snapshot.state == "queued" and (head is None or head.address != address):
            self.lanes._heads.pop(held.chat, None)
            self.lanes.add(held.chat, address, held.order, "queued")
            self.lanes.offer(held.chat)

    return patch.object(Outbox, "moved", moved)


INTERRUPTED: Final = Table("delivery", _interrupted_is_pending)
TIMEOUT: Final = Table("delivery", _timeout_is_failure)
ONE_PART: Final = Table("delivery", _one_part_will_do)
ALL_AGAIN: Final = Table("delivery", _all_again)
FALSE_SUCCESS: Final = Table("delivery", _hopeless_is_delivered)
SAME_NUMBER: Final = Table("window", _same_number)

BUGS: Final = (
    Bug(
        name="retry storm",
        incident="seed 1: hermes-agent#26828",
        says="the circuit never opens, and each refused message tries again a second later, by itself",
        put_in=storm,
        guarantee="G7",
    ),
    Bug(
        name="silent drop",
        incident="seed 2: hermes-agent#31131",
        says="a message that was refused four times, three seconds apart, is dropped without a word",
        put_in=drop,
        guarantee="G3",
    ),
    Bug(
        name="stale token repeated",
        incident="seed 3: hermes-agent#35949",
        says="no attempt is made without the context token, and every retry repeats the dead one",
        put_in=stale_token,
        guarantee="G7",
    ),
    Bug(
        name="one circuit for all chats",
        incident="D10: openclaw#127491",
        says="what one chat is refused holds the messages of all",
        put_in=one_circuit,
        guarantee="G5",
    ),
    Bug(
        name="every probe admitted",
        incident="D8: hermes-agent#77834",
        says="a circuit that is half-open lets everybody through",
        put_in=every_probe,
        guarantee="G7",
        scenes=("refused",),
        simulated=False,
    ),
    Bug(
        name="dead by a short outage",
        incident="D5: PraisonAI#3519",
        says="a message is given up by the count of its attempts alone",
        put_in=short_outage,
        guarantee="G8",
    ),
    Bug(
        name="lost wake-up",
        incident="D7: hermes-agent#95206",
        says="what waits is not told when the account is ready again, or its user writes",
        put_in=lost_wake_up,
        guarantee="G3",
        scenes=("read",),
        eventually=True,
    ),
    Bug(
        name="pending after a crash",
        incident="D2: openclaw#29106",
        says="what was being sent when the process ended is taken for not sent",
        put_in=INTERRUPTED.put_in,
        guarantee="G4",
        scenes=("lossy",),
        table=INTERRUPTED,
    ),
    Bug(
        name="timeout taken for a failure",
        incident="D1: hermes-agent#14061",
        says="a request whose answer was lost is made again as a fresh one",
        put_in=TIMEOUT.put_in,
        guarantee="G4",
        scenes=("lossy",),
        table=TIMEOUT,
    ),
    Bug(
        name="delivered in part",
        incident="D12: hermes-agent#7836",
        says="a message of several parts counts as delivered when its first was taken",
        put_in=ONE_PART.put_in,
        guarantee="G3",
        scenes=("parts",),
        table=ONE_PART,
    ),
    Bug(
        name="all parts again",
        incident="D12: hermes-agent#114396",
        says="a part that fails makes the message begin again with its first",
        put_in=ALL_AGAIN.put_in,
        guarantee="G4",
        table=ALL_AGAIN,
    ),
    Bug(
        name="success reported for failure",
        incident="D17: hermes-agent#60116",
        says="a message that is refused for good is reported as delivered",
        put_in=FALSE_SUCCESS.put_in,
        guarantee="G3",
        scenes=("read",),
        table=FALSE_SUCCESS,
    ),
    Bug(
        name="one number for all answers",
        incident="D13: nanobot#1394",
        says="every answer to a message carries the number 1",
        put_in=SAME_NUMBER.put_in,
        guarantee="G4",
        table=SAME_NUMBER,
    ),
    Bug(
        name="overtaking",
        incident="D11: PraisonAI#2909",
        says="a message that waits for its next try is overtaken by the one behind it",
        put_in=overtaking,
        guarantee="G5",
    ),
)
