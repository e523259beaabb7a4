from __future__ import annotations

import re

import pytest

import wslab
from tests.replays.rig import taped
from wslab.widgets.display import replay_mimebundle
from wslab.widgets.replays import static_html
from wslab.widgets.replays.static_html import MAX_LINES, MAX_LISTED, to_html, to_text

pytestmark = pytest.mark.usefixtures("memory_network")


def replayed(record, *messages: str, **options) -> wslab.Replay:
    with wslab.replay(record, **options) as replay, wslab.connect(replay.url) as alice:
        for message in messages:
            alice.send(message)
        alice.close()
        replay.wait(5)
    return replay


def test_no_differences():
    replay = replayed(taped(*[("client", str(n)) for n in range(20)]), *map(str, range(20)))
    html = to_html(replay)
    assert "<b>no differences</b>" in html
    assert "⋮ 17 more, the same" in html
    assert "<ol" not in html
    assert to_text(replay) == ("<Replay of 1 connection of made, server's side, no differences>")


def test_each_in_the_list_leads_to_its_line():
    words = "abcdefghijkl"
    record = taped(*[("client", each) for each in words], ("client", "close", 4000))
    replay = replayed(record, *"abxdefhgijk", "<l>")
    html = to_html(replay)
    links = re.findall(r'href="#([^"]+)"', html)
    assert len(links) == len(replay.differences) == 4
    for link in links:
        assert html.count(f'id="{link}"') == 1
    assert "≠ changed" in html
    assert "⇅ order" in html
    assert "too early)" in html
    assert "&lt;l&gt;" in html
    assert "<l>" not in html
    assert "close 4000 by the client" in html
    assert to_text(replay).splitlines()[1].startswith("  [0] changed: one, message 3")
    assert to_html(replay) != html  # shown twice, each has its own places to lead to


def test_what_is_different_inside_json():
    record = taped(("client", '{"a": 1, "b": 2}'))
    assert "at 0.100 s, from the client: b: 2 → 3" in to_html(replayed(record, '{"a": 1, "b": 3}'))


def test_it_has_a_bound():
    replay = replayed(taped(*[("client", "a")] * 500), *["b"] * 500)
    html = to_html(replay)
    assert html.count("<li>") == MAX_LISTED
    assert "and 450 more, in replay.differences" in html
    assert html.count("<tr") == MAX_LINES + 1
    assert "302 lines more are not drawn" in html


def test_many_runs(monkeypatch):
    monkeypatch.setattr(static_html, "MAX_RUNS", 2)
    with wslab.replay(taped(("client", "a")), connection=0) as replay:
        assert "Nobody has connected yet" in to_html(replay)
        for word in "abbb":
            with wslab.connect(replay.url) as alice:
                alice.send(word)
            replay.wait(5)
        html = to_html(replay)
    assert html.count("<table") == 2
    assert "and 1 more connection<" in html


def test_notes():
    replay = replayed(taped(("client", "close", 1006, "")))
    assert "may not be sent" in to_html(replay)
    assert "  note: one: " in to_text(replay)


def test_its_forms():
    replay = replayed(taped(("client", "a")), "a")
    assert set(replay_mimebundle(replay)) == {"text/plain", "text/html"}
