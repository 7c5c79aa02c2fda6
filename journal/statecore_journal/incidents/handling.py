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
class _Chat:
    """The messages of a chat that came in and are not done.

    Args:
        waiting: how many wait for a handler.
        since: since when the first of them could have been taken.
        busy: whether a handler has one of them; then *since* is when it began.
    """

    waiting: int
    since: Mark
    busy: bool = False


class StuckState:
    """Something stands where it should have moved on.

    Looks for: a handler that has had a message for 30 minutes, or messages that wait for 10 minutes although no handler of their
    chat is at work. Starts where the handler began, or the wait; ends when it moves. Time in which no process drove the account
    does not count.

    From: NousResearch/hermes-agent#75571 and #67498 (everything stands, and nothing says where), openclaw/openclaw#71412 (a
    stop that does not stop), HKUDS/nanobot#5429.
    """

    kind: ClassVar[str] = "stuck-state"
    events: ClassVar[frozenset[str]] = frozenset({"Received", "Handed", "Handled", "HandlerFailed", "Retried", "Discarded",
                                                  "Elapsed(retry_at)", "Started", "StopRequested"})  # fmt: skip

    def __init__(self, *, handling: int = HANDLING_MAX, waiting: int = WAITING_MAX) -> None:
        self.handling = handling
        self.waited = waiting
        self._chats: dict[str, dict[str, _Chat]] = {}
        self._off: set[str] = set()

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.event in ("Started", "StopRequested"):
            if not row.ignored:
                yield from self._process(row)
            return
        if row.machine != "inbound" or row.ignored:
            return
        chats = self._chats.setdefault(row.account, {})
        chat = chats.get(row.chat)
        if chat is not None:
            yield from self._over(chat, row)
        if chat is None:
            if row.target not in ("waiting", "handling"):
                return
            chat = chats[row.chat] = _Chat(0, Mark.of(row))
        chat.waiting += (row.target == "waiting") - (row.source == "waiting")
        if row.event != "Received" or (chat.waiting == 1 and not chat.busy):
            chat.since = Mark.of(row)
        chat.busy = row.target == "handling" or (chat.busy and row.source != "handling")
        if not chat.busy and chat.waiting <= 0:
            del chats[row.chat]

    def _process(self, row: Row) -> Iterable[Incident]:
        """Begin to count anew where a process begins, and stop where it stops."""
        for chat in self._chats.get(row.account, {}).values():
            yield from self._over(chat, row)
            chat.since = Mark.of(row)
        if row.event == "StopRequested":
            self._off.add(row.account)
        else:
            self._off.discard(row.account)

    def _over(self, chat: _Chat, row: Row) -> list[Incident]:
        """Tell what was stuck and moves by this row."""
        if row.event == "Received" or row.account in self._off or not self._stuck(chat, row.at):
            return []
        return [self._told(chat, row.at, Mark.of(row))]

    def _stuck(self, chat: _Chat, at: int) -> bool:
        return at - chat.since.at >= (self.handling if chat.busy else self.waited)

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what stands."""
        for account, chats in self._chats.items():
            if account not in self._off:
                for chat in chats.values():
                    if self._stuck(chat, at):
                        yield self._told(chat, at, None)

    def _told(self, chat: _Chat, at: int, end: Mark | None) -> Incident:
        case = Case.at(chat.since)
        cost = Cost(delayed=max(0, chat.waiting), delay_max=max(0, at - chat.since.at))
        behind = f", and {times(chat.waiting, 'message')} of its chat behind it" if chat.waiting and chat.busy else ""
        told = (
            Told(
                f"a handler has had one message for {case.lasted(at)}{behind}",
                "it waits for something that does not come, and the chat's next message is not handed over before it ends",
                "give the handler a deadline of its own (`with trio.fail_after(...)`); `handlers` at the top of the"
                " configuration says how many messages are handled at once",
                cost,
            )
            if chat.busy
            else Told(
                f"{times(max(1, chat.waiting), 'message')} waited {case.lasted(at)} for a handler",
                "no handler was free to take them, or the program does not read its inbox",
                "see that the program iterates over `gateway.inbox()`, or raise `handlers` at the top of the configuration",
                cost,
            )
        )
        return case.told(self.kind, end, **told._asdict())


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
