"""One side's messages, peeled: what each packet says, its parts, and every rule that it breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.wire.engineio import PacketType as Engine
from wslab.wire.layers.peeler import MAX_READ, Peeler
from wslab.wire.socketio import PacketType as Socket

PLACE = '{"_placeholder":true,"num":%d}'


def connected(sender="client") -> Peeler:
    peeler = Peeler(sender)
    peeler.text("40")
    peeler.text("40/admin,")
    return peeler


@pytest.mark.parametrize(
    ("sender", "text", "says", "engine"),
    [
        ("server", '0{"sid":"x"}', "open", Engine.OPEN),
        ("client", "1", "close", Engine.CLOSE),
        ("server", "2", "ping", Engine.PING),
        ("client", "3", "pong", Engine.PONG),
        ("client", "2probe", "ping probe", Engine.PING),
        ("server", "3probe", "pong probe", Engine.PONG),
        ("client", "5", "upgrade", Engine.UPGRADE),
        ("server", "6", "noop", Engine.NOOP),
        ("client", "40", "connect", Engine.MESSAGE),
        ("client", '40/admin,{"a":1}', "connect in /admin", Engine.MESSAGE),
        ("server", '44{"message":"no"}', "connect error", Engine.MESSAGE),
        ("client", "41", "disconnect", Engine.MESSAGE),
        ("client", '42["chat","hi"]', "event chat", Engine.MESSAGE),
        ("client", '42/admin,7["chat"]', "event chat, id 7 in /admin", Engine.MESSAGE),
        ("client", '42["zw\u00f6lf"]', "event zw\u00f6lf", Engine.MESSAGE),
        ("client", '42["a\\nb"]', "event 'a\\nb'", Engine.MESSAGE),
        ("client", '42[""]', "event ''", Engine.MESSAGE),
        ("client", "42[7]", "event 7", Engine.MESSAGE),
        ("server", "437[]", "ack 7", Engine.MESSAGE),
    ],
)
def test_what_a_packet_says(sender, text, says, engine):
    peeled = connected(sender).text(text)
    assert (peeled.says, peeled.engine, peeled.violation) == (says, engine, None)
    assert "".join(part for _, part in peeled.parts) == text
    assert peeled.size == len(text)
    if engine is Engine.MESSAGE:
        assert peeled.packet is not None


def test_a_text_is_cut_into_its_parts():
    peeled = connected().text(f'451-/admin,7["chat",{PLACE % 0}]')
    assert peeled.parts == (
        ("engine", "4"), ("type", "5"), ("attachments", "1-"), ("namespace", "/admin,"),
        ("id", "7"), ("data", f'["chat",{PLACE % 0}]'),
    )  # fmt: skip
    assert peeled.packet is not None
    assert (peeled.packet.type, peeled.missing) == (Socket.EVENT, 1)
    assert Peeler("server").text('0{"sid":"x"}').parts == (
        ("engine", "0"), ("data", '{"sid":"x"}'),
    )  # fmt: skip


def test_attachments_are_numbered_and_tied_to_their_event():
    peeler = connected()
    peeler.text(f'452-["upload",{PLACE % 0},{PLACE % 1}]')
    first, second = peeler.binary(7), peeler.text("bAQID")
    assert (first.says, first.attachment, first.size) == (
        "attachment 1 of 2, event upload",
        (1, 2),
        7,
    )
    assert (second.attachment, second.size) == ((2, 2), 3)
    assert first.violation is second.violation is None


@pytest.mark.parametrize(
    ("sender", "texts", "rule"),
    [
        ("client", ["9"], "unknown-type"),
        ("client", [""], "empty-packet"),
        ("client", ["bA"], "bad-base64"),
        ("client", ["1bye"], "unexpected-data"),
        ("client", ['0{"sid":"x"}'], "wrong-side"),
        ("client", ["2"], "wrong-side"),
        ("client", ["6"], "wrong-side"),
        ("server", ["3"], "wrong-side"),
        ("server", ["5"], "wrong-side"),
        ("client", ["47"], "unknown-type"),
        ("client", ['42["a"'], "bad-json"),
        ("client", ['42["connect"]'], "reserved-event"),
        ("client", ["43[]"], "bad-ack"),
        ("client", ['451-["a"]'], "bad-placeholder"),
        ("client", [f'451-["a",{PLACE % 0}]', '42["b"]'], "attachment-missing"),
        ("client", [f'451-["a",{PLACE % 0}]', "4hello"], "attachment-missing"),
        ("client", ["bAQ=="], "attachment-unexpected"),
        ("client", ['42/other,["a"]'], "before-connect"),
    ],
)
def test_violations_have_names(sender, texts, rule):
    peeler = connected(sender)
    for text in texts[:-1]:
        assert peeler.text(text).violation is None
    peeled = peeler.text(texts[-1])
    assert peeled.violation is not None
    assert peeled.violation.rule == rule
    assert rule in peeled.says
    assert "".join(part for _, part in peeled.parts) == texts[-1] or texts[-1].startswith("bAQ")


def test_bytes_that_nothing_waits_for():
    violation = connected().binary(3).violation
    assert violation is not None
    assert violation.rule == "attachment-unexpected"


def test_it_reads_on_after_a_violation():
    peeler = connected()
    peeler.text(f'451-["a",{PLACE % 0}]')
    late = peeler.text(f'452-["b",{PLACE % 0},{PLACE % 1}]')
    assert late.packet is not None  # the text itself is good
    assert late.says == "event b: attachment-missing"
    assert peeler.binary(1).attachment == (1, 2)
    assert peeler.binary(1).attachment == (2, 2)


def test_where_messages_were_passed_over_nothing_is_called_a_violation_that_may_be_none():
    for texts in ([], [f'453-["a",{PLACE % 0},{PLACE % 1},{PLACE % 2}]']):
        peeler = Peeler("client")
        for text in texts:
            peeler.text(text)
        peeler.lose()
        assert peeler.binary(1).violation is None
        assert peeler.text('42/x,["b"]').violation is None  # a CONNECT may have been among them
        assert peeler.binary(1).violation is not None  # from here on everything is known


def test_engine_io_alone():
    peeler = Peeler("client", is_socketio=False)
    peeled = peeler.text("4hello")
    assert (peeled.says, peeled.parts, peeled.packet) == (
        "message", (("engine", "4"), ("data", "hello")), None,
    )  # fmt: skip
    assert peeler.binary(3).violation is None


def test_a_long_packet_is_not_read_and_its_attachments_are_no_violations():
    peeler = connected()
    peeled = peeler.text('451-["a",' + "[]," * MAX_READ + PLACE % 0 + "]")
    assert peeled.violation is None
    assert "not read here" in peeled.says
    assert sum(len(part) for _, part in peeled.parts) < MAX_READ + 100
    assert peeler.binary(1).violation is None
    assert peeler.text("b" + "A" * (2 * MAX_READ)).size == MAX_READ * 3 // 2
    assert "not read" in peeler.text("4" * MAX_READ * 2).says
    assert Peeler("server").text("0" + "x" * MAX_READ).says == "open"


def test_a_peer_cannot_make_it_grow():
    peeler = Peeler("client")
    for number in range(1_000):
        peeler.text(f"40/{number},")
    assert peeler.text('42/other,["a"]').violation is None  # no more names are known
    assert peeler._asked is None
    peeler = Peeler("client")
    peeler.text("40/" + "x" * 10_000 + ",")
    assert peeler._asked is None


@given(
    st.sampled_from(["client", "server"]), st.lists(st.text('0123456b-/,[]{}"a:_ \x1e') | st.text())
)
def test_any_text_is_peeled(sender, texts):
    peeler = Peeler(sender)
    for text in texts:
        peeled = peeler.text(text)
        assert peeled.says
        assert len(peeled.says) < 200
        assert peeled.engine is not None or peeled.violation is not None
