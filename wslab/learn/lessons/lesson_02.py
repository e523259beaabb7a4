"""The check of lesson 02: a parser that takes bytes as TCP gives them, cut anywhere.

Its rule: frames are made afresh each time, and only what comes out, and at which byte, counts: not
how it is written. Bytes come one by one, and also as TCP gives them in earnest: several frames in
one chunk, and a chunk that ends within a frame. The inside of long payloads comes in larger pieces,
so that a slow way that is right passes too.
"""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...wire.frames.layout import encode_frame
from ..exercises import Miss, exercise
from ..learner_loop import bounded

CONT, TEXT, BINARY, PING, PONG = 0, 1, 2, 9, 10  # RFC 6455 §5.2
LENGTHS = (5, 125, 1, 0, 126, 65535, 65536)  # what a learner tries first comes first
EDGE = 20  # bytes at either end of a stream of a long frame that are always fed one by one
TIMEOUT_S = 5.0
NAMES = {CONT: "continuation", TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}

_CONTROL = "a control frame (opcode 8 and above) is a message of its own, and comes out at once"
_CLASS = "pass the class itself: each stream of bytes gets a parser of its own"
_NO_RESULT = "feed() returned None: does it end with a `return` of the list of messages?"
_TOO_EARLY = (
    "not all of the frame was here: wait until the buffer holds its header and its whole payload"
)

Message = tuple[int, bytes]


@dataclass
class _Stream:
    """Bytes to feed, and what must be complete after which of them."""

    what: str
    hint: str
    cuts: tuple[int, ...] | None = None  # sizes of chunks, for the rest the last; None: bytes
    data: bytes = b""
    due: list[tuple[int, Message]] = field(default_factory=list)

    def add(self, opcode: int, payload: bytes, *, fin: bool = True, masked: bool) -> None:
        key = os.urandom(4) if masked else None
        self.data += encode_frame(opcode, payload, fin=fin, mask_key=key)

    def completes(self, opcode: int, payload: bytes) -> None:
        self.due.append((len(self.data), (opcode, payload)))

    def pieces(self) -> Iterator[bytes]:
        if self.cuts is None:
            yield from self._bytes()
            return
        at, cuts = 0, [*self.cuts]
        while at < len(self.data):
            size = cuts.pop(0) if len(cuts) > 1 else cuts[0]
            yield self.data[at : at + size]
            at += size

    def place(self, at: int, size: int) -> str:
        """Say where in the stream something was seen."""
        if size == 1:
            return f"after byte {at} of {len(self.data)}"
        return f"after a chunk of {size} bytes, which ended with byte {at} of {len(self.data)}"

    def _bytes(self) -> Iterator[bytes]:
        at = 0
        while at < len(self.data):
            ends = [end for end, _ in self.due]
            is_edge = at < EDGE or any(at < end and end - at <= EDGE for end in ends)
            next_edge = min(end - EDGE for end in ends if end > at)
            size = 1 if is_edge else random.randint(1, max(1, min(4096, next_edge - at)))
            yield self.data[at : at + size]
            at += size


@exercise(
    "02 parser",
    hints=(
        "Work on self.buffer alone: how many bytes does the header have, how many the payload? As "
        "long as the buffer holds fewer than both together, return what you have and wait. The "
        "header's size is 2, plus 0, 2 or 8 for the length, plus 4 where the mask bit is set.",
        "In `while True:` take one whole frame from the front of self.buffer, or break. With an "
        "opcode of 8 or more the frame is a message of its own: append it, and leave alone what "
        "you have collected. Otherwise an opcode other than 0 begins a message (remember it), and "
        "FIN ends it: append (remembered opcode, all parts joined).",
    ),
    solution="solutions/02_frames.py",
)
def parser(make: Any) -> str:
    """Feed fresh parsers random streams; each message must come out with its last byte."""
    streams = list(_streams())
    for stream in streams:
        bounded(_feed, make, stream, timeout_s=TIMEOUT_S, expected=stream.what)
    messages = sum(len(stream.due) for stream in streams)
    size = sum(len(stream.data) for stream in streams)
    return f"{messages} random messages in {size:,} bytes came out whole, each with its last byte"


def _streams() -> Iterator[_Stream]:
    for length in LENGTHS:
        for masked in (True, False):
            yield _one(length, masked)
    yield _several()
    yield _fragments(with_ping=False)
    yield _fragments(with_ping=True)
    yield _in_chunks("two frames in one chunk", 2)
    yield _in_chunks("five frames in one chunk", 5)
    yield _in_chunks("two and a half frames in one chunk, then the rest", 3, ends_within=True)
    mixed = _fragments(with_ping=True)
    mixed.what += ", in chunks of any size"
    mixed.cuts = tuple(random.randint(2, 30) for _ in range(40))
    yield mixed


def _one(length: int, masked: bool) -> _Stream:
    form = 7 if length <= 125 else 16 if length <= 65535 else 64
    way = "masked" if masked else "not masked"
    hint = {
        7: "the low seven bits of the second byte are the length",
        16: "126 in the second byte: the next two bytes are the length, the larger part first",
        64: "127 in the second byte: the next eight bytes are the length, the larger part first",
    }[form]
    hint += "; then come four bytes of key" if masked else "; without the mask bit there is no key"
    stream = _Stream(f"a frame of {_count(length)}, {way}", hint)
    opcode = random.choice((TEXT, BINARY))
    payload = _payload(opcode, length)
    stream.add(opcode, payload, masked=masked)
    stream.completes(opcode, payload)
    return stream


def _several() -> _Stream:
    stream = _Stream(
        "ten short frames, one after the other",
        "what stays in the buffer after a frame is the beginning of the next one",
    )
    for _ in range(10):
        opcode = random.choice((TEXT, BINARY, PING, PONG))
        payload = _payload(opcode, random.randint(0, 12))
        stream.add(opcode, payload, masked=random.random() < 0.5)
        stream.completes(opcode, payload)
    return stream


def _in_chunks(what: str, count: int, *, ends_within: bool = False) -> _Stream:
    stream = _Stream(
        what,
        "one chunk may hold more than one frame: take frames from the front of the buffer for as "
        "long as there is a whole one, and keep what is left",
    )
    ends = []
    for _ in range(count):
        opcode = random.choice((TEXT, BINARY))
        payload = _payload(opcode, random.randint(3, 12))
        stream.add(opcode, payload, masked=True)
        stream.completes(opcode, payload)
        ends.append(len(stream.data))
    size = random.randint(ends[-2] + 1, ends[-1] - 1) if ends_within else ends[-1]
    stream.cuts = (size, len(stream.data))
    return stream


def _fragments(*, with_ping: bool) -> _Stream:
    stream = _Stream(
        "a message in three fragments" + (", with a ping inside" if with_ping else ""),
        "control frames (opcode 8 and above) come out at once and touch no message"
        if with_ping
        else "FIN 0 means that more follows; the message has the opcode of its first frame",
    )
    opcode = random.choice((TEXT, BINARY))
    parts = [_payload(opcode, random.randint(1, 9)) for _ in range(3)]
    for nth, part in enumerate(parts):
        stream.add(opcode if nth == 0 else CONT, part, fin=nth == 2, masked=True)
        if with_ping and nth < 2:
            ping = _payload(PING, random.randint(1, 9))
            stream.add(PING, ping, masked=True)
            stream.completes(PING, ping)
    stream.completes(opcode, b"".join(parts))
    # The next message must not remember this one.
    after = _payload(TEXT, 5)
    stream.add(TEXT, after, masked=True)
    stream.completes(TEXT, after)
    return stream


def _payload(opcode: int, length: int) -> bytes:
    if opcode == TEXT:
        return bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz ", k=length))
    return random.randbytes(length)


def _feed(make: Callable[[], Any], stream: _Stream) -> None:
    if not callable(make):
        raise Miss("the class Parser", f"{type(make).__name__} {make!r:.60}", _CLASS)
    made = make()
    feed = made if callable(made) and not hasattr(made, "feed") else made.feed
    at = 0
    due = list(stream.due)
    for piece in stream.pieces():
        at += len(piece)
        place = stream.place(at, len(piece))
        result = feed(piece)
        for given in _given(result, stream):
            if not due:
                raise Miss(
                    f"nothing more out of {stream.what}",
                    f"{_say(given)} {place}",
                    stream.hint,
                )
            end, want = due.pop(0)
            if given != want:
                hint = stream.hint
                if at < end and stream.cuts is None and want[1]:
                    hint = _TOO_EARLY if not given[1] else hint
                raise Miss(f"{_say(want)} out of {stream.what}", f"{_say(given)} {place}", hint)
            if at < end:
                raise Miss(
                    f"{_say(want)} out of {stream.what}, with byte {end}, its last one",
                    f"it came {place}, before it was complete",
                    stream.hint,
                )
        if due and due[0][0] <= at:
            end, want = due[0]
            head = stream.data[: min(14, end)].hex(" ")
            where = f"after byte {at}, its last one" if len(piece) == 1 else f"more {place}"
            raise Miss(
                f"{_say(want)} out of {stream.what}",
                f"nothing {where}; the bytes began {head}",
                _NO_RESULT if result is None else _CONTROL if want[0] >= 8 else stream.hint,
            )


def _given(result: Any, stream: _Stream) -> Iterator[Message]:
    """Read what feed() returned: any iterable of pairs, or None for nothing."""
    expected = f"feed() to return a list of (opcode, payload), for {stream.what}"
    if result is None:
        return
    if inspect.iscoroutine(result):
        result.close()
        raise Miss(expected, "a coroutine", "feed is a plain `def`: nothing in it has to wait")
    if not isinstance(result, Iterable) or isinstance(result, str | bytes):
        raise Miss(expected, f"{type(result).__name__} {result!r:.60}")
    for one in result:
        try:
            opcode, payload = one
            number = int(opcode)
            data = payload.encode() if isinstance(payload, str) else bytes(payload)
        except (TypeError, ValueError):
            seen = f"{type(one).__name__} {one!r:.60} in it"
            raise Miss(expected, seen, "append a pair: (opcode, payload)") from None
        if isinstance(payload, str) and number != TEXT:
            seen = f"a str, {payload!r:.40}, as the payload of opcode {number}"
            raise Miss(expected, seen, "a payload is bytes: do not decode it")
        yield number, data


def _say(message: Message) -> str:
    opcode, payload = message
    name = NAMES.get(opcode, "unknown")
    start = payload[:8].hex(" ") + (" \u2026" if len(payload) > 8 else "")
    if not payload:
        return f"({opcode}, b'') [{name}]"
    return f"({opcode}, {start}) [{name}, {_count(len(payload))}]"


def _count(length: int) -> str:
    return "1 byte" if length == 1 else f"{length:,} bytes"
