"""Sending a message past the asynchronous context manager that websockets puts around it.

Recording takes time on every message, and this gives it back. Its rule: only a plain message on an
open, idle connection goes this way; it does what websockets' `broadcast` does for one connection,
and its own `drain`. All else is left to websockets' `send`.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from websockets.asyncio.connection import Connection
from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.protocol import CLIENT, State

__all__ = [
    "frame_of",
    "is_sending",
    "play_full",
    "play_writable",
    "send",
    "sends_plainly",
    "takes_frame",
]

_SHORT_BYTES = 125  # whose length is in the second byte


def sends_plainly(kind: type[Connection]) -> bool:
    """Whether a class of connections sends as websockets does, so that `send` may stand for it."""
    return kind.send is Connection.send and kind.send_data is Connection.send_data


async def send(connection: Any, message: Any, *, text: bool | None = None) -> None:
    """Do what ``Connection.send`` does."""
    if (
        text is not None
        or type(message) not in (str, bytes)
        or connection.protocol.state is not State.OPEN
        or connection.send_in_progress is not None
        or connection.transport.is_closing()
    ):
        await Connection.send(connection, message, text=text)
        return
    protocol = connection.protocol
    is_text = type(message) is str
    payload = message.encode() if is_text else message
    if protocol.extensions or protocol.debug or protocol.expect_continuation_frame:
        (protocol.send_text if is_text else protocol.send_binary)(payload)
        connection.send_data()
    else:
        opcode = Opcode.TEXT if is_text else Opcode.BINARY
        connection.transport.write(frame_of(opcode, payload, mask=protocol.side is CLIENT))
    if connection.paused or connection.transport.is_closing():
        try:
            await connection.drain()
        except OSError as exc:  # TCP has ended: said as websockets says it
            await asyncio.shield(connection.connection_lost_waiter)
            raise connection.protocol.close_exc from exc


send.__qualname__ = Connection.send.__qualname__  # the name that users and their logs know


def is_sending(connection: Any) -> bool:
    """Whether a message in fragments is under way, between whose frames none may come."""
    return connection.send_in_progress is not None


def frame_of(opcode: int, payload: bytes, *, mask: bool) -> bytes:
    """Return what ``Frame.serialize(mask=...)`` gives for a whole message (RFC 6455 §5.2, §5.3).

    A short one is put together here, which takes half the time: every echo waits for it.
    """
    size_bytes = len(payload)
    if size_bytes > _SHORT_BYTES:
        return Frame(Opcode(opcode), payload).serialize(mask=mask)
    if not mask:
        return bytes((0x80 | opcode, size_bytes)) + payload
    key = secrets.token_bytes(4)
    return bytes((0x80 | opcode, 0x80 | size_bytes)) + key + apply_mask(payload, key)


def takes_frame(connection: Any) -> bool:
    """Whether a whole message's frame may follow what a connection has sent (RFC 6455 §5.4)."""
    protocol = connection.protocol
    is_open = protocol.state is State.OPEN and connection.send_in_progress is None
    return is_open and not protocol.expect_continuation_frame


def play_full(connection: Any) -> None:
    """Tell a connection that its transport is full, as the transport would; on its loop."""
    if not connection.paused:  # told twice, it asserts
        connection.pause_writing()


def play_writable(connection: Any) -> None:
    """Tell it that there is room again."""
    if connection.paused:
        connection.resume_writing()
