"""What the server has seen, as data to be read by a test or a person."""

# Times are the server's: seconds since it was opened, on its own clock (see `clock`).

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import attrs

from statecore_adapters import httpd

__all__ = ["Audit", "Delivered", "Dial", "Entry", "Heartbeat", "Identify", "Record", "Resume", "Scene", "keep"]

RECORDS_MAX: Final = 100_000
# Kept in each log. A reconnect loop without a floor makes hundreds a second; the oldest tenth is dropped when a log
# is full. What was delivered is never dropped.

Scene = Literal["c2c", "group", "channel", "dm"]
Item = TypeVar("Item")


def keep(log: list[Item], item: Item) -> None:
    """Append to a log, within its limit."""
    if len(log) >= RECORDS_MAX:
        del log[: RECORDS_MAX // 10]
    log.append(item)


@attrs.frozen(kw_only=True)
class Delivered:
    """A message of the bot that was answered with success.

    Attributes:
        number: position in the order of arrival, from 1; typing and audited messages are counted too.
        target: openid, group openid, channel id, or the guild id of the private chat.
        text: content, or the content of the markdown.
        swallowed: it was answered with success and nobody will see it: no session was up when it came.
        id: what the platform calls it.
    """

    number: int
    at: float
    app_id: str
    scene: Scene
    target: str
    text: str
    msg_id: str | None
    event_id: str | None
    msg_seq: int | None
    msg_type: int
    id: str
    swallowed: bool
    body: Mapping[str, Any]


@attrs.define(kw_only=True, eq=False)
class Record:
    """One request and what came of it.

    Attributes:
        endpoint: its name in scripts ("messages", "gateway/bot"), or "" for a path that does not exist.
        body: the JSON body or the form; None when it was neither.
        status: HTTP status of the answer; None while it is made, and when no whole answer was sent on purpose.
        answer: the JSON answered (or, for a lost answer, what it would have been).
        err_code: the number it was refused with, 0 if it was not.
        why: who refused: "" nobody, "script", "outage" (see `Simulator.refuse`), or "rule".
        fault: what was carried out instead of a plain answer.
    """

    at: float
    method: str
    path: str
    endpoint: str
    headers: Mapping[str, str]
    body: Any
    app_id: str = ""
    scene: Scene | None = None
    target: str = ""
    status: int | None = None
    answer: Mapping[str, Any] | None = None
    err_code: int = 0
    why: str = ""
    trace_id: str = ""
    fault: httpd.Fault | None = None


@attrs.define(kw_only=True, eq=False)
class Dial:
    """One attempt to open a WebSocket.

    Attributes:
        number: from 1, in the order of arrival.
        status: HTTP status of the opening handshake; None while it waits, and when it got no answer.
        session_id: of the session it carries, once it does.
        up_at: when READY or RESUMED was said.
        down_at: when the platform ended the session's use of it, before the TCP connection was gone.
        closed_at: when the TCP connection was gone.
        close_sent, close_received: codes of the close frames; None without one, 1005 for one without a code.
    """

    number: int
    at: float
    path: str
    status: int | None = None
    app_id: str = ""
    session_id: str = ""
    shard: tuple[int, int] | None = None
    up_at: float | None = None
    down_at: float | None = None
    closed_at: float | None = None
    close_sent: int | None = None
    close_received: int | None = None

    @property
    def is_up(self) -> bool:
        """Whether the session on it is in use."""
        return self.up_at is not None and self.down_at is None


@attrs.define(kw_only=True, eq=False)
class Identify:
    """One op 2. `refused` is the close code that says why it failed, 0 if it did not; scripts may hide both."""

    at: float
    dial: int
    app_id: str
    token: str
    intents: Any
    shard: Any
    refused: int = 0
    session_id: str = ""


@attrs.define(kw_only=True, eq=False)
class Resume:
    """One op 6. `refused` as in `Identify`; `replayed` counts the events that followed."""

    at: float
    dial: int
    app_id: str
    token: str
    session_id: str
    seq: Any
    refused: int = 0
    replayed: int = 0


@attrs.frozen(kw_only=True)
class Heartbeat:
    """One op 1 of a client."""

    at: float
    dial: int
    seq: int | None


@attrs.define(kw_only=True, eq=False)
class Audit:
    """One message that waits for a person to look at it, or has been looked at."""

    id: str
    message: Delivered
    passed: bool | None = None


@attrs.frozen
class Entry:
    """One line of the log for people."""

    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.what}"
