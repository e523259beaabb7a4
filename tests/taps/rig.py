"""Taps before servers made of plain sockets, and heads as values."""

from __future__ import annotations

import contextlib
import socket
import struct

import wslab
from tests import peers
from wslab.wire.http.head_reader import HeadReader


@contextlib.contextmanager
def tapped(script, *, tls=None, **kwargs):
    """A tap before a server that runs ``script`` with the socket of each connection."""
    with peers.raw_server(script, tls=tls) as port:
        scheme = "ws" if tls is None else "wss"
        with wslab.tap(f"{scheme}://127.0.0.1:{port}/", **kwargs) as tap:
            yield tap


def head(*lines):
    """Read a request's head from its lines."""
    read, left = HeadReader("client").feed("\r\n".join([*lines, "", ""]).encode("latin-1"))
    assert left == b""
    return read


def all_of(sock):
    """Read until the other side ends; a reset is told by b"RST" at the end."""
    data = bytearray()
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        data += b"RST"
    return bytes(data)


def reset(sock):
    """Break a connection off with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def messages_of(tape):
    """What was said, by whom."""
    return [(message.sender, message.data) for message in tape.messages]
