"""A tape written as an HTTP Archive, as Chrome writes and imports it.

Its rule: one entry an HTTP exchange, and a WebSocket's messages in the entry of its handshake, in
Chrome's field ``_webSocketMessages``. The field ``_wslab`` of the log holds the bytes themselves,
redacted, so that the same tape can be loaded again; other programs pass over it.
"""

from __future__ import annotations

import base64
import codecs
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from ..events import BodyEvent, Event, MessageEvent, RequestEvent, ResponseEvent
from ..http.bodies import content_of
from ..http.heads import Head, Request, Response
from ..tape.snapshot import Snapshot, TrackSnapshot
from .packets import split_address
from .replacing import replacing

__all__ = ["write_har"]

_MAX_INFLATED_BYTES = 64 * 2**20  # of messages that were compressed, written out in one file
_CREATOR = {"name": "wslab", "version": "1"}


def write_har(saved: Snapshot, path: str | os.PathLike[str]) -> None:
    """Write an HTTP Archive 1.2, as Chrome's network panel imports it.

    Args:
        saved: a tape's snapshot.
        path: of the file, usually ``*.har``; it is replaced.
    """
    with replacing(path) as file:
        _write(codecs.getwriter("utf-8")(file), saved)


def _write(file: codecs.StreamWriter, saved: Snapshot) -> None:
    log = {"version": "1.2", "creator": _CREATOR, "pages": [], "_wslab": _own(saved)}
    file.write('{"log":')
    file.write(_json(log)[:-1])
    file.write(',"entries":[')
    for number, exchange in enumerate(_exchanges(saved)):
        file.write(",\n" if number else "\n")
        entry = _json(_entry(saved, exchange))
        if exchange.messages is None:
            file.write(entry)
        else:
            # There can be very many, so they are written as they are and not gone over again.
            file.write(f'{entry[:-1]},"_webSocketMessages":[')
            file.write(",\n".join(exchange.messages))
            file.write("]}")
    file.write("\n]}}\n")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _own(saved: Snapshot) -> dict[str, Any]:
    """Return the tape itself: by columns, since chunks are many and small."""
    return saved.to_json() | {
        "at_s": [at_s for at_s, _, _, _ in saved.chunks],
        "connection": [index for _, index, _, _ in saved.chunks],
        "what": [what for _, _, what, _ in saved.chunks],
        "size_bytes": [len(data) for _, _, _, data in saved.chunks],
        "data": base64.b64encode(b"".join(data for _, _, _, data in saved.chunks)).decode(),
    }


# Exchanges: what an entry is made from.


@dataclass(slots=True)
class _Exchange:
    """A request with all that came of it. ``messages``: a WebSocket's, as JSON."""

    track: TrackSnapshot
    request: Request
    began_s: float
    response: Response | None = None
    answered_s: float | None = None
    last_s: float = 0.0
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    messages: list[str] | None = None


def _exchanges(saved: Snapshot) -> list[_Exchange]:
    found: list[_Exchange] = []
    latest: dict[int, _Exchange] = {}
    room = _MAX_INFLATED_BYTES
    for index, event in saved.events():
        if isinstance(event, RequestEvent):
            exchange = _Exchange(saved.tracks[index], event.request, event.at_s)
            latest[index] = exchange
            found.append(exchange)
        elif index in latest:
            exchange = latest[index]
            # The bytes are all in the file; what a few of them inflate to need not be.
            room -= _add(exchange, event, saved.began_at, room)
            # A connection that is kept alive outlives its last exchange.
            if exchange.messages is not None or isinstance(event, ResponseEvent | BodyEvent):
                exchange.last_s = event.at_s
    return found


def _add(exchange: _Exchange, event: Event, began_at: float, room: int) -> int:
    """Add an event; return how much content it took that had been compressed."""
    if isinstance(event, ResponseEvent):
        exchange.response, exchange.answered_s = event.response, event.at_s
        exchange.received = [event.response.body]
        if event.response.status == 101:
            exchange.messages = []
    elif isinstance(event, BodyEvent):
        (exchange.sent if event.sender == "client" else exchange.received).append(event.data)
    elif isinstance(event, MessageEvent) and exchange.messages is not None:
        is_text = isinstance(event.data, str)
        said: dict[str, Any] = {
            "type": "send" if event.sender == "client" else "receive",
            "time": began_at + event.at_s,
            "opcode": 1 if is_text else 2,
        }
        if event.compressed and len(event.data) > room:
            said |= {"data": "", "comment": f"{len(event.data):,} left out: see log._wslab"}
        else:
            said["data"] = event.data if is_text else base64.b64encode(event.data).decode()  # type: ignore[arg-type]
        exchange.messages.append(_json(said))
        return len(said["data"]) if event.compressed else 0
    return 0


# Entries, by the names of HAR 1.2; a leading underscore is Chrome's own.


def _entry(saved: Snapshot, exchange: _Exchange) -> dict[str, Any]:
    track, request, response = exchange.track, exchange.request, exchange.response
    is_websocket = exchange.messages is not None or request.asks_for_websocket
    began_s, answered_s = exchange.began_s, exchange.answered_s
    last_s = max(exchange.last_s, began_s)
    wait_s = (last_s if answered_s is None else answered_s) - began_s
    receive_s = 0.0 if answered_s is None else last_s - answered_s
    server = split_address(track.server_address)
    entry: dict[str, Any] = {
        "_connectionId": track.connection_id,
        "_initiator": {"type": "other"},
        "_priority": "High",
        "_resourceType": _resource_type(request, response, is_websocket),
        "cache": {},
        "request": _request(request, exchange, is_websocket),
        "response": _response(response, b"".join(exchange.received)),
        "startedDateTime": _date(saved.began_at + began_s),
        "time": _ms(wait_s + receive_s),
        "timings": {
            "blocked": -1,
            "dns": -1,
            "connect": -1,
            "ssl": -1,
            "send": 0,
            "wait": _ms(wait_s),
            "receive": _ms(receive_s),
        },
    }
    if server is not None:
        entry["serverIPAddress"] = str(server[0])
        entry["connection"] = str(server[1])  # Chrome shows it as the remote port
    if track.label:
        entry["comment"] = track.label
    return entry


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 6)


def _date(epoch_s: float) -> str:
    at = datetime.fromtimestamp(epoch_s, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def _resource_type(request: Request, response: Response | None, is_websocket: bool) -> str:
    kind = (response.get("Content-Type") or "") if response is not None else ""
    if is_websocket:
        return "websocket"
    if kind.startswith("text/event-stream"):
        return "eventsource"
    return "document" if kind.startswith("text/html") else "fetch"


def _request(request: Request, exchange: _Exchange, is_websocket: bool) -> dict[str, Any]:
    body = content_of(request, b"".join(exchange.sent))
    target = request.target
    if target.startswith("/") or target == "*":
        scheme = ("ws" if is_websocket else "http") + ("s" if exchange.track.is_secure else "")
        host = request.get("Host") or exchange.track.server_address or "127.0.0.1"
        target = f"{scheme}://{host}{target}"
    query = target.partition("#")[0].partition("?")[2]
    found: dict[str, Any] = {
        "method": request.method,
        "url": target,
        "httpVersion": request.version,
        "headers": _headers(request),
        "queryString": _pairs(parse_qsl(query, keep_blank_values=True)),
        "cookies": _cookies(request.get_all("Cookie")),
        "headersSize": len(request.raw),
        "bodySize": sum(map(len, exchange.sent)),
    }
    if body:
        kind = request.get("Content-Type") or "application/octet-stream"
        found["postData"] = {"mimeType": kind, "text": body.decode("utf-8", "replace")}
    return found


def _response(response: Response | None, body: bytes) -> dict[str, Any]:
    if response is None:
        return {
            "status": 0,
            "statusText": "",
            "httpVersion": "",
            "headers": [],
            "cookies": [],
            "content": {"size": 0, "mimeType": "x-unknown"},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
            "_transferSize": 0,
            "_error": None,
            "comment": "no answer was recorded",
        }
    content = content_of(response, body)
    shown: dict[str, Any] = {
        "size": len(content),
        "mimeType": response.get("Content-Type") or "x-unknown",
    }
    if content:
        try:
            shown["text"] = content.decode()
        except UnicodeDecodeError:
            shown |= {"text": base64.b64encode(content).decode(), "encoding": "base64"}
        if len(content) > len(body):
            shown["compression"] = len(content) - len(body)
    return {
        "status": response.status,
        "statusText": response.reason,
        "httpVersion": response.version,
        "headers": _headers(response),
        "cookies": _cookies(response.get_all("Set-Cookie")),
        "content": shown,
        "redirectURL": response.get("Location") or "",
        "headersSize": len(response.raw),
        "bodySize": len(body),
        "_transferSize": len(response.raw) + len(body),
        "_error": None,
    }


def _headers(head: Head) -> list[dict[str, str]]:
    return _pairs((header.name, header.value) for header in head.headers)


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _cookies(values: Iterable[str]) -> list[dict[str, str]]:
    found = []
    for value in values:
        try:
            found += [(name, morsel.value) for name, morsel in SimpleCookie(value).items()]
        except CookieError:
            continue  # the header is there as it came
    return _pairs(found)
