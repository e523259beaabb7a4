"""PageSockets: what the kernel knows of a Browser: what its sockets are, what waits, what happened.

The Browser that a program holds, the widget that speaks with pages and the static forms all look
here and not at each other. Its rule: a page's word on a socket is kept as it is, and only a page
changes it; all is bounded. From any thread, under one lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ...loops import portals
from .callbacks import Callbacks
from .commands import Command, CommandQueue
from .record import BrowserEvent, EventLog, bytes_of
from .routes import Routes

__all__ = ["PageSockets", "SocketState"]

MAX_RECEIVED = 1_000  # messages of one socket, and at most so many bytes of them:
MAX_RECEIVED_BYTES = 4 * 2**20


class SocketState:
    """One socket of the page, as the page described it last, and what came on it."""

    def __init__(self) -> None:
        self.words: dict[str, Any] = {}  # the page's latest
        self.binary_type_wanted: str | None = None  # asked for, and not yet said by the page
        self.received: deque[str | bytes] = deque()
        self.received_dropped = 0
        self._received_bytes = 0

    @property
    def ready_state(self) -> str | None:
        """CONNECTING, OPEN, CLOSING or CLOSED; None before there was a socket."""
        return self.words.get("ready_state")

    def keep(self, data: str | bytes) -> None:
        """Keep a message that came."""
        self.received.append(data)
        self._received_bytes += bytes_of(data)
        while len(self.received) > 1 and (
            len(self.received) > MAX_RECEIVED or self._received_bytes > MAX_RECEIVED_BYTES
        ):
            self._received_bytes -= bytes_of(self.received.popleft())
            self.received_dropped += 1


class PageSockets:
    """The sockets of one Browser, whichever page has them.

    Args:
        name: how views call it.
        routes: to the target.
        protocols: subprotocols to offer, best first.
        count: how many sockets.
    """

    def __init__(self, name: str, routes: Routes, protocols: tuple[str, ...], count: int) -> None:
        self.name, self.routes, self.protocols = name, routes, protocols
        self.lock = threading.RLock()
        self.record = EventLog()
        self.commands = CommandQueue()
        self.callbacks = Callbacks(self.record, self.lock, self.wake)
        self.states = tuple(SocketState() for _ in range(count))
        self.ended = ""  # why, once it has
        self.is_shown = False  # whether a page has the sockets
        self.on_change: Callable[[], None] = lambda: None  # what brings it to the page's notice

    def __repr__(self) -> str:
        states = ", ".join(socket.ready_state or "no socket yet" for socket in self.states)
        waiting = ""
        if self.ended:
            states = self.ended
        elif self.commands:
            plural = "s" * (len(self.commands) != 1)
            waiting = f", {len(self.commands)} command{plural} waiting for a page to show it"
        return f"<Browser {self.name!r} to {self.routes.shown}, {states}{waiting}>"

    def wake(self) -> None:
        """See to it that what has changed is sent soon."""
        self.on_change()

    # What a program does.

    def put(self, socket: int, what: str, **how: Any) -> None:
        """Put a command in line for the page.

        Raises:
            RuntimeError: it has ended.
            BufferError: too much waits already.
        """
        with self.lock:
            if self.ended:
                raise RuntimeError(
                    f"{self.name!r} has ended ({self.ended}); make a new wslab.Browser(...)"
                )
            if not self.commands.put(socket, what, **how):
                raise BufferError(
                    f"{len(self.commands):,} commands wait for a page already; "
                    + (
                        "they go out ten times a second: send more slowly"
                        if self.is_shown
                        else f"show {self.name!r} in a cell, so that they can run"
                    )
                )
        self.wake()

    def take_commands(self, max_commands: int, max_bytes: int) -> list[Command]:
        """Take out what the page shall do next: at least one command, if there is one."""
        with self.lock:
            return self.commands.take(max_commands, max_bytes)

    def end(self, why: str) -> bool:
        """Take no more commands; return whether it had not ended before."""
        with self.lock:
            if self.ended:
                return False
            self.ended = why
            self.commands.clear()
            return True

    # What a page says.

    def describe(self, index: int, words: dict[str, Any]) -> None:
        """Take over what the page says that a socket is now."""
        socket = self.states[index]
        with self.lock:
            socket.words = words
            if words.get("binary_type") == socket.binary_type_wanted:
                socket.binary_type_wanted = None

    def happened(self, at: float, fields: dict[str, Any]) -> BrowserEvent:
        """Enter an event; callbacks hear it by the next call of them."""
        with self.lock:
            event = self.record.add(at, fields)
            if event.type == "message" and event.data is not None:
                self.states[event.socket].keep(event.data)
            self.callbacks.put(event)
            return event

    def note(self, index: int, text: str) -> None:
        """Enter what the widget itself has to say of a socket."""
        state = self.states[index].ready_state
        connection = self.connections(index)
        fields = {"type": "note", "socket": index, "connection": connection, "text": text}
        self.happened(time.time(), {**fields, "ready_state": state})

    def connections(self, index: int) -> int:
        """Return how many connections a socket has had."""
        return max(
            (event.connection for event in self.record.events if event.socket == index), default=0
        )

    def call_callbacks_elsewhere(self) -> None:
        """Call them on a thread of the lab's pool: for the lab's loop, which may not wait."""
        if self.callbacks.waiting and not self.callbacks.is_calling:
            portals.lab().submit(asyncio.to_thread, self.callbacks.call)
