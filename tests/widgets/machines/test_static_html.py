"""The machines where no script runs."""

from __future__ import annotations

from tests.outline import Outline
from wslab.widgets.machines.static_html import to_html, to_text, way

VIEW = {
    "lanes": [
        {"name": "clients", "state": "", "note": "<ada>", "act": ""},
        {"name": "node one", "state": "open", "note": "process 1", "act": "kill"},
        {"name": "Redis", "state": "broken", "note": "killed", "act": "start"},
        {"name": "node two", "state": "open", "note": "process 2", "act": "kill"},
        {"name": "clients", "state": "", "note": "carol", "act": ""},
    ],
    "rows": [
        {"key": "1", "at": "0.000 s", "from": 0, "to": 1, "kind": "ws", "label": "<hello>"},
        {"key": "2", "at": "0.001 s", "from": 2, "to": 2, "kind": "state", "label": "killed"},
        {"key": "3", "at": "0.002 s", "from": 3, "to": 4, "kind": "ws", "label": "hello"},
    ],
    "notes": ["7 earlier rows not drawn"],
}


def test_every_row_says_its_way_in_words():
    assert [way(VIEW, row) for row in VIEW["rows"]] == [
        "clients of node one > node one",
        "Redis",
        "node two > clients of node two",
    ]
    text, outline = to_text(VIEW), Outline(to_html(VIEW))
    for part in ("<ada>", "<hello>", "is down", "7 earlier rows not drawn", "0.002 s"):
        assert part in text
        assert part in outline.text
    assert outline.open == []


def test_where_nothing_was_said_it_says_so():
    view = {**VIEW, "rows": []}
    assert "nothing was said yet" in to_text(view)
    assert "Nothing was said yet" in to_html(view)
