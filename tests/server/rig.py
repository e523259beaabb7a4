"""Handlers that many tests serve, and clients that are not wslab's own."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any

from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

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
    """Send messages with a client that is not wslab's own; return the answers.

    It is the asyncio one, on a thread: that of `websockets.sync` reads and writes on two threads,
    and over TLS one connection of some hundred then waits for its answer for ever.
    """

    async def talk():
        async with connect(server.url, proxy=None, **kwargs) as client:
            for message in messages:
                await client.send(message)
            return [await asyncio.wait_for(client.recv(), 5) for _ in messages]

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, talk()).result()


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
