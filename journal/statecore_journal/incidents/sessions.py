"""What goes wrong with who an account is to its platform: credentials, sessions, others who use it."""

from collections.abc import Iterable
from typing import ClassVar, Final

from statecore.units import HOURS, MINUTES
from statecore_journal.incidents.cases import (
    TIES,
    UP,
    Case,
    Lasting,
    Mark,
    Repeating,
    Told,
    Waiting,
    delays,
    setting,
    times,
)
from statecore_journal.incidents.links import UPS
from statecore_journal.incidents.model import Cost, Incident, Row

RESUMES: Final = 4
RESUMES_WITHIN: Final = 1 * HOURS
"""A session is given up after two, and another is begun. Twice within an hour is no accident any more."""

STARTS_LEFT: Final = 2
"""Sessions that may still be begun: the budget is ten at once, so eight were begun faster than it is refilled."""

STARTS_GAP: Final = 1 * HOURS
"""Sessions begun further apart than this have nothing to do with one another."""

REFUSED_TIMES: Final = 3
REFUSED_MIN: Final = 2 * MINUTES
"""Probes of refused credentials. One that passes after seconds was the platform's slip, and needs nobody."""

KICKS: Final = 2
KICKS_WITHIN: Final = 2 * HOURS
"""A bot that is refused and accepted again without a new login, once: the platform restarted. Twice: somebody else has it."""


class CredentialsRefused(Lasting):
    """The platform refuses the account's credentials, and somebody must see to it.

    Looks for: credentials that are refused 3 times in a row, or for 2 minutes. Starts at the first sign of it, ends when
    the platform accepts the account again.

    From: NousResearch/hermes-agent#12223 (a blind pause on an expired session, and the status says connected),
    formulahendry/wechat-acp#49, zhinjs/qq-official-bot#98 (tokens that are not renewed).
    """

    kind: ClassVar[str] = "credentials-refused"
    events: ClassVar[frozenset[str]] = frozenset({*UPS, "TokenRefused", "Doubted", "Lost", "StopRequested"})

    def __init__(self, *, refused: int = REFUSED_TIMES, least: int = REFUSED_MIN) -> None:
        super().__init__()
        self.refused = refused
        self.least = least
        self._signs: dict[str, Mark] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES or row.ignored:
            return
        address = row.address
        case = self._cases.get(address)
        if row.target == "token-stale":
            if case is None:
                case = self._cases[address] = Case.at(self._signs.get(address) or _sign(row))
                self._signs.pop(address, None)
            case.note(row, f"{row.get('code', '')} {row.get('message') or row.get('reason', '')}".strip())
            case.extra = row.get("action", "") or case.extra
            yield from self._noticed(case, row.at)
        elif row.event == "Doubted" or (row.event == "Lost" and "token" in row.get("forget", ())):
            self._signs.setdefault(address, _sign(row))
        elif row.event in UPS and row.target in UP:
            self._signs.pop(address, None)
            if case is not None:
                yield from self._ended(row)

    def _enough(self, case: Case, at: int) -> bool:
        return case.count >= self.refused or at - case.start.at >= self.least

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(case.account, None, case.start.at, at, down=at - case.start.at)
        return case.told(
            self.kind,
            end,
            summary=f"the account's credentials were refused for {case.lasted(at)}, {times(case.count, 'time')}{delays(cost)}",
            cause=f"the platform said: {case.reason}",
            advice=f"{case.extra or 'log in again'}; new credentials are noticed within seconds, and a probe is made every"
            " 15 minutes at the most",
            cost=cost,
        )


def _sign(row: Row) -> Mark:
    """Return where a doubt comes from: the refused request in the same unit, if there is one."""
    return Mark.cause_of(row) if row.event == "Doubted" else Mark.of(row)


class CompetingConsumer(Repeating):
    """Another program uses the same account.

    Looks for: credentials that are refused, and accepted again without a new login, twice or more within 2 hours. Starts at
    the first refusal.

    From: Tencent/openclaw-weixin#69 (a second scan: refused after 29 s, and an hour of blind pause),
    kachofugetsu09/akashic-agent#310 (stops polling for ever), link-assistant/hive-mind#1240.
    """

    kind: ClassVar[str] = "competing-consumer"
    events: ClassVar[frozenset[str]] = frozenset({*UPS, "TokenRefused", "CredentialsChanged", "Started"})
    least = KICKS
    within = KICKS_WITHIN
    quiet = KICKS_WITHIN

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._refused: dict[str, tuple[Mark, str]] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES:
            return ()
        if row.event == "TokenRefused" and row.target == "token-stale":
            self._refused.setdefault(row.address, (Mark.of(row), f"{row.get('code')} {row.get('message', '')}".strip()))
        elif row.event in ("CredentialsChanged", "Started"):
            self._refused.pop(row.address, None)
        elif row.target in UP and row.address in self._refused:
            found = self.add(row)
            del self._refused[row.address]
            return found
        return ()

    def mark(self, row: Row) -> Mark:
        """Return the refusal."""
        return self._refused[row.address][0]

    def reason(self, row: Row) -> str:
        """Return what the platform said."""
        return self._refused[row.address][1]

    def amount(self, row: Row) -> int:
        """Return for how long it was refused."""
        return row.at - self._refused[row.address][0].at

    def charge(self, case: Case, row: Row) -> None:
        """Name the connection."""
        case.address = row.address

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"the account's credentials were refused and accepted again {times(case.count, 'time')} in {case.lasted(at)},"
            " without a new login",
            f"most likely another program uses the same account, and they take it from one another ({case.reason})",
            "find the other program and stop it: a second gateway, a phone or an agent that is logged in to the same bot",
            Cost(down=case.amount),
        )


class Rejected:
    """What answers is not the platform, or refuses in a way that time does not cure.

    Looks for: a connection that is halted until somebody sees to it. Starts there, ends when the platform accepts the account.

    From: Tencent/openclaw-weixin#206 (addresses of which some are bad), NousResearch/hermes-agent#106359 (a dead proxy); QQ's
    close codes 4914 and 4915 (a bot that is offline, or banned).
    """

    kind: ClassVar[str] = "rejected"
    events: ClassVar[frozenset[str]] = frozenset({*UPS, "Rejected", "StopRequested"})

    def __init__(self) -> None:
        self.waiting = Waiting()
        self._cases: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES or row.ignored:
            return
        case = self._cases.get(row.address)
        if row.target == "tripped":
            if case is None:
                case = self._cases[row.address] = Case.at(Mark.of(row))
            case.note(row, str(row.get("error", "")))
            case.extra = row.get("action", "")
            if not case.certain:
                case.certain = True
                yield self._told(case, row.at, None)
        elif case is not None and row.target in UP:
            del self._cases[row.address]
            yield self._told(case, row.at, Mark.of(row))

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(case.account, None, case.start.at, at, down=at - case.start.at)
        return case.told(
            self.kind,
            end,
            summary=f"the connection was halted for {case.lasted(at)} until somebody sees to it{delays(cost)}",
            cause=f"what answered said: {case.reason}",
            advice=f"{case.extra}; then `statecore status` shows when it is tried again",
            cost=cost,
        )


class ResumeLoop(Repeating):
    """Sessions that cannot be resumed, one after another.

    Looks for: 4 attempts or more to resume a session that came to nothing, within an hour. Starts at the first of them.

    From: NousResearch/hermes-agent#22179 (resumes a dead session for hours), tencent-connect/bot-node-sdk#94 (every 65 min),
    discordeno/discordeno#3907, tencent-connect/bot-docs#191.
    """

    kind: ClassVar[str] = "resume-loop"
    events: ClassVar[frozenset[str]] = frozenset({"Greeted", "Welcomed", "Lost", "Broken", "Rejected", "TokenRefused",
                                                  "Invalidated", "StopRequested", "Started"})  # fmt: skip
    least = RESUMES
    within = RESUMES_WITHIN
    quiet = RESUMES_WITHIN

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._resuming: dict[str, Mark] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine != "session" or row.ignored:
            return ()
        if row.target == "resuming":
            self._resuming[row.address] = Mark.of(row)
        elif row.event in ("Welcomed", "StopRequested", "Started"):
            self._resuming.pop(row.address, None)
        elif row.address in self._resuming and row.target != row.source:
            found = self.add(row)
            del self._resuming[row.address]
            return found
        return ()

    def mark(self, row: Row) -> Mark:
        """Return where the session was asked for."""
        return self._resuming[row.address]

    def reason(self, row: Row) -> str:
        """Return what came instead."""
        return str(row.get("error", "")) or "the platform calls the session invalid"

    def charge(self, case: Case, row: Row) -> None:
        """Name the session."""
        case.address = row.address

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"{times(case.count, 'attempt')} to resume a session came to nothing in {case.lasted(at)}",
            f"the platform does not let its sessions be resumed: {case.reason}",
            "what was sent meanwhile may be lost, so ask users to repeat it; if it stays, lower"
            f" {setting(case.account, 'sessions.resume_within')} so that old sessions are not tried",
            Cost(),
        )


class SessionBudget(Repeating):
    """The sessions that may be begun in a day are nearly used up.

    Looks for: a session begun after which at most 2 more may be, or one that has to wait for that. Starts at the first of the
    sessions that used them up; over when none was begun for an hour.

    From: mvanhorn/paperclip-plugin-discord#71 (276,379 dials in a day, and the token was reset), #75 (the budget used up,
    and never tried again), vellum-ai/vellum-assistant#39266.
    """

    kind: ClassVar[str] = "session-budget"
    events: ClassVar[frozenset[str]] = frozenset({"Greeted", "Found"})
    least = 2
    within = STARTS_GAP
    quiet = STARTS_GAP

    def __init__(
        self, *, left: int = STARTS_LEFT, least: int | None = None, within: int | None = None, quiet: int | None = None
    ) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self.left = left

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine != "session" or row.ignored:
            return ()
        waits = row.target == "reconnecting" and int(row.get("wait", 0)) > MINUTES
        return self.add(row) if row.target == "identifying" or waits else ()

    def charge(self, case: Case, row: Row) -> None:
        """Note how many may still be begun."""
        case.address = row.address
        case.extra = 0 if row.target == "reconnecting" else max(0, int(row.get("starts", 0)))

    def enough(self, case: Case) -> bool:
        """Tell whether few are left."""
        return int(case.extra) <= self.left

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"{times(case.count, 'session')} were begun in {case.lasted(at)}, and {case.extra} more may be; after that each"
            " has to wait until the budget is refilled",
            "sessions end in a way that does not let them be resumed, and the platform counts those that are begun",
            "find what ends them before raising anything; the budget is"
            f" {setting(case.account, 'sessions.burst')} at once and {setting(case.account, 'sessions.per_day')} in a day, a"
            " fraction of the platform's, which takes a bot off the air that exceeds it",
            Cost(),
        )
