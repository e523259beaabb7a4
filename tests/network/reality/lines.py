"""The lines of the check: here the real network, where plain websockets speaks over sockets of two
namespaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import websockets

import wslab
from tests.network.reality.namespaces import SERVER, Namespace, VethLink
from tests.network.reality.player import Seen, reader
from tests.network.reality.scenes import Scene
from tests.network.reality.tun_link import TunLink

SILENT = logging.getLogger("tests.network.reality")
SILENT.propagate, SILENT.disabled = False, True


class RealLine:
    """Plain websockets in two namespaces."""

    def __init__(self, kind: type[VethLink] | type[TunLink]) -> None:
        with contextlib.ExitStack() as stack:
            self._client = stack.enter_context(Namespace())
            self._server = stack.enter_context(Namespace())
            self.link: Any = kind(self._client, self._server)
            stack.callback(self.link.close)
            self._rest = stack.pop_all()
        self._ends: list[Any] = []
        self._tasks: list[Any] = []
        self.cut, self.restore = self.link.cut, self.link.restore

    def open(self, seen: Seen, client: dict[str, Any], server: dict[str, Any]) -> tuple[Any, Any]:
        return wslab.run(self._open, seen, client, server)

    async def _open(self, seen: Seen, client: dict[str, Any], server: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        accepted = loop.create_future()

        async def handler(websocket: Any) -> None:
            accepted.set_result(websocket)
            await reader()(websocket)

        listening = self._server.call(_listening)
        common: dict[str, Any] = {"compression": None, "logger": SILENT}
        self._listener = await websockets.serve(
            handler, sock=listening, create_connection=seen.kind("server"), **common, **server
        )
        sock = self._client.socket()
        try:
            async with asyncio.timeout(client.get("open_timeout", 10)):
                await loop.sock_connect(sock, listening.getsockname())
                here = await websockets.connect(
                    f"ws://{SERVER}/",
                    sock=sock,
                    create_connection=seen.kind("client"),
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


def real_line(scene: Scene) -> RealLine:
    """Return a line of the real network that can do what a scene needs."""
    return RealLine(VethLink if scene.needs == "cut" else TunLink)
