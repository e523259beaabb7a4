"""How the end of one side reaches the other, and who waits for whom; over real sockets."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests import peers
from tests.taps.rig import all_of, reset, tapped
from wslab.taps.leg import BUFFER_BYTES

pytestmark = pytest.mark.usefixtures("each_loop")


def told(script):
    """Run a script after the handshake; return it and what it gave, once it has."""
    gave, done = [], threading.Event()

    def run(sock):
        peers.upgrade(sock)
        try:
            gave.append(script(sock))
        finally:
            done.set()

    def result():
        assert done.wait(10)
        return gave[0] if gave else None

    return run, result


def test_an_end_becomes_an_end_behind_all_that_came_before():
    def script(sock):
        sock.sendall(b"x" * 3_000_000)
        sock.shutdown(socket.SHUT_WR)
        return all_of(sock)

    run, result = told(script)
    with tapped(run) as tap, peers.raw_client(tap.port) as sock:
        assert all_of(sock) == b"x" * 3_000_000
        # The other direction is still open.
        sock.sendall(b"y" * 3_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert result() == b"y" * 3_000_000
        peers.until(lambda: not tap.connections)


def test_a_client_may_end_first():
    def script(sock):
        came = all_of(sock)
        sock.sendall(came[::-1])
        sock.shutdown(socket.SHUT_WR)

    run, result = told(script)
    with tapped(run) as tap, peers.raw_client(tap.port) as sock:
        sock.sendall(b"abc" * 500_000)
        sock.shutdown(socket.SHUT_WR)
        assert all_of(sock) == b"cba" * 500_000
        result()
        peers.until(lambda: not tap.connections)


def test_a_reset_by_the_server_becomes_a_reset():
    def script(sock):
        sock.sendall(b"last words")
        assert sock.recv(5) == b"heard"
        reset(sock)

    run, _ = told(script)
    with tapped(run) as tap, peers.raw_client(tap.port) as sock:
        assert sock.recv(10) == b"last words"
        sock.sendall(b"heard")
        assert all_of(sock) == b"RST"
        peers.until(lambda: not tap.connections)


def test_a_reset_by_the_client_becomes_a_reset():
    run, result = told(all_of)
    with tapped(run) as tap:
        sock = peers.raw_client(tap.port)
        peers.until(lambda: tap.connections[0].is_open)
        reset(sock)
        assert result() == b"RST"
        peers.until(lambda: not tap.connections)


@pytest.mark.parametrize("reader", ["client", "server"])
def test_who_does_not_read_makes_the_other_side_wait(reader):
    """And what lies in the tap meanwhile is bounded: here a peer tries to fill its memory."""
    let_go = threading.Event()
    total = 200 * 100_000
    sent = [0]

    def flood(sock):
        sock.settimeout(0.3)
        block = memoryview(peers.frame(2, bytes(99_990), masked=False))  # 100,000 bytes
        while sent[0] < total:
            try:
                sent[0] += sock.send(block[sent[0] % len(block) :])
            except TimeoutError:
                if let_go.is_set():
                    continue
                stuck.set()
        sock.settimeout(10)
        sock.shutdown(socket.SHUT_WR)

    def slow(sock):
        assert let_go.wait(20)
        return len(all_of(sock))

    stuck = threading.Event()
    run, result = told(slow if reader == "server" else flood)
    with tapped(run) as tap, peers.raw_client(tap.port) as sock:
        peers.until(lambda: tap.connections[0].is_open)
        if reader == "server":
            thread = threading.Thread(target=flood, args=(sock,))
            thread.start()
        assert stuck.wait(20)
        [one] = tap._listener.connections
        held = peers.until(
            lambda: sum(leg.transport.get_write_buffer_size() for leg in (one.client, one.server))
        )
        assert held <= 3 * BUFFER_BYTES
        let_go.set()
        if reader == "server":
            thread.join(20)
            assert result() == total
        else:
            assert len(all_of(sock)) == total
    assert sent == [total]


def test_tls_has_no_half_so_an_end_closes_it():
    def script(sock):
        sock.sendall(b"x" * 300_000)
        sock.unwrap()

    run, _ = told(script)
    with tapped(run, tls=peers.server_tls(), ssl=peers.client_tls()) as tap:
        with peers.raw_client(tap.port) as sock:
            assert all_of(sock) == b"x" * 300_000
        peers.until(lambda: not tap.connections)


def test_what_stops_while_a_side_does_not_read_ends_in_time():
    run, _ = told(lambda sock: all_of(sock))
    with tapped(run) as tap, peers.raw_client(tap.port) as sock:
        began_s = time.monotonic()
        tap.stop()
        assert all_of(sock) in (b"", b"RST")
        assert time.monotonic() - began_s < 30
        assert not tap.is_serving
