"""What a Hub is told about Socket.IO: the reference server's defaults, and what is refused."""

from __future__ import annotations

import pytest

from wslab.hub.engineio.settings import SocketIO


def test_the_defaults_are_the_reference_servers():
    settings = SocketIO()
    assert (settings.ping_interval_s, settings.ping_timeout_s) == (25.0, 20.0)
    assert (settings.max_payload, settings.path) == (1_000_000, "/socket.io/")


def test_a_path_ends_with_a_slash():
    assert SocketIO(path="/chat").path == "/chat/"


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"ping_interval_s": 0}, ValueError, "expected ping_interval_s as a number of seconds"),
        ({"ping_timeout_s": "20"}, TypeError, "got str '20'"),
        ({"upgrade_timeout_s": float("inf")}, ValueError, "got inf"),
        ({"max_payload": 1.5}, TypeError, "expected max_payload as a number of bytes"),
        ({"path": "chat"}, ValueError, "expected path to begin with /"),
        ({"origins": "https://example.org"}, TypeError, "expected origins as a list"),
        ({"polling": 1}, TypeError, "expected polling as True or False"),
    ],
)
def test_what_is_refused(given, kind, said):
    with pytest.raises(kind, match=said):
        SocketIO(**given)
