"""What each field of each event may give away. The table of this file, and nothing else, decides what an export hides.

Every field of every shipped event is classified here, the numbers too, because a number may be a moment or a process. A
test fails when one is missing. A field that is not in the table, of a machine of somebody's own, is hidden if it is text
and kept if it is a number or a truth value.
"""

import enum
from collections.abc import Mapping
from typing import Final

from statecore.events import Broken, Elapsed, Governed, Late, Offline
from statecore.machines import circuit, connection, delivery, inbound, session, window
from statecore.policies.window import Opening
from statecore.reading import Evidence


class Kind(enum.Enum):
    """What a field holds. The value is what a placeholder is called: `chat-1`."""

    PLAIN = "plain"  # counts, durations, truth values, words of a closed list: kept
    TIME = "time"  # a moment on the gateway's clock, in ns: kept, or shifted
    WALL_MS = "wall"  # a moment on the wall clock, in ms since 1970: kept, or shifted
    ACCOUNT = "account"
    CHAT = "chat"
    USER = "user"
    MESSAGE = "message"  # the platform's id of one
    DELIVERY = "delivery"
    ADDRESS = "address"  # of an instance: each of its parts is hidden by itself
    INSTANCE = "instance"  # the key of a machine that is not ours
    KEY = "key"  # a sender's idempotency key
    REVIEW = "review"
    TRACE = "trace"  # the platform's id of a request
    BOOT = "boot"
    HOST = "host"
    PROCESS = "process"  # a number, which stays one
    URL = "url"  # the scheme is kept, and a host that is written in the source
    TEXT = "text"  # what people wrote: only how long it is, and its lines, are kept
    RAISED = "raised"  # what a user's own code raised: the exception's name is kept
    SETTINGS = "setting"  # an account's configuration as JSON: numbers, lengths and known words are kept
    EVENT = "event"  # the name of one of the machine's events
    PROSE = "word"  # sentences of ours and of platforms: only words that the source has are kept
    VALUE = "value"  # text of which nothing is known
    PATH = "path"


def _fields(plain: str = "", **others: Kind) -> Mapping[str, Kind]:
    return {**dict.fromkeys(plain.split(), Kind.PLAIN), **others}


# fmt: off
EVENTS: Final[Mapping[type, Mapping[str, Kind]]] = {
    Elapsed: _fields("timer"),
    Broken: _fields("how wait final failures", error=Kind.PROSE),
    Late: _fields("of", event=Kind.EVENT),
    Governed: _fields("held rows"),
    Offline: _fields("length"),

    connection.Started: _fields("epoch offline resumable chance", boot=Kind.BOOT, pid=Kind.PROCESS, host=Kind.HOST,
                                settings=Kind.SETTINGS),
    connection.StopRequested: _fields("wait", by=Kind.PROSE),
    connection.Drained: _fields(),
    connection.CredentialsChanged: _fields(),
    connection.Resumed: _fields(),
    connection.Doubted: _fields("wait credential", reason=Kind.PROSE),
    connection.Woke: _fields("slept wait"),
    connection.ClockStepped: _fields("by"),
    connection.Ready: _fields(),
    connection.Opened: _fields(),
    connection.Lost: _fields("wait failures reachable hint", stage=Kind.PROSE, error=Kind.PROSE, forget=Kind.PROSE),
    connection.TokenRefused: _fields("wait", code=Kind.PROSE, message=Kind.PROSE, action=Kind.PROSE),
    connection.Rejected: _fields("wait", error=Kind.PROSE, action=Kind.PROSE),
    connection.Arrived: _fields("messages copies held"),
    connection.Waited: _fields("held"),
    connection.Idle: _fields("held wait silent"),
    connection.HungUp: _fields(error=Kind.PROSE),

    session.Authorised: _fields("changed renew"),
    session.Found: _fields("lasts wait", url=Kind.URL),
    session.SocketOpened: _fields(),
    session.Greeted: _fields("beat_every wait starts"),
    session.Asked: _fields(),
    session.Welcomed: _fields("resumed beat"),
    session.Noted: _fields(what=Kind.PROSE),
    session.Acknowledged: _fields(),
    session.BeatAsked: _fields(),
    session.Invalidated: _fields("resumable"),

    delivery.Accepted: _fields(chat=Kind.CHAT, parts=Kind.TEXT, expires_at=Kind.TIME, reply_to=Kind.ADDRESS,
                               key=Kind.KEY, origin=Kind.PROSE),
    delivery.Turn: _fields("token left doubles bare number", probe=Kind.PROSE, answers=Kind.MESSAGE),
    delivery.Held: _fields("wait", by=Kind.PROSE, reason=Kind.PROSE, action=Kind.PROSE),
    delivery.Released: _fields(by=Kind.PROSE),
    delivery.Revived: _fields(),
    delivery.Purged: _fields(),
    delivery.PartAccepted: _fields("confirmed wait repeated", message=Kind.MESSAGE, trace=Kind.TRACE, code=Kind.PROSE),
    delivery.PartPending: _fields(audit=Kind.REVIEW, trace=Kind.TRACE),
    delivery.Reviewed: _fields("passed", audit=Kind.REVIEW, message=Kind.MESSAGE),
    delivery.PartRefused: _fields("then wait down hint unclear", code=Kind.PROSE, message=Kind.PROSE, reading=Kind.PROSE,
                                  evidence=Kind.PLAIN, action=Kind.PROSE, trace=Kind.TRACE),
    delivery.NotSent: _fields("wait down final", stage=Kind.PROSE, error=Kind.PROSE),
    delivery.PartUnknown: _fields("wait final", error=Kind.PROSE),

    circuit.Tripped: _fields("wait failures level", reason=Kind.PROSE, suspects=Kind.CHAT),
    circuit.ProbeSent: _fields("within", delivery=Kind.ADDRESS),
    circuit.ProbePassed: _fields(),
    circuit.ProbeFailed: _fields("wait throttled", reason=Kind.PROSE),
    circuit.ProbeVoid: _fields("wait"),
    circuit.Reset: _fields(by=Kind.PROSE),

    window.Heard: _fields("lasts token under_way", message=Kind.MESSAGE),
    window.Spent: _fields("left number", delivery=Kind.ADDRESS, message=Kind.MESSAGE),
    window.Refunded: _fields(delivery=Kind.ADDRESS, message=Kind.MESSAGE),
    window.Shut: _fields(reason=Kind.PROSE, message=Kind.MESSAGE),
    window.TokenForgotten: _fields("token"),

    inbound.Received: _fields("weak_id", chat=Kind.CHAT, sender=Kind.USER, id=Kind.MESSAGE, text=Kind.TEXT,
                              kinds=Kind.PROSE, sent_at=Kind.WALL_MS, quotes=Kind.MESSAGE),
    inbound.Repeated: _fields(id=Kind.MESSAGE, by=Kind.PROSE),
    inbound.Handed: _fields(),
    inbound.Handled: _fields(),
    inbound.HandlerFailed: _fields("wait final", error=Kind.RAISED),
    inbound.Retried: _fields(),
    inbound.Discarded: _fields(),
}

_CONNECTION: Final = _fields(
    "generation failures down_total empties silences stale_probes reachable",
    ready_since=Kind.TIME, down_since=Kind.TIME, retry_at=Kind.TIME, rest_until=Kind.TIME, probe_at=Kind.TIME,
    drain_until=Kind.TIME, boot=Kind.BOOT, reason=Kind.PROSE, action=Kind.PROSE,
)

REMEMBERED: Final[Mapping[type, Mapping[str, Kind]]] = {
    connection.Connection: _CONNECTION,
    session.Session: {**_CONNECTION, **_fields(
        "credential doubted misses resumable resumes starts beat_every unacknowledged taken",
        token_at=Kind.TIME, url=Kind.URL, url_until=Kind.TIME, starts_at=Kind.TIME, beat_at=Kind.TIME,
        awaited_since=Kind.TIME,
    )},
    delivery.Delivery: _fields(
        "parts part token number attempts unclear down_before unknowns interruptions doubled unconfirmed",
        answers=Kind.MESSAGE, failing_since=Kind.TIME, next_at=Kind.TIME, retry_at=Kind.TIME, until=Kind.TIME,
        resend_at=Kind.TIME, expires_at=Kind.TIME, review_until=Kind.TIME, audits=Kind.REVIEW, rejected=Kind.PROSE,
        message=Kind.MESSAGE, reason=Kind.PROSE, action=Kind.PROSE,
    ),
    window.Window: _fields("token tokens unheard", openings=Kind.PLAIN, closes_at=Kind.TIME, reason=Kind.PROSE),
    circuit.Circuit: _fields(
        "failures level", probe_at=Kind.TIME, probe=Kind.ADDRESS, probe_until=Kind.TIME, closed_at=Kind.TIME,
        opened_at=Kind.TIME, throttled_at=Kind.TIME, suspects=Kind.CHAT, reason=Kind.PROSE,
    ),
    inbound.Inbound: _fields("attempts copies", retry_at=Kind.TIME, reason=Kind.RAISED, action=Kind.PROSE),
}
"""What instances remember: where a checkpoint holds it, and where no fold of the events can be written instead."""

PARTS: Final[Mapping[type, Mapping[str, Kind]]] = {
    Opening: _fields("spent numbered", message=Kind.MESSAGE, heard_at=Kind.TIME, closes_at=Kind.TIME),
    Evidence: _fields("spent allowed heard_ago size bare bare_refused last_second last_minutes others_refused "
                      "others_accepted probing answers unclear"),
}
"""Values within values; the field that holds one is `PLAIN`."""
# fmt: on

KEYS: Final[Mapping[str, Kind]] = {
    "delivery": Kind.DELIVERY,
    "inbound": Kind.MESSAGE,
    "window": Kind.CHAT,
    "circuit": Kind.CHAT,
}
"""What the last part of an instance's address is, by its machine."""

COMPARED: Final = frozenset({"window", "circuit", "session", "token", "chat", "account", "inbound", "operator"})
"""Words that tables compare with, so that they are kept whatever else is known."""
