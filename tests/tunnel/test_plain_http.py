"""Plain HTTP through the tunnel: bodies, held requests, streams of events, and who may send them.

A real Jupyter server; behind it a listener whose connections the test itself accepts, so that each
byte and its moment can be seen.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.jupyters import (
    BASE_URL,
    TOKEN,
    Jupyter,
    read_exactly,
    read_to_end,
    settled,
)
from tests.peers import read_head
from tests.tunnel.rig import LOGIN, MIB, OPENING, ask, host_of, status
from wslab import tunnel

pytestmark = pytest.mark.usefixtures("kernel")

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


class Behind:
    """A server of nobody's protocol: the test accepts, reads and writes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        entry = tunnel.register(self._listener.getsockname(), is_secure=False, name="behind")
        assert entry is not None
        self._entry = entry
        self.path = f"{BASE_URL}wslab/{entry.id}/"
        self._open: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock, _ = self._listener.accept()
        sock.settimeout(10)
        self._open.append(sock)
        return sock

    def is_untouched(self) -> bool:
        self._listener.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            self.accept()
            return False
        return True

    def close(self) -> None:
        self._entry.remove()
        for sock in [self._listener, *self._open]:
            sock.close()


@pytest.fixture
def behind(kernel: None) -> Iterator[Behind]:
    server = Behind()
    yield server
    server.close()


def head(behind: Behind, start: str, *headers: str, host: str = "localhost") -> bytes:
    """Return a request's head; `{path}` stands for the server's own."""
    lines = [f"{start.format(path=behind.path)} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_body_arrives_and_nothing_behind_it(
    jupyter: Jupyter, behind: Behind, method: str
) -> None:
    data = head(
        behind,
        f"{method} {{path}}save?x=1",
        LOGIN,
        *("Content-Type: application/json", "Content-Length: 12", "Connection: keep-alive"),
    )
    with jupyter.dial(data + b'{"answer":4}' + SECOND) as client:
        server = behind.accept()
        came = read_head(server).decode("latin-1")
        assert came.startswith(f"{method} /save?x=1 HTTP/1.1\r\n")
        assert "\r\nContent-Type: application/json\r\n" in came
        assert came.count("\r\nContent-Length: 12\r\n") == 1
        assert "\r\nConnection: close\r\n" in came
        assert TOKEN not in came
        assert read_exactly(server, 12) == b'{"answer":4}'
        server.sendall(OK + b"Content-Length: 5\r\n\r\nsaved")
        assert read_exactly(client, len(OK) + 26).endswith(b"saved")
        client.close()
        assert read_to_end(server) == b""


def test_no_body_is_a_body_too(jupyter: Jupyter, behind: Behind) -> None:
    for lines in ((), ("Content-Length: 0",)):
        with jupyter.dial(head(behind, "POST {path}", LOGIN, *lines)) as client:
            server = behind.accept()
            assert read_head(server).startswith(b"POST / HTTP/1.1\r\n")
            server.sendall(OK + b"\r\n")
            server.close()
            assert read_to_end(client) == OK + b"\r\n"


def test_a_body_goes_on_as_it_comes(jupyter: Jupyter, behind: Behind) -> None:
    with jupyter.dial(head(behind, "POST {path}", LOGIN, "Content-Length: 6")) as client:
        server = behind.accept()
        read_head(server)
        for piece in (b"one", b"tw", b"o"):
            client.sendall(piece)
            assert read_exactly(server, len(piece)) == piece
        server.sendall(OK + b"\r\n")
        server.close()
        assert read_to_end(client) == OK + b"\r\n"


def test_who_asks_before_sending_a_body_gets_the_servers_word(
    jupyter: Jupyter, behind: Behind
) -> None:
    data = head(behind, "POST {path}", LOGIN, "Content-Length: 4", "Expect: 100-continue")
    with jupyter.dial(data) as client:
        server = behind.accept()
        assert b"\r\nExpect: 100-continue\r\n" in read_head(server)
        server.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert read_exactly(client, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert read_exactly(server, 4) == b"body"
        server.sendall(OK + b"\r\n")
        server.close()
        assert read_to_end(client) == OK + b"\r\n"


def test_an_answer_may_come_before_the_body_is_whole(jupyter: Jupyter, behind: Behind) -> None:
    data = head(behind, "POST {path}", LOGIN, f"Content-Length: {64 * MIB}")
    with jupyter.dial(data + b"x" * MIB) as client:
        server = behind.accept()
        read_head(server)
        read_exactly(server, MIB)
        server.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        server.shutdown(socket.SHUT_WR)
        assert read_to_end(client).startswith(b"HTTP/1.1 413 ")
        client.close()
        assert read_to_end(server) == b""


def test_half_a_body_ends_the_servers_side(jupyter: Jupyter, behind: Behind) -> None:
    with jupyter.dial(head(behind, "POST {path}", LOGIN, "Content-Length: 6") + b"one") as client:
        server = behind.accept()
        read_head(server)
        assert read_exactly(server, 3) == b"one"
    assert read_to_end(server) == b""
    client.close()


def test_a_server_that_does_not_read_makes_the_sender_wait(
    jupyter: Jupyter, behind: Behind
) -> None:
    """However long the body says that it is: what is under way is bounded."""
    before = jupyter.memory_bytes
    data = head(behind, "POST {path}", LOGIN, f"Content-Length: {64 * MIB}")
    with jupyter.dial(data) as client:
        server = behind.accept()
        sent = 0
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < 64 * MIB:
                sent += client.send(b"x" * min(MIB, 64 * MIB - sent))
        assert sent < 32 * MIB
        assert jupyter.memory_bytes - before < 16 * MIB
        read_head(server)
        read_exactly(server, sent)
        client.settimeout(10)
        client.sendall(b"last")
        assert read_exactly(server, 4) == b"last"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("Transfer-Encoding: chunked",), 411),
        (("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (("Content-Length: 5", "Content-Length: 6"), 400),
        (("Content-Length: 5", "Content-Length: 5"), 400),
        (("Content-Length: 5, 6",), 400),
        (("Content-Length: +5",), 400),
        (("Content-Length: 0x5",), 400),
        (("Content-Length: \xb2",), 400),
        ((f"Content-Length: {'9' * 30}",), 400),
        (("Upgrade: websocket", "Connection: Upgrade", "Content-Length: 5"), 405),
    ],
)
def test_a_body_whose_end_is_not_certain_is_refused(
    jupyter: Jupyter, behind: Behind, lines: tuple[str, ...], expected: int
) -> None:
    data = head(behind, "POST {path}", LOGIN, "Connection: close", *lines)
    with jupyter.dial(data + b"5\r\nhello\r\n0\r\n\r\n" + SECOND) as client:
        client.shutdown(socket.SHUT_WR)
        answer = read_to_end(client)
    assert not answer or status(answer) in (expected, 400), answer[:200]
    assert behind.is_untouched()


def test_events_come_one_by_one_and_end_with_either_side(jupyter: Jupyter, behind: Behind) -> None:
    start = OK + b"Content-Type: text/event-stream\r\n\r\n"
    for ends in ("client", "server"):
        with jupyter.dial(head(behind, "GET {path}events", LOGIN)) as client:
            server = behind.accept()
            read_head(server)
            server.sendall(start)
            assert read_exactly(client, len(start)) == start
            for count in range(20):
                event = b"data: %d\n\n" % count
                server.sendall(event)
                assert read_exactly(client, len(event)) == event
            if ends == "client":
                client.close()
                assert read_to_end(server) == b""
            else:
                server.close()
                assert read_to_end(client) == b""


def test_who_does_not_read_events_makes_the_server_wait(jupyter: Jupyter, behind: Behind) -> None:
    before = jupyter.memory_bytes
    with jupyter.dial(head(behind, "GET {path}events", LOGIN)) as client:
        server = behind.accept()
        read_head(server)
        server.sendall(OK + b"\r\n")
        server.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * MIB:
                sent += server.send(b"data: " + b"x" * MIB)
        assert sent < 32 * MIB
        assert jupyter.memory_bytes - before < 16 * MIB
        read_exactly(client, len(OK) + 2 + sent)
        server.settimeout(10)
        server.sendall(b"last")
        assert read_exactly(client, 4) == b"last"


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("behind_it", [b"", SECOND])
def test_a_held_request_is_held_and_its_end_arrives(
    jupyter: Jupyter, behind: Behind, how: str, behind_it: bytes
) -> None:
    """Nothing on the way keeps a clock; a page that is left lets the server know at once."""
    sockets = settled(lambda: jupyter.sockets)
    client = jupyter.dial(head(behind, "GET {path}poll", LOGIN) + behind_it)
    server = behind.accept()
    read_head(server)
    server.settimeout(1.5)
    with pytest.raises(TimeoutError):
        server.recv(1)
    server.settimeout(10)
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert read_to_end(server) == b""
    server.close()
    assert settled(lambda: jupyter.sockets) <= sockets


def test_a_servers_cookie_comes_back_to_it_and_jupyters_do_not(
    jupyter: Jupyter, behind: Behind, cookie: str
) -> None:
    prefix = behind.path.rstrip("/")
    host = host_of(jupyter)
    with jupyter.dial(head(behind, "GET {path}", LOGIN)) as client:
        server = behind.accept()
        read_head(server)
        server.sendall(b"HTTP/1.1 303 See Other\r\nLocation: /in\r\nSet-Cookie: sid=")
        server.sendall(b"abc; Path=/; HttpOnly\r\nConnection: close\r\n\r\n")
        server.close()
        answer = read_to_end(client).decode("latin-1")
    assert f"\r\nLocation: {prefix}/in\r\n" in answer
    [pair] = re.findall(rf"\r\nSet-Cookie: ([^;]*sid=abc); Path={prefix}/; HttpOnly\r\n", answer)
    lines = (f"{cookie}; {pair}; other=1", "Sec-Fetch-Site: same-origin")
    for opens in ((), OPENING):
        with jupyter.dial(head(behind, "GET {path}", *lines, *opens, host=host)):
            came = read_head(behind.accept()).decode("latin-1")
        assert re.findall(r"(?im)^cookie: ([^\r]*)", came) == ["sid=abc"]


def test_an_answer_that_is_no_http_arrives(jupyter: Jupyter, behind: Behind) -> None:
    with jupyter.dial(head(behind, "GET {path}", LOGIN)) as client:
        server = behind.accept()
        read_head(server)
        server.sendall(b"hello\n")
        server.close()
        assert read_to_end(client) == b"hello\n"


@pytest.fixture
def page(jupyter: Jupyter, behind: Behind) -> tuple[str, str, str]:
    """The Host, the cookies and the cross-site token of a page that was opened by a link."""
    host = host_of(jupyter)
    answer = ask(jupyter, f"{behind.path}?token={TOKEN}", "Accept: text/html", host=host).decode()
    assert status(answer.encode()) == 302
    pairs = re.findall(r"(?m)^Set-Cookie: ([^;\r]+)", answer)
    [token] = [pair.partition("=")[2] for pair in pairs if pair.startswith("_xsrf=")]
    assert any(pair.startswith("username-") for pair in pairs)
    return host, f"Cookie: {'; '.join(pairs)}", token


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_page_posts_with_jupyters_token_which_stays_with_jupyter(
    jupyter: Jupyter, behind: Behind, page: tuple[str, str, str], where: str
) -> None:
    host, cookie, token = page
    query, lines = ("", [f"X-XSRFToken: {token}"]) if where == "header" else (f"&_xsrf={token}", [])
    data = head(
        behind,
        f"POST {{path}}say?a=1{query}",
        *(f"Origin: http://{host}", cookie, "Content-Length: 2", *lines),
        host=host,
    )
    with jupyter.dial(data + b"hi"):
        server = behind.accept()
        came = read_head(server).decode("latin-1")
        assert came.startswith("POST /say?a=1 HTTP/1.1\r\n")
        assert "xsrf" not in came.lower()
        assert "cookie" not in came.lower()
        assert f"\r\nOrigin: http://{host}\r\n" in came
        assert read_exactly(server, 2) == b"hi"


@pytest.mark.parametrize(
    ("origin", "tells", "knows"),
    [
        ("http://{host}", "same-origin", ""),
        ("http://{host}", "same-origin", "2|00000000|wrong"),
        ("https://evil.example", "cross-site", "{token}"),
        ("http://localhost:1", "same-site", "{token}"),
        ("null", "cross-site", "{token}"),
        ("", "cross-site", "{token}"),
        ("", "", ""),
    ],
)
@pytest.mark.parametrize("mode", ["cors", "navigate"])
def test_who_else_has_the_users_cookie_posts_nothing(
    jupyter: Jupyter,
    behind: Behind,
    page: tuple[str, str, str],
    origin: str,
    tells: str,
    knows: str,
    mode: str,
) -> None:
    host, cookie, token = page
    lines = [cookie, "Content-Length: 2", "Connection: close"]
    lines += [f"Origin: {origin.format(host=host)}"] if origin else []
    lines += [f"X-XSRFToken: {knows.format(token=token)}"] if knows else []
    dest = "document" if mode == "navigate" else "empty"
    if tells:
        lines += [f"Sec-Fetch-Site: {tells}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {dest}"]
    with jupyter.dial(head(behind, "POST {path}", *lines, host=host) + b"hi") as client:
        assert status(read_to_end(client)) in (403, 404)
    assert behind.is_untouched()


def test_without_a_login_nobody_posts(jupyter: Jupyter, behind: Behind) -> None:
    """And no proxy takes the connection, which ends with its body unread, for one that stays."""
    with jupyter.dial(head(behind, "POST {path}", "Content-Length: 2") + b"hi") as client:
        answer = read_to_end(client)
    assert status(answer) == 403
    assert b"\r\nConnection: close\r\n" in answer
    assert behind.is_untouched()


def test_a_link_with_a_token_leads_on_in_another_connection(
    jupyter: Jupyter, behind: Behind
) -> None:
    lines = ("Accept: text/html", "Connection: keep-alive")
    with jupyter.dial(head(behind, f"GET {{path}}?token={TOKEN}", *lines)) as client:
        answer = read_to_end(client)
    assert status(answer) == 302
    assert b"\r\nConnection: close\r\n" in answer
