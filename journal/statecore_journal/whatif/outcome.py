"""What a run came to, and where two of them part. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median

import attrs

from statecore.machines import delivery
from statecore_journal.whatif.happened import Happened


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of an account's messages. Times in ns.

    Args:
        accepted: messages taken on.
        delivered: of these, how many the platform took whole.
        dead: how many were given up.
        expired: how many were not sent in time.
        waiting: how many were still on their way when the record ends.
        doubled: how many may have arrived twice.
        requests: parts that left.
        refused: how many of them the platform refused.
        delay: from taken on to delivered, for half of them no longer than this.
        delay_max: the longest.
        last: when the last was delivered, from the beginning of the run.
        down: for how long the platform did not accept the account.
        trouble: from the first thing that failed until everything taken on before the last failure was over; None if
            nothing failed, or if it is not over.
    """

    accepted: int = 0
    delivered: int = 0
    dead: int = 0
    expired: int = 0
    waiting: int = 0
    doubled: int = 0
    requests: int = 0
    refused: int = 0
    delay: int | None = None
    delay_max: int | None = None
    last: int | None = None
    down: int = 0
    trouble: int | None = None


@attrs.frozen
class Parting:
    """The first transition in which two runs differ.

    Args:
        at: when, in ns.
        recorded: what was recorded there, or None if nothing was.
        computed: what happens instead, or None if nothing does.
    """

    at: int
    recorded: Happened | None
    computed: Happened | None


def parting(one: Iterable[Happened], other: Iterable[Happened]) -> Parting | None:
    """Find the first transition in time in which a run differs from the record.

    What happens at the same moment to different instances has no order.

    Args:
        one: the record.
        other: the run.
    """
    before = {(step.address, step.version): step for step in one}
    first: Parting | None = None
    for found in other:
        was = before.pop((found.address, found.version), None)
        if first is not None and found.at >= first.at and (was is None or was.at >= first.at):
            continue  # behind where they part, nearly all is another
        if was is None or not was.is_like(found):
            first = Parting(_moment(was, found), was, found)
    missing = min(before.values(), key=_when, default=None)
    if missing is not None and (first is None or missing.at < first.at):
        first = Parting(missing.at, missing, None)
    return first


def _moment(was: Happened | None, found: Happened) -> int:
    return found.at if was is None else min(was.at, found.at)


def _when(step: Happened) -> int:
    return step.at


REFUSED = ("PartRefused", "NotSent", "PartUnknown")
UP = frozenset({"connected", "resting", "beating", "lingering", "renewing", "reauthorising"})


def outcome(steps: Sequence[Happened], began: int, ends: int) -> Outcome:
    """Say what a run came to.

    Args:
        steps: in their order.
        began: when the run began, in ns.
        ends: when it ended, in ns.
    """
    accepted: dict[str, int] = {}
    over: dict[str, tuple[int, str]] = {}
    doubled: set[str] = set()
    requests = refused = down = 0
    first_trouble: int | None = None
    last_trouble = began
    down_since: int | None = began
    for at, address, _, name, event, source, target, _, _, _, _ in steps:
        machine = address.partition("/")[0]
        if machine == "delivery":
            if name == "Accepted":
                accepted[address] = at
            elif name == "Turn":
                requests += target in delivery.SENDING
                if getattr(event, "doubles", False):
                    doubled.add(address)
            elif name in REFUSED:
                refused += name == "PartRefused"
                first_trouble, last_trouble = (first_trouble or at), at
            if target in delivery.SETTLED and source not in delivery.SETTLED:
                over[address] = at, target
        elif machine in ("connection", "session"):
            if name in ("Lost", "TokenRefused", "Rejected", "Broken"):
                first_trouble, last_trouble = (first_trouble or at), at
            if target in UP and down_since is not None:
                down += at - down_since
                down_since = None
            elif target not in UP and down_since is None:
                down_since = at
    down += ends - down_since if down_since is not None else 0
    delays = [
        at - accepted[address] for address, (at, state) in over.items() if state == "delivered" and address in accepted
    ]
    counts = [state for _, state in over.values()]
    touched = [address for address, at in accepted.items() if at <= last_trouble]
    healed = max((over[address][0] for address in touched if address in over), default=last_trouble)
    settled = first_trouble is not None and all(address in over for address in touched)
    return Outcome(
        accepted=len(accepted),
        delivered=counts.count("delivered"),
        dead=counts.count("dead"),
        expired=counts.count("expired"),
        waiting=len(accepted.keys() - over.keys()),
        doubled=len(doubled),
        requests=requests,
        refused=refused,
        delay=round(median(delays)) if delays else None,
        delay_max=max(delays, default=None),
        last=max((at for at, state in over.values() if state == "delivered"), default=began) - began
        if delays
        else None,
        down=down,
        trouble=max(healed, last_trouble) - first_trouble if settled and first_trouble is not None else None,
    )
