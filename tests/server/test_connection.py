"""A connection as views see it."""

from __future__ import annotations

import wslab
from tests.peers import until
from tests.server.rig import echo


def test_connections():
    with wslab.serve(echo) as server:
        with (
            wslab.connect(server, name="alice", subprotocols=None) as alice,
            wslab.connect(f"{server.url}room?x=1", name="bob") as bob,
        ):
            assert [c.label for c in server.connections] == ["alice", "bob"]
            one, two = server.connections
            assert (one.path, two.path) == ("/", "/room?x=1")
            assert one.remote_address[0] == "127.0.0.1"
            assert one.id != two.id
            assert len(one.id) == 6
            assert one.id == one.websocket.id.hex[:6]
            assert one.subprotocol is None
            assert 0 <= one.open_s < 60
            bob.send("hello")
            assert bob.recv(timeout=5) == "hello"
            assert (two.received, two.sent) == (1, 1)
            assert (one.received, one.sent) == (0, 0)
            assert two.received_bytes == bob.counts[3]
            assert two.sent_bytes == bob.counts[2]
            assert repr(two) == f"<Connection {two.id} 'bob', 1 received, 1 sent>"
            alice.close()
            until(lambda: [c.label for c in server.connections] == ["bob"])
        until(lambda: server.connections == ())
        assert server.connections_seen == 2
        # A view that was kept goes on saying what it knew.
        assert two.label == "bob"
        assert two.path == "/room?x=1"
