"""Faults on cue: which request goes wrong, and how."""

# One mechanism for all of them. A script says for which calls it is meant; the first one in the order of writing
# that is meant for a call, and not used up, decides it.
#
# Scripts are asked last: a send that the quota refuses anyway does not use up a scripted refusal.

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from statecore_adapters import httpd

from .checks import Call

__all__ = ["Act", "Script"]

Act = Mapping[str, Any] | httpd.Answer | Callable[[httpd.Response], httpd.Answer]


@attrs.define(kw_only=True, eq=False)
class Script:
    """One scripted fault, and how often it has struck.

    Attributes:
        endpoint: the last part of the path ("sendmessage"), or "*" for all.
        act: a JSON object to answer; or an answer or fault of `httpd`; or a function that makes one out of the
            true answer.
        after: let the request take effect first, then answer with *act* instead. Always so for a function.
        skip: let this many matching calls pass first.
        times: strike this often, then never again. None: no limit.
        until: strike only before this trio time.
        for_user: only calls about this user.
        when: only calls for which this is true.
    """

    endpoint: str
    act: Act
    after: bool = False
    skip: int = 0
    times: int | None = None
    until: float | None = None
    for_user: str | None = None
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
        if self.for_user is not None and call.user != self.for_user:
            return False
        if self.when is not None and not self.when(call):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True
