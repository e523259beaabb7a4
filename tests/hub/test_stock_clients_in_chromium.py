"""npm's socket.io-client in a page of a real browser, over each transport and link."""

from __future__ import annotations

import pytest

import wslab
from tests.node import MODULES, need
from tests.peers import until
from wslab.hub import Args, Hub

pytestmark = pytest.mark.browser

PAGE = """<!doctype html>
<meta charset="utf-8">
<script src="socket.io.min.js"></script>
"""
CONNECT = """(options) => {
    window.told = [];
    window.socket = io({ auth: { token: "t" }, ...options });
    socket.on("connect", () => told.push(["connect", socket.id]));
    socket.on("ask", (data, answer) => answer([...new Uint8Array(data)]));
    socket.onAny((event, ...args) => told.push([event, ...args.filter((each) => !each.call)]));
}"""
TRANSPORTS = {"default": None, "websocket": ["websocket"], "polling": ["polling"]}


async def app(scope, receive, send):
    """What the hub's page and script come from where it is inside an application."""
    is_script = scope["path"].endswith(".js")
    kind = b"text/javascript" if is_script else b"text/html"
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
    await send(head)
    await send({"type": "http.response.body", "body": _answer(scope["path"]).encode()})


def _answer(path):
    if path.endswith(".js"):
        return (MODULES / "socket.io-client/dist/socket.io.min.js").read_text("utf-8")
    return PAGE


@pytest.mark.parametrize("place", ["wslab", "asgi"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_conversation(page, transport, place):
    need("socket.io-client")
    hub = Hub()
    hub.on("auth", lambda client, data: client.auth)
    hub.on("echo", lambda client, *args: Args(*args))
    serving = (
        wslab.serve(hub, page=lambda request: _answer(request.path))
        if place == "wslab"
        else wslab.serve(hub.asgi(app))
    )
    with serving as server:
        page.goto(server.page_url)
        transports = TRANSPORTS[transport]
        page.evaluate(CONNECT, {"transports": transports} if transports else {})
        page.wait_for_function("told.length === 1")
        [client] = hub.clients.values()
        assert page.evaluate("told[0]") == ["connect", client.id]
        assert page.evaluate("socket.emitWithAck('auth', null)") == {"token": "t"}
        echoed = page.evaluate(
            """() => new Promise((answer) => socket.timeout(5000).emit(
                "echo", "é", new Uint8Array([0, 255]), [1],
                (error, text, bytes, list) => answer([error, text, ...new Uint8Array(bytes), list]),
            ))"""
        )
        assert echoed == [None, "é", 0, 255, [1]]
        hub.emit("move", Args("e2", "e4"))
        page.wait_for_function("told.length === 2")
        assert page.evaluate("told[1]") == ["move", "e2", "e4"]
        assert wslab.run(client.call, "ask", b"\x01\x02") == [1, 2]
        ends_as = "polling" if transport == "polling" else "websocket"
        page.wait_for_function(f"socket.io.engine.transport.name === '{ends_as}'")
        page.evaluate("socket.disconnect()")
        until(lambda: not hub.clients)
