"""What the platform refuses: storms, throttling, chats that are refused, tokens gone stale."""

from collections.abc import Iterable
from typing import ClassVar, Final

from statecore.units import MINUTES, show_duration
from statecore_journal.incidents.cases import Case, Mark, Repeating, Told, Waiting, delays, setting, times
from statecore_journal.incidents.model import Cost, Incident, Row

STORM_REFUSED: Final = 5
"""Requests refused in a row. One or two are how a limit is found out, and two more are the probes that find it over."""

CHAT_REFUSED: Final = 4
"""With and without the token, and two probes after that: a minute and a half with the default settings."""

RUN_GAP: Final = 5 * MINUTES
"""A refusal that is older than this when the next one comes has nothing to do with it, unless a circuit is open."""

TRIPS: Final = 3
TRIPS_WITHIN: Final = 30 * MINUTES
"""An account that is refused for its speed so often in so short a time will be again."""

REFUSING: Final = frozenset({"bare", "circuit", "account"})
"""What follows from refusals that speak of a limit or of nothing in particular; see `statecore.reading.Then`."""


class RetryStorm:
    """Requests keep being refused, whatever chat they are for, and nothing is taken in between.

    Looks for: the account's circuit has tripped, and 5 or more requests were refused since the last one that was taken.
    Starts at the first of those refusals, ends at the next message that is taken.

    From: NousResearch/hermes-agent#26828 (every queued message ran a retry loop of its own: 30 requests in 30 s, 3.4 GB,
    killed), #77834 and #112841 (a cooldown that each try arms again).
    """

    kind: ClassVar[str] = "retry-storm"
    events: ClassVar[frozenset[str]] = frozenset({"PartRefused", "PartAccepted", "PartPending", "Tripped"})

    def __init__(self, *, refused: int = STORM_REFUSED) -> None:
        self.refused = refused
        self.waiting = Waiting()
        self._runs: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        account = row.account
        run = self._runs.get(account)
        if row.event in ("PartAccepted", "PartPending"):
            if run is not None and not row.ignored:
                del self._runs[account]
                if run.certain:
                    yield self._told(run, row.at, Mark.of(row))
            return
        if row.ignored:
            return
        if row.event == "Tripped":
            if run is not None and not row.key:
                run.extra = True  # the account's own circuit is open: these refusals are about the account
                run.note(row, str(row.get("reason", "")))
        elif row.get("then") in REFUSING:
            if run is None or (not run.extra and row.at - run.newest.at > RUN_GAP):
                run = self._runs[account] = Case.at(Mark.of(row), f"circuit/{account}")
            run.refused += 1
            run.note(row)
        if run is not None and run.extra and run.refused >= self.refused and not run.certain:
            run.certain = True
            yield self._told(run, row.at, None)

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for run in self._runs.values():
            if run.certain:
                yield self._told(run, at, None)

    def _told(self, run: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(run.account, None, run.start.at, at, refused=run.refused)
        until = "before one was taken" if end is not None else "and none was taken since"
        return run.told(
            self.kind,
            end,
            summary=f"the platform refused {times(run.refused, 'request')} in {run.lasted(at)} {until}{delays(cost)}",
            cause=f"the platform refused the whole account, whatever chat it spoke to: {run.reason}",
            advice=(
                f"to be refused less, lower {setting(run.account, 'pacing.per_second')} or pacing.burst; to ask less often"
                f" while it lasts, raise {setting(run.account, 'circuit.cooldown')} or circuit.factor"
            ),
            cost=cost,
        )


class ChatRefused:
    """One chat is refused again and again, while the account is let through.

    Looks for: a chat's circuit has tripped, and 4 or more requests to it were refused since it last took one. Starts at
    the first of those refusals, ends at the next message that the chat takes, or when the account is to blame after all.

    From: NousResearch/hermes-agent#31131 (a limit that outlasts the retries: the answer is dropped without a word), #114877
    (a cooldown for each chat is wanted); openclaw/openclaw#127491 (one refused chat that holds up the others).
    """

    kind: ClassVar[str] = "chat-refused"
    events: ClassVar[frozenset[str]] = frozenset({"PartRefused", "PartAccepted", "PartPending", "Tripped"})

    def __init__(self, *, refused: int = CHAT_REFUSED) -> None:
        self.refused = refused
        self.waiting = Waiting()
        self._runs: dict[tuple[str, str], Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.ignored:
            return
        where = row.account, row.chat
        run = self._runs.get(where)
        if row.event in ("PartAccepted", "PartPending"):
            if run is not None:
                del self._runs[where]
                if run.certain:
                    yield self._told(run, row.at, Mark.of(row))
            return
        if row.event == "Tripped":
            if not row.key:
                self._put_down_to_the_account(row.account)
            elif run is not None:
                run.extra = True
                run.note(row, str(row.get("reason", "")))
        elif row.get("then") in ("bare", "circuit"):
            if run is None or (not run.extra and row.at - run.newest.at > RUN_GAP):
                run = self._runs[where] = Case.at(Mark.of(row), f"circuit/{row.account}/{row.chat}")
            run.refused += 1
            run.note(row)
        if run is not None and run.extra and run.refused >= self.refused and not run.certain:
            run.certain = True
            yield self._told(run, row.at, None)

    def _put_down_to_the_account(self, account: str) -> None:
        for where in [where for where, run in self._runs.items() if where[0] == account and not run.certain]:
            del self._runs[where]

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for run in self._runs.values():
            if run.certain:
                yield self._told(run, at, None)

    def _told(self, run: Case, at: int, end: Mark | None) -> Incident:
        chat = run.address.split("/", 2)[2]
        cost = self.waiting.cost(run.account, chat, run.start.at, at, refused=run.refused)
        until = "before it took one" if end is not None else "and it took none since"
        return run.told(
            self.kind,
            end,
            summary=f"chat {chat} refused {times(run.refused, 'request')} in {run.lasted(at)} {until}{delays(cost)}",
            cause=f"the platform refused this chat and no other: {run.reason}",
            advice=(
                "ask the user to write, which opens the chat at once; to find out sooner that it is open, lower"
                f" {setting(run.account, 'circuit.chat_cooldown')} or circuit.cap"
            ),
            cost=cost,
        )


class Throttled(Repeating):
    """The account is refused for its speed, recovers, and is refused again.

    Looks for: the account's circuit tripped 3 times or more within 30 minutes, each time on a sign that it speaks too fast.
    Starts at the refusal that tripped it first; over when that has not happened for 30 minutes.

    From: cc-connect#1640 (the third message within a second is refused), NousResearch/hermes-agent#60116 and #112841.
    """

    kind: ClassVar[str] = "throttled"
    events: ClassVar[frozenset[str]] = frozenset({"Tripped"})
    least = TRIPS
    within = TRIPS_WITHIN
    quiet = TRIPS_WITHIN

    def counts(self, row: Row) -> bool:
        """Tell whether the account's own circuit tripped on a sign of throttling."""
        return not row.key and not row.ignored and float(row.get("level", 1.0)) > 1

    def mark(self, row: Row) -> Mark:
        """Return the refusal that tripped it, which stands in the same unit."""
        return Mark.cause_of(row)

    def reason(self, row: Row) -> str:
        """Return what was refused, and how that was read."""
        return str(row.get("reason", ""))

    def charge(self, case: Case, row: Row) -> None:
        """Add how far pacing is stretched now."""
        case.address = row.address
        case.extra = max(case.extra or 1.0, float(row.get("level", 1.0)))

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        summary = (
            f"the account was refused for its speed {times(case.count, 'time')} in {case.lasted(at)}, and now leaves"
            f" {case.extra or 1:.3g} times as long between requests"
        )
        return Told(
            summary,
            f"it sends faster than the platform lets it: {case.reason}",
            f"lower {setting(case.account, 'pacing.per_second')}, or {setting(case.account, 'pacing.burst')} if it is"
            " refused at the beginning of an answer",
            self.waiting.cost(case.account, None, case.start.at, at, refused=case.count),
        )


class StaleToken(Repeating):
    """Messages are refused with a context token, and taken without it.

    Looks for: a refusal, then the one experiment without the token, which the platform takes. Starts at the refusal; stale
    tokens of an account within 10 minutes of one another are one incident.

    From: NousResearch/hermes-agent#35949 (an expired token is refused with the code of a rate limit, so every retry repeats
    it), #96416 and #48222.
    """

    kind: ClassVar[str] = "stale-token"
    events: ClassVar[frozenset[str]] = frozenset({"PartRefused", "PartAccepted", "TokenForgotten"})

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._tried: dict[tuple[str, str], Mark] = {}
        self._passed: dict[tuple[str, str], int] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        where = row.account, row.chat
        if row.event == "PartRefused":
            if row.target == "sending-bare":
                self._tried[where] = Mark.of(row)
            else:
                self._tried.pop(where, None)
        elif row.event == "PartAccepted":
            if row.source == "sending-bare" and where in self._tried:
                self._passed = {where: row.seq}
            else:
                self._tried.pop(where, None)
        elif self._passed.get(where) == row.cause and where in self._tried:
            found = self.add(row)
            del self._tried[where]
            return found
        return ()

    def mark(self, row: Row) -> Mark:
        """Return the refusal with the token."""
        return self._tried[row.account, row.chat]

    def reason(self, row: Row) -> str:
        """Return the chat: each has a token of its own."""
        return row.chat

    def charge(self, case: Case, row: Row) -> None:
        """Add the request that was refused."""
        case.refused += 1
        case.show(self._tried[row.account, row.chat].seq)

    def tell(self, case: Case, at: int) -> Told:  # noqa: ARG002
        """Tell it."""
        chats = len(case.reasons)
        return Told(
            f"the context {'tokens' if chats > 1 else 'token'} of {times(chats, 'chat')} had gone stale: each was refused,"
            f" and the same message was taken without it (within {show_duration(max(0, case.newest.at - case.start.at))})",
            "the platform had let the tokens lapse, and refuses a stale one with the code of a rate limit",
            "nothing to change: a stale token costs one refused request, and the user's next message brings a new one; if"
            " many go stale at once, look whether another program has logged in to the account",
            Cost(refused=case.refused),
        )
