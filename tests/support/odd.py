"""Accounts whose client is made by the test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs

from statecore.platform import Client, Platform, Policies, Secrets
from tests.support.platform import PLAIN, QUICK


@attrs.frozen(eq=False)
class Odd:
    """One of them.

    Args:
        make: makes the client.
    """

    make: Callable[[Secrets], Client]
    platform: Platform = PLAIN
    policies: Policies = QUICK
    identity: str = "the odd account"

    def connect(self, secrets: Secrets) -> AbstractAsyncContextManager[Client]:
        """Make a client."""
        return self._connect(secrets)

    @asynccontextmanager
    async def _connect(self, secrets: Secrets) -> AsyncIterator[Client]:
        yield self.make(secrets)
