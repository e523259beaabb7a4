"""What a server keeps of those that it turned away."""

from __future__ import annotations

import wslab
from tests import peers
from tests.server.rig import echo, status_of


def test_refusals_are_bounded(server):
    for _ in range(55):
        assert status_of(server, "Origin: https://example.org") == 403
    assert len(server.refusals) == 50
    assert server.refusals_seen == 55


def test_what_is_wrong_with_a_handshake_is_recorded_too(server):
    lines = peers.request(server.port).decode()
    for broken, status in (
        (lines.replace("Version: 13", "Version: 12"), 400),
        (lines.replace("Sec-WebSocket-Key: ", "X-Key: "), 400),
        (lines.replace("Connection: Upgrade", "Connection: close"), 426),
    ):
        with peers.dial(server.port, broken.encode()) as sock:
            assert peers.read_head(sock).startswith(b"HTTP/1.1 %d " % status)
    assert [refusal.status for refusal in server.refusals] == [400, 400, 426]


def test_what_is_no_http_at_all_is_hung_up_on():
    with wslab.serve(echo, open_timeout=0.2) as server:
        hang_up_on_junk(server)


def hang_up_on_junk(server):
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"SSH-2.0-x\r\n", b"\0" * 20_000):
        with peers.dial(server.port) as sock:
            try:
                sock.sendall(junk)
                while sock.recv(1000):
                    pass
            except ConnectionResetError:
                pass
    assert not server.errors
    with wslab.connect(server) as client:
        assert client.ping() > 0
