"""An adapter that a stranger wrote, for a platform that is no HTTP, passes the suite as it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from statecore.testing.adapters import AdapterSuite, Peer
from tests.testing.suites.post import PART_MAX, SETTINGS, Office, Post, open_office

TOKEN = SETTINGS["token"]


class PostSuite(AdapterSuite):
    """What the stranger says about it."""

    kind: ClassVar[type[Any] | None] = Post
    settings = SETTINGS
    bad_chats: ClassVar[tuple[str, ...]] = ("", "A 7", "tube/1")

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Peer]:
        """Run a post office."""
        async with open_office(Office(TOKEN)) as office:
            yield Peer(
                account=lambda through: self.account(through(f"tcp://127.0.0.1:{office.port}")),
                chat="A7",
                say=lambda text: office.say("A7", text),
                shown=lambda: office.shown,
                canaries=(TOKEN,),
            )

    def account(self, address: str) -> Post:
        """Make an account."""
        return Post(address=address, token=TOKEN)

    def requests(self, sent: bytes) -> list[bytes]:
        """A request is a line."""
        return [line + b"\n" for line in sent.split(b"\n")[:-1]]

    def refusal(self, words: str) -> bytes:
        """The office refuses in a line."""
        return f"NO 500 {words}".replace("\n", " ").encode() + b"\n"

    def key(self, request: bytes) -> bytes:
        """The third word."""
        return request.split(b" ")[2]

    def fits(self, part: str) -> bool:
        """A tube takes so much."""
        return len(part) <= PART_MAX


class TestPost(PostSuite):
    """The post office."""
