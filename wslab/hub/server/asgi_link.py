"""The link for a WebSocket that an ASGI server carries, such as uvicorn under FastAPI.

Its rule: a task reads ahead, within a bound, so that a client's end is seen while a handler is at
work; another writes, while there is something to write, since an ASGI server may let that wait.

ASGI hides the transport. What cannot be had there: whether the client has answered a close frame,
how many bytes wait in TCP's buffer, frames compressed once for many, and cutting off at once (a
server closes the connection when the application returns). ``wslab.serve`` lends the last.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from websockets.datastructures import Headers
from websockets.frames import Opcode

from ...identity.identity import Identity
from ..dialects.dialect import Dialect, Greeting
from ..dialects.plain_json import PLAIN_JSON
from .link import Closed
from .prepared_message import PreparedMessage

__all__ = ["AsgiClosed", "AsgiConnection", "AsgiLink", "Message", "Receive", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_AHEAD = 16  # messages that are read before they are asked for, as websockets has it
HIGH_BYTES, LOW_BYTES = 2**16, 2**14  # that wait to be sent: no more is taken; it is again
MAX_WAITING = 1024  # messages of them
LAST_WORD_S = 1.0  # for the last to go out; for how it ended to be told, where that has failed


class AsgiClosed(ConnectionError):
    """The WebSocket has ended."""


class AsgiConnection:
    """What is behind the link, for handlers; named as on websockets' connection.

    Attributes:
        id: who it is, at random.
        scope: of the ASGI connection; ``scope["state"]`` and ``scope["user"]`` are an
            application's own.
        request: ``path`` (with its query) and ``headers`` of the request.
        traffic: what went through it, where ``wslab.serve`` counts that.
        identity: who it is, where that was found out before it was accepted.
    """

    __slots__ = ("__weakref__", "headers", "id", "identity", "path", "scope", "traffic")

    def __init__(
        self, id: uuid.UUID, scope: Message, path: str, headers: Headers, traffic: Any
    ) -> None:
        self.id, self.scope, self.path, self.headers = id, scope, path, headers
        self.traffic = traffic
        self.identity: Identity | None = None

    @property
    def request(self) -> AsgiConnection:
        """It has both, the path and the headers."""
        return self

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """Host and port of the other end, as the server says it."""
        client = self.scope.get("client")
        return None if not client else (client[0], client[1])


class AsgiLink:
    """One accepted WebSocket of an ASGI server; a `Link`.

    Args:
        scope: of the ASGI connection.
        receive, send: of it.
        limit_bytes: that may be read before they are asked for, and a message.
        dialect: what is spoken on it.
    """

    closed_error: type[Exception] = AsgiClosed
    auth: Any = None

    def __init__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        limit_bytes: int,
        dialect: Dialect = PLAIN_JSON,
    ) -> None:
        # What wslab.serve lends: the connection as its server sees it.
        self._served: Any = scope.get("extensions", {}).get("wslab", {}).get("socket")
        self.id = uuid.uuid4()
        self.path = path_of(scope)
        headers = headers_of(scope)
        self.headers: Mapping[str, str] = headers
        traffic = getattr(self._served, "traffic", None)
        self.connection = AsgiConnection(self.id, scope, self.path, headers, traffic)
        self.dialect = dialect
        self.closed: Closed | None = None
        self._receive, self._send = receive, send
        self._limit_bytes = limit_bytes
        self._is_open, self._is_ended = True, False
        self._ended = asyncio.get_running_loop().create_future()
        self._came: collections.deque[str | bytes] = collections.deque()
        self._came_bytes = 0
        self._has_come = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        # Each in the dialect in which it was said: namespaces take turns.
        self._going: collections.deque[tuple[PreparedMessage, Dialect]] = collections.deque()
        self._going_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._close: tuple[int, str] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._last_word: asyncio.TimerHandle | None = None

    async def run(self, serve: Callable[[AsgiLink], Awaitable[None]]) -> None:
        """Have it served until it ends, in this task; then nothing of it is left."""
        self._reader = asyncio.ensure_future(self._read())
        try:
            await serve(self)
        finally:
            # What was said last goes out, also where whoever served it was cancelled.
            while self._writer is not None and not self._is_ended:
                done, _ = await asyncio.wait([self._writer], timeout=LAST_WORD_S)
                if not done:
                    break
                await asyncio.sleep(0)  # there may be a next one
            self._end()
            tasks = [task for task in (self._reader, self._writer) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # What it is.

    @property
    def greeting(self) -> Greeting:
        return self.dialect.greeting(self.path, self.auth)

    @property
    def address(self) -> tuple[str, int] | None:
        return self.connection.remote_address

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def is_closing(self) -> bool:
        return not self._is_open

    @property
    def is_writable(self) -> bool:
        return self._is_open and self._going_bytes < HIGH_BYTES and len(self._going) < MAX_WAITING

    @property
    def is_served(self) -> bool:
        if self._served is not None:
            return bool(self._served.is_served)
        # Elsewhere nobody says it but the close code by which a server ends.
        return self.closed is None or self.closed.is_by_client or self.closed.code != 1012

    @property
    def said_goodbye(self) -> bool:
        closed = self.closed
        return closed is not None and closed.is_by_client and closed.code == 1000

    # Reading.

    async def receive(self) -> str | bytes:
        while not self._came:
            if self._is_ended:
                raise AsgiClosed("the WebSocket has ended")
            self._has_come.clear()
            await self._has_come.wait()
        message = self._came.popleft()
        self._came_bytes -= len(message)
        self._may_read.set()
        return message

    async def _read(self) -> None:
        try:
            while True:
                is_full = len(self._came) >= MAX_AHEAD or self._came_bytes > self._limit_bytes
                if is_full and self._is_open:
                    self._may_read.clear()
                    await self._may_read.wait()
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._note_end(message)
                    return
                text = message.get("text")
                data: str | bytes = message["bytes"] if text is None else text
                if self._is_open:  # else nobody takes it: behind it is the answer to our close
                    self._came.append(data)
                    self._came_bytes += len(data)
                    self._has_come.set()
        finally:
            self._end()

    def _note_end(self, message: Message) -> None:
        """Note how it ended, unless this side has begun it."""
        if self.closed is not None:
            return
        code, reason = message.get("code", 1005), message.get("reason")
        if not self.is_served:
            self.closed = Closed(code, reason or "", False)
        elif code == 1012 and not reason:  # uvicorn's own, when it ends
            self.closed = Closed(code, "", False)
        elif code != 1006 and (code != 1005 or reason is not None):
            # 1005 is also what servers say of one that broke off; a close frame has a reason.
            self.closed = Closed(code, reason or "", True)

    def _end(self) -> None:
        if self._last_word is not None:
            self._last_word.cancel()
        self._is_open, self._is_ended = False, True
        self._going.clear()
        self._going_bytes = 0
        self._has_come.set()
        self._may_read.set()
        self._has_room.set()
        if not self._ended.done():
            self._ended.set_result(None)

    # Writing.

    def speak(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def write(self, message: PreparedMessage) -> bool:
        if not self.is_writable:
            return False
        self._put(message)
        return True

    def _put(self, message: PreparedMessage) -> None:
        self._going.append((message, self.dialect))
        self._going_bytes += message.size_bytes
        if not self.is_writable:
            self._has_room.clear()
        self._begin_writing()

    def _begin_writing(self) -> None:
        if self._writer is None and not self._is_ended:
            self._writer = asyncio.ensure_future(self._write())
            self._writer.add_done_callback(self._has_written)

    async def _write(self) -> None:
        while self._going:
            message, dialect = self._going[0]
            for opcode, payload in message.parts(dialect):
                if opcode is Opcode.TEXT:
                    await self._send({"type": "websocket.send", "text": str(payload, "utf-8")})
                else:
                    await self._send({"type": "websocket.send", "bytes": bytes(payload)})
            if self._going:  # else it has ended meanwhile
                self._going.popleft()
                self._going_bytes -= message.size_bytes
                if self._going_bytes <= LOW_BYTES and len(self._going) < MAX_WAITING:
                    self._has_room.set()
        if self._close is not None:
            (code, reason), self._close = self._close, None
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _has_written(self, writer: asyncio.Task[None]) -> None:
        self._writer = None
        if writer.cancelled():
            return
        if writer.exception() is not None:  # it has ended: how, the reader is told
            self._is_open = False
            self._has_room.set()
            self._may_read.set()
            later = asyncio.get_running_loop().call_later
            bare = contextvars.Context()  # ours would keep the client until then
            self._last_word = later(LAST_WORD_S, self._end, context=bare)
        elif self._going or self._close is not None:
            self._begin_writing()

    async def drain(self) -> None:
        while not self._has_room.is_set() and not self._is_ended:
            await self._has_room.wait()

    # Ending.

    async def close(self, code: int, reason: str, word: PreparedMessage | None = None) -> None:
        if self._is_open:
            if word is not None:
                self._put(word)
            self._is_open = False
            self.closed = Closed(code, reason, False)
            self._close = code, reason
            self._has_room.set()
            self._may_read.set()
            if self._writer is None:
                self._begin_writing()
        await asyncio.shield(self._ended)

    def abort(self) -> None:
        if self._served is not None:
            self._served.abort()
        self._end()

    def when_lost(self, tell: Callable[[], object]) -> None:
        self._ended.add_done_callback(lambda _ended: tell())


def path_of(scope: Message) -> str:
    """Return the path below where this is mounted, with its query, as it travelled."""
    raw, root = scope.get("raw_path"), quote(scope.get("root_path", ""))
    path = raw.decode("latin-1") if raw else quote(scope["path"])
    if root and path.startswith(root) and path[len(root) :][:1] in ("", "/"):
        path = path[len(root) :] or "/"
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def headers_of(scope: Message) -> Headers:
    """Return the headers of the request; names in any case."""
    pairs = scope.get("headers", ())
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])
