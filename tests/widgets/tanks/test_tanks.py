"""Tanks as a widget: what it is made of, who keeps it alive, and what it says when all is over."""

from __future__ import annotations

import gc
import weakref

import pytest

import wslab
from tests.peers import until
from tests.widgets.tanks.rig import SIZE, fill, pushing
from wslab.widgets import Tanks, live


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()
    live._flusher.views.clear()


def test_it_follows_while_somebody_looks():
    with pushing("sam") as (push, server, [sam]):
        tanks = Tanks(server, sam)
        tanks._on_msg(tanks, {"type": "ready", "view": "a page"}, [])
        sam.network.stop_reading()
        fill(push, server, sam)
        held = tanks.levels(sam).library
        assert held > SIZE
        until(lambda: tanks.view["rows"][0]["tanks"][1]["words"] != "0 B", 20.0)
        assert "the server's library" in str(tanks)
        tanks.close()


def test_it_keeps_neither_its_server_nor_its_clients_alive():
    with pushing("sam") as (_, server, clients):
        tanks = Tanks(server, *clients)
        kept = weakref.ref(clients[0])
        clients.pop().close()
        until(lambda: gc.collect() is not None and kept() is None)
        assert tanks._look(server)["view"]["rows"] == []
        tanks.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("ws://here",), "expected a Server"), ((None, "sam"), "expected Clients")],
)
def test_what_is_no_server_or_no_client_is_refused(arguments, said):
    with pushing() as (_, server, _):
        arguments = tuple(server if each is None else each for each in arguments)
        with pytest.raises(TypeError, match=said):
            Tanks(*arguments)
