"""How large a text is, and what is left of a packet that is too large."""

from __future__ import annotations

from wslab.hub.dialects.sizes import held_to, size_of
from wslab.hub.protocol.packets import Packet


def test_a_size_is_exact_where_it_matters():
    assert size_of("aé", 8) == 2  # characters, since it cannot reach the limit
    assert size_of("aé", 7) == 3
    assert size_of("ab", 1) == 2
    assert size_of("\ud800", 1) == 3


def test_one_that_is_too_large_keeps_no_data():
    packet = Packet("e", {"a": 1}, id=7, attachments=[b"x"], size_bytes=10, text="{}")
    assert held_to(packet, 10) is packet
    assert (packet.flaw, packet.data) == ("", {"a": 1})
    held_to(packet, 9)
    assert packet.flaw == "too large: expected at most 9 bytes in one message, got 10"
    assert (packet.data, packet.text, packet.attachments, packet.id) == (None, "", [], 7)
