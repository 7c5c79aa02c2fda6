"""A story: what the outside does to an account, told in a few lines, and what the account makes of it. In virtual time.

    story = Story("wx", "weixin", {"circuit": {"cooldown": "2s"}})
    story.starts(0)
    story.hears(1, "ann", "hello")
    story.refuses(2, 30, Refusal(code="ret=-2", message="rate limited"))
    story.sends(3, "ann", "how are you")
    assert not story.run().incidents("retry-storm")

The machines, the policies and the order of business are the gateway's. The platform takes what it is not said to refuse, and is
there when it is not said to be away. Times are seconds from the beginning.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from statecore.config import account_classes
from statecore.errors import StatecoreError
from statecore.events import Event
from statecore.machines import connection, delivery
from statecore.platform import Batch, Message
from statecore.recorded import Restored, configured, parsed, restore
from statecore.settings import written
from statecore.system import Address
from statecore.units import SECONDS
from statecore_journal.files import undisturbed
from statecore_journal.incidents import Incident, Row, Watch, installed
from statecore_journal.incidents.finding import Chats, made
from statecore_journal.reader import open_reader
from statecore_journal.whatif.answers import CARRIED
from statecore_journal.whatif.happened import Happened
from statecore_journal.whatif.model import FOR_EVER as FOR_EVER_NS
from statecore_journal.whatif.model import HOLD, KINDS, TOOK, Facts, Platform, Span, facts
from statecore_journal.whatif.outcome import Outcome, outcome
from statecore_journal.whatif.pace import Free, Latencies
from statecore_journal.whatif.recording import Outside, Recording, read
from statecore_journal.whatif.run import Run

ORIGIN: Final = 1_790_000_000 * SECONDS
"""When stories begin, in ns: a clock like any other."""

AFTER: Final = 600.0
"""Seconds that a story goes on after the last thing that is told."""

HELD_SHORT: Final = 5 * SECONDS
"""A platform that holds polls for less is worth a word."""

FOR_EVER: Final = 1e9
"""Seconds after which no story goes on."""

FIRST: Final = -1.0
"""Before the story begins."""


@attrs.frozen
class Telling:
    """One line of a story.

    Args:
        how: the name of the method that tells it.
        what: its arguments.
        named: those that are given by name.
    """

    how: str
    what: tuple[Any, ...]
    named: Mapping[str, Any] = attrs.field(factory=dict)


class Played:
    """What an account made of a story.

    Attributes:
        happened: every transition, in order.
        outcome: what became of its messages.
    """

    def __init__(self, happened: Sequence[Happened], began: int, ended: int) -> None:
        self.happened: tuple[Happened, ...] = tuple(happened)
        self.outcome: Outcome = outcome(self.happened, began, ended)
        self._ended = ended

    def incidents(self, kind: str | None = None) -> list[Incident]:
        """Return what went wrong, as the monitors see it; only incidents of a kind, if it is given."""
        watch = Watch(made((make for name, make in installed(_raise).items() if kind in (None, name)), _raise), _raise)
        found: dict[tuple[str, str, int], Incident] = {}
        chats = _Chats()
        for step in self.happened:
            row = Row(
                step.seq, step.at, step.at, step.address, step.version, step.name, step.source, step.target,
                None if step.outcome == "moved" else step.outcome, step.event, step.cause, 1,
            )  # fmt: skip
            row.chat = chats.of(row)
            for incident in watch.see(row):
                found[incident.identity] = incident
        for incident in watch.going_on(self._ended):
            found[incident.identity] = incident
        return sorted(found.values(), key=lambda incident: incident.first)


class _Chats(Chats):
    """Chats of a story, which always begins at the beginning."""

    def __init__(self) -> None:
        self._chats = {}

    def _asked(self, _address: str) -> str:
        return ""


def _raise(problem: str) -> None:
    raise RuntimeError(problem)


class Story:
    """Tell it line by line, in any order; then `run` it.

    Args:
        account: its name.
        platform: the name of its platform.
        settings: what it is configured with, as in a configuration file; what is left out is at its default.
        policies: the numbers it goes by, for a platform whose configuration is not known; else they follow from *settings*.
        platforms: classes of accounts by the platform's name; None for those that are installed.
    """

    def __init__(
        self,
        account: str,
        platform: str,
        settings: Mapping[str, Any] | None = None,
        *,
        policies: Mapping[str, Any] | None = None,
        platforms: Mapping[str, type[Any]] | None = None,
    ) -> None:
        self.account = account
        self.platform = platform
        self.settings = dict(settings or {})
        self.policies = policies
        self.platforms = platforms if platforms is not None else account_classes()
        self.tellings: list[Telling] = []

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, how: str, *what: Any, **named: Any) -> None:
        self.tellings.append(Telling(how, what, {name: value for name, value in named.items() if value is not None}))

    def starts(self, at: float, *, offline: float | None = None) -> None:
        """Have a process take the account; one that drove it before is gone by then.

        Args:
            at: when.
            offline: for how long nobody drove it.
        """
        self._tell("starts", at, offline=offline)

    def stops(self, at: float, *, wait: float | None = None) -> None:
        """Have the process stop in order.

        Args:
            at: when.
            wait: for how long it waits for what is under way.
        """
        self._tell("stops", at, wait=wait)

    def hears(
        self, at: float, chat: str, text: str = "hello", *, id: str | None = None, token: bool | None = None
    ) -> None:
        """Have somebody write.

        Args:
            at: when.
            chat: where.
            text: what.
            id: the platform's id of it.
            token: whether it carries a context token; by default it does.
        """
        self._tell("hears", at, chat, text, id=id, token=token)

    def sends(
        self,
        at: float,
        chat: str,
        *parts: str,
        id: str | None = None,
        reply_to: str | None = None,
        expires: float | None = None,
    ) -> None:
        """Have the program send a message.

        Args:
            at: when.
            chat: where to.
            parts: its text, as it is cut.
            id: of the delivery.
            reply_to: the platform's id of the message it answers.
            expires: when it is given up.
        """
        self._tell("sends", at, chat, *parts, id=id, reply_to=reply_to, expires=expires)

    def refuses(
        self,
        begins: float,
        ends: float,
        result: Any,
        *,
        chat: str | None = None,
        bare: bool | None = None,
        took: float = 0.1,
    ) -> None:
        """Have the platform not take what is sent.

        Args:
            begins: from when.
            ends: until when; the last moment is within.
            result: what it answers: `Refusal`, `Unauthorised`, `Unsent`, `Unclear`; None for nothing at all.
            chat: only what is sent there.
            bare: only what is sent without what might be refused, or only what is sent with it; for a chat.
            took: seconds until it answers.
        """
        self._tell("refuses", begins, ends, result, chat=chat, bare=bare, took=took if took != 0.1 else None)

    def is_away(self, begins: float, ends: float, result: Any, *, took: float = 0.1) -> None:
        """Have the platform not accept the account.

        Args:
            begins: from when.
            ends: until when; the last moment is within.
            result: what comes of an attempt: `Failure`, `Unauthorised`, `Ended`.
            took: seconds that it takes.
        """
        self._tell("is_away", begins, ends, result, took=took if took != 0.1 else None)

    def brings(self, at: float, result: Any) -> None:
        """Have the platform's socket bring something that is no message: `Ended`, `Note`, `Invalid`, `Review`."""
        self._tell("brings", at, result)

    def falls_silent(self, begins: float, ends: float) -> None:
        """Have the platform's socket stay open, and nothing come from it: no heartbeat is acknowledged.

        Args:
            begins: from when.
            ends: until when.
        """
        self._tell("falls_silent", begins, ends)

    def holds_polls(self, seconds: float) -> None:
        """Have the platform hold polls that bring nothing for so long."""
        self._tell("holds_polls", seconds)

    def answers_within(self, send: float, tie: float) -> None:
        """Have the platform answer within so many seconds.

        Args:
            send: what is sent, if it takes it.
            tie: what is asked about the account, if it is there.
        """
        self._tell("answers_within", send, tie)

    def nobody_handles(self) -> None:
        """Have no program take the messages that come in."""
        self._tell("nobody_handles")

    def handling_hangs(self, id: str) -> None:
        """Have the handler of a message never come to an end."""
        self._tell("handling_hangs", id)

    def handling_fails(self, id: str, *errors: str) -> None:
        """Have the handler of a message fail, once for each error.

        Args:
            id: the platform's id of the message.
            errors: what goes wrong.
        """
        self._tell("handling_fails", id, *errors)

    def happens(self, at: float, address: str, event: Event) -> None:
        """Have anything else happen: a suspend (`Woke`), an operator's word (`Revived`, `Reset`).

        Args:
            at: when.
            address: of the instance.
            event: what.
        """
        self._tell("happens", at, address, event)

    def but(self, tellings: Sequence[Telling]) -> "Story":
        """Return the same story with only these lines."""
        other = Story(self.account, self.platform, self.settings, policies=self.policies, platforms=self.platforms)
        other.tellings = list(tellings)
        return other

    # ---- running -----------------------------------------------------------------------------------------------------

    def run(self, changes: Mapping[str, str] | None = None, *, ends: float | None = None) -> Played:
        """Let the account live through it.

        Args:
            changes: settings that are to be others: {"circuit.cooldown": "10s"}.
            ends: when it is over; by default ten minutes after the last thing that is told.

        Raises:
            ConfigError: a setting is unknown or absurd.
        """
        restored = restore(self._text(), changes or {}, self.platforms, f"accounts.{self.account}")
        machine = restored.platform.tie
        plot = _Plot(self.account, machine, restored.policies.sessions.resume_within)
        for telling in self.tellings:
            getattr(plot, telling.how)(*telling.what, **telling.named)
        recording = plot.recording(ends)

        def always(_: str) -> Restored:
            return restored

        pace = Free(recording, Latencies(hands=plot.hands))
        run = Run(recording, always, pace, Platform(plot.facts())).run()
        return Played(pace.happened, ORIGIN, run.ended)

    def _text(self) -> str:
        policies = self.policies
        if policies is None and self.platform in self.platforms:
            config = configured(self.platforms[self.platform], self.settings, f"accounts.{self.account}")
            policies = written(config.policies)
        whole = {"platform": self.platform, "settings": self.settings, "policies": policies}
        return orjson.dumps(whole).decode()


def _ns(at: float) -> int:
    return ORIGIN + round(at * SECONDS)


class _Plot:
    """Puts what is told into order."""

    def __init__(self, account: str, machine: str, resumable: int) -> None:
        self._account = account
        self._machine = machine
        self._resumable = resumable
        self._outside: list[tuple[int, str, Event]] = []
        self._account_spans: list[Span] = []
        self._chats: dict[tuple[str, bool], list[Span]] = {}
        self._outages: list[Span] = []
        self._came: list[tuple[int, Any]] = []
        self._heard: dict[float, list[Message]] = {}
        self._handling: dict[str, tuple[tuple[str | None, int], ...]] = {}
        self._deaf: list[Span] = []
        self._hold = HOLD
        self._took = TOOK, TOOK
        self.hands = True
        self._numbers = {"starts": 0, "hears": 0, "sends": 0}
        self._last = 0.0

    def _next(self, what: str) -> int:
        self._numbers[what] += 1
        return self._numbers[what]

    def _note(self, at: float, address: str, event: Event) -> None:
        self._last = max(self._last, at)
        self._outside.append((_ns(at), address, event))

    @property
    def _tie(self) -> str:
        return f"{self._machine}/{self._account}"

    def starts(self, at: float, *, offline: float = 0.0) -> None:
        number = self._next("starts")
        event = connection.Started(
            boot=f"boot-{number}",
            pid=number,
            host="host",
            epoch=number,
            offline=round(offline * SECONDS),
            resumable=self._resumable,
        )
        self._note(at, self._tie, event)

    def stops(self, at: float, *, wait: float = 10.0) -> None:
        self._note(at, self._tie, connection.StopRequested(by="signal", wait=round(wait * SECONDS)))

    def hears(self, at: float, chat: str, text: str = "hello", *, id: str | None = None, token: bool = True) -> None:
        number = self._next("hears")
        message = Message(
            chat=chat, sender=chat, id=id if id is not None else f"m{number}", text=text, sent_at=_ns(at) // 1_000_000,
            token=CARRIED if token else "",
        )  # fmt: skip
        self._last = max(self._last, at)
        self._heard.setdefault(at, []).append(message)

    def sends(
        self,
        at: float,
        chat: str,
        *parts: str,
        id: str | None = None,
        reply_to: str = "",
        expires: float | None = None,
    ) -> None:
        number = self._next("sends")
        event = delivery.Accepted(
            chat=chat,
            parts=parts or ("hello",),
            reply_to=f"inbound/{self._account}/{reply_to}" if reply_to else "",
            expires_at=None if expires is None else _ns(expires),
        )
        self._note(at, f"delivery/{self._account}/{id if id is not None else f'd{number}'}", event)

    def refuses(
        self,
        begins: float,
        ends: float,
        result: Any,
        *,
        chat: str | None = None,
        bare: bool | None = None,
        took: float = 0.1,
    ) -> None:
        span = Span(_ns(begins), _ns(ends), result, round(took * SECONDS))
        self._last = max(self._last, begins)
        if chat is None:
            self._account_spans.append(span)
            return
        for scope in (False, True) if bare is None else (bare,):
            self._chats.setdefault((chat, scope), []).append(span)

    def is_away(self, begins: float, ends: float, result: Any, *, took: float = 0.1) -> None:
        self._last = max(self._last, begins)
        self._outages.append(Span(_ns(begins), _ns(ends), result, round(took * SECONDS)))

    def brings(self, at: float, result: Any) -> None:
        self._last = max(self._last, at)
        self._came.append((_ns(at), result))

    def falls_silent(self, begins: float, ends: float) -> None:
        self._last = max(self._last, begins)
        self._deaf.append(Span(_ns(begins), _ns(ends), None, 0))

    def holds_polls(self, seconds: float) -> None:
        self._hold = round(seconds * SECONDS)

    def answers_within(self, send: float, tie: float) -> None:
        self._took = round(send * SECONDS), round(tie * SECONDS)

    def nobody_handles(self) -> None:
        self.hands = False

    def handling_hangs(self, id: str) -> None:
        self._handling[f"inbound/{self._account}/{id}"] = ((None, FOR_EVER_NS),)

    def handling_fails(self, id: str, *errors: str) -> None:
        self._handling[f"inbound/{self._account}/{id}"] = tuple((error, 0) for error in errors)

    def happens(self, at: float, address: str, event: Event) -> None:
        self._note(at, address, event)

    def recording(self, ends: float | None) -> Recording:
        outside = sorted(self._outside, key=_first)
        return Recording(
            self._account,
            self._machine,
            outside=[Outside(at, place, address, event) for place, (at, address, event) in enumerate(outside, start=1)],
            ends=_ns(ends if ends is not None else self._last + AFTER),
        )

    def facts(self) -> Facts:
        batches = [(_ns(at), Batch(messages=tuple(messages))) for at, messages in self._heard.items()]
        return Facts(
            account=tuple(sorted(self._account_spans, key=_first)),
            chats={scope: tuple(sorted(spans, key=_first)) for scope, spans in self._chats.items()},
            outages=tuple(sorted(self._outages, key=_first)),
            came=tuple(sorted((*self._came, *batches), key=_first)),
            handling=self._handling,
            deaf=tuple(sorted(self._deaf, key=_first)),
            hold=self._hold,
            send_took=self._took[0],
            tie_took=dict.fromkeys(KINDS, self._took[1]),
        )


def _first(one: Sequence[Any]) -> Any:
    return one[0]


# ---- from a recording ------------------------------------------------------------------------------------------------


@undisturbed
def recorded_story(path: str | Path, account: str, platforms: Mapping[str, type[Any]] | None = None) -> Story:
    """Read an account from a journal, as a story.

    Args:
        path: the journal.
        account: its name.
        platforms: classes of accounts by the platform's name; None for those that are installed.

    Raises:
        StatecoreError: it was never started as far as the journal goes back.
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError, CodecError: see there.
    """
    with open_reader(path) as reader, reader.reading() as opened:
        recording = read(opened, account)
    starts = [item.event for item in recording.outside if isinstance(item.event, connection.Started)]
    if not starts:
        raise StatecoreError(
            f"account {account} was not started since the journal was pruned, so there is nothing to tell"
        )
    return story_of(recording, facts(recording), starts[-1].settings, platforms)


def story_of(
    recording: Recording, known: Facts, settings: str, platforms: Mapping[str, type[Any]] | None = None
) -> Story:
    """Tell what is recorded as a story.

    Args:
        recording: what came from outside.
        known: what it shows of the platform.
        settings: what the account was configured with at its last start, as `statecore.recorded` writes it.
        platforms: classes of accounts by the platform's name; None for those that are installed.
    """
    whole = parsed(settings, f"account.{recording.account}")
    story = Story(recording.account, whole["platform"], platforms=platforms)
    _configure(story, whole)
    began = recording.outside[0].at

    def second(at: int) -> float:
        return min(FOR_EVER, round((at - began) / SECONDS, 3))

    story.answers_within(*(round(took / SECONDS, 3) for took in (known.send_took, min(known.tie_took.values()))))
    if known.hold < HELD_SHORT:
        story.holds_polls(round(known.hold / SECONDS, 3))
    for item in recording.outside:
        _retell(story, item, second)
    _tell_failures(story, known, second)
    for at, result in known.came:
        if isinstance(result, Batch):
            for message in result.messages:
                story.hears(
                    second(at), message.chat, message.text, id=message.id, token=None if message.token else False
                )
        else:
            story.brings(second(at), result)
    _tell_handling(story, known)
    return story


def _tell_failures(story: Story, known: Facts, second: Callable[[int], float]) -> None:
    for span in known.account:
        story.refuses(max(FIRST, second(span.begins)), second(span.ends), span.result, took=_took(span))
    for (chat, bare), spans in known.chats.items():
        for span in spans:
            story.refuses(second(span.begins), second(span.ends), span.result, chat=chat, bare=bare, took=_took(span))
    for span in known.outages:
        story.is_away(max(FIRST, second(span.begins)), second(span.ends), span.result, took=_took(span))
    for span in known.deaf:
        story.falls_silent(second(span.begins), second(span.ends))


def _tell_handling(story: Story, known: Facts) -> None:
    for address, ends in known.handling.items():
        if errors := [error for error, _ in ends if error is not None]:
            story.handling_fails(Address.parse(address).key, *errors)
        elif any(took == FOR_EVER_NS for _, took in ends):
            story.handling_hangs(Address.parse(address).key)
    if any(isinstance(result, Batch) for _, result in known.came) and not known.handling:
        story.nobody_handles()


def _configure(story: Story, whole: Mapping[str, Any]) -> None:
    """Give a story the settings that are not at their defaults, by the keys of the configuration if it is known."""
    kind = story.platforms.get(story.platform)
    if kind is None:
        story.settings, story.policies = dict(whole["settings"]), whole["policies"]
        return
    key = f"accounts.{story.account}"
    own = {field.alias for field in attrs.fields(kind) if field.init and field.default is not attrs.NOTHING}
    settings = {name: value for name, value in whole["settings"].items() if name in own}
    config = configured(kind, settings, key)
    story.settings = _beyond(settings, written(configured(kind, {}, key)))
    if written(config.policies) != whole["policies"]:
        story.policies = whole["policies"]


def _beyond(settings: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return what settings say beyond the default."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and isinstance(default.get(name), Mapping):
            if inner := _beyond(value, default[name]):
                found[name] = inner
        elif value != default.get(name):
            found[name] = value
    return found


def _took(span: Span) -> float:
    return round(span.took / SECONDS, 3)


def _retell(story: Story, item: Outside, second: Callable[[int], float]) -> None:
    at = second(item.at)
    match item.event:
        case connection.Started() as event:
            story.starts(at, offline=round(event.offline / SECONDS, 3) if event.offline else None)
        case connection.StopRequested() as event:
            story.stops(at, wait=round(event.wait / SECONDS, 3))
        case delivery.Accepted() as event:
            story.sends(
                at, event.chat, *event.parts, id=Address.parse(item.address).key,
                reply_to=Address.parse(event.reply_to).key or None,
                expires=None if event.expires_at is None else second(event.expires_at),
            )  # fmt: skip
        case event:
            story.happens(at, item.address, event)


__all__ = ["FOR_EVER", "Played", "Story", "Telling", "recorded_story", "story_of"]
