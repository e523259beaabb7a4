"""Whether a proxy of the environment would catch what is meant for this machine."""

from __future__ import annotations

from .report import Finding

__all__ = ["environment_proxies"]


def environment_proxies() -> Finding:
    """Look at the variables, as websockets does."""
    import urllib.request

    from websockets.proxy import get_proxy
    from websockets.uri import parse_uri

    name = "environment proxies"
    kinds = sorted(urllib.request.getproxies().keys() & {"http", "https", "ws", "wss", "socks"})
    if "all" in urllib.request.getproxies():
        kinds.append("all")
    caught = [
        host
        for host in ("127.0.0.1", "localhost")
        if get_proxy(parse_uri(f"ws://{host}:8765/")) is not None
    ]
    if caught:
        return Finding(
            name,
            False,
            f"a proxy for {', '.join(kinds)} would catch {' and '.join(caught)}",
            "Set NO_PROXY=localhost,127.0.0.1 in the environment before Python starts. "
            "wslab.connect() goes around the proxy; websockets.connect() needs proxy=None",
        )
    return Finding(name, True, "set, and leave this machine alone" if kinds else "none set")
