"""Which addresses may be in an entry, and under which a listening socket is reached."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from wslab.tunnel.registry.addresses import checked, loopback


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80)),
        (("0.0.0.0", 80), ("127.0.0.1", 80)),
        (("::", 80, 0, 0), ("::1", 80)),
        (("::1", 80, 0, 0), ("::1", 80)),
        (("127.0.0.2", 80), ("127.0.0.2", 80)),
        (("192.0.2.1", 80), None),
        ("relative", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_socket_is_reached_by(name: Any, expected: Any) -> None:
    assert loopback(name) == expected


@pytest.mark.parametrize(
    "address", [("localhost", 80), ("127.0.0.1", 0), ("127.0.0.1", 65536), ("127.0.0.1", True), 80]
)
def test_what_leads_elsewhere_is_refused(address: Any) -> None:
    with pytest.raises(ValueError, match="expected an address on this machine's loopback"):
        checked(address)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_a_path_is_a_socket_of_this_user_or_not_there_yet(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert checked(path) == path  # connecting will say that nobody is there
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        assert loopback(os.fsencode(path)) == path
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a Unix socket of this user"):
        checked(str(tmp_path / "file"))
