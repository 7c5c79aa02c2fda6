"""What every test relies on."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "bytecode"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2_000_000_000

if sys.dont_write_bytecode:
    # Whoever forbids bytecode wants none beside the sources. Without any, each worker and each process that a test starts
    # would compile everything once more.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(CACHE)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    # Twenty thousand journals are opened, and a disk takes 20 ms for each. None of these tests asks what a disk keeps when the
    # power fails: crashes are of processes, and power cuts are those of a simulated disk.
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what it does not wait for, and each process that a test interrupts would inherit it and never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through thousands of collected tests during each of them, and from being the
    twelfth part of all their work: what a test leaves behind is small."""
    gc.set_threshold(100_000, 20, 100)
    if "hypothesis" in sys.modules:  # while it is imported it asks who refers to a generator, and finds nobody frozen
        gc.collect()
        gc.freeze()
