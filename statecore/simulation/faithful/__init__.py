"""The simulation's second speed: real trio on a virtual clock, for fidelity.

    run.py        a plan in, what came of it out
    street.py     one run: processes, platforms, people
    kernel.py     one machine: its clocks, its processes, signals
    network.py    connections in memory, below the socket
    disk.py       what stands between a process and its journal
    platforms.py  the adapters' simulators, and the truth they keep
    clock.py      the virtual clock; counts steps, and finds what spins
    plugs.py      everything that is replaced so that a seed decides it
    reading.py    a journal's file, read back

The gateway, the driver, the handover, the lease, the journal's file, the adapters, httpx, websockets and the servers are the
real ones. Modelled is what the operating system does below them.
"""

from statecore.simulation.faithful.run import Faithful, run_faithful

__all__ = ["Faithful", "run_faithful"]
