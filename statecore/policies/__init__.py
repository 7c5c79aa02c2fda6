"""Policies: pure functions from settings and evidence to numbers. No clock, no chance: both are arguments.

backoff    how long until the next attempt to connect, or to send what was certainly not sent
circuit    how long a refused chat or account is left alone, and when a refusal speaks for the whole account
pacing     when the next request may leave
window     what the platform still allows in answer to the last inbound message
starts     how often a session with a platform may be begun
retry      when to give a delivery up, and what to do with an outcome nobody knows
"""

from statecore.policies.backoff import Backoff
from statecore.policies.circuit import Circuit
from statecore.policies.pacing import Pacing
from statecore.policies.retry import Handling, Retry
from statecore.policies.starts import Sessions
from statecore.policies.window import Window

__all__ = ["Backoff", "Circuit", "Handling", "Pacing", "Retry", "Sessions", "Window"]
