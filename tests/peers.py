"""Peers made of plain sockets, which do what no WebSocket library would: the tests' adversaries.

Also `until`, to wait for what is true soon, and the test certificate.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import logging
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

PEM = Path(__file__).with_name("localhost.pem")  # for localhost, 127.0.0.1 and ::1, 2020 to 2120
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def until(is_true: Callable[[], T], within_s: float = 5.0) -> T:
    """Wait until a condition holds, and return what it gave; fail where it does not in time."""
    deadline = time.monotonic() + within_s
    while not (value := is_true()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.001)
    return value


def printed(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records that Python prints to stderr where nobody has configured logging.

    wslab's own loggers, and uvicorn's where we run it, have a handler that says nothing; pytest's
    hides all others.
    """
    silent = (
        "websockets.server.wslab", "websockets.client.wslab", "wslab.hub.shown", "uvicorn.error",
    )  # fmt: skip
    return [
        record
        for record in (*caplog.get_records("setup"), *caplog.get_records("call"))
        if record.levelno >= logging.WARNING
        and record.name not in silent
        # That is asyncio's word on a task that a handler started and did not look after.
        and not record.getMessage().startswith("Task exception was never retrieved")
    ]


def server_tls() -> ssl.SSLContext:
    """Return the server's TLS, with a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def client_tls() -> ssl.SSLContext:
    """Return the TLS of a client that trusts that certificate."""
    return ssl.create_default_context(cafile=str(PEM))


# None of those that a system gives to whoever asks for any, in an order of this process's own.
_PORTS = iter(random.SystemRandom().sample(range(20_000, 32_768), 12_768))


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens, and that nobody gets who asks for any port.

    For what is told its port, for where nobody is to listen, and for a server that ends while the
    test goes on: another test's server would get the port of one that had asked for any.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _PORTS:
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise OSError("expected a free port below 32768, and found none")


def assert_free(port: int, host: str = "127.0.0.1") -> None:
    """Fail where a new server could not listen on that port."""
    with socket.create_server((host, port)):
        pass


# Frames (RFC 6455 section 5.2).


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """Return a frame's bytes; a mask of zeros leaves the payload readable."""
    head = bytes([fin << 7 | opcode])
    bit = masked << 7
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 2**16:
        head += struct.pack("!BH", bit | 126, len(payload))
    else:
        head += struct.pack("!BQ", bit | 127, len(payload))
    return head + bytes(4) * masked + payload


def close_frame(code: int, reason: str = "", *, masked: bool = True) -> bytes:
    """Return a close frame's bytes."""
    return frame(8, struct.pack("!H", code) + reason.encode(), masked=masked)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError(bytes(data))
        data += more
    return bytes(data)


def read_frame(sock: socket.socket) -> tuple[int, bytes]:
    """Read one frame: its first byte and its unmasked payload."""
    first, second = _exactly(sock, 2)
    size = second & 127
    if size == 126:
        [size] = struct.unpack("!H", _exactly(sock, 2))
    elif size == 127:
        [size] = struct.unpack("!Q", _exactly(sock, 8))
    key = _exactly(sock, 4) if second & 128 else bytes(4)
    payload = _exactly(sock, size)
    mask = (key * (size // 4 + 1))[:size]
    plain = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return first, plain.to_bytes(size, "big")


def read_head(sock: socket.socket) -> bytes:
    """Read up to the blank line that ends a head."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = sock.recv(1)
        if not more:
            break
        head += more
    return head


# Raw clients.


def request(port: int, *headers: str, path: str = "/", key: str = KEY) -> bytes:
    """Return the bytes of an opening handshake."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def dial(port: int, data: bytes = b"") -> socket.socket:
    """Connect by TCP, and send something."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(data)
    return sock


def raw_client(port: int, *headers: str) -> socket.socket:
    """Open a WebSocket whose other side is up to the test."""
    sock = dial(port, request(port, *headers))
    head = read_head(sock)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return sock


def refused(port: int, *headers: str) -> tuple[int, str]:
    """Ask for a WebSocket that is refused; return the status and all that came."""
    with dial(port, request(port, *headers)) as sock:
        data = b""
        while more := sock.recv(65536):
            data += more
    return int(data.split(b" ", 2)[1]), data.decode()


# Raw servers.


@contextlib.contextmanager
def raw_server(
    script: Callable[[socket.socket], object], *, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Listen, and run `script` with each connection in a thread of its own; yields the port.

    A script that wants to do nothing waits for the other side: `hold`.
    """
    threads: list[threading.Thread] = []
    socks: list[socket.socket] = []

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
                socks.append(sock)
            script(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            socks.append(sock)
            threads.append(threading.Thread(target=serve, args=(sock,)))
            threads[-1].start()

    listener = socket.create_server(("127.0.0.1", 0))
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(5)
        listener.close()
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for sock in socks:
            sock.close()


def hold(sock: socket.socket) -> None:
    """Read and say nothing until the other side is gone."""
    while sock.recv(65536):
        pass


def upgrade(sock: socket.socket) -> None:
    """Answer an opening handshake as a server that accepts it."""
    head = read_head(sock).decode()
    key = next(
        line.split(":", 1)[1].strip()
        for line in head.splitlines()
        if line.lower().startswith("sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )


def answer(status: str, body: bytes = b"", *headers: str) -> Callable[[socket.socket], None]:
    """Return a script that answers a request with this status."""

    def script(sock: socket.socket) -> None:
        read_head(sock)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        sock.sendall("\r\n".join(lines).encode() + body)
        hold(sock)

    return script


def random_bytes(count: int) -> bytes:
    """Return what no compression makes smaller."""
    return os.urandom(count)
