"""What Engine.IO answers by HTTP: bodies, errors with their codes, and the headers of CORS.

Its rule: pure, and as the reference server has it, byte by byte where clients look.
"""

from __future__ import annotations

import json
from typing import Final

from ...wire.http.message import HttpRequest, HttpResponse

__all__ = [
    "BAD_METHOD", "BAD_REQUEST", "FORBIDDEN", "MESSAGES", "UNKNOWN_SID", "UNKNOWN_TRANSPORT",
    "UNSUPPORTED_VERSION", "allowing", "error", "payload", "preflight", "refusal",
]  # fmt: skip

UNKNOWN_TRANSPORT: Final = 0
UNKNOWN_SID: Final = 1
BAD_METHOD: Final = 2
BAD_REQUEST: Final = 3
FORBIDDEN: Final = 4
UNSUPPORTED_VERSION: Final = 5

MESSAGES: Final = {
    UNKNOWN_TRANSPORT: "Transport unknown",
    UNKNOWN_SID: "Session ID unknown",
    BAD_METHOD: "Bad handshake method",
    BAD_REQUEST: "Bad request",
    FORBIDDEN: "Forbidden",
    UNSUPPORTED_VERSION: "Unsupported protocol version",
}
_PREFLIGHT_S = "600"  # that a browser may remember it


def payload(body: bytes) -> HttpResponse:
    """Return the answer to a poll."""
    headers = (("Content-Type", "text/plain; charset=UTF-8"), ("Cache-Control", "no-store"))
    return HttpResponse(200, headers, body)


def error(code: int, message: str = "", status: int = 0) -> HttpResponse:
    """Return what a request gets that cannot be served."""
    text = json.dumps({"code": code, "message": message or MESSAGES[code]}, separators=(",", ":"))
    status = status or (403 if code == FORBIDDEN else 400)
    return HttpResponse(status, (("Content-Type", "application/json"),), text.encode())


def refusal(code: int) -> HttpResponse:
    """Return what a handshake for a WebSocket gets in place of the 101."""
    status = 403 if code == FORBIDDEN else 400
    return HttpResponse(status, (("Content-Type", "text/html"),), MESSAGES[code].encode())


def allowing(origin: str | None) -> tuple[tuple[str, str], ...]:
    """Return the headers by which a page of an Origin may read the answer (Fetch §3.2)."""
    if origin is None:
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
    )


def preflight(request: HttpRequest) -> HttpResponse:
    """Return the answer to a browser that asks first (Fetch §4.8)."""
    asked = request.header("access-control-request-headers")
    headers = [
        ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
        ("Access-Control-Max-Age", _PREFLIGHT_S),
        *((("Access-Control-Allow-Headers", asked),) if asked else ()),
    ]
    return HttpResponse(204, headers)
