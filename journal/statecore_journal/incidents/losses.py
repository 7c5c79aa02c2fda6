"""Messages that did not arrive: given up, or expired."""

from collections.abc import Iterable
from typing import ClassVar

from statecore_journal.incidents.cases import LIVE, Case, Mark, Repeating, Told, setting, times
from statecore_journal.incidents.deliveries import ENDED, why
from statecore_journal.incidents.model import Cost, Incident, Row


class DeadLetters(Repeating):
    """Messages were given up.

    Looks for: messages that died because the platform refused them for good, or because their attempts were used up. Starts at
    the first failure of those that failed with it; those within 10 minutes of one another are one incident.

    From: NousResearch/hermes-agent#31131 (four tries, twelve seconds, and the answer is dropped), #2910 (the user waited for an
    hour), MervinPraison/PraisonAI#3519 (attempts that a short outage uses up).
    """

    kind: ClassVar[str] = "dead-letters"
    events: ClassVar[frozenset[str]] = frozenset({"NotSent", "PartRefused", "PartAccepted", "Reviewed", "Purged",
                                                  "Elapsed(review_until)", "Elapsed(expires_at)"})  # fmt: skip

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._failing: dict[str, Mark] = {}

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine != "delivery" or row.ignored:
            return ()
        if row.event in ("NotSent", "PartRefused"):
            self._failing.setdefault(row.address, Mark.of(row))
        found: Iterable[Incident] = ()
        if row.target == "dead" and row.source != "dead":
            found = self.add(row)
        if row.event == "PartAccepted" or row.target in ENDED:
            self._failing.pop(row.address, None)
        return found

    def mark(self, row: Row) -> Mark:
        """Return its first failure; where its attempts were used up, the first of all that fail with it."""
        own = self._failing.get(row.address) or Mark.of(row)
        if own.seq == row.seq:  # it was refused for good at once, and has nothing to do with others
            return own
        return min(mark for mark in self._failing.values() if mark.account == row.account)

    def reason(self, row: Row) -> str:
        """Return why it was given up."""
        if row.event == "PartRefused":
            return f"{row.get('code')} {row.get('message', '')}".strip() + f": {row.get('reading')}"
        return why(row) or "a review did not let it through"

    def charge(self, case: Case, row: Row) -> None:
        """Remember what to do about it."""
        case.dead += 1
        used_up = (
            row.event == "NotSent"
            or row.get("then") == "retry"
            or (row.event == "PartRefused" and not row.get("action"))
        )
        retry = (
            f"raise {setting(row.account, 'retry.age')} and retry.attempts above what the platform's outages last, then"
            " `statecore dead retry`"
        )
        case.extra = (
            retry if used_up else f"{row.get('action') or 'send them in other words'}; then `statecore dead list`"
        )

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"{times(case.dead, 'message')} died in {case.lasted(at)}",
            f"most often because of {case.reason}",
            str(case.extra),
            Cost(dead=case.dead),
        )


class ExpiredMessages(Repeating):
    """Messages were not sent by the time their sender had set.

    Looks for: messages that expired. Starts where the first of them began to wait; those within 10 minutes of one another are
    one incident.

    From: NousResearch/hermes-agent#2910 (an hour of silence), openclaw/openclaw#91212.
    """

    kind: ClassVar[str] = "expired-messages"
    events: ClassVar[frozenset[str]] = frozenset({"Accepted", "Held", "NotSent", "PartRefused", "PartUnknown", "PartAccepted",
                                                  "PartPending", "Elapsed(expires_at)", "Purged"})  # fmt: skip

    def __init__(self, *, least: int | None = None, within: int | None = None, quiet: int | None = None) -> None:
        super().__init__(least=least, within=within, quiet=quiet)
        self._bounded: dict[str, Mark] = {}  # of messages that can expire: where they began to wait as they do

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.machine != "delivery" or row.ignored:
            return ()
        found: Iterable[Incident] = ()
        if row.event == "Accepted":
            if row.get("expires_at") is not None:
                self._bounded[row.address] = Mark.of(row)
        elif row.target == "expired":
            found = self.add(row)
        if row.address in self._bounded:
            if row.target in ENDED:
                del self._bounded[row.address]
            elif row.event != "Accepted" and row.target in LIVE and row.target != row.source:
                self._bounded[row.address] = Mark.of(row)
        return found

    def mark(self, row: Row) -> Mark:
        """Return where it began to wait."""
        return self._bounded.get(row.address) or Mark.of(row)

    def reason(self, row: Row) -> str:
        """Return where it waited."""
        return row.source

    def charge(self, case: Case, row: Row) -> None:  # noqa: ARG002
        """Count it."""
        case.dead += 1

    def tell(self, case: Case, at: int) -> Told:
        """Tell it."""
        return Told(
            f"{times(case.dead, 'message')} expired unsent in {case.lasted(at)}",
            f"they waited in {case.reason}, longer than their sender had set",
            "see what kept them there (`statecore why`), or pass a longer `expires` to send",
            Cost(dead=case.dead),
        )
