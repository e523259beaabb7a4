"""Which network each connection has under it."""

from __future__ import annotations

import wslab
from tests.peers import dial, request, until
from tests.server.rig import echo


def test_a_servers_network_is_that_of_connections_to_come():
    with wslab.serve(echo) as server, wslab.connect(server) as before:
        server.network.delay_s = (0.01, 0.0)
        with wslab.connect(server) as after:
            one, two = server.connections
            assert (one.network.delay_s, two.network.delay_s) == (0.0, (0.01, 0.0))
            assert one.network is server.connections[0].network
            server.network.clear()
            assert two.network.delay_s == (0.01, 0.0)
            for client in (before, after):
                client.send("hello")
                assert client.recv(timeout=5) == "hello"


def test_one_that_comes_cut_hears_nothing_before_it_is_restored():
    with wslab.serve(echo) as server:
        server.network.cut()
        with dial(server.port, request(server.port)) as sock:
            [line] = until(lambda: server.network.lines)
            until(lambda: line.held_bytes)
            assert not server.connections
            line.restore()
            assert sock.recv(12) == b"HTTP/1.1 101"


def test_a_servers_network_resets_nothing_by_itself():
    with wslab.serve(echo) as server, wslab.connect(server) as client:
        server.network.reset()
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
