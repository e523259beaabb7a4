"""websockets' own server under a Server: how it comes to listen, and how it ends within a bound.

Its rule: closing has a bound whatever clients and handlers do, and when it has ended the port is
free. All of it runs on the server's loop. Who may connect, and what runs then, is not its business.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio import server as ws_server
from websockets.protocol import State

from ..loops import fork
from ..loops.kernel_portal import KernelPortal
from ..loops.portal import Portal
from ..websockets_compat import endings
from .connections import Connections
from .handler_life import HandlerLife
from .listening import accept_no_more, descriptors, listen

__all__ = ["Listener"]

CLOSE_GRACE_S = 2.0  # for clients to answer the close frame before they are cut off
HANDLER_GRACE_S = 0.5  # for handlers to end after their connection, and again once cancelled


class Listener:
    """One server of websockets at a time, which `open` makes and `close` ends.

    Args:
        connections: those that it has accepted.
        runner: whose loop it runs on.
        end_http: ends plain HTTP, before the connections end.
        life: of the handler.
        handler_grace_s: how long handlers may go on after their connection, until they are
            cancelled.
    """

    def __init__(
        self,
        connections: Connections,
        runner: Portal | KernelPortal,
        end_http: Callable[[], Awaitable[None]],
        life: HandlerLife,
        handler_grace_s: float,
    ) -> None:
        self._end_http = end_http
        self._life = life
        self._handler_grace_s = handler_grace_s
        self._connections = connections
        self._runner = runner
        self._server: ws_server.Server | None = None

    @property
    def server(self) -> ws_server.Server | None:
        """The server of websockets, while there is one."""
        return self._server

    async def open(
        self, handler: Callable[[Any], Any], address: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ws_server.Server:
        """Begin to listen.

        Args:
            handler: run for each connection.
            address: host and port, or nothing where the keywords say where.
            kwargs: of ``websockets.serve``.

        Raises:
            OSError: it can't listen there.
        """
        self._server = None
        await self._life.start()
        try:
            self._server = server = await listen(
                functools.partial(ws_server.serve, handler, **kwargs), address
            )
        except BaseException:
            await self._life.stop()
            raise
        fork.closed_in_child.update(descriptors(server))
        self._runner.watchdog.watch(asyncio.get_running_loop())
        return server

    async def close(self, code: int) -> int:
        """Close every connection with this code, and free the port.

        Returns:
            How many handlers can't be ended, and are left to themselves.
        """
        server = self._server
        assert server is not None
        try:
            await accept_no_more(server)
            await self._end_http()
            server.close(code=code)
            waiting = {asyncio.ensure_future(server.wait_closed())}
            await asyncio.wait(waiting, timeout=0)  # lets the close frames go out
            await self._end_connections()
            endings.abort_unopened(server)
            await asyncio.wait(waiting, timeout=self._handler_grace_s)
            stubborn = await endings.end_handlers(server, HANDLER_GRACE_S)
            await asyncio.wait(waiting, timeout=HANDLER_GRACE_S)
            for waiter in waiting:
                waiter.cancel()
            endings.stop_closing(server)
            await self._life.stop()
            return stubborn
        finally:
            self._server = None
            self._runner.watchdog.unwatch()

    async def _end_connections(self) -> None:
        """Abort those in their handshake at once, and after a while those that do not close."""
        for websocket in self._connections.at_tcp:
            if websocket.state is State.CONNECTING:
                websocket.transport.abort()
        deadline_s = time.monotonic() + CLOSE_GRACE_S
        pause_s = 0.0005
        while self._connections.at_tcp and time.monotonic() < deadline_s:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)
        for websocket in self._connections.at_tcp:
            websocket.transport.abort()
