"""What each control does to a network, and what is refused."""

from __future__ import annotations

import pytest

from tests.widgets.network_controls.rows import row_of, until
from wslab.widgets.network_controls.model import NetworkReader
from wslab.widgets.network_controls.verbs import act


def test_every_control(server, alice):
    reader = NetworkReader()
    row = row_of(server, reader)
    network = server.connections[0].network

    def do(verb, value=None):
        return act(reader, server, {"key": row["key"], "verb": verb, "value": value})

    assert do("cut") == "alice: cut"
    assert network.is_cut
    assert do("restore") == "alice: joined again"
    assert do("stop_reading") == "alice: does not read"
    assert network.is_stopped
    assert do("resume_reading") == "alice: reads again"
    assert do("delay_s", 0.2) == "alice: delay 200 ms"
    assert do("jitter_s", 0.01) == "alice: jitter 10 ms"
    assert do("bytes_per_s", 20_000) == "alice: rate 20 kB/s"
    assert (network.delay_s, network.jitter_s, network.bytes_per_s) == (0.2, 0.01, 20_000)
    assert do("use", "3g") == "alice: as over 3g"
    network.cut()
    assert do("plain") == "alice: nothing in between"
    assert network.is_cut  # a cable has a control of its own
    assert (network.delay_s, network.bytes_per_s) == (0.0, None)
    assert do("reset") == "alice: reset: the other end gets an RST"
    until(lambda: alice.close_code == 1006)
    until(lambda: not server.connections)


@pytest.mark.parametrize(
    "data",
    [
        {"verb": "delay_s", "value": 1e9},
        {"verb": "bytes_per_s", "value": "fast"},
        {"verb": "__init__"},
        {"verb": "held_bytes", "value": 0},
    ],
)
def test_what_no_control_asks_for_is_refused(server, alice, data):
    reader = NetworkReader()
    key = row_of(server, reader)["key"]
    with pytest.raises(ValueError, match="something that a control asks for"):
        act(reader, server, {"key": key, **data})
