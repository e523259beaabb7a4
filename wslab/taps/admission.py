"""Who may ask through a tap: not every page on the web (RFC 6455 §10.2).

Its rule: as for a server of ours, and more carefully. A tap speaks to another server in the user's
name, so plain HTTP is judged, too; and a web site that makes its own name lead to this machine is
known by the Host header, which then has that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..notebook.allowed_origins import is_allowed_origin
from ..server.hosts import is_known_host, name_in
from ..server.listen_address import ListenAddress
from ..server.origins import is_origin_of
from ..wire.http.heads import Request
from .request_head import Upstream

__all__ = ["Origins", "refusal_of"]

Origins = Sequence[str | re.Pattern[str] | None]


def refusal_of(
    request: Request,
    *,
    origins: Origins | None,
    upstream: Upstream,
    address: ListenAddress,
    reached_at: Any,
) -> str:
    """Say why a request may not go on; "" where it may.

    Args:
        request: its head, as it came.
        origins: those that the user lets in; None for the default.
        upstream: where the tap leads; that server's own pages may speak to it anyway.
        address: where the tap listens.
        reached_at: the connection's own end.
    """
    origin = request.get("Origin")
    host = (request.get("Host") or "").strip()
    if origins is not None:
        is_let_in = any(is_origin_of(origin, allowed) for allowed in origins)
    else:
        is_let_in = (
            is_allowed_origin(origin)
            or origin == upstream.own_origin
            or (origin is not None and address.is_own_origin(origin, reached_at))
        )
    if not is_let_in:
        return (
            f"This tap does not let pages from {origin!r} ask: any page on the web can try to "
            "reach a port on your machine, and a tap would speak in your name. If you trust that "
            f"page, allow it: tap(..., origins=[{origin!r}, None]).\n"
        )
    if origin is None and not _is_known_host(host, origins, {address.host.lower(), upstream.host}):
        return (
            f"This tap was reached by the name {host!r}, which is none of this machine's: a web "
            "site can make its name lead here. Use the address that tap.url shows"
            f", or allow the name: tap(..., origins=['http://{host}', None]).\n"
        )
    return ""


def _is_known_host(host: str, origins: Origins | None, names: set[str]) -> bool:
    """Whether a Host header is an address, which nobody can make lead elsewhere, or a known name.

    A page that is let in by its Origin may ask by any name.
    """
    if not host:
        return True  # HTTP/1.0: no browser
    name = name_in(host)
    if name is None:
        return False
    let_in = [one for one in origins or () if isinstance(one, str)]
    return is_known_host(name, {*names, *(urlsplit(one).hostname or "" for one in let_in)})
