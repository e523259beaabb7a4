"""The tunnel carries bytes: through a real Jupyter server everything is as it is without one.

Each scenario is one function that is given a way to the server and returns what both ends saw; the
test runs it directly and through the tunnel, and compares.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

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
from wslab.tunnel import entries
from wslab.wire.events import RequestEvent
from wslab.wire.frames.layout import encode_frame

MIB = 2**20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LOGIN = f"Authorization: token {TOKEN}"
CERTIFICATE = peers.PEM


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    pytest.importorskip("jupyter_server")
    server = Jupyter(
        tmp_path_factory.mktemp("jupyter"), "--ServerApp.jpserver_extensions=wslab.tunnel=True"
    )
    yield server
    server.close()


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch, jupyter: Jupyter) -> None:
    as_kernel_of(monkeypatch, jupyter)


class Refused(Exception):
    """A raw handshake was answered otherwise than with 101; the answer's head."""


class Way:
    """How a client gets to a server: where to connect, and what stands before the path."""

    def __init__(self, name: str, port: int, prefix: str, login: tuple[str, ...]) -> None:
        self.name, self.port, self.prefix, self.login = name, port, prefix, login

    def __repr__(self) -> str:
        return self.name

    def url(self, path: str = "/") -> str:
        return f"ws://127.0.0.1:{self.port}{self.prefix}{path}"

    def connect(self, path: str = "/", **kwargs: Any) -> Any:
        headers = [tuple(line.split(": ")) for line in self.login]
        headers += kwargs.pop("additional_headers", [])
        kwargs = {"compression": None, "proxy": None, "max_size": None, **kwargs}
        return connect(self.url(path), additional_headers=headers, **kwargs)

    def dial(self, path: str = "/", *headers: str, method: str = "GET") -> socket.socket:
        """Send a plain request, or with headers of a handshake one of those."""
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", "Host: localhost", *self.login, *headers]
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        return sock

    def handshake(self, path: str = "/", *headers: str) -> socket.socket:
        sock = self.dial(
            path,
            *("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}"),
            *("Sec-WebSocket-Version: 13", *headers),
        )
        head = peers.read_head(sock)
        if not head.startswith(b"HTTP/1.1 101 "):
            sock.close()
            raise Refused(head.decode("latin-1"))
        return sock


def ways(server: wslab.Server, jupyter: Jupyter) -> tuple[Way, Way]:
    assert server.tunnel_id
    return (
        Way("direct", server.port, "", ()),
        Way("tunnel", jupyter.port, f"{BASE_URL}wslab/{server.tunnel_id}", (LOGIN,)),
    )


def tunnel_to(server: wslab.Server, jupyter: Jupyter) -> Way:
    return ways(server, jupyter)[1]


class Ended:
    """What a handler saw of the end of its connection, waited for by a test."""

    def __init__(self) -> None:
        self.codes: list[tuple[int, str]] = []
        self.came = threading.Event()

    def note(self, websocket: Any) -> None:
        self.codes.append((websocket.close_code, websocket.close_reason))
        self.came.set()

    def wait(self) -> list[tuple[int, str]]:
        assert self.came.wait(10), "the handler never saw the end"
        return self.codes


def until(is_true: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def both(jupyter: Jupyter, handler: Any, scenario: Callable[[Way], Any], **kwargs: Any) -> Any:
    """Run a scenario both ways; return what it gave, which must be the same."""
    results = []
    for which in (0, 1):
        with wslab.serve(handler, keep=True, **kwargs) as server:
            results.append(scenario(ways(server, jupyter)[which]))
    direct, tunnel = results
    assert tunnel == direct
    return direct


async def echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


# What a WebSocket is told.


def closed(client: Any) -> tuple[int | None, str, int | None]:
    with pytest.raises(ConnectionClosed) as failed:
        while True:
            client.recv(timeout=10)
    exc = failed.value
    rcvd = exc.rcvd
    return (rcvd.code if rcvd else None, rcvd.reason if rcvd else "", exc.sent and exc.sent.code)


def test_the_chosen_subprotocol_and_extension_arrive(jupyter: Jupyter) -> None:
    def scenario(way: Way) -> Any:
        with way.connect(subprotocols=["first", "second"], compression="deflate") as client:
            client.send("x" * 5000)
            headers = dict(client.response.headers.raw_items())
            del headers["Date"], headers["Sec-WebSocket-Accept"]
            return client.subprotocol, client.recv(timeout=10), headers

    subprotocol, _, headers = both(
        jupyter, echo, scenario, subprotocols=["second"], compression="deflate"
    )
    assert subprotocol == "second"
    assert "permessage-deflate" in headers["Sec-WebSocket-Extensions"]


def test_a_close_by_the_server_arrives(jupyter: Jupyter) -> None:
    async def handler(websocket: Any) -> None:
        await websocket.close(4001, "because")

    def scenario(way: Way) -> Any:
        with way.connect() as client:
            return closed(client)

    assert both(jupyter, handler, scenario) == (4001, "because", 4001)


def test_a_close_by_the_client_arrives(jupyter: Jupyter) -> None:
    ended: list[Ended] = []

    async def handler(websocket: Any) -> None:
        await websocket.wait_closed()
        ended[-1].note(websocket)

    def scenario(way: Way) -> Any:
        ended.append(Ended())
        with way.connect() as client:
            client.close(4001, "my own")
            return ended[-1].wait(), client.close_code, client.close_reason

    assert both(jupyter, handler, scenario) == ([(4001, "my own")], 4001, "my own")


def test_a_handler_that_fails_closes_with_1011(jupyter: Jupyter) -> None:
    async def handler(websocket: Any) -> None:
        await websocket.send("last words")
        raise RuntimeError("a mistake")

    def scenario(way: Way) -> Any:
        with way.connect() as client:
            return client.recv(timeout=10), closed(client)

    assert both(jupyter, handler, scenario) == ("last words", (1011, "", 1011))


def test_too_big_a_message_closes_with_1009(jupyter: Jupyter) -> None:
    def scenario(way: Way) -> Any:
        with way.connect() as client:
            with contextlib.suppress(ConnectionClosed):
                client.send(b"x" * 4 * MIB)
            return closed(client)[0]

    assert both(jupyter, echo, scenario, max_size=1000) == 1009


def test_an_abort_by_the_server_is_no_close(jupyter: Jupyter) -> None:
    async def handler(websocket: Any) -> None:
        await websocket.recv()
        websocket.transport.abort()

    def scenario(way: Way) -> Any:
        with way.connect() as client:
            client.send("now")
            return closed(client), client.close_code

    assert both(jupyter, handler, scenario) == ((None, "", None), 1006)


@pytest.mark.parametrize("how", ["end", "reset"])
def test_an_abort_by_the_client_is_no_close(jupyter: Jupyter, how: str) -> None:
    ended: list[Ended] = []

    async def handler(websocket: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for _ in websocket:
                pass
        ended[-1].note(websocket)

    def scenario(way: Way) -> Any:
        ended.append(Ended())
        sock = way.handshake()
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        return ended[-1].wait()

    assert both(jupyter, handler, scenario) == [(1006, "")]


def test_what_was_sent_before_the_end_arrives(jupyter: Jupyter) -> None:
    """The last bytes of a client that hangs up at once, and those of a server that does."""
    came: list[list[int]] = []
    ended: list[Ended] = []

    async def handler(websocket: Any) -> None:
        await websocket.send(b"s" * 3 * MIB)
        with contextlib.suppress(ConnectionClosed):
            async for message in websocket:
                came[-1].append(len(message))
        ended[-1].note(websocket)

    def scenario(way: Way) -> Any:
        ended.append(Ended())
        came.append([])
        sock = way.handshake()
        read_exactly(sock, 3 * MIB + 10)
        sock.sendall(encode_frame(2, b"c" * 300_000, mask_key=b"abcd") * 3)
        sock.sendall(encode_frame(8, b"\x0f\xa1bye", mask_key=b"abcd"))
        sock.close()
        return ended[-1].wait(), came[-1]

    codes, lengths = both(jupyter, handler, scenario)
    assert (codes, lengths) == ([(4001, "bye")], [300_000] * 3)


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_message_of_20_mib_arrives(jupyter: Jupyter, side: str) -> None:
    message = os.urandom(20 * MIB)
    digest = hashlib.sha256(message).hexdigest()

    async def handler(websocket: Any) -> None:
        if side == "server":
            await websocket.send(message)
        else:
            await websocket.send(hashlib.sha256(await websocket.recv()).hexdigest())

    def scenario(way: Way) -> Any:
        with way.connect() as client:
            if side == "client":
                client.send(message)
                return client.recv(timeout=30)
            return hashlib.sha256(client.recv(timeout=30)).hexdigest()

    assert both(jupyter, handler, scenario, max_size=None) == digest


def test_frames_arrive_as_they_were_cut(jupyter: Jupyter) -> None:
    """Fragments, pings between them and empty frames: bytes, and nobody else's."""
    sent = b"".join(
        [
            encode_frame(1, b"frag", fin=False, mask_key=b"abcd"),
            encode_frame(9, b"are you there", mask_key=b"efgh"),
            encode_frame(0, b"", fin=False, mask_key=b"abcd"),
            encode_frame(0, b"ment", mask_key=b"ijkl"),
        ]
    )

    pong, message = encode_frame(0xA, b"are you there"), encode_frame(1, b"fragment")

    def scenario(way: Way) -> Any:
        with way.handshake() as sock:
            for position in range(len(sent)):  # a byte at a time
                sock.sendall(sent[position : position + 1])
            answer = read_exactly(sock, len(pong + message))
            sock.sendall(encode_frame(8, b"\x03\xe8", mask_key=b"abcd"))
            return answer + read_to_end(sock)

    assert both(jupyter, echo, scenario) == pong + message + encode_frame(8, b"\x03\xe8")


def test_pings_of_the_server_reach_the_client_itself(jupyter: Jupyter) -> None:
    async def handler(websocket: Any) -> None:
        await websocket.ping(b"from the handler")
        await websocket.wait_closed()

    def scenario(way: Way) -> Any:
        with way.handshake() as sock:
            return read_exactly(sock, 18)

    assert both(jupyter, handler, scenario) == encode_frame(9, b"from the handler")


def test_an_idle_connection_stays(jupyter: Jupyter) -> None:
    """Nothing on the way keeps a clock: no ping of its own comes, and the socket is open after."""
    with wslab.serve(echo, ping_interval=None) as server:
        with tunnel_to(server, jupyter).handshake() as sock:
            sock.settimeout(1.5)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(10)
            sock.sendall(encode_frame(1, b"still here", mask_key=b"abcd"))
            assert read_exactly(sock, 12) == encode_frame(1, b"still here")


# What is refused, and plain HTTP.


def test_a_refusal_arrives_with_its_status_headers_and_body(jupyter: Jupyter) -> None:
    def refuse(websocket: Any, request: Any) -> Any:
        response = websocket.respond(403, "Not you.\n")
        response.headers["X-Why"] = "a test says so"
        return response

    def scenario(way: Way) -> Any:
        with pytest.raises(InvalidStatus) as failed:
            with way.connect():
                pass
        response = failed.value.response
        headers = {name: value for name, value in response.headers.raw_items() if name != "Date"}
        return response.status_code, response.reason_phrase, headers, response.body

    status, _, headers, body = both(jupyter, echo, scenario, process_request=refuse)
    assert (status, body, headers["X-Why"]) == (403, b"Not you.\n", "a test says so")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("HEAD", "/"), ("GET", "/nothing?x=1"), ("GET", "//a/../b")]
)
def test_a_page_arrives_as_it_was_sent(jupyter: Jupyter, method: str, path: str) -> None:
    def scenario(way: Way) -> Any:
        with way.dial(path, method=method) as sock:
            lines = read_to_end(sock).split(b"\r\n")
        return [line for line in lines if not line.startswith(b"Date:")]

    lines = both(jupyter, echo, scenario, page="<!doctype html>" + "a page of ours " * 100_000)
    assert lines[0].startswith(b"HTTP/1.1 200" if path == "/" else b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "headers",
    [
        ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        ("Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"),
        (
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 12",
        ),
    ],
)
def test_a_broken_handshake_is_refused_by_the_server_itself(
    jupyter: Jupyter, headers: tuple[str, ...]
) -> None:
    def scenario(way: Way) -> Any:
        with way.dial("/", *headers) as sock:
            lines = read_to_end(sock).split(b"\r\n")
        return [line for line in lines if not line.startswith(b"Date:")]

    [status, *_] = both(jupyter, echo, scenario)
    assert status.split()[1] in (b"400", b"426")


def test_a_page_goes_through_to_a_file_by_its_relative_link(
    jupyter: Jupyter, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("<p>in a folder")
    with wslab.serve(echo, page=tmp_path) as server:
        way = tunnel_to(server, jupyter)
        with way.dial("/sub") as sock:
            head = read_to_end(sock)
        assert b"Location: ./sub/\r\n" in head
        with way.dial("/sub/") as sock:
            assert read_to_end(sock).endswith(b"<p>in a folder")


# What the server sees of the request.


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
            way = ways(server, jupyter)[which]
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


def test_the_origin_that_jupyter_lets_in_is_let_in(jupyter: Jupyter) -> None:
    """And nobody else: the server itself goes on refusing that page, and a guessed secret."""
    far = "Origin: https://hub.example.org"
    with wslab.serve(echo) as server:
        direct, tunnel = ways(server, jupyter)
        tunnel.handshake("/", far).close()
        for guess in ((), ("Wslab-Tunnel-Secret: a-guess",)):
            with pytest.raises(Refused, match="^HTTP/1.1 403 "):
                direct.handshake("/", far, *guess)


def test_origins_of_the_users_own_choice_are_kept_to(jupyter: Jupyter) -> None:
    with wslab.serve(echo, origins=["https://a.example"]) as server:
        way = tunnel_to(server, jupyter)
        way.handshake("/", "Origin: https://a.example").close()
        with pytest.raises(Refused, match="^HTTP/1.1 403 "):
            way.handshake("/", "Origin: https://b.example")


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


# Backpressure, and nothing left behind.


def test_who_does_not_read_makes_the_server_wait(jupyter: Jupyter) -> None:
    """What is under way is bounded by the sockets' buffers, and Jupyter's memory stays."""
    sent = [0]

    async def handler(websocket: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await websocket.send(b"x" * MIB)
                sent[0] += MIB

    with wslab.serve(handler, record=False) as server:
        before = jupyter.memory_bytes
        with tunnel_to(server, jupyter).handshake() as sock:
            assert settled(lambda: sent[0]) < 64 * MIB
            assert jupyter.memory_bytes - before < 16 * MIB
            held = sent[0]
            read_exactly(sock, 2 * held)  # and it goes on when somebody reads
        assert sent[0] > held


def test_a_server_that_does_not_read_makes_the_client_wait(jupyter: Jupyter) -> None:
    go_on = threading.Event()
    came = [0]

    async def handler(websocket: Any) -> None:
        await asyncio.to_thread(go_on.wait, 30)
        async for message in websocket:
            came[0] += len(message)
            await websocket.send("got it")

    count = [0]
    message = encode_frame(2, b"x" * MIB, mask_key=b"abcd")

    def write(sock: socket.socket) -> None:
        for _ in range(64):
            sock.sendall(message)
            count[0] += 1

    with wslab.serve(handler, record=False) as server:
        before = jupyter.memory_bytes
        with tunnel_to(server, jupyter).handshake() as sock:
            sock.settimeout(60)
            writer = threading.Thread(target=write, args=[sock])
            writer.start()
            held = settled(lambda: count[0])
            grown = jupyter.memory_bytes - before
            go_on.set()
            answers = read_exactly(sock, 64 * 8)
            writer.join(30)
    assert held < 64
    assert grown < 16 * MIB
    assert answers == encode_frame(1, b"got it") * 64
    assert came[0] == 64 * MIB


def test_many_connections_leave_nothing_behind(jupyter: Jupyter) -> None:
    with wslab.serve(echo) as server:
        way = tunnel_to(server, jupyter)
        way.handshake().close()
        until(lambda: not inside.at_tcp(server), "the first did not end")
        before = settled(lambda: jupyter.sockets)
        for batch in range(10):
            socks = [way.handshake() for _ in range(20)]
            for nth, sock in enumerate(socks):
                sock.sendall(encode_frame(1, b"hello", mask_key=b"abcd"))
                assert read_exactly(sock, 7) == encode_frame(1, b"hello")
                if (nth + batch) % 3 == 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif (nth + batch) % 3 == 1:
                    sock.sendall(encode_frame(8, b"\x03\xe8", mask_key=b"abcd"))
                    read_to_end(sock)
                sock.close()
        assert server.connections_seen == 201
        until(lambda: not inside.at_tcp(server), "the server still has some")
        until(lambda: jupyter.sockets <= before, "Jupyter's server still has some")


def test_a_server_that_stops_ends_its_connections_on_the_way(jupyter: Jupyter) -> None:
    before = settled(lambda: jupyter.sockets)
    server = wslab.serve(echo)
    way = tunnel_to(server, jupyter)
    with way.connect() as client:
        server.stop()
        assert closed(client)[0] == 1001
    with way.dial("/", "Connection: close") as sock:
        assert read_to_end(sock).startswith(b"HTTP/1.1 404 ")
    until(lambda: jupyter.sockets <= before, "Jupyter's server still has some")


# TLS and Unix sockets.


def test_a_server_with_tls_is_reached(jupyter: Jupyter) -> None:
    with wslab.serve(echo, ssl=peers.server_tls()) as server:
        with tunnel_to(server, jupyter).connect() as client:
            client.send("hello")
            assert client.recv(timeout=10) == "hello"
            client.close(4001, "bye")
            assert client.close_code == 4001


def test_a_server_on_a_unix_socket_is_reached(jupyter: Jupyter, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with wslab.serve(echo, unix=True, path=path, host=None) as server:
        with tunnel_to(server, jupyter).connect() as client:
            client.send("hello")
            assert client.recv(timeout=10) == "hello"


def test_jupyter_with_tls(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    jupyter = Jupyter(
        tmp_path,
        "--ServerApp.jpserver_extensions=wslab.tunnel=True",
        f"--ServerApp.certfile={CERTIFICATE}",
    )
    as_kernel_of(monkeypatch, jupyter)

    async def handler(websocket: Any) -> None:
        await websocket.send(await websocket.recv())
        await websocket.close(4001, "because")

    try:
        with wslab.serve(handler, max_size=None) as server:
            url = f"wss://localhost:{jupyter.port}{BASE_URL}wslab/{server.tunnel_id}/"
            headers = {"Authorization": f"token {TOKEN}"}
            with connect(
                url, ssl=peers.client_tls(), additional_headers=headers, proxy=None, max_size=None
            ) as client:
                client.send(b"x" * 5 * MIB)
                assert len(client.recv(timeout=10)) == 5 * MIB
                assert closed(client) == (4001, "because", 4001)
    finally:
        jupyter.close()


# Who it is, and for how long.


def test_the_url_outlives_a_restart_and_another_server_on_the_same_port(jupyter: Jupyter) -> None:
    with wslab.serve(echo) as server:
        name = server.tunnel_id
        server.restart()
        assert server.tunnel_id == name
        tunnel_to(server, jupyter).handshake().close()
    assert server.tunnel_id == ""
    with wslab.serve(echo, port=server.port) as again:
        assert again.tunnel_id == name
        tunnel_to(again, jupyter).handshake().close()


def test_two_servers_are_told_apart(jupyter: Jupyter) -> None:
    with wslab.serve(echo, page="one") as one, wslab.serve(echo, page="two") as two:
        assert one.tunnel_id != two.tunnel_id
        for server, text in ((one, b"one"), (two, b"two")):
            with tunnel_to(server, jupyter).dial() as sock:
                assert read_to_end(sock).endswith(text)


def test_a_plain_script_writes_nothing(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_PARENT_PID")
    with wslab.serve(echo) as server:
        assert server.tunnel_id == ""
        assert not list(jupyter.runtime.glob("wslab-[0-9a-f]*"))


def test_a_kernel_with_another_runtime_directory_has_no_tunnel(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Jupyter's server would look for the entry in its own, so no page must be sent there."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", BASE_URL)

    def leads_to_the_tunnel() -> bool:
        with wslab.serve(echo) as server:
            kinds = [way.kind for way in server.routes]
            leads = {"wslab/" in server.browser_url, "wslab/" in server.page_url}
            assert leads == {bool(server.tunnel_id)} == {"tunnel" in kinds}
            return bool(server.tunnel_id)

    assert not leads_to_the_tunnel()
    # Nor where another Jupyter with a tunnel (this process plays it) has its files there.
    other = entries.announce()
    assert other is not None
    assert entries.tunnel_is_there({}) is True  # to a program in that one's terminal
    assert not leads_to_the_tunnel()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(jupyter.runtime))
    assert leads_to_the_tunnel()
    other.remove()


def test_a_failure_to_write_is_said_and_does_not_stop_the_server(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wslab.tunnel.register", full)
    with wslab.serve(echo) as server:
        assert server.tunnel_id == ""
        assert "No space left on device" in server.note
        with wslab.connect(server) as client:
            client.send("hello")
            assert client.recv(timeout=10) == "hello"
