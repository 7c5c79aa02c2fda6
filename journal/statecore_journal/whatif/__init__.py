"""What if the policy had been different? A recorded account, run again with other settings, in virtual time and without I/O.

    found = what_if("gateway.db", {"accounts.wx.circuit.cooldown": "10s"}, platforms)
    for account in found:
        print(account.recorded, account.changed, account.parting)

recording   what came from outside: messages, answers, outages, starts, operators
answers     recorded events, turned back into what the adapter returned
run         the driver's order of business, in virtual time
model       the platform, for what it was never asked
outcome     what a run came to, and where it parts from the record
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Literal

import attrs

from statecore.collection import no_collection
from statecore.errors import ConfigError, StatecoreError
from statecore.recorded import Restored, restore
from statecore_journal.reader import open_reader
from statecore_journal.whatif import recording as recordings
from statecore_journal.whatif.happened import Happened, as_happened, written
from statecore_journal.whatif.model import Platform, facts
from statecore_journal.whatif.outcome import Outcome, Parting, outcome, parting
from statecore_journal.whatif.pace import Following, Free, Latencies
from statecore_journal.whatif.recording import Recording
from statecore_journal.whatif.run import Run


@attrs.frozen(kw_only=True)
class Compared:
    """One account, as it was and as it would have been.

    Args:
        account: its name.
        changes: settings that were changed, by the key below the account.
        rows: how many transitions are recorded.
        began: when the run begins, in ns of the gateway's clock.
        strayed: when running it again with nothing changed leaves the record, in ns; None if it never does, as it should be.
        recorded: what it came to.
        changed: what it would have come to.
        parting: the first transition that would have been another; None if nothing would.
        modelled: when the first answer was given that is not on record, in ns; None if none was needed.
        steps: every transition of the run.
    """

    account: str
    changes: Mapping[str, str]
    rows: int
    began: int
    strayed: int | None
    recorded: Outcome
    changed: Outcome
    parting: Parting | None
    modelled: int | None
    steps: tuple[Happened, ...] = attrs.field(repr=False, default=())


@attrs.frozen
class Subject:
    """A recorded account, ready to be asked.

    Args:
        recording: what came from outside.
        latencies: how long things took.
        strayed: see `Compared`.
        platforms: classes of accounts by the platform's name.
        happened: every transition on record.
    """

    recording: Recording
    latencies: Latencies
    strayed: int | None
    platforms: Mapping[str, type[Any]]
    happened: tuple[Happened, ...] = attrs.field(repr=False)

    def ask(self, changes: Mapping[str, str], assume: Literal["seen", "worst"] = "seen") -> Compared:
        """Run it again with some settings changed.

        Args:
            changes: values by the key below the account: {"circuit.cooldown": "10s"}.
            assume: how long a refusal goes on after it was last seen; see `statecore_journal.whatif.model`.

        Raises:
            ConfigError: a key is unknown, or a value is absurd.
        """
        restored = _restorer(self.recording.account, changes, self.platforms)
        before = _renewed_before(self.recording.account, self.platforms)
        was, began = self.happened, self.happened[0].at
        with no_collection():
            model = Platform(facts(self.recording, worst=assume == "worst"))
            pace = Free(self.recording, self.latencies)
            run = Run(self.recording, restored, pace, model, before).run()
            return Compared(
                account=self.recording.account,
                changes=dict(changes),
                rows=len(was),
                began=began,
                strayed=self.strayed,
                recorded=outcome(was, began, self.recording.ends),
                changed=outcome(pace.happened, began, run.ended),
                parting=parting(was, pace.happened),
                modelled=next((one.at for one in pace.happened if one.modelled), None),
                steps=tuple(pace.happened),
            )


def _restorer(account: str, changes: Mapping[str, str], platforms: Mapping[str, type[Any]]) -> Any:
    @lru_cache(maxsize=64)
    def restored(text: str) -> Restored:
        return restore(text, changes, platforms, f"accounts.{account}")

    return restored


def _renewed_before(account: str, platforms: Mapping[str, type[Any]]) -> Any:
    restored = _restorer(account, {}, platforms)
    return lambda text: restored(text).policies.sessions.renew_before


def subject(source: Connection, account: str, platforms: Mapping[str, type[Any]]) -> Subject:
    """Read an account from a journal, and run it once with nothing changed.

    Raises:
        CodecError: a row does not fit this code.
        ConfigError: its platform is not installed, or the journal does not say which it was.
        StatecoreError: it was never started as far as the journal goes back.
    """
    with no_collection():
        return _subject(source, account, platforms)


def _subject(source: Connection, account: str, platforms: Mapping[str, type[Any]]) -> Subject:
    found = recordings.read(source, account)
    if not found.rows:
        raise StatecoreError(
            f"account {account} was not started since the journal was pruned, so there is nothing to run"
        )
    restored = _restorer(account, {}, platforms)
    pace = Following(found)
    Run(found, restored, pace, renewed_before=_renewed_before(account, platforms)).run()
    pace.conclude()
    strayed = min((at for at in (found.parted, pace.strayed_at) if at is not None), default=None)
    return Subject(found, pace.latencies, strayed, platforms, tuple(map(as_happened, found.rows)))


def split_changes(changes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Sort changes by account: {"accounts.wx.circuit.cooldown": "10s"} -> {"wx": {"circuit.cooldown": "10s"}}.

    Raises:
        ConfigError: a key names no account and setting.
    """
    found: dict[str, dict[str, str]] = {}
    for key, value in changes.items():
        match key.removeprefix("accounts.").removeprefix("account.").split(".", 1):
            case [account, setting] if account and setting and key.startswith(("account.", "accounts.")):
                found.setdefault(account, {})[setting] = value
            case _:
                raise ConfigError(key, "write accounts.NAME.SETTING, such as accounts.wx.circuit.cooldown")
    return found


@contextmanager
def subjects(
    path: str | Path, accounts: list[str] | None, platforms: Mapping[str, type[Any]]
) -> Iterator[list[Subject]]:
    """Read accounts of a journal; all of them, if none is named.

    Raises:
        StatecoreError: there is no such account.
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError, CodecError, ConfigError: see there.
    """
    with open_reader(path) as reader, reader.reading() as connection:
        known = recordings.accounts(connection)
        if unknown := sorted(set(accounts or ()) - set(known)):
            raise StatecoreError(
                f"{path} has no account {unknown[0]!r} that was ever started; it has {', '.join(known) or 'none'}"
            )
        if not known:
            raise StatecoreError(f"{path} has no account that was ever started, so there is nothing to run")
        yield [subject(connection, name, platforms) for name in accounts or known]


def what_if(
    path: str | Path,
    changes: Mapping[str, str],
    platforms: Mapping[str, type[Any]],
    assume: Literal["seen", "worst"] = "seen",
) -> list[Compared]:
    """Run the accounts that are concerned again, with settings changed.

    Args:
        path: the journal; it may be in use, and is not changed.
        changes: values by key: {"accounts.wx.circuit.cooldown": "10s"}. None of them runs every account as it was.
        platforms: classes of accounts by the platform's name; see `statecore.config.platforms`.
        assume: how long a refusal goes on after it was last seen.

    Raises:
        ConfigError: a key is unknown, or a value is absurd.
        StatecoreError: see `subjects`.
    """
    wanted = split_changes(changes)
    with no_collection(), subjects(path, sorted(wanted) or None, platforms) as found:
        return [one.ask(wanted.get(one.recording.account, {}), assume) for one in found]


def grid(sweeps: Mapping[str, tuple[str, ...]]) -> list[dict[str, str]]:
    """Return every combination of values: {"a": ("1", "2"), "b": ("x",)} -> [{"a": "1", "b": "x"}, {"a": "2", "b": "x"}]."""
    return [dict(zip(sweeps, values, strict=True)) for values in product(*sweeps.values())]


__all__ = [
    "Compared",
    "Outcome",
    "Parting",
    "Subject",
    "grid",
    "split_changes",
    "subject",
    "subjects",
    "what_if",
    "written",
]
