"""Exhaustive exploration of machines, alone and composed. Pure."""
