"""A connection through a tap, looked at."""

from __future__ import annotations

import wslab
from tests import peers
from tests.taps.rig import tapped


def test_before_and_after_its_request():
    with tapped(lambda sock: (peers.upgrade(sock), peers.hold(sock))) as tap:
        with peers.dial(tap.port) as sock:
            [one] = peers.until(lambda: tap.connections)
            assert (one.path, one.subprotocol, one.is_open) == ("", None, False)
            sock.sendall(peers.request(tap.port, path="/x"))
            peers.read_head(sock)
            assert (one.path, one.is_open) == ("/x", True)
            assert repr(one) == f"<Connection {one.id}, 0 received, 0 sent>"
        peers.until(lambda: not tap.connections)
        assert one.remote_address is None or one.remote_address[0] == "127.0.0.1"
    assert wslab.Tap is type(tap)
