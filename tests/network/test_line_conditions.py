"""The network under one connection, as a user sets it: of clients and of servers."""

from __future__ import annotations

import random
import threading
import time

import pytest

import wslab
from tests.peers import client_tls, frame, raw_client, server_tls, until
from tests.server.rig import echo
from wslab.network.line_conditions import LineConditions
from wslab.websockets_compat.pongs import MAX_OWED_BYTES

OVER = pytest.mark.parametrize("over", ["tcp", "tls", "memory"])


@pytest.fixture
def server(over, request):
    if over == "memory":
        request.getfixturevalue("memory_network")
    with wslab.serve(echo, **({"ssl": server_tls()} if over == "tls" else {})) as server:
        yield server


@pytest.fixture
def alice(server, over):
    tls = {"ssl": client_tls()} if over == "tls" else {}
    with wslab.connect(server, name="alice", ping_interval=None, **tls) as alice:
        yield alice
        alice.network.clear()


def of_server(server: wslab.Server) -> LineConditions:
    """Return the server's end of the one connection."""
    [connection] = server.connections
    return connection.network


@OVER
@pytest.mark.parametrize("end", ["client", "server"])
def test_a_cut_line_is_silent_and_all_comes_when_it_is_whole_again(server, alice, end):
    network = alice.network if end == "client" else of_server(server)
    network.cut()
    assert network.is_cut
    alice.send("one")
    alice.send("two")
    until(lambda: network.held_bytes == 2 * len("maskabone"))
    assert alice.waiting == 0
    assert alice.state.name == "OPEN"
    network.restore()
    assert [alice.recv(timeout=5), alice.recv(timeout=5)] == ["one", "two"]
    assert network.held_bytes == 0


@OVER
def test_a_client_that_closes_while_it_is_cut_is_not_heard_of_before(server, alice):
    alice.network.cut()
    alice.close(timeout=0.1)
    assert alice.close_code == 1006
    assert len(server.connections) == 1
    alice.network.restore()
    until(lambda: not server.connections)


@OVER
@pytest.mark.parametrize("end", ["client", "server"])
def test_rst_ends_both(server, alice, end):
    (alice.network if end == "client" else of_server(server)).reset()
    until(lambda: alice.close_code == 1006 and not server.connections)
    assert "reset by peer" in alice.why_closed


@OVER
def test_a_slow_reader_reads_when_it_is_let(server, alice):
    alice.network.stop_reading()
    assert alice.network.is_stopped
    alice.send("hello")
    until(lambda: server.connections[0].sent == 1)
    assert alice.waiting == 0
    alice.network.resume_reading()
    assert alice.recv(timeout=5) == "hello"


@OVER
def test_what_is_sent_from_a_thread_does_not_pass_by_what_is_set(server, alice):
    alice.send("first")  # past the loop
    assert alice.recv(timeout=5) == "first"
    alice.network.cut()
    sender = threading.Thread(target=alice.send, args=("second",))
    sender.start()
    sender.join(5)
    until(lambda: alice.network.held_bytes)
    assert server.connections[0].received == 1
    alice.network.restore()
    assert alice.recv(timeout=5) == "second"


@OVER
def test_the_tape_holds_what_the_program_wrote_and_read(server, alice):
    alice.network.cut()
    alice.send("unheard")
    [sent] = until(lambda: [event for event in alice.tape.events if event.kind == "message"])
    assert sent.data == "unheard"
    assert not [event for event in server.tape.events if event.kind == "message"]
    alice.network.restore()
    assert alice.recv(timeout=5) == "unheard"


@OVER
def test_a_server_that_stops_gives_up_what_is_held(server, alice):
    of_server(server).cut()
    alice.send("never heard")
    server.stop()
    until(lambda: alice.close_code == 1006)


def test_figures_are_one_or_one_a_direction_and_are_checked():
    network = LineConditions("client")
    assert (network.delay_s, network.jitter_s, network.bytes_per_s) == (0.0, 0.0, None)
    network.delay_s = 0.2
    assert network.delay_s == 0.2
    network.bytes_per_s = (1_000, None)
    assert network.bytes_per_s == (1_000, None)
    with pytest.raises(ValueError, match="expected delay_s to be seconds, 0 or more, got -1"):
        network.delay_s = (0.1, -1)
    assert network.delay_s == 0.2
    with pytest.raises(ValueError, match="expected jitter_s to be one figure, or two"):
        network.jitter_s = (1, 2, 3)
    assert repr(network) == "<Network, delay_s=0.2, bytes_per_s=(1000, None)>"
    network.clear()
    assert (repr(network), network.is_plain) == ("<Network, as it is>", True)


def test_a_preset_is_a_network_of_the_clients_at_whichever_end():
    client, server = LineConditions("client"), LineConditions("server")
    client.use("3g")
    server.use("3g")
    up, down = client.bytes_per_s
    assert up < down
    assert server.bytes_per_s == (down, up)


def test_it_goes_from_one_connection_of_a_client_to_the_next():
    with (
        wslab.serve(echo) as server,
        wslab.connect(server, reconnect=wslab.Reconnect(first_delay_s=0.0)) as client,
    ):
        client.network.delay_s = 0.01
        client.network.reset()
        until(lambda: client.reconnected == 1)
        client.send("later")
        assert client.recv(timeout=5) == "later"
        assert client.network.delay_s == 0.01


@OVER
@pytest.mark.parametrize("end", ["client", "server"])
def test_figures_hold_for_what_is_sent_from_then_on(server, alice, end):
    network = alice.network if end == "client" else of_server(server)
    network.delay_s = (0.03, 0.02)
    began_s = time.monotonic()
    alice.send("there and back")
    assert alice.recv(timeout=5) == "there and back"
    assert time.monotonic() - began_s >= 0.049
    network.delay_s = 0
    network.bytes_per_s = 20_000
    began_s = time.monotonic()
    alice.send("x" * 500)
    alice.recv(timeout=5)
    assert time.monotonic() - began_s >= 0.049


@OVER
def test_long_messages_come_whole_through_a_bad_line(server, alice):
    alice.network.seed = 7
    alice.network.jitter_s = 0.002
    alice.network.bytes_per_s = (4_000_000, None)
    of_server(server).delay_s = 0.001
    sent = [bytes([number]) * (40_000 * number + 1) for number in range(8)]
    for message in sent:
        alice.send(message)
    assert [alice.recv(timeout=10) for _ in sent] == sent


@OVER
def test_a_line_that_ends_with_its_loop_leaves_nothing(server, alice):
    alice.network.cut()
    alice.send("never heard")
    alice.close(timeout=0.05)
    wslab.shutdown()


def test_a_client_comes_back_when_the_line_is_whole():
    with (
        wslab.serve(echo) as server,
        wslab.connect(server, reconnect=wslab.Reconnect(first_delay_s=0.0)) as client,
    ):
        [connection] = server.connections
        client.network.cut()
        connection.network.reset()  # as its own keepalive would
        until(lambda: not server.connections)
        client.network.reset()
        until(lambda: client.state.name == "CONNECTING")
        assert server.network.lines == ()  # TCP opens nothing over a line that is cut
        client.network.restore()
        until(lambda: client.reconnected == 1)


def test_an_attempt_over_a_cut_line_fails_in_time():
    policy = wslab.Reconnect(first_delay_s=0.0, attempts=1)
    with (
        wslab.serve(echo) as server,
        wslab.connect(server, reconnect=policy, open_timeout=0.1) as client,
    ):
        client.network.cut()
        client.network.reset()
        until(lambda: client.close_code == 1006)
        assert "did not finish in time" in client.reconnects[0].outcome


def test_a_peer_that_pings_and_does_not_read_makes_nothing_grow():
    with wslab.serve(echo) as server, raw_client(server.port) as peer:
        [connection] = until(lambda: server.connections)
        connection.network.bytes_per_s = (1_000, None)  # so slowly do the pongs go
        peer.settimeout(0.5)
        pings = frame(9, bytes(125)) * 500
        sent_bytes, most_bytes = 0, 0
        with pytest.raises(TimeoutError):
            while sent_bytes < 2**26:
                sent_bytes += peer.send(pings)
                transport = connection.websocket.transport
                held_bytes = connection.network.held_bytes + transport.get_write_buffer_size()
                most_bytes = max(most_bytes, held_bytes)
        # The line's own buffer, the pongs that websockets may owe, and what one read adds to them.
        assert most_bytes < 2 * 2**18 + 2 * MAX_OWED_BYTES
        connection.network.reset()


def test_a_tape_is_not_asked_for_more_than_what_passed_into_the_program():
    with wslab.serve(echo) as server, wslab.connect(server) as client:
        server.connections[0].network.cut()
        client.send("x" * 1_000)
        until(lambda: server.connections[0].network.held_bytes > 1_000)
        assert server.connections[0].received_bytes < 1_000
        server.connections[0].network.restore()
        assert client.recv(timeout=5) == "x" * 1_000


@OVER
@pytest.mark.parametrize("end", ["client", "server"])
def test_when_all_is_cleared_nothing_lies_in_between_any_more(server, alice, end):
    network = alice.network if end == "client" else of_server(server)
    joint = alice.websocket if end == "client" else server.connections[0].websocket
    below = joint.transport.below
    for _ in range(3):
        network.delay_s = 0.001
        network.cut()
        alice.send("held")
        until(lambda: network.held_bytes)
        network.clear()
        assert alice.recv(timeout=5) == "held"
        until(lambda: joint.transport._transport is below)
        alice.send("direct")
        assert alice.recv(timeout=5) == "direct"


@OVER
def test_what_is_set_and_cleared_in_quick_turns_loses_nothing(server, alice):
    stop = threading.Event()

    def turn() -> None:
        while not stop.is_set():
            for network in (alice.network, of_server(server)):
                network.delay_s = 0.0005
                network.clear()

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        for number in range(300):
            alice.send(str(number))
        came = [alice.recv(timeout=10) for _ in range(300)]
    finally:
        stop.set()
        thread.join(10)
    assert came == [str(number) for number in range(300)]


@OVER
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_done_to_it_from_any_thread_all_comes_once_and_in_order(server, alice, seed):
    networks = (alice.network, of_server(server))

    def play(number: int) -> None:
        choice = random.Random(f"{seed} {number}")
        for _ in range(150):
            network = choice.choice(networks)
            match choice.randrange(8):
                case 0:
                    network.delay_s = (choice.random() / 200, choice.random() / 200)
                case 1:
                    network.jitter_s = choice.random() / 200
                case 2:
                    network.bytes_per_s = choice.choice([None, 2_000_000, 20_000_000])
                case 3:
                    network.cut()
                case 4:
                    network.restore()
                case 5:
                    network.stop_reading()
                case 6:
                    network.resume_reading()
                case 7:
                    network.clear()

    players = [threading.Thread(target=play, args=(number,)) for number in range(2)]
    sizes = random.Random(seed)
    sent = [str(number) * sizes.choice([1, 10, 5_000]) for number in range(200)]
    sender = threading.Thread(target=lambda: [alice.send(message) for message in sent])
    for thread in (*players, sender):  # it has to wait where the buffers are full
        thread.start()
    for player in players:
        player.join(20)
    for network in networks:
        network.clear()
    sender.join(20)
    assert [alice.recv(timeout=10) for _ in sent] == sent
    until(lambda: not any(network.held_bytes for network in networks))
