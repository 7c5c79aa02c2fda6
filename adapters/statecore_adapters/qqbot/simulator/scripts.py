"""Faults on cue: which request goes wrong, and how."""

# One mechanism for all of them. A script says for which calls it is meant; the first one in the order of writing
# that is meant for a call, and not used up, decides it.
#
# Scripts are asked last: a send that a rule refuses anyway does not use up a scripted refusal.

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from statecore_adapters import httpd

from .model import Bot
from .problems import Problem
from .records import Scene

__all__ = ["Act", "Call", "Script"]

Act = Mapping[str, Any] | Problem | httpd.Answer | Callable[[httpd.Response], httpd.Answer]


@attrs.frozen(kw_only=True)
class Call:
    """One request to the API, with what scripts and rules ask about it.

    Attributes:
        endpoint: one of `api.ROUTES`.
        scene, target: where a message, a file or a stream goes; "" for other endpoints.
        name: what else the path names: an interaction, a message, an upload.
        body: JSON object or form. Fields that are null are as good as absent and left out.
        bot: whose token it carries, if the token is good.
    """

    request: httpd.Request
    endpoint: str
    scene: Scene | None = None
    target: str = ""
    name: str = ""
    body: Mapping[str, Any] = attrs.field(factory=dict)
    bot: Bot | None = None


@attrs.define(kw_only=True, eq=False)
class Script:
    """One scripted fault, and how often it has struck.

    Attributes:
        endpoint: name of the endpoint, or "*" for all.
        act: a JSON object to answer, or a `Problem`; or an answer or fault of `httpd`; or a function that makes one
            out of the true answer.
        after: let the request take effect first, then answer with *act* instead. Always so for a function.
        skip: let this many matching calls pass first.
        times: strike this often, then never again. None: no limit.
        until: strike only before this time of the server.
        scene, target: only calls about this chat.
        when: only calls for which this is true.
    """

    endpoint: str
    act: Act
    after: bool = False
    skip: int = 0
    times: int | None = None
    until: float | None = None
    scene: Scene | None = None
    target: str | None = None
    when: Callable[[Call], bool] | None = None
    hits: int = 0
    cancelled: bool = False

    def cancel(self) -> None:
        """Never strike again."""
        self.cancelled = True

    def is_spent(self, now: float) -> bool:
        """Tell whether this script can never strike again."""
        used_up = self.times is not None and self.hits >= self.times
        return self.cancelled or used_up or (self.until is not None and now >= self.until)

    def strikes(self, call: Call, now: float) -> bool:
        """Tell whether *call* is hit, and count it."""
        if self.is_spent(now) or self.endpoint not in {"*", call.endpoint}:
            return False
        if self.scene not in {None, call.scene} or self.target not in {None, call.target}:
            return False
        if self.when is not None and not self.when(call):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True
