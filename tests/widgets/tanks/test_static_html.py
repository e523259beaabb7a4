"""Tanks where no script runs."""

from __future__ import annotations

import pytest

import wslab
from tests.outline import Outline
from tests.widgets.tanks.rig import pushing
from wslab.widgets.tanks.model import Gauge
from wslab.widgets.tanks.static_html import to_html, to_text


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()


def test_every_number_is_in_the_text_and_in_the_html():
    with pushing("<sam>") as (push, server, [sam]):
        push.push(size=500)
        sam.recv(timeout=2)
        view = Gauge(lambda websocket: 2_000).look(server, [sam])
        text, outline = to_text(view), Outline(to_html(view))
        assert "2.0 kB (2.0 kB)" in text
        assert "\n  <sam>" in text
        for part in ("<sam>", "2.0 kB (2.0 kB)", "two operating systems"):
            assert part in text
            assert part in outline.text
        assert outline.open == []


def test_with_nobody_to_look_at_it_says_so():
    view = {"scale": "65.5 kB", "rows": [], "more": ""}
    assert to_text(view) == "tanks: no client to look at"
    assert "no client to look at" in to_html(view)
