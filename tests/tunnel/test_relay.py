"""The relay carries bytes: through a real Jupyter server everything is as it is without one.

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
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

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
    KEY,
    MIB,
    Ended,
    Route,
    both,
    closed,
    codes_of,
    echo,
    tunnel_to,
    until,
)
from wslab.wire.frames.layout import encode_frame

pytestmark = pytest.mark.usefixtures("kernel")


def test_the_chosen_subprotocol_and_extension_arrive(jupyter: Jupyter) -> None:
    def scenario(way: Route) -> Any:
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

    def scenario(way: Route) -> Any:
        with way.connect() as client:
            return closed(client)

    assert both(jupyter, handler, scenario) == (4001, "because", 4001)


def test_a_close_by_the_client_arrives(jupyter: Jupyter) -> None:
    ended: list[Ended] = []

    async def handler(websocket: Any) -> None:
        await websocket.wait_closed()
        ended[-1].note(websocket)

    def scenario(way: Route) -> Any:
        ended.append(Ended())
        with way.connect() as client:
            client.close(4001, "my own")
            return ended[-1].wait(), client.close_code, client.close_reason

    assert both(jupyter, handler, scenario) == ([(4001, "my own")], 4001, "my own")


def test_a_handler_that_fails_closes_with_1011(jupyter: Jupyter) -> None:
    async def handler(websocket: Any) -> None:
        await websocket.send("last words")
        raise RuntimeError("a mistake")

    def scenario(way: Route) -> Any:
        with way.connect() as client:
            return client.recv(timeout=10), closed(client)

    assert both(jupyter, handler, scenario) == ("last words", (1011, "", 1011))


def test_too_big_a_message_closes_with_1009(jupyter: Jupyter) -> None:
    def scenario(way: Route) -> Any:
        with way.connect() as client:
            with contextlib.suppress(ConnectionClosed):
                client.send(b"x" * 4 * MIB)
            return closed(client)[0]

    assert both(jupyter, echo, scenario, max_size=1000) == 1009


def test_an_abort_by_the_server_is_no_close(jupyter: Jupyter) -> None:
    async def handler(websocket: Any) -> None:
        await websocket.recv()
        websocket.transport.abort()

    def scenario(way: Route) -> Any:
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

    def scenario(way: Route) -> Any:
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

    def scenario(way: Route) -> Any:
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

    def scenario(way: Route) -> Any:
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

    def scenario(way: Route) -> Any:
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

    def scenario(way: Route) -> Any:
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


def test_a_refusal_arrives_with_its_status_headers_and_body(jupyter: Jupyter) -> None:
    def refuse(websocket: Any, request: Any) -> Any:
        response = websocket.respond(403, "Not you.\n")
        response.headers["X-Why"] = "a test says so"
        return response

    def scenario(way: Route) -> Any:
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
    def scenario(way: Route) -> Any:
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
    def scenario(way: Route) -> Any:
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


def test_a_server_that_hangs_up_before_its_answer_is_a_bad_gateway(jupyter: Jupyter) -> None:
    def hang_up(connection: Any, _: Any) -> None:
        connection.transport.abort()

    with wslab.serve(echo, process_request=hang_up) as server:
        with tunnel_to(server, jupyter).dial("/", "Connection: close") as sock:
            head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"hung up" in body


@pytest.mark.parametrize("made", [False, True], ids=["its own", "on the spot"])
def test_a_server_with_tls_is_reached(jupyter: Jupyter, made: bool) -> None:
    kwargs: dict[str, Any] = {"tls": True} if made else {"ssl": peers.server_tls()}
    with wslab.serve(echo, **kwargs) as server:
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
        f"--ServerApp.certfile={peers.PEM}",
    )
    as_kernel_of(monkeypatch, jupyter)

    async def handler(websocket: Any) -> None:
        await websocket.send(await websocket.recv())
        await websocket.close(4001, "because")

    try:
        with wslab.serve(handler, max_size=None) as server:
            url = f"wss://localhost:{jupyter.port}{BASE_URL}wslab/{server.tunnel_id}/"
            headers = {"Authorization": f"token {TOKEN}"}
            keywords = {"ssl": peers.client_tls(), "additional_headers": headers}

            async def talk() -> None:  # see `says` of tests/server/rig.py for why it is not sync
                async with connect(url, proxy=None, max_size=None, **keywords) as client:
                    await client.send(b"x" * 5 * MIB)
                    assert len(await asyncio.wait_for(client.recv(), 10)) == 5 * MIB
                    with pytest.raises(ConnectionClosed) as failed:
                        await asyncio.wait_for(client.recv(), 10)
                    assert codes_of(failed.value) == (4001, "because", 4001)

            asyncio.run(talk())
    finally:
        jupyter.close()
