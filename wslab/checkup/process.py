"""What holds for this process: whether the lab's event loop answers, whether loops may nest, and
whether a proxy of the environment would catch what is meant for this machine.
"""

from __future__ import annotations

import asyncio

from ..loops import portals
from .report import Finding

__all__ = ["environment_proxies", "loop", "nesting"]


def loop() -> Finding:
    """Ask the lab's loop for an answer."""
    lab = portals.lab()
    kind = type(lab.loop)  # asking for it starts it
    if not lab.answers(1.0):
        return Finding(
            "event loop",
            False,
            lab.held_by(),
            "Until then no server and no client of this process answers; if it never lets go, "
            "restart Python (the kernel)",
        )
    is_fast = kind.__module__.partition(".")[0] == "uvloop"
    seen = "uvloop" if is_fast else f"asyncio's own ({kind.__name__})"
    return Finding("event loop", True, f"{seen}, on a thread of its own, answers")


def nesting() -> Finding:
    """Look who has patched asyncio."""
    name = "nested loops"
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        return Finding(
            name,
            False,
            "the old nest_asyncio has patched asyncio in this process; it silently loses queued "
            "cells",
            "Remove `import nest_asyncio; nest_asyncio.apply()`, restart the kernel and call "
            "wslab.allow_nested_loops() instead",
        )
    if hasattr(asyncio, "_nest_asyncio2"):
        return Finding(name, True, "allowed in this process, by nest_asyncio2")
    return Finding(name, True, "not asked for (wslab.allow_nested_loops() does)")


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
