"""KernelSockets: sockets in the kernel, for a page that cannot reach the server itself.

The page has an object of a WebSocket's form and says here what is done with it; what happens to the
real socket, a `wslab.connect` of its own, goes back in the same words. Its rule: whoever is slow
makes the other side wait; what waits for the page is bounded, and then no more is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.protocol import State

from ...client.client import Client
from ...client.connect import connect
from ...loops import portals
from .record import bytes_of, scalar_text
from .routes import Routes

__all__ = ["KernelSockets"]

MAX_SOCKETS = 64
MAX_OUT = 2_000  # events for the page; beyond it nothing is read
MAX_OUT_BYTES = 4 * 2**20
# Of one socket, given to send() and not gone: then it is full, and closed, as the standard has it
# (WHATWG WebSockets, send(): "flag the WebSocket as full"). The page's own limit is the same.
MAX_IN_BYTES = 8 * 2**20
MESSAGE_BYTES = 100  # what a message costs beside its data
MAX_MESSAGE_BYTES = 2**20  # Jupyter drops what a kernel sends beyond about 1 MB/s
POLL_S = 0.01
CLOSE_S = 5.0

Json = dict[str, Any]


class KernelSockets:
    """All sockets that the kernel has opened for one Browser.

    Args:
        routes: to the target.
        wake: called when there is something to take.
    """

    def __init__(self, routes: Routes, wake: Callable[[], None]) -> None:
        self._routes = routes
        self._wake = wake
        self._sockets: dict[str, _KernelSocket] = {}
        self._out: deque[tuple[Json, bytes | None, int]] = deque()  # and how many bytes that is
        self._out_bytes = 0
        self._lock = threading.Lock()

    def hear(self, said: Json, buffers: list[Any]) -> None:
        """Do what the page did with its object.

        Args:
            said: ``id``, ``what`` ("open", "send" or "close") and what belongs to that.
            buffers: of the message that it came in.
        """
        name, what = str(said["id"]), said["what"]
        if what == "open":
            if len(self._sockets) >= MAX_SOCKETS:
                self.tell(name, {"what": "close", "code": 1006, "reason": "", "was_clean": False})
                return
            protocols = [str(protocol) for protocol in said.get("protocols", ())]
            self._sockets[name] = _KernelSocket(name, self._routes.url, protocols, self)
            return
        socket = self._sockets.get(name)
        if socket is None:
            return
        if what == "send":
            is_binary = "buffer" in said
            data = bytes(buffers[said["buffer"]]) if is_binary else scalar_text(said["data"])
            socket.send(data)
        elif what == "close":
            code = said.get("code")
            reason = scalar_text(said["reason"])
            socket.close(1000 if code is None else int(code), reason)

    def close(self) -> None:
        """Let go of all of them, as a page does that is left: 1001 (going away)."""
        for socket in tuple(self._sockets.values()):
            socket.cancel()
        self._sockets.clear()
        with self._lock:
            self._out.clear()
            self._out_bytes = 0

    def tell(self, name: str, said: Json, data: bytes | None = None) -> None:
        """Put something in line for the page."""
        said = {**said, "id": name}
        with self._lock:
            last = self._out[-1][0] if self._out else {}
            if said["what"] == "sent" and last.get("what") == "sent" and last["id"] == name:
                last["size"] += said["size"]  # of many small ones, one receipt
                last["count"] += said["count"]
            else:
                size = MESSAGE_BYTES + bytes_of(data) + bytes_of(said.get("data"))
                self._out.append((said, data, size))
                self._out_bytes += size
        self._wake()

    def forget(self, name: str) -> None:
        """A socket has ended."""
        self._sockets.pop(name, None)

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the page that no more should be read."""
        return len(self._out) >= MAX_OUT or self._out_bytes >= MAX_OUT_BYTES

    def take(self, max_bytes: int, buffers: list[bytes]) -> tuple[list[Json], int]:
        """Take out what goes to the page next, and how much; bytes are put into ``buffers``."""
        taken: list[Json] = []
        size = 0
        with self._lock:
            while self._out and size < max_bytes and len(taken) < MAX_OUT:
                said, data, one = self._out.popleft()
                self._out_bytes -= one
                size += one
                if data is not None:
                    said["buffer"] = len(buffers)
                    buffers.append(data)
                taken.append(said)
        return taken, size


class _KernelSocket:
    """One of them. All but `put` and `cancel` runs on the lab's loop."""

    def __init__(self, name: str, url: str, protocols: list[str], owner: KernelSockets) -> None:
        self._name, self._url, self._protocols, self._owner = name, url, protocols, owner
        self._orders: deque[tuple[str, Any]] = deque()
        self._waiting_bytes = 0  # of messages among them, and the one that is being sent
        self._lock = threading.Lock()
        self._is_full = False
        self._is_closing = False
        self._lab = portals.lab()
        self._is_cancelled = False
        self._loop = self._lab.loop
        self._wake: asyncio.Event | None = None
        self._running = self._lab.submit(self._run)

    def put(self, order: tuple[str, Any]) -> None:
        self._orders.append(order)
        wake = self._wake
        if wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(wake.set)

    def send(self, data: str | bytes) -> None:
        """Put a message in line, unless too much waits already: then the socket is closed."""
        if self._is_full or self._is_closing:
            return
        size = MESSAGE_BYTES + bytes_of(data)
        with self._lock:
            self._is_full = self._waiting_bytes + size > MAX_IN_BYTES
            self._waiting_bytes += 0 if self._is_full else size
        if not self._is_full:
            self.put(("send", data))
            return
        self._orders.clear()
        text = f"{self._waiting_bytes:,} bytes wait to be sent, and the server does not read: "
        text += "the socket is full, so it is closed, and what waits is not sent"
        self._tell({"what": "error", "text": text})

    def close(self, code: int, reason: str) -> None:
        """Put the end in line; once."""
        if not self._is_closing:
            self._is_closing = True
            self.put(("close", (code, reason)))

    def cancel(self) -> None:
        self._is_cancelled = True
        self.put(("close", (1001, "")))

    async def _run(self) -> None:
        self._wake = asyncio.Event()
        code, reason = 1006, ""
        try:
            # It waits, so it does so in a thread of the loop's own pool; and it belongs to no cell.
            mine = await asyncio.to_thread(
                connect,
                self._url,
                name="a page, through the kernel",
                keep=True,
                record=False,
                subprotocols=self._protocols or None,
                max_size=MAX_MESSAGE_BYTES,
            )
        except Exception as exc:
            self._tell({"what": "error", "text": str(exc)})
        else:
            code, reason = await self._relay(mine)
        finally:
            self._owner.forget(self._name)
        self._tell({"what": "close", "code": code, "reason": reason, "was_clean": code != 1006})

    async def _relay(self, mine: Client) -> tuple[int, str]:
        websocket = mine.websocket
        names = ", ".join(extension.name for extension in websocket.protocol.extensions)
        self._tell({"what": "open", "protocol": mine.subprotocol or "", "extensions": names})
        orders = asyncio.get_running_loop().create_task(self._do_orders(websocket))
        try:
            while True:
                is_over = websocket.state is State.CLOSED  # before looking: then all is there
                # Of a page that has gone, nobody takes the rest; the close frame comes after it.
                while mine.waiting and (self._is_cancelled or not self._owner.is_full):
                    message = mine.recv(timeout=0)
                    if isinstance(message, str):
                        self._tell({"what": "message", "data": message})
                    else:
                        self._tell({"what": "message"}, message)
                if is_over and not mine.waiting:
                    break
                if self._is_full:  # who does not read would not read a close frame either
                    websocket.transport.abort()
                await asyncio.sleep(POLL_S)
        finally:
            orders.cancel()
            if websocket.state is not State.CLOSED:
                mine.begin_close()
        if mine.close_code in (None, 1006) and not (self._is_cancelled or self._is_full):
            self._tell({"what": "error", "text": mine.why_closed})
        return mine.close_code or 1006, mine.close_reason or ""

    async def _do_orders(self, websocket: Any) -> None:
        assert self._wake is not None
        while websocket.state is not State.CLOSED:
            while self._orders:
                what, how = self._orders.popleft()
                if what == "close":
                    with contextlib.suppress(Exception):
                        await websocket.close(*how)
                    return
                with contextlib.suppress(Exception):  # closed meanwhile: as silent as a browser
                    await websocket.send(how)
                size = bytes_of(how)
                with self._lock:
                    self._waiting_bytes -= MESSAGE_BYTES + size
                self._tell({"what": "sent", "size": size, "count": 1})
            self._wake.clear()
            if not self._orders:
                await self._wake.wait()

    def _tell(self, said: Json, data: bytes | None = None) -> None:
        if not self._is_cancelled:
            self._owner.tell(self._name, said, data)
