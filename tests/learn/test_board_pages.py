"""The whiteboard's page: it is handed out, and shown twice. tests/lab/ draws on it."""

from __future__ import annotations

import re
import urllib.request

import wslab
from wslab.learn.board_guest import COLORS, MAX_COORDINATE, MAX_POINTS
from wslab.learn.board_pages import PAGE, two_pages


def test_a_server_of_a_hub_hands_it_out_with_the_script_that_it_loads():
    with wslab.serve(wslab.Hub(), page=PAGE) as server:
        with urllib.request.urlopen(server.page_url) as answer:
            assert answer.read().decode() == PAGE
        script = re.search(r'from "\./(.+?)"', PAGE)
        assert script is not None
        with urllib.request.urlopen(f"{server.page_url}{script[1]}") as answer:
            assert b"export function connect" in answer.read()


def test_the_page_and_the_checks_mean_the_same_strokes():
    assert f"FULL = {MAX_COORDINATE}, MAX_POINTS = {MAX_POINTS}," in PAGE
    assert re.findall(r'name="color" value="(\w+)"', PAGE) == list(COLORS)


def test_it_has_the_look_of_the_lessons_pages():
    assert "%LOOK%" not in PAGE
    assert "color-scheme: light dark" in PAGE


def test_two_pages_are_shown_as_frames_and_as_text():
    with wslab.serve(wslab.Hub(), page=PAGE) as server:
        pages = two_pages(server)
        shown = pages._repr_html_()
        assert shown.count("<iframe") == 2
        assert f'src="{server.page_url}?name=ana"' in shown
        assert repr(pages).splitlines()[1] == f"ben's page: {server.page_url}?name=ben"
        assert '&lt;b&gt;"' not in two_pages(server, "<b>")._repr_html_()
        assert "<b>" not in two_pages(server, "<b>")._repr_html_()
