"""What an adapter declares about its platform, held to what the platform does; and the frames of a session."""

import json
from typing import Any, Final

import attrs
import pytest
import trio

from statecore.platform import Pending, Refusal, Taken
from statecore.reading import Evidence
from statecore.testing.adapters.attempts import Attempts
from statecore.testing.adapters.faults import Say
from statecore.testing.adapters.hand import Hand, Hung, Raised, fate

SPENT_MOST: Final = 30
"""A window that allows more is not spent to its end."""


class Declared(Attempts):
    """Checks of declarations."""

    def test_the_window_is_no_wider_than_the_platforms(self) -> None:
        """
        It is spent before a request leaves. One that is too wide is found out by refusals, which cost a penalty.
        """

        async def check(hand: Hand) -> None:
            await hand.prepare("send")
            assert hand.message is not None
            window = hand.config.policies.window_of(hand.message.chat)
            for number in range(1, min(window.messages, SPENT_MOST) + 1):
                outcome = await hand.call("send")
                assert fate(outcome) == "taken", (
                    f"after one message of the user {window.messages} may be said, by the window; the answer to number "
                    f"{number} was {outcome!r}"
                )

        self.run(check)

    def test_what_may_always_be_sent_again_is_shown_once(self) -> None:
        """
        "always" is a promise of the platform's: it takes a key once.
        """

        async def check(hand: Hand) -> None:
            await hand.prepare("send")
            part = hand.part("to be shown once")
            if hand.platform.resends(part.chat, part.answers) != "always":
                pytest.skip("this platform does not take a key once, by its own `resends`")
            first, again = await hand.call("send", part), await hand.call("send", part)
            assert fate(first) == "taken", f"send came to {first!r}"
            shown = [text for text in hand.peer.shown() if "to be shown once" in text]
            assert len(shown) == 1, f"a part that was sent twice was shown {len(shown)} times"
            if isinstance(again, Refusal):
                reading = hand.platform.read(again, Evidence(unclear=True, answers=bool(part.answers)))
                assert reading.then == "taken", (
                    f"the repetition is refused with {again!r}, and that is read as {reading!r}"
                )
            else:
                assert isinstance(again, Taken | Pending), f"the repetition came to {again!r}"

        self.run(check)

    def test_an_answer_says_what_it_answers(self) -> None:
        """
        A platform that counts answers by message must be told which one, and which number it is.
        """

        async def check(hand: Hand) -> None:
            if not hand.platform.answers:
                pytest.skip("this platform is not told what is answered, by its own `answers`")
            await hand.prepare("send")
            part = hand.part("yes")
            assert part.answers, "what came in has no id"
            sent = [await self._key_of(hand, one) for one in (part, attrs.evolve(part, answers="another message"))]
            assert sent[0] != sent[1], "the request does not say which message it answers"

        self.run(check)

    def test_a_part_without_markup_is_another_request(self) -> None:
        """
        Else the experiment finds out nothing.
        """

        async def check(hand: Hand) -> None:
            if not hand.platform.markup:
                pytest.skip("this account sends no markup, by its platform's own `markup`")
            await hand.prepare("send")
            part = hand.part("**yes**")
            sent = [await self._key_of(hand, one) for one in (part, attrs.evolve(part, bare=True, token=""))]
            assert sent[0] != sent[1], "a part is sent with its markup, bare or not"

        self.run(check)

    async def _key_of(self, hand: Hand, part: Any) -> bytes:
        hand.network.forget()
        with hand.network.broken(Say(lambda _: self.refusal("no"))):
            await hand.call("send", part)
        return hand.network.requests[-1].partition(b"\r\n\r\n")[2] or hand.network.requests[-1]

    def test_what_may_be_said_unasked_is_taken_unasked(self) -> None:
        """
        Else it is held back for an answer that nobody awaits, or sent and refused.
        """

        async def check(hand: Hand) -> None:
            if not hand.platform.unasked:
                pytest.skip("this platform takes nothing unasked, by its own `unasked`")
            await hand.prepare("send")
            outcome = await hand.call("send", hand.part(answers="", number=0))
            assert fate(outcome) == "taken", f"a message that answers none came to {outcome!r}"

        self.run(check)

    def test_credentials_that_did_not_change_are_not_renewed(self) -> None:
        """
        It is asked every few seconds while they are refused; saying yes would dial each time.
        """

        async def check(hand: Hand) -> None:
            await hand.prepare("send")
            hand.network.forget()
            assert hand.client.renewed() is False, "the credentials are those last used, and `renewed` says otherwise"
            assert not hand.network.attempts, "`renewed` asked the platform"

        self.run(check)

    # ---- frames ------------------------------------------------------------------------------------------------------

    def test_whatever_a_frame_holds_it_is_read_as_something(self) -> None:
        """
        Any bytes: a frame that is not understood is a note, or the end of the connection, and never an exception.
        """

        async def check(hand: Hand) -> None:
            if hand.platform.tie != "session":
                pytest.skip("this platform is polled")
            for how, payload in odd_frames().items():
                await hand.prepare("identify")
                await hand.well("identify")
                async with trio.open_nursery() as nursery:  # a long one arrives only while it is read
                    nursery.start_soon(hand.network.inject, self.frame(payload))
                    for _ in range(4):
                        outcome = await hand.call("read")
                        assert not isinstance(outcome, Raised | Hung), f"reading {how} came to {outcome!r}"
                        self.is_an_outcome("read", outcome, how)
                        if outcome.__class__.__name__ in ("Ended", "Note"):
                            break

        self.run(check)

    def test_a_frame_that_was_not_taken_in_is_given_again(self) -> None:
        """
        The machine had left the state when it arrived. Dropped, it would be lost: where the session stands covers it.
        """

        async def check(hand: Hand) -> None:
            if hand.platform.tie != "session":
                pytest.skip("this platform is polled")
            await hand.prepare("send")
            text = await hand.say()
            first = await hand.client.read(hand.taken, beat=False)
            again = await hand.client.read(hand.taken, beat=False)
            assert first == again, f"a frame that was not taken in was {first!r}, and then {again!r}"
            assert (await hand.until_heard(text)).text == text

        self.run(check)


def odd_frames() -> dict[str, bytes]:
    """Return what a frame may hold against all agreement."""
    return {
        "nothing": b"",
        "what is no text": b"\xff\xfe\x00",
        "what is no JSON": b"hello",
        "half of a JSON text": b'{"op": 0, "d": {',
        "null": b"null",
        "a list": b"[1, 2]",
        "a number": b"1e999",
        "an object of nothing": b"{}",
        "an unknown kind": json.dumps({"op": 99, "type": "?", "d": {}}).encode(),
        "fields of wrong types": json.dumps({"op": "0", "t": 5, "s": "x", "d": "y", "id": []}).encode(),
        "a dispatch of nothing": json.dumps({"op": 0, "t": "X", "s": -1, "d": None}).encode(),
        "half a character": b'{"op": 0, "t": "\\ud800", "s": 1, "d": {"content": "\\udfff"}}',
        "a number beyond all measure": b'{"op": 0, "s": ' + b"9" * 5000 + b"}",
        "nesting beyond all measure": b"[" * 20_000 + b"]" * 20_000,
        "a megabyte": b'"' + b"x" * 1_000_000 + b'"',
    }
