"""Many readers hold no more together than a bound."""

from __future__ import annotations

from tests.wire.taping import KEY, masked
from wslab.wire.connection.reader import ConnectionReader
from wslab.wire.http.building import build_request, build_response
from wslab.wire.tape.held_bytes import HeldBytes


def reader_with(size: int) -> ConnectionReader:
    """Return a reader that holds a binary frame of which so many bytes have come."""
    reader = ConnectionReader("a1")
    reader.feed(0.0, "client", build_request("/", "x", KEY))
    reader.feed(0.0, "server", build_response(101, key=KEY))
    reader.feed(0.0, "client", masked(2, bytes(size))[:-1])
    return reader


def test_those_that_hold_most_let_go():
    readers = {1: reader_with(50_000), 2: reader_with(100), 3: reader_with(90_000)}
    held = HeldBytes(100_000)
    for number, reader in readers.items():
        held.note(number, reader)
    assert held.total == sum(reader.held for reader in readers.values()) > 100_000
    held.trim(readers.__getitem__)
    assert readers[3].held < 10_000
    assert readers[2].held > 100
    assert held.total == sum(reader.held for reader in readers.values()) < 60_000


def test_what_is_forgotten_counts_no_more():
    held = HeldBytes(10)
    held.note(1, reader_with(5_000))
    held.forget(1)
    held.forget(2)
    assert held.total == 0
    held.trim(lambda number: reader_with(0))
