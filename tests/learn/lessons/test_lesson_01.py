"""Lesson 01's checks: the solution, other right answers, the untouched stub, and wrong ones."""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import hashlib
import threading

import pytest
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.learn.rig import COURSE, solution
from wslab.learn import NotYet, Verdict, check, hint
from wslab.wire.http.accept import GUID, accept_key, check_key
from wslab.wire.http.building import build_response


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha1(text: str) -> bytes:
    return hashlib.sha1(text.encode()).digest()


def refused(verdict: Verdict, expected: str, seen: str, tip: str = "") -> None:
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected
    assert seen in verdict.seen
    assert tip in verdict.hint


# accept(key)


def test_the_solution_derives_accept():
    verdict = check("01 accept", solution("01_handshake").accept)
    assert verdict.passed is True, str(verdict)
    assert verdict.seen == "3 random keys, and 3 real clients opened with it"


def test_other_right_accepts():
    class Derives:
        def __call__(self, any_name):
            return accept_key(any_name)

    async def slowly(key):
        await asyncio.sleep(0)
        return accept_key(key)

    def with_guid(guid, key):
        return b64(sha1(key + guid))

    def step_by_step(key):
        digest = hashlib.new("sha1")
        for part in (key, GUID):
            digest.update(part.encode("ascii"))
        return str(binascii.b2a_base64(digest.digest(), newline=False), "ascii")

    for right in (Derives(), slowly, functools.partial(with_guid, GUID), step_by_step):
        verdict = check("01 accept", right)
        assert verdict.passed is True, str(verdict)


def test_the_untouched_accept_is_not_yet():
    def accept(key):
        raise NotYet

    assert check("01 accept", accept).passed is None
    assert check("01 accept", lambda key: [][0] if key else None).passed is False


@pytest.mark.parametrize(
    ("wrong", "tip"),
    [
        (lambda key: b64(sha1(key)), "the GUID is missing"),
        (lambda key: hashlib.sha1((key + GUID).encode()).hexdigest(), "in hex"),
        (lambda key: b64(sha1(key + GUID).hex().encode()), "base64 of the digest in hex"),
        (lambda key: b64(hashlib.sha1(base64.b64decode(key) + GUID.encode()).digest()), "decoded"),
        (lambda key: b64(sha1(GUID + key)), "the key comes first"),
        (lambda key: b64(sha1(key + GUID.lower())), "capitals"),
        (lambda key: base64.b64encode(sha1(key + GUID)), "bytes"),
        (lambda key: base64.encodebytes(sha1(key + GUID)).decode(), "white space"),
        (lambda key: accept_key(key).rstrip("="), "="),
        (lambda key: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the same for each key"),  # of the RFC
        (lambda key: str(base64.b64encode(sha1(key + GUID))), ".decode() makes text"),
        (lambda key: b64((key + GUID).encode()), "SHA-1 is missing"),
        (lambda key: b64(hashlib.sha256((key + GUID).encode()).digest()), "steps"),
        (lambda key: key, "steps"),
        (lambda key: None, "return"),
        (lambda key: 42, "text"),
    ],
)
def test_wrong_accepts_are_told_apart(wrong, tip):
    refused(check("01 accept", wrong), "for the key '", "", tip)


def test_an_accept_in_the_base64_for_urls_is_refused_every_time():
    def for_urls(key):
        return base64.urlsafe_b64encode(sha1(key + GUID)).decode()

    for _ in range(20):
        refused(check("01 accept", for_urls), "for the key '", "", "the base64 for URLs")


def test_an_accept_that_raises():
    verdict = check("01 accept", lambda key: key + 1)
    assert verdict.passed is False
    assert "TypeError" in verdict.seen


def test_what_is_no_function():
    refused(check("01 accept", "s3pPLM"), "a function accept(key)", "str 's3pPLM'")
    refused(check("01 server", 8765), "a function of (reader, writer)", "int 8765")


# The server


async def headers_of(reader) -> dict[str, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = [line.partition(":") for line in head.split("\r\n")[1:-2]]
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def answer_to(headers: dict[str, str]) -> bytes:
    """Answer as the exercise wants it."""
    if headers.get("sec-websocket-version") != "13":
        return build_response(426, headers={"Sec-WebSocket-Version": "13"})
    key = headers.get("sec-websocket-key", "")
    return build_response(400) if check_key(key) else build_response(key=key)


def server(answer=answer_to, *, closes=True):
    """Make a handler of a function from headers to bytes."""

    async def handler(reader, writer):
        writer.write(answer(await headers_of(reader)))
        await writer.drain()
        if closes:
            writer.close()

    return handler


def test_the_solution_shakes_hands():
    verdict = check("01 server", solution("01_handshake").shake_hands)
    assert verdict.passed is True, str(verdict)
    assert verdict.seen == (
        "it opened for 6 good handshakes with random keys and refused 7 bad ones properly"
    )
    assert verdict.took_s < 20


def test_another_right_server_that_stays_open():
    # Content-Length ends the refusals, and after a 101 it waits for frames.
    async def stays(reader, writer):
        answer = answer_to(await headers_of(reader))
        writer.write(answer)
        if b" 101 " in answer:
            await reader.read(100)

    verdict = check("01 server", stays)
    assert verdict.passed is True, str(verdict)


def test_another_right_server_as_a_class_and_as_a_partial():
    class Server:
        async def __call__(self, reader, writer):
            await server()(reader, writer)

    async def with_words(words, reader, writer):
        await server()(reader, writer)

    async def by_the_library(reader, writer):  # without I/O of its own, as its documentation shows
        protocol = ServerProtocol()
        while not protocol.handshake_exc and protocol.state is State.CONNECTING:
            protocol.receive_data(await reader.readline())
            for request in protocol.events_received():
                response = protocol.accept(request)
                if request.headers.get("Sec-WebSocket-Version") != "13":
                    response = protocol.reject(426, "13")
                    response.headers["Sec-WebSocket-Version"] = "13"
                protocol.send_response(response)
        for data in protocol.data_to_send():
            if data:
                writer.write(data)
        writer.close()

    async def line_by_line(reader, writer):
        headers = {}
        while (line := (await reader.readline()).strip().decode()) != "":
            name, _, value = line.partition(": ")
            headers[name.casefold()] = value
        writer.writelines([answer_to(headers)])
        writer.write_eof()

    partial = functools.partial(with_words, "hello")
    for right in (Server(), partial, by_the_library, line_by_line):
        verdict = check("01 server", right)
        assert verdict.passed is True, str(verdict)


def test_the_untouched_server_is_not_yet():
    async def shake_hands(reader, writer):
        if (await headers_of(reader)).get("sec-websocket-version") != "13":
            raise NotYet
        raise NotYet
        writer.close()

    assert check("01 server", shake_hands).passed is None


def test_one_that_fills_only_the_first_gap_is_not_yet():
    async def shake_hands(reader, writer):
        if (await headers_of(reader)).get("sec-websocket-version") != "13":
            writer.write(build_response(426, headers={"Sec-WebSocket-Version": "13"}))
        else:
            raise NotYet
        writer.close()

    assert check("01 server", shake_hands).passed is None


def test_a_server_that_says_yes_to_everything():
    def always(headers):
        return build_response(key=headers.get("sec-websocket-key", ""))

    verdict = check("01 server", server(always))
    refused(verdict, "426 for a request with the version", "101 Switching Protocols' after", "not")


def test_an_accept_of_its_own_invention():
    def invented(headers):
        return build_response(headers={"Sec-WebSocket-Accept": "anything"})

    verdict = check("01 server", server(invented))
    refused(verdict, "the header Sec-WebSocket-Accept with", "'anything' there", "compares")


def test_a_version_refused_without_saying_which_one_is_spoken():
    def silent(headers):
        good = headers.get("sec-websocket-version") == "13"
        return answer_to(headers) if good else build_response(426)

    verdict = check("01 server", server(silent))
    refused(verdict, "with the header Sec-WebSocket-Version: 13", "with no such header", "names")


def test_a_key_whose_length_alone_is_looked_at():
    def by_length(headers):
        key = headers.get("sec-websocket-key", "")
        if headers.get("sec-websocket-version") == "13" and len(key) == 24:
            return build_response(key=key)
        return answer_to(headers)

    verdict = check("01 server", server(by_length))
    refused(verdict, "400 for a request with the key", "101 Switching Protocols")
    assert "base64 of 17 bytes" in verdict.expected


def test_a_key_that_is_not_looked_at():
    def trusting(headers):
        if headers.get("sec-websocket-version") != "13":
            return answer_to(headers)
        return build_response(key=headers["sec-websocket-key"])

    verdict = check("01 server", server(trusting))
    refused(verdict, "400 for a request with no key", "KeyError: 'sec-websocket-key'", ".get(")
    assert "KeyError" in verdict.details


def test_a_server_that_takes_upgrade_too_literally():
    def strict(headers):
        good = headers.get("connection") == "Upgrade"
        return answer_to(headers) if good else build_response(400)

    verdict = check("01 server", server(strict))
    refused(verdict, "as Firefox sends it", "400 Bad Request", "too strict")


def test_a_refusal_that_never_ends():
    def open_ended(headers):
        return answer_to(headers).replace(b"Content-Length: 0\r\n", b"")

    verdict = check("01 server", server(open_ended, closes=False))
    refused(verdict, "and then the answer's end", "without Content-Length", "has to end")


def test_a_head_without_its_blank_line():
    verdict = check("01 server", server(lambda headers: answer_to(headers)[:-2]))
    refused(verdict, "101 for a good request", "no blank line after it", "blank line")


def test_what_is_no_http():
    verdict = check("01 server", server(lambda headers: b"101 Switching Protocols\r\n\r\n"))
    refused(verdict, "101 for a good request", "which is no HTTP answer", "status line")


def test_a_str_where_bytes_belong():
    verdict = check("01 server", server(lambda headers: answer_to(headers).decode()))
    refused(verdict, "101 for a good request", "TypeError", ".encode() makes them of a str")


def test_a_forgotten_await():
    async def answer(headers):
        return answer_to(headers)

    made = []

    def forgets(headers):
        made.append(answer(headers))
        return made[-1]

    verdict = check("01 server", server(forgets))
    for each in made:
        each.close()
    refused(verdict, "101 for a good request", "TypeError", "an `await` is missing")


def test_an_answer_that_is_returned_and_not_written():
    async def returns(reader, writer):
        headers = await headers_of(reader)
        writer.close()
        return answer_to(headers)

    refused(check("01 server", returns), "101 for a good request", "without a byte", "write")


def test_a_right_version_and_a_wrong_status():
    def forbids(headers):
        return answer_to(headers).replace(b"426 Upgrade Required", b"400 Bad Request")

    verdict = check("01 server", server(forbids))
    refused(verdict, "426 for a request with the version", "400 Bad", "426 is for a wrong version")


def test_a_server_that_closes_without_a_word():
    verdict = check("01 server", server(lambda headers: b""))
    refused(verdict, "101 for a good request", "without a byte", "write")


def test_a_server_that_never_answers_is_bounded():
    async def waits(reader, writer):
        await reader.read(-1)  # until the client leaves, which waits in turn

    verdict = check("01 server", waits)
    refused(verdict, "101 for a good request", "no byte within", "drain")
    assert verdict.took_s < 24


@pytest.mark.slow
def test_a_server_that_blocks_is_bounded_and_named(monkeypatch):
    monkeypatch.setattr("wslab.learn.lessons.lesson_01.CHECK_S", 1.0)
    let_go = threading.Event()

    async def holds_the_loop(reader, writer):
        let_go.wait(30)

    try:
        verdict = check("01 server", holds_the_loop)
    finally:
        let_go.set()
    assert verdict.passed is False
    assert "holds_the_loop" in verdict.seen
    assert "let_go.wait(30)" in verdict.seen or "line" in verdict.seen
    assert verdict.took_s < 24


def test_hints_end_with_the_solution():
    for name in ("01 accept", "01 server"):
        assert "solutions/01_handshake.py" in repr(hint(name, 3))
    assert (COURSE / "solutions" / "01_handshake.py").exists()
