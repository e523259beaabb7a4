"""How a server runs an application: what each request of it passes before and after.

Its rule: the application sees what it would see under uvicorn. Pages of strangers are turned away
as from a handler; what it lets through is recorded, and is then uvicorn's to answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.datastructures import Headers

from ..loops.watchdog import timed
from ..network.stream import Stream
from .asgi_connections import AsgiConnections
from .asgi_socket import AsgiSocket, Message
from .handler import awaited, handler_name
from .hosts import MISDIRECTED, refusal_of_host
from .listen_address import ListenAddress
from .origins import is_origin_of, refusal_of_origin
from .refusals import RefusalLog
from .tunnel_entry import TunnelEntry
from .user_code import Options, UserCode
from .uvicorn_compat import STREAM, says_gone

__all__ = ["AsgiRunner"]

END_S = 2.0  # for an application to end what it holds

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiRunner:
    """Runs the application of one server, for each request; on the server's loop.

    Args:
        options: the application, and ``origins``.
        user_code: records what it lets through.
        address: where the server listens: pages from there are its own.
        entry: tells whom Jupyter's server has let in.
        connections: those that requests come on.
        refusals: where requests go that did not become a WebSocket.

    Attributes:
        state: what the application's lifespan keeps; each request gets a copy.
    """

    def __init__(
        self,
        options: Options,
        user_code: UserCode,
        address: ListenAddress,
        entry: TunnelEntry,
        connections: AsgiConnections,
        refusals: RefusalLog,
    ) -> None:
        self._options = options
        self._user_code = user_code
        self._address = address
        self._entry = entry
        self._connections = connections
        self._refusals = refusals
        self._tasks: dict[asyncio.Task[Any], str] = {}  # what each of them answers
        self._is_ending = False
        self.state: dict[str, Any] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; what uvicorn calls."""
        stream, task = scope.pop(STREAM), asyncio.current_task()
        assert task is not None
        self._tasks[task] = scope["type"]
        self._connections.asked(stream)
        try:
            headers = _headers_of(scope)
            was_let_in = self._entry.let_in(headers)
            scope["headers"] = [
                (_bytes(name), _bytes(value)) for name, value in headers.raw_items()
            ]
            scope["state"] = self.state.copy()
            misdirected = "" if was_let_in else self._misdirected(headers)
            refusal = misdirected or ("" if was_let_in else self._refusal(headers, stream))
            # What a hub inside may ask its server.
            ours = {"is_let_in": not refusal}
            scope["extensions"] = {**scope.get("extensions", {}), "wslab": ours}
            if scope["type"] == "websocket":
                status = MISDIRECTED if misdirected else 403
                await self._run_socket(scope, receive, send, stream, (status, refusal))
            elif misdirected:
                self._refusals.add(stream, MISDIRECTED, misdirected)
                await _answer(send, "http", MISDIRECTED, misdirected)
            else:
                await self._run(scope, receive, send, stream)
        except asyncio.CancelledError:
            if not self._is_ending:
                raise
        finally:
            self._tasks.pop(task, None)
            self._connections.answered(stream)
            if self._is_ending and scope["type"] == "http":
                asyncio.get_running_loop().call_soon(stream.transport.close)

    async def _run_socket(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        stream: Stream,
        refusal: tuple[int, str],
    ) -> None:
        socket = AsgiSocket(scope, receive, send, stream, self._opened, self._refused)
        if refusal[1]:
            await socket.receive()  # websocket.connect
            await _answer(socket.send, "websocket.http", *refusal)
            return
        scope["extensions"]["wslab"]["socket"] = socket
        self._connections.sockets[socket] = None
        try:
            await self._run(scope, socket.receive, socket.send, stream, socket)
        finally:
            socket.is_open = False
            del self._connections.sockets[socket]

    def _misdirected(self, headers: Headers) -> str:
        options = self._options
        named = headers.get_all("Host")
        return refusal_of_host(named, options.hosts, options.kwargs, self._address)

    def _refusal(self, headers: Headers, stream: Stream) -> str:
        origins = headers.get_all("Origin")
        if "origins" not in self._options.kwargs:
            texts = (
                refusal_of_origin(each, self._address, stream.local_address) for each in origins
            )
            return next(filter(None, texts), "")
        # As websockets has it: None lets everybody in, and in the list stands for who sends none.
        allowed = self._options.kwargs["origins"]
        if allowed is None:
            return ""
        came = origins[0] if len(origins) == 1 else None
        if len(origins) < 2 and any(is_origin_of(came, each) for each in allowed):
            return ""
        return f"Expected an Origin of serve(..., origins=[...]), got {', '.join(origins)!r}.\n"

    def _opened(self) -> None:
        self._user_code.handled += 1

    def _refused(self, socket: AsgiSocket, status: int, text: str) -> None:
        self._refusals.add(socket, status, text)

    async def _run(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        stream: Stream,
        socket: AsgiSocket | None = None,
    ) -> None:
        application: Any = self._options.handler
        name = self._options.name

        def report(began_s: float, took_s: float) -> None:
            who = f"the application {handler_name(application)} of server {name!r}"
            self._user_code.report_blockage(began_s, took_s, who)

        try:
            awaitable = application(scope, receive, send)
            if inspect.iscoroutine(awaitable):
                await timed(awaitable, report)
            else:
                await awaited(awaitable, application)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            if socket is not None and socket.is_told_gone and _is_end(exc):
                return  # its own has ended, which is how most of them end
            self._user_code.record(exc, stream)
            raise

    # Ending.

    async def end_sockets(self, code: int) -> None:
        """Close all WebSockets with this code; who does not read may keep this waiting."""
        self._is_ending = True
        sockets = tuple(self._connections.sockets)
        await asyncio.gather(*(each.close(code) for each in sockets), return_exceptions=True)

    async def end_held(self) -> None:
        """Have the application end what it holds by HTTP, where it can be told so, as a hub can."""
        end_http = getattr(self._options.handler, "end_http", None)
        if inspect.iscoroutinefunction(end_http):
            with contextlib.suppress(Exception), self._user_code.recording("end_http", None):
                async with asyncio.timeout(END_S):
                    await end_http()

    def cancel_http(self) -> None:
        """End the answers to HTTP that are still under way, such as streams of events."""
        for task, kind in tuple(self._tasks.items()):
            if kind == "http":
                task.cancel()

    async def end(self, grace_s: float, cancelled_s: float) -> int:
        """End what still runs: first it has a while, then it is cancelled.

        Args:
            grace_s: until it is cancelled.
            cancelled_s: seconds to end then, each time: it may swallow a cancellation.

        Returns:
            How many go on all the same, and are left to themselves.
        """
        self._is_ending = True
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=grace_s)
        for _ in range(3):
            if not self._tasks:
                break
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.wait(tuple(self._tasks), timeout=cancelled_s)
        stubborn = len(self._tasks)
        self._tasks.clear()
        return stubborn


def _headers_of(scope: Message) -> Headers:
    pairs = scope["headers"]
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


async def _answer(send: Send, kind: str, status: int, text: str) -> None:
    body = text.encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": f"{kind}.response.start", "status": status, "headers": fields})
    await send({"type": f"{kind}.response.body", "body": body})


def _is_end(exc: BaseException) -> bool:
    """Whether an exception only says that a WebSocket has ended, by whatever name."""
    if isinstance(exc, BaseExceptionGroup):
        return all(map(_is_end, exc.exceptions))
    starlette = sys.modules.get("starlette.websockets")
    theirs = getattr(starlette, "WebSocketDisconnect", ConnectionAbortedError)
    return isinstance(exc, (ConnectionAbortedError, theirs)) or says_gone(exc)
