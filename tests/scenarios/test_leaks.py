"""E5, E6, G7: thousands of reconnects, chats and messages, and what they leave behind.

E5 (hermes-agent#37011: two file descriptors an attempt; #29298: 6.2 GB). E6 (hermes-agent#81625: 60 GB in two hours).
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Message
from statecore.platform import Failure
from statecore.policies import Backoff
from tests.support.platform import QUICK, Fake, Plain
from tests.support.stage import Stage, answer

SLACK = 64
"""What a container may hold that is not growing: budgets not swept yet, timers that have been moved."""


def containers(gateway: Gateway) -> Iterator[tuple[str, int]]:
    """Yield every container reachable from a gateway's own attributes, by its path, with its size."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("gateway", gateway)]
    while waiting:
        path, held = waiting.pop()
        if id(held) in seen or path.count(".") > 6:
            continue
        seen.add(id(held))
        if hasattr(held, "__len__") and not isinstance(held, str | bytes | tuple):
            yield path, len(held)
        if isinstance(held, dict):
            waiting += [(f"{path}.{key}", value) for key, value in list(held.items())[:20] if _ours(value)]
        for name in [*getattr(held, "__dict__", {}), *_slots(type(held))]:
            value = getattr(held, name, None)
            if _ours(value) or isinstance(value, dict | set | list) or hasattr(value, "popleft"):
                waiting.append((f"{path}.{name}", value))


def _slots(kind: type) -> list[str]:
    return [name for base in kind.__mro__ for name in getattr(base, "__slots__", ()) if isinstance(name, str)]


def _ours(value: object) -> bool:
    return type(value).__module__.startswith("statecore.")


def open_files() -> int:
    """Count this process's files and sockets."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("slow_looks")
def test_a_thousand_reconnects_leave_nothing_behind(stage: Stage) -> None:
    """
    E5: no file, no task, no entry in any container.
    """
    stage.account = Fake(stage.server, Plain(), attrs.evolve(QUICK, backoff=Backoff(floor=1, cap=2, steady=1)))
    stage.server.polls.append(lambda _: Failure(stage="receive", error="closed"))
    sizes: list[tuple[int, int, dict[str, int]]] = []

    async def main() -> None:
        async with stage.gateway() as gateway:
            for dials in (100, 1100):
                await stage.until(lambda dials=dials: len(stage.server.dialled) >= dials, within=5000, every=10)  # type: ignore[misc]
                gc.collect()
                tasks = trio.lowlevel.current_statistics().tasks_living
                sizes.append((open_files(), tasks, dict(containers(gateway))))

    stage.run(main)

    (files, tasks, held), (files_later, tasks_later, held_later) = sizes
    assert files_later <= files
    assert tasks_later <= tasks + 1
    grown = {path: (held.get(path, 0), size) for path, size in held_later.items() if size > held.get(path, 0) + SLACK}
    assert not grown


def test_thousands_of_chats_leave_nothing_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    E6: memory grows with the chats that have something to say, up to a bound, and not with those that had.
    """
    monkeypatch.setattr("statecore.system.CACHED_MAX", 256)
    monkeypatch.setattr("statecore.intake.FINGERPRINTS_MAX", 256)
    stage.account = Fake(stage.server, Plain(), QUICK)
    sizes: list[dict[str, int]] = []

    async def main() -> None:
        async def handle(message: Message) -> None:
            await gateway.send("wx", message.chat, f"you said {message.text}", key=message.id)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            nursery.start_soon(answer, gateway, handle)
            for wave in range(5):
                for number in range(300):
                    stage.server.say(f"chat {wave}-{number}", "hello")
                    if number % 20 == 0:
                        await trio.sleep(0.5)
                await stage.settled()
                await trio.sleep(60)
                sizes.append(dict(containers(gateway)))
            gateway.stop()

    stage.run(main, rows_per_second=None)

    first, *_, last = sizes[1:]
    grown = {path: (first.get(path, 0), size) for path, size in last.items() if size > first.get(path, 0) + SLACK}
    assert not {path for path in grown if "_heap" not in path and "_budgets" not in path}
    assert all(size < 1100 for path, (_, size) in grown.items() if "_budgets" in path)
    assert len(stage.server.taken) == 1500


def test_messages_that_wait_are_in_the_journal_and_not_in_memory(stage: Stage) -> None:
    """
    G7: ten thousand messages behind a closed window are one head of a lane.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        stage.server.dials.append(lambda _: Failure(stage="connect", error="down"))
        async with stage.gateway() as gateway:
            await trio.sleep(1)
            before = dict(containers(gateway))
            for number in range(2000):
                await gateway.send("wx", "ann", f"message {number}")
            await trio.sleep(60)
            after = dict(containers(gateway))
            grown = {path: size for path, size in after.items() if size > before.get(path, 0) + SLACK}
            assert not {path: size for path, size in grown.items() if "_budgets" not in path}
            assert all(size <= 1100 for size in grown.values())

    stage.run(main)


def test_timers_that_are_moved_do_not_pile_up(stage: Stage) -> None:
    """
    G7: a chat with a thousand messages a day has one window and one timer for it, not a thousand.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(300):
                stage.server.say("ann", f"message {number}")
                await trio.sleep(0.5)
            assert len(gateway._drivers["wx"].account.system._heap) < 100

    stage.run(main)


def test_a_receipt_nobody_waits_for_any_more_is_forgotten(stage: Stage) -> None:
    """
    G7: a program that waits for answers with a timeout leaves nothing behind.
    """
    stage.server.dials.append(lambda _: Failure(stage="connect", error="down"))

    async def main() -> None:
        async with stage.gateway() as gateway:
            for number in range(50):
                receipt = await gateway.send("wx", "ann", f"message {number}")
                with trio.move_on_after(0.01):
                    await receipt.settled()
            assert not gateway._settlers

    stage.run(main)
