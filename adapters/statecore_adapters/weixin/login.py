"""Logging in to WeChat: draw a QR code, wait until somebody scans it, keep what comes back.

What can happen is the table of `scanning`, and nowhere else. The machine knows no secret: the code's id and the
credentials stay with `Attempts`, which makes one request an effect and says what came of it. `login` is the loop
between the two: it awaits what the state names, which is an attempt, a timer, or a person who reads digits off a phone.

A poll that fails is a poll that says "wait": the server holds polls for longer than the gateways in front of it like,
and a code lives on while they time out. That this goes on for ever is ruled out by the one timer that no state ends.

Source for statuses and limits: openclaw-weixin 2.4.9.
"""

import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import attrs
import httpx
import segno
import trio

from statecore.errors import ConfigError, StatecoreError
from statecore.events import Broken, Elapsed, Event, External, Outcome
from statecore.evolve import evolve
from statecore.machine import Effect, Machine, Signal, Snapshot, Timer, ignore, on
from statecore.platform import Refusal, Unauthorised
from statecore.units import MINUTES, SECONDS
from statecore.world import draw_uint32
from statecore_adapters import http, places
from statecore_adapters.weixin import protocol

CODES_MAX: Final = 3
"""QR codes drawn in one login."""

PAUSE: Final = 1 * SECONDS
"""Between two polls of a code."""

WITHIN: Final = 480 * SECONDS
"""For all of it."""

FETCHES_MAX: Final = 3
"""Failed attempts in a row to get a code. Before there is one, nobody is waiting for anything but the network."""

ANSWER_MAX: Final = 64 * 1024
"""Bytes of an answer. The real ones have a few hundred."""

TOKEN_FILE_MAX: Final = 100_000

Show: TypeAlias = Callable[[str], None]
Ask: TypeAlias = Callable[[str], Awaitable[str]]


@attrs.frozen(kw_only=True)
class Credentials:
    """What a login brings.

    Args:
        account_id: the bot's id; it ends in @im.bot.
        token: its bot token.
        base_url: where its API is.
        user_id: who scanned; empty if the platform did not say.
    """

    account_id: str
    token: str = attrs.field(repr=False)
    base_url: str
    user_id: str = ""


@attrs.frozen
class LoginFailed(StatecoreError):
    """There are no credentials.

    Args:
        why: what happened.
        action: what to do about it.
    """

    why: str
    action: str

    def __str__(self) -> str:
        return f"{self.why}; {self.action}" if self.action else self.why


@attrs.frozen
class AlreadyBound(LoginFailed):
    """There are no new credentials because the old ones are still good."""


# ---- the machine -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Scanning:
    """What an instance remembers. Nothing in it is secret.

    Args:
        codes: QR codes fetched so far.
        fetches: attempts in a row to fetch one that failed.
        hints: whether the tokens this installation already has are sent along.
        host: where the code is polled; empty for where it was fetched.
        scanned: whether somebody scanned it.
        pending: whether digits were entered and not yet confirmed, so that they are sent along.
        wrong: whether the digits that are asked for are asked for again.
        pause_until: when the next request leaves, in ns.
        ends_at: when it is over in any case, in ns.
        reason: why it stands where it stands.
        action: what a person must do.
    """

    codes: int = 0
    fetches: int = 0
    hints: bool = True
    host: str = ""
    scanned: bool = False
    pending: bool = False
    wrong: bool = False
    pause_until: int | None = None
    ends_at: int | None = None
    reason: str = ""
    action: str = ""


@attrs.frozen
class FetchCode:
    """Get a new QR code.

    Args:
        hints: whether to send the tokens along.
    """

    hints: bool


@attrs.frozen
class AskStatus:
    """Poll the QR code once.

    Args:
        host: where; empty for where it was fetched.
        digits: whether to send the digits along that were entered last.
    """

    host: str
    digits: bool


@attrs.frozen(kw_only=True)
class Begun(External):
    """Somebody wants to log in."""


@attrs.frozen(kw_only=True)
class CodeFetched(Outcome):
    """There is a code to scan."""


@attrs.frozen(kw_only=True)
class FetchFailed(Outcome):
    """There is none.

    Args:
        error: what was seen.
        refused: whether the platform itself said no.
        action: what a person must do, where that is known.
    """

    error: str
    refused: bool = False
    action: str = ""


@attrs.frozen(kw_only=True)
class StillWaiting(Outcome):
    """Nobody has scanned it, or nobody has confirmed it on the phone."""


@attrs.frozen(kw_only=True)
class PollFailed(Outcome):
    """The poll brought nothing that can be understood.

    Args:
        error: what was seen.
    """

    error: str


@attrs.frozen(kw_only=True)
class Scanned(Outcome):
    """Somebody scanned it. Digits that were pending are right."""


@attrs.frozen(kw_only=True)
class DigitsWanted(Outcome):
    """The phone shows digits. If some were pending, they are wrong."""


@attrs.frozen(kw_only=True)
class DigitsBlocked(Outcome):
    """Too many wrong digits; the code is worth nothing any more."""


@attrs.frozen(kw_only=True)
class Expired(Outcome):
    """The code is too old."""


@attrs.frozen(kw_only=True)
class Redirected(Outcome):
    """The code is polled somewhere else from now on.

    Args:
        host: where; empty if the platform did not say.
    """

    host: str


@attrs.frozen(kw_only=True)
class BoundBefore(Outcome):
    """The account is bound to this installation, and what it has stays good."""


@attrs.frozen(kw_only=True)
class Confirmed(Outcome):
    """The login was confirmed on the phone, and the credentials came."""


@attrs.frozen(kw_only=True)
class Incomplete(Outcome):
    """The login was confirmed, and the credentials lack something.

    Args:
        lacks: what.
    """

    lacks: str


@attrs.frozen(kw_only=True)
class DigitsEntered(External):
    """Somebody read the digits off the phone."""


@attrs.frozen(kw_only=True)
class GaveUp(External):
    """Somebody would rather not."""


def fetch_code(was: Scanning) -> FetchCode:
    return FetchCode(was.hints)


def ask_status(was: Scanning) -> AskStatus:
    return AskStatus(was.host, was.pending)


def begun(_was: Scanning, _event: Begun, now: int) -> Scanning:
    return Scanning(ends_at=now + WITHIN)


def fetched(was: Scanning, _event: CodeFetched, _now: int) -> Scanning:
    # A code is polled where it was fetched. The official client goes on at the host the last code was moved to, which
    # knows nothing of the new one.
    return Scanning(codes=was.codes + 1, hints=was.hints, ends_at=was.ends_at)


def without_hints(was: Scanning, event: FetchFailed, now: int) -> Scanning:
    return evolve(was, hints=False, pause_until=now + PAUSE, reason=event.error)


def fetch_again(was: Scanning, event: FetchFailed | Broken, now: int) -> Scanning:
    return evolve(was, fetches=was.fetches + 1, pause_until=now + PAUSE, reason=event.error)


def no_code(was: Scanning, event: FetchFailed | Broken, _now: int) -> Scanning:
    known = event.action if isinstance(event, FetchFailed) else ""
    action = known or "check the network, and base_url if you have set one"
    return evolve(was, reason=f"there is no QR code to be had: {event.error}", action=action)


def pause(was: Scanning, _event: Outcome, now: int) -> Scanning:
    return evolve(was, pause_until=now + PAUSE, reason="")


def poll_again(was: Scanning, event: PollFailed | Broken, now: int) -> Scanning:
    return evolve(was, pause_until=now + PAUSE, reason=event.error)


def was_scanned(was: Scanning, _event: Scanned, now: int) -> Scanning:
    return evolve(was, scanned=True, pending=False, wrong=False, pause_until=now + PAUSE, reason="")


def redirected(was: Scanning, event: Redirected, now: int) -> Scanning:
    return evolve(was, host=event.host or was.host, pause_until=now + PAUSE, reason="")


def digits_wanted(was: Scanning, _event: DigitsWanted, _now: int) -> Scanning:
    return evolve(was, wrong=was.pending, pending=False, reason="")


def digits_entered(was: Scanning, _event: DigitsEntered, _now: int) -> Scanning:
    return evolve(was, pending=True)


def renew(was: Scanning, event: Expired | DigitsBlocked, now: int) -> Scanning:
    return evolve(was, pause_until=now + PAUSE, reason=_worn_out(event))


def used_up(was: Scanning, event: Expired | DigitsBlocked, _now: int) -> Scanning:
    reason = f"{_worn_out(event)}, and it was the last of {CODES_MAX}"
    return evolve(was, reason=reason, action="run the login again, with the phone at hand")


def _worn_out(event: Expired | DigitsBlocked) -> str:
    return "the QR code expired" if isinstance(event, Expired) else "the digits were wrong too often"


def incomplete(was: Scanning, event: Incomplete, _now: int) -> Scanning:
    reason = f"the platform confirmed the login without saying {event.lacks}"
    return evolve(was, reason=reason, action="run the login again; if it stays, report it")


def gave_up(was: Scanning, _event: GaveUp, _now: int) -> Scanning:
    return evolve(was, reason="no digits were entered", action="run the login again")


def out_of_time(was: Scanning, _event: Elapsed, _now: int) -> Scanning:
    seen = f"; the last thing seen was: {was.reason}" if was.reason else ""
    reason = f"nobody confirmed the login within {WITHIN // MINUTES} minutes{seen}"
    return evolve(was, reason=reason, action="run the login again, with the phone at hand")


def kept(was: Scanning, _event: BoundBefore, _now: int) -> Scanning:
    action = (
        "go on with the token this installation has; if it has none any more, "
        "remove the bot in WeChat and run the login again"
    )
    return evolve(was, reason="the account is bound to this installation already", action=action)


def hinted(was: Scanning, event: FetchFailed) -> bool:
    return event.refused and was.hints


def too_often(was: Scanning, _event: Event) -> bool:
    return was.fetches + 1 >= FETCHES_MAX


def last_code(was: Scanning, _event: Event) -> bool:
    return was.codes >= CODES_MAX


FETCH_WITHIN: Final = round((http.CONNECT_S + protocol.GET_BOT_QRCODE.timeout + 1) * SECONDS)
POLL_WITHIN: Final = round((http.CONNECT_S + protocol.GET_QRCODE_STATUS.timeout + 1) * SECONDS)
"""A request ends by itself before that, and says how far it got."""

FETCHED: Final = (CodeFetched, FetchFailed)
WORN_OUT: Final = (Expired, DigitsBlocked)
POLLED: Final = (
    StillWaiting, PollFailed, Scanned, DigitsWanted, *WORN_OUT, Redirected, BoundBefore, Confirmed, Incomplete
)  # fmt: skip
PERSON: Final = (DigitsEntered, GaveUp)
ENDED: Final = ("confirmed", "kept", "failed")
LIVE: Final = ("new", "fetching", "refreshing", "polling", "pausing", "asking-digits")

# fmt: off
scanning: Final = Machine(
    "weixin-login",
    remembers=Scanning,
    initial="new",
    table=[
        #  when in          and this happens          go to            remembering    only when
        on("new",           Begun,                    "fetching",      begun),

        on("fetching",      CodeFetched,              "polling",       fetched),
        on("fetching",      FetchFailed,              "refreshing",    without_hints, when=hinted),
        on("fetching",      (FetchFailed, Broken),    "failed",        no_code,       when=too_often),
        on("fetching",      (FetchFailed, Broken),    "refreshing",    fetch_again),
        on("refreshing",    Elapsed("pause_until"),   "fetching"),

        on("polling",       StillWaiting,             "pausing",       pause),
        on("polling",       (PollFailed, Broken),     "pausing",       poll_again),
        on("polling",       Scanned,                  "pausing",       was_scanned),
        on("polling",       Redirected,               "pausing",       redirected),
        on("polling",       DigitsWanted,             "asking-digits", digits_wanted),
        on("polling",       WORN_OUT,                 "failed",        used_up,       when=last_code),
        on("polling",       WORN_OUT,                 "refreshing",    renew),
        on("polling",       BoundBefore,              "kept",          kept),
        on("polling",       Confirmed,                "confirmed"),
        on("polling",       Incomplete,               "failed",        incomplete),
        on("pausing",       Elapsed("pause_until"),   "polling"),

        on("asking-digits", DigitsEntered,            "polling",       digits_entered),
        on("asking-digits", GaveUp,                   "failed",        gave_up),

        on(LIVE,            Elapsed("ends_at"),       "failed",        out_of_time),

        ignore((*LIVE[1:], *ENDED), Begun,            because="it has begun"),
        ignore("fetching",  (*POLLED, *PERSON),       because="a code is being fetched"),
        ignore("polling",   (*FETCHED, *PERSON),      because="a code is being polled"),
        ignore(("new", "refreshing", "pausing"), (*FETCHED, *POLLED, *PERSON), because="nothing is under way"),
        ignore("asking-digits", (*FETCHED, *POLLED),  because="a person is asked"),
        ignore(ENDED,       (*FETCHED, *POLLED, *PERSON), because="it is over"),
    ],
    awaits={
        "new":           Signal(Begun),
        "fetching":      Effect(fetch_code, FETCHED, within=FETCH_WITHIN),
        "refreshing":    Timer("pause_until", floor=PAUSE, cap=5 * SECONDS),
        "polling":       Effect(ask_status, POLLED, within=POLL_WITHIN),
        "pausing":       Timer("pause_until", floor=PAUSE, cap=5 * SECONDS),
        "asking-digits": Signal(DigitsEntered, GaveUp),
    },
    final=ENDED,
    named=(Timer("ends_at", floor=1 * SECONDS, cap=WITHIN),),
)
# fmt: on


# ---- attempts --------------------------------------------------------------------------------------------------------


class Attempts:
    """Makes the requests of one login, one a call, and holds what must not be told.

    Attributes:
        page: the address to draw, once there is a code.
        digits: what was entered last.
        credentials: what came, once the login is confirmed.
    """

    def __init__(
        self, client: httpx.AsyncClient, base_url: str, local_tokens: Sequence[str], draw: Callable[[], int]
    ) -> None:
        self._client: Final = client
        self._base: Final = base_url
        self._local_tokens: Final = local_tokens
        self._draw: Final = draw
        self._qrcode = ""
        self.page = ""
        self.digits = ""
        self.credentials: Credentials | None = None

    async def make(self, effect: FetchCode | AskStatus) -> Outcome:
        """Make one attempt; return what came of it."""
        if isinstance(effect, FetchCode):
            return await self._fetch(effect)
        return await self._poll(effect)

    async def _fetch(self, effect: FetchCode) -> CodeFetched | FetchFailed:
        answer = await self._exchange(
            protocol.GET_BOT_QRCODE,
            protocol.url(self._base, protocol.GET_BOT_QRCODE),
            protocol.headers(None, self._draw()),
            protocol.get_bot_qrcode(self._local_tokens if effect.hints else ()),
        )
        if isinstance(answer, http.NoAnswer):
            return FetchFailed(error=answer.error, action=answer.action)
        if answer.status != httpx.codes.OK:
            return FetchFailed(error=f"HTTP {answer.status}")
        try:
            found = protocol.parse_qrcode(answer.body)
        except protocol.ProtocolViolation as error:
            return FetchFailed(error=str(error))
        if isinstance(found, Refusal | Unauthorised):
            return FetchFailed(error=": ".join(filter(None, (found.code, found.message))), refused=True)
        self._qrcode, self.page, self.digits = found.id, found.page, ""
        return CodeFetched()

    async def _poll(self, effect: AskStatus) -> Outcome:
        base = f"{urlsplit(self._base).scheme}://{effect.host}" if effect.host else self._base
        where = protocol.qr_status_url(base, self._qrcode, self.digits if effect.digits else "")
        answer = await self._exchange(protocol.GET_QRCODE_STATUS, where, protocol.app_headers(), None)
        if isinstance(answer, http.NoAnswer):
            return StillWaiting() if answer.timed_out else PollFailed(error=answer.error)
        if answer.status != httpx.codes.OK:
            return PollFailed(error=f"HTTP {answer.status}")
        try:
            found = protocol.parse_qr_status(answer.body)
        except protocol.ProtocolViolation as error:
            return PollFailed(error=str(error))
        if isinstance(found, Refusal | Unauthorised):
            return PollFailed(error=": ".join(filter(None, (found.code, found.message))))
        return self._outcome(found)

    async def _exchange(
        self, endpoint: protocol.Endpoint, url: str, headers: dict[str, str], content: bytes | None
    ) -> http.Answer | http.NoAnswer:
        return await http.request(
            self._client,
            endpoint.method,
            url,
            headers=headers,
            content=content,
            timeout_s=endpoint.timeout,
            limit=ANSWER_MAX,
        )

    def _outcome(self, found: protocol.QrStatus) -> Outcome:
        if found.status == "confirmed":
            return self._confirmed(found)
        if found.status == "scaned_but_redirect":
            if found.redirect_host and not _HOST.fullmatch(found.redirect_host):
                return PollFailed(error="it was redirected to something that is no host")
            return Redirected(host=found.redirect_host)
        plain = _PLAIN.get(found.status)
        return plain or PollFailed(error=f"the unknown status {protocol.scrub(found.status)[:40]!r}")

    def _confirmed(self, found: protocol.QrStatus) -> Confirmed | Incomplete:
        named = {"which bot it is": found.account_id, "its token": found.token}
        if missing := [name for name, value in named.items() if not value]:
            return Incomplete(lacks=" and ".join(missing))
        if not places.is_secret(found.token):
            return Incomplete(lacks="a token that can be sent")
        self.credentials = Credentials(
            account_id=found.account_id,
            token=found.token,
            base_url=_base_of(found.base_url, self._base),
            user_id=found.user_id,
        )
        return Confirmed()


_PLAIN: Final[dict[str, Outcome]] = {
    "wait": StillWaiting(),
    "scaned": Scanned(),
    "need_verifycode": DigitsWanted(),
    "verify_code_blocked": DigitsBlocked(),
    "expired": Expired(),
    "binded_redirect": BoundBefore(),
}

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?", re.ASCII)
_BASE: Final = re.compile(rf"(?:(https?)://)?({_HOST.pattern}(?:/[A-Za-z0-9._/-]*)?)", re.ASCII | re.IGNORECASE)


def _base_of(told: str, asked: str) -> str:
    """Return where the API is, from what the login said and where it was made.

    A token is never sent in the clear because an answer says so: whoever asked over TLS goes on over TLS.
    """
    found = _BASE.fullmatch(told.strip())
    if found is None:
        return asked.rstrip("/")
    tls = "https" in (urlsplit(asked).scheme, (found[1] or "").lower())
    return f"{'https' if tls else 'http'}://{found[2].rstrip('/')}"


# ---- the loop --------------------------------------------------------------------------------------------------------


async def login(
    *,
    base_url: str = protocol.API_BASE,
    local_tokens: Sequence[str] = (),
    show: Show,
    ask: Ask,
    client: httpx.AsyncClient | None = None,
    draw: Callable[[], int] = draw_uint32,
) -> Credentials:
    """Log in by QR code.

    Args:
        base_url: where the login begins.
        local_tokens: bot tokens this installation already has, newest first. The platform says so if they are good.
        show: told what a person should see, a few lines at a time.
        ask: asks a person, and returns what they typed; nothing means that they give up. It is cancelled when the time
            is up. What it asks has no colon at its end.
        client: makes the requests; by default a new one.
        draw: draws a number below 2^32 for each request that wants one.

    Raises:
        AlreadyBound: the account is bound to this installation already, and its token is good.
        LoginFailed: there are no credentials; it says what to do.
    """
    if client is None:
        async with httpx.AsyncClient() as own:
            return await _login(Attempts(own, base_url, local_tokens, draw), show, ask)
    return await _login(Attempts(client, base_url, local_tokens, draw), show, ask)


async def _login(attempts: Attempts, show: Show, ask: Ask) -> Credentials:
    snapshot = scanning.step(scanning.start(), Begun(), _now()).snapshot
    while snapshot.state not in ENDED:
        event = await _next(snapshot, attempts, ask)
        before, snapshot = snapshot, scanning.step(snapshot, event, _now()).snapshot
        if text := _told(before, event, snapshot, attempts.page):
            show(text)
    if snapshot.state == "confirmed":
        assert attempts.credentials is not None, "confirmed means that they came"
        return attempts.credentials
    error = AlreadyBound if snapshot.state == "kept" else LoginFailed
    raise error(snapshot.data.reason, snapshot.data.action)


async def _next(snapshot: Snapshot, attempts: Attempts, ask: Ask) -> Event:
    """Await what the state names, and return what happened first."""
    due, timer = min(scanning.deadlines(snapshot))
    attempt = scanning.attempt(snapshot)
    with trio.move_on_at(due / SECONDS):
        if attempt is not None:
            with trio.move_on_after(attempt.within / SECONDS):
                return await attempts.make(attempt.effect)
            return Broken(how="overdue", error="no answer")
        if snapshot.state == "asking-digits":
            attempts.digits = "".join((await ask(_prompt(snapshot.data))).split())
            return DigitsEntered() if attempts.digits else GaveUp()
        await trio.sleep_forever()
    return Elapsed(timer)


def _now() -> int:
    return round(trio.current_time() * SECONDS)


# ---- what a person sees ----------------------------------------------------------------------------------------------


def _prompt(data: Scanning) -> str:
    asked = "Enter the digits that WeChat shows on the phone"
    return f"These were not the right ones. {asked}" if data.wrong else asked


def _told(before: Snapshot, event: Event, after: Snapshot, page: str) -> str:
    """Return what a person should see of a step, if anything."""
    match event:
        case CodeFetched():
            return f"Scan this with WeChat:\n\n{draw_code(page)}"
        case Scanned() if not before.data.scanned:
            return "Scanned. Confirm the login on the phone."
        case Redirected() if after.data.host != before.data.host:
            return f"Going on at {after.data.host}."
        case PollFailed() | Broken() | FetchFailed() if after.data.reason != before.data.reason:
            return "" if after.state == "failed" else f"{after.data.reason}; trying again."
        case Expired() | DigitsBlocked() if after.state == "refreshing":
            return f"{after.data.reason}; here comes another code."
        case Confirmed():
            return "Logged in. The user must write to the bot once before it can speak."
    return ""


def draw_code(page: str) -> str:
    """Draw an address as a QR code for terminals, and write it beneath for those that cannot show it.

    Characters that would command a terminal are left out of what is written.
    """
    drawn = io.StringIO()
    with contextlib.suppress(ValueError):  # too long for any QR code; then there is still the address
        segno.make(page, error="l", micro=False).terminal(out=drawn, border=2, compact=True)
    written = "".join(char for char in page if char.isprintable())
    return f"{drawn.getvalue().rstrip()}\n\n{written}\n"


# ---- files -----------------------------------------------------------------------------------------------------------


def save(credentials: Credentials, path: str | os.PathLike[str]) -> None:
    """Write credentials to a file that only its owner can read, whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(attrs.asdict(credentials), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def load_token(path: str | os.PathLike[str]) -> str:
    """Read a bot token from a file: one that `save` wrote, an account file of Hermes, or the token alone.

    Raises:
        ConfigError: there is none in it. What is in it stays out of the error.
    """
    shown = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(TOKEN_FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(shown, f"cannot be read: {error.strerror or error}") from None
    if len(raw) > TOKEN_FILE_MAX:
        raise ConfigError(shown, "is too large to be a file with a token")
    token = _token_in(raw, shown)
    if not places.is_secret(token):
        what = (
            "holds no token" if not token else "holds something that is no token: one word of plain ASCII is expected"
        )
        raise ConfigError(shown, f"{what}; log in with `statecore login weixin`")
    return token


def _token_in(raw: bytes, shown: str) -> str:
    try:
        text = raw.decode("utf-8-sig").strip()
        if not text.startswith(("{", "[", '"')):
            return text
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(shown, "is damaged: it is neither plain text nor JSON") from None
    if isinstance(value, dict):
        value = value.get("token")
    return value.strip() if isinstance(value, str) else ""
