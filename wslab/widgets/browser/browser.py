"""Browser: a real WebSocket of the page that shows this notebook, driven and watched from Python.

    browser = wslab.Browser(server, protocols=["chat"])
    browser                                     # show it: that is the page's code running
    browser.connect()                           # const socket = new WebSocket(url, ["chat"]);
    browser.send("hello")                       # socket.send("hello");
    browser.send(b"\\x01\\x02", when_open=True)   # socket.addEventListener("open", () => ...)
    browser.close(4000, "bye")                  # socket.close(4000, "bye");
    browser.ready_state                         # "CONNECTING", "OPEN", ...; None: no socket yet
    browser.protocol, .extensions, .url, .buffered_amount, .binary_type
    browser.events, .received, .exceptions      # what happened, as the page told it
    browser.on_message(f); browser.on_event(f)  # f(message), f(event): on any thread, in order
    browser[1].send("two"); len(browser)        # of wslab.Browser(server, count=3)
    browser.way, .waiting, .errors              # how it gets there; commands; what callbacks raised
    browser.stop()                              # close its sockets (1000) and let it go

Its rule: no call waits for the page, and none returns what the page will say. A command is put in
line and runs in the page as soon as there is one; what comes of it, exceptions too, arrives later
as an event. While a cell runs, events may wait until it has ended: look in the next cell.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ...errors import BadURL
from ...failures import Failure, FailureLog
from ...loops import portals
from ...notebook import cells
from . import static_html
from .record import BrowserEvent, Record, bytes_of, kept_bytes
from .routes import WAYS, Ways

if TYPE_CHECKING:
    import types

    from .widget import BrowserView

__all__ = ["Browser", "BrowserEvent", "Socket"]

MAX_COUNT = 32
MAX_WAITING = 10_000  # commands, and at most so many bytes of them:
MAX_WAITING_BYTES = 16 * 2**20
MAX_TO_CALL = 10_000  # events that wait for callbacks, and at most so many bytes of them:
MAX_TO_CALL_BYTES = 8 * 2**20
MAX_MESSAGE_BYTES = 2**20  # Jupyter drops what a kernel sends beyond about 1 MB/s
MAX_ERRORS = 50

C = TypeVar("C", bound=Callable[..., Any])
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Command:
    """A line of JavaScript that waits for the page."""

    number: int
    socket: int
    what: str
    data: str | bytes | None = None
    when_open: bool = False
    code: int | None = None
    reason: str | None = None

    @property
    def size_bytes(self) -> int:
        """About how much it is to send."""
        return 100 + bytes_of(self.data) + bytes_of(self.reason)


class Socket:
    """One of a Browser's sockets: ``browser[0]``. Everything here works from any thread."""

    def __init__(self, browser: Browser, index: int) -> None:
        self._browser = browser
        self.index = index
        self._says: dict[str, Any] = {}  # the page's latest word
        self._received: deque[str | bytes] = deque()
        self._received_bytes = 0
        self.received_dropped = 0
        self.binary_type_wanted: str | None = None

    # The WebSocket API.

    def connect(self) -> None:
        """Make a new WebSocket in the page: ``new WebSocket(url, protocols)``.

        Where the one before is still CONNECTING or OPEN, nothing is made, and a note says so.
        """
        self._browser._put(self.index, "connect")

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
        self._browser._put(self.index, "send", data=data, when_open=when_open)

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
        self._browser._put(self.index, "close", code=code, reason=reason)

    # What the page said of it last.

    @property
    def ready_state(self) -> str | None:
        """CONNECTING, OPEN, CLOSING or CLOSED; None before there was a socket."""
        return self._says.get("ready_state")

    @property
    def url(self) -> str:
        """The URL that it was made with, as the browser wrote it; "" before that."""
        return str(self._says.get("url", ""))

    @property
    def protocol(self) -> str:
        """The subprotocol that the server chose, or ""."""
        return str(self._says.get("protocol", ""))

    @property
    def extensions(self) -> str:
        """The extensions that were agreed upon, such as "permessage-deflate", or ""."""
        return str(self._says.get("extensions", ""))

    @property
    def buffered_amount(self) -> int:
        """Bytes given to ``send()`` that had not left the page when it last said so."""
        return int(self._says.get("buffered_amount", 0))

    @property
    def binary_type(self) -> str:
        """What a binary message is in the page: "blob" (a browser's default) or "arraybuffer"."""
        return self.binary_type_wanted or str(self._says.get("binary_type", "blob"))

    @binary_type.setter
    def binary_type(self, kind: str) -> None:
        if kind not in ("blob", "arraybuffer"):
            raise ValueError(f"expected 'blob' or 'arraybuffer', got {kind!r}")
        self.binary_type_wanted = kind
        self._browser._put(self.index, "binary_type", data=kind)

    # What happened.

    @property
    def events(self) -> tuple[BrowserEvent, ...]:
        """The browser's latest events that are about this socket, oldest first."""
        return tuple(event for event in self._browser.events if event.socket == self.index)

    @property
    def received(self) -> tuple[str | bytes, ...]:
        """The latest messages that came: str or bytes; 1,000 or 4 MiB at the most.

        ``received_dropped`` counts the older ones that are no longer kept here.
        """
        with self._browser._mutex:
            return tuple(self._received)

    def on_message(self, callback: C) -> C:
        """Call ``callback(message)`` for each message from now on; can decorate a function.

        See :meth:`Browser.on_event` for when and where it is called.
        """
        return self._browser._listen(callback, self.index)

    def _keep(self, data: str | bytes) -> None:
        # Under the browser's mutex.
        self._received.append(data)
        self._received_bytes += bytes_of(data)
        while len(self._received) > 1 and (
            len(self._received) > 1_000 or self._received_bytes > 4 * 2**20
        ):
            self._received_bytes -= bytes_of(self._received.popleft())
            self.received_dropped += 1

    def __repr__(self) -> str:
        counts = self._browser.record.counts
        came = counts.get((self.index, "message"), 0)
        state = self.ready_state or "no socket yet"
        return f"<Socket {self.index} of {self._browser.name!r}, {state}, {came} received>"


@dataclass(frozen=True, slots=True)
class _Listener:
    callback: Callable[..., Any]
    socket: int | None  # None hears every event of every socket
    owner: cells.Owner | None


class Browser:
    """A real WebSocket in the page that shows this notebook; show it to make it run.

    Its socket lives where the widget is shown. It closes when the last view of it is closed, when
    the page is left and when the cell runs again; a page that comes back opens again what it had
    open. All methods work from any thread and return at once. ``connect``, ``send``, ``close``,
    ``ready_state`` and all that concerns one socket are those of ``browser[0]``.

    Args:
        target: a Server, or any ``ws://`` or ``wss://`` URL.
        protocols: subprotocols to offer, best first.
        autoconnect: connect as soon as a page shows it.
        count: how many sockets, at most 32.
        name: how views call it; "browser 1", "browser 2", ... by default.
        way: how to get there: "direct", "tunnel", "proxy" or "comm"; None takes the first that
            works. "comm" opens a socket in the kernel, not in the page.

    Raises:
        BadURL: the target is neither a Server nor a str.
        ValueError: a count or a way that there is not.
    """

    def __init__(
        self,
        target: Any,
        protocols: str | Iterable[str] = (),
        autoconnect: bool = True,
        count: int = 1,
        name: str | None = None,
        *,
        way: str | None = None,
    ) -> None:
        if not isinstance(target, str) and not isinstance(getattr(target, "url", None), str):
            raise BadURL(
                f"expected a Server or a ws:// URL, got {type(target).__name__} {target!r:.60}"
            )
        if not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
            raise ValueError(f"expected a count from 1 to {MAX_COUNT}, got {count!r}")
        if way is not None and way not in WAYS:
            raise ValueError(f"expected a way of {', '.join(map(repr, WAYS))} or None, got {way!r}")
        self.protocols = (protocols,) if isinstance(protocols, str) else tuple(protocols)
        self.name = name or f"browser {next(_numbers)}"
        self.ways = Ways(target, forced=way)
        self.record = Record()
        self.errors = FailureLog(MAX_ERRORS)
        self.ended = ""  # why, once it has
        self.replaced = False
        self._mutex = threading.RLock()
        self._commands: deque[Command] = deque()
        self._command_bytes = 0
        self._command_numbers = itertools.count(1)
        self._listeners: list[_Listener] = []
        self._to_call: deque[BrowserEvent] = deque()
        self._to_call_bytes = 0
        self._passed_over = 0  # and not yet said
        self.passed_over = 0  # events that callbacks never heard of: they are too slow
        self._is_calling = False
        self._view: BrowserView | None = None
        self._sockets = tuple(Socket(self, index) for index in range(count))
        claim = cells.claim("browser")
        if autoconnect:
            for socket in self._sockets:
                socket.connect()
        claim.adopt(self)

    # Several sockets.

    def __len__(self) -> int:
        return len(self._sockets)

    def __getitem__(self, index: int) -> Socket:
        return self._sockets[index]

    def __iter__(self) -> Iterator[Socket]:
        return iter(self._sockets)

    def __bool__(self) -> bool:
        return True

    # The first one, which mostly is the only one.

    def connect(self) -> None:
        """Make a new WebSocket in the page; see :meth:`Socket.connect`."""
        self._sockets[0].connect()

    def send(self, data: str | bytes | bytearray | memoryview, *, when_open: bool = False) -> None:
        """Send a message through ``browser[0]``; see :meth:`Socket.send`."""
        self._sockets[0].send(data, when_open=when_open)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the socket of ``browser[0]``; see :meth:`Socket.close`."""
        self._sockets[0].close(code, reason)

    @property
    def ready_state(self) -> str | None:
        """CONNECTING, OPEN, CLOSING or CLOSED; None before there was a socket."""
        return self._sockets[0].ready_state

    @property
    def url(self) -> str:
        """The URL that the socket was made with; "" before that."""
        return self._sockets[0].url

    @property
    def protocol(self) -> str:
        """The subprotocol that the server chose, or ""."""
        return self._sockets[0].protocol

    @property
    def extensions(self) -> str:
        """The extensions that were agreed upon, or ""."""
        return self._sockets[0].extensions

    @property
    def buffered_amount(self) -> int:
        """Bytes given to ``send()`` that had not left the page when it last said so."""
        return self._sockets[0].buffered_amount

    @property
    def binary_type(self) -> str:
        """What a binary message is in the page: "blob" or "arraybuffer"."""
        return self._sockets[0].binary_type

    @binary_type.setter
    def binary_type(self, kind: str) -> None:
        self._sockets[0].binary_type = kind

    @property
    def received(self) -> tuple[str | bytes, ...]:
        """The latest messages of ``browser[0]``; see :attr:`Socket.received`."""
        return self._sockets[0].received

    @property
    def received_dropped(self) -> int:
        """How many older ones are no longer kept."""
        return self._sockets[0].received_dropped

    def on_message(self, callback: C) -> C:
        """Call ``callback(message)`` for each message of ``browser[0]`` from now on."""
        return self._sockets[0].on_message(callback)

    # All of them.

    @property
    def events(self) -> tuple[BrowserEvent, ...]:
        """What happened to all sockets, oldest first: the latest 2,000, or 4 MiB of them."""
        return self.record.events

    @property
    def dropped(self) -> int:
        """Events that are not in ``events``: older ones, and what the page could not hand over."""
        return self.record.dropped + self.record.dropped_in_page

    @property
    def exceptions(self) -> tuple[BrowserEvent, ...]:
        """What the browser threw: ``.name``, ``.text`` and the line (``.js``) of each."""
        return tuple(event for event in self.events if event.type == "exception")

    @property
    def errors_seen(self) -> int:
        """How many exceptions callbacks have let through; see ``errors``."""
        return self.errors.seen

    @property
    def waiting(self) -> int:
        """Commands that wait for a page to show this browser."""
        return len(self._commands)

    @property
    def is_shown(self) -> bool:
        """Whether a page shows it, so that commands run."""
        return self._view is not None and self._view.owner is not None

    @property
    def way(self) -> str | None:
        """How the page gets to the server: "direct", "tunnel", "proxy", "comm"; None: not known."""
        return self.ways.taken

    def on_event(self, callback: C) -> C:
        """Call ``callback(event)`` for each event of every socket from now on.

        Callbacks are called one after the other, in order, on whatever thread Jupyter hears the
        page on; mostly not while a cell runs. What one raises is put into ``errors`` and shown in
        the widget; what it prints appears nowhere. Where callbacks are slower than events come,
        10,000 of them wait, or 8 MiB; older ones are passed over, a note says how many, and
        ``passed_over`` counts them. Running the registering cell again replaces its callbacks.
        Can decorate a function.

        Raises:
            TypeError: not callable, or an ``async def``, which nobody would await here.
        """
        return self._listen(callback, None)

    def off(self, callback: Callable[..., Any]) -> None:
        """Call it no longer; idempotent."""
        with self._mutex:
            self._listeners = [one for one in self._listeners if one.callback != callback]

    def stop(self) -> None:
        """Let the sockets be closed with 1000 and end: nothing runs after it; idempotent."""
        self.begin_close()

    def begin_close(self, *, replaced: bool = False) -> Future[None]:
        """End without waiting for any page; the future is done already."""
        with self._mutex:
            is_first = not self.ended
            if is_first:
                self.replaced = replaced
                self.ended = (
                    "its cell ran again, and a new one took its place" if replaced else "stopped"
                )
                self._commands.clear()
                self._command_bytes = 0
        if is_first:
            cells.forget(self)
            if self._view is not None:
                with contextlib.suppress(Exception):  # the page is told, if there is one
                    self._view.end()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        self.stop()

    # Commands.

    def _put(self, socket: int, what: str, **how: Any) -> None:
        with self._mutex:
            if self.ended:
                raise RuntimeError(
                    f"{self.name!r} has ended ({self.ended}); make a new wslab.Browser(...)"
                )
            command = Command(next(self._command_numbers), socket, what, **how)
            if (
                len(self._commands) >= MAX_WAITING
                or self._command_bytes + command.size_bytes > MAX_WAITING_BYTES
            ):
                raise BufferError(
                    f"{len(self._commands):,} commands wait for a page already; "
                    + (
                        "they go out ten times a second: send more slowly"
                        if self.is_shown
                        else f"show {self.name!r} in a cell, so that they can run"
                    )
                )
            self._commands.append(command)
            self._command_bytes += command.size_bytes
        if self._view is not None:
            self._view.wake()

    def take_commands(self, max_commands: int, max_bytes: int) -> list[Command]:
        """Take out what the page shall do next: at least one command, if there is one."""
        taken: list[Command] = []
        size = 0
        with self._mutex:
            while self._commands and len(taken) < max_commands:
                size += self._commands[0].size_bytes
                if taken and size > max_bytes:
                    break
                command = self._commands.popleft()
                self._command_bytes -= command.size_bytes
                taken.append(command)
        return taken

    # What the page says.

    def happened(self, at: float, fields: dict[str, Any]) -> BrowserEvent:
        """Enter an event; callbacks hear it by the next :meth:`tell`."""
        with self._mutex:
            event = self.record.add(at, fields)
            if event.type == "message" and event.data is not None:
                self._sockets[event.socket]._keep(event.data)
            if self._listeners:
                self._to_call.append(event)
                self._to_call_bytes += kept_bytes(event)
            while len(self._to_call) > MAX_TO_CALL or self._to_call_bytes > MAX_TO_CALL_BYTES:
                self._to_call_bytes -= kept_bytes(self._to_call.popleft())
                self._passed_over += 1
                self.passed_over += 1
            return event

    def _next_to_call(self) -> BrowserEvent | None:
        """Take out what callbacks hear next; under the mutex."""
        if self._passed_over:
            text = f"{self._passed_over:,} events were passed over: the callbacks are too slow"
            self._passed_over = 0
            return self.record.add(time.time(), {"type": "note", "text": text})
        if not self._to_call:
            return None
        event = self._to_call.popleft()
        self._to_call_bytes -= kept_bytes(event)
        return event

    def says(self, index: int, words: dict[str, Any]) -> None:
        """Take over what the page says that a socket is now."""
        socket = self._sockets[index]
        with self._mutex:
            socket._says = words
            if words.get("binary_type") == socket.binary_type_wanted:
                socket.binary_type_wanted = None

    def tell(self) -> None:
        """Call the callbacks for what has happened; one thread at a time, in order."""
        with self._mutex:
            if self._is_calling:
                return  # whoever does will do this, too
            self._is_calling = True
        try:
            while True:
                with self._mutex:
                    event = self._next_to_call()
                    if event is None:
                        self._is_calling = False
                        return
                    listeners = tuple(self._listeners)
                for listener in listeners:
                    self._call(listener, event)
        except BaseException:
            self._is_calling = False
            raise

    def tell_elsewhere(self) -> None:
        """Do the same on a thread of the lab's pool: for the lab's loop, which may not wait."""
        if self._to_call and not self._is_calling:
            portals.lab().submit(asyncio.to_thread, self.tell)

    def _call(self, listener: _Listener, event: BrowserEvent) -> None:
        argument: Any = event
        if listener.socket is not None:
            if event.type != "message" or event.socket != listener.socket:
                return
            argument = event.data
        try:
            listener.callback(argument)
        except Exception as exc:
            name = getattr(listener.callback, "__qualname__", repr(listener.callback))
            self.errors.append(Failure.of(exc, where=name))
            if self._view is not None:
                self._view.wake()

    def _listen(self, callback: C, socket: int | None) -> C:
        if not callable(callback):
            raise TypeError(f"expected a function, got {callback!r}")
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"expected a plain function, got the async def {callback.__qualname__}: callbacks "
                "are called, and nobody would await what that returns"
            )
        owner = cells.current_owner()
        with self._mutex:
            kept = [
                one
                for one in self._listeners
                if not (
                    (one.callback == callback and one.socket == socket)
                    or _is_earlier_run(one.owner, owner)
                )
            ]
            self._listeners = [*kept, _Listener(callback, socket, owner)]
        return callback

    # How it shows itself.

    @property
    def view(self) -> BrowserView:
        """The widget; made when it is asked for first."""
        with self._mutex:
            if self._view is None:
                from .widget import BrowserView

                self._view = BrowserView(self)
            return self._view

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view.mimebundle(**kwargs)

    def __str__(self) -> str:
        return static_html.text(self)

    def __repr__(self) -> str:
        states = ", ".join(socket.ready_state or "no socket yet" for socket in self._sockets)
        waiting = ""
        if self.ended:
            states = self.ended
        elif self.waiting:
            plural = "s" * (self.waiting != 1)
            waiting = f", {self.waiting} command{plural} waiting for a page to show it"
        return f"<Browser {self.name!r} to {self.ways.shown}, {states}{waiting}>"


def _is_earlier_run(one: cells.Owner | None, now: cells.Owner | None) -> bool:
    return one is not None and now is not None and one.key == now.key and not one.is_run(now.run)
