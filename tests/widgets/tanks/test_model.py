"""Where bytes are, counted: none is lost between the places, and each place can be full."""

from __future__ import annotations

import pytest

import wslab
from tests.peers import until
from tests.widgets.tanks.rig import SIZE, fill, pushing
from wslab.widgets.tanks.model import MAX_ROWS, PLACES, Gauge, Levels


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()


def test_who_does_not_read_fills_the_systems_and_then_the_servers_library():
    with pushing("sam") as (push, server, [sam]):
        gauge = Gauge()
        sam.network.stop_reading()
        fill(push, server, sam)
        levels = gauge.levels(server, sam)
        assert levels.program == levels.client == 0
        assert levels.network > SIZE
        assert levels.server == levels.library > SIZE
        [end] = server.connections
        assert levels.library + levels.network + levels.read == end.sent_bytes


def test_what_a_program_does_not_take_waits_in_its_library():
    with pushing("sam") as (push, server, [sam]):
        gauge = Gauge()
        push.push(4, size=1_000)
        until(lambda: gauge.levels(server, sam).client == 4_000)
        read = gauge.levels(server, sam).read
        sam.recv(timeout=2)
        levels = gauge.levels(server, sam)
        assert levels == Levels(client=3_000, read=read + 1_000)


def test_of_a_hub_its_backlog_is_the_programs_queue():
    hub = wslab.Hub(backlog=3)
    with wslab.serve(hub, ping_interval=None) as server:
        sam = wslab.connect(server, name="sam")
        gauge = Gauge()
        sam.network.stop_reading()
        for _ in range(200):
            wslab.run(hub.emit, "value", "." * SIZE)
        until(lambda: gauge.levels(server, sam).library > 0)
        assert 3 * SIZE < gauge.levels(server, sam).program < 3 * SIZE + 1_000
        [client] = hub.clients.values()
        assert client.queued == 3
        assert client.dropped > 0


def test_a_program_says_what_it_has_queued_and_the_highest_is_kept():
    queued = {}
    with pushing("ann", "ben") as (_, server, [ann, ben]):
        gauge = Gauge(lambda websocket: queued.get(websocket.traffic.label, 0))
        queued["ann"] = 100_000
        first, second = gauge.look(server, [ann, ben])["rows"]
        assert [tank["key"] for tank in first["tanks"]] == list(PLACES)
        assert (first["tanks"][0]["level"], first["tanks"][0]["words"]) == (1.0, "100.0 kB")
        assert second["tanks"][0]["level"] == 0
        queued["ann"] = 1
        look = gauge.look(server, [ann, ben])
        tank = look["rows"][0]["tanks"][0]
        assert (tank["words"], tank["peak_words"], tank["peak"]) == ("1 B", "100.0 kB", 1.0)
        assert 0 < tank["level"] < 0.01  # something is not drawn as nothing
        assert look["scale"] == "100.0 kB"


def test_for_who_has_gone_the_server_holds_nothing():
    with pushing("sam") as (push, server, [sam]):
        gauge = Gauge()
        push.push(2, size=500)
        until(lambda: gauge.levels(server, sam).client == 1_000)
        sam.close()
        until(lambda: not server.connections)
        levels = gauge.levels(server, sam)
        assert (levels.server, levels.network) == (0, 0)
        [row] = gauge.look(server, [sam])["rows"]
        assert (row["sent"], row["state"]) == ("", sam.status)


def test_more_clients_than_can_be_drawn_are_counted():
    with pushing("sam") as (_, server, [sam]):
        look = Gauge().look(server, [sam] * (MAX_ROWS + 2))
        assert (len(look["rows"]), look["more"]) == (MAX_ROWS, "and 2 more")
