"""Machines and incidents as pictures."""
