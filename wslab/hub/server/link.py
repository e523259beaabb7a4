"""A link: what a hub needs of one client's connection, whatever carries it.

Its rule: a hub, its clients and their send queues speak to a link and never to what is behind it.
`websockets_link` is the one for ``websockets.serve`` and ``wslab.serve``. All of it is for the
hub's loop only. Who the client is and what its messages mean is not here.
"""

from __future__ import annotations

import uuid
from typing import Any, Protocol

from ..dialects.dialect import Dialect
from ..engineio import link as engineio_link
from ..protocol.closed import Closed
from .prepared_message import PreparedMessage

__all__ = ["Closed", "Link"]


class Link(engineio_link.Link, Protocol):
    """One client's connection, as its hub sees it: what an Engine.IO session needs, and more.

    Attributes:
        dialect: what is spoken on it.
        id: who it is, at random.
        auth: what the client has introduced itself with, where its protocol has a place for that.
    """

    dialect: Dialect
    id: uuid.UUID
    auth: Any

    @property
    def is_served(self) -> bool:
        """Whether its server lives, so that its client may come back."""

    async def close(self, code: int, reason: str, word: PreparedMessage | None = None) -> None:
        """Close it and wait for the client's answer, for as long as it takes (RFC 6455 §7.1.2).

        Args:
            code: why, as a close code.
            reason: the same in words.
            word: what is said before that, where it can be.
        """
