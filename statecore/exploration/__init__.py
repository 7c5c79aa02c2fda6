"""Exhaustive exploration of machines, alone and composed. Pure.

properties   what is asked of a model
engine       every state that can be reached, and what holds there
liveness     paths that go on for ever without reaching a goal
machine      the model of one machine definition; samples, relevance: what is tried, and what may be forgotten
shipped      how each shipped machine is explored by itself
scene        what is composed, and which faults; scenes: those that `statecore check` explores
bench        one decision of an account, taken by the production code; abstraction: its times and numbers taken out
chats        the shipped machines composed, over a lossy channel; promises: what is asked of them
live         a path of a model, happening to a real account
checking     what `statecore check` finds
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
