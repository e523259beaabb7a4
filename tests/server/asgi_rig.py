"""Applications that the tests serve: plain ASGI, by hand, so that nothing stands between."""

from __future__ import annotations

import asyncio
import http.client
from typing import Any


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Echo what comes, on WebSockets; on HTTP, the body, or a stream of events, or a failure."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "boom":
                raise ValueError("boom, it said")
            await send({"type": "websocket.send", "text": message["text"]})
        return
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/boom":
        raise ValueError("boom over HTTP")
    await start(send)
    while scope["path"] == "/events":
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": body or b"hello"})


async def start(send: Any, status: int = 200) -> None:
    fields = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": fields})


def get(server: Any, path: str = "/", **options: Any) -> tuple[int, bytes]:
    """Return status and body of a request's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("POST" if "body" in options else "GET", path, **options)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
