"""Tapes of literal bytes, and the rows that become of them."""

from __future__ import annotations

from wslab.widgets.inspector.feed import Feed
from wslab.widgets.inspector.timeline import Timeline
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.opcodes import Opcode
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track

KEY = b"\x37\xfa\x21\x3d"


REQUEST = (
    b"GET /chat?token=hunter2 HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nCookie: session=hunter2\r\n\r\n"
)


RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


CLIENT, SERVER = "127.0.0.1:50001", "127.0.0.1:8765"


HELLO = bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455 §5.7


def opened(
    tape: Tape,
    connection_id: str = "7f3a21",
    *,
    label: str | None = "alice",
    extensions: bytes = b"",
    side: str = "server",
    client_address: str = CLIENT,
) -> Track:
    track = tape.open(
        connection_id,
        side=side,  # type: ignore[arg-type]
        label=label,
        client_address=client_address,
        server_address=SERVER,
    )
    track.client(REQUEST)
    track.server(RESPONSE + extensions + b"\r\n")
    return track


def rows_of(*tapes: Tape, servers=(), **options) -> list[dict]:
    feed = Feed(tapes, servers, **options)
    feed.catch_up()
    while feed.poll():
        pass
    return [row.json for row in feed.rows]


def frames(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["what"] == "frame"]


def sample() -> tuple[Timeline, list[dict], dict]:
    tape = Tape(name="echo")
    track = opened(tape)
    for at_s, what, data in (
        (1.0, 0, HELLO),
        (3.4, 1, encode_frame(Opcode.PING, b"")),
        (3.5, 0, encode_frame(Opcode.CLOSE, b"\x03\xe8<b>", mask_key=KEY)),
    ):
        (track.client, track.server)[what](data, at_s)
    feed = Feed([tape])
    feed.catch_up()
    feed.poll()
    return feed.timeline, [row.json for row in feed.rows], feed.numbers()
