"""Every way in which the simulated server can differ from its usual self.

Knobs may be turned while the server runs; the next request sees the new value. What a knob cannot say ("the third
send to this user") is a script: see `scripts`.
"""

# The defaults are the most probable behaviour of the real server. Where nobody outside knows it, the knob exists so
# that a bot can be tested against both answers, and the comment says "unknown".

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, optional

__all__ = ["Burst", "Knobs"]

SECONDS_PER_DAY: Final = 86_400

PollFault = Literal["half_response", "close_at_once", "reset", "stall", "flood"]


def _one_of(*values: object) -> Any:
    return in_(values)


@attrs.frozen(kw_only=True)
class Burst:
    """Too many sends in a short time are refused, and so is everything for a while after.

    Attributes:
        sends: how many are let through in any *span_s*; the next one starts the penalty.
        penalty_s: how long everything is refused then. About an hour was observed.
        extend_on_attempt: a send during the penalty starts it anew. Observed up to 15 hours.
        per: whom the count belongs to. Unknown; most reports read like the bot.
    """

    sends: int = attrs.field(default=2, validator=ge(1))
    span_s: float = attrs.field(default=1.0, validator=gt(0))
    penalty_s: float = attrs.field(default=3600.0, validator=ge(0))
    extend_on_attempt: bool = True
    per: Literal["bot", "user"] = attrs.field(default="bot", validator=_one_of("bot", "user"))


def _valid_refusal(_instance: object, _attribute: object, value: object) -> None:
    if isinstance(value, Mapping) or value in {"bare", "prepare failed"}:
        return
    raise ValueError(f"refusal_style is 'bare', 'prepare failed' or the JSON object to answer, not {value!r}")


@attrs.define(kw_only=True)
class Knobs:
    """What the server does. Assigning an impossible value raises at once."""

    # ---- every endpoint ----
    strict: bool = True  # refuse requests whose envelope differs from the official client's
    http_status: int | None = attrs.field(default=None, validator=optional([ge(200), instance_of(int)]))
    # the gateway in front answers this (502, 524) and the request never arrives
    malformed_json: bool = False  # the answer breaks off in the middle, with a matching Content-Length
    bad_content_length: int | None = None  # announce this many bytes more (or fewer) than follow
    slow_body_bytes_per_s: float | None = attrs.field(default=None, validator=optional(gt(0)))
    token_lifetime_s: float | None = attrs.field(default=None, validator=optional(gt(0)))
    # unknown: 2 h, 24-30 h idle and 30 days were reported
    notifystart_revives: bool = False  # unknown: a dead token lives again after notifystart

    # ---- getupdates ----
    hold_ms: int = attrs.field(default=35_000, validator=ge(0))
    idle_omits_ret: bool = False
    idle_omits_msgs: bool = False
    idle_omits_cursor: bool = False
    longpolling_timeout_ms: int | None = None  # sent as the hint when set; the hold itself is hold_ms
    instant_empty: bool = False  # every poll ends at once with nothing, whatever is waiting
    message_flood: int = attrs.field(default=0, validator=ge(0))  # every poll ends at once with this many new messages
    batch_max: int = attrs.field(default=50, validator=ge(1))
    retained_max: int = attrs.field(default=1000, validator=ge(1))  # older messages are forgotten
    concurrent_polls: Literal["steal", "both_expire", "both_served"] = attrs.field(
        default="steal", validator=_one_of("steal", "both_expire", "both_served")
    )
    # steal: the newest poll hears, the older ones are held and deaf; both_expire: all end with -14
    foreign_cursor: Literal["replay", "reject"] = attrs.field(default="replay", validator=_one_of("replay", "reject"))
    empty_cursor: Literal["replay", "latest"] = attrs.field(default="replay", validator=_one_of("replay", "latest"))
    # unknown: whether an empty cursor brings what was said before the first poll
    poll_fault: PollFault | None = attrs.field(
        default=None, validator=_one_of(None, "half_response", "close_at_once", "reset", "stall", "flood")
    )

    # ---- what users say ----
    duplicate_after_ms: int | None = attrs.field(default=None, validator=optional(ge(0)))
    # the same text again, under a new id and a new token
    duplicate_same_id: bool = False  # the copy keeps its id and token
    missing_message_id: bool = False
    ref_msg: Literal["none", "id_only", "full", "svr_id", "partial"] = attrs.field(
        default="none", validator=_one_of("none", "id_only", "full", "svr_id", "partial")
    )
    split_at_chars: int = attrs.field(default=2048, validator=ge(0))  # 0 never splits

    # ---- sendmessage ----
    send_answer: Literal["id", "ret", "empty"] = attrs.field(default="id", validator=_one_of("id", "ret", "empty"))
    refusal_style: str | Mapping[str, Any] = attrs.field(default="bare", validator=_valid_refusal)
    text_max_bytes: int = attrs.field(default=16_384, validator=ge(1))
    cjk_max_bytes: int = attrs.field(default=6_000, validator=ge(1))  # of a text that holds any CJK character
    window_s: float = attrs.field(default=SECONDS_PER_DAY, validator=gt(0))
    quota: int = attrs.field(default=10, validator=ge(0))  # sends for each message of the user
    burst: Burst | None = attrs.field(default=None, validator=optional(instance_of(Burst)))
    token_policy: Literal["off", "required", "freshness", "must_match_latest"] = attrs.field(
        default="off", validator=_one_of("off", "required", "freshness", "must_match_latest")
    )
    # required: any token the user's messages carried; freshness: one not older than token_freshness_s
    token_freshness_s: float = attrs.field(default=120.0, validator=gt(0))
    tokenless_ok: bool = False  # every policy lets a send without any token pass
    dedupe_client_id: bool = False  # unknown: a repeated client_id is answered as before, and not delivered again
    blackhole: bool = False  # risk control: ret 0, no id, nothing reaches the phone
    delayed_delivery_s: float = attrs.field(default=0.0, validator=ge(0))
    reply_lost: Literal["drop", "stall"] | None = attrs.field(default=None, validator=_one_of(None, "drop", "stall"))
    # the send is carried out; its answer never arrives

    # ---- getconfig, sendtyping ----
    config_always_ok: bool = False  # a typing ticket also for users without an open window
    typing_ticket_checked: bool = False  # refuse a ticket that was not issued for this user

    # ---- media ----
    upload_answer: Literal["full_url", "param", "both"] = attrs.field(
        default="full_url", validator=_one_of("full_url", "param", "both")
    )
    upload_without_token: Literal["ok", "-14", "-2"] = attrs.field(default="ok", validator=_one_of("ok", "-14", "-2"))
    # what getuploadurl says to a request without context_token; unknown whether it needs one
    upload_restricted: bool = False  # the account may not send media: -2
    cdn_fail_first: int = attrs.field(default=0, validator=ge(0))  # this many uploads end with 500; counts down
    cdn_refuses: bool = False  # uploads end with 400 and x-error-message
    cdn_omits_param: bool = False  # a successful upload answers without x-encrypted-param

    # ---- QR login ----
    qr_hold_ms: int = attrs.field(default=35_000, validator=ge(0))
    qr_ttl_s: float = attrs.field(default=120.0, validator=gt(0))
    qr_refuses_hints: bool = False  # get_bot_qrcode fails unless local_token_list is empty
    qr_baseurl: Literal["main", "second"] = attrs.field(default="main", validator=_one_of("main", "second"))
