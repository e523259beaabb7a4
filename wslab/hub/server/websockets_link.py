"""The link for a connection of websockets, with a short way out: prepared frames to the transport.

Its rule: frames are whole messages, written only where websockets itself would allow it: the
connection is open, no fragmented message is under way, and TCP has room.

A prepared frame is compressed without reference to what went before (RFC 7692 §7.1.1.1 allows that
at any time). What it leaves behind is the pitfall: the client's inflater now holds bytes that the
server's own deflater for that client never saw. So that deflater is started afresh for the next
message of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import State

from ...websockets_compat.pongs import pongs_bounded
from ...websockets_compat.receive_queue import queue_bounded
from ...websockets_compat.turns import in_turns
from ..dialects.dialect import Dialect
from ..dialects.plain_json import PLAIN_JSON
from .link import Closed
from .prepared_message import PLAIN, RSV1, Form, PreparedMessage

__all__ = ["UNKNOWN", "WebSocketsLink", "window_bits"]

UNKNOWN = -1  # extensions that we do not know: each frame goes through the connection's own way
READ_BYTES = 2**14  # that asyncio reads at once
_OPEN: Final = State.OPEN


class WebSocketsLink:
    """One connection of websockets' asyncio server; a `Link`.

    Args:
        websocket: the connection.
        dialect: what is spoken on it.
    """

    # What is asked for each message and client is kept within reach: with thousands of them, most
    # of what a message costs here is waiting for memory.
    __slots__ = (
        "_bits", "_deflate", "_form", "_is_afresh", "_protocol", "_tell_lost", "_transport",
        "connection", "dialect", "headers", "id", "path", "receive",
    )  # fmt: skip

    auth: Any = None
    closed_error: type[Exception] = ConnectionClosed

    def __init__(self, websocket: Any, dialect: Dialect = PLAIN_JSON) -> None:
        self.connection = websocket
        # Itself, and not a coroutine around it: each connection waits in one.
        self.receive: Callable[[], Awaitable[str | bytes]] = websocket.recv
        self.dialect = dialect
        self.id: uuid.UUID = websocket.id
        request = websocket.request
        self.path: str = request.path if request is not None else "/"
        self.headers: Mapping[str, str] = request.headers if request is not None else {}
        self._protocol = websocket.protocol
        self._transport = websocket.transport
        self._bits = bits = window_bits(websocket)
        self._form = Form.of(dialect, bits)
        self._deflate: Any = self._protocol.extensions[0] if bits > PLAIN else None
        self._is_afresh = self._deflate is None or self._deflate.local_no_context_takeover

    @property
    def address(self) -> tuple[str, int] | None:
        address = self.connection.remote_address
        return (address[0], address[1]) if isinstance(address, tuple) else None

    @property
    def is_open(self) -> bool:
        return self._protocol.state is _OPEN

    @property
    def is_closing(self) -> bool:
        return self._protocol.state is not _OPEN or self._transport.is_closing()

    @property
    def is_writable(self) -> bool:
        websocket = self.connection
        return (
            not websocket.paused
            and websocket.send_in_progress is None
            and self._protocol.state is _OPEN
            and not self._transport.is_closing()
        )

    @property
    def is_served(self) -> bool:
        return bool(self.connection.server.is_serving())

    @property
    def closed(self) -> Closed | None:
        protocol = self._protocol
        close, is_by_client = protocol.close_rcvd, True
        if close is None or protocol.close_rcvd_then_sent is False:
            close, is_by_client = protocol.close_sent, False
        return None if close is None else Closed(close.code, close.reason, is_by_client)

    @property
    def said_goodbye(self) -> bool:
        close = self._protocol.close_rcvd
        return close is not None and close.code == 1000

    def speak(self, dialect: Dialect) -> None:
        if dialect is not self.dialect:
            self.dialect = dialect
            self._form = Form.of(dialect, self._bits)

    def write(self, message: PreparedMessage) -> bool:
        websocket, transport = self.connection, self._transport
        # As is_writable, which is not called here since it costs as much as the rest.
        if (
            websocket.paused
            or websocket.send_in_progress is not None
            or self._protocol.state is not _OPEN
            or transport.is_closing()
        ):
            return False
        form = self._form
        if form.bits == UNKNOWN:
            self._write_by_protocol(message)
            return True
        for frame in message.frames.get(form) or message.prepare(form):
            transport.write(frame)
            if not self._is_afresh and frame[0] & RSV1:
                self._is_afresh = True
                self._deflate.encoder = _Afresh(self)
        return True

    def _write_by_protocol(self, message: PreparedMessage) -> None:
        for opcode, payload in message.parts(self.dialect):
            if opcode is Opcode.TEXT:
                self._protocol.send_text(bytes(payload))
            else:
                self._protocol.send_binary(bytes(payload))
            self.connection.send_data()

    def compress_afresh(self, data: Any) -> bytes:
        """Compress the connection's own next message with a deflater that is new."""
        extension = self._deflate
        self._is_afresh = False
        extension.encoder = zlib.compressobj(
            wbits=-extension.local_max_window_bits, **extension.compress_settings
        )
        return extension.encoder.compress(data)  # type: ignore[no-any-return]

    async def drain(self) -> None:
        websocket = self.connection
        if websocket.send_in_progress is not None:
            await asyncio.shield(websocket.send_in_progress)
        with contextlib.suppress(OSError):
            await websocket.drain()

    async def close(self, code: int, reason: str, word: PreparedMessage | None = None) -> None:
        if word is not None:
            self.write(word)
        await self.connection.close(code, reason)

    def abort(self) -> None:
        self._transport.abort()

    def when_lost(self, tell: Callable[[], object]) -> None:
        self._tell_lost = tell
        self.connection.connection_lost_waiter.add_done_callback(self._lost)

    def _lost(self, _waiter: Any) -> None:
        # A failed write leads by its frames to all whom the same emit was for, and those to more.
        failure = getattr(self.connection, "connection_exc", None)
        if failure is not None:
            failure.__traceback__ = None
        self._tell_lost()

    def bounded(self, limit_bytes: int) -> AbstractContextManager[None]:
        """Bound what the connection reads, and owes, while nobody takes it."""
        in_turns(self.connection)
        # What waits of a read for its turn counts for each connection.
        with contextlib.suppress(AttributeError):  # uvloop's transports have none
            self._transport.max_size = READ_BYTES
        return _Bounded(self.connection, limit_bytes)


class _Bounded:
    # A class, since a generator would weigh ten times as much for each connection.
    __slots__ = ("_pongs", "_queue")

    def __init__(self, websocket: Any, limit_bytes: int) -> None:
        self._pongs = pongs_bounded(websocket)
        self._queue = queue_bounded(websocket, limit_bytes)

    def __enter__(self) -> None:
        self._pongs.__enter__()
        self._queue.__enter__()

    def __exit__(self, *exc: Any) -> None:
        self._queue.__exit__(None, None, None)
        self._pongs.__exit__(None, None, None)


class _Afresh:
    # Stands where websockets keeps a connection's deflater, and makes a new one when it is used.
    # Until then the connection holds no deflater at all, which is most of what an idle one weighs.
    __slots__ = ("_link",)

    def __init__(self, link: WebSocketsLink) -> None:
        self._link = link

    def compress(self, data: Any) -> bytes:
        return self._link.compress_afresh(data)


def window_bits(websocket: Any) -> int:
    """Say how a connection takes prepared frames: 9 to 15 (deflated), PLAIN, or UNKNOWN."""
    extensions = websocket.protocol.extensions
    if not extensions:
        return PLAIN
    if len(extensions) == 1 and type(extensions[0]) is PerMessageDeflate:
        return int(extensions[0].local_max_window_bits)
    return UNKNOWN
