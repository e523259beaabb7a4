"""What listens for an application: uvicorn's protocols on asyncio's server, under a Server of ours.

Its rule is `listener`'s: closing has a bound whatever clients and the application do, and when it
has ended the port is free. WebSockets get their close code, what answers HTTP a moment to finish.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, cast

from ..loops import fork
from ..loops.kernel_portal import KernelPortal
from ..loops.portal import Portal
from .asgi_connections import AsgiConnections
from .asgi_runner import AsgiRunner
from .handler import Application
from .lifespan import Lifespan
from .listen_address import ListenAddress
from .listener import CLOSE_GRACE_S, HANDLER_GRACE_S
from .listening import accept_no_more, descriptors, listen
from .refusals import RefusalLog
from .tunnel_entry import TunnelEntry
from .user_code import Options, UserCode
from .uvicorn_compat import config_of, protocol_maker

if TYPE_CHECKING:
    from ..wire.tape.tape import Tape

__all__ = ["AsgiListener"]


class AsgiListener:
    """One listening server at a time, which `open` makes and `close` ends.

    Args:
        options: the application, and the keywords.
        user_code: records what it lets through.
        address: where it listens.
        entry: tells whom Jupyter's server has let in.
        refusals: where requests go that did not become a WebSocket.
        tape: what to record on.
        runner: whose loop it runs on.
        handler_grace_s: how long what answers a WebSocket may go on after it, until it is
            cancelled.

    Attributes:
        connections: those that it has accepted.
    """

    def __init__(
        self,
        options: Options,
        user_code: UserCode,
        address: ListenAddress,
        entry: TunnelEntry,
        refusals: RefusalLog,
        tape: Tape | None,
        runner: Portal | KernelPortal,
        handler_grace_s: float,
    ) -> None:
        self._handler_grace_s = handler_grace_s
        self.connections = AsgiConnections(options, refusals)
        self._options = options
        self._user_code = user_code
        self._tape = tape
        self._runner = runner
        self._make_runner = functools.partial(
            AsgiRunner, options, user_code, address, entry, self.connections, refusals
        )
        self._application: AsgiRunner | None = None
        self._lifespan: Lifespan | None = None
        self._server: asyncio.Server | None = None

    @property
    def server(self) -> asyncio.Server | None:
        """asyncio's server, while there is one."""
        return self._server

    async def open(self, address: tuple[Any, ...], kwargs: dict[str, Any]) -> asyncio.Server:
        """Let the application start, and begin to listen.

        Args:
            address: host and port, or nothing where the keywords say where.
            kwargs: of ``serve``.

        Raises:
            OSError: it can't listen there.
            RuntimeError: the application could not start.
        """
        self._server = None
        self._application = application = self._make_runner()
        make = protocol_maker(application, config_of(kwargs))
        loop = asyncio.get_running_loop()
        self._lifespan = lifespan = Lifespan(
            cast("Application", self._options.handler),
            lambda exc: self._user_code.record(exc, None, "lifespan"),
        )
        await lifespan.start()
        application.state = lifespan.state
        create = loop.create_unix_server if kwargs.get("unix") else loop.create_server
        wanted = {name: kwargs[name] for name in _LISTENING if name in kwargs}
        factory = self.connections.factory(make, self._tape)
        try:
            made: Any = functools.partial(create, factory, **wanted)
            server: asyncio.Server = await listen(made, address)
        except BaseException:
            await lifespan.stop()
            raise
        self._server = server
        fork.closed_in_child.update(descriptors(server))
        self._runner.watchdog.watch(loop)
        return server

    async def close(self, code: int) -> int:
        """Close every WebSocket with this code, end what still runs, and free the port.

        Returns:
            How many requests can't be ended, and are left to themselves.
        """
        server, application, lifespan = self._server, self._application, self._lifespan
        assert server is not None
        assert application is not None
        assert lifespan is not None
        try:
            await accept_no_more(server)
            server.close()
            connections = self.connections
            for stream in connections.streams:
                if not stream.requests:
                    stream.transport.close()
            await application.end_held()
            closing = asyncio.ensure_future(application.end_sockets(code))
            await connections.emptied(HANDLER_GRACE_S)
            application.cancel_http()
            await connections.emptied(CLOSE_GRACE_S - HANDLER_GRACE_S)
            for stream in connections.streams:
                stream.transport.abort()
            if hasattr(server, "abort_clients"):  # from Python 3.13: TLS that never opened
                server.abort_clients()
            closing.cancel()
            stubborn = await application.end(self._handler_grace_s, HANDLER_GRACE_S)
            await connections.emptied(HANDLER_GRACE_S)
            await lifespan.stop()
            return stubborn
        finally:
            self._server = self._application = self._lifespan = None
            self._runner.watchdog.unwatch()


# The keywords of asyncio's create_server() and create_unix_server().
_LISTENING = (
    "backlog", "family", "flags", "path", "reuse_address", "reuse_port", "sock", "ssl",
    "ssl_handshake_timeout", "ssl_shutdown_timeout", "start_serving",
)  # fmt: skip
