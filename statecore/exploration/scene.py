"""What is composed: how many chats and messages, what may go wrong how often, and whose code decides. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import attrs

from statecore.account import Account
from statecore.errors import ExplorationError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.platform import Policies, Refusal
from statecore.policies import Circuit, Retry, Window
from statecore.reading import Evidence, Reading

NAME: Final = "a"
"""The account's name."""

UNBOUNDED: Final = 99
"""A budget that is never used up."""


@attrs.frozen(kw_only=True)
class ModelPlatform:
    """The pure half of a platform whose refusals mean what the model tries.

    Args:
        name: how it is called.
        tie: what it is tied by.
        answers: whether a message is sent in answer to one that came in.
        unasked: whether a message may be sent that answers none.
        markup: whether parts carry markup that can be refused.
        resend: what may be done with a part whose answer was lost.
        deduplicates: whether it shows what comes twice under one key once.
        reviews: whether it may have parts looked at.
    """

    name: str = "model"
    tie: Literal["connection", "session"] = "connection"
    answers: bool = False
    unasked: bool = False
    markup: bool = False
    resend: Literal["always", "once", "never"] = "once"
    deduplicates: bool = False
    reviews: bool = False

    def resends(self, chat: str, answers: str) -> Literal["always", "once", "never"]:  # noqa: ARG002
        """Say what may be done with a part whose answer was lost."""
        return self.resend

    def check(self, chat: str) -> None:
        """Every chat will do."""

    def split(self, text: str) -> tuple[str, ...]:
        """Cut nothing."""
        return (text,)

    def read(self, refusal: Refusal, evidence: Evidence) -> Reading:  # noqa: ARG002
        """Take a refusal for what the model says it is."""
        then: Any = refusal.code
        return Reading(then, f"read as {then}", "see to it" if then in ("dead", "credentials") else "")


POLICIES: Final = Policies(
    window=Window(messages=2),
    retry=Retry(attempts=2, interruptions=1),
    circuit=Circuit(),
)
"""The shipped ones, with counts so small that they are used up within a few steps."""


class Budgets(NamedTuple):
    """What may still happen, and how often.

    Args:
        crashes: ends of the process without a word.
        stops: ends that were asked for.
        losses: requests or answers that get lost, or come too late.
        copies: requests that the network delivers twice.
        unsent: requests that do not leave.
        refusals: parts that the platform refuses.
        outages: failures of the tie to the platform.
        writes: messages of users.
        people: what persons do: reviving, purging, trying again.
    """

    crashes: int = 1
    stops: int = 0
    losses: int = UNBOUNDED
    copies: int = 0
    unsent: int = 0
    refusals: int = 1
    outages: int = 0
    writes: int = UNBOUNDED
    people: int = 0


@attrs.frozen(kw_only=True)
class Scene:
    """What is composed.

    Args:
        deliveries: how many messages are sent to each chat.
        parts: of how many parts each message is, where it is not one; by (chat, message).
        expiring: (chat, message) of those that their sender gives up some time.
        budgets: what may happen how often.
        readings: what a refusal may be taken to mean.
        platform: the pure half.
        policies: the numbers it goes by.
        machines: the definitions by name; replace one to explore a change.
        account: makes what decides; replace it to explore another policy.
        idles: whether polls bring nothing sometimes.
        tied: whether the account is tied from the beginning, so that this much is not explored again.
    """

    deliveries: tuple[int, ...] = (2, 1)
    parts: Mapping[tuple[int, int], int] = attrs.field(factory=dict)
    expiring: frozenset[tuple[int, int]] = frozenset()
    budgets: Budgets = attrs.field(factory=Budgets)
    readings: tuple[str, ...] = ("circuit", "account", "window", "retry")
    platform: ModelPlatform = attrs.field(factory=ModelPlatform)
    policies: Policies = POLICIES
    machines: Mapping[str, Machine] = attrs.field(factory=lambda: MACHINES)
    account: Callable[..., Account] = Account
    idles: bool = True
    tied: bool = True

    def __attrs_post_init__(self) -> None:
        if not self.deliveries or min(self.deliveries) < 0:
            raise ExplorationError(
                f"a scene has one chat at least, and none with less than no message: {self.deliveries}"
            )

    def parts_of(self, chat: int, delivery: int) -> int:
        """Return of how many parts a message is."""
        return self.parts.get((chat, delivery), 1)

    @property
    def bounds(self) -> str:
        """Say within what a proof holds."""
        count = sum(self.deliveries)
        chats = len(self.deliveries)
        said = [f"{chats} chat{'s' * (chats != 1)}", f"{count} deliver{'ies' if count != 1 else 'y'}"]
        for name, most in self.budgets._asdict().items():
            if name != "writes" and most:
                said.append(f"{'any' if most == UNBOUNDED else most} {name}")
        return ", ".join(said)


class Act(NamedTuple):
    """Something that happens in a composed model.

    Args:
        kind: what; the words of `SAYS`.
        chat: index of the chat, or -1.
        delivery: index of the message in its chat, or -1.
        how: what exactly.
    """

    kind: str
    chat: int = -1
    delivery: int = -1
    how: str = ""

    def __str__(self) -> str:
        return (
            SAYS[self.kind]
            .format(chat=self.chat + 1, message=f"message {self.delivery + 1} of chat {self.chat + 1}", how=self.how)
            .strip()
        )


SAYS: Final = {
    "accept": "{message} is accepted",
    "turn": "chat {chat} has its turn",
    "arrive": "the request of {message} arrives: {how}",
    "stray": "an old request of {message} arrives",
    "copy": "the network copies the request of {message}",
    "answer": "the answer to {message}: {how}",
    "elapse": "a timer of {message} elapses: {how}",
    "elapse-window": "the window of chat {chat} lapses",
    "elapse-circuit": "a timer of the circuit of chat {chat} elapses: {how}",
    "elapse-account": "a timer of the account's circuit elapses: {how}",
    "elapse-tie": "a timer of the tie elapses: {how}",
    "tie": "the attempt of the tie comes to this: {how}",
    "write": "the user of chat {chat} writes",
    "review": "the platform has looked at {message}: {how}",
    "drained": "nothing is under way any more",
    "start": "a process takes the account",
    "crash": "the process ends",
    "happen": "{how}",
    "revive": "a person has {message} tried again",
    "purge": "a person purges {message}",
    "reset": "a person closes the circuit of chat {chat}",
}
