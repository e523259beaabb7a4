"""NetworkControls and the network in a server's panel: clicks, and what has no network."""

from __future__ import annotations

import pytest

import wslab
from wslab.widgets.network_controls.controls import NetworkControls
from wslab.widgets.panels.panel import ServerPanel


def test_a_click_is_done_and_said_in_both_views(server, alice):
    controls = NetworkControls(server)
    panel = ServerPanel(server)
    [row] = controls.view["rows"]
    for view, verb in ((controls, "cut"), (panel, "restore")):
        data = {"key": row["key"], "verb": verb}
        content = {"type": "act", "what": "network", "id": verb, "data": data}
        view._on_msg(view, content, [])
        assert view.said["good"], view.said
        assert verb in view.done
    assert panel.network["rows"][0]["words"] == "joined"
    data = {"key": "nobody", "verb": "cut"}
    controls._on_msg(controls, {"type": "act", "what": "network", "id": "x", "data": data}, [])
    assert "gone, and its network with it" in controls.said["text"]
    panel.close()
    controls.close()


def test_only_a_server_or_a_client_has_a_network():
    with pytest.raises(
        TypeError, match="expected a Server, a Tap or a Client, got Hub .*: pass the serv"
    ):
        NetworkControls(wslab.Hub())
    with pytest.raises(TypeError, match="got int 3$"):
        NetworkControls(3)
