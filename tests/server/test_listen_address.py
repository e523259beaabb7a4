"""Where a server listens: hosts, sockets, and what is shown of them."""

from __future__ import annotations

import socket
import sys
import urllib.request

import pytest

import wslab
from tests import inside, peers
from tests.server.rig import echo, says
from wslab.errors import HandshakeRefused


def test_sock_and_restart_without_it():
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    with wslab.serve(echo, sock=sock) as server:
        assert server.url == f"ws://127.0.0.1:{port}/"
        assert says(server, "x") == ["x"]
        server.restart()
        assert server.port == port
        assert says(server, "x") == ["x"]
    peers.assert_free(port)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_unix_sockets(tmp_path):
    path = str(tmp_path / "lab.sock")
    with wslab.serve(echo, unix=True, path=path) as server:
        assert server.url == f"ws+unix://{path}"
        for target in (server, server.url):
            with wslab.connect(target, name="alice") as client:
                client.send("hello")
                assert client.recv(timeout=5) == "hello"
                assert server.connections[0].remote_address is None
                assert server.connections[0].label is None
        with wslab.connect("ws://localhost/", unix=True, path=path) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        server.restart()
        with wslab.connect(server) as client:
            assert client.ping() > 0
    with pytest.raises(wslab.errors.ConnectFailed):
        wslab.connect(server)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_tls_over_a_unix_socket(tmp_path):
    path = str(tmp_path / "lab.sock")
    with (
        wslab.serve(echo, unix=True, path=path, ssl=peers.server_tls()) as server,
        wslab.connect(server, ssl=peers.client_tls()) as client,
    ):
        assert server.url == f"wss+unix://{path}"
        assert client.ping() > 0


def has_ipv6():
    try:
        peers.free_port("::1")
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        (None, "127.0.0.1"),
        pytest.param("::1", "[::1]", marks=needs_ipv6),
        pytest.param("::", "[::1]", marks=needs_ipv6),
        pytest.param(["127.0.0.1", "::1"], "127.0.0.1", marks=needs_ipv6),
        pytest.param(["::1", "127.0.0.1"], "[::1]", marks=needs_ipv6),
    ],
)
def test_hosts(host, shown):
    with wslab.serve(echo, host) as server:
        assert server.url == f"ws://{shown}:{server.port}/"
        assert {sock.getsockname()[1] for sock in inside.sockets(server)} == {server.port}
        port = server.port
        assert says(server, "x") == ["x"]
        server.restart()
        assert server.port == port
        assert {sock.getsockname()[1] for sock in inside.sockets(server)} == {port}
        assert says(server, "x") == ["x"]


def own_address():
    """Return an address of this machine that is no loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.99", 9))  # sends nothing: it only chooses an interface
            address = sock.getsockname()[0]
            with socket.socket() as listener:
                listener.bind((address, 0))
        except OSError:
            return None
    return None if address.startswith("127.") or address == "0.0.0.0" else address


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("127.0.0.2", marks=pytest.mark.skipif(sys.platform == "darwin", reason="no")),
        "localhost",
        "0.0.0.0",
        "",
        pytest.param("::1", marks=needs_ipv6),
        pytest.param("::", marks=needs_ipv6),
        pytest.param(["::1", "127.0.0.1"], marks=needs_ipv6),
        pytest.param("own", marks=pytest.mark.skipif(not own_address(), reason="no other")),
    ],
)
def test_what_a_browser_is_told_leads_to_where_it_listens(host):
    with wslab.serve(echo, own_address() if host == "own" else host) as server:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(server.page_url, timeout=5) as answer:
            assert answer.status == 200
        # A page from there may connect, as a browser would send its Origin.
        origin = server.page_url.rstrip("/")
        direct = [way.url for way in server.routes if way.kind == "direct"]
        assert direct == [server.url]
        for url in (server.browser_url, *direct):
            with wslab.connect(url, origin=origin, proxy=None) as client:
                assert client.ping() > 0
        # But for a name that a web site made lead here, the address alone is no proof.
        with pytest.raises(HandshakeRefused):
            wslab.connect(server.url, proxy=None, origin=f"http://rebound.example:{server.port}")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_no_browser_can_open_a_unix_socket(tmp_path):
    with wslab.serve(echo, unix=True, path=str(tmp_path / "s")) as server:
        assert (server.browser_url, server.page_url) == ("", "")
        assert [way.kind for way in server.routes] == ["comm"]


def test_hosts_that_are_none():
    with pytest.raises(socket.gaierror):
        wslab.serve(echo, "no.such.host.invalid")
    with pytest.raises(OSError, match="192.0.2.1"):
        wslab.serve(echo, "192.0.2.1")  # kept for documentation: no machine has it


def other_address():
    """Return an address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a route
        except OSError:
            return None
        address = sock.getsockname()[0]
    return None if address.startswith("127.") else address


def test_it_listens_on_loopback_only(server):
    [sock] = inside.sockets(server)
    assert sock.getsockname()[0] == "127.0.0.1"
    address = other_address()
    if address is not None:
        with pytest.raises((ConnectionError, TimeoutError)):
            socket.create_connection((address, server.port), timeout=5).close()
