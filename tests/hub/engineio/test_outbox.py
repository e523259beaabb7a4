"""What waits to go out: order, bytes, its bound, and how a body is made of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.engineio.rig import prepared, soon
from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.engineio.outbox import Outbox
from wslab.hub.server.prepared_message import PreparedMessage
from wslab.wire.violation import ProtocolViolation


def test_a_body_holds_all_of_it_in_order_and_bytes_as_base64():
    outbox = Outbox(1000)
    outbox.put(prepared("é"), PLAIN_JSON)
    outbox.put(PreparedMessage("451-", [b"\x00\xff"]), PLAIN_JSON)
    assert (len(outbox), outbox.first()[1]) == (2, PLAIN_JSON)
    assert outbox.take_body() == "4é\x1e451-\x1ebAP8=".encode()
    assert (len(outbox), outbox.size_bytes, outbox.take_body()) == (0, 0, b"")


def test_a_body_may_have_a_bound_in_packets_and_cuts_no_message():
    outbox = Outbox(1000)
    outbox.put(PreparedMessage("453-", [b"x"] * 3), PLAIN_JSON)
    for text in "abc":
        outbox.put(prepared(text), PLAIN_JSON)
    assert outbox.take_body(2) == b"453-\x1ebeA==\x1ebeA==\x1ebeA=="
    assert outbox.take_body(2) == b"4a\x1e4b"
    assert outbox.take_body(2) == b"4c"
    assert (len(outbox), outbox.size_bytes) == (0, 0)


def test_what_would_be_read_as_another_packet_is_not_sent():
    outbox = Outbox(1000)
    outbox.put(prepared("x\x1e1"), PLAIN_JSON)
    with pytest.raises(ProtocolViolation, match=r"no U\+001E"):
        outbox.take_body()


@pytest.mark.asyncio
async def test_its_bound_counts_bytes_and_whoever_waits_is_told():
    outbox = Outbox(1000)
    outbox.put(prepared("x" * 2000), PLAIN_JSON)
    assert outbox.is_full
    waiting = [asyncio.ensure_future(outbox.room()) for _ in range(2)]
    await asyncio.sleep(0)
    outbox.pop()
    assert not outbox.is_full
    await soon(asyncio.gather(*waiting))
    assert outbox.size_bytes == 0


def test_empty_messages_fill_it_too():
    outbox = Outbox(10_000)
    count = 0
    while not outbox.is_full:
        outbox.put(PreparedMessage("4"), PLAIN_JSON)
        count += 1
    assert count < 50
