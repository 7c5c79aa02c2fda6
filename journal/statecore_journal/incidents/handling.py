"""What goes wrong with messages that come in."""

from collections.abc import Iterable
from typing import ClassVar, Final

import attrs

from statecore.units import MINUTES
from statecore_journal.incidents.cases import Case, Mark, Repeating, Told, setting, times
from statecore_journal.incidents.model import Cost, Incident, Row
from statecore_journal.incidents.processes import CUT_OFF

FAILING: Final = 3
"""Different messages whose handlers fail in a row. One or two are the messages' fault; three are the handler's."""

HANDLING_MAX: Final = 30 * MINUTES
"""Agents that work on an answer take minutes. One that takes half an hour, as a rule, waits for something that never comes."""

WAITING_MAX: Final = 10 * MINUTES
"""A message waits for its handler while there is none; a program that takes messages takes the next one in less."""

NEVER: Final = Mark(0, 0, 0, "/")
"""Where a handler began that a stop waits for: that is bounded by the stop's own patience."""

COPIES: Final = 10
"""Copies of messages that are here already. A few are the platform's way to make sure; so many are a cursor it ignores."""


class PoisonMessage:
    """A message that its handler cannot cope with, or that takes the process down.

    Looks for: a message that was set aside, while the handlers of others did well. Starts at its first failure, ends when a
    person has it retried or discarded.

    From: MervinPraison/PraisonAI#2723, openclaw/openclaw#99365 (handling kills the process, replaying it kills it again),
    NousResearch/hermes-agent#18528.
    """

    kind: ClassVar[str] = "poison-message"
    events: ClassVar[frozenset[str]] = frozenset({"HandlerFailed", "Handled", "Retried", "Discarded"})

    def __init__(self, *, failing: int = FAILING) -> None:
        self.failing = failing
        self._cases: dict[str, Case] = {}
        self._streaks: dict[str, set[str]] = {}  # by account: messages that failed since one was handled

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.ignored:
            return
        case = self._cases.get(row.address)
        if row.event != "HandlerFailed":
            if row.event == "Handled":
                self._streaks.pop(row.account, None)
            if case is not None:
                del self._cases[row.address]
                if case.certain:
                    yield self._told(case, Mark.of(row))
            return
        streak = self._streaks.setdefault(row.account, set())
        if len(streak) < self.failing:
            streak.add(row.address)
        if case is None:
            case = self._cases[row.address] = Case.at(Mark.of(row))
            case.extra = row.chat
        case.note(row, str(row.get("error", "")))
        if row.target == "quarantined":
            if len(streak) < self.failing:
                case.certain = True
                yield self._told(case, None)
            else:
                del self._cases[row.address]  # it is the handler, not this message

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Yield what waits for a person."""
        for case in self._cases.values():
            if case.certain:
                yield self._told(case, None)

    def _told(self, case: Case, end: Mark | None) -> Incident:
        return case.told(
            self.kind,
            end,
            summary=f"a message from {case.extra} failed {times(case.count, 'time')} in {case.lasted(case.newest.at)} and was"
            " set aside",
            cause=f"its handler cannot cope with it: {case.reason}",
            advice="mend the handler, then `statecore dead retry` or `statecore dead purge`;"
            f" {setting(case.account, 'handling.attempts')} says after how many attempts a message is set aside",
            cost=Cost(dead=1),
        )


class HandlerFailures:
    """The program that handles messages fails, whatever the message.

    Looks for: 3 or more different messages whose handler failed, with none handled well in between. Starts at the first failure,
    ends at the next message that is handled well.

    From: NousResearch/hermes-agent#87382 (20 hours deaf, 18 messages lost), #111020, #3160.
    """

    kind: ClassVar[str] = "handler-failures"
    events: ClassVar[frozenset[str]] = frozenset({"HandlerFailed", "Handled"})

    def __init__(self, *, failing: int = FAILING) -> None:
        self.failing = failing
        self._cases: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.ignored:
            return
        case = self._cases.get(row.account)
        if row.event == "Handled":
            if case is not None:
                del self._cases[row.account]
                if case.certain:
                    yield self._told(case, row.at, Mark.of(row))
            return
        if row.get("error") in CUT_OFF:
            return
        if case is None:
            case = self._cases[row.account] = Case.at(Mark.of(row), f"inbound/{row.account}")
            case.extra = set()
        case.note(row, str(row.get("error", "")))
        case.dead += row.target == "quarantined"
        if len(case.extra) < self.failing:
            case.extra.add(row.address)
            if len(case.extra) == self.failing:
                case.certain = True
                yield self._told(case, row.at, None)

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            if case.certain:
                yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        until = "before a message was handled well" if end is not None else "and no message was handled well since"
        return case.told(
            self.kind,
            end,
            summary=f"the handlers of different messages failed {times(case.count, 'time')} in {case.lasted(at)}, {until};"
            f" {times(case.dead, 'message')} set aside",
            cause=f"the program behind the gateway is at fault, or something it needs is down: {case.reason}",
            advice="mend it, then `statecore dead retry`; to have messages wait for longer meanwhile, raise"
            f" {setting(case.account, 'handling.attempts')} and handling.backoff.cap",
            cost=Cost(dead=case.dead),
        )


@attrs.define(eq=False)
class _Inbox:
    """The messages of an account that came in and are not done.

    Args:
        waiting: by chat, how many wait for a handler.
        busy: by chat, where a handler began with the message it has.
        free: chats with a message that a handler could take.
        deaf: since when there are any, and none was taken.
        reads: whether the program has ever taken one; some only send.
    """

    waiting: dict[str, int] = attrs.field(factory=dict)
    busy: dict[str, Mark] = attrs.field(factory=dict)
    free: int = 0
    deaf: Mark | None = None
    reads: bool = False

    def moved(self, row: Row) -> None:
        """Take in a row of a message."""
        chat = row.chat
        free = chat in self.waiting and chat not in self.busy
        waiting = self.waiting.get(chat, 0) + (row.target == "waiting") - (row.source == "waiting")
        if waiting > 0:
            self.waiting[chat] = waiting
        else:
            self.waiting.pop(chat, None)
        if row.target == "handling":
            self.busy[chat], self.reads, self.deaf = Mark.of(row), True, None
        elif row.source == "handling":
            self.busy.pop(chat, None)
        self.free += (waiting > 0 and chat not in self.busy) - free
        if not self.free:
            self.deaf = None
        elif self.deaf is None:
            self.deaf = Mark.of(row)


class StuckState:
    """Something stands where it should have moved on.

    Looks for: a handler that has had a message for 30 minutes, or messages that wait for 10 minutes although the program has
    taken messages before and could take these. Starts where the handler began, or the wait; ends when it moves. Time in which no
    process drove the account does not count.

    From: NousResearch/hermes-agent#75571 and #67498 (everything stands, and nothing says where), #87382 (20 hours deaf),
    openclaw/openclaw#71412, HKUDS/nanobot#5429.
    """

    kind: ClassVar[str] = "stuck-state"
    events: ClassVar[frozenset[str]] = frozenset({"Received", "Handed", "Handled", "HandlerFailed", "Retried", "Discarded",
                                                  "Elapsed(retry_at)", "Started", "StopRequested"})  # fmt: skip

    def __init__(self, *, handling: int = HANDLING_MAX, waiting: int = WAITING_MAX) -> None:
        self.handling = handling
        self.waited = waiting
        self._inboxes: dict[str, _Inbox] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.ignored:
            return
        if row.event in ("Started", "StopRequested"):
            inbox = self._inboxes.get(row.account)
            if inbox is not None:
                yield from self._process(inbox, row)
            return
        if row.machine != "inbound":
            return
        inbox = self._inboxes.get(row.account)
        if inbox is None:
            inbox = self._inboxes[row.account] = _Inbox()
        began = inbox.busy.get(row.chat)
        if row.source == "handling" and began not in (None, NEVER) and row.at - began.at >= self.handling:
            yield self._handling(inbox, row.chat, began, row.at, Mark.of(row))
        if row.target == "handling" and self._is_deaf(inbox, row.at):
            yield self._deaf(inbox, row.at, Mark.of(row))
        inbox.moved(row)

    def _process(self, inbox: _Inbox, row: Row) -> Iterable[Incident]:
        """End what was stuck where a process stops or begins, and count anew from where it begins."""
        yield from self._stuck(inbox, row.at, Mark.of(row))
        begins = row.event == "Started"
        inbox.deaf = Mark.of(row) if begins and inbox.free else None
        inbox.busy = dict.fromkeys(inbox.busy, Mark.of(row) if begins else NEVER)

    def _stuck(self, inbox: _Inbox, at: int, end: Mark | None) -> Iterable[Incident]:
        for chat, began in inbox.busy.items():
            if began is not NEVER and at - began.at >= self.handling:
                yield self._handling(inbox, chat, began, at, end)
        if self._is_deaf(inbox, at):
            yield self._deaf(inbox, at, end)

    def _is_deaf(self, inbox: _Inbox, at: int) -> bool:
        return inbox.reads and inbox.deaf is not None and at - inbox.deaf.at >= self.waited

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what stands."""
        for inbox in self._inboxes.values():
            yield from self._stuck(inbox, at, None)

    def _handling(self, inbox: _Inbox, chat: str, began: Mark, at: int, end: Mark | None) -> Incident:
        case = Case.at(began)
        waiting = inbox.waiting.get(chat, 0)
        behind = f", and {times(waiting, 'message')} of its chat behind it" if waiting else ""
        return case.told(
            self.kind,
            end,
            summary=f"a handler has had one message for {case.lasted(at)}{behind}",
            cause="it waits for something that does not come, and the chat's next message is not handed over before it ends",
            advice="give the handler a deadline of its own (`with trio.fail_after(...)`); `handlers` at the top of the"
            " configuration says how many messages are handled at once",
            cost=Cost(delayed=waiting, delay_max=at - began.at if waiting else 0),
        )

    def _deaf(self, inbox: _Inbox, at: int, end: Mark | None) -> Incident:
        assert inbox.deaf is not None, "asked before"
        case = Case.at(inbox.deaf)
        waiting = sum(inbox.waiting.values())
        return case.told(
            self.kind,
            end,
            summary=f"for {case.lasted(at)} no message was handed to a handler, and {times(waiting, 'message')} waited",
            cause="all handlers were busy, or the program has stopped reading its inbox",
            advice="see that the task that iterates over `gateway.inbox()` is alive, or raise `handlers` at the top of the"
            " configuration",
            cost=Cost(delayed=waiting, delay_max=at - inbox.deaf.at),
        )


class DuplicatesIn(Repeating):
    """The platform delivers messages again that are here already.

    Looks for: 10 copies or more within 10 minutes. They are recognised and not handled again; the incident says that the platform
    sends them. Starts at the first copy.

    From: Tencent/openclaw-weixin#239 (every message twice), NousResearch/hermes-agent#100032 and #92408, openclaw/openclaw#39010
    (a storm of them, and the restart made it worse).
    """

    kind: ClassVar[str] = "duplicates-in"
    events: ClassVar[frozenset[str]] = frozenset({"Repeated"})
    least = COPIES

    def counts(self, row: Row) -> bool:
        """Tell whether it is a copy; also of a message that is done, where it changes nothing."""
        return row.machine == "inbound"

    def reason(self, row: Row) -> str:
        """Return how it was recognised."""
        return f"recognised by {row.get('by', 'id')}"

    def charge(self, case: Case, row: Row) -> None:
        """Name the account's messages."""
        case.address = f"inbound/{row.account}"

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"the platform delivered {times(case.count, 'copy', 'copies')} of messages that were here already, in"
            f" {case.lasted(at)}; none was handled twice",
            f"it does not heed the cursor, or sends each message more than once ({case.reason})",
            "nothing to change here; if users see answers twice, look whether the program answers with a `key`",
            Cost(),
        )
