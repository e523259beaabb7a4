"""The frame editor: the bytes that it lays out, and what a real server answers to each."""

from __future__ import annotations

import pytest

import wslab
from wslab.widgets import FrameEditor
from wslab.widgets.attempts.editor import MAX_ATTEMPTS
from wslab.widgets.frame_editor.attempt import FramePlan, build
from wslab.wire.frames.decoder import FrameDecoder

KEY = b"\x37\xfa\x21\x3d"


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def editor():
    server = wslab.serve(echo, name="echo")
    made = FrameEditor(server)
    yield made
    made.close()
    wslab.shutdown()


@pytest.mark.parametrize(
    ("plan", "data"),
    [
        (FramePlan(key=KEY), "81 85 37 fa 21 3d 7f 9f 4d 51 58"),  # RFC 6455 §5.7
        (FramePlan(masked=False), "81 05 48 65 6c 6c 6f"),
        (FramePlan(masked=False, fin=False, rsv1=True, rsv3=True, opcode=9, payload=b""), "59 00"),
        (FramePlan(masked=False, length=126, payload=b"a"), "81 7e 00 7e 61"),
        (FramePlan(masked=False, length=65_536, payload=b""), "81 7f 00 00 00 00 00 01 00 00"),
        (FramePlan(masked=False, form=16), "81 7e 00 05 48 65 6c 6c 6f"),
        (FramePlan(masked=False, form=64, payload=b"a"), "81 7f 00 00 00 00 00 00 00 01 61"),
    ],
)
def test_the_bytes_are_as_the_fields_say_right_or_wrong(plan, data):
    assert build(plan).hex(" ") == data


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"opcode": 16}, "an opcode from 0 to 15, got 16"),
        ({"key": b"abc"}, "a key of 4 bytes, got 3"),
        ({"form": 7, "length": 126}, "a length below 126 for 7 bits"),
        ({"form": 16, "length": 65_536}, "a length below 65,536"),
        ({"length": -1}, "got -1"),
        ({"payload": bytes(1_001)}, "up to 1,000 bytes, got 1,001"),
    ],
)
def test_what_does_not_fit_says_so(fields, says):
    with pytest.raises(ValueError, match=says):
        build(FramePlan(**{"key": KEY, **fields}))


@pytest.mark.parametrize(
    ("fields", "label", "outcome", "code", "rule"),
    [
        ({}, "as it should be", "text 'Hello'", None, None),
        ({"opcode": 2}, "opcode 2 (binary)", "binary 5 B", None, None),
        ({"opcode": 9}, "opcode 9 (ping)", "pong 5 B", None, None),
        ({"rsv1": True}, "RSV1 1", "close 1002", 1002, "reserved-bit"),
        ({"rsv3": True}, "RSV3 1", "close 1002", 1002, "reserved-bit"),
        ({"opcode": 3}, "opcode 3 (reserved)", "close 1002", 1002, "reserved-opcode"),
        ({"masked": False}, "MASK 0", "close 1002", 1002, "unmasked-client"),
        (
            {"opcode": 9, "fin": False},
            "FIN 0, opcode 9 (ping)",
            "close 1002",
            1002,
            "fragmented-control",
        ),
        (
            {"opcode": 0},
            "opcode 0 (continuation)",
            "close 1002",
            1002,
            "unexpected-continuation",
        ),
        ({"payload": b"\xff\xfe"}, "payload ff fe", "close 1007", 1007, "text-not-utf8"),
        ({"length": 2**40}, "length 1,099,511,627,776", "close 1009", 1009, None),
        ({"opcode": 8, "payload": b""}, "no payload", "close without a code", None, None),
        # What our server lets pass though the standard forbids it, its decoder names.
        ({"form": 16}, "length in 16 bits", "text 'Hello'", None, "length-not-minimal"),
    ],
)
def test_the_answer_is_the_servers_own(editor, fields, label, outcome, code, rule):
    one = editor.ask(**fields)
    assert one.label.endswith(label)
    assert one.outcome == outcome
    assert one.close_code == code
    assert (one.fault.rule if one.fault else None) == rule
    assert one.state == ("refused" if code else "opened")
    read = FrameDecoder("server").feed(one.received)
    assert [frame.raw for frame in read] == [frame.raw for frame in one.frames]
    assert code is None or str(code) in " ".join(one.why)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"fin": False}, "a part of a message"),
        ({"length": 7}, "promises 2 bytes more than came, so the server waits"),
    ],
)
def test_where_nothing_comes_it_says_what_the_server_waits_for(editor, fields, says):
    one = editor.ask(**fields)
    assert (one.outcome, one.state, one.ended) == ("nothing", "doubtful", "timeout")
    assert says in one.why[0]


def test_a_length_that_is_too_small_leaves_the_rest_for_the_next_frame(editor):
    one = editor.ask(length=3, key=KEY)  # which of both answers comes first is the server's affair
    assert one.outcome in ("text 'Hel'", "close 1002", "text 'Hel', close 1002")
    assert "2 bytes fewer than came" in " ".join(one.why)


def test_each_try_has_a_fresh_key_and_the_last_twenty_stay(editor):
    keys = {editor.ask().sent[2:6] for _ in range(MAX_ATTEMPTS + 2)}
    assert len(keys) == MAX_ATTEMPTS + 2
    assert len(editor.attempts) == MAX_ATTEMPTS
    assert [one["number"] for one in editor.shown] == list(range(3, MAX_ATTEMPTS + 3))
    assert editor.ask(payload="text", key=KEY).sent[2:6] == KEY


PLAN = {
    "fin": True,
    "rsv1": False,
    "rsv2": False,
    "rsv3": False,
    "opcode": 1,
    "masked": True,
    "length": None,
    "form": None,
    "payload": "48 65 6c 6c 6f",
    "key": "37 fa 21 3d",
}


def say(editor: FrameEditor, content) -> None:
    """Do as the browser does: a custom message."""
    editor._handle_custom_msg(content, [])


def test_a_click_sends_what_the_page_shows(editor):
    say(editor, {"type": "send", "id": "a.1", "plan": {**PLAN, "rsv2": True, "form": "16"}})
    assert editor.done == ["a.1"]
    assert editor.said == ""
    [one] = editor.attempts
    assert one.sent.hex(" ") == "a1 fe 00 05 37 fa 21 3d 7f 9f 4d 51 58"
    assert editor.shown[0]["sent"] == one.sent.hex(" ")
    assert editor.key != "37fa213d"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"payload": "4"}, "pairs of hex digits"),
        ({"key": "zz"}, "pairs of hex digits"),
        ({"opcode": "x"}, "invalid literal"),
        ({"length": -3}, "got -3"),
    ],
)
def test_a_plan_that_is_none_is_not_sent_and_says_why(editor, change, says):
    say(editor, {"type": "send", "id": "a.1", "plan": {**PLAN, **change}})
    assert editor.done == ["a.1"]
    assert editor.said.startswith("not sent: ")
    assert says in editor.said
    assert editor.attempts == ()
    for other in (None, [], {"type": "other"}):
        say(editor, other)
    assert editor.done == ["a.1"]


def test_a_server_that_has_stopped_says_so(editor):
    editor._server.stop()
    with pytest.raises(wslab.errors.NobodyListening, match="Run its cell again"):
        editor.ask()


def test_it_takes_a_server_only():
    with pytest.raises(TypeError, match=r"expected a Server.*got str"):
        FrameEditor("ws://127.0.0.1:1/")
    with pytest.raises(TypeError):
        FramePlan(colour=1)


def test_the_forms_without_a_front_end_are_text(editor):
    assert "Nothing was sent yet" in editor._repr_mimebundle_()[0]["text/html"]
    editor.ask(payload="<b>")
    editor.ask(masked=False)
    data = editor._repr_mimebundle_()[0]
    assert data["text/plain"].splitlines()[0] == "frame editor for 'echo', 2 tries"
    assert data["text/plain"].splitlines()[-1].split() == ["MASK", "0", "close", "1002"]
    assert "&lt;b&gt;" in data["text/html"]
    assert "<b>'" not in data["text/html"]
