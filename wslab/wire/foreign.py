"""Bytes made up from an HTTP Archive that another program wrote, Chrome above all.

Its rule: what the archive says is kept, and what it does not say is made up as simply as the
protocol allows. So the bytes are not those that travelled; `har.load_har` says what is missing.
"""

from __future__ import annotations

import base64
import operator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from .layout import encode_frame
from .saved import BadFile, Saved, SavedTrack
from .tape import _OPENED

__all__ = ["from_entries"]

_NO_MASK = bytes(4)
# They tell of a form of the body that the archive has undone.
_UNDONE = {"content-length", "content-encoding", "transfer-encoding"}


def from_entries(entries: Any, where: str) -> Saved:
    """Return a tape of the entries of an HTTP Archive, one connection an entry.

    Args:
        entries: ``log.entries``.
        where: the file's name, for error messages.

    Raises:
        BadFile: an entry lacks what HAR 1.2 asks for.
    """
    saved = Saved(None, 0.0, is_revealed=False)
    number = 0
    try:
        starts = [datetime.fromisoformat(entry["startedDateTime"]).timestamp() for entry in entries]
        saved.began_at = min(starts, default=0.0)
        for number, (entry, epoch_s) in enumerate(zip(entries, starts, strict=True)):
            _add(saved, number, entry, epoch_s - saved.began_at)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFile(
            f"expected entries as HAR 1.2 has them in {where}, got entry {number} with something "
            f"missing or malformed ({error!r}): export the file once more"
        ) from error
    saved.chunks.sort(key=operator.itemgetter(0))
    return saved


def _add(saved: Saved, index: int, entry: dict[str, Any], began_s: float) -> None:
    request, response = entry["request"], entry["response"]
    url = urlsplit(request["url"])
    port = url.port or (443 if url.scheme in ("https", "wss") else 80)
    address = entry.get("serverIPAddress") or url.hostname or ""
    address = f"[{address.strip('[]')}]" if ":" in address else address
    saved.tracks.append(
        SavedTrack(f"har-{index + 1}", "client", None, "", f"{address}:{port}", began_s)
    )
    chunks = saved.chunks
    chunks.append((began_s, index, _OPENED, b""))
    chunks.append((began_s, index, 0, _request(request, url)))
    if not response["status"]:
        return  # nobody answered
    timings = entry["timings"]
    parts = [timings.get(name) or 0 for name in ("blocked", "dns", "connect", "send", "wait")]
    answered_s = began_s + sum(max(0.0, part) for part in parts) / 1000
    messages = entry.get("_webSocketMessages")
    if messages:
        # The answer came before the first message, whatever the timings say.
        answered_s = min(answered_s, min(each["time"] for each in messages) - saved.began_at)
    chunks.append((answered_s, index, 1, _response(response)))
    for message in messages or ():
        is_text = message["opcode"] == 1
        data = message["data"].encode() if is_text else base64.b64decode(message["data"])
        is_sent = message["type"] == "send"
        frame = encode_frame(message["opcode"], data, mask_key=_NO_MASK if is_sent else None)
        chunks.append((message["time"] - saved.began_at, index, 0 if is_sent else 1, frame))


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
    return _head(f"HTTP/1.1 {status} {response['statusText']}", headers) + body


def _pairs(head: dict[str, Any]) -> list[tuple[str, str]]:
    # HTTP/2 has its start line in headers that begin with a colon.
    pairs = [(each["name"], each["value"]) for each in head["headers"]]
    return [(name, value) for name, value in pairs if not name.startswith(":")]


def _head(start: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), "", ""]
    # A value may hold what no head can: Chrome joins headers of the same name by a line's end.
    lines = [line.replace("\r", "").replace("\n", ", ") for line in lines]
    return "\r\n".join(lines).encode("latin-1", "replace")
