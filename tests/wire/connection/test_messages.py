"""Messages put together from frames."""

from __future__ import annotations

import pytest

from tests.wire.connection.telling import kinds, of, opened, tell
from tests.wire.taping import MASK, Compressor
from wslab.wire.events import (
    FaultEvent,
    FrameEvent,
    MessageEvent,
)
from wslab.wire.frames.layout import encode_frame


class TestMessages:
    def test_fragments_with_a_ping_between(self):
        reader = opened()
        events = tell(reader, ("server", b"\x01\x02He"), ("server", b"\x89\x00\x80\x03llo"))
        (message,) = of(MessageEvent, events)
        assert (message.data, message.fragments, message.wire_bytes) == ("Hello", 2, 9)
        assert (message.began_s, message.at_s) == (0, 1)
        assert [event.number for event in of(FrameEvent, events)] == [1, 2, 3]

    def test_compressed(self):
        reader, compress = opened(deflate=True), Compressor()
        for text in ("Hello", "Hello again", "Hello"):
            raw = encode_frame(1, compress(text.encode()), rsv1=True, mask_key=MASK)
            _, message = tell(reader, ("client", raw))
            assert isinstance(message, MessageEvent)
            assert (message.data, message.compressed) == (text, True)
            assert message.wire_bytes == len(raw)

    def test_binary(self):
        (message,) = of(MessageEvent, tell(opened(), ("server", b"\x82\x02\xff\xfe")))
        assert message.data == b"\xff\xfe"

    @pytest.mark.parametrize(
        ("data", "rules"),
        [
            (b"\x81\x01\xff", ["text-not-utf8"]),
            (b"\x80\x01a", ["unexpected-continuation"]),
            (b"\x83\x01a", ["reserved-opcode"]),
        ],
    )
    def test_what_is_no_message(self, data, rules):
        events = tell(opened(), ("server", data))
        assert kinds(events) == ["frame"] + ["fault"] * len(rules)
        assert [event.fault.rule for event in of(FaultEvent, events)] == rules

    def test_an_interrupted_one_is_lost_and_the_next_is_not(self):
        events = tell(opened(), ("server", b"\x01\x02He\x81\x02hi"))
        assert [event.data for event in of(MessageEvent, events)] == ["hi"]

    def test_what_cannot_be_inflated(self):
        events = tell(opened(deflate=True), ("server", b"\xc1\x03\xff\xff\xff"))
        assert kinds(events) == ["frame", "fault"]

    def test_a_fatal_fault_is_told_once(self):
        reader = opened()
        bad = bytes.fromhex("827f8000000000000000")
        assert kinds(tell(reader, ("server", bad), ("server", b"\x81\x00"))) == ["fault"]
