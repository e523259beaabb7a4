"""One exchange of bytes and one listener: bounds, endings, and that nothing stays open."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

import wslab
from tests.peers import assert_free, free_port, hold, raw_server
from wslab.network import exchange as exchanges


def exchange(port: int, data: bytes = b"?", **kwargs) -> exchanges.Exchange:
    return wslab.run(lambda: exchanges.exchange("127.0.0.1", port, data, **kwargs), timeout=10)


def say(data: bytes):
    def script(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(data)

    return script


def test_it_reads_until_the_other_side_closes():
    with raw_server(say(b"hello")) as port:
        came = exchange(port)
    assert (came.data, came.ended) == (b"hello", "closed")
    assert 0 < came.took_s < 5


def test_what_was_sent_arrives_as_it_was():
    heard = []
    with raw_server(lambda sock: heard.append(sock.recv(100))) as port:
        exchange(port, b"\x00\r\n\xff")
    assert heard == [b"\x00\r\n\xff"]


def test_enough_is_enough():
    def script(sock: socket.socket) -> None:
        sock.sendall(b"abc")
        hold(sock)

    with raw_server(script) as port:
        came = exchange(port, enough=lambda data: data.endswith(b"c"))
    assert (came.data, came.ended) == (b"abc", "enough")


def test_silence_has_a_bound_and_keeps_what_came():
    def script(sock: socket.socket) -> None:
        sock.sendall(b"half")
        hold(sock)

    with raw_server(script) as port:
        came = exchange(port, timeout_s=0.1)
    assert (came.data, came.ended) == (b"half", "timeout")


def test_a_flood_has_a_bound():
    def script(sock: socket.socket) -> None:
        sock.sendall(bytes(1_000_000))

    with raw_server(script) as port:
        came = exchange(port, max_bytes=1000)
    assert came.ended == "full"
    assert 1000 <= len(came.data) <= 2000


def test_a_farewell_is_said_before_closing_and_answered():
    heard = []

    def script(sock: socket.socket) -> None:
        sock.sendall(b"go")
        sock.recv(1)
        heard.append(sock.recv(100))
        sock.sendall(b"bye")

    with raw_server(script) as port:
        came = exchange(port, enough=lambda _: True, farewell=lambda data: b"I heard " + data)
    assert heard == [b"I heard go"]
    assert came.data == b"gobye"


def test_a_reset_is_an_end():
    def script(sock: socket.socket) -> None:
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.close()

    with raw_server(script) as port:
        assert exchange(port) == exchanges.Exchange(b"", "closed", pytest.approx(0, abs=5))


def test_nobody_listens():
    with pytest.raises(ConnectionRefusedError):
        exchange(free_port())


def listen(callback, visit) -> exchanges.Listener:
    """Run `visit(port)` in a thread while the callback is listened for."""

    async def main() -> exchanges.Listener:
        async with exchanges.listening(callback) as listener:
            await asyncio.to_thread(visit, listener.port)
        return listener

    return wslab.run(main, timeout=10)


def test_a_listener_serves_and_its_port_is_free_afterwards():
    async def upper(reader, writer):
        writer.write((await reader.read(100)).upper())
        await writer.drain()
        writer.close()

    got = []

    def visit(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(b"abc")
            got.append(sock.recv(100))

    listener = listen(upper, visit)
    assert got == [b"ABC"]
    assert listener.errors == []
    assert_free(listener.port)


def test_what_a_callback_raises_is_kept_and_not_printed(capfd):
    async def broken(reader, writer):
        raise ValueError("no")

    def visit(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            try:
                assert sock.recv(1) == b""
            except ConnectionResetError:
                pass

    listener = listen(broken, visit)
    assert repr(listener.errors) == "[ValueError('no')]"
    assert capfd.readouterr() == ("", "")


def test_a_plain_function_is_a_callback_too():
    def hang_up(_reader, writer):
        writer.close()

    def visit(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            assert sock.recv(1) == b""

    assert listen(hang_up, visit).errors == []


def test_who_does_not_end_is_cut_off(capfd):
    async def for_ever(reader, writer):
        await asyncio.sleep(60)

    ends = []

    def visit(port: int) -> None:
        sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        sock.sendall(b"x")
        ends.append(sock)

    began_s = time.monotonic()
    listener = listen(for_ever, visit)
    assert time.monotonic() - began_s < 3
    with ends[0] as sock:
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
    assert_free(listener.port)
    assert listener.errors == []
    assert capfd.readouterr() == ("", "")


def test_a_block_that_is_cancelled_leaves_nothing_open():
    async def for_ever(reader, writer):
        await asyncio.sleep(60)

    ports = []

    async def main() -> None:
        async with exchanges.listening(for_ever) as listener:
            ports.append(listener.port)
            await exchanges.exchange("127.0.0.1", listener.port, b"x", timeout_s=60)

    with pytest.raises(TimeoutError):
        wslab.run(main, timeout=0.2)
    assert_free(ports[0])
