"""Which connection has a session now, and whose turn it is to be handled.

Its rule: it holds no connection in memory. What a session remembers is in
`hub/protocol/server_session`.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Generic, TypeVar

__all__ = ["Holder"]

C = TypeVar("C")


class Holder(Generic[C]):
    """What all connections of one session share.

    Attributes:
        turn: one packet of the session at a time, whichever connection brings it.
    """

    __slots__ = ("_client", "turn")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self._client: weakref.ref[C] | None = None

    @property
    def client(self) -> C | None:
        """Its connection now, or the last one, as long as that is there."""
        return self._client() if self._client is not None else None

    @client.setter
    def client(self, client: C | None) -> None:
        self._client = weakref.ref(client) if client is not None else None
