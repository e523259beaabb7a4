"""What the tests of one connection share: bytes fed by both sides."""

from __future__ import annotations

from collections.abc import Iterable

from tests.wire.taping import DEFLATE, KEY
from wslab.wire.connection.reader import ConnectionReader
from wslab.wire.events import (
    Event,
)
from wslab.wire.http.building import build_request, build_response

REQUEST = build_request("/chat", "127.0.0.1:8765", KEY)
ANSWER = build_response(101, key=KEY)
GET = b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n"


def tell(reader: ConnectionReader, *sent: tuple[str, bytes], start_s: float = 0.0) -> list[Event]:
    """Feed what each side sent, a second apart."""
    events: list[Event] = []
    for number, (sender, data) in enumerate(sent):
        assert sender in ("client", "server")
        events += reader.feed(start_s + number, sender, data)
    return events


def opened(*, deflate: bool = False) -> ConnectionReader:
    reader = ConnectionReader("a1")
    extra = DEFLATE if deflate else []
    tell(
        reader,
        ("client", build_request("/", "x", KEY, headers=extra)),
        ("server", build_response(101, key=KEY, headers=extra)),
    )
    assert reader.is_upgraded
    return reader


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]


def of(kind: type, events: Iterable[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]
