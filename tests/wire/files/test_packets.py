"""Ends of TCP connections, as far as they are known."""

from __future__ import annotations

import ipaddress

import pytest

from wslab.wire.files.packets import Endpoints, split_address


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "host", "port"),
        [
            ("127.0.0.1:8765", "127.0.0.1", 8765),
            ("[::1]:8765", "::1", 8765),
            ("::1:8765", "::1", 8765),
            ("[fe80::1%eth0]:80", "fe80::1", 80),
            ("localhost:80", "127.0.0.1", 80),
        ],
    )
    def test_read(self, text, host, port):
        assert split_address(text) == (ipaddress.ip_address(host), port)

    @pytest.mark.parametrize("text", ["", "x", "example.org:80", "127.0.0.1:0", "1.2.3.4:65536"])
    def test_not_read(self, text):
        assert split_address(text) is None

    def test_what_is_not_known_is_made_up(self):
        ends = Endpoints.read("", "", 3)
        assert ends.server == (ipaddress.ip_address("127.0.0.1"), 80)
        assert ends.client == (ipaddress.ip_address("127.0.0.1"), 50003)

    def test_of_two_kinds(self):
        ends = Endpoints.read("[::1]:5000", "127.0.0.1:8765", 0)
        assert ends.version == 6
        assert ends.server == (ipaddress.ip_address("::ffff:127.0.0.1"), 8765)
