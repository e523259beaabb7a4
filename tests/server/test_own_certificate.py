"""serve(tls=True): who trusts a certificate that was made on the spot, and who does not."""

from __future__ import annotations

import builtins
import os
import ssl
import tempfile

import pytest
import websockets

import wslab
from tests import peers
from tests.server.asgi_rig import application, get
from tests.server.rig import echo, says
from wslab.errors import ConnectFailed
from wslab.server import own_certificate
from wslab.server.listen_address import ListenAddress
from wslab.server.own_certificate import own_tls


@pytest.fixture(scope="module")
def secure():
    with wslab.serve(echo, tls=True) as server:
        yield server


def test_connect_trusts_it_by_its_server_and_by_its_url(secure):
    assert secure.url == f"wss://127.0.0.1:{secure.port}/"
    assert secure.is_secure
    for target in (secure, secure.url, f"wss://localhost:{secure.port}/"):
        with wslab.connect(target) as client:
            client.send("secret")
            assert client.recv(timeout=5) == "secret"


def test_other_clients_of_this_process_are_told_to(secure):
    assert says(secure, "x", ssl=secure.client_tls) == ["x"]

    async def ask():
        async with websockets.connect(secure.url, ssl=secure.client_tls, proxy=None) as client:
            await client.send("y")
            return await client.recv()

    assert wslab.run(ask()) == "y"


def test_nobody_else_trusts_it(secure):
    with pytest.raises(ConnectFailed, match="in its server's own process only"):
        wslab.connect(secure, ssl=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        says(secure, "x")


def test_its_clients_trust_nobody_else():
    with wslab.serve(echo, ssl=peers.server_tls()) as other:
        with pytest.raises(ssl.SSLCertVerificationError):
            says(other, "x", ssl=own_tls(ListenAddress("127.0.0.1", 0, {})).client)
        assert other.client_tls is None


def test_it_is_for_the_name_that_it_listens_on():
    with wslab.serve(echo, "127.0.0.3", tls=True) as server:
        assert says(server, "x", ssl=server.client_tls) == ["x"]
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            says(server, "x", ssl=server.client_tls, server_hostname="chat.example")


def test_a_client_comes_back_to_a_server_that_starts_again():
    with wslab.serve(echo, tls=True) as server:
        with wslab.connect(server, reconnect=True) as client:
            server.restart()
            client.send("again")
            assert client.recv(timeout=10) == "again"


def test_an_application_has_it_too():
    with wslab.serve(application, tls=True) as server:
        with wslab.connect(server) as client:
            client.send("x")
            assert client.recv(timeout=5) == "x"
        with pytest.raises((ConnectionError, ValueError, OSError)):
            get(server)  # plain HTTP


def test_a_tap_reaches_it(secure):
    with wslab.tap(secure) as tap, wslab.connect(tap) as client:
        client.send("through")
        assert client.recv(timeout=5) == "through"


def test_over_a_unix_socket(tmp_path):
    with wslab.serve(echo, unix=True, path=str(tmp_path / "s"), host=None, tls=True) as server:
        with wslab.connect(server) as client:
            assert client.ping() > 0


def test_who_speaks_no_tls_is_not_answered(secure):
    with peers.dial(secure.port, peers.request(secure.port)) as sock:
        assert b"HTTP/1.1 101" not in sock.recv(1000)


def test_nothing_of_it_stays_in_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    opened = []
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda file, *args, **kwargs: (
        opened.append(file), real(file, *args, **kwargs))[1])  # fmt: skip
    own_tls(ListenAddress("127.0.0.1", 0, {}))
    if hasattr(os, "memfd_create"):
        assert [file for file in opened if not isinstance(file, int)] == []
        assert len(os.listdir("/proc/self/fd")) == before
    monkeypatch.delattr(os, "memfd_create", raising=False)
    made = own_tls(ListenAddress("127.0.0.1", 0, {}))  # where there are no files in memory
    assert made.server.cert_store_stats()["x509"] == 0
    assert list(tmp_path.iterdir()) == []


def test_without_trustme_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "trustme", None)
    with pytest.raises(ImportError, match=r"pip install 'wslab\[tls\]'"):
        wslab.serve(echo, tls=True)


def test_one_authority_a_process(secure):
    own_tls(ListenAddress("127.0.0.1", 0, {}))
    assert len(own_certificate._authorities) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls": "on"}, "expected tls=True"),
        ({"tls": True, "ssl": peers.server_tls()}, "not both"),
    ],
)
def test_what_can_not_be(given, said):
    with pytest.raises(TypeError, match=said):
        wslab.serve(echo, **given)
