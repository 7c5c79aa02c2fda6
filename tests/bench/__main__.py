"""Time the same work done by statecore, by others and by hand, side by side.

    python -m tests.bench            everything
    python -m tests.bench --json

Every number is the best of several runs with garbage collection off; numbers of one table are from the same minute.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import attrs

if not __package__:  # run as `python tests/bench`: make that the same as `python -m tests.bench`
    sys.path[0] = str(Path(__file__).resolve().parents[2])


def main() -> int:
    """Run the command line."""
    from tests.bench import dispatch, durable
    from tests.figures.registry import scratch

    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    print("dispatch ...", file=sys.stderr)
    memory = dispatch.table()
    print("durable transitions ...", file=sys.stderr)
    with scratch() as folder:
        disk = durable.table(folder)
    if options.json:
        print(json.dumps(as_json(memory, disk), indent=2))
        return 0
    step = dict(memory)[dispatch.STEP]
    show(
        ("in memory, one event", "us", "of our step"),
        [(name, f"{us:.2f}", f"{us / step:.2f}") for name, us in memory],
    )
    print()
    most = next(rate for name, rate in disk if name == durable.RAW)
    show(
        ("durable, synchronous=FULL", "a second", "of sqlite3 alone", "p50 ms", "p99 ms"),
        [
            (
                name,
                f"{rate.per_second:.0f}",
                f"{rate.per_second / most.per_second:.2f}",
                f"{rate.p50_ms:.2f}",
                f"{rate.p99_ms:.2f}",
            )
            for name, rate in disk
        ],
    )
    return 0


def show(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for name, *numbers in [head, *rows]:
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *cells]))


def as_json(memory: list[tuple[str, float]], disk: list[tuple[str, Any]]) -> dict[str, Any]:
    """Write both tables as JSON."""
    return {"dispatch_us": dict(memory), "durable": {name: attrs.asdict(rate) for name, rate in disk}}


if __name__ == "__main__":
    sys.exit(main())
