"""Hub: a WebSocket handler that knows its clients, their rooms, and what they say to each other.

``websockets.serve(hub, ...)`` and ``wslab.serve(hub)`` run it unchanged. Its rules: emitting never
waits for anybody; a handler's failure is the sender's to hear and nobody else's to feel; one loop
does everything, so that nothing is seen half done. What is not here: what a token is worth, and
storage. Many processes serve one hub where it has a backplane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, overload

from ...identity.identity import Identity
from ...wire.http.message import HttpRequest, HttpResponse
from ..dialects.dialect import Said
from ..engineio.settings import SocketIO
from ..protocol import packets
from ..protocol.limits import Limits
from ..protocol.room_log import Past
from .asgi_application import Application, HubApplication
from .connection import Connection, current_connection
from .delivery import Delivery, Trace
from .emission import Target
from .emitter import Emitter, check_own, raw_message, said_of
from .entrance import Entrance
from .handshake import answered
from .hub_client import HubClient
from .hub_context import HubContext
from .message_ids import sayings
from .namespaces import Namespace
from .processes import HubProcesses
from .recipients import Recipients
from .registry import Clients, Rooms, check_room
from .room_closing import RoomClosing
from .settings import HubSettings, Policy, WhenDown
from .targets import Skip, To, resolved
from .websockets_link import WebSocketsLink

__all__ = ["Hub"]

_SOCKET_IO = SocketIO()

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Hub(HubProcesses):
    """Clients, rooms, events and answers on top of WebSockets; itself a handler.

        hub = wslab.Hub()

        @hub.on("chat")
        async def chat(client, text):
            await hub.emit("chat", text, to="lobby", skip=client)

        server = wslab.serve(hub)

    It has more lines than a class of ours should: most are what its users read.

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
        socketio: how Socket.IO clients are taken, who come to ``/socket.io/`` and share the rooms
            of all others: `SocketIO`; None takes none.
        backplane: what the processes share that serve this hub: the URL of a Redis, such as
            ``redis://127.0.0.1:6379/0``; it takes ``pip install "wslab[redis]"``. All of them give
            the hub the same ``name``. None for one process.
        when_down: what becomes of what is emitted while Redis is away: "queue" has it wait, in
            `Limits`, while the clients of this process get it at once; "refuse" raises
            `BackplaneDown`.

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
        socketio: SocketIO | None = _SOCKET_IO,
        backplane: str | None = None,
        when_down: WhenDown = "queue",
    ) -> None:
        self._settings = HubSettings(
            name, history, session_s, slow, Limits() if limits is None else limits, show_errors,
            dumps, loads, backplane, when_down,
        )  # fmt: skip
        self._settings.tighten(backlog=backlog, rate=rate, max_size=max_size)
        self._context = context = HubContext(self._settings, self.emit)
        self._emitter = Emitter(context.backplane, Recipients(context))
        self._attach()
        self.name = self.__name__ = name
        self._entrance = entrance = Entrance(context, HubClient, socketio)
        entrance.namespaces.add(Namespace("/", self, context, entrance.serving))
        self.limited, self.complaints = context.limited, context.complaints
        self.errors = context.failures.log
        # Called on the loop, by views; they must not raise.
        self.leave_listeners = context.leave_listeners
        self.clients: Clients[Connection, HubClient] = Clients(context.registry, _shown)
        self.rooms: Rooms[Connection, HubClient] = Rooms(context.registry, _shown)

    # What it was told, and what it counts.

    @property
    def slow(self) -> Policy:
        """What is done with what waits for a client that reads too slowly."""
        return self._settings.slow

    @property
    def limits(self) -> Limits:
        """What its clients can make it hold at most."""
        return self._settings.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._settings.limits = limits

    @property
    def show_errors(self) -> bool:
        """Whether a sender is told the text of an exception."""
        return self._settings.show_errors

    @show_errors.setter
    def show_errors(self, show_errors: bool) -> None:
        self._settings.show_errors = show_errors

    @property
    def emitted(self) -> int:
        """Events and raw messages that were sent, each counted once."""
        return self._emitter.emitted

    @property
    def trace(self) -> Trace | None:
        """Where it is kept who got what; None, the default, keeps nothing."""
        return self._emitter.trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._emitter.trace = trace

    @property
    def errors_seen(self) -> int:
        """How many exceptions handlers have let through."""
        return self.errors.seen

    # Namespaces.

    def of(self, namespace: str) -> Hub:
        """Return the hub of a namespace of Socket.IO, which this makes at the first time.

        It is a Hub of its own, with its own handlers, clients, rooms and history, told what this
        one was told. A client that connects to several has one connection to the server, and is
        one client in each: which it connects to, it says itself. Who connects to a namespace that
        nobody has made is refused. Plain WebSocket clients are in ``/``, which is the first hub.

        Args:
            namespace: such as ``/admin``; it begins with ``/`` and holds no comma.

        Raises:
            ValueError: it is no such name.
        """
        namespaces = self._entrance.namespaces
        there = namespaces.by_name.get(namespace)
        if there is None:
            name, told = f"{self.name}{namespace}", self._settings.keywords
            hub = Hub(name, **told, socketio=self._entrance.socketio)
            there = Namespace(namespace, hub, hub._context, hub._entrance.serving)
            hub._entrance.namespaces = namespaces
            hub._context.failures, hub.errors = self._context.failures, self.errors
            hub._context.root = namespaces.by_name["/"].context
            namespaces.add(there)
        return cast(Hub, there.hub)

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
        ``client.call`` and the like work as usual. One that asks for several arguments gets those
        of a Socket.IO client, or the items of a list (`Args` sends several).

        The messages of one client are handled one after the other, in order: a handler that waits
        for something that the same client sends later waits in vain, other than for the answer to
        its own ``client.call``. Different clients are handled at the same time.

        A client is in ``hub.clients`` once ``connect`` has returned, or at the first ``join``,
        ``emit`` or ``call`` in it. ``disconnect`` runs once for each that ``connect`` let in: when
        its last message has been handled, but at most `Limits.grace_s` after it left; and before
        the ``connect`` of a connection that continues its session.

        Args:
            event: an event's name, or one of: ``"authenticate"``, called with the `Credentials` of
                each client before anything else, which returns its `Identity` or its user's id;
                None or False (401), or `Refused` (403), turn it away, before the 101 where the
                server can (``wslab.serve``, ``hub.asgi``); ``"connect"``, called with the client,
                which may raise `Refused`, or return False, to turn it away; ``"disconnect"``,
                called with the client and the reason in words; ``"message"``, called with the
                client and the text or bytes of whatever is no packet; ``"*"``, called with the
                client, the event's name and its data for events that have no handler of their own;
                ``"member_lost"``, called with a `Member`: see `everybody`.
            function: the handler; left out, a decorator is returned.

        Raises:
            TypeError: not a function of those arguments.
            ValueError: not an event's name, or one that the hub or Socket.IO keeps for itself.
        """
        handlers = self._context.handlers
        handlers.check(event)

        def register(function: F) -> F:
            handlers.register(event, function)
            return function

        if function is None:
            return register
        handlers.register(event, function)
        return function

    def off(self, event: str) -> None:
        """Take an event's handler away; there need not be one."""
        self._context.handlers.by_event.pop(event, None)

    @property
    def events(self) -> tuple[str, ...]:
        """The events that have a handler, in the order of registering."""
        return tuple(self._context.handlers.by_event)

    # Connections; on the loop.

    async def __call__(self, websocket: Any) -> None:
        """Serve one connection until it ends; what ``serve`` calls."""
        link = WebSocketsLink(websocket)
        with link.bounded(self.limits.max_size):
            await self._entrance.serve(link)

    async def http(self, request: HttpRequest) -> HttpResponse | None:
        """Answer a plain HTTP request of a Socket.IO client; None where it is for others."""
        return await self._entrance.http(request)

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what a handshake gets in place of a 101; None where it may be answered so."""
        return self._entrance.refusal(request)

    async def authenticated(
        self, request: HttpRequest, *, trusts_page: bool = False
    ) -> Identity | HttpResponse | None:
        """Return who comes with a handshake, or its refusal; None where that is found out later.

        What a server asks before the 101; it leaves an Identity as ``websocket.identity``.
        """
        return await self._entrance.authenticated(request, trusts_page=trusts_page)

    async def process_request(self, connection: Any, request: Any) -> Any:
        """Answer whoever may not come before the 101, where websockets itself serves the hub.

        ``websockets.serve(hub, ..., process_request=hub.process_request)``; ``wslab.serve`` and
        ``hub.asgi`` need no such word.
        """
        return await answered(self, connection, request)

    async def end_http(self) -> None:
        """Tell all Socket.IO clients that poll that their server closes; what a server calls."""
        await self._entrance.end_http()

    @property
    def max_body_bytes(self) -> int:
        """Bytes of a body that :meth:`http` may be given, at most; a server asks for it."""
        return self._entrance.max_body_bytes

    def asgi(
        self,
        app: Application | None = None,
        path: str = "/ws",
        *,
        origins: Sequence[str] | None = None,
    ) -> HubApplication:
        """Return an ASGI application that has this hub's sockets, around another one.

            from fastapi import FastAPI

            inner = FastAPI()
            app = hub.asgi(inner)  # uvicorn main:app, or wslab.serve(app)

        Serve what is returned, and not the inner application, which has no sockets. Of several
        workers each has its own clients and rooms, unless they share a ``backplane``. A server that
        stops waits for answers under way, and a Socket.IO client's poll is held for up to a ping
        interval: ``uvicorn main:app --timeout-graceful-shutdown 3`` sets a bound. (``wslab.serve``
        ends polls itself.)

        Args:
            app: answers everything else, its lifespan included; None for the hub alone.
            path: where clients open a WebSocket, below where this is mounted.
            origins: pages that may, such as ``["https://example.org"]``, ``["*"]`` for all; None
                for those of the host that they ask (RFC 6455 §10.2), and under ``wslab.serve`` for
                those that it lets in. Others get 403.

        Raises:
            ValueError: the path does not begin with ``/``.
        """
        if not path.startswith("/"):
            raise ValueError(f"expected path to begin with /, got {path!r}")
        return HubApplication(self, self._entrance, app, path, origins)

    # Sending.

    def emit(
        self,
        event: str,
        data: Any = None,
        to: To = None,
        skip: Skip = None,
        *,
        key: str | None = None,
    ) -> Delivery:
        """Send an event to everybody, a room, a client, or several of these; never waits.

        It works from any thread, and may be awaited. That it returned says that it was handed to
        TCP or to the client's backlog, not that it arrived. Where several processes serve the hub,
        it is on its way to all of them; awaiting it waits until it is delivered here.

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
            TypeError, ValueError: JSON cannot hold the data, or ``to`` is nothing of these, or one
                of them is a Socket.IO client and the data has more than 10 values of bytes.
            LoopBlocked: called from another thread, and the loop did not take it up in time.
            BackplaneDown: Redis is away and ``when_down`` is "refuse", or too much waits for it.
        """
        check_own(event)
        said = said_of(event, data, self._settings.dumps)
        sender, handling = current_connection.get(), sayings.get()
        return self._on_loop(
            lambda: self._emitter.emit(
                said, self._resolved(to, skip), key or event, sender, handling
            )
        )

    def broadcast(
        self,
        message: str | bytes,
        to: To = None,
        skip: Skip = None,
    ) -> Delivery:
        """Send a raw message, text or binary, as it is; otherwise as :meth:`emit`.

        It has no place in the history.

        Raises:
            TypeError: neither str nor bytes.
        """
        raw, preview = raw_message(message), repr(message[:80])
        sender, handling = current_connection.get(), sayings.get()
        return self._on_loop(
            lambda: self._emitter.broadcast(
                raw, preview, self._resolved(to, skip), sender, handling
            )
        )

    def _on_loop(self, send: Callable[[], T]) -> T:
        return cast(T, self._context.loop.run(self._locked, send))

    def _locked(self, send: Callable[[], T]) -> T:
        with self._context.loop.lock:
            return send()

    def _resolved(self, to: To, skip: Skip) -> Target:
        return resolved(self._context, to, skip)

    # Rooms and history.

    def close_room(self, room: str) -> RoomClosing:
        """Let everybody leave a room, also who is away and may come back; never waits.

        It works from any thread, and may be awaited: then they have left, and it returns how many
        clients of this process those were. What is emitted to the room afterwards reaches none of
        them.

        Of several processes that serve the hub, it is about the clients of all: among what is said
        in the room it has one place, the same everywhere. Who was in the room when its process came
        to that place gets what was said before it, and leaves; who joins behind it is in. So await
        it before you let anybody join again: who joins while it is on its way leaves, too. While
        Redis is away, the clients of this process leave at once, and may join again; those of the
        others leave when Redis is back.

        Returns:
            How many clients of this process were in it: an int that may be awaited.

        Raises:
            TypeError, ValueError: not a room's name.
            BackplaneDown: Redis is away and ``when_down`` is "refuse", or too much waits for it.
        """
        check_room(room)
        handling = sayings.get()
        return self._on_loop(lambda: self._emitter.close_room(room, handling))

    def history(self, room: str | None = None, limit: int | None = None) -> tuple[Past[Said], ...]:
        """Return the latest events of a room, oldest first; of those to everybody for None.

        Of several processes that serve the hub, each knows of a room what was said since somebody
        was in it there.

        Args:
            room: the room's name.
            limit: at most so many; None for all that are kept.

        Raises:
            RuntimeError: this hub keeps none.
        """
        past = self._context.loop.run(self._context.backplane.history, room)
        if past is None:
            raise RuntimeError("this hub keeps no history: make it with Hub(history=100)")
        return tuple(past if limit is None else past[-limit:] if limit > 0 else ())

    def __repr__(self) -> str:
        events = ", ".join(self.events) or "no handler"
        failed = f", {self.errors_seen} errors" if self.errors_seen else ""
        return (
            f"<Hub {self.name!r}: {len(self.clients)} clients, {len(self.rooms)} rooms; handles "
            f"{events}{failed}>"
        )


def _shown(connection: Connection) -> HubClient:
    return cast(HubClient, connection.client)
