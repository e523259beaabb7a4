"""A stretch of a tape: chunks end to end, and copies from any of them on."""

from __future__ import annotations

import pytest

from wslab.wire.tape.segment import CHUNK_BYTES, KINDS, Segment

CHUNKS = [(0.5, 3, 2, b""), (1.0, 3, 0, b"one"), (1.5, 4, 1, b""), (2.0, 3, 1, b"three")]


def filled() -> Segment:
    segment = Segment()
    for at_s, number, kind, data in CHUNKS:
        segment.data += data
        segment.times.append(at_s)
        segment.marks.append(number << 2 | kind)
        segment.ends.append(len(segment.data))
    return segment


def test_gives_what_was_put_in():
    assert [*filled().chunks()] == CHUNKS
    assert len(filled()) == len(CHUNKS)
    assert filled().size_bytes == len(b"onethree") + CHUNK_BYTES * len(CHUNKS)
    assert KINDS == ("client", "server", "opened", "ended")


@pytest.mark.parametrize("first", range(len(CHUNKS) + 1))
def test_a_copy_from_any_chunk_on(first):
    segment = filled()
    copy = segment.since(first)
    assert [*copy.chunks()] == CHUNKS[first:]
    segment.data += b"more"
    assert [*copy.chunks()] == CHUNKS[first:]
