"""What of a request goes on to the server behind the tunnel, and what does not."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

import wslab
from tests import inside, peers
from tests.jupyters import (
    BASE_URL,
    TOKEN,
    Jupyter,
    as_kernel_of,
    read_exactly,
    read_to_end,
    settled,
)
from tests.tunnel.rig import (
    LOGIN,
    OPENING,
    answered,
    ask,
    closed,
    echo,
    path_to,
    routes,
    status,
    through,
    tunnel_to,
    until,
    untouched,
)
from wslab.wire.events import RequestEvent
from wslab.wire.frames.layout import encode_frame

pytestmark = pytest.mark.usefixtures("kernel")


def raw_head(server: wslab.Server) -> list[str]:
    """Return the request's lines as the server's tape has them, unredacted."""
    assert server.tape is not None
    events = server.tape.read(reveal=True)
    [request] = [event.request for event in events if isinstance(event, RequestEvent)]
    return request.raw.decode("latin-1").rstrip("\r\n").split("\r\n")


def heads(jupyter: Jupyter, *headers: str, path: str = "/", opens: bool = True) -> list[list[str]]:
    """Return what the server saw of one request, directly and through the tunnel."""
    found = []
    for which in (0, 1):
        with wslab.serve(echo, keep=True) as server:
            way = routes(server, jupyter)[which]
            if opens:
                way.handshake(path, *headers).close()
            else:
                with way.dial(path, *headers) as sock:
                    read_to_end(sock)
            until(lambda: not inside.at_tcp(server), "the connection did not end")
            found.append(raw_head(server))
    return found


PLAIN = (
    "Origin: http://127.0.0.1:8888",
    "User-Agent: a test/1.0",
    "Sec-WebSocket-Protocol: one, two",
    "Sec-WebSocket-Protocol: three",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Accept-Language: de,en;q=0.5",
    "Pragma: no-cache",
    "X-Latin: caf\xe9",
)


def test_the_request_arrives_as_it_was_sent_and_says_whence(jupyter: Jupyter) -> None:
    path = "/a%2Fb/./c%00;p=1?room=1&&x=%26token%3D2&mytoken=mine#".rstrip("#")
    direct, tunnel = heads(jupyter, *PLAIN, path=path)
    assert direct[0] == f"GET {path} HTTP/1.1"
    [secret] = set(tunnel) - set(direct)
    assert secret.startswith("Wslab-Tunnel-Secret: ")
    # One name's lines stand together, where the first of them stood.
    assert [line for line in tunnel if line != secret] == direct


KEPT_BACK = (
    "Cookie: username-localhost-8888=the-users; _xsrf=2|abc",
    "X-XSRFToken: 2|abc",
    "Proxy-Authorization: Basic abc",
    "Proxy-Connection: keep-alive",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "Forwarded: for=192.0.2.1",
    "X-Real-IP: 192.0.2.1",
    "X-Auth-Request-Access-Token: abc",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Wslab-Tunnel-Secret: a-guess",
)


@pytest.mark.parametrize("opens", [True, False])
def test_what_is_jupyters_stays_with_jupyter(jupyter: Jupyter, opens: bool) -> None:
    path = f"/?token={TOKEN}&a=1&_xsrf=2%7Cabc&%74oken={TOKEN}&b=2"
    referer = f"Referer: http://localhost/lab?token={TOKEN}&c=3"
    _, tunnel = heads(jupyter, *KEPT_BACK, referer, path=path, opens=opens)
    assert tunnel[0] == "GET /?a=1&b=2 HTTP/1.1"
    assert "Referer: http://localhost/lab?c=3" in tunnel
    text = "\n".join(tunnel)
    assert TOKEN not in text
    for line in (*KEPT_BACK, LOGIN):
        assert line not in tunnel
    assert text.count("Wslab-Tunnel-Secret: ") == 1
    assert ("Connection: close" in tunnel) is not opens


def test_nobody_sees_the_secret(jupyter: Jupyter) -> None:
    seen: list[Any] = []

    async def handler(websocket: Any) -> None:
        seen.append(websocket.request.headers)

    def process_request(websocket: Any, request: Any) -> None:
        seen.append(request.headers)

    with wslab.serve(handler, process_request=process_request) as server:
        assert inside.registration(server) is not None
        secret = inside.registration(server).secret
        with tunnel_to(server, jupyter).connect() as client:
            closed(client)
        assert server.tape is not None
        assert len(seen) == 2
        for text in (
            *map(str, seen),
            repr(server.tape.events),
            repr(inside.registration(server)),
            repr(server),
        ):
            assert secret not in text
        assert not any("Wslab-Tunnel-Secret" in headers for headers in seen)


@pytest.mark.parametrize(
    "target",
    [
        "{base}wslab/{other}/../{id}/",
        "{base}wslab/../wslab/{id}/",
        "{base}wslab/%2e%2e/{id}/",
        "{base}wslab//{id}/",
        "{base}wslab%2F{id}/",
        "{base}/wslab/{id}/",
        "{base}wslab/{id}",
        "{base}wslab/{id}x/",
        "{base}wslab/{short}/",
        "{base}wslab/{upper}/",
        "{base}wslab/{quoted}/",
        "{base}wslab/{id}%00/",
        "{base}wslab/{id}.json/",
        "{base}wslab/tunnel-1/",
        "{base}wslab/?x={base}wslab/{id}/",
        "http://localhost{base}wslab/{id}/",
        "//localhost{base}wslab/{id}/",
        "/wslab/{id}/",
        "*",
    ],
)
def test_there_is_one_way_to_write_it(jupyter: Jupyter, victim: wslab.Server, target: str) -> None:
    name = victim.tunnel_id
    written = target.format(
        base=BASE_URL,
        id=name,
        other="0" * 32,
        short=name[:-1],
        upper=name.upper() if name.upper() != name else "A" * 32,
        quoted=f"%{ord(name[0]):02x}{name[1:]}",
    )
    answer = ask(jupyter, written, LOGIN, *OPENING)
    assert not answer or status(answer) in (200, 302, 400, 404), answer[:200]
    assert b"the page of ours" not in answer
    assert untouched(victim)


@pytest.mark.parametrize(
    "path", ["../../../api/status", "..%2f..%2fapi", "%2e%2e/", "//evil.example/", "\\..\\", "a#b"]
)
def test_what_follows_stays_on_that_server(
    jupyter: Jupyter, victim: wslab.Server, path: str
) -> None:
    answer = ask(jupyter, path_to(victim) + path, LOGIN)
    assert status(answer) in (400, 404)
    assert b"started" not in answer  # Jupyter's api/status


def request(victim: wslab.Server, *lines: str, start: str = "GET {path} HTTP/1.1") -> bytes:
    first = start.format(path=path_to(victim))
    return "\r\n".join([first, "Host: localhost", LOGIN, *lines, "", ""]).encode("latin-1")


SECOND = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def smuggled(victim: wslab.Server) -> bool:
    assert victim.tape is not None
    return b"/smuggled" in b"".join(chunk.data for chunk in victim.tape.chunks())


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:\x0bchunked",),
        (f"Content-Length: {len(SECOND)}",),
        ("Content-Length: 0", f"Content-Length: {len(SECOND)}"),
        ("Content-Length: +0",),
        ("Content-Length: -1",),
        ("Host: evil.example",),
        ("Host: localhost",),
        (" folded: line",),
        ("X-A: 1", "\tfolded"),
        ("X-A: a\rX-B: b",),
        ("X-A: a\x00b",),
        ("X A: 1",),
        (": nameless",),
        ("no colon",),
    ],
)
@pytest.mark.parametrize("opens", [True, False])
def test_a_head_that_could_be_read_in_two_ways_is_refused(
    jupyter: Jupyter, victim: wslab.Server, lines: tuple[str, ...], opens: bool
) -> None:
    data = request(victim, *(OPENING if opens else ("Accept: */*",)), *lines)
    answer = answered(jupyter, data + SECOND.encode())
    assert not answer or status(answer) == 400, answer[:300]
    assert untouched(victim)
    assert not smuggled(victim)


@pytest.mark.parametrize(
    "start",
    [
        "GET {path}x y HTTP/1.1",
        "GET  {path} HTTP/1.1",
        "GET {path}\tHTTP/1.1",
        "GET {path}\x00 HTTP/1.1",
        "GET {path}\xe9 HTTP/1.1",
        "GET {path} HTTP/1.1\rX-A: 1",
        "GET {path} HTTP/2.0",
        "GET {path} HTTQ/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(
    jupyter: Jupyter, victim: wslab.Server, start: str
) -> None:
    answer = answered(jupyter, request(victim, *OPENING, start=start))
    assert not answer or status(answer) in (400, 404), answer[:300]
    assert untouched(victim)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "X%sY"])
def test_other_methods_are_refused(jupyter: Jupyter, victim: wslab.Server, method: str) -> None:
    answer = ask(jupyter, path_to(victim), LOGIN, *OPENING, method=method)
    assert not answer or status(answer) in (204, 400, 403, 405), answer[:300]
    assert untouched(victim)


def test_line_feeds_alone_cannot_hide_a_header(jupyter: Jupyter, victim: wslab.Server) -> None:
    """Jupyter's server takes them for ends of lines; what goes on has none of them."""
    data = request(victim, "X-A: 1\nX-B: 2", *OPENING)
    answer = answered(jupyter, data)
    assert victim.tape is not None
    sent = b"".join(chunk.data for chunk in victim.tape.chunks())
    if answer and status(answer) == 101:
        assert b"X-A: 1\r\nX-B: 2\r\n" in sent
        assert sent.count(b"\n") == sent.count(b"\r\n")
    else:
        assert sent == b""


def test_encoded_line_ends_in_the_path_stay_encoded(jupyter: Jupyter, victim: wslab.Server) -> None:
    ask(jupyter, f"{path_to(victim)}%0d%0aX-Injected:%201", LOGIN)
    assert victim.tape is not None
    sent = b"".join(chunk.data for chunk in victim.tape.chunks())
    assert b"GET /%0d%0aX-Injected:%201 HTTP/1.1\r\n" in sent
    assert b"\r\nX-Injected" not in sent


def test_a_second_request_behind_the_first_is_dropped(
    jupyter: Jupyter, victim: wslab.Server
) -> None:
    with jupyter.dial(request(victim, "Accept: */*") + SECOND.encode()) as sock:
        answer = read_to_end(sock)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"the page of ours")
    assert not smuggled(victim)


def test_a_second_request_behind_a_refused_handshake_is_dropped(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_kernel_of(monkeypatch, jupyter)

    def refuse(websocket: Any, request: Any) -> Any:
        return websocket.respond(403, "Not you.\n")

    with wslab.serve(echo, process_request=refuse) as server:
        with jupyter.dial(request(server, *OPENING) + SECOND.encode()) as sock:
            answer = read_to_end(sock)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert not smuggled(server)


def test_frames_sent_with_the_head_arrive(jupyter: Jupyter, victim: wslab.Server) -> None:
    """Bytes that came before the answer are not lost, only late."""
    early = encode_frame(1, b"early", mask_key=b"abcd")
    with jupyter.dial(request(victim, *OPENING) + early) as sock:
        assert peers.read_head(sock).startswith(b"HTTP/1.1 101 ")
        assert read_exactly(sock, 7) == encode_frame(1, b"early")


def test_a_head_of_one_mebibyte_is_refused(jupyter: Jupyter, victim: wslab.Server) -> None:
    data = request(victim, *OPENING, *(f"X-{n}: {'x' * 1000}" for n in range(1100)))
    assert len(data) > 2**20
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        answer = answered(jupyter, data)
    assert not answer or status(answer) in (400, 431)
    assert untouched(victim)
    assert through(jupyter, victim.tunnel_id) == 101  # and nobody else is disturbed


def test_a_slow_head_costs_the_server_nothing(jupyter: Jupyter, victim: wslab.Server) -> None:
    """Nothing is opened behind before a head is whole; Jupyter's own bound ends it (an hour)."""
    data = request(victim, *OPENING)
    sockets = settled(lambda: jupyter.sockets)
    slow = [jupyter.dial(data[:-2]) for _ in range(20)]
    try:
        deadline = time.monotonic() + 10
        while jupyter.sockets < sockets + 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert through(jupyter, victim.tunnel_id) == 101
        assert jupyter.sockets <= sockets + 22  # one for each, and the pair of the one just made
        assert victim.connections_seen == 1
    finally:
        for sock in slow:
            sock.close()
