"""A message as it lies in Redis: what an event says, whom it is for, and its place among others.

Its rule: a line that Redis's script writes (offset, epoch, time, the offset before it in each
room), a line that says what follows, and then the bytes of it as they are.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ...dialects.dialect import Said
from ...protocol.room_log import PROGRAM, Owner

__all__ = ["Message", "Numbered", "closing", "decode", "encode"]


class Message(NamedTuple):
    """What is said, and to whom.

    Args:
        id: nobody else's; what comes twice with it is said once.
        rooms: whom it is for: rooms, None for everybody; in none of them twice.
        own: and the keys of sessions.
        skip: keys of sessions that are left out.
        owner: who said it.
        said: the event, without a place.
        raw: where it is no event: whether ``said.data`` is text.
        key: what it replaces where only the latest is kept; None: of the event's name.
        closes: whether it is no event, and closes its rooms: whoever is in them leaves.
    """

    id: str
    rooms: tuple[str | None, ...]
    own: tuple[str, ...]
    skip: frozenset[str]
    owner: Owner
    said: Said
    raw: bool | None = None
    key: str | None = None
    closes: bool = False


class Numbered(NamedTuple):
    """A message that has its place.

    Args:
        offset: its place.
        epoch: of which life of Redis's data.
        at_us: when, in microseconds since the epoch, by Redis's clock.
        previous: for each of its rooms, then of its sessions: the offset of the one before it.
        message: what is said.
        size_bytes: of it in Redis.
    """

    offset: int
    epoch: str
    at_us: int
    previous: tuple[int, ...]
    message: Message
    size_bytes: int


def closing(id: str, room: str) -> Message:
    """Return what closes a room."""
    said = Said("close_room", b"")
    return Message(id, (room,), (), frozenset(), PROGRAM, said, closes=True)


def encode(message: Message) -> bytes:
    """Return what the script is given."""
    said = message.said
    sizes = [len(said.data), *map(len, said.attachments)]
    head = [
        message.id, message.rooms, message.own, sorted(message.skip), message.owner, said.event,
        said.is_several, sizes, message.raw, message.key, message.closes,
    ]  # fmt: skip
    line = json.dumps(head, separators=(",", ":")).encode()
    return b"\n".join((line, said.data)) + b"".join(said.attachments)


def decode(payload: bytes) -> Numbered:
    """Return what the script has published.

    Raises:
        ValueError: that is none of ours.
    """
    place, line, body = payload.split(b"\n", 2)
    offset, epoch, at_us, previous = place.split(b" ")
    id, rooms, own, skip, owner, event, is_several, sizes, raw, key, closes = json.loads(line)
    parts, at = [], 0
    for size in sizes:
        parts.append(body[at : at + size])
        at += size
    if at != len(body):
        raise ValueError(f"expected {at} bytes behind a message's head, got {len(body)}")
    said = Said(event, parts[0], tuple(parts[1:]), int(offset), is_several)
    message = Message(
        id, tuple(rooms), tuple(own), frozenset(skip), (owner[0], owner[1]), said, raw, key, closes
    )
    befores = tuple(int(each) for each in previous.split(b",") if each)
    return Numbered(int(offset), epoch.decode(), int(at_us), befores, message, len(payload))
