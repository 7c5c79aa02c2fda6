"""Exhaustive exploration of machines, alone and composed. Pure.

properties   what is asked of a model
engine       every state that can be reached, and what holds there
liveness     paths that go on for ever without reaching a goal
machine      the model of one machine definition
"""

from statecore.exploration.engine import Exploration, Model, Step, Verdict, explore
from statecore.exploration.machine import Coverage, MachineModel, Place, machine_model
from statecore.exploration.properties import always, eventually, happens, never_stuck, sometimes

__all__ = [
    "Coverage",
    "Exploration",
    "MachineModel",
    "Model",
    "Place",
    "Step",
    "Verdict",
    "always",
    "eventually",
    "explore",
    "happens",
    "machine_model",
    "never_stuck",
    "sometimes",
]
