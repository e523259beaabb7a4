"""What the tests of tapes share."""

from __future__ import annotations

from tests.wire.taping import masked
from wslab.wire.tape.track import Track

SMALLEST = 64 * 2**10


def kinds(events) -> list[str]:
    return [event.kind for event in events]


def numbered(number: int) -> bytes:
    return masked(1, f"message {number}".encode())


def fill(track: Track, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        track.client(numbered(number))
