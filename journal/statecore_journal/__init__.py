"""The event store of statecore."""
