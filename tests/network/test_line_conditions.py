"""The network under one connection, as a user sets it: of clients and of servers."""

from __future__ import annotations

import threading

import pytest

import wslab
from tests.peers import until
from tests.server.rig import echo
from wslab.network.line_conditions import LineConditions

pytestmark = pytest.mark.parametrize("is_in_memory", [False, True], ids=["tcp", "memory"])


@pytest.fixture(autouse=True)
def _network(is_in_memory, request):
    if is_in_memory:
        request.getfixturevalue("memory_network")


@pytest.fixture
def server():
    with wslab.serve(echo) as server:
        yield server


@pytest.fixture
def alice(server):
    with wslab.connect(server, name="alice", ping_interval=None) as alice:
        yield alice
        alice.network.clear()


def of_server(server: wslab.Server) -> LineConditions:
    """Return the server's end of the one connection."""
    [connection] = server.connections
    return connection.network


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


def test_a_client_that_closes_while_it_is_cut_is_not_heard_of_before(server, alice):
    alice.network.cut()
    alice.close(timeout=0.1)
    assert alice.close_code == 1006
    assert len(server.connections) == 1
    alice.network.restore()
    until(lambda: not server.connections)


@pytest.mark.parametrize("end", ["client", "server"])
def test_rst_ends_both(server, alice, end):
    (alice.network if end == "client" else of_server(server)).reset()
    until(lambda: alice.close_code == 1006 and not server.connections)
    assert "reset by peer" in alice.why_closed


def test_a_slow_reader_reads_when_it_is_let(server, alice):
    alice.network.stop_reading()
    assert alice.network.is_stopped
    alice.send("hello")
    until(lambda: server.connections[0].sent == 1)
    assert alice.waiting == 0
    alice.network.resume_reading()
    assert alice.recv(timeout=5) == "hello"


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


def test_the_tape_holds_what_the_program_wrote_and_read(server, alice):
    alice.network.cut()
    alice.send("unheard")
    [sent] = until(lambda: [event for event in alice.tape.events if event.kind == "message"])
    assert sent.data == "unheard"
    assert not [event for event in server.tape.events if event.kind == "message"]
    alice.network.restore()
    assert alice.recv(timeout=5) == "unheard"


def test_a_server_that_stops_gives_up_what_is_held(server, alice):
    of_server(server).cut()
    alice.send("never heard")
    server.stop()
    until(lambda: alice.close_code == 1006)


def test_it_goes_from_one_connection_of_a_client_to_the_next(server):
    with wslab.connect(server, reconnect=wslab.Reconnect(first_delay_s=0.0)) as client:
        client.network.delay_s = 0.01
        client.network.reset()
        until(lambda: client.reconnected == 1)
        client.send("later")
        assert client.recv(timeout=5) == "later"
        assert client.network.delay_s == 0.01
