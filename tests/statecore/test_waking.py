"""What the tasks of accounts wait with."""

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statecore.waking import Bell, Clock


def run(scene: Callable[[Clock], Awaitable[None]]) -> None:
    """Run a scene beside a clock that runs; hours pass at once."""

    async def main() -> None:
        clock = Clock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.run)
            await scene(clock)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_every_bell_is_rung_at_its_time() -> None:
    async def scene(clock: Clock) -> None:
        rung: list[float] = []

        async def wait(seconds: float) -> None:
            await Bell(clock).wait(seconds)
            rung.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for seconds in (3, 1, 7200, 2, 1):
                nursery.start_soon(wait, seconds)
        assert rung == [1, 1, 2, 3, 7200]

    run(scene)


def test_a_bell_that_is_put_off_is_rung_once_and_then() -> None:
    """
    As with a deadline that moves each time something comes.
    """

    async def scene(clock: Clock) -> None:
        bell, rung = Bell(clock), list[float]()
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                for seconds in (10, 20, 5):
                    await bell.wait(seconds)
                    rung.append(trio.current_time())

            nursery.start_soon(wait)
            await trio.sleep(1)
            bell.ring()
        assert rung == [1, 21, 26]

    run(scene)


def test_a_bell_that_was_rung_before_is_not_waited_for() -> None:
    async def scene(clock: Clock) -> None:
        bell = Bell(clock)
        bell.ring()
        await bell.wait()
        assert trio.current_time() == 0
        await bell.wait(4)
        assert trio.current_time() == 4

    run(scene)


def test_who_gives_up_waiting_can_wait_again() -> None:
    async def scene(clock: Clock) -> None:
        bell = Bell(clock)
        with trio.move_on_after(1):
            await bell.wait(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bell.wait)
            await wait_all_tasks_blocked(3)
            assert nursery.child_tasks  # what it was to be rung for before is forgotten
            bell.ring()

    run(scene)


def test_a_far_deadline_that_is_put_aside_again_and_again_is_held_once() -> None:
    """
    A message that expires tomorrow, and a second's wait again and again until then.
    """

    async def scene(clock: Clock) -> None:
        bell = Bell(clock)
        for _ in range(3000):
            with trio.move_on_after(0):
                await bell.wait(86_400 - trio.current_time())
            await bell.wait(1)
        assert len(clock._heap) < 200
        await bell.wait(86_400 - trio.current_time())
        assert trio.current_time() == 86_400

    run(scene)
