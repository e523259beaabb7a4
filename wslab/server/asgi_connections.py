"""All connections of a server that runs an application: recorded, timed while nobody asks, gone.

Its rule: one that asks for nothing in time is hung up on, as a handler's server does. What uvicorn
answers by itself (400 to what is no HTTP, 426 to a version that it does not speak) is a refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..loops import fork
from ..network.networks import ServerNetwork
from ..network.stream import Stream
from .asgi_socket import AsgiSocket
from .connection import Connection
from .connections import OPEN_TIMEOUT_S
from .refusals import RefusalLog
from .user_code import Options

if TYPE_CHECKING:
    from ..wire.tape.tape import Tape

__all__ = ["AsgiConnections"]


class AsgiConnections:
    """The connections of one server; on its loop, but for what is open.

    Args:
        options: ``open_timeout`` counts.
        refusals: where requests go that did not become a WebSocket, and what is no request.
    """

    def __init__(self, options: Options, refusals: RefusalLog) -> None:
        self._options = options
        self._refusals = refusals
        self._streams: dict[Stream, asyncio.TimerHandle | None] = {}
        self._emptied: asyncio.Future[None] | None = None
        self.network = ServerNetwork(lambda: self.streams)
        self.sockets: dict[AsgiSocket, None] = {}

    @property
    def open(self) -> tuple[Connection, ...]:
        """The WebSockets that are open, oldest first."""
        return tuple(Connection(each) for each in tuple(self.sockets.copy()) if each.is_open)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Every connection that has not been lost, oldest first."""
        return tuple(self._streams.copy())

    def factory(
        self, make: Callable[[Stream], asyncio.Protocol], tape: Tape | None
    ) -> Callable[[], Stream]:
        """Return what a listening socket makes of each connection.

        Args:
            make: makes the protocol that speaks on it.
            tape: what to record on.
        """
        hooks = (self._made, self._lost, self._unasked)
        return lambda: Stream(make, *hooks, tape, self.network)

    def asked(self, stream: Stream) -> None:
        """Note that a request has come, and is being answered."""
        stream.requests += 1
        timer = self._streams.get(stream)
        if timer is not None:
            timer.cancel()

    def answered(self, stream: Stream) -> None:
        """Note that a request has been answered."""
        stream.requests -= 1
        if stream in self._streams:
            self._streams[stream] = self._timer(stream)

    async def emptied(self, timeout_s: float) -> None:
        """Wait until there is no connection any more, or for that long."""
        if self._streams:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=timeout_s)
            self._emptied = None

    def _made(self, stream: Stream) -> None:
        stream.traffic.fileno = fork.close_in_child(stream.transport)
        self._streams[stream] = self._timer(stream)

    def _timer(self, stream: Stream) -> asyncio.TimerHandle | None:
        limit_s = self._options.kwargs.get("open_timeout", OPEN_TIMEOUT_S)
        if limit_s is None:
            return None
        return asyncio.get_running_loop().call_later(limit_s, self._hang_up, stream, limit_s)

    def _hang_up(self, stream: Stream, limit_s: float) -> None:
        if not stream.requests:
            if stream.traffic.received_bytes:
                text = f"hung up: the request did not end within {limit_s:g} s (open_timeout)"
                self._refusals.add(stream, 408, text)
            stream.transport.abort()

    def _unasked(self, stream: Stream, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        words = head.partition(b"\r\n")[0].split(b" ", 2)
        if words[0] == b"HTTP/1.1" and words[1][:1] in b"45":
            text = body.decode(errors="replace").strip() or words[-1].decode(errors="replace")
            self._refusals.add(stream, int(words[1]), text)

    def _lost(self, stream: Stream) -> None:
        timer = self._streams.pop(stream, None)
        if timer is not None:
            timer.cancel()
        fork.closed_in_child.discard(stream.traffic.fileno)
        if not self._streams and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
