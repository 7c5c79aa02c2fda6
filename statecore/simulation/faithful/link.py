"""What lies between the machine and a platform, and what it suffers from."""

import attrs


@attrs.define(kw_only=True)
class Spell:
    """What a link suffers from for a while.

    Args:
        begins, ends: in seconds of trio's clock.
        kind: what it is.
            "delay": every segment takes up to *amount* seconds more.
            "reorder": so does every segment of a connection, by a time that is drawn once for the connection.
            "loss": every segment is lost with this probability, and sent again.
            "cut": a connection breaks with this probability whenever something comes down.
            "half-open": a new connection is dead from the beginning with this probability.
            "refuse": nobody listens, and that is said.
            "resolve": the name is not found.
            "duplicate": a request is delivered twice with this probability.
            "narrow": so many bytes a second go through at most.
        amount: how much of it.
        up, down: in which direction: to the platform, or from it.
    """

    begins: float
    ends: float
    kind: str
    amount: float = 1.0
    up: bool = True
    down: bool = True


@attrs.define
class Link:
    """What lies between the machine and one platform.

    Args:
        name: of the platform's host.
        address: its IP address.
        delay: shortest and longest way of a segment, in seconds.
        bytes_per_s: how much it carries.
    """

    name: str
    address: str
    delay: tuple[float, float] = (0.005, 0.03)
    bytes_per_s: float = 1e6
    spells: list[Spell] = attrs.field(factory=list)
    seen: dict[str, int] = attrs.field(factory=dict)

    def now_under(self, kind: str, now: float, *, up: bool = True, down: bool = True) -> Spell | None:
        """Return the spell of this kind that lasts now, if there is one."""
        for spell in self.spells:
            if spell.kind == kind and spell.begins <= now < spell.ends and ((spell.up and up) or (spell.down and down)):
                return spell
        return None

    def note(self, kind: str) -> None:
        """Count that something was really met."""
        self.seen[kind] = self.seen.get(kind, 0) + 1
