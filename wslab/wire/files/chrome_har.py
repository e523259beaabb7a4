"""Bytes made up from an HTTP Archive that another program wrote, Chrome above all.

Its rule: what the archive says is kept, and what it does not say is made up as simply as the
protocol allows. What cannot be read is left out, and the tape's notes say so. So the bytes are not
those that travelled; `har_reader` says what is missing.
"""

from __future__ import annotations

import base64
import math
import operator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ..frames.layout import encode_frame
from ..tape.segment import ENDED, OPENED
from ..tape.snapshot import BadFile, SavedChunk, Snapshot, TrackSnapshot

__all__ = ["from_entries"]

_NO_MASK = bytes(4)
# They tell of a form of the body that the archive has undone.
_UNDONE = {"content-length", "content-encoding", "transfer-encoding"}
_ODD = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, OSError)
_MAX_NOTES = 20


def from_entries(entries: Any, where: str) -> Snapshot:
    """Return a tape of the entries of an HTTP Archive, one connection an entry.

    Args:
        entries: ``log.entries``.
        where: the file's name, for error messages.

    Raises:
        BadFile: there are entries, and none of them is one of HAR 1.2.
    """
    saved = Snapshot(None, 0.0, is_revealed=False)
    notes: list[str] = []
    found: list[tuple[TrackSnapshot, list[SavedChunk]]] = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        try:
            found.append(_read(entry, len(found), f"har-{number + 1}", notes))
        except _ODD as error:
            notes.append(
                f"entry {number} was left out: something is missing or malformed ({error!r})"
            )
    if notes and not found:
        raise BadFile(
            f"expected entries as HAR 1.2 has them in {where}, got entry 0 with something "
            f"missing or malformed, and no better one ({notes[0]}): export the file once more"
        )
    saved.notes = notes[:_MAX_NOTES]
    if len(notes) > _MAX_NOTES:
        saved.notes.append(f"and {len(notes) - _MAX_NOTES:,} notes more")
    saved.began_at = min((track.opened_s for track, _ in found), default=0.0)
    for track, chunks in found:
        saved.tracks.append(_moved(track, saved.began_at))
        saved.chunks += [(at_s - saved.began_at, *rest) for at_s, *rest in chunks]  # type: ignore[misc]
    saved.chunks.sort(key=operator.itemgetter(0))
    return saved


def _moved(track: TrackSnapshot, began_at: float) -> TrackSnapshot:
    return TrackSnapshot(
        track.connection_id, track.side, track.label, track.client_address, track.server_address,
        track.opened_s - began_at, is_secure=track.is_secure, tells_end=track.tells_end,
    )  # fmt: skip


def _read(
    entry: dict[str, Any], index: int, connection_id: str, notes: list[str]
) -> tuple[TrackSnapshot, list[SavedChunk]]:
    """Return an entry's connection and its chunks; all times are the epoch's seconds."""
    began_s = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    request, response = entry["request"], entry["response"]
    url = urlsplit(request["url"])
    is_secure = url.scheme in ("https", "wss")
    port = url.port or (443 if is_secure else 80)
    address = str(entry.get("serverIPAddress") or url.hostname or "")
    address = f"[{address.strip('[]')}]" if ":" in address else address
    track = TrackSnapshot(
        connection_id,
        "client",
        None,
        "",
        f"{address}:{port}",
        began_s,
        is_secure=is_secure,
        tells_end=False,
    )
    chunks: list[SavedChunk] = [
        (began_s, index, OPENED, b""),
        (began_s, index, 0, _request(request, url)),
    ]
    status = response["status"]
    if not isinstance(status, int) or not 100 <= status <= 999:
        if status:
            notes.append(f"{connection_id}: its answer was left out, with status {status!r:.40}")
        return track, chunks  # nobody answered
    timings = entry.get("timings") or {}
    parts = [_number(timings.get(name)) for name in ("blocked", "dns", "connect", "send", "wait")]
    answered_s = answered_by_s = began_s + sum(max(0.0, part) for part in parts) / 1000
    messages = []
    for nth, message in enumerate(entry.get("_webSocketMessages") or ()):
        try:
            messages.append(_message(message, index))
        except _ODD as error:
            said = message.get("data") if isinstance(message, dict) else None
            notes.append(
                f"{connection_id}: message {nth} was left out ({error})"
                + (f"; it says {said!r:.80}" if said else "")
            )
    if messages:
        # The answer came before the first message, whatever the timings say.
        answered_s = min(answered_s, min(at_s for at_s, *_ in messages))
    chunks.append((answered_s, index, 1, _response(response)))
    if status == 101 and _number(timings.get("receive")) > 0:
        # Chrome counts up to the last message as waiting, and from there to the end as receiving;
        # of a connection that is open there is no time of receiving.
        ended_s = answered_by_s + _number(timings["receive"]) / 1000
        last_s = max((at_s for at_s, *_ in messages), default=answered_s)
        messages.append((max(ended_s, last_s), index, ENDED, b""))
    return track, chunks + messages


def _message(message: dict[str, Any], index: int) -> SavedChunk:
    opcode, at_s = message["opcode"], message["time"]
    if opcode not in (1, 2):
        # Chrome notes an error as a message of opcode -1.
        raise ValueError(f"expected opcode 1 or 2, got {opcode!r:.20}")
    if not math.isfinite(at_s):
        raise ValueError(f"expected a time in seconds, got {at_s!r:.20}")
    data = message["data"].encode() if opcode == 1 else base64.b64decode(message["data"])
    is_sent = message["type"] == "send"
    frame = encode_frame(opcode, data, mask_key=_NO_MASK if is_sent else None)
    return float(at_s), index, 0 if is_sent else 1, frame


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else 0.0


def _request(request: dict[str, Any], url: Any) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = _pairs(request)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", url.netloc.rpartition("@")[2]))
    post = request.get("postData") or {}
    body = str(post.get("text") or "").encode()
    if body:
        headers = [pair for pair in headers if pair[0].lower() not in _UNDONE]
        headers.append(("Content-Length", str(len(body))))
    return _head(f"{request['method']} {target} HTTP/1.1", headers) + body


def _response(response: dict[str, Any]) -> bytes:
    status, headers = response["status"], _pairs(response)
    content = response.get("content") or {}
    text = content.get("text") or ""
    body = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
    if status != 101:
        headers = [pair for pair in headers if pair[0].lower() not in _UNDONE]
        headers.append(("Content-Length", str(len(body))))
    else:
        body = b""
    return _head(f"HTTP/1.1 {status} {response.get('statusText') or ''}", headers) + body


def _pairs(head: dict[str, Any]) -> list[tuple[str, str]]:
    # HTTP/2 has its start line in headers that begin with a colon.
    pairs = [(each["name"], each["value"]) for each in head["headers"]]
    return [(name, value) for name, value in pairs if not name.startswith(":")]


def _head(start: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), "", ""]
    # A value may hold what no head can: Chrome joins headers of the same name by a line's end.
    lines = [line.replace("\r", "").replace("\n", ", ") for line in lines]
    return "\r\n".join(lines).encode("latin-1", "replace")
