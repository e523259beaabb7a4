"""Conversations of Engine.IO by hand: requests, answers and frames, put on a tape."""

from __future__ import annotations

from tests.wire.taping import MASK
from wslab.wire.frames.layout import encode_frame
from wslab.wire.http.building import build_request, build_response
from wslab.wire.layers.reader import LayerReader, Layers
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track

SID = "lv_VI97HAXpY6yYWAAAC"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OPEN = (
    '0{"sid":"%s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
    '"maxPayload":1000000}'
)
PLACE = '{"_placeholder":true,"num":%d}'
PATH = "/socket.io/?EIO=4&transport="


def get(track: Track, sid: str = SID, path: str = PATH) -> None:
    query = f"polling&sid={sid}" if sid else "polling"
    track.client(f"GET {path}{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def post(track: Track, body: str | bytes, sid: str = SID, *, cuts: tuple[int, ...] = ()) -> None:
    data = body.encode() if isinstance(body, str) else body
    head = (
        f"POST {PATH}polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    send(track.client, head.encode() + data, tuple(len(head) + cut for cut in cuts))


def answer(
    track: Track, body: str | bytes, status: str = "200 OK", *, cuts: tuple[int, ...] = ()
) -> None:
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n"
    send(track.server, head.encode() + data, tuple(len(head) + cut for cut in cuts))


def send(record, data: bytes, cuts: tuple[int, ...]) -> None:
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        record(data[start:end])


def websocket(track: Track, sid: str = SID, path: str = PATH) -> None:
    target = f"{path}websocket" + (f"&sid={sid}" if sid else "")
    track.client(build_request(target, "x", KEY))
    track.server(build_response(101, key=KEY))


def say(track: Track, *messages: str | bytes) -> None:
    """Send frames by the client."""
    for message in messages:
        track.client(frame(message, MASK))


def tell(track: Track, *messages: str | bytes) -> None:
    """Send frames by the server."""
    for message in messages:
        track.server(frame(message))


def frame(message: str | bytes, key: bytes | None = None) -> bytes:
    data = message.encode() if isinstance(message, str) else message
    return encode_frame(1 if isinstance(message, str) else 2, data, mask_key=key)


def stock() -> Tape:
    """Return a stock client's way: handshake, two polls, upgrade, an event with bytes, the end."""
    tape = Tape(name="chat")
    polls, posts, socket = (tape.open(name, side="server") for name in ("a1", "a2", "a3"))
    get(polls, sid="")
    answer(polls, OPEN % SID)
    post(posts, "40")
    answer(posts, "ok")
    get(polls)
    answer(polls, '40{"sid":"Vl1n8bTCjH0AAAAD"}')
    websocket(socket)
    get(polls)
    say(socket, "2probe")
    tell(socket, "3probe")
    answer(polls, "6")
    say(socket, "5")
    say(socket, '421["chat","hi",{"to":"lobby"}]')
    tell(socket, '431["ok"]')
    tell(socket, f'451-["picture",{PLACE % 0}]', b"\x89PNG")
    tell(socket, "2")
    say(socket, "3", "41", "1")
    return tape


def layers(tape: Tape, reader: LayerReader | None = None) -> list[tuple[str, Layers]]:
    """Return what is known of each event that belongs to a session, with the event's kind."""
    reader = reader or LayerReader()
    found = [(event.kind, reader.feed(event)) for event in tape.read()]
    return [(kind, each) for kind, each in found if each is not None]


def said(tape: Tape) -> list[str]:
    """Return what its packets say."""
    return [packet.says for _, each in layers(tape) for packet in each.packets]
