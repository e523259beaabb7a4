"""One connection of a client, from its first byte to its end; on the loop.

Its rule: messages are taken in in the order in which they came, whichever of two ways they take.
The short way is for a message that is one frame: what comes goes past websockets' own queue and
the task behind it, which saves two turns of the loop; what is sent is written on the thread that
sends it, which saves waking the loop. It only offers: what is not taken goes the long way, so that
fragments, faults and backpressure stay what websockets makes of them. Whether another connection
follows is for `lifecycle` to know.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from ..loops import fork
from ..network.direct_writes import DirectWrites
from ..network.traffic import Traffic
from ..websockets_compat.endings import blame
from ..websockets_compat.sending import frame_of, takes_frame
from .incoming import Incoming
from .send_queue import SendQueue

__all__ = ["Connection", "direct"]

# Looked up once: it is a hot path.
_CONTINUATION, _TEXT, _BINARY = int(Opcode.CONT), int(Opcode.TEXT), int(Opcode.BINARY)


class Connection:
    """A connection of websockets and what belongs to it alone.

    Args:
        websocket: the connection, made a moment ago.
        transport: the one under it.
        incoming: where its messages go.
        label: how views call it.
    """

    def __init__(self, websocket: Any, transport: Any, incoming: Incoming, label: str) -> None:
        self.websocket = websocket
        self.traffic: Traffic = websocket.traffic
        self.traffic.label = label
        self.traffic.fileno = fork.close_in_child(transport)
        self.send_queue: SendQueue  # from when it is open
        self.opened_s = 0.0
        self.ended_s: float | None = None
        self.untaken = 0  # messages that waited when it ended, where no more could be read
        self._incoming = incoming
        self._undelivered = 0  # messages that websockets puts together and the pump takes
        if hasattr(websocket, "deliver"):  # else it leads back here, and nobody would ask it
            websocket.deliver = self._deliver

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that the handshake is done."""
        self.opened_s = time.monotonic()
        self.send_queue = SendQueue(self.websocket, loop)

    def _deliver(self, frame: Frame) -> bool:
        """Take a message on the short way; only where none is on the long one, and has room."""
        opcode = frame.opcode
        if opcode == _CONTINUATION:
            return False
        if not self._undelivered and frame.fin and self._incoming.has_room:
            try:
                data = frame.data
                message = str(data, "utf-8") if opcode == _TEXT else bytes(data)
            except UnicodeDecodeError:
                pass  # websockets closes with 1007
            else:
                self._incoming.put(message)
                return True
        self._undelivered += 1
        return False

    async def pump(self) -> ConnectionClosed:
        """Take what came on the long way until the connection ends; return how it ended."""
        try:
            while True:
                message = await self.websocket.recv()
                self._undelivered -= 1
                await self._incoming.put_and_wait(message)
        except ConnectionClosed as exc:
            return exc.with_traceback(None)  # whose frames hold this client
        finally:
            # A loop that is closed closes its sockets, and tells no connection.
            if (writes := getattr(self.websocket, "writes", None)) is not None:
                writes.stop()

    def lost(self) -> None:
        """Note that TCP has ended: take in what is here, and wait for no more."""
        queue = self._incoming.queue
        self.ended_s = time.monotonic()
        self.untaken = len(queue) if queue.is_full else 0
        self._incoming.stop_waiting()

    async def close(self, code: int, reason: str, timeout: float | None) -> None:
        """Send what was handed over, then the closing handshake; cut it off at the timeout."""
        websocket, queue = self.websocket, self.send_queue
        try:
            async with asyncio.timeout(timeout):
                await queue.empty()  # what was sent before goes out before
                await websocket.close(code, reason)
        except TimeoutError:
            blame(
                websocket,
                TimeoutError(
                    f"close() cut it off after {timeout:g} s, since the other side did not read "
                    "what had been sent before"
                ),
            )
            websocket.transport.abort()
            await websocket.wait_closed()
            await queue.empty()  # now it cannot go out any more, and is counted


@functools.lru_cache(maxsize=32)
def direct(kind: Any) -> type:
    """Return a kind of websockets' connection that has these short ways.

    Args:
        kind: the connection class that is built upon.
    """

    class Direct(kind):  # type: ignore[misc]
        deliver: Any = None  # called with a data frame that came; whether it took it
        writes: DirectWrites | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if not self.protocol.debug:  # else websockets logs its frames
                self.writes = DirectWrites(transport, self.loop)

        def send_now(self, payload: bytes, *, is_text: bool) -> bool:
            """Send a message past the loop, from any thread; whether that was possible."""
            if self.writes is None or self.protocol.extensions:
                return False
            frame = frame_of(_TEXT if is_text else _BINARY, payload, mask=True)
            return self.writes.write_now(frame, takes_frame, self)

        def process_event(self, event: Any) -> None:
            opcode = getattr(event, "opcode", 8)
            if opcode < 8 and self.deliver is not None and self.deliver(event):
                return
            super().process_event(event)

        def connection_lost(self, exc: Exception | None) -> None:
            self.deliver = None  # it leads back here: a cycle
            if self.writes is not None:
                self.writes.stop()
            super().connection_lost(exc)

    Direct.__name__, Direct.__qualname__ = kind.__name__, kind.__qualname__
    Direct.__module__ = kind.__module__
    return Direct
