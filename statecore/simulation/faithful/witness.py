"""What leaves a process, and who receives in it: the half of the truth that only the process's side can tell."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import attrs

from statecore.platform import AccountConfig, Outgoing
from statecore.simulation.faithful.connection import SENDING
from statecore.simulation.truth import Platform


@attrs.frozen(eq=False)
class Attempt:
    """What a process was about when it sent something.

    Args:
        left: when, in ns from the beginning.
        seq: position of the last row that was durable then.
        process: which.
        epoch: under which it drove the account.
        key: of the part, if it was one.
    """

    left: int
    seq: int
    process: str
    epoch: int
    key: str = ""


@attrs.define(eq=False)
class Receiving:
    """Who receives for an account now.

    Args:
        truth: the account's.
    """

    truth: Platform
    processes: dict[str, int] = attrs.field(factory=dict)

    @contextmanager
    def by(self, process: str, running: Callable[[str], bool]) -> Iterator[None]:
        """Count a process in, and note how many there are of those that run."""
        self.processes[process] = self.processes.get(process, 0) + 1
        count = sum(1 for name, number in self.processes.items() if number and running(name))
        self.truth.receiving = max(self.truth.receiving, count)
        try:
            yield
        finally:
            self.processes[process] -= 1


def witnessed(
    config: AccountConfig, attempt: Callable[[str], Attempt], receiving: Callable[[], AbstractContextManager[None]]
) -> AccountConfig:
    """Return a configuration whose clients say what they are about when they send something.

    Args:
        config: the real one.
        attempt: makes the note of what is sent, given the key of a part.
        receiving: entered for as long as an attempt to receive lasts.
    """
    kind: Any = type(config)

    class Witnessed(kind):  # type: ignore[misc]  # of the same class, because its settings are recorded
        @asynccontextmanager
        async def connect(self, secrets: Any) -> AsyncIterator[Any]:
            async with kind.connect(self, secrets) as client:
                yield _Client(client, attempt, receiving)

    fields = {field.alias: getattr(config, field.name) for field in attrs.fields(kind) if field.init}
    made: AccountConfig = Witnessed(**fields)
    return made


class _Client:
    """A client whose attempts are tagged; everything else is the real one's."""

    def __init__(self, client: Any, attempt: Callable[[str], Attempt], receiving: Callable[[], Any]) -> None:
        self._client, self._attempt, self._receiving = client, attempt, receiving

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, part: Outgoing) -> Any:
        SENDING.set(self._attempt(part.key))
        return await self._client.send(part)

    async def receive(self) -> Any:
        SENDING.set(self._attempt(""))
        with self._receiving():
            return await self._client.receive()

    async def read(self, taken: int, *, beat: bool) -> Any:
        SENDING.set(self._attempt(""))
        with self._receiving():
            return await self._client.read(taken, beat=beat)

    async def resume(self) -> Any:
        SENDING.set(self._attempt(""))
        return await self._client.resume()
