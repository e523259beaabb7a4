"""What of a connection's bytes goes on, and when; no socket is involved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests import peers
from wslab.taps.conversation import MAX_UNANSWERED, Conversation, Unfit

ASKS = peers.request(80)
OPENS = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
GET = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
HELLO = peers.frame(1, b"hello")


def conversation():
    return Conversation(lambda request: b"<" + request.raw + b">")


def test_frames_go_on_as_they_come_after_a_101():
    talk = conversation()
    assert talk.from_client(ASKS) == b"<" + ASKS + b">"
    assert talk.from_server(OPENS[:20]) == b""
    assert not talk.is_carried
    assert talk.from_server(OPENS[20:] + peers.frame(1, b"hi", masked=False)) == b""
    assert talk.is_carried
    assert talk.from_client(HELLO + b"GET") == HELLO + b"GET"
    assert [one.messages for one in talk.counted] == [1, 1]
    assert talk.answer.status == 101


def test_what_comes_behind_a_request_to_upgrade_waits_for_the_answer():
    talk = conversation()
    assert talk.from_client(ASKS + HELLO) == b"<" + ASKS + b">"
    assert talk.from_client(HELLO) == b""
    assert talk.held_bytes == 2 * len(HELLO)
    assert talk.from_server(OPENS) == 2 * HELLO
    assert (talk.held_bytes, talk.counted[0].messages) == (0, 2)


def test_after_a_refusal_it_is_another_request():
    talk = conversation()
    talk.from_client(ASKS + GET + ASKS)
    assert talk.from_server(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") == b""
    assert talk.from_server(FORBIDDEN) == b"<" + GET + b"><" + ASKS + b">"
    assert not talk.is_carried
    assert talk.from_server(PAGE + OPENS) == b""
    assert talk.is_carried


def test_every_head_is_handed_over_and_no_body_is_taken_for_one():
    talk = conversation()
    sent = GET + POST + CHUNKED + GET
    expected = b"<" + GET + b">" + POST.replace(b"POST", b"<POST", 1)[:-4] + b">body"
    expected += b"<" + CHUNKED[:-13] + b">" + CHUNKED[-13:] + b"<" + GET + b">"
    assert talk.from_client(sent) == expected


@given(st.data())
def test_any_chunks_give_the_same_bytes(data):
    sent, answers = GET + POST + ASKS + HELLO, [PAGE, PAGE, OPENS + HELLO]
    talk, out, came = conversation(), b"", 0
    while sent or came < len(b"".join(answers)):
        # An answer never comes before its request has gone on.
        there = b"".join(answers[: out.count(b">")])[came:]
        if sent and (not there or data.draw(st.booleans())):
            size = data.draw(st.integers(1, len(sent)))
            out += talk.from_client(sent[:size])
            sent = sent[size:]
        else:
            size = data.draw(st.integers(1, len(there)))
            out += talk.from_server(there[:size])
            came += size
    assert out.replace(b"<", b"").replace(b">", b"") == GET + POST + ASKS + HELLO
    assert talk.is_carried


def test_a_request_that_does_not_go_on_ends_it():
    def let_in(request):
        if request.target == "/page":
            raise Unfit(403, "no")
        return request.raw

    talk = Conversation(let_in)
    assert talk.from_client(ASKS.replace(b"Upgrade: websocket\r\n", b"")) != b""
    talk.from_server(FORBIDDEN)
    assert talk.from_client(GET + GET) == b""
    assert (talk.unfit.status, talk.unfit.read) == (403, GET)
    assert talk.from_client(ASKS) == b""


def test_what_is_no_http_gets_an_answer_that_says_why():
    talk = conversation()
    assert talk.from_client(b"\x16\x03\x01") == b""
    assert talk.unfit.status == 400
    assert "TLS" in talk.unfit.reason


def test_a_head_without_end_is_bounded():
    talk = conversation()
    talk.from_client(b"GET / HTTP/1.1\r\n")
    for _ in range(10_000):
        talk.from_client(b"a: " + b"b" * 1000 + b"\r\n")
        if talk.unfit is not None:
            break
    assert talk.unfit.status == 400
    assert "65536" in talk.unfit.reason


def test_an_answer_that_is_no_http_is_carried_like_all_that_follows():
    talk = conversation()
    talk.from_client(ASKS + HELLO)
    assert talk.from_server(b"SSH-2.0\n") == HELLO
    assert talk.from_client(b"anything") == b"anything"
    assert talk.counted[0].messages == 0


def test_requests_without_end_that_nobody_answers_are_held():
    talk = conversation()
    out = talk.from_client(GET * 100)
    assert out.count(b"<") == MAX_UNANSWERED
    assert talk.held_bytes == (100 - MAX_UNANSWERED) * len(GET)
    assert talk.from_server(PAGE) == b"<" + GET + b">"


def test_of_very_many_frames_a_few_are_counted_at_once():
    talk = conversation()
    talk.from_client(ASKS)
    talk.from_server(OPENS)
    tiny = peers.frame(1) * 5_000
    assert talk.from_client(tiny) == tiny
    assert talk.is_behind
    assert talk.count_on()
    assert not talk.count_on()
    assert talk.counted[0].messages == 5_000
