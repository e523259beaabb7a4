"""The stock client in a page of another origin: CORS for polling, preflights, and the upgrade."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import wslab
from tests import peers
from tests.browser import Sync
from tests.node import MODULES, need
from wslab.hub import Hub, SocketIO
from wslab.wire.events import RequestEvent, ResponseEvent

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><meta charset="utf-8"><title>a page elsewhere</title>
<script>%s</script>"""

# Connects, asks, and tells what became of it; an own header makes the browser ask first.
TALK = """async ([url, options]) => {
  const socket = io(url, { reconnection: false, extraHeaders: { "X-Own": "1" }, ...options });
  const first = await new Promise((resolve) => {
    socket.on("connect", () => resolve("connected"));
    socket.on("connect_error", (error) => resolve(error.message));
  });
  if (first !== "connected") return [first];
  const answer = await socket.timeout(5000).emitWithAck("double", 21);
  const engine = socket.io.engine;
  if (options.transports === undefined && engine.transport.name !== "websocket")
    await new Promise((resolve) => engine.once("upgrade", resolve));
  const bytes = await socket.timeout(5000).emitWithAck("same", new Uint8Array([1, 255]));
  const name = engine.transport.name;
  socket.close();
  return [answer, name, [...new Uint8Array(bytes)]];
}"""


@pytest.fixture
def elsewhere(page: Sync) -> Iterator[Sync]:
    """A page of another origin, with npm's client in it."""
    need("socket.io-client")
    script = (MODULES / "socket.io-client" / "dist" / "socket.io.min.js").read_text("utf-8")

    async def nobody(websocket):
        pass

    # Of this machine, since Chromium keeps pages of the internet from it before any CORS.
    with wslab.serve(nobody, page=PAGE % script) as server:
        page.goto(f"http://localhost:{server.port}/")
        yield page


WAYS = {
    "default": {},
    "polling": {"transports": ["polling"]},
    "credentials": {"withCredentials": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_page_that_is_allowed(elsewhere, way):
    hub = Hub()
    hub.on("double", lambda client, data: data * 2)
    hub.on("same", lambda client, data: data)
    with wslab.serve(hub) as server:
        url = f"http://127.0.0.1:{server.port}"
        ends = "polling" if way == "polling" else "websocket"
        assert elsewhere.evaluate(TALK, [url, WAYS[way]]) == [42, ends, [1, 255]]
        peers.until(lambda: not hub.clients)
        assert not server.errors
        methods = {e.request.method for e in server.tape.events if isinstance(e, RequestEvent)}
        assert methods == {"OPTIONS", "GET", "POST"}


def test_a_page_that_is_not(elsewhere):
    hub = Hub(socketio=SocketIO(origins=["https://good.example"]))
    with wslab.serve(hub, origins=["https://good.example"]) as server:
        url = f"http://127.0.0.1:{server.port}"
        for way in ("default", "polling"):
            assert elsewhere.evaluate(TALK, [url, WAYS[way]]) == ["xhr poll error"]
        assert elsewhere.evaluate(TALK, [url, {"transports": ["websocket"]}]) == ["websocket error"]
        statuses = {e.response.status for e in server.tape.events if isinstance(e, ResponseEvent)}
        assert statuses == {403}
        assert {refusal.status for refusal in server.refusals} == {403}
        assert not hub.clients
