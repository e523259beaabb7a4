"""The handle of a client: what a user of wslab calls, and nothing else.

Its rule: it says what each call means, and hands it on to the part that does it. What is not here:
an async twin; async code awaits ``websockets.connect(server.url)``.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from websockets.asyncio import client as ws_client
from websockets.exceptions import ConnectionClosedOK
from websockets.protocol import State

from ..loops.portal import Portal
from ..network.line_conditions import LineConditions
from ..notebook import cells
from ..websockets_compat.receive_queue import queued_bytes
from ..wire.tape.tape import Tape
from .arguments import Destination
from .backoff import Attempt, Reconnect
from .ending import Ending
from .events import Events
from .from_outside import close_from_outside, open_first
from .lifecycle import Lifecycle
from .messages import Messages
from .on_open import OnOpen
from .receive_queue import Message
from .self_wait import SelfWaitGuard
from .urls import shown

if TYPE_CHECKING:
    pass

__all__ = ["Client"]

F = TypeVar("F", bound=Callable[..., Any])


class Client:
    """One connection; made by :func:`connect`. Works from any thread but the lab's loop's own.

    Iterating gives the messages as they come and ends when the connection closes normally. Use it
    as a context manager to close it at the end of a ``with`` block. With ``reconnect`` it is one
    connection after another, and the end is the end of the last.

    Attributes:
        name: how views call it.
        url: where it is connected to.
        tape: every byte of the connection, or None where ``record=False``; see :class:`Tape`.

    Its members are many, since they are all that a user may ask a client; each is a line or two.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        name: str,
        runner: Portal,
        max_waiting: int,
        tape: Tape | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        self.url = url = destination.url
        self.name = name
        self.tape = tape
        is_unix = bool(destination.kwargs.get("unix"))
        self._guard = SelfWaitGuard(runner, url, destination.server, is_unix=is_unix)
        self._life = Lifecycle(
            destination,
            name=name,
            runner=runner,
            tape=tape,
            max_waiting=max_waiting,
            policy=reconnect,
            ended=lambda: cells.forget(self),
        )
        if reconnect is not None and reconnect.on_open is not None:
            self._life.on_open = OnOpen(
                reconnect.on_open,
                self,
                lambda: self._life.is_open,
                lambda exc, where: self._life.dispatcher().note(exc, where),
            )
        self._ending = Ending(self._life)
        self._messages = Messages(self._life, self._ending, self._guard)
        self._events = Events(self._life, self._messages, self._ending, self._guard)

    def _open(self, timeout: float | None) -> None:
        open_first(self._life, timeout)

    # What it is.

    @property
    def id(self) -> str:
        """The first six hexadecimal digits of this end's connection id."""
        latest = self._life.opener.latest
        return latest.traffic.id if latest is not None else ""

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."""
        return self._life.phase.state

    @property
    def close_code(self) -> int | None:
        """The close code, None while the connection is open; 1006 where it broke off."""
        return self._life.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with the close code, None while the connection is open."""
        return self._life.close_reason

    @property
    def why_closed(self) -> str:
        """In words: who closed the connection, what the code means, and what went before it."""
        return self._ending.why_closed

    @property
    def reconnects(self) -> tuple[Attempt, ...]:
        """The latest 100 attempts to come back: ``at`` (epoch seconds), ``delay_s``, ``outcome``.

        The outcome is ``"open"``, or says what went wrong. Empty without ``reconnect``.
        """
        reconnector = self._life.reconnector
        return tuple(reconnector.attempts) if reconnector is not None else ()

    @property
    def reconnected(self) -> int:
        """How often it has come back."""
        reconnector = self._life.reconnector
        return reconnector.opened if reconnector is not None else 0

    @property
    def status(self) -> str:
        """Its state in words, such as "OPEN" or "reconnecting, attempt 3, next in 1.2 s"."""
        return self._life.status

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed upon (RFC 6455 §1.9)."""
        connection = self._life.connection
        return connection.websocket.subprotocol if connection is not None else None

    @property
    def received(self) -> tuple[Message, ...]:
        """The latest messages that came, taken with recv() or not: 1,000 or 4 MiB at the most.

        ``received_dropped`` counts the older ones that are no longer kept here.
        """
        return self._life.incoming.log.latest()

    @property
    def received_dropped(self) -> int:
        """Messages that ``received`` no longer keeps."""
        return self._life.incoming.log.dropped

    @property
    def waiting(self) -> int:
        """Messages that came and that nobody has taken yet."""
        return len(self._life.incoming.queue)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that came and that nobody has taken yet, also those that websockets still holds."""
        queued = self._life.incoming.queue.size_bytes
        return queued + queued_bytes(self.websocket)

    @property
    def discarded(self) -> int:
        """Messages that came while it was closing and found no room."""
        return self._life.incoming.discarded

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Messages received, messages sent, bytes received, bytes sent."""
        return self._life.opener.counts

    @property
    def replaced(self) -> bool:
        """Whether its cell ran again, and a new client took its place."""
        return self._life.replaced

    @property
    def began_s(self) -> float:
        """When it was made, on the clock of ``time.monotonic()``."""
        return self._life.began_s

    @property
    def websocket(self) -> ws_client.ClientConnection:
        """The websockets connection itself; use it on the lab's loop only."""
        connection = self._life.connection
        return None if connection is None else connection.websocket  # type: ignore[return-value]

    @property
    def network(self) -> LineConditions:
        """The network under it: delay, jitter and rate to set, a cable to cut, RST, and presets.

        Such as ``alice.network.delay_s = 0.2``, ``alice.network.cut()``; it goes from one
        connection to the next.
        """
        return self._life.opener.network.conditions

    # Messages.

    def send(self, message: Any, timeout: float | None = None) -> None:
        """Send a message: str as a text frame, bytes as a binary one (RFC 6455 §5.6).

        An iterable of either is sent as one message in fragments (RFC 6455 §5.4); a generator
        runs on the caller's own thread. That it returned does not mean that the message arrived:
        it is on its way, in order.

        Args:
            message: what to send: str, bytes, bytearray, memoryview, or an iterable or an
                asynchronous iterable of these.
            timeout: seconds to wait where the other side does not read; None waits until it does,
                or until the keepalive gives up.

        Raises:
            ConnectionClosed: the connection is closed; ``why_closed`` says why.
            TypeError: the message is neither of these.
            TimeoutError: it could not be sent in time; it says whether it was taken back.
        """
        self._messages.send(message, timeout)

    def recv(self, timeout: float | None = None) -> Message:
        """Take the oldest message that has come, or wait for one.

        A timeout or an interrupt loses no message: the next call gets it.

        Args:
            timeout: seconds; None waits until a message comes or the connection ends.

        Raises:
            TimeoutError: none came in time.
            ConnectionClosed: the connection has ended and all messages have been taken.
            WrongThread: called where it would wait for itself.
        """
        return self._messages.recv(timeout)

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self.recv()
            except ConnectionClosedOK:
                return

    def ping(self, timeout: float | None = 10.0) -> float:
        """Send a ping and wait for its pong (RFC 6455 §5.5.2); return the round trip in seconds.

        Raises:
            TimeoutError: no pong came within ``timeout`` seconds.
            ConnectionClosed: the connection is closed.
        """
        return self._messages.ping(timeout)

    # Events.

    @property
    def hub_id(self) -> str | None:
        """The id by which the Hub knows this client (there: ``client.id``); None without a Hub."""
        return self._events.hub_id

    @property
    def user_id(self) -> str | None:
        """Who it is to a Hub's other clients, also after it came back; None without a Hub."""
        return self._events.user_id

    @property
    def session(self) -> str | None:
        """The secret by which a Hub with a history knows this client again, or None."""
        return self._events.session

    @property
    def gap(self) -> str | None:
        """Why events are missing after a reconnection, or None where nothing is.

        ``"too old"``: more was missed than the Hub keeps. ``"session unknown"``: the Hub was
        restarted, or has forgotten this client: what it had been sent, and had not confirmed, was
        sent again and may have been handled twice. ``"packets lost"``: the process of the Hub that
        had said that they came could not tell the next one, so what it did with them (a room that
        was joined) is not known there.
        """
        dispatcher = self._events.dispatcher
        return dispatcher.gap if dispatcher is not None else None

    @property
    def dropped(self) -> int:
        """Events that the Hub did not send, since this client took them too slowly."""
        dispatcher = self._events.dispatcher
        return dispatcher.dropped if dispatcher is not None else 0

    @property
    def unhandled(self) -> int:
        """Events that came after the first :meth:`on` and for which there was no handler."""
        dispatcher = self._events.dispatcher
        return dispatcher.queue.unhandled if dispatcher is not None else 0

    @property
    def errors(self) -> tuple[Any, ...]:
        """What went wrong with events: handlers that raised and errors that the Hub reported.

        The latest 100. Each has ``at`` (epoch seconds), ``event``, ``code``, ``message`` and, where
        a function of yours raised, the exception's ``kind`` and ``traceback`` as text.
        """
        dispatcher = self._events.dispatcher
        return tuple(dispatcher.errors) if dispatcher is not None else ()

    @property
    def errors_seen(self) -> int:
        """How many of them there have been."""
        dispatcher = self._events.dispatcher
        return dispatcher.errors.seen if dispatcher is not None else 0

    def emit(self, event: str, data: Any = None, *, timeout: float | None = None) -> None:
        """Send an event to a Hub; its handler of that name gets the data.

        Who else is to hear of it is the Hub's affair; use `call` for an answer.

        That it returned does not mean that it was handled: it is on its way, in order. A client
        that reconnects keeps what it emits while there is no connection, 1,000 events or 4 MiB at
        the most, and sends it when there is one again. To a Hub with a history each arrives once.

        Args:
            event: its name, such as ``"chat"``.
            data: what JSON can hold (text, numbers, lists, dicts, None), and bytes within it.
            timeout: seconds to wait where there is no room for it; None waits until there is.

        Raises:
            TypeError, ValueError: JSON cannot hold the data, or an event cannot have that name.
            TimeoutError: there was no room for it in time.
            ConnectionClosed: the connection is closed; ``why_closed`` says why.
        """
        self._events.emit(event, data, timeout)

    def call(self, event: str, data: Any = None, timeout: float | None = 5.0) -> Any:
        """Send an event to a Hub and return what its handler answers.

        A client that reconnects asks again when it is back. A Hub with a history runs the handler
        once all the same; with any other server, a call that had been sent ends with the
        connection, since nobody knows whether it was handled.

        Args:
            event: its name.
            data: as for :meth:`emit`.
            timeout: seconds to wait for the answer; None waits until it comes or the connection
                ends.

        Raises:
            CallFailed: the Hub answered with an error; ``code`` is its word for it, such as
                ``"unknown-event"``, ``"refused"`` or ``"failed"``.
            TimeoutError: no answer came in time; it says what held it back, as far as is known.
            ConnectionClosed: the connection ended first.
            TypeError, ValueError: as for :meth:`emit`.
        """
        return self._events.call(event, data, timeout)

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F) -> F: ...

    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Let a function handle an event of the Hub; also a decorator: ``@alice.on("chat")``.

        The function gets the event's data; where the Hub has called, what it returns (or raises) is
        the answer. An event has one handler, and registering again replaces it, as a cell does that
        runs again; one of another name warns that it takes the place. They run one at a time, in
        the order of the events: an async one on the lab's loop, a plain one on a thread, where it
        may block. What one raises is kept in :attr:`errors`.

        With the first handler, events stop coming with ``recv()``; raw messages go on to. Events of
        this name that wait for ``recv()`` are handled now. The Hub's own events are ``"welcome"``,
        ``"error"`` (code, message, event) and ``"dropped"`` (count).

        Args:
            event: its name; ``"*"`` for all that have no handler of their own.
            handler: a function of one argument, the data; for ``"*"`` of two, the event's name and
                its data. Left out, this returns a decorator.

        Raises:
            TypeError, ValueError: no event can have that name, or the handler cannot be called.
        """
        if handler is None:
            self._events.check(event)

            def register(func: F) -> F:
                self._events.on(event, func)
                return func

            return register
        self._events.on(event, handler)
        return handler

    def off(self, event: str) -> None:
        """Take the handler of an event out; what comes of it then is counted in ``unhandled``.

        Raises:
            LookupError: there is none.
        """
        self._events.off(event)

    # Closing.

    def close(self, code: int = 1000, reason: str = "", timeout: float | None = 5.0) -> None:
        """Close the connection with the closing handshake (RFC 6455 §7.1.2); idempotent.

        Messages that came before can still be taken with recv().

        Args:
            code: 1000 (normal), 1001, 3000 to 4999 and the few others that may be sent.
            reason: at most 123 bytes of UTF-8.
            timeout: seconds to wait for the other side's close frame; then TCP is cut. None waits
                for it without end.

        Raises:
            ValueError: a code that may not be sent, or too long a reason.
            LoopBlocked: something holds the lab's loop.
        """
        close_from_outside(self._life, self._guard, code, reason, timeout)

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        """Start closing with 1001 (going away) without waiting; the future is done when it has."""
        self._life.replaced = self._life.replaced or replaced
        return self._life.begin_close(1001, "", 1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._life.runner.fork.is_child:  # it leaves the block, too: nothing of it runs
            self.close()

    def __repr__(self) -> str:
        received, sent, *_ = self.counts
        if self._life.runner.fork.is_child:
            return f"<Client {self.name!r} to {shown(self.url)}, of the parent process>"
        errors = f", {self.errors_seen} errors" if self.errors_seen else ""
        waiting = f", {self.waiting} waiting" if self.waiting else ""
        return (
            f"<Client {self.name!r} to {shown(self.url)}, {self.status}, {sent} sent, "
            f"{received} received{waiting}{errors}>"
        )
