"""What of a request's head goes on to the server behind the tunnel. Pure: text in, bytes out.

Its rule: the head is built anew from its parsed parts, so that only what both sides read in the
same way can pass; whatever could frame a second message inside it is refused (RFC 9112 section
11.2): a body has one Content-Length and no transfer coding. Jupyter's cookies stay with Jupyter.
Who may ask is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_plus

from ..wire.http.field_values import asks_for_websocket
from .response_head import own_cookies

__all__ = ["SECRET_HEADER", "BadHead", "RequestHead", "rewrite", "without_tokens"]

SECRET_HEADER = "Wslab-Tunnel-Secret"
"""Tells the server that Jupyter let this request in. Named so that every view hides its value."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")  # a fragment (#) is no part of a target
_LENGTH = re.compile(r"[0-9]{1,18}")
_OF_A_BODY = ("content-length", "expect")
_WITHOUT_BODY = ("GET", "HEAD")
_METHODS = (*_WITHOUT_BODY, "POST", "PUT", "PATCH", "DELETE")
_CREDENTIAL_PARAMETERS = ("token", "_xsrf")
# About the connection up to here, or added by proxies on the way: what they say of the user and of
# addresses is meant for Jupyter.
_DROPPED = re.compile(
    r"content-length|expect|forwarded|http2-settings|keep-alive|proxy-.*|te|trailer|"
    r"transfer-encoding|true-client-ip|via|wslab-.*|x-client-ip|x-envoy-.*|x-forwarded(?:-.*)?|"
    r"x-jupyter.*|x-original-.*|x-real-ip|x-remote-.*|x-request-id|x-scheme|remote-user|"
    r"cf-.*|x-ms-.*|x-goog-.*|x-amzn-.*"
)
# HTTP does not mind the case of a header's name, but who looks at the bytes does: Jupyter's server
# writes these in another way than every client.
_SPELLED = {
    name.lower(): name
    for name in (
        "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "DNT", "Sec-GPC", "ETag",
        "WWW-Authenticate", "Content-MD5", "X-API-Key", "X-UA-Compatible",
    )
}  # fmt: skip


class BadHead(Exception):
    """A head that does not go on: status and sentence of the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestHead(NamedTuple):
    """What the server behind gets.

    Args:
        data: the head, with the empty line that ends it.
        body_bytes: how many bytes of a body follow it.
        opens: whether it asks for a WebSocket: then both sides may go on after the answer.
    """

    data: bytes
    body_bytes: int = 0
    opens: bool = False


def rewrite(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    *,
    prefix: str,
    secret: str,
) -> RequestHead:
    """Return the head that the server behind gets, and what follows it.

    Args:
        method: the request's method, as it came.
        target: the request's target, as it came.
        headers: names and values in the order they came.
        prefix: what stands before the server's own path in the target, without its slash.
        secret: of the server's entry.

    Raises:
        BadHead: it has a body where none belongs or one of unknown length, or something in it
            could be read in two ways.
    """
    from ..wire.http.secret_values import MARKER, hide_secrets  # not where an entry is only written

    headers = list(headers)
    opens = asks_for_websocket(headers)
    methods = ("GET",) if opens else _METHODS
    if method not in methods:
        raise BadHead(405, f"Expected {' or '.join(methods)}, got {method[:20]!r}.")
    if not target.startswith(f"{prefix}/") or _TARGET.fullmatch(target) is None:
        raise BadHead(400, "The request's target is no plain path.")
    for name, value in headers:
        if _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise BadHead(400, "A header has characters that HTTP does not allow.")
    lowered = [name.lower() for name, _ in headers]
    if lowered.count("host") != 1:
        raise BadHead(400, f"Expected one Host header, got {lowered.count('host')}.")
    body_bytes = _body_bytes(method, headers)

    has_body = method not in _WITHOUT_BODY
    lines = [f"{method} {without_tokens(target[len(prefix) :])} HTTP/1.1"]
    for name, value in headers:
        lower = name.lower()
        if lower == "cookie" and (value := own_cookies(value, prefix)):
            lines.append(f"{name}: {value}")
            continue
        is_dropped = _DROPPED.fullmatch(lower) and not (has_body and lower in _OF_A_BODY)
        if is_dropped or hide_secrets(name, "x") == MARKER:
            continue
        if not opens and lower in ("connection", "upgrade"):
            continue  # plain HTTP: one answer, then the end
        if lower == "referer":
            value = without_tokens(value)
        lines.append(f"{_SPELLED.get(lower, name)}: {value}")
    if not opens:
        lines.append("Connection: close")
    lines.append(f"{SECRET_HEADER}: {secret}")
    return RequestHead("\r\n".join([*lines, "", ""]).encode("latin-1"), body_bytes, opens)


def _body_bytes(method: str, headers: Iterable[tuple[str, str]]) -> int:
    """Return how long the body is, where there is one way to read that (RFC 9112 section 6.3)."""
    lengths = [value.strip() for name, value in headers if name.lower() == "content-length"]
    is_coded = any(name.lower() == "transfer-encoding" for name, _ in headers)
    if method in _WITHOUT_BODY and (is_coded or any(length != "0" for length in lengths)):
        raise BadHead(400, f"A {method} through the tunnel has no body.")
    if len(lengths) + is_coded > 1 or any(_LENGTH.fullmatch(length) is None for length in lengths):
        raise BadHead(400, "Expected one Content-Length header with one number.")
    if is_coded:
        raise BadHead(411, "Through the tunnel a body has a Content-Length; this one is coded.")
    return int(lengths[0]) if lengths else 0


def without_tokens(target: str) -> str:
    """Return a target or URL without Jupyter's own parameters; all else stays as it was."""
    path, mark, query = target.partition("?")
    kept = [
        part
        for part in query.split("&")
        if unquote_plus(part.partition("=")[0]).strip() not in _CREDENTIAL_PARAMETERS
    ]
    if len(kept) == len(query.split("&")):
        return target
    return path + (mark if kept else "") + "&".join(kept)
