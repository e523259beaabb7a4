"""The send queue: in order, bounded, and what finds no way out is counted."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

import wslab
from tests import peers
from tests.client.rig import held, let_loop_write
from tests.peers import until
from wslab.client import send_queue
from wslab.client.send_queue import SendQueue
from wslab.errors import PortalClosed
from wslab.loops.portal import Portal


@pytest.fixture
def server(echo_server):
    return echo_server


def test_a_loop_that_has_ended_takes_no_message():
    mine = Portal("short-lived")
    loop = mine.loop
    mine.close()
    sending = SendQueue(type("Websocket", (), {"sends_plainly": True})(), loop)
    with pytest.raises(PortalClosed):
        sending.put("too late")


def self_closing_send(client, message):
    with pytest.raises(ConnectionClosed):
        client.send(message)


def test_sending_waits_where_the_other_side_does_not_read():
    reading = threading.Event()
    count = 0

    def script(sock):
        nonlocal count
        peers.upgrade(sock)
        reading.wait(30)
        while True:
            first, payload = peers.read_frame(sock)
            if first == 0x88:
                sock.sendall(peers.frame(8, payload, masked=False))
                return
            assert payload == b"%05d" % count + b"x" * 1000
            count += 1

    with peers.raw_server(script) as port, wslab.connect(f"ws://127.0.0.1:{port}/") as client:
        sent = 0
        with pytest.raises(TimeoutError, match="the other side does not read") as late:
            while sent < 50_000:
                client.send(b"%05d" % sent + b"x" * 1000, timeout=0.2)
                sent += 1
        assert 10 < sent < 40_000
        if "taken back" not in str(late.value):
            assert "on its way" in str(late.value)
            sent += 1
        assert client._life.connection.send_queue._waiting_bytes <= 2 * send_queue.MAX_UNSENT_BYTES
        reading.set()
        client.send(b"%05d" % sent + b"x" * 1000)
        client.close()
        assert client.close_code == 1000
    assert count == sent + 1


def test_sending_costs_no_wait_for_the_loop(server):
    with wslab.connect(server) as client:
        with held():
            for number in range(100):
                client.send(str(number))  # would hang otherwise
        assert [client.recv(timeout=5) for _ in range(100)] == [str(n) for n in range(100)]


def test_what_is_handed_over_while_the_loop_is_held_is_bounded(server):
    for message in ("", b"x" * 1000):
        with wslab.connect(server, max_waiting=100_000) as client:
            let_loop_write(client)
            with held(), pytest.raises(TimeoutError):
                for _ in range(100_000):
                    client.send(message, timeout=0.1)
            waiting = len(client._life.connection.send_queue._waiting)
            assert waiting <= 1 + send_queue.MAX_UNSENT_BYTES // send_queue.UNSENT_OVERHEAD_BYTES


def test_many_threads_send_at_once(server):
    sizes = (1, 10, 70_000)

    def body(thread, number):
        return f"{thread}:{number}:" + "x" * sizes[number % 3]

    with wslab.connect(server, max_size=None, max_waiting=10_000) as client:

        def work(thread):
            for number in range(100):
                text = body(thread, number)
                client.send([text[:3], text[3:]] if number % 7 == 0 else text)

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(work, thread) for thread in range(6)]
            came = [client.recv(timeout=10) for _ in range(600)]
            for future in futures:
                future.result()
    seen = {thread: itertools.count() for thread in range(6)}
    for text in came:
        thread = int(text.split(":")[0])
        assert text == body(thread, next(seen[thread]))


def test_a_buffer_may_be_changed_after_it_was_sent(server):
    with wslab.connect(server) as client:
        buffer = bytearray(b"first")
        parts = ["a", "b"]
        with held():
            client.send(buffer)
            buffer[:] = b"other"
        assert client.recv(timeout=5) == b"first"
        client.send(parts)
        parts[:] = ["x"]
        assert client.recv(timeout=5) == "ab"


def test_what_was_handed_over_after_the_end_is_counted(server):
    client = wslab.connect(server)
    let_loop_write(client)
    loop = client.websocket.loop
    with held():
        # It ends on the loop before the turn of what is sent now.
        loop.call_soon_threadsafe(client.websocket.transport.abort)
        for _ in range(7):
            client.send("into the void")
        large = threading.Thread(target=self_closing_send, args=(client, bytes(200_000)))
        large.start()
    large.join(5)
    until(lambda: client.state is State.CLOSED)
    until(lambda: client._life.connection.send_queue.unsent == 7)
    assert "The 7 messages sent last did not go out before the end." in client.why_closed
