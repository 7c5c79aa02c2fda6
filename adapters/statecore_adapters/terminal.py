"""What the simulators share at a terminal."""

import argparse
from typing import Final

PORT_MAX: Final = 65_535


def port(text: str) -> int:
    """Read a TCP port off a command line.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {PORT_MAX}, got {text!r}")
    return int(text)


def not_served(error: BaseException, *ports: int) -> str:
    """Say on one line why a server could not begin on one of these ports."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    asked = " or ".join(str(number) for number in ports if number) or "any"
    return f"cannot serve on port {asked}: {getattr(error, 'strerror', None) or error}\n"
