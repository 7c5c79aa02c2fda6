"""What goes wrong between an account and its platform: connections that do not stand, or only seem to."""

from collections.abc import Iterable
from typing import ClassVar, Final

from statecore.units import MINUTES, SECONDS
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
from statecore_journal.incidents.model import Cost, Incident, Row

OUTAGE_MIN: Final = 60 * SECONDS
OUTAGE_FAILURES: Final = 3
"""A restart of the platform, or of a router, is over sooner, and its users hardly notice; both must be exceeded."""

LOSSES: Final = 5
LOSSES_WITHIN: Final = 20 * MINUTES
"""A platform that closes every connection after half an hour, as QQ does, is far from it, and so is a bad minute."""

EMPTY_POLLS: Final = 60
"""Polls in a row that came back at once: a minute of them. A platform may answer a few so while it restarts."""

QUICK: Final = 1 * SECONDS
"""A poll that comes back empty sooner than this was not held."""

UPS: Final = frozenset({"Ready", "Welcomed", "Arrived", "Waited", "Idle"})
"""Events by which the platform says that it accepts the account."""


class Outage(Lasting):
    """The platform cannot be reached, or answers nothing that helps.

    Looks for: no connection for a minute or more, and 3 or more attempts that failed. Starts at the row that lost it, ends
    when the platform accepts the account again, or the process stops.

    From: NousResearch/hermes-agent#12607 and #66377 (a ladder of retries that ends in silence), openclaw/openclaw#7255,
    NousResearch/hermes-agent#75571 (hangs while it connects, and nothing says in which step).
    """

    kind: ClassVar[str] = "outage"
    events: ClassVar[frozenset[str]] = frozenset({*UPS, "Lost", "Broken", "TokenRefused", "Rejected", "StopRequested",
                                                  "Elapsed(beat_at)"})  # fmt: skip

    def __init__(self, *, least: int = OUTAGE_MIN, failures: int = OUTAGE_FAILURES) -> None:
        super().__init__()
        self.least = least
        self.failures = failures
        self._others: set[str] = set()  # whose first failures have told that they are not of this kind

    def mine(self, case: Case) -> bool:
        """Tell by its first failures whether it is of this kind: not those of the resolver."""
        return bool(case.extra < self.failures - 1)

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES or row.ignored:
            return
        case = self._cases.get(row.address)
        if row.target == "reconnecting" and row.event != "Elapsed(retry_at)":
            if row.address in self._others:
                return
            if case is None:
                case = self._cases[row.address] = Case.at(Mark.of(row))
                case.extra = 0
            if case.count < self.failures:  # the first ones decide what kind it is, and so it stays
                case.extra += row.get("stage") == "resolve"
            case.note(row, f"{row.get('stage') or row.get('how') or 'heartbeat'}: {row.get('error', 'nobody answers')}")
            if case.count == self.failures and not self.mine(case):
                del self._cases[row.address]
                self._others.add(row.address)
                return
            yield from self._noticed(case, row.at)
        elif row.target in UP or row.target in ("token-stale", "tripped", "draining"):
            self._others.discard(row.address)
            if case is not None:
                yield from self._ended(row)

    def _enough(self, case: Case, at: int) -> bool:
        return case.count >= self.failures and at - case.start.at >= self.least and self.mine(case)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(case.account, None, case.start.at, at, down=at - case.start.at)
        return case.told(
            self.kind,
            end,
            summary=f"no connection for {case.lasted(at)}; {times(case.count, 'attempt')} failed{delays(cost)}",
            cause=f"{self.because}; most often: {case.reason}",
            advice=self.advise(case.account),
            cost=cost,
        )

    because: ClassVar[str] = "the platform, or the way to it, was down"

    def advise(self, account: str) -> str:
        """Say what to change."""
        return (
            "look whether the platform, a proxy or the network was down; it is tried again by itself, at least every"
            f" {setting(account, 'backoff.cap')}, which may be lowered to be back sooner"
        )


class DnsFailure(Outage):
    """The platform's name cannot be looked up.

    Looks for: the same as an outage, where at least 2 of the first 3 failures were the resolver's.

    From: NousResearch/hermes-agent#59290 and #12607 (no resolver at boot, or for hours), #23953 (a crash meanwhile).
    """

    kind: ClassVar[str] = "dns-failure"
    because: ClassVar[str] = "the name of the platform could not be looked up"

    def mine(self, case: Case) -> bool:
        """Tell by its first failures whether it is of this kind."""
        return not super().mine(case)

    def advise(self, account: str) -> str:  # noqa: ARG002
        """Say what to change."""
        return "look at this machine's resolver (/etc/resolv.conf, and whether its network is up); no setting of ours helps"


class Flapping(Repeating):
    """The connection comes up, and is lost again soon, again and again.

    Looks for: an account that was connected and lost it, 5 times or more within 20 minutes. Starts at the first of those
    losses, ends when it came up and stayed up for 10 minutes.

    From: NousResearch/hermes-agent#31771 (a closed socket makes the reader return, and the loop around it calls it again: one
    core, for hours), #22179 and #19821 (every 60 to 90 s, for days), tencent-connect/openclaw-qqbot#18.
    """

    kind: ClassVar[str] = "flapping"
    events: ClassVar[frozenset[str]] = frozenset({*UPS, "Lost", "Broken", "Elapsed(beat_at)", "Invalidated", "Started"})
    least = LOSSES
    within = LOSSES_WITHIN

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._up: set[str] = set()

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES:
            return ()
        if row.target in UP:
            if row.address not in self._up:
                self._up.add(row.address)
                self._back(row)
            return ()
        if row.event == "Started":
            self._up.discard(row.address)  # that the process ended is no fault of the connection's
        elif row.target in ("reconnecting", "lingering") and row.address in self._up:
            self._up.discard(row.address)
            return self.add(row)
        return ()

    def _back(self, row: Row) -> None:
        """Add for how long it was gone to what it cost."""
        case, recent = self._cases.get(row.account), self._recent.get(row.account)
        if case is not None:
            case.amount += row.at - case.newest.at
            case.newest = Mark.of(row)
            case.show(row.seq)
        elif recent:
            lost, reason, _ = recent[-1]
            recent[-1] = lost, reason, row.at - lost.at

    def charge(self, case: Case, row: Row) -> None:
        """Name the connection."""
        case.address = row.address

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        down = case.amount + (0 if case.address in self._up else at - case.newest.at)
        return Told(
            f"the connection was lost {times(case.count, 'time')} in {case.lasted(at)}, each time soon after it had come up",
            f"the platform accepts the account and then ends the connection: {case.reason}",
            "look at what ends it: a proxy, a second program with the same account, a limit of the platform; each failure in a"
            f" row waits longer, up to {setting(case.account, 'backoff.cap')}, and {setting(case.account, 'backoff.steady')}"
            " says how long it must stand to count as good",
            Cost(down=max(0, down)),
        )

    def reason(self, row: Row) -> str:
        """Return what ended the connection."""
        return str(row.get("error", "")) or {"Invalidated": "the platform calls the session invalid"}.get(
            row.event, "nobody acknowledges the heartbeats"
        )


class Zombie:
    """A connection that seemed to stand, and nobody was there.

    Looks for: a heartbeat that was not acknowledged by the time the next was due, or two polls in a row that were never
    answered. Starts at that heartbeat, or at the first of those polls; ends when the platform accepts the account again.

    From: NousResearch/hermes-agent#19821 (half open for 18 hours, and green), #23491, tencent-connect/openclaw-qqbot#301 (the
    acknowledgement of a heartbeat is never checked), openclaw/openclaw#71412.
    """

    kind: ClassVar[str] = "zombie"
    events: ClassVar[frozenset[str]] = frozenset({*UPS, "Lost", "Elapsed(beat_at)", "BeatAsked", "StopRequested"})

    def __init__(self) -> None:
        self.waiting = Waiting()
        self._signs: dict[str, Mark] = {}
        self._cases: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine not in TIES or row.ignored:
            return
        address = row.address
        if row.target == "beating" or (row.event == "Idle" and row.get("silent", False)):
            if row.event != "Idle" or address not in self._signs:
                self._signs[address] = Mark.of(row)
        elif row.event in ("Waited", "Idle", "Arrived") and row.machine == "connection":
            self._signs.pop(address, None)
        if address in self._cases:
            if row.target in UP or row.target == "draining":
                yield self._told(self._cases.pop(address), row.at, Mark.of(row))
        elif self._died(row):
            case = self._cases[address] = Case.at(self._signs.pop(address, Mark.of(row)))
            case.certain = True
            case.note(row)
            yield self._told(case, row.at, None)

    def _died(self, row: Row) -> bool:
        if row.event == "Elapsed(beat_at)":
            return row.target == "reconnecting"
        return row.event == "Lost" and row.get("stage") == "silence" and row.source in UP

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        cost = self.waiting.cost(case.account, None, case.start.at, at, down=at - case.start.at)
        polled = case.address.startswith("connection/")
        what = "polls" if polled else "heartbeats"
        back = (
            f"it was back after {case.lasted(at)}" if end is not None else f"it has not been back for {case.lasted(at)}"
        )
        return case.told(
            self.kind,
            end,
            summary=f"the connection was open and nobody answered its {what}; {back}{delays(cost)}",
            cause="the other end, or a device on the way, forgot the connection without closing it",
            advice=(
                "look for a NAT, firewall or proxy that drops idle connections without a word; no setting of ours changes how"
                " soon it is noticed: "
                + (
                    "after two polls that are not answered"
                    if polled
                    else "within two of the platform's heartbeat intervals"
                )
            ),
            cost=cost,
        )


class InstantEmpty:
    """Polls that should be held come back empty at once.

    Looks for: 60 polls in a row that brought nothing within a second. Starts at the first of them, ends with one that is held
    or brings something.

    From: HKUDS/nanobot#5171 (polls that return at once, repeated at once), Stack-Cairn/LiveAgent#344.
    """

    kind: ClassVar[str] = "instant-empty"
    events: ClassVar[frozenset[str]] = frozenset({"Waited", "Idle", "Arrived", "Lost", "Broken", "TokenRefused", "Rejected",
                                                  "StopRequested"})  # fmt: skip

    def __init__(self, *, least: int = EMPTY_POLLS) -> None:
        self.least = least
        self._cases: dict[str, Case] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.ignored or row.machine not in TIES:
            return
        case = self._cases.get(row.address)
        if row.event == "Idle" and int(row.get("held", 0)) < QUICK and not row.get("silent", False):
            if case is None:
                case = self._cases[row.address] = Case.at(Mark.of(row))
            case.note(row)
            if case.count == self.least:
                case.certain = True
                yield self._told(case, row.at, None)
        elif case is not None:
            del self._cases[row.address]
            if case.certain:
                yield self._told(case, row.at, Mark.of(row))

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on."""
        for case in self._cases.values():
            if case.certain:
                yield self._told(case, at, None)

    def _told(self, case: Case, at: int, end: Mark | None) -> Incident:
        return case.told(
            self.kind,
            end,
            summary=f"{times(case.count, 'poll')} in a row came back empty at once, over {case.lasted(at)}",
            cause="the platform, or a proxy in front of it, does not hold the polls; each costs a request for nothing",
            advice=(
                "look for a proxy or captive portal that answers in the platform's place; to ask less often, raise"
                f" {setting(case.account, 'polling.period')}"
            ),
            cost=Cost(),
        )
