"""The garbage collector, where it has nothing to find.

Frozen values hold no circles, be they read from a journal or met in an exploration, so counting references frees all of them.
What a simulation makes lives until its end, so there is nothing to free before. Looking through hundreds of thousands of them
for circles takes a sixth of the time that the work itself does.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Do without the garbage collector meanwhile."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
