"""Record the journals of the scenes anew.

python tests/incidents/record.py                 all of them
python tests/incidents/record.py retry-storm     those named
"""

import argparse
import os
import shutil
import sqlite3
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
if not __package__:  # run as a script
    sys.path[:0] = [str(ROOT), *(str(ROOT / name) for name in ("adapters", "journal", "diagrams"))]

JOURNALS: Final = ROOT / "tests" / "incidents" / "journals"


def record(name: str) -> str:
    """Play a scene and keep its journal; return what to say of it."""
    from tests.incidents.scenes import SCENES

    with tempfile.TemporaryDirectory() as folder:
        SCENES[name].play(Path(folder))
        target = JOURNALS / f"{name}.db"
        fresh = Path(folder) / "fresh.db"
        with closing(sqlite3.connect(Path(folder) / "gateway.db", isolation_level=None)) as connection:
            (rows,) = connection.execute("select count(*) from events").fetchone()
            connection.execute("delete from secrets")  # simulated ones; but nobody should look for them here
            connection.execute("vacuum into ?", (str(fresh),))
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            connection.execute("pragma journal_mode = delete")  # one file, that nobody writes to
            connection.execute("pragma page_size = 1024")  # there are fifteen tables and indexes, and few rows in them
            connection.execute("vacuum")
        JOURNALS.mkdir(exist_ok=True)
        shutil.move(fresh, target)
    return f"{name}: {rows} rows, {target.stat().st_size // 1024} kB"


def main() -> int:
    """Run the command line."""
    from tests.incidents.scenes import SCENES

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SCENES)}")
    names = parser.parse_args().names or list(SCENES)
    if unknown := [name for name in names if name not in SCENES]:
        parser.error(f"there is no scene {unknown[0]!r}")
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as processes:
        playing = {name: processes.submit(record, name) for name in names}
        failed = False
        for name, played in playing.items():
            try:
                print(played.result(), flush=True)
            except Exception as error:  # noqa: BLE001 - the others are recorded all the same
                failed = True
                print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
