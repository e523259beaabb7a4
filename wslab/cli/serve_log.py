"""The lines that `wslab serve` prints: who comes, who goes, who was refused.

Its rule: handlers put them, the main thread prints them. Printing waits for the terminal, and a
handler that waits holds the loop for everybody.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import sys
import time
from collections.abc import Callable
from http.client import responses
from types import FrameType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from ..calls.waiting import pause
from ..server.handler import Handler, awaited, handler_name
from ..server.refusals import Refusal
from ..wire.frames.close_codes import close_code_meaning
from .lines import say

__all__ = ["ServeLog", "printable"]

MAX_LINES = 10_000  # that may wait for a terminal that is stopped (Ctrl-S)


# What a handler, such as a Hub, answers plain HTTP with, and how it is emptied.
_OF_A_HUB = ("http", "refusal", "end_http", "max_body_bytes", "drain")


class ServeLog:
    """The lines of one server.

    Args:
        is_quiet: leave out clients that come and go.
        whose: stands behind each of these, where several servers print.
    """

    def __init__(self, *, is_quiet: bool, whose: str = "") -> None:
        self._is_quiet = is_quiet
        self._whose = whose
        self._lines: queue.SimpleQueue[tuple[Any, str] | int] = queue.SimpleQueue()
        self._left_out = 0

    def end(self, signum: int, frame: FrameType | None) -> None:
        """Take a signal: what is printed ends here."""
        self._lines.put(signum)

    def put(self, stream: Any, text: str) -> None:
        if self._lines.qsize() < MAX_LINES:
            self._lines.put((stream, text))
        else:
            self._left_out += 1

    def event(self, what: str, connection_id: str, text: str) -> None:
        if not self._is_quiet:
            now = time.strftime("%H:%M:%S")
            self.put(sys.stdout, f"{now}  {what:10}  {connection_id}  {text}{self._whose}")

    def print_until_end(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Print what comes until a signal; return its number, or 0 where it is over anyhow."""
        while True:
            try:
                line = pause(self._lines.get)
            except queue.Empty:
                if is_over():
                    return 0
                continue
            if isinstance(line, int):
                return line
            say(line[1], line[0])

    def print_the_rest(self) -> None:
        """Print what came while the server stopped."""
        while not self._lines.empty():
            line = self._lines.get()
            if not isinstance(line, int):
                say(line[1], line[0])
        if self._left_out:
            say(f"wslab: {self._left_out} lines were left out: nobody read them")

    # Around each connection; these run on the server's loop.

    def wrap(self, handler: Handler) -> Handler:
        """Wrap a handler so that each client's coming and going is told."""

        async def logged(websocket: Any) -> None:
            began_s = time.monotonic()
            address = websocket.remote_address
            # Not the query: a token may be in it.
            path = websocket.request.path.partition("?")[0] if websocket.request else ""
            connection_id = websocket.id.hex[:6]
            self.event("connect", connection_id, f"{_host_and_port(address)} {printable(path)}")
            try:
                await awaited(handler(websocket), handler)
            except Exception as exc:
                is_own_end = isinstance(exc, ConnectionClosed) and websocket.state is not State.OPEN
                if not is_own_end:
                    await websocket.close(1011)  # as websockets itself does next
                raise
            else:
                await websocket.close()
            finally:
                code = websocket.close_code
                meaning = close_code_meaning(code).partition(":")[0] if code else "still open"
                took_s = time.monotonic() - began_s
                text = f"{_host_and_port(address)} {code or ''} {meaning}, {took_s:.1f} s"
                # Next, so that what the handler raised, which the server records now, comes first.
                loop = asyncio.get_running_loop()
                loop.call_soon(self.event, "disconnect", connection_id, text)

        functools.update_wrapper(logged, handler)
        logged.__name__ = handler_name(handler)
        for name in _OF_A_HUB:
            if hasattr(handler, name):
                setattr(logged, name, getattr(handler, name))
        return logged

    def refused(self, refusal: Refusal) -> None:
        """Tell of a request that was turned away."""
        status = f"{refusal.status} {responses.get(refusal.status, '')}"
        self.event("refused", refusal.connection_id, f"{refusal.address or '?'} {status}")


def _host_and_port(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "?"


def printable(text: str) -> str:
    """Return what a client has sent without what a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
