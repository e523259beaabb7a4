"""What the tests of frames share: decoding in a line, and streams that make rules meet."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st

from wslab.wire.frames.decoder import FrameDecoder
from wslab.wire.frames.deflate import Deflate
from wslab.wire.frames.frame import Field, Frame
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.violations import Fault

Sender = Literal["client", "server"]
KEY = bytes.fromhex("37fa213d")
KEPT = settings(max_examples=120, deadline=None, database=None)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def frames_of(items: Iterable[Frame | Fault]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def decode(
    data: bytes, sender: Sender = "server", deflate: Deflate | None = None, **kwargs: Any
) -> list[Frame]:
    """Decode bytes in which no fatal Fault is expected."""
    found = FrameDecoder(sender, deflate, **kwargs).feed(data)
    assert frames_of(found) == found
    return frames_of(found)


def rules(data: bytes, sender: Sender = "server", deflate: Deflate | None = None) -> list[str]:
    """Name the rules broken in each frame: "" for none."""
    return [
        " ".join(fault.rule for fault in frame.faults) for frame in decode(data, sender, deflate)
    ]


def only_fault(data: bytes, sender: Sender = "server", deflate: Deflate | None = None) -> Fault:
    """Return the fault of the last frame; nothing else may be wrong."""
    *before, last = decode(data, sender, deflate)
    assert [fault for frame in before for fault in frame.faults] == []
    (fault,) = last.faults
    return fault


def figures(decoder: FrameDecoder) -> tuple[Any, ...]:
    """Everything that a decoder lets one see of its state."""
    return (
        decoder.frames_seen,
        decoder.bytes_seen,
        decoder.undecodable_bytes,
        decoder.pending.came,
        decoder.opcode_counts,
        decoder.stopped,
        decoder.eof(),
    )


def chunked(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def deflated(*messages: bytes, wbits: int = 15, takeover: bool = True) -> list[bytes]:
    """Compress messages as RFC 7692 says, with nothing but zlib."""
    payloads = []
    compressor = zlib.compressobj(wbits=-wbits)
    for message in messages:
        if not takeover:
            compressor = zlib.compressobj(wbits=-wbits)
        data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\x00\x00\xff\xff")
        payloads.append(data[:-4])
    return payloads


HELLO_FINAL_BLOCK = unhex("c108 f348cdc9c9070000")


def bits_of(fields: Iterable[Field]) -> str:
    """Write the fields one behind the other; each must begin where the last one ended."""
    bits = ""
    for part in fields:
        assert part.bit_offset == len(bits), part
        value = int.from_bytes(part.value, "big") if isinstance(part.value, bytes) else part.value
        bits += f"{value:0{part.bit_length}b}"
        assert len(bits) == part.bit_offset + part.bit_length, part
    return bits


# Strategies. Small pieces that make rules meet: cut characters, close codes, frames out of place.

pieces = st.sampled_from(
    [
        b"", b"a", b"Hello", b"\xc3", b"\xa9", b"\xe2\x82", b"\xac", b"\xed", b"\xa0", b"\xed\xa0",
        b"\xf0\x9f", b"\x98\x80", b"\x03", b"\x03\xe8", b"\x03\xed", b"\x03\xe8\xff", b"x" * 126,
        b"\x00", b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00", b"\xff\xff",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"\xf2\x48\xcd", b"\xc9\xc9\x07\x00",
    ]
)  # fmt: skip
payloads = pieces | st.binary(max_size=6)
rarely = st.integers(0, 9).map(lambda number: number == 0)
opcodes = st.sampled_from([0, 0, 0, 1, 1, 1, 2, 8, 9, 10, 3, 15])
keys = st.binary(min_size=4, max_size=4)


@st.composite
def frame_bytes(draw: st.DrawFn, rsv1: st.SearchStrategy[bool] = rarely) -> bytes:
    """One frame, often in breach of some rule."""
    payload = draw(payloads)
    forms = [None, None, None, None, 16, 64] if len(payload) < 126 else [None, 64]
    return encode_frame(
        draw(opcodes),
        payload,
        fin=draw(st.booleans()),
        rsv1=draw(rsv1),
        rsv2=draw(rarely),
        mask_key=None if draw(rarely) else draw(keys),
        length_form=draw(st.sampled_from(forms)),
    )


any_frame = frame_bytes()
noise = st.binary(max_size=12) | st.just(unhex("827fffffffffffffffff"))
streams = st.lists(frame_bytes(st.booleans()) | any_frame, max_size=12).map(b"".join)
spoiled = st.builds(lambda head, bad, tail: head + bad + tail, streams, noise, streams)
deflates = st.none() | st.builds(
    Deflate, st.booleans(), st.booleans(), st.integers(8, 15), st.integers(8, 15)
)
cuts = st.lists(st.integers(0, 2000), max_size=6)
senders: st.SearchStrategy[Sender] = st.sampled_from(["client", "server"])
limits = st.none() | st.integers(0, 8) | st.integers(120, 130)
