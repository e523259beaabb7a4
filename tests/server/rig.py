"""Handlers that many tests serve, and clients that are not wslab's own."""

from __future__ import annotations

from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.client import connect as sync_connect

from tests import peers
from wslab.server.http_page import Page, respond


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def quiet(websocket):
    await websocket.wait_closed()


async def on_loop(coroutine_or_value):
    return coroutine_or_value


def says(server, *messages, **kwargs):
    """Send messages with a client that is not wslab's own; return the answers."""
    with sync_connect(server.url, proxy=None, **kwargs) as client:
        for message in messages:
            client.send(message)
        return [client.recv(timeout=5) for _ in messages]


def failing(exc):
    async def handler(websocket):
        await websocket.recv()
        raise exc

    return handler


def status_of(server, *headers):
    with peers.dial(server.port, peers.request(server.port, *headers)) as sock:
        return int(peers.read_head(sock).split(b" ", 2)[1])


def request(path: str = "/", method: str = "GET", **headers: str) -> Request:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(path, Headers({"Host": "localhost:8765"} | fields), method)


def get(page: Page, path: str = "/", method: str = "GET", **options: Any) -> Response:
    response = respond(request(path, method), page=page, name="echo", **options)
    assert isinstance(response, Response)
    return response
