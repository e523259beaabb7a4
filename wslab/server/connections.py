"""All connections of a server, from TCP on: made, recorded at their transport, and gone.

Its rule: it adds to websockets' connection and changes nothing of it. Every answer that is no 101
passes here, also those that websockets gives before and after any hook, and is noted as a refusal.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from ..loops import fork
from ..network.networks import ServerNetwork
from ..network.recording import FailedConnection, recorded
from ..websockets_compat import heads
from ..wire.http.field_values import asks_for_websocket
from .connection import Connection
from .hosts import MISDIRECTED
from .refusals import RefusalLog
from .user_code import Options, UserCode

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

    from ..wire.tape.tape import Tape

__all__ = ["Connections"]

OPEN_TIMEOUT_S = 10.0  # websockets' own, where none is given
CLOCK_STEP_S = 0.001  # uvloop's clock has whole milliseconds, and stands still within a turn
PAGE_METHODS = ("GET", "HEAD")  # what a page answers: a 404 there is no refusal


class Connections:
    """The connections of one server; ``at_tcp`` are all of them, in their handshake or open.

    ``network`` is the one of those to come.

    Args:
        options: ``create_connection`` and ``open_timeout`` of ``websockets.serve`` count.
        user_code: records what the user's ``create_connection`` lets through.
        refusals: where requests go that did not become a connection.
        keeps: whether plain HTTP is spoken where a first request asks for no WebSocket.
    """

    def __init__(
        self,
        options: Options,
        user_code: UserCode,
        refusals: RefusalLog,
        keeps: Callable[[], bool] = lambda: False,
    ) -> None:
        self._keeps = keeps
        self._options = options
        self._user_code = user_code
        self._refusals = refusals
        self._at_tcp: dict[int, Any] = {}
        self._made_s: dict[int, float] = {}  # by the loop's clock, which open_timeout goes by
        self.network = ServerNetwork(lambda: self.at_tcp)

    @property
    def at_tcp(self) -> tuple[Any, ...]:
        """Every connection of websockets that has not been lost, oldest first."""
        return tuple(self._at_tcp.copy().values())

    @property
    def open(self) -> tuple[Connection, ...]:
        """Those that are open, oldest first."""
        return tuple(
            Connection(websocket) for websocket in self.at_tcp if websocket.state is State.OPEN
        )

    def factory(self, tape: Tape | None) -> Callable[..., Any]:
        """Return the ``create_connection`` for ``websockets.serve``; it records on ``tape``."""
        made, lost = self._made, self._lost
        return recorded(self._create(), made, lost, side="server", tape=tape, networks=self.network)

    def _create(self) -> Callable[..., Any]:
        base = self._options.kwargs.get("create_connection") or ServerConnection
        if isinstance(base, type):
            return base

        def create_connection(*args: Any, **kwargs: Any) -> Any:
            try:
                return base(*args, **kwargs)
            except BaseException as exc:  # let through, it would be printed, or end the loop
                self._user_code.record(exc, None, "create_connection")
                return FailedConnection()

        return create_connection

    def _made(self, websocket: Any, transport: asyncio.Transport) -> None:
        websocket.identity = None  # who it is, where a server is told to ask
        self._at_tcp[id(websocket)] = websocket
        self._made_s[id(websocket)] = asyncio.get_running_loop().time()
        websocket.traffic.fileno = fork.close_in_child(transport)
        self.begin(websocket.protocol)
        heads.note_responses(websocket, functools.partial(self.note_response, websocket))

    def begin(self, protocol: Any) -> None:
        """Prepare a protocol of websockets for the first byte of a request."""
        heads.read_head_of(protocol, _has_frames, self._keeps)

    def note_response(self, websocket: Any, response: Response, *, is_page: bool = True) -> None:
        """Note an answer that is a refusal; ``is_page``: plain HTTP is the page's affair."""
        request, status = websocket.request, response.status_code
        is_for_page = (
            is_page
            and status != MISDIRECTED
            and request is not None
            and request.method in PAGE_METHODS
        )
        if status >= 400 and not (
            is_for_page and not asks_for_websocket(request.headers.raw_items())
        ):
            text = bytes(response.body or b"").decode(errors="replace").strip()
            self._refusals.add(websocket, status, text)

    def _lost(self, websocket: Any) -> None:
        self._at_tcp.pop(id(websocket), None)
        lasted_s = asyncio.get_running_loop().time() - self._made_s.pop(id(websocket))
        heads.stop_noting(websocket)
        limit_s = self._options.kwargs.get("open_timeout", OPEN_TIMEOUT_S)
        if (
            heads.broke_off(websocket)
            and limit_s is not None
            and websocket.traffic.received_bytes
            and lasted_s >= limit_s - CLOCK_STEP_S
        ):
            text = f"hung up: the request did not end within {limit_s:g} s (open_timeout)"
            self._refusals.add(websocket, 408, text)
        fork.closed_in_child.discard(websocket.traffic.fileno)


def _has_frames(request: Request) -> bool:
    return asks_for_websocket(request.headers.raw_items()) and not heads.has_body(request)
