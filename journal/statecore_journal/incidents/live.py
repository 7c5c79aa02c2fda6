"""The same monitors in a gateway, over what it commits.

What is committed is only put on a list; the gateway has it looked through a few times a second. So a commit waits for no
monitor, and a unit costs some microseconds at a time when nobody waits for it.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final

from statecore.errors import JournalError
from statecore.events import Elapsed, Event, name_of
from statecore.system import Entry, Unit
from statecore.units import SECONDS
from statecore_journal.incidents.finding import Lags, Make, Watch, made, rows
from statecore_journal.incidents.kinds import installed
from statecore_journal.incidents.model import Incident, Row
from statecore_journal.reader import Reader

log = logging.getLogger("statecore")

UNSEEN_MAX: Final = 64
"""Units that may be on the list before it is looked through at once: what they hold is kept that long."""

ASK_EVERY: Final = 5 * SECONDS
"""How often the monitors are asked for what only time makes certain: that a handler has not come back, say."""

OVER_MAX: Final = 1024
"""Incidents that are over and remembered as told; a monitor may speak of one again when the next one begins."""

TOLD_MAX: Final = 10
"""Incidents of one kind that are told one by one at a time."""

PAST: Final = 2000
"""Rows from before this process that are read first, so that what goes on is known over a restart."""

Identity = tuple[str, str, int]
"""See `Incident.identity`."""


class LiveMonitors:
    """Runs monitors in a gateway, and says in the log what they find: once when it is certain, and once when it is over.

    Args:
        wall: the wall clock, in ns since 1970.
        monitors: what makes them; None for all that are installed.
    """

    def __init__(self, wall: Callable[[], int], monitors: Iterable[Make] | None = None) -> None:
        makes = installed(log.warning).values() if monitors is None else monitors
        self._watch = Watch(made(makes, log.warning))
        self._wall = wall
        self._unseen: list[tuple[Unit, int, int]] = []
        self._epochs: dict[str, int] = {}
        self._open: dict[Identity, Incident | None] = {}  # None if its monitor says by itself that it is over
        self._over: OrderedDict[Identity, None] = OrderedDict()  # those that were told to their end
        self._names: dict[type[Event], str | None] = {}
        self._lags = Lags()
        self._news: list[Incident] = []
        self._asked_at = self._looked_at = 0
        self._journal: Reader | None = None
        self._complete = 0  # up to this row nothing was missed
        self._own = 0  # rows of this process behind that one

    def read(self, journal: Reader, now: int) -> None:
        """Read the last rows of before, so that what began in them is known. What ended in them is not told again.

        Args:
            journal: it.
            now: the gateway's clock, in ns.
        """
        self._journal = journal
        try:
            self._complete = last = journal.last()
            for row in rows(journal, after=max(0, last - PAST), wanted=self._watch.wanted):
                for incident in self._watch.see(row):
                    if incident.last is not None:
                        self._over[incident.identity] = None
        except JournalError as error:
            log.warning("what went on before this process began is not known: %s", error)
        for incident in self._watch.going_on(now):
            self._found(incident)
        self._ask(now)
        self._flush()

    def take(self, unit: Unit, first: int) -> None:
        """Take note of a committed unit.

        Args:
            unit: it.
            first: seq of its first row.
        """
        if unit.entries:
            self._unseen.append((unit, first, self._wall()))
            if len(self._unseen) >= UNSEEN_MAX:
                self._look()

    def look(self, now: int) -> None:
        """Look through what was committed, and say what was found.

        Args:
            now: the gateway's clock, in ns.
        """
        self._look()
        self._looked_at = now
        if now - self._asked_at >= ASK_EVERY:
            self._asked_at = now
            self._ask(now)
        self._flush()

    def going_on(self) -> list[Incident]:
        """Return the incidents that go on now, oldest first."""
        found = self._watch.going_on(self._looked_at)
        return sorted([one for one in found if one.identity in self._open], key=lambda incident: incident.first)

    # ---- rows --------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        unseen, self._unseen = sorted(self._unseen, key=itemgetter(1)), []
        names = self._names
        for unit, first, wall in unseen:
            shifted = self._lags.shifted(unit.account, wall - unit.now)
            for index, entry in enumerate(unit.entries):
                kind = type(entry.event)
                try:
                    name = names[kind]
                except KeyError:
                    name = self._name(entry.event)
                if name is not None or shifted is not None:
                    self._see(self._row(unit, entry, first, first + index, wall), shifted)
            self._own += len(unit.entries)

    def _name(self, event: Event) -> str | None:
        """Return an event's name if a monitor wants to see it."""
        name = name_of(event)
        if isinstance(event, Elapsed):  # its name is that of its timer
            return name if self._watch.wanted(name) else None
        found = self._names[type(event)] = name if self._watch.wanted(name) else None
        return found

    def _row(self, unit: Unit, entry: Entry, first: int, seq: int, wall: int) -> Row:
        address, _, source, event, (snapshot, _, (kind, reason, _)), cause, chat, _, _, _ = entry
        return Row(
            seq, unit.now, wall, address, snapshot.version, name_of(event), source, snapshot.state,
            None if kind == "moved" else kind if kind == "stayed" else f"{kind}: {reason}", event,
            cause if cause > 0 else first - cause - 1 if cause else None,
            self._epochs.get(unit.account, 0), chat,
        )  # fmt: skip

    def _see(self, row: Row, shifted: int | None) -> None:
        row.lag_before = shifted
        if row.event == "Started":
            self._catch_up(row.seq)
            row.epoch = self._epochs[row.account] = int(row.get("epoch", 0))
        for incident in self._watch.see(row):
            self._found(incident)

    def _catch_up(self, seq: int) -> None:
        """Look at what other processes wrote before this row, by which an account was taken that they may have driven."""
        missed = seq - 1 - self._complete - self._own
        after, self._complete, self._own = max(self._complete, seq - 1 - PAST), seq - 1, 0
        if missed <= 0 or self._journal is None:
            return
        try:
            for row in rows(self._journal, after=after, until=seq - 1, wanted=self._watch.wanted):
                if row.epoch != self._epochs.get(row.account):
                    for incident in self._watch.see(row):
                        self._found(incident)
        except JournalError as error:
            log.warning("what another process did meanwhile is not known: %s", error)

    # ---- what is found -----------------------------------------------------------------------------------------------

    def _ask(self, now: int) -> None:
        """Ask the monitors for what goes on; what none of them speaks of any more is over."""
        found, terse = self._watch.news(now)
        for incident in found:
            self._found(incident)
        asked = {incident.identity for incident in found}
        for identity, known in list(self._open.items()):
            if identity[0] in terse:
                self._open[identity] = None
            elif identity not in asked:
                self._end(identity, known)

    def _found(self, incident: Incident) -> None:
        identity = incident.identity
        if incident.last is None:
            news = identity not in self._open and identity not in self._over
            self._open[identity] = incident
            if news:
                self._news.append(incident)
        elif identity not in self._over:
            if identity not in self._open:  # it was certain only when it was over
                self._news.append(incident)
            self._end(identity, incident)

    def _end(self, identity: Identity, incident: Incident | None) -> None:
        known = identity in self._open
        self._open.pop(identity, None)
        self._over[identity] = None
        if len(self._over) > OVER_MAX:
            self._over.popitem(last=False)
        if known and incident is not None:
            log.info(
                "account %s: %s of #%d is over: %s", incident.account, incident.kind, incident.first, incident.summary
            )

    def _flush(self) -> None:
        """Say what is news. Where the platform of a thousand accounts is down, a thousand lines tell nobody anything."""
        news, self._news = self._news, []
        for kind in dict.fromkeys(incident.kind for incident in news):
            same = [incident for incident in news if incident.kind == kind]
            for incident in same[:TOLD_MAX]:
                log.warning(
                    "account %s: %s since #%d: %s; %s",
                    incident.account, kind, incident.first, incident.summary, incident.advice,
                )  # fmt: skip
            if len(same) > TOLD_MAX:
                log.warning("%s of %d accounts more; `statecore incidents` names them", kind, len(same) - TOLD_MAX)
