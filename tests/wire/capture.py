"""A real session between websockets' own client and server, recorded at the server's transport."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.wire.taping import MASK, close
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape

SECRETS = ("s3cretC00kieS3cret", "s3cretT0kenS3cret", "s3cretB3arerS3cret")
BINARY = random.Random(3).randbytes(100_000)
LONG = "the same again and again, " * 40


class _Transport:
    """Records what is written, and hands everything on."""

    def __init__(self, transport: Any, write: Any) -> None:
        self._transport = transport
        self._record = write

    def write(self, data: bytes) -> None:
        self._record(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def recorder(tape: Tape, labels: list[str]) -> type[ServerConnection]:
    """Return a connection class that records onto a tape; labels go to connections in turn."""

    class Recorded(ServerConnection):
        def connection_made(self, transport: Any) -> None:
            (host, port), (own, own_port) = (
                transport.get_extra_info(name)[:2] for name in ("peername", "sockname")
            )
            self.track = tape.open(
                self.id.hex[:6],
                label=labels.pop(0),
                client_address=f"{host}:{port}",
                server_address=f"{own}:{own_port}",
            )
            super().connection_made(_Transport(transport, self.track.server))

        def data_received(self, data: bytes) -> None:
            self.track.client(data)
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.track.end()

    return Recorded


async def _in_pieces(*pieces: Any) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


async def _session() -> tuple[Tape, int]:
    tape = Tape(name="capture")
    gone: asyncio.Queue[None] = asyncio.Queue()

    async def echo(websocket: ServerConnection) -> None:
        try:
            async for message in websocket:
                if message == "ping me":
                    await (await websocket.ping(b"are you there?"))
                await websocket.send(message)
                if message == "in pieces":
                    await websocket.send(_in_pieces("one, ", "two, ", "three"))
        finally:
            await websocket.wait_closed()
            gone.put_nowait(None)

    def page(connection: ServerConnection, request: Any) -> Any:
        if request.path.startswith("/page"):
            return connection.respond(HTTPStatus.OK, f"you sent {SECRETS[1]}\n")
        return None

    kind = recorder(tape, ["alice", "bob", "a browser"])
    async with serve(
        echo, "127.0.0.1", 0, process_request=page, create_connection=kind, ping_interval=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/chat?token={SECRETS[1]}"
        headers = {"Cookie": f"sid={SECRETS[0]}", "Authorization": f"Bearer {SECRETS[2]}"}
        # Compressed, with the window kept from message to message; then a code nobody may send. The
        # fragments come last, since tshark 4.0 cannot inflate them, nor what comes after them.
        async with connect(url, additional_headers=headers, ping_interval=None) as alice:
            for message in ("Hello", LONG, LONG, BINARY, "ping me", "héllo €"):
                await alice.send(message)
                assert await alice.recv() == message
            await (await alice.ping(b"and you?"))
            await alice.send("in pieces")
            assert await alice.recv() == "in pieces"
            assert await alice.recv() == "one, two, three"
            alice.transport.write(encode_frame(8, close(999, "bad"), mask_key=MASK))
            await alice.wait_closed()
            await gone.get()
        # Not compressed: fragments both ways, and a code that is only ever reported.
        async with connect(url, compression=None, ping_interval=None) as bob:
            # websockets ends its fragments with an empty one, of which tshark 4.0 takes no notice:
            # so these, made by hand, come first.
            bob.transport.write(encode_frame(1, b"by hand, ", fin=False, mask_key=MASK))
            bob.transport.write(encode_frame(9, b"between fragments", mask_key=MASK))
            bob.transport.write(encode_frame(0, "in two €".encode(), mask_key=MASK))
            assert await bob.recv() == "by hand, in two €"
            await bob.send(_in_pieces("He", "ll", "o"))
            assert await bob.recv() == "Hello"
            await bob.send(_in_pieces(BINARY[:70_000], BINARY[70_000:]))
            assert await bob.recv() == BINARY
            await bob.send("in pieces")
            assert await bob.recv() == "in pieces"
            assert await bob.recv() == "one, two, three"
            bob.transport.write(encode_frame(8, close(1005), mask_key=MASK))
            await bob.wait_closed()
            await gone.get()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /page?token={SECRETS[1]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert SECRETS[1].encode() in await reader.read()
        writer.close()
        await writer.wait_closed()
    return tape, port


@functools.cache
def capture() -> tuple[Tape, int]:
    """Run the session, once; return its tape and the server's port."""
    return asyncio.run(_session())
