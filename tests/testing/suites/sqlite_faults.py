"""What can befall a journal in SQLite: crashes between and within writes of its log and of its file, tears, locks, no room."""

import resource
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from statecore.testing.journals import Wreck

HEADER: Final = 32
FRAME: Final = 24
ROOM: Final = 60_000


class Mark(NamedTuple):
    """How far the log has got.

    Args:
        salt: changes when it starts anew; what stood in an older one is in the file.
        size: in bytes.
    """

    salt: bytes
    size: int


class SqliteFaults:
    """Faults of files. Copies are kept until the end of the process' use of the folder they are in."""

    def mark(self, place: Path) -> Mark:
        """Look at the log, which carries no locks."""
        log = _log(place).read_bytes()
        return Mark(log[16:24], len(log))

    def wrecks(self, place: Path, marks: Sequence[Mark]) -> Iterator[Wreck]:
        """Cut the log at each frame and within, tear its last frame, and stop a checkpoint after each page."""
        file, log = place.read_bytes(), _log(place).read_bytes()
        (page,) = struct.unpack(">I", log[8:12])
        folder = place.parent / "wrecks"
        folder.mkdir()

        def wreck(how: str, content: bytes, frames: bytes, upto: int) -> Wreck:
            made = folder / f"{sum(1 for _ in folder.iterdir())}.db"
            made.write_bytes(content)
            _log(made).write_bytes(frames)
            acknowledged = sum(mark.salt != log[16:24] or mark.size <= upto for mark in marks)
            return Wreck(made, acknowledged, how)

        ends = range(HEADER, len(log) + 1, FRAME + page)
        for number, end in enumerate(ends):
            yield wreck(f"the log ends with its frame {number}", file, log[:end], end)
            if end == len(log):
                break
            for what, cut in (("its head", 12), ("its page", FRAME + page // 2), ("its last byte", FRAME + page - 1)):
                if (number + cut) % 2:  # every second, so that each kind comes often
                    yield wreck(f"the log ends within {what}, in frame {number + 1}", file, log[: end + cut], end)
            torn = log[: end + FRAME + 512] + bytes(page - 512)
            yield wreck(f"of frame {number + 1} of the log only the first sector was written", file, torn, end)
        copied = self._checkpointed(file, log)
        for number in range(0, len(copied), page):
            half = copied[: number + page // 2] + file[number + page // 2 :]
            yield wreck(f"a checkpoint ended within page {number // page + 1}", half, log, len(log))
        yield wreck("a checkpoint ended before the log was cut", copied, log, len(log))
        yield wreck("the log was cut after a checkpoint", copied, b"", len(log))

    def _checkpointed(self, file: bytes, log: bytes) -> bytes:
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.db"
            copy.write_bytes(file)
            _log(copy).write_bytes(log)
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute("pragma wal_checkpoint(truncate)").fetchone()
            return copy.read_bytes()

    def damaged(self, place: Path) -> Iterator[tuple[str, Path]]:
        """Cut the file off, and write over it."""
        whole = place.read_bytes()
        folder = place.parent / "damaged"
        folder.mkdir()
        ways = {
            "its first half is left": whole[: len(whole) // 2],
            "its last page is gone": whole[:-4096],
            "its head is gone": bytes(100) + whole[100:],
            "a page in the middle is zeros": whole[:8192] + bytes(4096) + whole[12_288:],
            "every page behind the first is noise": whole[:4096] + bytes(range(256)) * ((len(whole) - 4096) // 256),
            "it is some other file": b"hello" * 1000,
        }
        for number, (how, content) in enumerate(ways.items()):
            made = folder / f"{number}.db"
            made.write_bytes(content)
            yield how, made

    @contextmanager
    def hold(self, place: Path) -> Iterator[None]:
        """Hold the lock for writing, as a person with a shell may."""
        with closing(sqlite3.connect(place, isolation_level=None)) as other:
            other.execute("begin immediate")
            yield
            other.execute("rollback")

    @contextmanager
    def fill(self, place: Path) -> Iterator[None]:
        """Let no file grow beyond what it is, and a little. The operating system refuses in the middle of a write."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        biggest = max(file.stat().st_size for file in place.parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (biggest + ROOM, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _log(place: Path) -> Path:
    return place.with_name(f"{place.name}-wal")
