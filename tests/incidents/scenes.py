"""All scenes, by name."""

from tests.incidents import healthy, sessions, trouble
from tests.incidents.scene import SCENES

__all__ = ["SCENES", "healthy", "sessions", "trouble"]
