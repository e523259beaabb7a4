"""The lines of the check: the real network, and wslab's conditions over TCP and in memory.

On the real one plain websockets speaks over sockets of two namespaces. On ours the same script runs
between a Server and a Client, with the conditions at the client's end or at the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Callable
from typing import Any

import websockets

import wslab
from tests.network.reality.namespaces import SERVER, Namespace, VethLink
from tests.network.reality.player import Line, Seen, reader
from tests.network.reality.scenes import Scene
from tests.network.reality.tun_link import TunLink
from tests.peers import client_tls, server_tls, until
from wslab.network.memory import MemoryNetwork

SILENT = logging.getLogger("tests.network.reality")
SILENT.propagate, SILENT.disabled = False, True


class RealLine:
    """Plain websockets in two namespaces.

    Args:
        kind: of the link between them.
        tls: whether they speak TLS over it.
    """

    seen: Seen
    moment_s = 0.1

    def __init__(self, kind: type[VethLink] | type[TunLink], *, tls: bool = False) -> None:
        self._tls = tls
        with contextlib.ExitStack() as stack:
            self._client = stack.enter_context(Namespace())
            self._server = stack.enter_context(Namespace())
            self.link: Any = kind(self._client, self._server)
            stack.callback(self.link.close)
            self._rest = stack.pop_all()
        self._ends: list[Any] = []
        self._tasks: list[Any] = []
        self.cut, self.restore = self.link.cut, self.link.restore

    def open(self, client: dict[str, Any], server: dict[str, Any]) -> tuple[Any, Any]:
        return wslab.run(self._open, client, server)

    async def _open(self, client: dict[str, Any], server: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        accepted = loop.create_future()

        async def handler(websocket: Any) -> None:
            accepted.set_result(websocket)
            await reader()(websocket)

        if self._tls:
            server, client = server | {"ssl": server_tls()}, client | {"ssl": client_tls()}
        listening = self._server.call(_listening)
        common: dict[str, Any] = {"compression": None, "logger": SILENT}
        self._listener = await websockets.serve(
            handler, sock=listening, create_connection=self.seen.kind("server"), **common, **server
        )
        sock = self._client.socket()
        try:
            async with asyncio.timeout(client.get("open_timeout", 10)):
                await loop.sock_connect(sock, listening.getsockname())
                here = await websockets.connect(
                    "wss://localhost" if self._tls else f"ws://{SERVER}",
                    sock=sock,
                    create_connection=self.seen.kind("client"),
                    proxy=None,
                    **common,
                    **client,
                )
        except TimeoutError:
            sock.close()
            raise
        self._tasks.append(asyncio.ensure_future(reader()(here)))
        self._ends = [here, await accepted]
        return tuple(self._ends)

    def reset(self) -> None:
        self.link.reset()

    def stop_reading(self, side: str) -> None:
        wslab.run(self._transport(side).pause_reading)

    def resume_reading(self, side: str) -> None:
        wslab.run(self._transport(side).resume_reading)

    def _transport(self, side: str) -> Any:
        return self._ends[side == "server"].transport

    def set(self, *, delay_s: float, jitter_s: float, bytes_per_s: float | None) -> None:
        self.link.delay_s, self.link.jitter_s = delay_s, jitter_s
        self.link.bytes_per_s = bytes_per_s

    def close(self) -> None:
        wslab.run(self._close, timeout=10)
        self._rest.close()

    async def _close(self) -> None:
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks)
        if hasattr(self, "_listener"):
            self._listener.close()
            await self._listener.wait_closed()


def _listening() -> socket.socket:
    return socket.create_server((SERVER, 0))


class OurLine:
    """A Server and a Client of wslab.

    Args:
        side: at which end the conditions are.
        where: "TCP" on loopback, "TLS" over it, or "memory".
    """

    seen: Seen
    moment_s = 0.05  # nothing here takes time of its own

    def __init__(self, side: str, where: str) -> None:
        self._side, self._tls = side, where == "TLS"
        self._rest = contextlib.ExitStack()
        if where == "memory":
            self._rest.enter_context(MemoryNetwork(seed=1))
        self._server: Any = None
        self._ends: dict[str, Any] = {}

    def open(self, client: dict[str, Any], server: dict[str, Any]) -> tuple[Any, Any]:
        self._serve(server)
        if self._tls:
            client = client | {"ssl": client_tls()}
        here = wslab.connect(
            self._server, create_connection=self.seen.kind("client"), logger=SILENT, **client
        )
        self._rest.callback(here.close)
        there = until(lambda: self._server.connections)[0]
        self._ends = {"client": here, "server": there}
        return here.websocket, there.websocket

    def _serve(self, keywords: dict[str, Any]) -> None:
        if self._server is None:
            if self._tls:
                keywords = keywords | {"ssl": server_tls()}
            self._server = wslab.serve(
                reader(), create_connection=self.seen.kind("server"), logger=SILENT, **keywords
            )
            self._rest.callback(self._server.stop)

    @property
    def _network(self) -> Any:
        if self._ends:
            return self._ends[self._side].network
        self._serve({})  # a condition for connections to come
        return self._server.network

    def cut(self) -> None:
        self._network.cut()

    def restore(self) -> None:
        self._network.restore()

    def reset(self) -> None:
        self._network.reset()

    def stop_reading(self, side: str) -> None:
        self._ends[side].network.stop_reading()

    def resume_reading(self, side: str) -> None:
        self._ends[side].network.resume_reading()

    def set(self, *, delay_s: float, jitter_s: float, bytes_per_s: float | None) -> None:
        network = self._network
        network.delay_s, network.jitter_s, network.bytes_per_s = delay_s, jitter_s, bytes_per_s

    def close(self) -> None:
        if self._server is not None:
            self._network.clear()
        self._rest.close()


def real_line(scene: Scene) -> RealLine:
    """Return a line of the real network that can do what a scene needs."""
    return RealLine(VethLink if scene.needs == "cut" else TunLink)


def our_lines(scene: Scene) -> dict[str, Callable[[], Line]]:
    """Return how ours are made, by what the table calls them."""
    return {
        f"{where}, conditions at the {side}": functools.partial(OurLine, side, where)
        for where in ("TCP", "TLS", "memory")
        for side in ("client", "server")
        if side not in scene.not_at and not (where == "TLS" and scene.not_over_tls)
    }
