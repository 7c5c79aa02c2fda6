"""What every test relies on."""

import gc
import os
import signal
import sys
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "bytecode"

if sys.dont_write_bytecode:
    # Whoever forbids bytecode wants none beside the sources. Without any, each worker and each process that a test starts
    # would compile everything once more.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(CACHE)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what it does not wait for, and each process that a test interrupts would inherit it and never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through thousands of collected tests during each of them."""
    if "hypothesis" in sys.modules:  # while it is imported it asks who refers to a generator, and finds nobody frozen
        gc.collect()
        gc.freeze()
