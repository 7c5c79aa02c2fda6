"""The monitors in a running gateway: they say what goes on, once, and when it is over, once."""
