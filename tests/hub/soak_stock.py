"""People of the soak who come by Socket.IO: its wire, shown to them as the hub's plain packets.

By WebSocket, by polling, or by polling with an upgrade in the middle. Its rule: it reads when it is
asked to, and never ahead: who stalls does not poll either. The protocol is written here by hand, so
that two halves of ours do not agree on a mistake.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidHandshake

from tests.hub.rig import SMALL_BUFFER
from wslab.hub import SocketIO

WAYS = ("websocket", "polling", "upgrade")


def heartbeats(clients: int) -> SocketIO:
    """Return how often a crowd is pinged, and how long one may take to answer.

    Who stalls for two seconds answers no ping meanwhile; and all of a crowd of hundreds run on one
    loop, where each has its turn the later, the more they are.
    """
    return SocketIO(ping_interval_s=1.0, ping_timeout_s=max(8.0, clients / 10))


@contextlib.asynccontextmanager
async def in_uvicorn(hub: Any) -> Any:
    """Serve a hub under ASGI on this loop, which takes polls too, and give its URL."""
    config = uvicorn.Config(
        hub.asgi(path="/"), loop="none", log_config=None, lifespan="off", ws="websockets-sansio",
        ws_ping_interval=None, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    try:  # without its main_loop(), which renews headers' dates and counts requests
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}/"
    finally:
        await server.shutdown(sockets=[sock])


class StockSocket:
    """As much of a websockets connection as the soak's people use, over Engine.IO.

    Args:
        way: one of `WAYS`.
        url: of the hub, with a query.
        count: is given what has happened, to be counted.
    """

    def __init__(self, way: str, url: str, count: Callable[[list[str]], object]) -> None:
        self._count = count
        self.way = way
        self._url = urlsplit(url)
        self._websocket: Any = None
        self._sid = ""
        self._came: collections.deque[str | bytes] = collections.deque()
        self._parts: collections.deque[bytes] = collections.deque()
        self._sending = asyncio.Lock()
        self._open: set[asyncio.StreamWriter] = set()
        self._is_over = self._is_ours = False
        self.wants_upgrade = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.transport = self  # of which the soak knows abort()

    # Engine.IO.

    def _query(self, transport: str) -> str:
        sid = f"&sid={self._sid}" if self._sid else ""
        return f"/socket.io/?EIO=4&transport={transport}{sid}&{self._url.query}"

    async def begin(self) -> None:
        """Open a session, and connect to the default namespace."""
        if self.way == "websocket":
            await self._dial()
            opened = str(await self._websocket.recv())
        else:
            opened = str((await self._poll())[0])
        assert opened.startswith("0{"), opened
        self._sid = json.loads(opened[1:])["sid"]
        await self._write("40")

    async def _dial(self) -> None:
        self._websocket = await connect(
            f"ws://{self._url.netloc}{self._query('websocket')}",
            ping_interval=None, max_queue=1, compression=None, close_timeout=5, open_timeout=15,
        )  # fmt: skip

    async def _ask(self, method: str, body: str = "") -> str:
        """Make a request on a connection of its own, and return the answer's body."""
        host, port = self._url.netloc.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._open.add(writer)
        try:
            data = body.encode()
            writer.write(
                f"{method} {self._query('polling')} HTTP/1.1\r\nHost: {self._url.netloc}\r\n"
                f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
                + data
            )
            answer = await reader.read(-1)
        finally:
            self._open.discard(writer)
            writer.transport.abort()
        head, _, content = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] or self._is_over:
            raise ConnectionClosedError(None, None)  # the session is over, or the line was cut
        return content.decode()

    async def _poll(self) -> list[str | bytes]:
        found: list[str | bytes] = []
        for packet in (await self._ask("GET")).split("\x1e"):
            found.append(base64.b64decode(packet[1:]) if packet[0] == "b" else packet)
        return found

    async def _upgrade(self) -> None:
        """Go over to a WebSocket, with a poll under way."""
        poll = asyncio.create_task(self._poll())
        try:
            await self._dial_beside()
        except (ConnectionClosed, InvalidHandshake):
            self._websocket = None  # it stays with polling, and hears there what has become of it
            self._came.extend(await poll)
            return
        except BaseException:
            poll.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await poll
            raise
        self._came.extend(each for each in await poll if each != "6")
        async with self._sending:
            await self._websocket.send("5")
            self.way = "websocket"
        self._count(["went over"])

    async def _dial_beside(self) -> None:
        await self._dial()
        await self._websocket.send("2probe")
        answer = await self._websocket.recv()
        assert answer == "3probe", answer

    async def _read(self) -> str | bytes:
        """Return the next packet of Engine.IO's, or raw bytes."""
        while not self._came:
            if self.way == "websocket":
                return await self._websocket.recv()  # type: ignore[no-any-return]
            if self.wants_upgrade:
                self.wants_upgrade = False
                await self._upgrade()
            else:
                self._came.extend(await self._poll())
        return self._came.popleft()

    async def _write(self, *messages: str | bytes) -> None:
        async with self._sending:
            if self._is_over:
                raise ConnectionClosedError(None, None)
            if self.way == "websocket":
                for message in messages:
                    await self._websocket.send(message)
                return
            texts = [
                message if isinstance(message, str) else "b" + base64.b64encode(message).decode()
                for message in messages
            ]
            await self._ask("POST", "\x1e".join(texts))

    # What the people say and hear.

    async def send(self, text: str) -> None:
        packet = json.loads(text)
        if "answer" in packet:
            await self._write(f"43{packet['answer']}{json.dumps([packet['data']])}")
        else:
            event = json.dumps([packet["event"], packet.get("data")])
            await self._write(f"42{packet.get('id', '')}{event}")

    async def recv(self) -> str | bytes:
        if self._parts:
            return self._parts.popleft()
        try:
            while True:
                packet = await self._read()
                assert isinstance(packet, str), packet
                if packet == "2":
                    # Where the server has closed meanwhile, what it wrote before is still to come.
                    with contextlib.suppress(ConnectionClosed):
                        await self._write("3")
                elif packet[0] == "4":
                    told = await self._told(packet[1:])
                    return json.dumps(told)
                elif packet == "1":
                    self.close_code = self.close_code or 4000
                    raise ConnectionClosedError(None, None)
        except ConnectionClosed:
            await self._end()
            raise
        except (OSError, InvalidHandshake):  # it asked for a session that is over
            await self._end()
            raise ConnectionClosedError(None, None) from None

    async def _told(self, packet: str) -> dict[str, Any]:
        kind, rest = packet[0], packet[1:]
        if kind == "0":
            sid = json.loads(rest)["sid"]
            fields = {"id": sid, "session": None, "resumed": False, "gap": None}
            return {"event": "welcome", "data": fields}
        if kind == "1":  # sent away: a stock client closes then
            self.close_code, self.close_reason = 4000, "too slow"
            self._is_ours = True
            raise ConnectionClosedError(None, None)
        if kind == "4":
            self.close_code, self._is_ours = 1008, True
            message = json.loads(rest)["message"]
            self._came.append("1")
            return {"event": "error", "data": {"code": "refused", "message": message}}
        count = 0
        if kind in "56":
            number, _, rest = rest.partition("-")
            count = int(number)
        start = rest.index("[")
        id_, args = rest[:start], json.loads(rest[start:])
        for _ in range(count):
            part = await self._read()
            assert isinstance(part, bytes), part
            self._parts.append(part)
        more = {"binary": count} if count else {}
        if kind in "36":
            data = args[0] if args else None
            if isinstance(data, dict) and data.keys() == {"error"}:
                return {"answer": int(id_), **data}
            return {"answer": int(id_), "data": data, **more}
        told = {"event": args[0], "data": args[1] if len(args) > 1 else None, **more}
        return told | ({"id": int(id_)} if id_ else {})

    async def _end(self) -> None:
        """Be over, as a stock client is: no request of it goes on."""
        if not self._is_over and self._is_ours and self.way == "websocket":
            with contextlib.suppress(ConnectionClosed, OSError):
                await self._websocket.close()
        elif not self._is_over and self._is_ours:
            with contextlib.suppress(ConnectionClosed, OSError):
                await self._write("1")
        self._is_over = True
        self.abort()
        if self._websocket is not None:
            await self._websocket.wait_closed()
            self.close_reason = self.close_reason or self._websocket.close_reason
            self.close_code = self.close_code or self._websocket.close_code
        self.close_code = self.close_code or 1006

    async def close(self) -> None:
        """Say goodbye."""
        self._is_ours, self.close_code = True, 1000
        with contextlib.suppress(ConnectionClosed, OSError):
            await self._write("41")
        if self.way == "websocket":
            with contextlib.suppress(ConnectionClosed, OSError):
                await self._websocket.close()
        else:
            with contextlib.suppress(ConnectionClosed, OSError):
                await self._write("1")

    def abort(self) -> None:
        """Cut it off, with all that is under way."""
        self._is_over = True
        if self._websocket is not None:
            self._websocket.transport.abort()
        for writer in self._open:
            writer.transport.abort()
