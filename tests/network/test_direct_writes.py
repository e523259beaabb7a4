"""Writes past the loop: whole, in order with the loop's own, and recorded as they went out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading

import pytest

from tests.peers import until
from wslab.loops.portal import Portal
from wslab.network import direct_writes
from wslab.network.direct_writes import DirectWrites
from wslab.network.recorded_transport import RecordedTransport
from wslab.network.traffic import Traffic


class Line:
    """A transport on a loop of its own, and the socket at the other end."""

    def __init__(self, *, buffer_bytes=None):
        self.runner = Portal("line")
        near, self.far = socket.socketpair()
        if buffer_bytes is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        self.far.settimeout(10)
        self.recorded = bytearray()
        self.traffic = Traffic("abcdef")
        self.lost = threading.Event()
        line = self

        class Protocol(asyncio.Protocol):
            def connection_lost(self, exc):
                line.direct.stop()
                line.lost.set()

        async def make():
            loop = asyncio.get_running_loop()
            near.setblocking(False)
            transport, _ = await loop.create_connection(Protocol, sock=near)
            self.transport = RecordedTransport(transport, self.traffic, self.recorded.extend)
            self.direct = DirectWrites(self.transport, loop)

        self.runner.call(make)

    def write_now(self, data, may_send=lambda connection: True):
        return self.direct.write_now(data, may_send)

    def write(self, data):
        self.runner.call(self.transport.write, data)

    def read(self, size):
        data = bytearray()
        while len(data) < size:
            chunk = self.far.recv(min(size - len(data), 2**16))
            assert chunk
            data += chunk
        return bytes(data)

    def close(self):
        if not self.lost.is_set():
            self.runner.call(self.transport.abort)
        assert self.lost.wait(5)
        self.runner.close()
        self.far.close()


@pytest.fixture
def line():
    with contextlib.closing(Line()) as line:
        yield line


@contextlib.contextmanager
def held(line):
    let_go, begun = threading.Event(), threading.Event()

    def hold():
        begun.set()
        let_go.wait(20)

    line.runner.loop.call_soon_threadsafe(hold)
    assert begun.wait(5)
    try:
        yield
    finally:
        let_go.set()


def test_it_needs_no_turn_of_the_loop(line):
    with held(line):
        assert line.write_now(b"\x81\x01a")
        assert line.read(3) == b"\x81\x01a"
    assert bytes(line.recorded) == b"\x81\x01a"
    assert (line.traffic.sent, line.traffic.sent_bytes) == (1, 3)


def test_not_past_what_the_loop_has_still_to_write(line):
    line.write(bytes(2**22))
    assert line.runner.call(line.transport.get_write_buffer_size)
    assert not line.write_now(b"late")
    line.read(2**22)
    until(lambda: not line.runner.call(line.transport.get_write_buffer_size))
    assert line.write_now(b"now")
    assert line.read(3) == b"now"


def test_not_where_the_frame_may_not_follow(line):
    assert not line.write_now(b"x", lambda connection: False)
    assert not line.recorded


def test_what_the_socket_does_not_take_goes_to_the_loop():
    with contextlib.closing(Line(buffer_bytes=4096)) as line:
        frames = [bytes([number]) * 60_000 for number in range(5)]
        with held(line):
            assert line.write_now(frames[0])  # the socket takes some of it
            assert not line.write_now(frames[1])  # and nothing may come before the rest
        line.write(frames[1])
        line.runner.call(line.transport.writelines, frames[2:])
        assert line.read(300_000) == b"".join(frames) == bytes(line.recorded)


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_the_rest_comes_before_the_end(end):
    with contextlib.closing(Line(buffer_bytes=4096)) as line:
        with held(line):
            line.runner.loop.call_soon_threadsafe(
                getattr(line.transport, end)
            )  # before the rest's turn
            assert line.write_now(b"x" * 60_000)
        assert line.read(60_000) == b"x" * 60_000
        assert line.far.recv(1) == b""


def test_threads_and_the_loop_mix_no_bytes():
    with contextlib.closing(Line(buffer_bytes=16_384)) as line:
        rounds, size_bytes = 300, 2000

        def write(mark):
            for number in range(rounds):
                frame = bytes([mark, number % 256]) * (size_bytes // 2)
                if not line.write_now(frame):
                    line.write(frame)

        def write_on_loop():
            for number in range(rounds):
                line.write(bytes([99, number % 256]) * (size_bytes // 2))

        threads = [threading.Thread(target=write, args=(mark,)) for mark in range(3)]
        threads.append(threading.Thread(target=write_on_loop))
        for thread in threads:
            thread.start()
        came = line.read(4 * rounds * size_bytes)
        for thread in threads:
            thread.join(10)
        assert came == bytes(line.recorded)
        numbers = {0: [], 1: [], 2: [], 99: []}
        for at in range(0, len(came), size_bytes):
            frame = came[at : at + size_bytes]
            assert frame == frame[:2] * (size_bytes // 2)
            numbers[frame[0]].append(frame[1])
        assert all(one == [n % 256 for n in range(rounds)] for one in numbers.values())


@pytest.mark.parametrize("taken", [0, 2, 5])
def test_an_interrupt_leaves_no_half_a_frame(line, monkeypatch, taken):
    class Interrupt(BaseException):
        pass

    real = os.write

    def strike(write, *calls):
        # Python looks at a signal when the call in C is over, and what it gave is known.
        if taken:
            yield real(line.direct._descriptor, b"hello"[:taken])
        raise Interrupt

    monkeypatch.setattr(direct_writes, "map", strike, raising=False)
    with pytest.raises(Interrupt):
        line.write_now(b"hello")
    line.write(b" world")
    assert line.read(11) == b"hello world" == bytes(line.recorded)


def test_a_connection_that_has_broken_off(line):
    with held(line):
        line.far.close()
        assert line.write_now(b"into the void")  # as the loop's own write would: it sees it later
    assert line.lost.wait(5)
    assert not line.write_now(b"x")


def test_not_after_the_end(line):
    line.runner.call(line.direct.stop)
    assert not line.write_now(b"x")
    line.write(b"but the loop does")
    assert line.read(17) == b"but the loop does"


@pytest.mark.parametrize(
    "infos", [{}, {"socket": object(), "sslcontext": object()}], ids=["memory", "TLS"]
)
def test_only_where_a_frames_bytes_are_the_sockets(infos):
    class Transport:
        def get_extra_info(self, name):
            return infos.get(name)

    assert direct_writes._descriptor_of(Transport()) is None
