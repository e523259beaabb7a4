"""Where messages go: each place is bounded, and then the sender waits."""

from __future__ import annotations

import threading

import pytest

import wslab
from tests import peers
from tests.client.rig import Flood
from tests.peers import until
from wslab.client import incoming
from wslab.client.incoming import ReceivedLog


@pytest.fixture
def server(echo_server):
    return echo_server


def test_messages_are_kept_up_to_a_count_and_then_the_sender_waits():
    flood = Flood(8_000, "x" * 5000)
    with wslab.serve(flood) as server, wslab.connect(server, max_waiting=100) as client:
        until(lambda: client.waiting >= 100)
        until(flood.stands_still)
        assert flood.sent < 7_000  # what fits into the sockets' buffers is the system's choice
        assert 100 <= client.waiting <= 102
        for number in range(8_000):
            assert client.recv(timeout=5) == f"{number}:{flood.body}"
        assert flood.sent == 8_000
        assert list(client) == []
        assert client.close_code == 1000


def test_messages_are_kept_up_to_a_size_and_then_the_sender_waits():
    flood = Flood(100, "x" * 999_000)
    with wslab.serve(flood) as server, wslab.connect(server) as client:
        until(lambda: client.waiting >= 17)
        until(flood.stands_still)
        assert flood.sent < 100  # the rest of it is in the system's buffers, of whatever size
        assert client.waiting <= 19
        assert [message.split(":")[0] for message in client] == [str(n) for n in range(100)]


def test_a_server_that_floods_while_it_is_closed_fills_no_more_than_a_bound():
    # Only their number was bounded: with large messages a close() took what came in its 5 s.
    def script(sock):
        peers.upgrade(sock)
        data = peers.frame(2, b"x" * 900_000, masked=False)
        for _ in range(100):  # 90 MB, and then it closes
            sock.sendall(data)
        sock.sendall(peers.close_frame(1000, masked=False))
        peers.hold(sock)

    with peers.raw_server(script) as port:
        client = wslab.connect(f"ws://127.0.0.1:{port}/")
        until(lambda: client.waiting >= 10)
        client.close(timeout=20)
        assert sum(map(len, client)) <= 34 * 2**20
        assert client.discarded >= 50


def test_messages_that_come_while_it_closes():
    async def flood(websocket):
        await websocket.recv()
        for number in range(3000):
            await websocket.send(str(number))
        await websocket.wait_closed()

    with wslab.serve(flood) as server, wslab.connect(server, max_waiting=100) as client:
        client.send("go")
        until(lambda: client.waiting >= 100)
        client.close()
        assert client.close_code == 1000
        came = list(client)
        assert came[:100] == [str(n) for n in range(100)]
        assert len(came) <= 201
        assert len(came) + client.discarded == client.counts[0]
        if client.discarded:
            assert f"{client.discarded} messages that came while" in client.why_closed


def test_received_keeps_the_latest_only():
    count = 1500
    with wslab.serve(Flood(count)) as server:
        client = wslab.connect(server, max_waiting=2000)
        messages = list(client)
        assert client.received == tuple(messages[-1000:])
        assert client.received_dropped == 500
        assert client.waiting == 0
        assert client.counts[0] == count
    with wslab.serve(Flood(10, "x" * 999_000)) as server:
        client = wslab.connect(server)
        messages = list(client)
        assert client.received == tuple(messages[-4:])
        assert client.received_dropped == 6
    with wslab.serve(Flood(2, "x" * 5_000_000)) as server:
        client = wslab.connect(server, max_size=None)
        messages = list(client)
        assert client.received == tuple(messages[-1:])  # the last one, however large


def test_it_keeps_so_many():
    log = ReceivedLog()
    count = incoming.KEEP_RECEIVED + 7
    for number in range(count):
        log.keep(str(number))
    assert log.latest() == tuple(str(number) for number in range(7, count))
    assert log.dropped == 7
    assert log.first() == "0"


def test_it_keeps_so_many_bytes_and_the_last_in_any_case():
    log = ReceivedLog()
    assert log.first() is None
    for size_bytes in (incoming.KEEP_RECEIVED_BYTES, 1, 3 * incoming.KEEP_RECEIVED_BYTES):
        log.keep(bytes(size_bytes))
    assert [len(message) for message in log.latest()] == [3 * incoming.KEEP_RECEIVED_BYTES]
    assert log.dropped == 2
    assert len(log.first()) == incoming.KEEP_RECEIVED_BYTES


def test_who_was_woken_by_a_message_finds_it_there():
    log = ReceivedLog()
    found = []
    readers = []

    def wake(message):
        reader = threading.Thread(target=lambda: found.append(log.latest()))
        readers.append(reader)
        reader.start()
        reader.join(0.02)  # it asks before the message has been filed

    log.keep("hello", wake)
    readers[0].join(5)
    assert found == [("hello",)]
