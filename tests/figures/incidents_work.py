"""What figure 1 of incidents measures, each in a process of its own: so its peak of memory is about nothing else."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from timeit import default_timer
from typing import Any, Final
from uuid import UUID  # noqa: TID251 - a type of the library that is compared with

from statecore_journal import open_reader, replay, verify

SAVED_AT_ONCE: Final = 500


def main(name: str, *arguments: str) -> None:
    """Do one piece of work; print how fast it was, and the peak of this process's memory."""
    began = default_timer()
    events = WORKS[name](*arguments)
    took = default_timer() - began
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"rate": events / took, "took": took, "peak": int(peak) / 1024, "events": events}))


def _replay(path: str, jobs: str) -> int:
    with replay(path, jobs=int(jobs)) as found:
        assert not found.parted, found.parted[0]
        return found.events


def _verify(path: str, jobs: str) -> int:
    found = verify(path, jobs=int(jobs))
    assert found.holds, found
    return found.events


# ---- eventsourcing ---------------------------------------------------------------------------------------------------


def _record(journal: str, path: str) -> int:
    """Write the instances of a journal as aggregates of that library: the same events, with the same fields."""
    from tests.figures.incidents_aggregates import Instance, open_application

    ids: list[str] = []
    with open_application(path) as application, open_reader(journal) as reader, reader.reading() as connection:
        waiting: list[Instance] = []
        rows = connection.execute("select machine, event, at, target, data from events order by machine, version")
        events, address = 0, ""
        for machine, name, at, target, data in rows:
            if machine != address:
                if len(waiting) >= SAVED_AT_ONCE:
                    application.save(*waiting)
                    waiting.clear()
                address = machine
                waiting.append(Instance(address=machine))
                ids.append(str(waiting[-1].id))
            waiting[-1].happen(name=name, at=at, target=target, fields=json.loads(data))
            events += 1
        application.save(*waiting)
    Path(path).with_suffix(".json").write_text(json.dumps(ids))
    return events


def _rebuild(path: str) -> int:
    """Rebuild every aggregate from its events; the creation of each stands for no row of ours, and is not counted."""
    from tests.figures.incidents_aggregates import open_application

    with open_application(path) as application:
        ids = json.loads(Path(path).with_suffix(".json").read_text())
        return sum(_version(application.repository.get(UUID(id_))) - 1 for id_ in ids)


def _version(instance: Any) -> int:
    return int(instance.version)


WORKS: Final[dict[str, Callable[..., Any]]] = {
    "replay": _replay,
    "verify": _verify,
    "record": _record,
    "rebuild": _rebuild,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
