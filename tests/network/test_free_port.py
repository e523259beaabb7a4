"""A port that is free can be listened on."""

from __future__ import annotations

import socket

from wslab.network.free_port import free_port


def test_a_free_port_can_be_listened_on():
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[0] == "127.0.0.1"
