"""What listens for a tap: on one address or on all, and how it leaves."""

from __future__ import annotations

import contextlib

import pytest

import wslab
from tests import peers
from tests.taps.rig import echo, tapped


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1"])
def test_it_listens_where_it_was_told_to(host):
    with wslab.serve(echo) as server, wslab.tap(server, host=host) as tap:
        with wslab.connect(tap) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"


@pytest.mark.usefixtures("each_loop")
def test_with_many_connections_it_stops_and_leaves_nothing():
    with tapped(lambda sock: (peers.upgrade(sock), peers.hold(sock))) as tap:
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(peers.raw_client(tap.port))
            assert len(tap.connections) == 50
            tap.stop()
            assert tap.connections == ()
        peers.assert_free(tap.port)


@pytest.mark.usefixtures("memory_network")
def test_on_a_network_in_memory():
    with wslab.serve(echo) as server, wslab.tap(server) as tap, wslab.connect(tap) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        client.close()
        peers.until(lambda: not tap.connections)
