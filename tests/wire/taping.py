"""What the tests of tapes share: sessions put on a tape by hand, and events compared."""

from __future__ import annotations

import dataclasses
import random
import zlib
from collections.abc import Iterable, Sequence

from wslab.wire.events import Event
from wslab.wire.frames.layout import encode_frame
from wslab.wire.http.building import build_request, build_response
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = bytes.fromhex("37fa213d")
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]
TIMES = ("at_s", "began_s", "round_trip_s")


def masked(opcode: int, payload: bytes = b"", **kwargs: bool) -> bytes:
    return encode_frame(opcode, payload, mask_key=MASK, **kwargs)


def close(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2, "big") + reason.encode()


class Compressor:
    """One side's permessage-deflate, with context takeover, by zlib alone."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(wbits=-15)

    def __call__(self, data: bytes) -> bytes:
        return (self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def upgrade(
    track: Track,
    *,
    target: str = "/chat",
    headers: Iterable[tuple[str, str]] = (),
    answer: Iterable[tuple[str, str]] = (),
    deflate: bool = False,
) -> None:
    """Record a handshake."""
    extra = DEFLATE if deflate else []
    track.client(build_request(target, "127.0.0.1:8765", KEY, headers=[*headers, *extra]))
    track.server(build_response(101, key=KEY, headers=[*answer, *extra]))


def websocket(tape: Tape, connection_id: str = "a1", *, deflate: bool = False) -> Track:
    """Record a connection with its handshake, open."""
    track = tape.open(
        connection_id,
        label="alice",
        client_address="127.0.0.1:50001",
        server_address="127.0.0.1:8765",
    )
    upgrade(track, deflate=deflate)
    return track


def differences(expected: Sequence[Event], found: Sequence[Event], within_s: float) -> list[str]:
    """Say in which events two readings differ; times may, by so much."""
    told = []
    if len(expected) != len(found):
        told.append(f"{len(expected)} events, and {len(found)}")
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        times = {name: getattr(one, name) for name in TIMES if hasattr(one, name)}
        if type(one) is not type(other):
            told.append(f"{number}: {one}\n   {other}")
            continue
        late = [n for n, at in times.items() if abs(getattr(other, n) - at) > within_s]
        if late or dataclasses.replace(other, **times) != one:
            told.append(f"{number}: {late}\n{one}\n{other}")
    return told


def random_secret(source: random.Random) -> str:
    return "".join(source.choices("abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789", k=24))


def random_session(tape: Tape, source: random.Random, secrets: Sequence[str]) -> None:
    """Record some connections of all kinds, their bytes cut anywhere and mixed."""
    writes: list[list[tuple[Track, str, bytes]]] = []
    for number in range(source.randrange(1, 5)):
        track = tape.open(
            f"c{number}",
            side=source.choice(["client", "server"]),
            label=source.choice([None, "alice", "Zoë"]),
            client_address=source.choice(["", "127.0.0.1:50001", "[::1]:50001", "nonsense"]),
            server_address=source.choice(["", "127.0.0.1:8765", "[::1]:8765", "localhost:80"]),
        )
        make = source.choice([_some_frames, _some_frames, _some_http, _some_nonsense])
        pieces = []
        for sender, data in make(source, secrets):
            for part in _cut(data, source):
                pieces.append((track, sender, part))
        if source.random() < 0.6:
            pieces.append((track, "end", b""))
        writes.append(pieces)
    while any(writes):
        track, what, data = source.choice([pieces for pieces in writes if pieces]).pop(0)
        if what == "end":
            track.end()
        elif what == "client":
            track.client(data)
        else:
            track.server(data)


def _cut(data: bytes, source: random.Random) -> list[bytes]:
    if source.random() < 0.5 or len(data) < 2:
        return [data]
    at = source.randrange(1, len(data))
    return [data[:at], *_cut(data[at:], source)]


def _some_frames(source: random.Random, secrets: Sequence[str]) -> list[tuple[str, bytes]]:
    deflate = source.random() < 0.5
    extra = DEFLATE if deflate else []
    target = f"/chat?room=1&token={secrets[0]}"
    headers = [("Cookie", f"sid={secrets[1]}; theme=dark")]
    headers.append(("Authorization", f"Bearer {secrets[2]}"))
    request = build_request(target, "127.0.0.1:8765", KEY, headers=headers + extra)
    answer = [("Set-Cookie", f"sid={secrets[3]}; Path=/"), ("X-Echo", secrets[0])]
    sent = [("client", request), ("server", build_response(101, key=KEY, headers=answer + extra))]
    if source.random() < 0.2:
        sent.insert(1, ("client", masked(1, b"too early")))
    compress = {"client": Compressor(), "server": Compressor()}
    for _ in range(source.randrange(12)):
        sender = source.choice(["client", "server"])
        mask = MASK if sender == "client" else None
        opcode = source.choice([0, 1, 1, 1, 2, 8, 9, 10, 3])
        payload = source.choice([b"", b"Hello", "é€😀".encode(), b"\xff", source.randbytes(200)])
        fin = source.random() < 0.8
        if opcode in (1, 2) and deflate:
            data = compress[sender](payload)
            sent.append((sender, encode_frame(opcode, data, rsv1=True, mask_key=mask)))
        else:
            sent.append((sender, encode_frame(opcode, payload, fin=fin, mask_key=mask)))
    return sent


def _some_http(source: random.Random, secrets: Sequence[str]) -> list[tuple[str, bytes]]:
    found = []
    for _ in range(source.randrange(1, 4)):
        body = source.choice([b"", b"a=1&password=" + secrets[4].encode()])
        found.append(
            (
                "client",
                b"POST /poll?api_key=%s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: %d"
                b"\r\n\r\n%s" % (secrets[0].encode(), secrets[1].encode(), len(body), body),
            )
        )
        content = source.choice([b"", b"hello", b'{"token": "%s"}' % secrets[2].encode()])
        if source.random() < 0.5:
            head = b"Content-Length: %d\r\n\r\n" % len(content)
        else:
            head = b"Transfer-Encoding: chunked\r\n\r\n"
            content = (b"%x\r\n%s\r\n" % (len(content), content) if content else b"") + b"0\r\n\r\n"
        # In one piece, so that what is named like a secret is not cut in two.
        found.append(("server", b"HTTP/1.1 200 OK\r\nSet-Cookie: s=%s\r\n" % secrets[3].encode()))
        found.append(("server", head + content))
    return found


# Heads that cannot be read, each with a secret where %s stands.
BROKEN = [
    b"GET /?token=%s HTTP/1.1\nCookie: a=%s\n\n",
    b"GET /?token=%s HTTP/1.1\r\nCookie: a=%s\r\n b=%s\r\n\r\n",
    b"GET /?token=%s HTTP/1.1\r\nCookie: a=%s\x00%s\r\n\r\n",
    b"GET /?token=%s HTTP/2.0\r\nCookie: a=%s\r\n\r\n",
    b"GET /%s HTTP/1.1 \r\nCookie %s\r\n\r\n",
    b"GET /%s\r\nCookie %s\r\n\r\n",
    b"G\xc9T /%s HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nno name %s: x\r\n\r\n",
    b"\r\nGET /?token=%s HTTP/1.1\r\nCookie : %s\r\n\r\n",
    b"\r\nGET /?token=%s HTTP/1.1\nCookie: %s\n\n",
    b"\r\n\r\nGET /?token=%s HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nCookie: a=%s\r\n%s\r\nX: y\r\n\r\n",
    b"HTTP/1.1 2000 %s\r\nSet-Cookie: a=%s\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=%s\rb\r\n\r\n",
    b"HTTP/1.1 200 %s\nSet-Cookie: a=%s\n\n",
    b"HTTP/1.1 %s\r\n\r\n",
    b"H%s 200\r\n\r\n",
    b"%s\r\nX: y\r\n\r\n",
    b"\x16\x03\x01%s",
    b"\xff%s",
    b"GET /?token=%s HTT",
    b"GET /a HTTP/1.1\r\nAuthorization: Basic %s",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=%s",
]


def _some_nonsense(source: random.Random, secrets: Sequence[str]) -> list[tuple[str, bytes]]:
    secret = source.choice(secrets).encode()
    return [
        (source.choice(["client", "server"]), source.choice(BROKEN).replace(b"%s", secret))
        for _ in range(source.randrange(1, 4))
    ]
