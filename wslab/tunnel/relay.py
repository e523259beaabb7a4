"""Moving bytes between a browser's connection to Jupyter's server and a server behind it.

The browser's side is tornado's stream, the other an asyncio transport. Its rules: nothing is looked
at but the answer's head; every piece goes on as it comes (events that a server sends are
not gathered); whoever does not read makes the other side wait, so that what is under way is
bounded; one side's end becomes the other's, after all that came before it; and nothing outlives the
connection. Who may come here has been decided before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any, cast

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from .registry.jupyter import Entry
from .request_head import RequestHead
from .response_head import ResponseHead

__all__ = ["Upstream", "connect_upstream", "relay"]

CHUNK_BYTES = 65536
CONNECT_S = 5.0
# For one side to end after the other has. websockets gives a peer 10 s to do so by itself.
LINGER_S = 15.0
_SWITCHED = b"HTTP/1.1 101"
# A server that is stopped meanwhile hangs up on a connection that it has not taken up yet.
_UNANSWERED = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 44\r\nConnection: close\r\n\r\n"
    b"The server hung up before it gave an answer\n"
)


class Upstream(asyncio.Protocol):
    """The connection to the server behind the tunnel."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.answered: asyncio.Future[bool] = loop.create_future()  # whether with 101
        self.ended: asyncio.Future[None] = loop.create_future()  # it will send no more
        self.lost: asyncio.Future[None] = loop.create_future()  # it is gone
        self._drained: asyncio.Future[None] | None = None
        self._stream: IOStream | None = None
        self._first = b""
        self._head: ResponseHead | None = None  # while it comes
        self._written: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take nothing yet: there is nobody to give it to."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=CHUNK_BYTES)

    def begin(self, stream: IOStream, head: bytes, answer: ResponseHead) -> None:
        """Send the request's head; from now on what comes goes to the stream, its head changed."""
        self._stream, self._head = stream, answer
        if self.ended.done():
            self._end()
        elif not self.transport.is_closing():
            self.transport.write(head)

    def data_received(self, data: bytes) -> None:
        """Hand on what came; where the browser does not take it, read no more until it does."""
        if not self.answered.done():
            self._first += data[: len(_SWITCHED) - len(self._first)]
            if len(self._first) == len(_SWITCHED):
                self.answered.set_result(self._first == _SWITCHED)
        if self._head is not None:
            data = self._head.receive(data)
            if self._head.is_over:
                self._head = None
        self._to_stream(data)

    def _to_stream(self, data: bytes) -> None:
        stream = self._stream
        if not data or stream is None or stream.closed():
            return
        try:
            written = stream.write(data)
        except StreamClosedError:
            return
        if not written.done():
            self._written = written
            self.transport.pause_reading()
            written.add_done_callback(self._written_out)

    def _written_out(self, written: asyncio.Future[None]) -> None:
        written.exception()  # that the browser is gone is seen where it is read from
        if self._written is written:
            self._written = None
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Note that it sends no more. It may still read, so it is not hung up on."""
        self._end()
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone."""
        self._end()
        if not self.lost.done():
            self.lost.set_result(None)
        self.resume_writing()

    def _end(self) -> None:
        if self._head is not None:
            kept = self._head.end()
            self._to_stream(kept if self._first else _UNANSWERED)
            self._head = None
        if not self.answered.done():
            self.answered.set_result(False)
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        """Note that it does not take what it is sent."""
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Note that it takes bytes again."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    async def send(self, data: bytes) -> None:
        """Write, and wait while too much of what was written is still here."""
        if not self.transport.is_closing():
            self.transport.write(data)
        if self._drained is not None:
            await self._drained

    async def flushed(self) -> None:
        """Wait until the browser's side has taken all that came."""
        while (written := self._written) is not None:
            await asyncio.wait([written])


async def connect_upstream(entry: Entry) -> Upstream:
    """Connect to the server of an entry.

    Raises:
        OSError, TimeoutError: nobody listens there, or it does not answer.
    """
    loop = asyncio.get_running_loop()
    context = None
    if entry.is_secure:
        # A server of ours on this machine, whose certificate may be for any name.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    name = "localhost" if context is not None else None
    async with asyncio.timeout(CONNECT_S):
        if isinstance(entry.address, str):
            _, upstream = await loop.create_unix_connection(
                Upstream, entry.address, ssl=context, server_hostname=name
            )
        else:
            _, upstream = await loop.create_connection(
                Upstream, *entry.address, ssl=context, server_hostname=name
            )
    return upstream


async def relay(
    stream: IOStream, upstream: Upstream, head: RequestHead, answer: ResponseHead
) -> None:
    """Send the head, then move bytes both ways until both sides have ended; closes both.

    The body goes on as it comes. What the browser sends behind it goes on only after a 101, and
    waits for that: a plain answer ends the connection, so that no second request can hide behind
    the first.

    Args:
        stream: the browser's side, detached from HTTP.
        upstream: the other side, connected and not spoken to.
        head: what `request_head.rewrite` made of the request's.
        answer: changes the head of what comes back.
    """
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    stream.set_close_callback(lambda: None if gone.done() else gone.set_result(None))
    with contextlib.suppress(OSError, StreamClosedError):
        stream.set_nodelay(True)
    upstream.begin(stream, head.data, answer)
    forwarding = loop.create_task(_forward(stream, upstream, head, gone))
    try:
        await _first(forwarding, upstream.ended)
        if not stream.closed():
            await _end_browser(stream, upstream, gone)
        if stream.closed():  # the last of what it sent
            await _first(forwarding, upstream.lost, within_s=LINGER_S)
        upstream.transport.close()
        await _first(upstream.lost, within_s=LINGER_S)
    finally:
        forwarding.cancel()
        upstream.transport.abort()
        stream.set_close_callback(None)
        stream.close()


async def _forward(
    stream: IOStream, upstream: Upstream, head: RequestHead, gone: asyncio.Future[None]
) -> None:
    """Move what the browser sends (or drop it, to see it end) until it ends."""
    left = head.body_bytes
    with contextlib.suppress(StreamClosedError):
        while left:
            data = await stream.read_bytes(min(left, CHUNK_BYTES), partial=True)
            left -= len(data)
            await upstream.send(data)
        switched = False
        if head.opens:
            await _first(gone, upstream.answered)
            switched = upstream.answered.done() and upstream.answered.result()
        while True:
            data = await stream.read_bytes(CHUNK_BYTES, partial=True)
            if switched:
                await upstream.send(data)


async def _end_browser(stream: IOStream, upstream: Upstream, gone: asyncio.Future[None]) -> None:
    """End the browser's side as the server's has ended: say so, and hear it to its end."""
    flushed = asyncio.ensure_future(upstream.flushed())
    try:
        await _first(gone, flushed, within_s=LINGER_S)
    finally:
        flushed.cancel()
    if stream.closed() or isinstance(stream, SSLIOStream):
        return  # TLS has no half: closing is all there is
    with contextlib.suppress(OSError):
        stream.socket.shutdown(socket.SHUT_WR)
        # Closing with bytes unread would reset the connection, and with it what is under way.
        await _first(gone, within_s=LINGER_S)


async def _first(*waiting: asyncio.Future[Any], within_s: float | None = None) -> None:
    await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
