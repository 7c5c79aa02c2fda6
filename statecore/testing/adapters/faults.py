"""What goes wrong between an adapter and its server, as data."""

from collections.abc import Callable

import attrs


@attrs.frozen
class Refuse:
    """Nobody listens."""


@attrs.frozen
class Unresolved:
    """The name does not resolve."""


@attrs.frozen
class Blackhole:
    """A connection is neither accepted nor refused."""


@attrs.frozen
class Shut:
    """A connection is accepted and closed, before anything was read.

    Args:
        reset: whether by a TCP reset.
    """

    reset: bool = False


@attrs.frozen
class Stall:
    """What is sent is read, and nothing is ever answered."""


@attrs.frozen
class Cut:
    """The request reaches the server, and the connection ends within its answer.

    Args:
        keep: what of the answer still comes through.
        reset: whether it ends by a TCP reset.
    """

    keep: Callable[[bytes], bytes]
    reset: bool = False


@attrs.frozen
class Say:
    """Something else answers each request, and closes.

    Args:
        answer: makes the answer of the request.
        stay: whether the connection stays open afterwards.
    """

    answer: Callable[[bytes], bytes]
    stay: bool = False


@attrs.frozen
class Drip:
    """An answer that begins like one, goes on a byte at a time and never ends."""

    head: bytes


@attrs.frozen
class Flood:
    """An answer that begins like one and never ends, as fast as it is read."""

    head: bytes


@attrs.frozen
class Plain:
    """Whoever wants to encrypt is answered in the clear."""


@attrs.frozen
class SelfSigned:
    """The server shows a certificate that nobody vouches for."""


Fault = Refuse | Unresolved | Blackhole | Shut | Stall | Cut | Say | Drip | Flood | Plain | SelfSigned
