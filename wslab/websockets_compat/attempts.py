"""Where an attempt to connect got to, as the `connect` of websockets knows it.

It follows redirects and takes proxies by itself, and its exceptions don't say which. Its rule: what
it has stored is read, after it has ended; nothing is worked out anew but its choice of a proxy.
"""

from __future__ import annotations

from typing import Any

from websockets.proxy import get_proxy

__all__ = ["handshake_failure", "has_reached", "proxy_of", "url_of"]


def url_of(connector: Any) -> str:
    """Return the URL that was tried last: a redirect leads elsewhere than was asked for."""
    return str(connector.uri)


def has_reached(connector: Any, connection: Any) -> bool:
    """Whether this connection was made to the URL that was tried last, past any proxy."""
    return bool(connection.protocol.uri == connector.ws_uri)


def proxy_of(connector: Any) -> str | None:
    """Return the URL of the proxy that it takes, or None."""
    kwargs = connector.create_connection_kwargs
    if kwargs.get("unix") or kwargs.get("sock") is not None:
        return None
    proxy = get_proxy(connector.ws_uri) if connector.proxy is True else connector.proxy
    return str(proxy) if proxy else None


def handshake_failure(connection: Any) -> Exception | None:
    """Return what a connection's handshake failed of, where that is known."""
    failure: Exception | None = connection.protocol.handshake_exc
    return failure
