"""One attempt a call, at its own pace, and how far it got."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
import trio

from statecore.platform import Failure, Unsent
from statecore.testing.adapters.base import Base, http_answer
from statecore.testing.adapters.faults import (
    Blackhole,
    Cut,
    Drip,
    Fault,
    Flood,
    Plain,
    Refuse,
    Say,
    SelfSigned,
    Shut,
    Stall,
    Unresolved,
)
from statecore.testing.adapters.hand import ASKING, Hand, Hung, Raised, fate
from statecore.testing.adapters.network import Network

NOTHING_LEFT: Final[Mapping[str, tuple[Fault, str]]] = {
    "nobody listens": (Refuse(), "connect"),
    "the name does not resolve": (Unresolved(), "resolve"),
    "a connection is never accepted": (Blackhole(), "connect"),
}
"""Faults before a byte of the request can have left, and the stage that each is to be told by."""

KEPT: Final[Mapping[str, Cut]] = {
    "the connection is closed before the answer": Cut(lambda _: b""),
    "the connection is reset before the answer": Cut(lambda _: b"", reset=True),
    "the answer ends after its first byte": Cut(lambda answer: answer[:1]),
    "the answer ends after a third": Cut(lambda answer: answer[: len(answer) // 3]),
    "the answer ends after two thirds": Cut(lambda answer: answer[: 2 * len(answer) // 3]),
    "the answer lacks its last byte": Cut(lambda answer: answer[:-1]),
    "the answer lacks its last byte, and the connection is reset": Cut(lambda answer: answer[:-1], reset=True),
}
"""Faults behind which the platform has the request, and nobody here can know it."""

SENT: Final[Mapping[str, Fault]] = {**KEPT, "nothing is ever answered": Stall()}

LENGTHLESS: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"
UNENDING: Final[Mapping[str, Fault]] = {
    "nothing is ever answered": Stall(),
    "an answer drips in and never ends": Drip(LENGTHLESS),
    "a line drips in and never ends": Drip(b"HTTP/1.1 200 OK\r\nx-line: "),
    "an answer never ends": Flood(LENGTHLESS),
    "a line never ends": Flood(b"HTTP/1.1 200 OK\r\nx-line: "),
    "a connection is never accepted": Blackhole(),
}


class Attempts(Base):
    """Checks of single calls."""

    def _answering(self) -> dict[str, Fault | None]:
        """Return ways in which a platform answers at once."""
        status = {
            429: {"retry_after": "7"}, 500: {}, 503: {"retry_after": "7"}, 401: {}, 404: {}, 302: {"location": "/other"},
            307: {"location": "/other"},
        }  # fmt: skip
        answers = {
            f"it answers HTTP {code}": Say(lambda _, code=code, more=more: http_answer(code, b"no", **more))  # type: ignore[misc]
            for code, more in status.items()
        }
        return {
            "it is well": None,
            "it refuses": Say(lambda _: self.refusal("no")),
            "it refuses and leaves the connection open": Say(lambda _: self.refusal("no"), stay=True),
            "it closes at once": Shut(),
            "it resets at once": Shut(reset=True),
            "it closes instead of answering": Cut(lambda _: b""),
            "nobody listens": Refuse(),
            "its name does not resolve": Unresolved(),
            **answers,
        }

    async def _meet(self, hand: Hand, name: str, fault: Fault | None, **part: Any) -> Any:
        """Make one call while a fault holds, from where it makes sense; the counters begin anew with it."""
        await hand.prepare(name)
        made = hand.part(**part) if name == "send" else None
        await trio.testing.wait_all_tasks_blocked()
        hand.network.forget()
        if fault is None:
            return await hand.call(name, made)
        with hand.network.broken(fault):
            return await hand.call(name, made)

    # ---- one attempt, at once ----------------------------------------------------------------------------------------

    def test_a_call_makes_one_attempt(self) -> None:
        """
        Repetitions are decided by machines, recorded, and paced. One that an adapter makes by itself is none of that.
        """

        async def check(hand: Hand) -> None:
            for name in ASKING[hand.platform.tie]:
                for how, fault in self._answering().items():
                    outcome = await self._meet(hand, name, fault)
                    most = self.requests_most.get(name, 1)
                    made = hand.network.attempts
                    assert made <= most, f"{name} made {made} attempts in one call when {how}, and came to {outcome!r}"
                    if fault is None and name != "look_up":
                        assert made, f"{name} asked the platform nothing; does every address go through `through`?"

        self.run(check)

    def test_a_call_takes_no_time_of_its_own(self) -> None:
        """
        Waits are states, with timers that survive a restart. One inside a call is invisible, and delays the chat.
        """

        async def check(hand: Hand) -> None:
            for name in ASKING[hand.platform.tie]:
                for how, fault in self._answering().items():
                    await hand.prepare(name)
                    began = trio.current_time()
                    outcome = await self._meet(hand, name, fault)
                    took = trio.current_time() - began
                    assert isinstance(outcome, Hung) or not took, f"{name} slept for {took:g} s when {how}"

        self.run(check)

    def test_every_call_comes_back(self) -> None:
        """
        A peer that is silent, or never ends, must not hold an account up, nor fill its memory.
        """

        async def check(hand: Hand) -> None:
            for name in ASKING[hand.platform.tie]:
                for how, fault in UNENDING.items():
                    outcome = await self._meet(hand, name, fault)
                    assert not isinstance(outcome, Hung), (
                        f"{name} did not come back within {self.patience_s:g} s when {how}"
                    )
                    told = hand.network.told
                    assert told <= self.answer_bytes_max, f"{name} read {told} bytes of an answer when {how}"

        self.run(check)

    # ---- stages ------------------------------------------------------------------------------------------------------

    def test_what_never_left_is_not_sent(self) -> None:
        """
        Only then it may be sent again freely; and an outage must not turn every message into one that is in doubt.
        """

        async def check(hand: Hand) -> None:
            for how, (fault, stage) in NOTHING_LEFT.items():
                outcome = await self._meet(hand, "send", fault)
                assert fate(outcome) == "not sent", f"send came to {outcome!r} when {how}"
                assert outcome.stage == stage, f"send names stage {outcome.stage!r}, and not {stage!r}, when {how}"
                before = "dial" if hand.platform.tie == "connection" else "authorise"
                failed = await self._meet(hand, before, fault)
                assert isinstance(failed, Failure), f"{before} came to {failed!r} when {how}"
                assert failed.stage == stage, f"{before} names stage {failed.stage!r}, and not {stage!r}, when {how}"
                assert not failed.reachable, f"{before} says that it reached the platform when {how}"

        self.run(check)

    def test_what_fails_at_encryption_is_not_sent(self) -> None:
        """
        And it stays so whoever answers: who vouches for nothing gets no credential.
        """
        faults: dict[str, Fault] = {
            "the server does not encrypt": Plain(),
            "nobody vouches for the certificate": SelfSigned(),
        }

        async def main() -> None:
            secrets: dict[str, str] = {}
            async with self.stage() as (peer, network), self.client(peer, network, secrets) as hand:
                await hand.prepare("send")
                message = hand.message
                async with trio.open_nursery() as nursery:
                    other = Network(nursery, self.requests, encrypted=True)
                    trio.socket.set_custom_hostname_resolver(other)
                    async with self.client(peer, other, secrets) as second:
                        second.message = message
                        for how, fault in faults.items():
                            with other.broken(fault):
                                if hand.platform.tie == "connection":
                                    await second.call("dial")
                                outcome = await second.call("send")
                            if isinstance(fault, Plain) and not _greeted(other):
                                pytest.skip("this adapter does not encrypt when its address begins with https or wss")
                            assert fate(outcome) == "not sent", f"send came to {outcome!r} when {how}"
                            assert isinstance(outcome, Unsent)
                            assert outcome.stage == "tls", f"send names stage {outcome.stage!r} when {how}"
                    nursery.cancel_scope.cancel()

        self.virtually(main)

    def test_what_may_have_left_is_unknown(self) -> None:
        """
        To say "not sent" of it shows a message twice; to say "taken" loses it.
        """

        async def check(hand: Hand) -> None:
            there = 0
            for how, fault in SENT.items():
                outcome = await self._meet(hand, "send", fault, text=how)
                assert fate(outcome) == "unknown", f"send came to {outcome!r} when {how}"
                there += how in "".join(hand.peer.shown())
            for how, said in nonsense().items():
                outcome = await self._meet(hand, "send", Say(lambda _, said=said: said))  # type: ignore[misc]
                assert fate(outcome) != "not sent", f"send came to {outcome!r} at {how}, and the request had left"
            assert there, "no text that was cut off behind was shown: the fault came too early to check anything"

        self.run(check)

    def test_what_is_refused_is_refused_and_what_is_taken_is_taken(self) -> None:
        """
        The plain cases.
        """

        async def check(hand: Hand) -> None:
            outcome = await self._meet(hand, "send", Say(lambda _: self.refusal("no")))
            assert fate(outcome) == "refused", f"send came to {outcome!r} when the platform refuses"
            outcome = await self._meet(hand, "send", None, text="a text to be shown")
            assert fate(outcome) == "taken", f"send came to {outcome!r} when the platform is well"
            shown = [text for text in hand.peer.shown() if "a text to be shown" in text]
            assert len(shown) == 1, f"one text was sent, and the user was shown {len(shown)}"

        self.run(check)

    # ---- answers that are none ---------------------------------------------------------------------------------------

    def test_nothing_that_is_answered_makes_a_call_raise(self) -> None:
        """
        Outcomes are values. What is raised is a child that died, and says nothing about what became of the message.
        """

        async def check(hand: Hand) -> None:
            for name in ASKING[hand.platform.tie]:
                for how, said in nonsense().items():
                    outcome = await self._meet(hand, name, Say(lambda _, said=said: said))  # type: ignore[misc]
                    assert not isinstance(outcome, Raised), f"{name} raised {outcome!r} at {how}"
                    assert not isinstance(outcome, Hung), f"{name} did not come back at {how}"
                    self.is_an_outcome(name, outcome, how)
                await hand.prepare(name)
                await hand.well(name)

        self.run(check)

    def test_an_answer_that_is_none_is_no_success(self) -> None:
        """
        A page of a captive portal is not the platform's word that a message was taken.
        """

        async def check(hand: Hand) -> None:
            for how, said in nonsense().items():
                outcome = await self._meet(hand, "send", Say(lambda _, said=said: said))  # type: ignore[misc]
                if how not in MAY_BE_SUCCESS:
                    assert fate(outcome) != "taken", f"send came to {outcome!r} at {how}"

        self.run(check)

    def is_an_outcome(self, name: str, outcome: object, how: str) -> None:
        """Hold an outcome to those that the driver knows for a call."""
        from statecore.driver import OUTCOMES
        from statecore.testing.adapters.hand import EFFECTS

        allowed = OUTCOMES[EFFECTS[name]]
        names = ", ".join(one.__name__ for one in allowed)
        assert isinstance(outcome, allowed), f"{name} came to {outcome!r} at {how}; the driver knows {names}"


def _greeted(network: Network) -> bool:
    """Tell whether an adapter began with what begins TLS."""
    return bool(network.connections) and network.connections[-1].sent.startswith(b"\x16\x03")


MAY_BE_SUCCESS: Final = frozenset(
    {"an empty body", "an empty object", "a list", "nothing but null", "half a character", "fields of wrong types"}
)
"""What a platform of few words may answer to a send that it took."""


def nonsense() -> dict[str, bytes]:
    """Return answers that are none, by what they are."""

    def ok(body: bytes, kind: str = "application/json") -> bytes:
        return http_answer(200, body, kind)

    deep = b"[" * 20_000 + b"]" * 20_000
    return {
        "nothing at all": b"",
        "bytes that are no protocol": bytes(range(256)) * 3,
        "a greeting of another protocol": b"220 smtp.example.com ESMTP\r\n",
        "an empty line": b"\r\n\r\n",
        "an empty body": ok(b""),
        "an empty object": ok(b"{}"),
        "a list": ok(b"[]"),
        "nothing but null": ok(b"null"),
        "a page": ok(b"<html><body>Please log in to use this network</body></html>", "text/html"),
        "a page that says it is JSON": ok(b"<html></html>"),
        "half of a JSON text": ok(b'{"id": "m'),
        "bytes that are no text": ok(b"\xff\xfe\x00{\x80"),
        "half a character": ok(b'{"id": "\\ud800", "message": "\\udfff"}'),
        "fields of wrong types": ok(
            b'{"ret": {}, "errcode": [], "code": "x", "msgs": 7, "data": null, "url": 5, "access_token": {}}'
        ),
        "numbers beyond all measure": ok(b'{"ret": 1e999, "code": -1e400, "errcode": ' + b"9" * 5000 + b"}"),
        "nesting beyond all measure": ok(deep),
        "a megabyte of nothing": ok(b" " * 1_000_000),
        "an error of the server's": http_answer(500, b"<html>oops</html>"),
        "an error of a gateway's": http_answer(502, b"<html>bad gateway</html>"),
        "a status that nobody knows": http_answer(799, b"?"),
        "a redirect to nowhere": http_answer(302, b"", location="http://[::1"),
        "a redirect to another host": http_answer(307, b"", location="https://nowhere.invalid/"),
        "an endless redirect": http_answer(302, b"", location="/"),
        "a length that is no number": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
        "a length that is too long": b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{}",
        "an encoding that it is not in": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        "a switch of protocols that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "two answers at once": ok(b"not json") + ok(b"{}"),
    }
