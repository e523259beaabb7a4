"""The head of a request, as a server's side of websockets reads it, so that each gets an answer.

websockets hangs up without a word on what it can't parse or what has a body, and takes whatever
follows a head for frames before anybody has answered. Its rule: only the reading of the head is
replaced; what a handshake is, and what is answered to it, stays websockets' own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

from websockets.exceptions import InvalidMessage, SecurityError
from websockets.http11 import Request, Response
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

__all__ = ["broke_off", "has_body", "note_responses", "read_head_of", "stop_noting"]

TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS client (RFC 8446 §5.1); no method begins with it
MAX_BODY_FIELDS = 8
# The two that announce a body (RFC 9112 §6): websockets hangs up where it sees one of them.
_BODY_FIELD = re.compile(
    rb"(content-length|transfer-encoding):[ \t]*([!-~]+(?:[ \t]+[!-~]+)*)?[ \t]*\r?\n", re.I
)
_STATUS = {"RequestLineTooLong": 414, "HeaderLineTooLong": 431, "TooManyHeaders": 431}


def has_body(request: Request) -> bool:
    """Whether a request announces a body (RFC 9112 §6)."""
    lengths = request.headers.get_all("Content-Length")
    return "Transfer-Encoding" in request.headers or any(text.strip("0 ") for text in lengths)


def read_head_of(
    protocol: ServerProtocol,
    has_frames: Callable[[Request], bool],
    keeps: Callable[[], bool] = lambda: False,
) -> None:
    """Let a connection that is new read its request by the rule of this module.

    Args:
        protocol: no byte has come yet.
        has_frames: whether frames may follow a request; else what follows is passed over.
        keeps: whether that is kept instead, and the head in ``protocol.plain_head``, for whoever
            takes the connection over; see `handover`.
    """
    parser: Any = _parse(protocol, has_frames, keeps)
    protocol.parser = parser
    next(parser)


def note_responses(connection: Any, note: Callable[[Response], object]) -> None:
    """Call a function with each response that a connection is about to send; see `stop_noting`."""

    def send_response(response: Response) -> None:
        note(response)
        ServerProtocol.send_response(connection.protocol, response)

    connection.protocol.send_response = send_response


def stop_noting(connection: Any) -> None:
    """Let go of the function; it leads back to the connection, a cycle for the collector."""
    connection.protocol.__dict__.pop("send_response", None)


def broke_off(connection: Any) -> bool:
    """Whether a connection has ended before the end of its request."""
    failure = connection.protocol.handshake_exc
    return connection.request is None and isinstance(failure, InvalidMessage)


def _parse(
    protocol: ServerProtocol, has_frames: Callable[[Request], bool], keeps: Callable[[], bool]
) -> Generator[None, None, None]:
    reader = protocol.reader
    first_line = b""
    head = bytearray()
    set_aside: list[tuple[str, str]] = []

    def read_line(
        limit: int, too_long: type[Exception] = SecurityError
    ) -> Generator[None, None, bytes | bytearray]:
        nonlocal first_line
        while True:
            line = yield from reader.read_line(limit, too_long)
            head.extend(line)
            field = _BODY_FIELD.fullmatch(line) if first_line else None
            first_line = first_line or bytes(line)
            if field is None:
                return line
            if len(set_aside) == MAX_BODY_FIELDS:
                raise ValueError("too many Content-Length and Transfer-Encoding headers")
            set_aside.append((field[1].decode(), (field[2] or b"").decode()))

    try:
        while not reader.buffer and not reader.eof:
            yield
        if reader.buffer[:1] == TLS_HANDSHAKE:
            raise ValueError(
                "this is TLS, and the server speaks ws:// and http://; use a URL that begins with "
                "ws://, or give it a certificate: serve(..., tls=True) or ssl=..."
            )
        request = yield from Request.parse(read_line)
    except EOFError as exc:  # it left before the end of its request
        protocol.handshake_exc = InvalidMessage("did not receive a valid HTTP request")
        protocol.handshake_exc.__cause__ = exc
        protocol.send_eof()
        protocol.parser = protocol.discard()
        next(protocol.parser)
        yield
    except Exception as exc:
        protocol.handshake_exc = exc
        version = re.search(rb" HTTP/([0-9.]+)\r?\n$", first_line)
        status = _STATUS.get(type(exc).__name__, 431 if isinstance(exc, SecurityError) else 400)
        if version is not None and version[1] not in (b"1.0", b"1.1"):
            status = 505
        what = {414: "the request line is too long: ", 431: "its headers are too large: "}
        text = (
            "Expected an HTTP/1.1 request with `Upgrade: websocket` (RFC 6455 §4.1), but "
            f"{what.get(status, 'this is none: ')}{exc}.\n"
        )
        protocol.send_response(protocol.reject(status, text))
        yield  # what follows is discarded by another parser
    for name, value in set_aside:
        request.headers[name] = value
    protocol.events.append(request)
    if not has_frames(request) and keeps():
        plain: Any = protocol
        plain.plain_head = head
        del plain, head
        while not reader.eof:
            yield
    elif not has_frames(request):
        while not reader.eof:
            reader.discard()
            yield
    head = bytearray()
    yield from Protocol.parse(protocol)
