"""Telling systemd how the gateway is, where systemd started it (`Type=notify`).

    READY=1                the gateway is up: what is sent to it is durable, and every account is driven or waited for. An
                           account that waits, for its platform or for another process, is no reason to fail the start
    STATUS=...             what is done about each account, for `systemctl status`
    WATCHDOG=1             while the loop turns (or this would not be sent) and the journal answers
    STOPPING=1             the accounts are being let go
    EXTEND_TIMEOUT_USEC=   while that goes on, however TimeoutStopSec compares with the configured drain

No library for it: `sdnotify` had its last release in 2017 and raises or swallows everything by a flag, `systemd-python` and
`cysystemd` need a compiler and libsystemd. What is needed is one datagram.

Source: sd_notify(3), sd_watchdog_enabled(3), systemd 252.
"""

import os
import socket
from collections import Counter
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Final, Protocol, Self

import attrs
import trio

from statecore.units import MICROSECONDS, SECONDS

TELL_EVERY: Final = 5 * SECONDS
"""How often it is looked whether there is something to tell; twice within the watchdog's time if that is less."""

STOPPING_TELL_EVERY: Final = 1 * SECONDS

EXTENSION: Final = 15 * SECONDS
"""What every look during a stop asks for. If the loop stands still, systemd ends the process after this long."""

SILENCE_MAX: Final = 20 * SECONDS
"""A journal that has not answered for this long (four heartbeats) keeps the watchdog from being fed."""

STATUS_ACCOUNTS_MAX: Final = 5
"""More accounts are counted by what is done about them; the status is one line."""

STATUS_CHARACTERS_MAX: Final = 400


class Watched(Protocol):
    """What is asked of a gateway."""

    stopping: bool

    @property
    def pulse_age(self) -> int:
        """For how long, in ns, its journal has not answered."""

    def doing(self) -> dict[str, str]:
        """Return what it does about each account."""

    async def wait_for_stop(self) -> None:
        """Wait until it is asked to stop."""


@attrs.frozen
class Systemd:
    """The systemd that started this process.

    Args:
        address: of its socket.
        watchdog: how long it waits for a sign of life, in ns; None if it does not.
    """

    address: str
    watchdog: int | None = None

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self | None:
        """Find it; None if there is none. The variables are taken out, so that children do not speak for this process."""
        address = environment.pop("NOTIFY_SOCKET", "")
        within, meant = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        watched = within.isascii() and within.isdigit() and int(within) > 0 and meant in ("", str(os.getpid()))
        return cls(address, int(within) * MICROSECONDS if watched else None)

    def tell(self, *lines: str) -> None:
        """Tell it something. If it does not listen, that is its own affair: no account suffers for it."""
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto("\n".join(lines).encode(errors="replace"), socket.MSG_DONTWAIT, name)

    async def attend(self, gateway: Watched) -> None:
        """Tell how a gateway is until cancelled. Begin when it is up, and end when it has let go of its accounts."""
        self.tell("READY=1", f"STATUS={status(gateway.doing())}")
        stopping = False
        while True:
            lines = [f"STATUS={status(gateway.doing())}"]
            if gateway.stopping:
                lines += [] if stopping else ["STOPPING=1"]
                lines.append(f"EXTEND_TIMEOUT_USEC={EXTENSION // MICROSECONDS}")
                stopping = True
            if self.watchdog is not None and gateway.pulse_age < SILENCE_MAX:
                lines.append("WATCHDOG=1")
            self.tell(*lines)
            with trio.move_on_after(self._pause(stopping=stopping) / SECONDS):
                await (gateway.wait_for_stop if not stopping else trio.sleep_forever)()

    def _pause(self, *, stopping: bool) -> int:
        usual = STOPPING_TELL_EVERY if stopping else TELL_EVERY
        return usual if self.watchdog is None else min(usual, self.watchdog // 2)


def status(doing: Mapping[str, str]) -> str:
    """Write what is done about each account on one line.

    >>> status({"wx": "connected", "qq": "reconnecting"})
    'wx: connected; qq: reconnecting'
    >>> status({str(number): "connected" for number in range(1000)})
    '1000 connected'
    """
    if len(doing) > STATUS_ACCOUNTS_MAX:
        counted = Counter(what.partition(" ")[0].rstrip(":") for what in doing.values())
        text = "; ".join(f"{count} {what}" for what, count in counted.most_common())
    else:
        text = "; ".join(f"{name}: {what}" for name, what in doing.items())
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= STATUS_CHARACTERS_MAX else f"{text[: STATUS_CHARACTERS_MAX - 1]}…"
