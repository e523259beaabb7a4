"""Where a hub's clients come in: plain WebSockets, and Socket.IO's sessions; and hub.js for pages.

Its rule: the path tells which of both somebody is. Whoever is too many is turned away here; what a
client is told and does is its connection's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from websockets.datastructures import Headers

from ...identity.identity import Identity
from ...identity.verdict import Denial
from ...wire.http.message import HttpRequest, HttpResponse
from ..engineio.requests import asked
from ..engineio.server import EngineServer
from ..engineio.session import EngineSession
from ..engineio.settings import SocketIO
from ..protocol.addresses import counted_as
from .authentication import authenticated
from .connection import RESTART, Connection
from .draining import Draining
from .hub_context import HubContext
from .link import Link
from .namespaces import Namespaces
from .prepared_message import PreparedMessage
from .script import script_response

__all__ = ["Entrance"]


class Entrance:
    """One hub's; on its loop only.

    Args:
        context: the hub's.
        show: returns what handlers see of a connection.
        socketio: how Socket.IO clients are taken; None takes none.

    Attributes:
        namespaces: where these go.

    Raises:
        TypeError: what was expected, and what came.
    """

    def __init__(
        self, context: HubContext, show: Callable[[Connection], Any], socketio: SocketIO | None
    ) -> None:
        if socketio is not None and not isinstance(socketio, SocketIO):
            raise TypeError(f"expected socketio as SocketIO(...) or None, got {socketio!r:.60}")
        self._context = context
        self._show = show
        self.socketio = socketio
        self.namespaces = Namespaces()
        self._engine: EngineServer | None = None

    @property
    def draining(self) -> Draining:
        """Whether all of its namespaces are being emptied."""
        return self.namespaces.draining

    def drain(self, seconds: float, come_back_s: float) -> Coroutine[Any, Any, int]:
        """Return what empties the hub and all its namespaces, and says how many were told."""
        parts = [each.context for each in self.namespaces.by_name.values()]
        return self.draining.drain(parts, seconds, come_back_s)

    def serve(self, link: Link) -> Coroutine[Any, Any, None]:
        """Return what serves a link until it ends: a plain client's, or Socket.IO's, by its path.

        No coroutine around it: each idle connection would hold one more.
        """
        self._take_loop()
        engine, admission = self._engine, self._context.admission
        is_theirs = engine is not None and engine.is_asked_for(link.path)
        if self.draining.is_on and not (is_theirs and self._goes_on(link.path)):
            return admission.turn_away(link, self.draining.reason, RESTART)
        if not (is_theirs and asked(link.path).sid):
            address = self._counted_as(link.address, link.headers)
            if wait_s := admission.wait_s(address):
                return admission.turn_away(link, admission.too_often(wait_s))
            admission.connects(address)
        if engine is not None and is_theirs:
            return engine.websocket(link)
        return self.serving(link)

    def _counted_as(self, address: tuple[str, int] | None, headers: Mapping[str, str]) -> str:
        return counted_as(address, headers, self._context.settings.limits.proxies)

    async def start(self) -> None:
        """Be there for clients, on the running loop: a backplane may have to be asked first.

        Raises:
            BackplaneDown: it is not there, and the hub is to refuse then.
        """
        self._take_loop()
        for each in tuple(self.namespaces.by_name.values()):
            each.context.take_loop()
            await each.context.backplane.start()

    async def close(self) -> None:
        """End what was started; clients are their server's affair."""
        for each in tuple(self.namespaces.by_name.values()):
            await each.context.backplane.close()

    def is_asked_for(self, path: str) -> bool:
        """Whether a request's path is Socket.IO's."""
        self._take_loop()
        return self._engine is not None and self._engine.is_asked_for(path)

    def no_place_for(self, link: Link) -> str | None:
        """Say why there is no place for a plain client, and count that; None where there is."""
        self._take_loop()
        context, address = self._context, self._counted_as(link.address, link.headers)
        if context.admission.is_full(address) and not context.is_continued_by(link):
            context.admission.connects(address)  # it goes no further, where others are counted
            return context.admission.refuse(address)
        return None

    def _goes_on(self, target: str) -> bool:
        """Whether a request of Socket.IO goes on with a session of this process.

        While it drains, a proxy may hand others on to the process that has theirs.
        """
        return self._engine is not None and asked(target).sid in self._engine.sessions

    async def http(self, request: HttpRequest) -> HttpResponse | None:
        """Answer plain HTTP: hub.js, and Socket.IO's polling; None where it is for others."""
        script = script_response(request)
        if script is not None:
            return script
        self._take_loop()
        if self._engine is None or not self._engine.is_asked_for(request.path):
            return None
        if self.draining.is_on and not self._goes_on(request.target):
            return self.draining.refusal()
        if not asked(request.target).sid and request.method == "GET":
            if (refusal := self._refusal(request)) is not None:
                return refusal
            self._context.admission.connects(self._address_of(request))
        return await self._engine.http(request)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what is answered to whoever would be a new client, and comes too often."""
        admission = self._context.admission
        if self._context.settings.limits.connects_per_minute is None:
            return None
        wait_s = admission.wait_s(self._address_of(request))
        return admission.too_often_response(wait_s) if wait_s else None

    def _address_of(self, request: HttpRequest) -> str:
        return self._counted_as(request.address, Headers(request.headers))

    @property
    def max_body_bytes(self) -> int:
        """Bytes of a body that may be brought; somewhat more than of one that is taken.

        What is between ends its session, which is told why.
        """
        most = 0 if self.socketio is None else self.socketio.max_payload
        return max(2 * most, 2**20)

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what a client gets in place of a 101; None where it may come."""
        self._take_loop()
        is_theirs = self._engine is not None and self._engine.is_asked_for(request.path)
        if self.draining.is_on and not (is_theirs and self._goes_on(request.target)):
            return self.draining.refusal()
        is_new = not (is_theirs and asked(request.target).sid)
        if is_new and (refusal := self._refusal(request)) is not None:
            return refusal
        if self._engine is None or not is_theirs:
            return None
        return self._engine.refusal(request)

    async def authenticated(
        self, request: HttpRequest, *, trusts_page: bool
    ) -> Identity | HttpResponse | None:
        """Return who comes with a handshake, or what it gets in place of a 101.

        None where nobody is asked, or not yet: a Socket.IO client introduces itself later.
        """
        if self.is_asked_for(request.path):
            return None
        verdict = await authenticated(self._context, request, trusts_page=trusts_page)
        if isinstance(verdict, Denial):
            self._context.admission.connects(self._address_of(request))  # a guess counts, too
            return verdict.response()
        return verdict

    async def end_http(self) -> None:
        """End the sessions of all who come by HTTP: what asks for them closes."""
        if self._engine is not None:
            await self._engine.close()

    def serving(self, link: Link) -> Coroutine[Any, Any, None]:
        """Return what serves a client of the hub, or turns it away."""
        context, address = self._context, self._counted_as(link.address, link.headers)
        if self.draining.is_on:
            return context.admission.turn_away(link, self.draining.reason, RESTART)
        if context.admission.is_full(address) and not context.is_continued_by(link):
            return context.admission.turn_away(link, context.admission.refuse(address))
        return Connection(context, link, address, self._show).serve()

    def _take_loop(self) -> None:
        context = self._context
        if context.loop.is_running_one:
            return
        context.take_loop()
        if self.socketio is not None:
            self._engine = EngineServer(
                self.namespaces.serve,
                self.socketio,
                prepare=PreparedMessage,
                limits=lambda: context.settings.limits,
                limited=context.limited,
                counted_as=self._counted_as,
                failed=self._failed,
            )

    def _failed(self, exc: BaseException, session: EngineSession) -> None:
        self._context.failures.record(exc, "a Socket.IO session", "", session.address)
