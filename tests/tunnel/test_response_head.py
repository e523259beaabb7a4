"""What of an answer's head is changed for the page, and what of its cookies comes back."""

from __future__ import annotations

import pytest

from wslab.tunnel.response_head import MAX_HEAD_BYTES, ResponseHead, own_cookies

PREFIX = "/user/ana/wslab/0123456789abcdef"
MARK = "wslab-01234567-"


def changed(*lines: str, host: str = "hub.example:8000") -> list[str]:
    head = ResponseHead(PREFIX, host)
    data = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", "Set-Cookie: in the body=1"])
    out = head.receive(data.encode("latin-1"))
    assert head.is_over
    first, *rest, gap, body = out.decode("latin-1").split("\r\n")
    assert (first, gap, body) == ("HTTP/1.1 200 OK", "", "Set-Cookie: in the body=1")
    return rest


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ("sid=1", f"{MARK}sid=1"),
        ("sid=1; Path=/; HttpOnly", f"{MARK}sid=1; Path={PREFIX}/; HttpOnly"),
        ("sid=1;path = /api ;SECURE", f"{MARK}sid=1; Path={PREFIX}/api; SECURE"),
        ("sid=1; Path=api; Max-Age=5", f"{MARK}sid=1; Max-Age=5"),
        ("sid=1; Domain=example.org; SameSite=Lax", f"{MARK}sid=1; SameSite=Lax"),
        ("_xsrf=stolen; Path=/", f"{MARK}_xsrf=stolen; Path={PREFIX}/"),
        ("__Host-a=b=c; Path=/; Secure", f"{MARK}__Host-a=b=c; Path={PREFIX}/; Secure"),
        ("nameless", f"{MARK}=nameless"),
        ("", f"{MARK}="),
    ],
)
def test_a_cookie_gets_a_name_and_a_path_of_its_servers(came: str, goes: str) -> None:
    assert changed(f"Set-Cookie: {came}", f"set-cookie:{came}") == [
        f"Set-Cookie: {goes}",
        f"set-cookie:{goes}",
    ]


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ("/", f"{PREFIX}/"),
        ("/login?next=/a", f"{PREFIX}/login?next=/a"),
        ("http://hub.example:8000/a/?b", f"{PREFIX}/a/?b"),
        ("https://hub.example:8000", f"{PREFIX}/"),
        ("https://hub.example:8000?b", f"{PREFIX}/?b"),
        (f"{PREFIX}/a", f"{PREFIX}/a"),
        (f"http://hub.example:8000{PREFIX}/a", f"http://hub.example:8000{PREFIX}/a"),
        ("./sub/", "./sub/"),
        ("?a", "?a"),
        ("//evil.example/", "//evil.example/"),
        ("https://hub.example:80001/", "https://hub.example:80001/"),
        ("https://hub.example:8000.evil.example/", "https://hub.example:8000.evil.example/"),
    ],
)
def test_a_redirect_within_the_server_stays_there(came: str, goes: str) -> None:
    assert changed(f"Location: {came}") == [f"Location: {goes}"]


def test_all_else_passes_as_it_came() -> None:
    lines = ["Server: x", "X-Set-Cookie: a=b", "Content-Security-Policy: default-src 'none'"]
    lines += ["X-Location: /", "LOCATIONS: /", "Strict-Transport-Security: max-age=1"]
    assert changed(*lines) == lines


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_in_any_pieces_and_with_answers_before_the_answer(end: str) -> None:
    def answer(cookie: str) -> bytes:
        parts = [["HTTP/1.1 100 Continue"], ["HTTP/1.1 103 Early Hints", "Link: </a>"]]
        parts += [["HTTP/1.1 200 OK", f"Set-Cookie: {cookie}"]]
        return b"".join(f"{end.join([*part, '', ''])}".encode() for part in parts)

    data, expected = answer("a=1") + b"body\r\n\r\n", answer(f"{MARK}a=1") + b"body\r\n\r\n"
    for size in (1, 2, 3, 7, len(data)):
        head, out = ResponseHead(PREFIX, "localhost"), b""
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            out += piece if head.is_over else head.receive(piece)
        assert out == expected
    head = ResponseHead(PREFIX, "localhost")
    assert head.receive(data[:25]) == (b"HTTP/1.1 100 Continue\r\n\r\n" if end == "\r\n" else
                                       b"HTTP/1.1 100 Continue\n\n")  # fmt: skip
    assert not head.is_over


def test_frames_behind_a_101_are_not_looked_at() -> None:
    head = ResponseHead(PREFIX, "localhost")
    frames = b"\x81\x05\r\n\r\nx"
    switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    assert head.receive(switched + frames) == switched + frames
    assert head.is_over


def test_a_head_without_an_end_is_kept_within_a_bound_and_passes() -> None:
    head = ResponseHead(PREFIX, "localhost")
    kept = b"x" * MAX_HEAD_BYTES
    assert head.receive(kept) == b""
    assert head.receive(b"yz") == kept + b"yz"
    assert head.is_over
    head = ResponseHead(PREFIX, "localhost")
    assert head.receive(b"HTTP/1.1 20") == b""
    assert head.end() == b"HTTP/1.1 20"


def test_only_its_own_cookies_come_to_a_server() -> None:
    others = "username-hub=secret; _xsrf=2|a; wslab-ffffffff-sid=another; sid=jupyters"
    assert own_cookies(others, PREFIX) == ""
    mine = f"{MARK}sid=1;  {MARK}b=c=d; {MARK}=nameless"
    assert own_cookies(f"{others}; {mine}", PREFIX) == "sid=1; b=c=d; =nameless"
