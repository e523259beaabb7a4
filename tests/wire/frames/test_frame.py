"""A frame as a value, and its fields bit by bit."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.framing import KEPT, KEY, any_frame, bits_of, decode, frames_of, unhex
from wslab.wire.frames.decoder import FrameDecoder
from wslab.wire.frames.deflate import Deflate
from wslab.wire.frames.frame import Frame
from wslab.wire.frames.layout import encode_frame


class TestFields:
    def test_of_a_masked_text(self) -> None:
        (frame,) = decode(unhex("8185 37fa213d 7f9f4d5158"), "client")
        assert [(f.name, f.bit_offset, f.bit_length, f.value) for f in frame.fields] == [
            ("FIN", 0, 1, 1),
            ("RSV1", 1, 1, 0),
            ("RSV2", 2, 1, 0),
            ("RSV3", 3, 1, 0),
            ("opcode", 4, 4, 1),
            ("MASK", 8, 1, 1),
            ("payload length", 9, 7, 5),
            ("masking key", 16, 32, KEY),
            ("payload", 48, 40, unhex("7f9f4d5158")),
        ]
        meanings = {f.name: (f.meaning, f.section) for f in frame.fields}
        assert meanings["opcode"] == ("text", "5.2")
        assert meanings["FIN"] == ("last frame of the message", "5.2")
        assert meanings["MASK"] == ("masked", "5.1")
        assert meanings["payload length"] == ("5 bytes", "5.2")
        assert meanings["payload"] == ("5 bytes of text, masked", "5.2")

    @pytest.mark.parametrize(("size", "form", "short"), [(126, 16, 126), (65536, 64, 127)])
    def test_of_an_extended_length(self, size: int, form: int, short: int) -> None:
        (frame,) = decode(encode_frame(2, bytes(size)))
        by_name = {f.name: f for f in frame.fields}
        assert by_name["payload length"].value == short
        assert by_name["payload length"].meaning == f"the length is in the next {form} bits"
        extended = by_name["extended length"]
        assert (extended.bit_offset, extended.bit_length, extended.value) == (16, form, size)

    def test_rsv1_tells_what_it_is_for(self) -> None:
        (plain,) = decode(unhex("c100"))
        (compressed,) = decode(unhex("c101 00"), deflate=Deflate())
        assert plain.fields[1].meaning == "set, but nothing was agreed that uses it"
        assert compressed.fields[1].meaning == "compressed message (RFC 7692)"

    @KEPT
    @given(st.data())
    def test_put_together_they_are_the_frame(self, data: st.DataObject) -> None:
        raw = data.draw(any_frame)
        (frame,) = frames_of(FrameDecoder("client").feed(raw))
        expected = "".join(f"{byte:08b}" for byte in raw)
        assert bits_of(frame.fields) == expected
        header = [f for f in frame.fields if f.name != "payload"]
        assert bits_of(header) == expected[: 8 * frame.header_size_bytes]


class TestFrame:
    def test_is_a_value(self) -> None:
        (frame,) = decode(unhex("8105 48656c6c6f"))
        assert frame == Frame(unhex("8105"), b"Hello", message_opcode=1)
        assert hash(frame) == hash(Frame(unhex("8105"), b"Hello", message_opcode=1))
        with pytest.raises(dataclasses.FrozenInstanceError):
            frame.header = b""  # type: ignore[misc]

    def test_unmasks_when_asked_and_remembers(self) -> None:
        (frame,) = decode(unhex("8285 37fa213d 7f9f4d5158"), "client")
        assert frame.payload == b"Hello"
        assert frame.payload is frame.payload

    @pytest.mark.parametrize(
        ("data", "shown"),
        [
            ("8105 48656c6c6f", "<Frame text, 5 B, 'Hello'>"),
            ("0103 48656c", "<Frame text, to be continued, 3 B, 'Hel'>"),
            ("8805 03e9 627965", "<Frame close, 5 B, 1001 'bye'>"),
            ("8300", "<Frame reserved 0x3, 0 B, reserved-opcode>"),
            ("8980 00000000", "<Frame ping, 0 B, masked, masked-server>"),
        ],
    )
    def test_repr(self, data: str, shown: str) -> None:
        assert repr(decode(unhex(data))[0]) == shown
