"""Faults on cue: which request goes wrong, and how."""

# One mechanism for all of them. A script says for which calls it is meant; the first one in the order of writing
# that is meant for a call, and not used up, decides it.
#
# Scripts are asked last: a send that a rule refuses anyway does not use up a scripted refusal.

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from statecore_adapters import httpd
from statecore_adapters.cues import Cue

from .model import Bot
from .problems import Problem
from .records import Scene

__all__ = ["ENDPOINTS", "Act", "Call", "Script"]

ENDPOINTS: Final = frozenset(
    {"token", "gateway", "gateway/bot", "me", "dms", "messages", "recall", "stream_messages", "files", "upload_prepare"}
    | {"upload_part_finish", "bot_state", "interactions", "upload"}
)
"""What requests are for; an unknown path is for none of them."""

Act = Mapping[str, Any] | Problem | httpd.Answer | Callable[[httpd.Response], httpd.Answer]


@attrs.frozen(kw_only=True)
class Call:
    """One request to the API, with what scripts and rules ask about it.

    Attributes:
        endpoint: one of `ENDPOINTS`, or empty.
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
class Script(Cue):
    """One scripted fault; how often it strikes is said as for any `Cue`.

    Attributes:
        endpoint: one of `ENDPOINTS`, or "*" for all.
        act: a JSON object to answer, or a `Problem`; or an answer or fault of `httpd`; or a function that makes one
            out of the true answer.
        after: let the request take effect first, then answer with *act* instead. Always so for a function.
        scene, target: only calls about this chat.
        when: only calls for which this is true.
    """

    endpoint: str = attrs.field(validator=attrs.validators.in_(ENDPOINTS | {"*"}))
    act: Act
    after: bool = False
    scene: Scene | None = None
    target: str | None = None
    when: Callable[[Call], bool] | None = None

    def strikes(self, call: Call, now: float) -> bool:
        """Tell whether *call* is hit, and count it."""
        if self.is_spent(now) or self.endpoint not in {"*", call.endpoint}:
            return False
        if self.scene not in {None, call.scene} or self.target not in {None, call.target}:
            return False
        if self.when is not None and not self.when(call):
            return False
        return self.strike()
