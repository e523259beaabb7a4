"""Plain HTTP on the port of a handler that answers some of it, by ``async def http(request)``.

A Hub is such a handler: its clients may come by polling. Its rule: the user's hooks are asked
first, then the handler; what it does not answer gets the page, as from any server. Where a handler
answers no HTTP, none of this runs, and websockets' one answer a connection is all there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.http11 import Request, Response

from ..errors import is_cancelled
from ..notebook.allowed_origins import known_origins
from ..websockets_compat import handover
from ..wire.http.field_values import asks_for_websocket
from ..wire.http.message import HttpRequest, HttpResponse
from . import http_page
from .connection import address_of
from .hosts import MISDIRECTED, refusal_of_host
from .http_connection import Answer, HttpConnection, reason_of
from .listen_address import ListenAddress
from .origins import is_origin_of, refusal_of_origin
from .tunnel_entry import TunnelEntry
from .user_code import Options, UserCode

if TYPE_CHECKING:
    import h11

__all__ = ["PlainHttp", "response_of"]

MAX_BODY_BYTES = 2**20  # unless the handler says ``max_body_bytes``
ANSWER_S = 0.25  # for answers that are under way to go out
END_S = 1.0  # for a handler to end what it holds, when the server closes


class PlainHttp:
    """What answers plain HTTP on one server; on its loop.

    Args:
        options: the handler, the page, and the user's hooks.
        user_code: runs those, and records what they and the handler let through.
        address: where the server listens: pages from there are its own.
        entry: tells whom Jupyter's server has let in.
        note: told of each answer, as websockets tells of its own, and whether it is a page.
        begin: prepares a protocol of websockets for its first byte.
    """

    def __init__(
        self,
        options: Options,
        user_code: UserCode,
        address: ListenAddress,
        entry: TunnelEntry,
        note: Callable[..., object],
        begin: Callable[[Any], object],
    ) -> None:
        self._options = options
        self._user_code = user_code
        self._address = address
        self._entry = entry
        self._note = note
        self._begin = begin
        self._connections: set[HttpConnection] = set()
        self._http_of: tuple[Any, Callable[..., Awaitable[Any]] | None] = (None, None)

    @property
    def is_answered(self) -> bool:
        """Whether the handler answers some of it."""
        return self._http is not None

    @property
    def _http(self) -> Callable[..., Awaitable[Any]] | None:
        handler = self._options.handler
        if self._http_of[0] is not handler:  # looking at it takes a while
            self._http_of = handler, _method(handler, "http")
        return self._http_of[1]

    def take(self, websocket: Any) -> None:
        """Speak HTTP on a connection whose first request asks for no WebSocket."""
        connection = HttpConnection(
            websocket.transport,
            websocket.drain,
            functools.partial(self._answer, websocket),
            self._max_body,
            lambda exc: self._user_code.record(exc, websocket, "http"),
            functools.partial(self._leave, websocket),
        )
        connection.data_received(handover.take_over(websocket, connection))
        connection.task = task = handover.start_beside(websocket, connection.run())
        self._connections.add(connection)
        task.add_done_callback(lambda _task: self._connections.discard(connection))

    def _leave(self, websocket: Any, head: h11.Request, follows: bytes) -> bool:
        """Give a connection back to websockets, where a handshake has come on it after all."""
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        if not asks_for_websocket(fields):
            return False
        lines = [b" ".join((head.method, head.target, b"HTTP/" + head.http_version))]
        lines += [name + b": " + value for name, value in head.headers.raw_items()]
        handover.give_back(websocket, b"\r\n".join([*lines, b"", b""]) + follows, self._begin)
        return True

    def _max_body(self) -> int:
        most = getattr(self._options.handler, "max_body_bytes", None)
        return most if isinstance(most, int) else MAX_BODY_BYTES

    async def refusal(self, websocket: Any, request: Request, is_let_in: bool) -> Response | None:
        """Return what the handler answers to a handshake in place of a 101; None where it may be.

        Args:
            websocket: the connection.
            request: its handshake.
            is_let_in: whether Jupyter's server has let it in.
        """
        refusal = getattr(self._options.handler, "refusal", None)
        if not self.is_answered or not callable(refusal):
            return None
        with self._user_code.recording("refusal", websocket):
            asked = self.asked(websocket, request, was_let_in=is_let_in)
            answer = refusal(asked)
            return None if answer is None else response_of(answer, closes=True)

    async def end(self) -> None:
        """Take no further request, and have the handler end what it holds."""
        for connection in tuple(self._connections):
            connection.stop()
        end_http = _method(self._options.handler, "end_http", takes=0)
        if end_http is not None:
            with contextlib.suppress(Exception), self._user_code.recording("end_http", None):
                async with asyncio.timeout(END_S):
                    await end_http()
        tasks = [each.task for each in self._connections if each.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=ANSWER_S)

    # One request.

    async def _answer(self, websocket: Any, head: h11.Request, body: bytes) -> Answer:
        headers = Headers()
        for name, value in head.headers.raw_items():
            headers[name.decode("ascii")] = value.decode("latin-1")
        request = Request(head.target.decode("latin-1"), headers, head.method.decode("ascii"))
        websocket.request = request
        is_page = True
        try:
            was_let_in = self._entry.let_in(request.headers)
            response = None if was_let_in else self._misdirected(request)
            if response is None:
                response = await self._user_code.ask("process_request", websocket, request)
            if response is None:
                response = await self._handled(websocket, request, body, was_let_in)
                is_page = response is None
            if response is None:
                response = await self._page(websocket, request)
            changed = await self._user_code.ask("process_response", websocket, request, response)
            response = changed or response
        except asyncio.CancelledError as exc:
            if is_cancelled(exc):
                raise
            response = _failed()  # it awaited something that was cancelled
        except Exception:
            response = _failed()
        self._note(websocket, response, is_page=is_page)
        fields = list(response.headers.raw_items())
        return response.status_code, fields, bytes(response.body or b"")

    def _misdirected(self, request: Request) -> Response | None:
        text = refusal_of_host(
            request.headers.get_all("Host"),
            self._options.hosts,
            self._options.kwargs,
            self._address,
        )
        return response_of(HttpResponse(MISDIRECTED, _TEXT, text.encode())) if text else None

    async def _handled(
        self, websocket: Any, request: Request, body: bytes, was_let_in: bool
    ) -> Response | None:
        http = self._http
        if http is not None:
            with self._user_code.recording("http", websocket):
                answer = await http(self.asked(websocket, request, body, was_let_in=was_let_in))
                return None if answer is None else response_of(answer)
        return None

    async def _page(self, websocket: Any, request: Request) -> Response:
        with self._user_code.recording("page", websocket):
            page = http_page.respond(
                request,
                page=self._options.page,
                name=self._options.name,
                on_error=lambda exc: self._user_code.record(exc, websocket, "page"),
                ancestors=sorted(known_origins()),
            )
            response = await page if inspect.isawaitable(page) else page
        assert response is not None  # it is no handshake
        if response.headers.get("Connection", "").lower() == "close":
            del response.headers["Connection"]
        return response

    def asked(
        self, websocket: Any, request: Request, body: bytes = b"", *, was_let_in: bool = False
    ) -> HttpRequest:
        """Return a request as a handler is asked with it."""
        return HttpRequest(
            request.method,
            request.path,
            tuple(request.headers.raw_items()),
            body,
            address_of(websocket),
            was_let_in or self._lets_in(request.headers.get_all("Origin"), websocket),
        )

    def _lets_in(self, origins: Sequence[str], websocket: Any) -> bool:
        if "origins" not in self._options.kwargs:
            return not any(
                refusal_of_origin(origin, self._address, websocket.local_address)
                for origin in origins
            )
        allowed = self._options.kwargs["origins"]
        return allowed is None or all(
            any(is_origin_of(origin, each) for each in allowed) for origin in origins
        )


_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


def _failed() -> Response:
    text = b"The answer failed. Its author can see why on the server.\n"
    return response_of(HttpResponse(500, _TEXT, text))


def response_of(answer: Any, *, closes: bool = False) -> Response:
    """Return what a handler has answered as websockets sends it; ``closes``: the last on it.

    Raises:
        TypeError, ValueError: it is none, and why.
    """
    if not isinstance(answer, HttpResponse):
        raise TypeError(
            f"expected http() to return an HttpResponse or None, got {type(answer).__name__}"
        )
    if not 200 <= answer.status < 600:
        raise ValueError(f"expected a final status, 200 to 599, got {answer.status}")
    headers = Headers()
    for name, value in answer.headers:
        try:
            headers[name] = value
        except InvalidHeader as exc:
            raise ValueError(f"expected headers without line breaks, got {exc}") from None
    if closes:
        headers["Connection"] = "close"
        headers["Content-Length"] = str(len(answer.body))
    return Response(answer.status, reason_of(answer.status), headers, answer.body)


def _method(handler: Any, name: str, takes: int = 1) -> Callable[..., Awaitable[Any]] | None:
    method = getattr(handler, name, None)
    if not inspect.iscoroutinefunction(method):
        return None
    try:
        inspect.signature(method).bind(*[None] * takes)
    except TypeError:
        return None
    return method
