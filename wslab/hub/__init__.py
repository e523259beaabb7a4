"""What an application builds on WebSockets: client ids, rooms, events, answers, broadcasting.

``Hub`` is a handler: ``wslab.serve(hub)`` in a notebook, ``websockets.serve(hub, ...)`` in a
program. It knows asyncio and websockets, and no notebook. Read `protocol/packets` first (what goes
over the wire), then `server/hub` (handlers and emit), `server/hub_client` (one client), and what
they stand on: `registry` (who is in which room), `prepared_message` (a message made into frames
once for all), `send_queue` (a slow client hurts nobody), `protocol/history` (what a client missed),
`protocol/limits` (what strangers can make a hub hold), `protocol/client_session` (the other side).
"""

from __future__ import annotations

from .protocol.limits import Limits
from .server.delivery import Delivery, Trace
from .server.hub import Hub
from .server.hub_client import HubClient

__all__ = ["Delivery", "Hub", "HubClient", "Limits", "Trace"]
