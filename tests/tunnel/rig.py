"""Clients that go to a server of ours directly, and through the tunnel of a real Jupyter server."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import wslab
from tests import peers
from tests.jupyters import BASE_URL, TOKEN, Jupyter

MIB = 2**20


KEY = "dGhlIHNhbXBsZSBub25jZQ=="


LOGIN = f"Authorization: token {TOKEN}"


class Refused(Exception):
    """A raw handshake was answered otherwise than with 101; the answer's head."""


class Route:
    """How a client gets to a server: where to connect, and what stands before the path."""

    def __init__(self, name: str, port: int, prefix: str, login: tuple[str, ...]) -> None:
        self.name, self.port, self.prefix, self.login = name, port, prefix, login

    def __repr__(self) -> str:
        return self.name

    def url(self, path: str = "/") -> str:
        return f"ws://127.0.0.1:{self.port}{self.prefix}{path}"

    def connect(self, path: str = "/", **kwargs: Any) -> Any:
        headers = [(name, value) for name, value in (line.split(": ") for line in self.login)]
        headers += kwargs.pop("additional_headers", [])
        kwargs = {"compression": None, "proxy": None, "max_size": None, **kwargs}
        return connect(self.url(path), additional_headers=headers, **kwargs)

    def dial(self, path: str = "/", *headers: str, method: str = "GET") -> socket.socket:
        """Send a plain request, or with headers of a handshake one of those."""
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", "Host: localhost", *self.login, *headers]
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        return sock

    def handshake(self, path: str = "/", *headers: str) -> socket.socket:
        sock = self.dial(
            path,
            *("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}"),
            *("Sec-WebSocket-Version: 13", *headers),
        )
        head = peers.read_head(sock)
        if not head.startswith(b"HTTP/1.1 101 "):
            sock.close()
            raise Refused(head.decode("latin-1"))
        return sock


def routes(server: wslab.Server, jupyter: Jupyter) -> tuple[Route, Route]:
    assert server.tunnel_id
    return (
        Route("direct", server.port, "", ()),
        Route("tunnel", jupyter.port, f"{BASE_URL}wslab/{server.tunnel_id}", (LOGIN,)),
    )


def tunnel_to(server: wslab.Server, jupyter: Jupyter) -> Route:
    return routes(server, jupyter)[1]


class Ended:
    """What a handler saw of the end of its connection, waited for by a test."""

    def __init__(self) -> None:
        self.codes: list[tuple[int, str]] = []
        self.came = threading.Event()

    def note(self, websocket: Any) -> None:
        self.codes.append((websocket.close_code, websocket.close_reason))
        self.came.set()

    def wait(self) -> list[tuple[int, str]]:
        assert self.came.wait(10), "the handler never saw the end"
        return self.codes


def until(is_true: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def both(jupyter: Jupyter, handler: Any, scenario: Callable[[Route], Any], **kwargs: Any) -> Any:
    """Run a scenario both ways; return what it gave, which must be the same."""
    results = []
    for which in (0, 1):
        with wslab.serve(handler, keep=True, **kwargs) as server:
            results.append(scenario(routes(server, jupyter)[which]))
    direct, tunnel = results
    assert tunnel == direct
    return direct


async def echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


def closed(client: Any) -> tuple[int | None, str, int | None]:
    """Read to the end; return the code and reason that came, and the code that was sent."""
    with pytest.raises(ConnectionClosed) as failed:
        while True:
            client.recv(timeout=10)
    return codes_of(failed.value)


def codes_of(exc: ConnectionClosed) -> tuple[int | None, str, int | None]:
    """Return the code and reason that came, and the code that was sent."""
    rcvd = exc.rcvd
    return (
        rcvd.code if rcvd else None,
        rcvd.reason if rcvd else "",
        exc.sent.code if exc.sent else None,
    )


OPENING = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


def path_to(server: wslab.Server) -> str:
    return f"{BASE_URL}wslab/{server.tunnel_id}/"


def ask(
    jupyter: Jupyter, target: str, *headers: str, method: str = "GET", host: str = "localhost"
) -> bytes:
    """Send one request, and return all that comes until the other side ends."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if not any(line.startswith("Connection:") for line in headers):
        lines.append("Connection: close")
    return answered(jupyter, "\r\n".join([*lines, "", ""]).encode("latin-1"))


def answered(jupyter: Jupyter, data: bytes) -> bytes:
    """Send bytes; return one answer (its body by Content-Length), or what came until the end."""
    with jupyter.dial(data) as sock:
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while True:
                head, gap, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                if gap and (head.split()[1] == b"101" or (length and len(body) >= int(length[1]))):
                    return answer
                piece = sock.recv(65536)
                if not piece:
                    return answer
                answer += piece
    return answer


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer[:100]
    return int(answer.split(b" ", 2)[1])


def untouched(server: wslab.Server) -> bool:
    """Whether no byte of a request has reached the server (a connection may have been made)."""
    assert server.tape is not None
    return server.connections_seen == 0 and not any(
        type(event).__name__ == "RequestEvent" for event in server.tape.events
    )


def through(jupyter: Jupyter, name: str) -> int:
    return status(ask(jupyter, f"{BASE_URL}wslab/{name}/", LOGIN, *OPENING))


def host_of(jupyter: Jupyter) -> str:
    """The Host that a browser sends; the cookie's name depends on it."""
    return f"localhost:{jupyter.port}"
