"""Recorded events, turned back into what the adapter had returned. Pure.

An event says what an answer meant then, with numbers that the policies of that day chose. To ask what others would have made
of it, the answer itself is needed. Everything that decides is in the rows; what is secret (a token, a cursor) never was, and
decides nothing.
"""

from typing import TYPE_CHECKING, Any, Final, Literal

from statecore.events import Broken, Late
from statecore.machines import connection, delivery, inbound, session, window
from statecore.outbox import REFUSED_BARE, REFUSED_CREDENTIALS
from statecore.platform import (
    Address,
    Batch,
    BeatAck,
    BeatWanted,
    Dialled,
    Empty,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Message,
    Note,
    Pending,
    Refusal,
    Review,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
    Welcome,
)
from statecore.ties import NO_ANSWER, Crash

if TYPE_CHECKING:
    from statecore_journal.whatif.recording import Row

CARRIED: Final = "left-out"
"""Stands where a message carried a token."""

FRAMES: Final = ("greeting", "identifying", "resuming", "proving", "connected", "beating", "lingering")
"""States of a session in which what fails is the socket."""

NOTED: Final = (
    inbound.Received, window.Heard, inbound.Repeated, session.Noted, delivery.Reviewed, window.TokenForgotten, connection.Doubted,
)  # fmt: skip
"""Events that tell what another row was the answer to."""


class Answers:
    """Turns the outcomes among rows back into results; needs to be shown all rows first."""

    def __init__(self) -> None:
        self._children: dict[int, list[Row]] = {}
        self._received: dict[str, inbound.Received] = {}
        self._reviews: dict[int, delivery.Reviewed] = {}
        self._unclaimed: list[int] = []

    def note(self, row: "Row") -> None:
        """Take note of a row."""
        if not isinstance(row.event, NOTED):
            return
        if row.cause is not None:
            self._children.setdefault(row.cause, []).append(row)
        match row.event:
            case inbound.Received():
                self._received[row.address] = row.event
            case session.Noted(what="review"):
                self._unclaimed.append(row.seq)
            case delivery.Reviewed():
                if row.cause in self._unclaimed:
                    self._unclaimed.remove(row.cause)
                    self._reviews[row.cause] = row.event
                elif self._unclaimed:  # it was said before the part was known to wait for it
                    self._reviews[self._unclaimed.pop(0)] = row.event

    def late(self, event: Late) -> Any:
        """Return something of the type that came too late; its content changed nothing and was not recorded."""
        return type(event.event, (), {})()

    def result(self, row: "Row") -> Any:
        """Return what the adapter had returned."""
        event = row.event
        match event:
            case Broken():
                return Crash(event.how, event.error)
            case delivery.PartAccepted() | delivery.PartPending() | delivery.PartRefused() | delivery.NotSent():
                return self._of_part(row)
            case delivery.PartUnknown():
                return Unclear(error=event.error)
            case connection.Arrived() | connection.Waited() | connection.Idle():
                return self._of_poll(row, event)
            case connection.Ready() | connection.Opened():
                fresh = any(isinstance(child.event, window.TokenForgotten) for child in self._children.get(row.seq, ()))
                return Dialled(proved=isinstance(event, connection.Ready), fresh=fresh)
            case connection.HungUp():
                return event.error
            case connection.Lost() | connection.Rejected() | connection.TokenRefused():
                return _of_failure(row, in_session=row.address.startswith("session/"))
            case _:
                return self._of_frame(row)

    def _of_part(self, row: "Row") -> Any:
        match row.event:
            case delivery.PartAccepted(repeated=True) as event:
                return Refusal(code=event.code, trace=event.trace)
            case delivery.PartAccepted() as event:
                return Taken(message=event.message, trace=event.trace)
            case delivery.PartPending() as event:
                return Pending(audit=event.audit, trace=event.trace)
            case delivery.NotSent() as event:
                return Unsent(stage=event.stage, error=event.error)  # type: ignore[arg-type]
            case delivery.PartRefused(reading=reading) as event if reading in (REFUSED_BARE, REFUSED_CREDENTIALS):
                doubts = (child.event for child in self._children.get(row.seq, ()))
                number = next((doubt.credential for doubt in doubts if isinstance(doubt, connection.Doubted)), None)
                return Unauthorised(
                    code=event.code, message=event.message, action=event.action, credential=number, trace=event.trace
                )
            case delivery.PartRefused() as event:
                return Refusal(code=event.code, message=event.message, hint=event.hint, trace=event.trace)
        raise TypeError(row)

    def _of_poll(self, row: "Row", event: Any) -> Batch | Empty:
        messages = tuple(
            self._message(child)
            for child in self._children.get(row.seq, ())
            if isinstance(child.event, inbound.Received | inbound.Repeated)
        )
        if messages or isinstance(event, connection.Arrived):
            return Batch(messages=messages)
        return Empty(silent=isinstance(event, connection.Idle) and event.silent)

    def _message(self, row: "Row") -> Message:
        if isinstance(row.event, inbound.Repeated):
            original = self._received.get(row.address)
            if original is None:  # it is pruned
                return Message(chat="", sender="", id=row.event.id, text="")
            return _copy(original, row.event.id)
        assert isinstance(row.event, inbound.Received), row
        heard = (child.event for child in self._children.get(row.seq, ()) if isinstance(child.event, window.Heard))
        return _copy(row.event, row.event.id, CARRIED if any(event.token for event in heard) else "")

    def _of_frame(self, row: "Row") -> Any:
        match row.event:
            case session.Authorised() as event:
                return Token(changed=event.changed, lasts=event.renew)  # see `adjusted`
            case session.Found() as event:
                return Address(url=event.url, starts_in=event.wait)
            case session.SocketOpened():
                return SocketOpen()
            case session.Asked():
                return FrameSent()
            case session.Greeted() as event:
                return Hello(beat_every=event.beat_every)
            case session.Welcomed() as event:
                return Welcome(resumed=event.resumed)
            case session.Acknowledged():
                return BeatAck()
            case session.BeatAsked():
                return BeatWanted()
            case session.Invalidated() as event:
                return Invalid(resumable=event.resumable)
            case session.Noted() as event:
                review = self._reviews.get(row.seq)
                if review is not None:
                    return Review(audit=review.audit, passed=review.passed, message=review.message)
                return Note(what=event.what)
        raise TypeError(f"nobody knows what the adapter returned for {row.name} (row {row.seq})")


def adjusted(result: Any, renew_before: int) -> Any:
    """Return a result as it was, knowing how long before its end a token was renewed, in ns."""
    if isinstance(result, Token):
        return Token(changed=result.changed, lasts=result.lasts + renew_before)
    return result


def _copy(original: inbound.Received, id_: str, token: str = "") -> Message:
    return Message(
        chat=original.chat, sender=original.sender, id=id_, text=original.text, kinds=original.kinds,
        sent_at=original.sent_at, weak_id=original.weak_id, quotes=original.quotes, token=token,
    )  # fmt: skip


def _then(event: connection.Lost) -> Literal["resume", "identify", "token"]:
    if "session" in event.forget:
        return "identify"
    return "token" if "token" in event.forget else "resume"


def _of_failure(row: "Row", *, in_session: bool) -> Any:
    framed = in_session and row.before.state in FRAMES
    match row.event:
        case connection.Lost(stage="silence", error=error) if error == NO_ANSWER:
            return Empty(silent=True)
        case connection.Lost(stage="answer", forget=("token",)) as event:
            return Unauthorised(code="", message=event.error, action="")
        case connection.Lost() as event if framed:
            return Ended(code="", error=event.error, then=_then(event), hint=event.hint)
        case connection.Lost() as event:
            return Failure(stage=event.stage, error=event.error, reachable=event.reachable, hint=event.hint)  # type: ignore[arg-type]
        case connection.TokenRefused() as event if framed and event.action == session.GIVEN_AND_REFUSED:
            return Ended(code=event.code, error=event.message, then="token")
        case connection.TokenRefused() as event:
            return Unauthorised(code=event.code, message=event.message, action=event.action)
        case connection.Rejected() as event if framed:
            return Ended(code="", error=event.error, then="stop", action=event.action, hint=event.wait)
        case connection.Rejected() as event:
            stage, _, error = event.error.partition(": ")
            return Failure(stage=stage, error=error, action=event.action)  # type: ignore[arg-type]
    raise TypeError(row)
