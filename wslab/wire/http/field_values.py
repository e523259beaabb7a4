"""What the values of HTTP headers are made of: tokens and lists (RFC 9110 §5.6).

Its rule: it judges nothing, so that a wrong value can still be shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["TOKEN", "TOKEN_FORM", "asks_for_websocket", "parse_token_list"]

TOKEN_FORM = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
TOKEN = re.compile(TOKEN_FORM)


def parse_token_list(value: str) -> list[str]:
    """Split a comma-separated value such as Connection's; white space and empty parts fall away.

    It judges nothing, so that a wrong value can still be shown (RFC 9110 §5.6.1).
    """
    return [part for part in (part.strip(" \t") for part in value.split(",")) if part]


def asks_for_websocket(headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether a request asks for a WebSocket, rightly or wrongly (RFC 6455 §4.2.1).

    One sign is enough: an `Upgrade` header that names websocket, or any `Sec-WebSocket-*` header.
    `Connection: Upgrade` alone is none, since reverse proxies are often set up to add it to every
    request, and neither is another protocol such as `Upgrade: h2c`.
    """
    return any(
        name.lower().startswith("sec-websocket-")
        or (name.lower() == "upgrade" and "websocket" in re.split(r"[\s,]+", value.lower()))
        for name, value in headers
    )
