"""The handshake editor: what a click becomes, what is kept, and how it reads as text."""

from __future__ import annotations

import json
import threading

import pytest

from wslab.widgets import HandshakeEditor
from wslab.widgets.attempts.editor import MAX_ATTEMPTS


def click(editor: HandshakeEditor, number: str = "1", **changes) -> None:
    """Do as the page does when Send is pressed."""
    good = editor.good
    lines = [[row["name"], row["value"]] for row in good["lines"] if row["on"]]
    plan = {part: good[part] for part in ("method", "target", "version")}
    message = {"type": "send", "id": number, "key": good["key"], "plan": {**plan, "lines": lines}}
    message["plan"] |= changes
    editor._on_msg(editor, json.loads(json.dumps(message)), [])


def test_a_click_sends_what_stands_there(editor):
    lines = [["Host", "h"], ["upgrade", "WEBSOCKET"], ["X", ""]]
    click(editor, "a.1", method="BREW", target="/pot", lines=lines)
    assert editor.attempts[0].sent == (
        b"BREW /pot HTTP/1.1\r\nHost: h\r\nupgrade: WEBSOCKET\r\nX: \r\n\r\n"
    )
    assert (editor.done, editor.said) == (["a.1"], "")


def test_a_click_brings_the_try_and_a_new_key(editor):
    key = editor.good["key"]
    click(editor)
    [shown] = editor.shown
    assert (shown["number"], shown["state"]) == (1, "opened")
    assert (shown["label"], shown["outcome"]) == ("as it should be", "101 Switching Protocols")
    assert shown["accept"]["key"] == key
    assert shown["accept"]["fits"] is True
    assert editor.good["key"] != key
    row = next(row for row in editor.good["lines"] if row["name"] == "Sec-WebSocket-Key")
    assert row["value"] == editor.good["key"]


def test_a_key_that_was_given_out_before_is_no_change(editor):
    good = editor.good
    editor.ask()  # a cell in between used up the key that the page shows
    lines = [[row["name"], row["value"]] for row in good["lines"] if row["on"]]
    plan = {part: good[part] for part in ("method", "target", "version")}
    message = {"type": "send", "id": "1", "key": good["key"], "plan": {**plan, "lines": lines}}
    editor._on_msg(editor, message, [])
    assert editor.attempts[-1].label == "as it should be"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lines": [["Host", "a\r\nX: b"]]}, "not sent: expected a value of Host on one line"),
        ({"lines": [["Ho st", "a"]]}, "not sent: expected a header's name of letters"),
        ({"lines": [["X", "ü€"]]}, "not sent: expected ASCII"),
        ({"target": ""}, "not sent: expected a target without white space"),
        ({"version": "HTTP/2.0"}, "not sent: expected the lines to make one HTTP request"),
        ({"lines": [["X", "1"]] * 41}, "not sent: expected at most 40 headers, got 41"),
        ({"lines": None}, "not sent: "),
    ],
)
def test_what_cannot_be_sent_is_said_and_ends_the_waiting(editor, changes, said):
    click(editor, "7", **changes)
    assert editor.said.startswith(said)
    assert editor.done == ["7"]
    assert editor.attempts == ()


def test_a_stopped_server_is_said(editor, server):
    server.stop()
    click(editor)
    assert editor.said.startswith("not sent: expected something to listen at 127.0.0.1:")


def test_other_messages_are_ignored(editor):
    for message in ({}, {"type": "ready"}, None, "send"):
        editor._on_msg(editor, message, [])
    assert (editor.done, editor.attempts) == ([], ())


def test_clicks_from_several_threads(editor):
    threads = [threading.Thread(target=click, args=(editor, str(n))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(editor.done) == ["0", "1", "2", "3", "4", "5"]
    assert [shown["number"] for shown in editor.shown] == [1, 2, 3, 4, 5, 6]
    assert len(editor.attempts) == 6


def test_the_history_is_bounded(editor):
    for _ in range(MAX_ATTEMPTS + 3):
        editor.ask()
    assert len(editor.attempts) == MAX_ATTEMPTS
    assert [shown["number"] for shown in editor.shown] == list(range(4, MAX_ATTEMPTS + 4))
    assert len(json.dumps(editor.shown)) < 100_000


def test_text_and_html_without_a_page(editor):
    assert str(editor) == "handshake editor for server 'echo', 0 tries"
    assert "Nothing was sent yet." in editor.forms()["text/html"]
    editor.ask(omit="Host")
    editor.ask(headers={"Sec-WebSocket-Version": "<b>"})
    assert str(editor).splitlines()[1:] == [
        "  without Host                101 Switching Protocols",
        "  Sec-WebSocket-Version: <b>  400 Bad Request",
    ]
    assert "&lt;b&gt;" in editor.forms()["text/html"]
    assert ": <b>" not in editor.forms()["text/html"]
    data, _ = editor._repr_mimebundle_()
    assert data["text/plain"] == str(editor)
    assert "application/vnd.jupyter.widget-view+json" in data
