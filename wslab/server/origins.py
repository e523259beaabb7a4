"""Whose pages a server lets in, and what the others are told (RFC 6455 §10.2).

Its rule: pages of this machine, of the notebook, and of the server itself.
"""

from __future__ import annotations

import re
from typing import Any

from ..notebook.allowed_origins import is_allowed_origin
from .listen_address import ListenAddress

__all__ = ["is_origin_of", "refusal_of_origin"]


def refusal_of_origin(origin: str, address: ListenAddress, reached_at: Any) -> str:
    """Say why pages of an Origin may not open a WebSocket; "" where they may (RFC 6455 §10.2).

    Args:
        origin: as the header says it.
        address: where the server listens.
        reached_at: the connection's own end.
    """
    if is_allowed_origin(origin) or address.is_own_origin(origin, reached_at):
        return ""
    return (
        f"This server does not let pages from {origin!r} connect: any page on the web can try to "
        "reach a port on your machine. If you trust that page, allow it: "
        f"serve(..., origins=[{origin!r}, None]).\n"
    )


def is_origin_of(origin: str | None, allowed: str | re.Pattern[str] | None) -> bool:
    """Whether an Origin is one of ``serve(origins=[...])``; None stands for who sends none."""
    if isinstance(allowed, re.Pattern):
        return origin is not None and allowed.fullmatch(origin) is not None
    return origin == allowed
