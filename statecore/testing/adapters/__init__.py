from statecore.testing.adapters.declared import Declared
from statecore.testing.adapters.endings import Endings
from statecore.testing.adapters.hand import Peer
from statecore.testing.adapters.pure import Pure
from statecore.testing.adapters.wires import Wires


class AdapterSuite(Wires, Endings, Declared, Pure):
    pass


__all__ = ["AdapterSuite", "Peer"]
