"""The Inspector where no script runs: lines of text, and a picture."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree

from tests.widgets.inspector.tapes import (
    sample,
)
from wslab.widgets import live
from wslab.widgets.inspector import static_html
from wslab.widgets.inspector.inspector import Inspector
from wslab.wire.tape.tape import Tape


def test_the_text_form_is_aligned_and_folds_silence():
    timeline, rows, numbers = sample()
    lines = static_html.text("echo", timeline.lanes.by_number, rows, numbers).splitlines()
    assert lines[0] == "Inspector of echo"
    assert "alice --> echo  GET /chat?token=" in lines[1]
    assert lines[1].endswith("Upgrade: websocket")
    assert "hunter2" not in lines[1]
    assert '   1.000 s  alice --> echo  text "Hello", 11 B' in lines
    assert "            (2.4 s of silence)" in lines
    assert "   3.400 s  alice <·· echo  ping, 2 B" in lines
    assert lines[-1].startswith("to the server 2 frames, 22 B | from the server 1 frame")


def test_the_picture_is_well_formed_and_escaped():
    timeline, rows, numbers = sample()
    markup = static_html.html("<echo>", timeline.lanes.by_number, rows, numbers)
    assert "<echo>" not in markup
    assert "<b>" not in markup
    picture = re.search(r"base64,([^\"]+)", markup)
    assert picture
    root = ElementTree.fromstring(base64.b64decode(picture[1]))
    texts = "".join(root.itertext())
    assert "alice" in texts
    assert "2.4 s of silence" in texts
    assert "script" not in markup


def test_the_bundle_holds_the_widget_and_both_forms(monkeypatch):
    monkeypatch.setattr(live, "watch", lambda view: None)
    inspector = Inspector(Tape(name="quiet"))
    bundle = inspector._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "Nothing has happened yet" in data["text/html"]
    assert "Nothing has happened yet" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data
    inspector.close()
