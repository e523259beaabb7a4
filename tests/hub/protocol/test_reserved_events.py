"""Words that would never be an event: each says what to write in its place."""

from __future__ import annotations

import pytest

from wslab.hub.protocol.reserved_events import OF_SOCKET_IO, for_clients, for_hubs


@pytest.mark.parametrize("event", sorted(OF_SOCKET_IO))
def test_words_of_socket_io_mean_nothing_on_either_side(event):
    assert len(for_hubs(event)) > 20
    assert len(for_clients(event)) > 20


def test_each_side_has_words_of_its_own():
    assert "hub itself" in for_hubs("welcome")
    assert "connect() returns" in for_clients("connect")
    assert for_hubs("connect") == for_clients("welcome") == ""
    assert for_hubs("chat") == for_clients("chat") == ""
