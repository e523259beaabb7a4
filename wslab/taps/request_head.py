"""What a tap changes of a request's head: Host, Origin, and headers of the user's own.

Pure: a head in, bytes out. Its rule: every other line goes on as its bytes came, in the order in
which they came: the target, subprotocols, extensions, cookies, and how names are spelled. Who may
ask is not decided here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from ..client.arguments import check_headers
from ..client.urls import check_url
from ..server.listen_address import in_url
from ..wire.http.heads import Request

__all__ = ["KEEP", "UPSTREAM", "Upstream", "rewritten"]

UPSTREAM = "upstream"
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a tap leads, and what it tells that server; made by :meth:`at`.

    Attributes:
        url: with scheme ``ws`` or ``wss``, as it was given.
        host, port: whom to connect to.
        is_secure: whether TLS is spoken there.
        authority: the Host header that belongs to the URL (RFC 9110 §7.2).
        own_origin: the Origin of that server's own pages (RFC 6454 §6.2).
        origin: what becomes of a request's Origin: ``"upstream"``, ``"keep"``, None for without,
            or the value to send.
        headers: names and values that take the place of the client's.
    """

    url: str
    host: str
    port: int
    is_secure: bool
    authority: str
    own_origin: str
    origin: str | None = UPSTREAM
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def at(
        cls,
        url: str,
        *,
        origin: str | None = UPSTREAM,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Upstream:
        """Return the upstream of a URL; its user and password become an Authorization header.

        Raises:
            BadURL: not a WebSocket URL.
            TypeError, ValueError: a header that HTTP cannot carry.
        """
        host, port = check_url(url)
        parts = urlsplit(url)
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if parts.username is not None and "authorization" not in _names(pairs):
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            token = base64.b64encode(user.encode()).decode()
            pairs.append(("Authorization", f"Basic {token}"))
        checked: Any = {"additional_headers": pairs}
        if origin not in (UPSTREAM, KEEP, None):
            checked["origin"] = origin
        check_headers(checked)
        is_secure = parts.scheme == "wss"
        is_default = port == (443 if is_secure else 80)
        authority = in_url(host) if is_default else f"{in_url(host)}:{port}"
        scheme = "https" if is_secure else "http"
        return cls(
            url, host, port, is_secure, authority, f"{scheme}://{authority}", origin, tuple(pairs)
        )

    @property
    def path(self) -> str:
        """The path and query that the URL names."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def rewritten(request: Request, upstream: Upstream) -> bytes:
    """Return the bytes of a request's head as the upstream gets it.

    Args:
        request: its head, as it came.
        upstream: whom it is for.
    """
    own: dict[str, list[bytes]] = {}
    for name, value in upstream.headers:
        own.setdefault(name.lower(), []).append(f"{name}: {value}".encode("latin-1"))
    own.setdefault("host", [f"Host: {upstream.authority}".encode("latin-1")])
    origin = upstream.own_origin if upstream.origin == UPSTREAM else upstream.origin
    # Who sends none is no page, and stays so unless the user names an Origin.
    is_sent = upstream.origin not in (KEEP, UPSTREAM) or request.get("Origin") is not None
    if origin not in (KEEP, None) and is_sent:
        own.setdefault("origin", [f"Origin: {origin}".encode("latin-1")])
    lines = [request.raw[: request.raw.index(b"\r\n")]]
    if request.get("Host") is None:
        lines += own.pop("host")
    written: set[str] = set()
    for header in request.headers:
        name = header.name.lower()
        if name in own:
            if name not in written:
                written.add(name)
                lines += [_spelled_as(header.raw, line) for line in own[name]]
        elif name != "origin" or upstream.origin == KEEP:
            lines.append(header.raw)
    for name, more in own.items():
        if name not in written:
            lines += more
    return b"\r\n".join([*lines, b"", b""])


def _spelled_as(came: bytes, line: bytes) -> bytes:
    """Return a line with the header's name as the client writes it."""
    return came.partition(b":")[0] + b":" + line.partition(b":")[2]


def _names(pairs: Iterable[tuple[str, str]]) -> set[str]:
    return {name.lower() for name, _ in pairs}
