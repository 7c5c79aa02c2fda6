"""Bugs in how an account is tied to its platform: dialling, heartbeats, sessions, credentials."""

from typing import Any, Final
from unittest.mock import patch

import attrs

from statecore import ties
from statecore.events import Elapsed
from statecore.machine import Row, on
from statecore.machines import connection, session
from statecore.policies import backoff, starts
from statecore.units import HOURS
from tests.bugs.altering import Table, together
from tests.bugs.bug import Bug


def _closed_is_read_again(row: Row) -> Row | list[Row]:
    if row.do is session.lost:
        others = tuple(source for source in row.sources if source != "connected")
        return [on("connected", connection.Lost, "connected"), attrs.evolve(row, sources=others)]
    return row


def _idle_is_polled_again(row: Row) -> Row:
    return attrs.evolve(row, target="connected") if row.do is connection.rest else row


def _loses_at_once(row: Row) -> Row:
    if row.do is connection.back_off:
        return attrs.evolve(row, target="dialling")
    return row


def _never_dead(row: Row) -> Row | tuple[Row, ...]:
    if row.do is session.dead:
        return () if row.when is not None else on("beating", Elapsed("beat_at"), "beating", session.beats)
    return row


def _resumes_for_ever(row: Row) -> Row:
    return attrs.evolve(row, when=_was_resumable) if row.when is session.can_resume else row


def _was_resumable(was: session.Session, _event: session.Greeted) -> bool:
    return was.starts is not None


def flapping() -> Any:
    def failures_now(_policy: Any, failures: int, ready_since: int | None, _now: int) -> int:
        return 1 if ready_since is not None else failures + 1

    return patch.object(backoff, "failures_now", failures_now)


def no_budget() -> Any:
    return patch.object(starts, "wait", lambda *_: 0)


def _waits_blindly(row: Row) -> Row | list[Row]:
    if "token-stale" in row.sources and row.target in ("dialling", "authorising"):
        signals = (connection.CredentialsChanged, connection.Resumed)
        kept = tuple(event for event in row.events if event not in signals)
        others = tuple(source for source in row.sources if source != "token-stale")
        found = [attrs.evolve(row, sources=others)] if others else []
        return [*found, *([attrs.evolve(row, sources=("token-stale",), events=kept)] if kept else [])]
    if row.ignores and set(row.events) <= {connection.CredentialsChanged, connection.Resumed}:
        return attrs.evolve(row, sources=(*row.sources, "token-stale"))
    return row


def blind_pause() -> Any:
    return together(
        patch.object(ties, "_stale_wait", lambda _: 1 * HOURS),
        Table("connection", _waits_blindly).put_in(),
        Table("session", _waits_blindly).put_in(),
    )


def _clean_close_is_the_end(row: Row) -> Row:
    if row.do is session.lost:
        return attrs.evolve(row, target="closed")
    return row


BUSY: Final = Table("session", _closed_is_read_again)
EMPTY: Final = Table("connection", _idle_is_polled_again)
AT_ONCE: Final = Table("connection", _loses_at_once)
ZOMBIE: Final = Table("session", _never_dead)
RESUMES: Final = Table("session", _resumes_for_ever)
CLEAN: Final = Table("session", _clean_close_is_the_end)

BUGS: Final = (
    Bug(
        name="busy loop",
        incident="seed 5: hermes-agent#31771",
        says="a closed socket is read again at once, and again",
        put_in=BUSY.put_in,
        guarantee="G2",
        table=BUSY,
    ),
    Bug(
        name="empty polls",
        incident="A4: nanobot#5171",
        says="a poll that brings nothing is followed by the next one at once",
        put_in=EMPTY.put_in,
        guarantee="G2",
        table=EMPTY,
    ),
    Bug(
        name="dialled at once",
        incident="A12: matterbridge#748",
        says="a lost connection is dialled again without a wait",
        put_in=AT_ONCE.put_in,
        guarantee="G7",
        table=AT_ONCE,
    ),
    Bug(
        name="half-open zombie",
        incident="A1: hermes-agent#19821",
        says="heartbeats are sent, and nobody looks whether they are acknowledged",
        put_in=ZOMBIE.put_in,
        guarantee="G3",
        table=ZOMBIE,
    ),
    Bug(
        name="resumed for ever",
        incident="A7: hermes-agent#22179",
        says="a session that the platform has dropped is resumed, and again, and never begun anew",
        put_in=RESUMES.put_in,
        guarantee="G8",
        table=RESUMES,
    ),
    Bug(
        name="backoff reset by flapping",
        incident="A13: openclaw-qqbot#18",
        says="a connection that stands for a moment makes the next wait the shortest",
        put_in=flapping,
        guarantee="G7",
    ),
    Bug(
        name="identify budget ignored",
        incident="A14: paperclip-plugin-discord#71",
        says="sessions are begun as often as they are lost",
        put_in=no_budget,
        guarantee="G7",
    ),
    Bug(
        name="blind pause",
        incident="B1: hermes-agent#12223",
        says="refused credentials are followed by a pause of an hour, which new ones do not end",
        put_in=blind_pause,
        guarantee="G8",
    ),
    Bug(
        name="clean close taken for intent",
        incident="A25: openclaw#7255",
        says="a socket that the platform closes ends the account for good",
        put_in=CLEAN.put_in,
        guarantee="G8",
        table=CLEAN,
    ),
)
