"""One connection read as events: pings, the end, and what was passed over."""

from __future__ import annotations

import random

import pytest

from tests.wire.connection.telling import ANSWER, GET, REQUEST, kinds, of, opened, tell
from tests.wire.taping import MASK, Compressor, close, masked
from wslab.wire.connection.reader import ConnectionReader
from wslab.wire.events import (
    CloseEvent,
    EndedEvent,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    PongEvent,
)
from wslab.wire.frames.layout import encode_frame

OK = b"HTTP/1.1 200 OK\r\n%s\r\nhi"


class TestPings:
    def test_a_pong_tells_the_round_trip(self):
        reader = opened()
        tell(reader, ("server", b"\x89\x01x"), start_s=10)
        _, pong = tell(reader, ("client", masked(10, b"x")), start_s=10.25)
        assert pong == PongEvent(
            at_s=10.25, connection_id="a1", sender="client", payload=b"x", round_trip_s=0.25
        )

    def test_a_pong_answers_all_before_it(self):
        reader = opened()
        tell(reader, ("server", b"\x89\x01a"), ("server", b"\x89\x01b"), ("server", b"\x89\x01c"))
        assert len(of(PongEvent, tell(reader, ("client", masked(10, b"b"))))) == 1
        assert of(PongEvent, tell(reader, ("client", masked(10, b"a")))) == []
        assert len(of(PongEvent, tell(reader, ("client", masked(10, b"c"))))) == 1

    def test_pings_that_look_alike_are_answered_in_order(self):
        reader = opened()
        tell(reader, ("server", b"\x89\x00"), ("server", b"\x89\x00"))
        pongs = of(PongEvent, tell(reader, *[("client", masked(10))] * 3, start_s=5))
        assert [pong.round_trip_s for pong in pongs] == [5, 5]

    @pytest.mark.parametrize("sender", ["client", "server"])
    def test_an_unasked_pong_answers_nothing(self, sender):
        reader = opened()
        mask = MASK if sender == "client" else None
        tell(reader, (sender, encode_frame(9, b"x", mask_key=mask)))
        assert kinds(tell(reader, (sender, encode_frame(10, b"x", mask_key=mask)))) == ["frame"]

    def test_a_thousand_unanswered_ones_are_not_kept(self):
        reader = opened()
        for number in range(1000):
            tell(reader, ("server", encode_frame(9, b"%d" % number)))
        assert of(PongEvent, tell(reader, ("client", masked(10, b"100")))) == []
        assert len(of(PongEvent, tell(reader, ("client", masked(10, b"999"))))) == 1


class TestClose:
    def test_who_closes_and_who_answers(self):
        reader = opened()
        events = tell(
            reader, ("client", masked(8, close(1001, "bye"))), ("server", b"\x88\x02\x03\xe9")
        )
        first, second = of(CloseEvent, events)
        assert (first.sender, first.code, first.reason) == ("client", 1001, "bye")
        assert (first.is_answer, second.is_answer) == (False, True)
        assert (second.sender, second.code, second.reason) == ("server", 1001, "")
        assert reader.end(9, "client") == [
            EndedEvent(at_s=9, connection_id="a1", sender="client", is_clean=True)
        ]

    def test_without_a_code(self):
        (event,) = of(CloseEvent, tell(opened(), ("server", b"\x88\x00")))
        assert (event.code, event.reason) == (None, "")

    def test_a_second_close_frame_closes_nothing(self):
        assert kinds(tell(opened(), ("server", b"\x88\x00\x88\x00"))) == ["frame", "close", "frame"]

    def test_tcp_ends_without(self):
        reader = opened()
        tell(reader, ("client", masked(8)), ("server", b"\x01\x02He"))
        *faults, ended = reader.end(9, "server")
        assert [event.fault.rule for event in of(FaultEvent, faults)] == ["unfinished-message"]
        assert [event.sender for event in faults] == ["server"]
        assert ended.is_clean is False

    @pytest.mark.parametrize(
        ("sent", "is_clean"),
        [
            ([], True),
            ([("client", GET)], False),
            ([("client", GET[:9])], False),
            ([("client", GET), ("server", OK % b"Content-Length: 2\r\n")], True),
            ([("client", GET), ("server", OK % b"Content-Length: 3\r\n")], False),
            ([("client", GET), ("server", OK % b"")], True),
        ],
    )
    def test_the_end_of_http(self, sent, is_clean):
        reader = ConnectionReader("a1")
        tell(reader, *sent)
        (ended,) = reader.end(1, "server")
        assert ended.is_clean is is_clean


def some_frames(source: random.Random, count: int) -> list[tuple[str, bytes]]:
    """Fragments, compression, pings and a close at any place."""
    compress = {"client": Compressor(), "server": Compressor()}
    sent = []
    for number in range(count):
        sender = source.choice(["client", "server"])
        mask = MASK if sender == "client" else None
        opcode = source.choice([0, 0, 1, 1, 2, 8, 9, 10])
        payload = source.choice([b"a", b"Hello Hello", b"\xc3", b"\xa9", close(1000)])
        if opcode in (9, 10):
            payload = b"%d" % (number if opcode == 9 else source.randrange(number + 1))
        rsv1 = opcode in (1, 2) and source.random() < 0.7
        if rsv1:
            payload = compress[sender](payload)
        fin = rsv1 or source.random() < 0.7
        sent.append((sender, encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask_key=mask)))
    return sent


class TestSkip:
    @pytest.mark.parametrize("seed", range(40))
    def test_what_follows_reads_as_if_all_had_been_read(self, seed):
        source = random.Random(seed)
        sent = some_frames(source, 30)
        cut = source.randrange(len(sent))
        read, skipped = opened(deflate=True), opened(deflate=True)
        for number, (sender, data) in enumerate(sent[:cut]):
            read.feed(number, sender, data)
            skipped.skip(number, sender, data)
        assert skipped.seen("client") == read.seen("client")
        assert skipped.seen("server") == read.seen("server")
        one, other = tell(read, *sent[cut:]), tell(skipped, *sent[cut:])
        for kind in (FrameEvent, CloseEvent, FaultEvent):
            assert of(kind, one) == of(kind, other)
        # A message that began before, or a pong to an earlier ping, is not told.
        for kind in (MessageEvent, PongEvent):
            assert [event for event in of(kind, one) if event in other] == of(kind, other)
        assert read.end(99, "server")[-1] == skipped.end(99, "server")[-1]

    def test_heads_are_read_all_the_same(self):
        reader = ConnectionReader("a1")
        reader.skip(0, "client", REQUEST)
        reader.skip(1, "server", ANSWER + b"\x01\x02He")
        assert reader.is_upgraded
        assert kinds(tell(reader, ("server", b"\x80\x03llo"))) == ["frame"]

    def test_a_copy_goes_its_own_way(self):
        reader = opened(deflate=True)
        compress = Compressor()
        tell(reader, ("server", encode_frame(1, compress(b"Hello"), rsv1=True)))
        twin = reader.copy()
        again = encode_frame(1, compress(b"Hello"), rsv1=True)
        assert tell(reader, ("server", again)) == tell(twin, ("server", again))
        tell(reader, ("server", b"\x01\x01a"))
        assert kinds(tell(twin, ("server", b"\x81\x01b"))) == ["frame", "message"]

    def test_a_copy_in_the_middle_of_a_head_and_of_a_body(self):
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        for cut in range(len(data)):
            reader = ConnectionReader("a1")
            tell(reader, ("client", GET), ("server", data[:cut]))
            twin = reader.copy()
            tell(reader, ("server", b"nonsense"))
            tell(twin, ("server", data[cut:]))
            assert twin.end(0, "server")[-1].is_clean
