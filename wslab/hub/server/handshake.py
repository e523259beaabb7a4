"""A hub asked by websockets itself before the 101: ``serve(hub, process_request=...)``.

Its rule: what ``wslab.serve`` asks, and nothing more: may somebody come now, and who is it. Without
it a hub under plain ``websockets.serve`` says the same when the 101 has gone out, by a close code.
"""

from __future__ import annotations

import http
from collections.abc import Awaitable
from typing import Any, Protocol

from websockets.http11 import Request, Response

from ...identity.identity import Identity
from ...wire.http.message import HttpRequest, HttpResponse

__all__ = ["answered"]


class Asked(Protocol):
    """A hub, as far as a handshake asks it."""

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what a handshake gets in place of a 101; None where it may come."""

    def authenticated(self, request: HttpRequest) -> Awaitable[Identity | HttpResponse | None]:
        """Return who comes, or its refusal; None where that is found out later."""


async def answered(hub: Asked, connection: Any, request: Request) -> Response | None:
    """Return what a handshake gets in place of the 101; None where it may go on."""
    address = connection.remote_address
    asked = HttpRequest(
        "GET",
        request.path,
        tuple(request.headers.raw_items()),
        address=(address[0], address[1]) if isinstance(address, tuple) else None,
    )
    answer: Identity | HttpResponse | None = hub.refusal(asked)
    if answer is None:
        answer = await hub.authenticated(asked)
    if not isinstance(answer, HttpResponse):
        if answer is not None:
            connection.identity = answer
        return None
    text = answer.body.decode()
    response: Response = connection.respond(http.HTTPStatus(answer.status), text)
    for name, value in answer.headers:
        if name in response.headers:
            del response.headers[name]
        response.headers[name] = value
    return response
