"""What views are drawn with where no script runs."""

from __future__ import annotations

import pytest

from tests.outline import Outline
from wslab.widgets import static_html

TROUBLE = {"title": "Last <error>", "text": "a & b", "at": 0, "details": "line 1\nline <2>"}


def test_the_cells_of_a_column_line_up():
    assert static_html.columns([["id", "name"], ["abc", "x"]]) == ["  id   name", "  abc  x"]


def test_a_table_escapes_what_came_and_one_column_may_wrap():
    markup = static_html.table(["id", "data"], [["<b>", "<script>"]], wraps="data")
    outline = Outline(markup)
    assert outline.open == []
    assert "script" not in outline.tags
    assert "<b>" in outline.text
    assert [cell.count("white-space:normal") for cell in markup.split("<td")[1:]] == [0, 1]
    with pytest.raises(ValueError, match="zip"):
        static_html.table(["id"], [["one", "too many"]])


def test_trouble_with_details_and_without():
    plain = {**TROUBLE, "details": "", "at": None}
    [first, *details] = static_html.trouble_lines([TROUBLE])
    assert first == f"  Last <error>, {static_html.clock(0)}: a & b"
    assert details == ["    line 1", "    line <2>"]
    assert static_html.trouble_lines([plain]) == ["  Last <error>: a & b"]
    folded, shown = static_html.trouble_html([TROUBLE, plain])
    assert "details" in Outline(folded).tags
    assert shown == "<p><b>Last &lt;error&gt;</b>: a &amp; b</p>"


def test_what_stands_around_is_whole():
    parts = [static_html.soft("a < b"), static_html.drawn_now(), static_html.same_as_text("<x>")]
    outline = Outline(static_html.whole(parts))
    assert outline.open == []
    for text in ("a < b", "as of ", "<x>"):
        assert text in outline.text
