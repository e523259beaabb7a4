"""ask(): bytes sent to a port as they are, the answer as it comes, and several side by side.

For lessons that look below libraries: nothing of a request is put right on the way, and both
directions go onto a tape, for an Inspector. Its rule: every wait has a bound, and what it opens is
closed when it returns. A 101 is answered with a close frame.
"""

from __future__ import annotations

import html
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ..network import exchange
from ..wire.frames.layout import encode_frame
from ..wire.http.bodies import BodyReader, body_length, content_of, is_chunked
from ..wire.http.head_reader import HeadReader
from ..wire.http.heads import Request, Response
from ..wire.tape.tape import Tape

__all__ = ["Answer", "SideBySide", "ask", "side_by_side"]

ANSWER_S = 3.0  # for one answer
_NORMAL = (1000).to_bytes(2, "big")
_ROW_BYTES = 8  # of what is shown in hex
_SHOWN_BYTES = 64  # of what follows a head


@dataclass(frozen=True)
class Answer:
    """What came back for one request.

    Attributes:
        name: how it is called beside others.
        request: the bytes that went out.
        data: the bytes that came.
    """

    name: str
    request: bytes
    data: bytes

    @property
    def response(self) -> Response | None:
        """The head; None where no whole one came."""
        head, _ = HeadReader("server").feed(self.data)
        return head if isinstance(head, Response) else None

    @property
    def status(self) -> int | None:
        """The status, such as 200; None without a head."""
        return None if self.response is None else self.response.status

    @property
    def outcome(self) -> str:
        """The status in words, such as "101 Switching Protocols"."""
        if self.status is None:
            return "no answer"
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def after(self) -> bytes:
        """The bytes after the head's empty line."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def body(self) -> bytes:
        """What the body carries, without its chunks; of a 101 nothing."""
        head = self.response
        return b"" if head is None or head.status == 101 else content_of(head, self.after)

    def lines(self) -> list[str]:
        """Return it line by line: the head as text, and after the empty line bytes and text."""
        head = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        rest = self.after
        said = [*head, "(the empty line)"] if self.response is not None else head
        for start in range(0, min(len(rest), _SHOWN_BYTES), _ROW_BYTES):
            row = rest[start : start + _ROW_BYTES]
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            said.append(f"{row.hex(' '):<{3 * _ROW_BYTES}} {text}")
        if len(rest) > _SHOWN_BYTES:
            said.append(f"and {len(rest) - _SHOWN_BYTES} bytes more")
        return said

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome}"

    def __repr__(self) -> str:
        return f"<Answer {self}>"


async def ask(
    to: Any, request: bytes, tape: Tape | None = None, name: str = "client", *, wait_s: float = 0.0
) -> Answer:
    """Send bytes on a TCP connection of their own, and return what comes back.

    Args:
        to: a port of this machine, or a Server.
        request: goes out as it is, in one piece.
        tape: where both directions are recorded; none by default.
        name: how the client is called there.
        wait_s: seconds for the answer; 3 by default.

    Raises:
        OSError: nothing listens there.
    """
    port = int(getattr(to, "port", to))
    track = None
    if tape is not None:
        track = tape.open(
            secrets.token_hex(3),
            side="client",
            label=name,
            client_address=name,
            server_address=f"127.0.0.1:{port}",
        )
        track.client(request)
    seen = 0

    def came(data: bytes) -> bool:
        nonlocal seen
        if track is not None:
            track.server(data[seen:])
        seen = len(data)
        return _is_whole(data, request)

    def farewell(data: bytes) -> bytes:
        head, rest = HeadReader("server").feed(data)
        if not isinstance(head, Response) or head.status != 101 or rest:
            return b""
        close = encode_frame(8, _NORMAL, mask_key=secrets.token_bytes(4))
        if track is not None:
            track.client(close)
        return close

    def parting(data: bytes) -> bool:
        came(data)
        return False

    try:
        answer = await exchange.exchange(
            "127.0.0.1",
            port,
            request,
            timeout_s=wait_s or ANSWER_S,
            enough=came,
            farewell=farewell,
            answered=parting,
        )
    finally:
        if track is not None:
            track.end()
    return Answer(name, request, answer.data)


def _is_whole(data: bytes, request: bytes) -> bool:
    head, rest = HeadReader("server").feed(data)
    if not isinstance(head, Response):
        return head is not None
    asked, _ = HeadReader("client").feed(request)
    length = body_length(head, asked if isinstance(asked, Request) else None)
    body = BodyReader()
    body.expect(length, is_chunked(head))
    body.split(rest)
    return body.left == 0


class SideBySide:
    """Answers beside each other, line by line, as text and as HTML."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.answers = answers

    def __repr__(self) -> str:
        return "\n\n".join("\n".join([one.name, *one.lines()]) for one in self.answers)

    def _repr_html_(self) -> str:
        columns = "".join(
            f'<section aria-label="{html.escape(one.name)}" style="min-width:0">'
            f'<div style="font:600 var(--jp-ui-font-size1,13px)/1.5 var(--jp-ui-font-family,'
            f'system-ui,sans-serif)">{html.escape(one.name)}</div>'
            '<pre style="margin:4px 0;padding:0 0 0 10px;border-left:2px solid '
            'var(--jp-brand-color1,#1976d2);white-space:pre-wrap;overflow-wrap:anywhere">'
            f"{html.escape(chr(10).join(one.lines()))}</pre></section>"
            for one in self.answers
        )
        return (
            '<div style="display:grid;gap:8px 24px;padding-left:8px;grid-template-columns:'
            f'repeat(auto-fit,minmax(min(280px,100%),1fr));max-width:960px">{columns}</div>'
        )


def side_by_side(*answers: Answer) -> SideBySide:
    """Show answers beside each other, byte by byte.

    Args:
        answers: what :func:`ask` returned.
    """
    return SideBySide(answers)
