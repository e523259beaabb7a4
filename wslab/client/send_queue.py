"""Messages on their way to the socket, between plain threads and the loop.

Its rule: they go out in the order in which they were handed over, and what would grow beyond the
bound waits for its turn on the caller's thread. What a message means, and whether there will be
another connection, is for others to know.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import threading
from typing import Any, NamedTuple

from websockets.asyncio.connection import broadcast
from websockets.protocol import State

from ..errors import PortalClosed
from ..websockets_compat.sending import is_sending

__all__ = ["SendQueue"]

MAX_UNSENT_BYTES = 64 * 2**10  # as much may be handed over without waiting for the loop
UNSENT_OVERHEAD_BYTES = 16  # what each counts beside its payload: an empty one is not free


class _Unsent(NamedTuple):
    message: Any
    is_text: bool | None  # of bytes that are a str, encoded already; None: see message itself
    size_bytes: int
    gone: concurrent.futures.Future[None] | None  # there where the caller waits
    following: tuple[bytes, ...]  # messages that must go out right behind it


class SendQueue:
    """Messages on their way to the socket: filled anywhere, emptied on the loop, in order.

    Handing a small message over costs no wait for the loop, as writing to a socket costs no wait
    for the network; what would grow beyond the bound waits for its turn.
    """

    def __init__(self, websocket: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._websocket = websocket
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: collections.deque[_Unsent] = collections.deque()
        self._waiting_bytes = 0
        self._is_scheduled = False
        self._sender: asyncio.Task[None] | None = None
        # A connection class of the user's own may do something else in its send().
        self._is_plain: bool = websocket.sends_plainly
        self._send_now = getattr(websocket, "send_now", None) if self._is_plain else None
        self.unsent = 0  # handed over, but the connection closed before their turn

    @property
    def is_open(self) -> bool:
        """Whether what is handed over has a chance to go out."""
        websocket = self._websocket
        return websocket.state is State.OPEN and not websocket.transport.is_closing()

    def put(
        self, message: Any, following: tuple[bytes, ...] = ()
    ) -> concurrent.futures.Future[None] | None:
        """Hand a message over; a future where one has to wait until it has gone out.

        Args:
            message: whatever websockets can send.
            following: binary messages with nothing between them and this one.

        Raises:
            UnicodeEncodeError: a str that UTF-8 cannot carry (a lone surrogate).
        """
        is_text = None
        # What is encoded or copied here, on the caller's thread, keeps the loop free for others.
        if isinstance(message, str) and self._is_plain:
            message, is_text = message.encode(), True
        elif isinstance(message, bytearray | memoryview):
            message = bytes(message)  # the caller may change it before its turn
        is_whole = isinstance(message, bytes) and self._is_plain
        size_bytes = len(message) + UNSENT_OVERHEAD_BYTES if is_whole else 0
        if following:
            size_bytes += sum(map(len, following))
        with self._lock:
            is_over = self._waiting_bytes + size_bytes > MAX_UNSENT_BYTES
            if (
                self._send_now is not None
                and is_whole
                and not (following or is_over or self._waiting or self._sender)
                and self._send_now(message, is_text=is_text is True)
            ):
                return None
            gone = None if is_whole and not is_over else concurrent.futures.Future[None]()
            self._waiting.append(_Unsent(message, is_text, size_bytes, gone, following))
            self._waiting_bytes += size_bytes
            if not self._is_scheduled:
                try:
                    self._loop.call_soon_threadsafe(self._flush)
                except RuntimeError:
                    raise PortalClosed("the lab's loop has been closed") from None
                self._is_scheduled = True  # after it: an interrupt in between must not stop it all
        return gone

    def _take(self) -> None:
        with self._lock:
            self._waiting_bytes -= self._waiting.popleft().size_bytes

    def _flush(self) -> None:
        with self._lock:
            self._is_scheduled = False
        if self._sender is not None:
            return  # it empties the queue in order
        websocket = self._websocket
        while self._waiting:
            message, is_text, _, gone, following = self._waiting[0]
            if (
                gone is not None
                or is_sending(websocket)
                or websocket.transport.get_write_buffer_size() > MAX_UNSENT_BYTES
            ):
                self._sender = self._loop.create_task(self._send_waiting())
                return
            try:
                if not self.is_open:
                    self.unsent += 1
                else:  # one receiver: a send() that needs no task
                    broadcast((websocket,), message, text=is_text, raise_exceptions=True)
                    for message in following:
                        broadcast((websocket,), message, raise_exceptions=True)
            except ExceptionGroup:
                self.unsent += 1
            finally:
                self._take()  # after it: while it is here, nothing goes past it

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                message, is_text, _, gone, following = self._waiting[0]
                try:
                    if gone is None or gone.set_running_or_notify_cancel():
                        if is_text is None:
                            await self._websocket.send(message)
                        else:
                            await self._websocket.send(message, text=is_text)
                        for message in following:
                            await self._websocket.send(message)
                except BaseException as exc:
                    if gone is None:
                        self.unsent += 1
                    else:
                        gone.set_exception(exc)
                    if isinstance(exc, asyncio.CancelledError):
                        raise
                else:
                    if gone is not None and not gone.cancelled():
                        gone.set_result(None)
                finally:
                    self._take()
        finally:
            self._sender = None

    async def empty(self) -> None:
        """Wait until all that was handed over has gone out, or cannot any more; on the loop."""
        self._flush()
        if self._sender is not None:
            await asyncio.wait([self._sender])
