"""Keys that are the same on every attempt, and secrets that stay where they belong."""

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import trio

from statecore.testing.adapters.attempts import Attempts
from statecore.testing.adapters.base import http_answer
from statecore.testing.adapters.faults import Cut, Drip, Fault, Refuse, Say, Shut, Unresolved
from statecore.testing.adapters.hand import ASKING, CALLS, Hand, Raised, around
from statecore.testing.adapters.watching import Lines


class Wires(Attempts):
    """Checks of what goes over the wire, and of what is told about it."""

    # ---- keys --------------------------------------------------------------------------------------------------------

    def test_a_part_has_the_same_key_on_every_attempt(self) -> None:
        """
        By it a platform recognises a repetition; also after a restart, from another process.
        """

        async def main() -> None:
            secrets: dict[str, str] = {}
            async with self.stage() as (peer, network):
                async with self.client(peer, network, secrets) as hand:
                    await hand.prepare("send")
                    message, part = hand.message, hand.part()
                    self._needs_keys(hand, part)
                    first = await self._written(hand, part)
                    assert self.key(first) == self.key(await self._written(hand, part)), (
                        "a second attempt has another key"
                    )
                async with self.client(peer, network, secrets) as hand:
                    await hand.prepare("send")
                    hand.message = message
                    again = await self._written(hand, part)
                    assert self.key(first) == self.key(again), "an attempt after a restart has another key"

        self.virtually(main)

    def test_different_parts_have_different_keys(self) -> None:
        """
        Else the second of two texts that say the same is taken for a repetition, and never shown.
        """

        async def check(hand: Hand) -> None:
            await hand.prepare("send")
            first, second = hand.part("yes"), hand.part("yes")
            self._needs_keys(hand, first)
            keys = self.key(await self._written(hand, first)), self.key(await self._written(hand, second))
            assert keys[0] != keys[1], "two parts that say the same have the same key"

        self.run(check)

    def _needs_keys(self, hand: Hand, part: Any) -> None:
        if hand.platform.resends(part.chat, part.answers) == "never":
            pytest.skip("this platform is never sent a part again, by its own `resends`")

    async def _written(self, hand: Hand, part: Any) -> bytes:
        """Send a part to a platform that refuses it; return the request."""
        await trio.testing.wait_all_tasks_blocked()
        hand.network.forget()
        with hand.network.broken(Say(lambda _: self.refusal("no"))):
            await hand.call("send", part)
        assert hand.network.requests, "a send wrote no request"
        return hand.network.requests[-1]

    # ---- secrets -----------------------------------------------------------------------------------------------------

    def _telling(self, hand: Hand) -> dict[str, Fault | None]:
        """Return ways in which a platform, or what stands before it, tells others what it was told."""

        def everything(request: bytes) -> str:
            return f"you said {request.decode('latin-1')} and know {' '.join(sorted(hand.canaries()))}"

        def page(request: bytes) -> bytes:
            return http_answer(500, everything(request).encode())

        def greeting(request: bytes) -> bytes:
            return f"HTTP/1.1 400 {everything(request)}".encode()[:4000].replace(b"\r\n", b" ") + b"\r\n\r\n"

        def header(request: bytes) -> bytes:
            return http_answer(429, b"{}", x_said=everything(request).replace("\r\n", " ")[:4000])

        return {
            "it is well": None,
            "it refuses and repeats what it was told": Say(lambda request: self.refusal(everything(request))),
            "a page repeats what was asked": Say(page),
            "a status line repeats what was asked": Say(greeting),
            "a header repeats what was asked": Say(header),
            "an answer of another kind repeats what was asked": Say(lambda request: everything(request).encode()),
            "JSON of another kind repeats what was asked": Say(
                lambda request: http_answer(200, json.dumps([everything(request)]).encode(), "application/json")
            ),
            "it closes": Shut(),
            "it resets": Cut(lambda _: b"", reset=True),
            "nobody listens": Refuse(),
            "its name does not resolve": Unresolved(),
            "it never ends": Drip(b"HTTP/1.1 200 OK\r\n\r\n"),
        }

    def test_nothing_it_says_shows_a_secret(self) -> None:
        """
        Outcomes become events, and events are shown, exported and sent to others for help. Errors and lines of the log, at
        any level, turn up in somebody's terminal: libraries write down what they do for whoever asks for details.
        """

        async def check(hand: Hand) -> None:
            with listening() as log:
                for name in CALLS[hand.platform.tie]:
                    asks = name in ASKING[hand.platform.tie]
                    for how, fault in self._telling(hand).items() if asks else [("it is well", None)]:
                        outcome = await self._meet(hand, name, fault)
                        leaked = hand.leaks(*_texts(outcome))
                        assert not leaked, f"the outcome of {name} shows a secret when {how}: {leaked[0]}"
            leaked = hand.leaks(*(text for outcome in hand.outcomes for text in _texts(outcome)))
            assert not leaked, f"an outcome shows a secret that came later: {leaked[0]}"
            leaked = hand.leaks(*log.lines)
            assert not leaked, f"a line of the log shows a secret: {leaked[0]}"

        self.run(check)

    def test_nothing_that_is_held_shows_a_secret(self) -> None:
        """
        Crash reports print what they find.
        """

        async def check(hand: Hand) -> None:
            await hand.prepare("send")
            held = [hand.client, hand.config, hand.platform, *getattr(hand.client, "__dict__", {}).values()]
            texts = [repr(one) for one in held if not isinstance(one, str | bytes | dict)]
            leaked = hand.leaks(*texts, str(hand.config), hand.config.identity)
            assert not leaked, f"what the adapter holds shows a secret: {leaked[0]}"

        self.run(check)

    # ---- the whole of it ---------------------------------------------------------------------------------------------

    def test_a_gateway_runs_it_and_its_journal_holds_no_secret(self) -> None:
        """
        The adapter does what it is for: what a user writes comes in, the answer goes out, and everything that is recorded
        of it may be shown.
        """

        async def main() -> None:
            from statecore.gateway import Options, run_gateway
            from statecore.world import VirtualWorld
            from statecore_journal import open_journal

            with TemporaryDirectory(prefix="statecore-") as folder:
                file = Path(folder) / "gateway.db"
                async with self.stage() as (peer, network), self.client(peer, network) as hand:
                    world = VirtualWorld()
                    with listening() as log:
                        async with open_journal(file, wall=world.wall, threaded=False) as journal:
                            options = Options(lock_folder=Path(folder) / "locks")
                            accounts = {"mine": hand.config}
                            async with run_gateway(journal, accounts, world, options, signals=()) as gateway:
                                await self._converse(gateway, peer, network)
                    assert "the answer" in "".join(peer.shown())
                    hand.told |= set(_secrets(file))
                    leaked = [
                        f"{table}: {around(text, canary)}"
                        for table, text in _shown(file)
                        for canary in hand.canaries()
                        if canary in text
                    ]
                    assert not leaked, f"the journal shows a secret outside its own table: {leaked[0]}"
                    leaked = hand.leaks(*log.lines)
                    assert not leaked, f"a line of the log shows a secret: {leaked[0]}"

        self.virtually(main)

    async def _converse(self, gateway: Any, peer: Any, network: Any) -> None:
        """Have a message come in, be answered, and be answered once more by way of a platform that tells everything."""
        import inspect

        with trio.fail_after(3600):
            state = "nothing"
            while state not in ("connected", "resting", "beating"):
                await trio.sleep(1)
                found = gateway.status().accounts
                state = found[0].state if found else "nothing"
            said = peer.say("a question of the user's")
            if inspect.isawaitable(said):
                await said
            async for message in gateway.inbox():
                async with message:
                    await gateway.send(message.account, message.chat, "the answer", reply_to=message)
                break
            while "the answer" not in "".join(peer.shown()):
                await trio.sleep(1)
            with network.broken(Say(lambda request: self.refusal(request.decode("latin-1")))):
                await gateway.send("mine", message.chat, "another", reply_to=message)
                await trio.sleep(30)


@contextmanager
def listening() -> Iterator[Lines]:
    """Collect what is logged by the tasks below this one, at every level."""
    root, lines = logging.getLogger(), Lines(trio.lowlevel.current_task())
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
        root.setLevel(level)


def _texts(outcome: Any) -> list[str]:
    """Return what an outcome shows, and what the events that follow from it can take over."""
    if isinstance(outcome, Raised):
        return traceback.format_exception(outcome.error)
    found = [repr(outcome), str(outcome)]
    if attrs.has(type(outcome)):
        for field in attrs.fields(type(outcome)):
            value = getattr(outcome, field.name)
            if field.repr is not False:
                found.append(str(value))
    return found


def _shown(file: Path) -> list[tuple[str, str]]:
    """Return (table, all that is in it) of a journal, but for the one table that is never shown."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        return [
            (name, json.dumps(connection.execute(f"select * from {name}").fetchall(), ensure_ascii=False))  # noqa: S608
            for name in names
            if name != "secrets"
        ]


def _secrets(file: Path) -> list[str]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(file)) as connection:
        return [value for (value,) in connection.execute("select value from secrets")]
