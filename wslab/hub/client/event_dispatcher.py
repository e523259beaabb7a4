"""A client's conversation with a hub: its handlers, the calls that wait, and what goes wrong.

The shell around `client_session`, for a plain program on threads whose connection lives on a loop.
Its rule: a handler never runs where it could hold the loop or another client (plain ones run on a
thread), one runs at a time, in the order in which the events came, and at most so many wait for it;
then the hub is slowed down. It knows neither connections nor notebooks: it is told when one opens
(an outbox to put packets into) and when it has ended.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import dataclasses
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ...calling import called, check_takes, function_name, is_async, tell_replaced
from ...errors import CallFailed, Refused, is_cancelled
from ...failures import Failure, FailureLog, said_by
from ...waiting import deadline_after, finite, left_until, pause
from ..protocol.client_session import (
    AnswerReceived,
    CallLost,
    ClientSession,
    Encoded,
    ErrorReceived,
    Event,
    EventReceived,
    EventsDropped,
    Message,
    RawMessage,
    Welcomed,
)
from ..protocol.packets import MAX_NAME, RESERVED, check_name, dumps, encode_answer, encode_error
from ..protocol.reserved_events import for_clients

__all__ = ["ConnectionLost", "EventDispatcher", "EventFailure"]

MAX_EVENTS = 1_000  # that wait for their handler; beyond it the hub is slowed down
MAX_EVENTS_BYTES = 4 * 2**20  # of them, as they came: as values, JSON takes up to 25 times as much
MAX_ERRORS = 100
MAX_TOLD = 2_000  # characters of what the hub says went wrong
_OWN = (Welcomed, EventsDropped, ErrorReceived)  # events of the hub itself
# Which conversation's handler the code at hand was called from: it must not wait for itself.
_inside: contextvars.ContextVar[Any] = contextvars.ContextVar("wslab_handler_of", default=None)


class ConnectionLost(Exception):
    """Told to whoever waits for an answer when the connection has ended without it."""


@dataclass(frozen=True, slots=True)
class EventFailure(Failure):
    """What went wrong with an event: a handler raised, or the hub reported an error.

    Args:
        event: the event that it is about, if one is known.
        code: a word for programs, such as ``failed`` or ``unknown-event``.

    Where the hub reported it, ``kind`` and ``traceback`` are empty.
    """

    event: str | None
    code: str

    def __str__(self) -> str:
        if self.kind:
            who = f"the handler of {self.event!r}" if self.event is not None else self.where
            return f"{who} raised {self.summary}"
        about = f" about {self.event!r}" if self.event is not None else ""
        return f"the hub said{about}: {self.message} ({self.code})"


class Outbox(Protocol):
    """Where packets go while a connection is open."""

    def put(
        self, message: Any, following: tuple[bytes, ...] = ()
    ) -> concurrent.futures.Future[None] | None:
        """Hand over the frames of one packet; a future where one has to wait for its turn."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether what is put in has a chance to go out."""
        ...


@dataclass(slots=True)
class _Handler:
    func: Callable[..., Any]
    context: contextvars.Context  # of the cell that registered it: what it prints lands there


class EventDispatcher:
    """One client's events, calls and errors, over all its connections.

    Args:
        loop: on which the connection lives.
        session: the token of a client that comes back; None for one that does not.
    """

    Ended = ConnectionLost

    def __init__(self, loop: asyncio.AbstractEventLoop, session: str | None = None) -> None:
        self.session = ClientSession(session)
        self.is_claiming = False  # events are for handlers, and not for recv()
        self.gap: str | None = None
        self.dropped = 0
        self.unhandled = 0
        self.errors = FailureLog(MAX_ERRORS)
        self._loop = loop
        self._lock = threading.Lock()  # guards the session, the outbox and the calls
        self._room = threading.Condition(self._lock)
        self._outbox: Outbox | None = None
        self._calls: dict[int, concurrent.futures.Future[Any]] = {}
        self._has_ended = False
        self._handlers: dict[str, _Handler] = {}
        self._events: collections.deque[EventReceived] = collections.deque()
        self._events_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._running: tuple[str, float] | None = None  # which handler runs, since when
        self._has_room: asyncio.Event | None = None  # there while somebody waits for room

    # Handlers.

    def check(self, event: str) -> None:
        """Refuse what cannot be the name of an event that comes.

        Raises:
            TypeError, ValueError: what was expected, and what came.
        """
        check_name(event)
        hint = for_clients(event)
        if hint:
            raise ValueError(f"expected the name of an event, got {event!r}: {hint}")

    def on(self, event: str, func: Callable[..., Any]) -> None:
        """Let ``func`` handle an event, in place of the one before; from any thread.

        Raises:
            TypeError, ValueError: no name that an event can have, or nothing that can be called.
        """
        self.check(event)
        if event == "*":
            check_takes(func, 2, "a function of two arguments, the event's name and its data")
        else:
            check_takes(func, 1, "a function of one argument, the event's data")
        before = self._handlers.get(event)
        self._handlers[event] = _Handler(func, contextvars.copy_context())
        tell_replaced(event, before and before.func, func, stacklevel=4)

    def _handler(self, event: str) -> tuple[_Handler | None, tuple[Any, ...]]:
        """Return who handles an event, and what it gets before the data."""
        own = self._handlers.get(event) if event != "*" else None
        return (own, ()) if own is not None else (self._handlers.get("*"), (event,))

    def off(self, event: str) -> bool:
        """Take a handler out; whether there was one."""
        return self._handlers.pop(event, None) is not None

    def claim(self, event: str, waiting: Iterable[Message]) -> list[Message]:
        """Take in the events of that name that wait for recv(); on the loop.

        Returns:
            The messages that go on waiting.
        """
        left: list[Message] = []
        past = ClientSession()
        for came in [each for message in waiting for each in past.receive(message)]:
            if isinstance(came, EventReceived) and self._is_for(event, came):
                self._hand(came)
            elif isinstance(came, _OWN) and (not self.is_claiming or _name(came) == event):
                self._hand_own(came)
            elif isinstance(came, (RawMessage, EventReceived, *_OWN)):
                left += came.messages
        begun = past.begun()  # its binary frames are on their way
        with self._lock:
            has_end = self._has_ended or self._outbox is None
            if has_end or not self.session.go_on_from(begun):
                left += begun
        self.is_claiming = True
        return left

    def _is_for(self, event: str, came: EventReceived) -> bool:
        return came.event == event != "*" or (event == "*" and came.event not in self._handlers)

    # Saying something; on any thread but the loop's.

    def emit(
        self, event: str, data: Any, timeout: float | None
    ) -> concurrent.futures.Future[None] | None:
        """Send an event; a future where one has to wait until it has gone out.

        Raises:
            TimeoutError: there was no room to keep it.
            ConnectionLost: the client has ended.
        """
        encoded = self._encoded(event, data)
        with self._handing_over(encoded, timeout):
            self.session.emit(event, encoded)
            return self._send_out()

    def call(
        self, event: str, data: Any, timeout: float | None
    ) -> tuple[int, concurrent.futures.Future[Any]]:
        """Send an event that wants an answer; its number, and a future of the answer.

        Raises:
            TimeoutError: there was no room to keep it.
            ConnectionLost: the client has ended.
        """
        encoded = self._encoded(event, data)
        answer = concurrent.futures.Future[Any]()
        with self._handing_over(encoded, timeout):
            number = self.session.call(event, encoded)
            self._calls[number] = answer
            self._send_out()
        return number, answer

    def withdraw(self, number: int) -> bool:
        """Give up a call; whether it had not been sent yet."""
        with self._lock:
            self._calls.pop(number, None)
            return self.session.withdraw(number)

    @contextlib.contextmanager
    def _handing_over(self, encoded: Encoded | None, timeout: float | None) -> Iterator[None]:
        with self._lock:
            self._wait_for_room(encoded, timeout)
            try:
                yield
            except KeyboardInterrupt:
                # What it left half done is done on the loop.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._send_rest)
                raise

    def _send_rest(self) -> None:
        with self._lock:
            self._send_out()

    def _encoded(self, event: str, data: Any) -> Encoded | None:
        check_name(event)
        if event in RESERVED:
            raise ValueError(
                f"expected an event's name of your own, got {event!r}: in a hub that means "
                "something else"
                + ("; client.send() sends a raw message" if event == "message" else "")
            )
        return None if data is None else dumps(data)

    def _wait_for_room(self, encoded: Encoded | None, timeout: float | None) -> None:
        deadline_s = deadline_after(timeout)
        while not self._has_ended and not self.session.make_room(encoded):
            left_s = left_until(deadline_s)
            if not left_s:
                raise TimeoutError(
                    f"{self.session.kept:,} packets ({self.session.kept_bytes:,} bytes) are kept "
                    "already until the hub has said that they came"
                )
            pause(self._room.wait, left_s)
        if self._has_ended:
            raise ConnectionLost

    def _send_out(self) -> concurrent.futures.Future[None] | None:
        """Write what the session has to say; with the lock held."""
        outbox, gone = self._outbox, None
        if outbox is None:
            return None
        if self.session.token is not None and not outbox.is_open:
            self.session.mute()  # it waits for the next connection
        for text, *binary in self.session.outgoing():
            gone = outbox.put(text, tuple(binary))  # type: ignore[arg-type]
        # What is kept goes out sooner or later: nobody has to wait for its turn.
        return gone if self.session.mode == "plain" else None

    # Connections; on the loop.

    def opened(self, outbox: Outbox) -> None:
        """Note that a connection is open, and write what has waited for it."""
        with self._lock:
            self._outbox = outbox
            self.session.opened()
            self._send_out()
            self._room.notify_all()

    def muted(self) -> None:
        """Note that nothing can be written any more."""
        with self._lock:
            self.session.mute()

    def lost(self) -> list[Message]:
        """Note that a connection has ended and all that came has been taken in."""
        with self._lock:
            self._outbox = None
            events = self.session.lost()
        return self._take_in(events)

    def end(self) -> None:
        """Note that no connection will follow: nobody shall wait any more."""
        with self._lock:
            self._has_ended = True
            calls, self._calls = self._calls, {}
            self._room.notify_all()
        for answer in calls.values():
            _fill(answer, ConnectionLost())
        self.wake()

    @property
    def is_busy(self) -> bool:
        """Whether a handler runs, or events wait for one."""
        return self._worker is not None

    @property
    def is_inside(self) -> bool:
        """Whether the code at hand was called by one of these handlers."""
        return _inside.get() is self

    async def finish(self, timeout: float) -> None:
        """Let the handlers come to their end, and cut off what takes longer (seconds)."""
        worker = self._worker
        if worker is None:
            return
        if timeout > 0:
            await asyncio.wait([worker], timeout=finite(timeout))
        if not worker.done():
            self.unhandled += len(self._events)
            self._events.clear()
            self._events_bytes = 0
            worker.cancel()
            if asyncio.current_task() is not worker:
                await asyncio.wait([worker], timeout=1.0)

    # What comes; on the loop.

    @property
    def is_at_limit(self) -> bool:
        """Whether so many events wait for their handlers that no more should be read."""
        return len(self._events) >= MAX_EVENTS or self._events_bytes >= MAX_EVENTS_BYTES

    @property
    def is_twice_full(self) -> bool:
        """Whether twice as many wait: then no more are kept, although nobody slows the hub down."""
        count, size_bytes = len(self._events), self._events_bytes
        return count >= 2 * MAX_EVENTS or size_bytes >= 2 * MAX_EVENTS_BYTES

    def _is_over_half(self) -> bool:
        count, size_bytes = len(self._events), self._events_bytes
        return count > MAX_EVENTS // 2 or size_bytes > MAX_EVENTS_BYTES // 2

    async def room(self) -> None:
        """Wait until half of the events have been handled, or the connection has ended."""
        self._has_room = room = asyncio.Event()
        try:
            if self._is_over_half() and not self._has_ended:
                await room.wait()
        finally:
            self._has_room = None

    def wake(self) -> None:
        """End the wait for room."""
        if self._has_room is not None:
            self._has_room.set()

    def take(self, message: Message) -> list[Message]:
        """Take in a message; return those that are for recv()."""
        with self._lock:
            events = self.session.receive(message)
            if self.session.token is not None:
                self._send_out()
        return self._take_in(events)

    def _take_in(self, events: list[Event]) -> list[Message]:
        left: list[Message] = []
        for event in events:
            match event:
                case RawMessage(messages):
                    left += messages
                case EventReceived():
                    if self.is_claiming:
                        self._hand(event)
                    else:
                        left += event.messages
                case AnswerReceived(number, data, error):
                    with self._lock:
                        answer = self._calls.pop(number, None)
                    _fill(answer, data if error is None else _call_failed(error))
                case CallLost(number):
                    with self._lock:
                        answer = self._calls.pop(number, None)
                    _fill(answer, ConnectionLost())
                case Welcomed() | EventsDropped() | ErrorReceived():
                    if isinstance(event, Welcomed) and event.gap is not None:
                        self.gap = event.gap
                    if isinstance(event, EventsDropped):
                        self.dropped += event.count
                    if isinstance(event, ErrorReceived):
                        self._note_told(event)
                    if self.is_claiming:
                        self._hand_own(event)
                    elif not isinstance(event, Welcomed) or event.is_first:
                        left += event.messages
        if events:
            with self._room:
                self._room.notify_all()
        return left

    def _hand_own(self, event: Welcomed | EventsDropped | ErrorReceived) -> None:
        """Hand one of the hub's own events to its handler, if there is one."""
        name = _name(event)
        if name in self._handlers:
            self._hand(EventReceived(name, event.data, None, event.messages))

    def _hand(self, came: EventReceived) -> None:
        if self._handler(came.event)[0] is None:
            self.unhandled += 1
            if came.id is not None:
                known = ", ".join(map(repr, sorted(self._handlers)[:8]))
                self._answer(
                    encode_error(
                        "unknown-event",
                        f"nobody handles {came.event!r:.60} here; there are {known or 'none'}",
                        answer=came.id,
                    )
                )
            return
        self._events.append(came)
        self._events_bytes += _bytes_of(came)
        if self._worker is None:
            self._worker = self._loop.create_task(self._work(), context=contextvars.Context())

    async def _work(self) -> None:
        try:
            while self._events:
                came = self._events.popleft()
                self._events_bytes -= _bytes_of(came)
                if self._has_room is not None and not self._is_over_half():
                    self._has_room.set()
                handler, args = self._handler(came.event)
                if handler is None:  # taken out meanwhile
                    self.unhandled += 1
                    continue
                self._running = (came.event, time.monotonic())
                try:
                    await self._handle(came, handler, (*args, came.data))
                finally:
                    self._running = None
        finally:
            self._worker = None

    async def _handle(self, came: EventReceived, handler: _Handler, args: tuple[Any, ...]) -> None:
        try:
            result = await self._run(handler, args)
            answer = encode_answer(came.id, result) if came.id is not None else None
        except BaseException as exc:  # SystemExit in a handler must not end the loop
            if is_cancelled(exc):
                raise
            self._failed(came, exc, function_name(handler.func))
        else:
            if answer is not None:
                self._answer(*answer)

    async def _run(self, handler: _Handler, args: tuple[Any, ...]) -> Any:
        context = handler.context.copy()
        context.run(_inside.set, self)
        if is_async(handler.func):
            # A task of its own: it has the context of the cell that registered it.
            task = self._loop.create_task(_await(None, handler.func, args), context=context)
            try:
                return _result(await task)
            finally:
                if not task.done():
                    task.cancel()
        result = await self._loop.run_in_executor(None, context.run, called, handler.func, *args)
        if inspect.isawaitable(result):  # of a lambda, say
            return _result(await self._loop.create_task(_await(result), context=context))
        return result

    def _failed(self, came: EventReceived, exc: BaseException, where: str) -> None:
        if isinstance(exc, Refused):
            code, message = "refused", said_by(exc)
        else:
            code, message = "failed", self.note(exc, where, event=came.event).summary
        if came.id is not None:
            self._answer(encode_error(code, message, answer=came.id))

    def note(self, exc: BaseException, where: str, *, event: str | None = None) -> Failure:
        """Record what a function let through."""
        told = Failure.of(exc, where=where)
        fields = {field.name: getattr(told, field.name) for field in dataclasses.fields(told)}
        failure = EventFailure(**fields, event=event, code="failed")
        self.errors.append(failure)
        return failure

    def _note_told(self, told: ErrorReceived) -> None:
        event = told.event[:MAX_NAME] if told.event is not None else None
        self.errors.append(
            EventFailure(
                at=time.time(),
                where="the hub",
                who="",
                peer=None,
                kind="",
                message=told.message[:MAX_TOLD],
                traceback="",
                event=event,
                code=told.code[:MAX_NAME],
            )
        )

    def _answer(self, text: str, binary: Iterable[bytes] = ()) -> None:
        with self._lock:
            self.session.answer((text, list(binary)))
            self._send_out()

    # Saying why.

    def held_back(self) -> str:
        """Say in words what holds events and answers back, if handlers do; else nothing."""
        running, waiting = self._running, len(self._events)
        if running is None:
            return ""
        event, since_s = running
        ran = f"which has run for {time.monotonic() - since_s:.1f} s"
        if not self.is_at_limit:
            return (
                f"; it has a handler of {event!r} at work, {ran}: should the Hub wait for its "
                "answer, it takes nothing else of this client meanwhile"
            )
        return (
            f"; {waiting:,} events wait for the handler of {event!r}, {ran}, and hold back what "
            "comes after them"
        )


def _bytes_of(came: EventReceived) -> int:
    return sum(map(len, came.messages))


def _name(event: Any) -> str:
    return {Welcomed: "welcome", EventsDropped: "dropped", ErrorReceived: "error"}.get(
        type(event), ""
    )


def _call_failed(error: dict[str, Any]) -> CallFailed:
    code = str(error.get("code") or "failed")
    return CallFailed(str(error.get("message") or code), code=code)


def _fill(answer: concurrent.futures.Future[Any] | None, result: Any) -> None:
    with contextlib.suppress(concurrent.futures.InvalidStateError):  # given up meanwhile
        if answer is not None and isinstance(result, Exception):
            answer.set_exception(result)
        elif answer is not None:
            answer.set_result(result)


async def _await(
    awaitable: Any, func: Callable[..., Any] | None = None, args: tuple[Any, ...] = ()
) -> tuple[Any, BaseException | None]:
    try:
        return await (awaitable if func is None else func(*args)), None
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
        # Out of a task the first two would go to the loop; the last would close who awaits it.
        return None, exc


def _result(outcome: tuple[Any, BaseException | None]) -> Any:
    result, exc = outcome
    if exc is not None:
        raise exc
    return result
