"""HTTP that a hub answers under an ASGI server: bodies within a bound, and polls that end."""

from __future__ import annotations

import asyncio

from tests.hub.rig import aio, until
from tests.hub.server.asgi_rig import Server
from wslab.hub.server.asgi_http import answered, deny, request_of
from wslab.wire.http.message import HttpRequest, HttpResponse


def asking(server, answer, limit_bytes=100):
    return asyncio.ensure_future(
        answered(server.scope, server.receive, server.send, answer, limit_bytes)
    )


def body(data, more=False):
    return {"type": "http.request", "body": data, "more_body": more}


async def echo(request):
    return HttpResponse(201, [("X-Ours", "1")], request.body)


def test_a_request():
    server = Server("http", "/p", query_string=b"a=b", extensions={"wslab": {"is_let_in": True}})
    assert request_of(server.scope, b"body") == HttpRequest(
        "GET", "/p?a=b", (("host", "example.org"),), b"body", ("10.0.0.1", 5), True
    )
    server.scope["client"] = None
    assert request_of(server.scope).address is None


@aio
async def test_a_body_in_parts_is_answered():
    server = Server("http")
    server.feed(body(b"one ", True), body(b"two"))
    assert await asking(server, echo) is None
    [start, end] = server.sent
    assert (start["status"], end["body"]) == (201, b"one two")
    assert dict(start["headers"]) == {b"x-ours": b"1", b"content-length": b"7"}


@aio
async def test_head_gets_no_body():
    server = Server("http", method="HEAD")
    server.feed(body(b"abc"))
    await asking(server, echo)
    assert dict(server.sent[0]["headers"])[b"content-length"] == b"3"
    assert server.sent[1]["body"] == b""


@aio
async def test_a_body_has_a_bound():
    server, seen = Server("http"), []

    async def answer(request):
        seen.append(len(request.body))
        return HttpResponse(413)

    for _ in range(20):
        server.feed(body(b"x" * 30, True))
    await asking(server, answer)
    assert (seen, server.taken) == ([101], 4)
    assert dict(server.sent[0]["headers"])[b"connection"] == b"close"


@aio
async def test_a_poll_ends_when_its_client_has_gone():
    server, ends = Server("http"), []

    async def held(request):
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(asyncio.current_task().cancelling())

    server.feed(body(b""))
    asked = asking(server, held)
    await until(lambda: server.taken == 1)
    await asyncio.sleep(0)
    assert not ends
    server.feed({"type": "http.disconnect"})
    assert await asked is None
    assert (ends, server.sent) == ([1], [])


@aio
async def test_it_is_cancelled_with_whoever_asks():
    server, ends = Server("http"), []

    async def held(request):
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(1)

    server.feed(body(b""))
    asked = asking(server, held)
    await until(lambda: server.taken == 1)
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert ends == [1]
    assert asked.cancelled()


@aio
async def test_who_leaves_before_the_end_is_not_answered():
    server = Server("http")
    server.feed(body(b"x", True), {"type": "http.disconnect"})
    assert await asking(server, echo) is None
    assert server.sent == []


@aio
async def test_what_is_not_answered_is_received_anew():
    async def not_mine(request):
        return None

    server = Server("http")
    server.feed(body(b"one", True), body(b"two"))
    again = await asking(server, not_mine)
    assert [(await again())["body"] for _ in range(2)] == [b"one", b"two"]
    server.feed({"type": "http.disconnect"})
    assert (await again())["type"] == "http.disconnect"


@aio
async def test_a_refusal_as_far_as_the_server_can():
    response = HttpResponse(401, [("X-Why", "login")], b"log in")
    for extensions, kinds in (
        ({"websocket.http.response": {}}, ["start", "body"]),
        ({}, ["websocket.close"]),
    ):
        server = Server(extensions=extensions)
        server.feed({"type": "websocket.connect"})
        await deny(server.scope, server.receive, server.send, response)
        assert [m["type"].removeprefix("websocket.http.response.") for m in server.sent] == kinds
