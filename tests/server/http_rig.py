"""A handler that answers plain HTTP, too, and how its answers are read by hand."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

from tests import peers
from wslab.wire.http.message import HttpRequest, HttpResponse


class Answering:
    """Echoes, and answers HTTP with the body backwards; /none is not its own, /held is held."""

    def __init__(self) -> None:
        self.asked: list[HttpRequest] = []
        self.held, self.let_go = threading.Event(), threading.Event()
        self.may_go = threading.Event()  # the first that is asked
        self.may_go.set()

    async def __call__(self, websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)

    async def http(self, request: HttpRequest) -> HttpResponse | None:
        self.asked.append(request)
        if not self.may_go.is_set():
            await asyncio.to_thread(self.may_go.wait, 10)
        if request.path in ("/none", "/"):
            return HttpResponse(200, (), request.body[::-1]) if request.path == "/" else None
        if request.path == "/held":
            self.held.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.let_go.set()
        if request.path == "/no":
            return HttpResponse(403, (), b"not you")
        if request.path == "/fail":
            raise ZeroDivisionError("one")
        if request.path == "/split":
            return HttpResponse(200, (("A", "b\r\nC: d"),), b"")
        if request.path == "/wrong":
            return "text"  # type: ignore[return-value]
        return HttpResponse(200, (("X", "y"),), request.body[::-1])


def read_answer(sock: socket.socket) -> tuple[int, bytes]:
    """Read one answer: its status, and its body."""
    head = peers.read_head(sock)
    assert head, "the connection was closed without an answer"
    size = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    body = b""
    while len(body) < size:
        more = sock.recv(size - len(body))
        assert more
        body += more
    return int(head.split(b" ", 2)[1]), body


def is_closed(sock: socket.socket) -> bool:
    """Wait until the other side has closed; fail where it says more."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
