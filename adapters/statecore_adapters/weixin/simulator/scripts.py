"""Faults on cue: which request goes wrong, and how."""

# One mechanism for all of them. A script says for which calls it is meant; the first one in the order of writing
# that is meant for a call, and not used up, decides it.
#
# Scripts are asked last: a send that the quota refuses anyway does not use up a scripted refusal.

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from statecore_adapters import httpd
from statecore_adapters.cues import Cue

from .checks import Call

__all__ = ["Act", "Script"]

Act = Mapping[str, Any] | httpd.Answer | Callable[[httpd.Response], httpd.Answer]


@attrs.define(kw_only=True, eq=False)
class Script(Cue):
    """One scripted fault; how often it strikes is said as for any `Cue`.

    Attributes:
        endpoint: the last part of the path ("sendmessage"), or "*" for all.
        act: a JSON object to answer; or an answer or fault of `httpd`; or a function that makes one out of the
            true answer.
        after: let the request take effect first, then answer with *act* instead. Always so for a function.
        for_user: only calls about this user.
        when: only calls for which this is true.
    """

    endpoint: str
    act: Act
    after: bool = False
    for_user: str | None = None
    when: Callable[[Call], bool] | None = None

    def strikes(self, call: Call, now: float) -> bool:
        """Tell whether *call* is hit, and count it."""
        if self.is_spent(now) or self.endpoint not in {"*", call.endpoint}:
            return False
        if self.for_user is not None and call.user != self.for_user:
            return False
        if self.when is not None and not self.when(call):
            return False
        return self.strike()
