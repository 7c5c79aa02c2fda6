"""What happens to a simulated gateway from outside: a plan, drawn from a seed, and readable as a file.

A plan holds no chance: it says what befalls whom, and when. What a simulation draws beyond that (how long an answer takes,
which packet of a lossy spell is lost) follows from the plan's seed too. So a plan is an experiment that anybody can repeat,
and one that fails can be made smaller by leaving occurrences out (`statecore.simulation.shrinking`).

Faults end before the run does. What is left of the run is calm: the network works, the platforms answer, users write, an
operator has seen to what waited for one, and at least one process runs. Then everything must settle.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
import orjson

from statecore.errors import StatecoreError
from statecore.units import HOURS, show_duration

FORMAT: Final = 1
"""Version of a plan's file."""


class PlanError(StatecoreError):
    """A plan cannot be read, or asks for something that does not exist."""


# fmt: off
KINDS: Final[Mapping[str, Mapping[str, type]]] = MappingProxyType({
    # people and programs. Targets are accounts.
    "user-writes":      {"chat": str, "text": str},
    "program-sends":    {"chat": str, "text": str, "key": str, "lasts": int},   # lasts: ns, 0 for ever
    "operator":         {"command": str, "chat": str},    # retry, purge, resume, credentials; a chat for "resume", if any
    # processes. Targets are processes: "p1", "p2" ...
    "process-starts":   {"replaces": bool, "apart": bool},  # replaces: asks the owner to let go; apart: with locks of its own
    "process-crashes":  {"back_after": int},              # ns until it is started again; 0 for never
    "process-stops":    {"back_after": int},
    "process-freezes":  {"length": int},                  # it is stopped by a signal, and goes on afterwards
    # the machine they run on. No target.
    "power-fails":      {"back_after": int},
    "host-suspends":    {"length": int},
    "wall-steps":       {"by": int},                      # ns, forwards or backwards
    # an ambush on an account: the next time an instance of *machine* is in *state*, something happens there
    "ambush":           {"machine": str, "state": str, "does": str, "code": str, "value": int},
    # spells: they last until a moment. Targets are accounts; of "disk" there is one.
    "network":          {"until": int, "fault": str, "share": float, "delay": int},
    "platform":         {"until": int, "fault": str, "share": float, "chat": str, "code": str},
    "program":          {"until": int, "fault": str, "share": float, "delay": int},
    "disk":             {"until": int, "fault": str, "share": float, "delay": int},
})
"""The kinds of occurrences, and the fields of each. Times and lengths are in ns from the beginning; shares are from 0 to 1."""

FAULTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "network":  ("delay", "lose-request", "lose-answer", "cut", "half-open", "reorder", "duplicate", "unreachable"),
    "platform": ("refuses", "away", "revokes", "stale-tokens", "silent", "empties", "drops", "copies", "garbage", "foreign",
                 "closes", "invalidates", "deaf", "reviews", "limits", "flood", "markup", "chatter", "slow"),
    "program":  ("fails", "slow", "absent"),
    "disk":     ("slow", "full", "busy", "failed", "torn"),
})
"""The faults of each kind of spell.

network     delay: requests and answers take up to *delay* longer. lose-request, lose-answer: they never arrive. cut: the
            connection breaks while the platform answers. half-open: what is sent vanishes, and nobody says so. reorder:
            answers overtake one another. duplicate: a request arrives twice. unreachable: no connection is made.
platform    refuses: sends are refused, with *code*, in one *chat* or in all. away: nothing answers at its address. revokes: the
            credentials are refused. stale-tokens: context tokens are refused. silent: it takes requests and says nothing.
            empties: polls come back at once. drops: it says "taken" and shows nothing. copies: messages come again. garbage:
            answers nobody can read. foreign: something else answers at its address. closes: it closes sockets, with *code*.
            invalidates: it calls sessions invalid. deaf: heartbeats are not acknowledged. reviews: somebody looks at messages
            before they are shown. limits: no more sessions may be begun for now. flood: messages come without end. markup:
            Markdown is refused. chatter: frames that are no messages. slow: it takes its time for every answer.
program     fails: handlers raise. slow: they take up to *delay*. absent: nobody takes messages.
disk        slow: a commit takes up to *delay* longer. full, busy: it cannot be written. failed: a write raises an error.
            torn: a write that a crash interrupts was durable in part of the cases.
"""
AMBUSHES: Final = (
    "crash", "stop", "suspend", "step", "resume", "purge", "retry", "write", "login", "answer", "raise", "hang",
)
"""What an ambush does, once, when an instance has durably entered a state. With a *value* in ns.

crash, stop    the process that drives the account, which comes back after *value*.
suspend, step  the machine, for *value*; the wall clock, by *value*.
resume         an operator has the account tried again.
purge, retry   an operator means this very instance.
write          the user of its chat writes.
login          there are other credentials.
answer         its attempt comes to what *code* says; see `statecore.simulation.cards.CODES`.
raise, hang    its attempt raises, or never ends.

An answer, a raise, a hang or a purge with a *value* of 1 waits until another ambush that was laid in the same millisecond has
sprung.
"""
# fmt: on

SPELLS: Final = frozenset(FAULTS)


@attrs.frozen
class PlannedAccount:
    """An account of a plan.

    Args:
        name: what its user calls it.
        platform: "weixin" or "qqbot".
        chats: the chats whose users write, or are written to.
        settings: as in a configuration file, without what is secret.
    """

    name: str
    platform: str
    chats: tuple[str, ...]
    settings: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Occurrence:
    """One thing that happens.

    Args:
        at: when, in ns from the beginning.
        kind: one of `KINDS`.
        target: the account or the process concerned; empty where there is but one it could be.
        fields: the rest; see `KINDS`.
    """

    at: int
    kind: str
    target: str = ""
    fields: Mapping[str, Any] = attrs.field(factory=dict)

    def __str__(self) -> str:
        rest = " ".join(f"{name}={_shown(name, value)}" for name, value in self.fields.items() if value not in ("", 0))
        return f"{show_duration(self.at):>10}  {self.kind} {self.target} {rest}".rstrip()

    @property
    def ends(self) -> int:
        """When it is over, in ns from the beginning."""
        if self.kind in SPELLS:
            return int(self.fields["until"])
        return self.at + int(self.fields.get("back_after", 0) or self.fields.get("length", 0))

    @property
    def fault(self) -> str:
        """What it is called in lists of faults: "network lose-answer", "process-crashes"; empty for what is no fault."""
        if self.kind in SPELLS:
            return f"{self.kind} {self.fields['fault']}"
        if self.kind == "ambush":
            return f"ambush {self.fields['does']}"
        return "" if self.kind in ("user-writes", "program-sends", "operator") else self.kind


@attrs.frozen
class Plan:
    """What happens in one run.

    Args:
        seed: decides everything that the plan does not say.
        length: of the run, in ns.
        calm_from: from when on there are no faults, in ns from the beginning.
        accounts: the accounts.
        occurrences: in the order of their times.
    """

    seed: int
    length: int
    calm_from: int
    accounts: tuple[PlannedAccount, ...]
    occurrences: tuple[Occurrence, ...]

    @property
    def hours(self) -> float:
        """The length in hours."""
        return self.length / HOURS

    def to_json(self) -> bytes:
        """Write it as a file that `from_json` reads."""
        whole = {"statecore-plan": FORMAT, **attrs.asdict(self)}
        return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, text: bytes | str) -> "Plan":
        """Read what `to_json` wrote, or a person changed.

        Raises:
            PlanError: it is no plan; the message says what is wrong with it.
        """
        try:
            whole = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise PlanError(f"this is no plan: it is no JSON ({error})") from error
        if not isinstance(whole, dict) or whole.get("statecore-plan") != FORMAT:
            raise PlanError('this is no plan of this version; `statecore sim` writes one that says "statecore-plan": 1')
        try:
            accounts = tuple(
                PlannedAccount(
                    str(one["name"]), str(one["platform"]), tuple(one["chats"]), dict(one.get("settings", {}))
                )
                for one in whole["accounts"]
            )
            occurrences = tuple(
                Occurrence(int(one["at"]), str(one["kind"]), str(one.get("target", "")), dict(one.get("fields", {})))
                for one in whole["occurrences"]
            )
            plan = cls(int(whole["seed"]), int(whole["length"]), int(whole["calm_from"]), accounts, occurrences)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"this is no plan: {type(error).__name__}: {error}") from error
        plan.validate()
        return plan

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """Read a plan's file.

        Raises:
            PlanError: it cannot be read, or is no plan.
        """
        try:
            return cls.from_json(Path(path).read_bytes())
        except OSError as error:
            raise PlanError(f"{path} cannot be read: {error.strerror}") from error
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error

    def validate(self) -> None:
        """See whether everything in it exists.

        Raises:
            PlanError: something does not; the message names it.
        """
        names = {account.name for account in self.accounts}
        if not names or len(names) != len(self.accounts):
            raise PlanError("a plan has at least one account, and every account a name of its own")
        if not 0 <= self.calm_from <= self.length:
            raise PlanError("calm_from is between 0 and length")
        for number, one in enumerate(self.occurrences):
            where = f"occurrence {number} ({one.kind!r} at {show_duration(max(0, one.at))})"
            self._validate_one(one, where, names)
        if list(self.occurrences) != sorted(self.occurrences, key=lambda one: one.at):
            raise PlanError("occurrences stand in the order of their times")

    def _validate_one(self, one: Occurrence, where: str, names: set[str]) -> None:
        fields = KINDS.get(one.kind)
        if fields is None:
            raise PlanError(f"{where}: there is no such kind; there are {', '.join(KINDS)}")
        if not 0 <= one.at <= self.length:
            raise PlanError(f"{where}: it is not within the run")
        if set(one.fields) != set(fields):
            raise PlanError(f"{where}: its fields are {', '.join(fields)}; it has {', '.join(one.fields) or 'none'}")
        for name, kind in fields.items():
            value = one.fields[name]
            if not isinstance(value, (int, float) if kind is float else kind) or (kind is not bool and value is True):
                raise PlanError(f"{where}: {name} is of type {kind.__name__}, got {value!r}")
        if one.kind in SPELLS and one.fields["fault"] not in FAULTS[one.kind]:
            raise PlanError(
                f"{where}: there is no fault {one.fields['fault']!r}; there are {', '.join(FAULTS[one.kind])}"
            )
        if one.kind == "ambush" and one.fields["does"] not in AMBUSHES:
            raise PlanError(f"{where}: no ambush does {one.fields['does']!r}; they do {', '.join(AMBUSHES)}")
        wants_account = one.kind in (
            "user-writes",
            "program-sends",
            "operator",
            "ambush",
            "network",
            "platform",
            "program",
        )
        if wants_account and one.target not in names:
            raise PlanError(f"{where}: there is no account {one.target!r}")


def _shown(name: str, value: Any) -> str:
    if name in ("until", "delay", "length", "back_after", "lasts", "by") and isinstance(value, int):
        return ("-" if value < 0 else "") + show_duration(abs(value))
    return repr(value) if isinstance(value, str) and " " in value else str(value)
