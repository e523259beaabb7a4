"""Plain HTTP under an ASGI server, for what a hub answers itself; and refusing a WebSocket.

Its rule: a body has a bound, and an answer that is held (a poll) ends when its client has gone.
What the hub does not answer goes on to whoever is next, with its body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ...wire.http.message import HttpRequest, HttpResponse
from .asgi_link import Message, Receive, Send, path_of

__all__ = ["answered", "deny", "request_of", "respond"]

Answer = Callable[[HttpRequest], Awaitable[HttpResponse | None]]


def request_of(scope: Message, body: bytes = b"") -> HttpRequest:
    """Return a request as a hub knows it."""
    client = scope.get("client")
    ours = scope.get("extensions", {}).get("wslab", {})
    return HttpRequest(
        scope.get("method", "GET"),
        path_of(scope),
        tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]),
        body,
        None if not client else (client[0], client[1]),
        ours.get("is_let_in"),
    )


async def answered(
    scope: Message, receive: Receive, send: Send, answer: Answer, limit_bytes: int
) -> Receive | None:
    """Answer a request; return None, or, where it is not answered, how it is received anew.

    Args:
        scope, receive, send: of the ASGI connection.
        answer: answers, or returns None.
        limit_bytes: of a body; of a larger one it sees one byte more than that.
    """
    body, came, is_whole = b"", list[Message](), False
    while not is_whole and len(body) <= limit_bytes:
        message = await receive()
        came.append(message)
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        is_whole = not message.get("more_body", False)
    asked = asyncio.ensure_future(answer(request_of(scope, body[: limit_bytes + 1])))
    gone = asyncio.ensure_future(_gone(receive if is_whole else asyncio.Event().wait))
    try:
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            return None
        response = asked.result()
    finally:
        for task in (asked, gone):
            task.cancel()
        await asyncio.wait({asked, gone})
    if response is not None:
        await respond(send, response, has_body=scope["method"] != "HEAD", is_whole=is_whole)
        return None

    async def again() -> Message:
        return came.pop(0) if came else await receive()

    return again


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(
    send: Send,
    response: HttpResponse,
    *,
    kind: str = "http.response",
    has_body: bool = True,
    is_whole: bool = True,
) -> None:
    """Send a response.

    Args:
        send: of the ASGI connection.
        response: what is answered.
        kind: how its messages begin; another one refuses a WebSocket.
        has_body: False for an answer to HEAD.
        is_whole: whether all of the request has been read; else the connection ends with it.
    """
    fields = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in response.headers]
    if response.status not in (204, 304):
        fields.append((b"content-length", str(len(response.body)).encode()))
    if not is_whole:
        fields.append((b"connection", b"close"))
    await send({"type": f"{kind}.start", "status": response.status, "headers": fields})
    await send({"type": f"{kind}.body", "body": response.body if has_body else b""})


async def deny(scope: Message, receive: Receive, send: Send, response: HttpResponse) -> None:
    """Refuse a WebSocket before it opens: with this response, or with a bare 403.

    What a server makes of a refusal is the server's; one that knows the extension
    ``websocket.http.response`` sends what it is given.
    """
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        await respond(send, response, kind="websocket.http.response")
    else:
        await send({"type": "websocket.close"})
