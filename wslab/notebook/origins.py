"""Origins and base URLs, as a browser and Jupyter write them.

Its rule: a text from a page is one of these to the letter, or it is refused: whoever is let in by
an Origin header is let in by what is matched here. It knows nothing of where this runs.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["checked_base_url", "is_loopback_origin", "is_origin", "is_webview", "origin_of"]

_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\]){_PORT}"
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LOOPBACK = re.compile(rf"localhost|127(?:\.{_OCTET}){{3}}|\[::1\]")
_WEBVIEW = re.compile(r"vscode-webview://[a-z0-9]{1,64}")
_BASE_URL = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%-]+/)*")


def is_origin(origin: str) -> bool:
    """Whether it is an Origin of a page that came by http or https (RFC 6454 section 6.2)."""
    found = _ORIGIN.fullmatch(origin)
    return found is not None and int(found["port"] or 0) <= 65535


def is_loopback_origin(origin: str) -> bool:
    """Whether it is the Origin of a page of this machine, whatever its port."""
    found = _ORIGIN.fullmatch(origin)
    return is_origin(origin) and _LOOPBACK.fullmatch(found["host"] if found else "") is not None


def is_webview(origin: str) -> bool:
    """Whether it is the Origin of one of VS Code's own views."""
    return _WEBVIEW.fullmatch(origin) is not None


def origin_of(url: str) -> str | None:
    """Return a URL's origin as a browser would write it in an Origin header, or None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_default = (parts.scheme, port) in (("http", 80), ("https", 443))
    origin = f"{parts.scheme}://{host}" + ("" if port is None or is_default else f":{port}")
    return origin if is_origin(origin) else None


def checked_base_url(base_url: object) -> str:
    """Return where Jupyter's server is mounted, with a slash at both ends.

    Raises:
        ValueError: it is no path that a page would send.
    """
    text = base_url if isinstance(base_url, str) else ""
    text = f"/{text.strip('/')}/" if text.strip("/") else "/"
    if not isinstance(base_url, str) or not _BASE_URL.fullmatch(text) or "/../" in text:
        raise ValueError(f"expected a base URL such as '/' or '/user/demo-abc/', got {base_url!r}")
    return text
