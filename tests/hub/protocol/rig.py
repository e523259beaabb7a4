"""What the tests of a history and of sessions share: events to keep, and what was missed."""

from __future__ import annotations

from wslab.hub.protocol.history import History
from wslab.hub.protocol.packets import decode, encode_event, take_binary
from wslab.hub.protocol.room_log import PROGRAM, Past
from wslab.hub.protocol.sessions import Sessions

DEPTHS = (1, 10, 200, *range(850, 1010, 3), 2000, 5000, 9990, 10_010, 100_000)


def opened(limit=5, session_s=60.0, limits=None, step=1):
    """Return sessions and their history."""
    sessions = Sessions(History(limit, limits, step=step), session_s)
    return sessions, sessions.history


def past(offset, data=None, skip=(), event="e"):
    """Return an event whose message is its packet."""
    message = encode_event(event, data, offset=offset)
    size_bytes = len(message[0]) + sum(map(len, message[1]))
    return Past(offset, 0.5, event, message, size_bytes, frozenset(skip), _read)


def _read(message):
    packet = decode(message[0])
    packet.attachments = message[1]
    return take_binary(packet)


def keep(history, *rooms, skip=(), own=(), owner=PROGRAM, data=None):
    """Keep one more event of these rooms, and of the sessions ``own``."""
    event = past(history.next_offset(), data, skip)
    history.keep(event, rooms, [session.own for session in own], owner)


def missed(session, offset):
    """Return the offsets of what a session missed, or None."""
    found = session.missed(offset)
    return None if found is None else [each.offset for each in found]


def tried(function, *args):
    """Return the result and None, or None and the ValueError (a BadPacket is one)."""
    try:
        return function(*args), None
    except ValueError as exc:
        return None, exc
