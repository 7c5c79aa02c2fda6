"""Serving the page of a journal that may be being written, to the browser of whoever is at this machine.

The standard library's server, a thread a connection: there is one reader, on the loopback; what takes time is SQLite, which
blocks and lets other threads run; and it is one dependency less where a journal is open. What makes it safe is here, not in
a library: it listens on 127.0.0.1 only; every request needs a token that is random and compared in constant time; its
`Host` must be this address, so that a page elsewhere cannot reach it under a name of its own (DNS rebinding); it answers
GET alone, from memory and from a connection that cannot write; and the page's policy lets nothing but its own scripts run.
"""

import base64
import hmac
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from statecore.errors import StatecoreError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.world import wall_now
from statecore_diagrams.report import facts
from statecore_diagrams.report.asking import BadQuestionError, checked
from statecore_diagrams.report.page import Page
from statecore_diagrams.report.queries import Queries
from statecore_diagrams.report.report import ReportError
from statecore_diagrams.report.watching import Watching
from statecore_journal import Reader, open_reader
from statecore_journal.export.redact import Open
from statecore_journal.files import undisturbed

HOST: Final = "127.0.0.1"
TOKEN_BYTES: Final = 32

STOP_EVERY_S: Final = 0.05
"""How often the server looks whether it is to stop."""

CONNECTIONS_MAX: Final = 32
"""A browser opens six. More are closed at once, so that nobody ties up threads."""

IDLE_S: Final = 30.0
"""After which a connection that says nothing is closed."""

ANSWER_S: Final = 10.0
"""After which a question to the journal is given up."""


class Inspector:
    """A page of one journal, at `url` while it is open."""

    def __init__(self, path: Path, port: int, machines: Mapping[str, Machine]) -> None:
        self.path = path
        self._machines = machines
        self._about = facts.machines(machines)
        self._tones = {
            (name, state["name"]): state["tone"] for name, about in self._about.items() for state in about["states"]
        }
        self._styles = facts.styles(self._about)
        self._page = Page()
        self._origin: int | None = None
        self._watching = Watching(path)
        self._token = base64.urlsafe_b64encode(os.urandom(TOKEN_BYTES)).rstrip(b"=")
        try:
            self._server = _Server((HOST, port), self)
        except OSError as error:
            raise ReportError(f"port {port} of {HOST} cannot be used: {error.strerror}; choose another one") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(STOP_EVERY_S,), name="statecore-inspector", daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        """The address of the page, token included."""
        return f"http://{HOST}:{self.port}/{self._token.decode()}/"

    def start(self) -> None:
        """Begin to listen."""
        self._watching.start()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._watching.stop()

    def wait(self) -> None:
        """Wait until it ends, or Ctrl-C."""
        self._thread.join()

    # ---- answers; on the threads of the server -----------------------------------------------------------------------

    def admits(self, host: str, token: str) -> bool:
        """Tell whether a request is from whoever was given the address."""
        known = hmac.compare_digest(token.encode("utf-8", "replace"), self._token)
        return known and host in (f"{HOST}:{self.port}", f"localhost:{self.port}")

    @undisturbed
    def page(self) -> tuple[bytes, str]:
        """Return the page and its policy."""
        with open_reader(self.path) as reader, self._reading(reader) as (connection, queries):
            first, last = queries.ends()
            began = connection.execute("select wall from events where seq = ?", (first,)).fetchone()
        head = {
            "live": True, "redacted": False, "path": self.path.name, "first": first, "last": last,
            "count": last - first + 1, "wall": (began[0] if began else 0) / 1e6, "machines": self._about,
            "accounts": self._accounts(), "incidents": self._incidents(), "looking": self._watching.looking,
        }  # fmt: skip
        text = "".join(self._page.parts(f"{self.path.name} - statecore", head))
        policy = f"{self._page.policy(live=True, styles=self._styles)}; frame-ancestors 'none'"
        return text.encode("utf-8", "replace"), policy

    @undisturbed
    def answer(self, name: str, about: Mapping[str, Any]) -> Any:
        """Answer a question."""
        given = checked(name, about)
        if name == "news":
            return self._news()
        with open_reader(self.path) as reader, self._reading(reader) as (_, queries):
            return getattr(queries, name)(**given)

    def _news(self) -> dict[str, Any]:
        with open_reader(self.path) as reader, self._reading(reader) as (_, queries):
            first, last = queries.ends()
        return {
            "last": last, "count": last - first + 1, "accounts": self._accounts(), "incidents": self._incidents(),
            "looking": self._watching.looking,
        }  # fmt: skip

    def _accounts(self) -> list[dict[str, Any]]:
        with open_reader(self.path) as reader:
            return facts.accounts(reader.status(wall_now()), Open())

    def _incidents(self) -> list[dict[str, Any]]:
        return facts.incidents(self._watching.found(), self._origin or 0)

    @contextmanager
    def _reading(self, reader: Reader) -> Iterator[tuple[sqlite3.Connection, Queries]]:
        with reader.reading() as connection:
            if self._origin is None:
                first = connection.execute("select at from events order by seq limit 1").fetchone()
                self._origin = None if first is None else first[0]
            alarm = threading.Timer(ANSWER_S, connection.interrupt)
            alarm.start()
            try:
                yield connection, Queries(connection, self._origin or 0, self._tone)
            finally:
                alarm.cancel()

    def _tone(self, machine: str, state: str) -> str:
        tone: str = self._tones.get((machine, state), "wait")
        return tone


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], inspector: Inspector) -> None:
        self.inspector = inspector
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._free.release()

    def hang_up(self) -> None:
        """Close the connections that browsers keep open for their next question."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the browser went away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # type: ignore[mutable-override]
    protocol_version = "HTTP/1.1"
    server_version = "statecore"
    sys_version = ""
    timeout = IDLE_S  # type: ignore[mutable-override]

    def do_GET(self) -> None:
        """Answer: the page, or a question of it."""
        asked = urlsplit(self.path)
        _, _, rest = asked.path.partition("/")
        token, _, what = rest.partition("/")
        inspector = self.server.inspector
        if not inspector.admits(self.headers.get("Host", ""), token):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that `statecore inspect` printed")
        elif not what:
            self._try(inspector.page)
        elif what.startswith("api/"):
            self._try(lambda: inspector.answer(what.removeprefix("api/"), _about(asked.query)))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing of that name")

    def _try(self, work: Callable[[], Any]) -> None:
        try:
            found = work()
        except BadQuestionError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except StatecoreError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        else:
            if isinstance(found, tuple):
                self._send(HTTPStatus.OK, "text/html; charset=utf-8", found[0], found[1])
            else:
                self._send(HTTPStatus.OK, "application/json", json.dumps(found).encode())

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, "application/json", json.dumps({"error": why}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the address holds the token."""


def _about(query: str) -> Mapping[str, Any]:
    try:
        found = json.loads(parse_qs(query).get("about", ["{}"])[0])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadQuestionError("what is said with a question is a JSON object")
    return found


@contextmanager
def open_inspector(
    journal: str | Path, *, port: int = 0, machines: Mapping[str, Machine] = MACHINES
) -> Iterator[Inspector]:
    """Serve a journal's page on this machine's loopback while the context is open.

    Args:
        journal: the journal; a gateway may be writing it.
        port: where to listen; 0 for any that is free.
        machines: definitions by name, for the diagrams.

    Raises:
        ReportError: the port cannot be used.
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    path = Path(journal)
    with open_reader(path) as reader, reader.reading():
        pass  # whoever names something else is told now, and not by the page
    inspector = Inspector(path, port, machines)
    inspector.start()
    try:
        yield inspector
    finally:
        inspector.stop()
