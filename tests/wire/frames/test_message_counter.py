"""How many messages are in bytes that are cut anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.message_counter import MessageCounter

FRAMES = [
    encode_frame(1, b"hello", mask_key=b"abcd"),
    encode_frame(2, b"", fin=False),
    encode_frame(9, b"ping"),
    encode_frame(0, bytes(300)),
    encode_frame(2, bytes(70_000), mask_key=b"abcd"),
    encode_frame(8, b"\x03\xe8"),
]


@given(st.lists(st.integers(1, 20_000), max_size=200))
def test_any_chunks_give_the_same_number(sizes):
    counter, data = MessageCounter(), b"".join(FRAMES)
    for size in [*sizes, len(data)]:
        counter.feed(data[:size])
        data = data[size:]
    assert counter.messages == 3


def test_byte_by_byte():
    counter = MessageCounter()
    for byte in b"".join(FRAMES):
        counter.feed(bytes([byte]))
    assert counter.messages == 3


def test_what_is_no_frame_is_no_error():
    counter = MessageCounter()
    counter.feed(b"\xff" * 1000)
    counter.feed(b"")


def test_with_patience_it_gives_back_what_it_has_not_looked_into():
    counter, data = MessageCounter(), b"".join(FRAMES) * 3
    rounds = 0
    while data:
        data = counter.feed(data, 4)
        rounds += 1
    assert (counter.messages, rounds) == (9, 5)
