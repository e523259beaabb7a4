"""A connection of a network in memory, as a test or a lesson sees it, and what can be done to it.

Its rule: for any thread; what is done is the network's doing, of which no program is told.
"""

from __future__ import annotations

from .conditions import Conditions
from .transport import MemoryTransport

__all__ = ["MemoryConnection"]


class MemoryConnection:
    """A connection of a :class:`MemoryNetwork`, and what can be done to it; from any thread.

    Attributes:
        client, server: the conditions at each end.
        address: the client's host and port.
    """

    def __init__(self, client: MemoryTransport, server: MemoryTransport) -> None:
        client.peer, server.peer = server, client
        self._transports = (client, server)
        self.client: Conditions = client.conditions
        self.server: Conditions = server.conditions
        self.address: tuple[str, int] = client.get_extra_info("sockname")[:2]

    def cut(self) -> None:
        """Let nothing pass either way, and tell nobody: no FIN, no RST."""
        self.client.cut()
        self.server.cut()

    def restore(self) -> None:
        """Let all pass again that was sent meanwhile, in order."""
        self.client.restore()
        self.server.restore()

    def reset(self) -> None:
        """End it as RST does (RFC 9293 §3.5.2): what is under way is lost, and both ends know."""
        self.cut()
        for transport in self._transports:
            transport.reset()

    def __repr__(self) -> str:
        client, server = self._transports
        return f"<MemoryConnection {client!r}, {server!r}>"
