"""Reading a refusal: what is known at that moment, and what it is taken to mean.

A refusal that can mean several things is read with the evidence at hand and then, at most once, by an experiment. The
reading and its evidence stand in the event, so that a person who opens the journal sees why the machine did what it did.
"""

from typing import Literal

import attrs

Then = Literal["bare", "window", "slot", "taken", "circuit", "account", "credentials", "retry", "dead"]
"""What follows from a refusal.

bare         the one experiment: the same part once more, without the context token, or without markup
window       the platform allows nothing more in this chat until its user writes
slot         it allows no more answers to that message; there may be another to answer
taken        it has taken this very part before, or something else under the same number
circuit      leave this chat alone for a while
account      leave the whole account alone for a while
credentials  the account's own credentials are refused
retry        a passing fault of the platform: try again after a backoff
dead         trying again can never help
"""


@attrs.frozen(kw_only=True)
class Evidence:
    """What was known when a request was refused. Durations in ns.

    Args:
        spent: requests made in this chat since its user last wrote, with this one.
        allowed: how many the platform allows.
        heard_ago: since when the user has not written; None if this journal never saw them write.
        size: of the part, in UTF-8 bytes.
        bare: whether the request carried no context token.
        bare_refused: whether an attempt without the token was already refused since the user last wrote.
        last_second: requests of the account in the last second, with this one.
        last_minutes: requests of the account in the last five minutes, with this one.
        others_refused: other chats refused lately, with nothing of the account accepted since.
        others_accepted: requests of other chats that were accepted since this chat's first refusal.
        probing: whether this request was the probe of the account's circuit.
        answers: whether the request was an answer to a message of the user.
        unclear: whether the answer to an earlier request for the same part was lost.
    """

    spent: int = 0
    allowed: int = 0
    heard_ago: int | None = None
    size: int = 0
    bare: bool = False
    bare_refused: bool = False
    last_second: int = 0
    last_minutes: int = 0
    others_refused: int = 0
    others_accepted: int = 0
    probing: bool = False
    answers: bool = False
    unclear: bool = False


@attrs.frozen
class Reading:
    """What a refusal is taken to mean.

    Args:
        then: what follows.
        says: the meaning in a sentence, for people.
        action: what a person must do, if anything.
        throttled: whether it is a sign that the account speaks too fast.
        lasts: whether what is tried without now would be refused with every message, so that it need not be tried again.
    """

    then: Then
    says: str
    action: str = ""
    throttled: bool = False
    lasts: bool = False
