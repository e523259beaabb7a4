"""What happened in the page: events, the bounded record of them, and the page's clock.

Pure: no widget, no socket, no thread of its own. Its rule: what a page says is checked before it is
believed, nothing grows without a bound, and what was dropped is counted. Times are mapped onto the
kernel's clock by what each side saw of the other's messages, and never run backwards.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "STATES",
    "BrowserEvent",
    "EventLog",
    "PageClock",
    "bytes_of",
    "from_page",
    "kept_bytes",
    "scalar_text",
    "to_page",
    "words_of",
]

STATES = ("CONNECTING", "OPEN", "CLOSING", "CLOSED")
"""The names of ``readyState`` 0 to 3."""

TYPES = ("call", "exception", "open", "message", "error", "close", "note")
MAX_EVENTS = 2_000
MAX_EVENT_BYTES = 4 * 2**20
MAX_DATA_BYTES = 2**20  # of one message; a page hands over no more, and then only so much:
CUT = 65536
MAX_TEXT = 2_000  # characters of a line of JavaScript, of an exception, of a note
MAX_SHOWN = 200  # characters of one message that a page gets back after it was loaded again
BYTES_SHOWN = 16


@dataclass(frozen=True, slots=True)
class BrowserEvent:
    """One thing that happened to a socket in the page.

    Attributes:
        number: 1, 2, 3, ... in the order in which the page saw them.
        at: when, in seconds since the epoch, on the kernel's clock.
        type: "open", "message", "error" and "close" are the events of the WebSocket API; "call" is
            a line of JavaScript that was run, "exception" what such a line threw, and "note" what
            the widget has to say.
        socket: which one: 0 for ``browser[0]``.
        connection: which ``new WebSocket`` of this socket: 1, 2, ...; 0 before the first.
        ready_state: the state just after it, or None where there was no socket.
        by: of a call: "python", "hand" (in the widget) or "page" (on its own, as after a reload).
        js: of a call and of an exception: the line of JavaScript.
        data: of a message, and of a call of ``send()``: str or bytes.
        size_bytes: of the whole data, also where only its beginning is kept (``is_cut``).
        binary_type: what ``event.data`` was in the page: "blob" or "arraybuffer"; "" for text.
        protocol, extensions: of an open event: what the server chose.
        code, reason, was_clean: of a close event.
        buffered_amount: bytes that had not left the page, just after a call of ``send()``.
        name: of an exception, such as "InvalidStateError".
        text: of an exception: the browser's own message; of a note: its words.
    """

    number: int
    at: float
    type: str
    socket: int = 0
    connection: int = 0
    ready_state: str | None = None
    by: str = ""
    js: str = ""
    data: str | bytes | None = None
    size_bytes: int = 0
    is_cut: bool = False
    binary_type: str = ""
    protocol: str = ""
    extensions: str = ""
    code: int | None = None
    reason: str = ""
    was_clean: bool | None = None
    buffered_amount: int = 0
    name: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.detail}" if self.detail else self.type

    @property
    def detail(self) -> str:
        """What it says, in one line."""
        if self.type == "call":
            return self.js
        if self.type == "exception":
            return f"{self.name}: {self.text}"
        if self.type == "message":
            return shown_data(self.data, self.size_bytes)
        if self.type == "close":
            clean = "true" if self.was_clean else "false"
            return f"code {self.code}, reason {_quoted(self.reason)}, wasClean {clean}"
        if self.type == "open":
            return f"protocol {_quoted(self.protocol)}, extensions {_quoted(self.extensions)}"
        return self.text


def shown_data(data: str | bytes | None, size_bytes: int) -> str:
    """Return a message in at most a line."""
    if isinstance(data, str):
        cut = data[:MAX_SHOWN]
        return _quoted(cut) + (f" ... {size_bytes:,} bytes" if len(cut) < len(data) else "")
    data = data or b""
    more = " ..." if size_bytes > BYTES_SHOWN else ""
    return f"{size_bytes:,} bytes: {data[:BYTES_SHOWN].hex(' ')}{more}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class PageClock:
    """Maps a page's clock onto the kernel's, from the times in messages that cross both ways.

    What the page stamps and the kernel receives bounds the difference from above, what the kernel
    stamps and the page receives from below: each message took some time, never less than none.
    While no difference at all is possible there is none: usually both are the same clock.
    """

    def __init__(self) -> None:
        self.low_s, self.high_s = float("-inf"), float("inf")
        self._latest = 0.0

    def came(self, page_s: float, kernel_s: float) -> None:
        """Note that what a page sent at page_s arrived here at kernel_s."""
        self.high_s = min(self.high_s, kernel_s - page_s)
        if self.low_s > self.high_s:  # one of the clocks was set: begin anew
            self.low_s = float("-inf")

    def went(self, kernel_s: float, page_s: float) -> None:
        """Note that what was sent here at kernel_s arrived in the page at page_s."""
        self.low_s = max(self.low_s, kernel_s - page_s)
        if self.low_s > self.high_s:
            self.high_s = float("inf")

    @property
    def difference_s(self) -> float:
        """What to add to the page's times."""
        if self.low_s <= 0.0 <= self.high_s:
            return 0.0
        if self.low_s == float("-inf"):
            return self.high_s
        if self.high_s == float("inf"):
            return self.low_s
        return (self.low_s + self.high_s) / 2

    def kernel_s(self, page_s: float, now_s: float) -> float:
        """Return a time of the page on the kernel's clock; never after now, never backwards."""
        self._latest = max(self._latest, min(page_s + self.difference_s, now_s))
        return self._latest


class EventLog:
    """The latest events, and the latest messages of each socket; bounded, thread-safe.

    Args:
        max_events: events that are kept.
        max_bytes: bytes of data that are kept.
    """

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.max_events, self.max_bytes = max_events, max_bytes
        self.dropped = 0  # older events that are no longer kept
        self.dropped_in_page = 0  # events that never came here: the kernel was too slow
        self.counts: dict[tuple[int, str], int] = {}  # of (socket, type), all that came
        self._events: deque[BrowserEvent] = deque()
        self._bytes = 0
        self._number = 0
        self._lock = threading.Lock()

    def add(self, at: float, fields: Mapping[str, Any]) -> BrowserEvent:
        """Enter what happened; return it as an event with its number."""
        with self._lock:
            self._number += 1
            event = BrowserEvent(number=self._number, at=at, **fields)
            self._events.append(event)
            self._bytes += kept_bytes(event)
            key = (event.socket, event.type)
            self.counts[key] = self.counts.get(key, 0) + 1
            while len(self._events) > 1 and (
                len(self._events) > self.max_events or self._bytes > self.max_bytes
            ):
                self._bytes -= kept_bytes(self._events.popleft())
                self.dropped += 1
            return event

    @property
    def events(self) -> tuple[BrowserEvent, ...]:
        """Those that are kept, oldest first."""
        with self._lock:
            return tuple(self._events)

    @property
    def seen(self) -> int:
        """How many have been entered."""
        return self._number


def bytes_of(data: str | bytes | None) -> int:
    """Return how many bytes a message takes, as UTF-8 where it is text."""
    if isinstance(data, str) and not data.isascii():
        return len(data.encode("utf-8", "surrogatepass"))
    return 0 if data is None else len(data)


def scalar_text(said: object) -> str:
    """Return text as a browser sends it: halves of a surrogate pair, which UTF-8 has not, go."""
    text = str(said)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def kept_bytes(event: BrowserEvent) -> int:
    """Return how many bytes of data and texts an event has."""
    texts = (event.js, event.text, event.reason, event.protocol, event.extensions, event.name)
    return bytes_of(event.data) + sum(map(bytes_of, texts))


def from_page(said: Mapping[str, Any], buffers: Sequence[Any], count: int) -> dict[str, Any]:
    """Return an event's fields as a page sent them, checked.

    Args:
        said: its JSON.
        buffers: of the message that it came in; ``said["buffer"]`` is an index into them.
        count: how many sockets there are.

    Raises:
        ValueError, TypeError, KeyError, IndexError: no page of ours says such a thing.
    """
    kind, socket = said["type"], int(said.get("socket", 0))
    if kind not in TYPES or not 0 <= socket < count:
        raise ValueError(f"expected an event of socket 0 to {count - 1}, got {kind!r} of {socket}")
    fields: dict[str, Any] = {"type": kind, "socket": socket}
    for name in ("connection", "size_bytes", "buffered_amount"):
        fields[name] = int(said.get(name) or 0)
    for name in ("js", "protocol", "extensions", "reason", "name", "text", "by", "binary_type"):
        fields[name] = scalar_text(said.get(name) or "")[:MAX_TEXT]
    state = said.get("ready_state")
    fields["ready_state"] = STATES[state] if isinstance(state, int) and 0 <= state < 4 else None
    fields["is_cut"] = bool(said.get("is_cut"))
    if kind == "close":
        fields["code"], fields["was_clean"] = int(said["code"]), bool(said["was_clean"])
    data: str | bytes | None = None
    if "buffer" in said:
        data = bytes(buffers[said["buffer"]])
    elif said.get("data") is not None:
        data = scalar_text(said["data"])
    if data is not None and len(data) > MAX_DATA_BYTES:
        data, fields["is_cut"] = data[:CUT], True
    fields["data"] = data
    return fields


def words_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page says that a socket is now, checked, without the socket's number."""
    state = said.get("ready_state")
    names = ("url", "protocol", "extensions", "binary_type")
    return {
        **{name: scalar_text(said.get(name) or "")[:MAX_TEXT] for name in names},
        "ready_state": STATES[state] if isinstance(state, int) and 0 <= state < 4 else None,
        "buffered_amount": int(said.get("buffered_amount") or 0),
    }


def to_page(event: BrowserEvent) -> dict[str, Any]:
    """Return an event for a page that is loaded again: what its log shows, and no more."""
    said: dict[str, Any] = {
        name: getattr(event, name)
        for name in (
            *("type", "socket", "connection", "by", "js", "size_bytes", "binary_type", "protocol"),
            *("extensions", "code", "reason", "was_clean", "name", "text"),
        )
        if getattr(event, name) not in ("", None)
    }
    said["at"] = event.at * 1000
    said["ready_state"] = STATES.index(event.ready_state) if event.ready_state else None
    if isinstance(event.data, str):
        said["data"] = event.data[:MAX_SHOWN]
    elif event.data is not None:
        said["hex"] = event.data[:BYTES_SHOWN].hex(" ")
    return said
