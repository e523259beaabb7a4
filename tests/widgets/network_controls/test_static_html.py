"""Networks as text and as HTML that needs no script."""

from __future__ import annotations

from wslab.widgets.network_controls import static_html
from wslab.widgets.network_controls.controls import NetworkControls


def test_text_and_html_say_the_same(server, alice):
    server.connections[0].network.cut()
    controls = NetworkControls(server)
    forms = controls.forms()
    for form in (forms["text/plain"], forms["text/html"]):
        for word in ("alice", "cut: nothing passes", "no limit", "heard 0 s ago"):
            assert word in form
    view = {**controls.view, "name": "<b>", "rows": [], "left": ["<i> closed with 1000"]}
    assert "<b>&lt;b&gt;</b>" in static_html.to_html(view)
    assert "gone: &lt;i&gt; closed" in static_html.to_html(view)
