"""For each recorded journal: `find` names what its script did, where it started, and nothing else."""

import re
from pathlib import Path
from typing import Final

import attrs
import pytest

from statecore.gateway import Options
from statecore_adapters.qqbot import QQBot
from statecore_adapters.weixin import Weixin
from statecore_journal import LogRow, diverges, open_reader
from statecore_journal.incidents import KINDS, ROWS_MAX, Incident, find
from tests.incidents.record import JOURNALS
from tests.incidents.scenes import SCENES

SEEDS: Final = ("retry-storm", "silent-drop", "stale-token", "restart-race", "busy-loop")
HEALTHY: Final = tuple(name for name in SCENES if name.startswith("healthy-"))
TROUBLED: Final = tuple(name for name in SCENES if name not in HEALTHY)


def journal(name: str) -> Path:
    """Return the journal of a scene."""
    return JOURNALS / f"{name}.db"


def rows_of(name: str) -> list[LogRow]:
    """Return the rows of a journal."""
    with open_reader(journal(name)) as reader:
        return list(reader.log())


@pytest.mark.parametrize("name", TROUBLED)
def test_what_went_wrong_is_named_with_where_it_started(name: str) -> None:
    """
    No more and no less than the script did, and each starts at the row that the script says.
    """
    rows = rows_of(name)
    expected = [(expect.kind, expect.start(rows), expect.over) for expect in SCENES[name].expects]

    found = [(incident.kind, incident.first, incident.last is not None) for incident in find(journal(name))]

    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_journal_yields_nothing(name: str) -> None:
    """
    A detector that cries wolf is switched off, and then it finds nothing at all.
    """
    assert find(journal(name)) == []


def test_there_are_the_five_seeds_ten_more_and_ten_healthy_ones() -> None:
    """
    What the issue asks for, at the least.
    """
    assert set(SEEDS) <= set(TROUBLED)
    assert len(TROUBLED) >= 15
    assert len(HEALTHY) >= 10


def test_every_kind_that_ships_has_a_journal_that_shows_it() -> None:
    """
    A detector that was never seen to find anything is a guess.
    """
    shown = {expect.kind for scene in SCENES.values() for expect in scene.expects}

    assert set(KINDS) == shown


@pytest.mark.parametrize("name", TROUBLED)
def test_an_incident_is_told_in_sentences_and_names_rows_that_are_there(name: str) -> None:
    """
    Whoever reads it was not there, and goes on with the rows that it names.
    """
    rows = {row.seq: row for row in rows_of(name)}

    for incident in find(journal(name)):
        assert all((incident.summary, incident.cause, incident.advice, incident.account, incident.address))
        assert 1 <= len(incident.rows) <= ROWS_MAX
        assert list(incident.rows) == sorted(set(incident.rows))
        assert set(incident.rows) <= set(rows)
        assert incident.first in incident.rows
        first = rows[incident.first]
        assert (incident.began, incident.wall) == (first.at, first.wall)
        if incident.last is not None:
            assert incident.last in incident.rows
            assert incident.ended == rows[incident.last].at
            assert incident.first <= incident.last


@pytest.mark.parametrize("name", TROUBLED)
def test_read_up_to_any_row_a_journal_says_no_less_than_what_is_over_by_then(name: str) -> None:
    """
    A gateway sees a journal grow. What it has once said stays: it ends, but it does not become something else.
    """
    rows = rows_of(name)
    whole = {incident.identity: incident for incident in find(journal(name))}
    steps = range(1, len(rows), max(1, len(rows) // 25))

    for until in (rows[index].seq for index in steps):
        found = find(journal(name), until=until)
        for incident in found:
            assert incident.identity in whole
            assert incident.last is None or incident.last <= until
            if incident.last is not None:
                assert incident.last <= (whole[incident.identity].last or until)
        over = {
            identity for identity, incident in whole.items() if incident.last is not None and incident.last <= until
        }
        assert over <= {incident.identity for incident in found}


@pytest.mark.parametrize("name", sorted(SCENES))
def test_the_recorded_journals_are_what_this_code_writes(name: str) -> None:
    """
    One that this code cannot replay was recorded before a change; `python tests/incidents/record.py` records it anew.
    """
    assert diverges(journal(name)) is None


def test_costs_are_what_the_script_made_them() -> None:
    """
    In the storm twenty messages waited; the outage kept two; two answers were lost of messages that had arrived.
    """

    def the(name: str) -> Incident:
        (found,) = find(journal(name))
        return found

    storm, outage, lost = the("retry-storm"), the("outage"), the("unknown-outcomes")
    assert storm.cost.delayed == 20
    assert storm.cost.refused == len([row for row in rows_of("retry-storm") if row.event == "PartRefused"])
    assert outage.cost.delayed == 2
    assert outage.cost.down > 500 * 10**9
    assert lost.cost.doubled == 2


@pytest.mark.parametrize("name", TROUBLED)
def test_settings_that_are_named_are_settings_that_there_are(name: str) -> None:
    """
    Advice that leads to "no such setting" is worse than none.
    """
    accounts: dict[str, type] = {"wx": Weixin, "qq": QQBot}

    for incident in find(journal(name)):
        for account, key in re.findall(r"\baccounts\.(\w+)\.([a-z_.]+[a-z_])", incident.advice):
            assert _leads_somewhere(accounts[account], key), key
        for key in re.findall(r"\bgateway\.([a-z_.]+[a-z_])\b(?!\()", incident.advice):
            assert _leads_somewhere(Options, key), key


def _leads_somewhere(kind: type, key: str) -> bool:
    for step in key.split("."):
        fields = {field.alias: field.type for field in attrs.fields(kind)} if attrs.has(kind) else {}
        if step not in fields:
            return False
        kind = fields[step] or object
    return True
