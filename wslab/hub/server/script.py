"""hub.js, as every server of a Hub hands it out at ``/wslab/hub.js``: a page's end of the Hub.

Its rule: any page may load it, of any origin, since it holds nothing but code; whom its WebSocket
may reach is decided when that comes, by its Origin. A browser asks again each time, and is told in
a few bytes that nothing has changed.
"""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.resources import files

from ...wire.http.message import HttpRequest, HttpResponse

__all__ = ["SCRIPT_PATH", "script_response"]

SCRIPT_PATH = "/wslab/hub.js"


_SOCKET = b'const SOCKET = "..";'


@functools.lru_cache(maxsize=8)
def _script(path: str) -> tuple[bytes, str]:
    body = (files("wslab.hub") / "hub.js").read_bytes()
    assert _SOCKET in body
    body = body.replace(_SOCKET, f"const SOCKET = {json.dumps('..' + path)};".encode(), 1)
    return body, f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def script_response(request: HttpRequest, path: str = "/") -> HttpResponse | None:
    """Answer a request for hub.js; None where something else is asked for (RFC 9110 §13.1.2).

    Args:
        request: what came.
        path: where the hub's WebSocket is.
    """
    if request.path != SCRIPT_PATH:
        return None
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(405, [("Allow", "GET, HEAD")])
    body, etag = _script(path)
    headers = [
        ("Cache-Control", "no-cache"),
        ("ETag", etag),
        # A module of another origin is loaded only where its server allows it.
        ("Access-Control-Allow-Origin", "*"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ]
    known = (request.header("If-None-Match") or "").split(",")
    if any(each.strip().removeprefix("W/") in (etag, "*") for each in known):
        return HttpResponse(304, headers)
    headers += [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return HttpResponse(200, headers, body)
