"""Heads and bodies of one connection, up to the handshake and redacted."""

from __future__ import annotations

import pytest

from tests.wire.connection.telling import ANSWER, GET, REQUEST, kinds, of, tell
from tests.wire.taping import KEY, close, masked
from wslab.wire.connection.reader import ConnectionReader
from wslab.wire.events import (
    BodyEvent,
    EndedEvent,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    RequestEvent,
    ResponseEvent,
)
from wslab.wire.http.building import build_request, build_response


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
