"""Bytes of frames built by hand, and masks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import apply_mask as reference_apply_mask

from tests.wire.framing import KEPT, KEY, unhex
from wslab.wire.frames.layout import apply_mask, encode_frame
from wslab.wire.frames.opcodes import Opcode


class TestEncode:
    def test_examples_of_the_rfc(self) -> None:
        assert encode_frame(Opcode.TEXT, b"Hello") == unhex("8105 48656c6c6f")
        assert encode_frame(1, b"Hello", mask_key=KEY) == unhex("8185 37fa213d 7f9f4d5158")
        assert encode_frame(1, b"Hel", fin=False) == unhex("0103 48656c")
        assert encode_frame(Opcode.PING) == unhex("8900")

    def test_every_bit(self) -> None:
        assert encode_frame(15, fin=False, rsv1=True) == unhex("4f00")
        assert encode_frame(0, rsv2=True) == unhex("a000")
        assert encode_frame(0, rsv3=True) == unhex("9000")

    def test_forced_forms(self) -> None:
        assert encode_frame(1, b"A", length_form=7) == unhex("8101 41")
        assert encode_frame(1, b"A", length_form=16) == unhex("817e0001 41")
        assert encode_frame(1, b"A", length_form=64) == unhex("817f0000000000000001 41")

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"opcode": 16}, "opcode from 0 to 15 .* got 16"),
            ({"opcode": -1}, "opcode from 0 to 15 .* got -1"),
            ({"length_form": 8}, "length_form 7, 16, 64 or None, got 8"),
            ({"payload": bytes(126), "length_form": 7}, "at most 125 bytes in a 7-bit .* got 126"),
            ({"payload": bytes(65536), "length_form": 16}, "at most 65535 bytes .* got 65536"),
            ({"mask_key": b"abc"}, "masking key of 4 bytes, got 3"),
        ],
    )
    def test_what_does_not_fit(self, kwargs: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            encode_frame(**{"opcode": 1, **kwargs})

    def test_text_must_be_encoded_first(self) -> None:
        with pytest.raises(TypeError, match=r"bytes, got str\. .*text\.encode\(\)"):
            encode_frame(1, "Hello")  # type: ignore[arg-type]

    @KEPT
    @given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
    def test_mask_agrees_with_websockets(self, data: bytes, key: bytes) -> None:
        masked = apply_mask(data, key)
        assert masked == reference_apply_mask(data, key)
        assert apply_mask(masked, key) == data
