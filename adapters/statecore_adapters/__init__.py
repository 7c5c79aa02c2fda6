"""Platform adapters for statecore, one package per platform."""
