"""What really happened, as the simulated platforms and programs saw it: what a journal is held against.

The truth is kept by whoever is on the other side of the gateway: a platform knows which requests reached it and what it
answered, a program knows what it was told. None of it is taken from the journal. Where a moment has to be compared with the
journal, it is named by `seq`: the position of the last row that was durable then. Clocks could not be compared: that of the
gateway may stand still.
"""

from typing import Literal

import attrs

Said = Literal["taken", "review", "claimed", "refused", "nothing", "unauthorised"]


@attrs.frozen(kw_only=True)
class Send:
    """A request to send one part that reached the platform.

    Args:
        at: when it arrived, in ns from the beginning.
        left: when it left the process, in ns from the beginning.
        key: its idempotency key.
        chat: where to.
        text: what.
        said: what the platform did with it. "claimed": it refused it as one that it took before, rightly or not. "nothing": it
            may have taken it all the same; see *shown*.
        shown: whether the chat's user sees it, and did not before.
        seq: position of the last row that was durable when the request left.
        process: which process sent it.
        epoch: under which it drove the account.
        answers: the platform's id of the message it answers; empty for none.
        number: which answer to that it is.
        code: what it was refused with.
        spell: index of the plan's occurrence that made the platform refuse it; -1 for none.
        copy: whether the network made two of one request, and this is the second.
    """

    at: int
    left: int
    key: str
    chat: str
    text: str
    said: Said
    shown: bool
    seq: int
    process: str
    epoch: int
    answers: str = ""
    number: int = 0
    code: str = ""
    spell: int = -1
    copy: bool = False


@attrs.define(kw_only=True)
class Made:
    """A message that a user wrote.

    Args:
        at: when, in ns from the beginning.
        id: the platform's id of it.
        chat: where.
        text: what.
        lost: whether the platform dropped it itself, as with a session that was not resumed.
    """

    at: int
    id: str
    chat: str
    text: str
    lost: bool = False


@attrs.frozen(kw_only=True)
class Acknowledged:
    """The gateway told the platform that it has messages, so that they do not come again: a cursor, a place to resume from.

    Args:
        at: when, in ns from the beginning.
        ids: the platform's ids of the messages concerned, without those acknowledged before.
        seq: position of the last row that was durable when the request left.
    """

    at: int
    ids: tuple[str, ...]
    seq: int


@attrs.frozen(kw_only=True)
class Told:
    """A program was told that its message was accepted.

    Args:
        at: when, in ns from the beginning.
        id: of the delivery.
        seq: position of the last row that was durable then.
        asked: whether it is a command that whoever drives the account carries out later.
        key: the program's own idempotency key.
    """

    at: int
    id: str
    seq: int
    asked: bool = False
    key: str = ""


@attrs.frozen(kw_only=True)
class Taken:
    """A process took an account.

    Args:
        at: when, in ns from the beginning.
        process: which.
        epoch: of its lease.
        seq: position of the last row that was durable then.
    """

    at: int
    process: str
    epoch: int
    seq: int


@attrs.frozen(kw_only=True)
class Left:
    """A process is done with an account for good.

    Args:
        at: when, in ns from the beginning.
        process: which.
        asked: whether somebody had told it to stop, or to let the account go.
    """

    at: int
    process: str
    asked: bool


@attrs.define
class Platform:
    """What one account's platform saw.

    Args:
        sends: requests to send, in the order in which they arrived.
        made: messages of users, in the order in which they were written.
        acknowledged: what the gateway said it has.
        told: what programs were told.
        taken: who drove the account.
        left: who is done with it for good.
        receiving: processes that had an attempt to receive under way at once, at most.
    """

    sends: list[Send] = attrs.field(factory=list)
    made: list[Made] = attrs.field(factory=list)
    acknowledged: list[Acknowledged] = attrs.field(factory=list)
    told: list[Told] = attrs.field(factory=list)
    taken: list[Taken] = attrs.field(factory=list)
    left: list[Left] = attrs.field(factory=list)
    receiving: int = 0


@attrs.define
class Truth:
    """The truth of a run.

    Args:
        platforms: by account.
        secrets: what must be in no row.
    """

    platforms: dict[str, Platform] = attrs.field(factory=dict)
    secrets: tuple[str, ...] = ()
