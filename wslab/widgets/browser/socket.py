"""Socket: one WebSocket of the page, with the names that it has there: ``browser[0]``.

Its rule: no call waits for the page, and none returns what the page will say: what is done here is
put in line, and what can be asked here is the page's latest word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .page_sockets import PageSockets
from .record import BrowserEvent, bytes_of

__all__ = ["Socket"]

MAX_MESSAGE_BYTES = 2**20  # Jupyter drops what a kernel sends beyond about 1 MB/s

C = TypeVar("C", bound=Callable[..., Any])


class Socket:
    """One of a Browser's sockets: ``browser[0]``. Everything here works from any thread."""

    def __init__(self, page_sockets: PageSockets, index: int) -> None:
        self.page_sockets, self._state = page_sockets, page_sockets.states[index]
        self.index = index

    # The WebSocket API.

    def connect(self) -> None:
        """Make a new WebSocket in the page: ``new WebSocket(url, protocols)``.

        Where the one before is still CONNECTING or OPEN, nothing is made, and a note says so.
        """
        self.page_sockets.put(self.index, "connect")

    def send(self, data: str | bytes | bytearray | memoryview, *, when_open: bool = False) -> None:
        """Send a text (str) or binary (bytes) message: ``socket.send(data)``.

        Args:
            data: the message, at most 1 MiB.
            when_open: where the socket is still CONNECTING, wait for its open event, as a page does
                with ``socket.addEventListener("open", ...)``. Without it the browser throws
                InvalidStateError there, which arrives as an event.

        Raises:
            TypeError: neither str nor bytes.
            ValueError: more than 1 MiB.
            BufferError: too much waits for a page already.
        """
        if isinstance(data, bytearray | memoryview):
            data = bytes(data)
        if not isinstance(data, str | bytes):
            raise TypeError(
                "expected str (a text frame) or bytes (a binary frame), got "
                f"{type(data).__name__}; a WebSocket carries no objects: json.dumps(...) makes a "
                "str of one"
            )
        size = bytes_of(data)
        if size > MAX_MESSAGE_BYTES:
            raise ValueError(
                f"expected at most {MAX_MESSAGE_BYTES:,} bytes, got {size:,}: the way from the "
                "kernel to the page is narrower than a WebSocket. The server can send as much as "
                "it likes"
            )
        self.page_sockets.put(self.index, "send", data=data, when_open=when_open)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Start the closing handshake: ``socket.close(code, reason)`` (RFC 6455 §7.1.2).

        The browser decides which codes a script may send (1000, 3000 to 4999); for another one it
        throws InvalidAccessError, and SyntaxError for a reason of more than 123 bytes. Both arrive
        as events.

        Args:
            code: None sends a close frame without a code.
            reason: UTF-8.
        """
        if code is not None and not isinstance(code, int):
            raise TypeError(f"expected a close code, such as 1000, or None, got {code!r}")
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"expected a reason as str, or None, got {reason!r}")
        self.page_sockets.put(self.index, "close", code=code, reason=reason)

    # What the page said of it last.

    @property
    def ready_state(self) -> str | None:
        """CONNECTING, OPEN, CLOSING or CLOSED; None before there was a socket."""
        return self._state.ready_state

    @property
    def url(self) -> str:
        """The URL that it was made with, as the browser wrote it; "" before that."""
        return str(self._state.words.get("url", ""))

    @property
    def protocol(self) -> str:
        """The subprotocol that the server chose, or ""."""
        return str(self._state.words.get("protocol", ""))

    @property
    def extensions(self) -> str:
        """The extensions that were agreed upon, such as "permessage-deflate", or ""."""
        return str(self._state.words.get("extensions", ""))

    @property
    def buffered_amount(self) -> int:
        """Bytes given to ``send()`` that had not left the page when it last said so."""
        return int(self._state.words.get("buffered_amount", 0))

    @property
    def binary_type(self) -> str:
        """What a binary message is in the page: "blob" (a browser's default) or "arraybuffer"."""
        return self._state.binary_type_wanted or str(self._state.words.get("binary_type", "blob"))

    @binary_type.setter
    def binary_type(self, kind: str) -> None:
        if kind not in ("blob", "arraybuffer"):
            raise ValueError(f"expected 'blob' or 'arraybuffer', got {kind!r}")
        self._state.binary_type_wanted = kind
        self.page_sockets.put(self.index, "binary_type", data=kind)

    # What happened.

    @property
    def events(self) -> tuple[BrowserEvent, ...]:
        """The browser's latest events that are about this socket, oldest first."""
        return tuple(
            event for event in self.page_sockets.record.events if event.socket == self.index
        )

    @property
    def received(self) -> tuple[str | bytes, ...]:
        """The latest messages that came: str or bytes; 1,000 or 4 MiB at the most.

        ``received_dropped`` counts the older ones that are no longer kept here.
        """
        with self.page_sockets.lock:
            return tuple(self._state.received)

    @property
    def received_dropped(self) -> int:
        """How many older messages are no longer kept."""
        return self._state.received_dropped

    def on_message(self, callback: C) -> C:
        """Call ``callback(message)`` for each message from now on; can decorate a function.

        See :meth:`Browser.on_event` for when and where it is called.
        """
        return self.page_sockets.callbacks.add(callback, self.index)

    def __repr__(self) -> str:
        counts = self.page_sockets.record.counts
        came = counts.get((self.index, "message"), 0)
        state = self.ready_state or "no socket yet"
        return f"<Socket {self.index} of {self.page_sockets.name!r}, {state}, {came} received>"
