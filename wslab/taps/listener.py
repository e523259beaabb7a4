"""What listens for a tap, and leads to the server behind it.

Its rule: closing has a bound, and when it has ended the port is free and nothing of a connection is
left. All of it runs on the tap's loop. What a connection does is not its business.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from ..client.open_diagnosis import not_opened
from ..failures import Failure, FailureLog
from ..loops import fork
from ..loops.portal import Portal
from ..network.networks import ServerNetwork
from ..server.connection import address_of
from ..server.listen_address import ListenAddress
from ..server.listening import accept_no_more, descriptors, listen
from ..server.refusals import RefusalLog
from ..wire.http.heads import Request
from ..wire.tape.tape import Tape
from .admission import Origins, refusal_of
from .connection import Calls, TappedConnection
from .conversation import Unfit
from .leg import Leg
from .request_head import Upstream, rewritten

__all__ = ["Listener"]

CLOSE_GRACE_S = 0.5  # for what is under way to be taken


class Listener:
    """The connections of one tap, and the socket on which they come.

    Args:
        upstream: where they lead.
        address: where it listens.
        origins: whose pages may ask; None for the default.
        tls: for an upstream that speaks TLS.
        max_connections: at once.
        open_timeout: seconds for connecting to the upstream; None for no limit.
        runner: whose loop it runs on.
        tape: what to record on; None keeps no byte.

    Attributes:
        connections: those that there are, oldest first.
        seen: how many have come.
        errors: what failed on the way to the upstream.
        refusals: requests that did not go on.
        network: under the connections of clients to come.
    """

    def __init__(
        self,
        upstream: Upstream,
        address: ListenAddress,
        *,
        origins: Origins | None,
        tls: ssl.SSLContext | None,
        max_connections: int,
        open_timeout: float | None,
        runner: Portal,
        tape: Tape | None,
    ) -> None:
        self._upstream, self._address, self._origins = upstream, address, origins
        self._tls, self._open_timeout = tls, open_timeout
        self._max_connections = max_connections
        self._runner, self._tape = runner, tape
        self._server: asyncio.Server | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._connections: dict[int, TappedConnection] = {}
        self.seen = 0
        self.errors = FailureLog()
        self.refusals = RefusalLog()
        self.network = ServerNetwork(lambda: self.connections)
        self._calls = Calls(
            self._let_in, self._connect, self.refusals.add, self._lost, self._has_room,
            self.network,
        )  # fmt: skip

    @property
    def server(self) -> asyncio.Server | None:
        """asyncio's server, while there is one."""
        return self._server

    @property
    def connections(self) -> tuple[TappedConnection, ...]:
        """The connections that have not been lost, oldest first."""
        return tuple(self._connections.copy().values())

    async def open(self) -> asyncio.Server:
        """Begin to listen.

        Raises:
            OSError: it can't listen there.
        """
        loop = asyncio.get_running_loop()

        async def make(*address: Any) -> asyncio.Server:
            return await loop.create_server(self._new, *address)

        self._server = server = await listen(make, self._address.arguments()[0])
        fork.closed_in_child.update(descriptors(server))
        self._runner.watchdog.watch(loop)
        return server

    async def close(self) -> None:
        """End every connection, and free the port."""
        server = self._server
        assert server is not None
        try:
            await accept_no_more(server)
            server.close()
            for connection in self.connections:
                connection.close(CLOSE_GRACE_S)
            await self._until_empty(CLOSE_GRACE_S)
            for connection in self.connections:
                connection.abort()
            await self._until_empty(CLOSE_GRACE_S)
            self.network.end_lines()
        finally:
            self._server = None
            self._runner.watchdog.unwatch()

    async def _until_empty(self, within_s: float) -> None:
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=within_s)
            self._emptied = None

    # What connections ask.

    def _new(self) -> Leg:
        connection = TappedConnection(self._calls, self._tape)
        self._connections[id(connection)] = connection
        return connection.client

    def _has_room(self, connection: TappedConnection) -> bool:
        self.seen += 1
        return len(self._connections) <= self._max_connections

    def _lost(self, connection: TappedConnection) -> None:
        self._connections.pop(id(connection), None)
        if not self._connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _let_in(self, connection: TappedConnection, request: Request) -> bytes:
        refusal = refusal_of(
            request,
            origins=self._origins,
            upstream=self._upstream,
            address=self._address,
            reached_at=connection.client.transport.get_extra_info("sockname"),
        )
        if refusal:
            raise Unfit(403, refusal)
        return rewritten(request, self._upstream)

    async def _connect(self, connection: TappedConnection, make: Callable[[], Leg]) -> None:
        upstream = self._upstream
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if upstream.is_secure:
            tls = {"ssl": self._tls, "server_hostname": upstream.host}
        try:
            async with asyncio.timeout(self._open_timeout):
                await loop.create_connection(make, upstream.host, upstream.port, **tls)
        except Exception as exc:
            said = not_opened(exc, upstream.url) or exc
            failure = Failure.of(
                said,
                where=f"connecting to {upstream.authority}",
                who=connection.traffic.id,
                address=address_of(connection),
            )
            self.errors.append(failure)
            reason = f"The tap did not get through to the server behind it: {failure.message}\n"
            raise Unfit(502, reason) from exc
