"""What is read of cables, ends and clocks."""

from __future__ import annotations

import time

import pytest

import wslab
from tests.widgets.network_controls.rows import row_of, until
from wslab.widgets.network_controls.controls import NetworkControls
from wslab.widgets.network_controls.model import NetworkReader, steps
from wslab.widgets.network_controls.verbs import act


def test_nobody_is_connected(server):
    view = NetworkReader().look(server)
    assert (view["name"], view["kind"], view["rows"], view["more"]) == ("echo", "server", [], "")
    assert view["new"]["is_plain"]
    assert str(NetworkControls(server)) == ("network of server 'echo'\n  nobody is connected")


def test_a_connection_with_nothing_in_between(server, alice):
    alice.ping()
    row = row_of(server)
    assert (row["client"], row["words"], row["held"]) == ("alice", "joined", "")
    assert (row["client_heard"], row["server_heard"]) == ("heard 0 s ago", "heard 0 s ago")
    settings = {name: row[name]["text"] for name in ("delay_s", "jitter_s", "bytes_per_s")}
    assert settings == {"delay_s": "0", "jitter_s": "0", "bytes_per_s": "no limit"}
    assert (row["is_plain"], row["preset"]) == (True, "")
    assert row_of(alice)["client"] == "alice"


def test_settings_in_words_and_at_the_nearest_step(server, alice):
    network = server.connections[0].network
    network.delay_s, network.jitter_s, network.bytes_per_s = (0.05, 0.2), 1.6, 4_000
    row = row_of(server)
    assert row["delay_s"] == {"at": 3, "text": "50 ms out, 200 ms in"}
    assert row["jitter_s"] == {"at": 8, "text": "1.6 s"}
    assert row["bytes_per_s"] == {"at": 2, "text": "4 kB/s"}
    assert not row["is_plain"]
    network.bytes_per_s = (None, 100)
    assert row_of(server)["bytes_per_s"] == {"at": 7, "text": "no limit out, 100 B/s in"}


def test_a_network_of_a_name_from_either_end(server, alice):
    server.connections[0].network.use("3g")
    assert row_of(server)["preset"] == "3g"
    assert row_of(alice)["preset"] == ""
    alice.network.use("satellite")
    assert row_of(alice)["preset"] == "satellite"


def test_what_is_set_at_the_other_end_is_told(server, alice):
    alice.network.cut()
    assert row_of(server)["words"] == "alice's end is cut"
    assert row_of(alice)["words"] == "cut: nothing passes, and neither end is told"
    alice.network.restore()
    alice.network.delay_s = 0.01
    assert row_of(server)["words"] == "alice's end is slowed down"
    alice.network.clear()
    assert row_of(server)["words"] == "joined"
    server.connections[0].network.stop_reading()
    assert row_of(alice)["words"] == "the server's end reads nothing"


def test_clocks_and_what_is_held_while_the_cable_is_cut(server, alice):
    reader = NetworkReader()
    now_s = time.monotonic()
    row_of(server, reader, now_s=now_s)
    server.connections[0].network.cut()
    alice.send("hello")
    until(lambda: row_of(server, reader, now_s=now_s + 70)["held"])
    row = row_of(server, reader, now_s=now_s + 70)
    assert row["held"] == "11 B held"
    assert row["words"] == "cut: nothing passes, and neither end is told"
    assert (row["client_heard"], row["server_heard"]) == ("heard 1 min ago", "heard 1 min ago")
    server.connections[0].network.stop_reading()
    server.connections[0].network.restore()
    assert row_of(server, reader)["words"] == "the server reads nothing: what comes waits"
    server.connections[0].network.resume_reading()
    assert alice.recv(5) == "hello"
    assert row_of(server, reader, now_s=now_s + 80)["client_heard"] == "heard 0 s ago"


def test_an_end_that_is_over_while_the_other_has_not_heard_of_it(server, alice):
    reader = NetworkReader()
    row_of(server, reader)
    cable = server.connections[0].network
    cable.cut()
    wslab.run(server.connections[0].websocket.close)
    until(lambda: not server.connections)
    row = row_of(server, reader)
    assert row["is_over"]
    assert row["words"] == "over (1006) for the server; alice has not heard of it"
    assert row["server_heard"] == "closed: 1006"
    key = row["key"]
    assert act(reader, server, {"key": key, "verb": "restore"}) == "alice: joined again"
    until(lambda: not reader.look(server)["rows"])
    assert reader.look(server)["left"] == ["alice closed with 1006"]
    with pytest.raises(LookupError, match="gone, and its network with it"):
        act(reader, server, {"key": key, "verb": "cut"})


def test_rows_are_bounded_and_the_rest_is_counted(server):
    clients = [wslab.connect(server, name=f"number {n}") for n in range(14)]
    reader = NetworkReader()
    view = reader.look(server)
    assert [row["client"] for row in view["rows"]] == [f"number {n}" for n in range(12)]
    assert view["more"] == "and 2 more"
    for client in clients[:5]:
        client.close()
    until(lambda: len(server.connections) == 9)
    until(lambda: len(reader.look(server)["rows"]) == 9)
    view = reader.look(server)
    assert (len(view["left"]), view["left_more"], view["more"]) == (3, "2 before", "")


def test_connections_to_come_begin_with_the_servers_settings(server):
    reader = NetworkReader()
    act(reader, server, {"key": "new", "verb": "delay_s", "value": 0.02})
    assert "connections to come: delay 20 ms, jitter 0, rate no limit" in str(
        NetworkControls(server)
    )
    with wslab.connect(server, name="late"):
        assert row_of(server)["delay_s"]["text"] == "20 ms"


def test_every_step_can_be_set(server, alice):
    network = alice.network
    for name, values in steps().items():
        for nth, step in enumerate(values):
            setattr(network, name, step["value"])
            assert row_of(alice)[name] == {"at": nth, "text": step["text"]}
    network.clear()


def test_a_socket_of_an_application_that_has_closed():
    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass

    server = wslab.serve(app)
    carol = wslab.connect(server, name="carol")
    reader = NetworkReader()
    assert [row["client"] for row in reader.look(server)["rows"]] == ["carol"]
    carol.close(4000)
    view = until(lambda: (look := reader.look(server)) and not look["rows"] and look)
    assert "carol closed with 4000" in str(view)
    wslab.shutdown()


def test_connections_on_a_network_in_memory(memory_network):
    async def quiet(websocket):
        await websocket.wait_closed()

    with wslab.serve(quiet) as server, wslab.connect(server, name="mem") as client:
        client.network.cut()
        row = row_of(client)
        assert (row["client"], row["is_cut"]) == ("mem", True)
        assert row["client_heard"] == row["server_heard"] == "heard 0 s ago"
        client.network.restore()
