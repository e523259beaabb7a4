"""serve() and Server: a WebSocket server that a plain cell starts, stops and starts again.

A thin shell around ``websockets.serve``, run on a portal. Its rule: every keyword of websockets is
handed on unchanged, and a handler runs here exactly as it would there; what wslab adds (an Origin
check, a page for plain HTTP, a record of errors and connections) stands around the handler, never
inside it. It never prints: it records, and views read the record.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import errno
import functools
import inspect
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from websockets.asyncio import server as ws_server
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.protocol import State
from websockets.server import ServerProtocol

from .. import tunnel
from ..errors import LoopBlocked, PortalClosed, PortInUse, WrongThread, is_cancelled
from ..failures import Failure, FailureLog
from ..loops import portal
from ..loops.watchdog import Stall, timed
from ..network.recording import Stillborn, Wire, new_tape, recorded
from ..notebook import cells, environment
from ..waiting import finite_times, result_of
from ..websockets_compat import heads
from ..websockets_compat.keywords import check_keywords
from ..wire.tape.tape import Tape
from . import http_page
from .handler import Handler, awaited, check_handler, handler_name
from .http_page import check_page

if TYPE_CHECKING:
    import types

    from websockets.http11 import Request, Response

__all__ = ["Connection", "Refusal", "Server", "serve"]

CLOSE_GRACE_S = 2.0  # for clients to answer the close frame before they are cut off
HANDLER_GRACE_S = 0.5  # for handlers to clean up after their connection before they are cancelled
START_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 10.0  # websockets' own, where none is given
MAX_REASON = 1_000
PAGE_METHODS = ("GET", "HEAD")  # what a page answers: a 404 there is no refusal

# A child of websockets' own, so that what its documentation says of logging holds; silent unless
# the user configures one of the two.
logger = logging.getLogger("websockets.server.wslab")
logger.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that this server turned away: for a WebSocket, or one that it can't serve at all.

    ``at`` is in seconds since the epoch; ``status`` what it answered, or 408 where it hung up on
    somebody who did not end the request in time; ``reason`` at most 1,000 characters.
    """

    at: float
    status: int
    reason: str
    peer: str
    connection_id: str = ""


class Connection:
    """One open connection as the server sees it; a live view, read from any thread."""

    __slots__ = ("_websocket", "_wire")

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._wire: Wire = websocket.wire

    @property
    def websocket(self) -> ws_server.ServerConnection:
        """The websockets connection itself; use it on its loop only."""
        return self._websocket  # type: ignore[no-any-return]

    @property
    def id(self) -> str:
        """The first six hexadecimal digits of ``websocket.id``."""
        return self._wire.id

    @property
    def label(self) -> str | None:
        """The name of the client's handle, where that handle is in this process."""
        return self._wire.label

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """Host and port of the other end of the TCP connection."""
        return _address(self.websocket)

    @property
    def path(self) -> str:
        """The path and query that were asked for."""
        request = self.websocket.request
        return request.path if request is not None else ""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed upon (RFC 6455 §1.9)."""
        return self.websocket.subprotocol

    @property
    def began_s(self) -> float:
        """When TCP connected, on the clock of ``time.monotonic()``."""
        return self._wire.began_s

    @property
    def open_s(self) -> float:
        """How long it has been open, in seconds."""
        return time.monotonic() - self._wire.began_s

    @property
    def received(self) -> int:
        """Messages that came from this client."""
        return self._wire.received

    @property
    def sent(self) -> int:
        """Messages that went to this client."""
        return self._wire.sent

    @property
    def received_bytes(self) -> int:
        """Bytes that came, HTTP heads and frame headers included."""
        return self._wire.received_bytes

    @property
    def sent_bytes(self) -> int:
        """Bytes that went out, HTTP heads and frame headers included."""
        return self._wire.sent_bytes

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        return f"<Connection {self.id}{label}, {self.received} received, {self.sent} sent>"


class Server:
    """A running server; made by :func:`serve`. All its methods work from any thread but its loop's.

    Use it as a context manager to stop it at the end of a ``with`` block.

    Attributes:
        name: how views call it.
        handler: what runs for each connection.
        page: what a plain HTTP GET gets.
        tape: every byte of every connection, or None where ``record=False``; see :class:`Tape`.
        errors: the latest exceptions that the handler or a hook let through.
        errors_seen: how many there were in all.
        refusals: the latest requests that did not become a connection.
        refusals_seen: how many there were in all.
        connections_seen: TCP connections so far.
        note: what is out of the ordinary about it, in words; "" for nothing.
        runner: the event loop that it runs on.
        began_s: when it began to listen, on the clock of ``time.monotonic()``.
        replaced: whether its cell ran again, and a new server took its place.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        name: str,
        host: str | None,
        port: int | None,
        page: http_page.Page,
        runner: portal.Portal | portal.KernelPortal,
        claim: cells.Claim,
        tape: Tape | None,
        kwargs: dict[str, Any],
    ) -> None:
        self.name = name
        self.tape = tape
        self.handler = handler
        self.note = ""
        self.page = page
        self.errors = FailureLog()
        self.refusals: collections.deque[Refusal] = collections.deque(maxlen=50)
        self.refusals_seen = 0
        self._refusal_listeners: list[Callable[[Refusal], object]] = []
        self.connections_seen = 0
        self._host, self._port = host, port or 0
        self.runner = runner
        self._claim = claim
        self._kwargs = kwargs
        self._websockets: dict[int, Any] = {}  # every TCP connection, in its handshake or open
        self._sock_name: Any = None  # of the socket that serve(sock=...) was given
        self._server: ws_server.Server | None = None
        self._stopping: concurrent.futures.Future[None] | None = None
        self._lock = threading.RLock()
        self.began_s = time.monotonic()  # when it started to listen, the last time
        self.replaced = False  # its cell ran again, and a new server took its place
        self._entry: tunnel.Registration | None = None  # what Jupyter's server finds it by

    # What it is.

    @property
    def port(self) -> int:
        """The TCP port that it listens on, or did."""
        return self._port

    @property
    def host(self) -> str:
        """The address in its URL; a server on all interfaces is shown as this machine."""
        host: Any = self._host
        if isinstance(self._sock_name, tuple):
            host = self._sock_name[0]
        elif host is not None and not isinstance(host, str):
            host = next(iter(host), None)  # asyncio takes several
        return {None: "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(
            host, str(host)
        )

    @property
    def tcp_host(self) -> str:
        """As `host`, but "" where it listens on a Unix socket."""
        return "" if self._unix_path else self.host

    @property
    def _unix_path(self) -> Any:
        path = self._kwargs.get("path") if self._kwargs.get("unix") else self._sock_name
        return None if isinstance(path, tuple) else path

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS (``wss://``)."""
        return self._kwargs.get("ssl") is not None

    @property
    def url(self) -> str:
        """The URL for clients on this machine."""
        scheme = "wss" if self.is_secure else "ws"
        path = self._unix_path
        if path:
            return f"{scheme}+unix://{os.fsdecode(path)}"
        return f"{scheme}://{_in_url(self.host)}:{self.port}/"

    @property
    def tunnel_id(self) -> str:
        """Its name in `<base_url>wslab/<id>/` on Jupyter's server; "" where that can't see it."""
        entry = self._entry
        return entry.id if entry is not None and tunnel.tunnel_is_there() else ""

    @property
    def browser_url(self) -> str:
        """The URL that a browser which looks at this notebook must use; "" where there is none.

        A browser can't open a Unix socket: there it has only the tunnel, where one leads to it.
        """
        return environment.browser_url(self.port, **self._reached_by)

    @property
    def page_url(self) -> str:
        """The http(s) URL of the page that this server gives to a browser; see `needs_login`."""
        return environment.page_url(self.port, **self._reached_by)

    @property
    def ways(self) -> tuple[environment.Way, ...]:
        """The ways from a browser to this server, best first, and what each changes."""
        return environment.ways(self.port, **self._reached_by)

    @property
    def _reached_by(self) -> dict[str, Any]:
        return {"secure": self.is_secure, "tunnel_id": self.tunnel_id, "host": self.tcp_host}

    @property
    def needs_login(self) -> str:
        """What another browser, such as a phone's, needs to open `page_url`; "" for nothing."""
        return environment.needs_login(tunnel_id=self.tunnel_id)

    @property
    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        server = self._server
        if self.runner.is_foreign:  # a forked child has closed its copies of the sockets
            return False
        return server is not None and self._stopping is None and server.is_serving()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop and something of it still runs."""
        stopping = self._stopping
        return stopping is not None and not stopping.done()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Who is connected now, oldest first."""
        if self.runner.is_foreign:
            return ()
        return tuple(
            Connection(websocket)
            for websocket in self._websockets.copy().values()
            if websocket.state is State.OPEN
        )

    @property
    def refusal_listeners(self) -> list[Callable[[Refusal], object]]:
        """Functions to call with each refusal, on the server's loop; append yours."""
        return self._refusal_listeners

    @property
    def errors_seen(self) -> int:
        """How many exceptions handlers and hooks have let through; see ``errors``."""
        return self.errors.seen

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """When something held this server's loop, so that it could not answer, and who."""
        return tuple(self.runner.stalls)

    def held(self) -> str | None:
        """Say what holds this server's loop at this moment, or None where it answers."""
        return None if self.runner.answers() else self.runner.held_by()

    # Starting and stopping.

    def _start(self) -> None:
        with self._lock:
            self._stopping = None
            self.runner.call(self._open, timeout=START_TIMEOUT_S)
            self.began_s = time.monotonic()

    async def _open(self) -> None:
        self._server = None
        kwargs = dict(self._kwargs)
        kwargs["create_connection"] = recorded(
            self._create_connection(), self._made, self._lost, side="server", tape=self.tape
        )
        kwargs.setdefault("logger", logger)
        kwargs["process_request"] = self._process_request
        kwargs["process_response"] = self._process_response
        if kwargs.get("select_subprotocol") is not None:
            kwargs["select_subprotocol"] = self._select_subprotocol
        address: tuple[Any, ...] = (self._host, self._port)
        sock = kwargs.pop("sock", None)
        if sock is not None and sock.fileno() >= 0:
            self._sock_name = sock.getsockname()
            kwargs["sock"], address = sock, ()
        elif isinstance(self._sock_name, tuple):  # started again: that socket has been closed
            address = self._sock_name[:2]
        elif self._sock_name is not None:
            kwargs.update(unix=True, path=self._sock_name)
        if kwargs.get("unix"):
            address = ()
        try:
            server = await self._listen(address, kwargs)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and address:
                raise _port_in_use(self.host, address[1]) from exc
            raise
        self._server = server
        self._port = _first_port(server) or self._port
        portal.inherited.update(sock.fileno() for sock in server.sockets)
        self.runner.watch(asyncio.get_running_loop())
        self._enter(server)
        self._listeners.append(self.errors.append)

    def _enter(self, server: ws_server.Server) -> None:
        """Let Jupyter's server find this one, where there is one. Serving never fails of it."""
        try:
            if not tunnel.is_wanted():
                return
            found = [tunnel.loopback(sock.getsockname()) for sock in server.sockets]
            for address in [address for address in found if address is not None][:1]:
                self._entry = tunnel.register(address, is_secure=self.is_secure, name=self.name)
            if self._entry is not None and self._entry.descriptor >= 0:
                portal.inherited.add(self._entry.descriptor)
        except Exception as exc:
            self.note = f"browsers can't come through Jupyter's server: {exc}"

    def _leave(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None:
            portal.inherited.discard(entry.descriptor)
            entry.remove()

    async def _listen(self, address: tuple[Any, ...], kwargs: dict[str, Any]) -> ws_server.Server:
        # A host of several addresses ("", "localhost") gets a free port for each of them, and they
        # differ; a server has one, so the others are asked to follow the first.
        for _ in range(10):
            server = await ws_server.serve(self._handle, *address, **kwargs)
            port = _first_port(server)
            if not address or address[1] or all(_port(sock) == port for sock in server.sockets):
                return server
            server.close()
            await server.wait_closed()
            try:
                return await ws_server.serve(self._handle, address[0], port, **kwargs)
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "no port is free on every address of the host")

    def start_serving(self) -> None:
        """Begin to accept connections, where ``serve(..., start_serving=False)`` did not."""
        self.runner.refuse_after_fork("server.start_serving()")
        with self._lock:
            server = self._server
            if server is None or self._stopping is not None:
                raise PortalClosed("the server has been stopped; server.restart() starts it again")
            self.runner.call(server.start_serving, timeout=START_TIMEOUT_S)

    def stop(self, timeout: float | None = 5.0) -> None:
        """Stop: 1001 (going away) to every client, and the port is free; idempotent.

        Clients have 2 s to answer the close frame, handlers 0.5 s more to clean up; then they are
        cut off and cancelled.

        Args:
            timeout: seconds to wait for all that; None waits until it has stopped.

        Raises:
            LoopBlocked: something holds the server's loop (it names what), so that the server
                cannot stop now; it does as soon as the loop is let go.
            WrongThread: called on the server's own loop.
        """
        self._refuse_own_thread("stop")
        self._finish(self.begin_close(), timeout)

    def restart(self, timeout: float | None = 5.0) -> None:
        """Stop with 1012 (service restart) to every client and start again on the same port.

        Raises:
            LoopBlocked, WrongThread: see :meth:`stop`.
            PortInUse: another program took the port while it was free.
        """
        self._refuse_own_thread("restart")
        with self._lock:
            stopping = self.begin_close(replaced=True)
            self.replaced = False  # by itself
            self._finish(stopping, timeout)
            self._start()
            self.note = "restarted on the same port; its clients were told 1012 (service restart)"
            self._claim.reopen(self)

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        """Start stopping without waiting; the future is done when the port is free.

        Args:
            replaced: tell the clients 1012 (service restart) instead of 1001 (going away).
        """
        with self._lock:
            self.replaced = self.replaced or replaced
            if self._stopping is None:
                if self._server is None:
                    self._stopping = concurrent.futures.Future()
                    self._stopping.set_result(None)
                    cells.forget(self)
                else:
                    code = 1012 if replaced else 1001
                    self._stopping = self.runner.submit(self._close, code)
            return self._stopping

    def _refuse_own_thread(self, what: str) -> None:
        # Before anything begins: a call that is refused must not have half happened.
        self.runner.refuse_after_fork(f"server.{what}()")
        if isinstance(self.runner, portal.KernelPortal):
            return  # there it nests
        stopping = self._stopping
        if threading.get_ident() == self.runner.thread_id and not (
            what == "stop" and stopping is not None and stopping.done()
        ):
            raise WrongThread(
                f"{what}() was called on the server's own loop, where it would wait for itself; in "
                f"a handler or other async code: `await asyncio.to_thread(server.{what})`"
            )

    def _finish(self, stopping: concurrent.futures.Future[None], timeout: float | None) -> None:
        runner = self.runner
        try:
            result_of(stopping, timeout)
        except (concurrent.futures.CancelledError, PortalClosed):
            return  # the loop has been closed, and everything on it
        except TimeoutError:
            if stopping.done():
                raise
            if runner.answers():
                raise TimeoutError(
                    f"server {self.name!r} did not stop within {timeout:g} s: a client does not "
                    "answer the close frame, or a handler does not end. It goes on stopping; "
                    "stop() again, or a longer timeout, waits for it"
                ) from None
            raise LoopBlocked(
                f"server {self.name!r} did not stop within {timeout:g} s, because "
                f"{runner.held_by()}. It stops as soon as its loop is free"
            ) from None

    async def _close(self, code: int) -> None:
        server = self._server
        assert server is not None
        self._leave()
        with contextlib.suppress(ValueError):
            self._listeners.remove(self.errors.append)
        listening = [sock.fileno() for sock in server.sockets]
        portal.inherited.difference_update(listening)
        try:
            # asyncio drops, unclosed, a connection that it has accepted and not yet given to the
            # server that closes now: so no more of them first, and a turn for those.
            with contextlib.suppress(NotImplementedError):  # Windows: there it is not so
                for number in listening:
                    asyncio.get_running_loop().remove_reader(number)
            await asyncio.sleep(0)
            server.close(code=code)
            waiting = {asyncio.ensure_future(server.wait_closed())}
            await asyncio.wait(waiting, timeout=0)  # lets the close frames go out
            for websocket in tuple(self._websockets.values()):
                if websocket.state is State.CONNECTING:
                    websocket.transport.abort()
            await self._until(lambda: not self._websockets, CLOSE_GRACE_S)
            for websocket in tuple(self._websockets.values()):
                websocket.transport.abort()
            if hasattr(server.server, "abort_clients"):  # from Python 3.13: unfinished TLS ones
                server.server.abort_clients()
            await asyncio.wait(waiting, timeout=HANDLER_GRACE_S)
            for _ in range(3):  # a handler may swallow one cancellation
                if not server.handler_tasks:
                    break
                for task in tuple(server.handler_tasks):
                    task.cancel()
                await asyncio.wait(tuple(server.handler_tasks), timeout=HANDLER_GRACE_S)
            for task in tuple(server.handler_tasks):
                stubborn = RuntimeError(
                    f"a handler of {self.name!r} keeps running after stop(): it swallows "
                    "CancelledError. Let that exception through"
                )
                self._record_error(stubborn, None, handler_name(self.handler))
                server.handler_tasks.discard(task)
            await asyncio.wait(waiting, timeout=HANDLER_GRACE_S)
            for waiter in (*waiting, server.close_task):
                if waiter is not None:
                    waiter.cancel()
        finally:
            self._server = None
            self.runner.unwatch()
            cells.forget(self)  # here, not in a callback: those run after result() has returned

    @staticmethod
    async def _until(is_true: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        pause_s = 0.0005
        while not is_true() and time.monotonic() < deadline:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)

    # Around each connection; all of it runs on the server's loop.

    def _create_connection(self) -> Callable[..., Any]:
        base = self._kwargs.get("create_connection") or ws_server.ServerConnection
        if isinstance(base, type):
            return base

        def create_connection(*args: Any, **kwargs: Any) -> Any:
            try:
                return base(*args, **kwargs)
            except BaseException as exc:  # let through, it would be printed, or end the loop
                self._record_error(exc, None, "create_connection")
                return Stillborn()

        return create_connection

    def _made(self, websocket: Any, transport: asyncio.Transport) -> None:
        self._websockets[id(websocket)] = websocket
        websocket.wire.fileno = portal.inherit(transport)
        heads.read_head_of(websocket.protocol, _has_frames)
        # All answers pass here, also those that websockets gives before and after any hook.
        websocket.protocol.send_response = functools.partial(self._send_response, websocket)

    def _send_response(self, websocket: Any, response: Response) -> None:
        request, status = websocket.request, response.status_code
        is_for_page = request is not None and request.method in PAGE_METHODS
        if status >= 400 and not (is_for_page and not http_page.is_handshake(request)):
            text = bytes(response.body or b"").decode(errors="replace").strip()
            self._record_refusal(websocket, status, text)
        ServerProtocol.send_response(websocket.protocol, response)

    def _record_refusal(self, websocket: Any, status: int, text: str) -> None:
        # What a client has sent may be in the text: 50 headers of 8 KiB are not kept.
        text = text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."
        address = _address(websocket)
        peer = f"{_in_url(address[0])}:{address[1]}" if address is not None else ""
        refusal = Refusal(time.time(), status, text, peer, websocket.wire.id)
        self.refusals.append(refusal)
        self.refusals_seen += 1
        for tell in tuple(self._refusal_listeners):
            tell(refusal)

    def _lost(self, websocket: Any) -> None:
        self._websockets.pop(id(websocket), None)
        websocket.protocol.__dict__.pop("send_response", None)  # it leads back to the connection
        limit_s = self._kwargs.get("open_timeout", OPEN_TIMEOUT_S)
        if (
            websocket.request is None
            and isinstance(websocket.protocol.handshake_exc, InvalidMessage)  # by its end
            and limit_s is not None
            and websocket.wire.received_bytes
            and time.monotonic() - websocket.wire.began_s >= limit_s
        ):
            text = f"hung up: the request did not end within {limit_s:g} s (open_timeout)"
            self._record_refusal(websocket, 408, text)
        portal.inherited.discard(websocket.wire.fileno)

    async def _process_request(
        self, websocket: ws_server.ServerConnection, request: Request
    ) -> Response | None:
        if http_page.is_handshake(request) and heads.has_body(request):
            return websocket.respond(
                400,
                "A request for a WebSocket has no body (RFC 6455 §4.1), and this one announces "
                "one; send messages when the connection is open.\n",
            )
        # Jupyter's server has asked for its login and checked the Origin by its own rule.
        came_in = self._entry is not None and self._entry.is_shown(request.headers)
        if http_page.is_handshake(request) and "origins" not in self._kwargs and not came_in:
            for origin in request.headers.get_all("Origin"):
                if not environment.is_allowed_origin(origin) and origin not in self._own_origins(
                    websocket
                ):
                    return websocket.respond(
                        403,
                        f"This server does not let pages from {origin!r} connect: any page on the "
                        "web can try to reach a port on your machine. If you trust that page, "
                        f"allow it: serve(..., origins=[{origin!r}, None]).\n",
                    )
        theirs = self._kwargs.get("process_request")
        if theirs is not None:
            with self._recording("process_request", websocket):
                response = theirs(websocket, request)
                if inspect.isawaitable(response):
                    response = await response
            if response is not None:
                return response  # type: ignore[no-any-return]
        with self._recording("page", websocket):
            answer = http_page.respond(
                request,
                page=self.page,
                name=self.name,
                on_error=lambda exc: self._record_error(exc, websocket, "page"),
                ancestors=sorted(environment.known_origins()),
            )
            return await answer if inspect.isawaitable(answer) else answer

    def _own_origins(self, websocket: Any) -> list[str]:
        # The address that a client reached it at, and the one it was told to listen on: a page
        # from there is this server's own. Not what the Host header says: a web site can make its
        # name lead here, and with it its pages' Origin.
        own = websocket.local_address
        hosts = [own[0]] if isinstance(own, tuple) else []
        if isinstance(self._host, str):
            hosts.append(self._host.lower())
        scheme = "https" if self.is_secure else "http"
        return [f"{scheme}://{_in_url(host)}:{self.port}" for host in hosts if host]

    async def _process_response(
        self, websocket: ws_server.ServerConnection, request: Request, response: Response
    ) -> Response | None:
        theirs = self._kwargs.get("process_response")
        answer: Response | None = None
        if theirs is not None:
            with self._recording("process_response", websocket):
                answer = theirs(websocket, request, response)
                if inspect.isawaitable(answer):
                    answer = await answer
        return answer

    def _select_subprotocol(self, websocket: Any, offered: Any) -> Any:
        with self._recording("select_subprotocol", websocket):
            return self._kwargs["select_subprotocol"](websocket, offered)

    @contextlib.contextmanager
    def _recording(self, where: str, websocket: Any) -> Iterator[None]:
        try:
            yield
        except InvalidHandshake:
            raise  # how a hook refuses a client: websockets answers for it
        except Exception as exc:
            self._record_error(exc, websocket, where)
            raise  # websockets answers 500
        except BaseException as exc:
            if is_cancelled(exc):
                raise
            # SystemExit in one hook must not end the loop for everybody.
            self._record_error(exc, websocket, where)
            raise RuntimeError(f"{where} raised {type(exc).__name__}") from exc

    async def _handle(self, websocket: ws_server.ServerConnection) -> None:
        self.connections_seen += 1

        def report(began_s: float, took_s: float) -> None:
            who = f"the handler {handler_name(self.handler)}() of server {self.name!r}"
            self.runner.report_stall(began_s, took_s, who)

        try:
            awaitable = self.handler(websocket)
            if not inspect.iscoroutine(awaitable):
                await awaited(awaitable, self.handler)
            else:
                await timed(awaitable, report)
        except asyncio.CancelledError as exc:
            if not is_cancelled(exc):  # it awaited something that was cancelled
                self._record_error(exc, websocket, handler_name(self.handler))
            raise
        except Exception as exc:
            # Its own connection has ended, which is how most handlers end; another's is a mistake.
            if _is_end_of(websocket, exc):
                return
            self._record_error(exc, websocket, handler_name(self.handler))
            raise  # websockets closes with 1011
        except BaseException as exc:
            # SystemExit in one handler must not end the loop for everybody.
            self._record_error(exc, websocket, handler_name(self.handler))
            raise RuntimeError(f"the handler raised {type(exc).__name__}") from exc

    @property
    def _listeners(self) -> list[Callable[[Any], object]]:
        # A Hub keeps its handlers' exceptions from ending a connection, and tells them here.
        found = getattr(self.handler, "failure_listeners", None)
        return found if isinstance(found, list) else []

    def _record_error(self, exc: BaseException, websocket: Any, where: str) -> None:
        who = websocket.wire.id if websocket is not None else ""
        peer = _address(websocket) if websocket is not None else None
        self.errors.append(Failure.of(exc, where=where, who=who, peer=peer))

    # Handles are context managers, and show themselves as text.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        if not self.runner.is_foreign:  # a forked child leaves the block, too: nothing of it runs
            self.stop()

    def __repr__(self) -> str:
        if self.runner.is_foreign:
            return f"<Server {self.name!r} at {self.url}, of the parent process>"
        if self._server is not None and self._stopping is None and not self.is_serving:
            return f"<Server {self.name!r} at {self.url}, not serving yet: start_serving()>"
        if not self.is_serving:
            return f"<Server {self.name!r}, stopped, was at {self.url}>"
        count = len(self.connections)
        people = "1 connection" if count == 1 else f"{count} connections"
        failed = f", {self.errors_seen} errors" if self.errors_seen else ""
        failed = ", 1 error" if self.errors_seen == 1 else failed
        return f"<Server {self.name!r} at {self.url}, {people}{failed}>"


def serve(
    handler: Handler,
    host: str | None = "127.0.0.1",
    port: int | None = None,
    *,
    name: str | None = None,
    page: http_page.Page = True,
    loop: Literal["lab", "kernel"] = "lab",
    keep: bool = False,
    record: bool | int = True,
    compression: str | None = None,
    **kwargs: Any,
) -> Server:
    """Start a WebSocket server; it is listening when the call returns.

    Any handler from the websockets documentation works unchanged, and every other keyword of
    ``websockets.serve`` is handed on as it is. Running the cell again replaces the server: same
    port, and its clients are told 1012 (service restart).

    Args:
        handler: ``async def handler(websocket)``, called once for each connection.
        host: address to listen on. The default is this machine only; ``"0.0.0.0"`` lets others in.
        port: TCP port; None picks a free one (or, in a cell that runs again, the one it had).
        name: how views call it; the handler's name by default.
        page: what a plain HTTP GET gets. True is a page to try the server with, None a bare 426;
            HTML, a path to files, or a function of the request: see ``wslab.server.http_page``.
        loop: ``"lab"`` answers also while a cell runs. ``"kernel"`` shares the notebook's own
            loop, for handlers that must be on the main thread.
        keep: do not replace this server when its cell runs again.
        record: put every byte on ``server.tape``, 16 MiB at the most; a number sets another bound
            in bytes. False keeps no byte; messages are still counted.
        compression: off by default, unlike in websockets, so that what you see on the wire is what
            you sent; ``"deflate"`` turns it on (RFC 7692).
        kwargs: ``origins``, ``ssl``, ``subprotocols``, ``max_size``, ``ping_interval``,
            ``process_request`` and all others of ``websockets.serve``. Without ``origins``, pages
            from this machine and this notebook may connect, as may clients that send no Origin;
            other pages get 403 (RFC 6455 §10.2).

    Raises:
        PortInUse: another server listens on that port; says which, where it is known.
        TypeError: the handler is not an async function of one argument, or nobody knows a keyword:
            it says which one is nearest.
        WrongThread: called in async code on the lab's loop.
    """
    check_keywords(
        kwargs,
        "serve()",
        serve,
        ws_server.serve,
        asyncio.BaseEventLoop.create_server,
        also=("unix", "path", "cleanup_socket"),  # of create_unix_server
    )
    check_handler(handler)
    check_page(page)
    if loop not in ("lab", "kernel"):
        raise ValueError(f'expected loop="lab" or loop="kernel", got {loop!r}')
    runner = portal.kernel() if loop == "kernel" else portal.lab()
    claim = cells.claim("server", keep=keep)
    if port and _has_no_cell(claim):
        _replace_on(port)
    server = Server(
        handler,
        name=name or handler_name(handler),
        host=host,
        port=port or (claim.place if isinstance(claim.place, int) else None),
        page=page,
        runner=runner,
        claim=claim,
        tape=new_tape(record, name=name or handler_name(handler)),
        kwargs={**finite_times(kwargs), "compression": compression},
    )
    if claim.place is not None:
        server.note = "replaces what this cell had started before, on the same port"
    try:
        server._start()
    except PortInUse:
        if port or claim.place is None:
            raise
        # The old port was free for a moment and somebody else took it.
        server._port = 0
        server._start()
        server.note = (
            f"replaces what this cell had started before; port {claim.place} was taken meanwhile, "
            "so this is a new one"
        )
    if claim.owner is not None and claim.owner.is_source and claim.place is None:
        server.note = _left_behind(server) or server.note
    claim.adopt(server, server.port)
    return server


def _has_no_cell(claim: cells.Claim) -> bool:
    return claim.owner is None or claim.owner.is_source


def _left_behind(server: Server) -> str:
    """Say which servers an earlier text of this cell may have left, where cells have no names."""
    older = [
        f"{thing.name!r} on port {thing.port}"
        for thing in cells.things()
        if isinstance(thing, Server) and thing.name == server.name and thing.is_serving
        if thing._claim.owner is not None and thing._claim.owner.is_source
    ]
    if not older:
        return ""
    return (
        "this front end does not say which cell runs, so a cell whose text has changed starts "
        f"another server; still there: {', '.join(older[:3])}"
        + (f" and {len(older) - 3} more" if len(older) > 3 else "")
        + ". wslab.running() lists them all, each with stop()"
    )


def _replace_on(port: int) -> None:
    # A script has no cells: there, the same explicit port means the same server.
    for thing in cells.things():
        if not isinstance(thing, Server) or thing.port != port or thing._claim.keep:
            continue
        if _has_no_cell(thing._claim):
            thing._finish(thing.begin_close(replaced=True), 5.0)


def _port_in_use(host: str, port: int) -> PortInUse:
    who = "another program"
    for thing in cells.things():
        if isinstance(thing, Server) and thing.port == port and thing.is_serving:
            who = f"this notebook's own server {thing.name!r}, started in another cell"
    return PortInUse(
        errno.EADDRINUSE,
        f"expected port {port} on {host} to be free, but {who} listens there. Stop it, choose "
        "another port, or leave port out to get a free one",
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _has_frames(request: Request) -> bool:
    return http_page.is_handshake(request) and not heads.has_body(request)


def _first_port(server: ws_server.Server) -> int:
    return next((port for port in map(_port, server.sockets) if port), 0)


def _port(sock: Any) -> int:
    name = sock.getsockname()
    return int(name[1]) if isinstance(name, tuple) else 0


def _is_end_of(websocket: Any, exc: BaseException) -> bool:
    """Whether an exception, or each one in a group, says that this connection has ended."""
    if isinstance(exc, BaseExceptionGroup):
        return all(_is_end_of(websocket, each) for each in exc.exceptions)
    protocol = websocket.protocol
    return (
        isinstance(exc, ConnectionClosed)
        and protocol.state is not State.OPEN
        and exc.rcvd is protocol.close_rcvd
        and exc.sent is protocol.close_sent
    )


def _address(websocket: Any) -> tuple[str, int] | None:
    address = websocket.remote_address
    return (address[0], address[1]) if isinstance(address, tuple) else None
