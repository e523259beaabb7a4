"""Server: what `serve()` returns, to look at a server, to stop it and to start it again.

A thin shell around websockets' own server, or around uvicorn's protocols, on a portal. Its rule: it
may be asked from any thread, and what has to happen on the loop is done there, by the parts it is
made of (`listener`, `connections`, `admission`, `user_code`, and those of an application). It never
prints: it records, and views read the record.
"""

from __future__ import annotations

import concurrent.futures
import errno
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ..loops.kernel_portal import KernelPortal
from ..loops.portal import Portal
from ..loops.watchdog import Blockage
from ..network.networks import ServerNetwork
from ..notebook import cells, routes
from ..notebook.routes import Route
from .admission import Admission
from .asgi_connections import AsgiConnections
from .asgi_listener import AsgiListener
from .connection import Connection
from .connections import Connections
from .gate import auth_for
from .handler import Application, Handler, handler_name, is_application
from .handler_life import HandlerLife
from .life import Life, State
from .listen_address import ListenAddress, port_of
from .listener import HANDLER_GRACE_S, Listener
from .listening import port_in_use
from .plain_http import PlainHttp
from .refusals import Refusal, RefusalLog
from .tunnel_entry import TunnelEntry
from .user_code import Auth, Options, UserCode

if TYPE_CHECKING:
    import ssl
    import types

    from ..wire.tape.tape import Tape
    from .hosts import Hosts
    from .http_page import Page

__all__ = ["Server"]

# A child of websockets' own, so that what its documentation says of logging holds; silent unless
# the user configures one of the two.
logger = logging.getLogger("websockets.server.wslab")
logger.addHandler(logging.NullHandler())


class Server:
    """A running server; made by :func:`serve`. All its methods work from any thread but its loop's.

    Use it as a context manager to stop it at the end of a ``with`` block. It has many attributes,
    since it is what a learner meets; each is a line that asks one of its parts.

    Attributes:
        name: how views call it.
        handler: what runs for each connection.
        page: what a plain HTTP GET gets.
        tape: every byte of every connection, or None where ``record=False``; see :class:`Tape`.
        errors: the latest exceptions that the handler or a hook let through.
        errors_seen: how many there were in all.
        refusals: the latest requests that did not become a connection.
        refusals_seen: how many there were in all.
        connections_seen: connections that have opened so far.
        note: what is out of the ordinary about it, in words; "" for nothing.
        runner: the event loop that it runs on.
        client_tls: what its clients in this process trust it by, where ``serve(tls=True)`` made its
            certificate: ``websockets.connect(server.url, ssl=server.client_tls)``. Else None.
        claim: its place among what its cell has started.
        began_s: when it began to listen, on the clock of ``time.monotonic()``.
        replaced: whether its cell ran again, and a new server took its place.
    """

    def __init__(
        self,
        handler: Handler | Application,
        *,
        name: str,
        host: str | None,
        port: int | None,
        page: Page,
        runner: Portal | KernelPortal,
        claim: cells.Claim,
        tape: Tape | None,
        kwargs: dict[str, Any],
        auth: Auth | None = None,
        handler_grace_s: float = HANDLER_GRACE_S,
        on_exception: Callable[[BaseException], object] | None = None,
        hosts: Hosts = (),
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tape = tape
        self.client_tls = client_tls
        self.runner = runner
        self.claim = claim
        self.note = ""
        self.began_s = time.monotonic()
        self.replaced = False
        self._auth = auth
        self._options = Options(handler, name, page, kwargs, hosts, auth=auth_for(handler, auth))
        self._user_code = UserCode(self._options, runner.watchdog.report, on_exception)
        self.errors = self._user_code.errors
        self._refusals = RefusalLog()
        self.refusals = self._refusals.latest
        self._address = ListenAddress(host, port or 0, kwargs)
        self._entry = TunnelEntry()
        self._connections: Connections | AsgiConnections
        self._listener: Listener | AsgiListener
        if is_application(handler):
            self._listener = AsgiListener(
                self._options, self._user_code, self._address, self._entry, self._refusals, tape,
                runner, handler_grace_s,
            )  # fmt: skip
            self._connections = self._listener.connections
        else:
            self._connections = connections = Connections(
                self._options, self._user_code, self._refusals, lambda: http.is_answered
            )
            about = (self._options, self._user_code, self._address, self._entry)
            http = PlainHttp(*about, connections.note_response, connections.begin)
            self._admission = Admission(*about, http)
            life = HandlerLife(self._options, self._user_code)
            self._listener = Listener(connections, runner, http.end, life, handler_grace_s)
        self._life = Life(runner, self._listener)
        # What a longer grace than usual adds to the time that stop() takes.
        self._more_grace_s = max(0.0, handler_grace_s - HANDLER_GRACE_S)

    # What it was asked for; what is set here holds for the next connection.

    @property
    def name(self) -> str:
        """How views call it."""
        return self._options.name

    @name.setter
    def name(self, name: str) -> None:
        self._options.name = name

    @property
    def handler(self) -> Handler | Application:
        """What runs for each connection; for each request, where it is an ASGI application."""
        return self._options.handler

    @handler.setter
    def handler(self, handler: Handler | Application) -> None:
        if is_application(handler) is not isinstance(self._listener, AsgiListener):
            name, was = handler_name(handler), handler_name(self.handler)
            raise TypeError(
                "expected a handler in place of a handler, or an ASGI application in place of "
                f"one; {was} and {name} differ in that. serve({name}) starts a server for it"
            )
        self._options.auth = auth_for(handler, self._auth)
        self._options.handler = handler

    @property
    def page(self) -> Page:
        """What a plain HTTP GET gets."""
        return self._options.page

    @page.setter
    def page(self, page: Page) -> None:
        self._options.page = page

    # Where it is.

    @property
    def port(self) -> int:
        """The TCP port that it listens on, or did."""
        return self._address.port

    @property
    def host(self) -> str:
        """The address in its URL; a server on all interfaces is shown as this machine."""
        return self._address.host

    @property
    def tcp_host(self) -> str:
        """As `host`, but "" where it listens on a Unix socket or in memory."""
        return "" if self._address.unix_path or self._address.is_in_memory else self.host

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS (``wss://``)."""
        return self._address.is_secure

    @property
    def url(self) -> str:
        """The URL for clients on this machine."""
        return self._address.url

    @property
    def tunnel_id(self) -> str:
        """Its name in `<base_url>wslab/<id>/` on Jupyter's server; "" where that can't see it."""
        return self._entry.id

    @property
    def browser_url(self) -> str:
        """The URL that a browser which looks at this notebook must use; "" where there is none.

        A browser can't open a Unix socket: there it has only the tunnel, where one leads to it. Nor
        does it come to a server on a MemoryNetwork, at all.
        """
        return routes.browser_url(self.port, **self._reached_by)

    @property
    def page_url(self) -> str:
        """The http(s) URL of the page that this server gives to a browser; see `needs_login`.

        Where it leads through Jupyter's server, the page has Jupyter's own Origin: its scripts may
        do there what its reader may, such as run code in a kernel (RFC 6454 §8.2). So a page that
        you have not written has no place behind it; opened directly, on a port of its own, it has
        an Origin of its own. A frame with ``sandbox="allow-scripts"`` is a wall, but its WebSocket
        is refused.
        """
        return routes.page_url(self.port, **self._reached_by)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes from a browser to this server, best first, and what each changes."""
        return routes.routes_to(self.port, **self._reached_by)

    @property
    def _reached_by(self) -> dict[str, Any]:
        return {
            "secure": self.is_secure,
            "tunnel_id": self.tunnel_id,
            "host": self.tcp_host,
            "is_trusted": self.client_tls is None,
        }

    @property
    def needs_login(self) -> str:
        """What another browser, such as a phone's, needs to open `page_url`; "" for nothing."""
        return routes.needs_login(tunnel_id=self.tunnel_id, is_trusted=self.client_tls is None)

    # What it sees.

    @property
    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._life.state is State.SERVING

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop and something of it still runs."""
        return self._life.state is State.STOPPING

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Who is connected now, oldest first."""
        return () if self.runner.fork.is_child else self._connections.open

    @property
    def connections_seen(self) -> int:
        """How many connections have opened so far."""
        return self._user_code.handled

    @property
    def refusals_seen(self) -> int:
        """How many requests were turned away; see ``refusals``."""
        return self._refusals.seen

    @property
    def refusal_listeners(self) -> list[Callable[[Refusal], object]]:
        """Functions to call with each refusal, on the server's loop; append yours."""
        return self._refusals.listeners

    @property
    def errors_seen(self) -> int:
        """How many exceptions handlers and hooks have let through; see ``errors``."""
        return self.errors.seen

    @property
    def blockages(self) -> tuple[Blockage, ...]:
        """When something held this server's loop, so that it could not answer, and who."""
        return tuple(self.runner.watchdog.blockages)

    def held(self) -> str | None:
        """Say what holds this server's loop at this moment, or None where it answers."""
        return None if self.runner.answers() else self.runner.held_by()

    @property
    def network(self) -> ServerNetwork:
        """The network under connections to come; ``connections[i].network`` is that of one."""
        return self._connections.network

    # Starting and stopping.

    def start(self, *, on_any_port: bool = False) -> None:
        """Listen where it did before; :func:`serve` and :meth:`restart` have done so.

        Args:
            on_any_port: take a free port instead.

        Raises:
            PortInUse: another server listens there.
        """
        if on_any_port:
            self._address.port = 0
        self._life.start(self._open)
        self.began_s = time.monotonic()

    async def _open(self) -> None:
        address, kwargs = self._address.arguments()
        try:
            sockets = await self._listen(address, kwargs)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and address:
                raise port_in_use(self.host, address[1]) from exc
            raise
        self._address.port = port_of(sockets) or self.port
        self._address.is_in_memory = all(sock.fileno() < 0 for sock in sockets)
        reached = () if self._address.is_in_memory else sockets
        failed = self._entry.register(reached, is_secure=self.is_secure, name=self.name)
        self.note = failed or self.note
        self._user_code.listen()

    async def _listen(self, address: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if isinstance(self._listener, AsgiListener):
            return tuple((await self._listener.open(address, kwargs)).sockets)
        assert isinstance(self._connections, Connections)
        kwargs.setdefault("logger", logger)
        kwargs |= self._admission.hooks()
        kwargs["create_connection"] = self._connections.factory(self.tape)
        server = await self._listener.open(self._user_code.run_handler, address, kwargs)
        return tuple(server.sockets)

    def start_serving(self) -> None:
        """Begin to accept connections, where ``serve(..., start_serving=False)`` did not."""
        self._life.start_serving()

    def stop(self, timeout: float | None = 5.0) -> None:
        """Stop: 1001 (going away) to every client, and the port is free; idempotent.

        Clients have 2 s to answer the close frame, handlers ``handler_grace_s`` more (0.5 s unless
        :func:`serve` was told otherwise) to clean up; then they are cut off and cancelled.

        Args:
            timeout: seconds to wait for all that, and what ``handler_grace_s`` has above 0.5 s on
                top; None waits until it has stopped.

        Raises:
            LoopBlocked: something holds the server's loop (it names what), so that the server
                cannot stop now; it does as soon as the loop is let go.
            WrongThread: called on the server's own loop.
        """
        self._life.refuse_own_thread("stop")
        self._life.finish(self.begin_close(), self._with_grace(timeout), name=self.name)

    def restart(self, timeout: float | None = 5.0) -> None:
        """Stop with 1012 (service restart) to every client and start again on the same port.

        Raises:
            LoopBlocked, WrongThread: see :meth:`stop`.
            PortInUse: another program took the port while it was free.
        """
        self._life.refuse_own_thread("restart")
        with self._life.lock:
            stopping = self.begin_close(replaced=True)
            self.replaced = False  # by itself
            self._life.finish(stopping, self._with_grace(timeout), name=self.name)
            self.start()
            self.note = "restarted on the same port; its clients were told 1012 (service restart)"
            self.claim.reopen(self)

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        """Start stopping without waiting; the future is done when the port is free.

        Args:
            replaced: tell the clients 1012 (service restart) instead of 1001 (going away).
        """
        self.replaced = self.replaced or replaced
        code = 1012 if replaced else 1001
        return self._life.begin_close(lambda: self._close(code), lambda: cells.forget(self))

    def _with_grace(self, timeout: float | None) -> float | None:
        return None if timeout is None else timeout + self._more_grace_s

    async def _close(self, code: int) -> None:
        self._entry.remove()
        self._user_code.unlisten()
        for _ in range(await self._listener.close(code)):
            stubborn = RuntimeError(
                f"a handler of {self.name!r} keeps running after stop(): it swallows "
                "CancelledError. Let that exception through"
            )
            self._user_code.record(stubborn, None)
        self.network.end_lines()

    # Handles are context managers, and show themselves as text.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        if not self.runner.fork.is_child:  # a child leaves the block, too: nothing of it runs
            self.stop()

    def __repr__(self) -> str:
        count, failed = len(self.connections), self.errors_seen
        said = self._life.state.value.format(
            name=self.name,
            url=self.url,
            people="1 connection" if count == 1 else f"{count} connections",
            errors="" if not failed else ", 1 error" if failed == 1 else f", {failed} errors",
        )
        return f"<Server {said}>"
