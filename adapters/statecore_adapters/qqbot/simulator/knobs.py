"""Every way in which the simulated platform can differ from its usual self.

Knobs may be turned while the server runs; the next request or frame sees the new value. What a knob cannot say ("the
third Identify", "this group only") is a script or a cue: see `scripts` for requests and `faults` for the gateway.
"""

# The defaults are the most probable behaviour of the real platform. Where nobody outside knows it, the knob exists so
# that a bot can be tested against both answers, and the comment says "unknown".

from typing import Any, Final, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, optional

__all__ = ["Knobs", "Replay"]

HOUR_S: Final = 3600.0

Replay = Literal["in_order", "duplicates", "gaps", "shuffled", "resumed_first"]


def _one_of(*values: object) -> Any:
    return in_(values)


_positive: Any = gt(0)
_maybe_positive: Any = optional(gt(0))
_whole: Any = [instance_of(int), ge(0)]


@attrs.define(kw_only=True)
class Knobs:
    """What the platform does. Assigning an impossible value raises at once."""

    # ---- access token ----
    token_lifetime_s: float = attrs.field(default=7200.0, validator=_positive)
    token_overlap_s: float = attrs.field(default=60.0, validator=ge(0))
    # a fetch this long before the end gives a new token, and the old one lives on to its end
    expires_in: Literal["string", "int", "zero", "missing"] = attrs.field(
        default="string", validator=_one_of("string", "int", "zero", "missing")
    )
    token_unchanged: bool = False  # a fetch gives the same token until its end, also when it was voided
    token_fetches_per_minute: int | None = attrs.field(default=None, validator=_maybe_positive)  # then 100001

    # ---- every endpoint ----
    http_status: int | None = attrs.field(default=None, validator=optional([ge(200), instance_of(int)]))
    # the front end answers this in HTML (502, 504), without a trace id, and the request never arrives

    # ---- /gateway, /gateway/bot ----
    lookups_burst: int = attrs.field(default=10, validator=ge(1))
    lookups_per_minute: float = attrs.field(default=2.0, validator=ge(0))  # then 100017
    lookups_limited_status: int = attrs.field(default=400, validator=ge(200))  # unknown
    shards: int = attrs.field(default=1, validator=ge(1))
    max_concurrency: int = attrs.field(default=1, validator=ge(1))  # reported; starts are not spaced by force
    session_starts: int = attrs.field(default=1000, validator=_whole)  # Identify within 24 h

    # ---- gateway ----
    heartbeat_interval_ms: float = attrs.field(default=41_250, validator=_positive)
    heartbeat_tolerance: float | None = attrs.field(default=2.0, validator=_maybe_positive)
    # intervals without op 1 after which the connection is closed with 4009; unknown. None: never
    acks: bool = True  # op 11 for each op 1
    connection_s: float | None = attrs.field(default=1800.0, validator=_maybe_positive)
    # trio seconds from READY or RESUMED to op 7; None: never
    op7_lead_ms: float = attrs.field(default=2000, validator=ge(0))  # from that op 7 to the close with 4009
    reason_after_ms: float = attrs.field(default=50, validator=ge(0))  # from op 9 to the end of the connection
    invalid_ends: Literal["close", "eof"] = attrs.field(default="close", validator=_one_of("close", "eof"))
    # what follows an op 9: a close frame with the real reason, or nothing but the end
    dead_session: Literal["op9", "close", "silent"] = attrs.field(
        default="op9", validator=_one_of("op9", "close", "silent")
    )
    # a Resume of a session that is gone: op 9 and then 4006, 4006 alone, or accepted and closed with 1000
    resume_window_s: float = attrs.field(default=300.0, validator=ge(0))  # "a short time"; unknown
    replay: Replay = attrs.field(
        default="in_order", validator=_one_of("in_order", "duplicates", "gaps", "shuffled", "resumed_first")
    )
    # duplicates: also the last event the client has; gaps: every second is left out; shuffled: newest first
    resumed_s: Literal["next", "last"] = attrs.field(default="next", validator=_one_of("next", "last"))
    # unknown: whether RESUMED takes a number of its own, or repeats the last one
    displaced_code: int | None = attrs.field(default=4009, validator=_maybe_positive)
    # what an older connection of the shard is closed with when a second Identify comes; unknown. None: TCP end
    voided_token_code: int = attrs.field(default=4004, validator=ge(1000))  # after op 9, for a token not accepted
    normal_close_ends: bool = False  # unknown: a session its client closed with 1000 cannot be resumed
    ready_shard: Literal["given", "sample"] = attrs.field(default="given", validator=_one_of("given", "sample"))
    # sample: [0, 0] whatever was asked for, as in the documents
    frames_per_minute: int | None = attrs.field(default=None, validator=_maybe_positive)  # then 4008; unknown

    # ---- what people say ----
    group_events: Literal["at", "all", "both"] = attrs.field(default="at", validator=_one_of("at", "all", "both"))
    # at: mentions, as GROUP_AT_MESSAGE_CREATE; all: everything, as GROUP_MESSAGE_CREATE; both: mentions under both
    copies: int = attrs.field(default=1, validator=ge(1))  # how often each message is pushed, under one id

    # ---- sending ----
    swallow_when_down: bool = True  # without a session that is up: 200, and nobody sees it
    guild_when_down: Literal["swallow", "304018"] = attrs.field(
        default="304018", validator=_one_of("swallow", "304018")
    )
    dedupe: bool = True  # a (msg_id, msg_seq) that was accepted is refused with 40054005
    c2c_window_s: float = attrs.field(default=HOUR_S, validator=_positive)
    group_window_s: float = attrs.field(default=300.0, validator=_positive)
    guild_window_s: float = attrs.field(default=300.0, validator=_positive)
    replies_max: int = attrs.field(default=5, validator=ge(0))  # for each msg_id; then 40034128. Not in guilds
    expired_code: Literal[40034005, 40034128] = attrs.field(default=40034005, validator=_one_of(40034005, 40034128))
    proactive: bool = False  # without msg_id and event_id; see `Simulator.allow_proactive` for one chat
    proactive_code: Literal[40034102, 40034105] = attrs.field(default=40034105, validator=_one_of(40034102, 40034105))
    proactive_per_minute: int | None = attrs.field(default=None, validator=_maybe_positive)  # each chat; then 40034100
    guild_proactive_per_day: int = attrs.field(default=20, validator=_whole)  # each channel; then 304045
    dm_proactive_per_day: int = attrs.field(default=2, validator=_whole)  # each person; then 304049
    sends_per_second: int | None = attrs.field(default=None, validator=_maybe_positive)  # then 429
    retry_after_s: float | None = attrs.field(default=1.0, validator=_maybe_positive)  # said with that 429; or not
    text_max_chars: int = attrs.field(default=5000, validator=ge(1))  # unknown; clients cut at 2000 to 5000
    urls_allowed: bool = True  # or 40054010, in guilds 304003
    markdown_code: int | None = attrs.field(default=None, validator=_one_of(None, 50056, 304036, 40034127))
    # markdown is refused with this
    banned_words: tuple[str, ...] = ()  # 40034006, in guilds 304025
    audit: Literal["off", "pass", "reject", "held"] = attrs.field(
        default="off", validator=_one_of("off", "pass", "reject", "held")
    )
    # messages wait for a person: answered 304023/304024, decided after audit_after_ms; held: see `Simulator.decide`
    audit_after_ms: float = attrs.field(default=0, validator=ge(0))
    audit_status: Literal[200, 201, 202] = attrs.field(default=202, validator=_one_of(200, 201, 202))

    # ---- media ----
    inline_max_bytes: int = attrs.field(default=20 * 1024 * 1024, validator=ge(1))  # of a request; then 413 in HTML
    file_ttl_s: int = attrs.field(default=1800, validator=_whole)  # 0: no end
    block_size_bytes: int = attrs.field(default=1024 * 1024, validator=ge(1))
    block_size_is: Literal["int", "string"] = attrs.field(default="int", validator=_one_of("int", "string"))
    first_part: Literal[0, 1] = attrs.field(default=1, validator=_one_of(0, 1))  # index of the first part
    part_finish_fails: int = attrs.field(default=0, validator=_whole)  # this many end with 40093001; counts down
    upload_quota_used: bool = False  # upload_prepare is refused with 40093002

    # ---- buttons ----
    interaction_status: Literal[200, 204] = attrs.field(default=204, validator=_one_of(200, 204))
