"""The pytest plugin. It is imported by every pytest run, so it imports nothing heavy by itself."""
