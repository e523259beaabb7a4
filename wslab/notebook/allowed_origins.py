"""Whose pages may open a WebSocket to a server of ours.

Any page in the world can try: the same-origin policy does not cover WebSockets. Its rule: what is
not known to be a page of this machine, or the notebook's own, may not.
"""

from __future__ import annotations

import os

from . import environment
from .environment import Environment, Kind
from .origins import is_loopback_origin, is_webview
from .page import noted_origins

__all__ = ["is_allowed_origin", "known_origins"]


def known_origins() -> frozenset[str]:
    """Return the origins of the notebook's own pages: those noted, and JupyterHub's public one."""
    public = environment.public_origin(os.environ)
    return noted_origins() | ({public} if public else set())


def is_allowed_origin(origin: str | None, *, here: Environment | None = None) -> bool:
    """Tell whether a page of this origin may open a WebSocket to a server on loopback.

    Allowed are clients that are no page (no Origin), pages of this machine, whatever their port,
    and the notebook's own pages. `null` (sandboxed frames, files) is anybody's, so it is refused.
    A VS Code webview is allowed only where VS Code shows the notebook.

    Args:
        origin: the Origin header as it came, or None when there was none.
        here: where this is; by default found out, and only when it matters.

    See RFC 6455 section 10.2 and RFC 6454 section 7.
    """
    if origin is None:
        return True
    if is_loopback_origin(origin) or origin in known_origins():
        return True
    if is_webview(origin):
        return (here or environment.detect()).kind is Kind.VSCODE
    return False
