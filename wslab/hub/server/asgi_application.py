"""A hub as an ASGI application, alone or around another: ``uvicorn main:app``.

Its rule: what is the hub's is answered here, by its path, and everything else goes on to the other
application, lifespan included. So it goes around that, and not beside it: whoever serves the inner
application alone has no sockets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from ...wire.http.message import HttpRequest, HttpResponse
from ..engineio.requests import is_own_page
from ..protocol.limits import Limits
from .asgi_http import answered, deny, request_of, respond
from .asgi_link import AsgiLink, Message, Receive, Send, path_of
from .entrance import Entrance
from .script import script_response

__all__ = ["Application", "AsgiHub", "HubApplication"]

Application = Callable[[Any, Any, Any], Awaitable[None]]
_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_OWN = "/wslab/"  # where a hub has files of its own, such as hub.js


class AsgiHub(Protocol):
    """What is asked of a hub."""

    name: str
    errors: Any

    @property
    def limits(self) -> Limits:
        """What its clients can make it hold."""

    @property
    def max_body_bytes(self) -> int:
        """Bytes of a body that it may be given."""

    async def http(self, request: HttpRequest) -> HttpResponse | None:
        """Answer what is its affair; None for anything else."""

    async def end_http(self) -> None:
        """End what comes by HTTP, since the server closes."""

    async def start(self) -> None:
        """Begin to serve."""

    async def close(self) -> None:
        """End that."""


class HubApplication:
    """One hub for ASGI servers; made by ``hub.asgi()``.

    Args:
        hub: the hub.
        entrance: where its clients come in.
        app: what everything else goes to; None answers 404.
        path: where plain clients open a WebSocket.
        origins: pages that may do that, where the server does not judge it; None for the page's own
            host.
    """

    def __init__(
        self,
        hub: AsgiHub,
        entrance: Entrance,
        app: Application | None,
        path: str,
        origins: Sequence[str] | None,
    ) -> None:
        self.hub, self.app, self.path = hub, app, path
        self.__name__ = hub.name  # by which a server of ours goes
        self._entrance = entrance
        self._origins = origins

    @property
    def errors(self) -> Any:
        """The hub's: where what its handlers let through is recorded."""
        return self.hub.errors

    async def end_http(self) -> None:
        """End what comes by HTTP, since the server closes; what a server calls."""
        await self.hub.end_http()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request, WebSocket or lifespan; what an ASGI server calls."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        path = path_of(scope).partition("?")[0]
        is_socketio = self._entrance.is_asked_for(path)
        if kind == "websocket" and (is_socketio or path == self.path):
            await self._socket(scope, receive, send, is_socketio=is_socketio)
            return
        if kind == "http" and (is_socketio or path.startswith(_OWN)):
            hub = self.hub
            again = await answered(scope, receive, send, self._http, hub.max_body_bytes)
            if again is None:
                return
            receive = again
        if self.app is not None:
            await self.app(scope, receive, send)
        else:
            await self._not_found(scope, path, receive, send)

    async def _lifespan(self, scope: Message, receive: Receive, send: Send) -> None:
        """Start and end with the server: before the other application, and after it."""

        async def receive_started() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.hub.start()
            return message

        try:
            await (self.app or _lifespan)(scope, receive_started, send)
        finally:
            await self.hub.close()

    async def _http(self, request: HttpRequest) -> HttpResponse | None:
        return script_response(request, self.path) or await self.hub.http(request)

    async def _socket(
        self, scope: Message, receive: Receive, send: Send, *, is_socketio: bool
    ) -> None:
        request, entrance = request_of(scope), self._entrance
        link = AsgiLink(scope, receive, send, self.hub.limits.max_size)
        refusal = entrance.refusal(request)
        if not is_socketio and (refusal := refusal or self._refusal(request)) is None:
            told = entrance.no_place_for(link)
            if told is not None:
                fields = [_TEXT, ("Retry-After", "5")]
                refusal = HttpResponse(503, fields, f"{told}\n".encode())
        if refusal is None and not is_socketio:
            trusts = self._origins is not None and "*" not in self._origins
            answer = await entrance.authenticated(request, trusts_page=trusts)
            if isinstance(answer, HttpResponse):
                refusal = answer
            else:
                link.connection.identity = answer
        if refusal is not None:
            await deny(scope, receive, send, refusal)
            return
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        await link.run(entrance.serve)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what pages of strangers get (RFC 6455 §10.2)."""
        origin, judged = request.header("origin"), request.is_let_in
        if origin is None or (self._origins is None and judged):
            return None
        if is_own_page(origin, request.header("host"), self._origins):
            return None
        text = (
            f"This hub does not let pages from {origin!r} connect. If you trust that page, allow "
            f"it: hub.asgi(..., origins=[{origin!r}]).\n"
        )
        return HttpResponse(403, [_TEXT], text.encode("latin-1", "replace"))

    async def _not_found(self, scope: Message, path: str, receive: Receive, send: Send) -> None:
        is_http = scope["type"] == "http"
        name, at = self.hub.name, self.path
        text = f"Nothing is at {path!r:.200}. The hub {name!r} takes WebSockets at {at}\n".encode()
        response = HttpResponse(404, [_TEXT], text)
        if is_http and path == self.path:
            response = HttpResponse(426, [_TEXT, ("Upgrade", "websocket")], text)
        if is_http:
            await respond(send, response, has_body=scope["method"] != "HEAD")
        else:
            await deny(scope, receive, send, response)

    def __repr__(self) -> str:
        inner = f" around {self.app!r:.60}" if self.app is not None else ""
        return f"<hub {self.hub.name!r} at {self.path}{inner}>"


async def _lifespan(scope: Message, receive: Receive, send: Send) -> None:
    while True:
        what = (await receive())["type"]
        await send({"type": f"{what}.complete"})
        if what == "lifespan.shutdown":
            return
