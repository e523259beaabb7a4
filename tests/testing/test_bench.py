"""What one test has started ends in order, and what its handlers let through is told once."""

from __future__ import annotations

import pytest

import wslab
from tests.peers import until
from wslab.network.in_use import IN_USE
from wslab.testing.bench import Bench
from wslab.testing.fixtures import Connect, Serve


@pytest.fixture
def bench():
    bench = Bench(1, {})
    yield bench
    bench.close()


async def fails(websocket):
    async for message in websocket:
        raise ValueError(message)


def test_clients_close_before_servers_and_servers_before_the_network():
    bench, ended = Bench(None, {}), []

    async def watch(websocket):
        await websocket.wait_closed()
        ended.append((websocket.close_code, bool(IN_USE)))  # 1000: not by the server, 1001

    server = Serve(bench)(watch)
    client = Connect(bench)(server)
    until(lambda: server.connections)
    bench.close()
    assert ended == [(1000, True)]
    assert client.state.name == "CLOSED"
    assert not server.is_serving
    assert IN_USE == []


@pytest.mark.parametrize("tcp", [True, False])
@pytest.mark.parametrize("verb", ["cut", "stop_reading"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_what_a_test_has_left_cut_or_unread_ends_at_once(tcp, verb, side):
    bench = Bench(None, {})
    server = Serve(bench)(fails, tcp=tcp)
    client = Connect(bench)(server)
    until(lambda: server.connections)
    end = client if side == "client" else server.connections[0]
    getattr(end.network, verb)()
    bench._reset_stuck()
    until(lambda: client.state.name == "CLOSED" and not server.connections)  # no handshake
    bench.close()
    assert client.close_code == 1006
    assert bench.take_failures() == ""


def test_what_is_cut_in_memory_ends_at_once():
    bench = Bench(None, {})
    server = Serve(bench)(fails)
    client = Connect(bench)(server)
    bench.memory().connections[0].cut()
    bench._reset_stuck()
    until(lambda: client.state.name == "CLOSED" and not server.connections)
    bench.close()


def test_the_rest_ends_where_one_does_not():
    bench = Bench(None, {})
    server = Serve(bench)(fails)
    client = Connect(bench)(server)
    bench._closing[2].callback(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.close()
    assert (client.state.name, server.is_serving, IN_USE) == ("CLOSED", False, [])


def test_nothing_is_told_of_a_test_without_failures(bench):
    assert bench.take_failures() == ""
    assert bench.sections() == []


def test_each_failure_is_told_once(bench):
    server = Serve(bench)(fails)
    Connect(bench)(server).send("spam")
    until(lambda: server.errors)
    titles = [title for title, _ in bench.sections()]
    assert titles == [
        "wslab: exceptions", "wslab: frames of server 'fails'", "wslab: network"
    ]  # fmt: skip
    assert bench.take_failures() == ""


def test_of_many_failures_the_first_are_told_and_the_others_counted(bench):
    server = Serve(bench)(fails)
    for number in range(60):
        Connect(bench)(server).send(f"spam {number}" + "x" * 10_000)
    until(lambda: server.errors_seen == 60)
    text = bench.take_failures()
    assert text.startswith("a handler let 60 exceptions through")
    assert text.endswith("... and 57 more")
    assert len(text) < 20_000


def test_what_a_clients_handler_raises_is_told(bench):
    hub = wslab.Hub()
    hub.on("ask", lambda client, data: client.emit("chat", data) and None)
    client = Connect(bench)(Serve(bench)(hub))
    client.on("chat", lambda data: 1 / 0)
    client.emit("ask", "x")
    until(lambda: client.errors)
    assert "ZeroDivisionError: division by zero" in bench.take_failures()
    assert bench.take_failures() == ""


def test_without_a_server_of_its_own_the_clients_frames_are_shown(bench):
    bench.memory()
    with wslab.serve(fails) as server:
        Connect(bench)(server, name="alice")
        titles = [title for title, _ in bench.sections()]
        assert titles == ["wslab: frames of client 'alice'", "wslab: network"]


@pytest.mark.parametrize("first", [True, False])
def test_tcp_or_memory_but_not_both(bench, first):
    bench.use(tcp=first)
    bench.use(tcp=first)
    assert bench.is_tcp is first
    with pytest.raises(ValueError, match="expected all of one test over TCP, or all in memory"):
        bench.use(tcp=not first)
