"""permessage-deflate: the examples of RFC 7692, parameters, and streams meant to do harm."""

from __future__ import annotations

import random
import time
import tracemalloc
import zlib

import pytest

from tests.wire.framing import (
    HELLO_FINAL_BLOCK,
    KEY,
    Sender,
    decode,
    deflated,
    frames_of,
    only_fault,
    rules,
    unhex,
)
from wslab.wire.frames.decoder import FrameDecoder
from wslab.wire.frames.deflate import Deflate
from wslab.wire.frames.frame import Frame
from wslab.wire.frames.layout import encode_frame


class TestExamplesOfTheDeflateRfc:
    """RFC 7692 section 7.2.3."""

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(unhex("c107 f248cdc9c90700"), id="7.2.3.1"),
            pytest.param(unhex("c10b 000500faff48656c6c6f00"), id="7.2.3.3-stored"),
            pytest.param(HELLO_FINAL_BLOCK, id="7.2.3.4-final-block"),
            pytest.param(unhex("c10d f248050000 00ffffcac9c90700"), id="7.2.3.5-two-blocks"),
        ],
    )
    def test_hello(self, data: bytes) -> None:
        (frame,) = decode(data, deflate=Deflate())
        assert (frame.inflated, frame.text, frame.content) == (b"Hello", "Hello", b"Hello")
        assert (frame.compressed, frame.faults) == (True, ())
        assert frame.payload == data[2:]

    def test_7_2_3_1_fragments(self) -> None:
        first, last = decode(unhex("4103 f248cd 8004 c9c90700"), deflate=Deflate())
        assert (first.inflated or b"") + (last.inflated or b"") == b"Hello"
        assert (first.text or "") + (last.text or "") == "Hello"
        assert (last.rsv1, last.compressed, last.faults) == (False, True, ())

    def test_7_2_3_2_the_window_is_shared(self) -> None:
        first, second = decode(unhex("c107 f248cdc9c90700 c105 f200110000"), deflate=Deflate())
        assert (first.text, second.text) == ("Hello", "Hello")

    def test_7_2_3_2_not_without_takeover(self) -> None:
        deflate = Deflate(server_no_context_takeover=True)
        fault = only_fault(unhex("c107 f248cdc9c90700 c105 f200110000"), deflate=deflate)
        assert (fault.rule, fault.rfc, fault.section) == ("bad-deflate", 7692, "7.2.2")

    def test_7_2_3_4_the_window_outlives_a_final_block(self) -> None:
        first, second = decode(HELLO_FINAL_BLOCK + unhex("c105 f200110000"), deflate=Deflate())
        assert (first.text, second.text, second.faults) == ("Hello", "Hello", ())

    def test_7_2_3_6_empty_message(self) -> None:
        (frame,) = decode(unhex("c101 00"), deflate=Deflate())
        assert (frame.inflated, frame.text, frame.faults) == (b"", "", ())


class TestDeflateParameters:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("permessage-deflate", Deflate()),
            (
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=9",
                Deflate(False, False, 12, 9),
            ),
            (
                "permessage-deflate;server_no_context_takeover ; client_no_context_takeover",
                Deflate(True, True),
            ),
            ('permessage-deflate; client_max_window_bits="10"', Deflate(False, False, 15, 10)),
            (
                "x-other; a=1, permessage-deflate; server_max_window_bits=8",
                Deflate(False, False, 8),
            ),
            ("", None),
            ("x-webkit-deflate-frame", None),
            ("permessage-deflate; client_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=7", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=012", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            (
                "permessage-deflate; server_max_window_bits=12; server_max_window_bits=12",
                None,
            ),
            ("permessage-deflate; unheard_of", None),
        ],
    )
    def test_parse(self, header: str, expected: Deflate | None) -> None:
        assert Deflate.parse(header) == expected

    @pytest.mark.parametrize("bits", [7, 16])
    def test_window_bits_out_of_range(self, bits: int) -> None:
        with pytest.raises(ValueError, match=f"client_max_window_bits from 8 to 15, got {bits}"):
            Deflate(client_max_window_bits=bits)

    @pytest.mark.parametrize("sender", ["client", "server"])
    def test_each_side_has_its_own(self, sender: Sender) -> None:
        first, second = deflated(b"Hello", b"Hello")
        data = b"".join(
            encode_frame(1, payload, rsv1=True, mask_key=KEY if sender == "client" else None)
            for payload in (first, second)
        )
        keeps = {"client": Deflate(True, False), "server": Deflate(False, True)}[sender]
        forgets = {"client": Deflate(False, True), "server": Deflate(True, False)}[sender]
        assert rules(data, sender, keeps) == ["", ""]
        assert rules(data, sender, forgets) == ["", "bad-deflate"]


class TestInflateSafety:
    @pytest.mark.parametrize("after_final_block", [False, True])
    def test_a_bomb_stays_small(self, after_final_block: bool) -> None:
        compressor = zlib.compressobj(9, wbits=-15)
        bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(128))
        bomb += compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        if after_final_block:  # one that fills the bound to the last byte
            compressor = zlib.compressobj(9, wbits=-15)
            bomb = compressor.compress(bytes(1 << 20)) + compressor.flush() + bomb
        data = encode_frame(2, bomb, rsv1=True)
        decoder = FrameDecoder("server", Deflate(), max_inflated=1 << 20)
        tracemalloc.start()
        try:
            (frame,) = decoder.feed(data)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(frame, Frame)
        (fault,) = frame.faults
        assert (fault.rule, fault.close_code) == ("inflated-beyond-bound", 1009)
        assert f"at most {1 << 20} bytes once inflated" in fault.message
        assert (frame.inflated, frame.text) == (None, None)
        assert peak_bytes < 6 * (1 << 20)

    @pytest.mark.parametrize("takeover", [True, False])
    def test_the_bound_is_for_the_message(self, takeover: bool) -> None:
        deflate = Deflate(server_no_context_takeover=not takeover)
        exact, over, after = deflated(bytes(1000), bytes(1001), b"Hello", takeover=takeover)
        data = b"".join(
            (
                encode_frame(2, exact[:3], fin=False, rsv1=True) + encode_frame(0, exact[3:]),
                encode_frame(2, over[:3], fin=False, rsv1=True) + encode_frame(0, over[3:]),
                encode_frame(1, after, rsv1=True),
            )
        )
        found = decode(data, "server", deflate, max_inflated=1000)
        names = [[fault.rule for fault in frame.faults] for frame in found]
        last = ["deflate-context-lost"] if takeover else []
        assert names == [[], [], [], ["inflated-beyond-bound"], last]
        assert (found[0].inflated or b"") + (found[1].inflated or b"") == bytes(1000)
        assert found[4].text == (None if takeover else "Hello")

    def test_a_bad_stream_is_told_on_each_frame_that_it_spoils(self) -> None:
        good, _, after = deflated(b"one", b"two", b"three")
        data = b"".join(encode_frame(1, p, rsv1=True) for p in (good, b"\xff\xff\xff", after))
        data += encode_frame(1, b"plain")
        assert rules(data, deflate=Deflate()) == ["", "bad-deflate", "deflate-context-lost", ""]

    def test_a_window_that_is_too_small(self) -> None:
        message = random.Random(1).randbytes(2000)
        data = b"".join(encode_frame(2, p, rsv1=True) for p in deflated(message, message))
        assert rules(data, deflate=Deflate(server_max_window_bits=12)) == ["", ""]
        fault = only_fault(data, deflate=Deflate(server_max_window_bits=9))
        assert fault.rule == "bad-deflate"
        assert "for a window of 2^9 bytes; came something else" in fault.message
        assert "too far back" in fault.message

    def test_an_interrupted_compressed_message(self) -> None:
        one, two = deflated(b"first message", b"second message")
        data = encode_frame(1, one[:4], fin=False, rsv1=True) + encode_frame(1, two, rsv1=True)
        assert rules(data, deflate=Deflate()) == ["", "message-interrupted deflate-context-lost"]
        fresh = deflated(b"first message", b"second message", takeover=False)
        data = encode_frame(1, fresh[0][:4], fin=False, rsv1=True)
        data += encode_frame(1, fresh[1], rsv1=True)
        frames = decode(data, deflate=Deflate(server_no_context_takeover=True))
        assert [fault.rule for fault in frames[1].faults] == ["message-interrupted"]
        assert frames[1].text == "second message"

    def test_many_final_blocks_are_refused_in_linear_time(self) -> None:
        # Each "03 00" is a whole stream of its own that holds nothing.
        data = encode_frame(2, b"\x03\x00" * 500_000, rsv1=True)
        start_s = time.perf_counter()
        fault = only_fault(data, deflate=Deflate())
        assert time.perf_counter() - start_s < 2
        assert "final blocks" in fault.message

    def test_without_takeover_a_final_block_sees_no_earlier_message(self) -> None:
        data = unhex("c107 f248cdc9c90700 c107 0300 f200110000")
        assert rules(data, deflate=Deflate()) == ["", ""]
        assert rules(data, deflate=Deflate(server_no_context_takeover=True)) == ["", "bad-deflate"]

    def test_a_final_block_after_much_data(self) -> None:
        # The window that the decoder kept must be the last 32 KiB, across all its trimming.
        noise = [random.Random(i).randbytes(7000) for i in range(40)]
        compressor = zlib.compressobj(wbits=-15)
        decoder = FrameDecoder("server", Deflate())
        for message in noise:
            payload = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
            (frame,) = frames_of(decoder.feed(encode_frame(2, payload[:-4], rsv1=True)))
            assert frame.inflated == message
        decoder.feed(HELLO_FINAL_BLOCK)
        window = (b"".join(noise) + b"Hello")[-32768:]
        compressor = zlib.compressobj(wbits=-15, zdict=window)
        # zlib itself refers back no farther than 32 KiB less 262 bytes.
        payload = compressor.compress(window[300:]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert len(payload) < 1000  # nearly all of it refers back
        (frame,) = frames_of(decoder.feed(encode_frame(2, payload[:-4], rsv1=True)))
        assert (frame.inflated, frame.faults) == (window[300:], ())
