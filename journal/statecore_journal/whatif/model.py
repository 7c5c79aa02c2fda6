"""The platform as the record shows it, for what it was never asked. Pure.

It is a declared model, and every row that rests on it is marked. It holds three things for true:

- what was refused from one moment to another was refused all the time between them, and to everybody whom the refusal was
  about; outside of such intervals the platform takes what it is given;
- an outage lasts from the first attempt that failed to the last one (or, if told to assume the worst, up to the first one
  that succeeded);
- what users wrote was there from the moment it came in on record, and is fetched by whoever asks first.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any, Final, NamedTuple

import attrs

from statecore.events import Broken
from statecore.machines import delivery, inbound, window
from statecore.machines.connection import Dial, HangUp, Receive
from statecore.machines.delivery import SendPart
from statecore.machines.session import Authorise, Identify, LookUp, OpenSocket, ReadFrame, Resume
from statecore.platform import Address as Found
from statecore.platform import (
    Batch,
    BeatAck,
    Dialled,
    Empty,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Note,
    Review,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Welcome,
)
from statecore.system import Address, Request
from statecore.ties import Crash
from statecore.units import DAYS, MILLISECONDS, SECONDS
from statecore_journal.whatif.recording import Answer, Recording

TOOK: Final = 100 * MILLISECONDS
"""How long an answer takes, where none of its kind is on record."""

HOLD: Final = 35 * SECONDS
"""How long a poll is held that brings nothing, where none is on record."""

BEAT_EVERY: Final = 41 * SECONDS
"""Between heartbeats, where the platform never said."""


KINDS: Final = (Dial, Authorise, LookUp, OpenSocket, Identify, Resume, HangUp)
"""Attempts of the tie's that are answered at once."""

SLACK: Final = 1 * SECONDS
"""What failed at a moment would have failed a moment before, if nothing succeeded then."""

FOR_EVER: Final = 100 * 365 * DAYS


class Span(NamedTuple):
    """An interval in which attempts failed, and how.

    Args:
        begins: first failure, in ns; a moment before, if nothing says that all was well then.
        ends: when it is taken to be over, in ns.
        result: what the last one came to; None if it never came to anything.
        took: ns.
    """

    begins: int
    ends: int
    result: Any
    took: int


@attrs.frozen(kw_only=True)
class Facts:
    """What is known of a platform.

    Args:
        account: when it refused whatever was sent.
        chats: when it refused what was sent to a chat: by (chat, whether without what might be refused).
        outages: when it did not accept the account.
        deaf: when it acknowledged no heartbeat.
        came: what it had for the account, and when, in ns: batches, and frames.
        handling: how handlers ended, one after the other, by the receipt: (what went wrong or None, ns; `FOR_EVER` for one
            that did not end).
        send_took: how long it takes to accept a part, in ns.
        confirms: whether it then names the message.
        tie_took: how long an attempt of the tie's takes, in ns, by its kind.
        hold: how long a poll is held that brings nothing, in ns.
        proved: whether an attempt to dial tells that the account is accepted.
        url: where its gateway is.
        beat_every: ns between heartbeats.
    """

    account: tuple[Span, ...] = ()
    chats: Mapping[tuple[str, bool], tuple[Span, ...]] = attrs.field(factory=dict)
    outages: tuple[Span, ...] = ()
    deaf: tuple[Span, ...] = ()
    came: tuple[tuple[int, Any], ...] = ()
    handling: Mapping[str, tuple[tuple[str | None, int], ...]] = attrs.field(factory=dict)
    send_took: int = TOOK
    confirms: bool = True
    tie_took: Mapping[type, int] = attrs.field(factory=dict)
    hold: int = HOLD
    proved: bool = False
    url: str = "wss://unknown"
    beat_every: int = BEAT_EVERY


def facts(recording: Recording, *, worst: bool = False) -> Facts:
    """Read off a recording what it shows of the platform.

    Args:
        recording: what came from outside.
        worst: whether what failed last went on until something was accepted.
    """
    sends: list[tuple[Answer, str]] = []
    ties: list[Answer] = []
    chats: dict[str, str] = {address: chat for address, (_, _, chat, _) in recording.initial.items()}
    readings: dict[int, str] = {}
    heard: dict[str, list[int]] = {}
    for row in recording.rows:
        match row.event:
            case delivery.Accepted():
                chats[row.address] = row.event.chat
            case delivery.PartRefused():
                readings[row.seq] = row.event.then
            case window.Heard():
                heard.setdefault(Address.parse(row.address).key, []).append(row.at)
    for key, answer in recording.answers.items():
        if isinstance(answer.effect, SendPart):
            sends.append((answer, chats.get(key[0], "")))
        elif answer.effect is not None and key[0] == recording.tie:
            ties.append(answer)
    sends.sort(key=lambda pair: pair[0].seq)
    ties.sort(key=lambda answer: answer.seq)
    spans = _Spans(worst)
    hung = _hung(recording, chats)

    def account_is_to_blame(answer: Answer) -> bool:
        return not isinstance(answer.result, Taken) and readings.get(answer.seq, "account") in (
            "account",
            "credentials",
        )

    scopes: dict[tuple[str, bool], list[Answer]] = {}
    for answer, chat in sends:
        scopes.setdefault((chat, answer.effect.bare), []).append(answer)
    by_chat = {
        (chat, bare): spans.of(
            answers,
            lambda a: not isinstance(a.result, Taken) and not account_is_to_blame(a),
            heals=heard.get(chat, []),
            by_word=lambda a: readings.get(a.seq) in ("bare", "window", "slot"),
        )
        for (chat, bare), answers in scopes.items()
    }
    return Facts(
        account=spans.of([a for a, _ in sends], account_is_to_blame),
        chats={
            scope: tuple(sorted((*by_chat.get(scope, ()), *hung.get(scope, ())), key=_begins))
            for scope in by_chat.keys() | hung.keys()
            if by_chat.get(scope) or hung.get(scope)
        },
        outages=spans.of(ties, lambda a: not _is_good(a.result)),
        deaf=_deaf(recording),
        came=tuple((a.at, a.result) for a in ties if isinstance(a.result, Batch | Review | Note | Invalid | Ended)),
        handling=_handling(recording),
        send_took=_typical((a.at - a.asked for a, _ in sends if isinstance(a.result, Taken)), TOOK),
        confirms=any(isinstance(a.result, Taken) and a.result.message for a, _ in sends) or not sends,
        tie_took={
            kind: _typical((a.at - a.asked for a in ties if isinstance(a.effect, kind) and _is_good(a.result)), TOOK)
            for kind in KINDS
        },
        hold=_typical((a.at - a.asked for a in ties if isinstance(a.result, Empty)), HOLD),
        proved=any(isinstance(a.result, Dialled) and a.result.proved for a in ties),
        url=next((a.result.url for a in ties if isinstance(a.result, Found)), "wss://unknown"),
        beat_every=next((a.result.beat_every for a in ties if isinstance(a.result, Hello)), BEAT_EVERY),
    )


def _handling(recording: Recording) -> dict[str, tuple[tuple[str | None, int], ...]]:
    found: dict[str, list[tuple[str | None, int]]] = {}
    for row in recording.rows:
        if isinstance(row.event, inbound.Handed):
            answer = recording.handled.get((row.address, row.after.version))
            end = (None, FOR_EVER) if answer is None else (answer.result, answer.at - answer.asked)
            found.setdefault(row.address, []).append(end)
    return {address: tuple(ends) for address, ends in found.items()}


def _hung(recording: Recording, chats: Mapping[str, str]) -> dict[tuple[str, bool], list[Span]]:
    """Return when what was sent to a chat was never answered."""
    found: dict[tuple[str, bool], list[Span]] = {}
    for row in recording.rows:
        state, _, version, entered = row.after
        if state in delivery.SENDING and entered == version and (row.address, version) not in recording.answers:
            ends = recording.left.get((row.address, version), recording.ends)
            span = Span(row.at - SLACK, ends, None, 0)
            found.setdefault((chats.get(row.address, ""), state == "sending-bare"), []).append(span)
    return found


def _deaf(recording: Recording) -> tuple[Span, ...]:
    found: list[Span] = []
    for row in recording.rows:
        state, _, version, entered = row.after
        if state == "beating" and entered == version and (row.address, version) not in recording.answers:
            left = recording.left.get((row.address, version))
            if left is not None and left - row.at > SLACK:
                found.append(Span(row.at - SLACK, left, None, 0))
    return tuple(found)


@attrs.frozen
class _Spans:
    """Puts failures that followed one another into intervals."""

    worst: bool

    def of(
        self,
        answers: list[Answer],
        failed: Callable[[Answer], bool],
        *,
        heals: Iterable[int] = (),
        by_word: Callable[[Answer], bool] = lambda _: False,
    ) -> tuple[Span, ...]:
        """Return the intervals.

        Args:
            answers: in their order.
            failed: tells whether one is a failure.
            heals: when the chat's user wrote.
            by_word: tells whether only that ends what was refused.
        """
        spans: list[Span] = []
        open_: list[Answer] = []
        well = 0
        for answer in answers:
            if failed(answer):
                open_.append(answer)
            elif _is_good(answer.result):
                if open_:
                    spans.append(self._span(open_, well, answer.asked, heals, by_word))
                    open_ = []
                well = answer.at
        if open_:
            spans.append(self._span(open_, well, None, heals, by_word))
        return tuple(spans)

    def _span(
        self,
        failures: list[Answer],
        well: int,
        healed: int | None,
        heals: Iterable[int],
        by_word: Callable[[Answer], bool],
    ) -> Span:
        last = failures[-1]
        word = min((at for at in heals if at > last.asked), default=None)
        ends = last.asked
        if by_word(last) and (healed is None or (word is not None and word <= healed)):
            ends = word if word is not None else last.asked + FOR_EVER
        elif self.worst:
            ends = healed - 1 if healed is not None else last.asked + FOR_EVER
        begins = max(well + 1, failures[0].asked - SLACK)
        return Span(begins, max(ends, last.asked), last.result, last.at - last.asked)


class Platform:
    """Answers what was never asked, by what is known.

    Args:
        known: of the platform.
    """

    def __init__(self, known: Facts) -> None:
        self._known = known
        self._number = 0
        self._given: set[int] = set()
        self._handled: dict[str, int] = {}
        self._resumed = False

    # ---- answering ---------------------------------------------------------------------------------------------------

    def took(self, result: Any) -> None:
        """Take note of an answer that was taken in, so that it is not given again."""
        self._given.add(id(result))
        if isinstance(result, Welcome):
            self._resumed = result.resumed

    def answer(self, request: Request, chat: str, state: str, now: int) -> tuple[Any, int] | None:
        """Return what comes of an attempt, and after how long, in ns; None if nothing ever does."""
        effect = request.attempt.effect
        if isinstance(effect, SendPart):
            return self._send(effect, chat, now)
        if isinstance(effect, Receive):
            return self._next(now, patience=self._known.hold)
        if isinstance(effect, ReadFrame):
            return self._frame(effect, state, now)
        outage = _within(self._known.outages, now)
        if outage is not None and not isinstance(effect, HangUp):
            return _as_quick(outage.result), outage.took
        return self._good(effect), self._known.tie_took.get(type(effect), TOOK)

    def handles(self, address: str) -> tuple[str | None, int]:
        """Return how a handler ends that is given a message: what goes wrong or None, and after how long, in ns."""
        ends = self._known.handling.get(address, ())
        nth = self._handled.get(address, 0)
        self._handled[address] = nth + 1
        return ends[nth] if nth < len(ends) else (None, 0)

    def _send(self, effect: SendPart, chat: str, now: int) -> tuple[Any, int] | None:
        for spans in (self._known.account, self._known.chats.get((chat, effect.bare), ())):
            span = _within(spans, now)
            if span is not None:
                return None if span.result is None else (span.result, span.took)
        self._number += 1
        return Taken(message=f"model-{self._number}" if self._known.confirms else ""), self._known.send_took

    def _good(self, effect: Any) -> Any:
        match effect:
            case Dial():
                return Dialled(proved=self._known.proved)
            case Authorise():
                return Token(changed=effect.refused, lasts=7200 * SECONDS)
            case LookUp():
                return Found(url=self._known.url)
            case OpenSocket():
                return SocketOpen()
            case Identify() | Resume():
                self._resumed = isinstance(effect, Resume)
                return FrameSent()
            case _:
                return ""

    def _frame(self, effect: ReadFrame, state: str, now: int) -> tuple[Any, int] | None:
        outage = _within(self._known.outages, now)
        if outage is not None:
            return _as_frame(outage.result), outage.took
        if state == "greeting":
            return Hello(beat_every=self._known.beat_every), TOOK
        if state in ("identifying", "resuming", "proving"):
            return Welcome(resumed=self._resumed), TOOK
        if _within(self._known.deaf, now) is not None:
            return None
        if effect.beat:
            return BeatAck(), TOOK
        return self._next(now, patience=None)

    def _next(self, now: int, patience: int | None) -> tuple[Any, int] | None:
        """Return what comes in next: what is there already at once, what comes later when it comes."""
        outage = _within(self._known.outages, now)
        if outage is not None and patience is not None:
            return (
                (outage.result, outage.took)
                if isinstance(outage.result, Empty)
                else (_as_quick(outage.result), outage.took)
            )
        for at, result in self._known.came:
            if id(result) in self._given or not (isinstance(result, Batch | Review) or at > now):
                continue
            if patience is not None and at > now + patience:
                break
            if any(now <= span.begins < at for span in self._known.outages):
                break
            return result, max(TOOK, at - now)
        outage = next((span for span in self._known.outages if span.begins >= now), None)
        until = None if patience is None else now + patience
        if outage is not None and (until is None or outage.begins < until):
            if isinstance(outage.result, Empty):
                return outage.result, outage.took
            result = _as_frame(outage.result) if patience is None else _as_quick(outage.result)
            return result, max(TOOK, outage.begins - now)
        return None if patience is None else (Empty(), patience)


def _typical(durations: Iterable[int], default: int) -> int:
    found = list(durations)
    return median_low(found) if found else default


def _within(spans: Sequence[Span], now: int) -> Span | None:
    place = bisect_right(spans, now, key=_begins) - 1
    return spans[place] if place >= 0 and now <= spans[place].ends else None


def _begins(span: Span) -> int:
    return span.begins


FAILED: Final = (Failure, Unauthorised, Crash, Ended, Broken)
"""A tuple: every answer is asked, and a union would be put together anew each time."""


def _is_good(result: Any) -> bool:
    return not isinstance(result, FAILED) and not (isinstance(result, Empty) and result.silent)


def _as_quick(result: Any) -> Any:
    """Return a failure as an attempt to connect would have met it."""
    if isinstance(result, Empty):
        return Failure(stage="silence", error="no answer")
    if isinstance(result, Ended):
        return Failure(stage="connect", error=result.error, hint=result.hint)
    return result


def _as_frame(result: Any) -> Any:
    """Return a failure as whoever reads from a socket would have met it."""
    if isinstance(result, Unauthorised):
        return Ended(code=result.code, error=result.message, then="token")
    if isinstance(result, Failure):
        return Ended(code="", error=result.error, then="resume", hint=result.hint)
    return result
