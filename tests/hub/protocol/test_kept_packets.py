"""Packets that a client keeps until they have come."""

from __future__ import annotations

import json

from wslab.hub.protocol.kept_packets import PACKET_OVERHEAD_BYTES, KeptPackets, size_of

DATA = ("1", [])


def sent(packets, *, is_numbered=True):
    packets.send(is_numbered=is_numbered)
    return [json.loads(text) for text, *_ in packets.ready()]


def test_numbers_follow_each_other_and_stay():
    packets = KeptPackets()
    packets.add("a", DATA)
    packets.add("b", None, 7)
    first = [{"event": "a", "data": 1, "n": 1}, {"event": "b", "id": 7, "n": 2}]
    assert sent(packets) == first
    packets.add("c", None)
    packets.send_again()
    assert sent(packets) == [*first, {"event": "c", "n": 3}]
    assert (len(packets), packets.last_n, packets.has_sent) == (3, 3, True)


def test_a_call_stays_until_it_is_answered():
    packets = KeptPackets()
    for event, id in (("a", None), ("b", 7), ("c", None)):
        packets.add(event, None, id)
    sent(packets)
    packets.acknowledge(2, {7})
    assert (len(packets), packets.size_bytes) == (2, 2 * PACKET_OVERHEAD_BYTES)
    packets.answered(7)
    packets.answered(7)
    assert (len(packets), packets.size_bytes) == (1, PACKET_OVERHEAD_BYTES)
    packets.acknowledge(3, set())
    assert (len(packets), packets.size_bytes) == (0, 0)


def test_without_numbers_nothing_is_kept():
    packets = KeptPackets()
    packets.add("a", DATA)
    assert packets.size_bytes == size_of(DATA)
    assert sent(packets, is_numbered=False) == [{"event": "a", "data": 1}]
    assert (len(packets), packets.size_bytes) == (0, 0)


def test_an_answer_has_no_number():
    packets = KeptPackets()
    packets.add(None, ('{"answer":1}', []))
    assert sent(packets) == [{"answer": 1}]
    assert len(packets) == 0


def test_a_call_that_was_not_sent_can_be_taken_back():
    packets = KeptPackets()
    packets.add("a", None, 7)
    assert packets.unsent_calls == {7}
    assert packets.withdraw(7)
    assert packets.size_bytes == 0
    packets.add("a", None, 8)
    sent(packets)
    assert not packets.withdraw(8)


def test_a_hub_that_knows_nothing_is_counted_for_anew():
    packets = KeptPackets()
    for event in "abc":
        packets.add(event, None)
    sent(packets)
    packets.acknowledge(2, set())
    packets.add(None, ('{"answer":1}', []))
    packets.begin_anew()
    packets.add("d", None)
    packets.send_again()
    assert sent(packets) == [{"event": "c", "n": 1}, {"event": "d", "n": 2}]


def test_what_was_written_is_forgotten_and_what_was_not_goes_out_again():
    for was_written in (False, True):
        packets = KeptPackets()
        packets.add("a", None)
        sent(packets)
        packets.forget_sent(was_written=was_written)
        assert sent(packets, is_numbered=False) == ([] if was_written else [{"event": "a"}])
        assert packets.size_bytes == 0
