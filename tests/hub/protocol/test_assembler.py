"""Frames that become packets, and those that do not."""

from __future__ import annotations

from wslab.hub.protocol.assembler import Assembler

TEXT = '{"event":"x","binary":2}'


def whole(assembler, *messages):
    """Return of each packet its event, or None, and its frames."""
    return [
        (frames.packet and frames.packet.event, frames.messages)
        for message in messages
        for frames in assembler.receive(message)
    ]


def test_a_packet_is_whole_with_its_last_binary_frame():
    assembler = Assembler()
    assert whole(assembler, '{"event":"a"}') == [("a", ['{"event":"a"}'])]
    assert whole(assembler, TEXT, b"1") == []
    assert assembler.has_begun
    assert whole(assembler, b"2") == [("x", [TEXT, b"1", b"2"])]
    assert not assembler.has_begun


def test_what_is_no_packet_is_handed_back():
    assembler = Assembler()
    assert whole(assembler, "hello", b"bytes") == [(None, ["hello"]), (None, [b"bytes"])]
    assert whole(assembler, TEXT, b"1", '{"event":"a"}') == [
        (None, [TEXT, b"1"]),
        ("a", ['{"event":"a"}']),
    ]
    assert whole(assembler, TEXT, b"1", "hello") == [(None, [TEXT, b"1"]), (None, ["hello"])]


def test_what_has_begun_can_be_taken_out():
    assembler = Assembler()
    assert assembler.take() == []
    assembler.receive(TEXT)
    assembler.receive(b"1")
    assert assembler.take() == [TEXT, b"1"]
    assert assembler.take() == []
