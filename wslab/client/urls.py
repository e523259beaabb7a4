"""WebSocket URLs: what one must look like, what it says, and what may be shown of it.

Pure: texts in, texts out. Its rule: a URL that is wrong is told how it should be written, and a
secret in one is never shown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..errors import BadURL

__all__ = ["check_url", "is_loopback", "session_in", "shown", "with_query"]


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """Return ``url`` without its secrets (a password, ``?token=``), as texts may show it."""
    from ..wire.http.secret_values import hide_secrets

    return hide_secrets("", url)


def check_url(url: str) -> tuple[str, int]:
    """Return host and port of a WebSocket URL (RFC 6455 §3).

    Raises:
        BadURL: what is wrong with it, and how it should be written.
    """
    expected = f"expected a URL such as ws://127.0.0.1:8765/, got {shown(url)!r}"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise BadURL(f"{expected}: it holds a space or a line's end; within a URL, write %20")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadURL(f"{expected}: {exc}") from None
    swap = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if swap is not None:
        raise BadURL(
            f"{expected}: a WebSocket URL starts with {swap}://, so write "
            f"{shown(swap + url[len(parts.scheme) :])!r}"
        )
    if parts.scheme not in ("ws", "wss"):
        hint = "the scheme is ws or wss"
        if not url:
            hint = "it is empty"
        elif "://" not in url:
            hint = f"write {shown('ws://' + url.lstrip('/'))!r}"
        raise BadURL(f"{expected}: {hint}")
    if not parts.hostname:
        raise BadURL(f"{expected}: it names no host")
    if "#" in url:
        raise BadURL(
            f"{expected}: the part after # never leaves a browser; leave it out (RFC 6455 §3)"
        )
    if port == 0:
        raise BadURL(
            f"{expected}: port 0 is no port to connect to; take the server's own, server.url"
        )
    return parts.hostname, port or (443 if parts.scheme == "wss" else 80)


def session_in(url: str) -> str | None:
    """Return the session's token that a URL names already, or None."""
    return next((v for name, v in parse_qsl(urlsplit(url).query) if name == "session"), None)


def with_query(url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return the URL with these parameters at the end of its query; those it has stay."""
    parts = urlsplit(url)
    known = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    more = urlencode([pair for pair in parameters if pair[0] not in known])
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, more]))))
