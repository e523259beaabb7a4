"""Which connection has a session now, and whose turn it is to be handled.

Its rule: it holds no connection in memory. What a session remembers is in
`hub/protocol/server_session`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from .prepared_message import PreparedMessage
from .send_queue import SendQueue

__all__ = ["Holder"]


class Connected(Protocol):
    """Who may have a session: a connection."""

    send_queue: SendQueue

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""


C = TypeVar("C", bound=Connected)


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

    def send(self, answer: tuple[bytes, Sequence[bytes]]) -> None:
        """Send an answer that the session keeps, where its connection now is open.

        Args:
            answer: the payloads of its frames: one of text, as UTF-8, and those behind it.
        """
        client = self.client
        if client is not None and client.is_open:
            client.send_queue.put(PreparedMessage(*answer), is_essential=True)
