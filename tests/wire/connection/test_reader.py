"""One connection's bytes read as events: literal bytes in, every event out."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tests.wire.taping import DEFLATE, KEY, MASK, Compressor, close, masked
from wslab.wire.connection.reader import ConnectionReader
from wslab.wire.events import (
    BodyEvent,
    CloseEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from wslab.wire.frames.layout import encode_frame
from wslab.wire.http.building import build_request, build_response

REQUEST = build_request("/chat", "127.0.0.1:8765", KEY)
ANSWER = build_response(101, key=KEY)
OK = b"HTTP/1.1 200 OK\r\n%s\r\nhi"
GET = b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n"


def tell(reader: ConnectionReader, *sent: tuple[str, bytes], start_s: float = 0.0) -> list[Event]:
    """Feed what each side sent, a second apart."""
    events: list[Event] = []
    for number, (sender, data) in enumerate(sent):
        assert sender in ("client", "server")
        events += reader.feed(start_s + number, sender, data)
    return events


def opened(*, deflate: bool = False) -> ConnectionReader:
    reader = ConnectionReader("a1")
    extra = DEFLATE if deflate else []
    tell(
        reader,
        ("client", build_request("/", "x", KEY, headers=extra)),
        ("server", build_response(101, key=KEY, headers=extra)),
    )
    assert reader.is_upgraded
    return reader


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]


def of(kind: type, events: Iterable[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]


class TestHandshake:
    def test_request_response_frames(self):
        reader = ConnectionReader("a1")
        request, response, frame, message = tell(
            reader, ("client", REQUEST), ("server", ANSWER), ("client", masked(1, b"Hello"))
        )
        assert isinstance(request, RequestEvent)
        assert (request.at_s, request.sender, request.request.raw) == (0, "client", REQUEST)
        assert isinstance(response, ResponseEvent)
        assert (response.at_s, response.sender, response.response.raw) == (1, "server", ANSWER)
        assert response.request == request.request
        assert isinstance(frame, FrameEvent)
        assert (frame.number, frame.text, frame.connection_id) == (1, "Hello", "a1")
        assert isinstance(message, MessageEvent)
        assert (message.data, message.began_s, message.fragments) == ("Hello", 2, 1)
        assert (message.wire_bytes, message.compressed) == (11, False)

    def test_frames_right_behind_the_answer(self):
        events = tell(
            ConnectionReader("a"), ("client", REQUEST), ("server", ANSWER + b"\x81\x02hi\x89\x00")
        )
        assert kinds(events) == ["request", "response", "frame", "message", "frame"]
        assert [event.number for event in of(FrameEvent, events)] == [1, 2]

    def test_frames_before_the_answer_wait_for_it(self):
        reader = ConnectionReader("a1")
        assert kinds(tell(reader, ("client", REQUEST + masked(1, b"a")))) == ["request"]
        assert tell(reader, ("client", masked(1, b"b"))) == []
        events = tell(reader, ("server", ANSWER), start_s=9)
        assert kinds(events) == ["response", "frame", "message", "frame", "message"]
        assert [event.data for event in of(MessageEvent, events)] == ["a", "b"]
        assert {event.at_s for event in events} == {9}

    def test_nobody_keeps_what_comes_before_the_answer_for_ever(self):
        reader = ConnectionReader("a1")
        tell(reader, ("client", REQUEST))
        found = [event for _ in range(20) for event in tell(reader, ("client", bytes(100_000)))]
        (fault,) = found
        assert isinstance(fault, FaultEvent)
        assert "before its request is answered" in fault.fault.message
        assert not reader.unfinished_heads()["client"]

    def test_one_byte_at_a_time(self):
        sent = [
            ("client", REQUEST), ("server", ANSWER), ("client", masked(1, b"Hello")),
            ("server", b"\x01\x02He\x89\x01x\x80\x03llo"), ("client", masked(8, close(1000))),
        ]  # fmt: skip
        whole = tell(ConnectionReader("a1"), *sent)
        reader = ConnectionReader("a1")
        events = [
            event
            for number, (sender, data) in enumerate(sent)
            for byte in data
            for event in reader.feed(number, sender, bytes((byte,)))
        ]
        assert events == whole


class TestHttp:
    def test_polls_on_one_connection(self):
        reader = ConnectionReader("a1")
        for text in (b"one", b"two!"):
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
            request, response = tell(reader, ("client", GET), ("server", answer))
            assert isinstance(request, RequestEvent)
            assert isinstance(response, ResponseEvent)
            assert response.response.body == text
            assert response.request == request.request

    def test_a_body_in_pieces_and_the_next_answer_behind_it(self):
        events = tell(
            ConnectionReader("a1"),
            ("client", GET + GET),
            ("server", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab"),
            ("server", b"cd"),
            ("server", b"efHTTP/1.1 204 No Content\r\n\r\n"),
        )
        assert kinds(events) == [
            "request", "response", "request", "body", "body", "response",
        ]  # fmt: skip
        assert [event.data for event in of(BodyEvent, events)] == [b"cd", b"ef"]
        assert of(ResponseEvent, events)[1].response.status == 204

    def test_an_event_stream_goes_on_until_tcp_ends(self):
        reader = ConnectionReader("a1")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        events = tell(reader, ("client", GET), ("server", head), ("server", b"data: 1\n\n"))
        events += tell(reader, ("server", b"data: 2\n\n"))
        assert [event.data for event in of(BodyEvent, events)] == [b"data: 1\n\n", b"data: 2\n\n"]
        assert reader.end(5, "server") == [
            EndedEvent(at_s=5, connection_id="a1", sender="server", is_clean=True)
        ]

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_chunks_end_where_they_say(self, size):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
        reader = ConnectionReader("a1")
        for _ in range(2):
            assert kinds(tell(reader, ("client", GET))) == ["request"]
            data, events = head + body, []
            for at in range(0, len(data), size):
                events += tell(reader, ("server", data[at : at + size]))
            (response,) = of(ResponseEvent, events)
            found = response.response.body + b"".join(e.data for e in of(BodyEvent, events))
            assert found == body
        assert reader.end(0, "server")[-1].is_clean

    def test_chunks_that_break_the_form_have_no_end(self):
        reader = ConnectionReader("a1")
        tell(reader, ("client", GET))
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        events = tell(reader, ("server", head + b"-5\r\nhello"), ("server", b"HTTP/1.1 200 OK\r\n"))
        assert kinds(events) == ["response", "body"]

    @pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
    def test_answers_that_never_have_a_body(self, status):
        answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n"
        events = tell(ConnectionReader("a1"), ("client", GET), ("server", answer * 2))
        assert kinds(events) == ["request", "response", "response"]

    def test_head_has_no_body(self):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        request = GET.replace(b"GET", b"HEAD")
        events = tell(
            ConnectionReader("a1"), ("client", request), ("server", answer), ("client", request)
        )
        assert kinds(events) == ["request", "response", "request"]

    def test_100_continue_is_not_yet_the_answer(self):
        post = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        events = tell(
            ConnectionReader("a1"),
            ("client", post),
            ("server", b"HTTP/1.1 100 Continue\r\n\r\n"),
            ("client", b"hi"),
            ("server", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        )
        assert kinds(events) == ["request", "response", "body", "response"]
        assert [event.request.method for event in of(ResponseEvent, events)] == ["POST", "POST"]

    def test_a_head_that_breaks_the_rules_is_told_once(self):
        reader = ConnectionReader("a1")
        events = tell(reader, ("client", b"GET / HTTP/1.1\nHost: x\n"), ("client", b"more\r\n\r\n"))
        (fault,) = events
        assert isinstance(fault, FaultEvent)
        assert (fault.sender, fault.fault.rule) == ("client", "lines end in CR LF")
        assert not reader.end(0, "server")[-1].is_clean


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


SECRET = "s3cretS3cretS3cret"


class TestRedaction:
    ASK = build_request(f"/?token={SECRET}", "x", KEY, headers=[("Cookie", f"sid={SECRET}")])

    def test_heads(self):
        events = tell(
            ConnectionReader("a1"),
            ("client", self.ASK),
            ("server", build_response(101, key=KEY, headers=[("X-You-Sent", SECRET)])),
        )
        assert SECRET not in repr(events)
        request, response = events
        assert request.request.target == "/?token=[redacted]"
        assert response.response.get("X-You-Sent") == "[redacted]"
        assert response.request == request.request

    @pytest.mark.parametrize("size", [7, 11, 20, 1000])
    def test_bodies_keep_their_length(self, size):
        body = f'{{"you sent": "{SECRET}", "token": "0123456789abcdef"}}'.encode() * 2
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        reader = ConnectionReader("a1")
        events = tell(reader, ("client", self.ASK))
        for at in range(0, len(data), size):
            events += tell(reader, ("server", data[at : at + size]))
        (response,) = of(ResponseEvent, events)
        found = response.response.body + b"".join(event.data for event in of(BodyEvent, events))
        assert len(found) == len(body)
        assert SECRET.encode() not in found
        assert b"89abcdef" not in found
        assert found.count(b'"you sent": "') == 2

    def test_reveal(self):
        reader = ConnectionReader("a1", reveal=True)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + SECRET.encode()
        request, response = tell(reader, ("client", self.ASK), ("server", answer))
        assert request.request.raw == self.ASK
        assert response.response.body == SECRET.encode()

    def test_a_redacted_head_says_so_when_it_is_read_again(self):
        (first,) = tell(ConnectionReader("a1"), ("client", self.ASK))
        (second,) = tell(ConnectionReader("a1"), ("client", first.request.raw))
        assert second == first
        assert [h.name for h in second.request.headers if h.redacted] == ["Cookie"]


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


class TestHandover:
    def test_is_retold_to_who_was_not_there(self):
        reader = ConnectionReader("a1")
        told = tell(reader, ("client", REQUEST), ("server", ANSWER))
        tell(reader, ("server", b"\x81\x00"))
        assert reader.handover_events(None) == told
        behind = ConnectionReader("a1")
        assert reader.handover_events(behind) == told
        tell(behind, ("client", REQUEST))
        assert reader.handover_events(behind) == told[1:]
        tell(behind, ("server", ANSWER))
        assert reader.handover_events(behind) == []

    def test_plain_http_has_none(self):
        reader = ConnectionReader("a1")
        tell(reader, ("client", GET), ("server", b"HTTP/1.1 204 No\r\n\r\n"))
        assert reader.handover_events(None) == []
