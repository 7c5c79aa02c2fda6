"""Plans drawn from a seed.

Each seed leaves some kinds of faults out and repeats others, so that what one fault would hide another seed shows (swarm
testing: Groce et al., ISSTA 2012). Lengths of spells are drawn evenly from their logarithms: the short ones hit single
requests, the long ones whole ladders of waits.
"""

import random  # noqa: TID251 - a plan is drawn once, from its own seed
from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any, Final

import attrs

from statecore.simulation.cards import Card, deal
from statecore.simulation.plan import FAULTS, Occurrence, Plan, PlanError, PlannedAccount
from statecore.units import DAYS, HOURS, MILLISECONDS, MINUTES, SECONDS

CALM: Final = 10 * MINUTES
"""How long before the end the faults are over, in a run that is long enough; else a third of it."""

KEPT: Final = 0.3
"""Share of the kinds of faults that a seed has."""

ACCOUNTS: Final = (
    PlannedAccount("wx", "weixin", ("ann@im.wechat", "bo@im.wechat", "cy@im.wechat"), {"text_chars": 200}),
    PlannedAccount("qq", "qqbot", ("c2c:DEE", "group:EVE", "channel:FAY"), {"text_chars": 200}),
)
"""The accounts of a drawn plan: one of each platform, with the kinds of chats that are treated apart."""

REFUSALS: Final[Mapping[str, Sequence[str]]] = {
    "weixin": ("ret=-2", "ret=-2", "ret=-2", "ret=-3", "ret=-12", "http 429", "http 404", "http 408", "ret=-99", "errcode=-14"),
    "qqbot": (
        "code=22009", "code=20028", "code=100001", "code=304027", "code=304016", "code=11265", "code=11244", "code=304035",
        "code=40034102", "code=1100101", "http=429", "http=503", "http=403", "code=777", "code=40054005",
    ),
}  # fmt: skip
"""What a platform refuses with: each way to read a refusal."""

CLOSES: Final = ("4004", "4006", "4007", "4008", "4009", "1000", "1006", "4900", "4914", "4013", "op7")
"""How a gateway closes a session: each thing that can follow."""

CHAT_FAULTS: Final = frozenset({"refuses", "stale-tokens", "drops"})
"""Faults of a platform that may concern one chat alone."""

BAD_FOR: Final[Mapping[str, frozenset[str]]] = {
    "weixin": frozenset({"closes", "invalidates", "deaf", "reviews", "limits", "markup", "chatter"}),
    "qqbot": frozenset({"stale-tokens", "empties"}),
}
"""Faults that a platform cannot have."""


IMPATIENT: Final[Mapping[str, Any]] = {"attempts": 1, "age": "1s", "interruptions": 1}
"""Settings of retries with which a second failure is the last."""


@attrs.define
class _Draft:
    """A plan that is being drawn."""

    random: random.Random
    calm_from: int
    accounts: Sequence[PlannedAccount]
    found: list[Occurrence] = attrs.field(factory=list)

    def add(self, at: float, kind: str, target: str = "", **fields: Any) -> None:
        self.found.append(Occurrence(round(at), kind, target, fields))

    def moment(self) -> int:
        return round(self.random.random() * self.calm_from)

    def length(self, low: int, high: int) -> int:
        """Draw a length evenly from the logarithms."""
        return round(exp(self.random.uniform(log(low), log(high))))

    def account(self) -> PlannedAccount:
        return self.random.choice(self.accounts)

    def impatient(self, name: str) -> None:
        self.accounts = tuple(
            attrs.evolve(one, settings={**one.settings, "retry": IMPATIENT}) if one.name == name else one
            for one in self.accounts
        )


def draw(seed: int, hours: float = 1.0, accounts: Sequence[PlannedAccount] = ACCOUNTS) -> Plan:
    """Draw a plan.

    Args:
        seed: decides all of it.
        hours: how long the run is.
        accounts: whom it befalls; their settings are varied.

    Raises:
        PlanError: the run would be shorter than a minute, or longer than a year.
    """
    length = round(hours * HOURS) if 0 < hours < 9000 else 0
    if length < MINUTES:
        raise PlanError(f"a run takes from a minute to a year; {hours:g} hours are not that")
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    accounts = tuple(_varied(chance, account) for account in accounts)
    draft = _Draft(chance, length - min(CALM, length // 3), accounts)
    _traffic(draft, length)
    _people(draft)
    _processes(draft)
    _spells(draft)
    _ambushes(draft, seed)
    _calm(draft)
    found = tuple(sorted(draft.found, key=_when))
    return Plan(seed, length, draft.calm_from, tuple(draft.accounts), found)


def _when(one: Occurrence) -> int:
    return one.at


def _varied(chance: random.Random, account: PlannedAccount) -> PlannedAccount:
    settings = dict(account.settings)
    if account.platform == "qqbot":
        settings |= {"format": chance.choice(("text", "markdown")), "proactive": chance.random() < 0.3}
        if chance.random() < 0.3:
            settings["sessions"] = {"address_lasts": "1m"}
    if chance.random() < 0.4:
        settings["retry"] = chance.choice(({"attempts": 3, "age": "60s"}, IMPATIENT, {"interruptions": 1}))
    if chance.random() < 0.2:
        settings["handling"] = {"attempts": 2}
    return attrs.evolve(account, settings=settings)


# ---- traffic ---------------------------------------------------------------------------------------------------------


def _traffic(draft: _Draft, length: int) -> None:
    chance = draft.random
    number = 0
    for account in draft.accounts:
        for chat in account.chats:
            at = chance.expovariate(1) * MINUTES
            apart = chance.choice((40, 120, 300, 900)) * SECONDS
            while at < draft.calm_from:
                number += 1
                text = "ok" if chance.random() < 0.1 else f"m{number}"
                draft.add(at, "user-writes", account.name, chat=chat, text=text)
                at += chance.expovariate(1) * apart
        at = chance.expovariate(1) * MINUTES
        apart = chance.choice((60, 180, 600)) * SECONDS
        while at < length - MINUTES:
            burst = 1 if chance.random() < 0.8 else chance.randint(2, 14)
            chat = chance.choice(account.chats)
            for _ in range(burst):
                number += 1
                _program_sends(draft, at, account, chat, number)
                at += chance.random() * SECONDS
            at += chance.expovariate(1) * apart


def _program_sends(
    draft: _Draft, at: float, account: PlannedAccount, chat: str, number: int, long: float | None = None
) -> None:
    chance = draft.random
    long = chance.random() if long is None else long
    text = f"s{number}" if long < 0.8 else f"s{number} " + "word " * (60 if long < 0.95 else 120)
    key = f"k{number - (chance.random() < 0.2)}" if chance.random() < 0.1 else ""
    lasts = draft.length(2 * SECONDS, 10 * MINUTES) if chance.random() < 0.15 else 0
    draft.add(at, "program-sends", account.name, chat=chat, text=text.strip(), key=key, lasts=lasts)


def _people(draft: _Draft) -> None:
    for account in draft.accounts:
        for command in ("retry", "retry", "purge", "resume", "resume", "credentials"):
            for _ in range(draft.random.choice((0, 1, 3))):
                chat = draft.random.choice(("", *account.chats)) if command == "resume" else ""
                draft.add(draft.moment(), "operator", account.name, command=command, chat=chat)


# ---- faults ----------------------------------------------------------------------------------------------------------


def _processes(draft: _Draft) -> None:
    chance = draft.random
    draft.add(0, "process-starts", "p1", replaces=False, apart=False)
    two = chance.random() < 0.5
    if two:
        for _ in range(chance.randint(1, 3)):
            replaces, apart = chance.random() < 0.6, chance.random() < 0.2
            draft.add(
                draft.moment(), "process-starts", chance.choice(("p1", "p2", "p2")), replaces=replaces, apart=apart
            )
    processes = ("p1", "p2") if two else ("p1",)
    for kind in ("process-crashes", "process-stops", "process-freezes", "power-fails", "host-suspends", "wall-steps"):
        for _ in range(chance.choice((1, 2, 4)) if chance.random() < KEPT else 0):
            at, target = (
                draft.moment(),
                "" if kind in ("power-fails", "host-suspends", "wall-steps") else chance.choice(processes),
            )
            room = max(1, draft.calm_from - at)
            if kind == "wall-steps":
                draft.add(at, kind, target, by=chance.choice((-1, 1)) * draft.length(1 * SECONDS, 10 * DAYS))
            elif kind in ("process-freezes", "host-suspends"):
                draft.add(at, kind, target, length=min(room, draft.length(500 * MILLISECONDS, 10 * MINUTES)))
            else:
                draft.add(at, kind, target, back_after=min(room, draft.length(50 * MILLISECONDS, 5 * MINUTES)))


def _spells(draft: _Draft) -> None:
    for kind, faults in FAULTS.items():
        for fault in faults:
            if draft.random.random() < KEPT:
                for _ in range(draft.random.choice((1, 2, 4))):
                    _spell(draft, kind, fault)


def _spell(draft: _Draft, kind: str, fault: str) -> None:
    chance = draft.random
    at = draft.moment()
    until = min(draft.calm_from, at + draft.length(2 * SECONDS, 12 * MINUTES))
    share = chance.choice((0.1, 0.5, 1.0))
    delay = draft.length(50 * MILLISECONDS, 90 * SECONDS)
    if kind == "disk":
        delay = draft.length(5 * MILLISECONDS, 5 * SECONDS)
        draft.add(at, kind, until=until, fault=fault, share=share, delay=delay)
        return
    fitting = [
        one for one in draft.accounts if kind != "platform" or fault not in BAD_FOR.get(one.platform, frozenset())
    ]
    if not fitting:
        return
    account = chance.choice(fitting)
    if kind != "platform":
        draft.add(at, kind, account.name, until=until, fault=fault, share=share, delay=delay)
        return
    chat = chance.choice(("", *account.chats)) if fault in CHAT_FAULTS else ""
    code = chance.choice(REFUSALS.get(account.platform, ("",))) if fault == "refuses" else ""
    code = chance.choice(CLOSES) if fault == "closes" else code
    draft.add(at, kind, account.name, until=until, fault=fault, share=share, chat=chat, code=code)
    if fault == "reviews":
        _reviewed_parts(draft, account, at)


def _reviewed_parts(draft: _Draft, account: PlannedAccount, at: int) -> None:
    """Send long messages, of which some parts are looked at while others have troubles of their own."""
    chance = draft.random
    until = min(draft.calm_from, at + 6 * MINUTES)
    chats = [chat for chat in account.chats if not chat.startswith("channel:")]
    for number in range(12):
        chat, moment = chance.choice(chats), at + number * (until - at) // 12
        draft.add(moment, "user-writes", account.name, chat=chat, text=f"look {at + number}")
        _program_sends(draft, moment + SECONDS, account, chat, 100_000 + at // SECONDS + number, long=0.99)
    named: dict[str, Any] = {"until": until, "share": 0.5}
    draft.add(at, "platform", account.name, **named, fault="reviews", chat="", code="")
    code = chance.choice(("code=22009", "code=20028", "code=11244", "code=304016", "code=1100101"))
    draft.add(at, "platform", account.name, **{**named, "share": 0.2}, fault="refuses", chat="", code=code)
    fault = chance.choice(("unreachable", "lose-answer", "cut"))
    draft.add(at, "network", account.name, **{**named, "share": 0.2}, fault=fault, delay=0)


def _ambushes(draft: _Draft, seed: int) -> None:
    """Lay ambushes: what would take luck to meet in a state that lasts for milliseconds."""
    hand = draft.random.choice((0, 12, 12))
    for account in draft.accounts:
        for card in deal(seed, hand, account.platform):
            at = draft.moment() // 2 // MILLISECONDS * MILLISECONDS  # early: what leads to a rare state takes its time
            _set_the_scene(draft, account, card, at)
            for number, one in enumerate(card):
                draft.add(
                    at + number, "ambush", account.name, machine=one.machine, state=one.state, does=one.does, code=one.code,
                    value=one.value,
                )  # fmt: skip


def _set_the_scene(draft: _Draft, account: PlannedAccount, card: Card, at: int) -> None:
    """Add what a card can hardly be played without: somebody who sends, refusals for a circuit, a disk that is slow."""
    chance = draft.random
    until = min(draft.calm_from, at + 5 * MINUTES)
    chat = chance.choice(account.chats)
    every: dict[str, Any] = {"until": until, "share": 1.0}
    machines = {one.machine for one in card}
    if machines & {"delivery", "circuit"} and chance.random() < 0.7:
        for number in range(6):
            sent = at + number * (until - at) // 6
            draft.add(sent, "user-writes", account.name, chat=chat, text=f"scene {at} {number}")
            several = 0.99 if any(one.state == "pacing" for one in card) else None  # it is what parts are told apart by
            _program_sends(draft, sent + 2 * SECONDS, account, chat, 200_000 + at // SECONDS + number, several)
    if any(one.state == "pacing" for one in card):
        for number in range(24):  # whose time is over between two parts, if it happens to be
            text, lasts = f"brief {at} {number} " + "word " * 120, SECONDS + round(chance.random() * 3 * SECONDS)
            sent = at + number * (until - at) // 24
            draft.add(sent, "program-sends", account.name, chat=chat, text=text.strip(), key="", lasts=lasts)
    if "circuit" in machines:
        code = "ret=-12" if account.platform == "weixin" else "code=100001"
        half = {**every, "until": (at + until) // 2}
        draft.add(at, "platform", account.name, **half, fault="refuses", chat="", code=code)
    if any(one.code == "unsent" for one in card):
        draft.impatient(account.name)
    if any((one.machine, one.does) == ("connection", "step") for one in card):
        draft.add(at, "platform", account.name, **every, fault="empties", chat="", code="")
    closing = any((one.state, one.does) == ("hanging-up", "step") for one in card)
    if closing or any((one.machine, one.does) == ("delivery", "purge") and one.state != "pacing" for one in card):
        draft.add(at, "disk", **every, fault="slow", delay=1 * SECONDS)


def _calm(draft: _Draft) -> None:
    """See to it that everything can settle: somebody drives, an operator has looked, and users write."""
    at = draft.calm_from
    for later in (0, 30 * SECONDS):  # one that was told to stop may still be about it
        draft.add(at + later, "process-starts", "p1", replaces=False, apart=False)
    for number, account in enumerate(draft.accounts):
        draft.add(at + 15 * SECONDS, "operator", account.name, command="credentials", chat="")
        draft.add(at + 20 * SECONDS, "operator", account.name, command="resume", chat="")
        for chat in account.chats:
            for turn in range(4):
                text = f"calm {number} {chat} {turn}"
                draft.add(at + (60 + 40 * turn) * SECONDS, "user-writes", account.name, chat=chat, text=text)
