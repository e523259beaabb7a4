"""What an application builds on WebSockets: client ids, rooms, events, answers, broadcasting.

``Hub`` is a handler: ``wslab.serve(hub)`` in a notebook, ``websockets.serve(hub, ...)`` in a
program. It knows asyncio and websockets, and no notebook. Read `protocol/packets` first (what goes
over the wire), then `server/hub` (handlers and emit), `server/connection` (one client, from its
coming to its going), `server/packet_handler` (what is done with what it sends), and what they stand
on: `server/link` (what carries it), `dialects` (how it looks there), `server/registry` (who is in
which room), `server/prepared_message` (a message made into frames once for all),
`server/send_queue` (a slow client hurts nobody), `backplane` and `protocol/sessions` (what a client
missed), `protocol/limits` (what strangers can make a hub hold). Socket.IO's clients come by way of
`server/entrance`, `engineio` and `server/namespaces`, and are connections as all others from there.
"""

from __future__ import annotations

from .backplane.member import Member
from .engineio.settings import SocketIO
from .protocol.arguments import Args
from .protocol.limits import Limits
from .server.delivery import Delivery, Trace
from .server.hub import Hub
from .server.hub_client import HubClient

__all__ = ["Args", "Delivery", "Hub", "HubClient", "Limits", "Member", "SocketIO", "Trace"]
