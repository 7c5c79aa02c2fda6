"""Each way to break an adapter is found, and by the check that names it: a suite that passes everything proves nothing."""

import hashlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import attrs
import pytest
import trio
from hypothesis import Phase, settings

from statecore.errors import NotAccepted
from statecore.platform import Dialled, Outgoing, Platform, Policies, Refusal, Secrets, Taken, Unsent
from statecore.reading import Evidence, Reading
from statecore.testing.adapters import AdapterSuite, Peer
from statecore.testing.adapters.attempts import Attempts
from statecore.testing.adapters.declared import Declared
from statecore.testing.adapters.endings import Endings
from statecore.testing.adapters.pure import RUNS, Pure
from statecore.testing.adapters.wires import Wires
from tests.testing.suites.failing import checks, failing
from tests.testing.suites.post import Line, Office, Post, PostClient, PostPlatform, open_office
from tests.testing.suites.test_post_conformance import TOKEN, PostSuite

pytestmark = AdapterSuite.pytestmark

LEFT_OPEN: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    for stream in LEFT_OPEN:
        stream.close()
    LEFT_OPEN.clear()


# ---- clients ---------------------------------------------------------------------------------------------------------


class Retries(PostClient):
    """Tries again by itself."""

    async def ask(self, *words: str) -> Line:
        line = await super().ask(*words)
        return await super().ask(*words) if line.stage == "receive" else line


class Sleeps(PostClient):
    """Waits a little after a failure, to be kind."""

    async def ask(self, *words: str) -> Line:
        line = await super().ask(*words)
        if line.stage is not None:
            await trio.sleep(1)
        return line


class Swallows(PostClient):
    """Makes an outcome of its cancellation."""

    async def ask(self, *words: str) -> Line:
        try:
            return await super().ask(*words)
        except trio.Cancelled:
            return Line(stage="receive", error="cancelled")


class Tells(PostClient):
    """Says in the error what it asked."""

    async def ask(self, *words: str) -> Line:
        line = await super().ask(*words)
        return attrs.evolve(line, error=f"{line.error}: {words}") if line.error else line


class Logs(PostClient):
    """Writes down what it asks, for whoever looks for a bug."""

    async def ask(self, *words: str) -> Line:
        logging.getLogger("post").debug("asking %s", words)
        return await super().ask(*words)


class SaysUnsent(PostClient):
    """Takes a connection that broke for a message that did not leave."""

    def sent(self, line: Line) -> Any:
        return Unsent(stage="send", error=line.error) if line.stage == "receive" else super().sent(line)


class Trusting(PostClient):
    """Takes whatever is no refusal for a yes."""

    def sent(self, line: Line) -> Any:
        return Taken() if line.text and not line.text.startswith("NO") else super().sent(line)


class NewKeys(PostClient):
    """Makes a key for each attempt."""

    made = 0

    async def send(self, part: Outgoing) -> Any:
        NewKeys.made += 1
        return await super().send(attrs.evolve(part, key=f"{part.key}-{NewKeys.made}"))


class SameKeys(PostClient):
    """Makes the key out of the text."""

    async def send(self, part: Outgoing) -> Any:
        return await super().send(attrs.evolve(part, key=hashlib.sha256(part.text.encode()).hexdigest()))


class Raises(PostClient):
    """Trusts the answer to be what it should."""

    def sent(self, line: Line) -> Any:
        if line.text and line.text.split(" ")[0] not in ("OK", "NO"):
            raise ValueError(f"{line.text[:20]} is no answer")
        return super().sent(line)


class Waits(PostClient):
    """Has no time limit for an answer."""

    async def ask(self, *words: str) -> Line:
        line = await super().ask(*words)
        if line.error == "no answer within half a minute":
            await trio.sleep_forever()
        return line


class Hoards(PostClient):
    """Leaves its connection open if it is interrupted."""

    async def ask(self, *words: str) -> Line:
        port = self.account.address.rpartition(":")[2]
        try:
            return await super().ask(*words)
        except trio.Cancelled:
            LEFT_OPEN.append(socket.create_connection(("127.0.0.1", int(port))))
            raise


class Loses(PostClient):
    """Keeps the cursor to itself, and moves it before anybody has the mail."""

    cursor = "0"

    async def receive(self) -> Any:
        self.secrets = {"cursor": self.cursor}
        batch = await super().receive()
        self.cursor = getattr(batch, "secrets", {}).get("cursor", self.cursor)
        await trio.lowlevel.checkpoint()
        return batch


class Lingers(PostClient):
    """Keeps a connection for later, and nobody closes it."""

    kept = False

    async def dial(self) -> Any:
        port = self.account.address.rpartition(":")[2]
        outcome = await super().dial()
        if isinstance(outcome, Dialled) and not self.kept:
            self.kept = True
            LEFT_OPEN.append(socket.create_connection(("127.0.0.1", int(port))))
        return outcome


class Renews(PostClient):
    """Says that there are new credentials, always."""

    def renewed(self) -> bool:
        return True


class Blurs(PostClient):
    """Cannot tell a name that does not resolve from a host that is down."""

    async def ask(self, *words: str) -> Line:
        line = await super().ask(*words)
        return attrs.evolve(line, stage="connect") if line.stage == "resolve" else line


class Shows(PostClient):
    """Shows what it holds."""

    def __repr__(self) -> str:
        return f"PostClient({self.account.token})"


COSTLY = {name for name in checks(AdapterSuite) if "gateway" in name or "at_any_moment" in name}


def beside(found: str) -> list[str]:
    """Name a check and those of its kind, but for costly ones."""
    groups = [
        checks(Attempts),
        *(sorted(set(checks(kind)) - set(checks(Attempts))) for kind in (Wires, Endings, Declared)),
    ]
    return [name for group in groups if found in group for name in group if name == found or name not in COSTLY]


@attrs.frozen(kw_only=True)
class Broken(Post):
    """An account whose client is a broken one."""

    client: Any = attrs.field(repr=False)
    wraps: bool = False
    resends: Literal["always", "once"] = "always"

    @property
    def platform(self) -> Platform:
        return Resending(how=self.resends)

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Any]:
        return _wrapped(self.client(self, secrets)) if self.wraps else _plain(self.client(self, secrets))


@attrs.frozen
class Resending(PostPlatform):
    """The pure half, which says of resending what it is told."""

    how: Literal["always", "once"] = "always"

    def resends(self, _chat: str, _answers: str) -> Literal["always", "once"]:
        return self.how


@asynccontextmanager
async def _plain(client: Any) -> AsyncIterator[Any]:
    yield client


@asynccontextmanager
async def _wrapped(client: Any) -> AsyncIterator[Any]:
    async with trio.open_nursery():
        yield client


def suite(client: type[PostClient], *, wraps: bool = False, resends: Any = "always", window: int = 10) -> PostSuite:
    class Suite(PostSuite):
        quiet_s = 0.001

        @asynccontextmanager
        async def platform(self) -> AsyncIterator[Peer]:
            async with open_office(Office(TOKEN, window)) as office:
                yield Peer(
                    account=lambda through: Broken(
                        address=through(f"tcp://127.0.0.1:{office.port}"),
                        token=TOKEN,
                        client=client,
                        wraps=wraps,
                        resends=resends,
                    ),
                    chat="A7",
                    say=lambda text: office.say("A7", text),
                    shown=lambda: office.shown,
                    canaries=(TOKEN,),
                )

    return Suite()


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (suite(Retries), "test_a_call_makes_one_attempt"),
        (suite(Sleeps), "test_a_call_takes_no_time_of_its_own"),
        (suite(Swallows), "test_a_call_that_waits_is_ended_by_its_cancellation"),
        (suite(Tells), "test_nothing_it_says_shows_a_secret"),
        (suite(Logs), "test_nothing_it_says_shows_a_secret"),
        (suite(SaysUnsent), "test_what_may_have_left_is_unknown"),
        (suite(Trusting), "test_an_answer_that_is_none_is_no_success"),
        (suite(NewKeys, resends="once"), "test_a_part_has_the_same_key_on_every_attempt"),
        (suite(SameKeys), "test_different_parts_have_different_keys"),
        (suite(NewKeys), "test_what_may_always_be_sent_again_is_shown_once"),
        (suite(Raises), "test_nothing_that_is_answered_makes_a_call_raise"),
        (suite(Waits), "test_every_call_comes_back"),
        (suite(Hoards), "test_cancelled_at_any_moment_nothing_is_left_behind"),
        (suite(Loses), "test_cancelled_at_any_moment_the_next_call_works"),
        (suite(Lingers), "test_a_client_that_is_closed_holds_nothing"),
        (suite(PostClient, wraps=True), "test_what_goes_wrong_outside_comes_out_as_itself"),
        (suite(Renews), "test_credentials_that_did_not_change_are_not_renewed"),
        (suite(Blurs), "test_what_never_left_is_not_sent"),
        (suite(Shows), "test_nothing_that_is_held_shows_a_secret"),
        (suite(PostClient, window=5), "test_the_window_is_no_wider_than_the_platforms"),
    ],
    ids=(
        "retries",
        "sleeps",
        "swallows",
        "tells",
        "logs",
        "says-unsent",
        "trusting",
        "new-keys",
        "same-keys",
        "new-keys-deduplicated",
        "raises",
        "waits",
        "hoards",
        "loses",
        "lingers",
        "wraps",
        "renews",
        "blurs",
        "shows",
        "generous",
    ),
)
def test_a_broken_client_is_found_by_the_check_that_names_it(broken: PostSuite, found: str) -> None:
    """
    A check that finds nothing in a client that breaks its rule would pass every client.
    """
    said = failing(broken, beside(found))
    assert found in said
    assert set(said) <= {found, *ALSO.get(found, ())}, said


ALSO = {
    "test_what_may_always_be_sent_again_is_shown_once": {"test_a_part_has_the_same_key_on_every_attempt"},
}
"""What a broken client breaks as well, because one follows from the other."""


# ---- the pure half ---------------------------------------------------------------------------------------------------


class Drops(PostPlatform):
    """Leaves out what it has no glyph for."""

    def split(self, text: str) -> tuple[str, ...]:
        return super().split(text.replace("字", " "))


class TooLong(PostPlatform):
    """Counts what the platform does not count."""

    def split(self, text: str) -> tuple[str, ...]:
        super().split(text)
        return tuple(text[at : at + 600] for at in range(0, len(text), 600))


class Tears(PostPlatform):
    """Cuts where it must, whatever is there."""

    def split(self, text: str) -> tuple[str, ...]:
        super().split(text)
        return tuple(text[at : at + 499] for at in range(0, len(text), 499))


class TakesBlanks(PostPlatform):
    """Sends whatever it is given."""

    def split(self, text: str) -> tuple[str, ...]:
        try:
            return super().split(text)
        except NotAccepted:
            return (text[:400],)


class TakesChats(PostPlatform):
    """Takes any chat."""

    def check(self, chat: str) -> None:
        pass


class Stumbles(PostPlatform):
    """Knows every refusal that there is."""

    def read(self, refusal: Refusal, evidence: Evidence) -> Reading:
        return {"429": super().read(refusal, evidence)}[refusal.code]


class GoesRound(PostPlatform):
    """Makes its experiment again and again."""

    def read(self, _refusal: Refusal, _evidence: Evidence) -> Reading:
        return Reading("bare", "perhaps without")


class LooksAtTheClock(PostPlatform):
    """Reads a refusal otherwise on Sundays."""

    def read(self, _refusal: Refusal, _evidence: Evidence) -> Reading:
        return Reading("retry", f"it is {time.time()}")  # noqa: TID251 - that is what is wrong with it


@attrs.frozen(kw_only=True)
class TakesAnything(Post):
    """Looks at its settings when they are needed."""

    tubes: Any = 3


@attrs.frozen(kw_only=True)
class Traceback(Post):
    """Looks at its settings as if a program had written them."""

    tubes: int = attrs.field(default=3, converter=int)


def pure(platform: PostPlatform | None = None, kind: type[Any] = Post) -> PostSuite:
    class Suite(PostSuite):
        runs = settings(
            RUNS, max_examples=25, phases=(Phase.explicit, Phase.generate)
        )  # what it finds need not be small

        def offline(self) -> Any:
            account = super().offline()
            return account if platform is None else _Account(platform, account.policies)

    Suite.kind = kind
    return Suite()


@attrs.frozen
class _Account:
    platform: Platform
    policies: Policies
    identity: str = "post"


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (pure(Drops()), "test_the_parts_of_a_text_are_the_text"),
        (pure(TooLong()), "test_every_part_is_one_that_the_platform_takes"),
        (pure(Tears()), "test_no_character_is_torn"),
        (pure(TakesBlanks()), "test_what_cannot_be_sent_is_not_accepted"),
        (pure(TakesChats()), "test_a_chat_is_accepted_or_refused_by_name"),
        (pure(Stumbles()), "test_every_refusal_can_be_read"),
        (pure(GoesRound()), "test_an_experiment_is_made_once"),
        (pure(LooksAtTheClock()), "test_the_pure_half_knows_no_clock_and_no_chance"),
        (pure(kind=TakesAnything), "test_an_absurd_setting_is_refused_by_the_key_that_holds_it"),
        (pure(kind=Traceback), "test_an_absurd_setting_is_refused_by_the_key_that_holds_it"),
    ],
    ids=(
        "drops",
        "too-long",
        "tears",
        "takes-blanks",
        "takes-chats",
        "stumbles",
        "goes-round",
        "looks-at-the-clock",
        "takes-anything",
        "traceback",
    ),
)
def test_a_broken_pure_half_is_found_by_the_check_that_names_it(broken: PostSuite, found: str) -> None:
    """
    The same for what needs no server.
    """
    said = failing(broken, checks(Pure))
    assert found in said
    assert set(said) <= {found, *FOLLOWS.get(found, ())}, said


FOLLOWS = {
    "test_every_refusal_can_be_read": {
        "test_an_experiment_is_made_once",
        "test_the_pure_half_knows_no_clock_and_no_chance",
    },
    "test_every_part_is_one_that_the_platform_takes": {
        "test_no_character_is_torn",
        "test_the_parts_of_a_text_are_the_text",
    },
    "test_no_character_is_torn": {
        "test_every_part_is_one_that_the_platform_takes",
        "test_the_parts_of_a_text_are_the_text",
    },
}
