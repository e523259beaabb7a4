"""Server: what it says of itself, and what may be changed while it runs."""

from __future__ import annotations

import gc
import urllib.request
import weakref

import wslab
from tests import peers
from tests.peers import until
from tests.server.rig import echo, on_loop, says


def test_it_accepts_when_serve_has_returned_and_the_port_is_free_when_stop_has():
    server = wslab.serve(echo)
    assert says(server, "x") == ["x"]
    assert server.is_serving
    assert server.url == f"ws://127.0.0.1:{server.port}/"
    assert server.name == "echo"
    assert repr(server) == f"<Server 'echo' at {server.url}, 0 connections>"
    server.stop()
    peers.assert_free(server.port)
    assert not server.is_serving
    assert repr(server) == f"<Server 'echo', stopped, was at {server.url}>"
    server.stop()
    with server:
        pass


def test_what_is_changed_holds_for_the_next_connection():
    async def shout(websocket):
        async for message in websocket:
            await websocket.send(message.upper())

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with wslab.serve(echo, page="<p>one") as server:
        assert says(server, "x") == ["x"]
        server.handler, server.name, server.page = shout, "loud", "<p>two"
        assert says(server, "x") == ["X"]
        assert repr(server).startswith("<Server 'loud' at ")
        with opener.open(server.page_url, timeout=5) as answer:
            assert answer.read() == b"<p>two"


def test_a_server_that_has_stopped_is_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        server = wslab.serve(echo)
        assert says(server, "x") == ["x"]
        gone = weakref.ref(server)
        server.restart()
        server.stop()
        del server
        # The loop forgets its last callbacks when it has turned once more.
        until(lambda: wslab.run(on_loop, None) is None and gone() is None)
    finally:
        gc.enable()
