"""Cancellation at every moment, and what is left when a client is done with."""

from typing import Any

import trio
import trio.testing

from statecore.testing.adapters.attempts import Attempts
from statecore.testing.adapters.faults import Stall
from statecore.testing.adapters.hand import ASKING, CALLS, GOOD, Hand, Hung, Peer
from statecore.testing.adapters.network import Network
from statecore.testing.adapters.watching import CancelAt, children

STEPS_MAX = 2000
"""Steps within which a call with a platform that is well is over."""


class Endings(Attempts):
    """Checks of calls that are ended, and of clients that are closed."""

    def test_a_call_that_waits_is_ended_by_its_cancellation(self) -> None:
        """
        A machine that leaves a state ends its attempt. One that goes on, or tells an outcome of its own, cannot be ended:
        not by a timeout either, and not by the end of the program.
        """

        async def check(hand: Hand) -> None:
            for name in ASKING[hand.platform.tie]:
                await hand.prepare(name)
                part = hand.part() if name == "send" else None
                outcome: Any = Hung()
                with hand.network.broken(Stall()):
                    async with trio.open_nursery() as nursery:
                        with trio.CancelScope() as scope:
                            nursery.start_soon(_cancel_when_blocked, scope)
                            began = trio.current_time()
                            try:
                                outcome = await hand.bare(name, part)
                            except Exception as error:  # noqa: BLE001 - of a cancellation no error may be made either
                                outcome = error
                took = trio.current_time() - began
                assert isinstance(outcome, Hung), f"{name} was cancelled, and told {outcome!r}"
                assert scope.cancelled_caught, f"{name} was cancelled, and its cancellation went nowhere"
                assert took < 1, f"{name} went on for {took:g} s after it was cancelled"

        self.run(check)

    def test_cancelled_at_any_moment_the_next_call_works(self) -> None:
        """
        What was half done is not in the way of what comes after; no message that came in is lost by it.
        """

        async def check(hand: Hand) -> None:
            for name in CALLS[hand.platform.tie]:
                await self._everywhere(hand, name, after=self._works)

        self.run(check)

    def test_cancelled_at_any_moment_nothing_is_left_behind(self) -> None:
        """
        A socket or a task that outlives its call is one more each time, for as long as the process lives.
        """

        async def check(hand: Hand) -> None:
            for name in CALLS[hand.platform.tie]:
                await self._everywhere(hand, name, after=self._leaves_nothing)

        self.run(check)

    async def _everywhere(self, hand: Hand, name: str, after: Any) -> None:
        """Make a call again and again, cancelled a step later each time, until it is over before."""
        root = trio.lowlevel.current_task()
        await hand.prepare(name)
        hand.before = len(children(root))
        step = 0
        while True:
            step += 1
            assert step < STEPS_MAX, f"{name} is not over after {STEPS_MAX} steps"
            await hand.prepare(name)
            with trio.CancelScope() as scope:
                ending = CancelAt(root, step, scope)
                trio.lowlevel.add_instrument(ending)
                try:
                    hand.take(name, await hand.bare(name))
                except Exception:  # noqa: BLE001, S110 - other checks are about that
                    pass
                finally:
                    trio.lowlevel.remove_instrument(ending)
            await after(hand, name, step)
            if ending.steps < step:
                return

    async def _works(self, hand: Hand, name: str, step: int) -> None:
        where = f"after {name} was cancelled at its step {step}"
        if name in ("receive", "read"):
            try:
                if hand.said[-1] not in hand.heard:
                    await hand.until_heard(hand.said[-1])
            except AssertionError as error:
                raise AssertionError(f"{where}: {error}") from None
            return
        again = "open_socket" if name == "identify" else name
        await hand.prepare(again)
        outcome = await hand.call(again)
        assert isinstance(outcome, GOOD[again]), f"{where}: {again} came to {outcome!r}"

    async def _leaves_nothing(self, hand: Hand, name: str, step: int) -> None:
        await trio.testing.wait_all_tasks_blocked()
        standing = hand.network.standing
        where = f"{name} was cancelled at its step {step}, and now"
        assert standing <= self.connections_most, f"{where} {standing} connections stand"
        alive = children(trio.lowlevel.current_task())
        assert len(alive) <= hand.before + 8, f"{where} {len(alive)} tasks live: {alive}"

    # ---- the end -----------------------------------------------------------------------------------------------------

    def test_a_client_that_is_closed_holds_nothing(self) -> None:
        """
        Whatever its calls came to.
        """

        async def main() -> None:
            root = trio.lowlevel.current_task()
            async with self.stage() as (peer, network):
                before = children(root)
                for name in ("", *CALLS[peer.account(network.through).platform.tie]):
                    async with self.client(peer, network) as hand:
                        if name:
                            await hand.prepare(name)
                            await hand.call(name)
                    await trio.testing.wait_all_tasks_blocked()
                    assert not network.standing, f"after {name or 'nothing'}, {network.standing} connections stand"
                    alive = [task for task in children(root) if task not in before and "_Relay" not in task]
                    alive = [task for task in alive if "statecore.testing" not in task]
                    assert len(alive) <= len(before), f"after {name or 'nothing'}, tasks live on: {alive}"

        self.virtually(main)

    def test_what_goes_wrong_outside_comes_out_as_itself(self) -> None:
        """
        What uses a client may raise; a client that wraps it in a group, or swallows it, hides it.
        """

        async def main() -> None:
            async with self.stage() as (peer, network):
                slip, came = ValueError("of the caller's"), None
                try:
                    await self._slip(peer, network, slip)
                except Exception as error:  # noqa: BLE001 - a group is what must not come
                    came = error
            assert came is slip, f"the caller raised {slip!r}, and {came!r} came out"

        self.virtually(main)

    async def _slip(self, peer: Peer, network: Network, slip: Exception) -> None:
        async with self.client(peer, network) as hand:
            await hand.prepare("send")
            raise slip


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)
    scope.cancel()
