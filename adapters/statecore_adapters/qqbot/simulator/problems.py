"""How the server says no: the HTTP status, the two codes and the words that belong to each reason."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

__all__ = ["Problem", "problem"]


@attrs.frozen
class Problem:
    """One refusal. As the answer of a script it replaces the true one.

    Attributes:
        code: what the older documents call the error code.
        err_code: what the newer ones decide by; for some reasons a different number.
        headers: besides the trace id, e.g. Retry-After.
        data: goes into the body, as the id of an audit does.
    """

    status: int
    code: int
    err_code: int
    message: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    data: Mapping[str, Any] | None = None

    def body(self, trace_id: str) -> dict[str, Any]:
        """Build the JSON of the answer."""
        body: dict[str, Any] = {
            "message": self.message,
            "code": self.code,
            "err_code": self.err_code,
            "trace_id": trace_id,
        }
        return body if self.data is None else body | {"data": dict(self.data)}


# code: (status, code, message), by the number that decides; `code` where it differs from the number.
# Where a status was never seen in public it is 400, like that of its neighbours.
KNOWN: Final[Mapping[int, tuple[int, int, str]]] = {
    11241: (401, 11241, "token is empty"),
    40012002: (401, 11242, "check token failed, system error"),
    11243: (401, 11243, "token format error"),
    11244: (401, 11244, "token not exist or expire"),
    11245: (401, 11245, "fixed token is disabled, use AccessToken"),
    11251: (401, 11251, "appid error"),
    11253: (403, 11253, "app privilege not pass"),
    11255: (500, 11255, "invalid request"),
    11265: (403, 11265, "robot is banned"),
    40023002: (401, 11298, "request source IP not in whitelist"),
    12002: (400, 12002, "request body error"),
    22009: (429, 22009, "msg limit exceed"),
    50002: (429, 50002, "too many requests"),
    50006: (400, 50006, "empty message"),
    50035: (400, 50035, "form data invalid"),
    50056: (400, 50056, "markdown is not allowed"),
    50059: (500, 50059, "input type err"),
    100001: (200, 100001, "too many requests"),
    100002: (200, 100002, "internal err"),
    100007: (200, 100007, "appid invalid"),
    100016: (200, 100016, "invalid appid or secret"),
    100017: (400, 100017, "interface call frequency exceeded"),
    304003: (400, 304003, "url not allowed"),
    304018: (400, 304018, "robot is not connected to gateway"),
    304023: (202, 304023, "push message is waiting for audit now"),
    304024: (202, 304024, "reply message is waiting for audit now"),
    304025: (400, 304025, "message hit security policy"),
    304026: (400, 304026, "reply message id error"),
    304027: (400, 304027, "reply message id expired"),
    304036: (400, 304036, "no permission for markdown"),
    304045: (400, 304045, "push channel message reach limit"),
    304049: (400, 304049, "push direct message reach limit"),
    304061: (400, 304061, "invalid content"),
    304080: (400, 304080, "invalid file_info"),
    306003: (400, 306003, "no such message"),
    306011: (400, 306011, "recall timed out"),
    40034001: (400, 850026, "rich media download failed"),
    40034005: (400, 40034005, "msg_id expired"),
    40034006: (400, 40034006, "content hit moderation"),
    40034024: (400, 40034024, "msg_id invalid"),
    40034025: (400, 40034025, "event_id invalid"),
    40034026: (400, 40034026, "event_id expired"),
    40034027: (400, 40034027, "event can not be replied to"),
    40034100: (400, 40034100, "proactive message rate exceeded"),
    40034101: (400, 40034101, "robot is not in the group"),
    40034102: (400, 40034102, "no permission for proactive messages"),
    40034105: (400, 40034105, "no permission for proactive messages"),
    40034122: (400, 40034122, "wakeup message used up"),
    40034123: (400, 40034123, "wakeup message not supported"),
    40034127: (400, 40034127, "no permission for markdown"),
    40034128: (400, 40034128, "passive reply time or count exceeded"),
    40054002: (400, 40054002, "robot is muted in the group"),
    40054004: (400, 40054004, "not friends"),
    40054005: (400, 40054005, "message deduplicated, check msgseq"),
    40054007: (400, 40054007, "message too long"),
    40054010: (400, 40054010, "url not allowed"),
    40054013: (400, 40054013, "user refuses messages"),
    40093001: (400, 40093001, "part finish failed, retry"),
    40093002: (400, 40093002, "upload quota of the day used up"),
    40113003: (404, 40007, "committed prefix may not change"),
    404: (404, 404, "api not found"),
    405: (405, 405, "method not allowed"),
}
BY_OLD_CODE: Final = {code: number for number, (_, code, _) in KNOWN.items() if code != number}


def problem(
    number: int,
    *,
    status: int | None = None,
    message: str | None = None,
    retry_after: float | None = None,
    data: Mapping[str, Any] | None = None,
) -> Problem:
    """Build the refusal known by *number*, which is its err_code or its code.

    >>> problem(11298)
    Problem(status=401, code=11298, err_code=40023002, message='request source IP not in whitelist', headers={}, data=None)

    Args:
        number: a number nobody knows is refused with 400 and no words.
        retry_after: for the header of this name, in seconds.
    """
    number = BY_OLD_CODE.get(number, number)
    known_status, code, words = KNOWN.get(number, (400, number, f"error {number}"))
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return Problem(status or known_status, code, number, words if message is None else message, headers, data)
