"""A tape as rows for a table, and tapes read back from files.

Its rule: nothing here decodes; rows are events, one for one. The file formats are in `har` and
`pcapng`; their functions are here too, and `load` tells the formats apart by what is in a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..events import (
    BodyEvent,
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    OpenedEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from ..tape.tape import Tape
from .har import load_har, to_har
from .pcapng import SECTION, load_pcapng, to_pcapng
from .snapshot import BadFile, Saved, restore

__all__ = ["COLUMNS", "BadFile", "load", "to_har", "to_pcapng", "to_rows"]

COLUMNS = {
    "at_s": "seconds since the tape began",
    "connection_id": "which connection",
    "label": "what views call the client; None where it has no name",
    "sender": '"client" or "server": who caused it',
    "kind": "opened, request, response, body, frame, message, pong, close, fault, ended, dropped",
    "number": "frame: counted from 1 on each connection",
    "opcode": "frame, message: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong",
    "name": "frame, message: the opcode in a word",
    "fin": "frame: whether it ends its message",
    "masked": "frame: whether it was masked",
    "compressed": "frame, message: whether permessage-deflate compressed it",
    "fragments": "message: how many frames it came in",
    "size_bytes": "on the wire, headers included; dropped: what was dropped",
    "payload_bytes": "without headers, inflated",
    "text": "what it says: a start line, a text, a reason, a rule that was broken",
    "hex": "frame, message, body, pong: the bytes, unmasked and inflated, where they are no text",
    "status": "response: the HTTP status; close: the close code",
    "round_trip_s": "pong: seconds since its ping",
}
"""The columns of :func:`to_rows`, in order, with what they hold; None where nothing."""

_EMPTY: dict[str, Any] = dict.fromkeys(COLUMNS)


def to_rows(tape: Tape, *, reveal: bool = False) -> list[dict[str, Any]]:
    """Return one flat dict an event, each with every name of ``COLUMNS``.

    ``pandas.DataFrame(tape.to_rows())`` makes a table of them; wslab itself needs no pandas.

    Args:
        tape: what to read.
        reveal: leave cookies, credentials and tokens in the heads.
    """
    labels = {track.connection_id: track.label for track in tape.connections}
    rows = []
    for event in tape.read(reveal=reveal):
        if isinstance(event, OpenedEvent):
            labels[event.connection_id] = event.label
        row = _EMPTY.copy()
        row["at_s"] = event.at_s
        row["connection_id"] = event.connection_id
        row["label"] = labels.get(event.connection_id)
        row["sender"] = event.sender
        row["kind"] = event.kind
        _fill(row, event)
        rows.append(row)
    return rows


def _fill(row: dict[str, Any], event: Event) -> None:
    """Fill in what this kind of event has."""
    if isinstance(event, FrameEvent):
        frame = event.frame
        row["number"], row["opcode"], row["name"] = event.number, int(frame.opcode), frame.label
        row["fin"], row["masked"], row["compressed"] = frame.fin, frame.masked, frame.compressed
        row["size_bytes"], row["payload_bytes"] = frame.size_bytes, len(frame.content)
        row["text"] = frame.text
        if row["text"] is None:
            row["hex"] = frame.content.hex()
    elif isinstance(event, MessageEvent):
        is_text = isinstance(event.data, str)
        data = event.data.encode() if isinstance(event.data, str) else event.data
        row["opcode"], row["name"] = (1, "text") if is_text else (2, "binary")
        row["compressed"], row["fragments"] = event.compressed, event.fragments
        row["size_bytes"], row["payload_bytes"] = event.wire_bytes, len(data)
        row["text" if is_text else "hex"] = event.data if is_text else data.hex()
    elif isinstance(event, OpenedEvent):
        row["text"] = f"{event.client_address} to {event.server_address}"
    elif isinstance(event, RequestEvent):
        row["text"] = event.request.start_line
        row["size_bytes"] = len(event.request.raw)
    elif isinstance(event, ResponseEvent):
        row["text"], row["status"] = event.response.start_line, event.response.status
        row["size_bytes"] = len(event.response.raw) + len(event.response.body)
    elif isinstance(event, BodyEvent):
        row["size_bytes"], row["hex"] = len(event.data), event.data.hex()
    elif isinstance(event, PongEvent):
        row["round_trip_s"], row["hex"] = event.round_trip_s, event.payload.hex()
    elif isinstance(event, CloseEvent):
        row["status"], row["text"] = event.code, event.reason
    elif isinstance(event, FaultEvent):
        row["text"] = f"{event.fault.rule}: {event.fault.message}"
    elif isinstance(event, EndedEvent):
        row["text"] = "clean" if event.is_clean else "not clean"
    elif isinstance(event, DroppedEvent):
        row["size_bytes"], row["text"] = event.size_bytes, f"{event.frames} frames"


def load(path: str | os.PathLike[str]) -> Tape:
    """Read a tape that ``to_har`` or ``to_pcapng`` wrote, or a HAR that Chrome exported.

    A HAR of Chrome's tells of messages and not of bytes: the frames are made up, each message in
    one, uncompressed, the client's masked with a key of zeros. What was redacted stays redacted.
    Of entries and messages that are odd, the tape's ``notes`` say that they were left out.

    Raises:
        BadFile: a ValueError: the file is something else, cut off or changed.
        OSError: it cannot be read.
    """
    where = Path(path).name
    data = Path(path).read_bytes()
    if data[:4] == SECTION.to_bytes(4, "little"):
        return _restore(load_pcapng(data, where), where)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadFile(f"expected UTF-8 in {where}, got {error.reason}: copy it anew") from error
        return _restore(load_har(text, where), where)
    raise BadFile(
        f"expected a .har or .pcapng file, got {where}, which begins with {data[:8]!r}"
        f"{_advice(data)}"
    )


def _restore(saved: Saved, where: str) -> Tape:
    try:
        return restore(saved)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise BadFile(
            f"expected what wslab writes about a connection in {where}, got something changed "
            f"({error!r}): load the original file"
        ) from error


def _advice(data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        return ": it is compressed, so unpack it first (gunzip)"
    if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1"):
        return ": that is pcap, the older format, and no file of wslab's"
    if not data:
        return ": it is empty"
    return ": write one with tape.to_har(path) or tape.to_pcapng(path)"
