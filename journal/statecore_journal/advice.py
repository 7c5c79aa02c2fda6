"""What to do where code has parted from a journal: the versions on both sides, and the upcaster that would settle it."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

import attrs

from statecore import codec
from statecore.errors import CodecError
from statecore.machine import Machine
from statecore_journal.fields import read_fields
from statecore_journal.fold import Divergence, Replay

MISSING_ROWS: Final = "rows are missing"
"""How `Replay` says that a history has a gap."""


def explained(connection: sqlite3.Connection, machines: Mapping[str, Machine], found: Divergence) -> Divergence:
    """Return a divergence with its versions, and with what to do about it.

    Args:
        connection: the journal, as it was when the divergence was found.
        machines: by name.
        found: a divergence.
    """
    machine = machines[found.address.partition("/")[0]]
    if not found.event:
        return _of_instance(connection, machine, found)
    row = connection.execute("select data, schema, definition from events where seq = ?", (found.seq,)).fetchone()
    if row is None:
        return found
    data, schema, definition = row
    found = attrs.evolve(found, definition=(definition, machine.version))
    if MISSING_ROWS in found.folded:
        return attrs.evolve(
            found, advice="something else than `statecore prune` deleted rows; restore a copy of the file"
        )
    kind = Replay(machine).kind(found.event)
    if kind is None:
        how = f"give {machine.name} an event {found.event} again, be it in a row that ignores it"
        return attrs.evolve(
            found, advice=f"{how}; if it has another name now, keep a class of the old one for old rows"
        )
    found = attrs.evolve(found, schema=(schema, getattr(kind, "schema", 1)))
    return _settled(found, kind, data, "the table of this code does something else with it")


def _of_instance(connection: sqlite3.Connection, machine: Machine, found: Divergence) -> Divergence:
    row = connection.execute("select data, schema from instances where address = ?", (found.address,)).fetchone()
    if row is None:
        return attrs.evolve(found, advice="the table `instances` lost it; restore a copy of the file")
    data, schema = row
    kind = machine.remembers
    found = attrs.evolve(found, schema=(schema, getattr(kind, "schema", 1)))
    if found.recorded.startswith(("state ", "version ", "entered ")) or found.folded == "no history":
        return attrs.evolve(
            found, advice="the table `instances` and the rows are not of one piece; restore a copy of the file"
        )
    if found.schema == (schema, schema) and _reads(kind, data):
        differ = ", ".join(_differing(found.recorded, found.folded)) or "something"
        how = f"every row fits, so a handler of this code remembers something else in {differ}"
        return attrs.evolve(found, advice=f"{how}; see `statecore log JOURNAL --machine {found.address}`")
    return _settled(found, kind, data, "what is remembered has changed")


def _settled(found: Divergence, kind: type, data: str, otherwise: str) -> Divergence:
    """Name the upcaster that could settle it."""
    assert found.schema is not None, "it is known by now"
    recorded, current = found.schema
    name = kind.__name__
    if recorded > current:
        return attrs.evolve(found, advice=f"{name} was written by newer code (version {recorded}); use that, or newer")
    since = next((step for step in range(recorded, current) if not codec.has_upcaster(name, step)), None)
    if since is not None:
        return attrs.evolve(found, advice=f"lift {name} from version {since}", stub=stub(kind, since, data))
    if recorded < current:
        return attrs.evolve(
            found, advice=f"see to the upcasters of {name} from version {recorded}: what they return ends elsewhere"
        )
    why = otherwise if _reads(kind, data) else f"the fields of {name} have changed"
    how = f"{why}: undo that, or raise `schema` of {name} to {current + 1} and lift what is recorded"
    return attrs.evolve(found, advice=how, stub=stub(kind, current, data))


def stub(kind: type, since: int, data: str) -> str:
    """Write an upcaster to be filled in.

    Args:
        kind: the class.
        since: the version it reads.
        data: one that was recorded; only the names of its fields are shown.
    """
    name = kind.__name__
    was = list(read_fields(data) or {})
    fields = {field.name: field for field in attrs.fields(kind)}
    lines = [
        f"fields.pop({json.dumps(field)})  # {name} has no such field in this code"
        for field in was
        if field not in fields
    ]
    lines += [
        f"fields[{json.dumps(field)}] = ...  # no {name} without it"
        for field, about in fields.items()
        if about.default is attrs.NOTHING and field not in was
    ]
    return "\n".join(
        [
            "from typing import Any",
            "",
            "from statecore.codec import upcaster",
            "",
            "",
            f'@upcaster("{name}", since={since})',
            f"def lift_{name.lower()}_{since}(fields: dict[str, Any]) -> dict[str, Any]:",
            f"    # recorded: {', '.join(was) or 'nothing but defaults'}; in this code: {', '.join(fields) or 'nothing'}",
            *(f"    {line}" for line in lines),
            "    return fields",
        ]
    )


def _reads(kind: type, data: str) -> bool:
    try:
        codec.loads(data, kind)
    except CodecError:
        return False
    return True


def _differing(one: str, other: str) -> list[str]:
    left, right = read_fields(one), read_fields(other)
    if left is None or right is None:
        return []
    return sorted(name for name in {*left, *right} if left.get(name) != right.get(name))
