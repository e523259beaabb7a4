"""Hub: a WebSocket handler that knows its clients, their rooms, and what they say to each other.

``websockets.serve(hub, ...)`` and ``wslab.serve(hub)`` run it unchanged. Its rules: emitting never
waits for anybody; a handler's failure is the sender's to hear and nobody else's to feel; one loop
does everything, so that nothing is seen half done. What is not here: authentication, many
processes, storage.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar, cast, overload

from ...calling import (
    called,
    check_takes,
    function_name,
    is_async,
    must_pass,
    running_loop,
    submitted,
    tell_replaced,
)
from ...errors import ClientGone, LoopBlocked, Refused, WrongThread
from ...failures import Failure, FailureLog
from ...waiting import finite, result_of
from ..protocol import packets
from ..protocol.history import History
from ..protocol.limits import Limits, address_of
from ..protocol.reserved_events import for_hubs
from ..protocol.room_log import PROGRAM, Past
from ..protocol.server_session import ServerSession
from ..protocol.sessions import Sessions
from .delivery import CLOSING, DROPPED, QUEUED, SENT, SKIPPED, Delivery, Trace
from .holder import Holder
from .hub_client import HubClient, asked
from .link import Link
from .prepared_message import Frames, PreparedMessage
from .registry import Clients, Registry, Rooms, check_room
from .send_queue import POLICIES, Policy
from .websockets_link import WebSocketsLink

__all__ = ["Hub"]

MAX_TURNING_AWAY = 1000  # connections that are told at once that there is no place for them
TURN_AWAY_S = 1.0  # for one of these to answer the close frame
OFF_LOOP_TIMEOUT_S = 5.0  # for the loop to take up what another thread asks of it
_log = logging.getLogger("wslab.hub")
# For what a server or view shows anyway: silent unless the user configures logging.
_shown_log = logging.getLogger("wslab.hub.shown")
_shown_log.addHandler(logging.NullHandler())
_sender: contextvars.ContextVar[HubClient | None] = contextvars.ContextVar("sender", default=None)

F = TypeVar("F", bound=Callable[..., Any])
_ARGUMENTS = {
    "connect": ("client",),
    "disconnect": ("client", "reason"),
    "message": ("client", "message"),
    "*": ("client", "event", "data"),
}
Target = str | HubClient | Iterable[str | HubClient] | None


class _Handler:
    __slots__ = ("function", "is_async", "name")

    def __init__(self, function: Callable[..., Any], arguments: int, example: str) -> None:
        check_takes(function, arguments, f"a function such as `{example}`")
        self.name = function_name(function)
        self.function = function
        self.is_async = is_async(function)


class Hub:
    """Clients, rooms, events and answers on top of WebSockets; itself a handler.

        hub = wslab.Hub()

        @hub.on("chat")
        async def chat(client, text):
            await hub.emit("chat", text, to="lobby", skip=client)

        server = wslab.serve(hub)

    Args:
        name: how views call it.
        history: how many events of each room are kept for clients that come back; 0 keeps none,
            and then there are no sessions either.
        session_s: seconds that a session outlives its connection.
        backlog: messages that may wait for a client that reads too slowly; short for
            ``Limits(backlog=...)``.
        slow: what to do beyond that: ``"drop-oldest"``; ``"keep-latest"`` (of those emitted with
            the same ``key``, by default the event's name, only the last waits);
            ``"disconnect"`` with 1013 (try again later).
        rate: messages a second that a client may send; short for ``Limits(rate=...)``.
        max_size: bytes of one message from a client; short for ``Limits(max_size=...)``.
        limits: what its clients can make it hold at most: `Limits`.
        show_errors: tell the sender the text of an exception that a handler let through, and which
            events there are; switch it off where clients are strangers.
        dumps: makes JSON text of the data of events and answers, such as
            ``functools.partial(json.dumps, default=str)``; bytes are taken care of before it.
        loads: makes data of JSON text, such as ``functools.partial(json.loads, object_hook=...)``.

    Attributes:
        clients: who is connected: a live, read-only mapping from ``client.id`` to `HubClient`.
        rooms: a live, read-only mapping from a room's name to its clients, in order of joining.
        errors: the latest 50 exceptions that handlers let through, each a `Failure`;
            ``errors_seen`` counts all. They also go to the logger ``wslab.hub``, where a server or
            view shows them to ``wslab.hub.shown``, which is silent unless logging is configured.
        limited: how often each of the `Limits` has held, by its name: what had to go, or was
            refused.
        complaints: what senders were told, counted by code, such as "unknown-event".
        emitted: events and raw messages that were sent, each counted once.
        trace: set it to a `Trace` to keep who got what.
    """

    def __init__(
        self,
        name: str = "hub",
        *,
        history: int = 0,
        session_s: float = 120.0,
        backlog: int | None = None,
        slow: Policy = "drop-oldest",
        rate: float | None = None,
        max_size: int | None = None,
        limits: Limits | None = None,
        show_errors: bool = True,
        dumps: packets.Dumps | None = None,
        loads: packets.Loads | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"expected a name for the hub, got {type(name).__name__} {name!r:.60}")
        if slow not in POLICIES:
            raise ValueError(f"expected slow= to be one of {', '.join(POLICIES)}, got {slow!r}")
        for word, number, least in (
            ("history", history, 0),
            ("session_s", session_s, 0),
        ):
            kinds = (int, float) if word.endswith("_s") else (int,)
            if type(number) not in kinds:
                what = "a number of seconds" if word.endswith("_s") else "a whole number"
                raise TypeError(f"expected {word} as {what}, got {number!r:.60}")
            if not number >= least:
                raise ValueError(f"expected {word} of at least {least}, got {number!r}")
        if type(show_errors) is not bool:
            raise TypeError(f"expected show_errors as True or False, got {show_errors!r:.60}")
        for word, function in (("dumps", dumps), ("loads", loads)):
            if function is not None:
                check_takes(function, 1, f"{word} as a function such as json.{word}")
        limits = Limits() if limits is None else limits
        if not isinstance(limits, Limits):
            raise TypeError(f"expected limits as Limits(...), got {type(limits).__name__}")
        if backlog is not None:
            limits = replace(limits, backlog=backlog)
        if rate is not None:
            limits = replace(limits, rate=rate)
        if max_size is not None:
            limits = replace(limits, max_size=max_size)
        self.name = self.__name__ = name
        self.slow: Policy = slow
        self.limits = limits
        self.limited: collections.Counter[str] = collections.Counter()
        self.show_errors = show_errors
        self._dumps, self._loads = dumps, loads
        self.errors = FailureLog()
        # Called on the loop, by views and by whoever runs this hub; they must not raise.
        self.leave_listeners: list[Callable[[HubClient, str], object]] = []
        self.complaints: collections.Counter[str] = collections.Counter()  # told to senders
        self.emitted = 0
        self.trace: Trace | None = None
        self._registry = Registry(limits, self.limited)
        self.clients = Clients(self._registry)
        self.rooms = Rooms(self._registry)
        self._handlers: dict[str, _Handler] = {}
        self._sessions: Sessions[Frames] | None = (
            Sessions(History(history, limits, self.limited), session_s) if history else None
        )
        self._holders: weakref.WeakKeyDictionary[ServerSession[Any], Holder[HubClient]] = (
            weakref.WeakKeyDictionary()
        )
        self._read_kept = functools.partial(_data_of, loads)  # one for all events that are kept
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id: int | None = None
        self._alive = 0  # connections whose task runs
        self._addresses: collections.Counter[str] = collections.Counter()  # of these
        self._turning_away = 0
        self._gone: dict[HubClient, None] = {}  # that have left, with a handler at work
        self._threads = asyncio.Semaphore(limits.threads)
        self._ahead_bytes = 0  # of messages that wait for their turn, in all
        self._running = 0  # handlers
        self._queue: collections.deque[asyncio.Future[None]] = collections.deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lock = threading.RLock()  # while no loop is ours, any thread may emit

    # Handlers.

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, function: F) -> F: ...
    def on(self, event: str, function: F | None = None) -> F | Callable[[F], F]:
        """Register the handler of an event, in place of the one it had; nobody is disconnected.

        An event has one handler, since one can give the answer to a call. Registering again swaps
        it, as a cell does that runs again; one of another name warns that it takes the place.

        ``async def handler(client, data)`` runs on the hub's loop; what it returns is the answer
        to a ``call`` (a Delivery as the number that it reached). A plain ``def`` runs on a thread,
        since on the loop it could hold up everybody; from there, ``emit``, ``join``,
        ``client.call`` and the like work as usual.

        The messages of one client are handled one after the other, in order: a handler that waits
        for something that the same client sends later waits in vain, other than for the answer to
        its own ``client.call``. Different clients are handled at the same time.

        A client is in ``hub.clients`` once ``connect`` has returned, or at the first ``join``,
        ``emit`` or ``call`` in it. ``disconnect`` runs once for each that ``connect`` let in: when
        its last message has been handled, but at most `Limits.grace_s` after it left; and before
        the ``connect`` of a connection that continues its session.

        Args:
            event: an event's name, or one of: ``"connect"``, called with the client, which may
                raise `Refused`, or return False, to turn it away; ``"disconnect"``, called with
                the client and the reason in words; ``"message"``, called with the client and the
                text or bytes of whatever is no packet; ``"*"``, called with the client, the
                event's name and its data for events that have no handler of their own.
            function: the handler; left out, a decorator is returned.

        Raises:
            TypeError: not a function of those arguments.
            ValueError: not an event's name, or one that the hub or Socket.IO keeps for itself.
        """
        packets.check_name(event)
        hint = for_hubs(event)
        if hint:
            raise ValueError(f"expected an event that clients emit, got {event!r}: {hint}")
        if function is not None:
            return self._register(event, function)
        return lambda function: self._register(event, function)

    def _register(self, event: str, function: F) -> F:
        arguments = _ARGUMENTS.get(event, ("client", "data"))
        name = event if event.isidentifier() else "handler"
        handler = _Handler(function, len(arguments), f"async def {name}({', '.join(arguments)})")
        before = self._handlers.get(event)
        self._handlers[event] = handler
        tell_replaced(event, before and before.function, function, stacklevel=3)
        return function

    def off(self, event: str) -> None:
        """Take an event's handler away; there need not be one."""
        self._handlers.pop(event, None)

    async def _run(self, handler: _Handler, *args: Any) -> Any:
        if self._running >= self.limits.handlers:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            try:
                await turn
            except BaseException:
                with contextlib.suppress(ValueError):
                    self._queue.remove(turn)
                if turn.done() and not turn.cancelled():
                    self._next_turn()
                raise
        else:
            self._running += 1
        try:
            if self.limits.handler_s is not None:
                return await self._run_in_time(handler, self.limits.handler_s, *args)
            return await self._call(handler, *args)
        finally:
            self._next_turn()

    async def _run_in_time(self, handler: _Handler, handler_s: float, *args: Any) -> Any:
        bound = asyncio.timeout(finite(handler_s))
        try:
            async with bound:
                return await self._call(handler, *args)
        except TimeoutError:
            if not bound.expired():
                raise  # of its own
            self.limited["handler_s"] += 1
            raise TimeoutError(
                f"the handler did not end within {handler_s:g} s (Limits(handler_s=...))"
            ) from None

    async def _call(self, handler: _Handler, *args: Any) -> Any:
        if handler.is_async:
            return await handler.function(*args)
        result = await self._on_thread(handler.function, *args)
        return await result if inspect.isawaitable(result) else result

    async def _on_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        # A thread cannot be cancelled, and what waits for one keeps its message in memory: so both
        # count until they are over, whoever has given them up.
        await self._threads.acquire()
        context, wanted = contextvars.copy_context(), [True]

        def run() -> Any:
            return context.run(called, function, *args) if wanted else None

        def is_over(future: asyncio.Future[Any]) -> None:
            self._threads.release()
            has_result = not future.cancelled() and future.exception() is None
            if has_result and not wanted and inspect.iscoroutine(future.result()):
                future.result().close()

        future = asyncio.get_running_loop().run_in_executor(None, run)
        future.add_done_callback(is_over)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            wanted.clear()
            raise

    def _next_turn(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    # Connections; on the loop.

    async def __call__(self, websocket: Any) -> None:
        """Serve one connection until it ends; what ``serve`` calls."""
        self._bind()
        link = WebSocketsLink(websocket)
        with link.bounded(self.limits.max_size):
            await self._serve(link)

    async def _serve(self, link: Link) -> None:
        address = address_of(link.address)
        if (reason := self._why_full(link, address)) is not None:
            await self._turn_away(link, reason)
            return
        client = HubClient(self, link, address)
        _sender.set(client)
        self._alive += 1
        self._addresses[address] += 1
        try:
            await client._live()
        finally:
            self._alive -= 1
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            self._gone.pop(client, None)

    def _why_full(self, link: Link, address: str) -> str | None:
        """Say why there is no place for one more connection, or None."""
        limits = self.limits
        most = limits.clients_per_address
        is_many = most is not None and self._addresses[address] >= most
        if not is_many and self._alive < limits.clients:
            return None
        token, _ = asked(link.path)
        if token and self._sessions is not None:
            session = self._sessions.get(token)
            holder = self._holder(session).client if session is not None else None
            if holder is not None and holder.is_open:
                return None  # it takes the place of its earlier connection
        self.limited["clients_per_address" if is_many else "clients"] += 1
        if is_many:
            return f"{most:,} clients of your address are connected already: try again later"
        return f"{limits.clients:,} clients are connected already: try again later"

    async def _turn_away(self, link: Link, reason: str) -> None:
        # Whoever does not answer the close frame must not hold what there is no place for.
        self._turning_away += 1
        try:
            if self._turning_away <= MAX_TURNING_AWAY:
                with contextlib.suppress(TimeoutError, link.closed_error):
                    async with asyncio.timeout(TURN_AWAY_S):
                        await link.close(1013, reason)
                        return
        finally:
            self._turning_away -= 1
            link.abort()

    def _has_left(self, client: HubClient) -> None:
        """Let handlers at work for those that have left hold only a part of all that may run."""
        self._gone[client] = None
        limits, gone = self.limits, self._gone
        if (session := client._session) is not None:
            own = [each for each in gone if each._session is session]
            for each in own[: -limits.handlers_per_client]:
                each._cut_off("handlers_per_client")
        if len(gone) > limits.gone_handlers:
            by_address = collections.Counter(each._address for each in gone)
            most = max(by_address.values())
            them = [each for each in gone if by_address[each._address] == most]
            min(them, key=lambda each: each.open_s)._cut_off("gone_handlers")

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        with self._lock:
            if self._alive and self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(
                    f"hub {self.name!r} serves clients on one event loop, and a client came on "
                    "another: give each loop a Hub of its own"
                )
            self._alive = self._running = self._ahead_bytes = self._turning_away = 0
            self._queue.clear()
            self._addresses.clear()
            self._threads = asyncio.Semaphore(self.limits.threads)
            self._gone.clear()
            for client in self._registry.of(None):  # of a loop that was closed under them
                client._go()
            self._loop, self._thread_id = loop, threading.get_ident()

    async def _connected(self, client: HubClient) -> bool:
        if self._sessions is not None and client._token_asked:
            await self._continue(self._sessions, client)
        handler = self._handlers.get("connect")
        if handler is None:
            return True
        try:
            if await self._run(handler, client) is not False:
                return True
            reason = "refused"
        except Refused as exc:
            reason = str(exc) or "refused"
        except BaseException as exc:  # SystemExit in one handler must not end the loop
            if must_pass(exc, is_async=handler.is_async):
                raise
            self._record(exc, client, handler.name)
            reason = ""
        if not client._is_gone:
            code, word = (1008, "refused") if reason else (1011, "failed")
            text = reason or "the connect handler failed"
            self.complaints[word] += 1
            client._send(PreparedMessage(packets.encode_error(word, text)))
            client._part(code, _cut(text), True)
        return False

    async def _continue(self, sessions: Sessions[Any], client: HubClient) -> None:
        """Let an earlier connection of the session end before this one begins.

        So ``disconnect`` comes before ``connect``, and that sees whom it has before it.
        """
        sessions.prune(time.monotonic())
        before: HubClient | None = None
        while (session := sessions.get(client._token_asked)) is not None:
            old = self._holder(session).client
            if old is None or old is before:
                client._is_before(session)
                return
            before = old
            old._retire()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(finite(self.limits.grace_s)):
                    await old._say_goodbye()

    def _holder(self, session: ServerSession[Any]) -> Holder[HubClient]:
        """Return who has a session; there is one for each, as long as that is remembered."""
        return self._holders.setdefault(session, Holder())

    async def _disconnected(self, client: HubClient, reason: str) -> None:
        for tell in tuple(self.leave_listeners):
            tell(client, reason)
        handler = self._handlers.get("disconnect")
        if handler is not None:
            await client._handle_with(handler, reason)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def errors_seen(self) -> int:
        """How many exceptions handlers have let through."""
        return self.errors.seen

    def _record(self, exc: BaseException, client: HubClient, where: str) -> Failure:
        failure = Failure.of(exc, where=where, who=client.id, peer=client.address)
        self.errors.append(failure)
        log = _shown_log if self.errors.has_listeners else _log
        log.error(
            "handler %s failed for client %s\n%s", where, client.id, failure.traceback.rstrip()
        )
        return failure

    # Any thread may ask; the loop does it.

    def _on_loop(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._thread_id == threading.get_ident():
            return function(*args)
        with self._lock:
            loop = self._loop
            if loop is None or loop.is_closed():  # nobody is connected
                return function(*args)
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(function(*args))
                except BaseException as exc:
                    done.set_exception(exc)

        try:
            loop.call_soon_threadsafe(run)
        except RuntimeError:  # it was closed at this moment
            return self._on_loop(function, *args)
        try:
            return result_of(done, OFF_LOOP_TIMEOUT_S, cancels=True)
        except TimeoutError:
            if not done.cancelled():
                raise  # the function's own
            raise LoopBlocked(
                f"hub {self.name!r} could not do it within {OFF_LOOP_TIMEOUT_S:g} s: something "
                "holds its event loop. It has been taken back"
            ) from None

    def _ask(self, ask: Callable[[], Coroutine[Any, Any, Any]], timeout: float | None) -> Any:
        """Have an ``async def`` run on the hub's loop, from wherever this was called.

        Returns:
            On a thread whose loop runs, something to await; elsewhere, what it returned.
        """
        here = running_loop()
        if here is not None and here is self._loop:
            return ask()
        if here is None and self._thread_id == threading.get_ident():
            raise WrongThread(
                "client.call() was called on the thread of the hub's own loop, which does not run "
                "now: the answer could not come. Await it in an `async def`"
            )
        gone = f"hub {self.name!r} runs no more: its event loop was closed"
        try:
            assert self._loop is not None
            answer = submitted(self._loop, ask)
        except RuntimeError:
            raise ClientGone(gone) from None
        if here is not None:
            return asyncio.wrap_future(answer)
        try:
            bound_s = None if timeout is None else timeout + OFF_LOOP_TIMEOUT_S
            return result_of(answer, bound_s, cancels=True)
        except concurrent.futures.CancelledError:
            raise ClientGone(gone) from None
        except TimeoutError:
            if not answer.cancelled():
                raise  # its own: the client did not answer
            raise LoopBlocked(
                f"hub {self.name!r} could not ask within {timeout:g} s: something holds its event "
                "loop. The question has been taken back"
            ) from None

    # Sending.

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Target = None,
        skip: HubClient | Iterable[HubClient] | None = None,
        *,
        key: str | None = None,
    ) -> Delivery:
        """Send an event to everybody, a room, a client, or several of these; never waits.

        It works from any thread, and may be awaited. That it returned says that it was handed to
        TCP or to the client's backlog, not that it arrived.

        Args:
            event: its name.
            data: what it carries: anything that JSON can hold, and bytes.
            to: a room's name, a client, or an iterable of these; None for everybody. A client that
                is meant twice gets it once.
            skip: a client, or several, that do not get it, such as the sender.
            key: under ``slow="keep-latest"``: what is replaced by a later one of the same key; the
                event's name by default.

        Returns:
            What became of it: how many got it, for how many it waits, and so on.

        Raises:
            TypeError, ValueError: JSON cannot hold the data, or ``to`` is nothing of these.
            LoopBlocked: called from another thread, and the loop did not take it up in time.
        """
        self._check_event(event)
        encoded = packets.dumps(data, self._dumps)
        return cast(
            Delivery,
            self._on_loop(self._emit, event, encoded, to, skip, key or event, _sender.get()),
        )

    def _check_event(self, event: str) -> None:
        packets.check_name(event)
        if event in packets.RESERVED:
            raise ValueError(
                f"expected an event of your own, got {event!r}, which means something else here"
                + ("; hub.broadcast() sends raw messages" if event == "message" else "")
            )

    def _emit(
        self,
        event: str,
        encoded: tuple[str, list[bytes]],
        to: Target,
        skip: Any,
        key: str,
        sender: HubClient | None,
    ) -> Delivery:
        with self._lock:
            names, clients, rooms, sessions = self._resolved(to)
            left_out = _skipped(skip)
            history = self._sessions.history if self._sessions is not None else None
            offset = history.offset + 1 if history is not None else None
            text, binary = packets.encode_event(event, offset=offset, encoded=encoded)
            message = PreparedMessage(text, binary)
            delivery = Delivery(event, names, sender.id if sender else None)
            delivery.offset, delivery.preview = offset, encoded[0][:80]
            if history is not None and offset is not None:
                skipped = frozenset(
                    client.session  # as long as that is this client's, and not a newer one's
                    for client in left_out
                    if client._session is not None and not client._session.is_gone
                )
                frames, size_bytes = message.plain, message.size_bytes
                past = Past(
                    offset, time.time(), event, frames, size_bytes, skipped, self._read_kept
                )
                owner = PROGRAM if sender is None else sender._owner
                own = [session.own for session in sessions if not session.is_gone]
                history.keep(past, rooms, own, owner)
            return self._deliver(message, delivery, clients, left_out, key)

    def broadcast(
        self,
        message: str | bytes,
        to: Target = None,
        skip: HubClient | Iterable[HubClient] | None = None,
    ) -> Delivery:
        """Send a raw message, text or binary, as it is; otherwise as :meth:`emit`.

        It has no place in the history.

        Raises:
            TypeError: neither str nor bytes.
        """
        if isinstance(message, str):
            try:
                shared = PreparedMessage(message)
            except UnicodeEncodeError as exc:
                raise ValueError(
                    f"expected text that UTF-8 can hold (RFC 6455 §5.6), got half a surrogate "
                    f"pair at {exc.start}"
                ) from None
        elif isinstance(message, bytes | bytearray | memoryview):
            shared = PreparedMessage(None, [bytes(message)])
        else:
            raise TypeError(
                f"expected str (a text frame) or bytes (a binary frame), got "
                f"{type(message).__name__}; hub.emit(event, data) sends any data as JSON"
            )
        return cast(
            Delivery, self._on_loop(self._broadcast, message, shared, to, skip, _sender.get())
        )

    def _broadcast(
        self,
        raw: str | bytes,
        message: PreparedMessage,
        to: Target,
        skip: Any,
        sender: HubClient | None,
    ) -> Delivery:
        with self._lock:
            names, clients, _, _ = self._resolved(to)
            delivery = Delivery(None, names, sender.id if sender else None)
            delivery.preview = repr(raw[:80])
            return self._deliver(message, delivery, clients, _skipped(skip), None)

    def _deliver(
        self,
        message: PreparedMessage,
        delivery: Delivery,
        clients: Iterable[HubClient],
        left_out: frozenset[HubClient],
        key: str | None,
    ) -> Delivery:
        self.emitted += 1
        if self.trace is not None:
            self.trace.begin(delivery)
        outcomes = delivery.outcomes
        sent = 0
        for client in clients:
            if left_out and client in left_out:
                outcome = SKIPPED
                delivery.skipped += 1
            else:
                outcome = client._send_queue.put(message, delivery, key)  # by position: faster
                if outcome is SENT:
                    sent += 1
                elif outcome is QUEUED:
                    delivery.queued += 1
                elif outcome is DROPPED:
                    delivery.dropped += 1
            if outcomes is not None:
                outcomes[client.id] = CLOSING if client._is_gone else outcome
        delivery.sent += sent
        return delivery

    def _resolved(
        self, to: Target
    ) -> tuple[tuple[str, ...], Iterable[HubClient], list[str | None], list[ServerSession[Any]]]:
        """Return the names for the record, the clients, and whose history it belongs to."""
        if to is None:
            return (), self._registry.of(None), [None], []
        if isinstance(to, str):
            return (self._noted(to),), self._room(to), [to], []
        if not isinstance(to, HubClient) and not isinstance(to, Iterable):
            raise TypeError(
                f"expected a room's name, a client, or several of these, got {type(to).__name__} "
                f"{to!r:.60}"
            )
        names: list[str] = []
        clients: dict[HubClient, None] = {}
        rooms: list[str | None] = []
        sessions: list[ServerSession[Any]] = []
        for each in [to] if isinstance(to, HubClient) else dict.fromkeys(_hashable(to)):
            if isinstance(each, HubClient):
                if each._hub is not self:
                    raise ValueError(
                        f"expected a client of hub {self.name!r}, got {each}, which is a client "
                        f"of another hub, {each._hub.name!r}"
                    )
                each._admit()
                here = each._current()
                names.append(here.id)
                if here.is_open:
                    clients[here] = None
                if here._session is not None:
                    sessions.append(here._session)
            else:
                names.append(self._noted(each))
                clients.update(dict.fromkeys(self._room(each)))
                rooms.append(each)
        return tuple(names), clients, rooms, sessions

    def _noted(self, room: str) -> str:
        # Nobody can be in a room of a longer name, and a trace keeps what is noted.
        return room if len(room) <= self.limits.room_name_bytes else f"{room[:60]}..."

    def _room(self, room: str) -> tuple[HubClient, ...]:
        clients = self._registry.of(check_room(room))
        if not clients and room in self.clients:
            raise ValueError(
                f"expected a room's name or a client, got {room!r}, which is a client's id: pass "
                f"the client itself, hub.clients[{room!r}]"
            )
        return clients

    # Rooms and history.

    def close_room(self, room: str) -> int:
        """Let everybody leave a room, and return how many that were; it is gone then."""
        return int(self._on_loop(self._close_room, check_room(room)))

    def _close_room(self, room: str) -> int:
        clients = self._registry.of(room)
        for client in clients:
            client._leave(room)
        if self._sessions is not None:
            self._sessions.close_room(room)
        return len(clients)

    def history(
        self, room: str | None = None, limit: int | None = None
    ) -> tuple[Past[Frames], ...]:
        """Return the latest events of a room, oldest first; of those to everybody for None.

        Args:
            room: the room's name.
            limit: at most so many; None for all that are kept.

        Raises:
            RuntimeError: this hub keeps none.
        """
        if self._sessions is None:
            raise RuntimeError("this hub keeps no history: make it with Hub(history=100)")
        past = self._on_loop(self._sessions.history.of, room)
        return tuple(past if limit is None else past[-limit:] if limit > 0 else ())

    def __repr__(self) -> str:
        events = ", ".join(self._handlers) or "no handler"
        failed = f", {self.errors_seen} errors" if self.errors_seen else ""
        return (
            f"<Hub {self.name!r}: {len(self.clients)} clients, {len(self.rooms)} rooms; handles "
            f"{events}{failed}>"
        )


def _data_of(loads: packets.Loads | None, frames: Frames) -> Any:
    """Return what an event carried whose frames these are."""
    message = PreparedMessage.of(frames)
    packet = packets.decode(message.text or "")
    packet.attachments = message.binary
    return packets.take_binary(packet, loads)


def _hashable(to: Iterable[Any]) -> Iterator[str | HubClient]:
    for each in to:
        yield each if isinstance(each, HubClient) else check_room(each)


def _skipped(skip: Any) -> frozenset[HubClient]:
    if skip is None:
        return frozenset()
    several = (skip,) if isinstance(skip, HubClient) else skip
    if isinstance(several, str) or not isinstance(several, Iterable):
        raise TypeError(f"expected skip= to be a client or several, got {skip!r:.60}")
    clients = tuple(several)
    for client in clients:
        if not isinstance(client, HubClient):
            raise TypeError(f"expected skip= to be a client or several, got {client!r:.60}")
    return frozenset(client._current() for client in clients)


def _cut(reason: str) -> str:
    return reason.encode()[:123].decode(errors="ignore")
