"""Events as rows of a table.

Its rule: a row an event, one for one, and every column in each; nothing here decodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

__all__ = ["COLUMNS", "to_rows"]

COLUMNS = {
    "at_s": "seconds since the tape began",
    "connection_id": "which connection",
    "label": "what views call the client; None where it has no name",
    "sender": '"client" or "server": who caused it',
    "kind": "opened, request, response, body, frame, message, pong, close, fault, ended, over "
    "or dropped",
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


def to_rows(events: Iterable[Event], labels: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return one flat dict an event, each with every name of ``COLUMNS``.

    ``pandas.DataFrame(tape.to_rows())`` makes a table of them; wslab itself needs no pandas.

    Args:
        events: of a tape, in order.
        labels: what views call the clients of its connections, by id.
    """
    names = dict(labels)
    rows = []
    for event in events:
        if isinstance(event, OpenedEvent):
            names[event.connection_id] = event.label
        row = _EMPTY.copy()
        row["at_s"] = event.at_s
        row["connection_id"] = event.connection_id
        row["label"] = names.get(event.connection_id)
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
