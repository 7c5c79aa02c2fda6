"""What goes wrong with messages on their way out."""

from collections.abc import Iterable
from typing import ClassVar, Final

from statecore.units import MINUTES, SECONDS
from statecore_journal.incidents.cases import Case, Mark, Repeating, Told, Waiting, delays, setting, times
from statecore_journal.incidents.model import Cost, Incident, Row

WINDOW_MIN: Final = 60 * SECONDS
"""A user who answers within a minute has hardly noticed that the rest was missing."""

HEAD_MIN: Final = 60 * SECONDS
HEAD_BEHIND: Final = 1
"""One failed attempt is retried within seconds, and what is behind it hardly waits."""

FAILING_MIN: Final = 60 * SECONDS
FAILING_TIMES: Final = 3
"""The same for the whole account: both must be exceeded."""

FAILING_GAP: Final = 10 * MINUTES
"""A failure that comes so long after the one before is another incident, though nothing was sent in between."""

UNKNOWNS: Final = 3
"""Lost answers that harmed nobody, because the platform takes a message once. More than a few are a fault on the way."""

LOST: Final = frozenset({"PartUnknown", "Broken"})
ENDED: Final = frozenset({"delivered", "expired", "purged", "dead", "in-review"})


class WindowExhausted:
    """Messages wait because the platform allows nothing more until the chat's user writes.

    Looks for: a message that was held for that reason for a minute or more. Starts where it was first held, ends when the
    user writes, or nothing waits any more.

    From: NousResearch/hermes-agent#35714 (it stalls after ten messages), #96416; Tencent/openclaw-weixin#81 and #156
    (ten messages within 24 hours of the user's last).
    """

    kind: ClassVar[str] = "window-exhausted"
    events: ClassVar[frozenset[str]] = frozenset({"Held", "PartRefused", "Released", "Purged", "Elapsed(expires_at)"})

    def __init__(self, *, least: int = WINDOW_MIN) -> None:
        self.least = least
        self.waiting = Waiting()
        self._cases: dict[tuple[str, str], Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine != "delivery" or row.ignored:
            return
        where = row.account, row.chat
        case = self._cases.get(where)
        if row.target == "window-closed":
            if case is None:
                case = self._cases[where] = Case.at(Mark.of(row), f"window/{row.account}/{row.chat}")
            reason = str(row.get("reason") or row.get("reading", ""))
            case.note(row, reason)
            case.refused += row.event == "PartRefused"
        elif row.source == "window-closed" and case is not None:
            gone = row.target in ENDED
            case.dead += row.target == "expired"
            if gone and self.waiting.count(*where) > 1:
                return  # the next of the chat is held as well
            del self._cases[where]
            if case.certain or row.at - case.start.at >= self.least:
                yield self._told(case, row.at, Mark.of(row))

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            if at - case.start.at >= self.least:
                case.certain = True
                yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        chat = case.address.split("/", 2)[2]
        cost = self.waiting.cost(case.account, chat, case.start.at, at, refused=case.refused, dead=case.dead)
        scene, colon, _ = chat.partition(":")
        window = f"window_{scene}" if colon else "window"  # QQ has one for each kind of chat
        until = "until its user wrote" if end is not None else "and its user has not written"
        return case.told(
            self.kind,
            end,
            summary=f"chat {chat} could be sent nothing for {case.lasted(at)}, {until}{delays(cost)}",
            cause=f"{case.reason}; the platform allows so many messages after each of the user's, and for so long",
            advice=(
                "say it in fewer messages, or ask the user to write before the rest;"
                f" {setting(case.account, f'{window}.messages')} and {window}.lasts must be what the platform really allows"
            ),
            cost=cost,
        )


class HeadOfLineWait:
    """The messages of a chat wait behind its first, which does not get through, while other chats go on.

    Looks for: the first message of a chat failing for a minute or more with others behind it, while the account sends to other
    chats. Starts at its first failure, ends when it is taken or given up.

    From: openclaw/openclaw#127491, chrissnell/graywolf#580, matrix-org/matrix-appservice-irc#202 (one blocked chat that holds up
    what is behind it).
    """

    kind: ClassVar[str] = "head-of-line-wait"
    events: ClassVar[frozenset[str]] = frozenset({"NotSent", "PartRefused", "PartUnknown", "Broken", "PartAccepted",
                                                  "PartPending", "Purged", "Elapsed(expires_at)", "Held"})  # fmt: skip

    def __init__(self, *, least: int = HEAD_MIN, behind: int = HEAD_BEHIND) -> None:
        self.least = least
        self.behind = behind
        self.waiting = Waiting()
        self._cases: dict[str, Case] = {}
        self._taken: dict[str, tuple[str, int]] = {}  # by account: the chat that took a message last, and when

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine != "delivery" or row.ignored:
            return
        case = self._cases.get(row.address)
        if row.target in ("backing-off", "unknown"):
            if case is None:
                case = self._cases[row.address] = Case.at(Mark.of(row))
                case.extra = row.chat
            case.note(row, why(row))
            if not case.certain and self._enough(case, row.at):
                case.certain = True
                yield self._told(case, row.at, None)
        elif case is not None and row.target not in ("queued", "sending", "sending-bare"):
            del self._cases[row.address]
            if case.certain or self._enough(case, row.at):
                yield self._told(case, row.at, Mark.of(row))
        if row.event in ("PartAccepted", "PartPending") and self._cases:
            self._taken[row.account] = row.chat, row.at
        elif not self._cases and self._taken:
            self._taken.clear()

    def _enough(self, case: Case, at: int) -> bool:
        chat, taken = self._taken.get(case.account, ("", 0))
        return (
            at - case.start.at >= self.least
            and self.waiting.count(case.account, case.extra) > self.behind
            and taken > case.start.at
            and chat != case.extra
        )

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            if case.certain or self._enough(case, at):
                yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(case.account, case.extra, case.start.at, at)
        behind = max(0, cost.delayed - 1)
        return case.told(
            self.kind,
            end,
            summary=(
                f"{times(behind, 'message')} to {case.extra} waited {case.lasted(at)} behind one that failed"
                f" {times(case.count, 'time')}, while other chats were sent to"
            ),
            cause=f"messages of a chat leave in their order, and its first one does not get through: {case.reason}",
            advice=(
                f"see what is wrong with that message, or purge it (`statecore dead purge`); {setting(case.account, 'retry.age')}"
                " and retry.attempts say when it is given up by itself, and retry.backoff.cap how often it is tried"
            ),
            cost=cost,
        )


def why(row: Row) -> str:
    """Say why an attempt failed."""
    if row.event == "PartRefused":
        return f"{row.get('code')}: {row.get('reading')}"
    stage = row.get("stage") or row.get("how")
    return f"{stage}: {row.get('error', '')}" if stage else str(row.get("error", ""))


class SendFailures:
    """Messages fail to leave, whatever chat they are for, while the connection stands.

    Looks for: 3 failed attempts or more over a minute, with nothing taken in between. Starts at the first of them, ends at the
    next message that is taken.

    From: NousResearch/hermes-agent#12607 and #47229 (what time cures is given up), openclaw/openclaw#91212 (each start spends an
    attempt on a platform that is not ready).
    """

    kind: ClassVar[str] = "send-failures"
    events: ClassVar[frozenset[str]] = frozenset({"NotSent", "PartRefused", "PartAccepted", "PartPending"})

    def __init__(self, *, least: int = FAILING_MIN, failures: int = FAILING_TIMES) -> None:
        self.least = least
        self.failures = failures
        self.waiting = Waiting()
        self._runs: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.ignored:
            return
        run = self._runs.get(row.account)
        if row.event in ("PartAccepted", "PartPending"):
            if run is not None:
                del self._runs[row.account]
                if run.certain:
                    yield self._told(run, row.at, Mark.of(row))
        elif row.event == "NotSent" or row.get("then") == "retry":
            if run is not None and row.at - run.newest.at > FAILING_GAP:
                if run.certain:
                    yield self._told(run, run.newest.at, run.newest)
                run = None
            if run is None:
                run = self._runs[row.account] = Case.at(Mark.of(row), f"delivery/{row.account}")
            run.note(row, why(row))
            run.dead += row.target == "dead"
            run.refused += row.event == "PartRefused"
            if not run.certain and run.count >= self.failures and row.at - run.start.at >= self.least:
                run.certain = True
                yield self._told(run, row.at, None)

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for run in self._runs.values():
            if run.certain:
                over = at - run.newest.at > FAILING_GAP
                yield self._told(run, run.newest.at if over else at, run.newest if over else None)

    def _told(self, run: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(run.account, None, run.start.at, at, refused=run.refused, dead=run.dead)
        until = "before one was taken" if end is not None else "and none was taken since"
        return run.told(
            self.kind,
            end,
            summary=f"{times(run.count, 'attempt')} to send failed in {run.lasted(at)} {until}{delays(cost)}",
            cause=f"the platform's interface for sending was down or could not be reached: {run.reason}",
            advice=(
                f"look whether it was down; {setting(run.account, 'retry.backoff.cap')} says how often it is tried, and"
                " retry.age how long a message is kept trying"
            ),
            cost=cost,
        )


class UnknownOutcomes(Repeating):
    """Answers are lost, so nobody knows whether messages arrived.

    Looks for: lost answers after which a message may have arrived twice, or was given up, or 3 of them within 10 minutes. Starts
    at the first lost answer.

    From: NousResearch/hermes-agent#14061 and #3904 (up to nine copies of a message), #105471; openclaw/openclaw#29106 (killed
    between sending and writing it down).
    """

    kind: ClassVar[str] = "unknown-outcomes"
    events: ClassVar[frozenset[str]] = frozenset({*LOST, "Turn"})
    within = 10 * MINUTES

    def __init__(
        self, *, unknowns: int = UNKNOWNS, least: int | None = None, within: int | None = None, quiet: int | None = None
    ) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self.unknowns = unknowns

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.event != "Turn":
            return super().see(row)
        case = self._cases.get(row.account)
        if case is None or not row.get("doubles", False):
            return ()
        case.doubled += 1
        case.newest = Mark.of(row)
        case.show(row.seq)
        if case.certain:
            return ()
        case.certain = True
        return [self._told(case, row.at, over=False)]

    def counts(self, row: Row) -> bool:
        """Tell whether the answer to a request was lost, other than by a stop that would not wait."""
        return row.machine == "delivery" and not row.ignored and row.get("how") != "drained"

    def reason(self, row: Row) -> str:
        """Return what became of the answer."""
        return why(row)

    def charge(self, case: Case, row: Row) -> None:
        """Add what was given up."""
        case.dead += row.target == "dead"

    def enough(self, case: Case) -> bool:
        """Tell whether it did harm, or happened often."""
        return case.doubled > 0 or case.dead > 0 or case.count >= self.unknowns

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        harm = [
            text
            for number, text in (
                (case.doubled, f"{times(case.doubled, 'message')} may have arrived twice"),
                (case.dead, f"{times(case.dead, 'message')} given up, and may have arrived"),
            )
            if number
        ]
        killed = case.reason.startswith("interrupted")
        advice = (
            "let the process stop by SIGTERM, and give it the time (gateway.drain)"
            if killed
            else "look what cuts the answers off: a proxy, a timeout on the way;"
            f" {setting(case.account, 'retry.resend_after')} says when such a message is sent again"
        )
        return Told(
            f"the answers to {times(case.count, 'request')} were lost in {case.lasted(at)}; {', '.join(harm) or 'none twice'}",
            case.reason,
            advice,
            Cost(doubled=case.doubled, dead=case.dead),
        )
