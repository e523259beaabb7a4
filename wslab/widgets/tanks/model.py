"""Where the bytes are between a server's program and a client's, each place counted.

Its rule: every number is counted, none estimated. What the operating systems (and the network
between them) hold is what the server's transport handed over less what the client's has taken from
its own. It needs both ends in this process. What a program of its own queues, it has to say itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ...client.client import Client
from ...hub import Hub
from ...hub.server.hub_client import connection_of
from ...server.connection import Connection
from ...server.server import Server
from ..panels.model import one_line, size

__all__ = ["PLACES", "Gauge", "Levels", "Queued"]

Json = dict[str, Any]
Queued = Callable[[Any], int]  # takes the server's end of a connection, returns bytes

PLACES = {
    "program": "the program's queue",
    "library": "the server's library",
    "network": "two operating systems",
    "client": "the client's library",
}
MAX_ROWS = 6
_LEAST_SCALE_BYTES = 2**16  # an almost empty tank is to look so
_STEPS = 200  # of a level, so that what can't be seen is not sent


class Levels(NamedTuple):
    """Bytes in each place, on their way from one program to the other.

    Attributes:
        program: in the server's program, which has not sent them yet.
        library: in the server's library (asyncio's write buffer): sent, as the program sees it.
        network: handed to the server's operating system, and not taken from the client's yet.
        client: in the client's library: they have arrived, and nobody has read them.
        read: what the client's program has taken, frame headers included.
    """

    program: int = 0
    library: int = 0
    network: int = 0
    client: int = 0
    read: int = 0

    @property
    def server(self) -> int:
        """What the server's process holds for this client."""
        return self.program + self.library


class Gauge:
    """Reads the levels of some clients of one server, and keeps the highest.

    Args:
        queued: what the server's program holds for the client at this end, in bytes; None where it
            has no queue of its own. Of a Hub it is known. Called on whatever thread looks.
    """

    def __init__(self, queued: Queued | None = None) -> None:
        self._queued = queued
        self._peaks: dict[str, Levels] = {}  # by the client's id

    def levels(self, server: Server, client: Client) -> Levels:
        """Return where the bytes for one client are now."""
        arrived = client.counts[2]
        waiting = client.waiting_bytes
        connection = _end_of(server, client)
        if connection is None:  # the server holds nothing for who has gone
            return Levels(client=waiting, read=max(0, arrived - waiting))
        library = _written(connection)
        levels = Levels(
            program=self._of_program(server, connection),
            library=library,
            # Read one after the other, while bytes move on.
            network=max(0, connection.sent_bytes - library - arrived),
            client=waiting,
            read=max(0, arrived - waiting),
        )
        peak = self._peaks.get(client.id, Levels())
        self._peaks[client.id] = Levels(*map(max, peak, levels))
        return levels

    def _of_program(self, server: Server, connection: Connection) -> int:
        if self._queued is not None:
            return self._queued(connection.websocket)
        if isinstance(server.handler, Hub):
            for client_id in tuple(server.handler.clients):
                client = server.handler.clients.get(client_id)
                if client is not None and client.websocket is connection.websocket:
                    return connection_of(client).send_queue.size_bytes
        return 0

    def look(self, server: Server, clients: Iterable[Client]) -> Json:
        """Return what there is to see: a row for each client, and the scale of all tanks."""
        clients = tuple(clients)
        drawn = [(client, self.levels(server, client)) for client in clients[:MAX_ROWS]]
        peaks = [self._peaks.get(client.id, Levels()) for client, _ in drawn]
        highest = max((getattr(peak, place) for peak in peaks for place in PLACES), default=0)
        scale_bytes = max(highest, _LEAST_SCALE_BYTES)
        return {
            "scale": size(scale_bytes),
            "rows": [
                _row(server, client, levels, peak, scale_bytes)
                for (client, levels), peak in zip(drawn, peaks, strict=True)
            ],
            "more": f"and {len(clients) - MAX_ROWS} more" if len(clients) > MAX_ROWS else "",
        }


def _end_of(server: Server, client: Client) -> Connection | None:
    """Return the server's end of a client's connection."""
    websocket: Any = client.websocket
    if websocket is None:
        return None
    address = websocket.local_address
    for connection in server.connections:
        if connection.remote_address == tuple(address[:2]):
            return connection
    return None


def _written(connection: Connection) -> int:
    transport = getattr(connection.websocket, "transport", None)
    return int(transport.get_write_buffer_size()) if transport is not None else 0


def _row(server: Server, client: Client, levels: Levels, peak: Levels, scale_bytes: int) -> Json:
    connection = _end_of(server, client)
    return {
        "key": client.id or client.name,
        "name": one_line(client.name, 40),
        "state": client.status,
        "sent": f"{connection.sent:,}" if connection is not None else "",
        "read": size(levels.read),
        "tanks": [
            {
                "key": place,
                "label": label,
                "words": size(getattr(levels, place)),
                "level": _share(getattr(levels, place), scale_bytes),
                "peak": _share(getattr(peak, place), scale_bytes),
                "peak_words": size(getattr(peak, place)),
            }
            for place, label in PLACES.items()
        ],
    }


def _share(size_bytes: int, scale_bytes: int) -> float:
    # Something is never drawn as nothing.
    steps = -(-size_bytes * _STEPS // scale_bytes)
    return min(steps, _STEPS) / _STEPS
