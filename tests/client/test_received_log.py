"""The record of the latest messages: bounded, honest about what it dropped, and never behind."""

from __future__ import annotations

import threading

import pytest

from wslab.client import received_log
from wslab.client.received_log import ReceivedLog

pytestmark = pytest.mark.usefixtures("memory_network")


def test_it_keeps_so_many():
    log = ReceivedLog()
    count = received_log.KEEP_RECEIVED + 7
    for number in range(count):
        log.keep(str(number))
    assert log.latest() == tuple(str(number) for number in range(7, count))
    assert log.dropped == 7
    assert log.first() == "0"


def test_it_keeps_so_many_bytes_and_the_last_in_any_case():
    log = ReceivedLog()
    assert log.first() is None
    for size_bytes in (received_log.KEEP_RECEIVED_BYTES, 1, 3 * received_log.KEEP_RECEIVED_BYTES):
        log.keep(bytes(size_bytes))
    assert [len(message) for message in log.latest()] == [3 * received_log.KEEP_RECEIVED_BYTES]
    assert log.dropped == 2
    assert len(log.first()) == received_log.KEEP_RECEIVED_BYTES


def test_who_was_woken_by_a_message_finds_it_there():
    log = ReceivedLog()
    found = []
    readers = []

    def wake(message):
        reader = threading.Thread(target=lambda: found.append(log.latest()))
        readers.append(reader)
        reader.start()
        reader.join(0.02)  # it asks before the message has been filed

    log.keep("hello", wake)
    readers[0].join(5)
    assert found == [("hello",)]
