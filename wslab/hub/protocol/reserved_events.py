"""Words of Socket.IO that mean nothing here, and what to write in their place.

A handler of such a word would never be called, and nothing would say so. Its rule: they are refused
wherever an event is named, and what is refused says what to write.
"""

from __future__ import annotations

__all__ = ["OF_SOCKET_IO", "for_clients", "for_hubs"]

_AGAIN = 'a client that comes back is a "connect" whose client.is_resumed is True'
_OPENED = (
    "connect() returns when it is open, and wslab.Reconnect(on_open=...) is called on each opening"
)
_NOT_OPENED = (
    "connect() raises what kept it from opening, and client.reconnects lists what followed"
)
_ENDED = "recv() ends with the connection, and client.why_closed says why"
_NOBODY = "nobody is told of handlers that come and go"

_HUBS = {
    "connection": 'it is "connect" here: hub.on("connect") is called with each client',
    "disconnecting": 'it is "disconnect" here, where client.rooms still says where it was',
    "connect_error": 'a "connect" handler that raises Refused turns a client away; what else went '
    "wrong is in server.refusals",
    "reconnect": _AGAIN,
    "reconnect_attempt": _AGAIN,
    "reconnect_error": _AGAIN,
    "reconnect_failed": _AGAIN,
    "reconnecting": _AGAIN,
    "newListener": _NOBODY,
    "removeListener": _NOBODY,
    "welcome": "the hub itself sends it",
    "error": "the hub itself sends it; hub.errors lists what handlers let through",
    "dropped": "the hub itself sends it; client.dropped counts what a slow client did not get",
}
_CLIENTS = {
    "connect": _OPENED,
    "connection": _OPENED,
    "connect_error": _NOT_OPENED,
    "disconnect": _ENDED,
    "disconnecting": _ENDED,
    "message": "messages that are no events come with recv()",
    "reconnect": _OPENED,
    "reconnect_attempt": "client.status and client.reconnects say how it comes back",
    "reconnect_error": _NOT_OPENED,
    "reconnect_failed": _ENDED,
    "reconnecting": "client.status and client.reconnects say how it comes back",
    "newListener": _NOBODY,
    "removeListener": _NOBODY,
}
OF_SOCKET_IO = frozenset(_HUBS.keys() & _CLIENTS.keys())


def for_hubs(event: str) -> str:
    """Return why a hub's handler of that event would never be called; "" where it would."""
    return _HUBS.get(event, "")


def for_clients(event: str) -> str:
    """Return why a client's handler of that event would never be called; "" where it would."""
    return _CLIENTS.get(event, "")
