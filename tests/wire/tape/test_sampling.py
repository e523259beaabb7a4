"""SamplingReader beside TapeReader: the counts agree whatever is passed over."""

from __future__ import annotations

import random
import zlib

import pytest

from wslab.wire.events import (
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    FrameEvent,
    PongEvent,
    ResponseEvent,
)
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.sampling import SamplingReader
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track

KEY = b"\x37\xfa\x21\x3d"
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def opened(tape: Tape, connection_id: str = "c1", *, deflate: bool = False) -> Track:
    track = tape.open(connection_id, client_address="a:1", server_address="b:2")
    track.client(REQUEST)
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    track.server(RESPONSE + extension + b"\r\n")
    return track


def text(number: int) -> bytes:
    return encode_frame(Opcode.TEXT, f"message {number}".encode(), mask_key=KEY)


def frames_of(events) -> list[FrameEvent]:
    return [event for event in events if isinstance(event, FrameEvent)]


def everything(reader: SamplingReader, limit: int, keep: int) -> list:
    events = []
    while not reader.is_idle:
        events += reader.sample(limit, keep)
    return events


def test_without_load_it_gives_what_a_reader_gives():
    tape = Tape()
    track = opened(tape)
    for number in range(50):
        track.client(text(number))
        track.server(encode_frame(Opcode.TEXT, b"yes"))
    track.client(encode_frame(Opcode.CLOSE, b"\x03\xe8", mask_key=KEY))
    track.end()
    reader = SamplingReader(tape.recorder)
    assert everything(reader, limit=7, keep=1_000) == tape.read()
    assert reader.passed_over == 0


def test_of_too_many_frames_the_latest_are_kept_and_all_are_counted():
    tape = Tape()
    track = opened(tape)
    for number in range(1_000):
        track.client(text(number))
    reader = SamplingReader(tape.recorder)
    events = reader.sample(limit=10, keep=30)
    frames = frames_of(events)
    assert [frame.text for frame in frames] == [f"message {n}" for n in range(970, 980)]
    assert [frame.number for frame in frames] == list(range(971, 981))
    assert reader.passed_over == 970
    assert reader.waiting == 20
    assert any(isinstance(event, ResponseEvent) for event in events)
    tally = reader.tally()["client"]
    assert (tally.frames, tally.opcodes[Opcode.TEXT]) == (1_000, 1_000)
    assert tally.size_bytes == sum(len(text(number)) for number in range(1_000))
    rest = everything(reader, 10, 30)
    assert [frame.text for frame in frames_of(rest)] == [f"message {n}" for n in range(980, 1_000)]


def test_control_frames_and_the_end_come_through_any_load():
    tape = Tape()
    track = opened(tape)
    for number in range(500):
        track.client(text(number))
    track.server(encode_frame(Opcode.PING, b"p1"))
    for number in range(500):
        track.client(text(number))
    track.client(encode_frame(Opcode.PONG, b"p1", mask_key=KEY))
    track.client(encode_frame(Opcode.CLOSE, b"\x03\xe8bye", mask_key=KEY))
    track.server(encode_frame(Opcode.CLOSE, b"\x03\xe8"))
    track.end()
    for _ in range(100):
        opened(tape, "c2").client(text(1))
    reader = SamplingReader(tape.recorder)
    events = everything(reader, limit=1, keep=1)
    assert [event.payload for event in events if isinstance(event, PongEvent)] == [b"p1"]
    closes = [(e.code, e.is_answer) for e in events if isinstance(e, CloseEvent)]
    assert closes == [(1000, False), (1000, True)]
    assert [event.is_clean for event in events if isinstance(event, EndedEvent)] == [True]
    assert reader.tally()["client"].frames == 1_102
    assert reader.passed_over + len(frames_of(events)) == 1_104


def test_a_chunk_of_many_frames_is_cut():
    tape = Tape()
    track = opened(tape)
    track.client(b"".join(text(number) for number in range(5_000)))
    reader = SamplingReader(tape.recorder)
    frames = frames_of(reader.sample(limit=20, keep=20))
    assert 15 <= len(frames) <= 25
    frames += frames_of(everything(reader, 20, 20))
    assert frames[-1].text == "message 4999"
    assert reader.passed_over + len(frames) == 5_000


def test_bytes_that_the_tape_dropped_are_told_and_counted():
    tape = Tape(max_bytes=64 * 1024)
    track = opened(tape)
    reader = SamplingReader(tape.recorder)
    reader.sample(10, 10)
    for number in range(20_000):
        track.client(text(number))
    events = everything(reader, limit=10, keep=10)
    dropped = [event for event in events if isinstance(event, DroppedEvent)]
    assert [event.sender for event in dropped] == ["client"]
    assert reader.tally()["client"].frames == 20_000
    assert dropped[0].frames + reader.passed_over + len(frames_of(events)) == 20_000


def test_what_was_read_to_its_end_is_neither_counted_again_nor_said_to_be_dropped():
    tape = Tape(max_bytes=64 * 1024)
    reader = SamplingReader(tape.recorder)
    first, other = opened(tape, "c1"), opened(tape, "c2")
    for number in range(10):
        first.client(text(number))
    first.end()
    everything(reader, 100, 100)
    for number in range(20_000):
        other.client(text(number))
    events = everything(reader, 10, 10)
    assert {e.connection_id for e in events if isinstance(e, DroppedEvent)} == {"c2"}
    assert reader.tally()["client"].frames == 20_010


def test_a_call_takes_a_bounded_share_of_the_tape():
    tape = Tape()
    track = opened(tape)
    for number in range(5_000):
        track.client(text(number))
    reader = SamplingReader(tape.recorder)
    reader.sample(10, 10, max_chunks=1_000)
    assert 900 <= reader.tally()["client"].frames <= 2_000
    assert not reader.is_idle
    frames = []
    while not reader.is_idle:
        frames += frames_of(reader.sample(10, 10, max_chunks=1_000))
    assert frames[-1].text == "message 4999"
    assert reader.tally()["client"].frames == 5_000


def test_a_big_tape_is_caught_up_with():
    tape = Tape()
    track = opened(tape)
    for number in range(60_000):
        track.client(text(number))
    track.server(encode_frame(Opcode.TEXT, b"last"))
    reader = SamplingReader(tape.recorder)
    reader.catch_up(100)
    assert reader.waiting == 100
    frames = frames_of(everything(reader, 100, 100))
    assert frames[-1].text == "last"
    assert reader.tally()["client"].frames == 60_000
    assert reader.passed_over == 60_001 - 100


@pytest.mark.parametrize("seed", range(8))
def test_counts_agree_with_a_full_reading_for_random_traffic(seed):
    rng = random.Random(seed)
    tape = Tape()
    deflater = zlib.compressobj(wbits=-15)
    tracks = [opened(tape, f"c{n}", deflate=True) for n in range(3)]
    stream: list[tuple[Track, bytes]] = []
    for number in range(1_500):
        track = rng.choice(tracks)
        if track is tracks[0] and rng.random() < 0.3:
            data = deflater.compress(f"compressed {number}".encode())
            data = (data + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
            stream.append((track, encode_frame(Opcode.TEXT, data, rsv1=True, mask_key=KEY)))
        elif rng.random() < 0.1:
            stream.append((track, encode_frame(Opcode.PING, b"x", mask_key=KEY)))
        else:
            payload = bytes(rng.choice((0, 3, 125, 126, 5_000)))
            stream.append((track, encode_frame(Opcode.BINARY, payload, mask_key=KEY)))
    reader = SamplingReader(tape.recorder)
    sampled: list = []
    for track, data in stream:
        cut = rng.randrange(len(data) + 1)
        track.client(data[:cut])
        track.client(data[cut:])
        if rng.random() < 0.05:
            sampled += reader.sample(rng.randrange(1, 30), rng.randrange(1, 60))
    sampled += everything(reader, 10, 10)
    whole = frames_of(tape.read())
    drawn = {(event.connection_id, event.number): event.frame for event in frames_of(sampled)}
    for event in whole:
        frame = drawn.get((event.connection_id, event.number))
        if event.frame.is_control:
            assert frame is not None
        if frame is not None:
            assert frame.raw == event.frame.raw
            assert frame.inflated == event.frame.inflated
    assert len(drawn) + reader.passed_over == len(whole)
    tally = reader.tally()["client"]
    assert tally.frames == len(whole)
    assert tally.size_bytes == sum(event.size_bytes for event in whole)
    for opcode in Opcode:
        assert tally.opcodes[opcode] == sum(event.opcode == opcode for event in whole)
