from statecore.testing.adapters.attempts import Attempts
from statecore.testing.adapters.hand import Peer


class AdapterSuite(Attempts):
    pass


__all__ = ["AdapterSuite", "Peer"]
