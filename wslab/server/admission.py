"""Who is let in: what is answered to each request, before and after websockets looks at it.

Its rule is the order: who asks by a name that is not ours is refused, then a handshake with a body;
then the Origin is checked; then `gate` says who it is; then the user's hook is asked; then plain
HTTP gets the page. Whether a handshake is right is for websockets to say.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ..notebook.allowed_origins import known_origins
from ..websockets_compat import heads
from ..websockets_compat.handover import HandedOver, is_kept
from ..wire.http.field_values import asks_for_websocket
from . import http_page
from .gate import Gate
from .hosts import MISDIRECTED, refusal_of_host
from .listen_address import ListenAddress
from .origins import refusal_of_origin
from .plain_http import PlainHttp, response_of
from .tunnel_entry import TunnelEntry
from .user_code import Options, UserCode

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

__all__ = ["Admission"]


class Admission:
    """What ``websockets.serve`` asks about each request of one server, on its loop.

    Args:
        options: the page, and the user's own hooks.
        user_code: runs those hooks.
        address: where the server listens: pages from there are its own.
        entry: tells whom Jupyter's server has let in.
        http: takes over where the handler answers plain HTTP, too.
    """

    def __init__(
        self,
        options: Options,
        user_code: UserCode,
        address: ListenAddress,
        entry: TunnelEntry,
        http: PlainHttp,
    ) -> None:
        self._options = options
        self._user_code = user_code
        self._address = address
        self._entry = entry
        self._http = http
        self._gate = Gate(options, user_code, http.asked)

    def hooks(self) -> dict[str, Any]:
        """Return the keywords of ``websockets.serve`` that ask here."""
        asked: dict[str, Any] = {
            "process_request": self._process_request,
            "process_response": self._process_response,
        }
        if self._options.kwargs.get("select_subprotocol") is not None:
            asked["select_subprotocol"] = self._select_subprotocol
        return asked

    async def _process_request(
        self, websocket: ServerConnection, request: Request
    ) -> Response | None:
        is_handshake = asks_for_websocket(request.headers.raw_items())
        if not is_handshake and is_kept(websocket):
            self._http.take(websocket)
            raise HandedOver
        # Jupyter's server has asked for its login and checked the Origin by its own rule.
        was_let_in = self._entry.let_in(request.headers)
        named = request.headers.get_all("Host")
        if not was_let_in and (
            text := refusal_of_host(named, self._options.hosts, self._options.kwargs, self._address)
        ):
            return websocket.respond(MISDIRECTED, text)
        if is_handshake and heads.has_body(request):
            return websocket.respond(
                400,
                "A request for a WebSocket has no body (RFC 6455 §4.1), and this one announces "
                "one; send messages when the connection is open.\n",
            )
        if is_handshake and not was_let_in and "origins" not in self._options.kwargs:
            for origin in request.headers.get_all("Origin"):
                if text := refusal_of_origin(origin, self._address, websocket.local_address):
                    return websocket.respond(403, text)
        if is_handshake:
            refusal = await self._http.refusal(websocket, request, was_let_in)
            if refusal is not None:
                return refusal
            denial = await self._gate.refusal(websocket, request)
            if denial is not None:
                return response_of(denial, closes=True)
        response = await self._user_code.ask("process_request", websocket, request)
        if response is not None:
            return response  # type: ignore[no-any-return]
        with self._user_code.recording("page", websocket):
            answer = http_page.respond(
                request,
                page=self._options.page,
                name=self._options.name,
                on_error=lambda exc: self._user_code.record(exc, websocket, "page"),
                ancestors=sorted(known_origins()),
            )
            return await answer if inspect.isawaitable(answer) else answer

    async def _process_response(
        self, websocket: ServerConnection, request: Request, response: Response
    ) -> Response | None:
        return await self._user_code.ask("process_response", websocket, request, response)  # type: ignore[no-any-return]

    def _select_subprotocol(self, websocket: Any, offered: Any) -> Any:
        with self._user_code.recording("select_subprotocol", websocket):
            return self._options.kwargs["select_subprotocol"](websocket, offered)
