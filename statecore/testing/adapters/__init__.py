"""The conformance suite for adapters: subclass it, point it at a server, and what the runtime relies on is checked.

    class TestMine(AdapterSuite):
        kind, settings = Mine, {"token": "canary-token-of-nobody"}

        @asynccontextmanager
        async def platform(self):
            async with open_my_simulator() as server:
                yield Peer(
                    account=lambda through: Mine(base_url=through(server.url), token="canary-token-of-nobody"),
                    chat="ann", say=lambda text: server.say("ann", text), shown=lambda: server.shown,
                    canaries=("canary-token-of-nobody",),
                )

ADAPTERS.md beside this package says what is checked, and why.

base        what the author says about an adapter; the stage
network     relays between adapter and server
faults      what they can be told to do
watching    who runs, what is logged, where it is cancelled
hand        a client, called as the driver calls it
attempts    one attempt a call, at once; the stage at which it failed; answers that are none
wires       keys; secrets; a whole gateway
endings     cancellation at every step; what is left
declared    what the platform is declared to do, held to what it does; frames of a session
pure        texts, chats, refusals, settings; no clock and no chance
"""

from statecore.testing.adapters.base import http_answer, http_requests
from statecore.testing.adapters.declared import Declared
from statecore.testing.adapters.endings import Endings
from statecore.testing.adapters.hand import Peer, Route
from statecore.testing.adapters.pure import Pure
from statecore.testing.adapters.wires import Wires


class AdapterSuite(Wires, Endings, Declared, Pure):
    """Everything an adapter has to keep. Subclass it under a name that begins with "Test", and override `platform`.

    What an adapter does not claim is skipped, with the reason.
    """


__all__ = ["AdapterSuite", "Peer", "Route", "http_answer", "http_requests"]
