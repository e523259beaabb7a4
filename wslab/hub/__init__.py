"""What an application builds on WebSockets: client ids, rooms, events, answers, broadcasting.

``Hub`` is a handler: ``wslab.serve(hub)`` in a notebook, ``websockets.serve(hub, ...)`` in a
program. It knows asyncio and websockets, and no notebook. Read `codec` first (what goes over the
wire), then `hub` (handlers and emit), `client` (one client), and what they stand on: `members`
(who is in which room), `shared` (a message made into frames once for all), `backlog` (a slow client
hurts nobody), `history` (what a client missed), `limits` (what strangers can make a hub hold),
`peer` (the other side).
"""

from __future__ import annotations

from .client import HubClient
from .delivery import Delivery, Trace
from .hub import Hub
from .limits import Limits

__all__ = ["Delivery", "Hub", "HubClient", "Limits", "Trace"]
