"""Deterministic simulation: the whole gateway on virtual time, with faults drawn from a seed and truth kept by the platforms."""
