"""Whose pages a server lets in, and what the others are told (RFC 6455 §10.2).

Its rule: pages of this machine, of the notebook, and of the server itself.
"""

from __future__ import annotations

from typing import Any

from ..notebook.allowed_origins import is_allowed_origin
from .listen_address import ListenAddress

__all__ = ["refusal_of_origin"]


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
