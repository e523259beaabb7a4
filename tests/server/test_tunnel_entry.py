"""A server's entry for Jupyter's server: made, or said why not, and serving goes on."""

from __future__ import annotations

import socket

import pytest

from wslab import tunnel
from wslab.server.tunnel_entry import TunnelEntry


@pytest.fixture
def listening(monkeypatch, tmp_path):
    """A socket that listens, in a process that Jupyter seems to have started."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_it_is_one_file_until_it_is_removed(listening, tmp_path):
    entry = TunnelEntry()
    assert entry.register([listening], is_secure=False, name="echo") == ""
    [file] = tmp_path.iterdir()
    assert file.name.startswith("wslab-")
    assert entry.id == ""  # no tunnel is there to see it
    entry.remove()
    entry.remove()
    assert not list(tmp_path.iterdir())


def test_who_shows_another_secret_was_not_let_in(listening):
    from websockets.datastructures import Headers

    entry = TunnelEntry()
    assert not entry.let_in(Headers())
    entry.register([listening], is_secure=False, name="echo")
    headers = Headers({"Wslab-Tunnel-Secret": "guessed"})
    assert not entry.let_in(headers)
    assert "Wslab-Tunnel-Secret" not in headers
    entry.remove()


def test_a_failure_is_returned_in_words(listening, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tunnel, "register", full)
    entry = TunnelEntry()
    said = entry.register([listening], is_secure=False, name="echo")
    assert said.startswith("browsers can't come through Jupyter's server: ")
    assert "No space left" in said
    assert entry.id == ""
